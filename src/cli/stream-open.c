/* SPDX-License-Identifier: Apache-2.0
 *
 * How a stream begins and ends: the socket and its addresses, what is to be sent, the summary and the
 * exit code.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <penstock/time.h>

#include "base/str.h"
#include "cli/signals.h"
#include "cli/stream.h"

static int usage(const struct options *o, const char *text)
{
    say("%s", text);
    (void)fprintf(stderr, "Try 'penstock help %s'.\n", o->command->name);
    return EXIT_USAGE;
}

static bool is_batch(const struct options *o)
{
    return o->framing != NULL && str_equal(o->framing, "batch");
}

static int check_options(const struct options *o)
{
    enum pattern pattern = (enum pattern)o->command->id;
    if (o->bind.n + o->connect.n == 0)
        return usage(o, "say where: --connect URL or --bind URL");
    if (o->data != NULL && o->file != NULL)
        return usage(o, "--data and --file do not go together");
    if (o->framing != NULL && !is_batch(o) && !str_equal(o->framing, "raw"))
        return usage(o, "--framing is raw or batch");
    if (o->transport != NULL && !str_equal(o->transport, "auto") &&
        !str_equal(o->transport, "native") && !str_equal(o->transport, "nanomsg"))
        return usage(o, "--transport is auto, native or nanomsg");
    if (o->batch > 0 && (!is_batch(o) || o->batch > FRAMES_BATCH_MAX))
        return usage(o, "--batch goes with --framing batch, and up to 4096");
    if (is_batch(o) && o->separator != NULL)
        return usage(o, "--separator does not go with --framing batch, where topics stand apart");
    if ((pattern == SOCKET_PUSH || pattern == SOCKET_PUB || pattern == SOCKET_REQ ||
         pattern == SOCKET_SURVEYOR) &&
        !stream_has_source(o))
        return usage(o,
                     "say what to send: --data DATA, --file FILE, or --lines to read standard input");
    return EXIT_OK;
}

/* How often the data is sent: once; with --interval without end; with --count, so often where what is
 * counted goes with what is sent. */
static uint64_t times_to_send(const struct options *o)
{
    enum pattern pattern = (enum pattern)o->command->id;
    if (pattern == SOCKET_PUSH || pattern == SOCKET_PUB || pattern == SOCKET_REQ)
        return o->count > 0 ? o->count : o->interval.ns >= 0 ? UINT64_MAX : 1;
    return o->interval.ns >= 0 ? UINT64_MAX : 1;
}

static int open_source(struct stream *s)
{
    const struct options *o = s->o;
    bool answers = o->command->id == COMMAND_REP || o->command->id == COMMAND_RESPONDENT;
    const char *file = o->file != NULL ? o->file : "-";
    int r;
    if (!stream_has_source(o)) {
        source_init(&s->source);
        return EXIT_OK;
    }
    if (o->data != NULL)
        r = source_init_data(&s->source, o->data, strlen(o->data), times_to_send(o));
    else if (o->lines && !answers)
        r = source_init_lines(&s->source, file);
    else
        r = source_init_file(&s->source, file, times_to_send(o));
    if (r == 0)
        return EXIT_OK;
    if (r == -EINTR)
        return 128 + signals_got();
    say("cannot read %s: %s", file, pen_strerror(r));
    return EXIT_INPUT;
}

static int set_up_socket(struct stream *s)
{
    const struct options *o = s->o;
    int r = 0;
    if (client_receives(&s->client))
        r = client_limit(&s->client, o->recv_max_bytes);
    client_linger(&s->client, o->send_timeout, o->linger);
    if (r == 0 && o->socket_name != NULL)
        r = client_name(&s->client, o->socket_name);
    if (r == 0 && s->client.pattern == SOCKET_SURVEYOR && o->recv_timeout.ns >= 0)
        r = client_survey_deadline(&s->client, o->recv_timeout);
    for (size_t i = 0; r == 0 && !s->batch && i < o->subscribe.n; i++)
        r = client_subscribe(&s->client, o->subscribe.at[i].text);
    if (r == 0 && s->client.pattern == SOCKET_SUB && (o->subscribe.n == 0 || s->batch))
        r = client_subscribe(&s->client, "");
    if (r == 0)
        return EXIT_OK;
    say("cannot set up the socket: %s", client_strerror(r));
    return EXIT_INTERNAL;
}

static int add_addresses(struct stream *s, const struct option_list *list, bool bind)
{
    const char *verb = bind ? "listen on" : "connect to";
    for (size_t i = 0; i < list->n; i++) {
        char url[OPTIONS_URL_BYTES], safe[OPTIONS_URL_BYTES];
        (void)printable(option_list_text(list, i, url), safe, sizeof safe);
        const char *fault = client_address_fault(url, bind);
        if (fault != NULL) {
            say("cannot %s %s: %s", verb, safe, fault);
            return EXIT_USAGE;
        }
        int r = bind ? client_bind(&s->client, url) : client_connect(&s->client, url);
        if (r < 0) {
            say("cannot %s %s: %s", verb, safe, client_strerror(r));
            return r == -EINVAL || r == -EPROTONOSUPPORT ? EXIT_USAGE : EXIT_UNREACHABLE;
        }
        if (s->o->verbosity > 0)
            say("%s %s", bind ? "listening on" : "connecting to", safe);
    }
    return EXIT_OK;
}

static bool is_native_address(const char *url)
{
    return str_starts(url, "tcp://") || str_starts(url, "ipc://");
}

static enum client_transport transport_of(const struct options *o)
{
    const struct option_list *lists[] = { &o->bind, &o->connect };
    char url[OPTIONS_URL_BYTES];
    if (o->transport != NULL && !str_equal(o->transport, "auto"))
        return str_equal(o->transport, "native") ? CLIENT_NATIVE : CLIENT_NANOMSG;
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (!is_native_address(option_list_text(lists[l], i, url)))
                return CLIENT_NANOMSG;
    return CLIENT_NATIVE;
}

static int start(struct stream *s)
{
    char text[LIMIT_ERROR_TEXT_BYTES], safe[LIMIT_ERROR_TEXT_BYTES];
    int r = client_start(&s->client, text, sizeof text);
    if (r == 0)
        return EXIT_OK;
    say("%s", printable(text, safe, sizeof safe));
    return r == PEN_EADDRESS ? EXIT_USAGE : EXIT_UNREACHABLE;
}

void stream_begin(struct stream *s, const struct options *o)
{
    *s = (struct stream){ .o = o,
                          .client = { .socket = -1,
                                      .pattern = (enum pattern)o->command->id,
                                      .recv_fd = -1,
                                      .send_fd = -1 } };
    source_init(&s->source);
    output_init(&s->output, o);
    progress_init(&s->progress,
                  o->verbosity >= 0 && !(output_prints(&s->output) && isatty(STDOUT_FILENO)));
}

int stream_open(struct stream *s, const struct options *o)
{
    *s = (struct stream){ .o = o, .batch = is_batch(o) };
    int code = check_options(o);
    if (code != EXIT_OK)
        return code;
    code = open_source(s);
    int r = code == EXIT_OK ? client_open((enum pattern)o->command->id, transport_of(o), &s->client)
                            : 0;
    if (code != EXIT_OK || r < 0) {
        source_fini(&s->source);
        if (r < 0)
            say("cannot open a socket: %s", client_strerror(r));
        return r < 0 ? EXIT_INTERNAL : code;
    }
    output_init(&s->output, o);
    code = set_up_socket(s);
    if (code == EXIT_OK)
        code = add_addresses(s, &o->bind, true);
    if (code == EXIT_OK)
        code = add_addresses(s, &o->connect, false);
    if (code == EXIT_OK)
        code = start(s);
    bool prints = client_receives(&s->client) && output_prints(&s->output);
    progress_init(&s->progress, o->verbosity >= 0 && !(prints && isatty(STDOUT_FILENO)));
    if (code != EXIT_OK) {
        client_close(&s->client);
        source_fini(&s->source);
    }
    return code;
}

/* A signal is how a stream without an end of its own ends; one that has an end was cut short. */
static int exit_code_of_signal(const struct stream *s)
{
    const struct options *o = s->o;
    bool endless = o->count == 0 &&
                   (!stream_has_source(o) || s->source.times_left == UINT64_MAX ||
                    s->client.pattern == SOCKET_REP || s->client.pattern == SOCKET_RESPONDENT ||
                    s->client.pattern == SOCKET_PAIR || s->client.pattern == SOCKET_BUS);
    return endless ? EXIT_OK : 128 + signals_got();
}

static int exit_code_of_end(const struct stream *s)
{
    switch (s->end) {
    case END_TIMEOUT:
        return EXIT_TIMEOUT;
    case END_SIGNAL:
        return exit_code_of_signal(s);
    case END_FAILED:
        return s->exit_code;
    default:
        return EXIT_OK;
    }
}

static int print_json_summary(struct stream *s, int code)
{
    static const char *const ends[] = {
        [END_NOT_YET] = "done",    [END_DONE] = "done",     [END_COUNT] = "count",
        [END_TIMEOUT] = "timeout", [END_SIGNAL] = "signal", [END_CLOSED] = "closed",
        [END_FAILED] = "failed",
    };
    const struct tally *t = &s->tally;
    double seconds = (double)mono_since(pen_now(), s->progress.start).ns / NS_PER_S;
    int r = output_json(&s->output,
                        json_pack("{s:{s:s, s:I, s:I, s:I, s:I, s:f, s:i}}", "summary", "end",
                                  ends[s->end], "sent", (json_int_t)t->sent, "sent_bytes",
                                  (json_int_t)t->sent_bytes, "received", (json_int_t)t->received,
                                  "received_bytes", (json_int_t)t->received_bytes, "seconds",
                                  seconds, "exit", code));
    return r;
}

int stream_close(struct stream *s)
{
    bool was_long = mono_since(pen_now(), s->progress.start).ns > NS_PER_S;
    bool summary = s->o->verbosity > 0 || (s->progress.shown && was_long);
    int code = exit_code_of_end(s);
    int r = 0;
    progress_end(&s->progress);
    client_close(&s->client);
    if (s->end != END_CLOSED) {
        if (s->output.json)
            r = print_json_summary(s, code);
        if (r == 0)
            r = output_flush(&s->output);
    }
    if (summary) {
        char text[PROGRESS_TEXT_BYTES];
        say("%s", progress_summary(&s->progress, &s->tally, text));
    }
    if (r < 0 && r != -EPIPE && r != -EINTR && code == EXIT_OK) {
        say("cannot write: %s", pen_strerror(r));
        code = EXIT_OUTPUT;
    }
    source_fini(&s->source);
    frames_fini(&s->frames);
    output_fini(&s->output);
    return code;
}
