/* SPDX-License-Identifier: Apache-2.0
 *
 * pen_client: a program's end of a connection to penstockd, in batch framing over tcp or ipc. It puts messages and asks
 * for results, or it receives what is published, or it works on the jobs of a worker endpoint.
 *
 * A client connects in the background and again whenever the connection is lost, at once and then after pauses that grow
 * up to a second. It has a loop and a thread of its own, or lives on a loop that it is given. What is asked for is a future
 * (<penstock/future.h>): wait for it, or have it told to a loop. Everything is bounded: requests by number, what waits by
 * bytes, an answer by time.
 *
 * A request is sent once. When its answer does not come in time, PEN_ETIMEOUT, it is not known whether the messages were
 * accepted; with a dedupe id it is safe to put them again.
 */
#ifndef PENSTOCK_CLIENT_H
#define PENSTOCK_CLIENT_H

#include <penstock/future.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pen_client;
struct pen_work;
struct pen_work_options;

enum pen_client_kind {
    PEN_CLIENT_REQ, /* to a producer of the pattern rep: put with receipts, and call; to a worker endpoint: put */
    PEN_CLIENT_PUSH, /* to one of the pattern pull: put without receipts */
    PEN_CLIENT_SUB,  /* to a publisher of the pattern pub: receive */
    PEN_CLIENT_PULL, /* to one of the pattern push: receive */
    PEN_CLIENT_WORK  /* to a worker endpoint: work */
};

enum pen_client_framing {
    PEN_FRAMING_BATCH,
    PEN_FRAMING_RAW /* SUB and PULL: each SP message is one payload, with its topic in front */
};

/* What was received; all of it is borrowed. */
struct pen_received {
    const void *body;
    size_t bytes;
    const char *topic; /* without NUL at its end */
    size_t topic_bytes;
    uint64_t id;               /* the message's whose result it is; 0: it was not told */
    uint64_t stream, sequence; /* where it stands among all that was published; 0: it was not told */
};

struct pen_client_options {
    enum pen_client_kind kind;
    const char *address;   /* tcp://HOST:PORT or ipc:///PATH; a name is looked up once */
    struct pen_loop *loop; /* must outlive the client; NULL: one of its own */
    const char *name;      /* for stall reports; NULL: "client" */
    /* Requests that wait for their answers, 1 to 65536; 0: 1024; as many again may wait to be sent. WORK: jobs that are asked
     * for or in hand, from work->batch to 65536; 0: twice the batch. */
    uint32_t in_flight_max;
    uint64_t bytes_max; /* that wait to be sent, or were received and not taken; at least 64 KiB; 0: 16 MiB */
    size_t message_max; /* bytes of an SP message that is received, and of a job's result; 0: 16 MiB */
    pen_span_t timeout; /* from a request to its answer; 0: 30 s */
    enum pen_client_framing framing;
    const char *const *topics; /* SUB: the beginnings of topics wanted, up to a NULL; NULL: everything */
    /* SUB and PULL: called on the loop with each message, instead of pen_client_receive(). May call
     * pen_client_close() and pen_client_pause(). */
    void (*on_message)(struct pen_client *client, const struct pen_received *message, void *arg);
    void *arg;
    const struct pen_work_options *work; /* WORK, which must have it: what to work on */
};

/* Make a client, which begins to connect. Texts and lists are copied. The client is the caller's, ended with
 * pen_client_free(). With options->loop: on its thread, or before it runs; else any thread. Does not block but for the
 * look-up of a host's name. PEN_EINVAL (an option outside its range, or one that does not go with the kind), PEN_EADDRESS,
 * PEN_ENOMEM, PEN_EWRONGTHREAD, or a negated errno: *ret_client untouched. Since 0.2. */
PEN_API int pen_client_new(const struct pen_client_options *options, struct pen_client **ret_client)
    PEN_MUST_CHECK;

/* ---- putting and asking ---- */

/* One message to put; all of it is borrowed for the call, and what is zero is not given. */
struct pen_put {
    const void *body;
    size_t bytes;
    const char *queue;    /* at most 63 bytes */
    const char *key;      /* at most 255 bytes */
    const char *dedupe;   /* at most 255 bytes: equal ones are one message */
    const char *reply_to; /* at most 63 bytes */
    bool has_priority;
    uint8_t priority; /* 0 to 9 */
    pen_span_t delay; /* before it is ready; whole milliseconds count */
    pen_span_t ttl;   /* until it is dropped; the same */
};

enum pen_level { PEN_LEVEL_MEMORY, PEN_LEVEL_WRITTEN, PEN_LEVEL_SYNCED, PEN_LEVEL_REPLICATED };

struct pen_receipt {
    int error;            /* 0: it was accepted */
    enum pen_level level; /* what has become of it */
    uint64_t id;          /* 0: there is none */
};

/* One for each message, in their order. */
struct pen_receipts {
    size_t n;
    struct pen_receipt at[];
};

/* Put n messages (at least 1) with one SP message. The bytes are copied. Its future: PEN_CLIENT_REQ: the result is a
 * struct pen_receipts; PEN_CLIENT_PUSH: it is NULL, and done says that they were given to the connection. The
 * result, when it is taken from the future, is the caller's to free(). ret_future may be NULL when nobody asks. When
 * too much waits already the call waits for room until the deadline, PEN_NOW: not at all. Any thread; blocks on no thread
 * that runs a loop: there only PEN_NOW is permitted, else PEN_EWRONGTHREAD. Callbacks may call it.
 * PEN_EFULL (PEN_NOW), PEN_ETIMEOUT, PEN_ETOOBIG (above 65536 messages, or more bytes than bytes_max), PEN_EINVAL,
 * PEN_ECLOSED, PEN_ENOMEM: nothing was put. The future's errors: PEN_ETIMEOUT, PEN_ECLOSED (before the answer came), PEN_EPROTO
 * (the answer could not be understood), or what the daemon refused the request with. Since 0.2. */
PEN_API int pen_client_put(struct pen_client *client, const struct pen_put *messages, size_t n,
                           pen_mono_t room_until, struct pen_future **ret_future) PEN_MUST_CHECK;

struct pen_answer {
    uint64_t id; /* of the message that was worked on */
    size_t bytes;
    unsigned char body[];
};

/* Put one message and ask for its result: PEN_CLIENT_REQ, to a producer with reply: result. The future's result is a struct
 * pen_answer. All else as pen_client_put(); the future's errors are also those of the handler, such as PEN_EHANDLER.
 * Since 0.2. */
PEN_API int pen_client_call(struct pen_client *client, const struct pen_put *message,
                            pen_mono_t room_until, struct pen_future **ret_future) PEN_MUST_CHECK;

/* ---- receiving ---- */

/* The next message, waiting for it until the deadline. It stays valid until the next call. One thread at a time, and none
 * that runs a loop unless the deadline is PEN_NOW: PEN_EWRONGTHREAD. PEN_ETIMEOUT, PEN_EEMPTY (PEN_NOW), PEN_ECLOSED
 * (the client was closed, and nothing is left), PEN_EINVAL (the kind does not receive, or on_message is set).
 * Since 0.2. */
PEN_API int pen_client_receive(struct pen_client *client, pen_mono_t deadline,
                               struct pen_received *ret_message) PEN_MUST_CHECK;

/* Stop reading, and go on: what has come in the same SP message is still told to on_message. WORK: no more jobs are asked
 * for, and those that were asked for still come. Both idempotent. On the loop's thread; callbacks may call them.
 * PEN_EWRONGTHREAD. Since 0.2. */
PEN_API int pen_client_pause(struct pen_client *client);
PEN_API int pen_client_resume(struct pen_client *client);

/* ---- working ---- */

struct pen_work_queue {
    const char *name;
    uint32_t weight; /* 1 to 1000: how often it is looked at first; 0: 1 */
};

struct pen_work_options {
    const struct pen_work_queue *queues;
    size_t queues_count; /* 1 to 16 */
    uint32_t batch;      /* jobs asked for at once, which come in one SP message; 1 to 256; 0: 16 */
    pen_span_t lease; /* at least 1 ms; 0: the queue's own. A job in hand is touched three times in it */
    pen_span_t wait; /* the daemon's, when there are no jobs: 1 ms to half of the timeout; 0: 1 s */
    /* Called on the loop with each job, instead of pen_client_work(). The job is the callback's to settle, there or later
     * and elsewhere. May call pen_client_close() and pen_client_pause(). */
    void (*on_job)(struct pen_client *client, struct pen_work *work, void *arg);
};

/* A job in hand. What it points to stays until the job is settled. */
struct pen_work {
    const void *body;
    size_t bytes;
    const char *queue, *key; /* without NUL at their ends */
    size_t queue_bytes, key_bytes;
    uint64_t id;
    uint32_t attempts; /* this one too */
    uint8_t priority;
};

/* The next job, waiting for it until the deadline. It is the caller's until pen_client_settle(). Threads that run no loop,
 * several at a time; one that does says PEN_NOW, else PEN_EWRONGTHREAD. PEN_ETIMEOUT, PEN_EEMPTY (PEN_NOW), PEN_ECLOSED, PEN_EINVAL (it
 * is no PEN_CLIENT_WORK, or on_job is set): *ret_work untouched. Since 0.2. */
PEN_API int pen_client_work(struct pen_client *client, pen_mono_t deadline,
                            struct pen_work **ret_work) PEN_MUST_CHECK;

/* The job's lease is lost: it is another's, and what is still done is in vain. Until the job is settled; any thread; cheap
 * enough for an inner loop. Since 0.2. */
PEN_API bool pen_work_is_lost(const struct pen_work *work);

enum pen_outcome {
    PEN_WORK_ACK,     /* it is done */
    PEN_WORK_NACK,    /* the attempt has failed */
    PEN_WORK_RELEASE, /* it is given back as if it had not been tried */
    PEN_WORK_BURY     /* it is set aside until it is kicked */
};

struct pen_settle {
    enum pen_outcome outcome;
    const void *result; /* ACK: for whoever waits for it; borrowed for the call, as the text */
    size_t bytes;
    const char *text; /* NACK and BURY: why, at most 512 bytes; NULL: none */
    pen_span_t delay; /* NACK and RELEASE: until it is ready again; whole milliseconds; 0: as the queue says */
};

/* Say what has become of a job, and set *work to NULL. how NULL: PEN_WORK_ACK. Settlements travel together. Its future has
 * no result; ret_future may be NULL. Any thread; does not block; callbacks may call it. PEN_EINVAL, PEN_ETOOBIG (a result above
 * message_max), PEN_ENOMEM: the job is still the caller's. The future's errors: PEN_ELEASE (the lease was lost, the connection too: do
 * not count on what was done), PEN_ETIMEOUT, PEN_ECLOSED and PEN_EPROTO (it is not known), or what the daemon says. Since 0.2. */
PEN_API int pen_client_settle(struct pen_client *client, struct pen_work **work,
                              const struct pen_settle *how, struct pen_future **ret_future)
    PEN_MUST_CHECK;

/* ---- the end ---- */

/* Begin the end: nothing is put any more (PEN_ECLOSED). What was put is sent and answered first, unless immediate: then
 * it ends with PEN_ECLOSED. What was received can still be taken. WORK: jobs that nobody has taken are released, those in
 * hand are waited for; immediate: the leases are lost, and the daemon charges each with an attempt. Any thread; does not
 * block; idempotent, may become immediate. Since 0.2. */
PEN_API void pen_client_close(struct pen_client *client, bool immediate);

/* Wait for the end that pen_client_close() has begun. Not on a thread that runs a loop: PEN_EWRONGTHREAD, unless the
 * deadline is PEN_NOW. PEN_ETIMEOUT. Since 0.2. */
PEN_API int pen_client_join(struct pen_client *client, pen_mono_t deadline) PEN_MUST_CHECK;

/* Free the client, with all jobs that are in hand, and set *client to NULL; NULL is accepted. With a loop of its own it is closed at once and waited for, so
 * not from on_message. On a loop of the caller's: when pen_client_join() has said 0, on the loop's thread, or while
 * the loop does not run and before it is freed. Nobody may use the client any more. Since 0.2. */
PEN_API void pen_client_free(struct pen_client **client);

struct pen_client_stats {
    bool connected;
    uint64_t connects;  /* connections made so far */
    uint64_t requests;  /* sent: frames */
    uint64_t answers;   /* that belonged to one */
    uint64_t timeouts;  /* requests without an answer in time */
    uint64_t received;  /* SP messages */
    uint64_t malformed; /* of these and of answers, that could not be understood and were dropped */
    uint32_t in_flight, waiting; /* requests now: sent and not answered; not sent yet */
    /* WORK */
    uint32_t in_hand;       /* jobs now, until their settlement is answered */
    uint64_t jobs, settled; /* came; ended as they were settled */
    uint64_t lost;          /* whose lease was lost */
    uint64_t refused; /* times that the daemon would give no jobs; each is followed by a pause of 1 s */
    int refusal;      /* why, the last time; 0: never */
};

/* A snapshot. Any thread; does not block. Since 0.2. */
PEN_API void pen_client_stats(struct pen_client *client, struct pen_client_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
