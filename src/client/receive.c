/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving. With on_message the loop decodes; without, whole messages cross in a bounded queue, whose end stops the
 * reading, and the thread that receives decodes them where they lie.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/client.h"

enum { INBOUND_BYTES = 64, INBOX_ITEMS = 65536 };

/* ---- what a message says ---- */

static bool is_wanted(char *const *topics, struct batch_text topic)
{
    if (topics == NULL)
        return true;
    for (; *topics != NULL; topics++) {
        size_t n = strlen(*topics);
        if (n <= topic.bytes && (n == 0 || memcmp(topic.at, *topics, n) == 0))
            return true;
    }
    return false;
}

/* The next record that is wanted; false: there are no more. */
static bool next_record(struct pen_client *c, struct batch_reader *r,
                        struct pen_received *ret_message)
{
    while (batch_reader_next(r)) {
        const struct batch_attrs *a = &r->record.attrs;
        if (!is_wanted(c->topics, a->topic))
            continue;
        *ret_message = (struct pen_received){ .body = r->record.body,
                                              .bytes = r->record.body_bytes,
                                              .topic = a->topic.at,
                                              .topic_bytes = a->topic.bytes,
                                              .id = a->id,
                                              .stream = a->stream,
                                              .sequence = a->sequence };
        return true;
    }
    return false;
}

/* Begin with a message; false: it is not one of ours, and is counted. */
static bool begin_frame(struct pen_client *c, struct batch_reader *r, struct slice message)
{
    if (batch_reader_init(r, message.at, message.bytes) == 0 && r->kind == BATCH_RESULTS)
        return true;
    (void)count_add_shared(&c->malformed, 1);
    return false;
}

/* ---- on the loop ---- */

static void tell(struct pen_client *c, struct slice body) ON_LOOP
{
    struct pen_received message = { .body = body.at, .bytes = body.bytes };
    struct batch_reader r;
    if (c->options.framing == PEN_FRAMING_RAW) {
        c->options.on_message(c, &message, c->options.arg);
        return;
    }
    if (!begin_frame(c, &r, body))
        return;
    while (next_record(c, &r, &message))
        c->options.on_message(c, &message, c->options.arg);
}

static size_t tell_all(struct pen_client *c, struct frame *frames, size_t n) ON_LOOP
{
    size_t k = 0;
    for (; k < n && !c->paused && !c->closing; k++) {
        tell(c, frames[k].body);
        slice_release(&frames[k].body);
    }
    return k;
}

/* ---- through the inbox ---- */

static void destroy_inbound(void *ptr, void *arg)
{
    (void)arg;
    slice_release(ptr);
    free(ptr);
}

/* The messages as items, up to max; fewer when there is no memory. */
static size_t make_items(const struct frame *frames, struct pen_item *items, size_t n)
{
    size_t k = 0;
    for (; k < n; k++) {
        struct slice *copy = malloc(sizeof *copy);
        if (copy == NULL)
            break;
        *copy = frames[k].body;
        items[k] = (struct pen_item){ .ptr = copy, .bytes = copy->bytes + INBOUND_BYTES };
    }
    return k;
}

/* What finds the inbox full is kept by the endpoint; what finds no memory or is larger than the inbox is dropped. */
static size_t put_all(struct pen_client *c, struct frame *frames, size_t n) ON_LOOP
{
    struct pen_item items[LIMIT_BATCH_ITEMS];
    size_t made = make_items(frames, items, n);
    int r = made > 0 ? pen_putter_put(c->putter, items, made) : PEN_ENOMEM;
    size_t taken = r < 0 ? 0 : (size_t)r;
    for (size_t k = taken; k < made; k++)
        free(items[k].ptr);
    if (r >= 0)
        return taken;
    (void)count_add_shared(&c->malformed, 1);
    slice_release(&frames[0].body);
    return 1;
}

size_t receive_on_frames(struct pen_client *c, struct frame *frames, size_t n)
{
    size_t taken = 0;
    bool is_short = false;
    while (taken < n && !is_short) {
        size_t some = c->inbox == NULL ? tell_all(c, frames + taken, n - taken)
                                       : put_all(c, frames + taken, n - taken);
        is_short = some == 0;
        taken += some;
    }
    count_add(&c->received, taken);
    return taken;
}

static void on_inbox_room(struct pen_putter *putter, void *arg)
{
    (void)putter;
    struct pen_client *c = arg;
    loop_assert_here(c->loop);
    if (!c->paused && !c->closing)
        endpoint_resume(c->endpoint);
}

/* ---- the thread that receives ---- */

static bool is_read(const struct pen_client *c)
{
    return c->inbox != NULL;
}

static void let_go(struct pen_client *c)
{
    c->reading = false;
    slice_release(&c->held);
}

static int take_inbound(struct pen_client *c, pen_mono_t deadline)
{
    struct pen_item item;
    let_go(c);
    int r = pen_queue_get(c->inbox, &item, deadline);
    if (r < 0)
        return r == PEN_ESHUTDOWN ? PEN_ECLOSED : r;
    check(pen_queue_task_done(c->inbox, 1) == 0);
    c->held = *(struct slice *)item.ptr;
    free(item.ptr);
    c->reading = c->options.framing == PEN_FRAMING_BATCH && begin_frame(c, &c->reader, c->held);
    return 0;
}

int pen_client_receive(struct pen_client *c, pen_mono_t deadline, struct pen_received *ret_message)
{
    if (!is_read(c))
        return PEN_EINVAL;
    if (client_must_not_wait(deadline))
        return PEN_EWRONGTHREAD;
    while (!c->reading || !next_record(c, &c->reader, ret_message)) {
        int r = take_inbound(c, deadline);
        if (r < 0)
            return r;
        if (c->options.framing == PEN_FRAMING_RAW) {
            *ret_message = (struct pen_received){ .body = c->held.at, .bytes = c->held.bytes };
            return 0;
        }
    }
    return 0;
}

/* ---- making and ending ---- */

int receive_init(struct pen_client *c)
{
    struct pen_queue_options q = { .items_max = INBOX_ITEMS,
                                   .bytes_max = c->options.bytes_max,
                                   .destroy = destroy_inbound };
    struct pen_putter_options p = { .on_room = on_inbox_room, .arg = c };
    if (c->options.on_message != NULL)
        return 0;
    int r = pen_queue_new(&q, &c->inbox);
    if (r == 0)
        r = pen_queue_attach_putter(c->inbox, c->loop, &p, &c->putter);
    return r;
}

void receive_close(struct pen_client *c, bool immediate)
{
    if (c->inbox != NULL)
        pen_queue_shutdown(c->inbox, immediate ? PEN_SHUTDOWN_IMMEDIATE : PEN_SHUTDOWN_GRACEFUL);
}

void receive_fini(struct pen_client *c)
{
    pen_putter_close(&c->putter);
    pen_queue_free(&c->inbox);
    let_go(c);
}
