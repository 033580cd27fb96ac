/* SPDX-License-Identifier: Apache-2.0
 *
 * Base 64 as in RFC 4648 section 4: the alphabet with + and /, padded, nothing between. Decoding is strict, so
 * that every text has one value and every value one text.
 */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Characters that `bytes` bytes become; no NUL is counted or written. */
static inline size_t base64_encoded_bytes(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}

void base64_encode(const uint8_t *data, size_t bytes, char *to);

/* to has room for text_bytes / 4 * 3. PEN_EPROTO when the text is not base 64; then `to` is undefined. */
int base64_decode(const char *text, size_t text_bytes, uint8_t *to, size_t *ret_bytes) MUST_CHECK;

#endif
