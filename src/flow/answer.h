/* SPDX-License-Identifier: Apache-2.0
 *
 * What a requester is told, in the framing of the endpoint that it asked: a receipt, a failure, a result. Pure.
 *
 *   raw    receipt "OK ID LEVEL", failure "ERR PEN_NAME TEXT", result: the payload itself
 *   json   see proto/json.h
 *   batch  see proto/batch.h; the receipts for a frame are made by flow/unpack.h
 */
#ifndef FLOW_ANSWER_H
#define FLOW_ANSWER_H

#include <stdint.h>

#include "base/slice.h"
#include "conf/conf.h"

struct answer_form {
    enum conf_framing framing;
    uint32_t tag; /* batch: of the request */
};

/* Raw and json. */
int answer_receipt(enum conf_framing framing, uint64_t id, const char *level,
                   struct slice *ret_slice) MUST_CHECK;
int answer_failure(struct answer_form form, int error, const char *text, struct slice *ret_slice)
    MUST_CHECK;
/* body is borrowed; *ret_body is another reference to it where it is sent as it is. */
int answer_result(struct answer_form form, uint64_t id, struct slice body, struct slice *ret_head,
                  struct slice *ret_body) MUST_CHECK;

#endif
