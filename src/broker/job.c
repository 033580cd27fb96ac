/* SPDX-License-Identifier: Apache-2.0
 *
 * The rare attributes of jobs, and the words for states and reasons.
 */
#include "broker/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

int job_ext_new(struct job_ext **ret_ext)
{
    struct job_ext *ext = calloc(1, sizeof *ext);
    if (ext == NULL)
        return PEN_ENOMEM;
    ext->expiry.place = HEAP_NOWHERE;
    *ret_ext = ext;
    return 0;
}

void job_ext_free(struct job_ext *ext)
{
    if (ext == NULL)
        return;
    slice_release(&ext->headers);
    free(ext->key);
    free(ext->dedupe);
    free(ext->reply_to);
    free(ext->error_text);
    free(ext->failed_by);
    free(ext->progress);
    free(ext->died_in);
    free(ext);
}

/* Give *text memory of its own. */
static int own(char **text)
{
    if (*text == NULL)
        return 0;
    *text = strdup(*text);
    return *text != NULL ? 0 : PEN_ENOMEM;
}

/* All of them, so that the copy owns each or has NULL. */
static int own_all(struct job_ext *copy)
{
    char **texts[] = { &copy->key,       &copy->dedupe,   &copy->reply_to, &copy->error_text,
                       &copy->failed_by, &copy->progress, &copy->died_in };
    int r = 0;
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        if (own(texts[k]) < 0)
            r = PEN_ENOMEM;
    return r;
}

int job_ext_copy(const struct job_ext *ext, struct job_ext **ret_copy)
{
    struct job_ext *copy;
    int r = job_ext_new(&copy);
    if (r < 0)
        return r;
    *copy = *ext;
    copy->expiry = (struct wait){ .place = HEAP_NOWHERE };
    copy->lane = NULL;
    copy->twin = NULL;
    copy->headers = slice_ref(ext->headers);
    r = own_all(copy);
    if (r < 0) {
        job_ext_free(copy);
        return r;
    }
    *ret_copy = copy;
    return 0;
}

void job_ext_forgive(struct job_ext *ext)
{
    free(ext->error_text);
    free(ext->failed_by);
    free(ext->progress);
    free(ext->died_in);
    ext->error_text = ext->failed_by = ext->progress = ext->died_in = NULL;
    ext->put_at = ext->first_failed_at = ext->last_failed_at = (mono_t){ 0 };
    ext->crashes = ext->died_after = 0;
    ext->error = 0;
}

static size_t text_bytes(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

uint64_t job_bytes(const struct slice *body, const struct job_ext *ext)
{
    uint64_t sum = body->bytes;
    if (ext != NULL)
        sum += sizeof *ext + ext->headers.bytes + text_bytes(ext->key) + text_bytes(ext->dedupe) +
               text_bytes(ext->reply_to) + text_bytes(ext->error_text) +
               text_bytes(ext->failed_by) + text_bytes(ext->progress) + text_bytes(ext->died_in);
    return sum;
}

const char *job_state_word(enum job_state state)
{
    static const char *const words[JOB_STATES] = { "free",   "ready",  "held",  "delayed",
                                                   "leased", "buried", "dying", "dropped" };
    return words[state];
}

const char *drop_reason_word(enum drop_reason reason)
{
    static const char *const words[DROP_REASONS + 1] = { "oldest", "newest",   "lowest", "purged",
                                                         "failed", "shutdown", "expired" };
    return words[reason];
}
