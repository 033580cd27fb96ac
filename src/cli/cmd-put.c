/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock put: one job by itself, or lines in batches of as many as are there. A batch is put whole or not at all, so when
 * one is refused it is known exactly how many jobs are in the queue.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/source.h"

enum {
    BATCH_BYTES = 64 * 1024, /* no more is added to a batch then */
    PRIORITY_MAX = 9
};

static int usage(const struct options *o, const char *text)
{
    say("%s", text);
    (void)fprintf(stderr, "Try 'penstock help %s'.\n", o->command->name);
    return EXIT_USAGE;
}

static int check_options(const struct options *o)
{
    if (o->data != NULL && (o->file != NULL || o->lines))
        return usage(o, "--data goes without --file and --lines");
    if (o->data == NULL && o->file == NULL && !o->lines)
        return usage(o,
                     "say what to put: --data DATA, --file FILE, or --lines to read standard input");
    if (o->priority != UINT64_MAX && o->priority > PRIORITY_MAX)
        return usage(o, "--priority is 0 to 9");
    if (o->batch > LIMIT_BATCH_ITEMS || (o->batch > 0 && !o->lines))
        return usage(o, "--batch goes with --lines, and up to 256");
    if (o->dedupe != NULL && o->lines)
        return usage(o, "--dedupe goes without --lines: all of them would be one job");
    return EXIT_OK;
}

/* ---- the request ---- */

static int add_headers(const struct options *o, json_t *request)
{
    json_t *headers = json_object();
    for (size_t i = 0; i < o->header.n; i++) {
        const char *text = o->header.at[i].text, *equals = strchr(text, '=');
        char name[256];
        if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof name) {
            json_decref(headers);
            return usage(o, "--header is NAME=TEXT, with a name of 1 to 255 bytes");
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        if (!jobs_set_text(headers, name, equals + 1)) {
            json_decref(headers);
            return usage(o, "a header is UTF-8");
        }
    }
    if (o->header.n == 0) {
        json_decref(headers);
        return EXIT_OK;
    }
    return json_object_set_new(request, "headers", headers) == 0 ? EXIT_OK : jobs_no_memory();
}

/* All but the body: it holds for each job. */
static int make_request(const struct options *o, json_t **ret_request)
{
    json_t *request;
    int code = jobs_request(o, "put", &request);
    if (code != EXIT_OK)
        return code;
    bool good =
        jobs_set_text(request, "key", o->key) && jobs_set_text(request, "dedupe", o->dedupe) &&
        jobs_set_ms(request, "delay_ms", o->delay) && jobs_set_ms(request, "ttl_ms", o->ttl) &&
        jobs_set_ms(request, "wait_ms", o->wait.ns > 0 ? o->wait : (span_t){ 0 });
    if (good && o->priority != UINT64_MAX)
        good = jobs_set_number(request, "priority", o->priority);
    code = good ? add_headers(o, request) : usage(o, "--key and --dedupe are UTF-8");
    if (code == EXIT_OK)
        *ret_request = request;
    else
        json_decref(request);
    return code;
}

/* ---- the receipts ---- */

static void print_receipt(const struct options *o, const json_t *receipt)
{
    if (o->json)
        (void)json_dumpf(receipt, stdout, JSON_COMPACT);
    else
        (void)printf("%lld", (long long)json_integer_value(json_object_get(receipt, "id")));
    (void)putchar('\n');
}

/* ---- one ---- */

static int put_one(struct jobs *j, json_t *request)
{
    struct buf body = { .max = SOURCE_MESSAGE_BYTES_MAX };
    json_t *answer;
    int code = jobs_read_input(j->o, &body);
    if (code == EXIT_OK &&
        output_set_bytes(request, "body", buf_bytes(&body) > 0 ? buf_at(&body) : (const uint8_t *)"",
                         buf_bytes(&body)) < 0)
        code = jobs_no_memory();
    buf_fini(&body);
    if (code == EXIT_OK)
        code = jobs_ask(j, json_incref(request), j->o->wait, &answer);
    if (code != EXIT_OK)
        return code;
    print_receipt(j->o, answer);
    json_decref(answer);
    return EXIT_OK;
}

/* ---- lines ---- */

/* As many lines as are there: 1: there may be more; 0: those were the last. A negative error. */
static int gather(struct jobs *j, struct source *source, json_t *batch)
{
    size_t most = j->o->batch > 0 ? j->o->batch : LIMIT_BATCH_ITEMS, gathered = 0;
    while (json_array_size(batch) < most && gathered < BATCH_BYTES) {
        const void *line;
        size_t bytes;
        int r = source_next(source, &line, &bytes);
        if (r == 0 || (r == PEN_EEMPTY && json_array_size(batch) > 0))
            return r == 0 ? 0 : 1;
        if (r == PEN_EEMPTY) {
            r = source_fill(source);
            if (r < 0)
                return r;
            continue;
        }
        json_t *job = json_object();
        if (output_set_bytes(job, "body", bytes > 0 ? line : "", bytes) < 0 ||
            json_array_append(batch, job) < 0)
            r = PEN_ENOMEM;
        json_decref(job);
        if (r < 0)
            return r;
        gathered += bytes;
    }
    return 1;
}

static int put_batch(struct jobs *j, json_t *request, json_t *batch, uint64_t *put)
{
    json_t *whole = json_copy(request), *answer, *receipt;
    size_t i;
    if (json_object_set(whole, "jobs", batch) < 0) {
        json_decref(whole);
        return jobs_no_memory();
    }
    int code = jobs_ask(j, whole, j->o->wait, &answer);
    if (code != EXIT_OK)
        return code;
    json_array_foreach(json_object_get(answer, "jobs"), i, receipt)
    {
        if (desk_refusal(receipt) != 0) {
            code = jobs_say_refusal("", receipt);
            continue;
        }
        print_receipt(j->o, receipt);
        ++*put;
    }
    (void)fflush(stdout);
    json_decref(answer);
    return code;
}

static int input_failed(const struct options *o, int error)
{
    if (error == -EINTR)
        return 128 + signals_got();
    say("cannot read %s: %s", o->file != NULL ? o->file : "standard input", pen_strerror(error));
    return EXIT_INPUT;
}

static int put_lines(struct jobs *j, json_t *request)
{
    struct source source;
    uint64_t put = 0;
    int code = EXIT_OK, more = source_init_lines(&source, j->o->file != NULL ? j->o->file : "-");
    if (more == 0)
        more = 1;
    while (code == EXIT_OK && more == 1) {
        json_t *batch = json_array();
        more = gather(j, &source, batch);
        if (json_array_size(batch) > 0)
            code = put_batch(j, request, batch, &put);
        json_decref(batch);
    }
    if (code == EXIT_OK && more < 0)
        code = input_failed(j->o, more);
    source_fini(&source);
    if (code != EXIT_OK)
        say("%llu jobs were put", (unsigned long long)put);
    return code;
}

int cmd_put(const struct options *o)
{
    struct jobs j;
    json_t *request = NULL;
    int code = check_options(o);
    if (code == EXIT_OK)
        code = make_request(o, &request);
    if (code == EXIT_OK)
        code = jobs_open(&j, o);
    if (code == EXIT_OK) {
        code = o->lines ? put_lines(&j, request) : put_one(&j, request);
        jobs_close(&j);
    }
    json_decref(request);
    return code;
}
