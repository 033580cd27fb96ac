/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to worker endpoints, in both framings: what is taken keeps the limits, can be read twice, and answered; what is
 * refused has a reason that can be answered.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "proto/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refuse(const struct worker_request *q, int error, const char *reason)
{
    struct slice answer;
    check(error == PEN_EPROTO || error == PEN_ETOOBIG);
    check(strlen(reason) > 0);
    check(worker_refusal_encode(&q->form, error, reason, &answer) == 0);
    slice_release(&answer);
}

static uint32_t walk(struct worker_request *q)
{
    uint32_t n = 0;
    while (worker_request_next(q)) {
        struct slice body = worker_request_body(q);
        check(body.bytes == q->record->body_bytes);
        check(q->record->attrs.queue.bytes <= LIMIT_NAME_BYTES);
        check(q->record->attrs.key.bytes <= LIMIT_KEY_BYTES);
        check(q->record->attrs.priority <= 9);
        slice_release(&body);
        n++;
    }
    return n;
}

/* What was asked comes back as a list of jobs. */
static void answer(struct worker_request *q)
{
    struct worker_answer a;
    struct slice answer;
    worker_answer_begin(&a, &q->form, BATCH_JOBS, NULL);
    worker_request_rewind(q);
    while (worker_request_next(q))
        worker_answer_add(&a, q->record);
    check(worker_answer_end(&a, &answer) == 0);
    slice_release(&answer);
}

static void try(enum worker_framing framing, const uint8_t *data, size_t size)
{
    struct worker_request q;
    char reason[LIMIT_ERROR_TEXT_BYTES] = "";
    struct slice message = { .at = data, .bytes = (uint32_t)size };
    int r = worker_request_decode(framing, message, &q, reason, sizeof reason);
    if (r < 0) {
        refuse(&q, r, reason);
        return;
    }
    check(q.count >= 1 && q.count <= LIMIT_BATCH_ITEMS);
    check(walk(&q) == q.count);
    worker_request_rewind(&q);
    check(walk(&q) == q.count);
    answer(&q);
    worker_request_fini(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try(WORKER_JSON, data, size);
    try(WORKER_BATCH, data, size);
    return 0;
}
