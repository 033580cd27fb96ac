/* SPDX-License-Identifier: Apache-2.0
 *
 * The real disk behind plat/vfs, and the checksum that its user relies on.
 */
#include "plat/vfs.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

static char path[64];
static struct vfs_dir *dir;

static void set_up(void)
{
    memcpy(path, "/tmp/test_vfs.XXXXXX", sizeof "/tmp/test_vfs.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_assert(strlen(path) + sizeof "/dir" < sizeof path);
    memcpy(path + strlen(path), "/dir", sizeof "/dir");
    ck_assert_int_eq(vfs_open_dir(path, true, &dir), 0);
}

static void remove_one(void *arg, const char *name)
{
    (void)arg;
    ck_assert_int_eq(vfs_unlink(dir, name), 0);
}

static void tear_down(void)
{
    ck_assert_int_eq(vfs_list(dir, remove_one, NULL), 0);
    vfs_close_dir(&dir);
    ck_assert_ptr_null(dir);
    ck_assert_int_eq(rmdir(path), 0);
    *strrchr(path, '/') = '\0';
    ck_assert_int_eq(rmdir(path), 0);
}

static unsigned mode_of(const char *name)
{
    char full[128];
    struct stat st;
    (void)snprintf(full, sizeof full, "%s/%s", path, name);
    ck_assert_int_eq(stat(full, &st), 0);
    return st.st_mode & 07777;
}

START_TEST(what_is_written_is_read)
{
    struct vfs_file *f;
    char text[32];
    size_t n;
    uint64_t bytes;
    ck_assert_int_eq(vfs_open(dir, "a", VFS_CREATE, &f), 0);
    ck_assert_int_eq(vfs_allocate(f, 8192), 0);
    ck_assert_int_eq(vfs_size(f, &bytes), 0);
    ck_assert_uint_eq(bytes, 8192);
    ck_assert_int_eq(vfs_write(f, 8190, "hello", 5), 0);
    ck_assert_int_eq(vfs_sync(f), 0);
    ck_assert_int_eq(vfs_read(f, 8190, text, sizeof text, &n), 0);
    ck_assert_uint_eq(n, 5);
    ck_assert_mem_eq(text, "hello", 5);
    ck_assert_int_eq(vfs_truncate(f, 8192), 0);
    ck_assert_int_eq(vfs_read(f, 8190, text, sizeof text, &n), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(vfs_read(f, 9000, text, sizeof text, &n), 0);
    ck_assert_uint_eq(n, 0);
    vfs_close(&f);
    ck_assert_ptr_null(f);
    vfs_close(&f);
}
END_TEST

START_TEST(how_it_is_opened)
{
    struct vfs_file *f, *g;
    ck_assert_int_eq(vfs_open(dir, "a", VFS_READ, &f), -ENOENT);
    ck_assert_int_eq(vfs_open(dir, "a", VFS_WRITE, &f), -ENOENT);
    ck_assert_int_eq(vfs_open(dir, "a", VFS_CREATE, &f), 0);
    ck_assert_int_eq(vfs_open(dir, "a", VFS_CREATE, &g), -EEXIST);
    ck_assert_int_eq(vfs_open(dir, "a", VFS_READ, &g), 0);
    ck_assert_int_eq(vfs_write(g, 0, "x", 1), -EBADF);
    vfs_close(&f);
    vfs_close(&g);
}
END_TEST

START_TEST(nobody_else_may_look)
{
    struct vfs_file *f;
    void *at;
    ck_assert_int_eq(vfs_open(dir, "a", VFS_CREATE, &f), 0);
    ck_assert_int_eq(vfs_lock(dir, "lock"), 0);
    ck_assert_int_eq(vfs_map(dir, "map", 4096, &at), 0);
    ck_assert_uint_eq(mode_of("."), 0700);
    ck_assert_uint_eq(mode_of("a"), 0600);
    ck_assert_uint_eq(mode_of("lock"), 0600);
    ck_assert_uint_eq(mode_of("map"), 0600);
    vfs_unmap(dir, at, 4096);
    vfs_close(&f);
}
END_TEST

START_TEST(one_lock_for_a_folder)
{
    struct vfs_dir *other;
    ck_assert_int_eq(vfs_lock(dir, "lock"), 0);
    ck_assert_int_eq(vfs_open_dir(path, false, &other), 0);
    ck_assert_int_eq(vfs_lock(other, "lock"), -EAGAIN);
    vfs_close_dir(&dir);
    ck_assert_int_eq(vfs_lock(other, "lock"), 0);
    dir = other;
}
END_TEST

START_TEST(names)
{
    struct vfs_file *f;
    ck_assert_int_eq(vfs_open(dir, "a", VFS_CREATE, &f), 0);
    vfs_close(&f);
    ck_assert_int_eq(vfs_rename(dir, "a", "b"), 0);
    ck_assert_int_eq(vfs_sync_dir(dir), 0);
    ck_assert_int_eq(vfs_rename(dir, "a", "b"), -ENOENT);
    ck_assert_int_eq(vfs_unlink(dir, "a"), -ENOENT);
    ck_assert_int_eq(vfs_open(dir, "b", VFS_READ, &f), 0);
    vfs_close(&f);
    ck_assert_int_eq(vfs_open_dir("/nowhere/at/all", true, &(struct vfs_dir *){ NULL }), -ENOENT);
}
END_TEST

START_TEST(a_map_outlives_its_mapping)
{
    void *at;
    ck_assert_int_eq(vfs_map(dir, "map", 8192, &at), 0);
    ck_assert_mem_eq(at, (char[8192]){ 0 }, 8192);
    memcpy((char *)at + 5000, "here", 4);
    vfs_unmap(dir, at, 8192);
    ck_assert_int_eq(vfs_map(dir, "map", 8192, &at), 0);
    ck_assert_mem_eq((char *)at + 5000, "here", 4);
    vfs_unmap(dir, at, 8192);
    vfs_unmap(dir, NULL, 8192);
}
END_TEST

START_TEST(checksums)
{
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(0, "", 0), 0);
    uint8_t bytes[100];
    for (int i = 0; i < 100; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        uint32_t whole = crc32c(7, bytes, n);
        ck_assert_uint_eq(whole, crc32c_by_table(7, bytes, n));
        ck_assert_uint_eq(whole, crc32c(crc32c(7, bytes, n / 3), bytes + n / 3, n - n / 3));
        ck_assert_uint_ne(whole, crc32c(8, bytes, n));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vfs");
    TCase *c = tcase_create("vfs");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, what_is_written_is_read);
    tcase_add_test(c, how_it_is_opened);
    tcase_add_test(c, nobody_else_may_look);
    tcase_add_test(c, one_lock_for_a_folder);
    tcase_add_test(c, names);
    tcase_add_test(c, a_map_outlives_its_mapping);
    tcase_add_test(c, checksums);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
