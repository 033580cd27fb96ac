/* SPDX-License-Identifier: Apache-2.0
 *
 * squares: sums of squares on the threads of a pool, as members of a group.
 *
 * It is the program that is often used to show what threads are worth in Python (asyncio.to_thread() in a TaskGroup, 4
 * threads, 10 tasks, size 5,000,000). Each task adds up i * i below `size`; the sum of a large task does not fit
 * 64 bits. Every sum is checked against its closed form; a wrong one fails its job, and so the group.
 *
 * --baseline processes measures against the best that can be had without a library: as many processes, each on a
 * processor of its own, with an equal share of the tasks each. Both are compared with one process that does all of it:
 *
 *     relative efficiency = speed-up of the pool / speed-up of the processes
 *
 * --oversubscribe adds a pool with eight times as many threads. The ways take turns in every round.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <penstock/group.h>
#include <penstock/pool.h>
#include <penstock/time.h>

#include "common.h"

enum { OVERSUBSCRIBED = 8, ROUNDS_MAX = 1000 };

__extension__ typedef unsigned __int128 wide;

struct config {
    uint64_t threads, tasks, size, rounds;
    bool json, baseline, oversubscribe;
};

/* ---- the work ---- */

static wide sum_of_squares(uint64_t size)
{
    wide sum = 0;
    for (uint64_t i = 0; i < size; i++) {
        /* Compilers know the closed form, too: this hides from them what i is. */
        __asm__ volatile("" : "+r"(i));
        sum += (wide)i * i;
    }
    return sum;
}

static wide closed_form(uint64_t size)
{
    return size == 0 ? 0 : (wide)(size - 1) * size * (2 * (wide)size - 1) / 6;
}

/* How many of the tasks index, index + step, ... gave the right sum. */
static uint64_t do_share(const struct config *config, uint64_t index, uint64_t step)
{
    uint64_t right = 0;
    for (uint64_t task = index; task < config->tasks; task += step)
        right += sum_of_squares(config->size) == closed_form(config->size);
    return right;
}

/* ---- in a pool ---- */

/* Owner: the job, and when the group has ended, main. */
struct task {
    uint64_t size;
    wide sum;
};

static int square_job(struct pen_job *job, void *arg, void **ret_result)
{
    (void)job;
    (void)ret_result;
    struct task *task = arg;
    task->sum = sum_of_squares(task->size);
    return task->sum == closed_form(task->size) ? 0 : PEN_EBROKEN;
}

static void submit_all(struct pen_group *group, struct pen_pool *pool, struct task *tasks, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        int r = pen_group_pool_submit(group, pool, square_job, &tasks[i], NULL);
        if (r < 0)
            die("pen_group_pool_submit", r);
    }
}

/* Seconds, with the starting and ending of the threads; the sum is that of the last task. */
static double run_pool(const struct config *config, uint64_t threads, wide *ret_sum)
{
    struct task *tasks = calloc(config->tasks, sizeof *tasks);
    if (tasks == NULL)
        die("calloc", 0);
    for (uint64_t i = 0; i < config->tasks; i++)
        tasks[i].size = config->size;
    int64_t start_ns = pen_now().ns;
    struct pen_pool_options options = { .name = "squares",
                                        .threads_max = (uint32_t)threads,
                                        .queue_max = (uint32_t)config->tasks };
    struct pen_pool *pool = NULL;
    int r = pen_pool_new(&options, &pool);
    if (r < 0)
        die("pen_pool_new", r);
    struct pen_group *group = NULL;
    if ((r = pen_group_new(NULL, &group)) < 0)
        die("pen_group_new", r);
    submit_all(group, pool, tasks, config->tasks);
    if ((r = pen_group_wait(group, PEN_NEVER)) < 0)
        die("a sum is wrong", r);
    pen_group_free(&group);
    pen_pool_free(&pool);
    double seconds = seconds_since(start_ns);
    *ret_sum = tasks[config->tasks - 1].sum;
    free(tasks);
    return seconds;
}

/* ---- in processes ---- */

struct share {
    const struct config *config;
    unsigned processes;
};

static void share_process(unsigned index, void *arg, void *ret_result)
{
    const struct share *share = arg;
    *(uint64_t *)ret_result = do_share(share->config, index, share->processes);
}

static double run_processes(const struct config *config, unsigned n)
{
    struct share share = { config, n };
    uint64_t *right = calloc(n, sizeof *right);
    if (right == NULL)
        die("calloc", 0);
    double seconds = processes_run(n, share_process, &share, right, sizeof *right);
    uint64_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += right[i];
    free(right);
    if (total != config->tasks)
        die("a sum is wrong", PEN_EBROKEN);
    return seconds;
}

/* ---- measuring ---- */

enum way { ONE_PROCESS, PROCESSES, POOL, POOL_OVERSUBSCRIBED, WAYS };

static double run_way(const struct config *config, enum way way)
{
    wide sum;
    switch (way) {
    case ONE_PROCESS:
        return run_processes(config, 1);
    case PROCESSES:
        return run_processes(config, (unsigned)config->threads);
    case POOL:
        return run_pool(config, config->threads, &sum);
    default:
        return run_pool(config, config->threads * OVERSUBSCRIBED, &sum);
    }
}

struct figures {
    double seconds[WAYS][ROUNDS_MAX];
    /* by round */
    double pool_speedup[ROUNDS_MAX], processes_speedup[ROUNDS_MAX], efficiency[ROUNDS_MAX];
    double loss[ROUNDS_MAX]; /* of the oversubscribed pool's speed, 0 to 1 */
};

static void measure(const struct config *config, struct figures *f)
{
    unsigned ways = config->oversubscribe ? WAYS : POOL_OVERSUBSCRIBED;
    for (uint64_t round = 0; round < config->rounds; round++) {
        for (unsigned i = 0; i < ways; i++) { /* None is always the first. */
            enum way way = (enum way)((i + round) % ways);
            f->seconds[way][round] = run_way(config, way);
        }
        double one = f->seconds[ONE_PROCESS][round], pool = f->seconds[POOL][round];
        f->pool_speedup[round] = one / pool;
        f->processes_speedup[round] = one / f->seconds[PROCESSES][round];
        f->efficiency[round] = f->pool_speedup[round] / f->processes_speedup[round];
        if (config->oversubscribe)
            f->loss[round] = 1 - pool / f->seconds[POOL_OVERSUBSCRIBED][round];
    }
}

static void print_head(const struct config *config)
{
    if (config->json)
        printf("{\"program\": \"squares\", \"threads\": %" PRIu64 ", \"tasks\": %" PRIu64
               ", \"size\": %" PRIu64 ", \"ok\": true",
               config->threads, config->tasks, config->size);
    else
        printf("%" PRIu64 " tasks of size %" PRIu64 " on %" PRIu64 " threads; every sum is right.\n",
               config->tasks, config->size, config->threads);
}

static void compare(const struct config *config)
{
    static struct figures f;
    measure(config, &f);
    const struct line lines[] = {
        { "one_process_seconds", "one process, seconds", f.seconds[ONE_PROCESS] },
        { "processes_seconds", "processes, seconds", f.seconds[PROCESSES] },
        { "pool_seconds", "pool, seconds", f.seconds[POOL] },
        { "processes_speedup", "speed-up of the processes", f.processes_speedup },
        { "pool_speedup", "speed-up of the pool", f.pool_speedup },
        { "relative_efficiency", "relative efficiency", f.efficiency },
        { "oversubscribed_seconds", "8 times the threads, seconds", f.seconds[POOL_OVERSUBSCRIBED] },
        { "oversubscribed_loss", "loss by 8 times the threads", f.loss },
    };
    size_t n = sizeof lines / sizeof *lines;
    print_head(config);
    if (config->json)
        printf(", \"rounds\": %" PRIu64, config->rounds);
    lines_print(lines, config->oversubscribe ? n : n - 2, config->rounds, config->json);
    if (config->json)
        printf("}\n");
}

/* 128 bits have at most 39 digits. */
static const char *decimal(wide number, char buffer[static 40])
{
    char *at = buffer + 39;
    *at = '\0';
    do {
        *--at = (char)('0' + (int)(number % 10));
        number /= 10;
    } while (number != 0);
    return at;
}

static void run_once(const struct config *config)
{
    wide sum;
    double seconds = run_pool(config, config->threads, &sum);
    char digits[40];
    print_head(config);
    if (config->json)
        printf(", \"sum\": %s, \"seconds\": %.6f}\n", decimal(sum, digits), seconds);
    else
        printf("Elapsed time: %.6f s\n", seconds);
}

int main(int argc, char **argv)
{
    struct config config = { .threads = 4, .tasks = 10, .size = 5000000, .rounds = 7 };
    const struct option_row rows[] = {
        { "threads", .number = &config.threads, .min = 1, .max = 1024 / OVERSUBSCRIBED },
        { "tasks", .number = &config.tasks, .min = 1, .max = 1 << 20 },
        { "size", .number = &config.size, .min = 0, .max = (uint64_t)1 << 40 },
        { "rounds", .number = &config.rounds, .min = 1, .max = ROUNDS_MAX },
        { "baseline", .word = "processes", .chosen = &config.baseline },
        { "oversubscribe", .flag = &config.oversubscribe },
        { "json", .flag = &config.json },
    };
    options_read(argc, argv, rows, sizeof rows / sizeof *rows);
    if (config.baseline || config.oversubscribe)
        compare(&config);
    else
        run_once(&config);
    return 0;
}
