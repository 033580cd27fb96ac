/* SPDX-License-Identifier: Apache-2.0
 *
 * Handlers on a real loop, with real programs: sh, awk, cat, python3 and tests/helpers/coproc.
 */
#include "handler/handler.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "obs/log.h"
#include "plat/clock.h"

enum { WORKS_MAX = 4096 };

struct outcome {
    bool done;
    int error;
    char reason[LIMIT_ERROR_TEXT_BYTES];
    struct slice result;
};

/* The consumer of the test. */
static struct rig {
    struct pen_loop *loop;
    struct conf_handler conf;
    struct handler *handler;
    char *argv[16];
    struct work works[WORKS_MAX];
    struct outcome outcomes[WORKS_MAX];
    size_t submitted, done, wanted; /* the loop stops when as many are done */
    unsigned rooms;
    bool wait_for_room, closed, free_when_closed;
    void (*then)(size_t index); /* called in on_done */
    int fds_before;
} rig;

static char coproc_path[PATH_MAX];

/* ---- the rig ---- */

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

static void on_done(struct work *work, int error, struct slice result, const char *reason, void *arg)
{
    size_t i = (size_t)(work - rig.works);
    struct outcome *o = &rig.outcomes[i];
    ck_assert_uint_lt(i, rig.submitted);
    ck_assert(!o->done);
    ck_assert((error == 0) == (reason == NULL));
    o->done = true;
    o->error = error;
    o->result = result;
    if (reason != NULL)
        (void)snprintf(o->reason, sizeof o->reason, "%s", reason);
    slice_release(&work->body);
    if (++rig.done == rig.wanted)
        pen_loop_stop(rig.loop);
    if (rig.then != NULL)
        rig.then(i);
}

static void on_room(void *arg)
{
    rig.rooms++;
    if (rig.wait_for_room)
        pen_loop_stop(rig.loop);
}

static void on_closed(void *arg)
{
    ck_assert(!rig.closed);
    rig.closed = true;
    if (rig.free_when_closed)
        handler_free(&rig.handler);
    pen_loop_stop(rig.loop);
}

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    const char *build = getenv("top_builddir");
    char path[sizeof coproc_path];
    (void)snprintf(path, sizeof path, "%s/tests/helpers/coproc", build != NULL ? build : ".");
    ck_assert_ptr_nonnull(realpath(path, coproc_path));
    ck_assert_int_eq(pen_loop_new(NULL, &rig.loop), 0);
    rig.conf = (struct conf_handler){
        .processes = 1,
        .timeout = span_s(60),
        .backoff_max = span_ms(20),
        .answer_max = 4096,
    };
    rig.fds_before = open_fds();
}

static const struct handler_events events = { .on_done = on_done,
                                              .on_room = on_room,
                                              .on_closed = on_closed };

static int try_open(void)
{
    struct handler_options options = {
        .conf = &rig.conf, .loop = rig.loop, .name = "consumer work/0", .events = &events
    };
    return handler_open(&options, &rig.handler);
}

static void open_builtin(enum conf_builtin builtin)
{
    rig.conf.builtin = builtin;
    ck_assert_int_eq(try_open(), 0);
}

static void set_argv(const char *program, va_list args)
{
    size_t n = 0;
    for (const char *arg = program; arg != NULL; arg = va_arg(args, const char *))
        rig.argv[n++] = (char *)(uintptr_t)arg;
    rig.argv[n] = NULL;
    rig.conf.exec = (struct conf_strings){ .at = rig.argv, .count = n };
}

__attribute__((sentinel)) static void open_exec(const char *program, ...)
{
    va_list args;
    va_start(args, program);
    set_argv(program, args);
    va_end(args);
    ck_assert_int_eq(try_open(), 0);
}

static void open_coproc(const char *mode, const char *file)
{
    const char *protocol = rig.conf.protocol == PROTOCOL_FRAMES ? "frames" : "lines";
    open_exec(coproc_path, protocol, mode, file, NULL);
}

static void run_loop(void)
{
    ck_assert_int_eq(pen_loop_run(rig.loop), 0);
}

static void wait_done(size_t n)
{
    rig.wanted = n;
    if (rig.done < n)
        run_loop();
    rig.wanted = 0;
    ck_assert_uint_ge(rig.done, n);
}

static void wait_room(void)
{
    rig.wait_for_room = true;
    while (handler_room(rig.handler) == 0)
        run_loop();
    rig.wait_for_room = false;
}

/* Returns its index. */
static size_t submit_bytes(const void *data, size_t bytes)
{
    size_t i = rig.submitted++;
    struct work *work = &rig.works[i];
    ck_assert_uint_lt(i, WORKS_MAX);
    *work = (struct work){ .id = i };
    ck_assert_int_eq(slice_copy(data, bytes, &work->body), 0);
    handler_submit(rig.handler, &work, 1);
    return i;
}

static size_t submit(const char *text)
{
    return submit_bytes(text, strlen(text));
}

/* Two in one batch. */
static void submit_pair(const char *a, const char *b)
{
    const char *texts[] = { a, b };
    struct work *works[2];
    for (size_t k = 0; k < 2; k++) {
        works[k] = &rig.works[rig.submitted++];
        *works[k] = (struct work){ .id = k };
        ck_assert_int_eq(slice_copy(texts[k], strlen(texts[k]), &works[k]->body), 0);
    }
    handler_submit(rig.handler, works, 2);
}

static void assert_result(size_t i, const char *text)
{
    struct outcome *o = &rig.outcomes[i];
    ck_assert(o->done);
    ck_assert_msg(o->error == 0, "%zu failed: %s", i, o->reason);
    ck_assert_uint_eq(o->result.bytes, strlen(text));
    ck_assert_mem_eq(o->result.at, text, strlen(text));
}

static void assert_failed(size_t i, int error, const char *reason)
{
    struct outcome *o = &rig.outcomes[i];
    ck_assert(o->done);
    ck_assert_msg(o->error == error, "%zu: %s, not %s", i, pen_errname(o->error), pen_errname(error));
    ck_assert_msg(strstr(o->reason, reason) != NULL, "%zu: \"%s\" has no \"%s\"", i, o->reason,
                  reason);
    ck_assert_uint_eq(o->result.bytes, 0);
    ck_assert_ptr_null(o->result.blob);
}

/* Submit when there is room, and wait for the answer. */
static size_t ask(const char *text)
{
    wait_room();
    size_t i = submit(text);
    wait_done(rig.done + (rig.outcomes[i].done ? 0 : 1));
    return i;
}

static struct handler_stats stats(void)
{
    struct handler_stats s;
    handler_stats(rig.handler, &s);
    return s;
}

static void close_handler(bool immediate)
{
    handler_close(rig.handler, immediate);
    while (!rig.closed)
        run_loop();
}

static void release_results(void)
{
    for (size_t i = 0; i < rig.submitted; i++) {
        ck_assert(rig.outcomes[i].done);
        slice_release(&rig.outcomes[i].result);
    }
}

/* Nothing may be left: no work, no process, not even a zombie, no descriptor, no memory. */
static void finish_by(bool immediate)
{
    close_handler(immediate);
    ck_assert_uint_eq(rig.done, rig.submitted);
    if (rig.handler != NULL) {
        ck_assert_uint_eq(stats().done + stats().failed, rig.submitted);
        ck_assert_uint_eq(handler_room(rig.handler), 0);
    }
    handler_free(&rig.handler);
    ck_assert_int_eq(open_fds(), rig.fds_before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    release_results();
    pen_loop_free(&rig.loop);
}

static void finish(void)
{
    finish_by(false);
}

/* ---- builtins ---- */

START_TEST(pass_gives_the_same_bytes)
{
    open_builtin(BUILTIN_PASS);
    ck_assert_uint_eq(handler_room(rig.handler), LIMIT_BATCH_ITEMS);
    size_t a = submit("hello"), b = submit("");
    ck_assert_uint_eq(rig.done, 2);
    assert_result(a, "hello");
    assert_result(b, "");
    finish();
}
END_TEST

START_TEST(pass_copies_nothing)
{
    open_builtin(BUILTIN_PASS);
    struct slice body;
    ck_assert_int_eq(slice_copy("x", 1, &body), 0);
    struct work work = { .body = slice_ref(body) }, *works[] = { &rig.works[0] };
    rig.works[0] = work;
    rig.submitted = 1;
    handler_submit(rig.handler, works, 1);
    ck_assert_ptr_eq(rig.outcomes[0].result.at, body.at);
    slice_release(&body);
    finish();
}
END_TEST

static const struct {
    const char *n, *sum;
} sums[] = {
    { "0", "0" },
    { "1", "0" },
    { "2", "1" },
    { "10", "285" },
    { " \t0010\r\n", "285" },
    { "100000", "333328333350000" },
    { "5000000", "41666654166667500000" }, /* beyond 64 bits */
};

START_TEST(sum_squares_adds_up)
{
    open_builtin(BUILTIN_SUM_SQUARES);
    assert_result(submit(sums[_i].n), sums[_i].sum);
    finish();
}
END_TEST

static const struct {
    const char *n, *reason;
} no_sums[] = {
    { "", "not a decimal number" },
    { " \n", "not a decimal number" },
    { "abc", "not a decimal number" },
    { "-1", "not a decimal number" },
    { "+1", "not a decimal number" },
    { "1.5", "not a decimal number" },
    { "1 2", "not a decimal number" },
    { "99999999999999999999999999999999999999x", "not a decimal number" },
    { "1000000000001", "larger than 1000000000000" },
    { "18446744073709551616", "larger than 1000000000000" },
    { "999999999999999999999999999999999999999999", "larger than 1000000000000" },
};

START_TEST(sum_squares_refuses_what_is_no_number)
{
    open_builtin(BUILTIN_SUM_SQUARES);
    assert_failed(submit(no_sums[_i].n), PEN_EHANDLER, no_sums[_i].reason);
    ck_assert_uint_eq(stats().failed, 1);
    finish();
}
END_TEST

static size_t order[WORKS_MAX], order_count;

static void note_order(size_t i)
{
    order[order_count++] = i;
}

START_TEST(sleepers_sleep_side_by_side)
{
    rig.conf.time = span_ms(10);
    rig.then = note_order;
    open_builtin(BUILTIN_SLEEP);
    mono_t began = clock_mono();
    for (int i = 0; i < 1000; i++)
        (void)submit("zzz");
    ck_assert_uint_eq(rig.done, 0);
    wait_done(1000);
    ck_assert_int_ge(mono_since(clock_mono(), began).ns, span_ms(10).ns);
    for (size_t i = 0; i < 1000; i++) {
        ck_assert_uint_eq(order[i], i);
        assert_result(i, "zzz");
    }
    finish();
}
END_TEST

START_TEST(a_graceful_close_awaits_sleepers)
{
    rig.conf.time = span_ms(5);
    open_builtin(BUILTIN_SLEEP);
    size_t a = submit("a"), b = submit("b");
    handler_close(rig.handler, false);
    ck_assert(!rig.closed);
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    finish();
    ck_assert_int_eq(rig.outcomes[a].error | rig.outcomes[b].error, 0);
}
END_TEST

START_TEST(an_immediate_close_wakes_sleepers)
{
    rig.conf.time = span_s(86400);
    open_builtin(BUILTIN_SLEEP);
    size_t a = submit("a"), b = submit("b");
    handler_close(rig.handler, false); /* graceful may become immediate */
    ck_assert(!rig.closed);
    handler_close(rig.handler, true);
    ck_assert(rig.closed);
    assert_failed(a, PEN_ECANCELED, "closed");
    assert_failed(b, PEN_ECANCELED, "closed");
    handler_close(rig.handler, true);
    finish();
}
END_TEST

START_TEST(there_is_a_bound_to_sleepers)
{
    static struct work works[LIMIT_SLEEPERS];
    rig.conf.time = span_s(86400);
    open_builtin(BUILTIN_SLEEP);
    size_t n = 0;
    unsigned room;
    while ((room = handler_room(rig.handler)) > 0) {
        struct work *batch[LIMIT_BATCH_ITEMS];
        for (unsigned i = 0; i < room; i++)
            batch[i] = &works[n++];
        handler_submit(rig.handler, batch, room);
    }
    ck_assert_uint_eq(n, LIMIT_SLEEPERS);
}
END_TEST

static void submit_another(size_t i)
{
    if (i < 10)
        (void)submit("again");
}

START_TEST(works_are_submitted_from_on_done)
{
    rig.conf.time = span_ms(1);
    rig.then = submit_another;
    open_builtin(_i ? BUILTIN_SLEEP : BUILTIN_PASS);
    (void)submit("first");
    wait_done(11);
    for (size_t i = 1; i <= 10; i++)
        assert_result(i, "again");
    finish();
}
END_TEST

static void close_now(size_t i)
{
    handler_close(rig.handler, true);
    ck_assert(!rig.closed); /* never from within on_done() */
}

/* The first of a batch closes the handler: the others are cancelled, and the end is told from the loop. */
START_TEST(a_close_from_on_done_cancels_the_batch)
{
    rig.then = close_now;
    rig.free_when_closed = true;
    open_builtin(BUILTIN_PASS);
    struct work *works[3];
    for (size_t i = 0; i < 3; i++)
        works[i] = &rig.works[i];
    rig.submitted = 3;
    handler_submit(rig.handler, works, 3);
    ck_assert_uint_eq(rig.done, 3);
    ck_assert_int_eq(rig.outcomes[0].error, 0);
    assert_failed(1, PEN_ECANCELED, "closed");
    assert_failed(2, PEN_ECANCELED, "closed");
    ck_assert(!rig.closed);
    run_loop();
    ck_assert(rig.closed);
    ck_assert_ptr_null(rig.handler);
}
END_TEST

/* ---- co-processes: good ones ---- */

START_TEST(lines_through_cat)
{
    open_exec("cat", NULL);
    ck_assert_uint_eq(handler_room(rig.handler), 1);
    assert_result(ask("hello"), "hello");
    assert_result(ask(""), "");
    assert_result(ask("carriage\r"), "carriage\r");
    finish();
}
END_TEST

START_TEST(lines_through_awk)
{
    open_exec("awk", "{ print $1 * 2; fflush() }", NULL);
    /* mawk reads ahead until it is told that somebody waits. */
    if (system("mawk -W version >/dev/null 2>&1 </dev/null") == 0) {
        handler_free(&rig.handler);
        open_exec("mawk", "-W", "interactive", "{ print $1 * 2 }", NULL);
    }
    assert_result(ask("21"), "42");
    assert_result(ask("4"), "8");
    finish();
}
END_TEST

START_TEST(lines_through_a_shell)
{
    open_exec("sh", "-c", "while read -r line; do echo \"<$line>\"; done", NULL);
    assert_result(ask("a b"), "<a b>");
    assert_result(ask("c"), "<c>");
    finish();
}
END_TEST

static const char frames_in_python[] =
    "import struct, sys\n"
    "i, o = sys.stdin.buffer, sys.stdout.buffer\n"
    "while head := i.read(4):\n"
    "    body = i.read(*struct.unpack('>I', head))\n"
    "    o.write(struct.pack('>I', len(body)) + body[::-1]); o.flush()\n";

START_TEST(frames_through_python)
{
    const char *python = getenv("PYTHON3");
    if (system("python3 -c '' >/dev/null 2>&1") != 0)
        return;
    rig.conf.protocol = PROTOCOL_FRAMES;
    open_exec(python != NULL && python[0] == '/' ? python : "python3", "-u", "-c", frames_in_python,
              NULL);
    assert_result(ask("a\nb"), "b\na");
    assert_result(ask(""), "");
    finish();
}
END_TEST

START_TEST(payloads_larger_than_a_pipe)
{
    static char text[1 << 20];
    memset(text, 'p', sizeof text - 1);
    rig.conf.protocol = _i ? PROTOCOL_FRAMES : PROTOCOL_LINES;
    rig.conf.answer_max = sizeof text;
    open_coproc(NULL, NULL);
    assert_result(ask(text), text);
    assert_result(ask("small"), "small");
    finish();
}
END_TEST

START_TEST(many_processes_work_at_once)
{
    rig.conf.processes = 3;
    open_coproc(NULL, NULL);
    ck_assert_uint_eq(handler_room(rig.handler), 3);
    size_t hanging = submit("hang");
    ck_assert_uint_eq(handler_room(rig.handler), 2);
    size_t a = submit("pid"), b = submit("pid");
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    wait_done(2);
    ck_assert_uint_eq(rig.outcomes[a].error | rig.outcomes[b].error, 0);
    ck_assert(rig.outcomes[a].result.bytes != rig.outcomes[b].result.bytes ||
              memcmp(rig.outcomes[a].result.at, rig.outcomes[b].result.at,
                     rig.outcomes[a].result.bytes) != 0);
    ck_assert(!rig.outcomes[hanging].done);
    finish_by(true);
    ck_assert_int_eq(rig.outcomes[hanging].error, PEN_ECANCELED);
}
END_TEST

/* A FIFO in a folder of its own. */
static char gate_dir[] = "/tmp/penstock-test-XXXXXX", gate[sizeof gate_dir + 8];

static void make_gate(void)
{
    ck_assert_ptr_nonnull(mkdtemp(gate_dir));
    (void)snprintf(gate, sizeof gate, "%s/gate", gate_dir);
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
}

/* Returns when the program has opened it too. */
static void meet_at_gate(int flags)
{
    int fd = open(gate, flags | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unlink(gate);
    rmdir(gate_dir);
}

START_TEST(a_slow_start_is_waited_for)
{
    make_gate();
    open_coproc("gated", gate);
    size_t i = submit("patience");
    ck_assert(!rig.outcomes[i].done); /* nor can it be until the gate is open */
    meet_at_gate(O_WRONLY);
    wait_done(1);
    assert_result(i, "patience");
    finish();
}
END_TEST

START_TEST(room_is_told_once_it_is_back)
{
    open_coproc(NULL, NULL);
    (void)submit("a");
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    ck_assert_uint_eq(rig.rooms, 0);
    wait_room();
    ck_assert_uint_eq(rig.rooms, 1);
    finish();
}
END_TEST

/* Otherwise its messages would be on their way already. */
START_TEST(room_that_is_lost_is_told)
{
    rig.conf.processes = 2;
    open_coproc(NULL, NULL);
    size_t i = ask("pid");
    ck_assert_uint_eq(handler_room(rig.handler), 2);
    ck_assert_uint_eq(rig.rooms, 0);
    char pid[16] = "";
    ck_assert_uint_lt(rig.outcomes[i].result.bytes, sizeof pid);
    memcpy(pid, rig.outcomes[i].result.at, rig.outcomes[i].result.bytes);
    ck_assert_int_eq(kill(atoi(pid), SIGKILL), 0);
    rig.wait_for_room = true;
    run_loop();
    ck_assert_uint_eq(handler_room(rig.handler), 1);
    ck_assert_uint_eq(rig.rooms, 1);
    rig.wait_for_room = false;
    finish();
}
END_TEST

START_TEST(no_room_is_told_to_one_who_took_it_in_on_done)
{
    rig.then = submit_another;
    open_coproc(NULL, NULL);
    (void)submit("first");
    wait_done(11);
    ck_assert_uint_le(rig.rooms, 1);
    finish();
}
END_TEST

/* ---- co-processes: bad ones ---- */

START_TEST(a_missing_program_is_told_at_boot)
{
    char *argv[] = { (char[]){ "/nonexistent/handler" }, NULL };
    rig.conf.exec = (struct conf_strings){ .at = argv, .count = 1 };
    ck_assert_int_eq(try_open(), PEN_ESPAWN);
    ck_assert_ptr_null(rig.handler);
    ck_assert_int_eq(open_fds(), rig.fds_before);
}
END_TEST

START_TEST(a_newline_fails_its_message_only)
{
    open_exec("cat", NULL);
    size_t i = submit("two\nlines");
    assert_failed(i, PEN_EHANDLER, "protocol: frames");
    ck_assert_uint_eq(handler_room(rig.handler), 1);
    assert_result(ask("one line"), "one line");
    ck_assert_uint_eq(stats().started, 1);
    finish();
}
END_TEST

static const struct {
    const char *order;
    int error;
    const char *reason;
} faults[] = {
    { "crash", PEN_ECRASHED, "handler killed by signal 9 (Killed)" },
    { "exit", PEN_EEXITED, "handler exited with status 3" },
    { "hang", PEN_ETIMEOUT, "handler took longer than " },
    { "twice", PEN_EMALFORMED, "more than one answer" },
    { "long", PEN_EMALFORMED, "longer than max_answer (4KiB)" },
    { "closeout", PEN_EMALFORMED, "closed its standard input or output" },
};

enum { FAULTS = sizeof faults / sizeof faults[0] };

/* Every fault fails its own message with its reason; the one before and the one after are answered. */
START_TEST(a_fault_fails_exactly_its_message)
{
    rig.conf.protocol = _i < FAULTS ? PROTOCOL_LINES : PROTOCOL_FRAMES;
    int k = _i % FAULTS;
    /* Long enough that only what hangs can take longer. */
    rig.conf.timeout = strcmp(faults[k].order, "hang") == 0 ? span_s(1) : span_s(60);
    open_coproc(NULL, NULL);
    if (faults[k].error != PEN_ETIMEOUT)
        assert_result(ask("before"), "before");
    size_t i = ask(faults[k].order);
    assert_failed(i, faults[k].error, faults[k].reason);
    rig.conf.timeout = span_s(60);
    assert_result(ask("after"), "after");
    struct handler_stats s = stats();
    ck_assert_uint_eq(s.started, 2);
    ck_assert_uint_eq(s.crashed, faults[k].error == PEN_ECRASHED || faults[k].error == PEN_EEXITED);
    ck_assert_uint_eq(s.timeouts, faults[k].error == PEN_ETIMEOUT);
    ck_assert_uint_eq(s.malformed, faults[k].error == PEN_EMALFORMED);
    finish();
}
END_TEST

START_TEST(an_answer_before_the_end_counts)
{
    static const char *const orders[] = { "last", "closein" };
    open_coproc(NULL, NULL);
    for (uint64_t k = 1; k <= 4; k++) {
        assert_result(ask(orders[_i]), orders[_i]);
        rig.wait_for_room = true;
        while (stats().crashed + stats().malformed < k)
            run_loop();
        ck_assert_uint_eq(stats().failed, 0);
    }
    finish();
}
END_TEST

START_TEST(output_that_nobody_asked_for_is_a_fault)
{
    open_coproc("chatty", NULL);
    while (stats().malformed < 3) { /* each time it is started again */
        wait_room();
        rig.wait_for_room = true;
        run_loop();
    }
    finish_by(true);
}
END_TEST

/* The loop does not run in between, so only the handing over can see it. The first process spoils its
 * chance; the next, which finds no gate, is a good one. */
START_TEST(output_before_a_message_is_not_its_answer)
{
    char script[128];
    make_gate();
    (void)snprintf(script, sizeof script, "[ -e %s ] && echo unasked && echo >%s; exec cat", gate,
                   gate);
    open_exec("sh", "-c", script, NULL);
    meet_at_gate(O_RDONLY);
    size_t i = submit("question");
    ck_assert(!rig.outcomes[i].done);
    ck_assert_uint_eq(stats().malformed, 1);
    wait_done(1);
    assert_result(i, "question");
    ck_assert_uint_eq(stats().started, 2);
    finish();
}
END_TEST

/* Both processes are lost to the first message while it is handed over, so nobody is left for the second
 * one, for which there had been room. */
START_TEST(a_batch_survives_the_loss_of_its_processes)
{
    char script[128], met[2];
    rig.conf.processes = 2;
    make_gate();
    (void)snprintf(script, sizeof script, "[ -p %s ] && echo unasked && echo >%s; exec cat", gate,
                   gate);
    open_exec("sh", "-c", script, NULL);
    int fd = open(gate, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    for (size_t n = 0; n < sizeof met;) { /* A newline from each. */
        ssize_t r = read(fd, met, 1);
        ck_assert_int_ge(r, 0);
        n += (size_t)r;
    }
    close(fd);
    unlink(gate);
    rmdir(gate_dir);
    submit_pair("one", "two");
    ck_assert_uint_eq(stats().malformed, 2);
    wait_done(2);
    assert_result(0, "one");
    assert_result(1, "two");
    finish();
}
END_TEST

/* The banner comes while the request still stands in the pipe. */
START_TEST(a_banner_is_not_an_answer)
{
    char script[256];
    make_gate();
    (void)snprintf(
        script, sizeof script,
        "if [ -e %s ]; then read x <%s; echo banner; while [ -e %s ]; do :; done; fi; exec cat",
        gate, gate, gate_dir);
    open_exec("sh", "-c", script, NULL);
    size_t i = submit("question");
    int fd = open(gate, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "\n", 1), 1);
    close(fd);
    unlink(gate);
    wait_done(1); /* the folder is there, so the first process never comes to read */
    rmdir(gate_dir);
    assert_result(i, "question");
    ck_assert_uint_eq(stats().malformed, 1);
    finish();
}
END_TEST

/* Programs that end after an answer, as to be fresh for the next message, lose none. */
START_TEST(an_end_between_messages_costs_none)
{
    rig.conf.processes = 2;
    rig.conf.protocol = _i ? PROTOCOL_FRAMES : PROTOCOL_LINES;
    open_coproc(NULL, NULL);
    for (int k = 0; k < 50; k++)
        assert_result(ask("last"), "last");
    ck_assert_uint_eq(stats().failed, 0);
    finish();
}
END_TEST

START_TEST(a_message_not_taken_goes_to_another_process)
{
    make_gate();
    char script[128];
    (void)snprintf(script, sizeof script, "[ -p %s ] && read x <%s && exit 1; exec cat", gate, gate);
    open_exec("sh", "-c", script, NULL);
    size_t i = submit("question");
    handler_close(rig.handler, _i); /* a graceful close waits for it, too */
    if (_i == 0) {
        int fd = open(gate, O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, "\n", 1), 1);
        close(fd);
    }
    unlink(gate);
    rmdir(gate_dir);
    while (!rig.closed)
        run_loop();
    if (_i == 0)
        assert_result(i, "question");
    else
        assert_failed(i, PEN_ECANCELED, "closed");
    finish();
}
END_TEST

START_TEST(an_early_answer_waits_for_its_request)
{
    static char text[1 << 20];
    memset(text, 'e', sizeof text - 1);
    open_coproc("early", NULL);
    assert_result(ask(text), "early");
    assert_result(ask(text), "early");
    ck_assert_uint_eq(stats().started, 1);
    finish();
}
END_TEST

static bool ticked;

static void on_tick(struct pen_loop *loop, void *arg, int status)
{
    ticked = true;
    pen_loop_stop(loop);
}

START_TEST(a_process_that_never_reads_does_not_block_the_loop)
{
    static char text[1 << 20];
    struct pen_timer tick = { 0 };
    memset(text, 'n', sizeof text - 1);
    rig.conf.timeout = span_ms(300);
    open_coproc("unread", NULL);
    size_t i = submit(text);
    ck_assert_int_eq(pen_loop_call_later(rig.loop, &tick, span_ms(1), on_tick, NULL), 0);
    run_loop();
    ck_assert(ticked);
    ck_assert(!rig.outcomes[i].done);
    wait_done(1);
    assert_failed(i, PEN_ETIMEOUT, "took longer than ");
    finish_by(true);
}
END_TEST

START_TEST(descendants_end_with_their_process)
{
    open_coproc("lingering", NULL);
    assert_failed(ask("crash"), PEN_ECRASHED, "signal 9");
    assert_failed(ask("exit"), PEN_EEXITED, "status 3");
    assert_result(ask("well"), "well");
    finish();
}
END_TEST

/* No message waits for ever for a program that reads none. */
START_TEST(a_program_that_always_ends_fails_its_messages)
{
    open_exec("true", NULL);
    for (uint64_t k = 1; k <= 3; k++) {
        assert_failed(ask("x"), PEN_EEXITED, "handler exited with status 0");
        ck_assert_uint_ge(stats().crashed, k * (LIMIT_HANDLER_UNTAKEN + 1));
    }
    finish();
}
END_TEST

/* A message that waits for a program that is gone is given back by an immediate close. */
START_TEST(a_message_that_waits_is_cancelled)
{
    char dir[] = "/tmp/penstock-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    char program[sizeof dir + 8];
    (void)snprintf(program, sizeof program, "%s/prog", dir);
    ck_assert_int_eq(symlink(coproc_path, program), 0);
    make_gate();
    open_exec(program, "lines", "deserter", gate, NULL);
    ck_assert_int_eq(unlink(program), 0);
    size_t i = submit("question");
    meet_at_gate(O_WRONLY);
    struct pen_timer tick = { 0 };
    while (stats().crashed == 0) {
        ck_assert_int_eq(pen_loop_call_later(rig.loop, &tick, span_ms(1), on_tick, NULL), 0);
        run_loop();
    }
    ck_assert(!rig.outcomes[i].done);
    handler_close(rig.handler, false);
    ck_assert(!rig.closed);
    handler_close(rig.handler, true);
    ck_assert(rig.closed);
    assert_failed(i, PEN_ECANCELED, "closed");
    rmdir(dir);
    finish();
}
END_TEST

START_TEST(a_program_that_vanishes_is_tried_again)
{
    char dir[] = "/tmp/penstock-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    char program[sizeof dir + 8];
    (void)snprintf(program, sizeof program, "%s/prog", dir);
    ck_assert_int_eq(symlink(coproc_path, program), 0);
    open_exec(program, "lines", NULL);
    ck_assert_int_eq(unlink(program), 0);
    assert_failed(ask("exit"), PEN_EEXITED, "status 3");
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    struct pen_timer tick = { 0 };
    ck_assert_int_eq(pen_loop_call_later(rig.loop, &tick, span_ms(100), on_tick, NULL), 0);
    run_loop();
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    ck_assert_uint_eq(stats().started, 1);
    ck_assert_int_eq(symlink(coproc_path, program), 0);
    assert_result(ask("back"), "back");
    ck_assert_uint_eq(stats().started, 2);
    unlink(program);
    rmdir(dir);
    finish();
}
END_TEST

/* ---- everything at once ---- */

static unsigned long seed = 1;

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static int planned[WORKS_MAX];

static void submit_mixed(void)
{
    static const char *const orders[] = { "crash", "exit", "twice", "long", "last" };
    static const int errors[] = { PEN_ECRASHED, PEN_EEXITED, PEN_EMALFORMED, PEN_EMALFORMED, 0 };
    unsigned k = pick(20);
    char text[32];
    (void)snprintf(text, sizeof text, "message %zu", rig.submitted);
    planned[rig.submitted] = k < 5 ? errors[k] : 0;
    (void)submit(k < 5 ? orders[k] : text);
}

START_TEST(neighbours_are_not_touched)
{
    rig.conf.processes = 4;
    rig.conf.protocol = _i ? PROTOCOL_FRAMES : PROTOCOL_LINES;
    open_coproc(NULL, NULL);
    while (rig.submitted < 400) {
        wait_room();
        while (rig.submitted < 400 && handler_room(rig.handler) > 0)
            submit_mixed();
        wait_done(rig.done + 1);
    }
    wait_done(400);
    for (size_t i = 0; i < 400; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "message %zu", i);
        ck_assert_int_eq(rig.outcomes[i].error, planned[i]);
        if (planned[i] == 0 && rig.outcomes[i].result.bytes != strlen("last"))
            assert_result(i, text);
    }
    finish();
}
END_TEST

/* ---- standard error ---- */

static int log_fd, stderr_kept;
static char logged[1 << 20];

static void capture_log(void)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    log_fd = dup(fileno(file));
    fclose(file);
    stderr_kept = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(log_fd, STDERR_FILENO), STDERR_FILENO);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_SYSTEMD);
    rig.fds_before = open_fds();
}

static const char *read_log(void)
{
    dup2(stderr_kept, STDERR_FILENO);
    ssize_t n = pread(log_fd, logged, sizeof logged - 1, 0);
    ck_assert_int_ge(n, 0);
    logged[n] = '\0';
    return logged;
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

START_TEST(standard_error_goes_to_the_log)
{
    capture_log();
    open_coproc(NULL, NULL);
    char line[64], pid[16];
    struct outcome *o = &rig.outcomes[ask("pid")];
    (void)snprintf(pid, sizeof pid, "%.*s", (int)o->result.bytes, (const char *)o->result.at);
    assert_result(ask("noisy 2"), "noisy 2");
    finish();
    (void)snprintf(line, sizeof line, "<5>consumer work/0: pid %s: noise 0\n", pid);
    ck_assert_msg(strstr(read_log(), line) != NULL, "%s", logged);
    ck_assert_int_eq(count_of(logged, "noise"), 2);
}
END_TEST

START_TEST(a_flood_on_standard_error_is_counted)
{
    capture_log();
    open_coproc(NULL, NULL);
    assert_result(ask("noisy 5000"), "noisy 5000");
    finish();
    unsigned left_out = 0, total = 0;
    for (const char *at = read_log(); (at = strstr(at, "pid ")) != NULL; at++)
        if (sscanf(at, "pid %*d: %u lines of its standard error were left out", &left_out) == 1)
            total += left_out;
    int passed = count_of(logged, "noise");
    ck_assert_int_ge(passed, LIMIT_HANDLER_STDERR_LINES_PER_S);
    ck_assert_int_lt(passed, 5000);
    ck_assert_uint_eq((unsigned)passed + total, 5000);
}
END_TEST

START_TEST(standard_error_is_made_harmless)
{
    capture_log();
    open_coproc(NULL, NULL);
    assert_result(ask("binary"), "binary");
    finish();
    ck_assert_ptr_nonnull(strstr(read_log(), "esc \\x1b[2J bell \\x07\n"));
    ck_assert_ptr_null(strchr(logged, '\033'));
    ck_assert_ptr_nonnull(strstr(logged, "yyy...\n"));
    ck_assert_ptr_nonnull(strstr(logged, ": after\n"));
    ck_assert_ptr_nonnull(strstr(logged, ": unfinished\n"));
    char *rest = logged, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        ck_assert_uint_lt(strlen(line), LIMIT_LOG_LINE_BYTES);
}
END_TEST

START_TEST(last_words_come_before_the_death)
{
    capture_log();
    open_exec("sh", "-c", "read line; echo farewell >&2; kill -SEGV $$", NULL);
    assert_failed(ask("x"), PEN_ECRASHED, "handler killed by signal 11 (Segmentation fault)");
    finish();
    const char *words = strstr(read_log(), "farewell");
    ck_assert_ptr_nonnull(words);
    ck_assert_msg(strstr(words, "killed by signal 11") != NULL, "%s", logged);
}
END_TEST

START_TEST(the_cause_of_a_failed_start_is_told)
{
    capture_log();
    char *argv[] = { (char[]){ "/nonexistent/handler" }, NULL };
    rig.conf.exec = (struct conf_strings){ .at = argv, .count = 1 };
    ck_assert_int_eq(try_open(), PEN_ESPAWN);
    ck_assert_ptr_nonnull(
        strstr(read_log(), "cannot start /nonexistent/handler: No such file or directory\n"));
}
END_TEST

/* ---- closing ---- */

START_TEST(a_graceful_close_lets_the_work_finish)
{
    rig.conf.processes = 2;
    open_exec("sh", "-c", "while read -r line; do echo \"$line!\"; done; exit 0", NULL);
    size_t i = submit("work");
    handler_close(rig.handler, false);
    handler_close(rig.handler, false);
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    finish();
    ck_assert_int_eq(rig.outcomes[i].error, 0);
}
END_TEST

START_TEST(a_graceful_close_may_become_immediate)
{
    rig.conf.processes = 2;
    open_coproc(NULL, NULL);
    size_t i = submit("hang");
    handler_close(rig.handler, false);
    ck_assert(!rig.outcomes[i].done);
    handler_close(rig.handler, true);
    assert_failed(i, PEN_ECANCELED, "closed");
    ck_assert(!rig.closed); /* the killed ones are still to be reaped */
    finish_by(true);
}
END_TEST

START_TEST(a_crash_during_a_graceful_close_is_not_started_again)
{
    open_coproc(NULL, NULL);
    size_t i = submit("crash");
    uint64_t started = stats().started;
    handler_close(rig.handler, false);
    while (!rig.closed)
        run_loop();
    assert_failed(i, PEN_ECRASHED, "signal 9");
    ck_assert_uint_eq(stats().started, started);
    finish();
}
END_TEST

START_TEST(a_close_during_a_pause_ends_it)
{
    rig.conf.backoff_max = span_s(600);
    open_coproc(NULL, NULL);
    for (int k = 0; k < 4; k++)
        (void)ask("crash");
    ck_assert_uint_eq(handler_room(rig.handler), 0);
    handler_close(rig.handler, false);
    ck_assert(rig.closed);
    finish();
}
END_TEST

START_TEST(a_stubborn_process_is_killed_after_its_grace)
{
    open_coproc("stubborn", NULL);
    assert_result(ask("ready"), "ready");
    finish();
}
END_TEST

START_TEST(a_process_is_asked_to_terminate)
{
    capture_log();
    open_coproc("polite", NULL);
    assert_result(ask("ready"), "ready");
    finish();
    ck_assert_msg(strstr(read_log(), "goodbye") != NULL, "%s", logged);
}
END_TEST

static void close_gracefully(size_t i)
{
    handler_close(rig.handler, false);
}

START_TEST(closed_and_freed_from_callbacks)
{
    rig.then = close_gracefully;
    rig.free_when_closed = true;
    open_coproc(NULL, NULL);
    static const char *const orders[] = { "echo", "crash", "long", "bad\nline" };
    (void)submit(orders[_i]);
    while (!rig.closed)
        run_loop();
    ck_assert_ptr_null(rig.handler);
    ck_assert_int_eq(open_fds(), rig.fds_before);
    slice_release(&rig.outcomes[0].result);
    pen_loop_free(&rig.loop);
}
END_TEST

START_TEST(a_boot_that_fails_frees_what_was_opened)
{
    rig.conf.processes = 3;
    open_coproc("stubborn", NULL);
    handler_free(&rig.handler);
    handler_free(&rig.handler);
    ck_assert_int_eq(open_fds(), rig.fds_before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    pen_loop_free(&rig.loop);
}
END_TEST

/* ---- the suite ---- */

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static TCase *builtins(void)
{
    TCase *t = tcase_create("builtin");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, pass_gives_the_same_bytes);
    tcase_add_test(t, pass_copies_nothing);
    tcase_add_loop_test(t, sum_squares_adds_up, 0, COUNT(sums));
    tcase_add_loop_test(t, sum_squares_refuses_what_is_no_number, 0, COUNT(no_sums));
    tcase_add_test(t, sleepers_sleep_side_by_side);
    tcase_add_test(t, a_graceful_close_awaits_sleepers);
    tcase_add_test(t, an_immediate_close_wakes_sleepers);
    tcase_add_test(t, there_is_a_bound_to_sleepers);
    tcase_add_loop_test(t, works_are_submitted_from_on_done, 0, 2);
    tcase_add_test(t, a_close_from_on_done_cancels_the_batch);
    return t;
}

static TCase *good_programs(void)
{
    TCase *t = tcase_create("good programs");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, lines_through_cat);
    tcase_add_test(t, lines_through_awk);
    tcase_add_test(t, lines_through_a_shell);
    tcase_add_test(t, frames_through_python);
    tcase_add_loop_test(t, payloads_larger_than_a_pipe, 0, 2);
    tcase_add_test(t, many_processes_work_at_once);
    tcase_add_test(t, a_slow_start_is_waited_for);
    tcase_add_test(t, room_is_told_once_it_is_back);
    tcase_add_test(t, room_that_is_lost_is_told);
    tcase_add_test(t, no_room_is_told_to_one_who_took_it_in_on_done);
    return t;
}

static TCase *bad_programs(void)
{
    TCase *t = tcase_create("bad programs");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_missing_program_is_told_at_boot);
    tcase_add_test(t, a_newline_fails_its_message_only);
    tcase_add_loop_test(t, a_fault_fails_exactly_its_message, 0, 2 * FAULTS);
    tcase_add_loop_test(t, an_answer_before_the_end_counts, 0, 2);
    tcase_add_test(t, output_that_nobody_asked_for_is_a_fault);
    tcase_add_test(t, output_before_a_message_is_not_its_answer);
    tcase_add_test(t, a_batch_survives_the_loss_of_its_processes);
    tcase_add_test(t, a_banner_is_not_an_answer);
    tcase_add_loop_test(t, an_end_between_messages_costs_none, 0, 2);
    tcase_add_loop_test(t, a_message_not_taken_goes_to_another_process, 0, 2);
    tcase_add_test(t, a_message_that_waits_is_cancelled);
    tcase_add_test(t, an_early_answer_waits_for_its_request);
    tcase_add_test(t, a_process_that_never_reads_does_not_block_the_loop);
    tcase_add_test(t, descendants_end_with_their_process);
    tcase_add_test(t, a_program_that_always_ends_fails_its_messages);
    tcase_add_test(t, a_program_that_vanishes_is_tried_again);
    tcase_add_loop_test(t, neighbours_are_not_touched, 0, 2);
    tcase_add_test(t, standard_error_goes_to_the_log);
    tcase_add_test(t, a_flood_on_standard_error_is_counted);
    tcase_add_test(t, standard_error_is_made_harmless);
    tcase_add_test(t, last_words_come_before_the_death);
    tcase_add_test(t, the_cause_of_a_failed_start_is_told);
    return t;
}

static TCase *closing(void)
{
    TCase *t = tcase_create("closing");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_graceful_close_lets_the_work_finish);
    tcase_add_test(t, a_graceful_close_may_become_immediate);
    tcase_add_test(t, a_crash_during_a_graceful_close_is_not_started_again);
    tcase_add_test(t, a_close_during_a_pause_ends_it);
    tcase_add_test(t, a_stubborn_process_is_killed_after_its_grace);
    tcase_add_test(t, a_process_is_asked_to_terminate);
    tcase_add_loop_test(t, closed_and_freed_from_callbacks, 0, 4);
    tcase_add_test(t, a_boot_that_fails_frees_what_was_opened);
    return t;
}

int main(void)
{
    Suite *s = suite_create("handler");
    suite_add_tcase(s, builtins());
    suite_add_tcase(s, good_programs());
    suite_add_tcase(s, bad_programs());
    suite_add_tcase(s, closing());
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
