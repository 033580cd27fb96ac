/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock help, and what --help prints: examples first.
 */
#include "cli/cmd-help.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
    int code;
    const char *meaning;
} exits[] = {
#define EXIT(name, code, meaning) { code, meaning },
#include "cli/exits.def"
#undef EXIT
};

static void print_exits(FILE *to)
{
    (void)fputs("\nExit status:\n", to);
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        (void)fprintf(to, "  %3d  ", exits[i].code);
        print_wrapped(exits[i].meaning, 7, 7, to);
    }
}

static void print_command_list(const char *title, uint64_t which, FILE *to)
{
    (void)fprintf(to, "\n%s:\n", title);
    for (size_t i = 0; i < commands_count; i++)
        if ((which >> commands[i].id & 1) != 0)
            (void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
}

void help_print_all(FILE *to)
{
    (void)fputs("Usage: penstock COMMAND [OPTION]...\n"
                "Send and receive messages over nanomsg, and talk to penstockd.\n"
                "\n"
                "Examples:\n"
                "  penstock push --connect tcp://127.0.0.1:4510 -D hello\n"
                "  seq 1000 | penstock push --connect tcp://127.0.0.1:4510 --lines\n"
                "  penstock sub --connect tcp://127.0.0.1:4511 --subscribe squares\n"
                "  penstock status\n",
                to);
    print_command_list("Messages", FOR_MESSAGES, to);
    print_command_list("The daemon", FOR_CONTROL, to);
    print_command_list("Jobs", FOR_JOBS, to);
    print_command_list("On the disk", FOR(FSCK) | FOR(DUMP), to);
    print_command_list("Measuring", FOR(BENCH), to);
    print_command_list("Help", FOR(ERRORS) | FOR(HELP), to);
    options_print_help(NULL, to);
    print_exits(to);
    (void)fputs("\n'penstock help COMMAND' explains a command; 'man penstock' all of them.\n", to);
}

void help_print_command(const struct command *command, FILE *to)
{
    (void)fprintf(to, "Usage: penstock %s [OPTION]...%s%s\n", command->name,
                  command->operands[0] != '\0' ? " " : "", command->operands);
    print_wrapped(command->description, 0, 0, to);
    (void)fputs("\nExamples:\n", to);
    for (const char *line = command->examples; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        (void)fprintf(to, "  %.*s\n", (int)n, line);
        line += n + 1;
    }
    options_print_help(command, to);
    (void)fputs("\nA TIME is in seconds, or has a unit: 500ms, 2m. "
                "'penstock help' lists the exit status.\n",
                to);
}

int help_unknown_command(const char *name)
{
    char safe[64];
    const char *near = command_suggest(name);
    (void)printable(name, safe, sizeof safe);
    if (near != NULL)
        say("'%s' is not a command; did you mean 'penstock %s'?", safe, near);
    else
        say("'%s' is not a command", safe);
    (void)fputs("Try 'penstock help'.\n", stderr);
    return EXIT_USAGE;
}

int cmd_help(const struct options *o)
{
    if (o->list_options) {
        options_print_list(NULL, stdout);
        for (size_t i = 0; i < commands_count; i++)
            options_print_list(&commands[i], stdout);
        return EXIT_OK;
    }
    if (o->operands_count == 0) {
        help_print_all(stdout);
        return EXIT_OK;
    }
    const struct command *command = command_find(o->operands[0]);
    if (command == NULL)
        return help_unknown_command(o->operands[0]);
    help_print_command(command, stdout);
    return EXIT_OK;
}
