/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock work: its options, its beginning and its end.
 *
 * The first SIGTERM or SIGINT asks for no more jobs and waits for those in hand, as long as --grace says; then, or at
 * the second, they are given back without a charge. A reserve that is under way then is not waited for: what the daemon
 * grants at that very moment comes back to it with the end of the connection.
 *
 * Thread: the main thread, which runs the loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/time.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/signals.h"
#include "cli/work.h"

static int usage(const char *text)
{
    say("%s", text);
    (void)fputs("Try 'penstock help work'.\n", stderr);
    return EXIT_USAGE;
}

static bool knows(const char *protocol)
{
    return protocol == NULL || str_equal(protocol, "once") || str_equal(protocol, "lines") ||
           str_equal(protocol, "frames");
}

static int check_options(const struct options *o)
{
    if (o->exec == NULL && o->operands_count == 0)
        return usage("say which program: penstock work ... -- PROGRAM [ARGUMENT]...");
    if (!knows(o->protocol))
        return usage("--protocol is once, lines or frames");
    if (o->jobs > WORK_JOBS_MAX)
        return usage("--jobs is at most 256");
    return EXIT_OK;
}

/* ---- what a person is told ---- */

void work_say(struct work *w, const struct slot *s, const char *text)
{
    char safe[LIMIT_ERROR_TEXT_BYTES];
    if (w->o->verbosity < 0)
        return;
    progress_end(&w->progress);
    (void)printable(text, safe, sizeof safe);
    if (s == NULL)
        say("%s", safe);
    else
        say("%s:%lld, attempt %lld: %s", json_string_value(json_object_get(s->job, "queue")),
            (long long)json_integer_value(json_object_get(s->job, "id")),
            (long long)json_integer_value(json_object_get(s->job, "attempts")), safe);
}

static void on_tick(struct pen_loop *loop, void *arg, int status)
{
    struct work *w = arg;
    if (status < 0 || !w->progress.shown)
        return;
    progress_tick(&w->progress, &w->tally, desk_is_connected(&w->desk) ? 1 : 0);
    if (pen_loop_call_at(loop, &w->tick_timer, progress_due(&w->progress), on_tick, w) < 0)
        w->progress.shown = false;
}

static void say_summary(struct work *w)
{
    char text[PROGRESS_TEXT_BYTES];
    progress_end(&w->progress);
    if (w->o->verbosity > 0 || w->progress.shown)
        say("%s", progress_summary(&w->progress, &w->tally, text));
}

/* ---- signals ---- */

static void on_grace_over(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    if (status == 0)
        work_give_back(arg);
}

static void on_signal(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    struct work *w = arg;
    loop_assert_here(io->loop);
    bool again = w->stopping;
    if (!again && w->o->verbosity > 0)
        work_say(w, NULL, "finishing what is in hand");
    work_stop(w, EXIT_OK);
    if (again || pen_loop_call_later(w->loop, &w->grace_timer, w->o->grace, on_grace_over, w) < 0)
        work_give_back(w);
}

/* ---- its life ---- */

static int make_argv(struct work *w)
{
    const struct options *o = w->o;
    size_t n = 0;
    const char **argv = calloc(o->operands_count + 2, sizeof *argv);
    if (argv == NULL)
        return jobs_no_memory();
    if (o->exec != NULL)
        argv[n++] = o->exec;
    for (size_t i = 0; i < o->operands_count; i++)
        argv[n++] = o->operands[i];
    w->argv = argv;
    return EXIT_OK;
}

static int make_request(struct work *w)
{
    int code = jobs_request_queues(w->o, &w->request);
    if (code == EXIT_OK && !jobs_set_ms(w->request, "lease_ms", w->o->lease))
        code = jobs_no_memory();
    return code;
}

static int make_slots(struct work *w)
{
    w->slots_count = w->o->jobs > 0 ? w->o->jobs : 1;
    w->slots = calloc(w->slots_count, sizeof *w->slots);
    if (w->slots == NULL)
        return jobs_no_memory();
    for (size_t i = 0; i < w->slots_count; i++)
        w->slots[i].work = w;
    return EXIT_OK;
}

static int open_all(struct work *w)
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct io_watch watch = { .fd = signals_fd(), .want = IO_READ | IO_EDGE };
    int r = pen_loop_new(NULL, &w->loop);
    if (r == 0)
        r = io_open(&w->signal_io, w->loop, watch, on_signal, w);
    if (r < 0)
        return jobs_no_memory();
    w->desk = (struct desk){ .loop = w->loop, .on_lost = work_on_lost, .arg = w };
    r = desk_open(&w->desk, w->url, text, sizeof text);
    if (r < 0) {
        say("%s", text);
        return r == PEN_EADDRESS ? EXIT_USAGE : EXIT_UNREACHABLE;
    }
    return work_hire(w);
}

static int begin(struct work *w)
{
    int code = jobs_url(w->o, w->url);
    if (code == EXIT_OK)
        code = make_argv(w);
    if (code == EXIT_OK)
        code = make_request(w);
    if (code == EXIT_OK)
        code = make_slots(w);
    return code == EXIT_OK ? open_all(w) : code;
}

static void fini(struct work *w)
{
    pen_timer_cancel(&w->pause_timer);
    pen_timer_cancel(&w->grace_timer);
    pen_timer_cancel(&w->tick_timer);
    io_close(&w->signal_io);
    desk_close(&w->desk);
    if (w->crew != NULL)
        crew_kill(w->crew, PEN_ECANCELED, "penstock work ends");
    crew_free(&w->crew);
    for (size_t i = 0; i < w->slots_count; i++)
        slot_fini(&w->slots[i]);
    pen_loop_free(&w->loop);
    json_decref(w->request);
    free(w->slots);
    free((void *)w->argv);
}

static int run(struct work *w)
{
    progress_init(&w->progress, w->o->verbosity >= 0);
    on_tick(w->loop, w, 0);
    work_ask(w);
    int r = pen_loop_run(w->loop);
    say_summary(w);
    if (r < 0)
        say("%s", pen_strerror(r));
    return r < 0 ? EXIT_INTERNAL : w->code;
}

int cmd_work(const struct options *o)
{
    struct work w = { .o = o,
                      .pause = span_ms(WORK_PAUSE_FIRST_MS),
                      .tally = { .sent_word = "done", .received_word = "failed" } };
    int code = check_options(o);
    if (code != EXIT_OK)
        return code;
    code = begin(&w);
    if (code == EXIT_OK)
        code = run(&w);
    fini(&w);
    return code;
}
