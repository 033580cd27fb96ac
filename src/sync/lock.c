/* SPDX-License-Identifier: Apache-2.0
 *
 * The order is kept in one word per thread: bit r is set while a lock of rank r is held. A lock may be
 * taken when no bit at or above its own is set, so two locks of one rank are never held together and no
 * cycle can form.
 */
#include "sync/lock.h"

#include "base/check.h"

static _Thread_local unsigned held_ranks;

void lock_init(struct lock *l, enum lock_rank rank)
{
    check(rank > LOCK_RANK_NONE && rank < LOCK_RANKS);
    l->rank = rank;
    check(pthread_mutex_init(&l->mutex, NULL) == 0);
}

void lock_fini(struct lock *l)
{
    check(pthread_mutex_destroy(&l->mutex) == 0);
}

void lock_take(struct lock *l) NO_TSA
{
    check(held_ranks < (1u << l->rank)); /* No lock of this rank or a later one is held. */
    check(pthread_mutex_lock(&l->mutex) == 0);
    held_ranks |= 1u << l->rank;
}

void lock_drop(struct lock *l) NO_TSA
{
    check(held_ranks & (1u << l->rank));
    held_ranks &= ~(1u << l->rank);
    check(pthread_mutex_unlock(&l->mutex) == 0);
}

bool lock_held(const struct lock *l)
{
    return (held_ranks & (1u << l->rank)) != 0;
}
