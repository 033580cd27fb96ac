/* SPDX-License-Identifier: Apache-2.0
 *
 * Attempts: a job goes out, and comes back to an end, or to be tried again.
 *
 * What comes back goes to the front, where it was; only one that failed and has no backoff goes to the end, so that it does not
 * hold up the others again and again. Of a key, it goes to the front in any case.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "broker/ready.h"

/* ---- ends ---- */

static void forget_lane(struct broker *b, struct job_ext *ext)
{
    struct lane *lane = ext->lane;
    if (lane == NULL)
        return;
    ext->lane = NULL;
    lane_refresh(b, lane);
    lane_unref(b, lane);
}

/* It has ended: what it has of the queue's is given back. */
static void forget(struct broker *b, struct job_ext *ext)
{
    wait_disarm(b, &ext->expiry);
    if (ext->expires_at.ns != 0)
        b->expiries--;
    forget_lane(b, ext);
    twin_release(b, ext);
}

void job_drop(struct broker *b, uint32_t i, enum drop_reason reason)
{
    struct record *r = record_at(b, i);
    if (r->ext != NULL)
        forget(b, r->ext);
    record_set_state(b, r, JOB_DROPPED);
    r->reason = (uint16_t)reason;
    list_push_index(b, &b->dropped, i);
    b->dropped_count++;
    b->held--;
    b->ledger.bytes -= r->bytes;
    if (reason == DROP_EXPIRED)
        b->ledger.expired++;
    else
        b->ledger.dropped[reason]++;
    journal_end(b, r->id, reason == DROP_EXPIRED ? END_EXPIRED : END_DROPPED, reason);
}

static void count_end(struct broker *b, uint64_t id, enum job_outcome outcome)
{
    if (outcome == OUTCOME_DEAD) {
        b->ledger.dead++;
        journal_end(b, id, END_DEAD, DROP_FAILED);
    } else {
        enum drop_reason reason = outcome == OUTCOME_CANCELED ? DROP_SHUTDOWN : DROP_FAILED;
        b->ledger.dropped[reason]++;
        journal_end(b, id, END_DROPPED, reason);
    }
}

/* Ended by whoever had it, who gets the body and the ext. */
static inline void finish(struct broker *b, struct record *r, uint32_t i, struct job_settle *s)
{
    s->ret_body = record_body(r);
    s->ret_ext = r->ext;
    if (r->ext != NULL)
        forget(b, r->ext);
    b->held--;
    b->ledger.bytes -= r->bytes;
    if (s->outcome == OUTCOME_DONE) {
        b->ledger.done++;
        journal_end(b, r->id, END_DONE, DROP_FAILED);
    } else {
        count_end(b, r->id, s->outcome);
    }
    record_free(b, r, i);
}

/* ---- moves ---- */

void job_leave(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    struct lane *lane = lane_of(r);
    if (r->state == JOB_BURIED) {
        list_remove_index(b, &b->buried, i);
    } else if (r->state == JOB_DELAYED) {
        hold_free(b, r->hold);
        if (lane != NULL && lane->blocked == i) {
            lane->blocked = NIL;
            lane_refresh(b, lane);
        }
    } else {
        ready_remove(b, i);
    }
}

/* Nothing waits for the lane's sake any more: what is behind may go. */
static void refresh_lane_of(struct broker *b, const struct record *r)
{
    struct lane *lane = lane_of(r);
    if (lane != NULL)
        lane_refresh(b, lane);
}

static bool drops_all(const struct broker *b)
{
    return b->shut && b->shut_mode == BROKER_DROP;
}

void job_again(struct broker *b, uint32_t i, bool front)
{
    struct record *r = record_at(b, i);
    if (drops_all(b)) {
        job_drop(b, i, DROP_SHUTDOWN);
        return;
    }
    ready_add(b, i, front);
    refresh_lane_of(b, r);
    journal_change(b, i);
}

void job_wait(struct broker *b, uint32_t i, mono_t due, bool in_order)
{
    struct record *r = record_at(b, i);
    struct lane *lane = lane_of(r);
    record_set_state(b, r, JOB_DELAYED);
    r->hold = hold_new(b, i);
    wait_arm(b, &hold_at(b, r->hold)->wait, WAIT_DELAY, due);
    if (lane != NULL && in_order && is_ordered(b))
        lane->blocked = i;
    refresh_lane_of(b, r);
}

/* Not before so long; at once when there is no memory to wait in. */
static void again_after(struct broker *b, uint32_t i, span_t delay, bool front)
{
    if (delay.ns <= 0 || drops_all(b) || hold_reserve(b) < 0) {
        job_again(b, i, front || delay.ns > 0);
        return;
    }
    job_wait(b, i, mono_after(b->now, delay), true);
    journal_change(b, i);
}

static void bury(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    b->ledger.buried_ever++;
    if (b->shut && !keeps(b)) { /* Nobody will kick it. */
        job_drop(b, i, DROP_SHUTDOWN);
        return;
    }
    record_set_state(b, r, JOB_BURIED);
    list_push_index(b, &b->buried, i);
    refresh_lane_of(b, r);
    journal_change(b, i);
}

/* Failed for good. */
static void die(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    if (!b->limits.dead_letters) {
        job_drop(b, i, DROP_FAILED);
        return;
    }
    if (r->ext != NULL) {
        forget_lane(b, r->ext);
        wait_disarm(b, &r->ext->expiry);
    }
    record_set_state(b, r, JOB_DYING);
    list_push_index(b, &b->dying, i);
    journal_change(b, i);
}

/* ---- failures ---- */

static char *copy_of(const char *text, size_t max)
{
    return text == NULL ? NULL : strndup(text, max);
}

/* Best effort: without memory the attempt counts all the same, and only its story is lost. */
static void note_failure(struct broker *b, struct record *r, const struct job_failure *why)
{
    if (r->ext == NULL && job_ext_new(&r->ext) < 0)
        return;
    struct job_ext *ext = r->ext;
    ext->last_failed_at = b->now;
    if (ext->first_failed_at.ns == 0)
        ext->first_failed_at = b->now;
    if (why == NULL)
        return;
    ext->error = why->error;
    free(ext->error_text);
    ext->error_text = copy_of(why->text, LIMIT_ERROR_TEXT_BYTES);
    free(ext->failed_by);
    ext->failed_by = copy_of(why->by, LIMIT_NAME_BYTES);
}

/* Full jitter: evenly from 0 to the bound, which doubles with each attempt. */
static span_t backoff(struct broker *b, unsigned attempts)
{
    uint64_t base = (uint64_t)b->limits.backoff_base.ns, cap = (uint64_t)b->limits.backoff_cap.ns;
    if (base == 0)
        return (span_t){ 0 };
    if (cap < base)
        cap = base;
    unsigned doublings = attempts > 0 ? attempts - 1 : 0;
    uint64_t bound = doublings >= 63 || base > cap >> doublings ? cap : base << doublings;
    uint64_t z = b->random += 0x9e3779b97f4a7c15; /* SplitMix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (span_t){ (int64_t)((z ^ (z >> 31)) % (bound + 1)) };
}

static bool was_last(const struct broker *b, const struct record *r)
{
    const struct broker_limits *l = &b->limits;
    uint16_t max =
        r->ext != NULL && r->ext->attempts_max != 0 ? r->ext->attempts_max : l->attempts_max;
    return (max != 0 && r->attempts >= max) ||
           (l->crashes_max != 0 && r->ext != NULL && r->ext->crashes >= l->crashes_max);
}

/* It has landed. `at_once`: not its own fault, so it does not wait. */
static void retry(struct broker *b, uint32_t i, const struct job_failure *why, bool at_once)
{
    struct record *r = record_at(b, i);
    note_failure(b, r, why);
    if (job_is_expired(b, r)) {
        job_drop(b, i, DROP_EXPIRED);
        return;
    }
    if (was_last(b, r)) {
        die(b, i);
        return;
    }
    b->ledger.retried++;
    span_t delay = at_once ? (span_t){ 0 } : backoff(b, r->attempts);
    if (why != NULL && delay.ns < why->delay.ns)
        delay = why->delay;
    again_after(b, i, delay, at_once || lane_of(r) != NULL);
}

static void crash(struct broker *b, uint32_t i, const struct job_failure *why)
{
    static const struct job_failure unknown = { .error = PEN_ECRASHED };
    struct record *r = record_at(b, i);
    b->ledger.crashed++;
    if (r->ext != NULL || job_ext_new(&r->ext) == 0)
        r->ext->crashes++;
    retry(b, i, why != NULL ? why : &unknown, false);
}

static void release(struct broker *b, uint32_t i, const struct job_failure *why)
{
    struct record *r = record_at(b, i);
    b->ledger.released++;
    if (why != NULL && why->uncharged && r->attempts > 0)
        r->attempts--;
    if (job_is_expired(b, r))
        job_drop(b, i, DROP_EXPIRED);
    else
        again_after(b, i, why != NULL ? why->delay : (span_t){ 0 }, true);
}

/* ---- back ---- */

/* Returns how long it was held. */
static int64_t end_lease_of(struct broker *b, struct record *r)
{
    int64_t held_ns = b->now.ns - hold_at(b, r->hold)->since.ns;
    lease_end(b, r->hold);
    r->hold = NIL;
    return held_ns;
}

/* Out of the hands that had it; it stays LEASED until it is put somewhere. */
static inline void land(struct broker *b, struct record *r, int64_t cpu_ns, int64_t service_ns)
{
    int64_t held_ns = r->hold == NIL ? 0 : end_lease_of(b, r);
    int64_t cost_ns = cpu_ns > 0 ? cpu_ns : held_ns, took_ns = service_ns > 0 ? service_ns : held_ns;
    if (took_ns > 0)
        b->service_ns += b->service_ns == 0 ? took_ns : (took_ns - b->service_ns) / 16;
    if (lane_of(r) != NULL)
        lane_landed(b, r->ext->lane, cost_ns);
    else
        b->plain_vt += cost_of(cost_ns, 1);
    if (b->vt_top < b->plain_vt)
        b->vt_top = b->plain_vt;
}

void job_lost(struct broker *b, uint32_t i, int error, const char *text)
{
    struct job_failure why = { .error = error, .text = text, .by = JOB_BY_WORKER };
    land(b, record_at(b, i), 0, 0);
    retry(b, i, &why, true);
}

static inline int find_in_hand(struct broker *b, const struct job_settle *s, uint32_t *ret_index)
{
    if (s->lease != 0) {
        const struct hold *h = lease_find(b, s->id, s->lease);
        if (h == NULL) {
            b->ledger.late++;
            return PEN_ELEASE;
        }
        *ret_index = h->wait.index;
        return 0;
    }
    if (s->index >= b->chunks_count * CHUNK_RECORDS)
        return PEN_ETOOMANY;
    const struct record *r = record_at(b, s->index);
    bool ours = (r->state == JOB_LEASED && r->hold == NIL) ||
                (r->state == JOB_DYING && r->prev == HANDED_OUT);
    if (!ours || r->id != s->id)
        return PEN_ETOOMANY;
    *ret_index = s->index;
    return 0;
}

/* A dying job that could not be moved yet. */
static void offer_again(struct broker *b, uint32_t i)
{
    list_push_index(b, &b->dying, i);
}

/* It goes on: the caller gets nothing. */
static void go_on(struct broker *b, uint32_t i, struct job_settle *s)
{
    s->ret_body = (struct slice){ 0 };
    s->ret_ext = NULL;
    if (record_at(b, i)->state == JOB_DYING) {
        offer_again(b, i);
        return;
    }
    switch (s->outcome) {
    case OUTCOME_RETRY:
        retry(b, i, s->why, false);
        break;
    case OUTCOME_CRASHED:
        crash(b, i, s->why);
        break;
    case OUTCOME_RELEASED:
        release(b, i, s->why);
        break;
    case OUTCOME_BURIED:
        note_failure(b, record_at(b, i), s->why);
        bury(b, i);
        break;
    default:
        break;
    }
}

static inline void settle(struct broker *b, uint32_t i, struct job_settle *s)
{
    struct record *r = record_at(b, i);
    if (r->state == JOB_DYING)
        b->dying_out--;
    else
        land(b, r, s->cpu_ns, s->service_ns);
    if (s->outcome <= OUTCOME_CANCELED)
        finish(b, r, i, s);
    else
        go_on(b, i, s);
}

int broker_settle(struct broker *b, struct job_settle *jobs, size_t n, mono_t now,
                  size_t *ret_settled)
{
    set_now(b, now);
    int r = 0;
    size_t k = 0;
    for (uint32_t i; k < n && (r = find_in_hand(b, &jobs[k], &i)) == 0; k++)
        settle(b, i, &jobs[k]);
    share_anew(b);
    *ret_settled = k;
    return r;
}

/* ---- out ---- */

static inline void hand_out(struct record *r, uint32_t i, uint64_t lease, struct job *ret_job)
{
    if (r->attempts < UINT16_MAX)
        r->attempts++;
    *ret_job = (struct job){ .id = r->id,
                             .lease = lease,
                             .index = i,
                             .attempt = r->attempts,
                             .priority = r->priority,
                             .body = record_body(r),
                             .ext = r->ext };
}

/* The next one that has not expired; those that have are dropped. */
static inline uint32_t next_fresh(struct broker *b)
{
    for (;;) {
        uint32_t i = ready_first(b);
        if (i == NIL || !job_is_expired(b, record_at(b, i)))
            return i;
        job_leave(b, i);
        job_drop(b, i, DROP_EXPIRED);
    }
}

/* Jobs without attributes, of which there is no choice: the way of nearly all messages, at two thirds of the instructions. */
static size_t take_run(struct broker *b, struct job *ret_jobs, size_t max)
{
    uint32_t mask = b->plain_mask;
    if (b->lane_mask != 0 || mask == 0 || (mask & (mask - 1)) != 0)
        return 0;
    struct level *level = &b->levels[__builtin_ctz(mask)];
    uint64_t bytes = 0;
    size_t n = 0;
    for (uint32_t i; n < max && (i = level->plain.head) != NIL; n++) {
        struct record *r = record_at(b, i);
        if (r->ext != NULL)
            break;
        (void)list_shift_index(b, &level->plain);
        record_set_state(b, r, JOB_LEASED);
        r->hold = NIL;
        bytes += r->bytes;
        hand_out(r, i, 0, &ret_jobs[n]);
    }
    plain_left(b, level, n, bytes);
    if (n > 0)
        plain_served(b);
    return n;
}

static size_t take_for_handler(struct broker *b, struct job *ret_jobs, size_t max)
{
    size_t n = take_run(b, ret_jobs, max);
    for (uint32_t i; n < max && (i = next_fresh(b)) != NIL; n++) {
        struct record *r = record_at(b, i);
        ready_take(b, r);
        r->hold = NIL;
        hand_out(r, i, 0, &ret_jobs[n]);
    }
    return n;
}

static int take_for_worker(struct broker *b, const struct job_take *how, struct job *ret_jobs,
                           size_t max)
{
    struct owner *owner;
    size_t n = 0;
    for (uint32_t i; n < max && (i = next_fresh(b)) != NIL; n++) {
        int r = n > 0 ? 0 : owner_get(b, how->owner, &owner);
        if (r == 0)
            r = hold_reserve(b);
        if (r < 0)
            return n > 0 ? (int)n : r;
        struct record *record = record_at(b, i);
        ready_take(b, record);
        record->hold = hold_new(b, i);
        hand_out(record, i, lease_start(b, record->hold, owner, how->lease), &ret_jobs[n]);
    }
    return (int)n;
}

int broker_take(struct broker *b, const struct job_take *how, struct job *ret_jobs, mono_t now)
{
    set_now(b, now);
    size_t may = ready_allowance(b), max = how->max < may ? how->max : may;
    int n = how->lease.ns > 0 ? take_for_worker(b, how, ret_jobs, max)
                              : (int)take_for_handler(b, ret_jobs, max);
    if (n > 0) {
        ready_charge_rate(b, (size_t)n);
        b->ledger.taken += (uint64_t)n;
    }
    return n;
}

size_t broker_take_dying(struct broker *b, struct job *ret_jobs, size_t max)
{
    size_t n = 0;
    for (uint32_t i; n < max && (i = list_shift_index(b, &b->dying)) != NIL; n++) {
        struct record *r = record_at(b, i);
        r->prev = HANDED_OUT;
        ret_jobs[n] = (struct job){ .id = r->id,
                                    .index = i,
                                    .attempt = r->attempts,
                                    .priority = r->priority,
                                    .body = record_body(r),
                                    .ext = r->ext };
    }
    b->dying_out += (uint32_t)n;
    return n;
}

/* ---- while it is out ---- */

int broker_touch(struct broker *b, uint64_t id, uint64_t lease, span_t span, mono_t now)
{
    set_now(b, now);
    struct hold *h = lease_find(b, id, lease);
    if (span.ns <= 0)
        return PEN_EINVAL;
    if (h == NULL) {
        b->ledger.late++;
        return PEN_ELEASE;
    }
    wait_disarm(b, &h->wait);
    wait_arm(b, &h->wait, WAIT_LEASE, mono_after(b->now, span));
    return 0;
}

int broker_progress(struct broker *b, uint64_t id, uint64_t lease, const char *text)
{
    const struct hold *h = lease_find(b, id, lease);
    if (h == NULL) {
        b->ledger.late++;
        return PEN_ELEASE;
    }
    struct record *r = record_at(b, h->wait.index);
    char *copy = strndup(text, LIMIT_PROGRESS_BYTES);
    if (copy == NULL || (r->ext == NULL && job_ext_new(&r->ext) < 0)) {
        free(copy);
        return PEN_ENOMEM;
    }
    free(r->ext->progress);
    r->ext->progress = copy;
    return 0;
}

uint32_t broker_owner_gone(struct broker *b, uint64_t id, mono_t now)
{
    set_now(b, now);
    struct owner *owner = owner_find(b, id);
    uint32_t n = 0;
    if (owner == NULL || list_empty(&owner->holds))
        return 0;
    /* The last that it took first, so that at the front they are in order again. Without a lease it may be freed. */
    for (bool more = true; more; n++) {
        const struct hold *h = CONTAINER_OF(owner->holds.prev, struct hold, node);
        more = owner->holds.next != owner->holds.prev;
        job_lost(b, h->wait.index, PEN_EEXITED, "its worker has gone");
    }
    b->ledger.released += n;
    share_anew(b);
    return n;
}
