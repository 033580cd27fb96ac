/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket: a rep endpoint on MAIN's loop, one JSON object a request and one an answer. Answers never wait for
 * a part's loop, so it works while handlers are busy.
 */
#include "proto/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "obs/log.h"
#include "proto/json.h"

struct control {
    struct daemon *daemon;
    struct endpoint *endpoint;
    void (*on_closed)(struct daemon *d);
};

/* ---- operations ---- */

static int with_queue(struct daemon *d, const struct control_request *q, struct jobq **ret_queue)
{
    *ret_queue = graph_queue(d, q->queue);
    return *ret_queue != NULL ? 0 : PEN_ENOENT;
}

static int change_queue(struct daemon *d, const struct control_request *q, struct slice *ret_answer)
{
    struct jobq *queue;
    int r = with_queue(d, q, &queue);
    if (r == 0 && q->op == CONTROL_PAUSE && d->state != DAEMON_RUNNING)
        r = PEN_EDRAINING; /* It would keep the drain from its end. */
    if (r < 0)
        return r;
    if (q->op == CONTROL_PAUSE)
        jobq_pause(queue);
    else
        jobq_resume(queue);
    log_notice("control", "%s queue %s", control_op_word(q->op), q->queue);
    return control_ok_encode(ret_answer);
}

static int purge_queue(struct daemon *d, const struct control_request *q, struct slice *ret_answer)
{
    struct jobq *queue;
    int r = with_queue(d, q, &queue);
    if (r < 0)
        return r;
    uint64_t n = jobq_purge(queue);
    log_notice("control", "purged %llu messages from queue %s", (unsigned long long)n, q->queue);
    char text[64];
    int bytes = snprintf(text, sizeof text, "{\"ok\":true,\"purged\":%llu}", (unsigned long long)n);
    return slice_copy(text, (size_t)bytes, ret_answer);
}

static int perform(struct daemon *d, const struct control_request *q, struct slice *ret_answer)
{
    switch (q->op) {
    case CONTROL_STATUS:
        return status_encode(d, ret_answer);
    case CONTROL_TASKS:
        return tasks_encode(ret_answer);
    case CONTROL_QUEUES:
        return queues_encode(d, q->queue, ret_answer);
    case CONTROL_PAUSE:
    case CONTROL_RESUME:
        return change_queue(d, q, ret_answer);
    case CONTROL_PURGE:
        return purge_queue(d, q, ret_answer);
    case CONTROL_DRAIN:
        daemon_drain(d, "asked through the control socket");
        return control_ok_encode(ret_answer);
    case CONTROL_SHUTDOWN:
        daemon_stop(d, "asked through the control socket");
        return control_ok_encode(ret_answer);
    }
    return PEN_EINTERNAL;
}

/* ---- the endpoint's events ---- */

static void answer(struct control *c, struct frame *f) ON_LOOP
{
    struct control_request request;
    char text[LIMIT_ERROR_TEXT_BYTES] = "";
    struct slice body = { 0 };
    int r = control_request_decode(f->body.at, f->body.bytes, &request, text, sizeof text);
    if (r == 0)
        r = perform(c->daemon, &request, &body);
    if (r == PEN_ENOENT)
        (void)snprintf(text, sizeof text, "there is no queue named \"%s\"", request.queue);
    if (r < 0)
        r = json_failure_encode(r, text[0] != '\0' ? text : pen_strerror(r), &body);
    if (r < 0) {
        log_error("control", "a request could not be answered: %s", pen_strerror(r));
        return;
    }
    struct parcel_frame reply = { .body = body, .route = &f->route };
    if (endpoint_send(c->endpoint, &reply, 1) == 0)
        slice_release(&body);
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    const struct control *c = arg;
    loop_assert_here(c->daemon->main);
    for (size_t i = 0; i < n; i++) {
        answer(arg, &frames[i]);
        slice_release(&frames[i].body);
    }
    return n;
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct control *c = arg;
    if (c->on_closed != NULL)
        c->on_closed(c->daemon);
}

int control_open(struct daemon *d)
{
    char *address = d->conf->top.control;
    if (address == NULL || address[0] == '\0')
        return 0;
    struct control *c = calloc(1, sizeof *c);
    if (c == NULL)
        return PEN_ENOMEM;
    c->daemon = d;
    char *listen[] = { address, NULL };
    static const struct endpoint_events events = { .on_frames = on_frames, .on_closed = on_closed };
    struct endpoint_options options = { .loop = d->main,
                                        .events = &events,
                                        .arg = c,
                                        .name = "control",
                                        .pattern = SP_REP,
                                        .listen = listen,
                                        .message_max = LIMIT_CONTROL_BYTES,
                                        .ipc_mode = d->conf->top.control_mode,
                                        .linger = span_ms(200) };
    char text[LIMIT_ERROR_TEXT_BYTES] = "";
    int r = endpoint_open(&options, text, sizeof text, &c->endpoint);
    if (r < 0) {
        log_error("control", "%s", text[0] != '\0' ? text : pen_strerror(r));
        free(c);
        return r;
    }
    loop_assert_here(d->main);
    endpoint_resume(c->endpoint);
    d->control = c;
    return 0;
}

void control_close(struct daemon *d, void (*fn)(struct daemon *d))
{
    if (d->control == NULL) {
        fn(d);
        return;
    }
    loop_assert_here(d->main);
    d->control->on_closed = fn;
    endpoint_close(d->control->endpoint, false);
}

void control_free(struct daemon *d)
{
    struct control *c = d->control;
    if (c == NULL)
        return;
    endpoint_free(&c->endpoint);
    free(c);
    d->control = NULL;
}
