/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "cli/signals.h"

enum { READ_BYTES = 64 * 1024 };

void source_init(struct source *s)
{
    *s = (struct source){ .fd = -1, .buf.max = SOURCE_MESSAGE_BYTES_MAX };
}

int source_init_data(struct source *s, const void *data, size_t bytes, uint64_t times)
{
    source_init(s);
    s->times_left = times;
    return buf_append(&s->buf, data, bytes);
}

static int open_file(struct source *s, const char *path)
{
    s->fd = str_equal(path, "-") ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    return s->fd < 0 ? -errno : 0;
}

static void close_file(struct source *s)
{
    if (s->fd > STDIN_FILENO)
        (void)close(s->fd);
    s->fd = -1;
}

int source_init_file(struct source *s, const char *path, uint64_t times)
{
    source_init(s);
    s->times_left = times;
    int r = open_file(s, path);
    while (r == 0 && s->fd >= 0) {
        r = source_fill(s);
        if (r == -EINTR && signals_got() == 0)
            r = 0;
    }
    close_file(s);
    return r;
}

int source_init_lines(struct source *s, const char *path)
{
    source_init(s);
    s->lines = true;
    return open_file(s, path);
}

static int next_line(struct source *s, const void **ret_data, size_t *ret_bytes)
{
    buf_consume(&s->buf, s->taken);
    s->taken = 0;
    size_t have = buf_bytes(&s->buf);
    const uint8_t *line = buf_at(&s->buf);
    const uint8_t *end =
        have > s->scanned ? memchr(line + s->scanned, '\n', have - s->scanned) : NULL;
    if (end == NULL && s->fd >= 0) {
        s->scanned = have;
        return PEN_EEMPTY;
    }
    if (end == NULL && have == 0)
        return 0;
    s->scanned = 0;
    *ret_data = line;
    *ret_bytes = end != NULL ? (size_t)(end - line) : have;
    s->taken = end != NULL ? *ret_bytes + 1 : have;
    return 1;
}

int source_next(struct source *s, const void **ret_data, size_t *ret_bytes)
{
    if (s->lines)
        return next_line(s, ret_data, ret_bytes);
    if (s->times_left == 0)
        return 0;
    if (s->times_left != UINT64_MAX)
        s->times_left--;
    *ret_data = buf_at(&s->buf);
    *ret_bytes = buf_bytes(&s->buf);
    return 1;
}

int source_fill(struct source *s)
{
    check(s->fd >= 0);
    int r = buf_reserve(&s->buf, READ_BYTES);
    if (r < 0)
        return r;
    ssize_t n = read(s->fd, buf_tail(&s->buf), READ_BYTES);
    if (n < 0)
        return -errno;
    if (n == 0)
        close_file(s);
    buf_grew(&s->buf, (size_t)n);
    return 0;
}

void source_fini(struct source *s)
{
    close_file(s);
    buf_fini(&s->buf);
}
