/* SPDX-License-Identifier: Apache-2.0
 *
 * The makers' side of a future: who runs jobs (loops, pools, isolated workers) uses these calls, in this order:
 *
 *   future_new()       PENDING; one reference for the submitter, one for the job
 *   future_on_cancel() optional, at any time before the end
 *   future_begin()     PENDING to RUNNING; false: cancelled meanwhile, it is done and nothing may be completed
 *   future_complete()  RUNNING to DONE, exactly once after a begin that said true; on any thread
 *   pen_future_unref() the job's reference, in both cases
 *
 * To fail a job that has not begun (PEN_ECLOSED, PEN_EBROKEN) begin it and complete it.
 */
#ifndef TASK_FUTURE_H
#define TASK_FUTURE_H

#include <penstock/future.h>

#include "base/err.h"
#include "base/list.h"
#include "base/roles.h"
#include "base/units.h"
#include "task/snapshot.h"

/* options may be NULL. PEN_ENOMEM. */
int future_new(const struct pen_job_options *options, struct pen_future **ret_future) MUST_CHECK;

/* Free a future that nobody but its maker has seen: the submission failed. */
void future_discard(struct pen_future *f);

/* The loop that runs the job: pen_future_get() refuses to wait there. Before anybody else has the future. */
void future_set_loop(struct pen_future *f, struct pen_loop *loop);

/* Where the job runs otherwise, for people: a text that lives until the future is done, such as its pool's name. Before anybody
 * else has the future. */
void future_set_home(struct pen_future *f, const char *home);

/* The future is a group's end, and no job. Before anybody else has it. */
void future_set_group(struct pen_future *f);

/* This thread is inside the job of f from now on, NULL: of none; returns what was before. What the thread waits for
 * meanwhile is what the job waits for. */
struct pen_future *future_enter(struct pen_future *f);

/* For snapshots. Addresses are only compared. */
struct future_view {
    const void *at, *waits_for; /* waits_for: a future's address, NULL: for none */
    char name[48], home[32];
    enum pen_future_state state;
    mono_t made;
    bool awaited, is_group; /* awaited: a thread waits for it */
};

/* False: it is done. Under the lock of its list, so it is not freed meanwhile. */
bool future_look(struct listed *listed, struct future_view *ret_view) MUST_CHECK ANY_THREAD;

bool future_begin(struct pen_future *f) MUST_CHECK ANY_THREAD;

/* error 0 and the result, or a negative error; a result that comes with an error goes to the destructor. */
void future_complete(struct pen_future *f, int error, void *result) ANY_THREAD;

/* Call fn(f, arg) when the end is asked for: once, on the cancelling thread, under the future's lock, so it must do no more
 * than post; at once, here, when it was asked for already; never after future_complete() has returned. fn NULL takes it back.
 * One at a time. */
void future_on_cancel(struct pen_future *f, void (*fn)(struct pen_future *f, void *arg), void *arg)
    ANY_THREAD;

/* Sleep until it is done; false when the deadline passed first. Not on the loop that runs the job. */
bool future_await(struct pen_future *f, pen_mono_t deadline) ANY_THREAD;

/* The end was asked for. Any thread; a relaxed load. */
bool future_cancel_asked(const struct pen_future *f) ANY_THREAD;

/* pen_future_cancel() in somebody's name, and the name under which the end was first asked for; NULL: nobody's, or it was
 * not. Any thread. */
int future_cancel_as(struct pen_future *f, const void *who) ANY_THREAD;
const void *future_canceller(const struct pen_future *f) ANY_THREAD;

/* Never NULL; as long as the options said. */
const char *future_name(const struct pen_future *f) ANY_THREAD;

/* Called once when the future is done, on the thread that completed or cancelled it, outside all locks; may call
 * anything that does not block. Embedded in the caller's object, which must live until then; the caller keeps a
 * reference to the future. */
struct future_hook {
    struct list node;                                           /* lock: the future's */
    void (*fn)(struct future_hook *hook, struct pen_future *f); /* fixed */
};

/* False: it is done already, and the hook will not be called. */
bool future_hook(struct pen_future *f, struct future_hook *hook) MUST_CHECK ANY_THREAD;

/* The hook is wanted no more. False: it has been or is being called. */
bool future_unhook(struct pen_future *f, struct future_hook *hook) MUST_CHECK ANY_THREAD;

#endif
