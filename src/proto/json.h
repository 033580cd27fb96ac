/* SPDX-License-Identifier: Apache-2.0
 *
 * The json framing: one JSON object per SP message, for people and scripts. Pure: bytes to structs and back.
 *
 *   put       {"op":"put","queue":"jobs","body":"text","key":"k"}   or "body64":"base64" for bytes that are not UTF-8
 *   receipt   {"ok":true,"id":17,"level":"memory"}
 *   failure   {"ok":false,"error":"PEN_EFULL","text":"queue is full"}
 *   result    {"ok":true,"id":17,"body":"..."}                      (answers to requesters)
 *   message   {"topic":"t","id":17,"body":"..."}                    (publishers; with a log also "stream" and "seq")
 *   control   {"op":"status"} ...                                   (see proto/control.h)
 *
 * Bytes that are valid UTF-8 travel as "body", others as "body64". Unknown members are an error, so that a
 * mistyped one is not ignored; so are members given twice.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* A decoded put; the texts are the holder's, freed with json_put_fini(). */
struct json_put {
    char *queue;       /* NULL when not given */
    char *key;         /* NULL when not given; at most LIMIT_KEY_BYTES */
    struct slice body; /* the holder's */
};

/* PEN_EPROTO or PEN_ETOOBIG (queue, key) with the reason in text ("... at line 1 column 9" where it is a matter
 * of JSON itself), cut at size; PEN_ENOMEM. *ret_put is untouched on failure. */
int json_put_decode(const void *data, size_t bytes, struct json_put *ret_put, char *text,
                    size_t size) MUST_CHECK;
void json_put_fini(struct json_put *put);

/* PEN_ENOMEM. body is borrowed; a text that is not UTF-8 is made so, with '?' for each byte beyond ASCII. */
int json_receipt_encode(uint64_t id, const char *level, struct slice *ret_slice) MUST_CHECK;
int json_failure_encode(int error, const char *text, struct slice *ret_slice) MUST_CHECK;
int json_result_encode(uint64_t id, struct slice body, struct slice *ret_slice) MUST_CHECK;

struct json_message {
    const char *topic;
    uint64_t id;
    struct slice body; /* borrowed */
    uint64_t stream;   /* 0: the message gets no number */
};
int json_message_encode(const struct json_message *message, struct slice *ret_slice) MUST_CHECK;

/* Give an encoded message of a stream its number, where it stands; returns its bytes, which may become fewer. The sequence is
 * at most INT64_MAX. */
size_t json_message_number(void *text, size_t bytes, uint64_t sequence);

/* A stream's name in JSON: 16 hexadecimal digits, and NUL. */
enum { JSON_STREAM_BYTES = 17 };
void json_stream_format(uint64_t stream, char text[JSON_STREAM_BYTES]);
/* PEN_EPROTO. */
int json_stream_parse(const char *text, uint64_t *ret_stream) MUST_CHECK;

#endif
