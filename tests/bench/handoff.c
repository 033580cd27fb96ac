/* SPDX-License-Identifier: Apache-2.0
 *
 * How long an item takes from a thread that puts it into the callback of a loop that sleeps.
 *
 *   penstock  pen_queue_put() on a thread; a loop with a getter attached. The answer goes back by a second queue, on which
 *             the thread waits, so that the loop sleeps again before the next one.
 *   raw       the same exchange by nothing but epoll_wait() and a write to an eventfd, each way: what the system asks
 *             for a wake-up.
 *   polling   what the documentation of free-threaded asyncio proposes: take without waiting, and sleep for 0.1 s when
 *             there is nothing. The items come at random moments.
 *
 * penstock and raw take turns. Every item carries its number, which is verified. Times are one way, in microseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <penstock/queue.h>

#include "kit.h"
#include "plat/thread.h"

enum { ROUNDS = 7, ROUNDS_MOST = 1000, PINGS = 2000, POLLED = 40, POLL_US = 100 * 1000 };

/* What passes between the two sides. */
struct ping {
    mono_t sent;
    size_t number;
    double *latency_us; /* where the receiver notes it */
};

struct pair {
    struct pen_queue *there, *back;
    struct pen_queue *idle; /* polling: on which the receiver passes time */
    int there_fd, back_fd;
    struct ping ping; /* raw: owned by whoever was woken last */
    size_t pings;
    struct pen_loop *loop;
    struct pen_getter *getter;
    size_t received;
};

/* The receiver's first act. */
static void note(struct pair *p, const struct ping *ping)
{
    *ping->latency_us = (double)mono_since(clock_mono(), ping->sent).ns / 1000;
    check(ping->number == p->received);
    p->received++;
}

static struct pen_queue *queue_new(void)
{
    struct pen_queue *q;
    check(pen_queue_new(NULL, &q) == 0);
    return q;
}

/* ---- penstock ---- */

static void on_items(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    struct pair *p = arg;
    (void)getter;
    check(n == 1);
    note(p, items[0].ptr);
    check(pen_queue_put(p->back, items[0].ptr, 0, PEN_NOW) == 0);
}

static void on_shutdown(struct pen_getter *getter, void *arg)
{
    struct pair *p = arg;
    (void)getter;
    pen_getter_close(&p->getter);
    pen_loop_stop(p->loop);
}

static void run_loop(void *arg)
{
    struct pair *p = arg;
    bench_pin(1);
    check(pen_loop_run(p->loop) == 0);
}

static void ping_queue(struct pair *p, double *latencies)
{
    struct pen_item back;
    for (size_t i = 0; i < p->pings; i++) {
        struct ping ping = { .number = i, .latency_us = &latencies[i] };
        ping.sent = clock_mono();
        check(pen_queue_put(p->there, &ping, 0, PEN_NEVER) == 0);
        check(pen_queue_get(p->back, &back, PEN_NEVER) == 0 && back.ptr == &ping);
    }
    pen_queue_shutdown(p->there, PEN_SHUTDOWN_GRACEFUL);
}

static void measure_penstock(double *latencies)
{
    struct pair p = { .there = queue_new(), .back = queue_new(), .pings = PINGS };
    struct pen_getter_options o = { .on_items = on_items, .on_shutdown = on_shutdown, .arg = &p };
    struct thread *thread;
    check(pen_loop_new(NULL, &p.loop) == 0);
    check(pen_queue_attach(p.there, p.loop, &o, &p.getter) == 0);
    check(thread_start("consumer", run_loop, &p, &thread) == 0);
    ping_queue(&p, latencies);
    thread_join(&thread);
    check(p.received == PINGS);
    pen_loop_free(&p.loop);
    pen_queue_free(&p.there);
    pen_queue_free(&p.back);
}

/* ---- raw ---- */

static int watch_eventfd(int fd)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    check(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0);
    return epoll;
}

static void await(int epoll)
{
    struct epoll_event e;
    int n;
    while ((n = epoll_wait(epoll, &e, 1, -1)) < 0 && errno == EINTR) {
    }
    check(n == 1);
}

static void ring(int fd)
{
    uint64_t one = 1;
    check(write(fd, &one, sizeof one) == sizeof one);
}

static void answer_raw(void *arg)
{
    struct pair *p = arg;
    int epoll = watch_eventfd(p->there_fd);
    bench_pin(1);
    while (p->received < p->pings) {
        await(epoll);
        note(p, &p->ping);
        ring(p->back_fd);
    }
    close(epoll);
}

static void measure_raw(double *latencies)
{
    struct pair p = { .there_fd = eventfd(0, EFD_CLOEXEC),
                      .back_fd = eventfd(0, EFD_CLOEXEC),
                      .pings = PINGS };
    struct thread *thread;
    check(p.there_fd >= 0 && p.back_fd >= 0);
    int epoll = watch_eventfd(p.back_fd);
    check(thread_start("consumer", answer_raw, &p, &thread) == 0);
    for (size_t i = 0; i < PINGS; i++) {
        p.ping = (struct ping){ .number = i, .latency_us = &latencies[i] };
        p.ping.sent = clock_mono();
        ring(p.there_fd);
        await(epoll);
    }
    thread_join(&thread);
    check(p.received == PINGS);
    close(epoll);
    close(p.there_fd);
    close(p.back_fd);
}

/* ---- polling ---- */

/* Let so much time go by: nothing ever comes from this queue. */
static void pass_time(struct pen_queue *never, int64_t us)
{
    struct pen_item item;
    check(pen_queue_get(never, &item, pen_deadline_in(pen_us(us))) == PEN_ETIMEOUT);
}

static void poll_queue(void *arg)
{
    struct pair *p = arg;
    struct pen_item item;
    int r;
    bench_pin(1);
    while ((r = pen_queue_get(p->there, &item, PEN_NOW)) != PEN_ESHUTDOWN) {
        if (r == PEN_EEMPTY) {
            pass_time(p->idle, POLL_US);
            continue;
        }
        note(p, item.ptr);
        check(pen_queue_put(p->back, item.ptr, 0, PEN_NOW) == 0);
    }
}

static void measure_polling(double *latencies)
{
    struct pair p = { .there = queue_new(), .back = queue_new(), .idle = queue_new() };
    struct pen_queue *never = queue_new();
    struct thread *thread;
    check(thread_start("consumer", poll_queue, &p, &thread) == 0);
    for (size_t i = 0; i < POLLED; i++) {
        struct ping ping = { .number = i, .latency_us = &latencies[i] };
        struct pen_item back;
        /* Random enough: the golden section's multiples are spread evenly, in no order. */
        pass_time(never, (int64_t)(fmod((double)(i + 1) * 0.6180339887498949, 1.0) * POLL_US));
        ping.sent = clock_mono();
        check(pen_queue_put(p.there, &ping, 0, PEN_NEVER) == 0);
        check(pen_queue_get(p.back, &back, PEN_NEVER) == 0 && back.ptr == &ping);
    }
    pen_queue_shutdown(p.there, PEN_SHUTDOWN_GRACEFUL);
    thread_join(&thread);
    check(p.received == POLLED);
    pen_queue_free(&p.there);
    pen_queue_free(&p.back);
    pen_queue_free(&p.idle);
    pen_queue_free(&never);
}

/* ---- results ---- */

struct result {
    const char *name;
    size_t samples;
    double p50, p99, most;
};

static struct result result_of(const char *name, double *latencies, size_t n)
{
    bench_sort(latencies, n);
    return (struct result){ name, n, bench_percentile(latencies, n, 50),
                            bench_percentile(latencies, n, 99), latencies[n - 1] };
}

static void print_results(const struct result *r, size_t n, bool json)
{
    printf(json ? "{\"bench\": \"handoff\", \"unit\": \"us\", \"results\": [\n"
                : "one way into a sleeping loop, us    samples      p50      p99      max\n");
    for (size_t i = 0; i < n; i++)
        printf(json ? "  {\"name\": \"%s\", \"samples\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}%s\n"
                    : "%-34s %8zu %8.1f %8.1f %8.1f%s\n",
               r[i].name, r[i].samples, r[i].p50, r[i].p99, r[i].most, json && i + 1 < n ? "," : "");
    double of_raw = r[0].p50 / r[1].p50, of_polling = r[2].p50 / r[0].p50;
    printf(json ? "], \"p50_over_raw\": %.2f, \"polling_p50_over_ours\": %.0f}\n"
                : "p50: %.2f of raw; polling is %.0f times that\n",
           of_raw, of_polling);
}

int main(int argc, char **argv)
{
    static double ours[ROUNDS_MOST * PINGS], raw[ROUNDS_MOST * PINGS], polled[POLLED];
    struct bench_args args = bench_args(argc, argv, ROUNDS);
    bench_pin(0);
    for (unsigned i = 0; i < args.rounds; i++) {
        measure_penstock(ours + (size_t)i * PINGS);
        measure_raw(raw + (size_t)i * PINGS);
    }
    measure_polling(polled);
    struct result results[] = {
        result_of("penstock", ours, (size_t)args.rounds * PINGS),
        result_of("raw", raw, (size_t)args.rounds * PINGS),
        result_of("polling", polled, POLLED),
    };
    print_results(results, 3, args.json);
    return EXIT_SUCCESS;
}
