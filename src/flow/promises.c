/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/promises.h"

#include <stdlib.h>

#include "base/list.h"
#include "loop/io.h"

struct waiting {
    struct list node;
    uint64_t ticket;
    struct route route;
    struct slice body;
    uint64_t form;
};

struct promises {
    struct promises_options options; /* fixed after init */
    /* owner: loop */
    struct jobq_watcher *watcher;
    struct list waiting;
    struct jobq_promise promise; /* the last that was heard of */
    void (*on_empty)(void *arg); /* NULL: nobody asked */
};

static void drop(struct waiting *w)
{
    list_remove(&w->node);
    slice_release(&w->body);
    free(w);
}

static struct waiting *first(struct promises *p)
{
    return CONTAINER_OF(p->waiting.next, struct waiting, node);
}

/* Send what has come true, or fail all. */
static void on_promise(struct jobq_watcher *watcher, const struct jobq_promise *promise, void *arg)
{
    struct promises *p = arg;
    loop_assert_here(p->options.loop);
    p->promise = *promise;
    while (!list_empty(&p->waiting) && (first(p)->ticket <= promise->ticket || promise->error < 0)) {
        struct waiting *w = first(p);
        bool kept = w->ticket <= promise->ticket;
        struct slice body = w->body;
        w->body = (struct slice){ 0 };
        if (kept) {
            p->options.send(p->options.arg, &w->route, body);
        } else {
            slice_release(&body);
            p->options.fail(p->options.arg, &w->route, w->form, promise->error);
        }
        drop(w);
    }
    if (!list_empty(&p->waiting))
        jobq_watcher_await(watcher, first(p)->ticket);
    else if (p->on_empty != NULL)
        p->on_empty(p->options.arg);
}

int promises_new(const struct promises_options *options, struct promises **ret_promises)
{
    struct jobq_watch_options watch = { .on_promise = on_promise };
    struct promises *p = calloc(1, sizeof *p);
    if (p == NULL)
        return PEN_ENOMEM;
    p->options = *options;
    list_init(&p->waiting);
    watch.arg = p;
    int r = jobq_watch(options->queue, options->loop, &watch, &p->watcher);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret_promises = p;
    return 0;
}

void promises_free(struct promises **promises)
{
    struct promises *p = *promises;
    if (p == NULL)
        return;
    *promises = NULL;
    jobq_watcher_close(&p->watcher);
    while (!list_empty(&p->waiting))
        drop(first(p));
    free(p);
}

void promises_add(struct promises *p, const struct route *route, struct slice body, uint64_t form)
{
    uint64_t ticket = jobq_ticket(p->options.queue);
    if (ticket <= p->promise.ticket && list_empty(&p->waiting)) {
        p->options.send(p->options.arg, route, body);
        return;
    }
    struct waiting *w = calloc(1, sizeof *w);
    if (w == NULL) {
        slice_release(&body);
        p->options.fail(p->options.arg, route, form, PEN_ENOMEM);
        return;
    }
    bool none = list_empty(&p->waiting);
    *w = (struct waiting){ .ticket = ticket, .route = *route, .body = body, .form = form };
    list_push_back(&p->waiting, &w->node);
    if (none)
        jobq_watcher_await(p->watcher, ticket);
}

bool promises_empty(const struct promises *p)
{
    return list_empty(&p->waiting);
}

void promises_on_empty(struct promises *p, void (*fn)(void *arg))
{
    p->on_empty = fn;
}
