/* SPDX-License-Identifier: Apache-2.0
 *
 * What `penstock status`, `queues` and `tasks` are told. Jansson's packing calls return NULL when memory is out, and NULL
 * spreads to the whole document, so one check at the end is enough.
 */
#include <inttypes.h>
#include <jansson.h>
#include <penstock/version.h>
#include <penstock/watch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "flow/replay.h"
#include "proto/json.h"
#include "proto/json_value.h"

#define INT(n) ((json_int_t)(n))

void status_sample(struct daemon *d)
{
    struct totals now = graph_totals(d);
    double s = (double)mono_since(now.at, d->sample.at).ns / NS_PER_S;
    if (s < 1.0)
        return;
    d->rates = (struct rates){ .in = (double)(now.in - d->sample.in) / s,
                               .out = (double)(now.out - d->sample.out) / s,
                               .failed = (double)(now.failed - d->sample.failed) / s };
    d->sample = now;
}

/* They join the list. */
static int add_slow(json_t *list, const struct endpoint_slow_peer *peers, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n; i++)
        r |= json_array_append_new(list,
                                   json_pack("{s:s, s:I, s:b}", "peer", peers[i].name, "dropped",
                                             INT(peers[i].dropped), "here", peers[i].here));
    return r;
}

/* What the native transport counts about those who came; slow moves in. */
static json_t *peers_json(const struct endpoint_stats *e, json_t *slow)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
        "connects", INT(e->connects), "accepts", INT(e->accepts), "breaks", INT(e->breaks),
        "connect_errors", INT(e->connect_errors), "accept_errors", INT(e->accept_errors), "refused",
        INT(e->refused), "denied", INT(e->denied), "idle", INT(e->idle), "unfinished",
        INT(e->unfinished), "handshake_timeouts", INT(e->handshake_timeouts), "wrong_protocol",
        INT(e->wrong_protocol), "http", INT(e->garbage_http), "tls", INT(e->garbage_tls), "garbage",
        INT(e->garbage_other), "dropped_slow", INT(e->dropped_slow), "dropped_gone",
        INT(e->dropped_gone), "slow", slow);
}

/* All threads of an entry together. */
static json_t *producer_sum(const struct daemon *d, const struct conf_producer *c,
                            struct producer_stats *ret_sum)
{
    json_t *slow = json_array();
    struct endpoint_slow_peer peers[ENDPOINT_SLOW_PEERS];
    int r = 0;
    *ret_sum = (struct producer_stats){ 0 };
    for (size_t i = 0; i < d->graph.producers_count; i++) {
        const struct producer *p = d->graph.producers[i];
        struct producer_stats s;
        if (producer_conf(p) != c)
            continue;
        producer_stats(p, &s);
        ret_sum->accepted += s.accepted;
        ret_sum->refused += s.refused;
        ret_sum->malformed += s.malformed;
        ret_sum->replies_lost += s.replies_lost;
        ret_sum->paused |= s.paused;
        endpoint_stats_add(&ret_sum->endpoint, &s.endpoint);
        r |= add_slow(slow, peers, producer_slow_peers(p, peers));
    }
    if (r == 0)
        return slow;
    json_decref(slow);
    return NULL;
}

static json_t *producer_json(const struct daemon *d, const struct conf_producer *c)
{
    struct producer_stats s;
    json_t *slow = producer_sum(d, c, &s);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:o}", "name",
                     c->name, "pattern", conf_pattern_word(c->pattern), "queue", c->queue, "in",
                     INT(s.accepted), "bytes_in", INT(s.endpoint.bytes_in), "refused",
                     INT(s.refused), "malformed", INT(s.malformed + s.endpoint.malformed),
                     "too_big", INT(s.endpoint.too_big), "replies_lost", INT(s.replies_lost),
                     "peers", INT(s.endpoint.peers), "paused", s.paused, "threads", INT(c->threads),
                     "connections", peers_json(&s.endpoint, slow));
}

static json_t *thread_json(const struct consumer *c)
{
    struct consumer_stats s;
    consumer_stats(c, &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "done", INT(s.done), "failed",
                     INT(s.failed), "in_hand", INT(s.in_hand), "busy_ms", INT(s.busy.ns / 1000000),
                     "started", INT(s.handler.started), "crashed", INT(s.handler.crashed),
                     "timeouts", INT(s.handler.timeouts));
}

static const char *handler_word(const struct conf_handler *h)
{
    static const char *const words[] = {
        [BUILTIN_PASS] = "pass", [BUILTIN_SUM_SQUARES] = "sum_squares", [BUILTIN_SLEEP] = "sleep"
    };
    return h->builtin == BUILTIN_NONE ? h->exec.at[0] : words[h->builtin];
}

static json_t *consumer_json(const struct daemon *d, const struct conf_consumer *conf)
{
    json_t *threads = json_array();
    for (size_t i = 0; i < d->graph.consumers_count; i++)
        if (consumer_conf(d->graph.consumers[i]) == conf &&
            json_array_append_new(threads, thread_json(d->graph.consumers[i])) < 0) {
            json_decref(threads);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:s, s:o}", "name", conf->name, "queue", conf->queue, "handler",
                     handler_word(&conf->handler), "threads", threads);
}

/* NULL where there is no log. */
static json_t *replay_json(const struct replay *p)
{
    struct replay_stats s;
    char stream[JSON_STREAM_BYTES];
    if (p == NULL)
        return json_null();
    replay_stats(p, &s);
    json_stream_format(replay_stream(p), stream);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "stream", stream, "items",
                     INT(s.next - s.oldest), "bytes", INT(s.bytes), "oldest", INT(s.oldest), "next",
                     INT(s.next), "requests", INT(s.requests), "refused", INT(s.refused), "results",
                     INT(s.results), "gone", INT(s.gone), "peers", INT(s.peers));
}

static json_t *publisher_json(const struct publisher *p)
{
    struct publisher_stats s;
    struct endpoint_slow_peer slow[ENDPOINT_SLOW_PEERS];
    publisher_stats(p, &s);
    json_t *list = json_array();
    if (add_slow(list, slow, publisher_slow_peers(p, slow)) != 0) {
        json_decref(list);
        return NULL;
    }
    const struct conf_publisher *c = publisher_conf(p);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "name",
                     c->name, "pattern", conf_pattern_word(c->pattern), "out", INT(s.outlet.sent),
                     "bytes_out", INT(s.endpoint.bytes_out), "waiting_bytes",
                     INT(s.outlet.waiting_bytes), "lost", INT(s.outlet.lost), "dropped",
                     INT(s.endpoint.dropped_no_peer + s.endpoint.dropped_error +
                         s.endpoint.dropped_slow + s.endpoint.dropped_gone),
                     "malformed", INT(s.endpoint.malformed), "too_big", INT(s.endpoint.too_big),
                     "peers", INT(s.endpoint.peers), "connections", peers_json(&s.endpoint, list),
                     "replay", replay_json(publisher_replay(p)));
}

static json_t *workers_json(const struct workers *w)
{
    struct workers_stats s;
    workers_stats(w, &s);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
                     workers_conf(w)->name, "put", INT(s.put), "reserved", INT(s.reserved),
                     "settled", INT(s.settled), "returned", INT(s.returned), "late", INT(s.late),
                     "refused", INT(s.refused), "malformed", INT(s.malformed), "waiting",
                     INT(s.waiting), "peers", INT(s.endpoint.peers));
}

/* Why jobs were dropped, and how often. */
static json_t *dropped_json(const struct broker_ledger *g)
{
    json_t *dropped = json_object();
    for (int k = 0; k < DROP_REASONS; k++)
        if (json_object_set_new(dropped, drop_reason_word((enum drop_reason)k),
                                json_integer(INT(g->dropped[k]))) < 0) {
            json_decref(dropped);
            return NULL;
        }
    return dropped;
}

/* What has happened to jobs on their way. */
static json_t *attempts_json(const struct broker_ledger *g)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "taken", INT(g->taken), "retried",
                     INT(g->retried), "crashed", INT(g->crashed), "released", INT(g->released),
                     "lease_expired", INT(g->lease_expired), "late", INT(g->late), "buried",
                     INT(g->buried_ever), "kicked", INT(g->kicked));
}

static json_t *results_json(const struct results_stats *r)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "items", INT(r->items), "bytes", INT(r->bytes), "kept",
                     INT(r->kept), "forgotten", INT(r->forgotten));
}

static const char *queue_state_word(const struct jobq_stats *s)
{
    return s->shut ? "shutdown" : s->paused ? "paused" : "open";
}

/* NULL where nothing is kept. */
static json_t *store_json(struct durable *durable)
{
    struct store_stats s;
    if (durable == NULL)
        return json_null();
    durable_stats(durable, &s);
    const char *error = s.news.error < 0 ? pen_strerror(s.news.error) : "";
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
                     store_condition_word(s.news.condition), "error", error, "jobs", INT(s.jobs),
                     "live_bytes", INT(s.live_bytes), "disk_bytes", INT(s.disk_bytes), "segments",
                     INT(s.segments), "commits", INT(s.commits), "syncs", INT(s.syncs),
                     "written_bytes", INT(s.written_bytes), "moved", INT(s.moved_jobs), "frozen",
                     INT(s.frozen), "unsynced", INT(s.news.written - s.news.synced), "lost",
                     INT(s.lost));
}

static json_t *queue_json(const struct conf_queue *c, struct jobq *q, struct durable *durable)
{
    struct jobq_stats s;
    jobq_stats(q, &s);
    const struct broker_ledger *g = &s.ledger;
    json_t *queue =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", c->name,
                  "state", queue_state_word(&s), "ready", INT(g->ready), "waiting", INT(g->waiting),
                  "delayed", INT(g->delayed), "in_hand", INT(g->in_hand), "leased", INT(g->leased),
                  "buried", INT(g->buried), "dying", INT(g->dying), "bytes", INT(g->bytes), "keys",
                  INT(g->keys), "items_high", INT(g->items_high));
    json_t *counts =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:b, s:I, s:o}",
                  "max_items", INT(c->items_max), "max_bytes", INT(c->bytes_max), "accepted",
                  INT(g->accepted), "done", INT(g->done), "dead", INT(g->dead), "dropped",
                  dropped_json(g), "expired", INT(g->expired), "refused", INT(g->refused),
                  "duplicates", INT(g->duplicates), "attempts", attempts_json(g), "results",
                  results_json(&s.results), "ledger_holds", s.ledger_holds, "ledger_alarms",
                  INT(s.alarms), "store", store_json(durable));
    if (queue == NULL || counts == NULL || json_object_update(queue, counts) < 0) {
        json_decref(queue);
        queue = NULL;
    }
    json_decref(counts);
    return queue;
}

/* All queues, or the one of that name. */
static json_t *queues_json(const struct daemon *d, const char *name)
{
    json_t *queues = json_array();
    for (size_t i = 0; i < d->conf->queues_count; i++) {
        const struct conf_queue *c = &d->conf->queues[i];
        if (name[0] != '\0' && strcmp(c->name, name) != 0)
            continue;
        if (json_array_append_new(queues, queue_json(c, d->graph.queues[i], d->graph.durables[i])) <
            0) {
            json_decref(queues);
            return NULL;
        }
    }
    return queues;
}

static int to_slice(json_t *document, struct slice *ret_slice)
{
    return document != NULL ? json_to_slice(document, ret_slice) : PEN_ENOMEM;
}

static json_t *parts_json(const struct daemon *d)
{
    json_t *producers = json_array(), *consumers = json_array(), *publishers = json_array();
    json_t *workers = json_array();
    int r = 0;
    for (size_t i = 0; i < d->conf->producers_count; i++)
        r |= json_array_append_new(producers, producer_json(d, &d->conf->producers[i]));
    for (size_t i = 0; i < d->conf->consumers_count; i++)
        r |= json_array_append_new(consumers, consumer_json(d, &d->conf->consumers[i]));
    for (size_t i = 0; i < d->conf->publishers_count; i++)
        r |= json_array_append_new(publishers, publisher_json(d->graph.publishers[i]));
    for (size_t i = 0; i < d->conf->workers_count; i++)
        r |= json_array_append_new(workers, workers_json(d->graph.workers[i]));
    json_t *parts = json_pack("{s:o, s:o, s:o, s:o}", "producers", producers, "consumers",
                              consumers, "publishers", publishers, "workers", workers);
    if (r != 0) {
        json_decref(parts);
        return NULL;
    }
    return parts;
}

int status_encode(struct daemon *d, struct slice *ret_slice)
{
    status_sample(d);
    double uptime = (double)mono_since(pen_now(), d->started).ns / NS_PER_S;
    json_t *status =
        json_pack("{s:b, s:s, s:i, s:s, s:f, s:{s:f, s:f, s:f}, s:o}", "ok", 1, "version",
                  pen_version(), "pid", (int)getpid(), "state", daemon_state_word(d->state),
                  "uptime_s", uptime, "rates", "in", d->rates.in, "out", d->rates.out, "failed",
                  d->rates.failed, "queues", queues_json(d, ""));
    json_t *parts = parts_json(d);
    if (status != NULL && (parts == NULL || json_object_update(status, parts) < 0)) {
        json_decref(status);
        status = NULL;
    }
    json_decref(parts);
    return to_slice(status, ret_slice);
}

int queues_encode(const struct daemon *d, const char *name, struct slice *ret_slice)
{
    if (name[0] != '\0' && graph_queue(d, name) == NULL)
        return PEN_ENOENT;
    return to_slice(json_pack("{s:b, s:o}", "ok", 1, "queues", queues_json(d, name)), ret_slice);
}

int tasks_encode(struct slice *ret_slice)
{
    char *text;
    int r = pen_tasks_snapshot(&text);
    if (r < 0)
        return r;
    json_t *tasks = json_loads(text, 0, NULL);
    free(text);
    if (tasks != NULL && json_object_set_new(tasks, "ok", json_true()) < 0) {
        json_decref(tasks);
        tasks = NULL;
    }
    return to_slice(tasks, ret_slice);
}
