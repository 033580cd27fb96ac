/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables behind options.h.
 */
#include "conf/options.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

/* ---- words ---- */

static const struct word words_when_full[] = {
    { "block", WHEN_FULL_BLOCK, NULL },
    { "reject", WHEN_FULL_REJECT, NULL },
    { "drop_oldest", WHEN_FULL_DROP_OLDEST, NULL },
    { "drop_newest", WHEN_FULL_DROP_NEWEST, NULL },
    { "drop_lowest", WHEN_FULL_DROP_LOWEST, NULL },
    { 0 },
};

static const struct word words_store[] = {
    { "memory", STORE_MEMORY, NULL },
    { "durable", STORE_DURABLE, NULL },
    { 0 },
};

static const struct word words_sync[] = {
    { "always", SYNC_ALWAYS, NULL },
    { "group", SYNC_GROUP, NULL },
    { "interval", SYNC_INTERVAL, NULL },
    { "none", SYNC_NONE, NULL },
    { 0 },
};

static const struct word words_producer_pattern[] = {
    { "pull", PATTERN_PULL, NULL },
    { "rep", PATTERN_REP, NULL },
    { "respondent", PATTERN_RESPONDENT, NULL },
    { "sub", PATTERN_SUB, NULL },
    { "bus", PATTERN_BUS, NULL },
    { "pair", PATTERN_PAIR, NULL },
    { "lines", PATTERN_LINES, NULL },
    { "push", 0, "push only sends; clients that push are received by pull" },
    { "pub", 0, "pub only sends; what is published is received by sub" },
    { "req", 0, "req asks; requests are received by rep" },
    { "surveyor", 0, "surveyor asks; surveys are received by respondent" },
    { 0 },
};

static const struct word words_publisher_pattern[] = {
    { "pub", PATTERN_PUB, NULL },
    { "push", PATTERN_PUSH, NULL },
    { "bus", PATTERN_BUS, NULL },
    { "pair", PATTERN_PAIR, NULL },
    { "pull", 0, "pull only receives and is for producers; clients that pull are served by push" },
    { "sub", 0, "sub only receives and is for producers; subscribers are served by pub" },
    { "rep", 0, "rep is for producers, which answer their requesters themselves" },
    { "respondent", 0, "respondent is for producers, which answer surveys themselves" },
    { "lines", 0, "lines is for producers" },
    { 0 },
};

static const struct word words_framing[] = {
    { "raw", FRAMING_RAW, NULL },
    { "json", FRAMING_JSON, NULL },
    { "batch", FRAMING_BATCH, NULL },
    { 0 },
};

static const struct word words_transport[] = {
    { "auto", TRANSPORT_AUTO, NULL },
    { "native", TRANSPORT_NATIVE, NULL },
    { "nanomsg", TRANSPORT_NANOMSG, NULL },
    { 0 },
};

static const struct word words_slow_subscriber[] = {
    { "drop_oldest", SLOW_DROP_OLDEST, NULL },
    { "drop_newest", SLOW_DROP_NEWEST, NULL },
    { "disconnect", SLOW_DISCONNECT, NULL },
    { "block", SLOW_BLOCK, NULL },
    { 0 },
};

static const struct word words_reply[] = {
    { "receipt", REPLY_RECEIPT, NULL },
    { "result", REPLY_RESULT, NULL },
    { 0 },
};

static const struct word words_worker_framing[] = {
    { "json", FRAMING_JSON, NULL },
    { "batch", FRAMING_BATCH, NULL },
    { "raw", 0, "raw has no place for what a worker says; take json or batch" },
    { 0 },
};

static const struct word words_yes_no[] = {
    { "no", NO, NULL },
    { "yes", YES, NULL },
    { "true", 0, "write yes" },
    { "false", 0, "write no" },
    { 0 },
};

static const struct word words_builtin[] = {
    { "pass", BUILTIN_PASS, NULL },
    { "sum_squares", BUILTIN_SUM_SQUARES, NULL },
    { "sleep", BUILTIN_SLEEP, NULL },
    { 0 },
};

static const struct word words_protocol[] = {
    { "lines", PROTOCOL_LINES, NULL },
    { "frames", PROTOCOL_FRAMES, NULL },
    { 0 },
};

/* ---- rows ---- */

#define KIB(n) (UINT64_C(n) << 10)
#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)
#define TIB(n) (UINT64_C(n) << 40)
#define MILLISECONDS(n) (UINT64_C(n) * 1000000)
#define MINUTES(n) (UINT64_C(n) * 60 * NS_PER_S)
#define DAYS(n) (UINT64_C(n) * 86400 * NS_PER_S)

#define REQUIRED NULL
#define RELOAD_no false
#define RELOAD_yes true

/* Type and words of a row. */
#define ROW_STRING TYPE_STRING, NULL
#define ROW_TOPIC TYPE_TOPIC, NULL
#define ROW_NAME_OF_QUEUE TYPE_NAME_OF_QUEUE, NULL
#define ROW_NAME_OF_SINK TYPE_NAME_OF_SINK, NULL
#define ROW_NAMES_OF_QUEUES TYPE_NAMES_OF_QUEUES, NULL
#define ROW_LISTEN_ADDRESS TYPE_LISTEN_ADDRESS, NULL
#define ROW_SIZE TYPE_SIZE, NULL
#define ROW_SPAN TYPE_SPAN, NULL
#define ROW_COUNT TYPE_COUNT, NULL
#define ROW_MODE TYPE_MODE, NULL
#define ROW_ENUM(words) TYPE_ENUM, words_##words
#define ROW_LISTEN_ADDRESSES TYPE_LISTEN_ADDRESSES, NULL
#define ROW_CONNECT_ADDRESSES TYPE_CONNECT_ADDRESSES, NULL
#define ROW_STRINGS TYPE_STRINGS, NULL
#define ROW_HANDLER TYPE_HANDLER, NULL

#define STRUCT_TOP struct conf_top
#define STRUCT_QUEUE struct conf_queue
#define STRUCT_PRODUCER struct conf_producer
#define STRUCT_CONSUMER struct conf_consumer
#define STRUCT_HANDLER struct conf_handler
#define STRUCT_PUBLISHER struct conf_publisher
#define STRUCT_WORKERS struct conf_workers

const struct option options[OPTIONS_COUNT] = {
#define OPT(section, field, key, type, unit, min, max, standard, reload, with, help) \
    { SECTION_##section, \
      ROW_##type, \
      key, \
      unit, \
      help, \
      offsetof(STRUCT_##section, field), \
      min, \
      max, \
      standard, \
      RELOAD_##reload, \
      with },
#include "conf/options.def"
#undef OPT
};

/* The field of every row must have the C type that the row's type is read into. */
#define FIELD_STRING char *
#define FIELD_TOPIC char *
#define FIELD_NAME_OF_QUEUE char *
#define FIELD_NAME_OF_SINK char *
#define FIELD_NAMES_OF_QUEUES struct conf_strings
#define FIELD_LISTEN_ADDRESS char *
#define FIELD_SIZE uint64_t
#define FIELD_SPAN span_t
#define FIELD_COUNT uint64_t
#define FIELD_MODE unsigned
#define FIELD_ENUM(words) unsigned /* what gcc and clang make of an enum without negative values */
#define FIELD_LISTEN_ADDRESSES struct conf_strings
#define FIELD_CONNECT_ADDRESSES struct conf_strings
#define FIELD_STRINGS struct conf_strings
#define FIELD_HANDLER struct conf_handler

#define OPT(section, field, key, type, unit, min, max, standard, reload, with, help) \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((STRUCT_##section *)0)->field), \
                                                FIELD_##type), \
                   "type of " #section "." #field);
#include "conf/options.def"
#undef OPT

#define ARRAY(items, count) offsetof(struct conf, items), offsetof(struct conf, count)

const struct section sections[SECTIONS_COUNT] = {
    [SECTION_TOP] = { NULL, "configuration", sizeof(struct conf_top), 0, 0, OPTIONS_COUNT, NULL,
                      NULL },
    [SECTION_QUEUE] = { "queues", "queue", sizeof(struct conf_queue), ARRAY(queues, queues_count),
                        OPTION_QUEUE_store, "store", NULL },
    [SECTION_PRODUCER] = { "producers", "producer", sizeof(struct conf_producer),
                           ARRAY(producers, producers_count), OPTION_PRODUCER_pattern, "pattern",
                           NULL },
    [SECTION_CONSUMER] = { "consumers", "consumer", sizeof(struct conf_consumer),
                           ARRAY(consumers, consumers_count), OPTIONS_COUNT, NULL, NULL },
    [SECTION_HANDLER] = { NULL, "handler", sizeof(struct conf_handler), 0, 0,
                          OPTION_HANDLER_builtin, "handler", "exec" },
    [SECTION_PUBLISHER] = { "publishers", "publisher", sizeof(struct conf_publisher),
                            ARRAY(publishers, publishers_count), OPTION_PUBLISHER_pattern,
                            "pattern", NULL },
    [SECTION_WORKERS] = { "workers", "worker endpoint", sizeof(struct conf_workers),
                          ARRAY(workers, workers_count), OPTIONS_COUNT, NULL, NULL },
};

/* The name comes first in every struct of a section that is a list of names: loaded, dumped and freed
 * without knowing which one it is. */
_Static_assert(offsetof(struct conf_queue, name) == 0, "name first");
_Static_assert(offsetof(struct conf_producer, name) == 0, "name first");
_Static_assert(offsetof(struct conf_consumer, name) == 0, "name first");
_Static_assert(offsetof(struct conf_publisher, name) == 0, "name first");
_Static_assert(offsetof(struct conf_workers, name) == 0, "name first");

/* ---- questions ---- */

bool option_is_list(const struct option *option)
{
    return option->type == TYPE_LISTEN_ADDRESSES || option->type == TYPE_CONNECT_ADDRESSES ||
           option->type == TYPE_STRINGS || option->type == TYPE_NAMES_OF_QUEUES;
}

size_t option_items_max(const struct option *option)
{
    _Static_assert((int)LIMIT_TOPICS_PER_ENDPOINT == (int)LIMIT_HANDLER_ARGS, "one limit for texts");
    if (option->type == TYPE_NAMES_OF_QUEUES)
        return LIMIT_CONFIG_ENTRIES;
    return option->type == TYPE_STRINGS ? LIMIT_HANDLER_ARGS : LIMIT_ADDRESSES_PER_ENDPOINT;
}

const struct option *option_find(enum section_id section, const char *key)
{
    for (int i = 0; i < OPTIONS_COUNT; i++)
        if (options[i].section == section && str_equal(options[i].key, key))
            return &options[i];
    return NULL;
}

bool option_goes_with(const struct option *option, const char *word)
{
    size_t bytes = strlen(word);
    if (option->with[0] == '\0')
        return true;
    for (const char *at = option->with; *at != '\0';) {
        size_t length = strcspn(at, " ");
        if (length == bytes && memcmp(at, word, bytes) == 0)
            return true;
        at += length + strspn(at + length, " ");
    }
    return false;
}

const char *word_of(const struct word *words, int value)
{
    for (; words->word != NULL; words++)
        if (words->refused == NULL && words->value == value)
            return words->word;
    return NULL;
}

/* Word `index` of `count` to the end of an enumeration. */
static void list_add(char *text, size_t size, size_t index, size_t count, const char *word)
{
    const char *before = index == 0 ? "" : index + 1 == count ? " or " : ", ";
    size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "%s%s", before, word);
}

char *words_list(const struct word *words, char *text, size_t size)
{
    size_t count = 0, index = 0;
    for (const struct word *w = words; w->word != NULL; w++)
        count += w->refused == NULL;
    check(size > 0);
    text[0] = '\0';
    for (; words->word != NULL; words++)
        if (words->refused == NULL)
            list_add(text, size, index++, count, words->word);
    return text;
}

char *option_with_list(const struct option *option, char *text, size_t size)
{
    char words[64];
    size_t count = 1, index = 0;
    check(str_copy(words, sizeof words, option->with));
    for (const char *at = words; *at != '\0'; at++)
        count += *at == ' ';
    check(size > 0);
    text[0] = '\0';
    char *rest = words, *word;
    while ((word = strsep(&rest, " ")) != NULL)
        list_add(text, size, index++, count, word);
    return text;
}

const char *section_choice(enum section_id section, const void *object)
{
    const struct section *s = &sections[section];
    if (s->choice == OPTIONS_COUNT)
        return NULL;
    const struct option *choice = &options[s->choice];
    unsigned value;
    memcpy(&value, (const char *)object + choice->offset, sizeof value);
    const char *word = word_of(choice->words, (int)value);
    return word != NULL ? word : s->choice_unset;
}

size_t section_count(enum section_id section, const struct conf *conf)
{
    size_t count;
    memcpy(&count, (const char *)conf + sections[section].count_offset, sizeof count);
    return count;
}

void *section_item(enum section_id section, const struct conf *conf, size_t index)
{
    char *items;
    memcpy(&items, (const char *)conf + sections[section].items_offset, sizeof items);
    return items != NULL ? items + index * sections[section].bytes : NULL;
}

const char *section_item_name(enum section_id section, const struct conf *conf, size_t index)
{
    return *(char **)section_item(section, conf, index);
}

const char *conf_when_full_word(enum conf_when_full w)
{
    const char *word = word_of(words_when_full, (int)w);
    return word != NULL ? word : "?";
}

const char *conf_pattern_word(enum conf_pattern p)
{
    const char *word = word_of(words_producer_pattern, (int)p);
    if (word == NULL)
        word = word_of(words_publisher_pattern, (int)p);
    return word != NULL ? word : "none";
}

bool conf_workers_serve(const struct conf_workers *w, const char *queue)
{
    for (size_t i = 0; i < w->queues.count; i++)
        if (str_equal(w->queues.at[i], queue))
            return true;
    return w->queues.count == 0;
}
