/* SPDX-License-Identifier: Apache-2.0
 *
 * libnng, with its nng_device() as the broker.
 */
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

enum { BUFFERED = 8192 }; /* messages; the most that libnng takes */

static void must(int result, const char *what)
{
    if (result != 0)
        die(what, nng_strerror(result));
}

static const char *url(const char *address, char text[96])
{
    snprintf(text, 96, "tcp://%s", address);
    return text;
}

static void *open_link(enum role role)
{
    static int (*const openers[])(nng_socket *) = {
        [SENDS] = nng_push0_open, [RECEIVES] = nng_pull0_open, [PUBLISHES] = nng_pub0_open, [SUBSCRIBES] = nng_sub0_open
    };
    char text[96];
    nng_socket *s = must_allocate(sizeof *s);
    must(openers[role](s), "nng_socket");
    /* Not every protocol has such a buffer. */
    (void)nng_socket_set_int(*s, NNG_OPT_SENDBUF, BUFFERED);
    (void)nng_socket_set_int(*s, NNG_OPT_RECVBUF, BUFFERED);
    if (role == SUBSCRIBES)
        must(nng_socket_set(*s, NNG_OPT_SUB_SUBSCRIBE, "", 0), "NNG_OPT_SUB_SUBSCRIBE");
    must(nng_dial(*s, url(role == RECEIVES || role == SUBSCRIBES ? load.out : load.in, text), NULL, 0),
         text);
    return s;
}

static void send_messages(void *socket, const uint8_t *messages, size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(nng_send(*(nng_socket *)socket, (void *)(uintptr_t)(messages + i * load.bytes),
                      load.bytes, 0),
             "nng_send");
}

static void receive_message(void *socket)
{
    nng_msg *message;
    must(nng_recvmsg(*(nng_socket *)socket, &message, 0), "nng_recvmsg");
    load_came(nng_msg_body(message), nng_msg_len(message));
    nng_msg_free(message);
}

static void serve(bool fan_out)
{
    char text[96];
    nng_socket in, out;
    must(fan_out ? nng_sub0_open_raw(&in) : nng_pull0_open_raw(&in), "nng_socket");
    must(fan_out ? nng_pub0_open_raw(&out) : nng_push0_open_raw(&out), "nng_socket");
    (void)nng_socket_set_int(in, NNG_OPT_RECVBUF, BUFFERED);
    (void)nng_socket_set_int(out, NNG_OPT_SENDBUF, BUFFERED);
    must(nng_listen(in, url(load.in, text), NULL, 0), text);
    must(nng_listen(out, url(load.out, text), NULL, 0), text);
    load_serving();
    must(nng_device(in, out), "nng_device");
}

const struct peer peers[] = {
    { .name = "device",
      .open = open_link,
      .send = send_messages,
      .receive = receive_message,
      .serve = serve },
    { .name = NULL },
};
