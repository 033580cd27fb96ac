/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon in one map: what runs, and in which state the whole is.
 *
 *   main.c     command line, configuration, exit codes
 *   needs.c    whether there are descriptors enough to start
 *   graph.c    the parts and queues, made from the configuration
 *   drain.c    the states: running, draining, stopping, and what may be closed when
 *   signals.c  SIGTERM and SIGINT, as events of MAIN's loop
 *   control.c  the control socket; status.c: what it tells
 *   stalls.c   what takes too long, in the log
 *   watchdog.c the service manager's watchdog and status line
 *
 * Thread: MAIN for everything here.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "conf/conf.h"
#include "flow/bury.h"
#include "flow/consumer.h"
#include "flow/durable.h"
#include "flow/jobq.h"
#include "flow/producer.h"
#include "flow/publisher.h"
#include "flow/workers.h"
#include "obs/log.h"

enum daemon_state {
    DAEMON_RUNNING,
    DAEMON_DRAINING, /* intake stops, queues run empty, results are flushed */
    DAEMON_STOPPING, /* everything ends now */
    DAEMON_STATES
};

/* Everything that runs; the arrays are parallel to those of the configuration, but for producers and consumers, which have
 * one element per thread. */
struct graph {
    struct jobq **queues;
    struct durable **durables; /* of the same queues; NULL: it keeps nothing */
    bool *queues_closed;
    struct undertaker **undertakers; /* of queues that have a dead-letter queue; NULL: it has none */
    struct producer **producers;
    size_t producers_count;
    struct publisher **publishers;
    bool *producers_closed, *publishers_closed;
    struct consumer **consumers;
    size_t consumers_count;
    struct workers **workers;
    bool *workers_closed;
};

/* Totals at one moment, for rates. */
struct totals {
    mono_t at;
    uint64_t in, out, failed;
};

struct rates {
    double in, out, failed; /* per second */
};

struct control;
struct signals;

struct daemon {
    const struct conf *conf;
    struct pen_loop *main;
    mono_t started;
    struct graph graph;
    enum daemon_state state;
    unsigned signals_seen;
    struct pen_timer drain_timer, last_timer, watchdog_timer;
    struct control *control; /* NULL: none */
    struct signals *signals;
    struct totals sample;
    struct rates rates;
    mono_t told_progress;          /* of opening the stores */
    struct log_limit stalls_limit; /* owner: the watching thread */
    bool ended;
    int exit_code;
};

/* ---- graph.c ---- */

/* Make everything: sockets are bound, programs started, nothing runs. On failure the reason was logged and *ret_code is
 * the exit code; graph_free() all the same. */
int graph_build(struct daemon *d, int *ret_code) MUST_CHECK;
int graph_start(struct daemon *d) MUST_CHECK;
/* Stop and join every loop, then free everything. */
void graph_free(struct daemon *d);

/* Call fn for each part, as producers, worker endpoints, consumers, publishers. */
void graph_each_part(struct graph *g, const struct conf *conf,
                     void (*fn)(struct part *part, void *arg), void *arg);
/* The queue of that name, or NULL. */
struct jobq *graph_queue(const struct daemon *d, const char *name);
struct totals graph_totals(const struct daemon *d);

/* ---- durables.c ---- */

/* NULL for a queue that keeps nothing. */
int durables_make(struct daemon *d, const struct conf_queue *c, struct durable **ret_durable)
    MUST_CHECK;
/* Bring the jobs of all durable queues back. Blocks. On failure the reason was logged. */
int durables_open(struct daemon *d) MUST_CHECK;
/* When no part runs any more. Blocks until all is on the disk. */
void durables_close(struct daemon *d);

/* ---- needs.c ---- */

/* PEN_ELIMIT, which was logged: the process may not open as many as the configuration needs. */
int needs_check(const struct conf *conf) MUST_CHECK;

/* ---- drain.c ---- */

void daemon_drain(struct daemon *d, const char *why);
void daemon_stop(struct daemon *d, const char *why);
/* Some part has news: do what has become possible. */
void daemon_on_news(struct part *part, enum part_news news, void *arg);
/* A queue was shut down, and now it is empty. */
void daemon_on_queue_end(struct jobq *q, void *arg);
const char *daemon_state_word(enum daemon_state state);
/* The last line of the log. */
void daemon_log_end(const struct daemon *d);

/* ---- signals.c ---- */

/* Before the first thread: block what is handled, ignore SIGPIPE. */
void signals_block(void);
int signals_open(struct daemon *d) MUST_CHECK;
void signals_close(struct daemon *d);

/* ---- control.c, status.c, watchdog.c ---- */

/* Does nothing when the configuration has no control socket. Failures are logged. */
int control_open(struct daemon *d) MUST_CHECK;
/* Let the last answers out, then on_closed(d); at once when there is none. */
void control_close(struct daemon *d, void (*on_closed)(struct daemon *d));
void control_free(struct daemon *d);

int status_encode(struct daemon *d, struct slice *ret_slice) MUST_CHECK;
/* name "": all. PEN_ENOENT. */
int queues_encode(const struct daemon *d, const char *name, struct slice *ret_slice) MUST_CHECK;
/* What the library's pen_tasks_snapshot() shows. */
int tasks_encode(struct slice *ret_slice) MUST_CHECK;
/* Rates since the last sample, which is at least a second old. */
void status_sample(struct daemon *d);

/* Log stalls of loops from now on, unless the configuration says not to; until pen_watch_stop(). */
int stalls_watch(struct daemon *d) MUST_CHECK;

void watchdog_start(struct daemon *d);
/* Tell the service manager how it goes. */
void watchdog_tell(struct daemon *d, const char *first_lines);

#endif
