/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_future: the outcome of work that runs elsewhere: on a loop, a pool or an isolated worker.
 *
 * A job is a function that is called once, on the thread of whoever it was submitted to. It returns its outcome, or
 * PEN_PENDING on a loop, and finishes later with pen_job_finish() from the same loop. A future is counted: the
 * submitter holds one reference, the job another until it has ended. Exactly one outcome is ever set: a result, an
 * error, PEN_ECANCELED, or PEN_ECLOSED when the loop was closed first.
 *
 * Cancelling asks. A job that has not begun never begins; one that runs must look (pen_job_cancelled()) or have
 * itself called (pen_job_on_cancel()), and says itself how it ended.
 */
#ifndef PENSTOCK_FUTURE_H
#define PENSTOCK_FUTURE_H

#include <penstock/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_future;
struct pen_job; /* the job's own view, valid until it has returned or, pending, finished */

#define PEN_PENDING 1

/* The work. 0, with *ret_result set or left NULL; a negative error; or PEN_PENDING, on a loop. A result that comes with
 * an error goes to destroy_result. Any other value counts as PEN_EINVAL. */
typedef int (*pen_job_fn)(struct pen_job *job, void *arg, void **ret_result);

struct pen_job_options {
    const char *name; /* for stall reports and errors; must outlive loop and future, as a literal; NULL: "job" */
    void (*destroy_result)(void *result); /* for a result that nobody took; any thread; NULL: none */
    bool eager; /* loops: submitted on the loop itself, run at once instead of queueing */
    pen_mono_t room_until; /* pools: wait for room in a full queue; PEN_NOW, the zero value: do not */
};

/* ---- submitting to a loop (to a pool: <penstock/pool.h>) ---- */

/* Run fn(job, arg, &result) on the loop, after what was posted before. options may be NULL and are borrowed for the call;
 * ret_future may be NULL when nobody asks; the reference is the caller's otherwise. Any thread; does not block; callbacks
 * may call it. PEN_EFULL (the loop's inbox_max calls wait), PEN_ENOMEM, PEN_ECLOSED, PEN_EINVAL (no fn): nothing was
 * submitted. Since 0.2. */
PEN_API int pen_loop_submit(struct pen_loop *loop, pen_job_fn fn, void *arg,
                            const struct pen_job_options *options, struct pen_future **ret_future)
    PEN_MUST_CHECK;

/* ---- inside the job ---- */

/* Somebody asked for the end: the job should soon return PEN_ECANCELED. Cheap enough for an inner loop. Any thread;
 * does not block. Since 0.2. */
PEN_API bool pen_job_cancelled(const struct pen_job *job);

/* When the end is asked for, call fn(job, arg) on the job's loop, unless the job has ended by then; soon when it was
 * asked for already. When the loop is closed under a pending job it is called there as well, as the last chance to
 * finish. A second fn takes the place of the first. On the loop; does not block. PEN_EWRONGTHREAD; PEN_EINVAL:
 * the job runs on a pool. Since 0.2. */
PEN_API int pen_job_on_cancel(struct pen_job *job, void (*fn)(struct pen_job *job, void *arg),
                              void *arg) PEN_MUST_CHECK;

/* The loop the job runs on, or NULL on a pool. Any thread. Since 0.2. */
PEN_API struct pen_loop *pen_job_loop(const struct pen_job *job);

/* Finish a job that has returned PEN_PENDING, or is about to: once, with 0 and the result (may be NULL) or a negative
 * error. The job is not valid afterwards. On its loop. PEN_EWRONGTHREAD, PEN_EINVAL (error is positive, or the job runs
 * on a pool), PEN_ECLOSED (finished already and still running): nothing changes. pen_loop_close() finishes with
 * PEN_ECLOSED what is pending after every waiting call, timer and callback has had its turn. Since 0.2. */
PEN_API int pen_job_finish(struct pen_job *job, int error, void *result);

/* ---- asking ---- */

enum pen_future_state {
    PEN_FUTURE_PENDING, /* not begun */
    PEN_FUTURE_RUNNING,
    PEN_FUTURE_DONE
};

/* Wait for the outcome until the deadline: 0 and the result, which stays the future's until it is taken, or the job's own
 * error, PEN_ECANCELED, PEN_ECLOSED. ret_result may be NULL and is untouched on failure. Any thread; blocks.
 * PEN_ETIMEOUT: the job goes on. PEN_EWRONGTHREAD: on the very loop that would run the job, unless it is done.
 * Since 0.2. */
PEN_API int pen_future_get(struct pen_future *future, pen_mono_t deadline, void **ret_result)
    PEN_MUST_CHECK;

/* The same, but at the deadline the job is cancelled: PEN_ETIMEOUT then means that it was asked to end. Since 0.2. */
PEN_API int pen_future_get_or_cancel(struct pen_future *future, pen_mono_t deadline,
                                     void **ret_result) PEN_MUST_CHECK;

/* Move the result out: it is the caller's, and the destructor will not be called. NULL when the future is not done, has
 * failed, or the result was taken already. Any thread; does not block. Since 0.2. */
PEN_API void *pen_future_take(struct pen_future *future);

/* Ask for the end. A job that has not begun ends at once with PEN_ECANCELED; one that runs sees pen_job_cancelled().
 * 0: asked, now or earlier, or it has ended as cancelled. PEN_ECLOSED: it has ended otherwise. Any thread; does not block;
 * idempotent; callbacks may call it. Since 0.2. */
PEN_API int pen_future_cancel(struct pen_future *future);

/* Any thread; does not block. Since 0.2. */
PEN_API enum pen_future_state pen_future_state(const struct pen_future *future);

/* The outcome of a done future: 0 or the error. PEN_EBUSY while it is not done. Any thread. Since 0.2. */
PEN_API int pen_future_error(const struct pen_future *future);

/* Call fn(future, arg) on the loop when the future is done, soon if it is already; any number of times, on each loop in
 * the order of adding. The future is kept until the callback has run. When the loop is closed first the callback
 * runs there, and finds the future as it is then: pen_future_error() is PEN_EBUSY when it is not done. Any thread; does
 * not block. PEN_ENOMEM, PEN_EINVAL (no fn): it will not be called. Since 0.2. */
PEN_API int pen_future_on_done(struct pen_future *future, struct pen_loop *loop,
                               void (*fn)(struct pen_future *future, void *arg), void *arg)
    PEN_MUST_CHECK;

/* Another reference. Any thread. Returns the future. Since 0.2. */
PEN_API struct pen_future *pen_future_ref(struct pen_future *future);

/* Give the reference back and set *future to NULL; NULL is accepted. The last one frees it, and a result that nobody took
 * goes to destroy_result. It does not cancel. Any thread. Since 0.2. */
PEN_API void pen_future_unref(struct pen_future **future);

#ifdef __cplusplus
}
#endif
#endif
