/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of one queue.
 *
 * Jobs are records of 48 bytes in a slab, linked by 32-bit indices: no allocation and no atomic per message once the
 * slab has grown to its working size. The slab grows by chunks that never move. Lists are first in, first out;
 * a dropped job stays in its record until it is reaped, so that dropping never allocates, cannot fail, and a
 * purge of a full queue is given back in batches.
 *
 * The bounds count what is held, ready and in hand together: a job in hand still occupies its payload.
 *
 * Rejected: a ring of records instead of lists (settling out of order leaves holes, and priorities and
 * delays need lists anyway); one allocation per job (malloc and free were 40 ns of a 200 ns budget).
 */
#include "broker/queue.h"

#include <stdlib.h>

#include "base/check.h"

enum { CHUNK_RECORDS = 1024, NIL = UINT32_MAX };

struct record {
    uint64_t id;
    struct blob *blob;
    const uint8_t *at;
    struct job_ext *ext;
    uint32_t bytes;
    uint32_t next;
    uint32_t prev;
    uint8_t state; /* enum job_state */
    uint8_t reason;
    uint16_t spare;
};
_Static_assert(sizeof(struct record) == 48, "a job costs 48 bytes");

struct index_list {
    uint32_t head, tail;
};

struct broker {
    struct broker_limits limits;
    struct record **chunks;
    uint32_t chunks_count, chunks_cap;
    uint32_t free_head, free_tail;
    struct index_list ready, dropped;
    uint32_t dropped_count;
    uint64_t ready_bytes;
    uint64_t last_id;
    bool shut, paused;
    struct broker_ledger ledger;
};

/* ---- records and lists ---- */

static struct record *record_at(const struct broker *b, uint32_t i)
{
    return &b->chunks[i / CHUNK_RECORDS][i % CHUNK_RECORDS];
}

static const uint16_t legal_moves[JOB_STATES] = {
    /* from: to, as bits */
    [JOB_FREE] = 1 << JOB_READY,
    [JOB_READY] = 1 << JOB_LEASED | 1 << JOB_DROPPED,
    [JOB_LEASED] = 1 << JOB_FREE | 1 << JOB_DROPPED,
    [JOB_DROPPED] = 1 << JOB_FREE,
};

static void record_set_state(struct record *r, enum job_state state)
{
    check(legal_moves[r->state] & (1 << state));
    r->state = (uint8_t)state;
}

static void list_push(struct broker *b, struct index_list *l, uint32_t i)
{
    struct record *r = record_at(b, i);
    r->next = NIL;
    r->prev = l->tail;
    if (l->tail != NIL)
        record_at(b, l->tail)->next = i;
    else
        l->head = i;
    l->tail = i;
}

static uint32_t list_shift(struct broker *b, struct index_list *l)
{
    uint32_t i = l->head;
    if (i == NIL)
        return NIL;
    l->head = record_at(b, i)->next;
    if (l->head != NIL)
        record_at(b, l->head)->prev = NIL;
    else
        l->tail = NIL;
    return i;
}

static void record_free(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    record_set_state(r, JOB_FREE);
    r->blob = NULL;
    r->ext = NULL;
    r->next = NIL;
    if (b->free_head == NIL)
        b->free_head = i;
    else
        record_at(b, b->free_tail)->next = i;
    b->free_tail = i;
}

/* Another chunk for the free list. */
static int slab_grow(struct broker *b)
{
    if (b->chunks_count == b->chunks_cap) {
        uint32_t cap = b->chunks_cap == 0 ? 8 : b->chunks_cap * 2;
        struct record **chunks = reallocarray(b->chunks, cap, sizeof *chunks);
        if (chunks == NULL)
            return PEN_ENOMEM;
        b->chunks = chunks;
        b->chunks_cap = cap;
    }
    struct record *chunk = calloc(CHUNK_RECORDS, sizeof *chunk);
    if (chunk == NULL)
        return PEN_ENOMEM;
    uint32_t first = b->chunks_count * CHUNK_RECORDS;
    b->chunks[b->chunks_count++] = chunk;
    for (uint32_t k = CHUNK_RECORDS; k-- > 0;) {
        chunk[k].next = b->free_head;
        if (b->free_head == NIL)
            b->free_tail = first + k;
        b->free_head = first + k;
    }
    return 0;
}

static struct slice record_body(const struct record *r)
{
    return (struct slice){ .blob = r->blob, .at = r->at, .bytes = r->bytes };
}

/* ---- moves ---- */

static uint64_t held(const struct broker *b)
{
    return broker_ledger_held(&b->ledger);
}

static void drop(struct broker *b, uint32_t i, enum drop_reason reason)
{
    struct record *r = record_at(b, i);
    record_set_state(r, JOB_DROPPED);
    r->reason = (uint8_t)reason;
    list_push(b, &b->dropped, i);
    b->dropped_count++;
    b->ledger.bytes -= r->bytes;
    b->ledger.dropped[reason]++;
}

/* The oldest ready job leaves the ready list; NIL when there is none. */
static uint32_t shift_ready(struct broker *b)
{
    uint32_t i = list_shift(b, &b->ready);
    if (i != NIL) {
        b->ledger.ready--;
        b->ready_bytes -= record_at(b, i)->bytes;
    }
    return i;
}

static uint64_t drop_ready(struct broker *b, enum drop_reason reason)
{
    uint64_t n = 0;
    for (uint32_t i; (i = shift_ready(b)) != NIL; n++)
        drop(b, i, reason);
    return n;
}

static bool fits(const struct broker *b, uint64_t bytes)
{
    return held(b) < b->limits.items_max &&
           (b->limits.bytes_max == 0 || b->ledger.bytes + bytes <= b->limits.bytes_max);
}

/* What fills the queue is in hand: dropping what is ready would not make room. */
static bool hopeless(const struct broker *b, uint64_t bytes)
{
    uint64_t in_hand_bytes = b->ledger.bytes - b->ready_bytes;
    return b->ledger.in_hand >= b->limits.items_max ||
           (b->limits.bytes_max != 0 && in_hand_bytes + bytes > b->limits.bytes_max);
}

/* There is a free record; after PEN_ENOMEM nothing has changed. */
static int reserve(struct broker *b)
{
    return b->free_head != NIL ? 0 : slab_grow(b);
}

static int accept(struct broker *b, struct job_put *j)
{
    int e = reserve(b);
    if (e < 0)
        return e;
    uint32_t i = b->free_head;
    struct record *r = record_at(b, i);
    b->free_head = r->next;
    record_set_state(r, JOB_READY);
    r->id = j->ret_id = ++b->last_id;
    r->blob = j->body.blob;
    r->at = j->body.at;
    r->bytes = j->body.bytes;
    r->ext = j->ext;
    list_push(b, &b->ready, i);
    struct broker_ledger *g = &b->ledger;
    g->accepted++;
    g->ready++;
    g->bytes += r->bytes;
    b->ready_bytes += r->bytes;
    if (held(b) > g->items_high)
        g->items_high = held(b);
    return 0;
}

/* Drop ready jobs, oldest first, until this one fits. */
static int accept_for_oldest(struct broker *b, struct job_put *j)
{
    int r = reserve(b);
    if (r < 0)
        return r; /* Before anything was dropped for it. */
    while (!fits(b, j->body.bytes))
        drop(b, shift_ready(b), DROP_OLDEST);
    return accept(b, j);
}

static bool too_big(const struct broker *b, uint64_t bytes)
{
    return b->limits.bytes_max != 0 && bytes > b->limits.bytes_max;
}

/* Decide one put that may not fit; 1 when it must wait. */
static int decide(struct broker *b, struct job_put *j)
{
    if (too_big(b, j->body.bytes))
        return PEN_ETOOBIG;
    if (fits(b, j->body.bytes))
        return accept(b, j);
    switch (b->limits.policy) {
    case BROKER_BLOCK:
        return 1;
    case BROKER_DROP_OLDEST:
        if (!hopeless(b, j->body.bytes))
            return accept_for_oldest(b, j);
        break;
    case BROKER_DROP_NEWEST:
    case BROKER_DROP_LOWEST:
        break;
    case BROKER_REJECT:
        return PEN_EFULL;
    }
    b->ledger.accepted++;
    b->ledger.dropped[DROP_NEWEST]++;
    return PEN_EDROPPED;
}

/* ---- commands ---- */

int broker_put(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    (void)now;
    if (b->shut)
        return PEN_ESHUTDOWN;
    size_t i = 0;
    for (; i < n; i++) {
        int status = decide(b, &jobs[i]);
        if (status > 0)
            break;
        jobs[i].ret_status = status;
        if (status < 0 && status != PEN_EDROPPED)
            b->ledger.refused++;
    }
    return (int)i;
}

int broker_take(struct broker *b, const struct job_take *how, struct job *ret_jobs, mono_t now)
{
    (void)now;
    if (how->lease.ns != 0)
        return PEN_EINVAL;
    if (b->paused)
        return 0;
    size_t n = 0, max = how->max;
    for (uint32_t i; n < max && (i = shift_ready(b)) != NIL; n++) {
        struct record *r = record_at(b, i);
        record_set_state(r, JOB_LEASED);
        ret_jobs[n] = (struct job){ .id = r->id, .index = i, .body = record_body(r), .ext = r->ext };
    }
    b->ledger.in_hand += n;
    return (int)n;
}

static void end_in_hand(struct broker *b, struct job_settle *s, struct record *r)
{
    static const enum drop_reason reasons[] = {
        [OUTCOME_FAILED] = DROP_FAILED, [OUTCOME_CANCELED] = DROP_SHUTDOWN
    };
    s->ret_body = record_body(r);
    s->ret_ext = r->ext;
    b->ledger.in_hand--;
    b->ledger.bytes -= r->bytes;
    if (s->outcome == OUTCOME_DONE)
        b->ledger.done++;
    else if (s->outcome == OUTCOME_DEAD)
        b->ledger.dead++;
    else
        b->ledger.dropped[reasons[s->outcome]]++;
    record_free(b, s->index);
}

int broker_settle(struct broker *b, struct job_settle *jobs, size_t n, mono_t now,
                  size_t *ret_settled)
{
    (void)now;
    for (size_t k = 0; k < n; k++) {
        struct job_settle *s = &jobs[k];
        struct record *r = s->index < b->chunks_count * CHUNK_RECORDS ? record_at(b, s->index) : NULL;
        if (r == NULL || r->state != JOB_LEASED || r->id != s->id) {
            *ret_settled = k;
            return PEN_ETOOMANY;
        }
        end_in_hand(b, s, r);
    }
    *ret_settled = n;
    return 0;
}

struct broker_drops broker_take_drops(struct broker *b)
{
    struct broker_drops all = { .head = b->dropped.head,
                                .tail = b->dropped.tail,
                                .count = b->dropped_count };
    b->dropped = (struct index_list){ NIL, NIL };
    b->dropped_count = 0;
    return all;
}

size_t broker_reap(struct broker *b, struct broker_drops *drops, struct job_dropped *ret_jobs,
                   size_t max)
{
    struct index_list from = { drops->head, drops->tail };
    size_t n = 0;
    for (uint32_t i; n < max && (i = list_shift(b, &from)) != NIL; n++) {
        struct record *r = record_at(b, i);
        ret_jobs[n] = (struct job_dropped){
            .id = r->id, .reason = (enum drop_reason)r->reason, .body = record_body(r), .ext = r->ext
        };
        record_free(b, i);
    }
    *drops = (struct broker_drops){ .head = from.head,
                                    .tail = from.tail,
                                    .count = drops->count - (uint32_t)n };
    return n;
}

void broker_shutdown(struct broker *b, enum broker_shut mode)
{
    b->shut = true;
    b->paused = false;
    if (mode == BROKER_DROP)
        (void)drop_ready(b, DROP_SHUTDOWN);
}

void broker_set_paused(struct broker *b, bool paused)
{
    b->paused = paused;
}

uint64_t broker_purge(struct broker *b)
{
    return drop_ready(b, DROP_PURGED);
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
    return !b->paused && b->ready.head != NIL;
}

bool broker_has_room(const struct broker *b, uint64_t bytes)
{
    return b->shut || b->limits.policy != BROKER_BLOCK || fits(b, bytes) || too_big(b, bytes);
}

bool broker_is_idle(const struct broker *b)
{
    return held(b) == 0;
}

bool broker_has_dropped(const struct broker *b)
{
    return b->dropped.head != NIL;
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
    return g->accepted == ended + held(b);
}

/* ---- making and freeing ---- */

int broker_new(const struct broker_options *options, struct broker **ret_broker)
{
    const struct broker_limits *limits = &options->limits;
    if (limits->items_max == 0 || limits->items_max > 1u << 30)
        return PEN_EINVAL;
    struct broker *b = calloc(1, sizeof *b);
    if (b == NULL)
        return PEN_ENOMEM;
    b->limits = *limits;
    b->last_id = options->first_id == 0 ? 0 : options->first_id - 1;
    b->free_head = NIL;
    b->ready = b->dropped = (struct index_list){ NIL, NIL };
    *ret_broker = b;
    return 0;
}

void broker_free(struct broker **broker)
{
    struct broker *b = *broker;
    if (b == NULL)
        return;
    for (uint32_t i = 0; i < b->chunks_count * CHUNK_RECORDS; i++) {
        struct record *r = record_at(b, i);
        if (r->state == JOB_FREE)
            continue;
        struct slice body = record_body(r);
        slice_release(&body);
        job_ext_free(r->ext);
    }
    for (uint32_t i = 0; i < b->chunks_count; i++)
        free(b->chunks[i]);
    free(b->chunks);
    free(b);
    *broker = NULL;
}

/* ---- in the making ---- */

int broker_set_limits(struct broker *b, const struct broker_limits *limits, mono_t now)
{
    (void)now;
    b->limits = *limits;
    return 0;
}

int broker_put_all(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    return n == 1 ? broker_put(b, jobs, n, now) : PEN_EINVAL;
}

int broker_reserve_put(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    (void)b, (void)jobs, (void)n, (void)now;
    return PEN_EINVAL;
}

void broker_put_reserved(struct broker *b, struct job_put *jobs, size_t n, mono_t now)
{
    (void)b, (void)jobs, (void)n, (void)now;
}

void broker_unreserve(struct broker *b, struct job_put *jobs, size_t n)
{
    (void)b, (void)jobs, (void)n;
}

int broker_restore(struct broker *b, const struct job_restore *job, mono_t now)
{
    (void)b, (void)job, (void)now;
    return PEN_EINVAL;
}

int broker_restore_dedupe(struct broker *b, const char *dedupe, uint64_t id, mono_t put_at)
{
    (void)b, (void)dedupe, (void)id, (void)put_at;
    return PEN_EINVAL;
}

int broker_touch(struct broker *b, uint64_t id, uint64_t lease, span_t span, mono_t now)
{
    (void)b, (void)id, (void)lease, (void)span, (void)now;
    return PEN_EINVAL;
}

int broker_progress(struct broker *b, uint64_t id, uint64_t lease, const char *text)
{
    (void)b, (void)id, (void)lease, (void)text;
    return PEN_EINVAL;
}

uint32_t broker_owner_gone(struct broker *b, uint64_t owner, mono_t now)
{
    (void)b, (void)owner, (void)now;
    return 0;
}

size_t broker_take_dying(struct broker *b, struct job *ret_jobs, size_t max)
{
    (void)b, (void)ret_jobs, (void)max;
    return 0;
}

size_t broker_tick(struct broker *b, mono_t now, size_t max)
{
    (void)b, (void)now, (void)max;
    return 0;
}

mono_t broker_next_due(const struct broker *b)
{
    (void)b;
    return PEN_NEVER;
}

size_t broker_kick(struct broker *b, size_t n, mono_t now)
{
    (void)b, (void)n, (void)now;
    return 0;
}

bool broker_peek(const struct broker *b, enum job_state state, struct job_view *ret_job)
{
    (void)b, (void)state, (void)ret_job;
    return false;
}

bool broker_find(const struct broker *b, uint64_t id, struct job_view *ret_job)
{
    (void)b, (void)id, (void)ret_job;
    return false;
}

size_t broker_list(const struct broker *b, uint32_t *cursor, struct job_view *ret_jobs, size_t max)
{
    (void)b, (void)cursor, (void)ret_jobs, (void)max;
    return 0;
}

void broker_set_servers(struct broker *b, uint32_t servers)
{
    (void)b, (void)servers;
}

span_t broker_eta(const struct broker *b, uint64_t position)
{
    (void)b, (void)position;
    return (span_t){ -1 };
}

bool broker_has_room_for(const struct broker *b, size_t items, uint64_t bytes)
{
    (void)items;
    return broker_has_room(b, bytes);
}

bool broker_is_over(const struct broker *b)
{
    return b->shut && b->ledger.ready == 0;
}

bool broker_has_dying(const struct broker *b)
{
    (void)b;
    return false;
}
