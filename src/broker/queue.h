/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of messages in one queue, as a pure state: commands in, effects out. No clock, descriptor, thread or lock;
 * whoever holds a struct broker serialises the calls (flow/jobq holds it under one lock).
 *
 *   put -> READY -> take -> INHAND -> settle -> done | dead | dropped(failed, shutdown)
 *            \-> dropped(oldest, purged, shutdown)
 *
 * Nothing accepted is lost: accepted = done + dead + dropped{reason} + expired + held holds after every call.
 */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/route.h"
#include "base/slice.h"

enum job_state { JOB_FREE, JOB_READY, JOB_INHAND, JOB_DROPPED, JOB_STATES };

/* What happens to a put that does not fit. */
enum broker_policy {
    BROKER_BLOCK,       /* it is left to the caller, who waits for room */
    BROKER_REJECT,      /* PEN_EFULL: not accepted */
    BROKER_DROP_OLDEST, /* the oldest ready jobs make room */
    BROKER_DROP_NEWEST  /* PEN_EDROPPED: accepted and dropped at once */
};

enum drop_reason {
    DROP_OLDEST,
    DROP_NEWEST,
    DROP_PURGED,
    DROP_FAILED,
    DROP_SHUTDOWN,
    DROP_REASONS
};

enum job_outcome {
    OUTCOME_DONE,
    OUTCOME_DEAD,    /* given to another queue */
    OUTCOME_FAILED,  /* dropped: the handler could not */
    OUTCOME_CANCELED /* dropped: the daemon stopped before the handler was done */
};

/* The rare attributes of a job, in an allocation of their own. */
struct job_ext {
    void *origin;       /* who wants the answer, opaque here; NULL: nobody */
    struct route route; /* where at the origin */
    char *key;          /* owned; NULL: none */
};

/* NULL is accepted. */
void job_ext_free(struct job_ext *ext);

/* One message on its way in. */
struct job_put {
    struct slice body;   /* the queue's when ret_status is 0, else the caller's */
    struct job_ext *ext; /* the same; may be NULL */
    uint64_t ret_id;     /* when ret_status is 0 */
    int ret_status;      /* 0, PEN_EFULL (reject), PEN_EDROPPED, PEN_ETOOBIG, PEN_ENOMEM */
};

/* One job in hand. The queue keeps body and ext until it is settled. */
struct job {
    uint64_t id;
    uint32_t index;
    struct slice body;   /* borrowed */
    struct job_ext *ext; /* borrowed; NULL: none */
};

/* A job in hand that ends. */
struct job_settle {
    uint64_t id;
    uint32_t index;
    enum job_outcome outcome;
    struct slice ret_body;   /* the caller's to release */
    struct job_ext *ret_ext; /* the caller's to free */
};

/* A job that was dropped, to be released and told to whoever waits for it. */
struct job_dropped {
    uint64_t id;
    enum drop_reason reason;
    struct slice body;   /* the caller's */
    struct job_ext *ext; /* the caller's */
};

/* Dropped jobs on their way out, in order of their drop. They keep their records until they are reaped. */
struct broker_drops {
    uint32_t head, tail; /* the broker's */
    uint32_t count;
};

struct broker_ledger {
    uint64_t accepted, done, dead, dropped[DROP_REASONS], expired;
    uint64_t ready, in_hand; /* held now */
    uint64_t bytes;          /* payload bytes held now */
    uint64_t refused;        /* puts that were not accepted, by reject, size or memory */
    uint64_t items_high;     /* the most ever held */
};

struct broker_limits {
    uint32_t items_max; /* 1 to 2^30, ready and in hand together */
    uint64_t bytes_max; /* bytes of payload, at least 1; 0: no bound in bytes */
    enum broker_policy policy;
};

struct broker;

/* PEN_EINVAL, PEN_ENOMEM. */
int broker_new(const struct broker_limits *limits, struct broker **ret_broker) MUST_CHECK;

/* Releases what is held; sets to NULL, accepts NULL. */
void broker_free(struct broker **broker);

/* Put n jobs in order. Returns how many were decided, from the front, each with its ret_status; fewer than n only with
 * BROKER_BLOCK, when the next one does not fit. PEN_ESHUTDOWN: none was. Drops (policy drop_oldest) are
 * waiting for broker_take_drops() afterwards; a put that fails has dropped nothing. */
int broker_put(struct broker *b, struct job_put *jobs, size_t n) MUST_CHECK;

/* Take up to max ready jobs, oldest first, into the caller's hands. */
size_t broker_take(struct broker *b, struct job *ret_jobs, size_t max);

/* End n jobs in hand. PEN_ETOOMANY when one of them is not in hand: that one and those after it are
 * untouched, and *ret_settled tells how many were settled. */
int broker_settle(struct broker *b, struct job_settle *jobs, size_t n, size_t *ret_settled)
    MUST_CHECK;

/* All that was dropped since the last time: whoever takes them reaps them, until none is left. */
struct broker_drops broker_take_drops(struct broker *b) MUST_CHECK;

/* Up to max of them; 0: none is left. */
size_t broker_reap(struct broker *b, struct broker_drops *drops, struct job_dropped *ret_jobs,
                   size_t max);

/* No more puts; with drop_ready the ready jobs are dropped (DROP_SHUTDOWN). Ends a pause, for what is ready must still
 * get out. Idempotent, irreversible. */
void broker_shutdown(struct broker *b, bool drop_ready);

/* While paused nothing is taken; puts go on. */
void broker_set_paused(struct broker *b, bool paused);

/* Drop all ready jobs (DROP_PURGED); returns how many. */
uint64_t broker_purge(struct broker *b);

bool broker_is_shut(const struct broker *b);
bool broker_is_paused(const struct broker *b);

/* Something can be taken. */
bool broker_has_ready(const struct broker *b);
/* A put of so many bytes would be decided now, not left to wait. */
bool broker_has_room(const struct broker *b, uint64_t bytes);
/* Nothing is held. What was dropped may still wait to be reaped. */
bool broker_is_idle(const struct broker *b);
/* Something waits for broker_take_drops(). */
bool broker_has_dropped(const struct broker *b);

const struct broker_ledger *broker_ledger(const struct broker *b);
/* accepted = done + dead + dropped + expired + held. */
bool broker_ledger_holds(const struct broker *b);

const char *drop_reason_word(enum drop_reason reason);

#endif
