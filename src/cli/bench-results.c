/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver of what clients sent and a daemon passed on: counts it, and how long it took. A result that is a frame
 * of the batch framing is as many as are in it.
 *
 * Thread: its loop, unless a call says otherwise.
 */
#include "cli/bench-client.h"

#include "cli/bench-message.h"
#include "cli/cli.h"
#include "proto/batch.h"

static void take_message(struct bench_receiver *r, const uint8_t *at, size_t bytes)
{
    count_add(&r->received, 1);
    if (bytes < r->plan->bytes)
        return; /* The sum will not be right. */
    at += bytes - r->plan->bytes;
    count_add(&r->sum, bench_mix(bench_message_number(at)));
    bench_times_add(&r->latency, mono_since(r->last, bench_message_due(at)));
}

static void take_frame(struct bench_receiver *r, const struct slice *body)
{
    struct batch_reader reader;
    if (r->plan->batch == 0 || batch_reader_init(&reader, body->at, body->bytes) < 0) {
        take_message(r, body->at, body->bytes);
        return;
    }
    while (batch_reader_next(&reader))
        take_message(r, reader.record.body, reader.record.body_bytes);
}

static void tell_if_all(struct bench_receiver *r)
{
    if (r->told || count_read(&r->received) < count_read(&r->expected))
        return;
    r->told = true;
    (void)loop_post(r->desk->loop, &r->end_post);
}

static size_t on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    (void)endpoint;
    struct bench_receiver *r = arg;
    loop_assert_here(r->loop);
    r->last = pen_now();
    for (size_t i = 0; i < n; i++) {
        take_frame(r, &frames[i].body);
        slice_release(&frames[i].body);
    }
    tell_if_all(r);
    return n;
}

static void on_begin(struct pen_loop *loop, void *arg, int status)
{
    struct bench_receiver *r = arg;
    if (status != 0)
        return;
    loop_assert_here(loop);
    endpoint_resume(r->endpoint);
}

static void on_expect(struct pen_loop *loop, void *arg, int status)
{
    if (status != 0)
        return;
    loop_assert_here(loop);
    tell_if_all(arg);
}

int bench_receiver_init(struct bench_receiver *r, const struct bench_desk *desk,
                        struct pen_loop *loop)
{
    const struct bench_plan *plan = desk->plan;
    bool pulls = plan->pull[0] != NULL;
    struct endpoint_events events = { .on_frames = on_frames };
    struct endpoint_options options = { .loop = loop,
                                        .events = &events,
                                        .arg = r,
                                        .name = "bench results",
                                        .pattern = pulls ? SP_PULL : SP_SUB,
                                        .connect = pulls ? plan->pull : plan->sub,
                                        .message_max = 2 * BENCH_MESSAGE_MAX_BYTES };
    char text[LIMIT_ERROR_TEXT_BYTES];
    r->plan = plan;
    r->desk = desk;
    r->loop = loop;
    count_set(&r->expected, UINT64_MAX);
    post_init(&r->begin_post, on_begin, r);
    post_init(&r->expect_post, on_expect, r);
    int result = endpoint_open(&options, text, sizeof text, &r->endpoint);
    if (result < 0)
        say("%s", text);
    return result;
}

void bench_receiver_begin(struct bench_receiver *r)
{
    (void)loop_post(r->loop, &r->begin_post);
}

/* The post orders the count before the look at it. */
void bench_receiver_expect(struct bench_receiver *r, uint64_t messages)
{
    count_set(&r->expected, messages);
    (void)loop_post(r->loop, &r->expect_post);
}

void bench_receiver_fini(struct bench_receiver *r)
{
    endpoint_free(&r->endpoint);
}
