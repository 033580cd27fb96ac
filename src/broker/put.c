/* SPDX-License-Identifier: Apache-2.0
 *
 * In. A put is claimed first: everything that can refuse it or fail is asked, and room and memory are set aside. Then it is
 * committed, which cannot fail. Whatever must be all or nothing claims all before it commits any.
 */
#include <string.h>

#include "base/limits.h"
#include "broker/ready.h"

/* ---- room ---- */

/* What is held and what is promised, with so many more, is within the bounds. */
static inline bool within(const struct broker *b, uint64_t items, uint64_t bytes)
{
    const struct broker_limits *l = &b->limits;
    return b->held + b->reserved_items + items <= l->items_max &&
           (l->bytes_max == 0 || b->ledger.bytes + b->reserved_bytes + bytes <= l->bytes_max);
}

static bool too_big(const struct broker *b, uint64_t bytes)
{
    return b->limits.bytes_max != 0 && bytes > b->limits.bytes_max;
}

bool broker_has_room(const struct broker *b, uint64_t bytes)
{
    return broker_has_room_for(b, 1, bytes);
}

bool broker_has_room_for(const struct broker *b, size_t items, uint64_t bytes)
{
    bool never = items > b->limits.items_max || too_big(b, bytes);
    return b->shut || b->limits.policy != BROKER_BLOCK || within(b, items, bytes) || never;
}

/* ---- claims ---- */

static bool is_text(const char *text)
{
    return text == NULL || (text[0] != '\0' && strnlen(text, LIMIT_KEY_BYTES + 1) <= LIMIT_KEY_BYTES);
}

static bool is_late(const struct broker *b, const struct job_put *j)
{
    mono_t expires = j->ext->expires_at, from = j->ext->delay_until;
    if (!b->limits.refuse_late || expires.ns == 0)
        return false;
    span_t eta = broker_eta(b, ready_ahead(b, j->priority));
    if (from.ns < b->now.ns)
        from = b->now;
    return eta.ns >= 0 && mono_after(from, eta).ns >= expires.ns;
}

/* Whether its attributes allow it; nothing changes. */
static int vet_ext(struct broker *b, struct job_put *j)
{
    const struct job_ext *ext = j->ext;
    if (!is_text(ext->key) || !is_text(ext->dedupe) || ext->weight > WEIGHT_MAX)
        return PEN_EINVAL;
    const struct twin *twin = ext->dedupe == NULL ? NULL : twin_find(b, ext->dedupe);
    if (twin != NULL) {
        j->ret_id = twin->id;
        return PEN_EDUPLICATE;
    }
    if (ext->expires_at.ns != 0 && ext->expires_at.ns <= b->now.ns)
        return PEN_EEXPIRED;
    return is_late(b, j) ? PEN_ELATE : 0;
}

static int vet(struct broker *b, struct job_put *j)
{
    if (j->priority > PRIORITY_MAX)
        return PEN_EINVAL;
    int r = j->ext == NULL ? 0 : vet_ext(b, j);
    if (r == 0 && too_big(b, j->body.bytes))
        r = PEN_ETOOBIG;
    return r;
}

/* Undo claim_ext(), or what it did before it failed. */
static void unclaim_ext(struct broker *b, struct job_ext *ext)
{
    twin_cancel(b, ext);
    if (ext->lane != NULL)
        lane_unref(b, ext->lane);
    ext->lane = NULL;
    if (ext->claimed_expiry)
        b->expiries--;
    if (ext->claimed_hold)
        b->reserved_holds--;
    ext->claimed_expiry = ext->claimed_hold = false;
}

/* Memory for what it has beside its record. */
static int claim_ext(struct broker *b, struct job_put *j, uint64_t id, mono_t put_at)
{
    struct job_ext *ext = j->ext;
    ext->expiry.place = HEAP_NOWHERE;
    ext->lane = NULL;
    ext->twin = NULL;
    ext->claimed_expiry = ext->claimed_hold = false;
    int r = 0;
    if (ext->expires_at.ns != 0 && (r = expiry_reserve(b)) == 0) {
        ext->claimed_expiry = true;
        b->expiries++;
    }
    if (r == 0 && ext->delay_until.ns > b->now.ns && (r = hold_reserve(b)) == 0) {
        ext->claimed_hold = true;
        b->reserved_holds++;
    }
    if (r == 0 && ext->key != NULL)
        r = lane_get(b, ext, j->priority, &ext->lane);
    if (r == 0 && ext->dedupe != NULL)
        r = twin_new(b, ext, id, put_at);
    if (r < 0)
        unclaim_ext(b, ext);
    return r;
}

/* Memory, and a place within the bounds. */
static int claim(struct broker *b, struct job_put *j, uint64_t id, mono_t put_at)
{
    int r = records_reserve(b, 1);
    if (r == 0 && j->ext != NULL)
        r = claim_ext(b, j, id, put_at);
    if (r < 0)
        return r;
    j->ret_id = id;
    b->reserved_items++;
    b->reserved_bytes += j->body.bytes;
    return 0;
}

static int claim_new(struct broker *b, struct job_put *j)
{
    int r = claim(b, j, b->last_id + 1, b->now);
    if (r == 0)
        b->last_id++;
    return r;
}

static void settle_claim(struct broker *b, const struct job_put *j)
{
    b->reserved_items--;
    b->reserved_bytes -= j->body.bytes;
}

static void unclaim(struct broker *b, struct job_put *j)
{
    settle_claim(b, j);
    if (j->ext != NULL)
        unclaim_ext(b, j->ext);
}

/* ---- commits ---- */

/* A record, which must be there; it is in no state yet. */
static inline uint32_t enter_plain(struct broker *b, const struct job_put *j, uint16_t attempts)
{
    uint32_t i = record_new(b);
    struct record *r = record_at(b, i);
    r->id = j->ret_id;
    r->blob = j->body.blob;
    r->at = j->body.at;
    r->bytes = j->body.bytes;
    r->ext = j->ext;
    r->attempts = attempts;
    r->priority = j->priority;
    b->ledger.accepted++;
    b->ledger.bytes += r->bytes;
    if (b->ledger.items_high < ++b->held)
        b->ledger.items_high = b->held;
    return i;
}

/* The same for what was claimed. */
static uint32_t enter(struct broker *b, const struct job_put *j, uint16_t attempts)
{
    uint32_t i = enter_plain(b, j, attempts);
    settle_claim(b, j);
    if (j->ext == NULL)
        return i;
    j->ext->expiry.index = i;
    if (j->ext->expires_at.ns != 0)
        wait_arm(b, &j->ext->expiry, WAIT_EXPIRY, j->ext->expires_at);
    if (j->ext->claimed_hold)
        b->reserved_holds--;
    return i;
}

static void tell_journal(const struct broker *b, uint32_t i, bool more)
{
    struct job_view view = record_view(b, i);
    b->options.journal->put(b->options.journal_arg, &view, more);
}

static inline void set_receipt(struct job_put *j, uint64_t ahead)
{
    j->ret_status = 0;
    j->ret_position = ahead < UINT32_MAX ? (uint32_t)ahead : UINT32_MAX;
}

static void commit(struct broker *b, struct job_put *j, bool more)
{
    set_receipt(j, ready_ahead(b, j->priority));
    uint32_t i = enter(b, j, 0);
    if (j->ext != NULL)
        j->ext->put_at = b->now;
    if (j->ext != NULL && j->ext->claimed_hold && j->ext->delay_until.ns > b->now.ns)
        job_wait(b, i, j->ext->delay_until, false);
    else
        ready_add(b, i, false);
    if (b->options.journal != NULL)
        tell_journal(b, i, more);
}

/* What claim() and commit() come to for a job without attributes, for which everything is there: the way of nearly all
 * messages, at a third of the instructions. */
static inline bool accept_plain(struct broker *b, struct job_put *j)
{
    if (j->ext != NULL || j->priority > PRIORITY_MAX || b->free_count <= b->reserved_items ||
        !within(b, 1, j->body.bytes))
        return false;
    set_receipt(j, ready_ahead(b, j->priority));
    j->ret_id = ++b->last_id;
    uint32_t i = enter_plain(b, j, 0);
    plain_add(b, record_at(b, i), i);
    return true;
}

/* ---- the journal's room ---- */

struct promise {
    size_t n;
    uint64_t bytes;
};

static void promise_less(struct promise *p, const struct job_put *j)
{
    p->n--;
    p->bytes -= job_bytes(&j->body, j->ext);
}

static int journal_reserve(const struct broker *b, const struct job_put *jobs, size_t n,
                           struct promise *ret_promise)
{
    struct promise p = { .n = n };
    if (b->options.journal == NULL)
        return 0;
    for (size_t k = 0; k < n; k++)
        p.bytes += job_bytes(&jobs[k].body, jobs[k].ext);
    int r = b->options.journal->reserve(b->options.journal_arg, p.n, p.bytes);
    if (r == 0)
        *ret_promise = p;
    return r;
}

static void journal_release(const struct broker *b, const struct promise *left)
{
    if (b->options.journal != NULL && left->n > 0)
        b->options.journal->release(b->options.journal_arg, left->n, left->bytes);
}

/* ---- one by one ---- */

/* What would be left if all that may be dropped for it were. */
static void undroppable(const struct broker *b, uint8_t priority, uint64_t *ret_items,
                        uint64_t *ret_bytes)
{
    bool oldest = b->limits.policy == BROKER_DROP_OLDEST;
    uint64_t items = oldest ? b->ledger.ready + b->ledger.waiting : 0;
    uint64_t bytes = oldest ? b->lane_bytes : 0;
    for (int p = 0; p < LEVELS; p++) {
        if (!oldest && p < priority)
            items += b->levels[p].count;
        if (oldest || p < priority)
            bytes += b->levels[p].bytes;
    }
    *ret_items = b->held - items;
    *ret_bytes = b->ledger.bytes - bytes;
}

static bool is_hopeless(const struct broker *b, const struct job_put *j)
{
    const struct broker_limits *l = &b->limits;
    uint64_t items, bytes;
    undroppable(b, j->priority, &items, &bytes);
    return items + b->reserved_items >= l->items_max ||
           (l->bytes_max != 0 && bytes + b->reserved_bytes + j->body.bytes > l->bytes_max);
}

/* Claim it, then drop until it fits: without memory for it nothing is dropped. */
static int claim_by_force(struct broker *b, struct job_put *j)
{
    int r = claim_new(b, j);
    if (r < 0)
        return r;
    bool oldest = b->limits.policy == BROKER_DROP_OLDEST;
    while (!within(b, 0, 0)) {
        uint32_t i = oldest ? ready_oldest(b) : ready_lowest(b);
        job_leave(b, i);
        job_drop(b, i, oldest ? DROP_OLDEST : DROP_LOWEST);
    }
    return 0;
}

/* 0: claimed; 1: it must wait; or how it ends. */
static int decide(struct broker *b, struct job_put *j)
{
    int r = vet(b, j);
    if (r < 0)
        return r;
    if (within(b, 1, j->body.bytes))
        return claim_new(b, j);
    switch (b->limits.policy) {
    case BROKER_BLOCK:
        return 1;
    case BROKER_REJECT:
        return PEN_EFULL;
    case BROKER_DROP_NEWEST:
        return PEN_EDROPPED;
    case BROKER_DROP_OLDEST:
    case BROKER_DROP_LOWEST:
        break;
    }
    return is_hopeless(b, j) ? PEN_EDROPPED : claim_by_force(b, j);
}

static void count_refusal(struct broker *b, int status)
{
    struct broker_ledger *g = &b->ledger;
    if (status == PEN_EDUPLICATE) {
        g->duplicates++;
    } else if (status == PEN_EDROPPED) {
        g->accepted++;
        g->dropped[DROP_NEWEST]++;
    } else if (status == PEN_EEXPIRED) {
        g->accepted++;
        g->expired++;
    } else {
        g->refused++;
    }
}

int broker_put(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    struct promise left = { 0 };
    set_now(b, now);
    if (b->shut)
        return PEN_ESHUTDOWN;
    int r = journal_reserve(b, jobs, n, &left);
    if (r < 0)
        return r;
    size_t k = 0;
    for (; k < n; k++) {
        if (b->options.journal == NULL && accept_plain(b, &jobs[k]))
            continue;
        int status = decide(b, &jobs[k]);
        if (status > 0)
            break;
        jobs[k].ret_status = status;
        if (status < 0) {
            count_refusal(b, status);
            continue;
        }
        if (b->options.journal != NULL)
            promise_less(&left, &jobs[k]);
        commit(b, &jobs[k], false);
    }
    journal_release(b, &left);
    return (int)k;
}

/* ---- all or none ---- */

/* The batch could never fit. */
static bool never_fits(const struct broker *b, const struct job_put *jobs, size_t n)
{
    uint64_t bytes = 0;
    for (size_t k = 0; k < n; k++)
        bytes += jobs[k].body.bytes;
    return n > b->limits.items_max || too_big(b, bytes);
}

static int no_room(const struct broker *b, const struct job_put *jobs, size_t n)
{
    if (never_fits(b, jobs, n))
        return PEN_ETOOBIG;
    return b->limits.policy == BROKER_BLOCK ? 1 : PEN_EFULL;
}

static void unclaim_all(struct broker *b, struct job_put *jobs, size_t n)
{
    for (size_t k = n; k-- > 0;)
        if (jobs[k].ret_status == 0)
            unclaim(b, &jobs[k]);
}

/* 0: each is claimed (ret_status 0) or a duplicate. 1: they must wait. */
static int claim_all(struct broker *b, struct job_put *jobs, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        int r = vet(b, &jobs[k]);
        if (r == 0)
            r = within(b, 1, jobs[k].body.bytes) ? claim_new(b, &jobs[k]) : no_room(b, jobs, n);
        if (r != 0 && r != PEN_EDUPLICATE) {
            unclaim_all(b, jobs, k);
            return r;
        }
        jobs[k].ret_status = r;
    }
    return 0;
}

/* What was claimed, with the journal's room for it. */
int broker_reserve_put(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    struct promise left = { 0 };
    set_now(b, now);
    if (b->shut)
        return PEN_ESHUTDOWN;
    int r = journal_reserve(b, jobs, n, &left);
    if (r < 0)
        return r;
    r = claim_all(b, jobs, n);
    for (size_t k = 0; k < n && r == 0 && b->options.journal != NULL; k++)
        if (jobs[k].ret_status == 0)
            promise_less(&left, &jobs[k]);
    journal_release(b, &left); /* All, or that of the duplicates. */
    if (r < 0)
        b->ledger.refused += n;
    return r;
}

void broker_put_reserved(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    set_now(b, now);
    size_t last = n;
    while (last > 0 && jobs[last - 1].ret_status != 0)
        last--;
    for (size_t k = 0; k < n; k++) {
        if (jobs[k].ret_status == 0)
            commit(b, &jobs[k], k + 1 < last);
        else
            b->ledger.duplicates++;
    }
}

void broker_unreserve(struct broker *b, struct job_put *jobs, size_t n)
{
    struct promise left = { 0 };
    for (size_t k = 0; k < n; k++) {
        if (jobs[k].ret_status != 0)
            continue;
        left.n++;
        left.bytes += job_bytes(&jobs[k].body, jobs[k].ext);
    }
    unclaim_all(b, jobs, n);
    journal_release(b, &left);
}

int broker_put_all(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    int r = broker_reserve_put(b, jobs, n, now);
    if (r != 0)
        return r < 0 ? r : 0;
    broker_put_reserved(b, jobs, n, now);
    return (int)n;
}

/* ---- from a store ---- */

static void restore_state(struct broker *b, uint32_t i, const struct job_restore *job)
{
    struct record *r = record_at(b, i);
    if (job->state == JOB_BURIED || job->state == JOB_DYING) {
        record_set_state(b, r, job->state);
        list_push_index(b, job->state == JOB_BURIED ? &b->buried : &b->dying, i);
    } else if (job->state == JOB_DELAYED && job->due.ns > b->now.ns) {
        bool first_time = job->ext != NULL && job->ext->delay_until.ns == job->due.ns;
        job_wait(b, i, job->due, !first_time);
    } else {
        ready_add(b, i, false);
    }
}

static bool is_restorable(const struct job_restore *job)
{
    static const bool states[JOB_STATES] = {
        [JOB_READY] = true, [JOB_HELD] = true, [JOB_DELAYED] = true, [JOB_BURIED] = true, [JOB_DYING] = true
    };
    const struct job_ext *ext = job->ext;
    bool texts =
        ext == NULL || (is_text(ext->key) && is_text(ext->dedupe) && ext->weight <= WEIGHT_MAX);
    return job->id != 0 && job->priority <= PRIORITY_MAX && job->state < JOB_STATES &&
           states[job->state] && texts;
}

int broker_restore(struct broker *b, const struct job_restore *job, mono_t now)
{
    struct job_put j = { .body = job->body, .ext = job->ext, .priority = job->priority };
    set_now(b, now);
    if (!is_restorable(job))
        return PEN_EINVAL;
    int r = hold_reserve(b); /* Whether it needs one or not. */
    if (r == 0)
        r = claim(b, &j, job->id, job->ext != NULL ? job->ext->put_at : (mono_t){ 0 });
    if (r < 0)
        return r;
    restore_state(b, enter(b, &j, job->attempts), job);
    if (b->last_id < job->id)
        b->last_id = job->id;
    return 0;
}

void broker_skip_ids(struct broker *b, uint64_t last_id)
{
    if (b->last_id < last_id)
        b->last_id = last_id;
}

int broker_restore_dedupe(struct broker *b, const char *dedupe, uint64_t id, mono_t put_at)
{
    if (dedupe == NULL || !is_text(dedupe))
        return PEN_EINVAL;
    return twin_restore(b, dedupe, id, put_at);
}
