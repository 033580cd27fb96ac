/* SPDX-License-Identifier: Apache-2.0
 *
 * A TCP connection for clients that speak a protocol themselves: writes that are whole, and reads into a buffer that
 * is parsed in place.
 */
#ifndef TESTS_BENCH_BROKERS_WIRE_H
#define TESTS_BENCH_BROKERS_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { WIRE_BYTES = 256 << 10 };

struct wire {
    int fd;
    size_t begin, end;
    uint8_t in[WIRE_BYTES];
};

static inline struct wire *wire_connect(const char *address)
{
    char host[64];
    struct wire *w = must_allocate(sizeof *w);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(split_address(address, host)) };
    int on = 1;
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
        setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        connect(w->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die(address, strerror(errno));
    return w;
}

static inline void wire_write(struct wire *w, const void *data, size_t bytes)
{
    for (const uint8_t *at = data; bytes > 0;) {
        ssize_t n = write(w->fd, at, bytes);
        if (n < 0 && errno != EINTR)
            die("write", strerror(errno));
        at += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
}

static inline uint8_t *wire_at(struct wire *w)
{
    return w->in + w->begin;
}

static inline size_t wire_there(const struct wire *w)
{
    return w->end - w->begin;
}

/* Wait for more bytes. */
static inline void wire_more(struct wire *w)
{
    memmove(w->in, wire_at(w), wire_there(w));
    w->end = wire_there(w);
    w->begin = 0;
    ssize_t n = read(w->fd, w->in + w->end, sizeof w->in - w->end);
    if (n == 0)
        die("read", "the broker closed the connection");
    if (n < 0 && errno != EINTR)
        die("read", strerror(errno));
    w->end += n > 0 ? (size_t)n : 0;
}

/* Wait until so many bytes are there. */
static inline void wire_need(struct wire *w, size_t bytes)
{
    while (wire_there(w) < bytes)
        wire_more(w);
}

#endif
