/* SPDX-License-Identifier: Apache-2.0
 *
 * From a file to a checked struct conf: read it, make a tree of it, walk the tree by the rows of
 * options.def, then let check.c look at it as a whole. Everything that is wrong is told in one go, except
 * that there is nothing more to look at in a file that is not YAML.
 */
#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"
#include "conf/loader.h"
#include "conf/value.h"

/* ---- objects ---- */

static int defaults_set(enum section_id section, void *object)
{
    for (const struct option *o = options; o < options + OPTIONS_COUNT; o++) {
        if (o->section != section)
            continue;
        int r = o->type == TYPE_HANDLER ? defaults_set(SECTION_HANDLER, (char *)object + o->offset)
                                        : value_default(o, object);
        if (r < 0)
            return r;
    }
    return 0;
}

static void object_fini(enum section_id section, void *object)
{
    for (const struct option *o = options; o < options + OPTIONS_COUNT; o++) {
        if (o->section != section)
            continue;
        if (o->type == TYPE_HANDLER)
            object_fini(SECTION_HANDLER, (char *)object + o->offset);
        else
            value_free(o, object);
    }
}

static struct conf *conf_new(void)
{
    struct conf *conf = calloc(1, sizeof *conf);
    if (conf != NULL && defaults_set(SECTION_TOP, &conf->top) < 0)
        conf_free(&conf);
    return conf;
}

static void section_free(enum section_id section, struct conf *conf)
{
    for (size_t i = 0; i < section_count(section, conf); i++) {
        void *object = section_item(section, conf, i);
        object_fini(section, object);
        free(*(char **)object);
    }
    free(section_item(section, conf, 0));
}

void conf_free(struct conf **conf)
{
    if (*conf == NULL)
        return;
    object_fini(SECTION_TOP, &(*conf)->top);
    for (int i = 0; i < SECTIONS_COUNT; i++)
        if (sections[i].key != NULL)
            section_free((enum section_id)i, *conf);
    free(*conf);
    *conf = NULL;
}

/* ---- options ---- */

static struct loaded *loaded_new(struct loader *l, enum section_id section, void *object)
{
    if (l->loaded_count == l->loaded_room) {
        size_t room = l->loaded_room == 0 ? 16 : l->loaded_room * 2;
        struct loaded **loaded = reallocarray(l->loaded, room, sizeof(struct loaded *));
        if (loaded == NULL)
            return NULL;
        l->loaded = loaded;
        l->loaded_room = room;
    }
    struct loaded *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->section = section;
    n->object = object;
    l->loaded[l->loaded_count++] = n;
    return n;
}

/* Candidates for a word that is no option: the section's options, and at the top the sections as well. */
static const char *key_at(const void *ctx, size_t i)
{
    enum section_id section = *(const enum section_id *)ctx;
    for (const struct option *o = options; o < options + OPTIONS_COUNT; o++)
        if (o->section == section && i-- == 0)
            return o->key;
    for (const struct section *s = sections; s < sections + SECTIONS_COUNT; s++)
        if (section == SECTION_TOP && s->key != NULL && i-- == 0)
            return s->key;
    return NULL;
}

static void refuse_key(struct loader *l, const struct loaded *into, const struct node *key)
{
    char suggestion[REPORT_SUGGESTION_BYTES];
    report_suggestion(suggestion, key->text, key_at, &into->section);
    const char *word = sections[into->section].word;
    if (into->section == SECTION_TOP)
        report_error(&l->report, key->place, "unknown section or option \"%.80s\"%s", key->text,
                     suggestion);
    else
        report_error(&l->report, key->place, "unknown option \"%.80s\" of a %s%s", key->text, word,
                     suggestion);
}

static int load_options(struct loader *l, struct loaded *into, const struct node *map);

static int load_handler(struct loader *l, void *object, const struct node *value)
{
    struct loaded *handler = loaded_new(l, SECTION_HANDLER, object);
    if (handler == NULL)
        return PEN_ENOMEM;
    handler->place = value->place;
    int r = load_options(l, handler, value);
    if (r == PEN_ECONFIG)
        handler->options[sections[SECTION_HANDLER].choice].refused =
            true; /* Nothing is known of it. */
    return r;
}

static int load_option(struct loader *l, struct loaded *into, const struct node *key,
                       const struct node *value)
{
    const struct option *o = option_find(into->section, key->text);
    if (o == NULL) {
        refuse_key(l, into, key);
        return 0;
    }
    struct written *written = &into->options[o - options];
    if (written->key != NULL) {
        report_error(&l->report, key->place, "\"%s\" is given twice; the first is in line %u",
                     o->key, written->key->place.line);
        return 0;
    }
    *written = (struct written){ .key = key, .value = value };
    int r = o->type == TYPE_HANDLER ? load_handler(l, (char *)into->object + o->offset, value)
                                    : value_load(&l->report, o, value, into->object);
    if (r == PEN_ECONFIG)
        written->refused = true;
    return r == PEN_ENOMEM ? r : 0;
}

static void check_required(struct loader *l, const struct loaded *into)
{
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const struct option *o = &options[i];
        if (o->section == into->section && o->standard == NULL && into->options[i].key == NULL)
            report_error(&l->report, into->place, "%s \"%.80s\" has no \"%s\"",
                         sections[into->section].word, into->name, o->key);
    }
}

/* The mapping of an object's options. PEN_ECONFIG when it is none. */
static int load_options(struct loader *l, struct loaded *into, const struct node *map)
{
    const char *word = sections[into->section].word;
    size_t count = node_is_null(map) ? 0 : map->count;
    if (!node_is_null(map) && map->kind != NODE_MAP) {
        report_error(&l->report, map->place, "a %s must be a mapping of options, not a %s", word,
                     node_kind_word(map));
        return PEN_ECONFIG;
    }
    for (size_t i = 0; i + 1 < count && !report_full(&l->report); i += 2) {
        int r = load_option(l, into, map->items[i], map->items[i + 1]);
        if (r < 0)
            return r;
    }
    check_required(l, into);
    return 0;
}

/* ---- sections ---- */

static const struct node *first_of(const struct node *map, size_t index)
{
    for (size_t i = 0; i < index; i += 2)
        if (str_equal(map->items[i]->text, map->items[index]->text))
            return map->items[i];
    return NULL;
}

static void check_name(struct loader *l, const struct section *s, const struct node *name)
{
    size_t bytes = strlen(name->text);
    size_t good = strspn(name->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_.-");
    if (bytes == 0)
        report_error(&l->report, name->place, "the name of a %s is empty", s->word);
    else if (bytes > LIMIT_NAME_BYTES)
        report_error(&l->report, name->place, "the name of a %s can have at most %d bytes, not %zu",
                     s->word, LIMIT_NAME_BYTES, bytes);
    else if (good != bytes)
        report_error(&l->report, name->place,
                     "the name of a %s can have letters A-Z a-z, digits, and _ . - only", s->word);
}

/* Element `index` of the section's array, with its defaults and its name. */
static int object_init(enum section_id section, void *object, const char *name)
{
    int r = defaults_set(section, object);
    if (r < 0)
        return r;
    *(char **)object = strdup(name);
    return *(char **)object != NULL ? 0 : PEN_ENOMEM;
}

static int load_object(struct loader *l, enum section_id section, const struct node *name,
                       const struct node *value)
{
    size_t count = section_count(section, l->conf);
    void *object = section_item(section, l->conf, count);
    /* Counted before it is complete, so that what there is of it is freed. */
    count++;
    memcpy((char *)l->conf + sections[section].count_offset, &count, sizeof count);
    int r = object_init(section, object, name->text);
    if (r < 0)
        return r;
    struct loaded *loaded = loaded_new(l, section, object);
    if (loaded == NULL)
        return PEN_ENOMEM;
    loaded->place = name->place;
    loaded->name = name->text;
    check_name(l, &sections[section], name);
    r = load_options(l, loaded, value);
    return r == PEN_ENOMEM ? r : 0;
}

static int load_section(struct loader *l, enum section_id section, const struct node *map)
{
    const struct section *s = &sections[section];
    if (node_is_null(map))
        return 0;
    if (map->kind != NODE_MAP) {
        report_error(&l->report, map->place, "\"%s\" must be a mapping of names, not a %s", s->key,
                     node_kind_word(map));
        return 0;
    }
    void *items = calloc(map->count / 2 + 1, s->bytes);
    if (items == NULL)
        return PEN_ENOMEM;
    memcpy((char *)l->conf + s->items_offset, &items, sizeof items);
    for (size_t i = 0; i + 1 < map->count && !report_full(&l->report); i += 2) {
        const struct node *name = map->items[i], *first = first_of(map, i);
        int r = 0;
        if (first != NULL)
            report_error(&l->report, name->place,
                         "%s \"%.80s\" is defined twice; the first is in line %u", s->word,
                         name->text, first->place.line);
        else
            r = load_object(l, section, name, map->items[i + 1]);
        if (r < 0)
            return r;
    }
    return 0;
}

static enum section_id section_find(const char *key)
{
    int i = 0;
    while (i < SECTIONS_COUNT && (sections[i].key == NULL || !str_equal(sections[i].key, key)))
        i++;
    return (enum section_id)i;
}

static int load_entry(struct loader *l, struct loaded *top, const struct node *map, size_t index)
{
    const struct node *key = map->items[index], *value = map->items[index + 1];
    enum section_id section = section_find(key->text);
    if (section == SECTIONS_COUNT)
        return load_option(l, top, key, value);
    const struct node *first = first_of(map, index);
    if (first == NULL)
        return load_section(l, section, value);
    report_error(&l->report, key->place, "\"%s\" is given twice; the first is in line %u",
                 key->text, first->place.line);
    return 0;
}

static int load_tree(struct loader *l, const struct node *root)
{
    if (root == NULL || node_is_null(root)) {
        report_error(&l->report, (struct place){ 0 }, "the configuration is empty");
        return 0;
    }
    if (root->kind != NODE_MAP) {
        report_error(&l->report, root->place, "the configuration must be a mapping, not a %s",
                     node_kind_word(root));
        return 0;
    }
    struct loaded *top = loaded_new(l, SECTION_TOP, &l->conf->top);
    if (top == NULL)
        return PEN_ENOMEM;
    top->place = root->place;
    for (size_t i = 0; i + 1 < root->count && !report_full(&l->report); i += 2) {
        int r = load_entry(l, top, root, i);
        if (r < 0)
            return r;
    }
    return report_full(&l->report) ? 0 : check_all(l);
}

/* ---- the file ---- */

static int refuse_file(struct loader *l, int error)
{
    report_error(&l->report, (struct place){ 0 }, "cannot be read: %s", strerror(error));
    return -error;
}

static int stream_read(struct loader *l, FILE *in, struct buf *source)
{
    enum { STEP_BYTES = 16 * 1024 };
    size_t n;
    do {
        int r = buf_reserve(source, STEP_BYTES);
        if (r < 0)
            return r;
        n = fread(buf_tail(source), 1, STEP_BYTES, in);
        buf_grew(source, n);
    } while (n > 0 && buf_bytes(source) <= LIMIT_CONFIG_BYTES);
    if (ferror(in))
        return refuse_file(l, errno);
    if (buf_bytes(source) > LIMIT_CONFIG_BYTES) {
        char limit[UNITS_TEXT_BYTES];
        report_error(&l->report, (struct place){ 0 }, "larger than %s",
                     size_format(LIMIT_CONFIG_BYTES, limit));
        return PEN_ECONFIG;
    }
    return 0;
}

static int file_read(struct loader *l, const char *path, struct buf *source)
{
    bool standard_input = str_equal(path, "-");
    FILE *in = standard_input ? stdin : fopen(path, "re");
    if (in == NULL)
        return refuse_file(l, errno);
    int r = stream_read(l, in, source);
    if (!standard_input)
        fclose(in);
    return r;
}

static int load(struct loader *l, const char *path, struct buf *source, struct document *document)
{
    l->conf = conf_new();
    if (l->conf == NULL)
        return PEN_ENOMEM;
    int r = file_read(l, path, source);
    if (r < 0)
        return r;
    l->report.source = (const char *)buf_at(source);
    l->report.source_bytes = buf_bytes(source);
    r = yaml_read(&l->report, document);
    if (r < 0)
        return r;
    r = load_tree(l, document->root);
    if (r == 0 && l->report.errors > 0)
        r = PEN_ECONFIG;
    return r;
}

static void loader_fini(struct loader *l)
{
    for (size_t i = 0; i < l->loaded_count; i++)
        free(l->loaded[i]);
    free(l->loaded);
    conf_free(&l->conf);
    report_fini(&l->report);
}

int conf_load(const char *path, FILE *errors, struct conf **ret_conf)
{
    struct loader l = { 0 };
    struct buf source = { 0 };
    struct document document = { 0 };
    report_init(&l.report, str_equal(path, "-") ? "<stdin>" : path);
    int r = load(&l, path, &source, &document);
    if (r == PEN_ENOMEM)
        l.report.out_of_memory = true;
    else if (l.report.out_of_memory)
        r = PEN_ENOMEM;
    report_write(&l.report, l.conf != NULL ? l.conf->top.max_errors : 1, errors);
    if (r == 0) {
        *ret_conf = l.conf;
        l.conf = NULL;
    }
    loader_fini(&l);
    yaml_free(&document);
    buf_fini(&source);
    return r;
}
