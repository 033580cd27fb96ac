/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: order, threads, ends.
 */
#include <check.h>
#include <penstock/loop.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/io.h"
#include "plat/thread.h"

static struct pen_loop *loop;
static char letters[] = "abcdefghijklmnopqrstuvwxyz";
#define LETTER(c) (&letters[(c) - 'a'])
static char order[64];
static int order_count, closed_count;

static void reset(void)
{
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    order_count = closed_count = 0;
}

static void note(struct pen_loop *l, void *arg, int status)
{
    ck_assert_ptr_eq(l, loop);
    if (status == 0)
        order[order_count++] = *(const char *)arg;
    else if (status == PEN_ECLOSED)
        closed_count++;
    order[order_count] = '\0';
}

static void stop(struct pen_loop *l, void *arg, int status)
{
    note(l, arg, status);
    pen_loop_stop(l);
}

static void call(char *letter)
{
    ck_assert_int_eq(pen_loop_call_soon(loop, note, letter), 0);
}

START_TEST(calls_run_in_order)
{
    reset();
    call(LETTER('a'));
    call(LETTER('b'));
    ck_assert_int_eq(pen_loop_call_soon(loop, stop, LETTER('c')), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "abc");
    pen_loop_free(&loop);
    ck_assert_ptr_null(loop);
}
END_TEST

static void call_again(struct pen_loop *l, void *arg, int status)
{
    note(l, arg, status);
    ck_assert_int_eq(pen_loop_call_soon(l, stop, LETTER('z')), 0);
}

START_TEST(a_call_made_in_a_turn_runs_in_the_next)
{
    reset();
    ck_assert_int_eq(pen_loop_call_soon(loop, call_again, LETTER('a')), 0);
    call(LETTER('b'));
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "abz");
    pen_loop_free(&loop);
}
END_TEST

START_TEST(timers_of_one_instant_keep_the_order_of_arming)
{
    reset();
    struct pen_timer t[4] = { 0 };
    pen_mono_t soon = pen_deadline_in(pen_ms(2)), later = pen_deadline_in(pen_ms(4));
    ck_assert_int_eq(pen_loop_call_at(loop, &t[3], later, stop, LETTER('d')), 0);
    ck_assert_int_eq(pen_loop_call_at(loop, &t[0], soon, note, LETTER('a')), 0);
    ck_assert_int_eq(pen_loop_call_at(loop, &t[1], soon, note, LETTER('b')), 0);
    ck_assert_int_eq(pen_loop_call_at(loop, &t[2], soon, note, LETTER('c')), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "abcd");
    pen_loop_free(&loop);
}
END_TEST

START_TEST(a_cancelled_timer_does_not_run)
{
    reset();
    struct pen_timer t[2] = { 0 };
    ck_assert_int_eq(pen_loop_call_later(loop, &t[0], pen_ms(1), note, LETTER('a')), 0);
    ck_assert_int_eq(pen_loop_call_later(loop, &t[1], pen_ms(2), stop, LETTER('b')), 0);
    pen_timer_cancel(&t[0]);
    pen_timer_cancel(&t[0]);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "b");
    pen_loop_free(&loop);
}
END_TEST

START_TEST(closing_tells_everything_that_waits)
{
    reset();
    struct pen_timer t = { 0 };
    call(LETTER('a'));
    ck_assert_int_eq(pen_loop_call_later(loop, &t, pen_ms(60000), note, LETTER('b')), 0);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, LETTER('c')), 0);
    pen_loop_free(&loop);
    ck_assert_int_eq(closed_count, 3);
    ck_assert_str_eq(order, "");
}
END_TEST

static int refused;
static struct pen_timer foreign;

static void from_elsewhere(void *arg)
{
    (void)arg;
    refused = pen_loop_call_soon(loop, note, LETTER('x'));
    if (refused == PEN_EWRONGTHREAD)
        refused = pen_loop_call_later(loop, &foreign, pen_ms(1), note, LETTER('x'));
    pen_loop_stop(loop);
}

static void start_elsewhere(struct pen_loop *l, void *arg, int status)
{
    (void)l;
    (void)status;
    ck_assert_int_eq(thread_start("elsewhere", from_elsewhere, NULL, arg), 0);
}

START_TEST(the_wrong_thread_is_refused)
{
    reset();
    struct thread *thread = NULL;
    ck_assert_int_eq(pen_loop_call_soon(loop, start_elsewhere, &thread), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    thread_join(&thread);
    ck_assert_int_eq(refused, PEN_EWRONGTHREAD);
    pen_loop_free(&loop);
}
END_TEST

enum { CALLS = 20000 };
static int seen_by_thread[2][CALLS], next_of[2];

static void count_call(struct pen_loop *l, void *arg, int status)
{
    (void)l;
    ck_assert_int_eq(status, 0);
    int *at = arg;
    int who = at >= seen_by_thread[1];
    ck_assert_ptr_eq(at, &seen_by_thread[who][next_of[who]++]); /* In order, per thread. */
    if (next_of[0] == CALLS && next_of[1] == CALLS)
        pen_loop_stop(loop);
}

static void call_many(void *arg)
{
    int *mine = arg;
    for (int i = 0; i < CALLS; i++)
        ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, count_call, &mine[i]), 0);
}

START_TEST(calls_from_threads_all_run_in_each_ones_order)
{
    reset();
    struct thread *a, *b;
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(thread_start("a", call_many, seen_by_thread[0], &a), 0);
    ck_assert_int_eq(thread_start("b", call_many, seen_by_thread[1], &b), 0);
    thread_join(&a);
    thread_join(&b);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_loop_free(&loop);
}
END_TEST

START_TEST(the_inbox_is_bounded)
{
    struct pen_loop_options options = { .inbox_max = 3 };
    ck_assert_int_eq(pen_loop_new(&options, &loop), 0);
    closed_count = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, LETTER('x')), 0);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, LETTER('x')), PEN_EFULL);
    pen_loop_free(&loop);
    ck_assert_int_eq(closed_count, 3);
}
END_TEST

static int post_runs;

static void on_post(struct pen_loop *l, void *arg, int status)
{
    (void)arg;
    ck_assert_int_eq(status, 0);
    post_runs++;
    pen_loop_stop(l);
}

START_TEST(a_post_is_in_the_inbox_once)
{
    reset();
    struct post post;
    post_init(&post, on_post, NULL);
    ck_assert(loop_post(loop, &post));
    ck_assert(!loop_post(loop, &post));
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_int_eq(post_runs, 1);
    ck_assert(loop_post(loop, &post));
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_int_eq(post_runs, 2);
    pen_loop_free(&loop);
}
END_TEST

static int edges;

static void on_edge(struct io *io, unsigned ready, void *arg)
{
    (void)arg;
    ck_assert_uint_eq(ready, IO_READ);
    if (++edges == 2) {
        io_close(io);
        pen_loop_stop(io->loop);
        return;
    }
    uint64_t one = 1;
    ck_assert_int_eq(write(io->fd, &one, sizeof one), sizeof one);
}

START_TEST(an_edge_comes_for_each_write)
{
    reset();
    struct io io = { 0 };
    int fd = eventfd(1, EFD_NONBLOCK);
    ck_assert_int_eq(io_open(&io, loop, (struct io_watch){ fd, IO_READ | IO_EDGE }, on_edge, NULL),
                     0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_int_eq(edges, 2);
    close(fd);
    pen_loop_free(&loop);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_stop_before_the_run_lets_what_was_accepted_run)
{
    reset();
    call(LETTER('a'));
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, LETTER('b')), 0);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "ab");
    pen_loop_free(&loop);
}
END_TEST

static void call_b(struct pen_loop *l, void *arg, int status)
{
    note(l, arg, status);
    if (status == 0)
        call(LETTER('b'));
}

START_TEST(what_the_last_turn_asks_for_stays_for_the_next_run)
{
    reset();
    ck_assert_int_eq(pen_loop_call_soon(loop, call_b, LETTER('a')), 0);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "a");
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "ab");
    pen_loop_free(&loop);
}
END_TEST

START_TEST(the_last_turn_runs_everything_even_beyond_turn_max)
{
    ck_assert_int_eq(pen_loop_new(&(struct pen_loop_options){ .turn_max = 2 }, &loop), 0);
    for (char *letter = letters; letter < letters + 7; letter++)
        call(letter);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "abcdefg");
    pen_loop_free(&loop);
}
END_TEST

START_TEST(a_closed_loop_refuses_everything)
{
    reset();
    struct pen_timer timer = { 0 };
    call(LETTER('a'));
    ck_assert_int_eq(pen_loop_call_later(loop, &timer, pen_ms(0), note, NULL), 0);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, NULL), 0);
    ck_assert_int_eq(pen_loop_close(loop), 0);
    ck_assert_int_eq(closed_count, 3);
    ck_assert_int_eq(pen_loop_close(loop), 0);
    ck_assert_int_eq(closed_count, 3);
    ck_assert_int_eq(pen_loop_call_soon(loop, note, NULL), PEN_ECLOSED);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, NULL), PEN_ECLOSED);
    ck_assert_int_eq(pen_loop_call_later(loop, &timer, pen_ms(0), note, NULL), PEN_ECLOSED);
    ck_assert_int_eq(pen_loop_run(loop), PEN_ECLOSED);
    ck_assert_int_eq(pen_loop_start(loop), PEN_ECLOSED);
    pen_loop_free(&loop);
    ck_assert_int_eq(closed_count, 3);
}
END_TEST

static int close_here, run_here, run_other;
static struct pen_loop *other;

static void try_things(struct pen_loop *l, void *arg, int status)
{
    (void)arg;
    ck_assert_int_eq(status, 0);
    ck_assert_ptr_eq(pen_loop_current(), l);
    close_here = pen_loop_close(l);
    run_here = pen_loop_run(l);
    run_other = pen_loop_run(other);
    pen_loop_stop(l);
}

START_TEST(a_callback_may_not_run_or_close)
{
    reset();
    ck_assert_int_eq(pen_loop_new(NULL, &other), 0);
    ck_assert_int_eq(pen_loop_call_soon(loop, try_things, NULL), 0);
    ck_assert_ptr_null(pen_loop_current());
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_ptr_null(pen_loop_current());
    ck_assert_int_eq(close_here, PEN_EBUSY);
    ck_assert_int_eq(run_here, PEN_EBUSY);
    ck_assert_int_eq(run_other, PEN_EBUSY);
    pen_loop_free(&other);
    pen_loop_free(&loop);
}
END_TEST

START_TEST(a_loop_that_was_started_is_its_threads)
{
    reset();
    struct pen_timer timer = { 0 };
    ck_assert_int_eq(pen_loop_start(loop), 0); /* From here on, before its thread has begun, too. */
    ck_assert_int_eq(pen_loop_start(loop), PEN_EBUSY);
    ck_assert_int_eq(pen_loop_run(loop), PEN_EBUSY);
    ck_assert_int_eq(pen_loop_close(loop), PEN_EBUSY);
    ck_assert_int_eq(pen_loop_call_soon(loop, note, NULL), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_loop_call_later(loop, &timer, pen_ms(0), note, NULL), PEN_EWRONGTHREAD);
    ck_assert(!pen_loop_here(loop));
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    ck_assert_int_eq(pen_loop_join(loop), PEN_EINVAL);
    call(LETTER('a'));
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_str_eq(order, "a");
    pen_loop_free(&loop);
}
END_TEST

/* ---- what it has done ---- */

START_TEST(it_counts_what_it_runs)
{
    reset();
    struct pen_timer timer = { 0 };
    struct pen_loop_stats s;
    pen_loop_stats(loop, &s);
    ck_assert_uint_eq(s.turns + s.events + s.calls + s.timers + s.turn_time.count + s.lag.count, 0);
    call(LETTER('a'));
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, LETTER('b')), 0);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, LETTER('c')), 0);
    ck_assert_int_eq(pen_loop_call_later(loop, &timer, pen_ms(1), stop, LETTER('d')), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    pen_loop_stats(loop, &s);
    ck_assert_str_eq(order, "abcd");
    ck_assert_uint_eq(s.calls, 3);
    ck_assert_uint_eq(s.timers, 1);
    ck_assert_uint_eq(s.events, 0);
    ck_assert_uint_ge(s.turns, 2);
    ck_assert_uint_eq(s.turn_time.count, s.turns);
    ck_assert_uint_eq(s.lag.count, 2); /* The burst of two posts, and the timer. */
    pen_loop_free(&loop);
}
END_TEST

static void look_at_ourselves(struct pen_loop *l, void *arg, int status)
{
    struct loop_view *view = arg;
    ck_assert_int_eq(status, 0);
    loop_set_running(l, "looking", 7);
    loop_look(l, pen_now(), view);
    loop_set_running(l, NULL, 0);
    pen_loop_stop(l);
}

START_TEST(others_can_see_what_it_does)
{
    reset();
    struct loop_view view;
    struct pen_timer timer = { 0 };
    ck_assert_int_eq(pen_loop_call_soon(loop, look_at_ourselves, &view), 0);
    ck_assert_int_eq(pen_loop_call_later(loop, &timer, pen_ms(100000), note, NULL), 0);
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert(view.runs);
    ck_assert_int_eq(view.thread_id, thread_id());
    ck_assert_int_gt(view.busy.ns, 0);
    ck_assert_str_eq(view.running, "looking");
    ck_assert_uint_eq(view.running_id, 7);
    ck_assert_uint_eq(view.timers, 1);
    uint64_t beat = view.beat;
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, note, NULL), 0);
    loop_look(loop, pen_now(), &view);
    ck_assert(!view.runs);
    ck_assert_int_eq(view.busy.ns, 0);
    ck_assert_str_eq(view.running, "");
    ck_assert_uint_eq(view.inbox, 1);
    ck_assert_uint_gt(view.beat, beat); /* The last step. */
    pen_loop_free(&loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *c = tcase_create("loop");
    tcase_add_test(c, calls_run_in_order);
    tcase_add_test(c, a_call_made_in_a_turn_runs_in_the_next);
    tcase_add_test(c, timers_of_one_instant_keep_the_order_of_arming);
    tcase_add_test(c, a_cancelled_timer_does_not_run);
    tcase_add_test(c, closing_tells_everything_that_waits);
    tcase_add_test(c, the_wrong_thread_is_refused);
    tcase_add_test(c, calls_from_threads_all_run_in_each_ones_order);
    tcase_add_test(c, the_inbox_is_bounded);
    tcase_add_test(c, a_post_is_in_the_inbox_once);
    tcase_add_test(c, an_edge_comes_for_each_write);
    tcase_add_test(c, a_stop_before_the_run_lets_what_was_accepted_run);
    tcase_add_test(c, what_the_last_turn_asks_for_stays_for_the_next_run);
    tcase_add_test(c, the_last_turn_runs_everything_even_beyond_turn_max);
    tcase_add_test(c, a_closed_loop_refuses_everything);
    tcase_add_test(c, a_callback_may_not_run_or_close);
    tcase_add_test(c, a_loop_that_was_started_is_its_threads);
    tcase_add_test(c, it_counts_what_it_runs);
    tcase_add_test(c, others_can_see_what_it_does);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
