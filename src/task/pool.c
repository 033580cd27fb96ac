/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread pool: jobs go through a pen_queue to threads that are started when there are more jobs than threads to take
 * them.
 *
 * Threads. Any thread submits, shuts down and reads; the workers are the pool's own.
 *
 * Starting. `spare` counts the threads that run no job (just started, between two jobs, or asleep) less the jobs that
 * have been put and not yet claimed. A submission takes one off; below zero there are more jobs than threads for them,
 * and a thread is started unless threads_max are there. Python's pool counts with a semaphore that a worker raises when
 * it finds nothing to do; a job that is put in that moment is counted twice, and later jobs wait behind a busy thread
 * though more could be started.
 *
 * The end. Shutting down closes the queue, gracefully, so that what waits still runs, or at once: then the queue's
 * destructor ends every job that waits, with PEN_ECANCELED, or PEN_EBROKEN when a thread's initializer failed. A job in
 * the hands of a worker that has not claimed it yet finds `cancelling` when it does. Each worker leaves when
 * the queue tells it so; the last of them wakes those that wait for the end.
 *
 * Counters and histograms are the workers' own and summed when read; workers stay listed when their thread has ended.
 */
#include "task/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include <penstock/queue.h>

#include "base/check.h"
#include "base/count.h"
#include "base/histogram.h"
#include "base/str.h"
#include "loop/io.h"
#include "plat/clock.h"
#include "plat/thread.h"
#include "sync/lock.h"
#include "sync/waiters.h"
#include "task/future.h"
#include "task/job.h"

enum {
    POOL_NAME_BYTES = 12,
    THREAD_NAME_BYTES = 24, /* cut when the thread starts */
    THREADS_MOST = 1024,
    QUEUE_DEFAULT = 4096,
    QUEUE_MOST = 1 << 20,
    BLOCKING_THREADS = 32,
    BLOCKING_EXTRA = 4
};

struct pool_job {
    struct pen_job job;
    struct pen_pool *pool;
    mono_t submitted;
};

struct worker {
    /* fixed after init */
    struct pen_pool *pool;
    struct thread *thread;
    /* lock: pool->lock */
    struct pool_job *current; /* NULL: none */
    /* atomic: counters, written by the worker */
    struct count done, failed, cancelled;
    struct histogram queue_wait, run_time;
};

struct pen_pool {
    struct listed listed;
    /* fixed after init */
    char name[POOL_NAME_BYTES];
    uint32_t threads_max;
    int (*initializer)(void *arg);
    void *initializer_arg;
    struct pen_queue *queue; /* of struct pool_job */

    struct lock lock;
    /* lock: this one */
    struct worker **workers; /* threads_max places */
    uint32_t workers_count;  /* ever started */
    uint32_t alive, running; /* threads; threads with a job in hand */
    int64_t spare;
    bool shut_down, cancelling, broken;
    uint64_t submitted, cancelled, failed; /* the last two: jobs that no worker has had */
    struct waiters enders;                 /* those that wait until nobody is alive */
};

static _Thread_local struct worker *worker_here;

static bool on_own_thread(const struct pen_pool *p)
{
    return worker_here != NULL && worker_here->pool == p;
}

bool pool_may_not_wait(const struct pen_pool *p)
{
    return loop_any_here() || on_own_thread(p);
}

uint32_t pool_threads_max(const struct pen_pool *p)
{
    return p->threads_max;
}

/* ---- jobs ---- */

static int pool_job_new(struct pen_pool *p, const struct pen_job *like,
                        const struct pen_job_options *options, struct pool_job **ret_job)
{
    struct pool_job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return PEN_ENOMEM;
    j->job = *like;
    int r = future_new(options, &j->job.future);
    if (r < 0) {
        free(j);
        return r;
    }
    future_set_home(j->job.future, p->name);
    j->pool = p;
    j->submitted = clock_mono();
    *ret_job = j;
    return 0;
}

static void pool_job_free(struct pool_job *j)
{
    pen_future_unref(&j->job.future);
    free(j);
}

/* The queue's destructor: the pool ends before the job's turn. */
static void end_waiting(void *ptr, void *arg)
{
    struct pool_job *j = ptr;
    struct pen_pool *p = arg;
    lock_take(&p->lock);
    bool broken = p->broken;
    (*(broken ? &p->failed : &p->cancelled))++;
    p->spare++;
    lock_drop(&p->lock);
    if (!broken)
        (void)pen_future_cancel(j->job.future);
    else if (future_begin(j->job.future))
        future_complete(j->job.future, PEN_EBROKEN, NULL);
    pool_job_free(j);
}

/* ---- workers ---- */

/* The job is in hand. False: the pool is being cancelled. */
static bool claim(struct worker *w, struct pool_job *j)
{
    struct pen_pool *p = w->pool;
    lock_take(&p->lock);
    bool run = !p->cancelling;
    p->running++;
    w->current = j;
    lock_drop(&p->lock);
    return run;
}

static void unclaim(struct worker *w)
{
    struct pen_pool *p = w->pool;
    lock_take(&p->lock);
    p->running--;
    p->spare++;
    w->current = NULL;
    lock_drop(&p->lock);
}

static int call_job(struct worker *w, struct pool_job *j, void **ret_result)
{
    mono_t begun = clock_mono();
    histogram_add(&w->queue_wait, mono_since(begun, j->submitted));
    struct pen_future *outer = future_enter(j->job.future);
    int r = j->job.fn(&j->job, j->job.arg, ret_result);
    (void)future_enter(outer);
    histogram_add(&w->run_time, mono_since(clock_mono(), begun));
    return r > 0 ? PEN_EINVAL : r;
}

static struct count *outcome_count(struct worker *w, int r)
{
    return r == 0 ? &w->done : r == PEN_ECANCELED ? &w->cancelled : &w->failed;
}

static void work(struct worker *w, struct pool_job *j)
{
    if (!claim(w, j))
        (void)pen_future_cancel(j->job.future);
    int r = PEN_ECANCELED;
    void *result = NULL;
    bool begun = future_begin(j->job.future);
    if (begun)
        r = call_job(w, j, &result);
    count_add(outcome_count(w, r), 1);
    unclaim(w); /* Before anybody learns of the end: who submits then finds this thread spare. */
    if (begun)
        future_complete(j->job.future, r, result);
    pool_job_free(j);
}

static void break_pool(struct pen_pool *p)
{
    lock_take(&p->lock);
    p->broken = true;
    lock_drop(&p->lock);
    pen_queue_shutdown(p->queue, PEN_SHUTDOWN_IMMEDIATE);
}

static void leave(struct pen_pool *p)
{
    lock_take(&p->lock);
    p->spare--;
    if (--p->alive == 0)
        waiters_wake_all(&p->enders);
    lock_drop(&p->lock);
}

static void worker_run(void *arg)
{
    struct worker *w = arg;
    struct pen_pool *p = w->pool;
    worker_here = w;
    if (p->initializer != NULL && p->initializer(p->initializer_arg) < 0)
        break_pool(p);
    struct pen_item item;
    while (pen_queue_get(p->queue, &item, PEN_NEVER) == 0)
        work(w, item.ptr);
    leave(p);
}

static int start_worker(struct pen_pool *p) LOCKED(&p->lock)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return PEN_ENOMEM;
    w->pool = p;
    char name[THREAD_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s/%u", p->name, p->workers_count);
    int r = thread_start(name, worker_run, w, &w->thread);
    if (r < 0) {
        free(w);
        return r;
    }
    p->workers[p->workers_count++] = w;
    p->alive++;
    p->spare++;
    return 0;
}

/* ---- submitting ---- */

/* Count the job and see to a thread for it. */
static int admit(struct pen_pool *p)
{
    lock_take(&p->lock);
    int r = p->broken ? PEN_EBROKEN : p->shut_down ? PEN_ESHUTDOWN : 0;
    if (r == 0 && p->spare <= 0 && p->workers_count < p->threads_max) {
        r = start_worker(p);
        if (p->workers_count > 0)
            r = 0; /* Those that are there must do. */
    }
    if (r == 0) {
        p->spare--;
        p->submitted++;
    }
    lock_drop(&p->lock);
    return r;
}

/* The queue did not take it. */
static int refuse(struct pen_pool *p, int r)
{
    lock_take(&p->lock);
    p->spare++;
    p->submitted--;
    if (r == PEN_ESHUTDOWN && p->broken)
        r = PEN_EBROKEN;
    lock_drop(&p->lock);
    return r;
}

static int put(struct pen_pool *p, struct pool_job *j, mono_t until)
{
    if (until.ns > PEN_NOW.ns && pool_may_not_wait(p))
        return PEN_EWRONGTHREAD;
    int r = admit(p);
    if (r < 0)
        return r;
    r = pen_queue_put(p->queue, j, 0, until);
    return r < 0 ? refuse(p, r) : 0;
}

int pen_pool_submit(struct pen_pool *p, pen_job_fn fn, void *arg,
                    const struct pen_job_options *options, struct pen_future **ret_future)
{
    if (fn == NULL)
        return PEN_EINVAL;
    struct pen_job like = { .fn = fn, .arg = arg };
    struct pool_job *j;
    int r = pool_job_new(p, &like, options, &j);
    if (r < 0)
        return r;
    struct pen_future *f = j->job.future;
    r = put(p, j, options != NULL ? options->room_until : PEN_NOW);
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

/* ---- the end ---- */

/* A reference to what worker i runs, or NULL. */
static struct pen_future *current_of(struct pen_pool *p, uint32_t i)
{
    lock_take(&p->lock);
    const struct pool_job *j = i < p->workers_count ? p->workers[i]->current : NULL;
    struct pen_future *f = j != NULL ? pen_future_ref(j->job.future) : NULL;
    lock_drop(&p->lock);
    return f;
}

static void cancel_all(struct pen_pool *p)
{
    pen_queue_shutdown(p->queue, PEN_SHUTDOWN_IMMEDIATE);
    for (uint32_t i = 0; i < p->threads_max; i++) {
        struct pen_future *f = current_of(p, i);
        if (f != NULL)
            (void)pen_future_cancel(f);
        pen_future_unref(&f);
    }
}

/* Sleep until no thread is alive or the deadline has passed. */
static void await_end(struct pen_pool *p, mono_t deadline) LOCKED(&p->lock)
{
    if (p->alive == 0 || deadline.ns <= PEN_NOW.ns)
        return;
    struct waiter w;
    waiter_init(&w, NULL);
    waiters_park(&p->enders, &w, false);
    lock_drop(&p->lock);
    (void)waiter_sleep(&w, deadline);
    lock_take(&p->lock);
    (void)waiters_leave(&p->enders, &w);
}

static const char *stuck_job(const struct pen_pool *p) LOCKED(&p->lock)
{
    for (uint32_t i = 0; i < p->workers_count; i++)
        if (p->workers[i]->current != NULL)
            return future_name(p->workers[i]->current->job.future);
    return NULL;
}

int pen_pool_shutdown(struct pen_pool *p, bool cancel, pen_mono_t deadline, const char **ret_stuck)
{
    if (on_own_thread(p) && deadline.ns > PEN_NOW.ns)
        return PEN_EWRONGTHREAD;
    lock_take(&p->lock);
    p->shut_down = true;
    p->cancelling |= cancel;
    lock_drop(&p->lock);
    if (cancel)
        cancel_all(p);
    else
        pen_queue_shutdown(p->queue, PEN_SHUTDOWN_GRACEFUL);
    lock_take(&p->lock);
    await_end(p, deadline);
    int r = p->alive == 0 ? 0 : PEN_ETIMEOUT;
    if (r < 0 && ret_stuck != NULL)
        *ret_stuck = stuck_job(p);
    lock_drop(&p->lock);
    return r;
}

static void destroy(struct pen_pool *p)
{
    for (uint32_t i = 0; i < p->workers_count; i++) {
        thread_join(&p->workers[i]->thread);
        free(p->workers[i]);
    }
    pen_queue_free(&p->queue);
    lock_fini(&p->lock);
    free(p->workers);
    free(p);
}

void pen_pool_free(struct pen_pool **pool)
{
    struct pen_pool *p = *pool;
    if (p == NULL)
        return;
    check(pen_pool_shutdown(p, true, PEN_NEVER, NULL) == 0);
    listed_remove(LISTED_POOL, &p->listed);
    destroy(p);
    *pool = NULL;
}

/* ---- making ---- */

static uint32_t default_threads(enum pen_pool_kind kind)
{
    uint32_t cpus = thread_cpus();
    if (kind == PEN_POOL_BLOCKING)
        cpus += BLOCKING_EXTRA;
    uint32_t most = kind == PEN_POOL_BLOCKING ? BLOCKING_THREADS : THREADS_MOST;
    return cpus < most ? cpus : most;
}

static bool options_valid(const struct pen_pool_options *o)
{
    return o->threads_max <= THREADS_MOST && o->queue_max <= QUEUE_MOST &&
           (o->kind == PEN_POOL_CPU || o->kind == PEN_POOL_BLOCKING);
}

static int open_pool(struct pen_pool *p, const struct pen_pool_options *o)
{
    (void)str_copy(p->name, sizeof p->name, o->name != NULL ? o->name : "pool");
    p->threads_max = o->threads_max != 0 ? o->threads_max : default_threads(o->kind);
    p->initializer = o->initializer;
    p->initializer_arg = o->initializer_arg;
    p->workers = calloc(p->threads_max, sizeof *p->workers);
    if (p->workers == NULL)
        return PEN_ENOMEM;
    struct pen_queue_options queue = {
        .items_max = o->queue_max != 0 ? o->queue_max : QUEUE_DEFAULT,
        .destroy = end_waiting,
        .destroy_arg = p,
    };
    return pen_queue_new(&queue, &p->queue);
}

int pen_pool_new(const struct pen_pool_options *options, struct pen_pool **ret_pool)
{
    static const struct pen_pool_options defaults;
    const struct pen_pool_options *o = options != NULL ? options : &defaults;
    if (!options_valid(o))
        return PEN_EINVAL;
    struct pen_pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    lock_init(&p->lock, LOCK_POOL);
    waiters_init(&p->enders);
    int r = open_pool(p, o);
    if (r < 0) {
        destroy(p);
        return r;
    }
    listed_add(LISTED_POOL, &p->listed);
    *ret_pool = p;
    return 0;
}

/* ---- statistics ---- */

void pool_look(struct listed *listed, struct pool_view *ret_view)
{
    struct pen_pool *p = CONTAINER_OF(listed, struct pen_pool, listed);
    struct pen_pool_stats s;
    pen_pool_stats(p, &s);
    *ret_view = (struct pool_view){ .name = p->name,
                                    .threads = s.threads,
                                    .idle = s.idle,
                                    .waiting = s.waiting,
                                    .broken = s.broken,
                                    .shut_down = s.shut_down };
}

void pen_pool_stats(struct pen_pool *p, struct pen_pool_stats *ret_stats)
{
    struct pen_queue_stats queue;
    pen_queue_stats(p->queue, &queue);
    struct pen_pool_stats s = { .waiting = queue.items };
    lock_take(&p->lock);
    s.threads = p->alive;
    s.idle = p->alive - p->running;
    s.submitted = p->submitted;
    s.broken = p->broken;
    s.shut_down = p->shut_down;
    s.cancelled = p->cancelled;
    s.failed = p->failed;
    for (uint32_t i = 0; i < p->workers_count; i++) {
        const struct worker *w = p->workers[i];
        s.done += count_read(&w->done);
        s.failed += count_read(&w->failed);
        s.cancelled += count_read(&w->cancelled);
        histogram_collect(&w->queue_wait, &s.queue_wait);
        histogram_collect(&w->run_time, &s.run_time);
    }
    lock_drop(&p->lock);
    *ret_stats = s;
}
