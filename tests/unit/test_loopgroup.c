/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of loops: one thread each, in turn, pinned, begun and ended together.
 */
#include <check.h>
#include <penstock/loopgroup.h>
#include <sched.h>
#include <stdlib.h>

#include "base/count.h"
#include "plat/thread.h"

enum { LOOPS = 3 };

static struct pen_loopgroup *group;
static struct count ran, closed;
static int threads[LOOPS], cpus[LOOPS], join_result;

static void make(bool pin)
{
    struct pen_loopgroup_options options = { .name = "a long name", .loops = LOOPS, .pin = pin };
    ck_assert_int_eq(pen_loopgroup_new(&options, &group), 0);
    ck_assert_uint_eq(pen_loopgroup_count(group), LOOPS);
}

/* arg: the loop's index, as its place in `threads`. */
static void note(struct pen_loop *loop, void *arg, int status)
{
    if (status == PEN_ECLOSED) {
        count_add_shared(&closed, 1);
        return;
    }
    int *thread = arg;
    *thread = thread_id();
    cpus[thread - threads] = sched_getcpu();
    ck_assert(pen_loop_here(loop));
    ck_assert_ptr_eq(pen_loop_current(), loop);
    count_add_shared(&ran, 1);
}

static void call_all(void)
{
    for (uint32_t i = 0; i < LOOPS; i++)
        ck_assert_int_eq(pen_loop_call_soon_threadsafe(pen_loopgroup_at(group, i), note, &threads[i]),
                         0);
}

static void run_all(void)
{
    ck_assert_int_eq(pen_loopgroup_start(group), 0);
    call_all();
    pen_loopgroup_stop(group);
    ck_assert_int_eq(pen_loopgroup_join(group), 0);
}

START_TEST(each_loop_has_a_thread_of_its_own)
{
    make(false);
    run_all();
    ck_assert_uint_eq(count_read(&ran), LOOPS);
    for (int i = 0; i < LOOPS; i++)
        for (int j = 0; j < i; j++)
            ck_assert_int_ne(threads[i], threads[j]);
    pen_loopgroup_free(&group);
    ck_assert_ptr_null(group);
    pen_loopgroup_free(&group);
}
END_TEST

START_TEST(names_keep_their_numbers)
{
    make(false);
    ck_assert_str_eq(pen_loop_name(pen_loopgroup_at(group, 0)), "a long nam/0");
    ck_assert_str_eq(pen_loop_name(pen_loopgroup_at(group, 2)), "a long nam/2");
    ck_assert_ptr_null(pen_loopgroup_at(group, LOOPS));
    pen_loopgroup_free(&group);
}
END_TEST

START_TEST(next_goes_round)
{
    make(false);
    for (uint32_t i = 0; i < 3 * LOOPS; i++)
        ck_assert_ptr_eq(pen_loopgroup_next(group), pen_loopgroup_at(group, i % LOOPS));
    pen_loopgroup_free(&group);
}
END_TEST

START_TEST(pinned_loops_stay_on_their_cpus)
{
    make(true);
    run_all();
    for (unsigned i = 0; i < LOOPS; i++)
        ck_assert_int_eq(cpus[i], thread_cpu_at(i));
    pen_loopgroup_free(&group);
}
END_TEST

START_TEST(it_may_be_started_again)
{
    make(false);
    run_all();
    run_all();
    ck_assert_uint_eq(count_read(&ran), 2 * LOOPS);
    pen_loopgroup_free(&group);
}
END_TEST

START_TEST(starting_and_joining_in_the_wrong_order_is_refused)
{
    make(false);
    ck_assert_int_eq(pen_loopgroup_join(group), PEN_EINVAL);
    ck_assert_int_eq(pen_loopgroup_start(group), 0);
    ck_assert_int_eq(pen_loopgroup_start(group), PEN_EBUSY);
    pen_loopgroup_stop(group);
    ck_assert_int_eq(pen_loopgroup_join(group), 0);
    ck_assert_int_eq(pen_loopgroup_join(group), PEN_EINVAL);
    pen_loopgroup_free(&group);
}
END_TEST

static void join_inside(struct pen_loop *loop, void *arg, int status)
{
    (void)loop, (void)arg, (void)status;
    join_result = pen_loopgroup_join(group);
}

START_TEST(joining_on_a_loop_of_the_group_is_refused)
{
    make(false);
    ck_assert_int_eq(pen_loopgroup_start(group), 0);
    struct pen_loop *last = pen_loopgroup_at(group, LOOPS - 1);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(last, join_inside, NULL), 0);
    pen_loopgroup_stop(group);
    ck_assert_int_eq(pen_loopgroup_join(group), 0);
    ck_assert_int_eq(join_result, PEN_EWRONGTHREAD);
    pen_loopgroup_free(&group);
}
END_TEST

/* A loop of the group that somebody else runs cannot be started: the others end again. */
START_TEST(a_start_that_fails_leaves_none_running)
{
    make(false);
    struct pen_loop *last = pen_loopgroup_at(group, LOOPS - 1);
    ck_assert_int_eq(pen_loop_close(last), 0);
    ck_assert_int_eq(pen_loopgroup_start(group), PEN_ECLOSED);
    ck_assert_int_eq(pen_loopgroup_join(group), PEN_EINVAL);
    pen_loopgroup_free(&group);
}
END_TEST

START_TEST(freeing_closes_what_waits)
{
    make(false);
    call_all();
    pen_loopgroup_free(&group);
    ck_assert_uint_eq(count_read(&closed), LOOPS);
    ck_assert_uint_eq(count_read(&ran), 0);
}
END_TEST

START_TEST(sizes)
{
    struct pen_loopgroup_options many = { .loops = 1025 };
    ck_assert_int_eq(pen_loopgroup_new(&many, &group), PEN_EINVAL);
    ck_assert_int_eq(pen_loopgroup_new(NULL, &group), 0);
    ck_assert_uint_eq(pen_loopgroup_count(group), thread_cpus());
    pen_loopgroup_free(&group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loopgroup");
    TCase *c = tcase_create("loopgroup");
    tcase_add_test(c, each_loop_has_a_thread_of_its_own);
    tcase_add_test(c, names_keep_their_numbers);
    tcase_add_test(c, next_goes_round);
    tcase_add_test(c, pinned_loops_stay_on_their_cpus);
    tcase_add_test(c, it_may_be_started_again);
    tcase_add_test(c, starting_and_joining_in_the_wrong_order_is_refused);
    tcase_add_test(c, joining_on_a_loop_of_the_group_is_refused);
    tcase_add_test(c, a_start_that_fails_leaves_none_running);
    tcase_add_test(c, freeing_closes_what_waits);
    tcase_add_test(c, sizes);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
