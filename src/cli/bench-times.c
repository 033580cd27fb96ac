/* SPDX-License-Identifier: Apache-2.0
 *
 * Times below 64 ns have a bucket each. Of longer ones the highest bit and the five below it are told apart: bucket
 * shift * 32 + (ns >> shift), where the shift cuts off all the others.
 */
#include "cli/bench-times.h"

enum { STEP_BITS = 5, STEPS = 1 << STEP_BITS };

static unsigned bucket_of(uint64_t ns)
{
    unsigned high = 63u - (unsigned)__builtin_clzll(ns | STEPS);
    unsigned shift = high - STEP_BITS;
    unsigned i = shift * STEPS + (unsigned)(ns >> shift);
    return i < BENCH_TIME_BUCKETS ? i : BENCH_TIME_BUCKETS - 1;
}

/* The longest time that is counted in bucket i. */
static uint64_t bound_ns(unsigned i)
{
    if (i < 2 * STEPS)
        return i;
    unsigned shift = i / STEPS - 1;
    return (((uint64_t)i - shift * STEPS + 1) << shift) - 1;
}

void bench_times_add(struct bench_times *times, span_t span)
{
    uint64_t ns = span.ns > 0 ? (uint64_t)span.ns : 0;
    times->count++;
    times->buckets[bucket_of(ns)]++;
    if (ns > times->max_ns)
        times->max_ns = ns;
}

void bench_times_merge(struct bench_times *times, const struct bench_times *more)
{
    times->count += more->count;
    for (unsigned i = 0; i < BENCH_TIME_BUCKETS; i++)
        times->buckets[i] += more->buckets[i];
    if (more->max_ns > times->max_ns)
        times->max_ns = more->max_ns;
}

span_t bench_times_percentile(const struct bench_times *times, double part)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_TIME_BUCKETS - 1; i++) {
        seen += times->buckets[i];
        if (seen > 0 && (double)seen >= part * (double)times->count)
            return (span_t){ (int64_t)(bound_ns(i) < times->max_ns ? bound_ns(i) : times->max_ns) };
    }
    return (span_t){ (int64_t)times->max_ns };
}
