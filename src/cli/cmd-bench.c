/* SPDX-License-Identifier: Apache-2.0
 *
 * penstock bench: from the command line to a plan, from results to what is printed and the exit code.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "obs/log.h"
#include "plat/thread.h"
#include "proto/batch.h"

enum {
    MESSAGES_DEFAULT = 100000,
    BYTES_DEFAULT = 128,
    DELAY_DEFAULT_MS = 200,
    PATIENCE_DEFAULT_S = 5
};

/* Addresses as an endpoint takes them. */
struct url_list {
    char text[BENCH_ADDRESSES_MAX][OPTIONS_URL_BYTES];
    char *at[BENCH_ADDRESSES_MAX + 1];
};

static int usage(const char *text)
{
    say("%s", text);
    (void)fputs("Try 'penstock help bench'.\n", stderr);
    return EXIT_USAGE;
}

static bool kind_parse(const char *word, enum bench_kind *ret_kind)
{
    for (enum bench_kind kind = BENCH_PUSH; kind <= BENCH_WORK; kind++)
        if (str_equal(word, bench_kind_word(kind))) {
            *ret_kind = kind;
            return true;
        }
    return false;
}

static int url_list_fill(struct url_list *to, const struct option_list *from)
{
    *to = (struct url_list){ 0 };
    if (from->n > BENCH_ADDRESSES_MAX)
        return usage("at most 16 addresses of a kind");
    for (size_t i = 0; i < from->n; i++)
        to->at[i] = (char *)option_list_text(from, i, to->text[i]);
    return EXIT_OK;
}

static const char *fault_of_sizes(const struct bench_plan *plan)
{
    if (plan->clients > BENCH_CLIENTS_MAX)
        return "--clients: at most 10000";
    if (plan->bytes < 16 || plan->bytes > BENCH_MESSAGE_MAX_BYTES)
        return "--size: 16B to 1MiB";
    if (plan->batch > BENCH_BATCH_MAX || plan->batch * (plan->bytes + BATCH_RECORD_BYTES) >
                                             BENCH_MESSAGE_MAX_BYTES - BATCH_HEAD_BYTES)
        return "--batch: at most 4096, and a frame of at most 1MiB";
    if (plan->rate > NS_PER_S)
        return "--rate: at most 1000000000";
    return NULL;
}

static const char *fault_of(const struct bench_plan *plan, const struct options *o)
{
    bool receives = plan->pull[0] != NULL || plan->sub[0] != NULL;
    if (plan->to[0] == NULL)
        return "say where: --connect URL";
    if (plan->pull[0] != NULL && plan->sub[0] != NULL)
        return "--pull and --sub do not go together";
    bool jobs = plan->kind == BENCH_PUT || plan->kind == BENCH_WORK;
    if (jobs != (plan->queue != NULL))
        return jobs ? "say of which queue: --queue NAME" : "--queue goes with put and work only";
    if (plan->kind >= BENCH_REQ && receives)
        return "--pull and --sub go with push and pub only";
    if (plan->kind == BENCH_REQ && plan->batch > 0)
        return "--batch does not go with req";
    if (jobs && plan->batch > LIMIT_BATCH_ITEMS)
        return "--batch: at most 256 jobs";
    if (plan->kind == BENCH_WORK && plan->rate > 0)
        return "--rate does not go with work, which takes what there is";
    if (o->messages > 0 && o->duration.ns > 0)
        return "--msgs and --duration do not go together";
    if (o->json && o->csv)
        return "--json and --csv do not go together";
    if (o->baseline != NULL && !str_equal(o->baseline, "device"))
        return "--baseline: there is only device";
    if (o->baseline != NULL && (plan->kind != BENCH_PUSH || plan->pull[0] == NULL))
        return "--baseline device goes with push and --pull: it forwards from one to the other";
    return fault_of_sizes(plan);
}

static struct bench_plan plan_of(const struct options *o, enum bench_kind kind)
{
    bool jobs = kind == BENCH_PUT || kind == BENCH_WORK;
    struct bench_plan plan = { .kind = kind,
                               .queue = o->queue,
                               .clients = o->clients > 0 ? o->clients : 1,
                               .messages = o->messages,
                               .duration = o->duration,
                               .bytes = o->size > 0 ? (size_t)o->size : BYTES_DEFAULT,
                               .batch = o->batch == 0 && jobs ? 1 : (size_t)o->batch,
                               .rate = o->rate,
                               .delay = o->delay.ns >= 0 ? o->delay : span_ms(DELAY_DEFAULT_MS),
                               .patience = o->recv_timeout.ns >= 0 ? o->recv_timeout
                                                                   : span_s(PATIENCE_DEFAULT_S),
                               .quiet = o->verbosity < 0 };
    if (plan.messages == 0 && plan.duration.ns <= 0 && kind != BENCH_WORK)
        plan.messages = MESSAGES_DEFAULT;
    return plan;
}

static int exit_code_of(const struct bench_plan *plan, const struct bench_result *r)
{
    if (r->end == BENCH_INTERRUPTED)
        return signals_got() == SIGTERM ? EXIT_TERMINATED : EXIT_INTERRUPTED;
    if (r->end == BENCH_TIMED_OUT)
        return EXIT_TIMEOUT;
    if (plan->queue != NULL && r->failed > 0)
        return EXIT_REFUSED;
    return r->receives && !r->whole ? EXIT_INTERNAL : EXIT_OK;
}

static int run(const struct bench_plan *plan, const struct options *o)
{
    static struct bench_result result, baseline; /* too large for a stack */
    bool compares = o->baseline != NULL;
    int r = 0;
    log_init(LOG_LEVEL_WARNING, LOG_FORMAT_PLAIN);
    thread_exact_timers();
    if (compares)
        r = bench_run_device(plan, &baseline);
    if (r == 0 && (!compares || baseline.end != BENCH_INTERRUPTED))
        r = bench_run(plan, &result);
    if (r < 0) {
        say("%s", pen_strerror(r));
        return EXIT_UNREACHABLE;
    }
    if (result.end == BENCH_TIMED_OUT)
        say("nothing has moved for %s", span_format(plan->patience, (char[UNITS_TEXT_BYTES]){ 0 }));
    bench_report(plan, &result, compares ? &baseline : NULL,
                 o->json  ? BENCH_JSON
                 : o->csv ? BENCH_CSV
                          : BENCH_TEXT);
    return exit_code_of(plan, &result);
}

int cmd_bench(const struct options *o)
{
    struct url_list to, pull, sub;
    enum bench_kind kind;
    if (!kind_parse(o->operands[0], &kind))
        return usage("what is measured is push, pub, req, put or work");
    struct bench_plan plan = plan_of(o, kind);
    if (url_list_fill(&to, &o->connect) != EXIT_OK || url_list_fill(&pull, &o->pull) != EXIT_OK ||
        url_list_fill(&sub, &o->sub) != EXIT_OK)
        return EXIT_USAGE;
    plan.to = to.at;
    plan.pull = pull.at;
    plan.sub = sub.at;
    const char *fault = fault_of(&plan, o);
    return fault != NULL ? usage(fault) : run(&plan, o);
}
