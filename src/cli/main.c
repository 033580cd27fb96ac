/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock: the command line client. Finds the command, reads its options and runs it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <penstock/version.h>

#include "cli/cli.h"
#include "cli/cmd-help.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "plat/stdio.h"

static int print_version(void)
{
    (void)printf("penstock (Penstock) %s\n"
                 "License Apache-2.0: <https://www.apache.org/licenses/LICENSE-2.0>\n"
                 "There is no warranty, to the extent permitted by law.\n",
                 pen_version());
    return EXIT_OK;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct options o;
    say_command(command->name);
    int code = options_parse(command, argc, argv, &o);
    if (code != EXIT_OK)
        return code;
    if (o.version)
        return print_version();
    if (o.help) {
        help_print_command(command, stdout);
        return EXIT_OK;
    }
    return command->run(&o);
}

static int run(int argc, char **argv)
{
    struct options o;
    int code = options_parse(NULL, argc, argv, &o);
    if (code != EXIT_OK)
        return code;
    if (o.version)
        return print_version();
    if (o.help) {
        help_print_all(stdout);
        return EXIT_OK;
    }
    if (o.operands_count == 0) {
        help_print_all(stderr);
        return EXIT_USAGE;
    }
    const struct command *command = command_find(o.operands[0]);
    if (command == NULL)
        return help_unknown_command(o.operands[0]);
    return run_command(command, (int)o.operands_count, (char **)o.operands);
}

int main(int argc, char **argv)
{
    if (stdio_fill() < 0 || signals_init() < 0)
        return EXIT_INTERNAL;
    int code = run(argc, argv);
    /* Who stops reading our output has seen enough of it. */
    if (fflush(stdout) == EOF && errno != EPIPE && code == EXIT_OK) {
        say("cannot write: %s", strerror(errno));
        return EXIT_OUTPUT;
    }
    return code;
}
