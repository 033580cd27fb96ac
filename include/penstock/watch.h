/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking in from outside: stalls of loops while they last, and what runs where.
 *
 * A stall is one callback of a loop that goes on for longer than `slow`, computing or blocked. Time in which its thread
 * was ready but got no CPU does not count, so a machine that is merely busy makes no reports; nor does a turn of
 * many short callbacks, which pen_loop_stats() shows instead.
 */
#ifndef PENSTOCK_WATCH_H
#define PENSTOCK_WATCH_H

#include <penstock/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_stall {
    const char *loop;    /* its name */
    const char *running; /* the name of the job or step it is in, or NULL */
    uint64_t running_id; /* what goes with that name: a job's number, or 0 */
    int thread_id;       /* the kernel's */
    pen_span_t wall;     /* how long the callback has been seen to go on, at least */
    pen_span_t cpu;      /* CPU time of the thread in it: a small one means that it is blocked */
    const char *stack; /* one frame a line, innermost first, symbolised where possible, or why there is none; never NULL */
};

struct pen_watch_options {
    pen_span_t slow; /* at least 1 ms; zero: 100 ms */
    /* Called on the watching thread while the stall lasts, once at `slow` and again at each doubling. What *stall points to
     * is valid during the call. Meanwhile no other loop is watched, so it should not block. NULL: lines to standard
     * error. */
    void (*on_stall)(const struct pen_stall *stall, void *arg);
    void *arg; /* borrowed until pen_watch_stop() has returned */
};

/* Start the one watching thread of the process, for all loops there are and will be. options may be NULL, and is
 * copied. It looks at the loops while one of them works and sleeps while all of them do; stacks are taken with the
 * signal SIGRTMAX - 2, to which system calls in a stalled callback may return EINTR. Any thread; does not block.
 * PEN_EBUSY: it runs already, or the signal has a handler; PEN_EINVAL, PEN_ENOMEM, or a negated errno. Since 0.2. */
PEN_API int pen_watch_start(const struct pen_watch_options *options) PEN_MUST_CHECK;

/* End the watching thread, after a call of on_stall() that runs has returned; without one nothing happens. Blocks that long.
 * Not from on_stall(). Since 0.2. */
PEN_API void pen_watch_stop(void);

/* The loops of this process and what is on them: state, age, what waits for what, as a JSON text that is the caller's,
 * to be freed with free(). It reads counters and takes short locks only, so it works while loops are blocked; its
 * parts are a moment apart. Any thread. PEN_ENOMEM: *ret_json untouched. Since 0.2. */
PEN_API int pen_tasks_snapshot(char **ret_json) PEN_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
