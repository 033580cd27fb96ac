/* SPDX-License-Identifier: Apache-2.0
 *
 * What outside workers, and those who give them work, say to a worker endpoint, and what they are told: one request and
 * one answer each, as a batch frame (proto/batch.h) or as one JSON object, which is the same in words. Pure; any thread.
 *
 *   {"op":"put","queue":"jobs","body":"text"}         or "jobs":[{"body":"one"},{"body":"two"}]: all of them or none
 *   {"op":"reserve","queue":"jobs","count":10,"wait_ms":5000}   or "queues":[{"queue":"jobs","weight":3}, ...]
 *   {"op":"ack","queue":"jobs","id":17,"lease":4}     or "jobs":[{"id":17,"lease":4}, ...]; so nack, touch, progress, bury
 *   {"op":"kick","queue":"jobs","id":17}              or "count":100
 *   {"op":"peek","queue":"jobs","id":17}              or "state":"ready","count":100
 *   {"op":"redrive","queue":"failed","count":100}
 *   {"op":"result","queue":"jobs","id":17,"wait_ms":1000}
 *   {"op":"stats","queue":"jobs"}
 *
 * Members are attributes of batch.def; those of the object hold for each job that does not say otherwise. One that
 * does not belong to the operation is an error, in either framing.
 */
#ifndef PROTO_WORKER_H
#define PROTO_WORKER_H

#include "base/buf.h"
#include "base/slice.h"
#include "proto/batch.h"

enum worker_framing { WORKER_JSON, WORKER_BATCH };

/* What an answer must know of its request. */
struct worker_form {
    enum worker_framing framing;
    uint32_t tag; /* of a batch frame */
    bool is_list; /* JSON: the answer is a list as well */
};

/* ---- requests ---- */

struct worker_item {
    struct batch_record record;
    struct slice body; /* of JSON: the request's */
};

struct worker_request {
    struct worker_form form;
    enum batch_kind kind;
    struct batch_attrs frame; /* what holds for all; its texts are borrowed from the message, as those of the records */
    /* Records, 1 to LIMIT_BATCH_ITEMS. A JSON object without a list is one, and so is a frame without records where nothing
     * needs to be listed. */
    uint32_t count;
    const struct batch_record *record; /* the one that worker_request_next() found */
    /* its own */
    struct slice message; /* borrowed */
    struct batch_reader reader;
    struct worker_item *items; /* JSON: of a list */
    uint32_t items_count;
    struct worker_item lone; /* what is not listed */
    bool is_lone;
    uint32_t at;
    void *backing; /* JSON: what texts are borrowed from */
};

/* The message must stay until worker_request_fini(), which is called on success only. PEN_EPROTO, PEN_ETOOBIG (too many
 * records) with the reason in text, cut at size; PEN_ENOMEM. On failure *ret_request holds the form, as far as it could
 * be read, for the answer. */
int worker_request_decode(enum worker_framing framing, struct slice message,
                          struct worker_request *ret_request, char *text, size_t size) MUST_CHECK;
bool worker_request_next(struct worker_request *request);
/* From the first record again. */
void worker_request_rewind(struct worker_request *request);
/* The body of the record that was found, as a slice of its own. */
struct slice worker_request_body(const struct worker_request *request);
void worker_request_fini(struct worker_request *request);

/* ---- answers ---- */

/* An answer in the making. */
struct worker_answer {
    struct worker_form form;
    enum batch_kind kind;
    int error; /* the first failure; nothing is added after it */
    struct buf buf;
    struct batch_writer writer;
    void *object, *list; /* JSON */
};

enum { WORKER_ANSWER_STEP_BYTES = 4096 };

/* attrs hold for all records and may be NULL. */
void worker_answer_begin(struct worker_answer *answer, const struct worker_form *form,
                         enum batch_kind kind, const struct batch_attrs *attrs);
/* A record that is a failure has a status; in JSON it is {"ok":false,"error":...} then. */
void worker_answer_add(struct worker_answer *answer, const struct batch_record *record);
/* The finished message. PEN_ENOMEM, PEN_ETOOBIG. */
int worker_answer_end(struct worker_answer *answer, struct slice *ret_slice) MUST_CHECK;

/* The whole request is refused. PEN_ENOMEM. */
int worker_refusal_encode(const struct worker_form *form, int error, const char *text,
                          struct slice *ret_slice) MUST_CHECK;

#endif
