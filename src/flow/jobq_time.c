/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to a queue by itself, and what MAIN is to know of it. Every command ends with a look at what has become new:
 * an earlier instant to wake for, something dying, the end. News are bits under the queue's lock and one post to MAIN,
 * however many there are.
 *
 * The timer is always armed, with PEN_NEVER when nothing is due: so arming it again needs no memory.
 *
 * Thread: MAIN, unless it says otherwise.
 */
#include <stdlib.h>

#include "base/check.h"
#include "flow/jobq_inside.h"
#include "obs/log.h"

enum { TICK_JOBS = 1024 }; /* that one hold of the lock lets happen */

/* ---- any thread ---- */

static bool has_ended(const struct jobq *q) LOCKED(&q->lock)
{
    return broker_is_shut(q->broker) && broker_is_idle(q->broker) && q->untold == 0;
}

static mono_t next_due(const struct jobq *q) LOCKED(&q->lock)
{
    mono_t due = broker_next_due(q->broker);
    mono_t result = q->results != NULL ? results_next_due(q->results) : PEN_NEVER;
    return mono_before(result, due) ? result : due;
}

/* Told when it begins not to hold, and again only after it held. */
static bool raises_alarm(struct jobq *q) LOCKED(&q->lock)
{
    bool before = q->alarmed;
    q->alarmed = !broker_ledger_holds(q->broker);
    q->alarms += q->alarmed && !before;
    return q->alarmed && !before;
}

static unsigned news_of(struct jobq *q) LOCKED(&q->lock)
{
    unsigned news = raises_alarm(q) ? NEWS_ALARM : 0;
    mono_t due = next_due(q);
    if (mono_before(due, q->time->due)) {
        q->time->due = due;
        news |= NEWS_DUE;
    }
    if (!q->dying_told && broker_has_dying(q->broker)) {
        q->dying_told = true;
        news |= NEWS_DYING;
    }
    if (!q->ended_told && has_ended(q)) {
        q->ended_told = true;
        news |= NEWS_ENDED;
    }
    return news;
}

bool jobq_time_look(struct jobq *q)
{
    struct jobq_time *t = q->time;
    if (t == NULL)
        return false;
    unsigned news = news_of(q);
    t->news |= news;
    bool post = news != 0 && !t->posted;
    t->posted = t->posted || post;
    return post;
}

void jobq_time_tell(struct jobq *q)
{
    (void)loop_post(q->options.main, &q->time->post);
}

mono_t jobq_tick(struct jobq *q, mono_t now)
{
    jobq_enter(q, now);
    (void)broker_tick(q->broker, q->now, TICK_JOBS);
    if (q->results != NULL)
        (void)results_tick(q->results, q->now, TICK_JOBS);
    mono_t due = next_due(q);
    jobq_leave(q);
    return due;
}

/* ---- MAIN ---- */

static void on_timer(struct pen_loop *loop, void *arg, int status);

static void arm(struct jobq_time *t, mono_t due)
{
    struct pen_loop *main = t->queue->options.main;
    int r = pen_loop_call_at(main, &t->timer, due, on_timer, t);
    (void)BUG(r < 0); /* It has its place among the loop's timers since jobq_new(). */
}

static void on_timer(struct pen_loop *loop, void *arg, int status)
{
    struct jobq_time *t = arg;
    struct jobq *q = t->queue;
    if (status != 0)
        return;
    arm(t, PEN_NEVER);
    lock_take(&q->lock);
    t->due = PEN_NEVER;
    lock_drop(&q->lock);
    (void)jobq_tick(q, pen_loop_now(loop)); /* Which ends by telling when the next is due. */
}

static void act(struct jobq_time *t, unsigned news, mono_t due)
{
    struct jobq *q = t->queue;
    const struct jobq_news *to = &q->options.news;
    if (news & NEWS_ALARM)
        log_error("penstockd", "queue %s: the books do not add up; this is a mistake of penstock's",
                  q->name);
    if (news & NEWS_DUE)
        arm(t, due);
    if ((news & NEWS_DYING) && to->on_dying != NULL)
        to->on_dying(q, to->arg);
    if ((news & NEWS_ENDED) && to->on_ended != NULL)
        to->on_ended(q, to->arg);
}

static void on_post(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct jobq_time *t = arg;
    struct jobq *q = t->queue;
    if (q == NULL) {
        free(t);
        return;
    }
    lock_take(&q->lock);
    unsigned news = t->news;
    mono_t due = t->due;
    t->news = 0;
    t->posted = false;
    lock_drop(&q->lock);
    if (status == 0)
        act(t, news, due);
}

int jobq_time_new(struct jobq *q, struct jobq_time **ret_time)
{
    struct jobq_time *t = calloc(1, sizeof *t);
    if (t == NULL)
        return PEN_ENOMEM;
    t->queue = q;
    t->due = PEN_NEVER;
    post_init(&t->post, on_post, t);
    int r = pen_loop_call_at(q->options.main, &t->timer, PEN_NEVER, on_timer, t);
    if (r < 0)
        free(t);
    else
        *ret_time = t;
    return r;
}

void jobq_time_free(struct jobq_time **time)
{
    struct jobq_time *t = *time;
    if (t == NULL)
        return;
    *time = NULL;
    pen_timer_cancel(&t->timer);
    t->queue = NULL;
    if (!t->posted)
        free(t);
}
