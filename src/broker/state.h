/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the broker share. Nobody outside src/broker includes this.
 *
 *   record.c   the slab of records, their lists and their states
 *   wait.c     what waits on time, leases and who holds them
 *   lane.c     the jobs of one key, fair share among keys
 *   ready.c    which job is next
 *   twin.c     dedupe ids
 *   put.c      in;  attempt.c  out, and back or to an end;  tick.c  time passes
 *   queue.c    the whole: made, shut down, purged;  inspect.c  looked at
 *
 * parts.h has what they do for each other; record.h and ready.h are inline what a plain message does.
 *
 * A plain job is a record of 48 bytes in the slab, linked by 32-bit indices: no allocation and no atomic per message once the
 * slab has grown to its working size. The slab grows by chunks that never move. What is rare is elsewhere: attributes in
 * the job_ext that came with it, the time it waits for and the lease of an outside worker in a `hold`, its place
 * among those of its key in a `lane`.
 *
 * Whatever must not fail has its memory from before: a hold, a lane or an expiry exists only when its heap has room for it.
 *
 * Rejected: a ring of records instead of lists (settling out of order leaves holes, and priorities and delays need lists
 * anyway); one allocation per job (malloc and free were 40 ns of a 200 ns budget).
 */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include "base/check.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "broker/queue.h"

enum {
    CHUNK_RECORDS = 1024,
    CHUNK_HOLDS = 64,
    NIL = UINT32_MAX,
    HANDED_OUT = UINT32_MAX - 1,
    LEVELS = PRIORITY_MAX + 1,
    LANES_IDLE = 1024, /* keys without a job that are still remembered for what they have used */
    OWNERS_IDLE = 64,  /* workers without a job that keep their place */
    CHARGE_MIN_NS =
        1000 /* what an attempt costs its key at least, so that those who measure nothing take turns */
};

struct record {
    uint64_t id;
    struct blob *blob;
    const uint8_t *at;
    struct job_ext *ext;
    uint32_t bytes;
    union {
        uint32_t next; /* in its list */
        uint32_t hold; /* DELAYED; LEASED to an outside worker, NIL to one of our handlers */
    };
    uint32_t prev; /* DYING and handed out: HANDED_OUT, for it is in no list */
    union {
        uint16_t attempts;
        uint16_t reason; /* DROPPED: enum drop_reason */
    };
    uint8_t state; /* enum job_state */
    uint8_t priority;
};
_Static_assert(sizeof(struct record) == 48, "a job costs 48 bytes");

struct index_list {
    uint32_t head, tail;
};

/* An outside worker. */
struct owner {
    struct hash_node node;
    struct list idle;  /* while it has nothing */
    struct list holds; /* in the order in which they were taken */
    uint64_t id;
};

/* What a job has while it is delayed or leased to an outside worker. */
struct hold {
    struct wait wait;
    struct owner *owner; /* of a lease */
    struct list node;    /* among the owner's */
    mono_t since;        /* when the lease was given */
    uint32_t serial;     /* of the lease: goes up each time, so that no two leases are alike */
    uint32_t next;       /* while it is free */
};

/* The jobs of one key. */
struct lane {
    struct hash_node node;
    struct index_list jobs; /* READY or HELD, in order */
    uint32_t refs;          /* jobs of this key in any state, and puts that are reserved */
    uint32_t in_flight;
    uint32_t blocked; /* ordered: the job that waits for its time before all others; NIL */
    uint32_t first; /* the job at the front while it is READY, that is while the lane is in its level's heap; NIL */
    uint32_t place;     /* in the level's heap */
    uint32_t age_place; /* in the heap of lanes by age */
    uint64_t age;     /* the id of the job at the front, by which it is in that heap; 0: in none */
    uint64_t vt;      /* virtual time: what it has used by weight */
    mono_t tat;       /* of its rate */
    struct wait wait; /* for its rate */
    struct list idle;
    uint32_t weight;
    uint32_t key_bytes;
    char key[];
};

/* A dedupe id. */
struct twin {
    struct hash_node node;
    struct list age;     /* in the window, by time of put */
    struct job_ext *job; /* NULL: it has ended */
    uint64_t id;
    mono_t put_at;
    bool coalesce;
    char text[];
};

/* The ready jobs of one priority. */
struct level {
    struct index_list plain; /* without a key */
    uint64_t count, bytes;   /* of those */
    struct heap lanes;       /* open, the least virtual time first */
};

struct broker {
    struct broker_limits limits;
    struct broker_options options;
    mono_t now;    /* of the last command */
    uint64_t held; /* what the ledger's states add up to */
    uint64_t last_id;
    uint64_t random;
    bool paused, shut;
    enum broker_shut shut_mode; /* if it is shut */
    struct broker_ledger ledger;

    /* records */
    struct record **chunks;
    uint32_t chunks_count, chunks_cap;
    uint32_t free_head, free_tail, free_count;
    struct index_list dropped, buried, dying;
    uint32_t dropped_count, dying_out; /* DYING and handed out */

    /* ready */
    struct level levels[LEVELS];
    uint32_t plain_mask, lane_mask; /* levels that have some */
    uint64_t lane_bytes;            /* of what is READY or HELD with a key */
    mono_t tat;                     /* of the queue's rate */

    /* fair share */
    struct hash lanes;
    struct heap by_age; /* lanes that have jobs READY or HELD, the oldest at the front */
    struct list idle_lanes;
    uint32_t idle_lanes_count;
    uint64_t vt;       /* where the one that was served last stood */
    uint64_t vt_top;   /* the most that anybody has used */
    uint64_t plain_vt; /* of all jobs without a key */

    /* time */
    struct heap waits[WAIT_KINDS];
    uint32_t wait_order;
    uint32_t expiries; /* jobs that expire, in any state */
    struct hold **holds;
    uint32_t holds_count; /* chunks */
    uint32_t free_hold, free_holds_count;
    struct hash owners;
    struct list idle_owners;
    uint32_t idle_owners_count;

    /* dedupe */
    struct hash twins;
    struct list window; /* of twins, oldest first */
    uint32_t window_count;

    /* puts that must not fail */
    uint32_t reserved_items, reserved_holds;
    uint64_t reserved_bytes;

    /* estimates */
    uint32_t servers;
    int64_t service_ns; /* mean of the last 16 or so */
};

#endif
