/* SPDX-License-Identifier: Apache-2.0
 *
 * The forms: tcp://HOST:PORT, ws://HOST:PORT[/PATH], ipc://PATH, inproc://NAME. Host names are
 * libnanomsg's to judge; what is checked is what it does not.
 *
 * Any thread.
 */
#include "net/nn_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <nanomsg/nn.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

/* NUL included; libnanomsg 1.1.5 aborts on a longer path. */
enum { PATH_MAX_BYTES = sizeof((struct sockaddr_un *)0)->sun_path };

static int refuse(const char *address, const char *reason, char *text, size_t size)
{
    snprintf(text, size, "%s: %s", address, reason);
    return PEN_EADDRESS;
}

/* What stands after the scheme, or NULL. */
static const char *after(const char *address, const char *scheme)
{
    return str_starts(address, scheme) ? address + strlen(scheme) : NULL;
}

const char *nn_address_path(const char *address)
{
    return after(address, "ipc://");
}

bool nn_address_is_ipv6(const char *address)
{
    return nn_address_path(address) == NULL && strchr(address, '[') != NULL;
}

/* HOST:PORT up to the end; the reason when it is wrong, NULL otherwise. */
static const char *host_port_wrong(const char *at, const char *end)
{
    const char *colon = memrchr(at, ':', (size_t)(end - at));
    if (colon == NULL)
        return "no port: write HOST:PORT";
    if (colon == at)
        return "no host: write * for all";
    unsigned port = 0;
    for (const char *digit = colon + 1; digit < end; digit++) {
        if (*digit < '0' || *digit > '9')
            return "the port is not a number";
        port = port * 10 + (unsigned)(*digit - '0');
        if (port > UINT16_MAX)
            return "the port is above 65535";
    }
    return port == 0 ? "the port must be 1 to 65535" : NULL;
}

static const char *path_wrong(const char *path)
{
    if (path[0] == '\0')
        return "no path";
    return strlen(path) >= PATH_MAX_BYTES ? "the path is longer than 107 bytes" : NULL;
}

static const char *address_wrong(const char *address)
{
    if (strlen(address) >= NN_SOCKADDR_MAX)
        return "longer than 127 bytes";
    const char *rest;
    if ((rest = after(address, "tcp://")) != NULL)
        return host_port_wrong(rest, rest + strlen(rest));
    if ((rest = after(address, "ws://")) != NULL)
        return host_port_wrong(rest, strchrnul(rest, '/'));
    if ((rest = nn_address_path(address)) != NULL)
        return path_wrong(rest);
    if ((rest = after(address, "inproc://")) != NULL)
        return rest[0] == '\0' ? "no name" : NULL;
    return "write tcp://HOST:PORT, ipc:///PATH, ws://HOST:PORT or inproc://NAME";
}

int nn_address_check(const char *address, char *text, size_t size)
{
    const char *reason = address_wrong(address);
    return reason == NULL ? 0 : refuse(address, reason, text, size);
}

/* ---- can it be bound ---- */

/* 0 or an errno, of a socket that is bound, or connected, only to see. */
static int try_socket(const struct sockaddr *at, socklen_t bytes,
                      int (*attach)(int, const struct sockaddr *, socklen_t))
{
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return errno;
    int error = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 || attach(fd, at, bytes) < 0)
        error = errno;
    close(fd);
    return error;
}

/* A folder that a socket can be made in. */
static int probe_folder(const char *path)
{
    char folder[PATH_MAX_BYTES];
    (void)str_copy(folder, sizeof folder, path);
    return access(dirname(folder), W_OK | X_OK) < 0 ? errno : 0;
}

static const char *probe_path(const char *path)
{
    struct stat st;
    int error = lstat(path, &st) < 0 ? errno : 0;
    if (error == ENOENT)
        error = probe_folder(path);
    else if (error == 0 && !S_ISSOCK(st.st_mode))
        return "the path exists and is not a socket";
    else if (error == 0) {
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        (void)str_copy(at.sun_path, sizeof at.sun_path, path);
        error = try_socket((struct sockaddr *)&at, sizeof at, connect);
        if (error == ECONNREFUSED) /* Stale. */
            return NULL;
        if (error == 0 || error == EAGAIN)
            error = EADDRINUSE;
    }
    return error == 0 ? NULL : strerrordesc_np(error);
}

/* host is "*" or a literal: true and the address, false for the name of an interface. */
static bool literal(const char *host, uint16_t port, struct sockaddr_storage *ret_at)
{
    struct sockaddr_storage at = { .ss_family = AF_INET };
    struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;
    v4->sin_port = v6->sin6_port = htons(port);
    if (strcmp(host, "*") != 0 && inet_pton(AF_INET, host, &v4->sin_addr) != 1) {
        char bare[INET6_ADDRSTRLEN];
        size_t bytes = strlen(host);
        if (host[0] != '[' || host[bytes - 1] != ']' || bytes - 2 >= sizeof bare)
            return false;
        memcpy(bare, host + 1, bytes - 2);
        bare[bytes - 2] = '\0';
        at.ss_family = AF_INET6;
        if (inet_pton(AF_INET6, bare, &v6->sin6_addr) != 1)
            return false;
    }
    *ret_at = at;
    return true;
}

/* at is HOST:PORT[/PATH], whose form has been checked. */
static const char *probe_port(const char *at)
{
    char host[NN_SOCKADDR_MAX];
    (void)str_copy(host, sizeof host, at);
    *strchrnul(host, '/') = '\0';
    char *colon = strrchr(host, ':');
    *colon = '\0';
    uint16_t port = 0;
    for (const char *digit = colon + 1; *digit != '\0'; digit++)
        port = (uint16_t)(port * 10 + (*digit - '0'));
    struct sockaddr_storage to;
    if (!literal(host, port, &to))
        return NULL;
    int error = try_socket((struct sockaddr *)&to, sizeof to, bind);
    return error == 0 ? NULL : strerrordesc_np(error);
}

int nn_address_probe(const char *address, char *text, size_t size)
{
    const char *rest, *reason = NULL;
    if ((rest = nn_address_path(address)) != NULL)
        reason = probe_path(rest);
    else if ((rest = after(address, "tcp://")) != NULL || (rest = after(address, "ws://")) != NULL)
        reason = probe_port(rest);
    if (reason == NULL)
        return 0;
    snprintf(text, size, "cannot listen on %s: %s", address, reason);
    return PEN_EBIND;
}
