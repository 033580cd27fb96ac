/* SPDX-License-Identifier: Apache-2.0
 *
 * Mosquitto with QoS 0 through libmosquitto, which writes each message by itself.
 */
#include <mosquitto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

enum { KEEPALIVE_S = 300 };

struct link {
    struct mosquitto *client;
    bool there; /* a message came, or the subscription was confirmed */
};

static void must(int result, const char *what)
{
    if (result != MOSQ_ERR_SUCCESS)
        die(what, mosquitto_strerror(result));
}

static void on_message(struct mosquitto *client, void *arg, const struct mosquitto_message *message)
{
    (void)client;
    struct link *l = arg;
    l->there = true;
    load_came(message->payload, (size_t)message->payloadlen);
}

static void on_subscribe(struct mosquitto *client, void *arg, int id, int n, const int *qos)
{
    (void)client, (void)id, (void)n, (void)qos;
    struct link *l = arg;
    l->there = true;
}

static void on_connect(struct mosquitto *client, void *arg, int result)
{
    (void)client;
    struct link *l = arg;
    must(result, "connect");
    l->there = true;
}

static void wait_there(struct link *l)
{
    for (l->there = false; !l->there;)
        must(mosquitto_loop(l->client, -1, 1), "mosquitto_loop");
}

static void *open_link(enum role role)
{
    char host[64];
    struct link *l = must_allocate(sizeof *l);
    uint16_t port = split_address(load.in, host);
    mosquitto_lib_init();
    l->client = mosquitto_new(NULL, true, l);
    if (l->client == NULL)
        die("mosquitto_new", "failed");
    mosquitto_int_option(l->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_message_callback_set(l->client, on_message);
    mosquitto_subscribe_callback_set(l->client, on_subscribe);
    mosquitto_connect_callback_set(l->client, on_connect);
    must(mosquitto_connect(l->client, host, port, KEEPALIVE_S), load.in);
    wait_there(l);
    if (role == RECEIVES || role == SUBSCRIBES) {
        must(mosquitto_subscribe(l->client, NULL, "load", 0), "subscribe");
        wait_there(l);
    }
    return l;
}

static void publish(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    for (size_t i = 0; i < n; i++)
        must(mosquitto_publish(l->client, NULL, "load", (int)load.bytes, messages + i * load.bytes,
                               0, false),
             "publish");
    while (mosquitto_want_write(l->client))
        must(mosquitto_loop(l->client, -1, 1), "mosquitto_loop");
}

const struct peer peers[] = {
    { .name = "qos0", .open = open_link, .send = publish, .receive = (void (*)(void *))wait_there },
    { .name = NULL },
};
