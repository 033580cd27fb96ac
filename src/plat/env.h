/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment: read in this folder only, and never written.
 */
#ifndef PLAT_ENV_H
#define PLAT_ENV_H

/* The variable's value, or NULL when it is not set or empty. Any thread: nobody writes. */
const char *env_get(const char *name);

#endif
