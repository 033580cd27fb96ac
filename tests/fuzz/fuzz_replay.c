/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two ends of a publisher's log read: requests, and results as they are published and answered. What is taken keeps the
 * limits; a subscriber hands over ascending numbers only, and asks for what comes next.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "proto/reliable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t stream, next;
};

static void on_result(uint64_t stream, const struct published_result *result, void *arg)
{
    struct seen *seen = arg;
    check(stream != seen->stream || result->sequence >= seen->next);
    check(result->body_bytes == 0 || result->body != NULL);
    *seen = (struct seen){ stream, result->sequence + 1 };
}

static void on_gone(const struct reliable_gone *gone, void *arg)
{
    struct seen *seen = arg;
    check(gone->ended || gone->first <= gone->last);
    check(gone->stream != seen->stream || gone->first >= seen->next);
    if (!gone->ended)
        *seen = (struct seen){ gone->stream, gone->last + 1 };
}

static void on_ask(const struct replay_request *request, void *arg)
{
    uint8_t space[REPLAY_REQUEST_BYTES];
    size_t bytes;
    (void)arg;
    check(replay_request_encode(request, space, sizeof space, &bytes) == 0);
}

static void subscribe(const uint8_t *data, size_t size)
{
    static const struct reliable_events events = { on_result, on_gone, on_ask };
    static struct reliable r;
    struct seen seen = { 0 };
    struct reliable_options options = { .events = &events, .arg = &seen, .from = 1 };
    char why[LIMIT_ERROR_TEXT_BYTES];
    reliable_init(&r, &options, (mono_t){ 0 });
    for (int i = 0; i < 3; i++) { /* What has come once may come again. */
        struct slice message = { 0 };
        check(slice_copy(data, size, &message) == 0);
        int code = reliable_take(&r, &message, (mono_t){ i }, why, sizeof why);
        check(code == 0 || strlen(why) > 0);
        slice_release(&message);
    }
    reliable_fini(&r);
}

static void request(const uint8_t *data, size_t size)
{
    struct replay_request q;
    char why[LIMIT_ERROR_TEXT_BYTES];
    int code = replay_request_decode(data, size, &q, why, sizeof why);
    if (code < 0) {
        check(strlen(why) > 0);
        return;
    }
    check(q.prefixes_count <= LIMIT_TOPICS_PER_ENDPOINT);
    for (size_t i = 0; i < q.prefixes_count; i++)
        check(q.prefixes[i].bytes <= LIMIT_TOPIC_BYTES && replay_wants(&q, q.prefixes[i]));
    replay_request_fini(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    request(data, size);
    subscribe(data, size);
    return 0;
}
