/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow/answer.c: what a requester is told, byte by byte.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "flow/answer.h"
#include "proto/batch.h"

static void expect_text(struct slice *s, const char *expected)
{
    ck_assert_msg(s->bytes == strlen(expected) && memcmp(s->at, expected, s->bytes) == 0,
                  "\"%.*s\" and not \"%s\"", (int)s->bytes, (const char *)s->at, expected);
    slice_release(s);
}

static struct answer_form form(enum conf_framing framing)
{
    return (struct answer_form){ .framing = framing, .tag = 7 };
}

START_TEST(receipts)
{
    struct slice s;
    ck_assert_int_eq(answer_receipt(FRAMING_RAW, 17, "memory", &s), 0);
    expect_text(&s, "OK 17 memory");
    ck_assert_int_eq(answer_receipt(FRAMING_RAW, UINT64_MAX, "memory", &s), 0);
    expect_text(&s, "OK 18446744073709551615 memory");
    ck_assert_int_eq(answer_receipt(FRAMING_JSON, 17, "memory", &s), 0);
    expect_text(&s, "{\"ok\":true,\"id\":17,\"level\":\"memory\"}");
}
END_TEST

START_TEST(failures)
{
    struct slice s;
    ck_assert_int_eq(answer_failure(form(FRAMING_RAW), PEN_EFULL, "no room", &s), 0);
    expect_text(&s, "ERR PEN_EFULL no room");
    ck_assert_int_eq(answer_failure(form(FRAMING_JSON), PEN_EFULL, "no \"room\"", &s), 0);
    expect_text(&s, "{\"ok\":false,\"error\":\"PEN_EFULL\",\"text\":\"no \\\"room\\\"\"}");
}
END_TEST

/* Without a text of its own a failure has the error's. */
START_TEST(failures_without_a_text)
{
    static const char *const none[] = { NULL, "" };
    char expected[LIMIT_ERROR_TEXT_BYTES];
    struct slice s;
    ck_assert_int_eq(answer_failure(form(FRAMING_RAW), PEN_EDROPPED, none[_i], &s), 0);
    (void)snprintf(expected, sizeof expected, "ERR PEN_EDROPPED %s", pen_strerror(PEN_EDROPPED));
    expect_text(&s, expected);
    ck_assert_int_eq(answer_failure(form(FRAMING_JSON), PEN_EDROPPED, none[_i], &s), 0);
    (void)snprintf(expected, sizeof expected,
                   "{\"ok\":false,\"error\":\"PEN_EDROPPED\",\"text\":\"%s\"}",
                   pen_strerror(PEN_EDROPPED));
    expect_text(&s, expected);
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    char text[2 * LIMIT_ERROR_TEXT_BYTES];
    struct slice s;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(answer_failure(form(FRAMING_RAW), PEN_EHANDLER, text, &s), 0);
    size_t head = strlen("ERR PEN_EHANDLER ");
    ck_assert_uint_eq(s.bytes, head + LIMIT_ERROR_TEXT_BYTES);
    ck_assert_int_eq(memcmp(s.at, "ERR PEN_EHANDLER xxx", head + 3), 0);
    slice_release(&s);
}
END_TEST

START_TEST(results)
{
    struct slice body, head = { 0 }, s;
    ck_assert_int_eq(slice_copy("a\"b", 3, &body), 0);
    ck_assert_int_eq(answer_result(form(FRAMING_RAW), 17, body, &head, &s), 0);
    ck_assert_ptr_eq(s.at, body.at); /* Another reference to the same bytes, not a copy. */
    expect_text(&s, "a\"b");
    ck_assert_int_eq(answer_result(form(FRAMING_JSON), 17, body, &head, &s), 0);
    expect_text(&s, "{\"ok\":true,\"id\":17,\"body\":\"a\\\"b\"}");
    slice_release(&body);
    ck_assert_int_eq(slice_copy("\xff\x00\x01", 3, &body), 0);
    ck_assert_int_eq(answer_result(form(FRAMING_JSON), 17, body, &head, &s), 0);
    expect_text(&s, "{\"ok\":true,\"id\":17,\"body64\":\"/wAB\"}");
    ck_assert_int_eq(answer_result(form(FRAMING_RAW), 17, body, &head, &s), 0);
    ck_assert_uint_eq(s.bytes, 3);
    slice_release(&s);
    slice_release(&body);
}
END_TEST

START_TEST(an_empty_result)
{
    struct slice head = { 0 }, s;
    ck_assert_int_eq(answer_result(form(FRAMING_RAW), 17, (struct slice){ 0 }, &head, &s), 0);
    ck_assert_uint_eq(s.bytes, 0);
    ck_assert_int_eq(answer_result(form(FRAMING_JSON), 17, (struct slice){ 0 }, &head, &s), 0);
    expect_text(&s, "{\"ok\":true,\"id\":17,\"body\":\"\"}");
}
END_TEST

/* The one record of an answer in batch framing, which is whole when its body follows its head. */
static struct batch_reader read_answer(const struct slice *head, const struct slice *body)
{
    static uint8_t message[1024];
    struct batch_reader r;
    memcpy(message, head->at, head->bytes);
    if (body->bytes > 0)
        memcpy(message + head->bytes, body->at, body->bytes);
    ck_assert_int_eq(batch_reader_init(&r, message, (size_t)head->bytes + body->bytes), 0);
    ck_assert_uint_eq(r.tag, 7);
    ck_assert(batch_reader_next(&r));
    return r;
}

START_TEST(batch_frames)
{
    struct slice body, head, s, none = { 0 };
    ck_assert_int_eq(answer_failure(form(FRAMING_BATCH), PEN_EHANDLER, "no", &s), 0);
    struct batch_reader r = read_answer(&s, &none);
    ck_assert_int_eq(r.kind, BATCH_ERROR);
    ck_assert_int_eq(r.record.status, PEN_EHANDLER);
    ck_assert_uint_eq(r.record.attrs.text.bytes, 2);
    slice_release(&s);

    ck_assert_int_eq(slice_copy("a\"b", 3, &body), 0);
    ck_assert_int_eq(answer_result(form(FRAMING_BATCH), 17, body, &head, &s), 0);
    ck_assert_ptr_eq(s.at, body.at);
    r = read_answer(&head, &s);
    ck_assert_int_eq(r.kind, BATCH_RESULTS);
    ck_assert_uint_eq(r.record.attrs.id, 17);
    ck_assert_uint_eq(r.record.body_bytes, 3);
    slice_release(&head);
    slice_release(&s);
    slice_release(&body);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("answer");
    TCase *c = tcase_create("answer");
    tcase_add_test(c, receipts);
    tcase_add_test(c, failures);
    tcase_add_loop_test(c, failures_without_a_text, 0, 2);
    tcase_add_test(c, a_long_text_is_cut);
    tcase_add_test(c, results);
    tcase_add_test(c, batch_frames);
    tcase_add_test(c, an_empty_result);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
