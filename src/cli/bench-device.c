/* SPDX-License-Identifier: Apache-2.0
 *
 * What to compare with: a forwarder from PULL to PUSH over libnanomsg, in this process and on a loop of its own, to which
 * the same clients and the same receiver talk over tcp. It is what nn_device() does, and takes many messages in a turn.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "loop/io.h"
#include "net/endpoint.h"

enum { ADDRESS_BYTES = 64 };

struct device {
    struct pen_loop *loop;
    struct endpoint *in, *out;
    char in_address[ADDRESS_BYTES], out_address[ADDRESS_BYTES];
};

/* An address of a port that is free now: libnanomsg does not take port 0. */
static int free_address(char address[ADDRESS_BYTES])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    int r = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &bytes) < 0)
        r = -errno;
    else
        (void)snprintf(address, ADDRESS_BYTES, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
    (void)close(fd);
    return r;
}

static size_t on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    (void)endpoint;
    struct device *d = arg;
    struct parcel_frame parcels[LIMIT_BATCH_ITEMS];
    loop_assert_here(d->loop);
    for (size_t i = 0; i < n; i++)
        parcels[i] = (struct parcel_frame){ .body = frames[i].body };
    return endpoint_send(d->out, parcels, n);
}

static void on_room(struct endpoint *endpoint, void *arg)
{
    (void)endpoint;
    struct device *d = arg;
    loop_assert_here(d->loop);
    endpoint_resume(d->in);
}

static void on_begin(struct pen_loop *loop, void *arg, int status)
{
    struct device *d = arg;
    if (status != 0)
        return;
    loop_assert_here(loop);
    endpoint_resume(d->in);
}

static int device_endpoint(struct device *d, enum sp_pattern pattern, char *address,
                           struct endpoint **ret_endpoint)
{
    struct endpoint_events events = { .on_frames = on_frames, .on_room = on_room };
    struct endpoint_options options = { .loop = d->loop,
                                        .events = &events,
                                        .arg = d,
                                        .name = "bench device",
                                        .pattern = pattern,
                                        .listen = (char *[]){ address, NULL },
                                        .message_max = 2 * BENCH_MESSAGE_MAX_BYTES,
                                        .transport = TRANSPORT_NANOMSG };
    char text[LIMIT_ERROR_TEXT_BYTES];
    int r = free_address(address);
    if (r == 0 && (r = endpoint_open(&options, text, sizeof text, ret_endpoint)) < 0)
        say("%s", text);
    return r;
}

static int device_start(struct device *d)
{
    int r = pen_loop_new(&(struct pen_loop_options){ .name = "device" }, &d->loop);
    if (r == 0)
        r = device_endpoint(d, SP_PULL, d->in_address, &d->in);
    if (r == 0)
        r = device_endpoint(d, SP_PUSH, d->out_address, &d->out);
    if (r == 0)
        r = pen_loop_call_soon_threadsafe(d->loop, on_begin, d);
    if (r == 0)
        r = pen_loop_start(d->loop);
    return r;
}

int bench_run_device(const struct bench_plan *plan, struct bench_result *ret_result)
{
    struct device d = { 0 };
    int r = device_start(&d);
    if (r == 0) {
        struct bench_plan through = *plan;
        through.to = (char *[]){ d.in_address, NULL };
        through.pull = (char *[]){ d.out_address, NULL };
        through.sub = (char *[]){ NULL };
        r = bench_run(&through, ret_result);
        pen_loop_stop(d.loop);
        check(pen_loop_join(d.loop) == 0);
    }
    endpoint_free(&d.in);
    endpoint_free(&d.out);
    pen_loop_free(&d.loop);
    return r;
}
