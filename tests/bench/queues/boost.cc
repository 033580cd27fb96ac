/* SPDX-License-Identifier: Apache-2.0
 *
 * Boost's lock-free queue, of a fixed number of nodes, with an eventcount round it. It has no batches and cannot say
 * how much is in it.
 */
#include <boost/lockfree/queue.hpp>
#include <cstdlib>

#include "../queue_run.h"

struct ring {
    boost::lockfree::queue<void *, boost::lockfree::fixed_sized<true>> *queue;
};

static size_t ring_try_put(struct ring *r, const struct pen_item *items, size_t n)
{
    size_t k = 0;
    while (k < n && r->queue->bounded_push(items[k].ptr))
        k++;
    return k;
}

static size_t ring_try_get(struct ring *r, struct pen_item *items, size_t max)
{
    size_t n = 0;
    while (n < max && r->queue->pop(items[n].ptr))
        n++;
    return n;
}

static bool ring_may_put(struct ring *)
{
    return true;
}

static bool ring_may_get(struct ring *r)
{
    return !r->queue->empty();
}

#include "parked.h"

/* Its nodes are numbered with 16 bits, and one is its own. */
static const uint32_t nodes_most = 65534;

static void *make(const struct queue_shape *shape)
{
    parked *q = new parked();
    uint32_t nodes = shape->items_max < nodes_most ? shape->items_max : nodes_most;
    q->ring.queue = new boost::lockfree::queue<void *, boost::lockfree::fixed_sized<true>>(nodes);
    return q;
}

static void done(void *queue)
{
    parked *q = static_cast<parked *>(queue);
    delete q->ring.queue;
    delete q;
}

int main(int argc, char **argv)
{
    static const queue_kind kind = { "boost::lockfree+ec", make, parked_put,
                                     parked_get,           parked_close, done };
    return queue_run_asked(argc, argv, &kind, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
}
