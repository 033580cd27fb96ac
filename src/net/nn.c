/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints over libnanomsg: every SP transport it has, toward peers that are trusted.
 *
 * libnanomsg has one thread of its own and tells through two descriptors, one for "there is
 * something to receive" and one for "there is room to send". Both are only ever watched, never read
 * or written, and both tell a level: readable as long as it is so. What this file keeps to:
 *
 *   - EAGAIN does not mean empty. A raw REP socket answers a malformed request with EAGAIN while good
 *     ones wait behind it; the level brings the next turn, and at the end the descriptor is asked.
 *   - A received message is a chunk of libnanomsg's. Small ones are copied into a shared buffer and
 *     the chunk is freed at once, so that a waiting small message pins its share and not an
 *     allocation; large ones are passed on as they are.
 *   - Control data is received into and sent from an ordinary buffer: a chunk given with NN_MSG is
 *     freed even when the send says EAGAIN.
 *   - PUB, BUS, SURVEYOR and whoever answers never push back: what a peer cannot take is dropped in
 *     libnanomsg, unseen.
 *   - nn_close() forgets what has not left yet (there is no NN_LINGER any more), and a libnanomsg
 *     peer on ipc forgets what it has not read when we close. So closing waits for a while: up to
 *     `linger` since the last send, or since the close when something is seen to wait still, and
 *     until the last peer has left. No event tells of the latter; a timer looks, at growing intervals.
 *
 * Thread: the endpoint's loop. Counters are read from any thread; libnanomsg's own are asked under
 * stats_lock, because after the close its socket number may be another endpoint's.
 */
#include <errno.h>
#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "net/chunk.h"
#include "net/endpoint_kind.h"
#include "net/nn_address.h"
#include "obs/log.h"
#include "sync/lock.h"

enum {
    SMALL_BYTES = 4 * 1024,    /* a message up to this is copied */
    CHUNK_BYTES = 64 * 1024,   /* the buffer it is copied to */
    BATCH_BYTES = 1024 * 1024, /* a batch ends after this much */
    MESSAGE_MAX_DEFAULT = 1024 * 1024,
    LOG_BURST = 5, /* lines a second of what peers cause */
    LINGER_LOOK_FIRST_MS = 1,
    LINGER_LOOK_MAX_MS = 50,
};

/* The SP_HDR property as libnanomsg lays it out: a header, a length, the bytes. */
struct control {
    struct nn_cmsghdr header;
    size_t bytes;
    uint8_t at[LIMIT_ROUTE_BYTES];
};
_Static_assert(sizeof(struct control) == NN_CMSG_SPACE(sizeof(size_t) + LIMIT_ROUTE_BYTES),
               "libnanomsg's layout of control data");

struct nn_endpoint {
    struct endpoint base;

    /* fixed after init */
    size_t message_max;
    span_t linger;
    bool can_receive, can_send;
    bool drops;      /* what a peer cannot take; it never says EAGAIN */
    bool answers;    /* each message to the peer that its route names */
    bool has_routes; /* with each message */

    /* lock: stats_lock */
    struct lock stats_lock;
    int socket;                       /* -1: closed; only the loop's thread changes it */
    struct endpoint_stats last_stats; /* of the socket when it was closed */

    /* owner: loop */
    struct io receive_io, send_io; /* fd -1 where the pattern has none */
    struct chunk *chunk;           /* small messages go here; NULL: none yet */
    struct wrap *spare;            /* for the next large message; NULL: none yet */
    bool sent_any;
    mono_t sent_last;
    mono_t linger_end;
    int64_t look_ms;
    struct pen_timer look;
    struct log_limit errors;
};

static struct nn_endpoint *nn_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct nn_endpoint, base);
}

/* A message that is passed on as it came. */
struct wrap {
    struct blob blob;
    void *message;
};

static void wrap_destroy(struct blob *blob)
{
    struct wrap *w = CONTAINER_OF(blob, struct wrap, blob);
    nn_freemsg(w->message);
    free(w);
}

static void complain(struct nn_endpoint *n, const char *what, int error)
{
    log_limited(&n->errors, LOG_BURST, n->base.name, "%s: %s", what, nn_strerror(error));
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) > 0;
}

/* ---- receiving ---- */

/* What the next message may need is there before it is received, so that none is lost for want of
 * memory: it stays in the socket, whose descriptor asks again. */
static bool prepare(struct nn_endpoint *n)
{
    if (n->chunk != NULL && n->chunk->cap - n->chunk->used < SMALL_BYTES)
        chunk_retire(&n->chunk);
    if ((n->chunk == NULL && chunk_new(CHUNK_BYTES, &n->chunk) < 0) ||
        (n->spare == NULL && (n->spare = malloc(sizeof *n->spare)) == NULL)) {
        complain(n, "cannot receive", ENOMEM);
        return false;
    }
    return true;
}

static struct slice take_small(struct nn_endpoint *n, void *message, uint32_t bytes)
{
    uint32_t at = n->chunk->used;
    memcpy(n->chunk->bytes + at, message, bytes);
    n->chunk->used += bytes;
    nn_freemsg(message);
    return chunk_slice(n->chunk, at, bytes);
}

static struct slice take_large(struct nn_endpoint *n, void *message, uint32_t bytes)
{
    struct wrap *w = n->spare;
    n->spare = NULL;
    blob_init(&w->blob, 1, wrap_destroy);
    w->message = message;
    return (struct slice){ .blob = &w->blob, .at = message, .bytes = bytes };
}

static bool take_route(const struct control *control, struct route *ret_route)
{
    /* libnanomsg leaves the buffer alone when the header does not fit. */
    if (control->header.cmsg_len == 0 || control->header.cmsg_level != PROTO_SP ||
        control->header.cmsg_type != SP_HDR || control->bytes == 0 ||
        control->bytes > LIMIT_ROUTE_BYTES)
        return false;
    ret_route->bytes = (uint8_t)control->bytes;
    memcpy(ret_route->at, control->at, control->bytes);
    return true;
}

/* 1: a message in *ret_frame; 0: one was dropped; -EAGAIN, or another error. */
static int receive_one(struct nn_endpoint *n, struct frame *ret_frame)
{
    void *message;
    struct control control = { 0 };
    struct nn_iovec iov = { .iov_base = &message, .iov_len = NN_MSG };
    struct nn_msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (n->has_routes) {
        header.msg_control = &control;
        header.msg_controllen = sizeof control;
    }
    int bytes = nn_recvmsg(n->socket, &header, NN_DONTWAIT);
    if (bytes < 0)
        return -nn_errno();
    struct count *reason = NULL;
    if ((size_t)bytes > n->message_max) /* inproc knows no NN_RCVMAXSIZE */
        reason = &n->base.too_big;
    else if (n->has_routes && !take_route(&control, &ret_frame->route))
        reason = &n->base.malformed;
    if (reason != NULL) {
        count_add(reason, 1);
        nn_freemsg(message);
        return 0;
    }
    ret_frame->body = bytes <= SMALL_BYTES ? take_small(n, message, (uint32_t)bytes)
                                           : take_large(n, message, (uint32_t)bytes);
    if (!n->has_routes)
        ret_frame->route.bytes = 0;
    return 1;
}

static size_t nn_read(struct endpoint *ep)
{
    struct nn_endpoint *n = nn_of(ep);
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i < LIMIT_BATCH_ITEMS && bytes < BATCH_BYTES; i++) {
        if (!n->can_receive || !prepare(n))
            break;
        int r = receive_one(n, &ep->frames[count]);
        if (r == 1) {
            bytes += ep->frames[count++].body.bytes;
        } else if (r < 0) {
            if (r != -EAGAIN) {
                complain(n, "cannot receive any more", -r);
                endpoint_source_ended(ep);
            }
            break;
        }
    }
    return count;
}

static bool nn_has_input(struct endpoint *ep)
{
    struct nn_endpoint *n = nn_of(ep);
    return n->can_receive && is_readable(n->receive_io.fd);
}

static void nn_watch(struct endpoint *ep, bool on)
{
    struct nn_endpoint *n = nn_of(ep);
    if (n->can_receive)
        io_want(&n->receive_io, on ? IO_READ : 0);
}

static void on_receive(struct io *io, unsigned ready, void *arg)
{
    struct nn_endpoint *n = arg;
    loop_assert_here(n->base.loop);
    endpoint_turn(&n->base);
}

/* ---- sending ---- */

static uint64_t peers_now(const struct nn_endpoint *n)
{
    return nn_get_statistic(n->socket, NN_STAT_CURRENT_CONNECTIONS);
}

static size_t put_route(struct control *control, const struct route *route)
{
    control->header.cmsg_len = NN_CMSG_LEN(sizeof control->bytes + route->bytes);
    control->header.cmsg_level = PROTO_SP;
    control->header.cmsg_type = SP_HDR;
    control->bytes = route->bytes;
    memcpy(control->at, route->at, route->bytes);
    return NN_CMSG_SPACE(sizeof control->bytes + route->bytes);
}

static int send_one(struct nn_endpoint *n, const struct parcel_frame *f)
{
    struct nn_iovec iov[2] = {
        { .iov_base = (void *)f->head.at, .iov_len = f->head.bytes },
        { .iov_base = (void *)f->body.at, .iov_len = f->body.bytes },
    };
    struct nn_msghdr header = { .msg_iov = iov, .msg_iovlen = 2 };
    struct control control = { 0 };
    if (n->has_routes) {
        check(f->route != NULL && f->route->bytes > 0 && f->route->bytes <= LIMIT_ROUTE_BYTES);
        header.msg_control = &control;
        header.msg_controllen = put_route(&control, f->route);
    }
    return nn_sendmsg(n->socket, &header, NN_DONTWAIT) < 0 ? -nn_errno() : 0;
}

static void note_sent(struct nn_endpoint *n, size_t frames, size_t bytes)
{
    if (frames == 0)
        return;
    count_add(&n->base.frames_out, frames);
    count_add(&n->base.bytes_out, bytes);
    n->sent_any = true;
    n->sent_last = pen_loop_now(n->base.loop);
}

static size_t nn_send_frames(struct endpoint *ep, struct parcel_frame *frames, size_t count)
{
    struct nn_endpoint *n = nn_of(ep);
    check(n->can_send);
    if (n->drops && !n->answers && peers_now(n) == 0) {
        count_add(&ep->dropped_no_peer, count);
        return count;
    }
    size_t i, sent = 0, bytes = 0;
    for (i = 0; i < count; i++) {
        int r = send_one(n, &frames[i]);
        if (r == -EAGAIN && !n->drops) {
            io_want(&n->send_io, IO_READ);
            break;
        }
        if (r < 0) {
            count_add(&ep->dropped_error, 1);
            complain(n, "cannot send", -r);
            continue;
        }
        sent++;
        bytes += frames[i].head.bytes + frames[i].body.bytes;
    }
    note_sent(n, sent, bytes);
    return i;
}

/* libnanomsg's descriptor for sending is readable when there is room. */
static void on_room(struct io *io, unsigned ready, void *arg)
{
    struct nn_endpoint *n = arg;
    loop_assert_here(n->base.loop);
    io_want(io, 0);
    endpoint_has_room(&n->base);
}

/* ---- the end ---- */

static void ask_stats(int socket, struct endpoint_stats *stats)
{
    stats->peers = nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS);
    stats->connects = nn_get_statistic(socket, NN_STAT_ESTABLISHED_CONNECTIONS);
    stats->accepts = nn_get_statistic(socket, NN_STAT_ACCEPTED_CONNECTIONS);
    stats->breaks = nn_get_statistic(socket, NN_STAT_BROKEN_CONNECTIONS);
    stats->connect_errors = nn_get_statistic(socket, NN_STAT_CONNECT_ERRORS);
}

static void nn_add_stats(const struct endpoint *ep, struct endpoint_stats *stats)
{
    struct nn_endpoint *n = nn_of((struct endpoint *)ep); /* For the lock, which guards only itself. */
    struct endpoint_stats s;
    lock_take(&n->stats_lock);
    if (n->socket >= 0)
        ask_stats(n->socket, &s);
    else
        s = n->last_stats;
    lock_drop(&n->stats_lock);
    stats->peers = s.peers;
    stats->connects = s.connects;
    stats->accepts = s.accepts;
    stats->breaks = s.breaks;
    stats->connect_errors = s.connect_errors;
}

static void close_socket(struct nn_endpoint *n)
{
    pen_timer_cancel(&n->look);
    io_close(&n->receive_io);
    io_close(&n->send_io);
    int socket = n->socket;
    if (socket < 0)
        return;
    lock_take(&n->stats_lock);
    ask_stats(socket, &n->last_stats);
    n->last_stats.peers = 0;
    n->socket = -1;
    lock_drop(&n->stats_lock);
    while (nn_close(socket) < 0 && nn_errno() == EINTR) {
    }
}

/* A message is seen to wait for a peer: only the patterns that push back tell. */
static bool is_backed_up(const struct nn_endpoint *n)
{
    return !n->drops && !is_readable(n->send_io.fd);
}

static bool linger_is_over(const struct nn_endpoint *n)
{
    return !mono_before(pen_loop_now(n->base.loop), n->linger_end) || peers_now(n) == 0;
}

static void on_look(struct pen_loop *loop, void *arg, int status);

/* Look again later; false when the timer could not be had. */
static bool look_later(struct nn_endpoint *n)
{
    mono_t now = pen_loop_now(n->base.loop);
    mono_t next = mono_after(now, span_ms(n->look_ms));
    n->look_ms = n->look_ms * 2 < LINGER_LOOK_MAX_MS ? n->look_ms * 2 : LINGER_LOOK_MAX_MS;
    if (mono_before(n->linger_end, next))
        next = n->linger_end;
    return pen_loop_call_at(n->base.loop, &n->look, next, on_look, n) == 0;
}

static void on_look(struct pen_loop *loop, void *arg, int status)
{
    struct nn_endpoint *n = arg;
    if (status < 0) /* The loop is being freed. */
        return;
    loop_assert_here(loop);
    if (!linger_is_over(n) && look_later(n))
        return;
    close_socket(n);
    endpoint_source_closed(&n->base);
}

static bool nn_close_endpoint(struct endpoint *ep, bool immediate)
{
    struct nn_endpoint *n = nn_of(ep);
    if (!immediate && n->sent_any) {
        mono_t from = is_backed_up(n) ? pen_loop_now(ep->loop) : n->sent_last;
        n->linger_end = mono_after(from, n->linger);
        n->look_ms = LINGER_LOOK_FIRST_MS;
        io_want(&n->send_io, 0);
        if (!linger_is_over(n) && look_later(n))
            return false;
    }
    close_socket(n);
    return true;
}

static void nn_free_endpoint(struct endpoint *ep)
{
    struct nn_endpoint *n = nn_of(ep);
    chunk_retire(&n->chunk);
    free(n->spare);
    lock_fini(&n->stats_lock);
    endpoint_fini(ep);
    free(n);
}

/* ---- opening ---- */

static const struct endpoint_kind nn_kind = {
    .read = nn_read,
    .has_input = nn_has_input,
    .watch = nn_watch,
    .send = nn_send_frames,
    .close = nn_close_endpoint,
    .stats = nn_add_stats,
    .free = nn_free_endpoint,
};

static const struct {
    int protocol;
    bool receives, sends, drops, asks, answers;
} patterns[] = {
    [SP_PULL] = { NN_PULL, .receives = true },
    [SP_PUSH] = { NN_PUSH, .sends = true },
    [SP_PUB] = { NN_PUB, .sends = true, .drops = true },
    [SP_SUB] = { NN_SUB, .receives = true },
    [SP_BUS] = { NN_BUS, .receives = true, .sends = true, .drops = true },
    [SP_PAIR] = { NN_PAIR, .receives = true, .sends = true },
    [SP_REQ] = { NN_REQ, .receives = true, .sends = true, .asks = true },
    [SP_REP] = { NN_REP, .receives = true, .sends = true, .drops = true, .answers = true },
    [SP_SURVEYOR] = { NN_SURVEYOR, .receives = true, .sends = true, .drops = true, .asks = true },
    [SP_RESPONDENT] = { NN_RESPONDENT, .receives = true, .sends = true, .drops = true,
                        .answers = true },
};

/* What opening works with. */
struct opening {
    const struct endpoint_options *options;
    char *text;
    size_t size;
};

static int check_addresses(const struct opening *o, char *const *addresses, size_t *count)
{
    for (; addresses != NULL && *addresses != NULL; addresses++) {
        int r = nn_address_check(*addresses, o->text, o->size);
        if (r < 0)
            return r;
        if (++*count > LIMIT_ADDRESSES_PER_ENDPOINT) {
            snprintf(o->text, o->size, "more than %d addresses", LIMIT_ADDRESSES_PER_ENDPOINT);
            return PEN_ELIMIT;
        }
    }
    return 0;
}

static int check_options(const struct opening *o)
{
    size_t count = 0;
    int r = check_addresses(o, o->options->listen, &count);
    if (r == 0)
        r = check_addresses(o, o->options->connect, &count);
    if (r == 0 && count == 0) {
        snprintf(o->text, o->size, "no address to listen on or to connect to");
        r = PEN_EADDRESS;
    }
    if (r == 0 && (o->options->allow_uid != NULL || o->options->allow_gid != NULL)) {
        snprintf(o->text, o->size, "allow_uid and allow_gid need the native transport");
        r = PEN_EADDRESS;
    }
    return r;
}

static bool any_ipv6(char *const *addresses)
{
    for (; addresses != NULL && *addresses != NULL; addresses++)
        if (nn_address_is_ipv6(*addresses))
            return true;
    return false;
}

/* 0 is left at libnanomsg's default. */
static int set_size(int socket, int option, size_t bytes)
{
    int value = bytes > INT32_MAX ? INT32_MAX : (int)bytes;
    if (value == 0)
        return 0;
    return nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof value);
}

static int subscribe(int socket, char *const *topics)
{
    if (topics == NULL || *topics == NULL)
        return nn_setsockopt(socket, NN_SUB, NN_SUB_SUBSCRIBE, "", 0);
    int r = 0;
    for (; *topics != NULL && r == 0; topics++)
        r = nn_setsockopt(socket, NN_SUB, NN_SUB_SUBSCRIBE, *topics, strlen(*topics));
    return r;
}

static int set_options(struct nn_endpoint *n, const struct endpoint_options *options)
{
    /* A request's own header counts as part of it for libnanomsg. */
    size_t receive_max = n->message_max + (n->has_routes ? LIMIT_ROUTE_BYTES : 0);
    int one = 1, ipv4_only = !any_ipv6(options->listen) && !any_ipv6(options->connect);
    int r = set_size(n->socket, NN_RCVMAXSIZE, receive_max);
    if (r == 0)
        r = set_size(n->socket, NN_RCVBUF, options->receive_buffer);
    if (r == 0)
        r = set_size(n->socket, NN_SNDBUF, options->send_buffer);
    if (r == 0)
        r = nn_setsockopt(n->socket, NN_TCP, NN_TCP_NODELAY, &one, sizeof one);
    if (r == 0)
        r = nn_setsockopt(n->socket, NN_SOL_SOCKET, NN_IPV4ONLY, &ipv4_only, sizeof ipv4_only);
    if (r == 0 && options->pattern == SP_SUB)
        r = subscribe(n->socket, options->topics);
    return r == 0 ? 0 : -nn_errno();
}

static int open_io(struct nn_endpoint *n, struct io *io, int option, io_fn fn)
{
    int fd;
    size_t bytes = sizeof fd;
    if (nn_getsockopt(n->socket, NN_SOL_SOCKET, option, &fd, &bytes) < 0)
        return -nn_errno();
    return io_open(io, n->base.loop, (struct io_watch){ fd, 0 }, fn, n);
}

static int open_socket(struct nn_endpoint *n, const struct opening *o)
{
    enum sp_pattern pattern = o->options->pattern;
    n->socket = nn_socket(n->has_routes ? AF_SP_RAW : AF_SP, patterns[pattern].protocol);
    int r = n->socket >= 0 ? set_options(n, o->options) : -nn_errno();
    if (r == 0 && n->can_receive)
        r = open_io(n, &n->receive_io, NN_RCVFD, on_receive);
    if (r == 0 && n->can_send)
        r = open_io(n, &n->send_io, NN_SNDFD, on_room);
    if (r < 0)
        snprintf(o->text, o->size, "cannot make a socket: %s", pen_strerror(r));
    return r;
}

/* libnanomsg knows addresses and names of interfaces, and no host names, when it binds. */
static const char *bind_reason(int error)
{
    return error == ENODEV ? "no such address or interface here (host names are not looked up)"
                           : nn_strerror(error);
}

static int listen_on(struct nn_endpoint *n, const char *address, const struct opening *o)
{
    int r = nn_address_probe(address, o->text, o->size);
    if (r < 0)
        return r;
    if (nn_bind(n->socket, address) < 0) {
        snprintf(o->text, o->size, "cannot listen on %s: %s", address, bind_reason(nn_errno()));
        return PEN_EBIND;
    }
    const char *path = nn_address_path(address);
    if (path != NULL && o->options->ipc_mode != 0 && chmod(path, o->options->ipc_mode) < 0) {
        r = -errno;
        snprintf(o->text, o->size, "cannot set the mode of %s: %s", address, pen_strerror(r));
        return r;
    }
    return 0;
}

static int attach_addresses(struct nn_endpoint *n, const struct opening *o)
{
    char *const *at = o->options->listen;
    for (; at != NULL && *at != NULL; at++) {
        int r = listen_on(n, *at, o);
        if (r < 0)
            return r;
    }
    for (at = o->options->connect; at != NULL && *at != NULL; at++) {
        if (nn_connect(n->socket, *at) < 0) {
            snprintf(o->text, o->size, "cannot connect to %s: %s", *at, nn_strerror(nn_errno()));
            return PEN_EADDRESS;
        }
    }
    return 0;
}

int nn_open(const struct endpoint_options *options, char *text, size_t size,
            struct endpoint **ret_endpoint)
{
    struct opening o = { .options = options, .text = text, .size = size };
    check((size_t)options->pattern < sizeof patterns / sizeof patterns[0]);
    int r = check_options(&o);
    if (r < 0)
        return r;
    struct nn_endpoint *n = calloc(1, sizeof *n);
    if (n == NULL || endpoint_init(&n->base, &nn_kind, options) < 0) {
        free(n);
        snprintf(text, size, "%s", pen_strerror(PEN_ENOMEM));
        return PEN_ENOMEM;
    }
    lock_init(&n->stats_lock, LOCK_ENDPOINT);
    n->socket = -1;
    n->message_max = options->message_max > 0 ? options->message_max : MESSAGE_MAX_DEFAULT;
    n->linger = options->linger;
    n->can_receive = patterns[options->pattern].receives;
    n->can_send = patterns[options->pattern].sends;
    n->drops = patterns[options->pattern].drops;
    n->answers = patterns[options->pattern].answers;
    n->has_routes = n->answers || patterns[options->pattern].asks;
    r = open_socket(n, &o);
    if (r == 0)
        r = attach_addresses(n, &o);
    if (r < 0) {
        close_socket(n);
        nn_free_endpoint(&n->base);
        return r;
    }
    *ret_endpoint = &n->base;
    return 0;
}
