/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment as the configuration sees it: variables in texts, and the program search path.
 *
 * Main thread at boot: the environment must not change meanwhile.
 */
#ifndef CONF_EXPAND_H
#define CONF_EXPAND_H

#include <stdbool.h>

#include "base/err.h"
#include "conf/report.h"

/* ${NAME}, ${NAME:-default} where NAME is unset or empty, ${NAME:?message} the same as an error; $$ is a dollar.
 * A dollar before anything else is one. What is put in is not looked at again. The place is that of text in
 * the file. PEN_ECONFIG when it is reported; PEN_ENOMEM. *ret_text is the caller's to free. */
int expand(struct report *report, struct place place, const char *text, char **ret_text) MUST_CHECK;

/* Whether a program can be started: by its path when it has a slash, else from one of the folders of $PATH. */
bool program_found(const char *program);

#endif
