/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment's file: its name, its header, how it is made and how it is read. All calls block.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "plat/vfs.h"
#include "store/format.h"

enum { SEGMENT_NAME_BYTES = 32 };

/* What is being made has this name until it is whole. */
#define SEGMENT_TEMP "next.tmp"

struct segment {
    struct segment_header header;
    struct vfs_file *file;
    uint64_t end;      /* where the next frame goes */
    uint64_t base_seq; /* its first frame; 0: it has none */

    /* of its puts */
    uint64_t live_jobs, live_bytes;
    int64_t dedupe_ns; /* no dedupe id in it is remembered for longer */

    uint32_t readers; /* it must not go now */

    /* while it is emptied */
    uint64_t scanned;    /* all before this is copied or needs no copy */
    uint64_t copied_seq; /* the frame that has the last of its copies */
};

char *segment_name(uint64_t number, char name[SEGMENT_NAME_BYTES]);
/* The number of a segment with this name; 0: it is none. */
uint64_t segment_number(const char *name);

/* The header of an open file. PEN_EDAMAGED: neither copy is whole or of this number; PEN_EFORMAT; a negated errno. */
int segment_read_header(struct vfs_file *file, uint64_t number, struct segment_header *ret_header)
    MUST_CHECK;

/* A fresh segment of this header: out of the file of an old one, whose name is durably gone before the file is touched, or
 * out of a new one when *old is NULL. Durable, with its name, when it returns 0. *old becomes NULL as soon as it
 * has lost its name; after a failure it is either that, or as it was. What a failure leaves is called SEGMENT_TEMP.
 * *ret_dir_failed: the folder could not be synced, so nobody knows which names there are. */
int segment_make(struct vfs_dir *dir, struct segment **old, const struct segment_header *header,
                 struct segment **ret_segment, bool *ret_dir_failed) MUST_CHECK;

/* Durably gone; segment_free() is still to be called. */
int segment_remove(struct vfs_dir *dir, struct segment *g) MUST_CHECK;

/* Closes it; sets to NULL, accepts NULL. */
void segment_free(struct segment **segment);

/* ---- reading ---- */

/* A window on a file, read ahead. */
struct reader {
    struct vfs_file *file;
    uint64_t at;
    size_t bytes, cap;
    uint8_t *data;
};

/* The n bytes at `at`, or fewer at the file's end; valid until the next call. PEN_ENOMEM, a negated errno. */
int reader_get(struct reader *r, uint64_t at, size_t n, const uint8_t **ret_at, size_t *ret_bytes)
    MUST_CHECK;
/* Look at another file. */
void reader_set(struct reader *r, struct vfs_file *file);
void reader_fini(struct reader *r);

#endif
