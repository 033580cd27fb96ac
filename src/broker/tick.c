/* SPDX-License-Identifier: Apache-2.0
 *
 * Time passes: what is due happens, the earliest first.
 */
#include "broker/ready.h"

static struct wait *earliest(const struct broker *b)
{
    struct wait *first = NULL;
    for (int k = 0; k < WAIT_KINDS; k++) {
        struct wait *w = heap_top(&b->waits[k]);
        if (w != NULL && (first == NULL || w->due.ns < first->due.ns))
            first = w;
    }
    return first;
}

/* Its delay is over. One that was in the queue before goes back to its front. */
static void end_delay(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    struct lane *lane = lane_of(r);
    bool front = lane != NULL ? lane->blocked == i : r->attempts > 0;
    job_leave(b, i);
    ready_add(b, i, front);
}

static void expire(struct broker *b, struct wait *w)
{
    uint32_t i = w->index;
    wait_disarm(b, w);
    if (record_at(b, i)->state == JOB_LEASED)
        return; /* It is seen when it comes back. */
    job_leave(b, i);
    job_drop(b, i, DROP_EXPIRED);
}

static void happen(struct broker *b, struct wait *w)
{
    switch ((enum wait_kind)w->kind) {
    case WAIT_DELAY:
        end_delay(b, w->index);
        break;
    case WAIT_LEASE:
        b->ledger.lease_expired++;
        job_lost(b, w->index, PEN_ELEASE, "its lease has ended");
        break;
    case WAIT_EXPIRY:
        expire(b, w);
        break;
    case WAIT_LANE:
        lane_refresh(b, CONTAINER_OF(w, struct lane, wait));
        break;
    case WAIT_KINDS:
        break;
    }
}

size_t broker_tick(struct broker *b, mono_t now, size_t max)
{
    set_now(b, now);
    size_t n = 0;
    for (struct wait *w; n < max && (w = earliest(b)) != NULL && w->due.ns <= b->now.ns; n++)
        happen(b, w);
    share_anew(b);
    return n;
}

mono_t broker_next_due(const struct broker *b)
{
    const struct wait *first = earliest(b);
    mono_t due = first != NULL ? first->due : PEN_NEVER;
    uint32_t rate = b->limits.rate_max;
    if (rate == 0 || b->paused || (b->plain_mask | b->lane_mask) == 0)
        return due;
    mono_t next = rate_next(b->tat, rate);
    return next.ns > b->now.ns && next.ns < due.ns ? next : due;
}
