/* SPDX-License-Identifier: Apache-2.0
 *
 * A tree from libfyaml's events. Events rather than its documents, because those would copy what an
 * alias names as often as it is named: a file of a few lines could fill the memory. Here an alias is one
 * more pointer to the node, and a node can only be named after it is complete, so there are no circles.
 * Depth, anchors and the entries of a mapping are bounded; the file itself is by whoever reads it.
 *
 * libfyaml counts lines and columns from 0, and a quoted text from behind its quote; we count from 1 and
 * from the quote. Its diagnostics count from 1 already.
 */
#include "conf/yaml.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "conf/utf8.h"

enum {
    DEPTH_MAX = 16, /* three times what any configuration needs */
    ANCHORS_MAX = 256,
};

struct anchor {
    char *name;
    struct node *node;
};

struct reader {
    struct report *report;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_event *event; /* the current one; NULL at the end or after a syntax error */
    struct node *newest;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchors_count;
    unsigned depth;
};

/* ---- events ---- */

static void next(struct reader *r)
{
    fy_parser_event_free(r->parser, r->event);
    r->event = fy_parser_parse(r->parser);
}

static bool at(const struct reader *r, enum fy_event_type type)
{
    return r->event != NULL && r->event->type == type;
}

static struct place place_of(const struct fy_mark *mark)
{
    if (mark == NULL || mark->line < 0)
        return (struct place){ 0 };
    return (struct place){ (unsigned)mark->line + 1, (unsigned)mark->column + 1 };
}

/* What libfyaml found, or what stopped it. */
static int syntax_error(struct reader *r)
{
    void *iterator = NULL;
    const struct fy_diag_error *e;
    bool any = false;
    while ((e = fy_diag_errors_iterate(r->diag, &iterator)) != NULL) {
        struct place place = { 0 };
        if (e->line > 0 && e->column > 0)
            place = (struct place){ (unsigned)e->line, (unsigned)e->column };
        report_error(r->report, place, "YAML: %s", e->msg != NULL ? e->msg : "syntax error");
        any = true;
    }
    if (!any)
        report_error(r->report, (struct place){ 0 }, "YAML: syntax error");
    return PEN_ECONFIG;
}

/* ---- nodes ---- */

static struct node *node_new(struct reader *r, enum node_kind kind)
{
    struct node *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->kind = kind;
    n->place = place_of(fy_event_start_mark(r->event));
    n->older = r->newest;
    r->newest = n;
    return n;
}

static int node_add(struct node *n, struct node *item)
{
    bool full = (n->count & (n->count - 1)) == 0; /* Room doubles at every power of two. */
    if (full) {
        size_t room = n->count == 0 ? 1 : n->count * 2;
        struct node **items = reallocarray(n->items, room, sizeof *items);
        if (items == NULL)
            return PEN_ENOMEM;
        n->items = items;
    }
    n->items[n->count++] = item;
    return 0;
}

bool node_is_null(const struct node *n)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };
    for (size_t i = 0; n->kind == NODE_TEXT && n->plain && i < sizeof words / sizeof words[0]; i++)
        if (str_equal(n->text, words[i]))
            return true;
    return false;
}

const char *node_kind_word(const struct node *n)
{
    return n->kind == NODE_TEXT ? "text" : n->kind == NODE_LIST ? "list" : "mapping";
}

static char *token_copy(struct fy_token *token, size_t *ret_bytes)
{
    size_t bytes = 0;
    const char *text = token != NULL ? fy_token_get_text(token, &bytes) : "";
    *ret_bytes = bytes;
    return text != NULL ? strndup(text, bytes) : NULL;
}

static int text_read(struct reader *r, struct node **ret_node)
{
    struct fy_token *token = r->event->scalar.value;
    struct node *n = node_new(r, NODE_TEXT);
    size_t bytes;
    if (n == NULL || (n->text = token_copy(token, &bytes)) == NULL)
        return PEN_ENOMEM;
    enum fy_scalar_style style = fy_token_scalar_style(token);
    n->plain = style == FYSS_PLAIN;
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && n->place.column > 1)
        n->place.column--;
    if (strlen(n->text) != bytes) {
        report_error(r->report, n->place, "a text cannot have a zero byte");
        return PEN_ECONFIG;
    }
    *ret_node = n;
    next(r);
    return 0;
}

/* ---- anchors and aliases ---- */

static int anchor_add(struct reader *r, char **name, struct node *node)
{
    if (r->anchors_count == ANCHORS_MAX) {
        report_error(r->report, node->place, "more than %d anchors", ANCHORS_MAX);
        return PEN_ECONFIG;
    }
    r->anchors[r->anchors_count++] = (struct anchor){ *name, node };
    *name = NULL;
    return 0;
}

static int alias_read(struct reader *r, struct node **ret_node)
{
    struct place place = place_of(fy_event_start_mark(r->event));
    size_t bytes;
    char *name = token_copy(r->event->alias.anchor, &bytes);
    if (name == NULL)
        return PEN_ENOMEM;
    struct node *found = NULL;
    for (size_t i = r->anchors_count; i > 0 && found == NULL; i--) /* A later one replaces. */
        if (str_equal(r->anchors[i - 1].name, name))
            found = r->anchors[i - 1].node;
    int result = 0;
    if (found == NULL) {
        report_error(r->report, place, "there is no anchor &%s before this", name);
        result = PEN_ECONFIG;
    } else {
        *ret_node = found;
        next(r);
    }
    free(name);
    return result;
}

/* ---- the tree ---- */

static int node_read(struct reader *r, struct node **ret_node);

static int item_read(struct reader *r, struct node *parent)
{
    struct node *item;
    int result = node_read(r, &item);
    if (result < 0)
        return result;
    if (item->place.line == 0) /* An empty value is nowhere; its key is where to look. */
        item->place = parent->count > 0 ? parent->items[parent->count - 1]->place : parent->place;
    bool is_key = parent->kind == NODE_MAP && parent->count % 2 == 0;
    if (is_key && item->kind != NODE_TEXT) {
        report_error(r->report, item->place, "a key must be a text, not a %s", node_kind_word(item));
        return PEN_ECONFIG;
    }
    size_t entries = parent->kind == NODE_MAP ? parent->count / 2 : parent->count;
    if (entries >= LIMIT_CONFIG_ENTRIES && (is_key || parent->kind == NODE_LIST)) {
        report_error(r->report, item->place, "more than %d entries", LIMIT_CONFIG_ENTRIES);
        return PEN_ECONFIG;
    }
    return node_add(parent, item);
}

static int collection_read(struct reader *r, enum node_kind kind, struct node **ret_node)
{
    enum fy_event_type end = kind == NODE_MAP ? FYET_MAPPING_END : FYET_SEQUENCE_END;
    struct node *n = node_new(r, kind);
    if (n == NULL)
        return PEN_ENOMEM;
    if (r->depth == DEPTH_MAX) {
        report_error(r->report, n->place, "nested more than %d deep", DEPTH_MAX);
        return PEN_ECONFIG;
    }
    r->depth++;
    next(r);
    while (r->event != NULL && !at(r, end)) {
        int result = item_read(r, n);
        if (result < 0)
            return result;
    }
    if (r->event == NULL)
        return syntax_error(r);
    r->depth--;
    next(r);
    *ret_node = n;
    return 0;
}

static struct fy_token *anchor_of(const struct fy_event *e)
{
    switch (e->type) {
    case FYET_SCALAR:
        return e->scalar.anchor;
    case FYET_SEQUENCE_START:
        return e->sequence_start.anchor;
    case FYET_MAPPING_START:
        return e->mapping_start.anchor;
    default:
        return NULL;
    }
}

static int content_read(struct reader *r, struct node **ret_node)
{
    switch (r->event->type) {
    case FYET_SCALAR:
        return text_read(r, ret_node);
    case FYET_ALIAS:
        return alias_read(r, ret_node);
    case FYET_SEQUENCE_START:
        return collection_read(r, NODE_LIST, ret_node);
    case FYET_MAPPING_START:
        return collection_read(r, NODE_MAP, ret_node);
    default:
        return syntax_error(r);
    }
}

static int node_read(struct reader *r, struct node **ret_node)
{
    struct fy_token *token = anchor_of(r->event);
    char *anchor = NULL;
    size_t bytes;
    if (token != NULL && (anchor = token_copy(token, &bytes)) == NULL)
        return PEN_ENOMEM;
    struct node *n;
    int result = content_read(r, &n);
    if (result == 0 && anchor != NULL)
        result = anchor_add(r, &anchor, n);
    free(anchor);
    if (result == 0)
        *ret_node = n;
    return result;
}

static int document_read(struct reader *r, struct node **ret_root)
{
    struct node *root = NULL;
    next(r);
    if (at(r, FYET_STREAM_START))
        next(r);
    if (at(r, FYET_DOCUMENT_START)) {
        next(r);
        int result = r->event != NULL ? node_read(r, &root) : syntax_error(r);
        if (result < 0)
            return result;
        if (at(r, FYET_DOCUMENT_END))
            next(r);
    }
    if (at(r, FYET_DOCUMENT_START)) {
        report_error(r->report, place_of(fy_event_start_mark(r->event)),
                     "a second document: there can be only one");
        return PEN_ECONFIG;
    }
    if (!at(r, FYET_STREAM_END))
        return syntax_error(r);
    *ret_root = root;
    return 0;
}

/* ---- the text ---- */

/* libfyaml's own complaint about such bytes does not say where they are. */
static int utf8_check(struct report *report)
{
    size_t valid = utf8_valid_bytes(report->source, report->source_bytes);
    const char *zero = memchr(report->source, '\0', valid);
    size_t bad = zero != NULL ? (size_t)(zero - report->source) : valid;
    if (bad == report->source_bytes)
        return 0;
    struct place place = { 1, 1 };
    size_t line_start = 0;
    for (size_t i = 0; i < bad; i++) {
        if (report->source[i] == '\n') {
            place.line++;
            line_start = i + 1;
        }
    }
    place.column = (unsigned)utf8_count(report->source + line_start, bad - line_start) + 1;
    report_error(report, place, "byte 0x%02x is no text in UTF-8",
                 (unsigned char)report->source[bad]);
    return PEN_ECONFIG;
}

static void reader_fini(struct reader *r)
{
    for (size_t i = 0; i < r->anchors_count; i++)
        free(r->anchors[i].name);
    if (r->parser != NULL) {
        fy_parser_event_free(r->parser, r->event);
        fy_parser_destroy(r->parser);
    }
    fy_diag_destroy(r->diag);
}

static int reader_init(struct reader *r, struct report *report)
{
    struct fy_diag_cfg diag;
    fy_diag_cfg_default(&diag);
    diag.fp = NULL;
    diag.level = FYET_ERROR;
    *r = (struct reader){ .report = report, .diag = fy_diag_create(&diag) };
    if (r->diag == NULL)
        return PEN_ENOMEM;
    fy_diag_set_collect_errors(r->diag, true);
    struct fy_parse_cfg config = {
        .search_path = "",
        .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = r->diag,
    };
    r->parser = fy_parser_create(&config);
    if (r->parser == NULL ||
        fy_parser_set_string(r->parser, report->source, report->source_bytes) != 0)
        return PEN_ENOMEM;
    return 0;
}

int yaml_read(struct report *report, struct document *ret_document)
{
    struct reader *r = NULL;
    struct document document = { 0 };
    int result = utf8_check(report);
    if (result < 0 || report->source_bytes == 0)
        goto done;
    r = malloc(sizeof *r);
    result = r != NULL ? reader_init(r, report) : PEN_ENOMEM;
    if (result == 0)
        result = document_read(r, &document.root);
done:
    if (r != NULL) {
        document.newest = r->newest;
        reader_fini(r);
        free(r);
    }
    if (result < 0)
        yaml_free(&document);
    else
        *ret_document = document;
    return result;
}

void yaml_free(struct document *document)
{
    struct node *n = document->newest;
    while (n != NULL) {
        struct node *older = n->older;
        free(n->text);
        free(n->items);
        free(n);
        n = older;
    }
    *document = (struct document){ 0 };
}
