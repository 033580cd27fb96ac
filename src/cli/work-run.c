/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a job in the hands of a program. A process of its own tells by its exit status; one of a crew by its
 * answer, and by ending instead.
 *
 * Thread: the loop's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "plat/env.h"

enum { BACKOFF_MAX_S = 10, SPAWN_PAUSE_S = 1 };

/* ---- a process for each job ---- */

static void on_run_end(struct run *run, struct proc_end end, void *arg)
{
    struct slot *s = arg;
    char text[PROC_END_TEXT_BYTES];
    pen_timer_cancel(&s->limit_timer);
    if (s->state != SLOT_RUNNING)
        slot_leave(s);
    else if (s->timed_out)
        slot_fail(s, "nack", "the program took longer than --time-limit");
    else if (run->too_long)
        slot_fail(s, "nack", "the program's output is longer than 1MiB");
    else if (!end.signalled && end.code == 0)
        slot_done(s, buf_at(&run->output), buf_bytes(&run->output));
    else
        slot_fail(s, !end.signalled && end.code == WORK_STATUS_BURY ? "bury" : "nack",
                  proc_end_text(end, text));
}

static void on_limit(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct slot *s = arg;
    if (status < 0)
        return;
    s->timed_out = true;
    run_stop(&s->run, true);
}

/* A program that is not there is nothing that another time would mend. */
static void not_started(struct slot *s, int error)
{
    char text[256];
    bool final = error == ENOENT || error == EACCES || error == ENOEXEC || error == ENOTDIR;
    (void)snprintf(text, sizeof text, "cannot start %s: %s", s->work->argv[0], strerror(error));
    work_say(s->work, s, text);
    slot_return(s, final ? (span_t){ -1 } : span_s(SPAWN_PAUSE_S));
    if (final)
        work_stop(s->work, EXIT_USAGE);
}

static void start_run(struct slot *s, const char *const *env)
{
    struct run_input input = { buf_at(&s->body), buf_bytes(&s->body) };
    struct work *w = s->work;
    int r = run_start(&s->run, w->argv, env, input);
    if (r < 0) {
        not_started(s, r == PEN_ESPAWN ? errno : ENOMEM);
        return;
    }
    if (w->o->time_limit.ns >= 0 &&
        pen_loop_call_later(w->loop, &s->limit_timer, w->o->time_limit, on_limit, s) < 0)
        run_stop(&s->run, false);
}

static void run_once(struct slot *s)
{
    enum { VARIABLES = 4, BYTES = 32 + LIMIT_KEY_BYTES };
    char id[BYTES], attempt[BYTES], queue[BYTES], key[BYTES];
    const char *of = json_string_value(json_object_get(s->job, "key")), **env;
    const char *from = json_string_value(json_object_get(s->job, "queue"));
    (void)snprintf(id, BYTES, "PENSTOCK_JOB_ID=%lld",
                   (long long)json_integer_value(json_object_get(s->job, "id")));
    (void)snprintf(attempt, BYTES, "PENSTOCK_JOB_ATTEMPT=%lld",
                   (long long)json_integer_value(json_object_get(s->job, "attempts")));
    (void)snprintf(queue, BYTES, "PENSTOCK_JOB_QUEUE=%s", from != NULL ? from : "");
    (void)snprintf(key, BYTES, "PENSTOCK_JOB_KEY=%s", of != NULL ? of : "");
    int r = env_with((const char *[VARIABLES]){ id, attempt, queue, key }, VARIABLES, &env);
    if (r < 0) {
        not_started(s, ENOMEM);
        return;
    }
    start_run(s, env);
    free(env);
}

/* ---- a crew ---- */

static struct slot *slot_of(struct crew_request *request)
{
    return CONTAINER_OF(request, struct slot, request);
}

static void on_enter(void *arg)
{
    (void)arg;
}

/* A process that is back makes room. */
static void on_leave(void *arg)
{
    struct work *w = arg;
    work_ask(w);
    work_end_when_done(w);
}

static void on_answer(struct crew_request *request, const uint8_t *data, size_t bytes, void *arg)
{
    (void)arg;
    struct slot *s = slot_of(request);
    s->submitted = false;
    if (s->state == SLOT_RUNNING)
        slot_done(s, data, bytes);
    else
        slot_leave(s);
}

static void on_fail(struct crew_request *request, int error, const char *reason, void *arg)
{
    (void)error;
    (void)arg;
    struct slot *s = slot_of(request);
    s->submitted = false;
    if (s->state == SLOT_RUNNING)
        slot_fail(s, "nack", reason);
    else
        slot_leave(s);
}

static void on_trouble(const char *text, void *arg)
{
    work_say(arg, NULL, text);
}

static const struct crew_events crew_events = { .enter = on_enter,
                                                .leave = on_leave,
                                                .on_answer = on_answer,
                                                .on_fail = on_fail,
                                                .on_trouble = on_trouble };

int work_hire(struct work *w)
{
    const char *protocol = w->o->protocol;
    if (protocol == NULL || str_equal(protocol, "once"))
        return EXIT_OK;
    span_t limit = w->o->time_limit.ns >= 0 ? w->o->time_limit : (span_t){ INT64_MAX / 2 };
    struct crew_options options = {
        .argv = w->argv,
        .protocol = str_equal(protocol, "frames") ? WORKER_FRAMES : WORKER_LINES,
        .timeout = limit,
        .backoff_max = span_s(BACKOFF_MAX_S),
        .answer_max = RUN_OUTPUT_BYTES_MAX,
        .keep_stderr = true,
    };
    struct crew_making making = { .loop = w->loop,
                                  .count = (unsigned)w->slots_count,
                                  .options = &options,
                                  .events = &crew_events,
                                  .arg = w };
    int r = crew_new(&making, &w->crew);
    if (r == 0 && crew_start(w->crew) < 0)
        crew_retry(w->crew); /* The first runs; the others come later. */
    return r == 0 ? EXIT_OK : r == PEN_ESPAWN ? EXIT_USAGE : jobs_no_memory();
}

bool work_dismiss(struct work *w)
{
    if (w->crew == NULL)
        return true;
    loop_assert_here(w->loop);
    if (!w->crew->closing)
        crew_close(w->crew, false, "penstock work ends");
    return crew_ended(w->crew);
}

static void submit(struct slot *s) ON_LOOP
{
    const char *reason;
    if (crew_check(s->work->crew, buf_at(&s->body), buf_bytes(&s->body), &reason) < 0) {
        slot_fail(s, "nack", reason);
        return;
    }
    s->request.data = buf_at(&s->body);
    s->request.bytes = (uint32_t)buf_bytes(&s->body);
    s->submitted = true;
    crew_submit(s->work->crew, &s->request);
}

/* ---- both ---- */

size_t work_room(const struct work *w)
{
    return w->crew != NULL ? crew_room(w->crew) : w->slots_count;
}

void slot_begin(struct slot *s)
{
    loop_assert_here(s->work->loop);
    s->run.loop = s->work->loop;
    s->run.on_end = on_run_end;
    s->run.arg = s;
    if (s->work->crew != NULL)
        submit(s);
    else
        run_once(s);
}

void slot_stop(struct slot *s, bool at_once)
{
    run_stop(&s->run, at_once);
    if (!s->submitted)
        return;
    loop_assert_here(s->work->loop);
    crew_cancel(s->work->crew, &s->request, "nobody wants it any more");
}

bool slot_runs(const struct slot *s)
{
    return s->run.running || s->submitted;
}

void slot_fini(struct slot *s)
{
    pen_timer_cancel(&s->touch_timer);
    pen_timer_cancel(&s->limit_timer);
    run_fini(&s->run);
    json_decref(s->job);
    buf_fini(&s->body);
}
