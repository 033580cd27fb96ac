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

json_t *json_lenient_string(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    /* Not UTF-8, or no memory, which the copy will tell. A text of ours may have been cut within a character. */
    char *copy = strdup(text);
    if (copy == NULL)
        return NULL;
    for (char *at = copy; *at != '\0'; at++)
        if ((*at & 0x80) != 0)
            *at = '?';
    value = json_string(copy);
    free(copy);
    return value;
}
