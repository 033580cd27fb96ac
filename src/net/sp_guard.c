/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may come, who must go, and who is remembered for what it lost.
 *
 * Of who comes over ipc the kernel tells user and groups as they were when it connected (SO_PEERCRED,
 * SO_PEERGROUPS), before a byte is read.
 *
 * An idle peer is found by a timer of its own, which on its end looks when something was last exchanged: so
 * traffic costs no timer. One from whom something has come that we did not read yet is not idle.
 *
 * Thread: the endpoint's loop; the table of slow peers is read from anywhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/sp.h"

/* ---- users and groups ---- */

static int parse_ids(char *const *texts, struct sp_ids *ids, char *text, size_t size)
{
    size_t n = 0;
    while (texts != NULL && texts[n] != NULL)
        n++;
    ids->at = n > 0 ? malloc(n * sizeof *ids->at) : NULL;
    if (n > 0 && ids->at == NULL)
        return PEN_ENOMEM;
    for (; ids->count < n; ids->count++) {
        uint64_t id;
        if (number_parse(texts[ids->count], &id) < 0 || id >= UINT32_MAX) {
            snprintf(text, size, "\"%.32s\" is no number of a user or group", texts[ids->count]);
            return PEN_EINVAL;
        }
        ids->at[ids->count] = (uint32_t)id;
    }
    return 0;
}

int sp_guard_init(struct sp_endpoint *s, const struct endpoint_options *o, char *text, size_t size)
{
    int r = parse_ids(o->allow_uid, &s->uids, text, size);
    return r < 0 ? r : parse_ids(o->allow_gid, &s->gids, text, size);
}

void sp_guard_fini(struct sp_endpoint *s)
{
    free(s->uids.at);
    free(s->gids.at);
}

static bool has_id(const struct sp_ids *ids, uint32_t id)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->at[i] == id)
            return true;
    return false;
}

/* One of the groups that it is in beside its first. */
static bool has_group_of(const struct sp_ids *gids, int fd)
{
    socklen_t bytes = 0;
    bool found = false;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0 || errno != ERANGE)
        return false;
    gid_t *groups = malloc(bytes);
    if (groups != NULL && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0)
        for (size_t i = 0; i < bytes / sizeof *groups && !found; i++)
            found = has_id(gids, groups[i]);
    free(groups);
    return found;
}

bool sp_guard_admits(struct sp_endpoint *s, int fd)
{
    struct ucred who;
    socklen_t bytes = sizeof who;
    char name[64];
    if (s->uids.count == 0 && s->gids.count == 0)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 &&
        (has_id(&s->uids, who.uid) || has_id(&s->gids, who.gid) || has_group_of(&s->gids, fd)))
        return true;
    count_add(&s->denied, 1);
    sp_guard_name(fd, name, sizeof name);
    sp_complain(s, "a connection of %s was refused: neither allow_uid nor allow_gid has it", name);
    return false;
}

void sp_guard_name(int fd, char *to, size_t size)
{
    struct ucred who;
    socklen_t bytes = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0)
        snprintf(to, size, "pid %d uid %u gid %u", (int)who.pid, (unsigned)who.uid,
                 (unsigned)who.gid);
}

/* ---- idle ---- */

static void on_idle(struct pen_loop *loop, void *arg, int status);

/* Without memory for the timer the peer is not looked at again. */
static void look_in(struct sp_peer *p, int64_t ns)
{
    (void)!pen_loop_call_later(p->owner->base.loop, &p->timer, (span_t){ ns }, on_idle, p);
}

static bool has_unread(const struct sp_peer *p)
{
    uint8_t byte;
    return recv(p->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void on_idle(struct pen_loop *loop, void *arg, int status)
{
    struct sp_peer *p = arg;
    struct sp_endpoint *s = p->owner;
    if (status < 0) /* The loop is being closed: its owner frees the endpoint. */
        return;
    loop_assert_here(loop);
    if (has_unread(p))
        sp_idle_note(p);
    int64_t left_ns = s->idle.ns - mono_since(pen_loop_now(loop), p->active_at).ns;
    if (left_ns > 0) {
        look_in(p, left_ns);
        return;
    }
    count_add(&s->idle_closed, 1);
    sp_peer_lose(p, "nothing was exchanged with it for idle_timeout");
}

void sp_idle_start(struct sp_peer *p)
{
    if (p->owner->idle.ns == 0 || p->dialer != NULL)
        return;
    sp_idle_note(p);
    look_in(p, p->owner->idle.ns);
}

/* ---- slow ---- */

/* A row that is unused, or else of those that are gone the one that has lost the least. */
static int find_row(const struct sp_endpoint *s)
{
    int best = SP_NO_ROW;
    for (int i = 0; i < ENDPOINT_SLOW_PEERS; i++) {
        const struct sp_slow_row *row = &s->slow_rows[i];
        if (!row->here && (best == SP_NO_ROW ||
                           count_read(&row->dropped) < count_read(&s->slow_rows[best].dropped)))
            best = i;
    }
    return best;
}

static void take_row(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    p->slow_row = find_row(s);
    if (p->slow_row == SP_NO_ROW)
        return;
    struct sp_slow_row *row = &s->slow_rows[p->slow_row];
    lock_take(&s->slow_lock);
    row->here = true;
    (void)str_copy(row->name, sizeof row->name, p->name);
    count_set(&row->dropped, p->dropped);
    lock_drop(&s->slow_lock);
}

void sp_slow_note(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    p->dropped++;
    count_add(&s->dropped_slow, 1);
    if (p->slow_row == SP_NO_ROW)
        take_row(p);
    else
        count_set(&s->slow_rows[p->slow_row].dropped, p->dropped);
    if ((p->dropped & (p->dropped - 1)) == 0) /* At each doubling: neither silent nor a flood. */
        log_limited(&s->slow_complaints, SP_LOG_BURST, s->base.name,
                    "peer %s is too slow: it has lost %llu messages", p->name,
                    (unsigned long long)p->dropped);
}

void sp_slow_gone(struct sp_peer *p)
{
    struct sp_endpoint *s = p->owner;
    if (p->dropped == 0)
        return;
    log_limited(&s->slow_complaints, SP_LOG_BURST, s->base.name,
                "peer %s has gone: being too slow it had lost %llu messages", p->name,
                (unsigned long long)p->dropped);
    if (p->slow_row == SP_NO_ROW)
        return;
    lock_take(&s->slow_lock);
    s->slow_rows[p->slow_row].here = false;
    lock_drop(&s->slow_lock);
}

size_t sp_slow_peers(const struct endpoint *endpoint, struct endpoint_slow_peer *ret_peers)
{
    struct sp_endpoint *s = sp_of((struct endpoint *)endpoint); /* For the lock. */
    size_t n = 0;
    lock_take(&s->slow_lock);
    for (size_t i = 0; i < ENDPOINT_SLOW_PEERS; i++) {
        const struct sp_slow_row *row = &s->slow_rows[i];
        struct endpoint_slow_peer *peer = &ret_peers[n];
        peer->dropped = count_read(&row->dropped);
        peer->here = row->here;
        (void)str_copy(peer->name, sizeof peer->name, row->name);
        n += peer->dropped > 0;
    }
    lock_drop(&s->slow_lock);
    return n;
}
