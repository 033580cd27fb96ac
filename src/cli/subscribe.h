/* SPDX-License-Identifier: Apache-2.0
 *
 * sub --reliable: a subscriber that gets every result once and in order (proto/reliable.h), over the native transport: a sub
 * socket for what is published and a req socket for what was missed, on one loop.
 */
#ifndef CLI_SUBSCRIBE_H
#define CLI_SUBSCRIBE_H

#include "cli/options.h"

/* Runs until the stream's end. Returns the exit code. */
int subscribe_reliably(const struct options *o);

#endif
