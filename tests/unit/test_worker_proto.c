/* SPDX-License-Identifier: Apache-2.0 */
#include "task/worker_proto.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct worker_answer answer_of(enum worker_protocol protocol, size_t answer_max)
{
    return (struct worker_answer){ .protocol = protocol, .answer_max = answer_max };
}

static int find(struct worker_answer *a, const char *data, size_t n, struct worker_found *ret_found)
{
    return worker_answer_find(a, (const uint8_t *)data, n, ret_found);
}

START_TEST(newlines_fit_only_into_frames)
{
    const char *reason = NULL;
    ck_assert_int_eq(worker_request_check(WORKER_FRAMES, "a\nb", 3, &reason), 0);
    ck_assert_int_eq(worker_request_check(WORKER_LINES, "a b\r", 4, &reason), 0);
    ck_assert_int_eq(worker_request_check(WORKER_LINES, NULL, 0, &reason), 0);
    ck_assert_ptr_null(reason);
    ck_assert_int_eq(worker_request_check(WORKER_LINES, "a\nb", 3, &reason), PEN_EHANDLER);
    ck_assert_ptr_nonnull(strstr(reason, "protocol: frames"));
}
END_TEST

/* From every point of the request on, what is left is exactly its tail. */
static void check_rests(enum worker_protocol protocol, const char *payload, const char *whole,
                        size_t n)
{
    uint32_t bytes = (uint32_t)strlen(payload);
    ck_assert_uint_eq(worker_request_bytes(protocol, bytes), n);
    for (size_t sent = 0; sent <= n; sent++) {
        struct worker_rest rest;
        char left[64];
        size_t left_bytes = 0;
        worker_request_rest(protocol, payload, bytes, sent, &rest);
        for (int i = 0; i < rest.count; i++) {
            ck_assert_uint_gt(rest.iov[i].iov_len, 0);
            memcpy(left + left_bytes, rest.iov[i].iov_base, rest.iov[i].iov_len);
            left_bytes += rest.iov[i].iov_len;
        }
        ck_assert_uint_eq(left_bytes, n - sent);
        ck_assert_mem_eq(left, whole + sent, left_bytes);
    }
}

START_TEST(a_request_is_sent_from_anywhere)
{
    check_rests(WORKER_LINES, "hello", "hello\n", 6);
    check_rests(WORKER_LINES, "", "\n", 1);
    check_rests(WORKER_FRAMES, "hello", "\0\0\0\5hello", 9);
    check_rests(WORKER_FRAMES, "", "\0\0\0\0", 4);
}
END_TEST

START_TEST(a_frame_tells_its_length_in_network_order)
{
    struct worker_rest rest;
    worker_request_rest(WORKER_FRAMES, "", 0x01020304, 0, &rest);
    ck_assert_mem_eq(rest.header, "\1\2\3\4", 4);
}
END_TEST

START_TEST(a_line_is_found_when_it_is_whole)
{
    struct worker_answer a = answer_of(WORKER_LINES, 10);
    struct worker_found found;
    const char *data = "hi\r\nmore";
    ck_assert_int_eq(find(&a, data, 0, &found), 0);
    ck_assert_int_eq(find(&a, data, 1, &found), 0);
    ck_assert_int_eq(find(&a, data, 3, &found), 0);
    ck_assert_int_eq(find(&a, data, 8, &found), 1);
    ck_assert_uint_eq(found.start, 0);
    ck_assert_uint_eq(found.bytes, 3); /* '\r' is the program's own */
    ck_assert_uint_eq(found.used_bytes, 4);
}
END_TEST

START_TEST(a_frame_is_found_when_it_is_whole)
{
    struct worker_answer a = answer_of(WORKER_FRAMES, 10);
    struct worker_found found;
    const char *data = "\0\0\0\3a\nbmore";
    for (size_t n = 0; n < 7; n++)
        ck_assert_int_eq(find(&a, data, n, &found), 0);
    ck_assert_int_eq(find(&a, data, 11, &found), 1);
    ck_assert_uint_eq(found.start, 4);
    ck_assert_uint_eq(found.bytes, 3);
    ck_assert_uint_eq(found.used_bytes, 7);
    ck_assert_int_eq(find(&a, "\0\0\0\0", 4, &found), 1);
    ck_assert_uint_eq(found.bytes, 0);
}
END_TEST

START_TEST(the_longest_line_passes_and_the_next_does_not)
{
    struct worker_answer a = answer_of(WORKER_LINES, 4);
    struct worker_found found;
    ck_assert_int_eq(find(&a, "1234\n", 5, &found), 1);
    a.seen_bytes = 0;
    ck_assert_int_eq(find(&a, "1234", 4, &found), 0);
    ck_assert_int_eq(find(&a, "12345", 5, &found), PEN_EMALFORMED);
    a.seen_bytes = 0;
    ck_assert_int_eq(find(&a, "12345\n", 6, &found), PEN_EMALFORMED);
}
END_TEST

START_TEST(the_longest_frame_passes_and_the_next_does_not)
{
    struct worker_answer a = answer_of(WORKER_FRAMES, 4);
    struct worker_found found;
    ck_assert_int_eq(find(&a,
                          "\0\0\0\4"
                          "1234",
                          8, &found),
                     1);
    ck_assert_int_eq(find(&a, "\0\0\0\5", 4, &found), PEN_EMALFORMED); /* known from the header */
    ck_assert_int_eq(find(&a, "\xff\xff\xff\xff", 4, &found), PEN_EMALFORMED);
}
END_TEST

static Suite *worker_proto_suite(void)
{
    Suite *s = suite_create("worker_proto");
    TCase *t = tcase_create("worker_proto");
    tcase_add_test(t, newlines_fit_only_into_frames);
    tcase_add_test(t, a_request_is_sent_from_anywhere);
    tcase_add_test(t, a_frame_tells_its_length_in_network_order);
    tcase_add_test(t, a_line_is_found_when_it_is_whole);
    tcase_add_test(t, a_frame_is_found_when_it_is_whole);
    tcase_add_test(t, the_longest_line_passes_and_the_next_does_not);
    tcase_add_test(t, the_longest_frame_passes_and_the_next_does_not);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(worker_proto_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
