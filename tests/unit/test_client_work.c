/* SPDX-License-Identifier: Apache-2.0
 *
 * src/client/work.c and settle.c against a worker endpoint of our own: jobs come within the bound, each is settled as it was
 * said, leases are kept alive, and what becomes of jobs when the connection is cut or the client is closed.
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

enum { TIME_LIMIT_S = 60, JOBS_MAX = 5000 };

/* ---- the other end ---- */

/* Set when a count has come as far as wanted. */
struct goal {
    struct count n;
    uint64_t want;
    struct futex reached;
};

static struct desk {
    struct pen_loop *loop;
    struct endpoint *endpoint;
    char folder[32], address[64];
    /* fixed while it runs */
    uint64_t jobs, lease_ms;
    int reserve_error; /* of the first reserve */
    bool lose_leases;
    /* owner: loop */
    uint64_t next, given, most_given;
    int ends[JOBS_MAX + 1];
    char said[1024];
    struct goal reserves, touches, acks, nacks, releases, buries;
} desk;

static void add_to(struct goal *g, uint64_t n)
{
    count_add(&g->n, n);
    if (g->want == 0 || count_read(&g->n) < g->want)
        return;
    futex_set(&g->reached);
    futex_wake(&g->reached);
}

static void await_goal(struct goal *g)
{
    ck_assert(futex_wait(&g->reached, mono_after(clock_mono(), span_s(3600))));
}

static void send_frame(struct batch_writer *w, const struct route *route)
{
    struct slice body;
    ck_assert_int_eq(slice_copy(w->to, w->used, &body), 0);
    struct parcel_frame parcel = { .body = body, .route = route };
    ck_assert_uint_eq(endpoint_send(desk.endpoint, &parcel, 1), 1);
}

static void begin(struct batch_writer *w, enum batch_kind kind, uint32_t tag)
{
    static uint8_t space[256 * 1024];
    struct batch_head head = { .kind = kind, .tag = tag };
    ck_assert_int_eq(batch_writer_init(w, space, sizeof space, &head), 0);
}

static void refuse(const struct batch_reader *r, const struct route *route, int error)
{
    struct batch_writer w;
    struct batch_record record = { .status = error };
    begin(&w, BATCH_ERROR, r->tag);
    ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    send_frame(&w, route);
}

static void add_job(struct batch_writer *w)
{
    uint64_t id = ++desk.next;
    struct batch_record record = { .body = (const uint8_t *)&id, .body_bytes = sizeof id };
    batch_set(&record.attrs, QUEUE, queue, ((struct batch_text){ "jobs", 4 }));
    batch_set(&record.attrs, KEY, key, ((struct batch_text){ "k", 1 }));
    batch_set(&record.attrs, ID, id, id);
    batch_set(&record.attrs, LEASE, lease, id + 1000);
    batch_set(&record.attrs, LEASE_FOR, lease_ms, desk.lease_ms);
    batch_set(&record.attrs, ATTEMPTS, attempts, 1);
    batch_set(&record.attrs, PRIORITY, priority, 4);
    ck_assert_int_eq(batch_writer_add(w, &record), 0);
    desk.given++;
    if (desk.given > desk.most_given)
        desk.most_given = desk.given;
}

static void on_reserve(const struct batch_reader *r, const struct route *route)
{
    struct batch_writer w;
    int error = desk.reserve_error;
    desk.reserve_error = 0;
    add_to(&desk.reserves, 1);
    if (error < 0) {
        refuse(r, route, error);
        return;
    }
    if (desk.next == desk.jobs)
        return; /* It waits. */
    begin(&w, BATCH_JOBS, r->tag);
    for (uint64_t k = 0; k < r->frame.count && desk.next < desk.jobs; k++)
        add_job(&w);
    send_frame(&w, route);
}

static void count_end(const struct batch_reader *r)
{
    const struct batch_attrs *a = &r->record.attrs;
    ck_assert_uint_eq(a->lease, a->id + 1000);
    if (r->kind == BATCH_TOUCH) {
        add_to(&desk.touches, 1);
        return;
    }
    desk.ends[a->id]++;
    desk.given--;
    add_to(r->kind == BATCH_ACK      ? &desk.acks
           : r->kind == BATCH_BURY   ? &desk.buries
           : batch_has(a, UNCHARGED) ? &desk.releases
                                     : &desk.nacks,
           1);
    if (r->record.body_bytes > 0)
        memcpy(desk.said, r->record.body, r->record.body_bytes);
    if (batch_has(a, TEXT))
        memcpy(desk.said, a->text.at, a->text.bytes);
}

static void on_said(struct batch_reader *r, const struct route *route)
{
    struct batch_writer w;
    begin(&w, BATCH_RECEIPTS, r->tag);
    while (batch_reader_next(r)) {
        struct batch_record record = { .status = desk.lose_leases ? PEN_ELEASE : 0 };
        batch_set(&record.attrs, ID, id, r->record.attrs.id);
        count_end(r);
        ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    }
    send_frame(&w, route);
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    (void)arg;
    for (size_t k = 0; k < n; k++) {
        struct batch_reader r;
        ck_assert_int_eq(batch_reader_init(&r, frames[k].body.at, frames[k].body.bytes), 0);
        if (r.kind == BATCH_RESERVE)
            on_reserve(&r, &frames[k].route);
        else
            on_said(&r, &frames[k].route);
        slice_release(&frames[k].body);
    }
    return n;
}

static void open_desk(void)
{
    static const struct endpoint_events events = { .on_frames = on_frames };
    char *listen[] = { desk.address, NULL };
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct endpoint_options options = { .loop = desk.loop,
                                        .events = &events,
                                        .name = "desk",
                                        .pattern = SP_REP,
                                        .listen = listen,
                                        .message_max = 1024 * 1024 };
    ck_assert_int_eq(endpoint_open_native(&options, text, sizeof text, &desk.endpoint), 0);
    endpoint_resume(desk.endpoint);
}

static void setup(uint64_t jobs)
{
    (void)snprintf(desk.folder, sizeof desk.folder, "/tmp/penstock-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(desk.folder));
    (void)snprintf(desk.address, sizeof desk.address, "ipc://%s/socket", desk.folder);
    desk.jobs = jobs;
    desk.lease_ms = desk.lease_ms > 0 ? desk.lease_ms : 60000;
    ck_assert_int_eq(pen_loop_new(NULL, &desk.loop), 0);
    open_desk();
    ck_assert_int_eq(pen_loop_start(desk.loop), 0);
}

static void stop_desk(void)
{
    pen_loop_stop(desk.loop);
    ck_assert_int_eq(pen_loop_join(desk.loop), 0);
}

static void teardown(void)
{
    endpoint_free(&desk.endpoint);
    pen_loop_free(&desk.loop);
    (void)unlink(desk.address + strlen("ipc://"));
    ck_assert_int_eq(rmdir(desk.folder), 0);
}

/* ---- the client ---- */

static pen_mono_t far_away(void)
{
    return mono_after(clock_mono(), span_s(3600));
}

static const struct pen_work_queue queues[] = { { "jobs", 3 }, { "mail", 0 } };

static struct pen_client *client_of(struct pen_client_options o, struct pen_work_options work)
{
    struct pen_client *c;
    work.queues = queues;
    work.queues_count = 2;
    o.kind = PEN_CLIENT_WORK;
    o.address = desk.address;
    o.work = &work;
    ck_assert_int_eq(pen_client_new(&o, &c), 0);
    return c;
}

static struct pen_work *take(struct pen_client *c)
{
    struct pen_work *work;
    ck_assert_int_eq(pen_client_work(c, far_away(), &work), 0);
    return work;
}

static int settle(struct pen_client *c, struct pen_work *work, struct pen_settle how)
{
    struct pen_future *f;
    ck_assert_int_eq(pen_client_settle(c, &work, &how, &f), 0);
    ck_assert_ptr_null(work);
    int r = pen_future_get(f, far_away(), NULL);
    pen_future_unref(&f);
    return r;
}

static struct pen_client_stats stats_of(struct pen_client *c)
{
    struct pen_client_stats stats;
    pen_client_stats(c, &stats);
    return stats;
}

START_TEST(each_is_settled_as_it_was_said)
{
    setup(4);
    struct pen_client *c =
        client_of((struct pen_client_options){ 0 }, (struct pen_work_options){ 0 });
    struct pen_work *work = take(c);
    uint64_t id = 1;
    ck_assert_uint_eq(work->id, 1);
    ck_assert_uint_eq(work->bytes, sizeof id);
    ck_assert_mem_eq(work->body, &id, sizeof id);
    ck_assert_uint_eq(work->queue_bytes, 4);
    ck_assert_mem_eq(work->queue, "jobs", 4);
    ck_assert_uint_eq(work->key_bytes, 1);
    ck_assert_uint_eq(work->attempts, 1);
    ck_assert_uint_eq(work->priority, 4);
    ck_assert(!pen_work_is_lost(work));
    ck_assert_int_eq(settle(c, work, (struct pen_settle){ .result = "42", .bytes = 2 }), 0);
    ck_assert_str_eq(desk.said, "42");
    ck_assert_int_eq(settle(c, take(c),
                            (struct pen_settle){
                                .outcome = PEN_WORK_NACK, .text = "why", .delay = span_ms(9) }),
                     0);
    ck_assert_str_eq(desk.said, "why");
    ck_assert_int_eq(settle(c, take(c), (struct pen_settle){ .outcome = PEN_WORK_RELEASE }), 0);
    ck_assert_int_eq(settle(c, take(c),
                            (struct pen_settle){ .outcome = PEN_WORK_BURY, .text = "bury" }),
                     0);
    ck_assert_str_eq(desk.said, "bury");
    ck_assert_int_eq(pen_client_work(c, PEN_NOW, &work), PEN_EEMPTY);
    struct pen_client_stats stats = stats_of(c);
    ck_assert_uint_eq(stats.jobs, 4);
    ck_assert_uint_eq(stats.settled, 4);
    ck_assert_uint_eq(stats.in_hand, 0);
    pen_client_free(&c);
    stop_desk();
    ck_assert_uint_eq(count_read(&desk.acks.n), 1);
    ck_assert_uint_eq(count_read(&desk.nacks.n), 1);
    ck_assert_uint_eq(count_read(&desk.releases.n), 1);
    ck_assert_uint_eq(count_read(&desk.buries.n), 1);
    teardown();
}
END_TEST

static void ack_at_once(struct pen_client *c, struct pen_work *work, void *arg)
{
    (void)arg;
    ck_assert_int_eq(pen_client_settle(c, &work, NULL, NULL), 0);
}

/* On the loop, each once, and never more in hand than the bound. */
START_TEST(many_jobs_within_the_bound)
{
    static const uint32_t batches[] = { 1, 7, 256 };
    uint32_t batch = batches[_i];
    desk.acks.want = JOBS_MAX;
    setup(JOBS_MAX);
    struct pen_client *c =
        client_of((struct pen_client_options){ .in_flight_max = batch + 1 },
                  (struct pen_work_options){ .batch = batch, .on_job = ack_at_once });
    await_goal(&desk.acks);
    pen_client_free(&c);
    stop_desk();
    for (uint64_t id = 1; id <= JOBS_MAX; id++)
        ck_assert_int_eq(desk.ends[id], 1);
    ck_assert_uint_le(desk.most_given, batch + 1);
    teardown();
}
END_TEST

START_TEST(a_close_gives_back_what_nobody_took)
{
    desk.releases.want = 7;
    setup(8);
    struct pen_client *c = client_of((struct pen_client_options){ .timeout = span_ms(100) },
                                     (struct pen_work_options){ .batch = 8, .wait = span_ms(50) });
    struct pen_work *work = take(c), *none;
    pen_client_close(c, false);
    await_goal(&desk.releases);
    ck_assert_int_eq(pen_client_work(c, far_away(), &none), PEN_ECLOSED);
    ck_assert_int_eq(pen_client_join(c, PEN_NOW), PEN_ETIMEOUT); /* One is in hand. */
    ck_assert_int_eq(settle(c, work, (struct pen_settle){ 0 }), 0);
    ck_assert_int_eq(pen_client_join(c, far_away()), 0);
    pen_client_free(&c);
    stop_desk();
    ck_assert_uint_eq(count_read(&desk.releases.n), 7);
    ck_assert_uint_eq(count_read(&desk.acks.n), 1);
    teardown();
}
END_TEST

START_TEST(an_immediate_end_loses_all)
{
    setup(3);
    struct pen_client *c =
        client_of((struct pen_client_options){ 0 }, (struct pen_work_options){ 0 });
    struct pen_work *settled = take(c), *kept = take(c);
    pen_client_close(c, true);
    ck_assert_int_eq(pen_client_join(c, far_away()), 0);
    ck_assert(pen_work_is_lost(kept));
    ck_assert_int_eq(settle(c, settled, (struct pen_settle){ 0 }), PEN_ECLOSED);
    pen_client_free(&c); /* And what is in hand. */
    stop_desk();
    ck_assert_uint_eq(count_read(&desk.acks.n), 0);
    teardown();
}
END_TEST

/* What was in hand is lost, which is told; then it goes on. */
START_TEST(a_cut_connection)
{
    setup(2);
    struct pen_client *c =
        client_of((struct pen_client_options){ 0 }, (struct pen_work_options){ 0 });
    struct pen_work *work = take(c);
    stop_desk();
    endpoint_free(&desk.endpoint);
    desk.jobs = JOBS_MAX; /* Some may go to a reserve that is forgotten, and are released. */
    open_desk();
    ck_assert_int_eq(pen_loop_start(desk.loop), 0);
    struct pen_work *next = take(c);
    while (next->id < 3) { /* It had come before the cut. */
        ck_assert_int_eq(settle(c, next, (struct pen_settle){ 0 }), PEN_ELEASE);
        next = take(c);
    }
    ck_assert(pen_work_is_lost(work));
    ck_assert_int_eq(settle(c, work, (struct pen_settle){ 0 }), PEN_ELEASE);
    ck_assert(!pen_work_is_lost(next));
    uint64_t id = next->id;
    ck_assert_int_eq(settle(c, next, (struct pen_settle){ 0 }), 0);
    ck_assert_uint_eq(stats_of(c).lost, 2);
    ck_assert_uint_eq(stats_of(c).connects, 2);
    pen_client_free(&c);
    stop_desk();
    ck_assert_int_eq(desk.ends[id], 1);
    teardown();
}
END_TEST

START_TEST(leases_are_kept_alive)
{
    desk.lease_ms = 9;
    desk.touches.want = 5;
    setup(1);
    struct pen_client *c =
        client_of((struct pen_client_options){ 0 }, (struct pen_work_options){ 0 });
    struct pen_work *work = take(c);
    await_goal(&desk.touches);
    ck_assert(!pen_work_is_lost(work));
    ck_assert_int_eq(settle(c, work, (struct pen_settle){ 0 }), 0);
    pen_client_free(&c);
    stop_desk();
    teardown();
}
END_TEST

START_TEST(a_lost_lease_is_told)
{
    desk.lease_ms = 9;
    desk.lose_leases = true;
    desk.touches.want = 1;
    setup(1);
    struct pen_client *c =
        client_of((struct pen_client_options){ 0 }, (struct pen_work_options){ 0 });
    struct pen_work *work = take(c);
    await_goal(&desk.touches);
    ck_assert_int_eq(settle(c, work, (struct pen_settle){ 0 }), PEN_ELEASE);
    ck_assert_uint_eq(stats_of(c).lost, 1);
    ck_assert_uint_eq(stats_of(c).settled, 0);
    pen_client_free(&c);
    stop_desk();
    teardown();
}
END_TEST

/* It asks again, after a pause. */
START_TEST(a_refusal)
{
    desk.reserve_error = PEN_ENOENT;
    setup(1);
    struct pen_client *c = client_of((struct pen_client_options){ .in_flight_max = 1 },
                                     (struct pen_work_options){ .batch = 1 });
    ck_assert_int_eq(settle(c, take(c), (struct pen_settle){ 0 }), 0);
    struct pen_client_stats stats = stats_of(c);
    ck_assert_uint_eq(stats.refused, 1);
    ck_assert_int_eq(stats.refusal, PEN_ENOENT);
    pen_client_free(&c);
    stop_desk();
    teardown();
}
END_TEST

static int new_with(struct pen_client_options o, struct pen_work_options work)
{
    struct pen_client *c;
    o.kind = PEN_CLIENT_WORK;
    o.address = "ipc:///tmp/penstock-nobody";
    o.work = &work;
    int r = pen_client_new(&o, &c);
    if (r == 0)
        pen_client_free(&c);
    return r;
}

START_TEST(the_bounds)
{
    struct pen_work_queue many[17], one = { "jobs", 1000 };
    struct pen_work_options right = { .queues = &one, .queues_count = 1, .batch = 256 };
    struct pen_client_options o = { .in_flight_max = 256 };
    ck_assert_int_eq(new_with(o, right), 0);
    o.in_flight_max = 255;
    ck_assert_int_eq(new_with(o, right), PEN_EINVAL);
    o.in_flight_max = 0;
    right.batch = 257;
    ck_assert_int_eq(new_with(o, right), PEN_EINVAL);
    right.batch = 0;
    one.weight = 1001;
    ck_assert_int_eq(new_with(o, right), PEN_EINVAL);
    one.weight = 0;
    right.lease.ns = 999999;
    ck_assert_int_eq(new_with(o, right), PEN_EINVAL);
    right.lease = span_ms(1);
    right.wait = span_s(15);
    o.timeout = span_s(30);
    ck_assert_int_eq(new_with(o, right), 0);
    right.wait.ns++;
    ck_assert_int_eq(new_with(o, right), PEN_EINVAL);
    right.wait.ns = 0;
    for (size_t k = 0; k < 17; k++)
        many[k] = one;
    right.queues = many;
    right.queues_count = 16;
    ck_assert_int_eq(new_with(o, right), 0);
    right.queues_count = 17;
    ck_assert_int_eq(new_with(o, right), PEN_EINVAL);
}
END_TEST

START_TEST(what_cannot_be_said)
{
    static char text[514];
    setup(1);
    struct pen_client *c = client_of((struct pen_client_options){ .message_max = 4096 },
                                     (struct pen_work_options){ 0 });
    struct pen_work *work = take(c);
    struct pen_put put = { 0 };
    struct pen_received message;
    memset(text, 't', 513);
    struct pen_settle wrong[] = { { .outcome = PEN_WORK_NACK, .text = text },
                                  { .outcome = PEN_WORK_ACK, .text = "why" },
                                  { .outcome = PEN_WORK_BURY, .delay = span_ms(1) },
                                  { .outcome = PEN_WORK_RELEASE, .result = text, .bytes = 1 },
                                  { .outcome = PEN_WORK_BURY + 1 } };
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++)
        ck_assert_int_eq(pen_client_settle(c, &work, &wrong[k], NULL), PEN_EINVAL);
    struct pen_settle large = { .result = text, .bytes = 4097 };
    ck_assert_int_eq(pen_client_settle(c, &work, &large, NULL), PEN_ETOOBIG);
    ck_assert_int_eq(pen_client_put(c, &put, 1, PEN_NOW, NULL), PEN_EINVAL);
    ck_assert_int_eq(pen_client_receive(c, PEN_NOW, &message), PEN_EINVAL);
    wrong[0].text = text + 1;
    ck_assert_int_eq(settle(c, work, wrong[0]), 0);
    pen_client_free(&c);
    stop_desk();
    teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_work");
    TCase *tc = tcase_create("client_work");
    tcase_set_timeout(tc, TIME_LIMIT_S);
    tcase_add_test(tc, each_is_settled_as_it_was_said);
    tcase_add_loop_test(tc, many_jobs_within_the_bound, 0, 3);
    tcase_add_test(tc, a_close_gives_back_what_nobody_took);
    tcase_add_test(tc, an_immediate_end_loses_all);
    tcase_add_test(tc, a_cut_connection);
    tcase_add_test(tc, leases_are_kept_alive);
    tcase_add_test(tc, a_lost_lease_is_told);
    tcase_add_test(tc, a_refusal);
    tcase_add_test(tc, the_bounds);
    tcase_add_test(tc, what_cannot_be_said);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
