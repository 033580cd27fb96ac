/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock work: a program as an outside worker.
 *
 *   cmd-work.c  options, beginning and end, signals, what a person is told
 *   work.c      jobs come from the desk, are in the hands of a slot, and are settled
 *   work-run.c  what a slot does with a job: a process of its own (run.h), or one of a crew (task/crew.h)
 *
 * A slot is taken from the job's coming until the daemon has answered what became of it and its process has ended.
 *
 *   FREE --job--> RUNNING --result, failure, end of grace--> SETTLING --answer--> FREE
 *                    |                                                             ^
 *                    +--lease lost--> LOST ------------process has ended-----------+
 *
 * Leases belong to the connection: one that is lost loses them all, their programs are stopped, and the jobs are with
 * others already. When this process is killed the same happens, at once.
 *
 * Thread: the loop's, which is the main thread.
 */
#ifndef CLI_WORK_H
#define CLI_WORK_H

#include "cli/jobs.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "task/crew.h"

enum { WORK_JOBS_MAX = 256, WORK_STATUS_BURY = 100, WORK_PAUSE_FIRST_MS = 100 };

enum slot_state { SLOT_FREE, SLOT_RUNNING, SLOT_SETTLING, SLOT_LOST, SLOT_STATES };

struct work;

struct slot {
    struct work *work; /* fixed after init */
    enum slot_state state;
    json_t *job; /* as it came; NULL: FREE */
    struct buf body;
    span_t lease;
    struct pen_timer touch_timer, limit_timer;
    struct desk_ask touch_ask, settle_ask;
    struct run run;
    bool timed_out;
    struct crew_request request;
    bool submitted; /* the request is the crew's */
};

struct work {
    const struct options *o;
    char url[OPTIONS_URL_BYTES];
    const char *const *argv; /* the program */
    struct pen_loop *loop;
    struct desk desk;
    json_t *request; /* a reserve, but for its count */
    struct desk_ask ask;
    struct pen_timer pause_timer; /* before the daemon is asked again, after a refusal */
    span_t pause;
    bool pausing;
    struct crew *crew; /* NULL: a process for each job */
    struct slot *slots;
    size_t slots_count;
    uint64_t taken; /* jobs */
    bool stopping;  /* no more jobs */
    int code;       /* to exit with */
    struct io signal_io;
    struct pen_timer grace_timer, tick_timer;
    struct progress progress;
    struct tally tally; /* sent: done, received: failed */
};

/* ---- cmd-work.c ---- */

/* Something was said or counted: the line that shows how it goes makes room. */
void work_say(struct work *w, const struct slot *s, const char *text);

/* ---- work.c ---- */

/* Ask for as many jobs as there is room for, if that is not under way. */
void work_ask(struct work *w);
/* End the loop, if there is nothing more to do. */
void work_end_when_done(struct work *w);
/* No more jobs; what is in hand goes on. code: to exit with. */
void work_stop(struct work *w, int code);
/* What is in hand is given back, as if it had not been tried, and its programs are killed. */
void work_give_back(struct work *w);
/* The connection was lost. */
void work_on_lost(void *work);

/* What has become of a job that is RUNNING: done, with a result; failed or buried, with a reason. */
void slot_done(struct slot *s, const void *result, size_t bytes);
void slot_fail(struct slot *s, const char *op, const char *text);
/* Put a job back that could not be begun. */
void slot_return(struct slot *s, span_t delay);
/* FREE, if nothing keeps it. */
void slot_leave(struct slot *s);

/* ---- work-run.c ---- */

/* The crew, if the options want one; an exit code, said. */
int work_hire(struct work *w);
/* Send its processes home; true: they are gone. */
bool work_dismiss(struct work *w);
/* How many jobs could be begun now, beside free slots. */
size_t work_room(const struct work *w);
/* Begin the job of a slot that has just become RUNNING. */
void slot_begin(struct slot *s);
/* Its program is to end: nobody wants what it does. */
void slot_stop(struct slot *s, bool at_once);
/* Its program runs. */
bool slot_runs(const struct slot *s);
void slot_fini(struct slot *s);

#endif
