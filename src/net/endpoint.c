/* SPDX-License-Identifier: Apache-2.0
 *
 * The front of every endpoint. Its reading is one small machine:
 *
 *   paused or stalled   nothing is read and nothing offered
 *   frames are kept     they are offered again, nothing is read
 *   otherwise           the source is watched; a turn reads one batch and offers it
 *   source ended        once nothing is kept any more, on_read_end is told
 *   closing             none of this; the source is ended, then on_closed is told
 *
 * Whatever changes one of these calls settle(), which watches the source or asks for a turn. Events
 * come from a turn (of the source, or the kick) only, so a receiver may call anything from within one.
 *
 * Thread: the endpoint's loop; only the counters are read from elsewhere.
 */
#include "net/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/endpoint_kind.h"
#include "obs/log.h"
#include "proto/sp.h"

enum { FINISH_BYTES = 1024 * 1024, FINISH_BYTES_TURN = 256 };

/* ---- reading ---- */

static size_t kept(const struct endpoint *ep)
{
    return ep->kept_end - ep->kept_at;
}

static size_t kept_bytes(const struct endpoint *ep)
{
    size_t bytes = 0;
    for (size_t i = ep->kept_at; i < ep->kept_end; i++)
        bytes += ep->frames[i].body.bytes;
    return bytes;
}

static bool may_offer(const struct endpoint *ep)
{
    return !ep->paused && !ep->stalled && !ep->closing;
}

static bool may_read(const struct endpoint *ep)
{
    return may_offer(ep) && kept(ep) == 0 && !ep->source_ended;
}

static bool owes_end(const struct endpoint *ep)
{
    return ep->source_ended && !ep->end_told && kept(ep) == 0;
}

static void settle(struct endpoint *ep)
{
    if (ep->source_closed)
        return;
    ep->kind->watch(ep, may_read(ep));
    if (may_offer(ep) && (kept(ep) > 0 || owes_end(ep) || (ep->more && may_read(ep))))
        endpoint_kick(ep);
}

static void offer(struct endpoint *ep)
{
    size_t n = kept(ep), bytes = kept_bytes(ep);
    ep->resumed = false;
    size_t taken = ep->events.on_frames(ep, ep->frames + ep->kept_at, n, ep->arg);
    check(taken <= n);
    ep->kept_at += taken;
    count_add(&ep->frames_in, taken);
    count_add(&ep->bytes_in, bytes - kept_bytes(ep));
    if (taken < n && !ep->resumed)
        ep->stalled = true;
}

/* After a batch was read for endpoint_finish_reading(). Every turn counts for something, so that a
 * flood of empty messages or of ones that are dropped comes to an end as well. */
static void finish_on(struct endpoint *ep)
{
    size_t bytes = kept_bytes(ep) + FINISH_BYTES_TURN;
    ep->finish_left -= bytes < ep->finish_left ? bytes : ep->finish_left;
    if (ep->finish_left == 0 || (!ep->more && !ep->kind->has_input(ep)))
        ep->source_ended = true;
}

static void read_batch(struct endpoint *ep)
{
    ep->more = false;
    ep->kept_at = 0;
    ep->kept_end = ep->kind->read(ep);
    if (ep->finishing)
        finish_on(ep);
    if (ep->kept_end > 0)
        offer(ep);
}

/* Only when nothing of theirs is kept: a request must not come after its sender's end. */
static void tell_gone(struct endpoint *ep)
{
    uint32_t peer;
    while (kept(ep) == 0 && !ep->closing && ep->kind->take_gone != NULL &&
           ep->kind->take_gone(ep, &peer))
        ep->events.on_peer_gone(ep, peer, ep->arg);
}

void endpoint_turn(struct endpoint *ep)
{
    loop_assert_here(ep->loop);
    if (may_offer(ep) && kept(ep) > 0)
        offer(ep);
    else if (may_read(ep))
        read_batch(ep);
    tell_gone(ep);
    if (may_offer(ep) && owes_end(ep)) {
        ep->end_told = true;
        if (ep->events.on_read_end != NULL)
            ep->events.on_read_end(ep, ep->arg);
    }
    settle(ep);
}

void endpoint_source_ended(struct endpoint *ep)
{
    ep->source_ended = true;
}

void endpoint_resume(struct endpoint *ep)
{
    loop_assert_here(ep->loop);
    ep->paused = false;
    ep->stalled = false;
    ep->resumed = true;
    settle(ep);
}

void endpoint_pause(struct endpoint *ep)
{
    loop_assert_here(ep->loop);
    ep->paused = true;
    settle(ep);
}

void endpoint_finish_reading(struct endpoint *ep)
{
    loop_assert_here(ep->loop);
    if (ep->finishing)
        return;
    ep->finishing = true;
    ep->finish_left = FINISH_BYTES;
    ep->paused = false;
    ep->more = true; /* One turn at least, because when nothing is there nothing tells. */
    settle(ep);
}

/* ---- sending ---- */

static void parcels_release(struct parcel_frame *frames, size_t n)
{
    struct slice_releaser heads = { 0 }, bodies = { 0 };
    for (size_t i = 0; i < n; i++) {
        slice_releaser_add(&heads, &frames[i].head);
        slice_releaser_add(&bodies, &frames[i].body);
    }
    slice_releaser_end(&heads);
    slice_releaser_end(&bodies);
}

size_t endpoint_send(struct endpoint *ep, struct parcel_frame *frames, size_t n)
{
    loop_assert_here(ep->loop);
    check(ep->kind->send != NULL);
    size_t taken = n;
    if (ep->closing)
        count_add(&ep->dropped_error, n);
    else
        taken = ep->kind->send(ep, frames, n);
    parcels_release(frames, taken);
    return taken;
}

static void set_corked(struct endpoint *ep, bool corked)
{
    loop_assert_here(ep->loop);
    check(ep->corked != corked);
    ep->corked = corked;
    if (ep->kind->cork != NULL && !ep->source_closed)
        ep->kind->cork(ep);
}

void endpoint_cork(struct endpoint *ep)
{
    set_corked(ep, true);
}

void endpoint_uncork(struct endpoint *ep)
{
    set_corked(ep, false);
}

void endpoint_has_room(struct endpoint *ep)
{
    loop_assert_here(ep->loop);
    if (!ep->closing && ep->events.on_room != NULL)
        ep->events.on_room(ep, ep->arg);
}

/* ---- the end ---- */

static void drop_kept(struct endpoint *ep)
{
    size_t n = kept(ep);
    if (n == 0)
        return;
    struct slice_releaser bodies = { 0 };
    for (; ep->kept_at < ep->kept_end; ep->kept_at++)
        slice_releaser_add(&bodies, &ep->frames[ep->kept_at].body);
    slice_releaser_end(&bodies);
    count_add(&ep->dropped_unread, n);
    log_warning(ep->name, "%zu messages that had come and were not taken are dropped", n);
}

/* on_closed may free the endpoint. */
static void go_on_closing(struct endpoint *ep)
{
    if (ep->closed_told)
        return;
    if (!ep->source_closed && (!ep->close_begun || ep->immediate)) {
        ep->close_begun = true;
        ep->source_closed = ep->kind->close(ep, ep->immediate);
    }
    if (!ep->source_closed)
        return;
    drop_kept(ep);
    ep->closed_told = true;
    if (ep->events.on_closed != NULL)
        ep->events.on_closed(ep, ep->arg);
}

void endpoint_source_closed(struct endpoint *ep)
{
    ep->source_closed = true;
    endpoint_kick(ep);
}

void endpoint_close(struct endpoint *ep, bool immediate)
{
    loop_assert_here(ep->loop);
    if (ep->closed_told)
        return;
    ep->closing = true;
    ep->immediate = ep->immediate || immediate;
    settle(ep);
    endpoint_kick(ep);
}

static void on_kick(struct pen_loop *loop, void *arg, int status)
{
    struct endpoint *ep = arg;
    ep->kicked = false;
    if (ep->orphan) {
        ep->kind->free(ep);
        return;
    }
    if (status < 0) /* The loop is being freed: its owner frees the endpoint. */
        return;
    loop_assert_here(loop);
    if (ep->closing)
        go_on_closing(ep);
    else
        endpoint_turn(ep);
}

void endpoint_kick(struct endpoint *ep)
{
    ep->kicked = true;
    (void)loop_post(ep->loop, &ep->kick);
}

/* ---- making and freeing ---- */

int endpoint_init(struct endpoint *ep, const struct endpoint_kind *kind,
                  const struct endpoint_options *options)
{
    ep->name = strdup(options->name != NULL ? options->name : "endpoint");
    if (ep->name == NULL)
        return PEN_ENOMEM;
    ep->kind = kind;
    ep->loop = options->loop;
    ep->events = *options->events;
    ep->arg = options->arg;
    ep->pattern = options->pattern;
    ep->paused = true;
    post_init(&ep->kick, on_kick, ep);
    return 0;
}

void endpoint_fini(struct endpoint *ep)
{
    free(ep->name);
}

void endpoint_free(struct endpoint **endpoint)
{
    struct endpoint *ep = *endpoint;
    if (ep == NULL)
        return;
    *endpoint = NULL;
    if (!ep->source_closed) {
        ep->closing = true;
        ep->source_closed = ep->kind->close(ep, true);
        check(ep->source_closed);
        drop_kept(ep);
    }
    if (ep->kicked)
        ep->orphan = true;
    else
        ep->kind->free(ep);
}

uint32_t endpoint_route_peer(const struct route *route)
{
    check(route->bytes >= SP_ID_BYTES);
    return sp_id_get(route->at);
}

void endpoint_stats(const struct endpoint *ep, struct endpoint_stats *ret_stats)
{
    struct endpoint_stats s = {
        .frames_in = count_read(&ep->frames_in),
        .bytes_in = count_read(&ep->bytes_in),
        .frames_out = count_read(&ep->frames_out),
        .bytes_out = count_read(&ep->bytes_out),
        .too_big = count_read(&ep->too_big),
        .malformed = count_read(&ep->malformed),
        .dropped_no_peer = count_read(&ep->dropped_no_peer),
        .dropped_error = count_read(&ep->dropped_error),
        .dropped_unread = count_read(&ep->dropped_unread),
    };
    ep->kind->stats(ep, &s);
    *ret_stats = s;
}

void endpoint_stats_add(struct endpoint_stats *sum, const struct endpoint_stats *more)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)more;
    _Static_assert(sizeof *sum % sizeof *to == 0, "nothing but counters");
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

size_t endpoint_slow_peers(const struct endpoint *ep,
                           struct endpoint_slow_peer ret_peers[ENDPOINT_SLOW_PEERS])
{
    return ep->kind->slow_peers != NULL ? ep->kind->slow_peers(ep, ret_peers) : 0;
}

const char *endpoint_name(const struct endpoint *ep)
{
    return ep->name;
}
