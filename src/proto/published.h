/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbered results, as a publisher with a log sends them and as its log answers, in either framing (penstock-protocol(7),
 * "Replay"). Pure; any thread.
 *
 *   batch   a frame of results that gives stream and sequence; an answer gives until, oldest and next as well
 *   json    {"topic":"squares","id":17,"body":"0","stream":"1122334455667788","seq":100}
 *           {"ok":true,"stream":"1122334455667788","from":100,"until":101,"oldest":1,"next":101,"results":[...]}
 */
#ifndef PROTO_PUBLISHED_H
#define PROTO_PUBLISHED_H

#include "base/limits.h"
#include "base/slice.h"
#include "proto/batch.h"

struct published_result {
    uint64_t sequence, id;
    struct batch_text topic;
    const uint8_t *body;
    size_t body_bytes;
};

struct published_reader {
    uint64_t stream;
    uint64_t from,
        until; /* it tells of all results in [from, until): those it does not hold were not asked for */
    bool is_answer;                   /* of a log, */
    uint64_t oldest, next;            /* which holds [oldest, next) */
    struct published_result now;      /* borrowed, until the next call */
    char why[LIMIT_ERROR_TEXT_BYTES]; /* of a failure of published_init() */
    /* Set when published_next() has ended before the end: a number was out of order, or there was no memory. */
    bool failed;
    /* its own */
    uint64_t least; /* that the next sequence may be */
    struct batch_reader batch;
    void *object, *list; /* JSON */
    size_t index;
    struct slice body;
};

/* Look at a message, which must stay until published_fini(), called on success only. PEN_EPROTO: it is not as it should be, or
 * its results have no numbers; PEN_EINVAL: it is the refusal of a request; PEN_ENOMEM. `why` tells more. Numbers are in order:
 * from <= until, and of an answer oldest <= next and until <= next. */
int published_init(struct published_reader *reader, const void *data, size_t bytes) MUST_CHECK;

/* The next result to reader->now; false: there are no more. Their sequences ascend and are in [from, until). */
bool published_next(struct published_reader *reader);

void published_fini(struct published_reader *reader);

#endif
