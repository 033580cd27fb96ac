/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals as events: they are blocked in every thread and read from a signalfd on MAIN's loop. The first SIGTERM or SIGINT
 * drains, the second stops at once, the third leaves without ceremony. SIGHUP is noted and does nothing: a
 * configuration is read at the start.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "loop/io.h"
#include "obs/log.h"

struct signals {
    int fd;
    struct io io;
};

static void handled(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void signals_block(void)
{
    sigset_t set;
    handled(&set);
    check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    check(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    /* Inherited as ignored, it would make the kernel reap co-processes before we do. */
    check(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

static void on_end_signal(struct daemon *d, const char *name)
{
    d->signals_seen++;
    if (d->signals_seen == 1 && d->state == DAEMON_RUNNING) {
        daemon_drain(d, name);
    } else if (d->state != DAEMON_STOPPING) {
        daemon_stop(d, name);
    } else {
        log_error("penstockd", "%s while stopping: leaving at once", name);
        daemon_log_end(d);
        _exit(EXIT_INTERNAL);
    }
}

static void on_signals(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    struct daemon *d = arg;
    struct signalfd_siginfo info;
    while (read(io->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            log_notice("penstockd", "SIGHUP: the configuration is read at the start only");
        else
            on_end_signal(d, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

int signals_open(struct daemon *d)
{
    struct signals *s = calloc(1, sizeof *s);
    if (s == NULL)
        return PEN_ENOMEM;
    sigset_t set;
    handled(&set);
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int r = s->fd < 0 ? -errno
                      : io_open(&s->io, d->main, (struct io_watch){ s->fd, IO_READ }, on_signals, d);
    if (r < 0) {
        if (s->fd >= 0)
            close(s->fd);
        free(s);
        return r;
    }
    d->signals = s;
    return 0;
}

void signals_close(struct daemon *d)
{
    struct signals *s = d->signals;
    if (s == NULL)
        return;
    io_close(&s->io);
    close(s->fd);
    free(s);
    d->signals = NULL;
}
