/* SPDX-License-Identifier: Apache-2.0
 *
 * The ends of check() and BUG(). Neither allocates nor takes a lock, so both may be used anywhere.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/count.h"

static struct count bugs;

static void say(const char *what, const char *expression, const char *file, int line,
                const char *function)
{
    char story[512];
    int n = snprintf(story, sizeof story, "penstock: %s: %s at %s:%d in %s()\n", what, expression,
                     file, line, function);
    if (n < 0)
        return;
    size_t bytes = (size_t)n < sizeof story ? (size_t)n : sizeof story - 1;
    ssize_t written = write(STDERR_FILENO, story, bytes);
    (void)written; /* There is nobody left to tell. */
}

void check_failed(const char *expression, const char *file, int line, const char *function)
{
    say("check failed", expression, file, line, function);
    abort();
}

bool bug_caught(const char *expression, const char *file, int line, const char *function)
{
    if (count_add_shared(&bugs, 1) < 100) /* A bug on a hot path must not fill the disk. */
        say("bug caught", expression, file, line, function);
    return true;
}

uint64_t bug_count(void)
{
    return count_read(&bugs);
}
