/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch decoder: what is taken lies within the message, keeps its limits, and is the same after it was
 * encoded and decoded again; what is refused has a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bounds {
    const uint8_t *from, *to;
};

static void check_within(struct bounds in, const void *at, size_t bytes)
{
    const uint8_t *p = at;
    check(bytes == 0 || (p >= in.from && p < in.to && bytes <= (size_t)(in.to - p)));
}

static void check_text(struct bounds in, struct batch_text text, size_t max)
{
    check_within(in, text.at, text.bytes);
    check(text.bytes <= max);
    check(text.bytes == 0 || memchr(text.at, '\0', text.bytes) == NULL);
}

static void check_headers(struct bounds in, struct batch_text headers)
{
    uint32_t at = 0, used = 0;
    char *again = malloc(headers.bytes + 1u);
    struct batch_text name, value;
    check(again != NULL);
    while (batch_header_next(headers, &at, &name, &value)) {
        check_within(in, name.at, name.bytes);
        check_within(in, value.at, value.bytes);
        check(batch_header_add(again, headers.bytes, &used, name, value) == 0);
    }
    check(used == headers.bytes && (used == 0 || memcmp(again, headers.at, used) == 0));
    free(again);
}

#define CHECK_MARK(field, max)
#define CHECK_U8(field, max) check(attrs->field <= (uint64_t)(max));
#define CHECK_U32(field, max) check(attrs->field <= (uint64_t)(max));
#define CHECK_U64(field, max) check(attrs->field <= (uint64_t)(max));
#define CHECK_TEXT(field, max) check_text(in, attrs->field, max);
#define CHECK_BLOB(field, max) check_headers(in, attrs->field);

static void check_attrs(struct bounds in, const struct batch_attrs *attrs)
{
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) CHECK_##type(field, max)
#include "proto/batch.def"
#undef KIND
#undef ATTR
}

#define SAME_MARK(field)
#define SAME_U8(field) check(a->field == b->field);
#define SAME_U32(field) check(a->field == b->field);
#define SAME_U64(field) check(a->field == b->field);
#define SAME_TEXT(field) \
    check(a->field.bytes == b->field.bytes && \
          (a->field.bytes == 0 || memcmp(a->field.at, b->field.at, a->field.bytes) == 0));
#define SAME_BLOB(field) SAME_TEXT(field)

static void check_same(const struct batch_attrs *a, const struct batch_attrs *b)
{
    check(a->set == b->set);
#define KIND(name, number, word)
#define ATTR(name, field, number, type, max) SAME_##type(field)
#include "proto/batch.def"
#undef KIND
#undef ATTR
}

/* Decode both and compare; a record that has all the frame's attributes as its own says the same. */
static void check_same_frames(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    struct batch_reader ra, rb;
    check(batch_reader_init(&ra, a, a_bytes) == 0 && batch_reader_init(&rb, b, b_bytes) == 0);
    check(ra.kind == rb.kind && ra.tag == rb.tag && ra.left == rb.left);
    while (batch_reader_next(&ra)) {
        check(batch_reader_next(&rb));
        check(ra.record.status == rb.record.status);
        check(ra.record.body_bytes == rb.record.body_bytes);
        check(memcmp(ra.record.body, rb.record.body, ra.record.body_bytes) == 0);
        check_same(&ra.record.attrs, &rb.record.attrs);
    }
}

/* Records with what the frame said become bigger, and can become too big for their u16. */
static void try_again(const uint8_t *data, size_t size)
{
    struct batch_reader r;
    struct batch_writer w;
    size_t space = size * 8 + 64 * 1024;
    uint8_t *to = malloc(space);
    check(to != NULL && batch_reader_init(&r, data, size) == 0);
    struct batch_head head = { .kind = r.kind, .tag = r.tag, .attrs = &r.frame };
    check(batch_writer_init(&w, to, space, &head) == 0);
    while (batch_reader_next(&r)) {
        int added = batch_writer_add(&w, &r.record);
        check(added == 0 || added == PEN_EFULL || added == PEN_EINVAL);
        if (added < 0)
            break;
    }
    if (r.left == 0 && w.count > 0)
        check_same_frames(data, size, to, w.used);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_reader r;
    struct bounds in = { data, data + size };
    if (batch_reader_init(&r, data, size) < 0) {
        check(r.why != NULL && strlen(r.why) > 0);
        return 0;
    }
    uint32_t count = r.left, seen = 0;
    check_attrs(in, &r.frame);
    for (; batch_reader_next(&r); seen++) {
        check_within(in, r.record.body, r.record.body_bytes);
        check_attrs(in, &r.record.attrs);
    }
    check(seen == count);
    try_again(data, size);
    /* Whatever is cut off is missed. */
    for (size_t n = size > 64 ? size - 64 : 0; n < size; n++)
        check(batch_reader_init(&r, data, n) == PEN_EPROTO);
    return 0;
}
