/* SPDX-License-Identifier: Apache-2.0
 *
 * What standard error is, which decides how the log is written. Before the first thread.
 */
#ifndef PLAT_STDERR_H
#define PLAT_STDERR_H

#include <stdbool.h>

/* systemd has connected it with the journal. */
bool stderr_is_journal(void);

/* A terminal that shows colours, to somebody who has not set $NO_COLOR. */
bool stderr_has_colours(void);

#endif
