/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a client, for the files of this folder: client.c makes and ends it, ask.c sends and awaits, receive.c
 * receives, work.c has jobs come and settle.c has them go.
 *
 *   any thread: put, call --request--> ( outbox ) --> loop: pending --> endpoint, in flight --> future
 *   endpoint --message--> loop --> on_message, or ( inbox ) --> the thread that receives
 *   loop: reserve --> endpoint --jobs--> loop: in hand --> on_job, or ( inbox ) --> a thread that works
 *   any thread: settle --job--> ( settled ) --> loop: own --> endpoint, in flight --> future
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <penstock/client.h>
#include <penstock/queue.h>

#include "base/count.h"
#include "base/list.h"
#include "base/roles.h"
#include "base/slice.h"
#include "loop/io.h"
#include "net/endpoint.h"
#include "proto/batch.h"

enum { PENDING_MAX = 64 };

struct request;

/* How a request of the loop's own ends, which it frees: with an error, or with an answer. */
typedef void (*request_end_fn)(struct request *r, int error, struct batch_reader *answer,
                               struct slice message);

/* One frame that was put, on its way. */
struct request {
    struct list node; /* owner: loop; in flight, in the order of sending; or among its own */
    struct pen_future *future; /* a reference; NULL: nobody asks */
    request_end_fn on_end;     /* of the loop's own; else NULL */
    struct slice frame;        /* empty once it was sent */
    uint32_t records;
    uint32_t slot; /* while in flight */
    bool call;
    mono_t deadline;
};

/* Requests in flight by the number that their answers bring back. */
struct slot {
    struct request *request; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

/* A job in hand: in the list of those until its settlement has ended. */
struct held {
    struct pen_work work; /* what is shown of it */
    /* fixed after init */
    struct slice message; /* what it points into */
    struct batch_text queue;
    uint64_t lease;
    uint64_t lease_ms;
    /* owner: loop */
    struct list node;
    uint32_t refs;
    bool settling; /* its settlement is on its way */
    /* atomic */
    struct count lost;
    /* fixed when it is settled */
    enum pen_outcome outcome;
    struct pen_future *future; /* a reference; NULL: nobody asks */
    uint64_t delay_ms;
    uint32_t result_bytes, text_bytes;
    char *said; /* the result and then the text; NULL: neither */
};

/* What a client that works has besides. Owner: loop, but for the queues. */
struct work {
    struct pen_work_options options; /* fixed; with defaults, its names are copies */
    struct pen_queue *inbox;         /* of struct held; NULL: on_job takes them */
    struct pen_queue *settled;       /* of struct held */
    struct pen_getter *getter;
    struct list in_hand;
    uint32_t in_hand_count, asked_count, reserves;
    struct pen_timer touch_timer, pause_timer;
    span_t touch_every; /* 0: nothing is in hand */
    /* atomic: counters of the loop */
    struct count in_hand_now, jobs, ended, lost, refused, refusal;
};

struct pen_client {
    /* fixed after init */
    struct pen_client_options options; /* with defaults filled in; its texts are not kept */
    struct pen_loop *loop;
    bool own_loop;
    struct pen_queue *outbox; /* of struct request; NULL: it receives */
    struct pen_queue *inbox; /* of struct blob-backed messages; NULL: it sends, or on_message takes them */
    struct pen_future *ended; /* done when it is closed */
    char **topics;            /* batch framing: compared here; NULL: everything */
    struct work *work;        /* NULL: it does not */

    /* owner: loop */
    struct endpoint *endpoint;
    struct pen_getter *getter;
    struct request *pending[PENDING_MAX]; /* [pending_at, pending_end): taken from the outbox and not sent */
    size_t pending_at, pending_end;
    struct list own; /* the loop's own requests that are not sent */
    struct list in_flight;
    struct slot *slots;
    uint32_t slots_count; /* fixed */
    uint32_t free_slot, in_flight_count;
    struct pen_timer timer;
    struct pen_putter *putter;
    struct post close_post;
    bool outbox_over, closing, paused, closed;

    /* atomic: what pen_client_close() asks for */
    struct count close_wanted, close_at_once;

    /* owner: the thread that receives */
    struct slice held;
    struct batch_reader reader;
    bool reading;

    /* atomic: counters of the loop */
    struct count requests, answers, timeouts, received, malformed, in_flight_now;
};

/* ---- ask.c ---- */

int ask_init(struct pen_client *c) MUST_CHECK;
size_t ask_on_frames(struct pen_client *c, struct frame *frames, size_t n) ON_LOOP;
void ask_on_room(struct pen_client *c) ON_LOOP;
/* Nothing is put any more; immediate: what was put ends with PEN_ECLOSED. */
void ask_close(struct pen_client *c, bool immediate) ON_LOOP;
bool ask_is_over(const struct pen_client *c) ON_LOOP;
/* Have a request of the loop's own sent with the next ask_flush(), at the end of every event. */
void ask_own(struct pen_client *c, struct request *r) ON_LOOP;
void ask_flush(struct pen_client *c) ON_LOOP;
/* No answers will come to what was sent, and nothing of the loop's own is sent: on_end of all these is called. */
void ask_give_up(struct pen_client *c, int error) ON_LOOP;
/* On the loop, or when it has ended. */
void ask_fini(struct pen_client *c);

/* ---- receive.c ---- */

int receive_init(struct pen_client *c) MUST_CHECK;
size_t receive_on_frames(struct pen_client *c, struct frame *frames, size_t n) ON_LOOP;
void receive_close(struct pen_client *c, bool immediate) ON_LOOP;
void receive_fini(struct pen_client *c);

/* ---- work.c ---- */

bool work_options_are_right(const struct pen_client_options *o);
int work_init(struct pen_client *c, const struct pen_work_options *o) MUST_CHECK;
/* Jobs that came to no request that is still known: they are given back. */
void work_on_stray(struct pen_client *c, struct batch_reader *reader, struct slice message) ON_LOOP;
/* Ask for more jobs, where there is room for them. */
void work_ask(struct pen_client *c) ON_LOOP;
/* The connection was cut, and with it the leases are lost. */
void work_on_gone(struct pen_client *c) ON_LOOP;
void work_close(struct pen_client *c, bool immediate) ON_LOOP;
bool work_is_over(const struct pen_client *c) ON_LOOP;
void work_fini(struct pen_client *c);
void work_stats(const struct pen_client *c, struct pen_client_stats *ret_stats);
/* Its settlement, or its life, has ended: tell it and let it go. */
void work_end(struct pen_client *c, struct held *h, int error) ON_LOOP;
void work_unref(struct held *h) ON_LOOP;
void work_lose(struct pen_client *c, struct held *h) ON_LOOP;

/* ---- settle.c ---- */

int settle_init(struct pen_client *c) MUST_CHECK;
/* Give a job back that nobody has taken. */
void settle_release(struct pen_client *c, struct held *h) ON_LOOP;
/* Touch all jobs in hand. */
void settle_touch(struct pen_client *c) ON_LOOP;
/* It will not be settled: its future is told. */
void settle_tell(struct held *h, int error);

/* ---- client.c ---- */

/* Something has ended: is the whole? */
void client_go_on_closing(struct pen_client *c) ON_LOOP;
/* The calling thread must not wait until then. */
bool client_must_not_wait(pen_mono_t deadline);

#endif
