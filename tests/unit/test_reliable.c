/* SPDX-License-Identifier: Apache-2.0
 *
 * src/proto/reliable.c between a publisher and a network of our own: messages and answers are lost, doubled, late and out of order,
 * the log is short, the publisher is started again. Whatever happens, each result is handed over once, in order, or told to be gone,
 * and only what is gone is told to be.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/reliable.h"
#include "../model/random.h"

enum {
    SEEDS = 60,
    STEPS = 4000,
    ON_THE_WAY_MAX = 400,
    ANSWER_RESULTS = 10,
    MESSAGE_BYTES = 4096,
    LIMIT_S = 1000, /* of the world's own time, for all to be as it should be */
};

/* ---- the world ---- */

static struct world {
    bool is_json;
    uint64_t random;
    uint64_t stream, next,
        log_items; /* the publisher: results 1 to next - 1 were published, of which so many are kept */
    mono_t now;
    struct reliable subscriber;
    struct message {
        struct slice body;
        uint32_t tag;             /* of the request that it answers; 0: it was published */
    } on_the_way[ON_THE_WAY_MAX]; /* towards the subscriber */
    size_t count;
    struct replay_request request; /* towards the log, once asked */
    bool asked, may_lose;
    /* what the subscriber has said */
    uint64_t said_stream, said_next, handed_over, gone, requests;
    bool ended;       /* the stream before */
    const char *only; /* the topic that is wanted; NULL: all */
} w;

static uint64_t oldest(void)
{
    return w.next > w.log_items ? w.next - w.log_items : 1;
}

static const char *topic_of(uint64_t sequence)
{
    return sequence % 3 == 0 ? "cold" : "hot";
}

static bool is_wanted(uint64_t sequence)
{
    return w.only == NULL || strcmp(topic_of(sequence), w.only) == 0;
}

static void new_stream(void)
{
    do
        w.stream = random_next(&w.random) | 1;
    while (w.stream == w.said_stream);
    w.next = 1;
}

static void send(const void *data, size_t bytes, uint32_t tag)
{
    if (w.count == ON_THE_WAY_MAX || (w.may_lose && random_below(&w.random, 8) == 0))
        return;
    w.on_the_way[w.count].tag = tag;
    ck_assert_int_eq(slice_copy(data, bytes, &w.on_the_way[w.count++].body), 0);
    if (w.may_lose && random_below(&w.random, 20) == 0)
        send(data, bytes, tag);
}

/* ---- what the publisher and its log say ---- */

static void add_record(struct batch_writer *writer, uint64_t sequence, bool numbered)
{
    char text[32];
    struct batch_record record = { .body = (const uint8_t *)text };
    struct batch_text topic = { topic_of(sequence), (uint32_t)strlen(topic_of(sequence)) };
    record.body_bytes = (uint32_t)snprintf(text, sizeof text, "%" PRIu64, sequence);
    batch_set(&record.attrs, TOPIC, topic, topic);
    batch_set(&record.attrs, ID, id, sequence);
    if (numbered)
        batch_set(&record.attrs, SEQUENCE, sequence, sequence);
    ck_assert_int_eq(batch_writer_add(writer, &record), 0);
}

static int add_object(char *to, uint64_t sequence)
{
    char stream[JSON_STREAM_BYTES];
    json_stream_format(w.stream, stream);
    return snprintf(to, 200,
                    "{\"topic\":\"%s\",\"id\":%" PRIu64 ",\"body\":\"%" PRIu64
                    "\",\"stream\":\"%s\",\"seq\":%" PRIu64 "}",
                    topic_of(sequence), sequence, sequence, stream, sequence);
}

static void publish_batch(uint64_t count)
{
    uint8_t message[MESSAGE_BYTES];
    struct batch_attrs attrs = { 0 };
    struct batch_head head = { .kind = BATCH_RESULTS, .attrs = &attrs };
    struct batch_writer writer;
    batch_set(&attrs, STREAM, stream, w.stream);
    batch_set(&attrs, SEQUENCE, sequence, w.next);
    ck_assert_int_eq(batch_writer_init(&writer, message, sizeof message, &head), 0);
    for (uint64_t i = 0; i < count; i++)
        add_record(&writer, w.next++, false);
    send(message, writer.used, 0);
}

static void publish(void)
{
    char message[256];
    uint64_t count = 1 + random_below(&w.random, 5);
    if (!w.is_json)
        publish_batch(count);
    for (; w.is_json && count > 0; count--, w.next++)
        send(message, (size_t)add_object(message, w.next), 0);
}

static void answer_batch(uint64_t from, uint64_t until)
{
    uint8_t message[MESSAGE_BYTES];
    struct batch_attrs attrs = { 0 };
    struct batch_head head = { .kind = BATCH_RESULTS, .attrs = &attrs, .tag = w.request.tag };
    struct batch_writer writer;
    batch_set(&attrs, STREAM, stream, w.stream);
    batch_set(&attrs, SEQUENCE, sequence, from);
    batch_set(&attrs, UNTIL, until, until);
    batch_set(&attrs, OLDEST, oldest, oldest());
    batch_set(&attrs, NEXT, next, w.next);
    ck_assert_int_eq(batch_writer_init(&writer, message, sizeof message, &head), 0);
    for (uint64_t sequence = from; sequence < until; sequence++)
        if (is_wanted(sequence))
            add_record(&writer, sequence, true);
    send(message, writer.used, w.request.tag);
}

static void answer_json(uint64_t from, uint64_t until)
{
    char message[MESSAGE_BYTES], stream[JSON_STREAM_BYTES];
    json_stream_format(w.stream, stream);
    int n = snprintf(message, sizeof message,
                     "{\"ok\":true,\"stream\":\"%s\",\"from\":%" PRIu64 ",\"until\":%" PRIu64
                     ",\"oldest\":%" PRIu64 ",\"next\":%" PRIu64 ",\"results\":[",
                     stream, from, until, oldest(), w.next);
    bool first = true;
    for (uint64_t sequence = from; sequence < until; sequence++) {
        if (!is_wanted(sequence))
            continue;
        if (!first)
            message[n++] = ',';
        first = false;
        n += add_object(message + n, sequence);
    }
    memcpy(message + n, "]}", 2);
    send(message, (size_t)n + 2, w.request.tag);
}

static void answer(void)
{
    const struct replay_request *q = &w.request;
    uint64_t from = q->from > oldest() ? q->from : oldest();
    if (q->from == 0 || (q->stream != 0 && q->stream != w.stream))
        from = w.next;
    uint64_t until = from + ANSWER_RESULTS;
    if (q->count_max != 0 && until > from + q->count_max)
        until = from + q->count_max;
    if (until > w.next)
        until = w.next;
    w.asked = false;
    (w.is_json ? answer_json : answer_batch)(from, until);
}

/* ---- what the subscriber says ---- */

static void on_result(uint64_t stream, const struct published_result *result, void *arg)
{
    char text[32];
    (void)arg;
    if (stream != w.said_stream) {
        ck_assert(w.said_stream == 0 || w.ended);
        w.said_stream = stream;
        w.said_next = w.ended ? 1 : result->sequence;
        w.ended = false;
    }
    while (w.only != NULL && w.said_next < result->sequence && !is_wanted(w.said_next))
        w.said_next++;
    ck_assert_uint_eq(result->sequence, w.said_next);
    ck_assert_uint_eq(result->id, result->sequence);
    size_t n = (size_t)snprintf(text, sizeof text, "%" PRIu64, result->sequence);
    ck_assert_uint_eq(result->body_bytes, n);
    ck_assert_mem_eq(result->body, text, n);
    ck_assert(is_wanted(result->sequence));
    w.said_next++;
    w.handed_over++;
}

static void on_gone(const struct reliable_gone *gone, void *arg)
{
    (void)arg;
    if (gone->ended) {
        ck_assert_uint_ne(gone->stream, w.stream);
        w.ended = true;
        return;
    }
    if (gone->stream != w.said_stream) {
        ck_assert(w.said_stream == 0 || w.ended);
        w.said_stream = gone->stream;
        w.said_next = gone->first;
        w.ended = false;
    }
    while (w.only != NULL && w.said_next < gone->first && !is_wanted(w.said_next))
        w.said_next++;
    ck_assert_uint_eq(gone->first, w.said_next);
    ck_assert_uint_le(gone->first, gone->last);
    if (gone->stream == w.stream) /* It is: nobody has to believe in a loss that is none. */
        ck_assert_uint_lt(gone->last, oldest());
    w.said_next = gone->last + 1;
    w.gone += gone->last - gone->first + 1;
}

static void on_ask(const struct replay_request *request, void *arg)
{
    (void)arg;
    w.request = *request;
    w.asked = true;
    w.requests++;
}

static const struct reliable_events events = { on_result, on_gone, on_ask };

/* ---- steps ---- */

/* One message arrives: mostly the first, sometimes another, which so comes before it. */
static void arrive(void)
{
    char why[LIMIT_ERROR_TEXT_BYTES];
    if (w.count == 0)
        return;
    bool in_order = !w.may_lose || random_below(&w.random, 10) > 0;
    size_t k = in_order ? 0 : random_below(&w.random, w.count);
    struct message message = w.on_the_way[k];
    memmove(&w.on_the_way[k], &w.on_the_way[k + 1], (w.count - k - 1) * sizeof message);
    w.count--;
    if (message.tag == 0 || message.tag == w.request.tag) /* as a req socket sees to it */
        ck_assert_int_eq(reliable_take(&w.subscriber, &message.body, w.now, why, sizeof why), 0);
    slice_release(&message.body);
}

static void time_goes_on(void)
{
    w.now.ns += (int64_t)random_below(&w.random, NS_PER_S / 4);
    if (!mono_before(w.now, reliable_due(&w.subscriber)))
        reliable_on_time(&w.subscriber, w.now);
}

static void step(void)
{
    switch (random_below(&w.random, 12)) {
    case 0:
    case 1:
        publish();
        break;
    case 2:
    case 3:
        if (w.asked && (!w.may_lose || random_below(&w.random, 4) > 0))
            answer();
        break;
    case 4:
        time_goes_on();
        break;
    case 5: /* the connection is cut */
        while (w.may_lose && w.count > 0 && random_below(&w.random, 40) == 0)
            slice_release(&w.on_the_way[--w.count].body);
        break;
    default:
        arrive();
    }
}

/* Nothing is published or lost any more. */
static void let_it_end(void)
{
    mono_t limit = mono_after(w.now, span_s(LIMIT_S));
    w.may_lose = false;
    while (mono_before(w.now, limit) &&
           (w.subscriber.stream != w.stream || w.subscriber.next < w.next)) {
        while (w.count > 0)
            arrive();
        if (w.asked)
            answer();
        time_goes_on();
    }
    while (w.count > 0)
        arrive();
}

static void begin(uint64_t seed, const struct reliable_options *options)
{
    w = (struct world){ .random = seed, .is_json = seed % 2 == 1, .may_lose = true };
    w.log_items = 5 + random_below(&w.random, 200);
    new_stream();
    reliable_init(&w.subscriber, options, w.now);
}

static void end(void)
{
    reliable_fini(&w.subscriber);
    while (w.count > 0)
        slice_release(&w.on_the_way[--w.count].body);
}

START_TEST(each_result_once_or_gone)
{
    struct reliable_options options = { .events = &events, .from = 1 };
    begin((uint64_t)_i, &options);
    for (int i = 0; i < STEPS; i++)
        step();
    let_it_end();
    ck_assert_uint_eq(w.subscriber.stream, w.stream);
    ck_assert_uint_eq(w.said_next, w.next);
    ck_assert_uint_eq(w.handed_over + w.gone, w.next - 1);
    ck_assert_uint_eq(w.subscriber.stats.results, w.handed_over);
    ck_assert_uint_eq(w.subscriber.stats.gone, w.gone);
    ck_assert_uint_gt(w.handed_over, 100);
    end();
}
END_TEST

START_TEST(a_publisher_that_is_started_again)
{
    struct reliable_options options = { .events = &events, .from = 1 };
    begin((uint64_t)_i, &options);
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 1000 == 500)
            new_stream();
    }
    let_it_end();
    ck_assert_uint_eq(w.subscriber.stream, w.stream);
    ck_assert_uint_eq(w.subscriber.next, w.next);
    end();
}
END_TEST

START_TEST(only_some_topics)
{
    struct batch_text prefix = { "co", 2 };
    struct reliable_options options = {
        .events = &events, .from = 1, .prefixes = &prefix, .prefixes_count = 1
    };
    begin((uint64_t)_i, &options);
    w.only = "cold";
    for (int i = 0; i < STEPS; i++)
        step();
    let_it_end();
    ck_assert_uint_eq(w.subscriber.next, w.next);
    ck_assert_uint_gt(w.handed_over, 10);
    end();
}
END_TEST

/* ---- one thing at a time ---- */

static void begin_quietly(uint64_t stream, uint64_t from)
{
    struct reliable_options options = { .events = &events, .stream = stream, .from = from };
    begin(0, &options);
    w.may_lose = false;
    w.log_items = 1000;
}

static void run(void)
{
    while (w.count > 0 || w.asked) {
        if (w.asked)
            answer();
        arrive();
    }
}

START_TEST(it_begins_with_what_is_published_next)
{
    begin_quietly(0, 0);
    w.next = 100;
    run();
    ck_assert_uint_eq(w.handed_over, 0);
    publish_batch(1);
    run();
    ck_assert_uint_eq(w.handed_over, 1);
    ck_assert_uint_eq(w.said_next, 101);
    end();
}
END_TEST

START_TEST(it_goes_on_where_another_has_ended)
{
    begin_quietly(0, 0);
    reliable_fini(&w.subscriber);
    struct reliable_options options = { .events = &events, .stream = w.stream, .from = 50 };
    reliable_init(&w.subscriber, &options, w.now);
    w.said_stream = w.stream;
    w.said_next = 50;
    w.next = 100;
    run();
    ck_assert_uint_eq(w.handed_over, 50);
    end();
}
END_TEST

START_TEST(it_goes_on_after_a_stream_that_has_ended)
{
    begin_quietly(0, 0);
    reliable_fini(&w.subscriber);
    struct reliable_options options = { .events = &events, .stream = w.stream ^ 2, .from = 50 };
    reliable_init(&w.subscriber, &options, w.now);
    w.said_stream = w.stream ^ 2;
    w.next = 100;
    run();
    ck_assert_uint_eq(w.handed_over, 99);
    ck_assert(!w.ended); /* It was told, and then the new one began. */
    end();
}
END_TEST

/* A lost last result is found without another. */
START_TEST(silence_makes_it_ask)
{
    begin_quietly(0, 1);
    run();
    publish_batch(1);
    slice_release(&w.on_the_way[--w.count].body);
    ck_assert(!w.asked);
    mono_t due = reliable_due(&w.subscriber);
    ck_assert_int_le(due.ns, span_s(RELIABLE_SILENCE_S).ns);
    reliable_on_time(&w.subscriber, (mono_t){ due.ns - 1 });
    ck_assert(!w.asked);
    reliable_on_time(&w.subscriber, due);
    ck_assert(w.asked);
    run();
    ck_assert_uint_eq(w.handed_over, 1);
    end();
}
END_TEST

/* The questions of one who hears nothing become rare, and soon again when there is something. */
START_TEST(silence_makes_it_patient)
{
    begin_quietly(0, 1);
    run();
    for (int i = 0; i < 10; i++) {
        w.now = reliable_due(&w.subscriber);
        reliable_on_time(&w.subscriber, w.now);
        run();
    }
    span_t wait = mono_since(reliable_due(&w.subscriber), w.now);
    ck_assert_int_ge(wait.ns, span_s(RELIABLE_SILENCE_MAX_S).ns);
    ck_assert_int_lt(wait.ns, span_s(2 * RELIABLE_SILENCE_MAX_S).ns);
    publish_batch(1);
    run();
    ck_assert_int_eq(mono_since(reliable_due(&w.subscriber), w.now).ns,
                     span_s(RELIABLE_SILENCE_S).ns);
    end();
}
END_TEST

/* Messages of a stream that the log does not know are no reason to ask again and again. */
START_TEST(a_stranger_is_passed_over)
{
    begin_quietly(0, 1);
    publish_batch(1);
    run();
    uint64_t ours = w.stream, next = w.next, requests = w.requests;
    w.stream = ours ^ 2;
    for (int i = 0; i < 50; i++)
        publish_batch(1);
    w.stream = ours;
    w.next = next;
    run();
    ck_assert_uint_eq(w.handed_over, 1);
    ck_assert_uint_eq(w.requests, requests + 1);
    end();
}
END_TEST

/* What comes while the first is missing is held up to the bound, and asked for beyond it. */
START_TEST(as_much_held_as_may_be_and_more)
{
    for (int more = 0; more < 2; more++) {
        char why[LIMIT_ERROR_TEXT_BYTES];
        begin_quietly(0, 1);
        run();
        uint64_t requests = w.requests;
        publish_batch(1);
        slice_release(&w.on_the_way[--w.count].body);
        for (int i = 0; i < RELIABLE_HELD_MAX + more; i++) {
            publish_batch(1);
            struct slice message = w.on_the_way[--w.count].body;
            ck_assert_int_eq(reliable_take(&w.subscriber, &message, w.now, why, sizeof why), 0);
            slice_release(&message);
        }
        ck_assert_uint_eq(w.subscriber.held_count, RELIABLE_HELD_MAX);
        ck_assert_uint_eq(w.request.from, 1);
        run();
        ck_assert_uint_eq(w.handed_over, (unsigned)(RELIABLE_HELD_MAX + 1 + more));
        ck_assert_uint_eq(w.requests, requests + 1 + (unsigned)more);
        end();
    }
}
END_TEST

/* A log that has nothing new to say though it should is not asked without end. */
START_TEST(an_answer_without_use)
{
    begin_quietly(0, 1);
    w.next = 5;
    answer_batch(w.next, w.next);
    arrive();
    w.asked = false;
    for (int i = 0; i < 3; i++) {
        answer_batch(w.next, w.next);
        arrive();
        ck_assert(!w.asked);
    }
    run();
    w.now = reliable_due(&w.subscriber);
    reliable_on_time(&w.subscriber, w.now);
    run();
    ck_assert_uint_eq(w.handed_over, 4);
    end();
}
END_TEST

static const struct {
    const char *text;
    int code;
    const char *why;
} bad[] = {
    { "", PEN_EPROTO, "this is not a batch frame" },
    { "squares|0", PEN_EPROTO, "this is not a batch frame" },
    { "{\"topic\":\"t\",\"id\":1,\"body\":\"x\"}", PEN_EPROTO,
      "its results have no numbers: the publisher has no log" },
    { "{\"topic\":\"t\",\"id\":1,\"body\":\"x\",\"seq\":1}", PEN_EPROTO,
      "member \"stream\" is missing or wrong" },
    { "{\"topic\":\"t\",\"id\":1,\"body\":\"x\",\"seq\":1,\"stream\":\"12\"}", PEN_EPROTO,
      "member \"stream\" is missing or wrong" },
    { "{\"topic\":\"t\",\"body\":\"x\",\"seq\":1,\"stream\":\"0123456789abcdef\"}", PEN_EPROTO,
      "a member of a result is missing or wrong" },
    { "{\"topic\":\"t\",\"id\":1,\"seq\":1,\"stream\":\"0123456789abcdef\"}", PEN_EPROTO,
      "a member of a result is missing or wrong" },
    { "{\"ok\":false,\"error\":\"PEN_EINVAL\",\"text\":\"no\"}", PEN_EINVAL, "no" },
    { "{\"ok\":true,\"stream\":\"0123456789abcdef\",\"from\":1,\"until\":2}", PEN_EPROTO,
      "a member of the answer is missing or wrong" },
    { "{\"ok\":true,\"stream\":\"0123456789abcdef\",\"from\":3,\"until\":2,\"oldest\":1,\"next\":4,"
      "\"results\":[]}",
      PEN_EPROTO, "the numbers of the results do not go together" },
    { "{\"ok\":true,\"stream\":\"0123456789abcdef\",\"from\":3,\"until\":5,\"oldest\":1,\"next\":4,"
      "\"results\":[]}",
      PEN_EPROTO, "the numbers of the results do not go together" },
    { "{\"ok\":true,\"stream\":\"0123456789abcdef\",\"from\":1,\"until\":3,\"oldest\":1,\"next\":4,"
      "\"results\":[{\"topic\":\"t\",\"id\":1,\"body\":\"\",\"seq\":2},"
      "{\"topic\":\"t\",\"id\":1,\"body\":\"\",\"seq\":2}]}",
      PEN_EPROTO, "a member of a result is missing or wrong" },
};

START_TEST(messages_that_are_wrong)
{
    char why[LIMIT_ERROR_TEXT_BYTES];
    begin_quietly(0, 1);
    struct slice message = { .at = (const uint8_t *)bad[_i].text, .bytes = strlen(bad[_i].text) };
    ck_assert_int_eq(reliable_take(&w.subscriber, &message, w.now, why, sizeof why), bad[_i].code);
    ck_assert_str_eq(why, bad[_i].why);
    publish_batch(3);
    run();
    ck_assert_uint_eq(w.handed_over, 3);
    end();
}
END_TEST

/* A body that is no base 64 is not passed over as if it had been handed over. */
START_TEST(a_result_that_cannot_be_read)
{
    static const char text[] =
        "{\"topic\":\"t\",\"id\":1,\"body64\":\"?\",\"seq\":1,\"stream\":\"%s\"}";
    char message[256], stream[JSON_STREAM_BYTES], why[LIMIT_ERROR_TEXT_BYTES];
    begin_quietly(0, 1);
    run();
    json_stream_format(w.stream, stream);
    (void)snprintf(message, sizeof message, text, stream);
    struct slice s = { .at = (const uint8_t *)message, .bytes = strlen(message) };
    ck_assert_int_eq(reliable_take(&w.subscriber, &s, w.now, why, sizeof why), 0);
    ck_assert_uint_eq(w.handed_over, 0);
    ck_assert(w.asked);
    w.next = 2;
    run();
    ck_assert_uint_eq(w.handed_over, 1);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reliable");
    TCase *t = tcase_create("reliable");
    tcase_add_loop_test(t, each_result_once_or_gone, 0, SEEDS);
    tcase_add_loop_test(t, a_publisher_that_is_started_again, 0, SEEDS);
    tcase_add_loop_test(t, only_some_topics, 0, SEEDS);
    tcase_add_test(t, it_begins_with_what_is_published_next);
    tcase_add_test(t, it_goes_on_where_another_has_ended);
    tcase_add_test(t, it_goes_on_after_a_stream_that_has_ended);
    tcase_add_test(t, silence_makes_it_ask);
    tcase_add_test(t, silence_makes_it_patient);
    tcase_add_test(t, a_stranger_is_passed_over);
    tcase_add_test(t, as_much_held_as_may_be_and_more);
    tcase_add_test(t, an_answer_without_use);
    tcase_add_loop_test(t, messages_that_are_wrong, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(t, a_result_that_cannot_be_read);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
