/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process and its fork server say to each other, over sockets that keep messages apart. Both
 * are the same program in memory, so structs go as they are, and pointers to functions are good.
 *
 *   control socket   to the server: a struct forkserver_order, with the child's ends in SCM_RIGHTS:
 *                    life socket, in, out, and unless keep_stderr, err
 *   life socket,     from the child: FORKSERVER_PID, before anything else it does;
 *   one per child    from the server: FORKSERVER_END when it was reaped, the last message;
 *                    to the server: an int, the signal to send to the child's group;
 *                    its end: to the server, kill the child; from the server, the server has ended
 */
#ifndef PLAT_FORKSERVER_WIRE_H
#define PLAT_FORKSERVER_WIRE_H

#include "plat/forkserver.h"

enum { FORKSERVER_LIFE, FORKSERVER_FDS_MIN = 3, FORKSERVER_FDS_MAX };

enum { FORKSERVER_NO_FORK_STATUS = 125 };

struct forkserver_news {
    enum { FORKSERVER_PID, FORKSERVER_END } what;
    pid_t pid;
    struct proc_end end;
};

/* The server: serves until the control socket's other side, or the process fd_caller stands for, has ended. */
_Noreturn void forkserver_main(int fd_control, int fd_caller);

#endif
