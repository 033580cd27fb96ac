/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue, looked at.
 */
#include "broker/ready.h"

struct job_view record_view(const struct broker *b, uint32_t i)
{
    const struct record *r = record_at(b, i);
    struct job_view view = { .id = r->id,
                             .index = i,
                             .state = (enum job_state)r->state,
                             .attempts = r->attempts,
                             .priority = r->priority,
                             .body = record_body(r),
                             .ext = r->ext };
    if (r->state == JOB_LEASED)
        view.due = PEN_NEVER;
    if ((r->state == JOB_LEASED && r->hold != NIL) || r->state == JOB_DELAYED) {
        const struct hold *h = hold_at(b, r->hold);
        view.due = h->wait.due;
        view.owner = h->owner != NULL ? h->owner->id : 0;
    }
    return view;
}

static uint32_t first_waiting(const struct broker *b, enum wait_kind kind)
{
    const struct wait *w = heap_top(&b->waits[kind]);
    return w == NULL ? NIL : w->index;
}

bool broker_peek(const struct broker *b, enum job_state state, struct job_view *ret_job)
{
    uint32_t i = state == JOB_READY     ? ready_first(b)
                 : state == JOB_DELAYED ? first_waiting(b, WAIT_DELAY)
                 : state == JOB_LEASED  ? first_waiting(b, WAIT_LEASE)
                 : state == JOB_BURIED  ? b->buried.head
                                        : NIL;
    if (i == NIL)
        return false;
    *ret_job = record_view(b, i);
    return true;
}

static bool is_held(const struct record *r)
{
    return r->state != JOB_FREE && r->state != JOB_DROPPED;
}

size_t broker_list(const struct broker *b, uint32_t *cursor, struct job_view *ret_jobs, size_t max)
{
    size_t n = 0;
    for (; *cursor < b->chunks_count * CHUNK_RECORDS && n < max; ++*cursor)
        if (is_held(record_at(b, *cursor)))
            ret_jobs[n++] = record_view(b, *cursor);
    return n;
}

bool broker_find(const struct broker *b, uint64_t id, struct job_view *ret_job)
{
    for (uint32_t i = 0; i < b->chunks_count * CHUNK_RECORDS; i++) {
        const struct record *r = record_at(b, i);
        if (r->id != id || !is_held(r))
            continue;
        *ret_job = record_view(b, i);
        return true;
    }
    return false;
}

/* ---- estimates ---- */

void broker_set_servers(struct broker *b, uint32_t servers)
{
    b->servers = servers;
}

span_t broker_eta(const struct broker *b, uint64_t position)
{
    int64_t ns;
    if (b->servers == 0 || b->service_ns == 0)
        return (span_t){ -1 };
    if (__builtin_mul_overflow((int64_t)(position / b->servers), b->service_ns, &ns))
        ns = INT64_MAX;
    return (span_t){ ns };
}

/* ---- questions ---- */

bool broker_is_shut(const struct broker *b)
{
    return b->shut;
}

bool broker_is_paused(const struct broker *b)
{
    return b->paused;
}

bool broker_has_ready(const struct broker *b)
{
    return (b->plain_mask | b->lane_mask) != 0 && ready_allowance(b) > 0;
}

bool broker_is_idle(const struct broker *b)
{
    const struct broker_ledger *g = &b->ledger;
    if (b->reserved_items > 0)
        return false;
    return keeps(b) ? g->in_hand == 0 && b->dying_out == 0 : b->held == g->buried;
}

bool broker_is_over(const struct broker *b)
{
    const struct broker_ledger *g = &b->ledger;
    if (!b->shut || keeps(b))
        return b->shut;
    return g->ready + g->waiting + g->delayed + g->in_hand + b->reserved_items == 0;
}

bool broker_has_dropped(const struct broker *b)
{
    return b->dropped.head != NIL;
}

bool broker_has_dying(const struct broker *b)
{
    return b->dying.head != NIL;
}

const struct broker_ledger *broker_ledger(const struct broker *b)
{
    return &b->ledger;
}

bool broker_ledger_holds(const struct broker *b)
{
    const struct broker_ledger *g = &b->ledger;
    uint64_t ended = g->done + g->dead + g->expired;
    for (int i = 0; i < DROP_REASONS; i++)
        ended += g->dropped[i];
    return g->accepted == ended + broker_ledger_held(g);
}
