/* SPDX-License-Identifier: Apache-2.0
 *
 * The stack of another thread of this process, taken while it runs or blocks.
 *
 * The asking thread sends a real-time signal to the one thread; the handler there calls backtrace() into a slot that
 * is there already and writes its number to a pipe. Nothing on the thread that is looked at allocates, locks or logs; names
 * are looked up by the asking thread.
 *
 * One thread asks at a time. The thread that is looked at must have permitted it, because threads of ours block
 * all signals (plat/thread.h); a system call that it blocks in may fail with EINTR where the kernel does not restart it.
 */
#ifndef PLAT_STACK_H
#define PLAT_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/units.h"

enum { STACK_FRAMES_MAX = 64 };

struct stack {
    void *frames[STACK_FRAMES_MAX]; /* innermost first */
    int count;
};

/* Install the handler and let backtrace() load what it needs; it stays for the life of the process, since a signal may be
 * under way. PEN_EBUSY when the signal (SIGRTMAX - 2) has another handler; a negated errno. Again: 0. */
int stack_init(void) MUST_CHECK;

/* Whether the calling thread may be looked at; returns what was before. */
bool stack_permit(bool permit);

/* PEN_ETIMEOUT: the thread did not answer until the deadline; PEN_ELIMIT: too many have not answered yet;
 * PEN_ENOENT: there is no such thread; a negated errno. Blocks. */
int stack_take(int thread_id, mono_t deadline, struct stack *ret_stack) MUST_CHECK;

/* One frame a line: "function+0x1c (program)", or "program+0x1234" where no symbol is known; PEN_ENOMEM, PEN_ETOOBIG. */
int stack_format(const struct stack *stack, struct buf *text) MUST_CHECK;

#endif
