/* SPDX-License-Identifier: Apache-2.0
 *
 * prodcons: a thread that produces, and a consumer in an event loop on a thread of its own.
 *
 * It is the last example of the Python page "asyncio and free-threaded Python" without its flaw: there the consumer
 * looks into the queue ten times a second, because an event loop cannot wait for a queue.Queue. Here the loop is
 * attached to the queue, sleeps until an item is there, and is told when the queue has been shut down and is empty.
 * Python's "await asyncio.sleep(item)" is a timer: until it has run, the getter is paused.
 *
 * Threads: main produces; the loop's thread owns struct consumer until it is joined.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <penstock/loop.h>
#include <penstock/queue.h>

#include "common.h"

struct config {
    uint64_t items, unit_ms, queue_max;
    bool json;
};

struct consumer {
    const struct config *config;
    struct pen_queue *queue;
    struct pen_loop *loop;
    struct pen_getter *getter;
    struct pen_timer rest;
    uint64_t consumed, sum;
    bool in_order, told_end;
};

static void say(const struct config *config, const char *what, uint64_t item)
{
    if (!config->json)
        printf("%s %" PRIu64 "\n", what, item);
}

/* The consumer has rested: the item is finished, and the next may come. */
static void on_rested(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct consumer *c = arg;
    int r = status < 0 ? status : pen_queue_task_done(c->queue, 1);
    if (r < 0)
        die("the consumer", r);
    pen_getter_resume(c->getter);
}

static void on_items(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    (void)n; /* 1, the budget */
    struct consumer *c = arg;
    uint64_t item = *(const uint64_t *)items[0].ptr;
    say(c->config, "Consumed", item);
    c->in_order = c->in_order && item == c->consumed;
    c->consumed++;
    c->sum += item;
    pen_getter_pause(getter);
    pen_span_t rest = pen_ms((int64_t)(item * c->config->unit_ms));
    int r = pen_loop_call_later(c->loop, &c->rest, rest, on_rested, c);
    if (r < 0)
        die("pen_loop_call_later", r);
}

static void on_shutdown(struct pen_getter *getter, void *arg)
{
    (void)getter;
    struct consumer *c = arg;
    c->told_end = true;
    pen_loop_stop(c->loop);
}

static void consumer_start(struct consumer *c)
{
    struct pen_getter_options options = {
        .budget = 1, .on_items = on_items, .on_shutdown = on_shutdown, .arg = c
    };
    int r = pen_loop_new(&(struct pen_loop_options){ .name = "consumer" }, &c->loop);
    if (r == 0)
        r = pen_queue_attach(c->queue, c->loop, &options, &c->getter);
    if (r == 0)
        r = pen_loop_start(c->loop);
    if (r < 0)
        die("the consumer", r);
}

static void consumer_join(struct consumer *c)
{
    int r = pen_loop_join(c->loop);
    if (r < 0)
        die("pen_loop_join", r);
    pen_getter_close(&c->getter);
    pen_loop_free(&c->loop);
}

/* Blocks while the queue is full; the items are the caller's. */
static void produce(const struct config *config, struct pen_queue *queue, uint64_t *items)
{
    for (uint64_t i = 0; i < config->items; i++) {
        items[i] = i;
        say(config, "Producing", i);
        int r = pen_queue_put(queue, &items[i], 0, PEN_NEVER);
        if (r < 0)
            die("pen_queue_put", r);
    }
    pen_queue_shutdown(queue, PEN_SHUTDOWN_GRACEFUL);
}

/* Is everything as it must be? Tells it, and gives the exit status. */
static int verdict(const struct consumer *c)
{
    const struct config *config = c->config;
    uint64_t sum = config->items * (config->items - 1) / 2;
    struct pen_queue_stats stats;
    pen_queue_stats(c->queue, &stats);
    bool ok = c->in_order && c->told_end && c->consumed == config->items && c->sum == sum &&
              stats.unfinished == 0;
    if (config->json)
        printf("{\"program\": \"prodcons\", \"items\": %" PRIu64 ", \"consumed\": %" PRIu64
               ", \"sum\": %" PRIu64 ", \"in_order\": %s, \"unfinished\": %" PRIu64 ", \"ok\": %s}\n",
               config->items, c->consumed, c->sum, c->in_order ? "true" : "false", stats.unfinished,
               ok ? "true" : "false");
    else
        printf("%" PRIu64 " items consumed, %s\n", c->consumed,
               ok ? "all of them in order" : "which is WRONG");
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct config config = { .items = 5, .unit_ms = 100, .queue_max = 16 };
    const struct option_row rows[] = {
        { "items", .number = &config.items, .min = 1, .max = 1000000 },
        { "unit-ms", .number = &config.unit_ms, .min = 0, .max = 1000 },
        { "queue-max", .number = &config.queue_max, .min = 1, .max = 1 << 20 },
        { "json", .flag = &config.json },
    };
    options_read(argc, argv, rows, sizeof rows / sizeof *rows);
    struct consumer consumer = { .config = &config, .in_order = true };
    struct pen_queue_options bound = { .items_max = (uint32_t)config.queue_max };
    int r = pen_queue_new(&bound, &consumer.queue);
    if (r < 0)
        die("pen_queue_new", r);
    uint64_t *items = calloc(config.items, sizeof *items);
    if (items == NULL)
        die("calloc", 0);
    consumer_start(&consumer);
    produce(&config, consumer.queue, items);
    consumer_join(&consumer);
    int status = verdict(&consumer);
    pen_queue_free(&consumer.queue);
    free(items);
    return status;
}
