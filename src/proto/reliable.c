/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/reliable.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* ---- what is held ---- */

static struct reliable_held *held_at(struct reliable *r, uint32_t i)
{
    return &r->held[(r->held_first + i) & (RELIABLE_HELD_MAX - 1)];
}

static void held_drop_first(struct reliable *r)
{
    struct reliable_held *h = held_at(r, 0);
    r->held_bytes -= h->message.bytes;
    slice_release(&h->message);
    r->held_first++;
    r->held_count--;
}

static void held_clear(struct reliable *r)
{
    while (r->held_count > 0)
        held_drop_first(r);
}

/* Keep a message for later, if it is of use and there is room. */
static void hold(struct reliable *r, const struct published_reader *p, const struct slice *message)
{
    if (p->stream != r->held_stream)
        held_clear(r);
    r->held_stream = p->stream;
    uint64_t least = r->held_count > 0 ? held_at(r, r->held_count - 1)->until : 0;
    if (p->from < least || r->held_count == RELIABLE_HELD_MAX ||
        r->held_bytes + message->bytes > RELIABLE_HELD_BYTES)
        return;
    r->held_bytes += message->bytes;
    *held_at(r, r->held_count++) = (struct reliable_held){ slice_ref(*message), p->from, p->until };
}

/* The first sequence that is held of the present stream; UINT64_MAX: none is. */
static uint64_t held_from(struct reliable *r)
{
    return r->held_count > 0 && r->held_stream == r->stream ? held_at(r, 0)->from : UINT64_MAX;
}

/* ---- questions ---- */

static void ask(struct reliable *r, mono_t now)
{
    uint64_t before = held_from(r) - r->next;
    r->request.tag++;
    r->request.stream = r->stream;
    r->request.from = r->next;
    r->request.count_max = before < UINT32_MAX ? (uint32_t)before : 0;
    r->asked = true;
    r->due = mono_after(now, span_s(RELIABLE_RETRY_S));
    r->stats.requests++;
    r->options.events->on_ask(&r->request, r->options.arg);
}

/* Something new has come. */
static void heard(struct reliable *r, mono_t now)
{
    r->silence = span_s(RELIABLE_SILENCE_S);
    if (!r->asked)
        r->due = mono_after(now, r->silence);
}

mono_t reliable_due(const struct reliable *r)
{
    return r->due;
}

void reliable_on_time(struct reliable *r, mono_t now)
{
    if (!mono_before(now, r->due))
        ask(r, now);
}

/* ---- handing over ---- */

/* What is next, out of a message that holds it. False: not all of it could be read. */
static bool hand_over(struct reliable *r, struct published_reader *p)
{
    while (published_next(p)) {
        if (p->now.sequence < r->next)
            continue;
        r->next = p->now.sequence + 1;
        if (!replay_wants(&r->request, p->now.topic))
            continue;
        r->stats.results++;
        r->stats.replayed += p->is_answer;
        r->options.events->on_result(r->stream, &p->now, r->options.arg);
    }
    if (!p->failed && r->next < p->until)
        r->next = p->until;
    return !p->failed;
}

/* Those of what is held whose turn it is. */
static void hand_over_held(struct reliable *r)
{
    bool whole = true;
    while (whole && held_from(r) <= r->next) {
        const struct reliable_held *h = held_at(r, 0);
        struct published_reader p;
        if (h->until > r->next) {
            whole = published_init(&p, h->message.at, h->message.bytes) == 0;
            if (whole) {
                whole = hand_over(r, &p);
                published_fini(&p);
            }
        }
        held_drop_first(r); /* What could not be read for want of memory is asked for. */
    }
}

static void tell_gone(struct reliable *r, uint64_t until)
{
    struct reliable_gone gone = { .stream = r->stream, .first = r->next, .last = until - 1 };
    r->stats.gone += until - r->next;
    r->next = until;
    r->options.events->on_gone(&gone, r->options.arg);
}

/* ---- what comes ---- */

static void on_published(struct reliable *r, struct published_reader *p,
                         const struct slice *message, mono_t now)
{
    if (p->stream != r->stream || p->from > r->next) {
        bool known = p->stream == r->held_stream && p->stream != r->stream;
        hold(r, p, message);
        if (!r->asked &&
            !known) /* Each message of a stream that is not the log's is no question of its own. */
            ask(r, now);
        return;
    }
    if (p->until <= r->next) {
        r->stats.duplicates += p->until - p->from;
        return;
    }
    bool whole = hand_over(r, p);
    hand_over_held(r);
    heard(r, now);
    if (!r->asked && (!whole || held_from(r) != UINT64_MAX))
        ask(r, now);
}

/* The log has another stream than ours, or the first one that we hear of. */
static void begin_stream(struct reliable *r, const struct published_reader *p)
{
    if (r->stream != 0) {
        struct reliable_gone gone = { .stream = r->stream, .first = r->next, .ended = true };
        r->options.events->on_gone(&gone, r->options.arg);
        r->next = 1;
    } else if (r->next == 0) {
        r->next = p->next;
    }
    r->stream = p->stream;
}

static void on_answer(struct reliable *r, struct published_reader *p, mono_t now)
{
    uint64_t before = r->next;
    r->asked = false;
    if (p->stream != r->stream)
        begin_stream(r, p);
    hand_over_held(r);
    while (p->oldest > r->next) {
        tell_gone(r, p->oldest < held_from(r) ? p->oldest : held_from(r));
        hand_over_held(r);
    }
    bool whole = p->from > r->next || p->until <= r->next || hand_over(r, p);
    hand_over_held(r);
    bool behind = r->next < p->next || held_from(r) != UINT64_MAX;
    if (behind && whole && r->next != before) {
        ask(r, now);
        return;
    }
    if (r->next != before)
        heard(r, now);
    r->due = mono_after(now, behind ? span_s(RELIABLE_RETRY_S) : r->silence);
    if (!behind && r->silence.ns < span_s(RELIABLE_SILENCE_MAX_S).ns)
        r->silence.ns *= 2;
}

int reliable_take(struct reliable *r, const struct slice *message, mono_t now, char *why, size_t size)
{
    struct published_reader p;
    int code = published_init(&p, message->at, message->bytes);
    if (code < 0) {
        (void)snprintf(why, size, "%s", p.why[0] != '\0' ? p.why : pen_strerror(code));
        return code;
    }
    if (p.is_answer)
        on_answer(r, &p, now);
    else
        on_published(r, &p, message, now);
    published_fini(&p);
    return 0;
}

void reliable_init(struct reliable *r, const struct reliable_options *options, mono_t now)
{
    *r = (struct reliable){ .options = *options,
                            .stream = options->stream,
                            .next = options->from,
                            .silence = span_s(RELIABLE_SILENCE_S) };
    check(options->prefixes_count <= LIMIT_TOPICS_PER_ENDPOINT);
    r->request.bytes_max = RELIABLE_ANSWER_BYTES;
    r->request.prefixes_count = options->prefixes_count;
    if (options->prefixes_count > 0)
        memcpy(r->request.prefixes, options->prefixes,
               options->prefixes_count * sizeof *options->prefixes);
    ask(r, now);
}

void reliable_fini(struct reliable *r)
{
    held_clear(r);
}
