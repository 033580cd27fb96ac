/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs on a loop: submitted from any thread, run once on the loop, finished there.
 *
 * A job comes to its loop as an ordinary threadsafe call, so the inbox's bound and its promise hold for it: the call
 * runs, or comes with PEN_ECLOSED when the loop is freed, and the job ends accordingly. A job that returns
 * PEN_PENDING promises a post that nobody makes: it only runs when the loop is freed under the job, and ends it.
 *
 * Thread: everything is the loop's, but submitting, asking whether the end was asked for, and ask_on_loop(), which runs on
 * the cancelling thread under the future's lock.
 */
#include "task/job.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "loop/io.h"
#include "task/future.h"

struct loop_job {
    struct pen_job job;
    struct post close_post;  /* promised while the job is pending */
    struct post cancel_post; /* of ask_on_loop() */
    /* lock: the future's, until the job is finished; then owner: loop */
    bool cancel_due; /* cancel_post is under way */
    /* owner: loop */
    void (*on_cancel)(struct pen_job *job, void *arg);
    void *on_cancel_arg;
    bool pending;    /* it has returned PEN_PENDING and close_post is promised */
    bool finished;   /* the future has its outcome */
    unsigned inside; /* calls of the job's functions that have not returned */
};

static struct loop_job *loop_job_of(struct pen_job *job)
{
    return CONTAINER_OF(job, struct loop_job, job);
}

/* From here on this thread is inside that job, for those who look; an eager job runs inside another. NULL: in none. */
static struct pen_future *enter(const struct loop_job *j, struct pen_future *f) ON_LOOP
{
    loop_set_running(j->job.loop, f != NULL ? future_name(f) : NULL, 0);
    return future_enter(f);
}

/* ---- the end ---- */

/* Free it when nothing is to come. */
static void reap(struct loop_job *j)
{
    if (!j->finished || j->inside > 0 || j->cancel_due)
        return;
    pen_future_unref(&j->job.future);
    free(j);
}

static void finish(struct loop_job *j, int error, void *result)
{
    if (j->pending)
        check(loop_withdraw(j->job.loop, &j->close_post));
    j->pending = false;
    future_complete(j->job.future, error, result); /* No cancel is posted from here on. */
    j->finished = true;
}

static void call_on_cancel(struct loop_job *j) ON_LOOP
{
    if (j->finished || j->on_cancel == NULL)
        return;
    struct pen_future *outer = enter(j, j->job.future);
    j->inside++;
    j->on_cancel(&j->job, j->on_cancel_arg);
    j->inside--;
    (void)enter(j, outer);
}

/* The loop is freed under a pending job. */
static void close_turn(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct loop_job *j = arg;
    j->pending = false; /* The promise has been used. */
    call_on_cancel(j);
    if (!j->finished)
        finish(j, status, NULL);
    reap(j);
}

/* ---- the job's turn ---- */

static void run(struct loop_job *j) ON_LOOP
{
    void *result = NULL;
    struct pen_future *outer = enter(j, j->job.future);
    j->inside++;
    int r = j->job.fn(&j->job, j->job.arg, &result);
    j->inside--;
    (void)enter(j, outer);
    if (j->finished)
        return;
    if (r == PEN_PENDING) {
        j->pending = true;
        loop_promise(j->job.loop, &j->close_post, PROMISE_JOB);
    } else {
        finish(j, r > 0 ? PEN_EINVAL : r, result);
    }
}

static void job_turn(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct loop_job *j = arg;
    if (!future_begin(j->job.future))
        j->finished = true; /* It was cancelled before. */
    else if (status < 0)
        finish(j, status, NULL);
    else
        run(j);
    reap(j);
}

/* ---- cancelling ---- */

static void ask_on_loop(struct pen_future *f, void *arg)
{
    (void)f;
    struct loop_job *j = arg;
    j->cancel_due = true;
    (void)loop_post(j->job.loop, &j->cancel_post);
}

static void cancel_turn(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    (void)status;
    struct loop_job *j = arg;
    j->cancel_due = false;
    call_on_cancel(j);
    reap(j);
}

int pen_job_on_cancel(struct pen_job *job, void (*fn)(struct pen_job *job, void *arg), void *arg)
{
    if (job->loop == NULL)
        return PEN_EINVAL;
    if (!loop_may_touch(job->loop))
        return PEN_EWRONGTHREAD;
    struct loop_job *j = loop_job_of(job);
    j->on_cancel = fn;
    j->on_cancel_arg = arg;
    if (!j->finished)
        future_on_cancel(job->future, ask_on_loop, j);
    return 0;
}

bool pen_job_cancelled(const struct pen_job *job)
{
    return future_cancel_asked(job->future);
}

/* ---- submitting and finishing ---- */

struct pen_loop *pen_job_loop(const struct pen_job *job)
{
    return job->loop;
}

int pen_job_finish(struct pen_job *job, int error, void *result)
{
    if (job->loop == NULL || error > 0)
        return PEN_EINVAL;
    if (!loop_may_touch(job->loop))
        return PEN_EWRONGTHREAD;
    struct loop_job *j = loop_job_of(job);
    if (j->finished)
        return PEN_ECLOSED;
    finish(j, error, result);
    reap(j);
    return 0;
}

static int loop_job_new(const struct pen_job *like, const struct pen_job_options *options,
                        struct loop_job **ret_job)
{
    struct loop_job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return PEN_ENOMEM;
    j->job = *like;
    int r = future_new(options, &j->job.future);
    if (r < 0) {
        free(j);
        return r;
    }
    future_set_loop(j->job.future, like->loop);
    post_init(&j->close_post, close_turn, j);
    post_init(&j->cancel_post, cancel_turn, j);
    *ret_job = j;
    return 0;
}

int pen_loop_submit(struct pen_loop *loop, pen_job_fn fn, void *arg,
                    const struct pen_job_options *options, struct pen_future **ret_future)
{
    if (fn == NULL)
        return PEN_EINVAL;
    struct loop_job *j;
    struct pen_job like = { .loop = loop, .fn = fn, .arg = arg };
    int r = loop_job_new(&like, options, &j);
    if (r < 0)
        return r;
    struct pen_future *f = j->job.future;
    if (options != NULL && options->eager && pen_loop_here(loop))
        job_turn(loop, j, 0);
    else
        r = pen_loop_call_soon_threadsafe(loop, job_turn, j);
    if (r < 0) {
        future_discard(f);
        free(j);
        return r;
    }
    if (ret_future != NULL)
        *ret_future = f;
    else
        pen_future_unref(&f);
    return 0;
}
