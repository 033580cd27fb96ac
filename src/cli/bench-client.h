/* SPDX-License-Identifier: Apache-2.0
 *
 * One client of a benchmark, and one receiver: each an endpoint on a loop. See bench.h.
 */
#ifndef CLI_BENCH_CLIENT_H
#define CLI_BENCH_CLIENT_H

#include "base/count.h"
#include "cli/bench.h"
#include "loop/io.h"
#include "net/endpoint.h"
#include "proto/batch.h"

/* Where the main loop waits for them. */
struct bench_desk {
    struct pen_loop *loop;
    const struct bench_plan *plan;
    mono_t start; /* set before the clients begin */
};

/* A request that was sent: one message of req, a frame of put. */
struct bench_asked {
    uint64_t number; /* among the client's requests */
    mono_t due;      /* of its first message; ns 0: nobody waits for it */
    size_t messages;
};

struct bench_client {
    /* fixed after init */
    const struct bench_plan *plan;
    const struct bench_desk *desk;
    struct post end_post; /* to the desk */
    struct pen_loop *loop;
    uint64_t index;           /* among the clients; its messages are index, index + clients, ... */
    uint64_t share;           /* how many; UINT64_MAX: until the time is over */
    size_t most;              /* messages in one send */
    struct batch_attrs attrs; /* of its frames */
    struct post begin_post, go_on_post;

    /* owner: loop */
    struct endpoint *endpoint;
    struct pen_timer timer;     /* the next message is due */
    struct pen_timer end_timer; /* the time is over */
    mono_t ended;
    bool over;                  /* it sends no more */
    bool ends;                  /* and waits for nothing but its endpoint's end */
    uint8_t *scratch;           /* a message that is being made */
    uint64_t requests, replies; /* so far, of those who ask */
    struct bench_asked *asked;  /* of those who ask: BENCH_ASKED_MAX of them */
    size_t in_hand;             /* BENCH_WORK: jobs whose acknowledgement is not confirmed */
    mono_t since, reserved;     /* BENCH_WORK: when the jobs in hand were asked for, and the next */
    bool waits_for_jobs;        /* BENCH_WORK */
    struct bench_times latency; /* of those who ask or work */

    /* atomic: single writer */
    struct count sent, answered, failed, sum;
};

/* Open its endpoint; nothing happens before bench_client_begin(). The reason of a failure is said. c is zeroed, but for its
 * end_post, which is posted to the desk when it has sent everything, and has all its answers. */
int bench_client_init(struct bench_client *c, const struct bench_desk *desk, struct pen_loop *loop,
                      uint64_t index) MUST_CHECK;
void bench_client_begin(struct bench_client *c) ANY_THREAD;
/* It sends no more, and ends when what it waits for has come. */
void bench_client_stop(struct bench_client *c) ON_LOOP;
/* When its loop does not run. */
void bench_client_fini(struct bench_client *c);

/* Its requests have answers. */
static inline bool bench_client_asks(const struct bench_client *c)
{
    return c->plan->kind >= BENCH_REQ;
}

/* ---- bench-work.c ---- */

/* Ask for jobs, unless that is under way or enough were taken. Its end is when they have been acknowledged, or when none has
 * come for half the plan's patience. */
void bench_work_go_on(struct bench_client *c) ON_LOOP;
size_t bench_work_on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *client);

/* ---- receivers ---- */

struct bench_receiver {
    /* fixed after init */
    const struct bench_plan *plan;
    const struct bench_desk *desk;
    struct post end_post; /* to the desk */
    struct pen_loop *loop;
    struct post begin_post, expect_post;

    /* owner: loop */
    struct endpoint *endpoint;
    struct bench_times latency;
    mono_t last;
    bool told;

    /* atomic */
    struct count received, sum; /* single writer */
    struct count expected;      /* how many are to come; UINT64_MAX: not known yet */
};

/* The same for a receiver; its end_post is posted when everything that is expected has come. */
int bench_receiver_init(struct bench_receiver *r, const struct bench_desk *desk,
                        struct pen_loop *loop) MUST_CHECK;
void bench_receiver_begin(struct bench_receiver *r) ANY_THREAD;
/* So many are all. */
void bench_receiver_expect(struct bench_receiver *r, uint64_t messages) ANY_THREAD;
void bench_receiver_fini(struct bench_receiver *r);

#endif
