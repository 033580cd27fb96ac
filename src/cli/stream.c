/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything waits in one poll(2), stream_wait(), for the socket, the input, a signal, a reader of
 * stdout who goes away, and a deadline. Sending and receiving are tried first and waited for when they
 * cannot be done, so that a fast stream makes no system call but libnanomsg's own. Received messages
 * are gathered and written when the stream waits or 64 KiB are there.
 */
#include "cli/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <penstock/time.h>

#include "base/str.h"
#include "cli/signals.h"

enum {
    PROGRESS_EVERY_TURNS = 256,
    LINGER_MS = 100,
    LINGER_LOOK_S = 1, /* how often the wait for the system to take the last message looks for peers */
};

bool stream_end(struct stream *s, enum stream_end end)
{
    if (s->end == END_NOT_YET)
        s->end = end;
    return false;
}

bool stream_fail(struct stream *s, enum exit_code code, const char *what, int error)
{
    if (s->end != END_NOT_YET)
        return false;
    progress_end(&s->progress);
    say("%s: %s", what, client_strerror(error));
    s->exit_code = code;
    return stream_end(s, END_FAILED);
}

mono_t stream_deadline(span_t span)
{
    return span.ns < 0 ? PEN_NEVER : mono_after(pen_now(), span);
}

bool stream_has_source(const struct options *o)
{
    enum pattern pattern = (enum pattern)o->command->id;
    if (pattern == SOCKET_PULL || pattern == SOCKET_SUB)
        return false;
    bool reads_stdin = pattern == SOCKET_PUSH || pattern == SOCKET_PUB || pattern == SOCKET_REQ ||
                       pattern == SOCKET_SURVEYOR;
    return o->data != NULL || o->file != NULL || (o->lines && reads_stdin);
}

bool stream_output_failed(struct stream *s, int error)
{
    if (error == -EINTR)
        return stream_end(s, END_SIGNAL);
    if (error == -EPIPE)
        return stream_end(s, END_CLOSED);
    return stream_fail(s, error == PEN_ENOMEM ? EXIT_INTERNAL : EXIT_OUTPUT, "cannot write", error);
}

/* One poll. The bits of `wants` that are ready; what ends the stream has ended it. */
static unsigned poll_once(struct stream *s, unsigned wants, mono_t deadline)
{
    enum { ON_SIGNAL, ON_STDOUT, ON_INPUT, FDS };
    struct pollfd fds[FDS] = {
        [ON_SIGNAL] = { .fd = signals_fd(), .events = POLLIN },
        [ON_STDOUT] = { .fd = output_prints(&s->output) ? s->output.fd : -1 },
        [ON_INPUT] = { .fd = wants & WAIT_INPUT ? s->source.fd : -1, .events = POLLIN },
    };
    mono_t due = progress_due(&s->progress);
    struct client_poll poll = { .recv = (wants & WAIT_RECV) != 0,
                                .send = (wants & WAIT_SEND) != 0,
                                .fds = fds,
                                .n = FDS,
                                .until = mono_before(due, deadline) ? due : deadline };
    int r = client_poll(&s->client, &poll);
    if (r < 0)
        (void)stream_fail(s, EXIT_INTERNAL, "cannot poll", r);
    if (signals_got() != 0)
        (void)stream_end(s, END_SIGNAL);
    if ((fds[ON_STDOUT].revents & POLLERR) != 0)
        (void)stream_end(s, END_CLOSED);
    return (poll.recv ? WAIT_RECV : 0) | (poll.send ? WAIT_SEND : 0) |
           (fds[ON_INPUT].revents != 0 ? WAIT_INPUT : 0);
}

static void show_progress(struct stream *s)
{
    if (s->progress.shown)
        progress_tick(&s->progress, &s->tally, client_peers(&s->client));
    s->turns = 0;
}

bool stream_wait(struct stream *s, unsigned wants, mono_t deadline, unsigned *ret_ready)
{
    int r = output_flush(&s->output);
    if (r < 0)
        return stream_output_failed(s, r);
    for (;;) {
        unsigned ready = poll_once(s, wants, deadline);
        if (s->end != END_NOT_YET)
            return false;
        show_progress(s);
        if (ready != 0 || !mono_before(pen_now(), deadline)) {
            *ret_ready = ready;
            return true;
        }
    }
}

bool stream_pause(struct stream *s, mono_t until)
{
    unsigned ready;
    return stream_wait(s, 0, until, &ready);
}

/* After each message: a busy stream never waits, and still must see signals and show progress. */
static bool took_a_turn(struct stream *s)
{
    if (signals_got() != 0)
        return stream_end(s, END_SIGNAL);
    if (++s->turns >= PROGRESS_EVERY_TURNS)
        show_progress(s);
    return true;
}

/* The next message that is to be sent. */
static bool next_message(struct stream *s, const void **ret_data, size_t *ret_bytes)
{
    unsigned ready;
    for (;;) {
        int r = source_next(&s->source, ret_data, ret_bytes);
        if (r == 1)
            return true;
        if (r == 0)
            return stream_end(s, END_DONE);
        if (!stream_wait(s, WAIT_INPUT, PEN_NEVER, &ready))
            return false;
        r = source_fill(&s->source);
        if (r < 0 && r != -EINTR)
            return stream_fail(s, EXIT_INPUT, "cannot read the input", r);
    }
}

/* How many messages may go into the next frame. */
static uint64_t frame_limit(const struct stream *s)
{
    const struct options *o = s->o;
    uint64_t limit = o->batch > 0 ? o->batch : FRAMES_BATCH_DEFAULT;
    if (o->interval.ns > 0)
        return 1;
    if (o->count > 0 && s->client.pattern != SOCKET_REQ && o->count - s->tally.sent < limit)
        return o->count - s->tally.sent;
    return limit;
}

/* A frame of what is there: the input is waited for once. */
static bool next_frame(struct stream *s, const void **ret_data, size_t *ret_bytes)
{
    const void *data;
    size_t bytes;
    if (!next_message(s, &data, &bytes))
        return false;
    uint64_t limit = frame_limit(s);
    int more = 1, r = frames_begin(&s->frames);
    while (r == 0 && more == 1) {
        r = frames_add(&s->frames, data, bytes);
        more = r == 0 && s->frames.writer.count < limit ? source_next(&s->source, &data, &bytes) : 0;
    }
    if (r < 0)
        return stream_fail(s, EXIT_INTERNAL, "cannot make a frame", r);
    *ret_data = s->frames.to;
    *ret_bytes = s->frames.writer.used;
    return true;
}

bool stream_next(struct stream *s, const void **ret_data, size_t *ret_bytes)
{
    return s->batch ? next_frame(s, ret_data, ret_bytes) : next_message(s, ret_data, ret_bytes);
}

int stream_try_send(struct stream *s, const void *data, size_t bytes)
{
    int r = client_send(&s->client, data, bytes);
    if (r == 0) {
        s->tally.sent += s->batch ? s->frames.writer.count : 1;
        s->tally.sent_bytes += s->batch ? s->frames.payload_bytes : bytes;
        (void)took_a_turn(s);
    } else if (r != PEN_EFULL) {
        (void)stream_fail(s, EXIT_INTERNAL, "cannot send", r);
    }
    return r;
}

bool stream_timed_out(struct stream *s, const char *what)
{
    progress_end(&s->progress);
    if (s->o->verbosity >= 0)
        say("%s", what);
    return stream_end(s, END_TIMEOUT);
}

bool stream_send(struct stream *s, const void *data, size_t bytes)
{
    int r = stream_try_send(s, data, bytes);
    mono_t deadline = r == PEN_EFULL ? stream_deadline(s->o->send_timeout) : PEN_NOW;
    while (r == PEN_EFULL) {
        unsigned ready;
        if (!stream_wait(s, WAIT_SEND, deadline, &ready))
            return false;
        if (ready == 0)
            return stream_timed_out(s, client_peers(&s->client) == 0
                                           ? "nobody was there to send to within --send-timeout"
                                           : "no peer had room within --send-timeout");
        r = stream_try_send(s, data, bytes);
    }
    return s->end == END_NOT_YET;
}

static int print_message(struct stream *s, const void *data, size_t bytes)
{
    s->tally.received++;
    s->tally.received_bytes += bytes;
    return output_message(&s->output, data, bytes);
}

/* Each record, as far as --count goes. A message that is no frame is told and passed over. */
static int print_frame(struct stream *s, const void *data, size_t bytes)
{
    struct batch_reader reader;
    int r = 0;
    if (batch_reader_init(&reader, data, bytes) < 0) {
        progress_end(&s->progress);
        say("a message of %zu bytes cannot be read: %s", bytes, reader.why);
        return 0;
    }
    while (r == 0 && (s->o->count == 0 || s->tally.received < s->o->count) &&
           batch_reader_next(&reader)) {
        if (!frames_wants(&reader.record, &s->o->subscribe))
            continue;
        s->tally.received++;
        s->tally.received_bytes += reader.record.body_bytes;
        r = frames_print(&reader, &s->output);
    }
    return r;
}

int stream_try_recv(struct stream *s)
{
    struct client_message m;
    int r = client_recv(&s->client, &m);
    if (r == PEN_EEMPTY || r == PEN_ETIMEOUT)
        return r;
    if (r < 0) {
        (void)stream_fail(s, EXIT_INTERNAL, "cannot receive", r);
        return r;
    }
    r = (s->batch ? print_frame : print_message)(s, m.data, m.bytes);
    client_message_free(&m);
    if (r < 0)
        (void)stream_output_failed(s, r);
    (void)took_a_turn(s);
    return r;
}

int stream_recv(struct stream *s, mono_t deadline)
{
    for (;;) {
        int r = stream_try_recv(s);
        if (r != PEN_EEMPTY)
            return r;
        unsigned ready;
        if (!stream_wait(s, WAIT_RECV, deadline, &ready))
            return PEN_ECANCELED;
        if (ready == 0) {
            (void)stream_timed_out(s, "no message came within --recv-timeout");
            return PEN_ECANCELED;
        }
    }
}

/* With one puller over tcp a writable socket proves that the system has everything, and tcp delivers
 * what the system has. With more the socket tells of one of them only; where peers send too, closing
 * with something unread resets the connection; and over ipc libnanomsg drops what it has not read when
 * its peer closes. */
static bool delivery_is_certain(const struct stream *s, unsigned peers)
{
    const struct option_list *lists[] = { &s->o->bind, &s->o->connect };
    char url[OPTIONS_URL_BYTES];
    if (peers != 1 || s->client.pattern != SOCKET_PUSH)
        return false;
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (!str_starts(option_list_text(lists[l], i, url), "tcp://"))
                return false;
    return true;
}

/* Until the system has taken the last message, there is no peer any more, or --send-timeout. */
static bool wait_until_taken(struct stream *s)
{
    mono_t deadline = stream_deadline(s->o->send_timeout);
    unsigned ready = 0;
    while (ready == 0 && client_peers(&s->client) > 0 && mono_before(pen_now(), deadline)) {
        mono_t look = stream_deadline(span_s(LINGER_LOOK_S));
        if (!stream_wait(s, WAIT_SEND, mono_before(look, deadline) ? look : deadline, &ready))
            return false;
    }
    return true;
}

void stream_linger(struct stream *s)
{
    enum stream_end end = s->end;
    if (s->tally.sent == 0 || (end != END_DONE && end != END_COUNT && end != END_TIMEOUT))
        return;
    s->end = END_NOT_YET;
    if (client_finish(&s->client)) {
        unsigned ready;
        (void)stream_wait(s, WAIT_SEND, PEN_NEVER, &ready);
        s->end = end;
        return;
    }
    bool has_room_event = s->client.pattern == SOCKET_PUSH || s->client.pattern == SOCKET_PAIR;
    if (!has_room_event || wait_until_taken(s)) {
        unsigned peers = client_peers(&s->client);
        if (peers > 0 && !delivery_is_certain(s, peers))
            (void)stream_pause(s, stream_deadline(s->o->linger.ns >= 0 ? s->o->linger
                                                                       : span_ms(LINGER_MS)));
    }
    s->end = end;
}
