/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits on time, and the leases of outside workers.
 */
#include <stdlib.h>

#include "broker/parts.h"

/* ---- waits ---- */

void wait_arm(struct broker *b, struct wait *w, enum wait_kind kind, mono_t due)
{
    w->due = due;
    w->kind = (uint8_t)kind;
    w->order = b->wait_order++;
    int r = heap_insert(&b->waits[kind], w);
    check(r == 0); /* There was room from when it was made. */
}

void wait_disarm(struct broker *b, struct wait *w)
{
    if (wait_is_armed(w))
        heap_remove(&b->waits[w->kind], w);
}

int expiry_reserve(struct broker *b)
{
    return heap_reserve(&b->waits[WAIT_EXPIRY], b->expiries + 1);
}

/* ---- holds ---- */

struct hold *hold_at(const struct broker *b, uint32_t i)
{
    return &b->holds[i / CHUNK_HOLDS][i % CHUNK_HOLDS];
}

/* The heaps have room for every hold that there is. */
static int reserve_waits(struct broker *b, uint32_t holds)
{
    int r = heap_reserve(&b->waits[WAIT_DELAY], holds);
    return r < 0 ? r : heap_reserve(&b->waits[WAIT_LEASE], holds);
}

static int holds_grow(struct broker *b)
{
    int r = reserve_waits(b, (b->holds_count + 1) * CHUNK_HOLDS);
    if (r < 0)
        return r;
    if ((b->holds_count & (b->holds_count - 1)) ==
        0) { /* The array is as long as the next power of two. */
        uint32_t cap = b->holds_count == 0 ? 1 : b->holds_count * 2;
        struct hold **holds = reallocarray(b->holds, cap, sizeof *holds);
        if (holds == NULL)
            return PEN_ENOMEM;
        b->holds = holds;
    }
    struct hold *chunk = calloc(CHUNK_HOLDS, sizeof *chunk);
    if (chunk == NULL)
        return PEN_ENOMEM;
    b->holds[b->holds_count++] = chunk;
    for (uint32_t k = CHUNK_HOLDS; k-- > 0;) {
        chunk[k].wait.place = HEAP_NOWHERE;
        chunk[k].next = b->free_hold;
        b->free_hold = (b->holds_count - 1) * CHUNK_HOLDS + k;
    }
    b->free_holds_count += CHUNK_HOLDS;
    return 0;
}

int hold_reserve(struct broker *b)
{
    return b->free_holds_count > b->reserved_holds ? 0 : holds_grow(b);
}

uint32_t hold_new(struct broker *b, uint32_t index)
{
    uint32_t i = b->free_hold;
    struct hold *h = hold_at(b, i);
    b->free_hold = h->next;
    b->free_holds_count--;
    h->wait.index = index;
    return i;
}

void hold_free(struct broker *b, uint32_t i)
{
    struct hold *h = hold_at(b, i);
    wait_disarm(b, &h->wait);
    h->owner = NULL;
    h->next = b->free_hold;
    b->free_hold = i;
    b->free_holds_count++;
}

/* ---- owners ---- */

static void owner_free(struct broker *b, struct owner *owner)
{
    hash_remove(&b->owners, &owner->node);
    list_remove(&owner->idle);
    b->idle_owners_count--;
    free(owner);
}

/* It has nothing any more: it keeps its place among the last of those, so that a worker that takes one job at a time costs no
 * allocation each time. */
static void owner_rest(struct broker *b, struct owner *owner)
{
    list_push_back(&b->idle_owners, &owner->idle);
    if (++b->idle_owners_count > OWNERS_IDLE)
        owner_free(b, CONTAINER_OF(b->idle_owners.next, struct owner, idle));
}

struct owner *owner_find(const struct broker *b, uint64_t id)
{
    uint64_t hash = hash_of(&b->owners, &id, sizeof id);
    for (struct hash_node *n = hash_first(&b->owners, hash); n != NULL; n = hash_next(n)) {
        struct owner *owner = CONTAINER_OF(n, struct owner, node);
        if (owner->id == id)
            return owner;
    }
    return NULL;
}

int owner_get(struct broker *b, uint64_t id, struct owner **ret_owner)
{
    struct owner *owner = owner_find(b, id);
    if (owner == NULL) {
        owner = calloc(1, sizeof *owner);
        if (owner == NULL)
            return PEN_ENOMEM;
        owner->id = id;
        list_init(&owner->holds);
        hash_insert(&b->owners, &owner->node, hash_of(&b->owners, &id, sizeof id));
        owner_rest(b, owner);
    }
    *ret_owner = owner;
    return 0;
}

/* ---- leases ---- */

/* Its worker's; the serial is never 0, so neither is the lease. */
uint64_t lease_start(struct broker *b, uint32_t hold, struct owner *owner, span_t span)
{
    struct hold *h = hold_at(b, hold);
    if (++h->serial == 0)
        h->serial = 1;
    h->since = b->now;
    h->owner = owner;
    if (list_empty(&owner->holds)) {
        list_remove(&owner->idle);
        b->idle_owners_count--;
    }
    list_push_back(&owner->holds, &h->node);
    wait_arm(b, &h->wait, WAIT_LEASE, mono_after(b->now, span));
    b->ledger.leased++;
    return (uint64_t)h->serial << 32 | hold;
}

void lease_end(struct broker *b, uint32_t hold)
{
    struct hold *h = hold_at(b, hold);
    list_remove(&h->node);
    if (list_empty(&h->owner->holds))
        owner_rest(b, h->owner);
    hold_free(b, hold);
    b->ledger.leased--;
}

struct hold *lease_find(const struct broker *b, uint64_t id, uint64_t lease)
{
    uint32_t i = (uint32_t)lease;
    if (i >= b->holds_count * CHUNK_HOLDS)
        return NULL;
    struct hold *h = hold_at(b, i);
    bool lives = h->owner != NULL && h->serial == lease >> 32;
    return lives && record_at(b, h->wait.index)->id == id ? h : NULL;
}

/* ---- making and freeing ---- */

static bool due_before(const void *a, const void *b)
{
    const struct wait *x = a, *y = b;
    if (x->due.ns != y->due.ns)
        return x->due.ns < y->due.ns;
    return (int32_t)(x->order - y->order) < 0;
}

static uint32_t *place_of(void *element)
{
    return &((struct wait *)element)->place;
}

void waits_init(struct broker *b)
{
    for (int k = 0; k < WAIT_KINDS; k++)
        b->waits[k] = (struct heap){ .before = due_before, .index = place_of };
    b->free_hold = NIL;
    hash_init(&b->owners, b->options.seed);
    list_init(&b->idle_owners);
}

void waits_fini(struct broker *b)
{
    HASH_EACH(n, &b->owners)
    free(CONTAINER_OF(n, struct owner, node));
    hash_fini(&b->owners);
    for (uint32_t k = 0; k < b->holds_count; k++)
        free(b->holds[k]);
    free(b->holds);
    for (int k = 0; k < WAIT_KINDS; k++)
        heap_fini(&b->waits[k]);
}
