/* SPDX-License-Identifier: Apache-2.0
 *
 * The DISK thread: commits. One frame at a time is under way; the next is collected meanwhile. It is the only thread that
 * writes frames, syncs them and tells about it.
 *
 * A failed write or sync is final: what the disk holds then is unknown, and only reading it again, at the next start, tells
 * (PostgreSQL's fsyncgate; Rebello et al., ATC 2020). Not so a write that finds the disk full, which can be where
 * the file system does not reserve: the same bytes go to the same place again, until there is room.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "plat/clock.h"
#include "store/inside.h"

static bool is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

/* ---- when ---- */

static mono_t earlier(mono_t a, mono_t b)
{
    return mono_before(a, b) ? a : b;
}

static mono_t after(mono_t since, span_t span)
{
    return since.ns == PEN_NEVER.ns ? PEN_NEVER : mono_after(since, span);
}

/* When what is written is to be synced without a commit. */
static mono_t sync_due(const struct store *s) LOCKED(&s->lock)
{
    if (chores_want_sync(s))
        return PEN_NOW;
    return s->options.sync == STORE_SYNC_INTERVAL ? after(s->unsynced_since, s->options.interval)
                                                  : PEN_NEVER;
}

mono_t commit_due(const struct store *s)
{
    if (s->untold)
        return PEN_NOW;
    if (s->news.condition == STORE_FAILED)
        return PEN_NEVER;
    if (s->committing != NULL)
        return s->retry_at;
    mono_t due = after(s->lazy_since, span_ms(STORE_LAZY_MS));
    if (s->urgent)
        due = PEN_NOW;
    if (s->reserved > 0 || (s->open->segment == NULL && store_spares(s) == 0))
        due = PEN_NEVER; /* Whoever changes that calls. */
    return earlier(due, sync_due(s));
}

/* ---- one commit ---- */

/* What the index says of a job, into the frame. */
static bool add_fate(struct store *s, struct frame *f, uint64_t id)
{
    const struct index_entry *e = index_find(s->index, id);
    if (e == NULL)
        return frame_add_ack(f, id);
    const struct store_state state = index_state(e);
    return frame_add_state(f, id, &state);
}

/* Ends and changes that found no room before, as many as do now. */
static void add_late(struct store *s, struct frame *f)
{
    size_t n = 0;
    while (n < s->late.count && add_fate(s, f, s->late.at[n]))
        n++;
    if (n == 0)
        return;
    s->late.count -= n;
    memmove(s->late.at, s->late.at + n, s->late.count * sizeof s->late.at[0]);
    s->lazy_since = PEN_NOW;
}

static void open_frame(struct store *s, struct frame *f) LOCKED(&s->lock)
{
    frame_reset(f);
    f->seq = s->last_seq + 1;
    s->urgent = false;
    s->lazy_since = PEN_NEVER;
    s->open = f;
    store_place(s, f);
    add_late(s, f);
}

static void seal(struct store *s, struct frame *f, uint32_t flags)
{
    struct segment *g = f->segment;
    struct frame_head h = { .salt = g->header.salt,
                            .seq = f->seq,
                            .synced_seq = s->news.synced,
                            .base_seq = g->base_seq,
                            .last_id = s->last_id,
                            .sealed_ns = clock_wall_ns(),
                            .bytes = f->bytes,
                            .records = f->records,
                            .flags = flags };
    f->head = h;
    f->first_record = s->last_record + 1;
    s->last_record += f->records;
    g->end += frame_size(f);
}

/* Take what was collected and begin the next frame; false: there is nothing that could be committed. */
static bool take_frame(struct store *s, uint32_t flags) LOCKED(&s->lock)
{
    struct frame *f = s->open;
    if (s->reserved > 0 || (f->records == 0 && flags == 0))
        return false;
    if (f->segment == NULL) {
        if (store_spares(s) == 0)
            return false;
        s->active++;
        f->segment = s->segments[s->active];
        f->at = f->segment->end;
    }
    s->last_seq = f->seq;
    if (f->segment->base_seq == 0)
        f->segment->base_seq = f->seq;
    seal(s, f, flags);
    s->committing = f;
    open_frame(s, f == &s->frames[0] ? &s->frames[1] : &s->frames[0]);
    return true;
}

/* Before the first frame of another segment is written, all in the one before is synced. */
static int finish_segment(struct store *s, const struct frame *f)
{
    uint64_t number = f->segment->header.number;
    if (number == s->written_number)
        return 0;
    struct segment *before = NULL;
    lock_take(&s->lock);
    if (s->unsynced_since.ns != PEN_NEVER.ns)
        before = store_segment(s, (uint32_t)s->written_number);
    lock_drop(&s->lock);
    int r = before != NULL ? vfs_sync(before->file) : 0;
    if (r < 0)
        return r;
    lock_take(&s->lock);
    s->written_number = s->safe_number = number;
    s->unsynced_since = PEN_NEVER;
    s->news.synced = s->news.written;
    lock_drop(&s->lock);
    return 0;
}

static int write_frame(struct store *s, struct frame *f, bool sync)
{
    int r = finish_segment(s, f);
    if (r < 0)
        return is_full(r) ? -EIO : r; /* A sync that failed for lack of space has failed. */
    frame_seal(f);
    r = vfs_write(f->segment->file, f->at, f->data, frame_size(f));
    if (r < 0 || !sync)
        return r;
    r = vfs_sync(f->segment->file);
    return is_full(r) ? -EIO : r;
}

static bool syncs_now(const struct store *s, bool sync)
{
    return sync || s->options.sync == STORE_SYNC_ALWAYS || s->options.sync == STORE_SYNC_GROUP;
}

static void written(struct store *s, const struct frame *f, bool synced) LOCKED(&s->lock)
{
    s->counts.commits++;
    s->counts.syncs += synced;
    s->counts.records += f->records;
    s->counts.written_bytes += frame_size(f);
    s->news.written = f->seq;
    s->committing = NULL;
    s->retry_at = PEN_NOW;
    if (store_spares(s) > 0)
        store_set_condition(s, STORE_OPEN, 0);
    if (synced) {
        s->news.synced = f->seq;
        s->unsynced_since = PEN_NEVER;
    } else if (s->unsynced_since.ns == PEN_NEVER.ns) {
        s->unsynced_since = clock_mono();
    }
}

/* What has become of a write. */
static void settle_write(struct store *s, const struct frame *f, int error, bool synced)
{
    struct futex *call = NULL;
    lock_take(&s->lock);
    if (error == 0) {
        written(s, f, synced);
    } else if (is_full(error)) {
        store_set_condition(s, STORE_FROZEN, error);
        s->retry_at = mono_after(clock_mono(), span_ms(STORE_RETRY_MS));
    } else {
        store_set_condition(s, STORE_FAILED, error);
    }
    s->chore_blocked = false;
    if (chores_wanted(s))
        call = sleeper_call(&s->chore_sleeper);
    lock_drop(&s->lock);
    sleeper_wake(call);
}

/* The interval has passed, or it is the end. */
static int sync_written(struct store *s)
{
    lock_take(&s->lock);
    uint64_t written = s->news.written;
    struct segment *g = store_segment(s, (uint32_t)s->written_number);
    lock_drop(&s->lock);
    int r = vfs_sync(g->file);
    lock_take(&s->lock);
    if (r == 0) {
        s->news.synced = written;
        s->unsynced_since = PEN_NEVER;
        s->counts.syncs++;
    } else {
        store_set_condition(s, STORE_FAILED, r);
    }
    lock_drop(&s->lock);
    return r;
}

static void tell(struct store *s)
{
    lock_take(&s->lock);
    s->untold = false;
    struct store_news news = s->news;
    lock_drop(&s->lock);
    if (s->options.on_news != NULL)
        s->options.on_news(s->options.arg, &news);
}

/* What is to be done now. */
struct plan {
    struct frame *frame; /* NULL: none to write */
    bool sync;           /* what was written before, without a frame */
    bool tell;
};

static struct plan make_plan(struct store *s, uint32_t flags)
{
    struct plan p = { 0 };
    lock_take(&s->lock);
    p.tell = s->untold;
    if (s->news.condition != STORE_FAILED) {
        if (s->committing != NULL || take_frame(s, flags))
            p.frame = s->committing;
        p.sync = !mono_before(clock_mono(), sync_due(s));
    }
    lock_drop(&s->lock);
    return p;
}

static bool commit(struct store *s, bool sync, uint32_t flags)
{
    struct plan p = make_plan(s, flags);
    bool syncs = syncs_now(s, sync || p.sync);
    if (p.frame != NULL)
        settle_write(s, p.frame, write_frame(s, p.frame, syncs), syncs);
    else if (p.sync)
        (void)sync_written(s); /* The news tell. */
    if (p.frame == NULL && !p.sync && !p.tell)
        return false;
    tell(s);
    return true;
}

bool commit_run(struct store *s, bool sync)
{
    return commit(s, sync, 0);
}

int commit_closing(struct store *s)
{
    while (s->late.count > 0 && s->news.condition == STORE_OPEN && commit(s, true, 0))
        continue;
    (void)commit(s, true, 0);
    (void)commit(s, true, FRAME_CLOSING);
    if (s->news.condition == STORE_FAILED)
        return s->news.error;
    return s->committing != NULL || s->open->records > 0 ? PEN_ESTOREFULL : 0;
}

/* ---- the thread ---- */

/* Sleep until the time or a call; false: it is closed, and nothing is left that could be done. */
static bool wait_for_work(struct store *s)
{
    lock_take(&s->lock);
    mono_t due = commit_due(s);
    bool ready = !mono_before(clock_mono(), due);
    bool closing = s->closing;
    if (!ready && !closing) {
        futex_reset(&s->disk_sleeper.word);
        s->disk_sleeper.asleep = true;
    }
    lock_drop(&s->lock);
    if (ready || closing)
        return !closing;
    (void)futex_wait(&s->disk_sleeper.word, due);
    lock_take(&s->lock);
    s->disk_sleeper.asleep = false;
    lock_drop(&s->lock);
    return true;
}

static bool is_due(struct store *s)
{
    lock_take(&s->lock);
    bool due = !mono_before(clock_mono(), commit_due(s));
    lock_drop(&s->lock);
    return due;
}

void commit_main(void *store)
{
    struct store *s = store;
    while (wait_for_work(s))
        if (is_due(s))
            (void)commit_run(s, false);
}
