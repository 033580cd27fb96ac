/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment gets its number as its name only when its header is synced, and an old file loses its name before its header is
 * overwritten. So a numbered file whose header is not whole is damaged, never just being made, and a crash at any point
 * leaves at most a SEGMENT_TEMP, which nobody needs.
 */
#include "store/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_AHEAD_BYTES = 1024 * 1024, NAME_DIGITS = 16 };

/* ---- names ---- */

static const char suffix[] = ".seg";

char *segment_name(uint64_t number, char name[SEGMENT_NAME_BYTES])
{
    (void)snprintf(name, SEGMENT_NAME_BYTES, "%016" PRIx64 "%s", number, suffix);
    return name;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t segment_number(const char *name)
{
    uint64_t number = 0;
    if (strlen(name) != NAME_DIGITS + sizeof suffix - 1 || strcmp(name + NAME_DIGITS, suffix) != 0)
        return 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (digit(name[i]) < 0)
            return 0;
        number = number << 4 | (uint64_t)digit(name[i]);
    }
    return number;
}

/* ---- header ---- */

static int read_copy(struct vfs_file *file, uint64_t at, uint64_t number,
                     struct segment_header *ret_header)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];
    struct segment_header h;
    size_t n;
    int r = vfs_read(file, at, bytes, sizeof bytes, &n);
    if (r == 0)
        r = n < sizeof bytes ? PEN_EDAMAGED : format_header_get(bytes, &h);
    if (r == 0 && h.number != number)
        r = PEN_EDAMAGED;
    if (r == 0)
        *ret_header = h;
    return r;
}

int segment_read_header(struct vfs_file *file, uint64_t number, struct segment_header *ret_header)
{
    int r = read_copy(file, 0, number, ret_header);
    return r == PEN_EDAMAGED ? read_copy(file, FORMAT_HEADER_COPY_AT, number, ret_header) : r;
}

static int write_header(struct vfs_file *file, const struct segment_header *h)
{
    uint8_t page[FORMAT_PAGE_BYTES] = { 0 };
    format_header_put(page, h);
    format_header_put(page + FORMAT_HEADER_COPY_AT, h);
    return vfs_write(file, 0, page, sizeof page);
}

/* ---- making and removing ---- */

static int sync_dir(struct vfs_dir *dir, bool *failed)
{
    int r = vfs_sync_dir(dir);
    *failed = r < 0;
    return r;
}

/* An open file that is called SEGMENT_TEMP. */
static int take_file(struct vfs_dir *dir, struct segment **old, struct vfs_file **ret_file,
                     bool *failed)
{
    char name[SEGMENT_NAME_BYTES];
    int r;
    if (*old == NULL) {
        r = vfs_unlink(dir, SEGMENT_TEMP); /* There is one when the last time failed. */
        return r < 0 && r != -ENOENT ? r : vfs_open(dir, SEGMENT_TEMP, VFS_CREATE, ret_file);
    }
    r = vfs_rename(dir, segment_name((*old)->header.number, name), SEGMENT_TEMP);
    if (r < 0)
        return r;
    *ret_file = (*old)->file;
    (*old)->file = NULL;
    segment_free(old);
    return sync_dir(dir, failed);
}

static int prepare(struct vfs_dir *dir, struct vfs_file *file, const struct segment_header *h,
                   bool *failed)
{
    char name[SEGMENT_NAME_BYTES];
    int r = vfs_allocate(file, h->segment_bytes);
    if (r == 0)
        r = write_header(file, h);
    if (r == 0)
        r = vfs_sync(file);
    if (r == 0)
        r = vfs_rename(dir, SEGMENT_TEMP, segment_name(h->number, name));
    return r == 0 ? sync_dir(dir, failed) : r;
}

int segment_make(struct vfs_dir *dir, struct segment **old, const struct segment_header *header,
                 struct segment **ret_segment, bool *ret_dir_failed)
{
    *ret_dir_failed = false;
    struct segment *g = calloc(1, sizeof *g);
    int r = g == NULL ? PEN_ENOMEM : take_file(dir, old, &g->file, ret_dir_failed);
    if (r == 0)
        r = prepare(dir, g->file, header, ret_dir_failed);
    if (r < 0) {
        segment_free(&g);
        return r;
    }
    g->header = *header;
    g->end = g->scanned = FORMAT_PAGE_BYTES;
    *ret_segment = g;
    return 0;
}

int segment_remove(struct vfs_dir *dir, struct segment *g)
{
    char name[SEGMENT_NAME_BYTES];
    int r = vfs_unlink(dir, segment_name(g->header.number, name));
    return r < 0 ? r : vfs_sync_dir(dir);
}

void segment_free(struct segment **segment)
{
    struct segment *g = *segment;
    *segment = NULL;
    if (g == NULL)
        return;
    vfs_close(&g->file);
    free(g);
}

/* ---- reading ---- */

void reader_set(struct reader *r, struct vfs_file *file)
{
    r->file = file;
    r->at = r->bytes = 0;
}

void reader_fini(struct reader *r)
{
    free(r->data);
    *r = (struct reader){ 0 };
}

static int load(struct reader *r, uint64_t at, size_t n)
{
    if (n < READ_AHEAD_BYTES)
        n = READ_AHEAD_BYTES;
    if (n > r->cap) {
        uint8_t *data = realloc(r->data, n);
        if (data == NULL)
            return PEN_ENOMEM;
        r->data = data;
        r->cap = n;
    }
    r->bytes = 0;
    r->at = at;
    return vfs_read(r->file, at, r->data, n, &r->bytes);
}

int reader_get(struct reader *r, uint64_t at, size_t n, const uint8_t **ret_at, size_t *ret_bytes)
{
    bool there = at >= r->at && at + n <= r->at + r->bytes;
    int e = there ? 0 : load(r, at, n);
    if (e < 0)
        return e;
    size_t left = (size_t)(r->at + r->bytes - at);
    *ret_at = r->data + (at - r->at);
    *ret_bytes = left < n ? left : n;
    return 0;
}
