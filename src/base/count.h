/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters that one thread writes and any thread reads: a relaxed load and store, no locked
 * instruction. Where several threads must write the same counter, count_add_shared().
 */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

struct count {
    _Atomic uint64_t n; /* atomic: single writer, relaxed; readers may see it a moment late */
};

static inline void count_add(struct count *c, uint64_t n)
{
    atomic_store_explicit(&c->n, atomic_load_explicit(&c->n, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Returns the value before. */
static inline uint64_t count_add_shared(struct count *c, uint64_t n)
{
    return atomic_fetch_add_explicit(&c->n, n, memory_order_relaxed);
}

static inline void count_set(struct count *c, uint64_t n)
{
    atomic_store_explicit(&c->n, n, memory_order_relaxed);
}

static inline uint64_t count_read(const struct count *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

/* Handing something over that is no counter: who takes the value sees what was written before it was given. */
static inline void count_give(struct count *c, uint64_t n)
{
    atomic_store_explicit(&c->n, n, memory_order_release); /* R: C1 */
}

static inline uint64_t count_take(const struct count *c)
{
    return atomic_load_explicit(&c->n, memory_order_acquire); /* A: C1 */
}

/* Reference counts: base is the one place outside sync/ that may hold atomics. */
struct refs {
    _Atomic uint32_t n; /* atomic: R1 the last unref acquires what the others released */
};

static inline void refs_init(struct refs *r, uint32_t n)
{
    atomic_store_explicit(&r->n, n, memory_order_relaxed);
}

static inline void refs_add(struct refs *r, uint32_t n)
{
    atomic_fetch_add_explicit(&r->n, n, memory_order_relaxed);
}

/* True when these were the last: the caller destroys the object. */
static inline _Bool refs_drop(struct refs *r, uint32_t n)
{
    return atomic_fetch_sub_explicit(&r->n, n, memory_order_acq_rel) == n; /* A and R: R1 */
}

#endif
