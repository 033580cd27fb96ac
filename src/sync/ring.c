/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/ring.h"

#include <stdlib.h>

#include "base/check.h"

static uint64_t power_of_two(uint32_t at_least)
{
    uint64_t slots = 1;
    while (slots < at_least)
        slots *= 2;
    return slots;
}

int ring_new(uint32_t items, struct ring **ret_ring)
{
    check(items >= 1 && items <= 1u << 30);
    uint64_t slots = power_of_two(items);
    if (slots > (SIZE_MAX - sizeof(struct ring)) / sizeof(struct ring_slot))
        return PEN_ENOMEM;
    /* All zero is all free, and the system hands out the pages of a large ring only as they are reached. */
    struct ring *r = calloc(1, sizeof *r + (size_t)slots * sizeof r->slots[0]);
    if (r == NULL)
        return PEN_ENOMEM;
    r->mask = slots - 1;
    *ret_ring = r;
    return 0;
}

void ring_free(struct ring *r)
{
    while (r != NULL) {
        struct ring *next = atomic_load_explicit(&r->next, memory_order_relaxed);
        free(r);
        r = next;
    }
}
