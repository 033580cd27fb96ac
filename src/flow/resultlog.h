/* SPDX-License-Identifier: Apache-2.0
 *
 * The last results of a publisher, by their sequence numbers: [oldest, next), without a hole. Bounded in results, in bytes and
 * in age; the oldest go first. Pure; whoever holds it serialises the calls.
 *
 * An entry is one message as it was published, of one result or of a frame of them. Less than RESULTLOG_KEEP_BYTES, and what is
 * in two pieces, is copied into memory of its own size. A larger one is kept by reference: the buffers that messages share have
 * 64 KiB (net/chunk.h), so at most as much again is pinned with it. The memory that payloads take is therefore less than twice
 * bytes_max, whatever is published.
 *
 * Rejected: references only (one byte an hour can pin 64 KiB each time), and one large ring of bytes (a third of it lies idle
 * when messages are large, and a slice out of it cannot be sent without a copy).
 */
#ifndef FLOW_RESULTLOG_H
#define FLOW_RESULTLOG_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/units.h"

enum { RESULTLOG_ENTRY_BYTES = 64, RESULTLOG_KEEP_BYTES = 32 * 1024 };

struct resultlog_entry {
    uint64_t first; /* sequence */
    uint32_t count; /* results, at least 1 */
    mono_t at;
    struct slice data;
};

struct resultlog {
    /* fixed after init */
    uint64_t items_max, bytes_max; /* bytes: of the messages, and RESULTLOG_ENTRY_BYTES for each */
    span_t age_max;
    /* its own */
    struct resultlog_entry *ring;
    uint32_t cap, first, count; /* cap is a power of two, or 0 */
    uint64_t next, bytes;
};

void resultlog_init(struct resultlog *log, uint64_t items_max, uint64_t bytes_max, span_t age_max);
void resultlog_fini(struct resultlog *log);

/* Append the message that holds the results [next, next + count). The slices are borrowed; now never goes back. What cannot be kept,
 * because it is too large or for want of memory, is forgotten with all before it. */
void resultlog_add(struct resultlog *log, struct slice head, struct slice body, uint32_t count,
                   mono_t now);
/* Forget what is older than age_max. */
void resultlog_expire(struct resultlog *log, mono_t now);

/* [oldest, next): equal when nothing is there. */
uint64_t resultlog_oldest(const struct resultlog *log);
static inline uint64_t resultlog_next(const struct resultlog *log)
{
    return log->next;
}

/* When the oldest entry becomes too old; PEN_NEVER: there is none. */
mono_t resultlog_due(const struct resultlog *log);

/* The entry that holds this sequence, borrowed until the log is changed; NULL: it is not in [oldest, next). */
const struct resultlog_entry *resultlog_find(const struct resultlog *log, uint64_t sequence);

#endif
