/* SPDX-License-Identifier: Apache-2.0
 *
 * What a co-process writes to its standard error, line by line into the log: at most so many lines
 * a second, the rest counted, and no line longer than LIMIT_HANDLER_STDERR_LINE_BYTES.
 *
 * Thread: the consumer's loop.
 */
#ifndef HANDLER_ERRLOG_H
#define HANDLER_ERRLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/limits.h"
#include "obs/log.h"

/* Zeroed before use, once for each process. */
struct errlog {
    size_t bytes;
    bool skip; /* the rest of a line that was cut */
    struct log_limit limit;
    char line[LIMIT_HANDLER_STDERR_LINE_BYTES + 1]; /* the one that is not finished */
};

void errlog_feed(struct errlog *e, const char *subject, pid_t pid, const char *data, size_t n);
/* The process has ended: a line it left unfinished, and how many were left out. */
void errlog_end(struct errlog *e, const char *subject, pid_t pid);

#endif
