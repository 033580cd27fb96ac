/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_isopool: isolated workers. Processes that share nothing with the caller and take one request at a
 * time. A worker that crashes, hangs or answers nonsense fails only the request in its hands; another process
 * takes its place, after a pause that doubles while it goes wrong, and what waits goes on.
 *
 * A worker is either a program, or a C function that runs in children of a fork server, a copy of this process from
 * when it had one thread. A program speaks frames on standard input and output: a length of 4 bytes, big-endian,
 * and so many bytes; one answer for each request. It ends when its input does. A function's standard output goes
 * where its standard error goes.
 *
 * The workers belong to a loop, which must run for anything to happen. SIGCHLD must not be ignored by the process;
 * SIGPIPE is blocked in the loop's thread. Workers end with the process that made the pool, however that ends: a
 * function's are killed, a program finds the end of its input.
 */
#ifndef PENSTOCK_ISOPOOL_H
#define PENSTOCK_ISOPOOL_H

#include <penstock/future.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_isopool;

/* A worker's answer: the future's result, freed with the future unless it is taken; then with free(). */
struct pen_iso_answer {
    size_t bytes;
    unsigned char data[];
};

/* A worker function. Answers a request with 0 and a buffer from malloc(), which is the library's from then on (or left NULL,
 * with 0 bytes), or with a negative error, which becomes the future's. Runs in a process of its own, which has
 * one thread; it may block, crash and leak. It must be in the program, or in a library that was loaded before
 * pen_isopool_prefork(). */
typedef int (*pen_iso_fn)(const void *request, size_t bytes, void **ret_answer, size_t *ret_bytes);

struct pen_isopool_options {
    const char *name;  /* of the futures, which it must outlive; NULL: "isopool" */
    char *const *argv; /* a program, looked up in $PATH, with its arguments; ends with NULL; or */
    pen_iso_fn fn;     /* a function, by way of the fork server */
    uint32_t workers;  /* 1 to 256; 0: the number of CPUs that the process may use */
    uint32_t queue_max; /* requests waiting, 1 to 2^20; 0: 4096. A cancelled one counts until its turn */
    pen_span_t timeout; /* for one request: then its worker is killed; zero: 30 s */
    size_t answer_max;  /* bytes, at most 2^30; 0: 1 MiB. The worker is killed for a longer one */
    uint64_t max_jobs;  /* answers until a worker is replaced by a new one; 0: no limit */
    uint64_t rlimit_as; /* address space of a worker, bytes; 0: as inherited */
    uint64_t rlimit_cpu_s;  /* seconds on the CPU, ended by SIGXCPU; 0: as inherited */
    uint64_t rlimit_nofile; /* descriptors, at least 8; 0: as inherited */
    pen_span_t backoff_max; /* the first pause is about 10 ms and doubles up to this; zero: 5 s */
    /* What a worker says on its standard error, line by line (a NUL follows the line; it is cut at 8 KiB). On the loop; may
     * call anything that does not block, but not pen_isopool_free(). NULL: workers share our standard error. */
    void (*on_stderr)(const char *line, size_t bytes, int pid, void *arg);
    void *arg;
};

/* Fork the server for worker functions. To be called once, early but after the process has become a daemon, while it has
 * one thread; later calls do nothing. It is no child of the process, keeps no descriptor but standard error, and ends with the process. Blocks for a
 * fork. PEN_EBUSY: the process has threads already; a negated errno. Since 0.2. */
PEN_API int pen_isopool_prefork(void) PEN_MUST_CHECK;

/* Make a pool and start its first worker; the others follow when the loop runs. The options are copied, but for the name. The
 * pool is the caller's, ended with pen_isopool_free(). When the loop is freed first, the pool ends there: what
 * it holds ends with PEN_ECLOSED. Any thread; blocks until the program runs. PEN_ESPAWN, with errno telling why: the program
 * cannot be started, SIGCHLD is ignored, or (ECHILD) there is no fork server; PEN_EINVAL (not exactly one of argv and fn,
 * or a number out of its range), PEN_ENOMEM: *ret_pool untouched. Since 0.2. */
PEN_API int pen_isopool_new(struct pen_loop *loop, const struct pen_isopool_options *options,
                            struct pen_isopool **ret_pool) PEN_MUST_CHECK;

/* Have a request answered; requests begin in the order of submission. It is copied; at most 2^30 bytes. ret_future may be NULL
 * (nobody asks). The future's result is a struct pen_iso_answer. Its errors: PEN_EBROKEN (the worker crashed or exited),
 * PEN_ETIMEOUT, PEN_EMALFORMED (two answers at once, too long a one, or a pipe that was closed), PEN_ENOMEM,
 * PEN_ECANCELED, PEN_ECLOSED (the loop was freed), and whatever a function returned (PEN_EHANDLER for what is no error).
 * A request of which a worker that died had not read a byte is given to another one, up to 5 times. Cancelling the future
 * ends a request that waits at once, and kills the worker of one that runs. Any thread; does not block; callbacks may call
 * it. PEN_EFULL: queue_max requests wait; PEN_ESHUTDOWN, PEN_ETOOBIG, PEN_ENOMEM: nothing was submitted. Since 0.2. */
PEN_API int pen_isopool_submit(struct pen_isopool *pool, const void *request, size_t bytes,
                               struct pen_future **ret_future) PEN_MUST_CHECK;

/* No more requests. What was submitted is still answered, and then the workers end; with cancel, what waits and what runs ends
 * with PEN_ECANCELED and the workers are killed. Any thread; does not block; idempotent; callbacks may call it, and
 * with cancel after without. Since 0.2. */
PEN_API void pen_isopool_shutdown(struct pen_isopool *pool, bool cancel);

/* Wait until a pool that was shut down has ended: every request has, and every process was reaped. Any thread but the
 * loop's: PEN_EWRONGTHREAD. PEN_ETIMEOUT. Since 0.2. */
PEN_API int pen_isopool_join(struct pen_isopool *pool, pen_mono_t deadline) PEN_MUST_CHECK;

/* Free the pool and set *pool to NULL; NULL is accepted. One that has not ended is shut down with cancel and waited for; on its
 * loop's thread, or when the loop does not run, the workers are killed and reaped on the spot. Nobody may use the pool any
 * more, and no callback of it may call this. Since 0.2. */
PEN_API void pen_isopool_free(struct pen_isopool **pool);

struct pen_isopool_stats {
    uint32_t workers, idle; /* processes that are there now, and of these those without a request */
    uint64_t waiting;       /* requests in the queue now */
    uint64_t done, failed;  /* requests ever; failed: with any error but PEN_ECANCELED */
    uint64_t cancelled;
    uint64_t crashes;   /* processes that ended by themselves, by a signal or an exit */
    uint64_t timeouts;  /* processes that were killed for theirs */
    uint64_t malformed; /* processes that were killed for what they wrote */
    uint64_t started;   /* processes ever, those that took another's place included */
};

/* A snapshot, each number by itself. Any thread; does not block. Since 0.2. */
PEN_API void pen_isopool_stats(struct pen_isopool *pool, struct pen_isopool_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
