/* SPDX-License-Identifier: Apache-2.0
 *
 * news: pages are fetched over HTTP and parsed, on N event loops.
 *
 * It is the benchmark that is often used to show what free threads are worth to Python's asyncio: a list of pages in a
 * queue, N threads with an event loop each that take from it, fetch and parse. Here the site is invented
 * (news_site.c) and served on the loopback interface by a process of its own; the client is libevent's, and the parser
 * libxml2's for HTML. What was read is checked against what the site was made from.
 *
 * --baseline processes measures one loop, N loops, one process and N processes, each process on a processor of its own
 * with one loop and its share of the pages. They take turns in every round:
 *
 *     relative efficiency = (N loops / one loop) / (N processes / one process), in news per second
 *
 * Threads: main puts the numbers of pages into the queue and waits for its end; each loop owns its struct worker.
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <libxml/HTMLparser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/libevent.h>
#include <penstock/loopgroup.h>
#include <penstock/queue.h>

#include "common.h"
#include "news_site.h"

enum { ROUNDS_MAX = 1000, CONNECTIONS_MAX = 64 };

struct config {
    uint64_t workers, pages, connections, rounds;
    bool json, baseline;
    uint16_t port;
};

/* ---- parsing ---- */

static bool has_class(xmlNode *node, const char *name)
{
    xmlChar *class = xmlGetProp(node, BAD_CAST "class");
    size_t bytes = strlen(name);
    bool has = class != NULL && strncmp((char *)class, name, bytes) == 0 &&
               (class[bytes] == '\0' || class[bytes] == ' ');
    xmlFree(class);
    return has;
}

static bool is(xmlNode *node, const char *element)
{
    return node != NULL && node->type == XML_ELEMENT_NODE &&
           strcmp((const char *)node->name, element) == 0;
}

static uint64_t leading_number(xmlNode *node)
{
    xmlChar *text = xmlNodeGetContent(node);
    uint64_t number = text != NULL ? strtoull((char *)text, NULL, 10) : 0;
    xmlFree(text);
    return number;
}

static void add_title(struct news *sum, xmlNode *line)
{
    xmlNode *link = xmlFirstElementChild(line);
    xmlChar *title = is(link, "a") ? xmlNodeGetContent(link) : NULL;
    if (title != NULL)
        sum->titles += title_hash((char *)title);
    xmlFree(title);
}

/* The last link of a story's second row: "12 comments", or "discuss" for none. */
static void add_comments(struct news *sum, xmlNode *line)
{
    xmlNode *last = xmlLastElementChild(line);
    if (is(last, "a"))
        sum->comments += leading_number(last);
}

static void add_element(struct news *sum, xmlNode *node)
{
    if (is(node, "tr") && has_class(node, "athing"))
        sum->stories++;
    if (!is(node, "span"))
        return;
    if (has_class(node, "titleline"))
        add_title(sum, node);
    else if (has_class(node, "score"))
        sum->points += leading_number(node);
    else if (has_class(node, "subline"))
        add_comments(sum, node);
}

/* The node after this one in the order of the page; NULL at the end. */
static xmlNode *next_node(xmlNode *node)
{
    if (node->children != NULL && node->type == XML_ELEMENT_NODE)
        return node->children;
    while (node != NULL && node->next == NULL)
        node = node->parent;
    return node != NULL ? node->next : NULL;
}

static bool parse(const char *text, size_t bytes, struct news *sum)
{
    int options = HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET;
    htmlDocPtr page = htmlReadMemory(text, (int)bytes, NULL, "utf-8", options);
    if (page == NULL)
        return false;
    sum->pages++;
    for (xmlNode *node = xmlDocGetRootElement(page); node != NULL; node = next_node(node))
        add_element(sum, node);
    xmlFreeDoc(page);
    return true;
}

/* ---- fetching ---- */

struct worker;

/* One connection, which fetches one page after the other. */
struct fetcher {
    struct worker *worker;
    struct evhttp_connection *connection;
    bool busy;
};

struct worker {
    const struct config *config;
    struct pen_queue *queue;
    struct pen_loop *loop;
    struct pen_getter *getter;
    struct fetcher fetchers[CONNECTIONS_MAX];
    uint64_t busy;
    struct news news;
};

static void on_page(struct evhttp_request *request, void *arg)
{
    struct fetcher *f = arg;
    struct worker *w = f->worker;
    int r = pen_loop_enter(w->loop);
    if (r < 0)
        die("pen_loop_enter", r);
    if (request == NULL || evhttp_request_get_response_code(request) != HTTP_OK)
        die("a page could not be fetched", PEN_EBROKEN);
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    size_t bytes = evbuffer_get_length(body);
    const unsigned char *text = evbuffer_pullup(body, -1);
    if (text == NULL || !parse((const char *)text, bytes, &w->news))
        die("a page could not be parsed", PEN_EBROKEN);
    f->busy = false;
    w->busy--;
    if ((r = pen_queue_task_done(w->queue, 1)) < 0)
        die("pen_queue_task_done", r);
    pen_getter_resume(w->getter);
}

static void fetch(struct fetcher *f, uint64_t page)
{
    char target[32];
    snprintf(target, sizeof target, "/news?p=%" PRIu64, page);
    struct evhttp_request *request = evhttp_request_new(on_page, f);
    if (request == NULL)
        die("evhttp_request_new", PEN_ENOMEM);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Host", "127.0.0.1");
    if (evhttp_make_request(f->connection, request, EVHTTP_REQ_GET, target) != 0)
        die("evhttp_make_request", PEN_ENOMEM);
    f->busy = true;
}

/* The getter is paused while every connection is busy, so there is one that is not. */
static void on_items(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    (void)n; /* 1, the budget */
    struct worker *w = arg;
    struct fetcher *f = w->fetchers;
    while (f->busy)
        f++;
    fetch(f, *(const uint64_t *)items[0].ptr);
    if (++w->busy == w->config->connections)
        pen_getter_pause(getter);
}

/* main joins the queue: it knows when the last page has been parsed. */
static void on_shutdown(struct pen_getter *getter, void *arg)
{
    (void)getter;
    (void)arg;
}

static void worker_init(struct worker *w)
{
    struct pen_getter_options options = {
        .budget = 1, .on_items = on_items, .on_shutdown = on_shutdown, .arg = w
    };
    int r = pen_queue_attach(w->queue, w->loop, &options, &w->getter);
    if (r < 0)
        die("pen_queue_attach", r);
    struct event_base *base = pen_loop_event_base(w->loop);
    for (uint64_t i = 0; i < w->config->connections; i++) {
        struct fetcher *f = &w->fetchers[i];
        f->worker = w;
        f->connection = evhttp_connection_base_new(base, NULL, "127.0.0.1", w->config->port);
        if (f->connection == NULL)
            die("evhttp_connection_base_new", PEN_ENOMEM);
    }
}

static void worker_fini(struct worker *w)
{
    for (uint64_t i = 0; i < w->config->connections; i++)
        evhttp_connection_free(w->fetchers[i].connection);
    pen_getter_close(&w->getter);
}

/* ---- workers ---- */

/* The pages first, first + step, ... of all. */
struct share {
    uint64_t first, step;
};

struct crew {
    struct pen_queue *queue;
    struct pen_loopgroup *loops;
    struct worker *workers;
    uint32_t count;
};

static void crew_start(struct crew *crew, const struct config *config)
{
    struct pen_loopgroup_options options = { .name = "worker", .loops = crew->count };
    crew->workers = calloc(crew->count, sizeof *crew->workers);
    int r = crew->workers == NULL ? PEN_ENOMEM : pen_queue_new(NULL, &crew->queue);
    if (r == 0)
        r = pen_loopgroup_new(&options, &crew->loops);
    if (r < 0)
        die("the workers", r);
    for (uint32_t i = 0; i < crew->count; i++) {
        struct worker *w = &crew->workers[i];
        w->config = config;
        w->queue = crew->queue;
        w->loop = pen_loopgroup_at(crew->loops, i);
        worker_init(w);
    }
    if ((r = pen_loopgroup_start(crew->loops)) < 0)
        die("pen_loopgroup_start", r);
}

/* Put the share's pages, and wait until each of them has been parsed. */
static void crew_work(struct crew *crew, const struct config *config, struct share share)
{
    uint64_t *numbers = calloc(config->pages, sizeof *numbers);
    if (numbers == NULL)
        die("calloc", 0);
    int r = 0;
    for (uint64_t page = share.first; page < config->pages && r == 0; page += share.step) {
        numbers[page] = page;
        r = pen_queue_put(crew->queue, &numbers[page], 0, PEN_NEVER);
    }
    pen_queue_shutdown(crew->queue, PEN_SHUTDOWN_GRACEFUL);
    if (r == 0)
        r = pen_queue_join(crew->queue, PEN_NEVER);
    if (r < 0)
        die("the queue of pages", r);
    free(numbers);
}

static void crew_stop(struct crew *crew, struct news *ret_news)
{
    pen_loopgroup_stop(crew->loops);
    int r = pen_loopgroup_join(crew->loops);
    if (r < 0)
        die("pen_loopgroup_join", r);
    *ret_news = (struct news){ 0 };
    for (uint32_t i = 0; i < crew->count; i++) {
        news_add(ret_news, &crew->workers[i].news);
        worker_fini(&crew->workers[i]);
    }
    pen_loopgroup_free(&crew->loops);
    pen_queue_free(&crew->queue);
    free(crew->workers);
}

/* Fetch and parse the share on so many loops. Returns the seconds, with the loops' beginning and end, which count in a
 * process, too. */
static double read_share(const struct config *config, uint64_t workers, struct share share,
                         struct news *ret_news)
{
    struct crew crew = { .count = (uint32_t)workers };
    int64_t start_ns = pen_now().ns;
    crew_start(&crew, config);
    crew_work(&crew, config, share);
    crew_stop(&crew, ret_news);
    return seconds_since(start_ns);
}

/* ---- measuring ---- */

static void check_news(const struct config *config, const struct news *read)
{
    struct news site = site_content(0, 1, config->pages);
    if (!news_equal(read, &site))
        die("what was read is not what is on the pages", PEN_EBROKEN);
}

static double run_loops(const struct config *config, uint64_t workers)
{
    struct news read;
    double seconds = read_share(config, workers, (struct share){ 0, 1 }, &read);
    check_news(config, &read);
    return seconds;
}

struct reader {
    const struct config *config;
    unsigned processes;
};

static void reader_process(unsigned index, void *arg, void *ret_result)
{
    const struct reader *reader = arg;
    struct share share = { index, reader->processes };
    (void)read_share(reader->config, 1, share, ret_result);
}

static double run_processes(const struct config *config, uint64_t n)
{
    struct reader reader = { config, (unsigned)n };
    struct news *each = calloc(n, sizeof *each), read = { 0 };
    if (each == NULL)
        die("calloc", 0);
    double seconds = processes_run((unsigned)n, reader_process, &reader, each, sizeof *each);
    for (uint64_t i = 0; i < n; i++)
        news_add(&read, &each[i]);
    free(each);
    check_news(config, &read);
    return seconds;
}

enum way { ONE_LOOP, LOOPS, ONE_PROCESS, PROCESSES, WAYS };

static double run_way(const struct config *config, enum way way)
{
    switch (way) {
    case ONE_LOOP:
        return run_loops(config, 1);
    case LOOPS:
        return run_loops(config, config->workers);
    case ONE_PROCESS:
        return run_processes(config, 1);
    default:
        return run_processes(config, config->workers);
    }
}

struct figures {
    double speed[WAYS][ROUNDS_MAX]; /* news per second */
    double loops_speedup[ROUNDS_MAX], processes_speedup[ROUNDS_MAX], efficiency[ROUNDS_MAX];
};

static void measure(const struct config *config, struct figures *f)
{
    double news = (double)(config->pages * STORIES_PER_PAGE);
    for (uint64_t round = 0; round < config->rounds; round++) {
        for (unsigned i = 0; i < WAYS; i++) { /* None is always the first. */
            enum way way = (enum way)((i + round) % WAYS);
            f->speed[way][round] = news / run_way(config, way);
        }
        f->loops_speedup[round] = f->speed[LOOPS][round] / f->speed[ONE_LOOP][round];
        f->processes_speedup[round] = f->speed[PROCESSES][round] / f->speed[ONE_PROCESS][round];
        f->efficiency[round] = f->loops_speedup[round] / f->processes_speedup[round];
    }
}

static void print_head(const struct config *config)
{
    uint64_t news = config->pages * STORIES_PER_PAGE;
    if (config->json)
        printf("{\"program\": \"news\", \"workers\": %" PRIu64 ", \"pages\": %" PRIu64
               ", \"news\": %" PRIu64 ", \"ok\": true",
               config->workers, config->pages, news);
    else
        printf("%" PRIu64 " pages with %" PRIu64 " news, %" PRIu64 " workers; all were read.\n",
               config->pages, news, config->workers);
}

static void compare(const struct config *config)
{
    static struct figures f;
    measure(config, &f);
    const struct line lines[] = {
        { "one_loop_per_second", "news/s, one loop", f.speed[ONE_LOOP] },
        { "loops_per_second", "news/s, all loops", f.speed[LOOPS] },
        { "one_process_per_second", "news/s, one process", f.speed[ONE_PROCESS] },
        { "processes_per_second", "news/s, all processes", f.speed[PROCESSES] },
        { "loops_speedup", "speed-up of the loops", f.loops_speedup },
        { "processes_speedup", "speed-up of the processes", f.processes_speedup },
        { "relative_efficiency", "relative efficiency", f.efficiency },
    };
    print_head(config);
    if (config->json)
        printf(", \"rounds\": %" PRIu64, config->rounds);
    lines_print(lines, sizeof lines / sizeof *lines, config->rounds, config->json);
    if (config->json)
        printf("}\n");
}

static void run_once(const struct config *config)
{
    double seconds = run_loops(config, config->workers);
    double speed = (double)(config->pages * STORIES_PER_PAGE) / seconds;
    print_head(config);
    if (config->json)
        printf(", \"seconds\": %.6f, \"per_second\": %.1f}\n", seconds, speed);
    else
        printf("Parsing speed: %.0f news/s\n", speed);
}

int main(int argc, char **argv)
{
    struct config config = { .workers = 2, .pages = 400, .connections = 4, .rounds = 7 };
    const struct option_row rows[] = {
        { "workers", .number = &config.workers, .min = 1, .max = 64 },
        { "pages", .number = &config.pages, .min = 1, .max = 10000 },
        { "connections", .number = &config.connections, .min = 1, .max = CONNECTIONS_MAX },
        { "rounds", .number = &config.rounds, .min = 1, .max = ROUNDS_MAX },
        { "baseline", .word = "processes", .chosen = &config.baseline },
        { "json", .flag = &config.json },
    };
    options_read(argc, argv, rows, sizeof rows / sizeof *rows);
    struct server site;
    server_start(&site, site_serve, &config.pages);
    config.port = site.port;
    xmlInitParser();
    if (config.baseline)
        compare(&config);
    else
        run_once(&config);
    xmlCleanupParser();
    server_stop(&site, NULL, 0);
    return 0;
}
