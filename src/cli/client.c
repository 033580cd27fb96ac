/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file of the command line client that sees libnanomsg.
 */
#include "cli/client.h"

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

int client_open(enum pattern pattern, struct client *ret_client)
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

int client_bind(struct client *c, const char *url)
{
    return nn_bind(c->socket, url) < 0 ? os_error() : 0;
}

int client_connect(struct client *c, const char *url)
{
    return nn_connect(c->socket, url) < 0 ? os_error() : 0;
}

int client_subscribe(struct client *c, const char *prefix)
{
    int r = nn_setsockopt(c->socket, NN_SUB, NN_SUB_SUBSCRIBE, prefix, strlen(prefix));
    return r < 0 ? os_error() : 0;
}

int client_name(struct client *c, const char *name)
{
    int r = nn_setsockopt(c->socket, NN_SOL_SOCKET, NN_SOCKET_NAME, name, strlen(name));
    return r < 0 ? os_error() : 0;
}

int client_limit(struct client *c, uint64_t message_bytes_max)
{
    int max = message_bytes_max > INT_MAX ? INT_MAX : (int)message_bytes_max;
    return set_int(c, NN_SOL_SOCKET, NN_RCVMAXSIZE, max);
}

int client_survey_deadline(struct client *c, span_t deadline)
{
    int64_t ms = deadline.ns / 1000000;
    return set_int(c, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, ms > INT_MAX ? INT_MAX : (int)ms);
}

int client_send(struct client *c, const void *data, size_t bytes)
{
    if (nn_send(c->socket, data, bytes, NN_DONTWAIT) >= 0)
        return 0;
    return nn_errno() == EAGAIN ? PEN_EFULL : os_error();
}

int client_recv(struct client *c, struct client_message *ret_message)
{
    void *data;
    int n = nn_recv(c->socket, &data, NN_MSG, NN_DONTWAIT);
    if (n >= 0) {
        *ret_message = (struct client_message){ .data = data, .bytes = (size_t)n };
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
    if (m->data != NULL)
        nn_freemsg(m->data);
    *m = (struct client_message){ 0 };
}

unsigned client_peers(const struct client *c)
{
    uint64_t n = nn_get_statistic(c->socket, NN_STAT_CURRENT_CONNECTIONS);
    return n > UINT_MAX ? 0 : (unsigned)n;
}

void client_close(struct client *c)
{
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
