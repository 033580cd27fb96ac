/* SPDX-License-Identifier: Apache-2.0
 *
 * The door for programs that use libevent beside penstock: <penstock/libevent.h>. Thread: the loop's.
 */
#include <penstock/libevent.h>

#include "loop/io.h"
#include "loop/loop.h"

struct event_base *pen_loop_event_base(struct pen_loop *l)
{
    return loop_may_touch(l) ? loop_event_base(l) : NULL;
}

int pen_loop_enter(struct pen_loop *l)
{
    if (!pen_loop_here(l))
        return PEN_EWRONGTHREAD;
    loop_event_begins(l);
    return 0;
}
