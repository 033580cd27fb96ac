/* SPDX-License-Identifier: Apache-2.0
 *
 * What an endpoint's front (endpoint.c) and the kinds behind it (sp.c, nn.c, lines.c) have between them.
 *
 * The front keeps what the receiver did not take, decides when to read, and ends an endpoint; a kind
 * reads without waiting, sends, and tells when there is something to do. A kind embeds struct
 * endpoint as its first member.
 *
 * Thread: the endpoint's loop.
 */
#ifndef NET_ENDPOINT_KIND_H
#define NET_ENDPOINT_KIND_H

#include "base/count.h"
#include "loop/io.h"
#include "net/endpoint.h"

struct endpoint_kind {
    /* Fill endpoint->frames from the front with what is there, without waiting; the number of them. At
     * the end of the source it calls endpoint_source_ended(). */
    size_t (*read)(struct endpoint *endpoint);
    /* read() would find something now. */
    bool (*has_input)(struct endpoint *endpoint);
    /* While on, endpoint_turn() is called whenever there is something to read. Called often with what
     * it is already. */
    void (*watch)(struct endpoint *endpoint, bool on);
    /* As endpoint_send(). NULL when the kind only reads. */
    size_t (*send)(struct endpoint *endpoint, struct parcel_frame *frames, size_t n);
    /* endpoint->corked has changed: when it is false now, write what waits. NULL: send() always writes. */
    void (*cork)(struct endpoint *endpoint);
    /* End the source: true when that is done, false when endpoint_source_closed() will be called.
     * Called a second time, with immediate, when the first was not done. */
    bool (*close)(struct endpoint *endpoint, bool immediate);
    /* The next connection that has ended and was not told yet; false: none. It kicks the endpoint when there is one.
     * NULL when the kind cannot tell. */
    bool (*take_gone)(struct endpoint *endpoint, uint32_t *ret_peer);
    /* Add what only the kind knows. Any thread. */
    void (*stats)(const struct endpoint *endpoint, struct endpoint_stats *stats);
    /* As endpoint_slow_peers(). NULL: it cannot tell. */
    size_t (*slow_peers)(const struct endpoint *endpoint, struct endpoint_slow_peer *ret_peers);
    /* The source is closed or was never used: free everything, the endpoint too. */
    void (*free)(struct endpoint *endpoint);
};

struct endpoint {
    /* fixed after init */
    const struct endpoint_kind *kind;
    struct pen_loop *loop;
    struct endpoint_events events;
    void *arg;
    char *name;
    enum sp_pattern pattern;

    /* owner: loop */
    struct post kick; /* a turn that nothing else brings */
    bool kicked;      /* it is in the loop's inbox */
    bool orphan;      /* freed meanwhile: the kick frees the rest */

    struct frame frames[LIMIT_BATCH_ITEMS]; /* read, or kept: [kept_at, kept_end) */
    size_t kept_at, kept_end;
    bool paused;    /* by endpoint_pause() */
    bool stalled;   /* by a short on_frames */
    bool resumed;   /* endpoint_resume() was called within on_frames */
    bool more;      /* read() stopped because the frames were full: nobody else tells of the rest */
    bool finishing; /* by endpoint_finish_reading() */
    size_t finish_left; /* bytes to go at most */
    bool source_ended, end_told;
    bool corked; /* what is sent may wait for endpoint_uncork() */
    bool closing, immediate, close_begun, source_closed, closed_told;

    /* atomic: counters, written by the loop, read by any thread */
    struct count frames_in, bytes_in, frames_out, bytes_out;
    struct count too_big, malformed, dropped_no_peer, dropped_error, dropped_unread;
};

/* ---- the other kinds' ways in: options are checked as far as they are the kind's ---- */

int nn_open(const struct endpoint_options *options, char *text, size_t size,
            struct endpoint **ret_endpoint) MUST_CHECK;
int lines_open(const struct endpoint_options *options, char *text, size_t size,
               struct endpoint **ret_endpoint) MUST_CHECK;

/* ---- for the kinds ---- */

/* The endpoint is zeroed memory of the kind's. PEN_ENOMEM. */
int endpoint_init(struct endpoint *endpoint, const struct endpoint_kind *kind,
                  const struct endpoint_options *options) MUST_CHECK;
void endpoint_fini(struct endpoint *endpoint);

/* There may be something to read. From the loop only, never from within a call of the front. */
void endpoint_turn(struct endpoint *endpoint);
/* Call endpoint_turn(), or go on closing, in the loop's next turn. */
void endpoint_kick(struct endpoint *endpoint);
/* There is room again after a short send. From the loop only. */
void endpoint_has_room(struct endpoint *endpoint);
/* Nothing will be read any more. */
void endpoint_source_ended(struct endpoint *endpoint);
/* The end that close() began is there. */
void endpoint_source_closed(struct endpoint *endpoint);

#endif
