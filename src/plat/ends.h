/* SPDX-License-Identifier: Apache-2.0
 *
 * Both sides of a child's standard descriptors while it is being started. For proc.c and forkserver.c
 * only.
 */
#ifndef PLAT_ENDS_H
#define PLAT_ENDS_H

#include <stdbool.h>

enum { ENDS_IN, ENDS_OUT, ENDS_ERR, ENDS_COUNT };

/* All are close-on-exec and above 2, ours non-blocking; -1: closed, or not made. */
struct ends {
    int child[ENDS_COUNT], ours[ENDS_COUNT];
};

#define ENDS_NONE \
    { \
        { -1, -1, -1 }, \
        { \
            -1, -1, -1 \
        } \
    }

/* A pipe each; one_socket: IN is a stream socket for both ways, and OUT is not made. 0, or -1 with errno set and what
 * was made left to ends_close_all(). */
int ends_open(struct ends *e, bool one_socket, bool with_err);
void ends_close_all(int fds[ENDS_COUNT]);

void ends_close(int *fd);
/* To a number above 2. 0, or -1 with errno set. */
int ends_move_up(int *fd);

#endif
