/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer of the native transport may cost: each bound at its limit and one beyond it. i is 0 for tcp and 1 for
 * ipc.
 */
#include "net/sp.h"
#include "raw_peer.h"

/* A message that no socket here takes whole: what is sent behind it waits. */
enum { PLUG_BYTES = 8 * 1024 * 1024 };

static struct endpoint_options small_buffers(enum sp_pattern pattern)
{
    struct endpoint_options options = options_for(pattern);
    options.send_buffer = 4 * 1024;
    options.peer_bytes_max = 64 * 1024 * 1024;
    return options;
}

static int slow_peer(uint16_t protocol)
{
    uint8_t hello[SP_HELLO_BYTES];
    int fd = socket(over_ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0), small = 4 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    connect_fd(fd);
    say_hello(fd, protocol);
    hear(fd, hello, sizeof hello);
    return fd;
}

static void skip(int fd, size_t bytes)
{
    static uint8_t nothing[64 * 1024];
    while (bytes > 0) {
        size_t n = bytes < sizeof nothing ? bytes : sizeof nothing;
        hear(fd, nothing, n);
        bytes -= n;
    }
}

static void skip_plug(int fd, size_t more)
{
    skip(fd, sp_head_bytes(carrier()) + PLUG_BYTES + more);
}

/* ---- what waits for one peer ---- */

START_TEST(messages_for_one_peer)
{
    enum { MESSAGES = 10 };
    make_address(_i == 1);
    struct endpoint_options options = small_buffers(SP_PUB);
    options.peer_messages_max = MESSAGES;
    options.slow = SLOW_DROP_NEWEST;
    fixture_open(&options);
    int fd = slow_peer(SP_PROTOCOL_SUB);
    ck_assert(send_slice(numbered(0, PLUG_BYTES), NULL));
    for (int i = 1; i < MESSAGES; i++)
        ck_assert(send_slice(numbered(i, 100), NULL));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 0);
    ck_assert(send_slice(numbered(MESSAGES, 100), NULL));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 1);
    skip_plug(fd, 0);
    for (int i = 1; i < MESSAGES; i++)
        ck_assert_int_eq(hear_number(fd, 100), i);
    close(fd);
}
END_TEST

START_TEST(bytes_for_one_peer)
{
    enum { MESSAGES = 5, BYTES = 1000 };
    make_address(_i == 1);
    struct endpoint_options options = small_buffers(SP_PUB);
    options.peer_bytes_max = PLUG_BYTES + MESSAGES * BYTES + (MESSAGES + 1) * SP_OUT_BYTES;
    options.slow = SLOW_DROP_NEWEST;
    fixture_open(&options);
    int fd = slow_peer(SP_PROTOCOL_SUB);
    ck_assert(send_slice(numbered(0, PLUG_BYTES), NULL));
    for (int i = 0; i < MESSAGES - 1; i++)
        ck_assert(send_slice(numbered(i, BYTES), NULL));
    ck_assert(send_slice(numbered(0, BYTES + 1), NULL));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 1);
    ck_assert(send_slice(numbered(MESSAGES - 1, BYTES), NULL));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 1);
    skip_plug(fd, 0);
    for (int i = 0; i < MESSAGES; i++)
        ck_assert_int_eq(hear_number(fd, BYTES), i);
    close(fd);
}
END_TEST

/* ---- what waits for all ---- */

static struct route asked_by(int fd)
{
    size_t before = fixture.frames_count;
    say_message(fd, "\x80zzz?");
    fixture_run_until_frames(before + 1);
    return fixture.frames[before].route;
}

/* Beyond the limit, who has nothing waiting still gets an answer. */
START_TEST(bytes_for_all_peers)
{
    enum { BYTES = 1000, STACK = SP_ID_BYTES };
    make_address(_i == 1);
    struct endpoint_options options = small_buffers(SP_REP);
    options.out_bytes_max =
        2 * (PLUG_BYTES + STACK + SP_OUT_BYTES) + 3 * (BYTES + STACK + SP_OUT_BYTES);
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int fds[3];
    struct route routes[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = slow_peer(SP_PROTOCOL_REQ);
        routes[i] = asked_by(fds[i]);
    }
    ck_assert(send_slice(numbered(0, PLUG_BYTES), &routes[0]));
    ck_assert(send_slice(numbered(0, PLUG_BYTES), &routes[1]));
    ck_assert(send_slice(numbered(1, BYTES), &routes[0]));
    ck_assert(send_slice(numbered(1, BYTES), &routes[1]));
    ck_assert(send_slice(numbered(2, BYTES), &routes[1]));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 0);
    ck_assert(send_slice(numbered(2, BYTES), &routes[0]));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 1);
    ck_assert(send_slice(text_slice("done"), &routes[2]));
    skip(fds[2], sp_head_bytes(carrier()) + STACK + 4);
    ck_assert_uint_eq(fixture_stats().dropped_slow, 1);
    skip_plug(fds[0], STACK); /* Then there is room again. */
    ck_assert(send_slice(numbered(3, BYTES), &routes[0]));
    ck_assert_uint_eq(fixture_stats().dropped_slow, 1);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}
END_TEST

/* ---- block ---- */

static void hear_up_to(int fd, int *next, int end, size_t bytes)
{
    while (*next < end)
        ck_assert_int_eq(hear_number(fd, bytes), (*next)++);
}

/* One subscriber that does not read stops everybody, nobody loses anything, and all goes on with it. */
START_TEST(block)
{
    enum { OTHERS = 3, BYTES = 1000, PEER_BYTES = 64 * 1024, MORE = 500 };
    int others[OTHERS], heard[OTHERS] = { 0 }, slow_heard = 0, sent = 0;
    make_address(_i == 1);
    struct endpoint_options options = small_buffers(SP_PUB);
    options.peer_bytes_max = PEER_BYTES;
    options.slow = SLOW_BLOCK;
    fixture_open(&options);
    int slow = slow_peer(SP_PROTOCOL_SUB);
    for (int i = 0; i < OTHERS; i++)
        others[i] = greeted(SP_PROTOCOL_SUB);
    while (send_slice(numbered(sent, BYTES), NULL)) {
        sent++;
        for (int i = 0; i < OTHERS; i++)
            hear_up_to(others[i], &heard[i], sent, BYTES);
    }
    ck_assert_int_ge(sent, PEER_BYTES / (BYTES + SP_OUT_BYTES));
    fixture_run_turns(10);
    ck_assert_int_eq(fixture.rooms, 0);
    while (fixture.rooms == 0)
        hear_up_to(slow, &slow_heard, slow_heard + 1, BYTES);
    for (int end = sent + MORE; sent < end;) {
        hear_up_to(slow, &slow_heard, slow_heard + 1, BYTES);
        while (sent < end && send_slice(numbered(sent, BYTES), NULL))
            sent++;
        for (int i = 0; i < OTHERS; i++)
            hear_up_to(others[i], &heard[i], sent, BYTES);
    }
    hear_up_to(slow, &slow_heard, sent, BYTES);
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.dropped_slow + s.dropped_gone + s.dropped_error, 0);
    ck_assert_uint_eq(s.frames_out, (uint64_t)sent);
    close(slow);
    for (int i = 0; i < OTHERS; i++)
        close(others[i]);
}
END_TEST

START_TEST(block_ends_with_the_one_who_blocks)
{
    enum { BYTES = 1000 };
    make_address(_i == 1);
    struct endpoint_options options = small_buffers(SP_PUB);
    options.peer_bytes_max = 64 * 1024;
    options.slow = SLOW_BLOCK;
    fixture_open(&options);
    int slow = slow_peer(SP_PROTOCOL_SUB), sent = 0;
    while (send_slice(numbered(sent, BYTES), NULL))
        sent++;
    int other = greeted(SP_PROTOCOL_SUB);
    ck_assert(!send_slice(numbered(sent, BYTES), NULL));
    fixture_run_turns(4);
    ck_assert_int_eq(fixture.rooms, 0);
    reset(slow);
    fixture.want_rooms = 1;
    fixture_run();
    ck_assert(send_slice(numbered(sent, BYTES), NULL));
    ck_assert_int_eq(hear_number(other, BYTES), sent);
    close(other);
}
END_TEST

/* ---- what has come in part ---- */

static void say_beginning(int fd, uint64_t payload)
{
    say_head(fd, payload);
    say(fd, "x", 1);
    turn();
}

START_TEST(unfinished_messages)
{
    static char body[MESSAGE_MAX];
    enum { SECOND_BYTES = 36 * 1024 };
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PULL);
    options.unfinished_bytes_max = MESSAGE_MAX + SECOND_BYTES;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int first = greeted(SP_PROTOCOL_PUSH), second = greeted(SP_PROTOCOL_PUSH);
    say_beginning(first, MESSAGE_MAX);
    say_beginning(second, SECOND_BYTES);
    ck_assert_uint_eq(fixture_stats().peers, 2);
    int third = greeted(SP_PROTOCOL_PUSH);
    say_message(third, "small ones are not counted");
    fixture_run_until_frames(1);
    say_beginning(third, SP_SMALL_BYTES + 1);
    is_closed_unanswered(third);
    ck_assert_uint_eq(fixture_stats().unfinished, 1);
    pushes_one_more();
    say(first, body, MESSAGE_MAX - 1);
    fixture_run_until_frames(3);
    ck_assert_uint_eq(fixture.frames[2].body.bytes, MESSAGE_MAX);
    third = greeted(SP_PROTOCOL_PUSH);
    say_beginning(third, MESSAGE_MAX);
    reset(second);
    run_until(fixture_stats().peers == 2);
    say_beginning(first, SECOND_BYTES);
    say(third, body, MESSAGE_MAX - 1);
    say(first, body, SECOND_BYTES - 1);
    fixture_run_until_frames(5);
    ck_assert_uint_eq(fixture_stats().unfinished, 1);
    close(first);
    close(third);
}
END_TEST

/* A lone one always may be, or max_message could not be met. */
START_TEST(unfinished_message_above_the_limit)
{
    static char body[MESSAGE_MAX];
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PULL);
    options.unfinished_bytes_max = MESSAGE_MAX - 1;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int fd = greeted(SP_PROTOCOL_PUSH);
    say_beginning(fd, MESSAGE_MAX);
    say(fd, body, MESSAGE_MAX - 1);
    fixture_run_until_frames(1);
    ck_assert_uint_eq(fixture_stats().unfinished, 0);
    close(fd);
}
END_TEST

/* ---- idle ---- */

static const enum sp_pattern idle_patterns[] = { SP_PULL, SP_PUB, SP_REP };

/* i runs over patterns too. Who says something is not idle, however long it takes us to read it. */
START_TEST(idle_peers)
{
    enum sp_pattern pattern = idle_patterns[_i / 2];
    make_address(_i % 2 == 1);
    struct endpoint_options options = options_for(SP_PULL);
    options.idle = span_ms(50);
    options.pattern = pattern;
    fixture_open(&options);
    if (pattern != SP_PUB)
        endpoint_resume(fixture.endpoint);
    uint16_t protocol = pattern == SP_PULL  ? SP_PROTOCOL_PUSH
                        : pattern == SP_PUB ? SP_PROTOCOL_SUB
                                            : SP_PROTOCOL_REQ;
    int silent = greeted(protocol);
    is_closed_unanswered(silent);
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.idle, 1);
    ck_assert_uint_eq(s.breaks, 1);
    ck_assert_uint_eq(s.handshake_timeouts, 0);
}
END_TEST

START_TEST(busy_peers_are_not_idle)
{
    make_address(_i == 1);
    struct endpoint_options options = options_for(SP_PULL);
    options.idle = span_ms(50);
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int busy = greeted(SP_PROTOCOL_PUSH);
    say_message(busy, "on");
    for (uint64_t ended = 0; ended < 3; ended = fixture_stats().idle) {
        int silent = greeted(SP_PROTOCOL_PUSH);
        while (fixture_stats().idle == ended) {
            say_message(busy, "on");
            turn();
            fixture_release_frames();
        }
        close(silent);
    }
    say_message(busy, "still");
    fixture_run_until_frames(1);
    close(busy);
}
END_TEST

/* ---- who may come over ipc ---- */

static char *numbers_of(uint32_t number)
{
    static char texts[4][16];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%u", number);
    return text;
}

/* Whether a pusher of our user and group is let in. */
static bool lets_in(char *const *allow_uid, char *const *allow_gid)
{
    make_address(true);
    struct endpoint_options options = options_for(SP_PULL);
    options.allow_uid = allow_uid;
    options.allow_gid = allow_gid;
    fixture_open(&options);
    endpoint_resume(fixture.endpoint);
    int fd = connected();
    (void)send(fd, "\0SP\0\0\x50\0\0", SP_HELLO_BYTES, MSG_NOSIGNAL); /* It may be gone by now. */
    run_until(fixture_stats().denied + fixture_stats().accepts > 0);
    bool in = fixture_stats().accepts == 1;
    if (!in)
        is_closed_unanswered(fd);
    else
        close(fd);
    ck_assert_uint_eq(fixture_stats().denied, !in);
    fixture_close(true);
    endpoint_free(&fixture.endpoint);
    fixture.closes = fixture.want_closes = 0;
    return in;
}

START_TEST(users_and_groups)
{
    char *own_uid[] = { numbers_of(getuid() + 1), numbers_of(getuid()), NULL };
    char *own_gid[] = { numbers_of(getgid()), NULL };
    char *other[] = { numbers_of(0x7ffffffe), NULL };
    char *none[] = { NULL };
    ck_assert(lets_in(NULL, NULL));
    ck_assert(lets_in(none, none));
    ck_assert(lets_in(own_uid, NULL));
    ck_assert(lets_in(NULL, own_gid));
    ck_assert(lets_in(other, own_gid));
    ck_assert(lets_in(own_uid, other));
    ck_assert(!lets_in(other, NULL));
    ck_assert(!lets_in(NULL, other));
    ck_assert(!lets_in(other, other));
}
END_TEST

/* Groups that a user is in beside the first one count as well. */
START_TEST(further_groups)
{
    gid_t groups[64];
    int n = getgroups(64, groups);
    for (int i = 0; i < n; i++) {
        char *one[] = { numbers_of(groups[i]), NULL };
        ck_assert(lets_in(NULL, one));
    }
}
END_TEST

START_TEST(numbers_that_are_none)
{
    static char wrong[][16] = { "root", "-1", "4294967295", "", "1x" };
    make_address(true);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *list[] = { wrong[i], NULL };
        struct endpoint_options options = options_for(SP_PULL);
        options.allow_gid = list;
        int r = endpoint_open(&options, fixture.text, sizeof fixture.text, &fixture.endpoint);
        ck_assert_int_eq(r, PEN_EINVAL);
        ck_assert_ptr_nonnull(strstr(fixture.text, wrong[i]));
    }
}
END_TEST

/* libnanomsg does not tell who comes, so it must not seem to be looked at. */
START_TEST(nanomsg_has_no_users)
{
    char *list[] = { numbers_of(getuid()), NULL };
    make_address(true);
    struct endpoint_options options = options_for(SP_PULL);
    options.transport = TRANSPORT_NANOMSG;
    options.allow_uid = list;
    int r = endpoint_open(&options, fixture.text, sizeof fixture.text, &fixture.endpoint);
    ck_assert_int_eq(r, PEN_EADDRESS);
}
END_TEST

/* ---- who lost how much ---- */

static size_t slow_peers(struct endpoint_slow_peer peers[ENDPOINT_SLOW_PEERS])
{
    return endpoint_slow_peers(fixture.endpoint, peers);
}

static void name_of(int fd, char *to, size_t size)
{
    struct sockaddr_in in;
    socklen_t bytes = sizeof in;
    if (over_ipc) {
        snprintf(to, size, "pid %d uid %u gid %u", (int)getpid(), (unsigned)getuid(),
                 (unsigned)getgid());
        return;
    }
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &bytes), 0);
    snprintf(to, size, "127.0.0.1:%d", ntohs(in.sin_port));
}

START_TEST(slow_peers_are_named)
{
    enum { MESSAGES = 10, DROPS = 7 };
    struct endpoint_slow_peer peers[ENDPOINT_SLOW_PEERS];
    char name[64];
    make_address(_i == 1);
    struct endpoint_options options = small_buffers(SP_PUB);
    options.peer_messages_max = 1;
    options.slow = SLOW_DROP_NEWEST;
    fixture_open(&options);
    int fd = slow_peer(SP_PROTOCOL_SUB);
    ck_assert(send_slice(numbered(0, PLUG_BYTES), NULL));
    ck_assert_uint_eq(slow_peers(peers), 0);
    for (int i = 0; i < DROPS; i++)
        ck_assert(send_slice(text_slice("news"), NULL));
    ck_assert_uint_eq(slow_peers(peers), 1);
    name_of(fd, name, sizeof name);
    ck_assert_str_eq(peers[0].name, name);
    ck_assert_uint_eq(peers[0].dropped, DROPS);
    ck_assert(peers[0].here);
    reset(fd);
    run_until(fixture_stats().peers == 0);
    ck_assert_uint_eq(slow_peers(peers), 1);
    ck_assert(!peers[0].here);
}
END_TEST

static bool is_listed(int fd)
{
    struct endpoint_slow_peer peers[ENDPOINT_SLOW_PEERS];
    char name[64];
    size_t n = slow_peers(peers);
    name_of(fd, name, sizeof name);
    for (size_t i = 0; i < n; i++)
        if (strcmp(peers[i].name, name) == 0 && peers[i].here)
            return true;
    return false;
}

/* One more than the table holds: it is counted, and named as soon as another has gone. */
START_TEST(table_of_slow_peers_at_its_limit_and_one_beyond)
{
    int fds[ENDPOINT_SLOW_PEERS + 1];
    struct endpoint_slow_peer peers[ENDPOINT_SLOW_PEERS];
    make_address(false);
    struct endpoint_options options = small_buffers(SP_PUB);
    options.peer_messages_max = 1;
    options.slow = SLOW_DROP_NEWEST;
    fixture_open(&options);
    for (int i = 0; i <= ENDPOINT_SLOW_PEERS; i++)
        fds[i] = slow_peer(SP_PROTOCOL_SUB);
    ck_assert(send_slice(numbered(0, PLUG_BYTES), NULL));
    ck_assert(send_slice(text_slice("news"), NULL));
    ck_assert_uint_eq(fixture_stats().dropped_slow, ENDPOINT_SLOW_PEERS + 1);
    ck_assert_uint_eq(slow_peers(peers), ENDPOINT_SLOW_PEERS);
    int left = ENDPOINT_SLOW_PEERS;
    while (is_listed(fds[left]))
        left--;
    reset(fds[left == 0 ? 1 : 0]);
    run_until(fixture_stats().peers == ENDPOINT_SLOW_PEERS);
    ck_assert(send_slice(text_slice("news"), NULL));
    ck_assert(is_listed(fds[left]));
    for (int i = 0; i <= ENDPOINT_SLOW_PEERS; i++)
        if (i != (left == 0 ? 1 : 0))
            close(fds[i]);
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

int main(void)
{
    Suite *suite = suite_create("sp_limits");
    TCase *t = case_new(suite, "out");
    tcase_add_loop_test(t, messages_for_one_peer, 0, 2);
    tcase_add_loop_test(t, bytes_for_one_peer, 0, 2);
    tcase_add_loop_test(t, bytes_for_all_peers, 0, 2);
    tcase_add_loop_test(t, block, 0, 2);
    tcase_add_loop_test(t, block_ends_with_the_one_who_blocks, 0, 2);
    tcase_add_loop_test(t, slow_peers_are_named, 0, 2);
    tcase_add_test(t, table_of_slow_peers_at_its_limit_and_one_beyond);
    t = case_new(suite, "in");
    tcase_add_loop_test(t, unfinished_messages, 0, 2);
    tcase_add_loop_test(t, unfinished_message_above_the_limit, 0, 2);
    tcase_add_loop_test(t, idle_peers, 0, 6);
    tcase_add_loop_test(t, busy_peers_are_not_idle, 0, 2);
    t = case_new(suite, "users");
    tcase_add_test(t, users_and_groups);
    tcase_add_test(t, further_groups);
    tcase_add_test(t, numbers_that_are_none);
    tcase_add_test(t, nanomsg_has_no_users);
    return fixture_main(suite);
}
