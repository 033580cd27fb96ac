/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to a worker endpoint of the daemon: JSON requests, any number under way, each answered by itself
 * (penstock-protocol(7)). It connects in the background, and again when the connection is lost; what was asked and not yet
 * sent waits for that, what was sent ends with PEN_ECLOSED, because leases belong to the connection.
 *
 * Thread: the loop's, or while it does not run.
 */
#ifndef CLI_DESK_H
#define CLI_DESK_H

#include <jansson.h>

#include "base/list.h"
#include "base/slice.h"
#include "loop/io.h"
#include "net/endpoint.h"

struct desk_ask;

/* The answer is borrowed for the call; NULL: there is none, and error says why: PEN_ETIMEOUT; PEN_ECLOSED, the connection was
 * lost before it came; PEN_EPROTO, what came is no answer of a worker endpoint in JSON. An answer may be a refusal. The
 * ask is the asker's again, and may be used for another. */
typedef void (*desk_answer_fn)(struct desk_ask *ask, const json_t *answer, int error, void *arg);

/* A question under way; embedded in the asker, zeroed before use, not moved while it is. */
struct desk_ask {
    /* owner: loop */
    struct desk *desk; /* NULL: not under way */
    struct list node;
    uint32_t id;
    struct slice frame; /* empty once it was sent */
    bool sent;
    struct pen_timer timer;
    desk_answer_fn on_answer;
    void *arg;
};

struct desk {
    /* fixed after init */
    struct pen_loop *loop;
    void (*on_lost)(void *arg); /* the connection has ended, after all that was asked over it; may be NULL */
    void *arg;
    /* owner: loop */
    struct endpoint *endpoint;
    struct list asks; /* in the order of asking */
    uint32_t next_id;
};

enum { DESK_ANSWER_BYTES_MAX = 64 << 20 };

/* Begin to connect. The reason of a failure, naming the address, goes to text. */
int desk_open(struct desk *desk, const char *url, char *text, size_t size) MUST_CHECK;
/* When the loop does not run. Nobody is answered any more. Nothing for one that is zeroed. */
void desk_close(struct desk *desk);

/* Ask; the answer comes in a turn of the loop. Takes the reference to the request, NULL: memory was out. patience:
 * negative: no limit. PEN_ENOMEM. */
int desk_ask(struct desk *desk, struct desk_ask *ask, json_t *request, span_t patience) MUST_CHECK;
/* Nobody wants the answer any more. Idempotent. */
void desk_forget(struct desk_ask *ask);

static inline bool desk_is_asking(const struct desk_ask *ask)
{
    return ask->desk != NULL;
}

bool desk_is_connected(const struct desk *desk);
/* What answered there was not a rep socket, or no SP at all. */
bool desk_met_strangers(const struct desk *desk);

/* The error of an answer that is a refusal, or of a job in it: PEN_E...; 0: it is none. */
int desk_refusal(const json_t *answer);

#endif
