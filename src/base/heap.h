/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary min-heap of pointers whose elements know their place, so that any of them can be taken out in
 * O(log n). The order is the caller's; make it total (add a sequence number) where ties matter.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HEAP_NOWHERE UINT32_MAX

struct heap {
    void **at;
    uint32_t count, cap;
    bool (*before)(const void *a, const void *b);
    uint32_t *(*index)(void *element); /* where the element keeps its place; HEAP_NOWHERE outside */
};

/* Make sure that it can hold so many without another allocation. PEN_ENOMEM: unchanged. */
int heap_reserve(struct heap *h, uint32_t count) MUST_CHECK;
/* PEN_ENOMEM: unchanged. */
int heap_insert(struct heap *h, void *element) MUST_CHECK;
/* The least, or NULL. */
static inline void *heap_top(const struct heap *h)
{
    return h->count > 0 ? h->at[0] : NULL;
}
/* Take an element out from wherever it is. */
void heap_remove(struct heap *h, void *element);
void heap_fini(struct heap *h);

#endif
