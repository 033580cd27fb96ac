/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics from templates: "squares.{key}" and so on. {queue} and {consumer} are known at boot and filled in then; {id}
 * and {key} differ per message. Pure.
 */
#ifndef FLOW_TOPIC_H
#define FLOW_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"

struct topic {
    char text[LIMIT_TOPIC_BYTES + 1]; /* with {queue} and {consumer} filled in */
    bool varies;                      /* {id} or {key} are left */
};

/* template NULL or "": the empty topic. PEN_ETOOBIG, PEN_EINVAL (an unknown placeholder). */
int topic_init(struct topic *topic, const char *template_text, const char *queue,
               const char *consumer) MUST_CHECK;

/* The topic of one message; key may be NULL. What does not fit LIMIT_TOPIC_BYTES is cut off. Returns its bytes;
 * text is ended with NUL. */
size_t topic_fill(const struct topic *topic, uint64_t id, const char *key,
                  char text[LIMIT_TOPIC_BYTES + 1]);

#endif
