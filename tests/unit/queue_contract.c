/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract's tools, and what one thread can see of it.
 */
#include "queue_contract.h"

#include <sched.h>
#include <stdlib.h>

#include "plat/thread.h"

const struct queue_ops *contract_ops;
#define ops contract_ops

/* ---- tools ---- */

static void count_destroyed(void *ptr, void *arg)
{
    struct destroyed *d = arg;
    d->count++;
    d->sum += num_of(ptr);
}

void *contract_queue(uint32_t items_max, uint64_t bytes_max, struct destroyed *destroyed)
{
    struct pen_queue_options options = { .items_max = items_max,
                                         .bytes_max = bytes_max,
                                         .destroy = destroyed != NULL ? count_destroyed : NULL,
                                         .destroy_arg = destroyed };
    void *queue = NULL;
    ck_assert_int_eq(ops->make(&options, &queue), 0);
    return queue;
}

struct pen_queue_stats contract_stats(void *queue)
{
    struct pen_queue_stats s;
    ops->stats(queue, &s);
    ck_assert_uint_eq(s.put, s.got + s.drained + s.items);
    ck_assert_uint_eq(s.unfinished, s.put - s.done);
    return s;
}

void contract_finish(void *queue, size_t n)
{
    if (ops->holds_taken)
        ck_assert_int_eq(ops->task_done(queue, n), 0);
}

void contract_await_putters(void *queue, uint64_t n)
{
    while (contract_stats(queue).putters_waiting != n)
        sched_yield();
}

void contract_await_getters(void *queue, uint64_t n)
{
    while (contract_stats(queue).getters_waiting != n)
        sched_yield();
}

void contract_await_joiners(void *queue, uint64_t n)
{
    while (contract_stats(queue).joiners_waiting != n)
        sched_yield();
}

pen_mono_t far_away(void)
{
    return pen_deadline_in(pen_ms(3600 * 1000));
}

pen_mono_t soon(void)
{
    return pen_deadline_in(pen_ms(2));
}

static void act(void *arg)
{
    struct actor *a = arg;
    switch (a->does) {
    case ACTOR_PUT:
        a->result = ops->put(a->queue, a->item.ptr, a->item.bytes, a->deadline);
        break;
    case ACTOR_GET:
        a->result = ops->get(a->queue, &a->item, a->deadline);
        if (a->result == 0)
            contract_finish(a->queue, 1);
        break;
    case ACTOR_JOIN:
        a->result = ops->join(a->queue, a->deadline);
        break;
    }
}

static void actor_start(struct actor *a, struct actor how)
{
    *a = how;
    ck_assert_int_eq(thread_start("actor", act, a, &a->thread), 0);
}

void actor_put(struct actor *a, void *queue, struct pen_item item, pen_mono_t deadline)
{
    actor_start(a, (struct actor){
                       .queue = queue, .does = ACTOR_PUT, .item = item, .deadline = deadline });
}

void actor_get(struct actor *a, void *queue, pen_mono_t deadline)
{
    actor_start(a, (struct actor){ .queue = queue, .does = ACTOR_GET, .deadline = deadline });
}

void actor_join(struct actor *a, void *queue, pen_mono_t deadline)
{
    actor_start(a, (struct actor){ .queue = queue, .does = ACTOR_JOIN, .deadline = deadline });
}

int actor_end(struct actor *a)
{
    thread_join(&a->thread);
    return a->result;
}

/* ---- one thread ---- */

static void put_now(void *queue, size_t number, size_t bytes, int expected)
{
    ck_assert_int_eq(ops->put(queue, num(number), bytes, PEN_NOW), expected);
}

static void get_now(void *queue, size_t expected)
{
    struct pen_item item;
    ck_assert_int_eq(ops->get(queue, &item, PEN_NOW), 0);
    ck_assert_uint_eq(num_of(item.ptr), expected);
}

/* Get one, so that its room is free. */
static void clear_now(void *queue, size_t expected)
{
    get_now(queue, expected);
    contract_finish(queue, 1);
}

START_TEST(first_in_first_out)
{
    void *q = contract_queue(10, 0, NULL);
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 1; i <= 7; i++)
            put_now(q, i, i, 0);
        for (size_t i = 1; i <= 7; i++) {
            struct pen_item item;
            ck_assert_int_eq(ops->get(q, &item, PEN_NOW), 0);
            ck_assert_uint_eq(num_of(item.ptr), i);
            ck_assert_uint_eq(item.bytes, i);
        }
        contract_finish(q, 7);
    }
    ck_assert_uint_eq(contract_stats(q).got, 35);
    ops->free(&q);
    ck_assert_ptr_null(q);
}
END_TEST

START_TEST(what_is_not_allowed_changes_nothing)
{
    void *q = contract_queue(10, 0, NULL);
    struct pen_item items[2] = { { num(1), 1 }, { NULL, 1 } };
    size_t n = 77;
    ck_assert_int_eq(ops->put(q, NULL, 1, PEN_NOW), PEN_EINVAL);
    ck_assert_int_eq(ops->put_many(q, items, 2, PEN_NOW, &n), PEN_EINVAL);
    ck_assert_uint_eq(n, 0);
    n = 77;
    ck_assert_int_eq(ops->get_many(q, items, 0, PEN_NOW, &n), PEN_EINVAL);
    ck_assert_uint_eq(n, 77);
    ck_assert_uint_eq(contract_stats(q).put, 0);
    ops->free(&q);
}
END_TEST

START_TEST(a_failed_get_leaves_its_outputs)
{
    void *q = contract_queue(2, 0, NULL);
    struct pen_item item = { num(5), 6 };
    size_t n = 77;
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), PEN_EEMPTY);
    ck_assert_int_eq(ops->get(q, &item, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(ops->get_many(q, &item, 1, PEN_NOW, &n), PEN_EEMPTY);
    ck_assert_int_eq(ops->get(q, &item, (pen_mono_t){ 1 }), PEN_ETIMEOUT);
    ck_assert_uint_eq(num_of(item.ptr), 5);
    ck_assert_uint_eq(item.bytes, 6);
    ck_assert_uint_eq(n, 77);
    ops->free(&q);
}
END_TEST

static const uint32_t bounds[] = { 1, 2, 3, 7, 64, 1000 };

START_TEST(items_at_the_bound_and_one_beyond)
{
    uint32_t max = bounds[_i];
    void *q = contract_queue(max, 0, NULL);
    for (size_t i = 1; i <= max; i++)
        put_now(q, i, 0, 0);
    put_now(q, 99, 0, PEN_EFULL);
    ck_assert_int_eq(ops->put(q, num(99), 0, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(ops->put(q, num(99), 0, (pen_mono_t){ 1 }), PEN_ETIMEOUT);
    ck_assert_uint_eq(contract_stats(q).items, max);
    ck_assert_uint_eq(contract_stats(q).items_high, max);
    get_now(q, 1);
    if (ops->holds_taken)
        put_now(q, 99, 0, PEN_EFULL);
    contract_finish(q, 1);
    put_now(q, max + 1, 0, 0);
    put_now(q, 99, 0, PEN_EFULL);
    for (size_t i = 2; i <= max + 1; i++)
        clear_now(q, i);
    ck_assert_uint_eq(contract_stats(q).items_high, max);
    ck_assert_uint_eq(contract_stats(q).items, 0);
    ops->free(&q);
}
END_TEST

START_TEST(bytes_at_the_bound_and_one_beyond)
{
    void *q = contract_queue(1000, 100, NULL);
    put_now(q, 1, 101, PEN_ETOOBIG);
    put_now(q, 1, 100, 0);
    put_now(q, 2, 1, PEN_EFULL);
    put_now(q, 2, 0, 0); /* Counts nothing. */
    get_now(q, 1);
    if (ops->holds_taken)
        put_now(q, 3, 1, PEN_EFULL);
    contract_finish(q, 1);
    put_now(q, 3, 60, 0);
    put_now(q, 4, 41, PEN_EFULL);
    put_now(q, 4, 40, 0);
    put_now(q, 5, SIZE_MAX, PEN_ETOOBIG);
    struct pen_queue_stats s = contract_stats(q);
    ck_assert_uint_eq(s.bytes, 100);
    ck_assert_uint_eq(s.items, 3);
    clear_now(q, 2);
    clear_now(q, 3);
    ck_assert_uint_eq(contract_stats(q).bytes, 40);
    clear_now(q, 4);
    ck_assert_uint_eq(contract_stats(q).bytes, 0);
    ops->free(&q);
}
END_TEST

START_TEST(a_batch_puts_what_fits)
{
    void *q = contract_queue(3, 100, NULL);
    struct pen_item items[5];
    for (size_t i = 0; i < 5; i++)
        items[i] = (struct pen_item){ num(i + 1), 10 };
    size_t n = 77;
    ck_assert_int_eq(ops->put_many(q, items, 0, PEN_NOW, &n), 0);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(ops->put_many(q, items, 5, PEN_NOW, &n), PEN_EFULL);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(ops->put_many(q, items, 5, soon(), &n), PEN_ETIMEOUT);
    ck_assert_uint_eq(n, 0);
    clear_now(q, 1);
    items[4].bytes = 71;
    ck_assert_int_eq(ops->put_many(q, items + 4, 1, PEN_NOW, &n), 0);
    ck_assert_uint_eq(contract_stats(q).bytes, 91);
    clear_now(q, 2);
    ck_assert_int_eq(ops->put_many(q, items, 2, soon(), &n),
                     PEN_ETIMEOUT); /* 81 bytes held: 10 fit, not 20. */
    ck_assert_uint_eq(n, 1);
    ops->free(&q);
}
END_TEST

START_TEST(a_batch_with_an_item_that_is_too_big)
{
    void *q = contract_queue(10, 100, NULL);
    struct pen_item items[3] = { { num(1), 10 }, { num(2), 101 }, { num(3), 10 } };
    size_t n = 77;
    ck_assert_int_eq(ops->put_many(q, items, 3, PEN_NEVER, &n), PEN_ETOOBIG);
    ck_assert_uint_eq(n, ops->decides_each ? 2 : 1);
    get_now(q, 1);
    if (ops->decides_each)
        get_now(q, 3);
    ck_assert_uint_eq(contract_stats(q).items, 0);
    ops->free(&q);
}
END_TEST

START_TEST(a_batch_takes_what_is_there)
{
    void *q = contract_queue(100, 0, NULL);
    struct pen_item items[8];
    size_t n;
    for (size_t i = 1; i <= 10; i++)
        put_now(q, i, 1, 0);
    ck_assert_int_eq(ops->get_many(q, items, 8, PEN_NOW, &n), 0);
    ck_assert_uint_eq(n, 8);
    ck_assert_uint_eq(num_of(items[7].ptr), 8);
    ck_assert_int_eq(ops->get_many(q, items, 8, PEN_NEVER, &n), 0); /* Waits for the first only. */
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(num_of(items[1].ptr), 10);
    ops->free(&q);
}
END_TEST

START_TEST(task_done_counts)
{
    void *q = contract_queue(10, 0, NULL);
    ck_assert_int_eq(ops->task_done(q, 1), PEN_ETOOMANY);
    ck_assert_int_eq(ops->join(q, PEN_NOW), 0);
    for (size_t i = 1; i <= 4; i++)
        put_now(q, i, 1, 0);
    ck_assert_int_eq(ops->join(q, PEN_NOW), PEN_ETIMEOUT);
    for (size_t i = 1; i <= 4; i++)
        get_now(q, i);
    ck_assert_int_eq(ops->join(q, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(ops->task_done(q, 5), PEN_ETOOMANY);
    ck_assert_uint_eq(contract_stats(q).unfinished, 4);
    ck_assert_int_eq(ops->task_done(q, 3), 0);
    ck_assert_int_eq(ops->join(q, PEN_NOW), PEN_ETIMEOUT);
    ck_assert_int_eq(ops->task_done(q, 1), 0);
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    ck_assert_int_eq(ops->task_done(q, 1), PEN_ETOOMANY);
    ck_assert_uint_eq(contract_stats(q).done, 4);
    ops->free(&q);
}
END_TEST

START_TEST(free_gives_the_rest_to_the_destructor)
{
    struct destroyed d = { 0, 0 };
    void *q = contract_queue(10, 0, &d);
    for (size_t i = 1; i <= 5; i++)
        put_now(q, i, 1, 0);
    get_now(q, 1);
    ops->free(&q);
    ck_assert_uint_eq(d.count, 4);
    ck_assert_uint_eq(d.sum, 14);
    ops->free(&q); /* NULL is accepted. */
}
END_TEST

TCase *contract_basic_case(void)
{
    TCase *c = tcase_create("one thread");
    tcase_add_test(c, first_in_first_out);
    tcase_add_test(c, what_is_not_allowed_changes_nothing);
    tcase_add_test(c, a_failed_get_leaves_its_outputs);
    tcase_add_loop_test(c, items_at_the_bound_and_one_beyond, 0, sizeof bounds / sizeof bounds[0]);
    tcase_add_test(c, bytes_at_the_bound_and_one_beyond);
    tcase_add_test(c, a_batch_puts_what_fits);
    tcase_add_test(c, a_batch_with_an_item_that_is_too_big);
    tcase_add_test(c, a_batch_takes_what_is_there);
    tcase_add_test(c, task_done_counts);
    tcase_add_test(c, free_gives_the_rest_to_the_destructor);
    return c;
}

Suite *queue_contract_suite(const struct queue_ops *with)
{
    contract_ops = with;
    Suite *s = suite_create(with->name);
    TCase *cases[] = { contract_basic_case(), contract_wait_case(), contract_shutdown_case(),
                       contract_loop_case(), contract_putter_case() };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tcase_set_timeout(cases[i], CONTRACT_TIMEOUT_S);
        suite_add_tcase(s, cases[i]);
    }
    return s;
}
