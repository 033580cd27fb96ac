/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol is described in sd_notify(3).
 */
#include "plat/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un manager;
static socklen_t manager_bytes; /* 0: nobody listens */
static span_t watchdog;

static void init_socket(const char *path)
{
    size_t bytes = path == NULL ? 0 : strlen(path);
    if (bytes < 2 || bytes >= sizeof manager.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    manager.sun_family = AF_UNIX;
    memcpy(manager.sun_path, path, bytes);
    if (path[0] == '@')
        manager.sun_path[0] = '\0';
    manager_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
}

static void init_watchdog(const char *usec, const char *pid)
{
    uint64_t n;
    if (usec == NULL || number_parse(usec, &n) != 0 || n == 0 || n > INT64_MAX / 1000)
        return;
    uint64_t whom;
    if (pid != NULL && (number_parse(pid, &whom) != 0 || whom != (uint64_t)getpid()))
        return; /* Meant for another process of the service. */
    watchdog.ns = (int64_t)n * 1000;
}

void notify_init(void)
{
    init_socket(getenv("NOTIFY_SOCKET"));
    init_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

bool notify_wanted(void)
{
    return manager_bytes > 0;
}

span_t notify_watchdog(void)
{
    return watchdog;
}

int notify_send(const char *format, ...)
{
    if (manager_bytes == 0)
        return 0;
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        return PEN_ETOOBIG;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent =
        sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_bytes);
    int result = sent < 0 ? -errno : 0;
    close(fd);
    return result;
}
