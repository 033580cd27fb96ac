/* SPDX-License-Identifier: Apache-2.0
 *
 * How a received message is written, byte for byte as nanocat does it.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum format {
    FORMAT_DEFAULT, /* ascii on a terminal, a line of raw bytes elsewhere: output_init() decides */
    FORMAT_NO,
    FORMAT_RAW,
    FORMAT_ASCII,
    FORMAT_QUOTED,
    FORMAT_HEX,
    FORMAT_MSGPACK,
};

/* The format of a name that --format takes. PEN_EINVAL. */
int format_parse(const char *name, enum format *ret_format) MUST_CHECK;

/* Appends the message as `format` wants it; FORMAT_DEFAULT counts as raw. PEN_ENOMEM, PEN_ETOOBIG (a
 * message of 4 GiB and more has no msgpack form). */
int format_append(enum format format, const void *data, size_t bytes, struct buf *out) MUST_CHECK;

#endif
