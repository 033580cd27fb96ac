/* SPDX-License-Identifier: Apache-2.0
 *
 * What worker endpoints are asked and answer, in words and in bytes: each operation, what is refused, and that both
 * framings say the same.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/worker.h"

static struct slice text_slice(const char *text)
{
    return (struct slice){ .at = (const uint8_t *)text, .bytes = (uint32_t)strlen(text) };
}

static int decode(const char *text, struct worker_request *q, char *reason)
{
    return worker_request_decode(WORKER_JSON, text_slice(text), q, reason, LIMIT_ERROR_TEXT_BYTES);
}

static void decoded(const char *text, struct worker_request *q)
{
    char reason[LIMIT_ERROR_TEXT_BYTES] = "";
    ck_assert_msg(decode(text, q, reason) == 0, "%s: %s", text, reason);
}

static bool text_is(struct batch_text text, const char *expected)
{
    return text.bytes == strlen(expected) && memcmp(text.at, expected, text.bytes) == 0;
}

static const struct {
    const char *request;
    enum batch_kind kind;
    uint32_t count;
} accepted[] = {
    { "{\"op\":\"put\",\"queue\":\"jobs\",\"body\":\"x\"}", BATCH_PUT, 1 },
    { "{\"op\":\"put\",\"queue\":\"jobs\",\"jobs\":[{\"body\":\"a\"},{\"body64\":\"AA==\"}]}",
      BATCH_PUT, 2 },
    { "{\"op\":\"reserve\",\"queue\":\"jobs\",\"count\":3,\"wait_ms\":10,\"lease_ms\":9,\"keep\":true}",
      BATCH_RESERVE, 1 },
    { "{\"op\":\"reserve\",\"queues\":[{\"queue\":\"a\",\"weight\":3},{\"queue\":\"b\"}]}",
      BATCH_RESERVE, 2 },
    { "{\"op\":\"ack\",\"queue\":\"jobs\",\"id\":1,\"lease\":2}", BATCH_ACK, 1 },
    { "{\"op\":\"ack\",\"queue\":\"jobs\",\"id\":1,\"lease\":2,\"body\":\"result\"}", BATCH_ACK, 1 },
    { "{\"op\":\"nack\",\"queue\":\"j\",\"id\":1,\"lease\":2,\"delay_ms\":5,\"uncharged\":true,"
      "\"text\":\"why\"}",
      BATCH_NACK, 1 },
    { "{\"op\":\"touch\",\"queue\":\"j\",\"id\":1,\"lease\":2,\"lease_ms\":5}", BATCH_TOUCH, 1 },
    { "{\"op\":\"progress\",\"queue\":\"j\",\"id\":1,\"lease\":2,\"text\":\"half\"}",
      BATCH_PROGRESS, 1 },
    { "{\"op\":\"bury\",\"queue\":\"j\",\"jobs\":[{\"id\":1,\"lease\":2},{\"id\":2,\"lease\":3}]}",
      BATCH_BURY, 2 },
    { "{\"op\":\"kick\",\"queue\":\"j\",\"count\":7}", BATCH_KICK, 1 },
    { "{\"op\":\"peek\",\"queue\":\"j\",\"state\":\"buried\"}", BATCH_PEEK, 1 },
    { "{\"op\":\"redrive\",\"queue\":\"j\"}", BATCH_REDRIVE, 1 },
    { "{\"op\":\"result\",\"queue\":\"j\",\"id\":9}", BATCH_RESULT, 1 },
    { "{\"op\":\"stats\"}", BATCH_STATS, 1 },
};

START_TEST(operations)
{
    struct worker_request q;
    uint32_t n = 0;
    decoded(accepted[_i].request, &q);
    ck_assert_int_eq(q.kind, accepted[_i].kind);
    ck_assert_uint_eq(q.count, accepted[_i].count);
    ck_assert(q.form.is_list == (q.count > 1));
    while (worker_request_next(&q))
        n++;
    ck_assert_uint_eq(n, q.count);
    worker_request_fini(&q);
}
END_TEST

static const struct {
    const char *request;
    int error;
    const char *reason;
} refused[] = {
    { "", PEN_EPROTO, "line 1" },
    { "[7]", PEN_EPROTO, "not an object" },
    { "{}", PEN_EPROTO, "\"op\" is missing" },
    { "{\"op\":\"pop\"}", PEN_EPROTO, "unknown operation \"pop\"" },
    { "{\"op\":\"replay\"}", PEN_EPROTO, "unknown operation" },
    { "{\"op\":\"put\",\"queue\":\"j\"}", PEN_EPROTO, "one of \"body\"" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"body64\":\"\"}", PEN_EPROTO, "one of" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"lease\":1}", PEN_EPROTO,
      "unknown member \"lease\"" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"jobs\":[{\"body\":\"b\"}]}", PEN_EPROTO,
      "unknown member \"body\"" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"jobs\":[]}", PEN_EPROTO, "empty" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"jobs\":[7]}", PEN_EPROTO, "not an object" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"priority\":10}", PEN_EPROTO, "from 0 to 9" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"delay_ms\":-1}", PEN_EPROTO, "whole number" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"join\":1}", PEN_EPROTO, "true or false" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"key\":\"a\\u0000b\"}", PEN_EPROTO, "NUL" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"headers\":{\"a\":1}}", PEN_EPROTO,
      "header \"a\"" },
    { "{\"op\":\"put\",\"queue\":\"j\",\"body\":\"a\",\"headers\":{\"\":\"\"}}", PEN_EPROTO,
      "header" },
    { "{\"op\":\"peek\",\"queue\":\"j\",\"state\":\"dead\"}", PEN_EPROTO, "none of its words" },
    { "{\"op\":\"ack\",\"queue\":\"1234567890123456789012345678901234567890123456789012345678901234\"}",
      PEN_ETOOBIG, "longer than 63 bytes" },
};

START_TEST(refusals)
{
    struct worker_request q;
    char reason[LIMIT_ERROR_TEXT_BYTES] = "";
    struct slice answer;
    int r = decode(refused[_i].request, &q, reason);
    ck_assert_int_eq(r, refused[_i].error);
    ck_assert_msg(strstr(reason, refused[_i].reason) != NULL, "%s: %s", refused[_i].request, reason);
    ck_assert_int_eq(worker_refusal_encode(&q.form, r, reason, &answer), 0);
    slice_release(&answer);
}
END_TEST

/* 256 jobs in one request, and one more. */
START_TEST(the_longest_list_and_one_more)
{
    for (size_t n = LIMIT_BATCH_ITEMS; n <= LIMIT_BATCH_ITEMS + 1; n++) {
        struct buf text = { 0 };
        struct worker_request q;
        char reason[LIMIT_ERROR_TEXT_BYTES];
        ck_assert_int_eq(buf_printf(&text, "{\"op\":\"put\",\"queue\":\"j\",\"jobs\":["), 0);
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(buf_printf(&text, "%s{\"body\":\"\"}", i > 0 ? "," : ""), 0);
        ck_assert_int_eq(buf_printf(&text, "]}"), 0);
        struct slice message = { NULL, buf_at(&text), (uint32_t)buf_bytes(&text) };
        int r = worker_request_decode(WORKER_JSON, message, &q, reason, sizeof reason);
        ck_assert_int_eq(r, n == LIMIT_BATCH_ITEMS ? 0 : PEN_ETOOBIG);
        if (r == 0)
            worker_request_fini(&q);
        buf_fini(&text);
    }
}
END_TEST

START_TEST(members_are_attributes)
{
    struct worker_request q;
    decoded("{\"op\":\"put\",\"queue\":\"jobs\",\"priority\":3,\"jobs\":[{\"body\":\"x\",\"key\":\"k\","
            "\"headers\":{\"trace\":\"42\"}},{\"body64\":\"AAE=\",\"priority\":9}]}",
            &q);
    ck_assert(worker_request_next(&q));
    ck_assert(text_is(q.record->attrs.queue, "jobs"));
    ck_assert(text_is(q.record->attrs.key, "k"));
    ck_assert_uint_eq(q.record->attrs.priority, 3);
    struct batch_text name, value;
    uint32_t at = 0;
    ck_assert(batch_header_next(q.record->attrs.headers, &at, &name, &value));
    ck_assert(text_is(name, "trace") && text_is(value, "42"));
    ck_assert(worker_request_next(&q));
    ck_assert_uint_eq(q.record->attrs.priority, 9);
    ck_assert(!batch_has(&q.record->attrs, KEY));
    struct slice body = worker_request_body(&q);
    ck_assert_uint_eq(body.bytes, 2);
    ck_assert_mem_eq(body.at, "\0\1", 2);
    slice_release(&body);
    ck_assert(!worker_request_next(&q));
    worker_request_rewind(&q);
    ck_assert(worker_request_next(&q) && text_is(q.record->attrs.key, "k"));
    worker_request_fini(&q);
}
END_TEST

/* The frames of penstock-protocol(7). */
static const uint8_t reserve_frame[] =
    "PEN\1\2\0\x1a\0\0\0\0\0\x09\0\0\0"
    "\x0f\x08\x30\x75\0\0\0\0\0\0\x10\x08\x88\x13\0\0\0\0\0\0\x11\4\x40\0\0\0";
static const uint8_t ack_frame[] =
    "PEN\1\3\0\0\0\1\0\0\0\x0a\0\0\0\0\0\0\0\x14\0\0\0\1\x08\x11\0\0\0\0"
    "\0\0\0\2\x08\5\0\0\0\0\0\0\0";

static void decoded_bytes(const uint8_t *bytes, size_t count, struct worker_request *q)
{
    char reason[LIMIT_ERROR_TEXT_BYTES] = "";
    struct slice message = { NULL, bytes, (uint32_t)count };
    int r = worker_request_decode(WORKER_BATCH, message, q, reason, sizeof reason);
    ck_assert_msg(r == 0, "%s", reason);
}

START_TEST(frames)
{
    struct worker_request q;
    decoded_bytes(reserve_frame, sizeof reserve_frame - 1, &q);
    ck_assert_int_eq(q.kind, BATCH_RESERVE);
    ck_assert_uint_eq(q.form.tag, 9);
    ck_assert(worker_request_next(&q));
    ck_assert_uint_eq(q.record->attrs.count, 64);
    ck_assert_uint_eq(q.record->attrs.lease_ms, 30000);
    ck_assert_uint_eq(q.record->attrs.wait_ms, 5000);
    ck_assert(!worker_request_next(&q));
    worker_request_fini(&q);
    decoded_bytes(ack_frame, sizeof ack_frame - 1, &q);
    for (int i = 0; i < 2; i++, worker_request_rewind(&q)) {
        ck_assert(worker_request_next(&q));
        ck_assert_uint_eq(q.record->attrs.id, 17);
        ck_assert_uint_eq(q.record->attrs.lease, 5);
        ck_assert(!worker_request_next(&q));
    }
    worker_request_fini(&q);
}
END_TEST

/* Records of a frame, written by us. */
static size_t frame_of(enum batch_kind kind, const struct batch_record *record, size_t n,
                       uint8_t *to, size_t size)
{
    struct batch_writer w;
    struct batch_head head = { .kind = kind, .tag = 3 };
    ck_assert_int_eq(batch_writer_init(&w, to, size, &head), 0);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(batch_writer_add(&w, record), 0);
    return w.used;
}

START_TEST(frames_that_are_refused)
{
    static uint8_t bytes[64 * 1024];
    struct worker_request q;
    char reason[LIMIT_ERROR_TEXT_BYTES];
    struct batch_record plain = { 0 }, topic = { 0 }, body = { .body_bytes = 1, .body = bytes };
    batch_set(&topic.attrs, TOPIC, topic, ((struct batch_text){ "t", 1 }));
    const struct {
        enum batch_kind kind;
        const struct batch_record *record;
        size_t n;
        int error;
        const char *reason;
    } cases[] = {
        { BATCH_PUT, &topic, 1, PEN_EPROTO, "attributes" },
        { BATCH_NACK, &body, 1, PEN_EPROTO, "no body" },
        { BATCH_ACK, &plain, 0, PEN_EPROTO, "no record" },
        { BATCH_REPLAY, &plain, 1, PEN_EPROTO, "no request" },
        { BATCH_JOBS, &plain, 1, PEN_EPROTO, "no request" },
        { BATCH_PUT, &plain, LIMIT_BATCH_ITEMS + 1, PEN_ETOOBIG, "more than 256" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice message = { NULL, bytes, 0 }, answer;
        message.bytes =
            (uint32_t)frame_of(cases[i].kind, cases[i].record, cases[i].n, bytes, sizeof bytes);
        int r = worker_request_decode(WORKER_BATCH, message, &q, reason, sizeof reason);
        ck_assert_int_eq(r, cases[i].error);
        ck_assert_msg(strstr(reason, cases[i].reason) != NULL, "%zu: %s", i, reason);
        struct batch_reader reader;
        ck_assert_int_eq(worker_refusal_encode(&q.form, r, reason, &answer), 0);
        ck_assert_int_eq(batch_reader_init(&reader, answer.at, answer.bytes), 0);
        ck_assert_int_eq(reader.kind, BATCH_ERROR);
        ck_assert_uint_eq(reader.tag, 3);
        ck_assert(batch_reader_next(&reader));
        ck_assert_int_eq(reader.record.status, r);
        slice_release(&answer);
    }
}
END_TEST

static struct batch_record job_record(void)
{
    struct batch_record job = { .body = (const uint8_t *)"x", .body_bytes = 1 };
    batch_set(&job.attrs, ID, id, 17);
    batch_set(&job.attrs, LEASE, lease, 5);
    batch_set(&job.attrs, KEY, key, ((struct batch_text){ "k", 1 }));
    batch_set(&job.attrs, STATE, state, BATCH_STATE_LEASED);
    return job;
}

START_TEST(answers_in_words)
{
    static const struct {
        const char *request;
        enum batch_kind kind;
        const char *answer;
    } cases[] = {
        { "{\"op\":\"reserve\",\"queue\":\"j\"}", BATCH_JOBS,
          "{\"ok\":true,\"jobs\":[{\"ok\":true,\"id\":17,\"lease\":5,\"key\":\"k\","
          "\"state\":\"leased\",\"body\":\"x\"}]}" },
        { "{\"op\":\"ack\",\"queue\":\"j\",\"id\":17,\"lease\":5}", BATCH_RECEIPTS,
          "{\"ok\":true,\"id\":17,\"lease\":5,\"key\":\"k\",\"state\":\"leased\"}" },
        { "{\"op\":\"ack\",\"queue\":\"j\",\"jobs\":[{\"id\":17,\"lease\":5}]}", BATCH_RECEIPTS,
          "{\"ok\":true,\"jobs\":[{\"ok\":true,\"id\":17,\"lease\":5,\"key\":\"k\","
          "\"state\":\"leased\"}]}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker_request q;
        struct worker_answer a;
        struct slice answer;
        struct batch_record job = job_record();
        decoded(cases[i].request, &q);
        worker_answer_begin(&a, &q.form, cases[i].kind, NULL);
        worker_answer_add(&a, &job);
        ck_assert_int_eq(worker_answer_end(&a, &answer), 0);
        ck_assert_msg(answer.bytes == strlen(cases[i].answer) &&
                          memcmp(answer.at, cases[i].answer, answer.bytes) == 0,
                      "%.*s", (int)answer.bytes, (const char *)answer.at);
        slice_release(&answer);
        worker_request_fini(&q);
    }
}
END_TEST

START_TEST(a_failure_in_a_list)
{
    struct worker_request q;
    struct worker_answer a;
    struct slice answer;
    struct batch_record bad = { .status = PEN_ELEASE };
    decoded("{\"op\":\"ack\",\"queue\":\"j\",\"jobs\":[{\"id\":17,\"lease\":5}]}", &q);
    batch_set(&bad.attrs, ID, id, 17);
    worker_answer_begin(&a, &q.form, BATCH_RECEIPTS, NULL);
    worker_answer_add(&a, &bad);
    ck_assert_int_eq(worker_answer_end(&a, &answer), 0);
    static const char expected[] =
        "{\"ok\":true,\"jobs\":[{\"ok\":false,\"error\":\"PEN_ELEASE\",\"id\":17}]}";
    ck_assert_uint_eq(answer.bytes, sizeof expected - 1);
    ck_assert_mem_eq(answer.at, expected, answer.bytes);
    slice_release(&answer);
    worker_request_fini(&q);
}
END_TEST

/* An answer that outgrows its buffer again and again is whole in the end. */
START_TEST(answers_in_bytes_grow)
{
    enum { BODY = 3000 };
    static uint8_t body[BODY];
    struct worker_request q;
    struct worker_answer a;
    struct slice answer;
    struct batch_reader reader;
    decoded_bytes(reserve_frame, sizeof reserve_frame - 1, &q);
    worker_answer_begin(&a, &q.form, BATCH_JOBS, NULL);
    for (uint32_t i = 0; i < LIMIT_BATCH_ITEMS; i++) {
        struct batch_record job = job_record();
        job.body = body;
        job.body_bytes = BODY - i;
        worker_answer_add(&a, &job);
    }
    ck_assert_int_eq(worker_answer_end(&a, &answer), 0);
    ck_assert_int_eq(batch_reader_init(&reader, answer.at, answer.bytes), 0);
    ck_assert_uint_eq(reader.tag, 9);
    for (uint32_t i = 0; i < LIMIT_BATCH_ITEMS; i++) {
        ck_assert(batch_reader_next(&reader));
        ck_assert_uint_eq(reader.record.body_bytes, BODY - i);
        ck_assert_uint_eq(reader.record.attrs.id, 17);
    }
    ck_assert(!batch_reader_next(&reader));
    slice_release(&answer);
    worker_request_fini(&q);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker_verbs");
    TCase *t = tcase_create("requests");
    tcase_add_loop_test(t, operations, 0, sizeof accepted / sizeof accepted[0]);
    tcase_add_loop_test(t, refusals, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(t, the_longest_list_and_one_more);
    tcase_add_test(t, members_are_attributes);
    tcase_add_test(t, frames);
    tcase_add_test(t, frames_that_are_refused);
    suite_add_tcase(s, t);
    t = tcase_create("answers");
    tcase_add_test(t, answers_in_words);
    tcase_add_test(t, a_failure_in_a_list);
    tcase_add_test(t, answers_in_bytes_grow);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
