/* SPDX-License-Identifier: Apache-2.0
 *
 * The native transport by itself, to see what the daemon adds to it: one loop, no queue, no second thread.
 *
 *   bare echo ADDRESS    answer every request with itself
 *
 * "ready" on standard output when the address is bound. Ends with SIGTERM.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "net/endpoint.h"

static size_t echo(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    struct parcel_frame answers[LIMIT_BATCH_ITEMS];
    (void)arg;
    for (size_t i = 0; i < n; i++)
        answers[i] = (struct parcel_frame){ .body = frames[i].body, .route = &frames[i].route };
    /* A rep endpoint takes all of them. */
    check(endpoint_send(endpoint, answers, n) == n);
    return n;
}

static void begin(struct pen_loop *loop, void *arg, int status)
{
    (void)loop;
    check(status == 0);
    endpoint_resume(arg);
    puts("ready");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "echo") != 0) {
        fputs("usage: bare echo ADDRESS\n", stderr);
        return 2;
    }
    struct pen_loop *loop;
    check(pen_loop_new(NULL, &loop) == 0);
    struct endpoint_events events = { .on_frames = echo };
    struct endpoint_options options = { .loop = loop,
                                        .events = &events,
                                        .name = "echo",
                                        .pattern = SP_REP,
                                        .listen = (char *[]){ argv[2], NULL },
                                        .message_max = 1 << 20 };
    char text[200];
    struct endpoint *endpoint;
    if (endpoint_open(&options, text, sizeof text, &endpoint) != 0) {
        fprintf(stderr, "bare: %s\n", text);
        return 1;
    }
    check(pen_loop_call_soon_threadsafe(loop, begin, endpoint) == 0);
    return pen_loop_run(loop) == 0 ? 0 : 1;
}
