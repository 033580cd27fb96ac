/* SPDX-License-Identifier: Apache-2.0
 *
 * penstockd's command line, from one table that also makes --help.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>

#include "obs/log.h"

/* sysexits(3), where they fit. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_BAD_USAGE = 64,
    EXIT_INTERNAL = 70,
    EXIT_CANNOT_START = 71, /* bind an address, start a child */
    EXIT_BAD_CONFIG = 78
};

enum daemon_action {
    ACTION_RUN,
    ACTION_CHECK,
    ACTION_DUMP,
    ACTION_VERSION,
    ACTION_SUMMARY,
    ACTION_HELP
};

struct daemon_options {
    const char *config;
    enum daemon_action action;
    enum log_level level;
    enum log_format format;
};

/* Parse the command line. False when it is wrong; the reason was then printed to standard error. */
bool daemon_options_parse(int argc, char **argv, struct daemon_options *ret_options);

void daemon_options_print_help(void);

#endif
