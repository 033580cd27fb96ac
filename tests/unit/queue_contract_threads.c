/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract between threads: waiting, first come first served, join, shutdown.
 */
#include "queue_contract.h"

#include <stdlib.h>

#include "plat/thread.h"

#define ops contract_ops

enum { ACTORS = 3 };

static void expect_got(struct actor *a, size_t number)
{
    ck_assert_int_eq(actor_end(a), 0);
    ck_assert_uint_eq(num_of(a->item.ptr), number);
}

static void fill_queue(void *q, size_t from, size_t to)
{
    for (size_t i = from; i <= to; i++)
        ck_assert_int_eq(ops->put(q, num(i), 1, PEN_NOW), 0);
}

static void expect_next(void *q, size_t number)
{
    struct pen_item item;
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), 0);
    ck_assert_uint_eq(num_of(item.ptr), number);
}

/* Get the next, so that its room is free. */
static void clear_next(void *q, size_t number)
{
    expect_next(q, number);
    contract_finish(q, 1);
}

/* ---- waiting ---- */

START_TEST(a_getter_waits_for_a_put)
{
    void *q = contract_queue(10, 0, NULL);
    struct actor a;
    actor_get(&a, q, _i == 0 ? PEN_NEVER : far_away());
    contract_await_getters(q, 1);
    fill_queue(q, 5, 5);
    expect_got(&a, 5);
    ck_assert_uint_ge(contract_stats(q).get_waits, 1);
    ops->free(&q);
}
END_TEST

START_TEST(a_putter_waits_for_a_get)
{
    void *q = contract_queue(2, 0, NULL);
    struct actor a;
    fill_queue(q, 1, 2);
    actor_put(&a, q, (struct pen_item){ num(3), 1 }, _i == 0 ? PEN_NEVER : far_away());
    contract_await_putters(q, 1);
    ck_assert_uint_eq(contract_stats(q).items, 2);
    clear_next(q, 1);
    ck_assert_int_eq(actor_end(&a), 0);
    clear_next(q, 2);
    clear_next(q, 3);
    ck_assert_uint_ge(contract_stats(q).put_waits, 1);
    ops->free(&q);
}
END_TEST

START_TEST(getters_are_served_in_order)
{
    void *q = contract_queue(10, 0, NULL);
    struct actor a[ACTORS];
    for (size_t i = 0; i < ACTORS; i++) {
        actor_get(&a[i], q, PEN_NEVER);
        contract_await_getters(q, i + 1);
    }
    for (size_t i = 0; i < ACTORS; i++) {
        fill_queue(q, i + 1, i + 1);
        expect_got(&a[i], i + 1);
    }
    ops->free(&q);
}
END_TEST

START_TEST(putters_are_served_in_order)
{
    void *q = contract_queue(1, 0, NULL);
    struct actor a[ACTORS];
    fill_queue(q, 1, 1);
    for (size_t i = 0; i < ACTORS; i++) {
        actor_put(&a[i], q, (struct pen_item){ num(i + 2), 1 }, PEN_NEVER);
        contract_await_putters(q, i + 1);
    }
    for (size_t i = 0; i < ACTORS; i++) {
        clear_next(q, i + 1);
        ck_assert_int_eq(actor_end(&a[i]), 0);
    }
    clear_next(q, ACTORS + 1);
    ops->free(&q);
}
END_TEST

START_TEST(a_burst_serves_every_getter)
{
    void *q = contract_queue(10, 0, NULL);
    struct actor a[ACTORS];
    struct pen_item items[ACTORS];
    size_t n, sum = 0;
    for (size_t i = 0; i < ACTORS; i++) {
        actor_get(&a[i], q, PEN_NEVER);
        items[i] = (struct pen_item){ num(i + 1), 1 };
    }
    contract_await_getters(q, ACTORS);
    ck_assert_int_eq(ops->put_many(q, items, ACTORS, PEN_NOW, &n),
                     0); /* One wake; the rest is the baton. */
    for (size_t i = 0; i < ACTORS; i++) {
        ck_assert_int_eq(actor_end(&a[i]), 0);
        sum += num_of(a[i].item.ptr);
    }
    ck_assert_uint_eq(sum, 1 + 2 + 3);
    ops->free(&q);
}
END_TEST

START_TEST(a_large_take_serves_every_putter)
{
    void *q = contract_queue(ACTORS, 0, NULL);
    struct actor a[ACTORS];
    struct pen_item items[ACTORS];
    size_t n;
    fill_queue(q, 1, ACTORS);
    for (size_t i = 0; i < ACTORS; i++)
        actor_put(&a[i], q, (struct pen_item){ num(i + 10), 1 }, PEN_NEVER);
    contract_await_putters(q, ACTORS);
    ck_assert_int_eq(ops->get_many(q, items, ACTORS, PEN_NOW, &n), 0);
    ck_assert_uint_eq(n, ACTORS);
    contract_finish(q, ACTORS);
    for (size_t i = 0; i < ACTORS; i++)
        ck_assert_int_eq(actor_end(&a[i]), 0);
    ck_assert_uint_eq(contract_stats(q).items, ACTORS);
    ops->free(&q);
}
END_TEST

START_TEST(a_small_item_in_line_does_not_overtake_a_large_one)
{
    void *q = contract_queue(10, 100, NULL);
    struct actor large, small;
    ck_assert_int_eq(ops->put(q, num(1), 50, PEN_NOW), 0);
    ck_assert_int_eq(ops->put(q, num(2), 50, PEN_NOW), 0);
    actor_put(&large, q, (struct pen_item){ num(3), 60 }, PEN_NEVER);
    contract_await_putters(q, 1);
    actor_put(&small, q, (struct pen_item){ num(4), 10 }, PEN_NEVER);
    contract_await_putters(q, 2);
    clear_next(q, 1); /* There is room for the small one now, but it is not its turn. */
    ck_assert_uint_eq(contract_stats(q).putters_waiting, 2);
    clear_next(q, 2);
    ck_assert_int_eq(actor_end(&large), 0);
    ck_assert_int_eq(actor_end(&small), 0);
    clear_next(q, 3);
    clear_next(q, 4);
    ops->free(&q);
}
END_TEST

START_TEST(a_put_that_timed_out_is_not_queued_and_does_not_block_the_line)
{
    void *q = contract_queue(1, 0, NULL);
    struct actor a, b;
    fill_queue(q, 1, 1);
    actor_put(&a, q, (struct pen_item){ num(2), 1 }, soon());
    actor_put(&b, q, (struct pen_item){ num(3), 1 }, PEN_NEVER);
    ck_assert_int_eq(actor_end(&a), PEN_ETIMEOUT);
    contract_await_putters(q, 1);
    clear_next(q, 1);
    ck_assert_int_eq(actor_end(&b), 0);
    clear_next(q, 3);
    ck_assert_uint_eq(contract_stats(q).put, 2);
    ops->free(&q);
}
END_TEST

START_TEST(a_get_that_timed_out_does_not_swallow_a_wake)
{
    void *q = contract_queue(1, 0, NULL);
    struct actor a, b;
    actor_get(&a, q, soon());
    actor_get(&b, q, PEN_NEVER);
    ck_assert_int_eq(actor_end(&a), PEN_ETIMEOUT);
    contract_await_getters(q, 1);
    fill_queue(q, 1, 1);
    expect_got(&b, 1);
    ops->free(&q);
}
END_TEST

START_TEST(a_batch_goes_on_as_there_is_room)
{
    void *q = contract_queue(2, 0, NULL);
    struct actor a[5];
    struct pen_item items[5];
    size_t n;
    for (size_t i = 0; i < 5; i++) {
        items[i] = (struct pen_item){ num(i + 1), 1 };
        actor_get(&a[i], q, PEN_NEVER);
    }
    ck_assert_int_eq(ops->put_many(q, items, 5, PEN_NEVER, &n), 0);
    ck_assert_uint_eq(n, 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(actor_end(&a[i]), 0);
    ops->free(&q);
}
END_TEST

/* ---- many threads ---- */

enum { PRODUCERS = 4, CONSUMERS = 3, EACH = 5000, CROWD_ITEMS = 7, CROWD_BYTES = 50 };

struct crowd {
    void *q;
    size_t index;
    enum pen_shutdown mode;
    size_t got, sum;
    struct thread *thread;
};

static void start_crowd(struct crowd *crowd, size_t n, struct crowd as, void (*fn)(void *))
{
    for (size_t i = 0; i < n; i++) {
        crowd[i] = as;
        crowd[i].index = i;
        ck_assert_int_eq(thread_start("crowd", fn, &crowd[i], &crowd[i].thread), 0);
    }
}

static struct destroyed end_crowd(struct crowd *crowd, size_t n)
{
    struct destroyed all = { 0, 0 };
    for (size_t i = 0; i < n; i++) {
        thread_join(&crowd[i].thread);
        all.count += crowd[i].got;
        all.sum += crowd[i].sum;
    }
    return all;
}

static void produce(void *arg)
{
    struct crowd *c = arg;
    for (size_t i = 0; i < EACH; i++)
        ck_assert_int_eq(ops->put(c->q, num(c->index * EACH + i + 1), i % 20, PEN_NEVER), 0);
}

/* Items of one producer come in order, and the bounds hold whenever one looks. */
static void consume(void *arg)
{
    struct crowd *c = arg;
    size_t last[PRODUCERS] = { 0 };
    struct pen_item item;
    int r;
    while ((r = ops->get(c->q, &item, PEN_NEVER)) == 0) {
        size_t number = num_of(item.ptr), producer = (number - 1) / EACH;
        ck_assert_uint_gt(number, last[producer]);
        last[producer] = number;
        c->got++;
        c->sum += number;
        if (number % 16 == 0) {
            struct pen_queue_stats s = contract_stats(c->q);
            ck_assert_uint_le(s.items, CROWD_ITEMS);
            ck_assert_uint_le(s.bytes, CROWD_BYTES);
        }
        ck_assert_int_eq(ops->task_done(c->q, 1), 0);
    }
    ck_assert_int_eq(r, PEN_ESHUTDOWN);
}

START_TEST(a_crowd_keeps_order_and_bounds)
{
    void *q = contract_queue(CROWD_ITEMS, CROWD_BYTES, NULL);
    struct crowd p[PRODUCERS], c[CONSUMERS];
    start_crowd(c, CONSUMERS, (struct crowd){ .q = q }, consume);
    start_crowd(p, PRODUCERS, (struct crowd){ .q = q }, produce);
    (void)end_crowd(p, PRODUCERS);
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    struct destroyed got = end_crowd(c, CONSUMERS);
    size_t all = (size_t)PRODUCERS * EACH;
    ck_assert_uint_eq(got.count, all);
    ck_assert_uint_eq(got.sum, all * (all + 1) / 2);
    ck_assert_uint_le(contract_stats(q).items_high, CROWD_ITEMS);
    ops->free(&q);
}
END_TEST

TCase *contract_wait_case(void)
{
    TCase *c = tcase_create("waiting");
    tcase_add_loop_test(c, a_getter_waits_for_a_put, 0, 2);
    tcase_add_loop_test(c, a_putter_waits_for_a_get, 0, 2);
    tcase_add_test(c, getters_are_served_in_order);
    tcase_add_test(c, putters_are_served_in_order);
    tcase_add_test(c, a_burst_serves_every_getter);
    tcase_add_test(c, a_large_take_serves_every_putter);
    tcase_add_test(c, a_small_item_in_line_does_not_overtake_a_large_one);
    tcase_add_test(c, a_put_that_timed_out_is_not_queued_and_does_not_block_the_line);
    tcase_add_test(c, a_get_that_timed_out_does_not_swallow_a_wake);
    tcase_add_test(c, a_batch_goes_on_as_there_is_room);
    tcase_add_test(c, a_crowd_keeps_order_and_bounds);
    return c;
}

/* ---- shutdown ---- */

static enum pen_shutdown mode_of(int i)
{
    return i == 0 ? PEN_SHUTDOWN_GRACEFUL : PEN_SHUTDOWN_IMMEDIATE;
}

static void expect_shut(void *q)
{
    struct pen_item item;
    size_t n;
    ck_assert_int_eq(ops->put(q, num(9), 1, PEN_NOW), PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->put(q, num(9), 1, far_away()), PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->put(q, num(9), 1, PEN_NEVER), PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->put_many(q, &(struct pen_item){ num(9), 1 }, 1, PEN_NEVER, &n),
                     PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->get(q, &item, far_away()), PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->get(q, &item, PEN_NEVER), PEN_ESHUTDOWN);
    ck_assert_int_eq(ops->get_many(q, &item, 1, PEN_NEVER, &n), PEN_ESHUTDOWN);
    ck_assert(contract_stats(q).shut_down);
}

START_TEST(shutdown_of_an_empty_queue)
{
    void *q = contract_queue(4, 0, NULL);
    ops->shutdown(q, mode_of(_i));
    expect_shut(q);
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    ops->free(&q);
}
END_TEST

START_TEST(a_graceful_shutdown_gives_out_what_is_there)
{
    void *q = contract_queue(4, 0, NULL);
    struct pen_item item;
    fill_queue(q, 1, 3);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_int_eq(ops->put(q, num(4), 1, PEN_NOW), PEN_ESHUTDOWN);
    expect_next(q, 1);
    ck_assert_int_eq(ops->get(q, &item, far_away()), 0);
    ck_assert_int_eq(ops->get(q, &item, PEN_NEVER), 0);
    ck_assert_uint_eq(num_of(item.ptr), 3);
    expect_shut(q);
    ck_assert_int_eq(ops->join(q, PEN_NOW), PEN_ETIMEOUT);
    ck_assert_int_eq(ops->task_done(q, 3), 0);
    ck_assert_int_eq(ops->task_done(q, 1), PEN_ETOOMANY);
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    ops->free(&q);
}
END_TEST

START_TEST(an_immediate_shutdown_drains)
{
    struct destroyed d = { 0, 0 };
    void *q = contract_queue(200, 0, &d);
    fill_queue(q, 1, 200);
    ops->shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    ck_assert_uint_eq(d.count, 200);
    ck_assert_uint_eq(d.sum, 201 * 100);
    struct pen_queue_stats s = contract_stats(q);
    ck_assert_uint_eq(s.items, 0);
    ck_assert_uint_eq(s.bytes, 0);
    ck_assert_uint_eq(s.drained, 200);
    ck_assert_uint_eq(s.got, 0);
    ck_assert_uint_eq(s.unfinished, 0);
    ck_assert_int_eq(ops->task_done(q, 1), PEN_ETOOMANY);
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    expect_shut(q);
    ops->free(&q);
}
END_TEST

START_TEST(shutdown_is_irreversible_and_may_become_immediate)
{
    struct destroyed d = { 0, 0 };
    void *q = contract_queue(4, 0, &d);
    fill_queue(q, 1, 4);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_uint_eq(d.count, 0);
    expect_next(q, 1);
    ops->shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    ck_assert_uint_eq(d.count, 3);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ops->shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    ck_assert_uint_eq(d.count, 3);
    expect_shut(q);
    ck_assert_uint_eq(contract_stats(q).unfinished, 1);
    ops->free(&q);
}
END_TEST

START_TEST(shutdown_wakes_getters_that_wait)
{
    void *q = contract_queue(4, 0, NULL);
    struct actor a[ACTORS];
    for (size_t i = 0; i < ACTORS; i++)
        actor_get(&a[i], q, i == 1 ? far_away() : PEN_NEVER);
    contract_await_getters(q, ACTORS);
    ops->shutdown(q, mode_of(_i));
    for (size_t i = 0; i < ACTORS; i++)
        ck_assert_int_eq(actor_end(&a[i]), PEN_ESHUTDOWN);
    ops->free(&q);
}
END_TEST

/* Two items and three getters at a graceful shutdown: two are served. At an immediate one, only who came before. */
START_TEST(shutdown_serves_getters_while_there_is_something)
{
    struct destroyed d = { 0, 0 };
    void *q = contract_queue(4, 0, &d);
    struct actor a[ACTORS];
    size_t served = 0;
    fill_queue(q, 1, 2);
    ops->shutdown(q, mode_of(_i));
    for (size_t i = 0; i < ACTORS; i++)
        actor_get(&a[i], q, PEN_NEVER);
    for (size_t i = 0; i < ACTORS; i++) {
        int r = actor_end(&a[i]);
        ck_assert(r == 0 || r == PEN_ESHUTDOWN);
        served += r == 0;
    }
    ck_assert_uint_eq(served, _i == 0 ? 2 : 0);
    ck_assert_uint_eq(d.count, _i == 0 ? 0 : 2);
    ops->free(&q);
}
END_TEST

START_TEST(shutdown_wakes_putters_that_wait_and_queues_nothing)
{
    struct destroyed d = { 0, 0 };
    void *q = contract_queue(2, 0, &d);
    struct actor a[ACTORS];
    fill_queue(q, 1, 2);
    for (size_t i = 0; i < ACTORS; i++)
        actor_put(&a[i], q, (struct pen_item){ num(10 + i), 1 }, i == 1 ? far_away() : PEN_NEVER);
    contract_await_putters(q, ACTORS);
    ops->shutdown(q, mode_of(_i));
    for (size_t i = 0; i < ACTORS; i++)
        ck_assert_int_eq(actor_end(&a[i]), PEN_ESHUTDOWN);
    ck_assert_uint_eq(contract_stats(q).put, 2);
    if (_i == 0) {
        expect_next(q, 1);
        expect_next(q, 2);
    } else {
        ck_assert_uint_eq(d.sum, 3);
    }
    expect_shut(q);
    ops->free(&q);
}
END_TEST

START_TEST(joiners_wait_for_what_is_in_hand)
{
    void *q = contract_queue(4, 0, NULL);
    struct actor a[ACTORS];
    fill_queue(q, 1, 3);
    expect_next(q, 1); /* In hand; two more are in the queue. */
    for (size_t i = 0; i < ACTORS; i++)
        actor_join(&a[i], q, i == 1 ? far_away() : PEN_NEVER);
    contract_await_joiners(q, ACTORS);
    ops->shutdown(q, mode_of(_i));
    if (_i == 0) {
        expect_next(q, 2);
        expect_next(q, 3);
        ck_assert_int_eq(ops->task_done(q, 2), 0);
    }
    ck_assert_uint_eq(contract_stats(q).joiners_waiting, ACTORS);
    ck_assert_int_eq(ops->join(q, PEN_NOW), PEN_ETIMEOUT);
    ck_assert_int_eq(ops->task_done(q, 1), 0);
    for (size_t i = 0; i < ACTORS; i++)
        ck_assert_int_eq(actor_end(&a[i]), 0);
    ck_assert_int_eq(ops->task_done(q, 1), PEN_ETOOMANY);
    ops->free(&q);
}
END_TEST

START_TEST(joiners_are_released_by_the_drain)
{
    void *q = contract_queue(4, 0, NULL);
    struct actor a[ACTORS];
    fill_queue(q, 1, 4);
    for (size_t i = 0; i < ACTORS; i++)
        actor_join(&a[i], q, PEN_NEVER);
    contract_await_joiners(q, ACTORS);
    ops->shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    for (size_t i = 0; i < ACTORS; i++)
        ck_assert_int_eq(actor_end(&a[i]), 0);
    ops->free(&q);
}
END_TEST

/* A put that comes after the moment of nothing unfinished does not hold the joiner back. */
START_TEST(a_joiner_is_released_whatever_is_put_next)
{
    void *q = contract_queue(4, 0, NULL);
    struct actor a;
    fill_queue(q, 1, 1);
    expect_next(q, 1);
    actor_join(&a, q, PEN_NEVER);
    contract_await_joiners(q, 1);
    ck_assert_int_eq(ops->task_done(q, 1), 0);
    fill_queue(q, 2, 2);
    ck_assert_int_eq(actor_end(&a), 0);
    ops->free(&q);
}
END_TEST

/* ---- shutdown in a crowd: CPython's "all methods, many threads" ---- */

enum { WRITERS = 4, READERS = 6, MESSAGES = 16384, SHUT_AT = MESSAGES / 2 };

static void write_until_shut(void *arg)
{
    struct crowd *c = arg;
    int r = 0;
    for (size_t i = c->index; i < MESSAGES && r == 0; i += WRITERS) {
        r = ops->put(c->q, num(i + 1), 1, i % 2 == 0 ? PEN_NEVER : far_away());
        c->sum += r == 0 ? i + 1 : 0;
        c->got += r == 0;
        if (r == 0 && i == SHUT_AT)
            ops->shutdown(c->q, c->mode);
    }
    ck_assert(r == 0 || r == PEN_ESHUTDOWN);
}

static void read_until_shut(void *arg)
{
    struct crowd *c = arg;
    struct pen_item item;
    int r;
    while ((r = ops->get(c->q, &item, c->got % 2 == 0 ? PEN_NEVER : far_away())) == 0) {
        c->sum += num_of(item.ptr);
        c->got++;
        ck_assert_int_eq(ops->task_done(c->q, 1), 0);
    }
    ck_assert_int_eq(r, PEN_ESHUTDOWN);
}

START_TEST(everybody_ends_and_nothing_is_lost)
{
    struct destroyed d = { 0, 0 };
    void *q = contract_queue(_i % 2 == 0 ? 16 : 65536, 0, &d);
    struct crowd w[WRITERS], r[READERS];
    struct actor joiner;
    struct crowd as = { .q = q, .mode = mode_of(_i / 2) };
    start_crowd(r, READERS, as, read_until_shut);
    start_crowd(w, WRITERS, as, write_until_shut);
    struct destroyed put = end_crowd(w, WRITERS);
    ck_assert(contract_stats(q).shut_down);
    struct destroyed got = end_crowd(r, READERS);
    actor_join(&joiner, q, PEN_NEVER);
    ck_assert_int_eq(actor_end(&joiner), 0);
    ck_assert_uint_eq(put.count, got.count + d.count);
    ck_assert_uint_eq(put.sum, got.sum + d.sum);
    ck_assert_uint_eq(contract_stats(q).items, 0);
    ops->free(&q);
}
END_TEST

TCase *contract_shutdown_case(void)
{
    TCase *c = tcase_create("shutdown");
    tcase_add_loop_test(c, shutdown_of_an_empty_queue, 0, 2);
    tcase_add_test(c, a_graceful_shutdown_gives_out_what_is_there);
    tcase_add_test(c, an_immediate_shutdown_drains);
    tcase_add_test(c, shutdown_is_irreversible_and_may_become_immediate);
    tcase_add_loop_test(c, shutdown_wakes_getters_that_wait, 0, 2);
    tcase_add_loop_test(c, shutdown_serves_getters_while_there_is_something, 0, 2);
    tcase_add_loop_test(c, shutdown_wakes_putters_that_wait_and_queues_nothing, 0, 2);
    tcase_add_loop_test(c, joiners_wait_for_what_is_in_hand, 0, 2);
    tcase_add_test(c, joiners_are_released_by_the_drain);
    tcase_add_test(c, a_joiner_is_released_whatever_is_put_next);
    tcase_add_loop_test(c, everybody_ends_and_nothing_is_lost, 0, 4);
    return c;
}
