/* SPDX-License-Identifier: Apache-2.0
 *
 * A file is an inode with two contents: what the system shows, and what the disk has. A sector is dirty when it was
 * written since the last sync. Names are two tables in the same way, with a list of what was done between them.
 */
#include "vfs_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../model/random.h"
#include "base/check.h"
#include "base/list.h"

enum { SECTOR = 512, NAME_BYTES = 64, NAMES_MAX = 256, CHANGES_MAX = 256 };

struct content {
    uint8_t *data;
    uint64_t bytes, cap;
};

struct inode {
    struct content shown, kept;
    uint8_t *dirty; /* a byte for each sector */
    uint64_t dirty_cap;
    bool header_written; /* the last write was at the beginning */
    uint32_t refs;       /* names in either table, changes and open files */
};

struct entry {
    char name[NAME_BYTES];
    struct inode *inode;
};

struct names {
    struct entry at[NAMES_MAX];
    size_t count;
};

enum change_kind { CHANGE_BIND, CHANGE_RENAME, CHANGE_UNBIND };

struct change {
    enum change_kind kind;
    char name[NAME_BYTES], to[NAME_BYTES];
    struct inode *inode;
};

struct sim_disk {
    struct vfs_dir dir;
    uint64_t random;
    struct names shown, kept;
    struct change changes[CHANGES_MAX];
    size_t changes_count;
    bool locked, crashed, recovering;
    uint64_t changing_calls, crash_at; /* 0: not */
    uint64_t life;                     /* of which reboot */
    struct {
        enum sim_call call;
        uint64_t left; /* 0: none */
        int error;
        bool for_ever, has_failed;
    } fault;
    uint64_t space;
    unsigned lies;
};

struct sim_file {
    struct vfs_file file;
    struct sim_disk *disk;
    struct inode *inode;
    uint64_t life;
    bool writable;
};

static const struct vfs_ops sim_ops;

static struct sim_disk *disk_of(struct vfs_dir *dir)
{
    return CONTAINER_OF(dir, struct sim_disk, dir);
}

static void *must_have(void *memory)
{
    check(memory != NULL);
    return memory;
}

/* ---- contents ---- */

static void resize(struct content *c, uint64_t bytes)
{
    if (bytes > c->cap) {
        uint64_t cap = bytes * 2;
        c->data = must_have(realloc(c->data, cap));
        c->cap = cap;
    }
    if (bytes > c->bytes)
        memset(c->data + c->bytes, 0, bytes - c->bytes);
    c->bytes = bytes;
}

static void copy_content(struct content *to, const struct content *from)
{
    resize(to, from->bytes);
    if (from->bytes > 0)
        memcpy(to->data, from->data, from->bytes);
}

static void unref_inode(struct inode *n)
{
    if (--n->refs > 0)
        return;
    free(n->shown.data);
    free(n->kept.data);
    free(n->dirty);
    free(n);
}

static void mark_dirty(struct inode *n, uint64_t from, uint64_t to)
{
    uint64_t sectors = (to + SECTOR - 1) / SECTOR;
    if (sectors > n->dirty_cap) {
        n->dirty = must_have(realloc(n->dirty, sectors * 2));
        memset(n->dirty + n->dirty_cap, 0, sectors * 2 - n->dirty_cap);
        n->dirty_cap = sectors * 2;
    }
    for (uint64_t i = from / SECTOR; i < sectors; i++)
        n->dirty[i] = 1;
}

static void clean(struct inode *n)
{
    if (n->dirty_cap > 0)
        memset(n->dirty, 0, n->dirty_cap);
}

static void keep_sector(struct inode *n, uint64_t i)
{
    uint64_t from = i * SECTOR,
             bytes = n->kept.bytes < n->shown.bytes ? n->kept.bytes : n->shown.bytes;
    if (from < bytes)
        memcpy(n->kept.data + from, n->shown.data + from,
               bytes - from < SECTOR ? bytes - from : SECTOR);
}

/* Any of the dirty sectors have reached the disk, and perhaps the new length. With all or none of it in every fourth case,
 * for these are the likely ones. */
static void lose_content(struct sim_disk *d, struct inode *n)
{
    uint64_t luck = random_below(&d->random, 8);
    bool length = random_below(&d->random, 2) == 0;
    if (length || luck == 0)
        resize(&n->kept, n->shown.bytes);
    for (uint64_t i = 0; i < n->dirty_cap; i++)
        if (n->dirty[i] && luck != 1 && (luck == 0 || random_below(&d->random, 2) == 0))
            keep_sector(n, i);
    clean(n);
    copy_content(&n->shown, &n->kept);
}

/* ---- names ---- */

static struct entry *find(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].name, name) == 0)
            return &names->at[i];
    return NULL;
}

static void unbind(struct names *names, const char *name)
{
    struct entry *e = find(names, name);
    if (e == NULL)
        return;
    unref_inode(e->inode);
    *e = names->at[--names->count];
}

static void bind(struct names *names, const char *name, struct inode *inode)
{
    inode->refs++;
    unbind(names, name);
    check(names->count < NAMES_MAX && strlen(name) < NAME_BYTES);
    struct entry *e = &names->at[names->count++];
    memcpy(e->name, name, strlen(name) + 1);
    e->inode = inode;
}

static void apply(struct names *names, const struct change *c)
{
    if (c->kind == CHANGE_UNBIND || c->kind == CHANGE_RENAME) {
        struct entry *e = find(names, c->name);
        if (e != NULL && e->inode == c->inode)
            unbind(names, c->name);
    }
    if (c->kind != CHANGE_UNBIND)
        bind(names, c->kind == CHANGE_RENAME ? c->to : c->name, c->inode);
}

static void change(struct sim_disk *d, enum change_kind kind, const char *name, const char *to,
                   struct inode *inode)
{
    check(d->changes_count < CHANGES_MAX);
    struct change *c = &d->changes[d->changes_count++];
    *c = (struct change){ .kind = kind, .inode = inode };
    memcpy(c->name, name, strlen(name) + 1);
    memcpy(c->to, to, strlen(to) + 1);
    inode->refs++;
    apply(&d->shown, c);
}

/* Each change since the last sync is kept, if keep() says so. */
static void settle_changes(struct sim_disk *d, bool all)
{
    bool lucky = random_below(&d->random, 4) == 0;
    for (size_t i = 0; i < d->changes_count; i++) {
        if (all || lucky || random_below(&d->random, 2) == 0)
            apply(&d->kept, &d->changes[i]);
        unref_inode(d->changes[i].inode);
    }
    d->changes_count = 0;
}

static void copy_names(struct names *to, const struct names *from)
{
    while (to->count > 0)
        unbind(to, to->at[0].name);
    for (size_t i = 0; i < from->count; i++)
        bind(to, from->at[i].name, from->at[i].inode);
}

/* ---- crashes and faults ---- */

/* 0, or with what the call fails. */
static int begin(struct sim_disk *d, enum sim_call call)
{
    if (d->crashed)
        return -EIO;
    if (d->fault.left == 0 || d->fault.call != call)
        return 0;
    if (--d->fault.left > 0)
        return 0;
    d->fault.has_failed = true;
    d->fault.left = d->fault.for_ever ? 1 : 0;
    return d->fault.error;
}

/* A call that changes something has been made, and is the last one if it crashes now. */
static int changed(struct sim_disk *d)
{
    d->changing_calls++;
    if (d->crash_at == 0 || d->changing_calls < d->crash_at)
        return 0;
    d->crashed = true;
    return -EIO;
}

static bool crashes_now(const struct sim_disk *d)
{
    return d->crash_at != 0 && d->changing_calls + 1 >= d->crash_at;
}

static uint64_t used_space(const struct sim_disk *d)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->shown.count; i++)
        bytes += d->shown.at[i].inode->shown.bytes;
    return bytes;
}

static bool has_space(const struct sim_disk *d, const struct inode *n, uint64_t bytes)
{
    if (bytes <= n->shown.bytes || d->space == UINT64_MAX)
        return true;
    return used_space(d) - n->shown.bytes + bytes <= d->space;
}

/* ---- calls on the folder ---- */

static struct sim_file *new_file(struct sim_disk *d, struct inode *n, bool writable)
{
    struct sim_file *f = must_have(calloc(1, sizeof *f));
    *f = (struct sim_file){
        .file.ops = &sim_ops, .disk = d, .inode = n, .life = d->life, .writable = writable
    };
    n->refs++;
    return f;
}

static int sim_open(struct vfs_dir *dir, const char *name, enum vfs_open how,
                    struct vfs_file **ret_file)
{
    struct sim_disk *d = disk_of(dir);
    int r = begin(d, how == VFS_CREATE ? SIM_CREATE : SIM_OPEN);
    if (r < 0)
        return r;
    struct entry *e = find(&d->shown, name);
    if (how != VFS_CREATE && e == NULL)
        return -ENOENT;
    if (how == VFS_CREATE && e != NULL)
        return -EEXIST;
    if (how != VFS_CREATE) {
        *ret_file = &new_file(d, e->inode, how == VFS_WRITE)->file;
        return 0;
    }
    struct inode *n = must_have(calloc(1, sizeof *n));
    change(d, CHANGE_BIND, name, "", n);
    r = changed(d);
    if (r == 0)
        *ret_file = &new_file(d, n, true)->file;
    return r;
}

static int sim_rename(struct vfs_dir *dir, const char *from, const char *to)
{
    struct sim_disk *d = disk_of(dir);
    int r = begin(d, SIM_RENAME);
    struct entry *e = find(&d->shown, from);
    if (r < 0 || e == NULL)
        return r < 0 ? r : -ENOENT;
    change(d, CHANGE_RENAME, from, to, e->inode);
    return changed(d);
}

static int sim_unlink(struct vfs_dir *dir, const char *name)
{
    struct sim_disk *d = disk_of(dir);
    int r = begin(d, SIM_UNLINK);
    struct entry *e = find(&d->shown, name);
    if (r < 0 || e == NULL)
        return r < 0 ? r : -ENOENT;
    change(d, CHANGE_UNBIND, name, "", e->inode);
    return changed(d);
}

static int sim_sync_dir(struct vfs_dir *dir)
{
    struct sim_disk *d = disk_of(dir);
    int r = begin(d, SIM_SYNC_DIR);
    if (r == 0)
        r = changed(d);
    if (r == 0 && (d->lies & SIM_LIE_SYNC_DIR) == 0)
        settle_changes(d, true);
    return r;
}

static int sim_list(struct vfs_dir *dir, vfs_name_fn *fn, void *arg)
{
    struct sim_disk *d = disk_of(dir);
    int r = begin(d, SIM_LIST);
    for (size_t i = 0; i < d->shown.count && r == 0; i++)
        fn(arg, d->shown.at[i].name);
    return r;
}

static int sim_lock(struct vfs_dir *dir, const char *name)
{
    struct sim_disk *d = disk_of(dir);
    (void)name;
    int r = begin(d, SIM_LOCK);
    if (r == 0 && d->locked)
        r = -EAGAIN;
    if (r == 0)
        d->locked = true;
    return r;
}

static int sim_map(struct vfs_dir *dir, const char *name, size_t bytes, void **ret_at)
{
    (void)dir;
    (void)name;
    (void)bytes;
    (void)ret_at;
    return -EOPNOTSUPP;
}

static void sim_unmap(struct vfs_dir *dir, void *at, size_t bytes)
{
    (void)dir;
    (void)at;
    (void)bytes;
}

static void sim_close_dir(struct vfs_dir *dir)
{
    disk_of(dir)->locked = false;
}

/* ---- calls on a file ---- */

static struct sim_file *file_of(struct vfs_file *file)
{
    return CONTAINER_OF(file, struct sim_file, file);
}

static int begin_file(struct sim_file *f, enum sim_call call)
{
    return f->life != f->disk->life ? -EIO : begin(f->disk, call);
}

static int sim_read(struct vfs_file *file, uint64_t at, void *to, size_t n, size_t *ret_read)
{
    struct sim_file *f = file_of(file);
    const struct content *c = &f->inode->shown;
    int r = begin_file(f, SIM_READ);
    if (r < 0)
        return r;
    uint64_t left = at < c->bytes ? c->bytes - at : 0;
    *ret_read = n < left ? n : (size_t)left;
    if (*ret_read > 0)
        memcpy(to, c->data + at, *ret_read);
    return 0;
}

static int sim_write(struct vfs_file *file, uint64_t at, const void *from, size_t n)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = f->disk;
    struct content *c = &f->inode->shown;
    int r = begin_file(f, SIM_WRITE);
    check(f->writable);
    if (r == 0 && !has_space(d, f->inode, at + n))
        r = -ENOSPC;
    if (r < 0)
        return r;
    if (at + n > c->bytes)
        resize(c, at + n);
    for (uint64_t done = 0; done < n;) {
        uint64_t to = (at + done) / SECTOR * SECTOR + SECTOR, piece = to - (at + done);
        piece = piece < n - done ? piece : n - done;
        if (!crashes_now(d) || random_below(&d->random, 2) == 0)
            memcpy(c->data + at + done, (const uint8_t *)from + done, piece);
        done += piece;
    }
    mark_dirty(f->inode, at, at + n);
    f->inode->header_written = at == 0;
    return changed(d);
}

static bool lies_about(const struct sim_file *f)
{
    unsigned lies = f->disk->lies;
    bool header = f->inode->header_written;
    return ((lies & SIM_LIE_SYNC) != 0 && !f->disk->recovering && !header) ||
           ((lies & SIM_LIE_SYNC_HEADER) != 0 && header) ||
           ((lies & SIM_LIE_SYNC_RECOVERY) != 0 && f->disk->recovering && !header);
}

static int sim_sync(struct vfs_file *file)
{
    struct sim_file *f = file_of(file);
    int r = begin_file(f, SIM_SYNC);
    if (r == 0)
        r = changed(f->disk);
    if (r < 0 || lies_about(f))
        return r;
    copy_content(&f->inode->kept, &f->inode->shown);
    clean(f->inode);
    return 0;
}

static int sim_allocate(struct vfs_file *file, uint64_t bytes)
{
    struct sim_file *f = file_of(file);
    int r = begin_file(f, SIM_ALLOCATE);
    if (r == 0 && !has_space(f->disk, f->inode, bytes))
        r = -ENOSPC;
    if (r < 0)
        return r;
    if (bytes > f->inode->shown.bytes)
        resize(&f->inode->shown, bytes);
    return changed(f->disk);
}

static int sim_truncate(struct vfs_file *file, uint64_t bytes)
{
    struct sim_file *f = file_of(file);
    int r = begin_file(f, SIM_TRUNCATE);
    if (r < 0)
        return r;
    resize(&f->inode->shown, bytes);
    return changed(f->disk);
}

static int sim_size(struct vfs_file *file, uint64_t *ret_bytes)
{
    struct sim_file *f = file_of(file);
    int r = begin_file(f, SIM_SIZE);
    if (r == 0)
        *ret_bytes = f->inode->shown.bytes;
    return r;
}

static void sim_close(struct vfs_file *file)
{
    struct sim_file *f = file_of(file);
    unref_inode(f->inode);
    free(f);
}

static const struct vfs_ops sim_ops = {
    .open = sim_open,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .lock = sim_lock,
    .map = sim_map,
    .unmap = sim_unmap,
    .close_dir = sim_close_dir,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .size = sim_size,
    .close = sim_close,
};

/* ---- the test's side ---- */

struct sim_disk *sim_new(uint64_t seed)
{
    struct sim_disk *d = must_have(calloc(1, sizeof *d));
    d->dir.ops = &sim_ops;
    d->random = seed;
    d->space = UINT64_MAX;
    return d;
}

void sim_free(struct sim_disk *d)
{
    settle_changes(d, true);
    while (d->shown.count > 0)
        unbind(&d->shown, d->shown.at[0].name);
    while (d->kept.count > 0)
        unbind(&d->kept, d->kept.at[0].name);
    free(d);
}

struct vfs_dir *sim_dir(struct sim_disk *d)
{
    return &d->dir;
}

void sim_crash_after(struct sim_disk *d, uint64_t n)
{
    d->crash_at = n == 0 ? 0 : d->changing_calls + n;
}

bool sim_crashed(const struct sim_disk *d)
{
    return d->crashed;
}

uint64_t sim_changes(const struct sim_disk *d)
{
    return d->changing_calls;
}

void sim_reboot(struct sim_disk *d)
{
    /* Each inode once, and those that only the names that are about to be kept will have, too. */
    struct inode *seen[2 * NAMES_MAX + CHANGES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < d->shown.count + d->kept.count + d->changes_count; i++) {
        struct inode *n = i < d->shown.count ? d->shown.at[i].inode
                          : i < d->shown.count + d->kept.count
                              ? d->kept.at[i - d->shown.count].inode
                              : d->changes[i - d->shown.count - d->kept.count].inode;
        size_t k = 0;
        while (k < count && seen[k] != n)
            k++;
        if (k == count)
            seen[count++] = n;
    }
    for (size_t i = 0; i < count; i++)
        lose_content(d, seen[i]);
    settle_changes(d, false);
    copy_names(&d->shown, &d->kept);
    sim_kill(d);
}

void sim_kill(struct sim_disk *d)
{
    d->crashed = d->locked = false;
    d->crash_at = 0;
    d->life++;
}

void sim_fail(struct sim_disk *d, enum sim_call call, uint64_t n, int error, bool for_ever)
{
    d->fault.call = call;
    d->fault.left = n;
    d->fault.error = error;
    d->fault.for_ever = for_ever;
    d->fault.has_failed = false;
}

bool sim_has_failed(const struct sim_disk *d)
{
    return d->fault.has_failed;
}

void sim_heal(struct sim_disk *d)
{
    d->fault.left = 0;
}

void sim_set_space(struct sim_disk *d, uint64_t bytes)
{
    d->space = bytes;
}

void sim_lie(struct sim_disk *d, unsigned lies)
{
    d->lies = lies;
}

void sim_set_recovering(struct sim_disk *d, bool recovering)
{
    d->recovering = recovering;
}

size_t sim_files(const struct sim_disk *d)
{
    return d->shown.count;
}

const char *sim_file(struct sim_disk *d, size_t i, uint8_t **ret_data, uint64_t *ret_bytes)
{
    struct entry *e = &d->shown.at[i];
    *ret_data = e->inode->shown.data;
    *ret_bytes = e->inode->shown.bytes;
    return e->name;
}

void sim_cut(struct sim_disk *d, size_t i, uint64_t bytes)
{
    resize(&d->shown.at[i].inode->shown, bytes);
}

struct sim_disk *sim_copy(const struct sim_disk *d)
{
    struct sim_disk *copy = sim_new(d->random);
    for (size_t i = 0; i < d->shown.count; i++) {
        struct inode *n = must_have(calloc(1, sizeof *n));
        copy_content(&n->shown, &d->shown.at[i].inode->shown);
        copy_content(&n->kept, &n->shown);
        bind(&copy->shown, d->shown.at[i].name, n);
        bind(&copy->kept, d->shown.at[i].name, n);
    }
    return copy;
}
