/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a queue on which threads sleep of a ring on which they do not, as tests/bench/queue needs it. The file that
 * includes this has defined, with `struct ring`:
 *
 *   static size_t ring_try_put(struct ring *r, const struct pen_item *items, size_t n)    how many went in
 *   static size_t ring_try_get(struct ring *r, struct pen_item *items, size_t max)        how many came out
 *   static bool ring_may_put(struct ring *r), ring_may_get(struct ring *r)                a guess
 *
 * Sleeping is by an eventcount on a futex, as good as we could make it: a fence for each operation, no system call
 * while nobody sleeps, one wake in flight for each side, passed on by the one that was woken when there is more; and
 * the same pause before a putter sleeps that our own queue makes.
 *
 * One word holds the number of those that want to sleep and whether a wake is in flight, because they must be told
 * together: a wake that is sent to nobody would never end. Whoever leaves ends it. The epoch is read before joining,
 * so that a wake after it is not slept over.
 */
#ifndef TESTS_BENCH_QUEUES_PARKED_H
#define TESTS_BENCH_QUEUES_PARKED_H

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PARKED_PAUSES = 16, WAKE_IN_FLIGHT = 1, ONE_WAITER = 2 };

struct eventcount {
    uint32_t state; /* ONE_WAITER for each, WAKE_IN_FLIGHT */
    uint32_t epoch; /* the futex */
} __attribute__((aligned(64)));

struct parked {
    struct ring ring;
    struct eventcount gets, puts;
    uint32_t closed;
};

static inline void eventcount_wake(struct eventcount *e, int most)
{
    __atomic_fetch_add(&e->epoch, 1, __ATOMIC_SEQ_CST);
    (void)syscall(SYS_futex, &e->epoch, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

static inline void eventcount_notify(struct eventcount *e)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t s = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
    while (s >= ONE_WAITER && !(s & WAKE_IN_FLIGHT))
        if (__atomic_compare_exchange_n(&e->state, &s, s | WAKE_IN_FLIGHT, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED)) {
            eventcount_wake(e, 1);
            return;
        }
}

static inline uint32_t eventcount_join(struct eventcount *e)
{
    uint32_t epoch = __atomic_load_n(&e->epoch, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&e->state, ONE_WAITER, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return epoch;
}

static inline void eventcount_sleep(struct eventcount *e, uint32_t epoch)
{
    (void)syscall(SYS_futex, &e->epoch, FUTEX_WAIT_PRIVATE, epoch, NULL, NULL, 0);
}

static inline void eventcount_leave(struct eventcount *e)
{
    uint32_t s = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&e->state, &s, (s - ONE_WAITER) & ~(uint32_t)WAKE_IN_FLIGHT,
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void parked_pause(void)
{
    for (int i = 0; i < PARKED_PAUSES; i++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb");
#endif
    }
}

/* Some of them, at least one. */
static size_t parked_put_some(struct parked *q, const struct pen_item *items, size_t n)
{
    size_t k = ring_try_put(&q->ring, items, n);
    if (k > 0)
        return k;
    parked_pause();
    while ((k = ring_try_put(&q->ring, items, n)) == 0) {
        uint32_t epoch = eventcount_join(&q->puts);
        k = ring_try_put(&q->ring, items, n);
        if (k == 0)
            eventcount_sleep(&q->puts, epoch);
        eventcount_leave(&q->puts);
        if (k > 0)
            break;
    }
    if (ring_may_put(&q->ring))
        eventcount_notify(&q->puts);
    return k;
}

static void parked_put(void *queue, const struct pen_item *items, size_t n)
{
    struct parked *q = (struct parked *)queue;
    for (size_t put = 0; put < n;) {
        put += parked_put_some(q, items + put, n - put);
        eventcount_notify(&q->gets);
    }
}

static size_t parked_get(void *queue, struct pen_item *items, size_t max)
{
    struct parked *q = (struct parked *)queue;
    bool slept = false, closed = false;
    size_t n = ring_try_get(&q->ring, items, max);
    while (n == 0 && !closed) {
        uint32_t epoch = eventcount_join(&q->gets);
        closed = __atomic_load_n(&q->closed, __ATOMIC_SEQ_CST) != 0;
        n = ring_try_get(&q->ring, items, max);
        if (n == 0 && !closed)
            eventcount_sleep(&q->gets, epoch);
        eventcount_leave(&q->gets);
        if (n == 0)
            n = ring_try_get(&q->ring, items, max);
        slept = true;
    }
    if (slept && ring_may_get(&q->ring))
        eventcount_notify(&q->gets);
    if (n > 0)
        eventcount_notify(&q->puts);
    return n;
}

static void parked_close(void *queue, const struct queue_shape *shape)
{
    struct parked *q = (struct parked *)queue;
    (void)shape;
    __atomic_store_n(&q->closed, 1, __ATOMIC_SEQ_CST);
    eventcount_wake(&q->gets, INT_MAX);
}

#endif
