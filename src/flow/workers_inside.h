/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a worker endpoint, for workers*.c only.
 *
 *   workers.c       the endpoint: requests come in and are answered; its life
 *   workers_put.c   jobs in
 *   workers_take.c  jobs out
 *   workers_held.c  what becomes of jobs that are out
 *   workers_look.c  looking at queues, and mending them by hand
 *
 * A request is answered at once, or waits as a struct pending: for jobs, for room, or for its time to be over.
 *
 * Thread: the endpoint's loop.
 */
#ifndef FLOW_WORKERS_INSIDE_H
#define FLOW_WORKERS_INSIDE_H

#include "base/count.h"
#include "base/limits.h"
#include "base/list.h"
#include "flow/promises.h"
#include "flow/workers.h"
#include "loop/io.h"
#include "obs/log.h"
#include "proto/worker.h"

enum { WORKERS_QUEUES_MAX = 16 /* of one reserve */, WORKERS_WEIGHT_MAX = 1000 };

/* A queue, as this endpoint sees it. */
struct desk {
    struct workers *workers;
    struct jobq *queue;
    const struct conf_queue *conf;
    bool open; /* requests may name it; otherwise jobs are only redriven into it */
    struct jobq_taker *taker;
    struct jobq_putter *putter;
    struct list reserves;      /* of struct pending_at: who waits for its jobs */
    struct list puts;          /* of struct pending_at: who waits for its room */
    struct promises *receipts; /* NULL: its messages are not kept */
};

struct pending;

/* A place in a desk's line. */
struct pending_at {
    struct list node;
    struct pending *pending;
    struct desk *desk;
    uint32_t weight;
};

struct pending {
    struct workers *workers;
    struct list in_all;
    struct route route;
    struct worker_form form;
    struct pen_timer timer;
    /* reserve */
    uint32_t max;
    span_t lease; /* 0: each queue's own */
    uint64_t owner;
    /* put */
    struct job_put *puts;
    size_t puts_count;
    size_t count;
    struct pending_at at[];
};

struct workers {
    /* fixed after init */
    struct part part;
    struct workers_options options;
    const struct conf_workers *conf;
    struct desk *desks; /* all queues of the daemon */
    size_t desks_count;
    /* owner: loop */
    struct endpoint *endpoint;
    struct list pendings;
    uint64_t random;
    bool finishing, stopping;
    struct log_limit limit;
    /* atomic: counters of the loop */
    struct count put, reserved, settled, refused, malformed, late, returned, waiting;
};

/* A request in hand. */
struct ask {
    struct workers *workers;
    const struct frame *frame;
    struct worker_request request;
    char text[LIMIT_ERROR_TEXT_BYTES]; /* of a refusal; "": the error says enough */
};

/* ---- workers.c ---- */

/* The queue that the attributes name. PEN_ENOENT, with a text. */
int ask_desk(struct ask *ask, const struct batch_attrs *attrs, struct desk **ret_desk) MUST_CHECK;
struct desk *workers_desk(struct workers *w, const char *name);
/* Send an answer that was made; `made` below 0: it could not be, which is logged. */
void workers_send(struct workers *w, const struct route *route, int made, struct slice body) ON_LOOP;
void workers_refuse(struct workers *w, const struct route *route, const struct worker_form *form,
                    int error, const char *text) ON_LOOP;
/* End an answer and send it. False: it could not be made. */
bool workers_answer(struct workers *w, const struct route *route, struct worker_answer *answer)
    ON_LOOP;
/* The same when what was put at the desk is kept. */
void workers_answer_kept(struct desk *d, const struct route *route, const struct worker_form *form,
                         struct worker_answer *answer) ON_LOOP;
/* Whose leases a connection has. */
uint64_t workers_owner(const struct workers *w, const struct route *route);

/* A request that is to wait, at `count` desks; wait_ms INT64_MAX: without end. NULL: it was refused. */
struct pending *pending_new(struct ask *ask, size_t count, uint64_t wait_ms) ON_LOOP;
/* It is answered, or given up. */
void pending_free(struct pending *p) ON_LOOP;

/* ---- the operations; a negative error refuses the request ---- */

int workers_put(struct ask *ask) ON_LOOP MUST_CHECK;
int workers_reserve(struct ask *ask) ON_LOOP MUST_CHECK;
int workers_held(struct ask *ask) ON_LOOP MUST_CHECK; /* ack, nack, touch, progress, bury */
int workers_kick(struct ask *ask) ON_LOOP MUST_CHECK;
int workers_peek(struct ask *ask) ON_LOOP MUST_CHECK;
int workers_redrive(struct ask *ask) ON_LOOP MUST_CHECK;
int workers_result(struct ask *ask) ON_LOOP MUST_CHECK;
int workers_report(struct ask *ask) ON_LOOP MUST_CHECK;

/* ---- events ---- */

void workers_on_ready(struct jobq_taker *taker, void *desk);
void workers_on_room(struct jobq_putter *putter, void *desk);

static inline span_t span_of_ms(uint64_t ms)
{
    return (span_t){ ms < INT64_MAX / 1000000 ? (int64_t)ms * 1000000 : INT64_MAX };
}

/* An attribute as a text of its own. NULL when memory is out. */
char *text_copy(struct batch_text text);
static inline struct batch_text text_of(const char *text)
{
    return (struct batch_text){ text, (uint32_t)__builtin_strlen(text) };
}

#endif
