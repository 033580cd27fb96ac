/* SPDX-License-Identifier: Apache-2.0
 *
 * A durable store on a disk that loses power at any write: random puts, changes and ends from a seed, commits and chores in
 * any order, and in between the process is killed, closed in order, or the machine stops, during recovery too. After
 * each, what comes back is compared with what was promised:
 *   - every put whose ticket was synced is there, unless it has ended, with its bytes and attributes;
 *   - nothing is there that was not put, and nothing twice;
 *   - what has ended stays away, once a commit after it was synced; before that it may come again;
 *   - a job's state is the last one that was synced, or a later one;
 *   - the log is cut, not thinned: with a put all earlier ones are there; and a batch is there as a whole or not at all;
 *   - every dedupe id of a synced put is remembered, ended or not;
 *   - nothing is called damaged.
 *
 *   test_store_sim [SEED [COUNT]]     COUNT seeds from SEED on: 2,000 by default (200 under a sanitizer), 100,000 with PENSTOCK_LONG=1
 *
 * Afterwards the same with a disk that lies about one kind of sync at a time, as if the store had forgotten it: each such
 * lie must be found out, or the test could not fail.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../model/random.h"
#include "store/store.h"
#include "vfs_sim.h"

enum {
    IDS_MAX = 4096,
    STEPS = 400,
    PAYLOAD_MAX = 3000,
    BATCH_MAX = 4,
    LIE_SEEDS = 20000,
    FAR_FUTURE_S = 1u << 31
};

enum fate { NEVER, LIVES, ENDED };

struct model_job {
    enum fate fate;
    bool end_synced;   /* it must not come again */
    uint64_t ticket;   /* 0: synced */
    uint64_t batch;    /* its first id */
    uint32_t bytes;    /* of payload */
    uint16_t attempts; /* now */
    uint16_t attempts_synced;
    bool has_dedupe;
    uint64_t salt; /* of its content */
    bool seen, dedupe_seen;
};

static struct {
    uint64_t seed, random;
    struct sim_disk *disk;
    struct store *store;
    enum store_sync sync;
    struct model_job jobs[IDS_MAX];
    uint64_t next_id, last_seen;
    struct store_news news;
    uint64_t receipts; /* tickets up to here were synced for their owners */
} t;

/* Over all seeds: what the walk came by. */
static struct {
    uint64_t recoveries, recovered_jobs, crashes, moved_jobs, recycled, removed, waits;
} seen;

static jmp_buf found_out;
static char complaint[256];

#define MUST(x) ((x) ? (void)0 : complain(#x, __LINE__, 0))
#define MUST_FOR(id, x) ((x) ? (void)0 : complain(#x, __LINE__, id))

_Noreturn static void complain(const char *what, int line, uint64_t id)
{
    (void)snprintf(complaint, sizeof complaint, "line %d: %s; job %" PRIu64 ", seed %" PRIu64, line,
                   what, id, t.seed);
    longjmp(found_out, 1);
}

static uint64_t pick(uint64_t below)
{
    return random_below(&t.random, below);
}

/* ---- what a job looks like ---- */

static uint8_t content[PAYLOAD_MAX];

static void fill(const struct model_job *m)
{
    uint64_t random = m->salt;
    for (uint32_t i = 0; i < m->bytes; i++)
        content[i] = i % 8 == 0 ? (uint8_t)random_next(&random) : (uint8_t)(content[i - 1] + 1);
}

static struct store_job describe(uint64_t id, char text[32])
{
    const struct model_job *m = &t.jobs[id];
    fill(m);
    int n = snprintf(text, 32, "job %" PRIu64, id);
    struct store_job j = { .id = id,
                           .state = { .attempts = m->attempts, .priority = (uint8_t)(id % 10) },
                           .expires_ns = id % 3 == 0 ? (int64_t)FAR_FUTURE_S * NS_PER_S : 0,
                           .payload = content,
                           .payload_bytes = m->bytes,
                           .key = text,
                           .key_bytes = (uint8_t)(id % 2 == 0 ? n : 0),
                           .extra = text,
                           .extra_bytes = id % 5 == 0 ? (uint32_t)n : 0 };
    if (m->has_dedupe) {
        j.dedupe = text;
        j.dedupe_bytes = (uint8_t)n;
        j.dedupe_ns = (int64_t)FAR_FUTURE_S * NS_PER_S;
    }
    return j;
}

static bool same(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0);
}

/* ---- what comes back ---- */

static void look_at_job(const struct store_job *j)
{
    MUST_FOR(j->id, j->id < IDS_MAX && j->id > t.last_seen);
    t.last_seen = j->id;
    struct model_job *m = &t.jobs[j->id];
    MUST_FOR(j->id, m->fate != NEVER);
    MUST_FOR(j->id, !m->end_synced);
    char text[32];
    struct store_job is = describe(j->id, text);
    MUST_FOR(j->id, same(j->payload, j->payload_bytes, is.payload, is.payload_bytes));
    MUST_FOR(j->id, same(j->key, j->key_bytes, is.key, is.key_bytes));
    MUST_FOR(j->id, same(j->extra, j->extra_bytes, is.extra, is.extra_bytes));
    MUST_FOR(j->id, same(j->dedupe, j->dedupe_bytes, is.dedupe, is.dedupe_bytes));
    MUST_FOR(j->id, j->expires_ns == is.expires_ns && j->dedupe_ns == is.dedupe_ns);
    MUST_FOR(j->id, j->state.priority == is.state.priority);
    MUST_FOR(j->id, j->state.attempts >= m->attempts_synced && j->state.attempts <= m->attempts);
    m->attempts = m->attempts_synced = j->state.attempts;
    m->seen = true;
    seen.recovered_jobs++;
}

static void look_at_dedupe(const struct store_job *j)
{
    MUST_FOR(j->id, j->id < IDS_MAX && t.jobs[j->id].fate != NEVER && t.jobs[j->id].has_dedupe);
    t.jobs[j->id].dedupe_seen = true;
}

/* Out of the store's own calls nobody jumps: they end with an error first. */
static int guard(void (*look)(const struct store_job *j), const struct store_job *j)
{
    jmp_buf outer;
    memcpy(&outer, &found_out, sizeof outer);
    int r = setjmp(found_out);
    if (r == 0)
        look(j);
    memcpy(&found_out, &outer, sizeof outer);
    return r == 0 ? 0 : PEN_ECANCELED;
}

static int see_job(void *arg, const struct store_job *j)
{
    (void)arg;
    return guard(look_at_job, j);
}

static int see_dedupe(void *arg, const struct store_job *j)
{
    (void)arg;
    return guard(look_at_dedupe, j);
}

/* Opening may have been stopped by a crash, so what was seen counts only when it succeeds. */
static void forget_seen(void)
{
    t.last_seen = 0;
    for (uint64_t id = 0; id < IDS_MAX; id++)
        t.jobs[id].seen = t.jobs[id].dedupe_seen = false;
}

static uint64_t highest_seen_ticket(void)
{
    uint64_t ticket = 0;
    for (uint64_t id = 1; id < t.next_id; id++)
        if (t.jobs[id].seen && t.jobs[id].ticket > ticket)
            ticket = t.jobs[id].ticket;
    return ticket;
}

static void check_job(uint64_t id, uint64_t last_ticket)
{
    struct model_job *m = &t.jobs[id];
    bool promised = m->ticket <= t.receipts || m->ticket < last_ticket;
    if (m->fate == LIVES && promised)
        MUST_FOR(id, m->seen);
    if (m->has_dedupe && m->fate != NEVER && m->ticket <= t.receipts)
        MUST_FOR(id, m->dedupe_seen);
    if (m->fate == LIVES && t.jobs[m->batch].fate == LIVES)
        MUST_FOR(id, m->seen == t.jobs[m->batch].seen);
}

static void check_recovered(const struct store_recovery *r)
{
    MUST(r->damaged == 0);
    uint64_t last_ticket = highest_seen_ticket();
    for (uint64_t id = 1; id < t.next_id; id++)
        check_job(id, last_ticket);
    for (uint64_t id = 1; id < t.next_id; id++) {
        struct model_job *m = &t.jobs[id];
        bool known = m->seen || (m->fate == ENDED && m->ticket <= t.receipts);
        m->fate = m->seen ? LIVES : known || m->dedupe_seen ? ENDED : NEVER;
        m->end_synced = m->fate == ENDED;
        m->ticket = 0;
        MUST_FOR(id, m->fate != LIVES || id <= r->last_id);
    }
    t.next_id = r->last_id + 1;
    seen.recoveries++;
}

/* ---- the store's life ---- */

static void on_news(void *arg, const struct store_news *news)
{
    (void)arg;
    t.news = *news;
}

static int open_store(void)
{
    static const struct store_keeper keeper = { .job = see_job, .dedupe = see_dedupe };
    struct store_options options = { .name = "sim",
                                     .sync = t.sync,
                                     .interval = span_s(86400),
                                     .segment_bytes = FORMAT_SEGMENT_BYTES_MIN,
                                     .disk_max = 64 << 20,
                                     .seed = random_next(&t.random),
                                     .by_hand = true,
                                     .on_news = on_news };
    struct store_recovery recovery;
    forget_seen();
    sim_set_recovering(t.disk, true);
    int r = store_open(sim_dir(t.disk), &options, &keeper, &t.store, &recovery);
    sim_set_recovering(t.disk, false);
    if (r < 0)
        return r;
    check_recovered(&recovery);
    t.receipts = 0; /* Those of the new life; all before are synced, and have ticket 0. */
    t.news = (struct store_news){ 0 };
    return 0;
}

/* Until it is open: the machine may stop on the way. */
static void reopen(void)
{
    for (;;) {
        if (pick(3) == 0)
            sim_crash_after(t.disk, 1 + pick(12));
        int r = open_store();
        if (r == 0)
            break;
        if (r == PEN_ECANCELED)
            longjmp(found_out, 1); /* With the complaint of see_job(). */
        MUST(sim_crashed(t.disk));
        if (t.receipts > t.news.synced)
            t.receipts =
                t.news.synced; /* The process had only died, but now the machine has stopped. */
        seen.crashes++;
        sim_reboot(t.disk);
    }
    if (!sim_crashed(t.disk))
        sim_crash_after(t.disk, 0);
}

static bool receipts_are_synced(void)
{
    return t.sync == STORE_SYNC_ALWAYS || t.sync == STORE_SYNC_GROUP;
}

/* It ends, in order or because nothing works any more. */
static int close_store(void)
{
    struct store_stats s;
    store_stats(t.store, &s);
    seen.moved_jobs += s.moved_jobs;
    seen.recycled += s.recycled;
    seen.removed += s.removed;
    return store_close(&t.store);
}

static void lose_power(void)
{
    t.receipts = t.news.synced;
    (void)close_store();
    seen.crashes++;
    sim_reboot(t.disk);
    reopen();
}

/* The process dies: what was written is there. */
static void die(void)
{
    t.receipts = t.news.written;
    sim_crash_after(t.disk, 1);
    uint64_t before = sim_changes(t.disk);
    (void)close_store(); /* Of this nothing reaches the disk but part of one write. */
    MUST(sim_changes(t.disk) <= before + 1);
    sim_kill(t.disk);
    reopen();
}

static void end_in_order(void)
{
    int r = close_store();
    if (sim_crashed(t.disk)) {
        t.receipts = t.news.synced;
        seen.crashes++;
        sim_reboot(t.disk);
        reopen();
        return;
    }
    MUST(r == 0);
    t.receipts = UINT64_MAX;
    for (uint64_t id = 1; id < t.next_id; id++) {
        t.jobs[id].attempts_synced = t.jobs[id].attempts;
        t.jobs[id].end_synced = t.jobs[id].fate == ENDED;
    }
    sim_kill(t.disk);
    reopen();
}

/* ---- what its owner does ---- */

static uint64_t a_live_job(void)
{
    for (int i = 0; i < 16 && t.next_id > 1; i++) {
        uint64_t id = 1 + pick(t.next_id - 1);
        /* The old ones first, most of the time, as queues do. */
        if (pick(4) > 0)
            id = 1 + pick(id);
        if (t.jobs[id].fate == LIVES)
            return id;
    }
    return 0;
}

static void put(void)
{
    uint64_t n = 1 + pick(BATCH_MAX), bytes = 0;
    if (t.next_id + n >= IDS_MAX)
        return;
    for (uint64_t i = 0; i < n; i++) {
        t.jobs[t.next_id + i] = (struct model_job){ .batch = t.next_id,
                                                    .bytes = (uint32_t)pick(pick(PAYLOAD_MAX) + 1),
                                                    .attempts = (uint16_t)pick(3),
                                                    .has_dedupe = pick(4) == 0,
                                                    .salt = random_next(&t.random) };
        t.jobs[t.next_id + i].attempts_synced = t.jobs[t.next_id + i].attempts;
        bytes += t.jobs[t.next_id + i].bytes + 3 * 32;
    }
    int r = store_reserve(t.store, n, bytes);
    MUST(r == 0 || r == -EAGAIN || sim_crashed(t.disk));
    seen.waits += r < 0;
    if (r < 0)
        return;
    uint64_t first = t.next_id;
    for (uint64_t id = first; id < first + n; id++) {
        char text[32];
        struct store_job j = describe(id, text);
        t.next_id = id + 1;
        t.jobs[id].ticket = store_put(t.store, &j);
        t.jobs[id].fate = LIVES;
        MUST_FOR(id, t.jobs[id].ticket == t.jobs[first].ticket);
    }
}

static void change(uint64_t id)
{
    struct model_job *m = &t.jobs[id];
    struct store_state state = { .attempts = ++m->attempts, .priority = (uint8_t)(id % 10) };
    store_change(t.store, id, &state);
}

static void end(uint64_t id)
{
    t.jobs[id].fate = ENDED;
    store_end(t.store, id);
}

/* Commit until there is nothing more: then all is synced. */
static void flush(void)
{
    while (store_work(t.store, STORE_COMMIT))
        continue;
    struct store_stats stats;
    store_stats(t.store, &stats);
    if (sim_crashed(t.disk) || !receipts_are_synced() || stats.news.condition != STORE_OPEN)
        return;
    MUST(stats.lost == 0);
    if (stats.collected + stats.late > 0)
        return; /* There was no spare. */
    for (uint64_t id = 1; id < t.next_id; id++) {
        if (t.jobs[id].ticket > t.news.synced)
            return;
        t.jobs[id].attempts_synced = t.jobs[id].attempts;
        t.jobs[id].end_synced = t.jobs[id].fate == ENDED;
    }
}

static void check_space(void)
{
    struct store_stats s;
    store_stats(t.store, &s);
    uint64_t most = STORE_SPACE_FACTOR * s.live_bytes +
                    (STORE_SPACE_SEGMENTS + 2) * (uint64_t)FORMAT_SEGMENT_BYTES_MIN;
    MUST(s.news.condition != STORE_OPEN || s.disk_bytes <= most);
}

/* All commits and chores there are: then the files are as small as is promised. */
static void settle(void)
{
    for (int i = 0; i < 200; i++) {
        bool more = store_work(t.store, STORE_COMMIT);
        more |= store_work(t.store, STORE_CHORE);
        if (!more)
            break;
    }
    if (!sim_crashed(t.disk))
        check_space();
}

static void read_back(uint64_t id)
{
    struct store_buffer buffer = { 0 };
    struct store_job j;
    char text[32];
    int r = store_read(t.store, id, &buffer, &j);
    bool right = true;
    if (r == 0) {
        struct store_job is = describe(id, text);
        right = j.id == id && same(j.payload, j.payload_bytes, is.payload, is.payload_bytes) &&
                j.state.attempts == is.state.attempts;
    }
    free(buffer.data);
    MUST_FOR(id, right && (r == 0 || sim_crashed(t.disk)));
}

static void step(void)
{
    uint64_t what = pick(1000), id = a_live_job();
    if (what < 380)
        put();
    else if (what < 560 && id != 0)
        end(id);
    else if (what < 620 && id != 0)
        change(id);
    else if (what < 640 && id != 0)
        read_back(id);
    else if (what < 840)
        (void)store_work(t.store, STORE_COMMIT);
    else if (what < 930)
        (void)store_work(t.store, STORE_CHORE);
    else if (what < 960)
        flush();
    else if (what < 970)
        settle();
    else if (what < 975)
        die();
    else if (what < 980)
        end_in_order();
    else if (what < 990)
        sim_crash_after(t.disk, 1 + pick(30));
    else if (what < 993)
        lose_power();
    if (sim_crashed(t.disk))
        lose_power();
}

static void one_life(uint64_t seed, unsigned lies)
{
    memset(&t, 0, sizeof t);
    t.seed = t.random = seed;
    t.next_id = 1;
    t.disk = sim_new(seed);
    sim_lie(t.disk, lies);
    static const enum store_sync levels[] = { STORE_SYNC_GROUP, STORE_SYNC_GROUP, STORE_SYNC_ALWAYS,
                                              STORE_SYNC_NONE, STORE_SYNC_INTERVAL };
    t.sync = levels[pick(5)];
    if (lies != 0)
        t.sync = STORE_SYNC_GROUP;
    reopen();
    for (int i = 0; i < STEPS; i++)
        step();
    lose_power();
    end_in_order();
}

static void bury(void)
{
    if (t.store != NULL)
        (void)store_close(&t.store);
    sim_free(t.disk);
    t.disk = NULL;
}

/* False, with a complaint, when it was found out. */
static bool try_life(uint64_t seed, unsigned lies)
{
    bool well = setjmp(found_out) == 0;
    if (well)
        one_life(seed, lies);
    bury();
    return well;
}

static int try_lie(const char *name, unsigned lie, uint64_t first)
{
    for (uint64_t n = 0; n < LIE_SEEDS; n++) {
        if (try_life(first + n, lie))
            continue;
        printf("test_store_sim: without %s: found out by seed %" PRIu64 ": %s\n", name, n + 1,
               complaint);
        return 0;
    }
    fprintf(stderr, "test_store_sim: without %s: not found out\n", name);
    return 1;
}

/* A seed takes ten times as long under a sanitizer, which looks at each of them and needs fewer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 200 };
#else
enum { SEEDS = 2000 };
#endif

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2                  ? strtoull(argv[2], NULL, 10)
                     : getenv("PENSTOCK_LONG") ? 100000
                                               : SEEDS;
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 20); /* Windows of a MiB come and go. */
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    for (uint64_t n = 0; n < count; n++) {
        if (try_life(first + n, 0))
            continue;
        fprintf(stderr, "test_store_sim: %s\n", complaint);
        return EXIT_FAILURE;
    }
    printf("test_store_sim: %" PRIu64 " seeds, %" PRIu64 " recoveries, %" PRIu64
           " losses of power, %" PRIu64 " jobs brought back, %" PRIu64 " moved, segments %" PRIu64
           " recycled, %" PRIu64 " removed, %" PRIu64 " puts had to wait\n",
           count, seen.recoveries, seen.crashes, seen.recovered_jobs, seen.moved_jobs,
           seen.recycled, seen.removed, seen.waits);
    int failed = seen.moved_jobs == 0 || seen.recycled == 0 || seen.removed == 0 || seen.waits == 0;
    failed |= try_lie("the sync of a commit", SIM_LIE_SYNC, first);
    failed |= try_lie("the sync of what was recovered", SIM_LIE_SYNC_RECOVERY, first);
    failed |= try_lie("the sync of a segment's header", SIM_LIE_SYNC_HEADER, first);
    failed |= try_lie("the sync of the folder", SIM_LIE_SYNC_DIR, first);
    return failed;
}
