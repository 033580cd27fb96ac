/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/human.h"

#include <math.h>
#include <stdio.h>

/* Three digits: 1.23, 12.3, 123. */
static int decimals(double n)
{
    return n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
}

char *human_bytes(uint64_t bytes, char text[HUMAN_BYTES])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (bytes < 1024) {
        (void)snprintf(text, HUMAN_BYTES, "%u B", (unsigned)bytes);
        return text;
    }
    double n = (double)bytes / 1024;
    unsigned unit = 0;
    for (; n >= 1023.5; n /= 1024)
        unit++;
    (void)snprintf(text, HUMAN_BYTES, "%.*f %s", decimals(n), n, units[unit]);
    return text;
}

char *human_number(double number, char text[HUMAN_BYTES])
{
    static const char *const units[] = { "", "k", "M", "G", "T" };
    unsigned unit = 0;
    if (!isfinite(number) || number < 0)
        number = 0;
    for (; number >= 999.5 && unit < 4; number /= 1000)
        unit++;
    int digits = unit == 0 && number == floor(number) ? 0 : decimals(number);
    (void)snprintf(text, HUMAN_BYTES, "%.*f%s", digits, number, units[unit]);
    return text;
}

char *human_seconds(double seconds, char text[HUMAN_BYTES])
{
    if (!isfinite(seconds) || seconds < 0)
        seconds = 0;
    if (seconds < 59.95) {
        (void)snprintf(text, HUMAN_BYTES, "%.1fs", seconds);
        return text;
    }
    if (seconds > 1e15)
        seconds = 1e15;
    uint64_t s = (uint64_t)seconds;
    unsigned long long d = s / 86400;
    unsigned h = (unsigned)(s / 3600 % 24), m = (unsigned)(s / 60 % 60);
    if (d > 0)
        (void)snprintf(text, HUMAN_BYTES, "%llud %uh %um", d, h, m);
    else if (h > 0)
        (void)snprintf(text, HUMAN_BYTES, "%uh %um", h, m);
    else
        (void)snprintf(text, HUMAN_BYTES, "%um %us", m, (unsigned)(s % 60));
    return text;
}
