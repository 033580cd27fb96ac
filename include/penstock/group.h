/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_group: structured concurrency. Members are jobs on loops and pools, requests to isolated pools, any
 * future, and other groups; the group ends when
 * all members have. The rules are those of Python's asyncio.TaskGroup: the first failure (not a cancellation) cancels
 * the others, everybody is waited for, and all errors are kept.
 *
 * A group is used from any thread. Members may add members while the group is open. It is open from the start; it closes
 * when a member fails, when it is cancelled, when its deadline passes, or when it is waited for (pen_group_wait(),
 * pen_group_on_done()) and has no members left. Closed and without members it has ended, with one outcome:
 * the first failure; else PEN_ETIMEOUT or PEN_ECANCELED, whichever closed it; else 0.
 */
#ifndef PENSTOCK_GROUP_H
#define PENSTOCK_GROUP_H

#include <penstock/future.h>
#include <penstock/isopool.h>
#include <penstock/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_group;

struct pen_group_options {
    const char *name; /* told as the error's name to a parent; must outlive it; NULL: "group" */
    /* This group is a member of that one until it has ended: its outcome, unless 0 or PEN_ECANCELED, is a failure there.
     * So it must be waited for, or the parent never ends. NULL: none. */
    struct pen_group *parent;
    pen_mono_t deadline;   /* PEN_NOW, the zero value: none, until pen_group_reschedule() */
    struct pen_loop *loop; /* keeps the deadline; NULL: there is and will be none */
    const struct pen_job_options *job; /* of the jobs submitted through the group; copied; NULL: none */
};

/* Make a group. options may be NULL and are borrowed for the call. The group is the caller's. Any thread; does not block.
 * PEN_ESHUTDOWN: the parent is closed; PEN_EINVAL: a deadline without a loop; PEN_ENOMEM: *ret_group untouched.
 * Since 0.2. */
PEN_API int pen_group_new(const struct pen_group_options *options, struct pen_group **ret_group)
    PEN_MUST_CHECK;

/* Submit a job, with the group's job options, and make it a member. ret_future may be NULL. PEN_ESHUTDOWN: the group is
 * closed; PEN_ENOMEM; the errors of pen_loop_submit() and pen_pool_submit(): nothing was submitted. Any thread; blocks only
 * with room_until; callbacks and members may call it. Since 0.2. */
PEN_API int pen_group_loop_submit(struct pen_group *group, struct pen_loop *loop, pen_job_fn fn,
                                  void *arg, struct pen_future **ret_future) PEN_MUST_CHECK;
PEN_API int pen_group_pool_submit(struct pen_group *group, struct pen_pool *pool, pen_job_fn fn,
                                  void *arg, struct pen_future **ret_future) PEN_MUST_CHECK;

/* Submit a request to isolated workers, and make it a member. Otherwise as above, with the errors of
 * pen_isopool_submit(). Since 0.2. */
PEN_API int pen_group_iso_submit(struct pen_group *group, struct pen_isopool *pool,
                                 const void *request, size_t bytes, struct pen_future **ret_future)
    PEN_MUST_CHECK;

/* Make a future that exists a member, done or not: the group keeps it until it is done and may cancel it. Any thread; does
 * not block. PEN_ESHUTDOWN, PEN_ENOMEM: it is not a member. Since 0.2. */
PEN_API int pen_group_add(struct pen_group *group, struct pen_future *future) PEN_MUST_CHECK;

/* Close the group once it has no members, and wait for its end until the deadline: the group's outcome, or PEN_ETIMEOUT
 * when it has not ended (pen_group_outcome() is PEN_EBUSY then) and goes on ending by itself. Any thread; blocks.
 * PEN_EWRONGTHREAD: on a thread that runs a loop, unless it has ended. A member that waits for its own group
 * waits for ever. Since 0.2. */
PEN_API int pen_group_wait(struct pen_group *group, pen_mono_t deadline) PEN_MUST_CHECK;

/* The same without waiting: fn(group, outcome, arg) once, on the loop. The group may be freed there. When the loop is closed
 * first fn is called there, with PEN_EBUSY unless the group has ended. Any thread; does not block. PEN_ENOMEM, PEN_EINVAL
 * (no fn): nothing has changed. Since 0.2. */
PEN_API int pen_group_on_done(struct pen_group *group, struct pen_loop *loop,
                              void (*fn)(struct pen_group *group, int outcome, void *arg),
                              void *arg) PEN_MUST_CHECK;

/* Close the group and cancel its members. Any thread; does not block; idempotent; callbacks may call it. Since 0.2. */
PEN_API void pen_group_cancel(struct pen_group *group);

/* Move the group's deadline; PEN_NEVER takes it off. PEN_ETIMEOUT: its time has come already; PEN_EINVAL: the group has no
 * loop; PEN_ECLOSED: the loop was closed. Any thread; does not block. Since 0.2. */
PEN_API int pen_group_reschedule(struct pen_group *group, pen_mono_t deadline) PEN_MUST_CHECK;

/* The outcome of a group that has ended; PEN_EBUSY before. Any thread. Since 0.2. */
PEN_API int pen_group_outcome(const struct pen_group *group);

/* How many members have failed, and the error and name of each, in the order of their ends; those of a group that has
 * ended do not change any more. ret_name may be NULL. PEN_EINVAL: there is no such index. Any thread; does not
 * block. Since 0.2. */
PEN_API size_t pen_group_errors_count(const struct pen_group *group);
PEN_API int pen_group_error_at(const struct pen_group *group, size_t index, const char **ret_name);

/* Give the group back and set *group to NULL; NULL is accepted. One that has not ended is cancelled and ends by itself. Any
 * thread; does not block. Since 0.2. */
PEN_API void pen_group_free(struct pen_group **group);

#ifdef __cplusplus
}
#endif
#endif
