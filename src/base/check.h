/* SPDX-License-Identifier: Apache-2.0
 *
 * Three grades of doubt, on in every build:
 *   check(x)        our own mistake, from which there is no way on: dies with the story.
 *   check_slow(x)   the same where it costs; compiled in with PEN_CHECK_SLOW.
 *   if (BUG(x))     our own mistake, but there is a way on: counted, told once per place, true when x.
 * What a peer, a disk, a handler or an operator can cause is none of these: it is an ordinary error.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

_Noreturn void check_failed(const char *expression, const char *file, int line, const char *function);
bool bug_caught(const char *expression, const char *file, int line, const char *function);

/* How many BUG()s were caught since the start. Any thread. */
uint64_t bug_count(void);

#define check(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__, __func__))
#define BUG(x) (__builtin_expect(!!(x), 0) && bug_caught(#x, __FILE__, __LINE__, __func__))

#ifdef PEN_CHECK_SLOW
#define check_slow(x) check(x)
#else
#define check_slow(x) ((void)sizeof(x))
#endif

#endif
