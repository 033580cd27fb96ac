/* SPDX-License-Identifier: Apache-2.0
 *
 * A subscriber that gets every result once, in order, or is told which are gone: what penstock-protocol(7) calls a
 * reliable subscriber. Pure: messages and the time go in, and come from a sub and a req socket that are the caller's; results,
 * gaps and requests come out.
 *
 * It knows the stream and the next sequence that it wants, and moves on only by handing over that result or by telling that it
 * is gone.
 *
 *   - A published result that is next is handed over. One that was is dropped. One that is still to come is held, and the log is
 *     asked for those before it.
 *   - What the log answers is handed over as if it had been published; what it no longer holds is gone.
 *   - Only the log says which stream there is. When that has changed, the publisher was started again: nobody knows how far
 *     the old stream went, and the new one is taken from 1 on.
 *   - One request is under way at a time. It is asked again when no answer has come in RELIABLE_RETRY_S.
 *   - The last results of all could be lost without a later one to show it. So after silence the log is asked, first after
 *     RELIABLE_SILENCE_S, then at intervals that double up to RELIABLE_SILENCE_MAX_S.
 *
 * What is held is bounded by RELIABLE_HELD_MAX messages and RELIABLE_HELD_BYTES; what is beyond that is dropped and asked for.
 */
#ifndef PROTO_RELIABLE_H
#define PROTO_RELIABLE_H

#include "base/slice.h"
#include "base/units.h"
#include "proto/published.h"
#include "proto/replay.h"

enum {
    RELIABLE_RETRY_S = 1,
    RELIABLE_SILENCE_S = 1,
    RELIABLE_SILENCE_MAX_S = 30,
    RELIABLE_HELD_MAX = 256, /* a power of two */
    RELIABLE_HELD_BYTES = 4 * 1024 * 1024,
    RELIABLE_ANSWER_BYTES = 256 * 1024, /* asked for in one request */
};

/* Results that cannot be had any more. */
struct reliable_gone {
    uint64_t stream, first, last;
    bool ended; /* the stream has; whether first was ever there is not known, nor the last one */
};

/* From within the calls below. */
struct reliable_events {
    void (*on_result)(uint64_t stream, const struct published_result *result, void *arg);
    void (*on_gone)(const struct reliable_gone *gone, void *arg);
    /* Send this to the log, as an SP request of its own. Only the answer to the last one may be given to reliable_take(): an earlier
     * one may come from a publisher that was there before. */
    void (*on_ask)(const struct replay_request *request, void *arg);
};

struct reliable_options {
    const struct reliable_events *events;
    void *arg;
    uint64_t stream,
        from; /* where to begin; stream 0: of whichever is there; from 0: with what is published next */
    const struct batch_text *prefixes; /* topics, borrowed as long as it lives: others are passed over */
    size_t prefixes_count;             /* at most LIMIT_TOPICS_PER_ENDPOINT; 0: all */
};

struct reliable_stats {
    uint64_t results;    /* handed over */
    uint64_t replayed;   /* of those, from the log */
    uint64_t duplicates; /* dropped */
    uint64_t gone, requests;
};

struct reliable {
    struct reliable_options options;
    struct replay_request request; /* the next or the last */
    uint64_t stream, next;         /* 0: not known yet */
    bool asked;
    mono_t due; /* of the answer, or of a question after silence */
    span_t silence;
    struct reliable_held {
        struct slice message;
        uint64_t from, until;
    } held[RELIABLE_HELD_MAX]; /* a ring: in order, without overlap, of held_stream */
    uint32_t held_first, held_count;
    size_t held_bytes;
    uint64_t held_stream;
    struct reliable_stats stats;
};

/* The log is asked at once. */
void reliable_init(struct reliable *r, const struct reliable_options *options, mono_t now);
void reliable_fini(struct reliable *r);

/* A message has come over either socket; it is borrowed, and kept by reference where it must be. why tells more of an error, cut
 * at size. PEN_EPROTO: it cannot be read, and was passed over; PEN_EINVAL: the log refuses what it was asked; PEN_ENOMEM. It can
 * be used after each of them. */
int reliable_take(struct reliable *r, const struct slice *message, mono_t now, char *why,
                  size_t size) MUST_CHECK;

/* When reliable_on_time() has something to do. */
mono_t reliable_due(const struct reliable *r);
void reliable_on_time(struct reliable *r, mono_t now);

#endif
