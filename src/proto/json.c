/* SPDX-License-Identifier: Apache-2.0
 *
 * The json framing's messages. Pure; any thread.
 */
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/json_value.h"

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

/* Takes the reference to the object, adds the body, and makes bytes of it. */
static int finish_with_body(json_t *object, struct slice body, struct slice *ret_slice)
{
    if (object != NULL && json_body_set(object, body) < 0) {
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
