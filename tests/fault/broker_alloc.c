/* SPDX-License-Identifier: Apache-2.0
 *
 * No memory in the life of a job: every allocation of every command refused once, alone and with all that come after it. A
 * command that can fail says PEN_ENOMEM, has changed nothing, and works when it is tried again; one that cannot loses no
 * job, whatever else it has to do without.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/queue.h"
#include "broker/results.h"
#include "memory.h"

enum { TIME_LIMIT_S = 60 };

#define AT(s) ((mono_t){ (s) * (int64_t)NS_PER_S })

static struct broker *make(struct broker_limits limits)
{
    struct broker_options options = { .limits = limits, .seed = 1 };
    struct broker *b = NULL;
    int r = TRY(broker_new(&options, &b));
    if (r < 0) {
        ck_assert_ptr_null(b);
        expect_refusal(r);
        ck_assert_int_eq(broker_new(&options, &b), 0);
    }
    return b;
}

/* With everything that an ext can ask for. */
static struct job_put rich_put(const char *name, uint8_t priority)
{
    struct job_put put = { .body = { .bytes = 5 }, .priority = priority };
    ck_assert_int_eq(job_ext_new(&put.ext), 0);
    put.ext->key = strdup(name);
    put.ext->dedupe = strdup(name);
    put.ext->expires_at = AT(1000);
    return put;
}

/* What must be as before when a put was refused. */
struct books {
    uint64_t accepted, held, bytes, keys;
};

static struct books books_of(const struct broker *b)
{
    const struct broker_ledger *g = broker_ledger(b);
    ck_assert(broker_ledger_holds(b));
    return (struct books){ g->accepted, broker_ledger_held(g), g->bytes, g->keys };
}

static void unchanged(const struct broker *b, const struct books *before)
{
    struct books now = books_of(b);
    ck_assert_mem_eq(&now, before, sizeof now);
}

static void put_one(struct broker *b, struct job_put put)
{
    struct books before = books_of(b);
    ck_assert_int_eq(TRY(broker_put(b, &put, 1, AT(1))), 1);
    if (put.ret_status < 0) {
        expect_refusal(put.ret_status);
        unchanged(b, &before);
        ck_assert_int_eq(broker_put(b, &put, 1, AT(1)), 1);
    }
    ck_assert_int_eq(put.ret_status, 0);
}

static void run_puts(void)
{
    struct broker *b = make((struct broker_limits){ .items_max = 100, .dedupe_window = span_s(100) });
    struct job_put delayed = rich_put("d", 3);
    delayed.ext->delay_until = AT(10);
    put_one(b, delayed);
    put_one(b, rich_put("a", 0));
    put_one(b, rich_put("b", 9));
    struct job_put puts[3] = { rich_put("x", 1), rich_put("y", 2), { .priority = 3 } };
    struct books before = books_of(b);
    int r = TRY(broker_put_all(b, puts, 3, AT(1)));
    if (r < 0) {
        expect_refusal(r);
        unchanged(b, &before);
        r = broker_put_all(b, puts, 3, AT(1));
    }
    ck_assert_int_eq(r, 3);
    size_t ticks = 0;
    NEVER_ALLOCATES(ticks = broker_tick(b, AT(10), 9));
    ck_assert_uint_eq(ticks, 1);
    ck_assert_uint_eq(broker_ledger(b)->ready, 6);
    broker_free(&b);
}

/* Once it is reserved nothing is needed any more. */
static void run_reserved(void)
{
    struct broker *b = make((struct broker_limits){ .items_max = 100, .dedupe_window = span_s(100) });
    struct job_put puts[2] = { rich_put("a", 1), rich_put("b", 2) };
    puts[1].ext->delay_until = AT(50);
    struct books before = books_of(b);
    int r = TRY(broker_reserve_put(b, puts, 2, AT(1)));
    if (r < 0) {
        expect_refusal(r);
        unchanged(b, &before);
        r = broker_reserve_put(b, puts, 2, AT(1));
    }
    ck_assert_int_eq(r, 0);
    NEVER_ALLOCATES(broker_put_reserved(b, puts, 2, AT(2)));
    ck_assert_uint_eq(broker_ledger(b)->delayed, 1);
    broker_free(&b);
}

static struct job lease(struct broker *b, uint64_t owner)
{
    struct job_take how = { .max = 1, .lease = span_s(5), .owner = owner };
    struct books before = books_of(b);
    struct job j;
    int r = TRY(broker_take(b, &how, &j, AT(2)));
    if (r < 0) {
        expect_refusal(r);
        unchanged(b, &before);
        r = broker_take(b, &how, &j, AT(2));
    }
    ck_assert_int_eq(r, 1);
    return j;
}

static void settle(struct broker *b, const struct job *j, enum job_outcome outcome)
{
    struct job_failure why = { .error = PEN_EHANDLER, .text = "no luck", .delay = span_s(3) };
    struct job_settle s = {
        .id = j->id, .lease = j->lease, .index = j->index, .outcome = outcome, .why = &why
    };
    struct books before = books_of(b);
    size_t settled = 0;
    int r = 77;
    ARMED(r = broker_settle(b, &s, 1, AT(2), &settled));
    ck_assert_int_eq(r, 0);
    unchanged(b, &before); /* It goes on, with its story or without. */
}

/* How jobs come back. */
static void run_returns(void)
{
    static const enum job_outcome outcomes[] = { OUTCOME_RETRY, OUTCOME_CRASHED, OUTCOME_RELEASED,
                                                 OUTCOME_BURIED };
    struct broker *b = make((struct broker_limits){ .items_max = 100, .backoff_base = span_s(5) });
    for (int k = 0; k < 4; k++) {
        put_one(b, (struct job_put){ .priority = 5 });
        struct job j = lease(b, 7);
        settle(b, &j, outcomes[k]);
        struct job_put keyed = rich_put("k", 5);
        keyed.ext->key[0] = (char)('a' + k);
        put_one(b, keyed);
        put_one(b, (struct job_put){ .priority = 9 });
        j = lease(b, (uint64_t)k);
        settle(b, &j, outcomes[k]);
    }
    struct books before = books_of(b);
    while (broker_has_ready(b))
        (void)lease(b, 9);
    uint32_t gone = 0;
    ARMED(gone = broker_owner_gone(b, 9, AT(3)));
    ck_assert_uint_ge(gone, 1);
    while (broker_has_ready(b))
        (void)lease(b, 9);
    ARMED((void)broker_tick(b, AT(100), 100));
    unchanged(b, &before);
    broker_free(&b);
}

static void run_dying(void)
{
    struct broker *b =
        make((struct broker_limits){ .items_max = 100, .attempts_max = 1, .dead_letters = true });
    put_one(b, (struct job_put){ .priority = 5 });
    struct job j = lease(b, 7), dying;
    int r = TRY(broker_progress(b, j.id, j.lease, "half"));
    if (r < 0) {
        expect_refusal(r);
        ck_assert_int_eq(broker_progress(b, j.id, j.lease, "half"), 0);
    }
    settle(b, &j, OUTCOME_RETRY);
    size_t n = 0;
    NEVER_ALLOCATES(n = broker_take_dying(b, &dying, 1));
    ck_assert_uint_eq(n, 1);
    struct job_ext *copy = NULL;
    r = TRY(job_ext_copy(dying.ext, &copy));
    if (r < 0) {
        ck_assert_ptr_null(copy);
        expect_refusal(r);
        ck_assert_int_eq(job_ext_copy(dying.ext, &copy), 0);
    }
    ck_assert_str_eq(copy->progress, "half");
    job_ext_free(copy);
    broker_free(&b);
}

static void run_restore(void)
{
    static const enum job_state states[] = { JOB_READY, JOB_DELAYED, JOB_BURIED, JOB_DYING };
    struct broker *b = make((struct broker_limits){ .items_max = 100, .dedupe_window = span_s(100) });
    for (uint64_t k = 0; k < 4; k++) {
        struct job_put put = rich_put("k", 5);
        struct job_restore job = {
            .id = k + 1, .ext = put.ext, .state = states[k], .due = AT(50), .attempts = 1
        };
        put.ext->dedupe[0] = (char)('0' + k);
        struct books before = books_of(b);
        int r = TRY(broker_restore(b, &job, AT(1)));
        if (r < 0) {
            expect_refusal(r);
            unchanged(b, &before);
            ck_assert_int_eq(broker_restore(b, &job, AT(1)), 0);
        }
    }
    int r = TRY(broker_restore_dedupe(b, "ended", 77, AT(1)));
    if (r < 0) {
        expect_refusal(r);
        ck_assert_int_eq(broker_restore_dedupe(b, "ended", 77, AT(1)), 0);
    }
    ck_assert_uint_eq(broker_ledger_held(broker_ledger(b)), 4);
    broker_free(&b);
}

static void run_results(void)
{
    struct results_limits limits = { .items_max = 40, .bytes_max = 100, .age_max = span_s(5) };
    struct results *results = NULL;
    int r = TRY(results_new(&limits, &results));
    if (r < 0) {
        expect_refusal(r);
        ck_assert_int_eq(results_new(&limits, &results), 0);
    }
    for (uint64_t id = 1; id <= 40; id++) {
        struct result result = { .error = (int)id };
        r = TRY(results_put(results, id, &result, AT(1)));
        if (r < 0) {
            expect_refusal(r);
            ck_assert_int_eq(results_put(results, id, &result, AT(1)), 0);
        }
    }
    for (uint64_t id = 1; id <= 40; id++) {
        struct result result;
        NEVER_ALLOCATES(r = results_get(results, id, AT(2), &result));
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(result.error, (int)id);
    }
    results_free(&results);
}

static void (*const cases[])(void) = { run_puts,  run_reserved, run_returns,
                                       run_dying, run_restore,  run_results };

START_TEST(each_case)
{
    for_every_failure(cases[_i / 2], _i % 2 == 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("broker_alloc");
    TCase *c = tcase_create("no memory");
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_loop_test(c, each_case, 0, 2 * sizeof cases / sizeof cases[0]);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
