/* SPDX-License-Identifier: Apache-2.0
 *
 * The libevent base of a loop, for programs that use libevent beside penstock: sockets, buffers, HTTP.
 *
 * Events of the program run on the loop's thread, between penstock's own; they share its sleep, and a callback that
 * takes long holds up all of them. Everything else stays the loop's: do not run, break or free the base.
 */
#ifndef PENSTOCK_LIBEVENT_H
#define PENSTOCK_LIBEVENT_H

#include <penstock/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base; /* libevent's: <event2/event.h> */

/* The loop's base, for event_new() and the like. It is the loop's, valid until pen_loop_free(), before which all
 * events on it must have been freed. It has no locks: events on it are made, changed and freed on the loop's thread, or
 * while the loop does not run. The same goes for this call, which returns NULL on another thread; it does not block,
 * and callbacks may call it. Since 0.2. */
PEN_API struct event_base *pen_loop_event_base(struct pen_loop *loop);

/* Say that the loop is awake: to be called first in each callback of an event on its base. Otherwise pen_loop_now()
 * may still give the instant at which the loop fell asleep, and a stall in this callback is not seen. Cheap when the
 * loop knows already. On the loop's thread, else PEN_EWRONGTHREAD; does not block. Since 0.2. */
PEN_API int pen_loop_enter(struct pen_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
