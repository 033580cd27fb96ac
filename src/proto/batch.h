/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch framing: many records in one SP message, without copying and without memory of its own. Pure.
 *
 *   offset  bytes
 *   0       3    'P' 'E' 'N'
 *   3       1    version, 1
 *   4       1    kind, one of batch.def
 *   5       1    flags, 0
 *   6       2    a: bytes of the frame's attributes
 *   8       4    number of records
 *   12      4    tag, chosen by who asks and sent back with the answer
 *   16      a    attributes that hold for each record which does not say otherwise
 *   16 + a       the records, one after the other up to the end of the message
 *
 * A record:
 *   0       4    b: bytes of the body
 *   4       2    a: bytes of its attributes
 *   6       2    status: 0, or the number of an error
 *   8       a    attributes
 *   8 + a   b    body
 *
 * An attribute: its number, one byte; the length of its value, one byte or, for numbers from 0x80 on, two; the value.
 * All numbers are little-endian, nothing is aligned.
 *
 * How it may grow: another version, a flag, an unknown kind, an unknown attribute without 0x40 and an attribute given twice
 * make the whole frame wrong. An unknown attribute with 0x40 is passed over. Numbers are never used again.
 *
 * A reader checks all of a frame before it hands out the first record, so no frame is taken in half: twice through
 * memory that is needed anyway, 2 to 3 ns a record.
 */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"

enum batch_kind {
#define KIND(name, number, word) BATCH_##name = (number),
#define ATTR(name, field, number, type, max)
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

/* "put", or "unknown". */
const char *batch_kind_word(unsigned kind);

/* What has become of a message that was put. */
enum batch_level {
    BATCH_LEVEL_MEMORY,
    BATCH_LEVEL_WRITTEN,
    BATCH_LEVEL_SYNCED,
    BATCH_LEVEL_REPLICATED,
    BATCH_LEVEL_LAST = BATCH_LEVEL_REPLICATED
};

/* Where a job is. */
enum batch_state {
    BATCH_STATE_READY,
    BATCH_STATE_DELAYED,
    BATCH_STATE_LEASED,
    BATCH_STATE_BURIED,
    BATCH_STATE_LAST = BATCH_STATE_BURIED
};

enum {
    BATCH_HEAD_BYTES = 16,
    BATCH_RECORD_BYTES = 8, /* before its attributes and its body */
    BATCH_RECORDS_MAX = 65536
};

/* ---- attributes ---- */

/* Bytes of a frame, or of the caller: borrowed, without NUL at the end. */
struct batch_text {
    const char *at;
    uint32_t bytes;
};

enum batch_attr {
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) BATCH_ATTR_##name,
#include "proto/batch.def"
#undef KIND
#undef ATTR
    BATCH_ATTRS
};

#define BATCH_BIT(name) (UINT64_C(1) << BATCH_ATTR_##name)

/* What was given has its bit in `set`; all else is 0. */
struct batch_attrs {
    uint64_t set;
#define BATCH_FIELD_MARK(field)
#define BATCH_FIELD_U8(field) uint64_t field;
#define BATCH_FIELD_U32(field) uint64_t field;
#define BATCH_FIELD_U64(field) uint64_t field;
#define BATCH_FIELD_TEXT(field) struct batch_text field;
#define BATCH_FIELD_BLOB(field) struct batch_text field;
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) BATCH_FIELD_##type(field)
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

#define batch_has(attrs, name) (((attrs)->set & BATCH_BIT(name)) != 0)
/* batch_set(&a, PRIORITY, priority, 3); for a mark: batch_mark(&a, UNCHARGED). */
#define batch_mark(attrs, name) ((void)((attrs)->set |= BATCH_BIT(name)))
#define batch_set(attrs, name, field_name, value) \
    ((attrs)->field_name = (value), batch_mark(attrs, name))

/* Names and values, as they stand in the attribute HEADERS: a name of 1 to 255 bytes, its length in one byte before it,
 * then a value with its length in two. */

/* The header at *at, which starts as 0 and is moved on; false: there are no more. headers has been through a reader. */
bool batch_header_next(struct batch_text headers, uint32_t *at, struct batch_text *ret_name,
                       struct batch_text *ret_value);
/* Append one to `to`, of which *used bytes are. PEN_EFULL: size does not do; PEN_EINVAL: a length that cannot be. Nothing
 * is changed then. */
int batch_header_add(char *to, size_t size, uint32_t *used, struct batch_text name,
                     struct batch_text value) MUST_CHECK;

/* ---- reading ---- */

struct batch_record {
    int status;               /* 0 or a PEN_E... */
    uint32_t body_bytes;      /* at most 2^32 - 1 */
    const uint8_t *body;      /* borrowed */
    struct batch_attrs attrs; /* the record's, and of the frame's those that it does not give */
};

struct batch_reader {
    enum batch_kind kind;
    uint32_t tag;
    uint32_t left; /* records that are still to come */
    struct batch_attrs frame;
    struct batch_record record; /* the one that batch_reader_next() found */
    const char *why;            /* of a failure of batch_reader_init(): static */
    /* the reader's own */
    const uint8_t *at;
    bool own_attrs; /* record.attrs is more than the frame's */
    bool begun;
};

/* Look at a whole message, which must stay while the reader is used. PEN_EPROTO: it is not as it should be, `why` tells;
 * the tag is there for an answer, and 0 when not even that could be read. */
int batch_reader_init(struct batch_reader *reader, const void *data, size_t bytes) MUST_CHECK;

/* The next record to reader->record; false: that was the last one. SEQUENCE, given by the frame, counts up. */
bool batch_reader_next(struct batch_reader *reader);

/* ---- writing ---- */

struct batch_head {
    enum batch_kind kind;
    uint32_t tag;
    const struct batch_attrs *attrs; /* NULL: none */
};

struct batch_writer {
    uint8_t *to; /* the caller's */
    size_t size;
    size_t used; /* the frame as far as it is: whole after each call */
    uint32_t count;
};

/* Begin a frame. PEN_EFULL: it does not fit. PEN_EINVAL: an attribute out of its range. */
int batch_writer_init(struct batch_writer *writer, void *to, size_t size,
                      const struct batch_head *head) MUST_CHECK;

/* Append a record. PEN_EFULL: it does not fit, or BATCH_RECORDS_MAX are there. PEN_EINVAL: an attribute or the status is
 * out of its range. Nothing is changed then. */
int batch_writer_add(struct batch_writer *writer, const struct batch_record *record) MUST_CHECK;

/* The same without the bytes of the body, which the caller lets follow the frame: the last record. */
int batch_writer_add_open(struct batch_writer *writer, const struct batch_record *record) MUST_CHECK;

/* Give a number among the attributes of the frame itself another value, where it stands. The frame is one that a reader has
 * been through or a writer has made. False: it gives no such number. */
bool batch_renumber(void *frame, enum batch_attr attr, uint64_t value);

/* How many records such a frame has. */
uint32_t batch_records(const void *frame);

/* Another tag for a frame that is written. */
void batch_set_tag(void *frame, uint32_t tag);

/* What a record takes, without its body. PEN_EINVAL: an attribute is out of its range. */
int batch_record_head_bytes(const struct batch_record *record) MUST_CHECK;

#endif
