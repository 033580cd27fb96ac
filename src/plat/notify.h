/* SPDX-License-Identifier: Apache-2.0
 *
 * What a service tells its manager (sd_notify's protocol) without libsystemd: one datagram to
 * $NOTIFY_SOCKET, abstract sockets ("@...") too.
 */
#ifndef PLAT_NOTIFY_H
#define PLAT_NOTIFY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/units.h"

/* Read $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID and take them out of the environment, so that children
 * do not speak for us. Before the first thread. */
void notify_init(void);

/* Someone listens. */
bool notify_wanted(void);

/* How often WATCHDOG=1 is expected; 0: never. */
span_t notify_watchdog(void);

/* Send "READY=1\nSTATUS=..." Not longer than 2,000 bytes. Does nothing without a listener; a negated errno. Any
 * thread; does not block. */
int notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
