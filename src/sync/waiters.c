/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/waiters.h"

#include "base/check.h"

enum { PAUSES = 16 }; /* about 0.7 us in all on x86 */

void waiters_init(struct waiters *ws)
{
    list_init(&ws->parked);
    ws->parked_count = 0;
    ws->waking = false;
    ws->waits = ws->wakes = 0;
}

void waiter_init(struct waiter *w, void (*signal)(struct waiter *w))
{
    list_init(&w->node);
    w->state = WAITER_IDLE;
    w->carries = false;
    w->signal = signal;
    w->need = 0;
    futex_reset(&w->word);
}

void waiters_park(struct waiters *ws, struct waiter *w, bool front)
{
    check(w->state == WAITER_IDLE);
    futex_reset(&w->word);
    w->state = WAITER_PARKED;
    if (front)
        list_push_front(&ws->parked, &w->node);
    else
        list_push_back(&ws->parked, &w->node);
    ws->waits += !front;
    ws->parked_count++;
}

static void unpark(struct waiters *ws, struct waiter *w)
{
    list_remove(&w->node);
    ws->parked_count--;
}

/* Out of the line; a loop is signalled, a thread's wake is returned. */
static struct wake set_picked(struct waiters *ws, struct waiter *w)
{
    unpark(ws, w);
    ws->wakes++;
    w->state = WAITER_PICKED;
    if (w->signal != NULL) {
        w->signal(w);
        return NO_WAKE;
    }
    futex_set(&w->word); /* From here on the thread may leave as soon as the lock is free. */
    return (struct wake){ &w->word };
}

struct wake waiters_pick_first(struct waiters *ws)
{
    check(!ws->waking && waiters_any(ws));
    struct waiter *w = waiters_first(ws);
    ws->waking = true;
    w->carries = true;
    return set_picked(ws, w);
}

void waiters_wake_all(struct waiters *ws)
{
    while (waiters_any(ws))
        wake_send(set_picked(ws, waiters_first(ws)));
}

bool waiters_leave(struct waiters *ws, struct waiter *w)
{
    bool carried = w->carries;
    if (w->state == WAITER_PARKED)
        unpark(ws, w);
    if (carried)
        ws->waking = false;
    w->carries = false;
    w->state = WAITER_IDLE;
    return carried;
}

void waiter_pause(void)
{
    for (int i = 0; i < PAUSES; i++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb");
#endif
    }
}

bool waiter_sleep(struct waiter *w, mono_t deadline)
{
    return futex_wait(&w->word, deadline);
}
