/* SPDX-License-Identifier: Apache-2.0
 *
 * Histograms: which bucket, what bound, what percentile.
 */
#include "base/histogram.h"

#include <check.h>
#include <stdlib.h>

/* The bucket that one observation of ns falls in. */
static unsigned bucket(uint64_t ns)
{
    struct histogram h = { 0 };
    struct pen_histogram sum = { 0 };
    histogram_add(&h, (span_t){ (int64_t)ns });
    histogram_collect(&h, &sum);
    ck_assert_uint_eq(sum.count, 1);
    ck_assert_uint_eq(sum.sum_ns, ns);
    ck_assert_uint_eq(sum.max_ns, ns);
    for (unsigned i = 0; i < PEN_HISTOGRAM_BUCKETS; i++)
        if (sum.buckets[i] != 0)
            return i;
    ck_abort_msg("it is in no bucket");
}

START_TEST(every_bound_is_in_its_own_bucket_and_one_more_in_the_next)
{
    for (unsigned i = 0; i + 1 < PEN_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = pen_histogram_bound_ns(i);
        ck_assert_uint_eq(bucket(bound), i);
        ck_assert_uint_eq(bucket(bound + 1), i + 1);
    }
}
END_TEST

START_TEST(the_ends)
{
    ck_assert_uint_eq(bucket(0), 0);
    ck_assert_uint_eq(bucket(1), 0);
    ck_assert_uint_eq(bucket(INT64_MAX), PEN_HISTOGRAM_BUCKETS - 1);
    ck_assert_uint_eq(pen_histogram_bound_ns(0), 1280);
    ck_assert_uint_eq(pen_histogram_bound_ns(PEN_HISTOGRAM_BUCKETS - 1), UINT64_MAX);
    /* The last bound is over an hour. */
    ck_assert_uint_gt(pen_histogram_bound_ns(PEN_HISTOGRAM_BUCKETS - 2), UINT64_C(3600) * NS_PER_S);
}
END_TEST

START_TEST(no_bucket_is_wider_than_a_quarter)
{
    for (unsigned i = 1; i + 1 < PEN_HISTOGRAM_BUCKETS; i++) {
        uint64_t low = pen_histogram_bound_ns(i - 1), high = pen_histogram_bound_ns(i);
        ck_assert_uint_gt(high, low);
        ck_assert_uint_le((high - low) * 4, low);
    }
}
END_TEST

START_TEST(a_negative_time_counts_as_none)
{
    struct histogram h = { 0 };
    struct pen_histogram sum = { 0 };
    histogram_add(&h, (span_t){ -5 });
    histogram_collect(&h, &sum);
    ck_assert_uint_eq(sum.buckets[0], 1);
    ck_assert_uint_eq(sum.sum_ns, 0);
}
END_TEST

START_TEST(percentiles)
{
    struct histogram h = { 0 };
    struct pen_histogram sum = { 0 };
    ck_assert_int_eq(pen_histogram_percentile(&sum, 0.5).ns, 0);
    for (int64_t us = 1; us <= 1000; us++)
        histogram_add(&h, pen_us(us));
    histogram_collect(&h, &sum);
    ck_assert_uint_eq(sum.count, 1000);
    static const struct {
        double part;
        int64_t us;
    } rows[] = { { 0.0, 1 }, { 0.5, 500 }, { 0.9, 900 }, { 0.99, 990 }, { 1.0, 1000 }, { 7.0, 1000 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = pen_histogram_percentile(&sum, rows[i].part).ns;
        ck_assert_int_ge(ns, rows[i].us * 1000);
        ck_assert_int_le(ns, rows[i].us * 1000 * 5 / 4 + 280); /* The first bucket ends at 1280 ns. */
    }
    ck_assert_int_eq(pen_histogram_percentile(&sum, 1.0).ns, 1000000);
}
END_TEST

START_TEST(collecting_adds)
{
    struct histogram a = { 0 }, b = { 0 };
    struct pen_histogram sum = { 0 };
    histogram_add(&a, pen_us(10));
    histogram_add(&b, pen_us(10));
    histogram_add(&b, pen_us(70));
    histogram_collect(&b, &sum);
    histogram_collect(&a, &sum);
    ck_assert_uint_eq(sum.count, 3);
    ck_assert_uint_eq(sum.sum_ns, 90000);
    ck_assert_uint_eq(sum.max_ns, 70000);
    ck_assert_uint_eq(sum.buckets[bucket(10000)], 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *c = tcase_create("histogram");
    tcase_add_test(c, every_bound_is_in_its_own_bucket_and_one_more_in_the_next);
    tcase_add_test(c, the_ends);
    tcase_add_test(c, no_bucket_is_wider_than_a_quarter);
    tcase_add_test(c, a_negative_time_counts_as_none);
    tcase_add_test(c, percentiles);
    tcase_add_test(c, collecting_adds);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
