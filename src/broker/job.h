/* SPDX-License-Identifier: Apache-2.0
 *
 * A job as it goes into a queue, out to whoever works on it, and to its end. All structs are values that are valid when
 * zeroed; all instants are on the clock of the `now` that is given to the commands of broker/queue.h.
 */
#ifndef BROKER_JOB_H
#define BROKER_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/route.h"
#include "base/slice.h"
#include "broker/wait.h"

enum job_state {
    JOB_FREE,
    JOB_READY,
    JOB_HELD, /* behind another job of its key, or by its key's limits */
    JOB_DELAYED, /* waits for its time: put with a delay, given back with one, or between two attempts */
    JOB_LEASED,  /* in a handler's or an outside worker's hands */
    JOB_BURIED,  /* set aside until it is kicked */
    JOB_DYING,   /* failed for good, on its way to the dead-letter queue */
    JOB_DROPPED, /* ended, not yet reaped */
    JOB_STATES
};

enum drop_reason {
    DROP_OLDEST,
    DROP_NEWEST,
    DROP_LOWEST,
    DROP_PURGED,
    DROP_FAILED,
    DROP_SHUTDOWN,
    DROP_REASONS,
    DROP_EXPIRED = DROP_REASONS /* counted as broker_ledger.expired */
};

/* How an attempt ended. The first four end the job, whatever the queue's limits say. */
enum job_outcome {
    OUTCOME_DONE,
    OUTCOME_DEAD,     /* given to another queue */
    OUTCOME_FAILED,   /* dropped: DROP_FAILED */
    OUTCOME_CANCELED, /* dropped: DROP_SHUTDOWN, the daemon stopped before the handler was done */
    OUTCOME_RETRY, /* the attempt failed: again after a backoff, or dying after the last attempt */
    OUTCOME_CRASHED, /* the same, and the attempt is counted as a crash: dying after the last that is permitted */
    OUTCOME_RELEASED, /* given back */
    OUTCOME_BURIED    /* set aside */
};

/* Priorities: 9 goes first. */
enum { PRIORITY_MAX = 9, PRIORITY_DEFAULT = 4 /* for who does not say; a zeroed struct says 0 */ };

struct lane;
struct twin;

/* The rare attributes of a job, in an allocation of their own: job_ext_new(). */
struct job_ext {
    void *origin;       /* who wants the answer, opaque here; NULL: nobody */
    struct route route; /* where at the origin */
    uint32_t tag;       /* the requester's, for the answer */
    char *key;          /* owned, 1 to LIMIT_KEY_BYTES; NULL: none */
    uint32_t weight;    /* of its key among keys, 1 to WEIGHT_MAX; 0: as before, or 1 */
    char *dedupe; /* owned, 1 to LIMIT_KEY_BYTES: the same text again is the same job; NULL: none */
    bool coalesce;         /* that holds as long as the first is held, however old it is */
    char *reply_to;        /* owned, opaque here; NULL: none */
    struct slice headers;  /* opaque here */
    mono_t delay_until;    /* not ready before; 0: at once */
    mono_t expires_at;     /* not handed out from then on, but dropped; 0: never */
    uint16_t attempts_max; /* instead of the queue's; 0: the queue's */

    /* What has happened to it, set by the broker. */
    mono_t put_at; /* 0: unknown, it had no ext then */
    mono_t first_failed_at, last_failed_at;
    uint16_t crashes;
    int error; /* the last failure, PEN_E...; 0: none */
    char *error_text; /* owned, at most LIMIT_ERROR_TEXT_BYTES; NULL: none, or there was no memory for it */
    char *failed_by; /* owned, at most LIMIT_NAME_BYTES: in whose hands; NULL: unknown, as error_text */
    char *progress; /* owned, at most LIMIT_PROGRESS_BYTES: what its worker said last */

    /* Of a dead letter, set by whoever puts it into the dead-letter queue. */
    char *died_in;       /* owned, the queue; NULL: it is none */
    uint16_t died_after; /* attempts */

    /* the broker's */
    struct wait expiry;
    struct lane *lane;
    struct twin *twin;
    bool claimed_expiry, claimed_hold;
};

/* Zeroed. PEN_ENOMEM. */
int job_ext_new(struct job_ext **ret_ext) MUST_CHECK;
/* With all that it owns. NULL is accepted. */
void job_ext_free(struct job_ext *ext);
/* A copy of all that it owns and says, for another queue. PEN_ENOMEM. */
int job_ext_copy(const struct job_ext *ext, struct job_ext **ret_copy) MUST_CHECK;
/* As if nothing had happened to it yet. */
void job_ext_forgive(struct job_ext *ext);

enum { WEIGHT_MAX = 1000 };

/* One message on its way in. */
struct job_put {
    struct slice body;   /* the queue's when ret_status is 0, else the caller's */
    struct job_ext *ext; /* the same; may be NULL */
    uint64_t ret_id;     /* when ret_status is 0; with PEN_EDUPLICATE the id of the first */
    /* 0; PEN_EFULL (reject), PEN_EDROPPED (accepted and dropped at once), PEN_ETOOBIG, PEN_ENOMEM, PEN_EINVAL (an
     * attribute outside its range), PEN_EDUPLICATE, PEN_ELATE (it would expire before its turn), PEN_EEXPIRED (it has
     * expired already: accepted, and counted as expired). */
    int ret_status;
    uint32_t ret_position; /* when ret_status is 0: ready jobs that go first, as far as can be told now */
    uint8_t priority; /* 0 to PRIORITY_MAX */
};

/* Bytes of payload and attributes. */
uint64_t job_bytes(const struct slice *body, const struct job_ext *ext);

/* One job in hand. The queue keeps body and ext until it ends. */
struct job {
    uint64_t id;
    uint64_t lease; /* an outside worker's proof that it is the job's holder; 0: our own handler's, which has no end */
    uint32_t index;
    uint16_t attempt; /* 1 for the first */
    uint8_t priority;
    struct slice body;   /* borrowed */
    struct job_ext *ext; /* borrowed; NULL: none */
};

/* What a job that was in an outside worker's hands has failed by. */
#define JOB_BY_WORKER "worker"

/* Why an attempt did not end well. */
struct job_failure {
    int error;        /* PEN_E... */
    const char *text; /* borrowed, cut to LIMIT_ERROR_TEXT_BYTES; NULL: none */
    const char *by;   /* borrowed, cut to LIMIT_NAME_BYTES: in whose hands it was; NULL: unknown */
    span_t delay; /* RELEASED: not before that; RETRY, CRASHED: at least that long, instead of a shorter backoff */
    bool uncharged; /* RELEASED: the attempt does not count */
};

/* What a worker says of a job in its hands. */
struct job_settle {
    uint64_t id;
    uint64_t lease; /* as it was handed out */
    uint32_t index; /* as it was handed out; with a lease it need not be known */
    enum job_outcome outcome;
    const struct job_failure *why; /* borrowed; NULL: nothing to say */
    int64_t cpu_ns; /* charged to its key; 0: unknown, an outside worker is charged the time it held the lease */
    int64_t service_ns; /* how long it took, for estimates; 0: unknown, with a lease the time since it was taken */
    struct slice ret_body;   /* the caller's to release; empty when the job goes on */
    struct job_ext *ret_ext; /* the caller's to free; NULL when the job goes on */
};

/* A job that was dropped, to be released and told to whoever waits for it. */
struct job_dropped {
    uint64_t id;
    enum drop_reason reason;
    struct slice body;   /* the caller's */
    struct job_ext *ext; /* the caller's */
};

/* A held job, looked at. Everything is borrowed, for as long as nothing is done to the queue. */
struct job_view {
    uint64_t id;
    uint32_t index;
    enum job_state state;
    uint16_t attempts; /* that are charged, the running one too */
    uint8_t priority;
    mono_t due; /* DELAYED: when it becomes ready; LEASED: when its lease ends, PEN_NEVER without one; else 0 */
    uint64_t owner; /* LEASED with a lease: who took it */
    struct slice body;
    const struct job_ext *ext; /* NULL: none */
};

const char *job_state_word(enum job_state state);
const char *drop_reason_word(enum drop_reason reason);

#endif
