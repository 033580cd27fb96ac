/* SPDX-License-Identifier: Apache-2.0
 *
 * The packer at its limits: the size of a frame, the payload that is copied and the one that is not, and that what is refused
 * changes nothing.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "flow/packer.h"

enum { COPIED_MAX = 4096, PAYLOAD = 1001, SPACE = 2 * PACKER_BYTES_MAX };

static const struct batch_head results = { .kind = BATCH_RESULTS };
static struct packer packer;

static struct slice payload_of(size_t bytes)
{
    struct slice s;
    uint8_t *to;
    ck_assert_int_eq(slice_new(bytes, &s, &to), 0);
    memset(to, 'p', bytes);
    return s;
}

/* The payload is released when it is refused. */
static int add(size_t bytes)
{
    struct slice body = payload_of(bytes);
    struct batch_record record = { .body = body.at, .body_bytes = body.bytes };
    int r = packer_add(&packer, &results, &record, &body);
    ck_assert_uint_eq(body.bytes, r == 0 ? 0 : bytes);
    slice_release(&body);
    return r;
}

/* Take the frame and read it; how many records it has. */
static uint32_t take(size_t frame_max, size_t last_bytes)
{
    static uint8_t space[SPACE];
    struct slice frame, last;
    struct batch_reader reader;
    uint32_t count = 0;
    packer_take(&packer, &frame, &last);
    ck_assert(packer_is_empty(&packer));
    ck_assert_uint_le(frame.bytes, frame_max);
    ck_assert_uint_eq(last.bytes, last_bytes);
    memcpy(space, frame.at, frame.bytes);
    if (last.bytes > 0)
        memcpy(space + frame.bytes, last.at, last.bytes);
    ck_assert_int_eq(batch_reader_init(&reader, space, frame.bytes + last.bytes), 0);
    for (; batch_reader_next(&reader); count++)
        ck_assert_int_eq(reader.record.body[reader.record.body_bytes - 1], 'p');
    slice_release(&frame);
    slice_release(&last);
    return count;
}

/* What is asked for is brought into its bounds, and a frame is as long as it may be and no longer. */
START_TEST(frames_end_at_their_limit)
{
    static const size_t asked[] = { 0, PACKER_BYTES_MIN, PACKER_BYTES_MAX, SIZE_MAX };
    static const size_t given[] = { PACKER_BYTES_MIN, PACKER_BYTES_MIN, PACKER_BYTES_MAX,
                                    PACKER_BYTES_MAX };
    packer_init(&packer, asked[_i]);
    ck_assert_uint_eq(packer.frame_max, given[_i]);
    size_t record = BATCH_RECORD_BYTES + PAYLOAD, room = given[_i] - BATCH_HEAD_BYTES;
    for (size_t i = 0; i < room / record; i++)
        ck_assert_int_eq(add(PAYLOAD), 0);
    size_t rest = room % record - BATCH_RECORD_BYTES;
    ck_assert_int_eq(add(rest + 1), PEN_EFULL);
    ck_assert_int_eq(add(rest), 0);
    ck_assert_int_eq(add(1), PEN_EFULL);
    ck_assert_uint_eq(take(given[_i], 0), room / record + 1);
    packer_fini(&packer);
}
END_TEST

/* The largest payload that is copied, and one byte more, which ends its frame. */
START_TEST(a_large_payload_ends_its_frame)
{
    packer_init(&packer, PACKER_BYTES_MAX);
    ck_assert_int_eq(add(COPIED_MAX), 0);
    ck_assert_int_eq(add(COPIED_MAX + 1), PEN_EFULL);
    ck_assert_int_eq(add(1), 0);
    ck_assert_uint_eq(take(PACKER_BYTES_MAX, 0), 2);
    ck_assert_int_eq(add(COPIED_MAX + 1), 0);
    ck_assert_int_eq(add(1), PEN_EFULL);
    ck_assert_uint_eq(take(PACKER_BYTES_MAX, COPIED_MAX + 1), 1);
    packer_fini(&packer);
}
END_TEST

START_TEST(a_frame_that_nobody_takes_is_released)
{
    packer_init(&packer, PACKER_BYTES_MAX);
    ck_assert_int_eq(add(COPIED_MAX * 2), 0);
    packer_fini(&packer);
    packer_init(&packer, PACKER_BYTES_MAX);
    ck_assert_int_eq(add(1), 0);
    packer_fini(&packer);
}
END_TEST

/* Of a first record and of a later one. */
START_TEST(a_record_that_cannot_be_written_changes_nothing)
{
    struct batch_record bad = { .status = 1 };
    struct slice none = { 0 };
    packer_init(&packer, PACKER_BYTES_MIN);
    ck_assert_int_eq(packer_add(&packer, &results, &bad, &none), PEN_EINVAL);
    ck_assert(packer_is_empty(&packer));
    ck_assert_int_eq(add(1), 0);
    ck_assert_int_eq(packer_add(&packer, &results, &bad, &none), PEN_EINVAL);
    ck_assert_int_eq(add(1), 0);
    ck_assert_uint_eq(take(PACKER_BYTES_MIN, 0), 2);
    packer_fini(&packer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packer");
    TCase *c = tcase_create("packer");
    tcase_add_loop_test(c, frames_end_at_their_limit, 0, 4);
    tcase_add_test(c, a_large_payload_ends_its_frame);
    tcase_add_test(c, a_frame_that_nobody_takes_is_released);
    tcase_add_test(c, a_record_that_cannot_be_written_changes_nothing);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
