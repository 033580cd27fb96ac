/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker endpoint of penstockd's, in batch framing over SP by itself; penstock-protocol(7) has the formats. Jobs are put
 * many in a frame, taken many in a frame, and acknowledged in one that goes out together with the next reserve.
 */
#include "wire.h"

#include <endian.h>
#include <stdlib.h>

enum {
    HELLO_BYTES = 8,
    SP_BYTES = 8 + 4, /* length and the request's id */
    FRAME_BYTES = 16,
    RECORD_BYTES = 8,
    SETTLED_BYTES = RECORD_BYTES + 20, /* with id and lease */
    HEAD_BYTES_MAX = SP_BYTES + FRAME_BYTES + 64,
    TAKEN_MAX = 256,
};

enum kind { PUT = 0x01, RESERVE = 0x02, ACK = 0x03, FAILED = 0x80, RECEIPTS = 0x81, JOBS = 0x82 };
enum attribute { ID = 0x01, LEASE = 0x02 };

/* The attributes of the frames; the last two are the lease, 60 s, and the wait, 60 s, before the count. */
static const uint8_t to_queue[] = { 0x03, 1, 'q' };
static const uint8_t how_to_wait[] = { 0x0f, 8,    0x60, 0xea, 0, 0, 0, 0, 0, 0,    0x10,
                                       8,    0x60, 0xea, 0,    0, 0, 0, 0, 0, 0x11, 4 };

struct link {
    struct wire *wire;
    uint8_t *out, *at; /* frames that are being made */
    bool asked;        /* a reserve is under way */
};

/* ---- making frames ---- */

static void add(struct link *l, const void *data, size_t bytes)
{
    memcpy(l->at, data, bytes);
    l->at += bytes;
}

static void add_number(struct link *l, uint64_t n, size_t bytes)
{
    n = htole64(n);
    add(l, &n, bytes);
}

/* The SP head is filled in at the end. */
static uint8_t *frame_begin(struct link *l, enum kind kind, size_t records, size_t attributes)
{
    uint8_t *begin = l->at;
    l->at += SP_BYTES;
    add(l, "PEN\1", 4);
    add_number(l, kind, 2);
    add_number(l, attributes, 2);
    add_number(l, records, 4);
    add_number(l, kind, 4);
    add(l, to_queue, sizeof to_queue);
    return begin;
}

static void frame_end(struct link *l, uint8_t *begin)
{
    uint64_t bytes = htobe64((uint64_t)(l->at - begin) - 8);
    memcpy(begin, &bytes, 8);
    memcpy(begin + 8, "\x80\0\0\1", 4);
}

static void add_reserve(struct link *l, size_t most)
{
    uint8_t *begin = frame_begin(l, RESERVE, 0, sizeof to_queue + sizeof how_to_wait + 4);
    add(l, how_to_wait, sizeof how_to_wait);
    add_number(l, most, 4);
    frame_end(l, begin);
    l->asked = true;
}

static void flush(struct link *l)
{
    wire_write(l->wire, l->out, (size_t)(l->at - l->out));
    l->at = l->out;
}

/* ---- reading frames ---- */

/* A frame in the read buffer, valid until the next one. */
struct frame {
    const uint8_t *at, *end; /* its records */
    uint32_t records;
};

static uint32_t number(const uint8_t *at, size_t bytes)
{
    uint32_t n = 0;
    memcpy(&n, at, bytes);
    return le32toh(n);
}

/* Wait for the next frame, which has to be of this kind. */
static struct frame frame_next(struct link *l, enum kind kind)
{
    uint64_t bytes;
    wire_need(l->wire, 8);
    memcpy(&bytes, wire_at(l->wire), 8);
    bytes = be64toh(bytes) + 8;
    if (bytes > WIRE_BYTES || bytes < SP_BYTES + FRAME_BYTES)
        die("workers", "a frame of a size that cannot be");
    wire_need(l->wire, bytes);
    const uint8_t *head = wire_at(l->wire) + SP_BYTES;
    if (head[4] != kind)
        die("workers", head[4] == FAILED ? "refused" : "an answer of another kind than expected");
    l->wire->begin += bytes;
    return (struct frame){ head + FRAME_BYTES + number(head + 6, 2), head - SP_BYTES + bytes,
                           number(head + 8, 4) };
}

struct record {
    uint64_t id, lease;
    const uint8_t *body;
    uint32_t bytes;
};

static struct record record_next(struct frame *f)
{
    struct record r = { .bytes = number(f->at, 4) };
    const uint8_t *at = f->at + RECORD_BYTES, *end = at + number(f->at + 4, 2);
    if (number(f->at + 6, 2) != 0)
        die("workers", "a job was refused");
    while (at < end) {
        uint64_t value = 0;
        size_t length_bytes = at[0] < 0x80 ? 1 : 2, bytes = number(at + 1, length_bytes);
        if (bytes <= 8)
            memcpy(&value, at + 1 + length_bytes, bytes);
        if (at[0] == ID)
            r.id = value;
        if (at[0] == LEASE)
            r.lease = value;
        at += 1 + length_bytes + bytes;
    }
    r.body = end;
    f->at = end + r.bytes;
    return r;
}

/* ---- the client ---- */

static void *open_link(enum role role)
{
    (void)role;
    struct link *l = must_allocate(sizeof *l);
    l->wire = wire_connect(load.in);
    l->at = l->out = must_allocate(2 * HEAD_BYTES_MAX + load.batch * (RECORD_BYTES + load.bytes) +
                                   TAKEN_MAX * SETTLED_BYTES);
    wire_write(l->wire, "\0SP\0\0\x30\0\0", HELLO_BYTES);
    wire_need(l->wire, HELLO_BYTES);
    l->wire->begin += HELLO_BYTES;
    return l;
}

static void put(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    uint8_t *begin = frame_begin(l, PUT, n, sizeof to_queue);
    for (size_t i = 0; i < n; i++) {
        add_number(l, load.bytes, 8); /* no attributes, no status */
        add(l, messages + i * load.bytes, load.bytes);
    }
    frame_end(l, begin);
    flush(l);
}

static size_t receipts(void *arg)
{
    struct frame f = frame_next(arg, RECEIPTS);
    size_t n = f.records;
    while (f.records-- > 0)
        (void)record_next(&f);
    return n;
}

static void work(void *arg, size_t most)
{
    struct link *l = arg;
    if (!l->asked) {
        add_reserve(l, most < TAKEN_MAX ? most : TAKEN_MAX);
        flush(l);
    }
    struct frame f = frame_next(l, JOBS);
    uint8_t *begin = frame_begin(l, ACK, f.records, sizeof to_queue);
    for (uint32_t i = 0; i < f.records; i++) {
        struct record r = record_next(&f);
        load_came(r.body, r.bytes);
        add_number(l, UINT64_C(20) << 32, 8); /* 20 bytes of attributes, no body, no status */
        add_number(l, ID | 8 << 8, 2);
        add_number(l, r.id, 8);
        add_number(l, LEASE | 8 << 8, 2);
        add_number(l, r.lease, 8);
    }
    frame_end(l, begin);
    add_reserve(l, most < TAKEN_MAX ? most : TAKEN_MAX);
    flush(l);
    (void)receipts(l);
}

const struct peer peers[] = {
    { .name = "workers", .open = open_link, .put = put, .receipts = receipts, .work = work },
    { .name = NULL },
};
