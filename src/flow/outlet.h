/* SPDX-License-Identifier: Apache-2.0
 *
 * The way out: consumers' results on their way to one endpoint. In the middle stands a bounded library queue of
 * batches; consumers put through a sink of their own, the endpoint's loop takes and sends. A full outlet makes the sink
 * wait, and the consumer stops taking.
 *
 *   consumer loop: sink_add, sink_flush --batch--> ( pen_queue ) --> outlet, on the endpoint's loop --> endpoint_send
 */
#ifndef FLOW_OUTLET_H
#define FLOW_OUTLET_H

#include <penstock/queue.h>

#include "base/count.h"
#include "base/roles.h"
#include "base/slice.h"
#include "conf/conf.h"
#include "net/endpoint.h"
#include "proto/batch.h"

/* One result. */
struct outlet_item {
    struct slice head, body;
    struct route *route; /* owned; NULL: not an answer */
};

struct outlet;

struct outlet_options {
    /* Results waiting, OUTLET_ITEM_BYTES each and their bytes; the batch that the endpoint has taken in part comes on top:
     * at most a quarter of this, or one result. */
    uint64_t bytes_max;
    enum conf_framing framing;
    const char *separator; /* raw framing: between topic and payload; borrowed */
    uint64_t stream;       /* 0, or what numbered results say that they are of */
    /* Frames are about to be sent for the first time, and may be changed; NULL: nothing is done then. On the loop. */
    void (*on_send)(struct parcel_frame *frames, size_t n, void *arg);
    /* After outlet_close(): everything was given to the endpoint, or dropped. On the loop. */
    void (*on_drained)(void *arg);
    void *arg;
};

enum { OUTLET_ITEM_BYTES = 64 };

/* PEN_ENOMEM. MAIN, before the loop runs. */
int outlet_new(const struct outlet_options *options, struct pen_loop *loop,
               struct outlet **ret_outlet) MUST_CHECK;
/* Where it sends to. Before the loop runs. */
void outlet_set_endpoint(struct outlet *outlet, struct endpoint *endpoint);
/* The endpoint has room again. */
void outlet_on_room(struct outlet *outlet) ON_LOOP;
/* Send what is there, then on_drained; immediate: drop it. Idempotent; may become immediate. */
void outlet_close(struct outlet *outlet, bool immediate) ON_LOOP;
/* After the loop has ended; sets to NULL, accepts NULL. */
void outlet_free(struct outlet **outlet);

enum conf_framing outlet_framing(const struct outlet *outlet) ANY_THREAD;
const char *outlet_separator(const struct outlet *outlet) ANY_THREAD;
/* 0: results get no numbers. Otherwise they are made to have room for them (batch_renumber(), json_message_number()). */
uint64_t outlet_stream(const struct outlet *outlet) ANY_THREAD;

struct outlet_stats {
    uint64_t waiting_bytes; /* now */
    uint64_t sent;          /* results given to the endpoint */
    uint64_t lost; /* results dropped by an immediate close, or answers that found it full */
};
void outlet_stats(struct outlet *outlet, struct outlet_stats *ret_stats) ANY_THREAD;

/* One answer from wherever a job ended, without waiting: what finds the outlet full is counted as lost. The slice is
 * taken. */
void outlet_answer(struct outlet *outlet, const struct route *route, struct slice body) ANY_THREAD;

/* ---- a consumer's side ---- */

struct sink;

/* on_room: after sink_flush() has returned false, it is worth flushing again. On the consumer's loop or before it
 * runs. PEN_ENOMEM. */
int sink_new(struct outlet *outlet, struct pen_loop *loop, void (*on_room)(void *arg), void *arg,
             struct sink **ret_sink) MUST_CHECK;

struct outlet *sink_outlet(const struct sink *sink);

/* Add a result to the batch in the making; its slices and route are the sink's on 0. PEN_ETOOBIG: it alone exceeds the
 * outlet's bound. PEN_ENOMEM. */
int sink_add(struct sink *sink, const struct outlet_item *item) ON_LOOP MUST_CHECK;

/* Batch framing: the same as one record; body is its payload, and the sink's on 0. head is for frames that are begun with
 * it, and says the same each time. Not mixed with sink_add(). */
int sink_add_record(struct sink *sink, const struct batch_head *head,
                    const struct batch_record *record, struct slice *body) ON_LOOP MUST_CHECK;

/* True when nothing is left here: all of it is in the outlet or, when that is closed, was dropped and counted as lost.
 * False: the outlet is full. */
bool sink_flush(struct sink *sink) ON_LOOP MUST_CHECK;

void sink_close(struct sink **sink) ON_LOOP;

#endif
