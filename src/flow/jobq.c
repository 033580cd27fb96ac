/* SPDX-License-Identifier: Apache-2.0
 *
 * A monitor round the broker's state. Every call is: lock, leave the line if we were in it, one command, decide whom to
 * wake, unlock, signal, tell about drops. Who waits is in sync/waiters; the rules here are only when it is worth
 * waking somebody:
 *   - a getter when something is ready, and all of them when nothing will be any more,
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
 * The clock is read before the lock is taken, once for each call and each time it wakes. Callers' clocks may pass each other on
 * the way, so a queue's own never goes back.
 *
 * Thread: any.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/jobq_inside.h"

enum { TELL_JOBS = 64 };

/* ---- whom to wake, and what to tell ---- */

static bool all_finished(const struct jobq *q) LOCKED(&q->lock)
{
    return broker_is_idle(q->broker) && q->untold == 0;
}

bool jobq_is_over(const struct jobq *q)
{
    const struct broker_ledger *g = broker_ledger(q->broker);
    bool once = q->options.limits.attempts_max == 1;
    return broker_is_over(q->broker) ||
           (once && broker_is_shut(q->broker) && g->ready + g->waiting + g->delayed == 0);
}

struct wakes {
    struct wake getter, putter;
};

static bool first_has_room(const struct jobq *q) LOCKED(&q->lock)
{
    uint64_t need = waiters_first(&q->putters)->need;
    return broker_has_room_for(q->broker, need >> NEED_ITEMS_SHIFT,
                               need & ((UINT64_C(1) << NEED_ITEMS_SHIFT) - 1));
}

static struct wakes pick_wakes(struct jobq *q) LOCKED(&q->lock)
{
    struct wakes w = { NO_WAKE, NO_WAKE };
    if (broker_has_ready(q->broker))
        w.getter = waiters_pick(&q->getters);
    if (waiters_any(&q->putters) && !q->store_full && first_has_room(q))
        w.putter = waiters_pick(&q->putters);
    if (!q->over_told && jobq_is_over(q)) {
        q->over_told = true;
        waiters_wake_all(&q->getters);
    }
    if (all_finished(q))
        waiters_wake_all(&q->joiners);
    return w;
}

static void tell(struct jobq *q, struct broker_drops drops)
{
    struct job_dropped jobs[TELL_JOBS];
    size_t n = 0;
    do {
        jobq_enter(q, PEN_NOW);
        q->untold -= n;
        n = broker_reap(q->broker, &drops, jobs, TELL_JOBS);
        if (all_finished(q))
            waiters_wake_all(&q->joiners);
        bool news = jobq_time_look(q);
        lock_drop(&q->lock);
        if (news)
            jobq_time_tell(q);
        if (n > 0)
            q->options.on_dropped(q, jobs, n, q->options.arg);
    } while (n > 0);
}

void jobq_enter(struct jobq *q, mono_t now)
{
    lock_take(&q->lock);
    if (mono_before(q->now, now))
        q->now = now;
}

void jobq_leave(struct jobq *q)
{
    struct broker_drops drops = broker_take_drops(q->broker);
    q->untold += drops.count;
    struct wakes w = pick_wakes(q);
    bool news = jobq_time_look(q), kept = q->restored;
    lock_drop(&q->lock);
    wake_send(w.getter);
    wake_send(w.putter);
    if (kept)
        durable_kick(q->options.durable);
    if (news)
        jobq_time_tell(q);
    if (drops.count > 0)
        tell(q, drops);
}

/* ---- threads ---- */

/* Where a thread stands when it has to wait. */
struct place {
    struct waiters *line;
    uint64_t need; /* of a putter */
    bool front;    /* it was woken before, and found too little */
};

/* Wait in a line; locked again afterwards. 0, or PEN_ETIMEOUT. A wake that was carried is the caller's to use or, by its
 * next jobq_leave(), to pass on. */
static int wait_in_line(struct jobq *q, struct place *at, mono_t deadline) LOCKED(&q->lock)
{
    struct waiter me;
    waiter_init(&me, NULL);
    me.need = at->need;
    waiters_park(at->line, &me, at->front);
    jobq_leave(q);
    (void)waiter_sleep(&me, deadline);
    jobq_enter(q, pen_now());
    /* Perhaps after its time, but then it is its turn all the same. */
    at->front = me.state == WAITER_PICKED;
    (void)waiters_leave(at->line, &me);
    return at->front ? 0 : PEN_ETIMEOUT;
}

/* A putter may try: it was woken, or nobody was there before it. */
static bool has_turn(const struct jobq *q, bool woken) LOCKED(&q->lock)
{
    bool nobody = !waiters_any(&q->putters) && !q->putters.waking;
    return woken || nobody || broker_is_shut(q->broker);
}

uint64_t jobq_need(const struct job_put *jobs, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += jobs[i].body.bytes;
    return (uint64_t)n << NEED_ITEMS_SHIFT | bytes;
}

static int put_some(struct jobq *q, struct job_put *jobs, size_t n) LOCKED(&q->lock)
{
    return q->options.durable != NULL ? jobq_put_kept(q, jobs, n, false)
                                      : broker_put(q->broker, jobs, n, q->now);
}

int jobq_put(struct jobq *q, struct job_put *jobs, size_t n, mono_t deadline, size_t *ret_decided)
{
    struct place at = { .line = &q->putters };
    size_t done = 0;
    int r = 0;
    jobq_enter(q, pen_now());
    while (done < n) {
        r = has_turn(q, at.front) ? put_some(q, jobs + done, n - done) : 0;
        if (r < 0)
            break;
        done += (size_t)r;
        if (done == n)
            break;
        at.need = jobq_need(jobs + done, 1);
        r = deadline.ns == PEN_NOW.ns ? PEN_EFULL : wait_in_line(q, &at, deadline);
        if (r < 0)
            break;
    }
    jobq_leave(q);
    *ret_decided = done;
    return r < 0 ? r : 0;
}

int jobq_take(struct jobq *q, struct job *ret_jobs, size_t max, mono_t deadline, size_t *ret_taken)
{
    struct place at = { .line = &q->getters };
    struct job_take how = { .max = max };
    int r = 0, n;
    if (max == 0)
        return PEN_EINVAL;
    jobq_enter(q, pen_now());
    while ((n = broker_take(q->broker, &how, ret_jobs, q->now)) <= 0) {
        r = n < 0                       ? n
            : jobq_is_over(q)           ? PEN_ESHUTDOWN
            : deadline.ns == PEN_NOW.ns ? PEN_EEMPTY
                                        : wait_in_line(q, &at, deadline);
        if (r < 0)
            break;
    }
    jobq_leave(q);
    if (n <= 0)
        return r;
    *ret_taken = (size_t)n;
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

int jobq_settle(struct jobq *q, struct job_settle *jobs, size_t n, size_t *ret_settled)
{
    size_t settled;
    jobq_enter(q, pen_now());
    int r = broker_settle(q->broker, jobs, n, q->now, &settled);
    jobq_leave(q);
    if (ret_settled != NULL)
        *ret_settled = settled;
    return r;
}

int jobq_touch(struct jobq *q, const struct job *held, span_t lease, const char *text)
{
    jobq_enter(q, pen_now());
    int r = broker_touch(q->broker, held->id, held->lease, lease, q->now);
    if (r == 0 && text != NULL)
        r = broker_progress(q->broker, held->id, held->lease, text);
    jobq_leave(q);
    return r;
}

uint32_t jobq_owner_gone(struct jobq *q, uint64_t owner)
{
    jobq_enter(q, pen_now());
    uint32_t n = broker_owner_gone(q->broker, owner, q->now);
    jobq_leave(q);
    return n;
}

size_t jobq_take_dying(struct jobq *q, struct job *ret_jobs, size_t max)
{
    jobq_enter(q, PEN_NOW);
    size_t n = broker_take_dying(q->broker, ret_jobs, max);
    q->dying_told = false;
    jobq_leave(q);
    return n;
}

void jobq_shutdown(struct jobq *q, enum pen_shutdown mode)
{
    jobq_enter(q, pen_now());
    broker_shutdown(q->broker, mode == PEN_SHUTDOWN_IMMEDIATE ? BROKER_DROP : BROKER_DRAIN);
    waiters_wake_all(&q->getters);
    waiters_wake_all(&q->putters);
    jobq_leave(q);
}

void jobq_pause(struct jobq *q)
{
    jobq_enter(q, PEN_NOW);
    if (!broker_is_shut(q->broker))
        broker_set_paused(q->broker, true);
    jobq_leave(q);
}

void jobq_resume(struct jobq *q)
{
    jobq_enter(q, pen_now());
    broker_set_paused(q->broker, false);
    jobq_leave(q);
}

uint64_t jobq_purge(struct jobq *q)
{
    jobq_enter(q, PEN_NOW);
    uint64_t n = broker_purge(q->broker);
    jobq_leave(q);
    return n;
}

size_t jobq_kick(struct jobq *q, size_t n)
{
    jobq_enter(q, pen_now());
    n = broker_kick(q->broker, n, q->now);
    jobq_leave(q);
    return n;
}

void jobq_set_servers(struct jobq *q, uint32_t servers)
{
    jobq_enter(q, PEN_NOW);
    broker_set_servers(q->broker, servers);
    jobq_leave(q);
}

/* ---- results ---- */

bool jobq_keeps_results(const struct jobq *q)
{
    return q->options.results.age_max.ns > 0;
}

void jobq_keep_result(struct jobq *q, uint64_t id, const struct result *result)
{
    if (!jobq_keeps_results(q))
        return;
    struct result copy = { .error = result->error, .body = slice_ref(result->body) };
    jobq_enter(q, pen_now());
    int r = results_put(q->results, id, &copy, q->now);
    jobq_leave(q);
    if (r < 0)
        slice_release(&copy.body);
}

int jobq_result(struct jobq *q, uint64_t id, struct result *ret_result)
{
    if (!jobq_keeps_results(q))
        return PEN_ENOENT;
    jobq_enter(q, pen_now());
    int r = results_get(q->results, id, q->now, ret_result);
    jobq_leave(q);
    return r;
}

/* ---- looking ---- */

void jobq_stats(struct jobq *q, struct jobq_stats *ret_stats)
{
    lock_take(&q->lock);
    *ret_stats = (struct jobq_stats){
        .ledger = *broker_ledger(q->broker),
        .shut = broker_is_shut(q->broker),
        .ended = broker_is_shut(q->broker) && all_finished(q),
        .paused = broker_is_paused(q->broker),
        .ledger_holds = broker_ledger_holds(q->broker),
        .alarms = q->alarms,
        .putters_waiting = q->putters.parked_count,
        .getters_waiting = q->getters.parked_count,
        .joiners_waiting = q->joiners.parked_count,
        .put_waits = q->putters.waits,
        .get_waits = q->getters.waits,
        .put_wakes = q->putters.wakes,
        .get_wakes = q->getters.wakes,
    };
    if (q->results != NULL)
        ret_stats->results = results_stats(q->results);
    lock_drop(&q->lock);
}

span_t jobq_eta(struct jobq *q, uint64_t position)
{
    lock_take(&q->lock);
    span_t eta = broker_eta(q->broker, position);
    lock_drop(&q->lock);
    return eta;
}

static int look_copy(const struct jobq *q, struct jobq_look *look) LOCKED(&q->lock)
{
    look->now = q->now;
    look->ext = NULL;
    int r = look->view.ext != NULL ? job_ext_copy(look->view.ext, &look->ext) : 0;
    if (r == 0)
        look->view.body = slice_ref(look->view.body);
    look->view.ext = look->ext;
    return r;
}

void jobq_look_fini(struct jobq_look *look)
{
    slice_release(&look->view.body);
    job_ext_free(look->ext);
}

int jobq_find(struct jobq *q, uint64_t id, struct jobq_look *ret_look)
{
    jobq_enter(q, pen_now());
    int r = broker_find(q->broker, id, &ret_look->view) ? look_copy(q, ret_look) : PEN_ENOENT;
    lock_drop(&q->lock);
    return r;
}

/* As many as one hold of the lock looks at. */
static size_t list_some(struct jobq *q, enum job_state state, uint32_t *cursor,
                        struct jobq_look *looks, size_t max) LOCKED(&q->lock)
{
    struct job_view views[TELL_JOBS];
    size_t n = broker_list(q->broker, cursor, views, max < TELL_JOBS ? max : TELL_JOBS), kept = 0;
    for (size_t i = 0; i < n; i++) {
        looks[kept].view = views[i];
        if (views[i].state == state && look_copy(q, &looks[kept]) == 0)
            kept++;
    }
    *cursor = n == 0 ? UINT32_MAX : *cursor;
    return kept;
}

int jobq_list(struct jobq *q, enum job_state state, struct jobq_look *ret_looks, size_t max)
{
    size_t n = 0;
    uint32_t cursor = 0;
    if (max == 1) {
        jobq_enter(q, pen_now());
        if (broker_peek(q->broker, state, &ret_looks->view))
            n = look_copy(q, ret_looks) == 0;
        lock_drop(&q->lock);
        return (int)n;
    }
    while (n < max && cursor != UINT32_MAX) {
        jobq_enter(q, pen_now());
        n += list_some(q, state, &cursor, ret_looks + n, max - n);
        lock_drop(&q->lock);
    }
    return (int)n;
}

const char *jobq_name(const struct jobq *q)
{
    return q->name;
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

static int make_parts(struct jobq *q)
{
    const struct jobq_options *o = &q->options;
    struct broker_options broker = {
        .limits = o->limits,
        .seed = o->seed,
        .journal = o->durable != NULL ? &durable_journal : NULL,
        .journal_arg = o->durable,
    };
    int r = broker_new(&broker, &q->broker);
    if (r == 0 && jobq_keeps_results(q))
        r = results_new(&o->results, &q->results);
    if (r == 0 && o->main != NULL)
        r = jobq_time_new(q, &q->time);
    return r;
}

int jobq_new(const struct jobq_options *options, struct jobq **ret_queue)
{
    if (strlen(options->name) > LIMIT_NAME_BYTES ||
        (options->limits.dead_letters && options->news.on_dying == NULL))
        return PEN_EINVAL;
    struct jobq *q = calloc(1, sizeof *q);
    if (q == NULL)
        return PEN_ENOMEM;
    q->options = *options;
    if (q->options.on_dropped == NULL)
        q->options.on_dropped = release_dropped;
    memcpy(q->name, options->name, strlen(options->name) + 1);
    q->options.name = q->name;
    lock_init(&q->lock, LOCK_JOBQ);
    waiters_init(&q->getters);
    waiters_init(&q->putters);
    waiters_init(&q->joiners);
    list_init(&q->watchers);
    int r = make_parts(q);
    if (r < 0) {
        jobq_free(&q);
        return r;
    }
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
    jobq_time_free(&q->time);
    results_free(&q->results);
    broker_free(&q->broker);
    lock_fini(&q->lock);
    free(q);
    *queue = NULL;
}
