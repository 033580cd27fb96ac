/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer is found by the number that its request went out with; one that nobody waits for any more is dropped.
 *
 * Thread: the loop's.
 */
#include "cli/desk.h"

#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "proto/sp.h"

enum { ID_MASK = 0x7fffffff };

/* ---- the end of a question ---- */

void desk_forget(struct desk_ask *a)
{
    if (a->desk == NULL)
        return;
    pen_timer_cancel(&a->timer);
    list_remove(&a->node);
    slice_release(&a->frame);
    a->desk = NULL;
}

static void conclude(struct desk_ask *a, const json_t *answer, int error)
{
    desk_forget(a);
    a->on_answer(a, answer, error, a->arg);
}

static void on_time(struct pen_loop *loop, void *arg, int status)
{
    if (status < 0) /* The loop is being closed. */
        return;
    loop_assert_here(loop);
    conclude(arg, NULL, PEN_ETIMEOUT);
}

/* ---- out ---- */

/* False: there is no room, or no connection yet. */
static bool send(struct desk *d, struct desk_ask *a) ON_LOOP
{
    struct route route;
    sp_request_route(a->id, &route);
    struct parcel_frame parcel = { .body = a->frame, .route = &route };
    if (endpoint_send(d->endpoint, &parcel, 1) == 0)
        return false;
    a->frame = (struct slice){ 0 };
    a->sent = true;
    return true;
}

/* In their order. */
static void send_waiting(struct desk *d) ON_LOOP
{
    LIST_EACH_SAFE(node, &d->asks) {
        struct desk_ask *a = CONTAINER_OF(node, struct desk_ask, node);
        if (!a->sent && !send(d, a))
            return;
    }
}

static int encode(json_t *request, struct slice *ret_slice)
{
    uint8_t *to;
    size_t bytes = request != NULL ? json_dumpb(request, NULL, 0, JSON_COMPACT) : 0;
    int r = bytes > 0 ? slice_new(bytes, ret_slice, &to) : PEN_ENOMEM;
    if (r == 0)
        check(json_dumpb(request, (char *)to, bytes, JSON_COMPACT) == bytes);
    json_decref(request);
    return r;
}

int desk_ask(struct desk *d, struct desk_ask *a, json_t *request, span_t patience)
{
    loop_assert_here(d->loop);
    check(a->desk == NULL && a->on_answer != NULL);
    int r = encode(request, &a->frame);
    if (r == 0 && patience.ns >= 0)
        r = pen_loop_call_later(d->loop, &a->timer, patience, on_time, a);
    if (r < 0) {
        slice_release(&a->frame);
        return r;
    }
    a->desk = d;
    a->id = ++d->next_id & ID_MASK;
    a->sent = false;
    list_push_back(&d->asks, &a->node);
    send_waiting(d);
    return 0;
}

/* ---- in ---- */

static struct desk_ask *find(struct desk *d, const struct route *route)
{
    uint32_t id;
    if (sp_request_id(route, &id) < 0)
        return NULL;
    LIST_EACH(node, &d->asks) {
        struct desk_ask *a = CONTAINER_OF(node, struct desk_ask, node);
        if (a->sent && a->id == id)
            return a;
    }
    return NULL;
}

static void take_answer(struct desk *d, const struct frame *f)
{
    struct desk_ask *a = find(d, &f->route);
    json_error_t error;
    if (a == NULL)
        return;
    json_t *answer = json_loadb((const char *)f->body.at, f->body.bytes,
                                JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    bool is_answer = json_is_boolean(json_object_get(answer, "ok"));
    conclude(a, is_answer ? answer : NULL, is_answer ? 0 : PEN_EPROTO);
    json_decref(answer);
}

static size_t on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    (void)endpoint;
    struct desk *d = arg;
    loop_assert_here(d->loop);
    for (size_t i = 0; i < n; i++) {
        take_answer(d, &frames[i]);
        slice_release(&frames[i].body);
    }
    return n;
}

static void on_room(struct endpoint *endpoint, void *arg)
{
    (void)endpoint;
    struct desk *d = arg;
    loop_assert_here(d->loop);
    send_waiting(d);
}

/* Those asked while others are concluded are not sent over the connection that was lost. */
static void on_peer_gone(struct endpoint *endpoint, uint32_t peer, void *arg)
{
    (void)endpoint;
    (void)peer;
    struct desk *d = arg;
    loop_assert_here(d->loop);
    struct list lost;
    list_init(&lost);
    LIST_EACH_SAFE(node, &d->asks) {
        if (!CONTAINER_OF(node, struct desk_ask, node)->sent)
            continue;
        list_remove(node);
        list_push_back(&lost, node);
    }
    while (!list_empty(&lost))
        conclude(CONTAINER_OF(lost.next, struct desk_ask, node), NULL, PEN_ECLOSED);
    if (d->on_lost != NULL)
        d->on_lost(d->arg);
}

/* ---- its life ---- */

int desk_open(struct desk *d, const char *url, char *text, size_t size)
{
    static const struct endpoint_events events = { .on_frames = on_frames,
                                                   .on_room = on_room,
                                                   .on_peer_gone = on_peer_gone };
    char *connect[] = { (char *)url, NULL }; /* Nothing is written to it. */
    struct endpoint_options options = { .loop = d->loop,
                                        .events = &events,
                                        .arg = d,
                                        .name = "desk",
                                        .pattern = SP_REQ,
                                        .connect = connect,
                                        .message_max = DESK_ANSWER_BYTES_MAX,
                                        .transport = TRANSPORT_NATIVE };
    loop_assert_here(d->loop);
    list_init(&d->asks);
    int r = endpoint_open_native(&options, text, size, &d->endpoint);
    if (r == 0)
        endpoint_resume(d->endpoint);
    return r;
}

void desk_close(struct desk *d)
{
    if (d->endpoint == NULL)
        return;
    LIST_EACH_SAFE(node, &d->asks)
        desk_forget(CONTAINER_OF(node, struct desk_ask, node));
    endpoint_free(&d->endpoint);
}

bool desk_is_connected(const struct desk *d)
{
    struct endpoint_stats stats;
    endpoint_stats(d->endpoint, &stats);
    return stats.peers > 0;
}

bool desk_met_strangers(const struct desk *d)
{
    struct endpoint_stats stats;
    endpoint_stats(d->endpoint, &stats);
    return stats.wrong_protocol + stats.garbage_http + stats.garbage_tls + stats.garbage_other > 0;
}

/* ---- answers ---- */

static const int errors[] = {
#define ERR(name, code, text, cause, remedy) PEN_##name,
#include <penstock/err.def>
#undef ERR
};

int desk_refusal(const json_t *answer)
{
    const char *name = json_string_value(json_object_get(answer, "error"));
    if (!json_is_false(json_object_get(answer, "ok")))
        return 0;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0] && name != NULL; i++)
        if (str_equal(pen_errname(errors[i]), name))
            return errors[i];
    return PEN_EINTERNAL;
}
