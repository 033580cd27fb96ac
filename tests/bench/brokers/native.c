/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that speaks SP over TCP by itself, as penstock's own does: many frames in a write, and what was read is
 * parsed in place. Its receivers pull, or subscribe to everything; its questions are answered by the broker.
 */
#include "wire.h"

#include <endian.h>
#include <stdlib.h>

enum { HELLO_BYTES = 8, HEAD_BYTES = 8, ID_BYTES = 4 };

struct link {
    struct wire *wire;
    size_t id_bytes; /* before the payload of a question and of its answer */
    uint8_t *out;
};

static uint8_t protocol_of(enum role role)
{
    static const uint8_t protocols[] = {
        [SENDS] = 0x50, [PUBLISHES] = 0x50, [RECEIVES] = 0x51, [SUBSCRIBES] = 0x21, [ASKS] = 0x30
    };
    return protocols[role];
}

static void *open_link(enum role role)
{
    struct link *l = must_allocate(sizeof *l);
    uint8_t hello[HELLO_BYTES] = { 0, 'S', 'P', 0, 0, protocol_of(role), 0, 0 };
    l->wire = wire_connect(role == RECEIVES || role == SUBSCRIBES ? load.out : load.in);
    l->id_bytes = role == ASKS ? ID_BYTES : 0;
    l->out = must_allocate(load.batch * (HEAD_BYTES + ID_BYTES + load.bytes));
    wire_write(l->wire, hello, sizeof hello);
    wire_need(l->wire, HELLO_BYTES);
    if (memcmp(wire_at(l->wire), "\0SP", 4) != 0)
        die("native", "no SP at the other end");
    l->wire->begin += HELLO_BYTES;
    return l;
}

static void send_messages(void *arg, const uint8_t *messages, size_t n)
{
    struct link *l = arg;
    uint8_t *at = l->out;
    uint64_t head = htobe64(l->id_bytes + load.bytes);
    for (size_t i = 0; i < n; i++) {
        memcpy(at, &head, HEAD_BYTES);
        at += HEAD_BYTES;
        if (l->id_bytes != 0)
            memcpy(at, "\x80\0\0\1", ID_BYTES);
        at += l->id_bytes;
        memcpy(at, messages + i * load.bytes, load.bytes);
        at += load.bytes;
    }
    wire_write(l->wire, l->out, (size_t)(at - l->out));
}

static size_t frame_bytes(struct wire *w)
{
    uint64_t head;
    if (wire_there(w) < HEAD_BYTES)
        return 0;
    memcpy(&head, wire_at(w), HEAD_BYTES);
    head = be64toh(head);
    if (head > WIRE_BYTES - HEAD_BYTES)
        die("native", "a frame that is too large");
    return wire_there(w) < HEAD_BYTES + head ? 0 : HEAD_BYTES + (size_t)head;
}

static void receive_messages(void *arg)
{
    struct link *l = arg;
    struct wire *w = l->wire;
    size_t bytes;
    while ((bytes = frame_bytes(w)) == 0)
        wire_more(w);
    do {
        size_t before = HEAD_BYTES + l->id_bytes;
        load_came(wire_at(w) + before, bytes - before);
        w->begin += bytes;
    } while ((bytes = frame_bytes(w)) != 0);
}

const struct peer peers[] = {
    { .name = "native", .open = open_link, .send = send_messages, .receive = receive_messages },
    { .name = NULL },
};
