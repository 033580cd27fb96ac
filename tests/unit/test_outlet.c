/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow/outlet.c, with an endpoint of our own in place of net/endpoint.c: it records what it is given, and takes as
 * many frames as it is told to. The loops run on the test's thread, a few turns at a time, but for the crowd at the
 * end.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "flow/outlet.h"
#include "loop/io.h"
#include "plat/thread.h"
#include "sync/futex.h"

enum { TIME_LIMIT_S = 120, FRAMES_MAX = 100000, BATCH_ITEMS = 64, BODY_BYTES = 36 };

/* ---- the endpoint ---- */

struct endpoint {
    size_t take; /* frames that it takes before it is full */
    size_t calls, most, count;
    uint64_t turn;                      /* of the loop, the last in which it was called, */
    size_t turn_calls, turn_calls_most; /* how often, and how often in any */
    uint32_t numbers[FRAMES_MAX];       /* what came, in order */
    bool routed[FRAMES_MAX];
    bool corked;
};

/* What the number of a frame travels in. */
static uint32_t number_of(struct slice body)
{
    uint32_t number;
    ck_assert_uint_ge(body.bytes, sizeof number);
    memcpy(&number, body.at, sizeof number);
    return number;
}

static uint64_t bench_turn(void);

size_t endpoint_send(struct endpoint *e, struct parcel_frame *frames, size_t n)
{
    size_t taken = n < e->take ? n : e->take;
    ck_assert_uint_ge(n, 1);
    e->calls++;
    e->turn_calls = bench_turn() == e->turn ? e->turn_calls + 1 : 1;
    e->turn_calls_most = e->turn_calls > e->turn_calls_most ? e->turn_calls : e->turn_calls_most;
    e->turn = bench_turn();
    e->most = n > e->most ? n : e->most;
    e->take -= taken;
    for (size_t i = 0; i < taken; i++) {
        ck_assert_uint_lt(e->count, FRAMES_MAX);
        e->numbers[e->count] = number_of(frames[i].body);
        if (frames[i].route != NULL)
            ck_assert_int_eq(frames[i].route->at[0], (uint8_t)e->numbers[e->count]);
        e->routed[e->count++] = frames[i].route != NULL;
        slice_release(&frames[i].head);
        slice_release(&frames[i].body);
    }
    return taken;
}

void endpoint_cork(struct endpoint *e)
{
    ck_assert(!e->corked);
    e->corked = true;
}

void endpoint_uncork(struct endpoint *e)
{
    ck_assert(e->corked);
    e->corked = false;
}

/* ---- the bench: an outlet on one loop, a sink on another ---- */

static struct bench {
    struct pen_loop *out_loop, *sink_loop;
    struct outlet *outlet;
    struct endpoint endpoint;
    struct sink *sink;
    int drained, rooms;
} bench;

static uint64_t bench_turn(void)
{
    return loop_turns(bench.out_loop);
}

static void on_drained(void *arg)
{
    ck_assert_ptr_eq(arg, &bench);
    ck_assert(pen_loop_here(bench.out_loop));
    bench.drained++;
}

static void on_sink_room(void *arg)
{
    ck_assert_ptr_eq(arg, &bench);
    ck_assert(pen_loop_here(bench.sink_loop));
    bench.rooms++;
}

static void turn_over(struct pen_loop *loop, void *arg, int status)
{
    int *left = arg;
    ck_assert_int_eq(status, 0);
    if (--*left == 0)
        pen_loop_stop(loop);
    else
        ck_assert_int_eq(pen_loop_call_soon(loop, turn_over, arg), 0);
}

static void run_turns(struct pen_loop *loop)
{
    int turns = 12;
    ck_assert_int_eq(pen_loop_call_soon(loop, turn_over, &turns), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
}

static void setup(uint64_t bytes_max, size_t take)
{
    struct outlet_options options = { .bytes_max = bytes_max,
                                      .framing = FRAMING_JSON,
                                      .separator = "|",
                                      .on_drained = on_drained,
                                      .arg = &bench };
    bench.endpoint.take = take;
    ck_assert_int_eq(pen_loop_new(NULL, &bench.out_loop), 0);
    ck_assert_int_eq(pen_loop_new(NULL, &bench.sink_loop), 0);
    ck_assert_int_eq(outlet_new(&options, bench.out_loop, &bench.outlet), 0);
    outlet_set_endpoint(bench.outlet, &bench.endpoint);
    ck_assert_int_eq(sink_new(bench.outlet, bench.sink_loop, on_sink_room, &bench, &bench.sink), 0);
    run_turns(bench.out_loop);
}

static void teardown(void)
{
    sink_close(&bench.sink);
    sink_close(&bench.sink);
    outlet_free(&bench.outlet);
    outlet_free(&bench.outlet);
    pen_loop_free(&bench.sink_loop);
    pen_loop_free(&bench.out_loop);
}

static struct outlet_item item_of(uint32_t number, size_t bytes)
{
    struct outlet_item item = { .route = NULL };
    uint8_t *data;
    ck_assert_int_eq(slice_copy("topic", 5, &item.head), 0);
    ck_assert_int_eq(slice_new(bytes, &item.body, &data), 0);
    memset(data, 0, bytes);
    memcpy(data, &number, sizeof number);
    return item;
}

static void drop_item(struct outlet_item *item)
{
    slice_release(&item->head);
    slice_release(&item->body);
}

static void add_sized(uint32_t number, size_t bytes)
{
    struct outlet_item item = item_of(number, bytes);
    ck_assert_int_eq(sink_add(bench.sink, &item), 0);
}

static void add(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i <= to; i++)
        add_sized(i, BODY_BYTES);
}

static void expect_numbers(uint32_t from, uint32_t to)
{
    ck_assert_uint_eq(bench.endpoint.count, to - from + 1);
    for (uint32_t i = from; i <= to; i++)
        ck_assert_uint_eq(bench.endpoint.numbers[i - from], i);
}

static struct outlet_stats stats(void)
{
    struct outlet_stats s;
    outlet_stats(bench.outlet, &s);
    return s;
}

/* What one result of add() counts. */
enum { ITEM_BYTES = OUTLET_ITEM_BYTES + 5 + BODY_BYTES };

/* ---- sending ---- */

START_TEST(results_arrive_in_order_and_in_batches)
{
    setup(1 << 20, SIZE_MAX);
    ck_assert(sink_flush(bench.sink));
    add(1, 200);
    run_turns(bench.out_loop);
    ck_assert_uint_eq(bench.endpoint.calls, 0); /* Nothing leaves before the flush. */
    ck_assert(sink_flush(bench.sink));
    ck_assert_uint_eq(stats().waiting_bytes, 200 * ITEM_BYTES);
    run_turns(bench.out_loop);
    expect_numbers(1, 200);
    ck_assert_uint_eq(bench.endpoint.most, BATCH_ITEMS);
    ck_assert_uint_eq(bench.endpoint.calls, 4); /* 64, 64, 64, 8 */
    ck_assert_uint_eq(stats().waiting_bytes, 0);
    ck_assert_uint_eq(stats().lost, 0);
    ck_assert_int_eq(outlet_framing(bench.outlet), FRAMING_JSON);
    ck_assert_str_eq(outlet_separator(bench.outlet), "|");
    ck_assert_ptr_eq(sink_outlet(bench.sink), bench.outlet);
    teardown();
}
END_TEST

/* However much is there, the loop's other events have their turn. */
START_TEST(a_turn_sends_a_part)
{
    enum { BATCHES = 50, TURN_BATCHES = 16 };
    setup(1 << 20, SIZE_MAX);
    add(1, BATCHES * BATCH_ITEMS);
    ck_assert(sink_flush(bench.sink));
    while (bench.endpoint.count < BATCHES * BATCH_ITEMS)
        run_turns(bench.out_loop);
    expect_numbers(1, BATCHES * BATCH_ITEMS);
    ck_assert_uint_eq(bench.endpoint.calls, BATCHES);
    ck_assert_uint_eq(bench.endpoint.turn_calls_most, TURN_BATCHES);
    teardown();
}
END_TEST

static const size_t takes[] = { 1, 10, 63, 64, 65, 130 };

START_TEST(a_full_endpoint_is_given_the_rest_later)
{
    size_t take = takes[_i];
    setup(1 << 20, 0);
    add(1, 300);
    ck_assert(sink_flush(bench.sink));
    run_turns(bench.out_loop);
    ck_assert_uint_eq(bench.endpoint.calls,
                      1); /* Once, and not again before it says that it has room. */
    while (bench.endpoint.count < 300) {
        size_t before = bench.endpoint.count;
        bench.endpoint.take = take;
        outlet_on_room(bench.outlet);
        run_turns(bench.out_loop);
        ck_assert_uint_eq(bench.endpoint.count, before + (take < 300 - before ? take : 300 - before));
    }
    expect_numbers(1, 300);
    outlet_on_room(bench.outlet); /* There is nothing to send. */
    add(301, 301);
    bench.endpoint.take = 1;
    ck_assert(sink_flush(bench.sink));
    run_turns(bench.out_loop);
    expect_numbers(1, 301);
    ck_assert_int_eq(bench.drained, 0);
    teardown();
}
END_TEST

/* ---- a full outlet ---- */

START_TEST(a_full_outlet_makes_the_sink_wait)
{
    enum { MAX = 64 * 1024, LOT = 64 };
    uint32_t n = 0;
    setup(MAX, 0);
    for (int i = 0; i < 3; i++) {
        while (sink_flush(bench.sink)) {
            ck_assert_uint_lt(n * ITEM_BYTES, 2 * MAX);
            add(n + 1, n + LOT);
            n += LOT;
        }
        run_turns(bench.out_loop); /* Takes what it can. */
    }
    ck_assert_uint_le(stats().waiting_bytes, MAX);
    /* All that waits for the full endpoint is the bound, one batch that was offered to it, and the lot here. */
    ck_assert_uint_le(n * ITEM_BYTES, MAX + MAX / 4 + LOT * ITEM_BYTES);
    ck_assert(!sink_flush(bench.sink));
    run_turns(bench.sink_loop);
    ck_assert_int_eq(bench.rooms, 0);
    ck_assert(!sink_flush(bench.sink));
    bench.endpoint.take = SIZE_MAX;
    outlet_on_room(bench.outlet);
    run_turns(bench.out_loop);
    run_turns(bench.sink_loop);
    ck_assert_int_eq(bench.rooms, 1);
    ck_assert(sink_flush(bench.sink));
    while (bench.endpoint.count < n)
        run_turns(bench.out_loop);
    expect_numbers(1, n);
    ck_assert_uint_eq(stats().lost, 0);
    teardown();
}
END_TEST

START_TEST(large_results_go_alone)
{
    enum { MAX = 4096, LARGEST = MAX - OUTLET_ITEM_BYTES - 5 };
    setup(MAX, 0);
    struct outlet_item item = item_of(9, LARGEST + 1);
    ck_assert_int_eq(sink_add(bench.sink, &item), PEN_ETOOBIG);
    ck_assert_uint_eq(number_of(item.body), 9); /* Still ours. */
    drop_item(&item);
    add(1, 1);
    add_sized(2, LARGEST);
    add(3, 3);
    ck_assert(!sink_flush(bench.sink));
    ck_assert_uint_le(stats().waiting_bytes, MAX);
    bench.endpoint.take = SIZE_MAX;
    for (int i = 0; i < 3; i++) {
        run_turns(bench.out_loop);
        if (sink_flush(bench.sink))
            break;
    }
    run_turns(bench.out_loop);
    expect_numbers(1, 3);
    teardown();
}
END_TEST

/* ---- closing ---- */

START_TEST(a_close_sends_what_is_there)
{
    setup(1 << 20, 100);
    add(1, 500);
    ck_assert(sink_flush(bench.sink));
    run_turns(bench.out_loop);
    outlet_close(bench.outlet, false);
    outlet_close(bench.outlet, false);
    run_turns(bench.out_loop);
    ck_assert_int_eq(bench.drained, 0);
    ck_assert_uint_eq(bench.endpoint.count, 100);
    add(501, 503);
    ck_assert(sink_flush(bench.sink));
    ck_assert(sink_flush(bench.sink)); /* Nothing is left here. */
    ck_assert_uint_eq(stats().lost, 3);
    bench.endpoint.take = SIZE_MAX;
    outlet_on_room(bench.outlet);
    run_turns(bench.out_loop);
    expect_numbers(1, 500);
    ck_assert_int_eq(bench.drained, 1);
    outlet_on_room(bench.outlet);
    outlet_close(bench.outlet, true);
    run_turns(bench.out_loop);
    ck_assert_int_eq(bench.drained, 1);
    ck_assert_uint_eq(stats().lost, 3);
    teardown();
}
END_TEST

START_TEST(an_empty_outlet_is_drained_at_once)
{
    setup(1 << 20, 0);
    outlet_close(bench.outlet, _i == 1);
    ck_assert_int_eq(bench.drained, 0); /* An event, and not from within the call. */
    run_turns(bench.out_loop);
    ck_assert_int_eq(bench.drained, 1);
    teardown();
}
END_TEST

/* 7 of 1000 are sent; the rest is partly with the outlet, partly in its queue. */
START_TEST(an_immediate_close_counts_what_it_drops)
{
    setup(1 << 20, 7);
    add(1, 1000);
    ck_assert(sink_flush(bench.sink));
    run_turns(bench.out_loop);
    if (_i == 1)
        outlet_close(bench.outlet, false);
    outlet_close(bench.outlet, true);
    outlet_close(bench.outlet, true);
    outlet_close(bench.outlet, false);
    run_turns(bench.out_loop);
    ck_assert_int_eq(bench.drained, 1);
    expect_numbers(1, 7);
    ck_assert_uint_eq(stats().lost, 993);
    ck_assert_uint_eq(stats().waiting_bytes, 0);
    add(1001, 1001);
    sink_close(&bench.sink);
    ck_assert_uint_eq(stats().lost, 994);
    teardown();
}
END_TEST

START_TEST(a_close_tells_a_sink_that_waits)
{
    setup(ITEM_BYTES, 0);
    add(1, 5);
    ck_assert(!sink_flush(bench.sink));
    run_turns(bench.sink_loop);
    ck_assert_int_eq(bench.rooms, 0);
    outlet_close(bench.outlet, _i == 1);
    run_turns(bench.sink_loop);
    ck_assert_int_eq(bench.rooms, 1);
    ck_assert(sink_flush(bench.sink));
    ck_assert_uint_eq(stats().lost, _i == 1 ? 5 : 4);
    teardown();
}
END_TEST

START_TEST(what_is_left_is_freed_with_it)
{
    setup(1 << 20, 3);
    add(1, 1000);
    ck_assert(sink_flush(bench.sink));
    if (_i == 1)
        run_turns(bench.out_loop);
    add(1001, 1010);
    teardown(); /* The sanitizers say whether that was all. */
}
END_TEST

/* ---- lone answers ---- */

static void answer(uint32_t number)
{
    struct route route = { .bytes = 8, .at = { (uint8_t)number } };
    struct outlet_item item = item_of(number, BODY_BYTES);
    slice_release(&item.head);
    outlet_answer(bench.outlet, &route, item.body);
}

static void answer_elsewhere(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= 100; i++)
        answer(i);
}

START_TEST(answers_come_from_any_thread)
{
    struct thread *thread;
    setup(1 << 20, SIZE_MAX);
    ck_assert_int_eq(thread_start("answers", answer_elsewhere, NULL, &thread), 0);
    thread_join(&thread);
    while (bench.endpoint.count < 100)
        run_turns(bench.out_loop);
    expect_numbers(1, 100);
    for (size_t i = 0; i < 100; i++)
        ck_assert(bench.endpoint.routed[i]);
    teardown();
}
END_TEST

START_TEST(answers_that_find_no_room_are_lost)
{
    enum { ONE = OUTLET_ITEM_BYTES + BODY_BYTES };
    setup(3 * ONE, SIZE_MAX);
    for (uint32_t i = 1; i <= 5; i++)
        answer(i);
    ck_assert_uint_eq(stats().lost, 2);
    run_turns(bench.out_loop);
    expect_numbers(1, 3);
    outlet_close(bench.outlet, false);
    answer(6);
    ck_assert_uint_eq(stats().lost, 3);
    run_turns(bench.out_loop);
    ck_assert_int_eq(bench.drained, 1);
    teardown();
}
END_TEST

/* ---- a crowd ---- */

enum { SINKS = 3, EACH = 20000, CROWD_LOT = 40 };

/* A consumer of which only the sink is left, on a loop of its own. */
struct crowd_sink {
    struct pen_loop *loop;
    struct sink *sink;
    uint32_t base, next;
};

static void crowd_go_on(void *arg)
{
    struct crowd_sink *c = arg;
    while (sink_flush(c->sink)) {
        if (c->next == EACH) {
            sink_close(&c->sink);
            pen_loop_stop(c->loop);
            return;
        }
        for (int i = 0; i < CROWD_LOT && c->next < EACH; i++) {
            struct outlet_item item = item_of(c->base + c->next++, BODY_BYTES);
            ck_assert_int_eq(sink_add(c->sink, &item), 0);
        }
    }
}

static void crowd_begin(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    ck_assert_int_eq(status, 0);
    crowd_go_on(arg);
}

/* The endpoint has room again: now and then, and for a random number. */
static void crowd_room(struct pen_loop *loop, void *arg, int status)
{
    static unsigned state = 12345;
    (void)arg;
    if (status != 0)
        return;
    if (bench.drained > 0) {
        pen_loop_stop(loop);
        return;
    }
    state = state * 1103515245 + 12345;
    bench.endpoint.take = (state >> 16) % 200;
    outlet_on_room(bench.outlet);
    ck_assert_int_eq(pen_loop_call_soon(loop, crowd_room, NULL), 0);
}

static void crowd_close(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    (void)arg;
    ck_assert_int_eq(status, 0);
    outlet_close(bench.outlet, false);
}

START_TEST(a_crowd_of_sinks_keeps_its_order)
{
    struct crowd_sink c[SINKS];
    uint32_t next[SINKS] = { 0 };
    setup(16 * 1024, 0);
    ck_assert_int_eq(pen_loop_call_soon(bench.out_loop, crowd_room, NULL), 0);
    ck_assert_int_eq(pen_loop_start(bench.out_loop), 0);
    for (uint32_t i = 0; i < SINKS; i++) {
        c[i] = (struct crowd_sink){ .base = i * EACH };
        ck_assert_int_eq(pen_loop_new(NULL, &c[i].loop), 0);
        ck_assert_int_eq(sink_new(bench.outlet, c[i].loop, crowd_go_on, &c[i], &c[i].sink), 0);
        ck_assert_int_eq(pen_loop_call_soon(c[i].loop, crowd_begin, &c[i]), 0);
        ck_assert_int_eq(pen_loop_start(c[i].loop), 0);
    }
    for (uint32_t i = 0; i < SINKS; i++) {
        ck_assert_int_eq(pen_loop_join(c[i].loop), 0);
        pen_loop_free(&c[i].loop);
    }
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(bench.out_loop, crowd_close, NULL), 0);
    ck_assert_int_eq(pen_loop_join(bench.out_loop), 0);
    ck_assert_uint_eq(bench.endpoint.count, SINKS * EACH);
    for (size_t i = 0; i < SINKS * EACH; i++) {
        uint32_t number = bench.endpoint.numbers[i];
        ck_assert_uint_eq(number % EACH, next[number / EACH]++);
    }
    ck_assert_uint_eq(stats().lost, 0);
    ck_assert_int_eq(bench.drained, 1);
    teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("outlet");
    TCase *c = tcase_create("outlet");
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_test(c, results_arrive_in_order_and_in_batches);
    tcase_add_test(c, a_turn_sends_a_part);
    tcase_add_loop_test(c, a_full_endpoint_is_given_the_rest_later, 0,
                        sizeof takes / sizeof takes[0]);
    tcase_add_test(c, a_full_outlet_makes_the_sink_wait);
    tcase_add_test(c, large_results_go_alone);
    tcase_add_test(c, a_close_sends_what_is_there);
    tcase_add_loop_test(c, an_empty_outlet_is_drained_at_once, 0, 2);
    tcase_add_loop_test(c, an_immediate_close_counts_what_it_drops, 0, 2);
    tcase_add_loop_test(c, a_close_tells_a_sink_that_waits, 0, 2);
    tcase_add_loop_test(c, what_is_left_is_freed_with_it, 0, 2);
    tcase_add_test(c, answers_come_from_any_thread);
    tcase_add_test(c, answers_that_find_no_room_are_lost);
    tcase_add_test(c, a_crowd_of_sinks_keeps_its_order);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
