/* SPDX-License-Identifier: Apache-2.0
 *
 * One SP socket of somebody else's library, for sp_client.c: sp_client_nn.c over libnanomsg, sp_client_nng.c over libnng.
 */
#ifndef TESTS_SP_CLIENT_H
#define TESTS_SP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Each ends the process with a word on standard error when the library says something that is not expected. */
void peer_open(const char *pattern, bool listen, const char *address);
/* False: nobody takes it. */
bool peer_send(const void *bytes, size_t count);
/* The length of a message, -1: none came in time, or none may come now. */
ssize_t peer_receive(void *to, size_t size, int timeout_ms);

void die(const char *what, const char *why) __attribute__((noreturn));

#endif
