/* SPDX-License-Identifier: Apache-2.0
 *
 * The watch: a stall is told while it lasts, with the function that stalls, and nothing else is a stall.
 *
 * Callbacks that stall here go on until the watch has told, so that no test depends on how fast the machine is; one
 * that is never told is ended by Check's time limit. They read the clock all the time because ThreadSanitizer
 * delivers signals only at such calls.
 */
#include <check.h>
#include <errno.h>
#include <penstock/watch.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/count.h"
#include "base/str.h"
#include "loop/io.h"
#include "loop/loop.h"
#include "plat/clock.h"
#include "plat/thread.h"

static struct pen_loop *loop;
static struct count told; /* stalls */
static struct pen_stall first;
static char first_loop[32], first_running[32], first_stack[8192];
static int pipe_fds[2];

/* The first one. */
static void keep(const struct pen_stall *stall, void *arg)
{
    (void)arg;
    if (count_read(&told) > 0) {
        count_add(&told, 1);
        return;
    }
    first = *stall;
    (void)str_copy(first_loop, sizeof first_loop, stall->loop);
    if (stall->running != NULL)
        (void)str_copy(first_running, sizeof first_running, stall->running);
    (void)str_copy(first_stack, sizeof first_stack, stall->stack);
    count_add(&told, 1);
}

static void watch(void (*on_stall)(const struct pen_stall *stall, void *arg), pen_span_t slow)
{
    struct pen_watch_options options = { .slow = slow, .on_stall = on_stall };
    ck_assert_int_eq(pen_watch_start(&options), 0);
}

/* Run one call on a loop of its own thread, and wait for its end. */
static void run_there(pen_call_fn fn)
{
    ck_assert_int_eq(pen_loop_new(&(struct pen_loop_options){ .name = "slow one" }, &loop), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, fn, NULL), 0);
    pen_loop_stop(loop); /* What was accepted before it still runs. */
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_loop_free(&loop);
}

/* ---- stalls ---- */

/* Global, so that its name is there to be found. */
PEN_API void spin_until_told(struct pen_loop *l, void *arg, int status);
PEN_API void spin_until_told(struct pen_loop *l, void *arg, int status)
{
    (void)l, (void)arg, (void)status;
    while (count_read(&told) == 0)
        (void)pen_now();
}

START_TEST(a_callback_that_computes_is_told_while_it_does)
{
    watch(keep, pen_ms(20));
    run_there(spin_until_told);
    pen_watch_stop();
    ck_assert_str_eq(first_loop, "slow one");
    ck_assert_ptr_null(first.running);
    ck_assert_int_ge(first.wall.ns, pen_ms(20).ns);
    ck_assert_int_ge(first.cpu.ns, pen_ms(20).ns);
    ck_assert_int_ne(first.thread_id, thread_id());
    ck_assert_msg(strstr(first_stack, "spin_until_told+0x") != NULL, "the stack is:\n%s",
                  first_stack);
}
END_TEST

static bool told_in_time;

PEN_API void spin_for_300_ms(struct pen_loop *l, void *arg, int status);
PEN_API void spin_for_300_ms(struct pen_loop *l, void *arg, int status)
{
    (void)l, (void)arg, (void)status;
    /* Of CPU time, so that it is a stall of the callback wherever this runs. */
    span_t begun = clock_thread_cpu();
    while (clock_thread_cpu().ns - begun.ns < pen_ms(300).ns)
        (void)pen_now();
    told_in_time = count_read(&told) > 0;
}

START_TEST(a_stall_of_300_ms_is_told_before_it_ends_by_default)
{
    watch(keep, (pen_span_t){ 0 });
    run_there(spin_for_300_ms);
    pen_watch_stop();
    ck_assert(told_in_time);
    ck_assert_msg(strstr(first_stack, "spin_for_300_ms+0x") != NULL, "the stack is:\n%s",
                  first_stack);
}
END_TEST

static void keep_and_write(const struct pen_stall *stall, void *arg)
{
    keep(stall, arg);
    ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
}

PEN_API void block_until_told(struct pen_loop *l, void *arg, int status);
PEN_API void block_until_told(struct pen_loop *l, void *arg, int status)
{
    (void)l, (void)arg, (void)status;
    struct pollfd fds = { .fd = pipe_fds[0], .events = POLLIN };
    /* A read() would be restarted, but ThreadSanitizer would not let the signal in. */
    while (poll(&fds, 1, -1) < 0)
        ck_assert_int_eq(errno, EINTR);
}

START_TEST(a_callback_that_blocks_is_told_with_little_cpu_time)
{
    ck_assert_int_eq(pipe(pipe_fds), 0);
    watch(keep_and_write, pen_ms(50));
    run_there(block_until_told);
    pen_watch_stop();
    ck_assert_int_ge(first.wall.ns, pen_ms(50).ns);
    ck_assert_int_lt(first.cpu.ns, first.wall.ns / 2);
    ck_assert_msg(strstr(first_stack, "block_until_told+0x") != NULL, "the stack is:\n%s",
                  first_stack);
}
END_TEST

static pen_span_t walls[2];

static void keep_walls(const struct pen_stall *stall, void *arg)
{
    if (count_read(&told) < 2)
        walls[count_read(&told)] = stall->wall;
    keep(stall, arg);
}

static void spin_until_told_twice(struct pen_loop *l, void *arg, int status)
{
    (void)l, (void)arg, (void)status;
    while (count_read(&told) < 2)
        (void)pen_now();
}

START_TEST(a_stall_is_told_again_when_it_has_doubled)
{
    watch(keep_walls, pen_ms(20));
    run_there(spin_until_told_twice);
    pen_watch_stop();
    ck_assert_int_ge(walls[0].ns, pen_ms(20).ns);
    ck_assert_int_ge(walls[1].ns, 2 * pen_ms(20).ns);
}
END_TEST

/* Not inlined and without a tail call, so that it is in the stack; static, so that only the file's own table knows it. */
__attribute__((noinline)) static void spin_in_a_step(struct pen_loop *l, void *arg, int status)
{
    loop_set_running(l, "consumer work/0", 17);
    spin_until_told(l, arg, status);
    loop_set_running(l, NULL, 0);
}

START_TEST(what_runs_is_named)
{
    watch(keep, pen_ms(20));
    run_there(spin_in_a_step);
    pen_watch_stop();
    ck_assert_msg(strstr(first_stack, "spin_in_a_step+0x") != NULL, "the stack is:\n%s", first_stack);
    ck_assert_str_eq(first_running, "consumer work/0");
    ck_assert_uint_eq(first.running_id, 17);
}
END_TEST

static void spin_with_signals_blocked(struct pen_loop *l, void *arg, int status)
{
    sigset_t all, before;
    sigfillset(&all);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    spin_until_told(l, arg, status);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0); /* The late answer is given. */
    (void)pen_now();
}

START_TEST(a_thread_that_does_not_answer_is_told_without_its_stack)
{
    watch(keep, pen_ms(20));
    run_there(spin_with_signals_blocked);
    ck_assert_msg(strstr(first_stack, "does not answer") != NULL, "the stack is:\n%s", first_stack);
    pen_watch_stop(); /* It may be telling of the doubled time. */
    count_set(&told, 0);
    watch(keep, pen_ms(20));
    run_there(spin_until_told);
    pen_watch_stop();
    ck_assert_msg(strstr(first_stack, "spin_until_told+0x") != NULL, "the stack is:\n%s",
                  first_stack);
}
END_TEST

static void wait_until_the_watch_rests(void)
{
    while (atomic_load(&loops_vigil.state) != VIGIL_RESTS)
        sched_yield();
}

START_TEST(a_watch_that_rests_is_woken_by_a_loop_that_works)
{
    watch(keep, pen_ms(20));
    for (int i = 0; i < 5; i++) {
        wait_until_the_watch_rests();
        count_set(&told, 0);
        run_there(spin_until_told);
    }
    pen_watch_stop();
}
END_TEST

START_TEST(a_loop_that_stalls_already_is_seen_by_a_new_watch)
{
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, spin_until_told, NULL), 0);
    while (loop_busy_for(loop, pen_now()).ns == 0)
        sched_yield();
    watch(keep, pen_ms(20));
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_watch_stop();
    pen_loop_free(&loop);
}
END_TEST

/* ---- what is no stall ---- */

static void spin_for_a_ms(struct pen_loop *l, void *arg, int status)
{
    (void)l, (void)arg, (void)status;
    pen_mono_t end = pen_deadline_in(pen_ms(1));
    while (pen_now().ns < end.ns)
        continue;
}

/* Turns of 200 calls of a millisecond, one after the other, as long as the test lasts. */
static void keep_busy(struct pen_loop *l, void *arg, int status)
{
    if (status != 0)
        return;
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(pen_loop_call_soon(l, spin_for_a_ms, NULL), 0);
    ck_assert_int_eq(pen_loop_call_soon(l, keep_busy, arg), 0);
}

/* One callback of 200 steps of a millisecond. */
static void keep_stepping(struct pen_loop *l, void *arg, int status)
{
    if (status != 0)
        return;
    for (uint64_t i = 0; i < 200; i++) {
        loop_set_running(l, "step", i);
        spin_for_a_ms(l, arg, status);
    }
    loop_set_running(l, NULL, 0);
    ck_assert_int_eq(pen_loop_call_soon(l, keep_stepping, arg), 0);
}

static void on_end(struct pen_loop *l, void *arg, int status)
{
    (void)arg, (void)status;
    pen_loop_stop(l);
}

enum { BUSY_LOOPS = 4 };

/* More loops than CPUs, all of them busy, each of their turns longer than `slow`: 2 s, or a minute in check-long. */
START_TEST(load_is_no_stall)
{
    struct pen_loop *main_loop, *busy[BUSY_LOOPS];
    struct pen_timer end = { 0 };
    watch(keep, (pen_span_t){ 0 });
    for (int i = 0; i < BUSY_LOOPS; i++) {
        ck_assert_int_eq(pen_loop_new(NULL, &busy[i]), 0);
        ck_assert_int_eq(pen_loop_call_soon(busy[i], i % 2 == 0 ? keep_busy : keep_stepping, NULL),
                         0);
        ck_assert_int_eq(pen_loop_start(busy[i]), 0);
    }
    ck_assert_int_eq(pen_loop_new(NULL, &main_loop), 0);
    pen_span_t length = pen_ms(getenv("PENSTOCK_LONG") != NULL ? 60000 : 2000);
    ck_assert_int_eq(pen_loop_call_later(main_loop, &end, length, on_end, NULL), 0);
    ck_assert_int_eq(pen_loop_run(main_loop), 0);
    for (int i = 0; i < BUSY_LOOPS; i++) {
        pen_loop_stop(busy[i]);
        ck_assert_int_eq(pen_loop_join(busy[i]), 0);
        pen_loop_free(&busy[i]);
    }
    pen_watch_stop();
    pen_loop_free(&main_loop);
    ck_assert_msg(count_read(&told) == 0, "%s, %lld ms, %lld ms CPU:\n%s", first_loop,
                  (long long)(first.wall.ns / 1000000), (long long)(first.cpu.ns / 1000000),
                  first_stack);
}
END_TEST

/* ---- starting and stopping ---- */

START_TEST(there_is_one_watch)
{
    pen_watch_stop(); /* Without one nothing happens. */
    ck_assert_int_eq(pen_watch_start(NULL), 0);
    ck_assert_int_eq(pen_watch_start(NULL), PEN_EBUSY);
    pen_watch_stop();
    pen_watch_stop();
    ck_assert_int_eq(pen_watch_start(NULL), 0);
    pen_watch_stop();
}
END_TEST

START_TEST(too_short_is_refused)
{
    ck_assert_int_eq(pen_watch_start(&(struct pen_watch_options){ .slow = pen_us(999) }), PEN_EINVAL);
    ck_assert_int_eq(pen_watch_start(&(struct pen_watch_options){ .slow = pen_us(-1) }), PEN_EINVAL);
}
END_TEST

static void on_other(int number)
{
    (void)number;
}

START_TEST(a_signal_in_use_is_not_taken)
{
    struct sigaction other = { .sa_handler = on_other }, after;
    ck_assert_int_eq(sigaction(SIGRTMAX - 2, &other, NULL), 0);
    ck_assert_int_eq(pen_watch_start(NULL), PEN_EBUSY);
    ck_assert_int_eq(sigaction(SIGRTMAX - 2, NULL, &after), 0);
    ck_assert(after.sa_handler == on_other);
}
END_TEST

START_TEST(loops_come_and_go)
{
    watch(keep, pen_ms(1));
    for (int i = 0; i < 200; i++)
        run_there(on_end);
    pen_watch_stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *c = tcase_create("watch");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_callback_that_computes_is_told_while_it_does);
    if (getenv("PENSTOCK_LONG") != NULL) /* It asserts a time, which a busy machine may not keep. */
        tcase_add_test(c, a_stall_of_300_ms_is_told_before_it_ends_by_default);
    tcase_add_test(c, a_callback_that_blocks_is_told_with_little_cpu_time);
    tcase_add_test(c, a_stall_is_told_again_when_it_has_doubled);
    tcase_add_test(c, what_runs_is_named);
    tcase_add_test(c, a_thread_that_does_not_answer_is_told_without_its_stack);
    tcase_add_test(c, a_watch_that_rests_is_woken_by_a_loop_that_works);
    tcase_add_test(c, a_loop_that_stalls_already_is_seen_by_a_new_watch);
    tcase_add_test(c, load_is_no_stall);
    tcase_add_test(c, there_is_one_watch);
    tcase_add_test(c, too_short_is_refused);
    tcase_add_test(c, a_signal_in_use_is_not_taken);
    tcase_add_test(c, loops_come_and_go);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
