/* SPDX-License-Identifier: Apache-2.0
 *
 * A part of the running daemon: one loop on one thread that MAIN gives orders to and that tells MAIN how far it is.
 * Producers, consumer threads and publishers are parts. Orders and news are posts, so neither side ever waits and
 * none can fail. A part may be the guest of another and live on its loop: no hand-off between threads lies between them.
 */
#ifndef FLOW_PART_H
#define FLOW_PART_H

#include <penstock/loop.h>

#include "base/limits.h"
#include "base/roles.h"
#include "loop/io.h"

enum part_order {
    PART_FINISH, /* producers: take what has arrived, then no more */
    PART_CLOSE,  /* flush and end */
    PART_STOP,   /* end now */
    PART_ORDERS
};

enum part_news {
    PART_FINISHED, /* producers: nothing comes in any more */
    PART_ENDED,    /* the loop has nothing left: it may be stopped and joined */
    PART_NEWS
};

struct part;

struct part_options {
    const char *kind, *name; /* "producer", "intake": the log's subject */
    struct pen_loop *main;
    struct part *host; /* on whose loop it lives, which is freed after it; NULL: on one of its own */
    void (*on_order)(struct part *part, enum part_order order); /* on the part's loop */
    /* On MAIN. */
    void (*on_news)(struct part *part, enum part_news news, void *arg);
    void *arg;
};

struct part {
    /* fixed after init */
    struct part_options options;
    char subject[LIMIT_NAME_BYTES + 24];
    struct pen_loop *loop;
    struct part_line {
        struct part *part;
        struct post post;
    } orders[PART_ORDERS], news[PART_NEWS];
    /* owner: MAIN */
    bool finished, ended, running;
};

/* Make the part's loop; it does not run yet. PEN_ENOMEM or a negated errno. MAIN, at boot. */
int part_init(struct part *part, const struct part_options *options) MUST_CHECK;
/* Run the loop on its thread; a guest's is run by its host. A negated errno. */
int part_start(struct part *part) MUST_CHECK;
/* Stop and join the loop, unless it is the host's; what was posted to it ends with PEN_ECLOSED. MAIN; idempotent. */
void part_join(struct part *part);
/* Free the loop. After part_join(). */
void part_fini(struct part *part);

void part_order(struct part *part, enum part_order order) ANY_THREAD;
void part_tell(struct part *part, enum part_news news) ANY_THREAD;

#endif
