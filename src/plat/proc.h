/* SPDX-License-Identifier: Apache-2.0
 *
 * Child processes, started safely from a program with threads and watched without SIGCHLD.
 *
 * The end of a child is an event on fd_end: it becomes readable, proc_reap() tells how it ended.
 * A child leads a process group of its own, which proc_kill() kills whole.
 *
 * A child may also be the fork server's (plat/forkserver.h), which is its parent then: fd_end is a
 * socket to the server, and all calls below do the same for it.
 *
 * Any thread; one thread at a time for one child. Nothing blocks but proc_spawn(), until the new
 * program runs, and proc_wait(). SIGCHLD must not be ignored by the process (proc_spawn() refuses),
 * and SIGPIPE must be ignored, or blocked in the threads that write to children.
 */
#ifndef PLAT_PROC_H
#define PLAT_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum proc_stdio {
    PROC_PIPES,  /* a pipe into its standard input, one out of its standard output */
    PROC_SOCKET, /* one stream socket that is both; fd_in and fd_out are then equal */
};

/* What a process may use, as soft limits that are not above what they were; 0: as inherited. */
struct proc_limits {
    uint64_t as_bytes, cpu_s, files; /* address space, time on the CPU, highest descriptor + 1 */
};

struct proc_options {
    const char *const *argv; /* ends with NULL; a program without a slash is looked up in $PATH */
    const char *const *env;  /* ends with NULL; NULL: our own */
    enum proc_stdio stdio;
    bool keep_stderr; /* share our standard error; otherwise fd_err is a pipe out of it */
    /* Set when the program already runs, but before it can have been asked anything. */
    struct proc_limits limits;
};

/* How a child ended. */
struct proc_end {
    bool signalled; /* code is a signal's number, otherwise the exit status */
    int code;
};

/* The descriptors are ours, non-blocking, close-on-exec; -1: closed. */
struct proc {
    pid_t pid;   /* 0: there is none, it was reaped, or a served one has not told yet: proc_pid() */
    bool served; /* by the fork server */
    int fd_end;  /* -1: it was reaped, or there is none */
    int fd_in, fd_out, fd_err;
    bool ended; /* served: the server has told how */
    struct proc_end end;
};

/* A child that does not exist, for every call below. */
#define PROC_NONE ((struct proc){ .fd_end = -1, .fd_in = -1, .fd_out = -1, .fd_err = -1 })

/* It was started and not reaped. */
static inline bool proc_exists(const struct proc *p)
{
    return p->fd_end >= 0;
}

/* Its pid; known at once, but of a served one only from its first output on; 0 before and when it was reaped. */
pid_t proc_pid(struct proc *p);

/* Start a program with signals unblocked and at their defaults, no descriptor but 0, 1 and 2, in
 * a group of its own. PEN_ESPAWN, with errno telling why: ENOENT or EACCES for the program,
 * EMFILE, EAGAIN and such for what the system refused, ECHILD when SIGCHLD is ignored. */
int proc_spawn(const struct proc_options *options, struct proc *ret_proc) MUST_CHECK;

/* Send a signal to the child's whole group; also when the child itself has ended but was not
 * reaped. No effect once it was. */
void proc_kill(const struct proc *p, int signal);

/* Set the limits of a process, as far as they may be set. */
void proc_limit(pid_t pid, const struct proc_limits *limits);

/* It has ended, and proc_reap() will return 0. */
bool proc_has_ended(struct proc *p);

/* Collect a child that has ended: 0, pid is 0 and fd_end closed from then on. -EAGAIN while it
 * runs. The other descriptors stay open for what is left to read. */
int proc_reap(struct proc *p, struct proc_end *ret_end) MUST_CHECK;

/* The same, but blocks until the child ends: only for one that was killed. */
void proc_wait(struct proc *p, struct proc_end *ret_end);

/* No more input for the child: it reads end-of-file. Idempotent. */
void proc_close_in(struct proc *p);

/* Close all descriptors. The child must have been reaped, or never been. */
void proc_fini(struct proc *p);

/* "killed by signal 9 (Killed)" or "exited with status 3". Returns text. */
enum { PROC_END_TEXT_BYTES = 96 };
char *proc_end_text(struct proc_end end, char text[PROC_END_TEXT_BYTES]);

#endif
