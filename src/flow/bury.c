/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/bury.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "loop/io.h"

enum { BURY_JOBS = 64 }; /* at a time */

struct undertaker {
    /* fixed after init */
    struct jobq *from, *to;
    struct pen_loop *main;
    undertaker_fn told;
    /* owner: MAIN */
    struct jobq_putter *putter;
    struct job jobs[BURY_JOBS];
    struct job_put puts[BURY_JOBS];
    size_t count, done;
};

/* A letter: what the job was and how it ended, without who waits for it. NULL when memory is out: then the body is all. */
static struct job_ext *letter_of(const struct undertaker *u, const struct job *job)
{
    struct job_ext *ext = NULL;
    int r = job->ext != NULL ? job_ext_copy(job->ext, &ext) : job_ext_new(&ext);
    if (r < 0)
        return NULL;
    ext->origin = NULL;
    ext->delay_until = ext->expires_at = PEN_NOW;
    ext->attempts_max = 0;
    free(ext->dedupe);
    ext->dedupe = NULL;
    ext->died_after = job->attempt;
    free(ext->died_in);
    ext->died_in = strdup(jobq_name(u->from));
    return ext;
}

/* The next lot; false: nobody is dying. */
static bool take_lot(struct undertaker *u)
{
    u->done = 0;
    u->count = jobq_take_dying(u->from, u->jobs, BURY_JOBS);
    for (size_t i = 0; i < u->count; i++)
        u->puts[i] = (struct job_put){ .body = slice_ref(u->jobs[i].body),
                                       .ext = letter_of(u, &u->jobs[i]),
                                       .priority = u->jobs[i].priority };
    return u->count > 0;
}

/* What the other queue has decided on ends here, as dead or, when it was refused, as failed. */
static void settle(struct undertaker *u, size_t n, int refused)
{
    for (size_t i = u->done; i < u->done + n; i++) {
        struct job_put *put = &u->puts[i];
        int status = refused < 0 ? refused : put->ret_status;
        struct job_settle end = { .id = u->jobs[i].id,
                                  .index = u->jobs[i].index,
                                  .outcome = OUTCOME_DEAD };
        if (status < 0 && status != PEN_EDROPPED)
            end.outcome = OUTCOME_FAILED;
        if (status < 0) {
            slice_release(&put->body);
            job_ext_free(put->ext);
        }
        int r = jobq_settle(u->from, &end, 1, NULL);
        if (!BUG(r < 0))
            u->told(&end);
    }
    u->done += n;
}

void undertaker_call(struct undertaker *u)
{
    loop_assert_here(u->main);
    while (u->done < u->count || take_lot(u)) {
        size_t n = u->count - u->done;
        int r = jobq_putter_put(u->putter, u->puts + u->done, n);
        settle(u, r < 0 ? n : (size_t)r, r < 0 ? r : 0);
        if (u->done < u->count)
            return; /* on_room comes. */
    }
}

static void on_room(struct jobq_putter *putter, void *arg)
{
    (void)putter;
    struct undertaker *u = arg;
    loop_assert_here(u->main);
    undertaker_call(u);
}

int undertaker_new(struct jobq *from, struct jobq *to, struct pen_loop *main, undertaker_fn told,
                   struct undertaker **ret_undertaker)
{
    struct jobq_putter_options options = { .patient = true, .on_room = on_room };
    struct undertaker *u = calloc(1, sizeof *u);
    if (u == NULL)
        return PEN_ENOMEM;
    *u = (struct undertaker){ .from = from, .to = to, .main = main, .told = told };
    options.arg = u;
    int r = jobq_attach_putter(to, main, &options, &u->putter);
    if (r < 0)
        free(u);
    else
        *ret_undertaker = u;
    return r;
}

void undertaker_free(struct undertaker **undertaker)
{
    struct undertaker *u = *undertaker;
    if (u == NULL)
        return;
    *undertaker = NULL;
    for (size_t i = u->done; i < u->count; i++) {
        slice_release(&u->puts[i].body);
        job_ext_free(u->puts[i].ext);
    }
    jobq_putter_close(&u->putter);
    free(u);
}
