/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of one loop that wait until what they say is true: receipts of a durable queue. They leave in the order in which
 * they came. For a queue that keeps nothing none ever waits.
 *
 * Thread: the loop's.
 */
#ifndef FLOW_PROMISES_H
#define FLOW_PROMISES_H

#include "base/route.h"
#include "flow/jobq.h"

struct promises;

struct promises_options {
    struct jobq *queue;
    struct pen_loop *loop;
    /* It is true: body is the callee's. */
    void (*send)(void *arg, const struct route *route, struct slice body);
    /* It cannot become true: it may be kept or not. */
    void (*fail)(void *arg, const struct route *route, uint64_t form, int error);
    void *arg;
};

/* PEN_ENOMEM. On the loop's thread or before it runs. */
int promises_new(const struct promises_options *options, struct promises **ret_promises) MUST_CHECK;
/* What waits is dropped. Sets to NULL, accepts NULL. */
void promises_free(struct promises **promises);

/* An answer, which is taken, to what was put until now; form is given back to fail(). Sent at once when it is true already;
 * failed with PEN_ENOMEM when there is no memory to let it wait. */
void promises_add(struct promises *p, const struct route *route, struct slice body, uint64_t form)
    ON_LOOP;

/* Nothing waits. */
bool promises_empty(const struct promises *p);
/* Called once nothing waits any more, if something does now. */
void promises_on_empty(struct promises *p, void (*fn)(void *arg)) ON_LOOP;

#endif
