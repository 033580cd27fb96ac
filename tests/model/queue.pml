/* SPDX-License-Identifier: Apache-2.0
 *
 * task/queue.c's protocol for Spin: two monitors, lines with one wake in flight and a baton, shutdown at any time. One item
 * at a time; no bytes, no loops, no join. tests/model/queue-spin runs it.
 *
 * What one side reads of the other's is stale within what C11 allows: each process and each lock has a view (what it
 * must already have seen); taking a lock joins the lock's view, and a read returns anything from the view to the truth.
 *
 * Checked: no deadlock (every waiter is released, also when the shutdown waits until all has been consumed), head never
 * passes tail, no slot is overwritten, what was accepted comes out once.
 *
 * -DP, -DC, -DN, -DCAP: producers, consumers, items of each producer, slots. -DIMMEDIATE, -DTIMEOUTS.
 * -DBUG_TAIL_LATE, -DBUG_GETTER_TRUSTS, -DBUG_PUTTER_TRUSTS, -DBUG_NO_BATON: mistakes that must be found.
 */
#ifndef P
#define P 2
#endif
#ifndef C
#define C 2
#endif
#ifndef N
#define N 2
#endif
#ifndef CAP
#define CAP 1
#endif

#define NOBODY 255

/* The facts. Only tail, closed_t and the line of getters belong to T; head, closed_h and the putters' line to H. */
byte tail, head, filled; /* filled: positions whose pointer is written */
bool ready[CAP];
bool closed_t, closed_h, immediate;

bool t_held, h_held;
byte t_head;           /* T's view of head */
byte h_tail, h_filled; /* H's view of tail and of the slots */
byte head_seen;        /* put_side.head_seen */

chan getters = [C] of { byte };
chan putters = [P] of { byte };
byte getter_carries = NOBODY, putter_carries = NOBODY; /* the wake in flight */
bool picked[P + C];

byte accepted, got, drained, ended;

/* By the exact head, and unsigned, as in C: a tail behind head looks like no room. */
#define ROOM (((v_tail - head) & 255) < CAP)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* What this process must have seen. */
#define VIEW byte v_head, v_tail, v_filled

#define TAKE_T \
    atomic { !t_held -> t_held = true; v_head = MAX(v_head, t_head); v_tail = tail; v_filled = filled; }
#define DROP_T \
    atomic { t_head = MAX(t_head, v_head); t_held = false; }
#define TAKE_H \
    atomic { !h_held -> h_held = true; v_head = head; v_tail = MAX(v_tail, h_tail); v_filled = MAX(v_filled, h_filled); }
#define DROP_H \
    atomic { h_tail = MAX(h_tail, v_tail); h_filled = MAX(h_filled, v_filled); h_held = false; }

/* Acquire: who sees a head has seen the slots below it filled, and tail at least there. */
#define SEE_HEAD \
    atomic { \
        do \
        :: v_head < head -> v_head++ \
        :: break \
        od; \
        v_tail = MAX(v_tail, v_head); v_filled = MAX(v_filled, v_head); \
    }
#define SEE_TAIL \
    atomic { \
        do \
        :: v_tail < tail -> v_tail++ \
        :: break \
        od; \
    }

inline pick_getter()
{
    if
    :: getter_carries == NOBODY && len(getters) > 0 -> getters?getter_carries; picked[getter_carries] = true
    :: else
    fi
}

inline pick_putter()
{
    if
    :: putter_carries == NOBODY && len(putters) > 0 ->
        SEE_TAIL;
        if
        :: ROOM -> putters?putter_carries; picked[putter_carries] = true
        :: else
        fi
    :: else
    fi
}

/* Stand in line, at the front when woken before. */
inline park(line, who, front)
{
    atomic {
        line!who;
        if
        :: front ->
            rotate = len(line) - 1;
            do
            :: rotate > 0 -> line?other; line!other; rotate--
            :: else -> break
            od
        :: else
        fi;
        picked[who] = false
    }
}

/* Out of the line, from whatever state. */
inline leave(line, carries, who)
{
    atomic {
        if
        :: line??[eval(who)] -> line??eval(who)
        :: else
        fi;
        carried = carries == who;
        if
        :: carried -> carries = NOBODY
        :: else
        fi
    }
}

inline sleep(who)
{
    if
    :: picked[who]
#ifdef TIMEOUTS
    :: !timed_out -> timed_out = true
#endif
    fi
}

proctype producer(byte me)
{
    VIEW;
    byte left = N, rotate, other;
    bool in_line, carried, fits, timed_out, shut;

    do
    :: left == 0 || shut -> break
    :: else ->
        TAKE_T;
        shut = closed_t;
        fits = false;
        if
        :: shut
        :: else ->
            if
            :: tail - head_seen < CAP
            :: else -> SEE_HEAD; head_seen = v_head
            fi;
            fits = tail - head_seen < CAP
        fi;
        if
        :: fits ->
#ifndef BUG_TAIL_LATE
            tail++;
#endif
            assert(!ready[filled % CAP]);
            atomic { ready[filled % CAP] = true; filled++ };
#ifdef BUG_TAIL_LATE
            tail++;
#endif
            atomic { v_tail = tail; v_filled = filled; accepted++; left-- };
            pick_getter();
        :: else
        fi;
        DROP_T;
        if
        :: fits || shut
        :: else ->
            TAKE_H;
            SEE_TAIL;
            if
            :: closed_h
#ifndef BUG_PUTTER_TRUSTS
            :: !closed_h && ROOM
#endif
            :: else ->
                leave(putters, putter_carries, me);
                park(putters, me, in_line);
                in_line = true;
                DROP_H;
                sleep(me);
                goto again
            fi;
            DROP_H
        fi;
again:
        skip
    od;
    if
    :: in_line ->
        TAKE_H;
        leave(putters, putter_carries, me);
#ifndef BUG_NO_BATON
        pick_putter();
#endif
        DROP_H
    :: else
    fi;
    ended++
}

/* Take the next item under H when this process sees it. */
inline take(count)
{
    atomic {
        saw = v_filled > head;
        if
        :: !saw && filled > head -> saw = true
        :: true
        fi;
        if
        :: saw ->
            assert(ready[head % CAP]);
            v_filled = MAX(v_filled, head + 1);
#ifndef BUG_TAIL_LATE
            v_tail = MAX(v_tail, head + 1);
#endif
            ready[head % CAP] = false
        :: else
        fi
    };
    if
    :: saw -> atomic { head++; v_head = head; count++ }; pick_putter()
    :: else
    fi
}

proctype consumer(byte me)
{
    VIEW;
    byte rotate, other;
    bool front, carried, saw, timed_out, shut;

    do
    :: shut -> break
    :: else ->
        TAKE_H;
        saw = false;
        if
        :: immediate
        :: else -> take(got)
        fi;
        shut = !saw && closed_h;
        DROP_H;
        if
        :: saw || shut
        :: else ->
            TAKE_T;
            SEE_HEAD;
            assert(v_head <= tail);
            if
#ifndef BUG_GETTER_TRUSTS
            :: tail != v_head
#endif
#ifdef BUG_GETTER_TRUSTS
            :: closed_t -> shut = (tail == v_head)
            :: !closed_t ->
#else
            :: tail == v_head && closed_t -> shut = true
            :: else ->
#endif
                park(getters, me, front);
                DROP_T;
                sleep(me);
                TAKE_T;
                leave(getters, getter_carries, me);
                SEE_HEAD;
                if
                :: carried && tail - v_head > 1 -> pick_getter()
                :: else
                fi;
                front = true
            fi;
            DROP_T;
            skip
        fi
    od;
    ended++
}

proctype shutdown()
{
    VIEW;
    bool saw;
    byte who;
    if
    :: skip                 /* at any time */
    :: true -> got == P * N /* when all is consumed: nobody is rescued */
    fi;
    TAKE_T;
    closed_t = true;
    atomic {
        do
        :: len(getters) > 0 -> getters?who; picked[who] = true
        :: else -> break
        od
    };
    DROP_T;
    TAKE_H;
    closed_h = true;
#ifdef IMMEDIATE
    immediate = true;
#endif
    atomic {
        do
        :: len(putters) > 0 -> putters?who; picked[who] = true
        :: else -> break
        od
    };
    DROP_H;
#ifdef IMMEDIATE
    saw = true;
    do
    :: saw -> TAKE_H; take(drained); DROP_H
    :: else -> break
    od;
#endif
    ended++
}

init
{
    byte i;
    atomic {
        i = 0;
        do
        :: i < C -> run consumer(i); i++
        :: else -> break
        od;
        do
        :: i < C + P -> run producer(i); i++
        :: else -> break
        od;
        run shutdown()
    };
    ended == P + C + 1;
    assert(head == tail && filled == tail && tail == accepted);
    assert(got + drained == accepted);
    assert(len(getters) == 0 && len(putters) == 0)
}
