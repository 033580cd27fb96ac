/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups: the cases of CPython's test_taskgroups.py that apply, across threads, and deadlines.
 */
#include "task_fixture.h"

#include <penstock/group.h>

#include "plat/thread.h"

static struct pen_group *group;

static void begin(const struct pen_group_options *options)
{
    start_loop();
    ck_assert_int_eq(pen_group_new(options, &group), 0);
}

static void end(void)
{
    pen_group_free(&group);
    ck_assert_ptr_null(group);
    stop_loop();
}

static void add(struct pen_group *g, struct hand *h)
{
    ck_assert_int_eq(pen_group_loop_submit(g, loop, hold, h, NULL), 0);
    await(&h->begun);
}

static void refuses(struct pen_group *g)
{
    static struct hand never;
    struct pen_future *f = NULL;
    ck_assert_int_eq(pen_group_loop_submit(g, loop, hold, &never, &f), PEN_ESHUTDOWN);
    ck_assert_ptr_null(f);
}

/* ---- ends ---- */

START_TEST(an_empty_group_ends_at_once)
{
    begin(NULL);
    ck_assert_int_eq(pen_group_outcome(group), PEN_EBUSY);
    ck_assert_int_eq(pen_group_wait(group, PEN_NOW), 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    refuses(group);
    end();
}
END_TEST

START_TEST(all_succeed)
{
    begin(NULL);
    struct hand a = { 0 }, b = { 0 };
    add(group, &a);
    add(group, &b);
    finish(&a, 0);
    ck_assert_int_eq(pen_group_wait(group, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_group_outcome(group), PEN_EBUSY);
    finish(&b, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    ck_assert_uint_eq(pen_group_errors_count(group), 0);
    ck_assert_int_eq(pen_group_error_at(group, 0, NULL), PEN_EINVAL);
    refuses(group);
    end();
}
END_TEST

START_TEST(the_first_failure_cancels_the_others)
{
    begin(NULL);
    struct hand a = { 0 }, b = { 0 }, c = { .on_cancel = PEN_EHANDLER };
    add(group, &a);
    add(group, &b);
    add(group, &c);
    finish(&a, PEN_ELIMIT);
    await(&b.cancelled);
    await(&c.cancelled);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ELIMIT);
    ck_assert_uint_eq(pen_group_errors_count(group), 2);
    const char *name = NULL;
    ck_assert_int_eq(pen_group_error_at(group, 0, &name), PEN_ELIMIT);
    ck_assert_str_eq(name, "job");
    ck_assert_int_eq(pen_group_error_at(group, 1, NULL), PEN_EHANDLER);
    ck_assert_int_eq(pen_group_error_at(group, 2, NULL), PEN_EINVAL);
    refuses(group);
    end();
}
END_TEST

START_TEST(everybody_is_waited_for_after_a_failure)
{
    begin(NULL);
    struct hand a = { 0 }, stubborn = { .stay = true };
    add(group, &a);
    add(group, &stubborn);
    finish(&a, PEN_ELIMIT);
    await(&stubborn.cancelled);
    ck_assert_int_eq(pen_group_wait(group, soon()), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_group_outcome(group), PEN_EBUSY);
    refuses(group);
    finish(&stubborn, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ELIMIT);
    ck_assert_uint_eq(pen_group_errors_count(group), 1);
    end();
}
END_TEST

START_TEST(a_cancelled_member_is_no_failure)
{
    begin(NULL);
    struct hand a = { 0 }, b = { 0 };
    struct pen_future *f = NULL;
    ck_assert_int_eq(pen_group_loop_submit(group, loop, hold, &a, &f), 0);
    add(group, &b);
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    pen_future_unref(&f);
    struct hand c = { 0 };
    add(group, &c); /* Still open. */
    finish(&b, 0);
    finish(&c, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    end();
}
END_TEST

/* ---- cancelling ---- */

START_TEST(cancel_from_outside)
{
    begin(NULL);
    struct hand a = { 0 }, b = { 0 };
    add(group, &a);
    add(group, &b);
    pen_group_cancel(group);
    pen_group_cancel(group);
    refuses(group);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ECANCELED);
    ck_assert_uint_eq(pen_group_errors_count(group), 0);
    pen_group_cancel(group);
    ck_assert_int_eq(pen_group_outcome(group), PEN_ECANCELED);
    end();
}
END_TEST

START_TEST(errors_win_over_a_cancel)
{
    begin(NULL);
    struct hand a = { .on_cancel = PEN_EHANDLER }, b = { 0 };
    add(group, &a);
    add(group, &b);
    pen_group_cancel(group);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_EHANDLER);
    end();
}
END_TEST

START_TEST(an_empty_group_is_cancelled)
{
    begin(NULL);
    pen_group_cancel(group);
    ck_assert_int_eq(pen_group_outcome(group), PEN_ECANCELED);
    ck_assert_int_eq(pen_group_wait(group, PEN_NOW), PEN_ECANCELED);
    end();
}
END_TEST

START_TEST(an_ended_group_is_not_cancelled)
{
    begin(NULL);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    pen_group_cancel(group);
    ck_assert_int_eq(pen_group_outcome(group), 0);
    end();
}
END_TEST

static int note_cancelled_job(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)arg;
    (void)ret_result;
    ck_abort_msg("the job ran");
    return 0;
}

/* Members that have not begun end within the call that cancels. */
START_TEST(waiting_members_end_at_once)
{
    enum { MEMBERS = 10 };
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pen_group_new(NULL, &group), 0);
    for (int i = 0; i < MEMBERS; i++)
        ck_assert_int_eq(pen_group_loop_submit(group, loop, note_cancelled_job, NULL, NULL), 0);
    pen_group_cancel(group);
    ck_assert_int_eq(pen_group_outcome(group), PEN_ECANCELED);
    pen_group_free(&group);
    pen_loop_free(&loop);
}
END_TEST

START_TEST(free_cancels_what_has_not_ended)
{
    begin(NULL);
    struct hand a = { 0 };
    add(group, &a);
    pen_group_free(&group);
    await(&a.cancelled);
    end();
}
END_TEST

/* ---- members ---- */

struct spawner {
    struct hand hands[2];
};

static int spawn(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)ret_result;
    struct spawner *s = arg;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pen_group_loop_submit(group, loop, hold, &s->hands[i], NULL), 0);
    return 0;
}

START_TEST(members_add_members_while_it_is_waited_for)
{
    begin(NULL);
    struct hand first = { 0 };
    struct spawner s = { 0 };
    add(group, &first);
    ck_assert_int_eq(pen_group_wait(group, PEN_NOW), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_group_loop_submit(group, loop, spawn, &s, NULL), 0);
    await(&s.hands[1].begun);
    finish(&first, 0);
    ck_assert_int_eq(pen_group_wait(group, soon()), PEN_ETIMEOUT);
    finish(&s.hands[0], 0);
    finish(&s.hands[1], 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    refuses(group);
    end();
}
END_TEST

static int cancel_group(struct pen_job *job, void *arg, void **ret_result)
{
    pen_group_cancel(group);
    return hold(job, arg, ret_result);
}

START_TEST(a_member_cancels_its_own_group)
{
    begin(NULL);
    struct hand a = { 0 }, b = { 0 };
    add(group, &a);
    ck_assert_int_eq(pen_group_loop_submit(group, loop, cancel_group, &b, NULL), 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ECANCELED);
    end();
}
END_TEST

START_TEST(futures_are_added)
{
    begin(NULL);
    struct hand a = { 0 }, b = { 0 };
    struct pen_future *f = hold_on_loop(&a), *g = hold_on_loop(&b);
    ck_assert_int_eq(pen_group_add(group, f), 0);
    if (_i == 1) { /* Done before it is added. */
        finish(&b, PEN_ELIMIT);
        ck_assert_int_eq(pen_future_get(g, PEN_NEVER, NULL), PEN_ELIMIT);
    }
    ck_assert_int_eq(pen_group_add(group, g), 0);
    if (_i == 0)
        finish(&b, PEN_ELIMIT);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ELIMIT);
    ck_assert_int_eq(pen_future_error(f), PEN_ECANCELED);
    ck_assert_int_eq(pen_group_add(group, f), PEN_ESHUTDOWN);
    pen_future_unref(&f);
    pen_future_unref(&g);
    end();
}
END_TEST

START_TEST(a_refused_submission_leaves_no_member)
{
    begin(NULL);
    ck_assert_int_eq(pen_group_loop_submit(group, loop, NULL, NULL, NULL), PEN_EINVAL);
    ck_assert_int_eq(pen_group_wait(group, PEN_NOW), 0);
    end();
}
END_TEST

static int fail_unless_zero(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    *ret_result = arg;
    return arg == NULL ? 0 : PEN_ELIMIT;
}

static int destroyed;

static void count_destroyed(void *result)
{
    (void)result;
    destroyed++;
}

START_TEST(members_run_on_pools_and_have_the_groups_options)
{
    struct pen_job_options job = { .name = "sum", .destroy_result = count_destroyed };
    struct pen_group_options o = { .job = &job };
    struct pen_pool *pool = NULL;
    begin(&o);
    ck_assert_int_eq(pen_pool_new(NULL, &pool), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(pen_group_pool_submit(group, pool, fail_unless_zero, NULL, NULL), 0);
    ck_assert_int_eq(pen_group_pool_submit(group, pool, fail_unless_zero, &job, NULL), 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ELIMIT);
    const char *name = NULL;
    ck_assert_int_eq(pen_group_error_at(group, 0, &name), PEN_ELIMIT);
    ck_assert_str_eq(name, "sum");
    pen_pool_free(&pool);
    ck_assert_int_eq(destroyed, 1);
    end();
}
END_TEST

/* ---- waiting on loops ---- */

struct told {
    struct futex word;
    int outcome, times;
};

static void tell(struct pen_group *g, int outcome, void *arg)
{
    struct told *t = arg;
    ck_assert_ptr_eq(g, group);
    t->outcome = outcome;
    t->times++;
    set(&t->word);
}

START_TEST(a_loop_is_told)
{
    begin(NULL);
    struct hand a = { 0 };
    struct told t = { 0 };
    add(group, &a);
    ck_assert_int_eq(pen_group_on_done(group, loop, NULL, NULL), PEN_EINVAL);
    ck_assert_int_eq(pen_group_on_done(group, loop, tell, &t), 0);
    finish(&a, PEN_ELIMIT);
    await(&t.word);
    ck_assert_int_eq(t.outcome, PEN_ELIMIT);
    end();
    ck_assert_int_eq(t.times, 1);
}
END_TEST

START_TEST(a_freed_loop_is_told_that_it_goes_on)
{
    begin(NULL);
    struct hand a = { 0 };
    struct told t = { 0 };
    struct pen_loop *other = NULL;
    ck_assert_int_eq(pen_loop_new(NULL, &other), 0);
    add(group, &a);
    ck_assert_int_eq(pen_group_on_done(group, other, tell, &t), 0);
    pen_loop_free(&other);
    ck_assert_int_eq(t.outcome, PEN_EBUSY);
    finish(&a, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    end();
    ck_assert_int_eq(t.times, 1);
}
END_TEST

static int wait_here(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)arg;
    (void)ret_result;
    return pen_group_wait(group, PEN_NEVER);
}

START_TEST(a_loop_does_not_wait)
{
    begin(NULL);
    struct hand a = { 0 };
    struct pen_future *f = NULL;
    add(group, &a);
    ck_assert_int_eq(pen_loop_submit(loop, wait_here, NULL, NULL, &f), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_EWRONGTHREAD);
    pen_future_unref(&f);
    finish(&a, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    end();
}
END_TEST

static void wait_in_thread(void *arg)
{
    *(int *)arg = pen_group_wait(group, PEN_NEVER);
}

START_TEST(several_threads_wait)
{
    enum { THREADS = 4 };
    begin(NULL);
    struct hand a = { 0 };
    struct thread *threads[THREADS];
    int outcomes[THREADS] = { 0 };
    add(group, &a);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(thread_start("waiter", wait_in_thread, &outcomes[i], &threads[i]), 0);
    finish(&a, PEN_ELIMIT);
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        ck_assert_int_eq(outcomes[i], PEN_ELIMIT);
    }
    end();
}
END_TEST

START_TEST(a_freed_loop_fails_its_members)
{
    begin(NULL);
    struct hand a = { .stay = true };
    add(group, &a);
    stop_loop();
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ECLOSED);
    pen_group_free(&group);
}
END_TEST

/* ---- nesting ---- */

static struct pen_group *nest(struct pen_group *parent)
{
    struct pen_group *child = NULL;
    struct pen_group_options o = { .name = "child", .parent = parent };
    ck_assert_int_eq(pen_group_new(&o, &child), 0);
    return child;
}

START_TEST(a_parent_waits_for_its_child)
{
    begin(NULL);
    struct pen_group *child = nest(group);
    struct hand a = { 0 };
    add(child, &a);
    ck_assert_int_eq(pen_group_wait(group, soon()), PEN_ETIMEOUT);
    finish(&a, 0);
    ck_assert_int_eq(pen_group_wait(child, PEN_NEVER), 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    pen_group_free(&child);
    end();
}
END_TEST

START_TEST(a_cancel_goes_down)
{
    begin(NULL);
    struct pen_group *child = nest(group), *grandchild = nest(child);
    struct hand a = { 0 }, b = { 0 }, c = { 0 };
    add(group, &a);
    add(child, &b);
    add(grandchild, &c);
    pen_group_cancel(group);
    await(&c.cancelled);
    ck_assert_int_eq(pen_group_wait(grandchild, PEN_NEVER), PEN_ECANCELED);
    ck_assert_int_eq(pen_group_wait(child, PEN_NEVER), PEN_ECANCELED);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ECANCELED);
    pen_group_free(&grandchild);
    pen_group_free(&child);
    end();
}
END_TEST

START_TEST(a_failure_goes_up)
{
    begin(NULL);
    struct pen_group *child = nest(group);
    struct hand sibling = { 0 }, a = { 0 }, b = { 0 };
    add(group, &sibling);
    add(child, &a);
    add(child, &b);
    finish(&a, PEN_ELIMIT);
    await(&b.cancelled);
    ck_assert_int_eq(pen_group_wait(child, PEN_NEVER), PEN_ELIMIT);
    await(&sibling.cancelled);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ELIMIT);
    const char *name = NULL;
    ck_assert_uint_eq(pen_group_errors_count(group), 1);
    ck_assert_int_eq(pen_group_error_at(group, 0, &name), PEN_ELIMIT);
    ck_assert_str_eq(name, "child");
    pen_group_free(&child);
    end();
}
END_TEST

START_TEST(a_siblings_failure_cancels_a_child)
{
    begin(NULL);
    struct pen_group *child = nest(group);
    struct hand sibling = { 0 }, a = { 0 };
    add(group, &sibling);
    add(child, &a);
    finish(&sibling, PEN_ELIMIT);
    ck_assert_int_eq(pen_group_wait(child, PEN_NEVER), PEN_ECANCELED);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ELIMIT);
    struct pen_group_options o = { .parent = group };
    struct pen_group *late = NULL;
    ck_assert_int_eq(pen_group_new(&o, &late), PEN_ESHUTDOWN);
    ck_assert_ptr_null(late);
    pen_group_free(&child);
    end();
}
END_TEST

START_TEST(a_cancelled_child_is_no_failure)
{
    begin(NULL);
    struct pen_group *child = nest(group);
    struct hand sibling = { 0 }, a = { 0 };
    add(group, &sibling);
    add(child, &a);
    if (_i == 0)
        pen_group_cancel(child);
    else
        pen_group_free(&child);
    await(&a.cancelled);
    finish(&sibling, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    pen_group_free(&child);
    end();
}
END_TEST

/* ---- deadlines ---- */

static void begin_with_deadline(pen_mono_t deadline)
{
    start_loop();
    struct pen_group_options o = { .deadline = deadline, .loop = loop };
    ck_assert_int_eq(pen_group_new(&o, &group), 0);
}

START_TEST(a_group_has_a_deadline)
{
    begin_with_deadline(far_away());
    struct hand a = { 0 };
    add(group, &a);
    ck_assert_int_eq(pen_group_reschedule(group, soon()), 0);
    await(&a.cancelled);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_group_outcome(group), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_group_reschedule(group, PEN_NEVER), PEN_ETIMEOUT);
    refuses(group);
    end();
}
END_TEST

START_TEST(errors_win_over_the_deadline)
{
    begin_with_deadline(far_away());
    struct hand a = { .on_cancel = PEN_EHANDLER };
    add(group, &a);
    ck_assert_int_eq(pen_group_reschedule(group, soon()), 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_EHANDLER);
    end();
}
END_TEST

START_TEST(an_outside_cancel_is_not_the_deadline)
{
    begin_with_deadline(far_away());
    struct hand a = { .stay = true };
    add(group, &a);
    pen_group_cancel(group);
    await(&a.cancelled);
    ck_assert_int_eq(pen_group_reschedule(group, PEN_NOW), 0);
    struct hand tick = { 0 };
    struct pen_future *f = hold_on_loop(&tick);
    finish(&tick, 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    finish(&a, 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ECANCELED);
    end();
}
END_TEST

START_TEST(a_deadline_is_moved)
{
    start_loop();
    struct pen_group_options o = { .loop = loop };
    ck_assert_int_eq(pen_group_new(&o, &group), 0);
    struct hand a = { 0 };
    add(group, &a);
    ck_assert_int_eq(pen_group_reschedule(group, far_away()), 0);
    ck_assert_int_eq(pen_group_reschedule(group, PEN_NEVER), 0);
    ck_assert_int_eq(pen_group_reschedule(group, soon()), 0);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ETIMEOUT);
    end();
}
END_TEST

START_TEST(a_deadline_needs_a_loop)
{
    begin(NULL);
    struct pen_group_options o = { .deadline = PEN_NEVER };
    struct pen_group *g = NULL;
    ck_assert_int_eq(pen_group_new(&o, &g), PEN_EINVAL);
    ck_assert_int_eq(pen_group_reschedule(group, PEN_NEVER), PEN_EINVAL);
    end();
}
END_TEST

START_TEST(a_childs_deadline_is_a_failure_of_its_parent)
{
    begin(NULL);
    struct pen_group_options o = { .parent = group, .loop = loop, .deadline = far_away() };
    struct pen_group *child = NULL;
    ck_assert_int_eq(pen_group_new(&o, &child), 0);
    struct hand sibling = { 0 };
    add(group, &sibling);
    ck_assert_int_eq(pen_group_reschedule(child, soon()), 0);
    await(&sibling.cancelled);
    ck_assert_int_eq(pen_group_wait(child, PEN_NEVER), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), PEN_ETIMEOUT);
    pen_group_free(&child);
    end();
}
END_TEST

static TCase *end_case(void)
{
    TCase *c = tcase_create("end");
    tcase_add_test(c, an_empty_group_ends_at_once);
    tcase_add_test(c, all_succeed);
    tcase_add_test(c, the_first_failure_cancels_the_others);
    tcase_add_test(c, everybody_is_waited_for_after_a_failure);
    tcase_add_test(c, a_cancelled_member_is_no_failure);
    tcase_add_test(c, cancel_from_outside);
    tcase_add_test(c, errors_win_over_a_cancel);
    tcase_add_test(c, an_empty_group_is_cancelled);
    tcase_add_test(c, an_ended_group_is_not_cancelled);
    tcase_add_test(c, waiting_members_end_at_once);
    tcase_add_test(c, free_cancels_what_has_not_ended);
    return c;
}

static TCase *member_case(void)
{
    TCase *c = tcase_create("members");
    tcase_add_test(c, members_add_members_while_it_is_waited_for);
    tcase_add_test(c, a_member_cancels_its_own_group);
    tcase_add_loop_test(c, futures_are_added, 0, 2);
    tcase_add_test(c, a_refused_submission_leaves_no_member);
    tcase_add_test(c, members_run_on_pools_and_have_the_groups_options);
    return c;
}

static TCase *wait_case(void)
{
    TCase *c = tcase_create("waiting");
    tcase_add_test(c, a_loop_is_told);
    tcase_add_test(c, a_freed_loop_is_told_that_it_goes_on);
    tcase_add_test(c, a_loop_does_not_wait);
    tcase_add_test(c, several_threads_wait);
    tcase_add_test(c, a_freed_loop_fails_its_members);
    return c;
}

static TCase *nest_case(void)
{
    TCase *c = tcase_create("nesting");
    tcase_add_test(c, a_parent_waits_for_its_child);
    tcase_add_test(c, a_cancel_goes_down);
    tcase_add_test(c, a_failure_goes_up);
    tcase_add_test(c, a_siblings_failure_cancels_a_child);
    tcase_add_loop_test(c, a_cancelled_child_is_no_failure, 0, 2);
    return c;
}

static TCase *deadline_case(void)
{
    TCase *c = tcase_create("deadline");
    tcase_add_test(c, a_group_has_a_deadline);
    tcase_add_test(c, errors_win_over_the_deadline);
    tcase_add_test(c, an_outside_cancel_is_not_the_deadline);
    tcase_add_test(c, a_deadline_is_moved);
    tcase_add_test(c, a_deadline_needs_a_loop);
    tcase_add_test(c, a_childs_deadline_is_a_failure_of_its_parent);
    return c;
}

int main(void)
{
    Suite *s = suite_create("group");
    TCase *cases[] = { end_case(), member_case(), wait_case(), nest_case(), deadline_case() };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tcase_set_timeout(cases[i], 60);
        suite_add_tcase(s, cases[i]);
    }
    return run_suite(s);
}
