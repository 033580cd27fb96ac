/* SPDX-License-Identifier: Apache-2.0
 *
 * One function over many arguments on a pool, in a window that moves: the oldest future is awaited, its place filled with
 * the next argument. When the pool's queue is full, the map makes do with what is in flight and waits for room only
 * when nothing is.
 *
 * Thread: the caller's, which waits.
 */
#include "task/pool.h"

#include <stdlib.h>

#include "task/future.h"

struct map {
    struct pen_pool *pool;
    pen_job_fn fn;
    void *const *args;
    size_t n;
    const struct pen_map_options *options;
    pen_mono_t deadline;
    struct pen_future **flying; /* a ring of `window` places */
    size_t window, begun, ended;
};

static bool window_empty(const struct map *m)
{
    return m->begun == m->ended;
}

static struct pen_future **place(struct map *m, size_t index)
{
    return &m->flying[index % m->window];
}

static int begin_one(struct map *m)
{
    struct pen_job_options job = { 0 };
    if (m->options->job != NULL)
        job = *m->options->job;
    job.room_until = window_empty(m) ? m->deadline : PEN_NOW;
    int r = pen_pool_submit(m->pool, m->fn, m->args[m->begun], &job, place(m, m->begun));
    if (r == 0)
        m->begun++;
    return r;
}

static int fill_window(struct map *m)
{
    while (m->begun < m->n && m->begun - m->ended < m->window) {
        int r = begin_one(m);
        if (r == PEN_EFULL && !window_empty(m))
            return 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Hand the oldest outcome over. */
static int end_one(struct map *m)
{
    struct pen_future **f = place(m, m->ended);
    if (!future_await(*f, m->deadline))
        return PEN_ETIMEOUT;
    int error = pen_future_error(*f);
    size_t index = m->ended++;
    int r = error;
    if (m->options->on_result != NULL)
        r = m->options->on_result(index, error, pen_future_take(*f), m->options->arg);
    pen_future_unref(f);
    return r < 0 ? r : 0;
}

/* Nobody wants the rest. */
static void abandon(struct map *m)
{
    for (size_t i = m->ended; i < m->begun; i++)
        (void)pen_future_cancel(*place(m, i));
    for (; m->ended < m->begun; m->ended++) {
        (void)future_await(*place(m, m->ended), PEN_NEVER);
        pen_future_unref(place(m, m->ended));
    }
}

static int run(struct map *m)
{
    while (m->ended < m->n) {
        int r = fill_window(m);
        if (r == 0)
            r = end_one(m);
        if (r < 0) {
            abandon(m);
            return r;
        }
    }
    return 0;
}

int pen_pool_map(struct pen_pool *pool, pen_job_fn fn, void *const *args, size_t n,
                 const struct pen_map_options *options)
{
    static const struct pen_map_options defaults;
    const struct pen_map_options *o = options != NULL ? options : &defaults;
    if (fn == NULL || (args == NULL && n > 0))
        return PEN_EINVAL;
    if (pool_may_not_wait(pool))
        return PEN_EWRONGTHREAD;
    struct map m = { .pool = pool, .fn = fn, .args = args, .n = n, .options = o };
    m.deadline = o->deadline.ns > PEN_NOW.ns ? o->deadline : PEN_NEVER;
    m.window = o->window != 0 ? o->window : 2 * (size_t)pool_threads_max(pool);
    if (m.window > n)
        m.window = n > 0 ? n : 1;
    m.flying = calloc(m.window, sizeof(struct pen_future *));
    if (m.flying == NULL)
        return PEN_ENOMEM;
    int r = run(&m);
    free(m.flying);
    return r;
}
