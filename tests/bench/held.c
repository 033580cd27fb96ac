/* SPDX-License-Identifier: Apache-2.0
 *
 * What a held job costs in memory, and how put, take and settle grow with how many are held. Prints JSON.
 *
 *   held                the table: 10^3 to 10^6 held jobs
 *   held memory N       N held jobs of 100 bytes and nothing else: bytes of resident memory for each, payload included
 *
 * Payloads lie as they do when they are read from a socket: one after the other, each with its frame's head of 8 bytes, in
 * buffers of 64 KiB that are freed with their last message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/queue.h"
#include "plat/clock.h"

enum {
    BODY = 100,
    HEAD = 8,
    BUFFER = 64 * 1024,
    EACH = BUFFER / (BODY + HEAD),
    BATCH = 64,
    ROUNDS = 7
};
enum { MESSAGES = 200000, HELD_MAX = 1000000 };

static void must(bool it_holds)
{
    if (!it_holds) {
        fprintf(stderr, "held: failed\n");
        exit(1);
    }
}

/* ---- payloads ---- */

struct buffer {
    struct blob blob;
    uint8_t at[BUFFER];
};

static struct buffer *filling;
static size_t filled;

static void free_buffer(struct blob *blob)
{
    free(blob);
}

static struct slice next_body(void)
{
    if (filling == NULL || filled == EACH) {
        filling = malloc(sizeof *filling);
        must(filling != NULL);
        blob_init(&filling->blob, EACH, free_buffer);
        memset(filling->at, 'x', BUFFER);
        filled = 0;
    }
    const uint8_t *at = filling->at + filled++ * (BODY + HEAD) + HEAD;
    return (struct slice){ .blob = &filling->blob, .at = at, .bytes = BODY };
}

/* ---- the kinds of load ---- */

enum kind { PLAIN, PRIORITIES, LEASED, DELAYED, KEYS, KINDS };
static const char *const kinds[KINDS] = { "plain", "10 priorities", "leased", "beside delayed",
                                          "1000 keys" };

static uint64_t put_count;

static struct job_put make_put(enum kind kind, bool backlog)
{
    struct job_put put = { .body = next_body(), .priority = PRIORITY_DEFAULT };
    put_count++;
    if (kind == PRIORITIES)
        put.priority = (uint8_t)(put_count % 10);
    if (kind == KEYS || (kind == DELAYED && backlog)) {
        char key[16];
        must(job_ext_new(&put.ext) == 0);
        (void)snprintf(key, sizeof key, "key %d", (int)(put_count * 7919 % 1000));
        if (kind == KEYS)
            must((put.ext->key = strdup(key)) != NULL);
        else
            put.ext->delay_until.ns = NS_PER_S + (int64_t)(put_count * 7919 % 1000003);
    }
    return put;
}

static void put_batch(struct broker *b, enum kind kind, bool backlog)
{
    struct job_put puts[BATCH];
    for (size_t k = 0; k < BATCH; k++)
        puts[k] = make_put(kind, backlog);
    must(broker_put(b, puts, BATCH, (mono_t){ 1 }) == BATCH);
}

static size_t take_and_settle(struct broker *b, enum kind kind)
{
    struct job_take how = { .max = BATCH, .lease = { kind == LEASED ? NS_PER_S : 0 }, .owner = 7 };
    struct job jobs[BATCH];
    struct job_settle ends[BATCH];
    size_t settled;
    int n = broker_take(b, &how, jobs, (mono_t){ 1 });
    must(n > 0);
    for (int k = 0; k < n; k++)
        ends[k] =
            (struct job_settle){ .id = jobs[k].id, .lease = jobs[k].lease, .index = jobs[k].index };
    must(broker_settle(b, ends, (size_t)n, (mono_t){ 1 }, &settled) == 0);
    struct slice_releaser bodies = { 0 };
    for (int k = 0; k < n; k++) {
        slice_releaser_add(&bodies, &ends[k].ret_body);
        job_ext_free(ends[k].ret_ext);
    }
    slice_releaser_end(&bodies);
    return (size_t)n;
}

static struct broker *with_held(enum kind kind, uint64_t held)
{
    struct broker_options options = { .limits = { .items_max = HELD_MAX + 2 * BATCH } };
    struct broker *b;
    must(broker_new(&options, &b) == 0);
    for (uint64_t n = 0; n < held; n += BATCH)
        put_batch(b, kind, true);
    return b;
}

/* The buffer that is being filled is nobody's any more. */
static void drop_rest(void)
{
    if (filling != NULL)
        blob_unref(&filling->blob, (uint32_t)(EACH - filled));
    filling = NULL;
}

/* ---- time ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the least, which others on the machine disturb least. */
static double measure(enum kind kind, uint64_t held)
{
    double ns[ROUNDS];
    struct broker *b = with_held(kind, held);
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t ended = 0, put = 0;
        mono_t start = clock_mono();
        while (ended < MESSAGES) {
            for (; put < ended + BATCH; put += BATCH)
                put_batch(b, kind, false);
            ended += take_and_settle(b, kind);
        }
        ns[r] = (double)mono_since(clock_mono(), start).ns / (double)ended;
    }
    must(broker_ledger_holds(b));
    qsort(ns, ROUNDS, sizeof *ns, by_value);
    printf("{\"load\":\"%s\",\"held\":%llu,\"ns\":%.1f,\"min\":%.1f,\"max\":%.1f}\n", kinds[kind],
           (unsigned long long)held, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
    (void)fflush(stdout);
    broker_free(&b);
    drop_rest();
    return ns[0];
}

/* From few to many, and how much more it costs then. */
static void print_growth(enum kind kind)
{
    double first = measure(kind, 1000), last = first;
    for (uint64_t held = 10000; held <= HELD_MAX; held *= 10)
        last = measure(kind, held);
    printf("{\"load\":\"%s\",\"growth\":%.2f}\n", kinds[kind], last / first);
}

/* ---- memory ---- */

static double resident_bytes(void)
{
    unsigned long size, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    must(f != NULL && fscanf(f, "%lu %lu", &size, &resident) == 2);
    (void)fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void print_memory(uint64_t held)
{
    double before = resident_bytes();
    struct broker *b = with_held(PLAIN, held);
    double each = (resident_bytes() - before) / (double)broker_ledger_held(broker_ledger(b));
    printf("{\"held\":%llu,\"body\":%d,\"bytes_each\":%.1f}\n", (unsigned long long)held, BODY, each);
    broker_free(&b);
    drop_rest();
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "memory") == 0) {
        print_memory(strtoull(argv[2], NULL, 10));
        return 0;
    }
    print_memory(HELD_MAX);
    for (int kind = 0; kind < KINDS; kind++)
        print_growth((enum kind)kind);
    return 0;
}
