/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of isolated workers: a pen_queue of requests in front of a crew (task/crew.h) on a loop, with a future for each
 * request.
 *
 * The way of a request. Any thread puts it into the queue, which is the bound. The loop's getter wakes the pool, which
 * takes as many as there are idle workers and no more: a request that no worker can take yet has not begun, and ends at
 * once when it is cancelled. While no worker is idle the getter is paused. So the queue's getter is active exactly
 * while the crew has room.
 *
 * Cancelling. pen_future_cancel() calls ask_cancel() under the future's lock, which posts to the loop; a request is
 * freed by whoever comes last, that post or its end. future_complete() takes the same lock, so after it the flag is
 * settled.
 *
 * The end. Shutting down closes the queue, and asks the loop (tend) to kill when it is with cancel. The pool has ended
 * when the crew has; `ended` is set under the lock, as the loop's last touch. A post may still be under way then: each
 * holds a reference.
 *
 * Thread: the loop, but for what is said to be under the lock or any thread's.
 */
#include <penstock/isopool.h>

#include <stdlib.h>
#include <string.h>

#include <penstock/queue.h>

#include "base/check.h"
#include "plat/forkserver.h"
#include "plat/thread.h"
#include "sync/lock.h"
#include "sync/waiters.h"
#include "task/crew.h"
#include "task/future.h"
#include "task/worker_fn.h"

enum {
    WORKERS_MOST = 256,
    QUEUE_DEFAULT = 4096,
    QUEUE_MOST = 1 << 20,
    BYTES_MOST = 1 << 30, /* of a request or an answer */
    ANSWER_DEFAULT = 1 << 20,
    NOFILE_LEAST = 8,
    TIMEOUT_DEFAULT_S = 30,
    BACKOFF_DEFAULT_S = 5,
};

struct pen_isopool {
    /* fixed after init */
    struct pen_loop *loop;
    const char *name;
    char **argv;
    bool runs_function;
    void (*on_stderr)(const char *line, size_t bytes, int pid, void *arg);
    void *arg;
    struct pen_queue *queue;
    struct crew *crew;
    struct refs refs;
    /* owner: loop */
    struct pen_getter *getter; /* NULL: not started yet, or ended */
    bool started, paused, loop_closed;
    unsigned depth;                    /* of the crew's and the queue's callbacks on the stack */
    struct post tend_post, close_post; /* the second is promised until the end */
    /* lock: this one */
    struct lock lock;
    bool cancelling, ended;
    int drain_error; /* of requests that are in the queue when it is shut down at once */
    struct waiters joiners;
    /* atomic */
    struct count done, failed, cancelled;
};

struct request {
    struct crew_request crew;
    struct pen_isopool *pool;  /* fixed after init; alive until the request has ended */
    struct pen_future *future; /* the job's reference; NULL: the request has ended */
    struct post cancel_post;
    bool cancel_due; /* lock: the future's; cancel_post is under way */
    unsigned char data[];
};

static struct request *request_of(struct crew_request *crew_request)
{
    return CONTAINER_OF(crew_request, struct request, crew);
}

static void pool_unref(struct pen_isopool *p)
{
    if (!refs_drop(&p->refs, 1))
        return;
    pen_queue_free(&p->queue);
    crew_free(&p->crew);
    for (char **arg = p->argv; arg != NULL && *arg != NULL; arg++)
        free(*arg);
    free(p->argv);
    lock_fini(&p->lock);
    free(p);
}

/* ---- a request's end ---- */

static struct count *count_of(struct pen_isopool *p, int error)
{
    return error == 0 ? &p->done : error == PEN_ECANCELED ? &p->cancelled : &p->failed;
}

/* One that has begun. */
static void end_request(struct request *r, int error, void *result)
{
    struct pen_isopool *p = r->pool;
    (void)count_add_shared(count_of(p, error), 1);
    future_complete(r->future, error, result);
    pen_future_unref(&r->future);
    if (!r->cancel_due)
        free(r);
    check(pen_queue_task_done(p->queue, 1) == 0);
}

/* One that was cancelled before it began. */
static void drop_request(struct request *r)
{
    (void)count_add_shared(&r->pool->cancelled, 1);
    pen_future_unref(&r->future);
    free(r);
}

/* The queue was shut down, and it was in there. On the thread that did it. */
static void drain_request(void *ptr, void *arg)
{
    struct request *r = ptr;
    struct pen_isopool *p = arg;
    lock_take(&p->lock);
    int error = p->drain_error;
    lock_drop(&p->lock);
    if (!future_begin(r->future)) {
        drop_request(r);
        return;
    }
    (void)count_add_shared(count_of(p, error), 1);
    future_complete(r->future, error, NULL);
    pen_future_unref(&r->future);
    free(r);
}

/* ---- the end ---- */

/* All has ended; nothing may be touched afterwards. */
static void finish(struct pen_isopool *p)
{
    check(loop_withdraw(p->loop, &p->close_post) || p->loop_closed);
    pen_getter_close(&p->getter);
    lock_take(&p->lock);
    p->ended = true;
    waiters_wake_all(&p->joiners);
    lock_drop(&p->lock);
}

static bool has_ended(struct pen_isopool *p)
{
    lock_take(&p->lock);
    bool ended = p->ended;
    lock_drop(&p->lock);
    return ended;
}

/* End without the loop's help. */
static void end_now(struct pen_isopool *p, int error)
{
    lock_take(&p->lock);
    if (!p->cancelling)
        p->drain_error = error;
    lock_drop(&p->lock);
    pen_queue_shutdown(p->queue, PEN_SHUTDOWN_IMMEDIATE);
    crew_kill(p->crew, error, pen_strerror(error));
    finish(p);
}

/* ---- handing out ---- */

static void ask_cancel(struct pen_future *f, void *arg)
{
    struct request *r = arg;
    r->cancel_due = true;
    (void)loop_post(r->pool->loop, &r->cancel_post);
}

static void give(struct pen_isopool *p, struct request *r) ON_LOOP
{
    if (!future_begin(r->future)) {
        drop_request(r);
        check(pen_queue_task_done(p->queue, 1) == 0);
        return;
    }
    future_on_cancel(r->future, ask_cancel, r);
    crew_submit(p->crew, &r->crew);
}

static void set_paused(struct pen_isopool *p, bool paused)
{
    if (paused == p->paused)
        return;
    p->paused = paused;
    if (paused)
        pen_getter_pause(p->getter);
    else
        pen_getter_resume(p->getter);
}

/* Keep the idle ones busy. */
static void pump(struct pen_isopool *p) ON_LOOP
{
    struct pen_item item;
    if (p->getter == NULL)
        return;
    while (crew_room(p->crew) > 0 && pen_queue_get(p->queue, &item, PEN_NOW) == 0)
        give(p, item.ptr);
    set_paused(p, crew_room(p->crew) == 0);
}

static void enter(void *arg)
{
    struct pen_isopool *p = arg;
    p->depth++;
}

static void leave(void *arg) NO_TSA
{
    struct pen_isopool *p = arg;
    if (p->depth == 1)
        pump(p);
    p->depth--;
    if (p->depth == 0 && p->started && crew_ended(p->crew))
        finish(p);
}

/* ---- what the crew tells ---- */

static void answer_with_copy(struct request *r, const uint8_t *data, size_t bytes)
{
    struct pen_iso_answer *answer = malloc(sizeof *answer + bytes);
    if (answer != NULL) {
        answer->bytes = bytes;
        memcpy(answer->data, data, bytes);
    }
    end_request(r, answer != NULL ? 0 : PEN_ENOMEM, answer);
}

static void on_answer(struct crew_request *request, const uint8_t *data, size_t bytes, void *arg)
{
    struct pen_isopool *p = arg;
    struct request *r = request_of(request);
    int outcome = p->runs_function ? worker_fn_outcome(data, bytes) : 0;
    size_t skip = p->runs_function ? WORKER_FN_STATUS_BYTES : 0;
    if (outcome < 0)
        end_request(r, outcome, NULL);
    else
        answer_with_copy(r, data + skip, bytes - skip);
}

static void on_fail(struct crew_request *request, int error, const char *reason, void *arg)
{
    bool broken = error == PEN_ECRASHED || error == PEN_EEXITED;
    end_request(request_of(request), broken ? PEN_EBROKEN : error, NULL);
}

static void on_line(const struct worker *w, const char *line, size_t bytes, void *arg)
{
    struct pen_isopool *p = arg;
    p->on_stderr(line, bytes, (int)w->proc.pid, p->arg);
}

static const struct crew_events crew_events = {
    .enter = enter, .leave = leave, .on_answer = on_answer, .on_fail = on_fail, .on_line = on_line
};

/* ---- what comes to the loop ---- */

/* The future was cancelled. */
static void cancel_turn(struct pen_loop *loop, void *arg, int status) NO_TSA
{
    struct request *r = arg;
    if (r->future == NULL) { /* It has ended meanwhile. */
        free(r);
        return;
    }
    r->cancel_due = false; /* It is asked for once only. */
    if (status < 0)
        return; /* The pool is about to be closed. */
    struct pen_isopool *p = r->pool;
    enter(p);
    crew_cancel(p->crew, &r->crew, "the request was cancelled");
    leave(p);
}

static void on_items(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
    NO_TSA
{
    struct pen_isopool *p = arg;
    enter(p);
    check(n == 1 && crew_room(p->crew) > 0);
    give(p, items[0].ptr);
    leave(p);
}

static void on_shutdown(struct pen_getter *getter, void *arg) NO_TSA
{
    struct pen_isopool *p = arg;
    enter(p);
    crew_close(p->crew, false, NULL);
    leave(p);
}

/* Without memory for a getter nothing can be taken from the queue. */
static void attach(struct pen_isopool *p)
{
    struct pen_getter_options options = {
        .budget = 1, .on_items = on_items, .on_shutdown = on_shutdown, .arg = p
    };
    int r = pen_queue_attach(p->queue, p->loop, &options, &p->getter);
    if (r == 0)
        return;
    lock_take(&p->lock);
    p->cancelling = true;
    p->drain_error = r;
    lock_drop(&p->lock);
    pen_queue_shutdown(p->queue, PEN_SHUTDOWN_IMMEDIATE);
}

/* Begin, or end. */
static void tend(struct pen_loop *loop, void *arg, int status) NO_TSA
{
    struct pen_isopool *p = arg;
    if (status == 0 && !has_ended(p)) {
        enter(p);
        if (!p->started) {
            p->started = true;
            attach(p);
            if (crew_start(p->crew) < 0)
                crew_retry(p->crew);
        }
        lock_take(&p->lock);
        bool cancelling = p->cancelling;
        lock_drop(&p->lock);
        if (cancelling)
            crew_close(p->crew, true, "the pool was shut down");
        leave(p);
    }
    pool_unref(p);
}

/* The loop is being freed. */
static void closed_turn(struct pen_loop *loop, void *arg, int status)
{
    struct pen_isopool *p = arg;
    p->loop_closed = true;
    end_now(p, PEN_ECLOSED);
}

/* Have tend() called; not when it has ended, as the loop may be gone then. */
static void post_tend(struct pen_isopool *p) LOCKED(&p->lock)
{
    if (p->ended)
        return;
    refs_add(&p->refs, 1);
    if (!loop_post(p->loop, &p->tend_post))
        check(!refs_drop(&p->refs, 1)); /* That post has a reference, and the caller another. */
}

/* ---- submitting ---- */

static int request_new(struct pen_isopool *p, const void *data, size_t bytes, struct request **ret)
{
    struct pen_job_options options = { .name = p->name, .destroy_result = free };
    struct request *r = calloc(1, sizeof *r + bytes);
    if (r == NULL)
        return PEN_ENOMEM;
    int error = future_new(&options, &r->future);
    if (error < 0) {
        free(r);
        return error;
    }
    future_set_loop(r->future, p->loop);
    post_init(&r->cancel_post, cancel_turn, r);
    r->pool = p;
    if (bytes > 0)
        memcpy(r->data, data, bytes);
    r->crew.data = r->data;
    r->crew.bytes = (uint32_t)bytes;
    *ret = r;
    return 0;
}

int pen_isopool_submit(struct pen_isopool *p, const void *data, size_t bytes,
                       struct pen_future **ret_future)
{
    struct request *request;
    if (bytes > BYTES_MOST)
        return PEN_ETOOBIG;
    int r = request_new(p, data, bytes, &request);
    if (r < 0)
        return r;
    struct pen_future *future = request->future;
    r = pen_queue_put(p->queue, request, 0, PEN_NOW);
    if (r < 0) {
        future_discard(future);
        free(request);
        return r;
    }
    if (ret_future != NULL)
        *ret_future = future;
    else
        pen_future_unref(&future);
    return 0;
}

/* ---- making and ending ---- */

int pen_isopool_prefork(void)
{
    return forkserver_start();
}

static bool options_valid(const struct pen_isopool_options *o)
{
    return (o->argv != NULL) != (o->fn != NULL) && (o->argv == NULL || o->argv[0] != NULL) &&
           o->workers <= WORKERS_MOST && o->queue_max <= QUEUE_MOST &&
           o->answer_max <= BYTES_MOST && o->timeout.ns >= 0 && o->backoff_max.ns >= 0 &&
           (o->rlimit_nofile == 0 || o->rlimit_nofile >= NOFILE_LEAST);
}

/* NULL: no memory. */
static char **argv_copy(char *const *argv)
{
    size_t n = 0;
    while (argv[n] != NULL)
        n++;
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = strdup(argv[i]);
        if (copy[i] == NULL) {
            while (i > 0)
                free(copy[--i]);
            free(copy);
            return NULL;
        }
    }
    return copy;
}

static struct crew_options crew_options_of(const struct pen_isopool *p,
                                           const struct pen_isopool_options *o)
{
    size_t answer_max = o->answer_max != 0 ? o->answer_max : ANSWER_DEFAULT;
    return (struct crew_options){
        .argv = (const char *const *)p->argv,
        .fn = o->fn,
        .protocol = WORKER_FRAMES,
        .timeout = o->timeout.ns != 0 ? o->timeout : span_s(TIMEOUT_DEFAULT_S),
        .backoff_max = o->backoff_max.ns != 0 ? o->backoff_max : span_s(BACKOFF_DEFAULT_S),
        .answer_max = answer_max + (o->fn != NULL ? WORKER_FN_STATUS_BYTES : 0),
        .jobs_max = o->max_jobs,
        .limits = { o->rlimit_as, o->rlimit_cpu_s, o->rlimit_nofile },
        .keep_stderr = o->on_stderr == NULL,
    };
}

static int open_parts(struct pen_isopool *p, const struct pen_isopool_options *o)
{
    struct pen_queue_options queue = {
        .items_max = o->queue_max != 0 ? o->queue_max : QUEUE_DEFAULT,
        .destroy = drain_request,
        .destroy_arg = p,
    };
    if (o->argv != NULL && (p->argv = argv_copy(o->argv)) == NULL)
        return PEN_ENOMEM;
    int r = pen_queue_new(&queue, &p->queue);
    if (r < 0)
        return r;
    struct crew_options options = crew_options_of(p, o);
    struct crew_making making = {
        .loop = p->loop,
        .count = o->workers != 0 ? o->workers : thread_cpus(),
        .options = &options,
        .events = &crew_events,
        .arg = p,
    };
    if (making.count > WORKERS_MOST)
        making.count = WORKERS_MOST;
    return crew_new(&making, &p->crew);
}

int pen_isopool_new(struct pen_loop *loop, const struct pen_isopool_options *o,
                    struct pen_isopool **ret_pool)
{
    if (!options_valid(o))
        return PEN_EINVAL;
    struct pen_isopool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    p->loop = loop;
    p->name = o->name != NULL ? o->name : "isopool";
    p->runs_function = o->fn != NULL;
    p->on_stderr = o->on_stderr;
    p->arg = o->arg;
    p->drain_error = PEN_ECANCELED;
    refs_init(&p->refs, 1);
    lock_init(&p->lock, LOCK_ISOPOOL);
    waiters_init(&p->joiners);
    post_init(&p->tend_post, tend, p);
    post_init(&p->close_post, closed_turn, p);
    int r = open_parts(p, o);
    if (r < 0) {
        pool_unref(p);
        return r;
    }
    loop_promise(loop, &p->close_post, PROMISE_JOB);
    lock_take(&p->lock);
    post_tend(p);
    lock_drop(&p->lock);
    *ret_pool = p;
    return 0;
}

void pen_isopool_shutdown(struct pen_isopool *p, bool cancel)
{
    lock_take(&p->lock);
    if (cancel && !p->cancelling) {
        p->cancelling = true;
        post_tend(p);
    }
    lock_drop(&p->lock);
    pen_queue_shutdown(p->queue, cancel ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
}

int pen_isopool_join(struct pen_isopool *p, pen_mono_t deadline)
{
    int r = 0;
    lock_take(&p->lock);
    if (!p->ended && pen_loop_here(p->loop)) {
        r = PEN_EWRONGTHREAD;
    } else if (!p->ended) {
        struct waiter w;
        waiter_init(&w, NULL);
        waiters_park(&p->joiners, &w, false);
        lock_drop(&p->lock);
        (void)waiter_sleep(&w, deadline);
        lock_take(&p->lock);
        (void)waiters_leave(&p->joiners, &w);
        r = p->ended ? 0 : PEN_ETIMEOUT;
    }
    lock_drop(&p->lock);
    return r;
}

void pen_isopool_free(struct pen_isopool **pool)
{
    struct pen_isopool *p = *pool;
    if (p == NULL)
        return;
    *pool = NULL;
    if (!has_ended(p)) {
        if (loop_may_touch(p->loop)) {
            check(p->depth == 0);
            end_now(p, PEN_ECANCELED);
        } else {
            pen_isopool_shutdown(p, true);
            check(pen_isopool_join(p, PEN_NEVER) == 0);
        }
    }
    pool_unref(p);
}

void pen_isopool_stats(struct pen_isopool *p, struct pen_isopool_stats *ret_stats)
{
    const struct crew_counts *counts = &p->crew->counts;
    struct pen_queue_stats queue;
    pen_queue_stats(p->queue, &queue);
    uint64_t down = count_read(&counts->down);
    *ret_stats = (struct pen_isopool_stats){
        .workers = p->crew->count - (uint32_t)(down < p->crew->count ? down : p->crew->count),
        .idle = (uint32_t)count_read(&counts->idle),
        .waiting = queue.items,
        .done = count_read(&p->done),
        .failed = count_read(&p->failed),
        .cancelled = count_read(&p->cancelled),
        .crashes = count_read(&counts->crashed),
        .timeouts = count_read(&counts->timeouts),
        .malformed = count_read(&counts->malformed),
        .started = count_read(&counts->started),
    };
}
