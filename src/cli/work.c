/* SPDX-License-Identifier: Apache-2.0
 *
 * One reserve waits at the daemon, for as many jobs as there are free slots; leases are touched three times as often as they
 * would end.
 *
 * Thread: the loop's.
 */
#include "cli/work.h"

#include <stdio.h>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/output.h"

enum {
    WAIT_S = 60,     /* of a reserve, unless --wait is given */
    PATIENCE_S = 10, /* for an answer that need not wait */
    TOUCHES = 3,     /* in the time of a lease */
    PAUSE_MAX_MS = 5000
};

static const unsigned moves[SLOT_STATES] = {
    [SLOT_FREE] = 1u << SLOT_RUNNING,
    [SLOT_RUNNING] = 1u << SLOT_SETTLING | 1u << SLOT_LOST,
    [SLOT_SETTLING] = 1u << SLOT_FREE,
    [SLOT_LOST] = 1u << SLOT_FREE,
};

static void set_state(struct slot *s, enum slot_state to)
{
    check((moves[s->state] & 1u << to) != 0);
    s->state = to;
}

/* ---- the end of a job ---- */

static size_t busy(const struct work *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->slots_count; i++)
        n += w->slots[i].state != SLOT_FREE;
    return n;
}

void work_end_when_done(struct work *w)
{
    bool all = w->o->count > 0 && w->taken == w->o->count;
    if ((w->stopping || all) && busy(w) == 0 && work_dismiss(w))
        pen_loop_stop(w->loop);
}

void slot_leave(struct slot *s)
{
    if (s->state == SLOT_FREE || slot_runs(s) || desk_is_asking(&s->settle_ask))
        return;
    set_state(s, SLOT_FREE);
    desk_forget(&s->touch_ask);
    json_decref(s->job);
    s->job = NULL;
    work_end_when_done(s->work);
    work_ask(s->work);
}

static void on_settled(struct desk_ask *ask, const json_t *answer, int error, void *arg)
{
    (void)ask;
    struct slot *s = arg;
    int refusal = answer != NULL ? desk_refusal(answer) : error;
    if (refusal != 0)
        work_say(s->work, s, pen_strerror(refusal));
    slot_leave(s);
}

static json_t *request_of(const struct slot *s, const char *op)
{
    return json_pack("{s:s, s:O, s:O, s:O}", "op", op, "queue", json_object_get(s->job, "queue"),
                     "id", json_object_get(s->job, "id"), "lease", json_object_get(s->job, "lease"));
}

/* Takes the request; without memory the lease will end by itself. */
static void settle(struct slot *s, json_t *request)
{
    set_state(s, SLOT_SETTLING);
    pen_timer_cancel(&s->touch_timer);
    pen_timer_cancel(&s->limit_timer);
    s->settle_ask.on_answer = on_settled;
    s->settle_ask.arg = s;
    int r = desk_ask(&s->work->desk, &s->settle_ask, request, span_s(PATIENCE_S));
    if (r < 0) {
        work_say(s->work, s, pen_strerror(r));
        slot_leave(s);
    }
}

void slot_done(struct slot *s, const void *result, size_t bytes)
{
    json_t *request = request_of(s, "ack");
    if (bytes > 0 && output_set_bytes(request, "body", result, bytes) < 0) {
        json_decref(request);
        request = NULL;
    }
    s->work->tally.sent++;
    settle(s, request);
}

/* The daemon takes UTF-8 only. */
static void set_reason(json_t *request, const char *text)
{
    char safe[LIMIT_ERROR_TEXT_BYTES];
    if (!jobs_set_text(request, "text", printable(text, safe, sizeof safe)))
        (void)jobs_set_text(request, "text", "the reason is no UTF-8");
}

void slot_fail(struct slot *s, const char *op, const char *text)
{
    json_t *request = request_of(s, op);
    set_reason(request, text);
    if (op[0] == 'n')
        (void)jobs_set_ms(request, "delay_ms", s->work->o->delay);
    work_say(s->work, s, text);
    s->work->tally.received++;
    settle(s, request);
}

void slot_return(struct slot *s, span_t delay)
{
    json_t *request = request_of(s, "nack");
    (void)json_object_set_new(request, "uncharged", json_true());
    (void)jobs_set_ms(request, "delay_ms", delay);
    settle(s, request);
}

/* Another has it, or soon will. */
static void lose(struct slot *s)
{
    set_state(s, SLOT_LOST);
    pen_timer_cancel(&s->touch_timer);
    pen_timer_cancel(&s->limit_timer);
    desk_forget(&s->touch_ask);
    work_say(s->work, s, "the lease is lost; the program is stopped");
    slot_stop(s, false);
    slot_leave(s);
}

void work_on_lost(void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < w->slots_count; i++)
        if (w->slots[i].state == SLOT_RUNNING)
            lose(&w->slots[i]);
}

/* ---- leases ---- */

static void arm_touch(struct slot *s);

static void on_touched(struct desk_ask *ask, const json_t *answer, int error, void *arg)
{
    (void)ask;
    (void)error; /* A lost connection is told to all slots. */
    struct slot *s = arg;
    if (s->state != SLOT_RUNNING)
        return;
    if (answer != NULL && desk_refusal(answer) != 0)
        lose(s);
    else
        arm_touch(s);
}

static void on_touch_time(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct slot *s = arg;
    if (status < 0)
        return;
    json_t *request = request_of(s, "touch");
    (void)jobs_set_ms(request, "lease_ms", s->lease);
    s->touch_ask.on_answer = on_touched;
    s->touch_ask.arg = s;
    if (desk_ask(&s->work->desk, &s->touch_ask, request, span_s(PATIENCE_S)) < 0)
        arm_touch(s);
}

static void arm_touch(struct slot *s)
{
    span_t after = { s->lease.ns / TOUCHES };
    if (pen_loop_call_later(s->work->loop, &s->touch_timer, after, on_touch_time, s) < 0)
        lose(s);
}

/* ---- jobs ---- */

static struct slot *free_slot(struct work *w)
{
    for (size_t i = 0; i < w->slots_count; i++)
        if (w->slots[i].state == SLOT_FREE)
            return &w->slots[i];
    return NULL;
}

static void take(struct work *w, json_t *job)
{
    struct slot *s = free_slot(w);
    check(s != NULL); /* So many were asked for; a daemon that sends more is cut short. */
    set_state(s, SLOT_RUNNING);
    w->taken++;
    s->job = json_incref(job);
    s->lease = span_ms(json_integer_value(json_object_get(job, "lease_ms")));
    s->timed_out = false;
    buf_consume(&s->body, buf_bytes(&s->body));
    if (w->stopping || jobs_body(job, &s->body) < 0) {
        slot_return(s, (span_t){ -1 });
        return;
    }
    arm_touch(s);
    if (s->state == SLOT_RUNNING)
        slot_begin(s);
}

static void take_all(struct work *w, const json_t *jobs)
{
    size_t i, room = w->slots_count - busy(w);
    json_t *job;
    json_array_foreach(jobs, i, job)
    {
        if (i < room)
            take(w, job);
    }
}

/* ---- asking ---- */

static void on_pause_over(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct work *w = arg;
    w->pausing = false;
    if (status == 0)
        work_ask(w);
}

static void pause_asking(struct work *w)
{
    span_t longer = { w->pause.ns * 2 };
    w->pausing = true;
    if (pen_loop_call_later(w->loop, &w->pause_timer, w->pause, on_pause_over, w) < 0)
        work_stop(w, jobs_no_memory());
    w->pause = longer.ns < span_ms(PAUSE_MAX_MS).ns ? longer : span_ms(PAUSE_MAX_MS);
}

/* What will not be better when it is asked again. */
static bool is_final(int refusal)
{
    return refusal == PEN_ENOENT || refusal == PEN_EPROTO || refusal == PEN_ETOOBIG ||
           refusal == PEN_EINVAL;
}

static void refused(struct work *w, const json_t *answer)
{
    int refusal = desk_refusal(answer);
    if (is_final(refusal)) {
        progress_end(&w->progress);
        work_stop(w, jobs_say_refusal("", answer));
        return;
    }
    if (w->o->verbosity > 0)
        work_say(w, NULL, pen_strerror(refusal));
    pause_asking(w);
}

static void on_jobs(struct desk_ask *ask, const json_t *answer, int error, void *arg)
{
    (void)ask;
    struct work *w = arg;
    const json_t *jobs = json_object_get(answer, "jobs");
    if (error == PEN_EPROTO) {
        work_say(w, NULL, "what answers there is no worker endpoint with 'framing: json'");
        work_stop(w, EXIT_UNREACHABLE);
    } else if (answer != NULL && desk_refusal(answer) != 0) {
        refused(w, answer);
    } else if (json_array_size(jobs) > 0) {
        w->pause = span_ms(WORK_PAUSE_FIRST_MS);
        take_all(w, jobs);
    } else if (answer != NULL && w->o->wait.ns >= 0 && busy(w) == 0) {
        work_stop(w, EXIT_OK);
    }
    work_ask(w);
}

static size_t wanted(const struct work *w)
{
    size_t n = w->slots_count - busy(w), room = work_room(w);
    n = n < room ? n : room;
    uint64_t left = w->o->count > 0 ? w->o->count - w->taken : n;
    return left < n ? (size_t)left : n;
}

void work_ask(struct work *w)
{
    size_t n = wanted(w);
    if (w->stopping || w->pausing || desk_is_asking(&w->ask) || n == 0)
        return;
    span_t wait = w->o->wait.ns >= 0 ? w->o->wait : span_s(WAIT_S), patience;
    json_t *request = json_copy(w->request);
    if (__builtin_add_overflow(wait.ns, span_s(PATIENCE_S).ns, &patience.ns))
        patience.ns = INT64_MAX;
    (void)jobs_set_number(request, "count", n);
    (void)jobs_set_ms(request, "wait_ms", wait);
    w->ask.on_answer = on_jobs;
    w->ask.arg = w;
    if (desk_ask(&w->desk, &w->ask, request, patience) < 0)
        pause_asking(w);
}

/* ---- the end ---- */

void work_stop(struct work *w, int code)
{
    w->stopping = true;
    if (w->code == EXIT_OK)
        w->code = code;
    work_end_when_done(w);
}

void work_give_back(struct work *w)
{
    for (size_t i = 0; i < w->slots_count; i++) {
        struct slot *s = &w->slots[i];
        if (s->state == SLOT_RUNNING)
            slot_return(s, (span_t){ -1 });
        slot_stop(s, true);
    }
}
