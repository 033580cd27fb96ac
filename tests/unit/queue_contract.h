/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue's contract as a suite of tests, for whatever fulfils it: the library's queue, the daemon's job queue. It
 * holds at least what CPython's test_queue.py asserts of queue.Queue, and what that leaves out: waiters that really
 * wait, several and timed ones, in-flight items and a joiner at an immediate shutdown.
 *
 * Items are numbers from 1 up, carried as pointers that are never followed. An adapter's functions have the meaning, the
 * results and the thread rules of their namesakes in <penstock/queue.h>.
 *
 * Where the daemon's job queue differs on purpose, a flag says so, and the cases ask it:
 *   - holds_taken: its bounds count what is in hand as well as what is ready, because a message in hand still occupies
 *     its payload. A get makes room only when the item is finished; contract_finish() does it where it matters.
 *   - decides_each: each item of a batch has a status of its own, because each comes from another peer that is to be
 *     told. One that is too big is refused, and those behind it go in.
 *   - dies_of_mistakes: only the daemon's own code calls it, so a call from the wrong thread is our mistake and no
 *     result: it dies.
 */
#ifndef TESTS_QUEUE_CONTRACT_H
#define TESTS_QUEUE_CONTRACT_H

#include <check.h>

#include <penstock/queue.h>

struct queue_ops {
    const char *name;
    bool holds_taken, decides_each, dies_of_mistakes;
    int (*make)(const struct pen_queue_options *options, void **ret_queue); /* PEN_QUEUE_FIFO */
    void (*free)(void **queue);
    int (*put)(void *queue, void *ptr, size_t bytes, pen_mono_t deadline);
    int (*put_many)(void *queue, const struct pen_item *items, size_t n, pen_mono_t deadline,
                    size_t *ret_put);
    int (*get)(void *queue, struct pen_item *ret_item, pen_mono_t deadline);
    int (*get_many)(void *queue, struct pen_item *ret_items, size_t max, pen_mono_t deadline,
                    size_t *ret_got);
    int (*task_done)(void *queue, size_t n);
    int (*join)(void *queue, pen_mono_t deadline);
    void (*shutdown)(void *queue, enum pen_shutdown mode);
    void (*stats)(void *queue,
                  struct pen_queue_stats *ret_stats); /* but for the wait times, which may be 0 */
    /* Attachments. The callbacks' first argument may be anything: the suite does not use it. */
    int (*attach)(void *queue, struct pen_loop *loop, const struct pen_getter_options *options,
                  void **ret_getter);
    void (*pause)(void *getter);
    void (*resume)(void *getter);
    void (*close)(void **getter);
    int (*attach_putter)(void *queue, struct pen_loop *loop,
                         const struct pen_putter_options *options, void **ret_putter);
    int (*putter_put)(void *putter, const struct pen_item *items, size_t n);
    void (*putter_close)(void **putter);
};

/* The suite; ops must stay. */
Suite *queue_contract_suite(const struct queue_ops *ops);

/* ---- for the suite's own files ---- */

extern const struct queue_ops *contract_ops;

TCase *contract_basic_case(void);
TCase *contract_wait_case(void);
TCase *contract_shutdown_case(void);
TCase *contract_loop_case(void);
TCase *contract_putter_case(void);

enum { CONTRACT_TIMEOUT_S = 120 };

static inline void *num(size_t n)
{
    return (void *)n;
}

static inline size_t num_of(const void *ptr)
{
    return (size_t)ptr;
}

struct destroyed {
    size_t count, sum;
};

/* A queue with these bounds, which sums what it destroys in *destroyed (NULL: no destructor). */
void *contract_queue(uint32_t items_max, uint64_t bytes_max, struct destroyed *destroyed);
struct pen_queue_stats contract_stats(void *queue);

/* Finish the n oldest items in hand where they still count towards the bounds, so that there is room. */
void contract_finish(void *queue, size_t n);

/* Until so many stand in line. The only way to know it is to look, so this looks again and again, giving way. */
void contract_await_putters(void *queue, uint64_t n);
void contract_await_getters(void *queue, uint64_t n);
void contract_await_joiners(void *queue, uint64_t n);

/* A thread that makes one call, so that it may wait. One that gets also finishes, see contract_finish(). */
enum actor_does { ACTOR_PUT, ACTOR_GET, ACTOR_JOIN };
struct actor {
    void *queue;
    enum actor_does does;
    struct pen_item item; /* to put, or got */
    pen_mono_t deadline;
    int result;
    struct thread *thread;
};
void actor_put(struct actor *a, void *queue, struct pen_item item, pen_mono_t deadline);
void actor_get(struct actor *a, void *queue, pen_mono_t deadline);
void actor_join(struct actor *a, void *queue, pen_mono_t deadline);
/* Its result, when it has ended. */
int actor_end(struct actor *a);

/* An hour from now: a deadline that no test reaches. */
pen_mono_t far_away(void);
/* A moment from now: a deadline that is meant to be reached. */
pen_mono_t soon(void);

#endif
