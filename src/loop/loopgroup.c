/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops that begin and end together. Thread: the holder's, but for next, at, count and stop.
 */
#include <penstock/loopgroup.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/count.h"
#include "loop/io.h"
#include "loop/loop.h"
#include "plat/thread.h"

enum { LOOPS_MAX = 1024 };

struct pen_loopgroup {
    /* fixed after init */
    uint32_t count;
    /* owner: the holder */
    bool started;
    /* atomic: shared, wraps; only its remainder counts */
    struct count turn;
    /* fixed after init */
    struct pen_loop *loops[];
};

static int make_loop(const struct pen_loopgroup_options *o, uint32_t i, struct pen_loop **ret_loop)
{
    char name[LOOP_NAME_BYTES];
    struct pen_loop_options options = { .name = name,
                                        .inbox_max = o->inbox_max,
                                        .turn_max = o->turn_max };
    /* The number is what tells them apart, so it is the name that is cut. */
    (void)snprintf(name, sizeof name, "%.10s/%u", o->name != NULL ? o->name : "loop", i % LOOPS_MAX);
    int r = pen_loop_new(&options, ret_loop);
    if (r == 0 && o->pin)
        loop_pin(*ret_loop, thread_cpu_at(i));
    return r;
}

int pen_loopgroup_new(const struct pen_loopgroup_options *options, struct pen_loopgroup **ret_group)
{
    struct pen_loopgroup_options o = { 0 };
    if (options != NULL)
        o = *options;
    if (o.loops > LOOPS_MAX)
        return PEN_EINVAL;
    if (o.loops == 0)
        o.loops = thread_cpus() < LOOPS_MAX ? thread_cpus() : LOOPS_MAX;
    struct pen_loopgroup *g = calloc(1, sizeof *g + o.loops * sizeof g->loops[0]);
    if (g == NULL)
        return PEN_ENOMEM;
    int r = 0;
    for (; g->count < o.loops && r == 0; g->count++)
        r = make_loop(&o, g->count, &g->loops[g->count]);
    if (r < 0)
        pen_loopgroup_free(&g);
    else
        *ret_group = g;
    return r;
}

static void stop_and_join(struct pen_loopgroup *g, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        pen_loop_stop(g->loops[i]);
    for (uint32_t i = 0; i < n; i++)
        check(pen_loop_join(g->loops[i]) == 0);
}

int pen_loopgroup_start(struct pen_loopgroup *g)
{
    if (g->started)
        return PEN_EBUSY;
    for (uint32_t i = 0; i < g->count; i++) {
        int r = pen_loop_start(g->loops[i]);
        if (r < 0) {
            stop_and_join(g, i);
            return r;
        }
    }
    g->started = true;
    return 0;
}

void pen_loopgroup_stop(struct pen_loopgroup *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        pen_loop_stop(g->loops[i]);
}

int pen_loopgroup_join(struct pen_loopgroup *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        if (pen_loop_here(g->loops[i]))
            return PEN_EWRONGTHREAD;
    if (!g->started)
        return PEN_EINVAL;
    for (uint32_t i = 0; i < g->count; i++)
        check(pen_loop_join(g->loops[i]) == 0);
    g->started = false;
    return 0;
}

void pen_loopgroup_free(struct pen_loopgroup **group)
{
    struct pen_loopgroup *g = *group;
    if (g == NULL)
        return;
    check(!g->started);
    for (uint32_t i = 0; i < g->count; i++)
        pen_loop_free(&g->loops[i]);
    free(g);
    *group = NULL;
}

uint32_t pen_loopgroup_count(const struct pen_loopgroup *g)
{
    return g->count;
}

struct pen_loop *pen_loopgroup_at(const struct pen_loopgroup *g, uint32_t index)
{
    return index < g->count ? g->loops[index] : NULL;
}

struct pen_loop *pen_loopgroup_next(struct pen_loopgroup *g)
{
    return g->loops[count_add_shared(&g->turn, 1) % g->count];
}
