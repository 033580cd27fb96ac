/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON array of objects as aligned columns. What is not there, or not what it should be, is "-".
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <jansson.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 12, TABLE_CELL_BYTES = 128 };

enum column_kind {
    COLUMN_TEXT,   /* left */
    COLUMN_NUMBER, /* a count as it is */
    COLUMN_BYTES,  /* a count of bytes, three digits and a unit */
    COLUMN_MS,     /* a count of milliseconds, as people say it */
    COLUMN_PAUSED, /* a bool: "paused" or "open" */
    COLUMN_ITEMS,  /* an array: how many it has */
    COLUMN_SUM,    /* an object: its numbers, added */
};

struct column {
    const char *title;
    const char *member; /* "NAME", or "ARRAY.NAME": the sum over the array's objects */
    enum column_kind kind;
};

/* The columns end with one that has no title. Prints nothing for what is no array or an empty one. */
void table_print(const struct column *columns, const json_t *rows, FILE *to);

#endif
