/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker endpoint: one rep endpoint on one loop over which outside workers take jobs from queues and say what became of
 * them, and others put jobs and look at queues (proto/worker.h). A connection may have any number of requests under way. What
 * it holds when it ends is given back at once, unless it asked for leases that outlive it.
 */
#ifndef FLOW_WORKERS_H
#define FLOW_WORKERS_H

#include "flow/jobq.h"
#include "flow/part.h"
#include "net/endpoint.h"

struct workers;

/* A queue that is served. */
struct workers_queue {
    struct jobq *queue;
    const struct conf_queue *conf; /* must outlive it */
};

/* All queues of the daemon, for what is redriven into them. */
struct workers_options {
    const struct conf_workers *conf;    /* must outlive it */
    unsigned index;                     /* among the worker endpoints, from 0 */
    const struct workers_queue *queues; /* all queues of the daemon; borrowed for the call */
    size_t queues_count;
    /* STATS: a report about the queue of that name, "" for all of them; the slice is the caller's. Any thread. */
    int (*report)(const char *queue, struct slice *ret_slice, void *arg);
    void *arg;
    struct part_options part; /* on_order is the endpoint's own */
};

/* Open the endpoint; nothing is read before workers_start(). A failure's text, naming the address, goes to text. MAIN, at
 * boot. */
int workers_new(const struct workers_options *options, char *text, size_t size,
                struct workers **ret_workers) MUST_CHECK;
int workers_start(struct workers *workers) MUST_CHECK;

struct part *workers_part(struct workers *workers);
const struct conf_workers *workers_conf(const struct workers *workers);

struct workers_stats {
    uint64_t put, reserved, settled; /* jobs */
    uint64_t refused;                /* requests that could not be done, jobs of lists too */
    uint64_t malformed;              /* of those, requests that could not be understood */
    uint64_t late;                   /* of those, by workers that had lost the lease */
    uint64_t returned;               /* jobs that came back because a connection ended */
    uint64_t waiting;                /* requests now */
    struct endpoint_stats endpoint;
};
void workers_stats(const struct workers *workers, struct workers_stats *ret_stats) ANY_THREAD;

/* After its loop was joined; sets to NULL, accepts NULL. */
void workers_free(struct workers **workers);

#endif
