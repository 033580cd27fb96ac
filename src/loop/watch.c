/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of all loops, and the thread that watches them.
 *
 * What a stall is. Every callback of a loop, and every step it says with loop_set_running(), changes the loop's beat, a
 * sum of counters that the loop keeps anyway. The watch looks at every loop that is in a turn, every slow/2, and
 * remembers when it first saw the beat. A beat that stays is one callback that goes on. It is a stall once it has
 * been computing for `slow` (CPU time), or is blocked and has been off the queue for a CPU for that long; a thread
 * that is ready but is given no CPU is the machine's trouble and not the callback's. Time by which the watch itself
 * comes too late counts like that, too: whoever the blocked one waits for may have got no CPU either. (Beginning anew
 * after coming late was tried, and missed stalls of 300 ms on a machine with three times its load.) The heartbeat alone (how long a turn lasts) was tried first: a
 * turn of 1,024 short calls, or of 64 jobs of 2 ms, is longer than `slow` and nobody's fault.
 *
 * What it costs. A loop that wakes from sleep reads one word, and writes an eventfd when the watch rests
 * (sync/vigil.h); a turn that follows a turn costs nothing. The watch rests when it finds every loop asleep, so it wakes at
 * most 20 times a second while there is work (at 100 ms), and never when there is none.
 *
 * What a report takes. The stack is taken on the stalled thread by a signal (plat/stack.h); afterwards the beat is
 * looked at again, and when it has moved on the stack may be of something else and is not shown.
 *
 * Thread: the watch's, but for the list, which has a lock. Nothing is held while a stack is taken or a stall told.
 */
#include <penstock/watch.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"
#include "loop/io.h"
#include "loop/loop.h"
#include "plat/clock.h"
#include "plat/stack.h"
#include "plat/thread.h"

enum {
    SLOW_MS_DEFAULT = 100,
    STALLS_MAX = 16, /* told in one look; others wait for the next */
    ANSWER_MS = 250, /* for a stalled thread to show its stack */
    STACK_TEXT_BYTES = 16 * 1024
};

/* ---- all loops ---- */

static struct lock loops_lock = LOCK_INITIALIZER(LOOPS);
/* lock: loops_lock */
static struct list loops = LIST_INIT(loops);
struct vigil loops_vigil;

void loops_add(struct pen_loop *l)
{
    lock_take(&loops_lock);
    list_push_back(&loops, &l->in_loops);
    lock_drop(&loops_lock);
}

void loops_remove(struct pen_loop *l)
{
    lock_take(&loops_lock);
    list_remove(&l->in_loops);
    lock_drop(&loops_lock);
}

void loops_each(void (*fn)(struct pen_loop *loop, void *arg), void *arg)
{
    lock_take(&loops_lock);
    LIST_EACH(node, &loops)
        fn(CONTAINER_OF(node, struct pen_loop, in_loops), arg);
    lock_drop(&loops_lock);
}

/* ---- looking ---- */

struct watch {
    /* fixed after init */
    struct pen_watch_options options;
    struct thread *thread;
    /* owner: watch */
    mono_t next; /* when to look again; PEN_NEVER: when a loop rings */
    struct buf text;
    /* atomic: set once, by pen_watch_stop() */
    struct count ended;
};

/* A stall found, to be told when the lock is dropped. */
struct found {
    const struct pen_loop *loop; /* only to be compared: it may be gone */
    char name[LOOP_NAME_BYTES];
    char running[LOOP_RUNNING_BYTES];
    uint64_t running_id, beat;
    int thread_id;
    span_t wall, cpu;
};

struct look {
    struct watch *watch;
    mono_t now, next;
    span_t late;
    struct found found[STALLS_MAX];
    size_t found_count;
};

static void look_again_by(struct look *k, mono_t when)
{
    if (mono_before(when, k->next))
        k->next = when;
}

/* True when the callback itself, not the machine, has taken as long as eye->next. */
static bool is_stall(const struct watch_eye *eye, const struct thread_usage *u, span_t wall)
{
    span_t cpu = { u->cpu.ns - eye->cpu.ns };
    span_t waited = { u->waited.ns - eye->waited.ns };
    if (cpu.ns >= eye->next.ns)
        return true;
    return !u->ready && wall.ns - waited.ns - eye->late.ns >= eye->next.ns;
}

static void remember(struct watch_eye *eye, uint64_t beat, const struct look *k, int thread_id)
{
    struct thread_usage u = { 0 };
    if (thread_usage(thread_id, &u) < 0)
        beat = 0;
    *eye = (struct watch_eye){
        .beat = beat, .seen = k->now, .cpu = u.cpu, .waited = u.waited, .next = k->watch->options.slow
    };
}

static void add_found(struct look *k, struct pen_loop *l, const struct thread_usage *u)
{
    struct found *f = &k->found[k->found_count++];
    *f = (struct found){ .loop = l,
                         .running_id = count_read(&l->running_id),
                         .beat = l->eye.beat,
                         .thread_id = (int)count_read(&l->owner),
                         .wall = mono_since(k->now, l->eye.seen),
                         .cpu = { u->cpu.ns - l->eye.cpu.ns } };
    (void)str_copy(f->name, sizeof f->name, l->name);
    loop_running(l, f->running);
    while (l->eye.next.ns <= f->wall.ns)
        l->eye.next.ns *= 2;
}

static void look_at(struct pen_loop *l, void *arg)
{
    struct look *k = arg;
    struct watch_eye *eye = &l->eye;
    int thread_id = (int)count_read(&l->owner);
    uint64_t beat = loop_beat(l);
    if (!vigil_is_at_work(&l->busy_since)) {
        eye->beat = 0;
        return;
    }
    look_again_by(k, mono_after(k->now, (span_t){ k->watch->options.slow.ns / 2 }));
    if (eye->beat != beat) {
        remember(eye, beat, k, thread_id);
        return;
    }
    eye->late.ns += k->late.ns;
    span_t wall = mono_since(k->now, eye->seen);
    if (wall.ns < eye->next.ns) {
        look_again_by(k, mono_after(eye->seen, eye->next));
        return;
    }
    struct thread_usage u;
    if (thread_usage(thread_id, &u) == 0 && is_stall(eye, &u, wall) && k->found_count < STALLS_MAX)
        add_found(k, l, &u);
}

/* ---- telling ---- */

struct still {
    const struct found *found;
    bool is;
};

static void see_if_still(struct pen_loop *l, void *arg)
{
    struct still *s = arg;
    if (l == s->found->loop && loop_beat(l) == s->found->beat)
        s->is = true;
}

/* The stalled thread's stack as text, or why there is none. */
static const char *stack_text(struct watch *w, const struct found *f)
{
    struct stack stack;
    struct still still = { .found = f };
    int r = stack_take(f->thread_id, mono_after(clock_mono(), span_ms(ANSWER_MS)), &stack);
    loops_each(see_if_still, &still);
    if (!still.is)
        return "(it went on while its stack was taken)\n";
    if (r < 0)
        return r == PEN_ETIMEOUT ? "(the thread does not answer the signal that takes its stack)\n"
                                 : "(its stack could not be taken)\n";
    buf_consume(&w->text, buf_bytes(&w->text));
    r = stack_format(&stack, &w->text);
    if (r == 0 || r == PEN_ETOOBIG)
        r = buf_append(&w->text, "", 1);
    return r == 0 ? (const char *)buf_at(&w->text) : "(there is no memory for its stack)\n";
}

static void tell(struct watch *w, const struct found *f)
{
    struct pen_stall stall = { .loop = f->name,
                               .running = f->running[0] != '\0' ? f->running : NULL,
                               .running_id = f->running_id,
                               .thread_id = f->thread_id,
                               .wall = f->wall,
                               .cpu = f->cpu,
                               .stack = stack_text(w, f) };
    w->options.on_stall(&stall, w->options.arg);
}

static void tell_stderr(const struct pen_stall *s, void *arg)
{
    (void)arg;
    struct buf line = { 0 };
    const char *running = s->running != NULL ? s->running : "a callback";
    int r = buf_printf(&line,
                       "penstock: loop %s (thread %d) has been in %s (%" PRIu64 ") for %" PRId64
                       " ms, %" PRId64 " ms of it on a CPU:\n%s",
                       s->loop, s->thread_id, running, s->running_id, s->wall.ns / 1000000,
                       s->cpu.ns / 1000000, s->stack);
    if (r == 0) {
        ssize_t n = write(STDERR_FILENO, buf_at(&line), buf_bytes(&line));
        (void)n; /* There is nobody else to tell. */
    }
    buf_fini(&line);
}

/* ---- the thread ---- */

static void look(struct watch *w)
{
    struct look k = { .watch = w, .now = clock_mono(), .next = PEN_NEVER };
    if (mono_before(w->next, k.now))
        k.late = mono_since(k.now, w->next);
    loops_each(look_at, &k);
    for (size_t i = 0; i < k.found_count; i++)
        tell(w, &k.found[i]);
    mono_t now = k.found_count > 0 ? clock_mono() : k.now;
    w->next = mono_before(k.next, now) ? now : k.next; /* Telling took time; that is not being late. */
}

static void see_if_at_work(struct pen_loop *l, void *arg)
{
    bool *any = arg;
    *any = *any || vigil_is_at_work(&l->busy_since);
}

/* Lie down, unless somebody has begun to work in this moment. */
static void rest(struct watch *w)
{
    bool any = false;
    vigil_rest(&loops_vigil);
    loops_each(see_if_at_work, &any);
    if (!any)
        (void)vigil_wait(&loops_vigil, PEN_NEVER);
    vigil_awake(&loops_vigil);
}

static void watch_run(void *arg)
{
    struct watch *w = arg;
    while (count_read(&w->ended) == 0) {
        look(w);
        if (w->next.ns == PEN_NEVER.ns)
            rest(w);
        else
            (void)vigil_wait(&loops_vigil, w->next);
    }
}

/* ---- starting and stopping ---- */

static struct watch *the_watch; /* lock: loops_lock */

static int watch_new(const struct pen_watch_options *options, struct watch **ret_watch)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return PEN_ENOMEM;
    if (options != NULL)
        w->options = *options;
    if (w->options.slow.ns == 0)
        w->options.slow = span_ms(SLOW_MS_DEFAULT);
    if (w->options.on_stall == NULL)
        w->options.on_stall = tell_stderr;
    w->text.max = STACK_TEXT_BYTES;
    w->next = PEN_NEVER;
    *ret_watch = w;
    return 0;
}

static int start_locked(struct watch *w) LOCKED(&loops_lock)
{
    if (the_watch != NULL)
        return PEN_EBUSY;
    int r = stack_init();
    if (r == 0)
        r = vigil_open(&loops_vigil);
    if (r == 0)
        r = thread_start("watch", watch_run, w, &w->thread);
    if (r == 0)
        the_watch = w;
    return r;
}

int pen_watch_start(const struct pen_watch_options *options)
{
    if (options != NULL && options->slow.ns != 0 && options->slow.ns < span_ms(1).ns)
        return PEN_EINVAL;
    struct watch *w;
    int r = watch_new(options, &w);
    if (r < 0)
        return r;
    lock_take(&loops_lock);
    r = start_locked(w);
    lock_drop(&loops_lock);
    if (r < 0)
        free(w);
    return r;
}

void pen_watch_stop(void)
{
    lock_take(&loops_lock);
    struct watch *w = the_watch;
    bool first = w != NULL && count_read(&w->ended) == 0;
    if (first)
        count_set(&w->ended, 1);
    lock_drop(&loops_lock);
    if (!first)
        return;
    vigil_call(&loops_vigil);
    thread_join(&w->thread);
    lock_take(&loops_lock);
    vigil_close(&loops_vigil);
    the_watch = NULL;
    lock_drop(&loops_lock);
    buf_fini(&w->text);
    free(w);
}
