/* SPDX-License-Identifier: Apache-2.0
 *
 * A small log of three segments, with a bit of every byte that is in use flipped, one at a time, and cut off at every byte.
 * Whatever is damaged: it opens, or says why not; no job comes back with other bytes than it was put with; and none is
 * missing, or comes back though it has ended, without a word of damage. Only the newest commit may be taken for one that was
 * not finished, and only when the log was not closed in order.
 *
 * Of each byte one bit by default, all eight with PENSTOCK_LONG=1.
 */
#include <check.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "vfs_sim.h"

enum { JOBS = 24, LIVES = 3, BYTES_MAX = 200, TIME_LIMIT_S = 600 };

static struct sim_disk *original;
static bool ended[JOBS + 1], last_commit[JOBS + 1];

/* ---- what comes back ---- */

static bool given[JOBS + 1];

static uint32_t bytes_of(uint64_t id)
{
    return (uint32_t)(id * 37 % BYTES_MAX);
}

static struct store_job describe(uint64_t id)
{
    static uint8_t payload[BYTES_MAX];
    memset(payload, (int)id, sizeof payload);
    return (struct store_job){ .id = id,
                               .state = { .priority = 4 },
                               .key = "key",
                               .key_bytes = id % 2 == 0 ? 3 : 0,
                               .dedupe = "dedupe",
                               .dedupe_bytes = id % 3 == 0 ? 6 : 0,
                               .dedupe_ns = id % 3 == 0 ? INT64_MAX : 0,
                               .payload = payload,
                               .payload_bytes = bytes_of(id) };
}

static int see_job(void *arg, const struct store_job *j)
{
    (void)arg;
    ck_assert(j->id >= 1 && j->id <= JOBS && !given[j->id]);
    struct store_job is = describe(j->id);
    ck_assert_uint_eq(j->payload_bytes, is.payload_bytes);
    ck_assert_mem_eq(j->payload, is.payload, is.payload_bytes);
    ck_assert_uint_eq(j->key_bytes, is.key_bytes);
    ck_assert_uint_eq(j->dedupe_bytes, is.dedupe_bytes);
    ck_assert(j->state.priority == 4 && j->state.attempts <= 1);
    given[j->id] = true;
    return 0;
}

static int open_store(struct sim_disk *d, struct store **ret_store,
                      struct store_recovery *ret_recovery)
{
    static const struct store_keeper keeper = { .job = see_job };
    struct store_options options = { .name = "sim",
                                     .sync = STORE_SYNC_GROUP,
                                     .segment_bytes = FORMAT_SEGMENT_BYTES_MIN,
                                     .disk_max = 1 << 20,
                                     .seed = 1,
                                     .by_hand = true };
    memset(given, 0, sizeof given);
    return store_open(sim_dir(d), &options, &keeper, ret_store, ret_recovery);
}

/* ---- the log ---- */

static void put(struct store *s, uint64_t id)
{
    struct store_job j = describe(id);
    ck_assert_int_eq(store_reserve(s, 1, j.payload_bytes + 16), 0);
    (void)store_put(s, &j);
}

/* One life of the store: a segment. */
static void live(uint64_t first, uint64_t last)
{
    struct store *s;
    struct store_recovery r;
    struct store_state state = { .attempts = 1, .priority = 4 };
    ck_assert_int_eq(open_store(original, &s, &r), 0);
    for (uint64_t id = first; id <= last; id++) {
        put(s, id);
        if (id % 2 == 0)
            ck_assert(store_work(s, STORE_COMMIT));
        if (id % 4 == 0)
            store_change(s, id, &state);
        if (id % 5 == 0) {
            store_end(s, id - 2);
            ended[id - 2] = true;
        }
    }
    ck_assert_int_eq(store_close(&s), 0);
}

static void set_up(void)
{
    original = sim_new(1);
    for (int i = 0; i < LIVES; i++)
        live((uint64_t)(JOBS / LIVES * i + 1), (uint64_t)(JOBS / LIVES * (i + 1)));
    /* What is in the commit before the closing one. */
    last_commit[JOBS] = last_commit[JOBS - 1] = true;
}

static void tear_down(void)
{
    sim_free(original);
}

/* ---- damage ---- */

static void check_jobs(const struct store_recovery *r, bool last_may_miss)
{
    for (uint64_t id = 1; id <= JOBS; id++) {
        if (given[id] == !ended[id])
            continue;
        bool excused = r->damaged > 0 || (last_may_miss && last_commit[id]);
        ck_assert_msg(excused, "job %d, %s, without a word", (int)id,
                      ended[id] ? "which has ended, is back" : "which lives, is missing");
    }
}

static uint64_t in_use(const uint8_t *data, uint64_t bytes)
{
    while (bytes > 0 && data[bytes - 1] == 0)
        bytes--;
    return bytes;
}

static void try_open(struct sim_disk *d, bool last_may_miss)
{
    struct store *s;
    struct store_recovery r;
    int e = open_store(d, &s, &r);
    if (e == 0) {
        check_jobs(&r, last_may_miss);
        ck_assert_int_eq(store_close(&s), 0);
        /* And what was found once is found again. */
        uint64_t jobs = r.jobs;
        ck_assert_int_eq(open_store(d, &s, &r), 0);
        ck_assert_uint_eq(r.jobs, jobs);
        ck_assert_int_eq(store_close(&s), 0);
    } else {
        ck_assert_int_eq(e, PEN_EFORMAT);
    }
}

/* Under a sanitizer, where each takes ten times as long, every eighth byte: they all go through the same code. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEP_BYTES = 8 };
#else
enum { STEP_BYTES = 1 };
#endif

static void flip(size_t file, uint64_t at, int bit)
{
    struct sim_disk *d = sim_copy(original);
    uint8_t *data;
    uint64_t bytes;
    (void)sim_file(d, file, &data, &bytes);
    data[at] ^= (uint8_t)(1 << bit);
    try_open(d, false);
    sim_free(d);
}

START_TEST(a_bit_of_every_byte)
{
    bool all = getenv("PENSTOCK_LONG") != NULL;
    uint64_t flips = 0;
    for (size_t f = 0; f < sim_files(original); f++) {
        uint8_t *data;
        uint64_t bytes;
        (void)sim_file(original, f, &data, &bytes);
        uint64_t used = in_use(data, bytes);
        for (uint64_t at = 0; at < used; at += STEP_BYTES) {
            if (at >= 1024 && at < FORMAT_PAGE_BYTES)
                continue; /* Nothing is there. */
            for (int bit = 0; bit < (all ? 8 : 1); bit++, flips++)
                flip(f, at, all ? bit : (int)(at / STEP_BYTES % 8));
        }
    }
    ck_assert_uint_ge(flips, 3000 / STEP_BYTES);
}
END_TEST

/* Also where the closing frame is gone, so that it looks like a crash. */
START_TEST(cut_off_at_every_byte)
{
    for (size_t f = 0; f < sim_files(original); f++) {
        uint8_t *data;
        uint64_t bytes;
        (void)sim_file(original, f, &data, &bytes);
        for (uint64_t at = FORMAT_PAGE_BYTES; at < in_use(data, bytes); at += STEP_BYTES) {
            struct sim_disk *d = sim_copy(original);
            sim_cut(d, f, at);
            struct store *s;
            struct store_recovery r;
            ck_assert_int_eq(open_store(d, &s, &r), 0);
            /* In the last segment a cut is what a crash looks like; in others it is damage. */
            for (uint64_t id = 1; id <= JOBS - JOBS / LIVES; id++)
                ck_assert(given[id] == !ended[id] || r.damaged > 0 || ended[id]);
            ck_assert_int_eq(store_close(&s), 0);
            sim_free(d);
        }
    }
}
END_TEST

START_TEST(a_segment_is_missing)
{
    struct sim_disk *d = sim_copy(original);
    ck_assert_int_eq(vfs_unlink(sim_dir(d), "0000000000000002.seg"), 0);
    struct store *s;
    struct store_recovery r;
    ck_assert_int_eq(open_store(d, &s, &r), 0);
    ck_assert_uint_ge(r.damaged, 1);
    ck_assert(given[1] && !given[JOBS / LIVES + 1] && given[JOBS]);
    ck_assert_int_eq(store_close(&s), 0);
    sim_free(d);
}
END_TEST

/* A header of which both copies are gone: the file is set aside, the rest goes on. */
START_TEST(a_header_is_missing)
{
    struct sim_disk *d = sim_copy(original);
    uint8_t *data;
    uint64_t bytes;
    for (size_t f = 0; f < sim_files(d); f++)
        if (strcmp(sim_file(d, f, &data, &bytes), "0000000000000002.seg") == 0)
            memset(data, 0, FORMAT_PAGE_BYTES);
    struct store *s;
    struct store_recovery r;
    ck_assert_int_eq(open_store(d, &s, &r), 0);
    ck_assert_uint_ge(r.damaged, 1);
    ck_assert(given[1] && !given[JOBS / LIVES + 1] && given[JOBS]);
    ck_assert_int_eq(store_close(&s), 0);
    struct vfs_file *aside;
    ck_assert_int_eq(vfs_open(sim_dir(d), "0000000000000002.seg.damaged", VFS_READ, &aside), 0);
    vfs_close(&aside);
    sim_free(d);
}
END_TEST

/* A job whose bytes are a copy of the log's own, frame and all, is not taken for frames when there is a hole before it. */
START_TEST(a_log_in_a_log)
{
    struct sim_disk *d = sim_new(1);
    struct store *s;
    struct store_recovery r;
    uint8_t *data;
    uint64_t bytes;
    ck_assert_int_eq(open_store(d, &s, &r), 0);
    put(s, 1);
    ck_assert(store_work(s, STORE_COMMIT));
    (void)sim_file(d, 0, &data, &bytes);
    static uint8_t copy[1024];
    memcpy(copy, data + FORMAT_PAGE_BYTES, sizeof copy);
    /* Its payload begins at a multiple of 8, as a frame would. */
    struct store_job evil = { .id = 2, .payload = copy, .payload_bytes = sizeof copy };
    ck_assert_int_eq(store_reserve(s, 1, sizeof copy), 0);
    (void)store_put(s, &evil);
    ck_assert(store_work(s, STORE_COMMIT));
    uint64_t second = FORMAT_PAGE_BYTES + FORMAT_FRAME_BYTES + FORMAT_RECORD_BYTES + 56;
    ck_assert_int_eq(store_close(&s), 0);
    (void)sim_file(d, 0, &data, &bytes);
    memset(data + second, 0xff, FORMAT_FRAME_BYTES + 8); /* The second frame's head is gone. */
    ck_assert_int_eq(open_store(d, &s, &r), 0);
    ck_assert_uint_eq(r.jobs, 1);
    ck_assert_uint_ge(r.damaged, 1);
    ck_assert_int_eq(store_close(&s), 0);
    sim_free(d);
}
END_TEST

int main(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 20); /* Windows of a MiB come and go. */
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    Suite *suite = suite_create("store damage");
    TCase *c = tcase_create("damage");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_test(c, a_bit_of_every_byte);
    tcase_add_test(c, cut_off_at_every_byte);
    tcase_add_test(c, a_segment_is_missing);
    tcase_add_test(c, a_header_is_missing);
    tcase_add_test(c, a_log_in_a_log);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
