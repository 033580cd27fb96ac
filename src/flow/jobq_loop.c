/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops at a job queue. Each has a place in a line and a post that brings the wake-up home; the rules of whom to wake are in
 * jobq.c.
 *
 * Thread: a getter, taker or putter belongs to its loop.
 */
#include <stdlib.h>

#include "base/check.h"
#include "flow/jobq_inside.h"

/* What a loop's getter and putter have in common: a place in a line, and a post that brings the wake-up home. */
struct attachment {
    struct jobq *q;        /* fixed after init */
    struct pen_loop *loop; /* fixed after init */
    struct waiters *line;  /* fixed after init */
    struct waiter waiter;  /* lock: q->lock */
    struct post post;      /* the inbox's */
    bool closing;          /* owner: loop; freed by its post */
    void *memory;          /* fixed: what free() takes */
};

struct jobq_getter {
    struct attachment at;
    struct jobq_getter_options options;
    uint32_t want; /* owner: loop */
    bool in_line;  /* owner: loop; it stands there, or was picked and its post is coming */
    bool over;     /* owner: loop; the shutdown event was given */
};

struct jobq_taker {
    struct attachment at;
    struct jobq_taker_options options;
};

struct jobq_putter {
    struct attachment at;
    struct jobq_putter_options options;
};

/* ---- attachments ---- */

static void attachment_signal(struct waiter *w)
{
    struct attachment *at = CONTAINER_OF(w, struct attachment, waiter);
    (void)loop_post(at->loop, &at->post);
}

static void attachment_init(struct attachment *at, struct jobq *q, struct pen_loop *loop,
                            struct waiters *line)
{
    at->q = q;
    at->loop = loop;
    at->line = line;
    waiter_init(&at->waiter, attachment_signal);
}

/* Leave the line and pass a carried wake on. */
static void attachment_quit(struct attachment *at)
{
    struct jobq *q = at->q;
    jobq_enter(q, PEN_NOW);
    (void)waiters_leave(at->line, &at->waiter);
    jobq_leave(q);
}

/* A wake that was picked is in the inbox already, so nobody touches the
 * object any more after its post has run: there it is freed. */
static void attachment_close(struct attachment *at)
{
    loop_assert_here(at->loop);
    attachment_quit(at);
    at->closing = true;
    (void)loop_post(at->loop, &at->post);
}

/* It was picked, and has not come back since. */
static bool attachment_has_turn(struct attachment *at)
{
    lock_take(&at->q->lock);
    bool picked = at->waiter.state == WAITER_PICKED;
    lock_drop(&at->q->lock);
    return picked;
}

/* The first line of each post: true when the attachment is gone. */
static bool attachment_ended(struct attachment *at)
{
    if (!at->closing)
        return false;
    free(at->memory);
    return true;
}

/* ---- getters ---- */

/* Take what is wanted and ready, or wait in line; n 0 with *ret_over when the queue has ended. */
static size_t getter_take(struct jobq_getter *g, struct job *ret_jobs, bool *ret_over)
{
    struct jobq *q = g->at.q;
    struct job_take how = { .max = g->want < LIMIT_BATCH_ITEMS ? g->want : LIMIT_BATCH_ITEMS };
    int n = 0;
    *ret_over = false;
    jobq_enter(q, pen_loop_now(g->at.loop));
    bool picked = g->at.waiter.state == WAITER_PICKED;
    (void)waiters_leave(&q->getters, &g->at.waiter);
    if (how.max > 0) {
        n = broker_take(q->broker, &how, ret_jobs, q->now);
        check(n >= 0); /* Without a lease nothing is allocated. */
        *ret_over = n == 0 && jobq_is_over(q);
        g->in_line = n == 0 && !*ret_over;
        if (g->in_line)
            waiters_park(&q->getters, &g->at.waiter, picked); /* First, when it was woken in vain. */
    }
    jobq_leave(q);
    return (size_t)n;
}

static void getter_run(struct pen_loop *loop, void *arg, int status)
{
    struct jobq_getter *g = arg;
    if (attachment_ended(&g->at) || status != 0 || g->over)
        return;
    struct job jobs[LIMIT_BATCH_ITEMS];
    bool over;
    g->in_line = false;
    size_t n = getter_take(g, jobs, &over);
    if (n > 0) {
        g->want -= (uint32_t)n;
        if (g->want > 0)
            (void)loop_post(loop, &g->at.post); /* The next batch in the next turn. */
        g->options.on_jobs(g, jobs, n, g->options.arg);
    } else if (over) {
        g->over = true;
        g->options.on_shutdown(g, g->options.arg);
    }
}

int jobq_attach(struct jobq *q, struct pen_loop *loop, const struct jobq_getter_options *options,
                struct jobq_getter **ret_getter)
{
    if (options->on_jobs == NULL || options->on_shutdown == NULL)
        return PEN_EINVAL;
    if (!loop_may_touch(loop))
        return PEN_EWRONGTHREAD;
    struct jobq_getter *g = calloc(1, sizeof *g);
    if (g == NULL)
        return PEN_ENOMEM;
    attachment_init(&g->at, q, loop, &q->getters);
    g->at.memory = g;
    post_init(&g->at.post, getter_run, g);
    g->options = *options;
    *ret_getter = g;
    return 0;
}

void jobq_getter_want(struct jobq_getter *g, uint32_t n)
{
    loop_assert_here(g->at.loop);
    bool start = g->want == 0 && n > 0;
    bool stop = g->want > 0 && n == 0;
    g->want = n;
    if (start && !g->over)
        (void)loop_post(g->at.loop, &g->at.post);
    if (stop && g->in_line) {
        g->in_line = false;
        attachment_quit(&g->at);
    }
}

void jobq_getter_close(struct jobq_getter **getter)
{
    struct jobq_getter *g = *getter;
    if (g == NULL)
        return;
    *getter = NULL;
    attachment_close(&g->at);
}

/* ---- takers ---- */

static void taker_run(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct jobq_taker *t = arg;
    if (attachment_ended(&t->at) || status != 0 || !attachment_has_turn(&t->at))
        return;
    t->options.on_ready(t, t->options.arg);
}

int jobq_attach_taker(struct jobq *q, struct pen_loop *loop,
                      const struct jobq_taker_options *options, struct jobq_taker **ret_taker)
{
    if (options->on_ready == NULL)
        return PEN_EINVAL;
    if (!loop_may_touch(loop))
        return PEN_EWRONGTHREAD;
    struct jobq_taker *t = calloc(1, sizeof *t);
    if (t == NULL)
        return PEN_ENOMEM;
    attachment_init(&t->at, q, loop, &q->getters);
    t->at.memory = t;
    post_init(&t->at.post, taker_run, t);
    t->options = *options;
    *ret_taker = t;
    return 0;
}

int jobq_taker_take(struct jobq_taker *t, const struct job_take *how, struct job *ret_jobs)
{
    struct jobq *q = t->at.q;
    loop_assert_here(t->at.loop);
    jobq_enter(q, pen_loop_now(t->at.loop));
    if (t->at.waiter.state == WAITER_PICKED)
        (void)waiters_leave(&q->getters, &t->at.waiter);
    int n = broker_take(q->broker, how, ret_jobs, q->now);
    if (n == 0 && jobq_is_over(q))
        n = PEN_ESHUTDOWN;
    jobq_leave(q);
    return n;
}

/* Parked first and looked at then, as everybody: what is ready already picks it at once. */
void jobq_taker_wait(struct jobq_taker *t)
{
    struct jobq *q = t->at.q;
    loop_assert_here(t->at.loop);
    jobq_enter(q, PEN_NOW);
    bool picked = t->at.waiter.state == WAITER_PICKED;
    if (t->at.waiter.state != WAITER_PARKED) {
        (void)waiters_leave(&q->getters, &t->at.waiter);
        waiters_park(&q->getters, &t->at.waiter, picked);
        q->over_told = false;
    }
    jobq_leave(q);
}

void jobq_taker_pass(struct jobq_taker *t)
{
    attachment_quit(&t->at);
}

void jobq_taker_close(struct jobq_taker **taker)
{
    struct jobq_taker *t = *taker;
    if (t == NULL)
        return;
    *taker = NULL;
    attachment_close(&t->at);
}

/* ---- putters ---- */

static void putter_run(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct jobq_putter *p = arg;
    if (attachment_ended(&p->at) || status != 0 || !attachment_has_turn(&p->at))
        return;
    p->options.on_room(p, p->options.arg);
}

int jobq_attach_putter(struct jobq *q, struct pen_loop *loop,
                       const struct jobq_putter_options *options, struct jobq_putter **ret_putter)
{
    if (options->on_room == NULL)
        return PEN_EINVAL;
    if (!loop_may_touch(loop))
        return PEN_EWRONGTHREAD;
    struct jobq_putter *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    attachment_init(&p->at, q, loop, &q->putters);
    p->at.memory = p;
    post_init(&p->at.post, putter_run, p);
    p->options = *options;
    *ret_putter = p;
    return 0;
}

/* It may try: it was woken, it stands first in line, or nobody does, or the queue will say that it is shut down. */
static bool putter_has_turn(const struct jobq *q, const struct waiter *w) LOCKED(&q->lock)
{
    if (w->state == WAITER_PICKED || broker_is_shut(q->broker))
        return true;
    return !q->putters.waking && (!waiters_any(&q->putters) || waiters_first(&q->putters) == w);
}

/* How many of n were decided, or an error. */
static int put(struct jobq *q, const struct jobq_putter *p, bool whole, struct job_put *jobs,
               size_t n) LOCKED(&q->lock)
{
    if (q->options.durable != NULL)
        return whole ? jobq_put_all_kept(q, jobs, n) : jobq_put_kept(q, jobs, n, p->options.patient);
    return whole ? broker_put_all(q->broker, jobs, n, q->now)
                 : broker_put(q->broker, jobs, n, q->now);
}

/* A place in line is kept while nothing could be put. One that was picked and found too little goes to the front
 * again; one that has put something has had its turn, and goes to the back with the rest. `whole`: what waits is all
 * of it. */
static int putter_try(struct jobq_putter *p, bool whole, struct job_put *jobs, size_t n)
{
    struct jobq *q = p->at.q;
    struct waiter *w = &p->at.waiter;
    loop_assert_here(p->at.loop);
    jobq_enter(q, pen_loop_now(p->at.loop));
    bool picked = w->state == WAITER_PICKED;
    int r = putter_has_turn(q, w) ? put(q, p, whole, jobs, n) : 0;
    bool wants = r >= 0 && (size_t)r < n;
    if (!wants || r > 0 || picked)
        (void)waiters_leave(&q->putters, w);
    if (wants)
        w->need = jobq_need(jobs + r, whole ? n : 1);
    if (wants && w->state == WAITER_IDLE)
        waiters_park(&q->putters, w, picked && r == 0);
    jobq_leave(q);
    return r;
}

int jobq_putter_put(struct jobq_putter *p, struct job_put *jobs, size_t n)
{
    return putter_try(p, false, jobs, n);
}

int jobq_putter_put_all(struct jobq_putter *p, struct job_put *jobs, size_t n)
{
    return putter_try(p, true, jobs, n);
}

void jobq_putter_close(struct jobq_putter **putter)
{
    struct jobq_putter *p = *putter;
    if (p == NULL)
        return;
    *putter = NULL;
    attachment_close(&p->at);
}
