/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork server: a copy of this process from when it had one thread, which forks children on request,
 * so that functions of this program can run in processes of their own when there are threads already.
 *
 * There is at most one in a process, because it can only be made before the threads are; that makes
 * it the one thing in the library that belongs to the process and to no object.
 *
 * Its children are watched and ended by the calls of plat/proc.h.
 */
#ifndef PLAT_FORKSERVER_H
#define PLAT_FORKSERVER_H

#include "plat/proc.h"

enum { FORKSERVER_ARG_BYTES = 64 };

/* In a child: where requests come from and answers go. Standard input is /dev/null; standard output and error are
 * both standard error. */
enum { FORKSERVER_IN = 3, FORKSERVER_OUT = 4 };

struct forkserver_order {
    int (*run)(const void *arg); /* in the child; returns its exit status */
    unsigned char arg[FORKSERVER_ARG_BYTES];
    struct proc_limits limits; /* set before run() */
    bool keep_stderr;          /* share the server's, which was ours when it was started */
};

/* Fork the server, once. PEN_EBUSY: this process has more than one thread; a negated errno. */
int forkserver_start(void) MUST_CHECK;

/* Have a child forked. It may take a moment to come; when none can be forked it ends at once, with
 * status 125. PEN_ESPAWN, with errno telling why: ECHILD for no server, EMFILE and such. Any thread; does not
 * block. */
int forkserver_spawn(const struct forkserver_order *order, struct proc *ret_proc) MUST_CHECK;

/* ---- for proc.c: what its calls do for a served child ---- */

void forkserver_kill(const struct proc *p, int signal);
bool forkserver_has_ended(struct proc *p);
void forkserver_await_end(struct proc *p);

#endif
