/* SPDX-License-Identifier: Apache-2.0
 *
 * Nanoseconds per item through a queue between threads: ours, ours made fair, and a ring under one mutex with two
 * condition variables, taking turns; and how even the producers fared. The median of the rounds is printed, with the
 * least and the most. queue-peers does the same with other people's queues, and asks this program for runs of ours.
 */
#include <inttypes.h>
#include <pthread.h>

#include <penstock/queue.h>

#include "kit.h"
#include "queue_run.h"

enum { ROUNDS = 7, ROUNDS_MOST = 1000, RUN_MS = 60, SATURATED_MS = 1000 };

/* ---- the baseline ---- */

struct plain {
    pthread_mutex_t mutex;
    pthread_cond_t not_full, not_empty;
    struct pen_item *ring;
    size_t max, count, head;
    bool closed;
};

static void *plain_new(const struct queue_shape *shape)
{
    uint32_t max = shape->items_max;
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

static void plain_close(void *queue, const struct queue_shape *shape)
{
    (void)shape;
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

static void *make_ours(const struct queue_shape *shape, bool fair)
{
    struct pen_queue_options o = { .items_max = shape->items_max,
                                   .bytes_max = (uint64_t)shape->items_max * 1000,
                                   .fair = fair };
    struct pen_queue *q;
    check(pen_queue_new(&o, &q) == 0);
    return q;
}

static void *ours_new(const struct queue_shape *shape)
{
    return make_ours(shape, false);
}

static void *fair_new(const struct queue_shape *shape)
{
    return make_ours(shape, true);
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

static void ours_close(void *queue, const struct queue_shape *shape)
{
    (void)shape;
    pen_queue_shutdown(queue, PEN_SHUTDOWN_GRACEFUL);
}

static void ours_free(void *queue)
{
    struct pen_queue *q = queue;
    pen_queue_free(&q);
}

/* ---- runs ---- */

static const struct queue_kind kinds[] = {
    { "penstock", ours_new, ours_put, ours_get, ours_close, ours_free },
    { "penstock-fair", fair_new, ours_put, ours_get, ours_close, ours_free },
    { "mutex+2condvars", plain_new, plain_put, plain_get, plain_close, plain_free },
};
enum { KINDS = sizeof kinds / sizeof kinds[0], PLAIN = KINDS - 1 };

struct column {
    double ns[ROUNDS_MOST], share[ROUNDS_MOST];
};

static void print_json(const struct queue_shape *s, const struct column *columns, unsigned rounds)
{
    static bool more;
    for (unsigned k = 0; k < KINDS; k++) {
        const struct column *c = &columns[k];
        printf("%s  {\"shape\": \"%uP%uC\", \"batch\": %zu, \"items_max\": %" PRIu32
               ", \"queue\": \"%s\", \"ns_per_item\": %.1f, \"min\": %.1f, \"max\": %.1f, "
               "\"slowest_by_fastest_producer\": %.3f}",
               more ? ",\n" : "", s->producers, s->consumers, s->batch, s->items_max, kinds[k].name,
               c->ns[rounds / 2], c->ns[0], c->ns[rounds - 1], c->share[rounds / 2]);
        more = true;
    }
}

static void print_row(const struct queue_shape *s, const struct column *columns, unsigned rounds)
{
    printf("%2uP%uC batch %2zu bound %5" PRIu32, s->producers, s->consumers, s->batch, s->items_max);
    for (unsigned k = 0; k < KINDS; k++) {
        const double *ns = columns[k].ns;
        printf("  %7.1f (%.1f-%.1f) %.2f", ns[rounds / 2], ns[0], ns[rounds - 1],
               columns[k].share[rounds / 2]);
    }
    printf("  %.2f\n", columns[0].ns[rounds / 2] / columns[PLAIN].ns[rounds / 2]);
    fflush(stdout);
}

static void measure(const struct queue_shape *s, const struct bench_args *args)
{
    static struct column columns[KINDS];
    for (unsigned round = 0; round < args->rounds; round++)
        for (unsigned k = 0; k < KINDS; k++) {
            struct queue_result r = queue_run(&kinds[k], s);
            columns[k].ns[round] = r.ns_per_item;
            columns[k].share[round] = r.share;
        }
    for (unsigned k = 0; k < KINDS; k++) {
        bench_sort(columns[k].ns, args->rounds);
        bench_sort(columns[k].share, args->rounds);
    }
    if (args->json)
        print_json(s, columns, args->rounds);
    else
        print_row(s, columns, args->rounds);
}

static void measure_all(const struct bench_args *args)
{
    static const unsigned sides[][2] = { { 1, 1 }, { 2, 1 }, { 1, 2 },
                                         { 2, 2 }, { 8, 8 }, { 64, 64 } };
    static const size_t batches[] = { 1, 32 };
    static const uint32_t bounds[] = { 1024, 65536 };
    for (size_t m = 0; m < 2; m++)
        for (size_t b = 0; b < 2; b++)
            for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
                struct queue_shape s = { sides[i][0], sides[i][1], batches[b], bounds[m], RUN_MS };
                measure(&s, args);
            }
    /* Fairness, under saturation and for longer. */
    struct queue_shape s = { 16, 1, 1, 1024, SATURATED_MS };
    measure(&s, args);
}

int main(int argc, char **argv)
{
    if (queue_run_asked(argc, argv, kinds, KINDS))
        return EXIT_SUCCESS;
    struct bench_args args = bench_args(argc, argv, ROUNDS);
    if (args.json)
        printf("{\"bench\": \"queue\", \"rounds\": %u, \"results\": [\n", args.rounds);
    else
        printf("ns per item, median (least-most) of %u rounds; slowest by fastest producer: "
               "%s, %s, %s; the first by the last\n",
               args.rounds, kinds[0].name, kinds[1].name, kinds[PLAIN].name);
    measure_all(&args);
    if (args.json)
        printf("\n]}\n");
    return EXIT_SUCCESS;
}
