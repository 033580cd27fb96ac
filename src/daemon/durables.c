/* SPDX-License-Identifier: Apache-2.0
 *
 * The stores of durable queues: opened at boot, each queue in a folder of its name below state_dir, and closed when no
 * part uses its queue any more.
 *
 * Thread: MAIN, but the news of a store, which come on its DISK thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "daemon/daemon.h"
#include "obs/log.h"
#include "plat/clock.h"
#include "plat/env.h"
#include "plat/notify.h"

enum { TELL_EVERY_MS = 1000, EXTEND_S = 30 };

static const enum store_sync syncs[] = { [SYNC_ALWAYS] = STORE_SYNC_ALWAYS,
                                         [SYNC_GROUP] = STORE_SYNC_GROUP,
                                         [SYNC_INTERVAL] = STORE_SYNC_INTERVAL,
                                         [SYNC_NONE] = STORE_SYNC_NONE };

/* The first folder of $STATE_DIRECTORY, which the service manager sets, or ours. */
static int state_dir(const struct conf *conf, char *path, size_t size)
{
    const char *given = conf->top.state_dir, *set = env_get("STATE_DIRECTORY");
    if (given != NULL && given[0] != '\0')
        set = given;
    else if (set == NULL)
        set = PEN_STATEDIR;
    size_t n = set == given ? strlen(set) : strcspn(set, ":");
    if (n >= size)
        return -ENAMETOOLONG;
    memcpy(path, set, n);
    path[n] = '\0';
    return 0;
}

/* ---- what a store tells ---- */

static void on_condition(void *arg, const char *queue, const struct store_news *news)
{
    (void)arg;
    if (news->condition == STORE_OPEN)
        log_notice("penstockd", "queue %s: its store has room again", queue);
    else if (news->condition == STORE_FROZEN)
        log_error("penstockd", "queue %s is frozen until there is room again: %s", queue,
                  pen_strerror(news->error));
    else
        log_error("penstockd",
                  "queue %s keeps nothing any more until the daemon is started again: its disk failed: %s",
                  queue, pen_strerror(news->error));
}

static void on_damage(void *arg, const char *queue, const struct store_damage *damage)
{
    (void)arg;
    log_error("penstockd",
              "queue %s: %" PRIu64 " bytes from %" PRIu64 " on in segment %016" PRIx64
              " are damaged, see penstock fsck",
              queue, damage->bytes, damage->at, damage->segment);
}

/* For a service manager that would lose patience, and people who wait. */
static void on_progress(void *arg, const char *queue, uint64_t done, uint64_t all)
{
    struct daemon *d = arg;
    mono_t now = clock_mono();
    if (mono_since(now, d->told_progress).ns < span_ms(TELL_EVERY_MS).ns)
        return;
    d->told_progress = now;
    unsigned percent = all > 0 ? (unsigned)(done * 100 / all) : 100;
    log_notice("penstockd", "queue %s: %u%% of its store is read", queue, percent);
    int r = notify_send("EXTEND_TIMEOUT_USEC=%d000000\nSTATUS=reading the store of queue %s: %u%%",
                        EXTEND_S, queue, percent);
    if (r < 0)
        log_warning("penstockd", "the service manager could not be told: %s", pen_strerror(r));
}

/* ---- opening and closing ---- */

int durables_make(struct daemon *d, const struct conf_queue *c, struct durable **ret_durable)
{
    if (c->store != STORE_DURABLE)
        return 0;
    struct durable_options options = { .name = c->name,
                                       .sync = syncs[c->sync],
                                       .interval = c->sync_interval,
                                       .disk_max = c->disk_max,
                                       .dedupe_window = c->dedupe_window,
                                       .on_condition = on_condition,
                                       .on_progress = on_progress,
                                       .on_damage = on_damage,
                                       .arg = d };
    return durable_new(&options, ret_durable);
}

static void log_recovery(const char *queue, const struct store_recovery *r, span_t took)
{
    char bytes[UNITS_TEXT_BYTES];
    log_notice("penstockd", "queue %s: %" PRIu64 " messages are back after %" PRId64 " ms", queue,
               r->jobs, took.ns / 1000000);
    if (r->torn_bytes > 0)
        log_notice("penstockd", "queue %s: %s of a commit that was not finished were cut off",
                   queue, size_format(r->torn_bytes, bytes));
    if (r->damaged > 0)
        log_error("penstockd", "queue %s: %" PRIu64 " ranges of its store are damaged", queue,
                  r->damaged);
}

static int open_one(struct daemon *d, const char *dir, size_t i)
{
    const char *queue = d->conf->queues[i].name;
    size_t size = strlen(dir) + strlen(queue) + 2;
    char *path = malloc(size);
    if (path == NULL)
        return PEN_ENOMEM;
    (void)snprintf(path, size, "%s/%s", dir, queue);
    mono_t start = clock_mono();
    struct store_recovery recovery;
    int r = durable_open(d->graph.durables[i], path, d->graph.queues[i], &recovery);
    if (r == 0)
        log_recovery(queue, &recovery, mono_since(clock_mono(), start));
    else
        log_error("penstockd", "queue %s: %s: %s", queue, path, pen_strerror(r));
    free(path);
    return r;
}

int durables_open(struct daemon *d)
{
    char dir[4096];
    struct vfs_dir *made;
    bool any = false;
    d->told_progress = clock_mono();
    for (size_t i = 0; i < d->conf->queues_count; i++)
        any |= d->graph.durables[i] != NULL;
    if (!any)
        return 0;
    int r = state_dir(d->conf, dir, sizeof dir);
    if (r == 0)
        r = vfs_open_dir(dir, true, &made);
    if (r < 0) {
        log_error("penstockd", "state_dir: %s: %s", dir, pen_strerror(r));
        return r;
    }
    vfs_close_dir(&made);
    for (size_t i = 0; i < d->conf->queues_count && r == 0; i++)
        if (d->graph.durables[i] != NULL)
            r = open_one(d, dir, i);
    return r;
}

static void close_one(const char *queue, struct durable **durable)
{
    struct store_stats s;
    if (!durable_is_open(*durable)) {
        (void)durable_close(durable);
        return;
    }
    durable_stats(*durable, &s);
    int r = durable_close(durable);
    if (r < 0)
        log_error("penstockd", "queue %s: its store was not closed in order: %s", queue,
                  pen_strerror(r));
    else if (s.jobs > 0)
        log_notice("penstockd", "queue %s: %" PRIu64 " messages are kept for the next start", queue,
                   s.jobs);
}

void durables_close(struct daemon *d)
{
    for (size_t i = 0; i < d->conf->queues_count; i++)
        if (d->graph.durables[i] != NULL)
            close_one(d->conf->queues[i].name, &d->graph.durables[i]);
}
