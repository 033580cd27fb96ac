/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as the daemon uses it: loaded once from YAML, checked whole, then read only.
 * Every field is a row of options.def; units are those of the row.
 *
 * Main thread at boot only; blocks on reading the file.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/units.h"

enum conf_when_full {
    WHEN_FULL_BLOCK,
    WHEN_FULL_REJECT,
    WHEN_FULL_DROP_OLDEST,
    WHEN_FULL_DROP_NEWEST,
    WHEN_FULL_DROP_LOWEST
};
enum conf_yes_no { NO, YES };
enum conf_store { STORE_MEMORY, STORE_DURABLE };
enum conf_sync { SYNC_ALWAYS, SYNC_GROUP, SYNC_INTERVAL, SYNC_NONE };
enum conf_pattern {
    PATTERN_NONE,
    PATTERN_PULL,
    PATTERN_REP,
    PATTERN_RESPONDENT,
    PATTERN_SUB,
    PATTERN_BUS,
    PATTERN_PAIR,
    PATTERN_LINES,
    PATTERN_PUB,
    PATTERN_PUSH
};
enum conf_framing { FRAMING_RAW, FRAMING_JSON, FRAMING_BATCH };
enum conf_transport { TRANSPORT_AUTO, TRANSPORT_NATIVE, TRANSPORT_NANOMSG };
enum conf_slow_subscriber { SLOW_DROP_OLDEST, SLOW_DROP_NEWEST, SLOW_DISCONNECT, SLOW_BLOCK };
enum conf_reply { REPLY_RECEIPT, REPLY_RESULT };
enum conf_builtin { BUILTIN_NONE, BUILTIN_PASS, BUILTIN_SUM_SQUARES, BUILTIN_SLEEP };
enum conf_protocol { PROTOCOL_LINES, PROTOCOL_FRAMES };

/* Lists end with a NULL as well; at is NULL when the list is empty. All strings belong to the struct conf. */
struct conf_strings {
    char **at;
    size_t count;
};

struct conf_queue {
    char *name;
    uint64_t items_max, bytes_max;
    enum conf_when_full when_full;
    span_t block_timeout;
    enum conf_store store;
    enum conf_sync sync;
    span_t sync_interval;
    uint64_t disk_max;
    uint64_t in_flight_max, rate_max, key_in_flight_max, key_rate_max;
    uint64_t attempts_max, crashes_max;
    span_t backoff, backoff_max;
    char *dead_letter; /* NULL: none */
    span_t lease, lease_max;
    span_t dedupe_window;
    uint64_t dedupe_max;
    enum conf_yes_no refuse_late;
    span_t keep_results;
    uint64_t results_max, result_bytes_max;
};

struct conf_producer {
    char *name;
    enum conf_pattern pattern;
    struct conf_strings listen, connect, topics;
    char *queue;
    enum conf_framing framing;
    enum conf_reply reply;
    char *path;
    uint64_t threads, line_max, message_max, receive_buffer, reply_bytes_max;
    unsigned ipc_mode;
    span_t linger;
    enum conf_transport transport;
    uint64_t connections_max, peer_messages_max, peer_bytes_max, out_bytes_max, unfinished_bytes_max;
    span_t handshake_timeout, idle_timeout;
    struct conf_strings allow_uid, allow_gid;
};

struct conf_handler {
    enum conf_builtin builtin; /* BUILTIN_NONE: exec */
    struct conf_strings exec;
    enum conf_protocol protocol;
    uint64_t processes;
    span_t timeout, backoff_max, time;
    uint64_t answer_max;
};

struct conf_consumer {
    char *name;
    char *queue;
    uint64_t threads, budget;
    struct conf_handler handler;
    char *publish; /* a publisher or a queue; NULL: none */
    char *topic;   /* a template; NULL or "": none */
};

struct conf_publisher {
    char *name;
    enum conf_pattern pattern;
    struct conf_strings listen, connect;
    enum conf_framing framing;
    char *separator;
    uint64_t bytes_max, send_buffer;
    unsigned ipc_mode;
    span_t linger;
    enum conf_transport transport;
    uint64_t connections_max, peer_messages_max, peer_bytes_max, out_bytes_max;
    span_t handshake_timeout, idle_timeout;
    struct conf_strings allow_uid, allow_gid;
    enum conf_slow_subscriber slow_subscriber;
    struct conf_strings replay;
    uint64_t replay_items, replay_bytes;
    span_t replay_age;
};

struct conf_workers {
    char *name;
    struct conf_strings listen, queues;
    enum conf_framing framing;
    uint64_t message_max, waiting_max;
    unsigned ipc_mode;
    span_t linger;
    uint64_t connections_max, peer_bytes_max;
    span_t handshake_timeout;
};

struct conf_top {
    char *control; /* NULL or "": none */
    unsigned control_mode;
    span_t drain_timeout, slow;
    uint64_t max_errors;
    char *state_dir; /* NULL or "": $STATE_DIRECTORY, or the one that was configured */
};

struct conf {
    struct conf_top top;
    struct conf_queue *queues;
    size_t queues_count;
    struct conf_producer *producers;
    size_t producers_count;
    struct conf_consumer *consumers;
    size_t consumers_count;
    struct conf_publisher *publishers;
    size_t publishers_count;
    struct conf_workers *workers;
    size_t workers_count;
};

/* Load and check a file ("-": standard input). Errors are written to `errors` as FILE:LINE:COL: error: TEXT,
 * the line itself, a caret, and a suggestion where there is one; with a last line that counts them. Warnings
 * look alike and do not make it fail. PEN_ECONFIG, PEN_ENOMEM, or a negated errno when the file cannot be
 * read, which is written too; *ret_conf untouched. */
int conf_load(const char *path, FILE *errors, struct conf **ret_conf) MUST_CHECK;

/* Frees and sets to NULL; accepts NULL. */
void conf_free(struct conf **conf);

/* The whole configuration as YAML, every option that goes with its pattern or handler with its value, in a
 * form that conf_load() accepts and that dumps the same again. A negated errno on a write error. */
int conf_dump(const struct conf *conf, FILE *out) MUST_CHECK;

/* The words of an enum option, such as WHEN_FULL_BLOCK -> "block". */
const char *conf_when_full_word(enum conf_when_full w);
const char *conf_pattern_word(enum conf_pattern p);

/* Whether the endpoint serves a queue of that name. */
bool conf_workers_serve(const struct conf_workers *w, const char *queue);

/* The table of options as text for the manual (mdoc) or a JSON Schema, made from options.def. A negated errno
 * on a write error. */
int conf_write_mdoc(FILE *out) MUST_CHECK;
int conf_write_schema(FILE *out) MUST_CHECK;

#endif
