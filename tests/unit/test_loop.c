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
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
