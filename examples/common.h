/* SPDX-License-Identifier: Apache-2.0
 *
 * What the example programs share and what has nothing to do with penstock: options, figures, and other processes to
 * measure against or to be served by.
 */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Tell what could not be done and why, and end with status 1. error: negative, of libpenstock, or 0 for errno. */
_Noreturn void die(const char *what, int error);

/* ---- options ---- */

/* One option: exactly one of number, flag and word is set. The value that stands there is the default. */
struct option_row {
    const char *name; /* without the dashes */
    uint64_t *number;
    uint64_t min, max;
    bool *flag;       /* takes no value */
    const char *word; /* takes this value and no other, which sets *chosen */
    bool *chosen;
};

/* Read the arguments; what cannot be understood is told, and ends the program with status 2. */
void options_read(int argc, char **argv, const struct option_row *rows, size_t n);

/* ---- figures ---- */

struct spread {
    double min, median, max;
};

/* Of n values, at least one, which are sorted by it. */
struct spread spread_of(double *values, size_t n);

/* One figure of every round. */
struct line {
    const char *name; /* in JSON */
    const char *text; /* for people */
    double *values;   /* by round; sorted by lines_print() */
};

/* A table of medians, with the least and the most; in JSON, members of an object that is open: each with a comma before. */
void lines_print(const struct line *lines, size_t n, size_t rounds, bool json);

/* Seconds since an instant of pen_now(). */
double seconds_since(int64_t start_ns);

/* ---- other processes; only while the program has one thread ---- */

/* Processors that the program may use. */
unsigned cpus_usable(void);

typedef void (*process_fn)(unsigned index, void *arg, void *ret_result);

/* Run fn(index, arg, result) in n processes at once, each on one processor of its own (counted round) and with `bytes`
 * bytes of results, which are copied into results[index]. Returns the seconds from the start of all to the end of
 * the last; making the processes is not counted. */
double processes_run(unsigned n, process_fn fn, void *arg, void *results, size_t bytes);

/* A process that serves on a port of the loopback interface. */
struct server {
    pid_t pid;
    int leash; /* the server ends when this is closed */
    int report;
    uint16_t port;
};

/* What a server is given: it writes its port, two bytes, to `report`, serves until `leash` is readable, and may then
 * write a report of its own. */
struct server_end {
    int leash, report;
};
typedef void (*server_fn)(struct server_end end, void *arg);

/* Start a server, and wait until it has told its port. */
void server_start(struct server *server, server_fn fn, void *arg);
/* End it; exactly `bytes` bytes of its report are read. */
void server_stop(struct server *server, void *ret_report, size_t bytes);

/* Write or read all of it; dies otherwise. */
void write_all(int fd, const void *data, size_t bytes);
void read_all(int fd, void *ret_data, size_t bytes);

#endif
