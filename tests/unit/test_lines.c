/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of files, FIFOs and standard input.
 */
#include <errno.h>
#include <fcntl.h>

#include "endpoint_fixture.h"
#include "loop/io.h"

enum { LINE_MAX_BYTES = 100 * 1000 };

static char path[64];

static void setup(void)
{
    fixture_setup();
    fixture_path(path, sizeof path, "source");
}

static void teardown(void)
{
    fixture_teardown();
}

static void file_with(const char *content, size_t bytes)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

static void open_lines(const char *from)
{
    struct endpoint_options options = fixture_options(SP_LINES);
    options.path = from;
    options.message_max = LINE_MAX_BYTES;
    fixture_open(&options);
}

static void read_file_with(const char *content, size_t bytes)
{
    file_with(content, bytes);
    open_lines(path);
    unlink(path);
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
}

static void assert_counts(uint64_t frames, uint64_t bytes, uint64_t too_big)
{
    struct endpoint_stats s = fixture_stats();
    ck_assert_uint_eq(s.frames_in, frames);
    ck_assert_uint_eq(s.bytes_in, bytes);
    ck_assert_uint_eq(s.too_big, too_big);
    ck_assert_uint_eq(s.dropped_unread, 0);
}

START_TEST(file_lines)
{
    read_file_with("one\n\ntwo words\r\nlast", 20);
    ck_assert_uint_eq(fixture.frames_count, 4);
    assert_body(0, "one");
    assert_body(1, "");
    assert_body(2, "two words\r");
    assert_body(3, "last");
    ck_assert_uint_eq(fixture.frames_at_read_end, 4);
    assert_counts(4, 17, 0);
}
END_TEST

START_TEST(file_ends_with_newline)
{
    read_file_with("a\nb\n", 4);
    ck_assert_uint_eq(fixture.frames_count, 2);
    assert_body(1, "b");
}
END_TEST

START_TEST(file_is_empty)
{
    read_file_with("", 0);
    ck_assert_uint_eq(fixture.frames_count, 0);
}
END_TEST

START_TEST(nul_is_a_byte_like_others)
{
    read_file_with("a\0b\n\0\n", 6);
    ck_assert_uint_eq(fixture.frames_count, 2);
    ck_assert_uint_eq(fixture.frames[0].body.bytes, 3);
    ck_assert_mem_eq(fixture.frames[0].body.at, "a\0b", 3);
    ck_assert_uint_eq(fixture.frames[1].body.bytes, 1);
}
END_TEST

/* Nothing is read before endpoint_resume(). */
START_TEST(opens_paused)
{
    file_with("a\n", 2);
    open_lines(path);
    unlink(path);
    fixture_run_turns(8);
    ck_assert_uint_eq(fixture.calls, 0);
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(1);
}
END_TEST

/* One line as long as allowed, one longer by a byte, one far longer, and ones around them. */
START_TEST(line_limit)
{
    enum { FAR = 5 * LINE_MAX_BYTES };
    size_t bytes = 2 + LINE_MAX_BYTES + 1 + LINE_MAX_BYTES + 2 + 2 + FAR + 1 + 1;
    char *content = malloc(bytes);
    ck_assert_ptr_nonnull(content);
    memset(content, 'x', bytes);
    char *at = content;
    memcpy(at, "a\n", 2);
    at += 2 + LINE_MAX_BYTES;
    *at = '\n';
    at += 1 + LINE_MAX_BYTES + 1;
    *at = '\n';
    memcpy(at + 1, "b\n", 2);
    at += 3 + FAR;
    *at = '\n';
    at[1] = 'c';
    ck_assert_ptr_eq(at + 2, content + bytes);
    read_file_with(content, bytes);
    free(content);
    ck_assert_uint_eq(fixture.frames_count, 4);
    assert_body(0, "a");
    ck_assert_uint_eq(fixture.frames[1].body.bytes, LINE_MAX_BYTES);
    assert_body(2, "b");
    assert_body(3, "c");
    assert_counts(4, 3 + LINE_MAX_BYTES, 2);
}
END_TEST

START_TEST(too_long_last_line)
{
    size_t bytes = 2 + LINE_MAX_BYTES + 1;
    char *content = malloc(bytes);
    ck_assert_ptr_nonnull(content);
    memset(content, 'x', bytes);
    memcpy(content, "a\n", 2);
    read_file_with(content, bytes);
    free(content);
    ck_assert_uint_eq(fixture.frames_count, 1);
    assert_counts(1, 1, 1);
}
END_TEST

/* Lines of every length up to beyond the read buffer's, so that they end and begin at every place. */
START_TEST(lines_across_buffers)
{
    enum { LINES = 1500 };
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < LINES; i++)
        fprintf(file, "%d:%0*d\n", i, i * 67 % 4001 + 1, i);
    ck_assert_int_eq(fclose(file), 0);
    open_lines(path);
    unlink(path);
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_count, LINES);
    for (int i = 0; i < LINES; i++) {
        char expected[4100];
        snprintf(expected, sizeof expected, "%d:%0*d", i, i * 67 % 4001 + 1, i);
        assert_body((size_t)i, expected);
    }
}
END_TEST

/* The receiver takes a few, then none: nothing more is read or offered before it asks, nothing is lost
 * or repeated. */
START_TEST(backpressure)
{
    enum { LINES = 2000 };
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < LINES; i++)
        fprintf(file, "%d\n", i);
    ck_assert_int_eq(fclose(file), 0);
    open_lines(path);
    unlink(path);
    endpoint_resume(fixture.endpoint);
    for (size_t taken = 0; taken + 100 < LINES; taken += 100) {
        fixture.take = 100;
        endpoint_resume(fixture.endpoint);
        fixture_run_until_frames(taken + 100);
        fixture_run_turns(4);
        size_t calls = fixture.calls;
        fixture_run_turns(4);
        ck_assert_uint_eq(fixture.calls, calls);
        ck_assert_uint_eq(fixture.frames_count, taken + 100);
        ck_assert_uint_eq(fixture_stats().frames_in, taken + 100);
        ck_assert_int_eq(fixture.read_ends, 0);
    }
    fixture.take = SIZE_MAX;
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    for (int i = 0; i < LINES; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "%d", i);
        assert_body((size_t)i, expected);
    }
}
END_TEST

START_TEST(resume_within_on_frames)
{
    file_with("a\nb\nc\n", 6);
    open_lines(path);
    unlink(path);
    fixture.take = 1;
    fixture.resume_within = true;
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(3);
    assert_body(2, "c");
}
END_TEST

START_TEST(pause_and_resume)
{
    file_with("a\nb\n", 4);
    open_lines(path);
    unlink(path);
    endpoint_resume(fixture.endpoint);
    endpoint_pause(fixture.endpoint);
    fixture_run_turns(8);
    ck_assert_uint_eq(fixture.calls, 0);
    endpoint_resume(fixture.endpoint);
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(2);
}
END_TEST

START_TEST(close_drops_what_is_kept)
{
    file_with("a\nb\nc\n", 6);
    open_lines(path);
    unlink(path);
    fixture.take = 1;
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(1);
    fixture_close(false);
    ck_assert_int_eq(fixture.read_ends, 0);
    ck_assert_uint_eq(fixture_stats().dropped_unread, 2);
}
END_TEST

/* A long file is left where it is when reading is to finish: after 1 MiB. */
START_TEST(finish_reading_a_long_file)
{
    enum { LINES = 40 * 1000 };
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < LINES; i++)
        fprintf(file, "%063d\n", i);
    ck_assert_int_eq(fclose(file), 0);
    open_lines(path);
    unlink(path);
    endpoint_finish_reading(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_gt(fixture.frames_count, 1000 * 1000 / 64);
    ck_assert_uint_lt(fixture.frames_count, 1100 * 1000 / 64);
    fixture_run_turns(8);
    ck_assert_uint_eq(fixture.frames_at_read_end, fixture.frames_count);
}
END_TEST

/* ---- FIFOs ---- */

static int open_writer(void)
{
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void open_fifo(void)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    open_lines(path);
    endpoint_resume(fixture.endpoint);
}

START_TEST(fifo_outlives_its_writers)
{
    open_fifo();
    for (int round = 0; round < 5; round++) {
        int writer = open_writer();
        say(writer, "a\nb");
        fixture_run_until_frames((size_t)round * 3 + 1);
        say(writer, "b\nunfinished");
        close(writer);
        fixture_run_until_frames((size_t)round * 3 + 3);
    }
    for (size_t i = 0; i < 15; i += 3) {
        assert_body(i, "a");
        assert_body(i + 1, "bb");
        assert_body(i + 2, "unfinished");
    }
    ck_assert_int_eq(fixture.read_ends, 0);
    unlink(path);
}
END_TEST

/* With no writer there the loop sleeps: the next thing that happens is what was asked for. */
static void count_turn(struct pen_loop *loop, void *arg, int status)
{
    if (status == 0)
        pen_loop_stop(loop);
}

START_TEST(fifo_without_writers_leaves_the_loop_asleep)
{
    open_fifo();
    int writer = open_writer();
    say(writer, "a\n");
    close(writer);
    fixture_run_until_frames(1);
    fixture_run_turns(8);
    uint64_t before = loop_turns(fixture.loop);
    struct pen_timer timer = { 0 };
    ck_assert_int_eq(pen_loop_call_later(fixture.loop, &timer, pen_ms(20), count_turn, NULL), 0);
    ck_assert_int_eq(pen_loop_run(fixture.loop), 0);
    ck_assert_uint_le(loop_turns(fixture.loop) - before, 4);
    unlink(path);
}
END_TEST

START_TEST(fifo_writer_stays_while_reading_is_paused)
{
    open_fifo();
    int writer = open_writer();
    endpoint_pause(fixture.endpoint);
    say(writer, "kept\n");
    fixture_run_turns(8);
    ck_assert_uint_eq(fixture.calls, 0);
    close(writer);
    endpoint_resume(fixture.endpoint);
    fixture_run_until_frames(1);
    assert_body(0, "kept");
    unlink(path);
}
END_TEST

START_TEST(fifo_finish_takes_what_is_there)
{
    open_fifo();
    int writer = open_writer();
    endpoint_pause(fixture.endpoint);
    say(writer, "a\nb\npart");
    endpoint_finish_reading(fixture.endpoint);
    ck_assert_uint_eq(fixture.calls, 0);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_at_read_end, 3);
    assert_body(2, "part");
    say(writer, "late\n");
    fixture_run_turns(8);
    ck_assert_uint_eq(fixture.frames_count, 3);
    close(writer);
    unlink(path);
}
END_TEST

START_TEST(fifo_finish_with_nothing_there)
{
    open_fifo();
    endpoint_finish_reading(fixture.endpoint);
    endpoint_finish_reading(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    fixture_run_turns(8);
    ck_assert_int_eq(fixture.read_ends, 1);
    unlink(path);
}
END_TEST

/* What is kept comes before the end, however late it is asked for. */
START_TEST(finish_waits_for_what_is_kept)
{
    open_fifo();
    int writer = open_writer();
    say(writer, "a\nb\nc\n");
    fixture.take = 1;
    fixture_run_until_frames(1);
    endpoint_finish_reading(fixture.endpoint);
    fixture_run_turns(8);
    ck_assert_int_eq(fixture.read_ends, 0);
    fixture.take = SIZE_MAX;
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_at_read_end, 3);
    close(writer);
    unlink(path);
}
END_TEST

START_TEST(fifo_close_counts_an_unfinished_line)
{
    open_fifo();
    int writer = open_writer();
    say(writer, "a\npart");
    fixture_run_until_frames(1);
    fixture_close(false);
    ck_assert_uint_eq(fixture_stats().dropped_unread, 1);
    close(writer);
    unlink(path);
}
END_TEST

/* ---- standard input ---- */

START_TEST(stdin_pipe)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    open_lines("-");
    endpoint_resume(fixture.endpoint);
    say(ends[1], "one\ntwo\nthr");
    fixture_run_until_frames(2);
    say(ends[1], "ee");
    close(ends[1]);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_at_read_end, 3);
    assert_body(2, "three");
    fixture_close(false);
    ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFL), 0);
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

/* Standard input blocks when nothing is there: to finish must not. */
START_TEST(stdin_finish_with_nothing_there)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    open_lines("-");
    endpoint_resume(fixture.endpoint);
    endpoint_finish_reading(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_count, 0);
}
END_TEST

START_TEST(stdin_file)
{
    file_with("a\nb\n", 4);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    unlink(path);
    open_lines("-");
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_count, 2);
}
END_TEST

START_TEST(device_without_end_events)
{
    open_lines("/dev/null");
    endpoint_resume(fixture.endpoint);
    fixture.want_read_ends = 1;
    fixture_run();
    ck_assert_uint_eq(fixture.frames_count, 0);
}
END_TEST

/* ---- refusals ---- */

START_TEST(bad_paths)
{
    struct endpoint_options options = fixture_options(SP_LINES);
    struct fixture *f = &fixture;
    ck_assert_int_eq(endpoint_open(&options, f->text, sizeof f->text, &f->endpoint), PEN_EADDRESS);
    options.path = path;
    ck_assert_int_eq(endpoint_open(&options, f->text, sizeof f->text, &f->endpoint), -ENOENT);
    ck_assert_ptr_nonnull(strstr(f->text, path));
    ck_assert_ptr_nonnull(strstr(f->text, "No such file"));
    options.path = f->folder;
    ck_assert_int_eq(endpoint_open(&options, f->text, sizeof f->text, &f->endpoint), -EISDIR);
    ck_assert_ptr_null(f->endpoint);
}
END_TEST

START_TEST(free_without_use)
{
    file_with("a\n", 2);
    open_lines(path);
    unlink(path);
    endpoint_free(&fixture.endpoint);
    ck_assert_ptr_null(fixture.endpoint);
    endpoint_free(&fixture.endpoint);
}
END_TEST

/* A turn that was asked for is still in the loop's inbox. */
START_TEST(free_with_a_turn_under_way)
{
    file_with("a\n", 2);
    open_lines(path);
    unlink(path);
    endpoint_resume(fixture.endpoint);
    endpoint_free(&fixture.endpoint);
    fixture_run_turns(2);
    ck_assert_uint_eq(fixture.calls, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *tcase = tcase_create("lines");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, TIME_LIMIT_S);
    tcase_add_test(tcase, file_lines);
    tcase_add_test(tcase, file_ends_with_newline);
    tcase_add_test(tcase, file_is_empty);
    tcase_add_test(tcase, nul_is_a_byte_like_others);
    tcase_add_test(tcase, opens_paused);
    tcase_add_test(tcase, line_limit);
    tcase_add_test(tcase, too_long_last_line);
    tcase_add_test(tcase, lines_across_buffers);
    tcase_add_test(tcase, backpressure);
    tcase_add_test(tcase, resume_within_on_frames);
    tcase_add_test(tcase, pause_and_resume);
    tcase_add_test(tcase, close_drops_what_is_kept);
    tcase_add_test(tcase, finish_reading_a_long_file);
    tcase_add_test(tcase, fifo_outlives_its_writers);
    tcase_add_test(tcase, fifo_without_writers_leaves_the_loop_asleep);
    tcase_add_test(tcase, fifo_writer_stays_while_reading_is_paused);
    tcase_add_test(tcase, fifo_finish_takes_what_is_there);
    tcase_add_test(tcase, fifo_finish_with_nothing_there);
    tcase_add_test(tcase, finish_waits_for_what_is_kept);
    tcase_add_test(tcase, fifo_close_counts_an_unfinished_line);
    tcase_add_test(tcase, stdin_pipe);
    tcase_add_test(tcase, stdin_finish_with_nothing_there);
    tcase_add_test(tcase, stdin_file);
    tcase_add_test(tcase, device_without_end_events);
    tcase_add_test(tcase, bad_paths);
    tcase_add_test(tcase, free_without_use);
    tcase_add_test(tcase, free_with_a_turn_under_way);
    suite_add_tcase(suite, tcase);
    return fixture_main(suite);
}
