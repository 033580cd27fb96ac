/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <stdlib.h>

#include "base/check.h"

static void set(struct heap *h, uint32_t i, void *element)
{
    h->at[i] = element;
    *h->index(element) = i;
}

static void sift_up(struct heap *h, uint32_t i, void *element)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!h->before(element, h->at[parent]))
            break;
        set(h, i, h->at[parent]);
        i = parent;
    }
    set(h, i, element);
}

static void sift_down(struct heap *h, uint32_t i, void *element)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->before(h->at[child + 1], h->at[child]))
            child++;
        if (!h->before(h->at[child], element))
            break;
        set(h, i, h->at[child]);
        i = child;
    }
    set(h, i, element);
}

int heap_reserve(struct heap *h, uint32_t count)
{
    if (count <= h->cap)
        return 0;
    uint32_t cap = h->cap == 0 ? 16 : h->cap * 2;
    if (cap < count)
        cap = count;
    void **at = reallocarray(h->at, cap, sizeof *at);
    if (at == NULL)
        return PEN_ENOMEM;
    h->at = at;
    h->cap = cap;
    return 0;
}

int heap_insert(struct heap *h, void *element)
{
    int r = heap_reserve(h, h->count + 1);
    if (r < 0)
        return r;
    sift_up(h, h->count++, element);
    return 0;
}

void heap_remove(struct heap *h, void *element)
{
    uint32_t i = *h->index(element);
    check(i < h->count && h->at[i] == element);
    void *last = h->at[--h->count];
    *h->index(element) = HEAP_NOWHERE;
    if (last == element)
        return;
    if (i > 0 && h->before(last, h->at[(i - 1) / 2]))
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

void heap_fini(struct heap *h)
{
    free(h->at);
    h->at = NULL;
    h->count = h->cap = 0;
}
