/* SPDX-License-Identifier: Apache-2.0
 *
 * See chunk.h. A slice has at least one byte and no byte is in two slices, so there are never more
 * than cap slices; one reference more is the filler's.
 */
#include "net/chunk.h"

#include <stdlib.h>

#include "base/check.h"

static void chunk_destroy(struct blob *blob)
{
    free(blob);
}

int chunk_new(size_t cap, struct chunk **ret_chunk)
{
    check(cap > 0);
    if (cap >= UINT32_MAX)
        return PEN_ETOOBIG;
    struct chunk *c = malloc(sizeof *c + cap);
    if (c == NULL)
        return PEN_ENOMEM;
    c->cap = (uint32_t)cap;
    c->used = 0;
    c->handed = 0;
    blob_init(&c->blob, c->cap + 1, chunk_destroy);
    *ret_chunk = c;
    return 0;
}

struct slice chunk_slice(struct chunk *c, uint32_t at, uint32_t bytes)
{
    static const uint8_t nothing[1];
    if (bytes == 0)
        return (struct slice){ .at = nothing };
    check(at <= c->used && bytes <= c->used - at && c->handed < c->cap);
    c->handed++;
    return (struct slice){ .blob = &c->blob, .at = c->bytes + at, .bytes = bytes };
}

void chunk_retire(struct chunk **chunk)
{
    struct chunk *c = *chunk;
    if (c == NULL)
        return;
    *chunk = NULL;
    blob_unref(&c->blob, c->cap + 1 - c->handed);
}
