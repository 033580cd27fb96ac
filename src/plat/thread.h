/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: named, with every signal blocked, so that signals are the main thread's alone.
 */
#ifndef PLAT_THREAD_H
#define PLAT_THREAD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/units.h"

struct thread;

/* Start a thread that runs fn(arg). name is cut to 15 bytes. A negated errno, PEN_ENOMEM. Any thread. */
int thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **ret_thread)
    MUST_CHECK;

/* The same on one CPU; -1: on any that the caller may use. -EINVAL when the CPU is none that the process may use. */
int thread_start_on(int cpu, const char *name, void (*fn)(void *arg), void *arg,
                    struct thread **ret_thread) MUST_CHECK;

/* Wait for its end and free it; sets to NULL, accepts NULL. Not from the thread itself. */
void thread_join(struct thread **thread);

/* Name the calling thread. */
void thread_set_name(const char *name);

/* The kernel's id of the calling thread, never 0; cheap after the first call. */
int thread_id(void);

/* Block SIGPIPE in the calling thread, for good: a write to what nobody reads is an error, and no death. */
void thread_block_sigpipe(void);

/* Let timers of the calling thread, and of those it starts from now on, fire when they are due: the kernel may be up to
 * 50 us late otherwise, to save energy. */
void thread_exact_timers(void);

/* How many CPUs the calling thread may use, at least 1; and the i-th of them, counted round. */
unsigned thread_cpus(void);
int thread_cpu_at(unsigned i);

/* What a thread of this process has used since its start. */
struct thread_usage {
    span_t cpu;    /* on a CPU */
    span_t waited; /* ready to run, for a CPU; 0 where the kernel does not tell */
    bool ready; /* now on a CPU or ready for one, not blocked; false where the kernel does not tell */
};

/* PEN_ENOENT: there is no such thread. Any thread; reads /proc. */
int thread_usage(int thread_id, struct thread_usage *ret_usage) MUST_CHECK;

#endif
