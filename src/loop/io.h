/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rest of penstock needs of a loop beyond the public calls: file descriptors, posts that
 * cannot fail, and the heartbeat. libevent stays behind this door.
 */
#ifndef LOOP_IO_H
#define LOOP_IO_H

#include <penstock/loop.h>

#include "base/err.h"
#include "base/list.h"
#include "base/roles.h"
#include "base/units.h"

/* The calling thread is the loop's, or nobody runs it; dies otherwise, in every build. */
void loop_assert_here(const struct pen_loop *loop) ASSERTS_ON_LOOP;

/* The same as a question, for calls that refuse with PEN_EWRONGTHREAD. Any thread. */
bool loop_may_touch(const struct pen_loop *loop) MUST_CHECK;

/* The calling thread runs some loop, and so must not wait. */
bool loop_any_here(void) MUST_CHECK;

/* ---- file descriptors ---- */

enum { IO_READ = 1, IO_WRITE = 2, IO_EDGE = 4 /* with READ: one event per edge, for an eventfd */ };

struct io;
typedef void (*io_fn)(struct io *io, unsigned ready, void *arg);

/* Embedded in the owner; zeroed before use. */
struct io {
    /* owner: loop */
    struct pen_loop *loop;
    void *event; /* libevent's, NULL while closed */
    int fd;      /* the owner's: never closed here */
    unsigned want;
    io_fn fn;
    void *arg;
};

struct io_watch {
    int fd;
    unsigned want; /* IO_..., may be 0 */
};

/* Call fn whenever the descriptor is ready for what is wanted (level-triggered unless IO_EDGE), until io_close().
 * PEN_ENOMEM or a negated errno. On the loop's thread or before it runs. */
int io_open(struct io *io, struct pen_loop *loop, struct io_watch watch, io_fn fn, void *arg)
    MUST_CHECK;
/* Change what is wanted; cannot fail for a descriptor that is open. */
void io_want(struct io *io, unsigned want);
/* No event comes after this returns. Idempotent. */
void io_close(struct io *io);

/* ---- posts ---- */

/* A call from any thread that cannot fail and cannot be lost: the node is embedded in the object it is
 * about, and is in the inbox at most once. The object must live until the post has run. */
struct post {
    /* lock: loop->inbox_lock */
    struct list node;
    bool queued;
    bool once;      /* fixed: a call of its own allocation, freed when it has run */
    pen_call_fn fn; /* fixed after init */
    void *arg;
};

void post_init(struct post *post, pen_call_fn fn, void *arg);
/* Run post->fn soon on the loop. True when this call queued it, false when it was queued already (and
 * will run after this call). Any thread. */
bool loop_post(struct pen_loop *loop, struct post *post) ANY_THREAD;

/* An object that is freed by its own post, which another thread has promised but perhaps not yet made: between
 * loop_expect() and the post's run of loop_expected_came(), pen_loop_free() waits for it. On the loop's thread, or
 * when the loop has ended. */
void loop_expect(struct pen_loop *loop);
void loop_expected_came(struct pen_loop *loop);

/* A post that somebody will make some day, at most once: when the loop is freed first, it runs there with PEN_ECLOSED.
 * Whoever makes it must find out under a lock of his own that it has not run so; the post is not used again.
 * Calls run in the reverse order of their promises and before jobs, which have their last chance to end
 * when everything else has had its turn. Any thread. */
enum promise { PROMISE_CALL, PROMISE_JOB };
void loop_promise(struct pen_loop *loop, struct post *post, enum promise kind) ANY_THREAD;
/* The post will not be made. False: it has been, or the loop is running it because it is freed. Any thread. */
bool loop_withdraw(struct pen_loop *loop, struct post *post) MUST_CHECK ANY_THREAD;

/* ---- heartbeat ---- */

/* How long the present turn has been going on: 0 while the loop sleeps or does not run. Any thread. */
span_t loop_busy_for(const struct pen_loop *loop, mono_t now) ANY_THREAD;
/* Turns ever. Any thread. */
uint64_t loop_turns(const struct pen_loop *loop) ANY_THREAD;

/* Say what the loop runs from now on, inside one of its callbacks, for snapshots and reports of stalls: a text, of which
 * the first LOOP_RUNNING_BYTES - 1 bytes are copied, and a number that goes with it; NULL at the end. Counts as a
 * step: a stall is the time since the last one. On the loop; costs some ten stores. */
enum { LOOP_RUNNING_BYTES = 40 };
void loop_set_running(struct pen_loop *loop, const char *name, uint64_t id) ON_LOOP;
/* The same thing with another number: the next step. Costs two stores. */
void loop_step(struct pen_loop *loop, uint64_t id) ON_LOOP;

/* What a loop is doing, as others see it: counters that are read one after the other. */
struct loop_view {
    const char *name; /* valid while the loop lives */
    bool runs;
    int thread_id;                    /* 0: does not run */
    span_t busy;                      /* of the present turn; 0: sleeps */
    char running[LOOP_RUNNING_BYTES]; /* "": nothing that has a name */
    uint64_t running_id;
    uint64_t turns, beat; /* beat: changes with each callback and step */
    uint32_t inbox, timers;
};

/* Any thread; takes the inbox lock. */
void loop_look(struct pen_loop *loop, mono_t now, struct loop_view *ret_view) ANY_THREAD;

/* Call fn for every loop of the process in the order of making, under the lock LOOPS: no loop is freed meanwhile. */
void loops_each(void (*fn)(struct pen_loop *loop, void *arg), void *arg) ANY_THREAD;

#endif
