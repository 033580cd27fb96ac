/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has which request. worker.c drives one process.
 *
 * One request is in a process's hands at a time. A larger window would save a wake-up per request,
 * but when the process then crashes, hangs or answers nonsense, nobody could tell which request it
 * was, nor which of the others it had already begun; so a mistake costs exactly the request that
 * caused it. What a window would bring is had by more processes.
 *
 * Thread: the loop.
 */
#include "task/crew.h"

#include <stdlib.h>

#include "base/check.h"
#include "plat/clock.h"
#include "plat/thread.h"

void crew_enter(struct crew *c) NO_TSA
{
    loop_assert_here(c->loop);
    c->events->enter(c->arg);
}

/* Give what waits to whoever is idle; when the crew is closing and nothing waits any more, send the
 * idle ones home. */
static void hand_on(struct crew *c)
{
    while (c->waiting_count > 0 && c->idle_count > 0) {
        c->waiting_count--;
        struct crew_request *request =
            CONTAINER_OF(list_take_front(&c->waiting), struct crew_request, node);
        worker_give(CONTAINER_OF(c->idle.next, struct worker, idle_node), request);
    }
    if (!c->closing || c->waiting_count > 0)
        return;
    for (unsigned i = 0; i < c->count; i++)
        worker_close(&c->workers[i], false);
}

void crew_leave(struct crew *c)
{
    hand_on(c);
    c->events->leave(c->arg);
}

void crew_take_back(struct crew *c, struct crew_request *request)
{
    request->untaken++;
    list_push_back(&c->waiting, &request->node);
    c->waiting_count++;
}

/* Half of the pause is random, so that many that died of one cause do not come back as one. */
span_t crew_jittered(struct crew *c, span_t pause)
{
    c->jitter = c->jitter * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
    int64_t half = pause.ns / 2;
    return (span_t){ half + (int64_t)((c->jitter >> 11) % (uint64_t)(half + 1)) };
}

/* ---- requests ---- */

void crew_submit(struct crew *c, struct crew_request *request)
{
    request->worker = NULL;
    request->untaken = 0;
    list_push_back(&c->waiting, &request->node); /* Behind those that have lost their process. */
    c->waiting_count++;
    hand_on(c);
}

static void fail_waiting(struct crew *c, struct crew_request *request, int error, const char *reason)
{
    c->waiting_count--;
    list_remove(&request->node);
    c->events->on_fail(request, error, reason, c->arg);
}

void crew_cancel(struct crew *c, struct crew_request *request, const char *reason)
{
    if (request->worker != NULL)
        worker_cancel(request->worker, reason);
    else
        fail_waiting(c, request, PEN_ECANCELED, reason);
}

static void fail_all_waiting(struct crew *c, int error, const char *reason)
{
    while (c->waiting_count > 0)
        fail_waiting(c, CONTAINER_OF(c->waiting.next, struct crew_request, node), error, reason);
}

/* ---- opening and closing ---- */

int crew_new(const struct crew_making *m, struct crew **ret_crew)
{
    struct crew *c = calloc(1, sizeof *c + m->count * sizeof c->workers[0]);
    if (c == NULL)
        return PEN_ENOMEM;
    c->loop = m->loop;
    c->options = *m->options;
    c->events = m->events;
    c->arg = m->arg;
    list_init(&c->idle);
    list_init(&c->waiting);
    c->count = c->down_count = m->count;
    count_set(&c->counts.down, m->count);
    c->jitter = (uint64_t)clock_mono().ns;
    for (unsigned i = 0; i < c->count; i++)
        worker_init(&c->workers[i], c, i);
    int r = worker_spawn(&c->workers[0]);
    if (r < 0) {
        free(c);
        return r;
    }
    *ret_crew = c;
    return 0;
}

int crew_start(struct crew *c)
{
    thread_block_sigpipe();
    int first = worker_watch(&c->workers[0]);
    for (unsigned i = 1; i < c->count; i++) {
        int r = worker_spawn(&c->workers[i]);
        if (r == 0)
            r = worker_watch(&c->workers[i]);
        if (first == 0)
            first = r;
    }
    return first;
}

void crew_retry(struct crew *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->workers[i].state == WORKER_DOWN)
            worker_start_later(&c->workers[i]);
}

void crew_close(struct crew *c, bool immediate, const char *reason)
{
    c->closing = true;
    for (unsigned i = 0; immediate && i < c->count; i++) {
        struct worker *w = &c->workers[i];
        if (w->request != NULL)
            worker_cancel(w, reason);
        worker_close(w, true);
    }
    if (immediate)
        fail_all_waiting(c, PEN_ECANCELED, reason);
    hand_on(c);
}

void crew_kill(struct crew *c, int error, const char *reason)
{
    c->closing = true;
    for (unsigned i = 0; i < c->count; i++) {
        struct crew_request *request = c->workers[i].request;
        worker_fini(&c->workers[i]);
        if (request != NULL)
            c->events->on_fail(request, error, reason, c->arg);
    }
    fail_all_waiting(c, error, reason);
}

void crew_free(struct crew **crew)
{
    struct crew *c = *crew;
    if (c == NULL)
        return;
    check(c->waiting_count == 0);
    for (unsigned i = 0; i < c->count; i++) {
        check(c->workers[i].request == NULL);
        worker_fini(&c->workers[i]);
    }
    free(c);
    *crew = NULL;
}
