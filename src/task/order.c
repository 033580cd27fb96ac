/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap in an array, ordered by (rank, arrival), or the same array as a stack. The rank is asked for once,
 * when the item comes in.
 */
#include "task/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct order_entry {
    int64_t rank;
    uint64_t arrival;
    struct pen_item item;
};

struct order {
    order_rank_fn rank;
    void *rank_arg;
    uint64_t arrivals;
    uint32_t count, space;
    struct order_entry *entries;
};

int order_new(order_rank_fn rank, void *rank_arg, uint32_t items, struct order **ret_order)
{
    struct order *o = calloc(1, sizeof *o);
    if (o == NULL)
        return PEN_ENOMEM;
    o->entries = order_space(items);
    if (o->entries == NULL) {
        free(o);
        return PEN_ENOMEM;
    }
    o->space = items;
    o->rank = rank;
    o->rank_arg = rank_arg;
    *ret_order = o;
    return 0;
}

void order_free(struct order *o)
{
    if (o == NULL)
        return;
    free(o->entries);
    free(o);
}

struct order_entry *order_space(uint32_t items)
{
    return calloc(items, sizeof(struct order_entry));
}

struct order_entry *order_move(struct order *o, struct order_entry *space, uint32_t items)
{
    check(items >= o->count);
    struct order_entry *old = o->entries;
    memcpy(space, old, o->count * sizeof *old);
    o->entries = space;
    o->space = items;
    return old;
}

static bool before(const struct order_entry *a, const struct order_entry *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->arrival < b->arrival;
}

static void sift_up(struct order_entry *entries, uint32_t at)
{
    struct order_entry e = entries[at];
    while (at > 0 && before(&e, &entries[(at - 1) / 2])) {
        entries[at] = entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    entries[at] = e;
}

/* Put `e` where the first one was. */
static void sift_down(struct order_entry *entries, uint32_t count, struct order_entry e)
{
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(&entries[child + 1], &entries[child]))
            child++;
        if (!before(&entries[child], &e))
            break;
        entries[at] = entries[child];
    }
    entries[at] = e;
}

void order_push(struct order *o, struct pen_item item)
{
    check(o->count < o->space);
    int64_t rank = o->rank != NULL ? o->rank(item.ptr, o->rank_arg) : 0;
    o->entries[o->count] =
        (struct order_entry){ .rank = rank, .arrival = o->arrivals++, .item = item };
    if (o->rank != NULL)
        sift_up(o->entries, o->count);
    o->count++;
}

bool order_look(const struct order *o, struct pen_item *ret_item)
{
    if (o->count == 0)
        return false;
    *ret_item = o->entries[o->rank != NULL ? 0 : o->count - 1].item;
    return true;
}

bool order_pop(struct order *o, struct pen_item *ret_item)
{
    if (!order_look(o, ret_item))
        return false;
    o->count--;
    if (o->rank != NULL && o->count > 0)
        sift_down(o->entries, o->count, o->entries[o->count]);
    return true;
}
