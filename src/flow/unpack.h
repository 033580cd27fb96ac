/* SPDX-License-Identifier: Apache-2.0
 *
 * One batch frame on its way into a queue: its records as puts, run by run, and the receipts that answer it. The payloads
 * stay where they are: each put has a reference to the message.
 *
 * Thread: the owner's.
 */
#ifndef FLOW_UNPACK_H
#define FLOW_UNPACK_H

#include "broker/job.h"
#include "proto/batch.h"

struct unpack_options {
    const char *queue;      /* the only one that a record may name; borrowed */
    enum batch_level level; /* that receipts tell */
    bool receipts;          /* the frame is answered with them */
    bool single;            /* it must be one record */
};

struct unpack {
    const struct unpack_options *options;
    struct batch_reader reader; /* tag: also after unpack_begin() failed */
    struct slice frame;         /* borrowed while open */
    bool open;
    struct slice answer;
    struct batch_writer receipts;
    struct batch_record receipt; /* scratch */
};

/* Begin with a message, which must stay until unpack_end(). PEN_EPROTO, PEN_ENOMEM: `*ret_why` tells, a static text. */
int unpack_begin(struct unpack *u, const struct unpack_options *options, struct slice message,
                 const char **ret_why) MUST_CHECK;

/* The next records as puts, up to max; their bodies and exts are the caller's. *ret_error: 0, or what the record behind them
 * is refused with. 0 and no error: there are no more. */
size_t unpack_run(struct unpack *u, struct job_put *ret_puts, size_t max, int *ret_error);

/* The next record in order was decided: status is 0 or why it was not accepted; id 0: there is none. */
void unpack_receipt(struct unpack *u, int status, uint64_t id);

/* The frame is done with. The answer, if there is one, is the caller's. */
struct slice unpack_end(struct unpack *u);

#endif
