/* SPDX-License-Identifier: Apache-2.0
 *
 * A program run once: bytes into its standard input, what it writes to its standard output gathered, its end told. Its
 * standard error is ours.
 *
 * Thread: the loop's. SIGPIPE is ignored by the process.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "base/buf.h"
#include "loop/io.h"
#include "plat/proc.h"

enum { RUN_OUTPUT_BYTES_MAX = 1 << 20 };

struct run;

/* It has ended, and run->output is what it wrote; too_long: more than RUN_OUTPUT_BYTES_MAX, for which it was killed. The
 * run may be started again. */
typedef void (*run_end_fn)(struct run *run, struct proc_end end, void *arg);

/* Zeroed before the first start. */
struct run {
    /* set by the owner */
    struct pen_loop *loop;
    run_end_fn on_end;
    void *arg;
    /* owner: loop */
    bool running;
    struct proc proc;
    struct io io_in, io_out, io_end;
    struct pen_timer timer; /* then what was asked to end is killed */
    const uint8_t *input;
    size_t input_bytes;
    struct buf output;
    bool too_long;
};

/* What the program gets; borrowed until its end. */
struct run_input {
    const void *at;
    size_t bytes;
};

/* PEN_ESPAWN, with errno telling why; PEN_ENOMEM. */
int run_start(struct run *run, const char *const *argv, const char *const *env,
              struct run_input input) MUST_CHECK;
/* Ask it to end, and kill it when it does not; at_once: kill it. Its end is told as ever. Nothing when it does not run. */
void run_stop(struct run *run, bool at_once);
/* Kills it and waits for its end, which is not told. */
void run_fini(struct run *run);

#endif
