/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8, one code point at a time. Pure; any thread.
 */
#ifndef CONF_UTF8_H
#define CONF_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the code point that starts at text, at most n; 0 when it is malformed, overlong, a
 * surrogate, beyond U+10FFFF or cut off. n is at least 1. */
size_t utf8_next(const char *text, size_t n, uint32_t *ret_point);

/* The offset of the first byte that is not UTF-8, or n. */
size_t utf8_valid_bytes(const char *text, size_t n);

/* Code points in text; a byte that is not UTF-8 counts as one. */
size_t utf8_count(const char *text, size_t n);

/* The bytes of the first `count` code points, counted in the same way. */
size_t utf8_skip(const char *text, size_t n, size_t count);

#endif
