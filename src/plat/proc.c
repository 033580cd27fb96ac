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
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "plat/ends.h"
#include "plat/forkserver.h"

/* ---- starting ---- */

/* The calls below return an errno value, as posix_spawn() does. */
static int set_actions(posix_spawn_file_actions_t *actions, const struct ends *e)
{
    int out = e->child[ENDS_OUT] >= 0 ? e->child[ENDS_OUT] : e->child[ENDS_IN];
    int r = posix_spawn_file_actions_adddup2(actions, e->child[ENDS_IN], STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    if (r == 0 && e->child[ENDS_ERR] >= 0)
        r = posix_spawn_file_actions_adddup2(actions, e->child[ENDS_ERR], STDERR_FILENO);
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
    p->fd_end = pidfd_open(p->pid, 0);
    if (p->fd_end >= 0 && ends_move_up(&p->fd_end) == 0)
        return 0;
    r = errno;
    ends_close(&p->fd_end);
    undo(p->pid);
    return r;
}

static void set_limit(pid_t pid, int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit old;
    if (soft == 0 || prlimit(pid, (__rlimit_resource_t)resource, NULL, &old) < 0)
        return;
    struct rlimit limit = { .rlim_cur = soft < old.rlim_max ? soft : old.rlim_max,
                            .rlim_max = hard < old.rlim_max ? hard : old.rlim_max };
    /* ESRCH: it has ended already; EPERM: it has taken another user's rights. */
    (void)prlimit(pid, (__rlimit_resource_t)resource, &limit, NULL);
}

void proc_limit(pid_t pid, const struct proc_limits *limits)
{
    set_limit(pid, RLIMIT_AS, limits->as_bytes, limits->as_bytes);
    /* A second between the signal that says why and the one that cannot be caught. */
    set_limit(pid, RLIMIT_CPU, limits->cpu_s, limits->cpu_s + (limits->cpu_s < UINT64_MAX));
    set_limit(pid, RLIMIT_NOFILE, limits->files, limits->files);
}

int proc_spawn(const struct proc_options *o, struct proc *ret_proc)
{
    struct ends e = ENDS_NONE;
    struct proc p = PROC_NONE;
    int r = children_stay_until_reaped() ? 0 : ECHILD;
    if (r == 0)
        r = ends_open(&e, o->stdio == PROC_SOCKET, !o->keep_stderr) < 0 ? errno : start(o, &e, &p);
    ends_close_all(e.child);
    if (r != 0) {
        ends_close_all(e.ours);
        errno = r;
        return PEN_ESPAWN;
    }
    proc_limit(p.pid, &o->limits);
    p.fd_in = e.ours[ENDS_IN];
    p.fd_out = o->stdio == PROC_SOCKET ? e.ours[ENDS_IN] : e.ours[ENDS_OUT];
    p.fd_err = e.ours[ENDS_ERR];
    *ret_proc = p;
    return 0;
}

pid_t proc_pid(struct proc *p)
{
    if (p->served && p->pid == 0)
        (void)forkserver_has_ended(p);
    return p->pid;
}

/* ---- ending ---- */

void proc_kill(const struct proc *p, int signal)
{
    if (p->served)
        forkserver_kill(p, signal);
    if (p->served || p->pid == 0)
        return;
    /* ESRCH: the group has emptied; EPERM: all that is left of it has taken another user's
     * rights. There is nothing to be done about either, and the child's end is an event anyway. */
    (void)kill(-p->pid, signal);
}

/* waitid() on the child, again when a signal cut in. True: it has ended. */
static bool wait_for(const struct proc *p, int options, siginfo_t *ret_info)
{
    int r;
    do {
        ret_info->si_pid = 0;
        r = waitid(P_PIDFD, (id_t)p->fd_end, ret_info, WEXITED | options);
    } while (r < 0 && errno == EINTR);
    check(r == 0); /* ECHILD would mean that somebody else reaped it. */
    return ret_info->si_pid != 0;
}

bool proc_has_ended(struct proc *p)
{
    siginfo_t info;
    return p->served ? forkserver_has_ended(p) : wait_for(p, WNOHANG | WNOWAIT, &info);
}

static int reap(struct proc *p, int options, struct proc_end *ret_end)
{
    siginfo_t info;
    check(p->pid != 0);
    if (!wait_for(p, options, &info))
        return -EAGAIN;
    *ret_end = (struct proc_end){ .signalled = info.si_code != CLD_EXITED, .code = info.si_status };
    return 0;
}

static int forget(struct proc *p, int reaped)
{
    if (reaped == 0) {
        ends_close(&p->fd_end);
        p->pid = 0;
    }
    return reaped;
}

int proc_reap(struct proc *p, struct proc_end *ret_end)
{
    if (!p->served)
        return forget(p, reap(p, WNOHANG, ret_end));
    if (!forkserver_has_ended(p))
        return -EAGAIN;
    *ret_end = p->end;
    return forget(p, 0);
}

void proc_wait(struct proc *p, struct proc_end *ret_end)
{
    if (p->served) {
        forkserver_await_end(p);
        check(proc_reap(p, ret_end) == 0);
    } else {
        check(forget(p, reap(p, 0, ret_end)) == 0);
    }
}

void proc_close_in(struct proc *p)
{
    if (p->fd_in >= 0 && p->fd_in == p->fd_out)
        (void)shutdown(p->fd_in, SHUT_WR); /* ENOTCONN: the child is gone, which is the end as well. */
    else
        ends_close(&p->fd_in);
}

void proc_fini(struct proc *p)
{
    check(!proc_exists(p));
    if (p->fd_in == p->fd_out)
        p->fd_in = -1;
    ends_close(&p->fd_in);
    ends_close(&p->fd_out);
    ends_close(&p->fd_err);
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
