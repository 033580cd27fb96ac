/* SPDX-License-Identifier: Apache-2.0
 *
 * The exec handler: conf->processes co-processes per consumer thread, which run as long as the
 * daemon does and are given one message after the other. This file hands out the work; coproc.c
 * drives one process.
 *
 * One message is in a process's hands at a time. A larger window would save a wake-up per message,
 * but when the process then crashes, hangs or answers nonsense, nobody could tell which message it
 * was, nor which of the others it had already begun; so a mistake costs exactly the message that
 * caused it. What a window would bring is had by more processes.
 *
 * Thread: the consumer's loop.
 */
#include "base/check.h"
#include "handler/coproc.h"
#include "plat/clock.h"

static size_t exec_bytes(const struct conf_handler *conf)
{
    return sizeof(struct exec) + conf->processes * sizeof(struct coproc);
}

static void exec_free(struct handler *h)
{
    struct exec *x = (struct exec *)h;
    for (unsigned i = 0; i < x->count; i++)
        coproc_fini(&x->coprocs[i]);
}

static int exec_open(struct handler *h)
{
    struct exec *x = (struct exec *)h;
    list_init(&x->idle);
    list_init(&x->waiting);
    x->count = (unsigned)h->conf->processes;
    x->down_count = x->count;
    x->jitter = (uint64_t)clock_mono().ns;
    for (unsigned i = 0; i < x->count; i++)
        coproc_init(&x->coprocs[i], x);
    for (unsigned i = 0; i < x->count; i++) {
        int r = coproc_start(&x->coprocs[i]);
        if (r < 0) {
            exec_free(h);
            return r;
        }
    }
    return 0;
}

static unsigned exec_room(const struct handler *h)
{
    const struct exec *x = (const struct exec *)h;
    return x->idle_count > x->waiting_count ? x->idle_count - x->waiting_count : 0;
}

static void give_to_idle(struct exec *x, struct work *work)
{
    check(!list_empty(&x->idle));
    coproc_give(CONTAINER_OF(x->idle.next, struct coproc, idle_node), work);
}

static struct work *take_waiting(struct exec *x)
{
    x->waiting_count--;
    return CONTAINER_OF(list_take_front(&x->waiting), struct work, node);
}

void exec_hand_on(struct exec *x)
{
    while (x->waiting_count > 0 && x->idle_count > 0)
        give_to_idle(x, take_waiting(x));
    if (!x->closing || x->waiting_count > 0)
        return;
    for (unsigned i = 0; i < x->count; i++)
        coproc_close(&x->coprocs[i], false);
}

static void exec_submit(struct handler *h, struct work *work)
{
    struct exec *x = (struct exec *)h;
    const char *reason;
    int r = exec_request_check(h->conf->protocol, work->body.at, work->body.bytes, &reason);
    if (r < 0) {
        handler_fail(h, work, r, reason);
        return;
    }
    list_push_back(&x->waiting, &work->node); /* Behind those that have lost their process. */
    x->waiting_count++;
    exec_hand_on(x);
}

static void exec_close(struct handler *h, bool immediate)
{
    struct exec *x = (struct exec *)h;
    x->closing = true;
    for (unsigned i = 0; immediate && i < x->count; i++)
        coproc_close(&x->coprocs[i], true);
    while (immediate && x->waiting_count > 0)
        handler_fail(h, take_waiting(x), PEN_ECANCELED, "the handler was closed");
    exec_hand_on(x);
}

static bool exec_ended(const struct handler *h)
{
    const struct exec *x = (const struct exec *)h;
    return x->down_count == x->count;
}

const struct handler_kind exec_kind = {
    .bytes = exec_bytes,
    .open = exec_open,
    .room = exec_room,
    .submit = exec_submit,
    .close = exec_close,
    .ended = exec_ended,
    .free = exec_free,
};
