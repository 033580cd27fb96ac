/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch codec: the vectors of penstock-protocol(7) in both directions, each cut at every byte, every attribute at
 * its limit and one beyond, and the rules by which the format may grow.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/batch.h"

enum { SPACE = 2 * 1024 * 1024, VECTOR_BYTES = 256 };

static uint8_t space[SPACE];

#define TEXT(literal) \
    { \
        (literal), sizeof(literal) - 1 \
    }
#define BODY(literal) .body = (const uint8_t *)(literal), .body_bytes = sizeof(literal) - 1

/* ---- vectors ---- */

static const struct vector {
    struct batch_head head;
    struct batch_attrs frame;
    size_t count;
    struct batch_record records[2];
    const char *hex; /* as in the manual */
} vectors[] = {
    { .head = { .kind = BATCH_PUT, .tag = 7 },
      .count = 2,
      .records = { { BODY("hello") }, { .status = 0 } },
      .hex = "50 45 4e 01 01 00 00 00 02 00 00 00 07 00 00 00 "
             "05 00 00 00 00 00 00 00 68 65 6c 6c 6f 00 00 00 "
             "00 00 00 00 00" },
    { .head = { .kind = BATCH_PUT, .tag = 8 },
      .frame = { .set = BATCH_BIT(QUEUE), .queue = TEXT("jobs") },
      .count = 1,
      .records = { { .attrs = { .set = BATCH_BIT(KEY) | BATCH_BIT(PRIORITY) | BATCH_BIT(HEADERS),
                                .key = TEXT("k"),
                                .priority = 3,
                                .headers = TEXT("\5trace\2\0"
                                                "42") },
                     BODY("x") } },
      .hex = "50 45 4e 01 01 00 06 00 01 00 00 00 08 00 00 00 "
             "03 04 6a 6f 62 73 01 00 00 00 13 00 00 00 05 01 "
             "6b 08 01 03 81 0a 00 05 74 72 61 63 65 02 00 34 "
             "32 78" },
    { .head = { .kind = BATCH_RECEIPTS, .tag = 7 },
      .frame = { .set = BATCH_BIT(LEVEL), .level = BATCH_LEVEL_MEMORY },
      .count = 2,
      .records = { { .attrs = { .set = BATCH_BIT(ID), .id = 17 } }, { .status = PEN_EFULL } },
      .hex = "50 45 4e 01 81 00 03 00 02 00 00 00 07 00 00 00 "
             "41 01 00 00 00 00 00 0a 00 00 00 01 08 11 00 00 "
             "00 00 00 00 00 00 00 00 00 00 00 e9 03" },
    { .head = { .kind = BATCH_RESULTS },
      .frame = { .set = BATCH_BIT(TOPIC) | BATCH_BIT(STREAM) | BATCH_BIT(SEQUENCE),
                 .topic = TEXT("squares"),
                 .stream = 0x1122334455667788,
                 .sequence = 100 },
      .count = 2,
      .records = { { .attrs = { .set = BATCH_BIT(ID), .id = 17 }, BODY("328350") },
                   { .attrs = { .set = BATCH_BIT(ID), .id = 18 }, BODY("0") } },
      .hex = "50 45 4e 01 83 00 1d 00 02 00 00 00 00 00 00 00 "
             "04 07 73 71 75 61 72 65 73 0d 08 88 77 66 55 44 "
             "33 22 11 0e 08 64 00 00 00 00 00 00 00 06 00 00 "
             "00 0a 00 00 00 01 08 11 00 00 00 00 00 00 00 33 "
             "32 38 33 35 30 01 00 00 00 0a 00 00 00 01 08 12 "
             "00 00 00 00 00 00 00 30" },
    { .head = { .kind = BATCH_REPLAY, .tag = 12 },
      .frame = { .set = BATCH_BIT(STREAM) | BATCH_BIT(SEQUENCE) | BATCH_BIT(COUNT),
                 .stream = 0x1122334455667788,
                 .sequence = 100,
                 .count = 64 },
      .hex = "50 45 4e 01 0b 00 1a 00 00 00 00 00 0c 00 00 00 "
             "0d 08 88 77 66 55 44 33 22 11 0e 08 64 00 00 00 "
             "00 00 00 00 11 04 40 00 00 00" },
    { .head = { .kind = BATCH_RESULTS, .tag = 12 },
      .frame = { .set = BATCH_BIT(STREAM) | BATCH_BIT(SEQUENCE) | BATCH_BIT(UNTIL) |
                        BATCH_BIT(OLDEST) | BATCH_BIT(NEXT),
                 .stream = 0x1122334455667788,
                 .sequence = 100,
                 .until = 102,
                 .oldest = 37,
                 .next = 102 },
      .count = 2,
      .records = { { .attrs = { .set = BATCH_BIT(ID) | BATCH_BIT(TOPIC),
                                .id = 17,
                                .topic = TEXT("squares") },
                     BODY("328350") },
                   { .attrs = { .set = BATCH_BIT(ID) | BATCH_BIT(TOPIC),
                                .id = 18,
                                .topic = TEXT("squares") },
                     BODY("0") } },
      .hex = "50 45 4e 01 83 00 32 00 02 00 00 00 0c 00 00 00 "
             "0d 08 88 77 66 55 44 33 22 11 0e 08 64 00 00 00 "
             "00 00 00 00 4a 08 66 00 00 00 00 00 00 00 4b 08 "
             "25 00 00 00 00 00 00 00 4c 08 66 00 00 00 00 00 "
             "00 00 06 00 00 00 13 00 00 00 01 08 11 00 00 00 "
             "00 00 00 00 04 07 73 71 75 61 72 65 73 33 32 38 "
             "33 35 30 01 00 00 00 13 00 00 00 01 08 12 00 00 "
             "00 00 00 00 00 04 07 73 71 75 61 72 65 73 30" },
    { .head = { .kind = BATCH_RESERVE, .tag = 9 },
      .frame = { .set = BATCH_BIT(LEASE_FOR) | BATCH_BIT(WAIT) | BATCH_BIT(COUNT),
                 .lease_ms = 30000,
                 .wait_ms = 5000,
                 .count = 64 },
      .hex = "50 45 4e 01 02 00 1a 00 00 00 00 00 09 00 00 00 "
             "0f 08 30 75 00 00 00 00 00 00 10 08 88 13 00 00 "
             "00 00 00 00 11 04 40 00 00 00" },
    { .head = { .kind = BATCH_JOBS, .tag = 9 },
      .frame = { .set = BATCH_BIT(QUEUE) | BATCH_BIT(LEASE_FOR),
                 .queue = TEXT("jobs"),
                 .lease_ms = 30000 },
      .count = 1,
      .records = { { .attrs = { .set = BATCH_BIT(ID) | BATCH_BIT(LEASE) | BATCH_BIT(ATTEMPTS),
                                .id = 17,
                                .lease = 5,
                                .attempts = 1 },
                     BODY("x") } },
      .hex = "50 45 4e 01 82 00 10 00 01 00 00 00 09 00 00 00 "
             "03 04 6a 6f 62 73 0f 08 30 75 00 00 00 00 00 00 "
             "01 00 00 00 1a 00 00 00 01 08 11 00 00 00 00 00 "
             "00 00 02 08 05 00 00 00 00 00 00 00 44 04 01 00 "
             "00 00 78" },
    { .head = { .kind = BATCH_ACK, .tag = 10 },
      .count = 1,
      .records = { { .attrs = { .set = BATCH_BIT(ID) | BATCH_BIT(LEASE), .id = 17, .lease = 5 } } },
      .hex = "50 45 4e 01 03 00 00 00 01 00 00 00 0a 00 00 00 "
             "00 00 00 00 14 00 00 00 01 08 11 00 00 00 00 00 "
             "00 00 02 08 05 00 00 00 00 00 00 00" },
    { .head = { .kind = BATCH_ERROR, .tag = 11 },
      .count = 1,
      .records = { { .status = PEN_EPROTO,
                     .attrs = { .set = BATCH_BIT(TEXT), .text = TEXT("kind of frame unknown") } } },
      .hex = "50 45 4e 01 80 00 00 00 01 00 00 00 0b 00 00 00 "
             "00 00 00 00 18 00 06 04 c1 15 00 6b 69 6e 64 20 "
             "6f 66 20 66 72 61 6d 65 20 75 6e 6b 6e 6f 77 6e" },
};
enum { VECTORS = sizeof vectors / sizeof vectors[0] };

static size_t from_hex(const char *hex, uint8_t *to)
{
    size_t n = 0;
    for (; *hex != '\0'; hex += hex[2] == ' ' ? 3 : 2)
        to[n++] = (uint8_t)strtoul((char[]){ hex[0], hex[1], '\0' }, NULL, 16);
    return n;
}

START_TEST(vector_out)
{
    const struct vector *v = &vectors[_i];
    uint8_t expected[VECTOR_BYTES];
    size_t bytes = from_hex(v->hex, expected);
    struct batch_head head = v->head;
    struct batch_writer w;
    head.attrs = &v->frame;
    ck_assert_int_eq(batch_writer_init(&w, space, bytes, &head), 0);
    for (size_t k = 0; k < v->count; k++)
        ck_assert_int_eq(batch_writer_add(&w, &v->records[k]), 0);
    ck_assert_uint_eq(w.used, bytes);
    ck_assert_mem_eq(space, expected, bytes);
}
END_TEST

/* Decoded, and what was decoded encoded again. */
START_TEST(vector_in)
{
    const struct vector *v = &vectors[_i];
    uint8_t message[VECTOR_BYTES];
    size_t bytes = from_hex(v->hex, message);
    struct batch_reader r;
    struct batch_writer w;
    ck_assert_int_eq(batch_reader_init(&r, message, bytes), 0);
    ck_assert_int_eq(r.kind, v->head.kind);
    ck_assert_uint_eq(r.tag, v->head.tag);
    ck_assert_uint_eq(r.left, v->count);
    struct batch_head head = { .kind = r.kind, .tag = r.tag, .attrs = &r.frame };
    ck_assert_int_eq(batch_writer_init(&w, space, sizeof space, &head), 0);
    for (size_t k = 0; k < v->count; k++) {
        ck_assert(batch_reader_next(&r));
        ck_assert_uint_eq(r.record.attrs.set, v->records[k].attrs.set | v->frame.set);
        ck_assert_uint_eq(r.record.body_bytes, v->records[k].body_bytes);
        struct batch_record record = r.record;
        record.attrs.set &= ~v->frame.set;
        ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    }
    ck_assert(!batch_reader_next(&r));
    ck_assert_uint_eq(w.used, bytes);
    ck_assert_mem_eq(space, message, bytes);
}
END_TEST

START_TEST(vector_cut_at_every_byte)
{
    const struct vector *v = &vectors[_i];
    uint8_t message[VECTOR_BYTES];
    size_t bytes = from_hex(v->hex, message);
    struct batch_reader r;
    for (size_t n = 0; n < bytes; n++) {
        ck_assert_int_eq(batch_reader_init(&r, message, n), PEN_EPROTO);
        ck_assert_ptr_nonnull(r.why);
        ck_assert(!batch_reader_next(&r));
        ck_assert_uint_eq(r.tag, n < BATCH_HEAD_BYTES ? 0 : v->head.tag);
    }
    message[bytes] = 0;
    ck_assert_int_eq(batch_reader_init(&r, message, bytes + 1), PEN_EPROTO);
    ck_assert_str_eq(r.why, "something follows the last record");
}
END_TEST

static const struct {
    const char *word;
    unsigned number;
} numbers[] = {
#define KIND(name, number, word) { (word), (number) },
#define ATTR(name, field, number, type, max) { #field, (number) },
#include "proto/batch.def"
#undef KIND
#undef ATTR
};

/* The manual holds the same vectors, 16 bytes in a line, and the same numbers. */
START_TEST(the_manual_says_the_same)
{
    char path[4096], line[256];
    static char text[256 * 1024];
    size_t used = 0;
    (void)snprintf(path, sizeof path, "%s/man/penstock-protocol.7", getenv("top_srcdir"));
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        size_t n = strcspn(line, "\n");
        memcpy(text + used, line, n);
        used += n;
        text[used++] = ' ';
    }
    ck_assert_int_eq(fclose(file), 0);
    for (size_t i = 0; i < VECTORS; i++)
        ck_assert_msg(strstr(text, vectors[i].hex) != NULL, "not in the manual: %s", vectors[i].hex);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)snprintf(line, sizeof line, ".It %s Ta 0x%02x Ta ", numbers[i].word, numbers[i].number);
        ck_assert_msg(strstr(text, line) != NULL, "not in the manual: %s", line);
    }
}
END_TEST

/* ---- what the frame says for its records ---- */

static struct batch_writer begin(const struct batch_attrs *attrs, size_t size)
{
    struct batch_writer w;
    struct batch_head head = { .kind = BATCH_PUT, .tag = 1, .attrs = attrs };
    ck_assert_int_eq(batch_writer_init(&w, space, size, &head), 0);
    return w;
}

START_TEST(frame_says_what_records_do_not)
{
    struct batch_attrs frame = { 0 };
    batch_set(&frame, PRIORITY, priority, 5);
    batch_set(&frame, SEQUENCE, sequence, 41);
    struct batch_writer w = begin(&frame, sizeof space);
    struct batch_record own = { 0 }, none = { 0 };
    batch_set(&own.attrs, PRIORITY, priority, 9);
    batch_mark(&own.attrs, JOIN);
    ck_assert_int_eq(batch_writer_add(&w, &none), 0);
    ck_assert_int_eq(batch_writer_add(&w, &own), 0);
    ck_assert_int_eq(batch_writer_add(&w, &none), 0);

    static const unsigned priorities[] = { 5, 9, 5 };
    struct batch_reader r;
    ck_assert_int_eq(batch_reader_init(&r, space, w.used), 0);
    for (unsigned k = 0; batch_reader_next(&r); k++) {
        ck_assert_uint_eq(r.record.attrs.priority, priorities[k]);
        ck_assert_uint_eq(r.record.attrs.sequence, 41 + k);
        ck_assert_int_eq(batch_has(&r.record.attrs, JOIN), k == 1);
    }
}
END_TEST

/* A number is written over another where the frame itself gives it, and nowhere else. */
START_TEST(renumbered)
{
    struct batch_attrs frame = { 0 };
    struct batch_text topic = TEXT("squares");
    batch_set(&frame, TOPIC, topic, topic);
    batch_set(&frame, SEQUENCE, sequence, 0);
    struct batch_writer w = begin(&frame, sizeof space);
    struct batch_record own = { 0 };
    batch_set(&own.attrs, STREAM, stream, 1);
    ck_assert_int_eq(batch_writer_add(&w, &own), 0);
    ck_assert_int_eq(batch_writer_add(&w, &own), 0);
    ck_assert_uint_eq(batch_records(space), 2);
    ck_assert(batch_renumber(space, BATCH_ATTR_SEQUENCE, UINT64_MAX - 1));
    ck_assert(!batch_renumber(space, BATCH_ATTR_STREAM, 7));

    struct batch_reader r;
    ck_assert_int_eq(batch_reader_init(&r, space, w.used), 0);
    ck_assert(batch_reader_next(&r) && batch_reader_next(&r));
    ck_assert_uint_eq(r.record.attrs.sequence, UINT64_MAX);
    ck_assert_uint_eq(r.record.attrs.stream, 1);
    ck_assert_uint_eq(r.record.attrs.topic.bytes, topic.bytes);
}
END_TEST

START_TEST(headers)
{
    char to[64];
    uint32_t used = 0, at = 0;
    struct batch_text a = TEXT("a"), empty = { 0 }, value = TEXT("0123456789"), name, got;
    ck_assert_int_eq(batch_header_add(to, sizeof to, &used, empty, value), PEN_EINVAL);
    ck_assert_int_eq(batch_header_add(to, sizeof to, &used, a, empty), 0);
    ck_assert_int_eq(batch_header_add(to, used + 13, &used, a, value), PEN_EFULL);
    ck_assert_int_eq(batch_header_add(to, used + 14, &used, a, value), 0);
    struct batch_text all = { to, used };
    ck_assert(batch_header_next(all, &at, &name, &got) && name.bytes == 1 && got.bytes == 0);
    ck_assert(batch_header_next(all, &at, &name, &got) && got.bytes == 10);
    ck_assert_mem_eq(got.at, "0123456789", 10);
    ck_assert(!batch_header_next(all, &at, &name, &got));
}
END_TEST

/* ---- limits ---- */

#define NUMBER_LIMIT(field, largest) \
    do { \
        a.field = (uint64_t)(largest); \
        try_limit(&a, true); \
        a.field++; \
        try_limit(&a, (uint64_t)(largest) == UINT64_MAX); \
    } while (0)
#define LIMIT_MARK(field, largest) try_limit(&a, true)
#define LIMIT_U8(field, largest) NUMBER_LIMIT(field, largest)
#define LIMIT_U32(field, largest) NUMBER_LIMIT(field, largest)
#define LIMIT_U64(field, largest) NUMBER_LIMIT(field, largest)
#define LIMIT_TEXT(field, largest) \
    do { \
        a.field = (struct batch_text){ letters, (largest) }; \
        try_limit(&a, true); \
        a.field.bytes++; \
        try_limit(&a, false); \
        a.field = (struct batch_text){ "a\0b", 3 }; \
        try_limit(&a, false); \
    } while (0)
#define LIMIT_BLOB(field, largest) try_limit(&a, true)

/* Encoded it comes back, or it is not encoded. */
static void try_limit(const struct batch_attrs *attrs, bool right)
{
    struct batch_writer w = begin(NULL, sizeof space);
    struct batch_record record = { .attrs = *attrs };
    struct batch_reader r;
    ck_assert_int_eq(batch_writer_add(&w, &record), right ? 0 : PEN_EINVAL);
    ck_assert_int_eq(batch_reader_init(&r, space, w.used), 0);
    ck_assert_int_eq(batch_reader_next(&r), right);
    if (right)
        ck_assert_uint_eq(r.record.attrs.set, attrs->set);
}

START_TEST(every_attribute_at_its_limit_and_one_beyond)
{
    static char letters[1024];
    memset(letters, 'x', sizeof letters);
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) \
    { \
        struct batch_attrs a = { .set = BATCH_BIT(name) }; \
        LIMIT_##type(field, max); \
    }
#include "proto/batch.def"
#undef KIND
#undef ATTR
}
END_TEST

/* What is above its limit is not taken either when somebody else encoded it. */
START_TEST(a_number_beyond_its_limit_in_a_message)
{
    struct batch_writer w = begin(NULL, sizeof space);
    struct batch_record record = { 0 };
    batch_set(&record.attrs, PRIORITY, priority, 9);
    ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    struct batch_reader r;
    ck_assert_int_eq(batch_reader_init(&r, space, w.used), 0);
    space[w.used - 1] = 10;
    ck_assert_int_eq(batch_reader_init(&r, space, w.used), PEN_EPROTO);
}
END_TEST

START_TEST(space_that_just_does_and_one_byte_less)
{
    struct batch_record record = { BODY("hello") };
    batch_set(&record.attrs, ID, id, 1);
    size_t bytes = BATCH_HEAD_BYTES + (size_t)batch_record_head_bytes(&record) + 5;
    struct batch_writer w = begin(NULL, bytes);
    ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    ck_assert_uint_eq(w.used, bytes);
    w = begin(NULL, bytes - 1);
    ck_assert_int_eq(batch_writer_add(&w, &record), PEN_EFULL);
    ck_assert_uint_eq(w.used, BATCH_HEAD_BYTES);
    ck_assert_int_eq(batch_writer_add_open(&w, &record), 0);
    memcpy(space + w.used, "hello", 5);
    struct batch_reader r;
    ck_assert_int_eq(batch_reader_init(&r, space, bytes), 0);
    ck_assert_int_eq(batch_writer_init(&w, space, BATCH_HEAD_BYTES - 1,
                                       &(struct batch_head){ .kind = BATCH_PUT }),
                     PEN_EFULL);
}
END_TEST

START_TEST(as_many_records_as_may_be_and_one_more)
{
    struct batch_writer w = begin(NULL, sizeof space);
    struct batch_record record = { 0 };
    for (uint32_t k = 0; k < BATCH_RECORDS_MAX; k++)
        ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    ck_assert_int_eq(batch_writer_add(&w, &record), PEN_EFULL);
    struct batch_reader r;
    ck_assert_int_eq(batch_reader_init(&r, space, w.used), 0);
    space[8] = 1; /* One more, and it is there. */
    memset(space + w.used, 0, BATCH_RECORD_BYTES);
    ck_assert_int_eq(batch_reader_init(&r, space, w.used + BATCH_RECORD_BYTES), PEN_EPROTO);
    ck_assert_str_eq(r.why, "too many records");
}
END_TEST

/* ---- how it may grow ---- */

/* A frame of one record with these bytes as its attributes. */
static int try_attrs(const char *bytes, size_t n)
{
    struct batch_writer w = begin(NULL, sizeof space);
    struct batch_record record = { 0 };
    struct batch_reader r;
    ck_assert_int_eq(batch_writer_add(&w, &record), 0);
    memcpy(space + w.used, bytes, n);
    space[BATCH_HEAD_BYTES + 4] = (uint8_t)n;
    int result = batch_reader_init(&r, space, w.used + n);
    if (result == 0) {
        ck_assert(batch_reader_next(&r));
        ck_assert_uint_eq(r.record.attrs.set, 0);
    }
    return result;
}

START_TEST(unknown_attributes)
{
    ck_assert_int_eq(try_attrs("\x7f\x01x", 3), 0);
    ck_assert_int_eq(try_attrs("\xff\x01\x00x", 4), 0);
    ck_assert_int_eq(try_attrs("\x3f\x01x", 3), PEN_EPROTO);
    ck_assert_int_eq(try_attrs("\xbf\x01\x00x", 4), PEN_EPROTO);
    ck_assert_int_eq(try_attrs("\x00\x00", 2), PEN_EPROTO);
}
END_TEST

START_TEST(wrong_attributes)
{
    ck_assert_int_eq(try_attrs("\x08\x01\x01\x08\x01\x01", 6), PEN_EPROTO); /* twice */
    ck_assert_int_eq(try_attrs("\x08\x02\x01\x00", 4), PEN_EPROTO);         /* longer than it is */
    ck_assert_int_eq(try_attrs("\x07\x01\x00", 3), PEN_EPROTO);     /* a mark with a value */
    ck_assert_int_eq(try_attrs("\x81\x01\x00\x00", 4), PEN_EPROTO); /* a header without a name */
    ck_assert_int_eq(try_attrs("\x81\x04\x00\x01n\x01\x00", 7), PEN_EPROTO); /* its value is cut off */
    ck_assert_int_eq(try_attrs("\x05", 1), PEN_EPROTO);
    ck_assert_int_eq(try_attrs("\x81\x00", 2), PEN_EPROTO);
}
END_TEST

START_TEST(unknown_version_kind_and_flag)
{
    struct batch_reader r;
    static const struct {
        size_t at;
        uint8_t value;
        const char *why;
        uint32_t tag;
    } cases[] = {
        { 0, 'p', "this is not a batch frame", 0 },
        { 3, 2, "version of the batch framing unknown", 0 },
        { 4, 0x7f, "kind of frame unknown", 1 },
        { 5, 1, "flag unknown", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct batch_writer w = begin(NULL, sizeof space);
        space[cases[i].at] = cases[i].value;
        ck_assert_int_eq(batch_reader_init(&r, space, w.used), PEN_EPROTO);
        ck_assert_str_eq(r.why, cases[i].why);
        ck_assert_uint_eq(r.tag, cases[i].tag);
    }
    ck_assert_str_eq(batch_kind_word(BATCH_RESULTS), "results");
    ck_assert_str_eq(batch_kind_word(0x7f), "unknown");
    ck_assert_str_eq(batch_kind_word(256), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *t = tcase_create("vectors");
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, vector_out, 0, VECTORS);
    tcase_add_loop_test(t, vector_in, 0, VECTORS);
    tcase_add_loop_test(t, vector_cut_at_every_byte, 0, VECTORS);
    tcase_add_test(t, the_manual_says_the_same);
    t = tcase_create("attributes");
    suite_add_tcase(suite, t);
    tcase_add_test(t, frame_says_what_records_do_not);
    tcase_add_test(t, renumbered);
    tcase_add_test(t, headers);
    tcase_add_test(t, every_attribute_at_its_limit_and_one_beyond);
    tcase_add_test(t, a_number_beyond_its_limit_in_a_message);
    t = tcase_create("frames");
    suite_add_tcase(suite, t);
    tcase_add_test(t, space_that_just_does_and_one_byte_less);
    tcase_add_test(t, as_many_records_as_may_be_and_one_more);
    tcase_add_test(t, unknown_attributes);
    tcase_add_test(t, wrong_attributes);
    tcase_add_test(t, unknown_version_kind_and_flag);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
