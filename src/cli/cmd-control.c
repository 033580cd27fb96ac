/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands that ask a daemon: each is one request of the same name, and its answer as text or, with
 * --json, as it came. Members that are missing in an answer are shown as "-".
 */
#include <jansson.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/control.h"
#include "cli/human.h"
#include "cli/options.h"
#include "cli/table.h"
#include "plat/env.h"

static const struct column queue_columns[] = {
    { "QUEUE", "name", COLUMN_TEXT },
    { "STATE", "state", COLUMN_TEXT },
    { "READY", "ready", COLUMN_NUMBER },
    { "DELAYED", "delayed", COLUMN_NUMBER },
    { "IN HAND", "in_hand", COLUMN_NUMBER },
    { "BYTES", "bytes", COLUMN_BYTES },
    { "MAX", "max_items", COLUMN_NUMBER },
    { "ACCEPTED", "accepted", COLUMN_NUMBER },
    { "DONE", "done", COLUMN_NUMBER },
    { "DEAD", "dead", COLUMN_NUMBER },
    { "DROPPED", "dropped", COLUMN_SUM },
    { "REFUSED", "refused", COLUMN_NUMBER },
    { NULL, NULL, COLUMN_TEXT },
};

static const struct column producer_columns[] = {
    { "PRODUCER", "name", COLUMN_TEXT },
    { "PATTERN", "pattern", COLUMN_TEXT },
    { "QUEUE", "queue", COLUMN_TEXT },
    { "STATE", "paused", COLUMN_PAUSED },
    { "PEERS", "peers", COLUMN_NUMBER },
    { "IN", "in", COLUMN_NUMBER },
    { "BYTES", "bytes_in", COLUMN_BYTES },
    { "REFUSED", "refused", COLUMN_NUMBER },
    { "MALFORMED", "malformed", COLUMN_NUMBER },
    { "TOO BIG", "too_big", COLUMN_NUMBER },
    { NULL, NULL, COLUMN_TEXT },
};

static const struct column consumer_columns[] = {
    { "CONSUMER", "name", COLUMN_TEXT },
    { "QUEUE", "queue", COLUMN_TEXT },
    { "HANDLER", "handler", COLUMN_TEXT },
    { "THREADS", "threads", COLUMN_ITEMS },
    { "IN HAND", "threads.in_hand", COLUMN_NUMBER },
    { "DONE", "threads.done", COLUMN_NUMBER },
    { "FAILED", "threads.failed", COLUMN_NUMBER },
    { "BUSY MS", "threads.busy_ms", COLUMN_NUMBER },
    { NULL, NULL, COLUMN_TEXT },
};

static const struct column publisher_columns[] = {
    { "PUBLISHER", "name", COLUMN_TEXT },
    { "PATTERN", "pattern", COLUMN_TEXT },
    { "PEERS", "peers", COLUMN_NUMBER },
    { "OUT", "out", COLUMN_NUMBER },
    { "BYTES", "bytes_out", COLUMN_BYTES },
    { "WAITING", "waiting_bytes", COLUMN_BYTES },
    { NULL, NULL, COLUMN_TEXT },
};

static const struct column loop_columns[] = {
    { "LOOP", "name", COLUMN_TEXT },         { "STATE", "state", COLUMN_TEXT },
    { "BUSY MS", "busy_ms", COLUMN_NUMBER }, { "RUNNING", "running", COLUMN_TEXT },
    { "JOB", "running_id", COLUMN_NUMBER },  { "THREAD", "thread", COLUMN_NUMBER },
    { "INBOX", "inbox", COLUMN_NUMBER },     { "TIMERS", "timers", COLUMN_NUMBER },
    { "TURNS", "turns", COLUMN_NUMBER },     { NULL, NULL, COLUMN_TEXT },
};

static const struct column pool_columns[] = {
    { "POOL", "name", COLUMN_TEXT },         { "STATE", "state", COLUMN_TEXT },
    { "THREADS", "threads", COLUMN_NUMBER }, { "IDLE", "idle", COLUMN_NUMBER },
    { "WAITING", "waiting", COLUMN_NUMBER }, { NULL, NULL, COLUMN_TEXT },
};

static const char *text_of(const json_t *object, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));
    return printable(text != NULL && text[0] != '\0' ? text : "-", to, size);
}

static void print_section(const struct column *columns, const json_t *answer, const char *name)
{
    const json_t *rows = json_object_get(answer, name);
    if (json_array_size(rows) == 0)
        return;
    (void)putchar('\n');
    table_print(columns, rows, stdout);
}

/* The queues whose figures do not add up, which is a mistake of the daemon's own. */
static void print_broken_ledgers(const json_t *answer)
{
    const json_t *queues = json_object_get(answer, "queues");
    char name[LIMIT_NAME_BYTES + 1];
    for (size_t i = 0; i < json_array_size(queues); i++) {
        const json_t *queue = json_array_get(queues, i);
        if (json_is_false(json_object_get(queue, "ledger_holds")))
            (void)printf("\nThe ledger of queue %s does not hold: please report it.\n",
                         text_of(queue, "name", name, sizeof name));
    }
}

static void print_rate(const json_t *rates, const char *name, const char *end)
{
    char text[HUMAN_BYTES];
    const json_t *rate = json_object_get(rates, name);
    (void)printf("%s %s/s%s", name,
                 json_is_number(rate) ? human_number(json_number_value(rate), text) : "-", end);
}

static void print_status(const json_t *answer)
{
    char version[32], state[32], up[HUMAN_BYTES];
    const json_t *pid = json_object_get(answer, "pid"), *rates = json_object_get(answer, "rates");
    const json_t *uptime = json_object_get(answer, "uptime_s");
    (void)printf("penstockd %s, %s", text_of(answer, "version", version, sizeof version),
                 text_of(answer, "state", state, sizeof state));
    if (json_is_integer(pid))
        (void)printf(", pid %lld", (long long)json_integer_value(pid));
    if (json_is_number(uptime))
        (void)printf(", up %s", human_seconds(json_number_value(uptime), up));
    (void)putchar('\n');
    if (json_is_object(rates)) {
        print_rate(rates, "in", ", ");
        print_rate(rates, "out", ", ");
        print_rate(rates, "failed", "\n");
    }
    print_section(producer_columns, answer, "producers");
    print_section(queue_columns, answer, "queues");
    print_section(consumer_columns, answer, "consumers");
    print_section(publisher_columns, answer, "publishers");
    print_broken_ledgers(answer);
}

static void print_queues(const json_t *answer)
{
    const json_t *queues = json_object_get(answer, "queues");
    if (json_array_size(queues) == 0)
        (void)puts("The daemon has no queues.");
    table_print(queue_columns, queues, stdout);
    print_broken_ledgers(answer);
}

/* One line for each job or group: its number, state and age, and the numbers of what it waits for. */
static void print_waiting(const json_t *answer, const char *list, const char *what)
{
    const json_t *rows = json_object_get(answer, list), *row;
    char name[64], state[32], on[64];
    for (size_t i = 0; (row = json_array_get(rows, i)) != NULL; i++) {
        const json_t *ids = json_object_get(row, "waits_for");
        (void)printf("%s%s %lld: %s, %s, on %s, for %.0f ms", i == 0 ? "\n" : "", what,
                     (long long)json_integer_value(json_object_get(row, "id")),
                     text_of(row, "name", name, sizeof name),
                     text_of(row, "state", state, sizeof state), text_of(row, "on", on, sizeof on),
                     json_number_value(json_object_get(row, "age_ms")));
        for (size_t k = 0; k < json_array_size(ids); k++)
            (void)printf("%s %lld", k == 0 ? ", waits for" : ",",
                         (long long)json_integer_value(json_array_get(ids, k)));
        (void)puts(json_is_true(json_object_get(row, "cycle")) ? ": a cycle" : "");
    }
}

static void print_tasks(const json_t *answer)
{
    table_print(loop_columns, json_object_get(answer, "loops"), stdout);
    print_section(pool_columns, answer, "pools");
    print_waiting(answer, "groups", "group");
    print_waiting(answer, "jobs", "job");
}

static void print_done(const struct options *o, const json_t *answer)
{
    const char *queue = o->operands_count > 0 ? o->operands[0] : "";
    const json_t *purged = json_object_get(answer, "purged");
    switch (o->command->id) {
    case COMMAND_DRAIN:
        (void)puts("The daemon finishes what it has and exits.");
        break;
    case COMMAND_SHUTDOWN:
        (void)puts("The daemon exits at once.");
        break;
    case COMMAND_PAUSE:
        (void)printf("Queue %s is paused.\n", queue);
        break;
    case COMMAND_RESUME:
        (void)printf("Queue %s is open.\n", queue);
        break;
    case COMMAND_PURGE:
        if (json_is_integer(purged))
            (void)printf("Purged %lld messages from queue %s.\n",
                         (long long)json_integer_value(purged), queue);
        else
            (void)printf("Purged queue %s.\n", queue);
        break;
    default:
        break;
    }
}

static void print_answer(const struct options *o, const json_t *answer)
{
    if (o->command->id == COMMAND_STATUS)
        print_status(answer);
    else if (o->command->id == COMMAND_QUEUES)
        print_queues(answer);
    else if (o->command->id == COMMAND_TASKS)
        print_tasks(answer);
    else
        print_done(o, answer);
}

static int refusal_code(const char *name)
{
    if (str_equal(name, "PEN_EINTERNAL"))
        return EXIT_INTERNAL;
    return str_equal(name, "PEN_ETIMEOUT") ? EXIT_TIMEOUT : EXIT_REFUSED;
}

static int refused(const json_t *answer)
{
    char text[512], name[64];
    (void)text_of(answer, "text", text, sizeof text);
    (void)text_of(answer, "error", name, sizeof name);
    say("refused: %s (%s); 'penstock errors %s' explains it", text, name, name);
    return refusal_code(name);
}

static const char *control_url(const struct options *o)
{
    if (o->control != NULL)
        return o->control;
    const char *url = env_get("PENSTOCK_CONTROL");
    return url != NULL ? url : "ipc:///run/penstock/control";
}

int cmd_control(const struct options *o)
{
    json_t *answer, *request = json_pack("{s:s}", "op", o->command->name);
    if (o->operands_count > 0 &&
        json_object_set_new(request, "queue", json_string(o->operands[0])) < 0) {
        json_decref(request);
        say("a queue's name is UTF-8");
        return EXIT_USAGE;
    }
    int code = control_ask(control_url(o), request, o->timeout, &answer);
    json_decref(request);
    if (code != EXIT_OK)
        return code;
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (o->json) {
        (void)json_dumpf(answer, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else if (ok) {
        print_answer(o, answer);
    }
    if (!ok)
        code = refused(answer);
    json_decref(answer);
    return code;
}
