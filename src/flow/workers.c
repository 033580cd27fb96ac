/* SPDX-License-Identifier: Apache-2.0
 *
 * The endpoint: a frame is decoded, done and answered, or waits. A connection that ends takes its waiting requests along, and
 * gives back what it holds.
 *
 * Thread: the endpoint's loop.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/workers_inside.h"
#include "plat/clock.h"

enum { LOG_BURST = 10 }; /* lines a second */

/* ---- names ---- */

char *text_copy(struct batch_text text)
{
    return strndup(text.at, text.bytes);
}

struct desk *workers_desk(struct workers *w, const char *name)
{
    for (size_t i = 0; i < w->desks_count; i++)
        if (strcmp(w->desks[i].conf->name, name) == 0)
            return &w->desks[i];
    return NULL;
}

int ask_desk(struct ask *ask, const struct batch_attrs *attrs, struct desk **ret_desk)
{
    char name[LIMIT_NAME_BYTES + 1] = "";
    if (!batch_has(attrs, QUEUE)) {
        (void)snprintf(ask->text, sizeof ask->text, "no queue is named");
        return PEN_EPROTO;
    }
    memcpy(name, attrs->queue.at, attrs->queue.bytes);
    name[attrs->queue.bytes] = '\0';
    struct desk *d = workers_desk(ask->workers, name);
    if (d == NULL || !d->open) {
        (void)snprintf(ask->text, sizeof ask->text, "there is no queue \"%s\" here", name);
        return PEN_ENOENT;
    }
    *ret_desk = d;
    return 0;
}

uint64_t workers_owner(const struct workers *w, const struct route *route)
{
    return (uint64_t)(w->options.index + 1) << 32 | endpoint_route_peer(route);
}

/* ---- answers ---- */

void workers_send(struct workers *w, const struct route *route, int made, struct slice body)
{
    if (made < 0) {
        log_error(w->part.subject, "an answer could not be made: %s", pen_strerror(made));
        return;
    }
    struct parcel_frame frame = { .body = body, .route = route };
    if (endpoint_send(w->endpoint, &frame, 1) == 0)
        slice_release(&body);
}

void workers_refuse(struct workers *w, const struct route *route, const struct worker_form *form,
                    int error, const char *text)
{
    struct slice body = { 0 };
    count_add(&w->refused, 1);
    int r = worker_refusal_encode(form, error, text, &body);
    workers_send(w, route, r, body);
}

bool workers_answer(struct workers *w, const struct route *route, struct worker_answer *answer)
{
    struct slice body = { 0 };
    int r = worker_answer_end(answer, &body);
    workers_send(w, route, r, body);
    return r == 0;
}

/* A form as a number. */
enum { FORM_FRAMING_SHIFT = 32, FORM_LIST_SHIFT = 40 };

static void on_receipt_kept(void *arg, const struct route *route, struct slice body)
{
    struct desk *d = arg;
    loop_assert_here(d->workers->part.loop);
    workers_send(d->workers, route, 0, body);
}

static void on_receipt_broken(void *arg, const struct route *route, uint64_t number, int error)
{
    struct desk *d = arg;
    loop_assert_here(d->workers->part.loop);
    struct worker_form form = { .framing = (number >> FORM_FRAMING_SHIFT) & UINT8_MAX,
                                .tag = (uint32_t)number,
                                .is_list = number >> FORM_LIST_SHIFT };
    workers_refuse(d->workers, route, &form, error, NULL);
}

void workers_answer_kept(struct desk *d, const struct route *route, const struct worker_form *form,
                         struct worker_answer *answer)
{
    struct slice body = { 0 };
    int r = worker_answer_end(answer, &body);
    uint64_t number = form->tag | (uint64_t)form->framing << FORM_FRAMING_SHIFT |
                      (uint64_t)form->is_list << FORM_LIST_SHIFT;
    if (r < 0 || d->receipts == NULL)
        workers_send(d->workers, route, r, body);
    else
        promises_add(d->receipts, route, body, number);
}

/* ---- waiting ---- */

static void on_time(struct pen_loop *loop, void *arg, int status)
{
    struct pending *p = arg;
    struct workers *w = p->workers;
    if (status < 0) /* The loop is being closed: its owner frees what waits. */
        return;
    loop_assert_here(loop);
    struct worker_answer answer;
    if (p->puts != NULL) {
        workers_refuse(w, &p->route, &p->form, PEN_EFULL, NULL);
    } else {
        worker_answer_begin(&answer, &p->form, BATCH_JOBS, NULL);
        (void)workers_answer(w, &p->route, &answer);
    }
    pending_free(p);
}

static int arm(struct pending *p, uint64_t wait_ms)
{
    if (wait_ms >= INT64_MAX / 1000000)
        return 0;
    return pen_loop_call_later(p->workers->part.loop, &p->timer, span_ms((int64_t)wait_ms), on_time,
                               p);
}

struct pending *pending_new(struct ask *ask, size_t count, uint64_t wait_ms)
{
    struct workers *w = ask->workers;
    struct pending *p = NULL;
    int r = count_read(&w->waiting) >= w->conf->waiting_max ? PEN_ELIMIT : 0;
    if (r == 0) {
        p = calloc(1, sizeof *p + count * sizeof p->at[0]);
        r = p != NULL ? 0 : PEN_ENOMEM;
    }
    if (r == 0) {
        p->workers = w;
        r = arm(p, wait_ms);
    }
    if (r < 0) {
        free(p);
        workers_refuse(w, &ask->frame->route, &ask->request.form, r,
                       r == PEN_ELIMIT ? "max_waiting requests wait already" : NULL);
        return NULL;
    }
    p->route = ask->frame->route;
    p->form = ask->request.form;
    p->count = count;
    list_push_back(&w->pendings, &p->in_all);
    count_add(&w->waiting, 1);
    return p;
}

/* Nobody waits at this desk any more: let the next one have the turn that may be ours. */
static void leave_desk(struct pending_at *at) ON_LOOP
{
    struct desk *d = at->desk;
    list_remove(&at->node);
    if (d == NULL)
        return;
    if (list_empty(&d->reserves) && d->taker != NULL)
        jobq_taker_pass(d->taker);
}

void pending_free(struct pending *p)
{
    struct workers *w = p->workers;
    pen_timer_cancel(&p->timer);
    list_remove(&p->in_all);
    for (size_t i = 0; i < p->count; i++)
        leave_desk(&p->at[i]);
    for (size_t i = 0; i < p->puts_count; i++) {
        slice_release(&p->puts[i].body);
        job_ext_free(p->puts[i].ext);
    }
    free(p->puts);
    free(p);
    count_add(&w->waiting, (uint64_t)0 - 1);
}

/* ---- requests ---- */

static int perform(struct ask *ask) ON_LOOP
{
    switch (ask->request.kind) {
    case BATCH_PUT:
        return workers_put(ask);
    case BATCH_RESERVE:
        return workers_reserve(ask);
    case BATCH_KICK:
        return workers_kick(ask);
    case BATCH_PEEK:
        return workers_peek(ask);
    case BATCH_REDRIVE:
        return workers_redrive(ask);
    case BATCH_RESULT:
        return workers_result(ask);
    case BATCH_STATS:
        return workers_report(ask);
    default:
        return workers_held(ask);
    }
}

static void answer(struct workers *w, const struct frame *f) ON_LOOP
{
    struct ask ask = { .workers = w, .frame = f };
    enum worker_framing framing = w->conf->framing == FRAMING_JSON ? WORKER_JSON : WORKER_BATCH;
    int r = worker_request_decode(framing, f->body, &ask.request, ask.text, sizeof ask.text);
    if (r < 0) {
        count_add(&w->malformed, 1);
        log_limited(&w->limit, LOG_BURST, w->part.subject, "malformed request of %zu bytes: %s",
                    f->body.bytes, ask.text[0] != '\0' ? ask.text : pen_strerror(r));
        workers_refuse(w, &f->route, &ask.request.form, r, ask.text);
        return;
    }
    r = perform(&ask);
    if (r < 0)
        workers_refuse(w, &f->route, &ask.request.form, r, ask.text);
    worker_request_fini(&ask.request);
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    struct workers *w = arg;
    loop_assert_here(w->part.loop);
    struct slice_releaser bodies = { 0 };
    for (size_t i = 0; i < n; i++) {
        answer(w, &frames[i]);
        slice_releaser_add(&bodies, &frames[i].body);
    }
    slice_releaser_end(&bodies);
    return n;
}

static void on_peer_gone(struct endpoint *e, uint32_t peer, void *arg)
{
    (void)e;
    struct workers *w = arg;
    loop_assert_here(w->part.loop);
    LIST_EACH_SAFE(node, &w->pendings) {
        struct pending *p = CONTAINER_OF(node, struct pending, in_all);
        if (endpoint_route_peer(&p->route) == peer)
            pending_free(p);
    }
    uint64_t owner = (uint64_t)(w->options.index + 1) << 32 | peer;
    for (size_t i = 0; i < w->desks_count; i++)
        if (w->desks[i].open)
            count_add(&w->returned, jobq_owner_gone(w->desks[i].queue, owner));
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct workers *w = arg;
    part_tell(&w->part, PART_ENDED);
}

/* ---- orders ---- */

/* Whoever waits is told that there is nothing to wait for. */
static void dismiss(struct workers *w, bool puts_only) ON_LOOP
{
    LIST_EACH_SAFE(node, &w->pendings) {
        struct pending *p = CONTAINER_OF(node, struct pending, in_all);
        if (puts_only && p->puts == NULL)
            continue;
        workers_refuse(w, &p->route, &p->form, PEN_EDRAINING, NULL);
        pending_free(p);
    }
}

static void finish(struct workers *w) ON_LOOP
{
    if (w->finishing)
        return;
    w->finishing = true;
    dismiss(w, true);
    part_tell(&w->part, PART_FINISHED);
}

static void close_desks(struct workers *w) ON_LOOP
{
    for (size_t i = 0; i < w->desks_count; i++) {
        jobq_taker_close(&w->desks[i].taker);
        jobq_putter_close(&w->desks[i].putter);
        promises_free(&w->desks[i].receipts);
    }
}

static void on_order(struct part *part, enum part_order order)
{
    struct workers *w = CONTAINER_OF(part, struct workers, part);
    loop_assert_here(part->loop);
    finish(w);
    if (order == PART_FINISH || w->stopping)
        return;
    w->stopping = order == PART_STOP;
    dismiss(w, false);
    endpoint_pause(w->endpoint);
    endpoint_close(w->endpoint, order == PART_STOP);
}

static void start_reading(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct workers *w = arg;
    if (status == 0)
        endpoint_resume(w->endpoint);
}

/* ---- making and freeing ---- */

static int open_endpoint(struct workers *w, char *text, size_t size)
{
    const struct conf_workers *c = w->conf;
    static const struct endpoint_events events = { .on_frames = on_frames,
                                                   .on_closed = on_closed,
                                                   .on_peer_gone = on_peer_gone };
    struct endpoint_options options = {
        .loop = w->part.loop,
        .events = &events,
        .arg = w,
        .name = w->part.subject,
        .pattern = SP_REP,
        .listen = c->listen.at,
        .message_max = c->message_max,
        .ipc_mode = c->ipc_mode,
        .linger = c->linger,
        .transport = TRANSPORT_NATIVE,
        .connections_max = c->connections_max,
        .peer_bytes_max = c->peer_bytes_max,
        .handshake = c->handshake_timeout,
    };
    return endpoint_open(&options, text, size, &w->endpoint);
}

static int open_receipts(struct desk *d)
{
    if (!jobq_is_durable(d->queue))
        return 0;
    struct promises_options options = { .queue = d->queue,
                                        .loop = d->workers->part.loop,
                                        .send = on_receipt_kept,
                                        .fail = on_receipt_broken,
                                        .arg = d };
    return promises_new(&options, &d->receipts);
}

static int open_desk(struct workers *w, struct desk *d, const struct workers_queue *queue)
{
    struct jobq_taker_options taker = { .on_ready = workers_on_ready, .arg = d };
    struct jobq_putter_options putter = { .on_room = workers_on_room, .arg = d };
    *d = (struct desk){ .workers = w, .queue = queue->queue, .conf = queue->conf };
    d->open = conf_workers_serve(w->conf, queue->conf->name);
    list_init(&d->reserves);
    list_init(&d->puts);
    int r = jobq_attach_putter(d->queue, w->part.loop, &putter, &d->putter);
    if (r == 0)
        r = open_receipts(d);
    if (r == 0 && d->open)
        r = jobq_attach_taker(d->queue, w->part.loop, &taker, &d->taker);
    return r;
}

static int open_desks(struct workers *w, const struct workers_options *options)
{
    w->desks = calloc(options->queues_count, sizeof *w->desks);
    if (w->desks == NULL)
        return PEN_ENOMEM;
    int r = 0;
    for (; w->desks_count < options->queues_count && r == 0; w->desks_count++)
        r = open_desk(w, &w->desks[w->desks_count], &options->queues[w->desks_count]);
    return r;
}

int workers_new(const struct workers_options *options, char *text, size_t size,
                struct workers **ret_workers)
{
    struct workers *w = calloc(1, sizeof *w);
    if (w == NULL)
        return PEN_ENOMEM;
    w->options = *options;
    w->options.queues = NULL; /* It was borrowed. */
    w->conf = options->conf;
    w->random = (uint64_t)clock_mono().ns;
    list_init(&w->pendings);
    struct part_options part = options->part;
    part.on_order = on_order;
    text[0] = '\0';
    int r = part_init(&w->part, &part);
    if (r == 0)
        r = open_desks(w, options);
    if (r == 0)
        r = open_endpoint(w, text, size);
    if (r < 0) {
        workers_free(&w);
        return r;
    }
    *ret_workers = w;
    return 0;
}

int workers_start(struct workers *w)
{
    int r = pen_loop_call_soon_threadsafe(w->part.loop, start_reading, w);
    return r < 0 ? r : part_start(&w->part);
}

void workers_free(struct workers **workers)
{
    struct workers *w = *workers;
    if (w == NULL)
        return;
    loop_assert_here(w->part.loop); /* Nobody runs it any more. */
    LIST_EACH_SAFE(node, &w->pendings)
        pending_free(CONTAINER_OF(node, struct pending, in_all));
    close_desks(w);
    endpoint_free(&w->endpoint);
    part_fini(&w->part);
    free(w->desks);
    free(w);
    *workers = NULL;
}

/* ---- questions ---- */

struct part *workers_part(struct workers *w)
{
    return &w->part;
}

const struct conf_workers *workers_conf(const struct workers *w)
{
    return w->conf;
}

void workers_stats(const struct workers *w, struct workers_stats *ret_stats)
{
    *ret_stats = (struct workers_stats){
        .put = count_read(&w->put),
        .reserved = count_read(&w->reserved),
        .settled = count_read(&w->settled),
        .refused = count_read(&w->refused),
        .malformed = count_read(&w->malformed),
        .late = count_read(&w->late),
        .returned = count_read(&w->returned),
        .waiting = count_read(&w->waiting),
    };
    endpoint_stats(w->endpoint, &ret_stats->endpoint);
}
