/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "queue_run.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 64, STACK_BYTES = 256 * 1024 };

struct run {
    const struct queue_kind *kind;
    const struct queue_shape *shape;
    void *queue;
    pthread_barrier_t start;
    bool stop __attribute__((aligned(LINE_BYTES))); /* read by producers, written once */
};

struct party {
    struct run *run;
    unsigned index;
    uint64_t count, sum;
    pthread_t thread;
} __attribute__((aligned(LINE_BYTES)));

/* Not assert(), which a build can leave out. */
static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "queue_run: %s\n", what);
    abort();
}

/* The calling thread stays on processor `index`, counted round. */
static void pin(unsigned index)
{
    cpu_set_t allowed, one;
    must(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "no affinity");
    unsigned skip = index % (unsigned)CPU_COUNT(&allowed);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        must(sched_setaffinity(0, sizeof one, &one) == 0, "cannot pin");
        return;
    }
}

/* Items are numbers from 1 up, so none of them is NULL. */
static void *produce(void *arg)
{
    struct party *p = arg;
    struct run *run = p->run;
    size_t batch = run->shape->batch;
    struct pen_item items[QUEUE_RUN_BATCH_MOST];
    uint64_t count = 0, sum = 0;
    pin(p->index);
    pthread_barrier_wait(&run->start);
    while (!__atomic_load_n(&run->stop, __ATOMIC_RELAXED)) {
        for (size_t i = 0; i < batch; i++) {
            items[i].ptr = (void *)(uintptr_t)++count;
            items[i].bytes = 8;
            sum += count;
        }
        run->kind->put(run->queue, items, batch);
    }
    p->count = count;
    p->sum = sum;
    return NULL;
}

static void *consume(void *arg)
{
    struct party *p = arg;
    struct run *run = p->run;
    struct pen_item items[QUEUE_RUN_BATCH_MOST];
    uint64_t count = 0, sum = 0;
    size_t n;
    pin(p->index + 1);
    pthread_barrier_wait(&run->start);
    while ((n = run->kind->get(run->queue, items, run->shape->batch)) > 0) {
        count += n;
        for (size_t i = 0; i < n; i++)
            sum += (uintptr_t)items[i].ptr;
    }
    p->count = count;
    p->sum = sum;
    return NULL;
}

static void start_all(struct run *run, struct party *parties, unsigned n, void *(*fn)(void *arg))
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (unsigned i = 0; i < n; i++) {
        parties[i].run = run;
        parties[i].index = i;
        must(pthread_create(&parties[i].thread, &attr, fn, &parties[i]) == 0, "no thread");
    }
    pthread_attr_destroy(&attr);
}

/* Wait for their end; adds up what they counted. */
static void end_all(const struct party *parties, unsigned n, uint64_t *count, uint64_t *sum)
{
    *count = *sum = 0;
    for (unsigned i = 0; i < n; i++) {
        pthread_join(parties[i].thread, NULL);
        *count += parties[i].count;
        *sum += parties[i].sum;
    }
}

static double share(const struct party *producers, unsigned n)
{
    uint64_t least = UINT64_MAX, most = 1;
    for (unsigned i = 0; i < n; i++) {
        least = producers[i].count < least ? producers[i].count : least;
        most = producers[i].count > most ? producers[i].count : most;
    }
    return (double)least / (double)most;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Until the timer of the run fires; then producers end. */
static void let_run(struct run *run)
{
    unsigned ms = run->shape->ms;
    struct itimerspec span = { .it_value = { ms / 1000, (long)(ms % 1000) * 1000000 } };
    uint64_t fired;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    must(fd >= 0 && timerfd_settime(fd, 0, &span, NULL) == 0, "no timer");
    must(read(fd, &fired, sizeof fired) == sizeof fired, "the timer does not fire");
    close(fd);
    __atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
}

struct queue_result queue_run(const struct queue_kind *kind, const struct queue_shape *shape)
{
    static struct party producers[QUEUE_RUN_SIDE_MOST], consumers[QUEUE_RUN_SIDE_MOST];
    struct run run = { .kind = kind, .shape = shape, .queue = kind->make(shape) };
    uint64_t put, put_sum, got, got_sum;
    pthread_barrier_init(&run.start, NULL, shape->producers + shape->consumers + 1);
    start_all(&run, consumers, shape->consumers, consume);
    start_all(&run, producers, shape->producers, produce);
    pthread_barrier_wait(&run.start);
    double start = now_ns();
    let_run(&run);
    end_all(producers, shape->producers, &put, &put_sum);
    kind->close(run.queue, shape);
    end_all(consumers, shape->consumers, &got, &got_sum);
    double ns = now_ns() - start;
    must(put == got && put_sum == got_sum, "what came out is not what went in");
    pthread_barrier_destroy(&run.start);
    kind->free(run.queue);
    return (struct queue_result){ ns / (double)put, share(producers, shape->producers) };
}

static unsigned number(const char *text, unsigned most)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    must(*text != '\0' && *end == '\0' && n >= 1 && n <= most, "not a number that fits");
    return (unsigned)n;
}

bool queue_run_asked(int argc, char **argv, const struct queue_kind *kinds, size_t count)
{
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
    if (!list && !(argc == 8 && strcmp(argv[1], "--run") == 0))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (list) {
            puts(kinds[i].name);
        } else if (strcmp(argv[2], kinds[i].name) == 0) {
            struct queue_shape shape = { .producers = number(argv[3], QUEUE_RUN_SIDE_MOST),
                                         .consumers = number(argv[4], QUEUE_RUN_SIDE_MOST),
                                         .batch = number(argv[5], QUEUE_RUN_BATCH_MOST),
                                         .items_max = number(argv[6], 1u << 20),
                                         .ms = number(argv[7], 60000) };
            struct queue_result r = queue_run(&kinds[i], &shape);
            printf("%.2f %.3f\n", r.ns_per_item, r.share);
            return true;
        }
    }
    must(list, "there is no such queue");
    return true;
}
