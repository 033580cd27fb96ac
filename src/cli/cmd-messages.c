/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands that are named after patterns. Five ways to use a socket cover the ten of them:
 *
 *   send      push, pub
 *   receive   pull, sub, and all below when they have nothing to send
 *   ask       req, surveyor: send, print what is answered, send the next
 *   answer    rep, respondent: print, answer
 *   talk      pair, bus: send and receive at the same time
 */
#include <penstock/time.h>

#include "cli/stream.h"
#include "cli/subscribe.h"
#include "obs/log.h"

/* When the next message may be sent, after one was sent at `start`. */
static bool keep_interval(struct stream *s, mono_t start)
{
    return s->o->interval.ns <= 0 || stream_pause(s, mono_after(start, s->o->interval));
}

static bool counted_out(struct stream *s, uint64_t n)
{
    return s->o->count > 0 && n >= s->o->count && !stream_end(s, END_COUNT);
}

static void send_all(struct stream *s)
{
    const void *data;
    size_t bytes;
    mono_t start = PEN_NOW;
    while (stream_next(s, &data, &bytes)) {
        if (s->tally.sent > 0 && !keep_interval(s, start))
            return;
        if (s->o->interval.ns > 0)
            start = pen_now();
        if (!stream_send(s, data, bytes) || counted_out(s, s->tally.sent))
            return;
    }
}

static void receive_all(struct stream *s)
{
    while (s->end == END_NOT_YET) {
        int r = stream_try_recv(s);
        if (r == PEN_EEMPTY)
            r = stream_recv(s, stream_deadline(s->o->recv_timeout));
        if (r < 0 || counted_out(s, s->tally.received))
            return;
    }
}

/* One request's answer, or all that come to a survey. */
static void take_answers(struct stream *s)
{
    bool survey = s->client.pattern == SOCKET_SURVEYOR;
    mono_t deadline = survey ? PEN_NEVER : stream_deadline(s->o->recv_timeout);
    do {
        int r = stream_recv(s, deadline);
        if (r < 0 || counted_out(s, s->tally.received))
            return;
    } while (survey);
}

static void ask_all(struct stream *s)
{
    const void *data;
    size_t bytes;
    mono_t start = PEN_NOW;
    while (stream_next(s, &data, &bytes)) {
        if (s->tally.sent > 0 && !keep_interval(s, start))
            return;
        start = pen_now();
        if (!stream_send(s, data, bytes))
            return;
        take_answers(s);
        if (s->end != END_NOT_YET)
            return;
    }
    if (s->end == END_DONE && s->tally.sent > 0 && s->tally.received == 0) {
        if (s->o->verbosity >= 0)
            say("nobody answered");
        s->end = END_TIMEOUT;
    }
}

static void answer_all(struct stream *s)
{
    const void *data;
    size_t bytes;
    if (!stream_next(s, &data, &bytes))
        return;
    while (s->end == END_NOT_YET) {
        if (stream_recv(s, stream_deadline(s->o->recv_timeout)) < 0)
            return;
        if (!stream_send(s, data, bytes) || counted_out(s, s->tally.received))
            return;
    }
}

/* What talk() is about to send. */
struct outgoing {
    const void *data; /* NULL: none in hand */
    size_t bytes;
    bool ended;     /* there will be no more */
    mono_t at;      /* not before that */
    mono_t give_up; /* --send-timeout, once there was no room; PEN_NEVER */
};

/* Takes the next message in hand, without waiting. False when input must be waited for. */
static bool take_in_hand(struct stream *s, struct outgoing *out)
{
    if (out->data != NULL || out->ended)
        return true;
    int r = source_next(&s->source, &out->data, &out->bytes);
    if (r == PEN_EEMPTY)
        return false;
    out->ended = r == 0;
    out->give_up = PEN_NEVER;
    return true;
}

/* Sends what is in hand if it is time and there is room. Returns what must be waited for. */
static unsigned talk_send(struct stream *s, struct outgoing *out)
{
    if (!take_in_hand(s, out))
        return WAIT_INPUT;
    mono_t now = pen_now();
    if (out->data == NULL || mono_before(now, out->at))
        return 0;
    int r = stream_try_send(s, out->data, out->bytes);
    if (r == 0) {
        out->data = NULL;
        out->at = s->o->interval.ns > 0 ? mono_after(now, s->o->interval) : PEN_NOW;
    } else if (r == PEN_EFULL) {
        if (out->give_up.ns == PEN_NEVER.ns)
            out->give_up = stream_deadline(s->o->send_timeout);
        return WAIT_SEND;
    }
    return 0;
}

/* When talk() must do something though nothing happened. *silence is when nothing received for so long
 * ends the stream, which counts from the last thing sent. */
static mono_t talk_deadline(const struct outgoing *out, unsigned wants, mono_t silence)
{
    if ((wants & WAIT_INPUT) != 0)
        return PEN_NEVER;
    if ((wants & WAIT_SEND) != 0)
        return out->give_up;
    return out->ended ? silence : out->at;
}

/* Waits; true when it was for the deadline and that ends the stream. */
static bool talk_wait(struct stream *s, const struct outgoing *out, unsigned wants, mono_t silence)
{
    unsigned ready;
    if (!stream_wait(s, wants | WAIT_RECV, talk_deadline(out, wants, silence), &ready))
        return true;
    if ((ready & WAIT_INPUT) != 0) {
        int r = source_fill(&s->source);
        if (r < 0)
            return !stream_fail(s, EXIT_INPUT, "cannot read the input", r);
    }
    if (ready != 0 || (!out->ended && (wants & WAIT_SEND) == 0))
        return false;
    return !stream_end(s, END_TIMEOUT);
}

/* The last message counted has come. One that is due but found no room yet is still sent: what it
 * answers may have been quicker than the connection's other direction. */
static void talk_last(struct stream *s, const struct outgoing *out)
{
    bool due = out->data != NULL && !mono_before(pen_now(), out->at);
    if (!due || stream_send(s, out->data, out->bytes))
        (void)stream_end(s, END_COUNT);
}

static void talk(struct stream *s)
{
    struct outgoing out = { .at = PEN_NOW, .give_up = PEN_NEVER };
    mono_t silence = stream_deadline(s->o->recv_timeout);
    while (s->end == END_NOT_YET) {
        uint64_t moved = s->tally.sent + s->tally.received;
        unsigned wants = talk_send(s, &out);
        if (s->end != END_NOT_YET)
            return;
        int r = stream_try_recv(s);
        if (r == 0 && s->o->count > 0 && s->tally.received >= s->o->count) {
            talk_last(s, &out);
            return;
        }
        if (r < 0 && r != PEN_EEMPTY)
            return;
        if (s->tally.sent + s->tally.received != moved)
            silence = stream_deadline(s->o->recv_timeout);
        else if (talk_wait(s, &out, wants, silence))
            return;
    }
}

/* Those who send to whoever is there need a moment for peers to be there. */
static bool delay(struct stream *s)
{
    span_t delay = s->o->delay;
    enum pattern pattern = s->client.pattern;
    bool broadcasts = pattern == SOCKET_PUB || pattern == SOCKET_BUS || pattern == SOCKET_SURVEYOR;
    if (delay.ns < 0 && broadcasts && stream_has_source(s->o))
        delay = span_ms(200);
    return delay.ns <= 0 || stream_pause(s, stream_deadline(delay));
}

static void run(struct stream *s)
{
    static void (*const ways[])(struct stream *) = {
        [SOCKET_PUSH] = send_all,   [SOCKET_PUB] = send_all,          [SOCKET_PULL] = receive_all,
        [SOCKET_SUB] = receive_all, [SOCKET_REQ] = ask_all,           [SOCKET_SURVEYOR] = ask_all,
        [SOCKET_REP] = answer_all,  [SOCKET_RESPONDENT] = answer_all, [SOCKET_PAIR] = talk,
        [SOCKET_BUS] = talk,
    };
    if (!delay(s))
        return;
    if (stream_has_source(s->o))
        ways[s->client.pattern](s);
    else
        receive_all(s);
    stream_linger(s);
}

/* Of the native transport: messages that nobody took, strangers. */
static enum log_level log_level_of(const struct options *o)
{
    if (o->verbosity < 0)
        return LOG_LEVEL_ERROR;
    return o->verbosity > 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING;
}

int cmd_messages(const struct options *o)
{
    if (o->reliable)
        return subscribe_reliably(o);
    log_init(log_level_of(o), LOG_FORMAT_PLAIN);
    struct stream s;
    int code = stream_open(&s, o);
    if (code != EXIT_OK)
        return code;
    run(&s);
    return stream_close(&s);
}
