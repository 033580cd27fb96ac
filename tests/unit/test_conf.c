/* SPDX-License-Identifier: Apache-2.0
 *
 * src/conf: what is loaded, what is dumped, and the pieces. The texts of errors are compared in
 * tests/integration/conf-errors.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "conf/address.h"
#include "conf/conf.h"
#include "conf/expand.h"
#include "conf/options.h"
#include "conf/report.h"
#include "conf/utf8.h"
#include "conf/value.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- loading ---- */

/* What conf_load() wrote last; freed with the process, which ends with the case. */
static char *said;

static int load_file(const char *path, struct conf **ret_conf)
{
    size_t bytes;
    free(said);
    FILE *errors = open_memstream(&said, &bytes);
    ck_assert_ptr_nonnull(errors);
    int r = conf_load(path, errors, ret_conf);
    fclose(errors);
    return r;
}

static int load_bytes(const char *text, size_t bytes, struct conf **ret_conf)
{
    char path[] = "/tmp/penstock-test-conf-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, bytes), (ssize_t)bytes);
    close(fd);
    int r = load_file(path, ret_conf);
    unlink(path);
    return r;
}

static struct conf *load(const char *text)
{
    struct conf *conf = NULL;
    int r = load_bytes(text, strlen(text), &conf);
    ck_assert_msg(r == 0, "%s", said);
    ck_assert_str_eq(said, "");
    return conf;
}

static void refuse(const char *text, const char *message)
{
    struct conf *conf = NULL;
    ck_assert_int_eq(load_bytes(text, strlen(text), &conf), PEN_ECONFIG);
    ck_assert_ptr_null(conf);
    ck_assert_msg(strstr(said, message) != NULL, "not \"%s\" but:\n%s", message, said);
}

static char *dump(const struct conf *conf)
{
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(conf_dump(conf, out), 0);
    fclose(out);
    return text;
}

static const char small[] = "queues: {jobs: }\n"
                            "consumers: {work: {queue: jobs, handler: {builtin: pass}}}\n";

START_TEST(defaults_are_set)
{
    struct conf *conf = load("queues: {jobs: }\n"
                             "producers: {in: {pattern: pull, listen: inproc://in, queue: jobs}}\n"
                             "consumers: {work: {queue: jobs, handler: {exec: sh}, publish: out}}\n"
                             "publishers: {out: {pattern: push, connect: inproc://out}}\n");
    ck_assert_ptr_null(conf->top.control);
    ck_assert_uint_eq(conf->top.control_mode, 0660);
    ck_assert_int_eq(conf->top.drain_timeout.ns, span_s(30).ns);
    ck_assert_int_eq(conf->top.slow.ns, span_ms(100).ns);
    ck_assert_uint_eq(conf->top.max_errors, 20);

    ck_assert_uint_eq(conf->queues_count, 1);
    const struct conf_queue *q = &conf->queues[0];
    ck_assert_str_eq(q->name, "jobs");
    ck_assert_uint_eq(q->items_max, 65536);
    ck_assert_uint_eq(q->bytes_max, 64 << 20);
    ck_assert_int_eq(q->when_full, WHEN_FULL_BLOCK);
    ck_assert_int_eq(q->block_timeout.ns, 0);
    ck_assert_int_eq(q->store, STORE_MEMORY);

    const struct conf_producer *p = &conf->producers[0];
    ck_assert_int_eq(p->pattern, PATTERN_PULL);
    ck_assert_uint_eq(p->listen.count, 1);
    ck_assert_str_eq(p->listen.at[0], "inproc://in");
    ck_assert_ptr_null(p->listen.at[1]);
    ck_assert_uint_eq(p->connect.count, 0);
    ck_assert_ptr_null(p->connect.at);
    ck_assert_int_eq(p->framing, FRAMING_RAW);
    ck_assert_int_eq(p->reply, REPLY_RECEIPT);
    ck_assert_ptr_null(p->path);
    ck_assert_uint_eq(p->message_max, 1 << 20);
    ck_assert_uint_eq(p->reply_bytes_max, 4 << 20);
    ck_assert_int_eq(p->linger.ns, span_ms(500).ns);

    const struct conf_consumer *c = &conf->consumers[0];
    ck_assert_str_eq(c->queue, "jobs");
    ck_assert_uint_eq(c->threads, 1);
    ck_assert_uint_eq(c->budget, 64);
    ck_assert_str_eq(c->publish, "out");
    ck_assert_ptr_null(c->topic);
    ck_assert_int_eq(c->handler.builtin, BUILTIN_NONE);
    ck_assert_str_eq(c->handler.exec.at[0], "sh");
    ck_assert_int_eq(c->handler.timeout.ns, span_s(30).ns);
    ck_assert_int_eq(c->handler.backoff_max.ns, span_s(5).ns);

    ck_assert_int_eq(conf->publishers[0].pattern, PATTERN_PUSH);
    ck_assert_str_eq(conf->publishers[0].separator, "|");
    conf_free(&conf);
    ck_assert_ptr_null(conf);
    conf_free(&conf);
}
END_TEST

START_TEST(values_are_read)
{
    struct conf *conf = load(
        "control: inproc://control\ncontrol_mode: 0o600\ndrain_timeout: 1m30s\nslow: 2s\nmax_errors: 7\n"
        "queues:\n"
        "  a: {max_items: 5, max_bytes: 1.5MiB, when_full: drop_newest, max_attempts: 5, max_crashes: 2,\n"
        "      backoff: 10ms, max_backoff: 1h, dead_letter: b, lease: 5s, refuse_late: yes}\n"
        "  b: {when_full: reject}\n"
        "producers:\n"
        "  s: {pattern: sub, connect: [inproc://x, inproc://y], topics: [t, ''], queue: a}\n"
        "  r: {pattern: rep, listen: inproc://r, reply: result, queue: a, framing: json}\n"
        "  l: {pattern: lines, path: '-', max_line: 100B, queue: a}\n"
        "consumers:\n"
        "  w: {queue: a, threads: 3, budget: 9, topic: '{queue}/{id}',\n"
        "      handler: {exec: [sh, -c, 'x y', ''], protocol: frames, processes: 2, timeout: 1ms,\n"
        "                max_answer: 1KiB, backoff_max: 10ms}}\n"
        "  v: {queue: a, handler: {builtin: sleep, time: 0}, publish: p}\n"
        "publishers: {p: {pattern: pub, listen: inproc://p, separator: '', ipc_mode: 7}}\n"
        "workers: {d: {listen: tcp://127.0.0.1:1, queues: b, framing: batch}}\n");
    ck_assert_int_eq(conf->workers[0].framing, FRAMING_BATCH);
    ck_assert(conf_workers_serve(&conf->workers[0], "b"));
    ck_assert(!conf_workers_serve(&conf->workers[0], "a"));
    ck_assert_str_eq(conf->top.control, "inproc://control");
    ck_assert_uint_eq(conf->top.control_mode, 0600);
    ck_assert_int_eq(conf->top.drain_timeout.ns, span_s(90).ns);
    ck_assert_int_eq(conf->top.slow.ns, span_s(2).ns);
    ck_assert_uint_eq(conf->top.max_errors, 7);
    ck_assert_uint_eq(conf->queues[0].bytes_max, 1572864);
    ck_assert_int_eq(conf->queues[0].when_full, WHEN_FULL_DROP_NEWEST);
    ck_assert_uint_eq(conf->queues[0].attempts_max, 5);
    ck_assert_uint_eq(conf->queues[0].crashes_max, 2);
    ck_assert_int_eq(conf->queues[0].backoff.ns, span_ms(10).ns);
    ck_assert_int_eq(conf->queues[0].backoff_max.ns, span_s(3600).ns);
    ck_assert_str_eq(conf->queues[0].dead_letter, "b");
    ck_assert_int_eq(conf->queues[0].lease.ns, span_s(5).ns);
    ck_assert_int_eq(conf->queues[0].refuse_late, YES);
    ck_assert_int_eq(conf->queues[1].refuse_late, NO);
    ck_assert_uint_eq(conf->queues[1].attempts_max, 1);
    ck_assert_ptr_null(conf->queues[1].dead_letter);
    ck_assert_int_eq(conf->queues[1].when_full, WHEN_FULL_REJECT);
    ck_assert_uint_eq(conf->producers_count, 3);
    ck_assert_str_eq(conf->producers[0].connect.at[1], "inproc://y");
    ck_assert_uint_eq(conf->producers[0].topics.count, 2);
    ck_assert_str_eq(conf->producers[0].topics.at[1], "");
    ck_assert_int_eq(conf->producers[1].reply, REPLY_RESULT);
    ck_assert_int_eq(conf->producers[1].framing, FRAMING_JSON);
    ck_assert_str_eq(conf->producers[2].path, "-");
    ck_assert_uint_eq(conf->producers[2].line_max, 100);
    const struct conf_consumer *c = &conf->consumers[0];
    ck_assert_uint_eq(c->threads, 3);
    ck_assert_uint_eq(c->budget, 9);
    ck_assert_str_eq(c->topic, "{queue}/{id}");
    ck_assert_uint_eq(c->handler.exec.count, 4);
    ck_assert_str_eq(c->handler.exec.at[2], "x y");
    ck_assert_str_eq(c->handler.exec.at[3], "");
    ck_assert_int_eq(c->handler.protocol, PROTOCOL_FRAMES);
    ck_assert_uint_eq(c->handler.processes, 2);
    ck_assert_int_eq(c->handler.timeout.ns, span_ms(1).ns);
    ck_assert_uint_eq(c->handler.answer_max, 1024);
    ck_assert_int_eq(conf->consumers[1].handler.time.ns, 0);
    ck_assert_str_eq(conf->publishers[0].separator, "");
    ck_assert_uint_eq(conf->publishers[0].ipc_mode, 7);
    conf_free(&conf);
}
END_TEST

START_TEST(other_spellings_of_yaml)
{
    struct conf *conf = load("\xef\xbb\xbfqueues:\r\n  jobs: &q {max_items: 3}\r\n  more: *q\r\n"
                             "consumers:\r\n  a: &c\r\n    queue: jobs\r\n    handler:\r\n      "
                             "\"builtin\": pass\r\n  b: {queue: more, handler: {builtin: pass}}\r\n");
    ck_assert_uint_eq(conf->queues_count, 2);
    ck_assert_uint_eq(conf->queues[1].items_max, 3);
    conf_free(&conf);
    conf = load("{\"queues\": {\"jobs\": {\"max_items\": 3}}, \"consumers\": {\"a\": {\"queue\": "
                "\"jobs\", \"handler\": {\"builtin\": \"pass\"}}}}");
    ck_assert_uint_eq(conf->queues[0].items_max, 3);
    conf_free(&conf);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    struct conf *conf = NULL;
    ck_assert_int_eq(load_file("/nonexistent/penstock.yaml", &conf), -ENOENT);
    ck_assert_ptr_nonnull(strstr(said, "No such file or directory"));
    ck_assert_int_eq(load_file("/", &conf), -EISDIR);
    ck_assert_ptr_null(conf);
}
END_TEST

START_TEST(texts_with_a_zero_byte)
{
    refuse("queues: {\"a\\0b\": }", "1:10: error: a text cannot have a zero byte");
}
END_TEST

START_TEST(sizes_of_the_file)
{
    size_t bytes = LIMIT_CONFIG_BYTES + 1;
    char *text = malloc(bytes);
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', bytes);
    memcpy(text, small, sizeof small - 1);
    struct conf *conf = NULL;
    ck_assert_int_eq(load_bytes(text, bytes, &conf), PEN_ECONFIG);
    ck_assert_ptr_nonnull(strstr(said, "larger than 1MiB"));
    ck_assert_int_eq(load_bytes(text, bytes - 1, &conf), 0);
    conf_free(&conf);
    free(text);
}
END_TEST

/* queues q0 ... and one consumer for each of them. */
static char *many_queues(int count)
{
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    fputs("queues:\n", out);
    for (int i = 0; i < count; i++)
        fprintf(out, "  q%d:\n", i);
    fputs("consumers:\n", out);
    for (int i = 0; i < count; i++)
        fprintf(out, "  c%d: {queue: q%d, handler: {builtin: pass}}\n", i, i);
    fclose(out);
    return text;
}

START_TEST(number_of_entries)
{
    char *text = many_queues(LIMIT_CONFIG_ENTRIES);
    struct conf *conf = load(text);
    ck_assert_uint_eq(conf->consumers_count, LIMIT_CONFIG_ENTRIES);
    conf_free(&conf);
    free(text);
    text = many_queues(LIMIT_CONFIG_ENTRIES + 1);
    refuse(text, "1026:3: error: more than 1024 entries");
    free(text);
}
END_TEST

START_TEST(number_of_errors)
{
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    fputs("queues:\n", out);
    for (int i = 0; i < LIMIT_CONFIG_ENTRIES; i++)
        fprintf(out, "  q%d: {x: 1, y: 2}\n", i);
    fclose(out);
    refuse(text, "more errors left out");
    ck_assert_ptr_nonnull(strstr(said, ": at least 1000 errors\n"));
    free(text);
}
END_TEST

/* ---- dumping ---- */

static void same_again(const char *text)
{
    struct conf *conf = load(text);
    char *first = dump(conf);
    conf_free(&conf);
    conf = load(first);
    char *second = dump(conf);
    conf_free(&conf);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}

START_TEST(dumps_load_again)
{
    same_again(small);
    same_again("control: 'ipc://a$$b'\ndrain_timeout: 0\ncontrol_mode: 1\n"
               "queues: {'null': , '1': , -: , '.': , 'yes': }\n"
               "producers:\n"
               "  s: {pattern: sub, connect: 'tcp://[::1]:1', topics: ['', 'a: b', '#x', '- y'], "
               "queue: 'null'}\n"
               "  l: {pattern: lines, path: \"a\\tb\", queue: '1'}\n"
               "consumers:\n"
               "  a: {queue: 'null', handler: {builtin: sum_squares}, publish: p, topic: 'no'}\n"
               "  b: {queue: '1', handler: {exec: [sh, '$$HOME', '$${', 'it''s']}}\n"
               "  c: {queue: '-', handler: {builtin: sleep, time: 1.5ms}}\n"
               "  d: {queue: '.', handler: {builtin: pass}}\n"
               "  e: {queue: 'yes', handler: {builtin: pass}}\n"
               "publishers:\n"
               "  p: {pattern: pub, listen: [inproc://p, 'ws://*:1/x'], separator: \"\\n\"}\n");
}
END_TEST

static const char *const strange[] = {
    "",
    " ",
    "a b",
    "null",
    "~",
    "true",
    "No",
    "123",
    "1e3",
    "0x10",
    "- a",
    "a: b",
    "a:",
    "#a",
    "a #b",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "\"",
    "'",
    "\\",
    "\\n",
    "\n",
    "\t",
    "\r",
    "\x01\x1f",
    "\x7f",
    "\xc2\x80",
    "\xc2\x85",
    "ä",
    "\xe2\x80\xa8",
    "\xef\xbb\xbf",
    "😀",
    "{",
    "}",
    "[x, y]",
    "$",
    "$$",
    "${HOME}",
    "$x",
    "a,b",
    " a",
    "a ",
    "\xef\xbf\xbf",
    "---",
    "...",
    "=",
    "<<",
    "a\nb\n",
};

/* Any argument a program can have comes back from the dump as it was. */
START_TEST(strange_texts_come_back)
{
    struct conf *conf = load("queues: {jobs: }\n"
                             "consumers: {work: {queue: jobs, handler: {exec: [sh, x]}}}\n");
    char **argument = &conf->consumers[0].handler.exec.at[1];
    free(*argument);
    *argument = strdup(strange[_i]);
    ck_assert_ptr_nonnull(*argument);
    char *text = dump(conf);
    struct conf *again = load(text);
    ck_assert_str_eq(again->consumers[0].handler.exec.at[1], strange[_i]);
    free(text);
    conf_free(&again);
    conf_free(&conf);
}
END_TEST

START_TEST(write_errors_are_told)
{
    FILE *full = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(full);
    struct conf *conf = load(small);
    ck_assert_int_eq(conf_dump(conf, full), -ENOSPC);
    ck_assert_int_lt(conf_write_schema(full), 0);
    ck_assert_int_lt(conf_write_mdoc(full), 0);
    conf_free(&conf);
    fclose(full);
}
END_TEST

/* ---- the table ---- */

START_TEST(rows_are_sound)
{
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        const struct option *o = &options[i];
        ck_assert_ptr_eq(option_find(o->section, o->key), o); /* No key twice. */
        ck_assert_uint_gt(strlen(o->help), 0);
        ck_assert_uint_le(o->min, o->max);
        enum option_id choice = sections[o->section].choice;
        if (o->with[0] == '\0')
            continue;
        ck_assert_int_ne(choice, OPTIONS_COUNT);
        char words[128], *rest = words, *word;
        ck_assert(str_copy(words, sizeof words, o->with));
        while ((word = strsep(&rest, " ")) != NULL) {
            const char *unset = sections[o->section].choice_unset;
            bool known = unset != NULL && str_equal(unset, word);
            for (const struct word *w = options[choice].words; w->word != NULL; w++)
                known = known || (w->refused == NULL && str_equal(w->word, word));
            ck_assert_msg(known, "%s goes with \"%s\", which is no choice", o->key, word);
            ck_assert(option_goes_with(o, word));
        }
        ck_assert(!option_goes_with(o, "nothing"));
    }
}
END_TEST

START_TEST(words_are_told)
{
    ck_assert_str_eq(conf_when_full_word(WHEN_FULL_BLOCK), "block");
    ck_assert_str_eq(conf_when_full_word(WHEN_FULL_DROP_OLDEST), "drop_oldest");
    ck_assert_str_eq(conf_pattern_word(PATTERN_LINES), "lines");
    ck_assert_str_eq(conf_pattern_word(PATTERN_PUB), "pub");
    ck_assert_str_eq(conf_pattern_word(PATTERN_NONE), "none");
    char text[24];
    ck_assert_str_eq(words_list(options[OPTION_PRODUCER_framing].words, text, sizeof text),
                     "raw, json or batch");
    ck_assert_uint_eq(strlen(words_list(options[OPTION_QUEUE_when_full].words, text, sizeof text)),
                      sizeof text - 1);
}
END_TEST

/* ---- addresses ---- */

static struct address address(const char *text)
{
    struct address a;
    char reason[ADDRESS_REASON_BYTES];
    ck_assert_msg(address_parse(text, true, &a, reason) == 0, "%s", reason);
    return a;
}

static const struct {
    const char *a, *b;
    bool clash;
} pairs[] = {
    { "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", true },
    { "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", false },
    { "tcp://127.0.0.1:1", "tcp://127.0.0.2:1", false },
    { "tcp://*:1", "tcp://127.0.0.2:1", true },
    { "tcp://0.0.0.0:1", "tcp://[::1]:1", true },
    { "tcp://[::]:1", "tcp://*:1", true },
    { "tcp://lo:1", "ws://localhost:1/path", true },
    { "ipc:///a/b", "ipc:////a/./b", true },
    { "ipc://a", "ipc://./a", true },
    { "ipc:///a", "ipc://a", false },
    { "inproc://a", "ipc://a", false },
    { "inproc://a", "inproc://a", true },
    { "inproc://a", "inproc://b", false },
};

START_TEST(addresses_clash)
{
    struct address a = address(pairs[_i].a), b = address(pairs[_i].b);
    ck_assert_int_eq(address_clash(&a, &b), pairs[_i].clash);
    ck_assert_int_eq(address_clash(&b, &a), pairs[_i].clash);
    ck_assert_int_eq(address_order(&a, &b), -address_order(&b, &a));
    ck_assert_int_eq(address_order(&a, &a), 0);
}
END_TEST

START_TEST(addresses_of_every_length)
{
    char text[300] = "inproc://", reason[ADDRESS_REASON_BYTES];
    struct address a;
    for (size_t n = strlen(text); n < sizeof text - 1; n++) {
        text[n] = 'x';
        text[n + 1] = '\0';
        int r = address_parse(text, true, &a, reason);
        ck_assert_int_eq(r, n + 1 <= ADDRESS_BYTES_MAX ? 0 : PEN_EADDRESS);
    }
    memcpy(text, "ipc:///xx", 9);
    for (size_t n = 9; n < sizeof text - 1; n++) {
        text[n] = 'x';
        text[n + 1] = '\0';
        ck_assert_int_eq(address_parse(text, false, &a, reason), n + 1 - 6 <= 107 ? 0 : PEN_EADDRESS);
    }
}
END_TEST

/* ---- variables ---- */

static const struct {
    const char *text, *expanded; /* NULL: refused */
} variables[] = {
    { "", "" },
    { "plain", "plain" },
    { "${T_SET}", "value" },
    { "a${T_SET}b${T_SET}c", "avaluebvaluec" },
    { "${T_EMPTY}", "" },
    { "${T_EMPTY:-x}", "x" },
    { "${T_UNSET:-}", "" },
    { "${T_UNSET:-a b${}", "a b${" },
    { "${T_SET:-x}", "value" },
    { "${T_SET:?x}", "value" },
    { "$$", "$" },
    { "$${T_SET}", "${T_SET}" },
    { "$$$${T_SET}", "$${T_SET}" },
    { "$", "$" },
    { "$x $1 $", "$x $1 $" },
    { "${T_DOLLAR}", "${T_SET}" }, /* not looked at again */
    { "${T_UNSET}", NULL },
    { "${T_UNSET:?}", NULL },
    { "${T_UNSET:?say why}", NULL },
    { "${T_EMPTY:?x}", NULL },
    { "${}", NULL },
    { "${T_SET", NULL },
    { "${T_SET:x}", NULL },
    { "${T SET}", NULL },
    { "${1}", NULL },
    { "${T_LATIN}", NULL },
};

START_TEST(variables_are_filled_in)
{
    setenv("T_SET", "value", 1);
    setenv("T_EMPTY", "", 1);
    setenv("T_DOLLAR", "${T_SET}", 1);
    setenv("T_LATIN", "gr\xfcn", 1);
    unsetenv("T_UNSET");
    struct report report;
    report_init(&report, "test");
    char *text = NULL;
    int r = expand(&report, (struct place){ 0 }, variables[_i].text, &text);
    if (variables[_i].expanded != NULL) {
        ck_assert_int_eq(r, 0);
        ck_assert_str_eq(text, variables[_i].expanded);
        ck_assert_uint_eq(report.errors, 0);
    } else {
        ck_assert_int_eq(r, PEN_ECONFIG);
        ck_assert_ptr_null(text);
        ck_assert_uint_eq(report.errors, 1);
    }
    free(text);
    report_fini(&report);
}
END_TEST

START_TEST(programs_are_found)
{
    ck_assert(program_found("sh"));
    ck_assert(program_found("/bin/sh"));
    ck_assert(!program_found("/bin"));
    ck_assert(!program_found("/dev/null"));
    ck_assert(!program_found("no-such-program-anywhere"));
    ck_assert(!program_found(""));
    setenv("PATH", "/nonexistent:/bin", 1);
    ck_assert(program_found("sh"));
    setenv("PATH", "/nonexistent", 1);
    ck_assert(!program_found("sh"));
    ck_assert_int_eq(chdir("/bin"), 0);
    setenv("PATH", ":/nonexistent", 1); /* an empty folder is this one */
    ck_assert(program_found("sh"));
    unsetenv("PATH");
    ck_assert(program_found("sh"));
}
END_TEST

/* ---- UTF-8 ---- */

static const struct {
    const char *text;
    size_t bytes; /* of the first code point; 0: malformed */
    uint32_t point;
} points[] = {
    { "a", 1, 'a' },
    { "\x7f", 1, 0x7f },
    { "\xc2\x80", 2, 0x80 },
    { "\xdf\xbf", 2, 0x7ff },
    { "\xe0\xa0\x80", 3, 0x800 },
    { "\xef\xbf\xbf", 3, 0xffff },
    { "\xf0\x90\x80\x80", 4, 0x10000 },
    { "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
    { "\x80", 0, 0 },
    { "\xc1\xbf", 0, 0 },         /* overlong */
    { "\xe0\x9f\xbf", 0, 0 },     /* overlong */
    { "\xf0\x8f\xbf\xbf", 0, 0 }, /* overlong */
    { "\xed\xa0\x80", 0, 0 },     /* surrogate */
    { "\xf4\x90\x80\x80", 0, 0 }, /* beyond the end */
    { "\xf5\x80\x80\x80", 0, 0 },
    { "\xff", 0, 0 },
    { "\xc3", 0, 0 }, /* cut off */
    { "\xe2\x82", 0, 0 },
    { "\xc3\x28", 0, 0 },
};

START_TEST(code_points_are_read)
{
    uint32_t point = 0;
    ck_assert_uint_eq(utf8_next(points[_i].text, strlen(points[_i].text), &point), points[_i].bytes);
    ck_assert_uint_eq(point, points[_i].point);
}
END_TEST

START_TEST(characters_are_counted)
{
    const char *text = "a\xc3\xa4\xff\xe2\x82\xac"; /* a, ä, a stray byte, € */
    size_t n = strlen(text);
    ck_assert_uint_eq(utf8_count(text, n), 4);
    ck_assert_uint_eq(utf8_skip(text, n, 2), 3);
    ck_assert_uint_eq(utf8_skip(text, n, 9), n);
    ck_assert_uint_eq(utf8_valid_bytes(text, n), 3);
    ck_assert_uint_eq(utf8_valid_bytes(text, 3), 3);
    ck_assert_uint_eq(utf8_valid_bytes("", 0), 0);
}
END_TEST

static Suite *conf_suite(void)
{
    Suite *suite = suite_create("conf");
    TCase *loading = tcase_create("loading");
    tcase_add_test(loading, defaults_are_set);
    tcase_add_test(loading, values_are_read);
    tcase_add_test(loading, other_spellings_of_yaml);
    tcase_add_test(loading, files_that_cannot_be_read);
    tcase_add_test(loading, texts_with_a_zero_byte);
    tcase_add_test(loading, sizes_of_the_file);
    tcase_add_test(loading, number_of_entries);
    tcase_add_test(loading, number_of_errors);
    tcase_set_timeout(loading, 60); /* Instrumented and on a busy machine. */
    suite_add_tcase(suite, loading);
    TCase *dumping = tcase_create("dumping");
    tcase_add_test(dumping, dumps_load_again);
    tcase_add_loop_test(dumping, strange_texts_come_back, 0, COUNT_OF(strange));
    tcase_add_test(dumping, write_errors_are_told);
    suite_add_tcase(suite, dumping);
    TCase *pieces = tcase_create("pieces");
    tcase_add_test(pieces, rows_are_sound);
    tcase_add_test(pieces, words_are_told);
    tcase_add_loop_test(pieces, addresses_clash, 0, COUNT_OF(pairs));
    tcase_add_test(pieces, addresses_of_every_length);
    tcase_add_loop_test(pieces, variables_are_filled_in, 0, COUNT_OF(variables));
    tcase_add_test(pieces, programs_are_found);
    tcase_add_loop_test(pieces, code_points_are_read, 0, COUNT_OF(points));
    tcase_add_test(pieces, characters_are_counted);
    suite_add_tcase(suite, pieces);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(conf_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
