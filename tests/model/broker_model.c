/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's queue against a model of one page: an array of jobs in order, searched from the front. Random commands from
 * a printed seed; after each one both must agree on every answer, and the ledger must hold.
 *
 *   broker_model [SEED [COMMANDS]]     100,000 commands by default, 10,000,000 with PENSTOCK_LONG=1
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/queue.h"

enum { MODEL_MAX = 64, BATCH = 8 };

#define NOW ((mono_t){ 1000 })

enum model_state { GONE, READY, IN_HAND };

struct model_job {
    uint64_t id;
    uint32_t bytes, index;
    enum model_state state;
};

struct model {
    struct broker_limits limits;
    struct model_job jobs[MODEL_MAX]; /* in order of arrival */
    size_t count;
    bool shut, paused;
    uint64_t accepted, ended;
    uint64_t to_take; /* dropped, and not taken by broker_take_drops() */
    struct broker_drops drops;
};

static uint64_t seed, commands, done_commands;

#define AGREE(x) ((x) ? (void)0 : disagree(#x, __LINE__))

static void disagree(const char *what, int line)
{
    fprintf(stderr,
            "broker_model: line %d: %s; after %" PRIu64 " commands; again with: %" PRIu64 "\n",
            line, what, done_commands, seed);
    exit(EXIT_FAILURE);
}

static uint64_t random_state;

static uint32_t pick(uint32_t below) /* splitmix64 */
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % below);
}

static void remove_job(struct model *m, size_t i)
{
    memmove(&m->jobs[i], &m->jobs[i + 1], (m->count - i - 1) * sizeof m->jobs[0]);
    m->count--;
}

static uint64_t bytes_in(const struct model *m, enum model_state only)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->count; i++)
        if (only == GONE || m->jobs[i].state == only)
            sum += m->jobs[i].bytes;
    return sum;
}

static size_t count_in(const struct model *m, enum model_state only)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        n += m->jobs[i].state == only;
    return n;
}

static bool model_fits(const struct model *m, size_t items, uint64_t held_bytes, uint32_t bytes)
{
    return items < m->limits.items_max &&
           (m->limits.bytes_max == 0 || held_bytes + bytes <= m->limits.bytes_max);
}

static void drop_first_ready(struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->jobs[i].state != READY)
            continue;
        remove_job(m, i);
        m->ended++;
        m->to_take++;
        return;
    }
}

/* 1: must wait. */
static int model_put(struct model *m, uint32_t bytes)
{
    if (m->limits.bytes_max != 0 && bytes > m->limits.bytes_max)
        return PEN_ETOOBIG;
    bool fits = model_fits(m, m->count, bytes_in(m, GONE), bytes);
    if (!fits && m->limits.policy == BROKER_BLOCK)
        return 1;
    if (!fits && m->limits.policy == BROKER_REJECT)
        return PEN_EFULL;
    if (!fits && m->limits.policy == BROKER_DROP_OLDEST &&
        model_fits(m, count_in(m, IN_HAND), bytes_in(m, IN_HAND), bytes)) {
        while (!model_fits(m, m->count, bytes_in(m, GONE), bytes))
            drop_first_ready(m);
        fits = true;
    }
    m->accepted++;
    if (!fits) {
        m->ended++;
        return PEN_EDROPPED;
    }
    m->jobs[m->count++] = (struct model_job){ .bytes = bytes, .state = READY };
    return 0;
}

static void do_put(struct model *m, struct broker *b)
{
    static const uint8_t text[512];
    struct job_put puts[BATCH];
    size_t n = 1 + pick(BATCH);
    for (size_t i = 0; i < n; i++)
        puts[i] = (struct job_put){ .body = { .at = text, .bytes = pick(40) } };
    int r = broker_put(b, puts, n, NOW);
    if (m->shut) {
        AGREE(r == PEN_ESHUTDOWN);
        return;
    }
    size_t i = 0;
    for (; i < n; i++) {
        int expect = model_put(m, puts[i].body.bytes);
        if (expect > 0)
            break;
        AGREE((size_t)r > i && puts[i].ret_status == expect);
        if (expect == 0)
            m->jobs[m->count - 1].id = puts[i].ret_id;
    }
    AGREE((size_t)r == i);
}

static void do_take(struct model *m, struct broker *b)
{
    struct job jobs[BATCH];
    struct job_take how = { .max = 1 + pick(BATCH) };
    size_t max = how.max, n = (size_t)broker_take(b, &how, jobs, NOW), k = 0;
    for (size_t i = 0; i < m->count && k < max && !m->paused; i++) {
        if (m->jobs[i].state != READY)
            continue;
        AGREE(k < n && jobs[k].id == m->jobs[i].id && jobs[k].body.bytes == m->jobs[i].bytes);
        m->jobs[i].state = IN_HAND;
        m->jobs[i].index = jobs[k++].index;
    }
    AGREE(k == n);
}

static void do_settle(struct model *m, struct broker *b)
{
    if (m->count == 0)
        return;
    size_t i = pick((uint32_t)m->count), settled;
    struct model_job *j = &m->jobs[i];
    struct job_settle s = { .id = j->id, .index = j->index, .outcome = pick(4) };
    int r = broker_settle(b, &s, 1, NOW, &settled);
    if (j->state != IN_HAND) {
        AGREE(r == PEN_ETOOMANY && settled == 0);
        return;
    }
    AGREE(r == 0 && settled == 1 && s.ret_body.bytes == j->bytes);
    remove_job(m, i);
    m->ended++;
}

static void do_reap(struct model *m, struct broker *b)
{
    struct job_dropped dropped[BATCH];
    if (m->drops.count == 0) {
        m->drops = broker_take_drops(b);
        m->to_take -= m->drops.count;
        AGREE(m->to_take == 0);
    }
    uint32_t count = m->drops.count;
    size_t n = broker_reap(b, &m->drops, dropped, BATCH);
    AGREE(n == (count < BATCH ? count : BATCH) && m->drops.count == count - n);
}

static void do_rare(struct model *m, struct broker *b)
{
    uint32_t what = pick(100);
    if (what < 40) {
        m->paused = !m->paused && !m->shut;
        broker_set_paused(b, m->paused);
    } else if (what < 60) {
        size_t ready = count_in(m, READY);
        AGREE(broker_purge(b) == ready);
        while (count_in(m, READY) > 0)
            drop_first_ready(m);
    } else if (what == 99) {
        bool drop = pick(2) == 0;
        broker_shutdown(b, drop ? BROKER_DROP : BROKER_DRAIN);
        m->shut = true;
        m->paused = false;
        while (drop && count_in(m, READY) > 0)
            drop_first_ready(m);
    }
}

static void compare(const struct model *m, const struct broker *b)
{
    const struct broker_ledger *g = broker_ledger(b);
    AGREE(broker_ledger_holds(b));
    AGREE(g->accepted == m->accepted && g->accepted == m->ended + m->count);
    AGREE(g->ready == count_in(m, READY) && g->in_hand == count_in(m, IN_HAND));
    AGREE(g->bytes == bytes_in(m, GONE));
    AGREE(g->items_high <= m->limits.items_max);
    AGREE(broker_is_idle(b) == (m->count == 0));
    AGREE(broker_has_dropped(b) == (m->to_take > 0));
}

static void one_life(uint64_t length)
{
    struct model m = { .limits = { .items_max = 1 + pick(MODEL_MAX - 1),
                                   .bytes_max = pick(2) == 0 ? 0 : 1 + pick(600),
                                   .policy = pick(4) } };
    struct broker *b;
    struct broker_options options = { .limits = m.limits };
    AGREE(broker_new(&options, &b) == 0);
    for (uint64_t i = 0; i < length; i++, done_commands++) {
        uint32_t what = pick(100);
        if (what < 35)
            do_put(&m, b);
        else if (what < 60)
            do_take(&m, b);
        else if (what < 90)
            do_settle(&m, b);
        else if (what < 98)
            do_reap(&m, b);
        else
            do_rare(&m, b);
        compare(&m, b);
    }
    broker_free(&b);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    const char *is_long = getenv("PENSTOCK_LONG");
    commands = argc > 2 ? strtoull(argv[2], NULL, 10) : is_long != NULL ? 10000000 : 100000;
    random_state = seed;
    while (done_commands < commands)
        one_life(2000);
    printf("broker_model: %" PRIu64 " commands agree, seed %" PRIu64 "\n", done_commands, seed);
    return EXIT_SUCCESS;
}
