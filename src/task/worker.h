/* SPDX-License-Identifier: Apache-2.0
 *
 * One supervised worker process of a crew (task/crew.h). For crew.c only.
 *
 * Thread: the crew's loop.
 */
#ifndef TASK_WORKER_H
#define TASK_WORKER_H

#include <penstock/loop.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/roles.h"
#include "base/units.h"
#include "loop/io.h"
#include "plat/proc.h"
#include "task/worker_lines.h"
#include "task/worker_proto.h"

enum worker_state {
    WORKER_DOWN, /* no process; it is started again when the timer says so */
    WORKER_IDLE, /* runs, nothing in hand */
    WORKER_BUSY, /* one request in hand; the timer is its time-out */
    WORKER_LEAVING, /* it closed a pipe, so it is about to end, perhaps with the request in hand; grace */
    WORKER_CLOSING,     /* we closed its input: it is to end by itself; grace */
    WORKER_TERMINATING, /* SIGTERM was sent; grace */
    WORKER_DYING,       /* SIGKILL was sent */
    WORKER_STATES
};

struct crew;
struct crew_request;

struct worker {
    struct crew *crew; /* fixed after init */
    unsigned index;    /* fixed after init: in the crew */
    /* owner: loop */
    enum worker_state state;
    struct list idle_node;
    struct proc proc;
    struct io io_end, io_in, io_out, io_err;
    struct pen_timer timer;
    span_t pause;                 /* before the next start; doubles */
    struct crew_request *request; /* BUSY, perhaps LEAVING; NULL otherwise */
    size_t sent_bytes;            /* of the request */
    uint64_t answered;            /* by this process */
    bool in_closed;               /* it has closed its standard input */
    bool blameless;               /* we end it for no fault of its own: no pause */
    struct buf buf;               /* of the answer, as far as it has come */
    struct worker_answer answer;
    struct worker_lines lines; /* of its standard error */
};

void worker_init(struct worker *w, struct crew *crew, unsigned index);
/* Start a process; telling why when it cannot be. PEN_ESPAWN. Any thread, while nobody else has the worker. */
int worker_spawn(struct worker *w) MUST_CHECK;
/* DOWN, with a process, to IDLE; or the process is killed. PEN_ENOMEM. */
int worker_watch(struct worker *w) MUST_CHECK;
/* An IDLE one gets a request that worker_request_check() has passed. */
void worker_give(struct worker *w, struct crew_request *request);
/* Kill the process for its request's sake, which fails. */
void worker_cancel(struct worker *w, const char *reason);
/* Without a process: try to start one when the pause is over. */
void worker_start_later(struct worker *w);
/* Towards DOWN, for good: see crew_close(). May come several times. */
void worker_close(struct worker *w, bool immediate);
/* Kill it and wait for its end, if it is there; a request in its hands is the caller's again. */
void worker_fini(struct worker *w);

#endif
