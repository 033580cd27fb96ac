/* SPDX-License-Identifier: Apache-2.0
 *
 * Each attribute that is not at its default:
 *     0  1  kind
 *     1  3  bytes of the value, little-endian
 *     4  -  value: a number of 8 bytes, little-endian, or bytes
 */
#include "flow/attributes.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_WEIGHT = 1,
    KIND_COALESCE,
    KIND_REPLY_TO,
    KIND_HEADERS,
    KIND_DELAY_UNTIL,
    KIND_ATTEMPTS_MAX,
    KIND_PUT_AT,
    KIND_FIRST_FAILED,
    KIND_LAST_FAILED,
    KIND_ERROR,
    KIND_ERROR_TEXT,
    KIND_DIED_IN,
    KIND_DIED_AFTER,
    KIND_FAILED_BY,
    KIND_LAST = KIND_FAILED_BY
};

enum { HEAD_BYTES = 4, NUMBER_BYTES = 8, NUMBERS = 9, TEXTS = 5 };

/* ---- there ---- */

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

size_t attributes_bytes_max(const struct job_ext *ext)
{
    return NUMBERS * (HEAD_BYTES + NUMBER_BYTES) + TEXTS * HEAD_BYTES + ext->headers.bytes +
           text_bytes(ext->reply_to) + text_bytes(ext->error_text) + text_bytes(ext->died_in) +
           text_bytes(ext->failed_by);
}

static uint8_t *put_head(uint8_t *to, enum kind kind, size_t bytes)
{
    to[0] = (uint8_t)kind;
    to[1] = (uint8_t)bytes;
    to[2] = (uint8_t)(bytes >> 8);
    to[3] = (uint8_t)(bytes >> 16);
    return to + HEAD_BYTES;
}

static uint8_t *put_number(uint8_t *to, enum kind kind, uint64_t n)
{
    if (n == 0)
        return to;
    to = put_head(to, kind, NUMBER_BYTES);
    n = htole64(n);
    memcpy(to, &n, sizeof n);
    return to + NUMBER_BYTES;
}

static uint8_t *put_bytes(uint8_t *to, enum kind kind, const void *at, size_t n)
{
    if (n == 0)
        return to;
    to = put_head(to, kind, n);
    memcpy(to, at, n);
    return to + n;
}

static uint8_t *put_time(uint8_t *to, enum kind kind, struct attributes_clock c, mono_t t)
{
    return put_number(to, kind, (uint64_t)attributes_wall(c, t));
}

size_t attributes_put(uint8_t *to, const struct job_ext *ext, struct attributes_clock c)
{
    uint8_t *at = to;
    at = put_number(at, KIND_WEIGHT, ext->weight);
    at = put_number(at, KIND_COALESCE, ext->coalesce);
    at = put_number(at, KIND_ATTEMPTS_MAX, ext->attempts_max);
    at = put_number(at, KIND_ERROR, (uint64_t)(int64_t)ext->error);
    at = put_number(at, KIND_DIED_AFTER, ext->died_after);
    at = put_time(at, KIND_DELAY_UNTIL, c, ext->delay_until);
    at = put_time(at, KIND_PUT_AT, c, ext->put_at);
    at = put_time(at, KIND_FIRST_FAILED, c, ext->first_failed_at);
    at = put_time(at, KIND_LAST_FAILED, c, ext->last_failed_at);
    at = put_bytes(at, KIND_REPLY_TO, ext->reply_to, text_bytes(ext->reply_to));
    at = put_bytes(at, KIND_HEADERS, ext->headers.at, ext->headers.bytes);
    at = put_bytes(at, KIND_ERROR_TEXT, ext->error_text, text_bytes(ext->error_text));
    at = put_bytes(at, KIND_DIED_IN, ext->died_in, text_bytes(ext->died_in));
    at = put_bytes(at, KIND_FAILED_BY, ext->failed_by, text_bytes(ext->failed_by));
    return (size_t)(at - to);
}

/* ---- and back ---- */

static int get_text(char **to, const uint8_t *at, size_t n)
{
    if (*to != NULL || n == 0 || memchr(at, '\0', n) != NULL)
        return PEN_EDAMAGED;
    *to = strndup((const char *)at, n);
    return *to != NULL ? 0 : PEN_ENOMEM;
}

/* 1: it is none of these. */
static int get_bytes(struct job_ext *ext, unsigned kind, const uint8_t *at, size_t n)
{
    switch (kind) {
    case KIND_REPLY_TO:
        return get_text(&ext->reply_to, at, n);
    case KIND_ERROR_TEXT:
        return get_text(&ext->error_text, at, n);
    case KIND_DIED_IN:
        return get_text(&ext->died_in, at, n);
    case KIND_FAILED_BY:
        return get_text(&ext->failed_by, at, n);
    case KIND_HEADERS:
        slice_release(&ext->headers);
        return slice_copy(at, n, &ext->headers);
    }
    return 1;
}

static int get_number(struct job_ext *ext, unsigned kind, uint64_t n, struct attributes_clock c)
{
    mono_t t = attributes_mono(c, (int64_t)n);
    switch (kind) {
    case KIND_WEIGHT:
        ext->weight = n <= WEIGHT_MAX ? (uint32_t)n : WEIGHT_MAX;
        break;
    case KIND_COALESCE:
        ext->coalesce = n != 0;
        break;
    case KIND_ATTEMPTS_MAX:
        ext->attempts_max = (uint16_t)n;
        break;
    case KIND_ERROR:
        ext->error = (int)(int64_t)n;
        break;
    case KIND_DIED_AFTER:
        ext->died_after = (uint16_t)n;
        break;
    case KIND_DELAY_UNTIL:
        ext->delay_until = t;
        break;
    case KIND_PUT_AT:
        ext->put_at = t;
        break;
    case KIND_FIRST_FAILED:
        ext->first_failed_at = t;
        break;
    case KIND_LAST_FAILED:
        ext->last_failed_at = t;
        break;
    }
    return 0;
}

static int get_one(struct job_ext *ext, unsigned kind, const uint8_t *at, size_t n,
                   struct attributes_clock c)
{
    uint64_t number;
    int r = get_bytes(ext, kind, at, n);
    if (r <= 0)
        return r;
    if (n != NUMBER_BYTES)
        return kind > KIND_LAST ? 0 : PEN_EDAMAGED;
    memcpy(&number, at, sizeof number);
    return get_number(ext, kind, le64toh(number), c);
}

int attributes_get(const uint8_t *from, size_t bytes, struct attributes_clock clock,
                   struct job_ext *ext)
{
    while (bytes > 0) {
        if (bytes < HEAD_BYTES)
            return PEN_EDAMAGED;
        size_t n = from[1] | (size_t)from[2] << 8 | (size_t)from[3] << 16;
        if (n > bytes - HEAD_BYTES)
            return PEN_EDAMAGED;
        int r = get_one(ext, from[0], from + HEAD_BYTES, n, clock);
        if (r < 0)
            return r;
        from += HEAD_BYTES + n;
        bytes -= HEAD_BYTES + n;
    }
    return 0;
}
