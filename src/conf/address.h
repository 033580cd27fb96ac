/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint addresses: tcp://HOST:PORT, ws://HOST:PORT, ipc:///PATH, inproc://NAME.
 *
 * Main thread at boot: looks at the file system.
 */
#ifndef CONF_ADDRESS_H
#define CONF_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    ADDRESS_BYTES_MAX = 127, /* nanomsg's bound, without the NUL */
    ADDRESS_REASON_BYTES = 256,
};

enum address_space { ADDRESS_PORT, ADDRESS_PATH, ADDRESS_INPROC };

/* What two listeners must not share, in a form that can be compared. */
struct address {
    enum address_space space; /* tcp and ws share the ports */
    uint16_t port;
    bool any;                         /* every address of the host */
    char name[ADDRESS_BYTES_MAX + 1]; /* host, path or name */
};

/* Understand an address that is to be listened on, or connected to. PEN_EADDRESS with the reason, a text of at
 * most ADDRESS_REASON_BYTES. */
int address_parse(const char *text, bool listen, struct address *ret_address, char *reason)
    MUST_CHECK;

/* Whether only one of the two can be listened on. */
bool address_clash(const struct address *a, const struct address *b);

/* An order in which addresses that clash stand next to each other, the ones for every address of the host first
 * among those of their port. */
int address_order(const struct address *a, const struct address *b);

#endif
