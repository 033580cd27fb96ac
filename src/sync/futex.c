/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

void futex_reset(struct futex *f)
{
    atomic_store_explicit(&f->word, 0, memory_order_relaxed);
}

void futex_set(struct futex *f)
{
    atomic_store_explicit(&f->word, 1, memory_order_release); /* R: W1 */
}

void futex_wake(struct futex *f)
{
    /* EFAULT when the sleeper has gone and taken its stack with it: then nobody needs waking. */
    (void)syscall(SYS_futex, &f->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool futex_wait(struct futex *f, mono_t deadline)
{
    struct timespec until = { .tv_sec = deadline.ns / NS_PER_S, .tv_nsec = deadline.ns % NS_PER_S };
    while (atomic_load_explicit(&f->word, memory_order_acquire) == 0) { /* A: W1 */
        long r = syscall(SYS_futex, &f->word, FUTEX_WAIT_BITSET_PRIVATE, 0,
                         deadline.ns == PEN_NEVER.ns ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
        if (r == 0 || errno == EAGAIN || errno == EINTR)
            continue;
        check(errno == ETIMEDOUT);
        return atomic_load_explicit(&f->word, memory_order_acquire) != 0;
    }
    return true;
}
