/* SPDX-License-Identifier: Apache-2.0
 *
 * What is spoken with a worker process, as bytes and without I/O.
 *
 *   lines:   request  PAYLOAD '\n'        answer  RESULT '\n'
 *   frames:  request  LENGTH PAYLOAD      answer  LENGTH RESULT      LENGTH: 4 bytes, big-endian
 *
 * In lines neither side may hold a newline; only '\n' ends a line and only it is taken off ('\r' is
 * the program's own). An empty payload and an empty result are allowed in both.
 *
 * Any thread; pure.
 */
#ifndef TASK_WORKER_PROTO_H
#define TASK_WORKER_PROTO_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

enum worker_protocol { WORKER_LINES, WORKER_FRAMES };

enum {
    WORKER_HEADER_BYTES = 4,
    /* What an answer needs beside answer_max bytes until it is known to be one, or to be too
     * long. */
    WORKER_ANSWER_EXTRA_BYTES = WORKER_HEADER_BYTES + 1,
};

/* Whether a payload can be sent: PEN_EHANDLER, with a reason that is a static text, when not. */
int worker_request_check(enum worker_protocol protocol, const void *payload, size_t bytes,
                         const char **ret_reason) MUST_CHECK;

/* The bytes of a whole request. */
size_t worker_request_bytes(enum worker_protocol protocol, size_t payload_bytes);

/* What is left to send of a request after its first `sent` bytes. */
struct worker_rest {
    uint8_t header[WORKER_HEADER_BYTES];
    struct iovec iov[2]; /* into header and the payload */
    int count;           /* of iov; 0: all is sent */
};
void worker_request_rest(enum worker_protocol protocol, const void *payload, uint32_t payload_bytes,
                         size_t sent, struct worker_rest *ret_rest);

/* Looks for the answer's end in bytes that keep coming. */
struct worker_answer {
    /* fixed after init */
    enum worker_protocol protocol;
    size_t answer_max;
    /* lines: so many bytes were looked at and hold no newline; 0 at the start of an answer */
    size_t seen_bytes;
};

struct worker_found {
    size_t start, bytes; /* the result */
    size_t used_bytes;   /* with all that belongs to it */
};

/* data is everything that came since the last answer, n its bytes; it may have moved since the
 * last call, but only grown. 1: an answer is there. 0: not yet. PEN_EMALFORMED: it is longer
 * than answer_max, known after at most answer_max + WORKER_ANSWER_EXTRA_BYTES bytes. */
int worker_answer_find(struct worker_answer *a, const uint8_t *data, size_t n,
                       struct worker_found *ret_found) MUST_CHECK;

#endif
