/* SPDX-License-Identifier: Apache-2.0
 *
 * How it works
 * ============
 *
 * Two frames: one is collected, under the lock, by whoever puts, changes or ends; the other is written and synced by the
 * DISK thread (commit.c). When that is done they change places, so that everything that came meanwhile shares the next
 * sync: group commit, without a timer. Where a frame will stand is known as soon as it is opened, so a put's place
 * is in the index at once; what does not fit there waits for the next frame.
 *
 * A job is one put record, later state records, and an ack when it has ended. The index (index.c) knows the put's place and
 * the latest state of each job that lives. A segment counts what lives in it.
 *
 * The second thread (chores.c) makes segments ahead of need, out of old ones where it can; lets go of the oldest
 * segment when nothing lives in it; and, when the files take more than STORE_SPACE_FACTOR times what lives and
 * STORE_SPACE_SEGMENTS segments, copies the oldest one's living jobs forward. Only the oldest goes, each durably before the
 * next one, and an ack stands always behind all copies of its put, so nothing that has ended can come back when a
 * segment goes; and one job that never ends is copied now and then and holds nothing up.
 *
 * One store for each queue, each with a folder and a DISK thread of its own: a fault freezes one queue, a slow queue delays
 * no other one's receipts, and the folder can be moved or mounted by itself. Shared stores would save a sync where
 * several queues commit at the same moment; the disk merges those of one file system's journal anyway.
 *
 * io_uring (write and sync linked) was tried and is no faster than a thread (73 and 69 us a commit of 128 bytes), and
 * where containers forbid it there must be a thread all the same. LMDB was measured beside: half as fast in
 * commits, a seventh with many acks, and its file does not shrink.
 *
 * Thread: any, but store_open() and store_close(). Nothing here touches the disk.
 */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "plat/clock.h"
#include "store/inside.h"

#define LOCK_FILE "lock"

enum { SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024, ROLL_AT_LEAST_BYTES = 8 * 1024 };

/* ---- sleepers ---- */

struct futex *sleeper_call(struct sleeper *sleeper)
{
    if (!sleeper->asleep)
        return NULL;
    sleeper->asleep = false;
    futex_set(&sleeper->word);
    return &sleeper->word;
}

void sleeper_wake(struct futex *word)
{
    if (word != NULL)
        futex_wake(word);
}

/* ---- what it is like ---- */

void store_set_condition(struct store *s, enum store_condition condition, int error)
{
    if (s->news.condition == STORE_FAILED ||
        (s->news.condition == condition && s->news.error == error))
        return;
    if (condition == STORE_FROZEN && s->news.condition == STORE_OPEN)
        s->counts.frozen++;
    s->news.condition = condition;
    s->news.error = error;
    s->untold = true;
}

const char *store_condition_word(enum store_condition condition)
{
    static const char *const words[] = {
        [STORE_OPEN] = "open", [STORE_FROZEN] = "frozen", [STORE_FAILED] = "failed"
    };
    return words[condition];
}

/* ---- segments ---- */

struct segment *store_segment(struct store *s, uint32_t number)
{
    size_t low = 0, high = s->segments_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t here = (uint32_t)s->segments[middle]->header.number;
        if (here == number)
            return s->segments[middle];
        /* By their distance from the oldest, for the low half may go round. */
        uint32_t first = (uint32_t)s->segments[0]->header.number;
        if (here - first < number - first)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int store_add_segment(struct store *s, struct segment *g)
{
    if (s->segments_count == s->segments_cap) {
        size_t cap = s->segments_cap == 0 ? 16 : s->segments_cap * 2;
        struct segment **segments = reallocarray(s->segments, cap, sizeof(struct segment *));
        if (segments == NULL)
            return PEN_ENOMEM;
        s->segments = segments;
        s->segments_cap = cap;
    }
    s->segments[s->segments_count++] = g;
    return 0;
}

struct segment_header store_next_header(struct store *s)
{
    uint64_t z = s->options.seed + ++s->highest_number * 0x9e3779b97f4a7c15u; /* SplitMix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (struct segment_header){ .number = s->highest_number,
                                    .salt = z ^ (z >> 31),
                                    .store_id = s->store_id,
                                    .created_ns = clock_wall_ns(),
                                    .segment_bytes = s->options.segment_bytes };
}

static uint64_t room_in(const struct segment *g)
{
    return g->header.segment_bytes - g->end;
}

void store_place(struct store *s, struct frame *f)
{
    uint64_t least = s->wanted > ROLL_AT_LEAST_BYTES ? s->wanted : ROLL_AT_LEAST_BYTES;
    least += FORMAT_FRAME_BYTES;
    if (room_in(s->segments[s->active]) < least && store_spares(s) > 0)
        s->active++;
    struct segment *g = s->segments[s->active];
    uint64_t room = room_in(g);
    f->segment = room > FORMAT_FRAME_BYTES + FORMAT_RECORD_BYTES ? g : NULL;
    f->at = g->end;
    uint64_t fits = f->segment == NULL ? f->max : room - FORMAT_FRAME_BYTES;
    f->limit = (uint32_t)(fits < f->max ? fits : f->max);
    f->limit -= f->limit % FORMAT_ALIGN;
}

/* ---- the index ---- */

void store_forget(struct store *s, const struct index_entry *e)
{
    struct segment *g = store_segment(s, e->segment);
    if (BUG(g == NULL))
        return;
    g->live_jobs--;
    g->live_bytes -= e->size;
    s->counts.live_bytes -= e->size;
}

void store_locate(struct store *s, const struct store_job *job, struct segment *g, uint64_t at,
                  uint32_t size)
{
    struct index_entry *e = index_find(s->index, job->id);
    if (e != NULL)
        store_forget(s, e);
    else
        e = index_add(s->index, job->id);
    if (BUG(e == NULL))
        return;
    e->segment = (uint32_t)g->header.number;
    e->at = (uint32_t)(at / FORMAT_ALIGN);
    e->size = size;
    index_set_state(e, &job->state);
    g->live_jobs++;
    g->live_bytes += size;
    s->counts.live_bytes += size;
    if (job->dedupe_bytes > 0 && job->dedupe_ns > g->dedupe_ns)
        g->dedupe_ns = job->dedupe_ns;
}

/* ---- under the queue's lock ---- */

static int refusal(const struct store *s)
{
    switch (s->news.condition) {
    case STORE_OPEN:
        return 0;
    case STORE_FROZEN:
        return PEN_ESTOREFULL;
    case STORE_FAILED:
        return PEN_ESTOREFAILED;
    }
    return PEN_ESTOREFAILED;
}

/* Room for so many bytes in the frame that is collected; an empty one is placed anew for it. */
static int make_room(struct store *s, uint64_t bytes) LOCKED(&s->lock)
{
    struct frame *f = s->open;
    if (bytes > s->frame_max)
        return PEN_ETOOBIG;
    uint64_t needed = bytes + s->reserved_bytes;
    bool fits = f->segment != NULL && needed <= frame_room(f);
    if (!fits && f->records == 0 && s->reserved == 0) {
        s->wanted = bytes;
        store_place(s, f);
        fits = f->segment != NULL && needed <= frame_room(f);
    }
    s->wanted = fits ? 0 : bytes;
    s->urgent |= !fits && f->records > 0; /* The next frame has room. */
    return fits ? 0 : -EAGAIN;
}

int store_reserve(struct store *s, uint64_t n, uint64_t bytes)
{
    uint64_t most = bytes + n * STORE_PUT_OVERHEAD;
    lock_take(&s->lock);
    int r = refusal(s);
    if (r == 0)
        r = make_room(s, most);
    if (r == 0)
        r = index_reserve(s->index, s->reserved + n);
    if (r == 0) {
        s->reserved += n;
        s->reserved_bytes += most;
    }
    lock_drop(&s->lock);
    return r;
}

/* So many of what was reserved have come or will not come. Together they may need less than what was said. */
static void unreserve(struct store *s, uint64_t n, uint64_t bytes)
{
    check(n <= s->reserved);
    s->reserved -= n;
    s->reserved_bytes -= bytes < s->reserved_bytes ? bytes : s->reserved_bytes;
    if (s->reserved == 0)
        s->reserved_bytes = 0;
}

void store_release(struct store *s, uint64_t n, uint64_t bytes)
{
    lock_take(&s->lock);
    unreserve(s, n, bytes + n * STORE_PUT_OVERHEAD);
    lock_drop(&s->lock);
}

uint64_t store_put(struct store *s, const struct store_job *job)
{
    lock_take(&s->lock);
    struct frame *f = s->open;
    uint32_t at = frame_next(f);
    if (!BUG(!frame_add_job(f, job)))
        store_locate(s, job, f->segment, f->at + at, frame_next(f) - at);
    unreserve(s, 1, frame_next(f) - at);
    if (job->id > s->last_id)
        s->last_id = job->id;
    s->urgent = true;
    uint64_t ticket = f->seq;
    lock_drop(&s->lock);
    return ticket;
}

/* Something is in the frame that can wait; whoever sleeps without end must learn of it. */
static struct futex *note_lazy(struct store *s)
{
    if (s->options.sync == STORE_SYNC_ALWAYS)
        s->urgent = true;
    if (s->lazy_since.ns != PEN_NEVER.ns)
        return NULL;
    s->lazy_since = clock_mono();
    return sleeper_call(&s->disk_sleeper);
}

static bool add_late(struct late_ids *late, uint64_t id)
{
    if (late->count == late->cap) {
        size_t cap = late->cap == 0 ? 1024 : late->cap * 2;
        uint64_t *at = reallocarray(late->at, cap, sizeof *at);
        if (at == NULL)
            return false;
        late->at = at;
        late->cap = cap;
    }
    late->at[late->count++] = id;
    return true;
}

/* For an end or a change, beside what is reserved. */
static bool has_room_beside(const struct store *s)
{
    enum { MOST = FORMAT_RECORD_BYTES + FORMAT_STATE_BYTES };
    return frame_room(s->open) >= s->reserved_bytes + MOST;
}

void store_change(struct store *s, uint64_t id, const struct store_state *state)
{
    struct futex *call = NULL;
    lock_take(&s->lock);
    struct index_entry *e = index_find(s->index, id);
    if (e != NULL) {
        index_set_state(e, state);
        if ((has_room_beside(s) && frame_add_state(s->open, id, state)) || add_late(&s->late, id))
            call = note_lazy(s);
        else
            s->counts.lost++;
    }
    lock_drop(&s->lock);
    sleeper_wake(call);
}

void store_end(struct store *s, uint64_t id)
{
    struct futex *call = NULL;
    lock_take(&s->lock);
    struct index_entry *e = index_find(s->index, id);
    if (e != NULL) {
        store_forget(s, e);
        index_remove(s->index, id);
        if ((has_room_beside(s) && frame_add_ack(s->open, id)) || add_late(&s->late, id))
            call = note_lazy(s);
        else
            s->counts.lost++;
    }
    lock_drop(&s->lock);
    sleeper_wake(call);
}

void store_kick(struct store *s)
{
    lock_take(&s->lock);
    bool due = commit_due(s).ns == PEN_NOW.ns;
    struct futex *call = due ? sleeper_call(&s->disk_sleeper) : NULL;
    lock_drop(&s->lock);
    sleeper_wake(call);
}

void store_stats(struct store *s, struct store_stats *ret_stats)
{
    lock_take(&s->lock);
    *ret_stats = s->counts;
    ret_stats->news = s->news;
    ret_stats->jobs = index_count(s->index);
    ret_stats->segments = s->segments_count;
    ret_stats->disk_bytes = (uint64_t)s->segments_count * s->options.segment_bytes;
    ret_stats->collected = s->open->records + (s->committing != NULL ? s->committing->records : 0);
    ret_stats->late = s->late.count;
    lock_drop(&s->lock);
}

bool store_work(struct store *s, enum store_work what)
{
    return what == STORE_COMMIT ? commit_run(s, false) : chores_run(s);
}

/* ---- opening and closing ---- */

static uint32_t segment_bytes_for(uint64_t disk_max)
{
    uint64_t fitting = disk_max / 16 / FORMAT_PAGE_BYTES * FORMAT_PAGE_BYTES;
    return fitting < SEGMENT_BYTES_DEFAULT ? (uint32_t)fitting : SEGMENT_BYTES_DEFAULT;
}

uint64_t store_files(uint64_t disk_max)
{
    uint64_t segment_bytes = segment_bytes_for(disk_max);
    return segment_bytes > 0 ? disk_max / segment_bytes : 0;
}

static int check_options(struct store_options *o)
{
    if (o->segment_bytes == 0)
        o->segment_bytes = segment_bytes_for(o->disk_max);
    bool fits = o->segment_bytes >= FORMAT_SEGMENT_BYTES_MIN &&
                o->segment_bytes <= FORMAT_SEGMENT_BYTES_MAX &&
                o->segment_bytes % FORMAT_PAGE_BYTES == 0 &&
                o->disk_max >= (uint64_t)STORE_SEGMENTS_MIN * o->segment_bytes;
    return fits ? 0 : PEN_EINVAL;
}

static void store_free(struct store *s)
{
    for (size_t i = 0; i < s->segments_count; i++)
        segment_free(&s->segments[i]);
    free(s->segments);
    free(s->late.at);
    index_free(&s->index);
    frame_fini(&s->frames[0]);
    frame_fini(&s->frames[1]);
    reader_fini(&s->reader);
    vfs_close_dir(&s->dir);
    lock_fini(&s->lock);
    free(s);
}

static int allocate(struct store *s)
{
    int r = index_new(&s->index);
    for (int i = 0; i < 2 && r == 0; i++)
        r = frame_init(&s->frames[i], s->frame_max);
    return r;
}

/* The first frame, in the first segment that this life of the store writes to. */
static int begin(struct store *s)
{
    bool dir_failed;
    struct segment *g, *none = NULL;
    lock_take(&s->lock);
    struct segment_header h = store_next_header(s);
    lock_drop(&s->lock);
    int r = segment_make(s->dir, &none, &h, &g, &dir_failed);
    if (r < 0)
        return r;
    lock_take(&s->lock);
    r = store_add_segment(s, g);
    if (r == 0) {
        s->active = s->segments_count - 1;
        s->written_number = s->safe_number = s->first_number = h.number;
        s->open = &s->frames[0];
        frame_reset(s->open);
        s->open->seq = s->last_seq + 1;
        s->news.written = s->news.synced = s->last_seq;
        store_place(s, s->open);
    }
    lock_drop(&s->lock);
    if (r < 0)
        segment_free(&g);
    return r;
}

static int start_threads(struct store *s)
{
    if (s->options.by_hand)
        return 0;
    int r = thread_start(s->options.name, commit_main, s, &s->disk);
    return r == 0 ? thread_start(s->options.name, chores_main, s, &s->chores) : r;
}

static void stop_threads(struct store *s)
{
    lock_take(&s->lock);
    s->closing = true;
    struct futex *disk = sleeper_call(&s->disk_sleeper);
    struct futex *chores = sleeper_call(&s->chore_sleeper);
    lock_drop(&s->lock);
    sleeper_wake(disk);
    sleeper_wake(chores);
    thread_join(&s->chores);
    thread_join(&s->disk);
}

static int open_locked(struct store *s, const struct store_keeper *keeper,
                       struct store_recovery *ret_recovery)
{
    int r = vfs_lock(s->dir, LOCK_FILE);
    if (r == -EAGAIN)
        return PEN_ELOCKED;
    if (r == 0)
        r = recover(s, keeper, true, ret_recovery);
    if (r == 0)
        r = begin(s);
    return r == 0 ? start_threads(s) : r;
}

/* Not open yet; takes the folder. */
static int make(struct vfs_dir *dir, const struct store_options *options, struct store **ret_store)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        vfs_close_dir(&dir);
        return PEN_ENOMEM;
    }
    s->options = *options;
    s->dir = dir;
    s->store_id = options->seed;
    s->frame_max = format_frame_max(options->segment_bytes) - FORMAT_FRAME_BYTES;
    s->frame_max -= s->frame_max % FORMAT_ALIGN;
    s->lazy_since = s->unsynced_since = PEN_NEVER;
    lock_init(&s->lock, LOCK_STORE);
    int r = allocate(s);
    if (r < 0) {
        store_free(s);
        return r;
    }
    *ret_store = s;
    return 0;
}

int store_open(struct vfs_dir *dir, const struct store_options *options,
               const struct store_keeper *keeper, struct store **ret_store,
               struct store_recovery *ret_recovery)
{
    struct store_options o = *options;
    struct store *s;
    int r = check_options(&o);
    if (r < 0) {
        vfs_close_dir(&dir);
        return r;
    }
    r = make(dir, &o, &s);
    if (r < 0)
        return r;
    r = open_locked(s, keeper, ret_recovery);
    if (r < 0) {
        if (s->disk != NULL)
            stop_threads(s);
        store_free(s);
        return r;
    }
    *ret_store = s;
    return 0;
}

int store_inspect(struct vfs_dir *dir, const struct store_keeper *keeper,
                  struct store_recovery *ret_recovery)
{
    const struct store_options options = { .segment_bytes = FORMAT_SEGMENT_BYTES_MIN };
    struct store *s;
    int r = make(dir, &options, &s);
    if (r < 0)
        return r;
    r = vfs_lock(s->dir, LOCK_FILE);
    if (r == 0)
        r = recover(s, keeper, false, ret_recovery);
    store_free(s);
    return r == -EAGAIN ? PEN_ELOCKED : r;
}

int store_close(struct store **store)
{
    struct store *s = *store;
    if (s == NULL)
        return 0;
    *store = NULL;
    if (!s->options.by_hand)
        stop_threads(s);
    int r = commit_closing(s);
    store_free(s);
    return r;
}
