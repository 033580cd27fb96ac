/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a whole log, from its oldest segment on, with memory for one frame: for recovery, `penstock fsck` and
 * `penstock dump`. Changes nothing. Blocks.
 */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "store/segment.h"
#include "store/store.h"

struct scan_segment {
    struct segment_header header;
    struct vfs_file *file; /* the scan's, unless it was taken */
    uint64_t end;          /* behind the last frame that counts; FORMAT_PAGE_BYTES: there is none */
    uint64_t base_seq;     /* of its first frame; 0: none is there */
    uint64_t torn_bytes;   /* behind `end`: a commit that was not finished; 0: none */
};

/* Each may be NULL; one that returns not 0 ends the scan with that. */
struct scan_visitor {
    int (*frame)(void *arg, const struct scan_segment *g, const struct frame_head *head, uint64_t at);
    int (*record)(void *arg, const struct scan_segment *g, const struct record *r, uint64_t at);
    int (*damage)(void *arg, const struct store_damage *damage);
    /* A segment is done; bytes of all of them together. */
    int (*segment)(void *arg, const struct scan_segment *g, uint64_t done_bytes, uint64_t all_bytes);
    void *arg;
};

struct scan {
    struct scan_segment *segments; /* rising numbers; after scan_run() those with frames, then those without */
    size_t count;
    char (*damaged_names)[SEGMENT_NAME_BYTES]; /* files with a number whose header says nothing */
    size_t damaged_count;
    uint64_t last_seq;       /* the last frame that counts; 0: none */
    uint64_t last_id;        /* the highest id of a job ever put, as far as can be told */
    uint64_t last_record;    /* the highest sequence of a record */
    uint64_t highest_number; /* of any segment, damaged ones too */
    bool closed;             /* the last frame is that of an orderly end */
    bool has_temp;
};

/* Find and open all segments of a folder; `how`: VFS_READ or VFS_WRITE. PEN_EFORMAT, PEN_ENOMEM, a negated errno. */
int scan_open(struct vfs_dir *dir, enum vfs_open how, struct scan *ret_scan) MUST_CHECK;
/* PEN_ENOMEM, a negated errno, what the visitor returned. */
int scan_run(struct scan *s, const struct scan_visitor *visitor) MUST_CHECK;
/* Closes what was not taken. */
void scan_fini(struct scan *s);

#endif
