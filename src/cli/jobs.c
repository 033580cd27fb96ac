/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop runs while an answer is waited for, and a signal ends the wait. That nobody listens is found out before, with
 * a connection of its own, because the desk would go on trying.
 */
#include "cli/jobs.h"

#include <errno.h>
#include <string.h>

#include <penstock/time.h>

#include "base/check.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "cli/signals.h"
#include "cli/source.h"
#include "proto/base64.h"

int jobs_no_memory(void)
{
    say("%s", pen_strerror(PEN_ENOMEM));
    return EXIT_INTERNAL;
}

/* ---- the connection ---- */

int jobs_url(const struct options *o, char url[OPTIONS_URL_BYTES])
{
    if (o->connect.n == 1) {
        (void)option_list_text(&o->connect, 0, url);
        return EXIT_OK;
    }
    say(o->connect.n == 0 ? "say where the worker endpoint is: --connect URL"
                          : "one --connect only: a lease belongs to one daemon");
    (void)fprintf(stderr, "Try 'penstock help %s'.\n", o->command->name);
    return EXIT_USAGE;
}

static int say_unreachable(const char *url, int error)
{
    char safe[OPTIONS_URL_BYTES];
    (void)printable(url, safe, sizeof safe);
    if (error == -EINTR)
        return 128 + signals_got();
    if (error == -ETIMEDOUT) {
        say("no connection to %s within --timeout", safe);
        return EXIT_TIMEOUT;
    }
    say("no daemon answers at %s: %s", safe, strerror(-error));
    say("--connect takes an address of a worker endpoint, section 'workers' of the configuration");
    return EXIT_UNREACHABLE;
}

static void on_signal(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    struct jobs *j = arg;
    io_close(io);
    pen_loop_stop(j->loop);
}

static int connect_to(struct jobs *j)
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    struct io_watch watch = { .fd = signals_fd(), .want = IO_READ };
    int r = pen_loop_new(NULL, &j->loop);
    if (r < 0)
        return jobs_no_memory();
    j->desk.loop = j->loop;
    r = desk_open(&j->desk, j->url, text, sizeof text);
    if (r < 0) {
        say("%s", text);
        return r == PEN_EADDRESS ? EXIT_USAGE : EXIT_UNREACHABLE;
    }
    return io_open(&j->signal_io, j->loop, watch, on_signal, j) < 0 ? jobs_no_memory() : EXIT_OK;
}

int jobs_open(struct jobs *j, const struct options *o)
{
    *j = (struct jobs){ .o = o };
    int code = jobs_url(o, j->url);
    if (code != EXIT_OK)
        return code;
    int r = probe_address(j->url, mono_after(pen_now(), o->timeout));
    if (r < 0)
        return say_unreachable(j->url, r);
    code = connect_to(j);
    if (code != EXIT_OK)
        jobs_close(j);
    return code;
}

void jobs_close(struct jobs *j)
{
    io_close(&j->signal_io);
    desk_close(&j->desk);
    pen_loop_free(&j->loop);
    json_decref(j->answer);
    *j = (struct jobs){ 0 };
}

/* ---- asking ---- */

static void on_answer(struct desk_ask *ask, const json_t *answer, int error, void *arg)
{
    (void)ask;
    struct jobs *j = arg;
    j->answer = json_incref((json_t *)answer);
    j->error = error;
    j->answered = true;
    pen_loop_stop(j->loop);
}

static int say_silence(const struct jobs *j)
{
    if (j->error == PEN_ETIMEOUT && !desk_met_strangers(&j->desk)) {
        say(desk_is_connected(&j->desk) ? "the daemon did not answer within --timeout"
                                        : "no worker endpoint answered within --timeout");
        return EXIT_TIMEOUT;
    }
    if (j->error == PEN_ECLOSED)
        say("the connection was lost before the answer came: it is not known whether this was done");
    else
        say("what answers at %s is no worker endpoint with 'framing: json'", j->url);
    return EXIT_UNREACHABLE;
}

/* The answer, or EXIT_OK without one: a signal has ended the wait. */
static int wait_for_answer(struct jobs *j)
{
    int r = pen_loop_run(j->loop);
    if (r < 0) {
        say("%s", pen_strerror(r));
        return EXIT_INTERNAL;
    }
    if (!j->answered)
        return 128 + signals_got();
    return j->answer != NULL ? EXIT_OK : say_silence(j);
}

int jobs_say_refusal(const char *what, const json_t *refusal)
{
    char text[512] = "", safe[128];
    int error = desk_refusal(refusal);
    const char *told = json_string_value(json_object_get(refusal, "text"));
    (void)printable(what, safe, sizeof safe);
    (void)printable(told != NULL && told[0] != '\0' ? told : pen_strerror(error), text, sizeof text);
    say("%s%s%s (%s); 'penstock errors %s' explains it", safe,
        safe[0] != '\0' ? ": " : "refused: ", text, pen_errname(error), pen_errname(error));
    return error == PEN_ELEASE ? EXIT_LATE : error == PEN_EINTERNAL ? EXIT_INTERNAL : EXIT_REFUSED;
}

static int refuse(const struct jobs *j)
{
    if (j->o->json) {
        (void)json_dumpf(j->answer, stdout, JSON_COMPACT);
        (void)putchar('\n');
    }
    return jobs_say_refusal("", j->answer);
}

int jobs_ask(struct jobs *j, json_t *request, span_t wait, json_t **ret_answer)
{
    span_t patience = { wait.ns > 0 ? wait.ns : 0 };
    if (__builtin_add_overflow(patience.ns, j->o->timeout.ns, &patience.ns))
        patience.ns = INT64_MAX;
    j->answered = false;
    j->ask.on_answer = on_answer;
    j->ask.arg = j;
    if (desk_ask(&j->desk, &j->ask, request, patience) < 0)
        return jobs_no_memory();
    int code = wait_for_answer(j);
    desk_forget(&j->ask);
    if (code == EXIT_OK && desk_refusal(j->answer) != 0)
        code = refuse(j);
    if (code == EXIT_OK)
        *ret_answer = j->answer;
    else
        json_decref(j->answer);
    j->answer = NULL;
    return code;
}

/* ---- requests ---- */

bool jobs_set_text(json_t *object, const char *name, const char *text)
{
    return text == NULL || json_object_set_new(object, name, json_string(text)) == 0;
}

bool jobs_set_number(json_t *object, const char *name, uint64_t n)
{
    return json_object_set_new(object, name, json_integer((json_int_t)n)) == 0;
}

bool jobs_set_ms(json_t *object, const char *name, span_t span)
{
    return span.ns < 0 || jobs_set_number(object, name, (uint64_t)span.ns / 1000000);
}

static int usage(const struct options *o, const char *text)
{
    say("%s", text);
    (void)fprintf(stderr, "Try 'penstock help %s'.\n", o->command->name);
    return EXIT_USAGE;
}

int jobs_request(const struct options *o, const char *op, json_t **ret_request)
{
    if (o->queues.n != 1)
        return usage(o, "say which queue: --queue QUEUE, once");
    json_t *request = json_object();
    if (!jobs_set_text(request, "op", op) || !jobs_set_text(request, "queue", o->queues.at[0].text)) {
        json_decref(request);
        return usage(o, "a queue's name is UTF-8");
    }
    *ret_request = request;
    return EXIT_OK;
}

/* QUEUE or QUEUE=WEIGHT. */
static bool add_queue(json_t *queues, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t bytes = equals != NULL ? (size_t)(equals - text) : strlen(text);
    uint64_t weight = 1;
    json_t *queue = json_object();
    if (json_object_set_new(queue, "queue", json_stringn(text, bytes)) == 0 &&
        (equals == NULL || (number_parse(equals + 1, &weight) == 0 && weight <= INT32_MAX)) &&
        jobs_set_number(queue, "weight", weight))
        return json_array_append_new(queues, queue) == 0;
    json_decref(queue);
    return false;
}

int jobs_request_queues(const struct options *o, json_t **ret_request)
{
    json_t *queues = json_array();
    if (o->queues.n == 0 || o->queues.n > JOBS_QUEUES_MAX) {
        json_decref(queues);
        return usage(o, "say which queues: --queue QUEUE, 1 to 16 times");
    }
    for (size_t i = 0; i < o->queues.n; i++) {
        if (add_queue(queues, o->queues.at[i].text))
            continue;
        json_decref(queues);
        return usage(o, "--queue is QUEUE or QUEUE=WEIGHT, with a weight of 1 to 1000");
    }
    *ret_request = json_pack("{s:s, s:o}", "op", "reserve", "queues", queues);
    return *ret_request != NULL ? EXIT_OK : jobs_no_memory();
}

/* ---- bodies ---- */

int jobs_body(const json_t *job, struct buf *to)
{
    const json_t *text = json_object_get(job, "body");
    if (text != NULL)
        return buf_append(to, json_string_value(text), json_string_length(text));
    const json_t *text64 = json_object_get(job, "body64");
    size_t n = json_string_length(text64), bytes;
    int r = json_is_string(text64) ? buf_reserve(to, n / 4 * 3 + 1) : PEN_EPROTO;
    if (r == 0)
        r = base64_decode(json_string_value(text64), n, buf_tail(to), &bytes);
    if (r == 0)
        buf_grew(to, bytes);
    return r;
}

int jobs_read_input(const struct options *o, struct buf *to)
{
    struct source source;
    const void *data;
    size_t bytes;
    int r = o->data != NULL ? source_init_data(&source, o->data, strlen(o->data), 1)
                            : source_init_file(&source, o->file, 1);
    if (r == 0 && source_next(&source, &data, &bytes) == 1)
        r = buf_append(to, data, bytes);
    source_fini(&source);
    if (r == 0)
        return EXIT_OK;
    if (r == -EINTR)
        return 128 + signals_got();
    say("cannot read %s: %s", o->data != NULL ? "--data" : o->file, pen_strerror(r));
    return EXIT_INPUT;
}
