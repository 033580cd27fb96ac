/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable store with its threads, on a real disk, and its parts one by one. What it does when power or the disk fails is in
 * tests/sim and tests/fault.
 */
#include "store/store.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/frame.h"
#include "store/index.h"

enum { THREADS = 4, PUTS = 2000, BODY_BYTES = 100, TIME_LIMIT_S = 120 };

static char path[64];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static struct store_news news;
static uint64_t news_count;
static struct store *store;

/* ---- fixture ---- */

static void set_up(void)
{
    memcpy(path, "/tmp/test_store.XXXXXX", sizeof "/tmp/test_store.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static void remove_one(void *arg, const char *name)
{
    ck_assert_int_eq(vfs_unlink(arg, name), 0);
}

static void tear_down(void)
{
    struct vfs_dir *dir;
    ck_assert_int_eq(vfs_open_dir(path, false, &dir), 0);
    ck_assert_int_eq(vfs_list(dir, remove_one, dir), 0);
    vfs_close_dir(&dir);
    ck_assert_int_eq(rmdir(path), 0);
}

static void on_news(void *arg, const struct store_news *n)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    news = *n;
    news_count++;
    pthread_cond_broadcast(&told);
    pthread_mutex_unlock(&lock);
}

/* Wait until the ticket is synced, or written. */
static void await(uint64_t ticket, bool synced)
{
    pthread_mutex_lock(&lock);
    while ((synced ? news.synced : news.written) < ticket)
        pthread_cond_wait(&told, &lock);
    pthread_mutex_unlock(&lock);
}

static uint64_t count, sum, last_id;

static int count_job(void *arg, const struct store_job *j)
{
    (void)arg;
    ck_assert_uint_gt(j->id, last_id);
    last_id = j->id;
    count++;
    sum += j->id;
    ck_assert_uint_eq(j->payload_bytes, BODY_BYTES);
    for (uint32_t i = 0; i < BODY_BYTES; i++)
        ck_assert_uint_eq(((const uint8_t *)j->payload)[i], (uint8_t)j->id);
    return 0;
}

static int try_open(enum store_sync sync, span_t interval, struct store **ret_store,
                    struct store_recovery *ret_recovery)
{
    static const struct store_keeper keeper = { .job = count_job };
    struct vfs_dir *dir;
    struct store_options options = { .name = "store",
                                     .sync = sync,
                                     .interval = interval,
                                     .segment_bytes = FORMAT_SEGMENT_BYTES_MIN,
                                     .disk_max = 64 << 20,
                                     .seed = 1,
                                     .on_news = on_news };
    ck_assert_int_eq(vfs_open_dir(path, true, &dir), 0);
    return store_open(dir, &options, &keeper, ret_store, ret_recovery);
}

static struct store_recovery open_store(enum store_sync sync)
{
    struct store_recovery r;
    count = sum = last_id = 0;
    news = (struct store_news){ 0 };
    ck_assert_int_eq(try_open(sync, span_ms(20), &store, &r), 0);
    return r;
}

static uint64_t put_one(uint64_t id)
{
    uint8_t body[BODY_BYTES];
    memset(body, (int)id, sizeof body);
    struct store_job j = { .id = id, .payload = body, .payload_bytes = sizeof body };
    for (;;) {
        uint64_t before = news_count;
        int r = store_reserve(store, 1, sizeof body);
        if (r == 0)
            return store_put(store, &j);
        ck_assert_int_eq(r, -EAGAIN);
        store_kick(store);
        /* Under the lock that ids are given out with. */
        while (news_count == before)
            pthread_cond_wait(&told, &lock);
    }
}

/* ---- with threads ---- */

static uint64_t next_id;

static void *put_and_wait(void *arg)
{
    for (int i = 0; i < PUTS; i++) {
        pthread_mutex_lock(&lock); /* The queue's, as it were. */
        uint64_t ticket = put_one(++next_id);
        pthread_mutex_unlock(&lock);
        store_kick(store);
        if (i % 50 == 0)
            await(ticket, true);
    }
    return arg;
}

START_TEST(many_share_a_sync)
{
    pthread_t threads[THREADS];
    struct store_stats s;
    next_id = 0;
    (void)open_store(STORE_SYNC_GROUP);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, put_and_wait, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    store_stats(store, &s);
    ck_assert_uint_eq(s.jobs, THREADS * PUTS);
    ck_assert_uint_lt(s.syncs, THREADS * PUTS / 2);
    ck_assert_int_eq(store_close(&store), 0);
    struct store_recovery r = open_store(STORE_SYNC_GROUP);
    ck_assert_uint_eq(count, THREADS * PUTS);
    ck_assert_uint_eq(sum, (uint64_t)THREADS * PUTS * (THREADS * PUTS + 1) / 2);
    ck_assert(r.orderly && r.jobs == count && r.last_id == last_id && r.torn_bytes == 0);
    ck_assert_int_eq(store_close(&store), 0);
}
END_TEST

/* Segments are let go of by a thread of its own, which may be behind: how many there are when it has caught up, or after many
 * more jobs. */
static uint32_t segments_left(uint64_t id)
{
    enum { MORE = 5000 };
    struct store_stats s;
    store_stats(store, &s);
    for (int i = 0; i < MORE && s.segments > STORE_SPACE_SEGMENTS + 2; i++, id++) {
        pthread_mutex_lock(&lock);
        uint64_t ticket = put_one(id);
        pthread_mutex_unlock(&lock);
        store_kick(store);
        await(ticket, true);
        store_end(store, id);
        store_stats(store, &s);
    }
    return s.segments;
}

/* A backlog that stays small while a lot goes through, and one job that stays for ever. */
START_TEST(old_segments_go)
{
    (void)open_store(STORE_SYNC_GROUP);
    uint64_t ticket = 0;
    for (uint64_t id = 1; id <= 20000; id++) {
        pthread_mutex_lock(&lock);
        ticket = put_one(id);
        pthread_mutex_unlock(&lock);
        if (id > 10)
            store_end(store, id - 9);
    }
    store_kick(store);
    await(ticket, true);
    ck_assert_int_eq(store_close(&store), 0);
    (void)open_store(STORE_SYNC_GROUP);
    ck_assert_uint_eq(count, 10);
    ck_assert_uint_eq(sum, 1 + 9 * 20000 - (8 * 9) / 2);
    ck_assert_uint_le(segments_left(20001), STORE_SPACE_SEGMENTS + 2);
    ck_assert_int_eq(store_close(&store), 0);
}
END_TEST

START_TEST(an_end_needs_no_kick)
{
    (void)open_store(STORE_SYNC_GROUP);
    pthread_mutex_lock(&lock);
    uint64_t ticket = put_one(1);
    pthread_mutex_unlock(&lock);
    store_kick(store);
    await(ticket, true);
    store_end(store, 1);
    await(ticket + 1, true);
    ck_assert_int_eq(store_close(&store), 0);
    (void)open_store(STORE_SYNC_GROUP);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(store_close(&store), 0);
}
END_TEST

START_TEST(levels)
{
    enum store_sync level = (enum store_sync)_i;
    (void)open_store(level);
    pthread_mutex_lock(&lock);
    uint64_t ticket = put_one(1);
    pthread_mutex_unlock(&lock);
    store_kick(store);
    await(ticket, level != STORE_SYNC_NONE);
    struct store_stats s;
    store_stats(store, &s);
    ck_assert_uint_eq(s.syncs, level != STORE_SYNC_NONE);
    ck_assert_uint_eq(s.news.written, ticket);
    ck_assert_int_eq(store_close(&store), 0);
}
END_TEST

START_TEST(two_at_a_time)
{
    struct store *other;
    struct store_recovery r;
    (void)open_store(STORE_SYNC_GROUP);
    ck_assert_int_eq(try_open(STORE_SYNC_GROUP, span_ms(0), &other, &r), PEN_ELOCKED);
    ck_assert_int_eq(store_close(&store), 0);
    ck_assert_ptr_null(store);
    ck_assert_int_eq(store_close(&store), 0);
    (void)open_store(STORE_SYNC_GROUP);
    ck_assert_int_eq(store_close(&store), 0);
}
END_TEST

START_TEST(a_job_is_read_from_wherever_it_is)
{
    struct store_buffer buffer = { 0 };
    struct store_job j;
    (void)open_store(STORE_SYNC_GROUP);
    pthread_mutex_lock(&lock);
    uint64_t ticket = put_one(7);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(store_read(store, 7, &buffer, &j), 0);
        ck_assert_uint_eq(j.id, 7);
        ck_assert_uint_eq(j.payload_bytes, BODY_BYTES);
        ck_assert_uint_eq(((const uint8_t *)j.payload)[BODY_BYTES - 1], 7);
        store_kick(store);
        await(ticket, true);
    }
    ck_assert_int_eq(store_read(store, 8, &buffer, &j), PEN_ENOENT);
    store_end(store, 7);
    ck_assert_int_eq(store_read(store, 7, &buffer, &j), PEN_ENOENT);
    free(buffer.data);
    ck_assert_int_eq(store_close(&store), 0);
}
END_TEST

/* ---- parts ---- */

START_TEST(the_index_against_a_plain_array)
{
    enum { IDS = 5000 };
    static uint32_t plain[IDS];
    struct index *x;
    uint64_t random = 1, alive = 0;
    ck_assert_int_eq(index_new(&x), 0);
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        /* Ids far apart and close together. */
        uint64_t n = (random >> 33) % IDS, id = n * (n % 3 == 0 ? 1 : 1000003) + n % 3;
        struct index_entry *e = index_find(x, id);
        ck_assert_int_eq(e != NULL, plain[n] != 0);
        if (e != NULL)
            ck_assert_uint_eq(e->at, plain[n]);
        if (random >> 63) {
            index_remove(x, id);
            alive -= plain[n] != 0;
            plain[n] = 0;
            continue;
        }
        e = index_add(x, id);
        alive += plain[n] == 0;
        e->segment = 1;
        e->at = plain[n] = (uint32_t)i + 1;
        ck_assert_uint_eq(index_count(x), alive);
    }
    index_free(&x);
    ck_assert_ptr_null(x);
}
END_TEST

START_TEST(a_job_as_bytes)
{
    static const struct store_job jobs[] = {
        { .id = 1 },
        { .id = UINT64_MAX,
          .state = { .due_ns = 5, .attempts = 65535, .crashes = 255, .priority = 15, .place = 15 },
          .expires_ns = -1,
          .dedupe_ns = 77,
          .key = "k",
          .key_bytes = 1,
          .dedupe = "dd",
          .dedupe_bytes = 2,
          .extra = "eee",
          .extra_bytes = 3,
          .payload = "pppp",
          .payload_bytes = 4 },
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[128];
        struct record r = { .type = RECORD_PUT,
                            .body = bytes,
                            .bytes = (uint32_t)format_job_bytes(&jobs[i]) };
        struct store_job j;
        ck_assert_uint_le(format_record_size(r.bytes),
                          STORE_PUT_OVERHEAD + 10); /* What is beside the bytes themselves. */
        format_job_put(bytes, &jobs[i]);
        ck_assert_int_eq(format_job_get(&r, &j), 0);
        ck_assert_uint_eq(j.id, jobs[i].id);
        ck_assert_mem_eq(&j.state, &jobs[i].state, offsetof(struct store_state, place) + 1);
        ck_assert(j.expires_ns == jobs[i].expires_ns && j.dedupe_ns == jobs[i].dedupe_ns);
        ck_assert_uint_eq(j.payload_bytes, jobs[i].payload_bytes);
        ck_assert_uint_eq(j.extra_bytes, jobs[i].extra_bytes);
        if (i == 1)
            ck_assert_mem_eq(j.key, "kddeeepppp", 10);
        for (r.bytes = 0; i == 1 && r.bytes < 16 + 4 * 8 + 6; r.bytes++)
            ck_assert_int_eq(format_job_get(&r, &j), PEN_EDAMAGED);
    }
}
END_TEST

START_TEST(a_frame_takes_what_fits)
{
    struct frame f;
    ck_assert_int_eq(frame_init(&f, 256), 0);
    frame_reset(&f);
    for (uint64_t id = 1; id <= 29; id++)
        ck_assert(frame_add_ack(&f, id));
    ck_assert_uint_eq(f.bytes, 256);
    ck_assert_uint_eq(f.records, 1);
    ck_assert(!frame_add_ack(&f, 30));
    ck_assert(!frame_add_state(&f, 1, &(struct store_state){ 0 }));
    ck_assert(!frame_add_job(&f, &(struct store_job){ .id = 1 }));
    frame_reset(&f);
    ck_assert(frame_add_job(&f, &(struct store_job){ .id = 1, .payload = "x", .payload_bytes = 1 }));
    ck_assert(frame_add_ack(&f, 1));
    ck_assert(frame_add_state(&f, 1, &(struct store_state){ 0 }));
    ck_assert(frame_add_ack(&f, 2));
    ck_assert_uint_eq(f.records, 4);
    frame_fini(&f);
}
END_TEST

START_TEST(headers_of_others)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];
    struct segment_header h = { .number = 3, .salt = 4, .segment_bytes = 1 << 20 }, back;
    format_header_put(bytes, &h);
    ck_assert_int_eq(format_header_get(bytes, &back), 0);
    ck_assert(back.number == 3 && back.salt == 4 && back.segment_bytes == 1 << 20);
    bytes[20] ^= 1;
    ck_assert_int_eq(format_header_get(bytes, &back), PEN_EDAMAGED);
    h.segment_bytes = FORMAT_SEGMENT_BYTES_MAX + 1;
    format_header_put(bytes, &h);
    ck_assert_int_eq(format_header_get(bytes, &back), PEN_EDAMAGED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *c = tcase_create("store");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_test(c, many_share_a_sync);
    tcase_add_test(c, old_segments_go);
    tcase_add_test(c, an_end_needs_no_kick);
    tcase_add_loop_test(c, levels, STORE_SYNC_ALWAYS, STORE_SYNC_NONE + 1);
    tcase_add_test(c, two_at_a_time);
    tcase_add_test(c, a_job_is_read_from_wherever_it_is);
    suite_add_tcase(suite, c);
    TCase *parts = tcase_create("parts");
    tcase_add_test(parts, the_index_against_a_plain_array);
    tcase_add_test(parts, a_job_as_bytes);
    tcase_add_test(parts, a_frame_takes_what_fits);
    tcase_add_test(parts, headers_of_others);
    suite_add_tcase(suite, parts);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
