/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdbool.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/human.h"

/* The number of a member, or its sum over an array's objects. False when there is none. */
static bool number_of(const json_t *row, const char *member, json_int_t *ret_number)
{
    const char *dot = strchr(member, '.');
    if (dot == NULL) {
        const json_t *value = json_object_get(row, member);
        if (!json_is_number(value))
            return false;
        *ret_number = (json_int_t)json_number_value(value);
        return true;
    }
    char array[32];
    (void)snprintf(array, sizeof array, "%.*s", (int)(dot - member), member);
    const json_t *list = json_object_get(row, array);
    json_int_t sum = 0, number;
    size_t found = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (number_of(json_array_get(list, i), dot + 1, &number) &&
            !__builtin_add_overflow(sum, number, &sum))
            found++;
    }
    *ret_number = sum;
    return found > 0;
}

static bool sum_of(const json_t *object, json_int_t *ret_number)
{
    const char *key;
    json_t *value;
    json_int_t sum = 0;
    if (!json_is_object(object))
        return false;
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_integer(value) && __builtin_add_overflow(sum, json_integer_value(value), &sum))
            return false;
    }
    *ret_number = sum;
    return true;
}

static bool cell_number(const struct column *column, const json_t *row, json_int_t *ret_number)
{
    const json_t *value = json_object_get(row, column->member);
    if (column->kind == COLUMN_SUM)
        return sum_of(value, ret_number);
    if (column->kind == COLUMN_ITEMS) {
        *ret_number = (json_int_t)json_array_size(value);
        return json_is_array(value);
    }
    return number_of(row, column->member, ret_number);
}

static void cell(const struct column *column, const json_t *row, char text[TABLE_CELL_BYTES])
{
    const json_t *value = json_object_get(row, column->member);
    json_int_t number;
    (void)snprintf(text, TABLE_CELL_BYTES, "-");
    if (column->kind == COLUMN_TEXT) {
        if (json_is_string(value) && json_string_length(value) > 0)
            (void)printable(json_string_value(value), text, TABLE_CELL_BYTES);
    } else if (column->kind == COLUMN_PAUSED) {
        if (json_is_boolean(value))
            (void)snprintf(text, TABLE_CELL_BYTES, "%s", json_is_true(value) ? "paused" : "open");
    } else if (cell_number(column, row, &number)) {
        char human[HUMAN_BYTES];
        if (column->kind == COLUMN_BYTES && number >= 0)
            (void)snprintf(text, TABLE_CELL_BYTES, "%s", human_bytes((uint64_t)number, human));
        else if (column->kind == COLUMN_MS)
            (void)snprintf(text, TABLE_CELL_BYTES, "%s", human_seconds((double)number / 1e3, human));
        else
            (void)snprintf(text, TABLE_CELL_BYTES, "%lld", (long long)number);
    }
}

static bool is_left(const struct column *column)
{
    return column->kind == COLUMN_TEXT || column->kind == COLUMN_PAUSED;
}

/* Names have non-ASCII letters too: their columns are counted in letters, not bytes. */
static int letters(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(const struct column *column, const char *text, int width, FILE *to)
{
    int pad = width - letters(text);
    bool last = column[1].title == NULL;
    if (is_left(column))
        (void)fprintf(to, "%s%*s", text, last ? 0 : pad, "");
    else
        (void)fprintf(to, "%*s%s", pad, "", text);
    (void)fputs(last ? "\n" : "  ", to);
}

void table_print(const struct column *columns, const json_t *rows, FILE *to)
{
    char text[TABLE_CELL_BYTES];
    int widths[TABLE_COLUMNS_MAX] = { 0 };
    size_t n = json_array_size(rows), c;
    if (n == 0)
        return;
    for (c = 0; columns[c].title != NULL; c++) {
        widths[c] = letters(columns[c].title);
        for (size_t i = 0; i < n; i++) {
            cell(&columns[c], json_array_get(rows, i), text);
            widths[c] = letters(text) > widths[c] ? letters(text) : widths[c];
        }
    }
    for (c = 0; columns[c].title != NULL; c++)
        print_cell(&columns[c], columns[c].title, widths[c], to);
    for (size_t i = 0; i < n; i++) {
        for (c = 0; columns[c].title != NULL; c++) {
            cell(&columns[c], json_array_get(rows, i), text);
            print_cell(&columns[c], text, widths[c], to);
        }
    }
}
