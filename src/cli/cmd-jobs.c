/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands for jobs in queues and in hand. Each is a request of the same name (dead: a peek, and redrive: as many as it
 * takes), and prints its answer as text or, with --json, as it came.
 *
 * What penstock reserve takes it must not hold by its connection, which ends with it: it asks for leases that outlive it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/source.h"
#include "cli/table.h"

enum { SHOWN_BYTES = 40 /* of a body, in a table */ };

static int usage(const struct options *o, const char *text)
{
    say("%s", text);
    (void)fprintf(stderr, "Try 'penstock help %s'.\n", o->command->name);
    return EXIT_USAGE;
}

static void print_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_COMPACT);
    (void)putchar('\n');
}

/* Ask one thing over a connection of its own; takes the request. */
static int ask_once(const struct options *o, json_t *request, span_t wait, json_t **ret_answer)
{
    struct jobs j;
    int code = jobs_open(&j, o);
    if (code != EXIT_OK) {
        json_decref(request);
        return code;
    }
    code = jobs_ask(&j, request, wait, ret_answer);
    jobs_close(&j);
    return code;
}

/* ---- tables of jobs ---- */

static const struct column reserve_columns[] = {
    { "TICKET", "ticket", COLUMN_TEXT },
    { "ATTEMPT", "attempts", COLUMN_NUMBER },
    { "PRIORITY", "priority", COLUMN_NUMBER },
    { "LEASE", "lease_ms", COLUMN_MS },
    { "KEY", "key", COLUMN_TEXT },
    { "BODY", "shown", COLUMN_TEXT },
    { NULL, NULL, COLUMN_TEXT },
};

static const struct column peek_columns[] = {
    { "ID", "id", COLUMN_NUMBER },
    { "STATE", "state", COLUMN_TEXT },
    { "PRIORITY", "priority", COLUMN_NUMBER },
    { "ATTEMPTS", "attempts", COLUMN_NUMBER },
    { "AGE", "age_ms", COLUMN_MS },
    { "READY IN", "delay_ms", COLUMN_MS },
    { "LEASED FOR", "lease_ms", COLUMN_MS },
    { "KEY", "key", COLUMN_TEXT },
    { "TEXT", "text", COLUMN_TEXT },
    { "BODY", "shown", COLUMN_TEXT },
    { NULL, NULL, COLUMN_TEXT },
};

static const struct column dead_columns[] = {
    { "ID", "id", COLUMN_NUMBER },
    { "DIED IN", "died_in", COLUMN_TEXT },
    { "ATTEMPTS", "attempts", COLUMN_NUMBER },
    { "REASON", "reason", COLUMN_TEXT },
    { "HANDLER", "handler", COLUMN_TEXT },
    { "FIRST FAILED", "first_failed_ms", COLUMN_MS },
    { "FAILED", "failed_ms", COLUMN_MS },
    { "AGE", "age_ms", COLUMN_MS },
    { "KEY", "key", COLUMN_TEXT },
    { "ERROR", "text", COLUMN_TEXT },
    { "BODY", "shown", COLUMN_TEXT },
    { NULL, NULL, COLUMN_TEXT },
};

/* The beginning of a body, cut between two letters; bytes that are no text are counted. */
static json_t *shown(const json_t *job)
{
    const json_t *text = json_object_get(job, "body");
    const char *body = json_string_value(text);
    size_t n = json_string_length(text);
    if (body == NULL)
        return json_sprintf("(%zu bytes)",
                            json_string_length(json_object_get(job, "body64")) / 4 * 3);
    if (n <= SHOWN_BYTES)
        return json_stringn(body, n);
    for (n = SHOWN_BYTES; n > 0 && ((unsigned char)body[n] & 0xc0) == 0x80;)
        n--;
    return json_sprintf("%.*s...", (int)n, body);
}

static void print_table(const struct column *columns, json_t *rows)
{
    size_t i;
    json_t *job;
    json_array_foreach(rows, i, job)(void)
        json_object_set_new(job, "shown", shown(job)); /* Without memory: "-". */
    table_print(columns, rows, stdout);
}

static int print_jobs(const struct options *o, const struct column *columns, json_t *answer)
{
    json_t *jobs = json_object_get(answer, "jobs"), *job;
    size_t i;
    if (json_array_size(jobs) == 0)
        return EXIT_NOTHING;
    if (!o->json) {
        print_table(columns, jobs);
        return EXIT_OK;
    }
    json_array_foreach(jobs, i, job) print_json(job);
    return EXIT_OK;
}

/* ---- reserve ---- */

static int name_tickets(json_t *jobs)
{
    size_t i;
    json_t *job;
    json_array_foreach(jobs, i, job)
    {
        const char *queue = json_string_value(json_object_get(job, "queue"));
        json_t *ticket = json_sprintf("%s:%lld:%lld", queue != NULL ? queue : "",
                                      (long long)json_integer_value(json_object_get(job, "id")),
                                      (long long)json_integer_value(json_object_get(job, "lease")));
        if (json_object_set_new(job, "ticket", ticket) < 0)
            return jobs_no_memory();
    }
    return EXIT_OK;
}

static int write_bodies(const json_t *jobs, FILE *tickets)
{
    size_t i;
    json_t *job;
    struct buf body = { 0 };
    int r = 0;
    json_array_foreach(jobs, i, job)
    {
        (void)fprintf(tickets, "%s\n", json_string_value(json_object_get(job, "ticket")));
        if (r == 0)
            r = jobs_body(job, &body);
    }
    if (r == 0 && buf_bytes(&body) > 0)
        (void)fwrite(buf_at(&body), 1, buf_bytes(&body), stdout);
    buf_fini(&body);
    return r < 0 ? jobs_no_memory() : EXIT_OK;
}

/* The file is opened before a job is taken: one without a ticket would be lost until its lease ends. */
static int reserve(const struct options *o, json_t *request, FILE *tickets)
{
    json_t *answer;
    int code = ask_once(o, request, o->wait, &answer);
    if (code != EXIT_OK)
        return code;
    json_t *jobs = json_object_get(answer, "jobs");
    code = name_tickets(jobs);
    if (code == EXIT_OK && json_array_size(jobs) == 0)
        code = EXIT_NOTHING;
    else if (code == EXIT_OK)
        code = tickets != NULL ? write_bodies(jobs, tickets) : print_jobs(o, reserve_columns, answer);
    json_decref(answer);
    return code;
}

static int open_tickets(const struct options *o, FILE **ret_file)
{
    if (o->ticket == NULL)
        return EXIT_OK;
    *ret_file = fopen(o->ticket, "we");
    if (*ret_file != NULL)
        return EXIT_OK;
    say("cannot write %s: %s", o->ticket, strerror(errno));
    return EXIT_OUTPUT;
}

int cmd_reserve(const struct options *o)
{
    json_t *request;
    FILE *tickets = NULL;
    if (o->count > LIMIT_BATCH_ITEMS)
        return usage(o, "--count is at most 256");
    if (o->ticket != NULL && o->json)
        return usage(o, "--ticket does not go with --json, which has the tickets as well");
    int code = jobs_request_queues(o, &request);
    if (code != EXIT_OK)
        return code;
    bool good = jobs_set_number(request, "count", o->count > 0 ? o->count : 1) &&
                jobs_set_ms(request, "lease_ms", o->lease) &&
                jobs_set_ms(request, "wait_ms", o->wait.ns > 0 ? o->wait : (span_t){ 0 }) &&
                json_object_set_new(request, "keep", json_true()) == 0;
    code = good ? open_tickets(o, &tickets) : jobs_no_memory();
    if (code != EXIT_OK) {
        json_decref(request);
        return code;
    }
    code = reserve(o, request, tickets);
    if (tickets != NULL && fclose(tickets) == EOF && code == EXIT_OK) {
        say("cannot write %s: %s", o->ticket, strerror(errno));
        code = EXIT_OUTPUT;
    }
    return code;
}

/* ---- ack, nack, touch, bury ---- */

/* QUEUE:ID:LEASE as an object; NULL: it is none, or memory is out. */
static json_t *parse_ticket(const char *ticket)
{
    char queue[LIMIT_NAME_BYTES + 1], number[32];
    uint64_t id, lease;
    size_t bytes = strcspn(ticket, ":");
    const char *at = ticket + bytes;
    if (bytes >= sizeof queue || *at != ':')
        return NULL;
    (void)snprintf(queue, sizeof queue, "%.*s", (int)bytes, ticket);
    at++;
    bytes = strcspn(at, ":");
    if (bytes >= sizeof number || at[bytes] != ':')
        return NULL;
    (void)snprintf(number, sizeof number, "%.*s", (int)bytes, at);
    if (number_parse(number, &id) < 0 || number_parse(at + bytes + 1, &lease) < 0 ||
        id > INT64_MAX || lease > INT64_MAX)
        return NULL;
    return json_pack("{s:s, s:I, s:I}", "queue", queue, "id", (json_int_t)id, "lease",
                     (json_int_t)lease);
}

static int parse_tickets(const struct options *o, json_t *jobs)
{
    for (size_t i = 0; i < o->operands_count; i++) {
        char safe[128];
        json_t *job = parse_ticket(o->operands[i]);
        if (job != NULL && json_array_append_new(jobs, job) == 0)
            continue;
        say("'%s' is no ticket: penstock reserve prints them, QUEUE:ID:LEASE",
            printable(o->operands[i], safe, sizeof safe));
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

static int add_result(const struct options *o, json_t *jobs)
{
    struct buf body = { .max = SOURCE_MESSAGE_BYTES_MAX };
    if (o->data == NULL && o->file == NULL)
        return EXIT_OK;
    if (json_array_size(jobs) != 1)
        return usage(o, "a result is of one job: --data and --file go with one ticket");
    int code = jobs_read_input(o, &body);
    if (code == EXIT_OK &&
        output_set_bytes(json_array_get(jobs, 0), "body", buf_at(&body), buf_bytes(&body)) < 0)
        code = jobs_no_memory();
    buf_fini(&body);
    return code;
}

static int print_settled(const struct options *o, const json_t *answer)
{
    static const char *const done[] = {
        [COMMAND_ACK] = "done", [COMMAND_NACK] = "given back", [COMMAND_TOUCH] = "leased for longer", [COMMAND_BURY] = "buried"
    };
    size_t i, good = 0;
    json_t *job;
    int code = EXIT_OK;
    json_array_foreach(json_object_get(answer, "jobs"), i, job)
    {
        if (o->json)
            print_json(job);
        if (desk_refusal(job) == 0)
            good++;
        else
            code = jobs_say_refusal(o->operands[i], job);
    }
    if (!o->json && good > 0)
        (void)printf("%zu %s %s.\n", good, good == 1 ? "job is" : "jobs are", done[o->command->id]);
    return code;
}

int cmd_held(const struct options *o)
{
    json_t *jobs = json_array(), *answer,
           *request = json_pack("{s:s, s:O}", "op", o->command->name, "jobs", jobs);
    int code = parse_tickets(o, jobs);
    if (code == EXIT_OK)
        code = add_result(o, jobs);
    if (code == EXIT_OK &&
        !(jobs_set_ms(request, "lease_ms", o->lease) &&
          jobs_set_ms(request, "delay_ms", o->delay) && jobs_set_text(request, "text", o->error) &&
          (!o->no_charge || json_object_set_new(request, "uncharged", json_true()) == 0)))
        code = usage(o, "--error is UTF-8");
    json_decref(jobs);
    if (code != EXIT_OK) {
        json_decref(request);
        return code;
    }
    code = ask_once(o, request, (span_t){ 0 }, &answer);
    if (code != EXIT_OK)
        return code;
    code = print_settled(o, answer);
    json_decref(answer);
    return code;
}

/* ---- kick, redrive ---- */

static int print_count(const struct options *o, const char *done, uint64_t n)
{
    if (o->json)
        (void)printf("{\"ok\":true,\"count\":%llu}\n", (unsigned long long)n);
    else
        (void)printf("%s %llu job%s.\n", done, (unsigned long long)n, n == 1 ? "" : "s");
    return n > 0 ? EXIT_OK : EXIT_NOTHING;
}

static uint64_t count_of(const json_t *answer)
{
    json_int_t n = json_integer_value(json_object_get(answer, "count"));
    return n > 0 ? (uint64_t)n : 0;
}

int cmd_kick(const struct options *o)
{
    json_t *request, *answer;
    if (o->count > UINT32_MAX)
        return usage(o, "--count is at most 4294967295");
    int code = jobs_request(o, "kick", &request);
    if (code != EXIT_OK)
        return code;
    if (!jobs_set_number(request, "count", o->count > 0 ? o->count : 1)) {
        json_decref(request);
        return jobs_no_memory();
    }
    code = ask_once(o, request, (span_t){ 0 }, &answer);
    if (code != EXIT_OK)
        return code;
    code = print_count(o, "Kicked", count_of(answer));
    json_decref(answer);
    return code;
}

/* A round that brings back less than it might was the last: what is left stays. */
static int redrive_all(struct jobs *j, json_t *request, uint64_t wanted, uint64_t *ret_count)
{
    uint64_t n = 0, round, asked;
    do {
        json_t *answer;
        asked = wanted - n < LIMIT_BATCH_ITEMS ? wanted - n : LIMIT_BATCH_ITEMS;
        json_t *one = json_copy(request);
        if (!jobs_set_number(one, "count", asked)) {
            json_decref(one);
            return jobs_no_memory();
        }
        int code = jobs_ask(j, one, (span_t){ 0 }, &answer);
        if (code != EXIT_OK)
            return code;
        round = count_of(answer);
        json_decref(answer);
        n += round;
    } while (round == asked && n < wanted);
    *ret_count = n;
    return EXIT_OK;
}

int cmd_redrive(const struct options *o)
{
    struct jobs j;
    json_t *request;
    uint64_t n = 0;
    int code = jobs_request(o, "redrive", &request);
    if (code != EXIT_OK)
        return code;
    code = jobs_open(&j, o);
    if (code == EXIT_OK) {
        code = redrive_all(&j, request, o->count > 0 ? o->count : UINT64_MAX, &n);
        jobs_close(&j);
    }
    json_decref(request);
    return code == EXIT_OK ? print_count(o, "Redrove", n) : code;
}

/* ---- peek, dead ---- */

static int add_which(const struct options *o, json_t *request)
{
    uint64_t id, standard = o->command->id == COMMAND_DEAD ? LIMIT_BATCH_ITEMS : 1;
    if (o->operands_count > 0) {
        if (o->count > 0 || o->state != NULL)
            return usage(o, "an id goes without --count and --state");
        if (number_parse(o->operands[0], &id) < 0 || id > INT64_MAX)
            return usage(o, "an id is a whole number");
        return jobs_set_number(request, "id", id) ? EXIT_OK : jobs_no_memory();
    }
    return jobs_set_text(request, "state", o->state != NULL ? o->state : "ready") &&
                   jobs_set_number(request, "count", o->count > 0 ? o->count : standard)
               ? EXIT_OK
               : jobs_no_memory();
}

int cmd_peek(const struct options *o)
{
    json_t *request, *answer;
    bool dead = o->command->id == COMMAND_DEAD;
    if (o->count > LIMIT_BATCH_ITEMS)
        return usage(o, "--count is at most 256");
    int code = jobs_request(o, "peek", &request);
    if (code != EXIT_OK)
        return code;
    code = add_which(o, request);
    if (code != EXIT_OK) {
        json_decref(request);
        return code;
    }
    code = ask_once(o, request, (span_t){ 0 }, &answer);
    if (code != EXIT_OK)
        return code;
    code = print_jobs(o, dead ? dead_columns : peek_columns, answer);
    json_decref(answer);
    return code;
}
