/* SPDX-License-Identifier: Apache-2.0
 *
 * src/client against an endpoint of our own on a loop of its own: what is put arrives and is answered, what is not answered
 * ends in time, everything is bounded, and the end takes what was put along.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <penstock/client.h>

#include "base/check.h"
#include "net/endpoint.h"
#include "plat/clock.h"
#include "proto/batch.h"
#include "sync/futex.h"

enum { TIME_LIMIT_S = 60 };

/* ---- the other end ---- */

enum answer { ANSWER_RECEIPTS, ANSWER_RESULT, ANSWER_ERROR, ANSWER_NONSENSE, ANSWER_NOTHING };

static struct server {
    struct pen_loop *loop;
    struct endpoint *endpoint;
    char folder[32], address[64];
    enum sp_pattern pattern;
    enum answer answer;
    bool hold;             /* keep what comes with the endpoint */
    struct count records;  /* came */
    struct futex all_came; /* set when records reach `want` */
    uint64_t want;
    int closes;
} server;

static void send_frame(struct batch_writer *w, const struct route *route)
{
    struct slice body;
    ck_assert_int_eq(slice_copy(w->to, w->used, &body), 0);
    struct parcel_frame parcel = { .body = body, .route = route };
    ck_assert_uint_eq(endpoint_send(server.endpoint, &parcel, 1), 1);
}

static void answer_request(struct batch_reader *r, const struct route *route)
{
    static uint8_t space[1024 * 1024];
    static const enum batch_kind kinds[] = { [ANSWER_RECEIPTS] = BATCH_RECEIPTS,
                                             [ANSWER_RESULT] = BATCH_RESULTS,
                                             [ANSWER_ERROR] = BATCH_ERROR,
                                             [ANSWER_NONSENSE] = BATCH_JOBS };
    struct batch_head head = { .kind = kinds[server.answer], .tag = r->tag };
    struct batch_writer w;
    ck_assert_int_eq(batch_writer_init(&w, space, sizeof space, &head), 0);
    for (uint64_t k = 0; batch_reader_next(r); k++) {
        struct batch_record record = { .status = server.answer == ANSWER_ERROR ? PEN_EHANDLER : 0 };
        batch_set(&record.attrs, ID, id, k + 1);
        if (server.answer == ANSWER_RECEIPTS && r->record.body_bytes == 0)
            record.status = PEN_EFULL;
        if (server.answer == ANSWER_RESULT) {
            record.body = r->record.body;
            record.body_bytes = r->record.body_bytes;
        }
        ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    }
    send_frame(&w, route);
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    (void)arg;
    if (server.hold)
        return 0;
    for (size_t k = 0; k < n; k++) {
        struct batch_reader r;
        ck_assert_int_eq(batch_reader_init(&r, frames[k].body.at, frames[k].body.bytes), 0);
        ck_assert_int_eq(r.kind, BATCH_PUT);
        count_add(&server.records, r.left);
        if (server.pattern == SP_REP && server.answer != ANSWER_NOTHING)
            answer_request(&r, &frames[k].route);
        slice_release(&frames[k].body);
    }
    if (count_read(&server.records) >= server.want) {
        futex_set(&server.all_came);
        futex_wake(&server.all_came);
    }
    return n;
}

static void on_server_closed(struct endpoint *e, void *arg)
{
    (void)e;
    (void)arg;
    server.closes++;
}

static void open_server(void)
{
    static const struct endpoint_events events = { .on_frames = on_frames,
                                                   .on_closed = on_server_closed };
    char *listen[] = { server.address, NULL };
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct endpoint_options options = { .loop = server.loop,
                                        .events = &events,
                                        .name = "server",
                                        .pattern = server.pattern,
                                        .listen = listen,
                                        .message_max = 16 * 1024 * 1024 };
    ck_assert_int_eq(endpoint_open_native(&options, text, sizeof text, &server.endpoint), 0);
    endpoint_resume(server.endpoint);
}

static void setup(enum sp_pattern pattern)
{
    (void)snprintf(server.folder, sizeof server.folder, "/tmp/penstock-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(server.folder));
    (void)snprintf(server.address, sizeof server.address, "ipc://%s/socket", server.folder);
    server.pattern = pattern;
    ck_assert_int_eq(pen_loop_new(NULL, &server.loop), 0);
    open_server();
}

static void start_server(void)
{
    ck_assert_int_eq(pen_loop_start(server.loop), 0);
}

static void stop_server(void)
{
    pen_loop_stop(server.loop);
    ck_assert_int_eq(pen_loop_join(server.loop), 0);
}

static void teardown(void)
{
    endpoint_free(&server.endpoint);
    pen_loop_free(&server.loop);
    (void)unlink(server.address + strlen("ipc://"));
    ck_assert_int_eq(rmdir(server.folder), 0);
}

/* ---- the client ---- */

static pen_mono_t far_away(void)
{
    return mono_after(clock_mono(), span_s(3600));
}

static struct pen_client *client_of(struct pen_client_options options)
{
    struct pen_client *c;
    options.address = server.address;
    ck_assert_int_eq(pen_client_new(&options, &c), 0);
    return c;
}

static const struct pen_put hello = { .body = "hello", .bytes = 5, .key = "k" };

/* The outcome of one request. */
static int outcome(struct pen_future *f, void **ret_result)
{
    void *result = NULL;
    int r = pen_future_get(f, far_away(), &result);
    if (r == 0) {
        void *taken = pen_future_take(f);
        ck_assert_ptr_eq(taken, result);
        if (ret_result != NULL)
            *ret_result = result;
        else
            free(result);
    }
    pen_future_unref(&f);
    return r;
}

static void await_all(void)
{
    ck_assert(futex_wait(&server.all_came, far_away()));
}

START_TEST(put_with_receipts)
{
    setup(SP_REP);
    start_server();
    struct pen_client *c = client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ });
    struct pen_put messages[] = { hello, { .bytes = 0 }, hello };
    struct pen_future *f;
    struct pen_receipts *receipts;
    ck_assert_int_eq(pen_client_put(c, messages, 3, PEN_NOW, &f), 0);
    ck_assert_int_eq(outcome(f, (void **)&receipts), 0);
    ck_assert_uint_eq(receipts->n, 3);
    ck_assert_int_eq(receipts->at[0].error, 0);
    ck_assert_int_eq(receipts->at[1].error, PEN_EFULL);
    ck_assert_uint_eq(receipts->at[2].id, 3);
    free(receipts);
    struct pen_client_stats stats;
    pen_client_stats(c, &stats);
    ck_assert(stats.connected);
    ck_assert_uint_eq(stats.requests, 1);
    ck_assert_uint_eq(stats.answers, 1);
    ck_assert_uint_eq(stats.in_flight, 0);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

START_TEST(calls)
{
    static const struct {
        enum answer answer;
        int error;
    } cases[] = { { ANSWER_RESULT, 0 },
                  { ANSWER_ERROR, PEN_EHANDLER },
                  { ANSWER_NONSENSE, PEN_EPROTO },
                  { ANSWER_RECEIPTS, PEN_EPROTO } };
    setup(SP_REP);
    server.answer = cases[_i].answer;
    start_server();
    struct pen_client *c = client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ });
    struct pen_future *f;
    struct pen_answer *answer;
    ck_assert_int_eq(pen_client_call(c, &hello, far_away(), &f), 0);
    ck_assert_int_eq(outcome(f, (void **)&answer), cases[_i].error);
    if (cases[_i].error == 0) {
        ck_assert_uint_eq(answer->bytes, 5);
        ck_assert_mem_eq(answer->body, "hello", 5);
        free(answer);
    }
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

START_TEST(no_answer_in_time)
{
    setup(SP_REP);
    server.answer = ANSWER_NOTHING;
    start_server();
    struct pen_client *c =
        client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ, .timeout = span_ms(20) });
    struct pen_future *f;
    ck_assert_int_eq(pen_client_put(c, &hello, 1, PEN_NOW, &f), 0);
    ck_assert_int_eq(outcome(f, NULL), PEN_ETIMEOUT);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

/* Nobody is there: what is put waits, and ends in time. */
START_TEST(no_server_in_time)
{
    struct pen_client *c;
    struct pen_client_options options = { .kind = PEN_CLIENT_REQ,
                                          .address = "ipc:///tmp/penstock-nobody",
                                          .timeout = span_ms(20) };
    struct pen_future *f[200];
    ck_assert_int_eq(pen_client_new(&options, &c), 0);
    for (size_t k = 0; k < 200; k++)
        ck_assert_int_eq(pen_client_put(c, &hello, 1, PEN_NOW, &f[k]), 0);
    for (size_t k = 0; k < 200; k++)
        ck_assert_int_eq(outcome(f[k], NULL), PEN_ETIMEOUT);
    pen_client_free(&c);
}
END_TEST

/* It connects again: the server comes up only after the put. */
START_TEST(the_server_comes_later)
{
    setup(SP_REP);
    endpoint_free(&server.endpoint);
    struct pen_client *c = client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ });
    struct pen_future *f;
    ck_assert_int_eq(pen_client_put(c, &hello, 1, PEN_NOW, &f), 0);
    open_server();
    start_server();
    ck_assert_int_eq(outcome(f, NULL), 0);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

START_TEST(many_in_flight)
{
    enum { N = 2000 };
    static struct pen_future *f[N];
    setup(SP_REP);
    start_server();
    struct pen_client *c =
        client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ, .in_flight_max = 7 });
    for (size_t k = 0; k < N; k++)
        ck_assert_int_eq(pen_client_put(c, &hello, 1, far_away(), &f[k]), 0);
    for (size_t k = 0; k < N; k++)
        ck_assert_int_eq(outcome(f[k], NULL), 0);
    ck_assert_uint_eq(count_read(&server.records), N);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

/* What waits is bounded in number and in bytes. */
START_TEST(the_bounds)
{
    static char big[40 * 1024];
    struct pen_client *c;
    struct pen_client_options options = { .kind = PEN_CLIENT_PUSH,
                                          .address = "ipc:///tmp/penstock-nobody",
                                          .in_flight_max = 4 };
    ck_assert_int_eq(pen_client_new(&options, &c), 0);
    size_t taken = 0; /* The loop has some in its hands. */
    int r;
    while ((r = pen_client_put(c, &hello, 1, PEN_NOW, NULL)) == 0)
        ck_assert_uint_le(++taken, 4 + 64);
    ck_assert_int_eq(r, PEN_EFULL);
    ck_assert_uint_ge(taken, 4);
    while ((r = pen_client_put(c, &hello, 1, mono_after(clock_mono(), span_ms(1)), NULL)) == 0)
        ck_assert_uint_le(++taken, 4 + 64);
    ck_assert_int_eq(r, PEN_ETIMEOUT);
    pen_client_free(&c);

    options.in_flight_max = 0;
    options.bytes_max = 64 * 1024;
    ck_assert_int_eq(pen_client_new(&options, &c), 0);
    struct pen_put large = { .body = big, .bytes = sizeof big };
    struct pen_put pair[] = { large, large };
    ck_assert_int_eq(pen_client_put(c, pair, 2, PEN_NOW, NULL), PEN_ETOOBIG);
    ck_assert_int_eq(pen_client_put(c, &large, 1, PEN_NOW, NULL), 0);
    pen_client_free(&c);
}
END_TEST

START_TEST(what_is_refused)
{
    struct pen_client *c;
    struct pen_client_options o = { .kind = PEN_CLIENT_REQ };
    ck_assert_int_eq(pen_client_new(&o, &c), PEN_EINVAL);
    o.address = "tcp://127.0.0.1";
    ck_assert_int_eq(pen_client_new(&o, &c), PEN_EADDRESS);
    o.address = "ipc:///tmp/penstock-nobody";
    o.in_flight_max = 65537;
    ck_assert_int_eq(pen_client_new(&o, &c), PEN_EINVAL);
    o.in_flight_max = 65536;
    o.bytes_max = 64 * 1024 - 1;
    ck_assert_int_eq(pen_client_new(&o, &c), PEN_EINVAL);
    o.bytes_max = 64 * 1024;
    o.framing = PEN_FRAMING_RAW;
    ck_assert_int_eq(pen_client_new(&o, &c), PEN_EINVAL);
    o.framing = PEN_FRAMING_BATCH;
    ck_assert_int_eq(pen_client_new(&o, &c), 0);

    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    struct pen_put put = { .key = key + 1 };
    struct pen_received message;
    ck_assert_int_eq(pen_client_put(c, &put, 1, PEN_NOW, NULL), 0);
    put.key = key;
    ck_assert_int_eq(pen_client_put(c, &put, 1, PEN_NOW, NULL), PEN_EINVAL);
    ck_assert_int_eq(pen_client_put(c, &put, 0, PEN_NOW, NULL), PEN_EINVAL);
    put = (struct pen_put){ .has_priority = true, .priority = 10 };
    ck_assert_int_eq(pen_client_put(c, &put, 1, PEN_NOW, NULL), PEN_EINVAL);
    ck_assert_int_eq(pen_client_receive(c, PEN_NOW, &message), PEN_EINVAL);
    pen_client_close(c, true);
    ck_assert_int_eq(pen_client_put(c, &hello, 1, PEN_NOW, NULL), PEN_ECLOSED);
    ck_assert_int_eq(pen_client_join(c, far_away()), 0);
    pen_client_free(&c);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_close_takes_along_what_was_put)
{
    enum { N = 500 };
    setup(SP_PULL);
    server.want = N;
    start_server();
    struct pen_client *c = client_of((struct pen_client_options){ .kind = PEN_CLIENT_PUSH });
    for (size_t k = 0; k < N; k++)
        ck_assert_int_eq(pen_client_put(c, &hello, 1, far_away(), NULL), 0);
    pen_client_close(c, false);
    ck_assert_int_eq(pen_client_put(c, &hello, 1, PEN_NOW, NULL), PEN_ECLOSED);
    ck_assert_int_eq(pen_client_join(c, far_away()), 0);
    pen_client_free(&c);
    await_all();
    stop_server();
    ck_assert_uint_eq(count_read(&server.records), N);
    teardown();
}
END_TEST

START_TEST(an_immediate_end_tells_everybody)
{
    setup(SP_REP);
    server.answer = ANSWER_NOTHING;
    start_server();
    struct pen_client *c =
        client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ, .in_flight_max = 3 });
    struct pen_future *f[6];
    for (size_t k = 0; k < 6; k++)
        ck_assert_int_eq(pen_client_put(c, &hello, 1, far_away(), &f[k]), 0);
    pen_client_free(&c);
    for (size_t k = 0; k < 6; k++)
        ck_assert_int_eq(outcome(f[k], NULL), PEN_ECLOSED);
    stop_server();
    teardown();
}
END_TEST

/* ---- on a loop of the caller's ---- */

static void on_put_done(struct pen_future *f, void *arg)
{
    struct pen_client *c = arg;
    ck_assert_int_eq(pen_future_error(f), 0);
    pen_future_unref(&f);
    ck_assert_int_eq(pen_client_put(c, &hello, 1, far_away(), NULL), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_client_join(c, far_away()), PEN_EWRONGTHREAD);
    pen_client_close(c, false);
}

static void put_one(struct pen_loop *loop, void *arg, int status)
{
    struct pen_future *f;
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(pen_client_put(arg, &hello, 1, PEN_NOW, &f), 0);
    ck_assert_int_eq(pen_future_get(f, far_away(), NULL), PEN_EWRONGTHREAD);
    ck_assert_int_eq(pen_future_on_done(f, loop, on_put_done, arg), 0);
}

START_TEST(on_a_loop)
{
    struct pen_loop *loop;
    setup(SP_REP);
    start_server();
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    struct pen_client *c =
        client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ, .loop = loop });
    ck_assert_int_eq(pen_loop_call_soon(loop, put_one, c), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(pen_client_join(c, far_away()), 0);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_client_free(&c);
    pen_loop_free(&loop);
    stop_server();
    teardown();
}
END_TEST

START_TEST(freed_with_its_loop_at_rest)
{
    struct pen_loop *loop;
    setup(SP_REP);
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    struct pen_client *c =
        client_of((struct pen_client_options){ .kind = PEN_CLIENT_REQ, .loop = loop });
    struct pen_future *f;
    ck_assert_int_eq(pen_client_put(c, &hello, 1, PEN_NOW, &f), 0);
    pen_client_free(&c);
    pen_loop_free(&loop);
    ck_assert_int_eq(outcome(f, NULL), PEN_ECLOSED);
    teardown();
}
END_TEST

/* ---- receiving ---- */

/* A frame of two results, one of the topic "a" and one of "b", published on the server's loop. */
static void publish(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    (void)arg;
    ck_assert_int_eq(status, 0);
    uint8_t space[256];
    struct batch_attrs attrs = { 0 };
    batch_set(&attrs, STREAM, stream, 5);
    batch_set(&attrs, SEQUENCE, sequence, 10);
    struct batch_head head = { .kind = BATCH_RESULTS, .attrs = &attrs };
    struct batch_writer w;
    ck_assert_int_eq(batch_writer_init(&w, space, sizeof space, &head), 0);
    struct batch_record record = { .body = (const uint8_t *)"hello", .body_bytes = 5 };
    for (const char *topic = "ab"; *topic != '\0'; topic++) {
        struct batch_text text = { topic, 1 };
        batch_set(&record.attrs, TOPIC, topic, text);
        ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    }
    send_frame(&w, NULL);
}

static void publish_when_there(void)
{
    for (struct endpoint_stats s = { 0 }; s.peers == 0;) /* One question after the other. */
        endpoint_stats(server.endpoint, &s);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(server.loop, publish, NULL), 0);
}

START_TEST(received)
{
    static const char *const b[] = { "b", NULL };
    setup(_i == 0 ? SP_PUSH : SP_PUB);
    start_server();
    struct pen_client *c = client_of((struct pen_client_options){
        .kind = _i == 0 ? PEN_CLIENT_PULL : PEN_CLIENT_SUB, .topics = _i == 0 ? NULL : b });
    struct pen_received m;
    ck_assert_int_eq(pen_client_receive(c, PEN_NOW, &m), PEN_EEMPTY);
    publish_when_there();
    for (int k = _i; k < 2; k++) {
        ck_assert_int_eq(pen_client_receive(c, far_away(), &m), 0);
        ck_assert_uint_eq(m.bytes, 5);
        ck_assert_mem_eq(m.body, "hello", 5);
        ck_assert_uint_eq(m.topic_bytes, 1);
        ck_assert_int_eq(m.topic[0], 'a' + k);
        ck_assert_uint_eq(m.stream, 5);
        ck_assert_uint_eq(m.sequence, 10 + (uint64_t)k);
    }
    pen_client_close(c, false);
    ck_assert_int_eq(pen_client_receive(c, far_away(), &m), PEN_ECLOSED);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

struct told {
    struct futex twice;
    int count;
};

static void on_message(struct pen_client *c, const struct pen_received *m, void *arg)
{
    struct told *told = arg;
    ck_assert_uint_eq(m->bytes, 5);
    if (++told->count < 2)
        return;
    ck_assert_int_eq(pen_client_pause(c), 0);
    ck_assert_int_eq(pen_client_resume(c), 0);
    futex_set(&told->twice);
    futex_wake(&told->twice);
}

START_TEST(told_on_the_loop)
{
    struct told told = { .count = 0 };
    setup(SP_PUSH);
    start_server();
    struct pen_client *c = client_of((struct pen_client_options){
        .kind = PEN_CLIENT_PULL, .on_message = on_message, .arg = &told });
    publish_when_there();
    ck_assert(futex_wait(&told.twice, far_away()));
    ck_assert_int_eq(pen_client_pause(c), PEN_EWRONGTHREAD);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

START_TEST(raw_messages_are_handed_on_as_they_are)
{
    setup(SP_PUSH);
    start_server();
    struct pen_client *c =
        client_of((struct pen_client_options){ .kind = PEN_CLIENT_PULL, .framing = PEN_FRAMING_RAW });
    publish_when_there();
    struct pen_received m;
    ck_assert_int_eq(pen_client_receive(c, far_away(), &m), 0);
    ck_assert_mem_eq(m.body, "PEN\1", 4);
    pen_client_free(&c);
    stop_server();
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *t = tcase_create("asking");
    tcase_set_timeout(t, TIME_LIMIT_S);
    suite_add_tcase(suite, t);
    tcase_add_test(t, put_with_receipts);
    tcase_add_loop_test(t, calls, 0, 4);
    tcase_add_test(t, no_answer_in_time);
    tcase_add_test(t, no_server_in_time);
    tcase_add_test(t, the_server_comes_later);
    tcase_add_test(t, many_in_flight);
    tcase_add_test(t, the_bounds);
    tcase_add_test(t, what_is_refused);
    t = tcase_create("ending");
    tcase_set_timeout(t, TIME_LIMIT_S);
    suite_add_tcase(suite, t);
    tcase_add_test(t, a_close_takes_along_what_was_put);
    tcase_add_test(t, an_immediate_end_tells_everybody);
    tcase_add_test(t, on_a_loop);
    tcase_add_test(t, freed_with_its_loop_at_rest);
    t = tcase_create("receiving");
    tcase_set_timeout(t, TIME_LIMIT_S);
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, received, 0, 2);
    tcase_add_test(t, told_on_the_loop);
    tcase_add_test(t, raw_messages_are_handed_on_as_they_are);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
