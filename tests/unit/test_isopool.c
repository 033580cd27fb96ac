/* SPDX-License-Identifier: Apache-2.0
 *
 * Isolated workers, as programs (tests/helpers/coproc) and as functions of this program. The pool's
 * loop has a thread of its own; the test is another.
 */
#include <penstock/isopool.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <penstock/group.h>
#include <penstock/queue.h>

#include "plat/thread.h"

enum { PROGRAM, FUNCTION, KINDS, FUTURES_MAX = 1000 };

static char coproc_path[PATH_MAX];
static int fds_before;

static struct rig {
    struct pen_loop *loop;
    struct pen_isopool *pool;
    struct pen_isopool_options options;
    struct pen_queue *said; /* lines of standard error, char * */
    char *argv[8];
    struct pen_future *futures[FUTURES_MAX];
    size_t count;
} rig;

/* ---- the worker function: it understands the orders of tests/helpers/coproc, and more ---- */

static int answer_text(void **ret_answer, size_t *ret_bytes, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        return PEN_ENOMEM;
    *ret_answer = text;
    *ret_bytes = (size_t)n;
    return 0;
}

static _Noreturn void hang(void)
{
    fputs("hanging\n", stderr);
    for (;;)
        pause();
}

static _Noreturn void spin(void)
{
    for (volatile unsigned n = 0;; n++) {
    }
}

static int open_all(void)
{
    int count = 0;
    while (open("/dev/null", O_RDONLY) >= 0)
        count++;
    return count;
}

static void write_raw(const char *data, size_t n)
{
    if (write(4, data, n) != (ssize_t)n)
        _exit(4);
}

static void misbehave(const char *order)
{
    if (strcmp(order, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(order, "exit") == 0)
        _exit(3);
    if (strcmp(order, "hang") == 0)
        hang();
    if (strcmp(order, "spin") == 0)
        spin();
    if (strcmp(order, "closeout") == 0) {
        close(4);
        hang();
    }
    if (strcmp(order, "garbage") == 0)
        write_raw("\xff\xff\xff\xff", 4);
    if (strcmp(order, "twice") == 0)
        write_raw("\0\0\0\4\0\0\0\0\0\0\0\4\0\0\0\0", 16);
}

static int answer_order(const char *order, void **ret_answer, size_t *ret_bytes)
{
    if (strcmp(order, "pid") == 0)
        return answer_text(ret_answer, ret_bytes, "%d", (int)getpid());
    if (strcmp(order, "ppid") == 0)
        return answer_text(ret_answer, ret_bytes, "%d", (int)getppid());
    if (strcmp(order, "files") == 0)
        return answer_text(ret_answer, ret_bytes, "%d", open_all());
    if (strcmp(order, "long") == 0)
        return answer_text(ret_answer, ret_bytes, "%100000d", 0);
    if (strcmp(order, "nothing") == 0)
        return 0;
    if (strcmp(order, "refuse") == 0)
        return PEN_ENOENT;
    if (strcmp(order, "wrong") == 0)
        return 7;
    if (strcmp(order, "much") == 0) {
        void *volatile block = malloc((size_t)1 << 30);
        return block == NULL ? PEN_ENOMEM : 0;
    }
    if (strcmp(order, "talk") == 0) {
        printf("said on standard output\n");
        fprintf(stderr, "said on standard error\n");
    }
    return 1;
}

static int work(const void *request, size_t bytes, void **ret_answer, size_t *ret_bytes)
{
    char order[16] = "";
    if (bytes < sizeof order)
        memcpy(order, request, bytes);
    misbehave(order);
    int r = answer_order(order, ret_answer, ret_bytes);
    if (r <= 0 || r == 7)
        return r;
    *ret_answer = malloc(bytes + 1);
    if (*ret_answer == NULL)
        return PEN_ENOMEM;
    memcpy(*ret_answer, request, bytes);
    *ret_bytes = bytes;
    return 0;
}

/* ---- the rig ---- */

static pen_mono_t soon(void)
{
    return pen_deadline_in(pen_ms(60000));
}

static int open_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void setup(void)
{
    const char *build = getenv("top_builddir");
    char path[sizeof coproc_path];
    (void)snprintf(path, sizeof path, "%s/tests/helpers/coproc", build != NULL ? build : ".");
    ck_assert_ptr_nonnull(realpath(path, coproc_path));
    ck_assert_int_eq(pen_isopool_prefork(), 0);
    fds_before = open_fds();
    ck_assert_int_eq(pen_loop_new(NULL, &rig.loop), 0);
    ck_assert_int_eq(pen_loop_start(rig.loop), 0);
    rig.options = (struct pen_isopool_options){ .workers = 1,
                                                .timeout = pen_ms(60000),
                                                .backoff_max = pen_ms(20) };
}

static void choose(int kind)
{
    static char frames[] = "frames";
    rig.argv[0] = coproc_path;
    rig.argv[1] = frames;
    rig.options.argv = kind == PROGRAM ? rig.argv : NULL;
    rig.options.fn = kind == FUNCTION ? work : NULL;
}

static void open_pool(int kind)
{
    choose(kind);
    ck_assert_int_eq(pen_isopool_new(rig.loop, &rig.options, &rig.pool), 0);
}

static void free_line(void *ptr, void *arg)
{
    free(ptr);
}

static void on_stderr(const char *line, size_t bytes, int pid, void *arg)
{
    char *copy = NULL;
    ck_assert_uint_eq(bytes, strlen(line));
    ck_assert_int_gt(asprintf(&copy, "%d %s", pid, line), 0);
    ck_assert_int_eq(pen_queue_put(rig.said, copy, 0, PEN_NOW), 0);
}

static void listen_to_stderr(void)
{
    struct pen_queue_options options = { .destroy = free_line };
    ck_assert_int_eq(pen_queue_new(&options, &rig.said), 0);
    rig.options.on_stderr = on_stderr;
}

/* The next line of standard error must be this. Returns whose it is. */
static int hear(const char *text)
{
    struct pen_item item;
    char said[64];
    int pid;
    ck_assert_int_eq(pen_queue_get(rig.said, &item, soon()), 0);
    ck_assert_int_eq(sscanf(item.ptr, "%d %63[^\n]", &pid, said), 2);
    ck_assert_str_eq(said, text);
    free(item.ptr);
    return pid;
}

static size_t submit_bytes(const void *data, size_t bytes)
{
    ck_assert_uint_lt(rig.count, FUTURES_MAX);
    int r = pen_isopool_submit(rig.pool, data, bytes, &rig.futures[rig.count]);
    ck_assert_msg(r == 0, "%s", pen_errname(r));
    return rig.count++;
}

static size_t submit(const char *text)
{
    return submit_bytes(text, strlen(text));
}

static const struct pen_iso_answer *result(size_t i)
{
    void *answer = NULL;
    int r = pen_future_get(rig.futures[i], soon(), &answer);
    ck_assert_msg(r == 0, "%zu: %s", i, pen_errname(r));
    ck_assert_ptr_nonnull(answer);
    return answer;
}

static void assert_result(size_t i, const char *text)
{
    const struct pen_iso_answer *answer = result(i);
    ck_assert_uint_eq(answer->bytes, strlen(text));
    ck_assert_mem_eq(answer->data, text, answer->bytes);
}

static void assert_failed(size_t i, int error)
{
    int r = pen_future_get(rig.futures[i], soon(), NULL);
    ck_assert_msg(r == error, "%zu: %s, not %s", i, pen_errname(r), pen_errname(error));
}

static int result_number(size_t i)
{
    char text[32] = "";
    const struct pen_iso_answer *answer = result(i);
    ck_assert_uint_lt(answer->bytes, sizeof text);
    memcpy(text, answer->data, answer->bytes);
    return atoi(text);
}

static struct pen_isopool_stats stats(void)
{
    struct pen_isopool_stats s;
    pen_isopool_stats(rig.pool, &s);
    return s;
}

static void close_pool(bool cancel)
{
    pen_isopool_shutdown(rig.pool, cancel);
    ck_assert_int_eq(pen_isopool_join(rig.pool, soon()), 0);
}

static void close_loop(void)
{
    if (rig.loop == NULL)
        return;
    pen_loop_stop(rig.loop);
    ck_assert_int_eq(pen_loop_join(rig.loop), 0);
    pen_loop_free(&rig.loop);
}

/* Nothing may be left: no request, no process, not even a zombie, no descriptor, no memory. */
static void finish_by(bool cancel)
{
    uint64_t ended = 0;
    close_pool(cancel);
    for (size_t i = 0; i < rig.count; i++) {
        ck_assert_int_eq(pen_future_state(rig.futures[i]), PEN_FUTURE_DONE);
        pen_future_unref(&rig.futures[i]);
        ended++;
    }
    struct pen_isopool_stats s = stats();
    ck_assert_uint_eq(s.done + s.failed + s.cancelled, ended);
    ck_assert_uint_eq(s.workers + s.idle + s.waiting, 0);
    pen_isopool_free(&rig.pool);
    ck_assert_ptr_null(rig.pool);
    close_loop();
    pen_queue_free(&rig.said);
    ck_assert_int_eq(open_fds(), fds_before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}

static void finish(void)
{
    finish_by(false);
}

/* It is dead when this returns, so it can read no more, but the pool may not have seen it yet. */
static void kill_and_see(int pid)
{
    struct pollfd end = { .fd = pidfd_open(pid, 0), .events = POLLIN };
    ck_assert_int_ge(end.fd, 0);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(poll(&end, 1, 60000), 1);
    close(end.fd);
}

/* ---- good workers ---- */

START_TEST(requests_are_answered)
{
    open_pool(_i);
    size_t a = submit("hello"), b = submit(""), c = submit_bytes("a\n\0b", 4);
    assert_result(a, "hello");
    ck_assert_uint_eq(result(b)->bytes, 0);
    ck_assert_uint_eq(result(c)->bytes, 4);
    ck_assert_mem_eq(result(c)->data, "a\n\0b", 4);
    finish();
}
END_TEST

START_TEST(an_answer_may_be_kept)
{
    open_pool(_i);
    (void)result(submit("mine"));
    struct pen_iso_answer *mine = pen_future_take(rig.futures[0]);
    finish();
    ck_assert_uint_eq(mine->bytes, 4);
    free(mine);
}
END_TEST

START_TEST(large_requests_and_answers)
{
    static char text[1 << 20];
    memset(text, 'l', sizeof text - 1);
    rig.options.answer_max = sizeof text - 1;
    open_pool(_i);
    assert_result(submit(text), text);
    assert_result(submit("small"), "small");
    finish();
}
END_TEST

START_TEST(requests_of_one_worker_are_in_order)
{
    open_pool(_i);
    for (size_t i = 0; i < 200; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%zu", i);
        (void)submit(text);
    }
    for (size_t i = 0; i < 200; i++)
        ck_assert_int_eq(result_number(i), (int)i);
    ck_assert_uint_eq(stats().started, 1);
    finish();
}
END_TEST

START_TEST(nobody_has_to_ask)
{
    open_pool(_i);
    ck_assert_int_eq(pen_isopool_submit(rig.pool, "x", 1, NULL), 0);
    assert_result(submit("y"), "y");
    ck_assert_uint_eq(stats().done, 2);
    close_pool(false);
    pen_future_unref(&rig.futures[0]);
    pen_isopool_free(&rig.pool);
    close_loop();
}
END_TEST

START_TEST(workers_work_at_once)
{
    listen_to_stderr();
    rig.options.workers = 4;
    open_pool(FUNCTION);
    int pids[4];
    for (int i = 0; i < 4; i++)
        (void)submit("hang");
    for (int i = 0; i < 4; i++) {
        pids[i] = hear("hanging");
        for (int k = 0; k < i; k++)
            ck_assert_int_ne(pids[i], pids[k]);
    }
    ck_assert_uint_eq(stats().workers, 4);
    ck_assert_uint_eq(stats().idle, 0);
    finish_by(true);
}
END_TEST

static const struct {
    const char *order;
    int error;
} outcomes[] = { { "refuse", PEN_ENOENT }, { "wrong", PEN_EHANDLER } };

START_TEST(a_functions_error_is_the_futures)
{
    open_pool(FUNCTION);
    assert_failed(submit(outcomes[_i].order), outcomes[_i].error);
    ck_assert_uint_eq(result(submit("nothing"))->bytes, 0);
    assert_result(submit("after"), "after");
    ck_assert_uint_eq(stats().started, 1);
    finish();
}
END_TEST

START_TEST(a_function_may_print)
{
    listen_to_stderr();
    open_pool(FUNCTION);
    assert_result(submit("talk"), "talk");
    int pid = hear("said on standard output");
    ck_assert_int_eq(hear("said on standard error"), pid);
    ck_assert_int_eq(result_number(submit("pid")), pid);
    finish();
}
END_TEST

START_TEST(a_program_says_lines)
{
    listen_to_stderr();
    open_pool(PROGRAM);
    assert_result(submit("noisy 2"), "noisy 2");
    int pid = hear("noise 0");
    ck_assert_int_eq(hear("noise 1"), pid);
    ck_assert_int_eq(result_number(submit("pid")), pid);
    finish();
}
END_TEST

/* ---- bad workers ---- */

static const struct {
    const char *order;
    int error;
} faults[] = {
    { "crash", PEN_EBROKEN },      { "exit", PEN_EBROKEN },    { "hang", PEN_ETIMEOUT },
    { "twice", PEN_EMALFORMED },   { "long", PEN_EMALFORMED }, { "closeout", PEN_EMALFORMED },
    { "garbage", PEN_EMALFORMED },
};

enum { FAULTS = sizeof faults / sizeof faults[0], PROGRAM_FAULTS = FAULTS - 1 };

START_TEST(a_fault_fails_its_request_only)
{
    int kind = _i < FAULTS ? FUNCTION : PROGRAM, k = _i % FAULTS;
    rig.options.timeout = pen_ms(faults[k].error == PEN_ETIMEOUT ? 1000 : 60000);
    rig.options.answer_max = 4096;
    open_pool(kind);
    size_t before = submit("before"), bad = submit(faults[k].order), after = submit("after");
    assert_result(before, "before");
    assert_failed(bad, faults[k].error);
    assert_result(after, "after");
    struct pen_isopool_stats s = stats();
    ck_assert_uint_eq(s.done, 2);
    ck_assert_uint_eq(s.failed, 1);
    ck_assert_uint_eq(s.started, 2);
    ck_assert_uint_eq(s.crashes, faults[k].error == PEN_EBROKEN);
    ck_assert_uint_eq(s.timeouts, faults[k].error == PEN_ETIMEOUT);
    ck_assert_uint_eq(s.malformed, faults[k].error == PEN_EMALFORMED);
    finish();
}
END_TEST

/* kill -9 in the middle of a request, from outside. */
START_TEST(a_killed_worker_fails_its_request_and_the_pool_is_whole_again)
{
    listen_to_stderr();
    rig.options.workers = 3;
    open_pool(FUNCTION);
    size_t victim = submit("hang");
    int pid = hear("hanging");
    size_t others[50];
    for (int i = 0; i < 50; i++)
        others[i] = submit("other");
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    assert_failed(victim, PEN_EBROKEN);
    for (int i = 0; i < 50; i++)
        assert_result(others[i], "other");
    for (int i = 0; i < 3; i++)
        (void)submit("hang");
    for (int i = 0; i < 3; i++)
        ck_assert_int_ne(hear("hanging"), pid);
    ck_assert_uint_eq(stats().workers, 3);
    ck_assert_uint_eq(stats().crashes, 1);
    finish_by(true);
}
END_TEST

START_TEST(an_idle_worker_that_dies_is_replaced)
{
    open_pool(_i);
    int pid = result_number(submit("pid"));
    kill_and_see(pid);
    ck_assert_int_ne(result_number(submit("pid")), pid);
    ck_assert_uint_eq(stats().failed, 0);
    finish();
}
END_TEST

START_TEST(neighbours_are_not_touched)
{
    static const char *const orders[] = { "crash", "exit", "twice", "fine", "fine", "fine" };
    static const int errors[] = { PEN_EBROKEN, PEN_EBROKEN, PEN_EMALFORMED, 0, 0, 0 };
    rig.options.workers = 4;
    open_pool(_i);
    for (size_t i = 0; i < 300; i++)
        (void)submit(orders[i * 7 % 6]);
    for (size_t i = 0; i < 300; i++)
        assert_failed(i, errors[i * 7 % 6]);
    finish();
}
END_TEST

START_TEST(a_worker_is_replaced_after_its_jobs)
{
    rig.options.max_jobs = 2;
    open_pool(_i);
    for (int i = 0; i < 6; i++)
        (void)submit("pid");
    for (size_t i = 0; i < 6; i += 2) {
        ck_assert_int_eq(result_number(i), result_number(i + 1));
        ck_assert(i == 0 || result_number(i) != result_number(i - 1));
    }
    ck_assert_uint_eq(stats().crashes + stats().failed, 0);
    ck_assert_uint_ge(stats().started, 3);
    finish();
}
END_TEST

/* ---- limits ---- */

START_TEST(time_on_the_cpu_is_limited)
{
    rig.options.rlimit_cpu_s = 1;
    open_pool(FUNCTION);
    assert_failed(submit("spin"), PEN_EBROKEN);
    assert_result(submit("after"), "after");
    finish();
}
END_TEST

START_TEST(descriptors_are_limited)
{
    rig.options.rlimit_nofile = 16;
    open_pool(FUNCTION);
    int count = result_number(submit("files"));
    ck_assert_int_gt(count, 0);
    ck_assert_int_le(count, 16 - 5); /* 0 to 4 are there */
    finish();
}
END_TEST

START_TEST(a_program_is_limited)
{
    static char sh[] = "sh", c[] = "-c",
                script[] = "head -c 5 >/dev/null; printf '\\0\\0\\0\\2%s' $(ulimit -n); exec cat";
    rig.options.rlimit_nofile = 33;
    rig.options.argv = (char *[]){ sh, c, script, NULL };
    ck_assert_int_eq(pen_isopool_new(rig.loop, &rig.options, &rig.pool), 0);
    ck_assert_int_eq(result_number(submit("x")), 33);
    finish();
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
START_TEST(memory_is_limited)
{
    rig.options.rlimit_as = (uint64_t)256 << 20;
    open_pool(FUNCTION);
    assert_failed(submit("much"), PEN_ENOMEM);
    assert_result(submit("after"), "after");
    finish();
}
END_TEST
#endif

START_TEST(the_queue_is_bounded)
{
    struct pen_future *none = NULL;
    listen_to_stderr();
    rig.options.queue_max = 2;
    open_pool(FUNCTION);
    (void)submit("hang");
    (void)hear("hanging");
    size_t a = submit("a"), b = submit("b");
    ck_assert_uint_eq(stats().waiting, 2);
    ck_assert_int_eq(pen_isopool_submit(rig.pool, "c", 1, &none), PEN_EFULL);
    ck_assert_int_eq(pen_isopool_submit(rig.pool, "c", (size_t)2 << 30, &none), PEN_ETOOBIG);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(pen_future_cancel(rig.futures[0]), 0);
    assert_result(a, "a");
    assert_result(b, "b");
    finish();
}
END_TEST

/* ---- cancelling ---- */

START_TEST(a_waiting_request_is_cancelled_at_once)
{
    listen_to_stderr();
    open_pool(FUNCTION);
    size_t running = submit("hang"), waiting = submit("never");
    int pid = hear("hanging");
    ck_assert_int_eq(pen_future_state(rig.futures[running]), PEN_FUTURE_RUNNING);
    ck_assert_int_eq(pen_future_state(rig.futures[waiting]), PEN_FUTURE_PENDING);
    ck_assert_int_eq(pen_future_cancel(rig.futures[waiting]), 0);
    ck_assert_int_eq(pen_future_error(rig.futures[waiting]), PEN_ECANCELED);
    ck_assert_int_eq(pen_future_error(rig.futures[running]), PEN_EBUSY);
    ck_assert_int_eq(kill(pid, 0), 0);
    finish_by(true);
}
END_TEST

START_TEST(a_running_request_is_cancelled_with_its_worker)
{
    listen_to_stderr();
    open_pool(FUNCTION);
    size_t running = submit("hang"), next = submit("pid");
    int pid = hear("hanging");
    ck_assert_int_eq(pen_future_cancel(rig.futures[running]), 0);
    assert_failed(running, PEN_ECANCELED);
    ck_assert_int_ne(result_number(next), pid);
    struct pen_isopool_stats s = stats();
    ck_assert_uint_eq(s.cancelled, 1);
    ck_assert_uint_eq(s.failed + s.crashes, 0);
    finish();
}
END_TEST

START_TEST(cancels_at_any_moment)
{
    rig.options.workers = 2;
    open_pool(_i);
    for (int i = 0; i < 300; i++) {
        size_t last = submit("race");
        if (i % 3 == 0)
            (void)pen_future_cancel(rig.futures[last]);
        if (i % 3 == 1)
            (void)pen_future_cancel(rig.futures[last / 2]);
    }
    for (size_t i = 0; i < 300; i++) {
        int r = pen_future_get(rig.futures[i], soon(), NULL);
        ck_assert_msg(r == 0 || r == PEN_ECANCELED, "%s", pen_errname(r));
    }
    ck_assert_uint_eq(stats().failed, 0);
    assert_result(submit("after"), "after");
    finish();
}
END_TEST

/* The first failure of a member ends the others, those that run as well. */
START_TEST(requests_are_members_of_a_group)
{
    struct pen_group *group;
    const char *name = NULL;
    listen_to_stderr();
    rig.options.workers = 2;
    rig.options.name = "parser";
    open_pool(FUNCTION);
    ck_assert_int_eq(pen_group_new(NULL, &group), 0);
    ck_assert_int_eq(pen_group_iso_submit(group, rig.pool, "hang", 4, &rig.futures[rig.count++]), 0);
    (void)hear("hanging");
    ck_assert_int_eq(pen_group_iso_submit(group, rig.pool, "refuse", 6, &rig.futures[rig.count++]),
                     0);
    ck_assert_int_eq(pen_group_wait(group, soon()), PEN_ENOENT);
    ck_assert_uint_eq(pen_group_errors_count(group), 1);
    ck_assert_int_eq(pen_group_error_at(group, 0, &name), PEN_ENOENT);
    ck_assert_str_eq(name, "parser");
    assert_failed(0, PEN_ECANCELED);
    pen_group_free(&group);
    finish();
}
END_TEST

/* ---- the end ---- */

START_TEST(a_graceful_shutdown_answers_what_waits)
{
    struct pen_future *none = NULL;
    rig.options.workers = 2;
    open_pool(_i);
    for (int i = 0; i < 100; i++)
        (void)submit("x");
    pen_isopool_shutdown(rig.pool, false);
    pen_isopool_shutdown(rig.pool, false);
    ck_assert_int_eq(pen_isopool_submit(rig.pool, "y", 1, &none), PEN_ESHUTDOWN);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(pen_isopool_join(rig.pool, soon()), 0);
    for (size_t i = 0; i < 100; i++)
        assert_result(i, "x");
    finish();
}
END_TEST

START_TEST(a_shutdown_with_cancel_ends_everything)
{
    listen_to_stderr();
    open_pool(FUNCTION);
    for (int i = 0; i < 5; i++)
        (void)submit("hang");
    (void)hear("hanging");
    pen_isopool_shutdown(rig.pool, false);
    ck_assert_int_eq(pen_isopool_join(rig.pool, PEN_NOW), PEN_ETIMEOUT);
    close_pool(true);
    for (size_t i = 0; i < 5; i++)
        assert_failed(i, PEN_ECANCELED);
    finish();
}
END_TEST

START_TEST(a_pool_is_freed_at_any_moment)
{
    rig.options.workers = 2;
    open_pool(_i % KINDS);
    for (int i = 0; i < _i; i++)
        (void)submit(i % 4 ? "x" : "crash");
    pen_isopool_free(&rig.pool);
    for (size_t i = 0; i < rig.count; i++) {
        int r = pen_future_get(rig.futures[i], PEN_NOW, NULL);
        ck_assert_msg(r == 0 || r == PEN_EBROKEN || r == PEN_ECANCELED, "%s", pen_errname(r));
        pen_future_unref(&rig.futures[i]);
    }
    close_loop();
    ck_assert_int_eq(open_fds(), fds_before);
}
END_TEST

START_TEST(a_loop_that_is_freed_ends_its_pool)
{
    struct pen_future *none = NULL;
    listen_to_stderr();
    open_pool(FUNCTION);
    (void)submit("hang");
    (void)submit("waits");
    (void)hear("hanging");
    close_loop();
    assert_failed(0, PEN_ECLOSED);
    assert_failed(1, PEN_ECLOSED);
    ck_assert_int_eq(pen_isopool_submit(rig.pool, "x", 1, &none), PEN_ESHUTDOWN);
    finish_by(true);
}
END_TEST

/* Before the loop has run at all. */
START_TEST(a_pool_whose_loop_never_ran)
{
    close_loop();
    ck_assert_int_eq(pen_loop_new(NULL, &rig.loop), 0);
    open_pool(_i / 2);
    (void)submit("x");
    if (_i % 2)
        pen_isopool_free(&rig.pool);
    pen_loop_free(&rig.loop);
    assert_failed(0, _i % 2 ? PEN_ECANCELED : PEN_ECLOSED);
    pen_isopool_free(&rig.pool);
    pen_future_unref(&rig.futures[0]);
    ck_assert_int_eq(open_fds(), fds_before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

static int join_result;

static void join_here(struct pen_loop *loop, void *arg, int status)
{
    join_result = pen_isopool_join(rig.pool, PEN_NEVER);
    pen_isopool_shutdown(rig.pool, false);
}

START_TEST(nobody_waits_on_the_loop_itself)
{
    open_pool(PROGRAM);
    ck_assert_int_eq(pen_loop_call_soon_threadsafe(rig.loop, join_here, NULL), 0);
    ck_assert_int_eq(pen_isopool_join(rig.pool, soon()), 0);
    ck_assert_int_eq(join_result, PEN_EWRONGTHREAD);
    finish();
}
END_TEST

static void submit_many(void *arg)
{
    struct pen_future *futures[100];
    int taken = 0;
    for (int i = 0; i < 100; i++)
        if (pen_isopool_submit(rig.pool, i % 10 ? "x" : "exit", i % 10 ? 1 : 4, &futures[taken]) == 0)
            taken++;
    for (int i = 0; i < taken; i++) {
        if (i % 7 == 0)
            (void)pen_future_cancel(futures[i]);
        int r = pen_future_get(futures[i], soon(), NULL);
        ck_assert_msg(r == 0 || r == PEN_EBROKEN || r == PEN_ECANCELED, "%s", pen_errname(r));
        pen_future_unref(&futures[i]);
    }
}

/* Everybody is released, whenever the end comes. */
START_TEST(a_shutdown_among_submitters)
{
    struct thread *threads[4];
    rig.options.workers = 2;
    open_pool(_i % KINDS);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(thread_start("submitter", submit_many, NULL, &threads[i]), 0);
    for (int i = 0; i < _i * 20; i++)
        (void)result(submit("y"));
    pen_isopool_shutdown(rig.pool, _i % 4 < 2);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    ck_assert_int_eq(pen_isopool_join(rig.pool, soon()), 0);
    for (size_t i = 0; i < rig.count; i++)
        pen_future_unref(&rig.futures[i]);
    pen_isopool_free(&rig.pool);
    close_loop();
    ck_assert_int_eq(open_fds(), fds_before);
}
END_TEST

/* ---- the fork server ---- */

/* In a process of its own: a function at work, and then nothing but its standard error is left. */
static _Noreturn void be_caller(int fd)
{
    struct pen_loop *loop;
    struct pen_isopool *pool;
    struct pen_isopool_options options = { .fn = work, .workers = 1 };
    if (dup2(fd, STDERR_FILENO) < 0 || pen_isopool_prefork() < 0 || pen_loop_new(NULL, &loop) < 0 ||
        pen_isopool_new(loop, &options, &pool) < 0 || pen_isopool_submit(pool, "hang", 4, NULL) < 0)
        _exit(1);
    close(fd);
    _exit(pen_loop_run(loop) < 0 ? 1 : 2);
}

START_TEST(workers_end_with_their_caller)
{
    int fds[2];
    char text[16];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        be_caller(fds[1]);
    }
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], text, sizeof text), 8); /* "hanging\n" */
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(read(fds[0], text, sizeof text), 0); /* all that had it are gone */
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(fds[0]);
}
END_TEST

START_TEST(a_fork_server_that_dies_takes_its_workers_along)
{
    listen_to_stderr();
    open_pool(FUNCTION);
    int server = result_number(submit("ppid"));
    size_t running = submit("hang"), waiting = submit("waits");
    (void)hear("hanging");
    ck_assert_int_eq(kill(server, SIGKILL), 0);
    assert_failed(running, PEN_EBROKEN);
    ck_assert_int_eq(pen_future_error(rig.futures[waiting]), PEN_EBUSY);
    finish_by(true);
    ck_assert_int_eq(pen_loop_new(NULL, &rig.loop), 0);
    ck_assert_int_eq(pen_isopool_new(rig.loop, &rig.options, &rig.pool), PEN_ESPAWN);
    pen_loop_free(&rig.loop);
}
END_TEST

START_TEST(a_function_needs_a_fork_server)
{
    struct pen_loop *loop;
    struct pen_isopool *pool = NULL;
    struct pen_isopool_options options = { .fn = work };
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pen_isopool_new(loop, &options, &pool), PEN_ESPAWN);
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_ptr_null(pool);
    pen_loop_free(&loop);
}
END_TEST

START_TEST(a_fork_server_comes_before_the_threads)
{
    struct pen_loop *loop;
    ck_assert_int_eq(pen_loop_new(NULL, &loop), 0);
    ck_assert_int_eq(pen_loop_start(loop), 0);
    ck_assert_int_eq(pen_isopool_prefork(), PEN_EBUSY);
    pen_loop_stop(loop);
    ck_assert_int_eq(pen_loop_join(loop), 0);
    pen_loop_free(&loop);
}
END_TEST

START_TEST(a_second_call_does_nothing)
{
    int fds = open_fds();
    ck_assert_int_eq(pen_isopool_prefork(), 0);
    ck_assert_int_eq(open_fds(), fds);
    close_loop();
}
END_TEST

/* ---- options ---- */

START_TEST(a_missing_program_is_told)
{
    static char missing[] = "/nonexistent/worker";
    rig.options.argv = (char *[]){ missing, NULL };
    ck_assert_int_eq(pen_isopool_new(rig.loop, &rig.options, &rig.pool), PEN_ESPAWN);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_null(rig.pool);
    close_loop();
    ck_assert_int_eq(open_fds(), fds_before);
}
END_TEST

START_TEST(options_have_ranges)
{
    static char nothing[] = "";
    struct pen_isopool_options bad[] = {
        { .workers = 1 },
        { .fn = work, .argv = (char *[]){ nothing, NULL } },
        { .argv = (char *[]){ NULL } },
        { .fn = work, .workers = 257 },
        { .fn = work, .queue_max = (1 << 20) + 1 },
        { .fn = work, .answer_max = ((size_t)1 << 30) + 1 },
        { .fn = work, .timeout = pen_ms(-1) },
        { .fn = work, .backoff_max = pen_ms(-1) },
        { .fn = work, .rlimit_nofile = 7 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(pen_isopool_new(rig.loop, &bad[i], &rig.pool), PEN_EINVAL);
    ck_assert_ptr_null(rig.pool);
    pen_isopool_free(&rig.pool);
    close_loop();
}
END_TEST

static TCase *tcase(const char *name)
{
    TCase *t = tcase_create(name);
    tcase_set_timeout(t, 120);
    return t;
}

static TCase *good_workers(void)
{
    TCase *t = tcase("good workers");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_loop_test(t, requests_are_answered, 0, KINDS);
    tcase_add_loop_test(t, an_answer_may_be_kept, 0, KINDS);
    tcase_add_loop_test(t, large_requests_and_answers, 0, KINDS);
    tcase_add_loop_test(t, requests_of_one_worker_are_in_order, 0, KINDS);
    tcase_add_loop_test(t, nobody_has_to_ask, 0, KINDS);
    tcase_add_test(t, workers_work_at_once);
    tcase_add_loop_test(t, a_functions_error_is_the_futures, 0, 2);
    tcase_add_test(t, a_function_may_print);
    tcase_add_test(t, a_program_says_lines);
    tcase_add_test(t, a_missing_program_is_told);
    tcase_add_test(t, options_have_ranges);
    return t;
}

static TCase *bad_workers(void)
{
    TCase *t = tcase("bad workers");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_loop_test(t, a_fault_fails_its_request_only, 0, FAULTS + PROGRAM_FAULTS);
    tcase_add_test(t, a_killed_worker_fails_its_request_and_the_pool_is_whole_again);
    tcase_add_loop_test(t, an_idle_worker_that_dies_is_replaced, 0, KINDS);
    tcase_add_loop_test(t, neighbours_are_not_touched, 0, KINDS);
    tcase_add_loop_test(t, a_worker_is_replaced_after_its_jobs, 0, KINDS);
    tcase_add_test(t, time_on_the_cpu_is_limited);
    tcase_add_test(t, descriptors_are_limited);
    tcase_add_test(t, a_program_is_limited);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    tcase_add_test(t, memory_is_limited);
#endif
    return t;
}

static TCase *endings(void)
{
    TCase *t = tcase("endings");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, the_queue_is_bounded);
    tcase_add_test(t, a_waiting_request_is_cancelled_at_once);
    tcase_add_test(t, a_running_request_is_cancelled_with_its_worker);
    tcase_add_loop_test(t, cancels_at_any_moment, 0, KINDS);
    tcase_add_test(t, requests_are_members_of_a_group);
    tcase_add_loop_test(t, a_graceful_shutdown_answers_what_waits, 0, KINDS);
    tcase_add_test(t, a_shutdown_with_cancel_ends_everything);
    tcase_add_loop_test(t, a_pool_is_freed_at_any_moment, 0, 20);
    tcase_add_test(t, a_loop_that_is_freed_ends_its_pool);
    tcase_add_loop_test(t, a_pool_whose_loop_never_ran, 0, 4);
    tcase_add_test(t, nobody_waits_on_the_loop_itself);
    tcase_add_loop_test(t, a_shutdown_among_submitters, 0, 8);
    tcase_add_test(t, a_fork_server_that_dies_takes_its_workers_along);
    tcase_add_test(t, a_second_call_does_nothing);
    return t;
}

static TCase *fork_server(void)
{
    TCase *t = tcase("fork server");
    tcase_add_test(t, workers_end_with_their_caller);
    tcase_add_test(t, a_function_needs_a_fork_server);
    tcase_add_test(t, a_fork_server_comes_before_the_threads);
    return t;
}

int main(void)
{
    Suite *s = suite_create("isopool");
    suite_add_tcase(s, good_workers());
    suite_add_tcase(s, bad_workers());
    suite_add_tcase(s, endings());
    suite_add_tcase(s, fork_server());
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
