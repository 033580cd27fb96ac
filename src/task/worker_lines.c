/* SPDX-License-Identifier: Apache-2.0 */
#include "task/worker_lines.h"

#include <string.h>

static void tell(struct worker_lines *l, worker_lines_fn fn, void *arg)
{
    size_t bytes = l->bytes;
    l->line[bytes] = '\0';
    l->bytes = 0;
    fn(l->line, bytes, arg);
}

/* A piece without a newline. True: the line is full, and more of it came. */
static bool add(struct worker_lines *l, const char *data, size_t n)
{
    size_t room = LIMIT_HANDLER_STDERR_LINE_BYTES - l->bytes;
    for (size_t i = 0; i < n && i < room; i++)
        l->line[l->bytes++] = data[i] != '\0' ? data[i] : ' '; /* A NUL would hide what comes after. */
    return n > room;
}

void worker_lines_feed(struct worker_lines *l, const char *data, size_t n, worker_lines_fn fn,
                       void *arg)
{
    const char *end = data + n;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        const char *piece_end = newline != NULL ? newline : end;
        bool cut = !l->skip && add(l, data, (size_t)(piece_end - data));
        if (cut || (newline != NULL && !l->skip))
            tell(l, fn, arg);
        l->skip = newline == NULL && (l->skip || cut);
        data = newline != NULL ? newline + 1 : end;
    }
}

void worker_lines_end(struct worker_lines *l, worker_lines_fn fn, void *arg)
{
    if (l->bytes > 0)
        tell(l, fn, arg);
    l->skip = false;
}
