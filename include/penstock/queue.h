/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_queue: a bounded queue of pointers between threads and event loops, that can be shut down.
 *
 * The rules are those of Python 3.13's queue.Queue, plus what an event loop needs: batches, a bound in
 * bytes, absolute deadlines, and attachment to loops, so that nobody polls. First come, first served
 * among waiters; items of one putter keep their order; nothing is allocated per item.
 *
 * A deadline of PEN_NOW does not wait; PEN_NEVER waits without end. A loop's own thread should only
 * use PEN_NOW and attach instead of waiting.
 */
#ifndef PENSTOCK_QUEUE_H
#define PENSTOCK_QUEUE_H

#include <penstock/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_queue;

struct pen_item {
    void *ptr;    /* not NULL; the queue's from put to get */
    size_t bytes; /* what it counts towards bytes_max; may be 0 */
};

enum pen_queue_kind {
    PEN_QUEUE_FIFO,    /* in order of arrival */
    PEN_QUEUE_LIFO,    /* the latest first */
    PEN_QUEUE_PRIORITY /* the lowest rank first, equal ranks in order of arrival */
};

enum pen_shutdown {
    PEN_SHUTDOWN_GRACEFUL, /* puts end now, gets go on until it is empty */
    PEN_SHUTDOWN_IMMEDIATE /* what is in the queue goes to the destructor, everybody is woken */
};

struct pen_queue_options {
    enum pen_queue_kind kind;
    uint32_t items_max;                    /* 1 to 2^30; 0: 65536 */
    uint64_t bytes_max;                    /* bytes; 0: no bound in bytes */
    void (*destroy)(void *ptr, void *arg); /* for what a shutdown or free drains; may be NULL */
    void *destroy_arg;
    /* PEN_QUEUE_PRIORITY: the rank of an item, lowest first; must be given. Asked once for each item, under a
     * lock of the queue: it must be short and may not call the queue. */
    int64_t (*rank)(const void *ptr, void *arg);
    void *rank_arg;
    /* While putters wait, the capacity is split: a thread that has put items_max divided by their number and
     * itself (at least one item) since it last waited finds the queue full and waits behind them, even if there is
     * room. Several loops or putters of one thread share; so may threads when there are more than 64. Without it whoever
     * finds room takes it, which is faster, and under saturation leaves some threads far behind. */
    bool fair;
};

/* Make a queue. options may be NULL. Any thread; does not block. PEN_EINVAL, PEN_ENOMEM: *ret_queue
 * untouched. Since 0.1. */
PEN_API int pen_queue_new(const struct pen_queue_options *options, struct pen_queue **ret_queue)
    PEN_MUST_CHECK;

/* Free a queue that nobody uses any more: drains through the destructor; sets *queue to NULL, accepts
 * NULL. Attachments must have been closed. Since 0.1. */
PEN_API void pen_queue_free(struct pen_queue **queue);

/* Put one item. Any thread; waits up to the deadline. The item is the queue's on 0 and stays the
 * caller's otherwise: PEN_ESHUTDOWN, PEN_EFULL (deadline PEN_NOW), PEN_ETIMEOUT, PEN_ETOOBIG (more
 * bytes than bytes_max: it could never fit), PEN_EINVAL (NULL). Since 0.1. */
PEN_API int pen_queue_put(struct pen_queue *queue, void *ptr, size_t bytes, pen_mono_t deadline)
    PEN_MUST_CHECK;

/* Put n items (0 is nothing to do) in order, as many as fit and then more as there is room, until the deadline. *ret_put
 * says how many the queue has taken, on failure too: the rest stays the caller's. Errors as above.
 * Since 0.1. */
PEN_API int pen_queue_put_many(struct pen_queue *queue, const struct pen_item *items, size_t n,
                               pen_mono_t deadline, size_t *ret_put) PEN_MUST_CHECK;

/* Take one item, or 1 to max items (at least 1), waiting up to the deadline for the first. The items are the
 * caller's, and each wants a task_done. PEN_ESHUTDOWN (and empty), PEN_EEMPTY (PEN_NOW), PEN_ETIMEOUT:
 * nothing taken. Any thread. Since 0.1. */
PEN_API int pen_queue_get(struct pen_queue *queue, struct pen_item *ret_item, pen_mono_t deadline)
    PEN_MUST_CHECK;
PEN_API int pen_queue_get_many(struct pen_queue *queue, struct pen_item *ret_items, size_t max,
                               pen_mono_t deadline, size_t *ret_got) PEN_MUST_CHECK;

/* Say that n taken items are finished. Any thread, after shutdown too. PEN_ETOOMANY when that is more
 * than is unfinished: nothing changes. Since 0.1. */
PEN_API int pen_queue_task_done(struct pen_queue *queue, size_t n) PEN_MUST_CHECK;

/* Wait until nothing is unfinished (in the queue, or taken and not done). PEN_ETIMEOUT. Since 0.1. */
PEN_API int pen_queue_join(struct pen_queue *queue, pen_mono_t deadline) PEN_MUST_CHECK;

/* Shut down. Irreversible, idempotent; graceful may become immediate. Blocked putters wake with
 * PEN_ESHUTDOWN, their items not queued. IMMEDIATE drains through the destructor, on the calling thread
 * and outside all locks, and takes the drained items off the unfinished count. Any thread. Since 0.1. */
PEN_API void pen_queue_shutdown(struct pen_queue *queue, enum pen_shutdown mode);

/* Look at the item that comes next and leave it there: look(item, arg) is called under a lock of the
 * queue, so it must be short and may not call the queue; the item is still the queue's. Any thread; does
 * not wait. PEN_EEMPTY, PEN_ESHUTDOWN (and empty): look is not called. Since 0.1. */
PEN_API int pen_queue_peek(struct pen_queue *queue,
                           void (*look)(const struct pen_item *item, void *arg), void *arg)
    PEN_MUST_CHECK;

/* Drain what is in the queue now through the destructor, as an immediate shutdown does, and go on. What is
 * put meanwhile may be drained too. Returns how many. Any thread; does not wait. Since 0.1. */
PEN_API uint64_t pen_queue_clear(struct pen_queue *queue);

/* Change the bounds, as in the options: 0 for the default, and for no bound in bytes. Room that is won wakes
 * putters; what is over a lower bound stays, and puts wait until it has gone. A putter that waits with an
 * item larger than the new bytes_max gets PEN_ETOOBIG when its turn comes. Any thread; does not wait.
 * PEN_EINVAL, PEN_ENOMEM: nothing has changed. Since 0.1. */
PEN_API int pen_queue_resize(struct pen_queue *queue, uint32_t items_max, uint64_t bytes_max)
    PEN_MUST_CHECK;

/* put = got + drained + items, and unfinished = put - done, in every snapshot. */
struct pen_queue_stats {
    uint64_t items, bytes;   /* held now */
    uint64_t put, got, done; /* items ever; done: by task_done or by draining */
    uint64_t drained;        /* items ever that a shutdown or clear gave to the destructor */
    uint64_t unfinished;     /* items */
    uint64_t items_high;     /* the most items ever held */
    uint64_t putters_waiting, getters_waiting, joiners_waiting; /* in line now, threads and loops */
    uint64_t put_waits, get_waits;     /* times that a thread or a loop had to wait */
    uint64_t put_wait_ns, get_wait_ns; /* how long threads waited; loops do other things meanwhile */
    bool shut_down;
};

/* A snapshot. Any thread; takes the queue's locks for a moment. Since 0.1. */
PEN_API void pen_queue_stats(struct pen_queue *queue, struct pen_queue_stats *ret_stats);

/* A loop that takes from a queue. Events come on the loop's thread; while nothing is in the queue the
 * loop sleeps and the queue costs nothing. */
struct pen_getter;

struct pen_getter_options {
    uint32_t budget; /* items in one event, 1 to 1024; 0: 64. One event per turn: sockets have theirs */
    /* 1 to budget items, the callback's from here on; each wants a task_done. */
    void (*on_items)(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg);
    /* The queue is shut down and empty; called once, the last event. May close the getter. */
    void (*on_shutdown)(struct pen_getter *getter, void *arg);
    void *arg;
};

/* Attach a loop. While the loop does not run, and nobody has paused the getter, a wake meant for others may be
 * left lying with it: pause or close the getters of a loop that is stopped. On the loop's thread, or before the loop runs. PEN_EINVAL, PEN_ENOMEM,
 * PEN_EWRONGTHREAD. Since 0.1. */
PEN_API int pen_queue_attach(struct pen_queue *queue, struct pen_loop *loop,
                             const struct pen_getter_options *options,
                             struct pen_getter **ret_getter) PEN_MUST_CHECK;

/* Stop and restart the events; both idempotent, on the loop's thread, callbacks may call them. A paused
 * getter hands its turn to the next waiter. Since 0.1. */
PEN_API void pen_getter_pause(struct pen_getter *getter);
PEN_API void pen_getter_resume(struct pen_getter *getter);

/* Detach: no event comes after this returns; memory is freed when no wake-up is under way any more.
 * On the loop's thread, or when the loop has ended; sets *getter to NULL, accepts NULL. Since 0.1. */
PEN_API void pen_getter_close(struct pen_getter **getter);

/* A loop that puts into a queue without ever blocking. Events come on the loop's thread. */
struct pen_putter;

struct pen_putter_options {
    void (*on_room)(struct pen_putter *putter, void *arg); /* after a short put: there is room again */
    void (*on_shutdown)(struct pen_putter *putter, void *arg); /* while waiting for room; may be NULL */
    void *arg;
};

/* On the loop's thread, or before the loop runs. PEN_EINVAL, PEN_ENOMEM, PEN_EWRONGTHREAD. Since 0.1. */
PEN_API int pen_queue_attach_putter(struct pen_queue *queue, struct pen_loop *loop,
                                    const struct pen_putter_options *options,
                                    struct pen_putter **ret_putter) PEN_MUST_CHECK;

/* Put what fits, in order, without waiting; returns how many, 0 to n. Fewer than n: on_room comes once
 * when there is room for the next (or when the next turns out never to fit), or on_shutdown. A later call
 * that puts everything takes the wish back. PEN_ESHUTDOWN; PEN_ETOOBIG when the first item could never
 * fit; PEN_EINVAL (NULL, n over 2^30): nothing put and no event to come. On the loop's thread, else
 * PEN_EWRONGTHREAD. Callbacks may call it. Since 0.1. */
PEN_API int pen_putter_put(struct pen_putter *putter, const struct pen_item *items, size_t n)
    PEN_MUST_CHECK;

/* Detach, as pen_getter_close(). Since 0.1. */
PEN_API void pen_putter_close(struct pen_putter **putter);

#ifdef __cplusplus
}
#endif
#endif
