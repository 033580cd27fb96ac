/* SPDX-License-Identifier: Apache-2.0
 *
 * A line that comes in many pieces is searched once, not once per piece: seen_bytes remembers how
 * far.
 */
#include "task/worker_proto.h"

#include <string.h>

#include "base/check.h"

static const char newline = '\n';

int worker_request_check(enum worker_protocol protocol, const void *payload, size_t bytes,
                         const char **ret_reason)
{
    if (protocol == WORKER_FRAMES || bytes == 0 || memchr(payload, newline, bytes) == NULL)
        return 0;
    *ret_reason =
        "the payload holds a newline, which protocol lines cannot carry: use protocol: frames";
    return PEN_EHANDLER;
}

size_t worker_request_bytes(enum worker_protocol protocol, size_t payload_bytes)
{
    return payload_bytes + (protocol == WORKER_FRAMES ? WORKER_HEADER_BYTES : sizeof newline);
}

/* The part of a piece that comes after the first `sent` bytes of the request; counts sent down. */
static void add_piece(struct worker_rest *rest, const void *piece, size_t bytes, size_t *sent)
{
    size_t skip = *sent < bytes ? *sent : bytes;
    *sent -= skip;
    if (skip == bytes)
        return;
    /* iov_base is not const only because readv() shares the type. */
    rest->iov[rest->count].iov_base = (void *)(uintptr_t)((const uint8_t *)piece + skip);
    rest->iov[rest->count].iov_len = bytes - skip;
    rest->count++;
}

void worker_request_rest(enum worker_protocol protocol, const void *payload, uint32_t payload_bytes,
                         size_t sent, struct worker_rest *ret_rest)
{
    ret_rest->count = 0;
    if (protocol == WORKER_FRAMES) {
        for (int i = 0; i < WORKER_HEADER_BYTES; i++)
            ret_rest->header[i] = (uint8_t)(payload_bytes >> (24 - 8 * i));
        add_piece(ret_rest, ret_rest->header, WORKER_HEADER_BYTES, &sent);
        add_piece(ret_rest, payload, payload_bytes, &sent);
    } else {
        add_piece(ret_rest, payload, payload_bytes, &sent);
        add_piece(ret_rest, &newline, sizeof newline, &sent);
    }
    check(sent == 0);
}

static int find_line(struct worker_answer *a, const uint8_t *data, size_t n,
                     struct worker_found *ret_found)
{
    check(a->seen_bytes <= n);
    const uint8_t *end =
        n > a->seen_bytes ? memchr(data + a->seen_bytes, newline, n - a->seen_bytes) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - data) : n;
    if (bytes > a->answer_max)
        return PEN_EMALFORMED;
    a->seen_bytes = bytes;
    if (end == NULL)
        return 0;
    *ret_found =
        (struct worker_found){ .start = 0, .bytes = bytes, .used_bytes = bytes + sizeof newline };
    return 1;
}

static int find_frame(const struct worker_answer *a, const uint8_t *data, size_t n,
                      struct worker_found *ret_found)
{
    if (n < WORKER_HEADER_BYTES)
        return 0;
    uint32_t bytes =
        (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
    if (bytes > a->answer_max)
        return PEN_EMALFORMED;
    if (n - WORKER_HEADER_BYTES < bytes)
        return 0;
    *ret_found = (struct worker_found){ .start = WORKER_HEADER_BYTES,
                                        .bytes = bytes,
                                        .used_bytes = (size_t)WORKER_HEADER_BYTES + bytes };
    return 1;
}

int worker_answer_find(struct worker_answer *a, const uint8_t *data, size_t n,
                       struct worker_found *ret_found)
{
    return a->protocol == WORKER_FRAMES ? find_frame(a, data, n, ret_found)
                                        : find_line(a, data, n, ret_found);
}
