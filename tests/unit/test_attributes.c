/* SPDX-License-Identifier: Apache-2.0
 *
 * A job's attributes as bytes and back.
 */
#include "flow/attributes.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct attributes_clock written = { 1000000 }, read_back = { 400000 };

static struct job_ext *new_ext(void)
{
    struct job_ext *ext;
    ck_assert_int_eq(job_ext_new(&ext), 0);
    return ext;
}

static struct job_ext *full_ext(void)
{
    struct job_ext *ext = new_ext();
    ext->weight = WEIGHT_MAX;
    ext->coalesce = true;
    ext->reply_to = strdup("answers");
    ck_assert_int_eq(slice_copy("\0\1\2", 3, &ext->headers), 0);
    ext->delay_until = (mono_t){ 5 };
    ext->attempts_max = UINT16_MAX;
    ext->put_at = (mono_t){ 6 };
    ext->first_failed_at = (mono_t){ 7 };
    ext->last_failed_at = PEN_NEVER;
    ext->error = PEN_EHANDLER;
    ext->error_text = strdup("no");
    ext->died_in = strdup("jobs");
    ext->died_after = 3;
    ext->failed_by = strdup("mailer");
    return ext;
}

START_TEST(all_come_back)
{
    struct job_ext *ext = full_ext(), *back = new_ext();
    size_t max = attributes_bytes_max(ext);
    uint8_t *bytes = malloc(max);
    size_t n = attributes_put(bytes, ext, written);
    ck_assert_uint_le(n, max);
    ck_assert_int_eq(attributes_get(bytes, n, read_back, back), 0);
    ck_assert(back->weight == WEIGHT_MAX && back->coalesce && back->attempts_max == UINT16_MAX);
    ck_assert_str_eq(back->reply_to, "answers");
    ck_assert_uint_eq(back->headers.bytes, 3);
    ck_assert_mem_eq(back->headers.at, "\0\1\2", 3);
    /* On the clock of another boot. */
    ck_assert_int_eq(back->delay_until.ns, 600005);
    ck_assert_int_eq(back->put_at.ns, 600006);
    ck_assert_int_eq(back->first_failed_at.ns, 600007);
    ck_assert_int_eq(back->last_failed_at.ns, PEN_NEVER.ns);
    ck_assert_int_eq(back->error, PEN_EHANDLER);
    ck_assert_str_eq(back->error_text, "no");
    ck_assert_str_eq(back->died_in, "jobs");
    ck_assert_uint_eq(back->died_after, 3);
    ck_assert_str_eq(back->failed_by, "mailer");
    free(bytes);
    job_ext_free(ext);
    job_ext_free(back);
}
END_TEST

START_TEST(defaults_take_no_bytes)
{
    struct job_ext *ext = new_ext();
    uint8_t bytes[256];
    ck_assert_uint_le(attributes_bytes_max(ext), sizeof bytes);
    ck_assert_uint_eq(attributes_put(bytes, ext, written), 0);
    ck_assert_int_eq(attributes_get(bytes, 0, written, ext), 0);
    job_ext_free(ext);
}
END_TEST

START_TEST(cut_off_or_twice_or_nonsense)
{
    struct job_ext *ext = full_ext();
    uint8_t bytes[1024];
    size_t n = attributes_put(bytes, ext, written);
    size_t wholes = 0;
    for (size_t cut = 1; cut < n; cut++) {
        struct job_ext *back = new_ext();
        int r = attributes_get(bytes, cut, written, back);
        ck_assert(r == 0 || r == PEN_EDAMAGED);
        wholes += r == 0;
        job_ext_free(back);
    }
    ck_assert_uint_eq(wholes, 13); /* Behind each of the 14 but the last. */
    struct job_ext *back = new_ext();
    ck_assert_int_eq(attributes_get((const uint8_t *)"\3\1\0\0a\3\1\0\0b", 10, written, back),
                     PEN_EDAMAGED);
    ck_assert_int_eq(attributes_get((const uint8_t *)"\1\1\0\0a", 5, written, back), PEN_EDAMAGED);
    ck_assert_int_eq(attributes_get((const uint8_t *)"\13\2\0\0a\0", 6, written, back), PEN_EDAMAGED);
    ck_assert_int_eq(attributes_get((const uint8_t *)"\377\1\0\0a", 5, written, back), 0);
    job_ext_free(back);
    job_ext_free(ext);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attributes");
    TCase *c = tcase_create("attributes");
    tcase_add_test(c, all_come_back);
    tcase_add_test(c, defaults_take_no_bytes);
    tcase_add_test(c, cut_off_or_twice_or_nonsense);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
