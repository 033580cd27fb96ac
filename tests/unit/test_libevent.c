/* SPDX-License-Identifier: Apache-2.0
 *
 * A program's own libevent events on a loop.
 */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include <penstock/libevent.h>

#include "loop/io.h"

static struct pen_loop *loop;
static int ends[2];
static pen_mono_t written; /* when the byte was written */
static int events;

static void reset(void)
{
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pipe(ends), 0);
    events = 0;
}

static void on_byte(evutil_socket_t fd, short what, void *arg)
{
    char byte;
    ck_assert_int_eq(what, EV_READ);
    ck_assert_int_eq(pen_loop_enter(loop), 0);
    ck_assert_int_gt(loop_busy_for(loop, (pen_mono_t){ pen_now().ns + 1 }).ns, 0);
    ck_assert_int_ge(pen_loop_now(loop).ns, written.ns);
    ck_assert_int_eq(read(fd, &byte, 1), 1);
    events++;
    event_free(*(struct event **)arg);
    pen_loop_stop(loop);
}

START_TEST(an_event_runs_on_the_loop_and_sees_its_clock)
{
    reset();
    struct event *event = NULL;
    event = event_new(pen_loop_event_base(loop), ends[0], EV_READ, on_byte, &event);
    ck_assert_ptr_nonnull(event);
    ck_assert_int_eq(event_add(event, NULL), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    written = pen_now();
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    ck_assert_int_eq(events, 1);
    pen_loop_free(&loop);
}
END_TEST

/* Whether the loop runs: its first call writes a byte. */
static void tell(struct pen_loop *l, void *arg, int status)
{
    (void)arg;
    ck_assert_int_eq(status, 0);
    ck_assert_ptr_eq(l, loop);
    ck_assert_ptr_nonnull(pen_loop_event_base(loop));
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
}

START_TEST(another_thread_gets_nothing_while_it_runs)
{
    reset();
    char byte;
    ck_assert_ptr_nonnull(pen_loop_event_base(loop));
    ck_assert_int_eq(pen_loop_enter(loop), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_loop_call_soon(loop, tell, NULL), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_ptr_null(pen_loop_event_base(loop));
    ck_assert_int_eq(pen_loop_enter(loop), PEN_EWRONGTHREAD);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    ck_assert_ptr_nonnull(pen_loop_event_base(loop));
    pen_loop_free(&loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("libevent");
    TCase *tcase = tcase_create("base");
    tcase_add_test(tcase, an_event_runs_on_the_loop_and_sees_its_clock);
    tcase_add_test(tcase, another_thread_gets_nothing_while_it_runs);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
