/* SPDX-License-Identifier: Apache-2.0
 *
 * A producer: one endpoint on one loop that feeds one job queue. With `threads` there are several for one entry of the
 * configuration: the first has the addresses, and deals connections out to the others, its helpers. A full queue stops its reading, so that its peers' sends
 * block; or the queue's policy refuses and drops, and then the requester is told and the drop is counted.
 */
#ifndef FLOW_PRODUCER_H
#define FLOW_PRODUCER_H

#include "flow/jobq.h"
#include "flow/outlet.h"
#include "flow/part.h"

struct producer;

/* Open the endpoint (bind and connect); nothing is read before producer_start(). conf must outlive it. A failure's text,
 * naming the address, goes to text. MAIN, at boot. */
struct producer_options {
    const struct conf_producer *conf;
    struct jobq *queue;
    span_t block_timeout; /* how long a request waits for room before it is refused; 0: as long as it takes */
    unsigned index; /* of the thread, from 0 */
    struct producer *const *helpers; /* of the first: the others; borrowed for the call, joined before one is freed */
    size_t helpers_count;
    struct part_options part; /* on_order is the producer's own */
};
int producer_new(const struct producer_options *options, char *text, size_t size,
                 struct producer **ret_producer) MUST_CHECK;

/* Start its loop and its reading. */
int producer_start(struct producer *producer) MUST_CHECK;

struct part *producer_part(struct producer *producer);
/* Where consumers send results to requesters: NULL unless reply: result. */
struct outlet *producer_replies(struct producer *producer);
const struct conf_producer *producer_conf(const struct producer *producer);

struct producer_stats {
    uint64_t accepted, refused, malformed;
    uint64_t replies_lost;
    bool paused; /* it waits for room in its queue */
    struct endpoint_stats endpoint;
};
/* As endpoint_slow_peers(). */
size_t producer_slow_peers(const struct producer *producer,
                           struct endpoint_slow_peer ret_peers[ENDPOINT_SLOW_PEERS]) ANY_THREAD;
void producer_stats(const struct producer *producer, struct producer_stats *ret_stats) ANY_THREAD;

/* After its loop was joined; sets to NULL, accepts NULL. */
void producer_free(struct producer **producer);

/* Tell whoever waits for a dropped job, and release it: the job queues' on_dropped. */
void producer_on_dropped(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg);
/* Answer whoever waits for a job with its result, and release it. The result is borrowed. */
void producer_on_done(struct job_settle *job, struct slice result);
/* The same for one that has failed for good and is settled: the undertaker's. */
void producer_on_failed(struct job_settle *job);

#endif
