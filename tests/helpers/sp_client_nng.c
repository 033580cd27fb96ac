/* SPDX-License-Identifier: Apache-2.0 */
#include <nng/nng.h>
#include <nng/protocol/bus0/bus.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/protocol/survey0/survey.h>
#include <string.h>

#include "sp_client.h"

static const struct {
    const char *word;
    int (*open)(nng_socket *);
} patterns[] = {
    { "push", nng_push0_open }, { "pull", nng_pull0_open }, { "pub", nng_pub0_open },
    { "sub", nng_sub0_open },   { "req", nng_req0_open },   { "surveyor", nng_surveyor0_open },
    { "bus", nng_bus0_open },   { "pair", nng_pair0_open },
};

static nng_socket s;

static void must(int result, const char *what)
{
    if (result != 0)
        die(what, nng_strerror(result));
}

void peer_open(const char *pattern, bool listen, const char *address)
{
    size_t i = 0;
    while (i < sizeof patterns / sizeof patterns[0] && strcmp(patterns[i].word, pattern) != 0)
        i++;
    if (i == sizeof patterns / sizeof patterns[0])
        die(pattern, "no such pattern");
    must(patterns[i].open(&s), pattern);
    if (strcmp(pattern, "sub") == 0)
        must(nng_socket_set(s, NNG_OPT_SUB_SUBSCRIBE, "", 0), "subscribe");
    must(nng_socket_set_ms(s, NNG_OPT_SENDTIMEO, 50), "timeout");
    must(listen ? nng_listen(s, address, NULL, 0) : nng_dial(s, address, NULL, NNG_FLAG_NONBLOCK),
         address);
}

static bool is_passing(int error)
{
    return error == NNG_EAGAIN || error == NNG_ETIMEDOUT || error == NNG_ESTATE;
}

bool peer_send(const void *bytes, size_t count)
{
    int r = nng_send(s, (void *)bytes, count, 0);
    if (r != 0 && !is_passing(r))
        die("nng_send", nng_strerror(r));
    return r == 0;
}

ssize_t peer_receive(void *to, size_t size, int timeout_ms)
{
    must(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, timeout_ms), "timeout");
    int r = nng_recv(s, to, &size, 0);
    if (r != 0 && !is_passing(r))
        die("nng_recv", nng_strerror(r));
    return r == 0 ? (ssize_t)size : -1;
}
