/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow/topic.c.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "flow/topic.h"

/* Templates with queue "jobs" and consumer "work", and the topic of message 17 with key "k". */
static const struct {
    const char *template_text, *text, *topic;
    bool varies;
} templates[] = {
    { NULL, "", "", false },
    { "", "", "", false },
    { "squares", "squares", "squares", false },
    { "{queue}", "jobs", "jobs", false },
    { "a.{queue}.{consumer}.b", "a.jobs.work.b", "a.jobs.work.b", false },
    { "{queue}{queue}", "jobsjobs", "jobsjobs", false },
    { "{id}", "{id}", "17", true },
    { "{key}", "{key}", "k", true },
    { "{queue}/{id}/{key}", "jobs/{id}/{key}", "jobs/17/k", true },
    { "{id}.{queue}", "{id}.jobs", "17.jobs", true },
    { "{", "{", "{", false },
    { "}", "}", "}", false },
    { "a{queue", "a{queue", "a{queue", false },
    { "a}{queue}", "a}jobs", "a}jobs", false },
    { "{id}{", "{id}{", "17{", true },
};

START_TEST(templates_and_topics)
{
    struct topic t;
    char text[LIMIT_TOPIC_BYTES + 1];
    ck_assert_int_eq(topic_init(&t, templates[_i].template_text, "jobs", "work"), 0);
    ck_assert_str_eq(t.text, templates[_i].text);
    ck_assert(t.varies == templates[_i].varies);
    ck_assert_uint_eq(topic_fill(&t, 17, "k", text), strlen(templates[_i].topic));
    ck_assert_str_eq(text, templates[_i].topic);
}
END_TEST

static const char *const unknown[] = { "{}", "{ID}", "{ id}", "{a{id}", "x{queues}", "{id}{what}" };

START_TEST(unknown_placeholders)
{
    struct topic t;
    ck_assert_int_eq(topic_init(&t, unknown[_i], "jobs", "work"), PEN_EINVAL);
}
END_TEST

START_TEST(no_key)
{
    struct topic t;
    char text[LIMIT_TOPIC_BYTES + 1];
    ck_assert_int_eq(topic_init(&t, "a.{key}.b", "jobs", "work"), 0);
    ck_assert_uint_eq(topic_fill(&t, 1, NULL, text), 4);
    ck_assert_str_eq(text, "a..b");
}
END_TEST

/* What a key brings is text, whatever it looks like. */
START_TEST(a_key_is_not_a_template)
{
    struct topic t;
    char text[LIMIT_TOPIC_BYTES + 1];
    ck_assert_int_eq(topic_init(&t, "{key}", "jobs", "work"), 0);
    (void)topic_fill(&t, 1, "{id}{", text);
    ck_assert_str_eq(text, "{id}{");
}
END_TEST

START_TEST(the_largest_id)
{
    struct topic t;
    char text[LIMIT_TOPIC_BYTES + 1];
    ck_assert_int_eq(topic_init(&t, "{id}", "jobs", "work"), 0);
    ck_assert_uint_eq(topic_fill(&t, UINT64_MAX, NULL, text), 20);
    ck_assert_str_eq(text, "18446744073709551615");
}
END_TEST

START_TEST(at_the_limit_and_beyond)
{
    struct topic t;
    char from[LIMIT_TOPIC_BYTES + 2], text[LIMIT_TOPIC_BYTES + 1];
    memset(from, 'a', sizeof from);
    from[LIMIT_TOPIC_BYTES + 1] = '\0';
    ck_assert_int_eq(topic_init(&t, from, "jobs", "work"), PEN_ETOOBIG);
    from[LIMIT_TOPIC_BYTES] = '\0';
    ck_assert_int_eq(topic_init(&t, from, "jobs", "work"), 0);
    ck_assert_uint_eq(topic_fill(&t, 1, NULL, text), LIMIT_TOPIC_BYTES);
    ck_assert_str_eq(text, from);
    memcpy(from, "{queue}", 7);
    ck_assert_int_eq(topic_init(&t, from, "a queue with a name longer than that", "work"),
                     PEN_ETOOBIG);
}
END_TEST

START_TEST(a_topic_that_is_too_long_is_cut)
{
    struct topic t;
    char key[LIMIT_KEY_BYTES + 1], text[LIMIT_TOPIC_BYTES + 1];
    memset(key, 'k', sizeof key);
    key[LIMIT_KEY_BYTES] = '\0';
    ck_assert_int_eq(topic_init(&t, "{queue}.{key}.{id}", "jobs", "work"), 0);
    ck_assert_uint_eq(topic_fill(&t, 1, key, text), LIMIT_TOPIC_BYTES);
    ck_assert_uint_eq(strlen(text), LIMIT_TOPIC_BYTES);
    ck_assert_int_eq(strncmp(text, "jobs.kkk", 8), 0);
    ck_assert_int_eq(text[LIMIT_TOPIC_BYTES - 1], 'k');
}
END_TEST

int main(void)
{
    Suite *s = suite_create("topic");
    TCase *c = tcase_create("topic");
    tcase_add_loop_test(c, templates_and_topics, 0, sizeof templates / sizeof templates[0]);
    tcase_add_loop_test(c, unknown_placeholders, 0, sizeof unknown / sizeof unknown[0]);
    tcase_add_test(c, no_key);
    tcase_add_test(c, a_key_is_not_a_template);
    tcase_add_test(c, the_largest_id);
    tcase_add_test(c, at_the_limit_and_beyond);
    tcase_add_test(c, a_topic_that_is_too_long_is_cut);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
