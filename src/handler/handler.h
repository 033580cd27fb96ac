/* SPDX-License-Identifier: Apache-2.0
 *
 * The work. A handler belongs to one consumer thread's loop; it is given messages and ends each of
 * them exactly once. Kinds: builtin.c (C functions), exec.c (co-processes).
 *
 * Thread: the consumer's loop for everything here. SIGPIPE must be ignored by the process, or
 * blocked in the loop's thread; SIGCHLD must not be ignored (plat/proc.h).
 */
#ifndef HANDLER_HANDLER_H
#define HANDLER_HANDLER_H

#include <penstock/loop.h>

#include "base/list.h"
#include "base/roles.h"
#include "base/slice.h"
#include "conf/conf.h"
#include "task/crew.h"

/* One message in a handler's hands; embedded in the consumer's object. */
struct work {
    /* set by the consumer, fixed while in hand */
    struct slice body; /* borrowed: valid until on_done */
    uint64_t id;
    /* the handler's while in hand */
    struct crew_request request; /* its node is every kind's own */
    mono_t started;              /* when it was handed over */
};

struct handler;

struct handler_events {
    /* The work ended; called exactly once per work, also from within handler_submit() and
     * handler_close(). error 0: result is the receiver's to release. Otherwise a PEN_E... with
     * reason, a text of at most LIMIT_ERROR_TEXT_BYTES that is borrowed for the call; result is
     * empty. May call handler_submit() and handler_close(). */
    void (*on_done)(struct work *work, int error, struct slice result, const char *reason, void *arg);
    /* handler_room() was 0 and is not any more, or has become less by itself, as when a co-process
     * dies: what is on its way must not exceed it. Never from within handler_submit(). */
    void (*on_room)(void *arg);
    /* handler_close() has ended: nothing is in hand, nothing will be called. May be called from
     * within handler_close(), but never from within on_done() or on_room(). May call
     * handler_free(). */
    void (*on_closed)(void *arg);
};

struct handler_stats {
    uint64_t done, failed; /* works ended, by outcome */
    uint64_t started;      /* co-processes, restarts included */
    uint64_t crashed;      /* co-processes that ended by themselves, by a signal or an exit */
    uint64_t timeouts, malformed; /* co-processes that were killed for it */
};

struct handler_options {
    const struct conf_handler *conf; /* outlives the handler */
    struct pen_loop *loop;
    const char *name;                    /* "consumer work/0", for the log; copied */
    const struct handler_events *events; /* copied */
    void *arg;                           /* of the events */
};

/* Start the handler of one consumer thread. For exec: starts the co-processes at once, so that a
 * program that cannot be started is told at boot, by PEN_ESPAWN and, with the cause, in the log.
 * PEN_ENOMEM, negated errno. On the loop's thread or before it runs. */
int handler_open(const struct handler_options *options, struct handler **ret_handler) MUST_CHECK;

/* How many more works it takes now. A builtin that computes takes one batch (LIMIT_BATCH_ITEMS)
 * at any time; a handler whose programs are all down, in backoff, has room 0. */
unsigned handler_room(const struct handler *handler) ON_LOOP;

/* Hand over n works, at most handler_room(). */
void handler_submit(struct handler *handler, struct work **works, size_t n) ON_LOOP;

/* End: graceful lets what is in hand finish; immediate fails it with PEN_ECANCELED at once and
 * kills co-processes. Asynchronous, idempotent; graceful may become immediate; on_closed tells
 * the end. */
void handler_close(struct handler *handler, bool immediate) ON_LOOP;

/* After on_closed, or, at a boot that fails, when it was never closed and has nothing in hand:
 * then co-processes are killed and waited for. Sets to NULL, accepts NULL. */
void handler_free(struct handler **handler);

/* Counters. Any thread. */
void handler_stats(const struct handler *handler, struct handler_stats *ret_stats) ANY_THREAD;

#endif
