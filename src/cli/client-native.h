/* SPDX-License-Identifier: Apache-2.0
 *
 * The native transport behind client.h: an endpoint on a loop that runs only within these calls. The patterns are
 * as libnanomsg has them: req takes the answer to its last request and asks again after a minute, rep and
 * respondent answer what they received last, a survey ends.
 */
#ifndef CLI_CLIENT_NATIVE_H
#define CLI_CLIENT_NATIVE_H

#include "cli/client.h"

struct native;

enum native_list { NATIVE_LISTEN, NATIVE_CONNECT, NATIVE_TOPICS, NATIVE_LISTS };

struct native_settings {
    size_t message_max;
    span_t survey, flush, linger;
};

/* PEN_ENOMEM. */
int native_new(enum pattern pattern, struct native **ret_native) MUST_CHECK;
void native_free(struct native **native);

/* Before native_start(). The text is borrowed until then. PEN_ELIMIT. */
int native_add(struct native *n, enum native_list list, const char *text) MUST_CHECK;
struct native_settings *native_settings(struct native *n);

/* The rest as in client.h. */
int native_start(struct native *n, char *text, size_t size) MUST_CHECK;
int native_send(struct native *n, const void *data, size_t bytes) MUST_CHECK;
int native_recv(struct native *n, struct client_message *ret_message) MUST_CHECK;
int native_poll(struct native *n, struct client_poll *p) MUST_CHECK;
void native_finish(struct native *n);
unsigned native_peers(const struct native *n);

#endif
