/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether somebody listens at an address. libnanomsg connects in the background and tries for ever;
 * who asks a daemon wants to know at once that there is none.
 */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include "base/units.h"

/* Connects and closes. 0, or a negated errno value: -ENOENT or -ECONNREFUSED when nobody listens,
 * -ETIMEDOUT, -EINTR when a signal asked us to end. 0 as well for addresses that only libnanomsg
 * understands, such as ws:// or tcp://eth0;HOST:PORT. */
int probe_address(const char *url, mono_t deadline) MUST_CHECK;

#endif
