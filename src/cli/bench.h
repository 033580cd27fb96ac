/* SPDX-License-Identifier: Apache-2.0
 *
 * A benchmark: clients that send messages into a daemon, or anything else that speaks SP, receivers that take what comes
 * out, and an account of both.
 *
 *   bench-run.c      the main loop: begins, watches, ends, adds up
 *   bench-client.c   those who send, and those who ask or put
 *   bench-work.c     those who work: take jobs and acknowledge them
 *   bench-results.c  those who receive
 *   bench-device.c   a forwarder over libnanomsg, to compare with
 *   bench-message.h  what is sent
 *   bench-report.c   what is printed
 *
 * Threads: the main thread runs a loop that clients and receivers post to; each of these is on one loop of a group.
 * Memory: a bounded number of messages for each client, whatever the number of messages.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/units.h"
#include "cli/bench-times.h"

enum {
    BENCH_CLIENTS_MAX = 10000,
    BENCH_ADDRESSES_MAX = 16,
    BENCH_ASKED_MAX = 1024,           /* requests of one client that wait for their answers */
    BENCH_BATCH_MAX = 4096,           /* messages in one frame */
    BENCH_MESSAGE_MAX_BYTES = 1 << 20 /* also of a frame */
};

enum bench_kind { BENCH_PUSH, BENCH_PUB, BENCH_REQ, BENCH_PUT, BENCH_WORK };

/* "push". */
const char *bench_kind_word(enum bench_kind kind);

struct bench_plan {
    enum bench_kind kind;
    /* Addresses, each list ends with NULL; the caller's while it runs. Of the last two at most one has any. */
    char *const *to, *const *pull, *const *sub;
    uint64_t clients;  /* 1 to BENCH_CLIENTS_MAX */
    const char *queue; /* of put and work */
    uint64_t messages; /* of all clients together; 0: as many as go into `duration` */
    span_t duration;
    size_t bytes; /* of each message */
    size_t batch; /* messages in a frame of the batch framing; 0: raw framing; of put and work at least 1 */
    uint64_t rate;   /* messages/s of all clients together; 0: as fast as it goes */
    span_t delay;    /* before the first message */
    span_t patience; /* ends when nothing has moved for so long */
    bool quiet;      /* no progress */
};

enum bench_end { BENCH_DONE, BENCH_TIMED_OUT, BENCH_INTERRUPTED };

struct bench_result {
    enum bench_end end;
    bool receives; /* results were waited for, or answers, or acknowledgements */
    uint64_t sent, received;
    uint64_t failed;  /* answers that tell of an error */
    uint64_t dropped; /* by our own sockets: of pub, when a subscriber was too slow */
    bool whole;       /* what was received is what was sent, each once */
    span_t took;
    struct bench_times latency; /* with a rate: from when each message was due */
};

/* Do it. 0 with the result, also when it was cut short; or an error whose text is said. Blocks. */
int bench_run(const struct bench_plan *plan, struct bench_result *ret_result) MUST_CHECK;

/* The same, pushed through a forwarder of our own over libnanomsg in place of the plan's addresses. */
int bench_run_device(const struct bench_plan *plan, struct bench_result *ret_result) MUST_CHECK;

/* ---- what is printed ---- */

enum bench_form { BENCH_TEXT, BENCH_JSON, BENCH_CSV };

/* baseline may be NULL. */
void bench_report(const struct bench_plan *plan, const struct bench_result *result,
                  const struct bench_result *baseline, enum bench_form form);

#endif
