/* SPDX-License-Identifier: Apache-2.0
 *
 * Brokers in virtual time: a queue and its dead-letter queue, producers, four handlers of our own and six outside workers, who
 * fail, crash, stop for longer than their leases, vanish in silence, or go where the transport shows it.
 *
 *   broker_sim [SEED]     two scenarios; ten seeds of each with PENSTOCK_LONG=1
 *
 *   day      24 hours of traffic with all attributes. After every step both ledgers hold, no job is in two hands, and a
 *            lease that was lost is worth nothing; in the end each job that was accepted has ended exactly once.
 *   orders   100 keys with 1,000 jobs each, in which one attempt in five ends badly: each key's jobs are done exactly in
 *            the order of their puts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../model/random.h"
#include "broker/queue.h"

enum {
    OURS = 4,
    OUTSIDE = 6,
    WORKERS = OURS + OUTSIDE,
    TAKE = 10,
    KEYS = 100,
    KEY_JOBS = 1000,
    LEASE_S = 30
};
enum { JOBS_MAX = 1 << 20 };

/* What we know of a job from outside. */
struct known {
    int64_t until; /* somebody may hold it until then */
    uint64_t lease;
    uint16_t key, number; /* orders: its place in its key */
    bool in, ended;
};

struct worker {
    struct job jobs[TAKE];
    size_t count, at; /* in hand, and which is worked on */
    int64_t done_at;  /* when that one is ready; INT64_MAX: nothing to do */
    uint64_t owner;   /* a new one after each death */
};

static struct {
    struct broker *queue, *dead;
    struct known *jobs;
    struct worker workers[WORKERS];
    int64_t now, next_put;
    uint64_t random, owners, steps, lost_leases, deaths;
    bool orders;
    uint32_t put_of[KEYS], done_of[KEYS];
} sim;

static uint64_t seed;

#define MUST(x) ((x) ? (void)0 : fail(#x, __LINE__))

static void fail(const char *what, int line)
{
    fprintf(stderr,
            "broker_sim: line %d: %s; in second %" PRId64 ", again with: broker_sim %" PRIu64 "\n",
            line, what, sim.now / NS_PER_S, seed);
    exit(EXIT_FAILURE);
}

static uint64_t below(uint64_t n)
{
    return random_below(&sim.random, n);
}

static bool luck(uint64_t per_mille)
{
    return below(1000) < per_mille;
}

static mono_t at(int64_t ns)
{
    return (mono_t){ ns };
}

static int64_t seconds(int64_t s)
{
    return s * NS_PER_S;
}

/* Spread around a mean. */
static int64_t about(int64_t ns)
{
    return 1 + (int64_t)below((uint64_t)(2 * ns));
}

/* ---- ends ---- */

static void ends(uint64_t id)
{
    MUST(id < JOBS_MAX && sim.jobs[id].in && !sim.jobs[id].ended);
    sim.jobs[id].ended = true;
    sim.jobs[id].until = 0;
}

static void reap(struct broker *b, bool known)
{
    struct broker_drops drops = broker_take_drops(b);
    struct job_dropped jobs[TAKE];
    size_t n;
    while ((n = broker_reap(b, &drops, jobs, TAKE)) > 0)
        for (size_t k = 0; k < n; k++) {
            if (known)
                ends(jobs[k].id);
            job_ext_free(jobs[k].ext);
        }
}

static void settle_dying(struct job *j, enum job_outcome outcome)
{
    struct job_settle s = { .id = j->id, .index = j->index, .outcome = outcome };
    size_t settled;
    MUST(broker_settle(sim.queue, &s, 1, at(sim.now), &settled) == 0);
    job_ext_free(s.ret_ext);
    ends(j->id);
}

/* What is dying goes to the dead letters, as whoever holds both queues does it. */
static void move_dying(void)
{
    struct job dying[TAKE];
    size_t n;
    while ((n = broker_take_dying(sim.queue, dying, TAKE)) > 0)
        for (size_t k = 0; k < n; k++) {
            struct job_put put = { .body = dying[k].body, .priority = dying[k].priority };
            MUST(dying[k].ext != NULL && job_ext_copy(dying[k].ext, &put.ext) == 0);
            put.ext->died_after = dying[k].attempt;
            free(put.ext->dedupe); /* Two that have died may have been alike. */
            put.ext->dedupe = NULL;
            put.ext->expires_at = put.ext->delay_until = at(0);
            MUST(broker_put(sim.dead, &put, 1, at(sim.now)) == 1 && put.ret_status == 0);
            settle_dying(&dying[k], OUTCOME_DEAD);
        }
}

/* ---- producers ---- */

static void set_text(char **text, const char *kind, uint64_t n)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s %" PRIu64, kind, n);
    *text = strdup(name);
    MUST(*text != NULL);
}

static struct job_put any_put(void)
{
    struct job_put put = { .body = { .bytes = (uint32_t)below(100) },
                           .priority = luck(200) ? (uint8_t)below(10) : 4 };
    if (luck(700))
        return put;
    MUST(job_ext_new(&put.ext) == 0);
    struct job_ext *ext = put.ext;
    if (luck(400))
        set_text(&ext->key, "customer", below(50));
    if (luck(200))
        set_text(&ext->dedupe, "request", below(2000));
    ext->coalesce = luck(300);
    ext->delay_until = at(luck(150) ? sim.now + about(seconds(600)) : 0);
    ext->expires_at = at(luck(300) ? sim.now + about(seconds(60)) : 0);
    return put;
}

static struct job_put orders_put(uint16_t key)
{
    struct job_put put = { .body = { .bytes = 1 }, .priority = (uint8_t)below(10) };
    MUST(job_ext_new(&put.ext) == 0);
    set_text(&put.ext->key, "key", key);
    return put;
}

static void do_put(struct job_put put, uint16_t key)
{
    int n = broker_put(sim.queue, &put, 1, at(sim.now));
    MUST(n == 1);
    if (put.ret_status < 0) {
        MUST(!sim.orders);
        job_ext_free(put.ext);
        return;
    }
    MUST(put.ret_id < JOBS_MAX && !sim.jobs[put.ret_id].in);
    sim.jobs[put.ret_id] = (struct known){ .in = true, .key = key };
    if (sim.orders)
        sim.jobs[put.ret_id].number = (uint16_t)sim.put_of[key]++;
}

/* Twice as much at noon as at midnight: two to four a second. */
static int64_t pause_before_put(void)
{
    int64_t hour = sim.now / seconds(3600), from_noon = hour < 12 ? 12 - hour : hour - 12;
    return about(seconds(1) / (4 - from_noon / 6));
}

static void produce(void)
{
    if (!sim.orders) {
        do_put(any_put(), 0);
        sim.next_put = sim.now < seconds(24L * 3600) ? sim.now + pause_before_put() : INT64_MAX;
        return;
    }
    uint16_t key = (uint16_t)below(KEYS);
    for (int k = 0; k < KEYS && sim.put_of[key] == KEY_JOBS; k++)
        key = (uint16_t)((key + 1) % KEYS);
    if (sim.put_of[key] == KEY_JOBS) {
        sim.next_put = INT64_MAX;
        return;
    }
    do_put(orders_put(key), key);
    sim.next_put = sim.now + about(seconds(1) / 10);
}

/* ---- workers ---- */

static bool is_ours(const struct worker *w)
{
    return w - sim.workers < OURS;
}

static void start_next(struct worker *w)
{
    w->done_at = w->at == w->count ? INT64_MAX : sim.now + about(seconds(1));
    if (w->at == w->count)
        w->count = w->at = 0;
}

static void take(struct worker *w)
{
    struct job_take how = { .max = 1 + below(TAKE), .owner = w->owner };
    how.lease = is_ours(w) ? (span_t){ 0 } : span_s(LEASE_S);
    int n = broker_take(sim.queue, &how, w->jobs, at(sim.now));
    MUST(n >= 0);
    w->count = (size_t)n;
    for (size_t k = 0; k < w->count; k++) {
        struct known *j = &sim.jobs[w->jobs[k].id];
        MUST(j->in && !j->ended && j->until <= sim.now);
        j->until = is_ours(w) ? INT64_MAX : sim.now + seconds(LEASE_S);
        j->lease = w->jobs[k].lease;
    }
    start_next(w);
}

/* Nobody else has it by now. */
static bool still_holds(const struct worker *w, size_t k)
{
    const struct known *j = &sim.jobs[w->jobs[k].id];
    return !j->ended && j->until > sim.now && j->lease == w->jobs[k].lease;
}

static void settle(struct worker *w, size_t k, enum job_outcome outcome,
                   const struct job_failure *why)
{
    bool holds = still_holds(w, k);
    uint64_t id = w->jobs[k].id;
    struct job_settle s = { .id = id,
                            .lease = w->jobs[k].lease,
                            .index = w->jobs[k].index,
                            .outcome = outcome,
                            .why = why,
                            .cpu_ns = is_ours(w) ? about(seconds(1)) : 0,
                            .service_ns = seconds(1) };
    size_t settled;
    int r = broker_settle(sim.queue, &s, 1, at(sim.now), &settled);
    MUST(r == (holds ? 0 : PEN_ELEASE));
    sim.lost_leases += !holds;
    if (!holds)
        return;
    sim.jobs[id].until = 0;
    if (outcome != OUTCOME_DONE)
        return;
    job_ext_free(s.ret_ext);
    ends(id);
    if (sim.orders)
        MUST(sim.jobs[id].number == sim.done_of[sim.jobs[id].key]++);
}

/* The one that was worked on is guilty, the others are given back for nothing. */
static void crash(struct worker *w)
{
    struct job_failure bystander = { .error = PEN_ECRASHED, .uncharged = true };
    settle(w, w->at, OUTCOME_CRASHED, NULL);
    for (size_t k = w->count; k-- > w->at + 1;)
        settle(w, k, OUTCOME_RELEASED, &bystander);
    w->at = w->count;
    sim.deaths++;
}

/* An outside worker dies: the transport shows it, or nobody knows before the leases end. */
static void die(struct worker *w)
{
    if (luck(500)) {
        for (size_t k = w->at; k < w->count; k++)
            if (still_holds(w, k))
                sim.jobs[w->jobs[k].id].until = 0;
        (void)broker_owner_gone(sim.queue, w->owner, at(sim.now));
    }
    w->owner = ++sim.owners;
    w->at = w->count;
    sim.deaths++;
}

static void finish_one(struct worker *w)
{
    struct job_failure busy = { .error = PEN_EHANDLER,
                                .text = "busy",
                                .delay = span_s((int64_t)below(20)) };
    uint64_t fate = below(1000);
    if (fate < 800 || (fate >= 990 && sim.orders))
        settle(w, w->at++, OUTCOME_DONE, NULL);
    else if (fate < 900)
        settle(w, w->at++, OUTCOME_RETRY, luck(500) ? &busy : NULL);
    else if (fate < 960)
        settle(w, w->at++, OUTCOME_RELEASED, &busy);
    else if (fate < 990)
        is_ours(w) ? crash(w) : die(w);
    else
        settle(w, w->at++, OUTCOME_BURIED, &busy);
}

/* Hold what is left for longer, as a good worker does. */
static void touch_rest(struct worker *w)
{
    for (size_t k = w->at; k < w->count && !is_ours(w); k++) {
        bool holds = still_holds(w, k);
        int r =
            broker_touch(sim.queue, w->jobs[k].id, w->jobs[k].lease, span_s(LEASE_S), at(sim.now));
        MUST(r == (holds ? 0 : PEN_ELEASE));
        if (holds)
            sim.jobs[w->jobs[k].id].until = sim.now + seconds(LEASE_S);
    }
}

static void work(struct worker *w)
{
    if (!is_ours(w) && luck(20)) { /* Stopped, and does not know it. */
        w->done_at = sim.now + about(seconds(2L * LEASE_S));
        return;
    }
    finish_one(w);
    if (luck(900))
        touch_rest(w);
    start_next(w);
}

/* ---- time ---- */

static struct worker *next_worker(void)
{
    struct worker *next = &sim.workers[0];
    for (int k = 1; k < WORKERS; k++)
        if (sim.workers[k].done_at < next->done_at)
            next = &sim.workers[k];
    return next;
}

static void check_books(void)
{
    MUST(broker_ledger_holds(sim.queue) && broker_ledger_holds(sim.dead));
    MUST(broker_ledger(sim.dead)->items_high <= 500);
    sim.steps++;
}

static void after_step(void)
{
    reap(sim.queue, true);
    move_dying();
    reap(sim.dead, false);
    size_t from = below(WORKERS);
    for (size_t k = 0; k < WORKERS && broker_has_ready(sim.queue); k++) {
        struct worker *w = &sim.workers[(from + k) % WORKERS];
        if (w->count == 0)
            take(w);
    }
    check_books();
}

/* What comes next; false: nothing will ever come. */
static bool step(void)
{
    struct worker *w = next_worker();
    int64_t due = broker_next_due(sim.queue).ns, next = due < sim.next_put ? due : sim.next_put;
    next = w->done_at < next ? w->done_at : next;
    if (next == INT64_MAX)
        return false;
    sim.now = next > sim.now ? next : sim.now;
    if (due <= sim.now)
        (void)broker_tick(sim.queue, at(sim.now), 1 + below(3));
    else if (sim.next_put <= sim.now)
        produce();
    else
        work(w);
    if (!sim.orders && luck(1))
        (void)broker_kick(sim.queue, 5, at(sim.now));
    after_step();
    return true;
}

/* ---- scenarios ---- */

static void begin(bool orders)
{
    memset(sim.jobs, 0, JOBS_MAX * sizeof *sim.jobs);
    memset(sim.put_of, 0, sizeof sim.put_of);
    memset(sim.done_of, 0, sizeof sim.done_of);
    memset(sim.workers, 0, sizeof sim.workers);
    sim.random = seed;
    sim.now = sim.next_put = 1;
    sim.orders = orders;
    sim.steps = sim.lost_leases = sim.deaths = 0;
    for (int k = 0; k < WORKERS; k++) {
        sim.workers[k].done_at = INT64_MAX;
        sim.workers[k].owner = ++sim.owners;
    }
    struct broker_options queue = { .seed = seed,
                                    .limits = { .items_max = orders ? 100000 : 5000,
                                                .policy = BROKER_DROP_OLDEST,
                                                .attempts_max = orders ? 0 : 4,
                                                .crashes_max = orders ? 0 : 2,
                                                .backoff_base = span_s(1),
                                                .backoff_cap = span_s(60),
                                                .dead_letters = true,
                                                .dedupe_window = span_s(300),
                                                .dedupe_max = 1000 } };
    struct broker_options dead = { .limits = { .items_max = 500, .policy = BROKER_DROP_OLDEST } };
    MUST(broker_new(&queue, &sim.queue) == 0 && broker_new(&dead, &sim.dead) == 0);
}

static void check_end(void)
{
    const struct broker_ledger *g = broker_ledger(sim.queue);
    MUST(broker_is_over(sim.queue) && broker_is_idle(sim.queue) && broker_ledger_held(g) == 0);
    for (uint64_t id = 0; id < JOBS_MAX; id++)
        MUST(sim.jobs[id].in == sim.jobs[id].ended);
    for (int k = 0; sim.orders && k < KEYS; k++)
        MUST(sim.done_of[k] == KEY_JOBS);
    MUST(sim.deaths > 100 && sim.lost_leases > 100 && g->retried > 1000 && g->lease_expired > 100);
}

static void run(bool orders)
{
    begin(orders);
    while (step())
        if (sim.next_put == INT64_MAX && !broker_is_shut(sim.queue))
            broker_shutdown(sim.queue, BROKER_DRAIN);
    check_end();
    const struct broker_ledger *g = broker_ledger(sim.queue);
    printf("broker_sim: %s: %" PRIu64 " steps, %" PRIu64 " accepted, %" PRIu64 " done, %" PRIu64
           " dead, %" PRIu64 " expired, %" PRIu64 " retried, %" PRIu64 " deaths, %" PRIu64
           " late acks, seed %" PRIu64 "\n",
           orders ? "orders" : "day", sim.steps, g->accepted, g->done, g->dead, g->expired,
           g->retried, sim.deaths, sim.lost_leases, seed);
    broker_free(&sim.queue);
    broker_free(&sim.dead);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    sim.jobs = calloc(JOBS_MAX, sizeof *sim.jobs);
    MUST(sim.jobs != NULL);
    for (int rounds = getenv("PENSTOCK_LONG") != NULL ? 10 : 1; rounds > 0; rounds--, seed++) {
        run(false);
        run(true);
    }
    free(sim.jobs);
    return EXIT_SUCCESS;
}
