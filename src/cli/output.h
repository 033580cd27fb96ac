/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard output: messages in their format, or JSON, gathered and written when the stream waits.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/format.h"
#include "cli/options.h"
#include "proto/published.h"

struct output {
    int fd;
    struct buf buf;
    enum format format;
    bool newline; /* one after each message */
    bool json;
    const char *separator; /* between topic and body; NULL: messages are not split */
};

void output_init(struct output *out, const struct options *o);
void output_fini(struct output *out);

/* Whether messages are printed at all. */
bool output_prints(const struct output *out);

/* One received message. PEN_ENOMEM, or what output_flush() says. */
int output_message(struct output *out, const void *data, size_t bytes) MUST_CHECK;

/* A member for bytes: text as it is, bytes that are no text in base 64 under name with 64 behind it, of at most 29 bytes.
 * PEN_ENOMEM. */
int output_set_bytes(json_t *object, const char *name, const void *data, size_t bytes) MUST_CHECK;

/* One numbered result, as JSON. The same. */
int output_result(struct output *out, uint64_t stream, const struct published_result *result)
    MUST_CHECK;

/* One JSON value in a line; takes the reference. PEN_ENOMEM, or what output_flush() says. */
int output_json(struct output *out, json_t *value) MUST_CHECK;

/* Writes what was gathered; blocks. A negated errno value: -EPIPE when nobody reads any more, -EINTR
 * when a signal asked us to end. */
int output_flush(struct output *out) MUST_CHECK;

#endif
