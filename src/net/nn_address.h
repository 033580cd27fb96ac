/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses that may be given to libnanomsg. It takes some silently that do nothing (port 0), and
 * ends the process on others (a long ipc path), so ours are checked before.
 */
#ifndef NET_NN_ADDRESS_H
#define NET_NN_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The form of an address. PEN_EADDRESS with the reason in text, which names the address. */
int nn_address_check(const char *address, char *text, size_t size) MUST_CHECK;

/* The path of an ipc address, within it, or NULL when it is of another transport. */
const char *nn_address_path(const char *address);

/* The address names an IPv6 address. */
bool nn_address_is_ipv6(const char *address);

/* Whether nn_bind() is going to work, as far as that can be told without it: a failed bind makes
 * libnanomsg 1.1.5 leak and use memory it has freed, and at the path of an ipc address it would
 * delete whatever is no socket. A stale socket passes, it is replaced. PEN_EBIND with the reason in
 * text. Addresses that name an interface or are inproc pass. Blocks on the file system. */
int nn_address_probe(const char *address, char *text, size_t size) MUST_CHECK;

#endif
