/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in a queue whose order is not that of arrival: a stack, or a heap of ranks with ties in order of arrival.
 * Under its owner's lock; never allocates while it is used.
 */
#ifndef TASK_ORDER_H
#define TASK_ORDER_H

#include <penstock/queue.h>

#include "base/err.h"

struct order;
struct order_entry;

/* What decides: NULL is a stack, else the lowest rank comes out first. */
typedef int64_t (*order_rank_fn)(const void *ptr, void *arg);

/* Room for `items`. PEN_ENOMEM. */
int order_new(order_rank_fn rank, void *rank_arg, uint32_t items, struct order **ret_order)
    MUST_CHECK;
void order_free(struct order *o);

/* Space for `items`, for order_move(); NULL when there is no memory. Free it with free(). */
struct order_entry *order_space(uint32_t items) MUST_CHECK;

/* Move to larger space; returns the old one, the caller's to free. */
struct order_entry *order_move(struct order *o, struct order_entry *space, uint32_t items) MUST_CHECK;

void order_push(struct order *o, struct pen_item item);
/* The next one, taken out; false when there is none. */
bool order_pop(struct order *o, struct pen_item *ret_item) MUST_CHECK;
/* The next one, left there. */
bool order_look(const struct order *o, struct pen_item *ret_item) MUST_CHECK;

#endif
