/* SPDX-License-Identifier: Apache-2.0
 *
 * Randomness from the system.
 */
#ifndef PLAT_RAND_H
#define PLAT_RAND_H

#include <stdint.h>

#include "base/err.h"

/* A random number, not 0, for what must not be mistaken for another of its kind, also after a restart. A negated errno. Any
 * thread; blocks only where the system has just been started. */
int rand_id(uint64_t *ret_id) MUST_CHECK;

#endif
