/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines: timers on a loop, moved from any thread, in a tree.
 *
 * What any thread may change (the time, the tree, the end) is under one lock that all deadlines of a tree share; only the
 * loop touches the timer. Whoever changes the time posts `sync`, and the loop sets the timer by what it finds. A timer
 * that fires before its sync has come looks at the time again.
 *
 * Life. One reference is the caller's, one the loop's. The loop gives its own back when sync finds the deadline closed,
 * or when the loop is freed: a promised post (loop/io.h) tells it so, and nobody posts after that. If a sync is under
 * way then, that one gives the reference back, because it comes later.
 *
 * When the time comes, the deadline and all that are nested in it are ended, outside the lock. Who was first to cancel is
 * the future's own knowledge (future_canceller()), so that a deadline is never taken for the one that ended work which
 * somebody else had cancelled a moment before.
 */
#include "task/deadline.h"

#include <stdlib.h>

#include "base/count.h"
#include "base/list.h"
#include "loop/io.h"
#include "plat/clock.h"
#include "sync/lock.h"
#include "task/future.h"

struct deadline_tree {
    struct refs refs; /* one for each deadline */
    struct lock lock;
};

struct pen_deadline {
    /* fixed after init */
    struct deadline_tree *tree;
    struct deadline_target target;
    struct post sync_post, close_post;
    struct refs refs;
    /* owner: loop */
    struct pen_timer timer;
    /* lock: tree->lock */
    struct pen_loop *loop; /* NULL: freed, or done with */
    struct pen_deadline *parent;
    struct list node;     /* in parent->children */
    struct list children; /* of struct pen_deadline */
    pen_mono_t when;
    bool sync_due; /* sync_post is under way, or about to look */
    bool fired;    /* its own time has come */
    bool over;     /* that, or the time of one it is nested in */
    bool closed;
};

/* ---- references ---- */

static int tree_join(struct pen_deadline *parent, struct deadline_tree **ret_tree)
{
    if (parent != NULL) {
        refs_add(&parent->tree->refs, 1);
        *ret_tree = parent->tree;
        return 0;
    }
    struct deadline_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL)
        return PEN_ENOMEM;
    refs_init(&tree->refs, 1);
    lock_init(&tree->lock, LOCK_DEADLINE);
    *ret_tree = tree;
    return 0;
}

static void tree_leave(struct deadline_tree *tree)
{
    if (!refs_drop(&tree->refs, 1))
        return;
    lock_fini(&tree->lock);
    free(tree);
}

static void unref(struct pen_deadline *d)
{
    if (!refs_drop(&d->refs, 1))
        return;
    d->target.release(d->target.object);
    tree_leave(d->tree);
    free(d);
}

static struct pen_deadline *ref(struct pen_deadline *d)
{
    refs_add(&d->refs, 1);
    return d;
}

/* ---- when the time comes ---- */

/* One in the tree below d, d itself included, that is not over. The depth is that of the nesting. */
static struct pen_deadline *find_going(struct pen_deadline *d) LOCKED(&d->tree->lock)
{
    if (!d->over)
        return d;
    LIST_EACH(node, &d->children) {
        struct pen_deadline *found = find_going(CONTAINER_OF(node, struct pen_deadline, node));
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* The same with a reference, and it is over from here on. */
static struct pen_deadline *take_going(struct pen_deadline *d)
{
    lock_take(&d->tree->lock);
    struct pen_deadline *found = find_going(d);
    if (found != NULL)
        ref(found)->over = true;
    lock_drop(&d->tree->lock);
    return found;
}

static void expire(struct pen_deadline *d)
{
    struct pen_deadline *each;
    while ((each = take_going(d)) != NULL) {
        each->target.expire(each->target.object, d);
        unref(each);
    }
}

static void timer_turn(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct pen_deadline *d = arg;
    if (status < 0)
        return; /* close_turn() follows. */
    lock_take(&d->tree->lock);
    bool now = !d->closed && !d->fired && d->when.ns <= clock_mono().ns;
    if (now)
        d->fired = true;
    lock_drop(&d->tree->lock);
    if (now)
        expire(d);
}

/* ---- the loop's side ---- */

/* Set the timer by the time that is wanted. */
static void set_timer(struct pen_deadline *d, struct pen_loop *loop, pen_mono_t when)
{
    pen_timer_cancel(&d->timer);
    if (when.ns == PEN_NEVER.ns)
        return;
    int r = pen_loop_call_at(loop, &d->timer, when, timer_turn, d);
    if (r != PEN_ENOMEM)
        return;
    /* A limit that cannot be kept is at its end: better early than never. */
    lock_take(&d->tree->lock);
    d->fired = true;
    lock_drop(&d->tree->lock);
    expire(d);
}

/* The deadline was freed: the loop gives its reference back, now or, when it is itself being freed, in close_turn(). */
static void let_go(struct pen_deadline *d, struct pen_loop *loop)
{
    pen_timer_cancel(&d->timer);
    if (!loop_withdraw(loop, &d->close_post))
        return;
    lock_take(&d->tree->lock);
    d->loop = NULL;
    lock_drop(&d->tree->lock);
    unref(d);
}

static void sync_turn(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    struct pen_deadline *d = arg;
    lock_take(&d->tree->lock);
    d->sync_due = false;
    bool orphan = d->loop == NULL, closed = d->closed, idle = d->fired;
    pen_mono_t when = d->when;
    lock_drop(&d->tree->lock);
    if (orphan)
        unref(d);
    else if (closed)
        let_go(d, loop);
    else if (status == 0 && !idle)
        set_timer(d, loop, when);
}

static void close_turn(struct pen_loop *loop, void *arg, int status)
{
    loop_assert_here(loop);
    (void)status;
    struct pen_deadline *d = arg;
    lock_take(&d->tree->lock);
    d->loop = NULL; /* Nobody posts from here on. */
    bool due = d->sync_due;
    lock_drop(&d->tree->lock);
    if (!due)
        unref(d);
}

/* Have the loop look. One that is due has not looked yet, even if the loop has taken its post already; a second post
 * would come when the first has let the deadline go. */
static void sync(struct pen_deadline *d) LOCKED(&d->tree->lock)
{
    if (d->sync_due)
        return;
    d->sync_due = true;
    (void)loop_post(d->loop, &d->sync_post);
}

/* ---- making, moving, freeing ---- */

/* The one whose time has come, from d upwards; d is over. */
static const struct pen_deadline *fired_above(const struct pen_deadline *d)
{
    while (!d->fired && d->parent != NULL)
        d = d->parent;
    return d;
}

/* Start: in the tree and on the loop. Returns what has expired already, or NULL. */
static const struct pen_deadline *start(struct pen_deadline *d, struct pen_deadline *parent)
{
    lock_take(&d->tree->lock);
    d->parent = parent;
    if (parent != NULL) {
        list_push_back(&parent->children, &d->node);
        d->over = parent->over;
    }
    const struct pen_deadline *by = d->over ? fired_above(d) : NULL;
    loop_promise(d->loop, &d->close_post, PROMISE_CALL);
    sync(d);
    lock_drop(&d->tree->lock);
    return by;
}

int deadline_new(struct pen_loop *loop, struct pen_deadline *parent, pen_mono_t when,
                 const struct deadline_target *target, struct pen_deadline **ret_deadline)
{
    struct pen_deadline *d = calloc(1, sizeof *d);
    if (d == NULL)
        return PEN_ENOMEM;
    int r = tree_join(parent, &d->tree);
    if (r < 0) {
        free(d);
        return r;
    }
    refs_init(&d->refs, 2);
    d->target = *target;
    d->loop = loop;
    d->when = when;
    list_init(&d->node);
    list_init(&d->children);
    post_init(&d->sync_post, sync_turn, d);
    post_init(&d->close_post, close_turn, d);
    const struct pen_deadline *by = start(d, parent);
    if (by != NULL)
        d->target.expire(d->target.object, by);
    *ret_deadline = d;
    return 0;
}

static void expire_future(void *object, const struct pen_deadline *by)
{
    (void)future_cancel_as(object, by);
}

static void release_future(void *object)
{
    struct pen_future *f = object;
    pen_future_unref(&f);
}

int pen_deadline_new(struct pen_loop *loop, struct pen_deadline *parent, pen_mono_t when,
                     struct pen_future *future, struct pen_deadline **ret_deadline)
{
    struct deadline_target target = { expire_future, release_future, pen_future_ref(future) };
    int r = deadline_new(loop, parent, when, &target, ret_deadline);
    if (r < 0)
        pen_future_unref(&future);
    return r;
}

int pen_deadline_reschedule(struct pen_deadline *d, pen_mono_t when)
{
    lock_take(&d->tree->lock);
    int r = d->fired ? PEN_ETIMEOUT : d->loop == NULL ? PEN_ECLOSED : 0;
    if (r == 0) {
        d->when = when;
        sync(d);
    }
    lock_drop(&d->tree->lock);
    return r;
}

bool pen_deadline_expired(const struct pen_deadline *d)
{
    lock_take(&d->tree->lock);
    bool fired = d->fired;
    lock_drop(&d->tree->lock);
    return fired && d->target.expire == expire_future && future_canceller(d->target.object) == d;
}

int pen_deadline_outcome(const struct pen_deadline *d, int outcome)
{
    return outcome == PEN_ECANCELED && pen_deadline_expired(d) ? PEN_ETIMEOUT : outcome;
}

/* Out of the tree; those below go on in the parent. */
static void leave_tree(struct pen_deadline *d) LOCKED(&d->tree->lock)
{
    LIST_EACH(node, &d->children)
        CONTAINER_OF(node, struct pen_deadline, node)->parent = d->parent;
    if (d->parent != NULL)
        list_append(&d->parent->children, &d->children);
    else
        while (list_take_front(&d->children) != NULL) {
        }
    list_remove(&d->node);
    d->parent = NULL;
}

void pen_deadline_free(struct pen_deadline **deadline)
{
    struct pen_deadline *d = *deadline;
    *deadline = NULL;
    if (d == NULL)
        return;
    lock_take(&d->tree->lock);
    d->closed = true;
    leave_tree(d);
    if (d->loop != NULL)
        sync(d);
    lock_drop(&d->tree->lock);
    unref(d);
}
