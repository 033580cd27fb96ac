/* SPDX-License-Identifier: Apache-2.0
 *
 * Control requests. One table says which operation takes a queue's name. Pure; any thread.
 */
#include "proto/control.h"

#include <string.h>

#include "base/check.h"
#include "proto/json_value.h"

enum needs { NO_QUEUE, MAY_QUEUE, MUST_QUEUE };

static const struct {
    const char *word;
    enum needs queue;
} ops[] = {
    [CONTROL_STATUS] = { "status", NO_QUEUE },     [CONTROL_QUEUES] = { "queues", MAY_QUEUE },
    [CONTROL_DRAIN] = { "drain", NO_QUEUE },       [CONTROL_PAUSE] = { "pause", MUST_QUEUE },
    [CONTROL_RESUME] = { "resume", MUST_QUEUE },   [CONTROL_PURGE] = { "purge", MUST_QUEUE },
    [CONTROL_SHUTDOWN] = { "shutdown", NO_QUEUE }, [CONTROL_TASKS] = { "tasks", NO_QUEUE },
};

enum { OPS = sizeof ops / sizeof ops[0] };

const char *control_op_word(enum control_op op)
{
    check((size_t)op < OPS);
    return ops[op].word;
}

static int op_take(json_t *object, enum control_op *ret_op, const struct reason *why)
{
    const char *word;
    int r = json_member_text(object, "op", &word, why);
    if (r < 0)
        return r;
    if (word == NULL)
        return reason_say(why, "member \"op\" is missing");
    for (size_t i = 0; i < OPS; i++) {
        if (strcmp(ops[i].word, word) == 0) {
            *ret_op = (enum control_op)i;
            return 0;
        }
    }
    return reason_say(why, "unknown operation \"%.64s\"", word);
}

static int queue_take(json_t *object, struct control_request *request, const struct reason *why)
{
    const char *word = ops[request->op].word, *queue;
    int r = json_member_text(object, "queue", &queue, why);
    if (r < 0)
        return r;
    if (queue == NULL)
        return ops[request->op].queue == MUST_QUEUE
                   ? reason_say(why, "\"%s\" needs a member \"queue\"", word)
                   : 0;
    if (ops[request->op].queue == NO_QUEUE)
        return reason_say(why, "\"%s\" takes no member \"queue\"", word);
    size_t bytes = strlen(queue);
    if (bytes == 0)
        return reason_say(why, "member \"queue\" is empty");
    if (bytes > LIMIT_NAME_BYTES) {
        (void)reason_say(why, "member \"queue\" is longer than %d bytes", LIMIT_NAME_BYTES);
        return PEN_ETOOBIG;
    }
    memcpy(request->queue, queue, bytes + 1);
    return 0;
}

int control_request_decode(const void *data, size_t bytes, struct control_request *ret_request,
                           char *text, size_t size)
{
    static const char *const members[] = { "op", "queue", NULL };
    const struct reason why = { .text = text, .size = size };
    json_t *object;
    int r = json_object_load(data, bytes, &object, &why);
    if (r < 0)
        return r;
    struct control_request request = { 0 };
    r = json_members_check(object, members, &why);
    if (r == 0)
        r = op_take(object, &request.op, &why);
    if (r == 0)
        r = queue_take(object, &request, &why);
    json_decref(object);
    if (r == 0)
        *ret_request = request;
    return r;
}

int control_ok_encode(struct slice *ret_slice)
{
    return json_to_slice(json_pack("{s:b}", "ok", 1), ret_slice);
}
