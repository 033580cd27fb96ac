/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here is coloured and nothing moves but the figures, so NO_COLOR asks for nothing more; a
 * terminal that cannot go back to the start of its line (TERM=dumb) gets no progress.
 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <penstock/time.h>

#include "base/str.h"
#include "cli/human.h"
#include "plat/env.h"

void progress_init(struct progress *p, bool wanted)
{
    const char *term = env_get("TERM");
    *p = (struct progress){ .start = pen_now() };
    p->last = p->start;
    p->next = mono_after(p->start, span_s(1));
    p->shown = wanted && isatty(STDERR_FILENO) && term != NULL && !str_equal(term, "dumb");
}

mono_t progress_due(const struct progress *p)
{
    return p->shown ? p->next : PEN_NEVER;
}

static double per_second(uint64_t n, span_t span)
{
    return span.ns > 0 ? (double)n * NS_PER_S / (double)span.ns : 0;
}

/* "12 sent", "12 received" or both, with sizes where asked for. A direction in which nothing went is not
 * mentioned unless nothing went at all. */
static int tally_text(const struct tally *t, bool sizes, char *to, size_t size)
{
    char bytes[HUMAN_BYTES], figure[HUMAN_BYTES];
    const struct {
        uint64_t n, bytes;
        const char *word;
    } ways[] = { { t->sent, t->sent_bytes, t->sent_word != NULL ? t->sent_word : "sent" },
                 { t->received, t->received_bytes,
                   t->received_word != NULL ? t->received_word : "received" } };
    bool both = (t->sent > 0) == (t->received > 0);
    int n = 0;
    for (size_t i = 0; i < 2; i++) {
        if (ways[i].n == 0 && !both)
            continue;
        char *at = to + n;
        size_t left = size - (size_t)n;
        const char *comma = n > 0 ? ", " : "";
        if (sizes)
            n += snprintf(at, left, "%s%" PRIu64 " %s (%s)", comma, ways[i].n, ways[i].word,
                          human_bytes(ways[i].bytes, bytes));
        else
            n += snprintf(at, left, "%s%s %s", comma, human_number((double)ways[i].n, figure),
                          ways[i].word);
    }
    return n;
}

void progress_tick(struct progress *p, const struct tally *t, unsigned peers)
{
    if (!p->shown)
        return;
    mono_t now = pen_now();
    if (mono_before(now, p->next))
        return;
    uint64_t messages = t->sent + t->received;
    char rate[HUMAN_BYTES], text[PROGRESS_TEXT_BYTES];
    (void)tally_text(t, false, text, sizeof text);
    (void)human_number(per_second(messages - p->last_messages, mono_since(now, p->last)), rate);
    (void)fprintf(stderr, "\r\033[K%s, %s/s, %u peer%s%s", text, rate, peers, peers == 1 ? "" : "s",
                  peers == 0 ? ": waiting" : "");
    (void)fflush(stderr);
    p->on_line = true;
    p->last = now;
    p->last_messages = messages;
    p->next = mono_after(now, span_s(1));
}

void progress_end(struct progress *p)
{
    if (p->on_line)
        (void)fputs("\r\033[K", stderr);
    p->on_line = false;
}

char *progress_summary(const struct progress *p, const struct tally *t,
                       char text[PROGRESS_TEXT_BYTES])
{
    span_t took = mono_since(pen_now(), p->start);
    char time[HUMAN_BYTES], rate[HUMAN_BYTES];
    int n = tally_text(t, t->sent_word == NULL, text, PROGRESS_TEXT_BYTES);
    (void)snprintf(text + n, PROGRESS_TEXT_BYTES - (size_t)n, " in %s, %s/s",
                   human_seconds((double)took.ns / NS_PER_S, time),
                   human_number(per_second(t->sent + t->received, took), rate));
    return text;
}
