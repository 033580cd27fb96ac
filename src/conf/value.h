/* SPDX-License-Identifier: Apache-2.0
 *
 * One parser for each type of option: from a text of the file to the field of a struct.
 *
 * Main thread at boot.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "conf/options.h"
#include "conf/report.h"
#include "conf/yaml.h"

/* Read the node into the option's field of `object`, which holds the default until then; a text given before
 * is freed. Not for TYPE_HANDLER. PEN_ECONFIG when it was reported and the field is as it was; PEN_ENOMEM. */
int value_load(struct report *report, const struct option *option, const struct node *node,
               void *object) MUST_CHECK;

/* Set the option's default in a zeroed object. PEN_ENOMEM. */
int value_default(const struct option *option, void *object) MUST_CHECK;

/* Free what the field holds. */
void value_free(const struct option *option, void *object);

/* The value as text, as it would be written in the file; for the types that are one number or word. */
enum { VALUE_TEXT_BYTES = 64 };
char *value_format(const struct option *option, const void *object, char text[VALUE_TEXT_BYTES]);
/* A number of the option's type, such as its min or max. */
char *value_format_number(const struct option *option, uint64_t value, char text[VALUE_TEXT_BYTES]);

/* The words between braces that a topic may have. Ends with NULL. */
extern const char *const topic_placeholders[];

#endif
