/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histograms of times, as plain values: 4 buckets for each power of two, from 1 us to 4.8 hours. A bucket is
 * at most 25 % wide, so a percentile is at most that much too high.
 *
 * They are filled by the library and read from the statistics of loops and pools. Everything here is pure: any
 * thread, nothing blocks, nothing fails.
 */
#ifndef PENSTOCK_HISTOGRAM_H
#define PENSTOCK_HISTOGRAM_H

#include <stdint.h>

#include <penstock/time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PEN_HISTOGRAM_BUCKETS = 136 };

struct pen_histogram {
    uint64_t count;          /* of observations */
    uint64_t sum_ns, max_ns; /* of all of them */
    uint64_t buckets[PEN_HISTOGRAM_BUCKETS];
};

/* The longest time that is counted in bucket i, in ns: 1280 for the first, which also has everything shorter.
 * i is below PEN_HISTOGRAM_BUCKETS; for the last, which also has everything longer, UINT64_MAX. Since 0.2. */
PEN_API uint64_t pen_histogram_bound_ns(unsigned i);

/* The time that `part` (0.0 to 1.0) of the observations did not exceed: the bound of their bucket, or the longest of all
 * when that is less. 0 when there are none. Since 0.2. */
PEN_API pen_span_t pen_histogram_percentile(const struct pen_histogram *histogram, double part);

#ifdef __cplusplus
}
#endif
#endif
