/* SPDX-License-Identifier: Apache-2.0
 *
 * A leaf holds 32 neighbouring ids; leaves are in a hash table with linear probing, at most half full. Growing the
 * table moves one pointer for each leaf, 32 times fewer than there are jobs, so that a put with a million jobs behind it
 * does not stop for it. A leaf whose last job has ended goes to a list of free ones: from there comes what
 * index_reserve() promises.
 *
 * Rejected: a plain hash table of entries (57 bytes for a job on average, and a rehash of all of them at once); a
 * ring of consecutive ids (one job that is stuck keeps it from shrinking).
 */
#include "store/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { LEAF_IDS = 32, TABLE_FIRST = 64 };

struct leaf {
    uint64_t number; /* id / LEAF_IDS */
    struct leaf *next_free;
    uint32_t lives;
    struct index_entry entries[LEAF_IDS];
};
_Static_assert(sizeof(struct index_entry) == 24, "24 bytes for a job");

struct index {
    struct leaf **table;
    uint64_t table_size; /* a power of two */
    uint64_t leaves;     /* in the table */
    struct leaf *free;
    uint64_t free_count;
    uint64_t count;
};

static uint64_t slot_of(const struct index *x, uint64_t number)
{
    return (number * 0x9e3779b97f4a7c15u >> 20) & (x->table_size - 1);
}

/* Where the leaf is, or the empty slot where it would be. */
static struct leaf **find_slot(const struct index *x, uint64_t number)
{
    uint64_t i = slot_of(x, number);
    while (x->table[i] != NULL && x->table[i]->number != number)
        i = (i + 1) & (x->table_size - 1);
    return &x->table[i];
}

static int grow_table(struct index *x, uint64_t size)
{
    struct leaf **old = x->table, **table = calloc(size, sizeof(struct leaf *));
    uint64_t old_size = x->table_size;
    if (table == NULL)
        return PEN_ENOMEM;
    x->table = table;
    x->table_size = size;
    for (uint64_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            *find_slot(x, old[i]->number) = old[i];
    free(old);
    return 0;
}

int index_new(struct index **ret_index)
{
    struct index *x = calloc(1, sizeof *x);
    if (x == NULL)
        return PEN_ENOMEM;
    if (grow_table(x, TABLE_FIRST) < 0) {
        free(x);
        return PEN_ENOMEM;
    }
    *ret_index = x;
    return 0;
}

void index_free(struct index **index)
{
    struct index *x = *index;
    *index = NULL;
    if (x == NULL)
        return;
    for (uint64_t i = 0; i < x->table_size; i++)
        free(x->table[i]);
    for (struct leaf *l; (l = x->free) != NULL;) {
        x->free = l->next_free;
        free(l);
    }
    free(x->table);
    free(x);
}

int index_reserve(struct index *x, uint64_t n)
{
    uint64_t leaves = n / LEAF_IDS + 2, size = x->table_size;
    while ((x->leaves + leaves) * 2 > size)
        size *= 2;
    if (size > x->table_size && grow_table(x, size) < 0)
        return PEN_ENOMEM;
    for (; x->free_count < leaves; x->free_count++) {
        struct leaf *l = malloc(sizeof *l);
        if (l == NULL)
            return PEN_ENOMEM;
        l->next_free = x->free;
        x->free = l;
    }
    return 0;
}

static struct leaf *add_leaf(struct index *x, uint64_t number)
{
    if (x->free == NULL || (x->leaves + 1) * 2 > x->table_size)
        if (index_reserve(x, 1) < 0)
            return NULL;
    struct leaf *l = x->free;
    x->free = l->next_free;
    x->free_count--;
    memset(l, 0, sizeof *l);
    l->number = number;
    *find_slot(x, number) = l;
    x->leaves++;
    return l;
}

struct index_entry *index_add(struct index *x, uint64_t id)
{
    struct leaf *l = *find_slot(x, id / LEAF_IDS);
    if (l == NULL)
        l = add_leaf(x, id / LEAF_IDS);
    if (l == NULL)
        return NULL;
    struct index_entry *e = &l->entries[id % LEAF_IDS];
    if (e->segment == 0) {
        l->lives++;
        x->count++;
    }
    return e;
}

struct index_entry *index_find(struct index *x, uint64_t id)
{
    struct leaf *l = *find_slot(x, id / LEAF_IDS);
    struct index_entry *e = l != NULL ? &l->entries[id % LEAF_IDS] : NULL;
    return e != NULL && e->segment != 0 ? e : NULL;
}

/* Take a leaf out and move those up that probed past its slot. */
static void remove_leaf(struct index *x, struct leaf **slot)
{
    struct leaf *l = *slot;
    uint64_t mask = x->table_size - 1, hole = (uint64_t)(slot - x->table);
    x->table[hole] = NULL;
    for (uint64_t i = (hole + 1) & mask; x->table[i] != NULL; i = (i + 1) & mask) {
        uint64_t home = slot_of(x, x->table[i]->number);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        x->table[hole] = x->table[i];
        x->table[i] = NULL;
        hole = i;
    }
    l->next_free = x->free;
    x->free = l;
    x->free_count++;
    x->leaves--;
}

/* Of free leaves as many are kept as there are in use, and some. */
static void trim_free(struct index *x)
{
    while (x->free_count > x->leaves + LEAF_IDS) {
        struct leaf *l = x->free;
        x->free = l->next_free;
        x->free_count--;
        free(l);
    }
}

void index_remove(struct index *x, uint64_t id)
{
    struct leaf **slot = find_slot(x, id / LEAF_IDS);
    struct leaf *l = *slot;
    if (l == NULL || l->entries[id % LEAF_IDS].segment == 0)
        return;
    l->entries[id % LEAF_IDS] = (struct index_entry){ 0 };
    x->count--;
    if (--l->lives > 0)
        return;
    remove_leaf(x, slot);
    trim_free(x);
}

uint64_t index_count(const struct index *x)
{
    return x->count;
}

struct store_state index_state(const struct index_entry *e)
{
    return (struct store_state){ .due_ns = e->due_ns,
                                 .attempts = e->attempts,
                                 .crashes = e->crashes,
                                 .priority = e->priority,
                                 .place = e->place };
}

void index_set_state(struct index_entry *e, const struct store_state *s)
{
    e->due_ns = s->due_ns;
    e->attempts = s->attempts;
    e->crashes = s->crashes;
    e->priority = s->priority & 15;
    e->place = s->place & 15;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(struct leaf *const *)a)->number, y = (*(struct leaf *const *)b)->number;
    return (x > y) - (x < y);
}

static int each_in_leaf(struct leaf *l, index_fn *fn, void *arg)
{
    for (uint64_t i = 0; i < LEAF_IDS; i++) {
        int r = l->entries[i].segment != 0 ? fn(arg, l->number * LEAF_IDS + i, &l->entries[i]) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}

int index_each(struct index *x, index_fn *fn, void *arg)
{
    if (x->leaves == 0)
        return 0;
    struct leaf **sorted = malloc(x->leaves * sizeof(struct leaf *));
    uint64_t n = 0;
    if (sorted == NULL)
        return PEN_ENOMEM;
    for (uint64_t i = 0; i < x->table_size; i++)
        if (x->table[i] != NULL)
            sorted[n++] = x->table[i];
    qsort(sorted, n, sizeof(struct leaf *), by_number);
    int r = 0;
    for (uint64_t i = 0; i < n && r == 0; i++)
        r = each_in_leaf(sorted[i], fn, arg);
    free(sorted);
    return r;
}
