/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's calls come under the queue's lock, in order, and do nothing but copy into the frame that the store collects.
 * A job's instants are kept as wall clock, by one offset that is taken when the store is opened.
 *
 * A queue that is shut down for good drops what it still has. For a durable queue that is no end: it comes back at the next
 * start.
 *
 * What the store remembers of jobs that have ended, their dedupe ids, is told while it reads, before it is known which
 * jobs live; so it is kept until all are back, and then given to the queue for those that are not.
 */
#include "flow/durable.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "flow/attributes.h"
#include "plat/clock.h"
#include "plat/rand.h"

/* A job's place in its life, as the store keeps it. */
enum place { PLACE_READY, PLACE_DELAYED, PLACE_BURIED, PLACE_DYING };

enum { SCRATCH_BYTES = UINT16_MAX + 4096 /* headers, as the protocol permits, and the rest */ };

struct remembered {
    struct remembered *next;
    uint64_t id;
    mono_t put_at;
    char dedupe[];
};

struct durable {
    /* fixed after it is open */
    struct durable_options options;
    char name[LIMIT_NAME_BYTES + 1];
    struct jobq *queue;
    struct store *store;
    struct attributes_clock clock;
    /* owner: the opener */
    struct remembered *remembered;
    /* lock: the queue's */
    uint64_t ticket;
    uint8_t scratch[SCRATCH_BYTES]; /* for a job's attributes */
    /* owner: the DISK thread */
    enum store_condition told;
};

/* ---- the journal ---- */

static uint8_t place_of(enum job_state state)
{
    switch (state) {
    case JOB_DELAYED:
        return PLACE_DELAYED;
    case JOB_BURIED:
        return PLACE_BURIED;
    case JOB_DYING:
        return PLACE_DYING;
    default:
        return PLACE_READY;
    }
}

static struct store_state state_of(const struct durable *d, const struct job_view *v)
{
    uint16_t crashes = v->ext != NULL ? v->ext->crashes : 0;
    bool delayed = v->state == JOB_DELAYED;
    return (struct store_state){ .due_ns = delayed ? attributes_wall(d->clock, v->due) : 0,
                                 .attempts = v->attempts,
                                 .crashes = (uint8_t)(crashes < UINT8_MAX ? crashes : UINT8_MAX),
                                 .priority = v->priority,
                                 .place = place_of(v->state) };
}

/* The bytes of attributes count the whole of struct job_ext, which is more than what is written beside the texts. */
static int reserve(void *arg, size_t n, uint64_t bytes)
{
    struct durable *d = arg;
    return store_reserve(d->store, n, bytes);
}

static void release(void *arg, size_t n, uint64_t bytes)
{
    struct durable *d = arg;
    store_release(d->store, n, bytes);
}

static void add_ext(struct durable *d, const struct job_ext *ext, struct store_job *j)
{
    j->expires_ns = attributes_wall(d->clock, ext->expires_at);
    j->key = ext->key;
    j->key_bytes = (uint8_t)(ext->key != NULL ? strlen(ext->key) : 0);
    if (ext->dedupe != NULL && d->options.dedupe_window.ns > 0) {
        j->dedupe = ext->dedupe;
        j->dedupe_bytes = (uint8_t)strlen(ext->dedupe);
        j->dedupe_ns = attributes_wall(d->clock, mono_after(ext->put_at, d->options.dedupe_window));
    }
    if (BUG(attributes_bytes_max(ext) > SCRATCH_BYTES))
        return;
    j->extra = d->scratch;
    j->extra_bytes = (uint32_t)attributes_put(d->scratch, ext, d->clock);
}

static void put(void *arg, const struct job_view *v, bool more)
{
    struct durable *d = arg;
    struct store_job j = {
        .id = v->id, .state = state_of(d, v), .payload = v->body.at, .payload_bytes = v->body.bytes
    };
    (void)more; /* What was reserved together is in one commit anyway. */
    if (v->ext != NULL)
        add_ext(d, v->ext, &j);
    d->ticket = store_put(d->store, &j);
}

static void change(void *arg, const struct job_view *v)
{
    struct durable *d = arg;
    struct store_state state = state_of(d, v);
    store_change(d->store, v->id, &state);
}

static void end(void *arg, uint64_t id, enum job_end how, enum drop_reason reason)
{
    struct durable *d = arg;
    if (how == END_DROPPED && reason == DROP_SHUTDOWN)
        return;
    store_end(d->store, id);
}

const struct broker_journal durable_journal = {
    .reserve = reserve, .release = release, .put = put, .change = change, .end = end
};

/* ---- bringing back ---- */

static int keep_dedupe(void *arg, const struct store_job *j)
{
    struct durable *d = arg;
    struct remembered *m = malloc(sizeof *m + j->dedupe_bytes + 1u);
    if (m == NULL)
        return PEN_ENOMEM;
    mono_t until = attributes_mono(d->clock, j->dedupe_ns);
    m->id = j->id;
    m->put_at = (mono_t){ until.ns - d->options.dedupe_window.ns };
    memcpy(m->dedupe, j->dedupe, j->dedupe_bytes);
    m->dedupe[j->dedupe_bytes] = '\0';
    m->next = d->remembered;
    d->remembered = m;
    return 0;
}

static int get_text(const void *at, size_t n, char **ret_text)
{
    if (n == 0)
        return 0;
    if (memchr(at, '\0', n) != NULL)
        return PEN_EDAMAGED;
    *ret_text = strndup(at, n);
    return *ret_text != NULL ? 0 : PEN_ENOMEM;
}

static int make_ext(const struct durable *d, const struct store_job *j, struct job_ext **ret_ext)
{
    bool any = j->expires_ns != 0 || j->key_bytes > 0 || j->dedupe_bytes > 0 ||
               j->extra_bytes > 0 || j->state.crashes > 0;
    if (!any)
        return 0;
    struct job_ext *ext;
    int r = job_ext_new(&ext);
    if (r < 0)
        return r;
    ext->crashes = j->state.crashes;
    ext->expires_at = attributes_mono(d->clock, j->expires_ns);
    r = get_text(j->key, j->key_bytes, &ext->key);
    if (r == 0)
        r = get_text(j->dedupe, j->dedupe_bytes, &ext->dedupe);
    if (r == 0)
        r = attributes_get(j->extra, j->extra_bytes, d->clock, ext);
    if (r < 0) {
        job_ext_free(ext);
        return r;
    }
    *ret_ext = ext;
    return 0;
}

static int bring_back(void *arg, const struct store_job *j)
{
    static const enum job_state states[] = {
        [PLACE_READY] = JOB_READY, [PLACE_DELAYED] = JOB_DELAYED, [PLACE_BURIED] = JOB_BURIED, [PLACE_DYING] = JOB_DYING
    };
    struct durable *d = arg;
    if (j->state.place > PLACE_DYING || j->state.priority > PRIORITY_MAX)
        return PEN_EDAMAGED;
    struct job_restore back = { .id = j->id,
                                .attempts = j->state.attempts,
                                .priority = j->state.priority,
                                .state = states[j->state.place],
                                .due = attributes_mono(d->clock, j->state.due_ns) };
    int r = make_ext(d, j, &back.ext);
    if (r == 0)
        r = slice_copy(j->payload, j->payload_bytes, &back.body);
    if (r == 0)
        r = jobq_restore(d->queue, &back);
    if (r < 0) {
        slice_release(&back.body);
        job_ext_free(back.ext);
    }
    return r;
}

/* Oldest first, for the window forgets in this order; those of jobs that live are known already. */
static int bring_dedupes_back(struct durable *d)
{
    struct remembered *oldest = NULL;
    int r = 0;
    for (struct remembered *m; (m = d->remembered) != NULL;) {
        d->remembered = m->next;
        m->next = oldest;
        oldest = m;
    }
    for (struct remembered *m; (m = oldest) != NULL;) {
        oldest = m->next;
        if (r == 0)
            r = jobq_restore_dedupe(d->queue, m->dedupe, m->id, m->put_at);
        free(m);
    }
    return r;
}

static int tell_damage(void *arg, const struct store_damage *damage)
{
    struct durable *d = arg;
    d->options.on_damage(d->options.arg, d->name, damage);
    return 0;
}

static void tell_progress(void *arg, uint64_t done, uint64_t all)
{
    struct durable *d = arg;
    d->options.on_progress(d->options.arg, d->name, done, all);
}

/* ---- news ---- */

static void on_news(void *arg, const struct store_news *news)
{
    struct durable *d = arg;
    if (news->condition != d->told) {
        d->told = news->condition;
        d->options.on_condition(d->options.arg, d->name, news);
    }
    struct jobq_promise promise = { .ticket = durable_syncs(d) ? news->synced : news->written,
                                    .error = news->condition == STORE_FAILED ? PEN_ESTOREFAILED : 0 };
    jobq_promised(d->queue, &promise);
}

/* ---- opening and closing ---- */

int durable_new(const struct durable_options *options, struct durable **ret_durable)
{
    struct durable *d = calloc(1, sizeof *d);
    if (d == NULL)
        return PEN_ENOMEM;
    d->options = *options;
    memcpy(d->name, options->name, strlen(options->name) + 1);
    *ret_durable = d;
    return 0;
}

static int open_store(struct durable *d, const char *path, struct store_recovery *ret_recovery)
{
    const struct store_keeper keeper = { .job = bring_back,
                                         .dedupe = keep_dedupe,
                                         .damage = tell_damage,
                                         .progress = tell_progress,
                                         .arg = d };
    struct store_options options = { .name = d->name,
                                     .sync = d->options.sync,
                                     .interval = d->options.interval,
                                     .disk_max = d->options.disk_max,
                                     .on_news = on_news,
                                     .arg = d };
    struct vfs_dir *dir;
    int r = rand_id(&options.seed);
    if (r == 0)
        r = vfs_open_dir(path, true, &dir);
    return r < 0 ? r : store_open(dir, &options, &keeper, &d->store, ret_recovery);
}

int durable_open(struct durable *d, const char *path, struct jobq *q,
                 struct store_recovery *ret_recovery)
{
    d->queue = q;
    d->clock.offset_ns = clock_wall_ns() - clock_mono().ns;
    int r = open_store(d, path, ret_recovery);
    int dedupes = bring_dedupes_back(d);
    if (r == 0)
        r = dedupes;
    if (r == 0)
        jobq_restored(q, ret_recovery->last_id);
    return r;
}

bool durable_is_open(const struct durable *d)
{
    return d->store != NULL;
}

int durable_close(struct durable **durable)
{
    struct durable *d = *durable;
    if (d == NULL)
        return 0;
    *durable = NULL;
    if (d->store != NULL)
        jobq_store_closes(d->queue);
    int r = store_close(&d->store);
    free(d);
    return r;
}

/* ---- for the queue ---- */

uint64_t durable_ticket(const struct durable *d)
{
    return d->ticket;
}

void durable_kick(struct durable *d)
{
    store_kick(d->store);
}

bool durable_syncs(const struct durable *d)
{
    return d->options.sync == STORE_SYNC_ALWAYS || d->options.sync == STORE_SYNC_GROUP;
}

void durable_stats(struct durable *d, struct store_stats *ret_stats)
{
    store_stats(d->store, ret_stats);
}
