/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread of a consumer: its loop takes jobs in batches, a handler of its own does the work, the results go to a
 * publisher and to requesters, and the batch is settled. It takes only as much as its handler has room for, and
 * nothing while a result waits for room.
 */
#ifndef FLOW_CONSUMER_H
#define FLOW_CONSUMER_H

#include "flow/jobq.h"
#include "flow/outlet.h"
#include "flow/part.h"
#include "handler/handler.h"

struct consumer;

struct consumer_options {
    const struct conf_consumer *conf; /* must outlive it */
    unsigned index;                   /* of the thread, from 0 */
    struct jobq *queue;
    struct outlet *publish;        /* NULL: results are not published */
    struct jobq *next;             /* results go into it; NULL: into no queue */
    struct outlet *const *answers; /* of producers from which messages come into the queue; borrowed */
    size_t answers_count;
    struct part_options part; /* on_order is the consumer's own */
};

/* Start the handler. The loop does not run yet. A failure's text goes to the log. MAIN, at boot. */
int consumer_new(const struct consumer_options *options, struct consumer **ret_consumer) MUST_CHECK;
int consumer_start(struct consumer *consumer) MUST_CHECK;

struct part *consumer_part(struct consumer *consumer);
const struct conf_consumer *consumer_conf(const struct consumer *consumer);

struct consumer_stats {
    uint64_t done, failed, in_hand;
    span_t busy; /* CPU time of the thread */
    struct handler_stats handler;
};
void consumer_stats(const struct consumer *consumer, struct consumer_stats *ret_stats) ANY_THREAD;

/* After its loop was joined; sets to NULL, accepts NULL. */
void consumer_free(struct consumer **consumer);

#endif
