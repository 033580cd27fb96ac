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

/* Where the main loop waits for them. */
struct bench_desk {
    struct pen_loop *loop;
    const struct bench_plan *plan;
    mono_t start; /* set before the clients begin */
};

struct bench_asked {
    uint64_t number;
    mono_t due; /* ns 0: nobody waits for it */
};

struct bench_client {
    /* fixed after init */
    const struct bench_plan *plan;
    const struct bench_desk *desk;
    struct post end_post; /* to the desk */
    struct pen_loop *loop;
    uint64_t index; /* among the clients; its messages are index, index + clients, ... */
    uint64_t share; /* how many; UINT64_MAX: until the time is over */
    size_t most;    /* messages in one send */
    struct post begin_post, go_on_post;

    /* owner: loop */
    struct endpoint *endpoint;
    struct pen_timer timer;     /* the next message is due */
    struct pen_timer end_timer; /* the time is over */
    mono_t ended;
    bool over;                  /* it sends no more */
    uint8_t *scratch;           /* a message that is being made */
    struct bench_asked *asked;  /* BENCH_REQ: BENCH_ASKED_MAX of them */
    struct bench_times latency; /* BENCH_REQ */

    /* atomic: single writer */
    struct count sent, answered, failed, sum;
};

/* Open its endpoint; nothing happens before bench_client_begin(). The reason of a failure is said. c is zeroed, but for its
 * end_post, which is posted to the desk when it has sent everything, and has all its answers. */
int bench_client_init(struct bench_client *c, const struct bench_desk *desk, struct pen_loop *loop,
                      uint64_t index) MUST_CHECK;
void bench_client_begin(struct bench_client *c) ANY_THREAD;
/* When its loop does not run. */
void bench_client_fini(struct bench_client *c);

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
