/* SPDX-License-Identifier: Apache-2.0
 *
 * An endpoint with a receiver that records, for the tests of src/net. The loop runs on the test's own
 * thread, until what is waited for has come; Check's own time limit is the only one there is.
 */
#ifndef TESTS_ENDPOINT_FIXTURE_H
#define TESTS_ENDPOINT_FIXTURE_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/endpoint.h"

/* The suite of endpoints is run over each transport. */
#ifndef FIXTURE_TRANSPORT
#define FIXTURE_TRANSPORT TRANSPORT_NANOMSG
#endif

enum { FIXTURE_FRAMES_MAX = 64 * 1024 };

/* For a case that hangs; long, because the machine may have other things to do. */
enum { TIME_LIMIT_S = 30 };

struct fixture {
    struct pen_loop *loop;
    struct endpoint *endpoint;
    char text[LIMIT_ERROR_TEXT_BYTES];
    char folder[32];

    struct frame frames[FIXTURE_FRAMES_MAX];
    size_t frames_count;
    size_t calls; /* of on_frames */
    size_t take;  /* frames that on_frames takes before it takes no more */
    bool resume_within;
    int rooms, read_ends, closes;
    size_t frames_at_read_end;
    int gone; /* connections that have ended */
    uint32_t gone_last;
    size_t frames_at_gone;

    /* What fixture_run() waits for. */
    size_t want_frames;
    int want_rooms, want_read_ends, want_closes;
    bool turning; /* fixture_run_turns() waits for the turns alone */
};

static struct fixture fixture;

static inline bool fixture_has_come(void)
{
    struct fixture *f = &fixture;
    return f->frames_count >= f->want_frames && f->rooms >= f->want_rooms &&
           f->read_ends >= f->want_read_ends && f->closes >= f->want_closes;
}

static inline void fixture_look(void)
{
    if (!fixture.turning && fixture_has_come())
        pen_loop_stop(fixture.loop);
}

static inline size_t on_frames(struct endpoint *endpoint, struct frame *frames, size_t n, void *arg)
{
    struct fixture *f = arg;
    ck_assert_ptr_eq(endpoint, f->endpoint);
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_le(n, LIMIT_BATCH_ITEMS);
    ck_assert_int_eq(f->read_ends, 0);
    f->calls++;
    size_t taken = n < f->take ? n : f->take;
    f->take -= taken;
    ck_assert_uint_le(f->frames_count + taken, FIXTURE_FRAMES_MAX);
    memcpy(f->frames + f->frames_count, frames, taken * sizeof *frames);
    f->frames_count += taken;
    if (f->resume_within) {
        f->take = SIZE_MAX;
        endpoint_resume(endpoint);
    }
    fixture_look();
    return taken;
}

static inline void on_room(struct endpoint *endpoint, void *arg)
{
    struct fixture *f = arg;
    ck_assert_ptr_eq(endpoint, f->endpoint);
    f->rooms++;
    fixture_look();
}

static inline void on_read_end(struct endpoint *endpoint, void *arg)
{
    struct fixture *f = arg;
    ck_assert_ptr_eq(endpoint, f->endpoint);
    f->read_ends++;
    f->frames_at_read_end = f->frames_count;
    fixture_look();
}

static inline void on_closed(struct endpoint *endpoint, void *arg)
{
    struct fixture *f = arg;
    ck_assert_ptr_eq(endpoint, f->endpoint);
    f->closes++;
    fixture_look();
}

static inline void on_peer_gone(struct endpoint *endpoint, uint32_t peer, void *arg)
{
    struct fixture *f = arg;
    ck_assert_ptr_eq(endpoint, f->endpoint);
    f->gone++;
    f->gone_last = peer;
    f->frames_at_gone = f->frames_count;
}

static const struct endpoint_events fixture_events = { on_frames, on_room, on_read_end, on_closed,
                                                       on_peer_gone };

static inline void fixture_setup(void)
{
    struct fixture *f = &fixture;
    f->take = SIZE_MAX;
    ck_assert_int_eq(pen_loop_new(NULL, &f->loop), 0);
    memcpy(f->folder, "/tmp/penstock-XXXXXX", sizeof "/tmp/penstock-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->folder));
}

static inline struct endpoint_options fixture_options(enum sp_pattern pattern)
{
    return (struct endpoint_options){
        .loop = fixture.loop,
        .events = &fixture_events,
        .arg = &fixture,
        .name = "test endpoint",
        .pattern = pattern,
        .message_max = 256 * 1024,
        .ipc_mode = 0600,
        .transport = FIXTURE_TRANSPORT,
    };
}

static inline void fixture_open(const struct endpoint_options *options)
{
    struct fixture *f = &fixture;
    int r = endpoint_open(options, f->text, sizeof f->text, &f->endpoint);
    ck_assert_msg(r == 0, "%s: %s", pen_errname(r), f->text);
}

/* Run the loop until as much has come as is wanted. */
static inline void fixture_run(void)
{
    if (!fixture_has_come())
        ck_assert_int_eq(pen_loop_run(fixture.loop), 0);
    ck_assert(fixture_has_come());
}

static inline void fixture_run_until_frames(size_t count)
{
    fixture.want_frames = count;
    fixture_run();
}

static inline void turn_over(struct pen_loop *loop, void *arg, int status)
{
    int *left = arg;
    if (status < 0)
        return;
    if (--*left == 0)
        pen_loop_stop(loop);
    else
        ck_assert_int_eq(pen_loop_call_soon(loop, turn_over, arg), 0);
}

/* Run a number of turns, in which nothing that is ready is left out. */
static inline void fixture_run_turns(int turns)
{
    fixture.turning = true;
    ck_assert_int_eq(pen_loop_call_soon(fixture.loop, turn_over, &turns), 0);
    ck_assert_int_eq(pen_loop_run(fixture.loop), 0);
    fixture.turning = false;
    ck_assert_int_eq(turns, 0);
}

static inline void fixture_close(bool immediate)
{
    fixture.want_closes = 1;
    endpoint_close(fixture.endpoint, immediate);
    ck_assert_int_eq(fixture.closes, 0);
    fixture_run();
}

static inline void fixture_release_frames(void)
{
    struct slice_releaser bodies = { 0 };
    for (size_t i = 0; i < fixture.frames_count; i++)
        slice_releaser_add(&bodies, &fixture.frames[i].body);
    slice_releaser_end(&bodies);
    fixture.frames_count = 0;
}

/* The end of a test that has not closed yet: nothing is left behind. */
static inline void fixture_teardown(void)
{
    struct fixture *f = &fixture;
    if (f->endpoint != NULL && f->closes == 0)
        fixture_close(true);
    ck_assert_int_le(f->closes, 1);
    endpoint_free(&f->endpoint);
    fixture_release_frames();
    pen_loop_free(&f->loop);
    ck_assert_int_eq(rmdir(f->folder), 0);
}

static inline void fixture_path(char *to, size_t size, const char *name)
{
    ck_assert_int_lt(snprintf(to, size, "%s/%s", fixture.folder, name), (int)size);
}

static inline void assert_body(size_t i, const char *expected)
{
    ck_assert_uint_lt(i, fixture.frames_count);
    const struct slice *body = &fixture.frames[i].body;
    ck_assert_msg(body->bytes == strlen(expected) && memcmp(body->at, expected, body->bytes) == 0,
                  "frame %zu is \"%.*s\" and not \"%s\"", i, (int)body->bytes,
                  (const char *)body->at, expected);
}

static inline struct endpoint_stats fixture_stats(void)
{
    struct endpoint_stats s;
    endpoint_stats(fixture.endpoint, &s);
    return s;
}

static inline int fixture_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
