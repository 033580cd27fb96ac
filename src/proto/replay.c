/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/replay.h"

#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/json_value.h"

/* ---- batch ---- */

int replay_request_encode(const struct replay_request *q, void *to, size_t size, size_t *ret_bytes)
{
    struct batch_attrs attrs = { 0 };
    struct batch_head head = { .kind = BATCH_REPLAY, .tag = q->tag, .attrs = &attrs };
    struct batch_writer w;
    if (q->stream != 0)
        batch_set(&attrs, STREAM, stream, q->stream);
    batch_set(&attrs, SEQUENCE, sequence, q->from);
    if (q->count_max != 0)
        batch_set(&attrs, COUNT, count, q->count_max);
    if (q->bytes_max != 0)
        batch_set(&attrs, BYTES, bytes, q->bytes_max);
    int r = batch_writer_init(&w, to, size, &head);
    for (size_t i = 0; r == 0 && i < q->prefixes_count; i++) {
        struct batch_record record = { 0 };
        batch_set(&record.attrs, TOPIC, topic, q->prefixes[i]);
        r = batch_writer_add(&w, &record);
    }
    if (r == 0)
        *ret_bytes = w.used;
    return r;
}

static int add_prefix(struct replay_request *q, struct batch_text prefix, const struct reason *why)
{
    if (prefix.bytes > LIMIT_TOPIC_BYTES || q->prefixes_count == LIMIT_TOPICS_PER_ENDPOINT) {
        (void)reason_say(why, "more than %d topics, or one of more than %d bytes",
                         LIMIT_TOPICS_PER_ENDPOINT, LIMIT_TOPIC_BYTES);
        return PEN_ETOOBIG;
    }
    q->prefixes[q->prefixes_count++] = prefix;
    return 0;
}

static int decode_batch(const void *data, size_t bytes, struct replay_request *q,
                        const struct reason *why)
{
    struct batch_reader reader;
    int r = batch_reader_init(&reader, data, bytes);
    q->tag = reader.tag;
    if (r < 0)
        return reason_say(why, "%s", reader.why);
    if (reader.kind != BATCH_REPLAY)
        return reason_say(why, "only the kind replay is answered here");
    const struct batch_attrs *a = &reader.frame;
    q->stream = a->stream;
    q->from = a->sequence;
    q->count_max = (uint32_t)a->count;
    q->bytes_max = (uint32_t)a->bytes;
    while (r == 0 && batch_reader_next(&reader))
        r = add_prefix(q, reader.record.attrs.topic, why);
    return r;
}

/* ---- json ---- */

/* A number from 0 to max; one that is not there is 0. */
static int take_number(json_t *object, const char *name, uint64_t max, uint64_t *ret_number,
                       const struct reason *why)
{
    const json_t *value = json_object_get(object, name);
    *ret_number = 0;
    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        return reason_say(why, "member \"%s\" is not a number from 0 to %llu", name,
                          (unsigned long long)max);
    *ret_number = (uint64_t)json_integer_value(value);
    return 0;
}

static int take_stream(json_t *object, struct replay_request *q, const struct reason *why)
{
    const char *text;
    int r = json_member_text(object, "stream", &text, why);
    if (r == 0 && text != NULL && json_stream_parse(text, &q->stream) < 0)
        r = reason_say(why, "member \"stream\" is not 16 hexadecimal digits");
    return r;
}

static int take_topics(json_t *object, struct replay_request *q, const struct reason *why)
{
    json_t *list = json_object_get(object, "topics");
    if (list != NULL && !json_is_array(list))
        return reason_say(why, "member \"topics\" is not a list");
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const json_t *topic = json_array_get(list, i);
        struct batch_text prefix = { json_string_value(topic), (uint32_t)json_string_length(topic) };
        r = json_is_string(topic) ? add_prefix(q, prefix, why)
                                  : reason_say(why, "a topic is not a string");
    }
    return r;
}

static int take_members(json_t *object, struct replay_request *q, const struct reason *why)
{
    static const char *const members[] = { "op", "stream", "from", "count", "bytes", "topics", NULL };
    const char *op;
    uint64_t count = 0, bytes = 0;
    int r = json_members_check(object, members, why);
    if (r == 0)
        r = json_member_text(object, "op", &op, why);
    if (r == 0 && (op == NULL || strcmp(op, "replay") != 0))
        r = reason_say(why, "member \"op\" must be \"replay\"");
    if (r == 0)
        r = take_stream(object, q, why);
    if (r == 0)
        r = take_number(object, "from", INT64_MAX, &q->from, why);
    if (r == 0)
        r = take_number(object, "count", UINT32_MAX, &count, why);
    if (r == 0)
        r = take_number(object, "bytes", UINT32_MAX, &bytes, why);
    q->count_max = (uint32_t)count;
    q->bytes_max = (uint32_t)bytes;
    return r < 0 ? r : take_topics(object, q, why);
}

static int decode_json(const void *data, size_t bytes, struct replay_request *q,
                       const struct reason *why)
{
    json_t *object;
    int r = json_object_load(data, bytes, &object, why);
    if (r < 0)
        return r;
    q->object = object;
    return take_members(object, q, why);
}

/* ---- both ---- */

int replay_request_decode(const void *data, size_t bytes, struct replay_request *ret_request,
                          char *text, size_t size)
{
    const struct reason why = { .text = text, .size = size };
    struct replay_request *q = ret_request;
    *q = (struct replay_request){ .is_json = bytes > 0 && *(const char *)data == '{' };
    text[0] = '\0';
    int r = (q->is_json ? decode_json : decode_batch)(data, bytes, q, &why);
    if (r < 0)
        replay_request_fini(q);
    return r;
}

void replay_request_fini(struct replay_request *q)
{
    json_decref(q->object);
    q->object = NULL;
}

bool replay_wants(const struct replay_request *q, struct batch_text topic)
{
    for (size_t i = 0; i < q->prefixes_count; i++) {
        const struct batch_text *p = &q->prefixes[i];
        if (p->bytes <= topic.bytes && (p->bytes == 0 || memcmp(p->at, topic.at, p->bytes) == 0))
            return true;
    }
    return q->prefixes_count == 0;
}
