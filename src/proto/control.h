/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket's requests: one JSON object, one answer. Pure.
 *
 *   {"op":"status"}                     {"op":"queues"}  or  {"op":"queues","queue":"jobs"}
 *   {"op":"pause","queue":"jobs"}       the same with resume, purge
 *   {"op":"drain"}                      {"op":"shutdown"}
 *   {"op":"tasks"}
 *
 * Failures are answered with json_failure_encode(); the bodies of status, queues and tasks are built by the daemon with
 * jansson and json_to_slice().
 */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include "base/limits.h"
#include "base/slice.h"

enum control_op {
    CONTROL_STATUS,
    CONTROL_QUEUES,
    CONTROL_DRAIN,
    CONTROL_PAUSE,
    CONTROL_RESUME,
    CONTROL_PURGE,
    CONTROL_SHUTDOWN,
    CONTROL_TASKS
};

struct control_request {
    enum control_op op;
    char queue[LIMIT_NAME_BYTES + 1]; /* "" when not given */
};

/* PEN_EPROTO or PEN_ETOOBIG with the reason in text (cut at size), PEN_ENOMEM; *ret_request untouched. */
int control_request_decode(const void *data, size_t bytes, struct control_request *ret_request,
                           char *text, size_t size) MUST_CHECK;

/* {"ok":true}: for operations that have nothing to tell. PEN_ENOMEM. */
int control_ok_encode(struct slice *ret_slice) MUST_CHECK;

/* The word of an operation, such as "pause". */
const char *control_op_word(enum control_op op);

#endif
