/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting and calling. A frame is encoded by the thread that asks and crosses in a bounded queue; the loop gives it a
 * number, sends it and keeps what waits for the answer. All deadlines are equally far away when they are set, so those in
 * flight are in order, and one timer for the first is enough.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/client.h"
#include "plat/clock.h"
#include "proto/sp.h"
#include "task/future.h"

enum {
    REQUEST_BYTES = 128,
    WORK_SLOTS = PENDING_MAX,
    NO_SLOT = UINT32_MAX,
    SLOT_BITS = 16,
    ID_MASK = 0x7fffffff
};

/* ---- requests ---- */

static void request_free(struct request *r)
{
    slice_release(&r->frame);
    pen_future_unref(&r->future);
    free(r);
}

/* result: the future's, or nobody's. */
static void request_end(struct request *r, int error, void *result)
{
    if (r->on_end != NULL) {
        r->on_end(r, error, NULL, (struct slice){ 0 });
        return;
    }
    if (r->future != NULL && future_begin(r->future))
        future_complete(r->future, error, result);
    else
        free(result);
    request_free(r);
}

static void destroy_request(void *ptr, void *arg)
{
    (void)arg;
    request_end(ptr, PEN_ECLOSED, NULL);
}

/* ---- encoding ---- */

static struct batch_text text_of(const char *text)
{
    return (struct batch_text){ text, (uint32_t)strnlen(text, UINT16_MAX) };
}

static uint64_t ms_of(pen_span_t span)
{
    return span.ns > 0 ? (uint64_t)(span.ns / 1000000) : 0;
}

static void record_of(const struct pen_put *m, struct batch_record *record)
{
    struct batch_attrs *a = &record->attrs;
    a->set = 0;
    record->body = m->body;
    record->body_bytes = (uint32_t)m->bytes;
    if (m->queue != NULL)
        batch_set(a, QUEUE, queue, text_of(m->queue));
    if (m->key != NULL)
        batch_set(a, KEY, key, text_of(m->key));
    if (m->dedupe != NULL)
        batch_set(a, DEDUPE, dedupe, text_of(m->dedupe));
    if (m->reply_to != NULL)
        batch_set(a, REPLY_TO, reply_to, text_of(m->reply_to));
    if (m->has_priority)
        batch_set(a, PRIORITY, priority, m->priority);
    if (m->delay.ns != 0)
        batch_set(a, DELAY, delay_ms, ms_of(m->delay));
    if (m->ttl.ns != 0)
        batch_set(a, TTL, ttl_ms, ms_of(m->ttl));
}

/* The size of the frame for these; PEN_EINVAL, PEN_ETOOBIG. */
static int64_t frame_bytes(const struct pen_put *messages, size_t n, struct batch_record *scratch)
{
    int64_t bytes = BATCH_HEAD_BYTES;
    if (n == 0)
        return PEN_EINVAL;
    if (n > BATCH_RECORDS_MAX)
        return PEN_ETOOBIG;
    for (size_t k = 0; k < n; k++) {
        if (messages[k].bytes > UINT32_MAX || messages[k].delay.ns < 0 || messages[k].ttl.ns < 0)
            return PEN_EINVAL;
        record_of(&messages[k], scratch);
        int head = batch_record_head_bytes(scratch);
        if (head < 0)
            return head;
        bytes += head + (int64_t)messages[k].bytes;
    }
    return bytes <= UINT32_MAX ? bytes : PEN_ETOOBIG;
}

static int encode(const struct pen_put *messages, size_t n, struct slice *ret_frame)
{
    struct batch_record record = { 0 };
    struct batch_head head = { .kind = BATCH_PUT };
    struct batch_writer w;
    uint8_t *to;
    int64_t bytes = frame_bytes(messages, n, &record);
    if (bytes < 0)
        return (int)bytes;
    int r = slice_new((size_t)bytes, ret_frame, &to);
    if (r < 0)
        return r;
    check(batch_writer_init(&w, to, (size_t)bytes, &head) == 0);
    for (size_t k = 0; k < n; k++) {
        record_of(&messages[k], &record);
        check(batch_writer_add(&w, &record) == 0);
    }
    return 0;
}

static int request_new(struct pen_client *c, const struct pen_put *messages, size_t n,
                       struct request **ret_request)
{
    struct request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return PEN_ENOMEM;
    int error = encode(messages, n, &r->frame);
    if (error < 0) {
        free(r);
        return error;
    }
    list_init(&r->node);
    r->records = (uint32_t)n;
    r->deadline = mono_after(clock_mono(), c->options.timeout);
    *ret_request = r;
    return 0;
}

/* ---- asking: any thread ---- */

/* The caller's reference to the future is returned; without one nobody asks. */
static int add_future(struct pen_client *c, struct request *r, struct pen_future **ret_future)
{
    struct pen_job_options options = { .name = r->call ? "call" : "put", .destroy_result = free };
    int error = future_new(&options, &r->future);
    if (error < 0)
        return error;
    future_set_loop(r->future, c->loop);
    *ret_future = r->future; /* Made with two references. */
    return 0;
}

static int submit(struct pen_client *c, struct request *r, pen_mono_t room_until,
                  struct pen_future **ret_future)
{
    struct pen_future *future = NULL;
    int error = ret_future != NULL ? add_future(c, r, &future) : 0;
    if (error == 0)
        error = pen_queue_put(c->outbox, r, r->frame.bytes + REQUEST_BYTES, room_until);
    if (error == 0) {
        if (ret_future != NULL)
            *ret_future = future;
        return 0;
    }
    if (future != NULL)
        future_discard(future);
    r->future = NULL;
    request_free(r);
    return error == PEN_ESHUTDOWN ? PEN_ECLOSED : error;
}

static int ask(struct pen_client *c, struct request *r, pen_mono_t room_until,
               struct pen_future **ret_future)
{
    if (!client_must_not_wait(room_until))
        return submit(c, r, room_until, ret_future);
    request_free(r);
    return PEN_EWRONGTHREAD;
}

int pen_client_put(struct pen_client *c, const struct pen_put *messages, size_t n,
                   pen_mono_t room_until, struct pen_future **ret_future)
{
    struct request *r;
    if (c->outbox == NULL)
        return PEN_EINVAL;
    int error = request_new(c, messages, n, &r);
    return error < 0 ? error : ask(c, r, room_until, ret_future);
}

int pen_client_call(struct pen_client *c, const struct pen_put *message, pen_mono_t room_until,
                    struct pen_future **ret_future)
{
    struct request *r;
    if (c->options.kind != PEN_CLIENT_REQ)
        return PEN_EINVAL;
    int error = request_new(c, message, 1, &r);
    if (error < 0)
        return error;
    r->call = true;
    return ask(c, r, room_until, ret_future);
}

/* ---- in flight ---- */

static uint32_t id_of(const struct pen_client *c, uint32_t slot)
{
    return (c->slots[slot].generation << SLOT_BITS | slot) & ID_MASK;
}

static uint32_t take_slot(struct pen_client *c, struct request *r)
{
    uint32_t slot = c->free_slot;
    c->free_slot = c->slots[slot].next_free;
    c->slots[slot].request = r;
    r->slot = slot;
    return slot;
}

/* An answer that comes later finds another generation. */
static void give_slot(struct pen_client *c, struct request *r)
{
    struct slot *s = &c->slots[r->slot];
    s->request = NULL;
    s->generation++;
    s->next_free = c->free_slot;
    c->free_slot = r->slot;
}

static void land(struct pen_client *c, struct request *r) ON_LOOP
{
    give_slot(c, r);
    list_remove(&r->node);
    c->in_flight_count--;
    count_set(&c->in_flight_now, c->in_flight_count);
}

static struct request *first_of(struct list *requests)
{
    return list_empty(requests) ? NULL : CONTAINER_OF(requests->next, struct request, node);
}

static struct request *first_in_flight(struct pen_client *c)
{
    return first_of(&c->in_flight);
}

static void time_out(struct pen_client *c, struct request *r) ON_LOOP
{
    count_add(&c->timeouts, 1);
    request_end(r, PEN_ETIMEOUT, NULL);
}

/* ---- the timer ---- */

static void send_pending(struct pen_client *c) ON_LOOP;
static void arm(struct pen_client *c) ON_LOOP;

static void on_timer(struct pen_loop *loop, void *arg, int status)
{
    struct pen_client *c = arg;
    struct request *r;
    if (status < 0)
        return;
    loop_assert_here(loop);
    mono_t now = pen_loop_now(loop);
    while ((r = first_in_flight(c)) != NULL && !mono_before(now, r->deadline)) {
        land(c, r);
        time_out(c, r);
    }
    send_pending(c);
}

/* For whichever ends first: the oldest in flight is older than all that is pending. */
static void arm(struct pen_client *c)
{
    struct request *r = first_in_flight(c);
    if (r == NULL)
        r = first_of(&c->own);
    if (r == NULL && c->pending_at < c->pending_end)
        r = c->pending[c->pending_at];
    if (r == NULL)
        pen_timer_cancel(&c->timer);
    else if (pen_loop_call_at(c->loop, &c->timer, r->deadline, on_timer, c) < 0)
        ask_close(c, true); /* Without memory for a timer nobody would ever be told. */
}

/* ---- sending ---- */

/* The number of the request is its tag as well. */
static void number(struct pen_client *c, struct request *r, struct route *ret_route) ON_LOOP
{
    uint32_t id = id_of(c, take_slot(c, r));
    batch_set_tag((uint8_t *)r->frame.at, id);
    sp_request_route(id, ret_route);
}

static void drop_late(struct pen_client *c) ON_LOOP
{
    struct request *r;
    mono_t now = pen_loop_now(c->loop);
    while ((r = first_of(&c->own)) != NULL && !mono_before(now, r->deadline)) {
        list_remove(&r->node);
        time_out(c, r);
    }
    while (c->pending_at < c->pending_end && !mono_before(now, c->pending[c->pending_at]->deadline))
        time_out(c, c->pending[c->pending_at++]);
}

/* What was sent flies, or, where no answer comes, is done. */
static void sent(struct pen_client *c, struct request *r) ON_LOOP
{
    r->frame = (struct slice){ 0 };
    count_add(&c->requests, 1);
    if (c->options.kind == PEN_CLIENT_PUSH) {
        request_end(r, 0, NULL);
        return;
    }
    list_push_back(&c->in_flight, &r->node);
    c->in_flight_count++;
    count_set(&c->in_flight_now, c->in_flight_count);
}

/* What may fly next; how many. A client has requests of its loop's own or such that were put. */
static size_t choose(struct pen_client *c, struct request *ret_requests[PENDING_MAX]) ON_LOOP
{
    size_t n = 0, room = PENDING_MAX;
    if (c->options.kind != PEN_CLIENT_PUSH && c->slots_count - c->in_flight_count < room)
        room = c->slots_count - c->in_flight_count;
    LIST_EACH(node, &c->own)
        if (n < room)
            ret_requests[n++] = CONTAINER_OF(node, struct request, node);
    for (size_t k = c->pending_at; k < c->pending_end && n < room; k++)
        ret_requests[n++] = c->pending[k];
    return n;
}

/* As much as may fly and is taken. */
static void send_some(struct pen_client *c) ON_LOOP
{
    struct request *requests[PENDING_MAX];
    struct parcel_frame parcels[PENDING_MAX];
    struct route routes[PENDING_MAX];
    bool asks = c->options.kind != PEN_CLIENT_PUSH;
    size_t n = choose(c, requests);
    for (size_t k = 0; k < n; k++) {
        if (asks)
            number(c, requests[k], &routes[k]);
        parcels[k] =
            (struct parcel_frame){ .body = requests[k]->frame, .route = asks ? &routes[k] : NULL };
    }
    size_t taken = n > 0 ? endpoint_send(c->endpoint, parcels, n) : 0;
    for (size_t k = n; asks && k-- > taken;)
        give_slot(c, requests[k]);
    for (size_t k = 0; k < taken; k++) {
        list_remove(&requests[k]->node);
        c->pending_at += requests[k]->on_end == NULL;
        sent(c, requests[k]);
    }
}

static void send_pending(struct pen_client *c)
{
    drop_late(c);
    if (c->work != NULL)
        work_ask(c);
    send_some(c);
    arm(c);
    if (c->getter == NULL) {
        client_go_on_closing(c);
        return;
    }
    if (c->pending_at == c->pending_end)
        pen_getter_resume(c->getter);
    else
        pen_getter_pause(c->getter);
    client_go_on_closing(c);
}

static void on_requests(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    (void)getter;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    check(c->pending_at == c->pending_end && n <= PENDING_MAX);
    for (size_t k = 0; k < n; k++)
        c->pending[k] = items[k].ptr;
    c->pending_at = 0;
    c->pending_end = n;
    check(pen_queue_task_done(c->outbox, n) == 0);
    send_pending(c);
}

static void on_outbox_end(struct pen_getter *getter, void *arg)
{
    (void)getter;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    c->outbox_over = true;
    client_go_on_closing(c);
}

void ask_on_room(struct pen_client *c)
{
    send_pending(c);
}

/* ---- of the loop's own ---- */

void ask_own(struct pen_client *c, struct request *r)
{
    r->deadline = mono_after(clock_mono(), c->options.timeout);
    list_push_back(&c->own, &r->node);
}

void ask_flush(struct pen_client *c)
{
    send_pending(c);
}

void ask_give_up(struct pen_client *c, int error)
{
    struct list own;
    struct request *r;
    list_init(&own);
    list_append(&own, &c->own);
    while ((r = first_in_flight(c)) != NULL) {
        land(c, r);
        request_end(r, error, NULL);
    }
    while ((r = first_of(&own)) != NULL) {
        list_remove(&r->node);
        request_end(r, error, NULL);
    }
}

/* ---- answers ---- */

static int read_receipts(struct batch_reader *r, void **ret_result)
{
    struct pen_receipts *receipts = malloc(sizeof *receipts + r->left * sizeof receipts->at[0]);
    if (receipts == NULL)
        return PEN_ENOMEM;
    receipts->n = 0;
    while (batch_reader_next(r))
        receipts->at[receipts->n++] =
            (struct pen_receipt){ .error = r->record.status,
                                  .level = (enum pen_level)r->record.attrs.level,
                                  .id = r->record.attrs.id };
    *ret_result = receipts;
    return 0;
}

static int read_answer(struct batch_reader *r, void **ret_result)
{
    if (r->left != 1 || !batch_reader_next(r))
        return PEN_EPROTO;
    const struct batch_record *record = &r->record;
    if (record->status < 0)
        return record->status;
    struct pen_answer *a = malloc(sizeof *a + record->body_bytes);
    if (a == NULL)
        return PEN_ENOMEM;
    a->id = record->attrs.id;
    a->bytes = record->body_bytes;
    memcpy(a->body, record->body, record->body_bytes);
    *ret_result = a;
    return 0;
}

static int read_refusal(struct batch_reader *r)
{
    return batch_reader_next(r) && r->record.status < 0 ? r->record.status : PEN_EPROTO;
}

/* 0 and the result, or what the request ends with. */
static int read_frame(const struct request *q, struct batch_reader *r, void **ret_result)
{
    if (r->kind == BATCH_ERROR)
        return read_refusal(r);
    if (q->call)
        return r->kind == BATCH_RESULTS ? read_answer(r, ret_result) : PEN_EPROTO;
    if (r->kind != BATCH_RECEIPTS || r->left != q->records)
        return PEN_EPROTO;
    return read_receipts(r, ret_result);
}

/* Whose answer it is; NULL: nobody waits for it any more. */
static struct request *find(struct pen_client *c, const struct route *route) ON_LOOP
{
    uint32_t id;
    if (sp_request_id(route, &id) < 0)
        return NULL;
    uint32_t slot = id & ((1u << SLOT_BITS) - 1);
    bool ours = slot < c->slots_count && c->slots[slot].request != NULL;
    return ours && id_of(c, slot) == id ? c->slots[slot].request : NULL;
}

static void take_answer(struct pen_client *c, struct frame *f) ON_LOOP
{
    struct request *q = find(c, &f->route);
    struct batch_reader reader;
    void *result = NULL;
    int error = batch_reader_init(&reader, f->body.at, f->body.bytes);
    if (q == NULL && error == 0 && c->work != NULL && reader.kind == BATCH_JOBS)
        work_on_stray(c, &reader, f->body);
    if (q == NULL)
        return;
    count_add(&c->answers, 1);
    land(c, q);
    if (q->on_end != NULL && error == 0 && reader.kind != BATCH_ERROR) {
        q->on_end(q, 0, &reader, f->body);
        return;
    }
    if (error == 0)
        error = read_frame(q, &reader, &result);
    if (error == PEN_EPROTO)
        count_add(&c->malformed, 1);
    request_end(q, error, result);
}

size_t ask_on_frames(struct pen_client *c, struct frame *frames, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        take_answer(c, &frames[k]);
        slice_release(&frames[k].body);
    }
    count_add(&c->received, n);
    send_pending(c);
    return n;
}

/* ---- making and ending ---- */

static int init_slots(struct pen_client *c)
{
    uint32_t n = c->work != NULL ? WORK_SLOTS : c->options.in_flight_max;
    c->slots_count = n;
    c->slots = calloc(n, sizeof *c->slots);
    if (c->slots == NULL)
        return PEN_ENOMEM;
    for (uint32_t k = 0; k < n; k++)
        c->slots[k].next_free = k + 1 < n ? k + 1 : NO_SLOT;
    return 0;
}

int ask_init(struct pen_client *c)
{
    struct pen_queue_options q = { .items_max = c->options.in_flight_max,
                                   .bytes_max = c->options.bytes_max,
                                   .destroy = destroy_request };
    struct pen_getter_options g = {
        .budget = PENDING_MAX, .on_items = on_requests, .on_shutdown = on_outbox_end, .arg = c
    };
    int r = init_slots(c);
    if (r < 0 || c->work != NULL)
        return r;
    r = pen_queue_new(&q, &c->outbox);
    if (r == 0)
        r = pen_queue_attach(c->outbox, c->loop, &g, &c->getter);
    return r;
}

static void end_all(struct pen_client *c) ON_LOOP
{
    while (c->pending_at < c->pending_end)
        request_end(c->pending[c->pending_at++], PEN_ECLOSED, NULL);
    ask_give_up(c, PEN_ECLOSED);
}

void ask_close(struct pen_client *c, bool immediate)
{
    if (c->outbox != NULL)
        pen_queue_shutdown(c->outbox, immediate ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
    if (!immediate)
        return;
    end_all(c);
    pen_timer_cancel(&c->timer);
    if (c->getter != NULL)
        pen_getter_resume(c->getter); /* Its end comes as an event. */
}

bool ask_is_over(const struct pen_client *c)
{
    return (c->outbox == NULL || c->outbox_over) && c->pending_at == c->pending_end &&
           list_empty(&c->own) && c->in_flight_count == 0;
}

void ask_fini(struct pen_client *c)
{
    pen_timer_cancel(&c->timer);
    pen_getter_close(&c->getter);
    if (c->slots != NULL) {
        loop_assert_here(c->loop);
        end_all(c);
    }
    pen_queue_free(&c->outbox);
    free(c->slots);
}
