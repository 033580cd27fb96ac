/* SPDX-License-Identifier: Apache-2.0
 *
 * What is ready: inline what a plain message does, and the rest in ready.c, which tells the rules.
 */
#ifndef BROKER_READY_H
#define BROKER_READY_H

#include "broker/parts.h"

/* ---- jobs without a key ---- */

/* READY, at the end of its priority. */
static inline void plain_add(struct broker *b, struct record *r, uint32_t i)
{
    struct level *level = &b->levels[r->priority];
    record_set_state(b, r, JOB_READY);
    if (b->plain_mask == 0 && b->plain_vt < b->vt)
        b->plain_vt = b->vt;
    list_push_index(b, &level->plain, i);
    b->plain_mask |= 1u << r->priority;
    level->count++;
    level->bytes += r->bytes;
}

/* So many were taken out of this level's list. */
static inline void plain_left(struct broker *b, struct level *level, uint64_t n, uint64_t bytes)
{
    if (level->plain.head == NIL)
        b->plain_mask &= ~(1u << (level - b->levels));
    level->count -= n;
    level->bytes -= bytes;
}

static inline void plain_served(struct broker *b)
{
    if (b->vt < b->plain_vt)
        b->vt = b->plain_vt;
}

/* The first of its priority. */
static inline void plain_take(struct broker *b, struct record *r)
{
    struct level *level = &b->levels[r->priority];
    (void)list_shift_index(b, &level->plain);
    plain_left(b, level, 1, r->bytes);
    record_set_state(b, r, JOB_LEASED);
    plain_served(b);
}

/* ---- all jobs ---- */

/* READY or HELD now, at the end or the front of its kind. */
void ready_add(struct broker *b, uint32_t i, bool front);
/* Out of where it was; its state is the caller's to change. */
void ready_remove(struct broker *b, uint32_t i);

/* The next one when there is a choice, or NIL. */
uint32_t ready_choose(const struct broker *b);

/* The next one, or NIL. */
static inline uint32_t ready_first(const struct broker *b)
{
    uint32_t mask = b->plain_mask;
    bool simple = b->lane_mask == 0 && mask != 0 && (mask & (mask - 1)) == 0;
    return simple ? b->levels[__builtin_ctz(mask)].plain.head : ready_choose(b);
}

/* What ready_first() has told is LEASED now. */
static inline void ready_take(struct broker *b, struct record *first)
{
    struct lane *lane = lane_of(first);
    if (lane != NULL)
        lane_take(b, lane);
    else
        plain_take(b, first);
}

/* How many go before one of this priority that comes now, as far as can be told. */
static inline uint64_t ready_ahead(const struct broker *b, uint8_t priority)
{
    uint64_t n = b->ledger.ready + b->ledger.waiting;
    for (uint32_t lower = b->plain_mask & ((1u << priority) - 1); lower != 0; lower &= lower - 1)
        n -= b->levels[__builtin_ctz(lower)].count;
    return n;
}

/* ---- victims ---- */

/* The oldest, or NIL. */
uint32_t ready_oldest(const struct broker *b);
/* The oldest without a key of the lowest priority, or NIL. */
uint32_t ready_lowest(const struct broker *b);

/* ---- limits ---- */

/* What may still be handed out now. */
size_t ready_allowance(const struct broker *b);
/* So many were handed out. */
void ready_charge_rate(struct broker *b, size_t n);

#endif
