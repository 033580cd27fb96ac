/* SPDX-License-Identifier: Apache-2.0
 *
 * What others may see of a loop: counters that its thread alone writes, so reading them disturbs nobody.
 */
#include <string.h>

#include "base/str.h"
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

/* Words, so that a reader on another thread sees each of them whole; the last byte is always 0. */
void loop_set_running(struct pen_loop *l, const char *name, uint64_t id)
{
    uint64_t words[LOOP_RUNNING_BYTES / 8] = { 0 };
    if (name != NULL)
        (void)str_copy((char *)words, sizeof words, name);
    for (size_t i = 0; i < LOOP_RUNNING_BYTES / 8; i++)
        count_set(&l->running[i], words[i]);
    loop_step(l, id);
}

void loop_step(struct pen_loop *l, uint64_t id)
{
    count_set(&l->running_id, id);
    count_add(&l->steps, 1);
}

void loop_running(const struct pen_loop *l, char text[LOOP_RUNNING_BYTES])
{
    uint64_t words[LOOP_RUNNING_BYTES / 8];
    for (size_t i = 0; i < LOOP_RUNNING_BYTES / 8; i++)
        words[i] = count_read(&l->running[i]);
    memcpy(text, words, sizeof words);
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
        .running_id = count_read(&l->running_id),
        .turns = loop_turns(l),
        .beat = loop_beat(l),
        .timers = (uint32_t)count_read(&l->timers_count),
    };
    loop_running(l, ret_view->running);
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
