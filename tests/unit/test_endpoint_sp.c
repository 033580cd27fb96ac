/* SPDX-License-Identifier: Apache-2.0
 *
 * The native transport against peers that misbehave, and at its limits: plain connections that say what they
 * want. What it has in common with libnanomsg's is in test_endpoint_nn.c.
 */
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "raw_peer.h"

/* ---- peers that misbehave: i is 0 for tcp and 1 for ipc ---- */

/* libnanomsg 1.1.5 ends its process at this. */
START_TEST(subscriber_sends_to_pub)
{
    make_address(_i == 1);
    open_listening(SP_PUB);
    int good = greeted(SP_PROTOCOL_SUB), bad = greeted(SP_PROTOCOL_SUB);
    say_message(bad, "surprise");
    is_closed_unanswered(bad);
    ck_assert_uint_eq(fixture_stats().malformed, 1);
    ck_assert(send_slice(text_slice("news"), NULL));
    uint8_t got[SP_HEAD_BYTES_MAX + 4];
    hear(good, got, sp_head_bytes(carrier()) + 4);
    ck_assert_mem_eq(got + sp_head_bytes(carrier()), "news", 4);
    close(good);
}
END_TEST

/* And at this. i runs over the types of message. */
START_TEST(ipc_message_of_another_type)
{
    uint8_t type = _i == 0 ? 0 : (uint8_t)(1 << _i);
    make_address(true);
    open_listening(SP_PULL);
    int fd = greeted(SP_PROTOCOL_PUSH);
    say(fd, &type, 1);
    is_closed_unanswered(fd);
    ck_assert_uint_eq(fixture_stats().malformed, 1);
    ck_assert_uint_eq(fixture_stats().breaks, 1);
    pushes_one_more();
}
END_TEST

START_TEST(lengths_beyond_the_limit)
{
    static const uint64_t lengths[] = { MESSAGE_MAX + 1,   UINT32_MAX,        UINT64_C(1) << 32,
                                        UINT64_C(1) << 46, UINT64_C(1) << 63, UINT64_MAX };
    enum { LENGTHS = sizeof lengths / sizeof lengths[0] };
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (size_t i = 0; i < LENGTHS; i++) {
        int fd = greeted(SP_PROTOCOL_PUSH);
        say_message(fd, "before");
        say_head(fd, lengths[i]);
        is_closed_unanswered(fd);
        ck_assert_uint_eq(fixture_stats().too_big, i + 1);
        ck_assert_uint_eq(fixture.frames_count, i + 1);
    }
    pushes_one_more();
}
END_TEST

/* Those that libnanomsg keeps for ever as ghosts. */
START_TEST(hello_and_reset)
{
    enum { TIMES = 200 };
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (int i = 0; i < TIMES; i++) {
        int fd = connected();
        say_hello(fd, SP_PROTOCOL_PUSH);
        if (i % 2 == 0)
            turn();
        reset(fd);
    }
    pushes_one_more();
    run_until(fixture_stats().peers == 0);
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.accepts, s.breaks);
}
END_TEST

START_TEST(pair_survives_hello_and_reset)
{
    make_address(_i == 1);
    open_listening(SP_PAIR);
    for (int i = 0; i < 50; i++) {
        int fd = connected();
        say_hello(fd, SP_PROTOCOL_PAIR);
        turn();
        reset(fd);
        turn();
    }
    run_until(fixture_stats().peers == 0);
    int fd = greeted(SP_PROTOCOL_PAIR);
    say_message(fd, "hello");
    fixture_run_until_frames(1);
    close(fd);
}
END_TEST

/* One who spoke to nobody and left is seen to have left, and another is let in. */
START_TEST(pair_that_only_sends)
{
    static const struct endpoint_events events = { 0 };
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PAIR);
    options.events = &events;
    fixture_open(&options);
    for (int i = 0; i < 3; i++) {
        int fd = greeted(SP_PROTOCOL_PAIR);
        say_message(fd, "is anybody there?");
        turn();
        ck_assert_uint_eq(fixture_stats().peers, 1);
        ck_assert(send_slice(text_slice("yes"), NULL));
        uint8_t got[SP_HEAD_BYTES_MAX + 3];
        hear(fd, got, sp_head_bytes(carrier()) + 3);
        say_message(fd, "good");
        close(fd);
        run_until(fixture_stats().peers == 0);
    }
    ck_assert_uint_eq(fixture_stats().malformed, 0);
    endpoint_free(&fixture.endpoint);
}
END_TEST

START_TEST(pair_has_one_peer)
{
    make_address(_i == 1);
    open_listening(SP_PAIR);
    int silent = connected(); /* Holds no place. */
    int first = greeted(SP_PROTOCOL_PAIR), second = connected();
    say_hello(second, SP_PROTOCOL_PAIR);
    is_closed_unanswered(second);
    ck_assert_uint_eq(fixture_stats().refused, 1);
    ck_assert_uint_eq(fixture_stats().peers, 1);
    close(first);
    run_until(fixture_stats().peers == 0);
    first = greeted(SP_PROTOCOL_PAIR);
    close(first);
    close(silent);
}
END_TEST

START_TEST(silent_handshakes)
{
    enum { SILENT = 50 };
    int fds[SILENT];
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PULL);
    options.handshake = span_ms(50);
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    for (int i = 0; i < SILENT; i++) {
        fds[i] = connected();
        if (i % 2 == 0)
            say(fds[i], "\0SP", 4); /* Half of a hello is none. */
    }
    run_until(fixture_stats().handshake_timeouts == SILENT);
    for (int i = 0; i < SILENT; i++)
        is_closed_unanswered(fds[i]);
    ck_assert_uint_eq(fixture_stats().accepts, 0);
    pushes_one_more();
}
END_TEST

START_TEST(reset_in_mid_message)
{
    static char body[MESSAGE_MAX];
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (size_t part = 0; part <= 40000; part = part * 2 + 1) {
        int fd = greeted(SP_PROTOCOL_PUSH);
        say_head(fd, sizeof body);
        say(fd, body, part);
        turn();
        reset(fd);
        run_until(fixture_stats().peers == 0);
    }
    ck_assert_uint_eq(fixture.frames_count, 0);
    pushes_one_more();
}
END_TEST

START_TEST(garbage_is_counted_by_kind)
{
    make_address(_i == 1);
    open_listening(SP_REP);
    static const char *const texts[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.0\r\n",
                                         "\x16\x03\x01\x02", "SSH-2.0-OpenSSH" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int fd = connected();
        say(fd, texts[i], strlen(texts[i]));
        is_closed_unanswered(fd);
    }
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.garbage_http, 2);
    ck_assert_uint_eq(s.garbage_tls, 1);
    ck_assert_uint_eq(s.garbage_other, 1);
    ck_assert_uint_eq(s.accepts, 0);
}
END_TEST

/* Refused before it has seen our hello, so that a libnanomsg client would try again. */
START_TEST(wrong_protocol)
{
    static const uint16_t wrong[] = { SP_PROTOCOL_PULL, SP_PROTOCOL_REQ, SP_PROTOCOL_SURVEYOR, 0,
                                      0xffff };
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int fd = connected();
        say_hello(fd, wrong[i]);
        is_closed_unanswered(fd);
        ck_assert_uint_eq(fixture_stats().wrong_protocol, i + 1);
    }
    pushes_one_more();
}
END_TEST

/* Every split of a stream of small and large messages gives the same messages. */
START_TEST(stream_cut_everywhere)
{
    static char large[6000];
    memset(large, 'x', sizeof large);
    uint8_t stream[8000];
    size_t bytes = 0;
    const size_t sizes[] = { 3, 0, sizeof large, 5 };
    make_address(_i == 1);
    for (size_t i = 0; i < 4; i++) {
        bytes += sp_head_encode(carrier(), sizes[i], stream + bytes);
        memcpy(stream + bytes, large, sizes[i]);
        bytes += sizes[i];
    }
    open_listening(SP_PULL);
    int fd = greeted(SP_PROTOCOL_PUSH);
    size_t rounds = 0;
    for (size_t cut = 0; cut <= bytes; cut += cut < 64 || cut + 64 > bytes ? 1 : 97) {
        say(fd, stream, cut);
        turn();
        say(fd, stream + cut, bytes - cut);
        rounds++;
        fixture_run_until_frames(4 * rounds);
        for (size_t i = 0; i < 4; i++) {
            const struct slice *body = &fixture.frames[4 * (rounds - 1) + i].body;
            ck_assert_uint_eq(body->bytes, sizes[i]);
            ck_assert(sizes[i] == 0 || memcmp(body->at, large, sizes[i]) == 0);
        }
    }
    ck_assert_uint_gt(rounds, 100);
    close(fd);
}
END_TEST

/* ---- limits ---- */

START_TEST(connections_at_the_limit_and_one_beyond)
{
    enum { LIMIT = 5 };
    int fds[LIMIT];
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PULL);
    options.connections_max = LIMIT;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    for (int i = 0; i < LIMIT; i++)
        fds[i] = greeted(SP_PROTOCOL_PUSH);
    ck_assert_uint_eq(fixture_stats().refused, 0);
    is_closed_unanswered(connected());
    ck_assert_uint_eq(fixture_stats().refused, 1);
    close(fds[0]);
    run_until(fixture_stats().peers == LIMIT - 1);
    fds[0] = greeted(SP_PROTOCOL_PUSH);
    for (int i = 0; i < LIMIT; i++) {
        say_message(fds[i], "still here");
        close(fds[i]);
    }
    fixture_run_until_frames(LIMIT);
}
END_TEST

/* No descriptor is left for those who wait; they are taken in when some are again. */
START_TEST(no_descriptors)
{
    enum { CLIENTS = 20 };
    int fds[CLIENTS];
    make_address(_i == 1);
    open_listening(SP_PULL);
    turn();
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = socket(over_ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = (rlim_t)fds[CLIENTS - 1] + 1, .rlim_max = before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < CLIENTS; i++) {
        connect_fd(fds[i]);
        say_hello(fds[i], SP_PROTOCOL_PUSH);
        say_message(fds[i], "hello");
    }
    run_until(fixture_stats().accept_errors > 0);
    ck_assert_uint_eq(fixture.frames_count, 0);
    uint64_t errors = fixture_stats().accept_errors;
    fixture_run_turns(50);
    ck_assert_uint_le(fixture_stats().accept_errors, errors + 2); /* It does not spin. */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    fixture_run_until_frames(CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}
END_TEST

START_TEST(a_thousand_connections)
{
    enum { CLIENTS = 1000 };
    static int fds[CLIENTS];
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connected();
        say_hello(fds[i], SP_PROTOCOL_PUSH);
        if (i % 100 == 0)
            turn();
    }
    run_until(fixture_stats().peers == CLIENTS);
    for (int i = CLIENTS - 1; i >= 0; i--)
        say_message(fds[i], "hello");
    fixture_run_until_frames(CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    run_until(fixture_stats().peers == 0);
}
END_TEST

/* Who comes while the loop is busy with something else waits in the backlog, all of them. */
START_TEST(a_thousand_at_once)
{
    enum { CLIENTS = 1000 };
    static int fds[CLIENTS];
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = connected();
    for (int i = 0; i < CLIENTS; i++)
        say_hello(fds[i], SP_PROTOCOL_PUSH);
    run_until(fixture_stats().peers == CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}
END_TEST

/* Clients that say all they have to say at once, wait for nothing and leave. */
START_TEST(connect_send_one_close)
{
    enum { TIMES = 2000 };
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (int i = 0; i < TIMES; i++) {
        int fd = connected();
        say_hello(fd, SP_PROTOCOL_PUSH);
        say_message(fd, "one");
        close(fd);
        if (i % 16 == 0)
            turn();
    }
    fixture_run_until_frames(TIMES);
    ck_assert_uint_eq(fixture_stats().frames_in, TIMES);
}
END_TEST

/* The same by libnanomsg. */
START_TEST(nanomsg_connects_sends_one_closes)
{
    enum { TIMES = 300 };
    make_address(_i == 1);
    open_listening(SP_PULL);
    for (int i = 0; i < TIMES; i++) {
        int s = nn_socket(AF_SP, NN_PUSH);
        ck_assert_int_ge(nn_connect(s, address), 0);
        while (nn_send(s, "one", 3, NN_DONTWAIT) < 0)
            turn();
        nn_close(s);
    }
    fixture_run_until_frames(TIMES);
}
END_TEST

/* ---- who gets what ---- */

/* What one peer was not given completely goes to the next, in order, before what is new. */
START_TEST(push_to_a_peer_that_dies)
{
    enum { BYTES = 1000 };
    make_address(_i == 1);
    open_listening(SP_PUSH);
    int dies = greeted(SP_PROTOCOL_PULL), sent = 0;
    while (send_slice(numbered(sent, BYTES), NULL))
        sent++;
    ck_assert_int_gt(sent, 2);
    int first = hear_number(dies, BYTES);
    ck_assert_int_eq(first, 0);
    reset(dies);
    run_until(fixture_stats().peers == 0);
    int next = greeted(SP_PROTOCOL_PULL);
    run_until(fixture.rooms > 0);
    ck_assert(send_slice(numbered(sent, BYTES), NULL));
    int number = hear_number(next, BYTES), least = number;
    ck_assert_int_gt(least, 0);
    ck_assert_int_lt(least, sent);
    while (number < sent)
        ck_assert_int_eq(hear_number(next, BYTES), ++number);
    ck_assert_uint_eq(fixture_stats().dropped_error, 0);
    close(next);
}
END_TEST

START_TEST(push_takes_turns)
{
    enum { PEERS = 3, EACH = 10 };
    int fds[PEERS];
    make_address(_i == 1);
    open_listening(SP_PUSH);
    for (int i = 0; i < PEERS; i++)
        fds[i] = greeted(SP_PROTOCOL_PULL);
    for (int i = 0; i < PEERS * EACH; i++)
        ck_assert(send_slice(numbered(i, 100), NULL));
    for (int i = 0; i < PEERS; i++) {
        int number = hear_number(fds[i], 100);
        for (int k = 1; k < EACH; k++, number += PEERS)
            ck_assert_int_eq(hear_number(fds[i], 100), number + PEERS);
        close(fds[i]);
    }
}
END_TEST

/* One subscriber stops reading: what it loses is counted, the others lose nothing. */
START_TEST(slow_subscriber)
{
    enum { OTHERS = 5, MESSAGES = 3000, BYTES = 1000, PEER_BYTES = 256 * 1024 };
    static const enum conf_slow_subscriber policies[] = { SLOW_DROP_OLDEST, SLOW_DROP_NEWEST,
                                                          SLOW_DISCONNECT };
    int fds[OTHERS];
    make_address(_i >= 3);
    struct endpoint_options options = options_for(SP_PUB);
    options.peer_bytes_max = PEER_BYTES;
    options.send_buffer = 32 * 1024;
    options.slow = policies[_i % 3];
    fixture_open(&options);
    int slow = socket(over_ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0), small = 16 * 1024;
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    connect_fd(slow);
    say_hello(slow, SP_PROTOCOL_SUB);
    uint8_t hello[SP_HELLO_BYTES];
    hear(slow, hello, sizeof hello);
    for (int i = 0; i < OTHERS; i++)
        fds[i] = greeted(SP_PROTOCOL_SUB);
    for (int i = 0; i < MESSAGES; i++) {
        ck_assert(send_slice(numbered(i, BYTES), NULL));
        for (int k = 0; k < OTHERS; k++)
            ck_assert_int_eq(hear_number(fds[k], BYTES), i);
    }
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_ge(s.dropped_slow, 1);
    ck_assert_uint_eq(s.frames_out, MESSAGES);
    ck_assert_uint_eq(s.peers, OTHERS + (options.slow != SLOW_DISCONNECT));
    if (options.slow != SLOW_DISCONNECT) {
        /* It gets whole messages in order, with a gap where those were that it lost. */
        int last = -1;
        for (uint64_t n = 0; n < MESSAGES - s.dropped_slow; n++) {
            int number = hear_number(slow, BYTES);
            ck_assert_int_gt(number, last);
            last = number;
        }
        ck_assert_int_eq(last == MESSAGES - 1, options.slow == SLOW_DROP_OLDEST);
    }
    for (int i = 0; i < OTHERS; i++)
        close(fds[i]);
    close(slow);
}
END_TEST

START_TEST(answers_to_one_who_left_are_counted)
{
    make_address(_i == 1);
    open_listening(SP_REP);
    int fd = greeted(SP_PROTOCOL_REQ);
    say_message(fd, "\x80zzzquestion");
    fixture_run_until_frames(1);
    assert_body(0, "question");
    close(fd);
    run_until(fixture_stats().peers == 0);
    ck_assert(send_slice(text_slice("answer"), &fixture.frames[0].route));
    ck_assert_uint_eq(fixture_stats().dropped_gone, 1);
    /* Whoever comes next has another number. */
    fd = greeted(SP_PROTOCOL_REQ);
    ck_assert(send_slice(text_slice("answer"), &fixture.frames[0].route));
    ck_assert_uint_eq(fixture_stats().dropped_gone, 2);
    close(fd);
}
END_TEST

/* Who asks and leaves in one go is told to have gone, but not before the question was taken. */
START_TEST(a_peer_that_has_gone_is_told_after_its_last_request)
{
    make_address(_i == 1);
    open_listening(SP_REP);
    int fd = greeted(SP_PROTOCOL_REQ), other = greeted(SP_PROTOCOL_REQ);
    fixture.take = 0;
    say_message(fd, "\x80zzzquestion");
    close(fd);
    run_until(fixture.calls > 0);
    turn();
    ck_assert_int_eq(fixture.gone, 0);
    fixture.take = SIZE_MAX;
    endpoint_resume(fixture.endpoint);
    run_until(fixture.gone > 0);
    ck_assert_uint_eq(fixture.frames_at_gone, 1);
    assert_body(0, "question");
    ck_assert_uint_eq(fixture.gone_last, endpoint_route_peer(&fixture.frames[0].route));
    close(other);
    run_until(fixture.gone > 1);
    ck_assert_uint_ne(fixture.gone_last, endpoint_route_peer(&fixture.frames[0].route));
}
END_TEST

/* One that never got through the greeting was nobody, and those that we end are not told. */
START_TEST(strangers_do_not_go_and_a_close_tells_nobody)
{
    make_address(_i == 1);
    open_listening(SP_REP);
    reset(connected());
    int fd = greeted(SP_PROTOCOL_REQ);
    turn();
    fixture_close(true);
    ck_assert_int_eq(fixture.gone, 0);
    close(fd);
}
END_TEST

/* The deepest stack is answered along the same way; one id more is malformed. */
START_TEST(hops_at_the_limit_and_one_beyond)
{
    char request[(SP_HOPS_MAX + 1) * SP_ID_BYTES + 3] = "";
    uint8_t got[SP_HEAD_BYTES_MAX + sizeof request];
    make_address(_i == 1);
    open_listening(SP_REP);
    int fd = greeted(SP_PROTOCOL_REQ);
    for (uint32_t hops = SP_HOPS_MAX + 1; hops >= SP_HOPS_MAX; hops--) {
        size_t stack = hops * SP_ID_BYTES;
        for (uint32_t i = 0; i < hops; i++)
            sp_id_put(0x01010101u * (i + 1) + (i + 1 == hops ? 0x80000000u : 0),
                      (uint8_t *)request + i * SP_ID_BYTES);
        memcpy(request + stack, "ask", 3);
        say_head(fd, stack + 3);
        say(fd, request, stack + 3);
    }
    fixture_run_until_frames(1);
    ck_assert_uint_eq(fixture_stats().malformed, 1);
    assert_body(0, "ask");
    ck_assert(send_slice(text_slice("ask"), &fixture.frames[0].route));
    size_t head = sp_head_bytes(carrier()), stack = SP_HOPS_MAX * SP_ID_BYTES;
    hear(fd, got, head + stack + 3);
    ck_assert_mem_eq(got + head, request, stack + 3);
    close(fd);
}
END_TEST

/* ---- several loops on one address ---- */

static size_t helped_frames;

static size_t on_helped_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    (void)endpoint;
    (void)arg;
    for (size_t i = 0; i < n; i++)
        slice_release(&frames[i].body);
    helped_frames += n;
    return n;
}

static struct endpoint *helper_new(void)
{
    static const struct endpoint_events events = { .on_frames = on_helped_frames };
    struct endpoint_options options = options_for(SP_PULL);
    struct endpoint *helper;
    options.events = &events;
    options.listen = NULL;
    options.helps = true;
    int r = endpoint_open(&options, fixture.text, sizeof fixture.text, &helper);
    ck_assert_msg(r == 0, "%s: %s", pen_errname(r), fixture.text);
    endpoint_resume(helper);
    return helper;
}

static uint64_t peers_of(const struct endpoint *endpoint)
{
    struct endpoint_stats s;
    endpoint_stats(endpoint, &s);
    return s.peers;
}

/* Each has its part of the connections, one by one, and serves them. */
START_TEST(helpers_take_turns)
{
    enum { HELPERS = 3, EACH = 5, CLIENTS = (HELPERS + 1) * EACH };
    struct endpoint *helpers[HELPERS];
    int fds[CLIENTS];
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PULL);
    for (int i = 0; i < HELPERS; i++)
        helpers[i] = helper_new();
    options.helpers = helpers;
    options.helpers_count = HELPERS;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = greeted(SP_PROTOCOL_PUSH);
        say_message(fds[i], "hello");
    }
    run_until(helped_frames == HELPERS * EACH);
    fixture_run_until_frames(EACH);
    ck_assert_uint_eq(fixture_stats().peers, EACH);
    for (int i = 0; i < HELPERS; i++)
        ck_assert_uint_eq(peers_of(helpers[i]), EACH);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    /* One that has ended is given nobody more, and keeps nobody. */
    endpoint_close(helpers[0], true);
    turn();
    for (int i = 0; i <= HELPERS; i++) {
        fds[i] = connected();
        say_hello(fds[i], SP_PROTOCOL_PUSH);
    }
    is_closed_unanswered(fds[0]);
    run_until(fixture_stats().peers == 1 && peers_of(helpers[1]) == 1 && peers_of(helpers[2]) == 1);
    for (int i = 1; i <= HELPERS; i++)
        close(fds[i]);
    fixture_close(true);
    for (int i = 0; i < HELPERS; i++)
        endpoint_free(&helpers[i]);
}
END_TEST

/* ---- sockets ---- */

static int number_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    ck_assert_int_eq(getsockopt(fd, level, option, &value, &bytes), 0);
    return value;
}

/* The other end of a connection over tcp, which is in this process too. */
static int other_end(int fd)
{
    struct sockaddr_in own, peer;
    socklen_t bytes = sizeof own;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&own, &bytes), 0);
    for (int other = 3; other < 1024; other++) {
        bytes = sizeof peer;
        if (getpeername(other, (struct sockaddr *)&peer, &bytes) == 0 &&
            peer.sin_port == own.sin_port && peer.sin_family == AF_INET)
            return other;
    }
    ck_abort_msg("no such descriptor");
}

static void has_options(int fd)
{
    ck_assert_int_eq(number_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(number_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    /* A peer that is gone without a word is noticed after two minutes. */
    int idle_s = number_of(fd, IPPROTO_TCP, TCP_KEEPIDLE);
    int probes_s =
        number_of(fd, IPPROTO_TCP, TCP_KEEPINTVL) * number_of(fd, IPPROTO_TCP, TCP_KEEPCNT);
    ck_assert_int_eq(idle_s + probes_s, 120);
}

START_TEST(options_of_accepted_and_dialled)
{
    make_address(false);
    open_listening(SP_PULL);
    int fd = greeted(SP_PROTOCOL_PUSH);
    has_options(other_end(fd));
    struct endpoint_options options = options_for(SP_PUSH);
    struct endpoint *dials;
    options.listen = NULL;
    options.connect = addresses;
    ck_assert_int_eq(endpoint_open(&options, fixture.text, sizeof fixture.text, &dials), 0);
    run_until(fixture_stats().peers == 2);
    int dialled = -1; /* The one that is connected to where we listen, and is not ours. */
    struct sockaddr_in at;
    for (int other = 3; other < 1024 && dialled < 0; other++) {
        socklen_t bytes = sizeof at;
        if (other != fd && getpeername(other, (struct sockaddr *)&at, &bytes) == 0 &&
            at.sin_family == AF_INET &&
            ntohs(at.sin_port) == (uint16_t)atoi(strrchr(address, ':') + 1))
            dialled = other;
    }
    ck_assert_int_ge(dialled, 0);
    has_options(dialled);
    close(fd);
    endpoint_free(&dials);
}
END_TEST

/* ---- dialling ---- */

/* A server that greets and resets: libnanomsg would never come back; we do. */
START_TEST(dials_again_after_reset)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    make_address(false);
    in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct endpoint_options options = options_for(SP_PULL);
    options.listen = NULL;
    options.connect = addresses;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    run_until(fixture_stats().connect_errors > 0); /* Nobody is there yet. */
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    int fd = -1;
    for (int i = 0; i < 4; i++) {
        while ((fd = accept(listener, NULL, NULL)) < 0)
            turn();
        if (i < 3) {
            say_hello(fd, SP_PROTOCOL_PUSH);
            reset(fd);
        }
    }
    say_hello(fd, SP_PROTOCOL_PUSH);
    say_message(fd, "at last");
    fixture_run_until_frames(1);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(native_refuses_other_transports)
{
    struct endpoint_options options = options_for(SP_PULL);
    snprintf(address, sizeof address, _i == 0 ? "inproc://name" : "ws://127.0.0.1:4510");
    int r = endpoint_open(&options, fixture.text, sizeof fixture.text, &fixture.endpoint);
    ck_assert_int_eq(r, PEN_EADDRESS);
    ck_assert_ptr_nonnull(strstr(fixture.text, "nanomsg"));
    ck_assert_ptr_nonnull(strstr(fixture.text, address));
}
END_TEST

/* A peer that neither reads nor leaves: closing waits, until it is told not to. */
START_TEST(close_may_become_immediate)
{
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PUSH);
    options.linger = span_s(3600);
    fixture_open(&options);
    int fd = greeted(SP_PROTOCOL_PULL);
    ck_assert(send_slice(text_slice("a"), NULL));
    endpoint_close(fixture.endpoint, false);
    fixture_run_turns(20);
    ck_assert_int_eq(fixture.closes, 0);
    fixture_close(true);
    close(fd);
}
END_TEST

/* Messages that no peer has taken wait for one who comes while we close. */
START_TEST(close_waits_for_a_peer_to_take_what_is_left)
{
    enum { BYTES = 1000 };
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PUSH);
    options.linger = span_s(3600);
    fixture_open(&options);
    int dies = greeted(SP_PROTOCOL_PULL), sent = 0;
    while (send_slice(numbered(sent, BYTES), NULL))
        sent++;
    (void)hear_number(dies, BYTES);
    reset(dies);
    run_until(fixture_stats().peers == 0);
    endpoint_close(fixture.endpoint, false);
    turn();
    int next = greeted(SP_PROTOCOL_PULL), number = hear_number(next, BYTES);
    while (number < sent - 1)
        ck_assert_int_eq(hear_number(next, BYTES), ++number);
    uint8_t byte;
    while (recv(next, &byte, 1, MSG_DONTWAIT) != 0)
        turn();
    ck_assert_int_eq(fixture.closes, 0);
    close(next);
    fixture.want_closes = 1;
    fixture_run();
    ck_assert_uint_eq(fixture_stats().dropped_error, 0);
}
END_TEST

/* Read to the end of what a peer is sent, while the loop runs; how many bytes. The peer does not end its side. */
static size_t hear_all(int fd)
{
    char scratch[65536];
    size_t bytes = 0;
    ssize_t n;
    while ((n = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT)) != 0) {
        ck_assert(n > 0 || errno == EAGAIN);
        if (n > 0)
            bytes += (size_t)n;
        else
            turn();
    }
    return bytes;
}

/* With no time for the peers' ends: as long as one of them has not been written everything, that has not begun. */
START_TEST(linger_begins_when_everything_is_written)
{
    enum { BYTES = 1000 };
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PUSH);
    options.flush = span_s(3600);
    options.linger = span_s(0);
    fixture_open(&options);
    int reads = greeted(SP_PROTOCOL_PULL), waits = greeted(SP_PROTOCOL_PULL), sent = 0;
    while (send_slice(numbered(sent, BYTES), NULL))
        sent++;
    endpoint_close(fixture.endpoint, false);
    size_t heard = hear_all(reads);
    fixture_run_turns(20);
    ck_assert_int_eq(fixture.closes, 0);
    heard += hear_all(waits);
    fixture.want_closes = 1;
    fixture_run();
    ck_assert_uint_eq(heard, (size_t)sent * (sp_head_bytes(carrier()) + BYTES));
    ck_assert_uint_eq(fixture_stats().dropped_error, 0);
    close(reads);
    close(waits);
}
END_TEST

/* A peer that does not read what is written to it has no part in the time for its end. */
START_TEST(flush_ends)
{
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PUSH);
    options.flush = span_ms(1);
    options.linger = span_s(3600);
    fixture_open(&options);
    int fd = greeted(SP_PROTOCOL_PULL), sent = 0;
    while (send_slice(numbered(sent, 1000), NULL))
        sent++;
    fixture_close(false);
    ck_assert_uint_gt(fixture_stats().dropped_error, 0);
    close(fd);
}
END_TEST

static TCase *case_new(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, TIME_LIMIT_S);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static void add_attacks(Suite *suite)
{
    TCase *t = case_new(suite, "attacks");
    tcase_add_loop_test(t, subscriber_sends_to_pub, 0, 2);
    tcase_add_loop_test(t, ipc_message_of_another_type, 0, 8);
    tcase_add_loop_test(t, lengths_beyond_the_limit, 0, 2);
    tcase_add_loop_test(t, hello_and_reset, 0, 2);
    tcase_add_loop_test(t, pair_survives_hello_and_reset, 0, 2);
    tcase_add_loop_test(t, pair_has_one_peer, 0, 2);
    tcase_add_loop_test(t, pair_that_only_sends, 0, 2);
    tcase_add_loop_test(t, silent_handshakes, 0, 2);
    tcase_add_loop_test(t, reset_in_mid_message, 0, 2);
    tcase_add_loop_test(t, garbage_is_counted_by_kind, 0, 2);
    tcase_add_loop_test(t, wrong_protocol, 0, 2);
    tcase_add_loop_test(t, stream_cut_everywhere, 0, 2);
    t = case_new(suite, "limits");
    tcase_add_loop_test(t, connections_at_the_limit_and_one_beyond, 0, 2);
    tcase_add_loop_test(t, no_descriptors, 0, 2);
    tcase_add_loop_test(t, a_thousand_connections, 0, 2);
    tcase_add_loop_test(t, a_thousand_at_once, 0, 2);
    tcase_add_loop_test(t, connect_send_one_close, 0, 2);
    tcase_add_loop_test(t, nanomsg_connects_sends_one_closes, 0, 2);
}

static void add_delivery(Suite *suite)
{
    TCase *t = case_new(suite, "delivery");
    tcase_add_loop_test(t, push_to_a_peer_that_dies, 0, 2);
    tcase_add_loop_test(t, push_takes_turns, 0, 2);
    tcase_add_loop_test(t, slow_subscriber, 0, 6);
    tcase_add_loop_test(t, answers_to_one_who_left_are_counted, 0, 2);
    tcase_add_loop_test(t, a_peer_that_has_gone_is_told_after_its_last_request, 0, 2);
    tcase_add_loop_test(t, strangers_do_not_go_and_a_close_tells_nobody, 0, 2);
    tcase_add_loop_test(t, hops_at_the_limit_and_one_beyond, 0, 2);
    tcase_add_loop_test(t, helpers_take_turns, 0, 2);
    tcase_add_test(t, options_of_accepted_and_dialled);
    t = case_new(suite, "ends");
    tcase_add_test(t, dials_again_after_reset);
    tcase_add_loop_test(t, native_refuses_other_transports, 0, 2);
    tcase_add_loop_test(t, close_may_become_immediate, 0, 2);
    tcase_add_loop_test(t, close_waits_for_a_peer_to_take_what_is_left, 0, 2);
    tcase_add_loop_test(t, linger_begins_when_everything_is_written, 0, 2);
    tcase_add_loop_test(t, flush_ends, 0, 2);
}

int main(void)
{
    Suite *suite = suite_create("endpoint_sp");
    add_attacks(suite);
    add_delivery(suite);
    return fixture_main(suite);
}
