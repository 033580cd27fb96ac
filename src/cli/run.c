/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the process counts, not that of its output, which a child of its own may hold open; what is there by then was
 * written by it. What is left of its group is killed.
 *
 * Thread: the loop's.
 */
#include "cli/run.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, TERMINATE_S = 5 /* from SIGTERM to SIGKILL */ };

static void close_input(struct run *r)
{
    io_close(&r->io_in);
    proc_close_in(&r->proc);
}

/* One that does not read all of its input need not. */
static void on_in(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    struct run *r = arg;
    loop_assert_here(io->loop);
    ssize_t n = write(r->proc.fd_in, r->input, r->input_bytes);
    if (n > 0) {
        r->input += n;
        r->input_bytes -= (size_t)n;
    }
    if (r->input_bytes == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_input(r);
}

/* False: nothing more is there now, or ever. */
static bool read_some(struct run *r)
{
    if (buf_bytes(&r->output) > RUN_OUTPUT_BYTES_MAX || buf_reserve(&r->output, READ_BYTES) < 0) {
        r->too_long = true;
        io_close(&r->io_out);
        run_stop(r, true);
        return false;
    }
    ssize_t n = read(r->proc.fd_out, buf_tail(&r->output), buf_room(&r->output));
    if (n > 0)
        buf_grew(&r->output, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        io_close(&r->io_out);
    return n > 0;
}

static void on_out(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    loop_assert_here(io->loop);
    (void)read_some(arg);
}

static void close_all(struct run *r)
{
    pen_timer_cancel(&r->timer);
    io_close(&r->io_in);
    io_close(&r->io_out);
    io_close(&r->io_end);
    r->running = false;
}

static void on_process_end(struct io *io, unsigned ready, void *arg)
{
    (void)ready;
    struct run *r = arg;
    struct proc_end end;
    loop_assert_here(io->loop);
    if (!proc_has_ended(&r->proc))
        return;
    while (!r->too_long && read_some(r)) {
    }
    r->too_long = r->too_long || buf_bytes(&r->output) > RUN_OUTPUT_BYTES_MAX;
    proc_kill(&r->proc, SIGKILL);
    proc_wait(&r->proc, &end);
    close_all(r);
    proc_fini(&r->proc);
    r->on_end(r, end, r->arg);
}

static int watch(struct run *r)
{
    int e = io_open(&r->io_end, r->loop, (struct io_watch){ r->proc.fd_end, IO_READ },
                    on_process_end, r);
    if (e == 0)
        e = io_open(&r->io_out, r->loop, (struct io_watch){ r->proc.fd_out, IO_READ }, on_out, r);
    if (e == 0 && r->input_bytes > 0)
        e = io_open(&r->io_in, r->loop, (struct io_watch){ r->proc.fd_in, IO_WRITE }, on_in, r);
    return e;
}

int run_start(struct run *r, const char *const *argv, const char *const *env, struct run_input input)
{
    struct proc_options options = { .argv = argv, .env = env, .keep_stderr = true };
    buf_consume(&r->output, buf_bytes(&r->output));
    r->too_long = false;
    r->input = input.at;
    r->input_bytes = input.bytes;
    int e = proc_spawn(&options, &r->proc);
    if (e < 0)
        return e;
    r->running = true;
    e = watch(r);
    if (e < 0)
        run_fini(r);
    else if (r->input_bytes == 0)
        close_input(r);
    return e;
}

static void on_time(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    if (status == 0)
        run_stop(arg, true);
}

void run_stop(struct run *r, bool at_once)
{
    if (!r->running)
        return;
    if (!at_once && pen_loop_call_later(r->loop, &r->timer, span_s(TERMINATE_S), on_time, r) < 0)
        at_once = true;
    proc_kill(&r->proc, at_once ? SIGKILL : SIGTERM);
}

void run_fini(struct run *r)
{
    struct proc_end end;
    if (r->running) {
        proc_kill(&r->proc, SIGKILL);
        proc_wait(&r->proc, &end);
        close_all(r);
        proc_fini(&r->proc);
    }
    buf_fini(&r->output);
}
