/* SPDX-License-Identifier: Apache-2.0
 *
 * The slots and cursors of a ring that two monitors share: one side writes under its lock, the other reads under
 * another. Only the atomics are here; who may do what, and why it is enough, is told in task/queue.c.
 *
 * Edges (R releases, A acquires):
 *   Q1  slot.ptr: what the putter wrote into the item, the slot's bytes and, being earlier in the putter's program
 *       order, the cursors it moved -> the getter that finds the pointer.
 *   Q2  a cursor: everything its owner did before moving it -> who reads it from the other side.
 *   Q3  ring.next: the larger ring and its first position -> the getter that has emptied this one.
 *   Q4  a hint: a number and nothing else, so it is relaxed.
 */
#ifndef SYNC_RING_H
#define SYNC_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A count that only grows. One side owns it and moves it under its lock; the other side reads it. */
struct cursor {
    _Atomic uint64_t at; /* atomic: edge Q2 */
};

/* The owner's reading. */
static inline uint64_t cursor_own(const struct cursor *c)
{
    return atomic_load_explicit(&c->at, memory_order_relaxed);
}

static inline void cursor_move(struct cursor *c, uint64_t at)
{
    atomic_store_explicit(&c->at, at, memory_order_release); /* R: Q2 */
}

/* The other side's reading: never more than the truth, perhaps less. */
static inline uint64_t cursor_seen(const struct cursor *c)
{
    return atomic_load_explicit(&c->at, memory_order_acquire); /* A: Q2 */
}

/* A number that one side keeps under its lock, and that the other side may see late. */
struct hint {
    _Atomic uint64_t value; /* atomic: edge Q4 */
};

static inline void hint_give(struct hint *h, uint64_t value)
{
    atomic_store_explicit(&h->value, value, memory_order_relaxed); /* R: Q4 */
}

static inline uint64_t hint_seen(const struct hint *h)
{
    return atomic_load_explicit(&h->value, memory_order_relaxed); /* A: Q4 */
}

struct ring_slot {
    void *_Atomic ptr; /* atomic: edge Q1; NULL: free */
    size_t bytes;
};

struct ring {
    uint64_t mask;             /* fixed after init: slots - 1, a power of two less one */
    struct ring *_Atomic next; /* atomic: edge Q3; NULL: this is the newest */
    uint64_t end;              /* with next: the first position that is in it */
    struct ring_slot slots[];
};

/* Room for at least `items` (1 to 2^30) slots, all free. PEN_ENOMEM. */
int ring_new(uint32_t items, struct ring **ret_ring) MUST_CHECK;

/* Free it and those that follow it. */
void ring_free(struct ring *ring);

static inline struct ring_slot *ring_slot(struct ring *r, uint64_t at)
{
    return &r->slots[at & r->mask];
}

/* The putter fills the free slot at `at`. */
static inline void ring_fill(struct ring *r, uint64_t at, void *ptr, size_t bytes)
{
    struct ring_slot *slot = ring_slot(r, at);
    slot->bytes = bytes;
    atomic_store_explicit(&slot->ptr, ptr, memory_order_release); /* R: Q1 */
}

/* The getter empties the slot at `at`; false when it is free. */
static inline bool ring_empty_slot(struct ring *r, uint64_t at, void **ret_ptr, size_t *ret_bytes)
{
    struct ring_slot *slot = ring_slot(r, at);
    void *ptr = atomic_load_explicit(&slot->ptr, memory_order_acquire); /* A: Q1 */
    if (ptr == NULL)
        return false;
    *ret_ptr = ptr;
    *ret_bytes = slot->bytes;
    /* Relaxed: the putter overwrites only after it has seen the head that is moved later (Q2). */
    atomic_store_explicit(&slot->ptr, NULL, memory_order_relaxed);
    return true;
}

/* The getter looks at the slot at `at` and leaves it there. */
static inline bool ring_look(struct ring *r, uint64_t at, void **ret_ptr, size_t *ret_bytes)
{
    struct ring_slot *slot = ring_slot(r, at);
    void *ptr = atomic_load_explicit(&slot->ptr, memory_order_acquire); /* A: Q1 */
    if (ptr == NULL)
        return false;
    *ret_ptr = ptr;
    *ret_bytes = slot->bytes;
    return true;
}

/* Ask for the line of the slot that is filled next, for writing. */
static inline void ring_prefetch(struct ring *r, uint64_t at)
{
    __builtin_prefetch(ring_slot(r, at), 1);
}

/* The putter goes on in a larger ring from position `at`. */
static inline void ring_continue(struct ring *r, struct ring *larger, uint64_t at)
{
    r->end = at;
    atomic_store_explicit(&r->next, larger, memory_order_release); /* R: Q3 */
}

/* The ring that holds position `at`, when the getter has found the slot free here: the next one, or NULL when this
 * one still does. */
static inline struct ring *ring_next(struct ring *r, uint64_t at)
{
    struct ring *next = atomic_load_explicit(&r->next, memory_order_acquire); /* A: Q3 */
    return next != NULL && r->end == at ? next : NULL;
}

#endif
