/* SPDX-License-Identifier: Apache-2.0
 *
 * What a queue is told when it is made. Spans of 0 and limits of 0 mean "none" unless it says otherwise.
 */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H

#include "base/units.h"
#include "broker/journal.h"

/* What happens to a put that does not fit. */
enum broker_policy {
    BROKER_BLOCK,       /* it is left to the caller, who waits for room */
    BROKER_REJECT,      /* PEN_EFULL: not accepted */
    BROKER_DROP_OLDEST, /* the oldest jobs that are ready, or wait for their key, make room */
    BROKER_DROP_NEWEST, /* PEN_EDROPPED: accepted and dropped at once */
    BROKER_DROP_LOWEST /* jobs of lower priority make room, the lowest and oldest first; else as DROP_NEWEST */
};

struct broker_limits {
    /* Room. Held jobs count, in whatever state. */
    uint32_t items_max; /* 1 to 2^30 */
    uint64_t bytes_max; /* of payload */
    enum broker_policy policy;
    bool refuse_late; /* PEN_ELATE for a put that would expire before its turn comes, by the estimate */

    /* How fast and how many at a time. */
    uint32_t in_flight_max; /* in hand at a time */
    uint32_t rate_max; /* handed out in a second, up to RATE_MAX, with a burst of as many as a tenth of a second's, at least 1 */
    uint32_t key_in_flight_max; /* of one key; 0: 1, which keeps their order. More gives the order up */
    uint32_t key_rate_max;      /* of one key in a second */

    /* Again. */
    uint16_t attempts_max; /* a job whose attempts have all failed is dying */
    uint16_t crashes_max;  /* the same for crashes, if that is fewer */
    span_t backoff_base; /* the n-th backoff is evenly distributed from 0 to min(backoff_cap, backoff_base * 2^(n-1)) */
    span_t backoff_cap; /* 0: as the base */
    bool dead_letters; /* what is dying waits for broker_take_dying(); if not, it is dropped as failed */

    /* Once. A dedupe id is known for dedupe_window after its put, the last dedupe_max of them; a window of 0 is none, and
     * then only what coalesces is found. */
    span_t dedupe_window;
    uint32_t dedupe_max; /* up to DEDUPE_MAX; 0: DEDUPE_MAX */
};

enum { RATE_MAX = 1000000000, DEDUPE_MAX = 1 << 24 };

struct broker_options {
    struct broker_limits limits;
    uint64_t first_id; /* ids go up from here; 0: 1 */
    uint64_t seed;     /* of the jitter, and of the hashes of what peers choose */
    const struct broker_journal *journal; /* must outlive the broker; NULL: none */
    void *journal_arg;
};

#endif
