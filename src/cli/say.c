/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

static const char *command_name;

void say_command(const char *name)
{
    command_name = name;
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (command_name != NULL)
        (void)fprintf(stderr, "penstock %s: ", command_name);
    else
        (void)fputs("penstock: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

const char *printable(const char *text, char *to, size_t size)
{
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < size; n++) {
        unsigned char c = (unsigned char)text[n];
        to[n] = c < 0x20 || c == 0x7f ? '?' : text[n];
    }
    to[n] = '\0';
    return to;
}
