/* SPDX-License-Identifier: Apache-2.0
 *
 * In which order jobs are taken: priorities with ageing, the order of a key, fair share among keys, and their limits.
 */
#include <stdio.h>

#include "broker_fixture.h"

static struct job_put of_priority(uint8_t priority)
{
    return (struct job_put){ .body = { .bytes = 1 }, .priority = priority };
}

/* ---- priorities ---- */

START_TEST(higher_priorities_go_first)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t ids[PRIORITY_MAX + 1];
    for (uint8_t p = 0; p <= PRIORITY_MAX; p++)
        ids[p] = put_ok(b, of_priority(p));
    for (int p = PRIORITY_MAX; p >= 0; p--)
        ck_assert_uint_eq(take_ok(b).id, ids[p]);
    ck_assert_int_eq(put_job(b, of_priority(PRIORITY_MAX + 1), NULL), PEN_EINVAL);
    the_end(b);
}
END_TEST

/* A job of priority p, and then higher ones for ever: how many of them go before it. */
static uint64_t passed_by(uint8_t p, uint8_t higher)
{
    struct broker *b = broker_of((struct broker_limits){ .items_max = 100 });
    uint64_t low = put_ok(b, of_priority(p)), n = 0;
    for (;; n++) {
        (void)put_ok(b, of_priority(higher));
        struct job j = take_ok(b);
        settle_ok(b, &j, OUTCOME_DONE);
        if (j.id == low)
            break;
    }
    the_end(b);
    return n;
}

START_TEST(low_priorities_do_not_starve)
{
    ck_assert_uint_eq(passed_by(0, 9), AGE_JOBS * 9);
    ck_assert_uint_eq(passed_by(4, 5), AGE_JOBS);
    ck_assert_uint_eq(passed_by(8, 8), 0);
}
END_TEST

START_TEST(a_position_counts_those_that_go_before)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    static const struct {
        uint8_t priority;
        uint32_t position;
    } rows[] = { { 5, 0 }, { 5, 1 }, { 9, 0 }, { 0, 3 }, { 7, 1 }, { 5, 4 } };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct job_put put = of_priority(rows[k].priority);
        ck_assert_int_eq(broker_put(b, &put, 1, test_now), 1);
        ck_assert_uint_eq(put.ret_position, rows[k].position);
    }
    the_end(b);
}
END_TEST

/* ---- the order of a key ---- */

START_TEST(one_of_a_key_at_a_time_and_others_pass)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t a1 = put_key(b, "a"), a2 = put_key(b, "a"), b1 = put_key(b, "b");
    ck_assert_uint_eq(broker_ledger(b)->ready, 2);
    ck_assert_uint_eq(broker_ledger(b)->waiting, 1);
    struct job j = take_ok(b);
    ck_assert_uint_eq(j.id, a1);
    ck_assert_uint_eq(take_ok(b).id, b1);
    ck_assert(takes_nothing(b));
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_uint_eq(take_ok(b).id, a2);
    the_end(b);
}
END_TEST

START_TEST(a_failed_one_goes_first_again_and_blocks_only_its_key)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t a1 = put_key(b, "a"), a2 = put_key(b, "a"), b1 = put_key(b, "b");
    struct job j = take_ok(b);
    struct job_failure why = { .delay = span_s(10) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RETRY, &why), 0);
    ck_assert_uint_eq(take_ok(b).id, b1);
    ck_assert(takes_nothing(b));
    (void)pass_s(b, 10);
    j = take_ok(b);
    ck_assert_uint_eq(j.id, a1);
    settle_ok(b, &j, OUTCOME_RETRY); /* Without a backoff at once, and still first. */
    j = take_ok(b);
    ck_assert_uint_eq(j.id, a1);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_uint_eq(take_ok(b).id, a2);
    the_end(b);
}
END_TEST

START_TEST(what_ends_a_blocked_job_frees_its_key)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct job_ext *ext = with_key("a");
    ext->expires_at = in_s(5);
    (void)put_ok(b, (struct job_put){ .ext = ext });
    uint64_t second = put_key(b, "a");
    struct job j = take_ok(b);
    struct job_failure why = { .delay = span_s(10) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RETRY, &why), 0);
    ck_assert(takes_nothing(b));
    (void)pass_s(b, 5);
    ck_assert_uint_eq(reap_all(b, DROP_EXPIRED), 1);
    ck_assert_uint_eq(take_ok(b).id, second);
    the_end(b);
}
END_TEST

START_TEST(kicking_a_blocked_job_keeps_its_place)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t first = put_key(b, "a");
    (void)put_key(b, "a");
    struct job j = take_ok(b);
    struct job_failure why = { .delay = span_s(10) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RELEASED, &why), 0);
    ck_assert_uint_eq(broker_kick(b, 1, test_now), 1);
    ck_assert_uint_eq(take_ok(b).id, first);
    the_end(b);
}
END_TEST

START_TEST(a_delayed_put_joins_its_key_when_its_time_has_come)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct job_ext *ext = with_key("a");
    ext->delay_until = in_s(10);
    uint64_t late = put_ok(b, (struct job_put){ .ext = ext });
    uint64_t first = put_key(b, "a"), second = put_key(b, "a");
    struct job j = take_ok(b);
    ck_assert_uint_eq(j.id, first);
    (void)pass_s(b, 10);
    settle_ok(b, &j, OUTCOME_DONE);
    j = take_ok(b);
    ck_assert_uint_eq(j.id, second);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_uint_eq(take_ok(b).id, late);
    the_end(b);
}
END_TEST

START_TEST(a_buried_job_has_left_its_key)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t first = put_key(b, "a"), second = put_key(b, "a");
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_BURIED);
    j = take_ok(b);
    ck_assert_uint_eq(j.id, second);
    ck_assert_uint_eq(broker_kick(b, 1, test_now), 1);
    ck_assert(takes_nothing(b));
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_uint_eq(take_ok(b).id, first);
    the_end(b);
}
END_TEST

START_TEST(a_dead_job_frees_its_key)
{
    struct broker *b =
        broker_of((struct broker_limits){ .attempts_max = 1, .dead_letters = _i == 1 });
    (void)put_key(b, "a");
    uint64_t second = put_key(b, "a");
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_RETRY);
    ck_assert_uint_eq(take_ok(b).id, second);
    the_end(b);
}
END_TEST

START_TEST(a_key_has_its_bounds)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    char key[LIMIT_KEY_BYTES + 2];
    memset(key, 'k', sizeof key);
    key[LIMIT_KEY_BYTES] = '\0';
    (void)put_key(b, key);
    key[LIMIT_KEY_BYTES] = 'k';
    key[LIMIT_KEY_BYTES + 1] = '\0';
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = with_key(key) }, NULL), PEN_EINVAL);
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = with_key("") }, NULL), PEN_EINVAL);
    struct job_ext *heavy = with_key("w"), *too_heavy = with_key("w");
    heavy->weight = WEIGHT_MAX;
    too_heavy->weight = WEIGHT_MAX + 1;
    (void)put_ok(b, (struct job_put){ .ext = heavy });
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = too_heavy }, NULL), PEN_EINVAL);
    ck_assert_uint_eq(broker_ledger(b)->keys, 2);
    the_end(b);
}
END_TEST

START_TEST(keys_without_jobs_are_forgotten)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    for (int k = 0; k < 5000; k++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %d", k);
        (void)put_key(b, key);
        struct job j = take_ok(b);
        settle_ok(b, &j, OUTCOME_DONE);
    }
    ck_assert_uint_le(broker_ledger(b)->keys, 1025);
    the_end(b);
}
END_TEST

/* ---- shares ---- */

/* One worker, who takes what comes and needs as long as its key says; returns how often `key` of n was served. */
struct share {
    const char *key; /* NULL: without */
    uint32_t weight;
    int64_t cpu_ns;
    uint64_t served_ns;
};

static void put_share(struct broker *b, const struct share *s)
{
    struct job_ext *ext = s->key == NULL ? NULL : with_key(s->key);
    if (ext != NULL)
        ext->weight = s->weight;
    (void)put_ok(b, (struct job_put){ .body = { .bytes = 1 }, .ext = ext });
}

static struct share *share_of(struct share *shares, size_t n, const struct job *j)
{
    for (size_t k = 0; k < n; k++)
        if ((j->ext == NULL && shares[k].key == NULL) ||
            (j->ext != NULL && shares[k].key != NULL && strcmp(j->ext->key, shares[k].key) == 0))
            return &shares[k];
    ck_abort_msg("a job of nobody");
}

static void serve(struct broker *b, struct share *shares, size_t n, int turns)
{
    for (int t = 0; t < turns; t++) {
        struct job j = take_ok(b);
        struct share *s = share_of(shares, n, &j);
        struct job_settle end = { .id = j.id, .index = j.index, .cpu_ns = s->cpu_ns };
        size_t settled;
        s->served_ns += (uint64_t)s->cpu_ns;
        ck_assert_int_eq(broker_settle(b, &end, 1, test_now, &settled), 0);
        job_ext_free(end.ret_ext);
        put_share(b, s);
    }
}

static void near(uint64_t a, uint64_t b)
{
    ck_assert_uint_le(a, b + b / 20);
    ck_assert_uint_le(b, a + a / 20);
}

START_TEST(keys_share_measured_time_by_weight)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct share shares[] = { { "cheap", 1, 10000, 0 },
                              { "dear", 1, 1000000, 0 },
                              { "paid", 3, 50000, 0 },
                              { NULL, 0, 20000, 0 } };
    for (size_t k = 0; k < 4; k++)
        for (int j = 0; j < 3; j++)
            put_share(b, &shares[k]);
    serve(b, shares, 4, 20000);
    near(shares[0].served_ns, shares[1].served_ns);
    near(shares[0].served_ns, shares[3].served_ns);
    near(shares[2].served_ns, 3 * shares[0].served_ns);
    the_end(b);
}
END_TEST

START_TEST(nobody_saves_up_and_nobody_pays_for_the_past)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct share shares[] = { { "a", 1, 1000000, 0 }, { "b", 1, 1000000, 0 } };
    put_share(b, &shares[0]);
    serve(b, shares, 1, 1000); /* Alone: it may have all. */
    put_share(b, &shares[1]);
    shares[0].served_ns = 0;
    serve(b, shares, 2, 100);
    near(shares[0].served_ns, shares[1].served_ns);
    the_end(b);
}
END_TEST

START_TEST(a_flood_of_one_key_holds_up_nobody)
{
    struct broker *b = broker_of((struct broker_limits){ .key_in_flight_max = 100 });
    for (int k = 0; k < 500; k++)
        (void)put_key(b, "flood");
    uint64_t small = put_key(b, "small");
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_uint_eq(take_ok(b).id, small); /* The flood has used something, the other nothing. */
    the_end(b);
}
END_TEST

/* ---- limits of a key ---- */

START_TEST(more_of_a_key_may_be_in_flight)
{
    struct broker *b = broker_of((struct broker_limits){ .key_in_flight_max = 2 });
    for (int k = 0; k < 4; k++)
        (void)put_key(b, "a");
    struct job j = take_ok(b);
    (void)take_ok(b);
    ck_assert(takes_nothing(b));
    struct job_failure why = { .delay = span_s(10) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RETRY, &why), 0); /* Which blocks nobody. */
    (void)take_ok(b);
    ck_assert(takes_nothing(b));
    struct broker_limits limits = { .items_max = 1000, .key_in_flight_max = 3 };
    ck_assert_int_eq(broker_set_limits(b, &limits, test_now), 0);
    (void)take_ok(b);
    ck_assert(takes_nothing(b));
    the_end(b);
}
END_TEST

START_TEST(a_key_has_a_rate)
{
    struct broker *b = broker_of((struct broker_limits){ .key_rate_max = 1 });
    for (int k = 0; k < 2; k++) {
        (void)put_key(b, "a");
        (void)put_key(b, "b");
    }
    for (int round = 0; round < 2; round++) {
        for (int k = 0; k < 2; k++) {
            struct job j = take_ok(b);
            settle_ok(b, &j, OUTCOME_DONE);
        }
        ck_assert(takes_nothing(b));
        test_now.ns += NS_PER_S - 1;
        (void)broker_tick(b, test_now, 9);
        ck_assert(takes_nothing(b));
        test_now.ns += 1;
        ck_assert_uint_eq(broker_tick(b, test_now, 9), round == 0 ? 2 : 0);
    }
    the_end(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_order");
    TCase *c = tcase_create("priorities");
    tcase_add_test(c, higher_priorities_go_first);
    tcase_add_test(c, low_priorities_do_not_starve);
    tcase_add_test(c, a_position_counts_those_that_go_before);
    suite_add_tcase(suite, c);
    c = tcase_create("keys");
    tcase_add_test(c, one_of_a_key_at_a_time_and_others_pass);
    tcase_add_test(c, a_failed_one_goes_first_again_and_blocks_only_its_key);
    tcase_add_test(c, what_ends_a_blocked_job_frees_its_key);
    tcase_add_test(c, kicking_a_blocked_job_keeps_its_place);
    tcase_add_test(c, a_delayed_put_joins_its_key_when_its_time_has_come);
    tcase_add_test(c, a_buried_job_has_left_its_key);
    tcase_add_loop_test(c, a_dead_job_frees_its_key, 0, 2);
    tcase_add_test(c, a_key_has_its_bounds);
    tcase_add_test(c, keys_without_jobs_are_forgotten);
    suite_add_tcase(suite, c);
    c = tcase_create("shares");
    tcase_add_test(c, keys_share_measured_time_by_weight);
    tcase_add_test(c, nobody_saves_up_and_nobody_pays_for_the_past);
    tcase_add_test(c, a_flood_of_one_key_holds_up_nobody);
    tcase_add_test(c, more_of_a_key_may_be_in_flight);
    tcase_add_test(c, a_key_has_a_rate);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
