/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue's books. Nothing accepted is lost: after every call
 *
 *   accepted = done + dead + dropped{reason} + expired + held
 *   held = ready + waiting + delayed + in_hand + buried + dying
 *
 * A duplicate is not accepted, and neither is a put that was refused.
 */
#ifndef BROKER_LEDGER_H
#define BROKER_LEDGER_H

#include "broker/job.h"

struct broker_ledger {
    /* counted since the start; what was restored counts as accepted */
    uint64_t accepted, done, dead, dropped[DROP_REASONS], expired;
    uint64_t refused;    /* puts that were not accepted, by reject, size, lateness or memory */
    uint64_t duplicates; /* puts of what was there already */
    uint64_t taken;      /* hand-outs: attempts */
    uint64_t retried;    /* attempts that failed and were not the last */
    uint64_t crashed;    /* attempts that ended with a crash */
    uint64_t released;   /* given back by their worker, or taken from one that is gone */
    uint64_t lease_expired;
    uint64_t late; /* settles, touches and the like with a lease that was lost */
    uint64_t buried_ever, kicked;

    /* how many are in each state now */
    union {
        uint64_t in_state[JOB_STATES];
        struct {
            uint64_t none;
            uint64_t ready, waiting, delayed, in_hand, buried, dying;
            uint64_t dropped_now; /* ended, to be reaped */
        };
    };
    uint64_t leased; /* those of in_hand that outside workers have */
    uint64_t bytes;  /* payload bytes held now */
    uint64_t keys;   /* keys that are known now */

    uint64_t items_high; /* the most ever held */
};

static inline uint64_t broker_ledger_held(const struct broker_ledger *g)
{
    return g->ready + g->waiting + g->delayed + g->in_hand + g->buried + g->dying;
}

#endif
