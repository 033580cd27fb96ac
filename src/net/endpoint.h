/* SPDX-License-Identifier: Apache-2.0
 *
 * An endpoint: one SP socket (or a source of lines) on one loop. It hands over batches of frames and takes
 * batches; a full receiver stops its reading, a full peer stops its sender; closing drains.
 *
 * Kinds behind it: sp.c, which speaks SP over tcp and ipc itself; nn.c over libnanomsg; lines.c for
 * files, FIFOs and standard input.
 *
 * Thread: the endpoint's loop, unless a call says otherwise. Events come from the loop, never from within
 * a call to the endpoint.
 */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include <penstock/loop.h>

#include "base/limits.h"
#include "base/roles.h"
#include "base/route.h"
#include "base/slice.h"
#include "base/units.h"
#include "conf/conf.h"

enum sp_pattern {
    SP_PULL,
    SP_PUSH,
    SP_PUB,
    SP_SUB,
    SP_BUS,
    SP_PAIR,
    /* Raw: many requests at once, told apart by their routes. Who answers gets a route with each and gives it
     * back with the answer, in any order; who asks makes it, with sp_request_route(), and sees it again with
     * each answer. Nothing is sent twice and nothing timed here: an answer may never come, or come when
     * nobody waits for it any more. */
    SP_REP,
    SP_RESPONDENT, /* as rep, to a survey */
    SP_REQ,        /* to one peer, in turn; what it was not given completely goes to another */
    SP_SURVEYOR,   /* to all; each may answer */
    SP_LINES       /* not SP: lines of a file */
};

/* What came in. */
struct frame {
    struct slice body;
    struct route route; /* bytes 0 unless the pattern asks or answers */
};

/* What goes out: head and body are sent as one message. */
struct parcel_frame {
    struct slice head; /* topic and separator; may be empty */
    struct slice body;
    const struct route *route; /* patterns that ask or answer; borrowed for the call */
};

struct endpoint;

struct endpoint_events {
    /* n frames came (1 to LIMIT_BATCH_ITEMS). Returns how many were taken, from the front: those slices are the
     * receiver's. Fewer than n: the endpoint keeps the rest, stops reading, and goes on after
     * endpoint_resume(). NULL for patterns that only send. */
    size_t (*on_frames)(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg);
    /* endpoint_send() had taken fewer than it was given, and would take more now. */
    void (*on_room)(struct endpoint *endpoint, void *arg);
    /* Reading has ended: after endpoint_finish_reading(), or at the end of a file (lines). Frames that were kept
     * are still to be taken first: it comes after the last on_frames. */
    void (*on_read_end)(struct endpoint *endpoint, void *arg);
    /* endpoint_close() has ended: the socket is closed, nothing will be called. */
    void (*on_closed)(struct endpoint *endpoint, void *arg);
    /* SP_REP and SP_REQ over the native transport: a connection has ended, and every frame that it had sent was taken. peer is what
     * endpoint_route_peer() says of its routes. Not told of those that endpoint_close() ends. */
    void (*on_peer_gone)(struct endpoint *endpoint, uint32_t peer, void *arg);
};

struct endpoint_options {
    struct pen_loop *loop;
    const struct endpoint_events *events; /* copied; of those never needed may be NULL */
    void *arg;                            /* of the events */
    const char *name; /* "producer intake": for the log; borrowed for the call, as all texts here */
    enum sp_pattern pattern;
    char *const *listen, *const *connect, *const *topics; /* each ends with NULL; may be NULL */
    const char *path;                                     /* SP_LINES; "-" is standard input */
    size_t message_max;                                   /* bytes; SP_LINES: of a line */
    size_t receive_buffer, send_buffer;                   /* bytes; 0: the transport's default */
    unsigned ipc_mode; /* file mode after bind; 0: as the umask gives it */
    span_t linger;     /* at close, for peers to fetch what was sent */
    /* The native transport: time to write what waits at close, at the end of which linger begins; 0: linger is for both. */
    span_t flush;
    enum conf_transport transport;
    /* The native transport's; each 0: its default. */
    size_t connections_max;   /* accepted at a time; 10,000; at most 65,535 */
    size_t peer_messages_max; /* waiting for one peer; 65,536 */
    size_t peer_bytes_max;    /* waiting for one peer, with SP_OUT_BYTES for each message; 1 MiB */
    size_t out_bytes_max; /* waiting for all peers, counted alike; beyond it, one message each; 256 MiB */
    size_t unfinished_bytes_max; /* of messages above 4 KiB that have come in part, from all peers; 256 MiB */
    span_t handshake;            /* for a peer to say its SP hello; 1 s */
    span_t idle; /* an accepted peer with which nothing is exchanged for so long is closed; 0: never */
    enum conf_slow_subscriber slow; /* SP_PUB */
    /* Numbers of users and groups; each list ends with NULL. Of who comes over ipc, its user must be in the
     * one or a group of its in the other. Both NULL: anybody. */
    char *const *allow_uid, *const *allow_gid;
    /* Several loops on one address. Who is accepted goes to the helpers and to this endpoint in turn. Helpers are
     * endpoints of the native transport on loops of their own, opened with `helps` and without an address; they are freed
     * after this endpoint's loop has ended. */
    struct endpoint *const *helpers;
    size_t helpers_count; /* below LIMIT_THREADS_PER_PRODUCER */
    bool helps;
};

struct endpoint_stats {
    uint64_t frames_in, bytes_in; /* taken by on_frames */
    uint64_t frames_out, bytes_out;
    uint64_t too_big;   /* frames or lines above message_max, dropped, where they can be seen */
    uint64_t malformed; /* requests without a usable way back, dropped */
    uint64_t dropped_no_peer; /* sent into a pattern that drops (pub, bus, surveyor) with no peer there */
    uint64_t dropped_error;  /* frames that the transport refused for another reason: see the log */
    uint64_t dropped_unread; /* frames kept for on_frames when the endpoint was closed */
    uint64_t peers;          /* now */
    uint64_t connects, accepts, breaks, connect_errors;
    /* The native transport's. */
    uint64_t accept_errors;      /* no descriptor was left, for example */
    uint64_t refused;            /* beyond connections_max, or a pair's second peer */
    uint64_t denied;             /* not in allow_uid or allow_gid */
    uint64_t idle;               /* peers closed for being idle */
    uint64_t unfinished;         /* peers closed because of unfinished_bytes_max */
    uint64_t handshake_timeouts; /* peers that did not say hello */
    uint64_t wrong_protocol;     /* peers whose pattern does not go with ours */
    uint64_t garbage_http, garbage_tls, garbage_other; /* connections that are no SP */
    uint64_t dropped_slow; /* messages to one peer, whose buffer was full */
    uint64_t dropped_gone; /* answers to a peer that had left */
};

/* A peer that has lost messages because its buffer was full. */
struct endpoint_slow_peer {
    char name[64]; /* "127.0.0.1:4711", "pid 17 uid 1000 gid 1000" */
    uint64_t dropped;
    bool here; /* still connected */
};
enum { ENDPOINT_SLOW_PEERS = 16 };

/* Open the socket, bind and connect every address. Nothing is read before endpoint_resume(). The message of a
 * failure, naming the address, goes to text (at most size bytes). PEN_EBIND, PEN_EADDRESS, PEN_ELIMIT,
 * PEN_ENOMEM, or a negated errno. On the loop's thread or before it runs. */
int endpoint_open(const struct endpoint_options *options, char *text, size_t size,
                  struct endpoint **ret_endpoint) MUST_CHECK;

/* The same with the native transport, whatever the options and the address say. */
int endpoint_open_native(const struct endpoint_options *options, char *text, size_t size,
                         struct endpoint **ret_endpoint) MUST_CHECK;

/* Read, or go on reading; kept frames are offered first. Idempotent. */
void endpoint_resume(struct endpoint *endpoint) ON_LOOP;
/* Stop reading: peers that send will feel it. Idempotent. */
void endpoint_pause(struct endpoint *endpoint) ON_LOOP;

/* Take what has already arrived here (until nothing is there, or 1 MiB was taken since this call), then read
 * no more and tell on_read_end; a paused endpoint goes on reading for it. While frames are kept it waits for
 * endpoint_resume(). The socket stays open for answers. */
void endpoint_finish_reading(struct endpoint *endpoint) ON_LOOP;

/* Send up to n frames; returns how many were taken, from the front: their slices are the endpoint's. Fewer than
 * n: on_room comes once. pub, bus, surveyor, rep and respondent never return short, but for a pub with slow: block:
 * what a peer cannot take is the transport's to drop, and counted where it can be seen. */
size_t endpoint_send(struct endpoint *endpoint, struct parcel_frame *frames, size_t n) ON_LOOP;

/* Between these two, what is sent may wait to be written together: many calls of endpoint_send(), one system call. A full
 * peer is written to all the same. They do not nest. */
void endpoint_cork(struct endpoint *endpoint) ON_LOOP;
void endpoint_uncork(struct endpoint *endpoint) ON_LOOP;

/* Close: everything taken by endpoint_send() is given to the transport and the peers are given up to linger to
 * fetch it, after up to flush for writing it; immediate: at once. Kept frames are dropped and counted. Asynchronous,
 * idempotent; may become immediate. */
void endpoint_close(struct endpoint *endpoint, bool immediate) ON_LOOP;

/* After on_closed (in it as well), or while the loop does not run and is not freed; sets to NULL,
 * accepts NULL. */
void endpoint_free(struct endpoint **endpoint);

/* The connection that a frame with this route came over. */
uint32_t endpoint_route_peer(const struct route *route) ANY_THREAD;

void endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *ret_stats) ANY_THREAD;
void endpoint_stats_add(struct endpoint_stats *sum, const struct endpoint_stats *more);
/* Peers that have lost messages, at most ENDPOINT_SLOW_PEERS: when there are more, those that are gone are
 * forgotten first. How many were written to ret_peers. */
size_t endpoint_slow_peers(const struct endpoint *endpoint,
                           struct endpoint_slow_peer ret_peers[ENDPOINT_SLOW_PEERS]) ANY_THREAD;
const char *endpoint_name(const struct endpoint *endpoint) ANY_THREAD;

#endif
