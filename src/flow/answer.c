/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/answer.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "proto/json.h"

int answer_receipt(enum conf_framing framing, uint64_t id, struct slice *ret_slice)
{
    if (framing == FRAMING_JSON)
        return json_receipt_encode(id, "memory", ret_slice);
    char text[64];
    int n = snprintf(text, sizeof text, "OK %" PRIu64 " memory", id);
    return slice_copy(text, (size_t)n, ret_slice);
}

int answer_failure(enum conf_framing framing, int error, const char *text, struct slice *ret_slice)
{
    if (text == NULL || text[0] == '\0')
        text = pen_strerror(error);
    if (framing == FRAMING_JSON)
        return json_failure_encode(error, text, ret_slice);
    char line[LIMIT_ERROR_TEXT_BYTES + 64];
    int n =
        snprintf(line, sizeof line, "ERR %s %.*s", pen_errname(error), LIMIT_ERROR_TEXT_BYTES, text);
    return slice_copy(line, (size_t)n, ret_slice);
}

int answer_result(enum conf_framing framing, uint64_t id, struct slice body, struct slice *ret_slice)
{
    if (framing == FRAMING_JSON)
        return json_result_encode(id, body, ret_slice);
    *ret_slice = slice_ref(body);
    return 0;
}
