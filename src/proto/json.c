/* SPDX-License-Identifier: Apache-2.0
 *
 * The json framing's messages. Pure; any thread.
 */
#include "proto/json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/base64.h"
#include "proto/json_value.h"

/* ---- bodies ---- */

/* The length of the UTF-8 sequence at the start of at[0..left), or 0: overlong forms, surrogates and what is
 * beyond U+10FFFF are none. The table is that of Unicode 15, section 3.9, table 3-7. */
static size_t utf8_sequence(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < length)
        return 0;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static bool is_utf8(const uint8_t *at, size_t bytes)
{
    while (bytes > 0) {
        size_t length = utf8_sequence(at, bytes);
        if (length == 0)
            return false;
        at += length;
        bytes -= length;
    }
    return true;
}

static json_t *base64_string(struct slice body)
{
    size_t bytes = base64_encoded_bytes(body.bytes);
    char *text = malloc(bytes);
    if (text == NULL)
        return NULL;
    base64_encode(body.at, body.bytes, text);
    json_t *value = json_stringn_nocheck(text, bytes);
    free(text);
    return value;
}

/* Set "body" or "body64". */
static int body_set(json_t *object, struct slice body)
{
    bool is_text = is_utf8(body.at, body.bytes);
    json_t *value =
        is_text ? json_stringn_nocheck(body.bytes > 0 ? (const char *)body.at : "", body.bytes)
                : base64_string(body);
    if (value == NULL || json_object_set_new(object, is_text ? "body" : "body64", value) < 0)
        return PEN_ENOMEM;
    return 0;
}

static int body64_decode(const json_t *value, struct slice *ret_body, const struct reason *why)
{
    struct slice body;
    uint8_t *to;
    size_t bytes;
    int r = slice_new(json_string_length(value) / 4 * 3, &body, &to);
    if (r < 0)
        return r;
    if (base64_decode(json_string_value(value), json_string_length(value), to, &bytes) < 0) {
        slice_release(&body);
        return reason_say(why, "member \"body64\" is not base64");
    }
    body.bytes = (uint32_t)bytes;
    *ret_body = body;
    return 0;
}

static int body_decode(json_t *object, struct slice *ret_body, const struct reason *why)
{
    const json_t *body = json_object_get(object, "body");
    const json_t *body64 = json_object_get(object, "body64");
    if ((body == NULL) == (body64 == NULL))
        return reason_say(why, "there must be one of \"body\" and \"body64\"");
    if (!json_is_string(body != NULL ? body : body64))
        return reason_say(why, "member \"%s\" is not a string", body != NULL ? "body" : "body64");
    return body != NULL ? slice_copy(json_string_value(body), json_string_length(body), ret_body)
                        : body64_decode(body64, ret_body, why);
}

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
        r = body_decode(object, &put->body, why);
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

/* Takes the reference to the object, adds the body, and makes bytes of it. */
static int finish_with_body(json_t *object, struct slice body, struct slice *ret_slice)
{
    if (object != NULL && body_set(object, body) < 0) {
        json_decref(object);
        return PEN_ENOMEM;
    }
    return json_to_slice(object, ret_slice);
}

int json_result_encode(uint64_t id, struct slice body, struct slice *ret_slice)
{
    return finish_with_body(json_pack("{s:b, s:I}", "ok", 1, "id", (json_int_t)id), body, ret_slice);
}

int json_message_encode(const char *topic, uint64_t id, struct slice body, struct slice *ret_slice)
{
    return finish_with_body(json_pack("{s:o, s:I}", "topic", json_lenient_string(topic), "id",
                                      (json_int_t)id),
                            body, ret_slice);
}
