/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow/jobq_time.c: books that do not add up are told: once in the log each time that they begin not to, and in the
 * queue's counts. They always add up, so the linker gives jobq*.c another broker_ledger_holds(), see local.mk.
 */
#include <check.h>
#include <fcntl.h>
#include <penstock/loop.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/jobq.h"
#include "obs/log.h"

bool __real_broker_ledger_holds(const struct broker *b);
bool __wrap_broker_ledger_holds(const struct broker *b);

static bool broken;
static struct pen_loop *main_loop;
static struct jobq *queue;
static int from_log; /* what the log writes comes out here */

bool __wrap_broker_ledger_holds(const struct broker *b)
{
    ck_assert(__real_broker_ledger_holds(b));
    return !broken;
}

static void set_up(void)
{
    struct jobq_options options = { .name = "jobs", .limits = { .items_max = 10 } };
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    from_log = ends[0];
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    ck_assert_int_eq(pen_loop_new(NULL, &main_loop), 0);
    options.main = main_loop;
    ck_assert_int_eq(jobq_new(&options, &queue), 0);
}

static void tear_down(void)
{
    jobq_free(&queue);
    pen_loop_free(&main_loop);
}

static void stop(struct pen_loop *loop, void *arg, int status)
{
    (void)arg;
    ck_assert_int_eq(status, 0);
    pen_loop_stop(loop);
}

/* A command, after which the books are looked at, and what MAIN has to say of it: how many lines tell of the alarm. */
static size_t alarms_told(bool breaks)
{
    static const char line[] = "queue jobs: the books do not add up";
    struct job_put put = { .body = { .at = (const uint8_t *)"x", .bytes = 1 } };
    char text[4096];
    size_t decided, lines = 0;
    broken = breaks;
    ck_assert_int_eq(jobq_put(queue, &put, 1, PEN_NOW, &decided), 0);
    ck_assert_int_eq(pen_loop_call_soon(main_loop, stop, NULL), 0);
    ck_assert_int_eq(pen_loop_run(main_loop), 0);
    ssize_t n = read(from_log, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
        lines++;
    return lines;
}

static void expect_stats(bool holds, uint64_t alarms)
{
    struct jobq_stats s;
    jobq_stats(queue, &s);
    ck_assert(s.ledger_holds == holds);
    ck_assert_uint_eq(s.alarms, alarms);
}

START_TEST(each_time_the_books_begin_not_to_add_up_is_told_once)
{
    ck_assert_uint_eq(alarms_told(false), 0);
    expect_stats(true, 0);
    ck_assert_uint_eq(alarms_told(true), 1);
    expect_stats(false, 1);
    ck_assert_uint_eq(alarms_told(true), 0);
    expect_stats(false, 1);
    ck_assert_uint_eq(alarms_told(false), 0);
    expect_stats(true, 1);
    ck_assert_uint_eq(alarms_told(true), 1);
    expect_stats(false, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger_alarm");
    TCase *c = tcase_create("ledger_alarm");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, each_time_the_books_begin_not_to_add_up_is_told_once);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
