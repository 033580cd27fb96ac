/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of jobs in hand. Settlements cross in a queue, are sorted by what they say, and travel many in one
 * frame; so do touches.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/client.h"
#include "task/future.h"

enum { FRAME_BYTES = 64 * 1024, NS_PER_MS = 1000000 };

/* One frame about jobs in hand. */
struct saying {
    struct request request;
    struct pen_client *client;
    enum batch_kind kind;
    uint32_t count;
    struct held *held[LIMIT_BATCH_ITEMS]; /* a reference each */
};

/* ---- encoding ---- */

static enum batch_kind kind_of(enum pen_outcome outcome)
{
    static const enum batch_kind kinds[] = {
        [PEN_WORK_ACK] = BATCH_ACK, [PEN_WORK_NACK] = BATCH_NACK, [PEN_WORK_RELEASE] = BATCH_NACK, [PEN_WORK_BURY] = BATCH_BURY
    };
    return kinds[outcome];
}

static void record_of(const struct held *h, enum batch_kind kind, struct batch_record *ret_record)
{
    struct batch_attrs *a = &ret_record->attrs;
    *ret_record = (struct batch_record){ 0 };
    batch_set(a, QUEUE, queue, h->queue);
    batch_set(a, ID, id, h->work.id);
    batch_set(a, LEASE, lease, h->lease);
    if (kind == BATCH_TOUCH) {
        batch_set(a, LEASE_FOR, lease_ms, h->lease_ms);
        return;
    }
    if (h->outcome == PEN_WORK_RELEASE)
        batch_mark(a, UNCHARGED);
    if (h->delay_ms > 0)
        batch_set(a, DELAY, delay_ms, h->delay_ms);
    if (h->text_bytes > 0)
        batch_set(a, TEXT, text, ((struct batch_text){ h->said + h->result_bytes, h->text_bytes }));
    ret_record->body = (const uint8_t *)h->said;
    ret_record->body_bytes = h->result_bytes;
}

/* How many of held[0..n) make a frame, and its size. */
static size_t frame_of(struct held *const *held, size_t n, enum batch_kind kind, size_t *ret_bytes)
{
    struct batch_record record;
    size_t k = 0, bytes = BATCH_HEAD_BYTES;
    for (; k < n && k < LIMIT_BATCH_ITEMS; k++) {
        record_of(held[k], kind, &record);
        int head = batch_record_head_bytes(&record);
        check(head > 0);
        if (k > 0 && bytes + (size_t)head + record.body_bytes > FRAME_BYTES)
            break;
        bytes += (size_t)head + record.body_bytes;
    }
    *ret_bytes = bytes;
    return k;
}

static int encode(struct saying *s, size_t bytes)
{
    struct batch_head head = { .kind = s->kind };
    struct batch_record record;
    struct batch_writer w;
    uint8_t *to;
    int r = slice_new(bytes, &s->request.frame, &to);
    if (r < 0)
        return r;
    check(batch_writer_init(&w, to, bytes, &head) == 0);
    for (uint32_t k = 0; k < s->count; k++) {
        record_of(s->held[k], s->kind, &record);
        check(batch_writer_add(&w, &record) == 0);
    }
    return 0;
}

/* ---- answers ---- */

static void heard(struct saying *s, struct held *h, int status) ON_LOOP
{
    if (status == PEN_ELEASE)
        work_lose(s->client, h);
    if (s->kind == BATCH_TOUCH)
        work_unref(h);
    else
        work_end(s->client, h, status);
}

/* A touch that is not answered is followed by another. */
static void on_said(struct request *r, int error, struct batch_reader *answer, struct slice message)
{
    struct saying *s = CONTAINER_OF(r, struct saying, request);
    (void)message;
    loop_assert_here(s->client->loop);
    if (answer != NULL && (answer->kind != BATCH_RECEIPTS || answer->left != s->count))
        error = PEN_EPROTO;
    for (uint32_t k = 0; k < s->count; k++) {
        bool told = error == 0 && batch_reader_next(answer);
        heard(s, s->held[k], told ? answer->record.status : error);
    }
    slice_release(&r->frame);
    free(s);
}

/* ---- saying ---- */

static int say_some(struct pen_client *c, struct held *const *held, size_t n, size_t bytes,
                    enum batch_kind kind) ON_LOOP
{
    struct saying *s = calloc(1, sizeof *s);
    if (s == NULL)
        return PEN_ENOMEM;
    s->client = c;
    s->kind = kind;
    s->count = (uint32_t)n;
    s->request.on_end = on_said;
    memcpy(s->held, held, n * sizeof(held[0]));
    int r = encode(s, bytes);
    if (r < 0) {
        free(s);
        return r;
    }
    ask_own(c, &s->request);
    return 0;
}

/* Each of them is a reference that is given away. What finds no memory is not said: the lease ends. */
static void say(struct pen_client *c, struct held *const *held, size_t n, enum batch_kind kind) ON_LOOP
{
    size_t bytes;
    for (size_t some; n > 0; held += some, n -= some) {
        some = frame_of(held, n, kind, &bytes);
        int r = say_some(c, held, some, bytes, kind);
        for (size_t k = 0; r < 0 && k < some; k++)
            if (kind == BATCH_TOUCH)
                work_unref(held[k]);
            else
                work_end(c, held[k], r);
    }
}

void settle_touch(struct pen_client *c)
{
    struct held *held[LIMIT_BATCH_ITEMS];
    size_t n = 0;
    LIST_EACH(node, &c->work->in_hand) {
        struct held *h = CONTAINER_OF(node, struct held, node);
        if (h->settling || count_read(&h->lost) != 0)
            continue;
        h->refs++;
        held[n++] = h;
        if (n < LIMIT_BATCH_ITEMS)
            continue;
        say(c, held, n, BATCH_TOUCH);
        n = 0;
    }
    say(c, held, n, BATCH_TOUCH);
}

/* ---- settling ---- */

void settle_tell(struct held *h, int error)
{
    if (h->future != NULL && future_begin(h->future))
        future_complete(h->future, error, NULL);
    pen_future_unref(&h->future);
}

/* Does anybody wait to hear of it? */
static bool can_be_said(struct pen_client *c, struct held *h) ON_LOOP
{
    bool closed = c->closed || (c->closing && count_read(&c->close_at_once) != 0);
    if (!closed && count_read(&h->lost) == 0) {
        h->settling = true;
        return true;
    }
    work_end(c, h, closed ? PEN_ECLOSED : PEN_ELEASE);
    return false;
}

void settle_release(struct pen_client *c, struct held *h)
{
    h->outcome = PEN_WORK_RELEASE;
    if (can_be_said(c, h))
        say(c, &h, 1, BATCH_NACK);
}

static void on_settled(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    static const enum batch_kind kinds[] = { BATCH_ACK, BATCH_NACK, BATCH_BURY };
    struct pen_client *c = arg;
    struct held *held[LIMIT_BATCH_ITEMS], *same[LIMIT_BATCH_ITEMS];
    size_t count = 0;
    (void)getter;
    loop_assert_here(c->loop);
    for (size_t k = 0; k < n; k++)
        if (can_be_said(c, items[k].ptr))
            held[count++] = items[k].ptr;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t m = 0;
        for (size_t k = 0; k < count; k++)
            if (kind_of(held[k]->outcome) == kinds[i])
                same[m++] = held[k];
        say(c, same, m, kinds[i]);
    }
    check(pen_queue_task_done(c->work->settled, n) == 0);
    ask_flush(c);
}

/* ---- settling: any thread ---- */

static uint32_t length_of(const char *text)
{
    return text != NULL ? (uint32_t)strnlen(text, LIMIT_ERROR_TEXT_BYTES + 1) : 0;
}

static int look_at(const struct pen_client *c, const struct pen_settle *how)
{
    bool acks = how->outcome == PEN_WORK_ACK, buries = how->outcome == PEN_WORK_BURY;
    if (c->work == NULL || how->outcome > PEN_WORK_BURY || how->delay.ns < 0)
        return PEN_EINVAL;
    if ((how->bytes > 0 && !acks) || (how->delay.ns > 0 && (acks || buries)))
        return PEN_EINVAL;
    if (how->text != NULL && how->outcome != PEN_WORK_NACK && !buries)
        return PEN_EINVAL;
    if (length_of(how->text) > LIMIT_ERROR_TEXT_BYTES)
        return PEN_EINVAL;
    return how->bytes <= c->options.message_max && how->bytes <= INT32_MAX ? 0 : PEN_ETOOBIG;
}

static int copy_said(struct held *h, const struct pen_settle *how)
{
    h->outcome = how->outcome;
    h->delay_ms = (uint64_t)(how->delay.ns / NS_PER_MS);
    h->result_bytes = (uint32_t)how->bytes;
    h->text_bytes = length_of(how->text);
    if (h->result_bytes + h->text_bytes == 0)
        return 0;
    h->said = malloc(h->result_bytes + h->text_bytes);
    if (h->said == NULL)
        return PEN_ENOMEM;
    if (h->result_bytes > 0)
        memcpy(h->said, how->result, h->result_bytes);
    if (h->text_bytes > 0)
        memcpy(h->said + h->result_bytes, how->text, h->text_bytes);
    return 0;
}

static int add_future(struct pen_client *c, struct held *h, struct pen_future **ret_future)
{
    struct pen_job_options options = { .name = "settle" };
    int r = future_new(&options, &h->future);
    if (r < 0)
        return r;
    future_set_loop(h->future, c->loop);
    *ret_future = h->future; /* Made with two references. */
    return 0;
}

int pen_client_settle(struct pen_client *c, struct pen_work **work, const struct pen_settle *how,
                      struct pen_future **ret_future)
{
    static const struct pen_settle ack = { .outcome = PEN_WORK_ACK };
    struct held *h = CONTAINER_OF(*work, struct held, work);
    struct pen_future *future = NULL;
    how = how != NULL ? how : &ack;
    int r = look_at(c, how);
    if (r == 0)
        r = copy_said(h, how);
    if (r == 0 && ret_future != NULL)
        r = add_future(c, h, &future);
    if (r == 0)
        r = pen_queue_put(c->work->settled, h, 0, PEN_NOW);
    if (r == 0) {
        *work = NULL;
        if (ret_future != NULL)
            *ret_future = future;
        return 0;
    }
    if (future != NULL)
        future_discard(future);
    h->future = NULL;
    free(h->said);
    h->said = NULL;
    return r;
}

int settle_init(struct pen_client *c)
{
    struct work *w = c->work;
    struct pen_queue_options q = { .items_max = c->options.in_flight_max };
    struct pen_getter_options g = { .budget = LIMIT_BATCH_ITEMS, .on_items = on_settled, .arg = c };
    int r = pen_queue_new(&q, &w->settled);
    if (r == 0)
        r = pen_queue_attach(w->settled, c->loop, &g, &w->getter);
    return r;
}
