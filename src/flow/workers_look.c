/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking at queues and at results, and mending by hand: kick, redrive.
 *
 * Thread: the endpoint's loop.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/workers_inside.h"

static size_t count_of(const struct batch_attrs *a, size_t standard)
{
    uint64_t n = batch_has(a, COUNT) ? a->count : standard;
    return n > LIMIT_BATCH_ITEMS ? LIMIT_BATCH_ITEMS : (size_t)n;
}

/* The queue of a request that is about one. */
static int only_desk(struct ask *ask, struct desk **ret_desk)
{
    if (ask->request.count != 1) {
        (void)snprintf(ask->text, sizeof ask->text, "one request is about one queue");
        return PEN_EPROTO;
    }
    (void)worker_request_next(&ask->request);
    return ask_desk(ask, &ask->request.record->attrs, ret_desk);
}

static void answer_count(struct ask *ask, uint64_t n) ON_LOOP
{
    struct worker_answer answer;
    struct batch_record record = { 0 };
    batch_set(&record.attrs, COUNT, count, n);
    worker_answer_begin(&answer, &ask->request.form, BATCH_RECEIPTS, NULL);
    worker_answer_add(&answer, &record);
    (void)workers_answer(ask->workers, &ask->frame->route, &answer);
}

int workers_kick(struct ask *ask)
{
    struct desk *d;
    int r = only_desk(ask, &d);
    if (r < 0)
        return r;
    const struct batch_attrs *a = &ask->request.record->attrs;
    answer_count(ask, jobq_kick(d->queue, batch_has(a, COUNT) ? a->count : 1));
    return 0;
}

/* ---- peek ---- */

static const enum job_state states[] = { [BATCH_STATE_READY] = JOB_READY,
                                         [BATCH_STATE_DELAYED] = JOB_DELAYED,
                                         [BATCH_STATE_LEASED] = JOB_LEASED,
                                         [BATCH_STATE_BURIED] = JOB_BURIED };

/* What it is shown as: one that waits for its key is ready, but for that. */
static uint64_t state_of(enum job_state state)
{
    return state == JOB_DELAYED  ? BATCH_STATE_DELAYED
           : state == JOB_LEASED ? BATCH_STATE_LEASED
           : state == JOB_BURIED ? BATCH_STATE_BURIED
                                 : BATCH_STATE_READY;
}

static uint64_t ms_between(mono_t later, mono_t earlier)
{
    return later.ns > earlier.ns ? (uint64_t)(later.ns - earlier.ns) / 1000000 : 0;
}

/* What happened to it. */
static void add_history(struct batch_attrs *a, const struct job_ext *ext, mono_t now)
{
    if (ext->put_at.ns > 0)
        batch_set(a, AGE, age_ms, ms_between(now, ext->put_at));
    if (ext->error != 0) {
        batch_set(a, REASON, reason, text_of(pen_errname(ext->error)));
        batch_set(a, FAILED, failed_ms, ms_between(now, ext->last_failed_at));
        batch_set(a, FIRST_FAILED, first_failed_ms, ms_between(now, ext->first_failed_at));
    }
    const char *text = ext->error_text != NULL ? ext->error_text : ext->progress;
    if (ext->failed_by != NULL)
        batch_set(a, HANDLER, handler, text_of(ext->failed_by));
    if (text != NULL)
        batch_set(a, TEXT, text, text_of(text));
    if (ext->died_in != NULL) {
        batch_set(a, DIED_IN, died_in, text_of(ext->died_in));
        batch_set(a, ATTEMPTS, attempts, ext->died_after);
    }
    if (ext->key != NULL)
        batch_set(a, KEY, key, text_of(ext->key));
    if (ext->headers.bytes > 0)
        batch_set(a, HEADERS, headers,
                  ((struct batch_text){ (const char *)ext->headers.at, ext->headers.bytes }));
}

static void add_look(struct worker_answer *answer, const struct jobq_look *look)
{
    const struct job_view *v = &look->view;
    struct batch_record record = { .body = v->body.at, .body_bytes = v->body.bytes };
    struct batch_attrs *a = &record.attrs;
    batch_set(a, ID, id, v->id);
    batch_set(a, STATE, state, state_of(v->state));
    batch_set(a, PRIORITY, priority, v->priority);
    batch_set(a, ATTEMPTS, attempts, v->attempts);
    if (v->state == JOB_DELAYED)
        batch_set(a, DELAY, delay_ms, ms_between(v->due, look->now));
    if (v->state == JOB_LEASED && v->due.ns != PEN_NEVER.ns)
        batch_set(a, LEASE_FOR, lease_ms, ms_between(v->due, look->now));
    if (v->ext != NULL)
        add_history(a, v->ext, look->now);
    worker_answer_add(answer, &record);
}

static int look(struct desk *d, const struct batch_attrs *a, struct jobq_look *looks) ON_LOOP
{
    if (!batch_has(a, ID))
        return jobq_list(d->queue, states[a->state], looks, count_of(a, 1));
    int r = jobq_find(d->queue, a->id, looks);
    return r < 0 ? r : 1;
}

int workers_peek(struct ask *ask)
{
    struct desk *d;
    int n = only_desk(ask, &d);
    if (n < 0)
        return n;
    struct jobq_look *looks = calloc(LIMIT_BATCH_ITEMS, sizeof *looks);
    n = looks != NULL ? look(d, &ask->request.record->attrs, looks) : PEN_ENOMEM;
    struct worker_answer answer;
    if (n >= 0)
        worker_answer_begin(&answer, &ask->request.form, BATCH_JOBS, NULL);
    for (int i = 0; i < n; i++) {
        add_look(&answer, &looks[i]);
        jobq_look_fini(&looks[i]);
    }
    if (n >= 0)
        (void)workers_answer(ask->workers, &ask->frame->route, &answer);
    free(looks);
    return n < 0 ? n : 0;
}

/* ---- redrive ---- */

/* The letter as it was before it died. PEN_ENOENT: it is no letter, or its queue is not there any more. */
static int revive(struct workers *w, const struct job *job, struct desk **ret_desk,
                  struct job_put *ret_put)
{
    struct job_ext *ext;
    if (job->ext == NULL || job->ext->died_in == NULL)
        return PEN_ENOENT;
    struct desk *to = workers_desk(w, job->ext->died_in);
    int r = to == NULL ? PEN_ENOENT : job_ext_copy(job->ext, &ext);
    if (r < 0)
        return r;
    job_ext_forgive(ext);
    *ret_put =
        (struct job_put){ .body = slice_ref(job->body), .ext = ext, .priority = job->priority };
    *ret_desk = to;
    return 0;
}

/* Put first and settled then, as everywhere. What cannot go back stays where it was. */
static bool redrive(struct workers *w, struct desk *from, const struct job *job) ON_LOOP
{
    static const struct job_failure stays = { .uncharged = true };
    struct job_settle end = { .id = job->id, .index = job->index };
    struct desk *to;
    struct job_put put;
    int r = revive(w, job, &to, &put);
    if (r == 0) {
        r = jobq_putter_put(to->putter, &put, 1);
        r = r < 0 ? r : r == 0 ? PEN_EFULL : put.ret_status;
        if (r < 0) {
            slice_release(&put.body);
            job_ext_free(put.ext);
        }
    }
    end.outcome = r == 0 ? OUTCOME_DEAD : OUTCOME_RELEASED;
    end.why = r == 0 ? NULL : &stays;
    (void)BUG(jobq_settle(from->queue, &end, 1, NULL) < 0);
    slice_release(&end.ret_body);
    job_ext_free(end.ret_ext);
    return r == 0;
}

int workers_redrive(struct ask *ask)
{
    struct job jobs[LIMIT_BATCH_ITEMS];
    struct desk *d;
    int r = only_desk(ask, &d);
    if (r == 0 && ask->workers->finishing)
        r = PEN_EDRAINING;
    if (r < 0)
        return r;
    struct job_take how = { .max = count_of(&ask->request.record->attrs, LIMIT_BATCH_ITEMS) };
    int n = how.max > 0 ? jobq_taker_take(d->taker, &how, jobs) : 0;
    uint64_t gone = 0;
    for (int i = 0; i < n; i++)
        gone += redrive(ask->workers, d, &jobs[i]);
    if (!list_empty(&d->reserves))
        jobq_taker_wait(d->taker);
    if (n < 0 && n != PEN_ESHUTDOWN)
        return n;
    answer_count(ask, gone);
    return 0;
}

/* ---- results and reports ---- */

int workers_result(struct ask *ask)
{
    struct desk *d;
    struct result result;
    int r = only_desk(ask, &d);
    if (r < 0)
        return r;
    const struct batch_attrs *a = &ask->request.record->attrs;
    r = jobq_result(d->queue, a->id, &result);
    if (r < 0) {
        (void)snprintf(ask->text, sizeof ask->text, "no result of job %llu is kept",
                       (unsigned long long)a->id);
        return r;
    }
    struct batch_record record = { .body = result.body.at, .body_bytes = result.body.bytes };
    batch_set(&record.attrs, ID, id, a->id);
    struct worker_answer answer;
    worker_answer_begin(&answer, &ask->request.form, BATCH_RESULTS, NULL);
    worker_answer_add(&answer, &record);
    (void)workers_answer(ask->workers, &ask->frame->route, &answer);
    slice_release(&result.body);
    return 0;
}

/* In JSON the report is the answer; in a frame it is a record's body. */
static void send_report(struct ask *ask, struct slice report) ON_LOOP
{
    if (ask->request.form.framing == WORKER_JSON) {
        workers_send(ask->workers, &ask->frame->route, 0, slice_ref(report));
        return;
    }
    struct worker_answer answer;
    struct batch_record record = { .body = report.at, .body_bytes = report.bytes };
    worker_answer_begin(&answer, &ask->request.form, BATCH_REPORT, NULL);
    worker_answer_add(&answer, &record);
    (void)workers_answer(ask->workers, &ask->frame->route, &answer);
}

int workers_report(struct ask *ask)
{
    const struct workers_options *o = &ask->workers->options;
    struct desk *d = NULL;
    struct slice report;
    int r = batch_has(&ask->request.frame, QUEUE) ? only_desk(ask, &d) : 0;
    if (r == 0)
        r = o->report(d != NULL ? d->conf->name : "", &report, o->arg);
    if (r < 0)
        return r;
    send_report(ask, report);
    slice_release(&report);
    return 0;
}
