/* SPDX-License-Identifier: Apache-2.0
 *
 * A job's rare attributes as bytes, for a store: what it does not keep by itself. Pure.
 */
#ifndef FLOW_ATTRIBUTES_H
#define FLOW_ATTRIBUTES_H

#include "broker/job.h"

/* Wall clock minus the clock of the instants, in ns: they are kept as wall clock. */
struct attributes_clock {
    int64_t offset_ns;
};

static inline int64_t attributes_wall(struct attributes_clock c, mono_t t)
{
    return t.ns == 0 ? 0 : t.ns == PEN_NEVER.ns ? INT64_MAX : t.ns + c.offset_ns;
}

/* Never 0 for what was an instant: 0 means none. */
static inline mono_t attributes_mono(struct attributes_clock c, int64_t wall_ns)
{
    int64_t ns = wall_ns - c.offset_ns;
    return (mono_t){ wall_ns == 0 ? 0 : wall_ns == INT64_MAX ? PEN_NEVER.ns : ns == 0 ? 1 : ns };
}

/* Bytes that attributes_put() writes at most. */
size_t attributes_bytes_max(const struct job_ext *ext);
/* Write them; returns how many there were. */
size_t attributes_put(uint8_t *to, const struct job_ext *ext, struct attributes_clock clock);
/* Back into an ext of job_ext_new(), which stays the caller's, also on failure. PEN_EDAMAGED, PEN_ENOMEM. Kinds that are not
 * known are passed over: a later version wrote them. */
int attributes_get(const uint8_t *from, size_t bytes, struct attributes_clock clock,
                   struct job_ext *ext) MUST_CHECK;

#endif
