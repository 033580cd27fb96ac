/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong with a configuration: collected while it is loaded, written at the end in the order of
 * the file. A report never fails: when memory runs out it says so at the end.
 *
 * One thread.
 */
#ifndef CONF_REPORT_H
#define CONF_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Both from 1, the column in characters; line 0: the file as a whole. */
struct place {
    unsigned line, column;
};

struct finding {
    struct place place;
    bool warning;
    char *text;
};

struct report {
    const char *file;   /* borrowed */
    const char *source; /* borrowed: the text of the file, once it is known */
    size_t source_bytes;
    struct finding *findings;
    size_t count, room;
    size_t errors, warnings;
    bool out_of_memory;
};

enum {
    REPORT_FINDINGS_MAX = 1000, /* the loader gives up when there are more */
    REPORT_SUGGESTION_BYTES = 128,
};

void report_init(struct report *report, const char *file);
void report_fini(struct report *report);

/* Texts are one line: what cannot be printed is replaced, and they are cut at 512 bytes. */
void report_error(struct report *report, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_warning(struct report *report, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* No more findings are kept: there is no use in looking for them. */
bool report_full(const struct report *report);

/* Where text stands in the line of the place, at or behind its column; the place itself when it is not
 * there. */
struct place report_find(const struct report *report, struct place place, const char *text);

/* `; did you mean "x"?` or nothing, for the end of a message. next() gives the words as in str_suggest().
 * Returns text. */
char *report_suggestion(char text[REPORT_SUGGESTION_BYTES], const char *word,
                        const char *(*next)(const void *ctx, size_t i), const void *ctx);

/* All of it, at most errors_max errors, and a last line that counts them; nothing when there is nothing. */
void report_write(struct report *report, size_t errors_max, FILE *out);

#endif
