/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's job queue: the broker's state (broker/queue.h) behind one lock, with threads and loops waiting on it
 * in order (sync/waiters.h). One lock hold per batch; no thread of its own, because an extra hop costs a
 * wake-up. The contract is that of <penstock/queue.h>, with settling in place of task_done.
 */
#ifndef FLOW_JOBQ_H
#define FLOW_JOBQ_H

#include <penstock/loop.h>
#include <penstock/queue.h>

#include "base/roles.h"
#include "base/units.h"
#include "broker/queue.h"

struct jobq;

struct jobq_options {
    const char *name; /* copied */
    struct broker_limits limits;
    /* Dropped jobs (1 to LIMIT_BATCH_ITEMS, in order of their drop), on the thread whose call dropped them, before
     * that call returns, and outside the lock: body and ext are the callee's. NULL: they are only released. */
    void (*on_dropped)(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg);
    void *arg;
};

/* PEN_EINVAL, PEN_ENOMEM. */
int jobq_new(const struct jobq_options *options, struct jobq **ret_queue) MUST_CHECK;
/* When nobody uses it any more; what is held is released. Sets to NULL, accepts NULL. */
void jobq_free(struct jobq **queue);

const char *jobq_name(const struct jobq *q) ANY_THREAD;

/* Put n jobs, waiting until the deadline for room where the policy is to block, behind those who wait already.
 * *ret_decided: how many have a ret_status, on failure too. PEN_ESHUTDOWN, PEN_EFULL (PEN_NOW, and there is no room
 * or it is another one's turn), PEN_ETIMEOUT. Any thread; may block. */
int jobq_put(struct jobq *q, struct job_put *jobs, size_t n, mono_t deadline, size_t *ret_decided)
    MUST_CHECK;

/* Take 1 to max jobs. PEN_ESHUTDOWN (and nothing ready), PEN_EEMPTY (PEN_NOW), PEN_ETIMEOUT, PEN_EINVAL (max 0).
 * Any thread; may block. */
int jobq_take(struct jobq *q, struct job *ret_jobs, size_t max, mono_t deadline, size_t *ret_taken)
    MUST_CHECK;

/* End jobs in hand; their bodies and exts are the caller's afterwards. PEN_ETOOMANY: see broker_settle(). */
int jobq_settle(struct jobq *q, struct job_settle *jobs, size_t n) ANY_THREAD MUST_CHECK;

/* Wait until nothing is held and everything that was dropped is told. PEN_ETIMEOUT. Any thread; may block. */
int jobq_join(struct jobq *q, mono_t deadline) MUST_CHECK;

void jobq_shutdown(struct jobq *q, enum pen_shutdown mode) ANY_THREAD;
void jobq_pause(struct jobq *q) ANY_THREAD;
void jobq_resume(struct jobq *q) ANY_THREAD;
uint64_t jobq_purge(struct jobq *q) ANY_THREAD;

struct jobq_stats {
    struct broker_ledger ledger;
    bool shut, paused, ledger_holds;
    uint64_t putters_waiting, getters_waiting, joiners_waiting; /* in line now, threads and loops */
    uint64_t put_waits, get_waits; /* times that one of them had to wait */
    uint64_t put_wakes, get_wakes; /* times that one of them was woken, in vain as well */
};
void jobq_stats(struct jobq *q, struct jobq_stats *ret_stats) ANY_THREAD;

/* ---- a loop that takes ---- */

struct jobq_getter;

struct jobq_getter_options {
    /* 1 to LIMIT_BATCH_ITEMS jobs, at most what was wanted, once per turn. */
    void (*on_jobs)(struct jobq_getter *getter, const struct job *jobs, size_t n, void *arg);
    /* Shut down and nothing ready: the last event. */
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

/* ---- a loop that puts ---- */

struct jobq_putter;

struct jobq_putter_options {
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

void jobq_putter_close(struct jobq_putter **putter);

#endif
