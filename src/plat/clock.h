/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks of the operating system; the only place that reads them.
 */
#ifndef PLAT_CLOCK_H
#define PLAT_CLOCK_H

#include "base/units.h"

/* CLOCK_MONOTONIC. Any thread. */
mono_t clock_mono(void);

/* Nanoseconds since 1970, for people and files only. Any thread. */
int64_t clock_wall_ns(void);

/* CPU time used by the calling thread. */
span_t clock_thread_cpu(void);

/* The same of another thread of this process; 0 when there is no such thread. Any thread. */
span_t clock_cpu_of(int thread_id);

#endif
