/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML text as a tree of nodes with their places. This is all that the rest knows of YAML.
 *
 * One thread.
 */
#ifndef CONF_YAML_H
#define CONF_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "conf/report.h"

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    bool plain; /* a text without quotes */
    struct place place;
    char *text;          /* NODE_TEXT */
    struct node **items; /* NODE_LIST: items; NODE_MAP: a key, its value, and so on. Keys are texts */
    size_t count;        /* of items */
    struct node *older; /* the node read before it */
};

struct document {
    struct node *root;   /* NULL when the file has no content */
    struct node *newest; /* of all nodes; an alias is no node but a second pointer to one */
};

/* Read the text of report->source. PEN_ECONFIG when it is not YAML, which is reported; PEN_ENOMEM. The text
 * is no longer needed afterwards, other than by the report. */
int yaml_read(struct report *report, struct document *ret_document) MUST_CHECK;
void yaml_free(struct document *document);

/* Whether the node says "nothing": an empty plain text, ~ or null. */
bool node_is_null(const struct node *node);
/* "text", "list" or "mapping". */
const char *node_kind_word(const struct node *node);

#endif
