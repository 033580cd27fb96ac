/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_loop: an event loop that belongs to one thread, with timers and an inbox that other threads
 * post to.
 *
 * A loop is created by any thread and belongs to the thread that runs it, from pen_loop_run() or pen_loop_start()
 * until that ends. Before and after, it belongs to whoever holds it. Unless a call says "any thread", calling it from
 * another thread while the loop runs returns PEN_EWRONGTHREAD and changes nothing, in every build.
 *
 * Every accepted call ends exactly once: its function runs on the loop with status 0, or, when the
 * loop is closed first, with status PEN_ECLOSED on the thread that closes it. None vanishes.
 *
 * A loop may be run again after it was stopped, as often as one likes, by any thread; once closed it may not.
 */
#ifndef PENSTOCK_LOOP_H
#define PENSTOCK_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <penstock/error.h>
#include <penstock/histogram.h>
#include <penstock/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_loop;

/* What a loop calls. status is 0, or PEN_ECLOSED when the loop was closed before the call's turn. */
typedef void (*pen_call_fn)(struct pen_loop *loop, void *arg, int status);

struct pen_loop_options {
    const char *name;   /* at most 15 bytes are shown; borrowed for the call; NULL: "loop" */
    uint32_t inbox_max; /* calls waiting from other threads; 0: 65536 */
    uint32_t turn_max;  /* ready calls run in one turn before sockets are looked at; 0: 1024 */
};

/* Make a loop. options may be NULL. The loop is the caller's, ended with pen_loop_free().
 * Any thread; does not block. PEN_ENOMEM, PEN_EINVAL, or a negated errno; *ret_loop untouched. Since 0.1. */
PEN_API int pen_loop_new(const struct pen_loop_options *options, struct pen_loop **ret_loop)
    PEN_MUST_CHECK;

/* Run the loop on the calling thread, which owns it until this returns: after pen_loop_stop(). Calls and timers that have
 * not run by then stay for the next run or for pen_loop_close().
 * PEN_EBUSY: the loop runs already or is about to, or the calling thread is inside a loop's callback, this one's or
 * another's; PEN_ECLOSED. The loop is as it was. Blocks until the end. Since 0.1. */
PEN_API int pen_loop_run(struct pen_loop *loop) PEN_MUST_CHECK;

/* Run the loop on a new thread of its own, named like the loop; pen_loop_join() waits for its end. From here on the loop
 * is that thread's. Any thread; does not block. PEN_EBUSY: it runs already, or was started and not yet joined;
 * PEN_ECLOSED; a negated errno when no thread could be had. The loop is as it was. Since 0.1. */
PEN_API int pen_loop_start(struct pen_loop *loop) PEN_MUST_CHECK;

/* Ask the loop to end. In a callback of the loop: after the present turn, what was asked in it stays. From elsewhere,
 * or before the loop runs: after one more turn that does not sleep, so what was accepted before the stop runs, and
 * what that turn asks for stays. A stop counts for one run. Any thread; does not block; idempotent. Since 0.1. */
PEN_API void pen_loop_stop(struct pen_loop *loop);

/* Wait until the loop's own thread has ended. Not from the loop itself: PEN_EWRONGTHREAD.
 * PEN_EINVAL when it was not started with pen_loop_start(). Since 0.1. */
PEN_API int pen_loop_join(struct pen_loop *loop) PEN_MUST_CHECK;

/* Close a loop that does not run: from now on every call is refused with PEN_ECLOSED, and every call and timer that waits
 * runs here, on the calling thread, with that status, calls in their order and then timers in theirs. Cannot be undone;
 * a loop that is closed already: 0. PEN_EBUSY: it runs or is about to; stop and join it first. Since 0.2. */
PEN_API int pen_loop_close(struct pen_loop *loop) PEN_MUST_CHECK;

/* Close the loop if it is not, free it and set *loop to NULL; NULL is accepted. The loop must not run and must be joined,
 * and nobody may use it any more: that is the caller's duty, and a check that kills in the first case. A pool,
 * future or queue that still refers to the loop is such a use. Since 0.1. */
PEN_API void pen_loop_free(struct pen_loop **loop);

/* Run fn(loop, arg, 0) soon, after what was asked before. On the loop's thread only.
 * PEN_EWRONGTHREAD, PEN_ENOMEM, PEN_ECLOSED: nothing was queued. Callbacks may call it: the call then
 * runs in the next turn. Since 0.1. */
PEN_API int pen_loop_call_soon(struct pen_loop *loop, pen_call_fn fn, void *arg) PEN_MUST_CHECK;

/* The same from any thread, through the inbox; a burst wakes the loop once. Does not block.
 * PEN_EFULL when inbox_max calls wait; PEN_ENOMEM; PEN_ECLOSED. Since 0.1. */
PEN_API int pen_loop_call_soon_threadsafe(struct pen_loop *loop, pen_call_fn fn, void *arg)
    PEN_MUST_CHECK;

/* A timer: embedded in the caller's object, zeroed or pen_timer_init()ed before use, and not moved
 * while armed. */
struct pen_timer {
    /* owner: loop */
    struct pen_loop *loop; /* NULL while not armed */
    pen_call_fn fn;
    void *arg;
    pen_mono_t when;
    uint64_t seq;
    uint32_t index;
};

/* Arm (or rearm) the timer: fn(loop, arg, 0) runs once, at `when` or as soon after as the loop is free;
 * timers of the same instant run in the order of arming. On the loop's thread.
 * PEN_EWRONGTHREAD, PEN_ENOMEM, PEN_ECLOSED: not armed. Since 0.1. */
PEN_API int pen_loop_call_at(struct pen_loop *loop, struct pen_timer *timer, pen_mono_t when,
                             pen_call_fn fn, void *arg) PEN_MUST_CHECK;
PEN_API int pen_loop_call_later(struct pen_loop *loop, struct pen_timer *timer, pen_span_t after,
                                pen_call_fn fn, void *arg) PEN_MUST_CHECK;

/* Disarm; a timer that is not armed is left alone. On the loop's thread. Since 0.1. */
PEN_API void pen_timer_cancel(struct pen_timer *timer);

/* The loop's clock: read once per turn. On the loop's thread. Since 0.1. */
PEN_API pen_mono_t pen_loop_now(const struct pen_loop *loop);

/* True when the calling thread is the one that runs the loop. Any thread. Since 0.1. */
PEN_API bool pen_loop_here(const struct pen_loop *loop);

/* The loop that the calling thread is running, or NULL when it runs none. Any thread. Since 0.2. */
PEN_API struct pen_loop *pen_loop_current(void);

/* The loop's name, the loop's own. Any thread. Since 0.1. */
PEN_API const char *pen_loop_name(const struct pen_loop *loop);

/* What a loop has done since it was made. A turn is from waking to going to sleep, or to looking at the descriptors
 * again. */
struct pen_loop_stats {
    uint64_t turns;
    uint64_t events; /* of descriptors */
    uint64_t calls;  /* run with status 0 */
    uint64_t timers; /* fired */
    /* Of turns that have ended; its sum is the time that the loop was busy. */
    struct pen_histogram turn_time;
    /* From when a timer should have fired, and from when the oldest call of a burst from other threads was accepted,
     * to the beginning of the turn that ran it. */
    struct pen_histogram lag;
};

/* Read the counters, which may be a moment apart. Any thread; does not block. Since 0.2. */
PEN_API void pen_loop_stats(const struct pen_loop *loop, struct pen_loop_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
