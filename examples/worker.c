/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: puts jobs into a queue of a running penstockd, and works on them from outside.
 *
 * Expects a worker endpoint with framing: batch on the loopback interface, and there a queue "jobs" that is empty. Each job
 * is a number. Every third one fails at its first attempt, every seventh is given back once; all the same, each must
 * be done once.
 *
 * Threads: each client has its own; with --threads that many work besides, without them the loop does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/client.h>
#include <penstock/pool.h>
#include <penstock/queue.h>

#include "common.h"

enum { NUMBER_BYTES = 8, BATCH_MAX = 256, PATIENCE_S = 60 };

struct config {
    uint64_t messages, batch, threads, port;
    bool json;
};

/* What has become of a job; on its way to main(). */
struct done {
    uint64_t number;
    struct pen_future *future;
};

struct shop {
    const struct config *config;
    struct pen_client *client;
    struct pen_queue *done;
    bool *given_back; /* by number; a number is in one hand at a time */
};

static pen_mono_t patience(void)
{
    return (pen_mono_t){ pen_now().ns + (int64_t)PATIENCE_S * 1000000000 };
}

/* ---- putting ---- */

static void put_batch(struct pen_client *client, uint64_t first, uint64_t n)
{
    uint64_t numbers[BATCH_MAX];
    struct pen_put messages[BATCH_MAX];
    struct pen_future *future;
    struct pen_receipts *receipts = NULL;
    memset(messages, 0, sizeof messages);
    for (uint64_t k = 0; k < n; k++) {
        numbers[k] = first + k;
        messages[k] = (struct pen_put){ .body = &numbers[k], .bytes = NUMBER_BYTES, .queue = "jobs" };
    }
    int r = pen_client_put(client, messages, n, patience(), &future);
    if (r == 0)
        r = pen_future_get(future, patience(), (void **)&receipts);
    for (uint64_t k = 0; r == 0 && k < n; k++)
        r = receipts->at[k].error;
    if (r < 0)
        die("pen_client_put", r);
    pen_future_unref(&future);
}

static void put_all(const struct config *c, const char *address)
{
    struct pen_client *client;
    struct pen_client_options options = { .kind = PEN_CLIENT_REQ, .address = address };
    int r = pen_client_new(&options, &client);
    if (r < 0)
        die("pen_client_new", r);
    for (uint64_t first = 0; first < c->messages; first += BATCH_MAX)
        put_batch(client, first, c->messages - first < BATCH_MAX ? c->messages - first : BATCH_MAX);
    pen_client_free(&client);
}

/* ---- working ---- */

static struct pen_settle judge(struct shop *s, const struct pen_work *work, uint64_t number)
{
    if (number % 3 == 0 && work->attempts == 1)
        return (struct pen_settle){ .outcome = PEN_WORK_NACK, .text = "not at once" };
    if (number % 7 == 0 && !s->given_back[number]) {
        s->given_back[number] = true;
        return (struct pen_settle){ .outcome = PEN_WORK_RELEASE };
    }
    return (struct pen_settle){ .outcome = PEN_WORK_ACK };
}

static void work_on(struct pen_client *client, struct pen_work *work, void *arg)
{
    struct shop *s = arg;
    struct done *done = calloc(1, sizeof *done);
    if (done == NULL || work->bytes != NUMBER_BYTES)
        die("a job", done == NULL ? PEN_ENOMEM : PEN_EPROTO);
    memcpy(&done->number, work->body, NUMBER_BYTES);
    if (done->number >= s->config->messages)
        die("a job", PEN_EPROTO);
    struct pen_settle how = judge(s, work, done->number);
    bool is_done = how.outcome == PEN_WORK_ACK;
    int r = pen_client_settle(client, &work, &how, is_done ? &done->future : NULL);
    if (r == 0 && is_done)
        r = pen_queue_put(s->done, done, 0, PEN_NOW);
    else
        free(done);
    if (r < 0)
        die("pen_client_settle", r);
}

static int work_job(struct pen_job *job, void *arg, void **ret_result)
{
    struct shop *s = arg;
    struct pen_work *work;
    (void)job;
    (void)ret_result;
    int r;
    while ((r = pen_client_work(s->client, patience(), &work)) == 0)
        work_on(s->client, work, s);
    return r == PEN_ECLOSED ? 0 : r;
}

/* How many numbers were done, each for the first time, as the daemon says. */
static uint64_t await_all(struct shop *s)
{
    bool *seen = calloc(s->config->messages, sizeof *seen);
    uint64_t fresh = 0;
    if (seen == NULL)
        die("calloc", PEN_ENOMEM);
    for (uint64_t k = 0; k < s->config->messages; k++) {
        struct pen_item item;
        int r = pen_queue_get(s->done, &item, patience());
        if (r < 0)
            die("a job", r);
        struct done *done = item.ptr;
        bool is_done = pen_future_get(done->future, patience(), NULL) == 0;
        fresh += is_done && !seen[done->number];
        seen[done->number] = true;
        pen_future_unref(&done->future);
        free(done);
    }
    free(seen);
    return fresh;
}

/* ---- the whole ---- */

static void open_shop(struct shop *s, const char *address)
{
    static const struct pen_work_queue queues[] = { { .name = "jobs" } };
    struct pen_queue_options q = { .items_max = (uint32_t)s->config->messages };
    struct pen_work_options work = { .queues = queues,
                                     .queues_count = 1,
                                     .batch = (uint32_t)s->config->batch,
                                     .on_job = s->config->threads == 0 ? work_on : NULL };
    struct pen_client_options options = {
        .kind = PEN_CLIENT_WORK, .address = address, .work = &work, .arg = s, .name = "worker"
    };
    s->given_back = calloc(s->config->messages, sizeof *s->given_back);
    int r = s->given_back != NULL ? pen_queue_new(&q, &s->done) : PEN_ENOMEM;
    if (r == 0)
        r = pen_client_new(&options, &s->client);
    if (r < 0)
        die("pen_client_new", r);
}

static void close_shop(struct shop *s)
{
    pen_client_free(&s->client);
    pen_queue_free(&s->done);
    free(s->given_back);
}

static struct pen_pool *start_threads(struct shop *s)
{
    struct pen_pool *pool;
    struct pen_pool_options options = { .threads_max = (uint32_t)s->config->threads };
    int r = pen_pool_new(&options, &pool);
    for (uint64_t k = 0; r == 0 && k < s->config->threads; k++)
        r = pen_pool_submit(pool, work_job, s, NULL, NULL);
    if (r < 0)
        die("pen_pool_submit", r);
    return pool;
}

static uint64_t work_all(struct shop *s)
{
    struct pen_pool *pool = s->config->threads > 0 ? start_threads(s) : NULL;
    uint64_t done = await_all(s);
    pen_client_close(s->client, false); /* Ends the threads. */
    int r = pen_client_join(s->client, patience());
    if (r < 0)
        die("pen_client_join", r);
    pen_pool_free(&pool);
    return done;
}

static struct config read_options(int argc, char **argv)
{
    struct config c = { .messages = 10000, .batch = 64 };
    const struct option_row rows[] = {
        { .name = "messages", .number = &c.messages, .min = 1, .max = 1000000 },
        { .name = "batch", .number = &c.batch, .min = 1, .max = BATCH_MAX },
        { .name = "threads", .number = &c.threads, .min = 0, .max = 64 },
        { .name = "port", .number = &c.port, .min = 1, .max = 65535 },
        { .name = "json", .flag = &c.json },
    };
    options_read(argc, argv, rows, sizeof rows / sizeof rows[0]);
    if (c.port == 0) {
        (void)fprintf(stderr, "usage: %s --port N\n", argv[0]);
        exit(2);
    }
    return c;
}

static int report(const struct config *c, uint64_t done, uint64_t jobs)
{
    bool ok = done == c->messages;
    if (c->json)
        printf("{\"program\": \"worker\", \"messages\": %" PRIu64 ", \"done\": %" PRIu64
               ", \"jobs\": %" PRIu64 ", \"ok\": %s}\n",
               c->messages, done, jobs, ok ? "true" : "false");
    else
        printf("%" PRIu64 " jobs done in %" PRIu64 " attempts, %s\n", done, jobs,
               ok ? "each once" : "which is WRONG");
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct config c = read_options(argc, argv);
    struct shop s = { .config = &c };
    struct pen_client_stats stats;
    char address[64];
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%" PRIu64, c.port);
    put_all(&c, address);
    open_shop(&s, address);
    uint64_t done = work_all(&s);
    pen_client_stats(s.client, &stats);
    close_shop(&s);
    return report(&c, done, stats.jobs);
}
