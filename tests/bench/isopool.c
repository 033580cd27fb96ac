/* SPDX-License-Identifier: Apache-2.0
 *
 * Isolated workers: what a request costs, and how soon a kill -9 in the middle of one is told and made good.
 *
 *   round trip   a request of 64 bytes to one worker and back, one after the other; beside it the same bytes written
 *                to a bare child over two pipes and read back
 *   throughput   requests per second with as many workers as processors and 256 in flight
 *   kill         from kill(2) to the future's PEN_EBROKEN, and on to the next answer of the pool's only worker
 */
#include <penstock/isopool.h>

#include <signal.h>
#include <sys/wait.h>

#include "kit.h"

enum { REQUEST_BYTES = 64, TRIPS = 2000, IN_FLIGHT = 256, REQUESTS = 20000, KILLS = 10 };

static unsigned char request[REQUEST_BYTES] = "echo";
static int pid_pipe[2];

/* "hang" tells its pid and hangs; anything else is given back. */
static int work(const void *data, size_t bytes, void **ret_answer, size_t *ret_bytes)
{
    if (memcmp(data, "hang", 4) == 0) {
        fprintf(stderr, "hanging\n");
        for (;;)
            pause();
    }
    *ret_answer = malloc(bytes);
    check(*ret_answer != NULL);
    memcpy(*ret_answer, data, bytes);
    *ret_bytes = bytes;
    return 0;
}

static void tell_pid(const char *line, size_t bytes, int pid, void *arg)
{
    (void)line;
    (void)bytes;
    (void)arg;
    check(write(pid_pipe[1], &pid, sizeof pid) == sizeof pid);
}

static struct pen_isopool *open_pool(struct pen_loop *loop, uint32_t workers)
{
    struct pen_isopool *pool;
    struct pen_isopool_options options = {
        .fn = work, .workers = workers, .on_stderr = tell_pid, .backoff_max = pen_ms(10)
    };
    check(pen_isopool_new(loop, &options, &pool) == 0);
    return pool;
}

static void verify(struct pen_future **future)
{
    void *answer = NULL;
    check(pen_future_get(*future, PEN_NEVER, &answer) == 0);
    const struct pen_iso_answer *a = answer;
    check(a->bytes == sizeof request && memcmp(a->data, request, sizeof request) == 0);
    pen_future_unref(future);
}

static void ask(struct pen_isopool *pool)
{
    struct pen_future *future;
    check(pen_isopool_submit(pool, request, sizeof request, &future) == 0);
    verify(&future);
}

static double us_since(mono_t began)
{
    return (double)mono_since(clock_mono(), began).ns / 1e3;
}

static double round_trip_us(struct pen_isopool *pool)
{
    ask(pool);
    mono_t began = clock_mono();
    for (int i = 0; i < TRIPS; i++)
        ask(pool);
    return us_since(began) / TRIPS;
}

static double throughput(struct pen_isopool *pool)
{
    struct pen_future *futures[IN_FLIGHT] = { NULL };
    mono_t began = clock_mono();
    for (int i = 0; i < REQUESTS; i++) {
        struct pen_future **f = &futures[i % IN_FLIGHT];
        if (*f != NULL)
            verify(f);
        check(pen_isopool_submit(pool, request, sizeof request, f) == 0);
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        verify(&futures[i]);
    return REQUESTS / us_since(began) * 1e6;
}

/* Kill the worker in the middle of a request. */
static void kill_once(struct pen_isopool *pool, double *ret_told_ms, double *ret_whole_ms)
{
    struct pen_future *future;
    int pid;
    check(pen_isopool_submit(pool, "hang", 4, &future) == 0);
    check(read(pid_pipe[0], &pid, sizeof pid) == sizeof pid);
    mono_t began = clock_mono();
    check(kill(pid, SIGKILL) == 0);
    check(pen_future_get(future, PEN_NEVER, NULL) == PEN_EBROKEN);
    *ret_told_ms = us_since(began) / 1e3;
    pen_future_unref(&future);
    ask(pool);
    *ret_whole_ms = us_since(began) / 1e3;
}

/* ---- the baseline: a child that gives back what it reads ---- */

static _Noreturn void echo(int in, int out)
{
    unsigned char data[REQUEST_BYTES];
    while (read(in, data, sizeof data) == sizeof data)
        check(write(out, data, sizeof data) == sizeof data);
    _exit(0);
}

struct bare {
    int in[2], out[2];
    pid_t pid;
};

/* Before there are threads. */
static void bare_open(struct bare *b)
{
    check(pipe(b->in) == 0 && pipe(b->out) == 0);
    b->pid = fork();
    check(b->pid >= 0);
    if (b->pid == 0) {
        close(b->in[1]);
        echo(b->in[0], b->out[1]);
    }
}

static double bare_trip_us(const struct bare *b)
{
    unsigned char data[REQUEST_BYTES];
    mono_t began = clock_mono();
    for (int i = 0; i < TRIPS; i++) {
        check(write(b->in[1], request, sizeof request) == sizeof request);
        check(read(b->out[0], data, sizeof data) == sizeof data);
        check(memcmp(data, request, sizeof data) == 0);
    }
    return us_since(began) / TRIPS;
}

struct figures {
    double *trip, *bare, *rate, *told, *whole; /* rounds of each; kills: KILLS in each round */
};

static void run(struct pen_loop *loop, const struct bare *bare, unsigned round, struct figures *f)
{
    struct pen_isopool *one = open_pool(loop, 1), *many = open_pool(loop, 0);
    f->trip[round] = round_trip_us(one);
    f->bare[round] = bare_trip_us(bare);
    f->rate[round] = throughput(many);
    for (unsigned i = 0; i < KILLS; i++)
        kill_once(one, &f->told[round * KILLS + i], &f->whole[round * KILLS + i]);
    pen_isopool_free(&one);
    pen_isopool_free(&many);
}

static double median(double *values, size_t n)
{
    bench_sort(values, n);
    return bench_percentile(values, n, 50);
}

static void print(bool json, const struct figures *f, unsigned rounds)
{
    size_t kills = (size_t)rounds * KILLS;
    double trip = median(f->trip, rounds), bare = median(f->bare, rounds);
    double rate = median(f->rate, rounds);
    double told = median(f->told, kills), whole = median(f->whole, kills);
    if (json)
        printf("{\"round_trip_us\": %.2f, \"bare_pipes_us\": %.2f, \"ratio\": %.2f, "
               "\"requests_per_s\": %.0f, \"kill_told_ms\": {\"median\": %.3f, \"max\": %.3f}, "
               "\"kill_whole_ms\": {\"median\": %.3f, \"max\": %.3f}}\n",
               trip, bare, trip / bare, rate, told, f->told[kills - 1], whole, f->whole[kills - 1]);
    else
        printf("round trip    %9.2f us  bare pipes %9.2f us  ratio %.2f\n"
               "throughput    %9.0f requests/s\n"
               "kill, told    %9.3f ms  at most    %9.3f ms\n"
               "kill, whole   %9.3f ms  at most    %9.3f ms\n",
               trip, bare, trip / bare, rate, told, f->told[kills - 1], whole, f->whole[kills - 1]);
}

static double *values_new(size_t n)
{
    double *values = calloc(n, sizeof *values);
    check(values != NULL);
    return values;
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_args(argc, argv, 7);
    struct bare bare;
    struct pen_loop *loop;
    struct figures f = {
        .trip = values_new(args.rounds),
        .bare = values_new(args.rounds),
        .rate = values_new(args.rounds),
        .told = values_new((size_t)args.rounds * KILLS),
        .whole = values_new((size_t)args.rounds * KILLS),
    };
    bare_open(&bare);
    check(pipe(pid_pipe) == 0);
    check(pen_isopool_prefork() == 0);
    check(pen_loop_new(NULL, &loop) == 0 && pen_loop_start(loop) == 0);
    for (unsigned round = 0; round < args.rounds; round++)
        run(loop, &bare, round, &f);
    pen_loop_stop(loop);
    check(pen_loop_join(loop) == 0);
    pen_loop_free(&loop);
    close(bare.in[1]);
    check(waitpid(bare.pid, NULL, 0) == bare.pid);
    print(args.json, &f, args.rounds);
    free(f.trip);
    free(f.bare);
    free(f.rate);
    free(f.told);
    free(f.whole);
    return 0;
}
