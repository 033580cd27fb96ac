/* SPDX-License-Identifier: Apache-2.0
 *
 * See batch.h. Nothing here believes a length: it is compared with what is left before anything is computed from it.
 */
#include "proto/batch.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"

enum { FRAMING_VERSION = 1 };
enum { AT_VERSION = 3, AT_KIND = 4, AT_FLAGS = 5, AT_ATTRS = 6, AT_COUNT = 8, AT_TAG = 12 };
enum { MAY_SKIP = 0x40, LONG_LENGTH = 0x80 };

enum type { NONE, MARK, U8, U32, U64, TEXT, BLOB };

struct row {
    enum type type; /* NONE: not an attribute */
    uint8_t attr;
    uint16_t offset; /* of its field in struct batch_attrs */
    uint64_t max;
};

#define OFFSET_MARK(field) 0
#define OFFSET_U8(field) offsetof(struct batch_attrs, field)
#define OFFSET_U32(field) offsetof(struct batch_attrs, field)
#define OFFSET_U64(field) offsetof(struct batch_attrs, field)
#define OFFSET_TEXT(field) offsetof(struct batch_attrs, field)
#define OFFSET_BLOB(field) offsetof(struct batch_attrs, field)

static const struct row rows[UINT8_MAX + 1] = {
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) \
    [number] = { type, BATCH_ATTR_##name, OFFSET_##type(field), max },
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

static const uint8_t numbers[BATCH_ATTRS] = {
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) [BATCH_ATTR_##name] = (number),
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

static const char *const kind_words[UINT8_MAX + 1] = {
#define KIND(name, number, word) [number] = (word),
#define ATTR(name, field, number, type, max)
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

const char *batch_kind_word(unsigned kind)
{
    return kind <= UINT8_MAX && kind_words[kind] != NULL ? kind_words[kind] : "unknown";
}

/* ---- numbers ---- */

static uint16_t get16(const uint8_t *at)
{
    uint16_t wire;
    memcpy(&wire, at, sizeof wire);
    return le16toh(wire);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t wire;
    memcpy(&wire, at, sizeof wire);
    return le32toh(wire);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t wire;
    memcpy(&wire, at, sizeof wire);
    return le64toh(wire);
}

static void put16(uint8_t *at, uint16_t value)
{
    uint16_t wire = htole16(value);
    memcpy(at, &wire, sizeof wire);
}

static void put32(uint8_t *at, uint32_t value)
{
    uint32_t wire = htole32(value);
    memcpy(at, &wire, sizeof wire);
}

static void put64(uint8_t *at, uint64_t value)
{
    uint64_t wire = htole64(value);
    memcpy(at, &wire, sizeof wire);
}

/* ---- fields ---- */

static bool is_span(enum type type)
{
    return type == TEXT || type == BLOB;
}

static void *field(struct batch_attrs *attrs, const struct row *row)
{
    return (char *)attrs + row->offset;
}

static uint64_t number_of(const struct batch_attrs *attrs, const struct row *row)
{
    uint64_t value;
    memcpy(&value, (const char *)attrs + row->offset, sizeof value);
    return value;
}

static struct batch_text span_of(const struct batch_attrs *attrs, const struct row *row)
{
    struct batch_text span;
    memcpy(&span, (const char *)attrs + row->offset, sizeof span);
    return span;
}

/* Bytes of a number's value. */
static size_t number_bytes(enum type type)
{
    return type == MARK ? 0 : type == U8 ? 1 : type == U32 ? 4 : 8;
}

/* ---- headers ---- */

/* As batch_header_next(), but nothing is known yet: PEN_EPROTO when the next one is not whole. */
static int header_at(struct batch_text headers, uint32_t *at, struct batch_text *ret_name,
                     struct batch_text *ret_value)
{
    const uint8_t *from = (const uint8_t *)headers.at + *at;
    uint32_t left = headers.bytes - *at;
    if (left < 1 || from[0] == 0 || left < 1u + from[0] + 2u)
        return PEN_EPROTO;
    uint32_t name = from[0], value = get16(from + 1 + name);
    if (left - 1 - name - 2 < value)
        return PEN_EPROTO;
    *ret_name = (struct batch_text){ headers.at + *at + 1, name };
    *ret_value = (struct batch_text){ headers.at + *at + 1 + name + 2, value };
    *at += 1 + name + 2 + value;
    return 0;
}

bool batch_header_next(struct batch_text headers, uint32_t *at, struct batch_text *ret_name,
                       struct batch_text *ret_value)
{
    return *at < headers.bytes && header_at(headers, at, ret_name, ret_value) == 0;
}

int batch_header_add(char *to, size_t size, uint32_t *used, struct batch_text name,
                     struct batch_text value)
{
    if (name.bytes == 0 || name.bytes > UINT8_MAX || value.bytes > UINT16_MAX)
        return PEN_EINVAL;
    size_t bytes = 1 + name.bytes + 2 + value.bytes;
    if (bytes > size - *used)
        return PEN_EFULL;
    uint8_t *at = (uint8_t *)to + *used;
    at[0] = (uint8_t)name.bytes;
    memcpy(at + 1, name.at, name.bytes);
    put16(at + 1 + name.bytes, (uint16_t)value.bytes);
    if (value.bytes > 0)
        memcpy(at + 1 + name.bytes + 2, value.at, value.bytes);
    *used += (uint32_t)bytes;
    return 0;
}

static bool are_headers(struct batch_text headers)
{
    struct batch_text name, value;
    uint32_t at = 0;
    while (at < headers.bytes)
        if (header_at(headers, &at, &name, &value) < 0)
            return false;
    return true;
}

static bool is_right_span(const struct row *row, struct batch_text span)
{
    if (span.bytes > row->max)
        return false;
    if (row->attr == BATCH_ATTR_HEADERS)
        return are_headers(span);
    return span.bytes == 0 || memchr(span.at, '\0', span.bytes) == NULL;
}

/* ---- attributes in ---- */

static bool decode_number(const struct row *row, const uint8_t *at, size_t bytes,
                          struct batch_attrs *to)
{
    if (bytes != number_bytes(row->type))
        return false;
    if (row->type == MARK)
        return true;
    uint64_t value = row->type == U8 ? at[0] : row->type == U32 ? get32(at) : get64(at);
    memcpy(field(to, row), &value, sizeof value);
    return value <= row->max;
}

static bool decode_span(const struct row *row, const uint8_t *at, size_t bytes,
                        struct batch_attrs *to)
{
    struct batch_text span = { (const char *)at, (uint32_t)bytes };
    memcpy(field(to, row), &span, sizeof span);
    return is_right_span(row, span);
}

/* One attribute; returns its bytes, 0 when it is wrong. *given: bits of those that came before. */
static size_t decode_attr(const uint8_t *at, size_t left, struct batch_attrs *to, uint64_t *given)
{
    size_t head = left > 0 && (at[0] & LONG_LENGTH) != 0 ? 3 : 2;
    if (left < head)
        return 0;
    size_t bytes = head == 3 ? get16(at + 1) : at[1];
    if (bytes > left - head)
        return 0;
    const struct row *row = &rows[at[0]];
    if (row->type == NONE)
        return (at[0] & MAY_SKIP) != 0 ? head + bytes : 0;
    uint64_t bit = UINT64_C(1) << row->attr;
    bool right = (*given & bit) == 0 &&
                 (is_span(row->type) ? decode_span : decode_number)(row, at + head, bytes, to);
    *given |= bit;
    to->set |= bit;
    return right ? head + bytes : 0;
}

/* False: they are wrong. They are added to what is there, a value that is there already is replaced. */
static bool decode_attrs(const uint8_t *at, size_t bytes, struct batch_attrs *to)
{
    uint64_t given = 0;
    while (bytes > 0) {
        size_t used = decode_attr(at, bytes, to, &given);
        if (used == 0)
            return false;
        at += used;
        bytes -= used;
    }
    return true;
}

/* ---- reading ---- */

/* All records from at to end, each whole. */
static const char *check_records(const uint8_t *at, const uint8_t *end, uint32_t count)
{
    struct batch_attrs unused;
    unused.set = 0;
    for (; count > 0; count--) {
        size_t left = (size_t)(end - at);
        if (left < BATCH_RECORD_BYTES)
            return "a record's head is cut off";
        size_t body = get32(at), attrs = get16(at + 4);
        left -= BATCH_RECORD_BYTES;
        if (attrs > left || body > left - attrs)
            return "a record is cut off";
        if (attrs > 0 && !decode_attrs(at + BATCH_RECORD_BYTES, attrs, &unused))
            return "an attribute of a record is unknown or wrong";
        at += BATCH_RECORD_BYTES + attrs + body;
    }
    return at == end ? NULL : "something follows the last record";
}

static const char *read_head(struct batch_reader *r, const uint8_t *at, size_t bytes)
{
    if (bytes < BATCH_HEAD_BYTES || memcmp(at, "PEN", 3) != 0)
        return "this is not a batch frame";
    if (at[AT_VERSION] != FRAMING_VERSION)
        return "version of the batch framing unknown";
    r->tag = get32(at + AT_TAG);
    if (kind_words[at[AT_KIND]] == NULL)
        return "kind of frame unknown";
    r->kind = at[AT_KIND];
    return at[AT_FLAGS] == 0 ? NULL : "flag unknown";
}

static const char *read_frame(struct batch_reader *r, const uint8_t *at, size_t bytes)
{
    const char *why = read_head(r, at, bytes);
    if (why != NULL)
        return why;
    size_t attrs = get16(at + AT_ATTRS);
    r->left = get32(at + AT_COUNT);
    r->at = at + BATCH_HEAD_BYTES + attrs;
    if (r->left > BATCH_RECORDS_MAX)
        return "too many records";
    if (attrs > bytes - BATCH_HEAD_BYTES)
        return "the frame's attributes are cut off";
    if (!decode_attrs(at + BATCH_HEAD_BYTES, attrs, &r->frame))
        return "an attribute of the frame is unknown or wrong";
    return check_records(r->at, at + bytes, r->left);
}

int batch_reader_init(struct batch_reader *r, const void *data, size_t bytes)
{
    *r = (struct batch_reader){ 0 };
    r->why = read_frame(r, data, bytes);
    if (r->why != NULL) {
        r->left = 0;
        return PEN_EPROTO;
    }
    r->record.attrs = r->frame;
    return 0;
}

/* The frame's attributes, as they hold for the next record. */
static void next_defaults(struct batch_reader *r)
{
    if (r->begun && batch_has(&r->frame, SEQUENCE)) {
        r->frame.sequence++;
        r->record.attrs.sequence = r->frame.sequence;
    }
    r->begun = true;
    if (r->own_attrs)
        r->record.attrs = r->frame;
    r->own_attrs = false;
}

bool batch_reader_next(struct batch_reader *r)
{
    if (r->left == 0)
        return false;
    r->left--;
    next_defaults(r);
    size_t attrs = get16(r->at + 4);
    r->record.body_bytes = get32(r->at);
    r->record.status = -(int)get16(r->at + 6);
    r->record.body = r->at + BATCH_RECORD_BYTES + attrs;
    if (attrs > 0) {
        r->own_attrs = true;
        check(decode_attrs(r->at + BATCH_RECORD_BYTES, attrs, &r->record.attrs));
    }
    r->at = r->record.body + r->record.body_bytes;
    return true;
}

/* ---- attributes out ---- */

static size_t attr_bytes(const struct batch_attrs *attrs, const struct row *row, uint8_t number)
{
    size_t head = (number & LONG_LENGTH) != 0 ? 3 : 2;
    if (is_span(row->type))
        return head + span_of(attrs, row).bytes;
    return head + number_bytes(row->type);
}

static bool is_right(const struct batch_attrs *attrs, const struct row *row)
{
    if (is_span(row->type))
        return is_right_span(row, span_of(attrs, row));
    return row->type == MARK || number_of(attrs, row) <= row->max;
}

/* Results without a topic of their own say their id and nothing else: they need no walk through the table. */
enum { ONLY_ID_BYTES = 2 + 8 };

static bool is_only_id(const struct batch_attrs *attrs)
{
    return attrs->set == BATCH_BIT(ID);
}

/* What they take; PEN_EINVAL when one is out of its range, or they are too many for a record. */
static int attrs_bytes(const struct batch_attrs *attrs)
{
    size_t bytes = 0;
    if (is_only_id(attrs))
        return ONLY_ID_BYTES;
    if (attrs->set >> BATCH_ATTRS != 0)
        return PEN_EINVAL;
    for (uint64_t set = attrs->set; set != 0; set &= set - 1) {
        uint8_t number = numbers[__builtin_ctzll(set)];
        if (!is_right(attrs, &rows[number]))
            return PEN_EINVAL;
        bytes += attr_bytes(attrs, &rows[number], number);
    }
    return bytes <= UINT16_MAX ? (int)bytes : PEN_EINVAL;
}

static void encode_value(const struct row *row, const struct batch_attrs *attrs, uint8_t *to)
{
    struct batch_text span;
    if (row->type == U8)
        to[0] = (uint8_t)number_of(attrs, row);
    else if (row->type == U32)
        put32(to, (uint32_t)number_of(attrs, row));
    else if (row->type == U64)
        put64(to, number_of(attrs, row));
    else if (is_span(row->type) && (span = span_of(attrs, row)).bytes > 0)
        memcpy(to, span.at, span.bytes);
}

static void encode_only_id(uint64_t id, uint8_t *to)
{
    to[0] = numbers[BATCH_ATTR_ID];
    to[1] = ONLY_ID_BYTES - 2;
    put64(to + 2, id);
}

static void encode_attrs(const struct batch_attrs *attrs, uint8_t *to)
{
    if (is_only_id(attrs)) {
        encode_only_id(attrs->id, to);
        return;
    }
    for (uint64_t set = attrs->set; set != 0; set &= set - 1) {
        uint8_t number = numbers[__builtin_ctzll(set)];
        size_t head = (number & LONG_LENGTH) != 0 ? 3 : 2;
        size_t bytes = attr_bytes(attrs, &rows[number], number);
        to[0] = number;
        if (head == 3)
            put16(to + 1, (uint16_t)(bytes - head));
        else
            to[1] = (uint8_t)(bytes - head);
        encode_value(&rows[number], attrs, to + head);
        to += bytes;
    }
}

/* ---- writing ---- */

int batch_writer_init(struct batch_writer *w, void *to, size_t size, const struct batch_head *head)
{
    static const struct batch_attrs none;
    const struct batch_attrs *attrs = head->attrs != NULL ? head->attrs : &none;
    int bytes = attrs_bytes(attrs);
    if (bytes < 0)
        return bytes;
    if (size < BATCH_HEAD_BYTES + (size_t)bytes)
        return PEN_EFULL;
    *w = (struct batch_writer){ .to = to, .size = size, .used = BATCH_HEAD_BYTES + (size_t)bytes };
    memcpy(w->to, "PEN", 3);
    w->to[AT_VERSION] = FRAMING_VERSION;
    w->to[AT_KIND] = (uint8_t)head->kind;
    w->to[AT_FLAGS] = 0;
    put16(w->to + AT_ATTRS, (uint16_t)bytes);
    put32(w->to + AT_COUNT, 0);
    put32(w->to + AT_TAG, head->tag);
    encode_attrs(attrs, w->to + BATCH_HEAD_BYTES);
    return 0;
}

int batch_record_head_bytes(const struct batch_record *record)
{
    int bytes = attrs_bytes(&record->attrs);
    return bytes < 0 ? bytes : BATCH_RECORD_BYTES + bytes;
}

/* Everything but the body, of which so many bytes must fit as well. */
static int add_head(struct batch_writer *w, const struct batch_record *record, size_t body)
{
    int attrs = attrs_bytes(&record->attrs);
    if (attrs < 0 || record->status > 0 || record->status < -UINT16_MAX)
        return PEN_EINVAL;
    size_t head = BATCH_RECORD_BYTES + (size_t)attrs, left = w->size - w->used;
    if (head > left || body > left - head || w->count == BATCH_RECORDS_MAX)
        return PEN_EFULL;
    uint8_t *to = w->to + w->used;
    put32(to, record->body_bytes);
    put16(to + 4, (uint16_t)attrs);
    put16(to + 6, (uint16_t)-record->status);
    encode_attrs(&record->attrs, to + BATCH_RECORD_BYTES);
    w->used += head;
    put32(w->to + AT_COUNT, ++w->count);
    return 0;
}

int batch_writer_add(struct batch_writer *w, const struct batch_record *record)
{
    int r = add_head(w, record, record->body_bytes);
    if (r < 0 || record->body_bytes == 0)
        return r;
    memcpy(w->to + w->used, record->body, record->body_bytes);
    w->used += record->body_bytes;
    return 0;
}

uint32_t batch_records(const void *frame)
{
    return get32((const uint8_t *)frame + AT_COUNT);
}

bool batch_renumber(void *frame, enum batch_attr attr, uint64_t value)
{
    uint8_t *at = frame;
    const uint8_t *end = at + BATCH_HEAD_BYTES + get16(at + AT_ATTRS);
    check(rows[numbers[attr]].type == U64);
    for (at += BATCH_HEAD_BYTES; at < end;) {
        size_t head = (at[0] & LONG_LENGTH) != 0 ? 3 : 2;
        if (at[0] == numbers[attr]) {
            put64(at + head, value);
            return true;
        }
        at += head + (head == 3 ? get16(at + 1) : at[1]);
    }
    return false;
}

int batch_writer_add_open(struct batch_writer *w, const struct batch_record *record)
{
    return add_head(w, record, 0);
}

void batch_set_tag(void *frame, uint32_t tag)
{
    put32((uint8_t *)frame + AT_TAG, tag);
}
