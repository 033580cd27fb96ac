/* SPDX-License-Identifier: Apache-2.0
 *
 * options.def as data: one row for each option, one for each section, and the words of the enums.
 * Whatever handles options goes through these rows; nothing outside check.c knows one by its name.
 *
 * Constant; any thread.
 */
#ifndef CONF_OPTIONS_H
#define CONF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

enum section_id {
    SECTION_TOP,
    SECTION_QUEUE,
    SECTION_PRODUCER,
    SECTION_CONSUMER,
    SECTION_HANDLER,
    SECTION_PUBLISHER,
    SECTION_WORKERS,
    SECTIONS_COUNT
};

/* OPTION_CONSUMER_dead and so on, in the order of options.def. */
enum option_id {
#define OPT(section, field, key, type, unit, min, max, standard, reload, with, help) \
    OPTION_##section##_##field,
#include "conf/options.def"
#undef OPT
    OPTIONS_COUNT
};

enum option_type {
    TYPE_STRING,
    TYPE_TOPIC,
    TYPE_NAME_OF_QUEUE,
    TYPE_NAME_OF_SINK, /* a publisher or a queue */
    TYPE_LISTEN_ADDRESS,
    TYPE_SIZE,
    TYPE_SPAN,
    TYPE_COUNT,
    TYPE_MODE,
    TYPE_ENUM,
    TYPE_LISTEN_ADDRESSES,
    TYPE_CONNECT_ADDRESSES,
    TYPE_NAMES_OF_QUEUES,
    TYPE_STRINGS,
    TYPE_HANDLER,
    TYPES_COUNT
};

/* A word of an enum. A word with a reason is not one of them, but one that is easily taken for one. */
struct word {
    const char *word; /* NULL at the end */
    int value;
    const char *refused;
};

struct option {
    enum section_id section;
    enum option_type type;
    const struct word *words; /* TYPE_ENUM */
    const char *key, *unit, *help;
    size_t offset; /* of the field in the section's struct */
    uint64_t min, max;
    const char *standard; /* the default as text; NULL: required; "": not set */
    bool reload;
    const char *with; /* words of the section's choice; "": any */
};

struct section {
    const char *key;  /* "queues"; NULL for the top and the handler, which are no lists of names */
    const char *word; /* "queue" */
    size_t bytes;     /* of its struct */
    size_t items_offset, count_offset; /* of its array in struct conf, where there is one */
    enum option_id choice;    /* the option on whose word others depend; OPTIONS_COUNT: none */
    const char *choice_word;  /* what messages call it */
    const char *choice_unset; /* its word when it is not set, or NULL */
};

extern const struct option options[OPTIONS_COUNT];
extern const struct section sections[SECTIONS_COUNT];

bool option_is_list(const struct option *option);
/* How many items a list can have. */
size_t option_items_max(const struct option *option);
/* The option of a section by its key, or NULL. */
const struct option *option_find(enum section_id section, const char *key);
/* Whether the option goes with this word of its section's choice. */
bool option_goes_with(const struct option *option, const char *word);

/* The word of a value, NULL when it has none. */
const char *word_of(const struct word *words, int value);

/* "a, b or c": of the words that are not refused, and of the words the option goes with. Returns text, which
 * is cut when size is too small. */
char *words_list(const struct word *words, char *text, size_t size);
char *option_with_list(const struct option *option, char *text, size_t size);

/* The word of the section's choice in this object, or NULL when nothing is chosen. */
const char *section_choice(enum section_id section, const void *object);

/* The array of a section that is a list of names; its elements begin with their name. */
size_t section_count(enum section_id section, const struct conf *conf);
void *section_item(enum section_id section, const struct conf *conf, size_t index);
const char *section_item_name(enum section_id section, const struct conf *conf, size_t index);

#endif
