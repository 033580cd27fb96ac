/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/errlog.h"

#include <string.h>

static void tell_left_out(const char *subject, pid_t pid, uint32_t left_out)
{
    if (left_out > 0)
        log_notice(subject, "pid %d: %u lines of its standard error were left out", (int)pid,
                   left_out);
}

static void flush_line(struct errlog *e, const char *subject, pid_t pid)
{
    uint32_t left_out;
    e->line[e->bytes] = '\0';
    e->bytes = 0;
    if (!log_limit_pass(&e->limit, LIMIT_HANDLER_STDERR_LINES_PER_S, &left_out))
        return;
    tell_left_out(subject, pid, left_out);
    log_notice(subject, "pid %d: %s", (int)pid, e->line);
}

/* A piece without a newline. The line is logged as soon as it is full, the rest of it never. */
static void add(struct errlog *e, const char *subject, pid_t pid, const char *data, size_t n)
{
    size_t room = LIMIT_HANDLER_STDERR_LINE_BYTES - e->bytes;
    if (e->skip)
        return;
    for (size_t i = 0; i < n && i < room; i++)
        e->line[e->bytes++] =
            data[i] != '\0' ? data[i] : ' '; /* A NUL would hide what comes after it. */
    if (n > room) {
        flush_line(e, subject, pid);
        e->skip = true;
    }
}

void errlog_feed(struct errlog *e, const char *subject, pid_t pid, const char *data, size_t n)
{
    const char *end = data + n, *newline;
    while ((newline = memchr(data, '\n', (size_t)(end - data))) != NULL) {
        add(e, subject, pid, data, (size_t)(newline - data));
        if (!e->skip)
            flush_line(e, subject, pid);
        e->skip = false;
        data = newline + 1;
    }
    add(e, subject, pid, data, (size_t)(end - data));
}

void errlog_end(struct errlog *e, const char *subject, pid_t pid)
{
    if (e->bytes > 0)
        flush_line(e, subject, pid);
    tell_left_out(subject, pid, e->limit.left_out);
    *e = (struct errlog){ 0 };
}
