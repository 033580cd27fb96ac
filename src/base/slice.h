/* SPDX-License-Identifier: Apache-2.0
 *
 * Payload bytes that are never copied where a pointer can move: a slice points into a blob, which is
 * counted and freed with its last slice. One blob may carry many messages (a read buffer), so a batch
 * of neighbours is given back with one atomic: slices_release().
 *
 * A slice is a value. Whoever holds it owns one reference unless a declaration says "borrowed".
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stddef.h>
#include <stdint.h>

#include "base/count.h"
#include "base/err.h"

struct blob {
    struct refs refs;
    void (*destroy)(struct blob *blob); /* fixed after init; any thread */
};

struct slice {
    struct blob *blob; /* NULL: static or empty bytes that nobody frees */
    const uint8_t *at;
    size_t bytes; /* below 4 GiB; wide, because a copy that reads more than was just written stalls */
};

static inline void blob_init(struct blob *b, uint32_t refs, void (*destroy)(struct blob *))
{
    refs_init(&b->refs, refs);
    b->destroy = destroy;
}

static inline void blob_unref(struct blob *b, uint32_t n)
{
    if (b != NULL && n > 0 && refs_drop(&b->refs, n))
        b->destroy(b);
}

/* Another reference to the same bytes. Any thread. */
static inline struct slice slice_ref(struct slice s)
{
    if (s.blob != NULL)
        refs_add(&s.blob->refs, 1);
    return s;
}

/* Give the reference back; *s becomes empty. Any thread. */
static inline void slice_release(struct slice *s)
{
    blob_unref(s->blob, 1);
    *s = (struct slice){ 0 };
}

/* A slice over `bytes` fresh bytes; *ret_data is where to write them before anybody else sees them.
 * PEN_ENOMEM. */
int slice_new(size_t bytes, struct slice *ret_slice, uint8_t **ret_data) MUST_CHECK;

/* A slice over a copy of the bytes. PEN_ENOMEM. */
int slice_copy(const void *data, size_t bytes, struct slice *ret_slice) MUST_CHECK;

/* Give back many blobs' references, one atomic for each run of the same blob. */
struct slice_releaser {
    struct blob *blob;
    uint32_t n;
};

static inline void slice_releaser_add(struct slice_releaser *r, struct slice *s)
{
    if (s->blob != r->blob) {
        blob_unref(r->blob, r->n);
        r->blob = s->blob;
        r->n = 0;
    }
    r->n++;
    *s = (struct slice){ 0 };
}

static inline void slice_releaser_end(struct slice_releaser *r)
{
    blob_unref(r->blob, r->n);
    *r = (struct slice_releaser){ 0 };
}

/* Take references in advance, one atomic for many slices of the same blob; what is left is given back at the end. */
enum { SLICE_CREDIT_REFS = 256 };

struct slice_credit {
    struct blob *blob;
    uint32_t n;
};

static inline void slice_credit_end(struct slice_credit *c)
{
    blob_unref(c->blob, c->n);
    *c = (struct slice_credit){ 0 };
}

/* As slice_ref(); the caller holds a reference of its own, so that the blob lives. */
static inline struct slice slice_ref_on_credit(struct slice_credit *c, struct slice s)
{
    if (s.blob == NULL)
        return s;
    if (s.blob != c->blob || c->n == 0) {
        slice_credit_end(c);
        refs_add(&s.blob->refs, SLICE_CREDIT_REFS);
        *c = (struct slice_credit){ s.blob, SLICE_CREDIT_REFS };
    }
    c->n--;
    return s;
}

#endif
