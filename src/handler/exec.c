/* SPDX-License-Identifier: Apache-2.0
 *
 * The exec handler: conf->processes co-processes per consumer thread, which run as long as the
 * daemon does and are given one message after the other. They are a crew (task/crew.h), as
 * isolated pools are; this file makes handlers' works of its requests, and lines of the log of what it tells.
 *
 * Thread: the consumer's loop.
 */
#include <stdio.h>

#include "base/check.h"
#include "handler/kind.h"
#include "obs/log.h"
#include "task/crew.h"

struct exec {
    struct handler handler;
    struct crew *crew; /* fixed after init */
    /* owner: loop */
    struct log_limit trouble;   /* of what the log is told about all of them */
    struct log_limit stderrs[]; /* of each one's standard error */
};

static const char closed_reason[] = "the handler was closed";

/* ---- what the crew tells ---- */

static void on_enter(void *arg)
{
    struct exec *x = arg;
    handler_enter(&x->handler);
}

static void on_leave(void *arg) NO_TSA
{
    struct exec *x = arg;
    handler_leave(&x->handler);
}

static struct work *work_of(struct crew_request *request)
{
    return CONTAINER_OF(request, struct work, request);
}

static void on_answer(struct crew_request *request, const uint8_t *data, size_t bytes, void *arg)
{
    struct exec *x = arg;
    struct slice result;
    int r = slice_copy(data, bytes, &result);
    if (r < 0)
        handler_fail(&x->handler, work_of(request), r, pen_strerror(r));
    else
        handler_finish(&x->handler, work_of(request), result);
}

static void on_fail(struct crew_request *request, int error, const char *reason, void *arg)
{
    struct exec *x = arg;
    handler_fail(&x->handler, work_of(request), error, reason);
}

/* Within bounds: what goes wrong here may go wrong with every message. */
static void on_trouble(const char *text, void *arg)
{
    enum { BURST = 20 };
    struct exec *x = arg;
    uint32_t left_out;
    if (!log_limit_pass(&x->trouble, BURST, &left_out))
        return;
    if (left_out > 0)
        log_warning(x->handler.name, "%s (%u messages like this were left out)", text, left_out);
    else
        log_warning(x->handler.name, "%s", text);
}

static void tell_left_out(struct exec *x, pid_t pid, uint32_t left_out)
{
    if (left_out > 0)
        log_notice(x->handler.name, "pid %d: %u lines of its standard error were left out",
                   (int)pid, left_out);
}

static void on_line(const struct worker *w, const char *line, size_t bytes, void *arg)
{
    struct exec *x = arg;
    uint32_t left_out;
    if (!log_limit_pass(&x->stderrs[w->index], LIMIT_HANDLER_STDERR_LINES_PER_S, &left_out))
        return;
    tell_left_out(x, w->proc.pid, left_out);
    log_notice(x->handler.name, "pid %d: %s", (int)w->proc.pid, line);
}

static void on_end(const struct worker *w, void *arg)
{
    struct exec *x = arg;
    struct log_limit *limit = &x->stderrs[w->index];
    tell_left_out(x, w->proc.pid, limit->left_out);
    *limit = (struct log_limit){ 0 };
}

static const struct crew_events crew_events = {
    .enter = on_enter,
    .leave = on_leave,
    .on_answer = on_answer,
    .on_fail = on_fail,
    .on_line = on_line,
    .on_end = on_end,
    .on_trouble = on_trouble,
};

/* ---- the handler ---- */

static size_t exec_bytes(const struct conf_handler *conf)
{
    return sizeof(struct exec) + conf->processes * sizeof(struct log_limit);
}

static void exec_free(struct handler *h)
{
    crew_free(&((struct exec *)h)->crew);
}

static int exec_open(struct handler *h)
{
    struct exec *x = (struct exec *)h;
    const struct conf_handler *conf = h->conf;
    struct crew_options options = {
        .argv = (const char *const *)conf->exec.at,
        .protocol = conf->protocol == PROTOCOL_FRAMES ? WORKER_FRAMES : WORKER_LINES,
        .timeout = conf->timeout,
        .backoff_max = conf->backoff_max,
        .answer_max = conf->answer_max,
    };
    struct crew_making making = {
        .loop = h->loop,
        .count = (unsigned)conf->processes,
        .options = &options,
        .events = &crew_events,
        .arg = x,
    };
    int r = crew_new(&making, &x->crew);
    if (r == 0)
        r = crew_start(x->crew);
    if (r < 0)
        crew_free(&x->crew);
    return r;
}

static unsigned exec_room(const struct handler *h)
{
    return crew_room(((const struct exec *)h)->crew);
}

static void exec_submit(struct handler *h, struct work *work) ON_LOOP
{
    struct exec *x = (struct exec *)h;
    const char *reason;
    int r = crew_check(x->crew, work->body.at, work->body.bytes, &reason);
    if (r < 0) {
        handler_fail(h, work, r, reason);
        return;
    }
    work->request.data = work->body.at;
    work->request.bytes = (uint32_t)work->body.bytes;
    crew_submit(x->crew, &work->request);
}

static void exec_close(struct handler *h, bool immediate) ON_LOOP
{
    crew_close(((struct exec *)h)->crew, immediate, closed_reason);
}

static bool exec_ended(const struct handler *h)
{
    return crew_ended(((const struct exec *)h)->crew);
}

static void exec_stats(const struct handler *h, struct handler_stats *stats)
{
    const struct crew_counts *counts = &((const struct exec *)h)->crew->counts;
    stats->started = count_read(&counts->started);
    stats->crashed = count_read(&counts->crashed);
    stats->timeouts = count_read(&counts->timeouts);
    stats->malformed = count_read(&counts->malformed);
}

const struct handler_kind exec_kind = {
    .bytes = exec_bytes,
    .open = exec_open,
    .room = exec_room,
    .submit = exec_submit,
    .close = exec_close,
    .ended = exec_ended,
    .stats = exec_stats,
    .free = exec_free,
};
