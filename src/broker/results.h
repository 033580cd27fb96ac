/* SPDX-License-Identifier: Apache-2.0
 *
 * Results by the id of their job, for a time: bounded in items, bytes and age; the oldest go first. Pure; whoever holds a
 * struct results serialises the calls.
 */
#ifndef BROKER_RESULTS_H
#define BROKER_RESULTS_H

#include "base/slice.h"
#include "base/units.h"

struct results;

struct results_limits {
    uint32_t items_max; /* 1 to 2^24 */
    uint64_t bytes_max; /* at least 1 */
    span_t age_max;     /* above 0 */
};

struct result {
    int error;         /* 0, or how the job ended badly */
    struct slice body; /* the result, or the reason */
};

struct results_stats {
    uint64_t items, bytes; /* kept now */
    uint64_t kept;         /* ever */
    uint64_t forgotten;    /* of those, for want of room or by age */
};

/* PEN_EINVAL, PEN_ENOMEM. */
int results_new(const struct results_limits *limits, struct results **ret_results) MUST_CHECK;
/* Sets to NULL, accepts NULL. */
void results_free(struct results **results);

/* Keep a result; the body is taken when 0 is returned. A second one for an id replaces the first. PEN_ETOOBIG: larger than
 * bytes_max; PEN_ENOMEM. */
int results_put(struct results *r, uint64_t id, const struct result *result, mono_t now) MUST_CHECK;
/* The body is a new reference, the caller's. PEN_ENOENT. */
int results_get(struct results *r, uint64_t id, mono_t now, struct result *ret_result) MUST_CHECK;
/* Forget what is too old, up to `max` of them; true when more is left to do. */
bool results_tick(struct results *r, mono_t now, size_t max);
/* When the next becomes too old; PEN_NEVER: nothing is kept. */
mono_t results_next_due(const struct results *r);

struct results_stats results_stats(const struct results *r);

#endif
