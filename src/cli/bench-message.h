/* SPDX-License-Identifier: Apache-2.0
 *
 * A benchmark's message, at the end of what arrives, because a publisher may put a topic before it:
 *
 *   offset  bytes
 *   0       8    number
 *   8       8    when it was due, nanoseconds of the monotonic clock
 *   16      -    filling
 *
 * in the machine's own order: sender and receiver are one process. Whether each message came once is seen in the sum over
 * a mix of their numbers, which does not depend on their order and needs no memory.
 */
#ifndef CLI_BENCH_MESSAGE_H
#define CLI_BENCH_MESSAGE_H

#include <string.h>

#include "base/units.h"

enum { BENCH_MESSAGE_MIN_BYTES = 16 };

static inline void bench_message_write(uint8_t *at, size_t bytes, uint64_t number, mono_t due)
{
    memcpy(at, &number, sizeof number);
    memcpy(at + 8, &due.ns, sizeof due.ns);
    memset(at + BENCH_MESSAGE_MIN_BYTES, '.', bytes - BENCH_MESSAGE_MIN_BYTES);
}

static inline uint64_t bench_message_number(const uint8_t *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof number);
    return number;
}

static inline mono_t bench_message_due(const uint8_t *at)
{
    mono_t due;
    memcpy(&due.ns, at + 8, sizeof due.ns);
    return due;
}

/* splitmix64's finish: two sets of numbers with the same sum are the same. */
static inline uint64_t bench_mix(uint64_t number)
{
    uint64_t x = number + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
