/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here is coloured and nothing moves but the figures, so NO_COLOR asks for nothing more; a
 * terminal that cannot go back to the start of its line (TERM=dumb) gets no progress.
 */
#include "cli/progress.h"

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

void progress_tick(struct progress *p, const struct tally *t, unsigned peers)
{
    if (!p->shown)
        return;
    mono_t now = pen_now();
    if (mono_before(now, p->next))
        return;
    uint64_t messages = t->sent + t->received;
    char rate[HUMAN_BYTES], sent[HUMAN_BYTES], received[HUMAN_BYTES];
    (void)human_number(per_second(messages - p->last_messages, mono_since(now, p->last)), rate);
    (void)human_number((double)t->sent, sent);
    (void)human_number((double)t->received, received);
    (void)fprintf(stderr, "\r\033[K%s sent, %s received, %s/s, %u peer%s%s", sent, received, rate,
                  peers, peers == 1 ? "" : "s", peers == 0 ? ": waiting" : "");
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
    char sent[HUMAN_BYTES], received[HUMAN_BYTES], time[HUMAN_BYTES], rate[HUMAN_BYTES];
    (void)snprintf(text, PROGRESS_TEXT_BYTES, "%llu sent (%s), %llu received (%s) in %s, %s/s",
                   (unsigned long long)t->sent, human_bytes(t->sent_bytes, sent),
                   (unsigned long long)t->received, human_bytes(t->received_bytes, received),
                   human_seconds((double)took.ns / NS_PER_S, time),
                   human_number(per_second(t->sent + t->received, took), rate));
    return text;
}
