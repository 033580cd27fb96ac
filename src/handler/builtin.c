/* SPDX-License-Identifier: Apache-2.0
 *
 * The handlers that are built in: pass, sum_squares, sleep.
 *
 * pass and sum_squares end every work within handler_submit(). Sleepers all sleep equally long, so
 * they wake in the order they came in: a list and one timer for its head serve any number of them.
 *
 * Thread: the consumer's loop.
 */
#include <stdio.h>

#include "base/check.h"
#include "handler/kind.h"

struct builtin {
    struct handler handler;
    /* owner: loop */
    struct list sleepers; /* of struct work, the first to wake first */
    struct pen_timer timer;
    struct slice_credit credit; /* of the batch that is being submitted */
};

static size_t builtin_bytes(const struct conf_handler *conf)
{
    return sizeof(struct builtin);
}

static int builtin_open(struct handler *h)
{
    list_init(&((struct builtin *)h)->sleepers);
    return 0;
}

/* ---- sum_squares ---- */

__extension__ typedef unsigned __int128 sum_t;

/* The sum of i*i for i < n is below n^3/3, which for this n is far below 2^128. */
#define SUM_SQUARES_N_MAX 1000000000000u

enum { SUM_DIGITS_MAX = 39 }; /* of 2^128 */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space may stand around the digits. Returns NULL, or what is wrong. */
static const char *parse_n(struct slice body, uint64_t *ret_n)
{
    static const char not_a_number[] = "the payload is not a decimal number";
    const uint8_t *at = body.at, *end = body.at + body.bytes;
    while (at < end && is_space(*at))
        at++;
    while (at < end && is_space(end[-1]))
        end--;
    if (at == end)
        return not_a_number;
    uint64_t n = 0;
    bool too_large = false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return not_a_number;
        n = n * 10 + (uint64_t)(*at - '0');
        too_large = too_large || n > SUM_SQUARES_N_MAX;
        if (too_large)
            n = SUM_SQUARES_N_MAX; /* Go on: what is no number should be called that. */
    }
    if (too_large)
        return "the number is larger than 1000000000000";
    *ret_n = n;
    return NULL;
}

/* This is here to be work, so the compiler must not find the closed form: to it, i may be
 * anything after each round. */
static sum_t sum_squares(uint64_t n)
{
    sum_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t opaque = i;
        __asm__ volatile("" : "+r"(opaque));
        sum += (sum_t)opaque * opaque;
    }
    return sum;
}

/* Returns the first digit; the text ends at the array's end. */
static const char *format_sum(sum_t sum, char digits[SUM_DIGITS_MAX])
{
    char *at = digits + SUM_DIGITS_MAX;
    do {
        *--at = (char)('0' + (int)(sum % 10));
        sum /= 10;
    } while (sum > 0);
    return at;
}

static void submit_sum_squares(struct handler *h, struct work *work)
{
    uint64_t n;
    const char *wrong = parse_n(work->body, &n);
    if (wrong != NULL) {
        handler_fail(h, work, PEN_EHANDLER, wrong);
        return;
    }
    char digits[SUM_DIGITS_MAX];
    const char *text = format_sum(sum_squares(n), digits);
    struct slice result;
    if (slice_copy(text, (size_t)(digits + SUM_DIGITS_MAX - text), &result) < 0)
        handler_fail(h, work, PEN_ENOMEM, pen_strerror(PEN_ENOMEM));
    else
        handler_finish(h, work, result);
}

/* ---- sleep ---- */

static struct work *first_sleeper(struct builtin *b)
{
    return list_empty(&b->sleepers) ? NULL
                                    : CONTAINER_OF(b->sleepers.next, struct work, request.node);
}

static mono_t wakes_at(const struct builtin *b, const struct work *work)
{
    return mono_after(work->started, b->handler.conf->time);
}

static void on_timer(struct pen_loop *loop, void *arg, int status);

/* Set the timer to the first sleeper; those for whom there is no memory to wait fail. */
static void arm_first(struct builtin *b)
{
    struct work *work;
    while ((work = first_sleeper(b)) != NULL) {
        if (pen_loop_call_at(b->handler.loop, &b->timer, wakes_at(b, work), on_timer, b) == 0)
            return;
        list_remove(&work->request.node);
        handler_fail(&b->handler, work, PEN_ENOMEM, pen_strerror(PEN_ENOMEM));
    }
}

/* One batch at most in a turn, so that the sockets are not starved; for the rest the timer is
 * due at once. */
static void on_timer(struct pen_loop *loop, void *arg, int status)
{
    struct builtin *b = arg;
    if (status < 0) /* The loop is being freed. */
        return;
    mono_t now = pen_loop_now(loop);
    unsigned left = LIMIT_BATCH_ITEMS;
    struct work *work;
    handler_enter(&b->handler);
    while (left-- > 0 && (work = first_sleeper(b)) != NULL && !mono_before(now, wakes_at(b, work))) {
        list_remove(&work->request.node);
        handler_finish(&b->handler, work, slice_ref(work->body));
    }
    arm_first(b);
    handler_leave(&b->handler);
}

static void submit_sleep(struct builtin *b, struct work *work)
{
    bool first = list_empty(&b->sleepers);
    list_push_back(&b->sleepers, &work->request.node);
    if (first)
        arm_first(b);
}

/* ---- the kind ---- */

static unsigned builtin_room(const struct handler *h)
{
    unsigned left = LIMIT_SLEEPERS - (h->in_hand < LIMIT_SLEEPERS ? h->in_hand : LIMIT_SLEEPERS);
    if (h->conf->builtin == BUILTIN_SLEEP && left < LIMIT_BATCH_ITEMS)
        return left;
    return LIMIT_BATCH_ITEMS;
}

static void builtin_submit(struct handler *h, struct work *work)
{
    switch (h->conf->builtin) {
    case BUILTIN_PASS:
        handler_finish(h, work, slice_ref_on_credit(&((struct builtin *)h)->credit, work->body));
        break;
    case BUILTIN_SUM_SQUARES:
        submit_sum_squares(h, work);
        break;
    case BUILTIN_SLEEP:
        submit_sleep((struct builtin *)h, work);
        break;
    case BUILTIN_NONE:
        check(!"a builtin handler has a builtin");
    }
}

static void builtin_submitted(struct handler *h)
{
    slice_credit_end(&((struct builtin *)h)->credit);
}

static void builtin_close(struct handler *h, bool immediate)
{
    struct builtin *b = (struct builtin *)h;
    struct list *node;
    if (!immediate)
        return;
    pen_timer_cancel(&b->timer);
    while ((node = list_take_front(&b->sleepers)) != NULL)
        handler_fail(h, CONTAINER_OF(node, struct work, request.node), PEN_ECANCELED,
                     "the handler was closed");
}

static bool builtin_ended(const struct handler *h)
{
    return true; /* In_hand, which the front knows, is all there is. */
}

static void builtin_free(struct handler *h)
{
    pen_timer_cancel(&((struct builtin *)h)->timer);
}

const struct handler_kind builtin_kind = {
    .bytes = builtin_bytes,
    .open = builtin_open,
    .room = builtin_room,
    .submit = builtin_submit,
    .submitted = builtin_submitted,
    .close = builtin_close,
    .ended = builtin_ended,
    .free = builtin_free,
};
