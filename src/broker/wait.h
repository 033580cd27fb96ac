/* SPDX-License-Identifier: Apache-2.0
 *
 * What a queue waits for: an instant, in the broker's one heap. Embedded in what waits.
 */
#ifndef BROKER_WAIT_H
#define BROKER_WAIT_H

#include "base/units.h"

enum wait_kind {
    WAIT_DELAY,  /* a job becomes ready */
    WAIT_LEASE,  /* a worker's lease ends */
    WAIT_EXPIRY, /* a job has had its time */
    WAIT_LANE    /* a key may go on after its rate's limit */
};

struct wait {
    mono_t due;
    uint32_t place; /* in the heap */
    uint32_t index; /* the job's record; unused by WAIT_LANE */
    enum wait_kind kind;
};

#endif
