/* SPDX-License-Identifier: Apache-2.0
 *
 * The json framing: what is taken, what is refused and why, and that every body comes back as it went in.
 */
#include "proto/json.h"

#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/base64.h"

static int decode(const char *request, struct json_put *ret_put, char *text)
{
    return json_put_decode(request, strlen(request), ret_put, text, LIMIT_ERROR_TEXT_BYTES);
}

static json_t *parsed(struct slice *s)
{
    json_t *value =
        json_loadb((const char *)s->at, s->bytes, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(value);
    slice_release(s);
    return value;
}

START_TEST(put_with_everything)
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct json_put put;
    ck_assert_int_eq(decode("{\"op\":\"put\",\"queue\":\"jobs\",\"body\":\"h\\u00e9\",\"key\":\"k\"}",
                            &put, text),
                     0);
    ck_assert_str_eq(put.queue, "jobs");
    ck_assert_str_eq(put.key, "k");
    ck_assert_uint_eq(put.body.bytes, 3);
    ck_assert_mem_eq(put.body.at, "h\xc3\xa9", 3);
    json_put_fini(&put);
    ck_assert_ptr_null(put.queue);
}
END_TEST

START_TEST(put_with_the_least)
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct json_put put;
    ck_assert_int_eq(decode("{\"op\":\"put\",\"body64\":\"AP8=\"}", &put, text), 0);
    ck_assert_ptr_null(put.queue);
    ck_assert_ptr_null(put.key);
    ck_assert_uint_eq(put.body.bytes, 2);
    ck_assert_mem_eq(put.body.at, "\0\xff", 2);
    json_put_fini(&put);
}
END_TEST

START_TEST(put_body_may_be_empty_or_have_nul)
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct json_put put;
    ck_assert_int_eq(decode("{\"op\":\"put\",\"body\":\"\"}", &put, text), 0);
    ck_assert_uint_eq(put.body.bytes, 0);
    json_put_fini(&put);
    ck_assert_int_eq(decode("{\"op\":\"put\",\"body\":\"a\\u0000b\"}", &put, text), 0);
    ck_assert_uint_eq(put.body.bytes, 3);
    ck_assert_mem_eq(put.body.at, "a\0b", 3);
    json_put_fini(&put);
}
END_TEST

static const struct refusal {
    const char *request, *reason; /* the reason contains this */
} refusals[] = {
    { "", "line 1 column 0" },
    { "{\"op\":}", "line 1 column 7" },
    { "{\"op\":\"put\",\n\"body\":\"a\"} x", "line 2 column 13" },
    { "[1]", "not an object" },
    { "{\"body\":\"a\"}", "\"op\" must be \"put\"" },
    { "{\"op\":1,\"body\":\"a\"}", "\"op\" is not a string" },
    { "{\"op\":\"get\",\"body\":\"a\"}", "\"op\" must be \"put\"" },
    { "{\"op\":\"put\"}", "one of \"body\" and \"body64\"" },
    { "{\"op\":\"put\",\"body\":\"a\",\"body64\":\"YQ==\"}", "one of \"body\" and \"body64\"" },
    { "{\"op\":\"put\",\"body\":{}}", "\"body\" is not a string" },
    { "{\"op\":\"put\",\"body64\":3}", "\"body64\" is not a string" },
    { "{\"op\":\"put\",\"body64\":\"YQ=\"}", "not base64" },
    { "{\"op\":\"put\",\"body64\":\"YR==\"}", "not base64" },
    { "{\"op\":\"put\",\"body64\":\"Y===\"}", "not base64" },
    { "{\"op\":\"put\",\"body64\":\"YQ==YQ==\"}", "not base64" },
    { "{\"op\":\"put\",\"body\":\"a\",\"kye\":\"k\"}", "unknown member \"kye\"" },
    { "{\"op\":\"put\",\"body\":\"a\",\"body\":\"b\"}", "duplicate" },
    { "{\"op\":\"put\",\"body\":\"a\",\"queue\":\"j\\u0000\"}", "\"queue\" contains a NUL" },
    { "{\"op\":\"put\",\"body\":\"a\",\"key\":null}", "\"key\" is not a string" },
    { "{\"op\":\"put\",\"body\":\"\xff\"}", "line 1 column" },
};

START_TEST(put_refusals)
{
    const struct refusal *r = &refusals[_i];
    char text[LIMIT_ERROR_TEXT_BYTES] = "";
    struct json_put put = { .queue = (char *)-1 };
    ck_assert_int_eq(decode(r->request, &put, text), PEN_EPROTO);
    ck_assert_msg(strstr(text, r->reason) != NULL, "%s: \"%s\" does not say \"%s\"", r->request,
                  text, r->reason);
    ck_assert_msg(put.queue == (char *)-1, "the output was touched");
}
END_TEST

static void request_with(char *to, size_t size, const char *member, size_t letters)
{
    char *letter = calloc(1, letters + 1);
    ck_assert_ptr_nonnull(letter);
    memset(letter, 'k', letters);
    ck_assert_int_lt(snprintf(to, size, "{\"op\":\"put\",\"body\":\"a\",\"%s\":\"%s\"}", member,
                              letter),
                     (int)size);
    free(letter);
}

START_TEST(put_limits)
{
    char request[512], text[LIMIT_ERROR_TEXT_BYTES];
    struct json_put put;
    request_with(request, sizeof request, "key", LIMIT_KEY_BYTES);
    ck_assert_int_eq(decode(request, &put, text), 0);
    ck_assert_uint_eq(strlen(put.key), LIMIT_KEY_BYTES);
    json_put_fini(&put);
    request_with(request, sizeof request, "key", LIMIT_KEY_BYTES + 1);
    ck_assert_int_eq(decode(request, &put, text), PEN_ETOOBIG);
    ck_assert_str_eq(text, "member \"key\" is longer than 255 bytes");
    request_with(request, sizeof request, "queue", LIMIT_NAME_BYTES);
    ck_assert_int_eq(decode(request, &put, text), 0);
    json_put_fini(&put);
    request_with(request, sizeof request, "queue", LIMIT_NAME_BYTES + 1);
    ck_assert_int_eq(decode(request, &put, text), PEN_ETOOBIG);
}
END_TEST

START_TEST(reasons_are_cut_at_their_size)
{
    char text[12] = "xxxxxxxxxxx";
    struct json_put put;
    ck_assert_int_eq(json_put_decode("[1]", 3, &put, text, 8), PEN_EPROTO);
    ck_assert_str_eq(text, "not an ");
    ck_assert_int_eq(text[8], 'x');
}
END_TEST

START_TEST(receipt)
{
    struct slice s;
    ck_assert_int_eq(json_receipt_encode(17, "memory", &s), 0);
    ck_assert_uint_eq(s.bytes, strlen("{\"ok\":true,\"id\":17,\"level\":\"memory\"}"));
    ck_assert_mem_eq(s.at, "{\"ok\":true,\"id\":17,\"level\":\"memory\"}", s.bytes);
    slice_release(&s);
}
END_TEST

START_TEST(failure)
{
    struct slice s;
    ck_assert_int_eq(json_failure_encode(PEN_EFULL, "queue is full", &s), 0);
    ck_assert_mem_eq(s.at, "{\"ok\":false,\"error\":\"PEN_EFULL\",\"text\":\"queue is full\"}",
                     s.bytes);
    slice_release(&s);
    /* A reason that was cut within a character is still answered. */
    ck_assert_int_eq(json_failure_encode(PEN_EPROTO, "cut \xc3", &s), 0);
    json_t *value = parsed(&s);
    ck_assert_str_eq(json_string_value(json_object_get(value, "text")), "cut ?");
    json_decref(value);
}
END_TEST

/* Bodies, and whether they travel as text. */
static const struct {
    const char *bytes;
    size_t count;
    bool text;
} bodies[] = {
    { "", 0, true },
    { "plain", 5, true },
    { "quote\" back\\ \n\t\x01", 16, true },
    { "nul\0nul", 7, true },
    { "\x7f\xc2\x80\xdf\xbf", 5, true },
    { "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 12, true },
    { "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, true },
    { "\x80", 1, false },
    { "\xc1\xbf", 2, false },
    { "\xe0\x9f\xbf", 3, false },
    { "\xed\xa0\x80", 3, false },
    { "\xf0\x8f\xbf\xbf", 4, false },
    { "\xf4\x90\x80\x80", 4, false },
    { "\xf5\x80\x80\x80", 4, false },
    { "ab\xc3", 3, false },
    { "\xe2\x82", 2, false },
    { "\xe2\x82z", 3, false },
    { "\0\xff", 2, false },
    { "\0\xff\xfe", 3, false },
    { "\0\xff\xfe\xfd", 4, false },
};

/* The result's body, given back as a put, gives the same bytes. */
START_TEST(bodies_come_back)
{
    struct slice body = { .at = (const uint8_t *)bodies[_i].bytes,
                          .bytes = (uint32_t)bodies[_i].count },
                 s;
    ck_assert_int_eq(json_result_encode(9007199254740993, body, &s), 0);
    json_t *value = parsed(&s);
    ck_assert_uint_eq(json_object_size(value), 3);
    ck_assert(json_is_true(json_object_get(value, "ok")));
    ck_assert_int_eq(json_integer_value(json_object_get(value, "id")), 9007199254740993);
    ck_assert_int_eq(json_object_get(value, "body") != NULL, bodies[_i].text);

    json_object_del(value, "ok");
    json_object_del(value, "id");
    json_object_set_new(value, "op", json_string("put"));
    char *request = json_dumps(value, 0);
    json_decref(value);
    struct json_put put;
    char text[LIMIT_ERROR_TEXT_BYTES] = "";
    ck_assert_int_eq(decode(request, &put, text), 0);
    ck_assert_uint_eq(put.body.bytes, bodies[_i].count);
    ck_assert_mem_eq(put.body.at, bodies[_i].bytes, bodies[_i].count);
    json_put_fini(&put);
    free(request);
}
END_TEST

START_TEST(message)
{
    struct slice body = { .at = (const uint8_t *)"x", .bytes = 1 }, s;
    struct json_message m = { .topic = "a\"b", .id = 1, .body = body };
    ck_assert_int_eq(json_message_encode(&m, &s), 0);
    ck_assert_mem_eq(s.at, "{\"topic\":\"a\\\"b\",\"id\":1,\"body\":\"x\"}", s.bytes);
    slice_release(&s);
}
END_TEST

static const struct {
    uint64_t sequence;
    const char *text;
} numbered[] = {
    { 1, "{\"topic\":\"t\",\"id\":1,\"body\":\"x\",\"stream\":\"000000000000002a\",\"seq\":1}" },
    { INT64_MAX, "{\"topic\":\"t\",\"id\":1,\"body\":\"x\",\"stream\":\"000000000000002a\","
                 "\"seq\":9223372036854775807}" },
};

START_TEST(message_with_a_number)
{
    struct slice body = { .at = (const uint8_t *)"x", .bytes = 1 }, s;
    struct json_message m = { .topic = "t", .id = 1, .body = body, .stream = 42 };
    ck_assert_int_eq(json_message_encode(&m, &s), 0);
    s.bytes = json_message_number((uint8_t *)s.at, s.bytes, numbered[_i].sequence);
    ck_assert_uint_eq(s.bytes, strlen(numbered[_i].text));
    ck_assert_mem_eq(s.at, numbered[_i].text, s.bytes);
    slice_release(&s);
}
END_TEST

START_TEST(names_of_streams)
{
    static const char *const wrong[] = { "", "123456789abcdef", "123456789abcdef01",
                                         "123456789abcdefg", "123456789ABCDEF0" };
    char text[JSON_STREAM_BYTES];
    uint64_t stream = 7;
    json_stream_format(UINT64_MAX - 1, text);
    ck_assert_str_eq(text, "fffffffffffffffe");
    ck_assert_int_eq(json_stream_parse(text, &stream), 0);
    ck_assert_uint_eq(stream, UINT64_MAX - 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(json_stream_parse(wrong[i], &stream), PEN_EPROTO);
    ck_assert_uint_eq(stream, UINT64_MAX - 1);
}
END_TEST

/* The vectors of RFC 4648, section 10. */
START_TEST(base64_vectors)
{
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char text[16] = "";
        uint8_t back[16];
        size_t bytes = strlen(vectors[i][0]);
        base64_encode((const uint8_t *)vectors[i][0], bytes, text);
        ck_assert_str_eq(text, vectors[i][1]);
        ck_assert_uint_eq(base64_encoded_bytes(bytes), strlen(text));
        size_t back_bytes = 99;
        ck_assert_int_eq(base64_decode(text, strlen(text), back, &back_bytes), 0);
        ck_assert_uint_eq(back_bytes, bytes);
        ck_assert_mem_eq(back, vectors[i][0], bytes);
    }
}
END_TEST

START_TEST(base64_all_characters)
{
    uint8_t data[256 * 3], back[256 * 3];
    char text[256 * 4];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    base64_encode(data, sizeof data, text);
    size_t bytes;
    ck_assert_int_eq(base64_decode(text, sizeof text, back, &bytes), 0);
    ck_assert_uint_eq(bytes, sizeof data);
    ck_assert_mem_eq(back, data, sizeof data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *put = tcase_create("put");
    tcase_add_test(put, put_with_everything);
    tcase_add_test(put, put_with_the_least);
    tcase_add_test(put, put_body_may_be_empty_or_have_nul);
    tcase_add_loop_test(put, put_refusals, 0, sizeof refusals / sizeof refusals[0]);
    tcase_add_test(put, put_limits);
    tcase_add_test(put, reasons_are_cut_at_their_size);
    suite_add_tcase(suite, put);
    TCase *answers = tcase_create("answers");
    tcase_add_test(answers, receipt);
    tcase_add_test(answers, failure);
    tcase_add_loop_test(answers, bodies_come_back, 0, sizeof bodies / sizeof bodies[0]);
    tcase_add_test(answers, message);
    tcase_add_loop_test(answers, message_with_a_number, 0, sizeof numbered / sizeof numbered[0]);
    tcase_add_test(answers, names_of_streams);
    suite_add_tcase(suite, answers);
    TCase *base64 = tcase_create("base64");
    tcase_add_test(base64, base64_vectors);
    tcase_add_test(base64, base64_all_characters);
    suite_add_tcase(suite, base64);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
