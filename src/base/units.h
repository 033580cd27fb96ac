/* SPDX-License-Identifier: Apache-2.0
 *
 * Times and sizes: internal names for the public one-field structs, their arithmetic, and their text
 * forms (sizes B KiB MiB GiB TiB, powers of 1024; durations ns us ms s m h d).
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <penstock/time.h>

#include "base/err.h"

typedef pen_mono_t mono_t;
typedef pen_span_t span_t;

#define NS_PER_S 1000000000

static inline mono_t mono_after(mono_t t, span_t s)
{
    mono_t sum;
    if (__builtin_add_overflow(t.ns, s.ns, &sum.ns))
        return s.ns > 0 ? PEN_NEVER : PEN_NOW;
    return sum;
}

static inline span_t mono_since(mono_t later, mono_t earlier)
{
    return (span_t){ later.ns - earlier.ns };
}

static inline bool mono_before(mono_t a, mono_t b)
{
    return a.ns < b.ns;
}

static inline span_t span_ms(int64_t ms)
{
    return (span_t){ ms * 1000000 };
}

static inline span_t span_s(int64_t s)
{
    return (span_t){ s * NS_PER_S };
}

/* "64MiB" -> 67108864. A bare number is an error (PEN_EINVAL), but 0 needs no unit; PEN_ETOOBIG when
 * it does not fit. Fractions ("1.5GiB") are allowed where they give whole bytes. */
int size_parse(const char *text, uint64_t *ret_bytes) MUST_CHECK;

/* "30s", "1m30s", "250ms" -> nanoseconds. Errors as above. */
int span_parse(const char *text, span_t *ret_span) MUST_CHECK;

/* A whole decimal number, nothing before or after. PEN_EINVAL, PEN_ETOOBIG. */
int number_parse(const char *text, uint64_t *ret_number) MUST_CHECK;

/* The shortest exact text of at least one unit: 67108864 -> "64MiB", half a second -> "500ms". The buffer's size is UNITS_TEXT_BYTES. Returns text. */
enum { UNITS_TEXT_BYTES = 32 };
char *size_format(uint64_t bytes, char text[UNITS_TEXT_BYTES]);
char *span_format(span_t span, char text[UNITS_TEXT_BYTES]);

#endif
