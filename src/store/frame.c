/* SPDX-License-Identifier: Apache-2.0 */
#include "store/frame.h"

#include <stdlib.h>

#include "base/check.h"

int frame_init(struct frame *f, uint32_t max)
{
    *f = (struct frame){ .max = max };
    f->data = malloc(FORMAT_FRAME_BYTES + (size_t)max);
    return f->data == NULL ? PEN_ENOMEM : 0;
}

void frame_fini(struct frame *f)
{
    free(f->data);
    *f = (struct frame){ 0 };
}

void frame_reset(struct frame *f)
{
    *f = (struct frame){ .data = f->data, .max = f->max, .limit = f->max };
}

/* A record's head, with room for its body, which is returned; NULL: there is none. */
static uint8_t *add(struct frame *f, enum record_type type, uint64_t body_bytes)
{
    uint64_t size = format_record_size(body_bytes);
    if (size > frame_room(f))
        return NULL;
    uint8_t *at = f->data + frame_next(f);
    format_record_begin(at, type, (uint32_t)body_bytes);
    f->ack_at = type == RECORD_ACK ? frame_next(f) : 0;
    f->bytes += (uint32_t)size;
    f->records++;
    return at + FORMAT_RECORD_BYTES;
}

bool frame_add_job(struct frame *f, const struct store_job *job)
{
    uint8_t *body = add(f, RECORD_PUT, format_job_bytes(job));
    if (body != NULL)
        format_job_put(body, job);
    return body != NULL;
}

/* One more id for the ack record that is the frame's last; ids need no padding. */
static bool extend_ack(struct frame *f, uint64_t id)
{
    if (frame_room(f) < FORMAT_ID_BYTES)
        return false;
    format_id_put(f->data + frame_next(f), id);
    f->bytes += FORMAT_ID_BYTES;
    uint32_t body_bytes = frame_next(f) - f->ack_at - FORMAT_RECORD_BYTES;
    format_record_begin(f->data + f->ack_at, RECORD_ACK, body_bytes);
    return true;
}

bool frame_add_ack(struct frame *f, uint64_t id)
{
    if (f->ack_at != 0)
        return extend_ack(f, id);
    uint8_t *body = add(f, RECORD_ACK, FORMAT_ID_BYTES);
    if (body != NULL)
        format_id_put(body, id);
    return body != NULL;
}

bool frame_add_state(struct frame *f, uint64_t id, const struct store_state *state)
{
    uint8_t *body = add(f, RECORD_STATE, FORMAT_STATE_BYTES);
    if (body != NULL)
        format_state_put(body, id, state);
    return body != NULL;
}

bool frame_add_dedupe(struct frame *f, const struct store_job *job)
{
    uint8_t *body = add(f, RECORD_DEDUPE, FORMAT_DEDUPE_BYTES + job->dedupe_bytes);
    if (body != NULL)
        format_dedupe_put(body, job);
    return body != NULL;
}

void frame_seal(struct frame *f)
{
    uint32_t at = FORMAT_FRAME_BYTES;
    for (uint32_t i = 0; i < f->records; i++) {
        format_record_seal(f->data + at, f->head.salt, f->first_record + i);
        at += format_record_bytes(f->data + at);
    }
    check(at == frame_size(f));
    format_frame_put(f->data, &f->head);
}
