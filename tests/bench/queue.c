/* SPDX-License-Identifier: Apache-2.0
 *
 * Nanoseconds per item through a queue between threads: ours, and a ring under one mutex with two condition variables,
 * taking turns. Producers and consumers are pinned, a producer and a consumer of the same number to different
 * processors. What came out is counted and summed. The median of the rounds is printed, with the least and the most.
 */
#include <inttypes.h>
#include <pthread.h>

#include <penstock/queue.h>

#include "kit.h"
#include "plat/thread.h"

enum {
    SIDE_MOST = 8,
    BATCH_MOST = 32,
    ROUNDS = 7,
    ROUNDS_MOST = 1000,
    ITEMS_EACH_WAY = 128 * 1024
};

/* ---- the baseline ---- */

struct plain {
    pthread_mutex_t mutex;
    pthread_cond_t not_full, not_empty;
    struct pen_item *ring;
    size_t max, count, head;
    bool closed;
};

static void *plain_new(uint32_t max)
{
    struct plain *p = calloc(1, sizeof *p);
    check(p != NULL);
    p->ring = calloc(max, sizeof p->ring[0]);
    check(p->ring != NULL);
    p->max = max;
    check(pthread_mutex_init(&p->mutex, NULL) == 0);
    check(pthread_cond_init(&p->not_full, NULL) == 0);
    check(pthread_cond_init(&p->not_empty, NULL) == 0);
    return p;
}

static void plain_put(void *queue, const struct pen_item *items, size_t n)
{
    struct plain *p = queue;
    pthread_mutex_lock(&p->mutex);
    for (size_t i = 0; i < n;) {
        while (p->count == p->max)
            pthread_cond_wait(&p->not_full, &p->mutex);
        for (; i < n && p->count < p->max; i++, p->count++)
            p->ring[(p->head + p->count) & (p->max - 1)] = items[i];
        pthread_cond_signal(&p->not_empty);
    }
    pthread_mutex_unlock(&p->mutex);
}

static size_t plain_get(void *queue, struct pen_item *items, size_t max)
{
    struct plain *p = queue;
    pthread_mutex_lock(&p->mutex);
    while (p->count == 0 && !p->closed)
        pthread_cond_wait(&p->not_empty, &p->mutex);
    size_t n = 0;
    for (; n < max && p->count > 0; n++, p->count--, p->head++)
        items[n] = p->ring[p->head & (p->max - 1)];
    /* One signal stands for as many items as its waker put: pass it on, or the others sleep. */
    if (p->count > 0)
        pthread_cond_signal(&p->not_empty);
    if (n > 0)
        pthread_cond_signal(&p->not_full);
    pthread_mutex_unlock(&p->mutex);
    return n;
}

static void plain_close(void *queue)
{
    struct plain *p = queue;
    pthread_mutex_lock(&p->mutex);
    p->closed = true;
    pthread_cond_broadcast(&p->not_empty);
    pthread_mutex_unlock(&p->mutex);
}

static void plain_free(void *queue)
{
    struct plain *p = queue;
    pthread_cond_destroy(&p->not_full);
    pthread_cond_destroy(&p->not_empty);
    pthread_mutex_destroy(&p->mutex);
    free(p->ring);
    free(p);
}

/* ---- ours ---- */

static void *ours_new(uint32_t max)
{
    struct pen_queue_options o = { .items_max = max, .bytes_max = (uint64_t)max * 1000 };
    struct pen_queue *q;
    check(pen_queue_new(&o, &q) == 0);
    return q;
}

static void ours_put(void *queue, const struct pen_item *items, size_t n)
{
    size_t put;
    if (n == 1)
        check(pen_queue_put(queue, items[0].ptr, items[0].bytes, PEN_NEVER) == 0);
    else
        check(pen_queue_put_many(queue, items, n, PEN_NEVER, &put) == 0);
}

static size_t ours_get(void *queue, struct pen_item *items, size_t max)
{
    size_t got = 0;
    int r = pen_queue_get_many(queue, items, max, PEN_NEVER, &got);
    check(r == 0 || r == PEN_ESHUTDOWN);
    return got;
}

static void ours_close(void *queue)
{
    pen_queue_shutdown(queue, PEN_SHUTDOWN_GRACEFUL);
}

static void ours_free(void *queue)
{
    struct pen_queue *q = queue;
    pen_queue_free(&q);
}

/* ---- runs ---- */

struct kind {
    const char *name;
    void *(*make)(uint32_t max);
    void (*put)(void *queue, const struct pen_item *items, size_t n);
    size_t (*get)(void *queue, struct pen_item *items, size_t max);
    void (*close)(void *queue);
    void (*free)(void *queue);
};

static const struct kind kinds[] = {
    { "penstock", ours_new, ours_put, ours_get, ours_close, ours_free },
    { "mutex+2condvars", plain_new, plain_put, plain_get, plain_close, plain_free },
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct shape {
    unsigned producers, consumers;
    size_t batch;
    uint32_t max;
};

struct party {
    const struct kind *kind;
    void *queue;
    unsigned index;
    size_t batch, first, items;
    uint64_t count, sum;
    struct thread *thread;
};

static void produce(void *arg)
{
    struct party *p = arg;
    struct pen_item items[BATCH_MOST];
    bench_pin(p->index);
    for (size_t i = 0; i < p->items; i += p->batch) {
        for (size_t k = 0; k < p->batch; k++)
            items[k] = (struct pen_item){ (void *)(p->first + i + k), 8 };
        p->kind->put(p->queue, items, p->batch);
    }
}

static void consume(void *arg)
{
    struct party *p = arg;
    struct pen_item items[BATCH_MOST];
    size_t n;
    bench_pin(p->index + 1);
    while ((n = p->kind->get(p->queue, items, p->batch)) > 0) {
        p->count += n;
        for (size_t i = 0; i < n; i++)
            p->sum += (size_t)items[i].ptr;
    }
}

/* Nanoseconds per item of one run, whose sums are right. */
static double run(const struct kind *kind, const struct shape *s)
{
    struct party producers[SIDE_MOST], consumers[SIDE_MOST];
    size_t each = ITEMS_EACH_WAY * (s->batch > 1 ? 8 : 1) / s->producers, all = each * s->producers;
    void *queue = kind->make(s->max);
    mono_t start = clock_mono();
    for (unsigned i = 0; i < s->consumers; i++) {
        consumers[i] = (struct party){ .kind = kind, .queue = queue, .index = i, .batch = s->batch };
        check(thread_start("consumer", consume, &consumers[i], &consumers[i].thread) == 0);
    }
    for (unsigned i = 0; i < s->producers; i++) {
        producers[i] = (struct party){ .kind = kind,
                                       .queue = queue,
                                       .index = i,
                                       .batch = s->batch,
                                       .first = 1 + i * each,
                                       .items = each };
        check(thread_start("producer", produce, &producers[i], &producers[i].thread) == 0);
    }
    for (unsigned i = 0; i < s->producers; i++)
        thread_join(&producers[i].thread);
    kind->close(queue);
    uint64_t count = 0, sum = 0;
    for (unsigned i = 0; i < s->consumers; i++) {
        thread_join(&consumers[i].thread);
        count += consumers[i].count;
        sum += consumers[i].sum;
    }
    double ns = (double)mono_since(clock_mono(), start).ns;
    check(count == all && sum == (uint64_t)all * (all + 1) / 2);
    kind->free(queue);
    return ns / (double)all;
}

static void print_json(const struct shape *s, const struct kind *kind, const double *sorted,
                       unsigned rounds)
{
    static bool more;
    printf("%s  {\"shape\": \"%uP%uC\", \"batch\": %zu, \"items_max\": %" PRIu32
           ", \"queue\": \"%s\", "
           "\"ns_per_item\": %.1f, \"min\": %.1f, \"max\": %.1f}",
           more ? ",\n" : "", s->producers, s->consumers, s->batch, s->max, kind->name,
           sorted[rounds / 2], sorted[0], sorted[rounds - 1]);
    more = true;
}

static void print_row(const struct shape *s, double (*sorted)[ROUNDS_MOST], unsigned rounds)
{
    const double *a = sorted[0], *b = sorted[1];
    printf("%uP%uC  batch %2zu  bound %5" PRIu32 "   %7.1f (%.1f-%.1f)   %7.1f (%.1f-%.1f)   %.2f\n",
           s->producers, s->consumers, s->batch, s->max, a[rounds / 2], a[0], a[rounds - 1],
           b[rounds / 2], b[0], b[rounds - 1], a[rounds / 2] / b[rounds / 2]);
    fflush(stdout);
}

static void measure(const struct shape *s, const struct bench_args *args)
{
    static double ns[KINDS][ROUNDS_MOST];
    for (unsigned round = 0; round < args->rounds; round++)
        for (unsigned k = 0; k < KINDS; k++)
            ns[k][round] = run(&kinds[k], s);
    for (unsigned k = 0; k < KINDS; k++) {
        bench_sort(ns[k], args->rounds);
        if (args->json)
            print_json(s, &kinds[k], ns[k], args->rounds);
    }
    if (!args->json)
        print_row(s, ns, args->rounds);
}

int main(int argc, char **argv)
{
    static const unsigned sides[][2] = { { 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 8, 8 } };
    static const size_t batches[] = { 1, 32 };
    static const uint32_t bounds[] = { 1024, 65536 };
    struct bench_args args = bench_args(argc, argv, ROUNDS);
    if (args.json)
        printf("{\"bench\": \"queue\", \"rounds\": %u, \"results\": [\n", args.rounds);
    else
        printf("ns per item: median (least-most) of %u rounds   %s   %s   ratio\n", args.rounds,
               kinds[0].name, kinds[1].name);
    for (size_t m = 0; m < 2; m++)
        for (size_t b = 0; b < 2; b++)
            for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
                struct shape s = { sides[i][0], sides[i][1], batches[b], bounds[m] };
                measure(&s, &args);
            }
    if (args.json)
        printf("\n]}\n");
    return EXIT_SUCCESS;
}
