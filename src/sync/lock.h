/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutexes that know their place. A lock's rank is its line in locks.def; taking locks out of order, twice, or
 * dropping one that is not held by this thread dies at once, in every build, with the names of both.
 *
 * The idea of a lock whose type carries its order is from BIRD 3 (lib/locking.h).
 */
#ifndef SYNC_LOCK_H
#define SYNC_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/roles.h"

enum lock_rank {
    LOCK_RANK_NONE,
#define LOCK_RANK(name, what) LOCK_##name,
#include "sync/locks.def"
#undef LOCK_RANK
    LOCK_RANKS
};

struct CAPABILITY("lock") lock {
    pthread_mutex_t mutex;
    enum lock_rank rank; /* fixed after init */
};

/* For a lock with no better place for lock_init() than before main(). */
#define LOCK_INITIALIZER(name) \
    { \
        PTHREAD_MUTEX_INITIALIZER, LOCK_##name \
    }

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l) ACQUIRES(l);
void lock_drop(struct lock *l) RELEASES(l);

/* The calling thread holds it. */
bool lock_held(const struct lock *l);

#endif
