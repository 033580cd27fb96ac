/* SPDX-License-Identifier: Apache-2.0
 *
 * Control requests: each operation, and what is refused.
 */
#include "proto/control.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int decode(const char *request, struct control_request *ret_request, char *text)
{
    return control_request_decode(request, strlen(request), ret_request, text,
                                  LIMIT_ERROR_TEXT_BYTES);
}

static const struct {
    const char *request;
    enum control_op op;
    const char *queue;
} accepted[] = {
    { "{\"op\":\"status\"}", CONTROL_STATUS, "" },
    { "{\"op\":\"queues\"}", CONTROL_QUEUES, "" },
    { "{\"op\":\"queues\",\"queue\":\"jobs\"}", CONTROL_QUEUES, "jobs" },
    { "{\"op\":\"drain\"}", CONTROL_DRAIN, "" },
    { "{\"op\":\"pause\",\"queue\":\"jobs\"}", CONTROL_PAUSE, "jobs" },
    { "{\"queue\":\"jobs\",\"op\":\"resume\"}", CONTROL_RESUME, "jobs" },
    { "{\"op\":\"purge\",\"queue\":\"j\"}", CONTROL_PURGE, "j" },
    { "{\"op\":\"shutdown\"}", CONTROL_SHUTDOWN, "" },
    { "{\"op\":\"tasks\"}", CONTROL_TASKS, "" },
};

START_TEST(requests)
{
    struct control_request request;
    char text[LIMIT_ERROR_TEXT_BYTES] = "";
    ck_assert_int_eq(decode(accepted[_i].request, &request, text), 0);
    ck_assert_int_eq(request.op, accepted[_i].op);
    ck_assert_str_eq(request.queue, accepted[_i].queue);
    ck_assert_msg(strstr(accepted[_i].request, control_op_word(request.op)) != NULL,
                  "the word is another");
}
END_TEST

static const struct {
    const char *request;
    int error;
    const char *reason;
} refused[] = {
    { "", PEN_EPROTO, "line 1" },
    { "[\"status\"]", PEN_EPROTO, "not an object" },
    { "{}", PEN_EPROTO, "\"op\" is missing" },
    { "{\"op\":\"restart\"}", PEN_EPROTO, "unknown operation \"restart\"" },
    { "{\"op\":7}", PEN_EPROTO, "\"op\" is not a string" },
    { "{\"op\":\"status\",\"queue\":\"jobs\"}", PEN_EPROTO, "\"status\" takes no member \"queue\"" },
    { "{\"op\":\"pause\"}", PEN_EPROTO, "\"pause\" needs a member \"queue\"" },
    { "{\"op\":\"purge\",\"queue\":\"\"}", PEN_EPROTO, "\"queue\" is empty" },
    { "{\"op\":\"purge\",\"queue\":5}", PEN_EPROTO, "\"queue\" is not a string" },
    { "{\"op\":\"status\",\"verbose\":true}", PEN_EPROTO, "unknown member \"verbose\"" },
    { "{\"op\":\"purge\",\"queue\":\"1234567890123456789012345678901234567890123456789012345678901234\"}",
      PEN_ETOOBIG, "longer than 63 bytes" },
};

START_TEST(refusals)
{
    struct control_request request = { .queue = "untouched" };
    char text[LIMIT_ERROR_TEXT_BYTES] = "";
    ck_assert_int_eq(decode(refused[_i].request, &request, text), refused[_i].error);
    ck_assert_msg(strstr(text, refused[_i].reason) != NULL, "\"%s\" does not say \"%s\"", text,
                  refused[_i].reason);
    ck_assert_str_eq(request.queue, "untouched");
}
END_TEST

START_TEST(ok)
{
    struct slice s;
    ck_assert_int_eq(control_ok_encode(&s), 0);
    ck_assert_uint_eq(s.bytes, strlen("{\"ok\":true}"));
    ck_assert_mem_eq(s.at, "{\"ok\":true}", s.bytes);
    slice_release(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tcase = tcase_create("requests");
    tcase_add_loop_test(tcase, requests, 0, sizeof accepted / sizeof accepted[0]);
    tcase_add_loop_test(tcase, refusals, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(tcase, ok);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
