/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "proto/batch.h"
#include "proto/json.h"

int answer_receipt(enum conf_framing framing, uint64_t id, const char *level, struct slice *ret_slice)
{
    if (framing == FRAMING_JSON)
        return json_receipt_encode(id, level, ret_slice);
    char text[64];
    int n = snprintf(text, sizeof text, "OK %" PRIu64 " %s", id, level);
    return slice_copy(text, (size_t)n, ret_slice);
}

/* A frame that may end with a body which follows it. */
static int make_frame(const struct batch_head *head, const struct batch_record *record,
                      struct slice *ret_slice)
{
    struct batch_writer w;
    uint8_t *to;
    int record_bytes = batch_record_head_bytes(record);
    if (record_bytes < 0)
        return record_bytes;
    size_t bytes = BATCH_HEAD_BYTES + (size_t)record_bytes;
    int r = slice_new(bytes, ret_slice, &to);
    if (r < 0)
        return r;
    check(batch_writer_init(&w, to, bytes, head) == 0);
    check(batch_writer_add_open(&w, record) == 0);
    return 0;
}

static int batch_failure(uint32_t tag, int error, const char *text, struct slice *ret_slice)
{
    struct batch_head head = { .kind = BATCH_ERROR, .tag = tag };
    struct batch_record record = { .status = error };
    struct batch_text cut = { text, (uint32_t)strnlen(text, LIMIT_ERROR_TEXT_BYTES) };
    batch_set(&record.attrs, TEXT, text, cut);
    return make_frame(&head, &record, ret_slice);
}

int answer_failure(struct answer_form form, int error, const char *text, struct slice *ret_slice)
{
    if (text == NULL || text[0] == '\0')
        text = pen_strerror(error);
    if (form.framing == FRAMING_JSON)
        return json_failure_encode(error, text, ret_slice);
    if (form.framing == FRAMING_BATCH)
        return batch_failure(form.tag, error, text, ret_slice);
    char line[LIMIT_ERROR_TEXT_BYTES + 64];
    int n =
        snprintf(line, sizeof line, "ERR %s %.*s", pen_errname(error), LIMIT_ERROR_TEXT_BYTES, text);
    return slice_copy(line, (size_t)n, ret_slice);
}

int answer_result(struct answer_form form, uint64_t id, struct slice body, struct slice *ret_head,
                  struct slice *ret_body)
{
    if (form.framing == FRAMING_JSON)
        return json_result_encode(id, body, ret_body);
    if (form.framing == FRAMING_BATCH) {
        struct batch_head head = { .kind = BATCH_RESULTS, .tag = form.tag };
        struct batch_record record = { .body_bytes = body.bytes };
        batch_set(&record.attrs, ID, id, id);
        int r = make_frame(&head, &record, ret_head);
        if (r < 0)
            return r;
    }
    *ret_body = slice_ref(body);
    return 0;
}
