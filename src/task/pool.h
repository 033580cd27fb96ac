/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool's inside, for its two files, pool.c and map.c, and for snapshots.
 */
#ifndef TASK_POOL_H
#define TASK_POOL_H

#include <penstock/pool.h>

#include "base/err.h"
#include "task/snapshot.h"

/* The calling thread runs a loop or is one of the pool's own, and so must not wait for the pool. */
bool pool_may_not_wait(const struct pen_pool *pool) MUST_CHECK;

/* For snapshots. Under the lock of its list. */
struct pool_view {
    const char *name; /* valid under that lock */
    uint32_t threads, idle;
    uint64_t waiting;
    bool broken, shut_down;
};
void pool_look(struct listed *listed, struct pool_view *ret_view);

uint32_t pool_threads_max(const struct pen_pool *pool);

#endif
