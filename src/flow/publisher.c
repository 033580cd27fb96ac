/* SPDX-License-Identifier: Apache-2.0
 *
 * Thread: the publisher's loop.
 */
#include "flow/publisher.h"

#include <stdlib.h>

#include "flow/pattern.h"

struct publisher {
    /* fixed after init */
    struct part part;
    const struct conf_publisher *conf;
    struct outlet *outlet;
    /* owner: loop */
    struct endpoint *endpoint;
    struct replay *replay; /* NULL unless results are kept */
    bool stopping, closed; /* closed: the endpoint is */
};

static void on_room(struct endpoint *e, void *arg)
{
    (void)e;
    struct publisher *p = arg;
    loop_assert_here(p->part.loop);
    outlet_on_room(p->outlet);
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct publisher *p = arg;
    loop_assert_here(p->part.loop);
    p->closed = true;
    if (p->replay != NULL)
        replay_close(p->replay, p->stopping); /* What was published last can be asked for until now. */
    else
        part_tell(&p->part, PART_ENDED);
}

static void on_replay_closed(void *arg)
{
    struct publisher *p = arg;
    loop_assert_here(p->part.loop);
    part_tell(&p->part, PART_ENDED);
}

/* Results go out. */
static void on_send(struct parcel_frame *frames, size_t n, void *arg)
{
    struct publisher *p = arg;
    loop_assert_here(p->part.loop);
    replay_number(p->replay, frames, n);
}

static void on_drained(void *arg)
{
    struct publisher *p = arg;
    loop_assert_here(p->part.loop);
    endpoint_close(p->endpoint, p->stopping);
}

static void on_order(struct part *part, enum part_order order)
{
    struct publisher *p = CONTAINER_OF(part, struct publisher, part);
    loop_assert_here(part->loop);
    if (order == PART_CLOSE) {
        outlet_close(p->outlet, false);
    } else if (order == PART_STOP) {
        p->stopping = true;
        outlet_close(p->outlet, true);
        endpoint_close(p->endpoint, true);
        if (p->closed && p->replay != NULL)
            replay_close(p->replay, true);
    }
}

static int open_endpoint(struct publisher *p, char *text, size_t size)
{
    static const struct endpoint_events events = { .on_room = on_room, .on_closed = on_closed };
    const struct conf_publisher *c = p->conf;
    struct endpoint_options options = {
        .loop = p->part.loop,
        .events = &events,
        .arg = p,
        .name = p->part.subject,
        .pattern = sp_pattern_of(c->pattern),
        .listen = c->listen.at,
        .connect = c->connect.at,
        .message_max = 64 * 1024, /* Peers of these patterns have nothing to say. */
        .send_buffer = c->send_buffer,
        .ipc_mode = c->ipc_mode,
        .linger = c->linger,
        .transport = c->transport,
        .connections_max = c->connections_max,
        .peer_messages_max = c->peer_messages_max,
        .peer_bytes_max = c->peer_bytes_max,
        .out_bytes_max = c->out_bytes_max,
        .handshake = c->handshake_timeout,
        .idle = c->idle_timeout,
        .allow_uid = c->allow_uid.at,
        .allow_gid = c->allow_gid.at,
        .slow = c->slow_subscriber,
    };
    return endpoint_open(&options, text, size, &p->endpoint);
}

static int open_replay(struct publisher *p, char *text, size_t size)
{
    struct replay_options options = { .loop = p->part.loop,
                                      .conf = p->conf,
                                      .name = p->part.subject,
                                      .on_closed = on_replay_closed,
                                      .arg = p };
    return p->conf->replay.count == 0 ? 0 : replay_new(&options, text, size, &p->replay);
}

static int open_outlet(struct publisher *p)
{
    struct outlet_options options = { .bytes_max = p->conf->bytes_max,
                                      .framing = p->conf->framing,
                                      .separator = p->conf->separator,
                                      .on_drained = on_drained,
                                      .arg = p };
    if (p->replay != NULL) {
        options.stream = replay_stream(p->replay);
        options.on_send = on_send;
    }
    return outlet_new(&options, p->part.loop, &p->outlet);
}

static void start_answering(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct publisher *p = arg;
    if (status == 0)
        replay_start(p->replay);
}

int publisher_new(const struct publisher_options *options, char *text, size_t size,
                  struct publisher **ret_publisher)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    p->conf = options->conf;
    struct part_options part = options->part;
    part.on_order = on_order;
    text[0] = '\0';
    int r = part_init(&p->part, &part);
    if (r == 0)
        r = open_replay(p, text, size);
    if (r == 0)
        r = open_outlet(p);
    if (r == 0)
        r = open_endpoint(p, text, size);
    if (r < 0) {
        publisher_free(&p);
        return r;
    }
    outlet_set_endpoint(p->outlet, p->endpoint);
    *ret_publisher = p;
    return 0;
}

int publisher_start(struct publisher *p)
{
    int r = 0;
    if (p->replay != NULL)
        r = pen_loop_call_soon_threadsafe(p->part.loop, start_answering, p);
    return r < 0 ? r : part_start(&p->part);
}

void publisher_free(struct publisher **publisher)
{
    struct publisher *p = *publisher;
    if (p == NULL)
        return;
    outlet_free(&p->outlet);
    endpoint_free(&p->endpoint);
    replay_free(&p->replay);
    part_fini(&p->part);
    free(p);
    *publisher = NULL;
}

struct part *publisher_part(struct publisher *p)
{
    return &p->part;
}

struct outlet *publisher_outlet(struct publisher *p)
{
    return p->outlet;
}

const struct replay *publisher_replay(const struct publisher *p)
{
    return p->replay;
}

const struct conf_publisher *publisher_conf(const struct publisher *p)
{
    return p->conf;
}

void publisher_stats(const struct publisher *p, struct publisher_stats *ret_stats)
{
    outlet_stats(p->outlet, &ret_stats->outlet);
    endpoint_stats(p->endpoint, &ret_stats->endpoint);
}

size_t publisher_slow_peers(const struct publisher *p,
                            struct endpoint_slow_peer ret_peers[ENDPOINT_SLOW_PEERS])
{
    return endpoint_slow_peers(p->endpoint, ret_peers);
}
