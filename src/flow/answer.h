/* SPDX-License-Identifier: Apache-2.0
 *
 * What a requester is told, in the framing of the endpoint that it asked: a receipt, a failure, a result. Pure.
 *
 *   raw    receipt "OK ID LEVEL", failure "ERR PEN_NAME TEXT", result: the payload itself
 *   json   see proto/json.h
 */
#ifndef FLOW_ANSWER_H
#define FLOW_ANSWER_H

#include <stdint.h>

#include "base/slice.h"
#include "conf/conf.h"

int answer_receipt(enum conf_framing framing, uint64_t id, struct slice *ret_slice) MUST_CHECK;
int answer_failure(enum conf_framing framing, int error, const char *text, struct slice *ret_slice)
    MUST_CHECK;
/* body is borrowed. */
int answer_result(enum conf_framing framing, uint64_t id, struct slice body, struct slice *ret_slice)
    MUST_CHECK;

#endif
