/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/part.h"

#include <stdio.h>

#include "base/check.h"

static void take_order(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    const struct part_line *line = arg;
    if (status == 0)
        line->part->options.on_order(line->part, (enum part_order)(line - line->part->orders));
}

static void take_news(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    const struct part_line *line = arg;
    struct part *p = line->part;
    enum part_news news = (enum part_news)(line - p->news);
    if (status != 0)
        return;
    if (news == PART_FINISHED)
        p->finished = true;
    else
        p->ended = true;
    p->options.on_news(p, news, p->options.arg);
}

int part_init(struct part *p, const struct part_options *options)
{
    p->options = *options;
    (void)snprintf(p->subject, sizeof p->subject, "%s %s", options->kind, options->name);
    for (int i = 0; i < PART_ORDERS; i++) {
        p->orders[i].part = p;
        post_init(&p->orders[i].post, take_order, &p->orders[i]);
    }
    for (int i = 0; i < PART_NEWS; i++) {
        p->news[i].part = p;
        post_init(&p->news[i].post, take_news, &p->news[i]);
    }
    if (options->host != NULL) {
        p->loop = options->host->loop;
        return 0;
    }
    struct pen_loop_options loop = { .name = options->name };
    return pen_loop_new(&loop, &p->loop);
}

int part_start(struct part *p)
{
    if (p->options.host != NULL)
        return 0;
    int r = pen_loop_start(p->loop);
    p->running = r == 0;
    return r;
}

void part_join(struct part *p)
{
    if (!p->running)
        return;
    pen_loop_stop(p->loop);
    check(pen_loop_join(p->loop) == 0);
    p->running = false;
}

void part_fini(struct part *p)
{
    if (p->options.host == NULL)
        pen_loop_free(&p->loop);
}

void part_order(struct part *p, enum part_order order)
{
    (void)loop_post(p->loop, &p->orders[order].post);
}

void part_tell(struct part *p, enum part_news news)
{
    (void)loop_post(p->options.main, &p->news[news].post);
}
