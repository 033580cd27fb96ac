/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread that watches others, and itself sleeps while all of them rest.
 *
 * The watcher must not wake periodically when nothing happens, and must not miss that somebody begins to work; and the
 * workers must not pay for it. A worker has one word, 0 while it rests. It is Dekker's problem:
 *
 *   worker, after a rest:  since := now;       if state = RESTS then ring       (edge V1)
 *   watcher:               state := RESTS;     if nobody's since is set then sleep
 *
 * Both sides write one word and then read the other's, all four sequentially consistent, so at least one of them sees
 * what the other wrote: the worker rings, or the watcher does not lie down. The worker that rings sets the state to
 * AWAKE, so others do not, until the watcher rests again, which it does no sooner than one look later: a burst of
 * work after a silence costs one write(2), and one that goes on costs nothing.
 *
 * Cost: only the first turn after a rest comes here, with an exchange of its own word and a plain load; a turn after
 * a turn only stores its word. A fence on the watcher's side alone (membarrier) would save the exchange, 5 ns
 * beside the epoll_wait that just returned, and needs a fallback where the call is refused.
 */
#ifndef SYNC_VIGIL_H
#define SYNC_VIGIL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/count.h"
#include "base/err.h"
#include "base/units.h"

enum vigil_state { VIGIL_OFF, VIGIL_AWAKE, VIGIL_RESTS };

/* One for each watcher, static: a worker may be about to ring when the watcher ends, so its descriptor is never
 * closed. */
struct vigil {
    _Atomic uint32_t state; /* atomic: edge V1 */
    _Atomic int fd;         /* an eventfd; 0: not yet made */
};

/* ---- the worker ---- */

void vigil_ring(struct vigil *v);

/* From rest to work, with a time that is not 0. */
static inline void vigil_works(struct vigil *v, struct count *since, mono_t now)
{
    atomic_store_explicit(&since->n, (uint64_t)now.ns, memory_order_seq_cst); /* V1 */
    if (atomic_load_explicit(&v->state, memory_order_seq_cst) == VIGIL_RESTS) /* V1 */
        vigil_ring(v);
}

/* ---- the watcher ---- */

/* Begin, awake. A negated errno. */
int vigil_open(struct vigil *v) MUST_CHECK;
/* Nobody rings any more. */
void vigil_close(struct vigil *v);

/* About to rest: look at every worker with vigil_is_at_work() now, and call vigil_awake() when one is. */
void vigil_rest(struct vigil *v);
void vigil_awake(struct vigil *v);

static inline bool vigil_is_at_work(const struct count *since)
{
    return atomic_load_explicit(&since->n, memory_order_seq_cst) != 0; /* V1 */
}

/* End the watcher's present or next wait, whatever its state. Any thread. */
void vigil_call(struct vigil *v);

/* Wait for a ring or a call until the deadline; false when it passed first. */
bool vigil_wait(struct vigil *v, mono_t deadline);

#endif
