/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading one job back. Its checksums are looked at each time: a wrong payload is never handed out.
 */
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"

int read_job(const uint8_t *bytes, size_t n, uint64_t salt, uint64_t id, struct store_job *ret_job)
{
    struct record rec;
    struct store_job job;
    if (format_record_get(bytes, n, salt, &rec) != RECORD_WHOLE || rec.type != RECORD_PUT)
        return PEN_EDAMAGED;
    int r = format_job_get(&rec, &job);
    if (r < 0 || job.id != id)
        return PEN_EDAMAGED;
    *ret_job = job;
    return 0;
}

struct pinned {
    struct index_entry entry;
    struct segment *segment;
};

static int grow(struct store_buffer *buffer, size_t n)
{
    if (n <= buffer->cap)
        return 0;
    uint8_t *data = realloc(buffer->data, n);
    if (data == NULL)
        return PEN_ENOMEM;
    buffer->data = data;
    buffer->cap = n;
    return 0;
}

/* The record in one of the two frames' memory, or NULL. */
static const uint8_t *find_in_frames(const struct store *s, const struct segment *g, uint64_t at)
{
    const struct frame *frames[] = { s->open, s->committing };
    for (int i = 0; i < 2; i++) {
        const struct frame *f = frames[i];
        if (f != NULL && f->segment == g && at >= f->at && at < f->at + frame_size(f))
            return f->data + (at - f->at);
    }
    return NULL;
}

/* Copied without its head, which may be being sealed. */
static int copy_body(const uint8_t *record, const struct index_entry *e,
                     struct store_buffer *buffer, struct store_job *ret_job)
{
    struct record r = { .type = RECORD_PUT, .bytes = format_record_body_bytes(record) };
    int error = grow(buffer, e->size);
    if (error < 0)
        return error;
    memcpy(buffer->data, record + FORMAT_RECORD_BYTES, r.bytes);
    r.body = buffer->data;
    return format_job_get(&r, ret_job);
}

/* Where the job is, in a segment that stays until unpin(); without one it was in memory, and is read. */
static int pin(struct store *s, uint64_t id, struct store_buffer *buffer, struct store_job *ret_job,
               struct pinned *ret_pinned)
{
    int r = PEN_ENOENT;
    lock_take(&s->lock);
    struct index_entry *e = index_find(s->index, id);
    if (e != NULL) {
        struct segment *g = store_segment(s, e->segment);
        const uint8_t *record = find_in_frames(s, g, (uint64_t)e->at * FORMAT_ALIGN);
        *ret_pinned = (struct pinned){ .entry = *e, .segment = record == NULL ? g : NULL };
        r = record != NULL ? copy_body(record, e, buffer, ret_job) : 0;
        g->readers += record == NULL;
    }
    lock_drop(&s->lock);
    return r;
}

static void unpin(struct store *s, struct segment *g)
{
    lock_take(&s->lock);
    g->readers--;
    struct futex *call = chores_wanted(s) ? sleeper_call(&s->chore_sleeper) : NULL;
    lock_drop(&s->lock);
    sleeper_wake(call);
}

static int read_from(const struct pinned *p, uint64_t id, struct store_buffer *buffer,
                     struct store_job *ret_job)
{
    const struct index_entry *e = &p->entry;
    size_t n;
    int r = grow(buffer, e->size);
    if (r == 0)
        r = vfs_read(p->segment->file, (uint64_t)e->at * FORMAT_ALIGN, buffer->data, e->size, &n);
    return r == 0 ? read_job(buffer->data, n, p->segment->header.salt, id, ret_job) : r;
}

int store_read(struct store *s, uint64_t id, struct store_buffer *buffer, struct store_job *ret_job)
{
    struct pinned p;
    int r = pin(s, id, buffer, ret_job, &p);
    if (r == 0 && p.segment != NULL) {
        r = read_from(&p, id, buffer, ret_job);
        unpin(s, p.segment);
    }
    if (r == 0)
        ret_job->state = index_state(&p.entry);
    return r;
}
