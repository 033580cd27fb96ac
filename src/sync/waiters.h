/* SPDX-License-Identifier: Apache-2.0
 *
 * Who waits at a monitor: threads and loops in one line, first come, first served. Both queues (task/queue and
 * flow/jobq) stand on this piece.
 *
 * The protocol, under the monitor's lock unless said otherwise:
 *   - "I wait" is written under the same lock the waker holds (waiters_park), so no wake-up can be missed and no
 *     fence is needed.
 *   - Whoever makes it worth waking calls waiters_pick() and, after dropping the lock, wake_send(). At most
 *     one wake is in flight per line: a burst of puts costs one system call.
 *   - The woken one comes back under the lock and calls waiters_leave(). It carried the wake; when there is more
 *     for others to do it picks the next (the baton). The same holds for one that timed out or was closed
 *     in the moment it was picked: leave() tells it that it carries the wake.
 *   - waiters_wake_all() is for shutdown: everybody, whatever is in flight.
 *
 * A thread waits on a futex in its own stack frame; the word is set under the lock, so a wake that is sent after
 * the thread has left only touches an address. A loop waits through its post (loop/io.h) and is signalled under the
 * lock, so that a PICKED loop's post is in its inbox already and nobody touches the waiter after it has left; the price
 * is an eventfd write under the lock when, and only when, the loop sleeps.
 *
 * Source: shared experience of monitors (Hoare, Lampson and Redell); one wake in flight with a baton is what
 * Java's AbstractQueuedSynchronizer calls propagation.
 */
#ifndef SYNC_WAITERS_H
#define SYNC_WAITERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/roles.h"
#include "base/units.h"
#include "sync/futex.h"

enum waiter_state {
    WAITER_IDLE,   /* in no line */
    WAITER_PARKED, /* in the line */
    WAITER_PICKED /* out of the line with a wake under way; carries the wake until waiters_leave() */
};

struct waiter {
    /* lock: the monitor's */
    struct list node;
    enum waiter_state state;
    bool carries;  /* this pick is the line's one wake in flight */
    uint64_t need; /* the monitor's own: how much room the waiter wants */
    /* fixed after init */
    void (*signal)(struct waiter *w); /* NULL: a thread */
    /* atomic: edge W1, set under the lock, awaited by the thread */
    struct futex word;
};

struct waiters {
    /* lock: the monitor's */
    struct list parked;
    size_t parked_count;
    bool waking;    /* a wake is in flight */
    uint64_t waits; /* ever: joined at the back, that is, not those that were woken in vain */
    uint64_t wakes; /* ever: picked, by waiters_wake_all() as well */
};

/* A thread's wake that is owed: from waiters_pick(), under the lock, to wake_send(), after it. The thread may be gone by
 * then: only the address of its word is used. */
struct wake {
    struct futex *word; /* NULL: nobody */
};

#define NO_WAKE ((struct wake){ NULL })

void waiters_init(struct waiters *ws);

/* A thread's waiter (signal NULL) or a loop's, whose signal posts to the loop; any thread calls it. */
void waiter_init(struct waiter *w, void (*signal)(struct waiter *w));

/* Join the line: at the back, or at the front for one that was woken before and found too little. */
void waiters_park(struct waiters *ws, struct waiter *w, bool front);

static inline bool waiters_any(const struct waiters *ws)
{
    return ws->parked_count > 0;
}

/* The first in line, which is not empty. */
static inline struct waiter *waiters_first(const struct waiters *ws)
{
    return CONTAINER_OF(ws->parked.next, struct waiter, node);
}

/* Take the first out of the line, which is not empty and has no wake in flight. */
struct wake waiters_pick_first(struct waiters *ws) MUST_CHECK;

/* Pick the first in line: out of it and PICKED; nobody when nobody waits or a wake is in flight already. A loop is
 * signalled at once, under the lock; a thread's wake is returned, to be sent after dropping the lock. Inline, because
 * it is asked at every put and get and most often says no. */
static inline struct wake MUST_CHECK waiters_pick(struct waiters *ws)
{
    return ws->waking || !waiters_any(ws) ? NO_WAKE : waiters_pick_first(ws);
}

/* Not under the lock. */
static inline void wake_send(struct wake wake)
{
    if (wake.word != NULL)
        futex_wake(wake.word);
}

/* Wake everybody, for shutdown, whatever is in flight. Signals under the lock: this is rare, and a thread that has
 * timed out cannot leave while its node is still being walked. */
void waiters_wake_all(struct waiters *ws);

/* Leave the line, from whatever state, and be IDLE. True when the wake in flight was carried: the caller picks the
 * next one if there is still something to do. */
bool waiters_leave(struct waiters *ws, struct waiter *w);

/* A moment's patience before standing in line, well below the price of a sleep. Not under the lock. */
void waiter_pause(void);

/* A thread's sleep until it is signalled or the deadline passes (false). Not under the lock. */
bool waiter_sleep(struct waiter *w, mono_t deadline);

#endif
