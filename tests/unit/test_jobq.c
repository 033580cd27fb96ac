/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow/jobq.c: the queue's contract, and what the job queue has beyond it: pauses, purges, policies, who is told about
 * drops, and a line of putters in which nobody overtakes.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "jobq_adapter.h"
#include "plat/thread.h"
#include "sync/futex.h"

#define ops (&jobq_ops)

static void *queue_of(uint32_t items_max, uint64_t bytes_max, enum broker_policy policy,
                      struct destroyed *destroyed)
{
    struct broker_limits limits = { .items_max = items_max, .bytes_max = bytes_max, .policy = policy };
    contract_ops = ops;
    return jobq_adapter_new(&limits, destroyed);
}

static struct jobq_stats stats_of(void *q)
{
    struct jobq_stats s;
    jobq_stats(jobq_inside(q), &s);
    ck_assert(s.ledger_holds);
    return s;
}

static void put(void *q, size_t number, size_t bytes, int expected)
{
    ck_assert_int_eq(ops->put(q, num(number), bytes, PEN_NOW), expected);
}

static void expect(void *q, size_t number)
{
    struct pen_item item;
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), 0);
    ck_assert_uint_eq(num_of(item.ptr), number);
}

static void expect_and_finish(void *q, size_t number)
{
    expect(q, number);
    ck_assert_int_eq(ops->task_done(q, 1), 0);
}

static void expect_empty(void *q)
{
    struct pen_item item;
    ck_assert_int_eq(ops->get(q, &item, PEN_NOW), PEN_EEMPTY);
}

/* A loop that a test runs on its own thread for a few turns: all that is waiting when it is called, and what comes of
 * that. */
static void stop_soon(struct pen_loop *loop, void *arg, int status)
{
    int *turns = arg;
    ck_assert_int_eq(status, 0);
    if (--*turns == 0)
        pen_loop_stop(loop);
    else
        ck_assert_int_eq(pen_loop_call_soon(loop, stop_soon, arg), 0);
}

static void run_some_turns(struct pen_loop *loop)
{
    int turns = 8;
    ck_assert_int_eq(pen_loop_call_soon(loop, stop_soon, &turns), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
}

/* A getter on a loop that only runs in run_some_turns(). */
struct taker {
    void *q, *getter;
    struct pen_loop *loop;
    size_t got, last, sum, ends;
};

static void on_items(struct pen_getter *unused, const struct pen_item *items, size_t n, void *arg)
{
    struct taker *t = arg;
    (void)unused;
    for (size_t i = 0; i < n; i++)
        t->sum += t->last = num_of(items[i].ptr);
    t->got += n;
    ck_assert_int_eq(ops->task_done(t->q, n), 0);
}

static void on_end(struct pen_getter *unused, void *arg)
{
    (void)unused;
    ((struct taker *)arg)->ends++;
}

static void taker_make(struct taker *t, void *q)
{
    *t = (struct taker){ .q = q };
    struct pen_getter_options options = {
        .budget = 4, .on_items = on_items, .on_shutdown = on_end, .arg = t
    };
    ck_assert_int_eq(pen_loop_new(NULL, &t->loop), 0);
    ck_assert_int_eq(ops->attach(q, t->loop, &options, &t->getter), 0);
    run_some_turns(t->loop);
}

static void taker_free(struct taker *t)
{
    ops->close(&t->getter);
    pen_loop_free(&t->loop);
}

/* A putter on such a loop. */
struct giver {
    void *putter;
    struct pen_loop *loop;
    size_t rooms;
    struct pen_item next; /* what it puts when there is room; NULL: nothing */
};

static void on_room(struct pen_putter *unused, void *arg)
{
    struct giver *g = arg;
    (void)unused;
    g->rooms++;
    if (g->next.ptr != NULL && ops->putter_put(g->putter, &g->next, 1) == 1)
        g->next.ptr = NULL;
}

static void giver_make(struct giver *g, void *q)
{
    *g = (struct giver){ .rooms = 0 };
    struct pen_putter_options options = { .on_room = on_room, .on_shutdown = on_room, .arg = g };
    ck_assert_int_eq(pen_loop_new(NULL, &g->loop), 0);
    ck_assert_int_eq(ops->attach_putter(q, g->loop, &options, &g->putter), 0);
}

static void giver_free(struct giver *g)
{
    ops->putter_close(&g->putter);
    pen_loop_free(&g->loop);
}

static int give(struct giver *g, size_t number, size_t bytes)
{
    return ops->putter_put(g->putter, &(struct pen_item){ num(number), bytes }, 1);
}

/* ---- making, settling ---- */

START_TEST(options_that_are_not_allowed)
{
    char longest[LIMIT_NAME_BYTES + 2];
    struct jobq *q = NULL;
    struct jobq_options options = { .name = "jobs" };
    ck_assert_int_eq(jobq_new(&options, &q), PEN_EINVAL);
    options.limits.items_max = (1u << 30) + 1;
    ck_assert_int_eq(jobq_new(&options, &q), PEN_EINVAL);
    options.limits.items_max = 1;
    memset(longest, 'n', sizeof longest);
    longest[LIMIT_NAME_BYTES + 1] = '\0';
    options.name = longest;
    ck_assert_int_eq(jobq_new(&options, &q), PEN_EINVAL);
    ck_assert_ptr_null(q);
    longest[LIMIT_NAME_BYTES] = '\0';
    ck_assert_int_eq(jobq_new(&options, &q), 0);
    ck_assert_str_eq(jobq_name(q), longest);
    longest[0] = '\0';
    ck_assert_uint_eq(strlen(jobq_name(q)), LIMIT_NAME_BYTES);
    jobq_free(&q);
    jobq_free(&q);
}
END_TEST

START_TEST(settling_one_that_is_not_in_hand)
{
    void *q = queue_of(8, 0, BROKER_BLOCK, NULL);
    struct job jobs[3];
    struct job_settle ends[3];
    size_t n;
    for (size_t i = 1; i <= 3; i++)
        put(q, i, 1, 0);
    ck_assert_int_eq(jobq_take(jobq_inside(q), jobs, 3, PEN_NOW, &n), 0);
    for (size_t i = 0; i < 3; i++)
        ends[i] = (struct job_settle){ .id = jobs[i].id, .index = jobs[i].index };
    ck_assert_int_eq(jobq_settle(jobq_inside(q), &ends[1], 1, NULL), 0);
    ck_assert_int_eq(jobq_settle(jobq_inside(q), ends, 3, NULL), PEN_ETOOMANY);
    ck_assert_uint_eq(stats_of(q).ledger.done, 2);
    ck_assert_uint_eq(stats_of(q).ledger.in_hand, 1);
    ck_assert_int_eq(jobq_settle(jobq_inside(q), &ends[2], 1, NULL), 0);
    ck_assert_int_eq(ops->join(q, PEN_NOW), 0);
    ops->free(&q);
}
END_TEST

/* ---- pausing ---- */

START_TEST(a_pause_keeps_what_is_put)
{
    void *q = queue_of(3, 0, BROKER_BLOCK, NULL);
    struct actor a;
    jobq_pause(jobq_inside(q));
    jobq_pause(jobq_inside(q));
    ck_assert(stats_of(q).paused);
    actor_get(&a, q, PEN_NEVER);
    contract_await_getters(q, 1);
    for (size_t i = 1; i <= 3; i++)
        put(q, i, 1, 0);
    put(q, 4, 1, PEN_EFULL);
    expect_empty(q);
    ck_assert_uint_eq(stats_of(q).get_wakes, 0);
    jobq_resume(jobq_inside(q));
    jobq_resume(jobq_inside(q));
    ck_assert_int_eq(actor_end(&a), 0);
    ck_assert_uint_eq(num_of(a.item.ptr), 1);
    expect(q, 2);
    expect(q, 3);
    ops->free(&q);
}
END_TEST

START_TEST(a_resume_serves_everybody)
{
    enum { MANY = 50 };
    void *q = queue_of(100, 0, BROKER_BLOCK, NULL);
    struct actor a[4];
    struct taker t;
    size_t sum = 0;
    taker_make(&t, q);
    jobq_pause(jobq_inside(q));
    for (size_t i = 0; i < 4; i++)
        actor_get(&a[i], q, PEN_NEVER);
    contract_await_getters(q, 5);
    for (size_t i = 1; i <= MANY; i++)
        put(q, i, 1, 0);
    run_some_turns(t.loop);
    ck_assert_uint_eq(t.got, 0);
    jobq_resume(jobq_inside(q)); /* Wakes the loop, which was first. */
    run_some_turns(t.loop);      /* Takes at most 4 in each. */
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(actor_end(&a[i]), 0);
        sum += num_of(a[i].item.ptr);
    }
    while (t.got < MANY - 4)
        run_some_turns(t.loop);
    ck_assert_uint_eq(t.sum + sum, MANY * (MANY + 1) / 2);
    taker_free(&t);
    ops->free(&q);
}
END_TEST

START_TEST(a_shutdown_ends_a_pause)
{
    struct destroyed d = { 0, 0 };
    void *q = queue_of(4, 0, BROKER_BLOCK, &d);
    struct actor a;
    struct pen_item item;
    jobq_pause(jobq_inside(q));
    put(q, 1, 1, 0);
    put(q, 2, 1, 0);
    actor_get(&a, q, PEN_NEVER);
    contract_await_getters(q, 1);
    ops->shutdown(q, _i == 0 ? PEN_SHUTDOWN_GRACEFUL : PEN_SHUTDOWN_IMMEDIATE);
    ck_assert_int_eq(actor_end(&a), _i == 0 ? 0 : PEN_ESHUTDOWN);
    jobq_pause(jobq_inside(q)); /* Too late: what is ready must get out. */
    ck_assert(!stats_of(q).paused);
    if (_i == 0)
        expect(q, 2);
    ck_assert_uint_eq(d.sum, _i == 0 ? 0 : 3);
    ck_assert_int_eq(ops->get(q, &item, PEN_NEVER), PEN_ESHUTDOWN);
    ops->free(&q);
}
END_TEST

/* ---- purging, and who is told ---- */

START_TEST(a_purge_makes_room)
{
    enum { HELD = 200 };
    struct destroyed d = { 0, 0 };
    void *q = queue_of(HELD, 0, BROKER_BLOCK, &d);
    struct actor a[3];
    for (size_t i = 1; i <= HELD; i++)
        put(q, i, 1, 0);
    expect(q, 1);
    if (_i == 1)
        jobq_pause(jobq_inside(q));
    for (size_t i = 0; i < 3; i++) {
        actor_put(&a[i], q, (struct pen_item){ num(1000 + i), 1 }, PEN_NEVER);
        contract_await_putters(q, i + 1);
    }
    ck_assert_uint_eq(jobq_purge(jobq_inside(q)), HELD - 1);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(actor_end(&a[i]), 0);
    ck_assert_uint_eq(d.count, HELD - 1);
    ck_assert_uint_eq(d.sum, HELD * (HELD + 1) / 2 - 1);
    struct broker_ledger l = stats_of(q).ledger;
    ck_assert_uint_eq(l.dropped[DROP_PURGED], HELD - 1);
    ck_assert_uint_eq(l.ready, 3);
    ck_assert_uint_eq(l.in_hand, 1);
    ck_assert_uint_eq(l.bytes, 4);
    jobq_resume(jobq_inside(q));
    for (size_t i = 0; i < 3; i++)
        expect(q, 1000 + i);
    ck_assert_uint_eq(jobq_purge(jobq_inside(q)), 0);
    ops->free(&q);
}
END_TEST

/* Somebody who is told about drops, and holds the first batch up until it is let go. */
struct told {
    struct jobq *q;
    struct futex first, go_on;
    uint64_t ids[300];
    size_t count;
    int thread;
    bool elsewhere;
    enum drop_reason reason;
};

static void on_told(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg)
{
    struct told *t = arg;
    ck_assert_ptr_eq(q, t->q);
    if (t->count == 0) {
        t->thread = thread_id();
        t->reason = jobs[0].reason;
    }
    t->elsewhere |= t->thread != thread_id();
    for (size_t i = 0; i < n; i++)
        t->ids[t->count++] = jobs[i].id;
    if (t->count == n) {
        futex_set(&t->first);
        futex_wake(&t->first);
        ck_assert(futex_wait(&t->go_on, PEN_NEVER));
    }
}

static void purge_it(void *arg)
{
    struct told *t = arg;
    ck_assert_uint_eq(jobq_purge(t->q), 200);
}

static void shut_it(void *arg)
{
    jobq_shutdown(((struct told *)arg)->q, PEN_SHUTDOWN_IMMEDIATE);
}

/* A queue with 200 jobs that another thread drops; it stands in the first on_dropped. */
static void drop_elsewhere(struct told *t, void (*fn)(void *arg), struct thread **ret_thread)
{
    struct jobq_options options = {
        .name = "jobs", .limits = { .items_max = 250 }, .on_dropped = on_told, .arg = t
    };
    struct job_put jobs[200] = { 0 };
    size_t n;
    *t = (struct told){ .count = 0 };
    ck_assert_int_eq(jobq_new(&options, &t->q), 0);
    ck_assert_int_eq(jobq_put(t->q, jobs, 200, PEN_NOW, &n), 0);
    ck_assert_int_eq(thread_start("dropper", fn, t, ret_thread), 0);
    ck_assert(futex_wait(&t->first, PEN_NEVER));
}

static void let_go(struct told *t, struct thread **thread)
{
    futex_set(&t->go_on);
    futex_wake(&t->go_on);
    thread_join(thread);
}

static const struct {
    void (*drop)(void *arg);
    enum drop_reason reason;
} droppers[] = { { purge_it, DROP_PURGED }, { shut_it, DROP_SHUTDOWN } };

/* Whoever drops tells, all of it before the call returns, and in order. */
START_TEST(drops_are_told_by_the_thread_that_dropped)
{
    struct told t;
    struct thread *thread;
    struct job_put job = { .ret_status = 1 };
    size_t n;
    drop_elsewhere(&t, droppers[_i].drop, &thread);
    (void)jobq_purge(t.q); /* Has nothing of its own to tell. */
    ck_assert_int_eq(jobq_put(t.q, &job, 1, PEN_NOW, &n), _i == 0 ? 0 : PEN_ESHUTDOWN);
    let_go(&t, &thread);
    ck_assert(!t.elsewhere);
    ck_assert_int_eq(t.reason, droppers[_i].reason);
    ck_assert_uint_eq(t.count, 200);
    for (size_t i = 0; i < 200; i++)
        ck_assert_uint_eq(t.ids[i], i + 1);
    jobq_free(&t.q);
}
END_TEST

struct join_of {
    struct jobq *q;
    int result;
};

static void join_it(void *arg)
{
    struct join_of *j = arg;
    j->result = jobq_join(j->q, PEN_NEVER);
}

START_TEST(a_join_waits_until_drops_are_told)
{
    struct told t;
    struct thread *thread, *joiner;
    struct jobq_stats s;
    drop_elsewhere(&t, droppers[_i].drop, &thread);
    struct join_of join = { .q = t.q, .result = 77 };
    ck_assert_int_eq(jobq_join(t.q, PEN_NOW), PEN_ETIMEOUT);
    ck_assert_int_eq(jobq_join(t.q, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(thread_start("joiner", join_it, &join, &joiner), 0);
    do {
        jobq_stats(t.q, &s);
    } while (s.joiners_waiting == 0);
    let_go(&t, &thread);
    thread_join(&joiner);
    ck_assert_int_eq(join.result, 0);
    ck_assert_int_eq(jobq_join(t.q, PEN_NOW), 0);
    jobq_free(&t.q);
}
END_TEST

/* ---- policies ---- */

START_TEST(a_queue_that_rejects_never_waits)
{
    void *q = queue_of(2, 0, BROKER_REJECT, NULL);
    struct giver g;
    giver_make(&g, q);
    put(q, 1, 1, 0);
    put(q, 2, 1, 0);
    ck_assert_int_eq(ops->put(q, num(3), 1, PEN_NEVER), PEN_EFULL);
    ck_assert_int_eq(give(&g, 3, 1), PEN_EFULL);
    ck_assert_uint_eq(stats_of(q).ledger.refused, 2);
    expect(q, 1);
    ck_assert_int_eq(give(&g, 3, 1), PEN_EFULL); /* In hand it still counts. */
    ck_assert_int_eq(ops->task_done(q, 1), 0);
    ck_assert_int_eq(give(&g, 3, 1), 1);
    run_some_turns(g.loop);
    ck_assert_uint_eq(g.rooms, 0);
    ck_assert_uint_eq(stats_of(q).put_waits, 0);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

START_TEST(the_oldest_go_and_are_told_at_once)
{
    struct destroyed d = { 0, 0 };
    void *q = queue_of(3, 0, BROKER_DROP_OLDEST, &d);
    struct actor a;
    jobq_pause(jobq_inside(q));
    actor_get(&a, q, PEN_NEVER);
    contract_await_getters(q, 1);
    for (size_t i = 1; i <= 5; i++)
        ck_assert_int_eq(ops->put(q, num(i), 1, PEN_NEVER), 0);
    ck_assert_uint_eq(d.count, 2);
    ck_assert_uint_eq(d.sum, 1 + 2);
    jobq_resume(jobq_inside(q));
    ck_assert_int_eq(actor_end(&a), 0);
    ck_assert_uint_eq(num_of(a.item.ptr), 3);
    expect(q, 4);
    expect(q, 5);
    put(q, 6, 1, 0); /* The actor has finished one. */
    expect(q, 6);
    put(q, 7, 1, PEN_EDROPPED); /* Three in hand: there is no oldest to go. */
    ck_assert_uint_eq(d.count, 2);
    ck_assert_uint_eq(stats_of(q).ledger.dropped[DROP_OLDEST], 2);
    ck_assert_uint_eq(stats_of(q).ledger.dropped[DROP_NEWEST], 1);
    ck_assert_uint_eq(stats_of(q).put_waits, 0);
    ops->free(&q);
}
END_TEST

START_TEST(the_newest_go_by_their_status)
{
    struct destroyed d = { 0, 0 };
    void *q = queue_of(2, 0, BROKER_DROP_NEWEST, &d);
    struct job_put jobs[4] = { 0 };
    size_t n = 77;
    ck_assert_int_eq(jobq_put(jobq_inside(q), jobs, 4, PEN_NEVER, &n), 0);
    ck_assert_uint_eq(n, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(jobs[i].ret_status, i < 2 ? 0 : PEN_EDROPPED);
    ck_assert_uint_eq(d.count, 0);
    ck_assert_uint_eq(stats_of(q).ledger.dropped[DROP_NEWEST], 2);
    ck_assert_uint_eq(stats_of(q).put_waits, 0);
    ops->free(&q);
}
END_TEST

/* ---- the line of putters ---- */

/* 100 bytes: two of 50 are in hand, and one of 80 waits with one of 10 behind it. */
START_TEST(the_large_one_at_the_head_is_woken_once)
{
    void *q = queue_of(10, 100, BROKER_BLOCK, NULL);
    struct actor large, small;
    put(q, 1, 50, 0);
    put(q, 2, 50, 0);
    actor_put(&large, q, (struct pen_item){ num(3), 80 }, PEN_NEVER);
    contract_await_putters(q, 1);
    actor_put(&small, q, (struct pen_item){ num(4), 10 }, PEN_NEVER);
    contract_await_putters(q, 2);
    expect_and_finish(q, 1);
    for (size_t i = 0; i < 100; i++) { /* There is room for these, but they came later. */
        put(q, 99, 1, PEN_EFULL);
        ck_assert_int_eq(ops->put(q, num(99), 1, (pen_mono_t){ 1 }), PEN_ETIMEOUT);
    }
    ck_assert_uint_eq(stats_of(q).put_wakes, 0);
    ck_assert_uint_eq(stats_of(q).putters_waiting, 2);
    expect_and_finish(q, 2);
    ck_assert_int_eq(actor_end(&large), 0);
    ck_assert_int_eq(actor_end(&small), 0);
    expect(q, 3);
    expect(q, 4);
    ck_assert_uint_eq(stats_of(q).put_wakes, 2);
    ops->free(&q);
}
END_TEST

/* It was picked and is on its way: the room is its own until it comes. */
START_TEST(nobody_overtakes_one_that_was_woken)
{
    void *q = queue_of(10, 100, BROKER_BLOCK, NULL);
    struct giver g;
    giver_make(&g, q);
    put(q, 1, 100, 0);
    g.next = (struct pen_item){ num(2), 80 };
    ck_assert_int_eq(give(&g, 2, 80), 0);
    expect_and_finish(q, 1); /* Picks the loop, which does not run. */
    ck_assert_uint_eq(stats_of(q).put_wakes, 1);
    put(q, 99, 30, PEN_EFULL);
    ck_assert_int_eq(ops->put(q, num(99), 30, soon()), PEN_ETIMEOUT);
    run_some_turns(g.loop);
    ck_assert_ptr_null(g.next.ptr);
    ck_assert_uint_eq(g.rooms, 1);
    put(q, 3, 20, 0);
    expect(q, 2);
    expect(q, 3);
    ck_assert_uint_eq(stats_of(q).put_wakes, 1);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

START_TEST(putting_again_in_line_keeps_the_place)
{
    void *q = queue_of(1, 0, BROKER_BLOCK, NULL);
    struct giver g;
    struct actor a;
    giver_make(&g, q);
    put(q, 1, 1, 0);
    ck_assert_int_eq(give(&g, 2, 1), 0);
    actor_put(&a, q, (struct pen_item){ num(3), 1 }, PEN_NEVER);
    contract_await_putters(q, 2);
    ck_assert_int_eq(give(&g, 2, 1), 0);
    ck_assert_uint_eq(stats_of(q).put_waits, 2);
    g.next = (struct pen_item){ num(2), 1 };
    expect_and_finish(q, 1);
    run_some_turns(g.loop);
    ck_assert_ptr_null(g.next.ptr);
    expect_and_finish(q, 2);
    ck_assert_int_eq(actor_end(&a), 0);
    expect(q, 3);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

/* It was woken for 10 bytes and comes with 80: it waits on, before the others. */
START_TEST(one_that_finds_too_little_stays_first)
{
    void *q = queue_of(10, 100, BROKER_BLOCK, NULL);
    struct giver g;
    struct actor a;
    giver_make(&g, q);
    put(q, 1, 50, 0);
    put(q, 2, 50, 0);
    ck_assert_int_eq(give(&g, 3, 10), 0);
    actor_put(&a, q, (struct pen_item){ num(4), 10 }, PEN_NEVER);
    contract_await_putters(q, 2);
    expect_and_finish(q, 1);
    ck_assert_int_eq(give(&g, 3, 80), 0);
    ck_assert_uint_eq(stats_of(q).putters_waiting, 2);
    expect_and_finish(q, 2);
    ck_assert_int_eq(give(&g, 3, 80), 1);
    ck_assert_int_eq(actor_end(&a), 0);
    expect(q, 3);
    expect(q, 4);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

/* A loop that could put some has had its turn: the rest stands behind the others. */
START_TEST(one_that_has_put_something_goes_to_the_back)
{
    void *q = queue_of(10, 100, BROKER_BLOCK, NULL);
    struct giver g;
    struct actor a;
    struct pen_item items[2] = { { num(3), 10 }, { num(5), 80 } };
    giver_make(&g, q);
    put(q, 1, 50, 0);
    put(q, 2, 50, 0);
    ck_assert_int_eq(give(&g, 5, 80), 0);
    actor_put(&a, q, (struct pen_item){ num(4), 10 }, PEN_NEVER);
    contract_await_putters(q, 2);
    expect_and_finish(q, 1);
    ck_assert_uint_eq(stats_of(q).putters_waiting, 2);
    ck_assert_int_eq(ops->putter_put(g.putter, items, 2), 1);
    ck_assert_int_eq(actor_end(&a), 0);
    ck_assert_uint_eq(stats_of(q).putters_waiting, 1);
    expect(q, 2);
    expect(q, 3);
    expect(q, 4);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

/* The turn lies with a loop that does not run. */
START_TEST(a_shutdown_releases_those_behind_a_turn)
{
    void *q = queue_of(1, 0, BROKER_BLOCK, NULL);
    struct giver g;
    struct actor a[2];
    giver_make(&g, q);
    put(q, 1, 1, 0);
    ck_assert_int_eq(give(&g, 2, 1), 0);
    for (size_t i = 0; i < 2; i++)
        actor_put(&a[i], q, (struct pen_item){ num(3 + i), 1 }, PEN_NEVER);
    contract_await_putters(q, 3);
    expect_and_finish(q, 1);
    contract_await_putters(q, 2);
    ops->shutdown(q, _i == 0 ? PEN_SHUTDOWN_GRACEFUL : PEN_SHUTDOWN_IMMEDIATE);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(actor_end(&a[i]), PEN_ESHUTDOWN);
    ck_assert_int_eq(give(&g, 2, 1), PEN_ESHUTDOWN);
    run_some_turns(g.loop);
    ck_assert_uint_eq(g.rooms, 0);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

/* Put before the event has come: there is nothing left to tell. */
START_TEST(no_event_for_a_wish_that_was_fulfilled)
{
    void *q = queue_of(1, 0, BROKER_BLOCK, NULL);
    struct giver g;
    giver_make(&g, q);
    put(q, 1, 1, 0);
    ck_assert_int_eq(give(&g, 2, 1), 0);
    expect_and_finish(q, 1);
    ck_assert_int_eq(give(&g, 2, 1), 1);
    run_some_turns(g.loop);
    ck_assert_uint_eq(g.rooms, 0);
    giver_free(&g);
    ops->free(&q);
}
END_TEST

/* Behind others it is not decided at once, and must not wait for a room that never comes. */
START_TEST(one_too_big_does_not_block_the_line)
{
    void *q = queue_of(10, 100, BROKER_BLOCK, NULL);
    struct actor first, big, last;
    put(q, 1, 100, 0);
    actor_put(&first, q, (struct pen_item){ num(2), 50 }, PEN_NEVER);
    contract_await_putters(q, 1);
    actor_put(&big, q, (struct pen_item){ num(3), 101 }, PEN_NEVER);
    contract_await_putters(q, 2);
    actor_put(&last, q, (struct pen_item){ num(4), 50 }, PEN_NEVER);
    contract_await_putters(q, 3);
    expect_and_finish(q, 1);
    ck_assert_int_eq(actor_end(&first), 0);
    ck_assert_int_eq(actor_end(&big), PEN_ETOOBIG);
    ck_assert_int_eq(actor_end(&last), 0);
    expect(q, 2);
    expect(q, 4);
    ops->free(&q);
}
END_TEST

START_TEST(a_putter_too_big_is_told_when_its_turn_comes)
{
    void *q = queue_of(10, 100, BROKER_BLOCK, NULL);
    struct giver first, big;
    giver_make(&first, q);
    giver_make(&big, q);
    put(q, 1, 100, 0);
    ck_assert_int_eq(give(&first, 2, 50), 0);
    ck_assert_int_eq(give(&big, 3, 101), 0);
    expect_and_finish(q, 1);
    ck_assert_int_eq(give(&first, 2, 50), 1);
    run_some_turns(big.loop);
    ck_assert_uint_eq(big.rooms, 1);
    ck_assert_int_eq(give(&big, 3, 101), PEN_ETOOBIG);
    giver_free(&first);
    giver_free(&big);
    ops->free(&q);
}
END_TEST

/* ---- the line of getters ---- */

START_TEST(a_loop_woken_in_vain_stays_first)
{
    void *q = queue_of(10, 0, BROKER_BLOCK, NULL);
    struct taker t;
    struct actor a;
    taker_make(&t, q);
    ck_assert_uint_eq(stats_of(q).getters_waiting, 1);
    put(q, 1, 1, 0); /* Picks the loop, which does not run. */
    expect(q, 1);
    actor_get(&a, q, PEN_NEVER);
    contract_await_getters(q, 1);
    run_some_turns(t.loop);
    ck_assert_uint_eq(stats_of(q).getters_waiting, 2);
    put(q, 2, 1, 0);
    run_some_turns(t.loop);
    ck_assert_uint_eq(t.last, 2);
    put(q, 3, 1, 0);
    ck_assert_int_eq(actor_end(&a), 0);
    ck_assert_uint_eq(num_of(a.item.ptr), 3);
    taker_free(&t);
    ops->free(&q);
}
END_TEST

/* ---- order, with putters of all kinds ---- */

enum { PUTTERS = 4, EACH = 4000, LOT = 16 };

struct producer {
    void *q;
    size_t base; /* its numbers are base + 1 to base + EACH */
    struct thread *thread;
    /* of a loop */
    struct pen_loop *loop;
    void *putter;
    size_t next;
};

static size_t next_lot(const struct producer *p, size_t done, struct pen_item *items)
{
    size_t n = EACH - done < LOT ? EACH - done : LOT;
    for (size_t i = 0; i < n; i++)
        items[i] = (struct pen_item){ num(p->base + done + i + 1), (done + i) % 31 };
    return n;
}

static void put_in_lots(void *arg)
{
    struct producer *p = arg;
    struct pen_item items[LOT];
    size_t n;
    for (size_t done = 0; done < EACH; done += n)
        ck_assert_int_eq(ops->put_many(p->q, items, next_lot(p, done, items), PEN_NEVER, &n), 0);
}

static void give_in_lots(struct producer *p)
{
    struct pen_item items[LOT];
    while (p->next < EACH) {
        size_t n = next_lot(p, p->next, items);
        int put = ops->putter_put(p->putter, items, n);
        ck_assert_int_ge(put, 0);
        p->next += (size_t)put;
        if ((size_t)put < n)
            return;
    }
    ops->putter_close(&p->putter);
    pen_loop_stop(p->loop);
}

static void on_producer_room(struct pen_putter *unused, void *arg)
{
    (void)unused;
    give_in_lots(arg);
}

static void first_lot(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    ck_assert_int_eq(status, 0);
    give_in_lots(arg);
}

static void start_producer(struct producer *p, void *q, size_t index)
{
    *p = (struct producer){ .q = q, .base = index * EACH };
    if (index % 2 == 0) {
        ck_assert_int_eq(thread_start("producer", put_in_lots, p, &p->thread), 0);
        return;
    }
    struct pen_putter_options options = { .on_room = on_producer_room, .arg = p };
    ck_assert_int_eq(pen_loop_new(NULL, &p->loop), 0);
    ck_assert_int_eq(ops->attach_putter(q, p->loop, &options, &p->putter), 0);
    ck_assert_int_eq(pen_loop_call_soon(p->loop, first_lot, p), 0);
    ck_assert_int_eq(pen_loop_start(p->loop), 0);
}

static void end_producer(struct producer *p)
{
    thread_join(&p->thread);
    if (p->loop != NULL)
        ck_assert_int_eq(pen_loop_join(p->loop), 0);
    pen_loop_free(&p->loop);
}

/* Lots larger than the queue, from threads and loops side by side: each one's come in its order, and nobody is woken
 * without putting something. */
START_TEST(order_per_producer_and_no_wake_in_vain)
{
    void *q = queue_of(10, 60, BROKER_BLOCK, NULL);
    struct producer p[PUTTERS];
    size_t last[PUTTERS] = { 0 };
    struct pen_item item;
    for (size_t i = 0; i < PUTTERS; i++)
        start_producer(&p[i], q, i);
    for (size_t i = 0; i < (size_t)PUTTERS * EACH; i++) {
        ck_assert_int_eq(ops->get(q, &item, PEN_NEVER), 0);
        size_t number = num_of(item.ptr), from = (number - 1) / EACH;
        ck_assert_uint_gt(number, last[from]);
        last[from] = number;
        ck_assert_int_eq(ops->task_done(q, 1), 0);
    }
    for (size_t i = 0; i < PUTTERS; i++)
        end_producer(&p[i]);
    struct jobq_stats s = stats_of(q);
    ck_assert_uint_eq(s.ledger.accepted, (size_t)PUTTERS * EACH);
    ck_assert_uint_le(s.ledger.items_high, 10);
    ck_assert_uint_le(s.put_wakes, s.ledger.accepted);
    ops->free(&q);
}
END_TEST

static Suite *beyond_suite(void)
{
    Suite *s = suite_create("job queue, beyond the contract");
    TCase *c = tcase_create("pauses, purges, policies, the line");
    tcase_set_timeout(c, CONTRACT_TIMEOUT_S);
    tcase_add_test(c, options_that_are_not_allowed);
    tcase_add_test(c, settling_one_that_is_not_in_hand);
    tcase_add_test(c, a_pause_keeps_what_is_put);
    tcase_add_test(c, a_resume_serves_everybody);
    tcase_add_loop_test(c, a_shutdown_ends_a_pause, 0, 2);
    tcase_add_loop_test(c, a_purge_makes_room, 0, 2);
    tcase_add_loop_test(c, drops_are_told_by_the_thread_that_dropped, 0, 2);
    tcase_add_loop_test(c, a_join_waits_until_drops_are_told, 0, 2);
    tcase_add_test(c, a_queue_that_rejects_never_waits);
    tcase_add_test(c, the_oldest_go_and_are_told_at_once);
    tcase_add_test(c, the_newest_go_by_their_status);
    tcase_add_test(c, the_large_one_at_the_head_is_woken_once);
    tcase_add_test(c, nobody_overtakes_one_that_was_woken);
    tcase_add_test(c, putting_again_in_line_keeps_the_place);
    tcase_add_test(c, one_that_finds_too_little_stays_first);
    tcase_add_test(c, one_that_has_put_something_goes_to_the_back);
    tcase_add_loop_test(c, a_shutdown_releases_those_behind_a_turn, 0, 2);
    tcase_add_test(c, no_event_for_a_wish_that_was_fulfilled);
    tcase_add_test(c, one_too_big_does_not_block_the_line);
    tcase_add_test(c, a_putter_too_big_is_told_when_its_turn_comes);
    tcase_add_test(c, a_loop_woken_in_vain_stays_first);
    tcase_add_test(c, order_per_producer_and_no_wake_in_vain);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(queue_contract_suite(&jobq_ops));
    srunner_add_suite(r, beyond_suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
