/* SPDX-License-Identifier: Apache-2.0
 *
 * What others may see of a loop: counters that its thread alone writes, so reading them disturbs nobody.
 */
#include "loop/io.h"
#include "loop/loop.h"

span_t loop_busy_for(const struct pen_loop *l, mono_t now)
{
    int64_t since = (int64_t)count_read(&l->busy_since);
    return (span_t){ since == 0 || since > now.ns ? 0 : now.ns - since };
}

uint64_t loop_turns(const struct pen_loop *l)
{
    return count_read(&l->turns);
}

void loop_set_running(struct pen_loop *l, const char *name, uint64_t id)
{
    count_set(&l->running, (uint64_t)(uintptr_t)name);
    count_set(&l->running_id, id);
    count_add(&l->steps, 1);
}

uint64_t loop_beat(const struct pen_loop *l)
{
    return count_read(&l->turns) + count_read(&l->events) + count_read(&l->calls) +
           count_read(&l->fired) + count_read(&l->steps);
}

void loop_look(struct pen_loop *l, mono_t now, struct loop_view *ret_view)
{
    uint64_t owner = count_read(&l->owner);
    *ret_view = (struct loop_view){
        .name = l->name,
        .runs = owner != 0,
        .thread_id = owner != 0 && owner != LOOP_OWNER_TO_COME ? (int)owner : 0,
        .busy = loop_busy_for(l, now),
        .running = (const char *)(uintptr_t)count_read(&l->running),
        .running_id = count_read(&l->running_id),
        .turns = loop_turns(l),
        .beat = loop_beat(l),
        .timers = (uint32_t)count_read(&l->timers_count),
    };
    lock_take(&l->inbox_lock);
    ret_view->inbox = l->inbox_calls;
    lock_drop(&l->inbox_lock);
}

void pen_loop_stats(const struct pen_loop *l, struct pen_loop_stats *ret_stats)
{
    *ret_stats = (struct pen_loop_stats){
        .turns = count_read(&l->turns),
        .events = count_read(&l->events),
        .calls = count_read(&l->calls),
        .timers = count_read(&l->fired),
    };
    histogram_collect(&l->turn_time, &ret_stats->turn_time);
    histogram_collect(&l->lag, &ret_stats->lag);
}
