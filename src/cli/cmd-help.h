/* SPDX-License-Identifier: Apache-2.0
 *
 * What main and the commands share of help.
 */
#ifndef CLI_CMD_HELP_H
#define CLI_CMD_HELP_H

#include <stdio.h>

#include "cli/options.h"

void help_print_all(FILE *to);
void help_print_command(const struct command *command, FILE *to);

/* Says so, with a suggestion. EXIT_USAGE. */
int help_unknown_command(const char *name);

#endif
