/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the messages to send come from: one piece of data, so many times, or the lines of a file.
 */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { SOURCE_MESSAGE_BYTES_MAX = 1 << 30 };

struct source {
    struct buf buf;      /* the data, or what is read of the lines */
    uint64_t times_left; /* data: how often it is still to be sent; UINT64_MAX: without end */
    bool lines;
    int fd;         /* lines: the file; -1: at its end */
    size_t scanned; /* lines: bytes in which no newline is */
    size_t taken;   /* lines: bytes of the line handed out last */
};

/* Nothing to send. */
void source_init(struct source *s);

/* The data, `times` times. PEN_ENOMEM. */
int source_init_data(struct source *s, const void *data, size_t bytes, uint64_t times) MUST_CHECK;

/* What the file contains, `times` times; "-" is standard input. PEN_ETOOBIG, PEN_ENOMEM, a negated
 * errno value; -EINTR when a signal asked us to end. */
int source_init_file(struct source *s, const char *path, uint64_t times) MUST_CHECK;

/* The file's lines. A negated errno value. */
int source_init_lines(struct source *s, const char *path) MUST_CHECK;

/* The next message, borrowed until the next call: 1, or 0 when there are no more, or PEN_EEMPTY when
 * source_fill() must be called first. */
int source_next(struct source *s, const void **ret_data, size_t *ret_bytes) MUST_CHECK;

/* Reads once from the file; does not block if s->fd is readable. PEN_ETOOBIG (a line beyond
 * SOURCE_MESSAGE_BYTES_MAX), PEN_ENOMEM, a negated errno value. */
int source_fill(struct source *s) MUST_CHECK;

void source_fini(struct source *s);

#endif
