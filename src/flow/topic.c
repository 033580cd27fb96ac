/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Text being put together in a fixed space; what does not fit is cut off and noted. */
struct text {
    char *at;
    size_t bytes, max;
    bool cut;
};

static void add(struct text *t, const char *from, size_t n)
{
    if (n > t->max - t->bytes) {
        n = t->max - t->bytes;
        t->cut = true;
    }
    memcpy(t->at + t->bytes, from, n);
    t->bytes += n;
    t->at[t->bytes] = '\0';
}

/* The value of a placeholder, or NULL when it is not among the names. */
struct placeholder {
    const char *name, *value;
};

static const char *value_of(const struct placeholder *known, const char *name, size_t n)
{
    for (; known->name != NULL; known++)
        if (strlen(known->name) == n && memcmp(known->name, name, n) == 0)
            return known->value;
    return NULL;
}

/* Copy the template, filling in what is known; *ret_left: a placeholder was not. */
static void fill(struct text *to, const char *from, const struct placeholder *known, bool *ret_left)
{
    *ret_left = false;
    to->at[0] = '\0';
    while (*from != '\0') {
        size_t plain = strcspn(from, "{");
        add(to, from, plain);
        from += plain;
        const char *end = *from == '{' ? strchr(from, '}') : NULL;
        if (end == NULL) {
            add(to, from, strlen(from));
            return;
        }
        const char *value = value_of(known, from + 1, (size_t)(end - from - 1));
        if (value != NULL) {
            add(to, value, strlen(value));
        } else {
            add(to, from, (size_t)(end - from + 1));
            *ret_left = true;
        }
        from = end + 1;
    }
}

int topic_init(struct topic *t, const char *template_text, const char *queue, const char *consumer)
{
    const struct placeholder fixed[] = { { "queue", queue }, { "consumer", consumer }, { 0 } };
    const struct placeholder all[] = { { "id", "" }, { "key", "" }, { 0 } };
    struct text to = { .at = t->text, .max = LIMIT_TOPIC_BYTES };
    fill(&to, template_text != NULL ? template_text : "", fixed, &t->varies);
    if (to.cut)
        return PEN_ETOOBIG;
    char scratch[LIMIT_TOPIC_BYTES + 1];
    struct text probe = { .at = scratch, .max = LIMIT_TOPIC_BYTES };
    bool unknown;
    fill(&probe, t->text, all, &unknown);
    return unknown ? PEN_EINVAL : 0;
}

size_t topic_fill(const struct topic *t, uint64_t id, const char *key,
                  char text[LIMIT_TOPIC_BYTES + 1])
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, id);
    const struct placeholder known[] = { { "id", number }, { "key", key != NULL ? key : "" }, { 0 } };
    struct text to = { .at = text, .max = LIMIT_TOPIC_BYTES };
    bool left;
    fill(&to, t->text, known, &left);
    return to.bytes;
}
