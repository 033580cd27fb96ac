/* SPDX-License-Identifier: Apache-2.0
 *
 * echo: a TCP echo server on N event loops, and clients that load it.
 *
 * Each loop has a listening socket of its own on the same port (SO_REUSEPORT), so that the kernel spreads the connections
 * and no loop hands one to another. The load has the shape of the asyncio_tcp benchmark of pyperformance, large transfers
 * over few connections, but in both directions and less of it. Each client compares every byte that comes back.
 *
 * Processes and threads: the server is a process of its own, the clients are on as many loops in this one. A connection
 * belongs to its loop. What the server counts by loop, it reports when it ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <penstock/libevent.h>
#include <penstock/loopgroup.h>

#include "common.h"

enum { LOOPS_MAX = 64, CHUNK_BYTES = 1 << 16, PATTERN_BYTES = 1 << 20, BACKLOG = 512 };

struct config {
    uint64_t loops, clients, mib;
    bool json;
};

/* ---- what both ends need ---- */

static struct event *watch(struct pen_loop *loop, int fd, short what, event_callback_fn fn, void *arg)
{
    struct event *event = event_new(pen_loop_event_base(loop), fd, what, fn, arg);
    if (event == NULL)
        die("event_new", PEN_ENOMEM);
    return event;
}

static void want(struct event *event, bool wanted)
{
    int r = wanted ? event_add(event, NULL) : event_del(event);
    if (r != 0)
        die("event_add", PEN_ENOMEM);
}

static void enter(struct pen_loop *loop)
{
    int r = pen_loop_enter(loop);
    if (r < 0)
        die("pen_loop_enter", r);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static struct pen_loopgroup *new_loops(const char *name, uint64_t count)
{
    struct pen_loopgroup_options options = { .name = name, .loops = (uint32_t)count };
    struct pen_loopgroup *loops = NULL;
    int r = pen_loopgroup_new(&options, &loops);
    if (r < 0)
        die("pen_loopgroup_new", r);
    return loops;
}

static void start(struct pen_loopgroup *loops)
{
    int r = pen_loopgroup_start(loops);
    if (r < 0)
        die("pen_loopgroup_start", r);
}

static void join(struct pen_loopgroup *loops)
{
    int r = pen_loopgroup_join(loops);
    if (r < 0)
        die("pen_loopgroup_join", r);
}

/* ---- the server ---- */

/* What a loop has done; the server's report is one for each loop. */
struct tally {
    uint64_t connections, bytes;
};

struct echo_loop {
    struct pen_loop *loop;
    int fd; /* listens */
    struct event *readable;
    struct echo_connection *connections;
    struct tally tally;
};

/* It reads what it can, and reads no more until all of it has gone back. */
struct echo_connection {
    struct echo_loop *owner;
    struct echo_connection *next, **link; /* in owner->connections; link: what points here */
    int fd;
    struct event *readable, *writable;
    size_t from, to; /* what has not gone back is chunk[from..to) */
    char chunk[CHUNK_BYTES];
};

static void echo_link(struct echo_connection *c)
{
    c->link = &c->owner->connections;
    c->next = *c->link;
    if (c->next != NULL)
        c->next->link = &c->next;
    *c->link = c;
}

static void echo_close(struct echo_connection *c)
{
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    event_free(c->readable);
    event_free(c->writable);
    close(c->fd);
    free(c);
}

/* False when the client has gone. */
static bool echo_send(struct echo_connection *c)
{
    while (c->from < c->to) {
        ssize_t n = send(c->fd, c->chunk + c->from, c->to - c->from, MSG_NOSIGNAL);
        if (n < 0)
            return would_block();
        c->from += (size_t)n;
        c->owner->tally.bytes += (uint64_t)n;
    }
    return true;
}

static void on_echo_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct echo_connection *c = arg;
    enter(c->owner->loop);
    if (!echo_send(c)) {
        echo_close(c);
    } else if (c->from == c->to) {
        want(c->writable, false);
        want(c->readable, true);
    }
}

static void on_echo_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct echo_connection *c = arg;
    enter(c->owner->loop);
    ssize_t n = recv(fd, c->chunk, CHUNK_BYTES, 0);
    if (n < 0 && would_block())
        return;
    c->from = 0;
    c->to = n > 0 ? (size_t)n : 0;
    if (n <= 0 || !echo_send(c)) {
        echo_close(c);
    } else if (c->from < c->to) {
        want(c->readable, false);
        want(c->writable, true);
    }
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct echo_loop *owner = arg;
    enter(owner->loop);
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return; /* Whoever it was has gone. */
    struct echo_connection *c = malloc(sizeof *c);
    if (c == NULL)
        die("malloc", 0);
    c->owner = owner;
    c->fd = accepted;
    c->readable = watch(owner->loop, accepted, EV_READ | EV_PERSIST, on_echo_readable, c);
    c->writable = watch(owner->loop, accepted, EV_WRITE | EV_PERSIST, on_echo_writable, c);
    want(c->readable, true);
    echo_link(c);
    owner->tally.connections++;
}

/* Listen on the port, or on any when it is 0. Returns the port. */
static uint16_t echo_listen(struct echo_loop *e, uint16_t port)
{
    int on = 1;
    struct sockaddr_in address = loopback(port);
    socklen_t bytes = sizeof address;
    e->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (e->fd < 0 || setsockopt(e->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(e->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(e->fd, BACKLOG) != 0 || getsockname(e->fd, (struct sockaddr *)&address, &bytes) != 0)
        die("a listening socket", 0);
    e->readable = watch(e->loop, e->fd, EV_READ | EV_PERSIST, on_connection, e);
    want(e->readable, true);
    return ntohs(address.sin_port);
}

/* The clients have ended, but their closing may not have been seen yet. */
static void echo_free(struct echo_loop *e)
{
    while (e->connections != NULL)
        echo_close(e->connections);
    event_free(e->readable);
    close(e->fd);
}

static void wait_for_leash(int leash)
{
    char byte;
    while (read(leash, &byte, 1) < 0 && errno == EINTR)
        continue;
}

static void echo_serve(struct server_end end, void *arg)
{
    const struct config *config = arg;
    static struct echo_loop all[LOOPS_MAX];
    struct tally report[LOOPS_MAX];
    struct pen_loopgroup *loops = new_loops("echo", config->loops);
    uint16_t port = 0;
    for (uint32_t i = 0; i < config->loops; i++) {
        all[i].loop = pen_loopgroup_at(loops, i);
        port = echo_listen(&all[i], port);
    }
    start(loops);
    write_all(end.report, &port, sizeof port);
    wait_for_leash(end.leash);
    pen_loopgroup_stop(loops);
    join(loops);
    for (uint64_t i = 0; i < config->loops; i++) {
        report[i] = all[i].tally;
        echo_free(&all[i]);
    }
    pen_loopgroup_free(&loops);
    write_all(end.report, report, config->loops * sizeof *report);
}

/* ---- the clients ---- */

enum { WINDOW_BYTES = 1 << 18 }; /* sent and not yet back, by connection */

static unsigned char pattern[PATTERN_BYTES]; /* what is sent, over and over; fixed before the loops run */

struct client_loop {
    struct pen_loop *loop;
    uint64_t clients; /* not finished yet */
    unsigned char chunk[CHUNK_BYTES];
};

struct client {
    struct client_loop *owner;
    int fd;
    struct event *readable, *writable;
    uint64_t start; /* where in the pattern it begins */
    uint64_t sent, received, total;
    bool writing;
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What comes at `offset` of the client's data, up to the end of the pattern. */
static const unsigned char *expected(const struct client *c, uint64_t offset, uint64_t *ret_bytes)
{
    uint64_t at = (c->start + offset) % PATTERN_BYTES;
    *ret_bytes = PATTERN_BYTES - at;
    return pattern + at;
}

static void client_write(struct client *c, bool writing)
{
    if (c->writing != writing)
        want(c->writable, writing);
    c->writing = writing;
}

static void on_client_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct client *c = arg;
    enter(c->owner->loop);
    uint64_t bytes;
    const unsigned char *data = expected(c, c->sent, &bytes);
    bytes = least(bytes, least(c->total, c->received + WINDOW_BYTES) - c->sent);
    ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);
    if (n < 0 && !would_block())
        die("send", 0);
    c->sent += n > 0 ? (uint64_t)n : 0;
    client_write(c, c->sent < least(c->total, c->received + WINDOW_BYTES));
}

static void client_finish(struct client *c)
{
    event_free(c->readable);
    event_free(c->writable);
    close(c->fd);
    if (--c->owner->clients == 0)
        pen_loop_stop(c->owner->loop);
}

static void on_client_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct client *c = arg;
    enter(c->owner->loop);
    uint64_t bytes;
    const unsigned char *data = expected(c, c->received, &bytes);
    ssize_t n = recv(fd, c->owner->chunk, least(bytes, CHUNK_BYTES), 0);
    if (n < 0 && would_block())
        return;
    if (n <= 0)
        die("recv", n < 0 ? 0 : PEN_ECLOSED);
    if (memcmp(c->owner->chunk, data, (size_t)n) != 0)
        die("what came back is not what was sent", PEN_EBROKEN);
    c->received += (uint64_t)n;
    if (c->received == c->total)
        client_finish(c);
    else
        client_write(c, c->sent < least(c->total, c->received + WINDOW_BYTES));
}

static void client_connect(struct client *c, uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        evutil_make_socket_nonblocking(c->fd) != 0)
        die("connect", 0);
    struct pen_loop *loop = c->owner->loop;
    c->readable = watch(loop, c->fd, EV_READ | EV_PERSIST, on_client_readable, c);
    c->writable = watch(loop, c->fd, EV_WRITE | EV_PERSIST, on_client_writable, c);
    want(c->readable, true);
    client_write(c, true);
    c->owner->clients++;
}

static void make_pattern(void)
{
    uint32_t state = 1;
    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        state = state * 1664525 + 1013904223; /* Knuth's quick generator; its high bits are good */
        pattern[i] = (unsigned char)(state >> 24);
    }
}

/* ---- measuring ---- */

/* Seconds until every client has everything back; connecting is not counted. */
static double run_clients(const struct config *config, uint16_t port)
{
    static struct client_loop each[LOOPS_MAX];
    struct client *clients = calloc(config->clients, sizeof *clients);
    if (clients == NULL)
        die("calloc", 0);
    uint64_t count = least(config->loops, config->clients);
    struct pen_loopgroup *loops = new_loops("client", count);
    for (uint32_t i = 0; i < count; i++)
        each[i].loop = pen_loopgroup_at(loops, i);
    for (uint64_t i = 0; i < config->clients; i++) {
        clients[i] = (struct client){ .owner = &each[i % count],
                                      .start = i * 4099,
                                      .total = config->mib << 20 };
        client_connect(&clients[i], port);
    }
    int64_t start_ns = pen_now().ns;
    start(loops);
    join(loops);
    double seconds = seconds_since(start_ns);
    pen_loopgroup_free(&loops);
    free(clients);
    return seconds;
}

static void print(const struct config *config, const struct tally *report, double seconds)
{
    uint64_t bytes = config->clients * (config->mib << 20);
    double speed = (double)bytes / seconds / 1e6;
    if (config->json)
        printf("{\"program\": \"echo\", \"loops\": %" PRIu64 ", \"clients\": %" PRIu64
               ", \"bytes\": %" PRIu64
               ", \"ok\": true, \"seconds\": %.6f, \"mb_per_second\": %.1f, \"connections\": [",
               config->loops, config->clients, bytes, seconds, speed);
    else
        printf("%" PRIu64 " clients had %" PRIu64 " MiB each back, all of it right: %.0f MB/s\n"
               "Connections by loop: ",
               config->clients, config->mib, speed);
    for (uint64_t i = 0; i < config->loops; i++)
        printf("%s%" PRIu64, i > 0 ? ", " : "", report[i].connections);
    printf(config->json ? "]}\n" : "\n");
}

/* Did the server see what the clients did? */
static void check_report(const struct config *config, const struct tally *report)
{
    struct tally sum = { 0 };
    for (uint64_t i = 0; i < config->loops; i++) {
        sum.connections += report[i].connections;
        sum.bytes += report[i].bytes;
    }
    if (sum.connections != config->clients || sum.bytes != config->clients * (config->mib << 20))
        die("the server counts otherwise than the clients", PEN_EBROKEN);
}

int main(int argc, char **argv)
{
    struct config config = { .loops = 2, .clients = 8, .mib = 64 };
    const struct option_row rows[] = {
        { "loops", .number = &config.loops, .min = 1, .max = LOOPS_MAX },
        { "clients", .number = &config.clients, .min = 1, .max = BACKLOG },
        { "mib", .number = &config.mib, .min = 1, .max = 1 << 20 },
        { "json", .flag = &config.json },
    };
    options_read(argc, argv, rows, sizeof rows / sizeof *rows);
    make_pattern();
    struct server server;
    struct tally report[LOOPS_MAX];
    server_start(&server, echo_serve, &config);
    double seconds = run_clients(&config, server.port);
    server_stop(&server, report, config.loops * sizeof *report);
    check_report(&config, report);
    print(&config, report, seconds);
    return 0;
}
