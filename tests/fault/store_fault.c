/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk fails: a short life of a store is run again and again, with the first write failing, then the second, until there
 * are none left; the same for each kind of call, with each error that a disk gives, once and from then on. Whatever fails:
 * nothing aborts or hangs, a ticket that was called synced is there after the next start, nothing is invented, and the
 * condition is the one that is documented. Then the full disk, in detail.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/vfs_sim.h"
#include "store/store.h"

enum { JOBS = 200, BODY_BYTES = 3000, TIME_LIMIT_S = 300, BATCH = 4, WORK_MAX = 50 };

static struct sim_disk *disk;
static struct store *store;
static struct store_news news;
static uint64_t ticket[JOBS + 1], put_count, high_id;
static bool ended[JOBS + 1], end_synced[JOBS + 1], back[JOBS + 1];

static int see_job(void *arg, const struct store_job *j)
{
    (void)arg;
    uint8_t body[BODY_BYTES];
    ck_assert(j->id >= 1 && j->id <= high_id && !back[j->id]);
    memset(body, (int)j->id, sizeof body);
    ck_assert_uint_eq(j->payload_bytes, sizeof body);
    ck_assert_mem_eq(j->payload, body, sizeof body);
    back[j->id] = true;
    return 0;
}

static void on_news(void *arg, const struct store_news *n)
{
    (void)arg;
    ck_assert_uint_ge(n->synced, news.synced);
    news = *n;
}

static int open_store(uint64_t disk_max)
{
    static const struct store_keeper keeper = { .job = see_job };
    struct store_options options = { .name = "sim",
                                     .sync = STORE_SYNC_GROUP,
                                     .segment_bytes = FORMAT_SEGMENT_BYTES_MIN,
                                     .disk_max = disk_max,
                                     .seed = 7,
                                     .by_hand = true,
                                     .on_news = on_news };
    struct store_recovery r;
    memset(back, 0, sizeof back);
    news = (struct store_news){ 0 };
    int e = store_open(sim_dir(disk), &options, &keeper, &store, &r);
    if (e == 0)
        ck_assert_uint_eq(r.damaged, 0);
    return e;
}

static int put_one(uint64_t id)
{
    uint8_t body[BODY_BYTES];
    memset(body, (int)id, sizeof body);
    struct store_job j = { .id = id, .payload = body, .payload_bytes = sizeof body };
    int r = store_reserve(store, 1, sizeof body);
    if (r < 0)
        return r;
    ticket[id] = store_put(store, &j);
    high_id = id;
    return 0;
}

/* A bounded number of turns: a store that has failed must not keep its threads busy. */
static void work(void)
{
    for (int i = 0; i < WORK_MAX; i++) {
        bool more = store_work(store, STORE_COMMIT);
        more |= store_work(store, STORE_CHORE);
        if (!more)
            return;
    }
}

static void end_one(uint64_t id)
{
    if (ended[id])
        return;
    ended[id] = true;
    store_end(store, id);
}

/* The life: puts, ends, rolls over several segments, with one job that stays, so that it is moved. */
static void live(void)
{
    for (uint64_t id = 1; id <= JOBS; id++) {
        int r = put_one(id);
        if (r == -EAGAIN) {
            work();
            r = put_one(id);
        }
        if (r < 0) {
            ck_assert(r == -EAGAIN || r == PEN_ESTOREFULL || r == PEN_ESTOREFAILED);
            ck_assert_int_eq(r == PEN_ESTOREFAILED, news.condition == STORE_FAILED);
            break;
        }
        put_count++;
        if (id % BATCH == 0)
            work();
        if (id > BATCH && id % 50 != 0)
            end_one(id - BATCH);
    }
    work();
}

static void check_back(uint64_t synced)
{
    for (uint64_t id = 1; id <= high_id; id++)
        if (!ended[id] && ticket[id] <= synced)
            ck_assert_msg(back[id], "job %d was called synced, and is lost", (int)id);
}

static void forget(void)
{
    memset(ticket, 0, sizeof ticket);
    memset(ended, 0, sizeof ended);
    memset(end_synced, 0, sizeof end_synced);
    put_count = high_id = 0;
    store = NULL;
    disk = sim_new(3);
}

/* True when the N-th call was there to fail. */
static bool one_fault(enum sim_call call, uint64_t n, int error, bool for_ever)
{
    forget();
    sim_fail(disk, call, n, error, for_ever);
    int r = open_store(16 << 20);
    if (r == 0)
        live();
    else
        ck_assert_int_eq(r, error == -EAGAIN && call == SIM_LOCK ? PEN_ELOCKED : error);
    bool failed = sim_has_failed(disk);
    uint64_t synced = news.synced;
    if (failed && r == 0 && (call == SIM_WRITE || call == SIM_SYNC || call == SIM_SYNC_DIR) &&
        news.condition == STORE_FAILED)
        ck_assert_int_eq(put_one(high_id + 1), PEN_ESTOREFAILED);
    sim_heal(disk);
    (void)store_close(&store);
    sim_reboot(disk);
    ck_assert_int_eq(open_store(16 << 20), 0);
    check_back(synced);
    ck_assert_int_eq(store_close(&store), 0);
    sim_free(disk);
    return failed;
}

static const struct {
    const char *name;
    enum sim_call call;
    uint64_t least; /* calls of it in the life */
} kinds[] = {
    { "open", SIM_CREATE, 1 },       { "rename", SIM_RENAME, 1 },     { "unlink", SIM_UNLINK, 1 },
    { "sync_dir", SIM_SYNC_DIR, 1 }, { "list", SIM_LIST, 1 },         { "write", SIM_WRITE, 50 },
    { "sync", SIM_SYNC, 50 },        { "allocate", SIM_ALLOCATE, 1 }, { "lock", SIM_LOCK, 1 },
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

START_TEST(every_call_fails_once)
{
    static const int errors[] = { -EIO, -ENOSPC, -EDQUOT, -EROFS };
    for (size_t e = 0; e < 4; e++) {
        uint64_t n = 1;
        while (one_fault(kinds[_i].call, n, errors[e], false))
            n++;
        ck_assert_msg(n > kinds[_i].least, "only %d calls of %s", (int)n - 1, kinds[_i].name);
    }
}
END_TEST

START_TEST(every_call_fails_from_then_on)
{
    static const int errors[] = { -EIO, -ENOSPC };
    for (size_t e = 0; e < 2; e++) {
        uint64_t n = 1;
        while (one_fault(kinds[_i].call, n, errors[e], true))
            n++;
        ck_assert_uint_gt(n, kinds[_i].least);
    }
}
END_TEST

START_TEST(a_failed_sync_is_final)
{
    forget();
    ck_assert_int_eq(open_store(16 << 20), 0);
    ck_assert_int_eq(put_one(1), 0);
    sim_fail(disk, SIM_SYNC, 1, -EIO, false);
    work();
    ck_assert_int_eq(news.condition, STORE_FAILED);
    ck_assert_int_eq(news.error, -EIO);
    ck_assert_uint_lt(news.synced, ticket[1]);
    sim_heal(disk);
    ck_assert_int_eq(put_one(2), PEN_ESTOREFAILED);
    store_end(store, 1); /* Is taken, and not kept. */
    ck_assert(!store_work(store, STORE_COMMIT));
    ck_assert(!store_work(store, STORE_CHORE));
    ck_assert_int_eq(store_close(&store), -EIO);
    sim_free(disk);
}
END_TEST

static void fill_up(void)
{
    int r = 0;
    for (uint64_t id = 1; id <= JOBS && r == 0; id++) {
        r = put_one(id);
        if (r == -EAGAIN) {
            work();
            r = put_one(id);
        }
    }
    work();
    ck_assert_int_eq(news.condition, STORE_FROZEN);
}

/* All that was put ends, and is durably ended; and then there is room again. */
static void end_all_and_thaw(int reason)
{
    ck_assert_int_eq(news.error, reason);
    ck_assert_int_eq(put_one(high_id + 1), PEN_ESTOREFULL);
    for (uint64_t id = 1; id <= high_id; id++)
        end_one(id);
    work();
    ck_assert_int_eq(news.condition, STORE_OPEN);
    ck_assert_int_eq(news.error, 0);
    ck_assert_int_eq(put_one(high_id + 1), 0);
    work();
    ck_assert_uint_ge(news.synced, ticket[high_id]);
    struct store_stats s;
    store_stats(store, &s);
    ck_assert_uint_eq(s.frozen, 1);
    ck_assert_uint_eq(s.lost + s.late, 0);
    ck_assert_int_eq(store_close(&store), 0);
    ck_assert_int_eq(open_store(16 << 20), 0);
    for (uint64_t id = 1; id < high_id; id++)
        ck_assert(!back[id]);
    ck_assert(back[high_id]);
    ck_assert_int_eq(store_close(&store), 0);
    sim_free(disk);
}

START_TEST(a_full_disk_takes_ends_and_goes_on_with_the_room_they_make)
{
    forget();
    sim_set_space(disk, 5 * FORMAT_SEGMENT_BYTES_MIN);
    ck_assert_int_eq(open_store(16 << 20), 0);
    fill_up();
    end_all_and_thaw(-ENOSPC);
}
END_TEST

START_TEST(max_disk_is_a_full_disk)
{
    forget();
    uint64_t max = STORE_SEGMENTS_MIN * FORMAT_SEGMENT_BYTES_MIN;
    ck_assert_int_eq(open_store(max), 0);
    fill_up();
    struct store_stats s;
    store_stats(store, &s);
    ck_assert_uint_eq(s.disk_bytes, max);
    end_all_and_thaw(PEN_ESTOREFULL);
}
END_TEST

/* Room that somebody else has made is found by trying again. */
START_TEST(room_that_comes_from_elsewhere)
{
    forget();
    sim_set_space(disk, 4 * FORMAT_SEGMENT_BYTES_MIN);
    ck_assert_int_eq(open_store(16 << 20), 0);
    fill_up();
    uint64_t held = high_id;
    sim_set_space(disk, UINT64_MAX);
    while (news.condition == STORE_FROZEN) /* It tries again when STORE_RETRY_MS have passed. */
        work();
    ck_assert_int_eq(news.condition, STORE_OPEN);
    ck_assert_int_eq(put_one(held + 1), 0);
    work();
    ck_assert_int_eq(store_close(&store), 0);
    ck_assert_int_eq(open_store(16 << 20), 0);
    for (uint64_t id = 1; id <= held + 1; id++)
        ck_assert(back[id]);
    ck_assert_int_eq(store_close(&store), 0);
    sim_free(disk);
}
END_TEST

START_TEST(options_at_their_limits_and_beyond)
{
    static const struct store_keeper keeper = { .job = see_job };
    struct store_options good = { .name = "sim",
                                  .segment_bytes = FORMAT_SEGMENT_BYTES_MIN,
                                  .disk_max = STORE_SEGMENTS_MIN * FORMAT_SEGMENT_BYTES_MIN,
                                  .by_hand = true };
    struct store_options bad[] = { good, good, good, good };
    struct store_recovery r;
    bad[0].disk_max--;
    bad[1].segment_bytes -= FORMAT_PAGE_BYTES;
    bad[2].segment_bytes += 1;
    bad[3].segment_bytes = FORMAT_SEGMENT_BYTES_MAX + FORMAT_PAGE_BYTES;
    forget();
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(store_open(sim_dir(disk), &bad[i], &keeper, &store, &r), PEN_EINVAL);
    ck_assert_int_eq(store_open(sim_dir(disk), &good, &keeper, &store, &r), 0);
    ck_assert_int_eq(store_close(&store), 0);
    sim_free(disk);
}
END_TEST

START_TEST(a_batch_at_the_frame_s_limit_and_beyond)
{
    forget();
    ck_assert_int_eq(open_store(16 << 20), 0);
    uint64_t most = format_frame_max(FORMAT_SEGMENT_BYTES_MIN) - FORMAT_FRAME_BYTES;
    ck_assert_int_eq(store_reserve(store, 1, most - STORE_PUT_OVERHEAD + 1), PEN_ETOOBIG);
    ck_assert_int_eq(store_reserve(store, 1, most - STORE_PUT_OVERHEAD), 0);
    store_release(store, 1, most - STORE_PUT_OVERHEAD);
    ck_assert_int_eq(put_one(1), 0);
    ck_assert_int_eq(store_reserve(store, 1, most - STORE_PUT_OVERHEAD), -EAGAIN);
    ck_assert(store_work(store, STORE_COMMIT));
    ck_assert_int_eq(store_reserve(store, 1, most - STORE_PUT_OVERHEAD), 0);
    ck_assert(!store_work(store, STORE_COMMIT)); /* Not while puts are on their way. */
    store_release(store, 1, most - STORE_PUT_OVERHEAD);
    ck_assert_int_eq(store_close(&store), 0);
    sim_free(disk);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store fault");
    TCase *c = tcase_create("fault");
    tcase_set_timeout(c, TIME_LIMIT_S);
    tcase_add_loop_test(c, every_call_fails_once, 0, KINDS);
    tcase_add_loop_test(c, every_call_fails_from_then_on, 0, KINDS);
    tcase_add_test(c, a_failed_sync_is_final);
    tcase_add_test(c, a_full_disk_takes_ends_and_goes_on_with_the_room_they_make);
    tcase_add_test(c, max_disk_is_a_full_disk);
    tcase_add_test(c, room_that_comes_from_elsewhere);
    tcase_add_test(c, options_at_their_limits_and_beyond);
    tcase_add_test(c, a_batch_at_the_frame_s_limit_and_beyond);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
