/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure; any thread.
 */
#include "base/str.h"

#include <string.h>

enum { DISTANCE_WORD_MAX = 63 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* One row of the table of distances: `now` from the two rows above it, for letter a[i-1]. */
static void distance_row(const char *a, size_t i, const char *b,
                         unsigned (*rows)[DISTANCE_WORD_MAX + 1])
{
    unsigned *now = rows[i % 3];
    const unsigned *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
    now[0] = (unsigned)i;
    for (size_t j = 1; b[j - 1] != '\0'; j++) {
        bool same = lower(a[i - 1]) == lower(b[j - 1]);
        now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
        bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                       lower(a[i - 2]) == lower(b[j - 1]);
        if (swapped)
            now[j] = least(now[j], above2[j - 2] + 1);
    }
}

unsigned str_distance(const char *a, const char *b, unsigned max)
{
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    if (a_bytes > DISTANCE_WORD_MAX || b_bytes > DISTANCE_WORD_MAX)
        return max + 1;
    unsigned rows[3][DISTANCE_WORD_MAX + 1];
    for (size_t j = 0; j <= b_bytes; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_bytes; i++)
        distance_row(a, i, b, rows);
    return least(rows[a_bytes % 3][b_bytes], max + 1);
}

const char *str_suggest(const char *word, const char *(*next)(const void *ctx, size_t i),
                        const void *ctx)
{
    unsigned limit = strlen(word) / 3 > 3 ? 3 : (unsigned)(strlen(word) / 3);
    const char *best = NULL;
    const char *candidate;
    for (size_t i = 0; (candidate = next(ctx, i)) != NULL; i++) {
        unsigned distance = str_distance(word, candidate, limit);
        if (distance > limit)
            continue;
        best = candidate;
        if (distance == 0)
            break;
        limit = distance - 1; /* Only a nearer one may replace it. */
    }
    return best;
}

bool str_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool str_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_copy(char *to, size_t size, const char *from)
{
    size_t bytes = strlen(from);
    if (size == 0)
        return false;
    size_t copied = bytes < size ? bytes : size - 1;
    memcpy(to, from, copied);
    to[copied] = '\0';
    return copied == bytes;
}
