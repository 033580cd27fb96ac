/* SPDX-License-Identifier: Apache-2.0 */
#include "task/worker_lines.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct worker_lines lines;
static char told[4 * LIMIT_HANDLER_STDERR_LINE_BYTES];

/* Each line in brackets. */
static void tell(const char *line, size_t bytes, void *arg)
{
    ck_assert_ptr_eq(arg, &lines);
    ck_assert_uint_eq(strlen(line), bytes);
    size_t at = strlen(told);
    ck_assert_int_lt(snprintf(told + at, sizeof told - at, "[%s]", line), (int)(sizeof told - at));
}

static void feed(const char *data, size_t n)
{
    worker_lines_feed(&lines, data, n, tell, &lines);
}

static void end(void)
{
    worker_lines_end(&lines, tell, &lines);
}

/* However the bytes are cut into pieces. */
START_TEST(pieces_make_lines)
{
    static const char text[] = "one\n\ntwo\r\nN\0L\nlast";
    size_t step = (size_t)_i, n = sizeof text - 1;
    for (size_t at = 0; at < n; at += step)
        feed(text + at, at + step < n ? step : n - at);
    ck_assert_str_eq(told, "[one][][two\r][N L]");
    end();
    ck_assert_str_eq(told, "[one][][two\r][N L][last]");
    end();
    ck_assert_str_eq(told, "[one][][two\r][N L][last]");
}
END_TEST

/* A line of the longest length, or longer, is told once, in its first bytes. */
START_TEST(a_long_line_is_cut)
{
    static char text[LIMIT_HANDLER_STDERR_LINE_BYTES + 10];
    size_t more = (size_t)_i;
    memset(text, 'y', sizeof text);
    feed(text, LIMIT_HANDLER_STDERR_LINE_BYTES);
    ck_assert_str_eq(told, "");
    feed(text, more);
    feed(text, more);
    feed("\nnext\n", 6);
    ck_assert_uint_eq(strspn(told + 1, "y"), LIMIT_HANDLER_STDERR_LINE_BYTES);
    ck_assert_str_eq(told + 1 + LIMIT_HANDLER_STDERR_LINE_BYTES, "][next]");
}
END_TEST

START_TEST(the_rest_of_a_cut_line_is_not_told_at_the_end)
{
    static char text[LIMIT_HANDLER_STDERR_LINE_BYTES + 10];
    memset(text, 'y', sizeof text);
    feed(text, sizeof text);
    size_t bytes = strlen(told);
    feed(text, sizeof text);
    end();
    ck_assert_uint_eq(strlen(told), bytes);
    feed("anew\n", 5);
    ck_assert_str_eq(told + bytes, "[anew]");
}
END_TEST

static Suite *worker_lines_suite(void)
{
    Suite *s = suite_create("worker_lines");
    TCase *t = tcase_create("worker_lines");
    tcase_add_loop_test(t, pieces_make_lines, 1, 20);
    tcase_add_loop_test(t, a_long_line_is_cut, 0, 3);
    tcase_add_test(t, the_rest_of_a_cut_line_is_not_told_at_the_end);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(worker_lines_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
