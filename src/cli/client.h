/* SPDX-License-Identifier: Apache-2.0
 *
 * One SP socket of libnanomsg, used without blocking: the caller waits in poll(2) for recv_fd or
 * send_fd, which must never be read or written (libnanomsg aborts when somebody else does).
 *
 * Errors are PEN_EEMPTY (nothing to receive now), PEN_EFULL (no room to send now), PEN_ETIMEOUT (no
 * answer can come any more: the survey is over) or a negated errno value, whose text is
 * client_strerror()'s.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
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

struct client {
    int socket;
    enum pattern pattern;
    int recv_fd; /* -1: the pattern does not receive */
    int send_fd; /* -1: the pattern does not send */
};

/* A received message; the data is freed with client_message_free(). */
struct client_message {
    void *data;
    size_t bytes;
};

int client_open(enum pattern pattern, struct client *ret_client) MUST_CHECK;
int client_bind(struct client *c, const char *url) MUST_CHECK;
int client_connect(struct client *c, const char *url) MUST_CHECK;
int client_subscribe(struct client *c, const char *prefix) MUST_CHECK;
int client_name(struct client *c, const char *name) MUST_CHECK;
int client_limit(struct client *c, uint64_t message_bytes_max) MUST_CHECK;
int client_survey_deadline(struct client *c, span_t deadline) MUST_CHECK;

int client_send(struct client *c, const void *data, size_t bytes) MUST_CHECK;
int client_recv(struct client *c, struct client_message *ret_message) MUST_CHECK;
void client_message_free(struct client_message *m);

/* Connections that are up now. */
unsigned client_peers(const struct client *c);

/* Drops what is not sent yet: libnanomsg does not linger. */
void client_close(struct client *c);

const char *client_strerror(int error);

/* Why libnanomsg must not be given this address, or NULL: it unlinks a file that is no socket when it
 * binds there, and aborts on an ipc path that is too long. */
const char *client_address_fault(const char *url, bool bind);

#endif
