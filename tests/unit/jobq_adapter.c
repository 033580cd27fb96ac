/* SPDX-License-Identifier: Apache-2.0 */
#include "jobq_adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sync/lock.h"

enum { ITEMS_MAX_DEFAULT = 65536, ITEMS_MAX_MOST = 1 << 30, BUDGET_DEFAULT = 64 };

/* A job in hand. */
struct held {
    uint64_t id;
    uint32_t index;
};

struct queue {
    /* fixed after init */
    struct jobq *jobq;
    void (*destroy)(void *ptr, void *arg);
    void *destroy_arg;
    /* lock: lock */
    struct lock lock;
    struct held *hand; /* oldest first */
    size_t hand_count, hand_cap;
};

struct getter {
    struct queue *queue;
    struct jobq_getter *inside;
    struct pen_getter_options options;
};

struct putter {
    struct queue *queue;
    struct jobq_putter *inside;
    struct pen_putter_options options;
};

static void *must(void *memory)
{
    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* ---- jobs and items ---- */

static struct job_put job_of(const struct pen_item *item)
{
    uint32_t bytes = item->bytes < UINT32_MAX ? (uint32_t)item->bytes : UINT32_MAX;
    return (struct job_put){ .body = { .at = item->ptr, .bytes = bytes } };
}

static void *ptr_of(struct slice body)
{
    return (void *)(uintptr_t)body.at;
}

static struct job_put *jobs_of(const struct pen_item *items, size_t n)
{
    struct job_put *jobs = must(calloc(n + 1, sizeof *jobs));
    for (size_t i = 0; i < n; i++)
        jobs[i] = job_of(&items[i]);
    return jobs;
}

static bool any_null(const struct pen_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].ptr == NULL)
            return true;
    return false;
}

/* Remember what was taken, and give it as items. */
static void take_in_hand(struct queue *q, const struct job *jobs, size_t n,
                         struct pen_item *ret_items)
{
    lock_take(&q->lock);
    if (q->hand_count + n > q->hand_cap) {
        q->hand_cap = 2 * (q->hand_count + n);
        q->hand = must(reallocarray(q->hand, q->hand_cap, sizeof *q->hand));
    }
    for (size_t i = 0; i < n; i++) {
        q->hand[q->hand_count++] = (struct held){ jobs[i].id, jobs[i].index };
        ret_items[i] = (struct pen_item){ ptr_of(jobs[i].body), jobs[i].body.bytes };
    }
    lock_drop(&q->lock);
}

/* ---- making ---- */

static void on_dropped(struct jobq *jobq, struct job_dropped *jobs, size_t n, void *arg)
{
    struct queue *q = arg;
    (void)jobq;
    for (size_t i = 0; q->destroy != NULL && i < n; i++)
        q->destroy(ptr_of(jobs[i].body), q->destroy_arg);
}

static int make_with(const struct broker_limits *limits, const struct pen_queue_options *options,
                     void **ret_queue)
{
    struct queue *q = must(calloc(1, sizeof *q));
    struct jobq_options inside = {
        .name = "jobs", .limits = *limits, .on_dropped = on_dropped, .arg = q
    };
    inside.limits.attempts_max = 1; /* What is in hand does not come back. */
    q->destroy = options->destroy;
    q->destroy_arg = options->destroy_arg;
    lock_init(&q->lock, LOCK_GRAPH); /* Nothing is held when it is taken. */
    int r = jobq_new(&inside, &q->jobq);
    if (r < 0) {
        free(q);
        return r;
    }
    *ret_queue = q;
    return 0;
}

static int make(const struct pen_queue_options *options, void **ret_queue)
{
    if (options->items_max > ITEMS_MAX_MOST)
        return PEN_EINVAL;
    struct broker_limits limits = { .items_max = options->items_max != 0 ? options->items_max
                                                                         : ITEMS_MAX_DEFAULT,
                                    .bytes_max = options->bytes_max,
                                    .policy = BROKER_BLOCK };
    return make_with(&limits, options, ret_queue);
}

static void sum_destroyed(void *ptr, void *arg)
{
    struct destroyed *d = arg;
    d->count++;
    d->sum += num_of(ptr);
}

void *jobq_adapter_new(const struct broker_limits *limits, struct destroyed *destroyed)
{
    struct pen_queue_options options = { .destroy = destroyed != NULL ? sum_destroyed : NULL,
                                         .destroy_arg = destroyed };
    void *queue = NULL;
    ck_assert_int_eq(make_with(limits, &options, &queue), 0);
    return queue;
}

struct jobq *jobq_inside(void *queue)
{
    return ((struct queue *)queue)->jobq;
}

static void free_queue(void **queue)
{
    struct queue *q = *queue;
    if (q == NULL)
        return;
    jobq_shutdown(q->jobq, PEN_SHUTDOWN_IMMEDIATE);
    jobq_free(&q->jobq);
    ck_assert_ptr_null(q->jobq);
    lock_fini(&q->lock);
    free(q->hand);
    free(q);
    *queue = NULL;
}

/* ---- threads ---- */

static int put_many(void *queue, const struct pen_item *items, size_t n, pen_mono_t deadline,
                    size_t *ret_put)
{
    struct queue *q = queue;
    *ret_put = 0;
    if (any_null(items, n))
        return PEN_EINVAL;
    struct job_put *jobs = jobs_of(items, n);
    size_t decided = 0;
    int r = jobq_put(q->jobq, jobs, n, deadline, &decided);
    ck_assert_uint_le(decided, n);
    ck_assert(r < 0 || decided == n);
    for (size_t i = 0; i < decided; i++) {
        *ret_put += jobs[i].ret_status == 0;
        if (r == 0)
            r = jobs[i].ret_status;
    }
    free(jobs);
    return r;
}

static int put(void *queue, void *ptr, size_t bytes, pen_mono_t deadline)
{
    size_t n;
    return put_many(queue, &(struct pen_item){ ptr, bytes }, 1, deadline, &n);
}

static int get_many(void *queue, struct pen_item *ret_items, size_t max, pen_mono_t deadline,
                    size_t *ret_got)
{
    struct queue *q = queue;
    struct job *jobs = must(calloc(max + 1, sizeof *jobs));
    int r = jobq_take(q->jobq, jobs, max, deadline, ret_got);
    if (r == 0)
        take_in_hand(q, jobs, *ret_got, ret_items);
    free(jobs);
    return r;
}

static int get(void *queue, struct pen_item *ret_item, pen_mono_t deadline)
{
    size_t got;
    return get_many(queue, ret_item, 1, deadline, &got);
}

static int task_done(void *queue, size_t n)
{
    struct queue *q = queue;
    struct job_settle *ends = must(calloc(n + 1, sizeof *ends));
    lock_take(&q->lock);
    bool enough = n <= q->hand_count;
    if (enough) {
        for (size_t i = 0; i < n; i++)
            ends[i] = (struct job_settle){ .id = q->hand[i].id, .index = q->hand[i].index };
        q->hand_count -= n;
        if (q->hand_count > 0)
            memmove(q->hand, q->hand + n, q->hand_count * sizeof *q->hand);
    }
    lock_drop(&q->lock);
    if (enough)
        ck_assert_int_eq(jobq_settle(q->jobq, ends, n, NULL), 0);
    free(ends);
    return enough ? 0 : PEN_ETOOMANY;
}

static int join(void *queue, pen_mono_t deadline)
{
    return jobq_join(jobq_inside(queue), deadline);
}

static void shut_down(void *queue, enum pen_shutdown mode)
{
    jobq_shutdown(jobq_inside(queue), mode);
}

static void stats(void *queue, struct pen_queue_stats *ret_stats)
{
    struct jobq_stats s;
    jobq_stats(jobq_inside(queue), &s);
    ck_assert(s.ledger_holds);
    const struct broker_ledger *l = &s.ledger;
    uint64_t ended = l->done + l->dead + l->dropped[DROP_FAILED];
    uint64_t drained = l->dropped[DROP_OLDEST] + l->dropped[DROP_PURGED] + l->dropped[DROP_SHUTDOWN];
    *ret_stats = (struct pen_queue_stats){ .items = l->ready,
                                           .bytes = l->bytes,
                                           .put = l->accepted - l->dropped[DROP_NEWEST],
                                           .got = l->in_hand + ended,
                                           .done = ended + drained,
                                           .drained = drained,
                                           .unfinished = l->ready + l->in_hand,
                                           .items_high = l->items_high,
                                           .putters_waiting = s.putters_waiting,
                                           .getters_waiting = s.getters_waiting,
                                           .joiners_waiting = s.joiners_waiting,
                                           .put_waits = s.put_waits,
                                           .get_waits = s.get_waits,
                                           .shut_down = s.shut };
}

/* ---- loops that get ---- */

/* It may be closed by the callback, so that comes last. */
static void on_jobs(struct jobq_getter *inside, const struct job *jobs, size_t n, void *arg)
{
    struct getter *g = arg;
    struct pen_item items[LIMIT_BATCH_ITEMS];
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_le(n, LIMIT_BATCH_ITEMS);
    take_in_hand(g->queue, jobs, n, items);
    jobq_getter_want(inside, g->options.budget);
    g->options.on_items(NULL, items, n, g->options.arg);
}

static void on_end(struct jobq_getter *inside, void *arg)
{
    struct getter *g = arg;
    (void)inside;
    if (g->options.on_shutdown != NULL)
        g->options.on_shutdown(NULL, g->options.arg);
}

static int attach(void *queue, struct pen_loop *loop, const struct pen_getter_options *options,
                  void **ret_getter)
{
    if (options->budget > 1024)
        return PEN_EINVAL;
    struct getter *g = must(calloc(1, sizeof *g));
    struct jobq_getter_options inside = { .on_jobs = options->on_items != NULL ? on_jobs : NULL,
                                          .on_shutdown = on_end,
                                          .arg = g };
    g->queue = queue;
    g->options = *options;
    if (g->options.budget == 0)
        g->options.budget = BUDGET_DEFAULT;
    int r = jobq_attach(g->queue->jobq, loop, &inside, &g->inside);
    if (r < 0) {
        free(g);
        return r;
    }
    jobq_getter_want(g->inside, g->options.budget);
    *ret_getter = g;
    return 0;
}

static void pause_getter(void *getter)
{
    struct getter *g = getter;
    jobq_getter_want(g->inside, 0);
}

static void resume_getter(void *getter)
{
    struct getter *g = getter;
    jobq_getter_want(g->inside, g->options.budget);
}

static void close_getter(void **getter)
{
    struct getter *g = *getter;
    if (g == NULL)
        return;
    jobq_getter_close(&g->inside);
    ck_assert_ptr_null(g->inside);
    free(g);
    *getter = NULL;
}

/* ---- loops that put ---- */

/* The job queue has one event for both, because its users put again in either case. */
static void on_room(struct jobq_putter *inside, void *arg)
{
    struct putter *p = arg;
    struct jobq_stats s;
    (void)inside;
    jobq_stats(p->queue->jobq, &s);
    if (!s.shut)
        p->options.on_room(NULL, p->options.arg);
    else if (p->options.on_shutdown != NULL)
        p->options.on_shutdown(NULL, p->options.arg);
}

static int attach_putter(void *queue, struct pen_loop *loop,
                         const struct pen_putter_options *options, void **ret_putter)
{
    struct putter *p = must(calloc(1, sizeof *p));
    struct jobq_putter_options inside = { .on_room = options->on_room != NULL ? on_room : NULL,
                                          .arg = p };
    p->queue = queue;
    p->options = *options;
    int r = jobq_attach_putter(p->queue->jobq, loop, &inside, &p->inside);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret_putter = p;
    return 0;
}

static int putter_put(void *putter, const struct pen_item *items, size_t n)
{
    struct putter *p = putter;
    if (any_null(items, n))
        return PEN_EINVAL;
    struct job_put *jobs = jobs_of(items, n);
    int r = jobq_putter_put(p->inside, jobs, n);
    if (r > 0 && jobs[0].ret_status < 0)
        r = jobs[0].ret_status;
    free(jobs);
    return r;
}

static void close_putter(void **putter)
{
    struct putter *p = *putter;
    if (p == NULL)
        return;
    jobq_putter_close(&p->inside);
    ck_assert_ptr_null(p->inside);
    free(p);
    *putter = NULL;
}

const struct queue_ops jobq_ops = {
    .name = "job queue",
    .holds_taken = true,
    .decides_each = true,
    .dies_of_mistakes = true,
    .make = make,
    .free = free_queue,
    .put = put,
    .put_many = put_many,
    .get = get,
    .get_many = get_many,
    .task_done = task_done,
    .join = join,
    .shutdown = shut_down,
    .stats = stats,
    .attach = attach,
    .pause = pause_getter,
    .resume = resume_getter,
    .close = close_getter,
    .attach_putter = attach_putter,
    .putter_put = putter_put,
    .putter_close = close_putter,
};
