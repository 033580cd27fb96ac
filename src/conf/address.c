/* SPDX-License-Identifier: Apache-2.0
 *
 * libnanomsg unlinks whatever file stands at an ipc path when it listens there, and aborts the process
 * when the path is too long for a socket; so both are refused here, before it sees them.
 */
#include "conf/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/str.h"
#include "base/units.h"

enum { PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

#define FORMS "write tcp://HOST:PORT, ipc:///PATH, ws://HOST:PORT or inproc://NAME"

#define REFUSE(reason, ...) \
    ((void)snprintf(reason, ADDRESS_REASON_BYTES, __VA_ARGS__), PEN_EADDRESS)

static int port_parse(const char *text, size_t bytes, uint16_t *ret_port, char *reason)
{
    char digits[ADDRESS_BYTES_MAX + 1];
    uint64_t port;
    memcpy(digits, text, bytes);
    digits[bytes] = '\0';
    if (number_parse(digits, &port) < 0 || port > UINT16_MAX)
        return REFUSE(reason, "port \"%s\" must be a number from 1 to 65535", digits);
    if (port == 0)
        return REFUSE(reason, "port 0 would be a new one at every start, which no client can know; "
                              "write one from 1 to 65535");
    *ret_port = (uint16_t)port;
    return 0;
}

static int host_check(const char *host, bool listen, char *reason)
{
    if (host[0] == '\0')
        return REFUSE(reason, "the host is missing%s", listen ? "; * is every address" : "");
    if (!listen && str_equal(host, "*"))
        return REFUSE(reason, "* is nothing to connect to; write a host");
    size_t good = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    bool bracketed = host[0] == '[' && host[strspn(host, "[0123456789abcdefABCDEF:.")] == ']' &&
                     host[strlen(host) - 1] == ']';
    if (host[good] == '\0' || bracketed || str_equal(host, "*"))
        return 0;
    if (strchr(host, ':') != NULL && host[0] != '[')
        return REFUSE(reason, "an IPv6 address stands in brackets: [%s]", host);
    return REFUSE(reason, "\"%s\" is no host", host);
}

/* Different spellings of one place to listen. */
static void host_canonical(struct address *a)
{
    static const char *const any[] = { "*", "0.0.0.0", "[::]" };
    static const char *const local[] = { "localhost", "lo" };
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++)
        a->any = a->any || str_equal(a->name, any[i]);
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (str_equal(a->name, local[i]))
            (void)str_copy(a->name, sizeof a->name, "127.0.0.1");
    if (a->any)
        a->name[0] = '\0';
}

/* HOST:PORT, and for ws perhaps a path behind it. */
static int host_port_parse(const char *text, bool listen, bool path_allowed, struct address *a,
                           char *reason)
{
    size_t bytes = path_allowed ? strcspn(text, "/") : strlen(text);
    const char *colon = memrchr(text, ':', bytes);
    const char *bracket = memrchr(text, ']', bytes);
    if (colon == NULL || (bracket != NULL && bracket > colon))
        return REFUSE(reason, "the port is missing: write HOST:PORT");
    size_t host_bytes = (size_t)(colon - text);
    a->space = ADDRESS_PORT;
    memcpy(a->name, text, host_bytes);
    a->name[host_bytes] = '\0';
    int r = host_check(a->name, listen, reason);
    if (r == 0)
        r = port_parse(colon + 1, bytes - host_bytes - 1, &a->port, reason);
    host_canonical(a);
    return r;
}

/* Without doubled slashes and "/./", so that two spellings of one path are equal. */
static void path_canonical(const char *path, char *to)
{
    size_t n = 0;
    while (*path != '\0') {
        bool slash = n > 0 && to[n - 1] == '/';
        if (slash && path[0] == '/')
            path++;
        else if ((slash || n == 0) && path[0] == '.' && path[1] == '/')
            path += 2;
        else
            to[n++] = *path++;
    }
    to[n] = '\0';
}

static int path_parse(const char *path, struct address *a, char *reason)
{
    size_t bytes = strlen(path);
    struct stat st;
    if (bytes == 0)
        return REFUSE(reason, "the path is missing: write ipc:///PATH");
    if (bytes > PATH_BYTES_MAX)
        return REFUSE(reason, "the path is %zu bytes long; a socket's can have %d", bytes,
                      PATH_BYTES_MAX);
    if (path[bytes - 1] == '/')
        return REFUSE(reason, "the path is that of a folder");
    if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return REFUSE(reason, "%s is there already and is no socket", path);
    a->space = ADDRESS_PATH;
    path_canonical(path, a->name);
    return 0;
}

static int inproc_parse(const char *name, struct address *a, char *reason)
{
    if (name[0] == '\0')
        return REFUSE(reason, "the name is missing: write inproc://NAME");
    a->space = ADDRESS_INPROC;
    (void)str_copy(a->name, sizeof a->name, name);
    return 0;
}

int address_parse(const char *text, bool listen, struct address *ret_address, char *reason)
{
    struct address a = { 0 };
    int r;
    if (strlen(text) > ADDRESS_BYTES_MAX)
        return REFUSE(reason, "an address can have at most %d bytes", ADDRESS_BYTES_MAX);
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return REFUSE(reason, "an address has no blanks: %s", FORMS);
    if (str_starts(text, "tcp://"))
        r = host_port_parse(text + 6, listen, false, &a, reason);
    else if (str_starts(text, "ws://"))
        r = host_port_parse(text + 5, listen, true, &a, reason);
    else if (str_starts(text, "ipc://"))
        r = path_parse(text + 6, &a, reason);
    else if (str_starts(text, "inproc://"))
        r = inproc_parse(text + 9, &a, reason);
    else
        r = REFUSE(reason, "\"%s\" is no address: %s", text, FORMS);
    if (r == 0)
        *ret_address = a;
    return r;
}

bool address_clash(const struct address *a, const struct address *b)
{
    if (a->space != b->space || a->port != b->port)
        return false;
    return a->any || b->any || str_equal(a->name, b->name);
}

int address_order(const struct address *a, const struct address *b)
{
    if (a->space != b->space)
        return a->space < b->space ? -1 : 1;
    if (a->port != b->port)
        return a->port < b->port ? -1 : 1;
    if (a->any != b->any)
        return a->any ? -1 : 1;
    return strcmp(a->name, b->name);
}
