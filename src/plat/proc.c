/* SPDX-License-Identifier: Apache-2.0
 *
 * Between fork() and exec() in a program with threads only async-signal-safe calls are allowed, and
 * a plain fork() copies the page tables of a large process for nothing. posix_spawn() of glibc does
 * what is right (CLONE_VM | CLONE_VFORK on a stack of its own, errors of exec reported to the
 * caller), so it is used as it is; closefrom makes it certain that no descriptor another thread
 * opened without close-on-exec leaks.
 *
 * From the child's end until it is reaped its pid is a zombie's and cannot be given to another
 * process, so signals to the group are safe exactly until proc_reap(). That is why pid is 0 from
 * then on.
 *
 * The parent's death is not signalled (PR_SET_PDEATHSIG follows the thread that forked, not the
 * process): a child learns of it by the end of its input.
 */
#include "plat/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

/* Both sides of the standard descriptors while a child is being started. */
struct ends {
    int child[3], ours[3];
};

enum { IN, OUT, ERR };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- descriptors ---- */

/* Above 2, so that putting one into its place in the child cannot overwrite another, and none of
 * ours stands where others write to; that may only happen to a process that was started with a
 * standard descriptor closed. */
static int move_up(int *fd)
{
    if (*fd > STDERR_FILENO)
        return 0;
    int up = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (up < 0)
        return -1;
    close(*fd);
    *fd = up;
    return 0;
}

static int set_up_pair(int *child, int *ours)
{
    if (move_up(child) < 0 || move_up(ours) < 0)
        return -1;
    int flags = fcntl(*ours, F_GETFL);
    return flags < 0 ? -1 : fcntl(*ours, F_SETFL, flags | O_NONBLOCK);
}

static int open_pipe(struct ends *e, int which)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    e->child[which] = fds[which == IN ? 0 : 1];
    e->ours[which] = fds[which == IN ? 1 : 0];
    return set_up_pair(&e->child[which], &e->ours[which]);
}

static int open_socket(struct ends *e)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    e->child[IN] = fds[0];
    e->ours[IN] = fds[1];
    return set_up_pair(&e->child[IN], &e->ours[IN]);
}

static int open_ends(struct ends *e, const struct proc_options *o)
{
    if (o->stdio == PROC_SOCKET ? open_socket(e) < 0 : open_pipe(e, IN) < 0 || open_pipe(e, OUT) < 0)
        return -1;
    return o->keep_stderr ? 0 : open_pipe(e, ERR);
}

static void close_ends(int fds[3])
{
    for (int i = IN; i <= ERR; i++)
        close_fd(&fds[i]);
}

/* ---- starting ---- */

/* The calls below return an errno value, as posix_spawn() does. */
static int set_actions(posix_spawn_file_actions_t *actions, const struct ends *e)
{
    int out = e->child[OUT] >= 0 ? e->child[OUT] : e->child[IN];
    int r = posix_spawn_file_actions_adddup2(actions, e->child[IN], STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    if (r == 0 && e->child[ERR] >= 0)
        r = posix_spawn_file_actions_adddup2(actions, e->child[ERR], STDERR_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    return r;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETPGROUP);
    return r;
}

static int run(const struct proc_options *o, const struct ends *e, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return r;
    }
    r = set_actions(&actions, e);
    if (r == 0)
        r = set_attributes(&attributes);
    /* argv and env are char *const[] in POSIX for history's sake only; nothing is written to. */
    if (r == 0)
        r = posix_spawnp(ret_pid, o->argv[0], &actions, &attributes, (char *const *)o->argv,
                         (char *const *)(o->env != NULL ? o->env : (const char *const *)environ));
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* A child that cannot be watched must not be left running. */
static void undo(pid_t pid)
{
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* With SIGCHLD ignored, as a parent of ours may have left it, the kernel reaps children by
 * itself: their ends would be lost, and their pids given to others while we still signal them. */
static bool children_stay_until_reaped(void)
{
    struct sigaction action;
    check(sigaction(SIGCHLD, NULL, &action) == 0);
    return action.sa_handler != SIG_IGN && (action.sa_flags & SA_NOCLDWAIT) == 0;
}

static int start(const struct proc_options *o, const struct ends *e, struct proc *p)
{
    int r = run(o, e, &p->pid);
    if (r != 0)
        return r;
    p->fd_pid = pidfd_open(p->pid, 0);
    if (p->fd_pid >= 0 && move_up(&p->fd_pid) == 0)
        return 0;
    r = errno;
    close_fd(&p->fd_pid);
    undo(p->pid);
    return r;
}

int proc_spawn(const struct proc_options *o, struct proc *ret_proc)
{
    struct ends e = { { -1, -1, -1 }, { -1, -1, -1 } };
    struct proc p = PROC_NONE;
    int r = children_stay_until_reaped() ? 0 : ECHILD;
    if (r == 0)
        r = open_ends(&e, o) < 0 ? errno : start(o, &e, &p);
    close_ends(e.child);
    if (r != 0) {
        close_ends(e.ours);
        errno = r;
        return PEN_ESPAWN;
    }
    p.fd_in = e.ours[IN];
    p.fd_out = o->stdio == PROC_SOCKET ? e.ours[IN] : e.ours[OUT];
    p.fd_err = e.ours[ERR];
    *ret_proc = p;
    return 0;
}

/* ---- ending ---- */

void proc_kill(const struct proc *p, int signal)
{
    if (p->pid == 0)
        return;
    /* ESRCH: the group has emptied; EPERM: all that is left of it has taken another user's
     * rights. There is nothing to be done about either, and the child's end is an event anyway. */
    (void)kill(-p->pid, signal);
}

static int reap(struct proc *p, int options, struct proc_end *ret_end)
{
    siginfo_t info = { .si_pid = 0 };
    int r;
    check(p->pid != 0);
    do
        r = waitid(P_PIDFD, (id_t)p->fd_pid, &info, WEXITED | options);
    while (r < 0 && errno == EINTR);
    check(r == 0); /* ECHILD would mean that somebody else reaped it. */
    if (info.si_pid == 0)
        return -EAGAIN;
    *ret_end = (struct proc_end){ .signalled = info.si_code != CLD_EXITED, .code = info.si_status };
    close_fd(&p->fd_pid);
    p->pid = 0;
    return 0;
}

int proc_reap(struct proc *p, struct proc_end *ret_end)
{
    return reap(p, WNOHANG, ret_end);
}

void proc_wait(struct proc *p, struct proc_end *ret_end)
{
    check(reap(p, 0, ret_end) == 0);
}

void proc_close_in(struct proc *p)
{
    if (p->fd_in >= 0 && p->fd_in == p->fd_out)
        (void)shutdown(p->fd_in, SHUT_WR); /* ENOTCONN: the child is gone, which is the end as well. */
    else
        close_fd(&p->fd_in);
}

void proc_fini(struct proc *p)
{
    check(p->pid == 0);
    if (p->fd_in == p->fd_out)
        p->fd_in = -1;
    close_fd(&p->fd_in);
    close_fd(&p->fd_out);
    close_fd(&p->fd_err);
}

char *proc_end_text(struct proc_end end, char text[PROC_END_TEXT_BYTES])
{
    const char *name = end.signalled ? sigdescr_np(end.code) : NULL;
    if (end.signalled)
        (void)snprintf(text, PROC_END_TEXT_BYTES, "killed by signal %d (%s)", end.code,
                       name != NULL ? name : "real-time");
    else
        (void)snprintf(text, PROC_END_TEXT_BYTES, "exited with status %d", end.code);
    return text;
}
