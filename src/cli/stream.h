/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream of messages through one socket: what to send, where to print, what was counted, when it
 * ends. The functions below are the moves that the commands are made of; each returns false once the
 * stream has ended, with the reason in s->end.
 */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/frames.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/source.h"

enum stream_end {
    END_NOT_YET,
    END_DONE,  /* everything was sent, the survey is over */
    END_COUNT, /* --count */
    END_TIMEOUT,
    END_SIGNAL,
    END_CLOSED, /* nobody reads stdout any more */
    END_FAILED, /* said why; exit_code is set */
};

struct stream {
    const struct options *o;
    struct client client;
    bool batch; /* --framing batch */
    struct frames frames;
    struct source source;
    struct output output;
    struct progress progress;
    struct tally tally;
    enum stream_end end;
    enum exit_code exit_code;
    unsigned turns; /* messages since the progress line was last looked at */
};

/* What stream_wait() may wait for, and what it says is ready. */
enum {
    WAIT_RECV = 1,
    WAIT_SEND = 2,
    WAIT_INPUT = 4, /* the source's file */
};

/* Opens the socket, with addresses, and what is to be sent. Errors are said. On failure nothing is
 * left to close; the exit code is returned, otherwise EXIT_OK. */
int stream_open(struct stream *s, const struct options *o);

/* As a stream that receives over sockets of its owner: output, progress and counts, ended with stream_close(). */
void stream_begin(struct stream *s, const struct options *o);

/* The summary, and the exit code that the end stands for. */
int stream_close(struct stream *s);

/* Ends the stream, unless it has ended already. Always false. */
bool stream_end(struct stream *s, enum stream_end end);

/* Ends the stream as failed. Always false. */
bool stream_fail(struct stream *s, enum exit_code code, const char *what, int error);

/* Ends the stream for a time-out, which is said. Always false. */
bool stream_timed_out(struct stream *s, const char *what);

/* Ends the stream as what the output's error stands for. Always false. */
bool stream_output_failed(struct stream *s, int error);

/* Writes the output and waits until one of `wants` is ready or the deadline has passed, which sets
 * *ret_ready to 0. False: a signal, or stdout was closed. */
bool stream_wait(struct stream *s, unsigned wants, mono_t deadline, unsigned *ret_ready);

/* Waits and does nothing else. False as above. */
bool stream_pause(struct stream *s, mono_t until);

/* The next SP message to send, borrowed until the next call; waits for input. */
bool stream_next(struct stream *s, const void **ret_data, size_t *ret_bytes);

/* Sends one message; waits for room as long as --send-timeout allows. */
bool stream_send(struct stream *s, const void *data, size_t bytes);

/* Sends one message if there is room now. PEN_EFULL; 0; another error has ended the stream. */
int stream_try_send(struct stream *s, const void *data, size_t bytes) MUST_CHECK;

/* Receives and prints one message if there is one now. 0; PEN_EEMPTY; PEN_ETIMEOUT (a survey is over);
 * another error, or the message counted last by --count, has ended the stream. */
int stream_try_recv(struct stream *s) MUST_CHECK;

/* The same, waiting until the deadline. PEN_ETIMEOUT is a survey's end here too; when the deadline has
 * passed, the stream has ended. */
int stream_recv(struct stream *s, mono_t deadline) MUST_CHECK;

/* After the last message: lets the system take it and peers read it. */
void stream_linger(struct stream *s);

/* A span from now; a negative one is not given: never. */
mono_t stream_deadline(span_t span);

/* Whether there is anything to send. */
bool stream_has_source(const struct options *o);

#endif
