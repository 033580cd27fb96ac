/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_tasks_snapshot(): what is there, what waits for what, and cycles, all of it while the threads in question are
 * blocked.
 */
#include <check.h>
#include <jansson.h>
#include <penstock/future.h>
#include <penstock/group.h>
#include <penstock/pool.h>
#include <penstock/watch.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/count.h"
#include "loop/io.h"
#include "plat/thread.h"

static struct count stay; /* jobs that block go on when it is 1 */

static json_t *snapshot(void)
{
    char *text;
    json_error_t error;
    ck_assert_int_eq(pen_tasks_snapshot(&text), 0);
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(all != NULL, "%s in %s", error.text, text);
    free(text);
    return all;
}

static size_t size_of(const json_t *all, const char *list)
{
    return json_array_size(json_object_get(all, list));
}

/* The element of a list with that name, or NULL. */
static const json_t *named(const json_t *all, const char *list, const char *name)
{
    const json_t *rows = json_object_get(all, list);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            return row;
    }
    return NULL;
}

static const char *text(const json_t *row, const char *member)
{
    return json_string_value(json_object_get(row, member));
}

static bool waits_for(const json_t *row, const json_t *other)
{
    const json_t *ids = json_object_get(row, "waits_for");
    for (size_t i = 0; i < json_array_size(ids); i++)
        if (json_equal(json_array_get(ids, i), json_object_get(other, "id")))
            return true;
    return false;
}

static bool in_cycle(const json_t *row)
{
    return json_is_true(json_object_get(row, "cycle"));
}

/* ---- loops ---- */

START_TEST(an_empty_process_has_empty_lists)
{
    json_t *all = snapshot();
    ck_assert_uint_eq(size_of(all, "loops") + size_of(all, "pools") + size_of(all, "groups") +
                          size_of(all, "jobs"),
                      0);
    ck_assert_int_eq(json_integer_value(json_object_get(all, "jobs_left_out")), 0);
    json_decref(all);
}
END_TEST

static int blocked(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job, (void)arg, (void)ret_result;
    while (count_read(&stay) == 0)
        sched_yield();
    return 0;
}

static const struct pen_job_options strange = { .name = "a \"strange\\one\"\n\xc3\xa4" };

START_TEST(a_blocked_loop_is_shown_with_what_runs_and_what_waits)
{
    struct pen_loop *loop;
    struct pen_future *first, *second;
    ck_assert_int_eq(pen_loop_new(&(struct pen_loop_options){ .name = "stuck" }, &loop), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(pen_loop_submit(loop, blocked, NULL, &strange, &first), 0);
    while (pen_future_state(first) != PEN_FUTURE_RUNNING)
        sched_yield();
    ck_assert_int_eq(pen_loop_submit(loop, blocked, NULL, NULL, &second), 0);
    struct loop_view view;
    do
        loop_look(loop, pen_now(), &view);
    while (view.running[0] == '\0');
    json_t *all = snapshot();
    const json_t *row = named(all, "loops", "stuck");
    ck_assert_str_eq(text(row, "state"), "running");
    ck_assert_str_eq(text(row, "running"), "a \"strange\\one\"\n\u00c3\u00a4");
    ck_assert_int_eq(json_integer_value(json_object_get(row, "inbox")), 1);
    ck_assert(json_real_value(json_object_get(row, "busy_ms")) > 0);
    const json_t *job = named(all, "jobs", "job");
    ck_assert_str_eq(text(job, "state"), "waiting");
    ck_assert_str_eq(text(job, "on"), "stuck");
    ck_assert(!in_cycle(job));
    json_decref(all);
    count_set(&stay, 1);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    all = snapshot();
    ck_assert_str_eq(text(named(all, "loops", "stuck"), "state"), "stopped");
    ck_assert_uint_eq(size_of(all, "jobs"), 0); /* Done ones are not shown, though we hold them. */
    json_decref(all);
    pen_future_unref(&first);
    pen_future_unref(&second);
    pen_loop_free(&loop);
    all = snapshot();
    ck_assert_uint_eq(size_of(all, "loops"), 0);
    json_decref(all);
}
END_TEST

/* ---- who waits for whom ---- */

static struct pen_pool *pool;
static struct pen_group *group;
static struct pen_future *futures[2];
static struct count given; /* 1 when futures are there */

static int wait_for_other(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job, (void)ret_result;
    struct pen_future **other = arg;
    while (count_take(&given) == 0)
        sched_yield();
    int r;
    while ((r = pen_future_get(*other, pen_deadline_in(pen_ms(50)), NULL)) == PEN_ETIMEOUT)
        if (count_read(&stay) != 0)
            return 0;
    return r;
}

static void submit_both(pen_job_fn one, pen_job_fn two)
{
    struct pen_pool_options options = { .name = "workers", .threads_max = 4 };
    static const struct pen_job_options names[] = { { .name = "one" }, { .name = "two" } };
    ck_assert_int_eq(pen_pool_new(&options, &pool), 0);
    ck_assert_int_eq(pen_pool_submit(pool, one, &futures[1], &names[0], &futures[0]), 0);
    ck_assert_int_eq(pen_pool_submit(pool, two, &futures[0], &names[1], &futures[1]), 0);
    count_give(&given, 1);
}

static void end_both(void)
{
    count_set(&stay, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pen_future_get(futures[i], PEN_NEVER, NULL), 0);
    for (int i = 0; i < 2; i++) /* Not before: they were each other's to wait for. */
        pen_future_unref(&futures[i]);
    pen_pool_free(&pool);
}

/* Snapshots until the named job waits for something: it may not sleep there yet, or for a moment not. */
static json_t *snapshot_when_waiting(const char *name)
{
    for (;;) {
        json_t *all = snapshot();
        if (json_array_size(json_object_get(named(all, "jobs", name), "waits_for")) > 0)
            return all;
        json_decref(all);
    }
}

/* The same, until the other job's row, which is read in another moment, says so too. */
static json_t *snapshot_when_awaited(const char *name, const char *other)
{
    for (;;) {
        json_t *all = snapshot_when_waiting(name);
        if (json_is_true(json_object_get(named(all, "jobs", other), "awaited")))
            return all;
        json_decref(all);
    }
}

START_TEST(a_job_that_waits_for_another_says_so)
{
    submit_both(wait_for_other, blocked);
    json_t *all = snapshot_when_awaited("one", "two");
    const json_t *one = named(all, "jobs", "one"), *two = named(all, "jobs", "two");
    ck_assert(waits_for(one, two));
    ck_assert(!waits_for(two, one));
    ck_assert(!in_cycle(one) && !in_cycle(two));
    ck_assert_str_eq(text(one, "on"), "workers");
    ck_assert_str_eq(text(named(all, "pools", "workers"), "state"), "open");
    json_decref(all);
    end_both();
}
END_TEST

START_TEST(jobs_that_wait_for_each_other_are_a_cycle)
{
    submit_both(wait_for_other, wait_for_other);
    bool seen = false;
    while (!seen) {
        json_t *all = snapshot();
        const json_t *one = named(all, "jobs", "one"), *two = named(all, "jobs", "two");
        seen = waits_for(one, two) && waits_for(two, one);
        ck_assert_int_eq(in_cycle(one), seen);
        ck_assert_int_eq(in_cycle(two), seen);
        json_decref(all);
    }
    end_both();
}
END_TEST

static int wait_for_the_group(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job, (void)arg, (void)ret_result;
    while (pen_group_wait(group, pen_deadline_in(pen_ms(50))) == PEN_ETIMEOUT)
        if (count_read(&stay) != 0)
            return 0;
    return 0;
}

START_TEST(a_member_that_waits_for_its_group_is_a_cycle)
{
    static const struct pen_job_options waiter = { .name = "waiter" },
                                        bystander = { .name = "bystander" };
    struct pen_future *member;
    ck_assert_int_eq(pen_pool_new(NULL, &pool), 0);
    ck_assert_int_eq(pen_group_new(&(struct pen_group_options){ .name = "family" }, &group), 0);
    /* The bystander first: a group without members ends as soon as somebody waits for it. */
    ck_assert_int_eq(pen_pool_submit(pool, blocked, NULL, &bystander, &member), 0);
    ck_assert_int_eq(pen_group_add(group, member), 0);
    pen_future_unref(&member);
    ck_assert_int_eq(pen_pool_submit(pool, wait_for_the_group, NULL, &waiter, &member), 0);
    ck_assert_int_eq(pen_group_add(group, member), 0);
    pen_future_unref(&member);
    json_t *all = snapshot_when_waiting("waiter");
    const json_t *family = named(all, "groups", "family");
    ck_assert(waits_for(family, named(all, "jobs", "waiter")));
    ck_assert(waits_for(family, named(all, "jobs", "bystander")));
    ck_assert(waits_for(named(all, "jobs", "waiter"), family));
    ck_assert(in_cycle(family) && in_cycle(named(all, "jobs", "waiter")));
    ck_assert(!in_cycle(named(all, "jobs", "bystander")));
    json_decref(all);
    count_set(&stay, 1);
    ck_assert_int_eq(pen_group_wait(group, PEN_NEVER), 0);
    pen_group_free(&group);
    pen_pool_free(&pool);
}
END_TEST

START_TEST(beyond_ten_thousand_jobs_the_rest_is_counted)
{
    enum { JOBS = 10007 };
    static struct pen_future *many[JOBS];
    struct pen_loop *loop;
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    for (size_t i = 0; i < JOBS; i++)
        ck_assert_int_eq(pen_loop_submit(loop, blocked, NULL, NULL, &many[i]), 0);
    json_t *all = snapshot();
    ck_assert_uint_eq(size_of(all, "jobs"), 10000);
    ck_assert_int_eq(json_integer_value(json_object_get(all, "jobs_left_out")), 7);
    json_decref(all);
    for (size_t i = 0; i < JOBS; i++)
        pen_future_unref(&many[i]);
    pen_loop_free(&loop);
}
END_TEST

/* Jobs come and go on several threads while they are looked at. */
START_TEST(looking_does_not_disturb)
{
    struct pen_future *f;
    count_set(&stay, 1);
    ck_assert_int_eq(pen_pool_new(NULL, &pool), 0);
    for (int i = 0; i < 2000; i++) {
        int r = pen_pool_submit(pool, blocked, NULL, NULL, &f);
        if (r == PEN_EFULL)
            continue;
        ck_assert_int_eq(r, 0);
        pen_future_unref(&f);
        if (i % 20 == 0)
            json_decref(snapshot());
    }
    pen_pool_free(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("snapshot");
    TCase *c = tcase_create("snapshot");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, an_empty_process_has_empty_lists);
    tcase_add_test(c, a_blocked_loop_is_shown_with_what_runs_and_what_waits);
    tcase_add_test(c, a_job_that_waits_for_another_says_so);
    tcase_add_test(c, jobs_that_wait_for_each_other_are_a_cycle);
    tcase_add_test(c, a_member_that_waits_for_its_group_is_a_cycle);
    tcase_add_test(c, beyond_ten_thousand_jobs_the_rest_is_counted);
    tcase_add_test(c, looking_does_not_disturb);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
