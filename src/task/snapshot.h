/* SPDX-License-Identifier: Apache-2.0
 *
 * What pen_tasks_snapshot() lists: every future that is not done, every pool and every group is on a list of its kind
 * from its making to its freeing. The list of futures is cut in parts by address, so that threads that submit and
 * finish jobs seldom meet at a lock.
 */
#ifndef TASK_SNAPSHOT_H
#define TASK_SNAPSHOT_H

#include "base/list.h"
#include "base/roles.h"

enum listed_kind { LISTED_FUTURE, LISTED_POOL, LISTED_GROUP, LISTED_KINDS };

/* Embedded in the object. */
struct listed {
    struct list node; /* lock: its part's, of the rank LISTED */
};

/* Any thread that holds no lock of LISTED's rank or below. */
void listed_add(enum listed_kind kind, struct listed *object) ANY_THREAD;
void listed_remove(enum listed_kind kind, struct listed *object) ANY_THREAD;

#endif
