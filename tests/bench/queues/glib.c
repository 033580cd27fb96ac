/* SPDX-License-Identifier: Apache-2.0
 *
 * GLib's GAsyncQueue, bounded by a semaphore.
 */
#include <glib.h>
#include <semaphore.h>
#include <stdlib.h>

#include "../queue_run.h"

struct bounded {
    GAsyncQueue *items;
    sem_t room;
};

static char the_end;

static void *make(const struct queue_shape *shape)
{
    struct bounded *q = malloc(sizeof *q);
    if (q == NULL)
        abort();
    q->items = g_async_queue_new();
    sem_init(&q->room, 0, shape->items_max);
    return q;
}

static void put(void *queue, const struct pen_item *items, size_t n)
{
    struct bounded *q = queue;
    for (size_t i = 0; i < n;) {
        size_t k = 1;
        while (sem_wait(&q->room) != 0) {
        }
        while (i + k < n && sem_trywait(&q->room) == 0)
            k++;
        g_async_queue_lock(q->items);
        for (size_t end = i + k; i < end; i++)
            g_async_queue_push_unlocked(q->items, items[i].ptr);
        g_async_queue_unlock(q->items);
    }
}

static size_t get(void *queue, struct pen_item *items, size_t max)
{
    struct bounded *q = queue;
    size_t n = 0;
    g_async_queue_lock(q->items);
    void *ptr = g_async_queue_pop_unlocked(q->items);
    for (; ptr != NULL && ptr != &the_end; ptr = g_async_queue_try_pop_unlocked(q->items)) {
        items[n++].ptr = ptr;
        if (n == max)
            break;
    }
    if (ptr == &the_end && n > 0) /* For the next call, or for another consumer. */
        g_async_queue_push_front_unlocked(q->items, &the_end);
    g_async_queue_unlock(q->items);
    for (size_t i = 0; i < n; i++)
        sem_post(&q->room);
    return n;
}

static void close_queue(void *queue, const struct queue_shape *shape)
{
    struct bounded *q = queue;
    for (unsigned i = 0; i < shape->consumers; i++)
        g_async_queue_push(q->items, &the_end);
}

static void done(void *queue)
{
    struct bounded *q = queue;
    g_async_queue_unref(q->items);
    sem_destroy(&q->room);
    free(q);
}

int main(int argc, char **argv)
{
    static const struct queue_kind kind = { "GAsyncQueue+sem", make, put, get, close_queue, done };
    return queue_run_asked(argc, argv, &kind, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
}
