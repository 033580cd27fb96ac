/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's job queue: the broker's state (broker/queue.h) behind one lock, with threads and loops waiting on it
 * in order (sync/waiters.h). One lock hold per batch; no thread of its own, because an extra hop costs a
 * wake-up. The contract is that of <penstock/queue.h>, with settling in place of task_done.
 *
 * What happens by itself (delays end, leases are lost, jobs expire) happens on MAIN, by a timer that is armed for the next
 * of it: never on a loop that runs handlers.
 */
#ifndef FLOW_JOBQ_H
#define FLOW_JOBQ_H

#include <penstock/loop.h>
#include <penstock/queue.h>

#include "base/roles.h"
#include "base/units.h"
#include "broker/queue.h"
#include "broker/results.h"

struct jobq;
struct durable;

/* On MAIN. */
struct jobq_news {
    /* Something waits for jobq_take_dying(). Without it no job dies: options->limits.dead_letters must be false. */
    void (*on_dying)(struct jobq *q, void *arg);
    /* It is shut down and holds nothing any more, and all drops are told. Once. */
    void (*on_ended)(struct jobq *q, void *arg);
    void *arg;
};

struct jobq_options {
    const char *name; /* copied */
    struct broker_limits limits;
    uint64_t seed;           /* see struct broker_options */
    struct durable *durable; /* keeps its jobs (flow/durable.h), and outlives its use; NULL: none does */
    struct results_limits results; /* age_max 0: no results are kept */
    struct pen_loop *main; /* keeps the time; NULL: whoever calls jobq_tick() does, and there are no news */
    struct jobq_news news;
    /* Dropped jobs (1 to LIMIT_BATCH_ITEMS, in order of their drop), on the thread whose call dropped them, before
     * that call returns, and outside the lock: body and ext are the callee's. NULL: they are only released. */
    void (*on_dropped)(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg);
    void *arg;
};

/* PEN_EINVAL, PEN_ENOMEM. MAIN, before its loop runs. */
int jobq_new(const struct jobq_options *options, struct jobq **ret_queue) MUST_CHECK;
/* When nobody uses it any more; what is held is released. Sets to NULL, accepts NULL. MAIN. */
void jobq_free(struct jobq **queue);

const char *jobq_name(const struct jobq *q) ANY_THREAD;

/* ---- in ---- */

/* Put n jobs, waiting until the deadline for room where the policy is to block, behind those who wait already.
 * *ret_decided: how many have a ret_status, on failure too. PEN_ESHUTDOWN, PEN_EFULL (PEN_NOW, and there is no room
 * or it is another one's turn), PEN_ETIMEOUT. Any thread; may block. */
int jobq_put(struct jobq *q, struct job_put *jobs, size_t n, mono_t deadline, size_t *ret_decided)
    MUST_CHECK;

/* ---- out ---- */

/* Take 1 to max jobs. PEN_ESHUTDOWN (and nothing will be ready any more), PEN_EEMPTY (PEN_NOW), PEN_ETIMEOUT,
 * PEN_EINVAL (max 0). Any thread; may block. */
int jobq_take(struct jobq *q, struct job *ret_jobs, size_t max, mono_t deadline, size_t *ret_taken)
    MUST_CHECK;

/* End n attempts; what comes back in ret_body and ret_ext is the caller's. *ret_settled (may be NULL): how many were.
 * PEN_ETOOMANY, PEN_ELEASE: see broker_settle(). */
int jobq_settle(struct jobq *q, struct job_settle *jobs, size_t n, size_t *ret_settled)
    ANY_THREAD MUST_CHECK;

/* See broker_touch() and broker_progress(); text NULL: only the lease. */
int jobq_touch(struct jobq *q, const struct job *held, span_t lease, const char *text)
    ANY_THREAD MUST_CHECK;
uint32_t jobq_owner_gone(struct jobq *q, uint64_t owner) ANY_THREAD;

/* See broker_take_dying(). */
size_t jobq_take_dying(struct jobq *q, struct job *ret_jobs, size_t max) ANY_THREAD;

/* ---- results ---- */

bool jobq_keeps_results(const struct jobq *q) ANY_THREAD;
/* Keep what became of a job, as far as there is room. The body is borrowed. */
void jobq_keep_result(struct jobq *q, uint64_t id, const struct result *result) ANY_THREAD;
/* The body is the caller's. PEN_ENOENT. */
int jobq_result(struct jobq *q, uint64_t id, struct result *ret_result) ANY_THREAD MUST_CHECK;

/* ---- what is kept ---- */

/* What "accepted" means, in the order of the protocol's levels. */
enum jobq_level { JOBQ_MEMORY, JOBQ_WRITTEN, JOBQ_SYNCED };
bool jobq_is_durable(const struct jobq *q) ANY_THREAD;
enum jobq_level jobq_level(const struct jobq *q) ANY_THREAD;
const char *jobq_level_word(const struct jobq *q) ANY_THREAD;

/* All that was put up to this ticket is kept, at the queue's level; or, with an error, nothing after it will be. */
struct jobq_promise {
    uint64_t ticket;
    int error;
};
/* The store's news. The DISK thread. */
void jobq_promised(struct jobq *q, const struct jobq_promise *promise) ANY_THREAD;

/* The ticket of all that was put until now; 0: nothing needs to be waited for. */
uint64_t jobq_ticket(struct jobq *q) ANY_THREAD;

/* A loop that waits for promises. */
struct jobq_watcher;
struct jobq_watch_options {
    void (*on_promise)(struct jobq_watcher *watcher, const struct jobq_promise *promise, void *arg);
    void *arg;
};
/* PEN_ENOMEM. On the loop's thread or before it runs. */
int jobq_watch(struct jobq *q, struct pen_loop *loop, const struct jobq_watch_options *options,
               struct jobq_watcher **ret_watcher) MUST_CHECK;
/* on_promise comes once, when this ticket is decided; a later call counts instead of one before. */
void jobq_watcher_await(struct jobq_watcher *watcher, uint64_t ticket) ON_LOOP;
/* No event comes after this; sets to NULL, accepts NULL. */
void jobq_watcher_close(struct jobq_watcher **watcher);

/* From a store, in the order of ids, before the first put: see broker_restore(), broker_restore_dedupe(); at the end, the
 * highest id ever given. */
int jobq_restore(struct jobq *q, const struct job_restore *job) MUST_CHECK;
int jobq_restore_dedupe(struct jobq *q, const char *dedupe, uint64_t id, mono_t put_at) MUST_CHECK;
void jobq_restored(struct jobq *q, uint64_t last_id);
/* The store is about to be closed: nobody puts any more. */
void jobq_store_closes(struct jobq *q);

/* ---- the whole queue ---- */

/* Wait until nothing is held and everything that was dropped is told. PEN_ETIMEOUT. Any thread; may block. */
int jobq_join(struct jobq *q, mono_t deadline) MUST_CHECK;

void jobq_shutdown(struct jobq *q, enum pen_shutdown mode) ANY_THREAD;
void jobq_pause(struct jobq *q) ANY_THREAD;
void jobq_resume(struct jobq *q) ANY_THREAD;
uint64_t jobq_purge(struct jobq *q) ANY_THREAD;
size_t jobq_kick(struct jobq *q, size_t n) ANY_THREAD;
void jobq_set_servers(struct jobq *q, uint32_t servers) ANY_THREAD;
/* Let happen what is due at `now`; returns when to call again. For queues without a MAIN. */
mono_t jobq_tick(struct jobq *q, mono_t now) ANY_THREAD;

struct jobq_stats {
    struct broker_ledger ledger;
    struct results_stats results;
    bool shut, paused, ledger_holds;
    bool ended;      /* shut down, and nothing is held or to be told any more */
    uint64_t alarms; /* how often the ledger began not to hold */
    uint64_t putters_waiting, getters_waiting, joiners_waiting; /* in line now, threads and loops */
    uint64_t put_waits, get_waits; /* times that one of them had to wait */
    uint64_t put_wakes, get_wakes; /* times that one of them was woken, in vain as well */
};
void jobq_stats(struct jobq *q, struct jobq_stats *ret_stats) ANY_THREAD;
/* How long a job would wait that has so many before it; negative: unknown. */
span_t jobq_eta(struct jobq *q, uint64_t position) ANY_THREAD;

/* ---- looking ---- */

/* A held job as it was: body and ext are copies, the holder's, ended with jobq_look_fini(). */
struct jobq_look {
    struct job_view view; /* its instants are on the clock of `now` */
    mono_t now;
    struct job_ext *ext;
};
void jobq_look_fini(struct jobq_look *look);

/* PEN_ENOENT, PEN_ENOMEM. */
int jobq_find(struct jobq *q, uint64_t id, struct jobq_look *ret_look) ANY_THREAD MUST_CHECK;
/* Up to max jobs of that state, in no order but that for one alone it is the next to leave the state. The number of them;
 * PEN_ENOMEM. */
int jobq_list(struct jobq *q, enum job_state state, struct jobq_look *ret_looks, size_t max)
    ANY_THREAD MUST_CHECK;

/* ---- a loop that takes ---- */

struct jobq_getter;

struct jobq_getter_options {
    /* 1 to LIMIT_BATCH_ITEMS jobs, at most what was wanted, once per turn. */
    void (*on_jobs)(struct jobq_getter *getter, const struct job *jobs, size_t n, void *arg);
    /* Shut down and nothing will be ready any more: the last event. */
    void (*on_shutdown)(struct jobq_getter *getter, void *arg);
    void *arg;
};

/* Attach; nothing comes before jobq_getter_want(). On the loop's thread or before it runs. PEN_ENOMEM, PEN_EINVAL,
 * PEN_EWRONGTHREAD. */
int jobq_attach(struct jobq *q, struct pen_loop *loop, const struct jobq_getter_options *options,
                struct jobq_getter **ret_getter) MUST_CHECK;

/* How many jobs may come from now on; each that comes is taken off. 0 pauses, and a wake that was under way goes to the
 * next waiter at once. The shutdown event comes only while something is wanted. */
void jobq_getter_want(struct jobq_getter *getter, uint32_t n) ON_LOOP;

/* Detach: no event comes after this; sets to NULL, accepts NULL. On the loop's thread, or when it has ended. */
void jobq_getter_close(struct jobq_getter **getter);

/* ---- a loop that takes for others, with leases ---- */

struct jobq_taker;

struct jobq_taker_options {
    /* After jobq_taker_wait(): something is ready, or nothing will be any more. It is this taker's turn until it takes,
     * waits again or passes. */
    void (*on_ready)(struct jobq_taker *taker, void *arg);
    void *arg;
};

/* As jobq_attach(). */
int jobq_attach_taker(struct jobq *q, struct pen_loop *loop, const struct jobq_taker_options *options,
                      struct jobq_taker **ret_taker) MUST_CHECK;
/* Take what is ready now; 0: nothing is. PEN_ESHUTDOWN: nor will be. PEN_ENOMEM. A turn is over with this. */
int jobq_taker_take(struct jobq_taker *taker, const struct job_take *how, struct job *ret_jobs)
    ON_LOOP MUST_CHECK;
/* Stand in line for on_ready. Idempotent. */
void jobq_taker_wait(struct jobq_taker *taker) ON_LOOP;
/* Leave the line, and let the next one have the turn. */
void jobq_taker_pass(struct jobq_taker *taker) ON_LOOP;
void jobq_taker_close(struct jobq_taker **taker);

/* ---- a loop that puts ---- */

struct jobq_putter;

struct jobq_putter_options {
    bool patient; /* waits while the store of a durable queue is frozen or has failed, instead of being refused */
    /* After a short put: there is room again, or the queue is shut down. From here on it is this putter's turn and nobody
     * else's, until it puts (n 0: nothing, after all) or closes; not necessarily from within the event. */
    void (*on_room)(struct jobq_putter *putter, void *arg);
    void *arg;
};

/* As jobq_attach(). */
int jobq_attach_putter(struct jobq *q, struct pen_loop *loop,
                       const struct jobq_putter_options *options, struct jobq_putter **ret_putter)
    MUST_CHECK;

/* Put without waiting; returns how many were decided, 0 to n, see broker_put(). Fewer than n: on_room comes once, unless a
 * put before that decides everything. PEN_ESHUTDOWN. */
int jobq_putter_put(struct jobq_putter *putter, struct job_put *jobs, size_t n) ON_LOOP MUST_CHECK;
/* All or none: n, or 0 and on_room comes. Errors as broker_put_all(). */
int jobq_putter_put_all(struct jobq_putter *putter, struct job_put *jobs, size_t n)
    ON_LOOP MUST_CHECK;

void jobq_putter_close(struct jobq_putter **putter);

#endif
