/* SPDX-License-Identifier: Apache-2.0
 *
 * What is different when a queue's jobs are kept: how many can be put at once, who waits for a promise, and how jobs come
 * back.
 *
 * A store has no room when its frame is full, until the next news; meanwhile no putter is woken, or the first in line would
 * find the queue with room and the store without, again and again.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "flow/jobq_inside.h"

struct jobq_watcher {
    /* fixed after init */
    struct jobq *q;
    struct pen_loop *loop;
    void (*on_promise)(struct jobq_watcher *w, const struct jobq_promise *promise, void *arg);
    void *arg;
    struct post post; /* the inbox's */
    bool closing;     /* owner: loop; freed by its post */
    /* lock: q->lock */
    struct list node; /* in q->watchers while it waits */
    uint64_t ticket;
};

/* ---- in ---- */

static bool store_refuses(int error)
{
    return error == PEN_ESTOREFULL || error == PEN_ESTOREFAILED;
}

static int refuse(struct job_put *jobs, size_t n, int error)
{
    for (size_t k = 0; k < n; k++)
        jobs[k].ret_status = error;
    return (int)n;
}

int jobq_put_kept(struct jobq *q, struct job_put *jobs, size_t n, bool patient)
{
    int r;
    do {
        r = broker_put(q->broker, jobs, n, q->now);
        n = r == -EAGAIN || r == PEN_ETOOBIG ? n / 2 : 0; /* Fewer at once may do. */
    } while (n > 0);
    if (r == PEN_ETOOBIG || (store_refuses(r) && !patient))
        return refuse(jobs, 1, r);
    q->store_full = r == -EAGAIN || store_refuses(r);
    return q->store_full ? 0 : r;
}

int jobq_put_all_kept(struct jobq *q, struct job_put *jobs, size_t n)
{
    int r = broker_put_all(q->broker, jobs, n, q->now);
    q->store_full = r == -EAGAIN;
    return q->store_full ? 0 : r;
}

/* ---- promises ---- */

bool jobq_is_durable(const struct jobq *q)
{
    return q->options.durable != NULL;
}

enum jobq_level jobq_level(const struct jobq *q)
{
    if (q->options.durable == NULL)
        return JOBQ_MEMORY;
    return durable_syncs(q->options.durable) ? JOBQ_SYNCED : JOBQ_WRITTEN;
}

const char *jobq_level_word(const struct jobq *q)
{
    static const char *const words[] = {
        [JOBQ_MEMORY] = "memory", [JOBQ_WRITTEN] = "written", [JOBQ_SYNCED] = "synced"
    };
    return words[jobq_level(q)];
}

static bool is_decided(const struct jobq *q, uint64_t ticket) LOCKED(&q->lock)
{
    return ticket <= q->promise.ticket || q->promise.error < 0;
}

void jobq_promised(struct jobq *q, const struct jobq_promise *promise)
{
    jobq_enter(q, PEN_NOW);
    q->promise = *promise;
    q->store_full = false;
    LIST_EACH_SAFE(node, &q->watchers) {
        struct jobq_watcher *w = CONTAINER_OF(node, struct jobq_watcher, node);
        if (!is_decided(q, w->ticket))
            continue;
        list_remove(&w->node);
        (void)loop_post(w->loop, &w->post);
    }
    jobq_leave(q);
}

static void watcher_run(struct pen_loop *loop, void *arg, int status)
{
    struct jobq_watcher *w = arg;
    (void)loop;
    if (w->closing) {
        free(w);
        return;
    }
    if (status != 0)
        return;
    lock_take(&w->q->lock);
    struct jobq_promise promise = w->q->promise;
    lock_drop(&w->q->lock);
    w->on_promise(w, &promise, w->arg);
}

int jobq_watch(struct jobq *q, struct pen_loop *loop, const struct jobq_watch_options *options,
               struct jobq_watcher **ret_watcher)
{
    struct jobq_watcher *w = calloc(1, sizeof *w);
    if (w == NULL)
        return PEN_ENOMEM;
    w->q = q;
    w->loop = loop;
    w->on_promise = options->on_promise;
    w->arg = options->arg;
    post_init(&w->post, watcher_run, w);
    list_init(&w->node);
    *ret_watcher = w;
    return 0;
}

uint64_t jobq_ticket(struct jobq *q)
{
    lock_take(&q->lock);
    uint64_t ticket = q->options.durable != NULL ? durable_ticket(q->options.durable) : 0;
    lock_drop(&q->lock);
    return ticket;
}

void jobq_watcher_await(struct jobq_watcher *w, uint64_t ticket)
{
    struct jobq *q = w->q;
    lock_take(&q->lock);
    w->ticket = ticket;
    list_remove(&w->node);
    if (is_decided(q, ticket))
        (void)loop_post(w->loop, &w->post);
    else
        list_push_back(&q->watchers, &w->node);
    lock_drop(&q->lock);
}

void jobq_watcher_close(struct jobq_watcher **watcher)
{
    struct jobq_watcher *w = *watcher;
    if (w == NULL)
        return;
    *watcher = NULL;
    lock_take(&w->q->lock);
    list_remove(&w->node);
    lock_drop(&w->q->lock);
    w->closing = true;
    (void)loop_post(w->loop, &w->post);
}

/* ---- back ---- */

int jobq_restore(struct jobq *q, const struct job_restore *job)
{
    jobq_enter(q, pen_now());
    int r = broker_restore(q->broker, job, q->now);
    jobq_leave(q);
    return r;
}

int jobq_restore_dedupe(struct jobq *q, const char *dedupe, uint64_t id, mono_t put_at)
{
    jobq_enter(q, pen_now());
    int r = broker_restore_dedupe(q->broker, dedupe, id, put_at);
    jobq_leave(q);
    return r;
}

void jobq_store_closes(struct jobq *q)
{
    lock_take(&q->lock);
    q->restored = false;
    lock_drop(&q->lock);
}

void jobq_restored(struct jobq *q, uint64_t last_id)
{
    jobq_enter(q, pen_now());
    broker_skip_ids(q->broker, last_id);
    q->restored = true;
    jobq_leave(q);
}
