/* SPDX-License-Identifier: Apache-2.0
 *
 * A histogram while it is filled: one thread writes, or several under one lock, and any thread reads.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <penstock/histogram.h>

#include "base/count.h"
#include "base/units.h"

/* Zeroed before use. */
struct histogram {
    /* atomic: single writer */
    struct count sum_ns, max_ns;
    struct count buckets[PEN_HISTOGRAM_BUCKETS];
};

/* A negative span counts as 0. */
void histogram_add(struct histogram *h, span_t span);

/* Add what was counted to *sum, so that the histograms of several threads can be summed. The fields are read one after
 * the other, so an observation made meanwhile may be in some and not in others. Any thread. */
void histogram_collect(const struct histogram *h, struct pen_histogram *sum);

#endif
