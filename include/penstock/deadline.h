/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_deadline: a limit in time for a piece of work, nested and movable, that knows whether it was itself that ended the
 * work or somebody else. Python's asyncio.timeout_at() as an object.
 */
#ifndef PENSTOCK_DEADLINE_H
#define PENSTOCK_DEADLINE_H

#include <penstock/future.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_deadline;

/* Cancel the future at `when`, or as soon after as the loop is free; PEN_NEVER: not until it is moved. The loop keeps the
 * timer: when it is closed first, or out of memory, the deadline passes no more, or at once. With a parent (may be NULL)
 * the earlier of the two counts: when the parent's time comes this future is cancelled as well, and it is the parent
 * that has expired. The deadline is the caller's and keeps the future until it is freed. Any thread; does not block;
 * callbacks may call it. PEN_ENOMEM: *ret_deadline untouched. Since 0.2. */
PEN_API int pen_deadline_new(struct pen_loop *loop, struct pen_deadline *parent, pen_mono_t when,
                             struct pen_future *future, struct pen_deadline **ret_deadline)
    PEN_MUST_CHECK;

/* Move it, in either direction. PEN_ETIMEOUT: its time has come already; PEN_ECLOSED: its loop was closed: nothing
 * has changed. Any thread; does not block. Since 0.2. */
PEN_API int pen_deadline_reschedule(struct pen_deadline *deadline, pen_mono_t when) PEN_MUST_CHECK;

/* It was this deadline that cancelled, before anybody else did, and before the work had ended. Any thread. Since 0.2. */
PEN_API bool pen_deadline_expired(const struct pen_deadline *deadline);

/* What the caller of the work should see: PEN_ECANCELED becomes PEN_ETIMEOUT when this deadline has expired; every other
 * outcome stays. Any thread. Since 0.2. */
PEN_API int pen_deadline_outcome(const struct pen_deadline *deadline, int outcome);

/* Take the limit off and set *deadline to NULL; NULL is accepted. Deadlines nested in this one go on in its parent. A cancel
 * that is under way on the loop may still come. Any thread; does not block. Since 0.2. */
PEN_API void pen_deadline_free(struct pen_deadline **deadline);

#ifdef __cplusplus
}
#endif
#endif
