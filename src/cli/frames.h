/* SPDX-License-Identifier: Apache-2.0
 *
 * --framing batch: messages to send are gathered into frames, and the records of frames that come are printed one by one.
 * See penstock-protocol(7).
 */
#ifndef CLI_FRAMES_H
#define CLI_FRAMES_H

#include "base/buf.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/source.h"
#include "proto/batch.h"

enum { FRAMES_BATCH_DEFAULT = 256, FRAMES_BATCH_MAX = 4096 };

struct frames {
    uint8_t *to; /* the frame in the making */
    size_t size;
    struct batch_writer writer;
    uint64_t payload_bytes; /* in it */
    uint32_t tag;
};

void frames_fini(struct frames *f);

/* Begin a frame. PEN_ENOMEM. */
int frames_begin(struct frames *f) MUST_CHECK;
/* Add a message. PEN_ETOOBIG, PEN_ENOMEM. */
int frames_add(struct frames *f, const void *data, size_t bytes) MUST_CHECK;

/* A record that is to be printed: a message, or what an answer says of one. PEN_ENOMEM, or what output_flush() says. */
int frames_print(const struct batch_reader *reader, struct output *out) MUST_CHECK;

/* The record is of one of the topics, or all are wanted. */
bool frames_wants(const struct batch_record *record, const struct option_list *topics);

#endif
