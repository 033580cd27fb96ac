/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of a native SP endpoint.
 *
 * Greeting: who was dialled says hello at once, who was accepted waits for the other's hello first. So a
 * peer that is refused (another pattern, a pair's second, no SP at all) never sees ours; libnanomsg
 * tries again after that, and would never do so had it seen it.
 *
 * Reading: into a buffer that all peers share (chunk.h), one read for as many messages as have come, which
 * are handed on where they lie. What is left at its end is an unfinished message: a small one is put
 * aside with its head and copied in front of the next read; a large one gets memory of its own, into
 * which the rest is read. So an idle peer holds no buffer, and a stranger's length allocates nothing beyond
 * message_max.
 *
 * A peer is ready from when its descriptor said so until a read came up short. When the front does not
 * want to read, a ready peer's descriptor is not watched (choked), and its kernel buffer fills up,
 * which is what its sender feels.
 *
 * Writing: what was given is tried at once, with one call for as much as waits; what is left waits for the
 * descriptor. When writing fails, what the peer has sent before is still read (deaf), because clients
 * that send one message and leave do not wait for our hello.
 *
 * Thread: the endpoint's loop.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "net/sp.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    READ_MIN_BYTES = 16 * 1024, /* less room than this is left unused */
    SLOTS_FIRST = 64,
    SLOTS_MAX = 65536,
    GENERATION_MASK = 0x7fff,
    POLL_PEERS = 256,
};

static void on_event(struct io *io, unsigned ready, void *arg);

static void want(struct sp_peer *p)
{
    unsigned bits = p->choked ? 0 : IO_READ;
    if (p->state == SP_PEER_CONNECTS)
        bits = IO_WRITE;
    else if (p->blocked && p->out.count > 0)
        bits |= IO_WRITE;
    io_want(&p->io, bits);
}

/* ---- numbers ---- */

static int grow_slots(struct sp_endpoint *s)
{
    uint32_t cap = s->slots_cap == 0 ? SLOTS_FIRST : s->slots_cap * 2;
    struct sp_slot *slots = realloc(s->slots, cap * sizeof *slots);
    if (slots == NULL)
        return PEN_ENOMEM;
    memset(slots + s->slots_cap, 0, (cap - s->slots_cap) * sizeof *slots);
    s->slots = slots;
    s->slots_cap = cap;
    return 0;
}

/* At most half of the slots are in use, so that a free one is near, and one that became free is not
 * used again soon. */
static int take_slot(struct sp_endpoint *s, struct sp_peer *p)
{
    if (s->peers_count >= SLOTS_MAX - 1)
        return PEN_ELIMIT;
    if (s->peers_count * 2 >= s->slots_cap && s->slots_cap < SLOTS_MAX) {
        int r = grow_slots(s);
        if (r < 0)
            return r;
    }
    while (s->slots[s->slots_next % s->slots_cap].peer != NULL)
        s->slots_next++;
    uint32_t slot = s->slots_next++ % s->slots_cap;
    s->slots[slot].peer = p;
    s->slots[slot].generation = (s->slots[slot].generation + 1) & GENERATION_MASK;
    p->id = (uint32_t)s->slots[slot].generation << 16 | slot;
    return 0;
}

struct sp_peer *sp_peer_find(struct sp_endpoint *s, uint32_t id)
{
    uint32_t slot = id & (SLOTS_MAX - 1);
    struct sp_peer *p = slot < s->slots_cap ? s->slots[slot].peer : NULL;
    return p != NULL && p->id == id ? p : NULL;
}

/* ---- beginning ---- */

static void on_timeout(struct pen_loop *loop, void *arg, int status);

int sp_peer_new(struct sp_endpoint *s, int fd, struct sp_dialer *dialer, enum sp_carrier carrier,
                struct sp_peer **ret_peer)
{
    struct sp_peer *p = calloc(1, sizeof *p);
    if (p == NULL) {
        close(fd);
        return PEN_ENOMEM;
    }
    p->owner = s;
    p->dialer = dialer;
    p->carrier = carrier;
    p->slow_row = SP_NO_ROW;
    p->out.total = &s->out_bytes;
    p->state = dialer != NULL ? SP_PEER_CONNECTS : SP_PEER_GREETS;
    struct list *nodes[] = { &p->in_all, &p->in_talks, &p->in_ready, &p->in_roomy, &p->in_dirty };
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        list_init(nodes[i]);
    int r = pen_loop_call_later(s->base.loop, &p->timer, s->handshake, on_timeout, p);
    if (r == 0)
        r = io_open(&p->io, s->base.loop,
                    (struct io_watch){ fd, dialer != NULL ? IO_WRITE : IO_READ }, on_event, p);
    if (r == 0)
        r = take_slot(s, p);
    if (r < 0)
        goto fail;
    list_push_back(&s->peers, &p->in_all);
    s->peers_count++;
    s->accepted_count += dialer == NULL;
    *ret_peer = p;
    return 0;
fail:
    pen_timer_cancel(&p->timer);
    io_close(&p->io);
    free(p);
    close(fd);
    return r;
}

/* ---- end ---- */

/* A large message that has come in part takes of what all peers share; false when that would be too much. One may always.
 * Small ones do not count, or whoever says much in parts could keep everybody else out. */
static bool begin_unfinished(struct sp_peer *p, size_t bytes)
{
    struct sp_endpoint *s = p->owner;
    if (s->unfinished_bytes > 0 && s->unfinished_bytes + bytes > s->unfinished_bytes_max)
        return false;
    s->unfinished_bytes += bytes;
    p->unfinished = bytes;
    return true;
}

static void finished(struct sp_peer *p)
{
    p->owner->unfinished_bytes -= p->unfinished;
    p->unfinished = 0;
}

static void drop_buffers(struct sp_peer *p)
{
    free(p->rest);
    p->rest = NULL;
    p->rest_bytes = 0;
    slice_release(&p->large);
    p->large_missing = 0;
    finished(p);
}

/* What only those may do who send to one: what one peer was not given is another's. An unfinished message counts as
 * not given, for nobody hands on half a message. */
static void orphan(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    bool pushes = s->way == SP_TO_ONE;
    while (p->out.count > 0) {
        struct sp_out out = sp_queue_take(&p->out);
        if (pushes && sp_queue_push(&s->orphans, &out) == 0)
            continue;
        count_add(pushes ? &s->base.dropped_error : &s->dropped_gone, 1);
        slice_release(&out.head);
        slice_release(&out.body);
    }
    p->begun = 0;
    sp_queue_clear(&p->out);
}

static void leave_lists(struct sp_peer *p)
{
    list_remove(&p->in_talks);
    list_remove(&p->in_roomy);
    list_remove(&p->in_dirty);
}

static bool has_talked(const struct sp_peer *p)
{
    return p->state == SP_PEER_TALKS || p->state == SP_PEER_LEAVES;
}

static void stop_talking(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    if (!has_talked(p))
        return;
    s->talks_count--;
    count_set(&s->peers_now, s->talks_count);
}

/* It may have requests that the front has not had yet, so its end is told from a turn. */
static void bury(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    if (s->base.events.on_peer_gone == NULL || s->closing || !has_talked(p)) {
        free(p);
        return;
    }
    list_push_back(&s->gone, &p->in_all);
    endpoint_kick(&s->base);
}

void sp_peer_drop(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    leave_lists(p);
    orphan(p);
    list_remove(&p->in_ready);
    list_remove(&p->in_all);
    stop_talking(p);
    s->peers_count--;
    s->shut_count -= p->shut;
    s->accepted_count -= p->dialer == NULL;
    s->slots[p->id & (SLOTS_MAX - 1)].peer = NULL;
    if (s->splitting == p)
        s->splitting = NULL;
    if (p->dialer != NULL && p->dialer->peer == p)
        p->dialer->peer = NULL;
    pen_timer_cancel(&p->timer);
    io_close(&p->io);
    close(p->io.fd);
    drop_buffers(p);
    sp_slow_gone(p);
    bury(p);
    sp_accept_again(s);
    sp_peer_went(s);
}

void sp_peer_lose(struct sp_peer *p, const char *reason)
{
    struct sp_endpoint *s = p->owner;
    if (p->state == SP_PEER_TALKS)
        count_add(&s->breaks, 1);
    else if (p->dialer != NULL && p->state != SP_PEER_LEAVES)
        count_add(&s->connect_errors, 1);
    log_debug(s->base.name, "peer %s is gone: %s", p->name, reason);
    if (p->dialer != NULL)
        sp_dialer_lost(p->dialer, p, reason);
    sp_peer_drop(p);
}

static void on_timeout(struct pen_loop *loop, void *arg, int status)
{
    struct sp_peer *p = arg;
    if (status < 0) /* The loop is being closed: its owner frees the endpoint. */
        return;
    loop_assert_here(loop);
    count_add(&p->owner->handshake_timeouts, 1);
    sp_peer_lose(p, "it did not say hello in time");
}

/* ---- greeting ---- */

static bool say_hello(struct sp_peer *p)
{
    uint8_t hello[SP_HELLO_BYTES];
    sp_hello_encode(p->owner->protocol, hello);
    /* A fresh socket has room for it. */
    return send(p->io.fd, hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello;
}

static void count_garbage(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    struct count *counts[] = {
        [SP_GARBAGE_HTTP] = &s->garbage_http, [SP_GARBAGE_TLS] = &s->garbage_tls, [SP_GARBAGE_OTHER] = &s->garbage_other
    };
    static const char *const words[] = { "HTTP", "TLS", "no SP" };
    enum sp_garbage kind = sp_garbage_kind(p->hello, p->hello_bytes);
    count_add(counts[kind], 1);
    sp_complain(s, "peer %s speaks %s", p->name, words[kind]);
    sp_peer_lose(p, "it does not speak SP");
}

static void begin_to_talk(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    if (p->dialer == NULL && !say_hello(p)) {
        if (!s->can_receive) {
            sp_peer_lose(p, "it left while greeting");
            return;
        }
        p->deaf = true;
    }
    pen_timer_cancel(&p->timer);
    p->state = SP_PEER_TALKS;
    p->talks_since = pen_loop_now(s->base.loop);
    count_add(p->dialer != NULL ? &s->connects : &s->accepts, 1);
    s->talks_count++;
    count_set(&s->peers_now, s->talks_count);
    log_debug(s->base.name, "peer %s talks", p->name);
    sp_idle_start(p);
    if (p->deaf)
        return;
    list_push_back(&s->talks, &p->in_talks);
    if (s->way != SP_TO_NOBODY)
        list_push_back(&s->roomy, &p->in_roomy);
    sp_peer_came(s);
}

/* All of its hello is there. */
static void judge(struct sp_peer *p, uint16_t protocol)
{
    struct sp_endpoint *s = p->owner;
    if (protocol != sp_protocol_peer(s->protocol)) {
        count_add(&s->wrong_protocol, 1);
        sp_complain(s, "peer %s is a %s, which does not go with %s", p->name,
                    sp_protocol_word(protocol), sp_protocol_word(s->protocol));
        sp_peer_lose(p, "its pattern does not go with ours");
    } else if (s->base.pattern == SP_PAIR && s->talks_count > 0) {
        count_add(&s->refused, 1);
        sp_peer_lose(p, "a pair has one peer");
    } else {
        begin_to_talk(p);
    }
}

static void on_greeting(struct sp_peer *p)
{
    ssize_t got =
        recv(p->io.fd, p->hello + p->hello_bytes, sizeof p->hello - p->hello_bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        sp_peer_lose(p, got == 0 ? "it left while greeting" : strerrordesc_np(errno));
        return;
    }
    p->hello_bytes += (uint8_t)got;
    uint16_t protocol;
    int r = sp_hello_decode(p->hello, p->hello_bytes, &protocol);
    if (r < 0)
        count_garbage(p);
    else if (r > 0)
        judge(p, protocol);
}

void sp_peer_connected(struct sp_peer *p)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(p->io.fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        error = errno;
    if (error == 0 && !say_hello(p))
        error = ECONNRESET;
    if (error != 0) {
        sp_peer_lose(p, strerrordesc_np(error));
        return;
    }
    p->state = SP_PEER_GREETS;
    want(p);
}

/* ---- reading ---- */

static bool is_wanted(const struct sp_endpoint *s, const uint8_t *at, size_t bytes)
{
    if (s->topics == NULL)
        return true;
    for (char **topic = s->topics; *topic != NULL; topic++) {
        size_t n = strlen(*topic);
        if (n <= bytes && memcmp(at, *topic, n) == 0)
            return true;
    }
    return false;
}

/* Look at a whole payload. The bytes before its body; PEN_EPROTO when it is to be left out, PEN_ETOOBIG. */
static int inspect(struct sp_peer *p, const uint8_t *at, size_t bytes, struct route *ret_route)
{
    struct sp_endpoint *s = p->owner;
    ret_route->bytes = 0;
    if (!s->has_stacks)
        return is_wanted(s, at, bytes) ? 0 : PEN_EPROTO;
    int stack = sp_stack_decode(at, bytes);
    if (stack < 0) {
        count_add(&s->base.malformed, 1);
        return stack;
    }
    if (bytes - (size_t)stack > s->message_max)
        return PEN_ETOOBIG;
    size_t own = s->way == SP_TO_ASKER ? SP_ID_BYTES : 0;
    if (own > 0)
        sp_id_put(p->id, ret_route->at);
    memcpy(ret_route->at + own, at, (size_t)stack);
    ret_route->bytes = (uint8_t)(own + (size_t)stack);
    return stack;
}

static void too_big(struct sp_peer *p)
{
    count_add(&p->owner->base.too_big, 1);
    sp_complain(p->owner, "peer %s sent a message above %zu bytes", p->name, p->owner->message_max);
    sp_peer_lose(p, "its message is too big");
}

static void malformed(struct sp_peer *p, const char *what)
{
    count_add(&p->owner->base.malformed, 1);
    sp_complain(p->owner, "peer %s sent %s", p->name, what);
    sp_peer_lose(p, what);
}

static void add_to_batch(struct sp_endpoint *s, const struct route *route, struct slice body)
{
    struct frame *f = &s->base.frames[s->batch_count++];
    f->body = body;
    f->route.bytes = route->bytes;
    memcpy(f->route.at, route->at, route->bytes);
    s->batch_bytes += body.bytes;
}

/* False when the peer is gone. */
static bool take_small(struct sp_peer *p, uint32_t at, uint32_t bytes)
{
    struct sp_endpoint *s = p->owner;
    struct route route;
    int before = inspect(p, s->chunk->bytes + at, bytes, &route);
    if (before == PEN_ETOOBIG) {
        too_big(p);
        return false;
    }
    if (before >= 0)
        add_to_batch(s, &route,
                     chunk_slice(s->chunk, at + (uint32_t)before, bytes - (uint32_t)before));
    return true;
}

static void take_large(struct sp_peer *p)
{
    struct slice body = p->large;
    struct route route;
    finished(p);
    int before = inspect(p, body.at, body.bytes, &route);
    p->large = (struct slice){ 0 };
    if (before >= 0) {
        body.at += before;
        body.bytes -= (uint32_t)before;
        add_to_batch(p->owner, &route, body);
        return;
    }
    slice_release(&body);
    if (before == PEN_ETOOBIG)
        too_big(p);
}

static void too_much(struct sp_peer *p)
{
    count_add(&p->owner->unfinished_closed, 1);
    sp_complain(p->owner, "peer %s had to go: unfinished messages of all peers are above %zu bytes",
                p->name, p->owner->unfinished_bytes_max);
    sp_peer_lose(p, "there are too many unfinished messages");
}

/* The unfinished message [at, chunk->used) is put aside. False when the peer is gone. */
static bool put_aside(struct sp_peer *p, uint32_t head, uint64_t payload)
{
    struct sp_endpoint *s = p->owner;
    uint32_t left = s->chunk->used - s->split_at;
    const uint8_t *from = s->chunk->bytes + s->split_at;
    s->chunk->used = s->split_at; /* The bytes move, so their place is free again. */
    if (left == 0)
        return true;
    if (head > 0 && payload > SP_SMALL_BYTES) {
        if (!begin_unfinished(p, (size_t)payload)) {
            too_much(p);
            return false;
        }
        if (slice_new((size_t)payload, &p->large, &p->large_at) < 0)
            goto fail;
        memcpy(p->large_at, from + head, left - head);
        p->large_at += left - head;
        p->large_missing = (size_t)payload - (left - head);
        return true;
    }
    p->rest = malloc(left);
    if (p->rest == NULL)
        goto fail;
    memcpy(p->rest, from, left);
    p->rest_bytes = left;
    return true;
fail:
    sp_peer_lose(p, pen_strerror(PEN_ENOMEM));
    return false;
}

/* One message, or the unfinished end. False when there is nothing more to split. */
static bool split_one(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    uint32_t left = s->chunk->used - s->split_at;
    uint64_t payload = 0;
    int head =
        sp_head_decode(p->carrier, s->chunk->bytes + s->split_at, left, s->payload_max, &payload);
    if (head == PEN_ETOOBIG) {
        too_big(p);
        return false;
    }
    if (head < 0) {
        malformed(p, "a message of an unknown type");
        return false;
    }
    if (head == 0 || payload > left - (uint32_t)head) {
        if (put_aside(p, (uint32_t)head, payload))
            s->splitting = NULL;
        return false;
    }
    uint32_t at = s->split_at + (uint32_t)head;
    s->split_at = at + (uint32_t)payload;
    return take_small(p, at, (uint32_t)payload);
}

void sp_split(struct sp_endpoint *s)
{
    while (s->splitting != NULL && s->batch_count < LIMIT_BATCH_ITEMS)
        if (!split_one(s->splitting))
            return;
}

/* Nothing more is to be read for now. */
static void drained(struct sp_peer *p)
{
    list_remove(&p->in_ready);
    p->choked = false;
    want(p);
}

static void read_failed(struct sp_peer *p, ssize_t got)
{
    if (got < 0 && errno == EINTR)
        return;
    if (got < 0 && errno == EAGAIN)
        drained(p);
    else
        sp_peer_lose(p, got == 0 ? "it has left" : strerrordesc_np(errno));
}

static void fill_large(struct sp_peer *p)
{
    ssize_t got = recv(p->io.fd, p->large_at, p->large_missing, MSG_DONTWAIT);
    if (got <= 0) {
        read_failed(p, got);
        return;
    }
    sp_idle_note(p);
    p->large_at += got;
    p->large_missing -= (size_t)got;
    if (p->large_missing > 0)
        drained(p);
    else
        take_large(p);
}

/* Room behind what is used, for what was put aside and what is read. */
static int make_room(struct sp_endpoint *s, uint32_t rest_bytes)
{
    if (s->chunk != NULL && s->chunk->handed == 0)
        s->chunk->used = 0;
    if (s->chunk != NULL && s->chunk->cap - s->chunk->used < rest_bytes + READ_MIN_BYTES)
        chunk_retire(&s->chunk);
    return s->chunk != NULL ? 0 : chunk_new(CHUNK_BYTES, &s->chunk);
}

static void fill_small(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    if (make_room(s, p->rest_bytes) < 0) {
        sp_peer_lose(p, pen_strerror(PEN_ENOMEM));
        return;
    }
    struct chunk *c = s->chunk;
    uint32_t room = c->cap - c->used - p->rest_bytes;
    ssize_t got = recv(p->io.fd, c->bytes + c->used + p->rest_bytes, room, MSG_DONTWAIT);
    if (got <= 0) {
        read_failed(p, got);
        return;
    }
    sp_idle_note(p);
    if (p->rest_bytes > 0)
        memcpy(c->bytes + c->used, p->rest, p->rest_bytes);
    s->splitting = p;
    s->split_at = c->used;
    c->used += p->rest_bytes + (uint32_t)got;
    free(p->rest);
    p->rest = NULL;
    p->rest_bytes = 0;
    if ((uint32_t)got < room)
        drained(p);
    sp_split(s);
}

void sp_peer_fill(struct sp_peer *p)
{
    /* When more is left after this, the others come first. */
    list_remove(&p->in_ready);
    list_push_back(&p->owner->ready, &p->in_ready);
    if (p->large_missing > 0)
        fill_large(p);
    else
        fill_small(p);
}

/* What comes where we only send. A bus or a pair may speak, to nobody; a subscriber or a puller does not, and libnanomsg
 * 1.1.5 dies of one that does. */
static void on_unexpected(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    ssize_t got = recv(p->io.fd, s->gather.scratch, SP_GATHER_SCRATCH_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0 && s->may_speak)
        sp_idle_note(p);
    else if (got > 0)
        malformed(p, "a message, which its pattern does not do");
    else
        sp_peer_lose(p, got == 0 ? "it has left" : strerrordesc_np(errno));
}

/* ---- writing ---- */

bool sp_peer_has_room(const struct sp_peer *p, size_t bytes)
{
    struct sp_room room = sp_peer_room(p);
    return sp_room_take(&room, bytes);
}

static size_t left_of(size_t max, size_t used)
{
    return used < max ? max - used : 0;
}

struct sp_room sp_peer_room(const struct sp_peer *p)
{
    const struct sp_endpoint *s = p->owner;
    size_t own = left_of(s->peer_bytes_max, p->out.bytes);
    size_t all = left_of(s->out_bytes_max, s->out_bytes);
    return (struct sp_room){ .first = p->out.count == 0,
                             .messages = left_of(s->peer_messages_max, p->out.count),
                             .bytes = own < all ? own : all };
}

bool sp_room_take(struct sp_room *room, size_t bytes)
{
    size_t counts = SP_OUT_BYTES + bytes;
    bool fits = room->messages > 0 && counts <= room->bytes;
    if (!fits && !room->first)
        return false;
    room->first = false;
    room->messages -= 1;
    room->bytes = left_of(room->bytes, counts);
    return true;
}

bool sp_peer_is_half_empty(const struct sp_peer *p)
{
    const struct sp_endpoint *s = p->owner;
    return p->out.bytes <= s->peer_bytes_max / 2 && p->out.count <= s->peer_messages_max / 2;
}

static bool is_full(const struct sp_peer *p)
{
    const struct sp_endpoint *s = p->owner;
    return p->out.bytes >= s->peer_bytes_max || p->out.count >= s->peer_messages_max ||
           s->out_bytes >= s->out_bytes_max;
}

void sp_peer_push(struct sp_peer *p, const struct sp_out *out)
{
    struct sp_endpoint *s = p->owner;
    if (sp_queue_push(&p->out, out) < 0) {
        struct sp_out lost = *out;
        count_add(&s->base.dropped_error, 1);
        slice_release(&lost.head);
        slice_release(&lost.body);
        return;
    }
    p->sent_any = true;
    if (is_full(p) || p->blocked)
        list_remove(&p->in_roomy);
    if (list_empty(&p->in_dirty))
        list_push_back(&s->dirty, &p->in_dirty);
}

/* False when the peer is gone. */
static bool write_failed(struct sp_peer *p)
{
    const char *reason = strerrordesc_np(errno);
    if (!p->owner->can_receive || p->state != SP_PEER_TALKS) {
        sp_peer_lose(p, reason);
        return false;
    }
    log_debug(p->owner->base.name, "peer %s takes nothing more: %s", p->name, reason);
    p->deaf = true;
    leave_lists(p);
    orphan(p);
    want(p);
    return true;
}

static void after_flush(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    bool empty = p->out.count == 0;
    if (p->state == SP_PEER_LEAVES && empty && !p->shut) {
        p->shut = true;
        list_remove(&p->in_roomy);
        (void)shutdown(p->io.fd, SHUT_WR);
        s->shut_count++;
        sp_peer_wrote(s);
    } else if (!p->shut && (empty || (!p->blocked && !is_full(p))) && list_empty(&p->in_roomy)) {
        list_push_back(&s->roomy, &p->in_roomy);
    }
    want(p);
}

bool sp_peer_flush(struct sp_peer *p)
{
    struct sp_gather *g = &p->owner->gather;
    list_remove(&p->in_dirty);
    while (p->out.count > 0 && !p->blocked && !p->deaf) {
        sp_gather_fill(g, &p->out, p->carrier, p->begun);
        struct msghdr message = { .msg_iov = g->pieces + g->first,
                                  .msg_iovlen = (size_t)(g->count - g->first) };
        ssize_t sent = sendmsg(p->io.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return write_failed(p);
        p->blocked = sent < (ssize_t)g->bytes;
        if (sent > 0) {
            sp_idle_note(p);
            p->begun = sp_queue_written(&p->out, p->carrier, p->begun + (size_t)sent);
        }
    }
    if (!p->deaf)
        after_flush(p);
    return true;
}

void sp_peer_leave(struct sp_peer *p)
{
    if (p->state != SP_PEER_TALKS || !p->sent_any || p->deaf) {
        sp_peer_drop(p);
        return;
    }
    p->state = SP_PEER_LEAVES;
    pen_timer_cancel(&p->timer); /* It is not to be idle, but to end. */
    p->choked = false;
    list_remove(&p->in_ready);
    (void)sp_peer_flush(p);
}

/* What comes while we leave is for nobody, but a socket that is closed with unread bytes would take back what it
 * has sent. */
static void on_leaving(struct sp_peer *p)
{
    ssize_t got = recv(p->io.fd, p->owner->gather.scratch, SP_GATHER_SCRATCH_BYTES, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    sp_peer_lose(p, got == 0 ? "it has left" : strerrordesc_np(errno));
}

/* ---- events ---- */

/* There is something to read, or its end. */
static void make_ready(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    if (list_empty(&p->in_ready))
        list_push_back(&s->ready, &p->in_ready);
    if (!s->watching && !p->choked) {
        p->choked = true;
        want(p);
    }
}

/* The front's turns may end this peer, so nothing of it is looked at after them. */
static void on_talking(struct sp_peer *p, unsigned ready)
{
    struct sp_endpoint *s = p->owner;
    if (ready & IO_WRITE) {
        p->blocked = false;
        if (!sp_peer_flush(p)) {
            sp_tell_room(s);
            return;
        }
    }
    bool turn = (ready & IO_READ) != 0 && s->can_receive;
    if (turn)
        make_ready(p);
    else if (ready & IO_READ)
        on_unexpected(p);
    sp_tell_room(s);
    if (turn && s->watching)
        endpoint_turn(&s->base);
}

static void on_event(struct io *io, unsigned ready, void *arg)
{
    struct sp_peer *p = arg;
    loop_assert_here(io->loop);
    switch (p->state) {
    case SP_PEER_CONNECTS:
        sp_peer_connected(p);
        return;
    case SP_PEER_GREETS:
        on_greeting(p);
        return;
    case SP_PEER_TALKS:
        on_talking(p, ready);
        return;
    default:
        if (ready & IO_WRITE) {
            p->blocked = false;
            if (!sp_peer_flush(p))
                return;
        }
        if (ready & IO_READ)
            on_leaving(p);
    }
}

/* ---- what has come without an event ---- */

static void poll_some(struct sp_peer **peers, size_t n)
{
    struct pollfd fds[POLL_PEERS];
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){ .fd = peers[i]->io.fd, .events = POLLIN };
    if (poll(fds, n, 0) <= 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (fds[i].revents != 0)
            make_ready(peers[i]);
}

void sp_peers_poll(struct sp_endpoint *s)
{
    struct sp_peer *some[POLL_PEERS];
    struct list *node = s->peers.next;
    while (node != &s->peers) {
        size_t n = 0;
        for (; node != &s->peers && n < POLL_PEERS; node = node->next) {
            struct sp_peer *p = CONTAINER_OF(node, struct sp_peer, in_all);
            if (p->state == SP_PEER_TALKS && list_empty(&p->in_ready))
                some[n++] = p;
        }
        poll_some(some, n);
    }
}
