/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: named, with every signal blocked, so that signals are the main thread's alone.
 */
#ifndef PLAT_THREAD_H
#define PLAT_THREAD_H

#include <stdbool.h>

#include "base/err.h"

struct thread;

/* Start a thread that runs fn(arg). name is cut to 15 bytes. A negated errno, PEN_ENOMEM. Any thread. */
int thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **ret_thread)
    MUST_CHECK;

/* Wait for its end and free it; sets to NULL, accepts NULL. Not from the thread itself. */
void thread_join(struct thread **thread);

/* Name the calling thread. */
void thread_set_name(const char *name);

/* The kernel's id of the calling thread, never 0; cheap after the first call. */
int thread_id(void);

/* The number of CPUs that the process may use, at least 1. Any thread. */
unsigned thread_cpus(void);

#endif
