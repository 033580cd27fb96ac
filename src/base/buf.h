/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing byte buffer with a hard limit: append at the end, consume at the front.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
    uint8_t *data;
    size_t start, end; /* the content is data[start..end) */
    size_t cap;
    size_t max; /* bytes of content; 0: no limit but memory */
};

static inline size_t buf_bytes(const struct buf *b)
{
    return b->end - b->start;
}

static inline const uint8_t *buf_at(const struct buf *b)
{
    return b->data + b->start;
}

/* Room for n more bytes at buf_tail(); PEN_ETOOBIG beyond max, PEN_ENOMEM. The content is unchanged on
 * failure. */
int buf_reserve(struct buf *b, size_t n) MUST_CHECK;
int buf_append(struct buf *b, const void *data, size_t n) MUST_CHECK;
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)))
MUST_CHECK;

static inline uint8_t *buf_tail(struct buf *b)
{
    return b->data + b->end;
}

static inline size_t buf_room(const struct buf *b)
{
    return b->cap - b->end;
}

/* n bytes were written at buf_tail(). */
void buf_grew(struct buf *b, size_t n);
/* The first n bytes are done with. */
void buf_consume(struct buf *b, size_t n);
void buf_fini(struct buf *b);

#endif
