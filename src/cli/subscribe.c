/* SPDX-License-Identifier: Apache-2.0
 *
 * Whoever reads standard output too slowly makes write(2) block and so the whole loop: nothing is read from the sockets then,
 * the publisher drops what finds no room, and it is asked for afterwards. So memory is bounded whatever the reader does.
 *
 * Thread: the main thread, which runs the loop.
 */
#include "cli/subscribe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/signals.h"
#include "cli/stream.h"
#include "loop/io.h"
#include "net/endpoint.h"
#include "obs/log.h"
#include "proto/json.h"
#include "proto/reliable.h"
#include "proto/sp.h"

struct subscriber {
    struct stream stream;
    struct pen_loop *loop;
    struct endpoint *published, *log;
    struct reliable reliable;
    struct batch_text prefixes[OPTIONS_LIST_MAX];
    struct io signal_io;
    struct pen_timer due, progress, silence;
    /* The last request: it waits while no peer is there, or has no room. */
    struct slice request;
    uint32_t request_id;
    bool request_waits;
};

_Static_assert((int)OPTIONS_LIST_MAX <= (int)LIMIT_TOPICS_PER_ENDPOINT,
               "each prefix can be asked for");

static bool has_ended(const struct subscriber *p)
{
    return p->stream.end != END_NOT_YET;
}

/* ---- what comes out ---- */

static void on_result(uint64_t stream, const struct published_result *result, void *arg)
{
    struct subscriber *p = arg;
    struct stream *s = &p->stream;
    if (has_ended(p))
        return;
    s->tally.received++;
    s->tally.received_bytes += result->body_bytes;
    int r = s->output.json ? output_result(&s->output, stream, result)
                           : output_message(&s->output, result->body, result->body_bytes);
    if (r < 0)
        (void)stream_output_failed(s, r);
    else if (s->o->count > 0 && s->tally.received >= s->o->count)
        (void)stream_end(s, END_COUNT);
}

static void say_gone(const struct reliable_gone *gone)
{
    char stream[JSON_STREAM_BYTES];
    json_stream_format(gone->stream, stream);
    if (gone->ended)
        say("stream %s has ended; results from %" PRIu64 " on are gone, if there were any", stream,
            gone->first);
    else
        say("results %" PRIu64 " to %" PRIu64 " of stream %s are gone", gone->first, gone->last,
            stream);
}

static int print_gone(struct stream *s, const struct reliable_gone *gone)
{
    char stream[JSON_STREAM_BYTES];
    json_stream_format(gone->stream, stream);
    json_t *last = gone->ended ? json_null() : json_integer((json_int_t)gone->last);
    return output_json(&s->output, json_pack("{s:{s:s, s:I, s:o}}", "gone", "stream", stream,
                                             "first", (json_int_t)gone->first, "last", last));
}

static void on_gone(const struct reliable_gone *gone, void *arg)
{
    struct subscriber *p = arg;
    struct stream *s = &p->stream;
    if (has_ended(p))
        return;
    progress_end(&s->progress);
    say_gone(gone);
    int r = s->output.json ? print_gone(s, gone) : 0;
    if (r < 0)
        (void)stream_output_failed(s, r);
    if (!s->o->gap_fatal || has_ended(p))
        return;
    s->exit_code = EXIT_GONE;
    (void)stream_end(s, END_FAILED);
}

/* ---- requests ---- */

static void send_request(struct subscriber *p) ON_LOOP
{
    struct route route;
    sp_request_route(p->request_id, &route);
    struct parcel_frame frame = { .body = slice_ref(p->request), .route = &route };
    p->request_waits = endpoint_send(p->log, &frame, 1) == 0;
    if (p->request_waits)
        slice_release(&frame.body);
}

static void on_ask(const struct replay_request *request, void *arg)
{
    struct subscriber *p = arg;
    size_t size = REPLAY_REQUEST_BYTES;
    loop_assert_here(p->loop);
    for (size_t i = 0; i < request->prefixes_count; i++)
        size += BATCH_RECORD_BYTES + 2 + request->prefixes[i].bytes;
    uint8_t *to;
    slice_release(&p->request);
    if (slice_new(size, &p->request, &to) < 0)
        return; /* It will ask again. */
    (void)BUG(replay_request_encode(request, to, size, &p->request.bytes) < 0);
    p->request_id = (p->request_id + 1) & INT32_MAX;
    send_request(p);
}

/* ---- what comes in ---- */

static void on_due(struct pen_loop *loop, void *arg, int status);
static void on_silence(struct pen_loop *loop, void *arg, int status);

/* Written is what has come, and the timer is where it should be. */
static void after_event(struct subscriber *p)
{
    struct stream *s = &p->stream;
    int r = output_flush(&s->output);
    if (r < 0)
        (void)stream_output_failed(s, r);
    mono_t due = reliable_due(&p->reliable);
    if (!has_ended(p) && (p->due.loop == NULL || p->due.when.ns != due.ns) &&
        pen_loop_call_at(p->loop, &p->due, due, on_due, p) < 0)
        (void)stream_fail(s, EXIT_INTERNAL, "cannot set a timer", PEN_ENOMEM);
    if (has_ended(p))
        pen_loop_stop(p->loop);
}

static void on_due(struct pen_loop *loop, void *arg, int status)
{
    struct subscriber *p = arg;
    if (status != 0)
        return;
    loop_assert_here(loop);
    reliable_on_time(&p->reliable, pen_loop_now(loop));
    after_event(p);
}

static void await_results(struct subscriber *p)
{
    span_t timeout = p->stream.o->recv_timeout;
    if (timeout.ns >= 0 && pen_loop_call_later(p->loop, &p->silence, timeout, on_silence, p) < 0)
        (void)stream_fail(&p->stream, EXIT_INTERNAL, "cannot set a timer", PEN_ENOMEM);
}

static void on_silence(struct pen_loop *loop, void *arg, int status)
{
    struct subscriber *p = arg;
    if (status != 0)
        return;
    loop_assert_here(loop);
    (void)stream_timed_out(&p->stream, "no result came within --recv-timeout");
    after_event(p);
}

static void refused(struct subscriber *p, int error, const char *why)
{
    struct stream *s = &p->stream;
    char safe[LIMIT_ERROR_TEXT_BYTES];
    if (error == PEN_ENOMEM || has_ended(p))
        return; /* What could not be taken will be asked for. */
    progress_end(&s->progress);
    say("%s: %s",
        error == PEN_EINVAL ? "the log refuses the request" : "cannot use what is published",
        printable(why, safe, sizeof safe));
    s->exit_code = error == PEN_EINVAL ? EXIT_REFUSED : EXIT_UNREACHABLE;
    (void)stream_end(s, END_FAILED);
}

static void take(struct subscriber *p, const struct slice *message)
{
    char why[LIMIT_ERROR_TEXT_BYTES];
    int r = has_ended(p)
                ? 0
                : reliable_take(&p->reliable, message, pen_loop_now(p->loop), why, sizeof why);
    if (r < 0)
        refused(p, r, why);
}

/* Everything that is published, or the answer to the last request: earlier ones may be from a daemon that has ended. */
static size_t on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    struct subscriber *p = arg;
    uint64_t before = p->stream.tally.received;
    uint32_t id;
    loop_assert_here(p->loop);
    for (size_t i = 0; i < n; i++) {
        if (endpoint == p->published ||
            (sp_request_id(&frames[i].route, &id) == 0 && id == p->request_id))
            take(p, &frames[i].body);
        slice_release(&frames[i].body);
    }
    if (p->stream.tally.received != before)
        await_results(p);
    after_event(p);
    return n;
}

static void on_room(struct endpoint *endpoint, void *arg)
{
    (void)endpoint;
    struct subscriber *p = arg;
    loop_assert_here(p->loop);
    if (p->request_waits)
        send_request(p);
}

static void on_signal(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    struct subscriber *p = arg;
    loop_assert_here(p->loop);
    io_close(io);
    (void)stream_end(&p->stream, END_SIGNAL);
    after_event(p);
}

static void on_progress(struct pen_loop *loop, void *arg, int status)
{
    struct subscriber *p = arg;
    struct stream *s = &p->stream;
    struct endpoint_stats stats;
    if (status != 0 || !s->progress.shown)
        return;
    loop_assert_here(loop);
    endpoint_stats(p->published, &stats);
    progress_tick(&s->progress, &s->tally, (unsigned)stats.peers);
    if (pen_loop_call_at(loop, &p->progress, progress_due(&s->progress), on_progress, p) < 0)
        progress_end(&s->progress); /* There is no memory for more of it. */
}

/* ---- making and freeing ---- */

/* "[STREAM:]NUMBER" */
static int parse_from(const char *text, struct reliable_options *options)
{
    char stream[JSON_STREAM_BYTES] = "";
    const char *colon = strchr(text, ':');
    if (colon != NULL && colon - text != JSON_STREAM_BYTES - 1)
        return PEN_EINVAL;
    if (colon != NULL) {
        memcpy(stream, text, JSON_STREAM_BYTES - 1);
        text = colon + 1;
    }
    int r = number_parse(text, &options->from);
    if (r == 0 && colon != NULL)
        r = json_stream_parse(stream, &options->stream);
    return r == 0 && options->from > 0 ? 0 : PEN_EINVAL;
}

static int usage(const char *text)
{
    say("%s", text);
    (void)fprintf(stderr, "Try 'penstock help sub'.\n");
    return EXIT_USAGE;
}

static int check_options(const struct options *o, struct reliable_options *reliable)
{
    if (o->bind.n + o->connect.n == 0)
        return usage("say where results are published: --connect URL");
    if (o->replay.n == 0)
        return usage("say where missed results are asked for: --replay URL");
    if (o->from != NULL && parse_from(o->from, reliable) < 0)
        return usage("--from takes the number of a result, from 1 on, or STREAM:NUMBER");
    return EXIT_OK;
}

/* The list's addresses as the endpoint wants them: texts that are copied there, and NULL. */
struct addresses {
    char text[OPTIONS_LIST_MAX][OPTIONS_URL_BYTES];
    char *at[OPTIONS_LIST_MAX + 1];
};

static char *const *addresses_of(struct addresses *a, const struct option_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        a->at[i] = (char *)option_list_text(list, i, a->text[i]);
    a->at[list->n] = NULL;
    return a->at;
}

static int open_endpoint(struct subscriber *p, enum sp_pattern pattern,
                         const struct option_list *bind, const struct option_list *connect,
                         struct endpoint **ret_endpoint)
{
    static const struct endpoint_events events = { .on_frames = on_frames, .on_room = on_room };
    struct addresses listen_at, connect_at;
    char text[LIMIT_ERROR_TEXT_BYTES], safe[LIMIT_ERROR_TEXT_BYTES];
    struct endpoint_options options = {
        .loop = p->loop,
        .events = &events,
        .arg = p,
        .name = "penstock sub",
        .pattern = pattern,
        .listen = addresses_of(&listen_at, bind),
        .connect = addresses_of(&connect_at, connect),
        .message_max = p->stream.o->recv_max_bytes,
        .transport = TRANSPORT_NATIVE,
    };
    int r = endpoint_open(&options, text, sizeof text, ret_endpoint);
    if (r == 0) {
        loop_assert_here(p->loop);
        endpoint_resume(*ret_endpoint);
        return EXIT_OK;
    }
    say("%s", printable(text, safe, sizeof safe));
    return r == PEN_EADDRESS ? EXIT_USAGE : EXIT_UNREACHABLE;
}

static int open_all(struct subscriber *p)
{
    static const struct option_list none;
    const struct options *o = p->stream.o;
    int r = pen_loop_new(NULL, &p->loop);
    if (r == 0)
        r = io_open(&p->signal_io, p->loop, (struct io_watch){ signals_fd(), IO_READ }, on_signal, p);
    if (r < 0) {
        say("cannot make a loop: %s", pen_strerror(r));
        return EXIT_INTERNAL;
    }
    int code = open_endpoint(p, SP_SUB, &o->bind, &o->connect, &p->published);
    return code == EXIT_OK ? open_endpoint(p, SP_REQ, &none, &o->replay, &p->log) : code;
}

static void start(struct subscriber *p, struct reliable_options *options)
{
    static const struct reliable_events events = { on_result, on_gone, on_ask };
    const struct option_list *subscribe = &p->stream.o->subscribe;
    for (size_t i = 0; i < subscribe->n; i++)
        p->prefixes[i] =
            (struct batch_text){ subscribe->at[i].text, (uint32_t)strlen(subscribe->at[i].text) };
    options->events = &events;
    options->arg = p;
    options->prefixes = p->prefixes;
    options->prefixes_count = subscribe->n;
    reliable_init(&p->reliable, options, pen_loop_now(p->loop));
    await_results(p);
    on_progress(p->loop, p, 0);
    after_event(p);
}

static void close_all(struct subscriber *p)
{
    endpoint_free(&p->published);
    endpoint_free(&p->log);
    io_close(&p->signal_io);
    pen_timer_cancel(&p->due);
    pen_timer_cancel(&p->progress);
    pen_timer_cancel(&p->silence);
    reliable_fini(&p->reliable);
    slice_release(&p->request);
    pen_loop_free(&p->loop);
}

int subscribe_reliably(const struct options *o)
{
    struct reliable_options options = { 0 };
    int code = check_options(o, &options);
    struct subscriber *p = code == EXIT_OK ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return code == EXIT_OK ? EXIT_INTERNAL : code;
    log_init(o->verbosity > 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    stream_begin(&p->stream, o);
    code = open_all(p);
    if (code == EXIT_OK) {
        start(p, &options);
        if (pen_loop_run(p->loop) < 0)
            (void)stream_fail(&p->stream, EXIT_INTERNAL, "cannot run the loop", PEN_EINTERNAL);
    }
    close_all(p);
    code = code == EXIT_OK ? stream_close(&p->stream) : code;
    free(p);
    return code;
}
