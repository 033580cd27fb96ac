/* SPDX-License-Identifier: Apache-2.0
 *
 * One word that a thread sleeps on until another sets it.
 */
#ifndef SYNC_FUTEX_H
#define SYNC_FUTEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"

struct futex {
    _Atomic uint32_t word; /* atomic: edge W1 */
};

void futex_reset(struct futex *f);
/* Set the word; sleepers see it at once but are only woken by futex_wake(). */
void futex_set(struct futex *f);
/* Wake whoever sleeps on the address. The word is not touched, so the address may be gone. */
void futex_wake(struct futex *f);
/* Sleep until the word is set; false when the deadline (CLOCK_MONOTONIC) passed first. */
bool futex_wait(struct futex *f, mono_t deadline);

#endif
