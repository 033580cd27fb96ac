/* SPDX-License-Identifier: Apache-2.0
 *
 * courier: hands messages to a running penstockd, waits for their receipts, and takes their results in.
 *
 * Expects three endpoints on the loopback interface, all with framing: batch: a producer of the pattern rep, whose queue ends
 * in a publisher of the pattern push, and a producer of the pattern rep with reply: result. Each message is a number. Every
 * number must come out once, and be the answer to a call.
 *
 * Threads: each client has its own; this one waits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/client.h>
#include <penstock/pool.h>

#include "common.h"

enum { NUMBER_BYTES = 8, BATCH_MAX = 4096, PATIENCE_S = 60 };

struct config {
    uint64_t messages, batch, window, put_port, result_port, call_port;
    bool json;
};

static pen_mono_t patience(void)
{
    return (pen_mono_t){ pen_now().ns + (int64_t)PATIENCE_S * 1000000000 };
}

static struct pen_client *connect_to(uint64_t port, enum pen_client_kind kind)
{
    char address[64];
    struct pen_client *client;
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%" PRIu64, port);
    struct pen_client_options options = { .kind = kind, .address = address, .name = "courier" };
    int r = pen_client_new(&options, &client);
    if (r < 0)
        die("pen_client_new", r);
    return client;
}

/* ---- putting ---- */

/* The numbers from `first` on, as one request. */
static struct pen_future *put_batch(struct pen_client *client, uint64_t first, uint64_t n)
{
    uint64_t numbers[BATCH_MAX];
    struct pen_put messages[BATCH_MAX];
    struct pen_future *future;
    memset(messages, 0, n * sizeof messages[0]);
    for (uint64_t k = 0; k < n; k++) {
        numbers[k] = first + k;
        messages[k].body = &numbers[k];
        messages[k].bytes = NUMBER_BYTES;
    }
    int r = pen_client_put(client, messages, n, patience(), &future);
    if (r < 0)
        die("pen_client_put", r);
    return future;
}

/* How many of a request were accepted. */
static uint64_t await_receipts(struct pen_future *future)
{
    struct pen_receipts *receipts = NULL;
    int r = pen_future_get(future, patience(), (void **)&receipts);
    if (r < 0)
        die("a request", r);
    uint64_t accepted = 0;
    for (size_t k = 0; k < receipts->n; k++)
        accepted += receipts->at[k].error == 0;
    pen_future_unref(&future);
    return accepted;
}

/* At most `window` requests wait for their receipts at a time. */
static uint64_t put_all(const struct config *c, struct pen_client *client)
{
    struct pen_future **window = calloc(c->window, sizeof(struct pen_future *));
    uint64_t accepted = 0, requests = 0;
    if (window == NULL)
        die("calloc", PEN_ENOMEM);
    for (uint64_t first = 0; first < c->messages; first += c->batch, requests++) {
        uint64_t n = c->messages - first < c->batch ? c->messages - first : c->batch;
        struct pen_future **slot = &window[requests % c->window];
        if (*slot != NULL)
            accepted += await_receipts(*slot);
        *slot = put_batch(client, first, n);
    }
    for (uint64_t k = 0; k < c->window; k++)
        if (window[k] != NULL)
            accepted += await_receipts(window[k]);
    free(window);
    return accepted;
}

/* ---- results ---- */

/* How many numbers came, each for the first time. */
static uint64_t take_all(const struct config *c, struct pen_client *client)
{
    bool *seen = calloc(c->messages + 1, sizeof *seen);
    uint64_t fresh = 0;
    if (seen == NULL)
        die("calloc", PEN_ENOMEM);
    for (uint64_t k = 0; k < c->messages; k++) {
        struct pen_received message;
        uint64_t number = c->messages;
        int r = pen_client_receive(client, patience(), &message);
        if (r < 0)
            die("pen_client_receive", r);
        if (message.bytes == NUMBER_BYTES)
            memcpy(&number, message.body, NUMBER_BYTES);
        fresh += number < c->messages && !seen[number];
        seen[number < c->messages ? number : c->messages] = true;
    }
    free(seen);
    return fresh;
}

static bool call_one(struct pen_client *client, uint64_t number)
{
    struct pen_put message = { .body = &number, .bytes = NUMBER_BYTES };
    struct pen_future *future;
    struct pen_answer *answer = NULL;
    int r = pen_client_call(client, &message, patience(), &future);
    if (r == 0)
        r = pen_future_get(future, patience(), (void **)&answer);
    if (r < 0)
        die("pen_client_call", r);
    bool right = answer->bytes == NUMBER_BYTES && memcmp(answer->body, &number, NUMBER_BYTES) == 0;
    pen_future_unref(&future);
    return right;
}

static struct config read_options(int argc, char **argv)
{
    struct config c = { .messages = 100000, .batch = 256, .window = 16 };
    const struct option_row rows[] = {
        { .name = "messages", .number = &c.messages, .min = 1, .max = UINT64_C(100000000) },
        { .name = "batch", .number = &c.batch, .min = 1, .max = BATCH_MAX },
        { .name = "window", .number = &c.window, .min = 1, .max = 1024 },
        { .name = "put-port", .number = &c.put_port, .min = 1, .max = 65535 },
        { .name = "result-port", .number = &c.result_port, .min = 1, .max = 65535 },
        { .name = "call-port", .number = &c.call_port, .min = 1, .max = 65535 },
        { .name = "json", .flag = &c.json },
    };
    options_read(argc, argv, rows, sizeof rows / sizeof rows[0]);
    if (c.put_port == 0 || c.result_port == 0 || c.call_port == 0) {
        (void)fprintf(stderr, "usage: %s --put-port N --result-port N --call-port N\n", argv[0]);
        exit(2);
    }
    return c;
}

/* ---- the whole ---- */

struct putting {
    const struct config *config;
    struct pen_client *client;
    uint64_t accepted;
};

static int put_job(struct pen_job *job, void *arg, void **ret_result)
{
    struct putting *p = arg;
    (void)job;
    (void)ret_result;
    p->accepted = put_all(p->config, p->client);
    return 0;
}

/* Both at a time: a queue that is full waits for results to be taken. */
static uint64_t put_and_take(struct putting *p, struct pen_client *results)
{
    struct pen_pool *pool;
    struct pen_future *future;
    int r = pen_pool_new(NULL, &pool);
    if (r == 0)
        r = pen_pool_submit(pool, put_job, p, NULL, &future);
    if (r < 0)
        die("pen_pool_submit", r);
    uint64_t taken = take_all(p->config, results);
    r = pen_future_get(future, patience(), NULL);
    if (r < 0)
        die("putting", r);
    pen_future_unref(&future);
    pen_pool_free(&pool);
    return taken;
}

static int report(const struct config *c, uint64_t accepted, uint64_t taken, bool called)
{
    bool ok = accepted == c->messages && taken == c->messages && called;
    if (c->json)
        printf("{\"program\": \"courier\", \"messages\": %" PRIu64 ", \"accepted\": %" PRIu64
               ", \"taken\": %" PRIu64 ", \"called\": %s, \"ok\": %s}\n",
               c->messages, accepted, taken, called ? "true" : "false", ok ? "true" : "false");
    else
        printf("%" PRIu64 " messages accepted, %" PRIu64 " results taken, %s\n", accepted, taken,
               ok ? "each once" : "which is WRONG");
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct config c = read_options(argc, argv);
    struct pen_client *put = connect_to(c.put_port, PEN_CLIENT_REQ);
    struct pen_client *results = connect_to(c.result_port, PEN_CLIENT_PULL);
    struct pen_client *call = connect_to(c.call_port, PEN_CLIENT_REQ);
    struct putting p = { .config = &c, .client = put };
    uint64_t taken = put_and_take(&p, results);
    bool called = call_one(call, c.messages);
    pen_client_free(&put);
    pen_client_free(&results);
    pen_client_free(&call);
    return report(&c, p.accepted, taken, called);
}
