/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers for text.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

/* The number of inserted, deleted, replaced or swapped letters between two words (Damerau-Levenshtein,
 * restricted), at most `max`+1; case does not count. Words beyond 63 bytes give max+1. */
unsigned str_distance(const char *a, const char *b, unsigned max);

/* The candidate nearest to word, or NULL when none is near enough to be a slip of the pen (a third of
 * its letters, at most 3). next(ctx, i) returns candidate i or NULL at the end. */
const char *str_suggest(const char *word, const char *(*next)(const void *ctx, size_t i),
                        const void *ctx);

bool str_equal(const char *a, const char *b);
bool str_starts(const char *text, const char *prefix);

/* Copies at most size-1 bytes and ends with NUL; false when something was cut off. */
bool str_copy(char *to, size_t size, const char *from);

#endif
