/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator that refuses: the linker puts it in the place of malloc and its kin (-Wl,--wrap). A sanitizer's malloc
 * stays below it, and says what is lost.
 */
#ifndef TESTS_FAULT_MEMORY_H
#define TESTS_FAULT_MEMORY_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct memory {
    bool armed;
    size_t fail_at, calls; /* counted while armed; fail_at 0: none fails */
    bool all_after, failed;
    int result;
};
extern struct memory memory;

/* The linker's names; some libraries are told of them. */
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_reallocarray(void *old, size_t n, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

/* Make a call in which an allocation may be refused. */
#define TRY(call) (memory.armed = true, memory.result = (call), memory.armed = false, memory.result)

/* The same for one that has no result, or does not fail. */
#define ARMED(call) \
    do { \
        memory.armed = true; \
        call; \
        memory.armed = false; \
    } while (false)

/* Make a call in which nothing may be allocated. */
#define NEVER_ALLOCATES(call) \
    do { \
        size_t calls_before = memory.calls; \
        ARMED(call); \
        ck_assert_uint_eq(memory.calls, calls_before); \
    } while (false)

/* TRY() has said ENOMEM, as it must and may only when an allocation was refused. From here on all succeed. */
void expect_refusal(int r);

/* Run a case for every allocation it makes. */
void for_every_failure(void (*run)(void), bool all_after);

#endif
