/* SPDX-License-Identifier: Apache-2.0
 *
 * Results travel in batches: one allocation, one queue slot and at most one wake-up for up to OUTLET_BATCH_ITEMS results.
 * The queue's bound in bytes counts OUTLET_ITEM_BYTES a result and its payload, so many small results are bounded as
 * hard as few large ones; a batch grows as it is filled, for a lone result would otherwise cost 3.6 KiB and count
 * 100 bytes. Batches are taken one at a time: of what is not sent, only one is not in the queue.
 *
 * Threads: struct outlet is the endpoint's loop's, struct sink the consumer's loop's; what is between them is a
 * library queue.
 */
#include "flow/outlet.h"

#include <stdlib.h>

#include "base/check.h"
#include "flow/packer.h"
#include "loop/io.h"

enum {
    OUTLET_BATCH_ITEMS = 64,
    OUTLET_QUEUE_BATCHES = 65536, /* the queue's bound in items; the one in bytes is met long before */
    OUTLET_TURN_BATCHES = 16, /* sent in one event at most, so that other events have their turn */
    SINK_BATCHES = LIMIT_BATCH_ITEMS
};

struct batch {
    size_t n, next, cap;      /* next: the first that is not sent */
    size_t each;              /* results in a frame */
    size_t bytes;             /* what it counts in the queue */
    struct parcel_frame at[]; /* the routes are owned */
};

struct outlet {
    /* fixed after init */
    struct outlet_options options;
    struct pen_loop *loop;
    struct pen_queue *queue;
    struct endpoint *endpoint;
    /* owner: loop */
    struct pen_getter *getter;
    struct batch *pending; /* taken from the queue and not all sent; the getter is paused */
    bool over, drained;
    /* atomic: counters of the loop */
    struct count sent;
    /* atomic: many writers */
    struct count lost;
};

struct sink {
    /* fixed after init */
    struct outlet *outlet;
    void (*on_room)(void *arg);
    void *arg;
    /* owner: the consumer's loop */
    struct pen_putter *putter;
    struct batch *open; /* in the making */
    struct packer packer; /* batch framing: the frame in the making, which is to be the one in `open` */
    struct pen_item full[SINK_BATCHES];
    size_t full_count;
};

/* ---- items and batches ---- */

static size_t item_bytes(const struct outlet_item *i)
{
    return OUTLET_ITEM_BYTES + (size_t)i->head.bytes + i->body.bytes;
}

static void frame_release(struct parcel_frame *f)
{
    slice_release(&f->head);
    slice_release(&f->body);
    free((struct route *)f->route);
}

/* A batch with room for one more, made or grown; PEN_ENOMEM: *b is what it was. */
static int batch_reserve(struct batch **b)
{
    const struct batch *old = *b;
    if (old != NULL && old->n < old->cap)
        return 0;
    size_t cap = old == NULL ? 1 : old->cap * 4;
    struct batch *new = realloc(*b, sizeof *new + cap * sizeof new->at[0]);
    if (new == NULL)
        return PEN_ENOMEM;
    if (*b == NULL)
        *new = (struct batch){ .each = 1 };
    new->cap = cap;
    *b = new;
    return 0;
}

static void batch_add(struct batch *b, const struct outlet_item *item)
{
    check(b->n < b->cap && b->cap <= OUTLET_BATCH_ITEMS);
    struct parcel_frame *f = &b->at[b->n++];
    f->head = item->head;
    f->body = item->body;
    f->route = item->route;
    b->bytes += item_bytes(item);
}

static void batch_free(struct batch *b)
{
    for (size_t k = b->next; k < b->n; k++)
        frame_release(&b->at[k]);
    free(b);
}

static void count_lost(struct outlet *o, const struct batch *b)
{
    (void)count_add_shared(&o->lost, (b->n - b->next) * b->each);
}

/* A batch that will never be sent. */
static void batch_lose(struct outlet *o, struct batch *b)
{
    count_lost(o, b);
    batch_free(b);
}

static void destroy_batch(void *ptr, void *arg)
{
    batch_lose(arg, ptr);
}

/* ---- the endpoint's side ---- */

static void finish_if_over(struct outlet *o)
{
    if (!o->over || o->drained)
        return;
    o->drained = true;
    o->options.on_drained(o->options.arg);
}

/* Give the endpoint as much of one batch as it takes; true when that was all. */
static bool send_batch(struct outlet *o, struct batch *b) ON_LOOP
{
    size_t sent = endpoint_send(o->endpoint, b->at + b->next, b->n - b->next);
    for (size_t k = 0; k < sent; k++)
        free((struct route *)b->at[b->next + k].route);
    b->next += sent;
    count_add(&o->sent, sent * b->each);
    return b->next == b->n;
}

static void end_batch(struct outlet *o, struct batch *b)
{
    batch_free(b);
    check(pen_queue_task_done(o->queue, 1) == 0);
}

/* The next batch, without waiting; NULL: nothing is there, or an event tells the rest. */
static struct batch *next_batch(struct outlet *o)
{
    struct pen_item item;
    return pen_queue_get(o->queue, &item, PEN_NOW) == 0 ? item.ptr : NULL;
}

/* Send this batch and those behind it, each taken only as the one before it is sent; the one that does not go is
 * returned. */
static struct batch *send_batches(struct outlet *o, struct batch *b) ON_LOOP
{
    for (int left = OUTLET_TURN_BATCHES - 1; b != NULL; left--) {
        if (o->options.on_send != NULL)
            o->options.on_send(b->at, b->n, o->options.arg);
        if (!send_batch(o, b))
            return b;
        end_batch(o, b);
        b = left > 0 ? next_batch(o) : NULL;
    }
    return NULL;
}

/* Each event brings one batch. What a turn sends is written together. */
static void on_batch(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    struct outlet *o = arg;
    loop_assert_here(o->loop);
    check(n == 1 && o->pending == NULL);
    endpoint_cork(o->endpoint);
    o->pending = send_batches(o, items[0].ptr);
    endpoint_uncork(o->endpoint);
    if (o->pending != NULL)
        pen_getter_pause(getter);
}

static void on_queue_end(struct pen_getter *getter, void *arg)
{
    (void)getter;
    struct outlet *o = arg;
    o->over = true;
    finish_if_over(o);
}

/* Nothing is pending any more. */
static void go_on(struct outlet *o)
{
    o->pending = NULL;
    if (o->getter != NULL)
        pen_getter_resume(o->getter);
}

void outlet_on_room(struct outlet *o)
{
    if (o->pending == NULL || !send_batch(o, o->pending))
        return;
    end_batch(o, o->pending);
    go_on(o);
}

static void lose_pending(struct outlet *o)
{
    if (o->pending == NULL)
        return;
    count_lost(o, o->pending);
    end_batch(o, o->pending);
    go_on(o);
}

void outlet_close(struct outlet *o, bool immediate)
{
    pen_queue_shutdown(o->queue, immediate ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
    if (immediate)
        lose_pending(o); /* The end of the queue comes as an event. */
}

int outlet_new(const struct outlet_options *options, struct pen_loop *loop,
               struct outlet **ret_outlet)
{
    struct outlet *o = calloc(1, sizeof *o);
    if (o == NULL)
        return PEN_ENOMEM;
    o->options = *options;
    o->loop = loop;
    struct pen_queue_options q = { .items_max = OUTLET_QUEUE_BATCHES,
                                   .bytes_max = options->bytes_max,
                                   .destroy = destroy_batch,
                                   .destroy_arg = o };
    struct pen_getter_options g = {
        .budget = 1, .on_items = on_batch, .on_shutdown = on_queue_end, .arg = o
    };
    int r = pen_queue_new(&q, &o->queue);
    if (r == 0)
        r = pen_queue_attach(o->queue, loop, &g, &o->getter);
    if (r < 0) {
        pen_queue_free(&o->queue);
        free(o);
        return r;
    }
    *ret_outlet = o;
    return 0;
}

void outlet_set_endpoint(struct outlet *o, struct endpoint *endpoint)
{
    o->endpoint = endpoint;
}

void outlet_free(struct outlet **outlet)
{
    struct outlet *o = *outlet;
    if (o == NULL)
        return;
    lose_pending(o);
    pen_getter_close(&o->getter);
    pen_queue_free(&o->queue);
    free(o);
    *outlet = NULL;
}

enum conf_framing outlet_framing(const struct outlet *o)
{
    return o->options.framing;
}

const char *outlet_separator(const struct outlet *o)
{
    return o->options.separator;
}

uint64_t outlet_stream(const struct outlet *o)
{
    return o->options.stream;
}

void outlet_stats(struct outlet *o, struct outlet_stats *ret_stats)
{
    struct pen_queue_stats s;
    pen_queue_stats(o->queue, &s);
    *ret_stats = (struct outlet_stats){ .waiting_bytes = s.bytes,
                                        .sent = count_read(&o->sent),
                                        .lost = count_read(&o->lost) };
}

/* ---- a lone answer ---- */

void outlet_answer(struct outlet *o, const struct route *route, struct slice body)
{
    struct batch *b = NULL;
    struct route *copy = malloc(sizeof *copy);
    if (copy == NULL || batch_reserve(&b) < 0) {
        free(copy);
        slice_release(&body);
        (void)count_add_shared(&o->lost, 1);
        return;
    }
    *copy = *route;
    batch_add(b, &(struct outlet_item){ .body = body, .route = copy });
    if (pen_queue_put(o->queue, b, b->bytes, PEN_NOW) < 0)
        batch_lose(o, b);
}

/* ---- the consumer's side ---- */

static void on_putter_event(struct pen_putter *putter, void *arg)
{
    (void)putter;
    struct sink *s = arg;
    s->on_room(s->arg);
}

int sink_new(struct outlet *outlet, struct pen_loop *loop, void (*on_room)(void *arg), void *arg,
             struct sink **ret_sink)
{
    struct sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return PEN_ENOMEM;
    s->outlet = outlet;
    packer_init(&s->packer, outlet->options.bytes_max / 4);
    s->on_room = on_room;
    s->arg = arg;
    struct pen_putter_options p = { .on_room = on_putter_event,
                                    .on_shutdown = on_putter_event,
                                    .arg = s };
    int r = pen_queue_attach_putter(outlet->queue, loop, &p, &s->putter);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret_sink = s;
    return 0;
}

struct outlet *sink_outlet(const struct sink *s)
{
    return s->outlet;
}

static void seal_open(struct sink *s)
{
    if (s->open == NULL || s->open->n == 0)
        return;
    check(s->full_count < SINK_BATCHES);
    s->full[s->full_count++] = (struct pen_item){ .ptr = s->open, .bytes = s->open->bytes };
    s->open = NULL;
}

int sink_add(struct sink *s, const struct outlet_item *item)
{
    size_t bytes = item_bytes(item);
    uint64_t max = s->outlet->options.bytes_max;
    if (bytes > max)
        return PEN_ETOOBIG;
    if (s->open != NULL && (s->open->n == OUTLET_BATCH_ITEMS || s->open->bytes + bytes > max / 4))
        seal_open(s);
    int r = batch_reserve(&s->open);
    if (r == 0)
        batch_add(s->open, item);
    return r;
}

/* The frame in the making becomes a batch of its own. */
static void seal_frame(struct sink *s)
{
    if (packer_is_empty(&s->packer))
        return;
    struct outlet_item item = { 0 };
    s->open->each = s->packer.writer.count;
    packer_take(&s->packer, &item.head, &item.body);
    batch_add(s->open, &item);
    seal_open(s);
}

static int pack(struct sink *s, const struct batch_head *head, const struct batch_record *record,
                struct slice *body)
{
    int r = batch_reserve(&s->open);
    return r < 0 ? r : packer_add(&s->packer, head, record, body);
}

int sink_add_record(struct sink *s, const struct batch_head *head,
                    const struct batch_record *record, struct slice *body)
{
    size_t bytes = OUTLET_ITEM_BYTES + PACKER_BYTES_MIN + (size_t)body->bytes;
    if (bytes > s->outlet->options.bytes_max)
        return PEN_ETOOBIG;
    int r = pack(s, head, record, body);
    if (r != PEN_EFULL)
        return r;
    seal_frame(s);
    return pack(s, head, record, body);
}

static void lose_all(struct sink *s)
{
    for (size_t k = 0; k < s->full_count; k++)
        batch_lose(s->outlet, s->full[k].ptr);
    s->full_count = 0;
}

bool sink_flush(struct sink *s)
{
    seal_frame(s);
    seal_open(s);
    if (s->full_count == 0)
        return true;
    int put = pen_putter_put(s->putter, s->full, s->full_count);
    if (put < 0) {
        (void)BUG(put != PEN_ESHUTDOWN); /* Sizes were checked when the items were added. */
        lose_all(s);
        return true;
    }
    s->full_count -= (size_t)put;
    for (size_t k = 0; k < s->full_count; k++)
        s->full[k] = s->full[k + (size_t)put];
    return s->full_count == 0;
}

void sink_close(struct sink **sink)
{
    struct sink *s = *sink;
    if (s == NULL)
        return;
    seal_frame(s);
    seal_open(s);
    lose_all(s);
    packer_fini(&s->packer);
    pen_putter_close(&s->putter);
    free(s);
    *sink = NULL;
}
