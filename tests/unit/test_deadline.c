/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines: the cases of CPython's test_timeouts.py that apply.
 */
#include "task_fixture.h"

#include <penstock/deadline.h>

static struct pen_future *future;
static struct hand hand;

static void begin(void)
{
    start_loop();
    future = hold_on_loop(&hand);
}

static void end(void)
{
    pen_future_unref(&future);
    stop_loop();
}

static struct pen_deadline *limit_future(struct pen_deadline *parent, pen_mono_t when,
                                         struct pen_future *f)
{
    struct pen_deadline *d = NULL;
    ck_assert_int_eq(pen_deadline_new(loop, parent, when, f, &d), 0);
    return d;
}

static struct pen_deadline *limit(struct pen_deadline *parent, pen_mono_t when)
{
    return limit_future(parent, when, future);
}

static int outcome(void)
{
    return pen_future_get(future, PEN_NEVER, NULL);
}

/* Everything that was posted to the loop before has run. */
static void settle(void)
{
    struct hand tick = { 0 };
    struct pen_future *f = hold_on_loop(&tick);
    finish(&tick, 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
}

/* In the future, now, and in the past. */
START_TEST(a_deadline_cancels)
{
    begin();
    pen_mono_t when[] = { soon(), clock_mono(), PEN_NOW };
    struct pen_deadline *d = limit(NULL, when[_i]);
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert(pen_deadline_expired(d));
    ck_assert_int_eq(pen_deadline_outcome(d, PEN_ECANCELED), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_deadline_outcome(d, PEN_ELIMIT), PEN_ELIMIT);
    ck_assert_int_eq(pen_deadline_outcome(d, 0), 0);
    ck_assert_int_eq(pen_deadline_reschedule(d, far_away()), PEN_ETIMEOUT);
    pen_deadline_free(&d);
    ck_assert_ptr_null(d);
    pen_deadline_free(&d);
    end();
}
END_TEST

START_TEST(work_in_time_has_its_outcome)
{
    begin();
    struct pen_deadline *d = limit(NULL, _i == 0 ? far_away() : PEN_NEVER);
    finish(&hand, PEN_ELIMIT);
    ck_assert_int_eq(outcome(), PEN_ELIMIT);
    ck_assert(!pen_deadline_expired(d));
    /* Too late for work that is done. */
    ck_assert_int_eq(pen_deadline_reschedule(d, PEN_NOW), 0);
    settle();
    settle();
    ck_assert(!pen_deadline_expired(d));
    ck_assert_int_eq(pen_future_error(future), PEN_ELIMIT);
    pen_deadline_free(&d);
    end();
}
END_TEST

START_TEST(an_outside_cancel_is_told_from_expiry)
{
    begin();
    struct pen_deadline *d = limit(NULL, far_away());
    hand.stay = true;
    ck_assert_int_eq(pen_future_cancel(future), 0);
    await(&hand.cancelled);
    ck_assert_int_eq(pen_deadline_reschedule(d, PEN_NOW), 0);
    settle();
    settle();
    finish(&hand, PEN_ECANCELED);
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert(!pen_deadline_expired(d));
    ck_assert_int_eq(pen_deadline_outcome(d, PEN_ECANCELED), PEN_ECANCELED);
    pen_deadline_free(&d);
    end();
}
END_TEST

START_TEST(a_deadline_moves_both_ways)
{
    begin();
    struct pen_deadline *d = limit(NULL, far_away());
    ck_assert_int_eq(pen_deadline_reschedule(d, PEN_NEVER), 0);
    ck_assert_int_eq(pen_deadline_reschedule(d, mono_after(far_away(), span_s(1))), 0);
    settle();
    ck_assert_int_eq(pen_future_error(future), PEN_EBUSY);
    ck_assert_int_eq(pen_deadline_reschedule(d, soon()), 0);
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert(pen_deadline_expired(d));
    pen_deadline_free(&d);
    end();
}
END_TEST

START_TEST(a_freed_deadline_does_not_cancel)
{
    begin();
    struct pen_deadline *d = limit(NULL, far_away());
    if (_i == 1)
        settle(); /* Its timer is set. */
    pen_deadline_free(&d);
    settle();
    ck_assert_int_eq(pen_future_error(future), PEN_EBUSY);
    finish(&hand, 0);
    ck_assert_int_eq(outcome(), 0);
    end();
}
END_TEST

START_TEST(the_inner_one_expires)
{
    begin();
    struct pen_deadline *outer = limit(NULL, far_away()), *inner = limit(outer, soon());
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert_int_eq(pen_deadline_outcome(inner, PEN_ECANCELED), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_deadline_outcome(outer, PEN_ECANCELED), PEN_ECANCELED);
    pen_deadline_free(&inner);
    pen_deadline_free(&outer);
    end();
}
END_TEST

/* The outer one counts for the inner future, too, whatever order they are freed in. */
START_TEST(the_outer_one_expires)
{
    begin();
    struct hand other = { 0 };
    struct pen_future *f = hold_on_loop(&other);
    struct pen_deadline *outer = limit_future(NULL, far_away(), f);
    struct pen_deadline *middle = limit_future(outer, far_away(), f);
    struct pen_deadline *inner = limit(middle, far_away());
    if (_i == 1)
        pen_deadline_free(&middle);
    ck_assert_int_eq(pen_deadline_reschedule(outer, soon()), 0);
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    ck_assert_int_eq(pen_deadline_outcome(inner, PEN_ECANCELED), PEN_ECANCELED);
    ck_assert_int_eq(pen_deadline_outcome(outer, PEN_ECANCELED), PEN_ETIMEOUT);
    pen_deadline_free(&outer);
    pen_deadline_free(&middle);
    pen_deadline_free(&inner);
    pen_future_unref(&f);
    end();
}
END_TEST

START_TEST(nested_in_one_that_has_expired)
{
    begin();
    struct hand other = { 0 };
    struct pen_future *f = hold_on_loop(&other);
    struct pen_deadline *outer = limit_future(NULL, PEN_NOW, f);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    struct pen_deadline *inner = limit(outer, far_away());
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert(!pen_deadline_expired(inner));
    pen_deadline_free(&inner);
    pen_deadline_free(&outer);
    pen_future_unref(&f);
    end();
}
END_TEST

START_TEST(a_freed_outer_one_leaves_the_inner_one)
{
    begin();
    struct pen_deadline *outer = limit(NULL, far_away()), *inner = limit(outer, far_away());
    pen_deadline_free(&outer);
    ck_assert_int_eq(pen_deadline_reschedule(inner, soon()), 0);
    ck_assert_int_eq(outcome(), PEN_ECANCELED);
    ck_assert(pen_deadline_expired(inner));
    pen_deadline_free(&inner);
    end();
}
END_TEST

/* With its timer set, with the post under way, and after it was freed. */
START_TEST(the_loop_is_freed_first)
{
    begin();
    struct pen_loop *other = NULL;
    struct pen_deadline *d = NULL;
    ck_assert_int_eq(pen_loop_new(NULL, &other), 0);
    ck_assert_int_eq(pen_deadline_new(other, NULL, far_away(), future, &d), 0);
    if (_i == 1) {
        ck_assert_int_eq(pen_loop_start(other), 0);
        pen_loop_stop(other);
        ck_assert_int_eq(pen_loop_join(other), 0);
    }
    if (_i == 2)
        pen_deadline_free(&d);
    pen_loop_free(&other);
    if (d != NULL)
        ck_assert_int_eq(pen_deadline_reschedule(d, PEN_NOW), PEN_ECLOSED);
    ck_assert_int_eq(pen_future_error(future), PEN_EBUSY);
    pen_deadline_free(&d);
    finish(&hand, 0);
    ck_assert_int_eq(outcome(), 0);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("deadline");
    TCase *c = tcase_create("deadline");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_deadline_cancels, 0, 3);
    tcase_add_loop_test(c, work_in_time_has_its_outcome, 0, 2);
    tcase_add_test(c, an_outside_cancel_is_told_from_expiry);
    tcase_add_test(c, a_deadline_moves_both_ways);
    tcase_add_loop_test(c, a_freed_deadline_does_not_cancel, 0, 2);
    tcase_add_test(c, the_inner_one_expires);
    tcase_add_loop_test(c, the_outer_one_expires, 0, 2);
    tcase_add_test(c, nested_in_one_that_has_expired);
    tcase_add_test(c, a_freed_outer_one_leaves_the_inner_one);
    tcase_add_loop_test(c, the_loop_is_freed_first, 0, 3);
    suite_add_tcase(s, c);
    return run_suite(s);
}
