/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment: read in this folder only, and never written.
 */
#ifndef PLAT_ENV_H
#define PLAT_ENV_H

#include <stddef.h>

#include "base/err.h"

/* The variable's value, or NULL when it is not set or empty. Any thread: nobody writes. */
const char *env_get(const char *name);

/* The environment with n more variables, "NAME=TEXT", before the others, so that they hold: for a child. A list that ends
 * with NULL, which the caller frees and whose texts are borrowed. PEN_ENOMEM. Any thread. */
int env_with(const char *const *more, size_t n, const char ***ret_env) MUST_CHECK;

#endif
