/* SPDX-License-Identifier: Apache-2.0
 *
 * One co-process: started, given one message at a time, watched, ended, and started again.
 *
 *            start            give
 *   DOWN ------------> IDLE <-------> BUSY            an end of the process leads to DOWN from anywhere
 *                       |    answer    |
 *                       |              |
 *          stdin closed |              | a pipe was closed by the process
 *     TERMINATING <-- CLOSING       LEAVING           a fault, or running out of grace, leads to DYING
 *
 * A fault (time-out, malformed answer) kills the process's whole group and fails the message at
 * once: SIGKILL cannot be put off, so there is nothing to wait for. An end by itself is taken note
 * of only after what the process had written was read: an answer that was whole counts, and last
 * words come before the log's line on the death. What is left of the group is killed then, before
 * the pid is given back.
 *
 * Output that nobody asked for is a fault: the process is out of step, and its next answer would be
 * taken for the wrong message's. That is what comes in state IDLE, what is there already when a
 * message is handed over, and what comes while all of the request still stands in the pipe.
 *
 * A message of which the process has not read a byte has not been in its hands, whatever became of
 * the process; so one that ends after an answer, as many do after their thousandth, does not take
 * the next message with it. Such a message waits for another process (exec_hand_on()), but not for
 * ever: see LIMIT_HANDLER_UNTAKEN.
 *
 * The process cannot block the loop: all descriptors are non-blocking, and each event reads or
 * writes once. It cannot fill the memory either: what is kept of an answer is bounded by
 * answer_max, of standard error by a line. An answer that comes before its request was written
 * whole waits for the rest to go out.
 *
 * Thread: the consumer's loop.
 */
#include "handler/coproc.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"

enum {
    READ_BYTES = 64 * 1024, /* what a pipe holds */
    ERR_READ_BYTES = 4 * 1024,
    /* A pipe's writing end is never readable, but an error shows as that: the reader is gone. */
    WATCH_IN = IO_READ | IO_EDGE,
    ERR_READS_AT_END = 2 * READ_BYTES / ERR_READ_BYTES, /* a pipe, and what was written meanwhile */
};

/* ---- state ---- */

#define MAY(state) (1u << COPROC_##state)

static const unsigned moves[COPROC_STATES] = {
    [COPROC_DOWN] = MAY(IDLE),
    [COPROC_IDLE] = MAY(BUSY) | MAY(LEAVING) | MAY(CLOSING) | MAY(DYING) | MAY(DOWN),
    [COPROC_BUSY] = MAY(IDLE) | MAY(LEAVING) | MAY(DYING) | MAY(DOWN),
    [COPROC_LEAVING] = MAY(DYING) | MAY(DOWN),
    [COPROC_CLOSING] = MAY(TERMINATING) | MAY(DYING) | MAY(DOWN),
    [COPROC_TERMINATING] = MAY(DYING) | MAY(DOWN),
    [COPROC_DYING] = MAY(DOWN),
};

static void coproc_set_state(struct coproc *c, enum coproc_state to)
{
    struct exec *x = c->exec;
    check(moves[c->state] & (1u << to));
    x->idle_count += (to == COPROC_IDLE) - (c->state == COPROC_IDLE);
    x->down_count += (to == COPROC_DOWN) - (c->state == COPROC_DOWN);
    list_remove(&c->idle_node);
    if (to == COPROC_IDLE)
        list_push_back(&x->idle, &c->idle_node);
    c->state = to;
}

static const struct conf_handler *conf_of(const struct coproc *c)
{
    return c->exec->handler.conf;
}

static const char *name_of(const struct coproc *c)
{
    return c->exec->handler.name;
}

/* Tell the log, within bounds: what goes wrong here may go wrong with every message. */
__attribute__((format(printf, 2, 3))) static void tell(struct coproc *c, const char *format, ...)
{
    enum { BURST = 20 };
    char text[LIMIT_ERROR_TEXT_BYTES];
    uint32_t left_out;
    if (!log_limit_pass(&c->exec->trouble, BURST, &left_out))
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (left_out > 0)
        log_warning(name_of(c), "%s (%u messages like this were left out)", text, left_out);
    else
        log_warning(name_of(c), "%s", text);
}

/* ---- the work's end ---- */

static struct work *take_work(struct coproc *c)
{
    struct work *work = c->work;
    c->work = NULL;
    return work;
}

static void fail_work(struct coproc *c, int error, const char *reason)
{
    struct work *work = take_work(c);
    if (work != NULL)
        handler_fail(&c->exec->handler, work, error, reason);
}

/* The pipe into the process, which outlives it, still holds all that was written of the request. */
static bool is_untaken(const struct coproc *c)
{
    int unread;
    return ioctl(c->proc.fd_in, FIONREAD, &unread) == 0 && (size_t)unread == c->sent_bytes;
}

/* The process is lost to the work. */
static void fail_or_hand_on(struct coproc *c, bool untaken, int error, const char *reason)
{
    struct work *work = c->work;
    if (work == NULL)
        return;
    if (!untaken || work->untaken == LIMIT_HANDLER_UNTAKEN) {
        fail_work(c, error, reason);
        return;
    }
    work->untaken++;
    list_push_back(&c->exec->waiting, &take_work(c)->node);
    c->exec->waiting_count++;
}

static void kill_now(struct coproc *c)
{
    coproc_set_state(c, COPROC_DYING);
    pen_timer_cancel(&c->timer);
    io_close(&c->io_in);
    io_close(&c->io_out);
    proc_kill(&c->proc, SIGKILL);
}

/* The process broke the rules: it is killed, and the work in its hands, if any, fails. */
static void fault(struct coproc *c, int error, const char *reason)
{
    struct handler *h = &c->exec->handler;
    if (error == PEN_ETIMEOUT)
        count_add(&h->timeouts, 1);
    else if (error == PEN_EMALFORMED)
        count_add(&h->malformed, 1);
    bool untaken = error == PEN_EMALFORMED && c->work != NULL && is_untaken(c);
    tell(c, "pid %d: %s; it is killed", (int)c->proc.pid, reason);
    kill_now(c);
    fail_or_hand_on(c, untaken, error, reason);
}

/* ---- grace ---- */

static void on_timer(struct pen_loop *loop, void *arg, int status);

/* Without memory for a timer there is no waiting. */
static void arm(struct coproc *c, span_t after)
{
    if (pen_loop_call_later(c->exec->handler.loop, &c->timer, after, on_timer, c) < 0)
        on_timer(c->exec->handler.loop, c, 0);
}

/* Every callback's last call: nothing may be touched after it. */
static void event_ends(struct coproc *c) ON_LOOP
{
    exec_hand_on(c->exec);
    handler_leave(&c->exec->handler);
}

/* One of its pipes has ended, which is how an end of the process shows first. */
static void leave(struct coproc *c)
{
    if (c->state != COPROC_IDLE && c->state != COPROC_BUSY)
        return;
    coproc_set_state(c, COPROC_LEAVING);
    io_want(&c->io_in, 0);
    arm(c, span_ms(LIMIT_HANDLER_LEAVE_MS));
}

/* Ask it to end. */
static void shut(struct coproc *c)
{
    coproc_set_state(c, COPROC_CLOSING);
    io_close(&c->io_in);
    proc_close_in(&c->proc);
    arm(c, span_ms(LIMIT_HANDLER_GRACE_MS));
}

static void terminate(struct coproc *c)
{
    coproc_set_state(c, COPROC_TERMINATING);
    proc_kill(&c->proc, SIGTERM);
    arm(c, span_ms(LIMIT_HANDLER_GRACE_MS));
}

/* ---- answers ---- */

/* A large answer's memory is not kept for the small ones. */
static void drop_answer(struct coproc *c, size_t bytes)
{
    buf_consume(&c->buf, bytes);
    c->answer.seen_bytes = 0;
    if (c->buf.cap > READ_BYTES)
        buf_fini(&c->buf);
}

static void finish_work(struct coproc *c, const struct exec_found *found)
{
    struct slice result;
    int r = slice_copy(buf_at(&c->buf) + found->start, found->bytes, &result);
    drop_answer(c, found->used_bytes);
    c->pause = span_ms(LIMIT_RESTART_FIRST_MS);
    struct work *work = take_work(c);
    if (c->state == COPROC_BUSY) {
        pen_timer_cancel(&c->timer);
        coproc_set_state(c, COPROC_IDLE);
        if (c->in_closed)
            leave(c);
    }
    if (r < 0)
        handler_fail(&c->exec->handler, work, r, pen_strerror(r));
    else
        handler_finish(&c->exec->handler, work, result);
}

static void fault_unasked(struct coproc *c, size_t bytes)
{
    char reason[LIMIT_ERROR_TEXT_BYTES];
    (void)snprintf(reason, sizeof reason, "handler wrote %zu bytes that nobody had asked for", bytes);
    fault(c, PEN_EMALFORMED, reason);
}

static void fault_too_long(struct coproc *c)
{
    char reason[LIMIT_ERROR_TEXT_BYTES], size[UNITS_TEXT_BYTES];
    (void)snprintf(reason, sizeof reason, "handler's answer is longer than max_answer (%s)",
                   size_format(conf_of(c)->answer_max, size));
    fault(c, PEN_EMALFORMED, reason);
}

static bool sent_whole(const struct coproc *c)
{
    return c->sent_bytes == exec_request_bytes(conf_of(c)->protocol, c->work->body.bytes);
}

/* See whether what has come so far is an answer. */
static void look_for_answer(struct coproc *c)
{
    struct exec_found found;
    size_t bytes = buf_bytes(&c->buf);
    if (bytes == 0)
        return;
    if (c->work == NULL || is_untaken(c)) {
        fault_unasked(c, bytes);
        return;
    }
    int r = exec_answer_find(&c->answer, buf_at(&c->buf), bytes, &found);
    if (r < 0)
        fault_too_long(c);
    else if (r > 0 && found.used_bytes < bytes)
        fault(c, PEN_EMALFORMED, "handler wrote more than one answer");
    else if (r > 0 && c->state == COPROC_BUSY && !sent_whole(c))
        io_want(&c->io_out, 0); /* Until the rest is sent. */
    else if (r > 0)
        finish_work(c, &found);
}

/* Read once into the answer's buffer. Bytes read, 0 at the end, -EAGAIN, PEN_ENOMEM. */
static ssize_t read_some(struct coproc *c)
{
    size_t room = c->buf.max - buf_bytes(&c->buf);
    if (room > READ_BYTES)
        room = READ_BYTES;
    check(room > 0); /* A full buffer is either an answer or too long, and both were dealt with. */
    int r = buf_reserve(&c->buf, room);
    if (r < 0)
        return r;
    ssize_t n;
    do
        n = read(c->proc.fd_out, buf_tail(&c->buf), room);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        buf_grew(&c->buf, (size_t)n);
    return n < 0 && errno == EAGAIN ? -EAGAIN : n < 0 ? 0 : n;
}

static void read_answer(struct coproc *c)
{
    ssize_t n = read_some(c);
    if (n > 0) {
        look_for_answer(c);
    } else if (n == 0) {
        io_close(&c->io_out);
        leave(c);
    } else if (n == PEN_ENOMEM) {
        fault(c, PEN_ENOMEM, pen_strerror(PEN_ENOMEM));
    }
}

/* What a process that is to end still writes may not keep it from ending. */
static void discard_output(struct coproc *c)
{
    char chunk[ERR_READ_BYTES];
    ssize_t n = read(c->proc.fd_out, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        io_close(&c->io_out);
}

static void on_out(struct io *io, unsigned ready, void *arg)
{
    struct coproc *c = arg;
    handler_enter(&c->exec->handler);
    if (c->state == COPROC_CLOSING || c->state == COPROC_TERMINATING)
        discard_output(c);
    else
        read_answer(c);
    event_ends(c);
}

/* ---- requests ---- */

/* Send what the pipe takes. */
static void send_request(struct coproc *c)
{
    struct exec_rest rest;
    const struct slice *body = &c->work->body;
    ssize_t n;
    do {
        exec_request_rest(conf_of(c)->protocol, body->at, body->bytes, c->sent_bytes, &rest);
        n = writev(c->proc.fd_in, rest.iov, rest.count);
        if (n > 0)
            c->sent_bytes += (size_t)n;
    } while ((n > 0 && !sent_whole(c)) || (n < 0 && errno == EINTR));
    if (n < 0 && errno == EAGAIN)
        io_want(&c->io_in, IO_WRITE);
    else if (n < 0)
        leave(c); /* EPIPE: it has closed its input, or is dead. Its end, which is to come, says more. */
    else
        io_want(&c->io_in, WATCH_IN);
}

static void send_more(struct coproc *c)
{
    send_request(c);
    if (c->work != NULL && (c->state == COPROC_LEAVING || sent_whole(c))) {
        io_want(&c->io_out, IO_READ);
        look_for_answer(c);
    }
}

static void on_in(struct io *io, unsigned ready, void *arg)
{
    struct coproc *c = arg;
    handler_enter(&c->exec->handler);
    if (c->state == COPROC_IDLE)
        leave(c);
    else if (sent_whole(c))
        c->in_closed = true; /* It may have closed its input and answer yet. */
    else
        send_more(c);
    event_ends(c);
}

void coproc_give(struct coproc *c, struct work *work)
{
    int unasked = 0;
    coproc_set_state(c, COPROC_BUSY);
    c->work = work;
    c->sent_bytes = 0;
    if (ioctl(c->proc.fd_out, FIONREAD, &unasked) == 0 && unasked > 0) {
        fault_unasked(c, (size_t)unasked);
        return;
    }
    int r = pen_loop_call_later(c->exec->handler.loop, &c->timer, conf_of(c)->timeout, on_timer, c);
    if (r < 0) {
        coproc_set_state(c, COPROC_IDLE);
        fail_work(c, r, pen_strerror(r));
        return;
    }
    send_request(c);
}

/* ---- standard error ---- */

/* Bytes read, 0 at the end, -EAGAIN. */
static ssize_t read_err(struct coproc *c)
{
    char chunk[ERR_READ_BYTES];
    ssize_t n;
    do
        n = read(c->proc.fd_err, chunk, sizeof chunk);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        errlog_feed(&c->errlog, name_of(c), c->proc.pid, chunk, (size_t)n);
    return n < 0 && errno == EAGAIN ? -EAGAIN : n < 0 ? 0 : n;
}

static void on_err(struct io *io, unsigned ready, void *arg)
{
    struct coproc *c = arg;
    if (read_err(c) == 0)
        io_close(&c->io_err);
}

static void last_words(struct coproc *c)
{
    for (int left = ERR_READS_AT_END; left > 0 && read_err(c) > 0; left--) {
    }
    errlog_end(&c->errlog, name_of(c), c->proc.pid);
}

/* ---- the process's end ---- */

/* An answer that was written before the end counts. From here on nothing is handed over to the
 * process. */
static void last_answer(struct coproc *c)
{
    leave(c);
    if (c->work != NULL)
        look_for_answer(c);
    while (c->work != NULL && read_some(c) > 0)
        look_for_answer(c);
}

static void close_all(struct coproc *c)
{
    pen_timer_cancel(&c->timer);
    io_close(&c->io_pid);
    io_close(&c->io_in);
    io_close(&c->io_out);
    io_close(&c->io_err);
    proc_fini(&c->proc);
    buf_fini(&c->buf);
    c->answer.seen_bytes = 0;
}

/* Half of the pause is random, so that many that died of one cause do not come back as one. */
static span_t next_pause(struct coproc *c)
{
    struct exec *x = c->exec;
    x->jitter = x->jitter * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
    int64_t half = c->pause.ns / 2;
    span_t pause = { half + (int64_t)((x->jitter >> 11) % (uint64_t)(half + 1)) };
    c->pause.ns *= 2;
    if (c->pause.ns > conf_of(c)->backoff_max.ns)
        c->pause = conf_of(c)->backoff_max;
    return pause;
}

static void start_later(struct coproc *c, span_t pause)
{
    if (pen_loop_call_later(c->exec->handler.loop, &c->timer, pause, on_timer, c) < 0)
        log_error(name_of(c), "a co-process is not started again: %s", pen_strerror(PEN_ENOMEM));
}

static bool is_needed(const struct coproc *c)
{
    return !c->exec->closing || c->exec->waiting_count > 0;
}

/* It has ended without being asked to. */
static void ended_by_itself(struct coproc *c, pid_t pid, const char *how)
{
    count_add(&c->exec->handler.crashed, 1);
    if (!is_needed(c)) {
        tell(c, "pid %d %s", (int)pid, how);
        return;
    }
    char text[UNITS_TEXT_BYTES];
    span_t pause = next_pause(c);
    tell(c, "pid %d %s; started again in %s", (int)pid, how,
         span_format(span_ms(pause.ns / 1000000), text));
    start_later(c, pause);
}

static void ended(struct coproc *c, pid_t pid, struct proc_end end)
{
    char how[PROC_END_TEXT_BYTES], reason[LIMIT_ERROR_TEXT_BYTES];
    enum coproc_state was = c->state;
    bool untaken = c->work != NULL && is_untaken(c);
    close_all(c);
    coproc_set_state(c, COPROC_DOWN);
    (void)snprintf(reason, sizeof reason, "handler %s", proc_end_text(end, how));
    fail_or_hand_on(c, untaken, end.signalled ? PEN_ECRASHED : PEN_EEXITED, reason);
    if (was == COPROC_LEAVING)
        ended_by_itself(c, pid, how);
    else if (is_needed(c))
        start_later(c, next_pause(c));
}

static void on_end(struct io *io, unsigned ready, void *arg)
{
    struct coproc *c = arg;
    struct proc_end end;
    handler_enter(&c->exec->handler);
    last_answer(c);
    last_words(c);
    proc_kill(&c->proc, SIGKILL); /* its descendants */
    pid_t pid = c->proc.pid;
    if (proc_reap(&c->proc, &end) == 0)
        ended(c, pid, end);
    /* Otherwise a debugger has it; we are called again once that lets go. */
    event_ends(c);
}

/* ---- starting ---- */

static int watch(struct coproc *c)
{
    struct pen_loop *loop = c->exec->handler.loop;
    int r = io_open(&c->io_pid, loop, (struct io_watch){ c->proc.fd_pid, IO_READ }, on_end, c);
    if (r == 0)
        r = io_open(&c->io_in, loop, (struct io_watch){ c->proc.fd_in, WATCH_IN }, on_in, c);
    if (r == 0)
        r = io_open(&c->io_out, loop, (struct io_watch){ c->proc.fd_out, IO_READ }, on_out, c);
    if (r == 0)
        r = io_open(&c->io_err, loop, (struct io_watch){ c->proc.fd_err, IO_READ }, on_err, c);
    return r;
}

static void kill_and_wait(struct coproc *c)
{
    struct proc_end end;
    proc_kill(&c->proc, SIGKILL);
    proc_wait(&c->proc, &end);
    close_all(c);
}

int coproc_start(struct coproc *c)
{
    const char *const *argv = (const char *const *)conf_of(c)->exec.at;
    struct proc_options options = { .argv = argv, .stdio = PROC_PIPES };
    int r = proc_spawn(&options, &c->proc);
    if (r < 0) {
        tell(c, "cannot start %s: %s", argv[0], strerror(errno));
        return r;
    }
    r = watch(c);
    if (r < 0) {
        tell(c, "cannot watch %s: %s", argv[0], pen_strerror(r));
        kill_and_wait(c);
        return r;
    }
    c->in_closed = false;
    count_add(&c->exec->handler.started, 1);
    coproc_set_state(c, COPROC_IDLE);
    return 0;
}

/* ---- timers ---- */

static void time_out(struct coproc *c)
{
    char reason[LIMIT_ERROR_TEXT_BYTES], span[UNITS_TEXT_BYTES];
    (void)snprintf(reason, sizeof reason, "handler took longer than %s",
                   span_format(conf_of(c)->timeout, span));
    fault(c, PEN_ETIMEOUT, reason);
}

static void on_timer(struct pen_loop *loop, void *arg, int status)
{
    struct coproc *c = arg;
    if (status < 0) /* The loop is being freed. */
        return;
    handler_enter(&c->exec->handler);
    if (c->state == COPROC_DOWN && coproc_start(c) < 0)
        start_later(c, next_pause(c));
    else if (c->state == COPROC_BUSY)
        time_out(c);
    else if (c->state == COPROC_LEAVING)
        fault(c, PEN_EMALFORMED, "handler closed its standard input or output");
    else if (c->state == COPROC_CLOSING)
        terminate(c);
    else if (c->state == COPROC_TERMINATING)
        kill_now(c);
    event_ends(c);
}

/* ---- opening and closing ---- */

void coproc_init(struct coproc *c, struct exec *exec)
{
    const struct conf_handler *conf = exec->handler.conf;
    c->exec = exec;
    c->state = COPROC_DOWN;
    c->proc = PROC_NONE;
    c->pause = span_ms(LIMIT_RESTART_FIRST_MS);
    c->answer = (struct exec_answer){ .protocol = conf->protocol, .answer_max = conf->answer_max };
    c->buf.max = conf->answer_max + EXEC_ANSWER_EXTRA_BYTES;
    list_init(&c->idle_node);
}

void coproc_close(struct coproc *c, bool immediate)
{
    if (c->state == COPROC_DOWN) {
        pen_timer_cancel(&c->timer);
    } else if (immediate && c->state != COPROC_DYING) {
        kill_now(c);
        fail_work(c, PEN_ECANCELED, "the handler was closed");
    } else if (c->state == COPROC_IDLE) {
        shut(c);
    }
}

void coproc_fini(struct coproc *c)
{
    pen_timer_cancel(&c->timer);
    if (c->proc.pid != 0)
        kill_and_wait(c);
}
