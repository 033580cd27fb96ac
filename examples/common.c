/* SPDX-License-Identifier: Apache-2.0
 *
 * What the example programs share: see common.h. One thread.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <penstock/error.h>
#include <penstock/time.h>

void die(const char *what, int error)
{
    int saved = errno;
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
            error < 0 ? pen_strerror(error) : strerror(saved));
    exit(1);
}

/* ---- options ---- */

static _Noreturn void usage(const struct option_row *rows, size_t n, int status)
{
    FILE *to = status == 0 ? stdout : stderr;
    fprintf(to, "usage: %s", program_invocation_short_name);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].number != NULL)
            fprintf(to, " [--%s N]", rows[i].name);
        else if (rows[i].word != NULL)
            fprintf(to, " [--%s %s]", rows[i].name, rows[i].word);
        else
            fprintf(to, " [--%s]", rows[i].name);
    }
    fprintf(to, "\n");
    for (size_t i = 0; i < n; i++)
        if (rows[i].number != NULL)
            fprintf(to, "  --%-12s %llu to %llu, default %llu\n", rows[i].name,
                    (unsigned long long)rows[i].min, (unsigned long long)rows[i].max,
                    (unsigned long long)*rows[i].number);
    exit(status);
}

/* A value that the option accepts, put where it belongs. */
static bool take_value(const struct option_row *row, const char *value)
{
    if (row->word != NULL) {
        *row->chosen = strcmp(value, row->word) == 0;
        return *row->chosen;
    }
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || value[0] == '-' || number < row->min ||
        number > row->max)
        return false;
    *row->number = number;
    return true;
}

static const struct option_row *find_row(const struct option_row *rows, size_t n, const char *arg)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, rows[i].name) == 0)
            return &rows[i];
    return NULL;
}

void options_read(int argc, char **argv, const struct option_row *rows, size_t n)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            usage(rows, n, 0);
        const struct option_row *row = find_row(rows, n, argv[i]);
        if (row != NULL && row->flag != NULL)
            *row->flag = true;
        else if (row == NULL || i + 1 == argc || !take_value(row, argv[++i]))
            usage(rows, n, 2);
    }
}

/* ---- figures ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread spread_of(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    return (struct spread){ values[0], median, values[n - 1] };
}

void lines_print(const struct line *lines, size_t n, size_t rounds, bool json)
{
    for (size_t i = 0; i < n; i++) {
        struct spread s = spread_of(lines[i].values, rounds);
        if (json)
            printf(", \"%s\": {\"min\": %.6g, \"median\": %.6g, \"max\": %.6g}", lines[i].name,
                   s.min, s.median, s.max);
        else
            printf("  %-30s %9.5g  (%.5g to %.5g)\n", lines[i].text, s.median, s.min, s.max);
    }
}

double seconds_since(int64_t start_ns)
{
    return (double)(pen_now().ns - start_ns) / 1e9;
}

/* ---- other processes ---- */

void write_all(int fd, const void *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, (const char *)data + done, bytes - done);
        if (n < 0 && errno != EINTR)
            die("write", 0);
        done += n > 0 ? (size_t)n : 0;
    }
}

void read_all(int fd, void *ret_data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, (char *)ret_data + done, bytes - done);
        if (n == 0)
            die("another process has ended early", PEN_ECLOSED);
        if (n < 0 && errno != EINTR)
            die("read", 0);
        done += n > 0 ? (size_t)n : 0;
    }
}

static void make_pipe(int ends[2])
{
    if (pipe(ends) != 0)
        die("pipe", 0);
}

static cpu_set_t cpus_allowed(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        die("sched_getaffinity", 0);
    return allowed;
}

unsigned cpus_usable(void)
{
    cpu_set_t allowed = cpus_allowed();
    return (unsigned)CPU_COUNT(&allowed);
}

/* Stay on processor `index` of those that are allowed, counted round. */
static void pin(unsigned index)
{
    cpu_set_t allowed = cpus_allowed(), one;
    unsigned skip = index % (unsigned)CPU_COUNT(&allowed), cpu = 0;
    while (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        die("sched_setaffinity", 0);
}

static pid_t fork_or_die(void)
{
    fflush(NULL); /* What is in stdio's buffers must not be written twice. */
    pid_t pid = fork();
    if (pid < 0)
        die("fork", 0);
    return pid;
}

static void wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid", 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("another process has failed", PEN_EBROKEN);
}

/* A process that waits for its start and then works once. */
struct process {
    pid_t pid;
    int go[2], answer[2];
};

static void process_start(struct process *p, unsigned index, process_fn fn, void *arg, size_t bytes)
{
    make_pipe(p->go);
    make_pipe(p->answer);
    p->pid = fork_or_die();
    if (p->pid != 0) {
        close(p->go[0]);
        close(p->answer[1]);
        return;
    }
    close(p->go[1]);
    pin(index);
    char byte = 0;
    write_all(p->answer[1], &byte, 1);
    read_all(p->go[0], &byte, 1);
    void *result = calloc(1, bytes);
    if (result == NULL)
        die("calloc", 0);
    fn(index, arg, result);
    write_all(p->answer[1], result, bytes);
    _exit(0);
}

double processes_run(unsigned n, process_fn fn, void *arg, void *results, size_t bytes)
{
    struct process *all = calloc(n, sizeof *all);
    if (all == NULL)
        die("calloc", 0);
    char byte = 0;
    for (unsigned i = 0; i < n; i++)
        process_start(&all[i], i, fn, arg, bytes);
    for (unsigned i = 0; i < n; i++)
        read_all(all[i].answer[0], &byte, 1);
    int64_t start_ns = pen_now().ns;
    for (unsigned i = 0; i < n; i++)
        write_all(all[i].go[1], &byte, 1);
    for (unsigned i = 0; i < n; i++)
        read_all(all[i].answer[0], (char *)results + i * bytes, bytes);
    double seconds = seconds_since(start_ns);
    for (unsigned i = 0; i < n; i++) {
        close(all[i].go[1]);
        close(all[i].answer[0]);
        wait_for(all[i].pid);
    }
    free(all);
    return seconds;
}

void server_start(struct server *s, server_fn fn, void *arg)
{
    int leash[2], report[2];
    make_pipe(leash);
    make_pipe(report);
    s->pid = fork_or_die();
    if (s->pid == 0) {
        close(leash[1]);
        close(report[0]);
        fn((struct server_end){ leash[0], report[1] }, arg);
        _exit(0);
    }
    close(leash[0]);
    close(report[1]);
    s->leash = leash[1];
    s->report = report[0];
    read_all(s->report, &s->port, sizeof s->port);
}

void server_stop(struct server *s, void *ret_report, size_t bytes)
{
    close(s->leash);
    read_all(s->report, ret_report, bytes);
    close(s->report);
    wait_for(s->pid);
}
