/* SPDX-License-Identifier: Apache-2.0
 *
 * The fork server itself. It has one thread and one poll(): for orders, for the caller's end, and for each child's
 * pidfd and life socket.
 *
 * A child that has ended is a zombie until the server has killed what is left of its group, so neither
 * the pid nor the group's number can have been given to others when they are signalled.
 *
 * The children die with the server (PR_SET_PDEATHSIG: it has one thread, so this is what it seems),
 * and the server with its caller. Signals that a terminal or a service manager sends to everybody are
 * not for the server: it ends when the caller has done with its children.
 */
#include "plat/forkserver_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/ends.h"

struct ward {
    pid_t pid;
    int fd_pid, fd_life; /* fd_life -1: the caller has let go */
};

struct server {
    int fd_control, fd_caller;
    struct ward *wards;
    struct pollfd *polled; /* control, caller, then two for each ward */
    size_t count, room;
};

enum { POLLED_FIXED = 2, POLLED_PER_WARD = 2 };

/* ---- the child ---- */

static _Noreturn void quit(const char *what)
{
    fprintf(stderr, "fork server: %s: %s\n", what, strerror(errno));
    fflush(stderr);
    _exit(FORKSERVER_NO_FORK_STATUS);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* Those that cannot be set are at their default. */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* fds: life, in, out, err, all above what they move to, or equal. */
static void place_descriptors(const int *fds, bool keep_stderr)
{
    int in = fcntl(fds[1], F_DUPFD, FORKSERVER_OUT + 1);
    int out = fcntl(fds[2], F_DUPFD, FORKSERVER_OUT + 1);
    int err = keep_stderr ? STDERR_FILENO : fcntl(fds[3], F_DUPFD, FORKSERVER_OUT + 1);
    if (in < 0 || out < 0 || err < 0)
        quit("descriptors");
    if (dup2(in, FORKSERVER_IN) < 0 || dup2(out, FORKSERVER_OUT) < 0 ||
        dup2(err, STDERR_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        quit("descriptors");
    if (close_range(FORKSERVER_OUT + 1, ~0u, 0) < 0)
        quit("close_range");
}

static char stdout_buffer[BUFSIZ];

static _Noreturn void be_child(const struct forkserver_order *order, const int *fds, pid_t server)
{
    struct forkserver_news news = { .what = FORKSERVER_PID, .pid = getpid() };
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != server)
        _exit(FORKSERVER_NO_FORK_STATUS);
    reset_signals();
    if (send(fds[FORKSERVER_LIFE], &news, sizeof news, MSG_NOSIGNAL) < 0)
        _exit(FORKSERVER_NO_FORK_STATUS); /* The caller has ended. */
    place_descriptors(fds, order->keep_stderr);
    /* With a buffer of its own, as the old one may be set up for blocks already. */
    (void)setvbuf(stdout, stdout_buffer, _IOLBF, sizeof stdout_buffer);
    proc_limit(getpid(), &order->limits);
    _exit(order->run(order->arg));
}

/* ---- wards ---- */

static int grow(struct server *s)
{
    if (s->count < s->room)
        return 0;
    size_t room = s->room == 0 ? 16 : s->room * 2;
    struct ward *wards = realloc(s->wards, room * sizeof *wards);
    if (wards == NULL)
        return -1;
    s->wards = wards;
    struct pollfd *polled =
        realloc(s->polled, (POLLED_FIXED + POLLED_PER_WARD * room) * sizeof *polled);
    if (polled == NULL)
        return -1;
    s->polled = polled;
    s->room = room;
    return 0;
}

static void tell_end(int fd_life, pid_t pid, struct proc_end end)
{
    struct forkserver_news news = { .what = FORKSERVER_END, .pid = pid, .end = end };
    (void)send(fd_life, &news, sizeof news, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* 0, or -1 with errno set. */
static int add_ward(struct server *s, const struct forkserver_order *order, const int *fds)
{
    pid_t server = getpid();
    if (grow(s) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        be_child(order, fds, server);
    if (pid < 0)
        return -1;
    (void)setpgid(pid, pid); /* Whoever of the two comes first. */
    int fd_pid = pidfd_open(pid, 0);
    if (fd_pid < 0) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return -1;
    }
    s->wards[s->count++] = (struct ward){ pid, fd_pid, fds[FORKSERVER_LIFE] };
    return 0;
}

static void end_ward(struct server *s, size_t index)
{
    struct ward *w = &s->wards[index];
    int status = 0;
    (void)kill(-w->pid, SIGKILL); /* its descendants */
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    struct proc_end end = { .signalled = WIFSIGNALED(status),
                            .code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) };
    if (w->fd_life >= 0)
        tell_end(w->fd_life, w->pid, end);
    ends_close(&w->fd_life);
    ends_close(&w->fd_pid);
    *w = s->wards[--s->count];
}

/* The caller wants it signalled, or has let go of it. */
static void obey(struct ward *w)
{
    int number;
    ssize_t n = recv(w->fd_life, &number, sizeof number, MSG_DONTWAIT);
    if (n == sizeof number) {
        (void)kill(-w->pid, number);
    } else if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
        (void)kill(-w->pid, SIGKILL);
        ends_close(&w->fd_life);
    }
}

/* ---- orders ---- */

/* How many descriptors came. */
static size_t take_descriptors(struct msghdr *message, int fds[FORKSERVER_FDS_MAX])
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t bytes = header->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(header), bytes);
    return bytes / sizeof fds[0];
}

static void take_order(struct server *s)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FORKSERVER_FDS_MAX * sizeof(int))];
    } control;
    struct forkserver_order order = { .run = NULL };
    int fds[FORKSERVER_FDS_MAX] = { -1, -1, -1, -1 };
    struct iovec iov = { .iov_base = &order, .iov_len = sizeof order };
    struct msghdr message = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.room,
                              .msg_controllen = sizeof control.room };
    ssize_t n = recvmsg(s->fd_control, &message, MSG_CMSG_CLOEXEC);
    if (n == 0 || (n < 0 && errno != EINTR))
        _exit(0); /* The caller has ended. */
    if (n < 0)
        return;
    size_t count = take_descriptors(&message, fds);
    size_t wanted = order.keep_stderr ? FORKSERVER_FDS_MIN : FORKSERVER_FDS_MAX;
    /* Descriptors are missing when there is no room for them here. */
    if (count >= wanted && add_ward(s, &order, fds) == 0)
        fds[FORKSERVER_LIFE] = -1;
    else if (fds[FORKSERVER_LIFE] >= 0)
        tell_end(fds[FORKSERVER_LIFE], 0, (struct proc_end){ false, FORKSERVER_NO_FORK_STATUS });
    for (int i = 0; i < FORKSERVER_FDS_MAX; i++)
        ends_close(&fds[i]);
}

/* ---- the server ---- */

static void ignore_signals(void)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2 };
    reset_signals();
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
}

/* Nothing that the caller had open stays open here, but standard error. */
static void let_go_of_files(struct server *s)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        quit("/dev/null");
    int low = s->fd_control < s->fd_caller ? s->fd_control : s->fd_caller;
    int high = s->fd_control < s->fd_caller ? s->fd_caller : s->fd_control;
    (void)close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0); /* EINVAL: there are none. */
    (void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    (void)close_range((unsigned)high + 1, ~0u, 0);
}

static void wait_for_something(struct server *s)
{
    s->polled[0] = (struct pollfd){ .fd = s->fd_control, .events = POLLIN };
    s->polled[1] = (struct pollfd){ .fd = s->fd_caller, .events = POLLIN };
    for (size_t i = 0; i < s->count; i++) {
        struct pollfd *at = &s->polled[POLLED_FIXED + POLLED_PER_WARD * i];
        at[0] = (struct pollfd){ .fd = s->wards[i].fd_pid, .events = POLLIN };
        at[1] = (struct pollfd){ .fd = s->wards[i].fd_life, .events = POLLIN };
    }
    if (poll(s->polled, POLLED_FIXED + POLLED_PER_WARD * s->count, -1) >= 0)
        return;
    for (size_t i = 0; i < POLLED_FIXED + POLLED_PER_WARD * s->count; i++)
        s->polled[i].revents = 0; /* EINTR */
}

/* From the last to the first, as an end moves the last into its place. */
static void serve_wards(struct server *s)
{
    for (size_t i = s->count; i > 0; i--) {
        const struct pollfd *at = &s->polled[POLLED_FIXED + POLLED_PER_WARD * (i - 1)];
        if (at[1].revents != 0)
            obey(&s->wards[i - 1]);
        if (at[0].revents != 0)
            end_ward(s, i - 1);
    }
}

_Noreturn void forkserver_main(int fd_control, int fd_caller)
{
    struct server s = { .fd_control = fd_control, .fd_caller = fd_caller };
    (void)setsid();
    (void)prctl(PR_SET_NAME, "pen-forkserver");
    ignore_signals();
    let_go_of_files(&s);
    if (grow(&s) < 0)
        quit("memory");
    for (;;) {
        wait_for_something(&s);
        if (s.polled[1].revents != 0)
            _exit(0);
        serve_wards(&s);
        if (s.polled[0].revents != 0)
            take_order(&s);
    }
}
