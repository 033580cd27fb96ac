/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's queue: a ring between two monitors. Threads here, loops in queue_loop.c.
 *
 * Any thread calls any of it. Callbacks of the caller (destroy) run outside all locks; rank and look run under H.
 *
 * State. T is the putters' monitor: tail, in_bytes, what it has seen of head and out_bytes, closed, and the line of
 * parked getters. H is the getters' monitor: head, out_bytes, closed, done, and the lines of parked putters and
 * of joiners. Whoever changes a fact holds the lock under which those that wait for it stand in line, so a wake-up needs
 * no fence. A slot is {ptr, bytes}; a pointer that is not NULL means ready. The cursors only grow. No path holds
 * both locks.
 *
 *   put(n): lock T; closed: SHUTDOWN
 *           k = how many fit (items and bytes, by the head seen); k < n: look at head again
 *           in_bytes, tail := new                    before the slots
 *           slots: bytes, then ptr
 *           k > 0: pick a getter; unlock; send the wake
 *           all in: OK; not to wait: FULL
 *           lock H; closed or room by the exact head: unlock, retry
 *           park (at the front when it was woken before); unlock; sleep; retry
 *           when it ever stood in line: lock H; leave; room for the first in line: pick it; unlock; send
 *   get(m): lock H; immediate: SHUTDOWN; take up to m ready slots, ptr := NULL; out_bytes, head := new
 *           room for the first putter in line: pick it; unlock; send
 *           some taken: OK; closed: SHUTDOWN; not to wait: EMPTY
 *           lock T; tail != head: unlock, retry; closed: SHUTDOWN; park; unlock; sleep
 *           lock T; leave; carried the wake and there is more than m: pick the next; unlock; send; retry
 *
 * Memory order (the edges of sync/ring.h). Q1: a slot's ptr publishes the payload, the slot's bytes and the cursors
 * moved before it; so head <= tail and out_bytes <= in_bytes for every observer. Q2: a putter that sees a head also sees
 * that the slots below it are NULL, so it may fill them again. What one side sees of the other side's cursors can only be
 * behind the truth, and so errs towards full or empty; whoever would wait because of it looks again under the
 * lock that owns the fact. The first version filled the slots before it moved tail: a getter could then move head past
 * tail, tail - head was a huge number, and a putter parked for want of room at an empty queue, for ever. The protocol is
 * checked in tests/model/queue.pml, which finds that with -DBUG_TAIL_LATE.
 *
 * Shutdown. closed under T is the point at which puts end; then getters in line are woken; then closed under H, and
 * putters are woken. A getter reads slots and closed in one hold of H, after closed was set under T, so it misses no
 * put. Immediate shutdown sets `immediate` under H, from which on only the drain takes. unfinished is tail - done.
 * A joiner is released at the moment at which nothing is unfinished, whatever is put before it runs.
 *
 * Waiting. One wake is in flight in each line (sync/waiters.h), and the one that carries it passes it on when there
 * is more to do than it does itself: a burst costs one system call. A putter in line says how many bytes its next
 * item needs and is woken only when there is room for that: the first in line is not overtaken by others in line whose
 * items are smaller, and not woken in vain. Newcomers that find room do not look at the line. That is what makes
 * the queue fast and, under saturation, unfair: with 16 producers the slowest put 0.02 of what the fastest did.
 * Making the lock take turns did not help.
 *
 * Fair, on demand. T counts what each thread has put since its last turn. While others stand in line, which H hints at, a
 * thread that has put its share (the capacity by the number in line and itself) finds the queue full, though there may be
 * room; it goes to H, and when there really is somebody before it, stands behind them even if there is room. It is woken
 * like the others, which makes it its turn. Room is never left lying: who stands in line with room before it stands behind
 * a wake that is in flight, or one whose next item is too large, and the wake is passed on.
 *
 * Before it stands in line a putter pauses for less than a microsecond, once: takers that are at work make room for
 * more than one item meanwhile, and it sleeps less often. In batches of 32 at capacity 1024 that gives 23/13/7/8 ns per item
 * (1P1C/2P1C/1P2C/2P2C) instead of 68/34/26/29. A getter does not: there the difference was below the noise.
 *
 * Kinds. LIFO and priority queues use the same ring as an inbox: who takes first moves what is ready, under H, from
 * the ring to a stack or heap (task/order), and takes from there. head counts what has left that, so the bounds are
 * the same; the ring has a slot for every item that the bounds allow, so it never overflows.
 *
 * Resize. A larger ring is hung behind the old one under T, with the position from which it is in use; a getter that
 * finds the slot of just that position free goes over and frees the old one. T and H each have a copy of the bounds;
 * while they change, H has the lower of the two, so that a putter sent away by T never finds room at H for ever.
 *
 * Rejected, in ns per item at capacity 1024, one at a time, 1P1C/2P1C/1P2C/2P2C on two cores (this one: 59/90/80/67, and the
 * same in tests/bench/queue):
 * mutex and two condition variables 243/280/337/270 (every put and get contends for one lock); Vyukov's ring with an
 * eventcount 92/93/171/183, and 146/205/184/228 once it has a byte bound, which costs each side a shared counter; DPDK's
 * ring 169/179/148/244 and 19,608 with 64 producers on two cores; a wake-up for every put 825/646 (1P1C/2P1C). None of the
 * lock-free ones has a point at which FULL, EMPTY and SHUTDOWN are exact. A batch of 32 costs about 10 per item
 * whatever the algorithm.
 */
#include "task/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "plat/clock.h"
#include "plat/thread.h"

enum { ITEMS_MAX_DEFAULT = 65536, ITEMS_MAX_MOST = 1 << 30, DRAIN_ITEMS = 64 };

static bool deadline_is_now(pen_mono_t deadline)
{
    return deadline.ns <= PEN_NOW.ns;
}

bool queue_items_valid(const struct pen_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].ptr == NULL)
            return false;
    return true;
}

/* ---- bounds ---- */

static uint64_t items_bound(uint32_t items_max)
{
    return items_max != 0 ? items_max : ITEMS_MAX_DEFAULT;
}

static uint64_t bytes_bound(uint64_t bytes_max)
{
    return bytes_max != 0 ? bytes_max : UINT64_MAX;
}

/* How many of n items fit by what T has seen of head, and the bytes of these. */
static size_t fitting(const struct put_side *t, const struct pen_item *items, size_t n,
                      uint64_t *ret_bytes) LOCKED(&t->lock)
{
    uint64_t held_items = cursor_own(&t->tail) - t->head_seen;
    uint64_t held_bytes = cursor_own(&t->in_bytes) - t->out_seen;
    uint64_t bytes = 0;
    size_t k = 0;
    if (held_items < t->items_max && held_bytes <= t->bytes_max) {
        uint64_t bytes_left = t->bytes_max - held_bytes;
        size_t most = n < t->items_max - held_items ? n : (size_t)(t->items_max - held_items);
        for (; k < most && items[k].bytes <= bytes_left - bytes; k++)
            bytes += items[k].bytes;
    }
    *ret_bytes = bytes;
    return k;
}

/* Look at head again; false when it is what it was. */
static bool see_head(struct pen_queue *q) LOCKED(&q->put.lock)
{
    struct put_side *t = &q->put;
    uint64_t head = cursor_seen(&q->take.head);
    if (head == t->head_seen)
        return false;
    t->head_seen = head;
    t->out_seen = cursor_seen(&q->take.out_bytes);
    return true;
}

/* There is room for an item of `need` bytes, or it could never fit and should be told so. */
static bool room_for(const struct pen_queue *q, uint64_t need) LOCKED(&q->take.lock)
{
    const struct take_side *h = &q->take;
    uint64_t items = cursor_seen(&q->put.tail) - cursor_own(&h->head);
    uint64_t bytes = cursor_seen(&q->put.in_bytes) - cursor_own(&h->out_bytes);
    if (need > h->too_big)
        return true;
    return items < h->items_max && bytes <= h->bytes_max && need <= h->bytes_max - bytes;
}

static void note_line(struct take_side *h) LOCKED(&h->lock)
{
    hint_give(&h->line, h->putters.parked_count);
}

/* The first putter in line, when there is room for it. */
static struct wake pick_putter(struct pen_queue *q) LOCKED(&q->take.lock)
{
    struct waiters *ws = &q->take.putters;
    if (ws->waking || !waiters_any(ws))
        return NO_WAKE;
    const struct putter_wait *first = CONTAINER_OF(waiters_first(ws), struct putter_wait, waiter);
    if (!room_for(q, first->need))
        return NO_WAKE;
    struct wake wake = waiters_pick(ws);
    note_line(&q->take);
    return wake;
}

/* ---- putting, under T ---- */

static void note_high_water(struct pen_queue *q) LOCKED(&q->put.lock)
{
    struct put_side *t = &q->put;
    /* By the head last seen it may look more than it is: look again before it becomes a record. */
    if (cursor_own(&t->tail) - t->head_seen <= t->items_high)
        return;
    (void)see_head(q);
    uint64_t items = cursor_own(&t->tail) - t->head_seen;
    if (items > t->items_high)
        t->items_high = items;
}

static void fill(struct put_side *t, const struct pen_item *items, size_t k, uint64_t bytes)
    LOCKED(&t->lock)
{
    uint64_t tail = cursor_own(&t->tail);
    if (bytes != 0)
        cursor_move(&t->in_bytes, cursor_own(&t->in_bytes) + bytes);
    cursor_move(&t->tail, tail + k);
    for (size_t i = 0; i < k; i++)
        ring_fill(t->ring, tail + i, items[i].ptr, items[i].bytes);
    ring_prefetch(t->ring, tail + k);
}

/* What the calling thread has put since its last turn; in a fair queue. */
static uint64_t *spent_here(struct put_side *t) LOCKED(&t->lock)
{
    return &t->spent[(unsigned)thread_id() % QUEUE_LANES];
}

/* How many of n items the calling thread may put if they fit. */
static size_t allowed_here(struct pen_queue *q, size_t n, bool turn) LOCKED(&q->put.lock)
{
    struct put_side *t = &q->put;
    if (t->spent == NULL)
        return n;
    uint64_t *spent = spent_here(t), line = hint_seen(&q->take.line);
    if (turn)
        *spent = 0;
    if (line == 0)
        return n;
    uint64_t share = t->items_max > line ? t->items_max / (line + 1) : 1;
    uint64_t left = *spent < share ? share - *spent : 0;
    return n < left ? n : (size_t)left;
}

int queue_put_some(struct pen_queue *q, const struct pen_item *items, size_t n, bool turn,
                   size_t *ret_put)
{
    struct put_side *t = &q->put;
    struct wake wake = NO_WAKE;
    uint64_t bytes;
    size_t k = 0;
    int r = PEN_ESHUTDOWN;
    lock_take(&t->lock);
    if (!t->closed) {
        size_t allowed = allowed_here(q, n, turn);
        k = fitting(t, items, allowed, &bytes);
        if (k < allowed && see_head(q))
            k = fitting(t, items, allowed, &bytes);
        r = k == n ? 0 : items[k].bytes > t->bytes_max ? PEN_ETOOBIG : PEN_EFULL;
    }
    if (k > 0) {
        fill(t, items, k, bytes);
        if (t->spent != NULL)
            *spent_here(t) += k;
        note_high_water(q);
        wake = waiters_pick(&t->getters);
    }
    lock_drop(&t->lock);
    wake_send(wake);
    *ret_put = k;
    return r;
}

/* In a fair queue nobody goes past those that stand in line or are on their way from it, but a thread that has been
 * there itself. */
static bool others_first(const struct pen_queue *q, const struct waiter *w) LOCKED(&q->take.lock)
{
    const struct waiters *ws = &q->take.putters;
    if (!queue_is_fair(q) || (w->state == WAITER_PICKED && w->signal == NULL))
        return false;
    return w->state != WAITER_IDLE || ws->waking || waiters_any(ws);
}

enum line queue_putter_park(struct pen_queue *q, struct putter_wait *w, size_t need, bool front)
{
    struct take_side *h = &q->take;
    enum line line = LINE_WAITS;
    lock_take(&h->lock);
    if (h->closed) {
        line = LINE_OVER;
    } else if (room_for(q, need) && (front || !others_first(q, &w->waiter))) {
        line = LINE_RETRY;
    } else {
        w->need = need;
        bool back = w->waiter.state == WAITER_PICKED && w->waiter.signal == NULL;
        if (back)
            (void)waiters_leave(&h->putters, &w->waiter);
        if (w->waiter.state == WAITER_IDLE) {
            waiters_park(&h->putters, &w->waiter, front || back);
            h->put_waits++;
        }
        note_line(h);
    }
    lock_drop(&h->lock);
    return line;
}

bool queue_putter_leave(struct pen_queue *q, struct putter_wait *w, span_t slept)
{
    struct take_side *h = &q->take;
    lock_take(&h->lock);
    bool picked = w->waiter.state == WAITER_PICKED;
    (void)waiters_leave(&h->putters, &w->waiter);
    note_line(h);
    h->put_wait_ns += (uint64_t)slept.ns;
    struct wake wake =
        pick_putter(q); /* Also when it was not picked: it may have stood before a smaller one. */
    lock_drop(&h->lock);
    wake_send(wake);
    return picked;
}

enum line queue_putter_arrive(struct pen_queue *q, struct putter_wait *w)
{
    struct take_side *h = &q->take;
    enum line line = LINE_RETRY;
    lock_take(&h->lock);
    (void)waiters_leave(&h->putters, &w->waiter);
    if (h->closed) {
        line = LINE_OVER;
    } else if (!room_for(q, w->need)) {
        waiters_park(&h->putters, &w->waiter, true);
        line = LINE_WAITS;
    }
    note_line(h);
    lock_drop(&h->lock);
    return line;
}

void queue_putter_baton(struct pen_queue *q)
{
    lock_take(&q->take.lock);
    struct wake wake = pick_putter(q);
    lock_drop(&q->take.lock);
    wake_send(wake);
}

/* A thread's wait for room. False when the deadline has passed; *total grows by the time slept. */
static bool sleep_until_woken(struct waiter *w, pen_mono_t deadline, span_t *total)
{
    mono_t since = clock_mono();
    bool woken = waiter_sleep(w, deadline);
    total->ns += mono_since(clock_mono(), since).ns;
    return woken;
}

/* Put what fits of the rest from *put on, and count it in. */
static int put_more(struct pen_queue *q, const struct pen_item *items, size_t n, bool turn,
                    size_t *put)
{
    size_t k;
    int r = queue_put_some(q, items + *put, n - *put, turn, &k);
    *put += k;
    return r;
}

/* The slow way, of a thread that has to wait. */
static int put_waiting(struct pen_queue *q, const struct pen_item *items, size_t n,
                       pen_mono_t deadline, size_t *ret_put)
{
    struct putter_wait w = { .need = 0 };
    span_t slept = { 0 };
    bool in_time = true, in_line = false;
    size_t put = 0;
    int r = PEN_EFULL;
    waiter_init(&w.waiter, NULL);
    while (r == PEN_EFULL) {
        waiter_pause();
        r = put_more(q, items, n, false, &put);
        if (r != PEN_EFULL)
            break;
        if (queue_putter_park(q, &w, items[put].bytes, false) == LINE_WAITS) {
            in_line = true;
            in_time = sleep_until_woken(&w.waiter, deadline, &slept);
        }
        r = put_more(q, items, n, in_time, &put);
        if (r == PEN_EFULL && !in_time)
            r = PEN_ETIMEOUT;
    }
    if (in_line)
        (void)queue_putter_leave(q, &w, slept);
    *ret_put = put;
    return r;
}

int pen_queue_put_many(struct pen_queue *q, const struct pen_item *items, size_t n,
                       pen_mono_t deadline, size_t *ret_put)
{
    size_t put = 0, more = 0;
    *ret_put = 0;
    if (!queue_items_valid(items, n))
        return PEN_EINVAL;
    if (n == 0)
        return 0;
    int r = queue_put_some(q, items, n, false, &put);
    if (r == PEN_EFULL && !deadline_is_now(deadline))
        r = put_waiting(q, items + put, n - put, deadline, &more);
    *ret_put = put + more;
    return r;
}

int pen_queue_put(struct pen_queue *q, void *ptr, size_t bytes, pen_mono_t deadline)
{
    size_t put;
    return pen_queue_put_many(q, &(struct pen_item){ .ptr = ptr, .bytes = bytes }, 1, deadline, &put);
}

/* ---- taking, under H ---- */

/* The ring in which ring_head is, when its slot is free where it was looked for; false when that is the same. */
static bool go_over(struct take_side *h) LOCKED(&h->lock)
{
    struct ring *next = ring_next(h->ring, h->ring_head);
    if (next == NULL)
        return false;
    struct ring *old = h->ring;
    h->ring = next;
    free(old);
    return true;
}

/* The next ready slot of the ring. */
static bool take_slot(struct take_side *h, struct pen_item *ret_item) LOCKED(&h->lock)
{
    while (!ring_empty_slot(h->ring, h->ring_head, &ret_item->ptr, &ret_item->bytes))
        if (!go_over(h))
            return false;
    h->ring_head++;
    return true;
}

/* Move what is ready to the stack or heap. */
static void fill_order(struct take_side *h) LOCKED(&h->lock)
{
    struct pen_item item;
    while (take_slot(h, &item))
        order_push(h->order, item);
}

/* Up to max items, out of the queue; moves head. */
static size_t take_ready(struct take_side *h, struct pen_item *items, size_t max) LOCKED(&h->lock)
{
    size_t got = 0;
    uint64_t bytes = 0;
    if (h->order != NULL)
        fill_order(h);
    while (got < max &&
           (h->order != NULL ? order_pop(h->order, &items[got]) : take_slot(h, &items[got])))
        bytes += items[got++].bytes;
    if (bytes > 0)
        cursor_move(&h->out_bytes, cursor_own(&h->out_bytes) + bytes);
    if (got > 0)
        cursor_move(&h->head, cursor_own(&h->head) + got);
    return got;
}

int queue_take_some(struct pen_queue *q, struct pen_item *items, size_t max, size_t *ret_got)
{
    struct take_side *h = &q->take;
    struct wake wake = NO_WAKE;
    lock_take(&h->lock);
    size_t got = h->immediate ? 0 : take_ready(h, items, max);
    bool closed = h->closed;
    if (got > 0)
        wake = pick_putter(q);
    lock_drop(&h->lock);
    wake_send(wake);
    if (got == 0)
        return closed ? PEN_ESHUTDOWN : PEN_EEMPTY;
    *ret_got = got;
    return 0;
}

enum line queue_getter_park(struct pen_queue *q, struct waiter *w, bool front)
{
    struct put_side *t = &q->put;
    enum line line = LINE_WAITS;
    lock_take(&t->lock);
    if (cursor_own(&t->tail) != cursor_seen(&q->take.head)) {
        line = LINE_RETRY;
    } else if (t->closed) {
        line = LINE_OVER;
    } else {
        waiters_park(&t->getters, w, front);
        t->get_waits++;
    }
    lock_drop(&t->lock);
    return line;
}

bool queue_getter_leave(struct pen_queue *q, struct waiter *w, uint64_t takes, span_t slept)
{
    struct put_side *t = &q->put;
    struct wake wake = NO_WAKE;
    lock_take(&t->lock);
    bool picked = w->state == WAITER_PICKED;
    if (waiters_leave(&t->getters, w) && cursor_own(&t->tail) - cursor_seen(&q->take.head) > takes)
        wake = waiters_pick(&t->getters);
    t->get_wait_ns += (uint64_t)slept.ns;
    lock_drop(&t->lock);
    wake_send(wake);
    return picked;
}

/* The slow way, of a thread that has to wait. */
static int get_waiting(struct pen_queue *q, struct pen_item *items, size_t max, pen_mono_t deadline,
                       size_t *ret_got)
{
    struct waiter w;
    bool in_time = true, front = false;
    waiter_init(&w, NULL);
    for (;;) {
        enum line line = queue_getter_park(q, &w, front);
        if (line == LINE_OVER)
            return PEN_ESHUTDOWN;
        if (line == LINE_WAITS) {
            span_t slept = { 0 };
            in_time = sleep_until_woken(&w, deadline, &slept);
            (void)queue_getter_leave(q, &w, max, slept);
            front = true;
        }
        int r = queue_take_some(q, items, max, ret_got);
        if (r != PEN_EEMPTY)
            return r;
        if (!in_time)
            return PEN_ETIMEOUT;
    }
}

int pen_queue_get_many(struct pen_queue *q, struct pen_item *ret_items, size_t max,
                       pen_mono_t deadline, size_t *ret_got)
{
    if (max == 0)
        return PEN_EINVAL;
    int r = queue_take_some(q, ret_items, max, ret_got);
    if (r == PEN_EEMPTY && !deadline_is_now(deadline))
        r = get_waiting(q, ret_items, max, deadline, ret_got);
    return r;
}

int pen_queue_get(struct pen_queue *q, struct pen_item *ret_item, pen_mono_t deadline)
{
    size_t got;
    return pen_queue_get_many(q, ret_item, 1, deadline, &got);
}

int pen_queue_peek(struct pen_queue *q, void (*look)(const struct pen_item *item, void *arg),
                   void *arg)
{
    struct take_side *h = &q->take;
    struct pen_item item;
    bool found = false;
    lock_take(&h->lock);
    bool closed = h->closed;
    if (h->order != NULL) {
        fill_order(h);
        found = order_look(h->order, &item);
    } else {
        do {
            found = ring_look(h->ring, h->ring_head, &item.ptr, &item.bytes);
        } while (!found && go_over(h));
    }
    found = found && !h->immediate;
    if (found)
        look(&item, arg);
    lock_drop(&h->lock);
    return found ? 0 : closed ? PEN_ESHUTDOWN : PEN_EEMPTY;
}

/* ---- unfinished ---- */

/* Nothing is in the queue or taken and not done. */
static bool all_done(const struct pen_queue *q) LOCKED(&q->take.lock)
{
    return q->take.done == cursor_seen(&q->put.tail);
}

static void add_done(struct pen_queue *q, uint64_t n) LOCKED(&q->take.lock)
{
    q->take.done += n;
    if (n > 0 && all_done(q))
        waiters_wake_all(&q->take.joiners);
}

int pen_queue_task_done(struct pen_queue *q, size_t n)
{
    struct take_side *h = &q->take;
    lock_take(&h->lock);
    int r = n > cursor_seen(&q->put.tail) - h->done ? PEN_ETOOMANY : 0;
    if (r == 0)
        add_done(q, n);
    lock_drop(&h->lock);
    return r;
}

int pen_queue_join(struct pen_queue *q, pen_mono_t deadline)
{
    struct take_side *h = &q->take;
    struct waiter w;
    waiter_init(&w, NULL);
    lock_take(&h->lock);
    bool wait = !all_done(q);
    if (wait && !deadline_is_now(deadline))
        waiters_park(&h->joiners, &w, false);
    lock_drop(&h->lock);
    if (!wait)
        return 0;
    if (deadline_is_now(deadline))
        return PEN_ETIMEOUT;
    (void)waiter_sleep(&w, deadline);
    lock_take(&h->lock);
    bool released = w.state == WAITER_PICKED;
    (void)waiters_leave(&h->joiners, &w);
    lock_drop(&h->lock);
    return released ? 0 : PEN_ETIMEOUT;
}

/* ---- shutdown and draining ---- */

/* Take up to max items for the destructor, which has had `before` of them since the last time. A drained item leaves the
 * unfinished count when its destructor has returned; if somebody said task_done() for it meanwhile, the count stays at
 * nothing. */
static size_t drain_some(struct pen_queue *q, struct pen_item *items, size_t before, size_t max)
{
    struct take_side *h = &q->take;
    lock_take(&h->lock);
    uint64_t unfinished = cursor_seen(&q->put.tail) - h->done;
    add_done(q, before < unfinished ? before : unfinished);
    size_t got = take_ready(h, items, max);
    h->drained += got;
    struct wake wake = got > 0 ? pick_putter(q) : NO_WAKE;
    lock_drop(&h->lock);
    wake_send(wake);
    return got;
}

/* Until the queue is empty, or at least `enough` are gone. Returns how many. */
static uint64_t drain(struct pen_queue *q, uint64_t enough)
{
    struct pen_item items[DRAIN_ITEMS];
    uint64_t drained = 0;
    size_t got = 0;
    do {
        got = drain_some(q, items, got, DRAIN_ITEMS);
        for (size_t i = 0; q->destroy != NULL && i < got; i++)
            q->destroy(items[i].ptr, q->destroy_arg);
        drained += got;
    } while (got > 0 && drained < enough);
    if (got > 0)
        (void)drain_some(q, items, got, 0);
    return drained;
}

void pen_queue_shutdown(struct pen_queue *q, enum pen_shutdown mode)
{
    struct put_side *t = &q->put;
    struct take_side *h = &q->take;
    lock_take(&t->lock);
    t->closed = true;
    waiters_wake_all(&t->getters);
    lock_drop(&t->lock);
    lock_take(&h->lock);
    h->closed = true;
    h->immediate = h->immediate || mode == PEN_SHUTDOWN_IMMEDIATE;
    waiters_wake_all(&h->putters);
    note_line(h);
    lock_drop(&h->lock);
    if (mode == PEN_SHUTDOWN_IMMEDIATE)
        (void)drain(q, UINT64_MAX);
}

uint64_t pen_queue_clear(struct pen_queue *q)
{
    lock_take(&q->take.lock);
    uint64_t items = cursor_seen(&q->put.tail) - cursor_own(&q->take.head);
    lock_drop(&q->take.lock);
    return items > 0 ? drain(q, items) : 0;
}

/* ---- resizing ---- */

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What a larger bound needs: NULL where the present one is large enough. The order has as many entries as the ring has
 * slots, so that they are large enough together. */
struct space {
    struct ring *ring;
    struct order_entry *entries;
    uint32_t slots;
};

static int space_new(const struct pen_queue *q, uint32_t items_max, struct space *ret_space)
    LOCKED(&q->size_lock)
{
    struct space space = { NULL, NULL, 0 };
    if (items_max > q->put.ring->mask + 1) {
        int r = ring_new(items_max, &space.ring);
        if (r < 0)
            return r;
        space.slots = (uint32_t)(space.ring->mask + 1);
    }
    if (space.ring != NULL && q->take.order != NULL) {
        space.entries = order_space(space.slots);
        if (space.entries == NULL) {
            ring_free(space.ring);
            return PEN_ENOMEM;
        }
    }
    *ret_space = space;
    return 0;
}

/* Both sides' lower bounds for H, so that it never finds room where T finds none. */
static void narrow_take_side(struct pen_queue *q, uint64_t items, uint64_t bytes, struct space *space)
{
    struct take_side *h = &q->take;
    lock_take(&h->lock);
    h->items_max = lower(h->items_max, items);
    h->too_big = higher(h->bytes_max, bytes);
    h->bytes_max = lower(h->bytes_max, bytes);
    if (space->entries != NULL)
        space->entries = order_move(h->order, space->entries, space->slots);
    lock_drop(&h->lock);
}

static void set_put_side(struct pen_queue *q, uint64_t items, uint64_t bytes, struct ring *larger)
{
    struct put_side *t = &q->put;
    lock_take(&t->lock);
    t->items_max = items;
    t->bytes_max = bytes;
    if (larger != NULL) {
        ring_continue(t->ring, larger, cursor_own(&t->tail));
        t->ring = larger;
    }
    lock_drop(&t->lock);
}

static void set_take_side(struct pen_queue *q, uint64_t items, uint64_t bytes)
{
    struct take_side *h = &q->take;
    lock_take(&h->lock);
    h->items_max = items;
    h->bytes_max = h->too_big = bytes;
    struct wake wake = pick_putter(q);
    lock_drop(&h->lock);
    wake_send(wake);
}

int pen_queue_resize(struct pen_queue *q, uint32_t items_max, uint64_t bytes_max)
{
    if (items_max > ITEMS_MAX_MOST)
        return PEN_EINVAL;
    uint64_t items = items_bound(items_max), bytes = bytes_bound(bytes_max);
    struct space space;
    lock_take(&q->size_lock);
    int r = space_new(q, (uint32_t)items, &space);
    if (r == 0) {
        narrow_take_side(q, items, bytes, &space);
        set_put_side(q, items, bytes, space.ring);
        set_take_side(q, items, bytes);
        free(space.entries); /* By now the old ones. */
    }
    lock_drop(&q->size_lock);
    return r;
}

/* ---- counting ---- */

void pen_queue_stats(struct pen_queue *q, struct pen_queue_stats *ret_stats)
{
    struct put_side *t = &q->put;
    struct take_side *h = &q->take;
    struct pen_queue_stats s = { 0 };
    /* H first: what it counts is part of what T has counted by then. */
    lock_take(&h->lock);
    s.done = h->done;
    s.drained = h->drained;
    s.put_waits = h->put_waits;
    s.put_wait_ns = h->put_wait_ns;
    s.putters_waiting = h->putters.parked_count;
    s.joiners_waiting = h->joiners.parked_count;
    lock_drop(&h->lock);
    lock_take(&t->lock);
    uint64_t head = cursor_seen(&h->head);
    s.put = cursor_own(&t->tail);
    s.items = s.put - head;
    s.bytes = cursor_own(&t->in_bytes) - cursor_seen(&h->out_bytes);
    s.items_high = t->items_high;
    s.get_waits = t->get_waits;
    s.get_wait_ns = t->get_wait_ns;
    s.getters_waiting = t->getters.parked_count;
    s.shut_down = t->closed;
    lock_drop(&t->lock);
    s.got = head - s.drained;
    s.unfinished = s.put - s.done;
    *ret_stats = s;
}

/* ---- making and freeing ---- */

static bool options_valid(const struct pen_queue_options *o)
{
    return o->items_max <= ITEMS_MAX_MOST && o->kind >= PEN_QUEUE_FIFO &&
           o->kind <= PEN_QUEUE_PRIORITY && (o->kind != PEN_QUEUE_PRIORITY || o->rank != NULL);
}

static int make_space(struct pen_queue *q, const struct pen_queue_options *o, uint32_t items)
{
    int r = ring_new(items, &q->put.ring);
    if (r < 0)
        return r;
    q->take.ring = q->put.ring;
    if (o->kind != PEN_QUEUE_FIFO) {
        order_rank_fn rank = o->kind == PEN_QUEUE_PRIORITY ? o->rank : NULL;
        /* As many as the ring has slots, since they grow together. */
        r = order_new(rank, o->rank_arg, (uint32_t)(q->put.ring->mask + 1), &q->take.order);
    }
    if (r == 0 && o->fair) {
        q->put.spent = calloc(QUEUE_LANES, sizeof q->put.spent[0]);
        r = q->put.spent != NULL ? 0 : PEN_ENOMEM;
    }
    if (r < 0) {
        order_free(q->take.order);
        ring_free(q->put.ring);
    }
    return r;
}

static void init_sides(struct pen_queue *q, uint64_t items_max, uint64_t bytes_max)
{
    struct put_side *t = &q->put;
    struct take_side *h = &q->take;
    lock_init(&q->size_lock, LOCK_QUEUE_SIZE);
    lock_init(&t->lock, LOCK_QUEUE_PUT);
    lock_init(&h->lock, LOCK_QUEUE_TAKE);
    waiters_init(&t->getters);
    waiters_init(&h->putters);
    waiters_init(&h->joiners);
    t->items_max = h->items_max = items_max;
    t->bytes_max = h->bytes_max = h->too_big = bytes_max;
}

int pen_queue_new(const struct pen_queue_options *options, struct pen_queue **ret_queue)
{
    const struct pen_queue_options defaults = { .kind = PEN_QUEUE_FIFO };
    const struct pen_queue_options *o = options != NULL ? options : &defaults;
    if (!options_valid(o))
        return PEN_EINVAL;
    struct pen_queue *q = aligned_alloc(QUEUE_LINE_BYTES, sizeof *q);
    if (q == NULL)
        return PEN_ENOMEM;
    memset(q, 0, sizeof *q);
    q->destroy = o->destroy;
    q->destroy_arg = o->destroy_arg;
    uint64_t items = items_bound(o->items_max);
    int r = make_space(q, o, (uint32_t)items);
    if (r < 0) {
        free(q);
        return r;
    }
    init_sides(q, items, bytes_bound(o->bytes_max));
    *ret_queue = q;
    return 0;
}

void pen_queue_free(struct pen_queue **queue)
{
    struct pen_queue *q = *queue;
    if (q == NULL)
        return;
    (void)drain(q, UINT64_MAX);
    check(!waiters_any(&q->put.getters) && !waiters_any(&q->take.putters) &&
          !waiters_any(&q->take.joiners));
    free(q->put.spent);
    ring_free(q->take.ring); /* And, behind it, the ring that is put into. */
    order_free(q->take.order);
    lock_fini(&q->put.lock);
    lock_fini(&q->take.lock);
    lock_fini(&q->size_lock);
    free(q);
    *queue = NULL;
}
