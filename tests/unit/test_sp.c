/* SPDX-License-Identifier: Apache-2.0
 *
 * The SP codec: vectors of the wire, each cut at every byte.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/sp.h"

enum { PAYLOAD_MAX = 1000 };

static const uint16_t all[] = { 0x10, 0x20, 0x21, 0x30, 0x31, 0x50, 0x51, 0x62, 0x63, 0x70 };
enum { ALL = sizeof all / sizeof all[0] };

START_TEST(who_talks_to_whom)
{
    static const uint16_t pairs[][2] = {
        { 0x10, 0x10 }, { 0x20, 0x21 }, { 0x30, 0x31 },
        { 0x50, 0x51 }, { 0x62, 0x63 }, { 0x70, 0x70 },
    };
    for (unsigned p = 0; p <= UINT16_MAX; p++) {
        uint16_t expected = 0;
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
            if (pairs[i][0] == p)
                expected = pairs[i][1];
            else if (pairs[i][1] == p)
                expected = pairs[i][0];
        }
        ck_assert_uint_eq(sp_protocol_peer((uint16_t)p), expected);
        ck_assert_int_eq(strcmp(sp_protocol_word((uint16_t)p), "unknown") == 0, expected == 0);
    }
}
END_TEST

START_TEST(hello_at_every_split)
{
    for (size_t i = 0; i < ALL; i++) {
        uint8_t hello[SP_HELLO_BYTES + 1] = { [SP_HELLO_BYTES] = 'x' };
        uint16_t protocol = 7;
        sp_hello_encode(all[i], hello);
        ck_assert_mem_eq(hello, "\0SP\0\0", 5);
        ck_assert_uint_eq(hello[5], all[i]);
        for (size_t n = 0; n < SP_HELLO_BYTES; n++)
            ck_assert_int_eq(sp_hello_decode(hello, n, &protocol), 0);
        ck_assert_uint_eq(protocol, 7);
        ck_assert_int_eq(sp_hello_decode(hello, sizeof hello, &protocol), SP_HELLO_BYTES);
        ck_assert_uint_eq(protocol, all[i]);
    }
}
END_TEST

/* Each byte but the protocol's two is refused as soon as it is wrong, and not before. */
START_TEST(hello_wrong_at_each_byte)
{
    for (size_t wrong = 0; wrong < SP_HELLO_BYTES; wrong++) {
        uint8_t hello[SP_HELLO_BYTES];
        uint16_t protocol;
        sp_hello_encode(SP_PROTOCOL_PUSH, hello);
        hello[wrong] ^= 0x40;
        bool free_choice = wrong == 4 || wrong == 5;
        ck_assert_int_eq(sp_hello_decode(hello, wrong, &protocol), 0);
        for (size_t n = wrong + 1; n <= SP_HELLO_BYTES; n++)
            ck_assert_int_eq(sp_hello_decode(hello, n, &protocol),
                             !free_choice ? PEN_EPROTO : (n == SP_HELLO_BYTES ? SP_HELLO_BYTES : 0));
    }
}
END_TEST

START_TEST(garbage)
{
    static const struct {
        const char *bytes;
        enum sp_garbage kind;
    } cases[] = {
        { "GET / HTTP/1.1", SP_GARBAGE_HTTP }, { "POST /x", SP_GARBAGE_HTTP },
        { "HEAD / ", SP_GARBAGE_HTTP },        { "PRI * HTTP/2.0", SP_GARBAGE_HTTP },
        { "GETS", SP_GARBAGE_OTHER },          { "GE", SP_GARBAGE_OTHER },
        { "\x16\x03\x01", SP_GARBAGE_TLS },    { "\x16\x03", SP_GARBAGE_TLS },
        { "\x16", SP_GARBAGE_OTHER },          { "", SP_GARBAGE_OTHER },
        { "SSH-2.0", SP_GARBAGE_OTHER },       { "\xff\x01", SP_GARBAGE_OTHER },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_int_eq(sp_garbage_kind((const uint8_t *)cases[i].bytes, strlen(cases[i].bytes)),
                         cases[i].kind);
}
END_TEST

static const struct {
    enum sp_carrier carrier;
    uint64_t payload;
    const char *wire;
} heads[] = {
    { SP_CARRIER_TCP, 0, "\0\0\0\0\0\0\0\0" },
    { SP_CARRIER_TCP, 5, "\0\0\0\0\0\0\0\5" },
    { SP_CARRIER_TCP, 1000, "\0\0\0\0\0\0\3\xe8" },
    { SP_CARRIER_IPC, 0, "\1\0\0\0\0\0\0\0\0" },
    { SP_CARRIER_IPC, 258, "\1\0\0\0\0\0\0\1\2" },
    { SP_CARRIER_TCP, UINT64_C(0x0102030405060708), "\1\2\3\4\5\6\7\10" },
    { SP_CARRIER_IPC, UINT64_MAX, "\1\xff\xff\xff\xff\xff\xff\xff\xff" },
};

START_TEST(heads_at_every_split)
{
    uint8_t encoded[SP_HEAD_BYTES_MAX];
    uint64_t payload = 77;
    const uint8_t *wire = (const uint8_t *)heads[_i].wire;
    size_t head = sp_head_bytes(heads[_i].carrier);
    ck_assert_uint_eq(head, heads[_i].carrier == SP_CARRIER_TCP ? 8 : 9);
    ck_assert_uint_eq(sp_head_encode(heads[_i].carrier, heads[_i].payload, encoded), head);
    ck_assert_mem_eq(encoded, wire, head);
    for (size_t n = 0; n < head; n++)
        ck_assert_int_eq(sp_head_decode(heads[_i].carrier, wire, n, UINT64_MAX, &payload), 0);
    ck_assert_uint_eq(payload, 77);
    ck_assert_int_eq(sp_head_decode(heads[_i].carrier, wire, head, UINT64_MAX, &payload), (int)head);
    ck_assert_uint_eq(payload, heads[_i].payload);
}
END_TEST

START_TEST(payload_at_the_limit_and_one_beyond)
{
    for (int carrier = SP_CARRIER_TCP; carrier <= SP_CARRIER_IPC; carrier++) {
        uint8_t head[SP_HEAD_BYTES_MAX];
        uint64_t payload = 77;
        size_t n = sp_head_encode((enum sp_carrier)carrier, PAYLOAD_MAX + 1, head);
        ck_assert_int_eq(sp_head_decode((enum sp_carrier)carrier, head, n, PAYLOAD_MAX, &payload),
                         PEN_ETOOBIG);
        ck_assert_uint_eq(payload, 77);
        n = sp_head_encode((enum sp_carrier)carrier, PAYLOAD_MAX, head);
        ck_assert_int_eq(sp_head_decode((enum sp_carrier)carrier, head, n, PAYLOAD_MAX, &payload),
                         (int)n);
        ck_assert_uint_eq(payload, PAYLOAD_MAX);
    }
}
END_TEST

/* Every first byte of an ipc message but one, at once. */
START_TEST(ipc_types)
{
    uint8_t head[SP_HEAD_BYTES_MAX] = { 0 };
    uint64_t payload;
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        head[0] = (uint8_t)type;
        ck_assert_int_eq(sp_head_decode(SP_CARRIER_IPC, head, 1, PAYLOAD_MAX, &payload),
                         type == 1 ? 0 : PEN_EPROTO);
        ck_assert_int_eq(sp_head_decode(SP_CARRIER_IPC, head, 9, PAYLOAD_MAX, &payload),
                         type == 1 ? 9 : PEN_EPROTO);
    }
}
END_TEST

/* Stacks of 1 to 15 ids, cut everywhere, with a body behind, and one id too many. */
START_TEST(stacks)
{
    uint8_t bytes[(SP_HOPS_MAX + 2) * SP_ID_BYTES];
    for (size_t hops = 1; hops <= SP_HOPS_MAX + 1; hops++) {
        memset(bytes, 0xff, sizeof bytes);
        for (size_t i = 0; i < hops; i++)
            sp_id_put((uint32_t)i + (i + 1 == hops ? 0x80000000u : 0x7fffff00u),
                      bytes + i * SP_ID_BYTES);
        for (size_t n = 0; n < hops * SP_ID_BYTES; n++)
            ck_assert_int_eq(sp_stack_decode(bytes, n), PEN_EPROTO);
        int expected = hops <= SP_HOPS_MAX ? (int)(hops * SP_ID_BYTES) : PEN_EPROTO;
        ck_assert_int_eq(sp_stack_decode(bytes, hops * SP_ID_BYTES), expected);
        ck_assert_int_eq(sp_stack_decode(bytes, sizeof bytes), expected);
        ck_assert_uint_eq(sp_id_get(bytes + (hops - 1) * SP_ID_BYTES),
                          0x80000000u + (uint32_t)hops - 1);
    }
}
END_TEST

START_TEST(requests)
{
    static const uint32_t ids[] = { 0, 1, 0x12345678, 0x7fffffff };
    struct route route;
    uint32_t got = 0;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        sp_request_route(ids[i], &route);
        ck_assert_int_eq(sp_stack_decode(route.at, route.bytes), SP_ID_BYTES);
        ck_assert_int_eq(sp_request_id(&route, &got), 0);
        ck_assert_uint_eq(got, ids[i]);
    }
    route.bytes = 0;
    ck_assert_int_eq(sp_request_id(&route, &got), PEN_EPROTO);
    route.bytes = 2 * SP_ID_BYTES; /* It began elsewhere. */
    ck_assert_int_eq(sp_request_id(&route, &got), PEN_EPROTO);
    route.bytes = SP_ID_BYTES;
    route.at[0] = 0;
    ck_assert_int_eq(sp_request_id(&route, &got), PEN_EPROTO);
    ck_assert_uint_eq(got, 0x7fffffff);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sp");
    TCase *t = tcase_create("hello");
    suite_add_tcase(suite, t);
    tcase_add_test(t, who_talks_to_whom);
    tcase_add_test(t, hello_at_every_split);
    tcase_add_test(t, hello_wrong_at_each_byte);
    tcase_add_test(t, garbage);
    t = tcase_create("messages");
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, heads_at_every_split, 0, sizeof heads / sizeof heads[0]);
    tcase_add_test(t, payload_at_the_limit_and_one_beyond);
    tcase_add_test(t, ipc_types);
    tcase_add_test(t, stacks);
    tcase_add_test(t, requests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
