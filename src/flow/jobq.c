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
 * First come, first served: while putters wait, or one is on its way with its wake, a newcomer goes behind them. Without the
 * second half small newcomers take the room for which a large one was woken, again and again.
 *
 * Drops are told by the thread whose call dropped them, before that call returns: it takes their list in the hold in which it
 * made them. They are unfinished, and joiners wait, until on_dropped has returned for them. A joiner is released
 * at the moment at which nothing is unfinished, whatever is put before it runs.
 *
 * Thread: any for the queue; a getter or putter belongs to its loop.
 */
#include "flow/jobq.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "loop/io.h"
#include "plat/clock.h"
#include "sync/lock.h"
#include "sync/waiters.h"

struct jobq {
    /* fixed after init */
    struct jobq_options options;
    char name[LIMIT_NAME_BYTES + 1];

    /* lock: lock */
    struct lock lock;
    struct broker *broker;
    uint64_t untold; /* dropped jobs for which on_dropped has not returned */
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
    bool in_line;  /* owner: loop; it stands there, or was picked and its post is coming */
    bool over;     /* owner: loop; the shutdown event was given */
};

struct jobq_putter {
    struct attachment at;
    struct jobq_putter_options options;
};

/* ---- whom to wake, and what to tell ---- */

enum { TELL_JOBS = 64 };

static bool all_finished(const struct jobq *q) LOCKED(&q->lock)
{
    return broker_is_idle(q->broker) && q->untold == 0;
}

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
    if (all_finished(q))
        waiters_wake_all(&q->joiners);
    return w;
}

static void tell(struct jobq *q, struct broker_drops drops)
{
    struct job_dropped jobs[TELL_JOBS];
    size_t n = 0;
    do {
        lock_take(&q->lock);
        q->untold -= n;
        n = broker_reap(q->broker, &drops, jobs, TELL_JOBS);
        if (all_finished(q))
            waiters_wake_all(&q->joiners);
        lock_drop(&q->lock);
        if (n > 0)
            q->options.on_dropped(q, jobs, n, q->options.arg);
    } while (n > 0);
}

/* The end of every call: decide whom to wake, unlock, and do what must not be done under the lock. */
static void unlock_and_tell(struct jobq *q) RELEASES(&q->lock)
{
    struct broker_drops drops = broker_take_drops(q->broker);
    q->untold += drops.count;
    struct wakes w = pick_wakes(q);
    lock_drop(&q->lock);
    wake_send(w.getter);
    wake_send(w.putter);
    if (drops.count > 0)
        tell(q, drops);
}

/* ---- threads ---- */

/* Where a thread stands when it has to wait. */
struct place {
    struct waiters *line;
    uint64_t need; /* bytes, of a putter */
    bool front;    /* it was woken before, and found too little */
};

/* Wait in a line; locked again afterwards. 0, or PEN_ETIMEOUT. A wake that was carried is the caller's to use or, by its
 * next unlock_and_tell(), to pass on. */
static int wait_in_line(struct jobq *q, struct place *at, mono_t deadline) LOCKED(&q->lock)
{
    struct waiter me;
    waiter_init(&me, NULL);
    me.need = at->need;
    waiters_park(at->line, &me, at->front);
    unlock_and_tell(q);
    (void)waiter_sleep(&me, deadline);
    lock_take(&q->lock);
    at->front = me.state ==
                WAITER_PICKED; /* Perhaps after its time, but then it is its turn all the same. */
    (void)waiters_leave(at->line, &me);
    return at->front ? 0 : PEN_ETIMEOUT;
}

/* A putter may try: it was woken, or nobody was there before it. */
static bool has_turn(const struct jobq *q, bool woken) LOCKED(&q->lock)
{
    bool nobody = !waiters_any(&q->putters) && !q->putters.waking;
    return woken || nobody || broker_is_shut(q->broker);
}

int jobq_put(struct jobq *q, struct job_put *jobs, size_t n, mono_t deadline, size_t *ret_decided)
{
    struct place at = { .line = &q->putters };
    size_t done = 0;
    int r = 0;
    lock_take(&q->lock);
    while (done < n) {
        r = has_turn(q, at.front) ? broker_put(q->broker, jobs + done, n - done, clock_mono()) : 0;
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
    unlock_and_tell(q);
    *ret_decided = done;
    return r < 0 ? r : 0;
}

/* For one of our own handlers. */
static size_t take(struct jobq *q, struct job *ret_jobs, size_t max) LOCKED(&q->lock)
{
    struct job_take how = { .max = max };
    int n = broker_take(q->broker, &how, ret_jobs, clock_mono());
    check(n >= 0); /* Without a lease nothing is allocated. */
    return (size_t)n;
}

int jobq_take(struct jobq *q, struct job *ret_jobs, size_t max, mono_t deadline, size_t *ret_taken)
{
    struct place at = { .line = &q->getters };
    int r = 0;
    size_t n;
    if (max == 0)
        return PEN_EINVAL;
    lock_take(&q->lock);
    while ((n = take(q, ret_jobs, max)) == 0) {
        r = broker_is_shut(q->broker) ? PEN_ESHUTDOWN : deadline.ns == PEN_NOW.ns ? PEN_EEMPTY : 0;
        if (r == 0)
            r = wait_in_line(q, &at, deadline);
        if (r < 0)
            break;
    }
    unlock_and_tell(q);
    if (n == 0)
        return r;
    *ret_taken = n;
    return 0;
}

int jobq_join(struct jobq *q, mono_t deadline)
{
    struct waiter me;
    waiter_init(&me, NULL);
    lock_take(&q->lock);
    bool wait = !all_finished(q);
    if (wait)
        waiters_park(&q->joiners, &me, false);
    lock_drop(&q->lock);
    if (!wait)
        return 0;
    (void)waiter_sleep(&me, deadline);
    lock_take(&q->lock);
    bool released = me.state == WAITER_PICKED;
    (void)waiters_leave(&q->joiners, &me);
    lock_drop(&q->lock);
    return released ? 0 : PEN_ETIMEOUT;
}

/* ---- commands without waiting ---- */

int jobq_settle(struct jobq *q, struct job_settle *jobs, size_t n)
{
    size_t settled;
    lock_take(&q->lock);
    int r = broker_settle(q->broker, jobs, n, clock_mono(), &settled);
    unlock_and_tell(q);
    return r;
}

void jobq_shutdown(struct jobq *q, enum pen_shutdown mode)
{
    lock_take(&q->lock);
    broker_shutdown(q->broker, mode == PEN_SHUTDOWN_IMMEDIATE ? BROKER_DROP : BROKER_DRAIN);
    waiters_wake_all(&q->getters);
    waiters_wake_all(&q->putters);
    unlock_and_tell(q);
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
    unlock_and_tell(q);
}

uint64_t jobq_purge(struct jobq *q)
{
    lock_take(&q->lock);
    uint64_t n = broker_purge(q->broker);
    unlock_and_tell(q);
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
        .putters_waiting = q->putters.parked_count,
        .getters_waiting = q->getters.parked_count,
        .joiners_waiting = q->joiners.parked_count,
        .put_waits = q->putters.waits,
        .get_waits = q->getters.waits,
        .put_wakes = q->putters.wakes,
        .get_wakes = q->getters.wakes,
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

/* Leave the line and pass a carried wake on. */
static void attachment_quit(struct attachment *at)
{
    struct jobq *q = at->q;
    lock_take(&q->lock);
    (void)waiters_leave(at->line, &at->waiter);
    unlock_and_tell(q);
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
    bool picked = g->at.waiter.state == WAITER_PICKED;
    (void)waiters_leave(&q->getters, &g->at.waiter);
    if (max > 0) {
        n = take(q, ret_jobs, max);
        *ret_over = n == 0 && broker_is_shut(q->broker);
        g->in_line = n == 0 && !*ret_over;
        if (g->in_line)
            waiters_park(&q->getters, &g->at.waiter, picked); /* First, when it was woken in vain. */
    }
    unlock_and_tell(q);
    return n;
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

/* ---- putters ---- */

static void putter_run(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct jobq_putter *p = arg;
    if (attachment_ended(&p->at) || status != 0)
        return;
    lock_take(&p->at.q->lock);
    bool picked = p->at.waiter.state == WAITER_PICKED; /* And has not put since. */
    lock_drop(&p->at.q->lock);
    if (!picked)
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

/* It stands in line with nobody before it. */
static bool is_next(const struct jobq *q, const struct waiter *w) LOCKED(&q->lock)
{
    return w->state == WAITER_PARKED && !q->putters.waking && waiters_first(&q->putters) == w;
}

/* A place in line is kept while nothing could be put. One that was picked and found too little goes to the front
 * again; one that has put something has had its turn, and goes to the back with the rest. */
int jobq_putter_put(struct jobq_putter *p, struct job_put *jobs, size_t n)
{
    struct jobq *q = p->at.q;
    struct waiter *w = &p->at.waiter;
    loop_assert_here(p->at.loop);
    lock_take(&q->lock);
    bool picked = w->state == WAITER_PICKED;
    int r = has_turn(q, picked || is_next(q, w)) ? broker_put(q->broker, jobs, n, clock_mono()) : 0;
    bool wants = r >= 0 && (size_t)r < n;
    if (!wants || r > 0 || picked)
        (void)waiters_leave(&q->putters, w);
    if (wants)
        w->need = jobs[r].body.bytes;
    if (wants && w->state == WAITER_IDLE)
        waiters_park(&q->putters, w, picked && r == 0);
    unlock_and_tell(q);
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
    struct broker_options broker = { .limits = options->limits };
    int r = strlen(options->name) > LIMIT_NAME_BYTES ? PEN_EINVAL : broker_new(&broker, &q->broker);
    if (r < 0) {
        free(q);
        return r;
    }
    memcpy(q->name, options->name, strlen(options->name) + 1);
    q->options.name = q->name;
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
    check(q->untold == 0);
    broker_free(&q->broker);
    lock_fini(&q->lock);
    free(q);
    *queue = NULL;
}
