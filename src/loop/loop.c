/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: one libevent base, one thread, an inbox for the others, timers in a heap.
 *
 * A turn is: take the inbox over (one lock hold for a whole burst), sleep in epoll_wait unless something is ready,
 * serve descriptors and timers, then run the calls that were ready when the turn began, at most turn_max, so that
 * calls that call again never starve the sockets. Of turns that follow each other without a sleep only every third asks the
 * descriptors: a request that passes through several parts on one loop would pay a system call for each of them.
 *
 * Wake-up. `sleeping` is set under the inbox lock, in the same hold that found the inbox empty; a poster that finds it
 * set clears it and writes the eventfd. So a burst costs one write, a loop that is awake costs none, and no
 * wake-up is missed: whoever posts later finds `sleeping`, whoever posted earlier was seen. The write is under the lock
 * too: after it a poster would touch a loop that its own post may have ended (as netty#9388 did). The eventfd is
 * watched edge-triggered and never read, which saves the read (libevent#1619).
 *
 * Timers. They stand in a heap whose order is (instant, arming), so that equal instants keep the order of arming. Each
 * turn fires those that are due; only timers armed before the pass fire in it. A timerfd ends a sleep for the earliest: it is
 * set on the way to sleep, when that has changed, so arming and cancelling cost no call. One that is too early and still
 * far away is left as it is, for waits of many seconds are armed and cancelled with each message: that costs a turn in vain at
 * its time, if nothing else comes before. libevent's own precise timers would set one in each turn: 0.3 us of a hand-off's 2.6.
 *
 * Thread: everything is the loop's but what is under the inbox lock and the heartbeat's counters.
 */
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/count.h"
#include "base/heap.h"
#include "base/str.h"
#include "loop/io.h"
#include "plat/clock.h"
#include "plat/stack.h"
#include "plat/thread.h"
#include "sync/futex.h"
#include "sync/lock.h"

enum { INBOX_MAX_DEFAULT = 65536, TURN_MAX_DEFAULT = 1024 };
enum { UNASKED_TURNS_MAX = 2 }; /* turns in a row that do not ask the descriptors */
#define ALARM_NEAR_NS \
    (INT64_C(5) * NS_PER_S) /* an alarm that is too early is left until it is so near */

/* The loop that the calling thread runs. */
static _Thread_local struct pen_loop *current;

/* A call that owns its memory. */
struct call {
    struct post post;
    pen_call_fn fn;
    void *arg;
};

/* ---- who is here ---- */

bool loop_any_here(void)
{
    return current != NULL;
}

bool pen_loop_here(const struct pen_loop *l)
{
    return count_read(&l->owner) == (uint64_t)thread_id();
}

bool loop_may_touch(const struct pen_loop *l)
{
    uint64_t owner = count_read(&l->owner);
    return owner == 0 || owner == (uint64_t)thread_id();
}

void loop_assert_here(const struct pen_loop *l) NO_TSA
{
    check(loop_may_touch(l));
}

struct pen_loop *pen_loop_current(void)
{
    return current;
}

const char *pen_loop_name(const struct pen_loop *l)
{
    return l->name;
}

pen_mono_t pen_loop_now(const struct pen_loop *l)
{
    return l->awake ? l->now : clock_mono();
}

/* ---- turns ---- */

/* Take the whole inbox over, in order. */
static void take_inbox(struct pen_loop *l) LOCKED(&l->inbox_lock)
{
    if (list_empty(&l->inbox))
        return;
    if (l->oldest.ns == 0)
        l->oldest = l->inbox_since;
    list_append(&l->ready, &l->inbox);
    l->inbox_calls = 0;
}

/* The one reading of the clock in a turn: the first thing that happens after epoll_wait. */
static void turn_begins(struct pen_loop *l)
{
    if (l->awake)
        return;
    l->awake = true;
    mono_t before = l->now;
    l->now = clock_mono();
    count_add(&l->turns, 1);
    if (!l->rested) {
        histogram_add(&l->turn_time, mono_since(l->now, before));
        count_set(&l->busy_since, (uint64_t)l->now.ns);
        return;
    }
    l->rested = false;
    vigil_works(&loops_vigil, &l->busy_since, l->now);
    lock_take(&l->inbox_lock);
    l->sleeping = false;
    take_inbox(l); /* What woke it runs in this turn. */
    lock_drop(&l->inbox_lock);
}

/* The timerfd ends the sleep for the earliest timer, if there is one. */
static void set_alarm(struct pen_loop *l)
{
    const struct pen_timer *first = heap_top(&l->timers);
    mono_t when = first != NULL ? first->when : PEN_NEVER;
    bool too_early = l->alarm.ns < when.ns;
    if (when.ns == l->alarm.ns || (too_early && mono_since(l->alarm, l->now).ns > ALARM_NEAR_NS))
        return;
    l->alarm = when;
    int64_t ns = when.ns > 0 ? when.ns : 1; /* 0 would disarm it. */
    struct itimerspec at = { .it_value = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S } };
    if (when.ns == PEN_NEVER.ns)
        at = (struct itimerspec){ 0 };
    check(timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}

/* No turn follows at once. A second reading of the clock, but only on the way to sleep. */
static void rest(struct pen_loop *l)
{
    if (!l->rested)
        histogram_add(&l->turn_time, mono_since(clock_mono(), l->now));
    l->rested = true;
    count_set(&l->busy_since, 0);
    set_alarm(l);
}

/* ---- timers ---- */

static bool timer_before(const void *a, const void *b)
{
    const struct pen_timer *x = a, *y = b;
    return x->when.ns != y->when.ns ? x->when.ns < y->when.ns : x->seq < y->seq;
}

static uint32_t *timer_index(void *element)
{
    return &((struct pen_timer *)element)->index;
}

/* Out of the heap, not armed any more. */
static void timer_take(struct pen_loop *l, struct pen_timer *t)
{
    heap_remove(&l->timers, t);
    count_set(&l->timers_count, l->timers.count);
    t->loop = NULL;
}

/* Fire what is due, at most turn_max. */
static void fire_timers(struct pen_loop *l)
{
    uint64_t before = l->timer_seq;
    uint32_t left = l->turn_max;
    struct pen_timer *t;
    while ((t = heap_top(&l->timers)) != NULL && t->when.ns <= l->now.ns && t->seq < before &&
           left-- > 0) {
        timer_take(l, t);
        count_add(&l->fired, 1);
        histogram_add(&l->lag, mono_since(l->now, t->when));
        t->fn(l, t->arg, 0);
    }
}

int pen_loop_call_at(struct pen_loop *l, struct pen_timer *t, pen_mono_t when, pen_call_fn fn,
                     void *arg)
{
    if (!loop_may_touch(l))
        return PEN_EWRONGTHREAD;
    if (l->state == LOOP_CLOSED)
        return PEN_ECLOSED;
    pen_timer_cancel(t);
    t->when = when;
    t->seq = l->timer_seq++;
    t->fn = fn;
    t->arg = arg;
    int r = heap_insert(&l->timers, t);
    if (r < 0)
        return r;
    count_set(&l->timers_count, l->timers.count);
    t->loop = l;
    return 0;
}

int pen_loop_call_later(struct pen_loop *l, struct pen_timer *t, pen_span_t after, pen_call_fn fn,
                        void *arg)
{
    return pen_loop_call_at(l, t, mono_after(clock_mono(), after), fn, arg);
}

void pen_timer_cancel(struct pen_timer *t)
{
    struct pen_loop *l = t->loop;
    if (l == NULL)
        return;
    loop_assert_here(l);
    timer_take(l, t);
}

/* ---- calls and posts ---- */

static void run_call(struct pen_loop *l, void *arg, int status)
{
    struct call *c = arg;
    pen_call_fn fn = c->fn;
    void *fn_arg = c->arg;
    free(c);
    fn(l, fn_arg, status);
}

static struct call *call_new(pen_call_fn fn, void *arg)
{
    struct call *c = malloc(sizeof *c);
    if (c == NULL)
        return NULL;
    post_init(&c->post, run_call, c);
    c->post.once = true;
    c->fn = fn;
    c->arg = arg;
    return c;
}

void post_init(struct post *p, pen_call_fn fn, void *arg)
{
    *p = (struct post){ .fn = fn, .arg = arg };
    list_init(&p->node);
}

static void wake_if_asleep(struct pen_loop *l) LOCKED(&l->inbox_lock)
{
    if (!l->sleeping)
        return;
    l->sleeping = false;
    uint64_t one = 1;
    /* EAGAIN means 2^64-2 wake-ups are unseen: then the loop is awake anyway. */
    check(write(l->wake_fd, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

static void inbox_push(struct pen_loop *l, struct post *p) LOCKED(&l->inbox_lock)
{
    if (list_empty(&l->inbox))
        l->inbox_since = clock_mono(); /* Once for a burst. */
    list_push_back(&l->inbox, &p->node);
    if (l->state == LOOP_CLOSED) {
        futex_set(&l->came);
        futex_wake(&l->came);
    }
    wake_if_asleep(l);
}

bool loop_post(struct pen_loop *l, struct post *p)
{
    lock_take(&l->inbox_lock);
    bool queue = !p->queued;
    if (queue) {
        p->queued = true;
        list_remove(&p->node); /* It may have been promised. */
        inbox_push(l, p);
    }
    lock_drop(&l->inbox_lock);
    return queue;
}

void loop_promise(struct pen_loop *l, struct post *p, enum promise kind)
{
    lock_take(&l->inbox_lock);
    p->once = true;
    if (kind == PROMISE_CALL)
        list_push_front(&l->promised, &p->node);
    else
        list_push_back(&l->promised, &p->node);
    lock_drop(&l->inbox_lock);
}

bool loop_withdraw(struct pen_loop *l, struct post *p)
{
    lock_take(&l->inbox_lock);
    bool promised = !p->queued;
    if (promised)
        list_remove(&p->node);
    lock_drop(&l->inbox_lock);
    return promised;
}

void loop_expect(struct pen_loop *l)
{
    lock_take(&l->inbox_lock);
    l->expected++;
    lock_drop(&l->inbox_lock);
}

void loop_expected_came(struct pen_loop *l)
{
    lock_take(&l->inbox_lock);
    check(l->expected > 0);
    l->expected--;
    lock_drop(&l->inbox_lock);
}

int pen_loop_call_soon(struct pen_loop *l, pen_call_fn fn, void *arg)
{
    if (!loop_may_touch(l))
        return PEN_EWRONGTHREAD;
    if (l->state == LOOP_CLOSED)
        return PEN_ECLOSED;
    struct call *c = call_new(fn, arg);
    if (c == NULL)
        return PEN_ENOMEM;
    list_push_back(&l->ready, &c->post.node);
    return 0;
}

int pen_loop_call_soon_threadsafe(struct pen_loop *l, pen_call_fn fn, void *arg)
{
    struct call *c = call_new(fn, arg);
    if (c == NULL)
        return PEN_ENOMEM;
    int r = 0;
    lock_take(&l->inbox_lock);
    if (l->state == LOOP_CLOSED) {
        r = PEN_ECLOSED;
    } else if (l->inbox_calls >= l->inbox_max) {
        r = PEN_EFULL;
    } else {
        l->inbox_calls++;
        inbox_push(l, &c->post);
    }
    lock_drop(&l->inbox_lock);
    if (r < 0)
        free(c);
    return r;
}

static void run_post(struct pen_loop *l, struct post *p, int status)
{
    if (!p->once) { /* From here on it may be posted again. */
        lock_take(&l->inbox_lock);
        p->queued = false;
        lock_drop(&l->inbox_lock);
    }
    p->fn(l, p->arg, status);
}

/* Run what was ready when this began, at most turn_max; all of it in the last turn. */
static void run_ready(struct pen_loop *l, bool last)
{
    if (l->oldest.ns != 0) {
        histogram_add(&l->lag, mono_since(l->now, l->oldest));
        l->oldest.ns = 0;
    }
    struct list now;
    list_init(&now);
    list_append(&now, &l->ready);
    struct list *node;
    uint32_t left = last ? UINT32_MAX : l->turn_max;
    for (; left > 0 && (node = list_take_front(&now)) != NULL; left--) {
        count_add(&l->calls, 1);
        run_post(l, CONTAINER_OF(node, struct post, node), 0);
    }
    list_append(&now, &l->ready); /* What was left stands before what came meanwhile. */
    list_append(&l->ready, &now);
}

/* ---- running ---- */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    turn_begins(arg);
}

/* The alarm has gone off. */
static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct pen_loop *l = arg;
    l->alarm = PEN_NEVER;
    turn_begins(l);
}

/* One turn; false when the loop is to stop instead. */
static bool turn(struct pen_loop *l)
{
    lock_take(&l->inbox_lock);
    take_inbox(l);
    enum loop_stop stop = l->stopping;
    if (stop == STOP_AFTER_A_TURN)
        l->stopping = STOP_NOW;
    bool sleep = list_empty(&l->ready) && stop == STOP_NOT;
    l->sleeping = sleep;
    lock_drop(&l->inbox_lock);
    if (stop == STOP_NOW)
        return false;
    l->awake = false;
    if (sleep)
        rest(l);
    if (sleep || l->unasked_turns == UNASKED_TURNS_MAX) {
        l->unasked_turns = 0;
        check(event_base_loop(l->base, EVLOOP_ONCE | (sleep ? 0 : EVLOOP_NONBLOCK)) >= 0);
    } else {
        l->unasked_turns++;
    }
    turn_begins(l);
    fire_timers(l);
    run_ready(l, stop != STOP_NOT);
    return true;
}

static void set_state(struct pen_loop *l, enum loop_state state) LOCKED(&l->inbox_lock)
{
    static const bool legal[4][4] = {
        [LOOP_IDLE] = { [LOOP_CLAIMED] = true, [LOOP_RUNS] = true, [LOOP_CLOSED] = true },
        [LOOP_CLAIMED] = { [LOOP_RUNS] = true, [LOOP_IDLE] = true },
        [LOOP_RUNS] = { [LOOP_IDLE] = true },
    };
    check(legal[l->state][state]);
    l->state = state;
}

/* From idle to another state. PEN_EBUSY, PEN_ECLOSED. */
static int leave_idle(struct pen_loop *l, enum loop_state state)
{
    int r = 0;
    lock_take(&l->inbox_lock);
    if (l->state == LOOP_CLOSED)
        r = PEN_ECLOSED;
    else if (l->state != LOOP_IDLE)
        r = PEN_EBUSY;
    else
        set_state(l, state);
    lock_drop(&l->inbox_lock);
    return r;
}

/* The loop is ours, and nobody else's, to run. */
static void run(struct pen_loop *l)
{
    bool watched = stack_permit(true);
    count_set(&l->owner, (uint64_t)thread_id());
    current = l;
    l->rested = true;
    while (turn(l)) {
    }
    rest(l);
    l->awake = false;
    current = NULL;
    count_set(&l->owner, 0);
    (void)stack_permit(watched);
    lock_take(&l->inbox_lock);
    l->stopping = STOP_NOT;
    set_state(l, LOOP_IDLE);
    lock_drop(&l->inbox_lock);
}

int pen_loop_run(struct pen_loop *l)
{
    if (current != NULL)
        return PEN_EBUSY;
    int r = leave_idle(l, LOOP_RUNS);
    if (r == 0)
        run(l);
    return r;
}

void pen_loop_stop(struct pen_loop *l)
{
    enum loop_stop stop = current == l ? STOP_NOW : STOP_AFTER_A_TURN;
    lock_take(&l->inbox_lock);
    if (l->stopping < stop)
        l->stopping = stop;
    wake_if_asleep(l);
    lock_drop(&l->inbox_lock);
}

static void thread_run(void *arg)
{
    struct pen_loop *l = arg;
    lock_take(&l->inbox_lock);
    set_state(l, LOOP_RUNS);
    lock_drop(&l->inbox_lock);
    run(l);
}

int pen_loop_start(struct pen_loop *l)
{
    if (l->thread != NULL)
        return PEN_EBUSY;
    int r = leave_idle(l, LOOP_CLAIMED);
    if (r < 0)
        return r;
    count_set(&l->owner, LOOP_OWNER_TO_COME);
    r = thread_start_on(l->cpu, l->name, thread_run, l, &l->thread);
    if (r < 0) {
        count_set(&l->owner, 0);
        lock_take(&l->inbox_lock);
        set_state(l, LOOP_IDLE);
        lock_drop(&l->inbox_lock);
    }
    return r;
}

void loop_pin(struct pen_loop *l, int cpu)
{
    l->cpu = cpu;
}

int pen_loop_join(struct pen_loop *l)
{
    if (pen_loop_here(l))
        return PEN_EWRONGTHREAD;
    if (l->thread == NULL)
        return PEN_EINVAL;
    thread_join(&l->thread);
    return 0;
}

/* ---- making and freeing ---- */

static void set_options(struct pen_loop *l, const struct pen_loop_options *o)
{
    const char *name = o != NULL && o->name != NULL ? o->name : "loop";
    (void)str_copy(l->name, sizeof l->name, name);
    l->inbox_max = o != NULL && o->inbox_max != 0 ? o->inbox_max : INBOX_MAX_DEFAULT;
    l->turn_max = o != NULL && o->turn_max != 0 ? o->turn_max : TURN_MAX_DEFAULT;
}

/* A base without locks: it is only ever touched by the loop's thread. */
static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    struct event_base *base = NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static int open_events(struct pen_loop *l)
{
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->wake_fd < 0 || l->timer_fd < 0)
        return -errno;
    l->base = base_new();
    if (l->base == NULL)
        return PEN_ENOMEM;
    l->wake_event = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, l);
    l->alarm_event = event_new(l->base, l->timer_fd, EV_READ | EV_PERSIST | EV_ET, on_alarm, l);
    if (l->wake_event == NULL || l->alarm_event == NULL)
        return PEN_ENOMEM;
    bool added = event_add(l->wake_event, NULL) == 0 && event_add(l->alarm_event, NULL) == 0;
    return added ? 0 : PEN_ENOMEM;
}

static void close_events(struct pen_loop *l)
{
    if (l->wake_event != NULL)
        event_free(l->wake_event);
    if (l->alarm_event != NULL)
        event_free(l->alarm_event);
    if (l->base != NULL)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    if (l->timer_fd >= 0)
        close(l->timer_fd);
}

int pen_loop_new(const struct pen_loop_options *options, struct pen_loop **ret_loop)
{
    struct pen_loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return PEN_ENOMEM;
    set_options(l, options);
    list_init(&l->ready);
    list_init(&l->inbox);
    list_init(&l->promised);
    lock_init(&l->inbox_lock, LOCK_INBOX);
    l->timers = (struct heap){ .before = timer_before, .index = timer_index };
    l->alarm = PEN_NEVER;
    l->rested = true;
    l->cpu = -1;
    int r = open_events(l);
    if (r < 0) {
        close_events(l);
        lock_fini(&l->inbox_lock);
        free(l);
        return r;
    }
    loops_add(l);
    *ret_loop = l;
    return 0;
}

/* Tell everything that waits that the loop is closed. */
static void close_waiting(struct pen_loop *l)
{
    struct list *node;
    while ((node = list_take_front(&l->ready)) != NULL)
        run_post(l, CONTAINER_OF(node, struct post, node), PEN_ECLOSED);
    struct pen_timer *t;
    while ((t = heap_top(&l->timers)) != NULL) {
        timer_take(l, t);
        t->fn(l, t->arg, PEN_ECLOSED);
    }
}

/* Take the inbox over, or, when nothing else is left to run, one promised post. False: there is nothing. */
static bool take_waiting(struct pen_loop *l) LOCKED(&l->inbox_lock)
{
    take_inbox(l);
    if (!list_empty(&l->ready) || heap_top(&l->timers) != NULL)
        return true;
    struct list *node = list_take_front(&l->promised);
    if (node == NULL)
        return false;
    CONTAINER_OF(node, struct post, node)->queued = true;
    list_push_back(&l->ready, node);
    return true;
}

/* Run what waits until the inbox is empty and no expected post is missing. */
static void drain_closed(struct pen_loop *l)
{
    for (;;) {
        lock_take(&l->inbox_lock);
        bool empty = !take_waiting(l);
        bool wait = empty && l->expected > 0;
        if (wait)
            futex_reset(&l->came);
        lock_drop(&l->inbox_lock);
        if (empty && !wait)
            return;
        if (wait)
            (void)futex_wait(&l->came, PEN_NEVER);
        close_waiting(l);
    }
}

int pen_loop_close(struct pen_loop *l)
{
    int r = leave_idle(l, LOOP_CLOSED);
    if (r == PEN_ECLOSED)
        return 0;
    if (r < 0)
        return r;
    count_set(&l->owner, (uint64_t)thread_id()); /* Other threads stay out. */
    drain_closed(l);
    count_set(&l->owner, 0);
    return 0;
}

void pen_loop_free(struct pen_loop **loop)
{
    struct pen_loop *l = *loop;
    if (l == NULL)
        return;
    check(l->thread == NULL);
    check(pen_loop_close(l) == 0);
    drain_closed(l); /* What was posted since it was closed. */
    loops_remove(l);
    close_events(l);
    heap_fini(&l->timers);
    lock_fini(&l->inbox_lock);
    free(l);
    *loop = NULL;
}

struct event_base *loop_event_base(struct pen_loop *l)
{
    loop_assert_here(l);
    return l->base;
}

void loop_event_begins(struct pen_loop *l)
{
    turn_begins(l);
    count_add(&l->events, 1);
}
