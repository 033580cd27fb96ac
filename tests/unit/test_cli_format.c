/* SPDX-License-Identifier: Apache-2.0
 *
 * src/cli: the formats of messages, figures for people, tables, and where messages come from.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/format.h"
#include "cli/human.h"
#include "cli/source.h"
#include "cli/table.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- formats ---- */

static void expect_format(enum format format, const void *data, size_t bytes, struct buf *expected)
{
    struct buf out = { 0 };
    ck_assert_int_eq(buf_append(&out, "<", 1), 0);
    ck_assert_int_eq(format_append(format, data, bytes, &out), 0);
    ck_assert_uint_eq(buf_bytes(&out), buf_bytes(expected) + 1);
    ck_assert_int_eq(buf_at(&out)[0], '<');
    if (buf_bytes(expected) > 0)
        ck_assert_mem_eq(buf_at(&out) + 1, buf_at(expected), buf_bytes(expected));
    buf_fini(&out);
    buf_fini(expected);
}

#define EXPECT(format, data, text) \
    do { \
        struct buf expected = { 0 }; \
        ck_assert_int_eq(buf_append(&expected, text, sizeof(text) - 1), 0); \
        expect_format(format, data, sizeof(data) - 1, &expected); \
    } while (0)

START_TEST(formats)
{
    EXPECT(FORMAT_NO, "abc", "");
    EXPECT(FORMAT_RAW, "a\0\xff\n", "a\0\xff\n");
    EXPECT(FORMAT_RAW, "", "");
    EXPECT(FORMAT_DEFAULT, "a\0", "a\0");
    EXPECT(FORMAT_ASCII, "", "\n");
    EXPECT(FORMAT_ASCII, "a~ \x7f\x1f\0\n\xc3\xa4", "a~ ......\n");
    EXPECT(FORMAT_QUOTED, "", "\"\"\n");
    EXPECT(FORMAT_QUOTED, "a\"b\\c'\n\r\t\0\x7f\xff", "\"a\\\"b\\\\c'\\n\\r\\x09\\x00\\x7f\\xff\"\n");
    EXPECT(FORMAT_HEX, "", "\"\"\n");
    EXPECT(FORMAT_HEX, "a\n\x9f", "\"\\x61\\x0a\\x9f\"\n");
    EXPECT(FORMAT_MSGPACK, "", "\xc4\x00");
    EXPECT(FORMAT_MSGPACK, "abc",
           "\xc4\x03"
           "abc");
}
END_TEST

static const struct {
    size_t bytes, head_bytes;
    uint8_t head[5];
} heads[] = {
    { 255, 2, { 0xc4, 0xff } },
    { 256, 3, { 0xc5, 0x01, 0x00 } },
    { 65535, 3, { 0xc5, 0xff, 0xff } },
    { 65536, 5, { 0xc6, 0x00, 0x01, 0x00, 0x00 } },
    { 0x0203040, 5, { 0xc6, 0x00, 0x20, 0x30, 0x40 } },
};

START_TEST(msgpack_heads)
{
    uint8_t *data = malloc(heads[_i].bytes);
    ck_assert_ptr_nonnull(data);
    memset(data, 'm', heads[_i].bytes);
    struct buf expected = { 0 };
    ck_assert_int_eq(buf_append(&expected, heads[_i].head, heads[_i].head_bytes), 0);
    ck_assert_int_eq(buf_append(&expected, data, heads[_i].bytes), 0);
    expect_format(FORMAT_MSGPACK, data, heads[_i].bytes, &expected);
    free(data);
}
END_TEST

START_TEST(format_too_big_leaves_the_rest)
{
    struct buf out = { .max = 8 };
    ck_assert_int_eq(format_append(FORMAT_HEX, "abc", 3, &out), PEN_ETOOBIG);
    ck_assert_int_eq(format_append(FORMAT_ASCII, "abcdefgh", 8, &out), PEN_ETOOBIG);
    ck_assert_int_eq(format_append(FORMAT_QUOTED, "abc", SIZE_MAX / 2, &out), PEN_ETOOBIG);
    ck_assert_uint_eq(buf_bytes(&out), 0);
    ck_assert_int_eq(format_append(FORMAT_ASCII, "abcdefg", 7, &out), 0);
    buf_fini(&out);
}
END_TEST

START_TEST(format_names)
{
    enum format format = FORMAT_DEFAULT;
    ck_assert_int_eq(format_parse("hex", &format), 0);
    ck_assert_int_eq(format, FORMAT_HEX);
    ck_assert_int_eq(format_parse("no", &format), 0);
    ck_assert_int_eq(format, FORMAT_NO);
    ck_assert_int_eq(format_parse("HEX", &format), PEN_EINVAL);
    ck_assert_int_eq(format_parse("", &format), PEN_EINVAL);
    ck_assert_int_eq(format, FORMAT_NO);
}
END_TEST

/* ---- figures ---- */

START_TEST(human_figures)
{
    char text[HUMAN_BYTES];
    ck_assert_str_eq(human_bytes(0, text), "0 B");
    ck_assert_str_eq(human_bytes(1023, text), "1023 B");
    ck_assert_str_eq(human_bytes(1024, text), "1.00 KiB");
    ck_assert_str_eq(human_bytes(1536, text), "1.50 KiB");
    ck_assert_str_eq(human_bytes((1 << 20) - 1, text), "1.00 MiB");
    ck_assert_str_eq(human_bytes(64 << 20, text), "64.0 MiB");
    ck_assert_str_eq(human_bytes(UINT64_MAX, text), "16.0 EiB");
    ck_assert_str_eq(human_number(0, text), "0");
    ck_assert_str_eq(human_number(0.25, text), "0.25");
    ck_assert_str_eq(human_number(999, text), "999");
    ck_assert_str_eq(human_number(1234.5, text), "1.23k");
    ck_assert_str_eq(human_number(999950, text), "1.00M");
    ck_assert_str_eq(human_number(5.4e6, text), "5.40M");
    ck_assert_str_eq(human_number(-1, text), "0");
    ck_assert_str_eq(human_seconds(0.04, text), "0.0s");
    ck_assert_str_eq(human_seconds(12.34, text), "12.3s");
    ck_assert_str_eq(human_seconds(61, text), "1m 1s");
    ck_assert_str_eq(human_seconds(3600 + 120, text), "1h 2m");
    ck_assert_str_eq(human_seconds(93784, text), "1d 2h 3m");
}
END_TEST

/* ---- tables ---- */

static const struct column columns[] = {
    { "NAME", "name", COLUMN_TEXT },      { "N", "n", COLUMN_NUMBER },
    { "BYTES", "bytes", COLUMN_BYTES },   { "LOST", "lost", COLUMN_SUM },
    { "THREADS", "t", COLUMN_ITEMS },     { "DONE", "t.done", COLUMN_NUMBER },
    { "STATE", "paused", COLUMN_PAUSED }, { NULL, NULL, COLUMN_TEXT },
};

static void expect_table(const char *json, const char *expected)
{
    char *text;
    size_t size;
    json_t *rows = json_loads(json, 0, NULL);
    ck_assert_ptr_nonnull(rows);
    FILE *to = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(to);
    table_print(columns, rows, to);
    ck_assert_int_eq(fclose(to), 0);
    ck_assert_str_eq(text, expected);
    free(text);
    json_decref(rows);
}

START_TEST(tables)
{
    expect_table("[]", "");
    expect_table("{}", "");
    expect_table("[{\"name\":\"jobs\",\"n\":12345,\"bytes\":2048,\"lost\":{\"a\":1,\"b\":2},"
                 "\"t\":[{\"done\":3},{\"done\":4}],\"paused\":true}]",
                 "NAME      N     BYTES  LOST  THREADS  DONE  STATE\n"
                 "jobs  12345  2.00 KiB     3        2     7  paused\n");
    /* What is missing or of another kind, and what would move a terminal's cursor. */
    expect_table("[{}, 7, {\"name\":\"\\u001b[2J\\u00e4\",\"n\":\"x\",\"bytes\":-1,\"lost\":[],\"t\":{},"
                 "\"paused\":0}]",
                 "NAME   N  BYTES  LOST  THREADS  DONE  STATE\n"
                 "-      -      -     -        -     -  -\n"
                 "-      -      -     -        -     -  -\n"
                 "?[2J\xc3\xa4  -     -1     -        -     -  -\n");
}
END_TEST

/* ---- sources ---- */

static int open_pipe(const char *content, size_t bytes)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq((int)write(fds[1], content, bytes), (int)bytes);
    ck_assert_int_eq(close(fds[1]), 0);
    return fds[0];
}

static void expect_message(struct source *s, const char *expected)
{
    const void *data;
    size_t bytes;
    int r;
    while ((r = source_next(s, &data, &bytes)) == PEN_EEMPTY)
        ck_assert_int_eq(source_fill(s), 0);
    ck_assert_int_eq(r, expected != NULL);
    if (expected == NULL)
        return;
    ck_assert_uint_eq(bytes, strlen(expected));
    if (bytes > 0)
        ck_assert_mem_eq(data, expected, bytes);
}

START_TEST(source_of_lines)
{
    static const char text[] = "one\n\ntwo\r\nthree";
    struct source s;
    source_init(&s);
    s.lines = true;
    s.fd = open_pipe(text, sizeof text - 1);
    expect_message(&s, "one");
    expect_message(&s, "");
    expect_message(&s, "two\r");
    expect_message(&s, "three");
    expect_message(&s, NULL);
    expect_message(&s, NULL);
    source_fini(&s);
}
END_TEST

/* Wherever a reading ends, the lines are the same. */
START_TEST(source_in_pieces)
{
    static const char text[] = "ab\ncd\n\nef";
    int fds[2];
    struct source s;
    const void *data;
    size_t bytes;
    ck_assert_int_eq(pipe(fds), 0);
    source_init(&s);
    s.lines = true;
    s.fd = fds[0];
    struct buf joined = { 0 };
    for (size_t i = 0; i < sizeof text; i++) {
        if (i < sizeof text - 1)
            ck_assert_int_eq((int)write(fds[1], &text[i], 1), 1);
        else
            ck_assert_int_eq(close(fds[1]), 0);
        ck_assert_int_eq(source_fill(&s), 0);
        while (source_next(&s, &data, &bytes) == 1) {
            ck_assert_int_eq(buf_append(&joined, data, bytes), 0);
            ck_assert_int_eq(buf_append(&joined, "|", 1), 0);
        }
    }
    ck_assert_int_eq(buf_append(&joined, "", 1), 0);
    ck_assert_str_eq((const char *)buf_at(&joined), "ab|cd||ef|");
    buf_fini(&joined);
    source_fini(&s);
}
END_TEST

START_TEST(source_of_data)
{
    struct source s;
    ck_assert_int_eq(source_init_data(&s, "xyz", 3, 2), 0);
    expect_message(&s, "xyz");
    expect_message(&s, "xyz");
    expect_message(&s, NULL);
    source_fini(&s);
    ck_assert_int_eq(source_init_data(&s, "", 0, UINT64_MAX), 0);
    expect_message(&s, "");
    expect_message(&s, "");
    source_fini(&s);
    source_init(&s);
    expect_message(&s, NULL);
    source_fini(&s);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cli_format");
    tcase_add_test(t, formats);
    tcase_add_loop_test(t, msgpack_heads, 0, (int)COUNT_OF(heads));
    tcase_add_test(t, format_too_big_leaves_the_rest);
    tcase_add_test(t, format_names);
    tcase_add_test(t, human_figures);
    tcase_add_test(t, tables);
    tcase_add_test(t, source_of_lines);
    tcase_add_test(t, source_in_pieces);
    tcase_add_test(t, source_of_data);
    Suite *s = suite_create("cli_format");
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
