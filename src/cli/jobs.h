/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands for jobs share: one connection to a worker endpoint over which one thing is asked after the other, and
 * tickets, by which a job in hand is named: QUEUE:ID:LEASE.
 */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include <jansson.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cli/desk.h"
#include "cli/options.h"

enum {
    JOBS_TICKETS_MAX = LIMIT_BATCH_ITEMS, /* on one command line */
    JOBS_QUEUES_MAX = 16,                 /* of one reserve */
    JOBS_ARGUMENTS_MAX = 1024,            /* of the program of penstock work */
};

struct jobs {
    const struct options *o;
    char url[OPTIONS_URL_BYTES];
    struct pen_loop *loop;
    struct desk desk;
    struct io signal_io;
    struct desk_ask ask;
    json_t *answer; /* what came last */
    int error;
    bool answered;
};

/* Where the endpoint is, as a text. EXIT_USAGE, said. */
int jobs_url(const struct options *o, char url[OPTIONS_URL_BYTES]);

/* Connect. An exit code; what is wrong was said. */
int jobs_open(struct jobs *j, const struct options *o);
void jobs_close(struct jobs *j);

/* Ask and wait for the answer, which is the caller's: for as long as the request itself may wait, and --timeout. Takes the
 * request. An exit code; a refusal was said, and with --json printed. */
int jobs_ask(struct jobs *j, json_t *request, span_t wait, json_t **ret_answer);

/* Say that something was refused; the exit code for it. what: a ticket, or "". */
int jobs_say_refusal(const char *what, const json_t *refusal);

/* {"op": op}, with the one --queue there must be. EXIT_USAGE, said; EXIT_INTERNAL. */
int jobs_request(const struct options *o, const char *op, json_t **ret_request);
/* The same with any number of queues and weights. */
int jobs_request_queues(const struct options *o, json_t **ret_request);

/* Members; false when memory is out, or a text is not UTF-8. A negative span is not given. */
bool jobs_set_ms(json_t *object, const char *name, span_t span);
bool jobs_set_text(json_t *object, const char *name, const char *text);
bool jobs_set_number(json_t *object, const char *name, uint64_t n);

/* EXIT_INTERNAL, said. */
int jobs_no_memory(void);

/* The body of a job or result, appended to `to`. PEN_ENOMEM; PEN_EPROTO: it is none. */
int jobs_body(const json_t *job, struct buf *to) MUST_CHECK;

/* All of --data or --file, in to. An exit code, said. */
int jobs_read_input(const struct options *o, struct buf *to);

#endif
