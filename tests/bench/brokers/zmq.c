/* SPDX-License-Identifier: Apache-2.0
 *
 * libzmq, with a zmq_proxy() as the broker. Nothing is dropped for a high-water mark: the generator's window bounds what
 * is under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "load.h"

static int must(int result, const char *what)
{
    if (result < 0)
        die(what, zmq_strerror(zmq_errno()));
    return result;
}

static const char *url(const char *address, char text[96])
{
    snprintf(text, 96, "tcp://%s", address);
    return text;
}

static void *new_socket(void *context, int type)
{
    int unlimited = 0;
    void *s = zmq_socket(context, type);
    if (s == NULL)
        die("zmq_socket", zmq_strerror(zmq_errno()));
    must(zmq_setsockopt(s, ZMQ_SNDHWM, &unlimited, sizeof unlimited), "ZMQ_SNDHWM");
    must(zmq_setsockopt(s, ZMQ_RCVHWM, &unlimited, sizeof unlimited), "ZMQ_RCVHWM");
    return s;
}

static void *open_link(enum role role)
{
    static const int types[] = {
        [SENDS] = ZMQ_PUSH, [RECEIVES] = ZMQ_PULL, [PUBLISHES] = ZMQ_PUB, [SUBSCRIBES] = ZMQ_SUB
    };
    char text[96];
    void *s = new_socket(zmq_ctx_new(), types[role]);
    if (role == SUBSCRIBES)
        must(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0), "ZMQ_SUBSCRIBE");
    must(zmq_connect(s, url(role == RECEIVES || role == SUBSCRIBES ? load.out : load.in, text)),
         text);
    return s;
}

static void send_messages(void *socket, const uint8_t *messages, size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(zmq_send(socket, messages + i * load.bytes, load.bytes, 0), "zmq_send");
}

static void receive_message(void *socket)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    must(zmq_msg_recv(&message, socket, 0), "zmq_msg_recv");
    load_came(zmq_msg_data(&message), zmq_msg_size(&message));
    zmq_msg_close(&message);
}

static void serve(bool fan_out)
{
    char text[96];
    void *context = zmq_ctx_new();
    void *in = new_socket(context, fan_out ? ZMQ_XSUB : ZMQ_PULL);
    void *out = new_socket(context, fan_out ? ZMQ_XPUB : ZMQ_PUSH);
    must(zmq_bind(in, url(load.in, text)), text);
    must(zmq_bind(out, url(load.out, text)), text);
    load_serving();
    must(zmq_proxy(in, out, NULL), "zmq_proxy");
}

const struct peer peers[] = {
    { .name = "proxy",
      .open = open_link,
      .send = send_messages,
      .receive = receive_message,
      .serve = serve },
    { .name = NULL },
};
