/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of messages in one queue, as a pure state: commands and an instant in, effects out. No clock, descriptor,
 * thread or lock; whoever holds a struct broker serialises the calls (flow/jobq holds it under one lock).
 *
 *   put -> READY, HELD or DELAYED -> take -> LEASED -> done | dead | dropped{reason}
 *             ^      ^      ^                  |
 *             +------+------+--- again --------+--> BURIED (kicked: back), DYING (settled: dead or dropped)
 *
 * and from every state but LEASED and DYING: dropped{oldest, lowest, purged, shutdown}, expired. The books are in ledger.h.
 *
 * In which order jobs are taken:
 *   - Higher priorities first, but a step of priority is worth no more than AGE_JOBS later jobs: after a job of priority p has
 *     become ready, at most AGE_JOBS * (9 - p) jobs that are put later are handed out before it.
 *   - Within a priority, keys share by weight in measured time (start-time fair queueing); all jobs without a key are
 *     together one more key of weight 1, among themselves first in, first out.
 *   - Within a key, strictly in order: one in flight, and one that failed goes back to the front, where its backoff blocks
 *     only its key. A delayed put joins its key when its time has come; a buried job has left it.
 *
 * `now` never goes back from one command to the next. Where a command can fail for want of memory, nothing has changed;
 * settling, dropping and shutting down need none.
 */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H

#include "broker/job.h"
#include "broker/ledger.h"
#include "broker/options.h"

enum { AGE_JOBS = 1000 };

struct broker;

/* PEN_EINVAL, PEN_ENOMEM. */
int broker_new(const struct broker_options *options, struct broker **ret_broker) MUST_CHECK;

/* Releases what is held; sets to NULL, accepts NULL. */
void broker_free(struct broker **broker);

/* Other limits from now on. What is held stays; below a lowered bound nothing more is accepted or handed out until it fits.
 * PEN_EINVAL. */
int broker_set_limits(struct broker *b, const struct broker_limits *limits, mono_t now) MUST_CHECK;

/* ---- in ---- */

/* Put n jobs in order. Returns how many were decided, from the front, each with its ret_status; fewer than n only with
 * BROKER_BLOCK, when the next one does not fit. PEN_ESHUTDOWN, or the journal's error: none was. Drops (policies
 * drop_oldest and drop_lowest) are waiting for broker_take_drops() afterwards; a put that fails has dropped nothing. */
int broker_put(struct broker *b, struct job_put *jobs, size_t n, mono_t now) MUST_CHECK;

/* The same for all or none: n when each one has ret_status 0 or PEN_EDUPLICATE (the others are in), 0 when they must wait
 * (BROKER_BLOCK). An error is that of the batch (PEN_EFULL under every policy but BROKER_BLOCK: nothing is dropped for a
 * batch; PEN_ETOOBIG also for one that can never fit) or of the one job with which it cannot be. */
int broker_put_all(struct broker *b, struct job_put *jobs, size_t n, mono_t now) MUST_CHECK;

/* Make sure that these puts cannot fail later: room and memory are set aside until broker_put_reserved() or
 * broker_unreserve() with the same jobs, which must stay as they are until then. 0: reserved. 1: they must wait
 * (BROKER_BLOCK). Errors as broker_put_all(), PEN_ESHUTDOWN. A job that is a duplicate has ret_status PEN_EDUPLICATE. */
int broker_reserve_put(struct broker *b, struct job_put *jobs, size_t n, mono_t now) MUST_CHECK;
/* Also after a shutdown. Each has ret_status 0 or PEN_EDUPLICATE. */
void broker_put_reserved(struct broker *b, struct job_put *jobs, size_t n, mono_t now);
void broker_unreserve(struct broker *b, struct job_put *jobs, size_t n);

/* Bring back a job, bounds or not, in the order of ids; before the first put. PEN_EINVAL, PEN_ENOMEM. */
int broker_restore(struct broker *b, const struct job_restore *job, mono_t now) MUST_CHECK;
/* Ids that are given out from now on are above this one. */
void broker_skip_ids(struct broker *b, uint64_t last_id);
/* Bring back a dedupe id whose job has ended, put at this instant. PEN_EINVAL, PEN_ENOMEM. */
int broker_restore_dedupe(struct broker *b, const char *dedupe, uint64_t id, mono_t put_at)
    MUST_CHECK;

/* ---- out ---- */

struct job_take {
    size_t max;   /* at least 1 */
    span_t lease; /* for an outside worker, how long it may hold them; 0: one of our own handlers, for as long as it takes */
    uint64_t owner; /* the outside worker, for broker_owner_gone(); any number */
};

/* Take up to max jobs that are ready. What has expired is dropped before. PEN_ENOMEM: no room for a single lease. */
int broker_take(struct broker *b, const struct job_take *how, struct job *ret_jobs, mono_t now)
    MUST_CHECK;

/* End n attempts, in order. *ret_settled tells how many were. PEN_ELEASE: that one is not in this hand any more: its lease was
 * lost; PEN_ETOOMANY: without a lease, it is not in hand (a mistake of ours). Both leave that one and those after it
 * untouched. A dying job is settled in the same way, with the id, index and lease 0 of broker_take_dying(). */
int broker_settle(struct broker *b, struct job_settle *jobs, size_t n, mono_t now,
                  size_t *ret_settled) MUST_CHECK;

/* From now on the lease lasts that long, at least 1 ns. PEN_ELEASE: it was lost. */
int broker_touch(struct broker *b, uint64_t id, uint64_t lease, span_t span, mono_t now) MUST_CHECK;
/* What the worker says of its progress, cut to LIMIT_PROGRESS_BYTES. PEN_ELEASE, PEN_ENOMEM. */
int broker_progress(struct broker *b, uint64_t id, uint64_t lease, const char *text) MUST_CHECK;

/* A worker is gone: all that it has is given back at once, charged. Returns how many. */
uint32_t broker_owner_gone(struct broker *b, uint64_t owner, mono_t now);

/* Jobs that have failed for good, to be put into the dead-letter queue: up to max, each handed out once. Everything is
 * borrowed; ext tells error, error_text, crashes and times, and is NULL only when there was no memory for it. End each
 * with broker_settle(): DEAD when the other queue has it, FAILED when it could not, RELEASED to hand it out again. */
size_t broker_take_dying(struct broker *b, struct job *ret_jobs, size_t max);

/* ---- time ---- */

/* Let happen what is due: delays end, leases are lost, jobs expire; at most max of them. Returns how many, max when there
 * may be more. */
size_t broker_tick(struct broker *b, mono_t now, size_t max);
/* When broker_tick() is worth calling again; PEN_NEVER: not before another command. */
mono_t broker_next_due(const struct broker *b);

/* ---- by hand ---- */

/* Bring up to n buried jobs back, the longest buried first; if there are none, delayed ones, the next due first. Their
 * attempts begin anew. Returns how many. */
size_t broker_kick(struct broker *b, size_t n, mono_t now);

/* The job of that state that would be next to leave it: ready, delayed, leased (the one whose lease ends first), buried. */
bool broker_peek(const struct broker *b, enum job_state state, struct job_view *ret_job);
/* A held job. O(held jobs). */
bool broker_find(const struct broker *b, uint64_t id, struct job_view *ret_job);
/* Any held jobs, from *cursor (0 at first); up to max. 0: there are no more. Each that is held all the while comes once. */
size_t broker_list(const struct broker *b, uint32_t *cursor, struct job_view *ret_jobs, size_t max);

/* While paused nothing is taken; puts go on. */
void broker_set_paused(struct broker *b, bool paused);

/* Drop all that is ready, waiting, delayed or buried (DROP_PURGED); returns how many. */
uint64_t broker_purge(struct broker *b);

/* No more puts. Irreversible; a mode may be followed by a later one. */
enum broker_shut {
    BROKER_DRAIN, /* what is ready still gets out, what is delayed in its time, and a pause ends; what is buried is dropped, for
                   * nobody will kick it */
    BROKER_KEEP,  /* nothing gets out any more: it stays, for a store to bring back */
    BROKER_DROP   /* all but what is in hand or dying is dropped (DROP_SHUTDOWN) */
};
void broker_shutdown(struct broker *b, enum broker_shut mode);

/* ---- what was dropped ---- */

/* Dropped jobs on their way out, in order of their drop. They keep their records until they are reaped. */
struct broker_drops {
    uint32_t head, tail; /* the broker's */
    uint32_t count;
};

/* All that was dropped since the last time: whoever takes them reaps them, until none is left. */
struct broker_drops broker_take_drops(struct broker *b) MUST_CHECK;

/* Up to max of them; 0: none is left. */
size_t broker_reap(struct broker *b, struct broker_drops *drops, struct job_dropped *ret_jobs,
                   size_t max);

/* ---- estimates ---- */

/* How many serve this queue, for estimates; 0: nobody, and there is no estimate. */
void broker_set_servers(struct broker *b, uint32_t servers);
/* How long a job waits that has so many before it, from the measured times; -1: unknown. */
span_t broker_eta(const struct broker *b, uint64_t position);

/* ---- questions ---- */

bool broker_is_shut(const struct broker *b);
bool broker_is_paused(const struct broker *b);

/* Something can be taken, as of the last command. */
bool broker_has_ready(const struct broker *b);
/* A put of so many bytes would be decided now, not left to wait. */
bool broker_has_room(const struct broker *b, uint64_t bytes);
/* The same for all of a batch. */
bool broker_has_room_for(const struct broker *b, size_t items, uint64_t bytes);
/* Nothing is held but what is buried or, after BROKER_KEEP, stays; and nothing is reserved. What was dropped may still wait
 * to be reaped. */
bool broker_is_idle(const struct broker *b);
/* Shut down, and nothing will be ready any more. */
bool broker_is_over(const struct broker *b);
/* Something waits for broker_take_drops(). */
bool broker_has_dropped(const struct broker *b);
/* Something waits for broker_take_dying(). */
bool broker_has_dying(const struct broker *b);

const struct broker_ledger *broker_ledger(const struct broker *b);
/* accepted = done + dead + dropped + expired + held. */
bool broker_ledger_holds(const struct broker *b);

#endif
