/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs, all at once: 4 threads submit jobs to a loop, a pool and a group over both, while others cancel what was
 * submitted, ask for outcomes with deadlines, move the group's deadline, and the pool is shut down at a random job, gracefully
 * or not. Jobs succeed, fail, stay pending, spin until they are asked to end, and add jobs to the group. Then the
 * loop is stopped at whatever it is doing, and freed with what is left.
 *
 * Every job that was accepted must have begun at most once and ended exactly once, told on a loop exactly once, with an
 * outcome that fits; every result must have gone to its destructor; the group must have ended. Made to run under
 * ThreadSanitizer.
 *
 * task_race [SEED [ROUNDS]]: the seed of each round is printed when it fails. 100 rounds; PENSTOCK_LONG=1: 10,000. A
 * round that hangs is ended by an alarm, which tells its seed.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <penstock/deadline.h>
#include <penstock/group.h>
#include <penstock/pool.h>

#include "../model/random.h"
#include "base/check.h"
#include "base/count.h"
#include "plat/clock.h"
#include "plat/thread.h"

enum {
    ROUNDS = 100,
    ROUNDS_LONG = 10000,
    SUBMITTERS = 4,
    EACH = 40,
    JOBS = SUBMITTERS * EACH,
    CHILDREN = JOBS, /* added by jobs, one each at most */
    RECORDS = JOBS + CHILDREN,
    STUCK_S = 120
};

enum behaviour { SUCCEED, FAIL, PEND, PEND_FOR_EVER, SPIN, SPAWN, BEHAVIOURS };

struct round;

struct record {
    struct round *round;
    size_t index;
    enum behaviour behaviour;
    struct pen_job *job;       /* owner: loop; while pending */
    bool ended;                /* owner: loop; a pending job that has finished */
    struct pen_future *future; /* what the submitter keeps, or NULL */
    struct pen_deadline *deadline;
    struct count accepted, begun, told, results, destroyed;
};

struct submitter {
    struct round *round;
    struct thread *thread;
    uint64_t random;
    size_t index;
};

struct round {
    struct pen_loop *loop, *other; /* jobs are told of on the other one */
    struct pen_pool *pool;
    struct pen_group *group;
    size_t shut_at; /* the job whose submitter shuts the pool down */
    bool cancel;
    struct submitter submitters[SUBMITTERS];
    struct record records[RECORDS];
};

static uint64_t round_seed;

static void tell_stuck(int signal)
{
    (void)signal;
    char text[80];
    int n = snprintf(text, sizeof text, "task_race: seed %" PRIu64 ": something never ends\n",
                     round_seed);
    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(EXIT_FAILURE);
}

/* ---- jobs ---- */

static void destroy_result(void *result)
{
    struct record *r = result;
    (void)count_add_shared(&r->destroyed, 1);
}

static void *result_of(struct record *r)
{
    (void)count_add_shared(&r->results, 1);
    return r;
}

static void finish_pending(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct record *r = arg;
    if (r->ended)
        return;
    r->ended = true;
    check(pen_job_finish(r->job, status, result_of(r)) == 0);
}

static void cancel_pending(struct pen_job *job, void *arg)
{
    struct record *r = arg;
    check(!r->ended);
    r->ended = true;
    check(pen_job_finish(job, PEN_ECANCELED, result_of(r)) == 0);
}

static int pend(struct pen_job *job, struct record *r)
{
    r->job = job;
    check(pen_job_on_cancel(job, cancel_pending, r) == 0);
    if (r->behaviour == PEND)
        check(pen_loop_call_soon(pen_job_loop(job), finish_pending, r) == 0);
    return PEN_PENDING;
}

static int work(struct pen_job *job, void *arg, void **ret_result);

/* A job of the group's adds another one. */
static void spawn(struct record *parent)
{
    struct round *round = parent->round;
    struct record *r = &round->records[JOBS + parent->index];
    r->behaviour = parent->index % 2 == 0 ? SUCCEED : FAIL;
    int error = pen_group_loop_submit(round->group, round->loop, work, r, NULL);
    check(error == 0 || error == PEN_ESHUTDOWN || error == PEN_ECLOSED || error == PEN_EFULL);
    (void)count_add_shared(&r->accepted, error == 0);
}

static int work(struct pen_job *job, void *arg, void **ret_result)
{
    struct record *r = arg;
    (void)count_add_shared(&r->begun, 1);
    switch (r->behaviour) {
    case PEND:
    case PEND_FOR_EVER:
        if (pen_job_loop(job) != NULL)
            return pend(job, r);
        break;
    case SPIN: /* Somebody cancels it: its submitter, or the pool's end. */
        while (pen_job_loop(job) == NULL && !pen_job_cancelled(job)) {
        }
        break;
    case SPAWN:
        spawn(r);
        break;
    default:
        break;
    }
    *ret_result = result_of(r);
    return r->behaviour == FAIL ? PEN_EHANDLER : pen_job_cancelled(job) ? PEN_ECANCELED : 0;
}

static void told(struct pen_future *f, void *arg)
{
    struct record *r = arg;
    int error = pen_future_error(f);
    check(error == 0 || error == PEN_EHANDLER || error == PEN_ECANCELED || error == PEN_ECLOSED);
    check(pen_future_state(f) == PEN_FUTURE_DONE);
    (void)count_add_shared(&r->told, 1);
}

/* ---- submitting ---- */

static int submit(struct round *round, struct record *r, uint64_t where, struct pen_future **f)
{
    static const struct pen_job_options options = { .name = "race",
                                                    .destroy_result = destroy_result };
    struct pen_job_options wait = options;
    wait.room_until = PEN_NEVER;
    switch (where) {
    case 0:
        return pen_loop_submit(round->loop, work, r, &options, f);
    case 1:
        return pen_pool_submit(round->pool, work, r, &options, f);
    case 2:
        return pen_pool_submit(round->pool, work, r, &wait, f);
    case 3:
        return pen_group_pool_submit(round->group, round->pool, work, r, f);
    default:
        return pen_group_loop_submit(round->group, round->loop, work, r, f);
    }
}

/* A deadline that is moved, freed while its loop is just looking at it, or kept until the end of the round. */
static int limit(struct record *r, uint64_t *random, pen_mono_t soon)
{
    int error = pen_deadline_new(r->round->other, NULL, PEN_NEVER, r->future, &r->deadline);
    if (error == 0)
        error = pen_deadline_reschedule(r->deadline, soon);
    if (random_below(random, 2) == 1)
        pen_deadline_free(&r->deadline);
    return error;
}

/* What one does with a future. */
static void use(struct record *r, uint64_t *random)
{
    struct round *round = r->round;
    pen_mono_t soon = mono_after(clock_mono(), (span_t){ (int64_t)random_below(random, 100000) });
    int error = 0;
    switch (random_below(random, 6)) {
    case 0:
        error = pen_future_get(r->future, soon, NULL);
        break;
    case 1:
        error = pen_future_get_or_cancel(r->future, soon, NULL);
        break;
    case 2:
        error = limit(r, random, soon);
        break;
    case 3:
        error = pen_group_reschedule(round->group, soon);
        break;
    case 4:
        error = pen_future_cancel(r->future);
        break;
    default:
        break;
    }
    check(error != PEN_EINVAL && error != PEN_EWRONGTHREAD && error != PEN_ENOMEM);
}

/* Something happens to a job that anybody has submitted. */
static void submit_one(struct submitter *s, size_t index)
{
    struct round *round = s->round;
    struct record *r = &round->records[index];
    r->behaviour = (enum behaviour)random_below(&s->random, BEHAVIOURS);
    int error = submit(round, r, random_below(&s->random, 5), &r->future);
    check(error == 0 || error == PEN_ESHUTDOWN || error == PEN_EFULL);
    if (error == 0) {
        (void)count_add_shared(&r->accepted, 1);
        check(pen_future_on_done(r->future, round->other, told, r) == 0);
        use(r, &s->random);
        if (r->behaviour == SPIN) /* It holds a thread until then. */
            (void)pen_future_cancel(r->future);
    }
    if (index == round->shut_at) {
        int ended = pen_pool_shutdown(round->pool, round->cancel, PEN_NOW, NULL);
        check(ended == 0 || ended == PEN_ETIMEOUT);
    }
}

static void run_submitter(void *arg)
{
    struct submitter *s = arg;
    for (size_t i = 0; i < EACH; i++)
        submit_one(s, s->index * EACH + i);
}

/* ---- a round ---- */

static void begin_round(struct round *round)
{
    uint64_t random = round_seed;
    memset(round, 0, sizeof *round);
    round->shut_at = random_below(&random, 2 * JOBS);
    round->cancel = random_below(&random, 2) == 1;
    for (size_t i = 0; i < RECORDS; i++) {
        round->records[i].round = round;
        round->records[i].index = i;
    }
    check(pen_loop_new(NULL, &round->loop) == 0 && pen_loop_new(NULL, &round->other) == 0);
    check(pen_loop_start(round->loop) == 0 && pen_loop_start(round->other) == 0);
    struct pen_pool_options pool = { .threads_max = 1 + (uint32_t)random_below(&random, 4),
                                     .queue_max = 1 + (uint32_t)random_below(&random, 32) };
    check(pen_pool_new(&pool, &round->pool) == 0);
    struct pen_job_options job = { .destroy_result = destroy_result };
    struct pen_group_options group = { .loop = round->other, .job = &job };
    check(pen_group_new(&group, &round->group) == 0);
}

/* The pool's own end, while the loop still runs; then the loop, in the middle of what it does. */
static void end_round(struct round *round)
{
    check(pen_pool_shutdown(round->pool, round->cancel, PEN_NEVER, NULL) == 0);
    pen_loop_stop(round->loop);
    check(pen_loop_join(round->loop) == 0);
    pen_loop_free(&round->loop);
    int outcome = pen_group_wait(round->group, PEN_NEVER); /* Nobody is left to keep it. */
    check(outcome == pen_group_outcome(round->group) && outcome != PEN_EBUSY);
    pen_group_free(&round->group);
    for (size_t i = 0; i < RECORDS; i++)
        pen_deadline_free(&round->records[i].deadline);
    pen_loop_stop(round->other);
    check(pen_loop_join(round->other) == 0);
    pen_loop_free(&round->other);
    pen_pool_free(&round->pool);
}

static bool record_right(struct record *r)
{
    bool accepted = count_read(&r->accepted) == 1;
    bool asked = r->future != NULL;
    bool done = !asked || pen_future_state(r->future) == PEN_FUTURE_DONE;
    pen_future_unref(&r->future);
    return done && asked == (accepted && r->index < JOBS) &&
           count_read(&r->told) == (asked ? 1 : 0) && count_read(&r->begun) <= (accepted ? 1 : 0) &&
           count_read(&r->results) <= count_read(&r->begun) &&
           count_read(&r->destroyed) == count_read(&r->results);
}

static bool run_round(struct round *round)
{
    begin_round(round);
    for (size_t i = 0; i < SUBMITTERS; i++) {
        struct submitter *s = &round->submitters[i];
        *s = (struct submitter){ .round = round, .index = i, .random = round_seed + i + 1 };
        check(thread_start("submitter", run_submitter, s, &s->thread) == 0);
    }
    for (size_t i = 0; i < SUBMITTERS; i++)
        thread_join(&round->submitters[i].thread);
    end_round(round);
    size_t wrong = 0;
    for (size_t i = 0; i < RECORDS; i++)
        wrong += !record_right(&round->records[i]);
    if (wrong > 0)
        printf("task_race: seed %" PRIu64 ": %zu jobs ended wrongly\n", round_seed, wrong);
    return wrong == 0;
}

int main(int argc, char **argv)
{
    static struct round round;
    const char *longer = getenv("PENSTOCK_LONG");
    size_t rounds = longer != NULL && longer[0] != '\0' ? ROUNDS_LONG : ROUNDS;
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)clock_mono().ns;
    if (argc > 2)
        rounds = strtoull(argv[2], NULL, 0);
    check(signal(SIGALRM, tell_stuck) != SIG_ERR);
    printf("seed %" PRIu64 ", %zu rounds\n", seed, rounds);
    fflush(stdout);
    for (size_t i = 0; i < rounds; i++) {
        round_seed = seed + i;
        alarm(STUCK_S);
        if (!run_round(&round))
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
