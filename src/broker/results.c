/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash by id, and a list by age. A result costs one allocation and its body.
 */
#include "broker/results.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"

struct kept {
    struct hash_node node;
    struct list age;
    uint64_t id;
    mono_t put_at;
    struct result result;
};

struct results {
    struct results_limits limits;
    struct hash by_id;
    struct list by_age; /* oldest first */
    struct results_stats stats;
};

static struct kept *oldest(const struct results *r)
{
    return list_empty(&r->by_age) ? NULL : CONTAINER_OF(r->by_age.next, struct kept, age);
}

static mono_t ends_at(const struct results *r, const struct kept *k)
{
    return mono_after(k->put_at, r->limits.age_max);
}

static void forget(struct results *r, struct kept *k)
{
    hash_remove(&r->by_id, &k->node);
    list_remove(&k->age);
    r->stats.items--;
    r->stats.bytes -= k->result.body.bytes;
    slice_release(&k->result.body);
    free(k);
}

static struct kept *find(const struct results *r, uint64_t id)
{
    uint64_t hash = hash_of(&r->by_id, &id, sizeof id);
    for (struct hash_node *n = hash_first(&r->by_id, hash); n != NULL; n = hash_next(n)) {
        struct kept *k = CONTAINER_OF(n, struct kept, node);
        if (k->id == id)
            return k;
    }
    return NULL;
}

static bool overflows(const struct results *r)
{
    return r->stats.items > r->limits.items_max || r->stats.bytes > r->limits.bytes_max;
}

int results_put(struct results *r, uint64_t id, const struct result *result, mono_t now)
{
    if (result->body.bytes > r->limits.bytes_max)
        return PEN_ETOOBIG;
    struct kept *k = calloc(1, sizeof *k);
    if (k == NULL)
        return PEN_ENOMEM;
    struct kept *before = find(r, id);
    if (before != NULL)
        forget(r, before);
    *k = (struct kept){ .id = id, .put_at = now, .result = *result };
    hash_insert(&r->by_id, &k->node, hash_of(&r->by_id, &id, sizeof id));
    list_push_back(&r->by_age, &k->age);
    r->stats.items++;
    r->stats.bytes += result->body.bytes;
    r->stats.kept++;
    for (; overflows(r); r->stats.forgotten++)
        forget(r, oldest(r));
    return 0;
}

int results_get(struct results *r, uint64_t id, mono_t now, struct result *ret_result)
{
    const struct kept *k = find(r, id);
    if (k == NULL || ends_at(r, k).ns <= now.ns)
        return PEN_ENOENT;
    *ret_result = (struct result){ .error = k->result.error, .body = slice_ref(k->result.body) };
    return 0;
}

bool results_tick(struct results *r, mono_t now, size_t max)
{
    for (size_t n = 0; results_next_due(r).ns <= now.ns; n++, r->stats.forgotten++) {
        if (n == max)
            return true;
        forget(r, oldest(r));
    }
    return false;
}

mono_t results_next_due(const struct results *r)
{
    const struct kept *k = oldest(r);
    return k == NULL ? PEN_NEVER : ends_at(r, k);
}

struct results_stats results_stats(const struct results *r)
{
    return r->stats;
}

int results_new(const struct results_limits *limits, struct results **ret_results)
{
    if (limits->items_max == 0 || limits->items_max > 1u << 24 || limits->bytes_max == 0 ||
        limits->age_max.ns <= 0)
        return PEN_EINVAL;
    struct results *r = calloc(1, sizeof *r);
    if (r == NULL)
        return PEN_ENOMEM;
    r->limits = *limits;
    hash_init(&r->by_id, 0); /* Nobody chooses the ids. */
    list_init(&r->by_age);
    *ret_results = r;
    return 0;
}

void results_free(struct results **results)
{
    struct results *r = *results;
    if (r == NULL)
        return;
    for (struct kept *k; (k = oldest(r)) != NULL;)
        forget(r, k);
    hash_fini(&r->by_id);
    free(r);
    *results = NULL;
}
