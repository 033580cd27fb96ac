/* SPDX-License-Identifier: Apache-2.0
 *
 * libnanomsg 1.1.5: "nanomsg" talks to a broker, which may be nn_device(); "direct" has its receiver bind, and no
 * broker between.
 */
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

struct link {
    int socket;
};

static int must(int result, const char *what)
{
    if (result < 0)
        die(what, nn_strerror(nn_errno()));
    return result;
}

static const char *url(const char *address, char text[96])
{
    snprintf(text, 96, "tcp://%s", address);
    return text;
}

static int new_socket(int domain, int protocol)
{
    int any = -1, on = load.at_once, s = must(nn_socket(domain, protocol), "nn_socket");
    must(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, &any, sizeof any), "NN_RCVMAXSIZE");
    must(nn_setsockopt(s, NN_TCP, NN_TCP_NODELAY, &on, sizeof on), "NN_TCP_NODELAY");
    return s;
}

static struct link *new_link(enum role role)
{
    static const int protocols[] = {
        [SENDS] = NN_PUSH,     [RECEIVES] = NN_PULL, [PUBLISHES] = NN_PUB,
        [SUBSCRIBES] = NN_SUB, [ASKS] = NN_REQ,      [ANSWERS] = NN_REP
    };
    struct link *l = must_allocate(sizeof *l);
    l->socket = new_socket(AF_SP, protocols[role]);
    if (role == SUBSCRIBES)
        must(nn_setsockopt(l->socket, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), "NN_SUB_SUBSCRIBE");
    return l;
}

static void *open_link(enum role role)
{
    char text[96];
    struct link *l = new_link(role);
    must(nn_connect(l->socket, url(role == RECEIVES || role == SUBSCRIBES ? load.out : load.in, text)),
         "nn_connect");
    return l;
}

static void *open_direct(enum role role)
{
    char text[96];
    struct link *l = new_link(role);
    url(load.in, text);
    bool binds = role == RECEIVES || role == ANSWERS || role == PUBLISHES;
    must(binds ? nn_bind(l->socket, text) : nn_connect(l->socket, text), text);
    return l;
}

static void send_messages(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    for (size_t i = 0; i < n; i++)
        must(nn_send(l->socket, messages + i * load.bytes, load.bytes, 0), "nn_send");
}

static void receive_message(void *arg)
{
    struct link *l = arg;
    void *message;
    int bytes = must(nn_recv(l->socket, &message, NN_MSG, 0), "nn_recv");
    load_came(message, (size_t)bytes);
    nn_freemsg(message);
}

static void answer(void *arg)
{
    struct link *l = arg;
    void *message;
    must(nn_recv(l->socket, &message, NN_MSG, 0), "nn_recv");
    must(nn_send(l->socket, &message, NN_MSG, 0), "nn_send");
}

static void serve(bool fan_out)
{
    char text[96];
    int in = new_socket(AF_SP_RAW, fan_out ? NN_SUB : NN_PULL);
    int out = new_socket(AF_SP_RAW, fan_out ? NN_PUB : NN_PUSH);
    if (fan_out)
        must(nn_setsockopt(in, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), "NN_SUB_SUBSCRIBE");
    must(nn_bind(in, url(load.in, text)), text);
    must(nn_bind(out, url(load.out, text)), text);
    load_serving();
    must(nn_device(in, out), "nn_device");
}

const struct peer peers[] = {
    { .name = "nanomsg",
      .open = open_link,
      .send = send_messages,
      .receive = receive_message,
      .serve = serve },
    { .name = "direct",
      .open = open_direct,
      .send = send_messages,
      .receive = receive_message,
      .answer = answer },
    { .name = NULL },
};
