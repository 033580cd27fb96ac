/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a native SP endpoint's connections come from.
 *
 * Listeners accept in batches, without waiting. When no descriptor is left they pause, until one of our
 * own is given back or for a while: the backlog keeps those who wait, and the loop its time for
 * those who are there. A peer above the bound is closed before it is told anything.
 *
 * With helpers, one accepts and all take turns: a connection is posted to the loop that is to have it. So ipc
 * can be shared like tcp, and few connections spread evenly; SO_REUSEPORT does neither.
 *
 * A socket file is replaced when nobody listens on it any more, has its mode before anybody can connect, and
 * is removed at the end when it is still ours. What is no socket is never touched.
 *
 * Dialers try again after a time that doubles from BACKOFF_FIRST_MS up to BACKOFF_MAX_MS, of which the
 * second half is random, so that many do not come back at once. It begins anew when a connection
 * has lasted. Host names are looked up once, when the endpoint is opened, because a look-up blocks.
 *
 * Thread: the endpoint's loop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "net/nn_address.h"
#include "net/sp.h"

enum {
    BACKLOG = 4096,
    ACCEPT_BATCH = 64, /* connections a turn of the loop */
    ACCEPT_PAUSE_MS = 100,
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_PROBES = 6,
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 1000,
    LASTED_S = 1,
    HOST_BYTES = 128,
};

/* ---- addresses ---- */

static void set_path(struct sp_address *a, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&a->at;
    *a = (struct sp_address){ .carrier = SP_CARRIER_IPC, .bytes = sizeof *un };
    un->sun_family = AF_UNIX;
    /* Its length has been checked; a path of the full length has no NUL in the address. */
    memcpy(un->sun_path, path, strnlen(path, sizeof un->sun_path));
}

static void set_port(struct sp_address *a, uint16_t port)
{
    a->carrier = SP_CARRIER_TCP;
    if (a->at.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&a->at)->sin6_port = htons(port);
        a->bytes = sizeof(struct sockaddr_in6);
    } else {
        ((struct sockaddr_in *)&a->at)->sin_port = htons(port);
        a->bytes = sizeof(struct sockaddr_in);
    }
}

/* "*", an IPv4 address or an IPv6 address without its brackets. */
static bool set_literal(struct sp_address *a, const char *host)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->at;
    *a = (struct sp_address){ 0 };
    a->at.ss_family = AF_INET;
    if (str_equal(host, "*") || inet_pton(AF_INET, host, &v4->sin_addr) == 1)
        return true;
    a->at.ss_family = AF_INET6;
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static bool set_interface(struct sp_address *a, const char *name)
{
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET || !str_equal(i->ifa_name, name))
            continue;
        memcpy(&a->at, i->ifa_addr, sizeof(struct sockaddr_in));
        found = true;
    }
    freeifaddrs(all);
    return found;
}

/* 0, or getaddrinfo()'s error. */
static int look_up(struct sp_address *a, const char *host)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found;
    int error = getaddrinfo(host, NULL, &hints, &found);
    if (error != 0)
        return error;
    memcpy(&a->at, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

/* HOST:PORT, whose form has been checked; host without brackets. */
static uint16_t split_port(const char *text, char host[HOST_BYTES])
{
    (void)str_copy(host, HOST_BYTES, text);
    char *colon = strrchr(host, ':');
    uint16_t port = 0;
    for (const char *digit = colon + 1; *digit != '\0'; digit++)
        port = (uint16_t)(port * 10 + (*digit - '0'));
    *colon = '\0';
    size_t bytes = strlen(host);
    if (host[0] == '[' && host[bytes - 1] == ']') {
        memmove(host, host + 1, bytes - 2);
        host[bytes - 2] = '\0';
    }
    return port;
}

static int resolve(const char *address, bool listen, struct sp_address *a, char *text, size_t size)
{
    int r = nn_address_check(address, text, size);
    if (r < 0)
        return r;
    const char *path = nn_address_path(address);
    if (path != NULL) {
        set_path(a, path);
        return 0;
    }
    if (!str_starts(address, "tcp://")) {
        snprintf(text, size, "%s: transport native knows tcp and ipc; ws and inproc need nanomsg",
                 address);
        return PEN_EADDRESS;
    }
    char host[HOST_BYTES];
    uint16_t port = split_port(address + strlen("tcp://"), host);
    if (!set_literal(a, host)) {
        if (listen && !set_interface(a, host)) {
            snprintf(text, size,
                     "cannot listen on %s: no such address or interface here (host names are not "
                     "looked up)",
                     address);
            return PEN_EBIND;
        }
        int error = listen ? 0 : look_up(a, host);
        if (error != 0) {
            snprintf(text, size, "cannot connect to %s: %s", address, gai_strerror(error));
            return PEN_EADDRESS;
        }
    }
    set_port(a, port);
    return 0;
}

/* ---- sockets ---- */

static void set_int(int fd, int level, int option, size_t value)
{
    int n = value > INT32_MAX ? INT32_MAX : (int)value;
    /* None of these is needed for the rest to work. */
    (void)setsockopt(fd, level, option, &n, sizeof n);
}

static void set_buffers(const struct sp_endpoint *s, int fd)
{
    if (s->receive_buffer > 0)
        set_int(fd, SOL_SOCKET, SO_RCVBUF, s->receive_buffer);
    if (s->send_buffer > 0)
        set_int(fd, SOL_SOCKET, SO_SNDBUF, s->send_buffer);
}

static void set_up_connection(const struct sp_endpoint *s, int fd, enum sp_carrier carrier)
{
    if (carrier == SP_CARRIER_IPC) {
        set_buffers(s, fd);
        return;
    }
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

/* A new socket that does not wait, or a negated errno. */
static int new_socket(const struct sp_endpoint *s, const struct sp_address *a)
{
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_buffers(s, fd);
    return fd;
}

/* Who it is, for the log. */
static void name_peer(struct sp_peer *p)
{
    struct sockaddr_storage at = { 0 };
    socklen_t bytes = sizeof at;
    char host[INET6_ADDRSTRLEN] = "?";
    if (p->carrier == SP_CARRIER_IPC) {
        sp_guard_name(p->io.fd, p->name, sizeof p->name);
        return;
    }
    (void)getpeername(p->io.fd, (struct sockaddr *)&at, &bytes);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at;
    bool is_v6 = at.ss_family == AF_INET6;
    (void)inet_ntop(is_v6 ? AF_INET6 : AF_INET,
                    is_v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, host,
                    sizeof host);
    snprintf(p->name, sizeof p->name, is_v6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
}

/* ---- accepting ---- */

static void watch_listeners(struct sp_endpoint *s, bool on)
{
    for (size_t i = 0; i < s->listeners_count; i++)
        if (s->listeners[i].io.event != NULL)
            io_want(&s->listeners[i].io, on ? IO_READ : 0);
}

void sp_accept_again(struct sp_endpoint *s)
{
    if (s->accept_timer.loop == NULL || s->stopped)
        return;
    pen_timer_cancel(&s->accept_timer);
    watch_listeners(s, true);
}

static void on_accept_timer(struct pen_loop *loop, void *arg, int status)
{
    struct sp_endpoint *s = arg;
    if (status < 0) /* The loop is being closed. */
        return;
    loop_assert_here(loop);
    watch_listeners(s, true);
}

static void accept_failed(struct sp_endpoint *s, int error)
{
    count_add(&s->accept_errors, 1);
    sp_complain(s, "cannot accept a connection: %s", strerrordesc_np(error));
    if (pen_loop_call_later(s->base.loop, &s->accept_timer, span_ms(ACCEPT_PAUSE_MS),
                            on_accept_timer, s) == 0)
        watch_listeners(s, false);
}

static bool is_passing(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static void welcome(struct sp_endpoint *s, int fd, enum sp_carrier carrier)
{
    struct sp_peer *p;
    if (s->stopped) { /* It was on its way to us meanwhile. */
        close(fd);
        return;
    }
    if (s->accepted_count >= s->connections_max) {
        close(fd);
        count_add(&s->refused, 1);
        sp_complain(s, "a connection was refused: %zu are there", s->accepted_count);
        return;
    }
    if (carrier == SP_CARRIER_IPC && !sp_guard_admits(s, fd)) {
        close(fd);
        return;
    }
    set_up_connection(s, fd, carrier);
    if (sp_peer_new(s, fd, NULL, carrier, &p) < 0) {
        count_add(&s->accept_errors, 1);
        return;
    }
    name_peer(p);
}

/* A connection on its way to a helper's loop. */
struct handed {
    struct sp_endpoint *to;
    int fd;
    enum sp_carrier carrier;
};

static void take_handed(struct pen_loop *loop, void *arg, int status)
{
    struct handed *h = arg;
    if (status < 0) { /* The loop is being freed, the endpoint may be gone. */
        close(h->fd);
    } else {
        loop_assert_here(loop);
        welcome(h->to, h->fd, h->carrier);
    }
    free(h);
}

static void hand_over(struct sp_endpoint *s, struct sp_endpoint *to, int fd, enum sp_carrier carrier)
{
    struct handed *h = malloc(sizeof *h);
    if (h != NULL) {
        *h = (struct handed){ to, fd, carrier };
        if (pen_loop_call_soon_threadsafe(to->base.loop, take_handed, h) == 0)
            return;
    }
    free(h);
    close(fd);
    count_add(&s->accept_errors, 1);
}

/* To whose turn it is. */
static void place(struct sp_listener *l, int fd)
{
    struct sp_endpoint *s = l->owner;
    size_t turn = s->accept_turn;
    s->accept_turn = turn == s->helpers_count ? 0 : turn + 1;
    if (turn == s->helpers_count)
        welcome(s, fd, l->carrier);
    else
        hand_over(s, s->helpers[turn], fd, l->carrier);
}

static void on_connection(struct io *io, unsigned ready, void *arg)
{
    struct sp_listener *l = arg;
    loop_assert_here(io->loop);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            place(l, fd);
        } else if (!is_passing(errno)) {
            if (errno != EAGAIN)
                accept_failed(l->owner, errno);
            return;
        }
    }
}

/* ---- listening ---- */

/* The path is free, or is that of a socket that nobody listens on. */
static int clear_path(const char *address, const char *path, char *text, size_t size)
{
    struct stat st;
    int r = nn_address_probe(address, text, size);
    if (r < 0)
        return r;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(path);
    return 0;
}

static int bind_and_listen(struct sp_listener *l, int fd, const struct sp_address *a, unsigned mode)
{
    struct stat st;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, (const struct sockaddr *)&a->at, a->bytes) < 0)
        return -errno;
    if (a->carrier == SP_CARRIER_IPC) {
        memcpy(l->path, ((const struct sockaddr_un *)&a->at)->sun_path, sizeof l->path - 1);
        if (lstat(l->path, &st) < 0)
            return -errno;
        l->dev = st.st_dev;
        l->ino = st.st_ino;
        if (mode != 0 && chmod(l->path, mode) < 0)
            return -errno;
    }
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

static void close_listener(struct sp_listener *l)
{
    struct stat st;
    if (l->io.fd < 0)
        return;
    io_close(&l->io);
    if (l->path[0] != '\0' && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        (void)unlink(l->path);
    close(l->io.fd);
    l->io.fd = -1;
}

int sp_listen(struct sp_endpoint *s, const char *address, const struct endpoint_options *options,
              char *text, size_t size)
{
    struct sp_address a;
    const char *path = nn_address_path(address);
    int r = resolve(address, true, &a, text, size);
    if (r == 0 && path != NULL)
        r = clear_path(address, path, text, size);
    if (r < 0)
        return r;
    struct sp_listener *l = &s->listeners[s->listeners_count++];
    int fd = new_socket(s, &a);
    *l = (struct sp_listener){ .owner = s, .carrier = a.carrier, .io.fd = fd };
    r = fd < 0 ? fd : bind_and_listen(l, fd, &a, options->ipc_mode);
    if (r == 0)
        r = io_open(&l->io, s->base.loop, (struct io_watch){ fd, IO_READ }, on_connection, l);
    if (r < 0) { /* The caller's sp_detach() closes what is open. */
        snprintf(text, size, "cannot listen on %s: %s", address, pen_strerror(r));
        return r == PEN_ENOMEM ? r : PEN_EBIND;
    }
    return 0;
}

/* ---- dialling ---- */

static void dial(struct sp_dialer *d);

static void on_dial_timer(struct pen_loop *loop, void *arg, int status)
{
    if (status < 0) /* The loop is being closed. */
        return;
    loop_assert_here(loop);
    dial(arg);
}

/* splitmix64: jitter needs no more. */
static uint64_t next_random(struct sp_endpoint *s)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void dial_later(struct sp_dialer *d, const char *reason)
{
    struct sp_endpoint *s = d->owner;
    if (s->stopped)
        return;
    if (!d->told)
        log_notice(s->base.name, "not connected to %s, trying again: %s", d->text, reason);
    d->told = true;
    int64_t half_ms = d->backoff_ms / 2;
    int64_t ms = half_ms + (int64_t)(next_random(s) % (uint64_t)(half_ms + 1));
    d->backoff_ms = d->backoff_ms * 2 < BACKOFF_MAX_MS ? d->backoff_ms * 2 : BACKOFF_MAX_MS;
    if (pen_loop_call_later(s->base.loop, &d->timer, span_ms(ms), on_dial_timer, d) < 0)
        log_error(s->base.name, "will not connect to %s again: %s", d->text,
                  pen_strerror(PEN_ENOMEM));
}

static void dial(struct sp_dialer *d)
{
    struct sp_endpoint *s = d->owner;
    struct sp_peer *p;
    int fd = new_socket(s, &d->address), error = fd < 0 ? -fd : 0;
    if (error == 0 && connect(fd, (const struct sockaddr *)&d->address.at, d->address.bytes) < 0 &&
        errno != EINPROGRESS) {
        error = errno;
        close(fd);
    }
    if (error == 0) {
        set_up_connection(s, fd, d->address.carrier);
        if (sp_peer_new(s, fd, d, d->address.carrier, &p) < 0)
            error = ENOMEM;
    }
    if (error != 0) {
        count_add(&s->connect_errors, 1);
        dial_later(d, strerrordesc_np(error));
        return;
    }
    d->peer = p;
    (void)str_copy(p->name, sizeof p->name, d->text);
}

void sp_dialer_lost(struct sp_dialer *d, const struct sp_peer *p, const char *reason)
{
    struct sp_endpoint *s = d->owner;
    bool talked = p->state == SP_PEER_TALKS;
    d->peer = NULL;
    if (talked && mono_since(pen_loop_now(s->base.loop), p->talks_since).ns > span_s(LASTED_S).ns) {
        d->backoff_ms = BACKOFF_FIRST_MS;
        d->told = false;
    }
    dial_later(d, reason);
}

int sp_dial(struct sp_endpoint *s, const char *address, char *text, size_t size)
{
    struct sp_dialer *d = &s->dialers[s->dialers_count];
    *d = (struct sp_dialer){ .owner = s, .backoff_ms = BACKOFF_FIRST_MS };
    int r = resolve(address, false, &d->address, text, size);
    if (r < 0)
        return r;
    d->text = strdup(address);
    if (d->text == NULL) {
        snprintf(text, size, "%s", pen_strerror(PEN_ENOMEM));
        return PEN_ENOMEM;
    }
    s->dialers_count++;
    dial(d);
    return 0;
}

void sp_detach(struct sp_endpoint *s)
{
    s->stopped = true;
    pen_timer_cancel(&s->accept_timer);
    for (size_t i = 0; i < s->listeners_count; i++)
        close_listener(&s->listeners[i]);
    for (size_t i = 0; i < s->dialers_count; i++)
        pen_timer_cancel(&s->dialers[i].timer);
}
