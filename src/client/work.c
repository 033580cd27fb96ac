/* SPDX-License-Identifier: Apache-2.0
 *
 * Working: reserves are kept outstanding as long as there is room for the jobs that they bring, and what they bring is in
 * hand until its settlement was answered. A reserve is for half a batch at least, so that a busy worker does not fetch one
 * job at a time.
 *
 * The daemon gives back what a connection held when it ends, so with the connection all leases are lost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/client.h"
#include "plat/clock.h"

enum {
    QUEUES_MAX = 16,
    WEIGHT_MAX = 1000,
    BATCH_DEFAULT = 16,
    RESERVES_MAX = 4,
    PAUSE_S = 1,
    WAIT_DEFAULT_S = 1,
    TOUCHES = 3, /* in a lease */
    NS_PER_MS = 1000000,
    RESERVE_BYTES = BATCH_HEAD_BYTES + 64 +
                    QUEUES_MAX * (BATCH_RECORD_BYTES + 2 + LIMIT_NAME_BYTES + 2 + sizeof(uint32_t))
};

struct reserve {
    struct request request;
    struct pen_client *client;
    uint32_t count;
};

/* ---- options ---- */

static bool queue_is_right(const struct pen_work_queue *q)
{
    return q->name != NULL && strnlen(q->name, LIMIT_NAME_BYTES + 1) <= LIMIT_NAME_BYTES &&
           q->weight <= WEIGHT_MAX;
}

static uint32_t batch_of(const struct pen_work_options *w)
{
    return w->batch != 0 ? w->batch : BATCH_DEFAULT;
}

static bool span_is_right(pen_span_t span)
{
    return span.ns == 0 || span.ns >= NS_PER_MS;
}

/* A wait is followed by its answer within the timeout. */
static bool waits_are_right(const struct pen_client_options *o)
{
    pen_span_t wait = o->work->wait.ns != 0 ? o->work->wait : span_s(WAIT_DEFAULT_S);
    return span_is_right(o->work->wait) && span_is_right(o->work->lease) &&
           (o->timeout.ns == 0 || wait.ns <= o->timeout.ns / 2) && wait.ns <= span_s(3600).ns;
}

bool work_options_are_right(const struct pen_client_options *o)
{
    const struct pen_work_options *w = o->work;
    if (w->queues == NULL || w->queues_count < 1 || w->queues_count > QUEUES_MAX)
        return false;
    for (size_t k = 0; k < w->queues_count; k++)
        if (!queue_is_right(&w->queues[k]))
            return false;
    if (w->batch > LIMIT_BATCH_ITEMS || (o->in_flight_max != 0 && o->in_flight_max < batch_of(w)))
        return false;
    return waits_are_right(o);
}

static int copy_queues(struct work *w, const struct pen_work_options *o)
{
    struct pen_work_queue *queues = calloc(o->queues_count, sizeof *queues);
    w->options.queues = queues;
    w->options.queues_count = 0;
    if (queues == NULL)
        return PEN_ENOMEM;
    for (size_t k = 0; k < o->queues_count; k++) {
        queues[k] = (struct pen_work_queue){ strdup(o->queues[k].name), o->queues[k].weight };
        if (queues[k].name == NULL)
            return PEN_ENOMEM;
        w->options.queues_count = k + 1;
    }
    return 0;
}

/* ---- jobs in hand ---- */

void work_unref(struct held *h)
{
    if (--h->refs > 0)
        return;
    slice_release(&h->message);
    free(h->said);
    free(h);
}

void work_end(struct pen_client *c, struct held *h, int error)
{
    struct work *w = c->work;
    list_remove(&h->node);
    w->in_hand_count--;
    count_set(&w->in_hand_now, w->in_hand_count);
    count_add(&w->ended, error == 0);
    settle_tell(h, error);
    work_unref(h);
}

void work_lose(struct pen_client *c, struct held *h)
{
    count_add(&c->work->lost, count_read(&h->lost) == 0);
    count_set(&h->lost, 1);
}

bool pen_work_is_lost(const struct pen_work *work)
{
    return count_read(&((const struct held *)work)->lost) != 0;
}

static struct held *held_new(struct pen_client *c, const struct batch_record *record,
                             struct slice message) ON_LOOP
{
    const struct batch_attrs *a = &record->attrs;
    struct work *w = c->work;
    struct held *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->work = (struct pen_work){ .body = record->body,
                                 .bytes = record->body_bytes,
                                 .queue = a->queue.at,
                                 .queue_bytes = a->queue.bytes,
                                 .key = a->key.at,
                                 .key_bytes = a->key.bytes,
                                 .id = a->id,
                                 .attempts = (uint32_t)a->attempts,
                                 .priority = (uint8_t)a->priority };
    h->queue = a->queue;
    h->lease = a->lease;
    h->lease_ms = a->lease_ms;
    h->message = slice_ref(message);
    h->refs = 1;
    list_push_back(&w->in_hand, &h->node);
    w->in_hand_count++;
    count_set(&w->in_hand_now, w->in_hand_count);
    count_add(&w->jobs, 1);
    return h;
}

/* To whoever works; during the close nobody does. */
static void hand_over(struct pen_client *c, struct held *h, bool wanted) ON_LOOP
{
    struct work *w = c->work;
    if (!wanted || c->closing)
        settle_release(c, h);
    else if (w->inbox == NULL)
        w->options.on_job(c, &h->work, c->options.arg);
    else if (pen_queue_put(w->inbox, h, 0, PEN_NOW) < 0)
        settle_release(c, h);
}

/* ---- leases ---- */

static void on_touch(struct pen_loop *loop, void *arg, int status);

static void arm_touch(struct pen_client *c) ON_LOOP
{
    struct work *w = c->work;
    if (pen_loop_call_later(c->loop, &w->touch_timer, w->touch_every, on_touch, c) < 0)
        w->touch_every.ns =
            0; /* Without memory for it leases end, unless the next job has more luck. */
}

static void on_touch(struct pen_loop *loop, void *arg, int status)
{
    struct pen_client *c = arg;
    if (status < 0)
        return;
    loop_assert_here(loop);
    if (list_empty(&c->work->in_hand)) {
        c->work->touch_every.ns = 0;
        return;
    }
    settle_touch(c);
    arm_touch(c);
    ask_flush(c);
}

/* As often as the shortest lease wants it. */
static void keep_alive(struct pen_client *c, const struct held *h) ON_LOOP
{
    struct work *w = c->work;
    uint64_t third_ms = h->lease_ms / TOUCHES;
    if (third_ms > INT32_MAX)
        third_ms = INT32_MAX;
    span_t every = span_ms(third_ms > 0 ? (int64_t)third_ms : 1);
    if (w->touch_every.ns != 0 && w->touch_every.ns <= every.ns)
        return;
    w->touch_every = every;
    arm_touch(c);
}

/* ---- asking for jobs ---- */

static void on_pause_over(struct pen_loop *loop, void *arg, int status)
{
    struct pen_client *c = arg;
    if (status < 0)
        return;
    loop_assert_here(loop);
    ask_flush(c);
}

/* The daemon has none for us, for a reason that will not be over at once. */
static void be_refused(struct pen_client *c, int error) ON_LOOP
{
    struct work *w = c->work;
    if (error == PEN_ECLOSED || error == PEN_ELEASE || error == PEN_ETIMEOUT)
        return; /* It was not even asked. */
    count_add(&w->refused, 1);
    count_set(&w->refusal, (uint64_t)(int64_t)error);
    if (pen_loop_call_later(c->loop, &w->pause_timer, span_s(PAUSE_S), on_pause_over, c) < 0)
        ask_close(c, true); /* Without memory for a pause it would ask again and again. */
}

static void take_jobs(struct pen_client *c, struct batch_reader *reader, struct slice message,
                      bool wanted) ON_LOOP
{
    while (batch_reader_next(reader)) {
        struct held *h = held_new(c, &reader->record, message);
        if (h == NULL)
            continue; /* Its lease ends. */
        keep_alive(c, h);
        hand_over(c, h, wanted);
    }
}

void work_on_stray(struct pen_client *c, struct batch_reader *reader, struct slice message)
{
    take_jobs(c, reader, message, false);
}

static void on_reserved(struct request *r, int error, struct batch_reader *answer,
                        struct slice message)
{
    struct reserve *reserve = CONTAINER_OF(r, struct reserve, request);
    struct pen_client *c = reserve->client;
    loop_assert_here(c->loop);
    c->work->reserves--;
    c->work->asked_count -= reserve->count;
    if (answer != NULL && (answer->kind != BATCH_JOBS || answer->left > reserve->count))
        error = PEN_EPROTO;
    if (error == 0)
        take_jobs(c, answer, message, true);
    else
        be_refused(c, error);
    slice_release(&r->frame);
    free(reserve);
}

static int encode(const struct pen_work_options *o, uint32_t count, struct slice *ret_frame)
{
    uint8_t to[RESERVE_BYTES];
    struct batch_writer w;
    struct batch_attrs frame = { 0 };
    struct batch_head head = { .kind = BATCH_RESERVE, .attrs = &frame };
    batch_set(&frame, COUNT, count, count);
    batch_set(&frame, WAIT, wait_ms, (uint64_t)(o->wait.ns / NS_PER_MS));
    if (o->lease.ns != 0)
        batch_set(&frame, LEASE_FOR, lease_ms, (uint64_t)(o->lease.ns / NS_PER_MS));
    check(batch_writer_init(&w, to, sizeof to, &head) == 0);
    for (size_t k = 0; k < o->queues_count; k++) {
        struct batch_record record = { 0 };
        const char *name = o->queues[k].name;
        batch_set(&record.attrs, QUEUE, queue, ((struct batch_text){ name, (uint32_t)strlen(name) }));
        batch_set(&record.attrs, WEIGHT, weight, o->queues[k].weight > 0 ? o->queues[k].weight : 1);
        check(batch_writer_add(&w, &record) == 0);
    }
    return slice_copy(to, w.used, ret_frame);
}

static int reserve_some(struct pen_client *c, uint32_t count) ON_LOOP
{
    struct reserve *reserve = calloc(1, sizeof *reserve);
    if (reserve == NULL)
        return PEN_ENOMEM;
    int r = encode(&c->work->options, count, &reserve->request.frame);
    if (r < 0) {
        free(reserve);
        return r;
    }
    reserve->request.on_end = on_reserved;
    reserve->client = c;
    reserve->count = count;
    c->work->reserves++;
    c->work->asked_count += count;
    ask_own(c, &reserve->request);
    return 0;
}

static uint32_t room_of(const struct pen_client *c)
{
    uint32_t taken = c->work->in_hand_count + c->work->asked_count;
    return taken < c->options.in_flight_max ? c->options.in_flight_max - taken : 0;
}

void work_ask(struct pen_client *c)
{
    struct work *w = c->work;
    uint32_t room, batch = w->options.batch;
    if (c->closing || c->paused || w->pause_timer.loop != NULL)
        return;
    while (w->reserves < RESERVES_MAX && (room = room_of(c)) >= (batch + 1) / 2) {
        int r = reserve_some(c, room < batch ? room : batch);
        if (r < 0) {
            be_refused(c, r);
            return;
        }
    }
}

/* ---- the threads that work ---- */

int pen_client_work(struct pen_client *c, pen_mono_t deadline, struct pen_work **ret_work)
{
    struct pen_item item;
    if (c->work == NULL || c->work->inbox == NULL)
        return PEN_EINVAL;
    if (client_must_not_wait(deadline))
        return PEN_EWRONGTHREAD;
    int r = pen_queue_get(c->work->inbox, &item, deadline);
    if (r < 0)
        return r == PEN_ESHUTDOWN ? PEN_ECLOSED : r;
    check(pen_queue_task_done(c->work->inbox, 1) == 0);
    *ret_work = &((struct held *)item.ptr)->work;
    return 0;
}

/* What nobody has taken yet. */
static void give_back_inbox(struct pen_client *c) ON_LOOP
{
    struct pen_item item;
    while (c->work->inbox != NULL && pen_queue_get(c->work->inbox, &item, PEN_NOW) == 0) {
        check(pen_queue_task_done(c->work->inbox, 1) == 0);
        settle_release(c, item.ptr);
    }
}

/* ---- ends ---- */

static void lose_all(struct pen_client *c) ON_LOOP
{
    LIST_EACH(node, &c->work->in_hand)
        work_lose(c, CONTAINER_OF(node, struct held, node));
    give_back_inbox(c);
}

void work_on_gone(struct pen_client *c)
{
    lose_all(c);
    ask_give_up(c, PEN_ELEASE);
    ask_flush(c);
}

/* Nobody has been asked yet. */
static void take_back_reserves(struct pen_client *c) ON_LOOP
{
    LIST_EACH_SAFE(node, &c->own) {
        struct request *r = CONTAINER_OF(node, struct request, node);
        if (r->on_end != on_reserved)
            continue;
        list_remove(node);
        on_reserved(r, PEN_ECLOSED, NULL, (struct slice){ 0 });
    }
}

void work_close(struct pen_client *c, bool immediate)
{
    struct work *w = c->work;
    pen_timer_cancel(&w->pause_timer);
    if (w->inbox != NULL)
        pen_queue_shutdown(w->inbox, PEN_SHUTDOWN_GRACEFUL);
    if (immediate)
        lose_all(c);
    take_back_reserves(c);
    give_back_inbox(c);
    ask_flush(c);
}

bool work_is_over(const struct pen_client *c)
{
    return c->work->in_hand_count == 0;
}

int work_init(struct pen_client *c, const struct pen_work_options *o)
{
    struct work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return PEN_ENOMEM;
    c->work = w;
    w->options = *o;
    list_init(&w->in_hand);
    w->options.batch = batch_of(o);
    if (w->options.wait.ns == 0)
        w->options.wait = span_s(WAIT_DEFAULT_S);
    if (c->options.in_flight_max == 0)
        c->options.in_flight_max = 2 * w->options.batch;
    struct pen_queue_options q = { .items_max = c->options.in_flight_max };
    int r = copy_queues(w, o);
    if (r == 0 && o->on_job == NULL)
        r = pen_queue_new(&q, &w->inbox);
    return r == 0 ? settle_init(c) : r;
}

void work_fini(struct pen_client *c)
{
    struct work *w = c->work;
    if (w == NULL)
        return;
    loop_assert_here(c->loop);
    pen_timer_cancel(&w->touch_timer);
    pen_timer_cancel(&w->pause_timer);
    pen_getter_close(&w->getter);
    pen_queue_free(&w->settled);
    pen_queue_free(&w->inbox);
    LIST_EACH_SAFE(node, &w->in_hand)
        work_end(c, CONTAINER_OF(node, struct held, node), PEN_ECLOSED);
    for (size_t k = 0; k < w->options.queues_count; k++)
        free((char *)(uintptr_t)w->options.queues[k].name);
    free((void *)(uintptr_t)w->options.queues);
    free(w);
    c->work = NULL;
}

void work_stats(const struct pen_client *c, struct pen_client_stats *ret_stats)
{
    const struct work *w = c->work;
    ret_stats->in_hand = (uint32_t)count_read(&w->in_hand_now);
    ret_stats->jobs = count_read(&w->jobs);
    ret_stats->settled = count_read(&w->ended);
    ret_stats->lost = count_read(&w->lost);
    ret_stats->refused = count_read(&w->refused);
    ret_stats->refusal = (int)(int64_t)count_read(&w->refusal);
}
