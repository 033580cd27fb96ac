/* SPDX-License-Identifier: Apache-2.0
 *
 * The line on stderr that says how a long stream goes: once a second, from the first full second on,
 * and only where a person looks at it.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"

struct tally {
    uint64_t sent, received; /* messages */
    uint64_t sent_bytes, received_bytes;
    const char *sent_word,
        *received_word; /* what they are called; NULL: "sent", "received", with their bytes */
};

struct progress {
    bool shown;   /* at all */
    bool on_line; /* a line stands there now */
    mono_t start, next;
    mono_t last;
    uint64_t last_messages;
};

/* `wanted` says that nothing else goes to the same terminal. */
void progress_init(struct progress *p, bool wanted);

/* When progress_tick() has something to do; PEN_NEVER when not shown. */
mono_t progress_due(const struct progress *p);

void progress_tick(struct progress *p, const struct tally *t, unsigned peers);

/* Takes the line away. */
void progress_end(struct progress *p);

/* "1200 sent (3.40 MiB) in 2.3s, 522/s" into text. Returns text. */
enum { PROGRESS_TEXT_BYTES = 256 };
char *progress_summary(const struct progress *p, const struct tally *t,
                       char text[PROGRESS_TEXT_BYTES]);

#endif
