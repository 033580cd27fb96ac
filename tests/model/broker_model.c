/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker against a naive model: an array of jobs that is searched from the front for everything. Random commands from a
 * printed seed; after each one both must agree on every answer, the next due time, and the books.
 *
 *   broker_model [SEED [COMMANDS]]     300,000 commands by default, 10,000,000 with PENSTOCK_LONG=1
 *
 * A life of a queue is up to 1,000 commands under random limits. Each command draws from a seed of its own, so that a life can
 * be lived again with some left out: when they disagree, commands are left out for as long as they still do, and what is
 * left is printed.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/queue.h"
#include "random.h"

enum { HELD_MAX = 48, BATCH = 4, KEYS = 4, TEXTS = 5, OWNERS = 3, LIFE = 1000, NONE = -1 };

/* ---- the model ---- */

struct model_job {
    uint64_t id, lease, taken, armed, expiry_armed; /* the last three: in which order it happened */
    int64_t place, due, expires, since;             /* place: in its list, the least first */
    uint32_t index, bytes;
    int key, owner, text, priority, attempts, attempts_max, crashes;
    enum job_state state; /* JOB_READY stands for HELD, too */
    bool blocks, handed_out;
};

struct model_twin {
    uint64_t id;
    int text;
    int64_t put_at;
    bool coalesce, in_window;
};

struct model {
    struct broker_limits limits;
    struct model_job jobs[HELD_MAX + 1]; /* in order of arrival */
    size_t count;
    struct model_twin twins[8192];
    size_t twins_count;
    int64_t now, front, back;
    uint64_t steps, last_id, old_id, old_lease, vt, vt_top,
        key_vt[KEYS + 1]; /* the last: of those without a key */
    uint64_t accepted, done, dead, expired, dropped[DROP_REASONS], to_reap;
    bool shut, paused;
    enum broker_shut mode;
};

static struct model m;
static struct broker *b;

/* ---- disagreement ---- */

static sigjmp_buf way_out;
static bool quiet;
static char story[256]; /* the command that is under way */

#define AGREE(x) ((x) ? (void)0 : disagree(#x, __LINE__))

static void disagree(const char *what, int line)
{
    if (!quiet)
        fprintf(stderr, "broker_model: line %d: %s\n    in: %s\n", line, what, story);
    siglongjmp(way_out, 1);
}

static void on_abort(int signal_number)
{
    (void)signal_number;
    siglongjmp(way_out, 1);
}

static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
    return (uint32_t)random_below(&random_state, below);
}

/* One in n. */
static bool luck(uint32_t n)
{
    return pick(n) == 0;
}

/* ---- the model's questions ---- */

static bool is_in(const struct model_job *j, enum job_state state)
{
    return j->state == state;
}

static size_t count_in(enum job_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < m.count; i++)
        n += is_in(&m.jobs[i], state);
    return n;
}

static uint64_t bytes_in(bool only_ready, int below_priority)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m.count; i++) {
        const struct model_job *j = &m.jobs[i];
        bool counts = !only_ready ||
                      (is_in(j, JOB_READY) &&
                       (below_priority < 0 || (j->key == NONE && j->priority < below_priority)));
        sum += counts ? j->bytes : 0;
    }
    return sum;
}

static bool within(size_t items, uint64_t bytes)
{
    return items <= m.limits.items_max && (m.limits.bytes_max == 0 || bytes <= m.limits.bytes_max);
}

/* The first of a key, or of a priority without one; NULL: none. */
static struct model_job *first_of(int key, int priority)
{
    struct model_job *first = NULL;
    for (size_t i = 0; i < m.count; i++) {
        struct model_job *j = &m.jobs[i];
        bool mine = is_in(j, JOB_READY) && j->key == key && (key != NONE || j->priority == priority);
        if (mine && (first == NULL || j->place < first->place))
            first = j;
    }
    return first;
}

/* The first of a key if it may go now. */
static struct model_job *open_of(int key)
{
    uint32_t flying = 0, max = m.limits.key_in_flight_max == 0 ? 1 : m.limits.key_in_flight_max;
    for (size_t i = 0; i < m.count; i++) {
        const struct model_job *j = &m.jobs[i];
        flying += j->key == key && is_in(j, JOB_LEASED);
        if (j->key == key && is_in(j, JOB_DELAYED) && j->blocks)
            return NULL;
    }
    return flying < max ? first_of(key, 0) : NULL;
}

/* Of two that could go from one level: the one whose share is further back, or the older. */
static struct model_job *fairer(struct model_job *x, struct model_job *y)
{
    if (x == NULL || y == NULL)
        return x == NULL ? y : x;
    uint64_t vx = m.key_vt[x->key == NONE ? KEYS : x->key],
             vy = m.key_vt[y->key == NONE ? KEYS : y->key];
    return vx != vy ? (vx < vy ? x : y) : x->id < y->id ? x : y;
}

static struct model_job *next_job(void)
{
    struct model_job *best = NULL;
    for (int p = PRIORITY_MAX; p >= 0; p--) {
        struct model_job *offer = first_of(NONE, p);
        for (int key = 0; key < KEYS; key++) {
            struct model_job *j = open_of(key);
            if (j != NULL && j->priority == p)
                offer = fairer(offer, j);
        }
        uint64_t age =
            offer == NULL ? 0 : offer->id + (uint64_t)AGE_JOBS * (uint64_t)(PRIORITY_MAX - p);
        if (offer != NULL &&
            (best == NULL ||
             age < best->id + (uint64_t)AGE_JOBS * (uint64_t)(PRIORITY_MAX - best->priority)))
            best = offer;
    }
    return best;
}

static size_t open_count(void)
{
    size_t n = 0;
    for (int key = 0; key < KEYS; key++)
        n += open_of(key) != NULL;
    for (size_t i = 0; i < m.count; i++)
        n += is_in(&m.jobs[i], JOB_READY) && m.jobs[i].key == NONE;
    return n;
}

/* ---- the model's moves ---- */

static void remove_job(struct model_job *j)
{
    size_t i = (size_t)(j - m.jobs);
    memmove(&m.jobs[i], &m.jobs[i + 1], (m.count - i - 1) * sizeof m.jobs[0]);
    m.count--;
}

static void drop(struct model_job *j, enum drop_reason reason)
{
    if (reason == DROP_EXPIRED)
        m.expired++;
    else
        m.dropped[reason]++;
    m.to_reap++;
    remove_job(j);
}

static bool has_plain(void)
{
    for (size_t i = 0; i < m.count; i++)
        if (is_in(&m.jobs[i], JOB_READY) && m.jobs[i].key == NONE)
            return true;
    return false;
}

static void make_ready(struct model_job *j, bool front)
{
    if (j->key == NONE && !has_plain() && m.key_vt[KEYS] < m.vt)
        m.key_vt[KEYS] = m.vt;
    j->state = JOB_READY;
    j->place = front ? --m.front : ++m.back;
    j->blocks = false;
}

/* Comes back from a hand. */
static void again(struct model_job *j, bool front)
{
    if (m.shut && m.mode == BROKER_DROP)
        drop(j, DROP_SHUTDOWN);
    else
        make_ready(j, front || j->key != NONE);
}

static void wait_until(struct model_job *j, int64_t due, bool in_order)
{
    j->state = JOB_DELAYED;
    j->due = due;
    j->armed = ++m.steps;
    j->blocks = in_order && m.limits.key_in_flight_max <= 1;
}

static void land(struct model_job *j, int64_t cost)
{
    uint64_t *vt = &m.key_vt[j->key == NONE ? KEYS : j->key];
    uint64_t weight = j->key == NONE ? 1 : (uint64_t)j->key + 1;
    if (cost <= 0)
        cost = j->lease != 0 ? m.now - j->since : 0;
    *vt += (uint64_t)(cost < 1000 ? 1000 : cost) / weight;
    if (m.vt_top < *vt)
        m.vt_top = *vt;
    if (j->lease != 0) {
        m.old_id = j->id;
        m.old_lease = j->lease;
    }
    j->lease = 0;
}

static void share_anew(void)
{
    if (count_in(JOB_LEASED) == 0 && open_count() == 0)
        m.vt = m.vt_top;
}

static bool has_expired(const struct model_job *j)
{
    return j->expires != 0 && j->expires <= m.now;
}

/* The attempt failed. How long it waits is random: the broker is asked, and must have kept to the bound. */
static void fail(struct model_job *j, int64_t delay, bool at_once, bool crashed)
{
    int max = j->attempts_max != 0 ? j->attempts_max : m.limits.attempts_max;
    j->crashes += crashed;
    bool last = (max != 0 && j->attempts >= max) ||
                (m.limits.crashes_max != 0 && j->crashes >= m.limits.crashes_max);
    if (has_expired(j)) {
        drop(j, DROP_EXPIRED);
    } else if (last && !m.limits.dead_letters) {
        drop(j, DROP_FAILED);
    } else if (last) {
        j->state = JOB_DYING;
        j->place = ++m.back;
        j->handed_out = false;
        j->expiry_armed = 0;
    } else if (at_once || m.limits.backoff_base.ns == 0) {
        if (delay > 0 && !(m.shut && m.mode == BROKER_DROP))
            wait_until(j, m.now + delay, true);
        else
            again(j, at_once || delay > 0);
    } else {
        struct job_view view;
        int64_t bound = m.limits.backoff_base.ns;
        for (int k = 1; k < j->attempts && bound < m.limits.backoff_cap.ns; k++)
            bound = 2 * bound < m.limits.backoff_cap.ns ? 2 * bound : m.limits.backoff_cap.ns;
        if (m.shut && m.mode == BROKER_DROP) {
            drop(j, DROP_SHUTDOWN);
            return;
        }
        AGREE(broker_find(b, j->id, &view));
        if (view.state != JOB_DELAYED) { /* The jitter was 0. */
            AGREE(delay <= 0);
            again(j, false);
            return;
        }
        bound = bound > delay ? bound : delay;
        AGREE(view.due.ns > m.now && view.due.ns <= m.now + bound && view.due.ns >= m.now + delay);
        wait_until(j, view.due.ns, true);
    }
}

/* ---- dedupe ---- */

static bool is_held(uint64_t id)
{
    for (size_t i = 0; i < m.count; i++)
        if (m.jobs[i].id == id)
            return true;
    return false;
}

static struct model_twin *twin_of(int text)
{
    for (size_t k = m.twins_count; k-- > 0;) {
        struct model_twin *t = &m.twins[k];
        if (t->in_window && t->put_at + m.limits.dedupe_window.ns <= m.now)
            t->in_window = false;
        if (t->text == text && (t->in_window || (t->coalesce && is_held(t->id))))
            return t;
    }
    return NULL;
}

static void remember(const struct model_job *j, bool coalesce)
{
    uint32_t in_window = 0;
    AGREE(m.twins_count < sizeof m.twins / sizeof m.twins[0]);
    m.twins[m.twins_count++] = (struct model_twin){ .id = j->id,
                                                    .text = j->text,
                                                    .put_at = m.now,
                                                    .coalesce = coalesce,
                                                    .in_window = m.limits.dedupe_window.ns > 0 };
    for (size_t k = m.twins_count; k-- > 0;)
        if (m.twins[k].in_window && ++in_window > m.limits.dedupe_max)
            m.twins[k].in_window = false;
}

/* ---- puts ---- */

struct wish {
    struct job_put put;
    int key, text;
};

static struct wish make_wish(void)
{
    static const uint8_t text[64];
    struct wish w = { .put = { .body = { .at = text, .bytes = pick(40) },
                               .priority = (uint8_t)(luck(3) ? pick(PRIORITY_MAX + 1) : 4) },
                      .key = luck(3) ? (int)pick(KEYS) : NONE,
                      .text = luck(6) ? (int)pick(TEXTS) : NONE };
    bool delays = luck(8), expires = luck(8), own_attempts = luck(8);
    if (luck(100))
        w.put.priority = PRIORITY_MAX + 1;
    if (w.key == NONE && w.text == NONE && !delays && !expires && !own_attempts)
        return w;
    AGREE(job_ext_new(&w.put.ext) == 0);
    struct job_ext *ext = w.put.ext;
    char name[2] = { 0 };
    name[0] = (char)('a' + w.key);
    ext->key = w.key == NONE ? NULL : strdup(name);
    ext->weight = w.key == NONE ? 0 : (uint32_t)w.key + 1;
    name[0] = (char)('0' + w.text);
    ext->dedupe = w.text == NONE ? NULL : strdup(name);
    ext->coalesce = w.text != NONE && luck(2);
    ext->delay_until.ns = delays ? m.now + pick(20) : 0;
    ext->expires_at.ns = expires ? m.now + pick(60) : 0;
    ext->attempts_max = (uint16_t)(own_attempts ? 1 + pick(3) : 0);
    return w;
}

/* 0: it may come in if there is room; or how it ends. *ret_id: the first, of a duplicate. */
static int vet(const struct wish *w, uint64_t *ret_id)
{
    const struct job_ext *ext = w->put.ext;
    const struct model_twin *t = w->text == NONE ? NULL : twin_of(w->text);
    if (w->put.priority > PRIORITY_MAX)
        return PEN_EINVAL;
    if (t != NULL) {
        *ret_id = t->id;
        return PEN_EDUPLICATE;
    }
    if (ext != NULL && ext->expires_at.ns != 0 && ext->expires_at.ns <= m.now)
        return PEN_EEXPIRED;
    return m.limits.bytes_max != 0 && w->put.body.bytes > m.limits.bytes_max ? PEN_ETOOBIG : 0;
}

/* Its key has a job already. */
static bool is_known(int key)
{
    for (size_t i = 0; i < m.count; i++)
        if (m.jobs[i].key == key && !is_in(&m.jobs[i], JOB_DYING))
            return true;
    return false;
}

static void come_in(const struct wish *w, uint64_t id, bool known)
{
    struct model_job *j = &m.jobs[m.count];
    const struct job_ext *ext = w->put.ext;
    AGREE(id > m.last_id);
    m.last_id = id;
    *j = (struct model_job){
        .id = id, .bytes = w->put.body.bytes, .key = w->key, .text = w->text, .priority = w->put.priority
    };
    m.accepted++;
    if (w->key != NONE && !known && m.key_vt[w->key] < m.vt)
        m.key_vt[w->key] = m.vt;
    if (ext != NULL) {
        j->expires = ext->expires_at.ns;
        j->expiry_armed = j->expires != 0 ? ++m.steps : 0;
        j->attempts_max = ext->attempts_max;
    }
    if (w->text != NONE && (m.limits.dedupe_window.ns > 0 || ext->coalesce))
        remember(j, ext->coalesce);
    if (ext != NULL && ext->delay_until.ns > m.now)
        wait_until(j, ext->delay_until.ns, false);
    else
        make_ready(j, false);
    m.count++;
}

static struct model_job *victim(void)
{
    struct model_job *v = NULL;
    for (int p = 0; p <= PRIORITY_MAX; p++) {
        struct model_job *j = first_of(NONE, p);
        if (j != NULL && m.limits.policy == BROKER_DROP_LOWEST)
            return j;
        if (j != NULL && (v == NULL || j->id < v->id))
            v = j;
    }
    for (int key = 0; key < KEYS; key++) {
        struct model_job *j = first_of(key, 0);
        if (j != NULL && (v == NULL || j->id < v->id))
            v = j;
    }
    return v;
}

static bool drops_help(const struct wish *w)
{
    bool lowest = m.limits.policy == BROKER_DROP_LOWEST;
    size_t items = 0;
    for (size_t i = 0; i < m.count; i++) {
        const struct model_job *j = &m.jobs[i];
        items +=
            is_in(j, JOB_READY) && (!lowest || (j->key == NONE && j->priority < w->put.priority));
    }
    uint64_t bytes = bytes_in(true, lowest ? w->put.priority : -1);
    return within(m.count - items + 1, bytes_in(false, 0) - bytes + w->put.body.bytes);
}

/* 1: it must wait. *id: that of the job if it comes in; becomes that of the first if it is a duplicate. */
static int model_put(const struct wish *w, uint64_t *id)
{
    int r = vet(w, id);
    bool known = is_known(w->key);
    if (r == PEN_EEXPIRED) {
        m.accepted++;
        m.expired++;
    }
    if (r < 0)
        return r;
    bool drops = m.limits.policy == BROKER_DROP_OLDEST || m.limits.policy == BROKER_DROP_LOWEST;
    if (!within(m.count + 1, bytes_in(false, 0) + w->put.body.bytes)) {
        if (m.limits.policy == BROKER_BLOCK || m.limits.policy == BROKER_REJECT)
            return m.limits.policy == BROKER_BLOCK ? 1 : PEN_EFULL;
        if (!drops || !drops_help(w)) {
            m.accepted++;
            m.dropped[DROP_NEWEST]++;
            return PEN_EDROPPED;
        }
        while (!within(m.count + 1, bytes_in(false, 0) + w->put.body.bytes))
            drop(victim(), m.limits.policy == BROKER_DROP_OLDEST ? DROP_OLDEST : DROP_LOWEST);
    }
    come_in(w, *id, known);
    return 0;
}

static void do_put(void)
{
    struct wish w[BATCH];
    struct job_put puts[BATCH];
    int n = 1 + (int)pick(BATCH), k = 0;
    for (int i = 0; i < n; i++) {
        w[i] = make_wish();
        puts[i] = w[i].put;
    }
    (void)snprintf(story, sizeof story, "put %d", n);
    int r = broker_put(b, puts, (size_t)n, (mono_t){ m.now });
    if (m.shut)
        AGREE(r == PEN_ESHUTDOWN);
    for (; k < n && !m.shut; k++) {
        uint64_t id = puts[k].ret_id;
        int expect = model_put(&w[k], &id);
        if (expect > 0)
            break;
        AGREE(r > k && puts[k].ret_status == expect);
        AGREE(expect != PEN_EDUPLICATE || puts[k].ret_id == id);
        if (expect != 0)
            job_ext_free(puts[k].ext);
    }
    AGREE(m.shut || r == k);
    for (; k < n; k++)
        job_ext_free(puts[k].ext);
}

/* All or none; in two steps, of which the second may be a step back. */
static void do_put_all(void)
{
    struct wish w[BATCH];
    struct job_put puts[BATCH];
    size_t n = 1 + pick(BATCH), fit = 0;
    uint64_t bytes = 0, all_bytes = 0;
    int expect = m.shut ? PEN_ESHUTDOWN : 0;
    for (size_t i = 0; i < n; i++) {
        w[i] = make_wish();
        if (w[i].text != NONE) { /* Duplicates within a batch have a unit test. */
            job_ext_free(w[i].put.ext);
            w[i] = (struct wish){ .put = { .body = w[i].put.body }, .key = NONE, .text = NONE };
        }
        puts[i] = w[i].put;
        all_bytes += puts[i].body.bytes;
    }
    bool never =
        n > m.limits.items_max || (m.limits.bytes_max != 0 && all_bytes > m.limits.bytes_max);
    for (size_t i = 0; i < n && expect == 0; i++) {
        uint64_t none;
        expect = vet(&w[i], &none);
        bytes += puts[i].body.bytes;
        if (expect == 0 && !within(m.count + ++fit, bytes_in(false, 0) + bytes))
            expect = never ? PEN_ETOOBIG : m.limits.policy == BROKER_BLOCK ? 1 : PEN_EFULL;
    }
    int r = broker_reserve_put(b, puts, n, (mono_t){ m.now });
    (void)snprintf(story, sizeof story, "put_all %zu: %d, expected %d", n, r, expect);
    AGREE(r == expect);
    bool back = r == 0 && luck(3);
    if (r == 0 && !back)
        broker_put_reserved(b, puts, n, (mono_t){ m.now });
    for (size_t i = 0; i < n && r == 0 && !back; i++)
        come_in(&w[i], puts[i].ret_id, is_known(w[i].key));
    if (back)
        broker_unreserve(b, puts, n);
    for (size_t i = 0; i < n && (r != 0 || back); i++)
        job_ext_free(puts[i].ext);
}

/* ---- takes ---- */

static void model_take(struct model_job *j, const struct job *got, const struct job_take *how)
{
    uint64_t vt = m.key_vt[j->key == NONE ? KEYS : j->key];
    AGREE(got->id == j->id && got->body.bytes == j->bytes && got->priority == j->priority);
    j->attempts++;
    AGREE(got->attempt == j->attempts && (got->lease != 0) == (how->lease.ns > 0));
    if (m.vt < vt)
        m.vt = vt;
    j->state = JOB_LEASED;
    j->index = got->index;
    j->lease = got->lease;
    j->owner = (int)how->owner;
    j->since = m.now;
    j->due = m.now + how->lease.ns;
    j->armed = j->taken = ++m.steps;
}

static void do_take(void)
{
    struct job jobs[BATCH];
    struct job_take how = { .max = 1 + pick(BATCH), .owner = pick(OWNERS) };
    how.lease.ns = luck(2) ? 0 : 1 + pick(30);
    (void)snprintf(story, sizeof story, "take %zu for %d ns", how.max, (int)how.lease.ns);
    size_t flying = count_in(JOB_LEASED), max = how.max, k = 0;
    if (m.limits.in_flight_max != 0) {
        size_t may = flying < m.limits.in_flight_max ? m.limits.in_flight_max - flying : 0;
        max = may < max ? may : max;
    }
    bool none = m.paused || (m.shut && m.mode == BROKER_KEEP);
    AGREE(broker_has_ready(b) == (!none && max > 0 && next_job() != NULL));
    int n = broker_take(b, &how, jobs, (mono_t){ m.now });
    for (struct model_job *j; !none && k < max && (j = next_job()) != NULL;) {
        if (has_expired(j)) {
            drop(j, DROP_EXPIRED);
            continue;
        }
        AGREE((int)k < n);
        model_take(j, &jobs[k++], &how);
    }
    AGREE((int)k == n);
}

/* ---- settles ---- */

static void model_settle(struct model_job *j, const struct job_settle *s)
{
    int64_t delay = s->why != NULL ? s->why->delay.ns : 0;
    if (is_in(j, JOB_LEASED))
        land(j, s->cpu_ns);
    switch (s->outcome) {
    case OUTCOME_DONE:
        m.done++;
        remove_job(j);
        break;
    case OUTCOME_DEAD:
        m.dead++;
        remove_job(j);
        break;
    case OUTCOME_FAILED:
    case OUTCOME_CANCELED:
        m.dropped[s->outcome == OUTCOME_FAILED ? DROP_FAILED : DROP_SHUTDOWN]++;
        remove_job(j);
        break;
    case OUTCOME_RETRY:
    case OUTCOME_CRASHED:
        fail(j, delay, false, s->outcome == OUTCOME_CRASHED);
        break;
    case OUTCOME_RELEASED:
        j->attempts -= s->why != NULL && s->why->uncharged;
        if (has_expired(j))
            drop(j, DROP_EXPIRED);
        else if (delay > 0 && !(m.shut && m.mode == BROKER_DROP))
            wait_until(j, m.now + delay, true);
        else
            again(j, true);
        break;
    case OUTCOME_BURIED:
        j->state = JOB_BURIED;
        j->place = ++m.back;
        if (m.shut && m.mode != BROKER_KEEP)
            drop(j, DROP_SHUTDOWN);
        break;
    }
}

static void do_settle(void)
{
    if (m.count == 0)
        return;
    struct model_job *j = &m.jobs[pick((uint32_t)m.count)];
    struct job_failure why = { .error = PEN_EHANDLER,
                               .delay = { luck(3) ? 1 + pick(20) : 0 },
                               .uncharged = luck(2) };
    struct job_settle s = { .id = j->id,
                            .lease = j->lease,
                            .index = j->index,
                            .outcome = luck(3) ? pick(OUTCOME_BURIED + 1) : OUTCOME_DONE,
                            .why = luck(2) ? &why : NULL,
                            .cpu_ns = luck(2) ? pick(5000) : 0 };
    bool dying = is_in(j, JOB_DYING) && j->handed_out, mine = is_in(j, JOB_LEASED) || dying;
    int expect = mine ? 0 : j->lease != 0 ? PEN_ELEASE : PEN_ETOOMANY;
    size_t settled;
    (void)snprintf(story, sizeof story, "settle %d as %d, state %d", (int)j->id, (int)s.outcome,
                   (int)j->state);
    bool ends = mine && s.outcome <= OUTCOME_CANCELED;
    if (dying && s.outcome > OUTCOME_CANCELED)
        s.outcome = OUTCOME_RELEASED;
    uint32_t bytes = j->bytes;
    AGREE(broker_settle(b, &s, 1, (mono_t){ m.now }, &settled) == expect && settled == (expect == 0));
    if (ends) {
        AGREE(s.ret_body.bytes == bytes);
        job_ext_free(s.ret_ext);
    }
    if (dying && !ends) {
        j->handed_out = false;
        j->place = ++m.back;
    } else if (mine) {
        model_settle(j, &s);
    }
    share_anew();
}

static void do_late(void)
{
    struct job_settle s = { .id = m.old_id, .lease = m.old_lease };
    size_t settled;
    if (m.old_lease == 0)
        return;
    (void)snprintf(story, sizeof story, "settle %d with the lease that it lost last", (int)s.id);
    AGREE(broker_settle(b, &s, 1, (mono_t){ m.now }, &settled) == PEN_ELEASE);
    share_anew();
}

static void do_touch(void)
{
    for (size_t i = 0; i < m.count; i++) {
        struct model_job *j = &m.jobs[i];
        if (j->lease == 0 || !luck(2))
            continue;
        int64_t span = 1 + pick(40);
        (void)snprintf(story, sizeof story, "touch %d for %d ns", (int)j->id, (int)span);
        AGREE(broker_touch(b, j->id, j->lease, (span_t){ span }, (mono_t){ m.now }) == 0);
        j->due = m.now + span;
        j->armed = ++m.steps;
        return;
    }
}

static void do_owner_gone(void)
{
    int owner = (int)pick(OWNERS);
    uint32_t n = 0;
    (void)snprintf(story, sizeof story, "owner %d gone", owner);
    uint32_t gone = broker_owner_gone(b, (uint64_t)owner, (mono_t){ m.now });
    for (;; n++) { /* The last that it took, first. */
        struct model_job *last = NULL;
        for (size_t i = 0; i < m.count; i++) {
            struct model_job *j = &m.jobs[i];
            if (j->lease != 0 && j->owner == owner && (last == NULL || j->taken > last->taken))
                last = j;
        }
        if (last == NULL)
            break;
        land(last, 0);
        fail(last, 0, true, false);
    }
    AGREE(n == gone);
    if (n > 0)
        share_anew();
}

/* ---- time ---- */

struct next {
    struct model_job *job;
    int64_t due;
    int kind;
    uint64_t armed;
};

static void consider(struct next *best, struct next n)
{
    bool sooner = n.due != best->due     ? n.due < best->due
                  : n.kind != best->kind ? n.kind < best->kind
                                         : n.armed < best->armed;
    if (best->job == NULL || sooner)
        *best = n;
}

static struct next next_due(void)
{
    struct next best = { .due = PEN_NEVER.ns };
    for (size_t i = 0; i < m.count; i++) {
        struct model_job *j = &m.jobs[i];
        if (is_in(j, JOB_DELAYED))
            consider(&best, (struct next){ j, j->due, WAIT_DELAY, j->armed });
        if (j->lease != 0)
            consider(&best, (struct next){ j, j->due, WAIT_LEASE, j->armed });
        if (j->expiry_armed != 0)
            consider(&best, (struct next){ j, j->expires, WAIT_EXPIRY, j->expiry_armed });
    }
    return best;
}

static void model_happens(const struct next *n)
{
    struct model_job *j = n->job;
    if (n->kind == WAIT_DELAY) {
        make_ready(j, j->key != NONE ? j->blocks : j->attempts > 0);
    } else if (n->kind == WAIT_LEASE) {
        land(j, 0);
        fail(j, 0, true, false);
    } else {
        j->expiry_armed = 0;
        if (!is_in(j, JOB_LEASED))
            drop(j, DROP_EXPIRED);
    }
}

static void do_tick(void)
{
    size_t max = 1 + pick(BATCH), k = 0;
    m.now += luck(2) ? pick(20) : 0;
    (void)snprintf(story, sizeof story, "tick %zu at %d", max, (int)m.now);
    size_t n = broker_tick(b, (mono_t){ m.now }, max);
    for (struct next next; k < max && (next = next_due()).due <= m.now; k++)
        model_happens(&next);
    AGREE(n == k);
    share_anew();
}

/* ---- by hand ---- */

static struct model_job *first_in(enum job_state state)
{
    struct model_job *first = NULL;
    for (size_t i = 0; i < m.count; i++) {
        struct model_job *j = &m.jobs[i];
        if (is_in(j, state) && !j->handed_out && (first == NULL || j->place < first->place))
            first = j;
    }
    return first;
}

static void do_kick(void)
{
    size_t max = 1 + pick(BATCH), k = 0;
    bool any_buried = first_in(JOB_BURIED) != NULL;
    (void)snprintf(story, sizeof story, "kick %zu", max);
    size_t n = broker_kick(b, max, (mono_t){ m.now });
    for (; k < max; k++) {
        struct next delayed = { .due = PEN_NEVER.ns };
        for (size_t i = 0; i < m.count; i++)
            if (is_in(&m.jobs[i], JOB_DELAYED))
                consider(&delayed, (struct next){ &m.jobs[i], m.jobs[i].due, 0, m.jobs[i].armed });
        struct model_job *j = any_buried ? first_in(JOB_BURIED) : delayed.job;
        if (j == NULL)
            break;
        j->attempts = j->crashes = 0;
        if (m.shut && m.mode == BROKER_DROP)
            drop(j, DROP_SHUTDOWN);
        else
            make_ready(j, j->key != NONE && j->blocks);
    }
    AGREE(n == k);
}

static void do_take_dying(void)
{
    struct job jobs[BATCH];
    size_t max = 1 + pick(BATCH), k = 0;
    (void)snprintf(story, sizeof story, "take_dying %zu", max);
    AGREE(broker_has_dying(b) == (first_in(JOB_DYING) != NULL));
    size_t n = broker_take_dying(b, jobs, max);
    for (struct model_job *j; k < max && (j = first_in(JOB_DYING)) != NULL; k++) {
        AGREE(k < n && jobs[k].id == j->id && jobs[k].attempt == j->attempts);
        j->handed_out = true;
        j->index = jobs[k].index;
    }
    AGREE(n == k);
}

static void drop_all(enum job_state state, enum drop_reason reason)
{
    for (size_t i = m.count; i-- > 0;)
        if (is_in(&m.jobs[i], state))
            drop(&m.jobs[i], reason);
}

static void do_purge(void)
{
    (void)snprintf(story, sizeof story, "purge");
    size_t n = count_in(JOB_READY) + count_in(JOB_DELAYED) + count_in(JOB_BURIED);
    AGREE(broker_purge(b) == n);
    drop_all(JOB_DELAYED, DROP_PURGED);
    drop_all(JOB_READY, DROP_PURGED);
    drop_all(JOB_BURIED, DROP_PURGED);
}

static void do_shutdown(void)
{
    enum broker_shut mode = (enum broker_shut)pick(3);
    (void)snprintf(story, sizeof story, "shutdown %d", (int)mode);
    broker_shutdown(b, mode);
    if (m.shut && mode <= m.mode)
        return;
    m.shut = true;
    m.mode = mode;
    m.paused = false;
    if (mode != BROKER_KEEP)
        drop_all(JOB_BURIED, DROP_SHUTDOWN);
    if (mode == BROKER_DROP) {
        drop_all(JOB_DELAYED, DROP_SHUTDOWN);
        drop_all(JOB_READY, DROP_SHUTDOWN);
    }
}

/* Lowered, raised, and another policy: what is held stays. */
static void do_limits(void)
{
    m.limits.items_max = 1 + pick(HELD_MAX - 1);
    m.limits.bytes_max = luck(2) ? 0 : 1 + pick(500);
    m.limits.policy = (enum broker_policy)pick(BROKER_DROP_LOWEST + 1);
    m.limits.in_flight_max = luck(2) ? 0 : 1 + pick(10);
    m.limits.attempts_max = (uint16_t)pick(5);
    m.limits.dead_letters = luck(2);
    (void)snprintf(story, sizeof story, "limits: %u items", m.limits.items_max);
    AGREE(broker_set_limits(b, &m.limits, (mono_t){ m.now }) == 0);
}

static void do_pause(void)
{
    m.paused = !m.paused && !m.shut;
    (void)snprintf(story, sizeof story, "pause %d", m.paused);
    broker_set_paused(b, m.paused);
}

static void do_reap(void)
{
    struct job_dropped jobs[BATCH];
    struct broker_drops drops = broker_take_drops(b);
    size_t n;
    (void)snprintf(story, sizeof story, "reap");
    AGREE(drops.count == m.to_reap);
    while ((n = broker_reap(b, &drops, jobs, BATCH)) > 0)
        for (size_t k = 0; k < n; k++) {
            m.to_reap--;
            job_ext_free(jobs[k].ext);
        }
    AGREE(m.to_reap == 0 && !broker_has_dropped(b));
}

/* ---- lives ---- */

static void compare_states(void)
{
    const struct broker_ledger *g = broker_ledger(b);
    size_t open = open_count();
    AGREE(g->ready == open && g->waiting == count_in(JOB_READY) - open);
    AGREE(g->delayed == count_in(JOB_DELAYED) && g->in_hand == count_in(JOB_LEASED));
    AGREE(g->buried == count_in(JOB_BURIED) && g->dying == count_in(JOB_DYING));
    AGREE(g->bytes == bytes_in(false, 0) && g->items_high <= HELD_MAX);
    AGREE(broker_next_due(b).ns == next_due().due);
    AGREE(broker_has_dropped(b) == (m.to_reap > 0));
}

static void compare(void)
{
    const struct broker_ledger *g = broker_ledger(b);
    AGREE(broker_ledger_holds(b));
    AGREE(g->accepted == m.accepted && g->done == m.done && g->dead == m.dead &&
          g->expired == m.expired);
    for (int k = 0; k < DROP_REASONS; k++)
        AGREE(g->dropped[k] == m.dropped[k]);
    compare_states();
}

static const struct {
    uint32_t weight;
    void (*run)(void);
} commands[] = { { 300, do_put },  { 60, do_put_all },    { 260, do_take },     { 300, do_settle },
                 { 10, do_late },  { 30, do_touch },      { 8, do_owner_gone }, { 120, do_tick },
                 { 20, do_kick },  { 40, do_take_dying }, { 2, do_purge },      { 10, do_pause },
                 { 100, do_reap }, { 1, do_shutdown },    { 4, do_limits } };
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void run_command(void)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < COMMANDS; k++)
        sum += commands[k].weight;
    uint32_t what = pick(sum);
    for (size_t k = 0; k < COMMANDS; what -= commands[k++].weight)
        if (what < commands[k].weight) {
            commands[k].run();
            return;
        }
}

static void begin(uint64_t life)
{
    random_state = life;
    memset(&m, 0, sizeof m);
    m.now = 1000;
    m.limits = (struct broker_limits){ .items_max = 1 + pick(HELD_MAX - 1),
                                       .bytes_max = luck(2) ? 0 : 1 + pick(500),
                                       .policy = (enum broker_policy)pick(BROKER_DROP_LOWEST + 1),
                                       .in_flight_max = luck(2) ? 0 : 1 + pick(10),
                                       .key_in_flight_max = luck(2) ? 0 : pick(4),
                                       .attempts_max = (uint16_t)pick(5),
                                       .crashes_max = (uint16_t)pick(3),
                                       .backoff_base = { luck(2) ? 0 : 1 + pick(10) },
                                       .dead_letters = luck(2),
                                       .dedupe_window = { luck(2) ? 0 : 1 + pick(100) },
                                       .dedupe_max = 1 + pick(4) };
    m.limits.backoff_cap.ns = m.limits.backoff_base.ns * (1 + pick(8));
    struct broker_options options = { .limits = m.limits, .seed = life };
    AGREE(broker_new(&options, &b) == 0);
}

/* Live a life, without the commands that are left out; returns how many were run before they disagreed, or -1. */
static int live(uint64_t life, const bool *left_out)
{
    static volatile int n;
    if (sigsetjmp(way_out, 1) != 0)
        return n; /* What was held is lost, which only a failure costs. */
    begin(life);
    for (n = 0; n < LIFE; n++) {
        random_state = life + (uint64_t)n * 0x2545f4914f6cdd1d;
        if (left_out != NULL && left_out[n])
            continue;
        run_command();
        compare();
    }
    broker_free(&b);
    return -1;
}

/* Leave out whatever can be left out, in ever smaller pieces; then tell what is left. */
static void shrink(uint64_t life, int last)
{
    static bool left_out[LIFE];
    for (int n = last + 1; n < LIFE; n++)
        left_out[n] = true;
    quiet = true;
    for (int size = (last + 1) / 2; size >= 1; size /= 2)
        for (int from = 0; from < last; from += size) {
            bool before[LIFE];
            memcpy(before, left_out, sizeof before);
            for (int n = from; n < from + size && n < last; n++)
                left_out[n] = true;
            if (live(life, left_out) != last)
                memcpy(left_out, before, sizeof before);
        }
    quiet = false;
    if (sigsetjmp(way_out, 1) != 0)
        return;
    begin(life);
    for (int n = 0; n <= last; n++) {
        random_state = life + (uint64_t)n * 0x2545f4914f6cdd1d;
        if (left_out[n])
            continue;
        run_command();
        fprintf(stderr, "    %d: %s\n", n, story);
        compare();
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    uint64_t length = argc > 2                          ? strtoull(argv[2], NULL, 10)
                      : getenv("PENSTOCK_LONG") != NULL ? 10000000
                                                        : 300000;
    uint64_t state = seed;
    (void)signal(SIGABRT, on_abort);
    for (uint64_t n = 0; n < length; n += LIFE) {
        uint64_t life = random_next(&state);
        int last = live(life, NULL);
        if (last < 0)
            continue;
        fprintf(stderr,
                "broker_model: they disagree in command %d of a life; again with: broker_model %" PRIu64
                "\n",
                last, seed);
        shrink(life, last);
        return EXIT_FAILURE;
    }
    printf("broker_model: %" PRIu64 " commands agree, seed %" PRIu64 "\n", length, seed);
    return EXIT_SUCCESS;
}
