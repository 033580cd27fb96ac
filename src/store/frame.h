/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame while it is collected: records are copied behind each other, and a checksum is made only when it is sealed, by
 * the thread that writes it. Not locked: its owner is.
 */
#ifndef STORE_FRAME_H
#define STORE_FRAME_H

#include "store/format.h"

struct frame {
    uint8_t *data;  /* room for the head, then records */
    uint32_t max;   /* bytes of records that there is memory for */
    uint32_t limit; /* bytes of records that fit where it is to be written, at most max */
    uint32_t bytes, records;
    uint32_t ack_at;         /* where the last record is, if it is an ack; else 0 */
    uint64_t seq;            /* 0: it has none yet */
    struct segment *segment; /* where it is to be written; NULL: not known yet, and no put can be taken */
    uint64_t at;

    /* when it is taken to be written */
    struct frame_head head;
    uint64_t first_record;
};

/* PEN_ENOMEM. */
int frame_init(struct frame *f, uint32_t max) MUST_CHECK;
void frame_fini(struct frame *f);
/* Empty, and not placed. */
void frame_reset(struct frame *f);

static inline uint32_t frame_room(const struct frame *f)
{
    return f->limit - f->bytes;
}

/* What it takes in its segment. */
static inline uint32_t frame_size(const struct frame *f)
{
    return FORMAT_FRAME_BYTES + f->bytes;
}

/* Where a record that is added now will begin, from the frame's beginning. */
static inline uint32_t frame_next(const struct frame *f)
{
    return frame_size(f);
}

/* Each adds a record; false: there is no room, and nothing has changed. */
bool frame_add_job(struct frame *f, const struct store_job *job) MUST_CHECK;
bool frame_add_ack(struct frame *f, uint64_t id) MUST_CHECK;
bool frame_add_state(struct frame *f, uint64_t id, const struct store_state *state) MUST_CHECK;
bool frame_add_dedupe(struct frame *f, const struct store_job *job) MUST_CHECK;

/* Checksums, sequences and the head: the frame's bytes are complete. */
void frame_seal(struct frame *f);

#endif
