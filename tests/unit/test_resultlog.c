/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow/resultlog.c: against a list that keeps everything and says what should be left, with random messages and times from
 * the number of the test as seed; each bound at its limit and one beyond; and what is kept of buffers that are shared.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "flow/resultlog.h"
#include "../model/random.h"

enum { SEEDS = 40, STEPS = 3000, ENTRY = RESULTLOG_ENTRY_BYTES, FOR_EVER_S = 1000000 };

static mono_t at(int64_t ns)
{
    return (mono_t){ ns };
}

static struct slice text_of(const char *text)
{
    return (struct slice){ .at = (const uint8_t *)text, .bytes = strlen(text) };
}

static void add(struct resultlog *log, size_t bytes, uint32_t count, int64_t now)
{
    static const uint8_t zeros[1024];
    struct slice body = { .at = zeros, .bytes = bytes };
    resultlog_add(log, (struct slice){ 0 }, body, count, at(now));
}

/* ---- the list ---- */

struct message {
    uint64_t first, bytes;
    uint32_t count;
    int64_t at;
};

struct list {
    struct message all[STEPS];
    size_t n;
    uint64_t next;
};

/* The first message that the bounds leave, of all that there were: each bound is looked at by itself. */
static size_t first_left(const struct list *l, const struct resultlog *log, int64_t now)
{
    size_t i = l->n;
    uint64_t bytes = 0;
    while (i > 0) {
        const struct message *m = &l->all[i - 1];
        bytes += m->bytes + ENTRY;
        bool in_items = m->first + m->count + log->items_max > l->next;
        if (!in_items || bytes > log->bytes_max || m->at + log->age_max.ns < now)
            return i;
        i--;
    }
    return i;
}

static void compare(const struct list *l, const struct resultlog *log, size_t left)
{
    uint64_t oldest = left == l->n ? l->next : l->all[left].first;
    if (left < l->n && l->next - oldest > log->items_max)
        oldest = l->next - log->items_max;
    ck_assert_uint_eq(resultlog_oldest(log), oldest);
    ck_assert_uint_eq(resultlog_next(log), l->next);
    uint64_t bytes = 0;
    for (size_t i = left; i < l->n; i++)
        bytes += l->all[i].bytes + ENTRY;
    ck_assert_uint_eq(log->bytes, bytes);
    ck_assert_ptr_null(resultlog_find(log, oldest - 1));
    ck_assert_ptr_null(resultlog_find(log, l->next));
}

static void find_some(const struct list *l, const struct resultlog *log, size_t left,
                      uint64_t *random)
{
    if (left == l->n)
        return;
    const struct message *m = &l->all[left + random_below(random, l->n - left)];
    uint64_t sequence = m->first + random_below(random, m->count);
    const struct resultlog_entry *e = resultlog_find(log, sequence);
    if (sequence < resultlog_oldest(log)) {
        ck_assert_ptr_null(e);
        return;
    }
    ck_assert_ptr_nonnull(e);
    ck_assert_uint_eq(e->first, m->first);
    ck_assert_uint_eq(e->count, m->count);
    ck_assert_uint_eq(e->data.bytes, m->bytes);
}

START_TEST(as_a_list_would)
{
    static struct list l;
    uint64_t random = (uint64_t)_i;
    struct resultlog log;
    int64_t now = 0;
    l = (struct list){ .next = 1 };
    resultlog_init(&log, 1 + random_below(&random, 300), 1000 + random_below(&random, 20000),
                   (span_t){ (int64_t)random_below(&random, 1000) });
    while (l.n < STEPS) {
        /* Time stands or goes on a little, and rarely a lot. Most often a message comes then. */
        now += random_below(&random, 100) == 0 ? 600 : (int64_t)random_below(&random, 8);
        if (random_below(&random, 10) == 0) {
            resultlog_expire(&log, at(now));
        } else {
            struct message m = { .first = l.next,
                                 .bytes = random_below(&random, 500),
                                 .count = 1 + (uint32_t)random_below(&random, 20),
                                 .at = now };
            add(&log, m.bytes, m.count, now);
            l.all[l.n++] = m;
            l.next += m.count;
        }
        size_t left = first_left(&l, &log, now);
        compare(&l, &log, left);
        find_some(&l, &log, left, &random);
    }
    resultlog_fini(&log);
}
END_TEST

/* ---- bounds ---- */

START_TEST(as_many_results_as_may_be_and_one_more)
{
    struct resultlog log;
    resultlog_init(&log, 10, 100000, span_s(FOR_EVER_S));
    add(&log, 1, 6, 0);
    add(&log, 1, 4, 0);
    ck_assert_uint_eq(resultlog_oldest(&log), 1);
    add(&log, 1, 1, 0); /* One of the first six is one too many; the others can still be had. */
    ck_assert_uint_eq(resultlog_oldest(&log), 2);
    ck_assert_ptr_null(resultlog_find(&log, 1));
    ck_assert_uint_eq(resultlog_find(&log, 2)->first, 1);
    add(&log, 1, 5, 0);
    ck_assert_uint_eq(resultlog_oldest(&log), 7);
    ck_assert_uint_eq(log.bytes, 3 * (ENTRY + 1));
    resultlog_fini(&log);
}
END_TEST

START_TEST(as_many_bytes_as_may_be_and_one_more)
{
    struct resultlog log;
    resultlog_init(&log, 100, 3 * (ENTRY + 10), span_s(FOR_EVER_S));
    for (int i = 0; i < 3; i++)
        add(&log, 10, 1, 0);
    ck_assert_uint_eq(resultlog_oldest(&log), 1);
    add(&log, 10, 1, 0);
    ck_assert_uint_eq(resultlog_oldest(&log), 2);
    add(&log, 11, 1, 0);
    ck_assert_uint_eq(resultlog_oldest(&log), 4);
    add(&log, 3 * (ENTRY + 10) - ENTRY, 1, 0); /* All of it. */
    ck_assert_uint_eq(resultlog_oldest(&log), 6);
    add(&log, 3 * (ENTRY + 10) - ENTRY + 1, 1, 0); /* It is numbered, but cannot be kept. */
    ck_assert_uint_eq(resultlog_oldest(&log), 8);
    ck_assert_uint_eq(resultlog_next(&log), 8);
    ck_assert_uint_eq(log.bytes, 0);
    resultlog_fini(&log);
}
END_TEST

START_TEST(as_old_as_may_be_and_older)
{
    struct resultlog log;
    resultlog_init(&log, 100, 100000, (span_t){ 50 });
    ck_assert_int_eq(resultlog_due(&log).ns, PEN_NEVER.ns);
    add(&log, 1, 1, 7);
    add(&log, 1, 1, 8);
    ck_assert_int_eq(resultlog_due(&log).ns, 57);
    resultlog_expire(&log, at(57));
    ck_assert_uint_eq(resultlog_oldest(&log), 1);
    resultlog_expire(&log, at(58));
    ck_assert_uint_eq(resultlog_oldest(&log), 2);
    resultlog_expire(&log, at(59));
    ck_assert_uint_eq(resultlog_oldest(&log), 3);
    ck_assert_int_eq(resultlog_due(&log).ns, PEN_NEVER.ns);
    resultlog_fini(&log);
}
END_TEST

/* ---- what is kept ---- */

struct shared {
    struct blob blob;
    uint8_t bytes[64 * 1024];
    bool destroyed;
};

static void destroy_shared(struct blob *blob)
{
    ((struct shared *)blob)->destroyed = true;
}

/* Whether the buffer lives on when a message of so many bytes in it has been added, and its sender is done with it. */
static bool is_pinned(size_t bytes)
{
    static struct shared shared;
    struct resultlog log;
    shared.destroyed = false;
    blob_init(&shared.blob, 1, destroy_shared);
    struct slice s = { .blob = &shared.blob, .at = shared.bytes, .bytes = bytes };
    resultlog_init(&log, 100, 1 << 20, span_s(FOR_EVER_S));
    resultlog_add(&log, (struct slice){ 0 }, s, 1, at(0));
    resultlog_add(&log, s, (struct slice){ 0 }, 1, at(0));
    slice_release(&s);
    bool pinned = !shared.destroyed;
    resultlog_fini(&log);
    ck_assert(shared.destroyed);
    return pinned;
}

START_TEST(a_small_message_pins_no_buffer)
{
    ck_assert(!is_pinned(1));
    ck_assert(!is_pinned(RESULTLOG_KEEP_BYTES - 1));
    ck_assert(is_pinned(RESULTLOG_KEEP_BYTES));
}
END_TEST

START_TEST(two_pieces_become_one)
{
    struct resultlog log;
    resultlog_init(&log, 100, 100000, span_s(FOR_EVER_S));
    resultlog_add(&log, text_of("head"), text_of("body"), 1, at(0));
    const struct resultlog_entry *e = resultlog_find(&log, 1);
    ck_assert_uint_eq(e->data.bytes, 8);
    ck_assert_mem_eq(e->data.at, "headbody", 8);
    resultlog_fini(&log);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("resultlog");
    TCase *t = tcase_create("resultlog");
    tcase_add_loop_test(t, as_a_list_would, 0, SEEDS);
    tcase_add_test(t, as_many_results_as_may_be_and_one_more);
    tcase_add_test(t, as_many_bytes_as_may_be_and_one_more);
    tcase_add_test(t, as_old_as_may_be_and_older);
    tcase_add_test(t, a_small_message_pins_no_buffer);
    tcase_add_test(t, two_pieces_become_one);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
