/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON decoders: puts and control requests. What is taken keeps the limits, and a body that is taken comes
 * back from what is made of it; what is refused has a reason that can be answered.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "proto/control.h"
#include "proto/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answerable(int error, const char *text)
{
    struct slice answer;
    check(strlen(text) > 0);
    check(json_failure_encode(error, text, &answer) == 0);
    slice_release(&answer);
}

/* The body as a result, read again as a put. */
static void check_round_trip(struct slice body)
{
    struct slice result;
    check(json_result_encode(1, body, &result) == 0);
    json_t *value = json_loadb((const char *)result.at, result.bytes, JSON_ALLOW_NUL, NULL);
    check(value != NULL);
    slice_release(&result);
    json_object_del(value, "ok");
    json_object_del(value, "id");
    json_object_set_new(value, "op", json_string("put"));
    char *text = json_dumps(value, 0);
    json_decref(value);

    struct json_put again;
    char reason[LIMIT_ERROR_TEXT_BYTES];
    check(json_put_decode(text, strlen(text), &again, reason, sizeof reason) == 0);
    check(again.body.bytes == body.bytes && memcmp(again.body.at, body.at, body.bytes) == 0);
    json_put_fini(&again);
    free(text);
}

static void try_put(const uint8_t *data, size_t size)
{
    struct json_put put;
    char reason[LIMIT_ERROR_TEXT_BYTES] = "";
    int r = json_put_decode(data, size, &put, reason, sizeof reason);
    if (r < 0) {
        check_answerable(r, reason);
        return;
    }
    check(put.key == NULL || strlen(put.key) <= LIMIT_KEY_BYTES);
    check(put.queue == NULL || strlen(put.queue) <= LIMIT_NAME_BYTES);
    check_round_trip(put.body);
    json_put_fini(&put);
}

static void try_control(const uint8_t *data, size_t size)
{
    struct control_request request;
    char reason[LIMIT_ERROR_TEXT_BYTES] = "";
    int r = control_request_decode(data, size, &request, reason, sizeof reason);
    if (r < 0)
        check_answerable(r, reason);
    else
        check(strlen(control_op_word(request.op)) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Any bytes are a body as well. */
    check_round_trip((struct slice){ .at = data, .bytes = (uint32_t)size });
    try_put(data, size);
    try_control(data, size);
    return 0;
}
