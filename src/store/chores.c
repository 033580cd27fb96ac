/* SPDX-License-Identifier: Apache-2.0
 *
 * The second thread: everything about whole segments, none of which a commit waits for (letting go of a 64 MiB file took
 * up to 38 ms). One piece at a time:
 *   - no spare: make one, of the oldest segment when nothing lives in it, or of a new file while disk_max permits;
 *   - nothing lives in the oldest one: make it the second spare, or remove it;
 *   - the files take too much: copy what lives in the oldest one forward, COMPACT_BYTES at a time, in ordinary frames.
 *
 * What is copied is looked at twice: when it is read, without the lock, and under the lock when it is put into the frame:
 * only if the index still says that the job lives in that very place. So an ack is always behind all copies.
 *
 * When no spare can be made the store is frozen: the rest of the active segment, at least three quarters of it because a
 * spare is made when its first frame begins, is the reserve for ends and changes.
 */
#include <errno.h>

#include "base/check.h"
#include "plat/clock.h"
#include "store/inside.h"

enum { COMPACT_BYTES = 256 * 1024, SPARES_MAX = 2, TIGHT_SEGMENTS = 2 };

enum chore { CHORE_NONE, CHORE_CREATE, CHORE_RECYCLE, CHORE_REMOVE, CHORE_COPY };

/* ---- what is to be done ---- */

/* All frames of the oldest segment are behind us, so that it could go if nothing lived in it. */
static bool is_old(const struct store *s)
{
    return s->active > 0 && s->segments[0]->header.number < s->safe_number;
}

static bool remembers(const struct segment *g)
{
    return g->dedupe_ns > 0 && g->scanned < g->end && g->dedupe_ns > clock_wall_ns();
}

/* Nothing lives in the oldest segment, and whoever reads it or remembers it has what he needs. */
static bool is_empty(const struct store *s)
{
    const struct segment *g = s->segments[0];
    return is_old(s) && g->live_jobs == 0 && g->readers == 0 && !remembers(g);
}

static bool is_dead(const struct store *s)
{
    return is_empty(s) && s->segments[0]->copied_seq <= s->news.synced;
}

bool chores_want_sync(const struct store *s)
{
    const struct segment *g = s->segments[0];
    return is_empty(s) && g->copied_seq > s->news.synced && g->copied_seq <= s->news.written;
}

/* What lives in the oldest segment leaves half of the reserve to ends and changes. */
static bool fits_in_reserve(const struct store *s, const struct segment *oldest)
{
    const struct segment *active = s->segments[s->active];
    return oldest->live_bytes < (active->header.segment_bytes - active->end) / 2;
}

static bool takes_too_much(const struct store *s)
{
    uint64_t used = (uint64_t)s->segments_count * s->options.segment_bytes;
    uint64_t live = s->counts.live_bytes, segment = s->options.segment_bytes;
    if (s->options.rewrite && s->segments[0]->header.number < s->first_number)
        return true;
    if (s->news.condition == STORE_FROZEN)
        return used > live + TIGHT_SEGMENTS * segment && fits_in_reserve(s, s->segments[0]);
    return used > STORE_SPACE_FACTOR * live + STORE_SPACE_SEGMENTS * segment;
}

static bool may_copy(const struct store *s)
{
    const struct segment *g = s->segments[0];
    return is_old(s) && !s->chore_blocked && g->scanned < g->end &&
           (takes_too_much(s) || (g->live_jobs == 0 && remembers(g)));
}

static enum chore choose(const struct store *s)
{
    if (s->news.condition == STORE_FAILED)
        return CHORE_NONE;
    if (is_dead(s) && !mono_before(clock_mono(), s->recycle_at))
        return store_spares(s) < SPARES_MAX ? CHORE_RECYCLE : CHORE_REMOVE;
    if (store_spares(s) == 0 && !mono_before(clock_mono(), s->retry_at))
        return CHORE_CREATE;
    return may_copy(s) ? CHORE_COPY : CHORE_NONE;
}

bool chores_wanted(const struct store *s)
{
    return choose(s) != CHORE_NONE;
}

/* When something is to be done without a call. */
static mono_t chores_due(const struct store *s) LOCKED(&s->lock)
{
    if (chores_wanted(s))
        return PEN_NOW;
    if (s->news.condition == STORE_FAILED)
        return PEN_NEVER;
    if (is_dead(s))
        return s->recycle_at;
    return store_spares(s) == 0 ? s->retry_at : PEN_NEVER;
}

/* ---- spares ---- */

static struct segment *take_oldest(struct store *s)
{
    struct segment *g = s->segments[0];
    s->segments_count--;
    s->active--;
    for (size_t i = 0; i < s->segments_count; i++)
        s->segments[i] = s->segments[i + 1];
    return g;
}

/* It could not be let go of. */
static void put_back(struct store *s, struct segment *g)
{
    for (size_t i = s->segments_count; i > 0; i--)
        s->segments[i] = s->segments[i - 1];
    s->segments[0] = g;
    s->segments_count++;
    s->active++;
    s->recycle_at = mono_after(clock_mono(), span_ms(STORE_RETRY_MS));
}

/* A spare is there, or why it is not. */
static struct futex *note_spare(struct store *s, int error, bool final) LOCKED(&s->lock)
{
    if (error == 0 && s->committing == NULL)
        s->retry_at = PEN_NOW;
    if (error == 0 && s->news.condition == STORE_FROZEN && s->committing == NULL)
        store_set_condition(s, STORE_OPEN, 0);
    if (error == 0)
        s->untold |= s->wanted > 0;
    if (error < 0 && final)
        store_set_condition(s, STORE_FAILED, error);
    if (error < 0) {
        if (store_spares(s) == 0)
            store_set_condition(s, STORE_FROZEN, error);
        s->retry_at = mono_after(clock_mono(), span_ms(STORE_RETRY_MS));
    }
    return sleeper_call(&s->disk_sleeper);
}

/* Out of the oldest segment, which is taken out of the list, or of a new file. */
static void make_spare(struct store *s, struct segment *old, const struct segment_header *header)
{
    bool dir_failed = false;
    struct segment *g = NULL;
    int r = segment_make(s->dir, &old, header, &g, &dir_failed);
    lock_take(&s->lock);
    if (old != NULL)
        put_back(s, old);
    if (r == 0)
        r = store_add_segment(s, g);
    struct futex *call = note_spare(s, r, dir_failed);
    lock_drop(&s->lock);
    if (r < 0)
        segment_free(&g);
    sleeper_wake(call);
}

static bool may_create(const struct store *s)
{
    return (uint64_t)(s->segments_count + 1) * s->options.segment_bytes <= s->options.disk_max;
}

static void create(struct store *s)
{
    struct futex *call = NULL;
    struct segment_header h;
    lock_take(&s->lock);
    bool may = may_create(s);
    if (may)
        h = store_next_header(s);
    else
        call = note_spare(s, PEN_ESTOREFULL, false);
    lock_drop(&s->lock);
    sleeper_wake(call);
    if (may)
        make_spare(s, NULL, &h);
}

static void recycle(struct store *s)
{
    lock_take(&s->lock);
    struct segment *old = take_oldest(s);
    struct segment_header h = store_next_header(s);
    s->counts.recycled++;
    lock_drop(&s->lock);
    make_spare(s, old, &h);
}

/* Not in the list any more, so that nobody reads it. */
static void remove_oldest(struct store *s)
{
    lock_take(&s->lock);
    struct segment *old = take_oldest(s);
    s->counts.removed++;
    lock_drop(&s->lock);
    int r = segment_remove(s->dir, old);
    segment_free(&old);
    if (r == 0)
        return;
    lock_take(&s->lock);
    /* It may be there again after a crash, before others that have gone. */
    store_set_condition(s, STORE_FAILED, r);
    struct futex *call = sleeper_call(&s->disk_sleeper);
    lock_drop(&s->lock);
    sleeper_wake(call);
}

/* ---- copying ---- */

/* The frame is to stay mostly the producers'. */
static bool has_room(const struct store *s, uint64_t size)
{
    const struct frame *f = s->open;
    return s->reserved == 0 && f->segment != NULL && size <= frame_room(f) &&
           (f->bytes < f->max / 2 || f->records == 0);
}

static bool copy_job(struct store *s, struct segment *g, struct store_job *job) LOCKED(&s->lock)
{
    struct frame *f = s->open;
    uint32_t at = frame_next(f);
    if (!frame_add_job(f, job))
        return false;
    store_locate(s, job, f->segment, f->at + at, frame_next(f) - at);
    s->counts.moved_jobs++;
    s->counts.moved_bytes += frame_next(f) - at;
    g->copied_seq = f->seq;
    return true;
}

static bool copy_dedupe(struct store *s, struct segment *g, const struct store_job *job)
{
    struct frame *f = s->open;
    if (!frame_add_dedupe(f, job))
        return false;
    if (job->dedupe_ns > f->segment->dedupe_ns)
        f->segment->dedupe_ns = job->dedupe_ns;
    g->copied_seq = f->seq;
    return true;
}

/* A job's record in the oldest segment: copied if it lives there, remembered if its dedupe id is. False: no room. */
static bool copy_put(struct store *s, struct segment *g, struct store_job *job, uint64_t at)
    LOCKED(&s->lock)
{
    struct index_entry *e = index_find(s->index, job->id);
    bool here = e != NULL && e->segment == (uint32_t)g->header.number && e->at == at / FORMAT_ALIGN;
    if (here) {
        job->state = index_state(e);
        return has_room(s, format_record_size(format_job_bytes(job))) && copy_job(s, g, job);
    }
    bool remembered = job->dedupe_bytes > 0 && job->dedupe_ns > clock_wall_ns() && e == NULL;
    uint64_t size = format_record_size(FORMAT_DEDUPE_BYTES + (uint64_t)job->dedupe_bytes);
    return !remembered || (has_room(s, size) && copy_dedupe(s, g, job));
}

static bool copy_record(struct store *s, struct segment *g, const struct record *r, uint64_t at)
{
    struct store_job job;
    bool is_put = r->type == RECORD_PUT && format_job_get(r, &job) == 0;
    bool is_dedupe = r->type == RECORD_DEDUPE && format_dedupe_get(r, &job) == 0;
    if (!is_put && !is_dedupe)
        return true;
    struct futex *call = NULL;
    lock_take(&s->lock);
    bool done = copy_put(s, g, &job, at);
    if (!done) {
        s->chore_blocked = true;
        s->urgent = true; /* The next frame has room. */
    }
    bool first = s->lazy_since.ns == PEN_NEVER.ns && s->open->records > 0;
    if (first)
        s->lazy_since = clock_mono();
    if (first || !done)
        call = sleeper_call(&s->disk_sleeper);
    lock_drop(&s->lock);
    sleeper_wake(call);
    return done;
}

/* The record at `scanned`, or the frame's head that is skipped. 1: done; 0: no room now; an error: it cannot be read. */
static int copy_next(struct store *s, struct segment *g, uint64_t *at)
{
    const uint8_t *bytes;
    size_t n;
    struct frame_head h;
    struct record rec;
    int r = reader_get(&s->reader, *at, FORMAT_FRAME_BYTES, &bytes, &n);
    if (r < 0)
        return r;
    if (n == FORMAT_FRAME_BYTES && format_frame_get(bytes, g->header.salt, &h) == 0) {
        *at += FORMAT_FRAME_BYTES;
        return 1;
    }
    if (n < FORMAT_RECORD_BYTES)
        return PEN_EDAMAGED;
    uint64_t size = format_record_bytes(bytes);
    r = size <= g->end - *at ? reader_get(&s->reader, *at, (size_t)size, &bytes, &n) : PEN_EDAMAGED;
    if (r < 0)
        return r;
    enum record_verdict verdict = format_record_get(bytes, n, g->header.salt, &rec);
    if (verdict == RECORD_HEAD_DAMAGED)
        return PEN_EDAMAGED;
    if (verdict == RECORD_WHOLE && !copy_record(s, g, &rec, *at))
        return 0;
    *at += size;
    return 1;
}

/* What cannot be read is stepped over; what lived there was told as damaged when the store was opened, or is found missing
 * the next time. Until then its segment stays. */
static void copy_some(struct store *s)
{
    lock_take(&s->lock);
    struct segment *g = s->segments[0];
    uint64_t at = g->scanned, end = g->end;
    lock_drop(&s->lock);
    if (s->reader.file != g->file)
        reader_set(&s->reader, g->file);
    int r = 1;
    for (uint64_t from = at; r != 0 && at < end && at - from < COMPACT_BYTES;) {
        r = copy_next(s, g, &at);
        if (r < 0)
            at += FORMAT_ALIGN;
    }
    lock_take(&s->lock);
    g->scanned = at < end ? at : end;
    lock_drop(&s->lock);
}

/* ---- the thread ---- */

bool chores_run(struct store *s)
{
    lock_take(&s->lock);
    enum chore chore = choose(s);
    lock_drop(&s->lock);
    switch (chore) {
    case CHORE_NONE:
        break;
    case CHORE_CREATE:
        create(s);
        break;
    case CHORE_RECYCLE:
        recycle(s);
        break;
    case CHORE_REMOVE:
        remove_oldest(s);
        break;
    case CHORE_COPY:
        copy_some(s);
        break;
    }
    return chore != CHORE_NONE;
}

/* False: it is closed. */
static bool wait_for_chore(struct store *s)
{
    lock_take(&s->lock);
    mono_t due = chores_due(s);
    bool wait = !s->closing && mono_before(clock_mono(), due);
    if (wait) {
        futex_reset(&s->chore_sleeper.word);
        s->chore_sleeper.asleep = true;
    }
    lock_drop(&s->lock);
    if (wait)
        (void)futex_wait(&s->chore_sleeper.word, due);
    lock_take(&s->lock);
    s->chore_sleeper.asleep = false;
    bool closing = s->closing;
    lock_drop(&s->lock);
    return !closing;
}

void chores_main(void *store)
{
    struct store *s = store;
    while (wait_for_chore(s))
        (void)chores_run(s);
}
