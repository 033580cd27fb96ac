/* SPDX-License-Identifier: Apache-2.0
 *
 * The three standard descriptors. Before the first thread and before anything is opened.
 */
#ifndef PLAT_STDIO_H
#define PLAT_STDIO_H

#include "base/err.h"

/* Open /dev/null wherever one of the three is closed: it would be given to the first file or socket that is opened,
 * which whoever writes to the log or reads standard input would then meet. A negated errno. */
int stdio_fill(void) MUST_CHECK;

#endif
