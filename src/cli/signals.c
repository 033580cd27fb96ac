/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t got;
static int event_fd = -1;

static void on_signal(int signal)
{
    int saved = errno;
    uint64_t one = 1;
    got = signal;
    if (write(event_fd, &one, sizeof one) < 0)
        errno = 0; /* the counter is full: it is readable already */
    errno = saved;
}

int signals_init(void)
{
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return -errno;
    /* Without SA_RESTART, so that a blocked read or write ends too. */
    struct sigaction on = { .sa_handler = on_signal };
    struct sigaction off = { .sa_handler = SIG_IGN };
    (void)sigemptyset(&on.sa_mask);
    (void)sigemptyset(&off.sa_mask);
    if (sigaction(SIGINT, &on, NULL) < 0 || sigaction(SIGTERM, &on, NULL) < 0 ||
        sigaction(SIGPIPE, &off, NULL) < 0)
        return -errno;
    return 0;
}

int signals_got(void)
{
    return got;
}

int signals_fd(void)
{
    return event_fd;
}
