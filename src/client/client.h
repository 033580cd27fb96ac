/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a client, for the files of this folder: client.c makes and ends it, ask.c sends and awaits, receive.c
 * receives.
 *
 *   any thread: put, call --request--> ( outbox ) --> loop: pending --> endpoint, in flight --> future
 *   endpoint --message--> loop --> on_message, or ( inbox ) --> the thread that receives
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

/* One frame that was put, on its way. */
struct request {
    struct list node;          /* owner: loop; in flight, in the order of sending */
    struct pen_future *future; /* a reference; NULL: nobody asks */
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

struct pen_client {
    /* fixed after init */
    struct pen_client_options options; /* with defaults filled in; its texts are not kept */
    struct pen_loop *loop;
    bool own_loop;
    struct pen_queue *outbox; /* of struct request; NULL: it receives */
    struct pen_queue *inbox; /* of struct blob-backed messages; NULL: it sends, or on_message takes them */
    struct pen_future *ended; /* done when it is closed */
    char **topics;            /* batch framing: compared here; NULL: everything */

    /* owner: loop */
    struct endpoint *endpoint;
    struct pen_getter *getter;
    struct request *pending[PENDING_MAX]; /* [pending_at, pending_end): taken from the outbox and not sent */
    size_t pending_at, pending_end;
    struct list in_flight;
    struct slot *slots;
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
/* On the loop, or when it has ended. */
void ask_fini(struct pen_client *c);

/* ---- receive.c ---- */

int receive_init(struct pen_client *c) MUST_CHECK;
size_t receive_on_frames(struct pen_client *c, struct frame *frames, size_t n) ON_LOOP;
void receive_close(struct pen_client *c, bool immediate) ON_LOOP;
void receive_fini(struct pen_client *c);

/* ---- client.c ---- */

/* Something has ended: is the whole? */
void client_go_on_closing(struct pen_client *c) ON_LOOP;
/* The calling thread must not wait until then. */
bool client_must_not_wait(pen_mono_t deadline);

#endif
