/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract with loops attached: getters and putters.
 */
#include "queue_contract.h"

#include <signal.h>
#include <stdlib.h>

#include "loop/io.h"
#include "plat/thread.h"
#include "sync/futex.h"

#define ops contract_ops

enum { BUDGET = 4, ITEMS_MOST = 20000 };

/* A loop on a thread of its own with a getter, and what came of it. */
struct taker {
    void *q;
    struct pen_loop *loop;
    void *getter;
    /* owner: loop, then the test */
    size_t events, got, sum, most, shutdowns;
    uint64_t last_turn;
    bool two_in_a_turn, pause_after_event, done_later, close_in_event;
    struct futex closed, paused;
};

static void on_items(struct pen_getter *unused, const struct pen_item *items, size_t n, void *arg)
{
    (void)unused;
    struct taker *t = arg;
    ck_assert(pen_loop_here(t->loop));
    ck_assert_uint_eq(t->shutdowns, 0);
    t->two_in_a_turn |= t->events > 0 && loop_turns(t->loop) == t->last_turn;
    t->last_turn = loop_turns(t->loop);
    t->events++;
    t->got += n;
    t->most = n > t->most ? n : t->most;
    for (size_t i = 0; i < n; i++)
        t->sum += num_of(items[i].ptr);
    if (!t->done_later)
        ck_assert_int_eq(ops->task_done(t->q, n), 0);
    if (t->pause_after_event) {
        ops->pause(t->getter);
        futex_set(&t->paused);
        futex_wake(&t->paused);
    }
    if (t->close_in_event) {
        ops->close(&t->getter);
        futex_set(&t->closed);
        futex_wake(&t->closed);
    }
}

/* The last event: closes the getter and ends the loop. */
static void on_shutdown(struct pen_getter *unused, void *arg)
{
    (void)unused;
    struct taker *t = arg;
    ck_assert(pen_loop_here(t->loop));
    t->shutdowns++;
    ops->close(&t->getter);
    ck_assert_ptr_null(t->getter);
    pen_loop_stop(t->loop);
}

static void taker_make(struct taker *t, void *q)
{
    *t = (struct taker){ .q = q };
    struct pen_getter_options options = {
        .budget = BUDGET, .on_items = on_items, .on_shutdown = on_shutdown, .arg = t
    };
    ck_assert_int_eq(pen_loop_new(NULL, &t->loop), 0);
    ck_assert_int_eq(ops->attach(q, t->loop, &options, &t->getter), 0);
}

static void taker_start(struct taker *t, void *q)
{
    taker_make(t, q);
    ck_assert_int_eq(pen_loop_start(t->loop), 0);
}

static void taker_end(struct taker *t)
{
    ck_assert_int_eq(pen_loop_join(t->loop), 0);
    pen_loop_free(&t->loop);
}

/* Make one call on the taker's loop and wait until it has returned. */
struct errand {
    void (*fn)(void *arg);
    void *arg;
    struct futex done;
};

static void run_errand(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct errand *e = arg;
    ck_assert_int_eq(status, 0);
    e->fn(e->arg);
    futex_set(&e->done);
    futex_wake(&e->done);
}

static void on_loop(struct pen_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct errand e = { .fn = fn, .arg = arg };
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, run_errand, &e), 0);
    ck_assert(futex_wait(&e.done, PEN_NEVER));
}

static void pause_taker(void *arg)
{
    struct taker *t = arg;
    ops->pause(t->getter);
    ops->pause(t->getter);
}

static void resume_taker(void *arg)
{
    struct taker *t = arg;
    ops->resume(t->getter);
    ops->resume(t->getter);
}

static void close_taker(void *arg)
{
    struct taker *t = arg;
    ops->close(&t->getter);
    ck_assert_ptr_null(t->getter);
}

static void put_numbers(void *q, size_t from, size_t to)
{
    for (size_t i = from; i <= to; i++)
        ck_assert_int_eq(ops->put(q, num(i), 1, PEN_NEVER), 0);
}

static size_t sum_to(size_t n)
{
    return n * (n + 1) / 2;
}

/* ---- getters ---- */

START_TEST(a_loop_gets_everything_and_the_end)
{
    void *q = contract_queue(_i == 0 ? 8 : 0, 0, NULL);
    struct taker t;
    taker_start(&t, q);
    put_numbers(q, 1, ITEMS_MOST);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    taker_end(&t);
    ck_assert_uint_eq(t.got, ITEMS_MOST);
    ck_assert_uint_eq(t.sum, sum_to(ITEMS_MOST));
    ck_assert_uint_eq(t.shutdowns, 1);
    ck_assert_uint_le(t.most, BUDGET);
    ck_assert(!t.two_in_a_turn);
    ck_assert_int_eq(ops->join(q, PEN_NOW), 0);
    ops->free(&q);
}
END_TEST

START_TEST(one_event_has_at_most_the_budget)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_make(&t, q);
    put_numbers(q, 1, 10);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_int_eq(pen_loop_start(t.loop), 0);
    taker_end(&t);
    ck_assert_uint_eq(t.events, 3); /* 4, 4, 2 */
    ck_assert_uint_eq(t.most, BUDGET);
    ck_assert_uint_eq(t.got, 10);
    ck_assert(!t.two_in_a_turn);
    ops->free(&q);
}
END_TEST

START_TEST(a_loop_that_sleeps_is_woken)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_start(&t, q);
    for (size_t i = 1; i <= 100; i++) {
        contract_await_getters(q, 1);
        put_numbers(q, i, i);
        ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    }
    contract_await_getters(q, 1);
    ops->shutdown(q, _i == 0 ? PEN_SHUTDOWN_GRACEFUL : PEN_SHUTDOWN_IMMEDIATE);
    taker_end(&t);
    ck_assert_uint_eq(t.events, 100);
    ck_assert_uint_eq(t.sum, sum_to(100));
    ck_assert_uint_eq(t.shutdowns, 1);
    ops->free(&q);
}
END_TEST

START_TEST(loops_and_threads_share_a_queue)
{
    enum { LOOPS = 2, THREADS = 2, EACH = ITEMS_MOST / THREADS };
    void *q = contract_queue(16, 0, NULL);
    struct taker t[LOOPS];
    struct pen_item item;
    size_t got = 0, sum = 0;
    for (size_t i = 0; i < LOOPS; i++)
        taker_start(&t[i], q);
    for (size_t i = 1; i <= ITEMS_MOST; i++) {
        ck_assert_int_eq(ops->put(q, num(i), 1, PEN_NEVER), 0);
        if (i % 3 == 0 && ops->get(q, &item, PEN_NOW) == 0) {
            got++;
            sum += num_of(item.ptr);
            ck_assert_int_eq(ops->task_done(q, 1), 0);
        }
    }
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    for (size_t i = 0; i < LOOPS; i++) {
        taker_end(&t[i]);
        got += t[i].got;
        sum += t[i].sum;
        ck_assert_uint_eq(t[i].shutdowns, 1);
    }
    ck_assert_uint_eq(got, ITEMS_MOST);
    ck_assert_uint_eq(sum, sum_to(ITEMS_MOST));
    ops->free(&q);
}
END_TEST

/* Two loops in line, one wake for two items each: both are served, by the baton. */
START_TEST(a_burst_reaches_every_loop)
{
    enum { LOOPS = 2 };
    void *q = contract_queue(100, 0, NULL);
    struct taker t[LOOPS];
    for (size_t i = 0; i < LOOPS; i++) {
        taker_start(&t[i], q);
        t[i].pause_after_event = true; /* It is awake, but nothing has come yet. */
    }
    contract_await_getters(q, LOOPS);
    struct pen_item items[2 * BUDGET];
    size_t n;
    for (size_t i = 0; i < 2 * BUDGET; i++)
        items[i] = (struct pen_item){ num(i + 1), 1 };
    ck_assert_int_eq(ops->put_many(q, items, 2 * BUDGET, PEN_NOW, &n), 0);
    ck_assert_int_eq(ops->join(q, PEN_NEVER), 0);
    for (size_t i = 0; i < LOOPS; i++) {
        ck_assert(futex_wait(&t[i].paused, PEN_NEVER));
        on_loop(t[i].loop, resume_taker, &t[i]);
    }
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    for (size_t i = 0; i < LOOPS; i++) {
        taker_end(&t[i]);
        ck_assert_uint_eq(t[i].got, BUDGET);
    }
    ops->free(&q);
}
END_TEST

START_TEST(a_paused_loop_gets_nothing)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_start(&t, q);
    contract_await_getters(q, 1);
    on_loop(t.loop, pause_taker, &t);
    ck_assert_uint_eq(contract_stats(q).getters_waiting, 0);
    put_numbers(q, 1, 10);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_uint_eq(contract_stats(q).items, 10);
    on_loop(t.loop, resume_taker, &t);
    taker_end(&t);
    ck_assert_uint_eq(t.got, 10);
    ck_assert_uint_eq(t.shutdowns, 1);
    ops->free(&q);
}
END_TEST

/* The loop does not run yet, so its wake lies with it; pausing and closing it must hand that to the thread. */
START_TEST(a_loop_that_quits_hands_its_wake_on)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    struct actor a;
    taker_start(&t, q);
    contract_await_getters(q, 1);
    pen_loop_stop(t.loop);
    ck_assert_int_eq(pen_loop_join(t.loop), 0);
    actor_get(&a, q, PEN_NEVER);
    contract_await_getters(q, 2);
    put_numbers(q, 1, 1); /* Wakes the loop, which was first. */
    contract_await_getters(q, 1);
    if (_i == 0)
        ops->pause(t.getter);
    else
        ops->close(&t.getter);
    ck_assert_int_eq(actor_end(&a), 0);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ops->close(&t.getter);
    pen_loop_free(&t.loop);
    ck_assert_uint_eq(t.got, 0);
    ops->free(&q);
}
END_TEST

START_TEST(resume_before_the_stale_wake_comes)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_start(&t, q);
    contract_await_getters(q, 1);
    pen_loop_stop(t.loop);
    ck_assert_int_eq(pen_loop_join(t.loop), 0);
    put_numbers(q, 1, 9); /* Its wake waits in the inbox. */
    ops->pause(t.getter);
    ops->resume(t.getter);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_int_eq(pen_loop_start(t.loop), 0);
    taker_end(&t);
    ck_assert_uint_eq(t.got, 9);
    ck_assert(!t.two_in_a_turn);
    ck_assert_uint_eq(t.shutdowns, 1);
    ops->free(&q);
}
END_TEST

START_TEST(no_event_comes_after_close)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_start(&t, q);
    contract_await_getters(q, 1);
    on_loop(t.loop, close_taker, &t);
    put_numbers(q, 1, 10);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    pen_loop_stop(t.loop);
    taker_end(&t);
    ck_assert_uint_eq(t.events, 0);
    ck_assert_uint_eq(t.shutdowns, 0);
    ops->free(&q);
}
END_TEST

START_TEST(close_in_an_event)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_make(&t, q);
    t.close_in_event = true;
    t.pause_after_event = _i == 1;
    put_numbers(q, 1, 10);
    ck_assert_int_eq(pen_loop_start(t.loop), 0);
    ck_assert(futex_wait(&t.closed, PEN_NEVER));
    ck_assert_uint_eq(contract_stats(q).items, 10 - BUDGET);
    pen_loop_stop(t.loop);
    taker_end(&t);
    ck_assert_uint_eq(t.events, 1);
    ops->free(&q);
}
END_TEST

START_TEST(close_before_the_loop_ever_runs)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    taker_make(&t, q);
    put_numbers(q, 1, 3);
    ops->close(&t.getter);
    ops->close(&t.getter);
    pen_loop_free(&t.loop);
    ck_assert_uint_eq(t.events, 0);
    ops->free(&q);
}
END_TEST

START_TEST(an_immediate_shutdown_ends_loops_with_items_in_hand)
{
    void *q = contract_queue(100, 0, NULL);
    struct taker t;
    struct actor joiner;
    taker_start(&t, q);
    t.done_later = true;
    contract_await_getters(q, 1);
    put_numbers(q, 1, 1);
    contract_await_getters(q, 1);
    while (contract_stats(q).got == 0)
        contract_await_getters(q, 1);
    actor_join(&joiner, q, PEN_NEVER);
    contract_await_joiners(q, 1);
    ops->shutdown(q, PEN_SHUTDOWN_IMMEDIATE);
    taker_end(&t);
    ck_assert_uint_eq(t.shutdowns, 1);
    ck_assert_uint_eq(contract_stats(q).joiners_waiting, 1);
    ck_assert_int_eq(ops->task_done(q, t.got), 0);
    ck_assert_int_eq(actor_end(&joiner), 0);
    ops->free(&q);
}
END_TEST

START_TEST(attaching_what_is_not_allowed)
{
    void *q = contract_queue(100, 0, NULL), *getter = NULL, *putter = NULL;
    struct taker t;
    struct pen_getter_options options = { .budget = 1025, .on_items = on_items };
    struct pen_putter_options no_events = { .arg = NULL };
    taker_start(&t, q);
    ck_assert_int_eq(ops->attach(q, t.loop, &options, &getter), PEN_EINVAL);
    options.budget = 1024;
    contract_await_getters(q, 1); /* It runs. */
    ck_assert_int_eq(ops->attach(q, t.loop, &options, &getter), PEN_EWRONGTHREAD);
    options.on_items = NULL;
    ck_assert_int_eq(ops->attach(q, t.loop, &options, &getter), PEN_EINVAL);
    ck_assert_int_eq(ops->attach_putter(q, t.loop, &no_events, &putter), PEN_EINVAL);
    ck_assert_ptr_null(getter);
    ck_assert_ptr_null(putter);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    taker_end(&t);
    ops->free(&q);
}
END_TEST

TCase *contract_loop_case(void)
{
    TCase *c = tcase_create("getters on loops");
    tcase_add_loop_test(c, a_loop_gets_everything_and_the_end, 0, 2);
    tcase_add_test(c, one_event_has_at_most_the_budget);
    tcase_add_loop_test(c, a_loop_that_sleeps_is_woken, 0, 2);
    tcase_add_test(c, loops_and_threads_share_a_queue);
    tcase_add_test(c, a_burst_reaches_every_loop);
    tcase_add_test(c, a_paused_loop_gets_nothing);
    tcase_add_loop_test(c, a_loop_that_quits_hands_its_wake_on, 0, 2);
    tcase_add_test(c, resume_before_the_stale_wake_comes);
    tcase_add_test(c, no_event_comes_after_close);
    tcase_add_loop_test(c, close_in_an_event, 0, 2);
    tcase_add_test(c, close_before_the_loop_ever_runs);
    tcase_add_test(c, an_immediate_shutdown_ends_loops_with_items_in_hand);
    tcase_add_test(c, attaching_what_is_not_allowed);
    return c;
}

/* ---- putters ---- */

/* A loop on a thread of its own that puts the numbers 1 to `upto`, in lots, as there is room. */
struct giver {
    void *q;
    struct pen_loop *loop;
    void *putter;
    /* owner: loop, then the test */
    size_t next, upto, lot, rooms, shutdowns;
    int error;
};

static void give(struct giver *g)
{
    struct pen_item items[64];
    while (g->next <= g->upto) {
        size_t n = 0;
        for (; n < g->lot && g->next + n <= g->upto; n++)
            items[n] = (struct pen_item){ num(g->next + n), 1 };
        int put = ops->putter_put(g->putter, items, n);
        if (put < 0) {
            g->error = put;
            return;
        }
        g->next += (size_t)put;
        if ((size_t)put < n)
            return;
    }
    ops->putter_close(&g->putter);
    pen_loop_stop(g->loop);
}

static void on_room(struct pen_putter *unused, void *arg)
{
    (void)unused;
    struct giver *g = arg;
    ck_assert(pen_loop_here(g->loop));
    g->rooms++;
    give(g);
}

static void on_giver_shutdown(struct pen_putter *unused, void *arg)
{
    (void)unused;
    struct giver *g = arg;
    g->shutdowns++;
    ops->putter_close(&g->putter);
    pen_loop_stop(g->loop);
}

static void first_give(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    if (status == 0) /* Some loops are freed without having run. */
        give(arg);
}

static void giver_make(struct giver *g, void *q, size_t upto, size_t lot)
{
    *g = (struct giver){ .q = q, .next = 1, .upto = upto, .lot = lot };
    struct pen_putter_options options = { .on_room = on_room,
                                          .on_shutdown = on_giver_shutdown,
                                          .arg = g };
    ck_assert_int_eq(pen_loop_new(NULL, &g->loop), 0);
    ck_assert_int_eq(ops->attach_putter(q, g->loop, &options, &g->putter), 0);
    ck_assert_int_eq(pen_loop_call_soon(g->loop, first_give, g), 0);
}

static void giver_start(struct giver *g, void *q, size_t upto, size_t lot)
{
    giver_make(g, q, upto, lot);
    ck_assert_int_eq(pen_loop_start(g->loop), 0);
}

static void giver_end(struct giver *g)
{
    ck_assert_int_eq(pen_loop_join(g->loop), 0);
    ops->putter_close(&g->putter);
    pen_loop_free(&g->loop);
}

START_TEST(a_loop_puts_everything_in_order)
{
    static const size_t lots[] = { 1, 7, 64 };
    void *q = contract_queue(5, 0, NULL);
    struct giver g;
    struct pen_item item;
    giver_start(&g, q, ITEMS_MOST, lots[_i]);
    for (size_t i = 1; i <= ITEMS_MOST; i++) {
        ck_assert_int_eq(ops->get(q, &item, PEN_NEVER), 0);
        ck_assert_uint_eq(num_of(item.ptr), i);
        contract_finish(q, 1);
    }
    giver_end(&g);
    ck_assert_uint_eq(contract_stats(q).put, ITEMS_MOST);
    ck_assert_uint_le(contract_stats(q).items_high, 5);
    ops->free(&q);
}
END_TEST

START_TEST(loops_put_and_loops_get)
{
    enum { GIVERS = 2, TAKERS = 2 };
    void *q = contract_queue(16, 0, NULL);
    struct giver g[GIVERS];
    struct taker t[TAKERS];
    size_t sum = 0;
    for (size_t i = 0; i < TAKERS; i++)
        taker_start(&t[i], q);
    for (size_t i = 0; i < GIVERS; i++)
        giver_start(&g[i], q, ITEMS_MOST, 8);
    for (size_t i = 0; i < GIVERS; i++)
        giver_end(&g[i]);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    for (size_t i = 0; i < TAKERS; i++) {
        taker_end(&t[i]);
        sum += t[i].sum;
    }
    ck_assert_uint_eq(sum, GIVERS * sum_to(ITEMS_MOST));
    ops->free(&q);
}
END_TEST

/* Two givers and a thread wait; one get at a time serves them in the order in which they came. */
START_TEST(putters_of_all_kinds_stand_in_one_line)
{
    void *q = contract_queue(1, 0, NULL);
    struct giver g[2];
    struct actor a;
    struct pen_item item;
    put_numbers(q, 9, 9);
    giver_start(&g[0], q, 1, 1);
    contract_await_putters(q, 1);
    actor_put(&a, q, (struct pen_item){ num(5), 1 }, PEN_NEVER);
    contract_await_putters(q, 2);
    giver_start(&g[1], q, 1, 1);
    contract_await_putters(q, 3);
    static const size_t order[] = { 9, 1, 5, 1 };
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(ops->get(q, &item, PEN_NEVER), 0);
        ck_assert_uint_eq(num_of(item.ptr), order[i]);
        contract_finish(q, 1);
    }
    ck_assert_int_eq(actor_end(&a), 0);
    for (size_t i = 0; i < 2; i++) {
        giver_end(&g[i]);
        ck_assert_uint_eq(g[i].rooms, 1);
    }
    ops->free(&q);
}
END_TEST

START_TEST(shutdown_tells_a_putter_that_waits)
{
    void *q = contract_queue(3, 0, NULL);
    struct giver g;
    giver_start(&g, q, 10, 10);
    contract_await_putters(q, 1);
    ops->shutdown(q, _i == 0 ? PEN_SHUTDOWN_GRACEFUL : PEN_SHUTDOWN_IMMEDIATE);
    giver_end(&g);
    ck_assert_uint_eq(g.shutdowns, 1);
    ck_assert_uint_eq(g.rooms, 0);
    ck_assert_uint_eq(contract_stats(q).put, 3);
    ops->free(&q);
}
END_TEST

/* Here the loop is not running, so the test may call for it. */
START_TEST(what_a_putter_answers)
{
    void *q = contract_queue(2, 100, NULL);
    struct giver g;
    struct pen_item items[3] = { { num(1), 101 }, { NULL, 1 }, { num(2), 1 } };
    giver_make(&g, q, 0, 1);
    ck_assert_int_eq(ops->putter_put(g.putter, items, 0), 0);
    ck_assert_int_eq(ops->putter_put(g.putter, items, 1), PEN_ETOOBIG);
    ck_assert_int_eq(ops->putter_put(g.putter, items, 2), PEN_EINVAL);
    ck_assert_int_eq(ops->putter_put(g.putter, items + 2, 1), 1);
    ck_assert_int_eq(ops->putter_put(g.putter, items + 2, 1), 1);
    ck_assert_int_eq(ops->putter_put(g.putter, items + 2, 1), 0);
    ck_assert_uint_eq(contract_stats(q).putters_waiting, 1);
    ck_assert_int_eq(ops->putter_put(g.putter, items + 2, 0), 0); /* Takes the wish back. */
    ck_assert_uint_eq(contract_stats(q).putters_waiting, 0);
    ops->shutdown(q, PEN_SHUTDOWN_GRACEFUL);
    ck_assert_int_eq(ops->putter_put(g.putter, items + 2, 1), PEN_ESHUTDOWN);
    ck_assert_int_eq(pen_loop_start(g.loop), 0);
    giver_end(&g);
    ck_assert_uint_eq(g.rooms + g.shutdowns, 0);
    ops->free(&q);
}
END_TEST

/* The first item goes in, the second can never: that is told after an event. */
START_TEST(a_putter_meets_an_item_too_big)
{
    void *q = contract_queue(5, 100, NULL);
    struct giver g;
    struct pen_item items[2] = { { num(1), 1 }, { num(2), 101 } };
    giver_make(&g, q, 0, 1);
    g.upto = 0;
    ck_assert_int_eq(ops->putter_put(g.putter, items, 2), ops->decides_each ? 2 : 1);
    ck_assert_int_eq(ops->putter_put(g.putter, items + 1, 1), PEN_ETOOBIG);
    ck_assert_int_eq(pen_loop_start(g.loop), 0);
    giver_end(&g);
    ck_assert_uint_eq(contract_stats(q).put, 1);
    ops->free(&q);
}
END_TEST

START_TEST(a_putter_that_closes_hands_its_wake_on)
{
    void *q = contract_queue(1, 0, NULL);
    struct giver g;
    struct actor a;
    struct pen_item item = { num(1), 1 };
    giver_make(&g, q, 0, 1);
    ck_assert_int_eq(ops->putter_put(g.putter, &item, 1), 1);
    ck_assert_int_eq(ops->putter_put(g.putter, &item, 1), 0);
    actor_put(&a, q, (struct pen_item){ num(2), 1 }, PEN_NEVER);
    contract_await_putters(q, 2);
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), 0);
    contract_finish(q, 1); /* Now at the latest the loop is picked, which does not run. */
    contract_await_putters(q, 1);
    ops->putter_close(&g.putter);
    ck_assert_int_eq(actor_end(&a), 0);
    pen_loop_free(&g.loop);
    ck_assert_uint_eq(g.rooms, 0);
    ops->free(&q);
}
END_TEST

START_TEST(a_putter_belongs_to_its_loop)
{
    void *q = contract_queue(1, 0, NULL);
    struct giver g;
    struct pen_item item = { num(1), 1 };
    giver_start(&g, q, 2, 1);
    contract_await_putters(q, 1); /* It runs, and has put one. */
    ck_assert_int_eq(ops->putter_put(g.putter, &item, 1), PEN_EWRONGTHREAD);
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), 0);
    contract_finish(q, 1);
    giver_end(&g);
    ck_assert_uint_eq(contract_stats(q).put, 2);
    ops->free(&q);
}
END_TEST

TCase *contract_putter_case(void)
{
    TCase *c = tcase_create("putters on loops");
    tcase_add_loop_test(c, a_loop_puts_everything_in_order, 0, 3);
    tcase_add_test(c, loops_put_and_loops_get);
    tcase_add_test(c, putters_of_all_kinds_stand_in_one_line);
    tcase_add_loop_test(c, shutdown_tells_a_putter_that_waits, 0, 2);
    tcase_add_test(c, what_a_putter_answers);
    tcase_add_test(c, a_putter_meets_an_item_too_big);
    tcase_add_test(c, a_putter_that_closes_hands_its_wake_on);
    tcase_add_test_raise_signal(c, a_putter_belongs_to_its_loop, ops->dies_of_mistakes ? SIGABRT : 0);
    return c;
}
