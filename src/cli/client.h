/* SPDX-License-Identifier: Apache-2.0
 *
 * One SP socket, used without blocking, over libnanomsg (client.c) or over the native transport
 * (client-native.c). The caller waits in client_poll().
 *
 * Errors are PEN_EEMPTY (nothing to receive now), PEN_EFULL (no room to send now), PEN_ETIMEOUT (no
 * answer can come any more: the survey is over) or a negated errno value, whose text is
 * client_strerror()'s.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/units.h"

enum pattern {
    SOCKET_PUSH,
    SOCKET_PULL,
    SOCKET_PUB,
    SOCKET_SUB,
    SOCKET_REQ,
    SOCKET_REP,
    SOCKET_BUS,
    SOCKET_PAIR,
    SOCKET_SURVEYOR,
    SOCKET_RESPONDENT,
};

enum client_transport { CLIENT_NANOMSG, CLIENT_NATIVE };

struct client {
    enum pattern pattern;
    struct native *native; /* NULL: libnanomsg's */
    /* libnanomsg's; nobody else may read or write the descriptors, or it aborts */
    int socket;
    int recv_fd; /* -1: the pattern does not receive */
    int send_fd; /* -1: the pattern does not send */
};

/* A received message; freed with client_message_free(). */
struct client_message {
    const void *data;
    size_t bytes;
    void *own;          /* libnanomsg's */
    struct slice slice; /* the native transport's */
};

int client_open(enum pattern pattern, enum client_transport transport, struct client *ret_client)
    MUST_CHECK;
bool client_receives(const struct client *c);

/* Before client_start(). What is wrong with an address may be told only by that. */
int client_bind(struct client *c, const char *url) MUST_CHECK;
int client_connect(struct client *c, const char *url) MUST_CHECK;
int client_subscribe(struct client *c, const char *prefix) MUST_CHECK;
int client_name(struct client *c, const char *name) MUST_CHECK;
int client_limit(struct client *c, uint64_t message_bytes_max) MUST_CHECK;
int client_survey_deadline(struct client *c, span_t deadline) MUST_CHECK;

/* How long client_finish() has to write what waits, and how long peers have then to end their side; negative: as is
 * usual. */
void client_linger(struct client *c, span_t flush, span_t linger);
/* Everything is set up. A failure is told in text, naming the address. */
int client_start(struct client *c, char *text, size_t size) MUST_CHECK;

int client_send(struct client *c, const void *data, size_t bytes) MUST_CHECK;
int client_recv(struct client *c, struct client_message *ret_message) MUST_CHECK;
void client_message_free(struct client_message *m);

/* Connections that are up now. */
unsigned client_peers(const struct client *c);

/* What to wait for: of the client, and descriptors of the caller's. */
struct client_poll {
    bool recv, send; /* in: wanted; out: worth trying */
    struct pollfd *fds;
    size_t n;     /* at most CLIENT_POLL_FDS */
    mono_t until; /* sleep no longer */
};
enum { CLIENT_POLL_FDS = 4 };

/* Sleep until something is ready; may wake for nothing. A negated errno value. */
int client_poll(struct client *c, struct client_poll *p) MUST_CHECK;

/* Nothing is sent any more. True: the client itself sees that peers get what was sent, and client_poll() tells `send`
 * when they have. False: libnanomsg does not linger. */
bool client_finish(struct client *c);

/* Drops what is not sent yet. */
void client_close(struct client *c);

const char *client_strerror(int error);

/* Why libnanomsg must not be given this address, or NULL: it unlinks a file that is no socket when it
 * binds there, and aborts on an ipc path that is too long. */
const char *client_address_fault(const char *url, bool bind);

#endif
