/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file of the command line client that sees libnanomsg. What it is asked of a client of the native transport it
 * hands on to client-native.c.
 */
#include "cli/client-native.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>

#include <penstock/time.h>

#include "base/check.h"
#include "base/str.h"

static const int protocols[] = {
    [SOCKET_PUSH] = NN_PUSH,         [SOCKET_PULL] = NN_PULL,
    [SOCKET_PUB] = NN_PUB,           [SOCKET_SUB] = NN_SUB,
    [SOCKET_REQ] = NN_REQ,           [SOCKET_REP] = NN_REP,
    [SOCKET_BUS] = NN_BUS,           [SOCKET_PAIR] = NN_PAIR,
    [SOCKET_SURVEYOR] = NN_SURVEYOR, [SOCKET_RESPONDENT] = NN_RESPONDENT,
};

static int os_error(void)
{
    return -nn_errno();
}

static int set_int(struct client *c, int level, int option, int value)
{
    return nn_setsockopt(c->socket, level, option, &value, sizeof value) < 0 ? os_error() : 0;
}

/* The event descriptor, or -1 where the pattern has none. */
static int event_fd(const struct client *c, int option)
{
    int fd = -1;
    size_t size = sizeof fd;
    return nn_getsockopt(c->socket, NN_SOL_SOCKET, option, &fd, &size) < 0 ? -1 : fd;
}

static int open_nanomsg(enum pattern pattern, struct client *ret_client)
{
    struct client c = { .socket = nn_socket(AF_SP, protocols[pattern]), .pattern = pattern };
    if (c.socket < 0)
        return os_error();
    c.recv_fd = event_fd(&c, NN_RCVFD);
    c.send_fd = event_fd(&c, NN_SNDFD);
    int r = set_int(&c, NN_TCP, NN_TCP_NODELAY, 1);
    if (r < 0) {
        client_close(&c);
        return r;
    }
    *ret_client = c;
    return 0;
}

int client_open(enum pattern pattern, enum client_transport transport, struct client *ret_client)
{
    if (transport == CLIENT_NANOMSG)
        return open_nanomsg(pattern, ret_client);
    struct client c = { .socket = -1, .pattern = pattern, .recv_fd = -1, .send_fd = -1 };
    int r = native_new(pattern, &c.native);
    if (r == 0)
        *ret_client = c;
    return r;
}

bool client_receives(const struct client *c)
{
    return c->native != NULL ? c->pattern != SOCKET_PUSH && c->pattern != SOCKET_PUB
                             : c->recv_fd >= 0;
}

int client_bind(struct client *c, const char *url)
{
    if (c->native != NULL)
        return native_add(c->native, NATIVE_LISTEN, url);
    return nn_bind(c->socket, url) < 0 ? os_error() : 0;
}

int client_connect(struct client *c, const char *url)
{
    if (c->native != NULL)
        return native_add(c->native, NATIVE_CONNECT, url);
    return nn_connect(c->socket, url) < 0 ? os_error() : 0;
}

int client_subscribe(struct client *c, const char *prefix)
{
    if (c->native != NULL)
        return native_add(c->native, NATIVE_TOPICS, prefix);
    int r = nn_setsockopt(c->socket, NN_SUB, NN_SUB_SUBSCRIBE, prefix, strlen(prefix));
    return r < 0 ? os_error() : 0;
}

int client_name(struct client *c, const char *name)
{
    if (c->native != NULL)
        return 0; /* Only libnanomsg has statistics that others can read. */
    int r = nn_setsockopt(c->socket, NN_SOL_SOCKET, NN_SOCKET_NAME, name, strlen(name));
    return r < 0 ? os_error() : 0;
}

int client_limit(struct client *c, uint64_t message_bytes_max)
{
    if (c->native != NULL) {
        native_settings(c->native)->message_max = message_bytes_max;
        return 0;
    }
    int max = message_bytes_max > INT_MAX ? INT_MAX : (int)message_bytes_max;
    return set_int(c, NN_SOL_SOCKET, NN_RCVMAXSIZE, max);
}

int client_survey_deadline(struct client *c, span_t deadline)
{
    if (c->native != NULL) {
        native_settings(c->native)->survey = deadline;
        return 0;
    }
    int64_t ms = deadline.ns / 1000000;
    return set_int(c, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, ms > INT_MAX ? INT_MAX : (int)ms);
}

void client_linger(struct client *c, span_t flush, span_t linger)
{
    if (c->native == NULL)
        return;
    struct native_settings *settings = native_settings(c->native);
    if (flush.ns >= 0)
        settings->flush = flush;
    if (linger.ns >= 0)
        settings->linger = linger;
}

int client_start(struct client *c, char *text, size_t size)
{
    return c->native != NULL ? native_start(c->native, text, size) : 0;
}

int client_send(struct client *c, const void *data, size_t bytes)
{
    if (c->native != NULL)
        return native_send(c->native, data, bytes);
    if (nn_send(c->socket, data, bytes, NN_DONTWAIT) >= 0)
        return 0;
    return nn_errno() == EAGAIN ? PEN_EFULL : os_error();
}

int client_recv(struct client *c, struct client_message *ret_message)
{
    if (c->native != NULL)
        return native_recv(c->native, ret_message);
    void *data;
    int n = nn_recv(c->socket, &data, NN_MSG, NN_DONTWAIT);
    if (n >= 0) {
        *ret_message = (struct client_message){ .data = data, .bytes = (size_t)n, .own = data };
        return 0;
    }
    switch (nn_errno()) {
    case EAGAIN:
        return PEN_EEMPTY;
    case ETIMEDOUT:
    case EFSM:
        return PEN_ETIMEOUT;
    default:
        return os_error();
    }
}

void client_message_free(struct client_message *m)
{
    if (m->own != NULL)
        nn_freemsg(m->own);
    slice_release(&m->slice);
    *m = (struct client_message){ 0 };
}

static struct timespec time_left(mono_t until)
{
    int64_t ns = mono_since(until, pen_now()).ns;
    if (ns < 0)
        ns = 0;
    return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

int client_poll(struct client *c, struct client_poll *p)
{
    struct pollfd fds[CLIENT_POLL_FDS + 2];
    if (c->native != NULL)
        return native_poll(c->native, p);
    check(p->n <= CLIENT_POLL_FDS);
    memcpy(fds, p->fds, p->n * sizeof fds[0]);
    fds[p->n] = (struct pollfd){ .fd = p->recv ? c->recv_fd : -1, .events = POLLIN };
    fds[p->n + 1] = (struct pollfd){ .fd = p->send ? c->send_fd : -1, .events = POLLIN };
    struct timespec left = time_left(p->until);
    if (ppoll(fds, p->n + 2, &left, NULL) < 0 && errno != EINTR)
        return -errno;
    memcpy(p->fds, fds, p->n * sizeof fds[0]);
    p->recv = fds[p->n].revents != 0;
    p->send = fds[p->n + 1].revents != 0;
    return 0;
}

bool client_finish(struct client *c)
{
    if (c->native == NULL)
        return false;
    native_finish(c->native);
    return true;
}

unsigned client_peers(const struct client *c)
{
    if (c->native != NULL)
        return native_peers(c->native);
    uint64_t n = nn_get_statistic(c->socket, NN_STAT_CURRENT_CONNECTIONS);
    return n > UINT_MAX ? 0 : (unsigned)n;
}

void client_close(struct client *c)
{
    native_free(&c->native);
    if (c->socket >= 0)
        nn_close(c->socket);
    c->socket = -1;
}

const char *client_strerror(int error)
{
    return error <= -1000 && error > -2000 ? pen_strerror(error) : nn_strerror(-error);
}

const char *client_address_fault(const char *url, bool bind)
{
    if (strstr(url, "://") == NULL)
        return "no transport in it; write tcp://HOST:PORT, ipc:///PATH or ws://HOST:PORT";
    if (strlen(url) > NN_SOCKADDR_MAX)
        return "it is too long";
    if (!str_starts(url, "ipc://"))
        return NULL;
    const char *path = url + strlen("ipc://");
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return "the path is too long for a socket";
    struct stat st;
    if (bind && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return "there is a file of that name that is no socket";
    return NULL;
}
