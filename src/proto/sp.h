/* SPDX-License-Identifier: Apache-2.0
 *
 * The Scalability Protocols as they stand on the wire of tcp and ipc: bytes in, frames out, without
 * copying and without memory of its own. Pure.
 *
 *   hello   both sides, at once     00 'S' 'P' 00 | protocol, u16 | 00 00
 *   tcp     each message            length, u64 | payload
 *   ipc     each message            01 | length, u64 | payload
 *
 * All numbers are big-endian. A request or a survey begins with a stack of u32 ids, one for each hop,
 * the last of which has its highest bit set; an answer carries the same stack back. Everything else is
 * payload. Whoever reads keeps the bytes: each call looks at what is there from the front, and says how
 * much of it is understood.
 */
#ifndef PROTO_SP_H
#define PROTO_SP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/route.h"

enum sp_protocol {
    SP_PROTOCOL_PAIR = 0x10,
    SP_PROTOCOL_PUB = 0x20,
    SP_PROTOCOL_SUB = 0x21,
    SP_PROTOCOL_REQ = 0x30,
    SP_PROTOCOL_REP = 0x31,
    SP_PROTOCOL_PUSH = 0x50,
    SP_PROTOCOL_PULL = 0x51,
    SP_PROTOCOL_SURVEYOR = 0x62,
    SP_PROTOCOL_RESPONDENT = 0x63,
    SP_PROTOCOL_BUS = 0x70,
};

enum sp_carrier { SP_CARRIER_TCP, SP_CARRIER_IPC };

enum {
    SP_HELLO_BYTES = 8,
    SP_HEAD_BYTES_MAX = 9, /* before a message's payload: 8 on tcp, 9 on ipc */
    SP_ID_BYTES = 4,
    SP_HOPS_MAX = 15, /* ids of a stack */
};

/* The protocol that stands at the other end, 0 when the number is none of ours. */
uint16_t sp_protocol_peer(uint16_t protocol);
/* "push", or "unknown". */
const char *sp_protocol_word(uint16_t protocol);

/* ---- hello ---- */

void sp_hello_encode(uint16_t protocol, uint8_t to[SP_HELLO_BYTES]);

/* SP_HELLO_BYTES when it is whole; 0 when it is right so far and more must come; PEN_EPROTO at the first byte that
 * is wrong. */
int sp_hello_decode(const uint8_t *at, size_t bytes, uint16_t *ret_protocol) MUST_CHECK;

/* What it is that came where a hello was expected, as far as its beginning tells. */
enum sp_garbage { SP_GARBAGE_HTTP, SP_GARBAGE_TLS, SP_GARBAGE_OTHER };
enum sp_garbage sp_garbage_kind(const uint8_t *at, size_t bytes);

/* ---- messages ---- */

/* Bytes before the payload. */
size_t sp_head_bytes(enum sp_carrier carrier);

/* Returns sp_head_bytes(). */
size_t sp_head_encode(enum sp_carrier carrier, uint64_t payload_bytes, uint8_t to[SP_HEAD_BYTES_MAX]);

/* sp_head_bytes() when the head is whole, 0 when more must come, PEN_EPROTO for an ipc message of another type,
 * PEN_ETOOBIG for a payload above payload_max. */
int sp_head_decode(enum sp_carrier carrier, const uint8_t *at, size_t bytes, uint64_t payload_max,
                   uint64_t *ret_payload_bytes) MUST_CHECK;

/* ---- stacks of ids ---- */

/* The bytes of the stack at the front of a request, a survey or an answer. PEN_EPROTO when it does not end within the
 * message, or within SP_HOPS_MAX ids. */
int sp_stack_decode(const uint8_t *at, size_t bytes) MUST_CHECK;

/* An id as it stands on the wire; the raw form of a message has the receiving side's own number for the connection before
 * its stack, without the highest bit. */
uint32_t sp_id_get(const uint8_t at[SP_ID_BYTES]);
void sp_id_put(uint32_t id, uint8_t to[SP_ID_BYTES]);

/* The stack of a request or survey that begins here: id alone, below 2^31. */
void sp_request_route(uint32_t id, struct route *ret_route);
/* And the id that an answer to it brings back. PEN_EPROTO when it is no such stack. */
int sp_request_id(const struct route *route, uint32_t *ret_id) MUST_CHECK;

#endif
