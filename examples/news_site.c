/* SPDX-License-Identifier: Apache-2.0
 *
 * The site that examples/news reads. A page is 30 stories in the markup of a well-known list of news: a table, two rows
 * for each story, entities in the titles, attributes without quotes, end tags left out. Everything on it follows from
 * the number of the story, so that the reader's sums can be checked without a parser.
 *
 * Pages are made before the first request, and sent from where they lie.
 */
#include "news_site.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <penstock/libevent.h>
#include <penstock/loop.h>

enum { TITLE_BYTES = 160, WORDS_MIN = 4, WORDS_MORE = 7 };

/* ---- stories ---- */

/* Some want escaping, and some are not ASCII. */
static const char *const words[] = {
    "queues",  "threads", "C & C++",   "a",    "the",     "<parsers>", "without", "locks",
    "naïve",   "caches",  "\"fast\"",  "in",   "AT&T",    "practice",  "event",   "loops",
    "on",      "every",   "core",      "why",  "sockets", "1 < 2",     "Zürich",  "considered",
    "harmful", "show",    "databases", "from", "scratch", "don't",     "block",   "…",
};

struct story {
    uint64_t id, points, comments;
    char title[TITLE_BYTES];
};

/* splitmix64: the next of a sequence of numbers that look like chance. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void make_story(uint64_t id, struct story *ret_story)
{
    uint64_t state = id;
    ret_story->id = id;
    ret_story->points = 1 + next(&state) % 900;
    ret_story->comments = next(&state) % 4 == 0 ? 0 : 1 + next(&state) % 500;
    uint64_t count = WORDS_MIN + next(&state) % WORDS_MORE;
    size_t at = 0;
    for (uint64_t i = 0; i < count; i++)
        at += (size_t)snprintf(ret_story->title + at, TITLE_BYTES - at, "%s%s", i > 0 ? " " : "",
                               words[next(&state) % (sizeof words / sizeof *words)]);
}

uint64_t title_hash(const char *title)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (; *title != '\0'; title++)
        hash = (hash ^ (unsigned char)*title) * 0x100000001b3;
    return hash;
}

void news_add(struct news *sum, const struct news *other)
{
    sum->pages += other->pages;
    sum->stories += other->stories;
    sum->points += other->points;
    sum->comments += other->comments;
    sum->titles += other->titles;
}

bool news_equal(const struct news *a, const struct news *b)
{
    return a->pages == b->pages && a->stories == b->stories && a->points == b->points &&
           a->comments == b->comments && a->titles == b->titles;
}

struct news site_content(uint64_t first, uint64_t step, uint64_t end)
{
    struct news sum = { 0 };
    for (uint64_t page = first; page < end; page += step) {
        sum.pages++;
        for (uint64_t i = 0; i < STORIES_PER_PAGE; i++) {
            struct story story;
            make_story(page * STORIES_PER_PAGE + i, &story);
            sum.stories++;
            sum.points += story.points;
            sum.comments += story.comments;
            sum.titles += title_hash(story.title);
        }
    }
    return sum;
}

/* ---- pages ---- */

static void add(struct evbuffer *page, const char *form, ...) __attribute__((format(printf, 2, 3)));

static void add(struct evbuffer *page, const char *form, ...)
{
    va_list args;
    va_start(args, form);
    int n = evbuffer_add_vprintf(page, form, args);
    va_end(args);
    if (n < 0)
        die("evbuffer_add_vprintf", PEN_ENOMEM);
}

static void add_story(struct evbuffer *page, const struct story *s, uint64_t rank)
{
    uint64_t id = s->id;
    char *title = evhttp_htmlescape(s->title);
    if (title == NULL)
        die("evhttp_htmlescape", PEN_ENOMEM);
    add(page,
        "<tr class='athing submission' id='%" PRIu64 "'>\n"
        "<td align=right valign=top class=title><span class=rank>%" PRIu64 ".</span></td>"
        "<td valign=top class=votelinks><center><a id='up_%" PRIu64 "' href='vote?id=%" PRIu64
        "&amp;how=up&amp;goto=news'><div class=votearrow title=upvote></div></a></center></td>"
        "<td class=title><span class=titleline><a href=\"https://www.example.com/%" PRIu64
        "/?a=1&amp;b=2\">%s</a><span class=\"sitebit comhead\"> (<a href=\"from?site=example.com\">"
        "<span class=sitestr>example.com</span></a>)</span></span></td></tr>\n",
        id, rank, id, id, id, title);
    free(title);
    add(page,
        "<tr><td colspan=2><td class=subtext><span class=subline>\n"
        "<span class=score id='score_%" PRIu64 "'>%" PRIu64 " points</span> by "
        "<a href='user?id=u%" PRIu64 "' class=hnuser>u%" PRIu64 "</a> "
        "<span class=age title='2026-01-01T00:00:00'><a href='item?id=%" PRIu64 "'>%" PRIu64
        " hours ago</a></span> | <a href='hide?id=%" PRIu64 "&amp;goto=news'>hide</a> | ",
        id, s->points, id % 977, id % 977, id, 1 + id % 23, id);
    if (s->comments > 0)
        add(page, "<a href='item?id=%" PRIu64 "'>%" PRIu64 "&nbsp;comments</a>", id, s->comments);
    else
        add(page, "<a href='item?id=%" PRIu64 "'>discuss</a>", id);
    add(page, "\n</span></td></tr>\n<tr class=spacer style='height:5px'></tr>\n");
}

static struct evbuffer *make_page(uint64_t number)
{
    struct evbuffer *page = evbuffer_new();
    if (page == NULL)
        die("evbuffer_new", PEN_ENOMEM);
    add(page,
        "<html lang=en op=news><head><meta charset=utf-8><title>News, page %" PRIu64
        "</title><link rel=stylesheet href=news.css></head>\n<body><center>"
        "<table id=main border=0 cellpadding=0 cellspacing=0 width='85%%'>\n",
        number);
    for (uint64_t i = 0; i < STORIES_PER_PAGE; i++) {
        struct story story;
        make_story(number * STORIES_PER_PAGE + i, &story);
        add_story(page, &story, number * STORIES_PER_PAGE + i + 1);
    }
    add(page, "</table></center></body></html>\n");
    if (evbuffer_pullup(page, -1) == NULL)
        die("evbuffer_pullup", PEN_ENOMEM);
    return page;
}

/* ---- the server ---- */

struct site {
    struct pen_loop *loop;
    uint64_t pages_count;
    struct evbuffer **pages;
};

/* Which page is asked for; pages_count when none. */
static uint64_t asked_page(const struct site *site, struct evhttp_request *request)
{
    struct evkeyvalq query;
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    if (text == NULL || evhttp_parse_query_str(text, &query) != 0)
        return site->pages_count;
    const char *value = evhttp_find_header(&query, "p");
    char *end = NULL;
    uint64_t page = value != NULL ? strtoull(value, &end, 10) : site->pages_count;
    bool number = value != NULL && end != value && *end == '\0';
    evhttp_clear_headers(&query);
    return number && page < site->pages_count ? page : site->pages_count;
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct site *site = arg;
    int r = pen_loop_enter(site->loop);
    if (r < 0)
        die("pen_loop_enter", r);
    uint64_t number = asked_page(site, request);
    if (number == site->pages_count) {
        evhttp_send_error(request, HTTP_NOTFOUND, NULL);
        return;
    }
    struct evbuffer *page = site->pages[number], *reply = evbuffer_new();
    size_t bytes = evbuffer_get_length(page);
    if (reply == NULL ||
        evbuffer_add_reference(reply, evbuffer_pullup(page, -1), bytes, NULL, NULL) != 0)
        die("evbuffer_add_reference", PEN_ENOMEM);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                      "text/html; charset=utf-8");
    evhttp_send_reply(request, HTTP_OK, "OK", reply);
    evbuffer_free(reply);
}

static void on_leash(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct site *site = arg;
    if (pen_loop_enter(site->loop) == 0)
        pen_loop_stop(site->loop);
}

static uint16_t port_of(evutil_socket_t fd)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        die("getsockname", 0);
    return ntohs(address.sin_port);
}

/* libevent writes at most 16 KiB at a time, and the rest of a page must not wait for the client's acknowledgement. What is
 * set on the listener holds for the connections that it accepts. */
static void send_at_once(evutil_socket_t listener)
{
    int on = 1;
    if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        die("TCP_NODELAY", 0);
}

static void serve_until_leash(struct site *site, struct server_end end)
{
    struct event_base *base = pen_loop_event_base(site->loop);
    struct evhttp *http = evhttp_new(base);
    struct event *leash = event_new(base, end.leash, EV_READ, on_leash, site);
    if (http == NULL || leash == NULL || event_add(leash, NULL) != 0)
        die("libevent", PEN_ENOMEM);
    evhttp_set_gencb(http, on_request, site);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
    if (bound == NULL)
        die("evhttp_bind_socket", 0);
    send_at_once(evhttp_bound_socket_get_fd(bound));
    uint16_t port = port_of(evhttp_bound_socket_get_fd(bound));
    write_all(end.report, &port, sizeof port);
    int r = pen_loop_run(site->loop);
    if (r < 0)
        die("pen_loop_run", r);
    event_free(leash);
    evhttp_free(http);
}

void site_serve(struct server_end end, void *arg)
{
    struct site site = { .pages_count = *(const uint64_t *)arg };
    site.pages = calloc(site.pages_count, sizeof *site.pages);
    if (site.pages == NULL)
        die("calloc", 0);
    for (uint64_t i = 0; i < site.pages_count; i++)
        site.pages[i] = make_page(i);
    int r = pen_loop_new(&(struct pen_loop_options){ .name = "site" }, &site.loop);
    if (r < 0)
        die("pen_loop_new", r);
    serve_until_leash(&site, end);
    pen_loop_free(&site.loop);
    for (uint64_t i = 0; i < site.pages_count; i++)
        evbuffer_free(site.pages[i]);
    free(site.pages);
}
