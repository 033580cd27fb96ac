/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker process: started, given one request at a time, watched, ended, and started again.
 *
 *            start            give
 *   DOWN ------------> IDLE <-------> BUSY            an end of the process leads to DOWN from anywhere
 *                       |    answer    |
 *                       |              |
 *          stdin closed |              | a pipe was closed by the process
 *     TERMINATING <-- CLOSING       LEAVING           a fault, or running out of grace, leads to DYING
 *
 * A fault (time-out, malformed answer) kills the process's whole group and fails the request at
 * once: SIGKILL cannot be put off, so there is nothing to wait for. An end by itself is taken note
 * of only after what the process had written was read: an answer that was whole counts, and last
 * words come before the news of the death. What is left of the group is killed then, before
 * the pid is given back.
 *
 * Output that nobody asked for is a fault: the process is out of step, and its next answer would be
 * taken for the wrong request's. That is what comes in state IDLE, what is there already when a
 * request is handed over, and what comes while all of the request still stands in the pipe.
 *
 * A request of which the process has not read a byte has not been in its hands, whatever became of
 * the process; so one that ends after an answer, as many do after their thousandth, does not take
 * the next request with it. Such a request waits for another process (crew_take_back()), but not for
 * ever: see LIMIT_HANDLER_UNTAKEN.
 *
 * The process cannot block the loop: all descriptors are non-blocking, and each event reads or
 * writes once. It cannot fill the memory either: what is kept of an answer is bounded by
 * answer_max, of standard error by a line. An answer that comes before its request was written
 * whole waits for the rest to go out.
 *
 * Thread: the crew's loop.
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "task/crew.h"
#include "task/worker_fn.h"

enum {
    READ_BYTES = 64 * 1024, /* what a pipe holds */
    ERR_READ_BYTES = 4 * 1024,
    /* A pipe's writing end is never readable, but an error shows as that: the reader is gone. */
    WATCH_IN = IO_READ | IO_EDGE,
    ERR_READS_AT_END = 2 * READ_BYTES / ERR_READ_BYTES, /* a pipe, and what was written meanwhile */
};

/* ---- state ---- */

#define MAY(state) (1u << WORKER_##state)

static const unsigned moves[WORKER_STATES] = {
    [WORKER_DOWN] = MAY(IDLE),
    [WORKER_IDLE] = MAY(BUSY) | MAY(LEAVING) | MAY(CLOSING) | MAY(DYING) | MAY(DOWN),
    [WORKER_BUSY] = MAY(IDLE) | MAY(LEAVING) | MAY(DYING) | MAY(DOWN),
    [WORKER_LEAVING] = MAY(DYING) | MAY(DOWN),
    [WORKER_CLOSING] = MAY(TERMINATING) | MAY(DYING) | MAY(DOWN),
    [WORKER_TERMINATING] = MAY(DYING) | MAY(DOWN),
    [WORKER_DYING] = MAY(DOWN),
};

static void set_state(struct worker *w, enum worker_state to)
{
    struct crew *c = w->crew;
    check(moves[w->state] & (1u << to));
    c->idle_count += (to == WORKER_IDLE) - (w->state == WORKER_IDLE);
    c->down_count += (to == WORKER_DOWN) - (w->state == WORKER_DOWN);
    count_set(&c->counts.idle, c->idle_count);
    count_set(&c->counts.down, c->down_count);
    list_remove(&w->idle_node);
    if (to == WORKER_IDLE)
        list_push_back(&c->idle, &w->idle_node);
    w->state = to;
}

static const struct crew_options *options_of(const struct worker *w)
{
    return &w->crew->options;
}

__attribute__((format(printf, 2, 3))) static void tell(struct worker *w, const char *format, ...)
{
    char text[LIMIT_ERROR_TEXT_BYTES];
    if (w->crew->events->on_trouble == NULL)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    w->crew->events->on_trouble(text, w->crew->arg);
}

/* ---- the request's end ---- */

static struct crew_request *take_request(struct worker *w)
{
    struct crew_request *request = w->request;
    w->request = NULL;
    if (request != NULL)
        request->worker = NULL;
    return request;
}

static void fail_request(struct worker *w, int error, const char *reason)
{
    struct crew_request *request = take_request(w);
    if (request != NULL)
        w->crew->events->on_fail(request, error, reason, w->crew->arg);
}

/* The pipe into the process, which outlives it, still holds all that was written of the request. */
static bool is_untaken(const struct worker *w)
{
    int unread;
    return ioctl(w->proc.fd_in, FIONREAD, &unread) == 0 && (size_t)unread == w->sent_bytes;
}

/* The process is lost to the request. */
static void fail_or_hand_on(struct worker *w, bool untaken, int error, const char *reason)
{
    if (w->request == NULL)
        return;
    if (!untaken || w->request->untaken == LIMIT_HANDLER_UNTAKEN)
        fail_request(w, error, reason);
    else
        crew_take_back(w->crew, take_request(w));
}

static void kill_now(struct worker *w)
{
    set_state(w, WORKER_DYING);
    pen_timer_cancel(&w->timer);
    io_close(&w->io_in);
    io_close(&w->io_out);
    proc_kill(&w->proc, SIGKILL);
}

/* The process broke the rules: it is killed, and the request in its hands, if any, fails. */
static void fault(struct worker *w, int error, const char *reason)
{
    if (error == PEN_ETIMEOUT)
        count_add(&w->crew->counts.timeouts, 1);
    else if (error == PEN_EMALFORMED)
        count_add(&w->crew->counts.malformed, 1);
    bool untaken = error == PEN_EMALFORMED && w->request != NULL && is_untaken(w);
    tell(w, "pid %d: %s; it is killed", (int)proc_pid(&w->proc), reason);
    kill_now(w);
    fail_or_hand_on(w, untaken, error, reason);
}

void worker_cancel(struct worker *w, const char *reason)
{
    w->blameless = true;
    kill_now(w);
    fail_request(w, PEN_ECANCELED, reason);
}

/* ---- grace ---- */

static void on_timer(struct pen_loop *loop, void *arg, int status);

/* Without memory for a timer there is no waiting. */
static void arm(struct worker *w, span_t after)
{
    if (pen_loop_call_later(w->crew->loop, &w->timer, after, on_timer, w) < 0)
        on_timer(w->crew->loop, w, 0);
}

/* One of its pipes has ended, which is how an end of the process shows first. */
static void leave(struct worker *w)
{
    if (w->state != WORKER_IDLE && w->state != WORKER_BUSY)
        return;
    set_state(w, WORKER_LEAVING);
    io_want(&w->io_in, 0);
    arm(w, span_ms(LIMIT_HANDLER_LEAVE_MS));
}

/* Ask it to end. */
static void shut(struct worker *w)
{
    set_state(w, WORKER_CLOSING);
    io_close(&w->io_in);
    proc_close_in(&w->proc);
    arm(w, span_ms(LIMIT_HANDLER_GRACE_MS));
}

static void terminate(struct worker *w)
{
    set_state(w, WORKER_TERMINATING);
    proc_kill(&w->proc, SIGTERM);
    arm(w, span_ms(LIMIT_HANDLER_GRACE_MS));
}

/* ---- answers ---- */

/* The next answer begins. A large one's memory is not kept for the small ones. */
static void drop_answer(struct worker *w, struct buf *taken, size_t bytes)
{
    buf_consume(taken, bytes);
    if (taken->cap > READ_BYTES)
        buf_fini(taken);
    else
        w->buf = *taken;
}

/* After an answer. */
static void go_on(struct worker *w)
{
    uint64_t jobs_max = options_of(w)->jobs_max;
    pen_timer_cancel(&w->timer);
    set_state(w, WORKER_IDLE);
    if (w->in_closed) {
        leave(w);
    } else if (jobs_max != 0 && w->answered >= jobs_max) {
        w->blameless = true;
        shut(w);
    }
}

static void finish_request(struct worker *w, const struct worker_found *found)
{
    struct buf taken =
        w->buf; /* The answer stays while it is told; another may be asked for meanwhile. */
    w->buf = (struct buf){ .max = taken.max };
    w->answer.seen_bytes = 0;
    w->pause = span_ms(LIMIT_RESTART_FIRST_MS);
    w->answered++;
    struct crew_request *request = take_request(w);
    if (w->state == WORKER_BUSY)
        go_on(w);
    w->crew->events->on_answer(request, buf_at(&taken) + found->start, found->bytes, w->crew->arg);
    drop_answer(w, &taken, found->used_bytes);
}

static void fault_unasked(struct worker *w, size_t bytes)
{
    char reason[LIMIT_ERROR_TEXT_BYTES];
    (void)snprintf(reason, sizeof reason, "handler wrote %zu bytes that nobody had asked for", bytes);
    fault(w, PEN_EMALFORMED, reason);
}

static void fault_too_long(struct worker *w)
{
    char reason[LIMIT_ERROR_TEXT_BYTES], size[UNITS_TEXT_BYTES];
    (void)snprintf(reason, sizeof reason, "handler's answer is longer than max_answer (%s)",
                   size_format(options_of(w)->answer_max, size));
    fault(w, PEN_EMALFORMED, reason);
}

static bool sent_whole(const struct worker *w)
{
    return w->sent_bytes == worker_request_bytes(options_of(w)->protocol, w->request->bytes);
}

/* See whether what has come so far is an answer. */
static void look_for_answer(struct worker *w)
{
    struct worker_found found;
    size_t bytes = buf_bytes(&w->buf);
    if (bytes == 0)
        return;
    if (w->request == NULL || is_untaken(w)) {
        fault_unasked(w, bytes);
        return;
    }
    int r = worker_answer_find(&w->answer, buf_at(&w->buf), bytes, &found);
    if (r < 0)
        fault_too_long(w);
    else if (r > 0 && found.used_bytes < bytes)
        fault(w, PEN_EMALFORMED, "handler wrote more than one answer");
    else if (r > 0 && w->state == WORKER_BUSY && !sent_whole(w))
        io_want(&w->io_out, 0); /* Until the rest is sent. */
    else if (r > 0)
        finish_request(w, &found);
}

/* Read once into the answer's buffer. Bytes read, 0 at the end, -EAGAIN, PEN_ENOMEM. */
static ssize_t read_some(struct worker *w)
{
    size_t room = w->buf.max - buf_bytes(&w->buf);
    if (room > READ_BYTES)
        room = READ_BYTES;
    check(room > 0); /* A full buffer is either an answer or too long, and both were dealt with. */
    int r = buf_reserve(&w->buf, room);
    if (r < 0)
        return r;
    ssize_t n;
    do
        n = read(w->proc.fd_out, buf_tail(&w->buf), room);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        buf_grew(&w->buf, (size_t)n);
    return n < 0 && errno == EAGAIN ? -EAGAIN : n < 0 ? 0 : n;
}

static void read_answer(struct worker *w)
{
    ssize_t n = read_some(w);
    if (n > 0) {
        look_for_answer(w);
    } else if (n == 0) {
        io_close(&w->io_out);
        leave(w);
    } else if (n == PEN_ENOMEM) {
        fault(w, PEN_ENOMEM, pen_strerror(PEN_ENOMEM));
    }
}

/* What a process that is to end still writes may not keep it from ending. */
static void discard_output(struct worker *w)
{
    char chunk[ERR_READ_BYTES];
    ssize_t n = read(w->proc.fd_out, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        io_close(&w->io_out);
}

static void on_out(struct io *io, unsigned ready, void *arg)
{
    struct worker *w = arg;
    crew_enter(w->crew);
    if (w->state == WORKER_CLOSING || w->state == WORKER_TERMINATING)
        discard_output(w);
    else
        read_answer(w);
    crew_leave(w->crew);
}

/* ---- requests ---- */

/* Send what the pipe takes. */
static void send_request(struct worker *w)
{
    struct worker_rest rest;
    const struct crew_request *request = w->request;
    ssize_t n;
    do {
        worker_request_rest(options_of(w)->protocol, request->data, request->bytes, w->sent_bytes,
                            &rest);
        n = writev(w->proc.fd_in, rest.iov, rest.count);
        if (n > 0)
            w->sent_bytes += (size_t)n;
    } while ((n > 0 && !sent_whole(w)) || (n < 0 && errno == EINTR));
    if (n < 0 && errno == EAGAIN)
        io_want(&w->io_in, IO_WRITE);
    else if (n < 0)
        leave(w); /* EPIPE: it has closed its input, or is dead. Its end, which is to come, says more. */
    else
        io_want(&w->io_in, WATCH_IN);
}

static void send_more(struct worker *w)
{
    send_request(w);
    if (w->request != NULL && (w->state == WORKER_LEAVING || sent_whole(w))) {
        io_want(&w->io_out, IO_READ);
        look_for_answer(w);
    }
}

static void on_in(struct io *io, unsigned ready, void *arg)
{
    struct worker *w = arg;
    crew_enter(w->crew);
    if (w->state == WORKER_IDLE)
        leave(w);
    else if (sent_whole(w))
        w->in_closed = true; /* It may have closed its input and answer yet. */
    else
        send_more(w);
    crew_leave(w->crew);
}

void worker_give(struct worker *w, struct crew_request *request)
{
    int unasked = 0;
    set_state(w, WORKER_BUSY);
    w->request = request;
    request->worker = w;
    w->sent_bytes = 0;
    if (ioctl(w->proc.fd_out, FIONREAD, &unasked) == 0 && unasked > 0) {
        fault_unasked(w, (size_t)unasked);
        return;
    }
    int r = pen_loop_call_later(w->crew->loop, &w->timer, options_of(w)->timeout, on_timer, w);
    if (r < 0) {
        set_state(w, WORKER_IDLE);
        fail_request(w, r, pen_strerror(r));
        return;
    }
    send_request(w);
}

/* ---- standard error ---- */

static void tell_line(const char *line, size_t bytes, void *arg)
{
    struct worker *w = arg;
    (void)proc_pid(&w->proc); /* Known from here on. */
    w->crew->events->on_line(w, line, bytes, w->crew->arg);
}

/* Bytes read, 0 at the end, -EAGAIN. */
static ssize_t read_err(struct worker *w)
{
    char chunk[ERR_READ_BYTES];
    ssize_t n;
    do
        n = read(w->proc.fd_err, chunk, sizeof chunk);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        worker_lines_feed(&w->lines, chunk, (size_t)n, tell_line, w);
    return n < 0 && errno == EAGAIN ? -EAGAIN : n < 0 ? 0 : n;
}

static void on_err(struct io *io, unsigned ready, void *arg)
{
    struct worker *w = arg;
    crew_enter(w->crew);
    if (read_err(w) == 0)
        io_close(&w->io_err);
    crew_leave(w->crew);
}

static void last_words(struct worker *w)
{
    for (int left = w->proc.fd_err >= 0 ? ERR_READS_AT_END : 0; left > 0 && read_err(w) > 0; left--) {
    }
    worker_lines_end(&w->lines, tell_line, w);
    if (w->crew->events->on_end != NULL)
        w->crew->events->on_end(w, w->crew->arg);
}

/* ---- the process's end ---- */

/* An answer that was written before the end counts. From here on nothing is handed over to the
 * process. */
static void last_answer(struct worker *w)
{
    leave(w);
    if (w->request != NULL)
        look_for_answer(w);
    while (w->request != NULL && read_some(w) > 0)
        look_for_answer(w);
}

static void close_all(struct worker *w)
{
    pen_timer_cancel(&w->timer);
    io_close(&w->io_end);
    io_close(&w->io_in);
    io_close(&w->io_out);
    io_close(&w->io_err);
    proc_fini(&w->proc);
    buf_fini(&w->buf);
    w->answer.seen_bytes = 0;
}

/* How long to wait before the next start; the one after that waits longer. */
static span_t next_pause(struct worker *w)
{
    if (w->blameless)
        return span_ms(0);
    span_t pause = crew_jittered(w->crew, w->pause);
    w->pause.ns *= 2;
    if (w->pause.ns > options_of(w)->backoff_max.ns)
        w->pause = options_of(w)->backoff_max;
    return pause;
}

static void start_after(struct worker *w, span_t pause)
{
    w->blameless = false;
    if (pen_loop_call_later(w->crew->loop, &w->timer, pause, on_timer, w) < 0)
        tell(w, "a process is not started again: %s", pen_strerror(PEN_ENOMEM));
}

void worker_start_later(struct worker *w)
{
    start_after(w, next_pause(w));
}

/* It has ended without being asked to. */
static void ended_by_itself(struct worker *w, pid_t pid, const char *how)
{
    count_add(&w->crew->counts.crashed, 1);
    if (!crew_needs_workers(w->crew)) {
        tell(w, "pid %d %s", (int)pid, how);
        return;
    }
    char text[UNITS_TEXT_BYTES];
    span_t pause = next_pause(w);
    tell(w, "pid %d %s; started again in %s", (int)pid, how,
         span_format(span_ms(pause.ns / 1000000), text));
    start_after(w, pause);
}

static void ended(struct worker *w, pid_t pid, struct proc_end end)
{
    char how[PROC_END_TEXT_BYTES], reason[LIMIT_ERROR_TEXT_BYTES];
    enum worker_state was = w->state;
    bool untaken = w->request != NULL && is_untaken(w);
    close_all(w);
    set_state(w, WORKER_DOWN);
    (void)snprintf(reason, sizeof reason, "handler %s", proc_end_text(end, how));
    fail_or_hand_on(w, untaken, end.signalled ? PEN_ECRASHED : PEN_EEXITED, reason);
    if (was == WORKER_LEAVING)
        ended_by_itself(w, pid, how);
    else if (crew_needs_workers(w->crew))
        worker_start_later(w);
}

static void on_end(struct io *io, unsigned ready, void *arg)
{
    struct worker *w = arg;
    struct proc_end end;
    crew_enter(w->crew);
    if (proc_has_ended(&w->proc)) {
        last_answer(w);
        last_words(w);
        proc_kill(&w->proc, SIGKILL); /* its descendants */
        pid_t pid = proc_pid(&w->proc);
        io_close(&w->io_end); /* Reaping closes its descriptor, which another thread may be given at once. */
        if (proc_reap(&w->proc, &end) == 0)
            ended(w, pid, end);
    } /* Otherwise a debugger has it; we are called again once that lets go. */
    crew_leave(w->crew);
}

/* ---- starting ---- */

static int open_events(struct worker *w)
{
    struct pen_loop *loop = w->crew->loop;
    int r = io_open(&w->io_end, loop, (struct io_watch){ w->proc.fd_end, IO_READ }, on_end, w);
    if (r == 0)
        r = io_open(&w->io_in, loop, (struct io_watch){ w->proc.fd_in, WATCH_IN }, on_in, w);
    if (r == 0)
        r = io_open(&w->io_out, loop, (struct io_watch){ w->proc.fd_out, IO_READ }, on_out, w);
    if (r == 0 && w->proc.fd_err >= 0)
        r = io_open(&w->io_err, loop, (struct io_watch){ w->proc.fd_err, IO_READ }, on_err, w);
    return r;
}

static void kill_and_wait(struct worker *w)
{
    struct proc_end end;
    proc_kill(&w->proc, SIGKILL);
    io_close(&w->io_end);
    proc_wait(&w->proc, &end);
    close_all(w);
}

static int spawn(struct worker *w)
{
    const struct crew_options *o = options_of(w);
    if (o->argv == NULL)
        return worker_fn_spawn(o, &w->proc);
    struct proc_options options = {
        .argv = o->argv, .stdio = PROC_PIPES, .keep_stderr = o->keep_stderr, .limits = o->limits
    };
    return proc_spawn(&options, &w->proc);
}

int worker_spawn(struct worker *w)
{
    int r = spawn(w);
    if (r < 0) {
        const char *what = options_of(w)->argv != NULL ? options_of(w)->argv[0] : "a function";
        tell(w, "cannot start %s: %s", what, strerror(errno));
        return r;
    }
    w->in_closed = false;
    w->answered = 0;
    count_add(&w->crew->counts.started, 1);
    return 0;
}

int worker_watch(struct worker *w)
{
    int r = open_events(w);
    if (r < 0) {
        tell(w, "cannot watch a process: %s", pen_strerror(r));
        kill_and_wait(w);
        return r;
    }
    set_state(w, WORKER_IDLE);
    return 0;
}

static void start_again(struct worker *w)
{
    if (worker_spawn(w) < 0 || worker_watch(w) < 0)
        worker_start_later(w);
}

/* ---- timers ---- */

static void time_out(struct worker *w)
{
    char reason[LIMIT_ERROR_TEXT_BYTES], span[UNITS_TEXT_BYTES];
    (void)snprintf(reason, sizeof reason, "handler took longer than %s",
                   span_format(options_of(w)->timeout, span));
    fault(w, PEN_ETIMEOUT, reason);
}

static void on_timer(struct pen_loop *loop, void *arg, int status)
{
    struct worker *w = arg;
    if (status < 0) /* The loop is being freed. */
        return;
    crew_enter(w->crew);
    if (w->state == WORKER_DOWN)
        start_again(w);
    else if (w->state == WORKER_BUSY)
        time_out(w);
    else if (w->state == WORKER_LEAVING)
        fault(w, PEN_EMALFORMED, "handler closed its standard input or output");
    else if (w->state == WORKER_CLOSING)
        terminate(w);
    else if (w->state == WORKER_TERMINATING)
        kill_now(w);
    crew_leave(w->crew);
}

/* ---- opening and closing ---- */

void worker_init(struct worker *w, struct crew *crew, unsigned index)
{
    const struct crew_options *o = &crew->options;
    w->crew = crew;
    w->index = index;
    w->state = WORKER_DOWN;
    w->proc = PROC_NONE;
    w->pause = span_ms(LIMIT_RESTART_FIRST_MS);
    w->answer = (struct worker_answer){ .protocol = o->protocol, .answer_max = o->answer_max };
    w->buf.max = o->answer_max + WORKER_ANSWER_EXTRA_BYTES;
    list_init(&w->idle_node);
}

void worker_close(struct worker *w, bool immediate)
{
    if (w->state == WORKER_DOWN)
        pen_timer_cancel(&w->timer);
    else if (immediate && w->state != WORKER_DYING)
        kill_now(w);
    else if (w->state == WORKER_IDLE)
        shut(w);
}

void worker_fini(struct worker *w)
{
    pen_timer_cancel(&w->timer);
    (void)take_request(w);
    if (proc_exists(&w->proc))
        kill_and_wait(w);
    if (w->state != WORKER_DOWN)
        set_state(w, WORKER_DOWN);
}
