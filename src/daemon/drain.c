/* SPDX-License-Identifier: Apache-2.0
 *
 * How the daemon ends. A drain runs down the same way as messages do:
 *
 *   producers finish reading -> a queue whose feeders have finished is shut down gracefully -> its consumers empty it and
 *   end -> publishers and answering endpoints that nobody feeds any more flush and close -> nothing is left
 *
 * Each piece of news from a part makes advance() look at what has become possible; nothing is polled. The drain's time
 * limit or a second signal makes it immediate; parts that do not even end then are named, and left.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "obs/log.h"
#include "plat/notify.h"

/* How long parts may take to end after an immediate stop, before the process leaves without them. */
enum { LAST_WAIT_S = 5 };

static const uint8_t legal_moves[DAEMON_STATES] = {
    [DAEMON_RUNNING] = 1 << DAEMON_DRAINING | 1 << DAEMON_STOPPING,
    [DAEMON_DRAINING] = 1 << DAEMON_STOPPING,
};

const char *daemon_state_word(enum daemon_state state)
{
    static const char *const words[DAEMON_STATES] = { "running", "draining", "stopping" };
    return words[state];
}

static bool daemon_set_state(struct daemon *d, enum daemon_state state)
{
    if ((legal_moves[d->state] & (1 << state)) == 0)
        return false;
    d->state = state;
    return true;
}

/* ---- who is finished ---- */

static bool consumers_ended(const struct daemon *d,
                            bool (*uses)(const struct conf_consumer *c, const char *name),
                            const char *name)
{
    for (size_t i = 0; i < d->graph.consumers_count; i++) {
        struct consumer *c = d->graph.consumers[i];
        if (uses(consumer_conf(c), name) && !consumer_part(c)->ended)
            return false;
    }
    return true;
}

static bool takes_from(const struct conf_consumer *c, const char *queue)
{
    return strcmp(c->queue, queue) == 0;
}

/* To a publisher or another queue. */
static bool publishes_to(const struct conf_consumer *c, const char *name)
{
    return c->publish != NULL && strcmp(c->publish, name) == 0;
}

static bool has_ended(struct jobq *q)
{
    struct jobq_stats s;
    jobq_stats(q, &s);
    return s.ended;
}

/* Every queue whose dead letters come here has ended. */
static bool letters_have_come(const struct daemon *d, const char *queue)
{
    for (size_t i = 0; i < d->conf->queues_count; i++) {
        const char *to = d->conf->queues[i].dead_letter;
        if (to != NULL && strcmp(to, queue) == 0 && !has_ended(d->graph.queues[i]))
            return false;
    }
    return true;
}

/* No worker endpoint puts into the queue any more. */
static bool workers_finished(const struct daemon *d, const char *queue)
{
    for (size_t i = 0; i < d->conf->workers_count; i++)
        if (conf_workers_serve(&d->conf->workers[i], queue) &&
            !workers_part(d->graph.workers[i])->finished)
            return false;
    return true;
}

/* Nothing comes into the queue any more. */
static bool feeders_finished(const struct daemon *d, const char *queue)
{
    for (size_t i = 0; i < d->graph.producers_count; i++) {
        struct producer *p = d->graph.producers[i];
        if (strcmp(producer_conf(p)->queue, queue) == 0 && !producer_part(p)->finished)
            return false;
    }
    return workers_finished(d, queue) && consumers_ended(d, publishes_to, queue) &&
           letters_have_come(d, queue);
}

/* ---- steps ---- */

static void close_queues(struct daemon *d)
{
    for (size_t i = 0; i < d->conf->queues_count; i++) {
        if (d->graph.queues_closed[i] || !feeders_finished(d, d->conf->queues[i].name))
            continue;
        d->graph.queues_closed[i] = true;
        /* What is kept need not be done now: it is there at the next start. What is in hand is finished. */
        bool kept = jobq_is_durable(d->graph.queues[i]);
        jobq_shutdown(d->graph.queues[i], kept ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
    }
}

static void close_publishers(struct daemon *d)
{
    for (size_t i = 0; i < d->conf->publishers_count; i++) {
        if (d->graph.publishers_closed[i] ||
            !consumers_ended(d, publishes_to, d->conf->publishers[i].name))
            continue;
        d->graph.publishers_closed[i] = true;
        part_order(publisher_part(d->graph.publishers[i]), PART_CLOSE);
    }
}

static void close_producers(struct daemon *d)
{
    for (size_t i = 0; i < d->graph.producers_count; i++) {
        struct part *p = producer_part(d->graph.producers[i]);
        if (d->graph.producers_closed[i] || !p->finished ||
            !consumers_ended(d, takes_from, producer_conf(d->graph.producers[i])->queue))
            continue;
        d->graph.producers_closed[i] = true;
        part_order(p, PART_CLOSE);
    }
}

/* Nobody but whoever looks at failures takes from it, so it does not run empty by itself. */
static bool is_graveyard(const struct daemon *d, const char *queue)
{
    for (size_t i = 0; i < d->conf->consumers_count; i++)
        if (strcmp(d->conf->consumers[i].queue, queue) == 0)
            return false;
    for (size_t i = 0; i < d->conf->queues_count; i++) {
        const char *to = d->conf->queues[i].dead_letter;
        if (to != NULL && strcmp(to, queue) == 0)
            return true;
    }
    return false;
}

/* The endpoint has nothing more to give out or to hear of. */
static bool workers_are_done(const struct daemon *d, const struct conf_workers *w)
{
    for (size_t i = 0; i < d->conf->queues_count; i++) {
        const char *name = d->conf->queues[i].name;
        if (conf_workers_serve(w, name) && !is_graveyard(d, name) && !has_ended(d->graph.queues[i]))
            return false;
    }
    return true;
}

static void close_workers(struct daemon *d)
{
    for (size_t i = 0; i < d->conf->workers_count; i++) {
        if (d->graph.workers_closed[i] || !workers_are_done(d, &d->conf->workers[i]))
            continue;
        d->graph.workers_closed[i] = true;
        part_order(workers_part(d->graph.workers[i]), PART_CLOSE);
    }
}

static void and_ended(struct part *part, void *arg)
{
    bool *all = arg;
    *all = *all && part->ended;
}

static void stop_main(struct daemon *d)
{
    pen_loop_stop(d->main);
}

static void end_if_all_ended(struct daemon *d)
{
    bool all = true;
    graph_each_part(&d->graph, d->conf, and_ended, &all);
    if (!all || d->ended)
        return;
    d->ended = true;
    pen_timer_cancel(&d->drain_timer);
    control_close(d, stop_main);
}

static void and_finished(struct part *part, void *arg)
{
    bool *all = arg;
    *all = *all && part->finished;
}

/* Every source has come to its own end, as files do: then the work is done. */
static void drain_if_dry(struct daemon *d)
{
    bool all = d->graph.producers_count > 0 && d->conf->workers_count == 0;
    for (size_t i = 0; i < d->graph.producers_count; i++)
        and_finished(producer_part(d->graph.producers[i]), &all);
    if (all)
        daemon_drain(d, "every producer has come to its end");
}

static void advance(struct daemon *d)
{
    if (d->state == DAEMON_RUNNING)
        drain_if_dry(d);
    if (d->state == DAEMON_RUNNING)
        return;
    close_queues(d);
    close_publishers(d);
    close_producers(d);
    close_workers(d);
    end_if_all_ended(d);
}

void daemon_on_news(struct part *part, enum part_news news, void *arg)
{
    struct daemon *d = arg;
    log_debug(part->subject, "%s", news == PART_FINISHED ? "finished reading" : "ended");
    advance(d);
}

void daemon_on_queue_end(struct jobq *q, void *arg)
{
    struct daemon *d = arg;
    log_debug("penstockd", "queue %s has ended", jobq_name(q));
    advance(d);
}

/* ---- the two ways to end ---- */

static void on_drain_timeout(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    if (status == 0)
        daemon_stop(arg, "drain_timeout has passed");
}

static void finish_producer(struct part *part)
{
    part_order(part, PART_FINISH);
}

void daemon_drain(struct daemon *d, const char *why)
{
    if (!daemon_set_state(d, DAEMON_DRAINING))
        return;
    int64_t limit_us = d->conf->top.drain_timeout.ns / 1000;
    log_notice("penstockd", "draining: %s", why);
    char lines[128];
    (void)snprintf(lines, sizeof lines, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n",
                   (long long)limit_us + 10000000);
    watchdog_tell(d, lines);
    int r = pen_loop_call_later(d->main, &d->drain_timer, d->conf->top.drain_timeout,
                                on_drain_timeout, d);
    if (r < 0)
        log_error("penstockd", "no time limit for the drain: %s", pen_strerror(r));
    for (size_t i = 0; i < d->conf->queues_count; i++)
        jobq_resume(d->graph.queues[i]); /* A full one that is paused would keep its producers. */
    for (size_t i = 0; i < d->graph.producers_count; i++)
        finish_producer(producer_part(d->graph.producers[i]));
    for (size_t i = 0; i < d->conf->workers_count; i++)
        part_order(workers_part(d->graph.workers[i]), PART_FINISH);
    advance(d);
}

static void name_if_stuck(struct part *part, void *arg)
{
    (void)arg;
    if (!part->ended)
        log_error(part->subject, "did not end in time");
}

static void on_last_wait(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct daemon *d = arg;
    if (status != 0)
        return;
    graph_each_part(&d->graph, d->conf, name_if_stuck, NULL);
    daemon_log_end(d);
    _exit(EXIT_INTERNAL);
}

static void stop_part(struct part *part, void *arg)
{
    (void)arg;
    part_order(part, PART_STOP);
}

void daemon_stop(struct daemon *d, const char *why)
{
    if (!daemon_set_state(d, DAEMON_STOPPING))
        return;
    log_warning("penstockd", "stopping at once: %s", why);
    char lines[128];
    (void)snprintf(lines, sizeof lines, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d\n",
                   (LAST_WAIT_S + 10) * 1000000);
    watchdog_tell(d, lines);
    pen_timer_cancel(&d->drain_timer);
    int r = pen_loop_call_later(d->main, &d->last_timer, span_s(LAST_WAIT_S), on_last_wait, d);
    if (r < 0)
        log_error("penstockd", "no time limit for the stop: %s", pen_strerror(r));
    for (size_t i = 0; i < d->conf->queues_count; i++)
        jobq_shutdown(d->graph.queues[i], PEN_SHUTDOWN_IMMEDIATE);
    graph_each_part(&d->graph, d->conf, stop_part, NULL);
    advance(d);
}

/* ---- the account at the end ---- */

/* What is held, in whatever state, is added up as ready. */
static void add_queues(const struct daemon *d, struct broker_ledger *sum, bool *ret_holds)
{
    *ret_holds = true;
    for (size_t i = 0; i < d->conf->queues_count; i++) {
        struct jobq_stats s;
        jobq_stats(d->graph.queues[i], &s);
        sum->accepted += s.ledger.accepted;
        sum->done += s.ledger.done;
        sum->dead += s.ledger.dead;
        sum->expired += s.ledger.expired;
        sum->ready += broker_ledger_held(&s.ledger);
        for (int k = 0; k < DROP_REASONS; k++)
            sum->dropped[k] += s.ledger.dropped[k];
        *ret_holds = *ret_holds && s.ledger_holds;
    }
}

/* Results that did not leave, by where they ended. */
struct unsent {
    uint64_t lost;    /* in front of a socket that was closed, or was full */
    uint64_t dropped; /* by a socket: no peer there, one too slow or gone, or refused */
};

static void add_unsent(struct unsent *sum, uint64_t lost, const struct endpoint_stats *s)
{
    sum->lost += lost;
    sum->dropped += s->dropped_no_peer + s->dropped_error + s->dropped_slow + s->dropped_gone;
}

static struct unsent count_unsent(const struct daemon *d)
{
    struct unsent sum = { 0 };
    for (size_t i = 0; i < d->conf->publishers_count; i++) {
        struct publisher_stats s;
        publisher_stats(d->graph.publishers[i], &s);
        add_unsent(&sum, s.outlet.lost, &s.endpoint);
    }
    for (size_t i = 0; i < d->graph.producers_count; i++) {
        struct producer_stats s;
        producer_stats(d->graph.producers[i], &s);
        add_unsent(&sum, s.replies_lost, &s.endpoint);
    }
    return sum;
}

void daemon_log_end(const struct daemon *d)
{
    struct broker_ledger sum = { 0 };
    bool holds;
    add_queues(d, &sum, &holds);
    uint64_t dropped = 0;
    for (int k = 0; k < DROP_REASONS; k++)
        dropped += sum.dropped[k];
    uint64_t left = sum.dropped[DROP_SHUTDOWN] + sum.ready;
    struct unsent unsent = count_unsent(d);
    log_line(left + unsent.lost > 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "penstockd",
             "ended: accepted %llu = done %llu + dead %llu + dropped %llu + expired %llu + held %llu%s; "
             "left undone %llu, results not sent %llu, dropped without a taker %llu",
             (unsigned long long)sum.accepted, (unsigned long long)sum.done,
             (unsigned long long)sum.dead, (unsigned long long)dropped,
             (unsigned long long)sum.expired, (unsigned long long)sum.ready,
             holds ? "" : " (DOES NOT ADD UP)", (unsigned long long)left,
             (unsigned long long)unsent.lost, (unsigned long long)unsent.dropped);
}
