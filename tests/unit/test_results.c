/* SPDX-License-Identifier: Apache-2.0
 *
 * Results by id, at each bound and one beyond it; and the hash that they are found with.
 */
#include "broker/results.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"

static mono_t at_s(int64_t s)
{
    return (mono_t){ s * NS_PER_S };
}

static struct results *results_of(uint32_t items, uint64_t bytes, int64_t age_s)
{
    struct results *r = NULL;
    struct results_limits limits = { .items_max = items, .bytes_max = bytes, .age_max = span_s(age_s) };
    ck_assert_int_eq(results_new(&limits, &r), 0);
    return r;
}

static int put(struct results *r, uint64_t id, const char *text, int64_t s)
{
    struct result result = { .error = 0 };
    ck_assert_int_eq(slice_copy(text, strlen(text), &result.body), 0);
    int e = results_put(r, id, &result, at_s(s));
    if (e < 0)
        slice_release(&result.body);
    return e;
}

static bool has(struct results *r, uint64_t id, const char *text, int64_t s)
{
    struct result result;
    int e = results_get(r, id, at_s(s), &result);
    if (e == PEN_ENOENT)
        return false;
    ck_assert_int_eq(e, 0);
    ck_assert_uint_eq(result.body.bytes, strlen(text));
    ck_assert_mem_eq(result.body.at, text, strlen(text));
    slice_release(&result.body);
    return true;
}

START_TEST(the_oldest_go_beyond_the_items)
{
    struct results *r = results_of(2, 100, 10);
    ck_assert_int_eq(put(r, 1, "one", 0), 0);
    ck_assert_int_eq(put(r, 2, "two", 0), 0);
    ck_assert(has(r, 1, "one", 0));
    ck_assert_int_eq(put(r, 3, "three", 0), 0);
    ck_assert(!has(r, 1, "one", 0));
    ck_assert(has(r, 2, "two", 0) && has(r, 3, "three", 0));
    ck_assert_uint_eq(results_stats(r).forgotten, 1);
    results_free(&r);
    ck_assert_ptr_null(r);
}
END_TEST

START_TEST(the_oldest_go_beyond_the_bytes)
{
    struct results *r = results_of(100, 10, 10);
    ck_assert_int_eq(put(r, 1, "12345", 0), 0);
    ck_assert_int_eq(put(r, 2, "12345", 0), 0);
    ck_assert_uint_eq(results_stats(r).bytes, 10);
    ck_assert_int_eq(put(r, 3, "1", 0), 0);
    ck_assert_uint_eq(results_stats(r).bytes, 6);
    ck_assert_int_eq(put(r, 4, "1234567890", 0), 0);
    ck_assert_uint_eq(results_stats(r).items, 1);
    ck_assert_int_eq(put(r, 5, "12345678901", 0), PEN_ETOOBIG);
    ck_assert(has(r, 4, "1234567890", 0));
    results_free(&r);
}
END_TEST

START_TEST(they_go_at_their_age)
{
    struct results *r = results_of(100, 1000, 10);
    ck_assert_int_eq(results_next_due(r).ns, PEN_NEVER.ns);
    ck_assert_int_eq(put(r, 1, "a", 0), 0);
    ck_assert_int_eq(put(r, 2, "b", 0), 0);
    ck_assert_int_eq(put(r, 3, "c", 5), 0);
    ck_assert_int_eq(results_next_due(r).ns, at_s(10).ns);
    ck_assert(has(r, 1, "a", 9));
    ck_assert(!has(r, 1, "a", 10)); /* Before any tick. */
    ck_assert(!results_tick(r, at_s(9), 9));
    ck_assert(results_tick(r, at_s(10), 1));
    ck_assert(!results_tick(r, at_s(10), 9));
    ck_assert_uint_eq(results_stats(r).items, 1);
    ck_assert_int_eq(results_next_due(r).ns, at_s(15).ns);
    results_free(&r);
}
END_TEST

START_TEST(a_second_one_replaces_the_first)
{
    struct results *r = results_of(100, 1000, 10);
    ck_assert_int_eq(put(r, 1, "first", 0), 0);
    ck_assert_int_eq(put(r, 1, "second", 5), 0);
    ck_assert(has(r, 1, "second", 14));
    ck_assert_uint_eq(results_stats(r).items, 1);
    results_free(&r);
}
END_TEST

START_TEST(limits_have_their_ranges)
{
    static const struct results_limits wrong[] = {
        { 0, 1, { 1 } }, { (1u << 24) + 1, 1, { 1 } }, { 1, 0, { 1 } }, { 1, 1, { 0 } }
    };
    struct results *r = NULL;
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++)
        ck_assert_int_eq(results_new(&wrong[k], &r), PEN_EINVAL);
    results_free(&r);
}
END_TEST

/* ---- the hash ---- */

struct number {
    struct hash_node node;
    uint64_t value;
};

static struct number *number_in(const struct hash *h, uint64_t value)
{
    uint64_t hash = hash_of(h, &value, sizeof value);
    for (struct hash_node *n = hash_first(h, hash); n != NULL; n = hash_next(n))
        if (CONTAINER_OF(n, struct number, node)->value == value)
            return CONTAINER_OF(n, struct number, node);
    return NULL;
}

START_TEST(a_hash_finds_what_is_in_it)
{
    enum { N = 3000 };
    static struct number numbers[N];
    struct hash h;
    hash_init(&h, 7);
    for (uint64_t k = 0; k < N; k++) {
        numbers[k].value = k * k;
        hash_insert(&h, &numbers[k].node, hash_of(&h, &numbers[k].value, sizeof(uint64_t)));
    }
    for (uint64_t k = 0; k < N; k += 2)
        hash_remove(&h, &numbers[k].node);
    for (uint64_t k = 0; k < N; k++)
        ck_assert_ptr_eq(number_in(&h, k * k), k % 2 == 0 ? NULL : &numbers[k]);
    uint64_t seen = 0;
    HASH_EACH(n, &h)
    seen++;
    ck_assert_uint_eq(seen, N / 2);
    ck_assert_uint_eq(h.count, N / 2);
    hash_fini(&h);
}
END_TEST

START_TEST(one_hash_may_have_several)
{
    struct hash h;
    struct number a = { .value = 1 }, b = { .value = 2 };
    hash_init(&h, 7);
    hash_insert(&h, &a.node, 99);
    hash_insert(&h, &b.node, 99);
    struct hash_node *n = hash_first(&h, 99);
    ck_assert_ptr_eq(n, &b.node);
    ck_assert_ptr_eq(hash_next(n), &a.node);
    ck_assert_ptr_null(hash_next(&a.node));
    hash_remove(&h, &a.node);
    ck_assert_ptr_null(hash_next(hash_first(&h, 99)));
    hash_fini(&h);
}
END_TEST

START_TEST(the_seed_changes_every_hash)
{
    struct hash one, two;
    hash_init(&one, 1);
    hash_init(&two, 2);
    static const char text[] = "a key of more than sixteen bytes";
    for (size_t bytes = 0; bytes < sizeof text; bytes++) {
        ck_assert_uint_ne(hash_of(&one, text, bytes), hash_of(&two, text, bytes));
        if (bytes > 0)
            ck_assert_uint_ne(hash_of(&one, text, bytes), hash_of(&one, text, bytes - 1));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("results");
    TCase *c = tcase_create("results");
    tcase_add_test(c, the_oldest_go_beyond_the_items);
    tcase_add_test(c, the_oldest_go_beyond_the_bytes);
    tcase_add_test(c, they_go_at_their_age);
    tcase_add_test(c, a_second_one_replaces_the_first);
    tcase_add_test(c, limits_have_their_ranges);
    tcase_add_test(c, a_hash_finds_what_is_in_it);
    tcase_add_test(c, one_hash_may_have_several);
    tcase_add_test(c, the_seed_changes_every_hash);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
