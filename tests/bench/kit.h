/* SPDX-License-Identifier: Apache-2.0
 *
 * What benchmarks share: medians, percentiles, pinning, arguments. Every benchmark verifies what it moved, measures its
 * baseline in the same run, taking turns with it, and prints a table, or JSON with --json.
 */
#ifndef TESTS_BENCH_KIT_H
#define TESTS_BENCH_KIT_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/units.h"
#include "plat/clock.h"

struct bench_args {
    bool json;
    unsigned rounds;
};

/* --json, --rounds N. Anything else tells and ends. */
static inline struct bench_args bench_args(int argc, char **argv, unsigned rounds)
{
    struct bench_args args = { .rounds = rounds };
    for (int i = 1; i < argc; i++) {
        uint64_t n = 0;
        if (strcmp(argv[i], "--json") == 0) {
            args.json = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc &&
                   number_parse(argv[++i], &n) == 0 && n > 0 && n < 1000) {
            args.rounds = (unsigned)n;
        } else {
            fprintf(stderr, "usage: %s [--json] [--rounds N]\n", argv[0]);
            exit(2);
        }
    }
    return args;
}

/* The calling thread stays on processor `index`, counted round. */
static inline void bench_pin(unsigned index)
{
    cpu_set_t allowed, one;
    check(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    unsigned skip = index % (unsigned)CPU_COUNT(&allowed);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        check(sched_setaffinity(0, sizeof one, &one) == 0);
        return;
    }
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void bench_sort(double *values, size_t n)
{
    qsort(values, n, sizeof values[0], bench_compare);
}

/* Of sorted values. */
static inline double bench_percentile(const double *sorted, size_t n, unsigned percent)
{
    size_t at = n * percent / 100;
    return sorted[at < n ? at : n - 1];
}

#endif
