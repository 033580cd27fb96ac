/* SPDX-License-Identifier: Apache-2.0
 *
 * Every case runs in a process of its own, whose standard error is a pipe or a terminal of the
 * test's.
 */
#include "obs/log.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

static int from_log;    /* what the log writes comes out here */
static int stderr_kept; /* Check's own */
static char output[64 * 1024];

static void capture(int read_fd, int write_fd)
{
    from_log = read_fd;
    stderr_kept = dup(STDERR_FILENO);
    ck_assert_int_ge(stderr_kept, 0);
    ck_assert_int_eq(dup2(write_fd, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_eq(close(write_fd), 0);
}

static void setup(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    unsetenv("JOURNAL_STREAM");
    capture(ends[0], ends[1]);
}

static void teardown(void)
{
    dup2(stderr_kept, STDERR_FILENO);
    close(stderr_kept);
    close(from_log);
}

/* All that was logged so far. */
static const char *logged(void)
{
    ssize_t n = read(from_log, output, sizeof output - 1);
    output[n > 0 ? n : 0] = '\0';
    return output;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t re;
    ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool yes = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return yes;
}

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

START_TEST(plain_line)
{
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_warning("producer intake", "peer %d is %s", 7, "late");
    ck_assert_msg(matches(logged(), "^" TIME " warning producer intake: peer 7 is late\n$"), "%s",
                  output);
}
END_TEST

START_TEST(levels_choose)
{
    log_init(LOG_LEVEL_WARNING, LOG_FORMAT_PLAIN);
    log_notice("a", "unseen");
    log_debug("a", "unseen");
    ck_assert_str_eq(logged(), "");
    ck_assert(!log_wants(LOG_LEVEL_NOTICE));
    ck_assert(log_wants(LOG_LEVEL_ERROR));
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("a", "seen");
    ck_assert(matches(logged(), " debug a: seen\n$"));
}
END_TEST

START_TEST(words_parse)
{
    enum log_level level = LOG_LEVEL_INFO;
    ck_assert_int_eq(log_level_parse("loud", &level), PEN_EINVAL);
    ck_assert_int_eq(level, LOG_LEVEL_INFO);
    ck_assert_int_eq(log_level_parse("error", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_ERROR);
    enum log_format format = LOG_FORMAT_PLAIN;
    ck_assert_int_eq(log_format_parse("xml", &format), PEN_EINVAL);
    ck_assert_int_eq(format, LOG_FORMAT_PLAIN);
    ck_assert_int_eq(log_format_parse("json", &format), 0);
    ck_assert_int_eq(format, LOG_FORMAT_JSON);
}
END_TEST

START_TEST(journal_gets_priorities)
{
    struct stat st;
    char stream[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)st.st_dev,
                   (unsigned long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_error("queue jobs", "two\nlines");
    ck_assert_str_eq(logged(), "<3>queue jobs: two\\nlines\n");
}
END_TEST

START_TEST(inherited_journal_stream_is_not_believed)
{
    setenv("JOURNAL_STREAM", "8:1", 1);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_error("a", "b");
    ck_assert(matches(logged(), "^" TIME " error a: b\n$"));
}
END_TEST

START_TEST(json_line)
{
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("say \"hi\"", "%s", "back\\slash \xff \x1b[31m \xc2\x9b \xe2\x82\xac\n");
    json_error_t error;
    json_t *line = json_loads(logged(), 0, &error);
    ck_assert_ptr_nonnull(line);
    ck_assert_uint_eq(json_object_size(line), 4);
    ck_assert(matches(json_string_value(json_object_get(line, "time")), "^" TIME "$"));
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "info");
    ck_assert_str_eq(json_string_value(json_object_get(line, "subject")), "say \"hi\"");
    ck_assert_str_eq(json_string_value(json_object_get(line, "message")),
                     "back\\slash \xef\xbf\xbd \x1b[31m \xc2\x9b \xe2\x82\xac\n");
    json_decref(line);
    /* What was decoded above was escaped on the wire. */
    ck_assert_ptr_null(strchr(output, '\x1b'));
    ck_assert_ptr_null(strstr(output, "\xc2\x9b"));
}
END_TEST

static const struct {
    const char *message, *shown;
} escapes[] = {
    { "a\nb\rc\td", "a\\nb\\rc\\td" },
    { "\x1b]0;title\x07", "\\x1b]0;title\\x07" },
    { "\x7f", "\\x7f" },
    { "\xc2\x9b"
      "1m",
      "\\u009b1m" }, /* C1 in UTF-8 */
    { "\x9b"
      "1m",
      "\\x9b1m" }, /* C1 as a byte */
    { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "\xc0\xaf", "\\xc0\\xaf" }, /* overlong */
    { "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
    { "\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf" },
    { "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* a surrogate */
    { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond U+10FFFF */
    { "\xe2\x82", "\\xe2\\x82" },                   /* cut short */
    { "\xf0\x9f\x98", "\\xf0\\x9f\\x98" },
    { "\xc3", "\\xc3" },
    { "", "" },
};

START_TEST(nothing_raw_reaches_the_output)
{
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_SYSTEMD);
    char want[256];
    log_info(escapes[_i].message, "%s", escapes[_i].message);
    (void)snprintf(want, sizeof want, "<6>%s: %s\n", escapes[_i].shown, escapes[_i].shown);
    ck_assert_str_eq(logged(), want);
}
END_TEST

static void fill(char *text, size_t bytes, const char *unit)
{
    size_t n = strlen(unit);
    for (size_t i = 0; i < bytes; i++)
        text[i] = unit[i % n];
    text[bytes] = '\0';
}

START_TEST(long_lines_are_cut_between_characters)
{
    static char text[3 * LIMIT_LOG_LINE_BYTES + 1];
    static const char *const units[] = { "x", "\xe2\x82\xac", "\"", "\x01", "\xff" };
    fill(text, sizeof text - 1, units[_i / 2]);
    log_init(LOG_LEVEL_INFO, _i % 2 ? LOG_FORMAT_JSON : LOG_FORMAT_SYSTEMD);
    log_info("long", "%s", text);
    size_t n = strlen(logged());
    ck_assert_uint_le(n, LIMIT_LOG_LINE_BYTES);
    ck_assert_uint_gt(n, LIMIT_LOG_LINE_BYTES - 16);
    ck_assert_ptr_eq(strchr(output, '\n'), output + n - 1);
    if (_i % 2 == 0) {
        ck_assert_str_eq(output + n - 4, "...\n");
        return;
    }
    json_error_t error;
    json_t *line = json_loads(output, 0, &error);
    ck_assert_msg(line != NULL, "%s", error.text);
    json_decref(line);
}
END_TEST

START_TEST(a_long_subject_is_cut_too)
{
    static char text[2 * LIMIT_LOG_LINE_BYTES + 1];
    fill(text, sizeof text - 1, "s");
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info(text, "m");
    json_error_t error;
    json_t *line = json_loads(logged(), 0, &error);
    ck_assert_ptr_nonnull(line);
    json_decref(line);
}
END_TEST

START_TEST(errno_is_kept)
{
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    close(STDERR_FILENO);
    errno = ENOTTY;
    log_info("a", "b");
    ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

/* A terminal of our own as standard error; the case reads from its other side. */
static void use_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(slave, 0);
    close(from_log);
    close(stderr_kept);
    capture(master, slave);
}

static const struct {
    const char *term, *no_color;
    bool coloured;
} terminals[] = {
    { "xterm", NULL, true }, { "xterm", "", true }, { "xterm", "1", false },
    { "dumb", NULL, false }, { NULL, NULL, false },
};

START_TEST(colour_only_where_wanted)
{
    use_terminal();
    unsetenv("TERM");
    unsetenv("NO_COLOR");
    if (terminals[_i].term != NULL)
        setenv("TERM", terminals[_i].term, 1);
    if (terminals[_i].no_color != NULL)
        setenv("NO_COLOR", terminals[_i].no_color, 1);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_error("a", "b\x1b[2J");
    const char *want = terminals[_i].coloured ? "^" TIME
                                                " \033\\[1;31merror\033\\[0m a: b\\\\x1b\\[2J\r\n$"
                                              : "^" TIME " error a: b\\\\x1b\\[2J\r\n$";
    ck_assert_msg(matches(logged(), want), "%s", output);
}
END_TEST

START_TEST(no_colour_without_a_terminal)
{
    setenv("TERM", "xterm", 1);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_error("a", "b");
    ck_assert_ptr_null(strchr(logged(), '\x1b'));
}
END_TEST

START_TEST(limit_lets_a_burst_pass_and_counts_the_rest)
{
    struct log_limit limit = { 0 };
    uint32_t left_out = 99;
    ck_assert(log_limit_pass(&limit, 2, &left_out));
    ck_assert_uint_eq(left_out, 0);
    ck_assert(log_limit_pass(&limit, 2, &left_out));
    left_out = 99;
    for (int i = 0; i < 5; i++)
        ck_assert(!log_limit_pass(&limit, 2, &left_out));
    ck_assert_uint_eq(left_out, 99);
    limit.window_start_ns -= 2000000000; /* as if two seconds had gone by */
    ck_assert(log_limit_pass(&limit, 2, &left_out));
    ck_assert_uint_eq(left_out, 5);
    ck_assert(log_limit_pass(&limit, 2, &left_out));
    ck_assert_uint_eq(left_out, 0);
}
END_TEST

enum { WRITERS = 4, LINES_EACH = 200 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_info("thread", "%s", (const char *)arg);
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static const char *const texts[WRITERS] = { "aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd" };
    pthread_t threads[WRITERS];
    int count[WRITERS] = { 0 };
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_SYSTEMD);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, (void *)(uintptr_t)texts[i]),
                         0);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    (void)logged(); /* 16,000 bytes: less than a pipe holds */
    char *rest = output, *line;
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        ck_assert_uint_eq(strlen(line), strlen("<6>thread: aaaaaaaa"));
        int who = line[strlen("<6>thread: ")] - 'a';
        ck_assert(who >= 0 && who < WRITERS);
        ck_assert_str_eq(line + strlen("<6>thread: "), texts[who]);
        count[who]++;
    }
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(count[i], LINES_EACH);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static Suite *log_suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, plain_line);
    tcase_add_test(t, levels_choose);
    tcase_add_test(t, words_parse);
    tcase_add_test(t, journal_gets_priorities);
    tcase_add_test(t, inherited_journal_stream_is_not_believed);
    tcase_add_test(t, json_line);
    tcase_add_loop_test(t, nothing_raw_reaches_the_output, 0, COUNT(escapes));
    tcase_add_loop_test(t, long_lines_are_cut_between_characters, 0, 10);
    tcase_add_test(t, a_long_subject_is_cut_too);
    tcase_add_test(t, errno_is_kept);
    tcase_add_loop_test(t, colour_only_where_wanted, 0, COUNT(terminals));
    tcase_add_test(t, no_colour_without_a_terminal);
    tcase_add_test(t, limit_lets_a_burst_pass_and_counts_the_rest);
    tcase_add_test(t, lines_of_threads_do_not_mix);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(log_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
