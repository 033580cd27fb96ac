/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints over libnanomsg and over the native transport, against sockets of libnanomsg in the same
 * process and, where a peer must misbehave, against a plain TCP connection. The program is built for each
 * transport, with FIXTURE_TRANSPORT; where native differs, a case says so.
 */
#include <arpa/inet.h>
#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "endpoint_fixture.h"
#include "loop/io.h"
#include "plat/thread.h"
#include "proto/sp.h"
#include "sync/futex.h"

enum { PATIENCE_MS = 20 * 1000, MESSAGE_MAX = 64 * 1024 };

/* ---- addresses ---- */

enum transport { TCP, IPC, WS, INPROC };

/* Those that the transport under test has, and the one that is nearest to a peer in the same process. */
#define NATIVE (FIXTURE_TRANSPORT == TRANSPORT_NATIVE)
#define TRANSPORTS (NATIVE ? 2 : 4)
#define NEAR (NATIVE ? IPC : INPROC)

static char address[64]; /* of the endpoint or of its peer, whoever listens */

/* A port of 127.0.0.1 that nobody uses. */
static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void make_address(enum transport transport)
{
    switch (transport) {
    case TCP:
        snprintf(address, sizeof address, "tcp://127.0.0.1:%d", free_port());
        break;
    case IPC:
        snprintf(address, sizeof address, "ipc://%s/socket", fixture.folder);
        break;
    case WS:
        snprintf(address, sizeof address, "ws://127.0.0.1:%d", free_port());
        break;
    default:
        snprintf(address, sizeof address, "inproc://test");
        break;
    }
}

/* ---- the loop ---- */

static void stop_soon(struct pen_loop *loop, void *arg, int status)
{
    if (status == 0)
        pen_loop_stop(loop);
}

static void run_for_a_moment(void)
{
    struct pen_timer timer = { 0 };
    ck_assert_int_eq(pen_loop_call_later(fixture.loop, &timer, pen_ms(5), stop_soon, NULL), 0);
    ck_assert_int_eq(pen_loop_run(fixture.loop), 0);
    pen_timer_cancel(&timer);
}

/* ---- peers ---- */

static int peer_new(int protocol)
{
    int s = nn_socket(AF_SP, protocol), patience = PATIENCE_MS;
    ck_assert_int_ge(s, 0);
    ck_assert_int_eq(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience), 0);
    ck_assert_int_eq(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience), 0);
    if (protocol == NN_SUB)
        ck_assert_int_eq(nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
    return s;
}

static int peer_connected(int protocol)
{
    int s = peer_new(protocol);
    ck_assert_int_ge(nn_connect(s, address), 0);
    return s;
}

static int peer_listening(int protocol)
{
    int s = peer_new(protocol);
    ck_assert_int_ge(nn_bind(s, address), 0);
    return s;
}

/* The loop runs meanwhile, because the endpoint may have to greet the peer. */
static void peer_send(int s, const void *data, size_t bytes)
{
    while (nn_send(s, data, bytes, NN_DONTWAIT) < 0) {
        ck_assert_msg(nn_errno() == EAGAIN, "%s", nn_strerror(nn_errno()));
        run_for_a_moment();
    }
}

static void peer_say(int s, const char *text)
{
    peer_send(s, text, strlen(text));
}

static void peer_hears(int s, const char *expected)
{
    char *got;
    int bytes = nn_recv(s, &got, NN_MSG, 0);
    ck_assert_msg(bytes >= 0, "%s instead of \"%s\"", nn_strerror(nn_errno()), expected);
    ck_assert_msg((size_t)bytes == strlen(expected) && memcmp(got, expected, (size_t)bytes) == 0,
                  "\"%.*s\" and not \"%s\"", bytes, got, expected);
    nn_freemsg(got);
}

/* ---- the endpoint ---- */

static char *addresses[2];

static struct endpoint_options options_for(enum sp_pattern pattern, bool listen)
{
    struct endpoint_options options = fixture_options(pattern);
    addresses[0] = address;
    options.message_max = MESSAGE_MAX;
    *(listen ? &options.listen : &options.connect) = addresses;
    return options;
}

static void open_listening(enum sp_pattern pattern)
{
    struct endpoint_options options = options_for(pattern, true);
    fixture_open(&options);
}

static struct slice text_slice(const char *text)
{
    struct slice s;
    ck_assert_int_eq(slice_copy(text, strlen(text), &s), 0);
    return s;
}

static size_t send_text(const char *head, const char *body, const struct route *route)
{
    struct parcel_frame frame = { .head = text_slice(head), .body = text_slice(body), route };
    size_t taken = endpoint_send(fixture.endpoint, &frame, 1);
    if (taken == 0) {
        slice_release(&frame.head);
        slice_release(&frame.body);
    }
    return taken;
}

/* As a sender with a queue does it: what is not taken waits for on_room. */
static void send_surely(const char *head, const char *body)
{
    while (send_text(head, body, NULL) == 0) {
        fixture.want_rooms = fixture.rooms + 1;
        fixture_run();
    }
}

static void setup(void)
{
    fixture_setup();
}

static void teardown(void)
{
    fixture_teardown();
}

/* ---- every pattern over every transport, listening and connecting ---- */

static const struct {
    enum sp_pattern pattern;
    int peer;
} receivers[] = {
    { SP_PULL, NN_PUSH }, { SP_REP, NN_REQ },   { SP_SUB, NN_PUB },
    { SP_BUS, NN_BUS },   { SP_PAIR, NN_PAIR },
};
static const struct {
    enum sp_pattern pattern;
    int peer;
} senders[] = { { SP_PUSH, NN_PULL }, { SP_PUB, NN_SUB }, { SP_BUS, NN_BUS }, { SP_PAIR, NN_PAIR } };

enum {
    RECEIVERS = sizeof receivers / sizeof receivers[0],
    SENDERS = sizeof senders / sizeof senders[0],
};
#define WAYS (TRANSPORTS * 2)

/* A pattern that drops without a peer says it again until it is heard. */
static bool peer_may_drop(int protocol)
{
    return protocol == NN_PUB || protocol == NN_BUS;
}

/* i runs over patterns, transports and who listens. */
START_TEST(receives)
{
    int which = _i / WAYS, peer;
    make_address((enum transport)(_i % WAYS / 2));
    bool listen = _i % 2 == 0;
    struct endpoint_options options = options_for(receivers[which].pattern, listen);
    if (!listen)
        peer = peer_listening(receivers[which].peer);
    fixture_open(&options);
    if (listen)
        peer = peer_connected(receivers[which].peer);
    endpoint_resume(fixture.endpoint);

    peer_say(peer, "hello");
    while (peer_may_drop(receivers[which].peer) && fixture.frames_count == 0) {
        peer_say(peer, "hello");
        run_for_a_moment();
    }
    fixture_run_until_frames(1);
    assert_body(0, "hello");
    ck_assert_int_eq(fixture.frames[0].route.bytes > 0, receivers[which].pattern == SP_REP);
    if (receivers[which].pattern == SP_REP) {
        ck_assert_uint_eq(send_text("", "answer", &fixture.frames[0].route), 1);
        peer_hears(peer, "answer");
    }
    ck_assert_uint_eq(fixture_stats().peers, 1);
    nn_close(peer);
}
END_TEST

START_TEST(sends)
{
    int which = _i / WAYS, peer;
    make_address((enum transport)(_i % WAYS / 2));
    bool listen = _i % 2 == 0;
    struct endpoint_options options = options_for(senders[which].pattern, listen);
    if (!listen)
        peer = peer_listening(senders[which].peer);
    fixture_open(&options);
    if (listen)
        peer = peer_connected(senders[which].peer);

    int moment = 10;
    char *got = NULL;
    nn_setsockopt(peer, NN_SOL_SOCKET, NN_RCVTIMEO, &moment, sizeof moment);
    do {
        send_surely("topic|", "body");
        run_for_a_moment();
    } while (nn_recv(peer, &got, NN_MSG, 0) < 0);
    ck_assert_mem_eq(got, "topic|body", 10);
    nn_freemsg(got);
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.peers, 1);
    ck_assert_uint_ge(s.frames_out, 1);
    ck_assert_uint_eq(s.bytes_out, s.frames_out * 10);
    ck_assert_uint_eq(s.dropped_error, 0);
    nn_close(peer);
}
END_TEST

/* ---- questions and answers ---- */

static void send_request(uint32_t id, const char *body)
{
    struct route route;
    sp_request_route(id, &route);
    while (send_text("", body, &route) == 0) {
        fixture.want_rooms = fixture.rooms + 1;
        fixture_run();
    }
}

static void assert_answer(size_t i, uint32_t id, const char *body)
{
    uint32_t got = 0;
    assert_body(i, body);
    ck_assert_int_eq(sp_request_id(&fixture.frames[i].route, &got), 0);
    ck_assert_uint_eq(got, id);
}

static const struct {
    enum sp_pattern pattern;
    int peer;
} askers[] = { { SP_REQ, NN_REP }, { SP_SURVEYOR, NN_RESPONDENT } };
enum { ASKERS = sizeof askers / sizeof askers[0] };

/* Several are under way, and each answer says which one it is to. */
START_TEST(asks)
{
    static const uint32_t ids[] = { 1, 0, 0x7fffffff };
    int which = _i / WAYS, peer;
    make_address((enum transport)(_i % WAYS / 2));
    bool listen = _i % 2 == 0;
    struct endpoint_options options = options_for(askers[which].pattern, listen);
    if (!listen)
        peer = peer_listening(askers[which].peer);
    fixture_open(&options);
    if (listen)
        peer = peer_connected(askers[which].peer);
    endpoint_resume(fixture.endpoint);
    while (fixture_stats().peers == 0)
        run_for_a_moment();
    for (size_t i = 0; i < 3; i++)
        send_request(ids[i], "question");
    for (size_t i = 0; i < 3; i++) {
        peer_hears(peer, "question");
        peer_say(peer, "answer");
    }
    fixture_run_until_frames(3);
    for (size_t i = 0; i < 3; i++)
        assert_answer(i, ids[i], "answer");
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.frames_out, 3);
    ck_assert_uint_eq(s.bytes_out, 3 * strlen("question"));
    ck_assert_uint_eq(s.bytes_in, 3 * strlen("answer"));
    nn_close(peer);
}
END_TEST

/* A survey without anybody there is dropped by who makes it, so it is made again. */
START_TEST(answers_surveys)
{
    int moment = 10, peer;
    make_address((enum transport)(_i % WAYS / 2));
    bool listen = _i % 2 == 0;
    struct endpoint_options options = options_for(SP_RESPONDENT, listen);
    if (!listen)
        peer = peer_listening(NN_SURVEYOR);
    fixture_open(&options);
    if (listen)
        peer = peer_connected(NN_SURVEYOR);
    endpoint_resume(fixture.endpoint);
    nn_setsockopt(peer, NN_SOL_SOCKET, NN_RCVTIMEO, &moment, sizeof moment);
    char *got = NULL;
    size_t answered = 0;
    do {
        peer_say(peer, "survey");
        run_for_a_moment();
        for (; answered < fixture.frames_count; answered++)
            ck_assert_uint_eq(send_text("", "answer", &fixture.frames[answered].route), 1);
        run_for_a_moment();
    } while (nn_recv(peer, &got, NN_MSG, 0) < 0);
    ck_assert_mem_eq(got, "answer", 6);
    nn_freemsg(got);
    assert_body(0, "survey");
    nn_close(peer);
}
END_TEST

START_TEST(survey_without_peer_is_counted)
{
    make_address(NEAR);
    open_listening(SP_SURVEYOR);
    send_request(1, "anybody?");
    ck_assert_uint_eq(fixture_stats().dropped_no_peer, 1);
}
END_TEST

START_TEST(request_without_peer_waits)
{
    struct route route;
    make_address(NEAR);
    open_listening(SP_REQ);
    endpoint_resume(fixture.endpoint);
    sp_request_route(7, &route);
    ck_assert_uint_eq(send_text("", "question", &route), 0);
    int peer = peer_connected(NN_REP);
    fixture.want_rooms = 1;
    fixture_run();
    send_request(7, "question");
    peer_hears(peer, "question");
    peer_say(peer, "answer");
    fixture_run_until_frames(1);
    assert_answer(0, 7, "answer");
    nn_close(peer);
}
END_TEST

/* ---- receiving ---- */

START_TEST(many_messages_in_order)
{
    enum { MESSAGES = 5000 };
    make_address((enum transport)_i);
    open_listening(SP_PULL);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    for (int i = 0; i < MESSAGES; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        peer_say(peer, text);
    }
    fixture_run_until_frames(MESSAGES);
    for (int i = 0; i < MESSAGES; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_body((size_t)i, text);
    }
    ck_assert_uint_eq(fixture_stats().frames_in, MESSAGES);
    nn_close(peer);
}
END_TEST

/* Bodies around the size up to which they are copied, and an empty one. */
START_TEST(body_sizes)
{
    static const size_t sizes[] = { 0, 1, 31, 32, 4095, 4096, 4097, 30000, 4096, MESSAGE_MAX, 1, 0 };
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    make_address((enum transport)_i);
    open_listening(SP_PULL);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    char body[MESSAGE_MAX];
    for (size_t i = 0; i < SIZES; i++) {
        memset(body, 'a' + (int)i, sizes[i]);
        peer_send(peer, body, sizes[i]);
        fixture_run_until_frames(i + 1);
    }
    for (size_t i = 0; i < SIZES; i++) {
        memset(body, 'a' + (int)i, sizes[i]);
        ck_assert_uint_eq(fixture.frames[i].body.bytes, sizes[i]);
        ck_assert_mem_eq(fixture.frames[i].body.at, body, sizes[i]);
    }
    nn_close(peer);
}
END_TEST

/* Small neighbours share a buffer, a large message has its own. */
START_TEST(small_messages_share)
{
    make_address(NEAR);
    open_listening(SP_PULL);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    static char large[8192];
    peer_say(peer, "a");
    peer_send(peer, large, sizeof large);
    fixture_run_until_frames(2);
    peer_say(peer, "b");
    fixture_run_until_frames(3);
    ck_assert_ptr_eq(fixture.frames[0].body.blob, fixture.frames[2].body.blob);
    ck_assert_ptr_ne(fixture.frames[0].body.blob, fixture.frames[1].body.blob);
    nn_close(peer);
}
END_TEST

/* The receiver takes none of what comes: the endpoint keeps it and stops; the peer feels it; with
 * endpoint_resume() everything comes, once and in order. */
START_TEST(backpressure)
{
    make_address((enum transport)_i);
    open_listening(SP_PULL);
    fixture.take = 0;
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH), sent = 0, patience = 50;
    nn_setsockopt(peer, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience);
    char body[1000];
    memset(body, '.', sizeof body);
    memcpy(body, &sent, sizeof sent);
    peer_send(peer, body, sizeof body);
    while (fixture.calls == 0)
        run_for_a_moment();
    for (sent = 1; memcpy(body, &sent, sizeof sent), nn_send(peer, body, sizeof body, 0) >= 0; sent++)
        fixture_run_turns(2);
    ck_assert_uint_eq(fixture.calls, 1);
    ck_assert_uint_eq(fixture_stats().frames_in, 0);

    for (int taken = 0; taken < sent; taken++) {
        fixture.take = 1;
        endpoint_resume(fixture.endpoint);
        fixture_run_until_frames((size_t)taken + 1);
        int number;
        memcpy(&number, fixture.frames[taken].body.at, sizeof number);
        ck_assert_int_eq(number, taken);
    }
    ck_assert_uint_eq(fixture_stats().frames_in, (uint64_t)sent);
    nn_close(peer);
}
END_TEST

START_TEST(pause_stops_reading)
{
    make_address(NEAR);
    open_listening(SP_PULL);
    int peer = peer_connected(NN_PUSH);
    peer_say(peer, "a");
    fixture_run_turns(8);
    endpoint_resume(fixture.endpoint);
    endpoint_pause(fixture.endpoint);
    fixture_run_turns(8);
    ck_assert_uint_eq(fixture.calls, 0);
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(1);
    nn_close(peer);
}
END_TEST

START_TEST(subscriptions)
{
    char red[] = "red", blue[] = "blue", *topics[] = { red, blue, NULL };
    make_address(TCP);
    struct endpoint_options options = options_for(SP_SUB, true);
    options.topics = topics;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUB);
    while (fixture.frames_count == 0) {
        peer_say(peer, "redder");
        run_for_a_moment();
    }
    peer_say(peer, "green");
    peer_say(peer, "blue sky");
    size_t before = fixture.frames_count;
    while (fixture.frames_count == before || fixture.frames[fixture.frames_count - 1].body.bytes == 6)
        run_for_a_moment();
    for (size_t i = 0; i + 1 < fixture.frames_count; i++)
        assert_body(i, "redder");
    assert_body(fixture.frames_count - 1, "blue sky");
    nn_close(peer);
}
END_TEST

START_TEST(several_addresses)
{
    char second[64], third[64];
    make_address(TCP);
    snprintf(second, sizeof second, "ipc://%s/second", fixture.folder);
    if (NATIVE)
        snprintf(third, sizeof third, "ipc://%s/third", fixture.folder);
    else
        snprintf(third, sizeof third, "inproc://third");
    char *listen[] = { address, second, NULL }, *connect[] = { third, NULL };
    struct endpoint_options options = fixture_options(SP_PULL);
    options.listen = listen;
    options.connect = connect;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int peers[] = { peer_connected(NN_PUSH), peer_new(NN_PUSH), peer_new(NN_PUSH) };
    ck_assert_int_ge(nn_connect(peers[1], second), 0);
    ck_assert_int_ge(nn_bind(peers[2], third), 0);
    for (int i = 0; i < 3; i++) {
        peer_say(peers[i], "hello");
        fixture_run_until_frames((size_t)i + 1);
    }
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.peers, 3);
    ck_assert_uint_eq(s.accepts, 2);
    for (int i = 0; i < 3; i++)
        nn_close(peers[i]);
}
END_TEST

/* ---- requests ---- */

enum { CLIENTS = 24 };

/* All ask before any is answered; answers go in another order than the questions came. */
START_TEST(requests_in_flight)
{
    int peers[CLIENTS];
    make_address((enum transport)_i);
    open_listening(SP_REP);
    endpoint_resume(fixture.endpoint);
    for (int i = 0; i < CLIENTS; i++) {
        char text[32];
        snprintf(text, sizeof text, "question %d", i);
        peers[i] = peer_connected(NN_REQ);
        peer_say(peers[i], text);
    }
    fixture_run_until_frames(CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        const struct frame *f = &fixture.frames[(i * 7 + 5) % CLIENTS];
        char text[64];
        snprintf(text, sizeof text, " to %.*s", (int)f->body.bytes, (const char *)f->body.at);
        ck_assert_uint_eq(send_text("answer", text, &f->route), 1);
    }
    for (int i = CLIENTS - 1; i >= 0; i--) {
        char text[64];
        snprintf(text, sizeof text, "answer to question %d", i);
        peer_hears(peers[i], text);
        nn_close(peers[i]);
    }
    ck_assert_uint_eq(fixture_stats().frames_out, CLIENTS);
}
END_TEST

START_TEST(answer_to_one_who_left)
{
    make_address(TCP);
    open_listening(SP_REP);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_REQ);
    peer_say(peer, "question");
    fixture_run_until_frames(1);
    nn_close(peer);
    ck_assert_uint_eq(send_text("", "answer", &fixture.frames[0].route), 1);
    ck_assert_uint_eq(fixture_stats().dropped_error, 0);
}
END_TEST

/* ---- peers that misbehave ---- */

static void tcp_write(int fd, const void *bytes, size_t count)
{
    ck_assert_int_eq(send(fd, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
}

static void tcp_frame(int fd, const char *payload, size_t count)
{
    uint8_t head[8] = { 0 };
    for (int i = 0; i < 8; i++)
        head[7 - i] = (uint8_t)((uint64_t)count >> (8 * i));
    tcp_write(fd, head, sizeof head);
    tcp_write(fd, payload, count);
}

/* A connection that has said the SP header of a protocol. */
static int tcp_connected(uint8_t protocol)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    at.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    const uint8_t hello[8] = { 0, 'S', 'P', 0, 0, protocol, 0, 0 };
    tcp_write(fd, hello, sizeof hello);
    uint8_t answer[8];
    while (recv(fd, answer, sizeof answer, MSG_PEEK | MSG_DONTWAIT) < (ssize_t)sizeof answer)
        run_for_a_moment();
    ck_assert_int_eq(recv(fd, answer, sizeof answer, 0), 8);
    return fd;
}

/* libnanomsg says "nothing there" at each malformed request, though good ones wait behind them. */
static int malformed_then_good(void)
{
    make_address(TCP);
    open_listening(SP_REP);
    int fd = tcp_connected(0x30);
    /* In one write, so that all of it has come when any has: no ids, ids without an end, nothing, good. */
    static const char frames[] = "\0\0\0\0\0\0\0\3"
                                 "abc"
                                 "\0\0\0\0\0\0\0\10"
                                 "\0\0\0\1\0\0\0\2"
                                 "\0\0\0\0\0\0\0\0"
                                 "\0\0\0\0\0\0\0\10"
                                 "\x80\0\0\1"
                                 "good";
    tcp_write(fd, frames, sizeof frames - 1);
    return fd;
}

START_TEST(malformed_requests)
{
    int fd = malformed_then_good();
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(1);
    assert_body(0, "good");
    send_text("", "ok", &fixture.frames[0].route);
    uint8_t answer[8 + 4 + 2];
    ck_assert_int_eq(recv(fd, answer, sizeof answer, MSG_WAITALL), (ssize_t)sizeof answer);
    ck_assert_mem_eq(answer, "\0\0\0\0\0\0\0\6\x80\0\0\1ok", sizeof answer);
    close(fd);
}
END_TEST

static bool came(const char *text)
{
    for (size_t i = 0; i < fixture.frames_count; i++)
        if (fixture.frames[i].body.bytes == strlen(text) &&
            memcmp(fixture.frames[i].body.at, text, strlen(text)) == 0)
            return true;
    return false;
}

/* Whichever request was seen first, the good one behind the malformed ones is not left behind. */
START_TEST(finish_reading_behind_malformed_requests)
{
    int fd = malformed_then_good();
    int peer = peer_connected(NN_REQ);
    peer_say(peer, "second");
    fixture.take = 0;
    endpoint_resume(fixture.endpoint);
    while (fixture.calls == 0)
        run_for_a_moment();
    run_for_a_moment();
    endpoint_finish_reading(fixture.endpoint);
    fixture.take = SIZE_MAX;
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert(came("good"));
    close(fd);
    nn_close(peer);
}
END_TEST

/* One byte above the limit: its sender is disconnected, others are not. */
START_TEST(too_big_over_tcp)
{
    static char body[MESSAGE_MAX + 1];
    make_address(TCP);
    open_listening(SP_PULL);
    endpoint_resume(fixture.endpoint);
    int fd = tcp_connected(0x50);
    tcp_frame(fd, body, MESSAGE_MAX);
    fixture_run_until_frames(1);
    ck_assert_uint_eq(fixture.frames[0].body.bytes, MESSAGE_MAX);
    tcp_frame(fd, body, MESSAGE_MAX + 1);
    while (fixture_stats().breaks == 0)
        run_for_a_moment();
    uint8_t none;
    ck_assert_int_le(recv(fd, &none, 1, 0), 0);
    close(fd);
    int peer = peer_connected(NN_PUSH);
    peer_say(peer, "small");
    fixture_run_until_frames(2);
    assert_body(1, "small");
    ck_assert_uint_eq(fixture_stats().breaks, 1);
    nn_close(peer);
}
END_TEST

/* inproc has no limit of its own: ours drops and counts. */
START_TEST(too_big_over_inproc)
{
    static char body[MESSAGE_MAX + 1];
    make_address(NEAR);
    open_listening(SP_PULL);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    peer_send(peer, body, MESSAGE_MAX + 1);
    peer_send(peer, body, MESSAGE_MAX);
    fixture_run_until_frames(1);
    ck_assert_uint_eq(fixture.frames[0].body.bytes, MESSAGE_MAX);
    ck_assert_uint_eq(fixture_stats().too_big, 1);
    nn_close(peer);
}
END_TEST

/* The header that a request travels with does not count. */
START_TEST(request_of_the_largest_size)
{
    static char body[MESSAGE_MAX];
    make_address(TCP);
    open_listening(SP_REP);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_REQ);
    peer_send(peer, body, MESSAGE_MAX);
    fixture_run_until_frames(1);
    ck_assert_uint_eq(fixture.frames[0].body.bytes, MESSAGE_MAX);
    nn_close(peer);
    peer = peer_connected(NN_REQ);
    static char larger[MESSAGE_MAX + 1];
    peer_send(peer, larger, MESSAGE_MAX + 1);
    while (fixture_stats().too_big == 0)
        run_for_a_moment();
    ck_assert_uint_eq(fixture.frames_count, 1);
    nn_close(peer);
}
END_TEST

/* ---- sending ---- */

START_TEST(push_without_peer_waits)
{
    make_address(NEAR);
    open_listening(SP_PUSH);
    ck_assert_uint_eq(send_text("", "a", NULL), 0);
    fixture_run_turns(8);
    ck_assert_int_eq(fixture.rooms, 0);
    int peer = peer_connected(NN_PULL);
    fixture.want_rooms = 1;
    fixture_run();
    fixture_run_turns(8);
    ck_assert_int_eq(fixture.rooms, 1);
    ck_assert_uint_eq(send_text("", "a", NULL), 1);
    peer_hears(peer, "a");
    nn_close(peer);
}
END_TEST

START_TEST(pub_without_peer_drops_and_counts)
{
    make_address(NEAR);
    open_listening(SP_PUB);
    ck_assert_uint_eq(send_text("", "a", NULL), 1);
    ck_assert_uint_eq(send_text("", "b", NULL), 1);
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.dropped_no_peer, 2);
    ck_assert_uint_eq(s.frames_out, 0);
}
END_TEST

START_TEST(send_after_close_is_counted)
{
    make_address(NEAR);
    open_listening(SP_PUB);
    endpoint_close(fixture.endpoint, false);
    ck_assert_uint_eq(send_text("", "late", NULL), 1);
    ck_assert_uint_eq(fixture_stats().dropped_error, 1);
    fixture.want_closes = 1;
    fixture_run();
}
END_TEST

/* ---- closing ---- */

static struct {
    int socket;
    struct futex go;
    int expected, received;
} reader;

/* Reads only when closing has begun, and leaves with the last message. */
static void read_late(void *arg)
{
    (void)arg;
    char *got;
    int number;
    (void)futex_wait(&reader.go, PEN_NEVER);
    while (reader.received < reader.expected && nn_recv(reader.socket, &got, NN_MSG, 0) >= 0) {
        memcpy(&number, got, sizeof number);
        nn_freemsg(got);
        if (number == reader.received)
            reader.received++;
    }
    nn_close(reader.socket);
}

/* True when it was taken. */
static bool send_number(int number)
{
    struct parcel_frame frame = { 0 };
    uint8_t *to;
    ck_assert_int_eq(slice_new(10000, &frame.body, &to), 0);
    memset(to, '.', 10000);
    memcpy(to, &number, sizeof number);
    bool taken = endpoint_send(fixture.endpoint, &frame, 1) == 1;
    if (!taken)
        slice_release(&frame.body);
    return taken;
}

/* Everything that endpoint_send() took arrives at a peer that reads only when we close; when the last
 * peer has left, closing does not wait for the rest of a linger of an hour. */
START_TEST(close_drains_to_a_slow_reader)
{
    make_address((enum transport)_i);
    struct endpoint_options options = options_for(SP_PUSH, true);
    options.linger = span_s(3600);
    fixture_open(&options);
    reader.socket = peer_connected(NN_PULL);
    if (!send_number(0)) { /* Not there yet. */
        fixture.want_rooms = 1;
        fixture_run();
        fixture.want_rooms = 0;
        ck_assert(send_number(0));
    }
    int sent = 1;
    while (send_number(sent))
        sent++;
    ck_assert_int_gt(sent, 3);
    struct thread *thread;
    ck_assert_int_eq(thread_start("reader", read_late, NULL, &thread), 0);
    endpoint_close(fixture.endpoint, false);
    for (int i = 0; i < 8; i++)
        run_for_a_moment();
    ck_assert_int_eq(fixture.closes, 0);
    reader.expected = sent;
    futex_set(&reader.go);
    futex_wake(&reader.go);
    fixture.want_closes = 1;
    fixture_run();
    thread_join(&thread);
    ck_assert_int_eq(reader.received, sent);
    ck_assert_uint_eq(fixture_stats().peers, 0);
}
END_TEST

START_TEST(close_may_become_immediate)
{
    make_address(IPC);
    struct endpoint_options options = options_for(SP_PUB, true);
    options.linger = span_s(3600);
    fixture_open(&options);
    int peer = peer_connected(NN_SUB);
    while (fixture_stats().frames_out == 0) {
        send_text("", "a", NULL);
        run_for_a_moment();
    }
    endpoint_close(fixture.endpoint, false);
    fixture_run_turns(8);
    ck_assert_int_eq(fixture.closes, 0);
    fixture_close(true);
    endpoint_close(fixture.endpoint, true);
    fixture_run_turns(8);
    ck_assert_int_eq(fixture.closes, 1);
    nn_close(peer);
}
END_TEST

START_TEST(close_without_having_sent_does_not_wait)
{
    make_address(IPC);
    struct endpoint_options options = options_for(SP_PUSH, true);
    options.linger = span_s(3600);
    fixture_open(&options);
    int peer = peer_connected(NN_PULL);
    while (fixture_stats().peers == 0)
        run_for_a_moment();
    fixture_close(false);
    ck_assert_int_ne(access(address + strlen("ipc://"), F_OK), 0);
    nn_close(peer);
}
END_TEST

START_TEST(linger_ends)
{
    make_address(IPC);
    struct endpoint_options options = options_for(SP_PUB, true);
    options.linger = span_ms(30);
    fixture_open(&options);
    int peer = peer_connected(NN_SUB);
    while (fixture_stats().frames_out == 0) {
        send_text("", "a", NULL);
        run_for_a_moment();
    }
    fixture_close(false);
    nn_close(peer);
}
END_TEST

START_TEST(close_drops_what_is_kept)
{
    make_address(NEAR);
    open_listening(SP_PULL);
    fixture.take = 0;
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    peer_say(peer, "a");
    while (fixture.calls == 0)
        run_for_a_moment();
    fixture_close(false);
    ck_assert_uint_eq(fixture_stats().dropped_unread, 1);
    nn_close(peer);
}
END_TEST

START_TEST(finish_reading_of_a_sender)
{
    make_address(NEAR);
    open_listening(SP_PUB);
    endpoint_finish_reading(fixture.endpoint);
    ck_assert_int_eq(fixture.read_ends, 0);
    fixture.want_read_ends = 1;
    fixture_run();
}
END_TEST

/* ---- opening ---- */

static const struct {
    const char *address, *reason;
    int error;
} bad_listens[] = {
    { "", "write tcp://HOST:PORT", PEN_EADDRESS },
    { "127.0.0.1:80", "write tcp://HOST:PORT", PEN_EADDRESS },
    { "udp://127.0.0.1:80", "write tcp://HOST:PORT", PEN_EADDRESS },
    { "tcp://127.0.0.1", "no port", PEN_EADDRESS },
    { "tcp://127.0.0.1:", "1 to 65535", PEN_EADDRESS },
    { "tcp://127.0.0.1:0", "1 to 65535", PEN_EADDRESS },
    { "tcp://127.0.0.1:65536", "above 65535", PEN_EADDRESS },
    { "tcp://127.0.0.1:18446744073709551700", "above 65535", PEN_EADDRESS },
    { "tcp://127.0.0.1:http", "not a number", PEN_EADDRESS },
    { "tcp://:80", "no host", PEN_EADDRESS },
    { "tcp://no.such.interface:4510", "no such address or interface", PEN_EBIND },
    { "tcp://203.0.113.1:4510", "equested address", PEN_EBIND },
    { "ws://127.0.0.1/path", "no port", PEN_EADDRESS },
    { "ipc://", "no path", PEN_EADDRESS },
    { "ipc:///no/such/folder/socket", "No such file", PEN_EBIND },
    { "ipc:///tmp", "not a socket", PEN_EBIND },
    { "inproc://", "no name", PEN_EADDRESS },
};

START_TEST(bad_addresses)
{
    struct fixture *f = &fixture;
    snprintf(address, sizeof address, "%s", bad_listens[_i].address);
    struct endpoint_options options = options_for(SP_PULL, true);
    int r = endpoint_open(&options, f->text, sizeof f->text, &f->endpoint);
    ck_assert_msg(r == bad_listens[_i].error, "%s: %s: %s", address, pen_errname(r), f->text);
    ck_assert_msg(strstr(f->text, bad_listens[_i].reason) != NULL && strstr(f->text, address) != NULL,
                  "%s: \"%s\" does not say \"%s\"", address, f->text, bad_listens[_i].reason);
    ck_assert_ptr_null(f->endpoint);
}
END_TEST

static int try_listen(char *at)
{
    struct fixture *f = &fixture;
    char *listen[] = { at, NULL };
    struct endpoint_options options = fixture_options(SP_PULL);
    options.listen = listen;
    return endpoint_open(&options, f->text, sizeof f->text, &f->endpoint);
}

/* 107 bytes of path are taken, and 108, of which libnanomsg would die, are refused. */
START_TEST(longest_ipc_path)
{
    char at[160];
    int n = snprintf(at, sizeof at, "ipc://%s/", fixture.folder);
    memset(at + n, 'p', sizeof at - (size_t)n);
    at[6 + 108] = '\0';
    ck_assert_int_eq(try_listen(at), PEN_EADDRESS);
    ck_assert_ptr_nonnull(strstr(fixture.text, "longer than 107 bytes"));
    at[6 + 107] = '\0';
    ck_assert_int_eq(try_listen(at), 0);
}
END_TEST

START_TEST(no_address_and_too_many)
{
    struct fixture *f = &fixture;
    char *many[LIMIT_ADDRESSES_PER_ENDPOINT + 2] = { NULL };
    make_address(NEAR);
    struct endpoint_options options = fixture_options(SP_PULL);
    options.listen = many;
    ck_assert_int_eq(endpoint_open(&options, f->text, sizeof f->text, &f->endpoint), PEN_EADDRESS);
    for (int i = 0; i <= LIMIT_ADDRESSES_PER_ENDPOINT; i++)
        many[i] = address;
    ck_assert_int_eq(endpoint_open(&options, f->text, sizeof f->text, &f->endpoint), PEN_ELIMIT);
}
END_TEST

/* An address that is in use by another, in each transport. */
START_TEST(address_in_use)
{
    make_address((enum transport)_i);
    int other = peer_listening(NN_PULL);
    ck_assert_int_eq(try_listen(address), PEN_EBIND);
    ck_assert_ptr_nonnull(strstr(fixture.text, address));
    ck_assert_ptr_nonnull(strstr(fixture.text, "in use"));
    /* The other is not disturbed. */
    int peer = peer_connected(NN_PUSH);
    peer_say(peer, "hello");
    peer_hears(other, "hello");
    nn_close(peer);
    nn_close(other);
}
END_TEST

/* The first address is given back when the second fails. */
START_TEST(failed_open_leaves_nothing)
{
    struct fixture *f = &fixture;
    char path[64];
    fixture_path(path, sizeof path, "socket");
    make_address(IPC);
    char nowhere[] = "ipc:///no/such/folder/socket", *listen[] = { address, nowhere, NULL };
    struct endpoint_options options = fixture_options(SP_PULL);
    options.listen = listen;
    ck_assert_int_eq(endpoint_open(&options, f->text, sizeof f->text, &f->endpoint), PEN_EBIND);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(try_listen(address), 0);
}
END_TEST

START_TEST(regular_file_at_the_path)
{
    char path[64], content[8] = "";
    fixture_path(path, sizeof path, "socket");
    FILE *file = fopen(path, "w");
    fputs("mine", file);
    fclose(file);
    make_address(IPC);
    ck_assert_int_eq(try_listen(address), PEN_EBIND);
    ck_assert_ptr_nonnull(strstr(fixture.text, "is not a socket"));
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(content, sizeof content, file));
    ck_assert_str_eq(content, "mine");
    fclose(file);
    unlink(path);
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    fixture_path(at.sun_path, sizeof at.sun_path, "socket");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    close(fd);
    ck_assert_int_eq(access(at.sun_path, F_OK), 0);
    make_address(IPC);
    ck_assert_int_eq(try_listen(address), 0);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    peer_say(peer, "hello");
    fixture_run_until_frames(1);
    nn_close(peer);
}
END_TEST

START_TEST(ipc_mode)
{
    struct stat st;
    make_address(IPC);
    struct endpoint_options options = options_for(SP_PULL, true);
    options.ipc_mode = 0622;
    fixture_open(&options);
    ck_assert_int_eq(stat(address + strlen("ipc://"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0622);
}
END_TEST

START_TEST(ipv6)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool here = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0)
        close(fd);
    snprintf(address, sizeof address, "tcp://[::1]:%d", free_port());
    int r = try_listen(address);
    ck_assert_msg(r == (here ? 0 : PEN_EBIND), "%s", fixture.text);
}
END_TEST

/* ---- from other threads ---- */

static struct futex stats_stop;

static void ask_all_the_time(void *arg)
{
    (void)arg;
    struct endpoint_stats s;
    do
        endpoint_stats(fixture.endpoint, &s);
    while (!futex_wait(&stats_stop, PEN_NOW));
}

START_TEST(stats_while_closing)
{
    make_address(NEAR);
    open_listening(SP_PULL);
    endpoint_resume(fixture.endpoint);
    int peer = peer_connected(NN_PUSH);
    struct thread *thread;
    ck_assert_int_eq(thread_start("asker", ask_all_the_time, NULL, &thread), 0);
    for (int i = 0; i < 200; i++)
        peer_say(peer, "hello");
    fixture_run_until_frames(200);
    fixture_close(true);
    futex_set(&stats_stop);
    futex_wake(&stats_stop);
    thread_join(&thread);
    ck_assert_uint_eq(fixture_stats().frames_in, 200);
    ck_assert_uint_eq(fixture_stats().peers, 0);
    ck_assert_str_eq(endpoint_name(fixture.endpoint), "test endpoint");
    nn_close(peer);
}
END_TEST

START_TEST(free_without_use)
{
    make_address(IPC);
    open_listening(SP_PULL);
    endpoint_free(&fixture.endpoint);
    ck_assert_int_ne(access(address + strlen("ipc://"), F_OK), 0);
}
END_TEST

static TCase *case_new(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, TIME_LIMIT_S);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static void add_traffic(Suite *suite)
{
    TCase *t = case_new(suite, "patterns");
    tcase_add_loop_test(t, receives, 0, RECEIVERS * WAYS);
    tcase_add_loop_test(t, sends, 0, SENDERS * WAYS);
    t = case_new(suite, "questions");
    tcase_add_loop_test(t, asks, 0, ASKERS * WAYS);
    tcase_add_loop_test(t, answers_surveys, 0, WAYS);
    tcase_add_test(t, survey_without_peer_is_counted);
    tcase_add_test(t, request_without_peer_waits);
    t = case_new(suite, "receiving");
    tcase_add_loop_test(t, many_messages_in_order, 0, TRANSPORTS);
    tcase_add_loop_test(t, body_sizes, 0, TRANSPORTS);
    if (!NATIVE)
        tcase_add_test(t, small_messages_share);
    tcase_add_loop_test(t, backpressure, 0, TRANSPORTS);
    tcase_add_test(t, pause_stops_reading);
    tcase_add_test(t, subscriptions);
    tcase_add_test(t, several_addresses);
    t = case_new(suite, "requests");
    tcase_add_loop_test(t, requests_in_flight, 0, TRANSPORTS);
    tcase_add_test(t, answer_to_one_who_left);
    t = case_new(suite, "misbehaviour");
    tcase_add_test(t, malformed_requests);
    tcase_add_test(t, finish_reading_behind_malformed_requests);
    tcase_add_test(t, too_big_over_tcp);
    if (!NATIVE)
        tcase_add_test(t, too_big_over_inproc);
    tcase_add_test(t, request_of_the_largest_size);
    t = case_new(suite, "sending");
    tcase_add_test(t, push_without_peer_waits);
    tcase_add_test(t, pub_without_peer_drops_and_counts);
    tcase_add_test(t, send_after_close_is_counted);
}

static void add_ends(Suite *suite)
{
    TCase *t = case_new(suite, "closing");
    tcase_add_loop_test(t, close_drains_to_a_slow_reader, 0, TRANSPORTS);
    tcase_add_test(t, close_may_become_immediate);
    tcase_add_test(t, close_without_having_sent_does_not_wait);
    tcase_add_test(t, linger_ends);
    tcase_add_test(t, close_drops_what_is_kept);
    tcase_add_test(t, finish_reading_of_a_sender);
    t = case_new(suite, "opening");
    tcase_add_loop_test(t, bad_addresses, 0, sizeof bad_listens / sizeof bad_listens[0]);
    tcase_add_test(t, longest_ipc_path);
    tcase_add_test(t, no_address_and_too_many);
    tcase_add_loop_test(t, address_in_use, 0, TRANSPORTS);
    tcase_add_test(t, failed_open_leaves_nothing);
    tcase_add_test(t, regular_file_at_the_path);
    tcase_add_test(t, stale_socket_is_replaced);
    tcase_add_test(t, ipc_mode);
    tcase_add_test(t, ipv6);
    t = case_new(suite, "threads");
    tcase_add_test(t, stats_while_closing);
    tcase_add_test(t, free_without_use);
}

int main(void)
{
    Suite *suite = suite_create(NATIVE ? "endpoint_native" : "endpoint_nn");
    add_traffic(suite);
    add_ends(suite);
    return fixture_main(suite);
}
