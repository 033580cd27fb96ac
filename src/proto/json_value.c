/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing of JSON values, over jansson.
 */
#include "proto/json_value.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base64.h"

int reason_say(const struct reason *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why->text, why->size, format, args);
    va_end(args);
    return PEN_EPROTO;
}

int json_object_load(const void *data, size_t bytes, json_t **ret_object, const struct reason *why)
{
    json_error_t error;
    /* jansson wants a buffer even for no bytes. NUL is allowed, because a body may have it. */
    json_t *value =
        json_loadb(bytes > 0 ? data : "", bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return PEN_ENOMEM;
        return reason_say(why, "%s at line %d column %d", error.text, error.line, error.column);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return reason_say(why, "not an object");
    }
    *ret_object = value;
    return 0;
}

static bool is_among(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

int json_members_check(json_t *object, const char *const *names, const struct reason *why)
{
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at))
        if (!is_among(json_object_iter_key(at), names))
            return reason_say(why, "unknown member \"%.64s\"", json_object_iter_key(at));
    return 0;
}

int json_member_text(json_t *object, const char *name, const char **ret_string,
                     const struct reason *why)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL) {
        *ret_string = NULL;
        return 0;
    }
    if (!json_is_string(value))
        return reason_say(why, "member \"%s\" is not a string", name);
    const char *string = json_string_value(value);
    if (strlen(string) != json_string_length(value))
        return reason_say(why, "member \"%s\" contains a NUL", name);
    *ret_string = string;
    return 0;
}

int json_to_slice(json_t *value, struct slice *ret_slice)
{
    if (value == NULL)
        return PEN_ENOMEM;
    size_t bytes = json_dumpb(value, NULL, 0, JSON_COMPACT);
    struct slice slice = { 0 };
    uint8_t *to;
    int r = bytes > 0 ? slice_new(bytes, &slice, &to) : PEN_ENOMEM;
    if (r == 0 && json_dumpb(value, (char *)to, bytes, JSON_COMPACT) != bytes) {
        slice_release(&slice);
        r = PEN_ENOMEM;
    }
    json_decref(value);
    if (r == 0)
        *ret_slice = slice;
    return r;
}

json_t *json_lenient_stringn(const char *text, size_t bytes)
{
    json_t *value = json_stringn(text, bytes);
    if (value != NULL)
        return value;
    /* Not UTF-8, or no memory, which the copy will tell. A text of ours may have been cut within a character. */
    char *copy = malloc(bytes + 1);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < bytes; i++)
        copy[i] = (text[i] & 0x80) != 0 ? '?' : text[i];
    value = json_stringn(copy, bytes);
    free(copy);
    return value;
}

json_t *json_lenient_string(const char *text)
{
    return json_lenient_stringn(text, strlen(text));
}

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

int json_body_set(json_t *object, struct slice body)
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

int json_body_decode(json_t *object, struct slice *ret_body, const struct reason *why)
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
