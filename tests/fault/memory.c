/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

struct memory memory;

static bool refused(void)
{
    if (!memory.armed)
        return false;
    memory.calls++;
    bool now = memory.calls == memory.fail_at ||
               (memory.all_after && memory.fail_at > 0 && memory.calls > memory.fail_at);
    memory.failed |= now;
    return now;
}

/* The names are the linker's. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_reallocarray(void *old, size_t n, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t max);

void *__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return refused() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return refused() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_reallocarray(void *old, size_t n, size_t bytes)
{
    return refused() ? NULL : __real_reallocarray(old, n, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return refused() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text)
{
    return refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t max)
{
    return refused() ? NULL : __real_strndup(text, max);
}

void expect_refusal(int r)
{
    ck_assert_int_eq(r, PEN_ENOMEM);
    ck_assert(memory.failed);
    memory.fail_at = 0;
}

void for_every_failure(void (*run)(void), bool all_after)
{
    size_t least = 0;
    for (size_t n = 1;; n++) {
        memory.fail_at = n;
        memory.calls = 0;
        memory.all_after = all_after;
        memory.failed = false;
        run();
        ck_assert(!memory.armed);
        if (!memory.failed)
            break;
        least = n;
    }
    ck_assert_uint_ge(least, 1); /* Something was refused at all. */
}
