/* SPDX-License-Identifier: Apache-2.0
 *
 * What a store has to know to bring a queue back: callbacks in the order of what happens, from within the commands and so under
 * the lock that serialises them. They must neither block nor call the broker. A broker without a journal pays a
 * branch that is never taken.
 *
 * A journal is not asked about state changes and ends: a full disk must still take them. Leases are not told. A job that
 * was in hand comes back as it was last told, ready, or delayed while its backoff lasts.
 */
#ifndef BROKER_JOURNAL_H
#define BROKER_JOURNAL_H

#include "broker/job.h"

enum job_end { END_DONE, END_DEAD, END_DROPPED, END_EXPIRED };

struct broker_journal {
    /* Up to n puts are coming, with so many bytes of payload and attributes (job_bytes()) together. A negative error refuses
     * them all, with everything unchanged: it is what the put returns. */
    int (*reserve)(void *arg, size_t n, uint64_t bytes);
    /* So much of what was reserved will not come. */
    void (*release)(void *arg, size_t n, uint64_t bytes);
    /* A job was accepted: READY, HELD or DELAYED. Its ext tells key, dedupe id and the rest. `more`: the next put belongs to
     * it, all or nothing. */
    void (*put)(void *arg, const struct job_view *job, bool more);
    /* Its attempts, crashes, last error, due time or state (READY, HELD, DELAYED, BURIED or DYING) are now these. */
    void (*change)(void *arg, const struct job_view *job);
    /* It ended; with END_DROPPED for which reason. */
    void (*end)(void *arg, uint64_t id, enum job_end how, enum drop_reason reason);
};

/* A job from a store, with its history. */
struct job_restore {
    uint64_t id;       /* not 0; ids that are given out from now on are above it */
    struct slice body; /* the queue's when broker_restore() returns 0 */
    struct job_ext *ext; /* the same; with crashes, error and times; expires_at and delay_until on this run's clock */
    uint16_t attempts; /* that are charged */
    uint8_t priority;
    enum job_state state; /* READY (HELD is the same), DELAYED until `due`, BURIED or DYING */
    mono_t due;
};

#endif
