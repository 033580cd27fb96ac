/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's inside, for the files of this folder only.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <event2/event.h>

#include <penstock/loop.h>

#include "base/count.h"
#include "base/heap.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/units.h"
#include "loop/io.h"
#include "sync/futex.h"
#include "sync/lock.h"
#include "sync/vigil.h"

enum { LOOP_NAME_BYTES = 16 };

enum loop_state {
    LOOP_IDLE,    /* nobody runs it */
    LOOP_CLAIMED, /* a thread that will run it was started */
    LOOP_RUNS,
    LOOP_CLOSED
};

enum loop_stop {
    STOP_NOT,
    STOP_AFTER_A_TURN, /* asked from outside: what was accepted before still runs */
    STOP_NOW           /* asked on the loop: the present turn is the last */
};

/* What the watch remembers of a loop; see watch.c. */
struct watch_eye {
    uint64_t beat;      /* 0: slept when it was looked at last */
    mono_t seen;        /* when it was first seen with this beat */
    span_t cpu, waited; /* of its thread then */
    span_t late;        /* how late the watch itself has come since then */
    span_t next;        /* report when it lasts so long */
};

struct pen_loop {
    /* fixed after init */
    char name[LOOP_NAME_BYTES];
    uint32_t inbox_max, turn_max;
    int cpu; /* of pen_loop_start()'s thread; -1: any */
    struct event_base *base;
    struct event *wake_event, *alarm_event;
    int wake_fd, timer_fd;
    struct thread *thread; /* of pen_loop_start(); owner: who starts and joins */

    /* owner: loop */
    struct list ready; /* of struct post */
    struct heap timers;
    uint64_t timer_seq;
    mono_t alarm;  /* when timer_fd goes off; PEN_NEVER: not at all */
    mono_t now;    /* when the present turn began, or the last one */
    mono_t oldest; /* when the first of the calls in `ready` that were posted was; 0: none were */
    unsigned unasked_turns; /* since the descriptors were asked */
    bool awake;             /* this turn has begun */
    bool rested;            /* between the last turn and this one it slept, or did not run */

    /* lock: inbox_lock */
    struct lock inbox_lock;
    struct list inbox;    /* of struct post */
    struct list promised; /* of struct post: not made yet */
    mono_t inbox_since;   /* when the first of them came */
    uint32_t inbox_calls;
    unsigned expected;
    bool sleeping;
    enum loop_stop stopping;
    enum loop_state state;
    struct futex came;

    /* lock: LOOPS, of watch.c */
    struct list in_loops;
    struct watch_eye eye;

    /* atomic: counters, written by the running thread, read by any */
    struct count owner;      /* thread_id(), 0: nobody runs it */
    struct count busy_since; /* ns; 0: sleeps. atomic: edge V1 after a rest */
    struct count turns, events, calls, fired, steps;
    struct count timers_count;                    /* armed */
    struct count running_id;                      /* of loop_set_running() */
    struct count running[LOOP_RUNNING_BYTES / 8]; /* its text, in words */
    struct histogram turn_time, lag;
};

struct event_base *loop_event_base(struct pen_loop *loop);

/* Every libevent callback of a descriptor opens with it: stamps the heartbeat, and the clock after a sleep. */
void loop_event_begins(struct pen_loop *loop);

/* pen_loop.owner between pen_loop_start() and its thread's beginning: nobody is here. */
#define LOOP_OWNER_TO_COME UINT64_MAX

/* The text of loop_set_running(), "" for none; mixed with the one before when it is set in this moment. Any thread. */
void loop_running(const struct pen_loop *loop, char text[LOOP_RUNNING_BYTES]);

/* Changes with every callback, and every step said with loop_set_running(). Any thread. */
uint64_t loop_beat(const struct pen_loop *loop);

/* Run pen_loop_start()'s thread on this CPU. Before it runs. */
void loop_pin(struct pen_loop *loop, int cpu);

/* ---- watch.c ---- */

extern struct vigil loops_vigil;

void loops_add(struct pen_loop *loop);
void loops_remove(struct pen_loop *loop);

#endif
