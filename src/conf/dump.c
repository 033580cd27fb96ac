/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration back to YAML: every option that goes with what was chosen. A text stands plain only where
 * no reader of YAML could take it for anything else; otherwise it is quoted, with dollars doubled, so
 * that what is loaded again is the same.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "conf/options.h"
#include "conf/utf8.h"
#include "conf/value.h"

static bool is_plain_byte(char c)
{
    return isalnum((unsigned char)c) || strchr("_./:*-", c) != NULL;
}

/* Begins with a letter or a slash, has nothing that means something, and is no word that some reader takes
 * for a truth value or nothing. */
static bool is_plain(const char *text)
{
    static const char *const taken[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n" };
    size_t n = strlen(text);
    if (n == 0 || (!isalpha((unsigned char)text[0]) && text[0] != '/') || text[n - 1] == ':')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_plain_byte(text[i]))
            return false;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcasecmp(text, taken[i]) == 0)
            return false;
    return true;
}

static bool is_printable(uint32_t point)
{
    return point >= 0xa0 && point != 0x2028 && point != 0x2029 && point != 0xfeff &&
           point != 0xfffe && point != 0xffff;
}

/* One character inside double quotes. */
static void character_write(const char *at, size_t bytes, uint32_t point, FILE *out)
{
    if (point == '"' || point == '\\')
        fprintf(out, "\\%c", (char)point);
    else if (point == '$')
        fputs("$$", out);
    else if ((point >= ' ' && point < 0x7f) || is_printable(point))
        fwrite(at, 1, bytes, out);
    else if (point <= 0xffff)
        fprintf(out, "\\u%04x", (unsigned)point);
    else
        fprintf(out, "\\U%08x", (unsigned)point);
}

static void text_write(const char *text, FILE *out)
{
    size_t n = strlen(text);
    if (is_plain(text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (size_t at = 0; at < n;) {
        uint32_t point = 0xfffd;
        size_t bytes = utf8_next(text + at, n - at, &point);
        character_write(text + at, bytes, point, out);
        at += bytes > 0 ? bytes : 1; /* A loaded configuration has UTF-8 only. */
    }
    fputc('"', out);
}

static void list_write(const struct conf_strings *list, FILE *out)
{
    fputc('[', out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        text_write(list->at[i], out);
    }
    fputc(']', out);
}

static void options_write(enum section_id section, const void *object, int indent, FILE *out);

static void value_write(const struct option *o, const void *object, int indent, FILE *out)
{
    const void *field = (const char *)object + o->offset;
    char text[VALUE_TEXT_BYTES];
    const char *string;
    switch (o->type) {
    case TYPE_HANDLER:
        fputc('\n', out);
        options_write(SECTION_HANDLER, field, indent + 2, out);
        return;
    case TYPE_LISTEN_ADDRESSES:
    case TYPE_CONNECT_ADDRESSES:
    case TYPE_NAMES_OF_QUEUES:
    case TYPE_STRINGS:
        fputc(' ', out);
        list_write(field, out);
        break;
    case TYPE_STRING:
    case TYPE_TOPIC:
    case TYPE_NAME_OF_QUEUE:
    case TYPE_NAME_OF_SINK:
    case TYPE_LISTEN_ADDRESS:
        string = *(char *const *)field;
        fputc(' ', out);
        text_write(string != NULL ? string : "", out);
        break;
    default:
        fprintf(out, " %s", value_format(o, object, text));
        break;
    }
    fputc('\n', out);
}

/* An enum without a value: the builtin of a handler that is a program. */
static bool is_unset_enum(const struct option *o, const void *object)
{
    char text[VALUE_TEXT_BYTES];
    return o->type == TYPE_ENUM && value_format(o, object, text)[0] == '\0';
}

static void options_write(enum section_id section, const void *object, int indent, FILE *out)
{
    const char *choice = section_choice(section, object);
    for (const struct option *o = options; o < options + OPTIONS_COUNT; o++) {
        bool other = choice != NULL && !option_goes_with(o, choice);
        if (o->section != section || other || is_unset_enum(o, object))
            continue;
        fprintf(out, "%*s%s:", indent, "", o->key);
        value_write(o, object, indent, out);
    }
}

int conf_dump(const struct conf *conf, FILE *out)
{
    options_write(SECTION_TOP, &conf->top, 0, out);
    for (int i = 0; i < SECTIONS_COUNT; i++) {
        enum section_id section = (enum section_id)i;
        if (sections[i].key == NULL || section_count(section, conf) == 0)
            continue;
        fprintf(out, "\n%s:\n", sections[i].key);
        for (size_t k = 0; k < section_count(section, conf); k++) {
            fputs("  ", out);
            text_write(section_item_name(section, conf, k), out);
            fputs(":\n", out);
            options_write(section, section_item(section, conf, k), 4, out);
        }
    }
    errno = 0;
    if (fflush(out) != 0 || ferror(out))
        return errno > 0 ? -errno : -EIO;
    return 0;
}
