/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything at once: 8 producers and 8 consumers, threads and loops, with random bounds, kinds and deadlines, fair or not, while
 * one of them changes the bounds, another clears, getters pause, and a shutdown comes at a random item. In half of the
 * rounds everybody waits without end and it only comes when everything has been consumed, so that nothing makes up for a
 * lost wake-up; then there are 1 to 8 on each side, and producers stop to wait until all is done. Then nobody may
 * still wait, every item that was accepted must have come out once, to a consumer or the destructor, no other item
 * may have come out, and nothing may be unfinished. Made to run under ThreadSanitizer.
 *
 * queue_race [SEED [ROUNDS]]: the seed of each round is printed when it fails. 100 rounds; PENSTOCK_LONG=1: 10,000.
 * A round that hangs is ended by an alarm, which tells its seed.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <penstock/queue.h>

#include "../model/random.h"
#include "base/check.h"
#include "base/count.h"
#include "plat/clock.h"
#include "plat/thread.h"

enum {
    ROUNDS = 100,
    ROUNDS_LONG = 10000,
    SIDE = 8,
    SIDE_LOOPS = 3,
    EACH = 400,
    BATCH_MOST = 8,
    STUCK_S = 120
};

struct round;

struct party {
    struct round *round;
    size_t index;
    uint64_t random;
    size_t next; /* a producer's: of its items */
    struct thread *thread;
    struct pen_loop *loop; /* NULL: a thread */
    struct pen_getter *getter;
    struct pen_putter *putter;
};

struct round {
    struct pen_queue *q;
    size_t shut_at; /* the item whose producer shuts down, having put it or not; 0: none */
    enum pen_shutdown mode;
    size_t producer_count, consumer_count;
    struct party producers[SIDE], consumers[SIDE];
    struct count accepted[SIDE * EACH], out[SIDE * EACH];
};

static uint64_t round_seed;

static void tell_stuck(int signal)
{
    (void)signal;
    char text[80];
    int n = snprintf(text, sizeof text, "queue_race: seed %" PRIu64 ": somebody still waits\n",
                     round_seed);
    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(EXIT_FAILURE);
}

/* Items are numbered from 1. */
static void came_out(struct round *r, const void *ptr)
{
    (void)count_add_shared(&r->out[(size_t)ptr - 1], 1);
}

static void destroy(void *ptr, void *arg)
{
    came_out(arg, ptr);
}

static int64_t rank_of(const void *ptr, void *arg)
{
    (void)arg;
    return (int64_t)((size_t)ptr % 3);
}

/* A party in a round that is to end without a shutdown, and without anybody looking twice. */
static bool patient(const struct party *p)
{
    return p->round->shut_at == 0;
}

static pen_mono_t some_deadline(struct party *p)
{
    switch (patient(p) ? 3 : random_below(&p->random, 4)) {
    case 0:
        return PEN_NOW;
    case 1:
        return pen_deadline_in(pen_us((int64_t)random_below(&p->random, 200)));
    default:
        return PEN_NEVER;
    }
}

/* ---- producers ---- */

static void join_queue(void *arg)
{
    check(pen_queue_join(arg, PEN_NEVER) == 0);
}

/* Up to a batch of the producer's next items. */
static size_t make_batch(struct party *p, struct pen_item *items)
{
    size_t n = 1 + random_below(&p->random, BATCH_MOST);
    if (n > EACH - p->next)
        n = EACH - p->next;
    for (size_t i = 0; i < n; i++)
        items[i] =
            (struct pen_item){ (void *)(p->index * EACH + p->next + i + 1), (p->next + i) % 7 };
    return n;
}

/* What came of a batch: `put` of `n` are in. On to the next, leaving out what was refused, and making trouble. */
static void batch_done(struct party *p, const struct pen_item *items, size_t n, size_t put)
{
    struct round *r = p->round;
    for (size_t i = 0; i < put; i++)
        (void)count_add_shared(&r->accepted[(size_t)items[i].ptr - 1], 1);
    for (size_t i = 0; i < n; i++)
        if ((size_t)items[i].ptr == r->shut_at)
            pen_queue_shutdown(r->q, r->mode);
    p->next += n;
    if (p->index == 0 && random_below(&p->random, 8) == 0)
        check(pen_queue_resize(r->q, 1 + (uint32_t)random_below(&p->random, 100),
                               7 + random_below(&p->random, 90)) == 0);
    if (p->index == 1 && random_below(&p->random, 40) == 0)
        (void)pen_queue_clear(r->q);
}

static void produce(void *arg)
{
    struct party *p = arg;
    struct pen_item items[BATCH_MOST];
    int r = 0;
    while (p->next < EACH && r != PEN_ESHUTDOWN) {
        size_t put, n = make_batch(p, items);
        r = pen_queue_put_many(p->round->q, items, n, some_deadline(p), &put);
        check(r == 0 ? put == n : put < n);
        batch_done(p, items, n, put);
        if (patient(p) && random_below(&p->random, 4) == 0)
            join_queue(p->round->q);
    }
}

static void end_loop(struct party *p)
{
    pen_getter_close(&p->getter);
    pen_putter_close(&p->putter);
    pen_loop_stop(p->loop);
}

/* Put until it is short, then wait for the event; what did not go in is given up. */
static void give(struct party *p)
{
    struct pen_item items[BATCH_MOST];
    while (p->next < EACH) {
        size_t n = make_batch(p, items);
        int put = pen_putter_put(p->putter, items, n);
        batch_done(p, items, n, put > 0 ? (size_t)put : 0);
        if (put == PEN_ESHUTDOWN)
            break;
        if (put >= 0 && (size_t)put < n)
            return;
    }
    end_loop(p);
}

static void on_room(struct pen_putter *putter, void *arg)
{
    (void)putter;
    give(arg);
}

static void on_putter_shutdown(struct pen_putter *putter, void *arg)
{
    (void)putter;
    end_loop(arg);
}

static void first_give(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    check(status == 0);
    give(arg);
}

/* ---- consumers ---- */

static void consume(void *arg)
{
    struct party *p = arg;
    struct pen_item items[BATCH_MOST];
    for (;;) {
        size_t got = 0;
        int r = pen_queue_get_many(p->round->q, items, 1 + random_below(&p->random, BATCH_MOST),
                                   some_deadline(p), &got);
        if (r == PEN_ESHUTDOWN)
            return;
        for (size_t i = 0; i < got; i++)
            came_out(p->round, items[i].ptr);
        check(got == 0 || pen_queue_task_done(p->round->q, got) == 0);
    }
}

static void attach(struct party *p);

static void resume(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    struct party *p = arg;
    if (status == 0 && p->getter != NULL)
        pen_getter_resume(p->getter);
}

static void on_items(struct pen_getter *getter, const struct pen_item *items, size_t n, void *arg)
{
    struct party *p = arg;
    check(getter == p->getter);
    for (size_t i = 0; i < n; i++)
        came_out(p->round, items[i].ptr);
    check(pen_queue_task_done(p->round->q, n) == 0);
    switch (patient(p) ? 3 : random_below(&p->random, 16)) {
    case 0:
        pen_getter_pause(getter);
        check(pen_loop_call_soon(p->loop, resume, p) == 0);
        break;
    case 1:
        pen_getter_pause(getter);
        pen_getter_resume(getter);
        break;
    case 2:
        pen_getter_close(&p->getter);
        attach(p);
        break;
    default:
        break;
    }
}

static void on_getter_shutdown(struct pen_getter *getter, void *arg)
{
    (void)getter;
    end_loop(arg);
}

static void attach(struct party *p)
{
    struct pen_getter_options o = { .budget = 1 + (uint32_t)random_below(&p->random, BATCH_MOST),
                                    .on_items = on_items,
                                    .on_shutdown = on_getter_shutdown,
                                    .arg = p };
    check(pen_queue_attach(p->round->q, p->loop, &o, &p->getter) == 0);
}

/* ---- rounds ---- */

static void start_party(struct party *p, struct round *r, size_t index, bool producer)
{
    struct pen_putter_options o = { .on_room = on_room, .on_shutdown = on_putter_shutdown, .arg = p };
    p->round = r;
    p->index = index;
    p->random = round_seed * 31 + index * 2 + producer;
    if (index >= SIDE_LOOPS) {
        check(thread_start("party", producer ? produce : consume, p, &p->thread) == 0);
        return;
    }
    check(pen_loop_new(NULL, &p->loop) == 0);
    if (producer) {
        check(pen_queue_attach_putter(r->q, p->loop, &o, &p->putter) == 0);
        check(pen_loop_call_soon(p->loop, first_give, p) == 0);
    } else {
        attach(p);
    }
    check(pen_loop_start(p->loop) == 0);
}

static void end_party(struct party *p)
{
    thread_join(&p->thread);
    if (p->loop == NULL)
        return;
    check(pen_loop_join(p->loop) == 0);
    pen_loop_free(&p->loop);
}

/* False when something was lost, invented or left over. */
static bool verify(struct round *r)
{
    struct pen_queue_stats s;
    size_t wrong = 0;
    for (size_t i = 0; i < SIDE * EACH; i++)
        wrong += count_read(&r->out[i]) != count_read(&r->accepted[i]) || count_read(&r->out[i]) > 1;
    pen_queue_stats(r->q, &s);
    if (wrong == 0 && s.items == 0 && s.unfinished == 0 && s.putters_waiting + s.getters_waiting == 0)
        return true;
    printf("queue_race: seed %" PRIu64 ": %zu items lost or doubled, %" PRIu64 " left, %" PRIu64
           " unfinished\n",
           round_seed, wrong, s.items, s.unfinished);
    return false;
}

static bool run_round(struct round *r)
{
    uint64_t random = round_seed;
    memset(r, 0, sizeof *r);
    r->shut_at = random_below(&random, 2) * (1 + random_below(&random, SIDE * EACH));
    r->mode = (enum pen_shutdown)random_below(&random, 2);
    struct pen_queue_options o = { .kind = (enum pen_queue_kind)random_below(&random, 3),
                                   .items_max = 1 + (uint32_t)random_below(&random, 64),
                                   .bytes_max =
                                       random_below(&random, 2) * (7 + random_below(&random, 60)),
                                   .destroy = destroy,
                                   .destroy_arg = r,
                                   .rank = rank_of,
                                   .fair = random_below(&random, 2) != 0 };
    check(pen_queue_new(&o, &r->q) == 0);
    bool all = r->shut_at != 0;
    r->producer_count = all ? SIDE : 1 + random_below(&random, SIDE);
    r->consumer_count = all ? SIDE : 1 + random_below(&random, SIDE);
    for (size_t i = 0; i < r->consumer_count; i++)
        start_party(&r->consumers[i], r, SIDE - 1 - i, false);
    for (size_t i = 0; i < r->producer_count; i++)
        start_party(&r->producers[i], r, SIDE - 1 - i, true);
    struct thread *joiner;
    check(thread_start("joiner", join_queue, r->q, &joiner) == 0);
    for (size_t i = 0; i < r->producer_count; i++)
        end_party(&r->producers[i]);
    join_queue(r->q);
    pen_queue_shutdown(r->q, r->mode);
    for (size_t i = 0; i < r->consumer_count; i++)
        end_party(&r->consumers[i]);
    thread_join(&joiner);
    bool ok = verify(r);
    pen_queue_free(&r->q);
    return ok;
}

int main(int argc, char **argv)
{
    static struct round round;
    const char *longer = getenv("PENSTOCK_LONG");
    size_t rounds = longer != NULL && longer[0] != '\0' ? ROUNDS_LONG : ROUNDS;
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)clock_mono().ns;
    if (argc > 2)
        rounds = strtoull(argv[2], NULL, 0);
    check(signal(SIGALRM, tell_stuck) != SIG_ERR);
    printf("seed %" PRIu64 ", %zu rounds\n", seed, rounds);
    fflush(stdout);
    for (size_t i = 0; i < rounds; i++) {
        round_seed = seed + i;
        alarm(STUCK_S);
        if (!run_round(&round))
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
