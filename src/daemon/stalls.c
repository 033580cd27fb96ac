/* SPDX-License-Identifier: Apache-2.0
 *
 * Stalls in the log: which loop, which message, for how long, and where; a few in a second at most.
 *
 * Thread: the watching one for on_stall(), MAIN for the rest.
 */
#include <penstock/watch.h>
#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"
#include "obs/log.h"

enum { STALLS_PER_S = 4 };

/* "consumer work/0, job 17", or "loop work/0" outside of jobs. */
static void name_it(const struct pen_stall *stall, char *text, size_t size)
{
    if (stall->running == NULL)
        (void)snprintf(text, size, "loop %s", stall->loop);
    else
        (void)snprintf(text, size, "%s, job %llu", stall->running,
                       (unsigned long long)stall->running_id);
}

/* A record of the log is a line, so the frames stand one after the other. */
static void join_lines(const char *stack, char *text, size_t size)
{
    size_t n = 0;
    for (const char *c = stack; *c != '\0' && n + 4 < size; c++) {
        if (*c != '\n') {
            text[n++] = *c;
        } else if (c[1] != '\0') {
            memcpy(text + n, " < ", 3);
            n += 3;
        }
    }
    text[n] = '\0';
}

static void on_stall(const struct pen_stall *stall, void *arg)
{
    struct daemon *d = arg;
    char subject[128], frames[4096];
    name_it(stall, subject, sizeof subject);
    join_lines(stall->stack, frames, sizeof frames);
    log_limited(&d->stalls_limit, STALLS_PER_S, subject,
                "thread %d has been at it for %lld ms, %lld ms of them on a CPU: %s",
                stall->thread_id, (long long)(stall->wall.ns / 1000000),
                (long long)(stall->cpu.ns / 1000000), frames);
}

int stalls_watch(struct daemon *d)
{
    struct pen_watch_options options = { .slow = d->conf->top.slow, .on_stall = on_stall, .arg = d };
    if (options.slow.ns == 0)
        return 0;
    if (options.slow.ns < pen_ms(1).ns)
        options.slow = pen_ms(1);
    int r = pen_watch_start(&options);
    if (r < 0)
        log_error("penstockd", "cannot watch for stalls: %s", pen_strerror(r));
    return r;
}
