/* SPDX-License-Identifier: Apache-2.0
 *
 * What a queue waits for: an instant, in one of the broker's heaps. Embedded in what waits.
 */
#ifndef BROKER_WAIT_H
#define BROKER_WAIT_H

#include "base/units.h"

enum wait_kind {
    WAIT_DELAY,  /* a job becomes ready */
    WAIT_LEASE,  /* a worker's lease ends */
    WAIT_EXPIRY, /* a job has had its time */
    WAIT_LANE,   /* a key may go on after its rate's limit */
    WAIT_KINDS
};

struct wait {
    mono_t due;
    uint32_t place; /* in its heap; HEAP_NOWHERE outside */
    uint32_t order; /* in which they began to wait */
    uint32_t index; /* the job's record, of what is a job's */
    uint8_t kind;   /* enum wait_kind */
};

#endif
