/* SPDX-License-Identifier: Apache-2.0
 *
 * What all handlers have in common: counting what is in hand, telling room and the end.
 *
 * The receiver's callbacks may call back into the handler, and on_closed may free it. So every way
 * in is counted (depth), and what could pull the ground from under a caller is only told by the
 * outermost: room first, the end last. handler_submit() is a way in that its caller does not expect
 * to end the handler; the end found there is told from the loop.
 *
 * Thread: the consumer's loop.
 */
#include "handler/handler.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"
#include "handler/kind.h"

/* ---- room and the end ---- */

unsigned handler_room(const struct handler *h)
{
    if (h->phase != HANDLER_OPEN)
        return 0;
    unsigned room = h->kind->room(h);
    return room > h->promised ? room - h->promised : 0;
}

static bool has_ended(const struct handler *h)
{
    return h->phase == HANDLER_CLOSING && h->in_hand == 0 && h->kind->ended(h);
}

/* The last thing that happens: the handler may be freed by it. */
static void tell_end(struct handler *h)
{
    if (h->depth > 0 || !has_ended(h))
        return;
    h->phase = HANDLER_CLOSED;
    h->events.on_closed(h->arg);
}

static void tell_room(struct handler *h) ON_LOOP
{
    unsigned room = handler_room(h);
    bool tell = room < h->room_before || (room > 0 && h->starved);
    h->starved = room == 0;
    if (tell)
        h->events.on_room(h->arg);
}

void handler_enter(struct handler *h) NO_TSA
{
    loop_assert_here(h->loop);
    if (h->depth++ == 0)
        h->room_before = handler_room(h);
}

void handler_leave(struct handler *h)
{
    check(h->depth > 0);
    if (h->depth == 1)
        tell_room(h);
    h->depth--;
    tell_end(h);
}

static void on_closed_post(struct pen_loop *loop, void *arg, int status)
{
    tell_end(arg);
}

/* ---- works ---- */

static void end_work(struct handler *h, struct work *work, int error, struct slice result,
                     const char *reason)
{
    check(h->depth > 0 && h->in_hand > 0);
    h->in_hand--;
    count_add(error == 0 ? &h->done : &h->failed, 1);
    h->events.on_done(work, error, result, reason, h->arg);
}

void handler_finish(struct handler *h, struct work *work, struct slice result)
{
    end_work(h, work, 0, result, NULL);
}

void handler_fail(struct handler *h, struct work *work, int error, const char *reason)
{
    end_work(h, work, error, (struct slice){ 0 }, reason);
}

void handler_submit(struct handler *h, struct work **works, size_t n)
{
    loop_assert_here(h->loop);
    check(n <= handler_room(h));
    h->depth++;
    h->promised += (unsigned)n;
    loop_set_running(h->loop, h->name, 0);
    mono_t now = pen_loop_now(h->loop);
    for (size_t i = 0; i < n; i++) {
        loop_step(h->loop, works[i]->id);
        h->promised--;
        h->in_hand++;
        works[i]->started = now;
        list_init(&works[i]->request.node);
        if (h->phase == HANDLER_OPEN)
            h->kind->submit(h, works[i]);
        else /* An earlier one's on_done() has closed the handler. */
            handler_fail(h, works[i], PEN_ECANCELED, "the handler was closed");
    }
    loop_set_running(h->loop, NULL, 0);
    if (h->kind->submitted != NULL)
        h->kind->submitted(h);
    h->depth--;
    if (handler_room(h) == 0)
        h->starved = true;
    if (h->depth == 0 && has_ended(h))
        (void)loop_post(h->loop, &h->closed); /* False: it is on its way already. */
}

/* ---- opening and closing ---- */

int handler_open(const struct handler_options *o, struct handler **ret_handler)
{
    bool exec = o->conf->builtin == BUILTIN_NONE;
    const struct handler_kind *kind = exec ? &exec_kind : &builtin_kind;
    struct handler *h = calloc(1, kind->bytes(o->conf));
    if (h == NULL)
        return PEN_ENOMEM;
    h->kind = kind;
    h->conf = o->conf;
    h->loop = o->loop;
    h->events = *o->events;
    h->arg = o->arg;
    (void)str_copy(h->name, sizeof h->name, o->name);
    post_init(&h->closed, on_closed_post, h);
    int r = kind->open(h);
    if (r < 0) {
        free(h);
        return r;
    }
    *ret_handler = h;
    return 0;
}

void handler_close(struct handler *h, bool immediate)
{
    loop_assert_here(h->loop);
    if (h->phase == HANDLER_CLOSED)
        return;
    h->phase = HANDLER_CLOSING;
    h->depth++;
    h->kind->close(h, immediate);
    h->depth--;
    tell_end(h);
}

void handler_free(struct handler **handler)
{
    struct handler *h = *handler;
    if (h == NULL)
        return;
    check(h->depth == 0 && h->in_hand == 0 && h->phase != HANDLER_CLOSING);
    h->kind->free(h);
    free(h);
    *handler = NULL;
}

void handler_stats(const struct handler *h, struct handler_stats *ret_stats)
{
    *ret_stats = (struct handler_stats){
        .done = count_read(&h->done),
        .failed = count_read(&h->failed),
    };
    if (h->kind->stats != NULL)
        h->kind->stats(h, ret_stats);
}
