/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's side of the fork server.
 *
 * The server is forked twice over, so that it is no child of ours: a program that waits for all its
 * children must not wait for one it does not know of. It learns of our end by our pidfd (the end of
 * the control socket would do, had not others forked from us a copy of it) and PR_SET_PDEATHSIG is of no
 * use, as that follows the thread that forked.
 *
 * A child has pipes for requests and answers, made here and passed on, so a spawn is one message and waits
 * for nothing; and pipes, not sockets, because only of a pipe can be told exactly how much was read.
 * Its life socket stands for the process: the server signals, reaps and reports through it, which is free of
 * races with pids that are given to others.
 */
#include "plat/forkserver.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "plat/ends.h"
#include "plat/forkserver_wire.h"

/* fixed once there are threads */
static int server_fd = -1;

/* ---- starting ---- */

static int count_threads(void)
{
#ifdef __SANITIZE_THREAD__
    int count = -1; /* The sanitizer has one of its own. */
#else
    int count = 0;
#endif
    DIR *dir = opendir("/proc/self/task");
    if (dir == NULL)
        return -errno;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* In the first child, which is there for the second to have no parent. */
static _Noreturn void fork_again(int fd_control, int fd_caller)
{
    pid_t pid = fork();
    if (pid == 0)
        forkserver_main(fd_control, fd_caller);
    _exit(pid < 0 ? errno : 0);
}

/* 0 or a negated errno, which came as the exit status. With SIGCHLD ignored nobody tells; then a
 * server that is not there shows at the first spawn. */
static int await_first(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EAGAIN;
}

static int fork_server(int fds[2])
{
    int fd_caller = pidfd_open(getpid(), 0);
    if (fd_caller < 0 || ends_move_up(&fd_caller) < 0) {
        int r = -errno;
        ends_close(&fd_caller);
        return r;
    }
    fflush(NULL); /* What is in stdio's buffers would be written by every child. */
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        fork_again(fds[1], fd_caller);
    }
    int r = pid < 0 ? -errno : await_first(pid);
    close(fd_caller);
    return r;
}

int forkserver_start(void)
{
    int fds[2], threads = count_threads();
    if (server_fd >= 0)
        return 0;
    if (threads != 1)
        return threads < 0 ? threads : PEN_EBUSY;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int r = ends_move_up(&fds[0]) < 0 || ends_move_up(&fds[1]) < 0 ? -errno : fork_server(fds);
    ends_close(&fds[1]);
    if (r < 0)
        ends_close(&fds[0]);
    else
        server_fd = fds[0];
    return r;
}

/* ---- spawning ---- */

/* 0, or -1 with errno set. */
static int send_order(const struct forkserver_order *order, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FORKSERVER_FDS_MAX * sizeof(int))];
    } control = { .room = { 0 } };
    /* iov_base is not const only because recvmsg() shares the type. */
    struct iovec iov = { .iov_base = (void *)(uintptr_t)order, .iov_len = sizeof *order };
    struct msghdr message = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.room,
                              .msg_controllen = CMSG_SPACE(count * sizeof *fds) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
    ssize_t n;
    do
        n = sendmsg(server_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

static int open_and_send(const struct forkserver_order *order, struct ends *e, int life[2])
{
    if (server_fd < 0) {
        errno = ECHILD;
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, life) < 0 ||
        ends_move_up(&life[0]) < 0 || ends_open(e, false, !order->keep_stderr) < 0)
        return -1;
    const int fds[FORKSERVER_FDS_MAX] = { life[1], e->child[ENDS_IN], e->child[ENDS_OUT],
                                          e->child[ENDS_ERR] };
    return send_order(order, fds, order->keep_stderr ? FORKSERVER_FDS_MIN : FORKSERVER_FDS_MAX);
}

int forkserver_spawn(const struct forkserver_order *order, struct proc *ret_proc)
{
    struct ends e = ENDS_NONE;
    int life[2] = { -1, -1 };
    int r = open_and_send(order, &e, life) < 0 ? errno : 0;
    ends_close(&life[1]);
    ends_close_all(e.child);
    if (r != 0) {
        ends_close(&life[0]);
        ends_close_all(e.ours);
        errno = r;
        return PEN_ESPAWN;
    }
    *ret_proc = (struct proc){ .served = true,
                               .fd_end = life[0],
                               .fd_in = e.ours[ENDS_IN],
                               .fd_out = e.ours[ENDS_OUT],
                               .fd_err = e.ours[ENDS_ERR] };
    return 0;
}

/* ---- a served child ---- */

void forkserver_kill(const struct proc *p, int signal)
{
    if (!proc_exists(p) || p->ended)
        return;
    /* Full it cannot be, as only three signals are ever sent; EPIPE: the child was reaped. */
    (void)send(p->fd_end, &signal, sizeof signal, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void take_news(struct proc *p, const struct forkserver_news *news)
{
    if (news->what == FORKSERVER_PID) {
        p->pid = news->pid;
    } else {
        p->ended = true;
        p->end = news->end;
    }
}

bool forkserver_has_ended(struct proc *p)
{
    while (!p->ended && proc_exists(p)) {
        struct forkserver_news news;
        ssize_t n = recv(p->fd_end, &news, sizeof news, MSG_DONTWAIT);
        if (n == sizeof news)
            take_news(p, &news);
        else if (n < 0 && errno == EAGAIN)
            return false;
        else if (n >= 0 || errno != EINTR) /* The server has ended, and its children with it. */
            take_news(p, &(struct forkserver_news){ FORKSERVER_END, 0, { true, SIGKILL } });
    }
    return p->ended;
}

void forkserver_await_end(struct proc *p)
{
    struct pollfd waited = { .fd = p->fd_end, .events = POLLIN };
    while (!forkserver_has_ended(p))
        (void)poll(&waited, 1, -1);
}
