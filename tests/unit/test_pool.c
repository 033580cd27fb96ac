/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread pool: the cases of CPython's ThreadPoolExecutorTest that apply, and what that leaves out: exact thread
 * counts, the bound of the queue, deadlines at the end, the map's order and its early end.
 */
#include <check.h>
#include <penstock/pool.h>
#include <stdlib.h>

#include "plat/clock.h"
#include "plat/thread.h"
#include "sync/futex.h"

static struct pen_pool *pool;
static int destroyed;

static pen_mono_t far_away(void)
{
    return mono_after(clock_mono(), span_s(3600));
}

static void make(const struct pen_pool_options *options)
{
    ck_assert_int_eq(pen_pool_new(options, &pool), 0);
}

static void make_sized(uint32_t threads, uint32_t queue)
{
    struct pen_pool_options o = { .name = "test", .threads_max = threads, .queue_max = queue };
    make(&o);
}

static struct pen_pool_stats stats(void)
{
    struct pen_pool_stats s;
    pen_pool_stats(pool, &s);
    return s;
}

static void end(void)
{
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    struct pen_pool_stats s = stats();
    ck_assert_uint_eq(s.submitted, s.done + s.failed + s.cancelled);
    ck_assert_uint_eq(s.threads, 0);
    pen_pool_free(&pool);
    ck_assert_ptr_null(pool);
}

/* ---- jobs ---- */

static void *num(size_t n)
{
    return (void *)(uintptr_t)n;
}

static size_t num_of(const void *p)
{
    return (size_t)(uintptr_t)p;
}

static int square(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_ptr_null(pen_job_loop(job));
    if (num_of(arg) == 0)
        return PEN_ELIMIT;
    *ret_result = num(num_of(arg) * num_of(arg));
    return 0;
}

/* A job that runs until it is let go. */
struct gate {
    struct futex begun, open;
    bool obey; /* end as cancelled when asked */
};

static void gate_open(struct gate *g)
{
    futex_set(&g->open);
    futex_wake(&g->open);
}

static void gate_await(struct gate *g)
{
    ck_assert(futex_wait(&g->begun, far_away()));
}

static int pass(struct pen_job *job, void *arg, void **ret_result)
{
    struct gate *g = arg;
    futex_set(&g->begun);
    futex_wake(&g->begun);
    ck_assert(futex_wait(&g->open, far_away()));
    *ret_result = arg;
    return g->obey && pen_job_cancelled(job) ? PEN_ECANCELED : 0;
}

/* Runs until it is asked to end. */
static int until_cancelled(struct pen_job *job, void *arg, void **ret_result)
{
    (void)arg;
    (void)ret_result;
    while (!pen_job_cancelled(job)) {
    }
    return PEN_ECANCELED;
}

static int never_called(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)arg;
    (void)ret_result;
    ck_abort_msg("the job ran");
    return 0;
}

static struct pen_future *submit(pen_job_fn fn, void *arg)
{
    struct pen_future *f = NULL;
    struct pen_job_options o = { .name = "the job" };
    ck_assert_int_eq(pen_submit(pool, fn, arg, &o, &f), 0);
    return f;
}

static void expect(struct pen_future *f, int outcome)
{
    ck_assert_int_eq(pen_future_get(f, far_away(), NULL), outcome);
    pen_future_unref(&f);
}

/* ---- outcomes and sizes ---- */

START_TEST(jobs_have_results_and_errors)
{
    make(NULL);
    void *result = NULL;
    struct pen_future *f = submit(square, num(9));
    ck_assert_int_eq(pen_future_get(f, PEN_NEVER, &result), 0);
    ck_assert_uint_eq(num_of(result), 81);
    pen_future_unref(&f);
    expect(submit(square, num(0)), PEN_ELIMIT);
    ck_assert_int_eq(pen_pool_submit(pool, NULL, NULL, NULL, &f), PEN_EINVAL);
    ck_assert_int_eq(pen_pool_submit(pool, square, num(3), NULL, NULL), 0);
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    struct pen_pool_stats s = stats();
    ck_assert_uint_eq(s.submitted, 3);
    ck_assert_uint_eq(s.done, 2);
    ck_assert_uint_eq(s.failed, 1);
    ck_assert_uint_eq(s.queue_wait.count, 3);
    ck_assert_uint_eq(s.run_time.count, 3);
    end();
}
END_TEST

START_TEST(options_have_ranges)
{
    struct pen_pool_options wrong[] = { { .threads_max = 1025 },
                                        { .queue_max = (1 << 20) + 1 },
                                        { .kind = (enum pen_pool_kind)2 } };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(pen_pool_new(&wrong[i], &pool), PEN_EINVAL);
    ck_assert_ptr_null(pool);
    pen_pool_free(&pool);
}
END_TEST

/* Every job of a full pool runs at once, and only then another has to wait. */
static void fill(uint32_t threads)
{
    struct gate *gates = calloc(threads, sizeof *gates);
    struct pen_future **f = calloc(threads, sizeof *f);
    for (uint32_t i = 0; i < threads; i++)
        f[i] = submit(pass, &gates[i]);
    for (uint32_t i = 0; i < threads; i++)
        gate_await(&gates[i]);
    ck_assert_uint_eq(stats().threads, threads);
    ck_assert_uint_eq(stats().idle, 0);
    struct pen_future *more = submit(square, num(1));
    ck_assert_uint_eq(stats().threads, threads);
    ck_assert_uint_eq(stats().waiting, 1);
    for (uint32_t i = 0; i < threads; i++)
        gate_open(&gates[i]);
    for (uint32_t i = 0; i < threads; i++)
        expect(f[i], 0);
    expect(more, 0);
    free(f);
    free(gates);
}

START_TEST(the_default_sizes)
{
    uint32_t cpus = thread_cpus();
    struct pen_pool_options o = { .kind = _i == 0 ? PEN_POOL_CPU : PEN_POOL_BLOCKING };
    make(&o);
    fill(_i == 0 ? cpus : cpus + 4 < 32 ? cpus + 4 : 32);
    end();
}
END_TEST

START_TEST(an_idle_thread_is_used_again)
{
    make_sized(8, 0);
    ck_assert_uint_eq(stats().threads, 0);
    for (size_t i = 1; i <= 100; i++)
        expect(submit(square, num(i)), 0);
    ck_assert_uint_eq(stats().threads, 1);
    ck_assert_uint_eq(stats().idle, 1);
    fill(8);
    end();
}
END_TEST

START_TEST(jobs_begin_in_order)
{
    enum { JOBS = 50 };
    make_sized(1, 0);
    struct gate g = { 0 };
    struct pen_future *first = submit(pass, &g), *f[JOBS];
    for (size_t i = 0; i < JOBS; i++)
        f[i] = submit(square, num(i + 1));
    gate_open(&g);
    for (size_t i = JOBS; i-- > 0;) {
        ck_assert_int_eq(pen_future_get(f[i], PEN_NEVER, NULL), 0);
        for (size_t k = 0; k < i; k++)
            ck_assert_int_eq(pen_future_state(f[k]), PEN_FUTURE_DONE);
        pen_future_unref(&f[i]);
    }
    expect(first, 0);
    end();
}
END_TEST

/* ---- the bound ---- */

START_TEST(a_full_queue_refuses)
{
    make_sized(1, 1);
    struct gate g = { 0 };
    struct pen_future *running = submit(pass, &g), *none = NULL;
    gate_await(&g);
    struct pen_future *waiting = submit(square, num(2));
    ck_assert_int_eq(pen_pool_submit(pool, never_called, NULL, NULL, &none), PEN_EFULL);
    struct pen_job_options soon = { .room_until = mono_after(clock_mono(), span_ms(1)) };
    ck_assert_int_eq(pen_pool_submit(pool, never_called, NULL, &soon, &none), PEN_ETIMEOUT);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(stats().submitted, 2);
    gate_open(&g);
    struct pen_job_options later = { .room_until = PEN_NEVER };
    ck_assert_int_eq(pen_pool_submit(pool, square, num(3), &later, &none), 0);
    expect(running, 0);
    expect(waiting, 0);
    expect(none, 0);
    end();
}
END_TEST

static int submit_from_loop(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)ret_result;
    struct pen_future **f = arg;
    struct pen_job_options later = { .room_until = PEN_NEVER };
    ck_assert_int_eq(pen_pool_submit(pool, square, num(3), &later, f), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_pool_map(pool, square, NULL, 0, NULL), PEN_EWRONGTHREAD);
    return pen_pool_submit(pool, square, num(3), NULL, f);
}

static int submit_more(struct pen_job *job, void *arg, void **ret_result)
{
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), PEN_EWRONGTHREAD);
    return submit_from_loop(job, arg, ret_result);
}

START_TEST(a_job_submits_but_does_not_wait)
{
    make_sized(1, 0);
    struct pen_future *inner = NULL;
    expect(submit(submit_more, &inner), 0);
    expect(inner, 0);
    end();
}
END_TEST

START_TEST(a_loop_submits_but_does_not_wait)
{
    struct pen_loop *loop = NULL;
    struct pen_future *outer = NULL, *inner = NULL;
    make_sized(1, 0);
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(pen_submit(loop, submit_from_loop, &inner, NULL, &outer), 0);
    expect(outer, 0);
    expect(inner, 0);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_loop_free(&loop);
    end();
}
END_TEST

/* ---- cancelling ---- */

START_TEST(cancel_before_and_while_running)
{
    make_sized(1, 0);
    struct gate g = { .obey = true };
    struct pen_future *running = submit(pass, &g), *waiting = submit(never_called, NULL);
    gate_await(&g);
    ck_assert_int_eq(pen_future_cancel(waiting), 0);
    ck_assert_int_eq(pen_future_get(waiting, PEN_NOW, NULL), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_cancel(running), 0);
    ck_assert_int_eq(pen_future_get(running, PEN_NOW, NULL), PEN_ETIMEOUT);
    gate_open(&g);
    expect(running, PEN_ECANCELED);
    expect(waiting, PEN_ECANCELED);
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    ck_assert_uint_eq(stats().cancelled, 2);
    end();
}
END_TEST

/* ---- the end ---- */

START_TEST(nothing_is_submitted_after_shutdown)
{
    make_sized(2, 0);
    if (_i == 1)
        expect(submit(square, num(1)), 0);
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    struct pen_future *f = NULL;
    ck_assert_int_eq(pen_pool_submit(pool, never_called, NULL, NULL, &f), PEN_ESHUTDOWN);
    ck_assert_int_eq(pen_pool_shutdown(pool, true, PEN_NOW, NULL), 0);
    ck_assert(stats().shut_down);
    end();
}
END_TEST

START_TEST(what_waits_still_runs)
{
    make_sized(1, 0);
    struct gate g = { 0 };
    struct pen_future *running = submit(pass, &g), *waiting = submit(square, num(7));
    gate_await(&g);
    const char *stuck = NULL;
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NOW, &stuck), PEN_ETIMEOUT);
    ck_assert_str_eq(stuck, "the job");
    pen_mono_t soon = mono_after(clock_mono(), span_ms(1));
    ck_assert_int_eq(pen_pool_shutdown(pool, false, soon, NULL), PEN_ETIMEOUT);
    gate_open(&g);
    end();
    expect(running, 0);
    expect(waiting, 0);
}
END_TEST

START_TEST(cancel_ends_what_waits_and_asks_what_runs)
{
    make_sized(1, 0);
    struct gate g = { .obey = true };
    struct pen_future *running = submit(pass, &g), *waiting = submit(never_called, NULL);
    gate_await(&g);
    /* A graceful shutdown may become one that cancels. */
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NOW, NULL), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_pool_shutdown(pool, true, PEN_NOW, NULL), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_future_error(waiting), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_error(running), PEN_EBUSY);
    gate_open(&g);
    end();
    expect(running, PEN_ECANCELED);
    expect(waiting, PEN_ECANCELED);
}
END_TEST

static void shut_down_too(void *arg)
{
    ck_assert_int_eq(pen_pool_shutdown(arg, false, PEN_NEVER, NULL), 0);
}

START_TEST(several_wait_for_the_end)
{
    make_sized(1, 0);
    struct gate g = { 0 };
    struct pen_future *running = submit(pass, &g);
    struct thread *other[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(thread_start("other", shut_down_too, pool, &other[i]), 0);
    gate_await(&g);
    gate_open(&g);
    for (int i = 0; i < 2; i++)
        thread_join(&other[i]);
    end();
    expect(running, 0);
}
END_TEST

START_TEST(free_cancels_and_waits)
{
    make_sized(1, 0);
    struct pen_future *running = submit(until_cancelled, NULL);
    struct pen_future *waiting = submit(never_called, NULL);
    pen_pool_free(&pool);
    expect(running, PEN_ECANCELED);
    expect(waiting, PEN_ECANCELED);
}
END_TEST

/* ---- initializers ---- */

static struct gate initializing;
static _Thread_local int initialized;

static int initialize(void *arg)
{
    initialized++;
    return arg == NULL ? 0 : PEN_ELIMIT;
}

static int fail_at_the_gate(void *arg)
{
    (void)arg;
    gate_await(&initializing);
    return PEN_ELIMIT;
}

static int check_initialized(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)arg;
    (void)ret_result;
    return initialized == 1 ? 0 : PEN_ELIMIT;
}

START_TEST(every_thread_is_initialized_once)
{
    struct pen_pool_options o = { .initializer = initialize, .threads_max = 2 };
    make(&o);
    for (int i = 0; i < 10; i++)
        expect(submit(check_initialized, NULL), 0);
    end();
}
END_TEST

START_TEST(a_failing_initializer_breaks_the_pool)
{
    struct pen_pool_options o = { .initializer = fail_at_the_gate, .threads_max = 1 };
    make(&o);
    struct pen_future *a = submit(never_called, NULL), *b = submit(never_called, NULL);
    ck_assert_int_eq(pen_future_cancel(b), 0);
    futex_set(&initializing.begun);
    futex_wake(&initializing.begun);
    expect(a, PEN_EBROKEN);
    expect(b, PEN_ECANCELED);
    ck_assert_int_eq(pen_pool_submit(pool, never_called, NULL, NULL, &a), PEN_EBROKEN);
    ck_assert(stats().broken);
    end();
}
END_TEST

/* ---- map ---- */

enum { MAP_JOBS = 200 };

static void *map_args[MAP_JOBS];
static size_t map_next;

static void map_prepare(void)
{
    for (size_t i = 0; i < MAP_JOBS; i++)
        map_args[i] = num(i + 1);
}

static int in_order(size_t index, int error, void *result, void *arg)
{
    ck_assert_ptr_eq(arg, &map_next);
    ck_assert_uint_eq(index, map_next);
    map_next++;
    ck_assert_int_eq(error, index == 7 ? PEN_ELIMIT : 0);
    ck_assert_uint_eq(num_of(result), error == 0 ? (index + 1) * (index + 1) : 0);
    return 0;
}

/* Windows smaller and larger than the queue, and than the number of jobs. */
START_TEST(map_keeps_the_order)
{
    static const size_t windows[] = { 0, 1, 3, MAP_JOBS + 1 };
    make_sized(3, 2);
    map_prepare();
    map_args[7] = num(0);
    struct pen_map_options o = { .window = windows[_i], .on_result = in_order, .arg = &map_next };
    ck_assert_int_eq(pen_pool_map(pool, square, map_args, MAP_JOBS, &o), 0);
    ck_assert_uint_eq(map_next, MAP_JOBS);
    ck_assert_int_eq(pen_pool_map(pool, square, NULL, 0, &o), 0);
    ck_assert_int_eq(pen_pool_map(pool, square, NULL, 1, &o), PEN_EINVAL);
    end();
}
END_TEST

static int stop_at_ten(size_t index, int error, void *result, void *arg)
{
    (void)result;
    (void)arg;
    ck_assert_int_eq(error, 0);
    return index == 10 ? PEN_EPAUSED : 0;
}

static void count_destroyed(void *result)
{
    (void)result;
    destroyed++;
}

START_TEST(map_ends_early)
{
    make_sized(2, 0);
    map_prepare();
    struct pen_job_options job = { .destroy_result = count_destroyed };
    struct pen_map_options o = { .window = 8, .on_result = stop_at_ten, .job = &job };
    ck_assert_int_eq(pen_pool_map(pool, square, map_args, MAP_JOBS, &o), PEN_EPAUSED);
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    struct pen_pool_stats s = stats();
    ck_assert_uint_le(s.submitted, 10 + 8);
    ck_assert_uint_eq(s.done, 11 + (uint64_t)destroyed);
    end();
}
END_TEST

START_TEST(map_without_a_callback_ends_with_the_first_error)
{
    make_sized(2, 0);
    map_prepare();
    ck_assert_int_eq(pen_pool_map(pool, square, map_args, MAP_JOBS, NULL), 0);
    map_args[100] = num(0);
    ck_assert_int_eq(pen_pool_map(pool, square, map_args, MAP_JOBS, NULL), PEN_ELIMIT);
    end();
}
END_TEST

START_TEST(map_has_a_deadline)
{
    make_sized(1, 0);
    map_prepare();
    struct pen_map_options o = { .deadline = mono_after(clock_mono(), span_ms(1)) };
    ck_assert_int_eq(pen_pool_map(pool, until_cancelled, map_args, 2, &o), PEN_ETIMEOUT);
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    ck_assert_uint_eq(stats().cancelled, 2);
    end();
}
END_TEST

START_TEST(map_of_a_pool_that_is_shut_down)
{
    make_sized(1, 0);
    map_prepare();
    ck_assert_int_eq(pen_pool_shutdown(pool, false, PEN_NEVER, NULL), 0);
    ck_assert_int_eq(pen_pool_map(pool, never_called, map_args, 2, NULL), PEN_ESHUTDOWN);
    end();
}
END_TEST

static TCase *jobs_case(void)
{
    TCase *c = tcase_create("jobs");
    tcase_add_test(c, jobs_have_results_and_errors);
    tcase_add_test(c, options_have_ranges);
    tcase_add_loop_test(c, the_default_sizes, 0, 2);
    tcase_add_test(c, an_idle_thread_is_used_again);
    tcase_add_test(c, jobs_begin_in_order);
    tcase_add_test(c, a_full_queue_refuses);
    tcase_add_test(c, a_job_submits_but_does_not_wait);
    tcase_add_test(c, a_loop_submits_but_does_not_wait);
    tcase_add_test(c, cancel_before_and_while_running);
    return c;
}

static TCase *end_case(void)
{
    TCase *c = tcase_create("end");
    tcase_add_loop_test(c, nothing_is_submitted_after_shutdown, 0, 2);
    tcase_add_test(c, what_waits_still_runs);
    tcase_add_test(c, cancel_ends_what_waits_and_asks_what_runs);
    tcase_add_test(c, several_wait_for_the_end);
    tcase_add_test(c, free_cancels_and_waits);
    tcase_add_test(c, every_thread_is_initialized_once);
    tcase_add_test(c, a_failing_initializer_breaks_the_pool);
    return c;
}

static TCase *map_case(void)
{
    TCase *c = tcase_create("map");
    tcase_add_loop_test(c, map_keeps_the_order, 0, 4);
    tcase_add_test(c, map_ends_early);
    tcase_add_test(c, map_without_a_callback_ends_with_the_first_error);
    tcase_add_test(c, map_has_a_deadline);
    tcase_add_test(c, map_of_a_pool_that_is_shut_down);
    return c;
}

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *cases[] = { jobs_case(), end_case(), map_case() };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tcase_set_timeout(cases[i], 60);
        suite_add_tcase(s, cases[i]);
    }
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
