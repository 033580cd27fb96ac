/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints that speak SP over tcp and ipc themselves, on the loop.
 *
 * To whom a message goes:
 *
 *   to one     (push, pair, req) the next peer in turn that has room. When none has, the send comes up short.
 *              What a peer that goes was not given completely goes to another (orphans), before what is
 *              new.
 *   to all     (pub, bus, surveyor) topics are the subscribers' to filter. A peer whose buffer is full loses
 *              the oldest or the newest, or is cut off (slow_subscriber), and that is counted; or the send
 *              comes up short until it has room, which is everybody's loss.
 *   to asker   (rep, respondent) the peer that its route names; when it has gone, or its buffer is full, it
 *              is dropped and counted.
 *
 * Closing: nobody new is let in; each peer that was sent something is written what waits, is told the
 * end (SHUT_WR), and has until `linger` to end its side; with `flush` that begins when all is written. For a libnanomsg peer on ipc forgets what it
 * has not read when its descriptor reports a hang-up, which comes only when both sides have ended.
 *
 * Thread: the endpoint's loop; only the counters are read from elsewhere.
 */
#include "net/sp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
    BATCH_BYTES = 1024 * 1024, /* a batch ends after this much */
    MESSAGE_MAX_DEFAULT = 1024 * 1024,
    CONNECTIONS_MAX_DEFAULT = 10000,
    CONNECTIONS_MAX_MAX = 65535 - LIMIT_ADDRESSES_PER_ENDPOINT,
    PEER_MESSAGES_MAX_DEFAULT = 65536,
    PEER_BYTES_MAX_DEFAULT = 1024 * 1024,
    OUT_BYTES_MAX_DEFAULT = 256 * 1024 * 1024,
    UNFINISHED_BYTES_MAX_DEFAULT = 256 * 1024 * 1024,
    HANDSHAKE_DEFAULT_S = 1,
};

/* ---- reading ---- */

static size_t sp_read(struct endpoint *ep)
{
    struct sp_endpoint *s = sp_of(ep);
    s->batch_count = s->batch_bytes = 0;
    sp_split(s);
    while (s->batch_count < LIMIT_BATCH_ITEMS && s->batch_bytes < BATCH_BYTES &&
           s->splitting == NULL && !list_empty(&s->ready))
        sp_peer_fill(CONTAINER_OF(s->ready.next, struct sp_peer, in_ready));
    ep->more = s->splitting != NULL || !list_empty(&s->ready);
    return s->batch_count;
}

static bool sp_has_input(struct endpoint *ep)
{
    struct sp_endpoint *s = sp_of(ep);
    if (s->can_receive)
        sp_peers_poll(s);
    return s->splitting != NULL || !list_empty(&s->ready);
}

static void sp_watch(struct endpoint *ep, bool on)
{
    struct sp_endpoint *s = sp_of(ep);
    if (on == s->watching)
        return;
    s->watching = on;
    if (on && (s->splitting != NULL || !list_empty(&s->ready)))
        endpoint_kick(ep);
}

/* ---- sending ---- */

/* A stack that is too long for the message's own place goes before its head, in a new one. */
static int lengthen_head(const uint8_t *stack, size_t bytes, struct slice *head)
{
    struct slice longer;
    uint8_t *at;
    int r = slice_new(bytes + head->bytes, &longer, &at);
    if (r < 0)
        return r;
    memcpy(at, stack, bytes);
    if (head->bytes > 0)
        memcpy(at + bytes, head->at, head->bytes);
    slice_release(head);
    *head = longer;
    return 0;
}

/* What stands before head and body: a route without the id of our own connection. */
static int set_stack(const struct sp_endpoint *s, const struct route *route, struct sp_out *out)
{
    out->stack_bytes = 0;
    if (!s->has_stacks)
        return 0;
    size_t own = s->way == SP_TO_ASKER ? SP_ID_BYTES : 0;
    check(route != NULL && route->bytes > own && route->bytes <= LIMIT_ROUTE_BYTES);
    const uint8_t *stack = route->at + own;
    size_t bytes = route->bytes - own;
    if (bytes > sizeof out->stack)
        return lengthen_head(stack, bytes, &out->head);
    out->stack_bytes = (uint8_t)bytes;
    memcpy(out->stack, stack, bytes);
    return 0;
}

static void out_release(const struct sp_out *out)
{
    struct sp_out lost = *out;
    slice_release(&lost.head);
    slice_release(&lost.body);
}

/* False: there was no memory for its stack, and it is lost. */
static bool complete(struct sp_endpoint *s, const struct route *route, struct sp_out *out)
{
    if (set_stack(s, route, out) == 0)
        return true;
    count_add(&s->base.dropped_error, 1);
    out_release(out);
    return false;
}

/* The slices move from the frame, so that the front has none to give back. False as above. */
static bool take_frame(struct sp_endpoint *s, struct parcel_frame *f, struct sp_out *to)
{
    to->head = f->head;
    to->body = f->body;
    f->head = f->body = (struct slice){ 0 };
    return complete(s, f->route, to);
}

struct credits {
    struct slice_credit heads, bodies;
};

static bool share_frame(struct sp_endpoint *s, const struct parcel_frame *f,
                        struct credits *credits, struct sp_out *to)
{
    to->head = slice_ref_on_credit(&credits->heads, f->head);
    to->body = slice_ref_on_credit(&credits->bodies, f->body);
    return complete(s, f->route, to);
}

static size_t frame_bytes(const struct parcel_frame *f)
{
    return (size_t)f->head.bytes + f->body.bytes;
}

static void note_sent(struct sp_endpoint *s, size_t frames, size_t bytes)
{
    count_add(&s->base.frames_out, frames);
    count_add(&s->base.bytes_out, bytes);
}

static struct sp_peer *first_roomy(struct sp_endpoint *s)
{
    return list_empty(&s->roomy) ? NULL : CONTAINER_OF(s->roomy.next, struct sp_peer, in_roomy);
}

/* The next one is another's turn. */
static void give(struct sp_endpoint *s, struct sp_peer *p, const struct sp_out *out)
{
    list_remove(&p->in_roomy);
    list_push_back(&s->roomy, &p->in_roomy);
    sp_peer_push(p, out);
}

/* A slow peer stops the sending. */
static bool blocks(const struct sp_endpoint *s)
{
    return s->base.pattern == SP_PUB && s->slow == SLOW_BLOCK;
}

static void flush_dirty(struct sp_endpoint *s)
{
    while (!list_empty(&s->dirty))
        (void)sp_peer_flush(CONTAINER_OF(s->dirty.next, struct sp_peer, in_dirty));
}

/* One who has room, perhaps because what waits for somebody was written. NULL: nobody. */
static struct sp_peer *find_roomy(struct sp_endpoint *s)
{
    if (list_empty(&s->roomy))
        flush_dirty(s);
    return first_roomy(s);
}

/* Deal frames out to those who have room, orphans first; how many were dealt. */
static size_t deal(struct sp_endpoint *s, struct parcel_frame *frames, size_t n)
{
    size_t i = 0, bytes = 0;
    struct sp_peer *p;
    while ((s->orphans.count > 0 || i < n) && (p = find_roomy(s)) != NULL) {
        struct sp_out out;
        if (s->orphans.count > 0) {
            out = sp_queue_take(&s->orphans);
        } else {
            bytes += frame_bytes(&frames[i]);
            if (!take_frame(s, &frames[i++], &out))
                continue;
        }
        give(s, p, &out);
    }
    if (!s->base.corked)
        flush_dirty(s);
    note_sent(s, i, bytes);
    return i;
}

/* Its buffer is full and it takes nothing. False when the message is dropped, and perhaps the peer gone. */
static bool offer_slow(struct sp_peer *p, const struct sp_out *out)
{
    struct sp_endpoint *s = p->owner;
    enum conf_slow_subscriber slow = s->base.pattern == SP_PUB ? s->slow : SLOW_DROP_NEWEST;
    if (slow == SLOW_BLOCK) {
        /* Room was looked for. What the others took of the room for all since then is no more than a batch. */
        sp_peer_push(p, out);
        return true;
    }
    if (slow == SLOW_DROP_OLDEST) {
        while (!sp_peer_has_room(p, sp_out_payload(out)) &&
               sp_queue_drop_oldest(&p->out, p->begun > 0))
            sp_slow_note(p);
        sp_peer_push(p, out);
        return true;
    }
    sp_slow_note(p);
    out_release(out);
    if (slow == SLOW_DISCONNECT)
        sp_peer_lose(p, "it is too slow");
    return false;
}

enum offered { OFFER_TAKEN, OFFER_DROPPED, OFFER_GONE };

/* One message more for a peer of a pattern that drops. */
static enum offered offer(struct sp_peer *p, const struct sp_out *out)
{
    struct sp_endpoint *s = p->owner;
    uint32_t id = p->id;
    if (!sp_peer_has_room(p, sp_out_payload(out))) {
        if (!p->blocked && (!sp_peer_flush(p) || p->deaf)) {
            count_add(&s->dropped_gone, 1);
            out_release(out);
            return OFFER_GONE;
        }
        if (!sp_peer_has_room(p, sp_out_payload(out))) {
            bool taken = offer_slow(p, out);
            bool there = taken || sp_peer_find(s, id) != NULL;
            return taken ? OFFER_TAKEN : (there ? OFFER_DROPPED : OFFER_GONE);
        }
    }
    sp_peer_push(p, out);
    return OFFER_TAKEN;
}

/* To all, the last of whom gets the frames themselves. */
static size_t spread(struct sp_endpoint *s, struct parcel_frame *frames, size_t n)
{
    size_t bytes = 0;
    if (list_empty(&s->talks)) {
        count_add(&s->base.dropped_no_peer, n);
        return n;
    }
    for (size_t i = 0; i < n; i++)
        bytes += frame_bytes(&frames[i]);
    struct credits credits = { 0 };
    LIST_EACH_SAFE(node, &s->talks) {
        struct sp_peer *p = CONTAINER_OF(node, struct sp_peer, in_talks);
        bool last = node->next == &s->talks, there = true;
        for (size_t i = 0; i < n && there; i++) {
            struct sp_out out;
            bool made =
                last ? take_frame(s, &frames[i], &out) : share_frame(s, &frames[i], &credits, &out);
            there = !made || offer(p, &out) != OFFER_GONE;
        }
        if (there && !s->base.corked)
            (void)sp_peer_flush(p);
    }
    slice_credit_end(&credits.heads);
    slice_credit_end(&credits.bodies);
    note_sent(s, n, bytes);
    return n;
}

/* How many frames from the front this peer has room for. */
static size_t fitting(const struct sp_peer *p, const struct parcel_frame *frames, size_t n)
{
    struct sp_room room = sp_peer_room(p);
    size_t i = 0;
    while (i < n && sp_room_take(&room, frame_bytes(&frames[i])))
        i++;
    return i;
}

/* As many as everybody has room for; at the first who has none is stopped, and it is waited for. */
static size_t fitting_all(struct sp_endpoint *s, const struct parcel_frame *frames, size_t n)
{
    LIST_EACH_SAFE(node, &s->talks) {
        struct sp_peer *p = CONTAINER_OF(node, struct sp_peer, in_talks);
        n = fitting(p, frames, n);
        if (n > 0)
            continue;
        s->waits_for = p->id;
        break;
    }
    return n;
}

/* To all, but to nobody before all have room. */
static size_t spread_evenly(struct sp_endpoint *s, struct parcel_frame *frames, size_t n)
{
    size_t done = 0;
    while (done < n) {
        size_t fits = fitting_all(s, frames + done, n - done);
        if (fits == 0) {
            flush_dirty(s);
            fits = fitting_all(s, frames + done, n - done);
        }
        if (fits == 0)
            break;
        done += spread(s, frames + done, fits);
    }
    s->wants_room = done < n;
    return done;
}

static void answer(struct sp_endpoint *s, struct parcel_frame *f)
{
    const struct route *route = f->route;
    check(route != NULL && route->bytes > SP_ID_BYTES);
    struct sp_peer *p = sp_peer_find(s, sp_id_get(route->at));
    if (p == NULL || p->state != SP_PEER_TALKS || p->deaf) {
        count_add(&s->dropped_gone, 1);
        return;
    }
    size_t bytes = frame_bytes(f);
    struct sp_out out;
    if (take_frame(s, f, &out) && offer(p, &out) == OFFER_TAKEN)
        note_sent(s, 1, bytes);
}

static size_t sp_send(struct endpoint *ep, struct parcel_frame *frames, size_t n)
{
    struct sp_endpoint *s = sp_of(ep);
    check(s->way != SP_TO_NOBODY);
    if (s->way == SP_TO_ALL)
        return blocks(s) ? spread_evenly(s, frames, n) : spread(s, frames, n);
    if (s->way == SP_TO_ASKER) {
        for (size_t i = 0; i < n; i++)
            answer(s, &frames[i]);
        if (!ep->corked)
            flush_dirty(s);
        return n;
    }
    size_t dealt = deal(s, frames, n);
    s->wants_room = dealt < n;
    return dealt;
}

static void sp_cork(struct endpoint *ep)
{
    if (!ep->corked)
        flush_dirty(sp_of(ep));
}

/* The next send will take something. */
static bool has_room(struct sp_endpoint *s)
{
    if (!blocks(s))
        return s->orphans.count == 0 && !list_empty(&s->roomy);
    const struct sp_peer *p = sp_peer_find(s, s->waits_for);
    return p == NULL || p->deaf || sp_peer_is_half_empty(p);
}

void sp_tell_room(struct sp_endpoint *s)
{
    if (!s->wants_room || !has_room(s))
        return;
    s->wants_room = false;
    endpoint_has_room(&s->base);
}

/* ---- the end ---- */

static void drop_orphans(struct sp_endpoint *s)
{
    if (s->orphans.count > 0)
        log_warning(s->base.name, "%u messages that no peer took are dropped", s->orphans.count);
    count_add(&s->base.dropped_error, s->orphans.count);
    sp_queue_clear(&s->orphans);
}

static void end_all(struct sp_endpoint *s)
{
    s->closing = s->ended = true; /* First, for the end of each peer is told to us. */
    sp_detach(s);
    pen_timer_cancel(&s->linger_timer);
    pen_timer_cancel(&s->step_timer);
    LIST_EACH_SAFE(node, &s->peers)
        sp_peer_drop(CONTAINER_OF(node, struct sp_peer, in_all));
    drop_orphans(s);
    chunk_retire(&s->chunk);
}

static void leave_all(struct sp_endpoint *s)
{
    if (s->stopped || s->orphans.count > 0) /* Orphans wait for somebody to come. */
        return;
    sp_detach(s);
    LIST_EACH_SAFE(node, &s->peers)
        sp_peer_leave(CONTAINER_OF(node, struct sp_peer, in_all));
}

static bool is_over(const struct sp_endpoint *s)
{
    return s->stopped && s->peers_count == 0 && s->orphans.count == 0;
}

/* Nobody new will come: one who still takes something takes all, room or not. */
static void hand_down(struct sp_endpoint *s)
{
    LIST_EACH_SAFE(node, &s->talks) {
        struct sp_peer *p = CONTAINER_OF(node, struct sp_peer, in_talks);
        if (p->shut)
            continue;
        while (s->orphans.count > 0) {
            struct sp_out out = sp_queue_take(&s->orphans);
            sp_peer_push(p, &out);
        }
        (void)sp_peer_flush(p);
    }
}

static void on_linger_over(struct pen_loop *loop, void *arg, int status)
{
    struct sp_endpoint *s = arg;
    if (status < 0) /* The loop is being closed: its owner frees the endpoint. */
        return;
    loop_assert_here(loop);
    if (s->talks_count > 0)
        log_notice(s->base.name, "%zu peers have not ended their side in time", s->talks_count);
    end_all(s);
    endpoint_source_closed(&s->base);
}

static int end_after(struct sp_endpoint *s, span_t time)
{
    return pen_loop_call_later(s->base.loop, &s->linger_timer, time, on_linger_over, s);
}

/* What waited is written: from now on only the peers' ends are waited for. */
static void linger_when_written(struct sp_endpoint *s)
{
    if (!s->flushes || !s->stopped || s->shut_count < s->peers_count)
        return;
    s->flushes = false;
    if (end_after(s, s->linger) < 0)
        end_all(s);
}

static void go_on(struct sp_endpoint *s)
{
    if (s->orphans.count > 0)
        (void)deal(s, NULL, 0);
    if (!s->closing)
        return;
    leave_all(s);
    if (s->stopped && s->orphans.count > 0) {
        hand_down(s);
        drop_orphans(s);
    }
    linger_when_written(s);
    if (!is_over(s))
        return;
    end_all(s);
    endpoint_source_closed(&s->base);
}

static void on_step(struct pen_loop *loop, void *arg, int status)
{
    struct sp_endpoint *s = arg;
    if (status < 0) /* The loop is being closed: its owner frees the endpoint. */
        return;
    loop_assert_here(loop);
    go_on(s);
    sp_tell_room(s);
}

/* Whoever goes may go in the middle of dealing or leaving; what follows from it waits for the next turn.
 * Without memory for that, the next peer that comes or the end of lingering brings it. */
static void step_soon(struct sp_endpoint *s)
{
    (void)!pen_loop_call_at(s->base.loop, &s->step_timer, PEN_NOW, on_step, s);
}

void sp_peer_came(struct sp_endpoint *s)
{
    if (s->orphans.count > 0 || s->closing)
        step_soon(s);
    sp_tell_room(s);
}

void sp_peer_wrote(struct sp_endpoint *s)
{
    if (s->flushes)
        step_soon(s);
}

void sp_peer_went(struct sp_endpoint *s)
{
    if (!s->ended && (s->closing || s->orphans.count > 0 || s->wants_room))
        step_soon(s);
}

static bool sp_close(struct endpoint *ep, bool immediate)
{
    struct sp_endpoint *s = sp_of(ep);
    if (immediate) {
        end_all(s);
        return true;
    }
    s->closing = true;
    s->flushes = s->flush.ns > 0;
    leave_all(s);
    if (!is_over(s) && end_after(s, s->flushes ? s->flush : s->linger) == 0)
        return false;
    end_all(s);
    return true;
}

static void sp_add_stats(const struct endpoint *ep, struct endpoint_stats *stats)
{
    const struct sp_endpoint *s = CONTAINER_OF(ep, const struct sp_endpoint, base);
    stats->peers = count_read(&s->peers_now);
    stats->connects = count_read(&s->connects);
    stats->accepts = count_read(&s->accepts);
    stats->breaks = count_read(&s->breaks);
    stats->connect_errors = count_read(&s->connect_errors);
    stats->accept_errors = count_read(&s->accept_errors);
    stats->refused = count_read(&s->refused);
    stats->denied = count_read(&s->denied);
    stats->idle = count_read(&s->idle_closed);
    stats->unfinished = count_read(&s->unfinished_closed);
    stats->handshake_timeouts = count_read(&s->handshake_timeouts);
    stats->wrong_protocol = count_read(&s->wrong_protocol);
    stats->garbage_http = count_read(&s->garbage_http);
    stats->garbage_tls = count_read(&s->garbage_tls);
    stats->garbage_other = count_read(&s->garbage_other);
    stats->dropped_slow = count_read(&s->dropped_slow);
    stats->dropped_gone = count_read(&s->dropped_gone);
}

static void free_topics(struct sp_endpoint *s)
{
    for (char **topic = s->topics; topic != NULL && *topic != NULL; topic++)
        free(*topic);
    free(s->topics);
}

static bool sp_take_gone(struct endpoint *ep, uint32_t *ret_peer)
{
    struct sp_endpoint *s = sp_of(ep);
    if (list_empty(&s->gone))
        return false;
    struct sp_peer *p = CONTAINER_OF(list_take_front(&s->gone), struct sp_peer, in_all);
    *ret_peer = p->id;
    free(p);
    return true;
}

static void sp_free(struct endpoint *ep)
{
    struct sp_endpoint *s = sp_of(ep);
    uint32_t peer;
    while (sp_take_gone(ep, &peer))
        ;
    for (size_t i = 0; i < s->dialers_count; i++)
        free(s->dialers[i].text);
    free_topics(s);
    sp_guard_fini(s);
    lock_fini(&s->slow_lock);
    free(s->slots);
    endpoint_fini(ep);
    free(s);
}

/* ---- opening ---- */

static const struct endpoint_kind sp_kind = {
    .read = sp_read,
    .has_input = sp_has_input,
    .watch = sp_watch,
    .send = sp_send,
    .cork = sp_cork,
    .close = sp_close,
    .take_gone = sp_take_gone,
    .stats = sp_add_stats,
    .slow_peers = sp_slow_peers,
    .free = sp_free,
};

static const struct {
    uint16_t protocol;
    bool receives;
    enum sp_way way;
    bool has_stacks;
} patterns[] = {
    [SP_PULL] = { SP_PROTOCOL_PULL, true, SP_TO_NOBODY, false },
    [SP_PUSH] = { SP_PROTOCOL_PUSH, false, SP_TO_ONE, false },
    [SP_PUB] = { SP_PROTOCOL_PUB, false, SP_TO_ALL, false },
    [SP_SUB] = { SP_PROTOCOL_SUB, true, SP_TO_NOBODY, false },
    [SP_BUS] = { SP_PROTOCOL_BUS, true, SP_TO_ALL, false },
    [SP_PAIR] = { SP_PROTOCOL_PAIR, true, SP_TO_ONE, false },
    [SP_REQ] = { SP_PROTOCOL_REQ, true, SP_TO_ONE, true },
    [SP_REP] = { SP_PROTOCOL_REP, true, SP_TO_ASKER, true },
    [SP_SURVEYOR] = { SP_PROTOCOL_SURVEYOR, true, SP_TO_ALL, true },
    [SP_RESPONDENT] = { SP_PROTOCOL_RESPONDENT, true, SP_TO_ASKER, true },
};

static size_t or_default(size_t value, size_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static void set_options(struct sp_endpoint *s, const struct endpoint_options *o)
{
    s->protocol = patterns[o->pattern].protocol;
    s->may_speak = patterns[o->pattern].receives;
    s->can_receive = s->may_speak && o->events->on_frames != NULL;
    s->way = patterns[o->pattern].way;
    s->has_stacks = patterns[o->pattern].has_stacks;
    s->message_max = or_default(o->message_max, MESSAGE_MAX_DEFAULT);
    s->payload_max = s->message_max + (s->has_stacks ? SP_HOPS_MAX * SP_ID_BYTES : 0);
    s->peer_messages_max = or_default(o->peer_messages_max, PEER_MESSAGES_MAX_DEFAULT);
    s->peer_bytes_max = or_default(o->peer_bytes_max, PEER_BYTES_MAX_DEFAULT);
    s->out_bytes_max = or_default(o->out_bytes_max, OUT_BYTES_MAX_DEFAULT);
    s->unfinished_bytes_max = or_default(o->unfinished_bytes_max, UNFINISHED_BYTES_MAX_DEFAULT);
    s->connections_max = or_default(o->connections_max, CONNECTIONS_MAX_DEFAULT);
    if (s->connections_max > CONNECTIONS_MAX_MAX)
        s->connections_max = CONNECTIONS_MAX_MAX;
    s->receive_buffer = o->receive_buffer;
    s->send_buffer = o->send_buffer;
    s->slow = o->slow;
    s->handshake = o->handshake.ns > 0 ? o->handshake : span_s(HANDSHAKE_DEFAULT_S);
    s->linger = o->linger;
    s->flush = o->flush;
    s->idle = o->idle;
    s->random = (uint64_t)pen_loop_now(o->loop).ns ^ (uint64_t)(uintptr_t)s;
}

static void set_helpers(struct sp_endpoint *s, const struct endpoint_options *o)
{
    check(o->helpers_count < LIMIT_THREADS_PER_PRODUCER);
    for (size_t i = 0; i < o->helpers_count; i++) {
        check(o->helpers[i]->kind == s->base.kind);
        s->helpers[i] = sp_of(o->helpers[i]);
    }
    s->helpers_count = o->helpers_count;
}

static int copy_topics(struct sp_endpoint *s, char *const *topics)
{
    size_t n = 0;
    while (topics != NULL && topics[n] != NULL)
        n++;
    if (n == 0 || s->base.pattern != SP_SUB)
        return 0;
    s->topics = calloc(n + 1, sizeof *s->topics);
    for (size_t i = 0; i < n; i++)
        if (s->topics == NULL || (s->topics[i] = strdup(topics[i])) == NULL)
            return PEN_ENOMEM;
    return 0;
}

static struct sp_endpoint *sp_new(const struct endpoint_options *options)
{
    struct sp_endpoint *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    if (endpoint_init(&s->base, &sp_kind, options) < 0) {
        free(s);
        return NULL;
    }
    list_init(&s->peers);
    list_init(&s->talks);
    list_init(&s->ready);
    list_init(&s->roomy);
    list_init(&s->dirty);
    list_init(&s->gone);
    lock_init(&s->slow_lock, LOCK_ENDPOINT);
    s->orphans.total = &s->out_bytes;
    set_options(s, options);
    set_helpers(s, options);
    if (copy_topics(s, options->topics) < 0) {
        sp_free(&s->base);
        return NULL;
    }
    return s;
}

static size_t count_of(char *const *addresses)
{
    size_t n = 0;
    while (addresses != NULL && addresses[n] != NULL)
        n++;
    return n;
}

static int attach(struct sp_endpoint *s, const struct endpoint_options *o, char *text, size_t size)
{
    size_t n = count_of(o->listen) + count_of(o->connect);
    if (n == 0 && !o->helps) {
        snprintf(text, size, "no address to listen on or to connect to");
        return PEN_EADDRESS;
    }
    if (n > LIMIT_ADDRESSES_PER_ENDPOINT) {
        snprintf(text, size, "more than %d addresses", LIMIT_ADDRESSES_PER_ENDPOINT);
        return PEN_ELIMIT;
    }
    int r = 0;
    for (char *const *at = o->listen; r == 0 && at != NULL && *at != NULL; at++)
        r = sp_listen(s, *at, o, text, size);
    for (char *const *at = o->connect; r == 0 && at != NULL && *at != NULL; at++)
        r = sp_dial(s, *at, text, size);
    return r;
}

int endpoint_open_native(const struct endpoint_options *options, char *text, size_t size,
                         struct endpoint **ret_endpoint)
{
    check((size_t)options->pattern < sizeof patterns / sizeof patterns[0]);
    struct sp_endpoint *s = sp_new(options);
    if (s == NULL) {
        snprintf(text, size, "%s", pen_strerror(PEN_ENOMEM));
        return PEN_ENOMEM;
    }
    int r = sp_guard_init(s, options, text, size);
    if (r == 0)
        r = attach(s, options, text, size);
    if (r < 0) {
        end_all(s);
        sp_free(&s->base);
        return r;
    }
    *ret_endpoint = &s->base;
    return 0;
}
