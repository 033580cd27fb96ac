/* SPDX-License-Identifier: Apache-2.0
 *
 * What a benchmark prints: a few lines for people, one JSON object, or two lines of CSV.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/bench.h"
#include "cli/human.h"

static const struct {
    const char *name;
    double part;
} percentiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1 } };
enum { PERCENTILES = sizeof percentiles / sizeof percentiles[0] };

const char *bench_kind_word(enum bench_kind kind)
{
    static const char *const words[] = {
        [BENCH_PUSH] = "push", [BENCH_PUB] = "pub", [BENCH_REQ] = "req", [BENCH_PUT] = "put", [BENCH_WORK] = "work"
    };
    return words[kind];
}

static const char *end_word(enum bench_end end)
{
    static const char *const words[] = {
        [BENCH_DONE] = "done", [BENCH_TIMED_OUT] = "timeout", [BENCH_INTERRUPTED] = "interrupted"
    };
    return words[end];
}

static double seconds(const struct bench_result *r)
{
    return r->took.ns > 0 ? (double)r->took.ns / NS_PER_S : 1e-9;
}

/* Of what has come out, where that was looked at. */
static double per_second(const struct bench_result *r)
{
    return (double)(r->receives ? r->received : r->sent) / seconds(r);
}

static uint64_t lost(const struct bench_result *r)
{
    return r->receives && r->sent > r->received ? r->sent - r->received : 0;
}

static double microseconds(const struct bench_result *r, size_t i)
{
    return (double)bench_times_percentile(&r->latency, percentiles[i].part).ns / 1000;
}

/* ---- for people ---- */

static void print_count(const char *before, uint64_t n, const char *what)
{
    printf("%s%" PRIu64 " %s%s", before, n, what, n == 1 ? "" : "s");
}

static void print_text(const struct bench_plan *plan, const struct bench_result *r)
{
    char rate[HUMAN_BYTES], bytes[HUMAN_BYTES], size[HUMAN_BYTES];
    printf("%s: ", bench_kind_word(plan->kind));
    print_count("", plan->clients, "client");
    print_count(", ", r->sent, "message");
    printf(" of %s", human_bytes(plan->bytes, size));
    if (plan->batch > 0)
        printf(" in frames of %zu", plan->batch);
    printf(" in %.3f s: %s/s, %s/s\n", seconds(r), human_number(per_second(r), rate),
           human_bytes((uint64_t)(per_second(r) * (double)plan->bytes), bytes));
    if (r->latency.count > 0) {
        printf("latency, us%s:", plan->rate > 0 ? ", from when each was due" : "");
        for (size_t i = 0; i < PERCENTILES; i++)
            printf("  %s %.1f", percentiles[i].name, microseconds(r, i));
        putchar('\n');
    }
    if (r->receives && r->whole)
        puts("each came once");
    else if (r->receives && r->failed == 0)
        printf("%" PRIu64 " did not come%s\n", lost(r),
               lost(r) == 0 ? ", but what came is not what was sent" : "");
    if (r->failed > 0)
        printf("%" PRIu64 " were refused, or answered with an error\n", r->failed);
    if (r->dropped > 0)
        printf("%" PRIu64 " were dropped here: nobody took them\n", r->dropped);
}

static void print_ratio(const struct bench_result *r, const struct bench_result *baseline)
{
    char rate[HUMAN_BYTES];
    printf("device: %s/s; this is %.2f times that\n", human_number(per_second(baseline), rate),
           per_second(r) / per_second(baseline));
}

/* ---- for programs ---- */

static json_t *json_of(const struct bench_plan *plan, const struct bench_result *r)
{
    json_t *latency = json_object();
    for (size_t i = 0; r->latency.count > 0 && i < PERCENTILES; i++)
        (void)json_object_set_new(latency, percentiles[i].name, json_real(microseconds(r, i)));
    return json_pack("{s:s s:s s:I s:I s:I s:I s:I s:I s:I s:I s:I s:b s:f s:f s:o}", "bench",
                     bench_kind_word(plan->kind), "end", end_word(r->end), "clients",
                     (json_int_t)plan->clients, "size", (json_int_t)plan->bytes, "batch",
                     (json_int_t)plan->batch, "rate", (json_int_t)plan->rate, "sent",
                     (json_int_t)r->sent, "received", (json_int_t)r->received, "lost",
                     (json_int_t)lost(r), "failed", (json_int_t)r->failed, "dropped",
                     (json_int_t)r->dropped, "whole", r->whole, "seconds", seconds(r), "per_second",
                     per_second(r), "latency_us", latency);
}

static void print_json(const struct bench_plan *plan, const struct bench_result *r,
                       const struct bench_result *baseline)
{
    json_t *object = json_of(plan, r);
    if (baseline != NULL && object != NULL) {
        (void)json_object_set_new(object, "device", json_of(plan, baseline));
        (void)json_object_set_new(object, "ratio", json_real(per_second(r) / per_second(baseline)));
    }
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(object);
}

static void print_csv_row(const char *name, const struct bench_plan *plan,
                          const struct bench_result *r)
{
    printf("%s,%" PRIu64 ",%zu,%zu,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
           ",%" PRIu64 ",%.6f,%.0f",
           name, plan->clients, plan->bytes, plan->batch, plan->rate, r->sent, r->received, lost(r),
           r->failed, r->dropped, seconds(r), per_second(r));
    for (size_t i = 0; i < PERCENTILES; i++)
        printf(",%.1f", microseconds(r, i));
    putchar('\n');
}

static void print_csv(const struct bench_plan *plan, const struct bench_result *r,
                      const struct bench_result *baseline)
{
    printf("bench,clients,size,batch,rate,sent,received,lost,failed,dropped,seconds,per_second");
    for (size_t i = 0; i < PERCENTILES; i++)
        printf(",%s_us", percentiles[i].name);
    putchar('\n');
    print_csv_row(bench_kind_word(plan->kind), plan, r);
    if (baseline != NULL)
        print_csv_row("device", plan, baseline);
}

void bench_report(const struct bench_plan *plan, const struct bench_result *result,
                  const struct bench_result *baseline, enum bench_form form)
{
    if (form == BENCH_JSON) {
        print_json(plan, result, baseline);
    } else if (form == BENCH_CSV) {
        print_csv(plan, result, baseline);
    } else {
        print_text(plan, result);
        if (baseline != NULL)
            print_ratio(result, baseline);
    }
}
