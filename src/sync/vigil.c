/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/vigil.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "plat/clock.h"

void vigil_ring(struct vigil *v)
{
    uint32_t rests = VIGIL_RESTS;
    if (!atomic_compare_exchange_strong(&v->state, &rests, VIGIL_AWAKE))
        return; /* Another was first, or the watcher has ended. */
    vigil_call(v);
}

void vigil_call(struct vigil *v)
{
    uint64_t one = 1;
    check(write(atomic_load(&v->fd), &one, sizeof one) == sizeof one || errno == EAGAIN);
}

int vigil_open(struct vigil *v)
{
    if (atomic_load(&v->fd) == 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return -errno;
        atomic_store(&v->fd, fd);
    }
    atomic_store(&v->state, VIGIL_AWAKE);
    return 0;
}

void vigil_close(struct vigil *v)
{
    atomic_store(&v->state, VIGIL_OFF);
}

void vigil_rest(struct vigil *v)
{
    atomic_store_explicit(&v->state, VIGIL_RESTS, memory_order_seq_cst); /* V1 */
}

void vigil_awake(struct vigil *v)
{
    atomic_store(&v->state, VIGIL_AWAKE);
}

bool vigil_wait(struct vigil *v, mono_t deadline)
{
    struct pollfd fds = { .fd = atomic_load(&v->fd), .events = POLLIN };
    for (;;) {
        int64_t ns = mono_since(deadline, clock_mono()).ns;
        struct timespec left = { .tv_sec = ns > 0 ? ns / NS_PER_S : 0,
                                 .tv_nsec = ns > 0 ? ns % NS_PER_S : 0 };
        int n = ppoll(&fds, 1, deadline.ns == PEN_NEVER.ns ? NULL : &left, NULL);
        check(n >= 0 || errno == EINTR);
        uint64_t rings;
        if (n > 0 && read(fds.fd, &rings, sizeof rings) == sizeof rings)
            return true;
        if (n == 0)
            return false;
    }
}
