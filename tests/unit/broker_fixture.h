/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker in a test: one clock, puts and takes of one job in a line, and the ledger checked at every step.
 */
#ifndef TESTS_BROKER_FIXTURE_H
#define TESTS_BROKER_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "broker/queue.h"

/* Seconds on the test's clock, which begins at 1000. */
static mono_t test_now = { (int64_t)1000 * NS_PER_S };

static inline mono_t in_s(int64_t s)
{
    return mono_after(test_now, span_s(s));
}

static inline struct broker *broker_of(struct broker_limits limits)
{
    struct broker *b = NULL;
    struct broker_options options = { .limits = limits, .seed = 42 };
    if (options.limits.items_max == 0)
        options.limits.items_max = 1000;
    ck_assert_int_eq(broker_new(&options, &b), 0);
    return b;
}

static inline void the_end(struct broker *b)
{
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}

static inline struct job_ext *ext_new(void)
{
    struct job_ext *ext = NULL;
    ck_assert_int_eq(job_ext_new(&ext), 0);
    return ext;
}

static inline struct job_ext *with_key(const char *key)
{
    struct job_ext *ext = ext_new();
    ext->key = strdup(key);
    ck_assert_ptr_nonnull(ext->key);
    return ext;
}

static inline struct job_ext *with_dedupe(const char *dedupe)
{
    struct job_ext *ext = ext_new();
    ext->dedupe = strdup(dedupe);
    ck_assert_ptr_nonnull(ext->dedupe);
    return ext;
}

/* Put one; returns its status. The ext is freed when it was not taken. */
static inline int put_job(struct broker *b, struct job_put put, uint64_t *ret_id)
{
    static const uint8_t text[4096];
    put.body.at = text;
    ck_assert_int_eq(broker_put(b, &put, 1, test_now), 1);
    ck_assert(broker_ledger_holds(b));
    if (put.ret_status < 0)
        job_ext_free(put.ext);
    if (ret_id != NULL)
        *ret_id = put.ret_id;
    return put.ret_status;
}

/* The same, which must be accepted; returns its id. */
static inline uint64_t put_ok(struct broker *b, struct job_put put)
{
    uint64_t id = 0;
    ck_assert_int_eq(put_job(b, put, &id), 0);
    return id;
}

static inline uint64_t put_plain(struct broker *b)
{
    return put_ok(b, (struct job_put){ .body = { .bytes = 1 } });
}

static inline uint64_t put_key(struct broker *b, const char *key)
{
    return put_ok(b, (struct job_put){ .body = { .bytes = 1 }, .ext = with_key(key) });
}

/* Take one, with a lease of so many seconds for this worker, or with 0 as one of our own handlers. False: none is ready. */
static inline bool take_for(struct broker *b, int64_t lease_s, uint64_t owner, struct job *ret_job)
{
    struct job_take how = { .max = 1, .lease = span_s(lease_s), .owner = owner };
    int n = broker_take(b, &how, ret_job, test_now);
    ck_assert_int_ge(n, 0);
    ck_assert(broker_ledger_holds(b));
    return n == 1;
}

static inline struct job take_ok(struct broker *b)
{
    struct job j = { 0 };
    ck_assert(take_for(b, 0, 0, &j));
    return j;
}

static inline struct job lease_ok(struct broker *b, int64_t lease_s, uint64_t owner)
{
    struct job j = { 0 };
    ck_assert(take_for(b, lease_s, owner, &j));
    ck_assert_uint_ne(j.lease, 0);
    return j;
}

static inline bool takes_nothing(struct broker *b)
{
    struct job j;
    return !broker_has_ready(b) && !take_for(b, 0, 0, &j);
}

/* End an attempt; what the caller gets is released. */
static inline int settle_why(struct broker *b, const struct job *j, enum job_outcome outcome,
                             const struct job_failure *why)
{
    struct job_settle s = {
        .id = j->id, .lease = j->lease, .index = j->index, .outcome = outcome, .why = why
    };
    size_t settled = 77;
    int r = broker_settle(b, &s, 1, test_now, &settled);
    ck_assert_uint_eq(settled, r == 0);
    ck_assert(broker_ledger_holds(b));
    if (r == 0) {
        slice_release(&s.ret_body);
        job_ext_free(s.ret_ext);
    }
    return r;
}

static inline void settle_ok(struct broker *b, const struct job *j, enum job_outcome outcome)
{
    ck_assert_int_eq(settle_why(b, j, outcome, NULL), 0);
}

/* Let so much time pass, and all that is due happen. Returns how much did. */
static inline size_t pass_s(struct broker *b, int64_t s)
{
    size_t n = 0, k;
    test_now = in_s(s);
    while ((k = broker_tick(b, test_now, 3)) > 0)
        n += k;
    ck_assert(broker_ledger_holds(b));
    ck_assert(broker_next_due(b).ns > test_now.ns);
    return n;
}

/* How many were dropped since the last time for this reason; all of them must be. */
static inline size_t reap_all(struct broker *b, enum drop_reason reason)
{
    struct broker_drops drops = broker_take_drops(b);
    struct job_dropped jobs[8];
    size_t sum = 0, n;
    while ((n = broker_reap(b, &drops, jobs, 8)) > 0) {
        for (size_t k = 0; k < n; k++) {
            ck_assert_int_eq(jobs[k].reason, reason);
            slice_release(&jobs[k].body);
            job_ext_free(jobs[k].ext);
        }
        sum += n;
    }
    return sum;
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
