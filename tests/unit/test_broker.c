/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's queue, one rule at a time. tests/model/broker_model.c has the random walk.
 */
#include "broker/queue.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NOW ((mono_t){ 1000 })

static struct broker *make(uint32_t items, uint64_t bytes, enum broker_policy policy)
{
    struct broker *b = NULL;
    struct broker_options options = {
        .limits = { .items_max = items, .bytes_max = bytes, .policy = policy }
    };
    ck_assert_int_eq(broker_new(&options, &b), 0);
    return b;
}

static struct job_put put_of(uint32_t bytes)
{
    static const uint8_t text[256];
    return (struct job_put){ .body = { .at = text, .bytes = bytes } };
}

/* Put n jobs of one size; returns how many were decided. */
static int put_some(struct broker *b, struct job_put *puts, size_t n, uint32_t bytes)
{
    for (size_t i = 0; i < n; i++)
        puts[i] = put_of(bytes);
    return broker_put(b, puts, n, NOW);
}

static void settle_one(struct broker *b, const struct job *j, enum job_outcome outcome)
{
    struct job_settle s = { .id = j->id, .index = j->index, .outcome = outcome };
    size_t settled;
    ck_assert_int_eq(broker_settle(b, &s, 1, NOW, &settled), 0);
    ck_assert_uint_eq(settled, 1);
}

/* As one of our own handlers. */
static size_t take(struct broker *b, struct job *ret_jobs, size_t max)
{
    struct job_take how = { .max = max };
    int n = broker_take(b, &how, ret_jobs, NOW);
    ck_assert_int_ge(n, 0);
    return (size_t)n;
}

/* All that was dropped, which is at most max. */
static size_t reap(struct broker *b, struct job_dropped *ret_jobs, size_t max)
{
    struct broker_drops drops = broker_take_drops(b);
    size_t count = drops.count, n = broker_reap(b, &drops, ret_jobs, max);
    ck_assert_uint_eq(n, count);
    ck_assert_uint_eq(broker_reap(b, &drops, ret_jobs, max), 0);
    return n;
}

START_TEST(first_in_first_out)
{
    struct broker *b = make(10, 0, BROKER_BLOCK);
    struct job_put puts[5];
    ck_assert_int_eq(put_some(b, puts, 5, 1), 5);
    struct job jobs[5];
    ck_assert_uint_eq(take(b, jobs, 2), 2);
    ck_assert_uint_eq(take(b, jobs + 2, 5), 3);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(jobs[i].id, puts[i].ret_id);
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

START_TEST(items_bound_counts_what_is_in_hand)
{
    struct broker *b = make(3, 0, BROKER_BLOCK);
    struct job_put puts[4];
    ck_assert_int_eq(put_some(b, puts, 4, 1), 3);
    struct job j;
    ck_assert_uint_eq(take(b, &j, 1), 1);
    ck_assert_int_eq(put_some(b, puts, 1, 1), 0);
    settle_one(b, &j, OUTCOME_DONE);
    ck_assert_int_eq(put_some(b, puts, 1, 1), 1);
    broker_free(&b);
}
END_TEST

START_TEST(bytes_bound_at_the_limit_and_beyond)
{
    struct broker *b = make(100, 100, BROKER_BLOCK);
    struct job_put puts[1];
    ck_assert_int_eq(put_some(b, puts, 1, 101), 1);
    ck_assert_int_eq(puts[0].ret_status, PEN_ETOOBIG);
    ck_assert_int_eq(put_some(b, puts, 1, 100), 1);
    ck_assert_int_eq(puts[0].ret_status, 0);
    ck_assert(!broker_has_room(b, 1));
    ck_assert_int_eq(put_some(b, puts, 1, 1), 0);
    ck_assert_int_eq(put_some(b, puts, 1, 0), 1);
    ck_assert(broker_has_room(b, 101)); /* It would be decided now. */
    broker_free(&b);
}
END_TEST

START_TEST(reject_refuses_without_accepting)
{
    struct broker *b = make(1, 0, BROKER_REJECT);
    struct job_put puts[3];
    ck_assert_int_eq(put_some(b, puts, 3, 1), 3);
    ck_assert_int_eq(puts[0].ret_status, 0);
    ck_assert_int_eq(puts[1].ret_status, PEN_EFULL);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 1);
    ck_assert_uint_eq(broker_ledger(b)->refused, 2);
    broker_free(&b);
}
END_TEST

START_TEST(drop_oldest_makes_room_from_the_ready)
{
    struct broker *b = make(2, 0, BROKER_DROP_OLDEST);
    struct job_put puts[3];
    ck_assert_int_eq(put_some(b, puts, 3, 1), 3);
    ck_assert_int_eq(puts[2].ret_status, 0);
    struct job_dropped dropped[2];
    ck_assert_uint_eq(reap(b, dropped, 2), 1);
    ck_assert_uint_eq(dropped[0].id, puts[0].ret_id);
    ck_assert_int_eq(dropped[0].reason, DROP_OLDEST);
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

START_TEST(drop_oldest_spares_the_ready_when_that_would_not_help)
{
    struct broker *b = make(10, 100, BROKER_DROP_OLDEST);
    struct job_put puts[2] = { put_of(60), put_of(30) };
    ck_assert_int_eq(broker_put(b, puts, 2, NOW), 2);
    struct job j;
    ck_assert_uint_eq(take(b, &j, 1), 1); /* 60 bytes are in hand. */
    ck_assert_int_eq(put_some(b, puts, 1, 50), 1);
    ck_assert_int_eq(puts[0].ret_status, PEN_EDROPPED);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_OLDEST], 0);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_NEWEST], 1);
    ck_assert_uint_eq(broker_ledger(b)->ready, 1);
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

START_TEST(drop_newest_is_accepted_and_dropped)
{
    struct broker *b = make(1, 0, BROKER_DROP_NEWEST);
    struct job_put puts[2];
    ck_assert_int_eq(put_some(b, puts, 2, 1), 2);
    ck_assert_int_eq(puts[1].ret_status, PEN_EDROPPED);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 2);
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

static const struct {
    enum job_outcome outcome;
    int field; /* -1 done, -2 dead, otherwise the reason */
} outcomes[] = { { OUTCOME_DONE, -1 },
                 { OUTCOME_DEAD, -2 },
                 { OUTCOME_FAILED, DROP_FAILED },
                 { OUTCOME_CANCELED, DROP_SHUTDOWN } };

START_TEST(each_outcome_has_its_counter)
{
    struct broker *b = make(4, 0, BROKER_BLOCK);
    struct job_put put[1];
    struct job j;
    ck_assert_int_eq(put_some(b, put, 1, 7), 1);
    ck_assert_uint_eq(take(b, &j, 1), 1);
    settle_one(b, &j, outcomes[_i].outcome);
    const struct broker_ledger *g = broker_ledger(b);
    ck_assert_uint_eq(g->done, outcomes[_i].field == -1);
    ck_assert_uint_eq(g->dead, outcomes[_i].field == -2);
    for (int k = 0; k < DROP_REASONS; k++)
        ck_assert_uint_eq(g->dropped[k], k == outcomes[_i].field);
    ck_assert_uint_eq(g->bytes, 0);
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

START_TEST(settling_twice_is_told)
{
    struct broker *b = make(4, 0, BROKER_BLOCK);
    struct job_put put[1];
    struct job j;
    ck_assert_int_eq(put_some(b, put, 1, 1), 1);
    struct job_settle never = { .id = 1, .index = 0 };
    size_t settled = 9;
    ck_assert_int_eq(broker_settle(b, &never, 1, NOW, &settled), PEN_ETOOMANY); /* ready, not in hand */
    ck_assert_uint_eq(take(b, &j, 1), 1);
    settle_one(b, &j, OUTCOME_DONE);
    ck_assert_int_eq(broker_settle(b, &never, 1, NOW, &settled), PEN_ETOOMANY);
    struct job_settle outside = { .id = 1, .index = UINT32_MAX };
    ck_assert_int_eq(broker_settle(b, &outside, 1, NOW, &settled), PEN_ETOOMANY);
    ck_assert_uint_eq(settled, 0);
    broker_free(&b);
}
END_TEST

START_TEST(graceful_shutdown_lets_what_is_ready_out)
{
    struct broker *b = make(4, 0, BROKER_BLOCK);
    struct job_put put[1];
    struct job j;
    ck_assert_int_eq(put_some(b, put, 1, 1), 1);
    broker_set_paused(b, true);
    broker_shutdown(b, BROKER_DRAIN);
    ck_assert_int_eq(put_some(b, put, 1, 1), PEN_ESHUTDOWN);
    ck_assert_uint_eq(take(b, &j, 1), 1);
    settle_one(b, &j, OUTCOME_DONE);
    ck_assert(broker_is_idle(b));
    broker_free(&b);
}
END_TEST

START_TEST(immediate_shutdown_drops_the_ready_not_what_is_in_hand)
{
    struct broker *b = make(4, 0, BROKER_BLOCK);
    struct job_put puts[3];
    struct job j;
    ck_assert_int_eq(put_some(b, puts, 3, 1), 3);
    ck_assert_uint_eq(take(b, &j, 1), 1);
    broker_shutdown(b, BROKER_DRAIN);
    broker_shutdown(b, BROKER_DROP);
    broker_shutdown(b, BROKER_DRAIN);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_SHUTDOWN], 2);
    ck_assert(!broker_is_idle(b));
    settle_one(b, &j, OUTCOME_DONE);
    ck_assert(broker_is_idle(b));
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

START_TEST(paused_takes_nothing_and_purge_empties)
{
    struct broker *b = make(4, 0, BROKER_BLOCK);
    struct job_put puts[3];
    struct job jobs[3];
    ck_assert_int_eq(put_some(b, puts, 3, 1), 3);
    broker_set_paused(b, true);
    ck_assert(!broker_has_ready(b));
    ck_assert_uint_eq(take(b, jobs, 3), 0);
    ck_assert_uint_eq(broker_purge(b), 3);
    struct job_dropped dropped[4];
    ck_assert_uint_eq(reap(b, dropped, 4), 3);
    ck_assert_int_eq(dropped[0].reason, DROP_PURGED);
    broker_set_paused(b, false);
    ck_assert_uint_eq(take(b, jobs, 3), 0);
    ck_assert(broker_ledger_holds(b));
    broker_free(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker");
    TCase *c = tcase_create("queue");
    tcase_add_test(c, first_in_first_out);
    tcase_add_test(c, items_bound_counts_what_is_in_hand);
    tcase_add_test(c, bytes_bound_at_the_limit_and_beyond);
    tcase_add_test(c, reject_refuses_without_accepting);
    tcase_add_test(c, drop_oldest_makes_room_from_the_ready);
    tcase_add_test(c, drop_oldest_spares_the_ready_when_that_would_not_help);
    tcase_add_test(c, drop_newest_is_accepted_and_dropped);
    tcase_add_loop_test(c, each_outcome_has_its_counter, 0, 4);
    tcase_add_test(c, settling_twice_is_told);
    tcase_add_test(c, graceful_shutdown_lets_what_is_ready_out);
    tcase_add_test(c, immediate_shutdown_drops_the_ready_not_what_is_in_hand);
    tcase_add_test(c, paused_takes_nothing_and_purge_empties);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
