/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops at a queue: getters that take in events of at most `budget` items, and putters that are told when there is room.
 *
 * Everything runs on the loop's thread, but the signal functions, which only post.
 *
 * A getter is in one of three places: nowhere (paused, or over), in the line of its queue, or due: its post is known
 * to be under way. It stands in line only at the end of a turn that left nothing in the queue, and only while it
 * is not due; otherwise it posts itself to the next turn, so that a loop's sockets get their turn after every event.
 * So no more than one post is ever owed to it, either by the thread that picked it or by itself, and what must wait
 * for that post is simple: resuming does nothing, since the post is as good as the one it would make; closing leaves
 * the freeing to it. The same holds for putters, which stand in line after a short put.
 *
 * A paused or closed getter that was picked passes the wake on at once; its post finds nothing to do when it comes.
 *
 * Rejected: an eventfd for each getter. The inbox costs one wake-up for all that happened while the loop slept, and a
 * closed getter leaves no descriptor that another thread might still write to.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/check.h"
#include "loop/io.h"
#include "task/queue.h"

enum { BUDGET_DEFAULT = 64, BUDGET_MOST = 1024, PUT_MOST = 1 << 30 };

/* What getters and putters have in common: the post and the end. */
struct attached {
    /* fixed after init */
    struct pen_queue *queue;
    struct pen_loop *loop;
    void (*destroy)(struct attached *a);
    struct post post;
    /* owner: loop */
    bool due;     /* the post is known to be under way */
    bool calling; /* in a callback */
    bool closed;
};

struct pen_getter {
    struct attached at;
    struct pen_getter_options options; /* fixed after init */
    struct waiter waiter;              /* lock: queue->put.lock */
    /* owner: loop */
    bool paused, over;
    struct pen_item items[]; /* options.budget */
};

struct pen_putter {
    struct attached at;
    struct pen_putter_options options; /* fixed after init */
    struct putter_wait wait;           /* lock: queue->take.lock */
    /* owner: loop */
    bool wanting; /* a put was short: an event is owed */
    bool turn;    /* an event has told of room, and nothing has been put since */
    bool in_line; /* stands in the line or has been picked from it */
};

/* ---- posts, and the end ---- */

static void attached_init(struct attached *a, struct pen_queue *queue, struct pen_loop *loop,
                          pen_call_fn turn)
{
    a->queue = queue;
    a->loop = loop;
    post_init(&a->post, turn, a);
}

static void make_due(struct attached *a)
{
    if (a->due)
        return;
    a->due = true;
    (void)loop_post(a->loop, &a->post);
}

/* Free it, unless a post or a callback is still to end. */
static void reap(struct attached *a)
{
    if (a->closed && !a->due && !a->calling)
        a->destroy(a);
}

/* The post has come. False when it was only awaited for the end; else *ret_expected says whether the loop knew of it, and
 * it is not what a waker sent. */
static bool post_came(struct attached *a, bool *ret_expected)
{
    *ret_expected = a->due;
    a->due = false;
    if (!a->closed)
        return true;
    loop_expected_came(a->loop);
    reap(a);
    return false;
}

/* After it has left its line. */
static void close_attached(struct attached *a)
{
    a->closed = true;
    if (a->due)
        loop_expect(a->loop);
    reap(a);
}

/* ---- getters ---- */

static void getter_destroy(struct attached *a)
{
    free(CONTAINER_OF(a, struct pen_getter, at));
}

static void getter_signal(struct waiter *w)
{
    struct pen_getter *g = CONTAINER_OF(w, struct pen_getter, waiter);
    (void)loop_post(g->at.loop, &g->at.post);
}

/* Out of the line, for pausing or closing; the wake goes to the next one. */
static void getter_quit(struct pen_getter *g)
{
    if (!g->at.due && queue_getter_leave(g->at.queue, &g->waiter, 0, (span_t){ 0 }))
        g->at.due = true;
}

static bool getter_idle(const struct pen_getter *g)
{
    return g->paused || g->over || g->at.closed;
}

/* Call back with n items, or with the end of the queue. */
static void getter_event(struct pen_getter *g, size_t n)
{
    g->at.calling = true;
    if (n > 0)
        g->options.on_items(g, g->items, n, g->options.arg);
    else if (g->options.on_shutdown != NULL)
        g->options.on_shutdown(g, g->options.arg);
    g->at.calling = false;
}

/* Stand in line, or take the next turn when there is something. */
static void getter_rearm(struct pen_getter *g, bool front)
{
    if (getter_idle(g) || g->at.due)
        return;
    if (queue_getter_park(g->at.queue, &g->waiter, front) != LINE_WAITS)
        make_due(&g->at);
}

static void getter_turn(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct attached *a = arg;
    struct pen_getter *g = CONTAINER_OF(a, struct pen_getter, at);
    bool expected;
    if (!post_came(a, &expected))
        return;
    bool idle = getter_idle(g) || status < 0;
    if (!expected)
        (void)queue_getter_leave(a->queue, &g->waiter, idle ? 0 : g->options.budget, (span_t){ 0 });
    if (idle)
        return;
    size_t got = 0;
    int r = queue_take_some(a->queue, g->items, g->options.budget, &got);
    if (r == PEN_ESHUTDOWN)
        g->over = true;
    if (r != PEN_EEMPTY)
        getter_event(g, got);
    getter_rearm(g, !expected && r == PEN_EEMPTY); /* To the front, when it was woken in vain. */
    reap(a);
}

int pen_queue_attach(struct pen_queue *queue, struct pen_loop *loop,
                     const struct pen_getter_options *options, struct pen_getter **ret_getter)
{
    if (options == NULL || options->on_items == NULL || options->budget > BUDGET_MOST)
        return PEN_EINVAL;
    if (!loop_may_touch(loop))
        return PEN_EWRONGTHREAD;
    uint32_t budget = options->budget != 0 ? options->budget : BUDGET_DEFAULT;
    struct pen_getter *g = calloc(1, sizeof *g + budget * sizeof g->items[0]);
    if (g == NULL)
        return PEN_ENOMEM;
    attached_init(&g->at, queue, loop, getter_turn);
    g->at.destroy = getter_destroy;
    g->options = *options;
    g->options.budget = budget;
    waiter_init(&g->waiter, getter_signal);
    make_due(&g->at);
    *ret_getter = g;
    return 0;
}

void pen_getter_pause(struct pen_getter *g)
{
    loop_assert_here(g->at.loop);
    if (g->paused)
        return;
    g->paused = true;
    getter_quit(g);
}

void pen_getter_resume(struct pen_getter *g)
{
    loop_assert_here(g->at.loop);
    if (!g->paused)
        return;
    g->paused = false;
    if (!g->over)
        make_due(&g->at);
}

void pen_getter_close(struct pen_getter **getter)
{
    struct pen_getter *g = *getter;
    if (g == NULL)
        return;
    loop_assert_here(g->at.loop);
    *getter = NULL;
    getter_quit(g);
    close_attached(&g->at);
}

/* ---- putters ---- */

static void putter_destroy(struct attached *a)
{
    free(CONTAINER_OF(a, struct pen_putter, at));
}

static void putter_signal(struct waiter *w)
{
    struct pen_putter *p = CONTAINER_OF(w, struct pen_putter, wait.waiter);
    (void)loop_post(p->at.loop, &p->at.post);
}

/* Out of the line, having got everything or for good; the room goes to the next one. */
static void putter_quit(struct pen_putter *p)
{
    p->wanting = false;
    if (!p->in_line)
        return;
    p->in_line = false;
    if (queue_putter_leave(p->at.queue, &p->wait, (span_t){ 0 }))
        p->at.due = true;
}

static void putter_event(struct pen_putter *p, void (*event)(struct pen_putter *putter, void *arg))
{
    p->wanting = false;
    p->at.calling = true;
    if (event != NULL)
        event(p, p->options.arg);
    p->at.calling = false;
}

static void putter_turn(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct attached *a = arg;
    struct pen_putter *p = CONTAINER_OF(a, struct pen_putter, at);
    bool expected;
    if (!post_came(a, &expected))
        return;
    if (!p->wanting || status < 0) {
        putter_quit(p);
        return;
    }
    enum line line = queue_putter_arrive(a->queue, &p->wait);
    p->in_line = line == LINE_WAITS;
    if (line == LINE_WAITS)
        return;
    p->turn = line == LINE_RETRY;
    putter_event(p, line == LINE_OVER ? p->options.on_shutdown : p->options.on_room);
    p->turn = false;
    if (!a->closed)
        queue_putter_baton(a->queue);
    reap(a);
}

int pen_queue_attach_putter(struct pen_queue *queue, struct pen_loop *loop,
                            const struct pen_putter_options *options, struct pen_putter **ret_putter)
{
    if (options == NULL || options->on_room == NULL)
        return PEN_EINVAL;
    if (!loop_may_touch(loop))
        return PEN_EWRONGTHREAD;
    struct pen_putter *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    attached_init(&p->at, queue, loop, putter_turn);
    p->at.destroy = putter_destroy;
    p->options = *options;
    waiter_init(&p->wait.waiter, putter_signal);
    *ret_putter = p;
    return 0;
}

/* Put what fits; stand in line for the rest. 0, PEN_EFULL when it stands there or a post is coming anyway, which will
 * look for room, or an error. */
static int put_or_stand(struct pen_putter *p, const struct pen_item *items, size_t n, size_t *ret_put)
{
    size_t put = 0, k;
    bool turn = p->turn, fair = queue_is_fair(p->at.queue);
    int r;
    p->turn = false;
    for (;;) {
        r = queue_put_some(p->at.queue, items + put, n - put, turn, &k);
        put += k;
        if (r != PEN_EFULL)
            break;
        if (p->at.due) {
            p->wait.need = items[put].bytes; /* It is in no line: nobody else looks. */
            break;
        }
        bool front = p->at.calling && (!fair || (turn && put == 0));
        if (queue_putter_park(p->at.queue, &p->wait, items[put].bytes, front) == LINE_WAITS) {
            p->in_line = true;
            break;
        }
        turn = true;
    }
    *ret_put = put;
    return r;
}

int pen_putter_put(struct pen_putter *p, const struct pen_item *items, size_t n)
{
    if (!loop_may_touch(p->at.loop))
        return PEN_EWRONGTHREAD;
    if (n > PUT_MOST || !queue_items_valid(items, n))
        return PEN_EINVAL;
    size_t put = 0;
    int r = n > 0 ? put_or_stand(p, items, n, &put) : 0;
    if (r == PEN_EFULL) {
        p->wanting = true;
        return (int)put;
    }
    putter_quit(p);
    if (r < 0 && put == 0)
        return r;
    if (r < 0) { /* What comes next is told after an event: it could not be put for another reason. */
        p->wanting = true;
        p->wait.need = items[put].bytes;
        make_due(&p->at);
    }
    return (int)put;
}

void pen_putter_close(struct pen_putter **putter)
{
    struct pen_putter *p = *putter;
    if (p == NULL)
        return;
    loop_assert_here(p->at.loop);
    *putter = NULL;
    putter_quit(p);
    if (p->at.calling) /* The room it was told of, and has perhaps not used. */
        queue_putter_baton(p->at.queue);
    close_attached(&p->at);
}
