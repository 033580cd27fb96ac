/* SPDX-License-Identifier: Apache-2.0
 *
 * options.def for people and editors: the lists of options in penstock.yaml(5), and a JSON Schema.
 */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "conf/options.h"
#include "conf/value.h"

static int finish(FILE *out)
{
    errno = 0;
    if (fflush(out) != 0 || ferror(out))
        return errno > 0 ? -errno : -EIO;
    return 0;
}

static bool is_number(const struct option *o)
{
    return o->type == TYPE_SIZE || o->type == TYPE_SPAN || o->type == TYPE_COUNT ||
           o->type == TYPE_MODE;
}

/* ---- mdoc ---- */

enum { MDOC_LINE = 78 };

/* A sentence, broken at blanks, with what roff would take for its own made harmless. */
static void mdoc_text(const char *text, FILE *out)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0) {
            bool wrap = column + 1 + word > MDOC_LINE;
            fputc(wrap ? '\n' : ' ', out);
            column = wrap ? 0 : column + 1;
        }
        if (column == 0 && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        for (size_t i = 0; i < word; i++) {
            if (text[i] == '\\')
                fputs("\\e", out);
            else if (text[i] == '"')
                fputs("\\(dq", out);
            else
                fputc(text[i], out);
        }
        column += word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', out);
}

/* What stands for the value in the heading of an option; these are the words that the page explains. */
static void mdoc_argument(const struct option *o, FILE *out)
{
    static const char *const arguments[TYPES_COUNT] = {
        [TYPE_STRING] = "text",
        [TYPE_TOPIC] = "template",
        [TYPE_NAME_OF_QUEUE] = "queue",
        [TYPE_NAME_OF_SINK] = "publisher",
        [TYPE_LISTEN_ADDRESS] = "address",
        [TYPE_SIZE] = "size",
        [TYPE_SPAN] = "time",
        [TYPE_COUNT] = "number",
        [TYPE_MODE] = "octal mode",
        [TYPE_LISTEN_ADDRESSES] = "addresses",
        [TYPE_CONNECT_ADDRESSES] = "addresses",
        [TYPE_NAMES_OF_QUEUES] = "queues",
        [TYPE_STRINGS] = "list",
        [TYPE_HANDLER] = "handler",
    };
    if (o->type != TYPE_ENUM) {
        fprintf(out, " Ar %s", arguments[o->type]);
        return;
    }
    for (const struct word *w = o->words; w->word != NULL; w++)
        if (w->refused == NULL)
            fprintf(out, "%s Cm %s", w == o->words ? "" : " |", w->word);
}

static void mdoc_default(const struct option *o, FILE *out)
{
    char range[2 * VALUE_TEXT_BYTES + 32], min[VALUE_TEXT_BYTES], max[VALUE_TEXT_BYTES];
    if (o->standard == NULL)
        fputs("Required.\n", out);
    if (o->standard == NULL || o->standard[0] == '\0')
        return;
    bool delimiter = strchr(".,:;()[]?!|", o->standard[0]) != NULL;
    fprintf(out, "Default:\n.Li %s%s %c\n", delimiter ? "\\&" : "", o->standard,
            is_number(o) ? ',' : '.');
    if (!is_number(o))
        return;
    (void)snprintf(range, sizeof range, "from %s to %s.", value_format_number(o, o->min, min),
                   value_format_number(o, o->max, max));
    mdoc_text(range, out);
}

static void mdoc_option(const struct option *o, FILE *out)
{
    char sentence[512], list[128];
    fprintf(out, ".It Ic %s :", o->key);
    mdoc_argument(o, out);
    fputc('\n', out);
    (void)snprintf(sentence, sizeof sentence, "%s.", o->help);
    mdoc_text(sentence, out);
    mdoc_default(o, out);
    if (o->with[0] != '\0') {
        (void)snprintf(sentence, sizeof sentence, "Only with %s %s.",
                       sections[o->section].choice_word, option_with_list(o, list, sizeof list));
        mdoc_text(sentence, out);
    }
    if (o->reload)
        mdoc_text("May change on reload.", out);
}

int conf_write_mdoc(FILE *out)
{
    static const char *const titles[SECTIONS_COUNT] = {
        [SECTION_TOP] = "Top level",      [SECTION_QUEUE] = "Queues",
        [SECTION_PRODUCER] = "Producers", [SECTION_CONSUMER] = "Consumers",
        [SECTION_HANDLER] = "handler",    [SECTION_PUBLISHER] = "Publishers",
        [SECTION_WORKERS] = "Workers",
    };
    for (int s = 0; s < SECTIONS_COUNT; s++) {
        fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", titles[s]);
        for (const struct option *o = options; o < options + OPTIONS_COUNT; o++)
            if ((int)o->section == s)
                mdoc_option(o, out);
        fputs(".El\n", out);
    }
    return finish(out);
}

/* ---- JSON Schema ---- */

#define VARIABLE "\\\\$\\\\{" /* "\\$\\{" in JSON: a text with a variable may be any value */

static void json_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void json_words(const struct word *words, FILE *out)
{
    bool first = true;
    for (; words->word != NULL; words++) {
        if (words->refused != NULL)
            continue;
        fputs(first ? "" : ", ", out);
        json_text(words->word, out);
        first = false;
    }
}

/* The members of an option's schema that depend on its type. */
static void json_type(const struct option *o, FILE *out)
{
    unsigned long long min = o->min, max = o->max;
    switch (o->type) {
    case TYPE_SIZE:
        fputs("\"type\": [\"string\", \"integer\"], \"pattern\": "
              "\"^[0-9]+(\\\\.[0-9]+)?(B|KiB|MiB|GiB|TiB)$|^0$|" VARIABLE "\", \"maximum\": 0",
              out);
        break;
    case TYPE_SPAN:
        fputs("\"type\": [\"string\", \"integer\"], \"pattern\": "
              "\"^([0-9]+(\\\\.[0-9]+)?(d|h|m|s|ms|us|ns))+$|^0$|" VARIABLE "\", \"maximum\": 0",
              out);
        break;
    case TYPE_COUNT:
        fprintf(out,
                "\"type\": [\"integer\", \"string\"], \"minimum\": %llu, \"maximum\": %llu, "
                "\"pattern\": \"^[0-9]+$|" VARIABLE "\"",
                min, max);
        break;
    case TYPE_MODE:
        fputs("\"type\": [\"string\", \"integer\"], \"pattern\": \"^(0o)?[0-7]+$|" VARIABLE "\"",
              out);
        break;
    case TYPE_ENUM:
        fputs("\"anyOf\": [{\"enum\": [", out);
        json_words(o->words, out);
        fputs("]}, {\"type\": \"string\", \"pattern\": \"" VARIABLE "\"}]", out);
        break;
    case TYPE_LISTEN_ADDRESSES:
    case TYPE_CONNECT_ADDRESSES:
    case TYPE_NAMES_OF_QUEUES:
    case TYPE_STRINGS:
        fprintf(out,
                "\"type\": [\"string\", \"array\"], \"items\": {\"type\": [\"string\", \"number\", "
                "\"boolean\"]}, \"maxItems\": %zu",
                option_items_max(o));
        break;
    case TYPE_HANDLER:
        fputs("\"$ref\": \"#/$defs/handler\"", out);
        break;
    default:
        fputs("\"type\": \"string\"", out);
        break;
    }
}

static void json_option(const struct option *o, const char *indent, FILE *out)
{
    fprintf(out, "%s\"%s\": {\"description\": ", indent, o->key);
    json_text(o->help, out);
    fputs(", ", out);
    json_type(o, out);
    if (o->standard != NULL && o->standard[0] != '\0') {
        fputs(", \"default\": ", out);
        if (o->type == TYPE_COUNT)
            fputs(o->standard, out);
        else
            json_text(o->standard, out);
    }
    fputc('}', out);
}

static void json_options(enum section_id section, const char *indent, FILE *out)
{
    bool first = true;
    for (const struct option *o = options; o < options + OPTIONS_COUNT; o++) {
        if (o->section != section)
            continue;
        fputs(first ? "\n" : ",\n", out);
        json_option(o, indent, out);
        first = false;
    }
}

/* "required": [...], or nothing. */
static bool json_required(enum section_id section, FILE *out)
{
    bool any = false;
    for (const struct option *o = options; o < options + OPTIONS_COUNT; o++) {
        if (o->section != section || o->standard != NULL)
            continue;
        fputs(any ? ", " : "      \"required\": [", out);
        json_text(o->key, out);
        any = true;
    }
    if (any)
        fputs("],\n", out);
    return any;
}

static void json_definition(enum section_id section, FILE *out)
{
    fprintf(out, "    \"%s\": {\n", sections[section].word);
    bool required = json_required(section, out);
    fprintf(out, "      \"type\": %s,\n", required ? "\"object\"" : "[\"object\", \"null\"]");
    fputs("      \"additionalProperties\": false,\n      \"properties\": {", out);
    json_options(section, "        ", out);
    fputs("\n      }\n    }", out);
}

static void json_sections(FILE *out)
{
    for (int s = 0; s < SECTIONS_COUNT; s++) {
        if (sections[s].key == NULL)
            continue;
        fprintf(out,
                ",\n    \"%s\": {\"type\": [\"object\", \"null\"], \"maxProperties\": %d, "
                "\"propertyNames\": {\"pattern\": \"^[A-Za-z0-9_.-]{1,%d}$\"}, "
                "\"additionalProperties\": {\"$ref\": \"#/$defs/%s\"}}",
                sections[s].key, LIMIT_CONFIG_ENTRIES, LIMIT_NAME_BYTES, sections[s].word);
    }
}

int conf_write_schema(FILE *out)
{
    fputs("{\n"
          "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
          "  \"title\": \"penstock.yaml\",\n"
          "  \"type\": \"object\",\n"
          "  \"additionalProperties\": false,\n"
          "  \"properties\": {",
          out);
    json_options(SECTION_TOP, "    ", out);
    json_sections(out);
    fputs("\n  },\n  \"$defs\": {\n", out);
    bool first = true;
    for (int s = 0; s < SECTIONS_COUNT; s++) {
        if (s == SECTION_TOP)
            continue;
        fputs(first ? "" : ",\n", out);
        json_definition((enum section_id)s, out);
        first = false;
    }
    fputs("\n  }\n}\n", out);
    return finish(out);
}
