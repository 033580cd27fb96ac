/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases and attempts: who has a job, how it comes back, and when it has failed for good.
 */
#include "broker_fixture.h"

/* ---- leases ---- */

START_TEST(a_lease_ends_at_its_time_and_not_before)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t id = put_plain(b);
    struct job j = lease_ok(b, 10, 7);
    ck_assert_int_eq(broker_next_due(b).ns, in_s(10).ns);
    ck_assert_uint_eq(pass_s(b, 9), 0);
    ck_assert(takes_nothing(b));
    ck_assert_uint_eq(pass_s(b, 1), 1);
    ck_assert_uint_eq(broker_ledger(b)->lease_expired, 1);
    struct job again = lease_ok(b, 10, 8);
    ck_assert_uint_eq(again.id, id);
    ck_assert_uint_eq(again.attempt, 2);
    ck_assert_uint_ne(again.lease, j.lease);
    ck_assert_int_eq(again.ext->error, PEN_ELEASE);
    the_end(b);
}
END_TEST

START_TEST(a_late_ack_is_told_so_and_changes_nothing)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_plain(b);
    struct job late = lease_ok(b, 1, 7);
    (void)pass_s(b, 1);
    ck_assert_int_eq(settle_why(b, &late, OUTCOME_DONE, NULL), PEN_ELEASE); /* It is ready again. */
    struct job now = lease_ok(b, 1, 8);
    ck_assert_int_eq(settle_why(b, &late, OUTCOME_DONE, NULL), PEN_ELEASE); /* Another one has it. */
    ck_assert_int_eq(broker_touch(b, late.id, late.lease, span_s(9), test_now), PEN_ELEASE);
    ck_assert_int_eq(broker_progress(b, late.id, late.lease, "half"), PEN_ELEASE);
    ck_assert_int_eq(broker_next_due(b).ns, in_s(1).ns);
    settle_ok(b, &now, OUTCOME_DONE);
    ck_assert_int_eq(settle_why(b, &late, OUTCOME_DONE, NULL), PEN_ELEASE); /* It has ended. */
    ck_assert_int_eq(settle_why(b, &now, OUTCOME_DONE, NULL), PEN_ELEASE);
    ck_assert_uint_eq(broker_ledger(b)->late, 6);
    ck_assert_uint_eq(broker_ledger(b)->done, 1);
    the_end(b);
}
END_TEST

START_TEST(a_lease_that_never_was_is_told_so)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct job never = { .id = 1, .lease = (uint64_t)1 << 32 };
    ck_assert_int_eq(settle_why(b, &never, OUTCOME_DONE, NULL), PEN_ELEASE);
    (void)put_plain(b);
    struct job j = lease_ok(b, 1, 7), wrong_id = j, wrong_place = j;
    wrong_id.id++;
    wrong_place.lease += 1000;
    ck_assert_int_eq(settle_why(b, &wrong_id, OUTCOME_DONE, NULL), PEN_ELEASE);
    ck_assert_int_eq(settle_why(b, &wrong_place, OUTCOME_DONE, NULL), PEN_ELEASE);
    struct job as_ours = { .id = j.id, .index = j.index };
    ck_assert_int_eq(settle_why(b, &as_ours, OUTCOME_DONE, NULL), PEN_ETOOMANY);
    settle_ok(b, &j, OUTCOME_DONE);
    the_end(b);
}
END_TEST

START_TEST(a_touch_moves_the_end)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_plain(b);
    struct job j = lease_ok(b, 10, 7);
    (void)pass_s(b, 9);
    ck_assert_int_eq(broker_touch(b, j.id, j.lease, span_s(10), test_now), 0);
    ck_assert_uint_eq(pass_s(b, 9), 0);
    ck_assert_int_eq(broker_touch(b, j.id, j.lease, span_s(0), test_now), PEN_EINVAL);
    ck_assert_int_eq(broker_touch(b, j.id, j.lease, span_s(1), test_now),
                     0); /* Shorter is allowed, too. */
    ck_assert_uint_eq(pass_s(b, 1), 1);
    the_end(b);
}
END_TEST

START_TEST(a_handlers_job_has_no_end)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_plain(b);
    struct job j = take_ok(b);
    ck_assert_uint_eq(j.lease, 0);
    ck_assert_int_eq(broker_next_due(b).ns, PEN_NEVER.ns);
    ck_assert_uint_eq(pass_s(b, 1000000), 0);
    settle_ok(b, &j, OUTCOME_DONE);
    the_end(b);
}
END_TEST

START_TEST(a_worker_that_goes_gives_back_in_order_at_once)
{
    enum { JOBS = 10 };
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t ids[JOBS + 1];
    struct job j;
    for (int k = 0; k <= JOBS; k++)
        ids[k] = put_plain(b);
    for (int k = 0; k < JOBS; k++)
        j = lease_ok(b, 100, 7);
    ck_assert_uint_eq(broker_owner_gone(b, 8, test_now), 0);
    ck_assert_uint_eq(broker_owner_gone(b, 7, test_now), JOBS);
    ck_assert_uint_eq(broker_owner_gone(b, 7, test_now), 0);
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_DONE, NULL), PEN_ELEASE);
    for (int k = 0; k <= JOBS; k++) {
        j = take_ok(b);
        ck_assert_uint_eq(j.id, ids[k]);
        ck_assert_uint_eq(j.attempt, k < JOBS ? 2 : 1); /* Charged once. */
    }
    ck_assert_uint_eq(broker_ledger(b)->leased, 0);
    the_end(b);
}
END_TEST

START_TEST(many_workers_come_and_go)
{
    enum { WORKERS = 300 }; /* more than are remembered without a job */
    struct broker *b = broker_of((struct broker_limits){ 0 });
    for (uint64_t w = 0; w < WORKERS; w++) {
        (void)put_plain(b);
        struct job j = lease_ok(b, 5, w);
        if (w % 3 == 0)
            settle_ok(b, &j, OUTCOME_DONE);
    }
    for (uint64_t w = 0; w < WORKERS; w++)
        ck_assert_uint_eq(broker_owner_gone(b, w, test_now), w % 3 != 0);
    ck_assert_uint_eq(broker_ledger(b)->ready, WORKERS - WORKERS / 3);
    the_end(b);
}
END_TEST

START_TEST(progress_is_kept_and_cut)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    char text[LIMIT_PROGRESS_BYTES + 2];
    struct job_view view;
    (void)put_plain(b);
    struct job j = lease_ok(b, 5, 7);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(broker_progress(b, j.id, j.lease, "half"), 0);
    ck_assert_int_eq(broker_progress(b, j.id, j.lease, text), 0);
    ck_assert(broker_peek(b, JOB_LEASED, &view));
    ck_assert_uint_eq(strlen(view.ext->progress), LIMIT_PROGRESS_BYTES);
    ck_assert_uint_eq(view.owner, 7);
    ck_assert_int_eq(view.due.ns, in_s(5).ns);
    the_end(b);
}
END_TEST

/* ---- back ---- */

START_TEST(released_goes_to_the_front_charged_or_not)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t first = put_plain(b);
    (void)put_plain(b);
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_RELEASED);
    j = take_ok(b);
    ck_assert_uint_eq(j.id, first);
    ck_assert_uint_eq(j.attempt, 2);
    struct job_failure free_of_charge = { .uncharged = true };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RELEASED, &free_of_charge), 0);
    j = take_ok(b);
    ck_assert_uint_eq(j.id, first);
    ck_assert_uint_eq(j.attempt, 2);
    ck_assert_uint_eq(broker_ledger(b)->released, 2);
    the_end(b);
}
END_TEST

START_TEST(released_with_a_delay_waits)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    (void)put_plain(b);
    struct job j = lease_ok(b, 5, 7);
    struct job_failure later = { .delay = span_s(30) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RELEASED, &later), 0);
    ck_assert_uint_eq(broker_ledger(b)->delayed, 1);
    ck_assert_int_eq(broker_next_due(b).ns, in_s(30).ns);
    (void)pass_s(b, 29);
    ck_assert(takes_nothing(b));
    (void)pass_s(b, 1);
    (void)take_ok(b);
    the_end(b);
}
END_TEST

START_TEST(without_a_backoff_a_failure_goes_to_the_end)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    uint64_t first = put_plain(b), second = put_plain(b);
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_RETRY);
    ck_assert_uint_eq(take_ok(b).id, second);
    ck_assert_uint_eq(take_ok(b).id, first);
    ck_assert_uint_eq(broker_ledger(b)->retried, 1);
    the_end(b);
}
END_TEST

START_TEST(backoffs_double_up_to_the_cap_with_full_jitter)
{
    struct broker *b =
        broker_of((struct broker_limits){ .backoff_base = span_s(8), .backoff_cap = span_s(30) });
    static const int64_t bounds_s[] = { 8, 16, 30, 30, 30 };
    int64_t most = 0;
    for (int round = 0; round < 200; round++) {
        (void)put_plain(b);
        for (size_t k = 0; k < sizeof bounds_s / sizeof bounds_s[0]; k++) {
            struct job j = take_ok(b), none;
            settle_ok(b, &j, OUTCOME_RETRY);
            int64_t wait = broker_next_due(b).ns - test_now.ns;
            ck_assert_int_ge(wait, 0);
            ck_assert_int_le(wait, span_s(bounds_s[k]).ns);
            most = k == 0 && wait > most ? wait : most;
            ck_assert(wait == 0 || !take_for(b, 0, 0, &none));
            test_now.ns += wait;
            ck_assert_uint_eq(broker_tick(b, test_now, 9), 1);
        }
        struct job j = take_ok(b);
        settle_ok(b, &j, OUTCOME_DONE);
    }
    ck_assert_int_gt(most, span_s(7).ns); /* All of the range is used. */
    the_end(b);
}
END_TEST

START_TEST(a_failure_may_ask_for_a_longer_wait)
{
    struct broker *b = broker_of((struct broker_limits){ .backoff_base = span_s(1) });
    (void)put_plain(b);
    struct job j = take_ok(b);
    char by[LIMIT_NAME_BYTES + 2];
    memset(by, 'x', sizeof by);
    by[LIMIT_NAME_BYTES + 1] = '\0';
    struct job_failure why = { .error = PEN_EHANDLER, .text = "busy", .by = by, .delay = span_s(100) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RETRY, &why), 0);
    ck_assert_int_eq(broker_next_due(b).ns, in_s(100).ns);
    struct job_view view;
    ck_assert(broker_peek(b, JOB_DELAYED, &view));
    ck_assert_str_eq(view.ext->error_text, "busy");
    ck_assert_str_eq(view.ext->failed_by, by + 1); /* cut to what a name may have */
    ck_assert_int_eq(view.ext->error, PEN_EHANDLER);
    ck_assert_int_eq(view.ext->last_failed_at.ns, test_now.ns);
    the_end(b);
}
END_TEST

/* ---- the last attempt ---- */

static void fail_times(struct broker *b, int n, enum job_outcome outcome)
{
    for (int k = 0; k < n; k++) {
        struct job j = take_ok(b);
        settle_ok(b, &j, outcome);
    }
}

START_TEST(after_the_last_attempt_it_is_dropped_or_dying)
{
    bool letters = _i == 1;
    struct broker *b =
        broker_of((struct broker_limits){ .attempts_max = 3, .dead_letters = letters });
    (void)put_plain(b);
    fail_times(b, 2, OUTCOME_RETRY);
    ck_assert_uint_eq(broker_ledger(b)->ready, 1);
    fail_times(b, 1, OUTCOME_RETRY);
    ck_assert(takes_nothing(b));
    ck_assert_uint_eq(broker_ledger(b)->dying, letters);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_FAILED], !letters);
    ck_assert_uint_eq(reap_all(b, DROP_FAILED), !letters);
    ck_assert(broker_has_dying(b) == letters);
    the_end(b);
}
END_TEST

START_TEST(a_job_may_have_its_own_number_of_attempts)
{
    struct broker *b = broker_of((struct broker_limits){ .attempts_max = 3 });
    struct job_ext *ext = ext_new();
    ext->attempts_max = 1;
    (void)put_ok(b, (struct job_put){ .ext = ext });
    fail_times(b, 1, OUTCOME_RETRY);
    ck_assert_uint_eq(reap_all(b, DROP_FAILED), 1);
    the_end(b);
}
END_TEST

START_TEST(crashes_are_charged_to_the_one_that_crashed)
{
    struct broker *b = broker_of(
        (struct broker_limits){ .attempts_max = 10, .crashes_max = 2, .dead_letters = true });
    uint64_t guilty = put_plain(b), neighbour = put_plain(b);
    struct job j = take_ok(b), n = take_ok(b), dying[2];
    ck_assert_uint_eq(j.id, guilty);
    settle_ok(b, &j, OUTCOME_CRASHED);
    struct job_failure bystander = { .uncharged = true };
    ck_assert_int_eq(settle_why(b, &n, OUTCOME_RELEASED, &bystander), 0);
    ck_assert_uint_eq(take_ok(b).id, neighbour);
    j = take_ok(b);
    ck_assert_uint_eq(j.id, guilty);
    settle_ok(b, &j, OUTCOME_CRASHED);
    ck_assert_uint_eq(broker_take_dying(b, dying, 2), 1);
    ck_assert_uint_eq(dying[0].id, guilty);
    ck_assert_uint_eq(dying[0].attempt, 2);
    ck_assert_uint_eq(dying[0].ext->crashes, 2);
    ck_assert_int_eq(dying[0].ext->error, PEN_ECRASHED);
    ck_assert_uint_eq(broker_ledger(b)->crashed, 2);
    the_end(b);
}
END_TEST

START_TEST(dying_jobs_are_handed_out_once_and_settled)
{
    struct broker *b = broker_of((struct broker_limits){ .attempts_max = 1, .dead_letters = true });
    struct job d[3];
    for (int k = 0; k < 3; k++)
        (void)put_plain(b);
    fail_times(b, 3, OUTCOME_RETRY);
    struct job guess = { .id = 1, .index = 0 };
    ck_assert_int_eq(settle_why(b, &guess, OUTCOME_DEAD, NULL), PEN_ETOOMANY); /* not handed out yet */
    ck_assert_uint_eq(broker_take_dying(b, d, 2), 2);
    ck_assert_uint_eq(broker_take_dying(b, d + 2, 2), 1);
    ck_assert_uint_eq(broker_take_dying(b, d, 1), 0);
    ck_assert(!broker_is_idle(b));
    settle_ok(b, &d[0], OUTCOME_DEAD);
    settle_ok(b, &d[1], OUTCOME_FAILED);
    settle_ok(b, &d[2], OUTCOME_RELEASED); /* No room there yet. */
    ck_assert_uint_eq(broker_take_dying(b, d, 2), 1);
    ck_assert_uint_eq(d[0].id, d[2].id);
    settle_ok(b, &d[0], OUTCOME_DEAD);
    ck_assert_uint_eq(broker_ledger(b)->dead, 2);
    ck_assert_uint_eq(broker_ledger(b)->dropped[DROP_FAILED], 1);
    ck_assert(broker_is_idle(b));
    the_end(b);
}
END_TEST

START_TEST(a_lost_lease_at_the_last_attempt_is_death)
{
    struct broker *b = broker_of((struct broker_limits){ .attempts_max = 2, .dead_letters = true });
    (void)put_plain(b);
    (void)lease_ok(b, 5, 7);
    (void)pass_s(b, 5);
    (void)lease_ok(b, 5, 7);
    ck_assert_uint_eq(broker_owner_gone(b, 7, test_now), 1);
    struct job dying;
    ck_assert_uint_eq(broker_take_dying(b, &dying, 1), 1);
    ck_assert_int_eq(dying.ext->error, PEN_EEXITED);
    ck_assert_int_eq(test_now.ns, dying.ext->last_failed_at.ns);
    the_end(b);
}
END_TEST

/* ---- buried ---- */

START_TEST(buried_jobs_wait_for_a_kick)
{
    struct broker *b = broker_of((struct broker_limits){ .attempts_max = 2 });
    uint64_t ids[3];
    for (int k = 0; k < 3; k++)
        ids[k] = put_plain(b);
    for (int k = 0; k < 3; k++) {
        struct job j = lease_ok(b, 5, 7);
        struct job_failure why = { .error = PEN_EHANDLER, .text = "look at me" };
        ck_assert_int_eq(settle_why(b, &j, OUTCOME_BURIED, &why), 0);
    }
    ck_assert_uint_eq(broker_ledger(b)->buried, 3);
    ck_assert(broker_is_idle(b)); /* Nobody waits for them. */
    struct job_view view;
    ck_assert(broker_peek(b, JOB_BURIED, &view));
    ck_assert_uint_eq(view.id, ids[0]);
    ck_assert_str_eq(view.ext->error_text, "look at me");
    ck_assert_uint_eq(broker_kick(b, 2, test_now), 2);
    struct job j = take_ok(b);
    ck_assert_uint_eq(j.id, ids[0]);
    ck_assert_uint_eq(j.attempt, 1); /* They begin anew. */
    ck_assert_uint_eq(take_ok(b).id, ids[1]);
    ck_assert_uint_eq(broker_kick(b, 9, test_now), 1);
    ck_assert_uint_eq(broker_kick(b, 9, test_now), 0);
    the_end(b);
}
END_TEST

START_TEST(without_buried_jobs_a_kick_ends_delays)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    struct job_ext *later = ext_new(), *sooner = ext_new();
    later->delay_until = in_s(20);
    sooner->delay_until = in_s(10);
    uint64_t last = put_ok(b, (struct job_put){ .ext = later });
    uint64_t first = put_ok(b, (struct job_put){ .ext = sooner });
    ck_assert_uint_eq(broker_kick(b, 1, test_now), 1);
    ck_assert_uint_eq(take_ok(b).id, first);
    ck_assert(takes_nothing(b));
    ck_assert_uint_eq(broker_kick(b, 9, test_now), 1);
    ck_assert_uint_eq(take_ok(b).id, last);
    ck_assert_int_eq(broker_next_due(b).ns, PEN_NEVER.ns);
    the_end(b);
}
END_TEST

/* ---- looked at ---- */

START_TEST(every_held_job_can_be_looked_at)
{
    struct broker *b = broker_of((struct broker_limits){ .attempts_max = 1, .dead_letters = true });
    struct job_view view, views[4];
    struct job_ext *ext = ext_new();
    ext->delay_until = in_s(10);
    for (int k = 0; k < 4; k++)
        (void)put_plain(b);
    uint64_t delayed = put_ok(b, (struct job_put){ .ext = ext, .priority = 3 });
    struct job done = take_ok(b), leased = lease_ok(b, 5, 7), ours = take_ok(b);
    settle_ok(b, &done, OUTCOME_DONE);
    ck_assert(!broker_find(b, done.id, &view));
    ck_assert(broker_find(b, ours.id, &view));
    ck_assert_int_eq(view.state, JOB_LEASED);
    ck_assert_int_eq(view.due.ns, PEN_NEVER.ns);
    ck_assert(broker_peek(b, JOB_LEASED, &view));
    ck_assert_uint_eq(view.id, leased.id);
    ck_assert(broker_peek(b, JOB_DELAYED, &view));
    ck_assert_uint_eq(view.id, delayed);
    ck_assert_int_eq(view.due.ns, in_s(10).ns);
    ck_assert_uint_eq(view.priority, 3);
    ck_assert(broker_peek(b, JOB_READY, &view));
    ck_assert_uint_eq(view.id, 4);
    ck_assert(!broker_peek(b, JOB_BURIED, &view));
    ck_assert(!broker_peek(b, JOB_DYING, &view));
    uint32_t cursor = 0;
    ck_assert_uint_eq(broker_list(b, &cursor, views, 3), 3);
    ck_assert_uint_eq(broker_list(b, &cursor, views, 3), 1);
    ck_assert_uint_eq(broker_list(b, &cursor, views, 3), 0);
    ck_assert_str_eq(job_state_word(view.state), "ready");
    the_end(b);
}
END_TEST

START_TEST(a_forgiven_job_has_no_past)
{
    struct broker *b = broker_of((struct broker_limits){ .attempts_max = 1, .dead_letters = true });
    struct job_ext *copy = NULL, *ext = with_key("k");
    (void)put_ok(b, (struct job_put){ .ext = ext });
    struct job j = take_ok(b);
    struct job_failure why = { .error = PEN_EHANDLER, .text = "no", .by = "mailer" };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_CRASHED, &why), 0);
    ck_assert_uint_eq(broker_take_dying(b, &j, 1), 1);
    ck_assert_int_eq(job_ext_copy(j.ext, &copy), 0);
    ck_assert_str_eq(copy->key, "k");
    ck_assert_str_eq(copy->error_text, "no");
    ck_assert_str_eq(copy->failed_by, "mailer");
    ck_assert_uint_eq(copy->crashes, 1);
    job_ext_forgive(copy);
    ck_assert_ptr_null(copy->error_text);
    ck_assert_ptr_null(copy->failed_by);
    ck_assert_int_eq(copy->error, 0);
    ck_assert_uint_eq(copy->crashes, 0);
    ck_assert_str_eq(copy->key, "k");
    (void)put_ok(b, (struct job_put){ .ext = copy });
    the_end(b);
}
END_TEST

/* ---- limits ---- */

START_TEST(in_flight_is_bounded)
{
    struct broker *b = broker_of((struct broker_limits){ .in_flight_max = 2 });
    for (int k = 0; k < 4; k++)
        (void)put_plain(b);
    struct job_take how = { .max = 4 };
    struct job jobs[4];
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 2);
    ck_assert(takes_nothing(b));
    settle_ok(b, &jobs[0], OUTCOME_DONE);
    ck_assert(broker_has_ready(b));
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 1);
    the_end(b);
}
END_TEST

START_TEST(a_rate_is_kept_with_a_burst)
{
    struct broker *b = broker_of((struct broker_limits){ .rate_max = 100 }); /* a burst of 10 */
    for (int k = 0; k < 200; k++)
        (void)put_plain(b);
    struct job_take how = { .max = 200 };
    struct job jobs[200];
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 10);
    ck_assert(!broker_has_ready(b));
    int64_t tenth = NS_PER_S / 100;
    ck_assert_int_eq(broker_next_due(b).ns, test_now.ns + tenth);
    test_now.ns += tenth - 1;
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 0);
    test_now.ns += 1;
    (void)broker_tick(b, test_now, 9);
    ck_assert(broker_has_ready(b));
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 1);
    test_now.ns += 5 * tenth;
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 5);
    test_now.ns += 1000 * tenth;
    ck_assert_int_eq(broker_take(b, &how, jobs, test_now), 10); /* No more is saved up. */
    the_end(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_lease");
    TCase *c = tcase_create("leases");
    tcase_add_test(c, a_lease_ends_at_its_time_and_not_before);
    tcase_add_test(c, a_late_ack_is_told_so_and_changes_nothing);
    tcase_add_test(c, a_lease_that_never_was_is_told_so);
    tcase_add_test(c, a_touch_moves_the_end);
    tcase_add_test(c, a_handlers_job_has_no_end);
    tcase_add_test(c, a_worker_that_goes_gives_back_in_order_at_once);
    tcase_add_test(c, many_workers_come_and_go);
    tcase_add_test(c, progress_is_kept_and_cut);
    suite_add_tcase(suite, c);
    c = tcase_create("attempts");
    tcase_add_test(c, released_goes_to_the_front_charged_or_not);
    tcase_add_test(c, released_with_a_delay_waits);
    tcase_add_test(c, without_a_backoff_a_failure_goes_to_the_end);
    tcase_add_test(c, backoffs_double_up_to_the_cap_with_full_jitter);
    tcase_add_test(c, a_failure_may_ask_for_a_longer_wait);
    tcase_add_loop_test(c, after_the_last_attempt_it_is_dropped_or_dying, 0, 2);
    tcase_add_test(c, a_job_may_have_its_own_number_of_attempts);
    tcase_add_test(c, crashes_are_charged_to_the_one_that_crashed);
    tcase_add_test(c, dying_jobs_are_handed_out_once_and_settled);
    tcase_add_test(c, a_lost_lease_at_the_last_attempt_is_death);
    tcase_add_test(c, buried_jobs_wait_for_a_kick);
    tcase_add_test(c, without_buried_jobs_a_kick_ends_delays);
    tcase_add_test(c, every_held_job_can_be_looked_at);
    tcase_add_test(c, a_forgiven_job_has_no_past);
    suite_add_tcase(suite, c);
    c = tcase_create("limits");
    tcase_add_test(c, in_flight_is_bounded);
    tcase_add_test(c, a_rate_is_kept_with_a_burst);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
