/* SPDX-License-Identifier: Apache-2.0
 *
 * See sp_queue.h. A message's head is made anew each time, because a message that its first peer did not
 * get may leave on another carrier.
 */
#include "net/sp_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { CAP_FIRST = 16, CAP_KEPT = 256, GATHER_BYTES = 1024 * 1024 };

static size_t counted(const struct sp_out *o)
{
    return SP_OUT_BYTES + sp_out_payload(o);
}

static int grow(struct sp_queue *q)
{
    uint32_t cap = q->cap == 0 ? CAP_FIRST : q->cap * 2;
    struct sp_out *at = malloc(cap * sizeof *at);
    if (at == NULL)
        return PEN_ENOMEM;
    for (uint32_t i = 0; i < q->count; i++)
        at[i] = *sp_queue_at(q, i);
    free(q->at);
    q->at = at;
    q->cap = cap;
    q->first = 0;
    return 0;
}

static void shrink(struct sp_queue *q)
{
    if (q->count > 0 || q->cap <= CAP_KEPT)
        return;
    free(q->at);
    q->at = NULL;
    q->cap = q->first = 0;
}

int sp_queue_push(struct sp_queue *q, const struct sp_out *out)
{
    if (q->count == q->cap && grow(q) < 0)
        return PEN_ENOMEM;
    q->count++;
    *sp_queue_at(q, q->count - 1) = *out;
    q->bytes += counted(out);
    *q->total += counted(out);
    return 0;
}

static struct sp_out take(struct sp_queue *q)
{
    check(q->count > 0);
    struct sp_out out = *sp_queue_at(q, 0);
    q->first = (q->first + 1) & (q->cap - 1);
    q->count--;
    q->bytes -= counted(&out);
    *q->total -= counted(&out);
    return out;
}

struct sp_out sp_queue_take(struct sp_queue *q)
{
    struct sp_out out = take(q);
    shrink(q);
    return out;
}

bool sp_queue_drop_oldest(struct sp_queue *q, bool begun)
{
    if (q->count <= (begun ? 1 : 0))
        return false;
    if (begun) {
        struct sp_out kept = *sp_queue_at(q, 0);
        *sp_queue_at(q, 0) = *sp_queue_at(q, 1);
        *sp_queue_at(q, 1) = kept;
    }
    struct sp_out out = sp_queue_take(q);
    slice_release(&out.head);
    slice_release(&out.body);
    return true;
}

void sp_queue_clear(struct sp_queue *q)
{
    while (q->count > 0)
        (void)sp_queue_drop_oldest(q, false);
    free(q->at);
    *q = (struct sp_queue){ .total = q->total };
}

/* ---- for one system call ---- */

static void add_copy(struct sp_gather *g, const void *at, size_t bytes)
{
    uint8_t *to = g->scratch + g->scratch_used;
    memcpy(to, at, bytes);
    g->scratch_used += bytes;
    struct iovec *last = g->count > 0 ? &g->pieces[g->count - 1] : NULL;
    if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == to)
        last->iov_len += bytes;
    else
        g->pieces[g->count++] = (struct iovec){ to, bytes };
}

static void add(struct sp_gather *g, const uint8_t *at, size_t bytes)
{
    if (bytes == 0)
        return;
    g->bytes += bytes;
    if (bytes <= SP_GATHER_COPY_BYTES)
        add_copy(g, at, bytes);
    else
        g->pieces[g->count++] = (struct iovec){ (void *)at, bytes };
}

static bool has_room(const struct sp_gather *g)
{
    enum {
        OUT_COPY_MAX =
            2 * SP_GATHER_COPY_BYTES + SP_HEAD_BYTES_MAX + sizeof(((struct sp_out *)0)->stack)
    };
    enum { OUT_PIECES_MAX = 4 };
    return g->count + OUT_PIECES_MAX <= SP_GATHER_PIECES && g->bytes < GATHER_BYTES &&
           g->scratch_used + OUT_COPY_MAX <= SP_GATHER_SCRATCH_BYTES;
}

/* The first bytes have left before. */
static void skip(struct sp_gather *g, size_t begun)
{
    g->bytes -= begun;
    while (begun > 0) {
        struct iovec *piece = &g->pieces[g->first];
        size_t n = begun < piece->iov_len ? begun : piece->iov_len;
        piece->iov_base = (uint8_t *)piece->iov_base + n;
        piece->iov_len -= n;
        begun -= n;
        if (piece->iov_len == 0)
            g->first++;
    }
}

void sp_gather_fill(struct sp_gather *g, const struct sp_queue *q, enum sp_carrier carrier,
                    size_t begun)
{
    g->first = g->count = 0;
    g->scratch_used = g->bytes = 0;
    for (uint32_t i = 0; i < q->count && has_room(g); i++) {
        const struct sp_out *o = sp_queue_at(q, i);
        uint8_t head[SP_HEAD_BYTES_MAX];
        add(g, head, sp_head_encode(carrier, sp_out_payload(o), head));
        add(g, o->stack, o->stack_bytes);
        add(g, o->head.at, o->head.bytes);
        add(g, o->body.at, o->body.bytes);
    }
    skip(g, begun);
}

size_t sp_queue_written(struct sp_queue *q, enum sp_carrier carrier, size_t written)
{
    struct slice_releaser heads = { 0 }, bodies = { 0 };
    while (q->count > 0) {
        size_t bytes = sp_head_bytes(carrier) + sp_out_payload(sp_queue_at(q, 0));
        if (written < bytes)
            break;
        written -= bytes;
        struct sp_out out = take(q);
        slice_releaser_add(&heads, &out.head);
        slice_releaser_add(&bodies, &out.body);
    }
    slice_releaser_end(&heads);
    slice_releaser_end(&bodies);
    shrink(q);
    return written;
}
