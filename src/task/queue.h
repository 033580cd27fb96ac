/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue's inside, for its two files: queue.c (the monitors, threads) and queue_loop.c (loops). The algorithm is
 * told in queue.c.
 */
#ifndef TASK_QUEUE_H
#define TASK_QUEUE_H

#include <penstock/queue.h>

#include "base/err.h"
#include "sync/lock.h"
#include "sync/ring.h"
#include "sync/waiters.h"
#include "task/order.h"

enum { QUEUE_LINE_BYTES = 64, QUEUE_LANES = 64 };

/* T: what putters own, and the line of getters. */
struct put_side {
    struct lock lock;
    /* lock: this one; the cursors are read by the other side */
    struct cursor tail, in_bytes;
    uint64_t head_seen, out_seen; /* of the other side, perhaps behind */
    struct ring *ring;
    uint64_t items_max, bytes_max; /* UINT64_MAX: no bound in bytes */
    bool closed;
    struct waiters getters;
    uint64_t items_high, get_waits, get_wait_ns;
    uint64_t *spent; /* NULL: not fair; QUEUE_LANES: the items put since a thread's last turn */
};

/* H: what getters own, and the lines of putters and joiners. */
struct take_side {
    struct lock lock;
    /* lock: this one; the cursors are read by the other side */
    struct cursor head, out_bytes;
    uint64_t ring_head; /* where the ring is read; with an order, ahead of head by what is in it */
    struct ring *ring;
    struct order *order; /* NULL: first in, first out */
    uint64_t items_max, bytes_max;
    uint64_t too_big; /* more bytes than this never fit; bytes_max, but for the moment of a resize */
    bool closed, immediate;
    struct waiters putters, joiners;
    struct hint line; /* how many putters stand in line; read by the other side */
    uint64_t done, drained, put_waits, put_wait_ns;
};

struct pen_queue {
    /* fixed after init */
    void (*destroy)(void *ptr, void *arg);
    void *destroy_arg;
    struct lock size_lock; /* one resize at a time */
    struct put_side put __attribute__((aligned(QUEUE_LINE_BYTES)));
    struct take_side take __attribute__((aligned(QUEUE_LINE_BYTES)));
};

/* One that waits for room. */
struct putter_wait {
    struct waiter waiter;
    /* lock: take.lock */
    uint64_t need; /* bytes of its next item */
};

/* What came of standing in line. */
enum line {
    LINE_WAITS, /* in the line, or with a wake under way */
    LINE_RETRY, /* there is something to do: try again */
    LINE_OVER   /* shut down: nothing will come */
};

/* Made fair; fixed after init. */
static inline bool queue_is_fair(const struct pen_queue *q)
{
    return q->put.spent != NULL;
}

/* Put what fits of n items, and in a fair queue only the caller's share while others stand in line. turn: the caller
 * has stood there, or there was nobody. 0: all; PEN_EFULL, PEN_ETOOBIG (the next could never fit), PEN_ESHUTDOWN. */
int queue_put_some(struct pen_queue *q, const struct pen_item *items, size_t n, bool turn,
                   size_t *ret_put) MUST_CHECK;

/* Take 1 to max items. PEN_EEMPTY, PEN_ESHUTDOWN. */
int queue_take_some(struct pen_queue *q, struct pen_item *items, size_t max, size_t *ret_got)
    MUST_CHECK;

/* A getter that found nothing stands in line, unless there is something after all. */
enum line queue_getter_park(struct pen_queue *q, struct waiter *w, bool front) MUST_CHECK;

/* A getter leaves the line, having slept for `slept`. When it carried the wake and there is more than the `takes` items
 * that it will take, the next getter is woken. True when a wake was under way to it. */
bool queue_getter_leave(struct pen_queue *q, struct waiter *w, uint64_t takes, span_t slept);

/* A putter that found no room for `need` bytes stands in line, unless there is room after all and, in a fair queue,
 * nobody before it; LINE_RETRY leaves it where it is, and it is its turn. front: at the front, and past the others. One that was picked goes back to the front, but not a loop's, whose post is still to come. */
enum line queue_putter_park(struct pen_queue *q, struct putter_wait *w, size_t need, bool front)
    MUST_CHECK;

/* A loop's putter whose post has come: it is out of the line, or, when there is still no room for its need, back at
 * the front of it. No baton is passed: queue_putter_baton() does it after the loop has used the room. */
enum line queue_putter_arrive(struct pen_queue *q, struct putter_wait *w) MUST_CHECK;
void queue_putter_baton(struct pen_queue *q);

/* A putter leaves the line for good, having slept for `slept`; the next one is woken when there is room for it.
 * True when a wake was under way to it. */
bool queue_putter_leave(struct pen_queue *q, struct putter_wait *w, span_t slept);

/* None of the n items is NULL. */
bool queue_items_valid(const struct pen_item *items, size_t n) MUST_CHECK;

#endif
