/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop has no thread: a call that can do its work at once does it, and only client_poll() sleeps, in pen_loop_run(), with the
 * caller's descriptors watched beside the endpoint's. What is sent is written at once; a sender who never waits still
 * lets the loop turn now and then, for peers come and go meanwhile.
 */
#include "cli/client-native.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <penstock/time.h>

#include "base/check.h"
#include "loop/io.h"
#include "net/endpoint.h"
#include "proto/sp.h"

enum { TURN_SENDS = 64, RESEND_S = 60, SURVEY_S = 1, LINGER_MS = 500, BROADCAST_FLUSH_S = 10 };

struct native {
    enum pattern pattern;
    struct native_settings settings;
    char *lists[NATIVE_LISTS][LIMIT_TOPICS_PER_ENDPOINT + 1]; /* copies, each ends with NULL */
    size_t counts[NATIVE_LISTS];
    struct pen_loop *loop;
    struct endpoint *endpoint;

    struct frame frames[LIMIT_BATCH_ITEMS]; /* [at, end): received and not taken */
    size_t at, end;
    bool full;     /* a send was short */
    bool finished; /* everything is delivered */
    unsigned sends;
    struct io ios[CLIENT_POLL_FDS];
    struct pen_timer timer; /* of client_poll() */

    struct route route; /* of what was received last, to be answered */
    bool unsent;        /* the request waits for a peer */
    uint32_t id;        /* of the last request or survey; 0: none is under way */
    struct slice request;
    struct pen_timer resend;
    mono_t survey_end;
};

static bool asks(const struct native *n)
{
    return n->pattern == SOCKET_REQ || n->pattern == SOCKET_SURVEYOR;
}

static bool answers(const struct native *n)
{
    return n->pattern == SOCKET_REP || n->pattern == SOCKET_RESPONDENT;
}

static int send_request(struct native *n) ON_LOOP;

/* ---- events ---- */

/* A frame that nobody waits for any more. */
static bool is_stray(const struct native *n, const struct frame *f)
{
    uint32_t id;
    return asks(n) && (sp_request_id(&f->route, &id) < 0 || id != n->id);
}

static size_t on_frames(struct endpoint *e, struct frame *frames, size_t count, void *arg)
{
    (void)e;
    struct native *n = arg;
    if (n->at < n->end)
        return 0;
    n->at = n->end = 0;
    for (size_t k = 0; k < count; k++) {
        if (is_stray(n, &frames[k]))
            slice_release(&frames[k].body);
        else
            n->frames[n->end++] = frames[k];
    }
    pen_loop_stop(n->loop);
    return count;
}

static void on_room(struct endpoint *e, void *arg)
{
    (void)e;
    struct native *n = arg;
    loop_assert_here(n->loop);
    n->full = false;
    if (n->unsent)
        n->unsent = send_request(n) == PEN_EFULL;
    pen_loop_stop(n->loop);
}

static void on_closed(struct endpoint *e, void *arg)
{
    (void)e;
    struct native *n = arg;
    n->finished = true;
    pen_loop_stop(n->loop);
}

static void on_io(struct io *io, unsigned ready, void *arg)
{
    (void)io;
    (void)ready;
    pen_loop_stop(((struct native *)arg)->loop);
}

static void on_timer(struct pen_loop *loop, void *arg, int status)
{
    (void)arg;
    if (status == 0)
        pen_loop_stop(loop);
}

/* One turn, without sleeping. */
static void turn(struct native *n)
{
    pen_loop_stop(n->loop);
    check(pen_loop_run(n->loop) == 0);
}

/* ---- sending ---- */

static void on_resend(struct pen_loop *loop, void *arg, int status);

static int send_request(struct native *n) ON_LOOP
{
    struct route route;
    sp_request_route(n->id, &route);
    struct parcel_frame parcel = { .body = slice_ref(n->request), .route = &route };
    if (endpoint_send(n->endpoint, &parcel, 1) == 0) {
        slice_release(&parcel.body);
        return PEN_EFULL;
    }
    if (n->pattern == SOCKET_SURVEYOR)
        return 0;
    return pen_loop_call_later(n->loop, &n->resend, span_s(RESEND_S), on_resend, n);
}

static void on_resend(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct native *n = arg;
    loop_assert_here(n->loop);
    if (status == 0 && n->id != 0)
        (void)send_request(n); /* Without a peer it is lost once more, and a timeout is the caller's. */
}

/* From here on answers to the one before are strays. */
static void begin_request(struct native *n, struct slice body)
{
    static uint32_t ids;
    slice_release(&n->request);
    n->request = body;
    n->id = ++ids;
    n->survey_end = mono_after(pen_now(), n->settings.survey);
    for (; n->at < n->end; n->at++)
        slice_release(&n->frames[n->at].body);
}

static int send_plain(struct native *n, struct slice body) ON_LOOP
{
    struct parcel_frame parcel = { .body = body, .route = answers(n) ? &n->route : NULL };
    if (answers(n) && n->route.bytes == 0) {
        slice_release(&body);
        return PEN_EINVAL;
    }
    if (endpoint_send(n->endpoint, &parcel, 1) == 1)
        return 0;
    slice_release(&body);
    return PEN_EFULL;
}

int native_send(struct native *n, const void *data, size_t bytes)
{
    struct slice body;
    loop_assert_here(n->loop);
    int r = slice_copy(data, bytes, &body);
    if (r < 0)
        return r;
    if (asks(n))
        begin_request(n, body);
    r = asks(n) ? send_request(n) : send_plain(n, body);
    n->unsent = asks(n) && r == PEN_EFULL; /* It goes to the first peer that comes. */
    r = n->unsent ? 0 : r;
    n->full = r == PEN_EFULL;
    if (r == 0 && ++n->sends % TURN_SENDS == 0)
        turn(n);
    return r;
}

/* ---- receiving ---- */

static bool survey_is_over(const struct native *n)
{
    return n->pattern == SOCKET_SURVEYOR && (n->id == 0 || !mono_before(pen_now(), n->survey_end));
}

static void take_frame(struct native *n, struct client_message *ret_message) ON_LOOP
{
    struct frame *f = &n->frames[n->at++];
    *ret_message =
        (struct client_message){ .data = f->body.at, .bytes = f->body.bytes, .slice = f->body };
    n->route = f->route;
    if (n->pattern == SOCKET_REQ) {
        n->id = 0;
        pen_timer_cancel(&n->resend);
    }
    if (n->at == n->end)
        endpoint_resume(n->endpoint);
}

int native_recv(struct native *n, struct client_message *ret_message)
{
    loop_assert_here(n->loop);
    if (n->at == n->end)
        turn(n);
    if (n->at < n->end) {
        take_frame(n, ret_message);
        return 0;
    }
    bool idle = n->pattern == SOCKET_REQ && n->id == 0;
    return idle || survey_is_over(n) ? PEN_ETIMEOUT : PEN_EEMPTY;
}

/* ---- waiting ---- */

static void look(struct native *n, struct client_poll *p, bool recv, bool send)
{
    p->recv = recv && (n->at < n->end || survey_is_over(n));
    p->send = send && (n->finished || (n->endpoint != NULL && !n->full));
}

/* How a descriptor of the caller's is waited for. */
enum wait_for { WAIT_NOT, WAIT_FOR_IT, WAIT_NEVER };

/* Files, and devices that are no terminals, are always ready and cannot be watched. Of an output only a pipe is: that its
 * reader has gone shows as if there were something to read. */
static enum wait_for how_to_wait(const struct pollfd *fd)
{
    struct stat st;
    if (fd->fd < 0 || fstat(fd->fd, &st) < 0)
        return WAIT_NOT;
    if ((fd->events & POLLIN) == 0)
        return S_ISFIFO(st.st_mode) ? WAIT_FOR_IT : WAIT_NOT;
    bool always = S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd->fd));
    return always ? WAIT_NEVER : WAIT_FOR_IT;
}

/* False: something is ready already. */
static bool watch(struct native *n, const struct client_poll *p)
{
    for (size_t k = 0; k < p->n; k++) {
        enum wait_for how = how_to_wait(&p->fds[k]);
        struct io_watch io = { p->fds[k].fd, IO_READ };
        if (how == WAIT_NEVER)
            return false;
        if (how == WAIT_FOR_IT && io_open(&n->ios[k], n->loop, io, on_io, n) < 0)
            return false;
    }
    return true;
}

static void unwatch(struct native *n)
{
    for (size_t k = 0; k < CLIENT_POLL_FDS; k++)
        io_close(&n->ios[k]);
}

static mono_t earlier(mono_t a, mono_t b)
{
    return mono_before(a, b) ? a : b;
}

static int sleep_until(struct native *n, mono_t until)
{
    if (n->pattern == SOCKET_SURVEYOR && n->id != 0)
        until = earlier(until, n->survey_end);
    int r = pen_loop_call_at(n->loop, &n->timer, until, on_timer, n);
    if (r == 0)
        r = pen_loop_run(n->loop);
    pen_timer_cancel(&n->timer);
    return r;
}

int native_poll(struct native *n, struct client_poll *p)
{
    bool recv = p->recv, send = p->send;
    int r = 0;
    loop_assert_here(n->loop);
    look(n, p, recv, send);
    if (!p->recv && !p->send && watch(n, p))
        r = sleep_until(n, p->until);
    else
        turn(n);
    unwatch(n);
    if (r < 0)
        return r;
    look(n, p, recv, send);
    return poll(p->fds, p->n, 0) < 0 && errno != EINTR ? -errno : 0;
}

/* ---- making and ending ---- */

int native_new(enum pattern pattern, struct native **ret_native)
{
    struct native *n = calloc(1, sizeof *n);
    if (n == NULL)
        return PEN_ENOMEM;
    bool broadcasts = pattern == SOCKET_PUB || pattern == SOCKET_BUS || pattern == SOCKET_SURVEYOR;
    n->pattern = pattern;
    n->settings.survey = span_s(SURVEY_S);
    n->settings.flush = broadcasts ? span_s(BROADCAST_FLUSH_S) : (span_t){ INT64_MAX };
    n->settings.linger = span_ms(LINGER_MS);
    n->settings.message_max = 64 * 1024;
    int r = pen_loop_new(NULL, &n->loop);
    if (r < 0)
        free(n);
    else
        *ret_native = n;
    return r;
}

struct native_settings *native_settings(struct native *n)
{
    return &n->settings;
}

int native_add(struct native *n, enum native_list list, const char *text)
{
    if (n->counts[list] == LIMIT_TOPICS_PER_ENDPOINT)
        return PEN_ELIMIT;
    char *copy = strdup(text);
    if (copy == NULL)
        return PEN_ENOMEM;
    n->lists[list][n->counts[list]++] = copy;
    return 0;
}

int native_start(struct native *n, char *text, size_t size)
{
    static const enum sp_pattern patterns[] = {
        [SOCKET_PUSH] = SP_PUSH,         [SOCKET_PULL] = SP_PULL,
        [SOCKET_PUB] = SP_PUB,           [SOCKET_SUB] = SP_SUB,
        [SOCKET_REQ] = SP_REQ,           [SOCKET_REP] = SP_REP,
        [SOCKET_BUS] = SP_BUS,           [SOCKET_PAIR] = SP_PAIR,
        [SOCKET_SURVEYOR] = SP_SURVEYOR, [SOCKET_RESPONDENT] = SP_RESPONDENT,
    };
    static const struct endpoint_events events = { .on_frames = on_frames,
                                                   .on_room = on_room,
                                                   .on_closed = on_closed };
    struct endpoint_options options = { .loop = n->loop,
                                        .events = &events,
                                        .arg = n,
                                        .name = "penstock",
                                        .pattern = patterns[n->pattern],
                                        .listen = n->lists[NATIVE_LISTEN],
                                        .connect = n->lists[NATIVE_CONNECT],
                                        .topics = n->lists[NATIVE_TOPICS],
                                        .message_max = n->settings.message_max,
                                        .flush = n->settings.flush,
                                        .linger = n->settings.linger };
    int r = endpoint_open_native(&options, text, size, &n->endpoint);
    if (r < 0)
        return r;
    loop_assert_here(n->loop);
    endpoint_resume(n->endpoint);
    return 0;
}

void native_finish(struct native *n)
{
    loop_assert_here(n->loop);
    endpoint_close(n->endpoint, false);
    n->full = true; /* Until it has closed. */
}

unsigned native_peers(const struct native *n)
{
    struct endpoint_stats stats;
    endpoint_stats(n->endpoint, &stats);
    return (unsigned)stats.peers;
}

void native_free(struct native **native)
{
    struct native *n = *native;
    if (n == NULL)
        return;
    *native = NULL;
    pen_timer_cancel(&n->resend);
    endpoint_free(&n->endpoint);
    for (; n->at < n->end; n->at++)
        slice_release(&n->frames[n->at].body);
    slice_release(&n->request);
    pen_loop_free(&n->loop);
    for (size_t list = 0; list < NATIVE_LISTS; list++)
        for (size_t k = 0; k < n->counts[list]; k++)
            free(n->lists[list][k]);
    free(n);
}
