/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames become puts in runs: as many as decode, one lock hold. A frame that does not decode ends a run, is answered and
 * counted, and the next run begins behind it; so a frame that the queue leaves to us is exactly one that the endpoint
 * keeps.
 *
 * In batch framing the records of one frame become puts in runs. What the queue leaves to us of a run stays in puts, and the
 * endpoint keeps the frame until its last record is decided.
 *
 * Thread: the producer's loop.
 */
#include "flow/producer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/answer.h"
#include "flow/pattern.h"
#include "flow/promises.h"
#include "flow/unpack.h"
#include "obs/log.h"
#include "proto/json.h"

enum { LOG_BURST = 10 }; /* lines a second */

struct producer {
    /* fixed after init */
    struct part part;
    char name[LIMIT_NAME_BYTES + 8]; /* "intake", "intake/1" */
    const struct conf_producer *conf;
    struct unpack_options unpacking;
    struct outlet *replies; /* NULL unless reply: result */
    struct jobq *queue;
    struct promises *receipts; /* NULL unless they have to wait until messages are kept */
    span_t block_timeout;      /* 0: what waits for room waits as long as it takes */
    /* owner: loop */
    struct endpoint *endpoint;
    struct jobq_putter *putter;
    struct job_put puts[LIMIT_BATCH_ITEMS];
    bool finishing, stopping;
    bool in_line;          /* a put was short: the putter waits for its turn */
    bool impatient;        /* what the endpoint keeps has waited for block_timeout */
    struct pen_timer wait; /* armed while the endpoint keeps something and there is a block_timeout */
    struct unpack unpack;   /* batch framing: the frame in hand */
    size_t run_at, run_end; /* which of its puts are still to be decided */
    int run_error;          /* what the record behind them is refused with */
    struct log_limit limit;
    /* atomic: counters of the loop */
    struct count accepted, refused, malformed, paused;
};

static bool answers(const struct producer *p)
{
    return p->conf->pattern == PATTERN_REP || p->conf->pattern == PATTERN_RESPONDENT;
}

/* Send one answer on our own loop; an endpoint that answers always takes it. */
static void send_answer(struct producer *p, const struct route *route, int made, struct slice body)
    ON_LOOP
{
    if (made < 0) {
        log_error(p->part.subject, "an answer could not be made: %s", pen_strerror(made));
        return;
    }
    struct parcel_frame frame = { .body = body, .route = route };
    if (endpoint_send(p->endpoint, &frame, 1) == 0)
        slice_release(&body);
}

/* Of a durable queue only when what it says is true. */
static void send_receipt(struct producer *p, const struct route *route, int made, struct slice body)
    ON_LOOP
{
    if (p->receipts == NULL || made < 0)
        send_answer(p, route, made, body);
    else
        promises_add(p->receipts, route, body, p->unpack.reader.tag);
}

static void tell_receipt(struct producer *p, const struct route *route, uint64_t id) ON_LOOP
{
    struct slice body = { 0 };
    int r = answer_receipt(p->conf->framing, id, jobq_level_word(p->queue), &body);
    send_receipt(p, route, r, body);
}

static void tell_failure_of(struct producer *p, const struct route *route, uint32_t tag, int error,
                            const char *text) ON_LOOP
{
    if (!answers(p))
        return;
    struct slice body = { 0 };
    struct answer_form form = { p->conf->framing, tag };
    int r = answer_failure(form, error, text, &body);
    send_answer(p, route, r, body);
}

static void tell_failure(struct producer *p, const struct route *route, int error, const char *text)
    ON_LOOP
{
    tell_failure_of(p, route, p->unpack.reader.tag, error, text);
}

static void on_receipt_kept(void *arg, const struct route *route, struct slice body)
{
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    send_answer(p, route, 0, body);
}

static void on_receipt_broken(void *arg, const struct route *route, uint64_t tag, int error)
{
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    tell_failure_of(p, route, (uint32_t)tag, error, NULL);
}

/* ---- decoding ---- */

/* The attributes of a frame that are more than its payload; *ret_ext stays NULL when there are none. */
static int make_ext(struct producer *p, const struct frame *f, char *key, struct job_ext **ret_ext)
{
    bool wants_result = p->replies != NULL;
    *ret_ext = NULL;
    if (!wants_result && key == NULL)
        return 0;
    struct job_ext *e = calloc(1, sizeof *e);
    if (e == NULL)
        return PEN_ENOMEM;
    e->key = key;
    if (wants_result) {
        e->origin = p->replies;
        e->route = f->route;
    }
    *ret_ext = e;
    return 0;
}

static int decode_json(struct producer *p, const struct frame *f, struct job_put *ret_put,
                       char *text, size_t size)
{
    struct json_put j;
    int r = json_put_decode(f->body.at, f->body.bytes, &j, text, size);
    if (r < 0)
        return r;
    if (j.queue != NULL && strcmp(j.queue, p->conf->queue) != 0) {
        (void)snprintf(text, size, "this endpoint feeds queue %s, not %.63s", p->conf->queue,
                       j.queue);
        r = PEN_ENOENT;
    }
    if (r == 0)
        r = make_ext(p, f, j.key, &ret_put->ext);
    if (r == 0) {
        ret_put->body = j.body; /* Moved out, with the key. */
        j.body = (struct slice){ 0 };
        j.key = NULL;
    }
    json_put_fini(&j);
    return r;
}

/* A frame as a put. Raw: the put borrows the frame's slice until the queue has decided. */
static int decode(struct producer *p, const struct frame *f, struct job_put *ret_put, char *text,
                  size_t size)
{
    *ret_put = (struct job_put){ 0 };
    text[0] = '\0';
    if (p->conf->framing == FRAMING_JSON)
        return decode_json(p, f, ret_put, text, size);
    ret_put->body = f->body;
    return make_ext(p, f, NULL, &ret_put->ext);
}

/* What decode() made and nobody took. */
static void undo(struct producer *p, struct job_put *put)
{
    if (p->conf->framing == FRAMING_JSON)
        slice_release(&put->body);
    job_ext_free(put->ext);
}

/* ---- putting ---- */

/* The queue has decided on this one. */
static void decided(struct producer *p, struct frame *f, struct job_put *put) ON_LOOP
{
    bool json = p->conf->framing == FRAMING_JSON;
    if (put->ret_status == 0) {
        count_add(&p->accepted, 1);
        if (answers(p) && p->replies == NULL)
            tell_receipt(p, &f->route, put->ret_id);
        if (json)
            slice_release(&f->body);
        return;
    }
    count_add(&p->refused, 1);
    tell_failure(p, &f->route, put->ret_status, NULL);
    undo(p, put);
    slice_release(&f->body);
}

static void malformed(struct producer *p, struct frame *f, int error, const char *text) ON_LOOP
{
    count_add(&p->malformed, 1);
    tell_failure(p, &f->route, error, text);
    log_limited(&p->limit, LOG_BURST, p->part.subject, "malformed message of %zu bytes: %s",
                f->body.bytes, text[0] != '\0' ? text : pen_strerror(error));
    slice_release(&f->body);
}

/* Put as many of n as there is room for; how many are decided. All are when the queue has ended under us, in a drain that
 * became immediate, and when they have waited for long enough: then the place in line is given up. */
static size_t put_some(struct producer *p, struct job_put *puts, size_t n) ON_LOOP
{
    int r = jobq_putter_put(p->putter, puts, n);
    size_t put = r < 0 ? 0 : (size_t)r;
    if (put == n || (r >= 0 && !p->impatient))
        return put;
    for (size_t k = put; k < n; k++)
        puts[k].ret_status = r < 0 ? PEN_EDRAINING : PEN_EFULL;
    if (r >= 0)
        (void)BUG(jobq_putter_put(p->putter, NULL, 0) > 0);
    return n;
}

/* Put one run; returns how many frames are decided. */
static size_t put_run(struct producer *p, struct frame *frames, size_t n) ON_LOOP
{
    if (n == 0 && !p->in_line)
        return 0;
    size_t done = put_some(p, p->puts, n); /* Also to give a turn back, of which nothing came. */
    p->in_line = done < n;
    for (size_t k = 0; k < done; k++)
        decided(p, &frames[k], &p->puts[k]);
    for (size_t k = done; k < n; k++)
        undo(p, &p->puts[k]);
    return done;
}

/* Decode a run of frames and put it. *ret_short: the queue is full and the rest must be kept. */
static size_t take_run(struct producer *p, struct frame *frames, size_t n, bool *ret_short) ON_LOOP
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    int error = 0;
    size_t run = 0;
    while (run < n && run < LIMIT_BATCH_ITEMS) {
        error = decode(p, &frames[run], &p->puts[run], text, sizeof text);
        if (error < 0)
            break;
        run++;
    }
    size_t taken = put_run(p, frames, run);
    *ret_short = taken < run;
    if (taken == run && error < 0) {
        malformed(p, &frames[taken], error, text);
        taken++;
    }
    return taken;
}

/* ---- batch framing ---- */

/* The next record in order was decided. A request for a result is told of its failure alone. */
static void record_ended(struct producer *p, const struct route *route, int status, uint64_t id)
    ON_LOOP
{
    count_add(status == 0 ? &p->accepted : &p->refused, 1);
    unpack_receipt(&p->unpack, status, id);
    if (status < 0 && p->replies != NULL)
        tell_failure(p, route, status, NULL);
}

static void drop_put(struct job_put *put)
{
    slice_release(&put->body);
    job_ext_free(put->ext);
}

/* Who waits for the result: of the one record that there is. */
static void add_origin(struct producer *p, const struct frame *f) ON_LOOP
{
    struct job_put *put = p->puts;
    if (put->ext == NULL)
        p->run_error = job_ext_new(&put->ext);
    if (p->run_error < 0) {
        drop_put(put);
        p->run_end = 0;
        return;
    }
    put->ext->origin = p->replies;
    put->ext->route = f->route;
    put->ext->tag = p->unpack.reader.tag;
}

/* The next records of the frame to p->puts; false: there are no more. */
static bool next_run(struct producer *p, const struct frame *f) ON_LOOP
{
    p->run_at = 0;
    p->run_end = unpack_run(&p->unpack, p->puts, LIMIT_BATCH_ITEMS, &p->run_error);
    if (p->run_end > 0 && p->replies != NULL)
        add_origin(p, f);
    return p->run_end > 0 || p->run_error < 0;
}

/* Put what is left of the run; false: the queue is full. */
static bool put_records(struct producer *p, const struct frame *f) ON_LOOP
{
    size_t n = p->run_end - p->run_at;
    struct job_put *puts = p->puts + p->run_at;
    size_t decided = n > 0 ? put_some(p, puts, n) : 0;
    for (size_t k = 0; k < decided; k++) {
        record_ended(p, &f->route, puts[k].ret_status, puts[k].ret_id);
        if (puts[k].ret_status < 0)
            drop_put(&puts[k]);
    }
    p->run_at += decided;
    return p->run_at == p->run_end;
}

/* False: the queue is full, and the frame is still in hand. */
static bool put_frame(struct producer *p, struct frame *f) ON_LOOP
{
    do {
        if (!put_records(p, f))
            return false;
        if (p->run_error < 0)
            record_ended(p, &f->route, p->run_error, 0);
        p->run_error = 0;
    } while (next_run(p, f));
    struct slice answer = unpack_end(&p->unpack);
    if (p->unpacking.receipts)
        send_receipt(p, &f->route, 0, answer);
    slice_release(&f->body);
    return true;
}

/* One frame; false: as put_frame(). */
static bool take_batch(struct producer *p, struct frame *f) ON_LOOP
{
    const char *why;
    int r = p->unpack.open ? 0 : unpack_begin(&p->unpack, &p->unpacking, f->body, &why);
    if (r == 0)
        return put_frame(p, f);
    malformed(p, f, r, why);
    return true;
}

/* What the queue did not take, at the end. */
static void drop_run(struct producer *p)
{
    for (; p->run_at < p->run_end; p->run_at++)
        drop_put(&p->puts[p->run_at]);
    if (p->unpack.open) {
        struct slice answer = unpack_end(&p->unpack);
        slice_release(&answer);
    }
}

static size_t take_frames(struct producer *p, struct frame *frames, size_t n, bool *ret_short) ON_LOOP
{
    if (p->conf->framing != FRAMING_BATCH)
        return take_run(p, frames, n, ret_short);
    *ret_short = !take_batch(p, frames);
    return *ret_short ? 0 : 1;
}

/* ---- patience ---- */

/* What the endpoint keeps was offered first when the wait began, for it reads nothing meanwhile: so all of it has waited
 * that long, and is decided when it is offered again. */
static void on_wait_end(struct pen_loop *loop, void *arg, int status)
{
    struct producer *p = arg;
    if (status < 0)
        return;
    loop_assert_here(loop);
    p->impatient = true;
    endpoint_resume(p->endpoint);
}

/* Frames were offered; is_short: some are kept. */
static void watch_wait(struct producer *p, bool is_short) ON_LOOP
{
    p->impatient = false;
    bool begins = is_short && p->block_timeout.ns > 0 && p->wait.loop == NULL;
    if (!is_short)
        pen_timer_cancel(&p->wait);
    else if (begins &&
             pen_loop_call_later(p->part.loop, &p->wait, p->block_timeout, on_wait_end, p) < 0)
        log_limited(&p->limit, LOG_BURST, p->part.subject,
                    "no memory to limit the wait for room in queue %s", jobq_name(p->queue));
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    size_t taken = 0;
    bool is_short = false;
    while (taken < n && !is_short)
        taken += take_frames(p, frames + taken, n - taken, &is_short);
    count_set(&p->paused, is_short);
    watch_wait(p, is_short);
    return taken;
}

static void on_queue_room(struct jobq_putter *putter, void *arg)
{
    (void)putter;
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    count_set(&p->paused, 0);
    if (!p->stopping)
        endpoint_resume(p->endpoint);
}

/* ---- the endpoint's other events ---- */

static void on_room(struct endpoint *e, void *arg)
{
    (void)e;
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    if (p->replies != NULL)
        outlet_on_room(p->replies);
}

static void on_read_end(struct endpoint *e, void *arg)
{
    (void)e;
    struct producer *p = arg;
    if (p->finishing)
        return;
    p->finishing = true;
    jobq_putter_close(&p->putter);
    part_tell(&p->part, PART_FINISHED);
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct producer *p = arg;
    part_tell(&p->part, PART_ENDED);
}

static void on_replies_drained(void *arg)
{
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    endpoint_close(p->endpoint, p->stopping);
}

/* ---- orders ---- */

static void stop(struct producer *p) ON_LOOP
{
    p->stopping = true;
    pen_timer_cancel(&p->wait);
    endpoint_pause(p->endpoint);
    if (p->replies != NULL)
        outlet_close(p->replies, true);
    endpoint_close(p->endpoint, true);
    if (!p->finishing) {
        p->finishing = true;
        jobq_putter_close(&p->putter);
        part_tell(&p->part, PART_FINISHED);
    }
}

static void on_receipts_sent(void *arg)
{
    struct producer *p = arg;
    loop_assert_here(p->part.loop);
    endpoint_close(p->endpoint, p->stopping);
}

static void close_when_told(struct producer *p) ON_LOOP
{
    if (p->receipts != NULL && !promises_empty(p->receipts))
        promises_on_empty(p->receipts, on_receipts_sent);
    else
        endpoint_close(p->endpoint, false);
}

static void on_order(struct part *part, enum part_order order)
{
    struct producer *p = CONTAINER_OF(part, struct producer, part);
    loop_assert_here(part->loop);
    if (order == PART_FINISH && !p->finishing)
        endpoint_finish_reading(p->endpoint);
    else if (order == PART_CLOSE && p->replies != NULL)
        outlet_close(p->replies, false);
    else if (order == PART_CLOSE)
        close_when_told(p);
    else if (order == PART_STOP)
        stop(p);
}

static void start_reading(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct producer *p = arg;
    if (status == 0)
        endpoint_resume(p->endpoint);
}

/* ---- making and freeing ---- */

/* Connections of one thread: together they are as many as the configuration says. */
static size_t connections_of_one(const struct conf_producer *c)
{
    return (c->connections_max + c->threads - 1) / c->threads;
}

static int open_endpoint(struct producer *p, const struct producer_options *o, char *text,
                         size_t size)
{
    const struct conf_producer *c = p->conf;
    struct endpoint *helpers[LIMIT_THREADS_PER_PRODUCER];
    bool helps = o->index > 0;
    check(o->helpers_count < LIMIT_THREADS_PER_PRODUCER);
    for (size_t i = 0; i < o->helpers_count; i++)
        helpers[i] = o->helpers[i]->endpoint;
    bool lines = c->pattern == PATTERN_LINES;
    static const struct endpoint_events events = { .on_frames = on_frames,
                                                   .on_room = on_room,
                                                   .on_read_end = on_read_end,
                                                   .on_closed = on_closed };
    struct endpoint_options options = {
        .loop = p->part.loop,
        .events = &events,
        .arg = p,
        .name = p->part.subject,
        .pattern = sp_pattern_of(c->pattern),
        .listen = helps ? NULL : c->listen.at,
        .connect = helps ? NULL : c->connect.at,
        .topics = c->topics.at,
        .path = c->path,
        .message_max = lines ? c->line_max : c->message_max,
        .receive_buffer = c->receive_buffer,
        .send_buffer = c->receive_buffer,
        .ipc_mode = c->ipc_mode,
        .linger = c->linger,
        .transport = c->transport,
        .connections_max = connections_of_one(c),
        .peer_messages_max = c->peer_messages_max,
        .peer_bytes_max = c->peer_bytes_max,
        .out_bytes_max = c->out_bytes_max,
        .unfinished_bytes_max = c->unfinished_bytes_max,
        .handshake = c->handshake_timeout,
        .idle = c->idle_timeout,
        .allow_uid = c->allow_uid.at,
        .allow_gid = c->allow_gid.at,
        .helpers = helpers,
        .helpers_count = o->helpers_count,
        .helps = helps,
    };
    return endpoint_open(&options, text, size, &p->endpoint);
}

static int open_replies(struct producer *p)
{
    if (!answers(p) || p->conf->reply != REPLY_RESULT)
        return 0;
    struct outlet_options options = { .bytes_max = p->conf->reply_bytes_max,
                                      .framing = p->conf->framing,
                                      .separator = "",
                                      .on_drained = on_replies_drained,
                                      .arg = p };
    return outlet_new(&options, p->part.loop, &p->replies);
}

static int open_receipts(struct producer *p)
{
    if (!answers(p) || p->replies != NULL || !jobq_is_durable(p->queue))
        return 0;
    struct promises_options options = { .queue = p->queue,
                                        .loop = p->part.loop,
                                        .send = on_receipt_kept,
                                        .fail = on_receipt_broken,
                                        .arg = p };
    return promises_new(&options, &p->receipts);
}

static const char *name_of_thread(struct producer *p, unsigned index)
{
    if (p->conf->threads == 1)
        (void)snprintf(p->name, sizeof p->name, "%s", p->conf->name);
    else
        (void)snprintf(p->name, sizeof p->name, "%s/%u", p->conf->name, index);
    return p->name;
}

int producer_new(const struct producer_options *options, char *text, size_t size,
                 struct producer **ret_producer)
{
    struct producer *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    p->conf = options->conf;
    struct part_options part = options->part;
    part.on_order = on_order;
    part.name = name_of_thread(p, options->index);
    struct jobq_putter_options putter = { .patient = !answers(p), .on_room = on_queue_room, .arg = p };
    p->queue = options->queue;
    p->block_timeout = answers(p) ? options->block_timeout : (span_t){ 0 };
    int r = part_init(&p->part, &part);
    if (r == 0)
        r = open_replies(p);
    if (r == 0)
        r = open_receipts(p);
    p->unpacking = (struct unpack_options){ .queue = p->conf->queue,
                                            .level = (enum batch_level)jobq_level(p->queue),
                                            .receipts = answers(p) && p->replies == NULL,
                                            .single = p->replies != NULL };
    if (r == 0)
        r = jobq_attach_putter(options->queue, p->part.loop, &putter, &p->putter);
    text[0] = '\0';
    if (r == 0)
        r = open_endpoint(p, options, text, size);
    if (r == 0 && p->replies != NULL)
        outlet_set_endpoint(p->replies, p->endpoint);
    if (r < 0) {
        producer_free(&p);
        return r;
    }
    *ret_producer = p;
    return 0;
}

int producer_start(struct producer *p)
{
    int r = pen_loop_call_soon_threadsafe(p->part.loop, start_reading, p);
    return r < 0 ? r : part_start(&p->part);
}

void producer_free(struct producer **producer)
{
    struct producer *p = *producer;
    if (p == NULL)
        return;
    drop_run(p);
    pen_timer_cancel(&p->wait);
    outlet_free(&p->replies);
    promises_free(&p->receipts);
    jobq_putter_close(&p->putter);
    endpoint_free(&p->endpoint);
    part_fini(&p->part);
    free(p);
    *producer = NULL;
}

/* ---- questions ---- */

struct part *producer_part(struct producer *p)
{
    return &p->part;
}

struct outlet *producer_replies(struct producer *p)
{
    return p->replies;
}

const struct conf_producer *producer_conf(const struct producer *p)
{
    return p->conf;
}

void producer_stats(const struct producer *p, struct producer_stats *ret_stats)
{
    *ret_stats = (struct producer_stats){
        .accepted = count_read(&p->accepted),
        .refused = count_read(&p->refused),
        .malformed = count_read(&p->malformed),
        .paused = count_read(&p->paused) != 0,
    };
    endpoint_stats(p->endpoint, &ret_stats->endpoint);
    struct outlet_stats outlet = { 0 };
    if (p->replies != NULL)
        outlet_stats(p->replies, &outlet);
    ret_stats->replies_lost = outlet.lost;
}

size_t producer_slow_peers(const struct producer *p,
                           struct endpoint_slow_peer ret_peers[ENDPOINT_SLOW_PEERS])
{
    return endpoint_slow_peers(p->endpoint, ret_peers);
}

/* ---- drops ---- */

static void tell(const struct job_ext *ext, int error, const char *text)
{
    struct outlet *to = ext->origin;
    struct slice body = { 0 };
    struct answer_form form = { outlet_framing(to), ext->tag };
    if (answer_failure(form, error, text, &body) == 0)
        outlet_answer(to, &ext->route, body);
}

static bool is_awaited(const struct job_ext *ext)
{
    return ext != NULL && ext->origin != NULL;
}

static void tell_dropped(const struct job_dropped *job)
{
    static const int errors[DROP_REASONS + 1] = {
        [DROP_OLDEST] = PEN_EDROPPED, [DROP_NEWEST] = PEN_EDROPPED, [DROP_LOWEST] = PEN_EDROPPED,
        [DROP_PURGED] = PEN_EDROPPED, [DROP_FAILED] = PEN_EHANDLER, [DROP_SHUTDOWN] = PEN_EDRAINING,
        [DROP_EXPIRED] = PEN_EEXPIRED
    };
    bool failed = job->reason == DROP_FAILED && job->ext->error != 0;
    tell(job->ext, failed ? job->ext->error : errors[job->reason],
         failed ? job->ext->error_text : NULL);
}

void producer_on_dropped(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg)
{
    (void)q;
    (void)arg;
    struct slice_releaser bodies = { 0 };
    for (size_t k = 0; k < n; k++) {
        if (is_awaited(jobs[k].ext))
            tell_dropped(&jobs[k]);
        slice_releaser_add(&bodies, &jobs[k].body);
        job_ext_free(jobs[k].ext);
    }
    slice_releaser_end(&bodies);
}

void producer_on_failed(struct job_settle *job)
{
    if (is_awaited(job->ret_ext))
        tell(job->ret_ext, job->ret_ext->error, job->ret_ext->error_text);
    slice_release(&job->ret_body);
    job_ext_free(job->ret_ext);
}

/* Head and body as one message. */
static int join(struct slice *head, struct slice *body, struct slice *ret_message)
{
    uint8_t *at;
    int r = 0;
    if (head->bytes == 0) {
        *ret_message = slice_ref(*body);
    } else if ((r = slice_new((size_t)head->bytes + body->bytes, ret_message, &at)) == 0) {
        memcpy(at, head->at, head->bytes);
        memcpy(at + head->bytes, body->at, body->bytes);
    }
    slice_release(head);
    slice_release(body);
    return r;
}

static void answer_with_result(const struct job_settle *job, struct slice result)
{
    struct outlet *to = job->ret_ext->origin;
    struct answer_form form = { outlet_framing(to), job->ret_ext->tag };
    struct slice head = { 0 }, body = { 0 }, message;
    int r = answer_result(form, job->id, result, &head, &body);
    if (r == 0)
        r = join(&head, &body, &message);
    if (r == 0)
        outlet_answer(to, &job->ret_ext->route, message);
}

void producer_on_done(struct job_settle *job, struct slice result)
{
    if (is_awaited(job->ret_ext))
        answer_with_result(job, result);
    slice_release(&job->ret_body);
    job_ext_free(job->ret_ext);
}
