/* SPDX-License-Identifier: Apache-2.0
 *
 * Files, as the durable store sees them: the seam at which a simulated disk (tests/sim/vfs_sim.h) takes the place of
 * the real one, so that every call can be made to fail and every write to be lost.
 *
 * All names are of files in one folder and hold no slash. Every call blocks, returns 0 or a negated errno, and may be
 * made by any thread; two calls on one file at a time are the caller's to avoid where they would disturb each other.
 * Nothing here is durable until vfs_sync() (a file's content and size) or vfs_sync_dir() (which names there are) has
 * returned 0; when one of them fails nothing is known of what was written since it last succeeded, and trying again
 * tells a lie (Rebello et al., ATC 2020): the caller gives up the file.
 */
#ifndef PLAT_VFS_H
#define PLAT_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct vfs_file {
    const struct vfs_ops *ops; /* fixed after init */
};

struct vfs_dir {
    const struct vfs_ops *ops; /* fixed after init */
};

enum vfs_open {
    VFS_READ,   /* it must be there */
    VFS_WRITE,  /* to read and write; it must be there */
    VFS_CREATE, /* to read and write; it must not be there (-EEXIST) */
};

/* A name in a folder; it is valid during the call. */
typedef void vfs_name_fn(void *arg, const char *name);

/* What a kind of disk does. */
struct vfs_ops {
    int (*open)(struct vfs_dir *d, const char *name, enum vfs_open how, struct vfs_file **ret_file);
    int (*rename)(struct vfs_dir *d, const char *from, const char *to);
    int (*unlink)(struct vfs_dir *d, const char *name);
    int (*sync_dir)(struct vfs_dir *d);
    int (*list)(struct vfs_dir *d, vfs_name_fn *fn, void *arg);
    int (*lock)(struct vfs_dir *d, const char *name);
    int (*map)(struct vfs_dir *d, const char *name, size_t bytes, void **ret_at);
    void (*unmap)(struct vfs_dir *d, void *at, size_t bytes);
    void (*close_dir)(struct vfs_dir *d);
    int (*read)(struct vfs_file *f, uint64_t at, void *to, size_t n, size_t *ret_read);
    int (*write)(struct vfs_file *f, uint64_t at, const void *from, size_t n);
    int (*sync)(struct vfs_file *f);
    int (*allocate)(struct vfs_file *f, uint64_t bytes);
    int (*truncate)(struct vfs_file *f, uint64_t bytes);
    int (*size)(struct vfs_file *f, uint64_t *ret_bytes);
    void (*close)(struct vfs_file *f);
};

/* The real disk: open a folder. create: make it (mode 0700) when it is not there, and its name durable. */
int vfs_open_dir(const char *path, bool create, struct vfs_dir **ret_dir) MUST_CHECK;

/* Open a file; new ones have mode 0600. */
static inline int MUST_CHECK vfs_open(struct vfs_dir *d, const char *name, enum vfs_open how,
                                      struct vfs_file **ret_file)
{
    return d->ops->open(d, name, how, ret_file);
}

/* Give a file another name; one that had it before is gone. */
static inline int MUST_CHECK vfs_rename(struct vfs_dir *d, const char *from, const char *to)
{
    return d->ops->rename(d, from, to);
}

static inline int MUST_CHECK vfs_unlink(struct vfs_dir *d, const char *name)
{
    return d->ops->unlink(d, name);
}

static inline int MUST_CHECK vfs_sync_dir(struct vfs_dir *d)
{
    return d->ops->sync_dir(d);
}

/* Tell every name, in no order, but "." and "..". */
static inline int MUST_CHECK vfs_list(struct vfs_dir *d, vfs_name_fn *fn, void *arg)
{
    return d->ops->list(d, fn, arg);
}

/* Lock the folder by a file of that name, made when it is not there, until the folder is closed or the process ends.
 * -EAGAIN: another one has it. Once for each folder. */
static inline int MUST_CHECK vfs_lock(struct vfs_dir *d, const char *name)
{
    return d->ops->lock(d, name);
}

/* The file's first bytes as memory, which the process' death does not take along; made, with zeros, when it is not
 * there or smaller. */
static inline int MUST_CHECK vfs_map(struct vfs_dir *d, const char *name, size_t bytes, void **ret_at)
{
    return d->ops->map(d, name, bytes, ret_at);
}

/* NULL is accepted. */
static inline void vfs_unmap(struct vfs_dir *d, void *at, size_t bytes)
{
    if (at != NULL)
        d->ops->unmap(d, at, bytes);
}

/* Sets to NULL, accepts NULL. Files of the folder may outlive it. */
static inline void vfs_close_dir(struct vfs_dir **dir)
{
    struct vfs_dir *d = *dir;
    *dir = NULL;
    if (d != NULL)
        d->ops->close_dir(d);
}

/* *ret_read is less than n at the file's end only. */
static inline int MUST_CHECK vfs_read(struct vfs_file *f, uint64_t at, void *to, size_t n,
                                      size_t *ret_read)
{
    return f->ops->read(f, at, to, n, ret_read);
}

/* All of it; after a failure any part may have been written. */
static inline int MUST_CHECK vfs_write(struct vfs_file *f, uint64_t at, const void *from, size_t n)
{
    return f->ops->write(f, at, from, n);
}

static inline int MUST_CHECK vfs_sync(struct vfs_file *f)
{
    return f->ops->sync(f);
}

/* The file has at least so many bytes, and writing them will not fail for lack of space. */
static inline int MUST_CHECK vfs_allocate(struct vfs_file *f, uint64_t bytes)
{
    return f->ops->allocate(f, bytes);
}

static inline int MUST_CHECK vfs_truncate(struct vfs_file *f, uint64_t bytes)
{
    return f->ops->truncate(f, bytes);
}

static inline int MUST_CHECK vfs_size(struct vfs_file *f, uint64_t *ret_bytes)
{
    return f->ops->size(f, ret_bytes);
}

/* Sets to NULL, accepts NULL. Syncs nothing. */
static inline void vfs_close(struct vfs_file **file)
{
    struct vfs_file *f = *file;
    *file = NULL;
    if (f != NULL)
        f->ops->close(f);
}

#endif
