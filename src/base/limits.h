/* SPDX-License-Identifier: Apache-2.0
 *
 * Every bound that is not an option, in one place, with its unit in its name. Options and their ranges
 * are in conf/options.def.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    LIMIT_NAME_BYTES = 63,           /* a queue's, consumer's or endpoint's name */
    LIMIT_ROUTE_BYTES = 64,          /* an SP reply header: pipe id and up to 15 hops */
    LIMIT_BATCH_ITEMS = 256,         /* what one lock hold, event or system call moves at most */
    LIMIT_CONTROL_BYTES = 64 * 1024, /* a request on the control socket */
    LIMIT_ERROR_TEXT_BYTES = 512,    /* a reason told to a peer or kept with a dead letter */
    LIMIT_TOPIC_BYTES = 255,         /* a topic after its template is filled in */
    LIMIT_KEY_BYTES = 255,           /* a message's key, or its dedupe id */
    LIMIT_PROGRESS_BYTES = 255,      /* what a worker says of its progress */
    LIMIT_ADDRESSES_PER_ENDPOINT = 16,
    LIMIT_TOPICS_PER_ENDPOINT = 64,
    LIMIT_HANDLER_ARGS = 64,
    LIMIT_THREADS_PER_CONSUMER = 256,
    LIMIT_THREADS_PER_PRODUCER = 64,
    LIMIT_CONFIG_BYTES = 1024 * 1024, /* a configuration file */
    LIMIT_CONFIG_ENTRIES = 1024,      /* queues, producers, ... or options in one mapping of it */
    LIMIT_SLEEPERS = 65536,      /* builtin sleep: messages asleep side by side in one thread */
    LIMIT_RESTART_FIRST_MS = 10, /* first pause before a co-process is started again; it doubles */
    LIMIT_HANDLER_GRACE_MS = 2000, /* for a co-process to end by end-of-file, and again by SIGTERM */
    LIMIT_HANDLER_LEAVE_MS = 1000, /* for a co-process to end after it closed its input or output */
    LIMIT_HANDLER_UNTAKEN = 5, /* processes that may be lost before reading a message; then it fails */
    LIMIT_HANDLER_STDERR_LINE_BYTES = 8 * 1024,
    LIMIT_HANDLER_STDERR_LINES_PER_S = 100,
    LIMIT_LOG_LINE_BYTES = 8 * 1024, /* a line of the log; the rest is cut */
};

#endif
