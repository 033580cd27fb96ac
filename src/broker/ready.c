/* SPDX-License-Identifier: Apache-2.0
 *
 * Which job is next. Jobs without a key are first in, first out in the list of their priority; each open lane offers its
 * first job.
 *
 * Ageing: a job of priority p counts as put AGE_JOBS * (9 - p) jobs later than it was; among what the levels offer, the
 * earliest goes. So a job of priority p that has become ready when L was the last id is passed only by jobs with ids below
 * L + AGE_JOBS * (9 - p). No clock and no counter per job: ids go up in order of their puts.
 *
 * Within a level the share decides: the lane that is furthest back, or the jobs without a key, which together are as one
 * lane of weight 1.
 */
#include "broker/ready.h"

/* ---- choosing ---- */

/* A lane goes before the jobs without a key. */
static const struct lane *lane_before_plain(const struct broker *b, const struct level *level)
{
    const struct lane *lane = heap_top(&level->lanes);
    if (lane == NULL || level->plain.head == NIL || lane->vt < b->plain_vt)
        return lane;
    bool older = lane->age < record_at(b, level->plain.head)->id;
    return lane->vt == b->plain_vt && older ? lane : NULL;
}

static uint32_t level_first(const struct broker *b, const struct level *level)
{
    const struct lane *lane = lane_before_plain(b, level);
    return lane != NULL ? lane->first : level->plain.head;
}

/* Of the levels' offers the earliest by age; of two, that of the higher level. */
uint32_t ready_choose(const struct broker *b)
{
    uint32_t best = NIL, mask = b->plain_mask | b->lane_mask;
    uint64_t best_age = UINT64_MAX;
    for (uint32_t left = mask, bit; left != 0; left ^= bit) {
        int p = 31 - __builtin_clz(left);
        bit = 1u << p;
        uint32_t i = level_first(b, &b->levels[p]);
        uint64_t age = record_at(b, i)->id + (uint64_t)AGE_JOBS * (uint64_t)(PRIORITY_MAX - p);
        if (age < best_age) {
            best_age = age;
            best = i;
        }
    }
    return best;
}

/* ---- in and out ---- */

static void plain_add_front(struct broker *b, struct record *r, uint32_t i)
{
    plain_add(b, r, i);
    list_remove_index(b, &b->levels[r->priority].plain, i);
    list_push_index_front(b, &b->levels[r->priority].plain, i);
}

void ready_add(struct broker *b, uint32_t i, bool front)
{
    struct record *r = record_at(b, i);
    struct lane *lane = lane_of(r);
    if (lane != NULL)
        lane_add(b, lane, i, front);
    else if (front)
        plain_add_front(b, r, i);
    else
        plain_add(b, r, i);
}

void ready_remove(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    struct lane *lane = lane_of(r);
    if (lane != NULL) {
        lane_remove(b, lane, i);
    } else {
        struct level *level = &b->levels[r->priority];
        list_remove_index(b, &level->plain, i);
        plain_left(b, level, 1, r->bytes);
    }
}

/* ---- victims ---- */

uint32_t ready_oldest(const struct broker *b)
{
    const struct lane *lane = heap_top(&b->by_age);
    uint32_t best = lane != NULL ? lane->jobs.head : NIL;
    for (int p = 0; p < LEVELS; p++) {
        uint32_t i = b->levels[p].plain.head;
        if (i != NIL && (best == NIL || record_at(b, i)->id < record_at(b, best)->id))
            best = i;
    }
    return best;
}

uint32_t ready_lowest(const struct broker *b)
{
    return b->plain_mask == 0 ? NIL : b->levels[__builtin_ctz(b->plain_mask)].plain.head;
}

/* ---- limits ---- */

size_t ready_allowance(const struct broker *b)
{
    const struct broker_limits *l = &b->limits;
    size_t n = SIZE_MAX;
    if (b->paused || keeps(b))
        return 0;
    if (l->in_flight_max != 0)
        n = b->ledger.in_hand >= l->in_flight_max ? 0 : l->in_flight_max - b->ledger.in_hand;
    if (l->rate_max != 0) {
        int64_t spare = b->now.ns - rate_next(b->tat, l->rate_max).ns;
        /* It is not more than a burst that has been saved up. */
        int64_t saved = b->now.ns - rate_next(b->now, l->rate_max).ns;
        int64_t least = spare < saved ? spare : saved;
        size_t may = least < 0 ? 0 : (size_t)(least / (NS_PER_S / l->rate_max)) + 1;
        n = may < n ? may : n;
    }
    return n;
}

void ready_charge_rate(struct broker *b, size_t n)
{
    if (b->limits.rate_max != 0)
        b->tat = rate_after(b->tat, b->now, b->limits.rate_max, n);
}
