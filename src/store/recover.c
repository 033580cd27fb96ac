/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a log again
 * ===================
 *
 * 1. Read everything (scan.c), and do to the index what each record says. Memory: the index, and one frame.
 * 2. Cut the torn end off, by truncating the file, and sync it. What was read may have been in the system's memory only,
 *    and everything that follows relies on it; and what was cut must not be taken for damage when later frames,
 *    with the same numbers, are in the next segment.
 * 3. Remove segments without frames, with the highest number first, and what was only being made. Segments whose
 *    header is not whole get another name and are left to people.
 * 4. Read the jobs that live, in the order of their ids, and give them to their keeper: most are where the one before
 *    was, and those that were moved forward are elsewhere, so a few windows are kept.
 *
 * The store is not open yet: no thread but this one knows it, and its lock is not taken (NO_TSA), least of all over reads.
 * A crash in here changes nothing that the next attempt would judge otherwise. What was recovered is never appended to: a
 * new segment is begun.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "plat/clock.h"
#include "store/inside.h"
#include "store/scan.h"

enum { WINDOWS = 4 };

struct recovery {
    struct store *store;
    const struct store_keeper *keeper;
    struct store_recovery found;
    int64_t now_ns;
    bool change;

    /* in step 4 */
    struct reader windows[WINDOWS];
    uint64_t used[WINDOWS], uses; /* when each was used last */
};

/* ---- 1: what the records say ---- */

static struct segment *add_segment(struct store *s, const struct scan_segment *from) NO_TSA
{
    struct segment *g = calloc(1, sizeof *g);
    if (g == NULL || store_add_segment(s, g) < 0) {
        free(g);
        return NULL;
    }
    g->header = from->header;
    g->scanned = FORMAT_PAGE_BYTES;
    return g;
}

/* The segment whose records are being read is the last in the list. */
static int see_frame(void *arg, const struct scan_segment *from, const struct frame_head *head,
                     uint64_t at)
{
    struct recovery *rec = arg;
    struct store *s = rec->store;
    (void)head;
    (void)at;
    rec->found.frames++;
    uint64_t number = from->header.number;
    if (s->segments_count > 0 && s->segments[s->segments_count - 1]->header.number == number)
        return 0;
    return add_segment(s, from) != NULL ? 0 : PEN_ENOMEM;
}

static int see_damage(void *arg, const struct store_damage *d)
{
    struct recovery *rec = arg;
    rec->found.damaged++;
    rec->found.damaged_bytes += d->bytes;
    return rec->keeper->damage != NULL ? rec->keeper->damage(rec->keeper->arg, d) : 0;
}

/* A record whose checksum is right and whose content is not: of a writer that we do not know. */
static int see_nonsense(struct recovery *rec, const struct record *r)
{
    const struct store *s = rec->store;
    const struct store_damage d = { .segment = s->segments[s->segments_count - 1]->header.number,
                                    .bytes = r->bytes,
                                    .record = true };
    return see_damage(rec, &d);
}

static int see_put(struct recovery *rec, const struct record *r, uint64_t at) NO_TSA
{
    struct store *s = rec->store;
    struct store_job job;
    if (format_job_get(r, &job) < 0)
        return see_nonsense(rec, r);
    if (index_find(s->index, job.id) == NULL && index_reserve(s->index, 1) < 0)
        return PEN_ENOMEM;
    store_locate(s, &job, s->segments[s->segments_count - 1], at,
                 (uint32_t)format_record_size(r->bytes));
    if (job.id > s->last_id)
        s->last_id = job.id;
    bool remembered = job.dedupe_bytes > 0 && job.dedupe_ns > rec->now_ns;
    return remembered && rec->keeper->dedupe != NULL ? rec->keeper->dedupe(rec->keeper->arg, &job)
                                                     : 0;
}

static int see_ack(struct recovery *rec, const struct record *r) NO_TSA
{
    struct store *s = rec->store;
    uint32_t count;
    if (format_ack_count(r, &count) < 0)
        return see_nonsense(rec, r);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = format_id_get(r->body + (size_t)i * FORMAT_ID_BYTES);
        struct index_entry *e = index_find(s->index, id);
        if (e == NULL)
            continue; /* Its put went with an older segment. */
        store_forget(s, e);
        index_remove(s->index, id);
    }
    return 0;
}

static int see_state(struct recovery *rec, const struct record *r)
{
    struct store_state state;
    uint64_t id;
    if (format_state_get(r, &id, &state) < 0)
        return see_nonsense(rec, r);
    struct index_entry *e = index_find(rec->store->index, id);
    if (e != NULL)
        index_set_state(e, &state);
    return 0;
}

static int see_dedupe(struct recovery *rec, const struct record *r)
{
    struct store *s = rec->store;
    struct store_job job;
    if (format_dedupe_get(r, &job) < 0)
        return see_nonsense(rec, r);
    struct segment *g = s->segments[s->segments_count - 1];
    if (job.dedupe_ns > g->dedupe_ns)
        g->dedupe_ns = job.dedupe_ns;
    bool remembered = job.dedupe_ns > rec->now_ns;
    return remembered && rec->keeper->dedupe != NULL ? rec->keeper->dedupe(rec->keeper->arg, &job)
                                                     : 0;
}

static int see_record(void *arg, const struct scan_segment *g, const struct record *r, uint64_t at)
{
    struct recovery *rec = arg;
    (void)g;
    rec->found.records++;
    switch (r->type) {
    case RECORD_PUT:
        return see_put(arg, r, at);
    case RECORD_ACK:
        return see_ack(arg, r);
    case RECORD_STATE:
        return see_state(arg, r);
    case RECORD_DEDUPE:
        return see_dedupe(arg, r);
    }
    return see_nonsense(arg, r);
}

static int see_segment(void *arg, const struct scan_segment *g, uint64_t done, uint64_t all)
{
    struct recovery *rec = arg;
    (void)g;
    if (rec->keeper->progress != NULL)
        rec->keeper->progress(rec->keeper->arg, done, all);
    return 0;
}

/* ---- 2 and 3: what the folder is like afterwards ---- */

/* The segments with frames become the store's; the last one is cut and synced. */
static int keep_segments(struct recovery *rec, struct scan *scan)
{
    struct store *s = rec->store;
    size_t kept = 0;
    struct scan_segment *last = NULL;
    for (size_t i = 0; i < scan->count && kept < s->segments_count; i++) {
        struct scan_segment *from = &scan->segments[i];
        struct segment *g = s->segments[kept];
        if (from->header.number != g->header.number)
            continue;
        last = from;
        g->end = from->end;
        g->base_seq = from->base_seq;
        g->file = from->file;
        from->file = NULL;
        kept++;
    }
    if (last == NULL)
        return 0;
    struct segment *g = s->segments[kept - 1];
    rec->found.torn_bytes += last->torn_bytes;
    if (!rec->change)
        return 0;
    int r = last->torn_bytes > 0 ? vfs_truncate(g->file, g->end) : 0;
    return r == 0 ? vfs_sync(g->file) : r;
}

static int set_aside(struct store *s, struct recovery *rec, const char *name)
{
    char aside[SEGMENT_NAME_BYTES + 16];
    (void)snprintf(aside, sizeof aside, "%s.damaged", name);
    rec->found.damaged++;
    return vfs_rename(s->dir, name, aside);
}

/* A segment without frames is a spare, or holds only what was torn; but one before the last that has frames has lost them. */
static int drop_segment(struct recovery *rec, const struct scan_segment *g, uint64_t last_number)
{
    char name[SEGMENT_NAME_BYTES];
    (void)segment_name(g->header.number, name);
    if (g->header.number < last_number)
        return set_aside(rec->store, rec, name);
    rec->found.torn_bytes += g->torn_bytes;
    return vfs_unlink(rec->store->dir, name);
}

static int tidy_up(struct recovery *rec, struct scan *scan)
{
    struct store *s = rec->store;
    size_t kept = s->segments_count;
    uint64_t last_number = kept > 0 ? s->segments[kept - 1]->header.number : 0;
    int r = 0;
    for (size_t i = scan->count; i-- > 0 && r == 0;)
        if (scan->segments[i].file != NULL)
            r = drop_segment(rec, &scan->segments[i], last_number);
    for (size_t i = 0; i < scan->damaged_count && r == 0; i++)
        r = set_aside(s, rec, scan->damaged_names[i]);
    if (r == 0 && scan->has_temp)
        r = vfs_unlink(s->dir, SEGMENT_TEMP);
    return r == 0 ? vfs_sync_dir(s->dir) : r;
}

/* ---- 4: the jobs ---- */

/* The window that has the place, or the one that was not used for longest. */
static struct reader *choose_window(struct recovery *rec, struct vfs_file *file, uint64_t at,
                                    size_t n)
{
    size_t oldest = 0;
    for (size_t i = 0; i < WINDOWS; i++) {
        struct reader *w = &rec->windows[i];
        bool has = w->file == file && at >= w->at && at + n <= w->at + w->bytes;
        if (has || rec->used[i] < rec->used[oldest])
            oldest = i;
        if (has)
            break;
    }
    rec->used[oldest] = ++rec->uses;
    if (rec->windows[oldest].file != file)
        reader_set(&rec->windows[oldest], file);
    return &rec->windows[oldest];
}

static int give_job(void *arg, uint64_t id, struct index_entry *e) NO_TSA
{
    struct recovery *rec = arg;
    struct store *s = rec->store;
    struct segment *g = store_segment(s, e->segment);
    uint64_t at = (uint64_t)e->at * FORMAT_ALIGN;
    const uint8_t *bytes;
    size_t n;
    struct store_job job;
    struct reader *w = choose_window(rec, g->file, at, e->size);
    int r = reader_get(w, at, e->size, &bytes, &n);
    if (r == 0)
        r = read_job(bytes, n, g->header.salt, id, &job);
    if (r < 0)
        return r; /* It was whole a moment ago. */
    job.state = index_state(e);
    rec->found.jobs++;
    rec->found.bytes += job.payload_bytes;
    return rec->keeper->job(rec->keeper->arg, &job);
}

/* ---- all of it ---- */

static int rebuild(struct recovery *rec, struct scan *scan)
{
    const struct scan_visitor visitor = { .frame = see_frame,
                                          .record = see_record,
                                          .damage = see_damage,
                                          .segment = see_segment,
                                          .arg = rec };
    struct store *s = rec->store;
    int r = scan_run(scan, &visitor);
    if (r < 0)
        return r;
    if (scan->last_id > s->last_id)
        s->last_id = scan->last_id;
    s->last_seq = scan->last_seq;
    s->last_record = scan->last_record;
    s->highest_number = scan->highest_number;
    if (scan->count > 0)
        s->store_id = scan->segments[0].header.store_id;
    rec->found.orderly = scan->closed;
    r = keep_segments(rec, scan);
    if (!rec->change)
        rec->found.damaged += scan->damaged_count;
    return r == 0 && rec->change ? tidy_up(rec, scan) : r;
}

int recover(struct store *s, const struct store_keeper *keeper, bool change,
            struct store_recovery *ret_recovery)
{
    struct recovery rec = { .store = s, .keeper = keeper, .now_ns = clock_wall_ns(), .change = change };
    struct scan scan;
    int r = scan_open(s->dir, change ? VFS_WRITE : VFS_READ, &scan);
    if (r < 0)
        return r;
    r = rebuild(&rec, &scan);
    scan_fini(&scan);
    if (r == 0)
        r = index_each(s->index, give_job, &rec);
    for (size_t i = 0; i < WINDOWS; i++)
        reader_fini(&rec.windows[i]);
    if (r < 0)
        return r;
    rec.found.segments = s->segments_count;
    rec.found.last_id = s->last_id;
    *ret_recovery = rec.found;
    return 0;
}
