/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a queue between threads for a while and says what an item cost. Ours and the peers' queues are run by the
 * same code, and for the script that compares them each program with queues in it can be asked for one run:
 *
 *   PROGRAM --list                                           the names of its queues, one in a line
 *   PROGRAM --run NAME PRODUCERS CONSUMERS BATCH BOUND MS    "NS SHARE": nanoseconds per item, and the items of the
 *                                                            slowest producer by those of the fastest
 *
 * A producer and a consumer of the same number are pinned to different processors. What comes out is counted and
 * summed. Needs nothing of the library but the type of an item, so that peers link without it; C and C++.
 */
#ifndef TESTS_BENCH_QUEUE_RUN_H
#define TESTS_BENCH_QUEUE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <penstock/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { QUEUE_RUN_SIDE_MOST = 64, QUEUE_RUN_BATCH_MOST = 32 };

struct queue_shape {
    unsigned producers, consumers; /* 1 to QUEUE_RUN_SIDE_MOST */
    size_t batch;                  /* 1 to QUEUE_RUN_BATCH_MOST */
    uint32_t items_max;            /* a power of two */
    unsigned ms;                   /* for how long producers go on */
};

struct queue_kind {
    const char *name;
    void *(*make)(const struct queue_shape *shape);
    /* Waits until all n are in. */
    void (*put)(void *queue, const struct pen_item *items, size_t n);
    /* Waits for the first. 0: closed and empty. */
    size_t (*get)(void *queue, struct pen_item *items, size_t max);
    /* All producers have ended. */
    void (*close)(void *queue, const struct queue_shape *shape);
    void (*free)(void *queue);
};

struct queue_result {
    double ns_per_item;
    double share; /* slowest by fastest producer, in items */
};

struct queue_result queue_run(const struct queue_kind *kind, const struct queue_shape *shape);

/* Whether argv asks for --list or --run, which it has then done. */
bool queue_run_asked(int argc, char **argv, const struct queue_kind *kinds, size_t count);

#ifdef __cplusplus
}
#endif
#endif
