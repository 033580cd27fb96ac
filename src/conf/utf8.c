/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/utf8.h"

/* Bytes of a sequence by its first byte, 0 for a byte that cannot be the first. */
static size_t sequence_bytes(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t utf8_next(const char *text, size_t n, uint32_t *ret_point)
{
    static const uint8_t first_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t bytes = sequence_bytes((uint8_t)text[0]);
    if (bytes == 0 || bytes > n)
        return 0;
    uint32_t point = (uint8_t)text[0] & first_mask[bytes];
    for (size_t i = 1; i < bytes; i++) {
        if (((uint8_t)text[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | ((uint8_t)text[i] & 0x3f);
    }
    if (point < least[bytes] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *ret_point = point;
    return bytes;
}

size_t utf8_valid_bytes(const char *text, size_t n)
{
    size_t at = 0;
    uint32_t point;
    while (at < n) {
        size_t bytes = utf8_next(text + at, n - at, &point);
        if (bytes == 0)
            break;
        at += bytes;
    }
    return at;
}

/* Like utf8_next(), but goes on by one byte over what is malformed. */
static size_t step(const char *text, size_t n)
{
    uint32_t point;
    size_t bytes = utf8_next(text, n, &point);
    return bytes > 0 ? bytes : 1;
}

size_t utf8_count(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t at = 0; at < n; at += step(text + at, n - at))
        count++;
    return count;
}

size_t utf8_skip(const char *text, size_t n, size_t count)
{
    size_t at = 0;
    for (; at < n && count > 0; count--)
        at += step(text + at, n - at);
    return at;
}
