/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers with units, read and written exactly: a fraction is kept as a whole number of its decimal
 * places in 128 bits, so "1.5GiB" is 1610612736 and "0.3KiB", which is no whole number of bytes, is
 * refused. No floating point.
 *
 * Pure; any thread.
 */
#include "base/units.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    uint64_t factor; /* in the smallest unit */
};

/* Largest first, which the formatter and the order of parts in "1m30s" rely on. */
static const struct unit size_units[] = {
    { "TiB", UINT64_C(1) << 40 },
    { "GiB", UINT64_C(1) << 30 },
    { "MiB", UINT64_C(1) << 20 },
    { "KiB", UINT64_C(1) << 10 },
    { "B", 1 },
};

static const struct unit span_units[] = {
    { "d", UINT64_C(86400) * NS_PER_S },
    { "h", UINT64_C(3600) * NS_PER_S },
    { "m", UINT64_C(60) * NS_PER_S },
    { "s", NS_PER_S },
    { "ms", 1000000 },
    { "us", 1000 },
    { "ns", 1 },
};

enum {
    SIZE_UNITS = sizeof size_units / sizeof size_units[0],
    SPAN_UNITS = sizeof span_units / sizeof span_units[0],
    FRACTION_DIGITS_MAX = 18, /* 10^18 * 2^40 still fits in 128 bits */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The digits at *text, at least one; moves *text behind them. */
static int digits_take(const char **text, uint64_t *ret_number)
{
    const char *at = *text;
    if (!is_digit(*at))
        return PEN_EINVAL;
    uint64_t n = 0;
    for (; is_digit(*at); at++) {
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
            return PEN_ETOOBIG;
    }
    *text = at;
    *ret_number = n;
    return 0;
}

/* ".25" at *text as 25 of 100; nothing there is 0 of 1. */
static int fraction_take(const char **text, uint64_t *ret_numerator, uint64_t *ret_denominator)
{
    *ret_numerator = 0;
    *ret_denominator = 1;
    if (**text != '.')
        return 0;
    const char *at = *text + 1;
    size_t places = strspn(at, "0123456789");
    if (places == 0 || places > FRACTION_DIGITS_MAX)
        return PEN_EINVAL;
    for (size_t i = 0; i < places; i++)
        *ret_denominator *= 10;
    *text = at;
    return digits_take(text, ret_numerator);
}

/* The unit at *text among units[first..count), or count. */
static unsigned unit_take(const char **text, const struct unit *units, unsigned first, unsigned count)
{
    size_t letters = 0;
    while (is_letter((*text)[letters]))
        letters++;
    for (unsigned i = first; i < count; i++) {
        if (strlen(units[i].name) == letters && strncmp(units[i].name, *text, letters) == 0) {
            *text += letters;
            return i;
        }
    }
    return count;
}

static int scale(uint64_t whole, uint64_t numerator, uint64_t denominator, uint64_t factor,
                 uint64_t *ret_value)
{
    unsigned __int128 fraction = (unsigned __int128)numerator * factor;
    if (fraction % denominator != 0)
        return PEN_EINVAL;
    unsigned __int128 value = (unsigned __int128)whole * factor + fraction / denominator;
    if (value > UINT64_MAX)
        return PEN_ETOOBIG;
    *ret_value = (uint64_t)value;
    return 0;
}

/* One number and its unit. *next is the first unit that may still follow; a number without any unit is
 * left to the caller. */
static int part_take(const char **text, const struct unit *units, unsigned count, unsigned *next,
                     uint64_t *ret_value)
{
    uint64_t whole, numerator, denominator;
    int r = digits_take(text, &whole);
    if (r < 0)
        return r;
    r = fraction_take(text, &numerator, &denominator);
    if (r < 0)
        return r;
    unsigned unit = unit_take(text, units, *next, count);
    if (unit == count)
        return PEN_EINVAL;
    *next = unit + 1;
    return scale(whole, numerator, denominator, units[unit].factor, ret_value);
}

static bool is_zero(const char *text)
{
    return *text != '\0' && text[strspn(text, "0")] == '\0';
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
    if (is_zero(text)) {
        *ret_bytes = 0;
        return 0;
    }
    unsigned next = 0;
    uint64_t bytes;
    int r = part_take(&text, size_units, SIZE_UNITS, &next, &bytes);
    if (r < 0)
        return r;
    if (*text != '\0')
        return PEN_EINVAL;
    *ret_bytes = bytes;
    return 0;
}

int span_parse(const char *text, span_t *ret_span)
{
    if (is_zero(text)) {
        *ret_span = (span_t){ 0 };
        return 0;
    }
    uint64_t sum = 0;
    unsigned next = 0;
    do {
        uint64_t part;
        int r = part_take(&text, span_units, SPAN_UNITS, &next, &part);
        if (r < 0)
            return r;
        if (__builtin_add_overflow(sum, part, &sum) || sum > INT64_MAX)
            return PEN_ETOOBIG;
    } while (*text != '\0');
    *ret_span = (span_t){ (int64_t)sum };
    return 0;
}

int number_parse(const char *text, uint64_t *ret_number)
{
    uint64_t n;
    int r = digits_take(&text, &n);
    if (r < 0)
        return r;
    if (*text != '\0')
        return PEN_EINVAL;
    *ret_number = n;
    return 0;
}

/* value in one unit with at most three decimal places; false when that is not exact or less than one. */
static bool format_in(uint64_t value, const struct unit *unit, char text[UNITS_TEXT_BYTES])
{
    uint64_t whole = value / unit->factor;
    uint64_t thousandths = value % unit->factor * 1000; /* below 2^57 */
    if (thousandths % unit->factor != 0 || whole == 0)
        return false;
    thousandths /= unit->factor;
    if (thousandths == 0) {
        (void)snprintf(text, UNITS_TEXT_BYTES, "%llu%s", (unsigned long long)whole, unit->name);
        return true;
    }
    int places = 3;
    for (; thousandths % 10 == 0; thousandths /= 10)
        places--;
    (void)snprintf(text, UNITS_TEXT_BYTES, "%llu.%0*u%s", (unsigned long long)whole, places,
                   (unsigned)thousandths, unit->name);
    return true;
}

/* The shortest text; of two as short the one in the larger unit. */
static char *format(uint64_t value, const struct unit *units, unsigned count,
                    char text[UNITS_TEXT_BYTES])
{
    char candidate[UNITS_TEXT_BYTES];
    size_t shortest = UNITS_TEXT_BYTES;
    for (unsigned i = 0; i < count && value != 0; i++) {
        if (format_in(value, &units[i], candidate) && strlen(candidate) < shortest) {
            shortest = strlen(candidate);
            memcpy(text, candidate, sizeof candidate);
        }
    }
    if (value == 0)
        memcpy(text, "0", 2);
    return text;
}

char *size_format(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
    return format(bytes, size_units, SIZE_UNITS, text);
}

char *span_format(span_t span, char text[UNITS_TEXT_BYTES])
{
    if (span.ns >= 0)
        return format((uint64_t)span.ns, span_units, SPAN_UNITS, text);
    char positive[UNITS_TEXT_BYTES];
    /* Negated as unsigned, because the least int64_t has no positive counterpart. */
    format(-(uint64_t)span.ns, span_units, SPAN_UNITS, positive);
    check(strlen(positive) + 2 <= UNITS_TEXT_BYTES);
    text[0] = '-';
    memcpy(text + 1, positive, strlen(positive) + 1);
    return text;
}
