/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that wait to be written to one peer: a ring that grows, and gives its memory back when it
 * was large and is empty. And how they are put together for one system call.
 *
 * Thread: the endpoint's loop.
 */
#ifndef NET_SP_QUEUE_H
#define NET_SP_QUEUE_H

#include <sys/uio.h>

#include "base/slice.h"
#include "net/endpoint.h"
#include "proto/sp.h"

struct sp_out {
    struct slice head, body;
    uint8_t stack[15]; /* of an answer, when it is short; stands before head and body */
    uint8_t stack_bytes;
};

struct sp_queue {
    struct sp_out *at;
    uint32_t cap, first, count; /* cap is a power of two, or 0 */
    size_t bytes;               /* payload, and SP_OUT_BYTES for each message */
    size_t *total;              /* bytes of this and other queues together */
};

/* What a message counts beyond its payload: what it costs to hold one. */
enum { SP_OUT_BYTES = sizeof(struct sp_out) };
_Static_assert(SP_OUT_BYTES == 64 || sizeof(void *) != 8, "as options.def says it");

static inline struct sp_out *sp_queue_at(const struct sp_queue *q, uint32_t i)
{
    return &q->at[(q->first + i) & (q->cap - 1)];
}

static inline size_t sp_out_payload(const struct sp_out *o)
{
    return (size_t)o->stack_bytes + o->head.bytes + o->body.bytes;
}

/* The slices are the queue's on success. PEN_ENOMEM. */
int sp_queue_push(struct sp_queue *q, const struct sp_out *out) MUST_CHECK;
/* Take the oldest out of the queue; the slices are the caller's. The queue is not empty. */
struct sp_out sp_queue_take(struct sp_queue *q);
/* Drop the oldest, or when it has been begun and must be finished, the second; false when there is none
 * to drop. */
bool sp_queue_drop_oldest(struct sp_queue *q, bool begun);
void sp_queue_clear(struct sp_queue *q);

/* ---- for one system call ---- */

enum { SP_GATHER_PIECES = 256, SP_GATHER_COPY_BYTES = 512, SP_GATHER_SCRATCH_BYTES = 64 * 1024 };

/* Small pieces are copied next to each other, because a piece of its own costs the kernel more than the copy. */
struct sp_gather {
    struct iovec pieces[SP_GATHER_PIECES];
    int first, count;
    size_t scratch_used;
    size_t bytes; /* of all pieces */
    uint8_t scratch[SP_GATHER_SCRATCH_BYTES];
};

/* As many messages from the front as fit, without the first `begun` bytes of them. */
void sp_gather_fill(struct sp_gather *g, const struct sp_queue *q, enum sp_carrier carrier,
                    size_t begun);

/* `written` bytes more have left: messages that are complete go. Returns how many bytes of the first one that
 * stays have left. */
size_t sp_queue_written(struct sp_queue *q, enum sp_carrier carrier, size_t written);

#endif
