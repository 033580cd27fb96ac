/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer is made of what the log holds from the sequence that was asked for on, as far as it fits. In batch framing records
 * are written anew, for those of several frames come together in one; in json the objects are copied as they are. Either way it is
 * one walk over a bounded piece of the log (ANSWER_BYTES_MAX), on the publisher's loop, between other work.
 */
#include "flow/replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/count.h"
#include "flow/answer.h"
#include "flow/resultlog.h"
#include "loop/io.h"
#include "obs/log.h"
#include "plat/rand.h"
#include "proto/json.h"
#include "proto/published.h"
#include "proto/replay.h"

enum {
    LOG_BURST = 10, /* lines a second */
    REQUEST_BYTES_MAX = 64 * 1024,
    ANSWER_BYTES = 256 * 1024,      /* unless the request says otherwise */
    ANSWER_BYTES_MAX = 1024 * 1024, /* but for one result that is larger */
    ANSWER_HEAD_BYTES = 1024        /* what an answer needs beyond its results */
};

struct replay {
    /* fixed after init */
    struct replay_options options;
    uint64_t stream;
    /* owner: loop */
    struct endpoint *endpoint;
    struct resultlog log;
    struct pen_timer expiry;
    struct log_limit limit;
    /* atomic: counters of the loop */
    struct count oldest, next, bytes, requests, refused, results, gone;
};

/* An answer in the making: results [from, until) of the log, for a request. */
struct answer {
    struct replay *replay;
    const struct replay_request *request;
    uint64_t from, until; /* until: all before it is in the answer, or was not asked for */
    uint64_t results;
    uint32_t count_max;
    bool full;
    struct batch_writer writer; /* batch */
    struct buf buf;             /* json */
};

static void count_log(struct replay *p)
{
    count_set(&p->oldest, resultlog_oldest(&p->log));
    count_set(&p->next, resultlog_next(&p->log));
    count_set(&p->bytes, p->log.bytes);
}

/* ---- what goes out ---- */

static void on_expiry(struct pen_loop *loop, void *arg, int status);

/* Memory of what is too old is given back also when nothing comes any more. */
static void await_expiry(struct replay *p) ON_LOOP
{
    mono_t due = resultlog_due(&p->log);
    if (p->expiry.loop != NULL || due.ns == PEN_NEVER.ns)
        return;
    due = mono_after(due, (span_t){ 1 }); /* An entry of just that age is kept. */
    if (pen_loop_call_at(p->options.loop, &p->expiry, due, on_expiry, p) < 0)
        return; /* For want of memory: it is tried with the next result. */
}

static void on_expiry(struct pen_loop *loop, void *arg, int status)
{
    struct replay *p = arg;
    if (status != 0)
        return;
    loop_assert_here(loop);
    resultlog_expire(&p->log, pen_loop_now(loop));
    count_log(p);
    await_expiry(p);
}

/* Returns how many results the message holds. */
static uint32_t number(struct replay *p, struct parcel_frame *f)
{
    uint64_t sequence = resultlog_next(&p->log);
    if (p->options.conf->framing == FRAMING_JSON) {
        f->body.bytes = json_message_number((uint8_t *)f->body.at, f->body.bytes, sequence);
        return 1;
    }
    bool numbered = batch_renumber((uint8_t *)f->head.at, BATCH_ATTR_SEQUENCE, sequence);
    (void)BUG(!numbered); /* Consumers make frames that give one. */
    return batch_records(f->head.at);
}

void replay_number(struct replay *p, struct parcel_frame *frames, size_t n)
{
    mono_t now = pen_loop_now(p->options.loop);
    for (size_t k = 0; k < n; k++) {
        uint32_t count = number(p, &frames[k]);
        resultlog_add(&p->log, frames[k].head, frames[k].body, count, now);
    }
    count_log(p);
    await_expiry(p);
}

/* ---- answers in batch framing ---- */

/* Numbers that are not known yet are given their place. */
static int begin_frame(struct answer *a, void *to, size_t size)
{
    const struct replay *p = a->replay;
    struct batch_attrs attrs = { 0 };
    batch_set(&attrs, STREAM, stream, p->stream);
    batch_set(&attrs, SEQUENCE, sequence, a->from);
    batch_set(&attrs, UNTIL, until, 0);
    batch_set(&attrs, OLDEST, oldest, resultlog_oldest(&p->log));
    batch_set(&attrs, NEXT, next, resultlog_next(&p->log));
    struct batch_head head = { .kind = BATCH_RESULTS, .tag = a->request->tag, .attrs = &attrs };
    return batch_writer_init(&a->writer, to, size, &head);
}

/* The records of one frame that are wanted. PEN_EFULL ends the answer. */
static int add_frame(struct answer *a, const struct resultlog_entry *e)
{
    struct batch_reader reader;
    int r = batch_reader_init(&reader, e->data.at, e->data.bytes);
    while (r == 0 && batch_reader_next(&reader)) {
        struct batch_record record = reader.record;
        uint64_t sequence = record.attrs.sequence;
        if (sequence < a->until)
            continue;
        if (replay_wants(a->request, record.attrs.topic)) {
            record.attrs.set &= ~BATCH_BIT(STREAM);
            if (sequence == a->from + a->results) /* as it is counted up to */
                record.attrs.set &= ~BATCH_BIT(SEQUENCE);
            r = a->results < a->count_max ? batch_writer_add(&a->writer, &record) : PEN_EFULL;
            a->results += r == 0;
        }
        if (r == 0)
            a->until = sequence + 1;
    }
    return r;
}

static int answer_batch(struct answer *a, size_t size, struct slice *ret_body)
{
    struct slice frame;
    uint8_t *to;
    int r = slice_new(size, &frame, &to);
    if (r < 0)
        return r;
    r = begin_frame(a, to, size);
    const struct resultlog_entry *e;
    while (r == 0 && (e = resultlog_find(&a->replay->log, a->until)) != NULL)
        r = add_frame(a, e);
    if (r == 0 || r == PEN_EFULL) {
        (void)batch_renumber(to, BATCH_ATTR_UNTIL, a->until);
        r = slice_copy(to, a->writer.used, ret_body); /* Most are shorter than they might have been. */
    }
    slice_release(&frame);
    return r;
}

/* ---- answers in json ---- */

/* Whether the message is wanted, by its topic. */
static bool wants_object(const struct answer *a, const struct resultlog_entry *e)
{
    struct published_reader reader;
    if (a->request->prefixes_count == 0 || published_init(&reader, e->data.at, e->data.bytes) < 0)
        return true;
    bool wanted = published_next(&reader) && replay_wants(a->request, reader.now.topic);
    published_fini(&reader);
    return wanted;
}

static int add_object(struct answer *a, const struct resultlog_entry *e)
{
    if (!wants_object(a, e))
        return 0;
    if (a->results == a->count_max)
        return PEN_EFULL;
    int r = a->results > 0 ? buf_append(&a->buf, ",", 1) : 0;
    if (r == 0)
        r = buf_append(&a->buf, e->data.at, e->data.bytes);
    a->results += r == 0;
    return r == PEN_ETOOBIG ? PEN_EFULL : r;
}

/* What stands before the objects is known only after them. */
static int finish_object(struct answer *a, struct slice *ret_body)
{
    const struct resultlog *log = &a->replay->log;
    char head[256], stream[JSON_STREAM_BYTES];
    static const char tail[] = { ']', '}' };
    json_stream_format(a->replay->stream, stream);
    size_t bytes = buf_bytes(&a->buf);
    if (bytes > 0 && buf_at(&a->buf)[bytes - 1] == ',') /* of one that did not fit */
        bytes--;
    int n = snprintf(head, sizeof head,
                     "{\"ok\":true,\"stream\":\"%s\",\"from\":%" PRIu64 ",\"until\":%" PRIu64
                     ",\"oldest\":%" PRIu64 ",\"next\":%" PRIu64 ",\"results\":[",
                     stream, a->from, a->until, resultlog_oldest(log), resultlog_next(log));
    uint8_t *to;
    int r = slice_new((size_t)n + bytes + sizeof tail, ret_body, &to);
    if (r < 0)
        return r;
    memcpy(to, head, (size_t)n);
    if (bytes > 0)
        memcpy(to + n, buf_at(&a->buf), bytes);
    memcpy(to + n + bytes, tail, sizeof tail);
    return 0;
}

static int answer_json(struct answer *a, size_t size, struct slice *ret_body)
{
    const struct resultlog_entry *e;
    int r = 0;
    a->buf.max = size - ANSWER_HEAD_BYTES;
    while (r == 0 && (e = resultlog_find(&a->replay->log, a->until)) != NULL) {
        r = add_object(a, e);
        a->until += r == 0;
    }
    if (r == 0 || r == PEN_EFULL)
        r = finish_object(a, ret_body);
    buf_fini(&a->buf);
    return r;
}

/* ---- requests ---- */

/* Where the answer begins: behind what is gone, and where nothing is wanted, or another stream, at its end. */
static uint64_t start_of(const struct replay *p, const struct replay_request *q)
{
    uint64_t oldest = resultlog_oldest(&p->log);
    if (q->from == 0 || (q->stream != 0 && q->stream != p->stream))
        return resultlog_next(&p->log);
    return q->from > oldest ? q->from : oldest;
}

/* Bytes that the answer may have, ANSWER_HEAD_BYTES at least: its first result always fits. */
static size_t size_of(const struct answer *a)
{
    uint32_t wanted = a->request->bytes_max != 0 ? a->request->bytes_max : ANSWER_BYTES;
    const struct resultlog_entry *first = resultlog_find(&a->replay->log, a->from);
    size_t least = ANSWER_HEAD_BYTES + (first != NULL ? first->data.bytes : 0);
    size_t most = wanted < ANSWER_BYTES_MAX ? wanted : ANSWER_BYTES_MAX;
    return most > least ? most : least;
}

static int make_answer(struct replay *p, const struct replay_request *q, struct slice *ret_body)
    ON_LOOP
{
    struct answer a = { .replay = p,
                        .request = q,
                        .from = start_of(p, q),
                        .count_max = q->count_max != 0 ? q->count_max : BATCH_RECORDS_MAX };
    if (a.from > resultlog_next(&p->log))
        return PEN_EINVAL;
    a.until = a.from;
    bool is_json = p->options.conf->framing == FRAMING_JSON;
    int r = (is_json ? answer_json : answer_batch)(&a, size_of(&a), ret_body);
    if (r < 0)
        return r;
    bool ours = q->stream == 0 || q->stream == p->stream;
    if (ours && q->from != 0 && a.from > q->from)
        count_add(&p->gone, a.from - q->from);
    count_add(&p->results, a.results);
    return 0;
}

/* The answer is in the framing of the results, whatever the request's. */
static int refuse(struct replay *p, uint32_t tag, int error, const char *text,
                  struct slice *ret_body) ON_LOOP
{
    struct answer_form form = { p->options.conf->framing, tag };
    count_add(&p->refused, 1);
    log_limited(&p->limit, LOG_BURST, p->options.name, "a request for results was refused: %s",
                text[0] != '\0' ? text : pen_strerror(error));
    return answer_failure(form, error, text, ret_body);
}

static void take_request(struct replay *p, const struct frame *f) ON_LOOP
{
    struct replay_request q;
    struct slice body = { 0 };
    char text[LIMIT_ERROR_TEXT_BYTES];
    count_add(&p->requests, 1);
    resultlog_expire(&p->log, pen_loop_now(p->options.loop));
    int r = replay_request_decode(f->body.at, f->body.bytes, &q, text, sizeof text);
    if (r == 0) {
        r = make_answer(p, &q, &body);
        if (r == PEN_EINVAL)
            (void)snprintf(text, sizeof text, "nothing was published from %" PRIu64 " on yet",
                           q.from);
        replay_request_fini(&q);
    }
    if (r < 0)
        r = refuse(p, q.tag, r, text, &body);
    struct parcel_frame answer = { .body = body, .route = &f->route };
    if (r < 0 || endpoint_send(p->endpoint, &answer, 1) == 0)
        slice_release(&body);
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    struct replay *p = arg;
    loop_assert_here(p->options.loop);
    for (size_t k = 0; k < n; k++) {
        take_request(p, &frames[k]);
        slice_release(&frames[k].body);
    }
    count_log(p);
    return n;
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct replay *p = arg;
    p->options.on_closed(p->options.arg);
}

/* ---- making and freeing ---- */

static int open_endpoint(struct replay *p, char *text, size_t size)
{
    static const struct endpoint_events events = { .on_frames = on_frames, .on_closed = on_closed };
    const struct conf_publisher *c = p->options.conf;
    struct endpoint_options options = {
        .loop = p->options.loop,
        .events = &events,
        .arg = p,
        .name = p->options.name,
        .pattern = SP_REP,
        .listen = c->replay.at,
        .message_max = REQUEST_BYTES_MAX,
        .send_buffer = c->send_buffer,
        .ipc_mode = c->ipc_mode,
        .linger = c->linger,
        .transport = TRANSPORT_NATIVE,
        .connections_max = c->connections_max,
        .peer_messages_max = c->peer_messages_max,
        .peer_bytes_max = c->peer_bytes_max,
        .out_bytes_max = c->out_bytes_max,
        .handshake = c->handshake_timeout,
        .idle = c->idle_timeout,
        .allow_uid = c->allow_uid.at,
        .allow_gid = c->allow_gid.at,
    };
    return endpoint_open(&options, text, size, &p->endpoint);
}

int replay_new(const struct replay_options *options, char *text, size_t size,
               struct replay **ret_replay)
{
    struct replay *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    const struct conf_publisher *c = options->conf;
    p->options = *options;
    resultlog_init(&p->log, c->replay_items, c->replay_bytes, c->replay_age);
    count_log(p);
    text[0] = '\0';
    int r = rand_id(&p->stream);
    if (r == 0)
        r = open_endpoint(p, text, size);
    if (r < 0) {
        replay_free(&p);
        return r;
    }
    *ret_replay = p;
    return 0;
}

void replay_start(struct replay *p)
{
    endpoint_resume(p->endpoint);
}

uint64_t replay_stream(const struct replay *p)
{
    return p->stream;
}

void replay_close(struct replay *p, bool immediate)
{
    pen_timer_cancel(&p->expiry);
    endpoint_close(p->endpoint, immediate);
}

void replay_free(struct replay **replay)
{
    struct replay *p = *replay;
    if (p == NULL)
        return;
    endpoint_free(&p->endpoint);
    resultlog_fini(&p->log);
    free(p);
    *replay = NULL;
}

void replay_stats(const struct replay *p, struct replay_stats *ret_stats)
{
    struct endpoint_stats s;
    endpoint_stats(p->endpoint, &s);
    *ret_stats = (struct replay_stats){ .oldest = count_read(&p->oldest),
                                        .next = count_read(&p->next),
                                        .bytes = count_read(&p->bytes),
                                        .requests = count_read(&p->requests),
                                        .refused = count_read(&p->refused),
                                        .results = count_read(&p->results),
                                        .gone = count_read(&p->gone),
                                        .peers = s.peers };
}
