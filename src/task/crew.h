/* SPDX-License-Identifier: Apache-2.0
 *
 * A crew: supervised worker processes on one loop, each with one request in its hands at a time. The exec
 * handler and pen_isopool both stand on it.
 *
 * A crew holds no queue: whoever submits looks at crew_room() first. Each request ends exactly once.
 *
 * Thread: the loop for everything here, unless it says otherwise. SIGPIPE is blocked in its thread; SIGCHLD must
 * not be ignored by the process (plat/proc.h).
 */
#ifndef TASK_CREW_H
#define TASK_CREW_H

#include <penstock/isopool.h>

#include "base/count.h"
#include "task/worker.h"

/* One request in a crew's hands; embedded in the submitter's object. */
struct crew_request {
    /* set by the submitter, fixed while in hand */
    const void *data;
    uint32_t bytes;
    /* owner: the crew's loop */
    struct list node;
    struct worker *worker; /* that has it in hand; NULL: none has */
    unsigned untaken;      /* processes that were lost before they had read a byte of it */
};

struct crew_options {
    const char *const *argv;       /* outlives the crew; NULL: fn */
    pen_iso_fn fn;                 /* runs in children of the fork server (plat/forkserver.h) */
    enum worker_protocol protocol; /* fn: frames */
    span_t timeout, backoff_max;
    size_t answer_max; /* bytes; fn: with the WORKER_FN_STATUS_BYTES that come first */
    uint64_t jobs_max; /* requests per process; 0: no limit */
    struct proc_limits limits;
    bool keep_stderr; /* share our standard error */
};

/* What a crew tells. Every call but the first two comes between enter and leave, or from within a call of the crew. */
struct crew_events {
    /* Around all that the crew does in a callback of its own. leave may free the crew. */
    void (*enter)(void *arg);
    void (*leave)(void *arg);
    /* The request's end; both may call crew_submit() and crew_close(). The answer is borrowed for the call, and so is the
     * reason, a text of at most LIMIT_ERROR_TEXT_BYTES. */
    void (*on_answer)(struct crew_request *request, const uint8_t *data, size_t bytes, void *arg);
    /* PEN_ECRASHED, PEN_EEXITED, PEN_ETIMEOUT, PEN_EMALFORMED, PEN_ECANCELED, PEN_ENOMEM. */
    void (*on_fail)(struct crew_request *request, int error, const char *reason, void *arg);
    /* A line of a worker's standard error; not with keep_stderr. */
    void (*on_line)(const struct worker *worker, const char *line, size_t bytes, void *arg);
    /* A process has ended; on_line has had all of its lines. May be NULL. */
    void (*on_end)(const struct worker *worker, void *arg);
    /* What an operator may want to know: why a process was killed or cannot be started. May be NULL. On the
     * thread that called crew_new() as well. */
    void (*on_trouble)(const char *text, void *arg);
};

/* Of processes. Written by the loop, read by any thread. */
struct crew_counts {
    struct count started;             /* restarts included */
    struct count crashed;             /* ended by themselves, by a signal or an exit */
    struct count timeouts, malformed; /* killed for it */
    struct count idle, down;          /* now */
};

struct crew {
    /* fixed after init */
    struct pen_loop *loop;
    struct crew_options options;
    const struct crew_events *events;
    void *arg;
    /* owner: loop */
    struct list idle; /* of struct worker */
    unsigned idle_count, down_count;
    struct list waiting; /* of struct crew_request: those that a lost process had not taken */
    unsigned waiting_count;
    bool closing;
    uint64_t jitter; /* state of the generator */
    /* atomic: written by the loop */
    struct crew_counts counts;
    unsigned count; /* fixed after init */
    struct worker workers[];
};

struct crew_making {
    struct pen_loop *loop;
    unsigned count;
    const struct crew_options *options; /* copied */
    const struct crew_events *events;   /* outlive the crew */
    void *arg;
};

/* Make a crew and start the first process, so that a program that cannot be started is told at once, by
 * PEN_ESPAWN and, with the cause, on_trouble. PEN_ENOMEM. Any thread. */
int crew_new(const struct crew_making *making, struct crew **ret_crew) MUST_CHECK;

/* Go to work: the first process is watched, the others are started. PEN_ESPAWN, PEN_ENOMEM: not all are there; those that
 * are missing are not tried again before crew_retry(). */
int crew_start(struct crew *c) MUST_CHECK;
void crew_retry(struct crew *c);

/* How many requests it takes now. */
static inline unsigned crew_room(const struct crew *c)
{
    return c->idle_count > c->waiting_count ? c->idle_count - c->waiting_count : 0;
}

/* PEN_EHANDLER, with a reason that is a static text, for a request that the protocol cannot carry. */
static inline int crew_check(const struct crew *c, const void *data, size_t bytes,
                             const char **ret_reason)
{
    return worker_request_check(c->options.protocol, data, bytes, ret_reason);
}

/* Hand over a request that crew_check() has passed; there is room for it. */
void crew_submit(struct crew *c, struct crew_request *request) ON_LOOP;

/* End a request in the crew's hands with PEN_ECANCELED, and the process that has it. */
void crew_cancel(struct crew *c, struct crew_request *request, const char *reason) ON_LOOP;

/* End: graceful lets what is in hand finish; immediate fails it with PEN_ECANCELED at once and kills the processes.
 * Idempotent; graceful may become immediate. The end is there when crew_ended() is true in a leave. */
void crew_close(struct crew *c, bool immediate, const char *reason) ON_LOOP;

static inline bool crew_ended(const struct crew *c)
{
    return c->down_count == c->count && c->closing;
}

/* Kill what runs, and wait for its end. Requests in hand are failed with the error. */
void crew_kill(struct crew *c, int error, const char *reason);

/* After the end, crew_kill(), or before any request. Kills what runs; sets to NULL, accepts NULL. */
void crew_free(struct crew **crew);

/* ---- for worker.c ---- */

/* Every callback's first and last call; nothing may be touched after the last. */
void crew_enter(struct crew *c) ASSERTS_ON_LOOP;
void crew_leave(struct crew *c) ON_LOOP;

/* The request is back from a process that had not taken it. */
void crew_take_back(struct crew *c, struct crew_request *request);

/* A new span of time to wait before a worker is started again. */
span_t crew_jittered(struct crew *c, span_t pause);

/* There is, or may be, work for one more process. */
static inline bool crew_needs_workers(const struct crew *c)
{
    return !c->closing || c->waiting_count > 0;
}

#endif
