/* SPDX-License-Identifier: Apache-2.0
 *
 * The job queue in a crowd: eight producers and eight consumers, half of them threads and half loops, and two loops that
 * take under leases, of which many are left to end on the clock of a MAIN loop; while somebody pauses, resumes, purges and
 * kicks it, and shuts it down, gracefully or at once, at a random moment. Made to be run under ThreadSanitizer and
 * AddressSanitizer as well. Attempts fail and are repeated, and jobs are given back.
 *
 * In every round each job ends exactly once (settled, told as dropped, refused by its status, or kept by its
 * producer), the ledger agrees with that count, its bounds were kept, and everybody is released.
 *
 *   jobq_race [SEED [ROUNDS]]     100 rounds by default, 10,000 with PENSTOCK_LONG=1
 *
 * The seed decides what each of them does, not how the system lets them run.
 */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "flow/jobq.h"
#include "plat/thread.h"

enum {
    ACTORS = 8, /* of each sort; the even ones are threads */
    EACH = 60,  /* jobs of a producer */
    LOT = 8,
    WORKERS = 2,
    HANG_S = 600, /* a round that takes so long has lost a wake-up */
};

static uint64_t seed, round_seed;
static uint64_t all_settled, all_told, all_refused, all_kept, all_waits; /* of all rounds */

#define MUST(x) ((x) ? (void)0 : fail(#x, __LINE__))

static void fail(const char *what, int line)
{
    fprintf(stderr, "jobq_race: line %d: %s; again with: %" PRIu64 " 1\n", line, what, round_seed);
    abort();
}

static void on_hang(int number)
{
    static const char text[] = "jobq_race: somebody was never released\n";
    (void)number;
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    abort();
}

static uint32_t pick(uint64_t *state, uint32_t below) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % below);
}

/* ---- a round ---- */

struct round {
    struct jobq *q;
    struct broker_limits limits;
    bool patient;
    struct count ends[ACTORS * EACH]; /* of each job, how often it ended */
    struct count accepted, settled, told, refused, kept;
};

struct producer {
    struct round *round;
    uint64_t random;
    size_t index, made;
    struct job_put lot[LOT];
    size_t lot_count;
    struct thread *thread;
    struct pen_loop *loop;
    struct jobq_putter *putter;
};

struct consumer {
    struct round *round;
    uint64_t random;
    size_t index;
    struct job_settle held[LIMIT_BATCH_ITEMS];
    size_t held_count;
    bool settle_soon;
    struct thread *thread;
    struct pen_loop *loop;
    struct jobq_getter *getter;
};

/* It takes under leases. */
struct worker {
    struct round *round;
    uint64_t random, owner;
    struct pen_loop *loop;
    struct jobq_taker *taker;
};

/* The job whose body and attributes these are has ended. */
static void job_ends(struct round *r, struct slice body, struct job_ext *ext, struct count *how)
{
    uint64_t number;
    MUST(body.bytes >= sizeof number);
    memcpy(&number, body.at, sizeof number);
    MUST(number < ACTORS * EACH && strtoull(ext->key, NULL, 10) == number);
    MUST(count_add_shared(&r->ends[number], 1) == 0);
    (void)count_add_shared(how, 1);
    slice_release(&body);
    job_ext_free(ext);
}

static void on_dropped(struct jobq *q, struct job_dropped *jobs, size_t n, void *arg)
{
    struct round *r = arg;
    (void)q;
    for (size_t i = 0; i < n; i++)
        job_ends(r, jobs[i].body, jobs[i].ext, &r->told);
}

/* ---- producers ---- */

static void make_job(struct producer *p, struct job_put *ret_job)
{
    uint64_t number = p->index * EACH + p->made++;
    size_t bytes = sizeof number + pick(&p->random, 40);
    uint8_t *data;
    char key[24];
    struct job_ext *ext = calloc(1, sizeof *ext);
    *ret_job = (struct job_put){ .ext = ext };
    MUST(ext != NULL && slice_new(bytes, &ret_job->body, &data) == 0);
    memset(data, 'x', bytes);
    memcpy(data, &number, sizeof number);
    (void)snprintf(key, sizeof key, "%" PRIu64, number);
    ext->key = strdup(key);
    MUST(ext->key != NULL);
}

/* Fill the lot up; false when there is nothing left to put. */
static bool next_lot(struct producer *p)
{
    size_t want = 1 + pick(&p->random, LOT);
    while (p->lot_count < want && p->made < EACH)
        make_job(p, &p->lot[p->lot_count++]);
    return p->lot_count > 0;
}

/* The first n of the lot are decided. */
static void lot_decided(struct producer *p, size_t n)
{
    struct round *r = p->round;
    for (size_t i = 0; i < n; i++) {
        struct job_put *j = &p->lot[i];
        if (j->ret_status == 0)
            (void)count_add_shared(&r->accepted, 1);
        else
            job_ends(r, j->body, j->ext, &r->refused);
    }
    p->lot_count -= n;
    memmove(p->lot, p->lot + n, p->lot_count * sizeof p->lot[0]);
}

/* It stops: what is in its lot stays its own. */
static void keep_lot(struct producer *p)
{
    for (size_t i = 0; i < p->lot_count; i++)
        job_ends(p->round, p->lot[i].body, p->lot[i].ext, &p->round->kept);
    p->lot_count = 0;
}

/* In half of the rounds nobody's patience ends, so that a wake-up that is lost is missed by all. */
static pen_mono_t some_deadline(const struct round *r, uint64_t *random)
{
    switch (r->patient ? 2 : pick(random, 4)) {
    case 0:
        return PEN_NOW;
    case 1:
        return pen_deadline_in(pen_us(pick(random, 300)));
    default:
        return PEN_NEVER;
    }
}

static void produce(void *arg)
{
    struct producer *p = arg;
    int r = 0;
    while (r != PEN_ESHUTDOWN && next_lot(p)) {
        size_t n = 77;
        r = jobq_put(p->round->q, p->lot, p->lot_count, some_deadline(p->round, &p->random), &n);
        MUST(n <= p->lot_count && (r < 0 || n == p->lot_count));
        MUST(r == 0 || r == PEN_EFULL || r == PEN_ETIMEOUT || r == PEN_ESHUTDOWN);
        lot_decided(p, n);
    }
    keep_lot(p);
}

static void producer_ends(struct producer *p)
{
    keep_lot(p);
    jobq_putter_close(&p->putter);
    pen_loop_stop(p->loop);
}

/* Put until there is no room. */
static void give(struct producer *p)
{
    while (next_lot(p)) {
        int r = jobq_putter_put(p->putter, p->lot, p->lot_count);
        MUST(r >= 0 || r == PEN_ESHUTDOWN);
        if (r < 0)
            break;
        bool is_short = (size_t)r < p->lot_count;
        lot_decided(p, (size_t)r);
        if (is_short)
            return;
    }
    producer_ends(p);
}

static void give_soon(struct pen_loop *loop, void *arg, int status)
{
    struct producer *p = arg;
    (void)loop;
    if (status == 0 && p->putter != NULL)
        give(p);
}

/* Mostly it puts; sometimes it does so later, gives its turn back first, or quits for good. */
static void on_room(struct jobq_putter *putter, void *arg)
{
    struct producer *p = arg;
    uint32_t what = pick(&p->random, 16);
    MUST(putter == p->putter && pen_loop_here(p->loop));
    if (what == 0) {
        producer_ends(p);
    } else if (what <= 3) {
        int r = what == 1 ? 0 : jobq_putter_put(putter, NULL, 0);
        MUST(r == 0 || r == PEN_ESHUTDOWN);
        MUST(pen_loop_call_soon(p->loop, give_soon, p) == 0);
    } else {
        give(p);
    }
}

static void producer_start(struct producer *p, struct round *round, size_t index)
{
    *p = (struct producer){ .round = round, .random = round_seed + index, .index = index };
    if (index % 2 == 0) {
        MUST(thread_start("producer", produce, p, &p->thread) == 0);
        return;
    }
    struct jobq_putter_options options = { .on_room = on_room, .arg = p };
    MUST(pen_loop_new(NULL, &p->loop) == 0);
    MUST(jobq_attach_putter(round->q, p->loop, &options, &p->putter) == 0);
    MUST(pen_loop_call_soon(p->loop, give_soon, p) == 0);
    MUST(pen_loop_start(p->loop) == 0);
}

static void producer_join(struct producer *p)
{
    thread_join(&p->thread);
    if (p->loop == NULL)
        return;
    MUST(pen_loop_join(p->loop) == 0);
    MUST(p->putter == NULL);
    pen_loop_free(&p->loop);
}

/* ---- consumers ---- */

static void hold(struct consumer *c, const struct job *jobs, size_t n)
{
    static const enum job_outcome outcomes[] = { OUTCOME_DONE,     OUTCOME_DONE,   OUTCOME_DEAD,
                                                 OUTCOME_FAILED,   OUTCOME_RETRY,  OUTCOME_RELEASED,
                                                 OUTCOME_CANCELED, OUTCOME_CRASHED };
    MUST(n >= 1 && c->held_count + n <= LIMIT_BATCH_ITEMS);
    for (size_t i = 0; i < n; i++)
        c->held[c->held_count++] = (struct job_settle){ .id = jobs[i].id,
                                                        .index = jobs[i].index,
                                                        .outcome = outcomes[pick(&c->random, 8)] };
}

/* What was settled has ended, unless it goes on. */
static void settled(struct round *r, struct job_settle *end)
{
    if (end->ret_ext != NULL)
        job_ends(r, end->ret_body, end->ret_ext, &r->settled);
}

static void settle(struct consumer *c)
{
    struct round *r = c->round;
    if (c->held_count == 0)
        return;
    MUST(jobq_settle(r->q, c->held, c->held_count, NULL) == 0);
    for (size_t i = 0; i < c->held_count; i++)
        settled(r, &c->held[i]);
    c->held_count = 0;
}

static void consume(void *arg)
{
    struct consumer *c = arg;
    struct job jobs[LOT];
    size_t n;
    int r = 0;
    while (r != PEN_ESHUTDOWN) {
        r = jobq_take(c->round->q, jobs, 1 + pick(&c->random, LOT),
                      some_deadline(c->round, &c->random), &n);
        MUST(r == 0 || r == PEN_EEMPTY || r == PEN_ETIMEOUT || r == PEN_ESHUTDOWN);
        if (r == 0)
            hold(c, jobs, n);
        if (r == PEN_EEMPTY)
            sched_yield();
        settle(c);
    }
}

static void consumer_ends(struct consumer *c)
{
    settle(c);
    jobq_getter_close(&c->getter);
    pen_loop_stop(c->loop);
}

static void settle_later(struct pen_loop *loop, void *arg, int status)
{
    struct consumer *c = arg;
    (void)loop;
    if (status != 0 || c->getter == NULL)
        return;
    c->settle_soon = false;
    settle(c);
    jobq_getter_want(c->getter, 1 + pick(&c->random, 16));
}

/* What is not settled here is settled in the next turn; until then it wants as much as before, less, or nothing. */
static void on_jobs(struct jobq_getter *getter, const struct job *jobs, size_t n, void *arg)
{
    struct consumer *c = arg;
    uint32_t what = pick(&c->random, 32);
    MUST(getter == c->getter && pen_loop_here(c->loop));
    hold(c, jobs, n);
    if (what == 0) {
        consumer_ends(c);
        return;
    }
    if (what < 16)
        settle(c);
    if (what % 2 == 0)
        jobq_getter_want(getter, what % 4);
    if (!c->settle_soon) {
        c->settle_soon = true;
        MUST(pen_loop_call_soon(c->loop, settle_later, c) == 0);
    }
}

static void on_end(struct jobq_getter *getter, void *arg)
{
    struct consumer *c = arg;
    MUST(getter == c->getter && pen_loop_here(c->loop));
    consumer_ends(c);
}

static void consumer_start(struct consumer *c, struct round *round, size_t index)
{
    *c = (struct consumer){ .round = round, .random = round_seed + 100 + index, .index = index };
    if (index % 2 == 0) {
        MUST(thread_start("consumer", consume, c, &c->thread) == 0);
        return;
    }
    struct jobq_getter_options options = { .on_jobs = on_jobs, .on_shutdown = on_end, .arg = c };
    MUST(pen_loop_new(NULL, &c->loop) == 0);
    MUST(jobq_attach(round->q, c->loop, &options, &c->getter) == 0);
    jobq_getter_want(c->getter, 4);
    MUST(pen_loop_start(c->loop) == 0);
}

static void consumer_join(struct consumer *c)
{
    thread_join(&c->thread);
    if (c->loop == NULL)
        return;
    MUST(pen_loop_join(c->loop) == 0);
    MUST(c->getter == NULL);
    pen_loop_free(&c->loop);
}

/* ---- workers ---- */

/* Settle it, lose it, or leave it to its lease. */
static void work_on(struct worker *w, const struct job *job)
{
    static const struct job_failure uncharged = { .uncharged = true };
    static const enum job_outcome outcomes[] = { OUTCOME_DONE, OUTCOME_RETRY, OUTCOME_RELEASED };
    uint32_t what = pick(&w->random, 6);
    struct job_settle end = { .id = job->id, .index = job->index, .lease = job->lease };
    if (what == 5)
        return;
    if (what == 4) {
        int r = jobq_touch(w->round->q, job, pen_us(1 + pick(&w->random, 100)), "goes on");
        MUST(r == 0 || r == PEN_ELEASE);
        return;
    }
    end.outcome = outcomes[what % 3];
    end.why = end.outcome == OUTCOME_RELEASED ? &uncharged : NULL;
    int r = jobq_settle(w->round->q, &end, 1, NULL);
    MUST(r == 0 || r == PEN_ELEASE);
    if (r == 0)
        settled(w->round, &end);
}

static void on_ready(struct jobq_taker *taker, void *arg)
{
    struct worker *w = arg;
    struct job jobs[LOT];
    struct job_take how = { .max = 1 + pick(&w->random, LOT),
                            .lease = pen_us(1 + pick(&w->random, 200)),
                            .owner = w->owner };
    MUST(taker == w->taker && pen_loop_here(w->loop));
    if (pick(&w->random, 8) == 0) {
        jobq_taker_pass(taker);
        jobq_taker_wait(taker);
        return;
    }
    int n = jobq_taker_take(taker, &how, jobs);
    MUST(n >= 0 || n == PEN_ESHUTDOWN);
    for (int i = 0; i < n; i++)
        work_on(w, &jobs[i]);
    if (pick(&w->random, 16) == 0)
        (void)jobq_owner_gone(w->round->q, w->owner);
    if (n != PEN_ESHUTDOWN) {
        jobq_taker_wait(taker);
        return;
    }
    jobq_taker_close(&w->taker);
    pen_loop_stop(w->loop);
}

static void wait_first(struct pen_loop *loop, void *arg, int status)
{
    struct worker *w = arg;
    (void)loop;
    if (status == 0)
        jobq_taker_wait(w->taker);
}

static void worker_start(struct worker *w, struct round *round, size_t index)
{
    *w = (struct worker){ .round = round, .random = round_seed + 500 + index, .owner = index + 1 };
    struct jobq_taker_options options = { .on_ready = on_ready, .arg = w };
    MUST(pen_loop_new(NULL, &w->loop) == 0);
    MUST(jobq_attach_taker(round->q, w->loop, &options, &w->taker) == 0);
    MUST(pen_loop_call_soon(w->loop, wait_first, w) == 0);
    MUST(pen_loop_start(w->loop) == 0);
}

static void worker_join(struct worker *w)
{
    MUST(pen_loop_join(w->loop) == 0);
    MUST(w->taker == NULL);
    pen_loop_free(&w->loop);
}

/* ---- the one who disturbs ---- */

static void look(const struct round *r)
{
    struct jobq_stats s;
    jobq_stats(r->q, &s);
    MUST(s.ledger_holds);
    MUST(broker_ledger_held(&s.ledger) <= r->limits.items_max);
    MUST(r->limits.bytes_max == 0 || s.ledger.bytes <= r->limits.bytes_max);
}

static void disturb(const struct round *r, uint64_t *random)
{
    for (uint32_t left = pick(random, 60); left > 0; left--) {
        switch (pick(random, 7)) {
        case 0:
            jobq_pause(r->q);
            break;
        case 1:
            jobq_resume(r->q);
            break;
        case 2:
            (void)jobq_purge(r->q);
            break;
        case 3:
            look(r);
            break;
        case 4:
            (void)jobq_kick(r->q, 3);
            break;
        default:
            sched_yield();
        }
    }
}

static void shut_down(const struct round *r, uint64_t *random)
{
    bool at_once = pick(random, 2) == 0;
    jobq_shutdown(r->q, at_once ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
    if (pick(random, 3) == 0) {
        disturb(r, random);
        jobq_shutdown(r->q, PEN_SHUTDOWN_IMMEDIATE);
    }
}

static void join_queue(void *arg)
{
    MUST(jobq_join(arg, PEN_NEVER) == 0);
}

/* ---- all together ---- */

static void check_end(const struct round *r, uint64_t made)
{
    struct jobq_stats s;
    jobq_stats(r->q, &s);
    const struct broker_ledger *l = &s.ledger;
    MUST(s.ledger_holds && s.shut && l->ready == 0 && l->in_hand == 0 && l->bytes == 0);
    MUST(s.putters_waiting == 0 && s.getters_waiting == 0 && s.joiners_waiting == 0);
    MUST(l->items_high <= r->limits.items_max);
    uint64_t accepted = count_read(&r->accepted), settled = count_read(&r->settled);
    uint64_t told = count_read(&r->told), refused = count_read(&r->refused);
    MUST(accepted == settled + told);
    MUST(made == accepted + refused + count_read(&r->kept)); /* None ended twice: see job_ends(). */
    MUST(l->accepted == accepted + l->dropped[DROP_NEWEST]);
    MUST(refused == l->refused + l->dropped[DROP_NEWEST]);
    MUST(settled + told == l->done + l->dead + l->dropped[DROP_FAILED] + l->dropped[DROP_OLDEST] +
                               l->dropped[DROP_PURGED] + l->dropped[DROP_SHUTDOWN]);
    all_settled += settled;
    all_told += told;
    all_refused += refused;
    all_kept += count_read(&r->kept);
    all_waits += s.put_waits + s.get_waits;
}

static void one_round(void)
{
    static struct round r;
    static struct producer producers[ACTORS];
    static struct consumer consumers[ACTORS];
    static struct worker workers[WORKERS];
    struct pen_loop *clock;
    uint64_t random = round_seed + 1000;
    struct thread *joiner;
    memset(&r, 0, sizeof r);
    r.limits =
        (struct broker_limits){ .items_max = 1 + pick(&random, 40),
                                .bytes_max = pick(&random, 2) == 0 ? 0 : 30 + pick(&random, 300),
                                .policy = pick(&random, 3) > 0 ? BROKER_BLOCK : pick(&random, 4) };
    r.patient = pick(&random, 2) == 0;
    MUST(pen_loop_new(NULL, &clock) == 0);
    struct jobq_options options = {
        .name = "jobs", .limits = r.limits, .main = clock, .on_dropped = on_dropped, .arg = &r
    };
    MUST(jobq_new(&options, &r.q) == 0);
    MUST(pen_loop_start(clock) == 0);
    for (size_t i = 0; i < WORKERS; i++)
        worker_start(&workers[i], &r, i);
    for (size_t i = 0; i < ACTORS; i++)
        consumer_start(&consumers[i], &r, i);
    for (size_t i = 0; i < ACTORS; i++)
        producer_start(&producers[i], &r, i);
    MUST(thread_start("joiner", join_queue, r.q, &joiner) == 0);
    disturb(&r, &random);
    bool early = pick(&random, 2) == 0;
    if (early)
        shut_down(&r, &random);
    else
        jobq_resume(r.q);
    for (size_t i = 0; i < ACTORS; i++)
        producer_join(&producers[i]);
    if (!early)
        shut_down(&r, &random);
    for (size_t i = 0; i < ACTORS; i++)
        consumer_join(&consumers[i]);
    for (size_t i = 0; i < WORKERS; i++)
        worker_join(&workers[i]);
    thread_join(&joiner);
    MUST(jobq_join(r.q, PEN_NEVER) == 0);
    uint64_t made = 0;
    for (size_t i = 0; i < ACTORS; i++)
        made += producers[i].made;
    check_end(&r, made);
    pen_loop_stop(clock);
    MUST(pen_loop_join(clock) == 0);
    jobq_free(&r.q);
    pen_loop_free(&clock);
}

int main(int argc, char **argv)
{
    const char *is_long = getenv("PENSTOCK_LONG");
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : is_long != NULL ? 10000 : 100;
    (void)signal(SIGALRM, on_hang);
    for (uint64_t i = 0; i < rounds; i++) {
        round_seed = seed + i * 7919;
        (void)alarm(HANG_S);
        one_round();
    }
    printf("jobq_race: %" PRIu64 " rounds, seed %" PRIu64 ": %" PRIu64 " jobs settled, %" PRIu64
           " told as dropped, %" PRIu64 " refused, %" PRIu64 " kept; %" PRIu64 " waits\n",
           rounds, seed, all_settled, all_told, all_refused, all_kept, all_waits);
    return EXIT_SUCCESS;
}
