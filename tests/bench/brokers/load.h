/* SPDX-License-Identifier: Apache-2.0
 *
 * What the load generator (load.c) and the clients of the brokers, one source each, have between them.
 *
 * A client is a table of functions over a link, a connection of its own. They block, and whatever fails ends the
 * process with die(). Sender and receivers are processes of their own, so that each has its library's threads to itself, as
 * two programs would.
 */
#ifndef TESTS_BENCH_BROKERS_LOAD_H
#define TESTS_BENCH_BROKERS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum role {
    SENDS,      /* to the one receiver */
    RECEIVES,   /* from the one sender */
    PUBLISHES,  /* to every subscriber */
    SUBSCRIBES, /* to everything */
    ASKS,       /* send() the question and receive() the answer, also on two threads at once */
    ANSWERS,    /* whoever answers the questions, when the broker itself does not */
    PUTS,       /* jobs, with receipts */
    WORKS       /* takes jobs and acknowledges them */
};

/* What is fixed before a link is opened. */
struct load {
    const char *in, *out; /* addresses as the peer writes them; HOST:PORT for most */
    size_t bytes;         /* of each message */
    size_t batch;         /* messages given to send() or put() at most */
    bool at_once;         /* each message is to leave now: it is latency that is measured */
};
extern struct load load;

struct peer {
    const char *name;
    void *(*open)(enum role role);
    /* n messages, one after the other, of load.bytes each. */
    void (*send)(void *link, const uint8_t *messages, size_t n);
    /* Wait for a message; load_came() for it and for those that came with it. */
    void (*receive)(void *link);
    /* Wait for a question, and answer it with itself. NULL: the broker answers. */
    void (*answer)(void *link);
    /* Put jobs, and wait for nothing. */
    void (*put)(void *link, const uint8_t *messages, size_t n);
    /* Wait for receipts; how many came. */
    size_t (*receipts)(void *link);
    /* Wait for a job, take up to most of those that are there, load_came() for each, acknowledge them and wait until that
     * is confirmed. */
    void (*work)(void *link, size_t most);
    /* Be the broker: relay from load.in to load.out, or fan out; load_serving() when both are bound. NULL: the broker is a
     * program of its own. */
    void (*serve)(bool fan_out);
};

/* Of the client's source; ends with a NULL name. */
extern const struct peer peers[];

/* A message came to this process. */
void load_came(const void *message, size_t bytes);
/* The addresses are bound: tells the parent, on standard output. */
void load_serving(void);

_Noreturn void die(const char *what, const char *why);
void *must_allocate(size_t bytes);
/* "HOST:PORT" into its parts; the port. */
uint16_t split_address(const char *address, char host[64]);

#endif
