/* SPDX-License-Identifier: Apache-2.0
 *
 * src/proto/replay.c: requests to the log of results, in both framings, at their limits and beyond.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/replay.h"

enum { SPACE = 32 * 1024 };

static uint8_t space[SPACE];
static char why[LIMIT_ERROR_TEXT_BYTES];

static int decode(const char *text, struct replay_request *ret_request)
{
    return replay_request_decode(text, strlen(text), ret_request, why, sizeof why);
}

static struct batch_text text_of(const char *text)
{
    return (struct batch_text){ text, (uint32_t)strlen(text) };
}

static void compare(const struct replay_request *q)
{
    ck_assert_uint_eq(q->stream, 0x1122334455667788);
    ck_assert_uint_eq(q->from, 100);
    ck_assert_uint_eq(q->count_max, 1000);
    ck_assert_uint_eq(q->bytes_max, 65536);
    ck_assert_uint_eq(q->prefixes_count, 2);
    ck_assert(replay_wants(q, text_of("squares")));
    ck_assert(replay_wants(q, text_of("squares.1")));
    ck_assert(replay_wants(q, text_of("cubes")));
    ck_assert(!replay_wants(q, text_of("square")));
    ck_assert(!replay_wants(q, text_of("")));
}

START_TEST(batch)
{
    struct replay_request q = {
        .tag = 7, .stream = 0x1122334455667788, .from = 100, .count_max = 1000, .bytes_max = 65536
    };
    size_t bytes;
    q.prefixes[q.prefixes_count++] = text_of("squares");
    q.prefixes[q.prefixes_count++] = text_of("cub");
    ck_assert_int_eq(replay_request_encode(&q, space, sizeof space, &bytes), 0);
    ck_assert_int_eq(replay_request_encode(&q, space, bytes - 1, &bytes), PEN_EFULL);
    ck_assert_int_eq(replay_request_encode(&q, space, bytes, &bytes), 0);
    struct replay_request got;
    ck_assert_int_eq(replay_request_decode(space, bytes, &got, why, sizeof why), 0);
    ck_assert(!got.is_json);
    ck_assert_uint_eq(got.tag, 7);
    compare(&got);
    replay_request_fini(&got);
    q.prefixes_count = 0;
    ck_assert_int_eq(replay_request_encode(&q, space, REPLAY_REQUEST_BYTES, &bytes), 0);
}
END_TEST

START_TEST(json)
{
    struct replay_request got;
    ck_assert_int_eq(decode("{\"op\":\"replay\",\"stream\":\"1122334455667788\",\"from\":100,\"count\":1000,"
                            "\"bytes\":65536,\"topics\":[\"squares\",\"cub\"]}",
                            &got),
                     0);
    ck_assert(got.is_json);
    compare(&got);
    replay_request_fini(&got);
    ck_assert_int_eq(decode("{\"op\":\"replay\"}", &got), 0);
    ck_assert_uint_eq(got.stream + got.from + got.count_max + got.bytes_max + got.prefixes_count, 0);
    ck_assert(replay_wants(&got, text_of("anything")));
    replay_request_fini(&got);
}
END_TEST

static const struct {
    const char *text;
    int code;
    const char *why;
} bad[] = {
    { "", PEN_EPROTO, "this is not a batch frame" },
    { "{\"op\":\"put\"}", PEN_EPROTO, "member \"op\" must be \"replay\"" },
    { "{}", PEN_EPROTO, "member \"op\" must be \"replay\"" },
    { "{\"op\":\"replay\",\"form\":1}", PEN_EPROTO, "unknown member \"form\"" },
    { "{\"op\":\"replay\",\"stream\":17}", PEN_EPROTO, "member \"stream\" is not a string" },
    { "{\"op\":\"replay\",\"stream\":\"112233445566778\"}", PEN_EPROTO,
      "member \"stream\" is not 16 hexadecimal digits" },
    { "{\"op\":\"replay\",\"stream\":\"112233445566778G\"}", PEN_EPROTO,
      "member \"stream\" is not 16 hexadecimal digits" },
    { "{\"op\":\"replay\",\"from\":-1}", PEN_EPROTO,
      "member \"from\" is not a number from 0 to 9223372036854775807" },
    { "{\"op\":\"replay\",\"count\":4294967296}", PEN_EPROTO,
      "member \"count\" is not a number from 0 to 4294967295" },
    { "{\"op\":\"replay\",\"bytes\":1.5}", PEN_EPROTO,
      "member \"bytes\" is not a number from 0 to 4294967295" },
    { "{\"op\":\"replay\",\"topics\":\"squares\"}", PEN_EPROTO, "member \"topics\" is not a list" },
    { "{\"op\":\"replay\",\"topics\":[17]}", PEN_EPROTO, "a topic is not a string" },
};

START_TEST(wrong)
{
    struct replay_request got;
    ck_assert_int_eq(decode(bad[_i].text, &got), bad[_i].code);
    ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

START_TEST(another_kind)
{
    struct batch_writer w;
    struct batch_head head = { .kind = BATCH_PUT, .tag = 9 };
    struct replay_request got;
    ck_assert_int_eq(batch_writer_init(&w, space, sizeof space, &head), 0);
    ck_assert_int_eq(replay_request_decode(space, w.used, &got, why, sizeof why), PEN_EPROTO);
    ck_assert_str_eq(why, "only the kind replay is answered here");
    ck_assert_uint_eq(got.tag, 9);
}
END_TEST

/* {"op":"replay","topics":["aaa", ...]}: n of them. */
static int with_topics(size_t n, size_t bytes, struct replay_request *ret_request)
{
    static char text[SPACE];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"op\":\"replay\",\"topics\":[");
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"", i > 0 ? "," : "");
        memset(text + used, 'a', bytes);
        used += bytes;
        text[used++] = '"';
    }
    memcpy(text + used, "]}", 2);
    return replay_request_decode(text, used + 2, ret_request, why, sizeof why);
}

START_TEST(as_many_topics_as_may_be_and_one_more)
{
    struct replay_request got;
    ck_assert_int_eq(with_topics(LIMIT_TOPICS_PER_ENDPOINT, LIMIT_TOPIC_BYTES, &got), 0);
    ck_assert_uint_eq(got.prefixes_count, LIMIT_TOPICS_PER_ENDPOINT);
    replay_request_fini(&got);
    ck_assert_int_eq(with_topics(LIMIT_TOPICS_PER_ENDPOINT + 1, 1, &got), PEN_ETOOBIG);
    ck_assert_int_eq(with_topics(1, LIMIT_TOPIC_BYTES + 1, &got), PEN_ETOOBIG);
    ck_assert_str_eq(why, "more than 64 topics, or one of more than 255 bytes");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("replay");
    TCase *t = tcase_create("replay");
    tcase_add_test(t, batch);
    tcase_add_test(t, json);
    tcase_add_loop_test(t, wrong, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(t, another_kind);
    tcase_add_test(t, as_many_topics_as_may_be_and_one_more);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
