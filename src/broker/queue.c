/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue as a whole: made, shut down, paused, purged, kicked, and rid of what was dropped. broker/state.h says where the
 * rest is.
 *
 * The bounds count what is held in whatever state: a job in hand still occupies its payload. A dropped job stays in its
 * record until it is reaped, so that dropping never allocates, cannot fail, and a purge of a full queue is given back in
 * batches.
 */
#include "broker/queue.h"

#include <stdlib.h>

#include "broker/ready.h"

/* ---- all of a kind ---- */

static uint64_t drop_ready(struct broker *b, enum drop_reason reason)
{
    uint64_t n = 0;
    for (uint32_t i; (i = ready_oldest(b)) != NIL; n++) {
        job_leave(b, i);
        job_drop(b, i, reason);
    }
    return n;
}

static uint64_t drop_delayed(struct broker *b, enum drop_reason reason)
{
    uint64_t n = 0;
    for (const struct wait *w; (w = heap_top(&b->waits[WAIT_DELAY])) != NULL; n++) {
        uint32_t i = w->index;
        job_leave(b, i);
        job_drop(b, i, reason);
    }
    return n;
}

static uint64_t drop_buried(struct broker *b, enum drop_reason reason)
{
    uint64_t n = 0;
    for (uint32_t i; (i = b->buried.head) != NIL; n++) {
        job_leave(b, i);
        job_drop(b, i, reason);
    }
    return n;
}

uint64_t broker_purge(struct broker *b)
{
    uint64_t n = drop_delayed(b, DROP_PURGED); /* First: none of them comes back to a lane. */
    n += drop_ready(b, DROP_PURGED);
    return n + drop_buried(b, DROP_PURGED);
}

void broker_shutdown(struct broker *b, enum broker_shut mode)
{
    if (b->shut && mode <= b->shut_mode)
        return;
    b->shut = true;
    b->shut_mode = mode;
    b->paused = false;
    if (mode != BROKER_KEEP)
        (void)drop_buried(b, DROP_SHUTDOWN);
    if (mode != BROKER_DROP)
        return;
    (void)drop_delayed(b, DROP_SHUTDOWN);
    (void)drop_ready(b, DROP_SHUTDOWN);
}

void broker_set_paused(struct broker *b, bool paused)
{
    b->paused = paused;
}

/* ---- kicks ---- */

static void kick_one(struct broker *b, uint32_t i)
{
    struct record *r = record_at(b, i);
    struct lane *lane = lane_of(r);
    bool front = lane != NULL && lane->blocked == i;
    r->attempts = 0;
    if (r->ext != NULL)
        r->ext->crashes = 0;
    job_leave(b, i);
    job_again(b, i, front);
    b->ledger.kicked++;
}

size_t broker_kick(struct broker *b, size_t n, mono_t now)
{
    set_now(b, now);
    size_t k = 0;
    bool any_buried = b->buried.head != NIL;
    for (; k < n; k++) {
        const struct wait *w = heap_top(&b->waits[WAIT_DELAY]);
        uint32_t i = any_buried ? b->buried.head : w != NULL ? w->index : NIL;
        if (i == NIL)
            break;
        kick_one(b, i);
    }
    return k;
}

/* ---- what was dropped ---- */

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
    for (uint32_t i; n < max && (i = list_shift_index(b, &from)) != NIL; n++) {
        struct record *r = record_at(b, i);
        ret_jobs[n] = (struct job_dropped){
            .id = r->id, .reason = (enum drop_reason)r->reason, .body = record_body(r), .ext = r->ext
        };
        record_free(b, r, i);
    }
    *drops = (struct broker_drops){ .head = from.head,
                                    .tail = from.tail,
                                    .count = drops->count - (uint32_t)n };
    return n;
}

/* ---- making and freeing ---- */

static bool are_valid(const struct broker_limits *l)
{
    return l->items_max > 0 && l->items_max <= 1u << 30 && l->rate_max <= RATE_MAX &&
           l->key_rate_max <= RATE_MAX && l->dedupe_max <= DEDUPE_MAX && l->backoff_base.ns >= 0 &&
           l->backoff_cap.ns >= 0 && l->dedupe_window.ns >= 0 && l->policy <= BROKER_DROP_LOWEST;
}

int broker_new(const struct broker_options *options, struct broker **ret_broker)
{
    if (!are_valid(&options->limits))
        return PEN_EINVAL;
    struct broker *b = calloc(1, sizeof *b);
    if (b == NULL)
        return PEN_ENOMEM;
    b->options = *options;
    b->limits = options->limits;
    b->random = options->seed;
    b->last_id = options->first_id == 0 ? 0 : options->first_id - 1;
    b->free_head = NIL;
    b->dropped = b->buried = b->dying = (struct index_list){ NIL, NIL };
    for (int p = 0; p < LEVELS; p++)
        b->levels[p].plain = (struct index_list){ NIL, NIL };
    lanes_init(b);
    waits_init(b);
    twins_init(b);
    *ret_broker = b;
    return 0;
}

int broker_set_limits(struct broker *b, const struct broker_limits *limits, mono_t now)
{
    set_now(b, now);
    if (!are_valid(limits))
        return PEN_EINVAL;
    b->limits = *limits;
    lanes_refresh(b);
    return 0;
}

static void free_jobs(struct broker *b)
{
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
}

void broker_free(struct broker **broker)
{
    struct broker *b = *broker;
    if (b == NULL)
        return;
    free_jobs(b);
    twins_fini(b);
    waits_fini(b);
    lanes_fini(b);
    free(b);
    *broker = NULL;
}
