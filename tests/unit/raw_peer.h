/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain connections that say to a native endpoint what they want, byte by byte.
 */
#ifndef TESTS_RAW_PEER_H
#define TESTS_RAW_PEER_H

/* The suite is of the native transport. */
#define FIXTURE_TRANSPORT TRANSPORT_NATIVE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "endpoint_fixture.h"
#include "proto/sp.h"

enum { MESSAGE_MAX = 64 * 1024 };

/* ---- addresses and raw peers ---- */

static char address[64];
static char *addresses[] = { address, NULL };
static bool over_ipc;

static inline void make_address(bool ipc)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    over_ipc = ipc;
    if (ipc) {
        snprintf(address, sizeof address, "ipc://%s/socket", fixture.folder);
        return;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    close(fd);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
}

static inline struct endpoint_options options_for(enum sp_pattern pattern)
{
    struct endpoint_options options = fixture_options(pattern);
    options.message_max = MESSAGE_MAX;
    options.listen = addresses;
    options.handshake = span_s(20);
    return options;
}

static inline void open_listening(enum sp_pattern pattern)
{
    struct endpoint_options options = options_for(pattern);
    fixture_open(&options);
    if (pattern != SP_PUB && pattern != SP_PUSH)
        endpoint_resume(fixture.endpoint);
}

static inline void turn(void)
{
    fixture_run_turns(2);
}

static inline void connect_fd(int fd)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (over_ipc)
        snprintf(un.sun_path, sizeof un.sun_path, "%s", address + strlen("ipc://"));
    else
        in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int r = over_ipc ? connect(fd, (struct sockaddr *)&un, sizeof un)
                     : connect(fd, (struct sockaddr *)&in, sizeof in);
    ck_assert_msg(r == 0, "%s", strerror(errno));
}

static inline int connected(void)
{
    int fd = socket(over_ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    connect_fd(fd);
    return fd;
}

static inline void say(int fd, const void *bytes, size_t count)
{
    ck_assert_int_eq(send(fd, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
}

static inline void say_hello(int fd, uint16_t protocol)
{
    uint8_t hello[SP_HELLO_BYTES];
    sp_hello_encode(protocol, hello);
    say(fd, hello, sizeof hello);
}

static inline enum sp_carrier carrier(void)
{
    return over_ipc ? SP_CARRIER_IPC : SP_CARRIER_TCP;
}

static inline void say_head(int fd, uint64_t payload)
{
    uint8_t head[SP_HEAD_BYTES_MAX];
    say(fd, head, sp_head_encode(carrier(), payload, head));
}

static inline void say_message(int fd, const char *text)
{
    say_head(fd, strlen(text));
    say(fd, text, strlen(text));
}

/* Exactly so many bytes, while the loop runs. */
static inline void hear(int fd, void *to, size_t count)
{
    size_t got = 0;
    while (got < count) {
        ssize_t n = recv(fd, (char *)to + got, count - got, MSG_DONTWAIT);
        ck_assert_msg(n > 0 || (n < 0 && errno == EAGAIN), "the connection ended");
        if (n > 0)
            got += (size_t)n;
        else
            turn();
    }
}

static inline int greeted(uint16_t protocol)
{
    uint8_t hello[SP_HELLO_BYTES];
    int fd = connected();
    say_hello(fd, protocol);
    hear(fd, hello, sizeof hello);
    return fd;
}

/* We end it, without having said a byte. */
static inline void is_closed_unanswered(int fd)
{
    uint8_t byte;
    ssize_t n;
    while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
        turn();
    ck_assert_int_le(n, 0);
    close(fd);
}

static inline void reset(int fd)
{
    struct linger hard = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}

#define run_until(condition) \
    do \
        turn(); \
    while (!(condition))

/* Another client is served as if nothing had happened. */
static inline void pushes_one_more(void)
{
    size_t before = fixture.frames_count;
    int fd = greeted(SP_PROTOCOL_PUSH);
    say_message(fd, "well");
    fixture_run_until_frames(before + 1);
    assert_body(before, "well");
    close(fd);
}

static inline struct slice text_slice(const char *text)
{
    struct slice s;
    ck_assert_int_eq(slice_copy(text, strlen(text), &s), 0);
    return s;
}

static inline bool send_slice(struct slice body, const struct route *route)
{
    struct parcel_frame frame = { .body = body, .route = route };
    bool taken = endpoint_send(fixture.endpoint, &frame, 1) == 1;
    if (!taken)
        slice_release(&frame.body);
    return taken;
}

static inline struct slice numbered(int number, size_t bytes)
{
    struct slice s;
    uint8_t *to;
    ck_assert_int_eq(slice_new(bytes, &s, &to), 0);
    memset(to, '.', bytes);
    memcpy(to, &number, sizeof number);
    return s;
}

static inline int hear_number(int fd, size_t bytes)
{
    uint8_t got[SP_HEAD_BYTES_MAX + 1000];
    int number;
    hear(fd, got, sp_head_bytes(carrier()) + bytes);
    memcpy(&number, got + sp_head_bytes(carrier()), sizeof number);
    return number;
}

#endif
