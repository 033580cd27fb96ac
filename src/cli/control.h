/* SPDX-License-Identifier: Apache-2.0
 *
 * One request to a daemon's control socket, and its answer.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <jansson.h>

#include "base/units.h"

/* Asks and waits for the answer, an object that is the caller's, json_decref(). EXIT_OK, or another
 * exit code after having said why. */
int control_ask(const char *url, json_t *request, span_t timeout, json_t **ret_answer);

#endif
