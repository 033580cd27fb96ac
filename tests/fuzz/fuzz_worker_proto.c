/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker process answers, in pieces of any size, against a reader that sees it whole. The first
 * byte chooses the protocol (bit 0) and whether the rest is a payload to be sent and read back
 * (bit 1); the second is answer_max; the third sets how the bytes are cut into pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "task/worker_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same question, answered naively. */
static int find_naively(const struct worker_answer *a, const uint8_t *data, size_t n,
                        struct worker_found *found)
{
    if (a->protocol == WORKER_LINES) {
        size_t i = 0;
        while (i < n && data[i] != '\n')
            i++;
        *found = (struct worker_found){ .start = 0, .bytes = i, .used_bytes = i + 1 };
        return i > a->answer_max ? PEN_EMALFORMED : i < n;
    }
    if (n < WORKER_HEADER_BYTES)
        return 0;
    size_t bytes = 0;
    for (int i = 0; i < WORKER_HEADER_BYTES; i++)
        bytes = bytes * 256 + data[i];
    *found = (struct worker_found){ .start = 4, .bytes = bytes, .used_bytes = bytes + 4 };
    return bytes > a->answer_max ? PEN_EMALFORMED : n >= bytes + 4;
}

/* A copy that is exactly as large, so that a read beyond its end is seen. */
static int find_in_copy(struct worker_answer *a, const uint8_t *data, size_t n,
                        struct worker_found *found)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    check(copy != NULL);
    if (n > 0)
        memcpy(copy, data, n);
    int r = worker_answer_find(a, copy, n, found);
    free(copy);
    return r;
}

/* Returns the bytes of the answer, or 0 when there is none. */
static size_t read_answer(struct worker_answer *a, const uint8_t *data, size_t size, unsigned step)
{
    a->seen_bytes = 0;
    for (size_t n = 0;; n = n + step < size ? n + step : size) {
        struct worker_found found, naive;
        int r = find_in_copy(a, data, n, &found);
        check(r == find_naively(a, data, n, &naive));
        if (r > 0) {
            check(found.start == naive.start && found.bytes == naive.bytes);
            check(found.used_bytes == naive.used_bytes && found.used_bytes <= n);
            return found.used_bytes;
        }
        check(r < 0 || n < a->answer_max + WORKER_ANSWER_EXTRA_BYTES);
        if (r < 0 || n == size)
            return 0;
    }
}

static void read_answers(enum worker_protocol protocol, size_t answer_max, const uint8_t *data,
                         size_t size, unsigned step)
{
    struct worker_answer a = { .protocol = protocol, .answer_max = answer_max };
    size_t used;
    while ((used = read_answer(&a, data, size, step)) > 0) {
        data += used;
        size -= used;
    }
}

/* A request, sent in pieces, is read back as an answer. */
static void send_and_read(enum worker_protocol protocol, const uint8_t *payload, size_t bytes,
                          unsigned step)
{
    const char *reason;
    if (worker_request_check(protocol, payload, bytes, &reason) < 0)
        return;
    size_t whole = worker_request_bytes(protocol, bytes);
    uint8_t *wire = malloc(whole);
    check(wire != NULL);
    for (size_t sent = 0; sent < whole;) {
        struct worker_rest rest;
        worker_request_rest(protocol, payload, (uint32_t)bytes, sent, &rest);
        check(rest.count > 0);
        size_t n = rest.iov[0].iov_len < step ? rest.iov[0].iov_len : step;
        memcpy(wire + sent, rest.iov[0].iov_base, n);
        sent += n;
    }
    struct worker_answer a = { .protocol = protocol, .answer_max = bytes };
    struct worker_found found;
    check(worker_answer_find(&a, wire, whole, &found) == 1);
    check(found.bytes == bytes && found.used_bytes == whole);
    check(bytes == 0 || memcmp(wire + found.start, payload, bytes) == 0);
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    enum worker_protocol protocol = data[0] & 1 ? WORKER_FRAMES : WORKER_LINES;
    unsigned step = data[2] % 16 + 1u;
    if (data[0] & 2)
        send_and_read(protocol, data + 3, size - 3, step);
    else
        read_answers(protocol, data[1], data + 3, size - 3, step);
    return 0;
}
