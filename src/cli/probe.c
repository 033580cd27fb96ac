/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <penstock/time.h>

#include "base/str.h"
#include "cli/signals.h"

static int wait_connected(int fd, mono_t deadline)
{
    struct pollfd fds[] = { { .fd = fd, .events = POLLOUT },
                            { .fd = signals_fd(), .events = POLLIN } };
    do {
        int64_t ns = mono_since(deadline, pen_now()).ns;
        struct timespec left = { .tv_sec = ns > 0 ? ns / NS_PER_S : 0,
                                 .tv_nsec = ns > 0 ? ns % NS_PER_S : 0 };
        if (ppoll(fds, 2, &left, NULL) < 0 && errno != EINTR)
            return -errno;
        if (signals_got() != 0)
            return -EINTR;
        if (fds[0].revents != 0) {
            int error = 0;
            socklen_t size = sizeof error;
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
        }
    } while (mono_before(pen_now(), deadline));
    return -ETIMEDOUT;
}

static int probe(const struct sockaddr *address, socklen_t size, mono_t deadline)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, address, size) < 0 ? -errno : 0;
    if (r == -EINPROGRESS)
        r = wait_connected(fd, deadline);
    if (r == -EAGAIN) /* a local socket whose backlog is full: somebody listens */
        r = 0;
    (void)close(fd);
    return r;
}

static int probe_ipc(const char *path, mono_t deadline)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (!str_copy(address.sun_path, sizeof address.sun_path, path))
        return -ENAMETOOLONG;
    return probe((const struct sockaddr *)&address, sizeof address, deadline);
}

/* "HOST:PORT", "[::1]:PORT"; what is more than that is left to libnanomsg. */
static int probe_tcp(const char *text, mono_t deadline)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(text, ';') != NULL || (size_t)(colon - text) >= sizeof host)
        return 0;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    size_t bytes = strlen(host);
    const char *name = host;
    if (bytes > 2 && host[0] == '[' && host[bytes - 1] == ']') {
        host[bytes - 1] = '\0';
        name = host + 1;
    }
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
    if (getaddrinfo(name, colon + 1, &hints, &list) != 0)
        return -EHOSTUNREACH;
    int r = probe(list->ai_addr, list->ai_addrlen, deadline);
    freeaddrinfo(list);
    return r;
}

int probe_address(const char *url, mono_t deadline)
{
    if (str_starts(url, "ipc://"))
        return probe_ipc(url + strlen("ipc://"), deadline);
    if (str_starts(url, "tcp://"))
        return probe_tcp(url + strlen("tcp://"), deadline);
    return 0;
}
