/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors on a loop. One libevent event per descriptor; what is wanted is changed by adding it anew, which
 * cannot fail once the descriptor's slot exists.
 */
#include "loop/io.h"

#include <errno.h>
#include <event2/event.h>

#include "base/check.h"
#include "loop/loop.h"

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct io *io = arg;
    loop_event_begins(io->loop);
    unsigned ready = (what & EV_READ ? IO_READ : 0u) | (what & EV_WRITE ? IO_WRITE : 0u);
    ready &= io->want;
    if (ready != 0)
        io->fn(io, ready, io->arg);
}

static short event_flags(unsigned want)
{
    return (short)((want & IO_READ ? EV_READ : 0) | (want & IO_WRITE ? EV_WRITE : 0) |
                   (want & IO_EDGE ? EV_ET : 0) | EV_PERSIST);
}

static bool wants_any(unsigned want)
{
    return (want & (IO_READ | IO_WRITE)) != 0;
}

int io_open(struct io *io, struct pen_loop *loop, struct io_watch watch, io_fn fn, void *arg)
{
    loop_assert_here(loop);
    *io = (struct io){ .loop = loop, .fd = watch.fd, .want = watch.want, .fn = fn, .arg = arg };
    io->event = event_new(loop_event_base(loop), io->fd, event_flags(io->want), on_event, io);
    if (io->event == NULL)
        return PEN_ENOMEM;
    if (wants_any(io->want) && event_add(io->event, NULL) != 0) {
        int error = errno != 0 ? -errno : PEN_EINVAL;
        event_free(io->event);
        io->event = NULL;
        return error;
    }
    return 0;
}

void io_want(struct io *io, unsigned want)
{
    loop_assert_here(io->loop);
    check(io->event != NULL);
    if (want == io->want)
        return;
    if (wants_any(io->want))
        check(event_del(io->event) == 0);
    io->want = want;
    if (!wants_any(want))
        return;
    check(event_assign(io->event, loop_event_base(io->loop), io->fd, event_flags(want), on_event,
                       io) == 0);
    check(event_add(io->event, NULL) == 0);
}

void io_close(struct io *io)
{
    if (io->event == NULL)
        return;
    loop_assert_here(io->loop);
    event_free(io->event);
    io->event = NULL;
    io->want = 0;
}
