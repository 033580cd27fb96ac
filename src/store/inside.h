/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's inside, for the files of this folder.
 */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "plat/thread.h"
#include "store/frame.h"
#include "store/index.h"
#include "store/segment.h"
#include "store/store.h"
#include "sync/futex.h"
#include "sync/lock.h"

/* A thread that sleeps until it is called, under the store's lock. */
struct sleeper {
    struct futex word;
    bool asleep; /* lock: lock */
};

/* Jobs whose end or change found no room in a frame. */
struct late_ids {
    uint64_t *at;
    size_t count, cap;
};

struct store {
    /* fixed after init */
    struct store_options options;
    struct vfs_dir *dir;
    uint64_t store_id;
    uint64_t first_number; /* the first segment of this life */
    uint32_t frame_max;    /* bytes of records */
    struct thread *disk, *chores;

    struct lock lock;

    /* lock: lock */
    struct store_news news;
    bool untold; /* that the condition has changed; only the committing thread tells */
    struct store_stats counts;
    bool closing;
    struct segment **segments; /* by number: old ones, the active one, spares */
    size_t segments_count, segments_cap;
    size_t active;        /* where in them the next frame goes */
    uint64_t safe_number; /* all frames in segments before this one are synced */
    struct index *index;
    uint64_t last_id, last_seq, last_record, highest_number;
    struct frame frames[2];
    struct frame *open;      /* the one that is collected; the other is being committed, or empty */
    uint64_t reserved;       /* puts that may still come into it, */
    uint64_t reserved_bytes; /* which need at most so much */
    uint64_t wanted;         /* bytes of a put that found no room in it */
    bool urgent;             /* something in it does not wait */
    mono_t lazy_since;       /* something waits in it; PEN_NEVER: nothing */
    mono_t unsynced_since;   /* something is written and not synced; PEN_NEVER: nothing */
    mono_t retry_at;         /* no new file or full write before that; PEN_NOW: none was in vain */
    mono_t recycle_at;       /* the same for letting the oldest segment go */
    struct frame *committing; /* taken to be written, and not yet; NULL: none */
    struct late_ids late;
    struct sleeper disk_sleeper, chore_sleeper;
    bool chore_blocked;      /* until the next commit has ended */
    uint64_t written_number; /* the segment of the last frame that was written */

    /* owner: the chores' thread */
    struct reader reader;
};

/* ---- store.c ---- */

/* Under the lock: call a sleeper that sleeps; the result is for sleeper_wake(). */
struct futex *sleeper_call(struct sleeper *sleeper) MUST_CHECK;
/* Not under the lock. */
void sleeper_wake(struct futex *word);

/* The store is not what it was: for good with STORE_FAILED. */
void store_set_condition(struct store *s, enum store_condition condition, int error) LOCKED(&s->lock);

/* The segment with that number (its low half), or NULL. */
struct segment *store_segment(struct store *s, uint32_t number) LOCKED(&s->lock);
/* Takes it. PEN_ENOMEM: and it is the caller's still. */
int store_add_segment(struct store *s, struct segment *g) LOCKED(&s->lock) MUST_CHECK;

static inline size_t store_spares(const struct store *s)
{
    return s->segments_count - s->active - 1;
}

/* An empty frame is to be written where there is room now; in the next segment when the active one has not enough. */
void store_place(struct store *s, struct frame *f) LOCKED(&s->lock);

/* A put record stands there now. */
void store_locate(struct store *s, const struct store_job *job, struct segment *g, uint64_t at,
                  uint32_t size) LOCKED(&s->lock);
/* A job's record counts no more. */
void store_forget(struct store *s, const struct index_entry *e) LOCKED(&s->lock);

/* The header of a new segment, with the next number. */
struct segment_header store_next_header(struct store *s) LOCKED(&s->lock);

/* ---- commit.c ---- */

void commit_main(void *store);
/* When there is something to commit or to sync: PEN_NOW, a time, PEN_NEVER. */
mono_t commit_due(const struct store *s) LOCKED(&s->lock);
/* Commit what is there; false: nothing was. sync: whatever the level. */
bool commit_run(struct store *s, bool sync);
/* The last frame, which says that all is in order. */
int commit_closing(struct store *s) MUST_CHECK;

/* ---- chores.c ---- */

void chores_main(void *store);
bool chores_run(struct store *s);
/* There may be something to do. */
bool chores_wanted(const struct store *s) LOCKED(&s->lock);
/* The oldest segment's jobs are copied, written and not yet synced, and it waits for that. */
bool chores_want_sync(const struct store *s) LOCKED(&s->lock);

/* ---- read.c ---- */

/* The record at a place of a segment, as a job; what it points to is in the bytes. PEN_EDAMAGED: it is none, or another's. */
int read_job(const uint8_t *bytes, size_t n, uint64_t salt, uint64_t id, struct store_job *ret_job)
    MUST_CHECK;

/* ---- recover.c ---- */

/* Bring the index and the jobs back. change: and make the folder one that can be gone on with. */
int recover(struct store *s, const struct store_keeper *keeper, bool change,
            struct store_recovery *ret_recovery) MUST_CHECK;

#endif
