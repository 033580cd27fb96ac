/* SPDX-License-Identifier: Apache-2.0
 *
 * From the configuration to running parts. Order matters twice: consumers need the outlets of publishers and producers,
 * so those are made first; and what takes messages is started before what brings them in.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "obs/log.h"
#include "plat/clock.h"

static const enum broker_policy policies[] = { [WHEN_FULL_BLOCK] = BROKER_BLOCK,
                                               [WHEN_FULL_REJECT] = BROKER_REJECT,
                                               [WHEN_FULL_DROP_OLDEST] = BROKER_DROP_OLDEST,
                                               [WHEN_FULL_DROP_NEWEST] = BROKER_DROP_NEWEST,
                                               [WHEN_FULL_DROP_LOWEST] = BROKER_DROP_LOWEST };

static struct part_options part_options(struct daemon *d, const char *kind, const char *name)
{
    return (struct part_options){
        .kind = kind, .name = name, .main = d->main, .on_news = daemon_on_news, .arg = d
    };
}

static struct broker_limits queue_limits(const struct conf_queue *c)
{
    return (struct broker_limits){
        .items_max = (uint32_t)c->items_max,
        .bytes_max = c->bytes_max,
        .policy = policies[c->when_full],
        .refuse_late = c->refuse_late == YES,
        .in_flight_max = (uint32_t)c->in_flight_max,
        .rate_max = (uint32_t)c->rate_max,
        .key_in_flight_max = (uint32_t)c->key_in_flight_max,
        .key_rate_max = (uint32_t)c->key_rate_max,
        .attempts_max = (uint16_t)c->attempts_max,
        .crashes_max = (uint16_t)c->crashes_max,
        .backoff_base = c->backoff,
        .backoff_cap = c->backoff_max,
        .dead_letters = c->dead_letter != NULL,
        .dedupe_window = c->dedupe_window,
        .dedupe_max = (uint32_t)c->dedupe_max,
    };
}

static void on_dying(struct jobq *q, void *arg)
{
    struct daemon *d = arg;
    loop_assert_here(d->main);
    for (size_t i = 0; i < d->conf->queues_count; i++)
        if (d->graph.queues[i] == q)
            undertaker_call(d->graph.undertakers[i]);
}

static int build_queue(struct daemon *d, const struct conf_queue *c, struct durable *durable,
                       struct jobq **ret_queue)
{
    struct jobq_options options = {
        .name = c->name,
        .limits = queue_limits(c),
        .seed = (uint64_t)clock_mono().ns,
        .results = { .items_max = (uint32_t)c->results_max,
                     .bytes_max = c->result_bytes_max,
                     .age_max = c->keep_results },
        .durable = durable,
        .main = d->main,
        .news = { .on_dying = on_dying, .on_ended = daemon_on_queue_end, .arg = d },
        .on_dropped = producer_on_dropped,
        .arg = d,
    };
    return jobq_new(&options, ret_queue);
}

static int build_undertakers(struct daemon *d)
{
    int r = 0;
    for (size_t i = 0; i < d->conf->queues_count && r == 0; i++) {
        const char *to = d->conf->queues[i].dead_letter;
        if (to != NULL)
            r = undertaker_new(d->graph.queues[i], graph_queue(d, to), d->main, producer_on_failed,
                               &d->graph.undertakers[i]);
    }
    return r;
}

static int build_queues(struct daemon *d)
{
    int r = 0;
    for (size_t i = 0; i < d->conf->queues_count && r == 0; i++) {
        r = durables_make(d, &d->conf->queues[i], &d->graph.durables[i]);
        if (r == 0)
            r = build_queue(d, &d->conf->queues[i], d->graph.durables[i], &d->graph.queues[i]);
        if (r < 0)
            log_error("penstockd", "queue %s: %s", d->conf->queues[i].name, pen_strerror(r));
    }
    if (r == 0)
        r = durables_open(d);
    return r == 0 ? build_undertakers(d) : r;
}

static void log_failure(const char *kind, const char *name, int error, const char *text)
{
    log_error("penstockd", "%s %s: %s", kind, name, text[0] != '\0' ? text : pen_strerror(error));
}

static int build_publishers(struct daemon *d)
{
    for (size_t i = 0; i < d->conf->publishers_count; i++) {
        const struct conf_publisher *c = &d->conf->publishers[i];
        struct publisher_options options = { .conf = c,
                                             .part = part_options(d, "publisher", c->name) };
        char text[LIMIT_ERROR_TEXT_BYTES];
        int r = publisher_new(&options, text, sizeof text, &d->graph.publishers[i]);
        if (r < 0) {
            log_failure("publisher", c->name, r, text);
            return r;
        }
    }
    return 0;
}

/* Which queue of the configuration it is; queues_count: none. */
static size_t queue_index(const struct daemon *d, const char *name)
{
    size_t i = 0;
    while (i < d->conf->queues_count && strcmp(d->conf->queues[i].name, name) != 0)
        i++;
    return i;
}

/* Thread `index` of an entry, whose other threads are in others: the first deals connections out to them. */
static int build_producer(struct daemon *d, const struct conf_producer *c, unsigned index,
                          struct producer **others, struct producer **ret_producer)
{
    const struct conf_queue *q = &d->conf->queues[queue_index(d, c->queue)];
    struct producer_options options = { .conf = c,
                                        .queue = graph_queue(d, c->queue),
                                        .block_timeout = q->block_timeout,
                                        .index = index,
                                        .helpers = others,
                                        .helpers_count = index == 0 ? c->threads - 1 : 0,
                                        .part = part_options(d, "producer", c->name) };
    char text[LIMIT_ERROR_TEXT_BYTES];
    int r = producer_new(&options, text, sizeof text, ret_producer);
    if (r < 0)
        log_failure("producer", c->name, r, text);
    return r;
}

static int build_producers(struct daemon *d)
{
    struct producer **at = d->graph.producers;
    int r = 0;
    for (size_t i = 0; i < d->conf->producers_count && r == 0; i++) {
        const struct conf_producer *c = &d->conf->producers[i];
        for (unsigned t = (unsigned)c->threads; t > 0 && r == 0;
             t--) /* The first one needs the others. */
            r = build_producer(d, c, t - 1, at + 1, &at[t - 1]);
        at += c->threads;
    }
    return r;
}

/* Messages go from one queue to the other, straight or by others in between: by consumers that publish into queues. Those form
 * no circle. */
static bool leads_to(const struct conf *conf, const char *from, const char *to)
{
    if (strcmp(from, to) == 0)
        return true;
    for (size_t i = 0; i < conf->consumers_count; i++) {
        const struct conf_consumer *c = &conf->consumers[i];
        if (strcmp(c->queue, from) == 0 && c->publish != NULL && leads_to(conf, c->publish, to))
            return true;
    }
    return false;
}

/* The outlets of all producers whose messages come to a queue and that want its results; ret_outlets has room for all
 * producers. */
static size_t answers_of(const struct daemon *d, const char *queue, struct outlet **ret_outlets)
{
    size_t n = 0;
    for (size_t i = 0; i < d->graph.producers_count; i++) {
        struct outlet *o = producer_replies(d->graph.producers[i]);
        if (o != NULL && leads_to(d->conf, producer_conf(d->graph.producers[i])->queue, queue))
            ret_outlets[n++] = o;
    }
    return n;
}

static struct outlet *publisher_named(const struct daemon *d, const char *name)
{
    for (size_t i = 0; name != NULL && i < d->conf->publishers_count; i++)
        if (strcmp(d->conf->publishers[i].name, name) == 0)
            return publisher_outlet(d->graph.publishers[i]);
    return NULL;
}

/* The producer that feeds a queue alone, as the configuration's check made sure. */
static struct part *feeder_of(const struct daemon *d, const char *queue)
{
    for (size_t i = 0; i < d->graph.producers_count; i++)
        if (strcmp(producer_conf(d->graph.producers[i])->queue, queue) == 0)
            return producer_part(d->graph.producers[i]);
    return NULL;
}

/* Consumer threads of an entry; one that has none of its own is a guest of its producer. */
static size_t consumers_of(const struct conf_consumer *c)
{
    return c->threads > 0 ? c->threads : 1;
}

static int build_consumer(struct daemon *d, const struct conf_consumer *c, struct outlet **answers,
                          size_t answers_count)
{
    struct consumer_options options = {
        .conf = c,
        .queue = graph_queue(d, c->queue),
        .publish = publisher_named(d, c->publish),
        .next = c->publish != NULL ? graph_queue(d, c->publish) : NULL,
        .answers = answers,
        .answers_count = answers_count,
        .part = part_options(d, "consumer", c->name),
    };
    if (c->threads == 0)
        options.part.host = feeder_of(d, c->queue);
    for (size_t t = 0; t < consumers_of(c); t++) {
        options.index = (unsigned)t;
        int r = consumer_new(&options, &d->graph.consumers[d->graph.consumers_count]);
        if (r < 0) {
            log_failure("consumer", c->name, r, "");
            return r;
        }
        d->graph.consumers_count++;
    }
    return 0;
}

static int build_consumers(struct daemon *d)
{
    struct outlet **answers = calloc(d->graph.producers_count + 1, sizeof *answers);
    int r = answers != NULL ? 0 : PEN_ENOMEM;
    for (size_t i = 0; i < d->conf->consumers_count && r == 0; i++) {
        const struct conf_consumer *c = &d->conf->consumers[i];
        r = build_consumer(d, c, answers, answers_of(d, c->queue, answers));
    }
    free(answers);
    return r;
}

static size_t count_threads(const struct conf *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->consumers_count; i++)
        n += consumers_of(&c->consumers[i]);
    return n;
}

static size_t count_producers(const struct conf *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->producers_count; i++)
        n += c->producers[i].threads;
    return n;
}

static int report_of(const char *queue, struct slice *ret_slice, void *arg)
{
    return queues_encode(arg, queue, ret_slice);
}

static int build_worker_endpoints(struct daemon *d, const struct workers_queue *queues)
{
    for (size_t i = 0; i < d->conf->workers_count; i++) {
        const struct conf_workers *c = &d->conf->workers[i];
        struct workers_options options = { .conf = c,
                                           .index = (unsigned)i,
                                           .queues = queues,
                                           .queues_count = d->conf->queues_count,
                                           .report = report_of,
                                           .arg = d,
                                           .part = part_options(d, "workers", c->name) };
        char text[LIMIT_ERROR_TEXT_BYTES];
        int r = workers_new(&options, text, sizeof text, &d->graph.workers[i]);
        if (r < 0) {
            log_failure("workers", c->name, r, text);
            return r;
        }
    }
    return 0;
}

static int build_workers(struct daemon *d)
{
    size_t n = d->conf->queues_count;
    struct workers_queue *queues = calloc(n + 1, sizeof *queues);
    if (queues == NULL)
        return PEN_ENOMEM;
    for (size_t i = 0; i < n; i++)
        queues[i] = (struct workers_queue){ d->graph.queues[i], &d->conf->queues[i] };
    int r = build_worker_endpoints(d, queues);
    free(queues);
    return r;
}

static int make_arrays(struct daemon *d)
{
    struct graph *g = &d->graph;
    const struct conf *c = d->conf;
    g->queues = calloc(c->queues_count + 1, sizeof *g->queues);
    g->durables = calloc(c->queues_count + 1, sizeof(struct durable *));
    g->queues_closed = calloc(c->queues_count + 1, sizeof *g->queues_closed);
    g->undertakers = calloc(c->queues_count + 1, sizeof(struct undertaker *));
    g->workers = calloc(c->workers_count + 1, sizeof(struct workers *));
    g->workers_closed = calloc(c->workers_count + 1, sizeof *g->workers_closed);
    g->producers_count = count_producers(c);
    g->producers = calloc(g->producers_count + 1, sizeof *g->producers);
    g->producers_closed = calloc(g->producers_count + 1, sizeof *g->producers_closed);
    g->publishers = calloc(c->publishers_count + 1, sizeof *g->publishers);
    g->publishers_closed = calloc(c->publishers_count + 1, sizeof *g->publishers_closed);
    g->consumers = calloc(count_threads(c) + 1, sizeof *g->consumers);
    bool all = g->queues != NULL && g->durables != NULL && g->queues_closed != NULL &&
               g->undertakers != NULL && g->workers != NULL && g->workers_closed != NULL &&
               g->producers != NULL && g->producers_closed != NULL && g->publishers != NULL &&
               g->publishers_closed != NULL && g->consumers != NULL;
    return all ? 0 : PEN_ENOMEM;
}

int graph_build(struct daemon *d, int *ret_code)
{
    int r = make_arrays(d);
    if (r == 0)
        r = build_queues(d);
    if (r == 0)
        r = build_publishers(d);
    if (r == 0)
        r = build_producers(d);
    if (r == 0)
        r = build_consumers(d);
    if (r == 0)
        r = build_workers(d);
    if (r < 0)
        *ret_code = r == PEN_ENOMEM || r == PEN_EINTERNAL ? EXIT_INTERNAL : EXIT_CANNOT_START;
    return r;
}

int graph_start(struct daemon *d)
{
    struct graph *g = &d->graph;
    int r = 0;
    for (size_t i = 0; i < d->conf->publishers_count && r == 0; i++)
        r = publisher_start(g->publishers[i]);
    for (size_t i = 0; i < g->consumers_count && r == 0; i++)
        r = consumer_start(g->consumers[i]);
    for (size_t i = 0; i < g->producers_count && r == 0; i++)
        r = producer_start(g->producers[i]);
    for (size_t i = 0; i < d->conf->workers_count && r == 0; i++)
        r = workers_start(g->workers[i]);
    if (r < 0)
        log_error("penstockd", "a thread could not be started: %s", pen_strerror(r));
    return r;
}

static void join_part(struct part *part, void *arg)
{
    (void)arg;
    part_join(part);
}

void graph_free(struct daemon *d)
{
    struct graph *g = &d->graph;
    if (g->consumers == NULL)
        return;
    graph_each_part(g, d->conf, join_part, NULL);
    for (size_t i = 0; i < d->conf->workers_count; i++)
        workers_free(&g->workers[i]);
    for (size_t i = 0; i < g->consumers_count; i++)
        consumer_free(&g->consumers[i]);
    for (size_t i = 0; i < g->producers_count; i++)
        producer_free(&g->producers[i]);
    for (size_t i = 0; i < d->conf->publishers_count; i++)
        publisher_free(&g->publishers[i]);
    for (size_t i = 0; i < d->conf->queues_count; i++)
        undertaker_free(&g->undertakers[i]);
    durables_close(d);
    for (size_t i = 0; i < d->conf->queues_count; i++)
        jobq_free(&g->queues[i]);
    free(g->durables);
    free(g->queues);
    free(g->queues_closed);
    free(g->undertakers);
    free(g->workers);
    free(g->workers_closed);
    free(g->producers);
    free(g->producers_closed);
    free(g->publishers);
    free(g->publishers_closed);
    free(g->consumers);
    *g = (struct graph){ 0 };
}

void graph_each_part(struct graph *g, const struct conf *conf,
                     void (*fn)(struct part *part, void *arg), void *arg)
{
    for (size_t i = 0; i < g->producers_count; i++)
        if (g->producers[i] != NULL)
            fn(producer_part(g->producers[i]), arg);
    for (size_t i = 0; i < conf->workers_count; i++)
        if (g->workers[i] != NULL)
            fn(workers_part(g->workers[i]), arg);
    for (size_t i = 0; i < g->consumers_count; i++)
        fn(consumer_part(g->consumers[i]), arg);
    for (size_t i = 0; i < conf->publishers_count; i++)
        if (g->publishers[i] != NULL)
            fn(publisher_part(g->publishers[i]), arg);
}

struct jobq *graph_queue(const struct daemon *d, const char *name)
{
    size_t i = queue_index(d, name);
    return i < d->conf->queues_count ? d->graph.queues[i] : NULL;
}

struct totals graph_totals(const struct daemon *d)
{
    struct totals t = { .at = pen_now() };
    for (size_t i = 0; i < d->graph.producers_count; i++) {
        struct producer_stats s;
        producer_stats(d->graph.producers[i], &s);
        t.in += s.accepted;
    }
    for (size_t i = 0; i < d->graph.consumers_count; i++) {
        struct consumer_stats s;
        consumer_stats(d->graph.consumers[i], &s);
        t.out += s.done;
        t.failed += s.failed;
    }
    return t;
}
