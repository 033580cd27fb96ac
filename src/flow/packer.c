/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/packer.h"

#include "base/check.h"

enum { CHUNK_BYTES = 64 * 1024, COPY_BYTES_MAX = 4096 };

void packer_init(struct packer *p, size_t frame_max)
{
    *p = (struct packer){ .frame_max = frame_max };
    if (frame_max > PACKER_BYTES_MAX)
        p->frame_max = PACKER_BYTES_MAX;
    if (frame_max < PACKER_BYTES_MIN)
        p->frame_max = PACKER_BYTES_MIN;
}

void packer_fini(struct packer *p)
{
    chunk_retire(&p->chunk);
    slice_releaser_end(&p->copied);
    slice_release(&p->last);
}

bool packer_is_empty(const struct packer *p)
{
    return p->writer.count == 0;
}

/* Room for a frame at the end of a buffer. */
static int reserve(struct packer *p)
{
    if (p->chunk != NULL && p->chunk->cap - p->chunk->used >= PACKER_BYTES_MIN)
        return 0;
    chunk_retire(&p->chunk);
    return chunk_new(CHUNK_BYTES, &p->chunk);
}

static int begin(struct packer *p, const struct batch_head *head)
{
    int r = reserve(p);
    if (r < 0)
        return r;
    size_t room = p->chunk->cap - p->chunk->used;
    return batch_writer_init(&p->writer, p->chunk->bytes + p->chunk->used,
                             room < p->frame_max ? room : p->frame_max, head);
}

static int add_large(struct packer *p, const struct batch_record *record, struct slice *body)
{
    int r = p->writer.count == 0 ? batch_writer_add_open(&p->writer, record) : PEN_EFULL;
    if (r < 0)
        return r;
    p->last = *body;
    *body = (struct slice){ 0 };
    return 0;
}

int packer_add(struct packer *p, const struct batch_head *head, const struct batch_record *record,
               struct slice *body)
{
    if (p->last.bytes > 0)
        return PEN_EFULL;
    int r = p->writer.count == 0 ? begin(p, head) : 0;
    if (r < 0)
        return r;
    if (body->bytes > COPY_BYTES_MAX)
        return add_large(p, record, body);
    r = batch_writer_add(&p->writer, record);
    if (r == 0)
        slice_releaser_add(&p->copied, body);
    return r;
}

void packer_take(struct packer *p, struct slice *ret_frame, struct slice *ret_last)
{
    check(p->writer.count > 0);
    uint32_t at = p->chunk->used, bytes = (uint32_t)p->writer.used;
    p->chunk->used += bytes;
    *ret_frame = chunk_slice(p->chunk, at, bytes);
    *ret_last = p->last;
    p->last = (struct slice){ 0 };
    p->writer.count = 0;
    slice_releaser_end(&p->copied);
}
