/* SPDX-License-Identifier: Apache-2.0
 *
 * What makes a publisher's results gap-free: it numbers them, keeps the last ones, and answers requests for them over a rep
 * endpoint of its own (penstock-protocol(7), "Replay").
 *
 * Thread: the publisher's loop.
 */
#ifndef FLOW_REPLAY_H
#define FLOW_REPLAY_H

#include "base/roles.h"
#include "conf/conf.h"
#include "net/endpoint.h"

struct replay;

struct replay_options {
    struct pen_loop *loop;
    const struct conf_publisher *conf; /* must outlive it */
    const char *name;                  /* "publisher results": for the log; must outlive it */
    void (*on_closed)(void *arg);      /* after replay_close() */
    void *arg;
};

/* Listens, and reads nothing before replay_start(). A failure's text goes to text. What endpoint_open() returns. MAIN, at
 * boot. */
int replay_new(const struct replay_options *options, char *text, size_t size,
               struct replay **ret_replay) MUST_CHECK;
void replay_start(struct replay *replay) ON_LOOP;

/* Which run of sequence numbers this is: random, so that a restart is told. */
uint64_t replay_stream(const struct replay *replay) ANY_THREAD;

/* Give messages that go out now their numbers, in place, and keep them. Each is a frame or an object whose numbers are still to be
 * written (batch_renumber(), json_message_number()), and nobody else's. */
void replay_number(struct replay *replay, struct parcel_frame *frames, size_t n) ON_LOOP;

/* As endpoint_close(). */
void replay_close(struct replay *replay, bool immediate) ON_LOOP;
/* After on_closed, or while the loop does not run; sets to NULL, accepts NULL. */
void replay_free(struct replay **replay);

struct replay_stats {
    uint64_t oldest, next; /* results that can be asked for: [oldest, next) */
    uint64_t bytes;
    uint64_t requests, refused; /* refused: of those */
    uint64_t results;           /* sent once more */
    uint64_t gone;              /* results that were asked for and are gone */
    uint64_t peers;
};
void replay_stats(const struct replay *replay, struct replay_stats *ret_stats) ANY_THREAD;

#endif
