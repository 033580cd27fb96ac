/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "task/future.h"

enum {
    IN_FLIGHT_DEFAULT = 1024,
    IN_FLIGHT_MAX = 65536,
    BYTES_MIN = 64 * 1024,
    BYTES_DEFAULT = 16 * 1024 * 1024,
    MESSAGE_DEFAULT = 16 * 1024 * 1024,
    TIMEOUT_DEFAULT_S = 30,
    LINGER_S = 10,
    TOPICS_MAX = LIMIT_TOPICS_PER_ENDPOINT
};

static bool sends(const struct pen_client_options *o)
{
    return o->kind == PEN_CLIENT_REQ || o->kind == PEN_CLIENT_PUSH || o->kind == PEN_CLIENT_WORK;
}

bool client_must_not_wait(pen_mono_t deadline)
{
    return deadline.ns != PEN_NOW.ns && loop_any_here();
}

/* ---- options ---- */

static size_t count_topics(const char *const *topics)
{
    size_t n = 0;
    while (topics != NULL && topics[n] != NULL)
        n++;
    return n;
}

static bool are_right(const struct pen_client_options *o)
{
    if (o->address == NULL || o->kind > PEN_CLIENT_WORK || o->framing > PEN_FRAMING_RAW)
        return false;
    if (o->in_flight_max > IN_FLIGHT_MAX || o->timeout.ns < 0)
        return false;
    if (o->bytes_max != 0 && o->bytes_max < BYTES_MIN)
        return false;
    if (sends(o) && (o->framing != PEN_FRAMING_BATCH || o->on_message != NULL))
        return false;
    if ((o->work != NULL) != (o->kind == PEN_CLIENT_WORK) ||
        (o->work != NULL && !work_options_are_right(o)))
        return false;
    return (o->topics == NULL || o->kind == PEN_CLIENT_SUB) && count_topics(o->topics) <= TOPICS_MAX;
}

static void fill_defaults(struct pen_client_options *o)
{
    if (o->in_flight_max == 0)
        o->in_flight_max = IN_FLIGHT_DEFAULT;
    if (o->bytes_max == 0)
        o->bytes_max = BYTES_DEFAULT;
    if (o->message_max == 0)
        o->message_max = MESSAGE_DEFAULT;
    if (o->timeout.ns == 0)
        o->timeout = span_s(TIMEOUT_DEFAULT_S);
    if (o->name == NULL)
        o->name = "client";
}

static int copy_topics(struct pen_client *c, const char *const *topics)
{
    size_t n = count_topics(topics);
    if (topics == NULL || c->options.framing != PEN_FRAMING_BATCH)
        return 0;
    c->topics = calloc(n + 1, sizeof *c->topics);
    for (size_t k = 0; c->topics != NULL && k < n; k++)
        if ((c->topics[k] = strdup(topics[k])) == NULL)
            return PEN_ENOMEM;
    return c->topics != NULL ? 0 : PEN_ENOMEM;
}

/* ---- the endpoint's events ---- */

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t n, void *arg)
{
    (void)e;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    return sends(&c->options) ? ask_on_frames(c, frames, n) : receive_on_frames(c, frames, n);
}

static void on_room(struct endpoint *e, void *arg)
{
    (void)e;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    if (sends(&c->options))
        ask_on_room(c);
}

static void on_peer_gone(struct endpoint *e, uint32_t peer, void *arg)
{
    (void)e;
    (void)peer;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    if (c->work != NULL)
        work_on_gone(c);
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    c->closed = true;
    future_complete(c->ended, 0, NULL);
}

static int open_endpoint(struct pen_client *c, const struct pen_client_options *o)
{
    static const enum sp_pattern patterns[] = { [PEN_CLIENT_REQ] = SP_REQ,
                                                [PEN_CLIENT_PUSH] = SP_PUSH,
                                                [PEN_CLIENT_SUB] = SP_SUB,
                                                [PEN_CLIENT_PULL] = SP_PULL,
                                                [PEN_CLIENT_WORK] = SP_REQ };
    static const struct endpoint_events events = { .on_frames = on_frames,
                                                   .on_room = on_room,
                                                   .on_closed = on_closed,
                                                   .on_peer_gone = on_peer_gone };
    char *connect[] = { (char *)o->address, NULL };
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct endpoint_options options = { .loop = c->loop,
                                        .events = &events,
                                        .arg = c,
                                        .name = c->options.name,
                                        .pattern = patterns[o->kind],
                                        .connect = connect,
                                        .message_max = c->options.message_max,
                                        .linger = span_s(LINGER_S) };
    if (o->framing == PEN_FRAMING_RAW)
        options.topics = (char *const *)(uintptr_t)o->topics;
    return endpoint_open_native(&options, text, sizeof text, &c->endpoint);
}

/* ---- the end ---- */

void client_go_on_closing(struct pen_client *c)
{
    if (!c->closing || c->closed)
        return;
    bool at_once = count_read(&c->close_at_once) != 0;
    bool over = !sends(&c->options) || (ask_is_over(c) && (c->work == NULL || work_is_over(c)));
    if (at_once || over)
        endpoint_close(c->endpoint, at_once);
}

static void on_close(struct pen_loop *loop, void *arg, int status)
{
    struct pen_client *c = arg;
    if (status < 0)
        return;
    loop_assert_here(loop);
    bool at_once = count_read(&c->close_at_once) != 0;
    c->closing = true;
    if (c->work != NULL)
        work_close(c, at_once);
    if (sends(&c->options))
        ask_close(c, at_once);
    else
        receive_close(c, at_once);
    client_go_on_closing(c);
}

void pen_client_close(struct pen_client *c, bool immediate)
{
    if (immediate)
        count_set(&c->close_at_once, 1);
    if (c->outbox != NULL)
        pen_queue_shutdown(c->outbox, PEN_SHUTDOWN_GRACEFUL); /* From this moment on. */
    (void)loop_post(c->loop, &c->close_post);
}

int pen_client_join(struct pen_client *c, pen_mono_t deadline)
{
    if (client_must_not_wait(deadline))
        return PEN_EWRONGTHREAD;
    return pen_future_get(c->ended, deadline, NULL);
}

static void stop_own_loop(struct pen_client *c)
{
    pen_client_close(c, true);
    check(pen_future_get(c->ended, PEN_NEVER, NULL) == 0);
    pen_loop_stop(c->loop);
    check(pen_loop_join(c->loop) == 0);
}

static void release(struct pen_client *c)
{
    if (c->endpoint != NULL)
        endpoint_free(&c->endpoint);
    ask_fini(c);
    work_fini(c);
    receive_fini(c);
    if (c->own_loop)
        pen_loop_free(&c->loop);
    pen_future_unref(&c->ended);
    for (char **topic = c->topics; topic != NULL && *topic != NULL; topic++)
        free(*topic);
    free(c->topics);
    free(c);
}

void pen_client_free(struct pen_client **client)
{
    struct pen_client *c = *client;
    if (c == NULL)
        return;
    *client = NULL;
    if (c->own_loop)
        stop_own_loop(c);
    check(loop_may_touch(c->loop));
    release(c);
}

/* ---- making ---- */

static int make_loop(struct pen_client *c)
{
    struct pen_loop_options options = { .name = c->options.name };
    c->loop = c->options.loop;
    c->own_loop = c->loop == NULL;
    if (!c->own_loop)
        return loop_may_touch(c->loop) ? 0 : PEN_EWRONGTHREAD;
    return pen_loop_new(&options, &c->loop);
}

static int make_ended(struct pen_client *c)
{
    struct pen_job_options options = { .name = "client" };
    int r = future_new(&options, &c->ended);
    if (r == 0)
        check(future_begin(c->ended));
    return r;
}

static int build(struct pen_client *c, const struct pen_client_options *o)
{
    int r = make_loop(c);
    if (r == 0)
        r = make_ended(c);
    if (r == 0)
        r = copy_topics(c, o->topics);
    if (r == 0 && o->work != NULL)
        r = work_init(c, o->work);
    if (r == 0)
        r = sends(o) ? ask_init(c) : receive_init(c);
    if (r == 0)
        r = open_endpoint(c, o);
    if (r < 0)
        return r;
    loop_assert_here(c->loop);
    endpoint_resume(c->endpoint);
    if (c->work != NULL)
        ask_flush(c);
    return c->own_loop ? pen_loop_start(c->loop) : 0;
}

int pen_client_new(const struct pen_client_options *options, struct pen_client **ret_client)
{
    if (!are_right(options))
        return PEN_EINVAL;
    struct pen_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return PEN_ENOMEM;
    c->options = *options;
    fill_defaults(&c->options);
    list_init(&c->own);
    list_init(&c->in_flight);
    post_init(&c->close_post, on_close, c);
    int r = build(c, options);
    c->options.name = NULL;
    c->options.address = NULL;
    c->options.topics = NULL;
    c->options.work = NULL;
    if (r < 0) {
        release(c);
        return r;
    }
    *ret_client = c;
    return 0;
}

/* ---- questions ---- */

int pen_client_pause(struct pen_client *c)
{
    if (!loop_may_touch(c->loop))
        return PEN_EWRONGTHREAD;
    loop_assert_here(c->loop);
    c->paused = true;
    if (c->work == NULL)
        endpoint_pause(c->endpoint);
    return 0;
}

int pen_client_resume(struct pen_client *c)
{
    if (!loop_may_touch(c->loop))
        return PEN_EWRONGTHREAD;
    loop_assert_here(c->loop);
    c->paused = false;
    if (c->work != NULL)
        ask_flush(c);
    else
        endpoint_resume(c->endpoint);
    return 0;
}

void pen_client_stats(struct pen_client *c, struct pen_client_stats *ret_stats)
{
    struct endpoint_stats endpoint;
    struct pen_queue_stats queue = { 0 };
    endpoint_stats(c->endpoint, &endpoint);
    if (c->outbox != NULL)
        pen_queue_stats(c->outbox, &queue);
    *ret_stats = (struct pen_client_stats){
        .connected = endpoint.peers > 0,
        .connects = endpoint.connects,
        .requests = count_read(&c->requests),
        .answers = count_read(&c->answers),
        .timeouts = count_read(&c->timeouts),
        .received = count_read(&c->received),
        .malformed = count_read(&c->malformed),
        .in_flight = (uint32_t)count_read(&c->in_flight_now),
        .waiting = (uint32_t)queue.items,
    };
    if (c->work != NULL)
        work_stats(c, ret_stats);
}
