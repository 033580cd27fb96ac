/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker process that runs a function of this program, as a child of the fork server. It speaks
 * frames; an answer begins with the function's outcome:
 *
 *   offset 0   4 bytes, big-endian: 0, or -error
 *   offset 4   the answer, empty after an error
 */
#ifndef TASK_WORKER_FN_H
#define TASK_WORKER_FN_H

#include <stdint.h>

#include "base/err.h"
#include "plat/proc.h"

enum { WORKER_FN_STATUS_BYTES = 4 };

struct crew_options;

/* PEN_ESPAWN, with errno telling why. Any thread. */
int worker_fn_spawn(const struct crew_options *options, struct proc *ret_proc) MUST_CHECK;

/* The outcome an answer begins with: 0 or a negative error. PEN_EMALFORMED for what a function that wrote where it
 * should not may have left. */
int worker_fn_outcome(const uint8_t *answer, size_t bytes) MUST_CHECK;

#endif
