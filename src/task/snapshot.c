/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_tasks_snapshot(): what runs and waits in this process, as JSON.
 *
 * Everything is copied first, each object under its own short lock, into an array of nodes; what a node waits for is
 * kept as an address, which is compared and never followed, because its object may be gone by then. A job waits for
 * the future that it sleeps on, a group for its members. Addresses become edges, and the nodes that lie on cycles are
 * what is left when nodes that wait for nobody, and then nodes that nobody waits for, are taken away as long as
 * there are any (Kahn's algorithm, in both directions). That also leaves nodes between two cycles, which will
 * not go on either.
 *
 * Any thread. Nothing is held while the text is made.
 */
#include "task/snapshot.h"

#include <inttypes.h>
#include <penstock/watch.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "loop/io.h"
#include "plat/clock.h"
#include "sync/lock.h"
#include "task/future.h"
#include "task/group.h"
#include "task/pool.h"

enum { PARTS = 16, NODES_MAX = 10000 };

/* ---- the lists ---- */

struct part {
    struct lock lock;
    struct list objects; /* next is NULL until the first one comes */
};

static struct part parts[LISTED_KINDS][PARTS] = {
    [0 ... LISTED_KINDS - 1] = { [0 ... PARTS - 1] = { .lock = LOCK_INITIALIZER(LISTED) } }
};

static struct part *part_of(enum listed_kind kind, const struct listed *object)
{
    uintptr_t at = (uintptr_t)object;
    return &parts[kind][kind == LISTED_FUTURE ? (at >> 6 ^ at >> 12) % PARTS : 0];
}

void listed_add(enum listed_kind kind, struct listed *object)
{
    struct part *part = part_of(kind, object);
    lock_take(&part->lock);
    if (part->objects.next == NULL)
        list_init(&part->objects);
    list_push_back(&part->objects, &object->node);
    lock_drop(&part->lock);
}

void listed_remove(enum listed_kind kind, struct listed *object)
{
    struct part *part = part_of(kind, object);
    lock_take(&part->lock);
    list_remove(&object->node);
    lock_drop(&part->lock);
}

static void each(enum listed_kind kind, void (*fn)(struct listed *object, void *arg), void *arg)
{
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &parts[kind][i];
        lock_take(&part->lock);
        if (part->objects.next != NULL)
            LIST_EACH(node, &part->objects)
                fn(CONTAINER_OF(node, struct listed, node), arg);
        lock_drop(&part->lock);
    }
}

/* ---- collecting ---- */

struct node {
    struct future_view view;
    bool stuck;    /* on a cycle */
    size_t degree; /* of strip() */
};

/* From one that waits to what it waits for: addresses first, then indices of nodes. */
struct edge {
    const void *from_at, *to_at;
    size_t ends[2];
};

struct picture {
    mono_t now;
    struct node *nodes;
    size_t nodes_count, nodes_room, left_out;
    struct edge *edges;
    size_t edges_count, edges_room;
    struct buf text;
    const char *comma; /* before the next element of a list */
    int error;
};

/* Room for one more element of that size; NULL: error is set. */
static void *more(struct picture *p, void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t wanted = *room == 0 ? 64 : *room * 2;
    void *larger = realloc(array, wanted * size);
    if (larger == NULL) {
        p->error = PEN_ENOMEM;
        return NULL;
    }
    *room = wanted;
    return larger;
}

static void add_edge(struct picture *p, const void *from, const void *to)
{
    struct edge *larger = more(p, p->edges, p->edges_count, &p->edges_room, sizeof *p->edges);
    if (larger == NULL)
        return;
    p->edges = larger;
    p->edges[p->edges_count++] = (struct edge){ .from_at = from, .to_at = to };
}

static void collect_future(struct listed *object, void *arg)
{
    struct picture *p = arg;
    struct future_view view;
    if (!future_look(object, &view))
        return;
    if (p->nodes_count == NODES_MAX) {
        p->left_out++;
        return;
    }
    struct node *larger = more(p, p->nodes, p->nodes_count, &p->nodes_room, sizeof *p->nodes);
    if (larger == NULL)
        return;
    p->nodes = larger;
    p->nodes[p->nodes_count++] = (struct node){ .view = view };
    if (view.waits_for != NULL)
        add_edge(p, view.at, view.waits_for);
}

static void collect_member(const void *end, const void *member, void *arg)
{
    add_edge(arg, end, member);
}

static void collect_group(struct listed *object, void *arg)
{
    group_look(object, collect_member, arg);
}

/* ---- who waits for whom ---- */

static int compare_nodes(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct node *)a)->view.at;
    uintptr_t y = (uintptr_t)((const struct node *)b)->view.at;
    return x < y ? -1 : x > y;
}

static struct node *find(const struct picture *p, const void *at)
{
    struct node key = { .view = { .at = at } };
    return p->nodes_count == 0 ? NULL
                               : bsearch(&key, p->nodes, p->nodes_count, sizeof key, compare_nodes);
}

/* Addresses to indices; an edge with an end that is not there is dropped. */
static void resolve(struct picture *p)
{
    size_t kept = 0;
    if (p->nodes_count > 0)
        qsort(p->nodes, p->nodes_count, sizeof *p->nodes, compare_nodes);
    for (size_t i = 0; i < p->edges_count; i++) {
        const struct node *from = find(p, p->edges[i].from_at), *to = find(p, p->edges[i].to_at);
        if (from == NULL || to == NULL)
            continue;
        p->edges[kept++] =
            (struct edge){ .ends = { (size_t)(from - p->nodes), (size_t)(to - p->nodes) } };
    }
    p->edges_count = kept;
}

static int compare_from(const void *a, const void *b)
{
    size_t x = ((const struct edge *)a)->ends[0], y = ((const struct edge *)b)->ends[0];
    return x < y ? -1 : x > y;
}

static int compare_to(const void *a, const void *b)
{
    size_t x = ((const struct edge *)a)->ends[1], y = ((const struct edge *)b)->ends[1];
    return x < y ? -1 : x > y;
}

/* The first edge, in the order of that end, with this node there. */
static size_t first_edge(const struct picture *p, int end, size_t node)
{
    size_t low = 0, high = p->edges_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->edges[middle].ends[end] < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Take away, again and again, the nodes that have no edge at their `near` end. `todo` has room for all nodes. */
static void strip(struct picture *p, int near, size_t *todo)
{
    int far = 1 - near;
    size_t count = 0;
    if (p->edges_count > 0)
        qsort(p->edges, p->edges_count, sizeof *p->edges, far == 1 ? compare_to : compare_from);
    for (size_t i = 0; i < p->nodes_count; i++)
        p->nodes[i].degree = 0;
    for (size_t i = 0; i < p->edges_count; i++)
        if (p->nodes[p->edges[i].ends[0]].stuck && p->nodes[p->edges[i].ends[1]].stuck)
            p->nodes[p->edges[i].ends[near]].degree++;
    for (size_t i = 0; i < p->nodes_count; i++)
        if (p->nodes[i].stuck && p->nodes[i].degree == 0)
            todo[count++] = i;
    while (count > 0) {
        size_t gone = todo[--count];
        p->nodes[gone].stuck = false;
        for (size_t i = first_edge(p, far, gone);
             i < p->edges_count && p->edges[i].ends[far] == gone; i++) {
            struct node *n = &p->nodes[p->edges[i].ends[near]];
            if (n->stuck && --n->degree == 0)
                todo[count++] = p->edges[i].ends[near];
        }
    }
}

static void mark_cycles(struct picture *p)
{
    size_t *todo = calloc(p->nodes_count + 1, sizeof *todo);
    if (todo == NULL) {
        p->error = PEN_ENOMEM;
        return;
    }
    for (size_t i = 0; i < p->nodes_count; i++)
        p->nodes[i].stuck = true;
    strip(p, 0, todo);
    strip(p, 1, todo);
    if (p->edges_count > 0)
        qsort(p->edges, p->edges_count, sizeof *p->edges, compare_from);
    free(todo);
}

/* ---- writing ---- */

#define PUT(p, ...) \
    do { \
        if ((p)->error == 0) \
            (p)->error = buf_printf(&(p)->text, __VA_ARGS__); \
    } while (0)

/* A text of bytes that are not ours: what is not plain ASCII is escaped as a code point of its own. */
static void put_text(struct picture *p, const char *text)
{
    PUT(p, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < 0x20 || *c >= 0x7f || *c == '"' || *c == '\\')
            PUT(p, "\\u%04x", *c);
        else
            PUT(p, "%c", *c);
    }
    PUT(p, "\"");
}

static void put_ms(struct picture *p, const char *name, span_t span)
{
    int64_t us = span.ns / 1000;
    PUT(p, ",\"%s\":%" PRId64 ".%03d", name, us / 1000, (int)(us % 1000));
}

static void begin_list(struct picture *p, const char *name)
{
    PUT(p, "\"%s\":[", name);
    p->comma = "";
}

static void begin_element(struct picture *p)
{
    PUT(p, "%s{\"name\":", p->comma);
    p->comma = ",";
}

static void put_loop(struct pen_loop *loop, void *arg)
{
    struct picture *p = arg;
    struct loop_view v;
    loop_look(loop, p->now, &v);
    begin_element(p);
    put_text(p, v.name);
    PUT(p, ",\"state\":\"%s\",\"thread\":%d",
        !v.runs         ? "stopped"
        : v.busy.ns > 0 ? "running"
                        : "sleeping",
        v.thread_id);
    put_ms(p, "busy_ms", v.busy);
    if (v.running[0] != '\0') {
        PUT(p, ",\"running\":");
        put_text(p, v.running);
        PUT(p, ",\"running_id\":%" PRIu64, v.running_id);
    }
    PUT(p, ",\"inbox\":%u,\"timers\":%u,\"turns\":%" PRIu64 "}", v.inbox, v.timers, v.turns);
}

static void put_pool(struct listed *object, void *arg)
{
    struct picture *p = arg;
    struct pool_view v;
    pool_look(object, &v);
    begin_element(p);
    put_text(p, v.name);
    PUT(p, ",\"state\":\"%s\",\"threads\":%u,\"idle\":%u,\"waiting\":%" PRIu64 "}",
        v.broken      ? "broken"
        : v.shut_down ? "shut down"
                      : "open",
        v.threads, v.idle, v.waiting);
}

static void put_edges(struct picture *p, size_t from)
{
    const char *comma = "";
    PUT(p, ",\"waits_for\":[");
    for (size_t i = first_edge(p, 0, from); i < p->edges_count && p->edges[i].ends[0] == from; i++) {
        PUT(p, "%s%zu", comma, p->edges[i].ends[1] + 1);
        comma = ",";
    }
    PUT(p, "]%s}", p->nodes[from].stuck ? ",\"cycle\":true" : "");
}

static void put_node(struct picture *p, size_t i)
{
    const struct future_view *v = &p->nodes[i].view;
    begin_element(p);
    put_text(p, v->name);
    PUT(p, ",\"id\":%zu", i + 1);
    if (!v->is_group)
        PUT(p, ",\"state\":\"%s\"", v->state == PEN_FUTURE_RUNNING ? "running" : "waiting");
    if (v->home[0] != '\0') {
        PUT(p, ",\"on\":");
        put_text(p, v->home);
    }
    put_ms(p, "age_ms", mono_since(p->now, v->made));
    PUT(p, ",\"awaited\":%s", v->awaited ? "true" : "false");
    put_edges(p, i);
}

static void put_nodes(struct picture *p, const char *name, bool groups)
{
    begin_list(p, name);
    for (size_t i = 0; i < p->nodes_count; i++)
        if (p->nodes[i].view.is_group == groups)
            put_node(p, i);
    PUT(p, "]");
}

static void put_all(struct picture *p)
{
    PUT(p, "{");
    begin_list(p, "loops");
    loops_each(put_loop, p);
    PUT(p, "],");
    begin_list(p, "pools");
    each(LISTED_POOL, put_pool, p);
    PUT(p, "],");
    put_nodes(p, "groups", true);
    PUT(p, ",");
    put_nodes(p, "jobs", false);
    PUT(p, ",\"jobs_left_out\":%zu}", p->left_out);
    if (p->error == 0)
        p->error = buf_append(&p->text, "", 1);
}

int pen_tasks_snapshot(char **ret_json)
{
    struct picture p = { .now = clock_mono() };
    each(LISTED_FUTURE, collect_future, &p);
    each(LISTED_GROUP, collect_group, &p);
    resolve(&p);
    mark_cycles(&p);
    put_all(&p);
    char *json = p.error == 0 ? strdup((const char *)buf_at(&p.text)) : NULL;
    if (p.error == 0 && json == NULL)
        p.error = PEN_ENOMEM;
    if (json != NULL)
        *ret_json = json;
    buf_fini(&p.text);
    free(p.nodes);
    free(p.edges);
    return p.error;
}
