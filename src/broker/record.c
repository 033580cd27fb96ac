/* SPDX-License-Identifier: Apache-2.0
 *
 * The legal moves of a job, and the slab of records.
 */
#include <stdlib.h>

#include "broker/record.h"

/* ---- states ---- */

#define TO(state) (1u << JOB_##state)

const uint16_t record_moves[JOB_STATES] = {
    [JOB_FREE] = TO(READY) | TO(HELD) | TO(DELAYED) | TO(BURIED) | TO(DYING),
    [JOB_READY] = TO(HELD) | TO(LEASED) | TO(DROPPED),
    [JOB_HELD] = TO(READY) | TO(DROPPED),
    [JOB_DELAYED] = TO(READY) | TO(HELD) | TO(DROPPED),
    [JOB_LEASED] =
        TO(READY) | TO(HELD) | TO(DELAYED) | TO(BURIED) | TO(DYING) | TO(DROPPED) | TO(FREE),
    [JOB_BURIED] = TO(READY) | TO(HELD) | TO(DROPPED),
    [JOB_DYING] = TO(DROPPED) | TO(FREE),
    [JOB_DROPPED] = TO(FREE),
};

/* ---- the slab ---- */

int slab_grow(struct broker *b)
{
    if (b->chunks_count == b->chunks_cap) {
        uint32_t cap = b->chunks_cap == 0 ? 8 : b->chunks_cap * 2;
        struct record **chunks = reallocarray(b->chunks, cap, sizeof *chunks);
        if (chunks == NULL)
            return PEN_ENOMEM;
        b->chunks = chunks;
        b->chunks_cap = cap;
    }
    struct record *chunk = calloc(CHUNK_RECORDS, sizeof *chunk);
    if (chunk == NULL)
        return PEN_ENOMEM;
    uint32_t first = b->chunks_count * CHUNK_RECORDS;
    b->chunks[b->chunks_count++] = chunk;
    for (uint32_t k = CHUNK_RECORDS; k-- > 0;) {
        chunk[k].next = b->free_head;
        if (b->free_head == NIL)
            b->free_tail = first + k;
        b->free_head = first + k;
    }
    b->free_count += CHUNK_RECORDS;
    b->ledger.none += CHUNK_RECORDS;
    return 0;
}
