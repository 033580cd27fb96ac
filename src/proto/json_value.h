/* SPDX-License-Identifier: Apache-2.0
 *
 * What everything that speaks JSON to a peer shares: one strict reading of requests, and one way to make bytes
 * of a value. Pure; any thread.
 */
#ifndef PROTO_JSON_VALUE_H
#define PROTO_JSON_VALUE_H

#include <jansson.h>

#include "base/slice.h"

/* Where the text of a refusal goes. */
struct reason {
    char *text;
    size_t size;
};

/* Write the reason (cut at size). Always PEN_EPROTO, so that a refusal is one statement. */
int reason_say(const struct reason *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Parse one object; duplicate members and bytes after it are errors. PEN_EPROTO with what and where; PEN_ENOMEM.
 * The object is the caller's, json_decref(). */
int json_object_load(const void *data, size_t bytes, json_t **ret_object, const struct reason *why)
    MUST_CHECK;

/* PEN_EPROTO unless every member of the object is one of the names (ended by NULL). */
int json_members_check(json_t *object, const char *const *names, const struct reason *why) MUST_CHECK;

/* The member as a string without NUL bytes, borrowed from the object; NULL when it is not there. PEN_EPROTO when
 * it is something else. */
int json_member_text(json_t *object, const char *name, const char **ret_string,
                     const struct reason *why) MUST_CHECK;

/* The one of "body" and "body64" that is there, as bytes that are the caller's. PEN_EPROTO (none, both, no string, no
 * base64), PEN_ENOMEM. */
int json_body_decode(json_t *object, struct slice *ret_body, const struct reason *why) MUST_CHECK;
/* Set "body", or "body64" for bytes that are not UTF-8. PEN_ENOMEM. */
int json_body_set(json_t *object, struct slice body) MUST_CHECK;

/* The compact text of a value; takes the reference to it, also on failure. NULL stands for a value that could not
 * be made: PEN_ENOMEM. */
int json_to_slice(json_t *value, struct slice *ret_slice) MUST_CHECK;

/* A text as a JSON string; in one that is not UTF-8 every byte beyond ASCII becomes '?'. NULL when out of memory. */
json_t *json_lenient_string(const char *text);
json_t *json_lenient_stringn(const char *text, size_t bytes);

#endif
