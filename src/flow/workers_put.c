/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs in. One by itself is put by the queue's policy; a list is put whole or not at all. Where the policy is to block, a put
 * waits in the desk's line, behind those that came before it.
 *
 * Thread: the endpoint's loop.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/workers_inside.h"
#include "plat/clock.h"

/* ---- a job of a record ---- */

static bool is_plain(const struct batch_attrs *a)
{
    return !batch_has(a, KEY) && !batch_has(a, DEDUPE) && !batch_has(a, DELAY) &&
           !batch_has(a, DUE) && !batch_has(a, TTL) && !batch_has(a, HEADERS);
}

/* A text member of an ext; PEN_EINVAL for one that is there and empty. */
static int text_take(const struct batch_attrs *a, uint64_t bit, struct batch_text text,
                     char **ret_text)
{
    if ((a->set & bit) == 0)
        return 0;
    if (text.bytes == 0)
        return PEN_EINVAL;
    *ret_text = text_copy(text);
    return *ret_text != NULL ? 0 : PEN_ENOMEM;
}

/* An absolute time is one of the wall clock, which is looked at once: later its steps do not matter. */
static mono_t start_of(const struct batch_attrs *a, mono_t now)
{
    if (batch_has(a, DUE)) {
        int64_t after_ms = (int64_t)a->due_ms - clock_wall_ns() / 1000000;
        return after_ms > 0 ? mono_after(now, span_of_ms((uint64_t)after_ms)) : PEN_NOW;
    }
    return a->delay_ms > 0 ? mono_after(now, span_of_ms(a->delay_ms)) : PEN_NOW;
}

static int ext_fill(struct job_ext *ext, const struct batch_attrs *a, mono_t now)
{
    int r = text_take(a, BATCH_BIT(KEY), a->key, &ext->key);
    if (r == 0)
        r = text_take(a, BATCH_BIT(DEDUPE), a->dedupe, &ext->dedupe);
    if (r == 0 && batch_has(a, HEADERS))
        r = slice_copy(a->headers.at, a->headers.bytes, &ext->headers);
    ext->coalesce = batch_has(a, JOIN);
    ext->delay_until = start_of(a, now);
    if (batch_has(a, TTL))
        ext->expires_at = mono_after(now, span_of_ms(a->ttl_ms));
    return r;
}

static int make_put(const struct worker_request *q, mono_t now, struct job_put *ret_put)
{
    const struct batch_attrs *a = &q->record->attrs;
    struct job_ext *ext = NULL;
    int r = is_plain(a) ? 0 : job_ext_new(&ext);
    if (r == 0 && ext != NULL)
        r = ext_fill(ext, a, now);
    if (r < 0) {
        job_ext_free(ext);
        return r;
    }
    *ret_put = (struct job_put){
        .body = worker_request_body(q),
        .ext = ext,
        .priority = batch_has(a, PRIORITY) ? (uint8_t)a->priority : PRIORITY_DEFAULT,
    };
    return 0;
}

static void puts_release(struct job_put *puts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        slice_release(&puts[i].body);
        job_ext_free(puts[i].ext);
    }
}

/* All of a request's, into one queue. */
static int make_puts(struct ask *ask, struct desk **ret_desk, struct job_put *puts)
{
    mono_t now = pen_loop_now(ask->workers->part.loop);
    size_t n = 0;
    struct desk *desk = NULL, *other;
    int r = 0;
    while (r == 0 && worker_request_next(&ask->request)) {
        r = ask_desk(ask, &ask->request.record->attrs, &other);
        if (r == 0 && desk != NULL && other != desk) {
            (void)snprintf(ask->text, sizeof ask->text, "one request puts into one queue");
            r = PEN_EPROTO;
        }
        desk = r == 0 ? other : desk;
        if (r == 0)
            r = make_put(&ask->request, now, &puts[n]);
        n += r == 0;
    }
    if (r < 0)
        puts_release(puts, n);
    else
        *ret_desk = desk;
    return r;
}

/* ---- receipts ---- */

static void add_receipt(struct worker_answer *answer, struct desk *d, const struct job_put *put)
{
    struct batch_record record = { .status = put->ret_status };
    struct batch_attrs *a = &record.attrs;
    if (put->ret_status == 0 || put->ret_status == PEN_EDUPLICATE)
        batch_set(a, ID, id, put->ret_id);
    if (put->ret_status == PEN_EDUPLICATE) {
        record.status = 0;
        batch_mark(a, DUPLICATE);
    } else if (put->ret_status == 0) {
        span_t eta = jobq_eta(d->queue, put->ret_position);
        batch_set(a, LEVEL, level, (uint64_t)jobq_level(d->queue));
        batch_set(a, POSITION, position, put->ret_position);
        if (eta.ns >= 0)
            batch_set(a, ETA, eta_ms, (uint64_t)eta.ns / 1000000);
    }
    worker_answer_add(answer, &record);
}

/* They were decided: what was accepted is the queue's. */
static void receipt(struct desk *d, const struct route *route, const struct worker_form *form,
                    struct job_put *puts, size_t n) ON_LOOP
{
    struct workers *w = d->workers;
    struct worker_answer answer;
    worker_answer_begin(&answer, form, BATCH_RECEIPTS, NULL);
    for (size_t i = 0; i < n; i++) {
        add_receipt(&answer, d, &puts[i]);
        bool taken = puts[i].ret_status == 0;
        count_add(taken ? &w->put : &w->refused, 1);
        if (!taken)
            puts_release(&puts[i], 1);
    }
    workers_answer_kept(d, route, form, &answer);
}

/* ---- putting ---- */

/* n: decided; 0: they must wait; or an error for all of them. */
static int try(struct desk *d, struct job_put *puts, size_t n) ON_LOOP
{
    return n == 1 ? jobq_putter_put(d->putter, puts, n) : jobq_putter_put_all(d->putter, puts, n);
}

/* Milliseconds: as long as the request says and the queue permits. */
static uint64_t patience(const struct worker_request *q, const struct conf_queue *c)
{
    uint64_t asked = batch_has(&q->frame, WAIT) ? q->frame.wait_ms : INT64_MAX;
    uint64_t most =
        c->block_timeout.ns > 0 ? (uint64_t)(c->block_timeout.ns + 999999) / 1000000 : INT64_MAX;
    return asked < most ? asked : most;
}

static int wait_for_room(struct ask *ask, struct desk *d, struct job_put *puts, size_t n) ON_LOOP
{
    struct job_put *copy = malloc(n * sizeof *copy);
    struct pending *p = copy != NULL ? pending_new(ask, 1, patience(&ask->request, d->conf)) : NULL;
    if (p == NULL) {
        free(copy);
        puts_release(puts, n);
        return copy == NULL ? PEN_ENOMEM : 0; /* It was refused. */
    }
    memcpy(copy, puts, n * sizeof *copy);
    p->puts = copy;
    p->puts_count = n;
    p->at[0] = (struct pending_at){ .pending = p, .desk = d };
    list_push_back(&d->puts, &p->at[0].node);
    return 0;
}

int workers_put(struct ask *ask)
{
    struct job_put puts[LIMIT_BATCH_ITEMS];
    struct desk *d;
    size_t n = ask->request.count;
    if (ask->workers->finishing)
        return PEN_EDRAINING;
    int r = make_puts(ask, &d, puts);
    if (r < 0)
        return r;
    r = list_empty(&d->puts) ? try(d, puts, n) : 0;
    if (r == 0 && patience(&ask->request, d->conf) == 0)
        r = PEN_EFULL;
    if (r == 0)
        return wait_for_room(ask, d, puts, n);
    if (r > 0)
        receipt(d, &ask->frame->route, &ask->request.form, puts, n);
    else
        puts_release(puts, n);
    return r < 0 ? r : 0;
}

/* It is our turn: those who wait put, in their order, until one must go on waiting. */
void workers_on_room(struct jobq_putter *putter, void *arg)
{
    struct desk *d = arg;
    struct workers *w = d->workers;
    loop_assert_here(w->part.loop);
    while (!list_empty(&d->puts)) {
        struct pending_at *at = CONTAINER_OF(d->puts.next, struct pending_at, node);
        struct pending *p = at->pending;
        int r = try(d, p->puts, p->puts_count);
        if (r == 0)
            return;
        if (r > 0) {
            receipt(d, &p->route, &p->form, p->puts, p->puts_count);
            p->puts_count = 0; /* They are gone. */
        } else {
            workers_refuse(w, &p->route, &p->form, r == PEN_ESHUTDOWN ? PEN_EDRAINING : r, NULL);
        }
        pending_free(p);
    }
    (void)BUG(jobq_putter_put(putter, NULL, 0) > 0); /* The turn goes on to the next. */
}
