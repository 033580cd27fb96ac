/* SPDX-License-Identifier: Apache-2.0
 *
 * FILE:LINE:COLUMN: error: TEXT, the line of the file, and a caret below the column. A long line is shown
 * from some way before the column, so that the caret stays on the screen.
 */
#include "conf/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/utf8.h"

enum {
    TEXT_BYTES = 512,
    SHOWN_CHARACTERS = 120, /* of a line */
    SHOWN_BEFORE = 60,      /* of these, before the column of a line that is longer */
};

void report_init(struct report *report, const char *file)
{
    *report = (struct report){ .file = file };
}

void report_fini(struct report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->findings[i].text);
    free(report->findings);
    report_init(report, report->file);
}

bool report_full(const struct report *report)
{
    return report->out_of_memory || report->count >= REPORT_FINDINGS_MAX;
}

static bool is_printable(uint32_t point)
{
    return point >= 0x20 && (point < 0x7f || point >= 0xa0);
}

/* Only whole characters that can be printed; the others become question marks. */
static void make_printable(char *text)
{
    size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        uint32_t point = 0;
        size_t bytes = utf8_next(text + at, n - at, &point);
        if (bytes == 0 || !is_printable(point)) {
            memset(text + at, '?', bytes > 0 ? bytes : 1);
            bytes = bytes > 0 ? bytes : 1;
        }
        at += bytes;
    }
}

static bool make_room(struct report *report)
{
    if (report->count < report->room)
        return true;
    size_t room = report->room == 0 ? 16 : report->room * 2;
    struct finding *findings = reallocarray(report->findings, room, sizeof *findings);
    if (findings == NULL)
        return false;
    report->findings = findings;
    report->room = room;
    return true;
}

__attribute__((format(printf, 3, 0))) static void add(struct report *report, struct finding finding,
                                                      const char *format, va_list args)
{
    char text[TEXT_BYTES];
    (void)vsnprintf(text, sizeof text, format, args);
    make_printable(text);
    if (finding.warning)
        report->warnings++;
    else
        report->errors++;
    if (report_full(report))
        return;
    finding.text = strdup(text);
    if (finding.text == NULL || !make_room(report)) {
        free(finding.text);
        report->out_of_memory = true;
        return;
    }
    report->findings[report->count++] = finding;
}

void report_error(struct report *report, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(report, (struct finding){ .place = place }, format, args);
    va_end(args);
}

void report_warning(struct report *report, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(report, (struct finding){ .place = place, .warning = true }, format, args);
    va_end(args);
}

char *report_suggestion(char text[REPORT_SUGGESTION_BYTES], const char *word,
                        const char *(*next)(const void *ctx, size_t i), const void *ctx)
{
    const char *near = str_suggest(word, next, ctx);
    text[0] = '\0';
    if (near != NULL)
        (void)snprintf(text, REPORT_SUGGESTION_BYTES, "; did you mean \"%s\"?", near);
    return text;
}

/* ---- the lines of the file ---- */

struct line {
    const char *at;
    size_t bytes;
};

/* The bytes of a line without its end, which is LF, CR LF or CR as in YAML. */
static size_t line_bytes(const char *at, size_t n)
{
    size_t bytes = 0;
    while (bytes < n && at[bytes] != '\n' && at[bytes] != '\r')
        bytes++;
    return bytes;
}

static bool line_find(const struct report *report, unsigned number, struct line *ret_line)
{
    const char *at = report->source;
    const char *end = at + report->source_bytes;
    if (report->source == NULL || number == 0)
        return false;
    if (report->source_bytes >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3; /* The byte order mark is no column. */
    for (unsigned i = 1;; i++) {
        size_t bytes = line_bytes(at, (size_t)(end - at));
        if (i == number) {
            *ret_line = (struct line){ at, bytes };
            return bytes > 0;
        }
        at += bytes;
        if (at == end)
            return false;
        at += end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 1;
    }
}

struct place report_find(const struct report *report, struct place place, const char *text)
{
    struct line line;
    if (!line_find(report, place.line, &line))
        return place;
    size_t before = utf8_skip(line.at, line.bytes, place.column - 1);
    const char *found = memmem(line.at + before, line.bytes - before, text, strlen(text));
    if (found != NULL)
        place.column = (unsigned)utf8_count(line.at, (size_t)(found - line.at)) + 1;
    return place;
}

/* The part of the line that is shown, and the caret's column in it, from 0. */
static struct line line_window(struct line line, unsigned column, size_t *ret_caret)
{
    size_t characters = utf8_count(line.at, line.bytes);
    size_t caret = column > 0 ? column - 1 : 0;
    if (characters > SHOWN_CHARACTERS && caret > SHOWN_BEFORE) {
        size_t skipped = utf8_skip(line.at, line.bytes, caret - SHOWN_BEFORE);
        line.at += skipped;
        line.bytes -= skipped;
        caret = SHOWN_BEFORE;
    }
    line.bytes = utf8_skip(line.at, line.bytes, SHOWN_CHARACTERS);
    *ret_caret = caret;
    return line;
}

static void line_write(struct line line, unsigned column, FILE *out)
{
    size_t caret;
    line = line_window(line, column, &caret);
    fputs("    ", out);
    for (size_t i = 0; i < line.bytes;) {
        uint32_t point = 0;
        size_t bytes = utf8_next(line.at + i, line.bytes - i, &point);
        bool shown = bytes > 0 && (point == '\t' || is_printable(point));
        fwrite(shown ? line.at + i : "?", 1, shown ? bytes : 1, out);
        i += bytes > 0 ? bytes : 1;
    }
    fputs("\n    ", out);
    /* A tab before the caret stays a tab, so that both lines advance alike. */
    size_t at = 0;
    for (size_t i = 0; i < caret; i++) {
        fputc(at < line.bytes && line.at[at] == '\t' ? '\t' : ' ', out);
        at += utf8_skip(line.at + at, line.bytes - at, 1);
    }
    fputs("^\n", out);
}

/* ---- writing ---- */

static int finding_order(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->place.line != y->place.line)
        return x->place.line < y->place.line ? -1 : 1;
    if (x->place.column != y->place.column)
        return x->place.column < y->place.column ? -1 : 1;
    return strcmp(x->text, y->text);
}

static void finding_write(const struct report *report, const struct finding *f, FILE *out)
{
    struct line line;
    const char *grade = f->warning ? "warning" : "error";
    if (f->place.line == 0) {
        fprintf(out, "%s: %s: %s\n", report->file, grade, f->text);
        return;
    }
    fprintf(out, "%s:%u:%u: %s: %s\n", report->file, f->place.line, f->place.column, grade, f->text);
    if (line_find(report, f->place.line, &line))
        line_write(line, f->place.column, out);
}

static void count_write(const struct report *report, FILE *out)
{
    fprintf(out, "%s: ", report->file);
    if (report->errors > 0)
        fprintf(out, "%s%zu error%s", report->count >= REPORT_FINDINGS_MAX ? "at least " : "",
                report->errors, report->errors == 1 ? "" : "s");
    if (report->errors > 0 && report->warnings > 0)
        fputs(", ", out);
    if (report->warnings > 0)
        fprintf(out, "%zu warning%s", report->warnings, report->warnings == 1 ? "" : "s");
    fputc('\n', out);
}

void report_write(struct report *report, size_t errors_max, FILE *out)
{
    if (report->out_of_memory)
        fprintf(out, "%s: error: out of memory\n", report->file);
    if (report->count == 0)
        return;
    qsort(report->findings, report->count, sizeof *report->findings, finding_order);
    size_t errors = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct finding *f = &report->findings[i];
        errors += !f->warning;
        if (f->warning || errors <= errors_max)
            finding_write(report, f, out);
    }
    if (report->errors > errors_max) {
        size_t left = report->errors - errors_max;
        fprintf(out, "%zu more error%s left out\n", left, left == 1 ? "" : "s");
    }
    count_write(report, out);
}
