/* SPDX-License-Identifier: Apache-2.0
 *
 * Futures: one outcome, set once, awaited by threads, told to loops.
 *
 * Any thread calls any of it. Everything that changes is under the future's own lock; the flag that jobs look at in
 * their inner loops is a relaxed counter beside it.
 *
 * Waiting threads stand in a line of sync/waiters, each asleep on a futex in its own stack frame; the end wakes them all.
 * Callbacks on loops are promised posts (loop/io.h): the end makes the post, under the future's lock; a loop that is
 * freed first runs it with PEN_ECLOSED instead, takes the same lock and so knows that nobody will touch it
 * any more. That is why posting happens under the lock, and why it costs nothing else: the lock is below in the order and
 * held for a moment.
 *
 * Hooks are for the library itself (groups, pools): they run after the lock was dropped, on the thread that ended it.
 */
#include "task/future.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/count.h"
#include "base/str.h"
#include "loop/io.h"
#include "plat/clock.h"
#include "sync/lock.h"
#include "sync/waiters.h"

enum { FUTURE_STATES = PEN_FUTURE_DONE + 1 };

static const bool legal_moves[FUTURE_STATES][FUTURE_STATES] = {
    [PEN_FUTURE_PENDING] = { [PEN_FUTURE_RUNNING] = true, [PEN_FUTURE_DONE] = true },
    [PEN_FUTURE_RUNNING] = { [PEN_FUTURE_DONE] = true },
};

struct pen_future {
    /* fixed after init */
    const char *name;
    void (*destroy_result)(void *result);
    struct listed listed;
    mono_t made;
    bool is_group;
    const char *home;      /* NULL: nowhere in particular */
    struct pen_loop *loop; /* that runs the job; alive while the future is not done; NULL: none */
    /* atomic */
    struct refs refs;
    struct count cancel_asked; /* written under the lock, read by anybody */
    struct count waits_for;    /* the address of what the job's thread waits for, written there */
    /* lock: this one */
    struct lock lock;
    enum pen_future_state state;
    int error;
    void *result; /* NULL: none, or taken */
    struct waiters waiters;
    struct list calls; /* of struct done_call */
    struct list hooks; /* of struct future_hook */
    void (*on_cancel)(struct pen_future *f, void *arg);
    void *on_cancel_arg;
    const void *canceller; /* only compared */
};

/* A callback on a loop. */
struct done_call {
    /* lock: the future's */
    struct list node;
    /* fixed after init */
    struct pen_future *future; /* a reference */
    struct pen_loop *loop;
    struct post post;
    void (*fn)(struct pen_future *future, void *arg);
    void *arg;
};

/* ---- making and freeing ---- */

int future_new(const struct pen_job_options *options, struct pen_future **ret_future)
{
    struct pen_future *f = calloc(1, sizeof *f);
    if (f == NULL)
        return PEN_ENOMEM;
    f->name = options != NULL && options->name != NULL ? options->name : "job";
    f->destroy_result = options != NULL ? options->destroy_result : NULL;
    refs_init(&f->refs, 2);
    lock_init(&f->lock, LOCK_FUTURE);
    waiters_init(&f->waiters);
    list_init(&f->calls);
    list_init(&f->hooks);
    f->made = clock_mono();
    listed_add(LISTED_FUTURE, &f->listed);
    *ret_future = f;
    return 0;
}

void future_set_loop(struct pen_future *f, struct pen_loop *loop)
{
    lock_take(&f->lock);
    f->loop = loop;
    lock_drop(&f->lock);
}

/* The lock is for snapshots, which see the future already. */
void future_set_home(struct pen_future *f, const char *home)
{
    lock_take(&f->lock);
    f->home = home;
    lock_drop(&f->lock);
}

void future_set_group(struct pen_future *f)
{
    lock_take(&f->lock);
    f->is_group = true;
    lock_drop(&f->lock);
}

static void destroy_result(const struct pen_future *f, void *result)
{
    if (result != NULL && f->destroy_result != NULL)
        f->destroy_result(result);
}

struct pen_future *pen_future_ref(struct pen_future *f)
{
    refs_add(&f->refs, 1);
    return f;
}

void pen_future_unref(struct pen_future **future)
{
    struct pen_future *f = *future;
    *future = NULL;
    if (f == NULL || !refs_drop(&f->refs, 1))
        return;
    check(f->state == PEN_FUTURE_DONE && list_empty(&f->calls) && list_empty(&f->hooks));
    listed_remove(LISTED_FUTURE, &f->listed);
    destroy_result(f, f->result);
    lock_fini(&f->lock);
    free(f);
}

const char *future_name(const struct pen_future *f)
{
    return f->name;
}

/* ---- states ---- */

static void set_state(struct pen_future *f, enum pen_future_state to) LOCKED(&f->lock)
{
    check(legal_moves[f->state][to]);
    f->state = to;
}

/* The end: tell everybody. The hooks are left to the caller, for after the lock. */
static void set_done(struct pen_future *f, int error, struct list *ret_hooks) LOCKED(&f->lock)
{
    set_state(f, PEN_FUTURE_DONE);
    f->error = error;
    f->on_cancel = NULL;
    waiters_wake_all(&f->waiters);
    struct list *node;
    while ((node = list_take_front(&f->calls)) != NULL) {
        struct done_call *call = CONTAINER_OF(node, struct done_call, node);
        (void)loop_post(call->loop, &call->post);
    }
    list_append(ret_hooks, &f->hooks);
}

static void run_hooks(struct pen_future *f, struct list *hooks)
{
    struct list *node;
    while ((node = list_take_front(hooks)) != NULL) {
        struct future_hook *hook = CONTAINER_OF(node, struct future_hook, node);
        hook->fn(hook, f);
    }
}

bool future_begin(struct pen_future *f)
{
    lock_take(&f->lock);
    bool begun = f->state == PEN_FUTURE_PENDING;
    if (begun)
        set_state(f, PEN_FUTURE_RUNNING);
    lock_drop(&f->lock);
    return begun;
}

void future_complete(struct pen_future *f, int error, void *result)
{
    check(error <= 0);
    struct list hooks;
    list_init(&hooks);
    lock_take(&f->lock);
    check(f->state == PEN_FUTURE_RUNNING);
    if (error == 0)
        f->result = result;
    set_done(f, error, &hooks);
    lock_drop(&f->lock);
    if (error < 0)
        destroy_result(f, result);
    run_hooks(f, &hooks);
}

void future_discard(struct pen_future *f)
{
    check(f->state == PEN_FUTURE_PENDING && list_empty(&f->calls) && list_empty(&f->hooks));
    listed_remove(LISTED_FUTURE, &f->listed);
    lock_fini(&f->lock);
    free(f);
}

/* ---- cancelling ---- */

int pen_future_cancel(struct pen_future *f)
{
    return future_cancel_as(f, NULL);
}

int future_cancel_as(struct pen_future *f, const void *who)
{
    struct list hooks;
    list_init(&hooks);
    lock_take(&f->lock);
    int r = f->state != PEN_FUTURE_DONE || f->error == PEN_ECANCELED ? 0 : PEN_ECLOSED;
    bool first = f->state != PEN_FUTURE_DONE && !future_cancel_asked(f);
    if (first) {
        count_set(&f->cancel_asked, 1);
        f->canceller = who;
        if (f->on_cancel != NULL)
            f->on_cancel(f, f->on_cancel_arg);
        f->on_cancel = NULL;
    }
    if (first && f->state == PEN_FUTURE_PENDING)
        set_done(f, PEN_ECANCELED, &hooks);
    lock_drop(&f->lock);
    run_hooks(f, &hooks);
    return r;
}

bool future_cancel_asked(const struct pen_future *f)
{
    return count_read(&f->cancel_asked) != 0;
}

void future_on_cancel(struct pen_future *f, void (*fn)(struct pen_future *f, void *arg), void *arg)
{
    lock_take(&f->lock);
    bool open = f->state != PEN_FUTURE_DONE;
    bool now = open && fn != NULL && future_cancel_asked(f);
    if (now) {
        fn(f, arg);
    } else if (open) {
        f->on_cancel = fn;
        f->on_cancel_arg = arg;
    }
    lock_drop(&f->lock);
}

/* ---- asking ---- */

/* Sleep until it is done or the deadline has passed. */
/* ---- seen from outside ---- */

/* The job that the calling thread is inside of. */
static _Thread_local struct pen_future *job_here;

struct pen_future *future_enter(struct pen_future *f)
{
    struct pen_future *before = job_here;
    job_here = f;
    return before;
}

bool future_look(struct listed *listed, struct future_view *ret_view)
{
    struct pen_future *f = CONTAINER_OF(listed, struct pen_future, listed);
    lock_take(&f->lock);
    bool lives = f->state != PEN_FUTURE_DONE;
    if (lives) { /* Only then are its name and its loop sure to be there. */
        const char *home = f->loop != NULL ? pen_loop_name(f->loop) : f->home;
        *ret_view = (struct future_view){
            .at = f,
            .waits_for = (const void *)(uintptr_t)count_read(&f->waits_for),
            .state = f->state,
            .made = f->made,
            .awaited = f->waiters.parked_count > 0,
            .is_group = f->is_group,
        };
        (void)str_copy(ret_view->name, sizeof ret_view->name, f->name);
        (void)str_copy(ret_view->home, sizeof ret_view->home, home != NULL ? home : "");
    }
    lock_drop(&f->lock);
    return lives;
}

static int await_done(struct pen_future *f, pen_mono_t deadline) LOCKED(&f->lock)
{
    if (f->state == PEN_FUTURE_DONE)
        return 0;
    if (f->loop != NULL && pen_loop_here(f->loop))
        return PEN_EWRONGTHREAD;
    if (deadline.ns <= PEN_NOW.ns)
        return PEN_ETIMEOUT;
    struct waiter w;
    waiter_init(&w, NULL);
    waiters_park(&f->waiters, &w, false);
    lock_drop(&f->lock);
    if (job_here != NULL)
        count_set(&job_here->waits_for, (uint64_t)(uintptr_t)f);
    (void)waiter_sleep(&w, deadline);
    if (job_here != NULL)
        count_set(&job_here->waits_for, 0);
    lock_take(&f->lock);
    (void)waiters_leave(&f->waiters, &w);
    return f->state == PEN_FUTURE_DONE ? 0 : PEN_ETIMEOUT;
}

bool future_await(struct pen_future *f, pen_mono_t deadline)
{
    lock_take(&f->lock);
    int r = await_done(f, deadline);
    lock_drop(&f->lock);
    check(r != PEN_EWRONGTHREAD);
    return r == 0;
}

int pen_future_get(struct pen_future *f, pen_mono_t deadline, void **ret_result)
{
    lock_take(&f->lock);
    int r = await_done(f, deadline);
    if (r == 0)
        r = f->error;
    if (r == 0 && ret_result != NULL)
        *ret_result = f->result;
    lock_drop(&f->lock);
    return r;
}

int pen_future_get_or_cancel(struct pen_future *f, pen_mono_t deadline, void **ret_result)
{
    int r = pen_future_get(f, deadline, ret_result);
    if (r != PEN_ETIMEOUT || pen_future_cancel(f) == 0)
        return r;
    return pen_future_get(f, PEN_NOW, ret_result); /* It ended between the two. */
}

void *pen_future_take(struct pen_future *f)
{
    lock_take(&f->lock);
    void *result = f->result;
    f->result = NULL;
    lock_drop(&f->lock);
    return result;
}

/* For the calls that only look. */
static struct lock *lock_of(const struct pen_future *f)
{
    return &((struct pen_future *)(uintptr_t)f)->lock;
}

const void *future_canceller(const struct pen_future *f)
{
    lock_take(lock_of(f));
    const void *who = f->canceller;
    lock_drop(lock_of(f));
    return who;
}

enum pen_future_state pen_future_state(const struct pen_future *f)
{
    lock_take(lock_of(f));
    enum pen_future_state state = f->state;
    lock_drop(lock_of(f));
    return state;
}

int pen_future_error(const struct pen_future *f)
{
    lock_take(lock_of(f));
    int error = f->state == PEN_FUTURE_DONE ? f->error : PEN_EBUSY;
    lock_drop(lock_of(f));
    return error;
}

/* ---- telling ---- */

/* On the loop: the future is done, or (PEN_ECLOSED) the loop is freed first. */
static void run_done_call(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    (void)status;
    struct done_call *call = arg;
    lock_take(&call->future->lock);
    list_remove(&call->node); /* Nobody posts it from here on. */
    lock_drop(&call->future->lock);
    call->fn(call->future, call->arg);
    pen_future_unref(&call->future);
    free(call);
}

int pen_future_on_done(struct pen_future *f, struct pen_loop *loop,
                       void (*fn)(struct pen_future *future, void *arg), void *arg)
{
    if (fn == NULL)
        return PEN_EINVAL;
    struct done_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return PEN_ENOMEM;
    list_init(&call->node);
    call->future = pen_future_ref(f);
    call->loop = loop;
    call->fn = fn;
    call->arg = arg;
    post_init(&call->post, run_done_call, call);
    lock_take(&f->lock);
    loop_promise(loop, &call->post, PROMISE_CALL);
    if (f->state == PEN_FUTURE_DONE)
        (void)loop_post(loop, &call->post);
    else
        list_push_back(&f->calls, &call->node);
    lock_drop(&f->lock);
    return 0;
}

bool future_hook(struct pen_future *f, struct future_hook *hook)
{
    lock_take(&f->lock);
    bool kept = f->state != PEN_FUTURE_DONE;
    if (kept)
        list_push_back(&f->hooks, &hook->node);
    lock_drop(&f->lock);
    return kept;
}

bool future_unhook(struct pen_future *f, struct future_hook *hook)
{
    lock_take(&f->lock);
    bool kept = f->state != PEN_FUTURE_DONE;
    if (kept)
        list_remove(&hook->node);
    lock_drop(&f->lock);
    return kept;
}
