/* SPDX-License-Identifier: Apache-2.0
 *
 * See sp.h. Nothing here believes a length: it is compared before anything is computed from it.
 */
#include "proto/sp.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"

enum { IPC_MESSAGE = 1 };

static const uint32_t last_id = UINT32_C(1) << 31;

static const struct {
    uint16_t protocol, peer;
    const char *word;
} protocols[] = {
    { SP_PROTOCOL_PAIR, SP_PROTOCOL_PAIR, "pair" },
    { SP_PROTOCOL_PUB, SP_PROTOCOL_SUB, "pub" },
    { SP_PROTOCOL_SUB, SP_PROTOCOL_PUB, "sub" },
    { SP_PROTOCOL_REQ, SP_PROTOCOL_REP, "req" },
    { SP_PROTOCOL_REP, SP_PROTOCOL_REQ, "rep" },
    { SP_PROTOCOL_PUSH, SP_PROTOCOL_PULL, "push" },
    { SP_PROTOCOL_PULL, SP_PROTOCOL_PUSH, "pull" },
    { SP_PROTOCOL_SURVEYOR, SP_PROTOCOL_RESPONDENT, "surveyor" },
    { SP_PROTOCOL_RESPONDENT, SP_PROTOCOL_SURVEYOR, "respondent" },
    { SP_PROTOCOL_BUS, SP_PROTOCOL_BUS, "bus" },
};
enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

uint16_t sp_protocol_peer(uint16_t protocol)
{
    for (size_t i = 0; i < PROTOCOLS; i++)
        if (protocols[i].protocol == protocol)
            return protocols[i].peer;
    return 0;
}

const char *sp_protocol_word(uint16_t protocol)
{
    for (size_t i = 0; i < PROTOCOLS; i++)
        if (protocols[i].protocol == protocol)
            return protocols[i].word;
    return "unknown";
}

/* ---- hello ---- */

void sp_hello_encode(uint16_t protocol, uint8_t to[SP_HELLO_BYTES])
{
    memcpy(to, "\0SP", 4);
    to[4] = (uint8_t)(protocol >> 8);
    to[5] = (uint8_t)protocol;
    to[6] = to[7] = 0;
}

int sp_hello_decode(const uint8_t *at, size_t bytes, uint16_t *ret_protocol)
{
    uint8_t right[SP_HELLO_BYTES];
    size_t there = bytes < SP_HELLO_BYTES ? bytes : SP_HELLO_BYTES;
    uint16_t protocol = there >= 6 ? (uint16_t)(at[4] << 8 | at[5]) : 0;
    sp_hello_encode(protocol, right);
    if (there > 4) /* Any protocol is right here; who may talk to whom is not the hello's matter. */
        memcpy(right + 4, at + 4, there < 6 ? there - 4 : 2);
    if (there > 0 && memcmp(at, right, there) != 0)
        return PEN_EPROTO;
    if (there < SP_HELLO_BYTES)
        return 0;
    *ret_protocol = protocol;
    return SP_HELLO_BYTES;
}

static bool begins(const uint8_t *at, size_t bytes, const char *with)
{
    size_t n = strlen(with);
    return bytes >= n && memcmp(at, with, n) == 0;
}

enum sp_garbage sp_garbage_kind(const uint8_t *at, size_t bytes)
{
    static const char *const methods[] = { "GET ",    "POST ",   "HEAD ",    "PUT ",
                                           "DELETE ", "PATCH ",  "OPTIONS ", "CONNECT ",
                                           "TRACE ",  "HTTP/1.", "PRI * " };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (begins(at, bytes, methods[i]))
            return SP_GARBAGE_HTTP;
    /* A record of the handshake, of any version from SSL 3.0 on. */
    return begins(at, bytes, "\x16\x03") ? SP_GARBAGE_TLS : SP_GARBAGE_OTHER;
}

/* ---- messages ---- */

size_t sp_head_bytes(enum sp_carrier carrier)
{
    return carrier == SP_CARRIER_IPC ? 9 : 8;
}

size_t sp_head_encode(enum sp_carrier carrier, uint64_t payload_bytes, uint8_t to[SP_HEAD_BYTES_MAX])
{
    size_t at = 0;
    if (carrier == SP_CARRIER_IPC)
        to[at++] = IPC_MESSAGE;
    uint64_t wire = htobe64(payload_bytes);
    memcpy(to + at, &wire, sizeof wire);
    return at + sizeof wire;
}

int sp_head_decode(enum sp_carrier carrier, const uint8_t *at, size_t bytes, uint64_t payload_max,
                   uint64_t *ret_payload_bytes)
{
    size_t head = sp_head_bytes(carrier);
    uint64_t payload;
    if (carrier == SP_CARRIER_IPC && bytes > 0 && at[0] != IPC_MESSAGE)
        return PEN_EPROTO;
    if (bytes < head)
        return 0;
    memcpy(&payload, at + head - sizeof payload, sizeof payload);
    payload = be64toh(payload);
    if (payload > payload_max)
        return PEN_ETOOBIG;
    *ret_payload_bytes = payload;
    return (int)head;
}

/* ---- stacks of ids ---- */

int sp_stack_decode(const uint8_t *at, size_t bytes)
{
    for (size_t hop = 1; hop <= SP_HOPS_MAX && hop * SP_ID_BYTES <= bytes; hop++)
        if ((sp_id_get(at + (hop - 1) * SP_ID_BYTES) & last_id) != 0)
            return (int)(hop * SP_ID_BYTES);
    return PEN_EPROTO;
}

uint32_t sp_id_get(const uint8_t at[SP_ID_BYTES])
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void sp_id_put(uint32_t id, uint8_t to[SP_ID_BYTES])
{
    for (int i = 0; i < SP_ID_BYTES; i++)
        to[i] = (uint8_t)(id >> (24 - 8 * i));
}

void sp_request_route(uint32_t id, struct route *ret_route)
{
    check((id & last_id) == 0);
    ret_route->bytes = SP_ID_BYTES;
    sp_id_put(id | last_id, ret_route->at);
}

int sp_request_id(const struct route *route, uint32_t *ret_id)
{
    if (route->bytes != SP_ID_BYTES || (sp_id_get(route->at) & last_id) == 0)
        return PEN_EPROTO;
    *ret_id = sp_id_get(route->at) & ~last_id;
    return 0;
}
