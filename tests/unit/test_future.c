/* SPDX-License-Identifier: Apache-2.0
 *
 * Futures and jobs on loops: one outcome, told once to everybody. The cases of CPython's FutureTests and
 * RunCoroutineThreadsafeTests that apply, and the ends of a loop.
 */
#include <check.h>
#include <penstock/future.h>
#include <stdlib.h>

#include "loop/io.h"
#include "plat/clock.h"
#include "plat/thread.h"
#include "sync/futex.h"
#include "task/future.h"

static struct pen_loop *loop;
static char token[] = "abc";
static int destroyed;

static pen_mono_t far_away(void)
{
    return mono_after(clock_mono(), span_s(3600));
}

static void setup(void)
{
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
}

static void start(void)
{
    ck_assert_int_eq(pen_loop_start(loop), 0);
}

static void end(void)
{
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_loop_free(&loop);
}

static void count_destroyed(void *result)
{
    ck_assert_ptr_eq(result, token);
    destroyed++;
}

static const struct pen_job_options counting = { .name = "counting",
                                                 .destroy_result = count_destroyed };

/* ---- jobs ---- */

static int give(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_ptr_eq(pen_job_loop(job), loop);
    ck_assert(pen_loop_here(loop));
    *ret_result = arg;
    return 0;
}

static int give_error(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    *ret_result = arg;
    return PEN_ELIMIT;
}

static int never_called(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)arg;
    (void)ret_result;
    ck_abort_msg("the job ran");
    return 0;
}

/* A job that stays pending in somebody's hand. */
struct hand {
    struct pen_job *job;
    struct futex begun, cancelled, go;
    int outcome, cancels;
};

static int hold(struct pen_job *job, void *arg, void **ret_result)
{
    (void)ret_result;
    struct hand *h = arg;
    h->job = job;
    futex_set(&h->begun);
    futex_wake(&h->begun);
    return PEN_PENDING;
}

static void release_hand(struct pen_loop *l, void *arg, int status)
{
    (void)l;
    (void)status;
    struct hand *h = arg;
    ck_assert_int_eq(pen_job_finish(h->job, h->outcome, h->outcome == 0 ? token : NULL), 0);
}

static void on_cancel(struct pen_job *job, void *arg)
{
    struct hand *h = arg;
    ck_assert_ptr_eq(job, h->job);
    h->cancels++;
    ck_assert_int_eq(pen_job_finish(job, PEN_ECANCELED, NULL), 0);
}

static void on_cancel_stay(struct pen_job *job, void *arg)
{
    (void)job;
    ((struct hand *)arg)->cancels++;
}

static int hold_until_cancel(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_int_eq(pen_job_on_cancel(job, on_cancel, arg), 0);
    return hold(job, arg, ret_result);
}

/* Runs, blocking the loop, until it sees the cancel; arg->outcome is what it makes of it. */
static int spin_until_cancel(struct pen_job *job, void *arg, void **ret_result)
{
    struct hand *h = arg;
    futex_set(&h->begun);
    futex_wake(&h->begun);
    ck_assert(futex_wait(&h->go, far_away()));
    ck_assert(pen_job_cancelled(job));
    *ret_result = token;
    return h->outcome;
}

static struct pen_future *submit(pen_job_fn fn, void *arg, const struct pen_job_options *options)
{
    struct pen_future *f = NULL;
    ck_assert_int_eq(pen_loop_submit(loop, fn, arg, options, &f), 0);
    ck_assert_ptr_nonnull(f);
    return f;
}

/* ---- outcomes ---- */

START_TEST(a_result_is_given)
{
    setup();
    struct pen_future *f = submit(give, token, NULL);
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_PENDING);
    ck_assert_int_eq(pen_future_error(f), PEN_EBUSY);
    start();
    void *result = NULL;
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, &result), 0);
    ck_assert_ptr_eq(result, token);
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_DONE);
    ck_assert_int_eq(pen_future_error(f), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NOW, NULL), 0);
    pen_future_unref(&f);
    ck_assert_ptr_null(f);
    end();
}
END_TEST

START_TEST(an_error_is_given_and_its_result_destroyed)
{
    setup();
    start();
    struct pen_future *f = submit(give_error, token, &counting);
    void *result = &destroyed;
    ck_assert_int_eq(pen_future_get(f, far_away(), &result), PEN_ELIMIT);
    ck_assert_ptr_eq(result, &destroyed);
    ck_assert_int_eq(pen_future_error(f), PEN_ELIMIT);
    ck_assert_ptr_null(pen_future_take(f));
    end();
    ck_assert_int_eq(destroyed, 1);
    pen_future_unref(&f);
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

static int misbehave(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)arg;
    (void)ret_result;
    return PEN_PENDING + 1;
}

START_TEST(an_unknown_outcome_is_an_error)
{
    setup();
    start();
    struct pen_future *f = submit(misbehave, NULL, NULL);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_EINVAL);
    pen_future_unref(&f);
    end();
}
END_TEST

START_TEST(a_result_is_destroyed_once_unless_taken)
{
    setup();
    start();
    struct pen_future *f = submit(give, token, &counting);
    struct pen_future *g = submit(give, token, &counting);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    ck_assert_int_eq(pen_future_get(g, PEN_NEVER, NULL), 0);
    ck_assert_ptr_eq(pen_future_take(g), token);
    ck_assert_ptr_null(pen_future_take(g));
    end();
    struct pen_future *again = pen_future_ref(f);
    pen_future_unref(&f);
    ck_assert_int_eq(destroyed, 0);
    pen_future_unref(&again);
    ck_assert_int_eq(destroyed, 1);
    pen_future_unref(&g);
    pen_future_unref(&g);
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

START_TEST(nobody_has_to_ask)
{
    setup();
    ck_assert_int_eq(pen_loop_submit(loop, give, token, &counting, NULL), 0);
    start();
    struct pen_future *f = submit(give, NULL, NULL);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    ck_assert_int_eq(destroyed, 1);
    end();
}
END_TEST

START_TEST(a_refused_submission_leaves_nothing)
{
    struct pen_loop_options small = { .inbox_max = 1 };
    ck_assert_int_eq(pen_loop_new(&small, &loop), 0);
    struct pen_future *first = submit(give, token, NULL), *f = NULL;
    ck_assert_int_eq(pen_loop_submit(loop, never_called, NULL, NULL, &f), PEN_EFULL);
    ck_assert_ptr_null(f);
    ck_assert_int_eq(pen_loop_submit(loop, NULL, NULL, NULL, &f), PEN_EINVAL);
    start();
    ck_assert_int_eq(pen_future_get(first, PEN_NEVER, NULL), 0);
    pen_future_unref(&first);
    end();
}
END_TEST

/* ---- waiting ---- */

START_TEST(get_has_a_deadline_and_the_job_goes_on)
{
    setup();
    start();
    struct hand h = { 0 };
    struct pen_future *f = submit(hold, &h, NULL);
    ck_assert_int_eq(pen_future_get(f, PEN_NOW, NULL), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_future_get(f, mono_after(clock_mono(), span_ms(1)), NULL), PEN_ETIMEOUT);
    ck_assert(futex_wait(&h.begun, far_away()));
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_RUNNING);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, release_hand, &h), 0);
    void *result = NULL;
    ck_assert_int_eq(pen_future_get(f, far_away(), &result), 0);
    ck_assert_ptr_eq(result, token);
    pen_future_unref(&f);
    end();
}
END_TEST

struct getter {
    struct pen_future *future;
    struct thread *thread;
    int outcome;
};

static void get_never(void *arg)
{
    struct getter *g = arg;
    g->outcome = pen_future_get(g->future, PEN_NEVER, NULL);
    pen_future_unref(&g->future);
}

START_TEST(every_waiter_is_woken)
{
    enum { GETTERS = 5 };
    setup();
    start();
    struct hand h = { .outcome = PEN_ELIMIT };
    struct pen_future *f = submit(hold, &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    struct getter getters[GETTERS];
    for (int i = 0; i < GETTERS; i++) {
        getters[i] = (struct getter){ .future = pen_future_ref(f) };
        ck_assert_int_eq(thread_start("getter", get_never, &getters[i], &getters[i].thread), 0);
    }
    pen_future_unref(&f);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, release_hand, &h), 0);
    for (int i = 0; i < GETTERS; i++) {
        thread_join(&getters[i].thread);
        ck_assert_int_eq(getters[i].outcome, PEN_ELIMIT);
    }
    end();
}
END_TEST

static int ask_here(struct pen_job *job, void *arg, void **ret_result)
{
    (void)ret_result;
    struct pen_future *f = NULL;
    struct pen_loop *l = pen_job_loop(job);
    ck_assert_int_eq(pen_loop_submit(l, give, arg, NULL, &f), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    pen_future_unref(&f);
    return 0;
}

START_TEST(a_loop_does_not_wait_for_itself)
{
    setup();
    start();
    struct pen_future *f = submit(ask_here, token, NULL);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    end();
}
END_TEST

/* ---- cancelling ---- */

START_TEST(a_job_that_has_not_begun_never_runs)
{
    setup();
    struct pen_future *f = submit(never_called, NULL, NULL);
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_DONE);
    ck_assert_int_eq(pen_future_error(f), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_cancel(f), 0);
    start();
    struct pen_future *after = submit(give, token, NULL);
    ck_assert_int_eq(pen_future_get(after, PEN_NEVER, NULL), 0);
    ck_assert_int_eq(pen_future_cancel(after), PEN_ECLOSED);
    ck_assert_int_eq(pen_future_error(after), 0);
    pen_future_unref(&f);
    pen_future_unref(&after);
    end();
}
END_TEST

/* The job has the last word: cancelled, or a result all the same. */
START_TEST(a_running_job_is_asked)
{
    setup();
    start();
    struct hand h = { .outcome = _i == 0 ? PEN_ECANCELED : 0 };
    struct pen_future *f = submit(spin_until_cancel, &h, &counting);
    ck_assert(futex_wait(&h.begun, far_away()));
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_RUNNING);
    futex_set(&h.go);
    futex_wake(&h.go);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), h.outcome);
    ck_assert_int_eq(pen_future_cancel(f), _i == 0 ? 0 : PEN_ECLOSED);
    pen_future_unref(&f);
    end();
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

START_TEST(a_pending_job_is_called)
{
    setup();
    start();
    struct hand h = { 0 };
    struct pen_future *f = submit(hold_until_cancel, &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    ck_assert_int_eq(h.cancels, 1);
    pen_future_unref(&f);
    end();
}
END_TEST

static int register_late(struct pen_job *job, void *arg, void **ret_result)
{
    struct hand *h = arg;
    int r = hold(job, arg, ret_result);
    ck_assert(futex_wait(&h->go, far_away()));
    ck_assert_int_eq(pen_job_on_cancel(job, on_cancel_stay, arg), 0);
    ck_assert_int_eq(pen_job_on_cancel(job, on_cancel, arg), 0);
    ck_assert_int_eq(h->cancels, 0);
    return r;
}

START_TEST(a_call_that_comes_after_the_cancel_is_made_soon)
{
    setup();
    start();
    struct hand h = { 0 };
    struct pen_future *f = submit(register_late, &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    ck_assert_int_eq(pen_future_cancel(f), 0);
    futex_set(&h.go);
    futex_wake(&h.go);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECANCELED);
    ck_assert_int_eq(h.cancels, 1);
    pen_future_unref(&f);
    end();
}
END_TEST

START_TEST(get_or_cancel_cancels)
{
    setup();
    start();
    struct hand h = { 0 };
    struct pen_future *f = submit(hold_until_cancel, &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    pen_mono_t soon = mono_after(clock_mono(), span_ms(1));
    ck_assert_int_eq(pen_future_get_or_cancel(f, soon, NULL), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_future_get_or_cancel(f, far_away(), NULL), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_get_or_cancel(f, PEN_NOW, NULL), PEN_ECANCELED);
    pen_future_unref(&f);
    end();
}
END_TEST

/* ---- finishing ---- */

static int finish_and_return(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_int_eq(pen_job_finish(job, 1, NULL), PEN_EINVAL);
    ck_assert_int_eq(pen_job_finish(job, 0, token), 0);
    ck_assert_int_eq(pen_job_finish(job, PEN_ELIMIT, NULL), PEN_ECLOSED);
    (void)ret_result;
    return arg == NULL ? PEN_PENDING : PEN_ELIMIT;
}

START_TEST(the_first_outcome_counts)
{
    setup();
    start();
    struct pen_future *f = submit(finish_and_return, _i == 0 ? NULL : token, NULL);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    ck_assert_ptr_eq(pen_future_take(f), token);
    pen_future_unref(&f);
    end();
}
END_TEST

START_TEST(only_the_loop_finishes)
{
    setup();
    start();
    struct hand h = { 0 };
    struct pen_future *f = submit(hold, &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    ck_assert_int_eq(pen_job_finish(h.job, 0, NULL), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_job_on_cancel(h.job, on_cancel, &h), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, release_hand, &h), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    end();
}
END_TEST

/* ---- eager ---- */

static int submit_eager(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)ret_result;
    struct pen_job_options eager = { .eager = true };
    struct pen_future *f = submit(give, arg, &eager);
    ck_assert_ptr_eq(pen_future_take(f), arg);
    pen_future_unref(&f);
    return 0;
}

START_TEST(an_eager_job_runs_at_once_on_its_own_loop_only)
{
    setup();
    struct pen_job_options eager = { .eager = true };
    struct pen_future *f = submit(submit_eager, token, &eager);
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_PENDING);
    start();
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    end();
}
END_TEST

static const char *running_name(void)
{
    static struct loop_view view;
    loop_look(loop, clock_mono(), &view);
    return view.running;
}

static int look_at_name(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)ret_result;
    ck_assert_str_eq(running_name(), arg == NULL ? "inner" : "outer");
    if (arg != NULL) {
        struct pen_job_options inner = { .name = "inner", .eager = true };
        ck_assert_int_eq(pen_loop_submit(loop, look_at_name, NULL, &inner, NULL), 0);
        ck_assert_str_eq(running_name(), "outer");
    }
    return 0;
}

START_TEST(others_see_which_job_runs)
{
    setup();
    start();
    struct pen_job_options outer = { .name = "outer" };
    struct pen_future *f = submit(look_at_name, token, &outer);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    end();
}
END_TEST

/* ---- callbacks ---- */

static char noted[16];
static int noted_count;

static void note(struct pen_future *f, void *arg)
{
    (void)f;
    noted[noted_count++] = *(char *)arg;
}

static int note_job(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)ret_result;
    ck_assert(pen_loop_here(loop));
    note(NULL, arg);
    return 0;
}

START_TEST(callbacks_come_in_order)
{
    setup();
    struct pen_future *f = submit(note_job, &token[0], NULL);
    ck_assert_int_eq(pen_future_on_done(f, loop, note, &token[1]), 0);
    ck_assert_int_eq(pen_future_on_done(f, loop, note, &token[2]), 0);
    ck_assert_int_eq(pen_future_on_done(f, loop, NULL, NULL), PEN_EINVAL);
    start();
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    ck_assert_int_eq(pen_future_on_done(f, loop, note, &token[0]), 0);
    pen_future_unref(&f);
    f = submit(give, NULL, NULL);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    ck_assert_str_eq(noted, "abca");
    pen_future_unref(&f);
    end();
}
END_TEST

START_TEST(callbacks_of_a_cancelled_job_are_called)
{
    setup();
    struct pen_future *f = submit(never_called, NULL, NULL);
    ck_assert_int_eq(pen_future_on_done(f, loop, note, &token[1]), 0);
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(noted_count, 0);
    pen_future_unref(&f);
    pen_loop_free(&loop);
    ck_assert_str_eq(noted, "b");
}
END_TEST

static void expect_not_done(struct pen_future *f, void *arg)
{
    ck_assert_int_eq(pen_future_error(f), PEN_EBUSY);
    note(f, arg);
}

START_TEST(a_freed_loop_calls_though_nothing_is_done)
{
    setup();
    start();
    struct pen_loop *other = NULL;
    ck_assert_int_eq(pen_loop_new(NULL, &other), 0);
    struct hand h = { 0 };
    struct pen_future *f = submit(hold, &h, NULL);
    ck_assert_int_eq(pen_future_on_done(f, other, expect_not_done, &token[0]), 0);
    pen_loop_free(&other);
    ck_assert_str_eq(noted, "a");
    ck_assert(futex_wait(&h.begun, far_away()));
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(loop, release_hand, &h), 0);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), 0);
    pen_future_unref(&f);
    end();
    ck_assert_str_eq(noted, "a");
}
END_TEST

static int hooked;

static void count_hook(struct future_hook *hook, struct pen_future *f)
{
    (void)hook;
    ck_assert_int_eq(pen_future_state(f), PEN_FUTURE_DONE);
    hooked++;
}

START_TEST(hooks_are_called_once)
{
    setup();
    struct future_hook a = { .fn = count_hook }, b = a, late = a;
    struct pen_future *f = submit(give, NULL, NULL);
    ck_assert(future_hook(f, &a));
    ck_assert(future_hook(f, &b));
    ck_assert(future_unhook(f, &b));
    ck_assert_int_eq(pen_future_cancel(f), 0);
    ck_assert_int_eq(hooked, 1);
    ck_assert(!future_hook(f, &late));
    ck_assert(!future_unhook(f, &a));
    pen_future_unref(&f);
    pen_loop_free(&loop);
    ck_assert_int_eq(hooked, 1);
}
END_TEST

/* ---- the end of the loop ---- */

START_TEST(a_freed_loop_ends_what_waits)
{
    setup();
    struct pen_future *f = submit(never_called, NULL, NULL);
    pen_loop_free(&loop);
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ECLOSED);
    pen_future_unref(&f);
}
END_TEST

static int hold_stubbornly(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_int_eq(pen_job_on_cancel(job, on_cancel_stay, arg), 0);
    return hold(job, arg, ret_result);
}

/* A pending job that nobody finishes; with a function to call, that is the last chance. */
START_TEST(a_freed_loop_ends_what_is_pending)
{
    static const pen_job_fn fns[] = { hold, hold_stubbornly, hold_until_cancel };
    setup();
    start();
    struct hand h = { 0 };
    struct pen_future *f = submit(fns[_i], &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    end();
    int expected = fns[_i] == hold_until_cancel ? PEN_ECANCELED : PEN_ECLOSED;
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), expected);
    ck_assert_int_eq(h.cancels, fns[_i] == hold ? 0 : 1);
    pen_future_unref(&f);
}
END_TEST

static struct pen_timer finish_timer;

static int hold_for_an_hour(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_int_eq(pen_loop_call_later(loop, &finish_timer, span_s(3600), release_hand, arg), 0);
    return hold(job, arg, ret_result);
}

START_TEST(a_pending_job_that_finishes_in_time_has_its_own_outcome)
{
    setup();
    start();
    struct hand h = { .outcome = PEN_ELIMIT };
    struct pen_future *f = submit(hold_for_an_hour, &h, NULL);
    ck_assert(futex_wait(&h.begun, far_away()));
    end();
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ELIMIT);
    pen_future_unref(&f);
}
END_TEST

/* ---- jobs that wait for jobs ---- */

struct chain {
    struct hand hand;
    struct pen_loop *other;
};

static void chain_on(struct pen_future *f, void *arg)
{
    struct hand *h = arg;
    ck_assert_int_eq(pen_job_finish(h->job, pen_future_error(f), NULL), 0);
}

static int chain(struct pen_job *job, void *arg, void **ret_result)
{
    struct chain *c = arg;
    struct pen_future *f = NULL;
    ck_assert_int_eq(pen_loop_submit(c->other, give_error, NULL, NULL, &f), 0);
    ck_assert_int_eq(pen_future_on_done(f, loop, chain_on, &c->hand), 0);
    pen_future_unref(&f);
    return hold(job, &c->hand, ret_result);
}

/* A job waits for another loop's, which ends (0), or whose loop never runs when its own is freed (1). */
START_TEST(a_job_waits_for_another_without_blocking)
{
    setup();
    start();
    struct chain c = { 0 };
    ck_assert_int_eq(pen_loop_new(NULL, &c.other), 0);
    if (_i == 0)
        ck_assert_int_eq(pen_loop_start(c.other), 0);
    struct pen_future *f = submit(chain, &c, NULL);
    ck_assert(futex_wait(&c.hand.begun, far_away()));
    if (_i == 0) {
        ck_assert_int_eq(pen_future_get(f, PEN_NEVER, NULL), PEN_ELIMIT);
        pen_loop_stop(c.other);
        ck_assert_int_eq(pen_loop_join(c.other), 0);
    }
    end();
    ck_assert_int_eq(pen_future_error(f), _i == 0 ? PEN_ELIMIT : PEN_EBUSY);
    pen_future_unref(&f);
    pen_loop_free(&c.other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("future");
    TCase *c = tcase_create("future");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_result_is_given);
    tcase_add_test(c, an_error_is_given_and_its_result_destroyed);
    tcase_add_test(c, an_unknown_outcome_is_an_error);
    tcase_add_test(c, a_result_is_destroyed_once_unless_taken);
    tcase_add_test(c, nobody_has_to_ask);
    tcase_add_test(c, a_refused_submission_leaves_nothing);
    tcase_add_test(c, get_has_a_deadline_and_the_job_goes_on);
    tcase_add_test(c, every_waiter_is_woken);
    tcase_add_test(c, a_loop_does_not_wait_for_itself);
    tcase_add_test(c, a_job_that_has_not_begun_never_runs);
    tcase_add_loop_test(c, a_running_job_is_asked, 0, 2);
    tcase_add_test(c, a_pending_job_is_called);
    tcase_add_test(c, a_call_that_comes_after_the_cancel_is_made_soon);
    tcase_add_test(c, get_or_cancel_cancels);
    tcase_add_loop_test(c, the_first_outcome_counts, 0, 2);
    tcase_add_test(c, only_the_loop_finishes);
    tcase_add_test(c, an_eager_job_runs_at_once_on_its_own_loop_only);
    tcase_add_test(c, others_see_which_job_runs);
    tcase_add_test(c, callbacks_come_in_order);
    tcase_add_test(c, callbacks_of_a_cancelled_job_are_called);
    tcase_add_test(c, a_freed_loop_calls_though_nothing_is_done);
    tcase_add_test(c, hooks_are_called_once);
    tcase_add_test(c, a_freed_loop_ends_what_waits);
    tcase_add_loop_test(c, a_freed_loop_ends_what_is_pending, 0, 3);
    tcase_add_test(c, a_pending_job_that_finishes_in_time_has_its_own_outcome);
    tcase_add_loop_test(c, a_job_waits_for_another_without_blocking, 0, 2);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
