/* SPDX-License-Identifier: Apache-2.0
 *
 * For those that submit on behalf of a group: a place is reserved first, so that the group cannot end meanwhile, and then
 * taken by the future, or given back. Between the two nothing can fail.
 */
#ifndef TASK_GROUP_H
#define TASK_GROUP_H

#include <penstock/group.h>

#include "base/err.h"
#include "base/roles.h"
#include "task/snapshot.h"

struct group_member;

/* PEN_ESHUTDOWN: the group is closed; PEN_ENOMEM. */
int group_reserve(struct pen_group *g, struct group_member **ret_member) MUST_CHECK ANY_THREAD;

/* The future is the member, with a reference of the group's own. */
void group_join(struct group_member *m, struct pen_future *f) ANY_THREAD;

/* Nothing was submitted. */
void group_give_back(struct group_member *m) ANY_THREAD;

/* The last step of a submission that said r (0, or an error and then no future): join or give back, and hand the future on
 * (ret_future NULL: drop it). Returns r. */
int group_settle(struct group_member *m, int r, struct pen_future *f, struct pen_future **ret_future)
    MUST_CHECK ANY_THREAD;

/* Calls fn for each member that is there, with the addresses of the group's end and of the member's future, which are
 * only to be compared. Under the lock of its list. */
void group_look(struct listed *listed, void (*fn)(const void *end, const void *member, void *arg),
                void *arg) ANY_THREAD;

/* The options for the group's jobs. */
const struct pen_job_options *group_job_options(const struct pen_group *g) ANY_THREAD;

#endif
