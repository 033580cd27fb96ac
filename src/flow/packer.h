/* SPDX-License-Identifier: Apache-2.0
 *
 * Results on their way out in batch framing: records are written into one frame until it is full or is taken. Frames lie one
 * behind the other in shared buffers; a large payload is not copied but ends its frame.
 *
 * Thread: the owner's.
 */
#ifndef FLOW_PACKER_H
#define FLOW_PACKER_H

#include "base/slice.h"
#include "net/chunk.h"
#include "proto/batch.h"

enum { PACKER_BYTES_MIN = 16 * 1024, PACKER_BYTES_MAX = 64 * 1024 };

struct packer {
    size_t frame_max; /* bytes, PACKER_BYTES_MIN to PACKER_BYTES_MAX; fixed after init */
    struct chunk *chunk;
    struct batch_writer writer;   /* at the chunk's end; count 0: no frame is begun */
    struct slice_releaser copied; /* payloads that are in the frame: one atomic for many */
    struct slice last;            /* the payload of the last record, when it was not copied */
};

void packer_init(struct packer *p, size_t frame_max);
void packer_fini(struct packer *p);

/* Add a record; head is for the frame, should it be begun with this one. body is the record's payload, and the packer's on 0.
 * PEN_EFULL: the frame must be taken first. PEN_ENOMEM, PEN_EINVAL (an attribute): nothing is changed. */
int packer_add(struct packer *p, const struct batch_head *head, const struct batch_record *record,
               struct slice *body) MUST_CHECK;

bool packer_is_empty(const struct packer *p);
/* The frame, which is not empty: all of it, or with the payload that ends it. */
void packer_take(struct packer *p, struct slice *ret_frame, struct slice *ret_last);

#endif
