/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: a line is put together on the caller's stack and leaves with one write(2), so that lines
 * of different threads never mix and nothing is allocated, buffered or lost when the process dies.
 *
 * Invariants: no byte of a subject or a message reaches the output unless it is printable UTF-8;
 * what is not is written as an escape (plain, systemd: \n \x1b \u009b; JSON: \n \u001b, and U+FFFD
 * for what is no UTF-8, since JSON has no way to say it). So a peer can neither forge a line nor
 * talk to the operator's terminal. A line that is too long is cut between two characters and ends
 * in "...".
 *
 * Any thread. The format is fixed by log_init(), before the first thread; the level may change
 * later.
 */
#include "obs/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/count.h"
#include "base/limits.h"
#include "base/units.h"
#include "plat/clock.h"
#include "plat/stderr.h"
#include "sync/lock.h"

/* Kept free at the end of every line for the mark of a cut, the closing quote and the newline. */
enum { TAIL_BYTES = 8 };

struct line {
    size_t bytes;
    bool cut;
    char text[LIMIT_LOG_LINE_BYTES];
};

static const struct {
    enum log_level level;
    const char *word, *colour;
} levels[] = {
    { LOG_LEVEL_ERROR, "error", "\033[1;31m" }, { LOG_LEVEL_WARNING, "warning", "\033[33m" },
    { LOG_LEVEL_NOTICE, "notice", "\033[1m" },  { LOG_LEVEL_INFO, "info", "" },
    { LOG_LEVEL_DEBUG, "debug", "\033[2m" },
};

/* fixed after init */
static enum log_format format_now = LOG_FORMAT_PLAIN;
static bool colour_now;
/* atomic: relaxed, a level of a moment ago does no harm. 0: nothing is logged, which is how it is in a program that uses the
 * library. */
static struct count level_now;

static struct lock limit_lock = LOCK_INITIALIZER(LOG);

/* ---- set-up ---- */

void log_init(enum log_level level, enum log_format format)
{
    log_set_level(level);
    if (format == LOG_FORMAT_AUTO)
        format = stderr_is_journal() ? LOG_FORMAT_SYSTEMD : LOG_FORMAT_PLAIN;
    format_now = format;
    colour_now = format == LOG_FORMAT_PLAIN && stderr_has_colours();
}

void log_set_level(enum log_level level)
{
    check(level >= LOG_LEVEL_ERROR && level <= LOG_LEVEL_DEBUG);
    count_set(&level_now, level);
}

bool log_wants(enum log_level level)
{
    return level <= count_read(&level_now);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i].word, text) == 0) {
            *ret_level = levels[i].level;
            return 0;
        }
    }
    return PEN_EINVAL;
}

int log_format_parse(const char *text, enum log_format *ret_format)
{
    static const char *const words[] = {
        [LOG_FORMAT_AUTO] = "auto",
        [LOG_FORMAT_PLAIN] = "plain",
        [LOG_FORMAT_SYSTEMD] = "systemd",
        [LOG_FORMAT_JSON] = "json",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret_format = (enum log_format)i;
            return 0;
        }
    }
    return PEN_EINVAL;
}

/* ---- a line ---- */

/* All or nothing, and nothing more after what did not fit. */
static void put_bytes(struct line *l, const void *data, size_t n)
{
    if (l->cut || n > sizeof l->text - TAIL_BYTES - l->bytes) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->bytes, data, n);
    l->bytes += n;
}

static void put(struct line *l, const char *text)
{
    put_bytes(l, text, strlen(text));
}

/* What closes a line always fits. */
static void put_tail(struct line *l, const char *tail)
{
    size_t n = strlen(tail);
    check(n <= sizeof l->text - l->bytes);
    memcpy(l->text + l->bytes, tail, n);
    l->bytes += n;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character at p, a NUL-terminated text; 0 when there is none (RFC 3629: neither
 * overlong forms nor surrogates nor anything beyond U+10FFFF). */
static unsigned utf8_bytes(const uint8_t *p)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || !is_continuation(p[1]))
        return 0;
    if (p[0] < 0xe0)
        return 2;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    if (overlong || beyond || !is_continuation(p[2]))
        return 0;
    if (p[0] < 0xf0)
        return 3;
    return is_continuation(p[3]) ? 4 : 0;
}

/* wide: as a character, \u0085, not as a byte, \x85. */
static void put_control(struct line *l, unsigned code, bool wide)
{
    char escape[8];
    if (code == '\n' || code == '\r' || code == '\t')
        (void)snprintf(escape, sizeof escape, "\\%c",
                       code == '\n'   ? 'n'
                       : code == '\r' ? 'r'
                                      : 't');
    else
        (void)snprintf(escape, sizeof escape, wide ? "\\u%04x" : "\\x%02x", code);
    put(l, escape);
}

/* One character, or one byte of what is none, in a form that is safe to print. Returns its
 * bytes. */
static unsigned put_char(struct line *l, const uint8_t *p, bool json)
{
    unsigned n = utf8_bytes(p);
    if (n == 0 && json)
        put(l, "\xef\xbf\xbd");
    else if (n == 0)
        put_control(l, p[0], false);
    else if (p[0] < 0x20 || p[0] == 0x7f)
        put_control(l, p[0], json);
    else if (p[0] == 0xc2 && p[1] < 0xa0)
        put_control(l, p[1], true); /* C1: a terminal may take it for an escape sequence. */
    else if (json && (p[0] == '"' || p[0] == '\\'))
        put_bytes(l, (char[]){ '\\', (char)p[0] }, 2);
    else
        put_bytes(l, p, n);
    return n > 0 ? n : 1;
}

static void put_escaped(struct line *l, const char *text, bool json)
{
    const uint8_t *p = (const uint8_t *)text;
    while (*p != '\0' && !l->cut)
        p += put_char(l, p, json);
}

static void put_time(struct line *l)
{
    int64_t now_ns = clock_wall_ns();
    time_t now_s = now_ns / NS_PER_S;
    struct tm utc;
    char seconds[32], text[64];
    check(gmtime_r(&now_s, &utc) != NULL); /* 64 bits of nanoseconds end in the year 2262. */
    (void)strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text, sizeof text, "%s.%03ldZ", seconds, (long)(now_ns % NS_PER_S / 1000000));
    put(l, text);
}

static const char *level_word(enum log_level level)
{
    return levels[level - LOG_LEVEL_ERROR].word;
}

static void put_json(struct line *l, enum log_level level, const char *subject, const char *message)
{
    put(l, "{\"time\":\"");
    put_time(l);
    put(l, "\",\"level\":\"");
    put(l, level_word(level));
    put(l, "\",\"subject\":\"");
    put_escaped(l, subject, true);
    put(l, "\",\"message\":\"");
    put_escaped(l, message, true);
    if (l->cut)
        put_tail(l, "...");
    put_tail(l, "\"}\n");
}

static void put_plain(struct line *l, enum log_level level, const char *subject, const char *message)
{
    const char *colour = colour_now ? levels[level - LOG_LEVEL_ERROR].colour : "";
    if (format_now == LOG_FORMAT_SYSTEMD) {
        put_bytes(l, (char[]){ '<', (char)('0' + level), '>' }, 3);
    } else {
        put_time(l);
        put(l, " ");
        put(l, colour);
        put(l, level_word(level));
        put(l, colour[0] != '\0' ? "\033[0m " : " ");
    }
    put_escaped(l, subject, false);
    put(l, ": ");
    put_escaped(l, message, false);
    if (l->cut)
        put_tail(l, "...");
    put_tail(l, "\n");
}

/* A log that cannot be written has nobody to tell. What a full device or a signal left unwritten is
 * tried again from where it stopped, because half a line would spoil the next one as well. */
static void line_write(const struct line *l)
{
    size_t done = 0;
    while (done < l->bytes) {
        ssize_t n = write(STDERR_FILENO, l->text + done, l->bytes - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return;
    }
}

void log_line(enum log_level level, const char *subject, const char *format, ...)
{
    check(level >= LOG_LEVEL_ERROR && level <= LOG_LEVEL_DEBUG);
    if (!log_wants(level))
        return;
    int saved = errno;
    /* As long as a line: what is cut off here is beyond the line's end anyway. */
    char message[LIMIT_LOG_LINE_BYTES];
    va_list args;
    va_start(args, format);
    if (vsnprintf(message, sizeof message, format, args) < 0)
        message[0] = '\0';
    va_end(args);

    struct line l;
    l.bytes = 0;
    l.cut = false;
    if (format_now == LOG_FORMAT_JSON)
        put_json(&l, level, subject, message);
    else
        put_plain(&l, level, subject, message);
    line_write(&l);
    errno = saved;
}

/* ---- floods ---- */

bool log_limit_pass(struct log_limit *limit, uint32_t burst, uint32_t *ret_left_out)
{
    int64_t now_ns = clock_mono().ns;
    lock_take(&limit_lock);
    if (limit->window_start_ns == 0 || now_ns - limit->window_start_ns >= NS_PER_S) {
        limit->window_start_ns = now_ns;
        limit->passed = 0;
    }
    bool pass = limit->passed < burst;
    if (pass) {
        limit->passed++;
        *ret_left_out = limit->left_out;
        limit->left_out = 0;
    } else {
        limit->left_out++;
    }
    lock_drop(&limit_lock);
    return pass;
}

void log_limited(struct log_limit *limit, uint32_t burst, const char *subject, const char *format,
                 ...)
{
    uint32_t left_out;
    if (!log_limit_pass(limit, burst, &left_out))
        return;
    char text[LIMIT_LOG_LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (left_out > 0)
        log_warning(subject, "%s (%u like this were left out)", text, left_out);
    else
        log_warning(subject, "%s", text);
}
