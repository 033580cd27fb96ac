/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGINT and SIGTERM as something to poll for: a flag for loops that are busy, a descriptor for those
 * that wait. SIGPIPE is ignored, so that writing tells of a closed stdout.
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "base/err.h"

/* Once, before the first socket. A negated errno value. */
int signals_init(void) MUST_CHECK;

/* The signal that asked us to end, or 0. */
int signals_got(void);

/* Readable from then on; never read it. */
int signals_fd(void);

#endif
