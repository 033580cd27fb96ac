/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the broker do for each other. Nobody outside src/broker includes this.
 */
#ifndef BROKER_PARTS_H
#define BROKER_PARTS_H

#include "broker/record.h"
#include "broker/state.h"

struct job_view record_view(const struct broker *b, uint32_t i);

static inline struct lane *lane_of(const struct record *r)
{
    return r->ext == NULL ? NULL : r->ext->lane;
}

/* ---- wait.c ---- */

/* There is room for one more expiry. PEN_ENOMEM. */
int expiry_reserve(struct broker *b);
void wait_arm(struct broker *b, struct wait *w, enum wait_kind kind, mono_t due);
void wait_disarm(struct broker *b, struct wait *w);

static inline bool wait_is_armed(const struct wait *w)
{
    return w->place != HEAP_NOWHERE;
}

struct hold *hold_at(const struct broker *b, uint32_t i);
/* There is a free hold above those that are reserved. PEN_ENOMEM. */
int hold_reserve(struct broker *b);
/* A free one, which must be there, for this record. */
uint32_t hold_new(struct broker *b, uint32_t index);
void hold_free(struct broker *b, uint32_t i);

/* A worker, known from before or new. PEN_ENOMEM. */
int owner_get(struct broker *b, uint64_t id, struct owner **ret_owner);
struct owner *owner_find(const struct broker *b, uint64_t id);

/* The hold becomes this worker's lease; returns its number. */
uint64_t lease_start(struct broker *b, uint32_t hold, struct owner *owner, span_t span);
/* Ends it, and frees the hold. */
void lease_end(struct broker *b, uint32_t hold);
/* NULL: it was lost. */
struct hold *lease_find(const struct broker *b, uint64_t id, uint64_t lease);

void waits_init(struct broker *b);
void waits_fini(struct broker *b);

/* ---- lane.c ---- */

int lane_get(struct broker *b, const struct job_ext *ext, uint8_t priority, struct lane **ret_lane);
void lane_unref(struct broker *b, struct lane *lane);
void lane_add(struct broker *b, struct lane *lane, uint32_t i, bool front);
void lane_remove(struct broker *b, struct lane *lane, uint32_t i);
/* The lane's first goes out. */
void lane_take(struct broker *b, struct lane *lane);
/* One comes back from flight, and has cost so much. Nothing is ready before lane_refresh(). */
void lane_landed(struct broker *b, struct lane *lane, int64_t cost_ns);
/* Open or close it, as its state is now. */
void lane_refresh(struct broker *b, struct lane *lane);
/* All of them, after other limits have come. */
void lanes_refresh(struct broker *b);
void lanes_init(struct broker *b);
void lanes_fini(struct broker *b);

/* ---- shares and rates ---- */

static inline uint64_t cost_of(int64_t ns, uint32_t weight)
{
    return (uint64_t)(ns < CHARGE_MIN_NS ? CHARGE_MIN_NS : ns) / weight;
}

/* When nobody works and nothing could be worked on, all keys are equal again. After everything by which jobs come back. */
static inline void share_anew(struct broker *b)
{
    if (b->ledger.in_hand == 0 && (b->plain_mask | b->lane_mask) == 0)
        b->vt = b->vt_top;
}

/* Generic cell rate: when the next may come, and where that leaves the one after it. */
static inline mono_t rate_next(mono_t tat, uint32_t rate)
{
    int64_t interval = NS_PER_S / rate, burst = rate / 10;
    return (mono_t){ burst > 1 ? tat.ns - (burst - 1) * interval : tat.ns };
}

static inline mono_t rate_after(mono_t tat, mono_t now, uint32_t rate, size_t n)
{
    return (mono_t){ (tat.ns > now.ns ? tat.ns : now.ns) + (int64_t)n * (NS_PER_S / rate) };
}

/* ---- twin.c ---- */

/* The one with this text that counts, or NULL. */
struct twin *twin_find(struct broker *b, const char *text);
/* A new one for this job, if its queue or it wants one. PEN_ENOMEM. */
int twin_new(struct broker *b, struct job_ext *ext, uint64_t id, mono_t put_at);
/* Its job has ended. */
void twin_release(struct broker *b, struct job_ext *ext);
/* Its job never came. */
void twin_cancel(struct broker *b, struct job_ext *ext);
/* One whose job has ended, or is not known. PEN_ENOMEM. */
int twin_restore(struct broker *b, const char *text, uint64_t id, mono_t put_at);
void twins_init(struct broker *b);
void twins_fini(struct broker *b);

/* ---- attempt.c ---- */

/* Out of READY, HELD, DELAYED or BURIED, to be put into another state at once. */
void job_leave(struct broker *b, uint32_t i);
/* The end of a job that has left its state, or landed. */
void job_drop(struct broker *b, uint32_t i, enum drop_reason reason);
/* Ready, or behind those of its key: one that comes back, at the front or the end. */
void job_again(struct broker *b, uint32_t i, bool front);
/* DELAYED; `in_order`: what is behind it in its key waits with it. The hold must have been reserved. */
void job_wait(struct broker *b, uint32_t i, mono_t due, bool in_order);
/* A worker that has it is lost: it comes back, charged, at once. */
void job_lost(struct broker *b, uint32_t i, int error, const char *text);

static inline bool job_is_expired(const struct broker *b, const struct record *r)
{
    return r->ext != NULL && r->ext->expires_at.ns != 0 && r->ext->expires_at.ns <= b->now.ns;
}

/* ---- the journal ---- */

static inline void journal_change(const struct broker *b, uint32_t i)
{
    if (b->options.journal == NULL)
        return;
    struct job_view view = record_view(b, i);
    b->options.journal->change(b->options.journal_arg, &view);
}

static inline void journal_end(const struct broker *b, uint64_t id, enum job_end how,
                               enum drop_reason reason)
{
    if (b->options.journal != NULL)
        b->options.journal->end(b->options.journal_arg, id, how, reason);
}

static inline bool keeps(const struct broker *b)
{
    return b->shut && b->shut_mode == BROKER_KEEP;
}

static inline bool is_ordered(const struct broker *b)
{
    return b->limits.key_in_flight_max <= 1;
}

/* Every command with an instant begins with this. */
static inline void set_now(struct broker *b, mono_t now)
{
    if (b->now.ns < now.ns)
        b->now = now;
}

#endif
