/* SPDX-License-Identifier: Apache-2.0
 *
 * moodycamel's blocking queue, bounded by its author's semaphore.
 *
 * It keeps no order between producers, so an item that means the end could overtake others: the end is put when all the
 * room has come back, that is, when everything has been taken.
 */
#include <blockingconcurrentqueue.h>
#include <cstdlib>

#include "../queue_run.h"

namespace {

struct bounded {
    moodycamel::BlockingConcurrentQueue<void *> items;
    moodycamel::LightweightSemaphore room;
    ssize_t max;
    explicit bounded(uint32_t bound) : items(bound), room(bound), max(bound)
    {
    }
};

char the_end;

void *make(const struct queue_shape *shape)
{
    return new bounded(shape->items_max);
}

void put(void *queue, const struct pen_item *items, size_t n)
{
    bounded *q = static_cast<bounded *>(queue);
    void *ptrs[QUEUE_RUN_BATCH_MOST];
    for (size_t i = 0; i < n; i++)
        ptrs[i] = items[i].ptr;
    for (size_t i = 0; i < n;) {
        size_t k = static_cast<size_t>(q->room.waitMany(static_cast<ssize_t>(n - i)));
        if (!q->items.enqueue_bulk(ptrs + i, k))
            abort();
        i += k;
    }
}

size_t get(void *queue, struct pen_item *items, size_t max)
{
    bounded *q = static_cast<bounded *>(queue);
    void *ptrs[QUEUE_RUN_BATCH_MOST];
    size_t got = q->items.wait_dequeue_bulk(ptrs, max), n = 0;
    for (size_t i = 0; i < got; i++)
        if (ptrs[i] != &the_end)
            items[n++].ptr = ptrs[i];
    for (size_t ends = got - n; ends > 1; ends--) /* Those of other consumers. */
        q->items.enqueue(&the_end);
    if (n > 0)
        q->room.signal(static_cast<ssize_t>(n));
    return n;
}

void close(void *queue, const struct queue_shape *shape)
{
    bounded *q = static_cast<bounded *>(queue);
    for (ssize_t left = q->max; left > 0;)
        left -= q->room.waitMany(left);
    for (unsigned i = 0; i < shape->consumers; i++)
        q->items.enqueue(&the_end);
}

void done(void *queue)
{
    delete static_cast<bounded *>(queue);
}

} // namespace

int main(int argc, char **argv)
{
    static const queue_kind kind = { "moodycamel+sem", make, put, get, close, done };
    return queue_run_asked(argc, argv, &kind, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
}
