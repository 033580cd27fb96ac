/* SPDX-License-Identifier: Apache-2.0
 *
 * What every part of the command line client shares: exit codes and how it speaks to the user. Data
 * goes to stdout, messages to stderr. The program has one thread of its own; libnanomsg has another.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

enum exit_code {
#define EXIT(name, code, meaning) EXIT_##name = (code),
#include "cli/exits.def"
#undef EXIT
};

/* "penstock push: text" on stderr, with a newline. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The command's name in what say() writes from now on; NULL for none. */
void say_command(const char *name);

/* Text from elsewhere made safe for a terminal: control characters become '?'. Returns `to`. */
const char *printable(const char *text, char *to, size_t size);

#endif
