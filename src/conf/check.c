/* SPDX-License-Identifier: Apache-2.0
 *
 * What no option can be judged on by itself: options that need or exclude each other, names that must be
 * defined, addresses that clash, queues that nobody drains. An option that was refused when it was read is
 * not judged again, so that one mistake is told once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "conf/address.h"
#include "conf/expand.h"
#include "conf/loader.h"

static bool is_refused(const struct loaded *o, enum option_id id)
{
    return o->options[id].refused;
}

static struct place value_place(const struct loaded *o, enum option_id id)
{
    const struct node *value = o->options[id].value;
    return value != NULL ? value->place : o->place;
}

/* The text of an option that is one text. */
static const char *text_of(const struct loaded *o, enum option_id id)
{
    return *(char **)((char *)o->object + options[id].offset);
}

static const struct conf_strings *strings_of(const struct loaded *o, enum option_id id)
{
    return (const struct conf_strings *)(const void *)((const char *)o->object + options[id].offset);
}

/* The place of item i of a list, which may be written as a single value. */
static struct place item_place(const struct loaded *o, enum option_id id, size_t i)
{
    const struct node *value = o->options[id].value;
    check(value != NULL);
    return value->kind == NODE_LIST ? value->items[i]->place : value->place;
}

/* ---- options of one object ---- */

/* Options that the chosen pattern or handler does not look at would be obeyed by nobody. */
static void check_choice(struct loader *l, const struct loaded *o)
{
    const struct section *s = &sections[o->section];
    const char *word = section_choice(o->section, o->object);
    if (word == NULL || is_refused(o, s->choice))
        return;
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const struct option *option = &options[i];
        if (o->options[i].key == NULL || option_goes_with(option, word))
            continue;
        char list[128];
        report_error(&l->report, o->options[i].key->place,
                     "\"%s\" does not go with %s %s, only with %s", option->key, s->choice_word,
                     word, option_with_list(option, list, sizeof list));
    }
}

static void check_program(struct loader *l, const struct loaded *o, const struct conf_handler *h)
{
    struct place place = item_place(o, OPTION_HANDLER_exec, 0);
    const char *program = h->exec.at[0];
    if (program_found(program))
        return;
    report_error(&l->report, place, "program \"%.200s\" %s", program,
                 strchr(program, '/') != NULL ? "is not there or cannot be executed"
                                              : "is not in $PATH or cannot be executed");
}

static void check_handler(struct loader *l, const struct loaded *o)
{
    const struct conf_handler *h = o->object;
    bool builtin = h->builtin != BUILTIN_NONE, exec = h->exec.count > 0;
    if (is_refused(o, OPTION_HANDLER_builtin) || is_refused(o, OPTION_HANDLER_exec))
        return;
    if (builtin && exec) {
        report_error(&l->report, o->options[OPTION_HANDLER_exec].key->place,
                     "a handler is \"builtin\" or \"exec\", not both");
        return;
    }
    if (!builtin && !exec) {
        report_error(&l->report, o->place, "a handler needs \"builtin\" or \"exec\"");
        return;
    }
    if (exec)
        check_program(l, o, h);
    check_choice(l, o);
}

static void check_addresses(struct loader *l, const struct loaded *o, enum option_id listen,
                            enum option_id connect)
{
    bool any = strings_of(o, listen)->count > 0 || strings_of(o, connect)->count > 0;
    if (!any && !is_refused(o, listen) && !is_refused(o, connect))
        report_error(&l->report, o->place,
                     "%s \"%.80s\" has no address: give \"listen\" or \"connect\"",
                     sections[o->section].word, o->name);
}

static bool is_native(const char *address)
{
    return str_starts(address, "tcp://") || str_starts(address, "ipc://");
}

/* Of one list; libnanomsg knows all of them. */
static void check_native(struct loader *l, const struct loaded *o, enum option_id id)
{
    const struct conf_strings *list = strings_of(o, id);
    for (size_t i = 0; i < list->count && !is_refused(o, id); i++)
        if (!is_native(list->at[i]))
            report_error(&l->report, item_place(o, id, i),
                         "\"transport: native\" knows tcp and ipc; this address needs nanomsg or auto");
}

/* Numbers of users or groups: tcp knows neither, and libnanomsg does not tell. */
static void check_ids(struct loader *l, const struct loaded *o, enum option_id id,
                      const struct conf_strings *listen, enum conf_transport transport)
{
    const struct conf_strings *list = strings_of(o, id);
    if (list->count == 0 || is_refused(o, id))
        return;
    if (transport == TRANSPORT_NANOMSG)
        report_error(&l->report, o->options[id].key->place,
                     "\"%s\" does not go with \"transport: nanomsg\"", options[id].key);
    for (size_t i = 0; i < list->count; i++) {
        uint64_t number;
        if (number_parse(list->at[i], &number) < 0 || number >= UINT32_MAX)
            report_error(&l->report, item_place(o, id, i),
                         "\"%s\" takes numbers below %lu, not \"%s\"", options[id].key,
                         (unsigned long)UINT32_MAX, list->at[i]);
    }
    for (size_t i = 0; i < listen->count; i++)
        if (!str_starts(listen->at[i], "ipc://"))
            report_error(
                &l->report, o->options[id].key->place,
                "\"%s\" is for ipc, and this endpoint listens on %s too: nobody knows who comes there",
                options[id].key, listen->at[i]);
}

/* A line is no frame, and a frame does not begin with a topic. */
static void check_batch(struct loader *l, const struct loaded *o)
{
    const struct conf_producer *p = o->object;
    if (p->framing != FRAMING_BATCH || is_refused(o, OPTION_PRODUCER_framing))
        return;
    if (p->pattern == PATTERN_LINES)
        report_error(&l->report, value_place(o, OPTION_PRODUCER_framing),
                     "\"batch\" does not go with the pattern lines");
    if (p->topics.count > 0)
        report_error(&l->report, value_place(o, OPTION_PRODUCER_topics),
                     "\"topics\" does not go with batch framing: a frame begins with no topic");
}

/* Several threads share who is accepted; who was dialled would come to each of them. */
static void check_threads(struct loader *l, const struct loaded *o)
{
    const struct conf_producer *p = o->object;
    if (p->threads == 1 || is_refused(o, OPTION_PRODUCER_threads))
        return;
    struct place place = value_place(o, OPTION_PRODUCER_threads);
    if (p->connect.count > 0)
        report_error(&l->report, place, "\"threads\" does not go with \"connect\"");
    if (p->transport == TRANSPORT_NANOMSG)
        report_error(&l->report, place, "\"threads\" does not go with \"transport: nanomsg\"");
    for (size_t i = 0; i < p->listen.count; i++)
        if (!is_native(p->listen.at[i]))
            report_error(&l->report, place,
                         "\"threads\" does not go with %s, only with tcp and ipc", p->listen.at[i]);
}

static void check_producer(struct loader *l, const struct loaded *o)
{
    const struct conf_producer *p = o->object;
    check_choice(l, o);
    check_threads(l, o);
    if (p->pattern == PATTERN_LINES && p->path == NULL && !is_refused(o, OPTION_PRODUCER_path))
        report_error(&l->report, o->place, "producer \"%.80s\" has no \"path\", which lines needs",
                     o->name);
    if (p->pattern != PATTERN_LINES && p->pattern != PATTERN_NONE)
        check_addresses(l, o, OPTION_PRODUCER_listen, OPTION_PRODUCER_connect);
    check_ids(l, o, OPTION_PRODUCER_allow_uid, &p->listen, p->transport);
    check_ids(l, o, OPTION_PRODUCER_allow_gid, &p->listen, p->transport);
    check_batch(l, o);
    if (p->transport != TRANSPORT_NATIVE || is_refused(o, OPTION_PRODUCER_transport))
        return;
    check_native(l, o, OPTION_PRODUCER_listen);
    check_native(l, o, OPTION_PRODUCER_connect);
}

/* The log of results has an endpoint of its own, which is always native. */
static void check_replay(struct loader *l, const struct loaded *o)
{
    const struct conf_publisher *p = o->object;
    if (p->replay.count == 0 || is_refused(o, OPTION_PUBLISHER_replay))
        return;
    if (p->framing == FRAMING_RAW && !is_refused(o, OPTION_PUBLISHER_framing))
        report_error(&l->report, value_place(o, OPTION_PUBLISHER_replay),
                     "\"replay\" needs \"framing: batch\" or \"framing: json\"; a raw result has no "
                     "place for its number");
    bool known = p->allow_uid.count > 0 || p->allow_gid.count > 0;
    for (size_t i = 0; i < p->replay.count; i++) {
        bool ipc = str_starts(p->replay.at[i], "ipc://");
        if (!ipc && !str_starts(p->replay.at[i], "tcp://"))
            report_error(&l->report, item_place(o, OPTION_PUBLISHER_replay, i),
                         "\"replay\" knows tcp and ipc");
        else if (!ipc && known)
            report_error(&l->report, item_place(o, OPTION_PUBLISHER_replay, i),
                         "\"allow_uid\" and \"allow_gid\" are for ipc: nobody knows who comes here");
    }
}

static void check_publisher(struct loader *l, const struct loaded *o)
{
    const struct conf_publisher *p = o->object;
    check_choice(l, o);
    if (p->pattern != PATTERN_NONE)
        check_addresses(l, o, OPTION_PUBLISHER_listen, OPTION_PUBLISHER_connect);
    check_replay(l, o);
    check_ids(l, o, OPTION_PUBLISHER_allow_uid, &p->listen, p->transport);
    check_ids(l, o, OPTION_PUBLISHER_allow_gid, &p->listen, p->transport);
    if (p->transport != TRANSPORT_NATIVE || is_refused(o, OPTION_PUBLISHER_transport))
        return;
    check_native(l, o, OPTION_PUBLISHER_listen);
    check_native(l, o, OPTION_PUBLISHER_connect);
}

static size_t count_feeders(const struct conf *conf, const char *queue)
{
    size_t n = 0;
    for (size_t i = 0; i < conf->producers_count; i++)
        if (conf->producers[i].queue != NULL && str_equal(conf->producers[i].queue, queue))
            n += conf->producers[i].threads;
    return n;
}

/* A consumer without threads lives on its producer's loop, of which there must be one. */
static void check_consumer(struct loader *l, const struct loaded *o)
{
    const struct conf_consumer *c = o->object;
    if (c->threads > 0 || c->queue == NULL || is_refused(o, OPTION_CONSUMER_threads))
        return;
    size_t feeders = count_feeders(l->conf, c->queue);
    if (feeders != 1)
        report_error(
            &l->report, value_place(o, OPTION_CONSUMER_threads),
            "\"threads: 0\" needs a queue that one producer feeds, by one thread; \"%.80s\" has %zu",
            c->queue, feeders);
}

static void check_queue(struct loader *l, const struct loaded *o)
{
    const struct conf_queue *q = o->object;
    check_choice(l, o);
    if (q->store == STORE_DURABLE && q->name[0] == '.')
        report_error(
            &l->report, o->place,
            "queue \"%.80s\": a durable queue's name is that of a folder, and cannot begin with a dot",
            q->name);
    if (q->dead_letter != NULL && str_equal(q->dead_letter, q->name))
        report_error(&l->report, value_place(o, OPTION_QUEUE_dead_letter),
                     "queue \"%.80s\" cannot take its own failed messages", q->name);
    if (q->lease.ns > q->lease_max.ns && !is_refused(o, OPTION_QUEUE_lease))
        report_error(&l->report, value_place(o, OPTION_QUEUE_lease),
                     "\"lease\" is longer than \"max_lease\"");
}

static void check_workers(struct loader *l, const struct loaded *o)
{
    if (strings_of(o, OPTION_WORKERS_listen)->count == 0 && o->options[OPTION_WORKERS_listen].key &&
        !is_refused(o, OPTION_WORKERS_listen))
        report_error(&l->report, value_place(o, OPTION_WORKERS_listen),
                     "worker endpoint \"%.80s\" has no address", o->name);
    check_native(l, o, OPTION_WORKERS_listen);
}

/* ---- names ---- */

struct names {
    const struct conf *conf;
    enum section_id section;
};

static const char *name_at(const void *ctx, size_t i)
{
    const struct names *names = ctx;
    if (i >= section_count(names->section, names->conf))
        return NULL;
    return section_item_name(names->section, names->conf, i);
}

/* The index of a name, or how many there are. */
static size_t name_find(const struct conf *conf, enum section_id section, const char *name)
{
    size_t count = section_count(section, conf), i = 0;
    while (i < count && !str_equal(section_item_name(section, conf, i), name))
        i++;
    return i;
}

static bool is_defined(const struct conf *conf, enum section_id section, const char *name)
{
    return name_find(conf, section, name) < section_count(section, conf);
}

/* A name that is written at a place must be one of the section's. False: it was reported. */
static bool check_name_defined(struct loader *l, enum section_id section, struct place place,
                               const char *name)
{
    struct names names = { l->conf, section };
    char suggestion[REPORT_SUGGESTION_BYTES];
    if (is_defined(l->conf, section, name))
        return true;
    report_error(&l->report, place, "%s \"%.80s\" is not defined%s", sections[section].word, name,
                 report_suggestion(suggestion, name, name_at, &names));
    return false;
}

/* A publisher or a queue, and not both. */
static bool check_sink(struct loader *l, struct place place, const char *name)
{
    bool queue = is_defined(l->conf, SECTION_QUEUE, name);
    if (!queue)
        return check_name_defined(l, SECTION_PUBLISHER, place, name);
    if (is_defined(l->conf, SECTION_PUBLISHER, name))
        report_error(&l->report, place, "\"%.80s\" is the name of a publisher and of a queue", name);
    return true;
}

static bool check_option_names(struct loader *l, const struct loaded *o, enum option_id id)
{
    const struct option *option = &options[id];
    bool good = true;
    if (option->type == TYPE_NAMES_OF_QUEUES) {
        const struct conf_strings *list = strings_of(o, id);
        for (size_t i = 0; i < list->count; i++)
            good = check_name_defined(l, SECTION_QUEUE, item_place(o, id, i), list->at[i]) && good;
        return good;
    }
    const char *name = text_of(o, id);
    if (name == NULL)
        return true;
    return option->type == TYPE_NAME_OF_SINK
               ? check_sink(l, value_place(o, id), name)
               : check_name_defined(l, SECTION_QUEUE, value_place(o, id), name);
}

static void check_names(struct loader *l, struct loaded *o)
{
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        enum option_type type = options[i].type;
        bool names =
            type == TYPE_NAME_OF_QUEUE || type == TYPE_NAME_OF_SINK || type == TYPE_NAMES_OF_QUEUES;
        if (names && options[i].section == o->section && !check_option_names(l, o, (enum option_id)i))
            o->options[i].refused = true;
    }
}

/* ---- addresses ---- */

struct listener {
    struct address address;
    struct place place;
    const struct loaded *owner;
    const char *text;
    size_t index; /* in the order of the file */
};

struct listeners {
    struct listener *at;
    size_t count, room;
};

static int listener_add(struct listeners *ls, const struct loaded *o, struct place place,
                        const char *text)
{
    char reason[ADDRESS_REASON_BYTES];
    if (ls->count == ls->room) {
        size_t room = ls->room == 0 ? 16 : ls->room * 2;
        struct listener *at = reallocarray(ls->at, room, sizeof *at);
        if (at == NULL)
            return PEN_ENOMEM;
        ls->at = at;
        ls->room = room;
    }
    struct listener *new = &ls->at[ls->count];
    *new = (struct listener){ .place = place, .owner = o, .text = text, .index = ls->count };
    if (address_parse(text, true, &new->address, reason) == 0)
        ls->count++;
    return 0;
}

static int listeners_of(struct listeners *ls, const struct loaded *o)
{
    int r = 0;
    for (int i = 0; i < OPTIONS_COUNT && r == 0; i++) {
        enum option_id id = (enum option_id)i;
        if (options[i].section != o->section || o->options[i].key == NULL || is_refused(o, id))
            continue;
        if (options[i].type == TYPE_LISTEN_ADDRESS && text_of(o, id) != NULL)
            r = listener_add(ls, o, value_place(o, id), text_of(o, id));
        if (options[i].type != TYPE_LISTEN_ADDRESSES)
            continue;
        const struct conf_strings *strings = strings_of(o, id);
        for (size_t k = 0; k < strings->count && r == 0; k++)
            r = listener_add(ls, o, item_place(o, id, k), strings->at[k]);
    }
    return r;
}

static int listener_order(const void *a, const void *b)
{
    const struct listener *x = a, *y = b;
    int order = address_order(&x->address, &y->address);
    return order != 0 ? order : x->index < y->index ? -1 : 1;
}

static void refuse_listener(struct loader *l, const struct listener *a, const struct listener *b)
{
    const struct listener *later = a->index > b->index ? a : b, *first = later == a ? b : a;
    const struct loaded *owner = first->owner;
    bool named = owner->name != NULL;
    report_error(&l->report, later->place, "%s%s%.80s%s listens on %.130s already (line %u)",
                 named ? sections[owner->section].word : "control", named ? " \"" : "",
                 named ? owner->name : "", named ? "\"" : "", first->text, first->place.line);
}

/* In sorted order, a clash is with the neighbour before, or with the one for every address of the host
 * that stands first among those of its port. */
static void check_clashes(struct loader *l, const struct listeners *ls)
{
    size_t group = 0;
    for (size_t i = 1; i < ls->count; i++) {
        const struct listener *now = &ls->at[i];
        const struct address *head = &ls->at[group].address;
        if (head->space != now->address.space || head->port != now->address.port)
            group = i;
        else if (address_clash(head, &now->address))
            refuse_listener(l, &ls->at[group], now);
        else if (address_clash(&ls->at[i - 1].address, &now->address))
            refuse_listener(l, &ls->at[i - 1], now);
    }
}

static int check_listeners(struct loader *l)
{
    struct listeners ls = { 0 };
    int r = 0;
    for (size_t i = 0; i < l->loaded_count && r == 0; i++)
        r = listeners_of(&ls, l->loaded[i]);
    if (r == 0 && ls.count > 0) {
        qsort(ls.at, ls.count, sizeof *ls.at, listener_order);
        check_clashes(l, &ls);
    }
    free(ls.at);
    return r;
}

/* ---- the whole ---- */

/* Whether an object of the section has this option with this value. */
static bool anyone_names(const struct loader *l, enum option_id id, const char *name)
{
    for (size_t i = 0; i < section_count(options[id].section, l->conf); i++) {
        const char *object = section_item(options[id].section, l->conf, i);
        const char *value = *(char *const *)(const void *)(object + options[id].offset);
        if (value != NULL && str_equal(value, name))
            return true;
    }
    return false;
}

/* Whether this option could not be read somewhere, so that it is not known whom it was to name. */
static bool anyone_refused(const struct loader *l, enum option_id id)
{
    for (size_t i = 0; i < l->loaded_count; i++) {
        const struct loaded *o = l->loaded[i];
        bool missing = options[id].standard == NULL && o->options[id].key == NULL;
        if (o->section == options[id].section && (missing || is_refused(o, id)))
            return true;
    }
    return false;
}

/* Some worker endpoint serves the queue. */
static bool any_workers_serve(const struct loader *l, const char *name)
{
    for (size_t i = 0; i < l->conf->workers_count; i++)
        if (conf_workers_serve(&l->conf->workers[i], name))
            return true;
    return false;
}

static void check_queue_drained(struct loader *l, const struct loaded *o)
{
    bool dead_letters_only = anyone_names(l, OPTION_QUEUE_dead_letter, o->name) &&
                             !anyone_names(l, OPTION_PRODUCER_queue, o->name) &&
                             !anyone_names(l, OPTION_CONSUMER_publish, o->name);
    if (!dead_letters_only && !anyone_names(l, OPTION_CONSUMER_queue, o->name) &&
        !any_workers_serve(l, o->name))
        report_error(&l->report, o->place, "no consumer drains queue \"%.80s\"", o->name);
}

static void check_publisher_used(struct loader *l, const struct loaded *o)
{
    if (!anyone_names(l, OPTION_CONSUMER_publish, o->name))
        report_warning(&l->report, o->place, "no consumer gives results to publisher \"%.80s\"",
                       o->name);
}

static void check_uses(struct loader *l)
{
    bool queues =
        !anyone_refused(l, OPTION_CONSUMER_queue) && !anyone_refused(l, OPTION_WORKERS_queues);
    bool publishers = !anyone_refused(l, OPTION_CONSUMER_publish);
    for (size_t i = 0; i < l->loaded_count; i++) {
        const struct loaded *o = l->loaded[i];
        if (o->section == SECTION_QUEUE && queues)
            check_queue_drained(l, o);
        if (o->section == SECTION_PUBLISHER && publishers)
            check_publisher_used(l, o);
    }
    if (l->report.errors == 0 && l->conf->queues_count == 0)
        report_error(&l->report, (struct place){ 0 }, "nothing is configured: there is no queue");
}

/* ---- circles of queues ---- */

/* Depth first search over the queues; an edge leads from a queue to the one that takes its dead letters, and to those that
 * take the results of its consumers. Meeting a queue that is still open is a circle: full, it would stand still, and no
 * drain would come to an end. LIMIT_CONFIG_ENTRIES bounds the depth. */
enum colour { NEW, OPEN, CLOSED };

/* Where messages of the queue go by this object: the option that says so, or OPTIONS_COUNT. */
static enum option_id edge_of(const struct loaded *o, const char *queue)
{
    const struct conf_queue *q = o->object;
    const struct conf_consumer *c = o->object;
    if (o->section == SECTION_QUEUE && str_equal(q->name, queue) && q->dead_letter != NULL &&
        !str_equal(q->dead_letter, queue))
        return OPTION_QUEUE_dead_letter;
    if (o->section == SECTION_CONSUMER && c->queue != NULL && str_equal(c->queue, queue) &&
        c->publish != NULL)
        return OPTION_CONSUMER_publish;
    return OPTIONS_COUNT;
}

static void visit_queue(struct loader *l, enum colour *colours, size_t queue)
{
    colours[queue] = OPEN;
    for (size_t i = 0; i < l->loaded_count; i++) {
        const struct loaded *o = l->loaded[i];
        enum option_id id = edge_of(o, l->conf->queues[queue].name);
        size_t to = l->conf->queues_count;
        if (id != OPTIONS_COUNT)
            to = name_find(l->conf, SECTION_QUEUE, text_of(o, id));
        if (to == l->conf->queues_count)
            continue;
        if (colours[to] == NEW)
            visit_queue(l, colours, to);
        else if (colours[to] == OPEN)
            report_error(&l->report, value_place(o, id),
                         "messages of queue \"%.80s\" would come back to it: the queues form a circle",
                         text_of(o, id));
    }
    colours[queue] = CLOSED;
}

static int check_circles(struct loader *l)
{
    size_t count = l->conf->queues_count;
    enum colour *colours = calloc(count + 1, sizeof *colours);
    if (colours == NULL)
        return PEN_ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (colours[i] == NEW)
            visit_queue(l, colours, i);
    free(colours);
    return 0;
}

int check_all(struct loader *l)
{
    static void (*const checks[SECTIONS_COUNT])(struct loader * l, const struct loaded *o) = {
        [SECTION_PRODUCER] = check_producer,   [SECTION_QUEUE] = check_queue,
        [SECTION_CONSUMER] = check_consumer,   [SECTION_HANDLER] = check_handler,
        [SECTION_PUBLISHER] = check_publisher, [SECTION_WORKERS] = check_workers,
    };
    for (size_t i = 0; i < l->loaded_count && !report_full(&l->report); i++) {
        struct loaded *o = l->loaded[i];
        check_names(l, o);
        if (checks[o->section] != NULL)
            checks[o->section](l, o);
    }
    int r = check_listeners(l);
    if (r == 0)
        r = check_circles(l);
    if (r == 0)
        check_uses(l);
    return r;
}
