/* SPDX-License-Identifier: Apache-2.0
 *
 * What JSON holds is looked at as a whole before the first result is handed out, as batch_reader_init() does with a frame.
 */
#include "proto/published.h"

#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/json_value.h"

static int refuse(struct published_reader *r, int error, const char *why)
{
    (void)snprintf(r->why, sizeof r->why, "%s", why);
    return error;
}

/* What both framings promise. */
static int check_numbers(struct published_reader *r)
{
    bool right = r->stream != 0 && r->from <= r->until;
    if (r->is_answer)
        right = right && r->until <= r->next && r->oldest <= r->next;
    return right ? 0 : refuse(r, PEN_EPROTO, "the numbers of the results do not go together");
}

/* ---- batch ---- */

static int read_refusal(struct published_reader *r)
{
    if (!batch_reader_next(&r->batch))
        return refuse(r, PEN_EPROTO, "an error without a record");
    const struct batch_record *record = &r->batch.record;
    const char *name = pen_strerror(record->status);
    const struct batch_text *text = &record->attrs.text;
    if (batch_has(&record->attrs, TEXT))
        (void)snprintf(r->why, sizeof r->why, "%.*s", (int)text->bytes, text->at);
    else
        (void)snprintf(r->why, sizeof r->why, "%s", name);
    return PEN_EINVAL;
}

static int init_batch(struct published_reader *r, const void *data, size_t bytes)
{
    if (batch_reader_init(&r->batch, data, bytes) < 0)
        return refuse(r, PEN_EPROTO, r->batch.why);
    const struct batch_attrs *a = &r->batch.frame;
    if (r->batch.kind == BATCH_ERROR)
        return read_refusal(r);
    if (r->batch.kind != BATCH_RESULTS)
        return refuse(r, PEN_EPROTO, "a frame that holds no results");
    if (!batch_has(a, STREAM) || !batch_has(a, SEQUENCE))
        return refuse(r, PEN_EPROTO, "its results have no numbers: the publisher has no log");
    r->stream = a->stream;
    r->from = a->sequence;
    r->is_answer = batch_has(a, NEXT);
    r->until = r->is_answer ? a->until : r->from + r->batch.left;
    r->oldest = a->oldest;
    r->next = a->next;
    return check_numbers(r);
}

static bool next_in_batch(struct published_reader *r)
{
    if (!batch_reader_next(&r->batch))
        return false;
    const struct batch_record *record = &r->batch.record;
    r->now = (struct published_result){ .sequence = record->attrs.sequence,
                                        .id = record->attrs.id,
                                        .topic = record->attrs.topic,
                                        .body = record->body,
                                        .body_bytes = record->body_bytes };
    return true;
}

/* ---- json ---- */

/* False: it is not there, or no number from 0 on. */
static bool number_of(json_t *object, const char *name, uint64_t *ret_number)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_number = (uint64_t)json_integer_value(value);
    return true;
}

static bool stream_of(json_t *object, uint64_t *ret_stream)
{
    const char *text = json_string_value(json_object_get(object, "stream"));
    return text != NULL && json_stream_parse(text, ret_stream) == 0;
}

static bool is_result(json_t *object)
{
    uint64_t unused;
    return json_is_string(json_object_get(object, "topic")) && number_of(object, "id", &unused) &&
           number_of(object, "seq", &unused) &&
           (json_is_string(json_object_get(object, "body")) ||
            json_is_string(json_object_get(object, "body64")));
}

static int init_json_answer(struct published_reader *r)
{
    json_t *text = json_object_get(r->object, "text");
    if (!json_is_true(json_object_get(r->object, "ok")))
        return refuse(r, PEN_EINVAL, json_is_string(text) ? json_string_value(text) : "refused");
    r->is_answer = true;
    r->list = json_incref(json_object_get(r->object, "results"));
    if (!json_is_array((json_t *)r->list) || !number_of(r->object, "from", &r->from) ||
        !number_of(r->object, "until", &r->until) || !number_of(r->object, "oldest", &r->oldest) ||
        !number_of(r->object, "next", &r->next))
        return refuse(r, PEN_EPROTO, "a member of the answer is missing or wrong");
    return 0;
}

static int init_json_message(struct published_reader *r)
{
    if (!number_of(r->object, "seq", &r->from) || r->from == INT64_MAX)
        return refuse(r, PEN_EPROTO, "its results have no numbers: the publisher has no log");
    r->until = r->from + 1;
    r->list = json_pack("[O]", r->object);
    return r->list != NULL ? 0 : PEN_ENOMEM;
}

/* Each a result, in order, within what the message tells of. */
static int check_list(struct published_reader *r)
{
    uint64_t least = r->from, sequence;
    for (size_t i = 0; i < json_array_size(r->list); i++) {
        json_t *one = json_array_get(r->list, i);
        if (!is_result(one) || !number_of(one, "seq", &sequence) || sequence < least ||
            sequence >= r->until)
            return refuse(r, PEN_EPROTO, "a member of a result is missing or wrong");
        least = sequence + 1;
    }
    return 0;
}

static int init_json(struct published_reader *r, const void *data, size_t bytes)
{
    const struct reason why = { .text = r->why, .size = sizeof r->why };
    json_t *object;
    int code = json_object_load(data, bytes, &object, &why);
    if (code < 0)
        return code;
    r->object = object;
    bool is_answer = json_object_get(object, "ok") != NULL;
    code = is_answer ? init_json_answer(r) : init_json_message(r);
    if (code == 0 && !stream_of(object, &r->stream))
        code = refuse(r, PEN_EPROTO, "member \"stream\" is missing or wrong");
    if (code == 0)
        code = check_numbers(r);
    return code < 0 ? code : check_list(r);
}

static bool next_in_json(struct published_reader *r)
{
    json_t *one = json_array_get(r->list, r->index);
    char unused[64];
    const struct reason why = { .text = unused, .size = sizeof unused };
    slice_release(&r->body);
    if (one == NULL)
        return false;
    r->index++;
    if (json_body_decode(one, &r->body, &why) < 0) {
        r->failed = true;
        return false;
    }
    json_t *topic = json_object_get(one, "topic");
    r->now = (struct published_result){
        .topic = { json_string_value(topic), (uint32_t)json_string_length(topic) },
        .body = r->body.at,
        .body_bytes = r->body.bytes,
    };
    return number_of(one, "id", &r->now.id) && number_of(one, "seq", &r->now.sequence);
}

/* ---- both ---- */

int published_init(struct published_reader *r, const void *data, size_t bytes)
{
    *r = (struct published_reader){ 0 };
    bool is_json = bytes > 0 && *(const char *)data == '{';
    int code = is_json ? init_json(r, data, bytes) : init_batch(r, data, bytes);
    r->least = r->from;
    if (code < 0)
        published_fini(r);
    return code;
}

bool published_next(struct published_reader *r)
{
    bool found = r->list != NULL ? next_in_json(r) : next_in_batch(r);
    if (found && (r->now.sequence < r->least || r->now.sequence >= r->until))
        r->failed = true;
    r->least = r->now.sequence + 1;
    return found && !r->failed;
}

void published_fini(struct published_reader *r)
{
    json_decref(r->object);
    json_decref(r->list);
    r->object = r->list = NULL;
    slice_release(&r->body);
}
