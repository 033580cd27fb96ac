/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable store beside the least that durability can cost, a loop of pwrite(2) and fdatasync(2) into an allocated file,
 * and beside LMDB where there is one (Debian: liblmdb-dev): all in the working folder, taking turns.
 *   put       B messages of N bytes at a time, each time waiting until all are on the disk
 *   churn     1,000,000 messages of 1 KiB are held; 256 come, are synced, and the 256 oldest end
 *   recovery  opening a store of 1,000,000 messages of 100 B, beside reading its files once; memory and disk for each
 * Prints JSON: messages a second, the median of the rounds, and ratios.
 *
 *   store [--rounds N]      --json is accepted and changes nothing
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "kit.h"
#include "store/store.h"
#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

enum {
    ROUNDS_MAX = 99,
    BODY_MAX = 1024,
    RAW_FILE_BYTES = 64 << 20,
    HELD = 1000000,
    CHURN_BATCH = 256,
    CHURN_BATCHES = 1500
};

static uint8_t body[BODY_MAX];

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "store: %s\n", pen_strerror(result));
        exit(1);
    }
}

static double seconds_since(mono_t start)
{
    return (double)mono_since(clock_mono(), start).ns / NS_PER_S;
}

static void remove_dir(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    (void)rmdir(path);
}

static uint64_t disk_bytes(const char *path)
{
    uint64_t sum = 0;
    struct stat st;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
            sum += (uint64_t)st.st_blocks * 512;
    if (d != NULL)
        closedir(d);
    return sum;
}

/* ---- ours ---- */

static struct {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t told;
    struct store_news news;
    uint64_t news_count, next_id, oldest_id, recovered;
} ours = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };

static void on_news(void *arg, const struct store_news *news)
{
    (void)arg;
    pthread_mutex_lock(&ours.lock);
    ours.news = *news;
    ours.news_count++;
    pthread_cond_signal(&ours.told);
    pthread_mutex_unlock(&ours.lock);
}

static int see_job(void *arg, const struct store_job *j)
{
    (void)arg;
    (void)j;
    ours.recovered++;
    return 0;
}

static double ours_open(void)
{
    static const struct store_keeper keeper = { .job = see_job };
    static const struct store_options options = { .name = "bench",
                                                  .sync = STORE_SYNC_GROUP,
                                                  .disk_max = (uint64_t)64 << 30,
                                                  .seed = 1,
                                                  .on_news = on_news };
    struct store_recovery r;
    struct vfs_dir *dir;
    must(vfs_open_dir("bench-store", true, &dir));
    ours.recovered = 0;
    ours.news = (struct store_news){ 0 };
    mono_t start = clock_mono();
    must(store_open(dir, &options, &keeper, &ours.store, &r));
    double s = seconds_since(start);
    ours.next_id = ours.oldest_id = r.last_id + 1;
    return s;
}

/* Room for n, as the daemon asks for it: for as many as one hold of the queue's lock puts. */
static void ours_reserve(size_t n, uint32_t bytes)
{
    for (;;) {
        pthread_mutex_lock(&ours.lock);
        uint64_t before = ours.news_count;
        pthread_mutex_unlock(&ours.lock);
        int r = store_reserve(ours.store, n, n * bytes);
        if (r == 0)
            return;
        if (r != -EAGAIN)
            must(r);
        store_kick(ours.store);
        pthread_mutex_lock(&ours.lock);
        while (ours.news_count == before)
            pthread_cond_wait(&ours.told, &ours.lock);
        pthread_mutex_unlock(&ours.lock);
    }
}

static void ours_batch(size_t batch, uint32_t bytes)
{
    uint64_t ticket = 0;
    for (size_t i = 0; i < batch; i++) {
        struct store_job j = { .id = ours.next_id++, .payload = body, .payload_bytes = bytes };
        size_t left = batch - i;
        if (i % LIMIT_BATCH_ITEMS == 0)
            ours_reserve(left < LIMIT_BATCH_ITEMS ? left : LIMIT_BATCH_ITEMS, bytes);
        ticket = store_put(ours.store, &j);
    }
    store_kick(ours.store);
    pthread_mutex_lock(&ours.lock);
    while (ours.news.synced < ticket)
        pthread_cond_wait(&ours.told, &ours.lock);
    pthread_mutex_unlock(&ours.lock);
}

static void ours_close(void)
{
    must(store_close(&ours.store));
    remove_dir("bench-store");
}

/* ---- the raw loop ---- */

static struct {
    int fd;
    off_t at;
    uint8_t *buffer;
} raw;

static void raw_open(void)
{
    raw.fd = open("bench-raw", O_RDWR | O_CREAT | O_TRUNC, 0600);
    raw.at = 0;
    raw.buffer = malloc((size_t)4096 * BODY_MAX);
    check(raw.fd >= 0 && raw.buffer != NULL && fallocate(raw.fd, 0, 0, RAW_FILE_BYTES) == 0);
    check(fsync(raw.fd) == 0);
}

static void raw_batch(size_t batch, uint32_t bytes)
{
    size_t n = batch * bytes;
    for (size_t i = 0; i < batch; i++)
        memcpy(raw.buffer + i * bytes, body, bytes);
    if (raw.at + (off_t)n > RAW_FILE_BYTES)
        raw.at = 0;
    check(pwrite(raw.fd, raw.buffer, n, raw.at) == (ssize_t)n && fdatasync(raw.fd) == 0);
    raw.at += (off_t)n;
}

static void raw_close(void)
{
    close(raw.fd);
    free(raw.buffer);
    (void)unlink("bench-raw");
}

/* ---- LMDB ---- */

#ifdef HAVE_LMDB
static struct {
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t next_id, oldest_id;
} lmdb;

static void lmdb_open(void)
{
    MDB_txn *t;
    (void)mkdir("bench-lmdb", 0700);
    lmdb.next_id = lmdb.oldest_id = 1;
    check(mdb_env_create(&lmdb.env) == 0 && mdb_env_set_mapsize(lmdb.env, (size_t)32 << 30) == 0);
    check(mdb_env_open(lmdb.env, "bench-lmdb", 0, 0600) == 0);
    check(mdb_txn_begin(lmdb.env, NULL, 0, &t) == 0);
    check(mdb_dbi_open(t, NULL, MDB_INTEGERKEY, &lmdb.dbi) == 0 && mdb_txn_commit(t) == 0);
}

static void lmdb_do(size_t puts, size_t ends, uint32_t bytes)
{
    MDB_txn *t;
    check(mdb_txn_begin(lmdb.env, NULL, 0, &t) == 0);
    for (size_t i = 0; i < puts; i++, lmdb.next_id++) {
        MDB_val key = { sizeof lmdb.next_id, &lmdb.next_id }, value = { bytes, body };
        check(mdb_put(t, lmdb.dbi, &key, &value, MDB_APPEND) == 0);
    }
    for (size_t i = 0; i < ends; i++, lmdb.oldest_id++) {
        MDB_val key = { sizeof lmdb.oldest_id, &lmdb.oldest_id };
        check(mdb_del(t, lmdb.dbi, &key, NULL) == 0);
    }
    check(mdb_txn_commit(t) == 0);
}

static void lmdb_batch(size_t batch, uint32_t bytes)
{
    lmdb_do(batch, 0, bytes);
}

static void lmdb_close(void)
{
    mdb_env_close(lmdb.env);
    remove_dir("bench-lmdb");
}
#endif

/* ---- put ---- */

typedef void batch_fn(size_t batch, uint32_t bytes);

static double rate(batch_fn *fn, size_t batch, uint32_t bytes)
{
    size_t batches = 64 * 1024 / batch < 64 ? 64 : 64 * 1024 / batch;
    if (batches > 2000)
        batches = 2000;
    mono_t start = clock_mono();
    for (size_t i = 0; i < batches; i++)
        fn(batch, bytes);
    return (double)(batches * batch) / seconds_since(start);
}

static double median(double *values, unsigned n)
{
    bench_sort(values, n);
    return values[n / 2];
}

static void bench_put(size_t batch, uint32_t bytes, unsigned rounds)
{
    double a[ROUNDS_MAX], b[ROUNDS_MAX], c[ROUNDS_MAX] = { 0 };
    raw_open();
    (void)ours_open();
    for (unsigned r = 0; r < rounds; r++) {
        a[r] = rate(raw_batch, batch, bytes);
        b[r] = rate(ours_batch, batch, bytes);
    }
    struct store_stats s;
    store_stats(ours.store, &s);
    ours_close();
    raw_close();
#ifdef HAVE_LMDB
    lmdb_open();
    for (unsigned r = 0; r < rounds; r++)
        c[r] = rate(lmdb_batch, batch, bytes);
    lmdb_close();
#endif
    double raw_rate = median(a, rounds), our_rate = median(b, rounds), lmdb_rate = median(c, rounds);
    printf("{\"put\":%u,\"in_flight\":%zu,\"raw\":%.0f,\"store\":%.0f,\"of_raw\":%.2f,\"lmdb\":%.0f,"
           "\"of_lmdb\":%.2f,\"commits\":%llu}\n",
           bytes, batch, raw_rate, our_rate, our_rate / raw_rate, lmdb_rate,
           lmdb_rate > 0 ? our_rate / lmdb_rate : 0.0, (unsigned long long)s.commits);
}

/* ---- churn ---- */

static void fill(uint32_t bytes)
{
    for (uint64_t i = 0; i < HELD; i += 4096)
        ours_batch(4096, bytes);
}

static double churn_ours(void)
{
    (void)ours_open();
    fill(BODY_MAX);
    mono_t start = clock_mono();
    for (int i = 0; i < CHURN_BATCHES; i++) {
        ours_batch(CHURN_BATCH, BODY_MAX);
        for (int k = 0; k < CHURN_BATCH; k++)
            store_end(ours.store, ours.oldest_id++);
    }
    double r = (double)CHURN_BATCHES * CHURN_BATCH / seconds_since(start);
    struct store_stats s;
    store_stats(ours.store, &s);
    printf("{\"churn\":\"space\",\"disk_of_live\":%.2f,\"moved_jobs\":%llu}\n",
           (double)s.disk_bytes / (double)s.live_bytes, (unsigned long long)s.moved_jobs);
    ours_close();
    return r;
}

static double churn_lmdb(void)
{
#ifdef HAVE_LMDB
    lmdb_open();
    for (uint64_t i = 0; i < HELD; i += 4096)
        lmdb_do(4096, 0, BODY_MAX);
    mono_t start = clock_mono();
    for (int i = 0; i < CHURN_BATCHES; i++)
        lmdb_do(CHURN_BATCH, CHURN_BATCH, BODY_MAX);
    double r = (double)CHURN_BATCHES * CHURN_BATCH / seconds_since(start);
    lmdb_close();
    return r;
#else
    return 0;
#endif
}

/* ---- recovery ---- */

static double read_files(const char *path)
{
    static uint8_t buffer[1 << 20];
    DIR *d = opendir(path);
    mono_t start = clock_mono();
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        int fd = e->d_name[0] == '.' ? -1 : openat(dirfd(d), e->d_name, O_RDONLY);
        while (fd >= 0 && read(fd, buffer, sizeof buffer) > 0)
            continue;
        if (fd >= 0)
            close(fd);
    }
    closedir(d);
    return seconds_since(start);
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    check(f != NULL && fscanf(f, "%llu %llu", &pages, &resident) == 2);
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void bench_recovery(unsigned rounds)
{
    double a[ROUNDS_MAX], b[ROUNDS_MAX];
    (void)ours_open();
    fill(100);
    must(store_close(&ours.store));
    (void)malloc_trim(0);
    uint64_t bytes = disk_bytes("bench-store"), before = resident_bytes(), after = 0;
    for (unsigned r = 0; r < rounds; r++) {
        a[r] = read_files("bench-store");
        b[r] = ours_open();
        check(ours.recovered >= HELD);
        (void)malloc_trim(0); /* What reading took and gave back. */
        after = after == 0 ? resident_bytes() : after;
        must(store_close(&ours.store));
    }
    double held = (double)ours.recovered, read_s = median(a, rounds), open_s = median(b, rounds);
    printf("{\"recovery\":%.0f,\"seconds\":%.2f,\"read_seconds\":%.2f,\"of_read\":%.2f,"
           "\"disk_per_job\":%.0f,\"rss_per_job\":%.0f}\n",
           held, open_s, read_s, read_s / open_s, (double)bytes / held,
           after > before ? (double)(after - before) / held : 0.0);
    remove_dir("bench-store");
}

int main(int argc, char **argv)
{
    static const size_t batches[] = { 1, 16, 256, 4096 };
    static const uint32_t sizes[] = { 100, BODY_MAX };
    struct bench_args args = bench_args(argc, argv, 5);
    unsigned rounds = args.rounds < ROUNDS_MAX ? args.rounds : ROUNDS_MAX;
    memset(body, 'x', sizeof body);
    remove_dir("bench-store");
    remove_dir("bench-lmdb");
    bench_recovery(rounds);
    for (size_t s = 0; s < 2; s++)
        for (size_t b = 0; b < 4; b++)
            bench_put(batches[b], sizes[s], rounds);
    double store_rate = churn_ours(), lmdb_rate = churn_lmdb();
    printf("{\"churn\":%d,\"store\":%.0f,\"lmdb\":%.0f,\"of_lmdb\":%.2f}\n", HELD, store_rate,
           lmdb_rate, lmdb_rate > 0 ? store_rate / lmdb_rate : 0.0);
    return 0;
}
