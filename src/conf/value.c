/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts to values and back, by type. A parser leaves its field alone when it refuses.
 */
#include "conf/value.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "conf/address.h"
#include "conf/expand.h"

const char *const topic_placeholders[] = { "queue", "consumer", "id", "key", NULL };

/* One value on its way in. */
struct value {
    struct report *report;
    const struct option *option;
    struct place place;
    const char *text;
};

static int refuse_range(const struct value *v)
{
    const struct option *o = v->option;
    char min[VALUE_TEXT_BYTES], max[VALUE_TEXT_BYTES];
    report_error(v->report, v->place, "\"%s\" must be from %s to %s, not %.60s", o->key,
                 value_format_number(o, o->min, min), value_format_number(o, o->max, max), v->text);
    return PEN_ECONFIG;
}

/* ---- numbers ---- */

static bool is_bare_number(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789.")] == '\0';
}

/* The common end of sizes, spans and counts. */
static int take_number(const struct value *v, int result, uint64_t number, uint64_t *ret_number)
{
    static const char *const units[TYPES_COUNT] = {
        [TYPE_SIZE] = "B, KiB, MiB, GiB or TiB",
        [TYPE_SPAN] = "ns, us, ms, s, m, h or d",
    };
    const struct option *o = v->option;
    if (result == PEN_ETOOBIG || (result == 0 && (number < o->min || number > o->max)))
        return refuse_range(v);
    if (result == 0) {
        *ret_number = number;
        return 0;
    }
    char standard[VALUE_TEXT_BYTES];
    (void)str_copy(standard, sizeof standard, o->standard);
    if (units[o->type] == NULL)
        report_error(v->report, v->place, "\"%s\" must be a whole number such as %s, not \"%.60s\"",
                     o->key, standard, v->text);
    else if (is_bare_number(v->text))
        report_error(v->report, v->place, "\"%s\" needs a unit (%s), such as %s", o->key,
                     units[o->type], standard);
    else
        report_error(v->report, v->place,
                     "\"%s\" must be a number with a unit (%s), such as %s, not \"%.60s\"", o->key,
                     units[o->type], standard, v->text);
    return PEN_ECONFIG;
}

static int parse_size(const struct value *v, void *field)
{
    uint64_t bytes = 0;
    int r = size_parse(v->text, &bytes);
    return take_number(v, r, bytes, field);
}

static int parse_span(const struct value *v, void *field)
{
    span_t span = { 0 };
    uint64_t ns;
    int r = span_parse(v->text, &span);
    r = take_number(v, r, (uint64_t)span.ns, &ns);
    if (r == 0)
        *(span_t *)field = (span_t){ (int64_t)ns };
    return r;
}

static int parse_count(const struct value *v, void *field)
{
    uint64_t number = 0;
    int r = number_parse(v->text, &number);
    return take_number(v, r, number, field);
}

static int parse_mode(const struct value *v, void *field)
{
    const char *digits = v->text + (str_starts(v->text, "0o") ? 2 : 0);
    unsigned mode = 0;
    size_t n = strspn(digits, "01234567");
    if (n == 0 || digits[n] != '\0') {
        report_error(v->report, v->place,
                     "\"%s\" must be a file mode in octal such as %s, not \"%.60s\"",
                     v->option->key, v->option->standard, v->text);
        return PEN_ECONFIG;
    }
    for (; *digits != '\0' && mode <= v->option->max; digits++)
        mode = mode * 8 + (unsigned)(*digits - '0');
    if (mode < v->option->min || mode > v->option->max)
        return refuse_range(v);
    *(unsigned *)field = mode;
    return 0;
}

/* ---- words ---- */

/* Candidate i for a suggestion: refused words are none. */
static const char *word_at(const void *ctx, size_t i)
{
    for (const struct word *w = ctx; w->word != NULL; w++)
        if (w->refused == NULL && i-- == 0)
            return w->word;
    return NULL;
}

static int parse_enum(const struct value *v, void *field)
{
    char list[256], suggestion[REPORT_SUGGESTION_BYTES];
    const struct option *o = v->option;
    const struct word *w = o->words;
    while (w->word != NULL && !str_equal(w->word, v->text))
        w++;
    if (w->word != NULL && w->refused == NULL) {
        *(unsigned *)field = (unsigned)w->value;
        return 0;
    }
    words_list(o->words, list, sizeof list);
    if (w->word != NULL)
        report_error(v->report, v->place, "\"%s\" must be %s: %s", o->key, list, w->refused);
    else
        report_error(v->report, v->place, "\"%s\" must be %s, not \"%.60s\"%s", o->key, list,
                     v->text, report_suggestion(suggestion, v->text, word_at, o->words));
    return PEN_ECONFIG;
}

/* ---- texts ---- */

static int check_length(const struct value *v)
{
    const struct option *o = v->option;
    size_t bytes = strlen(v->text);
    if (bytes >= o->min && bytes <= o->max)
        return 0;
    if (bytes < o->min)
        report_error(v->report, v->place, "\"%s\" must not be empty", o->key);
    else
        report_error(v->report, v->place, "\"%s\" can have at most %llu bytes, not %zu", o->key,
                     (unsigned long long)o->max, bytes);
    return PEN_ECONFIG;
}

static const char *placeholder_at(const void *ctx, size_t i)
{
    return ((const char *const *)ctx)[i];
}

/* at points to a brace. Returns the bytes of the placeholder with its braces, or 0 when it is reported. */
static size_t check_placeholder(const struct value *v, const char *at)
{
    char word[64], suggestion[REPORT_SUGGESTION_BYTES];
    size_t bytes = strcspn(at + 1, "{}");
    if (at[1 + bytes] != '}') {
        report_error(v->report, report_find(v->report, v->place, "{"),
                     "\"%s\" has a { without its }", v->option->key);
        return 0;
    }
    (void)snprintf(word, sizeof word, "%.*s", (int)bytes, at + 1);
    for (size_t i = 0; topic_placeholders[i] != NULL; i++)
        if (strlen(topic_placeholders[i]) == bytes && str_equal(topic_placeholders[i], word))
            return bytes + 2;
    report_suggestion(suggestion, word, placeholder_at, topic_placeholders);
    char needle[sizeof word + 1];
    (void)snprintf(needle, sizeof needle, "{%s", word);
    report_error(v->report, report_find(v->report, v->place, needle),
                 "\"%s\" has an unknown placeholder {%s}: it can be {queue}, {consumer}, {id} or {key}%s",
                 v->option->key, word, suggestion);
    return 0;
}

static int check_topic(const struct value *v)
{
    for (const char *at = strchr(v->text, '{'); at != NULL; at = strchr(at, '{')) {
        size_t bytes = check_placeholder(v, at);
        if (bytes == 0)
            return PEN_ECONFIG;
        at += bytes;
    }
    return 0;
}

static int check_address(const struct value *v)
{
    char reason[ADDRESS_REASON_BYTES];
    struct address address;
    bool listen = v->option->type != TYPE_CONNECT_ADDRESSES;
    if (address_parse(v->text, listen, &address, reason) == 0)
        return 0;
    report_error(v->report, v->place, "\"%s\": %s", v->option->key, reason);
    return PEN_ECONFIG;
}

/* What a text must be beyond its length. */
static int check_text(const struct value *v)
{
    switch (v->option->type) {
    case TYPE_TOPIC:
        return check_topic(v);
    case TYPE_LISTEN_ADDRESS:
    case TYPE_LISTEN_ADDRESSES:
    case TYPE_CONNECT_ADDRESSES:
        return check_address(v);
    default:
        return 0;
    }
}

static int take_text(const struct value *v, char **ret_text)
{
    int r = check_length(v);
    if (r == 0)
        r = check_text(v);
    if (r < 0)
        return r;
    char *copy = strdup(v->text);
    if (copy == NULL)
        return PEN_ENOMEM;
    *ret_text = copy;
    return 0;
}

/* A text whose default is "" is not set by an empty one. */
static int parse_text(const struct value *v, void *field)
{
    char *text = NULL;
    bool unset = v->text[0] == '\0' && v->option->standard != NULL && v->option->standard[0] == '\0';
    int r = unset ? 0 : take_text(v, &text);
    if (r < 0)
        return r;
    free(*(char **)field);
    *(char **)field = text;
    return 0;
}

/* ---- one value ---- */

static int (*const parsers[TYPES_COUNT])(const struct value *v, void *field) = {
    [TYPE_STRING] = parse_text,         [TYPE_TOPIC] = parse_text,
    [TYPE_NAME_OF_QUEUE] = parse_text,  [TYPE_NAME_OF_SINK] = parse_text,
    [TYPE_LISTEN_ADDRESS] = parse_text, [TYPE_SIZE] = parse_size,
    [TYPE_SPAN] = parse_span,           [TYPE_COUNT] = parse_count,
    [TYPE_MODE] = parse_mode,           [TYPE_ENUM] = parse_enum,
};

static void *field_of(const struct option *option, void *object)
{
    return (char *)object + option->offset;
}

/* The text of a node with its variables filled in. */
static int node_text(const struct value *v, const struct node *node, char **ret_text)
{
    if (node->kind != NODE_TEXT) {
        report_error(v->report, node->place, "\"%s\" must be a single value, not a %s",
                     v->option->key, node_kind_word(node));
        return PEN_ECONFIG;
    }
    if (node_is_null(node)) {
        report_error(v->report, node->place, "\"%s\" has no value", v->option->key);
        return PEN_ECONFIG;
    }
    return expand(v->report, node->place, node->text, ret_text);
}

static int load_single(struct value *v, const struct node *node, void *field)
{
    char *text;
    int r = node_text(v, node, &text);
    if (r < 0)
        return r;
    v->text = text;
    check(parsers[v->option->type] != NULL);
    r = parsers[v->option->type](v, field);
    free(text);
    return r;
}

/* ---- lists ---- */

static void strings_free(struct conf_strings *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->at[i]);
    free(s->at);
    *s = (struct conf_strings){ 0 };
}

static int load_item(struct value *v, const struct node *node, struct conf_strings *list)
{
    char *text;
    v->place = node->place;
    int r = node_text(v, node, &text);
    if (r < 0)
        return r;
    v->text = text;
    r = take_text(v, &list->at[list->count]);
    if (r == 0)
        list->count++;
    free(text);
    return r;
}

static int load_items(struct value *v, const struct node *const *items, size_t count,
                      struct conf_strings *list)
{
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        int r = load_item(v, items[i], list);
        if (r == PEN_ENOMEM)
            return r;
        if (r < 0)
            result = r; /* Go on: each bad item is told. */
    }
    return result;
}

static int load_list(struct value *v, const struct node *node, struct conf_strings *field)
{
    const struct node *const *items = (const struct node *const *)node->items;
    size_t count = node->count;
    if (node->kind == NODE_MAP) {
        report_error(v->report, node->place,
                     "\"%s\" must be a single value or a list, not a mapping", v->option->key);
        return PEN_ECONFIG;
    }
    if (node->kind == NODE_TEXT) {
        items = &node;
        count = node->plain || node->text[0] != '\0' ? 1 : 0; /* "" is not set. */
    }
    if (count > option_items_max(v->option)) {
        report_error(v->report, node->place, "\"%s\" can have at most %zu items, not %zu",
                     v->option->key, option_items_max(v->option), count);
        return PEN_ECONFIG;
    }
    struct conf_strings list = { 0 };
    int r = 0;
    if (count > 0) {
        list.at = calloc(count + 1, sizeof *list.at);
        r = list.at != NULL ? load_items(v, items, count, &list) : PEN_ENOMEM;
    }
    if (r < 0) {
        strings_free(&list);
        return r;
    }
    strings_free(field);
    *field = list;
    return 0;
}

/* ---- for the loader ---- */

int value_load(struct report *report, const struct option *option, const struct node *node,
               void *object)
{
    struct value v = { .report = report, .option = option, .place = node->place };
    void *field = field_of(option, object);
    check(option->type != TYPE_HANDLER);
    if (option_is_list(option))
        return load_list(&v, node, field);
    return load_single(&v, node, field);
}

int value_default(const struct option *option, void *object)
{
    if (option->standard == NULL || option->standard[0] == '\0')
        return 0;
    struct report report;
    report_init(&report, "options.def");
    struct value v = { .report = &report, .option = option, .text = option->standard };
    check(parsers[option->type] != NULL);
    int r = parsers[option->type](&v, field_of(option, object));
    check(r == 0 || r == PEN_ENOMEM);
    report_fini(&report);
    return r;
}

void value_free(const struct option *option, void *object)
{
    void *field = field_of(option, object);
    if (option_is_list(option)) {
        strings_free(field);
    } else if (parsers[option->type] == parse_text) {
        free(*(char **)field);
        *(char **)field = NULL;
    }
}

/* ---- back to text ---- */

char *value_format_number(const struct option *option, uint64_t value, char text[VALUE_TEXT_BYTES])
{
    switch (option->type) {
    case TYPE_SIZE:
        return size_format(value, text);
    case TYPE_SPAN:
        return span_format((span_t){ (int64_t)value }, text);
    case TYPE_MODE:
        (void)snprintf(text, VALUE_TEXT_BYTES, "%04llo", (unsigned long long)value);
        return text;
    default:
        (void)snprintf(text, VALUE_TEXT_BYTES, "%llu", (unsigned long long)value);
        return text;
    }
}

char *value_format(const struct option *option, const void *object, char text[VALUE_TEXT_BYTES])
{
    const void *field = (const char *)object + option->offset;
    const char *word;
    switch (option->type) {
    case TYPE_SPAN:
        return span_format(*(const span_t *)field, text);
    case TYPE_MODE:
        return value_format_number(option, *(const unsigned *)field, text);
    case TYPE_ENUM:
        word = word_of(option->words, (int)*(const unsigned *)field);
        (void)str_copy(text, VALUE_TEXT_BYTES, word != NULL ? word : "");
        return text;
    default:
        check(option->type == TYPE_SIZE || option->type == TYPE_COUNT);
        return value_format_number(option, *(const uint64_t *)field, text);
    }
}
