/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be asked of a put: delay, expiry, dedupe, all or none, a place set aside; and what the receipt tells.
 */
#include "broker_fixture.h"

/* ---- time ---- */

START_TEST(a_delayed_job_is_ready_at_its_time)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct job_ext *ext = ext_new();
    ext->delay_until = in_s(10);
    uint64_t late = put_ok(b, (struct job_put){ .ext = ext }), early = put_plain(b);
    ck_assert_uint_eq(broker_ledger(b)->delayed, 1);
    ck_assert_int_eq(broker_next_due(b).ns, in_s(10).ns);
    ck_assert_uint_eq(take_ok(b).id, early);
    ck_assert_uint_eq(pass_s(b, 9), 0);
    ck_assert(takes_nothing(b));
    ck_assert_uint_eq(pass_s(b, 1), 1);
    ck_assert_uint_eq(take_ok(b).id, late);
    the_end(b);
}
END_TEST

START_TEST(a_delay_that_is_over_is_none)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct job_ext *ext = ext_new();
    ext->delay_until = test_now;
    uint64_t id = put_ok(b, (struct job_put){ .ext = ext });
    ck_assert_uint_eq(take_ok(b).id, id);
    the_end(b);
}
END_TEST

static struct job_put expiring(int64_t s)
{
    struct job_ext *ext = ext_new();
    ext->expires_at = in_s(s);
    return (struct job_put){ .body = { .bytes = 1 }, .ext = ext };
}

START_TEST(expired_jobs_are_not_handed_out)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_ok(b, expiring(5));
    uint64_t second = put_plain(b);
    test_now = in_s(5); /* And no tick. */
    ck_assert_uint_eq(take_ok(b).id, second);
    ck_assert_uint_eq(broker_ledger(b)->expired, 1);
    ck_assert_uint_eq(reap_all(b, DROP_EXPIRED), 1);
    the_end(b);
}
END_TEST

START_TEST(expired_jobs_leave_by_themselves)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_ok(b, expiring(5));
    (void)put_ok(b, expiring(6));
    struct job_put delayed = expiring(7);
    delayed.ext->delay_until = in_s(100);
    (void)put_ok(b, delayed);
    struct job_put in_order = expiring(8);
    in_order.ext->key = strdup("a");
    (void)put_key(b, "a");
    (void)put_ok(b, in_order);
    ck_assert_uint_eq(pass_s(b, 5), 1);
    ck_assert_uint_eq(pass_s(b, 3), 3);
    ck_assert_uint_eq(broker_ledger(b)->ready, 1);
    ck_assert_uint_eq(broker_ledger_held(broker_ledger(b)), 1);
    ck_assert_uint_eq(reap_all(b, DROP_EXPIRED), 4);
    the_end(b);
}
END_TEST

START_TEST(a_job_in_hand_expires_when_it_comes_back)
{
    static const enum job_outcome outcomes[] = { OUTCOME_RETRY, OUTCOME_RELEASED, OUTCOME_CRASHED };
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_ok(b, expiring(5));
    struct job j = take_ok(b);
    (void)pass_s(b, 10);
    ck_assert_uint_eq(broker_ledger(b)->expired, 0);
    settle_ok(b, &j, outcomes[_i]);
    ck_assert_uint_eq(reap_all(b, DROP_EXPIRED), 1);
    (void)put_ok(b, expiring(5));
    j = take_ok(b);
    (void)pass_s(b, 10);
    settle_ok(b, &j, OUTCOME_DONE); /* Late, but done. */
    ck_assert_uint_eq(broker_ledger(b)->done, 1);
    the_end(b);
}
END_TEST

START_TEST(what_has_expired_is_accepted_and_expired)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    ck_assert_int_eq(put_job(b, expiring(0), NULL), PEN_EEXPIRED);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 1);
    ck_assert_uint_eq(broker_ledger(b)->expired, 1);
    the_end(b);
}
END_TEST

/* ---- estimates ---- */

START_TEST(a_wait_is_estimated_from_measured_times)
{
    struct broker *b = broker_of((struct broker_limits){ .refuse_late = true });
    ck_assert_int_eq(broker_eta(b, 5).ns, -1);
    broker_set_servers(b, 2);
    ck_assert_int_eq(broker_eta(b, 5).ns, -1); /* Nothing is measured yet. */
    (void)put_plain(b);
    struct job j = take_ok(b);
    struct job_settle s = { .id = j.id, .index = j.index, .service_ns = 4 * (int64_t)NS_PER_S };
    size_t settled;
    ck_assert_int_eq(broker_settle(b, &s, 1, test_now, &settled), 0);
    ck_assert_int_eq(broker_eta(b, 0).ns, 0);
    ck_assert_int_eq(broker_eta(b, 10).ns, span_s(20).ns);
    for (int k = 0; k < 10; k++)
        (void)put_plain(b);
    ck_assert_int_eq(put_job(b, expiring(20), NULL), PEN_ELATE);
    ck_assert_int_eq(put_job(b, expiring(21), NULL), 0);
    broker_set_servers(b, 0);
    ck_assert_int_eq(put_job(b, expiring(1), NULL), 0); /* Nobody knows. */
    the_end(b);
}
END_TEST

START_TEST(a_lease_measures_its_time)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    broker_set_servers(b, 1);
    (void)put_plain(b);
    struct job j = lease_ok(b, 60, 7);
    (void)pass_s(b, 3);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_int_eq(broker_eta(b, 2).ns, span_s(6).ns);
    the_end(b);
}
END_TEST

/* ---- dedupe ---- */

static int put_twin(struct broker *b, const char *text, uint64_t *ret_id)
{
    return put_job(b, (struct job_put){ .ext = with_dedupe(text) }, ret_id);
}

START_TEST(a_duplicate_is_told_the_first)
{
    struct broker *b = broker_of((struct broker_limits){ .dedupe_window = span_s(10) });
    uint64_t first, id;
    ck_assert_int_eq(put_twin(b, "order 1", &first), 0);
    ck_assert_int_eq(put_twin(b, "order 1", &id), PEN_EDUPLICATE);
    ck_assert_uint_eq(id, first);
    ck_assert_int_eq(put_twin(b, "order 2", &id), 0);
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_int_eq(put_twin(b, "order 1", &id), PEN_EDUPLICATE); /* Though it has ended. */
    test_now = in_s(9);
    ck_assert_int_eq(put_twin(b, "order 1", &id), PEN_EDUPLICATE);
    test_now = in_s(1);
    ck_assert_int_eq(put_twin(b, "order 1", &id), 0);
    ck_assert_uint_ne(id, first);
    ck_assert_uint_eq(broker_ledger(b)->duplicates, 3);
    the_end(b);
}
END_TEST

START_TEST(the_window_is_bounded_in_number)
{
    struct broker *b =
        broker_of((struct broker_limits){ .dedupe_window = span_s(10), .dedupe_max = 2 });
    ck_assert_int_eq(put_twin(b, "1", NULL), 0);
    ck_assert_int_eq(put_twin(b, "2", NULL), 0);
    ck_assert_int_eq(put_twin(b, "1", NULL), PEN_EDUPLICATE);
    ck_assert_int_eq(put_twin(b, "3", NULL), 0);
    ck_assert_int_eq(put_twin(b, "1", NULL), 0); /* Forgotten; it is the newest now. */
    ck_assert_int_eq(put_twin(b, "3", NULL), PEN_EDUPLICATE);
    ck_assert_int_eq(put_twin(b, "2", NULL), 0);
    the_end(b);
}
END_TEST

START_TEST(coalescing_lasts_as_long_as_the_job)
{
    struct broker *b = broker_of((struct broker_limits){ .dedupe_window = span_s(10 * _i) });
    uint64_t first, id;
    struct job_ext *ext = with_dedupe("report");
    ext->coalesce = true;
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = ext }, &first), 0);
    test_now = in_s(1000);
    ck_assert_int_eq(put_twin(b, "report", &id), PEN_EDUPLICATE);
    struct job j = take_ok(b);
    ck_assert_int_eq(put_twin(b, "report", &id), PEN_EDUPLICATE); /* It runs. */
    ck_assert_uint_eq(id, first);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_int_eq(put_twin(b, "report", &id), 0);
    the_end(b);
}
END_TEST

START_TEST(without_a_window_nothing_is_a_duplicate)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    ck_assert_int_eq(put_twin(b, "1", NULL), 0);
    ck_assert_int_eq(put_twin(b, "1", NULL), 0);
    the_end(b);
}
END_TEST

START_TEST(a_put_that_fails_is_not_remembered)
{
    struct broker *b = broker_of((struct broker_limits){
        .items_max = 1, .policy = BROKER_REJECT, .dedupe_window = span_s(9) });
    struct job_ext *ext = with_dedupe("x");
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = ext, .priority = 10 }, NULL), PEN_EINVAL);
    (void)put_plain(b);
    ck_assert_int_eq(put_twin(b, "x", NULL), PEN_EFULL);
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_int_eq(put_twin(b, "x", NULL), 0);
    ck_assert_int_eq(put_twin(b, "x", NULL), PEN_EDUPLICATE); /* Which a full queue can tell. */
    the_end(b);
}
END_TEST

/* ---- all or none ---- */

START_TEST(a_batch_is_all_or_none)
{
    struct broker *b = broker_of((struct broker_limits){ .items_max = 3, .policy = BROKER_REJECT });
    struct job_put puts[3] = { { .priority = 1 }, { .priority = 2 }, { .priority = 3 } };
    (void)put_plain(b);
    ck_assert_int_eq(broker_put_all(b, puts, 3, test_now), PEN_EFULL);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 1);
    ck_assert_uint_eq(broker_ledger(b)->refused, 3);
    ck_assert_int_eq(broker_put_all(b, puts, 2, test_now), 2);
    ck_assert_uint_eq(broker_ledger(b)->ready, 3);
    the_end(b);
}
END_TEST

START_TEST(one_bad_job_refuses_its_batch)
{
    struct broker *b = broker_of((struct broker_limits){ .dedupe_window = span_s(9) });
    struct job_put puts[3] = { { .ext = with_key("a") },
                               { .ext = with_dedupe("d") },
                               { .priority = 10 } };
    ck_assert_int_eq(broker_put_all(b, puts, 3, test_now), PEN_EINVAL);
    ck_assert_uint_eq(broker_ledger(b)->keys + broker_ledger_held(broker_ledger(b)), 0);
    puts[2].priority = 9;
    ck_assert_int_eq(broker_put_all(b, puts, 3, test_now), 3);
    ck_assert_uint_eq(broker_ledger(b)->ready, 3);
    the_end(b);
}
END_TEST

START_TEST(duplicates_do_not_refuse_their_batch)
{
    struct broker *b = broker_of((struct broker_limits){ .dedupe_window = span_s(9) });
    struct job_put puts[3] = { { .ext = with_dedupe("d") },
                               { .priority = 0 },
                               { .ext = with_dedupe("d") } };
    ck_assert_int_eq(broker_put_all(b, puts, 3, test_now), 3);
    ck_assert_int_eq(puts[2].ret_status, PEN_EDUPLICATE);
    ck_assert_uint_eq(puts[2].ret_id, puts[0].ret_id);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 2);
    ck_assert_uint_eq(broker_ledger(b)->duplicates, 1);
    job_ext_free(puts[2].ext);
    the_end(b);
}
END_TEST

START_TEST(a_batch_waits_for_room_and_one_too_large_does_not)
{
    struct broker *b = broker_of((struct broker_limits){ .items_max = 3, .bytes_max = 10 });
    struct job_put puts[4] = { { .body = { .bytes = 5 } }, { .body = { .bytes = 5 } } };
    (void)put_plain(b);
    ck_assert(!broker_has_room_for(b, 2, 10));
    ck_assert_int_eq(broker_put_all(b, puts, 2, test_now), 0);
    puts[1].body.bytes = 6;
    ck_assert_int_eq(broker_put_all(b, puts, 2, test_now), PEN_ETOOBIG);
    ck_assert_int_eq(broker_put_all(b, puts, 4, test_now), PEN_ETOOBIG);
    puts[0].body.bytes = 3;
    ck_assert_int_eq(broker_put_all(b, puts, 2, test_now), 2);
    the_end(b);
}
END_TEST

/* ---- reserved ---- */

START_TEST(what_is_reserved_can_be_put_whatever_comes)
{
    struct broker *b = broker_of((struct broker_limits){ .items_max = 3, .policy = BROKER_REJECT });
    struct job_put puts[2] = { { .ext = with_key("a"), .body = { .bytes = 3 } }, { .priority = 3 } };
    ck_assert_int_eq(broker_reserve_put(b, puts, 2, test_now), 0);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 0);
    ck_assert(!broker_is_idle(b));
    (void)put_plain(b);
    ck_assert_int_eq(put_job(b, (struct job_put){ 0 }, NULL), PEN_EFULL);
    broker_shutdown(b, BROKER_DRAIN);
    ck_assert(!broker_is_over(b));
    broker_put_reserved(b, puts, 2, test_now);
    ck_assert_int_eq(puts[0].ret_status, 0);
    for (int k = 0; k < 3; k++) {
        struct job j = take_ok(b);
        settle_ok(b, &j, OUTCOME_DONE);
    }
    ck_assert(broker_is_over(b) && broker_is_idle(b));
    the_end(b);
}
END_TEST

START_TEST(what_was_reserved_in_vain_is_given_back)
{
    struct broker *b = broker_of((struct broker_limits){
        .items_max = 2, .policy = BROKER_REJECT, .dedupe_window = span_s(9) });
    struct job_put puts[2] = { { .ext = with_key("a"), .body = { .bytes = 3 } },
                               { .ext = with_dedupe("d") } };
    puts[0].ext->delay_until = in_s(5);
    puts[0].ext->expires_at = in_s(9);
    ck_assert_int_eq(broker_reserve_put(b, puts, 2, test_now), 0);
    ck_assert_int_eq(put_job(b, (struct job_put){ 0 }, NULL), PEN_EFULL);
    broker_unreserve(b, puts, 2);
    ck_assert_uint_eq(broker_ledger(b)->keys, 0);
    ck_assert(broker_is_idle(b));
    ck_assert_int_eq(put_twin(b, "d", NULL), 0);
    (void)put_plain(b);
    job_ext_free(puts[0].ext);
    job_ext_free(puts[1].ext);
    the_end(b);
}
END_TEST

/* ---- room by priority ---- */

START_TEST(the_lowest_make_room_the_oldest_first)
{
    struct broker *b =
        broker_of((struct broker_limits){ .items_max = 3, .policy = BROKER_DROP_LOWEST });
    (void)put_ok(b, (struct job_put){ .priority = 2 });
    (void)put_ok(b, (struct job_put){ .priority = 1 });
    (void)put_ok(b, (struct job_put){ .priority = 1 });
    ck_assert_int_eq(put_job(b, (struct job_put){ .priority = 1 }, NULL), PEN_EDROPPED);
    for (int k = 0; k < 2; k++) {
        (void)put_ok(b, (struct job_put){ .priority = 2 });
        struct broker_drops drops = broker_take_drops(b);
        struct job_dropped d;
        ck_assert_uint_eq(broker_reap(b, &drops, &d, 1), 1);
        ck_assert_uint_eq(d.id, 2 + (uint64_t)k);
        ck_assert_int_eq(d.reason, DROP_LOWEST);
    }
    ck_assert_int_eq(put_job(b, (struct job_put){ .priority = 2 }, NULL), PEN_EDROPPED);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_NEWEST], 2);
    the_end(b);
}
END_TEST

START_TEST(the_oldest_make_room_also_behind_their_key)
{
    struct broker *b =
        broker_of((struct broker_limits){ .items_max = 3, .policy = BROKER_DROP_OLDEST });
    (void)put_key(b, "a");
    uint64_t second = put_key(b, "a"), third = put_key(b, "b");
    struct job j = take_ok(b);
    uint64_t fourth = put_plain(b);
    ck_assert_uint_eq(reap_all(b, DROP_OLDEST), 1);
    settle_ok(b, &j, OUTCOME_DONE);
    ck_assert_uint_eq(take_ok(b).id + take_ok(b).id, third + fourth); /* The second has gone. */
    ck_assert_uint_ne(second, third);
    the_end(b);
}
END_TEST

START_TEST(lowering_a_bound_drops_nothing)
{
    struct broker *b = broker_of((struct broker_limits){ .policy = BROKER_REJECT });
    for (int k = 0; k < 4; k++)
        (void)put_plain(b);
    struct broker_limits limits = { .items_max = 2, .policy = BROKER_REJECT };
    ck_assert_int_eq(broker_set_limits(b, &limits, test_now), 0);
    ck_assert_uint_eq(broker_ledger(b)->ready, 4);
    for (int k = 0; k < 3; k++) {
        ck_assert_int_eq(put_job(b, (struct job_put){ 0 }, NULL), PEN_EFULL);
        struct job j = take_ok(b);
        settle_ok(b, &j, OUTCOME_DONE);
    }
    (void)put_plain(b);
    limits.items_max = 0;
    ck_assert_int_eq(broker_set_limits(b, &limits, test_now), PEN_EINVAL);
    the_end(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_put");
    TCase *c = tcase_create("time");
    tcase_add_test(c, a_delayed_job_is_ready_at_its_time);
    tcase_add_test(c, a_delay_that_is_over_is_none);
    tcase_add_test(c, expired_jobs_are_not_handed_out);
    tcase_add_test(c, expired_jobs_leave_by_themselves);
    tcase_add_loop_test(c, a_job_in_hand_expires_when_it_comes_back, 0, 3);
    tcase_add_test(c, what_has_expired_is_accepted_and_expired);
    tcase_add_test(c, a_wait_is_estimated_from_measured_times);
    tcase_add_test(c, a_lease_measures_its_time);
    suite_add_tcase(suite, c);
    c = tcase_create("dedupe");
    tcase_add_test(c, a_duplicate_is_told_the_first);
    tcase_add_test(c, the_window_is_bounded_in_number);
    tcase_add_loop_test(c, coalescing_lasts_as_long_as_the_job, 0, 2);
    tcase_add_test(c, without_a_window_nothing_is_a_duplicate);
    tcase_add_test(c, a_put_that_fails_is_not_remembered);
    suite_add_tcase(suite, c);
    c = tcase_create("batches");
    tcase_add_test(c, a_batch_is_all_or_none);
    tcase_add_test(c, one_bad_job_refuses_its_batch);
    tcase_add_test(c, duplicates_do_not_refuse_their_batch);
    tcase_add_test(c, a_batch_waits_for_room_and_one_too_large_does_not);
    tcase_add_test(c, what_is_reserved_can_be_put_whatever_comes);
    tcase_add_test(c, what_was_reserved_in_vain_is_given_back);
    tcase_add_test(c, the_lowest_make_room_the_oldest_first);
    tcase_add_test(c, the_oldest_make_room_also_behind_their_key);
    tcase_add_test(c, lowering_a_bound_drops_nothing);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
