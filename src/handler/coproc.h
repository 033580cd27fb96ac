/* SPDX-License-Identifier: Apache-2.0
 *
 * One supervised co-process, and the set of them that makes an exec handler. For the files of this
 * folder only.
 *
 * Thread: the consumer's loop.
 */
#ifndef HANDLER_COPROC_H
#define HANDLER_COPROC_H

#include "base/buf.h"
#include "handler/errlog.h"
#include "handler/exec_proto.h"
#include "handler/kind.h"
#include "plat/proc.h"

enum coproc_state {
    COPROC_DOWN,    /* no process; it is started again when the timer says so */
    COPROC_IDLE,    /* runs, nothing in hand */
    COPROC_BUSY,    /* one work in hand; the timer is its time-out */
    COPROC_LEAVING, /* it closed a pipe, so it is about to end, perhaps with the work in hand; grace */
    COPROC_CLOSING,     /* we closed its input: it is to end by itself; grace */
    COPROC_TERMINATING, /* SIGTERM was sent; grace */
    COPROC_DYING,       /* SIGKILL was sent */
    COPROC_STATES
};

struct exec;

struct coproc {
    struct exec *exec; /* fixed after init */
    /* owner: loop */
    enum coproc_state state;
    struct list idle_node;
    struct proc proc;
    struct io io_pid, io_in, io_out, io_err;
    struct pen_timer timer;
    span_t pause;      /* before the next start; doubles */
    struct work *work; /* BUSY, perhaps LEAVING; NULL otherwise */
    size_t sent_bytes; /* of the work's request */
    bool in_closed;    /* it has closed its standard input */
    struct buf buf;    /* of the answer, as far as it has come */
    struct exec_answer answer;
    struct errlog errlog;
};

/* The handler. */
struct exec {
    struct handler handler;
    /* owner: loop */
    struct list idle; /* of struct coproc */
    unsigned idle_count, down_count;
    struct list waiting; /* of struct work: those that a lost process had not taken */
    unsigned waiting_count;
    bool closing;
    uint64_t jitter;          /* state of the generator */
    struct log_limit trouble; /* of what the log is told about all of them */
    unsigned count;           /* fixed after init */
    struct coproc coprocs[];
};

void coproc_init(struct coproc *c, struct exec *exec);
/* DOWN to IDLE. PEN_ESPAWN, after telling the log why; PEN_ENOMEM. */
int coproc_start(struct coproc *c) MUST_CHECK;
/* An IDLE one gets a work that exec_request_check() has passed. */
void coproc_give(struct coproc *c, struct work *work);
/* Towards DOWN, for good: see handler_close(). May come several times. */
void coproc_close(struct coproc *c, bool immediate);
/* Kill it and wait for its end, if it is there. */
void coproc_fini(struct coproc *c);

/* In exec.c: give what waits to whoever is idle; when the handler is closing and nothing waits
 * any more, send the idle ones home. */
void exec_hand_on(struct exec *x);

#endif
