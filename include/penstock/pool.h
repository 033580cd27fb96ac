/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_pool: threads for work that computes or blocks, off the loops.
 *
 * Threads are started as they are needed, up to threads_max: a new one only when none is idle. The queue of waiting jobs
 * is bounded. A job cannot be stopped from outside: it can be asked (pen_job_cancelled()), and pen_pool_shutdown() has a
 * deadline, after which it names a job that is stuck.
 *
 * A job on a pool may wait for others, but when all threads of a pool wait for jobs that stand in its own queue, nobody
 * is left to run these.
 */
#ifndef PENSTOCK_POOL_H
#define PENSTOCK_POOL_H

#include <penstock/future.h>
#include <penstock/histogram.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_pool;

enum pen_pool_kind {
    PEN_POOL_CPU,     /* threads_max by default: the number of CPUs that the process may use */
    PEN_POOL_BLOCKING /* min(32, CPUs + 4), as Python's ThreadPoolExecutor */
};

struct pen_pool_options {
    const char *name; /* copied; at most 11 bytes are shown in the names of threads; NULL: "pool" */
    enum pen_pool_kind kind;
    uint32_t threads_max; /* 1 to 1024; 0: by kind */
    uint32_t queue_max; /* jobs waiting, 1 to 2^20; 0: 4096. A cancelled one counts until its turn */
    /* Run first by each thread. A negative value breaks the pool: jobs that wait, and those submitted later, fail with
     * PEN_EBROKEN. */
    int (*initializer)(void *arg);
    void *initializer_arg;
};

/* Make a pool; no thread is started. options may be NULL and are borrowed for the call. The pool is the caller's, ended with
 * pen_pool_free(). Any thread; does not block. PEN_EINVAL, PEN_ENOMEM: *ret_pool untouched. Since 0.2. */
PEN_API int pen_pool_new(const struct pen_pool_options *options, struct pen_pool **ret_pool)
    PEN_MUST_CHECK;

/* Run fn(job, arg, &result) on a thread of the pool; jobs begin in the order of submission. options and ret_future as in
 * pen_loop_submit(). When queue_max jobs wait: PEN_EFULL at once, or with options->room_until, waiting for room,
 * PEN_ETIMEOUT. Any thread; jobs and callbacks may call it, without room_until: else PEN_EWRONGTHREAD on a thread that
 * runs a loop or belongs to the pool. PEN_ESHUTDOWN; PEN_EBROKEN: an initializer failed; PEN_ENOMEM; PEN_EINVAL (no fn);
 * a negated errno when not even one thread could be started. Nothing was submitted then. Since 0.2. */
PEN_API int pen_pool_submit(struct pen_pool *pool, pen_job_fn fn, void *arg,
                            const struct pen_job_options *options, struct pen_future **ret_future)
    PEN_MUST_CHECK;

/* To a loop or a pool, by the type of the target. Since 0.2. */
#define pen_submit(target, fn, arg, options, ret_future) \
    _Generic((target), struct pen_loop * \
             : pen_loop_submit, struct pen_pool * \
             : pen_pool_submit)(target, fn, arg, options, ret_future)

struct pen_map_options {
    size_t window;                     /* jobs in flight at most; 0: twice threads_max */
    pen_mono_t deadline;               /* PEN_NOW, the zero value: none */
    const struct pen_job_options *job; /* name and destroy_result of each job; NULL: none */
    /* One outcome after the other, in the order of the arguments, on the calling thread: error is 0 and the result the
     * callback's, or the error of job `index`. A negative value ends the map and is returned. NULL: the first
     * error of a job ends the map and is returned, and results go to destroy_result. */
    int (*on_result)(size_t index, int error, void *result, void *arg);
    void *arg;
};

/* Apply fn to each of n arguments, at most `window` of them at a time, and wait for all. options may be NULL. When it
 * ends early the jobs that have begun are asked to end and waited for, and the others never begin: on return no job of the
 * map runs. Not on a thread that runs a loop or belongs to the pool: PEN_EWRONGTHREAD. Blocks. Returns 0, what on_result
 * returned, PEN_ETIMEOUT (the deadline passed), or the errors of pen_pool_submit(). Since 0.2. */
PEN_API int pen_pool_map(struct pen_pool *pool, pen_job_fn fn, void *const *args, size_t n,
                         const struct pen_map_options *options) PEN_MUST_CHECK;

/* No more jobs. With cancel, those that wait end with PEN_ECANCELED and those that run are asked to end; without, all of
 * them run. Then wait until the deadline for every thread to end. PEN_ETIMEOUT: the threads go on, and *ret_stuck (may be
 * NULL) is the name of a job that runs, or NULL when none does. Idempotent; cancel may come later. Any thread; callbacks
 * and jobs may call it with PEN_NOW. PEN_EWRONGTHREAD: on a thread of the pool with another deadline; nothing has changed.
 * Since 0.2. */
PEN_API int pen_pool_shutdown(struct pen_pool *pool, bool cancel, pen_mono_t deadline,
                              const char **ret_stuck) PEN_MUST_CHECK;

/* Free the pool and set *pool to NULL; NULL is accepted. Unless a shutdown has returned 0 it shuts down with cancel and
 * waits without end. Not on a thread of the pool. Since 0.2. */
PEN_API void pen_pool_free(struct pen_pool **pool);

/* submitted = done + failed + cancelled + waiting + running, once no submission is under way. */
struct pen_pool_stats {
    uint32_t threads; /* alive */
    uint32_t idle;    /* of these, that run no job */
    uint64_t waiting; /* jobs in the queue, with those that were cancelled there */
    uint64_t submitted, done, failed, cancelled;
    struct pen_histogram queue_wait, run_time; /* of jobs that have begun */
    bool broken, shut_down;
};

/* A snapshot; counts of different threads are read one after the other. Any thread; does not block. Since 0.2. */
PEN_API void pen_pool_stats(struct pen_pool *pool, struct pen_pool_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
