/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's inside, for the files of this folder only.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <event2/event.h>

#include <penstock/loop.h>

struct event_base *loop_event_base(struct pen_loop *loop);

/* Every libevent callback opens with it: stamps the heartbeat and the clock after a sleep. */
void loop_turn_begins(struct pen_loop *loop);

#endif
