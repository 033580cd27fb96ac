/* SPDX-License-Identifier: Apache-2.0
 *
 * What a message costs in the job queue: put, take and settle in batches on one thread, beside the least that a queue of
 * one allocation per message behind a mutex could cost. Prints JSON: ns per message, median of 7 with min and max.
 *
 *   jobs                 the table
 *   jobs count N BATCH   N messages in batches of BATCH and nothing else, for counting instructions:
 *                        valgrind --tool=callgrind tests/bench/jobs count 1000000 64
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/list.h"
#include "flow/jobq.h"
#include "plat/clock.h"

enum { ROUNDS = 7, MESSAGES = 1000000, BACKLOG = 1024 };

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "jobs: %s\n", pen_strerror(result));
        exit(1);
    }
}

/* ---- ours ---- */

static uint64_t put_batch(struct jobq *q, size_t batch)
{
    static const uint8_t text[100];
    struct job_put puts[LIMIT_BATCH_ITEMS];
    for (size_t i = 0; i < batch; i++)
        puts[i] = (struct job_put){ .body = { .at = text, .bytes = sizeof text } };
    size_t decided;
    must(jobq_put(q, puts, batch, PEN_NOW, &decided));
    return decided;
}

static uint64_t take_and_settle(struct jobq *q, size_t batch)
{
    struct job jobs[LIMIT_BATCH_ITEMS];
    struct job_settle ends[LIMIT_BATCH_ITEMS];
    size_t n;
    must(jobq_take(q, jobs, batch, PEN_NOW, &n));
    for (size_t i = 0; i < n; i++)
        ends[i] = (struct job_settle){ .id = jobs[i].id, .index = jobs[i].index };
    must(jobq_settle(q, ends, n, NULL));
    return n;
}

static void run_jobq(uint64_t messages, size_t batch)
{
    struct jobq_options options = { .name = "bench", .limits = { .items_max = BACKLOG + 256 } };
    struct jobq *q;
    must(jobq_new(&options, &q));
    uint64_t put = 0, taken = 0;
    while (taken < messages) {
        if (put < messages && put - taken < BACKLOG)
            put += put_batch(q, batch);
        else
            taken += take_and_settle(q, batch);
    }
    struct jobq_stats stats;
    jobq_stats(q, &stats);
    if (!stats.ledger_holds || stats.ledger.done != taken)
        must(PEN_EINTERNAL);
    jobq_free(&q);
}

/* ---- the baseline ---- */

struct plain {
    struct list node;
    const void *body;
    uint64_t id;
};

static void run_plain(uint64_t messages, size_t batch)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct list queue;
    list_init(&queue);
    uint64_t put = 0, taken = 0, sum = 0;
    while (taken < messages) {
        bool fill = put < messages && put - taken < BACKLOG;
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < batch; i++) {
            if (fill) {
                struct plain *p = malloc(sizeof *p);
                if (p == NULL)
                    must(PEN_ENOMEM);
                p->id = ++put;
                list_push_back(&queue, &p->node);
            } else {
                struct plain *p = CONTAINER_OF(list_take_front(&queue), struct plain, node);
                sum += p->id;
                taken++;
                free(p);
            }
        }
        pthread_mutex_unlock(&lock);
    }
    if (sum != messages * (messages + 1) / 2)
        must(PEN_EINTERNAL);
}

/* ---- the table ---- */

static double timed(void (*run)(uint64_t messages, size_t batch), size_t batch)
{
    uint64_t messages = MESSAGES / batch * batch;
    mono_t start = clock_mono();
    run(messages, batch);
    return (double)mono_since(clock_mono(), start).ns / (double)messages;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const char *name, size_t batch, double *ns)
{
    qsort(ns, ROUNDS, sizeof *ns, by_value);
    printf("{\"queue\":\"%s\",\"batch\":%zu,\"ns\":%.1f,\"min\":%.1f,\"max\":%.1f}\n", name, batch,
           ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "count") == 0) {
        run_jobq(strtoull(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
        return 0;
    }
    static const size_t batches[] = { 1, 32, 64, 256 };
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        double ours[ROUNDS], plain[ROUNDS];
        for (int r = 0; r < ROUNDS; r++) {
            ours[r] = timed(run_jobq, batches[b]);
            plain[r] = timed(run_plain, batches[b]);
        }
        print_row("jobq", batches[b], ours);
        print_row("malloc+mutex", batches[b], plain);
        printf("{\"batch\":%zu,\"ratio\":%.2f}\n", batches[b], ours[ROUNDS / 2] / plain[ROUNDS / 2]);
    }
    return 0;
}
