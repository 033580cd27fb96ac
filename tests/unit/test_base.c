/* SPDX-License-Identifier: Apache-2.0
 *
 * src/base: units, words, lists, buffers, slices and the table of errors.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/error.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/str.h"
#include "base/units.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- units ---- */

static const uint64_t untouched = 77;

static const struct {
    const char *text;
    int result;
    uint64_t bytes;
} sizes[] = {
    { "0", 0, 0 },
    { "000", 0, 0 },
    { "0B", 0, 0 },
    { "0.0KiB", 0, 0 },
    { "1B", 0, 1 },
    { "64MiB", 0, 67108864 },
    { "007KiB", 0, 7168 },
    { "1.5GiB", 0, 1610612736 },
    { "0.5KiB", 0, 512 },
    { "1.0009765625KiB", 0, 1025 },
    { "1.000B", 0, 1 },
    { "16777215TiB", 0, UINT64_C(16777215) << 40 },
    { "18446744073709551615B", 0, UINT64_MAX },
    { "16777215.999999999999090505TiB", PEN_EINVAL, 0 },
    { "", PEN_EINVAL, 0 },
    { "1", PEN_EINVAL, 0 },
    { "65536", PEN_EINVAL, 0 },
    { "1.5", PEN_EINVAL, 0 },
    { "0.0", PEN_EINVAL, 0 },
    { "KiB", PEN_EINVAL, 0 },
    { ".5KiB", PEN_EINVAL, 0 },
    { "1.KiB", PEN_EINVAL, 0 },
    { "1..5KiB", PEN_EINVAL, 0 },
    { "1.5B", PEN_EINVAL, 0 },
    { "0.3KiB", PEN_EINVAL, 0 },
    { "1.0000000000000000000KiB", PEN_EINVAL, 0 }, /* 19 places */
    { "-1KiB", PEN_EINVAL, 0 },
    { "+1KiB", PEN_EINVAL, 0 },
    { " 1KiB", PEN_EINVAL, 0 },
    { "1 KiB", PEN_EINVAL, 0 },
    { "1KiB ", PEN_EINVAL, 0 },
    { "1KiB1B", PEN_EINVAL, 0 },
    { "1KB", PEN_EINVAL, 0 },
    { "1K", PEN_EINVAL, 0 },
    { "1kib", PEN_EINVAL, 0 },
    { "1KiBs", PEN_EINVAL, 0 },
    { "1s", PEN_EINVAL, 0 },
    { "0x10B", PEN_EINVAL, 0 },
    { "16777216TiB", PEN_ETOOBIG, 0 },
    { "18446744073709551616B", PEN_ETOOBIG, 0 },
    { "99999999999999999999999999TiB", PEN_ETOOBIG, 0 },
};

START_TEST(size_parse_reads)
{
    uint64_t bytes = untouched;
    ck_assert_int_eq(size_parse(sizes[_i].text, &bytes), sizes[_i].result);
    ck_assert_uint_eq(bytes, sizes[_i].result == 0 ? sizes[_i].bytes : untouched);
}
END_TEST

static const struct {
    const char *text;
    int result;
    int64_t ns;
} spans[] = {
    { "0", 0, 0 },
    { "0s", 0, 0 },
    { "1ns", 0, 1 },
    { "250us", 0, 250000 },
    { "250ms", 0, 250000000 },
    { "30s", 0, INT64_C(30000000000) },
    { "1m30s", 0, INT64_C(90000000000) },
    { "1d2h3m4s5ms6us7ns", 0, INT64_C(93784005006007) },
    { "1.5s", 0, 1500000000 },
    { "1m0.5s", 0, INT64_C(60500000000) },
    { "0.000000001s", 0, 1 },
    { "90s", 0, INT64_C(90000000000) },
    { "9223372036854775807ns", 0, INT64_MAX },
    { "106751d", 0, INT64_C(106751) * 86400 * NS_PER_S },
    { "", PEN_EINVAL, 0 },
    { "30", PEN_EINVAL, 0 },
    { "1m30", PEN_EINVAL, 0 },
    { "s", PEN_EINVAL, 0 },
    { "30s1m", PEN_EINVAL, 0 },
    { "1s1s", PEN_EINVAL, 0 },
    { "1m 30s", PEN_EINVAL, 0 },
    { "-1s", PEN_EINVAL, 0 },
    { "1S", PEN_EINVAL, 0 },
    { "1sec", PEN_EINVAL, 0 },
    { "1.5ns", PEN_EINVAL, 0 },
    { "0.0000000001s", PEN_EINVAL, 0 },
    { "1MiB", PEN_EINVAL, 0 },
    { "9223372036854775808ns", PEN_ETOOBIG, 0 },
    { "106752d", PEN_ETOOBIG, 0 },
    { "106751d86400s", PEN_ETOOBIG, 0 },
    { "18446744073709551616s", PEN_ETOOBIG, 0 },
    { "213503d213503h999999999999m", PEN_ETOOBIG, 0 },
};

START_TEST(span_parse_reads)
{
    span_t span = { (int64_t)untouched };
    ck_assert_int_eq(span_parse(spans[_i].text, &span), spans[_i].result);
    ck_assert_int_eq(span.ns, spans[_i].result == 0 ? spans[_i].ns : (int64_t)untouched);
}
END_TEST

static const struct {
    const char *text;
    int result;
    uint64_t number;
} numbers[] = {
    { "0", 0, 0 },
    { "42", 0, 42 },
    { "010", 0, 10 },
    { "18446744073709551615", 0, UINT64_MAX },
    { "18446744073709551616", PEN_ETOOBIG, 0 },
    { "18446744073709551620", PEN_ETOOBIG, 0 },
    { "", PEN_EINVAL, 0 },
    { "-1", PEN_EINVAL, 0 },
    { "+1", PEN_EINVAL, 0 },
    { " 1", PEN_EINVAL, 0 },
    { "1 ", PEN_EINVAL, 0 },
    { "1.0", PEN_EINVAL, 0 },
    { "0x1", PEN_EINVAL, 0 },
    { "1e3", PEN_EINVAL, 0 },
};

START_TEST(number_parse_reads)
{
    uint64_t number = untouched;
    ck_assert_int_eq(number_parse(numbers[_i].text, &number), numbers[_i].result);
    ck_assert_uint_eq(number, numbers[_i].result == 0 ? numbers[_i].number : untouched);
}
END_TEST

START_TEST(formats_are_the_shortest)
{
    char text[UNITS_TEXT_BYTES];
    ck_assert_str_eq(size_format(0, text), "0");
    ck_assert_str_eq(size_format(67108864, text), "64MiB");
    ck_assert_str_eq(size_format(1536, text), "1536B");
    ck_assert_str_eq(size_format(1536 * 1024, text), "1.5MiB");
    ck_assert_str_eq(size_format(1025, text), "1025B");
    ck_assert_str_eq(size_format(UINT64_MAX, text), "18446744073709551615B");
    ck_assert_str_eq(span_format((span_t){ 0 }, text), "0");
    ck_assert_str_eq(span_format(span_s(90), text), "90s");
    ck_assert_str_eq(span_format(span_ms(1500), text), "1.5s");
    ck_assert_str_eq(span_format(span_ms(1005), text), "1.005s"); /* as short: the larger unit */
    ck_assert_str_eq(span_format(span_ms(500), text), "500ms");
    ck_assert_str_eq(span_format(span_s(86400), text), "1d");
    ck_assert_str_eq(span_format((span_t){ -1500000 }, text), "-1.5ms");
    ck_assert_str_eq(span_format((span_t){ INT64_MIN }, text), "-9223372036854775808ns");
}
END_TEST

START_TEST(formats_are_read_back)
{
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        char text[UNITS_TEXT_BYTES];
        uint64_t value =
            ((uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random()) >> (i % 60);
        uint64_t back;
        ck_assert_int_eq(size_parse(size_format(value, text), &back), 0);
        ck_assert_msg(back == value, "%s is not %" PRIu64, text, value);
        span_t span = { (int64_t)(value >> 1) }, span_back;
        ck_assert_int_eq(span_parse(span_format(span, text), &span_back), 0);
        ck_assert_msg(span_back.ns == span.ns, "%s is not %" PRId64, text, span.ns);
    }
}
END_TEST

START_TEST(instants_saturate)
{
    mono_t late = { INT64_MAX - 5 };
    ck_assert_int_eq(mono_after(late, (span_t){ 5 }).ns, INT64_MAX);
    ck_assert_int_eq(mono_after(late, (span_t){ 6 }).ns, PEN_NEVER.ns);
    ck_assert_int_eq(mono_after((mono_t){ INT64_MIN + 1 }, (span_t){ -2 }).ns, PEN_NOW.ns);
    ck_assert_int_eq(mono_since((mono_t){ 10 }, (mono_t){ 25 }).ns, -15);
    ck_assert(mono_before((mono_t){ 1 }, (mono_t){ 2 }));
    ck_assert(!mono_before((mono_t){ 2 }, (mono_t){ 2 }));
}
END_TEST

/* ---- words ---- */

START_TEST(distance_counts_slips)
{
    ck_assert_uint_eq(str_distance("", "", 3), 0);
    ck_assert_uint_eq(str_distance("", "ab", 3), 2);
    ck_assert_uint_eq(str_distance("ab", "", 3), 2);
    ck_assert_uint_eq(str_distance("queue", "QUEUE", 3), 0);
    ck_assert_uint_eq(str_distance("queue", "queu", 3), 1);
    ck_assert_uint_eq(str_distance("queue", "queuee", 3), 1);
    ck_assert_uint_eq(str_distance("queue", "qeuue", 3), 1); /* swapped */
    ck_assert_uint_eq(str_distance("ca", "abc", 3), 3); /* restricted: 2 in the full distance */
    ck_assert_uint_eq(str_distance("kitten", "sitting", 3), 3);
    ck_assert_uint_eq(str_distance("kitten", "sitting", 2), 3); /* max + 1 */
    ck_assert_uint_eq(str_distance("abcdef", "uvwxyz", 3), 4);
}
END_TEST

START_TEST(distance_refuses_long_words)
{
    char longest[64], longer[65];
    memset(longest, 'x', 63);
    longest[63] = '\0';
    memset(longer, 'x', 64);
    longer[64] = '\0';
    ck_assert_uint_eq(str_distance(longest, longest, 3), 0);
    ck_assert_uint_eq(str_distance(longest, longer, 3), 4);
    ck_assert_uint_eq(str_distance(longer, longer, 3), 4);
}
END_TEST

static const char *candidate_at(const void *ctx, size_t i)
{
    const char *const *words = ctx;
    return words[i];
}

START_TEST(suggestions_are_near)
{
    static const char *const words[] = { "max_items", "max_bytes", "listen", "pub",
                                         "push",      "Listen",    NULL };
    ck_assert_str_eq(str_suggest("max_item", candidate_at, words), "max_items");
    ck_assert_str_eq(str_suggest("max_btyes", candidate_at, words), "max_bytes");
    ck_assert_str_eq(str_suggest("LISTEN", candidate_at, words), "listen"); /* the first of equals */
    ck_assert_str_eq(str_suggest("pubs", candidate_at, words), "pub");
    ck_assert_str_eq(str_suggest("sub", candidate_at, words), "pub");
    ck_assert_ptr_null(str_suggest("pull", candidate_at, words));
    ck_assert_ptr_null(str_suggest("pb", candidate_at, words));
    ck_assert_ptr_null(str_suggest("", candidate_at, words));
    ck_assert_ptr_null(str_suggest("threads", candidate_at, words));
    ck_assert_ptr_null(str_suggest("listen", candidate_at, words + 6));
}
END_TEST

START_TEST(small_text_helpers)
{
    char to[4];
    ck_assert(str_copy(to, sizeof to, "abc"));
    ck_assert_str_eq(to, "abc");
    ck_assert(!str_copy(to, sizeof to, "abcd"));
    ck_assert_str_eq(to, "abc");
    ck_assert(!str_copy(to, 1, "x"));
    ck_assert_str_eq(to, "");
    ck_assert(str_copy(to, 1, ""));
    ck_assert(!str_copy(to, 0, ""));
    ck_assert(str_equal("a", "a") && !str_equal("a", "A") && !str_equal("a", "ab"));
    ck_assert(str_starts("tcp://x", "tcp://") && str_starts("x", "") && !str_starts("tcp", "tcp://"));
}
END_TEST

/* ---- buffers ---- */

START_TEST(buf_appends_and_consumes)
{
    struct buf b = { 0 };
    ck_assert_int_eq(buf_append(&b, "hello ", 6), 0);
    ck_assert_int_eq(buf_printf(&b, "%s %d", "world", 42), 0);
    ck_assert_uint_eq(buf_bytes(&b), 14);
    ck_assert_mem_eq(buf_at(&b), "hello world 42", 14);
    buf_consume(&b, 6);
    ck_assert_mem_eq(buf_at(&b), "world 42", 8);
    buf_consume(&b, 8);
    ck_assert_uint_eq(buf_bytes(&b), 0);
    ck_assert_uint_eq(b.start, 0);
    ck_assert_int_eq(buf_append(&b, NULL, 0), 0);
    buf_fini(&b);
    ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(buf_moves_before_it_grows)
{
    struct buf b = { 0 };
    uint8_t block[200];
    memset(block, 'a', sizeof block);
    ck_assert_int_eq(buf_append(&b, block, sizeof block), 0);
    size_t cap = b.cap;
    buf_consume(&b, 150);
    memset(block, 'b', sizeof block);
    ck_assert_int_eq(buf_append(&b, block, 150), 0);
    ck_assert_uint_eq(b.cap, cap);
    ck_assert_uint_eq(buf_bytes(&b), 200);
    for (size_t i = 0; i < 200; i++)
        ck_assert_int_eq(buf_at(&b)[i], i < 50 ? 'a' : 'b');
    buf_fini(&b);
}
END_TEST

START_TEST(buf_keeps_its_limit)
{
    struct buf b = { .max = 1000 };
    uint8_t block[1000] = { 0 };
    ck_assert_int_eq(buf_append(&b, block, 999), 0);
    ck_assert_int_eq(buf_append(&b, "ab", 2), PEN_ETOOBIG);
    ck_assert_uint_eq(buf_bytes(&b), 999);
    ck_assert_int_eq(buf_append(&b, "a", 1), 0);
    ck_assert_int_eq(buf_printf(&b, "%s", "x"), PEN_ETOOBIG);
    ck_assert_uint_eq(buf_bytes(&b), 1000);
    buf_consume(&b, 1);
    ck_assert_int_eq(buf_append(&b, "b", 1), 0);
    ck_assert_int_eq(buf_at(&b)[999], 'b');
    ck_assert_int_eq(buf_reserve(&b, SIZE_MAX), PEN_ETOOBIG);
    ck_assert_int_eq(buf_reserve(&b, SIZE_MAX - 500), PEN_ETOOBIG);
    buf_fini(&b);
    ck_assert_uint_eq(b.max, 1000);
}
END_TEST

START_TEST(buf_takes_what_was_written_at_its_tail)
{
    struct buf b = { 0 };
    ck_assert_int_eq(buf_reserve(&b, 5), 0);
    ck_assert_uint_ge(buf_room(&b), 5);
    memcpy(buf_tail(&b), "12345", 5);
    buf_grew(&b, 5);
    ck_assert_mem_eq(buf_at(&b), "12345", 5);
    buf_fini(&b);
}
END_TEST

/* ---- lists ---- */

struct item {
    int n;
    struct list node;
};

static int list_digits(const struct list *head)
{
    int digits = 0;
    for (const struct list *n = head->next; n != head; n = n->next)
        digits = digits * 10 + CONTAINER_OF(n, struct item, node)->n;
    return digits;
}

START_TEST(list_keeps_order)
{
    struct list a = LIST_INIT(a), b = LIST_INIT(b);
    struct item items[6];
    for (int i = 0; i < 6; i++)
        items[i].n = i + 1;
    ck_assert(list_empty(&a));
    ck_assert_ptr_null(list_take_front(&a));
    list_push_back(&a, &items[1].node);
    list_push_back(&a, &items[2].node);
    list_push_front(&a, &items[0].node);
    ck_assert_int_eq(list_digits(&a), 123);
    list_remove(&items[1].node);
    list_remove(&items[1].node); /* twice does no harm */
    ck_assert_int_eq(list_digits(&a), 13);
    list_insert_after(&items[0].node, &items[1].node);
    for (int i = 3; i < 6; i++)
        list_push_back(&b, &items[i].node);
    list_append(&a, &b);
    ck_assert(list_empty(&b));
    list_append(&a, &b);
    ck_assert_int_eq(list_digits(&a), 123456);
    ck_assert_ptr_eq(list_take_front(&a), &items[0].node);
    LIST_EACH_SAFE(node, &a)
        if (CONTAINER_OF(node, struct item, node)->n % 2 == 0)
            list_remove(node);
    ck_assert_int_eq(list_digits(&a), 35);
}
END_TEST

/* ---- slices ---- */

struct counted_blob {
    struct blob blob;
    int *destroyed;
};

static void counted_destroy(struct blob *b)
{
    struct counted_blob *c = CONTAINER_OF(b, struct counted_blob, blob);
    (*c->destroyed)++;
    free(c);
}

static struct blob *counted_new(uint32_t refs, int *destroyed)
{
    struct counted_blob *c = malloc(sizeof *c);
    ck_assert_ptr_nonnull(c);
    blob_init(&c->blob, refs, counted_destroy);
    c->destroyed = destroyed;
    return &c->blob;
}

START_TEST(slice_holds_its_bytes)
{
    struct slice s, empty;
    uint8_t *data;
    ck_assert_int_eq(slice_new(3, &s, &data), 0);
    memcpy(data, "abc", 3);
    struct slice again = slice_ref(s);
    slice_release(&s);
    ck_assert_ptr_null(s.blob);
    ck_assert_uint_eq(s.bytes, 0);
    ck_assert_uint_eq(again.bytes, 3);
    ck_assert_mem_eq(again.at, "abc", 3);
    slice_release(&again);
    slice_release(&again); /* empty: nothing to give back */
    ck_assert_int_eq(slice_copy(NULL, 0, &empty), 0);
    ck_assert_uint_eq(empty.bytes, 0);
    slice_release(&empty);
    ck_assert_int_eq(slice_copy("xyz", 3, &s), 0);
    ck_assert_mem_eq(s.at, "xyz", 3);
    slice_release(&s);
    ck_assert_int_eq(slice_new((size_t)UINT32_MAX + 1, &s, &data), PEN_ETOOBIG);
}
END_TEST

START_TEST(slice_destroys_with_the_last)
{
    int destroyed = 0;
    struct slice s = { .blob = counted_new(1, &destroyed) };
    struct slice other = slice_ref(s);
    slice_release(&other);
    ck_assert_int_eq(destroyed, 0);
    slice_release(&s);
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

START_TEST(slice_releaser_gives_back_runs)
{
    int destroyed[2] = { 0, 0 };
    struct blob *one = counted_new(3, &destroyed[0]), *two = counted_new(2, &destroyed[1]);
    struct slice slices[] = {
        { .blob = one }, { .blob = one }, { .blob = two }, { .blob = NULL }, { .blob = one }
    };
    struct slice_releaser releaser = { 0 };
    for (size_t i = 0; i < COUNT_OF(slices); i++) {
        slice_releaser_add(&releaser, &slices[i]);
        ck_assert_ptr_null(slices[i].blob);
    }
    ck_assert_int_eq(destroyed[0], 0); /* the last run is still held */
    slice_releaser_end(&releaser);
    ck_assert_int_eq(destroyed[0], 1);
    ck_assert_int_eq(destroyed[1], 0);
    blob_unref(two, 1);
    ck_assert_int_eq(destroyed[1], 1);
    slice_releaser_end(&releaser); /* empty: nothing happens */
}
END_TEST

/* ---- errors ---- */

START_TEST(errors_are_unique_and_told)
{
    for (size_t i = 0; i < err_rows_count; i++) {
        const struct err_row *row = &err_rows[i];
        ck_assert_int_lt(row->code, -1000);
        ck_assert_uint_gt(strlen(row->text), 0);
        ck_assert_uint_gt(strlen(row->cause), 0);
        ck_assert_uint_gt(strlen(row->remedy), 0);
        ck_assert_ptr_eq(err_find(row->code), row);
        ck_assert_str_eq(pen_strerror(row->code), row->text);
        ck_assert_str_eq(pen_errname(row->code), row->name);
        for (size_t j = 0; j < i; j++) {
            ck_assert_int_ne(row->code, err_rows[j].code);
            ck_assert_str_ne(row->name, err_rows[j].name);
            ck_assert_str_ne(row->text, err_rows[j].text);
        }
    }
    ck_assert_str_eq(pen_errname(PEN_EFULL), "PEN_EFULL");
}
END_TEST

START_TEST(foreign_errors_are_told)
{
    ck_assert_str_eq(pen_strerror(0), "success");
    ck_assert_str_eq(pen_errname(0), "PEN_OK");
    ck_assert_str_eq(pen_strerror(-ENOENT), "No such file or directory");
    ck_assert_str_eq(pen_errname(-ENOENT), "ENOENT");
    ck_assert_str_eq(pen_strerror(-999), "unknown error");
    ck_assert_str_eq(pen_strerror(-5000), "unknown error");
    ck_assert_str_eq(pen_strerror(5), "unknown error");
    ck_assert_ptr_null(err_find(0));
}
END_TEST

static Suite *base_suite(void)
{
    Suite *suite = suite_create("base");
    TCase *units = tcase_create("units");
    tcase_add_loop_test(units, size_parse_reads, 0, COUNT_OF(sizes));
    tcase_add_loop_test(units, span_parse_reads, 0, COUNT_OF(spans));
    tcase_add_loop_test(units, number_parse_reads, 0, COUNT_OF(numbers));
    tcase_add_test(units, formats_are_the_shortest);
    tcase_add_test(units, formats_are_read_back);
    tcase_add_test(units, instants_saturate);
    suite_add_tcase(suite, units);
    TCase *words = tcase_create("words");
    tcase_add_test(words, distance_counts_slips);
    tcase_add_test(words, distance_refuses_long_words);
    tcase_add_test(words, suggestions_are_near);
    tcase_add_test(words, small_text_helpers);
    suite_add_tcase(suite, words);
    TCase *bytes = tcase_create("bytes");
    tcase_add_test(bytes, buf_appends_and_consumes);
    tcase_add_test(bytes, buf_moves_before_it_grows);
    tcase_add_test(bytes, buf_keeps_its_limit);
    tcase_add_test(bytes, buf_takes_what_was_written_at_its_tail);
    tcase_add_test(bytes, list_keeps_order);
    tcase_add_test(bytes, slice_holds_its_bytes);
    tcase_add_test(bytes, slice_destroys_with_the_last);
    tcase_add_test(bytes, slice_releaser_gives_back_runs);
    suite_add_tcase(suite, bytes);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, errors_are_unique_and_told);
    tcase_add_test(errors, foreign_errors_are_told);
    suite_add_tcase(suite, errors);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(base_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
