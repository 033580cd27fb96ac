/* SPDX-License-Identifier: Apache-2.0
 *
 * The json framing's messages. Pure; any thread.
 */
#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "proto/json_value.h"

/* Stands where a number will be written; none is larger. */
#define SEQUENCE_TO_COME INT64_MAX

/* ---- put ---- */

static int put_check_op(json_t *object, const struct reason *why)
{
    static const char *const members[] = { "op", "queue", "body", "body64", "key", NULL };
    const char *op;
    int r = json_members_check(object, members, why);
    if (r == 0)
        r = json_member_text(object, "op", &op, why);
    if (r < 0)
        return r;
    return op != NULL && strcmp(op, "put") == 0 ? 0
                                                : reason_say(why, "member \"op\" must be \"put\"");
}

/* A copy of a text member, or NULL when it is not there. PEN_ETOOBIG beyond max bytes. */
static int put_copy_text(json_t *object, const char *name, size_t max, char **ret_copy,
                         const struct reason *why)
{
    const char *string;
    int r = json_member_text(object, name, &string, why);
    if (r < 0 || string == NULL)
        return r;
    if (strlen(string) > max) {
        (void)reason_say(why, "member \"%s\" is longer than %zu bytes", name, max);
        return PEN_ETOOBIG;
    }
    *ret_copy = strdup(string);
    return *ret_copy != NULL ? 0 : PEN_ENOMEM;
}

static int put_take_members(json_t *object, struct json_put *put, const struct reason *why)
{
    int r = put_copy_text(object, "queue", LIMIT_NAME_BYTES, &put->queue, why);
    if (r == 0)
        r = put_copy_text(object, "key", LIMIT_KEY_BYTES, &put->key, why);
    if (r == 0)
        r = json_body_decode(object, &put->body, why);
    return r;
}

int json_put_decode(const void *data, size_t bytes, struct json_put *ret_put, char *text, size_t size)
{
    const struct reason why = { .text = text, .size = size };
    json_t *object;
    int r = json_object_load(data, bytes, &object, &why);
    if (r < 0)
        return r;
    struct json_put put = { 0 };
    r = put_check_op(object, &why);
    if (r == 0)
        r = put_take_members(object, &put, &why);
    json_decref(object);
    if (r == 0)
        *ret_put = put;
    else
        json_put_fini(&put);
    return r;
}

void json_put_fini(struct json_put *put)
{
    free(put->queue);
    free(put->key);
    slice_release(&put->body);
    *put = (struct json_put){ 0 };
}

/* ---- answers and messages ---- */

int json_receipt_encode(uint64_t id, const char *level, struct slice *ret_slice)
{
    return json_to_slice(json_pack("{s:b, s:I, s:s}", "ok", 1, "id", (json_int_t)id, "level", level),
                         ret_slice);
}

int json_failure_encode(int error, const char *text, struct slice *ret_slice)
{
    return json_to_slice(json_pack("{s:b, s:s, s:o}", "ok", 0, "error", pen_errname(error), "text",
                                   json_lenient_string(text)),
                         ret_slice);
}

int json_result_encode(uint64_t id, struct slice body, struct slice *ret_slice)
{
    json_t *object = json_pack("{s:b, s:I}", "ok", 1, "id", (json_int_t)id);
    if (object != NULL && json_body_set(object, body) < 0) {
        json_decref(object);
        return PEN_ENOMEM;
    }
    return json_to_slice(object, ret_slice);
}

/* Stream and sequence come last: subscribers filter by how a message begins. */
static int set_numbers(json_t *object, uint64_t stream)
{
    char text[JSON_STREAM_BYTES];
    json_stream_format(stream, text);
    if (json_object_set_new(object, "stream", json_string(text)) < 0 ||
        json_object_set_new(object, "seq", json_integer(SEQUENCE_TO_COME)) < 0)
        return PEN_ENOMEM;
    return 0;
}

int json_message_encode(const struct json_message *m, struct slice *ret_slice)
{
    json_t *object =
        json_pack("{s:o, s:I}", "topic", json_lenient_string(m->topic), "id", (json_int_t)m->id);
    if (object == NULL || json_body_set(object, m->body) < 0 ||
        (m->stream != 0 && set_numbers(object, m->stream) < 0)) {
        json_decref(object);
        return PEN_ENOMEM;
    }
    return json_to_slice(object, ret_slice);
}

size_t json_message_number(void *text, size_t bytes, uint64_t sequence)
{
    enum { DIGITS = sizeof "9223372036854775807" - 1 };
    char number[DIGITS + 2]; /* with what follows it, and NUL */
    check(bytes > DIGITS + 1 && sequence <= SEQUENCE_TO_COME);
    int n = snprintf(number, sizeof number, "%" PRIu64 "}", sequence);
    char *at = (char *)text + bytes - DIGITS - 1;
    memcpy(at, number, (size_t)n);
    return (size_t)(at - (char *)text) + (size_t)n;
}

void json_stream_format(uint64_t stream, char text[JSON_STREAM_BYTES])
{
    (void)snprintf(text, JSON_STREAM_BYTES, "%016" PRIx64, stream);
}

int json_stream_parse(const char *text, uint64_t *ret_stream)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t stream = 0;
    if (strlen(text) != JSON_STREAM_BYTES - 1 || strspn(text, digits) != JSON_STREAM_BYTES - 1)
        return PEN_EPROTO;
    for (; *text != '\0'; text++)
        stream = stream << 4 | (uint64_t)(strchr(digits, *text) - digits);
    *ret_stream = stream;
    return 0;
}
