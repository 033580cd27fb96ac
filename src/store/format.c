/* SPDX-License-Identifier: Apache-2.0
 *
 * Format of a segment, version 1
 * ==============================
 *
 * All numbers are little-endian, whatever the machine; records begin at multiples of 8 bytes from the file's beginning;
 * the page is 4,096 bytes, whatever the machine. A checksum is a CRC-32C; "salted" means: its seed is the low half of the
 * segment's salt.
 *
 * A segment is the file NNNNNNNNNNNNNNNN.seg, its number in 16 hexadecimal digits, counted from 1.
 *
 *   offset   bytes
 *        0      64  header
 *      512      64  the same header once more, in another sector
 *     4096       -  frames, one behind the other
 *        -       -  to the file's end: nothing, or what an older use of the file has left, with another salt
 *
 * Header:
 *        0       8  "PENSTOR" and a byte 0
 *        8       4  checksum of bytes 12 to 63
 *       12       4  version, 1
 *       16       8  number of the segment
 *       24       8  salt, drawn for each use of a file
 *       32       4  size of the segment; a frame is at most a quarter of it
 *       36       4  0
 *       40       8  when it was made: ns since 1970
 *       48       8  the store's id, the same in all its segments
 *       56       8  0
 *
 * Frame: one commit, which is there as a whole or not at all.
 *        0       4  salted checksum of bytes 4 to 63
 *        4       4  bytes of records, a multiple of 8
 *        8       8  the segment's salt
 *       16       8  sequence of the frame, counted from 1 over all segments without a gap
 *       24       8  all frames up to this sequence had been synced before this one was written
 *       32       8  sequence of the segment's first frame
 *       40       8  the highest id of a job that was ever put
 *       48       4  records
 *       52       4  flags: 1, the last frame before an orderly end
 *       56       8  when it was sealed: ns since 1970
 *       64       -  records
 *
 * Record:
 *        0       4  salted checksum of bytes 4 to 23
 *        4       4  salted checksum of the body
 *        8       4  bytes of the body
 *       12       1  type
 *       13       3  0
 *       16       8  sequence of the record, counted over all segments
 *       24       -  body, and 0 up to the next multiple of 8
 *
 * Body of type 1, put, a job as it is now; once more when it is moved out of an old segment:
 *        0       8  id
 *        8       2  attempts
 *       10       1  crashes
 *       11       1  priority, and 16 times its place
 *       12       1  which of the fields below there are: 1 due, 2 expires, 4 dedupe until, 8 extra
 *       13       1  0
 *       14       1  bytes of the key
 *       15       1  bytes of the dedupe id
 *       16     8*n  due, expires, dedupe until (ns since 1970), bytes of the extra: those that there are
 *        -       -  key, dedupe id, extra (the queue's other attributes, opaque here), and the rest is payload
 *
 * Body of type 2, ack, jobs that have ended:
 *        0     8*n  ids
 *
 * Body of type 3, state, of a job that goes on:
 *        0       8  id
 *        8       8  due: ns since 1970, or 0
 *       16       2  attempts
 *       18       1  crashes
 *       19       1  priority, and 16 times its place
 *       20       4  0
 *
 * Body of type 4, dedupe, what is remembered of a job that has ended and whose segment has gone:
 *        0       8  id
 *        8       8  until: ns since 1970
 *       16       -  dedupe id
 *
 * Why two checksums in a record: with a damaged body the length can still be trusted, so that the next record is found
 * and one job is lost instead of a frame. Why the salt stands in each frame: what a peer sent can then not pass for a
 * frame after a crash, for nobody outside knows it.
 */
#include "store/format.h"

#include <endian.h>
#include <string.h>

#include "base/crc32c.h"

static const char magic[8] = "PENSTOR";

enum { HAS_DUE = 1, HAS_EXPIRES = 2, HAS_DEDUPE = 4, HAS_EXTRA = 8, HAS_ALL = 15 };

/* ---- numbers ---- */

static void put16(uint8_t *to, uint16_t n)
{
    n = htole16(n);
    memcpy(to, &n, sizeof n);
}

static void put32(uint8_t *to, uint32_t n)
{
    n = htole32(n);
    memcpy(to, &n, sizeof n);
}

static void put64(uint8_t *to, uint64_t n)
{
    n = htole64(n);
    memcpy(to, &n, sizeof n);
}

static uint16_t get16(const uint8_t *from)
{
    uint16_t n;
    memcpy(&n, from, sizeof n);
    return le16toh(n);
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t n;
    memcpy(&n, from, sizeof n);
    return le32toh(n);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t n;
    memcpy(&n, from, sizeof n);
    return le64toh(n);
}

void format_id_put(uint8_t to[FORMAT_ID_BYTES], uint64_t id)
{
    put64(to, id);
}

uint64_t format_id_get(const uint8_t from[FORMAT_ID_BYTES])
{
    return get64(from);
}

/* ---- header ---- */

void format_header_put(uint8_t to[FORMAT_HEADER_BYTES], const struct segment_header *h)
{
    memset(to, 0, FORMAT_HEADER_BYTES);
    memcpy(to, magic, sizeof magic);
    put32(to + 12, FORMAT_VERSION);
    put64(to + 16, h->number);
    put64(to + 24, h->salt);
    put32(to + 32, h->segment_bytes);
    put64(to + 40, (uint64_t)h->created_ns);
    put64(to + 48, h->store_id);
    put32(to + 8, crc32c(0, to + 12, FORMAT_HEADER_BYTES - 12));
}

int format_header_get(const uint8_t from[FORMAT_HEADER_BYTES], struct segment_header *ret_header)
{
    if (memcmp(from, magic, sizeof magic) != 0 ||
        get32(from + 8) != crc32c(0, from + 12, FORMAT_HEADER_BYTES - 12))
        return PEN_EDAMAGED;
    if (get32(from + 12) != FORMAT_VERSION)
        return PEN_EFORMAT;
    uint32_t bytes = get32(from + 32);
    if (bytes < FORMAT_SEGMENT_BYTES_MIN || bytes > FORMAT_SEGMENT_BYTES_MAX)
        return PEN_EDAMAGED;
    *ret_header = (struct segment_header){
        .number = get64(from + 16),
        .salt = get64(from + 24),
        .segment_bytes = bytes,
        .created_ns = (int64_t)get64(from + 40),
        .store_id = get64(from + 48),
    };
    return 0;
}

/* ---- frame ---- */

void format_frame_put(uint8_t to[FORMAT_FRAME_BYTES], const struct frame_head *h)
{
    put32(to + 4, h->bytes);
    put64(to + 8, h->salt);
    put64(to + 16, h->seq);
    put64(to + 24, h->synced_seq);
    put64(to + 32, h->base_seq);
    put64(to + 40, h->last_id);
    put32(to + 48, h->records);
    put32(to + 52, h->flags);
    put64(to + 56, (uint64_t)h->sealed_ns);
    put32(to, crc32c((uint32_t)h->salt, to + 4, FORMAT_FRAME_BYTES - 4));
}

int format_frame_get(const uint8_t from[FORMAT_FRAME_BYTES], uint64_t salt,
                     struct frame_head *ret_head)
{
    if (get64(from + 8) != salt ||
        get32(from) != crc32c((uint32_t)salt, from + 4, FORMAT_FRAME_BYTES - 4))
        return PEN_EDAMAGED;
    struct frame_head h = {
        .salt = salt,
        .bytes = get32(from + 4),
        .seq = get64(from + 16),
        .synced_seq = get64(from + 24),
        .base_seq = get64(from + 32),
        .last_id = get64(from + 40),
        .records = get32(from + 48),
        .flags = get32(from + 52),
        .sealed_ns = (int64_t)get64(from + 56),
    };
    if (h.bytes % FORMAT_ALIGN != 0 || h.bytes > FORMAT_SEGMENT_BYTES_MAX || h.seq == 0 ||
        h.base_seq > h.seq || h.synced_seq >= h.seq)
        return PEN_EDAMAGED;
    *ret_head = h;
    return 0;
}

/* ---- record ---- */

void format_record_begin(uint8_t *at, enum record_type type, uint32_t body_bytes)
{
    memset(at, 0, FORMAT_RECORD_BYTES);
    put32(at + 8, body_bytes);
    at[12] = (uint8_t)type;
    size_t padding = (size_t)(format_padded(body_bytes) - body_bytes);
    memset(at + FORMAT_RECORD_BYTES + body_bytes, 0, padding);
}

void format_record_seal(uint8_t *at, uint64_t salt, uint64_t seq)
{
    put64(at + 16, seq);
    put32(at + 4, crc32c((uint32_t)salt, at + FORMAT_RECORD_BYTES, get32(at + 8)));
    put32(at, crc32c((uint32_t)salt, at + 4, FORMAT_RECORD_BYTES - 4));
}

uint32_t format_record_body_bytes(const uint8_t *at)
{
    return get32(at + 8);
}

uint32_t format_record_bytes(const uint8_t *at)
{
    return (uint32_t)format_record_size(get32(at + 8));
}

enum record_verdict format_record_get(const uint8_t *at, size_t n, uint64_t salt,
                                      struct record *ret_record)
{
    if (n < FORMAT_RECORD_BYTES ||
        get32(at) != crc32c((uint32_t)salt, at + 4, FORMAT_RECORD_BYTES - 4))
        return RECORD_HEAD_DAMAGED;
    uint32_t bytes = get32(at + 8);
    if (format_record_size(bytes) > n)
        return RECORD_HEAD_DAMAGED;
    *ret_record = (struct record){
        .type = at[12], .seq = get64(at + 16), .body = at + FORMAT_RECORD_BYTES, .bytes = bytes
    };
    bool whole = get32(at + 4) == crc32c((uint32_t)salt, at + FORMAT_RECORD_BYTES, bytes);
    return whole ? RECORD_WHOLE : RECORD_BODY_DAMAGED;
}

/* ---- put ---- */

static uint8_t fields_of(const struct store_job *j)
{
    return (uint8_t)((j->state.due_ns != 0 ? HAS_DUE : 0) | (j->expires_ns != 0 ? HAS_EXPIRES : 0) |
                     (j->dedupe_bytes != 0 ? HAS_DEDUPE : 0) | (j->extra_bytes != 0 ? HAS_EXTRA : 0));
}

uint64_t format_job_bytes(const struct store_job *j)
{
    return FORMAT_PUT_BYTES_MIN + 8u * (unsigned)__builtin_popcount(fields_of(j)) + j->key_bytes +
           j->dedupe_bytes + (uint64_t)j->extra_bytes + j->payload_bytes;
}

static uint8_t *put_field(uint8_t *to, bool there, uint64_t value)
{
    if (there)
        put64(to, value);
    return to + (there ? 8 : 0);
}

static uint8_t *put_bytes(uint8_t *to, const void *from, size_t n)
{
    if (n > 0)
        memcpy(to, from, n);
    return to + n;
}

static uint8_t priority_and_place(const struct store_state *s)
{
    return (uint8_t)((s->priority & 15) | (s->place & 15) << 4);
}

void format_job_put(uint8_t *to, const struct store_job *j)
{
    uint8_t has = fields_of(j);
    put64(to, j->id);
    put16(to + 8, j->state.attempts);
    to[10] = j->state.crashes;
    to[11] = priority_and_place(&j->state);
    to[12] = has;
    to[13] = 0;
    to[14] = j->key_bytes;
    to[15] = j->dedupe_bytes;
    to = put_field(to + FORMAT_PUT_BYTES_MIN, has & HAS_DUE, (uint64_t)j->state.due_ns);
    to = put_field(to, has & HAS_EXPIRES, (uint64_t)j->expires_ns);
    to = put_field(to, has & HAS_DEDUPE, (uint64_t)j->dedupe_ns);
    to = put_field(to, has & HAS_EXTRA, j->extra_bytes);
    to = put_bytes(to, j->key, j->key_bytes);
    to = put_bytes(to, j->dedupe, j->dedupe_bytes);
    to = put_bytes(to, j->extra, j->extra_bytes);
    (void)put_bytes(to, j->payload, j->payload_bytes);
}

/* What is left of a body while it is read. */
struct rest {
    const uint8_t *at;
    uint32_t bytes;
    bool short_of; /* more was asked for than there was */
};

static const uint8_t *take(struct rest *r, uint64_t n)
{
    const uint8_t *at = r->at;
    if (n > r->bytes) {
        r->short_of = true;
        return at;
    }
    r->at += n;
    r->bytes -= (uint32_t)n;
    return at;
}

static uint64_t take_field(struct rest *r, bool there)
{
    if (!there)
        return 0;
    const uint8_t *at = take(r, 8);
    return r->short_of ? 0 : get64(at);
}

static void get_state(const uint8_t *from, struct store_state *s)
{
    s->attempts = get16(from);
    s->crashes = from[2];
    s->priority = from[3] & 15;
    s->place = from[3] >> 4;
}

int format_job_get(const struct record *record, struct store_job *ret_job)
{
    struct rest r = { .at = record->body, .bytes = record->bytes };
    const uint8_t *fixed = take(&r, FORMAT_PUT_BYTES_MIN);
    if (r.short_of || (fixed[12] & ~HAS_ALL) != 0)
        return PEN_EDAMAGED;
    uint8_t has = fixed[12];
    struct store_job j = { .id = get64(fixed), .key_bytes = fixed[14], .dedupe_bytes = fixed[15] };
    get_state(fixed + 8, &j.state);
    j.state.due_ns = (int64_t)take_field(&r, has & HAS_DUE);
    j.expires_ns = (int64_t)take_field(&r, has & HAS_EXPIRES);
    j.dedupe_ns = (int64_t)take_field(&r, has & HAS_DEDUPE);
    uint64_t extra_bytes = take_field(&r, has & HAS_EXTRA);
    j.key = take(&r, j.key_bytes);
    j.dedupe = take(&r, j.dedupe_bytes);
    j.extra = take(&r, extra_bytes);
    if (r.short_of || j.id == 0)
        return PEN_EDAMAGED;
    j.extra_bytes = (uint32_t)extra_bytes;
    j.payload = r.at;
    j.payload_bytes = r.bytes;
    *ret_job = j;
    return 0;
}

/* ---- the small ones ---- */

void format_state_put(uint8_t to[FORMAT_STATE_BYTES], uint64_t id, const struct store_state *s)
{
    memset(to, 0, FORMAT_STATE_BYTES);
    put64(to, id);
    put64(to + 8, (uint64_t)s->due_ns);
    put16(to + 16, s->attempts);
    to[18] = s->crashes;
    to[19] = priority_and_place(s);
}

int format_state_get(const struct record *r, uint64_t *ret_id, struct store_state *ret_state)
{
    if (r->bytes != FORMAT_STATE_BYTES || get64(r->body) == 0)
        return PEN_EDAMAGED;
    *ret_id = get64(r->body);
    get_state(r->body + 16, ret_state);
    ret_state->due_ns = (int64_t)get64(r->body + 8);
    return 0;
}

void format_dedupe_put(uint8_t *to, const struct store_job *j)
{
    put64(to, j->id);
    put64(to + 8, (uint64_t)j->dedupe_ns);
    memcpy(to + FORMAT_DEDUPE_BYTES, j->dedupe, j->dedupe_bytes);
}

int format_dedupe_get(const struct record *r, struct store_job *ret_job)
{
    if (r->bytes <= FORMAT_DEDUPE_BYTES || r->bytes > FORMAT_DEDUPE_BYTES + UINT8_MAX)
        return PEN_EDAMAGED;
    *ret_job = (struct store_job){
        .id = get64(r->body),
        .dedupe_ns = (int64_t)get64(r->body + 8),
        .dedupe = r->body + FORMAT_DEDUPE_BYTES,
        .dedupe_bytes = (uint8_t)(r->bytes - FORMAT_DEDUPE_BYTES),
    };
    return 0;
}

int format_ack_count(const struct record *r, uint32_t *ret_count)
{
    if (r->bytes == 0 || r->bytes % FORMAT_ID_BYTES != 0)
        return PEN_EDAMAGED;
    *ret_count = r->bytes / FORMAT_ID_BYTES;
    return 0;
}
