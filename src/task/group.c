/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups: who belongs together ends together.
 *
 * Any thread calls any of it; all state is under the group's lock, and futures are cancelled and completed without it.
 *
 * A group's own end is a future, completed with the outcome by whoever takes the last member away. Waiting for a group,
 * being told on a loop, and being a member of another group are therefore what they are for any future; only
 * cancelling goes another way, because a future's on_cancel may do no more than post: the parent knows that the member is
 * a group and cancels that.
 *
 * Members. A place is reserved before a job is submitted, so the group cannot end between the two. The member's hook on
 * its future runs where that ends, maybe on the thread that is just cancelling it; so cancelling takes one member at
 * a time from `members` to `asked`, under the lock, and asks it outside. Those that fail are kept in `failed`, which
 * is the list of errors; nothing is allocated when something goes wrong.
 *
 * References: the user's, one for each member, reservation and call on a loop, the deadline's.
 */
#include "task/group.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/count.h"
#include "base/list.h"
#include "loop/io.h"
#include "sync/lock.h"
#include "task/deadline.h"
#include "task/future.h"

enum group_state {
    GROUP_OPEN,
    GROUP_CLOSING, /* a member failed, it was cancelled, or its time has come */
    GROUP_ENDED,
    GROUP_STATES
};

static const bool legal_moves[GROUP_STATES][GROUP_STATES] = {
    [GROUP_OPEN] = { [GROUP_CLOSING] = true, [GROUP_ENDED] = true },
    [GROUP_CLOSING] = { [GROUP_ENDED] = true },
};

struct pen_group {
    struct listed listed;
    /* fixed after init */
    struct pen_job_options job;
    struct pen_future *end;
    struct pen_deadline *deadline; /* NULL: none */
    /* atomic */
    struct refs refs;
    /* lock: this one */
    struct lock lock;
    enum group_state state;
    int closed_by;       /* PEN_ECANCELED or PEN_ETIMEOUT; 0: neither, or a failure came first */
    bool awaited;        /* it ends when it has no members */
    size_t present;      /* members and reservations */
    struct list members; /* of struct group_member: not asked to end */
    struct list asked;   /* the same: asked to end */
    struct list failed;  /* the same: have ended; in order */
    size_t failed_count;
};

struct group_member {
    /* fixed after init */
    struct pen_group *group; /* a reference, until it has ended */
    struct pen_future *future;
    struct pen_group *child; /* a reference; NULL: the member is no group */
    struct future_hook hook;
    /* lock: the group's */
    struct list node;
};

/* ---- references ---- */

static struct pen_group *ref(struct pen_group *g)
{
    refs_add(&g->refs, 1);
    return g;
}

static void member_free(struct group_member *m)
{
    pen_future_unref(&m->future);
    free(m);
}

static void unref(struct pen_group *g)
{
    if (!refs_drop(&g->refs, 1))
        return;
    check(g->state == GROUP_ENDED && g->present == 0);
    listed_remove(LISTED_GROUP, &g->listed);
    struct list *node;
    while ((node = list_take_front(&g->failed)) != NULL)
        member_free(CONTAINER_OF(node, struct group_member, node));
    pen_future_unref(&g->end);
    lock_fini(&g->lock);
    free(g);
}

/* ---- the end ---- */

static void set_state(struct pen_group *g, enum group_state to) LOCKED(&g->lock)
{
    check(legal_moves[g->state][to]);
    g->state = to;
}

static int outcome(const struct pen_group *g) LOCKED(&g->lock)
{
    if (g->failed_count == 0)
        return g->closed_by;
    return pen_future_error(CONTAINER_OF(g->failed.next, struct group_member, node)->future);
}

/* End it when nothing keeps it any more. */
static void end_if_due(struct pen_group *g)
{
    lock_take(&g->lock);
    bool due =
        g->present == 0 && g->state != GROUP_ENDED && (g->awaited || g->state == GROUP_CLOSING);
    int r = outcome(g);
    if (due)
        set_state(g, GROUP_ENDED);
    lock_drop(&g->lock);
    if (due)
        future_complete(g->end, r, NULL);
}

/* The next one to ask: NULL when all have been. Its future, or its group, has a reference more. */
static bool take_unasked(struct pen_group *g, struct pen_future **ret_future,
                         struct pen_group **ret_child)
{
    lock_take(&g->lock);
    struct list *node = list_take_front(&g->members);
    if (node != NULL) {
        struct group_member *m = CONTAINER_OF(node, struct group_member, node);
        list_push_back(&g->asked, node);
        *ret_future = pen_future_ref(m->future);
        *ret_child = m->child != NULL ? ref(m->child) : NULL;
    }
    lock_drop(&g->lock);
    return node != NULL;
}

static void cancel_members(struct pen_group *g)
{
    struct pen_future *f;
    struct pen_group *child;
    while (take_unasked(g, &f, &child)) {
        if (child != NULL) {
            pen_group_cancel(child);
            unref(child);
        } else {
            (void)pen_future_cancel(f);
        }
        pen_future_unref(&f);
    }
}

/* Close it for a reason from outside: PEN_ECANCELED or PEN_ETIMEOUT. */
static void close_by(struct pen_group *g, int reason)
{
    ref(g);
    lock_take(&g->lock);
    if (g->state == GROUP_OPEN) {
        set_state(g, GROUP_CLOSING);
        g->closed_by = reason;
    }
    lock_drop(&g->lock);
    cancel_members(g);
    end_if_due(g);
    unref(g);
}

void pen_group_cancel(struct pen_group *g)
{
    close_by(g, PEN_ECANCELED);
}

/* ---- members ---- */

int group_reserve(struct pen_group *g, struct group_member **ret_member)
{
    struct group_member *m = calloc(1, sizeof *m);
    if (m == NULL)
        return PEN_ENOMEM;
    lock_take(&g->lock);
    int r = g->state == GROUP_OPEN ? 0 : PEN_ESHUTDOWN;
    if (r == 0)
        g->present++;
    lock_drop(&g->lock);
    if (r < 0) {
        free(m);
        return r;
    }
    m->group = ref(g);
    list_init(&m->node);
    *ret_member = m;
    return 0;
}

/* One less; the caller's reference goes. */
static void leave(struct pen_group *g)
{
    lock_take(&g->lock);
    g->present--;
    lock_drop(&g->lock);
    end_if_due(g);
    unref(g);
}

void group_give_back(struct group_member *m)
{
    struct pen_group *g = m->group;
    free(m);
    leave(g);
}

/* Take it off the list of those that are to end; true when its failure is to cancel the others. */
static bool note_end(struct pen_group *g, struct group_member *m, bool failed) LOCKED(&g->lock)
{
    list_remove(&m->node);
    if (!failed)
        return false;
    list_push_back(&g->failed, &m->node);
    g->failed_count++;
    if (g->state != GROUP_OPEN)
        return false;
    set_state(g, GROUP_CLOSING);
    return true;
}

/* The member's future is done. */
static void member_done(struct future_hook *hook, struct pen_future *f)
{
    struct group_member *m = CONTAINER_OF(hook, struct group_member, hook);
    struct pen_group *g = m->group, *child = m->child;
    int error = pen_future_error(f);
    bool failed = error < 0 && error != PEN_ECANCELED;
    lock_take(&g->lock);
    bool first = note_end(g, m, failed);
    lock_drop(&g->lock);
    if (!failed)
        member_free(m); /* One that failed is the group's. */
    if (first)
        cancel_members(g);
    if (child != NULL)
        unref(child);
    leave(g);
}

/* Into the list, and hooked to its future. The group may have closed meanwhile. */
static void enter(struct group_member *m, struct pen_future *f)
{
    struct pen_group *g = m->group;
    m->future = pen_future_ref(f);
    m->hook.fn = member_done;
    ref(g); /* The member may end at any moment from here on. */
    lock_take(&g->lock);
    list_push_back(&g->members, &m->node);
    bool closing = g->state != GROUP_OPEN;
    lock_drop(&g->lock);
    if (!future_hook(f, &m->hook))
        member_done(&m->hook, f);
    if (closing)
        cancel_members(g);
    unref(g);
}

void group_join(struct group_member *m, struct pen_future *f)
{
    enter(m, f);
}

int group_settle(struct group_member *m, int r, struct pen_future *f, struct pen_future **ret_future)
{
    if (r < 0) {
        group_give_back(m);
        return r;
    }
    group_join(m, f);
    if (ret_future != NULL)
        *ret_future = f;
    else
        pen_future_unref(&f);
    return 0;
}

const struct pen_job_options *group_job_options(const struct pen_group *g)
{
    return &g->job;
}

int pen_group_loop_submit(struct pen_group *g, struct pen_loop *loop, pen_job_fn fn, void *arg,
                          struct pen_future **ret_future)
{
    struct group_member *m;
    struct pen_future *f = NULL;
    int r = group_reserve(g, &m);
    if (r < 0)
        return r;
    r = pen_loop_submit(loop, fn, arg, &g->job, &f);
    return group_settle(m, r, f, ret_future);
}

int pen_group_pool_submit(struct pen_group *g, struct pen_pool *pool, pen_job_fn fn, void *arg,
                          struct pen_future **ret_future)
{
    struct group_member *m;
    struct pen_future *f = NULL;
    int r = group_reserve(g, &m);
    if (r < 0)
        return r;
    r = pen_pool_submit(pool, fn, arg, &g->job, &f);
    return group_settle(m, r, f, ret_future);
}

int pen_group_iso_submit(struct pen_group *g, struct pen_isopool *pool, const void *request,
                         size_t bytes, struct pen_future **ret_future)
{
    struct group_member *m;
    struct pen_future *f = NULL;
    int r = group_reserve(g, &m);
    if (r < 0)
        return r;
    r = pen_isopool_submit(pool, request, bytes, &f);
    return group_settle(m, r, f, ret_future);
}

int pen_group_add(struct pen_group *g, struct pen_future *future)
{
    struct group_member *m;
    int r = group_reserve(g, &m);
    if (r == 0)
        group_join(m, future);
    return r;
}

/* ---- waiting ---- */

static void await(struct pen_group *g)
{
    lock_take(&g->lock);
    g->awaited = true;
    lock_drop(&g->lock);
    end_if_due(g);
}

int pen_group_outcome(const struct pen_group *g)
{
    return pen_future_error(g->end);
}

int pen_group_wait(struct pen_group *g, pen_mono_t deadline)
{
    if (loop_any_here() && pen_group_outcome(g) == PEN_EBUSY)
        return PEN_EWRONGTHREAD;
    await(g);
    return future_await(g->end, deadline) ? pen_group_outcome(g) : PEN_ETIMEOUT;
}

struct group_call {
    struct pen_group *group; /* a reference */
    void (*fn)(struct pen_group *group, int outcome, void *arg);
    void *arg;
};

static void run_group_call(struct pen_future *end, void *arg)
{
    struct group_call c = *(struct group_call *)arg;
    free(arg);
    c.fn(c.group, pen_future_error(end), c.arg);
    unref(c.group);
}

int pen_group_on_done(struct pen_group *g, struct pen_loop *loop,
                      void (*fn)(struct pen_group *group, int outcome, void *arg), void *arg)
{
    if (fn == NULL)
        return PEN_EINVAL;
    struct group_call *c = calloc(1, sizeof *c);
    if (c == NULL)
        return PEN_ENOMEM;
    *c = (struct group_call){ .group = ref(g), .fn = fn, .arg = arg };
    int r = pen_future_on_done(g->end, loop, run_group_call, c);
    if (r < 0) {
        unref(g);
        free(c);
        return r;
    }
    await(g);
    return 0;
}

/* ---- errors ---- */

static struct lock *lock_of(const struct pen_group *g)
{
    return &((struct pen_group *)(uintptr_t)g)->lock;
}

size_t pen_group_errors_count(const struct pen_group *g)
{
    lock_take(lock_of(g));
    size_t count = g->failed_count;
    lock_drop(lock_of(g));
    return count;
}

int pen_group_error_at(const struct pen_group *g, size_t index, const char **ret_name)
{
    const struct group_member *m = NULL;
    lock_take(lock_of(g));
    if (index < g->failed_count) {
        const struct list *node = g->failed.next;
        while (index-- > 0)
            node = node->next;
        m = CONTAINER_OF(node, struct group_member, node);
    }
    lock_drop(lock_of(g));
    if (m == NULL)
        return PEN_EINVAL;
    if (ret_name != NULL)
        *ret_name = future_name(m->future);
    return pen_future_error(m->future);
}

/* ---- the deadline ---- */

static void expire(void *object, const struct pen_deadline *by)
{
    (void)by;
    close_by(object, PEN_ETIMEOUT);
}

static void release(void *object)
{
    unref(object);
}

static int open_deadline(struct pen_group *g, const struct pen_group_options *o)
{
    if (o->loop == NULL)
        return 0;
    struct deadline_target target = { expire, release, ref(g) };
    pen_mono_t when = o->deadline.ns > PEN_NOW.ns ? o->deadline : PEN_NEVER;
    int r = deadline_new(o->loop, NULL, when, &target, &g->deadline);
    if (r < 0)
        unref(g);
    return r;
}

int pen_group_reschedule(struct pen_group *g, pen_mono_t deadline)
{
    return g->deadline != NULL ? pen_deadline_reschedule(g->deadline, deadline) : PEN_EINVAL;
}

/* ---- making and freeing ---- */

static int open_end(struct pen_group *g, const char *name)
{
    struct pen_job_options end = { .name = name != NULL ? name : "group" };
    int r = future_new(&end, &g->end);
    if (r < 0)
        return r;
    future_set_group(g->end);
    check(future_begin(g->end));
    struct pen_future *second = g->end; /* One reference will do. */
    pen_future_unref(&second);
    return 0;
}

void group_look(struct listed *listed, void (*fn)(const void *end, const void *member, void *arg),
                void *arg)
{
    struct pen_group *g = CONTAINER_OF(listed, struct pen_group, listed);
    lock_take(&g->lock);
    LIST_EACH(node, &g->members)
        fn(g->end, CONTAINER_OF(node, struct group_member, node)->future, arg);
    LIST_EACH(node, &g->asked)
        fn(g->end, CONTAINER_OF(node, struct group_member, node)->future, arg);
    lock_drop(&g->lock);
}

static int join_parent(struct pen_group *g, struct pen_group *parent)
{
    if (parent == NULL)
        return 0;
    struct group_member *m;
    int r = group_reserve(parent, &m);
    if (r < 0)
        return r;
    m->child = ref(g);
    group_join(m, g->end);
    return 0;
}

int pen_group_new(const struct pen_group_options *options, struct pen_group **ret_group)
{
    static const struct pen_group_options defaults;
    const struct pen_group_options *o = options != NULL ? options : &defaults;
    if (o->deadline.ns > PEN_NOW.ns && o->loop == NULL)
        return PEN_EINVAL;
    struct pen_group *g = calloc(1, sizeof *g);
    if (g == NULL)
        return PEN_ENOMEM;
    int r = open_end(g, o->name);
    if (r < 0) {
        free(g);
        return r;
    }
    refs_init(&g->refs, 1);
    lock_init(&g->lock, LOCK_GROUP);
    list_init(&g->members);
    list_init(&g->asked);
    list_init(&g->failed);
    if (o->job != NULL)
        g->job = *o->job;
    listed_add(LISTED_GROUP, &g->listed);
    r = open_deadline(g, o);
    if (r == 0)
        r = join_parent(g, o->parent);
    if (r < 0) {
        pen_group_free(&g);
        return r;
    }
    *ret_group = g;
    return 0;
}

void pen_group_free(struct pen_group **group)
{
    struct pen_group *g = *group;
    *group = NULL;
    if (g == NULL)
        return;
    pen_group_cancel(g);
    pen_deadline_free(&g->deadline);
    unref(g);
}
