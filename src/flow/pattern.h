/* SPDX-License-Identifier: Apache-2.0
 *
 * The patterns of the configuration as endpoints know them. Pure.
 */
#ifndef FLOW_PATTERN_H
#define FLOW_PATTERN_H

#include "base/check.h"
#include "conf/conf.h"
#include "net/endpoint.h"

static inline enum sp_pattern sp_pattern_of(enum conf_pattern pattern)
{
    static const enum sp_pattern patterns[] = {
        [PATTERN_PULL] = SP_PULL,   [PATTERN_REP] = SP_REP, [PATTERN_RESPONDENT] = SP_RESPONDENT,
        [PATTERN_SUB] = SP_SUB,     [PATTERN_BUS] = SP_BUS, [PATTERN_PAIR] = SP_PAIR,
        [PATTERN_LINES] = SP_LINES, [PATTERN_PUB] = SP_PUB, [PATTERN_PUSH] = SP_PUSH
    };
    check(pattern != PATTERN_NONE); /* It is a required option. */
    return patterns[pattern];
}

#endif
