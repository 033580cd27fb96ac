/* SPDX-License-Identifier: Apache-2.0
 *
 * libnanomsg 1.1.5: "nanomsg" talks to a broker, which may be nn_device(); "direct" has its receiver bind, and no
 * broker between; "batch" speaks penstock's batch framing, many records in a message, which penstock-protocol(7)
 * describes and which needs no more than what is here.
 */
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- batch framing ---- */

enum { FRAME_BYTES = 16, RECORD_BYTES = 8 };

/* A frame without attributes: 'P' 'E' 'N', version 1, kind put; the number of records at 8. A record is its length in four
 * bytes, four bytes 0, and the body. Numbers are little-endian. */
static void send_batch(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    uint32_t count = (uint32_t)n, bytes = (uint32_t)load.bytes;
    uint8_t *frame = nn_allocmsg(FRAME_BYTES + n * (RECORD_BYTES + load.bytes), 0), *at = frame;
    if (frame == NULL)
        die("nn_allocmsg", "no memory");
    memcpy(at, "PEN\1\1\0\0\0\0\0\0\0\0\0\0", FRAME_BYTES);
    memcpy(at + 8, &count, 4);
    at += FRAME_BYTES;
    for (size_t i = 0; i < n; i++, at += RECORD_BYTES + load.bytes) {
        memcpy(at, &bytes, 4);
        memset(at + 4, 0, 4);
        memcpy(at + RECORD_BYTES, messages + i * load.bytes, load.bytes);
    }
    must(nn_send(l->socket, &frame, NN_MSG, 0), "nn_send");
}

/* Of attributes, which the daemon may add, only the length is looked at. */
static void receive_batch(void *arg)
{
    struct link *l = arg;
    uint8_t *frame;
    int bytes = must(nn_recv(l->socket, &frame, NN_MSG, 0), "nn_recv");
    uint16_t attributes;
    uint32_t body;
    if (bytes < FRAME_BYTES || memcmp(frame, "PEN\1", 4) != 0)
        die("batch", "no frame of this framing");
    memcpy(&attributes, frame + 6, 2);
    for (const uint8_t *at = frame + FRAME_BYTES + attributes; at + RECORD_BYTES <= frame + bytes;
         at += body) {
        memcpy(&body, at, 4);
        memcpy(&attributes, at + 4, 2);
        at += RECORD_BYTES + attributes;
        load_came(at, body);
    }
    nn_freemsg(frame);
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
    { .name = "batch", .open = open_link, .send = send_batch, .receive = receive_batch },
    { .name = NULL },
};
