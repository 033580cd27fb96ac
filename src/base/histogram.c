/* SPDX-License-Identifier: Apache-2.0
 *
 * Bucket i holds the times t with bound(i-1) < t <= bound(i), where bound(i) = (5 + i%4) * 2^(8 + i/4) ns: from 1280 ns
 * in four steps to each power of two. The bucket of a time is found from the place of its highest bit and the two
 * bits below, without a loop.
 */
#include "base/histogram.h"

enum { FIRST_BIT = 10, STEP_BITS = 2, STEPS = 1 << STEP_BITS };

static unsigned bucket_of(uint64_t ns)
{
    uint64_t below = ns > 0 ? ns - 1 : 0; /* So that a bound is in its own bucket. */
    if (below >> FIRST_BIT == 0)
        return 0;
    unsigned high = 63u - (unsigned)__builtin_clzll(below);
    unsigned step = (unsigned)(below >> (high - STEP_BITS)) & (STEPS - 1);
    unsigned i = (high - FIRST_BIT) * STEPS + step;
    return i < PEN_HISTOGRAM_BUCKETS ? i : PEN_HISTOGRAM_BUCKETS - 1;
}

uint64_t pen_histogram_bound_ns(unsigned i)
{
    if (i >= PEN_HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    return (uint64_t)(STEPS + 1 + i % STEPS) << (FIRST_BIT - STEP_BITS + i / STEPS);
}

pen_span_t pen_histogram_percentile(const struct pen_histogram *h, double part)
{
    /* Written so that what is no number gives the longest. */
    double wanted = part >= 0.0 && part <= 1.0 ? part * (double)h->count : (double)h->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < PEN_HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t bound = pen_histogram_bound_ns(i);
            return (pen_span_t){ (int64_t)(bound < h->max_ns ? bound : h->max_ns) };
        }
    }
    return (pen_span_t){ (int64_t)h->max_ns };
}

void histogram_add(struct histogram *h, span_t span)
{
    uint64_t ns = span.ns > 0 ? (uint64_t)span.ns : 0;
    count_add(&h->buckets[bucket_of(ns)], 1);
    count_add(&h->sum_ns, ns);
    if (ns > count_read(&h->max_ns))
        count_set(&h->max_ns, ns);
}

void histogram_collect(const struct histogram *h, struct pen_histogram *sum)
{
    uint64_t max_ns = count_read(&h->max_ns);
    for (unsigned i = 0; i < PEN_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = count_read(&h->buckets[i]);
        sum->buckets[i] += n;
        sum->count += n;
    }
    sum->sum_ns += count_read(&h->sum_ns);
    if (max_ns > sum->max_ns)
        sum->max_ns = max_ns;
}
