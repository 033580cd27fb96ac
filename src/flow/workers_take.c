/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs out. A reserve that names several queues looks at them in an order that is drawn by their weights, so each comes first as
 * often as its weight says; when there is nothing it waits in the line of each, and gets what comes first.
 *
 * The endpoint is one taker at each queue, however many of its workers wait there: they are served first come, first served.
 *
 * Thread: the endpoint's loop.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "flow/workers_inside.h"

enum { SERVED_IN_A_TURN = 64 };

/* ---- what a worker is shown of a job ---- */

static void add_job(struct worker_answer *answer, const struct desk *d, const struct job *job,
                    span_t lease)
{
    struct batch_record record = { .body = job->body.at, .body_bytes = job->body.bytes };
    struct batch_attrs *a = &record.attrs;
    batch_set(a, QUEUE, queue, text_of(d->conf->name));
    batch_set(a, ID, id, job->id);
    batch_set(a, LEASE, lease, job->lease);
    batch_set(a, LEASE_FOR, lease_ms, (uint64_t)lease.ns / 1000000);
    batch_set(a, ATTEMPTS, attempts, job->attempt);
    batch_set(a, PRIORITY, priority, job->priority);
    const struct job_ext *ext = job->ext;
    if (ext != NULL && ext->key != NULL)
        batch_set(a, KEY, key, text_of(ext->key));
    if (ext != NULL && ext->headers.bytes > 0)
        batch_set(a, HEADERS, headers,
                  ((struct batch_text){ (const char *)ext->headers.at, ext->headers.bytes }));
    worker_answer_add(answer, &record);
}

/* Nobody has heard of them: they are ready again, as if they had not been taken. */
static void give_back(struct desk *d, const struct job *jobs, size_t n) ON_LOOP
{
    static const struct job_failure why = { .uncharged = true };
    struct job_settle ends[LIMIT_BATCH_ITEMS];
    for (size_t i = 0; i < n; i++)
        ends[i] = (struct job_settle){ .id = jobs[i].id,
                                       .index = jobs[i].index,
                                       .lease = jobs[i].lease,
                                       .outcome = OUTCOME_RELEASED,
                                       .why = &why };
    (void)BUG(jobq_settle(d->queue, ends, n, NULL) < 0);
}

/* ---- taking ---- */

struct wish {
    const struct route *route;
    const struct worker_form *form;
    size_t max;
    span_t lease; /* 0: the queue's own */
    uint64_t owner;
};

/* Take from one desk and answer. The number of jobs, or an error; 0: nothing is ready. */
static int serve(struct desk *d, const struct wish *wish) ON_LOOP
{
    struct workers *w = d->workers;
    struct job jobs[LIMIT_BATCH_ITEMS];
    span_t lease = wish->lease.ns > 0 ? wish->lease : d->conf->lease;
    if (lease.ns > d->conf->lease_max.ns)
        lease = d->conf->lease_max;
    struct job_take how = { .max = wish->max, .lease = lease, .owner = wish->owner };
    int n = jobq_taker_take(d->taker, &how, jobs);
    if (n <= 0)
        return n;
    struct worker_answer answer;
    worker_answer_begin(&answer, wish->form, BATCH_JOBS, NULL);
    for (int i = 0; i < n; i++)
        add_job(&answer, d, &jobs[i], lease);
    if (workers_answer(w, wish->route, &answer))
        count_add(&w->reserved, (uint64_t)n);
    else
        give_back(d, jobs, (size_t)n);
    return n;
}

/* ---- a request ---- */

static uint64_t draw(struct workers *w, uint64_t below) /* splitmix64 */
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

/* The queues of the request. */
static int take_places(struct ask *ask, struct pending_at *at, size_t *ret_count)
{
    size_t n = 0;
    if (ask->request.count > WORKERS_QUEUES_MAX) {
        (void)snprintf(ask->text, sizeof ask->text, "at most %d queues", WORKERS_QUEUES_MAX);
        return PEN_ETOOBIG;
    }
    while (worker_request_next(&ask->request)) {
        const struct batch_attrs *a = &ask->request.record->attrs;
        uint64_t weight = batch_has(a, WEIGHT) ? a->weight : 1;
        if (weight < 1 || weight > WORKERS_WEIGHT_MAX) {
            (void)snprintf(ask->text, sizeof ask->text, "a weight is 1 to %d", WORKERS_WEIGHT_MAX);
            return PEN_EPROTO;
        }
        at[n].weight = (uint32_t)weight;
        int r = ask_desk(ask, a, &at[n].desk);
        if (r < 0)
            return r;
        n++;
    }
    *ret_count = n;
    return 0;
}

/* Bring one of at[from..n) to the front, each as often as its weight says. */
static void draw_next(struct workers *w, struct pending_at *at, size_t from, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = from; i < n; i++)
        sum += at[i].weight;
    uint64_t drawn = draw(w, sum);
    size_t i = from;
    while (drawn >= at[i].weight)
        drawn -= at[i++].weight;
    struct pending_at first = at[i];
    at[i] = at[from];
    at[from] = first;
}

static int wait_for_jobs(struct ask *ask, const struct wish *wish, const struct pending_at *at,
                         size_t n) ON_LOOP
{
    struct pending *p = pending_new(ask, n, ask->request.frame.wait_ms);
    if (p == NULL)
        return 0; /* It was refused. */
    p->max = (uint32_t)wish->max;
    p->lease = wish->lease;
    p->owner = wish->owner;
    for (size_t i = 0; i < n; i++) {
        p->at[i] = (struct pending_at){ .pending = p, .desk = at[i].desk };
        list_push_back(&at[i].desk->reserves, &p->at[i].node);
        jobq_taker_wait(at[i].desk->taker);
    }
    return 0;
}

static struct wish wish_of(const struct ask *ask)
{
    const struct batch_attrs *a = &ask->request.frame;
    uint64_t max = batch_has(a, COUNT) ? a->count : 1;
    return (struct wish){
        .route = &ask->frame->route,
        .form = &ask->request.form,
        .max = max < 1                   ? 1
               : max > LIMIT_BATCH_ITEMS ? LIMIT_BATCH_ITEMS
                                         : (size_t)max,
        .lease = span_of_ms(a->lease_ms),
        .owner = batch_has(a, KEEP) ? 0 : workers_owner(ask->workers, &ask->frame->route),
    };
}

int workers_reserve(struct ask *ask)
{
    struct pending_at at[WORKERS_QUEUES_MAX];
    struct wish wish = wish_of(ask);
    size_t n, over = 0;
    int r = take_places(ask, at, &n);
    for (size_t i = 0; i < n && r == 0; i++) {
        draw_next(ask->workers, at, i, n);
        if (!list_empty(&at[i].desk->reserves))
            continue; /* Others were there before. */
        r = serve(at[i].desk, &wish);
        over += r == PEN_ESHUTDOWN;
        r = r == PEN_ESHUTDOWN ? 0 : r;
    }
    if (r != 0)
        return r < 0 ? r : 0;
    if (over == n)
        return PEN_EDRAINING;
    if (ask->request.frame.wait_ms > 0)
        return wait_for_jobs(ask, &wish, at, n);
    struct worker_answer answer;
    worker_answer_begin(&answer, wish.form, BATCH_JOBS, NULL);
    (void)workers_answer(ask->workers, wish.route, &answer);
    return 0;
}

/* ---- events ---- */

static bool is_over_everywhere(const struct pending *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->at[i].desk != NULL)
            return false;
    return true;
}

/* The queue has nothing more for it, but others may have. */
static void strike(struct pending_at *at) ON_LOOP
{
    struct pending *p = at->pending;
    list_remove(&at->node);
    at->desk = NULL;
    if (!is_over_everywhere(p))
        return;
    workers_refuse(p->workers, &p->route, &p->form, PEN_EDRAINING, NULL);
    pending_free(p);
}

/* One worker's turn. False: there is nothing for it. */
static bool serve_first(struct desk *d) ON_LOOP
{
    struct pending_at *at = CONTAINER_OF(d->reserves.next, struct pending_at, node);
    struct pending *p = at->pending;
    struct wish wish = {
        .route = &p->route, .form = &p->form, .max = p->max, .lease = p->lease, .owner = p->owner
    };
    int r = serve(d, &wish);
    if (r == 0)
        return false;
    if (r == PEN_ESHUTDOWN) {
        strike(at);
        return true;
    }
    if (r < 0)
        workers_refuse(d->workers, &p->route, &p->form, r, NULL);
    pending_free(p);
    return true;
}

void workers_on_ready(struct jobq_taker *taker, void *arg)
{
    struct desk *d = arg;
    loop_assert_here(d->workers->part.loop);
    for (int served = 0; served < SERVED_IN_A_TURN && !list_empty(&d->reserves); served++)
        if (!serve_first(d))
            break;
    if (list_empty(&d->reserves))
        jobq_taker_pass(taker);
    else
        jobq_taker_wait(taker);
}
