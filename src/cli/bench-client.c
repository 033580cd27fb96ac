/* SPDX-License-Identifier: Apache-2.0
 *
 * A client sends whatever is due: with a rate, the messages whose time has come; without, as many as its endpoint takes
 * (push, pub), or one request when the last was answered (req, put). What the endpoint does not take is made again when
 * there is room, with the time at which it was due, so that a stall is in the latency of all that it held up.
 *
 * Message k of a client has the number k * clients + index, and that many periods of the rate after the start it is due.
 *
 * Thread: the client's loop, unless a call says otherwise.
 */
#include "cli/bench-client.h"

#include <stdlib.h>

#include "base/check.h"
#include "cli/bench-message.h"
#include "cli/cli.h"
#include "net/chunk.h"
#include "proto/batch.h"
#include "proto/sp.h"

enum {
    /* Then the loop sees to its sockets and timers. */
    SENDS_A_TURN = 8,
    FRAME_MARGIN_BYTES = BATCH_HEAD_BYTES + 2 + LIMIT_NAME_BYTES,
    /* Of jobs, which may be of any size, as many as are asked for. */
    ANSWER_MAX_BYTES = 64 << 20
};

/* Parcels that are made and not yet taken; how many messages are in each. */
struct flight {
    size_t n;
    struct parcel_frame parcels[LIMIT_BATCH_ITEMS];
    struct route routes[LIMIT_BATCH_ITEMS];
    size_t messages[LIMIT_BATCH_ITEMS];
};

static uint64_t sent(const struct bench_client *c)
{
    return count_read(&c->sent);
}

static uint64_t number_of(const struct bench_client *c, uint64_t k)
{
    return k * c->plan->clients + c->index;
}

/* Without a rate a message is due when it is sent. */
static mono_t due_of(const struct bench_client *c, uint64_t k)
{
    uint64_t rate = c->plan->rate, n = number_of(c, k);
    if (rate == 0)
        return pen_loop_now(c->loop);
    return mono_after(c->desk->start,
                      (span_t){ (int64_t)(n / rate * NS_PER_S + n % rate * NS_PER_S / rate) });
}

/* How many are due by now, of at most `most`. */
static size_t due_now(const struct bench_client *c, size_t most)
{
    size_t n = 0;
    if (c->plan->rate == 0)
        return most;
    for (mono_t now = pen_now(); n < most && !mono_before(now, due_of(c, sent(c) + n));)
        n++;
    return n;
}

/* One that works has known when its last job was through. */
static void tell_end(struct bench_client *c)
{
    if (c->plan->kind != BENCH_WORK || c->ended.ns == 0)
        c->ended = pen_now();
    (void)loop_post(c->desk->loop, &c->end_post);
}

/* What it has sent is on its way: not before the endpoint is closed, unless it has been answered. */
static void end(struct bench_client *c) ON_LOOP
{
    if (c->ends)
        return;
    c->ends = true;
    pen_timer_cancel(&c->timer);
    pen_timer_cancel(&c->end_timer);
    if (bench_client_asks(c))
        tell_end(c);
    else
        endpoint_close(c->endpoint, false);
}

static void on_closed(struct endpoint *endpoint, void *arg)
{
    (void)endpoint;
    struct bench_client *c = arg;
    loop_assert_here(c->loop);
    tell_end(c);
}

static bool waits(const struct bench_client *c)
{
    return c->plan->kind == BENCH_WORK ? c->in_hand > 0 : c->requests != c->replies;
}

void bench_client_stop(struct bench_client *c)
{
    c->over = true;
    if (!(bench_client_asks(c) && waits(c)))
        end(c);
}

/* ---- making ---- */

/* One message for each parcel, all in one piece of memory. */
static int make_raw(struct bench_client *c, size_t n, struct flight *f)
{
    struct chunk *chunk;
    uint32_t bytes = (uint32_t)c->plan->bytes;
    int r = chunk_new(n * bytes, &chunk);
    if (r < 0)
        return r;
    chunk->used = chunk->cap;
    for (f->n = 0; f->n < n; f->n++) {
        uint64_t k = sent(c) + f->n;
        bench_message_write(chunk->bytes + f->n * bytes, bytes, number_of(c, k), due_of(c, k));
        f->parcels[f->n] =
            (struct parcel_frame){ .body = chunk_slice(chunk, (uint32_t)f->n * bytes, bytes) };
        f->messages[f->n] = 1;
    }
    chunk_retire(&chunk);
    return 0;
}

static int make_frame(struct bench_client *c, size_t n, uint64_t k, struct slice *ret_slice)
{
    uint8_t *to;
    struct batch_writer writer;
    size_t bytes = c->plan->bytes;
    int r = slice_new(FRAME_MARGIN_BYTES + n * (BATCH_RECORD_BYTES + bytes), ret_slice, &to);
    if (r < 0)
        return r;
    struct batch_head head = { .kind = BATCH_PUT, .attrs = &c->attrs };
    check(batch_writer_init(&writer, to, ret_slice->bytes, &head) == 0);
    for (size_t i = 0; i < n; i++, k++) {
        bench_message_write(c->scratch, bytes, number_of(c, k), due_of(c, k));
        struct batch_record record = { .body = c->scratch, .body_bytes = (uint32_t)bytes };
        check(batch_writer_add(&writer, &record) == 0);
    }
    ret_slice->bytes = (uint32_t)writer.used;
    return 0;
}

/* One frame of as many messages as there are, up to the plan's batch. */
static int make_batch(struct bench_client *c, size_t n, struct flight *f)
{
    f->parcels[0] = (struct parcel_frame){ 0 };
    f->messages[0] = n < c->plan->batch ? n : c->plan->batch;
    int r = make_frame(c, f->messages[0], sent(c), &f->parcels[0].body);
    f->n = r < 0 ? 0 : 1;
    return r;
}

static void route_requests(struct bench_client *c, struct flight *f)
{
    for (size_t i = 0; i < f->n; i++) {
        sp_request_route((uint32_t)(c->requests + i) & INT32_MAX, &f->routes[i]);
        f->parcels[i].route = &f->routes[i];
    }
}

/* ---- sending ---- */

static void note_asked(struct bench_client *c, size_t messages)
{
    c->asked[c->requests % BENCH_ASKED_MAX] =
        (struct bench_asked){ .number = c->requests, .due = due_of(c, sent(c)), .messages = messages };
    c->requests++;
}

/* The first `taken` parcels are sent, the others are let go. */
static void account(struct bench_client *c, struct flight *f, size_t taken)
{
    for (size_t i = 0; i < taken; i++) {
        if (bench_client_asks(c))
            note_asked(c, f->messages[i]);
        for (size_t j = 0; j < f->messages[i]; j++) {
            count_add(&c->sum, bench_mix(number_of(c, sent(c))));
            count_add(&c->sent, 1);
        }
    }
    for (size_t i = taken; i < f->n; i++)
        slice_release(&f->parcels[i].body);
}

/* True when all of it was taken. */
static bool send_some(struct bench_client *c, size_t n) ON_LOOP
{
    struct flight f;
    int r = c->plan->batch > 0 ? make_batch(c, n, &f) : make_raw(c, n, &f);
    if (r < 0) {
        say("%s", pen_strerror(r));
        bench_client_stop(c);
        return false;
    }
    if (bench_client_asks(c))
        route_requests(c, &f);
    size_t made = f.n, taken = endpoint_send(c->endpoint, f.parcels, f.n);
    account(c, &f, taken);
    return taken == made;
}

/* How many may be sent now. */
static size_t allowed(const struct bench_client *c)
{
    size_t most = c->most;
    if (bench_client_asks(c)) {
        size_t room = c->plan->rate > 0 ? BENCH_ASKED_MAX : 1,
               asked = (size_t)(c->requests - c->replies);
        if (asked >= room)
            return 0;
        if (c->plan->batch == 0)
            most = room - asked < most ? room - asked : most;
    }
    uint64_t left = c->share - sent(c);
    return due_now(c, left < most ? (size_t)left : most);
}

static void on_due(struct pen_loop *loop, void *arg, int status);

static void go_on(struct bench_client *c) ON_LOOP
{
    if (c->plan->kind == BENCH_WORK) {
        bench_work_go_on(c);
        return;
    }
    for (int i = 0; i < SENDS_A_TURN && !c->over; i++) {
        size_t n = allowed(c);
        if (n == 0)
            break;
        if (!send_some(c, n))
            return; /* on_room() goes on */
        if (sent(c) == c->share)
            bench_client_stop(c);
    }
    if (c->over)
        return;
    if (allowed(c) > 0)
        (void)loop_post(c->loop, &c->go_on_post);
    else if (c->plan->rate > 0 &&
             pen_loop_call_at(c->loop, &c->timer, due_of(c, sent(c)), on_due, c) < 0)
        bench_client_stop(c);
}

static void on_due(struct pen_loop *loop, void *arg, int status)
{
    if (status != 0)
        return;
    loop_assert_here(loop);
    go_on(arg);
}

static void on_over(struct pen_loop *loop, void *arg, int status)
{
    if (status != 0)
        return;
    loop_assert_here(loop);
    bench_client_stop(arg);
}

static void on_begin(struct pen_loop *loop, void *arg, int status)
{
    struct bench_client *c = arg;
    if (status < 0)
        return;
    loop_assert_here(loop);
    endpoint_resume(c->endpoint);
    if (c->plan->duration.ns > 0 &&
        pen_loop_call_later(loop, &c->end_timer, c->plan->duration, on_over, c) < 0)
        bench_client_stop(c);
    if (c->share == 0)
        bench_client_stop(c);
    go_on(c);
}

static void on_room(struct endpoint *endpoint, void *arg)
{
    (void)endpoint;
    struct bench_client *c = arg;
    loop_assert_here(c->loop);
    go_on(c);
}

/* ---- answers ---- */

static bool tells_error(const struct slice *body)
{
    static const char prefix[] = "ERR PEN_";
    return body->bytes >= sizeof prefix - 1 && memcmp(body->at, prefix, sizeof prefix - 1) == 0;
}

/* How many of a frame of receipts are none. */
static size_t refusals(const struct slice *body, size_t messages)
{
    struct batch_reader reader;
    size_t good = 0;
    if (batch_reader_init(&reader, body->at, body->bytes) == 0 && reader.kind == BATCH_RECEIPTS)
        while (batch_reader_next(&reader))
            good += reader.record.status == 0;
    return messages > good ? messages - good : 0;
}

/* An answer to something that nobody asked, or that was answered, is nothing. */
static void take_answer(struct bench_client *c, const struct frame *frame)
{
    uint32_t id;
    if (sp_request_id(&frame->route, &id) < 0)
        return;
    struct bench_asked *asked = &c->asked[id % BENCH_ASKED_MAX];
    if (asked->due.ns == 0 || ((uint32_t)asked->number & INT32_MAX) != id)
        return;
    bench_times_add(&c->latency, mono_since(pen_now(), asked->due));
    asked->due.ns = 0;
    c->replies++;
    count_add(&c->answered, asked->messages);
    if (c->plan->kind == BENCH_PUT)
        count_add(&c->failed, refusals(&frame->body, asked->messages));
    else if (tells_error(&frame->body))
        count_add(&c->failed, 1);
}

static size_t on_answers(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    (void)endpoint;
    struct bench_client *c = arg;
    loop_assert_here(c->loop);
    for (size_t i = 0; i < n; i++) {
        take_answer(c, &frames[i]);
        slice_release(&frames[i].body);
    }
    if (c->over)
        bench_client_stop(c);
    else
        go_on(c);
    return n;
}

/* ---- its life ---- */

static size_t most_at_once(size_t bytes)
{
    size_t n = BENCH_MESSAGE_MAX_BYTES / bytes;
    return n < LIMIT_BATCH_ITEMS ? n : LIMIT_BATCH_ITEMS;
}

static int open_endpoint(struct bench_client *c)
{
    static const struct {
        enum sp_pattern pattern;
        size_t (*on_frames)(struct endpoint *, struct frame *, size_t, void *);
    } kinds[] = { [BENCH_PUSH] = { SP_PUSH, NULL },
                  [BENCH_PUB] = { SP_PUB, NULL },
                  [BENCH_REQ] = { SP_REQ, on_answers },
                  [BENCH_PUT] = { SP_REQ, on_answers },
                  [BENCH_WORK] = { SP_REQ, bench_work_on_frames } };
    struct endpoint_events events = { .on_room = on_room,
                                      .on_closed = on_closed,
                                      .on_frames = kinds[c->plan->kind].on_frames };
    struct endpoint_options options = { .loop = c->loop,
                                        .events = &events,
                                        .arg = c,
                                        .name = "bench",
                                        .pattern = kinds[c->plan->kind].pattern,
                                        .connect = c->plan->to,
                                        .message_max = ANSWER_MAX_BYTES,
                                        .linger = c->plan->patience,
                                        .slow = SLOW_BLOCK };
    char text[LIMIT_ERROR_TEXT_BYTES];
    int r = endpoint_open(&options, text, sizeof text, &c->endpoint);
    if (r < 0)
        say("%s", text);
    return r;
}

int bench_client_init(struct bench_client *c, const struct bench_desk *desk, struct pen_loop *loop,
                      uint64_t index)
{
    const struct bench_plan *plan = desk->plan;
    c->plan = plan;
    c->desk = desk;
    c->loop = loop;
    c->index = index;
    c->share = plan->messages == 0 ? UINT64_MAX
                                   : (plan->messages + plan->clients - 1 - index) / plan->clients;
    c->most = plan->batch > 0 ? plan->batch : most_at_once(plan->bytes);
    if (plan->queue != NULL) {
        struct batch_text queue = { plan->queue, (uint32_t)strlen(plan->queue) };
        batch_set(&c->attrs, QUEUE, queue, queue);
    }
    post_init(&c->begin_post, on_begin, c);
    post_init(&c->go_on_post, on_due, c);
    c->scratch = malloc(plan->bytes);
    c->asked = calloc(bench_client_asks(c) ? BENCH_ASKED_MAX : 1, sizeof *c->asked);
    if (c->scratch == NULL || c->asked == NULL)
        return PEN_ENOMEM;
    return open_endpoint(c);
}

void bench_client_begin(struct bench_client *c)
{
    (void)loop_post(c->loop, &c->begin_post);
}

void bench_client_fini(struct bench_client *c)
{
    endpoint_free(&c->endpoint);
    free(c->asked);
    free(c->scratch);
}
