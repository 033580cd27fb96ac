/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLAT_FDLIMIT_H
#define PLAT_FDLIMIT_H

#include <stdint.h>

/* How many descriptors the process may have open (ulimit -n); UINT64_MAX: any number. */
uint64_t fdlimit_get(void);

#endif
