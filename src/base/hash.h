/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table of nodes inside their elements, in chains. An insertion cannot fail: the table doubles when it can get the
 * memory, and else its chains become longer. Bytes that peers choose are hashed with SipHash-1-3 under a seed, so
 * that nobody can aim at one chain.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

/* It must not be moved. */
struct hash {
    struct hash_node **buckets;
    uint64_t mask; /* buckets - 1, a power of two less 1 */
    uint64_t count;
    uint64_t seed;
    struct hash_node *first; /* the only bucket in the beginning */
};

void hash_init(struct hash *h, uint64_t seed);
/* The nodes are their owners' to free, before or after. */
void hash_fini(struct hash *h);

/* What to insert or look for an element under. */
uint64_t hash_of(const struct hash *h, const void *data, size_t bytes);

void hash_insert(struct hash *h, struct hash_node *node, uint64_t hash);
void hash_remove(struct hash *h, struct hash_node *node);

/* The first node under a hash, and the next one; NULL: none. Different elements may have one hash. */
struct hash_node *hash_first(const struct hash *h, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *node);

/* The node after this one, in no order; after NULL the first; NULL: it was the last. */
struct hash_node *hash_after(const struct hash *h, const struct hash_node *node);

/* The body may free the node. */
#define HASH_EACH(n, h) \
    for (struct hash_node *n = hash_after((h), NULL), *n##_next; \
         n != NULL && (n##_next = hash_after((h), n), true); n = n##_next)

#endif
