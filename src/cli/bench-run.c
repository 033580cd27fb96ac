/* SPDX-License-Identifier: Apache-2.0
 *
 * A benchmark from its beginning to its end, on the main thread:
 *
 *   1. every endpoint is opened; receivers begin to read, and peers are given the plan's delay to connect
 *   2. all clients begin at one instant, from which the rate counts and the time is taken
 *   3. when every client has ended, the receiver is told how much is to come
 *   4. it ends when that has come, nothing has moved for the plan's patience, or a signal came
 *
 * Then the loops are stopped, and what clients and receivers have counted is theirs no longer.
 */
#include <stdlib.h>

#include <penstock/loopgroup.h>

#include "base/check.h"
#include "cli/bench-client.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "plat/thread.h"

enum { TICK_MS = 500 };

struct bench {
    const struct bench_plan *plan;
    struct bench_desk desk;
    struct pen_loopgroup *group;
    struct bench_client *clients;
    struct bench_receiver receiver; /* there is one when `receives` */
    bool receives;
    uint64_t clients_opened, clients_left;

    struct io signal_io;
    struct pen_timer timer; /* the delay, then ticks */
    struct progress progress;
    uint64_t moved; /* at the last tick */
    mono_t moved_at;
    enum bench_end end;
};

/* ---- while it runs ---- */

static struct tally tally(const struct bench *b)
{
    struct tally t = { 0 };
    for (uint64_t i = 0; i < b->clients_opened; i++) {
        t.sent += count_read(&b->clients[i].sent);
        t.received += count_read(&b->clients[i].answered);
    }
    t.received += count_read(&b->receiver.received);
    t.sent_bytes = t.sent * b->plan->bytes;
    t.received_bytes = t.received * b->plan->bytes;
    return t;
}

static unsigned peers(const struct bench *b)
{
    unsigned n = 0;
    for (uint64_t i = 0; i < b->clients_opened; i++) {
        struct endpoint_stats stats;
        endpoint_stats(b->clients[i].endpoint, &stats);
        n += (unsigned)stats.peers;
    }
    return n;
}

static void finish(struct bench *b, enum bench_end end)
{
    b->end = end;
    pen_timer_cancel(&b->timer);
    pen_loop_stop(b->desk.loop);
}

static void on_tick(struct pen_loop *loop, void *arg, int status)
{
    struct bench *b = arg;
    struct tally t = tally(b);
    mono_t now = pen_loop_now(loop);
    if (status < 0)
        return;
    progress_tick(&b->progress, &t, peers(b));
    if (t.sent + t.received != b->moved) {
        b->moved = t.sent + t.received;
        b->moved_at = now;
    }
    if (mono_since(now, b->moved_at).ns > b->plan->patience.ns ||
        pen_loop_call_later(loop, &b->timer, span_ms(TICK_MS), on_tick, b) < 0)
        finish(b, BENCH_TIMED_OUT);
}

static void on_start(struct pen_loop *loop, void *arg, int status)
{
    struct bench *b = arg;
    if (status < 0)
        return;
    b->desk.start = b->moved_at = pen_now();
    for (uint64_t i = 0; i < b->clients_opened; i++)
        bench_client_begin(&b->clients[i]);
    progress_init(&b->progress, !b->plan->quiet);
    on_tick(loop, b, 0);
}

static void on_client_end(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct bench *b = arg;
    if (status < 0 || --b->clients_left > 0)
        return;
    if (b->receives)
        bench_receiver_expect(&b->receiver, tally(b).sent);
    else
        finish(b, BENCH_DONE);
}

static void on_receiver_end(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    if (status == 0)
        finish(arg, BENCH_DONE);
}

static void on_signal(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    io_close(io);
    finish(arg, BENCH_INTERRUPTED);
}

/* ---- beginning ---- */

static int open_all(struct bench *b)
{
    uint32_t cpus = thread_cpus();
    struct pen_loopgroup_options options = { .name = "bench" };
    options.loops = (b->plan->clients < cpus ? (uint32_t)b->plan->clients : cpus) + b->receives;
    int r = pen_loopgroup_new(&options, &b->group);
    if (r == 0 && b->receives) {
        post_init(&b->receiver.end_post, on_receiver_end, b);
        r = bench_receiver_init(&b->receiver, &b->desk, pen_loopgroup_next(b->group));
    }
    for (; r == 0 && b->clients_opened < b->plan->clients; b->clients_opened++) {
        struct bench_client *c = &b->clients[b->clients_opened];
        uint32_t at = b->receives + (uint32_t)(b->clients_opened % (options.loops - b->receives));
        post_init(&c->end_post, on_client_end, b);
        r = bench_client_init(c, &b->desk, pen_loopgroup_at(b->group, at), b->clients_opened);
    }
    b->clients_left = b->clients_opened;
    return r;
}

static int start(struct bench *b)
{
    struct io_watch watch = { .fd = signals_fd(), .want = IO_READ };
    int r = io_open(&b->signal_io, b->desk.loop, watch, on_signal, b);
    if (r == 0)
        r = pen_loop_call_later(b->desk.loop, &b->timer, b->plan->delay, on_start, b);
    if (r == 0)
        r = pen_loopgroup_start(b->group);
    if (r == 0 && b->receives)
        bench_receiver_begin(&b->receiver);
    return r;
}

/* ---- the end ---- */

static void add_up_dropped(const struct endpoint *endpoint, struct bench_result *sum)
{
    struct endpoint_stats stats;
    endpoint_stats(endpoint, &stats);
    sum->dropped += stats.dropped_no_peer + stats.dropped_slow + stats.dropped_error;
}

static void add_up(const struct bench *b, struct bench_result *ret_result)
{
    struct bench_result sum = { .end = b->end,
                                .receives = b->receives || b->plan->kind >= BENCH_REQ };
    uint64_t check_sent = 0;
    mono_t last = b->receiver.last;
    for (uint64_t i = 0; i < b->clients_opened; i++) {
        const struct bench_client *c = &b->clients[i];
        sum.sent += count_read(&c->sent);
        sum.received += count_read(&c->answered);
        sum.failed += count_read(&c->failed);
        check_sent += count_read(&c->sum);
        add_up_dropped(c->endpoint, &sum);
        bench_times_merge(&sum.latency, &c->latency);
        if (!b->receives && mono_before(last, c->ended))
            last = c->ended;
    }
    sum.received += count_read(&b->receiver.received);
    bench_times_merge(&sum.latency, &b->receiver.latency);
    bool refused = b->plan->queue != NULL && sum.failed > 0;
    sum.whole = !refused && sum.received == sum.sent &&
                (!b->receives || count_read(&b->receiver.sum) == check_sent);
    if (last.ns == 0)
        last = pen_now();
    sum.took = mono_since(last, b->desk.start);
    *ret_result = sum;
}

static void fini(struct bench *b)
{
    pen_timer_cancel(&b->timer);
    io_close(&b->signal_io);
    for (uint64_t i = 0; i < b->plan->clients; i++)
        bench_client_fini(&b->clients[i]);
    bench_receiver_fini(&b->receiver);
    pen_loopgroup_free(&b->group);
    pen_loop_free(&b->desk.loop);
    free(b->clients);
}

int bench_run(const struct bench_plan *plan, struct bench_result *ret_result)
{
    struct bench b = { .plan = plan,
                       .desk.plan = plan,
                       .receives = plan->pull[0] != NULL || plan->sub[0] != NULL };
    int r = PEN_ENOMEM;
    b.clients = calloc(plan->clients, sizeof *b.clients);
    if (b.clients == NULL)
        return r;
    r = pen_loop_new(NULL, &b.desk.loop);
    if (r == 0)
        r = open_all(&b);
    if (r == 0)
        r = start(&b);
    if (r == 0) {
        r = pen_loop_run(b.desk.loop);
        pen_loopgroup_stop(b.group);
        check(pen_loopgroup_join(b.group) == 0);
        progress_end(&b.progress);
    }
    if (r == 0)
        add_up(&b, ret_result);
    fini(&b);
    return r;
}
