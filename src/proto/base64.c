/* SPDX-License-Identifier: Apache-2.0
 *
 * Base 64, three bytes at a time. Pure.
 */
#include "proto/base64.h"

#include <stdbool.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const uint8_t *data, size_t bytes, char *to)
{
    while (bytes > 0) {
        uint32_t three = (uint32_t)data[0] << 16;
        if (bytes > 1)
            three |= (uint32_t)data[1] << 8;
        if (bytes > 2)
            three |= data[2];
        to[0] = alphabet[three >> 18];
        to[1] = alphabet[three >> 12 & 63];
        to[2] = bytes > 1 ? alphabet[three >> 6 & 63] : '=';
        to[3] = bytes > 2 ? alphabet[three & 63] : '=';
        size_t step = bytes < 3 ? bytes : 3;
        data += step;
        bytes -= step;
        to += 4;
    }
}

/* The value of a character, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t text_bytes, uint8_t *to, size_t *ret_bytes)
{
    if (text_bytes % 4 != 0)
        return PEN_EPROTO;
    uint8_t *at = to;
    for (size_t i = 0; i < text_bytes; i += 4) {
        bool last = i + 4 == text_bytes;
        unsigned padding =
            last ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
        uint32_t three = 0;
        for (unsigned k = 0; k < 4; k++) {
            int value = k >= 4 - padding ? 0 : value_of(text[i + k]);
            if (value < 0)
                return PEN_EPROTO;
            three = three << 6 | (uint32_t)value;
        }
        /* Bits that no byte takes must be zero, or two texts would have one value. */
        if ((padding == 1 && (three & 0xff) != 0) || (padding == 2 && (three & 0xffff) != 0))
            return PEN_EPROTO;
        *at++ = (uint8_t)(three >> 16);
        if (padding < 2)
            *at++ = (uint8_t)(three >> 8);
        if (padding < 1)
            *at++ = (uint8_t)three;
    }
    *ret_bytes = (size_t)(at - to);
    return 0;
}
