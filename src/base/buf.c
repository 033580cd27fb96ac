/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BUF_FIRST_BYTES = 256 };

/* Move the content to the front when that alone makes the room, and grow otherwise, by doubling. */
int buf_reserve(struct buf *b, size_t n)
{
    size_t content = buf_bytes(b);
    if (n > SIZE_MAX / 4 || content > SIZE_MAX / 4 || (b->max != 0 && content + n > b->max))
        return PEN_ETOOBIG;
    if (b->cap - b->end >= n)
        return 0;
    if (b->start > 0 && content + n <= b->cap && b->start >= content) {
        memcpy(b->data, b->data + b->start, content);
        b->start = 0;
        b->end = content;
        return 0;
    }
    size_t cap = b->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : b->cap;
    while (cap < content + n)
        cap *= 2;
    uint8_t *data = malloc(cap);
    if (data == NULL)
        return PEN_ENOMEM;
    if (content > 0)
        memcpy(data, b->data + b->start, content);
    free(b->data);
    b->data = data;
    b->cap = cap;
    b->start = 0;
    b->end = content;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t n)
{
    int r = buf_reserve(b, n);
    if (r < 0)
        return r;
    if (n > 0)
        memcpy(buf_tail(b), data, n);
    b->end += n;
    return 0;
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int r = n < 0 ? PEN_EINVAL : buf_reserve(b, (size_t)n + 1); /* vsnprintf wants room for its NUL */
    if (r == 0) {
        (void)vsnprintf((char *)buf_tail(b), (size_t)n + 1, format, again);
        b->end += (size_t)n;
    }
    va_end(again);
    return r;
}

void buf_grew(struct buf *b, size_t n)
{
    check(n <= buf_room(b));
    b->end += n;
}

void buf_consume(struct buf *b, size_t n)
{
    check(n <= buf_bytes(b));
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ .max = b->max };
}
