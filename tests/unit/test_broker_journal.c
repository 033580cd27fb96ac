/* SPDX-License-Identifier: Apache-2.0
 *
 * What a journal is told, and that a queue which is brought back from it goes on as it would have.
 */
#include <stdarg.h>
#include <stdio.h>

#include "broker_fixture.h"

/* ---- a journal that writes everything down ---- */

struct diary {
    char text[4096];
    size_t used;
    size_t reserved;         /* puts that may still come */
    uint64_t reserved_bytes; /* theirs */
    int refuse;              /* what reserve() says */
};

static void say(struct diary *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    d->used += (size_t)vsnprintf(d->text + d->used, sizeof d->text - d->used, format, args);
    va_end(args);
    ck_assert_uint_lt(d->used, sizeof d->text);
}

static int on_reserve(void *arg, size_t n, uint64_t bytes)
{
    struct diary *d = arg;
    if (d->refuse == 0) {
        d->reserved += n;
        d->reserved_bytes += bytes;
    }
    return d->refuse;
}

static void on_release(void *arg, size_t n, uint64_t bytes)
{
    struct diary *d = arg;
    ck_assert_uint_ge(d->reserved, n);
    ck_assert_uint_ge(d->reserved_bytes, bytes);
    d->reserved -= n;
    d->reserved_bytes -= bytes;
}

static void on_put(void *arg, const struct job_view *job, bool more)
{
    struct diary *d = arg;
    on_release(d, 1, job_bytes(&job->body, job->ext));
    say(d, "put %d %s%s;", (int)job->id, job_state_word(job->state), more ? " more" : "");
}

static void on_change(void *arg, const struct job_view *job)
{
    say(arg, "change %d %s %d;", (int)job->id, job_state_word(job->state), job->attempts);
}

static void on_end(void *arg, uint64_t id, enum job_end how, enum drop_reason reason)
{
    static const char *const words[] = { "done", "dead", "dropped", "expired" };
    say(arg, "end %d %s", (int)id, words[how]);
    say(arg, how == END_DROPPED ? " %s;" : ";", drop_reason_word(reason));
}

static const struct broker_journal journal = {
    .reserve = on_reserve, .release = on_release, .put = on_put, .change = on_change, .end = on_end
};

static struct broker *with_diary(struct diary *d, struct broker_limits limits)
{
    struct broker *b = NULL;
    struct broker_options options = { .limits = limits, .journal = &journal, .journal_arg = d };
    options.limits.items_max = limits.items_max == 0 ? 100 : limits.items_max;
    ck_assert_int_eq(broker_new(&options, &b), 0);
    return b;
}

static void expect(struct diary *d, const char *text)
{
    ck_assert_str_eq(d->text, text);
    ck_assert_uint_eq(d->reserved, 0);
    ck_assert_uint_eq(d->reserved_bytes, 0);
    d->text[0] = '\0';
    d->used = 0;
}

START_TEST(every_move_but_leases_is_told)
{
    struct diary d = { 0 };
    struct broker *b =
        with_diary(&d, (struct broker_limits){ .attempts_max = 2, .dead_letters = true });
    (void)put_plain(b);
    expect(&d, "put 1 ready;");
    struct job j = lease_ok(b, 5, 7);
    expect(&d, "");
    struct job_failure why = { .delay = span_s(10) };
    ck_assert_int_eq(settle_why(b, &j, OUTCOME_RETRY, &why), 0);
    expect(&d, "change 1 delayed 1;");
    (void)pass_s(b, 10);
    j = take_ok(b);
    expect(&d, "");
    settle_ok(b, &j, OUTCOME_RETRY);
    expect(&d, "change 1 dying 2;");
    ck_assert_uint_eq(broker_take_dying(b, &j, 1), 1);
    settle_ok(b, &j, OUTCOME_DEAD);
    expect(&d, "end 1 dead;");
    the_end(b);
}
END_TEST

START_TEST(every_end_is_told)
{
    struct diary d = { 0 };
    struct broker *b = with_diary(&d, (struct broker_limits){ 0 });
    static const enum job_outcome outcomes[] = { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_CANCELED };
    for (int k = 0; k < 3; k++) {
        (void)put_plain(b);
        struct job j = take_ok(b);
        settle_ok(b, &j, outcomes[k]);
    }
    expect(&d,
           "put 1 ready;end 1 done;put 2 ready;end 2 dropped failed;put 3 ready;end 3 dropped shutdown;");
    struct job_ext *ext = ext_new();
    ext->expires_at = in_s(5);
    (void)put_ok(b, (struct job_put){ .ext = ext });
    (void)put_plain(b);
    (void)pass_s(b, 5);
    ck_assert_uint_eq(broker_purge(b), 1);
    expect(&d, "put 4 ready;put 5 ready;end 4 expired;end 5 dropped purged;");
    the_end(b);
}
END_TEST

START_TEST(burying_releasing_and_kicking_are_told)
{
    struct diary d = { 0 };
    struct broker *b = with_diary(&d, (struct broker_limits){ 0 });
    (void)put_key(b, "a");
    (void)put_key(b, "a");
    expect(&d, "put 1 ready;put 2 held;");
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_RELEASED);
    expect(&d, "change 1 ready 1;");
    j = take_ok(b);
    settle_ok(b, &j, OUTCOME_BURIED);
    expect(&d, "change 1 buried 2;");
    ck_assert_uint_eq(broker_kick(b, 1, test_now), 1);
    expect(&d, "change 1 held 0;");
    the_end(b);
}
END_TEST

START_TEST(a_batch_is_told_as_one)
{
    struct diary d = { 0 };
    struct broker *b = with_diary(&d, (struct broker_limits){ .dedupe_window = span_s(9) });
    struct job_put puts[4] = { { .priority = 1 },
                               { .ext = with_dedupe("d") },
                               { .ext = with_dedupe("d") } };
    ck_assert_int_eq(broker_put_all(b, puts, 3, test_now), 3);
    expect(&d, "put 1 ready more;put 2 ready;");
    job_ext_free(puts[2].ext);
    puts[1] = (struct job_put){ .priority = 2 };
    ck_assert_int_eq(broker_reserve_put(b, puts, 2, test_now), 0);
    ck_assert_uint_eq(d.reserved, 2);
    broker_unreserve(b, puts, 2);
    expect(&d, "");
    puts[1].priority = PRIORITY_MAX + 1;
    ck_assert_int_eq(broker_put(b, puts, 2, test_now), 2); /* One is refused: its room is given back. */
    expect(&d, "put 5 ready;");
    the_end(b);
}
END_TEST

START_TEST(a_journal_that_refuses_changes_nothing)
{
    struct diary d = { .refuse = -28 };
    struct broker *b =
        with_diary(&d, (struct broker_limits){ .items_max = 1, .policy = BROKER_DROP_OLDEST });
    struct job_put put = { .priority = 1 };
    ck_assert_int_eq(broker_put(b, &put, 1, test_now), -28);
    ck_assert_int_eq(broker_put_all(b, &put, 1, test_now), -28);
    ck_assert_int_eq(broker_reserve_put(b, &put, 1, test_now), -28);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 0);
    d.refuse = 0;
    (void)put_plain(b);
    d.refuse = -28;
    ck_assert_int_eq(broker_put(b, &put, 1, test_now), -28);
    ck_assert(!broker_has_dropped(b));
    struct job j = take_ok(b); /* What is held still gets out. */
    settle_ok(b, &j, OUTCOME_DONE);
    expect(&d, "put 1 ready;end 1 done;");
    the_end(b);
}
END_TEST

/* ---- brought back ---- */

static void restore_ok(struct broker *b, struct job_restore job)
{
    ck_assert_int_eq(broker_restore(b, &job, test_now), 0);
    ck_assert(broker_ledger_holds(b));
}

START_TEST(each_state_comes_back)
{
    struct broker *b = broker_of((struct broker_limits){ .dead_letters = true });
    restore_ok(b, (struct job_restore){ .id = 10, .state = JOB_READY, .priority = 9, .attempts = 3 });
    restore_ok(b, (struct job_restore){ .id = 11, .state = JOB_DELAYED, .due = in_s(10) });
    restore_ok(b, (struct job_restore){ .id = 12, .state = JOB_DELAYED, .due = test_now });
    restore_ok(b, (struct job_restore){ .id = 13, .state = JOB_BURIED });
    restore_ok(b, (struct job_restore){ .id = 14, .state = JOB_DYING, .attempts = 5 });
    struct job j = take_ok(b);
    ck_assert_uint_eq(j.id, 10);
    ck_assert_uint_eq(j.attempt, 4);
    ck_assert_uint_eq(take_ok(b).id, 12);
    (void)pass_s(b, 10);
    ck_assert_uint_eq(take_ok(b).id, 11);
    ck_assert_uint_eq(broker_kick(b, 9, test_now), 1);
    ck_assert_uint_eq(take_ok(b).id, 13);
    ck_assert_uint_eq(broker_take_dying(b, &j, 1), 1);
    ck_assert_uint_eq(j.attempt, 5);
    ck_assert_uint_eq(put_plain(b), 15);
    ck_assert_uint_eq(broker_ledger(b)->accepted, 6);
    the_end(b);
}
END_TEST

START_TEST(a_key_is_still_blocked_and_a_duplicate_still_one)
{
    struct broker *b = broker_of((struct broker_limits){ .dedupe_window = span_s(100) });
    struct job_ext *first = with_key("a"), *second = with_key("a");
    second->dedupe = strdup("d");
    second->put_at = mono_after(test_now, span_s(-90));
    restore_ok(b,
               (struct job_restore){ .id = 1, .state = JOB_DELAYED, .due = in_s(5), .ext = first });
    restore_ok(b, (struct job_restore){ .id = 2, .state = JOB_HELD, .ext = second });
    ck_assert_int_eq(broker_restore_dedupe(b, "ended", 77, test_now), 0);
    ck_assert(takes_nothing(b));
    uint64_t id;
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = with_dedupe("d") }, &id), PEN_EDUPLICATE);
    ck_assert_uint_eq(id, 2);
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = with_dedupe("ended") }, &id),
                     PEN_EDUPLICATE);
    ck_assert_uint_eq(id, 77);
    (void)pass_s(b, 10);
    ck_assert_int_eq(put_job(b, (struct job_put){ .ext = with_dedupe("d") }, &id), 0);
    ck_assert_uint_eq(take_ok(b).id, 1);
    the_end(b);
}
END_TEST

START_TEST(crashes_and_expiry_come_back)
{
    struct broker *b = broker_of((struct broker_limits){ .crashes_max = 3, .dead_letters = true });
    struct job_ext *ext = ext_new(), *short_lived = ext_new();
    ext->crashes = 2;
    short_lived->expires_at = in_s(5);
    restore_ok(b, (struct job_restore){ .id = 1, .state = JOB_READY, .ext = ext });
    restore_ok(b, (struct job_restore){ .id = 2, .state = JOB_READY, .ext = short_lived });
    struct job j = take_ok(b);
    settle_ok(b, &j, OUTCOME_CRASHED);
    ck_assert_uint_eq(broker_ledger(b)->dying, 1);
    (void)pass_s(b, 5);
    ck_assert_uint_eq(broker_ledger(b)->expired, 1);
    the_end(b);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    struct broker *b = broker_of((struct broker_limits){ 0 });
    static const struct job_restore wrong[] = { { .id = 0, .state = JOB_READY },
                                                { .id = 1, .state = JOB_LEASED },
                                                { .id = 1, .state = JOB_DROPPED },
                                                { .id = 1, .state = JOB_STATES },
                                                { .id = 1, .state = JOB_READY, .priority = 10 } };
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++)
        ck_assert_int_eq(broker_restore(b, &wrong[k], test_now), PEN_EINVAL);
    ck_assert_int_eq(broker_restore_dedupe(b, "", 1, test_now), PEN_EINVAL);
    ck_assert(broker_is_idle(b));
    the_end(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_journal");
    TCase *c = tcase_create("journal");
    tcase_add_test(c, every_move_but_leases_is_told);
    tcase_add_test(c, every_end_is_told);
    tcase_add_test(c, burying_releasing_and_kicking_are_told);
    tcase_add_test(c, a_batch_is_told_as_one);
    tcase_add_test(c, a_journal_that_refuses_changes_nothing);
    suite_add_tcase(suite, c);
    c = tcase_create("restore");
    tcase_add_test(c, each_state_comes_back);
    tcase_add_test(c, a_key_is_still_blocked_and_a_duplicate_still_one);
    tcase_add_test(c, crashes_and_expiry_come_back);
    tcase_add_test(c, what_cannot_be_is_refused);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
