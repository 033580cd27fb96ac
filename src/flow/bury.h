/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of jobs that have failed for good from their queue into its dead-letter queue, with what is known of their
 * failure. They wait in their own queue while the other is full, so nothing is lost on the way.
 *
 * Thread: MAIN.
 */
#ifndef FLOW_BURY_H
#define FLOW_BURY_H

#include "flow/jobq.h"

struct undertaker;

/* Told of each job that has gone: its ext, with whoever waits for an answer, and its body are the callee's. */
typedef void (*undertaker_fn)(struct job_settle *job);

/* PEN_ENOMEM. Before MAIN's loop runs. */
int undertaker_new(struct jobq *from, struct jobq *to, struct pen_loop *main, undertaker_fn told,
                   struct undertaker **ret_undertaker) MUST_CHECK;
/* Something is dying: the queue's on_dying. */
void undertaker_call(struct undertaker *undertaker) ON_LOOP;
/* Before its queues; sets to NULL, accepts NULL. */
void undertaker_free(struct undertaker **undertaker);

#endif
