/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that come in pieces of any size, as lines. A line longer than LIMIT_HANDLER_STDERR_LINE_BYTES
 * is told as soon as that many are there, and the rest of it never.
 *
 * One thread at a time.
 */
#ifndef TASK_WORKER_LINES_H
#define TASK_WORKER_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

/* Zeroed before use. */
struct worker_lines {
    size_t bytes;
    bool skip;                                      /* the rest of a line that was cut */
    char line[LIMIT_HANDLER_STDERR_LINE_BYTES + 1]; /* the one that is not finished */
};

/* A line, without its newline and with a NUL behind it; a NUL inside has become a blank. */
typedef void (*worker_lines_fn)(const char *line, size_t bytes, void *arg);

void worker_lines_feed(struct worker_lines *l, const char *data, size_t n, worker_lines_fn fn,
                       void *arg);
/* Nothing more comes: tell a line that was left unfinished, and begin anew. */
void worker_lines_end(struct worker_lines *l, worker_lines_fn fn, void *arg);

#endif
