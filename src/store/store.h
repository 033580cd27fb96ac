/* SPDX-License-Identifier: Apache-2.0
 *
 * A durable log of one queue's jobs, in a folder of its own: what the daemon knows of a store, whatever is behind it. The one
 * behind it is a log of segments on the local disk (store.c tells how it works, format.c its bytes).
 *
 * A put is promised in two steps, because it is made under its queue's lock and the disk is not waited for there:
 * store_reserve() and store_put() copy it into the frame that is being collected, and name a ticket; on_news() tells
 * later, on the store's own thread, up to which ticket all is written and synced. Nothing is promised to anybody before.
 * A change or an end of a job is never refused: it goes along with the next commit, or after STORE_LAZY_MS.
 *
 * What each level survives, once its receipt is out:
 *                 the daemon is killed       the machine loses power
 *   always        puts, changes and ends     puts, changes and ends
 *   group         puts                       puts
 *   interval T    puts                       puts older than T
 *   none          puts                       what the system has written by then, some 30 s
 * Where changes and ends are not listed, those of the last STORE_LAZY_MS may be forgotten (and of T, or 30 s): such a
 * job comes again.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/roles.h"
#include "base/units.h"
#include "plat/vfs.h"
#include "store/format.h"

enum store_sync { STORE_SYNC_ALWAYS, STORE_SYNC_GROUP, STORE_SYNC_INTERVAL, STORE_SYNC_NONE };

enum {
    STORE_LAZY_MS = 10, /* an end or a change waits at most so long for a commit to go along with */
    STORE_RETRY_MS = 1000, /* no event tells that a full disk has room again */
    STORE_SEGMENTS_MIN = 4,
    STORE_SPACE_FACTOR = 2,   /* the files take at most so many times what lives in them, */
    STORE_SPACE_SEGMENTS = 6, /* and so many segments more */
    STORE_PUT_OVERHEAD =
        80, /* bytes a put needs beside its key, dedupe id, extra and payload, at most */
};

enum store_condition {
    STORE_OPEN,
    STORE_FROZEN, /* no room for more: puts are refused, ends are taken; goes on by itself when there is room */
    STORE_FAILED /* the disk has failed a write or a sync: nothing is kept any more until a restart */
};

/* What has become of it. */
struct store_news {
    uint64_t written, synced; /* tickets */
    enum store_condition condition;
    int error; /* why it is not open, PEN_E... or a negated errno; 0 */
};

struct store;

struct store_options {
    const char *name; /* of its threads; copied */
    enum store_sync sync;
    span_t interval;        /* of STORE_SYNC_INTERVAL */
    uint32_t segment_bytes; /* FORMAT_SEGMENT_BYTES_MIN to _MAX, a multiple of the page; 0: by max_disk */
    uint64_t disk_max; /* bytes of all its files, at least STORE_SEGMENTS_MIN segments */
    uint64_t seed;     /* random: of what no peer may guess */
    bool rewrite;      /* move all that lives into new segments, so that no old one stays */
    bool by_hand; /* no threads: who opened it calls store_work(), for tests in which nothing happens by itself */
    /* A commit has ended, or the condition has changed; there may be room again for a put that found none. On the store's
     * thread, which holds no lock, one call at a time. */
    void (*on_news)(void *arg, const struct store_news *news);
    void *arg;
};

/* A range of a segment that was durable once and cannot be read now. */
struct store_damage {
    uint64_t segment;
    uint64_t at, bytes;           /* bytes 0: frames that are missing altogether */
    uint64_t seq_first, seq_last; /* of the commits in question; 0: unknown */
    bool record;                  /* one record, or some: the commit's others are there */
};

/* Who takes what a store has kept. Each returns 0, or an error that ends the opening. All on the opener's thread. */
struct store_keeper {
    /* A job that lives, in the order of ids; what it points to is borrowed during the call. */
    int (*job)(void *arg, const struct store_job *job);
    /* A dedupe id that is still remembered, of a job that lives or has ended: id, dedupe and dedupe_ns. NULL: none. */
    int (*dedupe)(void *arg, const struct store_job *job);
    /* What cannot be brought back; may be NULL. */
    int (*damage)(void *arg, const struct store_damage *damage);
    /* Bytes read, of all; may be NULL. */
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
    void *arg;
};

/* What was found when it was opened. */
struct store_recovery {
    uint64_t jobs, bytes; /* that live, with their payload */
    uint64_t last_id;     /* the highest id ever put, as far as can be told */
    uint64_t segments, frames, records;
    uint64_t torn_bytes;    /* of a commit that was not finished, cut off */
    uint64_t damaged;       /* ranges that were durable and cannot be read */
    uint64_t damaged_bytes; /* in them */
    bool orderly;           /* it had been closed */
};

/* Open the store in a folder, which is its own from here on, also on failure, and bring its jobs back. Blocks. PEN_ELOCKED:
 * another process has it; PEN_EFORMAT: another version's; PEN_EINVAL, PEN_ENOMEM, PEN_ESTOREFULL, a negated errno. */
int store_open(struct vfs_dir *dir, const struct store_options *options,
               const struct store_keeper *keeper, struct store **ret_store,
               struct store_recovery *ret_recovery) MUST_CHECK;

/* Look at the store in a folder, which is its own from here on, and change nothing. Errors as above. */
int store_inspect(struct vfs_dir *dir, const struct store_keeper *keeper,
                  struct store_recovery *ret_recovery) MUST_CHECK;

/* Write what was not yet, end in order and free it; sets to NULL, accepts NULL. Blocks until it is on the disk, unless
 * the store has failed. An error tells that something that was put may not be kept. */
int store_close(struct store **store);

/* ---- under the queue's lock, or wherever calls follow each other; none of these blocks ---- */

/* n puts are coming, of so many bytes of key, dedupe id, extra and payload together: until all of them are put or
 * released they stand together in one commit. With ids that rise, one by one, above all before. n is not 0.
 * -EAGAIN: no room now, but after the next news; PEN_ETOOBIG: never; PEN_ESTOREFULL, PEN_ESTOREFAILED, PEN_ENOMEM. */
int store_reserve(struct store *s, uint64_t n, uint64_t bytes) ANY_THREAD MUST_CHECK;
void store_release(struct store *s, uint64_t n, uint64_t bytes) ANY_THREAD;

/* One that was reserved. The ticket is synced when it is. */
uint64_t store_put(struct store *s, const struct store_job *job) ANY_THREAD;

/* A job's state is this now. Ids that do not live are ignored. */
void store_change(struct store *s, uint64_t id, const struct store_state *state) ANY_THREAD;

/* A job has ended. */
void store_end(struct store *s, uint64_t id) ANY_THREAD;

/* ---- not under a lock ---- */

/* Begin to commit what was put: after the queue's lock has been dropped. Does not block. */
void store_kick(struct store *s) ANY_THREAD;

/* Read a job that lives, from the disk if it is there. `buffer` is grown by realloc() as needed and what ret_job points to
 * is in it. Blocks. PEN_ENOENT: it does not live; PEN_EDAMAGED; PEN_ENOMEM, a negated errno. */
struct store_buffer {
    uint8_t *data; /* the caller's to free() */
    size_t cap;
};
int store_read(struct store *s, uint64_t id, struct store_buffer *buffer, struct store_job *ret_job)
    MUST_CHECK;

struct store_stats {
    struct store_news news;
    uint64_t jobs, live_bytes;     /* their records */
    uint64_t segments, disk_bytes; /* spares included */
    uint64_t commits, syncs, records, written_bytes;
    uint64_t moved_jobs, moved_bytes; /* copied out of old segments */
    uint64_t recycled, removed;       /* segments */
    uint64_t frozen;                  /* times */
    uint64_t collected;               /* records that wait for the next commit */
    uint64_t late;                    /* ends and changes that found no room in a frame yet */
    uint64_t lost; /* that found no memory for waiting either: after a restart the job is as it was before */
};
void store_stats(struct store *s, struct store_stats *ret_stats) ANY_THREAD;

/* ---- by hand ---- */

enum store_work { STORE_COMMIT, STORE_CHORE };

/* Do what the store's thread would do now: commit all that is there, or one piece of the rest. False: there was nothing. */
bool store_work(struct store *s, enum store_work what);

/* How many segments there are at most, each an open file. */
uint64_t store_files(uint64_t disk_max);

const char *store_condition_word(enum store_condition condition);

#endif
