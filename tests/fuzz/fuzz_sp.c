/* SPDX-License-Identifier: Apache-2.0
 *
 * The SP decoder: the first byte chooses the carrier, the rest is a stream. It must be understood the same
 * whole, cut anywhere, and after it was encoded again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/sp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAYLOAD_MAX = 4096 };

static void try_hello(const uint8_t *data, size_t size)
{
    uint16_t protocol = 0;
    int whole = sp_hello_decode(data, size, &protocol);
    for (size_t n = 0; n <= size && n <= SP_HELLO_BYTES; n++) {
        uint16_t again;
        int r = sp_hello_decode(data, n, &again);
        check(whole >= 0 ? r == (n == SP_HELLO_BYTES ? SP_HELLO_BYTES : 0) : r <= 0);
    }
    if (whole > 0) {
        uint8_t encoded[SP_HELLO_BYTES];
        sp_hello_encode(protocol, encoded);
        check(memcmp(encoded, data, SP_HELLO_BYTES) == 0);
        check(sp_protocol_peer(sp_protocol_peer(protocol)) == protocol ||
              sp_protocol_peer(protocol) == 0);
    }
    check((unsigned)sp_garbage_kind(data, size) <= SP_GARBAGE_OTHER);
}

static void try_payload(const uint8_t *at, size_t bytes)
{
    int stack = sp_stack_decode(at, bytes);
    if (stack < 0)
        return;
    check(stack > 0 && (size_t)stack <= bytes && stack % SP_ID_BYTES == 0);
    check(stack <= SP_HOPS_MAX * SP_ID_BYTES);
    for (int i = 0; i < stack; i += SP_ID_BYTES) {
        uint8_t id[SP_ID_BYTES];
        sp_id_put(sp_id_get(at + i), id);
        check(memcmp(id, at + i, sizeof id) == 0);
        check((id[0] >> 7) == (i + SP_ID_BYTES == stack));
    }
}

static void try_stream(enum sp_carrier carrier, const uint8_t *at, size_t bytes)
{
    size_t head = sp_head_bytes(carrier);
    for (;;) {
        uint64_t payload = UINT64_MAX;
        int r = sp_head_decode(carrier, at, bytes, PAYLOAD_MAX, &payload);
        for (size_t n = 0; n < head && n <= bytes; n++) {
            uint64_t unused;
            int cut = sp_head_decode(carrier, at, n, PAYLOAD_MAX, &unused);
            check(cut == 0 || (cut == PEN_EPROTO && r == PEN_EPROTO));
        }
        if (r <= 0) {
            check(payload == UINT64_MAX);
            return;
        }
        check((size_t)r == head && payload <= PAYLOAD_MAX);
        uint8_t encoded[SP_HEAD_BYTES_MAX];
        check(sp_head_encode(carrier, payload, encoded) == head);
        check(memcmp(encoded, at, head) == 0);
        if (payload > bytes - head)
            return;
        try_payload(at + head, (size_t)payload);
        at += head + payload;
        bytes -= head + (size_t)payload;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum sp_carrier carrier = data[0] % 2 == 0 ? SP_CARRIER_TCP : SP_CARRIER_IPC;
    data++;
    size--;
    try_hello(data, size);
    try_payload(data, size);
    try_stream(carrier, data, size);
    if (size > SP_HELLO_BYTES)
        try_stream(carrier, data + SP_HELLO_BYTES, size - SP_HELLO_BYTES);
    return 0;
}
