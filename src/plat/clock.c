/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0)
        return 0; /* These clocks exist on every kernel that penstock runs on. */
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

mono_t clock_mono(void)
{
    return (mono_t){ read_ns(CLOCK_MONOTONIC) };
}

int64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

span_t clock_thread_cpu(void)
{
    return (span_t){ read_ns(CLOCK_THREAD_CPUTIME_ID) };
}

/* The kernel's numbering of threads' clocks: the complement of the id, and in the low bits that it is a thread's (4)
 * and what is counted, the time it was scheduled (2). It is what pthread_getcpuclockid() returns. */
span_t clock_cpu_of(int thread_id)
{
    return (span_t){ read_ns((clockid_t)(~(unsigned)thread_id << 3 | 6)) };
}

pen_mono_t pen_now(void)
{
    return clock_mono();
}

pen_mono_t pen_deadline_in(pen_span_t after)
{
    return after.ns <= 0 ? PEN_NOW : mono_after(clock_mono(), after);
}
