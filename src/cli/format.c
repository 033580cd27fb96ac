/* SPDX-License-Identifier: Apache-2.0
 *
 * The formats of received messages. What is printable is what the C locale calls so, in every locale:
 * the output must not depend on where it is read.
 */
#include "cli/format.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

static const char hex_digits[] = "0123456789abcdef";

int format_parse(const char *name, enum format *ret_format)
{
    static const struct {
        const char *name;
        enum format format;
    } names[] = {
        { "no", FORMAT_NO },         { "raw", FORMAT_RAW }, { "ascii", FORMAT_ASCII },
        { "quoted", FORMAT_QUOTED }, { "hex", FORMAT_HEX }, { "msgpack", FORMAT_MSGPACK },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_equal(name, names[i].name)) {
            *ret_format = names[i].format;
            return 0;
        }
    }
    return PEN_EINVAL;
}

static bool is_print(uint8_t c)
{
    return c >= 0x20 && c < 0x7f;
}

static uint8_t *put_escaped_hex(uint8_t *to, uint8_t c)
{
    *to++ = '\\';
    *to++ = 'x';
    *to++ = (uint8_t)hex_digits[c >> 4];
    *to++ = (uint8_t)hex_digits[c & 15];
    return to;
}

static uint8_t *put_quoted(uint8_t *to, uint8_t c)
{
    if (c == '\n' || c == '\r') {
        *to++ = '\\';
        *to++ = c == '\n' ? 'n' : 'r';
        return to;
    }
    if (!is_print(c))
        return put_escaped_hex(to, c);
    if (c == '\\' || c == '"')
        *to++ = '\\';
    *to++ = c;
    return to;
}

static int append_ascii(const uint8_t *data, size_t bytes, struct buf *out)
{
    int r = buf_reserve(out, bytes + 1);
    if (r < 0)
        return r;
    uint8_t *to = buf_tail(out);
    for (size_t i = 0; i < bytes; i++)
        to[i] = is_print(data[i]) ? data[i] : '.';
    to[bytes] = '\n';
    buf_grew(out, bytes + 1);
    return 0;
}

/* In double quotes, each byte through `put`, which writes at most four. */
static int append_escaped(const uint8_t *data, size_t bytes, struct buf *out,
                          uint8_t *(*put)(uint8_t *to, uint8_t c))
{
    if (bytes > SIZE_MAX / 8)
        return PEN_ETOOBIG;
    int r = buf_reserve(out, 4 * bytes + 3);
    if (r < 0)
        return r;
    uint8_t *start = buf_tail(out);
    uint8_t *to = start;
    *to++ = '"';
    for (size_t i = 0; i < bytes; i++)
        to = put(to, data[i]);
    *to++ = '"';
    *to++ = '\n';
    buf_grew(out, (size_t)(to - start));
    return 0;
}

/* bin 8, bin 16 or bin 32: a type byte, the length in 1, 2 or 4 bytes, big-endian, the bytes. */
static int append_msgpack(const uint8_t *data, size_t bytes, struct buf *out)
{
    if (bytes > UINT32_MAX)
        return PEN_ETOOBIG;
    unsigned width_log2 = bytes < 0x100 ? 0 : bytes < 0x10000 ? 1 : 2;
    unsigned width = 1U << width_log2;
    uint8_t head[5] = { (uint8_t)(0xc4 + width_log2) };
    for (unsigned i = 0; i < width; i++)
        head[1 + i] = (uint8_t)(bytes >> (8 * (width - 1 - i)));
    int r = buf_append(out, head, 1 + width);
    return r < 0 ? r : buf_append(out, data, bytes);
}

int format_append(enum format format, const void *data, size_t bytes, struct buf *out)
{
    switch (format) {
    case FORMAT_NO:
        return 0;
    case FORMAT_ASCII:
        return append_ascii(data, bytes, out);
    case FORMAT_QUOTED:
        return append_escaped(data, bytes, out, put_quoted);
    case FORMAT_HEX:
        return append_escaped(data, bytes, out, put_escaped_hex);
    case FORMAT_MSGPACK:
        return append_msgpack(data, bytes, out);
    case FORMAT_DEFAULT:
    case FORMAT_RAW:
        break;
    }
    return buf_append(out, data, bytes);
}
