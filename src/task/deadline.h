/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines for what is not a future.
 */
#ifndef TASK_DEADLINE_H
#define TASK_DEADLINE_H

#include <penstock/deadline.h>

#include "base/err.h"
#include "base/roles.h"

/* What a deadline ends. */
struct deadline_target {
    /* The time of `by`, this deadline or one it is nested in, has come. On the loop's thread, outside all locks. */
    void (*expire)(void *object, const struct pen_deadline *by);
    void (*release)(void *object); /* the deadline is gone; any thread */
    void *object;
};

/* The target is the deadline's from here on, unless it fails. PEN_ENOMEM. */
int deadline_new(struct pen_loop *loop, struct pen_deadline *parent, pen_mono_t when,
                 const struct deadline_target *target, struct pen_deadline **ret_deadline)
    MUST_CHECK ANY_THREAD;

#endif
