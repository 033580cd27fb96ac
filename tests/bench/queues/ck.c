/* SPDX-License-Identifier: Apache-2.0
 *
 * Concurrency Kit's ring, with an eventcount round it. It has no batches. One slot of it stays empty.
 */
#include <ck_ring.h>
#include <stdlib.h>

#include "../queue_run.h"

struct ring {
    ck_ring_t ck;
    ck_ring_buffer_t *buffer;
    bool one_producer, one_consumer;
};

static inline bool put_one(struct ring *r, void *ptr)
{
    return r->one_producer ? ck_ring_enqueue_spmc(&r->ck, r->buffer, ptr)
                           : ck_ring_enqueue_mpmc(&r->ck, r->buffer, ptr);
}

static inline bool get_one(struct ring *r, void **ret_ptr)
{
    return r->one_consumer ? ck_ring_dequeue_mpsc(&r->ck, r->buffer, ret_ptr)
                           : ck_ring_dequeue_mpmc(&r->ck, r->buffer, ret_ptr);
}

static size_t ring_try_put(struct ring *r, const struct pen_item *items, size_t n)
{
    size_t k = 0;
    while (k < n && put_one(r, items[k].ptr))
        k++;
    return k;
}

static size_t ring_try_get(struct ring *r, struct pen_item *items, size_t max)
{
    size_t n = 0;
    while (n < max && get_one(r, &items[n].ptr))
        n++;
    return n;
}

static bool ring_may_put(struct ring *r)
{
    return ck_ring_size(&r->ck) + 1 < ck_ring_capacity(&r->ck);
}

static bool ring_may_get(struct ring *r)
{
    return ck_ring_size(&r->ck) > 0;
}

#include "parked.h"

static void *make(const struct queue_shape *shape)
{
    struct parked *q = aligned_alloc(64, sizeof *q);
    if (q == NULL)
        abort();
    *q = (struct parked){ 0 };
    q->ring.buffer = calloc(shape->items_max, sizeof *q->ring.buffer);
    if (q->ring.buffer == NULL)
        abort();
    q->ring.one_producer = shape->producers == 1;
    q->ring.one_consumer = shape->consumers == 1;
    ck_ring_init(&q->ring.ck, shape->items_max);
    return q;
}

static void done(void *queue)
{
    struct parked *q = queue;
    free(q->ring.buffer);
    free(q);
}

int main(int argc, char **argv)
{
    static const struct queue_kind kind = { "ck_ring+ec", make,         parked_put,
                                            parked_get,   parked_close, done };
    return queue_run_asked(argc, argv, &kind, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
}
