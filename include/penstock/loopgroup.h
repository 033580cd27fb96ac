/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_loopgroup: n loops, each on a thread of its own, that begin and end together.
 */
#ifndef PENSTOCK_LOOPGROUP_H
#define PENSTOCK_LOOPGROUP_H

#include <penstock/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_loopgroup;

struct pen_loopgroup_options {
    const char *name; /* the loops are called NAME/0, NAME/1, ...; borrowed for the call; NULL: "loop" */
    uint32_t loops;     /* 1 to 1024; 0: one for each CPU that the calling thread may use */
    bool pin;           /* keep loop i on the i-th of those CPUs, counted round */
    uint32_t inbox_max; /* as in struct pen_loop_options, for each loop */
    uint32_t turn_max;
};

/* Make the loops; none runs. options may be NULL. Any thread; does not block.
 * PEN_EINVAL, PEN_ENOMEM, or a negated errno; *ret_group untouched. Since 0.2. */
PEN_API int pen_loopgroup_new(const struct pen_loopgroup_options *options,
                              struct pen_loopgroup **ret_group) PEN_MUST_CHECK;

/* Start every loop's thread. One thread at a time may start, join and free a group. Does not block. PEN_EBUSY: it
 * was started and not yet joined; a negated errno when a thread could not be had, -EINVAL when a CPU has gone: then
 * those that ran were stopped and joined, and calls accepted before wait for the next start. Since 0.2. */
PEN_API int pen_loopgroup_start(struct pen_loopgroup *group) PEN_MUST_CHECK;

/* pen_loop_stop() for every loop. Any thread; does not block; idempotent. Since 0.2. */
PEN_API void pen_loopgroup_stop(struct pen_loopgroup *group);

/* Wait until every loop's thread has ended. PEN_EWRONGTHREAD on one of the loops: nothing was waited for; PEN_EINVAL
 * when the group was not started. Since 0.2. */
PEN_API int pen_loopgroup_join(struct pen_loopgroup *group) PEN_MUST_CHECK;

/* Free a group that does not run and its loops, as pen_loop_free() does, and set *group to NULL; NULL is accepted.
 * Since 0.2. */
PEN_API void pen_loopgroup_free(struct pen_loopgroup **group);

/* How many loops there are, and the one with that index, below the count; NULL beyond. The loop is the group's: it is not
 * to be started, joined or freed by itself. Any thread. Since 0.2. */
PEN_API uint32_t pen_loopgroup_count(const struct pen_loopgroup *group);
PEN_API struct pen_loop *pen_loopgroup_at(const struct pen_loopgroup *group, uint32_t index);

/* The loops in turn, one for each call, whoever calls. Any thread; does not block. Since 0.2. */
PEN_API struct pen_loop *pen_loopgroup_next(struct pen_loopgroup *group);

#ifdef __cplusplus
}
#endif
#endif
