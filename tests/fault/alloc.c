/* SPDX-License-Identifier: Apache-2.0
 *
 * No memory: every case is run again and again, with the first allocation failing, then the second, until there are
 * none left to fail; each time once with that one alone, and once with all that come after it. Whatever fails says
 * PEN_ENOMEM, has changed nothing and leaks nothing, and works when it is tried again. What must not fail, because its
 * caller has no way out (taking, settling, dropping, shutting down, flushing), does not allocate.
 *
 * The linker puts our malloc in the place of penstock's (-Wl,--wrap), and jansson and libevent are told to use it;
 * libfyaml and libnanomsg cannot be told. A sanitizer's malloc stays below ours, and says what is lost.
 */
#include <check.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/conf.h"
#include "flow/answer.h"
#include "flow/jobq.h"
#include "flow/outlet.h"
#include "flow/resultlog.h"
#include "loop/io.h"
#include "memory.h"
#include "proto/json.h"
#include "proto/reliable.h"

enum { TIME_LIMIT_S = 120 };

/* ---- the broker ---- */

enum { LOT = 64, JOBS = 9000 /* more than eight slabs */ };

#define NOW ((mono_t){ 1000 })

static void fill_lot(struct job_put *jobs)
{
    static const uint8_t text[8];
    for (size_t i = 0; i < LOT; i++)
        jobs[i] = (struct job_put){ .body = { .at = text, .bytes = 8 } };
}

/* Put a lot; those that were refused are put again. Returns how many were refused. */
static size_t put_lot(struct broker *b)
{
    struct job_put jobs[LOT];
    size_t refusals = 0;
    fill_lot(jobs);
    struct broker_ledger before = *broker_ledger(b);
    ck_assert_int_eq(TRY(broker_put(b, jobs, LOT, NOW)), LOT);
    for (size_t i = 0; i < LOT; i++) {
        if (jobs[i].ret_status == 0)
            continue;
        expect_refusal(jobs[i].ret_status);
        refusals++;
    }
    const struct broker_ledger *after = broker_ledger(b);
    ck_assert(broker_ledger_holds(b));
    ck_assert_uint_eq(after->refused, before.refused + refusals);
    ck_assert_uint_eq(after->accepted, before.accepted + LOT - refusals);
    for (size_t i = 0; i < refusals; i++) {
        struct job_put again = jobs[0];
        ck_assert_int_eq(broker_put(b, &again, 1, NOW), 1);
        ck_assert_int_eq(again.ret_status, 0);
    }
    return refusals;
}

static void settle_all(struct broker *b)
{
    struct job jobs[LOT];
    struct job_settle ends[LOT];
    struct job_take how = { .max = LOT };
    size_t n = 0, settled;
    for (;;) {
        NEVER_ALLOCATES(n = (size_t)broker_take(b, &how, jobs, NOW));
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++)
            ends[i] = (struct job_settle){ .id = jobs[i].id, .index = jobs[i].index };
        int r = 77;
        NEVER_ALLOCATES(r = broker_settle(b, ends, n, NOW, &settled));
        ck_assert_int_eq(r, 0);
    }
}

static struct broker *make_broker(uint32_t items_max, enum broker_policy policy)
{
    struct broker_options options = { .limits = { .items_max = items_max, .policy = policy } };
    struct broker *b = NULL;
    int r = TRY(broker_new(&options, &b));
    if (r < 0) {
        ck_assert_ptr_null(b);
        expect_refusal(r);
        ck_assert_int_eq(broker_new(&options, &b), 0);
    }
    return b;
}

static void run_broker(void)
{
    struct broker *b = make_broker(1 << 20, BROKER_BLOCK);
    for (size_t put = 0; put < JOBS; put += LOT)
        (void)put_lot(b);
    settle_all(b);
    ck_assert(broker_is_idle(b));
    ck_assert_uint_eq(broker_ledger(b)->done, broker_ledger(b)->accepted);
    broker_free(&b);
}

/* A full queue whose records are all in use: the newcomer needs one more before the oldest is dropped for it. */
static void run_drop_oldest(void)
{
    enum { FULL = 1024 };
    struct broker *b = make_broker(FULL, BROKER_DROP_OLDEST);
    for (size_t put = 0; put < FULL; put += LOT)
        (void)put_lot(b);
    ck_assert_uint_eq(broker_ledger(b)->ready, FULL);
    struct job_put job = { .ret_status = 77 };
    ck_assert_int_eq(TRY(broker_put(b, &job, 1, NOW)), 1);
    bool dropped = job.ret_status == 0;
    if (!dropped)
        expect_refusal(job.ret_status);
    ck_assert_uint_eq(broker_ledger(b)->ready, FULL);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_OLDEST], dropped);
    uint64_t purged = 0;
    NEVER_ALLOCATES(purged = broker_purge(b));
    ck_assert_uint_eq(purged, FULL);
    struct broker_drops drops = broker_take_drops(b);
    ck_assert_uint_eq(drops.count, FULL + dropped);
    size_t n = 1;
    for (struct job_dropped reaped[LOT]; n > 0;)
        NEVER_ALLOCATES(n = broker_reap(b, &drops, reaped, LOT));
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}

/* ---- the job queue ---- */

static struct turns {
    struct post post;
    int left;
} turns;

static void count_turn(struct pen_loop *loop, void *arg, int status)
{
    (void)arg;
    check(status == 0); /* Check's own assertions allocate. */
    if (--turns.left == 0)
        pen_loop_stop(loop);
    else
        (void)loop_post(loop, &turns.post);
}

/* Run a loop for some turns, in which nothing may be allocated. */
static void run_turns(struct pen_loop *loop)
{
    int r = 77;
    post_init(&turns.post, count_turn, NULL);
    turns.left = 12;
    (void)loop_post(loop, &turns.post);
    NEVER_ALLOCATES(r = pen_loop_run(loop));
    ck_assert_int_eq(r, 0);
}

static struct pen_loop *make_loop(void)
{
    struct pen_loop *loop = NULL;
    int r = TRY(pen_loop_new(NULL, &loop));
    if (r < 0) {
        ck_assert_ptr_null(loop);
        expect_refusal(r);
        ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    }
    return loop;
}

static size_t taken;

static void on_jobs(struct jobq_getter *getter, const struct job *jobs, size_t n, void *arg)
{
    struct job_settle ends[LOT];
    (void)getter;
    for (size_t i = 0; i < n; i++)
        ends[i] = (struct job_settle){ .id = jobs[i].id, .index = jobs[i].index };
    check(jobq_settle(arg, ends, n, NULL) == 0);
    taken += n;
}

static void on_end(struct jobq_getter *getter, void *arg)
{
    (void)getter;
    (void)arg;
}

static void on_putter_room(struct jobq_putter *putter, void *arg)
{
    (void)putter;
    (void)arg;
}

static struct jobq *make_jobq(void)
{
    struct jobq_options options = { .name = "jobs", .limits = { .items_max = 1500 } };
    struct jobq *q = NULL;
    int r = TRY(jobq_new(&options, &q));
    if (r < 0) {
        ck_assert_ptr_null(q);
        expect_refusal(r);
        ck_assert_int_eq(jobq_new(&options, &q), 0);
    }
    return q;
}

static struct jobq_getter *attach_getter(struct jobq *q, struct pen_loop *loop)
{
    struct jobq_getter_options options = { .on_jobs = on_jobs, .on_shutdown = on_end, .arg = q };
    struct jobq_getter *getter = NULL;
    int r = TRY(jobq_attach(q, loop, &options, &getter));
    if (r < 0) {
        ck_assert_ptr_null(getter);
        expect_refusal(r);
        ck_assert_int_eq(jobq_attach(q, loop, &options, &getter), 0);
    }
    return getter;
}

static struct jobq_putter *attach_putter(struct jobq *q, struct pen_loop *loop)
{
    struct jobq_putter_options options = { .on_room = on_putter_room };
    struct jobq_putter *putter = NULL;
    int r = TRY(jobq_attach_putter(q, loop, &options, &putter));
    if (r < 0) {
        ck_assert_ptr_null(putter);
        expect_refusal(r);
        ck_assert_int_eq(jobq_attach_putter(q, loop, &options, &putter), 0);
    }
    return putter;
}

static uint64_t put_through(struct jobq *q, struct jobq_putter *putter)
{
    struct job_put jobs[LOT];
    uint64_t accepted = 0;
    fill_lot(jobs);
    for (size_t lots = 0; lots < 20; lots++) {
        ck_assert_int_eq(TRY(jobq_putter_put(putter, jobs, LOT)), LOT);
        for (size_t i = 0; i < LOT; i++) {
            accepted += jobs[i].ret_status == 0;
            if (jobs[i].ret_status < 0)
                expect_refusal(jobs[i].ret_status);
        }
    }
    struct jobq_stats s;
    NEVER_ALLOCATES(jobq_stats(q, &s));
    ck_assert(s.ledger_holds);
    ck_assert_uint_eq(s.ledger.ready, accepted);
    ck_assert_uint_eq(s.putters_waiting, 0);
    return accepted;
}

static void run_jobq(void)
{
    struct pen_loop *loop = make_loop();
    struct jobq *q = make_jobq();
    struct jobq_getter *getter = attach_getter(q, loop);
    struct jobq_putter *putter = attach_putter(q, loop);
    uint64_t accepted = put_through(q, putter);
    taken = 0;
    NEVER_ALLOCATES(jobq_getter_want(getter, LOT));
    run_turns(loop);
    ck_assert_uint_eq(taken, LOT);
    NEVER_ALLOCATES(jobq_pause(q));
    NEVER_ALLOCATES(jobq_resume(q));
    uint64_t purged = 0;
    NEVER_ALLOCATES(purged = jobq_purge(q));
    ck_assert_uint_eq(purged, accepted - LOT);
    NEVER_ALLOCATES(jobq_shutdown(q, PEN_SHUTDOWN_IMMEDIATE));
    NEVER_ALLOCATES(jobq_getter_close(&getter));
    NEVER_ALLOCATES(jobq_putter_close(&putter));
    run_turns(loop);
    jobq_free(&q);
    pen_loop_free(&loop);
}

/* ---- the outlet ---- */

struct endpoint {
    size_t count;
    uint8_t numbers[1024];
};

/* In place of net/endpoint.c. */
size_t endpoint_send(struct endpoint *e, struct parcel_frame *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        e->numbers[e->count++] = frames[i].body.at[0];
        slice_release(&frames[i].body);
    }
    return n;
}

void endpoint_cork(struct endpoint *e)
{
    (void)e;
}

void endpoint_uncork(struct endpoint *e)
{
    (void)e;
}

static void on_drained(void *arg)
{
    (*(int *)arg)++;
}

static void on_sink_room(void *arg)
{
    (void)arg;
}

static struct outlet *make_outlet(struct pen_loop *loop, int *drained)
{
    struct outlet_options options = { .bytes_max = 1 << 20, .on_drained = on_drained, .arg = drained };
    struct outlet *o = NULL;
    int r = TRY(outlet_new(&options, loop, &o));
    if (r < 0) {
        ck_assert_ptr_null(o);
        expect_refusal(r);
        ck_assert_int_eq(outlet_new(&options, loop, &o), 0);
    }
    return o;
}

static struct sink *make_sink(struct outlet *o, struct pen_loop *loop)
{
    struct sink *s = NULL;
    int r = TRY(sink_new(o, loop, on_sink_room, NULL, &s));
    if (r < 0) {
        ck_assert_ptr_null(s);
        expect_refusal(r);
        ck_assert_int_eq(sink_new(o, loop, on_sink_room, NULL, &s), 0);
    }
    return s;
}

static void add_result(struct sink *s, uint8_t number)
{
    struct outlet_item item = { .route = NULL };
    ck_assert_int_eq(slice_copy(&number, 1, &item.body), 0);
    int r = TRY(sink_add(s, &item));
    if (r == 0)
        return;
    expect_refusal(r);
    ck_assert_uint_eq(item.body.at[0], number); /* Still ours. */
    ck_assert_int_eq(sink_add(s, &item), 0);
}

/* An answer that finds no memory is lost, and counted. */
static bool answer(struct outlet *o, uint8_t number)
{
    struct route route = { .bytes = 4 };
    struct slice body;
    struct outlet_stats before, after;
    ck_assert_int_eq(slice_copy(&number, 1, &body), 0);
    outlet_stats(o, &before);
    (void)TRY((outlet_answer(o, &route, body), 0));
    outlet_stats(o, &after);
    bool lost = after.lost > before.lost;
    ck_assert_uint_le(after.lost, before.lost + 1);
    ck_assert(!lost || memory.failed);
    if (lost)
        memory.fail_at = 0;
    return !lost;
}

static void run_outlet(void)
{
    enum { RESULTS = 150, ANSWERS = 3 };
    struct pen_loop *loop = make_loop();
    struct endpoint endpoint = { .count = 0 };
    int drained = 0;
    struct outlet *o = make_outlet(loop, &drained);
    outlet_set_endpoint(o, &endpoint);
    struct sink *s = make_sink(o, loop);
    for (uint8_t i = 0; i < RESULTS; i++)
        add_result(s, i);
    bool all = false;
    NEVER_ALLOCATES(all = sink_flush(s));
    ck_assert(all);
    size_t answered = 0;
    for (uint8_t i = 0; i < ANSWERS; i++)
        answered += answer(o, 200);
    NEVER_ALLOCATES(outlet_close(o, false));
    run_turns(loop);
    ck_assert_int_eq(drained, 1);
    ck_assert_uint_eq(endpoint.count, RESULTS + answered);
    for (uint8_t i = 0; i < RESULTS; i++)
        ck_assert_uint_eq(endpoint.numbers[i], i);
    sink_close(&s);
    outlet_free(&o);
    pen_loop_free(&loop);
}

/* ---- the library's queue ---- */

static int64_t rank_of(const void *ptr, void *arg)
{
    (void)arg;
    return (int64_t)(size_t)ptr;
}

static void on_items(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    (void)getter;
    (void)items;
    (void)arg;
    taken += n;
}

static void on_queue_room(struct pen_putter *putter, void *arg)
{
    (void)putter;
    (void)arg;
}

static enum pen_queue_kind kind;

static struct pen_queue *make_queue(void)
{
    struct pen_queue_options options = { .kind = kind, .items_max = 4, .rank = rank_of };
    struct pen_queue *q = NULL;
    int r = TRY(pen_queue_new(&options, &q));
    if (r < 0) {
        ck_assert_ptr_null(q);
        expect_refusal(r);
        ck_assert_int_eq(pen_queue_new(&options, &q), 0);
    }
    return q;
}

/* Put 1 to n; then it is full. */
static void fill_queue(struct pen_queue *q, size_t from, size_t to)
{
    int r = 77;
    for (size_t i = from; i <= to; i++) {
        NEVER_ALLOCATES(r = pen_queue_put(q, (void *)i, 1, PEN_NOW));
        ck_assert_int_eq(r, 0);
    }
    NEVER_ALLOCATES(r = pen_queue_put(q, (void *)99, 1, PEN_NOW));
    ck_assert_int_eq(r, PEN_EFULL);
}

static void run_queue(void)
{
    struct pen_queue *q = make_queue();
    fill_queue(q, 1, 4);
    int r = TRY(pen_queue_resize(q, 4096, 0));
    if (r < 0) {
        expect_refusal(r);
        ck_assert_int_eq(pen_queue_put(q, (void *)99, 1, PEN_NOW), PEN_EFULL); /* The old bound. */
        ck_assert_int_eq(pen_queue_resize(q, 4096, 0), 0);
    }
    fill_queue(q, 5, 4096);
    size_t sum = 0;
    for (size_t i = 1; i <= 4096; i++) {
        struct pen_item item;
        NEVER_ALLOCATES(r = pen_queue_get(q, &item, PEN_NOW));
        ck_assert_int_eq(r, 0);
        sum += (size_t)item.ptr;
    }
    ck_assert_uint_eq(sum, 4096 * 4097 / 2);
    pen_queue_free(&q);
}

static void run_attachments(void)
{
    struct pen_loop *loop = make_loop();
    struct pen_queue *q = make_queue();
    struct pen_getter_options get = { .on_items = on_items };
    struct pen_putter_options put = { .on_room = on_queue_room };
    struct pen_getter *getter = NULL;
    struct pen_putter *putter = NULL;
    int r = TRY(pen_queue_attach(q, loop, &get, &getter));
    if (r < 0) {
        ck_assert_ptr_null(getter);
        expect_refusal(r);
        ck_assert_int_eq(pen_queue_attach(q, loop, &get, &getter), 0);
    }
    r = TRY(pen_queue_attach_putter(q, loop, &put, &putter));
    if (r < 0) {
        ck_assert_ptr_null(putter);
        expect_refusal(r);
        ck_assert_int_eq(pen_queue_attach_putter(q, loop, &put, &putter), 0);
    }
    taken = 0;
    struct pen_item items[8];
    for (size_t i = 0; i < 8; i++)
        items[i] = (struct pen_item){ (void *)(i + 1), 1 };
    NEVER_ALLOCATES(r = pen_putter_put(putter, items, 8));
    ck_assert_int_eq(r, 4);
    run_turns(loop);
    ck_assert_uint_eq(taken, 4);
    NEVER_ALLOCATES(pen_queue_shutdown(q, PEN_SHUTDOWN_IMMEDIATE));
    NEVER_ALLOCATES(pen_getter_close(&getter));
    NEVER_ALLOCATES(pen_putter_close(&putter));
    run_turns(loop);
    pen_queue_free(&q);
    pen_loop_free(&loop);
}

/* ---- the loop ---- */

static void count_call(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    check(status == 0);
    (*(size_t *)arg)++;
}

/* Calls and timers that were refused do not come; the others do. */
static void run_loop(void)
{
    enum { CALLS = 20 };
    struct pen_loop *loop = make_loop();
    struct pen_timer timers[CALLS] = { 0 };
    size_t came = 0, expected = 0;
    for (size_t i = 0; i < CALLS; i++) {
        int r = TRY(i % 2 == 0 ? pen_loop_call_soon(loop, count_call, &came)
                               : pen_loop_call_soon_threadsafe(loop, count_call, &came));
        expected += r == 0;
        if (r < 0)
            expect_refusal(r);
        r = TRY(pen_loop_call_at(loop, &timers[i], PEN_NOW, count_call, &came));
        expected += r == 0;
        if (r < 0)
            expect_refusal(r);
    }
    run_turns(loop);
    ck_assert_uint_eq(came, expected);
    ck_assert_uint_ge(came, 2 * CALLS - 1);
    pen_loop_free(&loop);
}

/* ---- answers ---- */

static const struct slice payload = { .at = (const uint8_t *)"pay\"load", .bytes = 8 };

static int make_answer(size_t which, struct slice *ret_slice)
{
    struct slice head;
    switch (which) {
    case 0:
        return answer_receipt(FRAMING_RAW, 17, "memory", ret_slice);
    case 1:
        return answer_failure((struct answer_form){ .framing = FRAMING_RAW }, PEN_EFULL, NULL,
                              ret_slice);
    case 2:
        return answer_receipt(FRAMING_JSON, 17, "memory", ret_slice);
    case 3:
        return answer_failure((struct answer_form){ .framing = FRAMING_JSON }, PEN_EFULL, NULL,
                              ret_slice);
    case 4:
        return answer_result((struct answer_form){ .framing = FRAMING_JSON }, 17, payload, &head,
                             ret_slice);
    default:
        return json_message_encode(&(struct json_message){ "topic", 17, payload, 42 }, ret_slice);
    }
}

static void run_answers(void)
{
    for (size_t i = 0; i < 6; i++) {
        struct slice s = { .bytes = 77 };
        int r = TRY(make_answer(i, &s));
        if (r < 0) {
            ck_assert_uint_eq(s.bytes, 77);
            expect_refusal(r);
            ck_assert_int_eq(make_answer(i, &s), 0);
        }
        slice_release(&s);
    }
}

static void run_decode(void)
{
    static const char *const texts[] = {
        "{\"op\":\"put\",\"queue\":\"jobs\",\"body\":\"text\",\"key\":\"k\"}",
        "{\"op\":\"put\",\"body64\":\"/wAB\"}"
    };
    for (size_t i = 0; i < 2; i++) {
        struct json_put put;
        char text[256];
        size_t bytes = strlen(texts[i]);
        int r = TRY(json_put_decode(texts[i], bytes, &put, text, sizeof text));
        if (r < 0) {
            expect_refusal(r == PEN_EPROTO ? PEN_ENOMEM
                                           : r); /* Of some, jansson says "invalid token". */
            ck_assert_int_eq(json_put_decode(texts[i], bytes, &put, text, sizeof text), 0);
        }
        json_put_fini(&put);
    }
}

/* ---- results without a gap ---- */

/* What cannot be kept is forgotten with all before it, and never makes a hole. */
static void run_resultlog(void)
{
    struct resultlog log;
    struct slice body = { .at = (const uint8_t *)"result", .bytes = 6 };
    resultlog_init(&log, 1000, 1 << 20, span_s(1));
    for (uint64_t i = 1; i <= 100; i++) {
        ARMED(resultlog_add(&log, (struct slice){ 0 }, body, 1, NOW));
        ck_assert_uint_eq(resultlog_next(&log), i + 1);
        if (resultlog_find(&log, i) != NULL)
            continue;
        expect_refusal(PEN_ENOMEM);
        ck_assert_uint_eq(resultlog_oldest(&log), i + 1);
        ck_assert_uint_eq(log.bytes, 0);
    }
    resultlog_fini(&log);
}

static uint64_t handed_over, asked_from;

static void on_result(uint64_t stream, const struct published_result *result, void *arg)
{
    (void)stream;
    (void)arg;
    check(result->sequence == ++handed_over); /* Check itself would allocate. */
}

static void on_ask(const struct replay_request *request, void *arg)
{
    (void)arg;
    asked_from = request->from;
}

#define RESULT(seq) \
    "{\"topic\":\"t\",\"id\":1,\"body64\":\"/w==\",\"seq\":" seq ",\"stream\":\"000000000000002a\"}"
#define ANSWER(from, results) \
    "{\"ok\":true,\"stream\":\"000000000000002a\",\"from\":" from ",\"until\":4,\"oldest\":1," \
    "\"next\":4,\"results\":[" results "]}"

static int give(struct reliable *r, const char *text)
{
    char why[LIMIT_ERROR_TEXT_BYTES];
    struct slice message = { .at = (const uint8_t *)text, .bytes = strlen(text) };
    return reliable_take(r, &message, NOW, why, sizeof why);
}

/* A result that could not be read is not passed over: it is asked for. */
static void run_reliable(void)
{
    static const struct reliable_events events = { .on_result = on_result, .on_ask = on_ask };
    static const char *const published[] = { RESULT("1"), RESULT("2"), RESULT("3") };
    static const char *const answers[] = { NULL,
                                           ANSWER("1", RESULT("1") "," RESULT("2") "," RESULT("3")),
                                           ANSWER("2", RESULT("2") "," RESULT("3")),
                                           ANSWER("3", RESULT("3")) };
    struct reliable_options options = { .events = &events, .stream = 42, .from = 1 };
    static struct reliable r;
    handed_over = 0;
    reliable_init(&r, &options, NOW);
    for (size_t i = 0; i < 3; i++)
        if (TRY(give(&r, published[i])) < 0)
            expect_refusal(PEN_ENOMEM);
    while (handed_over < 3) {
        ck_assert_uint_eq(asked_from, 1);
        ck_assert_int_eq(give(&r, answers[handed_over + 1]), 0);
    }
    reliable_fini(&r);
}

/* ---- configurations ---- */

static const char *const examples[] = { "answers.yaml", "squares.yaml", "stanzas.yaml" };
static const char *example;

static void run_conf(void)
{
    const char *top = getenv("top_srcdir");
    char folder[4096], path[sizeof folder + 32];
    struct conf *conf = NULL;
    int n = snprintf(folder, sizeof folder, "%s/examples", top != NULL ? top : ".");
    ck_assert_int_lt(n, (int)sizeof folder);
    ck_assert_int_eq(setenv("PENSTOCK_EXAMPLES", folder, 1), 0); /* Where its programs are. */
    (void)snprintf(path, sizeof path, "%s/%s", folder, example);
    FILE *errors = fopen("/dev/null", "w");
    ck_assert_ptr_nonnull(errors);
    int r = TRY(conf_load(path, errors, &conf));
    if (r < 0) {
        ck_assert_ptr_null(conf);
        expect_refusal(r);
        ck_assert_int_eq(conf_load(path, errors, &conf), 0);
    }
    ck_assert_uint_ge(conf->queues_count, 1);
    conf_free(&conf);
    ck_assert_int_eq(fclose(errors), 0);
}

/* ---- all of it ---- */

static void say_nothing(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

static void (*const cases[])(void) = { run_broker,      run_drop_oldest, run_jobq,    run_outlet,
                                       run_attachments, run_loop,        run_answers, run_decode,
                                       run_resultlog,   run_reliable };

START_TEST(each_case)
{
    for_every_failure(cases[_i / 2], _i % 2 == 1);
}
END_TEST

START_TEST(each_kind_of_queue)
{
    kind = (enum pen_queue_kind)(_i / 2);
    for_every_failure(run_queue, _i % 2 == 1);
}
END_TEST

START_TEST(each_example)
{
    example = examples[_i / 2];
    for_every_failure(run_conf, _i % 2 == 1);
}
END_TEST

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    event_set_log_callback(say_nothing);
    event_set_mem_functions(__wrap_malloc, __wrap_realloc, free);
    Suite *s = suite_create("no memory");
    TCase *c = tcase_create("no memory");
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_loop_test(c, each_case, 0, 2 * sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(c, each_kind_of_queue, 0, 6);
    tcase_add_loop_test(c, each_example, 0, 2 * sizeof examples / sizeof examples[0]);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
