/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a handler, for the files of this folder only: what all kinds have in common, and
 * what a kind does by itself.
 */
#ifndef HANDLER_KIND_H
#define HANDLER_KIND_H

#include "base/count.h"
#include "handler/handler.h"
#include "loop/io.h"

enum { HANDLER_NAME_BYTES = LIMIT_NAME_BYTES + 32 };

enum handler_phase { HANDLER_OPEN, HANDLER_CLOSING, HANDLER_CLOSED };

/* The first field of every kind's own struct. */
struct handler {
    /* fixed after init */
    const struct handler_kind *kind;
    const struct conf_handler *conf;
    struct pen_loop *loop;
    struct handler_events events;
    void *arg;
    char name[HANDLER_NAME_BYTES];

    /* owner: loop */
    enum handler_phase phase;
    unsigned depth;    /* of calls into the handler that are on the stack */
    unsigned promised; /* works of handler_submit()s on the stack that are not with the kind yet */
    unsigned in_hand;
    bool starved;         /* the consumer may have seen room 0 */
    unsigned room_before; /* at the outermost handler_enter() */
    struct post closed;

    /* atomic: written by the loop */
    struct count done, failed;
};

struct handler_kind {
    size_t (*bytes)(const struct conf_handler *conf); /* of the kind's struct, which is zeroed */
    int (*open)(struct handler *h);                   /* leaves nothing behind on failure */
    unsigned (*room)(const struct handler *h);
    /* Take the work; room was there. The kind ends it with handler_finish() or handler_fail(). */
    void (*submit)(struct handler *h, struct work *work);
    void (*submitted)(struct handler *h); /* the last work of a batch was submitted; or NULL */
    void (*close)(struct handler *h, bool immediate); /* may come several times */
    bool (*ended)(const struct handler *h);           /* nothing is left of it but memory */
    void (*stats)(const struct handler *h, struct handler_stats *stats); /* of processes; or NULL */
    void (*free)(struct handler *h); /* what open() and after made, not the struct */
};

extern const struct handler_kind builtin_kind, exec_kind;

/* Around everything a kind does in a callback of its own; nothing is touched after
 * handler_leave(), which may have freed the handler. */
void handler_enter(struct handler *h) ASSERTS_ON_LOOP;
void handler_leave(struct handler *h) ON_LOOP;

/* The work's end. Takes over result. Within enter and leave, submit or close. */
void handler_finish(struct handler *h, struct work *work, struct slice result);
void handler_fail(struct handler *h, struct work *work, int error, const char *reason);

#endif
