/* SPDX-License-Identifier: Apache-2.0
 *
 * Dedupe ids. A twin counts while it is in the window, which is bounded by time and number, or, if it coalesces, while its
 * job is held. It is forgotten when it does neither.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/parts.h"

enum { TRIM_MAX = 16 };

static bool in_window(const struct twin *t)
{
    return !list_empty(&t->age);
}

static void leave_window(struct broker *b, struct twin *t)
{
    if (!in_window(t))
        return;
    list_remove(&t->age);
    b->window_count--;
}

static void twin_free(struct broker *b, struct twin *t)
{
    leave_window(b, t);
    hash_remove(&b->twins, &t->node);
    if (t->job != NULL)
        t->job->twin = NULL;
    free(t);
}

static bool lives_by_its_job(const struct twin *t)
{
    return t->coalesce && t->job != NULL;
}

static void free_if_over(struct broker *b, struct twin *t)
{
    if (!in_window(t) && !lives_by_its_job(t))
        twin_free(b, t);
}

static bool too_old(const struct broker *b, const struct twin *t)
{
    return mono_after(t->put_at, b->limits.dedupe_window).ns <= b->now.ns;
}

/* What is too old or too many leaves the window; only some at a time, so that a pause is not followed by a long hold. */
static void trim(struct broker *b)
{
    uint32_t max = b->limits.dedupe_max == 0 ? (uint32_t)DEDUPE_MAX : b->limits.dedupe_max;
    for (int k = 0; k < TRIM_MAX && !list_empty(&b->window); k++) {
        struct twin *oldest = CONTAINER_OF(b->window.next, struct twin, age);
        if (b->window_count <= max && !too_old(b, oldest))
            break;
        leave_window(b, oldest);
        free_if_over(b, oldest);
    }
}

static struct twin *lookup(const struct broker *b, const char *text)
{
    uint64_t hash = hash_of(&b->twins, text, strlen(text));
    for (struct hash_node *n = hash_first(&b->twins, hash); n != NULL; n = hash_next(n)) {
        struct twin *t = CONTAINER_OF(n, struct twin, node);
        if (strcmp(t->text, text) == 0)
            return t;
    }
    return NULL;
}

struct twin *twin_find(struct broker *b, const char *text)
{
    struct twin *t = lookup(b, text);
    if (t == NULL || !in_window(t) || !too_old(b, t))
        return t;
    leave_window(b, t);
    bool lives = lives_by_its_job(t);
    if (!lives)
        twin_free(b, t);
    return lives ? t : NULL;
}

static int add(struct broker *b, const char *text, uint64_t id, mono_t put_at, struct twin **ret_twin)
{
    size_t bytes = strlen(text);
    struct twin *t = calloc(1, sizeof *t + bytes + 1);
    if (t == NULL)
        return PEN_ENOMEM;
    memcpy(t->text, text, bytes + 1);
    t->id = id;
    t->put_at = put_at;
    list_init(&t->age);
    hash_insert(&b->twins, &t->node, hash_of(&b->twins, text, bytes));
    if (b->limits.dedupe_window.ns > 0) {
        list_push_back(&b->window, &t->age);
        b->window_count++;
    }
    *ret_twin = t;
    return 0;
}

int twin_new(struct broker *b, struct job_ext *ext, uint64_t id, mono_t put_at)
{
    struct twin *t;
    if (b->limits.dedupe_window.ns == 0 && !ext->coalesce)
        return 0;
    int r = add(b, ext->dedupe, id, put_at, &t);
    if (r < 0)
        return r;
    t->coalesce = ext->coalesce;
    t->job = ext;
    ext->twin = t;
    trim(b);
    return 0;
}

void twin_release(struct broker *b, struct job_ext *ext)
{
    struct twin *t = ext->twin;
    if (t == NULL)
        return;
    ext->twin = NULL;
    t->job = NULL;
    free_if_over(b, t);
}

void twin_cancel(struct broker *b, struct job_ext *ext)
{
    if (ext->twin != NULL)
        twin_free(b, ext->twin);
}

int twin_restore(struct broker *b, const char *text, uint64_t id, mono_t put_at)
{
    struct twin *t;
    if (b->limits.dedupe_window.ns == 0 || twin_find(b, text) != NULL)
        return 0;
    int r = add(b, text, id, put_at, &t);
    if (r == 0)
        trim(b);
    return r;
}

void twins_init(struct broker *b)
{
    hash_init(&b->twins, b->options.seed);
    list_init(&b->window);
}

void twins_fini(struct broker *b)
{
    HASH_EACH(n, &b->twins)
    free(CONTAINER_OF(n, struct twin, node));
    hash_fini(&b->twins);
}
