/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's job queue as the queue of the contract (queue_contract.h).
 *
 * A number travels as the address of a body without a blob, so that nobody follows it. What was taken is remembered
 * in order, and task_done(n) settles the n oldest: whose they are makes no difference to the queue.
 */
#ifndef TESTS_JOBQ_ADAPTER_H
#define TESTS_JOBQ_ADAPTER_H

#include "flow/jobq.h"
#include "queue_contract.h"

extern const struct queue_ops jobq_ops;

/* A queue as contract_queue() makes it, with a policy. */
void *jobq_adapter_new(const struct broker_limits *limits, struct destroyed *destroyed);
/* The job queue inside. */
struct jobq *jobq_inside(void *queue);

#endif
