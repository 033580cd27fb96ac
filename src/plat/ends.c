/* SPDX-License-Identifier: Apache-2.0 */
#include "plat/ends.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

void ends_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Above 2, so that putting one into its place in the child cannot overwrite another, and none of
 * ours stands where others write to; that may only happen to a process that was started with a
 * standard descriptor closed. */
int ends_move_up(int *fd)
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
    if (ends_move_up(child) < 0 || ends_move_up(ours) < 0)
        return -1;
    int flags = fcntl(*ours, F_GETFL);
    return flags < 0 ? -1 : fcntl(*ours, F_SETFL, flags | O_NONBLOCK);
}

static int open_pipe(struct ends *e, int which)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    e->child[which] = fds[which == ENDS_IN ? 0 : 1];
    e->ours[which] = fds[which == ENDS_IN ? 1 : 0];
    return set_up_pair(&e->child[which], &e->ours[which]);
}

static int open_socket(struct ends *e)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    e->child[ENDS_IN] = fds[0];
    e->ours[ENDS_IN] = fds[1];
    return set_up_pair(&e->child[ENDS_IN], &e->ours[ENDS_IN]);
}

int ends_open(struct ends *e, bool one_socket, bool with_err)
{
    int r = one_socket ? open_socket(e) : open_pipe(e, ENDS_IN);
    if (r == 0 && !one_socket)
        r = open_pipe(e, ENDS_OUT);
    return r < 0 || !with_err ? r : open_pipe(e, ENDS_ERR);
}

void ends_close_all(int fds[ENDS_COUNT])
{
    for (int i = 0; i < ENDS_COUNT; i++)
        ends_close(&fds[i]);
}
