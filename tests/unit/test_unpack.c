/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch frame on its way into a queue: runs at their limit, records that are refused among others, frames that are, and
 * the receipts.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "flow/unpack.h"

enum { RECORDS = 5, SPACE = 4096 };

static struct unpack unpack;
static const struct unpack_options plain = { .queue = "jobs" };
static const struct unpack_options single = { .queue = "jobs", .single = true };
static const struct unpack_options answered = { .queue = "jobs", .receipts = true };

static struct slice frame_of(enum batch_kind kind, const struct batch_record *records, size_t n)
{
    uint8_t space[SPACE];
    struct batch_writer writer;
    struct slice frame;
    struct batch_head head = { .kind = kind, .tag = 7 };
    ck_assert_int_eq(batch_writer_init(&writer, space, sizeof space, &head), 0);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(batch_writer_add(&writer, &records[i]), 0);
    ck_assert_int_eq(slice_copy(space, writer.used, &frame), 0);
    return frame;
}

static struct slice numbered(struct batch_record records[RECORDS])
{
    static const uint8_t digits[RECORDS] = { '0', '1', '2', '3', '4' };
    for (size_t i = 0; i < RECORDS; i++)
        records[i] = (struct batch_record){ .body = &digits[i], .body_bytes = 1 };
    return frame_of(BATCH_PUT, records, RECORDS);
}

static void begin(const struct unpack_options *options, struct slice frame)
{
    const char *why = NULL;
    ck_assert_int_eq(unpack_begin(&unpack, options, frame, &why), 0);
}

/* Run, and look at the payloads. */
static int run(size_t max, const char *expected)
{
    struct job_put puts[RECORDS];
    int error;
    size_t n = unpack_run(&unpack, puts, max, &error);
    ck_assert_uint_eq(n, strlen(expected));
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(puts[i].body.at[0], expected[i]);
        slice_release(&puts[i].body);
        job_ext_free(puts[i].ext);
    }
    return error;
}

START_TEST(runs_at_their_limit_and_to_the_end)
{
    struct batch_record records[RECORDS];
    struct slice frame = numbered(records);
    begin(&plain, frame);
    ck_assert_int_eq(run(2, "01"), 0);
    ck_assert_int_eq(run(3, "234"), 0);
    ck_assert_int_eq(run(1, ""), 0);
    ck_assert_uint_eq(unpack_end(&unpack).bytes, 0);
    slice_release(&frame);
}
END_TEST

/* The payloads are the message's, which stays as long as one of them. */
START_TEST(a_put_outlives_its_message)
{
    struct batch_record records[RECORDS];
    struct slice frame = numbered(records);
    struct job_put puts[RECORDS];
    int error;
    begin(&plain, frame);
    ck_assert_uint_eq(unpack_run(&unpack, puts, RECORDS, &error), RECORDS);
    (void)unpack_end(&unpack);
    slice_release(&frame);
    for (size_t i = 0; i < RECORDS; i++) {
        ck_assert_int_eq(puts[i].body.at[0], '0' + (int)i);
        slice_release(&puts[i].body);
    }
}
END_TEST

static const struct {
    struct batch_record record;
    int error;
} refused[] = {
    { { .attrs = { .set = BATCH_BIT(QUEUE), .queue = { "job", 3 } } }, PEN_ENOENT },
    { { .attrs = { .set = BATCH_BIT(ID), .id = 1 } }, PEN_EPROTO },
    { { .status = PEN_EFULL }, PEN_EPROTO },
};

/* One in the middle is refused; those before and behind it are not. */
START_TEST(a_refused_record_divides_a_run)
{
    struct batch_record records[RECORDS];
    struct slice good = numbered(records);
    records[2] = refused[_i].record;
    struct slice frame = frame_of(BATCH_PUT, records, RECORDS);
    begin(&plain, frame);
    ck_assert_int_eq(run(RECORDS, "01"), refused[_i].error);
    ck_assert_int_eq(run(RECORDS, "34"), 0);
    (void)unpack_end(&unpack);
    slice_release(&frame);
    slice_release(&good);
}
END_TEST

static void is_no_frame_for(const struct unpack_options *options, struct slice frame)
{
    const char *why = NULL;
    ck_assert_int_eq(unpack_begin(&unpack, options, frame, &why), PEN_EPROTO);
    ck_assert_ptr_nonnull(why);
    ck_assert(!unpack.open);
    slice_release(&frame);
}

START_TEST(frames_that_are_refused)
{
    struct batch_record records[RECORDS];
    struct slice one = numbered(records);
    slice_release(&one);
    is_no_frame_for(&plain, frame_of(BATCH_RESULTS, records, 1));
    ck_assert_uint_eq(unpack.reader.tag, 7);
    is_no_frame_for(&single, frame_of(BATCH_PUT, records, 0));
    is_no_frame_for(&single, frame_of(BATCH_PUT, records, 2));
    one = frame_of(BATCH_PUT, records, 1);
    begin(&single, one);
    ck_assert_int_eq(run(RECORDS, "0"), 0);
    (void)unpack_end(&unpack);
    one.bytes--;
    is_no_frame_for(&plain, one);
}
END_TEST

/* There is room for as many as there are records, each with its id. */
START_TEST(a_receipt_for_each_record)
{
    struct batch_record records[RECORDS];
    struct slice frame = numbered(records);
    struct batch_reader reader;
    begin(&answered, frame);
    ck_assert_int_eq(run(RECORDS, "01234"), 0);
    for (uint64_t i = 0; i < RECORDS; i++)
        unpack_receipt(&unpack, i == 3 ? PEN_EFULL : 0, i == 3 ? 0 : UINT64_MAX - i);
    struct slice answer = unpack_end(&unpack);
    ck_assert_int_eq(batch_reader_init(&reader, answer.at, answer.bytes), 0);
    ck_assert_int_eq(reader.kind, BATCH_RECEIPTS);
    ck_assert_uint_eq(reader.tag, 7);
    for (uint64_t i = 0; i < RECORDS; i++) {
        ck_assert(batch_reader_next(&reader));
        ck_assert_int_eq(reader.record.status, i == 3 ? PEN_EFULL : 0);
        ck_assert_int_eq(batch_has(&reader.record.attrs, ID), i != 3);
        if (i != 3)
            ck_assert_uint_eq(reader.record.attrs.id, UINT64_MAX - i);
    }
    ck_assert(!batch_reader_next(&reader));
    slice_release(&answer);
    slice_release(&frame);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unpack");
    TCase *c = tcase_create("unpack");
    tcase_add_test(c, runs_at_their_limit_and_to_the_end);
    tcase_add_test(c, a_put_outlives_its_message);
    tcase_add_loop_test(c, a_refused_record_divides_a_run, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(c, frames_that_are_refused);
    tcase_add_test(c, a_receipt_for_each_record);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
