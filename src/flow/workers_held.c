/* SPDX-License-Identifier: Apache-2.0
 *
 * What workers say of the jobs that they hold: ack, nack, touch, progress, bury. Each job of a list is answered by itself; one
 * whose lease was lost is told so, and nothing happens to it. Jobs of one queue that stand together are settled in one
 * hold of its lock.
 *
 * Thread: the endpoint's loop.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/producer.h"
#include "flow/workers_inside.h"

/* What is said of one job. */
struct said {
    struct desk *desk; /* NULL: there is no such queue */
    struct job_settle end;
    struct job_failure why;
    char *text;
    struct slice result;
    int status;
};

/* ---- settling ---- */

static enum job_outcome outcome_of(enum batch_kind kind, const struct batch_attrs *a)
{
    if (kind == BATCH_ACK)
        return OUTCOME_DONE;
    if (kind == BATCH_BURY)
        return OUTCOME_BURIED;
    return batch_has(a, UNCHARGED) ? OUTCOME_RELEASED : OUTCOME_RETRY;
}

static void hear(struct ask *ask, struct said *s)
{
    const struct batch_attrs *a = &ask->request.record->attrs;
    enum batch_kind kind = ask->request.kind;
    s->status = ask_desk(ask, a, &s->desk);
    if (s->status < 0)
        return;
    /* Without a lease it would be one of our own handlers'. */
    if (a->lease == 0)
        s->status = PEN_ELEASE;
    s->text = batch_has(a, TEXT) ? text_copy(a->text) : NULL;
    s->why = (struct job_failure){ .error = PEN_EHANDLER,
                                   .text = s->text,
                                   .by = JOB_BY_WORKER,
                                   .delay = span_of_ms(a->delay_ms),
                                   .uncharged = batch_has(a, UNCHARGED) };
    s->end = (struct job_settle){ .id = a->id,
                                  .lease = a->lease,
                                  .outcome = outcome_of(kind, a),
                                  .why = kind != BATCH_ACK ? &s->why : NULL };
    s->result = kind == BATCH_ACK ? worker_request_body(&ask->request) : (struct slice){ 0 };
}

/* The job has ended: its result goes to whoever waits for it. */
static void conclude(struct said *s) ON_LOOP
{
    struct job_settle *end = &s->end;
    struct result kept = { .body = s->result };
    if (end->outcome == OUTCOME_DONE) {
        jobq_keep_result(s->desk->queue, end->id, &kept);
        producer_on_done(end, s->result);
    } else {
        producer_on_failed(end);
    }
}

/* Settle those of said[0..n) that are of one queue and good, from the front; how many were looked at. */
static size_t settle_run(struct workers *w, struct said *said, size_t n) ON_LOOP
{
    struct job_settle ends[LIMIT_BATCH_ITEMS];
    size_t run = 0, settled = 0;
    while (run < n && said[run].status == 0 && said[run].desk == said[0].desk) {
        ends[run] = said[run].end;
        run++;
    }
    if (run == 0)
        return 1;
    int r = jobq_settle(said[0].desk->queue, ends, run, &settled);
    for (size_t i = 0; i < settled; i++) {
        said[i].end = ends[i];
        conclude(&said[i]);
    }
    count_add(&w->settled, settled);
    if (r < 0)
        said[settled].status = r;
    return r < 0 ? settled + 1 : run;
}

/* ---- touching ---- */

static void touch(struct ask *ask, struct said *s) ON_LOOP
{
    const struct batch_attrs *a = &ask->request.record->attrs;
    const struct conf_queue *c = s->desk->conf;
    struct job held = { .id = a->id, .lease = a->lease };
    span_t lease = batch_has(a, LEASE_FOR) ? span_of_ms(a->lease_ms) : c->lease;
    if (lease.ns > c->lease_max.ns)
        lease = c->lease_max;
    s->status = jobq_touch(s->desk->queue, &held, lease.ns > 0 ? lease : span_ms(1), s->text);
}

/* ---- a request ---- */

static void answer(struct ask *ask, const struct said *said, size_t n) ON_LOOP
{
    struct workers *w = ask->workers;
    struct worker_answer answer;
    worker_answer_begin(&answer, &ask->request.form, BATCH_RECEIPTS, NULL);
    for (size_t i = 0; i < n; i++) {
        struct batch_record record = { .status = said[i].status };
        batch_set(&record.attrs, ID, id, said[i].end.id);
        worker_answer_add(&answer, &record);
        count_add(&w->refused, said[i].status < 0);
        count_add(&w->late, said[i].status == PEN_ELEASE);
    }
    (void)workers_answer(w, &ask->frame->route, &answer);
}

/* One that is no list is refused in words. */
static bool refused_alone(struct ask *ask, const struct said *said)
{
    return said[0].status < 0 && ask->request.form.framing == WORKER_JSON &&
           !ask->request.form.is_list;
}

int workers_held(struct ask *ask)
{
    enum batch_kind kind = ask->request.kind;
    size_t n = 0;
    struct said *said = calloc(ask->request.count, sizeof *said);
    if (said == NULL)
        return PEN_ENOMEM;
    for (; worker_request_next(&ask->request); n++) {
        hear(ask, &said[n]);
        if ((kind == BATCH_TOUCH || kind == BATCH_PROGRESS) && said[n].status == 0)
            touch(ask, &said[n]);
    }
    if (kind != BATCH_TOUCH && kind != BATCH_PROGRESS)
        for (size_t i = 0; i < n;)
            i += settle_run(ask->workers, said + i, n - i);
    int r = refused_alone(ask, said) ? said[0].status : 0;
    count_add(&ask->workers->late, r == PEN_ELEASE);
    if (r == 0)
        answer(ask, said, n);
    for (size_t i = 0; i < n; i++) {
        free(said[i].text);
        slice_release(&said[i].result);
    }
    free(said);
    return r;
}
