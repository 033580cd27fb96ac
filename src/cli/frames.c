/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { FRAME_BYTES_FIRST = 16 * 1024 };

void frames_fini(struct frames *f)
{
    free(f->to);
    *f = (struct frames){ 0 };
}

/* ---- out ---- */

/* Twice as much space, with what is there. */
static int grow(struct frames *f)
{
    size_t size = f->size == 0 ? FRAME_BYTES_FIRST : f->size * 2;
    if (size > SOURCE_MESSAGE_BYTES_MAX)
        return PEN_ETOOBIG;
    uint8_t *to = realloc(f->to, size);
    if (to == NULL)
        return PEN_ENOMEM;
    f->to = f->writer.to = to;
    f->size = f->writer.size = size;
    return 0;
}

int frames_begin(struct frames *f)
{
    struct batch_head head = { .kind = BATCH_PUT, .tag = ++f->tag };
    int r = f->size == 0 ? grow(f) : 0;
    f->payload_bytes = 0;
    if (r == 0)
        check(batch_writer_init(&f->writer, f->to, f->size, &head) == 0);
    return r;
}

int frames_add(struct frames *f, const void *data, size_t bytes)
{
    struct batch_record record = { .body = data, .body_bytes = (uint32_t)bytes };
    int r;
    while ((r = batch_writer_add(&f->writer, &record)) == PEN_EFULL) {
        r = grow(f);
        if (r < 0)
            return r;
    }
    f->payload_bytes += bytes;
    return r;
}

/* ---- in ---- */

bool frames_wants(const struct batch_record *record, const struct option_list *topics)
{
    const struct batch_text *topic = &record->attrs.topic;
    for (size_t i = 0; i < topics->n; i++) {
        size_t n = strlen(topics->at[i].text);
        if (n <= topic->bytes && (n == 0 || memcmp(topic->at, topics->at[i].text, n) == 0))
            return true;
    }
    return topics->n == 0;
}

/* As an endpoint in raw framing says it. */
static int print_refusal(const struct batch_record *record, struct output *out)
{
    char text[LIMIT_ERROR_TEXT_BYTES + 64];
    struct batch_text why = record->attrs.text;
    const char *name = pen_errname(record->status), *known = pen_strerror(record->status);
    int n = snprintf(text, sizeof text, "ERR %s %.*s", name,
                     why.bytes > 0 ? (int)why.bytes : (int)strlen(known),
                     why.bytes > 0 ? why.at : known);
    return output_message(out, text, (size_t)n);
}

static int print_receipt(const struct batch_record *record, struct output *out)
{
    static const char *const levels[] = { [BATCH_LEVEL_MEMORY] = "memory",
                                          [BATCH_LEVEL_WRITTEN] = "written",
                                          [BATCH_LEVEL_SYNCED] = "synced",
                                          [BATCH_LEVEL_REPLICATED] = "replicated" };
    char text[64];
    int n = snprintf(text, sizeof text, "OK %" PRIu64 " %s", record->attrs.id,
                     levels[record->attrs.level]);
    return output_message(out, text, (size_t)n);
}

static int print_json(const struct batch_record *record, struct output *out)
{
    const struct batch_attrs *a = &record->attrs;
    json_t *object = json_object();
    int r = object != NULL ? 0 : PEN_ENOMEM;
    if (r == 0 && batch_has(a, TOPIC))
        r = output_set_bytes(object, "topic", a->topic.at, a->topic.bytes);
    if (r == 0 && batch_has(a, ID))
        r = json_object_set_new(object, "id", json_integer((json_int_t)a->id));
    if (r == 0 && batch_has(a, SEQUENCE))
        r = json_object_set_new(object, "seq", json_integer((json_int_t)a->sequence));
    if (r == 0)
        r = output_set_bytes(object, "body", (const char *)record->body, record->body_bytes);
    if (r == 0)
        return output_json(out, object);
    json_decref(object);
    return PEN_ENOMEM;
}

int frames_print(const struct batch_reader *reader, struct output *out)
{
    const struct batch_record *record = &reader->record;
    if (record->status < 0)
        return print_refusal(record, out);
    if (reader->kind == BATCH_RECEIPTS)
        return print_receipt(record, out);
    if (out->json)
        return print_json(record, out);
    return output_message(out, record->body, record->body_bytes);
}
