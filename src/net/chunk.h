/* SPDX-License-Identifier: Apache-2.0
 *
 * A buffer that many small messages share, filled from the front. Its references are set up for
 * every message it could ever carry and what was not handed out is given back at the end, so that
 * handing one out costs no atomic.
 *
 * The filler's thread, but for the slices, which are anybody's.
 */
#ifndef NET_CHUNK_H
#define NET_CHUNK_H

#include "base/slice.h"

struct chunk {
    struct blob blob;
    uint32_t cap;    /* bytes; fixed after init */
    uint32_t used;   /* owner: filler */
    uint32_t handed; /* slices given out so far; owner: filler */
    uint8_t bytes[];
};

/* cap is at least 1. PEN_ENOMEM, PEN_ETOOBIG (4 GiB). */
int chunk_new(size_t cap, struct chunk **ret_chunk) MUST_CHECK;

/* The bytes [at, at + bytes), which are used. No byte may be handed out twice; a slice of none costs
 * nothing. */
struct slice chunk_slice(struct chunk *chunk, uint32_t at, uint32_t bytes);

/* The filler is done with it: it goes with its last slice. Sets to NULL, accepts NULL. */
void chunk_retire(struct chunk **chunk);

#endif
