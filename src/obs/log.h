/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: one line per event to standard error; plain on a terminal, with <N> priorities under
 * systemd, or one JSON object per line. Layers up to broker/ never log, they return errors.
 *
 * Any thread; a line is one write(2), so lines never mix. Lines longer than 8 KiB are cut.
 */
#ifndef OBS_LOG_H
#define OBS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_PLAIN, LOG_FORMAT_SYSTEMD, LOG_FORMAT_JSON };

/* Before the first thread; until then nothing is logged. AUTO: systemd when $JOURNAL_STREAM names standard error, else plain. */
void log_init(enum log_level level, enum log_format format);
void log_set_level(enum log_level level);
bool log_wants(enum log_level level);

/* Text form of the levels: "error" "warning" "notice" "info" "debug". PEN_EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level) MUST_CHECK;
/* "auto" "plain" "systemd" "json". PEN_EINVAL. */
int log_format_parse(const char *text, enum log_format *ret_format) MUST_CHECK;

/* subject names the object in hand, such as "producer intake", "queue jobs" or "penstockd". */
void log_line(enum log_level level, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(subject, ...) log_line(LOG_LEVEL_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_line(LOG_LEVEL_WARNING, subject, __VA_ARGS__)
#define log_notice(subject, ...) log_line(LOG_LEVEL_NOTICE, subject, __VA_ARGS__)
#define log_info(subject, ...) log_line(LOG_LEVEL_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...) \
    do { \
        if (log_wants(LOG_LEVEL_DEBUG)) \
            log_line(LOG_LEVEL_DEBUG, subject, __VA_ARGS__); \
    } while (0)

/* At most `burst` lines a `second`s window for what a peer can cause in a flood; the next line that
 * passes tells how many were left out. One object per place, zeroed. Any thread. */
struct log_limit {
    int64_t window_start_ns;
    uint32_t passed, left_out;
};
bool log_limit_pass(struct log_limit *limit, uint32_t burst, uint32_t *ret_left_out);

/* A warning within those bounds, which says how many before it were left out. */
void log_limited(struct log_limit *limit, uint32_t burst, const char *subject, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

#endif
