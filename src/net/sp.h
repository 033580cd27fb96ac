/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the native SP transport, for sp*.c only.
 *
 *   sp.c          the kind: opening, closing, counting, and to which peers a message goes
 *   sp_peer.c     one connection: greeting, reading, writing, leaving
 *   sp_attach.c   where connections come from: listeners and dialers
 *   sp_guard.c    who may come, who is idle, and who is too slow
 *   sp_queue.c    what waits to be written
 *
 * Thread: the endpoint's loop; only the counters are read from elsewhere.
 */
#ifndef NET_SP_H
#define NET_SP_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/count.h"
#include "base/list.h"
#include "net/chunk.h"
#include "net/endpoint_kind.h"
#include "net/sp_queue.h"
#include "obs/log.h"
#include "proto/sp.h"
#include "sync/lock.h"

enum {
    SP_LOG_BURST = 5, /* lines a second of what peers cause */
    SP_SMALL_BYTES =
        4096 /* an unfinished message up to this is held with its head, a larger one in place */
};

/* CONNECTS -> GREETS -> TALKS -> LEAVES; each may end at once. Accepted peers begin with GREETS. */
enum sp_peer_state {
    SP_PEER_CONNECTS, /* dialled, and not yet through */
    SP_PEER_GREETS,   /* its hello has not come */
    SP_PEER_TALKS,
    SP_PEER_LEAVES /* we close: what waits is written, then its end is waited for */
};

/* To whom a message goes. */
enum sp_way { SP_TO_NOBODY, SP_TO_ONE, SP_TO_ALL, SP_TO_ASKER };

struct sp_endpoint;

struct sp_peer {
    /* fixed after init */
    struct sp_endpoint *owner;
    struct sp_dialer *dialer; /* NULL: accepted */
    enum sp_carrier carrier;
    uint32_t id; /* generation and slot; the highest bit is clear */
    char name[64];

    /* owner: loop */
    enum sp_peer_state state;
    struct io io;
    struct pen_timer timer; /* GREETS and CONNECTS: the time it has; TALKS: until it may be idle */
    mono_t talks_since;
    mono_t active_at;     /* something was read or written; kept only where it may be idle */
    struct list in_all;   /* owner->peers; after its end owner->gone */
    struct list in_talks; /* owner->talks: TALKS, and not deaf */
    struct list in_ready; /* owner->ready: there is something to read */
    struct list in_roomy; /* owner->roomy: takes messages */
    struct list in_dirty; /* owner->dirty: was given messages that were not tried to be written */
    bool choked;          /* it has something to read, and is not asked for more */
    bool blocked;         /* its socket is full */
    bool deaf;            /* writing failed; what it has sent is still read */
    bool sent_any;        /* a message was given to it */
    bool shut;            /* LEAVES: our side is shut down */

    uint8_t hello[SP_HELLO_BYTES];
    uint8_t hello_bytes;
    uint8_t *rest; /* the beginning of a small message; NULL: none */
    uint32_t rest_bytes;
    struct slice large; /* the payload of a large message that is coming in; no blob: none */
    uint8_t *large_at;  /* where its next byte goes */
    size_t large_missing;
    size_t unfinished; /* what large counts in owner->unfinished_bytes */
    struct sp_queue out;
    size_t begun;     /* bytes of its first message that are written */
    uint64_t dropped; /* messages to it, because it was too slow */
    int slow_row;     /* in owner->slow_rows; SP_NO_ROW: none */
};

enum { SP_NO_ROW = -1 };

/* A peer that has lost messages; dropped 0: unused. */
struct sp_slow_row {
    char name[sizeof((struct endpoint_slow_peer *)0)->name];
    bool here;
    struct count dropped;
};

/* Numbers of users or groups. */
struct sp_ids {
    uint32_t *at;
    size_t count;
};

struct sp_address {
    struct sockaddr_storage at;
    socklen_t bytes;
    enum sp_carrier carrier;
};

struct sp_listener {
    struct sp_endpoint *owner;
    struct io io; /* fd -1: closed */
    enum sp_carrier carrier;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* ipc; "" otherwise */
    dev_t dev;
    ino_t ino; /* of the socket file that we made */
};

struct sp_dialer {
    struct sp_endpoint *owner;
    struct sp_address address;
    char *text;
    struct pen_timer timer; /* to the next try */
    int64_t backoff_ms;
    struct sp_peer *peer; /* NULL: waits for the timer */
    bool told;            /* that it cannot connect */
};

struct sp_slot {
    struct sp_peer *peer;
    uint16_t generation;
};

struct sp_endpoint {
    struct endpoint base;

    /* fixed after init */
    uint16_t protocol;
    bool can_receive; /* and somebody here wants it */
    bool may_speak;   /* its peers, whether or not it is wanted */
    enum sp_way way;
    bool has_stacks;                 /* its messages begin with a stack of ids */
    size_t message_max, payload_max; /* payload: with the stack */
    size_t peer_messages_max, peer_bytes_max, out_bytes_max, unfinished_bytes_max;
    size_t connections_max;
    size_t receive_buffer, send_buffer;
    enum conf_slow_subscriber slow;
    span_t handshake, linger, flush, idle;
    struct sp_ids uids, gids; /* who may come over ipc; both empty: anybody */
    char **topics;            /* SP_SUB; ends with NULL; NULL: everything */
    struct sp_endpoint *helpers[LIMIT_THREADS_PER_PRODUCER]; /* who takes connections too */
    size_t helpers_count;

    /* owner: loop */
    struct sp_listener listeners[LIMIT_ADDRESSES_PER_ENDPOINT];
    struct sp_dialer dialers[LIMIT_ADDRESSES_PER_ENDPOINT];
    size_t listeners_count, dialers_count;
    size_t accept_turn;            /* of helpers; helpers_count: ours */
    struct pen_timer accept_timer; /* armed: no descriptors were left, nobody is accepted */
    struct list peers, talks, ready, roomy, dirty;
    struct list gone; /* peers that have ended, whose end the front wants to know */
    size_t peers_count, accepted_count, talks_count;
    size_t shut_count; /* of peers_count: they have everything, and only their end is missing */
    struct sp_slot *slots;
    uint32_t slots_cap, slots_next; /* next: where the search for a free one begins */
    uint64_t random;

    bool watching;             /* the front wants to read */
    struct chunk *chunk;       /* everybody's read buffer; NULL: none yet */
    struct sp_peer *splitting; /* whose bytes [split_at, chunk->used) are not split yet; NULL: nobody's */
    uint32_t split_at;
    size_t batch_count, batch_bytes; /* of the read in hand */

    size_t out_bytes;        /* of all queues */
    size_t unfinished_bytes; /* of all peers' large messages */
    struct sp_queue orphans; /* messages whose peer went before it got them */
    bool wants_room;         /* a send came up short */
    uint32_t waits_for;      /* SLOW_BLOCK: the peer that had no room then */
    struct sp_gather gather;

    bool closing; /* close was begun */
    bool stopped; /* nobody new is let in */
    bool ended;   /* all is closed */
    bool flushes; /* the linger timer is for what waits to be written */
    struct pen_timer linger_timer, step_timer;
    struct log_limit complaints, slow_complaints;

    struct lock slow_lock; /* names and `here`, which only the loop changes */
    struct sp_slow_row slow_rows[ENDPOINT_SLOW_PEERS];

    /* atomic: counters, written by the loop, read by any thread */
    struct count peers_now, connects, accepts, breaks, connect_errors, accept_errors;
    struct count refused, denied, idle_closed, unfinished_closed, handshake_timeouts, wrong_protocol;
    struct count garbage_http, garbage_tls, garbage_other;
    struct count dropped_slow, dropped_gone;
};

static inline struct sp_endpoint *sp_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct sp_endpoint, base);
}

/* A warning of what a peer has caused, within bounds. */
#define sp_complain(s, ...) log_limited(&(s)->complaints, SP_LOG_BURST, (s)->base.name, __VA_ARGS__)

/* ---- sp_peer.c ---- */

/* A connection that was accepted, or is being made when a dialer is given: the descriptor is the peer's, on failure
 * it is closed. PEN_ENOMEM, PEN_ELIMIT. */
int sp_peer_new(struct sp_endpoint *s, int fd, struct sp_dialer *dialer, enum sp_carrier carrier,
                struct sp_peer **ret_peer) MUST_CHECK;
/* A dialled peer's connection stands. It may be gone after this. */
void sp_peer_connected(struct sp_peer *p);
/* The connection is over. What it was not given, others get. */
void sp_peer_lose(struct sp_peer *p, const char *reason);
/* The same, without a word or a count: we end it. */
void sp_peer_drop(struct sp_peer *p);
/* The peer a route leads to, NULL when it is gone. */
struct sp_peer *sp_peer_find(struct sp_endpoint *s, uint32_t id);

/* Give it a message: the slices are the peer's. It is to be flushed then, for which it joins owner->dirty. */
void sp_peer_push(struct sp_peer *p, const struct sp_out *out);
/* Write as much as it takes. False when the peer is gone by that. */
bool sp_peer_flush(struct sp_peer *p);
/* It takes a message of this size without more than it may hold. */
bool sp_peer_has_room(const struct sp_peer *p, size_t bytes);
/* Worth waking up a sender that has waited for it. */
bool sp_peer_is_half_empty(const struct sp_peer *p);
/* How much more it may be given: for counting ahead. */
struct sp_room {
    bool first;      /* it has nothing, and one message is always taken */
    size_t messages; /* with what it has */
    size_t bytes;
};
struct sp_room sp_peer_room(const struct sp_peer *p);
/* One message of this size less; false when it does not fit. */
bool sp_room_take(struct sp_room *room, size_t bytes);
/* Write what waits, then say goodbye. It may be gone after this. */
void sp_peer_leave(struct sp_peer *p);

/* One read of a peer that is ready, into the batch. */
void sp_peer_fill(struct sp_peer *p);
/* Go on splitting what has been read, into the batch. */
void sp_split(struct sp_endpoint *s);
/* Peers that have something to read join the ready ones: asked for once, without waiting. */
void sp_peers_poll(struct sp_endpoint *s);

/* ---- sp_attach.c ---- */

int sp_listen(struct sp_endpoint *s, const char *address, const struct endpoint_options *options,
              char *text, size_t size) MUST_CHECK;
int sp_dial(struct sp_endpoint *s, const char *address, char *text, size_t size) MUST_CHECK;
/* Nobody is accepted or dialled any more; socket files of ours are removed. Idempotent. */
void sp_detach(struct sp_endpoint *s);
/* A descriptor has become free. */
void sp_accept_again(struct sp_endpoint *s);
/* The dialer's peer is gone: try again later. */
void sp_dialer_lost(struct sp_dialer *d, const struct sp_peer *p, const char *reason);

/* ---- sp_guard.c ---- */

/* PEN_EINVAL with a text when one is no number of a user or group; PEN_ENOMEM. */
int sp_guard_init(struct sp_endpoint *s, const struct endpoint_options *options, char *text,
                  size_t size) MUST_CHECK;
void sp_guard_fini(struct sp_endpoint *s);
/* Whoever is at the other end of this ipc connection may come; if not, that is counted and told. */
bool sp_guard_admits(struct sp_endpoint *s, int fd);
/* "pid 17 uid 1000 gid 1000" */
void sp_guard_name(int fd, char *to, size_t size);

/* From now on the peer may be idle for so long and no longer. */
void sp_idle_start(struct sp_peer *p);
static inline void sp_idle_note(struct sp_peer *p)
{
    if (p->owner->idle.ns > 0)
        p->active_at = pen_loop_now(p->owner->base.loop);
}

/* One more message to it was dropped. */
void sp_slow_note(struct sp_peer *p);
/* It is gone, and its row may be another's. */
void sp_slow_gone(struct sp_peer *p);
size_t sp_slow_peers(const struct endpoint *endpoint, struct endpoint_slow_peer *ret_peers);

/* ---- sp.c, called by the others ---- */

/* A peer has begun to talk: it may be given what waits. */
void sp_peer_came(struct sp_endpoint *s);
/* Messages of a peer that is gone have become orphans, or the peer was the last one, or the one waited for. */
void sp_peer_went(struct sp_endpoint *s);
/* A peer that is left has been written everything. */
void sp_peer_wrote(struct sp_endpoint *s);
/* Tell the front of room, when it has asked. */
void sp_tell_room(struct sp_endpoint *s);

#endif
