/* SPDX-License-Identifier: Apache-2.0
 *
 *   mkstore DIR N     a durable queue's folder with N jobs, "body 1" and so on, of which every third has ended
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "mkstore: %s\n", pen_strerror(result));
        exit(EXIT_FAILURE);
    }
}

static int see_job(void *arg, const struct store_job *job)
{
    (void)arg;
    (void)job;
    return 0;
}

static void put(struct store *s, uint64_t id)
{
    char body[32];
    (void)snprintf(body, sizeof body, "body %llu", (unsigned long long)id);
    struct store_job j = { .id = id, .payload = body, .payload_bytes = (uint32_t)strlen(body) };
    must(store_reserve(s, 1, j.payload_bytes));
    (void)store_put(s, &j);
    if (id % 10 == 0)
        (void)store_work(s, STORE_COMMIT);
    if (id % 3 == 0)
        store_end(s, id);
}

int main(int argc, char **argv)
{
    const struct store_keeper keeper = { .job = see_job };
    const struct store_options options = {
        .name = "mkstore", .disk_max = 1 << 30, .seed = 1, .by_hand = true
    };
    struct store_recovery r;
    struct vfs_dir *dir;
    struct store *s;
    if (argc != 3)
        return EXIT_FAILURE;
    must(vfs_open_dir(argv[1], true, &dir));
    must(store_open(dir, &options, &keeper, &s, &r));
    uint64_t n = strtoull(argv[2], NULL, 10);
    for (uint64_t id = 1; id <= n; id++)
        put(s, id);
    must(store_close(&s));
    return EXIT_SUCCESS;
}
