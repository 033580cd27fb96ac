/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock errors: the error table.
 */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/options.h"

/* "PEN_EFULL", "EFULL", "1001" or "-1001", in any case. */
static const struct err_row *find(const char *what)
{
    uint64_t code;
    if (number_parse(what[0] == '-' ? what + 1 : what, &code) == 0)
        return code <= INT_MAX ? err_find(-(int)code) : NULL;
    for (size_t i = 0; i < err_rows_count; i++) {
        const char *name = err_rows[i].name;
        if (strcasecmp(what, name) == 0 || strcasecmp(what, name + strlen("PEN_")) == 0)
            return &err_rows[i];
    }
    return NULL;
}

static const char *next_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < err_rows_count ? err_rows[i].name : NULL;
}

static void print_text(const char *title, const char *text)
{
    int column = printf("  %-8s", title);
    print_wrapped(text, column, column, stdout);
}

static int print_json(const struct err_row *first, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", first[i].name,
                                              "code", first[i].code, "text", first[i].text, "cause",
                                              first[i].cause, "remedy", first[i].remedy));
    int r = json_dumpf(list, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(list);
    (void)putchar('\n');
    return r < 0 ? EXIT_INTERNAL : EXIT_OK;
}

static void print_one(const struct err_row *row)
{
    (void)printf("%s (%d): %s\n", row->name, row->code, row->text);
    print_text("Cause", row->cause);
    print_text("Remedy", row->remedy);
}

static void print_table(void)
{
    (void)printf("%-18s %5s  %s\n", "NAME", "CODE", "MEANING");
    for (size_t i = 0; i < err_rows_count; i++)
        (void)printf("%-18s %5d  %s\n", err_rows[i].name, err_rows[i].code, err_rows[i].text);
}

int cmd_errors(const struct options *o)
{
    if (o->operands_count == 0) {
        if (o->json)
            return print_json(err_rows, err_rows_count);
        print_table();
        return EXIT_OK;
    }
    const struct err_row *row = find(o->operands[0]);
    if (row == NULL) {
        const char *near = str_suggest(o->operands[0], next_name, NULL);
        say("no such error%s%s", near != NULL ? "; did you mean " : "", near != NULL ? near : "");
        return EXIT_USAGE;
    }
    if (o->json)
        return print_json(row, 1);
    print_one(row);
    return EXIT_OK;
}
