/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop on its own thread, and jobs on it that stay pending until the test ends them or they are cancelled.
 */
#ifndef TESTS_TASK_FIXTURE_H
#define TESTS_TASK_FIXTURE_H

#include <check.h>
#include <penstock/future.h>
#include <stdlib.h>

#include "plat/clock.h"
#include "sync/futex.h"

static struct pen_loop *loop;

static inline pen_mono_t far_away(void)
{
    return mono_after(clock_mono(), span_s(3600));
}

static inline pen_mono_t soon(void)
{
    return mono_after(clock_mono(), span_ms(1));
}

static inline void start_loop(void)
{
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
}

static inline void stop_loop(void)
{
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_loop_free(&loop);
}

/* Something that is set once and awaited. */
static inline void set(struct futex *f)
{
    futex_set(f);
    futex_wake(f);
}

static inline void await(struct futex *f)
{
    ck_assert(futex_wait(f, far_away()));
}

/* A pending job in the test's hand. */
struct hand {
    struct pen_job *job;
    struct futex begun, cancelled;
    bool stay;     /* when it is asked to end, go on */
    int on_cancel; /* else end with this; 0: PEN_ECANCELED */
    int outcome;   /* of finish() */
};

static inline void hand_cancel(struct pen_job *job, void *arg)
{
    struct hand *h = (struct hand *)arg;
    set(&h->cancelled);
    if (!h->stay)
        ck_assert_int_eq(pen_job_finish(job, h->on_cancel != 0 ? h->on_cancel : PEN_ECANCELED, NULL),
                         0);
}

static inline int hold(struct pen_job *job, void *arg, void **ret_result)
{
    struct hand *h = (struct hand *)arg;
    (void)ret_result;
    h->job = job;
    ck_assert_int_eq(pen_job_on_cancel(job, hand_cancel, h), 0);
    set(&h->begun);
    return PEN_PENDING;
}

static inline void finish_turn(struct pen_loop *l, void *arg, int status)
{
    struct hand *h = (struct hand *)arg;
    (void)l;
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(pen_job_finish(h->job, h->outcome, NULL), 0);
}

static inline void finish(struct hand *h, int outcome)
{
    h->outcome = outcome;
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, finish_turn, h), 0);
}

static inline struct pen_future *hold_on_loop(struct hand *h)
{
    struct pen_future *f = NULL;
    ck_assert_int_eq(pen_loop_submit(loop, hold, h, NULL, &f), 0);
    await(&h->begun);
    return f;
}

static inline int run_suite(Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
