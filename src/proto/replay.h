/* SPDX-License-Identifier: Apache-2.0
 *
 * A request to the log of a publisher, and what refuses it. The answer with results is proto/published.h's. Pure; any
 * thread.
 *
 *   batch   a frame of the kind replay: its attributes stream, sequence, count and bytes; each record's topic is a prefix
 *   json    {"op":"replay","stream":"1122334455667788","from":100,"count":1000,"bytes":65536,"topics":["squares"]}
 */
#ifndef PROTO_REPLAY_H
#define PROTO_REPLAY_H

#include "base/limits.h"
#include "base/slice.h"
#include "proto/batch.h"

struct replay_request {
    bool is_json;
    uint32_t tag;       /* batch */
    uint64_t stream;    /* 0: whichever is there */
    uint64_t from;      /* the first result that is wanted; 0: none, only how far the stream is */
    uint32_t count_max; /* results; 0: as many as one answer holds */
    uint32_t bytes_max; /* of the answer; 0: the log's own bound. One result comes whatever its size */
    /* Topics that begin with one of them; none: all. */
    struct batch_text prefixes[LIMIT_TOPICS_PER_ENDPOINT];
    size_t prefixes_count;
    void *object; /* its own: what JSON's texts are borrowed from */
};

/* As a batch frame. PEN_EFULL: size does not do; REPLAY_REQUEST_BYTES does without prefixes. */
enum { REPLAY_REQUEST_BYTES = 64 };
int replay_request_encode(const struct replay_request *request, void *to, size_t size,
                          size_t *ret_bytes) MUST_CHECK;

/* Of either framing; the message must stay until replay_request_fini(), called on success only. PEN_EPROTO, PEN_ETOOBIG (too
 * many prefixes, or one too long), with the reason in text, cut at size; PEN_ENOMEM. On failure *ret_request holds the tag as far
 * as it could be read. */
int replay_request_decode(const void *data, size_t bytes, struct replay_request *ret_request,
                          char *text, size_t size) MUST_CHECK;
void replay_request_fini(struct replay_request *request);

/* Whether results of this topic are wanted. */
bool replay_wants(const struct replay_request *request, struct batch_text topic);

#endif
