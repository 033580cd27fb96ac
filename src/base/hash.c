/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-1-3: Aumasson, Bernstein: SipHash: a fast short-input PRF, 2012.
 */
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- SipHash-1-3 ---- */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_of(const struct hash *h, const void *data, size_t bytes)
{
    uint64_t k0 = h->seed, k1 = rotate(~h->seed, 32) * 0x9e3779b97f4a7c15u;
    struct sip s = { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u };
    const uint8_t *at = data;
    uint64_t word;
    for (size_t left = bytes; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        sip_word(&s, word);
    }
    word = (uint64_t)bytes << 56;
    for (size_t k = 0; k < bytes % 8; k++)
        word |= (uint64_t)at[k] << (8 * k);
    sip_word(&s, word);
    s.v2 ^= 0xff;
    for (int k = 0; k < 3; k++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* ---- the table ---- */

static void push(struct hash *h, struct hash_node *node)
{
    struct hash_node **bucket = &h->buckets[node->hash & h->mask];
    node->next = *bucket;
    *bucket = node;
}

/* Twice the buckets, or as before. */
static void grow(struct hash *h)
{
    uint64_t old_count = h->mask + 1, count = old_count == 1 ? 16 : old_count * 2;
    struct hash_node **old = h->buckets, **fresh = calloc(count, sizeof(struct hash_node *));
    if (fresh == NULL)
        return;
    h->buckets = fresh;
    h->mask = count - 1;
    for (uint64_t k = 0; k < old_count; k++)
        for (struct hash_node *node = old[k], *next; node != NULL; node = next) {
            next = node->next;
            push(h, node);
        }
    if (old != &h->first)
        free(old);
}

void hash_init(struct hash *h, uint64_t seed)
{
    *h = (struct hash){ .buckets = &h->first, .seed = seed };
}

void hash_fini(struct hash *h)
{
    if (h->buckets != &h->first)
        free(h->buckets);
    hash_init(h, h->seed);
}

void hash_insert(struct hash *h, struct hash_node *node, uint64_t hash)
{
    if (h->count > h->mask)
        grow(h);
    node->hash = hash;
    push(h, node);
    h->count++;
}

void hash_remove(struct hash *h, struct hash_node *node)
{
    struct hash_node **at = &h->buckets[node->hash & h->mask];
    while (*at != NULL && *at != node)
        at = &(*at)->next;
    check(*at == node);
    *at = node->next;
    h->count--;
}

static struct hash_node *same(struct hash_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

struct hash_node *hash_first(const struct hash *h, uint64_t hash)
{
    return same(h->buckets[hash & h->mask], hash);
}

struct hash_node *hash_next(const struct hash_node *node)
{
    return same(node->next, node->hash);
}

struct hash_node *hash_after(const struct hash *h, const struct hash_node *node)
{
    if (node != NULL && node->next != NULL)
        return node->next;
    for (uint64_t k = node == NULL ? 0 : (node->hash & h->mask) + 1; k <= h->mask; k++)
        if (h->buckets[k] != NULL)
            return h->buckets[k];
    return NULL;
}
