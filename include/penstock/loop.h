/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_loop: an event loop that belongs to one thread, with timers and an inbox that other threads
 * post to.
 *
 * A loop is created by any thread and belongs to the thread that runs it. Before it runs and after
 * it has ended, it belongs to whoever holds it. Unless a call says "any thread", calling it from
 * another thread while the loop runs returns PEN_EWRONGTHREAD and changes nothing, in every build.
 *
 * Every accepted call ends exactly once: its function runs on the loop with status 0, or, when the
 * loop is closed first, with status PEN_ECLOSED on the thread that closes it. None vanishes.
 */
#ifndef PENSTOCK_LOOP_H
#define PENSTOCK_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <penstock/error.h>
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

/* Run the loop on the calling thread, which owns it until this returns: after pen_loop_stop().
 * Calls accepted by then and not yet run stay for the next run or for pen_loop_free().
 * PEN_EBUSY when it already runs. A callback may not call it. Since 0.1. */
PEN_API int pen_loop_run(struct pen_loop *loop) PEN_MUST_CHECK;

/* Run the loop on a new thread of its own; pen_loop_join() waits for its end.
 * Any thread; does not block. A negated errno when no thread could be had. Since 0.1. */
PEN_API int pen_loop_start(struct pen_loop *loop) PEN_MUST_CHECK;

/* Ask the loop to end after the present turn. Any thread; does not block; idempotent. Since 0.1. */
PEN_API void pen_loop_stop(struct pen_loop *loop);

/* Wait until the loop's own thread has ended. Not from the loop itself: PEN_EWRONGTHREAD.
 * PEN_EINVAL when it was not started with pen_loop_start(). Since 0.1. */
PEN_API int pen_loop_join(struct pen_loop *loop) PEN_MUST_CHECK;

/* Free a loop that does not run, and set *loop to NULL; NULL is accepted. Every call that waits runs
 * here with PEN_ECLOSED. Calls posted from now on are refused with PEN_ECLOSED by their caller's duty
 * not to use a freed loop: free a loop only when nobody posts any more. Since 0.1. */
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

PEN_API const char *pen_loop_name(const struct pen_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
