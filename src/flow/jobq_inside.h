/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a job queue, for jobq*.c only.
 *
 *   jobq.c        the monitor: commands, threads that wait
 *   jobq_loop.c   loops that wait: getters, takers, putters
 *   jobq_time.c   what happens by itself, and what MAIN is told
 *   jobq_durable.c  what is different when the jobs are kept
 */
#ifndef FLOW_JOBQ_INSIDE_H
#define FLOW_JOBQ_INSIDE_H

#include "base/limits.h"
#include "flow/durable.h"
#include "flow/jobq.h"
#include "loop/io.h"
#include "sync/lock.h"
#include "sync/waiters.h"

/* News for MAIN. */
enum { NEWS_DUE = 1, NEWS_DYING = 2, NEWS_ENDED = 4, NEWS_ALARM = 8 };

/* MAIN's side of a queue. It may outlive it by the post that is in MAIN's inbox, which frees it then. */
struct jobq_time {
    struct jobq *queue;     /* owner: MAIN; NULL: freed */
    struct post post;       /* the inbox's */
    struct pen_timer timer; /* owner: MAIN */
    unsigned news;          /* lock: queue->lock; not told yet */
    mono_t due;             /* lock: queue->lock; what the timer is or is about to be set to */
    bool posted;            /* lock: queue->lock */
};

struct jobq {
    /* fixed after init */
    struct jobq_options options;
    char name[LIMIT_NAME_BYTES + 1];
    struct jobq_time *time; /* NULL: there is no MAIN */

    /* lock: lock */
    struct lock lock;
    struct broker *broker;
    struct results *results; /* NULL: none are kept */
    mono_t now;              /* of the last command: it never goes back */
    uint64_t untold;         /* dropped jobs for which on_dropped has not returned */
    uint64_t alarms;
    bool over_told, dying_told, ended_told, alarmed;
    struct waiters getters, putters, joiners;
    struct jobq_promise promise;
    struct list watchers;
    bool restored;   /* the store is open */
    bool store_full; /* until the next news of the store no put finds room there */
};

/* What a putter in line needs: room for so many items with so many bytes. */
enum { NEED_ITEMS_SHIFT = 48 };
uint64_t jobq_need(const struct job_put *jobs, size_t n);

/* Shut down, and nothing will be ready any more; where jobs are tried once, those in hand do not count. */
bool jobq_is_over(const struct jobq *q) LOCKED(&q->lock);

/* The start and the end of every call: take the lock at an instant; decide whom to wake, unlock, and do what must not be
 * done under the lock. */
void jobq_enter(struct jobq *q, mono_t now) ACQUIRES(&q->lock);
void jobq_leave(struct jobq *q) RELEASES(&q->lock);

/* ---- jobq_durable.c ---- */

/* broker_put() and broker_put_all() where the store, too, must have room. patient: wait as well while it is frozen or has
 * failed; else they are refused. */
int jobq_put_kept(struct jobq *q, struct job_put *jobs, size_t n, bool patient) LOCKED(&q->lock);
int jobq_put_all_kept(struct jobq *q, struct job_put *jobs, size_t n) LOCKED(&q->lock);

/* ---- jobq_time.c ---- */

int jobq_time_new(struct jobq *q, struct jobq_time **ret_time) MUST_CHECK;
void jobq_time_free(struct jobq_time **time);
/* What is new since the last time; true: jobq_time_tell() after dropping the lock. */
bool jobq_time_look(struct jobq *q) LOCKED(&q->lock);
void jobq_time_tell(struct jobq *q);

#endif
