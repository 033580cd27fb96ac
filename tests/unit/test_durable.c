/* SPDX-License-Identifier: Apache-2.0
 *
 * A job queue that keeps its jobs: what is put is promised, comes back as it was, and ends for good; what a shutdown drops is
 * there the next time.
 */
#include "flow/durable.h"

#include <check.h>
#include <penstock/loop.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/promises.h"

enum { TIME_LIMIT_S = 60 };

static char path[64];
static struct durable *durable;
static struct jobq *queue;
static struct store_recovery recovery;

/* ---- fixture ---- */

static void set_up(void)
{
    memcpy(path, "/tmp/test_durable.XXXXXX", sizeof "/tmp/test_durable.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static void remove_one(void *arg, const char *name)
{
    ck_assert_int_eq(vfs_unlink(arg, name), 0);
}

static void tear_down(void)
{
    struct vfs_dir *dir;
    ck_assert_int_eq(vfs_open_dir(path, false, &dir), 0);
    ck_assert_int_eq(vfs_list(dir, remove_one, dir), 0);
    vfs_close_dir(&dir);
    ck_assert_int_eq(rmdir(path), 0);
}

static void on_condition(void *arg, const char *name, const struct store_news *news)
{
    (void)arg;
    (void)name;
    ck_assert_int_eq(news->condition, STORE_OPEN);
}

static void on_progress(void *arg, const char *name, uint64_t done, uint64_t all)
{
    (void)arg;
    (void)name;
    ck_assert_uint_le(done, all);
}

static void on_damage(void *arg, const char *name, const struct store_damage *damage)
{
    (void)arg;
    (void)name;
    (void)damage;
    ck_abort();
}

static void open_queue(void)
{
    struct durable_options d = { .name = "jobs",
                                 .sync = STORE_SYNC_GROUP,
                                 .disk_max = 16 << 20,
                                 .dedupe_window = span_s(3600),
                                 .on_condition = on_condition,
                                 .on_progress = on_progress,
                                 .on_damage = on_damage };
    ck_assert_int_eq(durable_new(&d, &durable), 0);
    struct jobq_options q = { .name = "jobs",
                              .limits = { .items_max = 1000,
                                          .attempts_max = 3,
                                          .backoff_base = span_s(3600),
                                          .dedupe_window = span_s(3600) },
                              .durable = durable };
    ck_assert_int_eq(jobq_new(&q, &queue), 0);
    ck_assert_int_eq(durable_open(durable, path, queue, &recovery), 0);
}

static void close_queue(void)
{
    jobq_shutdown(queue, PEN_SHUTDOWN_IMMEDIATE);
    ck_assert_int_eq(durable_close(&durable), 0);
    jobq_free(&queue);
}

static struct job_put put_of(const char *text)
{
    return (struct job_put){ .body = { .at = (const uint8_t *)text, .bytes = (uint32_t)strlen(text) },
                             .priority = PRIORITY_DEFAULT };
}

static int put_one(struct job_put *put)
{
    size_t decided;
    ck_assert_int_eq(jobq_put(queue, put, 1, PEN_NEVER, &decided), 0);
    ck_assert_uint_eq(decided, 1);
    return put->ret_status;
}

static struct job take_one(void)
{
    struct job job;
    size_t n;
    ck_assert_int_eq(jobq_take(queue, &job, 1, PEN_NOW, &n), 0);
    return job;
}

static void settle(const struct job *job, enum job_outcome outcome)
{
    struct job_settle s = { .id = job->id, .index = job->index, .outcome = outcome };
    ck_assert_int_eq(jobq_settle(queue, &s, 1, NULL), 0);
    slice_release(&s.ret_body);
    job_ext_free(s.ret_ext);
}

static struct broker_ledger ledger(void)
{
    struct jobq_stats stats;
    jobq_stats(queue, &stats);
    ck_assert(stats.ledger_holds);
    return stats.ledger;
}

/* ---- tests ---- */

START_TEST(what_is_held_comes_back_and_what_is_done_does_not)
{
    struct job_put a = put_of("a"), b = put_of("b"), c = put_of("c");
    open_queue();
    ck_assert_int_eq(put_one(&a), 0);
    ck_assert_int_eq(put_one(&b), 0);
    struct job job = take_one();
    settle(&job, OUTCOME_DONE);
    close_queue();
    open_queue();
    ck_assert_uint_eq(recovery.jobs, 1);
    ck_assert(recovery.orderly);
    ck_assert_int_eq(put_one(&c), 0);
    ck_assert_uint_gt(c.ret_id, b.ret_id);
    job = take_one();
    ck_assert_uint_eq(job.id, b.ret_id);
    ck_assert_mem_eq(job.body.at, "b", 1);
    close_queue(); /* With a job in hand: it comes back, too. */
    open_queue();
    ck_assert_uint_eq(recovery.jobs, 2);
    close_queue();
}
END_TEST

START_TEST(all_that_is_said_of_a_job_comes_back)
{
    struct job_put put = put_of("body");
    ck_assert_int_eq(job_ext_new(&put.ext), 0);
    put.priority = 9;
    put.ext->key = strdup("key");
    put.ext->dedupe = strdup("once");
    put.ext->reply_to = strdup("me");
    open_queue();
    ck_assert_int_eq(put_one(&put), 0);
    struct job job = take_one();
    settle(&job, OUTCOME_RETRY);
    ck_assert_uint_eq(ledger().delayed, 1);
    close_queue();
    open_queue();
    struct jobq_look look;
    ck_assert_uint_eq(ledger().delayed, 1);
    ck_assert_int_eq(jobq_find(queue, put.ret_id, &look), 0);
    ck_assert_uint_eq(look.view.attempts, 1);
    ck_assert_uint_eq(look.view.priority, 9);
    ck_assert_str_eq(look.ext->key, "key");
    ck_assert_str_eq(look.ext->reply_to, "me");
    jobq_look_fini(&look);
    struct job_put again = put_of("body");
    ck_assert_int_eq(job_ext_new(&again.ext), 0);
    again.ext->dedupe = strdup("once");
    ck_assert_int_eq(put_one(&again), PEN_EDUPLICATE);
    ck_assert_uint_eq(again.ret_id, put.ret_id);
    job_ext_free(again.ext);
    close_queue();
}
END_TEST

START_TEST(a_dedupe_id_outlives_its_job)
{
    open_queue();
    for (int i = 0; i < 2; i++) {
        struct job_put put = put_of("body");
        ck_assert_int_eq(job_ext_new(&put.ext), 0);
        put.ext->dedupe = strdup("once");
        ck_assert_int_eq(put_one(&put), i == 0 ? 0 : PEN_EDUPLICATE);
        if (i == 0) {
            struct job job = take_one();
            settle(&job, OUTCOME_DONE);
        } else {
            job_ext_free(put.ext);
        }
        close_queue();
        open_queue();
        ck_assert_uint_eq(recovery.jobs, 0);
    }
    close_queue();
}
END_TEST

/* ---- promises ---- */

static struct pen_loop *loop;
static int answers;

static void on_kept(void *arg, const struct route *route, struct slice body)
{
    (void)arg;
    (void)route;
    slice_release(&body);
    if (++answers == 3)
        pen_loop_stop(loop);
}

static void on_broken(void *arg, const struct route *route, uint64_t form, int error)
{
    (void)arg;
    (void)route;
    (void)form;
    (void)error;
    ck_abort();
}

START_TEST(an_answer_waits_until_it_is_true)
{
    struct promises *p;
    open_queue();
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    struct promises_options options = {
        .queue = queue, .loop = loop, .send = on_kept, .fail = on_broken
    };
    ck_assert_int_eq(promises_new(&options, &p), 0);
    ck_assert_int_eq(jobq_level(queue), JOBQ_SYNCED);
    ck_assert_str_eq(jobq_level_word(queue), "synced");
    for (int i = 0; i < 3; i++) {
        struct job_put put = put_of("x");
        ck_assert_int_eq(put_one(&put), 0);
        promises_add(p, &(struct route){ 0 }, (struct slice){ 0 }, 0);
    }
    ck_assert_int_eq(pen_loop_run(loop), 0);
    ck_assert_int_eq(answers, 3);
    ck_assert(promises_empty(p));
    promises_free(&p);
    pen_loop_free(&loop);
    close_queue();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("durable");
    TCase *c = tcase_create("durable");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_test(c, what_is_held_comes_back_and_what_is_done_does_not);
    tcase_add_test(c, all_that_is_said_of_a_job_comes_back);
    tcase_add_test(c, a_dedupe_id_outlives_its_job);
    tcase_add_test(c, an_answer_waits_until_it_is_true);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
