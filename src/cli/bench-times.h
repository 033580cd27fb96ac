/* SPDX-License-Identifier: Apache-2.0
 *
 * Times that a benchmark has seen, in so little memory that there may be any number of them: 32 buckets for each power of
 * two, so that a percentile is at most 3.2 % too high. base/histogram.h has 4, which do for a daemon's statistics.
 */
#ifndef CLI_BENCH_TIMES_H
#define CLI_BENCH_TIMES_H

#include <stdint.h>

#include "base/units.h"

enum { BENCH_TIME_BUCKETS = 1216 }; /* up to 73 minutes; the last has all that is longer */

/* Zeroed before use. */
struct bench_times {
    uint64_t count, max_ns;
    uint64_t buckets[BENCH_TIME_BUCKETS];
};

/* A negative span counts as 0. */
void bench_times_add(struct bench_times *times, span_t span);
void bench_times_merge(struct bench_times *times, const struct bench_times *more);

/* What `part` (0.0 to 1.0) of them did not exceed; 0 when there are none. */
span_t bench_times_percentile(const struct bench_times *times, double part);

#endif
