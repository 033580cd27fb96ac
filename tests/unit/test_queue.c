/* SPDX-License-Identifier: Apache-2.0
 *
 * src/task/queue.c and queue_loop.c: the queue's contract, and what the library's queue has beyond it: kinds, peek,
 * clear, resize.
 */
#include <check.h>
#include <stdlib.h>

#include <penstock/queue.h>

#include "queue_contract.h"

/* ---- the contract's adapter ---- */

static int q_make(const struct pen_queue_options *options, void **ret_queue)
{
    struct pen_queue *q;
    int r = pen_queue_new(options, &q);
    if (r == 0)
        *ret_queue = q;
    return r;
}

static int q_make_fair(const struct pen_queue_options *options, void **ret_queue)
{
    struct pen_queue_options fair = *options;
    fair.fair = true;
    return q_make(&fair, ret_queue);
}

static void q_free(void **queue)
{
    struct pen_queue *q = *queue;
    pen_queue_free(&q);
    *queue = q;
}

static int q_put(void *q, void *ptr, size_t bytes, pen_mono_t deadline)
{
    return pen_queue_put(q, ptr, bytes, deadline);
}

static int q_put_many(void *q, const struct pen_item *items, size_t n, pen_mono_t deadline,
                      size_t *ret_put)
{
    return pen_queue_put_many(q, items, n, deadline, ret_put);
}

static int q_get(void *q, struct pen_item *ret_item, pen_mono_t deadline)
{
    return pen_queue_get(q, ret_item, deadline);
}

static int q_get_many(void *q, struct pen_item *ret_items, size_t max, pen_mono_t deadline,
                      size_t *ret_got)
{
    return pen_queue_get_many(q, ret_items, max, deadline, ret_got);
}

static int q_task_done(void *q, size_t n)
{
    return pen_queue_task_done(q, n);
}

static int q_join(void *q, pen_mono_t deadline)
{
    return pen_queue_join(q, deadline);
}

static void q_shutdown(void *q, enum pen_shutdown mode)
{
    pen_queue_shutdown(q, mode);
}

static void q_stats(void *q, struct pen_queue_stats *ret_stats)
{
    pen_queue_stats(q, ret_stats);
}

static int q_attach(void *q, struct pen_loop *loop, const struct pen_getter_options *options,
                    void **ret_getter)
{
    struct pen_getter *g;
    int r = pen_queue_attach(q, loop, options, &g);
    if (r == 0)
        *ret_getter = g;
    return r;
}

static void q_pause(void *getter)
{
    pen_getter_pause(getter);
}

static void q_resume(void *getter)
{
    pen_getter_resume(getter);
}

static void q_close(void **getter)
{
    struct pen_getter *g = *getter;
    pen_getter_close(&g);
    *getter = g;
}

static int q_attach_putter(void *q, struct pen_loop *loop, const struct pen_putter_options *options,
                           void **ret_putter)
{
    struct pen_putter *p;
    int r = pen_queue_attach_putter(q, loop, options, &p);
    if (r == 0)
        *ret_putter = p;
    return r;
}

static int q_putter_put(void *putter, const struct pen_item *items, size_t n)
{
    return pen_putter_put(putter, items, n);
}

static void q_putter_close(void **putter)
{
    struct pen_putter *p = *putter;
    pen_putter_close(&p);
    *putter = p;
}

static const struct queue_ops queue_ops = {
    .name = "queue",
    .make = q_make,
    .free = q_free,
    .put = q_put,
    .put_many = q_put_many,
    .get = q_get,
    .get_many = q_get_many,
    .task_done = q_task_done,
    .join = q_join,
    .shutdown = q_shutdown,
    .stats = q_stats,
    .attach = q_attach,
    .pause = q_pause,
    .resume = q_resume,
    .close = q_close,
    .attach_putter = q_attach_putter,
    .putter_put = q_putter_put,
    .putter_close = q_putter_close,
};

/* ---- kinds ---- */

/* Ranks are the tens: 13 stands before 21, and 13 and 17 are equals. */
static int64_t tens(const void *ptr, void *arg)
{
    (void)arg;
    return (int64_t)(num_of(ptr) / 10);
}

static struct pen_queue *queue_of(enum pen_queue_kind kind, uint32_t items_max, uint64_t bytes_max)
{
    struct pen_queue_options options = {
        .kind = kind, .items_max = items_max, .bytes_max = bytes_max, .rank = tens
    };
    struct pen_queue *q = NULL;
    ck_assert_int_eq(pen_queue_new(&options, &q), 0);
    return q;
}

static void put(struct pen_queue *q, size_t number)
{
    ck_assert_int_eq(pen_queue_put(q, num(number), 1, PEN_NOW), 0);
}

static void expect(struct pen_queue *q, size_t number)
{
    struct pen_item item;
    ck_assert_int_eq(pen_queue_get(q, &item, PEN_NOW), 0);
    ck_assert_uint_eq(num_of(item.ptr), number);
}

START_TEST(options_that_are_not_allowed)
{
    struct pen_queue *q = NULL;
    struct pen_queue_options options = { .items_max = (1u << 30) + 1 };
    ck_assert_int_eq(pen_queue_new(&options, &q), PEN_EINVAL);
    options = (struct pen_queue_options){ .kind = PEN_QUEUE_PRIORITY };
    ck_assert_int_eq(pen_queue_new(&options, &q), PEN_EINVAL);
    options = (struct pen_queue_options){ .kind = (enum pen_queue_kind)7 };
    ck_assert_int_eq(pen_queue_new(&options, &q), PEN_EINVAL);
    ck_assert_ptr_null(q);
    ck_assert_int_eq(pen_queue_new(NULL, &q), 0);
    pen_queue_free(&q);
}
END_TEST

START_TEST(the_latest_first)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_LIFO, 4, 0);
    put(q, 1);
    put(q, 2);
    put(q, 3);
    expect(q, 3);
    put(q, 4);
    put(q, 5);
    ck_assert_int_eq(pen_queue_put(q, num(6), 1, PEN_NOW), PEN_EFULL);
    expect(q, 5);
    expect(q, 4);
    expect(q, 2);
    expect(q, 1);
    pen_queue_free(&q);
}
END_TEST

START_TEST(the_lowest_rank_first_and_ties_in_order)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_PRIORITY, 100, 0);
    static const size_t in[] = { 35, 17, 21, 13, 30, 11, 29, 12, 39, 5 };
    static const size_t out[] = { 5, 17, 13, 11, 12, 21, 29, 35, 30, 39 };
    for (size_t i = 0; i < 10; i++)
        put(q, in[i]);
    for (size_t i = 0; i < 5; i++)
        expect(q, out[i]);
    put(q, 14);
    expect(q, 14);
    for (size_t i = 5; i < 10; i++)
        expect(q, out[i]);
    pen_queue_free(&q);
}
END_TEST

START_TEST(every_kind_drains)
{
    struct pen_queue *q = queue_of((enum pen_queue_kind)_i, 300, 0);
    for (size_t i = 1; i <= 300; i++)
        put(q, i);
    struct pen_item item;
    ck_assert_int_eq(pen_queue_get(q, &item, PEN_NOW), 0);
    pen_queue_shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    struct pen_queue_stats s;
    pen_queue_stats(q, &s);
    ck_assert_uint_eq(s.drained, 299);
    ck_assert_uint_eq(s.unfinished, 1);
    ck_assert_uint_eq(s.bytes, 0);
    pen_queue_free(&q);
}
END_TEST

/* ---- peek and clear ---- */

static void note(const struct pen_item *item, void *arg)
{
    *(size_t *)arg = num_of(item->ptr);
}

START_TEST(peek_shows_what_get_would_give)
{
    static const size_t next[] = { 21, 13, 13 };
    struct pen_queue *q = queue_of((enum pen_queue_kind)_i, 4, 0);
    size_t seen = 77;
    ck_assert_int_eq(pen_queue_peek(q, note, &seen), PEN_EEMPTY);
    ck_assert_uint_eq(seen, 77);
    put(q, 21);
    put(q, 13);
    ck_assert_int_eq(pen_queue_peek(q, note, &seen), 0);
    ck_assert_int_eq(pen_queue_peek(q, note, &seen), 0);
    ck_assert_uint_eq(seen, next[_i]);
    expect(q, seen);
    pen_queue_shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_int_eq(pen_queue_peek(q, note, &seen), 0);
    pen_queue_shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    ck_assert_int_eq(pen_queue_peek(q, note, &seen), PEN_ESHUTDOWN);
    pen_queue_free(&q);
}
END_TEST

START_TEST(clear_drains_and_goes_on)
{
    struct destroyed d = { 0, 0 };
    contract_ops = &queue_ops;
    struct pen_queue *q = contract_queue(200, 0, &d);
    struct actor putter, joiner;
    for (size_t i = 1; i <= 200; i++)
        put(q, i);
    actor_put(&putter, q, (struct pen_item){ num(1000), 1 }, PEN_NEVER);
    contract_await_putters(q, 1);
    uint64_t cleared = pen_queue_clear(q);
    ck_assert_int_eq(actor_end(&putter), 0);
    cleared += pen_queue_clear(q); /* The putter's, if it had not come by then. */
    ck_assert_uint_eq(cleared, 201);
    ck_assert_uint_eq(d.sum, 201 * 100 + 1000);
    ck_assert_uint_eq(contract_stats(q).unfinished, 0);
    actor_join(&joiner, q, PEN_NEVER);
    ck_assert_int_eq(actor_end(&joiner), 0);
    ck_assert_uint_eq(pen_queue_clear(q), 0);
    put(q, 5);
    expect(q, 5);
    pen_queue_free(&q);
}
END_TEST

/* ---- resize ---- */

START_TEST(a_larger_bound_wakes_putters)
{
    struct pen_queue *q = queue_of((enum pen_queue_kind)_i, 1, 0);
    struct actor a[3];
    contract_ops = &queue_ops;
    put(q, 1);
    for (size_t i = 0; i < 3; i++) {
        actor_put(&a[i], q, (struct pen_item){ num(i + 2), 1 }, PEN_NEVER);
        contract_await_putters(q, i + 1);
    }
    ck_assert_int_eq(pen_queue_resize(q, 4, 0), 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(actor_end(&a[i]), 0);
    ck_assert_int_eq(pen_queue_put(q, num(9), 1, PEN_NOW), PEN_EFULL);
    for (size_t i = 1; i <= 4; i++)
        expect(q, _i == PEN_QUEUE_LIFO ? 5 - i : i);
    pen_queue_free(&q);
}
END_TEST

START_TEST(more_bytes_wake_putters)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_FIFO, 10, 10);
    struct actor a;
    contract_ops = &queue_ops;
    ck_assert_int_eq(pen_queue_put(q, num(1), 10, PEN_NOW), 0);
    actor_put(&a, q, (struct pen_item){ num(2), 10 }, PEN_NEVER);
    contract_await_putters(q, 1);
    ck_assert_int_eq(pen_queue_resize(q, 10, 20), 0);
    ck_assert_int_eq(actor_end(&a), 0);
    pen_queue_free(&q);
}
END_TEST

START_TEST(a_smaller_bound_is_honoured)
{
    struct pen_queue *q = queue_of((enum pen_queue_kind)_i, 8, 0);
    for (size_t i = 1; i <= 8; i++)
        put(q, i);
    ck_assert_int_eq(pen_queue_resize(q, 3, 0), 0);
    for (size_t i = 1; i <= 6; i++) {
        ck_assert_int_eq(pen_queue_put(q, num(99), 1, PEN_NOW), PEN_EFULL);
        expect(q, _i == PEN_QUEUE_LIFO ? 9 - i : i);
    }
    put(q, 10);
    ck_assert_int_eq(pen_queue_put(q, num(99), 1, PEN_NOW), PEN_EFULL);
    pen_queue_free(&q);
}
END_TEST

START_TEST(a_waiting_item_that_became_too_big_is_told_so)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_FIFO, 8, 100);
    struct actor large, small;
    contract_ops = &queue_ops;
    ck_assert_int_eq(pen_queue_put(q, num(1), 40, PEN_NOW), 0);
    ck_assert_int_eq(pen_queue_put(q, num(2), 40, PEN_NOW), 0);
    actor_put(&large, q, (struct pen_item){ num(3), 80 }, PEN_NEVER);
    contract_await_putters(q, 1);
    actor_put(&small, q, (struct pen_item){ num(4), 30 }, PEN_NEVER);
    contract_await_putters(q, 2);
    ck_assert_int_eq(pen_queue_resize(q, 8, 79), 0);
    ck_assert_int_eq(actor_end(&large), PEN_ETOOBIG);
    ck_assert_uint_eq(contract_stats(q).putters_waiting, 1);
    expect(q, 1);
    ck_assert_int_eq(actor_end(&small), 0);
    pen_queue_free(&q);
}
END_TEST

/* Grows at every position of the ring, in the middle of traffic. */
START_TEST(the_ring_grows_under_way)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_FIFO, 1, 0);
    size_t in = 0, out = 0;
    for (uint32_t max = 1; max < 200; max += 7) {
        ck_assert_int_eq(pen_queue_resize(q, max, 0), 0);
        while (in - out < max)
            put(q, ++in);
        ck_assert_int_eq(pen_queue_put(q, num(9999), 1, PEN_NOW), PEN_EFULL);
        for (uint32_t i = 0; i < max / 3; i++)
            expect(q, ++out);
    }
    while (out < in)
        expect(q, ++out);
    pen_queue_free(&q);
}
END_TEST

START_TEST(a_resize_that_is_refused_changes_nothing)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_FIFO, 1, 0);
    ck_assert_int_eq(pen_queue_resize(q, (1u << 30) + 1, 0), PEN_EINVAL);
    put(q, 1);
    ck_assert_int_eq(pen_queue_put(q, num(2), 1, PEN_NOW), PEN_EFULL);
    pen_queue_free(&q);
}
END_TEST

START_TEST(waits_are_counted)
{
    struct pen_queue *q = queue_of(PEN_QUEUE_FIFO, 1, 0);
    struct pen_item item;
    struct pen_queue_stats s;
    ck_assert_int_eq(pen_queue_get(q, &item, soon()), PEN_ETIMEOUT);
    put(q, 1);
    ck_assert_int_eq(pen_queue_put(q, num(2), 1, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_queue_put(q, num(2), 1, PEN_NOW), PEN_EFULL);
    pen_queue_stats(q, &s);
    ck_assert_uint_eq(s.get_waits, 1);
    ck_assert_uint_eq(s.put_waits, 1);
    ck_assert_uint_gt(s.get_wait_ns, 0);
    ck_assert_uint_gt(s.put_wait_ns, 0);
    ck_assert_uint_eq(s.items_high, 1);
    pen_queue_free(&q);
}
END_TEST

/* ---- fair ---- */

/* A queue in which one putter waits with an item that is too large for the room that is left. */
static struct pen_queue *queue_with_a_line(bool fair, struct actor *ret_large)
{
    struct pen_queue_options options = { .items_max = 4, .bytes_max = 10, .fair = fair };
    struct pen_queue *q = NULL;
    ck_assert_int_eq(pen_queue_new(&options, &q), 0);
    ck_assert_int_eq(pen_queue_put(q, num(1), 6, PEN_NOW), 0);
    actor_put(ret_large, q, (struct pen_item){ num(2), 8 }, far_away());
    contract_await_putters(q, 1);
    return q;
}

START_TEST(without_fair_whoever_finds_room_takes_it)
{
    struct actor large;
    struct pen_queue *q = queue_with_a_line(false, &large);
    for (size_t i = 3; i < 6; i++)
        put(q, i);
    ck_assert_int_eq(pen_queue_put(q, num(6), 1, PEN_NOW), PEN_EFULL);
    expect(q, 1);
    for (size_t i = 3; i < 6; i++)
        expect(q, i);
    ck_assert_int_eq(actor_end(&large), 0);
    expect(q, 2);
    pen_queue_free(&q);
}
END_TEST

/* With one in line the share is two of four: the main thread has put one and may put one more. */
START_TEST(with_fair_a_spent_share_waits_behind_those_in_line)
{
    struct actor large, small;
    struct pen_queue *q = queue_with_a_line(true, &large);
    put(q, 3);
    ck_assert_int_eq(pen_queue_put(q, num(4), 1, PEN_NOW), PEN_EFULL);
    ck_assert_int_eq(pen_queue_put(q, num(4), 1, soon()), PEN_ETIMEOUT);
    /* A thread that has put nothing has its share. */
    actor_put(&small, q, (struct pen_item){ num(5), 1 }, PEN_NOW);
    ck_assert_int_eq(actor_end(&small), 0);
    expect(q, 1);
    expect(q, 3);
    ck_assert_int_eq(actor_end(&large), 0);
    expect(q, 5);
    expect(q, 2);
    for (size_t i = 6; i < 10; i++) /* Nobody is in line: all of it may be put again. */
        put(q, i);
    for (size_t i = 6; i < 10; i++)
        expect(q, i);
    pen_queue_free(&q);
}
END_TEST

START_TEST(with_fair_a_batch_is_cut_at_the_share)
{
    struct actor large;
    struct pen_queue *q = queue_with_a_line(true, &large);
    struct pen_item items[] = { { num(3), 1 }, { num(4), 1 }, { num(5), 1 } };
    size_t done = 0;
    ck_assert_int_eq(pen_queue_put_many(q, items, 3, PEN_NOW, &done), PEN_EFULL);
    ck_assert_uint_eq(done, 1);
    expect(q, 1);
    ck_assert_int_eq(actor_end(&large), 0);
    /* Its wait is over, and so is the share. */
    ck_assert_int_eq(pen_queue_put_many(q, items + 1, 1, PEN_NOW, &done), 0);
    expect(q, 3);
    expect(q, 2);
    expect(q, 4);
    pen_queue_free(&q);
}
END_TEST

static TCase *fair_case(void)
{
    TCase *c = tcase_create("fair");
    tcase_set_timeout(c, CONTRACT_TIMEOUT_S);
    tcase_add_test(c, without_fair_whoever_finds_room_takes_it);
    tcase_add_test(c, with_fair_a_spent_share_waits_behind_those_in_line);
    tcase_add_test(c, with_fair_a_batch_is_cut_at_the_share);
    return c;
}

static Suite *beyond_suite(void)
{
    Suite *s = suite_create("queue, beyond the contract");
    TCase *c = tcase_create("kinds, peek, clear, resize");
    tcase_set_timeout(c, CONTRACT_TIMEOUT_S);
    tcase_add_test(c, options_that_are_not_allowed);
    tcase_add_test(c, the_latest_first);
    tcase_add_test(c, the_lowest_rank_first_and_ties_in_order);
    tcase_add_loop_test(c, every_kind_drains, 0, 3);
    tcase_add_loop_test(c, peek_shows_what_get_would_give, 0, 3);
    tcase_add_test(c, clear_drains_and_goes_on);
    tcase_add_loop_test(c, a_larger_bound_wakes_putters, 0, 3);
    tcase_add_test(c, more_bytes_wake_putters);
    tcase_add_loop_test(c, a_smaller_bound_is_honoured, 0, 3);
    tcase_add_test(c, a_waiting_item_that_became_too_big_is_told_so);
    tcase_add_test(c, the_ring_grows_under_way);
    tcase_add_test(c, a_resize_that_is_refused_changes_nothing);
    tcase_add_test(c, waits_are_counted);
    suite_add_tcase(s, c);
    suite_add_tcase(s, fair_case());
    return s;
}

/* Runs and frees it: the suites of a contract look at one global table, so they run one after the other. */
static int failures_of(Suite *suite)
{
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed;
}

int main(void)
{
    struct queue_ops fair_ops = queue_ops;
    fair_ops.name = "queue, fair";
    fair_ops.make = q_make_fair;
    int failed = failures_of(queue_contract_suite(&queue_ops));
    failed += failures_of(queue_contract_suite(&fair_ops));
    contract_ops = &queue_ops;
    failed += failures_of(beyond_suite());
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
