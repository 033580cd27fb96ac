/* SPDX-License-Identifier: Apache-2.0
 *
 * Random commands against the queue and against a naive model of it: a list that is searched from end to end. One
 * thread; its loop is run a few turns at a time, so that every answer and every event can be foretold.
 *
 * queue_model [SEED]: the seed is printed; PENSTOCK_LONG=1 runs ten times as long. A sequence that fails is shrunk to one from
 * which no command can be left out, and printed. The meaning of a command is fixed when it runs, from its number, so
 * that any part of a sequence is a sequence.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <penstock/queue.h>

#include "plat/clock.h"
#include "random.h"

enum {
    COMMANDS = 100000,
    COMMANDS_LONG = 1000000,
    SEQUENCE = 120,
    HELD_MOST = 64,
    BATCH = 8,
    BUDGET = 3
};

enum op {
    OP_PUT,
    OP_PUT_MANY,
    OP_GET,
    OP_GET_MANY,
    OP_PEEK,
    OP_TASK_DONE,
    OP_JOIN,
    OP_PUTTER_PUT,
    OP_SETTLE,
    OP_PAUSE,
    OP_RESUME,
    OP_ATTACH,
    OP_DETACH,
    OP_RESIZE,
    OP_CLEAR,
    OP_SHUTDOWN,
    OPS
};

static const char *const op_names[OPS] = { "put",    "put_many",  "get",    "get_many",
                                           "peek",   "task_done", "join",   "putter_put",
                                           "settle", "pause",     "resume", "attach",
                                           "detach", "resize",    "clear",  "shutdown" };

/* How often each comes, of the sum. */
static const unsigned op_weights[OPS] = { 20, 8, 14, 6, 4, 8, 3, 8, 10, 2, 3, 2, 1, 3, 1, 1 };

struct command {
    enum op op;
    uint64_t number; /* decides what its arguments are */
};

/* ---- the model ---- */

struct held {
    size_t number, bytes;
};

struct model {
    enum pen_queue_kind kind;
    uint64_t items_max, bytes_max;
    struct held held[HELD_MOST];
    size_t count;
    uint64_t bytes, put, got, drained, done, high;
    uint64_t drained_sum;
    bool closed, immediate;
    /* the getter: what its events must have said */
    bool attached, paused, over;
    uint64_t taken, taken_sum, overs;
    /* the putter */
    bool wanting;
    size_t need;
    uint64_t rooms, shutdowns;
};

static int64_t rank_of(const void *ptr, void *arg)
{
    (void)arg;
    return (int64_t)((size_t)ptr % 5);
}

/* The index of the item that comes next. */
static size_t model_next(const struct model *m)
{
    if (m->kind == PEN_QUEUE_LIFO)
        return m->count - 1;
    size_t best = 0;
    for (size_t i = 1; m->kind == PEN_QUEUE_PRIORITY && i < m->count; i++)
        if (m->held[i].number % 5 < m->held[best].number % 5)
            best = i;
    return best;
}

static struct held model_take(struct model *m)
{
    size_t at = model_next(m);
    struct held h = m->held[at];
    memmove(&m->held[at], &m->held[at + 1], (m->count - at - 1) * sizeof h);
    m->count--;
    m->bytes -= h.bytes;
    return h;
}

static int model_put(struct model *m, size_t number, size_t bytes)
{
    if (m->closed)
        return PEN_ESHUTDOWN;
    if (bytes > m->bytes_max)
        return PEN_ETOOBIG;
    if (m->count >= m->items_max || m->bytes + bytes > m->bytes_max)
        return PEN_EFULL;
    m->held[m->count++] = (struct held){ number, bytes };
    m->bytes += bytes;
    m->put++;
    if (m->count > m->high)
        m->high = m->count;
    return 0;
}

static int model_empty(const struct model *m)
{
    return m->closed ? PEN_ESHUTDOWN : PEN_EEMPTY;
}

static void model_drain(struct model *m)
{
    while (m->count > 0) {
        m->drained_sum += model_take(m).number;
        m->drained++;
        if (m->done < m->put)
            m->done++;
    }
}

/* What the loop's events do when all that is due has come. */
static void model_settle(struct model *m)
{
    if (m->attached && !m->paused && !m->over) {
        while (m->count > 0) {
            m->taken_sum += model_take(m).number;
            m->taken++;
            m->got++;
        }
        if (m->closed) {
            m->over = true;
            m->overs++;
        }
    }
    if (!m->wanting)
        return;
    bool room =
        m->need > m->bytes_max || (m->count < m->items_max && m->bytes + m->need <= m->bytes_max);
    m->shutdowns += m->closed;
    m->rooms += !m->closed && room;
    m->wanting = !m->closed && !room;
}

/* ---- the real one ---- */

struct world {
    struct model m;
    struct pen_queue *q;
    struct pen_loop *loop;
    struct pen_getter *getter;
    struct pen_putter *putter;
    size_t next_number;
    uint64_t taken, taken_sum, overs, rooms, shutdowns, drained, drained_sum;
    char why[200]; /* what went wrong; "" : nothing */
};

static void expect(struct world *w, const char *what, int64_t is, int64_t should)
{
    if (is != should && w->why[0] == '\0')
        snprintf(w->why, sizeof w->why, "%s is %" PRId64 " and should be %" PRId64, what, is, should);
}

static void on_items(struct pen_getter *g, const struct pen_item *items, size_t n, void *arg)
{
    (void)g;
    struct world *w = arg;
    expect(w, "an event's size within the budget", n >= 1 && n <= BUDGET, true);
    for (size_t i = 0; i < n; i++)
        w->taken_sum += (size_t)items[i].ptr;
    w->taken += n;
}

static void on_over(struct pen_getter *g, void *arg)
{
    (void)g;
    struct world *w = arg;
    w->overs++;
}

static void on_room(struct pen_putter *p, void *arg)
{
    (void)p;
    struct world *w = arg;
    w->rooms++;
}

static void on_putter_shutdown(struct pen_putter *p, void *arg)
{
    (void)p;
    struct world *w = arg;
    w->shutdowns++;
}

static void destroy(void *ptr, void *arg)
{
    struct world *w = arg;
    w->drained++;
    w->drained_sum += (size_t)ptr;
}

static void stop_loop(struct pen_loop *loop, void *arg, int status)
{
    (void)arg;
    (void)status;
    pen_loop_stop(loop);
}

/* Run the loop for as many turns as can bring anything. */
static void settle(struct world *w)
{
    for (int i = 0; i < HELD_MOST / BUDGET + 6; i++) {
        expect(w, "call_soon", pen_loop_call_soon(w->loop, stop_loop, NULL), 0);
        expect(w, "loop_run", pen_loop_run(w->loop), 0);
    }
}

static void do_put(struct world *w, uint64_t number, size_t n, bool many)
{
    struct pen_item items[BATCH];
    size_t put = 77, should = 0;
    int r = 0;
    for (size_t i = 0; i < n; i++, number >>= 4)
        items[i] = (struct pen_item){ (void *)(w->next_number + i), number % 13 };
    for (; should < n && (r = model_put(&w->m, w->next_number + should, items[should].bytes)) == 0;
         should++) {
    }
    if (many) {
        expect(w, "put_many", pen_queue_put_many(w->q, items, n, PEN_NOW, &put), r);
        expect(w, "put_many's count", (int64_t)put, (int64_t)should);
    } else {
        expect(w, "put", pen_queue_put(w->q, items[0].ptr, items[0].bytes, PEN_NOW), r);
    }
    w->next_number += n;
}

static void do_putter_put(struct world *w, uint64_t number, size_t n)
{
    struct pen_item items[BATCH];
    int should = 0, r = 0;
    for (size_t i = 0; i < n; i++, number >>= 4)
        items[i] = (struct pen_item){ (void *)(w->next_number + i), number % 13 };
    for (; (size_t)should < n; should++)
        if ((r = model_put(&w->m, w->next_number + (size_t)should, items[should].bytes)) < 0)
            break;
    w->m.wanting = r == PEN_EFULL || (r < 0 && should > 0);
    if (w->m.wanting)
        w->m.need = items[should].bytes;
    expect(w, "putter_put", pen_putter_put(w->putter, items, n), r < 0 && !w->m.wanting ? r : should);
    w->next_number += n;
}

static void do_get(struct world *w, size_t max)
{
    struct pen_item items[BATCH];
    size_t got = 77;
    int r = pen_queue_get_many(w->q, items, max, PEN_NOW, &got);
    if (w->m.count == 0) {
        expect(w, "get_many of nothing", r, model_empty(&w->m));
        return;
    }
    size_t should = max < w->m.count ? max : w->m.count;
    expect(w, "get_many", r, 0);
    expect(w, "get_many's count", (int64_t)got, (int64_t)should);
    for (size_t i = 0; i < should && w->why[0] == '\0'; i++) {
        struct held h = model_take(&w->m);
        w->m.got++;
        expect(w, "an item got", (int64_t)items[i].ptr, (int64_t)h.number);
        expect(w, "its bytes", (int64_t)items[i].bytes, (int64_t)h.bytes);
    }
}

static void see(const struct pen_item *item, void *arg)
{
    *(size_t *)arg = (size_t)item->ptr;
}

static void do_peek(struct world *w)
{
    size_t seen = 0;
    int r = pen_queue_peek(w->q, see, &seen);
    expect(w, "peek", r, w->m.count > 0 ? 0 : model_empty(&w->m));
    if (w->m.count > 0)
        expect(w, "what peek shows", (int64_t)seen, (int64_t)w->m.held[model_next(&w->m)].number);
}

static void do_task_done(struct world *w, size_t n)
{
    bool too_many = n > w->m.put - w->m.done;
    expect(w, "task_done", pen_queue_task_done(w->q, n), too_many ? PEN_ETOOMANY : 0);
    w->m.done += too_many ? 0 : n;
}

static void do_attach(struct world *w)
{
    struct pen_getter_options o = {
        .budget = BUDGET, .on_items = on_items, .on_shutdown = on_over, .arg = w
    };
    if (w->getter != NULL)
        return;
    expect(w, "attach", pen_queue_attach(w->q, w->loop, &o, &w->getter), 0);
    w->m.attached = true;
    w->m.paused = w->m.over = false;
}

static void do_detach(struct world *w)
{
    pen_getter_close(&w->getter);
    w->m.attached = false;
}

static void do_resize(struct world *w, uint64_t number)
{
    uint32_t items = 1 + (uint32_t)(number % (HELD_MOST - 1));
    uint64_t bytes = number / HELD_MOST % 4 == 0 ? 0 : number / 256 % 60;
    expect(w, "resize", pen_queue_resize(w->q, items, bytes), 0);
    w->m.items_max = items;
    w->m.bytes_max = bytes == 0 ? UINT64_MAX / 2 : bytes;
}

static void do_shutdown(struct world *w, bool immediate)
{
    pen_queue_shutdown(w->q, immediate ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
    w->m.closed = true;
    if (immediate)
        model_drain(&w->m);
}

static void do_clear(struct world *w)
{
    expect(w, "clear", (int64_t)pen_queue_clear(w->q), (int64_t)w->m.count);
    model_drain(&w->m);
}

static void do_pause(struct world *w, bool pause)
{
    if (w->getter == NULL)
        return;
    w->m.paused = pause;
    if (pause)
        pen_getter_pause(w->getter);
    else
        pen_getter_resume(w->getter);
}

static void run_command(struct world *w, const struct command *c)
{
    size_t n = 1 + c->number % BATCH;
    uint64_t more = c->number / BATCH;
    switch (c->op) {
    case OP_PUT:
        do_put(w, more, 1, false);
        break;
    case OP_PUT_MANY:
        do_put(w, more, n, true);
        break;
    case OP_GET:
        do_get(w, 1);
        break;
    case OP_GET_MANY:
        do_get(w, n);
        break;
    case OP_PEEK:
        do_peek(w);
        break;
    case OP_TASK_DONE:
        do_task_done(w, n);
        break;
    case OP_JOIN:
        expect(w, "join", pen_queue_join(w->q, PEN_NOW), w->m.put == w->m.done ? 0 : PEN_ETIMEOUT);
        break;
    case OP_PUTTER_PUT:
        do_putter_put(w, more, n);
        break;
    case OP_SETTLE:
        settle(w);
        model_settle(&w->m);
        break;
    case OP_PAUSE:
    case OP_RESUME:
        do_pause(w, c->op == OP_PAUSE);
        break;
    case OP_ATTACH:
        do_attach(w);
        break;
    case OP_DETACH:
        do_detach(w);
        break;
    case OP_RESIZE:
        do_resize(w, more);
        break;
    case OP_CLEAR:
        do_clear(w);
        break;
    case OP_SHUTDOWN:
        do_shutdown(w, more % 2 == 0);
        break;
    case OPS:
        break;
    }
}

static void compare(struct world *w)
{
    struct pen_queue_stats s;
    pen_queue_stats(w->q, &s);
    expect(w, "items", (int64_t)s.items, (int64_t)w->m.count);
    expect(w, "bytes", (int64_t)s.bytes, (int64_t)w->m.bytes);
    expect(w, "put", (int64_t)s.put, (int64_t)w->m.put);
    expect(w, "got", (int64_t)s.got, (int64_t)w->m.got);
    expect(w, "done", (int64_t)s.done, (int64_t)w->m.done);
    expect(w, "drained", (int64_t)s.drained, (int64_t)w->m.drained);
    expect(w, "destroyed", (int64_t)w->drained, (int64_t)w->m.drained);
    expect(w, "the sum of the destroyed", (int64_t)w->drained_sum, (int64_t)w->m.drained_sum);
    expect(w, "unfinished", (int64_t)s.unfinished, (int64_t)(w->m.put - w->m.done));
    expect(w, "items_high", (int64_t)s.items_high, (int64_t)w->m.high);
    expect(w, "shut_down", s.shut_down, w->m.closed);
    expect(w, "items in events", (int64_t)w->taken, (int64_t)w->m.taken);
    expect(w, "their sum", (int64_t)w->taken_sum, (int64_t)w->m.taken_sum);
    expect(w, "getter shutdown events", (int64_t)w->overs, (int64_t)w->m.overs);
    expect(w, "room events", (int64_t)w->rooms, (int64_t)w->m.rooms);
    expect(w, "putter shutdown events", (int64_t)w->shutdowns, (int64_t)w->m.shutdowns);
}

/* ---- sequences ---- */

struct sequence {
    uint64_t setup; /* decides the kind and the bounds */
    size_t count;
    struct command commands[SEQUENCE];
};

static void world_make(struct world *w, uint64_t setup)
{
    *w = (struct world){ .next_number = 1 };
    struct pen_queue_options o = { .kind = (enum pen_queue_kind)(setup % 3),
                                   .items_max = 1 + (uint32_t)(setup / 3 % 12),
                                   .bytes_max = setup / 64 % 2 == 0 ? 0 : 1 + setup / 128 % 50,
                                   .destroy = destroy,
                                   .destroy_arg = w,
                                   .rank = rank_of };
    struct pen_putter_options p = { .on_room = on_room, .on_shutdown = on_putter_shutdown, .arg = w };
    w->m.kind = o.kind;
    w->m.items_max = o.items_max;
    w->m.bytes_max = o.bytes_max == 0 ? UINT64_MAX / 2 : o.bytes_max;
    expect(w, "queue_new", pen_queue_new(&o, &w->q), 0);
    expect(w, "loop_new", pen_loop_new(NULL, &w->loop), 0);
    expect(w, "attach_putter", pen_queue_attach_putter(w->q, w->loop, &p, &w->putter), 0);
}

static void world_end(struct world *w)
{
    pen_getter_close(&w->getter);
    pen_putter_close(&w->putter);
    pen_loop_free(&w->loop);
    pen_queue_free(&w->q);
    w->m.drained += w->m.count;
    expect(w, "destroyed in the end", (int64_t)w->drained, (int64_t)w->m.drained);
}

/* Runs it; true when everything was as foretold, else why (200 bytes) says what was not. */
static bool run_sequence(const struct sequence *s, char *why)
{
    struct world w;
    world_make(&w, s->setup);
    for (size_t i = 0; i < s->count && w.why[0] == '\0'; i++) {
        run_command(&w, &s->commands[i]);
        compare(&w);
    }
    world_end(&w);
    memcpy(why, w.why, sizeof w.why);
    return w.why[0] == '\0';
}

static void make_sequence(struct sequence *s, uint64_t *random)
{
    unsigned sum = 0;
    for (size_t i = 0; i < OPS; i++)
        sum += op_weights[i];
    s->setup = random_next(random) >> 1;
    s->count = SEQUENCE;
    for (size_t i = 0; i < SEQUENCE; i++) {
        uint64_t at = random_below(random, sum);
        size_t op = 0;
        for (; at >= op_weights[op]; op++)
            at -= op_weights[op];
        s->commands[i] = (struct command){ (enum op)op, random_next(random) >> 1 };
    }
}

/* Leave out what can be left out, in ever smaller pieces. */
static void shrink(struct sequence *s, char *why)
{
    struct sequence less;
    char other[200];
    for (size_t piece = s->count / 2; piece > 0; piece /= 2) {
        for (size_t at = 0; at + piece <= s->count;) {
            less = *s;
            less.count -= piece;
            memmove(&less.commands[at], &less.commands[at + piece],
                    (s->count - at - piece) * sizeof less.commands[0]);
            if (run_sequence(&less, other)) {
                at += piece;
                continue;
            }
            *s = less;
            memcpy(why, other, sizeof other);
        }
    }
}

static void print_sequence(const struct sequence *s, const char *why)
{
    printf("%s, after (setup %" PRIu64 "):\n", why, s->setup);
    for (size_t i = 0; i < s->count; i++)
        printf("  %s %" PRIu64 "\n", op_names[s->commands[i].op], s->commands[i].number);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)clock_mono().ns;
    const char *longer = getenv("PENSTOCK_LONG");
    size_t commands = longer != NULL && longer[0] != '\0' ? COMMANDS_LONG : COMMANDS;
    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    uint64_t random = seed;
    for (size_t done = 0; done < commands; done += SEQUENCE) {
        struct sequence s;
        char why[200];
        make_sequence(&s, &random);
        if (run_sequence(&s, why))
            continue;
        shrink(&s, why);
        print_sequence(&s, why);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
