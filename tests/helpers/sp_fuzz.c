/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer out of its mind, over real sockets: connections that begin as SP does and go wrong somewhere, many at a time.
 *
 *   sp_fuzz ADDRESS PATTERN SEED SECONDS [FEED]
 *
 * PATTERN is what we say to be. Between two actions a good message goes to FEED, a puller, so that the endpoint under attack
 * has something to send. What it does follows from SEED alone, but for how the kernel cuts it up. Prints how much it did.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 24, BUFFER_BYTES = 128 * 1024, MESSAGE_BYTES = 3000, LINKED_MAX = 8 };

struct connection {
    int fd; /* -1: none */
    bool greeted;
};

static uint64_t seed;
static bool over_ipc;
static uint8_t number; /* of our pattern */
static bool has_stack; /* our messages begin with one */
static struct connection connections[CONNECTIONS];
static uint8_t buffer[BUFFER_BYTES];
static size_t used;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

static bool one_in(size_t n)
{
    return below(n) == 0;
}

/* ---- what is said ---- */

static void put(const void *bytes, size_t count)
{
    if (used + count > sizeof buffer)
        count = sizeof buffer - used;
    memcpy(buffer + used, bytes, count);
    used += count;
}

static void put_noise(size_t count)
{
    for (; count > 0 && used < sizeof buffer; count--)
        buffer[used++] = (uint8_t)next_random();
}

static void put_hello(void)
{
    uint8_t hello[] = { 0, 'S', 'P', 0, 0, number, 0, 0 };
    if (one_in(16))
        hello[below(sizeof hello)] ^= (uint8_t)(1 << below(8));
    put(hello, sizeof hello);
}

static void put_head(uint64_t length)
{
    uint8_t head[9] = { one_in(32) ? (uint8_t)next_random() : 1 };
    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)(length >> (56 - 8 * i));
    put(over_ipc ? head : head + 1, over_ipc ? 9 : 8);
}

/* Mostly right: the last id ends it. */
static size_t put_stack(size_t ids)
{
    for (size_t i = 0; i < ids; i++) {
        uint8_t id[4] = { (uint8_t)next_random() & 0x7f, 1, 2, 3 };
        if (i + 1 == ids && !one_in(16))
            id[0] |= 0x80;
        put(id, sizeof id);
    }
    return ids * 4;
}

static void put_message(void)
{
    size_t ids = has_stack ? (one_in(8) ? below(18) : 1) : 0,
           body = one_in(4) ? below(MESSAGE_BYTES) : below(64);
    put_head(ids * 4 + body);
    (void)put_stack(ids);
    put_noise(body);
}

/* Lengths around the powers of two, and anything. */
static uint64_t strange_length(void)
{
    uint64_t length = one_in(4) ? next_random() : UINT64_C(1) << below(64);
    return length + below(3) - 1;
}

static void put_something(void)
{
    switch (below(12)) {
    case 0:
        put_noise(below(64));
        break;
    case 1:
        put_head(strange_length());
        break;
    case 2:
        put_head(below(100 * 1024)); /* announced, and perhaps never sent */
        put_noise(below(40 * 1024));
        break;
    case 3:
        put_hello();
        break;
    case 4:
        put("GET / HTTP/1.1\r\n\r\n", 18);
        break;
    default:
        put_message();
        break;
    }
}

/* ---- connections ---- */

static int connect_to(const char *address)
{
    bool ipc = strncmp(address, "ipc://", 6) == 0;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (ipc)
        snprintf(un.sun_path, sizeof un.sun_path, "%s", address + 6);
    else
        in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    if (fd < 0 || (ipc ? connect(fd, (struct sockaddr *)&un, sizeof un)
                       : connect(fd, (struct sockaddr *)&in, sizeof in)) < 0) {
        fprintf(stderr, "sp_fuzz: %s: %s\n", address, strerror(errno));
        exit(1);
    }
    return fd;
}

static void end(struct connection *c)
{
    struct linger hard = { .l_onoff = 1 };
    if (one_in(2))
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(c->fd);
    c->fd = -1;
}

/* What the other side does not take is left out: so messages are cut anywhere. */
static void say(struct connection *c)
{
    size_t at = 0;
    while (at < used) {
        size_t piece = one_in(2) ? used - at : 1 + below(used - at);
        ssize_t sent = send(c->fd, buffer + at, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            end(c);
        if (sent < 0)
            return;
        at += (size_t)sent;
    }
}

static void hear(const struct connection *c)
{
    static uint8_t heard[64 * 1024];
    (void)!recv(c->fd, heard, 1 + below(sizeof heard), MSG_DONTWAIT);
}

static void act(const char *address)
{
    struct connection *c = &connections[below(CONNECTIONS)];
    used = 0;
    if (c->fd < 0) {
        *c = (struct connection){ .fd = connect_to(address) };
        if (one_in(8))
            return; /* Silent, for now. */
    }
    if (!c->greeted && !one_in(16)) {
        put_hello();
        c->greeted = true;
    }
    for (size_t i = below(LINKED_MAX); i > 0; i--)
        put_something();
    if (used > 0 && one_in(16))
        used = below(used);
    if (used > 0 && one_in(16))
        buffer[below(used)] ^= (uint8_t)(1 << below(8));
    say(c);
    if (c->fd >= 0 && one_in(3))
        hear(c);
    if (c->fd >= 0 && one_in(64))
        (void)shutdown(c->fd, one_in(2) ? SHUT_WR : SHUT_RD);
    if (c->fd >= 0 && one_in(24))
        end(c);
}

/* ---- what the endpoint has to send ---- */

static int feed_fd = -1;

static void feed(const char *address)
{
    static const uint8_t push[] = { 0, 'S', 'P', 0, 0, 0x50, 0, 0 };
    uint8_t message[8 + MESSAGE_BYTES] = { 0 };
    size_t body = below(MESSAGE_BYTES), bytes = 8 + body;
    message[6] = (uint8_t)(body >> 8);
    message[7] = (uint8_t)body;
    if (feed_fd < 0) {
        feed_fd = connect_to(address);
        (void)!send(feed_fd, push, sizeof push, MSG_NOSIGNAL);
    }
    if (send(feed_fd, message, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes)
        return;
    close(feed_fd); /* Half a message went, or it is full. */
    feed_fd = -1;
}

static bool is_over(double seconds, const struct timespec *begun)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9 >
           seconds;
}

static void set_pattern(const char *pattern)
{
    static const struct {
        const char *word;
        uint8_t number;
        bool has_stack;
    } patterns[] = {
        { "pair", 0x10, false },    { "pub", 0x20, false },  { "sub", 0x21, false },
        { "req", 0x30, true },      { "push", 0x50, false }, { "pull", 0x51, false },
        { "surveyor", 0x62, true }, { "bus", 0x70, false },
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        if (strcmp(patterns[i].word, pattern) == 0) {
            number = patterns[i].number;
            has_stack = patterns[i].has_stack;
        }
}

int main(int argc, char **argv)
{
    struct timespec begun;
    unsigned long actions = 0;
    if (argc < 5) {
        fputs("usage: sp_fuzz ADDRESS PATTERN SEED SECONDS [FEED]\n", stderr);
        return 2;
    }
    over_ipc = strncmp(argv[1], "ipc://", 6) == 0;
    set_pattern(argv[2]);
    seed = strtoull(argv[3], NULL, 0);
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do {
        act(argv[1]);
        if (argc > 5)
            feed(argv[5]);
        actions++;
    } while (actions % 16 != 0 || !is_over(atof(argv[4]), &begun));
    printf("%lu actions as %s to %s, seed %s\n", actions, argv[2], argv[1], argv[3]);
    return 0;
}
