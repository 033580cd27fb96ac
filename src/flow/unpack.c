/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/unpack.h"

#include <string.h>

#include "base/check.h"
#include "plat/clock.h"

enum { RECEIPT_BYTES = BATCH_RECORD_BYTES + 10 /* with its id */, RECEIPTS_HEAD_BYTES = 32 };

static const uint64_t put_attrs = BATCH_BIT(QUEUE) | BATCH_BIT(KEY) | BATCH_BIT(WEIGHT) |
                                  BATCH_BIT(DEDUPE) | BATCH_BIT(JOIN) | BATCH_BIT(PRIORITY) |
                                  BATCH_BIT(DELAY) | BATCH_BIT(DUE) | BATCH_BIT(TTL) |
                                  BATCH_BIT(REPLY_TO) | BATCH_BIT(HEADERS);

/* Space for all receipts, so that none can fail later. */
static int begin_receipts(struct unpack *u)
{
    struct batch_attrs level = { 0 };
    batch_set(&level, LEVEL, level, u->options->level);
    struct batch_head head = { .kind = BATCH_RECEIPTS, .tag = u->reader.tag, .attrs = &level };
    size_t bytes = RECEIPTS_HEAD_BYTES + (size_t)u->reader.left * RECEIPT_BYTES;
    uint8_t *to;
    int r = slice_new(bytes, &u->answer, &to);
    if (r == 0)
        check(batch_writer_init(&u->receipts, to, bytes, &head) == 0);
    return r;
}

int unpack_begin(struct unpack *u, const struct unpack_options *options, struct slice message,
                 const char **ret_why)
{
    check(!u->open);
    u->options = options;
    u->frame = message;
    u->answer = (struct slice){ 0 };
    int r = batch_reader_init(&u->reader, message.at, message.bytes);
    const char *why = u->reader.why;
    if (r == 0 && u->reader.kind != BATCH_PUT) {
        r = PEN_EPROTO;
        why = "this endpoint takes frames of the kind put";
    }
    if (r == 0 && options->single && u->reader.left != 1) {
        r = PEN_EPROTO;
        why = "a request for a result has one record";
    }
    if (r == 0 && options->receipts) {
        r = begin_receipts(u);
        why = pen_strerror(r);
    }
    if (r < 0)
        *ret_why = why;
    u->open = r == 0;
    return r;
}

/* ---- attributes ---- */

static bool equals(struct batch_text text, const char *other)
{
    return text.bytes == strlen(other) && memcmp(text.at, other, text.bytes) == 0;
}

/* A text of a record, owned; without one NULL. */
static int copy_text(struct batch_text text, char **ret_copy)
{
    if (text.bytes == 0)
        return 0;
    *ret_copy = strndup(text.at, text.bytes);
    return *ret_copy != NULL ? 0 : PEN_ENOMEM;
}

static span_t span_of_ms(uint64_t ms)
{
    return ms < INT64_MAX / 1000000 ? span_ms((int64_t)ms) : (span_t){ INT64_MAX };
}

static void set_times(const struct batch_attrs *a, struct job_ext *ext)
{
    mono_t now = clock_mono();
    if (batch_has(a, DELAY))
        ext->delay_until = mono_after(now, span_of_ms(a->delay_ms));
    if (batch_has(a, DUE)) {
        int64_t due_ns = span_of_ms(a->due_ms).ns, wall_ns = clock_wall_ns();
        ext->delay_until = due_ns > wall_ns ? mono_after(now, (span_t){ due_ns - wall_ns }) : PEN_NOW;
    }
    if (batch_has(a, TTL))
        ext->expires_at = mono_after(now, span_of_ms(a->ttl_ms));
}

static int fill_ext(const struct batch_attrs *a, struct job_ext *ext)
{
    int r = copy_text(a->key, &ext->key);
    if (r == 0)
        r = copy_text(a->dedupe, &ext->dedupe);
    if (r == 0)
        r = copy_text(a->reply_to, &ext->reply_to);
    if (r == 0 && a->headers.bytes > 0)
        r = slice_copy(a->headers.at, a->headers.bytes, &ext->headers);
    ext->weight = (uint32_t)a->weight;
    ext->coalesce = batch_has(a, JOIN);
    set_times(a, ext);
    return r;
}

/* What is more than payload and priority; *ret_ext stays NULL when there is nothing. */
static int make_ext(const struct batch_attrs *a, struct job_ext **ret_ext)
{
    if ((a->set & ~(BATCH_BIT(QUEUE) | BATCH_BIT(PRIORITY))) == 0)
        return 0;
    struct job_ext *ext;
    int r = job_ext_new(&ext);
    if (r < 0)
        return r;
    r = fill_ext(a, ext);
    if (r < 0)
        job_ext_free(ext);
    else
        *ret_ext = ext;
    return r;
}

/* ---- records ---- */

/* The body without its reference. */
static int make_put(const struct unpack *u, struct job_put *ret_put)
{
    const struct batch_record *record = &u->reader.record;
    const struct batch_attrs *a = &record->attrs;
    *ret_put = (struct job_put){ .priority = PRIORITY_DEFAULT };
    ret_put->body = (struct slice){ u->frame.blob, record->body, record->body_bytes };
    if (a->set == 0)
        return record->status == 0 ? 0 : PEN_EPROTO;
    if (record->status != 0 || (a->set & ~put_attrs) != 0)
        return PEN_EPROTO;
    if (batch_has(a, QUEUE) && !equals(a->queue, u->options->queue))
        return PEN_ENOENT;
    if (batch_has(a, PRIORITY))
        ret_put->priority = (uint8_t)a->priority;
    return make_ext(a, &ret_put->ext);
}

size_t unpack_run(struct unpack *u, struct job_put *ret_puts, size_t max, int *ret_error)
{
    size_t n = 0;
    *ret_error = 0;
    while (n < max && *ret_error == 0 && batch_reader_next(&u->reader)) {
        *ret_error = make_put(u, &ret_puts[n]);
        n += *ret_error == 0;
    }
    if (n > 0 && u->frame.blob != NULL)
        refs_add(&u->frame.blob->refs, (uint32_t)n);
    return n;
}

void unpack_receipt(struct unpack *u, int status, uint64_t id)
{
    if (!u->options->receipts)
        return;
    u->receipt.status = status;
    u->receipt.attrs.set = id != 0 ? BATCH_BIT(ID) : 0;
    u->receipt.attrs.id = id;
    check(batch_writer_add(&u->receipts, &u->receipt) == 0);
}

struct slice unpack_end(struct unpack *u)
{
    struct slice answer = u->answer;
    if (u->options->receipts)
        answer.bytes = (uint32_t)u->receipts.used;
    u->answer = (struct slice){ 0 };
    u->open = false;
    return answer;
}
