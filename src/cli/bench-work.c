/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker that does nothing: takes as many jobs as a frame may have, and acknowledges them together with asking for the
 * next. What it has taken counts as sent, what was confirmed as received. The time of a batch is from asking for
 * it to the confirmation.
 *
 * Thread: the client's loop.
 */
#include "cli/bench-client.h"
#include "cli/cli.h"
#include "proto/sp.h"

enum { LEASE_MS = 60000, ATTRIBUTES_MAX_BYTES = 128, SETTLED_BYTES = BATCH_RECORD_BYTES + 32 };

/* Parcels that go out together: an acknowledgement, a request. */
struct parcels {
    size_t n;
    struct parcel_frame at[2];
    struct route routes[2];
};

static struct parcel_frame *add(struct bench_client *c, struct parcels *p, struct slice body)
{
    sp_request_route((uint32_t)(c->requests + p->n) & INT32_MAX, &p->routes[p->n]);
    p->at[p->n] = (struct parcel_frame){ .body = body, .route = &p->routes[p->n] };
    return &p->at[p->n++];
}

/* How many jobs the next request is for. */
static size_t wanted(const struct bench_client *c)
{
    uint64_t left = c->share - count_read(&c->sent);
    return left < c->plan->batch ? (size_t)left : c->plan->batch;
}

static int add_reserve(struct bench_client *c, struct parcels *p)
{
    struct batch_attrs attrs = c->attrs;
    struct batch_writer writer;
    struct slice body;
    uint8_t *to;
    int r = slice_new(BATCH_HEAD_BYTES + ATTRIBUTES_MAX_BYTES, &body, &to);
    if (r < 0)
        return r;
    batch_set(&attrs, LEASE_FOR, lease_ms, LEASE_MS);
    batch_set(&attrs, WAIT, wait_ms, (uint64_t)c->plan->patience.ns / 2000000);
    batch_set(&attrs, COUNT, count, wanted(c));
    struct batch_head head = { .kind = BATCH_RESERVE, .attrs = &attrs };
    r = batch_writer_init(&writer, to, body.bytes, &head);
    body.bytes = (uint32_t)writer.used;
    if (r < 0)
        slice_release(&body);
    else
        (void)add(c, p, body);
    return r;
}

static int add_acks(struct bench_client *c, struct parcels *p, struct batch_reader *jobs)
{
    struct batch_writer writer;
    struct slice body;
    uint8_t *to;
    int r = slice_new(BATCH_HEAD_BYTES + ATTRIBUTES_MAX_BYTES + (size_t)jobs->left * SETTLED_BYTES,
                      &body, &to);
    if (r < 0)
        return r;
    struct batch_head head = { .kind = BATCH_ACK, .attrs = &c->attrs };
    r = batch_writer_init(&writer, to, body.bytes, &head);
    while (r == 0 && batch_reader_next(jobs)) {
        struct batch_record record = { 0 };
        batch_set(&record.attrs, ID, id, jobs->record.attrs.id);
        batch_set(&record.attrs, LEASE, lease, jobs->record.attrs.lease);
        r = batch_writer_add(&writer, &record);
    }
    body.bytes = (uint32_t)writer.used;
    if (r < 0)
        slice_release(&body);
    else
        (void)add(c, p, body);
    return r;
}

/* True when all of it was taken. */
static bool send_all(struct bench_client *c, struct parcels *p) ON_LOOP
{
    size_t taken = endpoint_send(c->endpoint, p->at, p->n);
    c->requests += taken;
    for (size_t i = taken; i < p->n; i++)
        slice_release(&p->at[i].body);
    return taken == p->n;
}

void bench_work_go_on(struct bench_client *c)
{
    struct parcels p = { 0 };
    if (c->over || c->waits_for_jobs || wanted(c) == 0)
        return;
    if (add_reserve(c, &p) < 0) {
        bench_client_stop(c);
        return;
    }
    c->waits_for_jobs = send_all(c, &p);
    c->reserved = pen_now();
}

static void take_jobs(struct bench_client *c, struct batch_reader *jobs) ON_LOOP
{
    struct parcels p = { 0 };
    size_t n = jobs->left;
    c->waits_for_jobs = false;
    if (n == 0 || add_acks(c, &p, jobs) < 0) {
        bench_client_stop(c);
        return;
    }
    count_add(&c->sent, n);
    c->in_hand += n;
    c->since = c->reserved;
    c->reserved = pen_now();
    bool more = wanted(c) > 0 && add_reserve(c, &p) == 0;
    if (send_all(c, &p))
        c->waits_for_jobs = more;
    if (!more)
        bench_client_stop(c);
}

static void take_receipts(struct bench_client *c, struct batch_reader *receipts) ON_LOOP
{
    size_t n = receipts->left < c->in_hand ? receipts->left : c->in_hand;
    while (batch_reader_next(receipts))
        count_add(&c->failed, receipts->record.status != 0);
    c->in_hand -= n;
    count_add(&c->answered, n);
    c->ended = pen_now();
    bench_times_add(&c->latency, mono_since(c->ended, c->since));
    if (c->over)
        bench_client_stop(c);
}

static void take_answer(struct bench_client *c, const struct slice *body) ON_LOOP
{
    struct batch_reader reader;
    bool whole = batch_reader_init(&reader, body->at, body->bytes) == 0;
    if (whole && reader.kind == BATCH_RECEIPTS) {
        take_receipts(c, &reader);
    } else if (whole && reader.kind == BATCH_JOBS) {
        /* What comes after the end goes back when the connection does. */
        if (!c->over)
            take_jobs(c, &reader);
    } else {
        say("the endpoint does not give jobs out");
        count_add(&c->failed, 1);
        c->in_hand = 0;
        bench_client_stop(c);
    }
}

size_t bench_work_on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *client)
{
    (void)endpoint;
    struct bench_client *c = client;
    loop_assert_here(c->loop);
    for (size_t i = 0; i < n; i++) {
        take_answer(c, &frames[i].body);
        slice_release(&frames[i].body);
    }
    bench_work_go_on(c);
    return n;
}
