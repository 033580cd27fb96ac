/* SPDX-License-Identifier: Apache-2.0
 *
 * A monitor round the broker's state. Every call is: lock, leave the line if we were in it, one command, decide whom to
 * wake, unlock, signal, tell about drops. Who waits is in sync/waiters; the rules here are only when it is worth
 * waking somebody:
 *   - a getter when something is ready,
 *   - a putter when there is room for what the first in line wants to put, or the queue was shut down,
 *   - the joiners when nothing is held.
 * Whoever carried the wake passes it on while that still holds (the baton).
 *
 * First come, first served: while putters wait, a newcomer that may have to wait goes behind them.
 *
 * Thread: any for the queue; a getter or putter belongs to its loop.
 */
#include "flow/jobq.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "loop/io.h"
#include "sync/lock.h"
#include "sync/waiters.h"

struct jobq {
    /* fixed after init */
    struct jobq_options options;
    char name[LIMIT_NAME_BYTES + 1];

    /* lock: lock */
    struct lock lock;
    struct broker *broker;
    struct waiters getters, putters, joiners;
};

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
    bool over;     /* owner: loop; the shutdown event was given */
};

struct jobq_putter {
    struct attachment at;
    struct jobq_putter_options options;
};

/* ---- whom to wake ---- */

struct wakes {
    struct wake getter, putter;
};

static struct wakes pick_wakes(struct jobq *q) LOCKED(&q->lock)
{
    struct wakes w = { NO_WAKE, NO_WAKE };
    if (broker_has_ready(q->broker))
        w.getter = waiters_pick(&q->getters);
    if (waiters_any(&q->putters) && broker_has_room(q->broker, waiters_first(&q->putters)->need))
        w.putter = waiters_pick(&q->putters);
    if (broker_is_idle(q->broker))
        waiters_wake_all(&q->joiners);
    return w;
}

/* Unlock, then do what must not be done under the lock: signal, and tell about drops in batches. */
static void unlock_and_tell(struct jobq *q, struct wakes w) RELEASES(&q->lock)
{
    bool dropped = broker_has_dropped(q->broker);
    lock_drop(&q->lock);
    wake_send(w.getter);
    wake_send(w.putter);
    while (dropped) {
        struct job_dropped jobs[64];
        lock_take(&q->lock);
        size_t n = broker_reap(q->broker, jobs, sizeof jobs / sizeof jobs[0]);
        dropped = broker_has_dropped(q->broker);
        lock_drop(&q->lock);
        if (n == 0)
            break;
        q->options.on_dropped(q, jobs, n, q->options.arg);
    }
}

/* ---- threads ---- */

/* Where a thread stands when it has to wait. */
struct place {
    struct waiters *line;
    uint64_t need; /* bytes, of a putter */
    bool front;    /* it was woken before, and found too little */
};

/* Wait in a line; locked again afterwards. 0, or PEN_ETIMEOUT. A wake that was carried is the caller's to use or, by its
 * next pick_wakes(), to pass on. */
static int wait_in_line(struct jobq *q, struct place *at, mono_t deadline) LOCKED(&q->lock)
{
    struct waiter me;
    waiter_init(&me, NULL);
    me.need = at->need;
    waiters_park(at->line, &me, at->front);
    unlock_and_tell(q, pick_wakes(q));
    bool woken = waiter_sleep(&me, deadline);
    lock_take(&q->lock);
    at->front = woken;
    waiters_leave(at->line, &me);
    return woken ? 0 : PEN_ETIMEOUT;
}

/* Somebody waits already, and a newcomer goes behind. */
static bool must_queue_up(const struct jobq *q, bool was_woken) LOCKED(&q->lock)
{
    return !was_woken && waiters_any(&q->putters) && !broker_is_shut(q->broker);
}

int jobq_put(struct jobq *q, struct job_put *jobs, size_t n, mono_t deadline, size_t *ret_decided)
{
    struct place at = { .line = &q->putters };
    size_t done = 0;
    int r = 0;
    lock_take(&q->lock);
    while (done < n) {
        r = must_queue_up(q, at.front) ? 0 : broker_put(q->broker, jobs + done, n - done);
        if (r < 0)
            break;
        done += (size_t)r;
        if (done == n)
            break;
        at.need = jobs[done].body.bytes;
        r = deadline.ns == PEN_NOW.ns ? PEN_EFULL : wait_in_line(q, &at, deadline);
        if (r < 0)
            break;
    }
    unlock_and_tell(q, pick_wakes(q));
    *ret_decided = done;
    return r < 0 ? r : 0;
}

int jobq_take(struct jobq *q, struct job *ret_jobs, size_t max, mono_t deadline, size_t *ret_taken)
{
    struct place at = { .line = &q->getters };
    int r = 0;
    size_t n;
    lock_take(&q->lock);
    while ((n = broker_take(q->broker, ret_jobs, max)) == 0) {
        r = broker_is_shut(q->broker) ? PEN_ESHUTDOWN : deadline.ns == PEN_NOW.ns ? PEN_EEMPTY : 0;
        if (r == 0)
            r = wait_in_line(q, &at, deadline);
        if (r < 0)
            break;
    }
    unlock_and_tell(q, pick_wakes(q));
    if (n == 0)
        return r;
    *ret_taken = n;
    return 0;
}

int jobq_join(struct jobq *q, mono_t deadline)
{
    struct place at = { .line = &q->joiners };
    int r = 0;
    lock_take(&q->lock);
    while (!broker_is_idle(q->broker) && r == 0)
        r = wait_in_line(q, &at, deadline);
    if (broker_is_idle(q->broker))
        r = 0;
    lock_drop(&q->lock);
    return r;
}

/* ---- commands without waiting ---- */

int jobq_settle(struct jobq *q, struct job_settle *jobs, size_t n)
{
    size_t settled;
    lock_take(&q->lock);
    int r = broker_settle(q->broker, jobs, n, &settled);
    unlock_and_tell(q, pick_wakes(q));
    return r;
}

void jobq_shutdown(struct jobq *q, enum pen_shutdown mode)
{
    lock_take(&q->lock);
    broker_shutdown(q->broker, mode == PEN_SHUTDOWN_IMMEDIATE);
    waiters_wake_all(&q->getters);
    waiters_wake_all(&q->putters);
    unlock_and_tell(q, pick_wakes(q));
}

void jobq_pause(struct jobq *q)
{
    lock_take(&q->lock);
    if (!broker_is_shut(q->broker))
        broker_set_paused(q->broker, true);
    lock_drop(&q->lock);
}

void jobq_resume(struct jobq *q)
{
    lock_take(&q->lock);
    broker_set_paused(q->broker, false);
    unlock_and_tell(q, pick_wakes(q));
}

uint64_t jobq_purge(struct jobq *q)
{
    lock_take(&q->lock);
    uint64_t n = broker_purge(q->broker);
    unlock_and_tell(q, pick_wakes(q));
    return n;
}

void jobq_stats(struct jobq *q, struct jobq_stats *ret_stats)
{
    lock_take(&q->lock);
    *ret_stats = (struct jobq_stats){
        .ledger = *broker_ledger(q->broker),
        .shut = broker_is_shut(q->broker),
        .paused = broker_is_paused(q->broker),
        .ledger_holds = broker_ledger_holds(q->broker),
    };
    lock_drop(&q->lock);
}

const char *jobq_name(const struct jobq *q)
{
    return q->name;
}

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

/* Leave the line and pass a carried wake on. A wake that was picked is in the inbox already, so nobody touches the
 * object any more after its post has run: there it is freed. */
static void attachment_close(struct attachment *at)
{
    struct jobq *q = at->q;
    loop_assert_here(at->loop);
    lock_take(&q->lock);
    waiters_leave(at->line, &at->waiter);
    unlock_and_tell(q, pick_wakes(q));
    at->closing = true;
    (void)loop_post(at->loop, &at->post);
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
    size_t max = g->want < LIMIT_BATCH_ITEMS ? g->want : LIMIT_BATCH_ITEMS, n = 0;
    *ret_over = false;
    lock_take(&q->lock);
    waiters_leave(&q->getters, &g->at.waiter);
    if (max > 0) {
        n = broker_take(q->broker, ret_jobs, max);
        *ret_over = n == 0 && broker_is_shut(q->broker);
        if (n == 0 && !*ret_over)
            waiters_park(&q->getters, &g->at.waiter, false);
    }
    unlock_and_tell(q, pick_wakes(q));
    return n;
}

static void getter_run(struct pen_loop *loop, void *arg, int status)
{
    struct jobq_getter *g = arg;
    if (attachment_ended(&g->at) || status != 0 || g->over)
        return;
    struct job jobs[LIMIT_BATCH_ITEMS];
    bool over;
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
    if ((start || stop) && !g->over)
        (void)loop_post(g->at.loop, &g->at.post); /* It takes, or leaves the line. */
}

void jobq_getter_close(struct jobq_getter **getter)
{
    struct jobq_getter *g = *getter;
    if (g == NULL)
        return;
    *getter = NULL;
    attachment_close(&g->at);
}

/* ---- putters ---- */

static void putter_run(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct jobq_putter *p = arg;
    if (attachment_ended(&p->at) || status != 0)
        return;
    p->options.on_room(p, p->options.arg);
}

int jobq_attach_putter(struct jobq *q, struct pen_loop *loop,
                       const struct jobq_putter_options *options, struct jobq_putter **ret_putter)
{
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

int jobq_putter_put(struct jobq_putter *p, struct job_put *jobs, size_t n)
{
    struct jobq *q = p->at.q;
    loop_assert_here(p->at.loop);
    lock_take(&q->lock);
    bool was_woken = p->at.waiter.state == WAITER_PICKED;
    waiters_leave(&q->putters, &p->at.waiter);
    int r = must_queue_up(q, was_woken) ? 0 : broker_put(q->broker, jobs, n);
    if (r >= 0 && (size_t)r < n) {
        p->at.waiter.need = jobs[r].body.bytes;
        waiters_park(&q->putters, &p->at.waiter, was_woken && r == 0);
    }
    unlock_and_tell(q, pick_wakes(q));
    return r;
}

void jobq_putter_close(struct jobq_putter **putter)
{
    struct jobq_putter *p = *putter;
    if (p == NULL)
        return;
    *putter = NULL;
    attachment_close(&p->at);
}

/* ---- making and freeing ---- */

static void release_dropped(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg)
{
    (void)q;
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        slice_release(&jobs[i].body);
        job_ext_free(jobs[i].ext);
    }
}

int jobq_new(const struct jobq_options *options, struct jobq **ret_queue)
{
    struct jobq *q = calloc(1, sizeof *q);
    if (q == NULL)
        return PEN_ENOMEM;
    q->options = *options;
    if (q->options.on_dropped == NULL)
        q->options.on_dropped = release_dropped;
    int r = strlen(options->name) > LIMIT_NAME_BYTES ? PEN_EINVAL
                                                     : broker_new(&options->limits, &q->broker);
    if (r < 0) {
        free(q);
        return r;
    }
    memcpy(q->name, options->name, strlen(options->name) + 1);
    lock_init(&q->lock, LOCK_JOBQ);
    waiters_init(&q->getters);
    waiters_init(&q->putters);
    waiters_init(&q->joiners);
    *ret_queue = q;
    return 0;
}

void jobq_free(struct jobq **queue)
{
    struct jobq *q = *queue;
    if (q == NULL)
        return;
    check(!waiters_any(&q->getters) && !waiters_any(&q->putters) && !waiters_any(&q->joiners));
    broker_free(&q->broker);
    lock_fini(&q->lock);
    free(q);
    *queue = NULL;
}
