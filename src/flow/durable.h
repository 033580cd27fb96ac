/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue's durability: the broker's journal on one side, the store on the other. What is put is promised by ticket: see
 * jobq_putter_await().
 */
#ifndef FLOW_DURABLE_H
#define FLOW_DURABLE_H

#include "flow/jobq.h"
#include "store/store.h"

struct durable;

struct durable_options {
    const char *name; /* the queue's; copied */
    enum store_sync sync;
    span_t interval;
    uint64_t disk_max;
    span_t dedupe_window; /* the queue's */
    /* The store's condition has changed. On the DISK thread. */
    void (*on_condition)(void *arg, const char *queue, const struct store_news *news);
    /* Opening has read so many bytes, of all. */
    void (*on_progress)(void *arg, const char *queue, uint64_t done_bytes, uint64_t all_bytes);
    /* A range is damaged. */
    void (*on_damage)(void *arg, const char *queue, const struct store_damage *damage);
    void *arg;
};

/* PEN_ENOMEM. MAIN. */
int durable_new(const struct durable_options *options, struct durable **ret_durable) MUST_CHECK;

/* For jobq_options, with the durable as its argument. */
extern const struct broker_journal durable_journal;

/* Open the store in its folder, which is made when it is not there, and bring its jobs back into the queue, which was made with this durable's journal and is not used yet.
 * Blocks. Errors as store_open(). */
int durable_open(struct durable *d, const char *path, struct jobq *q,
                 struct store_recovery *ret_recovery) MUST_CHECK;

bool durable_is_open(const struct durable *d);

/* Write what was not yet, and free it: when nobody uses the queue any more, and before it is freed. An error: see
 * store_close(). Sets to NULL, accepts NULL. */
int durable_close(struct durable **durable);

/* ---- for the queue ---- */

/* Under its lock: up to which ticket everything that was put until now is promised when it is. */
uint64_t durable_ticket(const struct durable *d);
/* Not under its lock: begin to commit. */
void durable_kick(struct durable *d) ANY_THREAD;

/* A promise means synced, not just written. */
bool durable_syncs(const struct durable *d) ANY_THREAD;
void durable_stats(struct durable *d, struct store_stats *ret_stats) ANY_THREAD;

#endif
