/* SPDX-License-Identifier: Apache-2.0
 *
 * DPDK's ring with an eventcount round it: as it is by default, and in the mode that is meant for more threads than
 * processors (head-tail sync).
 */
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>

#include "../queue_run.h"

struct ring {
    struct rte_ring *rte;
};

static size_t ring_try_put(struct ring *r, const struct pen_item *items, size_t n)
{
    void *ptrs[QUEUE_RUN_BATCH_MOST];
    for (size_t i = 0; i < n; i++)
        ptrs[i] = items[i].ptr;
    return rte_ring_enqueue_burst(r->rte, ptrs, (unsigned)n, NULL);
}

static size_t ring_try_get(struct ring *r, struct pen_item *items, size_t max)
{
    void *ptrs[QUEUE_RUN_BATCH_MOST];
    size_t n = rte_ring_dequeue_burst(r->rte, ptrs, (unsigned)max, NULL);
    for (size_t i = 0; i < n; i++)
        items[i].ptr = ptrs[i];
    return n;
}

static bool ring_may_put(struct ring *r)
{
    return !rte_ring_full(r->rte);
}

static bool ring_may_get(struct ring *r)
{
    return !rte_ring_empty(r->rte);
}

#include "parked.h"

static void *make(const struct queue_shape *shape, unsigned flags)
{
    ssize_t bytes = rte_ring_get_memsize(shape->items_max * 2);
    struct parked *q = aligned_alloc(64, sizeof *q);
    if (q == NULL || bytes < 0)
        abort();
    memset(q, 0, sizeof *q);
    q->ring.rte = aligned_alloc(128, ((size_t)bytes + 127) / 128 * 128);
    if (q->ring.rte == NULL ||
        rte_ring_init(q->ring.rte, "bench", shape->items_max, flags | RING_F_EXACT_SZ) < 0)
        abort();
    return q;
}

static void *make_default(const struct queue_shape *shape)
{
    return make(shape, (shape->producers == 1 ? RING_F_SP_ENQ : 0) |
                           (shape->consumers == 1 ? RING_F_SC_DEQ : 0));
}

static void *make_hts(const struct queue_shape *shape)
{
    return make(shape, RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ);
}

static void done(void *queue)
{
    struct parked *q = queue;
    free(q->ring.rte);
    free(q);
}

int main(int argc, char **argv)
{
    static const struct queue_kind kinds[] = {
        { "rte_ring+ec", make_default, parked_put, parked_get, parked_close, done },
        { "rte_ring-hts+ec", make_hts, parked_put, parked_get, parked_close, done },
    };
    return queue_run_asked(argc, argv, kinds, 2) ? EXIT_SUCCESS : EXIT_FAILURE;
}
