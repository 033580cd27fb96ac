/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder with one segment whose bytes are anybody's. The first byte chooses: as they are, behind a right header; or as
 * bodies of records in frames whose checksums are right, which a fuzzer would not get right by itself. Whatever it is, the
 * store opens, gives each job once, and what it has made of the folder opens again with the same jobs.
 */
#include <string.h>

#include "../sim/vfs_sim.h"
#include "base/check.h"
#include "store/frame.h"
#include "store/segment.h"
#include "store/store.h"

enum { SALT = 77, BODY_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t last_id, jobs, sum;

static void add(const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + ((const uint8_t *)at)[i];
}

static int see_job(void *arg, const struct store_job *j)
{
    (void)arg;
    check(j->id > last_id);
    last_id = j->id;
    jobs++;
    add(j->key, j->key_bytes);
    add(j->dedupe, j->dedupe_bytes);
    add(j->extra, j->extra_bytes);
    add(j->payload, j->payload_bytes);
    return 0;
}

static int see_dedupe(void *arg, const struct store_job *j)
{
    (void)arg;
    add(j->dedupe, j->dedupe_bytes);
    return 0;
}

static int open_and_close(struct sim_disk *d)
{
    static const struct store_keeper keeper = { .job = see_job, .dedupe = see_dedupe };
    static const struct store_options options = { .name = "fuzz",
                                                  .segment_bytes = FORMAT_SEGMENT_BYTES_MIN,
                                                  .disk_max = 1 << 20,
                                                  .seed = 1,
                                                  .by_hand = true };
    struct store *s;
    struct store_recovery r;
    last_id = jobs = sum = 0;
    int e = store_open(sim_dir(d), &options, &keeper, &s, &r);
    if (e < 0)
        return e;
    check(r.jobs == jobs);
    return store_close(&s);
}

static void put_frames(struct vfs_file *f, const uint8_t *data, size_t size)
{
    uint64_t at = FORMAT_PAGE_BYTES;
    struct frame frame;
    check(frame_init(&frame, 1 << 14) == 0);
    for (uint64_t seq = 1; size > 2; seq++) {
        frame_reset(&frame);
        for (int i = 0; i < 4 && size > 2; i++) {
            size_t n = data[1] % BODY_MAX < size - 2 ? data[1] % BODY_MAX : size - 2;
            uint8_t *record = frame.data + frame_next(&frame);
            memcpy(record + FORMAT_RECORD_BYTES, data + 2, n);
            format_record_begin(record, data[0] % 6, (uint32_t)n);
            frame.bytes += (uint32_t)format_record_size(n);
            frame.records++;
            data += n + 2;
            size -= n + 2;
        }
        frame.head = (struct frame_head){ .salt = SALT,
                                          .seq = seq,
                                          .base_seq = 1,
                                          .synced_seq = seq - 1,
                                          .bytes = frame.bytes,
                                          .records = frame.records };
        frame_seal(&frame);
        check(vfs_write(f, at, frame.data, frame_size(&frame)) == 0);
        at += frame_size(&frame);
    }
    frame_fini(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct segment_header header = { .number = 1,
                                                  .salt = SALT,
                                                  .segment_bytes = FORMAT_SEGMENT_BYTES_MIN };
    if (size == 0 || size > FORMAT_SEGMENT_BYTES_MIN / 2)
        return 0;
    struct sim_disk *d = sim_new(1);
    struct segment *g, *none = NULL;
    bool dir_failed;
    check(segment_make(sim_dir(d), &none, &header, &g, &dir_failed) == 0);
    if (data[0] % 2 == 0)
        check(vfs_write(g->file, FORMAT_PAGE_BYTES, data + 1, size - 1) == 0);
    else
        put_frames(g->file, data + 1, size - 1);
    segment_free(&g);
    check(open_and_close(d) == 0);
    uint64_t first_jobs = jobs;
    check(open_and_close(d) == 0 && jobs == first_jobs);
    sim_free(d);
    return 0;
}
