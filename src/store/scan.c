/* SPDX-License-Identifier: Apache-2.0
 *
 * What counts
 * ===========
 *
 * Frames are numbered without a gap, and each says up to which number all were synced when it was written. The segment
 * before is always synced before the next one's first frame is written. So, in the last segment that has any frame (the
 * tail), a place where the next frame is missing or not whole is
 *   - damage, when a head behind it says that the missing frame had been synced: what can be read of it is used, the
 *     rest is told, and it goes on behind it;
 *   - the torn end of a commit that was not finished, when none says so. All behind it was not synced either, and is
 *     dropped even where it is whole: a log is cut, not thinned.
 * In all segments before the tail it is damage when another frame follows in the segment, or when the next
 * segment's first number is not the next one.
 *
 * The limit of this: a rotten last frame cannot be told from a torn one. An orderly end writes one more, empty frame.
 *
 * Heads behind a hole are looked for at every multiple of 8 bytes, by the segment's salt, which nobody outside knows; only
 * numbers above the last one count, for a job may well carry a copy of this very file.
 */
#include "store/scan.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding the segments ---- */

struct found {
    struct scan *scan;
    uint64_t *numbers;
    size_t count, cap;
    int error;
};

static void find_one(void *arg, const char *name)
{
    struct found *f = arg;
    uint64_t number = segment_number(name);
    f->scan->has_temp |= strcmp(name, SEGMENT_TEMP) == 0;
    if (number == 0 || f->error < 0)
        return;
    if (f->count == f->cap) {
        size_t cap = f->cap == 0 ? 64 : f->cap * 2;
        uint64_t *numbers = reallocarray(f->numbers, cap, sizeof *numbers);
        if (numbers == NULL) {
            f->error = PEN_ENOMEM;
            return;
        }
        f->numbers = numbers;
        f->cap = cap;
    }
    f->numbers[f->count++] = number;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int open_one(struct scan *s, struct vfs_dir *dir, enum vfs_open how, uint64_t number)
{
    char name[SEGMENT_NAME_BYTES];
    struct scan_segment *g = &s->segments[s->count];
    int r = vfs_open(dir, segment_name(number, name), how, &g->file);
    if (r < 0)
        return r;
    s->highest_number = number;
    r = segment_read_header(g->file, number, &g->header);
    g->end = FORMAT_PAGE_BYTES;
    if (r == 0) {
        s->count++;
        return 0;
    }
    vfs_close(&g->file);
    if (r != PEN_EDAMAGED)
        return r;
    memcpy(s->damaged_names[s->damaged_count++], name, sizeof name);
    return 0;
}

int scan_open(struct vfs_dir *dir, enum vfs_open how, struct scan *ret_scan)
{
    *ret_scan = (struct scan){ 0 };
    struct found f = { .scan = ret_scan };
    int r = vfs_list(dir, find_one, &f);
    if (r == 0)
        r = f.error;
    if (r == 0 && f.count > 0) {
        qsort(f.numbers, f.count, sizeof f.numbers[0], by_number);
        ret_scan->segments = calloc(f.count, sizeof ret_scan->segments[0]);
        ret_scan->damaged_names = calloc(f.count, sizeof ret_scan->damaged_names[0]);
        if (ret_scan->segments == NULL || ret_scan->damaged_names == NULL)
            r = PEN_ENOMEM;
    }
    for (size_t i = 0; i < f.count && r == 0; i++)
        r = open_one(ret_scan, dir, how, f.numbers[i]);
    free(f.numbers);
    if (r < 0)
        scan_fini(ret_scan);
    return r;
}

void scan_fini(struct scan *s)
{
    for (size_t i = 0; i < s->count; i++)
        vfs_close(&s->segments[i].file);
    free(s->segments);
    free(s->damaged_names);
    *s = (struct scan){ 0 };
}

/* ---- one segment ---- */

struct walk {
    struct scan *scan;
    const struct scan_visitor *visitor;
    struct reader reader;
    struct scan_segment *g;
    uint64_t expected; /* the number of the next frame; 0: not known yet */
    uint64_t known_synced; /* all up to here were synced, as far as this segment tells; 0: not asked yet */
    uint64_t done_bytes, all_bytes;
    bool tail;
};

/* A head at a place, or PEN_EDAMAGED. */
static int head_at(struct walk *w, uint64_t at, struct frame_head *ret_head)
{
    const uint8_t *bytes;
    size_t n;
    int r = reader_get(&w->reader, at, FORMAT_FRAME_BYTES, &bytes, &n);
    if (r < 0)
        return r;
    if (n < FORMAT_FRAME_BYTES)
        return PEN_EDAMAGED;
    struct frame_head h;
    r = format_frame_get(bytes, w->g->header.salt, &h);
    if (r < 0 || h.bytes > format_frame_max(w->g->header.segment_bytes))
        return PEN_EDAMAGED;
    *ret_head = h;
    return 0;
}

/* Where in these bytes a head's salt stands for the first time; n: nowhere. */
static size_t find_salt(const uint8_t *bytes, size_t n, uint64_t salt)
{
    uint64_t wanted = htole64(salt), word;
    for (size_t i = 0; i + FORMAT_FRAME_BYTES <= n; i += FORMAT_ALIGN) {
        memcpy(&word, bytes + i + 8, sizeof word);
        if (word == wanted)
            return i;
    }
    return n;
}

/* The next head at or behind `from` with at least this number; PEN_EDAMAGED: none. */
static int find_head(struct walk *w, uint64_t from, uint64_t least_seq, uint64_t *ret_at,
                     struct frame_head *ret_head)
{
    enum { STRIDE = 64 * 1024 };
    for (uint64_t at = from;;) {
        const uint8_t *bytes;
        size_t n;
        int r = reader_get(&w->reader, at, STRIDE, &bytes, &n);
        if (r < 0)
            return r;
        if (n < FORMAT_FRAME_BYTES)
            return PEN_EDAMAGED;
        size_t i = find_salt(bytes, n, w->g->header.salt);
        struct frame_head h;
        if (i < n && format_frame_get(bytes + i, w->g->header.salt, &h) == 0 && h.seq >= least_seq) {
            *ret_at = at + i;
            *ret_head = h;
            return 0;
        }
        /* A head may begin in what is too near to the end to hold one. */
        at += i < n ? i + FORMAT_ALIGN : n - n % FORMAT_ALIGN - FORMAT_FRAME_BYTES + FORMAT_ALIGN;
    }
}

static int tell_damage(struct walk *w, struct store_damage d)
{
    d.segment = w->g->header.number;
    return w->visitor->damage != NULL ? w->visitor->damage(w->visitor->arg, &d) : 0;
}

static int tell_record(struct walk *w, const struct record *r, uint64_t at)
{
    if (r->seq > w->scan->last_record)
        w->scan->last_record = r->seq;
    return w->visitor->record != NULL ? w->visitor->record(w->visitor->arg, w->g, r, at) : 0;
}

/* All records are whole and as many as the head says. */
static bool is_whole(const struct frame_head *h, const uint8_t *body)
{
    uint32_t at = 0, n = 0;
    struct record r;
    for (; at < h->bytes; n++) {
        if (format_record_get(body + at, h->bytes - at, h->salt, &r) != RECORD_WHOLE)
            return false;
        at += (uint32_t)format_record_size(r.bytes);
    }
    return n == h->records;
}

/* Tell the frame's records. What is damaged is told as that, and skipped: a body by its length, a head up to the next
 * one that is whole. */
static int tell_records(struct walk *w, const struct frame_head *h, const uint8_t *body, uint64_t at)
{
    struct record rec;
    int r = 0;
    for (uint32_t i = 0; i < h->bytes && r == 0;) {
        enum record_verdict verdict = format_record_get(body + i, h->bytes - i, h->salt, &rec);
        uint32_t from = i;
        if (verdict == RECORD_HEAD_DAMAGED)
            do {
                i += FORMAT_ALIGN;
            } while (i < h->bytes && format_record_get(body + i, h->bytes - i, h->salt, &rec) ==
                                         RECORD_HEAD_DAMAGED);
        else
            i += (uint32_t)format_record_size(rec.bytes);
        if (verdict == RECORD_WHOLE)
            r = tell_record(w, &rec, at + from);
        else
            r = tell_damage(w, (struct store_damage){ .at = at + from,
                                                      .bytes = i - from,
                                                      .seq_first = h->seq,
                                                      .seq_last = h->seq,
                                                      .record = true });
    }
    return r;
}

enum { FRAME_NONE, FRAME_BROKEN, FRAME_WHOLE };

/* What is at a place. The body is valid until the reader is used again, and shorter than the head says at the file's
 * end. */
static int look(struct walk *w, uint64_t at, struct frame_head *ret_head, const uint8_t **ret_body)
{
    size_t n;
    int r = head_at(w, at, ret_head);
    if (r == PEN_EDAMAGED)
        return FRAME_NONE;
    if (r == 0)
        r = reader_get(&w->reader, at + FORMAT_FRAME_BYTES, ret_head->bytes, ret_body, &n);
    if (r < 0)
        return r;
    bool all = n == ret_head->bytes;
    ret_head->bytes = (uint32_t)(n - n % FORMAT_ALIGN);
    return all && is_whole(ret_head, *ret_body) ? FRAME_WHOLE : FRAME_BROKEN;
}

/* A frame that counts, whole or not: tell it and step behind it. */
static int use_frame(struct walk *w, const struct frame_head *h, const uint8_t *body, uint64_t *at)
{
    struct scan *s = w->scan;
    int r = w->visitor->frame != NULL ? w->visitor->frame(w->visitor->arg, w->g, h, *at) : 0;
    if (r == 0)
        r = tell_records(w, h, body, *at + FORMAT_FRAME_BYTES);
    if (w->g->base_seq == 0)
        w->g->base_seq = h->base_seq;
    s->last_seq = h->seq;
    s->closed = (h->flags & FRAME_CLOSING) != 0;
    if (h->last_id > s->last_id)
        s->last_id = h->last_id;
    w->expected = h->seq + 1;
    *at += FORMAT_FRAME_BYTES + h->bytes;
    w->g->end = *at;
    return r;
}

/* Up to which number the frames of this segment were synced for certain, by the heads behind a hole. */
static int ask_synced(struct walk *w, uint64_t from)
{
    struct frame_head h;
    w->known_synced = w->tail ? 0 : UINT64_MAX;
    int r = 0;
    while (w->tail && (r = find_head(w, from, w->expected, &from, &h)) == 0) {
        if (w->expected == 0)
            w->expected = h.base_seq;
        if (h.synced_seq > w->known_synced)
            w->known_synced = h.synced_seq;
        from += FORMAT_ALIGN;
    }
    return r == PEN_EDAMAGED ? 0 : r;
}

/* Frames that are missing altogether, before the one that was found. */
static int tell_hole(struct walk *w, uint64_t at, uint64_t found_at, uint64_t found_seq)
{
    if (w->expected == 0)
        w->expected = 1;
    return tell_damage(w, (struct store_damage){ .at = at,
                                                 .bytes = found_at - at,
                                                 .seq_first = w->expected,
                                                 .seq_last = found_seq - 1 });
}

/* The last frame was the last one of an orderly end, and in this segment: nothing was written behind it. */
static bool ended_orderly(const struct walk *w)
{
    return w->tail && w->scan->closed && w->g->base_seq != 0;
}

/* Nothing that fits is at *at. 1: it goes on there, 0: the segment ends there. */
static int cross_hole(struct walk *w, uint64_t *at)
{
    struct frame_head h;
    uint64_t found_at;
    if (ended_orderly(w))
        return 0;
    int r = w->known_synced == 0 ? ask_synced(w, *at) : 0;
    if (r < 0 || (w->expected > w->known_synced && w->tail))
        return r;
    r = find_head(w, *at, w->expected, &found_at, &h);
    if (r < 0)
        return r == PEN_EDAMAGED ? 0 : r;
    if (w->expected == 0)
        w->expected = h.base_seq;
    if (h.seq > w->expected || found_at > *at)
        r = tell_hole(w, *at, found_at, h.seq);
    w->expected = h.seq;
    *at = found_at;
    return r < 0 ? r : 1;
}

/* How much of what is behind the end was once begun: up to the end of the last head's frame. */
static int measure_torn(struct walk *w)
{
    struct frame_head h;
    uint64_t from = w->g->end, end = from;
    int r;
    while ((r = find_head(w, from, 0, &from, &h)) == 0) {
        end = from + FORMAT_FRAME_BYTES + h.bytes;
        from += FORMAT_ALIGN;
    }
    w->g->torn_bytes = end - w->g->end;
    return r == PEN_EDAMAGED ? 0 : r;
}

static int walk_segment(struct walk *w)
{
    uint64_t at = FORMAT_PAGE_BYTES;
    w->known_synced = 0;
    for (;;) {
        struct frame_head h;
        const uint8_t *body;
        int kind = look(w, at, &h, &body);
        if (kind < 0)
            return kind;
        if (kind != FRAME_NONE && w->expected == 0)
            w->expected = h.base_seq;
        bool fits = kind != FRAME_NONE && h.seq == w->expected;
        if (fits && kind == FRAME_BROKEN) {
            int r = w->known_synced == 0 ? ask_synced(w, at) : 0;
            fits = r == 0 && w->expected <= w->known_synced;
            if (r < 0 || (fits && (r = look(w, at, &h, &body)) < 0))
                return r;
        }
        int r = fits ? use_frame(w, &h, body, &at) : cross_hole(w, &at);
        if (r < 0)
            return r;
        if (!fits && r == 0)
            return w->tail && !ended_orderly(w) ? measure_torn(w) : 0;
    }
}

/* ---- all segments ---- */

/* The last segment that has a head anywhere. */
static int find_tail(struct walk *w, size_t *ret_index)
{
    size_t i = w->scan->count;
    while (i-- > 0) {
        struct frame_head h;
        uint64_t at;
        w->g = &w->scan->segments[i];
        reader_set(&w->reader, w->g->file);
        int r = find_head(w, FORMAT_PAGE_BYTES, 1, &at, &h);
        if (r == 0)
            break;
        if (r != PEN_EDAMAGED)
            return r;
    }
    *ret_index = i; /* SIZE_MAX: no segment has one. */
    return 0;
}

/* Are frames missing between what was read and the first of the next segment? */
static int check_gap(struct walk *w)
{
    struct frame_head h;
    int r = head_at(w, FORMAT_PAGE_BYTES, &h);
    if (r < 0)
        return r == PEN_EDAMAGED ? 0 : r;
    if (w->expected == 0 || h.base_seq <= w->expected)
        return 0;
    r = tell_hole(w, FORMAT_PAGE_BYTES, FORMAT_PAGE_BYTES, h.base_seq);
    w->expected = h.base_seq;
    return r;
}

static int walk_all(struct walk *w)
{
    size_t tail;
    int r = find_tail(w, &tail);
    for (size_t i = 0; i < w->scan->count && r == 0; i++) {
        w->g = &w->scan->segments[i];
        w->tail = i == tail;
        reader_set(&w->reader, w->g->file);
        if (tail != SIZE_MAX && i <= tail)
            r = check_gap(w);
        if (r == 0 && tail != SIZE_MAX && i <= tail)
            r = walk_segment(w);
        w->done_bytes += w->g->header.segment_bytes;
        if (r == 0 && w->visitor->segment != NULL)
            r = w->visitor->segment(w->visitor->arg, w->g, w->done_bytes, w->all_bytes);
    }
    return r;
}

int scan_run(struct scan *s, const struct scan_visitor *visitor)
{
    struct walk w = { .scan = s, .visitor = visitor };
    for (size_t i = 0; i < s->count; i++)
        w.all_bytes += s->segments[i].header.segment_bytes;
    int r = walk_all(&w);
    reader_fini(&w.reader);
    return r;
}
