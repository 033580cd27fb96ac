/* SPDX-License-Identifier: Apache-2.0 */
#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <string.h>

#include "sp_client.h"

static const struct {
    const char *word;
    int protocol;
} patterns[] = {
    { "push", NN_PUSH }, { "pull", NN_PULL },         { "pub", NN_PUB }, { "sub", NN_SUB },
    { "req", NN_REQ },   { "surveyor", NN_SURVEYOR }, { "bus", NN_BUS }, { "pair", NN_PAIR },
};

static int s;

static int must(int result, const char *what)
{
    if (result < 0)
        die(what, nn_strerror(nn_errno()));
    return result;
}

static void set(int option, int value)
{
    must(nn_setsockopt(s, NN_SOL_SOCKET, option, &value, sizeof value), "nn_setsockopt");
}

void peer_open(const char *pattern, bool listen, const char *address)
{
    size_t i = 0;
    while (i < sizeof patterns / sizeof patterns[0] && strcmp(patterns[i].word, pattern) != 0)
        i++;
    if (i == sizeof patterns / sizeof patterns[0])
        die(pattern, "no such pattern");
    s = must(nn_socket(AF_SP, patterns[i].protocol), "nn_socket");
    if (patterns[i].protocol == NN_SUB)
        must(nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), "NN_SUB_SUBSCRIBE");
    set(NN_SNDTIMEO, 50);
    must(listen ? nn_bind(s, address) : nn_connect(s, address), address);
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == ETIMEDOUT || error == EFSM;
}

bool peer_send(const void *bytes, size_t count)
{
    if (nn_send(s, bytes, count, 0) >= 0)
        return true;
    if (!is_passing(nn_errno()))
        die("nn_send", nn_strerror(nn_errno()));
    return false;
}

ssize_t peer_receive(void *to, size_t size, int timeout_ms)
{
    set(NN_RCVTIMEO, timeout_ms);
    int bytes = nn_recv(s, to, size, 0);
    if (bytes < 0 && !is_passing(nn_errno()))
        die("nn_recv", nn_strerror(nn_errno()));
    return bytes;
}
