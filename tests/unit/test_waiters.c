/* SPDX-License-Identifier: Apache-2.0
 *
 * src/sync/waiters.c: the line, the one wake in flight, and who carries it.
 */
#include <check.h>
#include <stdlib.h>

#include "plat/clock.h"
#include "plat/thread.h"
#include "sync/lock.h"
#include "sync/waiters.h"

enum { LINE = 4 };

static struct waiters ws;
static struct waiter w[LINE];
static size_t signals[LINE], signalled;

static void count_signal(struct waiter *waiter)
{
    signals[waiter - w]++;
    signalled++;
}

/* Pick from a line of loops, which are signalled at once: no wake is left to send. The one picked, or NULL. */
static struct waiter *pick_loop(void)
{
    size_t before = signalled;
    struct waiter *first = waiters_any(&ws) ? waiters_first(&ws) : NULL;
    ck_assert_ptr_null(waiters_pick(&ws).word);
    ck_assert_uint_le(signalled - before, 1);
    return signalled > before ? first : NULL;
}

/* A line of loops' waiters, all parked. */
static void make_line(void)
{
    waiters_init(&ws);
    for (size_t i = 0; i < LINE; i++) {
        waiter_init(&w[i], count_signal);
        waiters_park(&ws, &w[i], false);
    }
}

START_TEST(first_come_first_picked)
{
    make_line();
    for (size_t i = 0; i < LINE; i++) {
        ck_assert_ptr_eq(waiters_first(&ws), &w[i]);
        ck_assert_ptr_eq(pick_loop(), &w[i]);
        ck_assert_int_eq(w[i].state, WAITER_PICKED);
        ck_assert_uint_eq(signals[i], 1);
        ck_assert(waiters_leave(&ws, &w[i]));
        ck_assert_int_eq(w[i].state, WAITER_IDLE);
    }
    ck_assert(!waiters_any(&ws));
    ck_assert_ptr_null(pick_loop());
}
END_TEST

START_TEST(one_wake_is_in_flight)
{
    make_line();
    ck_assert_ptr_eq(pick_loop(), &w[0]);
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_null(pick_loop());
    ck_assert(!waiters_leave(&ws, &w[1])); /* Another that leaves does not carry it. */
    ck_assert_ptr_null(pick_loop());
    ck_assert(waiters_leave(&ws, &w[0]));
    ck_assert_ptr_eq(pick_loop(), &w[2]);
}
END_TEST

START_TEST(leaving_from_every_state)
{
    make_line();
    ck_assert(!waiters_leave(&ws, &w[1]));
    ck_assert_uint_eq(ws.parked_count, LINE - 1);
    ck_assert(!waiters_leave(&ws, &w[1])); /* In no line. */
    ck_assert_uint_eq(ws.parked_count, LINE - 1);
    ck_assert_ptr_eq(pick_loop(), &w[0]);
    ck_assert_uint_eq(ws.parked_count, LINE - 2);
    ck_assert(waiters_leave(&ws, &w[0]));
    ck_assert(!waiters_leave(&ws, &w[0]));
    ck_assert_uint_eq(ws.parked_count, LINE - 2);
    ck_assert_ptr_eq(waiters_first(&ws), &w[2]);
}
END_TEST

START_TEST(one_that_was_woken_in_vain_stands_in_front)
{
    make_line();
    ck_assert_ptr_eq(pick_loop(), &w[0]);
    ck_assert(waiters_leave(&ws, &w[0]));
    waiters_park(&ws, &w[0], true);
    ck_assert_ptr_eq(waiters_first(&ws), &w[0]);
    (void)waiters_leave(&ws, &w[0]);
    waiters_park(&ws, &w[0], false);
    ck_assert_ptr_eq(waiters_first(&ws), &w[1]);
}
END_TEST

START_TEST(all_are_woken_whatever_is_in_flight)
{
    make_line();
    ck_assert_ptr_eq(pick_loop(), &w[0]);
    waiters_wake_all(&ws);
    for (size_t i = 0; i < LINE; i++) {
        ck_assert_uint_eq(signals[i], 1);
        ck_assert_int_eq(w[i].state, WAITER_PICKED);
        ck_assert_int_eq(waiters_leave(&ws, &w[i]), i == 0);
    }
    ck_assert(!ws.waking);
}
END_TEST

/* ---- threads ---- */

struct sleeper {
    struct lock lock;
    struct waiters ws;
    mono_t deadline;
    bool woken, carried;
    bool gone; /* lock: lock */
    struct thread *thread;
};

static void sleep_in_line(void *arg)
{
    struct sleeper *s = arg;
    struct waiter self;
    waiter_init(&self, NULL);
    lock_take(&s->lock);
    waiters_park(&s->ws, &self, false);
    lock_drop(&s->lock);
    s->woken = waiter_sleep(&self, s->deadline);
    lock_take(&s->lock);
    s->carried = waiters_leave(&s->ws, &self);
    s->gone = true;
    lock_drop(&s->lock);
}

static void sleeper_start(struct sleeper *s, mono_t deadline)
{
    *s = (struct sleeper){ .deadline = deadline };
    lock_init(&s->lock, LOCK_QUEUE_TAKE);
    waiters_init(&s->ws);
    ck_assert_int_eq(thread_start("sleeper", sleep_in_line, s, &s->thread), 0);
}

/* Pick the sleeper as soon as it stands in line, most often before it sleeps; NO_WAKE when its deadline was first. */
static struct wake pick_when_there(struct sleeper *s)
{
    struct wake wake = NO_WAKE;
    bool gone = false;
    while (wake.word == NULL && !gone) {
        lock_take(&s->lock);
        wake = waiters_pick(&s->ws);
        gone = s->gone;
        lock_drop(&s->lock);
    }
    return wake;
}

START_TEST(a_thread_is_woken)
{
    for (int i = 0; i < 1000; i++) {
        struct sleeper s;
        sleeper_start(&s, PEN_NEVER);
        wake_send(pick_when_there(&s));
        thread_join(&s.thread);
        ck_assert(s.woken);
        ck_assert(s.carried);
        lock_fini(&s.lock);
    }
}
END_TEST

/* A wake may be sent to a thread that has seen its word and gone, with its stack: only the address counts. */
START_TEST(a_thread_that_has_gone_may_be_signalled)
{
    for (int done = 0; done < 200;) {
        struct sleeper s;
        sleeper_start(&s, mono_after(clock_mono(), span_ms(5)));
        struct wake wake = pick_when_there(&s);
        thread_join(&s.thread); /* It need not be signalled to go on: its deadline is near. */
        ck_assert_int_eq(s.carried, wake.word != NULL);
        done += wake.word != NULL;
        wake_send(wake);
        lock_fini(&s.lock);
    }
}
END_TEST

START_TEST(a_deadline_ends_the_sleep)
{
    struct sleeper s;
    sleeper_start(&s, mono_after(clock_mono(), span_ms(1)));
    thread_join(&s.thread);
    ck_assert(!s.woken);
    ck_assert(!s.carried);
    ck_assert(!waiters_any(&s.ws));
    lock_fini(&s.lock);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("waiters");
    TCase *c = tcase_create("the line");
    tcase_add_test(c, first_come_first_picked);
    tcase_add_test(c, one_wake_is_in_flight);
    tcase_add_test(c, leaving_from_every_state);
    tcase_add_test(c, one_that_was_woken_in_vain_stands_in_front);
    tcase_add_test(c, all_are_woken_whatever_is_in_flight);
    suite_add_tcase(s, c);
    c = tcase_create("threads");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_thread_is_woken);
    tcase_add_test(c, a_thread_that_has_gone_may_be_signalled);
    tcase_add_test(c, a_deadline_ends_the_sleep);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
