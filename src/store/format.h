/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a store's segments, to and from structs; format.c has the layout. Pure: no file, no state.
 */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    FORMAT_VERSION = 1,
    FORMAT_PAGE_BYTES = 4096, /* where the first frame begins */
    FORMAT_HEADER_BYTES = 64,
    FORMAT_HEADER_COPY_AT = 512, /* another sector */
    FORMAT_FRAME_BYTES = 64,     /* a frame's head */
    FORMAT_RECORD_BYTES = 24,    /* a record's head */
    FORMAT_ALIGN = 8,
    FORMAT_SEGMENT_BYTES_MIN = 64 * 1024,
    FORMAT_SEGMENT_BYTES_MAX = 256 * 1024 * 1024,
    FORMAT_PUT_BYTES_MIN = 16, /* the fixed part of a put */
    FORMAT_STATE_BYTES = 24,
    FORMAT_DEDUPE_BYTES = 16, /* the fixed part */
    FORMAT_ID_BYTES = 8,
};

struct segment_header {
    uint64_t number, salt, store_id;
    int64_t created_ns; /* wall clock */
    uint32_t segment_bytes;
};

enum { FRAME_CLOSING = 1 /* the last one before an orderly end */ };

struct frame_head {
    uint64_t salt;       /* its segment's */
    uint64_t seq;        /* counted from 1, without gaps */
    uint64_t synced_seq; /* all frames up to this one were synced when it was sealed */
    uint64_t base_seq;   /* the first one in this segment */
    uint64_t last_id;    /* the highest id of a job ever put, this frame included */
    int64_t sealed_ns;   /* wall clock */
    uint32_t bytes;      /* of its records, without this head; a multiple of FORMAT_ALIGN */
    uint32_t records;
    uint32_t flags;
};

enum record_type { RECORD_PUT = 1, RECORD_ACK, RECORD_STATE, RECORD_DEDUPE };

struct record {
    enum record_type type;
    uint64_t seq;
    const uint8_t *body;
    uint32_t bytes; /* of the body, unpadded */
};

/* What may change in a job's life. */
struct store_state {
    int64_t due_ns;    /* wall clock; 0: now */
    uint16_t attempts; /* how often it was begun */
    uint8_t crashes;   /* how often it took its process along */
    uint8_t priority;  /* 0 to 15 */
    uint8_t place;     /* the owner's own word, 0 to 15: ready, delayed, buried... */
};

/* A job as it is kept. All bytes are borrowed. */
struct store_job {
    uint64_t id; /* not 0; rises from put to put */
    struct store_state state;
    int64_t expires_ns; /* wall clock; 0: never */
    int64_t dedupe_ns;  /* wall clock: until when its dedupe id is remembered, if it has one */
    const void *key, *dedupe, *extra, *payload;
    uint8_t key_bytes, dedupe_bytes; /* 0: none */
    uint32_t extra_bytes, payload_bytes;
};

static inline uint64_t format_padded(uint64_t bytes)
{
    return (bytes + FORMAT_ALIGN - 1) / FORMAT_ALIGN * FORMAT_ALIGN;
}

/* What a record takes in a frame. */
static inline uint64_t format_record_size(uint64_t body_bytes)
{
    return FORMAT_RECORD_BYTES + format_padded(body_bytes);
}

/* The largest frame of a segment, head included. */
static inline uint32_t format_frame_max(uint32_t segment_bytes)
{
    return segment_bytes / 4;
}

void format_header_put(uint8_t to[FORMAT_HEADER_BYTES], const struct segment_header *h);
/* PEN_EDAMAGED; PEN_EFORMAT: another version's. */
int format_header_get(const uint8_t from[FORMAT_HEADER_BYTES], struct segment_header *ret_header)
    MUST_CHECK;

void format_frame_put(uint8_t to[FORMAT_FRAME_BYTES], const struct frame_head *h);
/* PEN_EDAMAGED: no frame of the segment with this salt begins here. */
int format_frame_get(const uint8_t from[FORMAT_FRAME_BYTES], uint64_t salt,
                     struct frame_head *ret_head) MUST_CHECK;

/* The head of a record whose body and padding stand behind it already. */
void format_record_seal(uint8_t *at, uint64_t salt, uint64_t seq);
/* Before that: what the record is. */
void format_record_begin(uint8_t *at, enum record_type type, uint32_t body_bytes);

/* Of a record that was begun: bytes of its body, and all that it takes. */
uint32_t format_record_body_bytes(const uint8_t *at);
uint32_t format_record_bytes(const uint8_t *at);

enum record_verdict { RECORD_WHOLE, RECORD_BODY_DAMAGED, RECORD_HEAD_DAMAGED };

/* The record at the beginning of n bytes. With BODY_DAMAGED its type, seq and size can be relied on; with HEAD_DAMAGED
 * nothing was set. */
enum record_verdict format_record_get(const uint8_t *at, size_t n, uint64_t salt,
                                      struct record *ret_record);

/* A job's put record: its size, the body, and back. What is read points into the body. PEN_EDAMAGED: it holds
 * what no writer writes, though its checksum is right. */
uint64_t format_job_bytes(const struct store_job *job);
void format_job_put(uint8_t *to, const struct store_job *job);
int format_job_get(const struct record *r, struct store_job *ret_job) MUST_CHECK;

void format_state_put(uint8_t to[FORMAT_STATE_BYTES], uint64_t id, const struct store_state *state);
int format_state_get(const struct record *r, uint64_t *ret_id, struct store_state *ret_state)
    MUST_CHECK;

/* A dedupe id of a job that has ended: only id, dedupe and dedupe_ns of the job count. */
void format_dedupe_put(uint8_t *to, const struct store_job *job);
int format_dedupe_get(const struct record *r, struct store_job *ret_job) MUST_CHECK;

void format_id_put(uint8_t to[FORMAT_ID_BYTES], uint64_t id);
uint64_t format_id_get(const uint8_t from[FORMAT_ID_BYTES]);
/* How many ids an ack record holds; PEN_EDAMAGED. */
int format_ack_count(const struct record *r, uint32_t *ret_count) MUST_CHECK;

#endif
