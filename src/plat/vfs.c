/* SPDX-License-Identifier: Apache-2.0
 *
 * The real disk. Where a file system has no fallocate(2) space is not reserved, so a write may find the disk full.
 */
#include "plat/vfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"

enum { DIR_MODE = 0700, FILE_MODE = 0600 };

struct real_dir {
    struct vfs_dir dir;
    int fd;
    int lock_fd; /* -1: not locked */
};

struct real_file {
    struct vfs_file file;
    int fd;
};

static const struct vfs_ops real_ops;

static int dir_fd(struct vfs_dir *d)
{
    return CONTAINER_OF(d, struct real_dir, dir)->fd;
}

static int file_fd(struct vfs_file *f)
{
    return CONTAINER_OF(f, struct real_file, file)->fd;
}

static int result(int r)
{
    return r < 0 ? -errno : 0;
}

/* ---- folders ---- */

/* A new folder's name is in the folder above, which is therefore synced. */
static int make_dir(const char *path)
{
    if (mkdir(path, DIR_MODE) < 0)
        return errno == EEXIST ? 0 : -errno;
    char *above = strdup(path);
    if (above == NULL)
        return PEN_ENOMEM;
    char *slash = strrchr(above, '/');
    if (slash != NULL)
        slash[slash == above ? 1 : 0] = '\0';
    int fd = open(slash != NULL ? above : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(above);
    int r = fd < 0 ? -errno : result(fsync(fd));
    if (fd >= 0)
        close(fd);
    return r;
}

int vfs_open_dir(const char *path, bool create, struct vfs_dir **ret_dir)
{
    int r = create ? make_dir(path) : 0;
    if (r < 0)
        return r;
    struct real_dir *d = malloc(sizeof *d);
    if (d == NULL)
        return PEN_ENOMEM;
    *d = (struct real_dir){ .dir.ops = &real_ops, .lock_fd = -1 };
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0) {
        r = -errno;
        free(d);
        return r;
    }
    *ret_dir = &d->dir;
    return 0;
}

static void real_close_dir(struct vfs_dir *dir)
{
    struct real_dir *d = CONTAINER_OF(dir, struct real_dir, dir);
    close(d->fd);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d);
}

static int real_rename(struct vfs_dir *d, const char *from, const char *to)
{
    return result(renameat(dir_fd(d), from, dir_fd(d), to));
}

static int real_unlink(struct vfs_dir *d, const char *name)
{
    return result(unlinkat(dir_fd(d), name, 0));
}

static int real_sync_dir(struct vfs_dir *d)
{
    return result(fsync(dir_fd(d)));
}

static int real_list(struct vfs_dir *d, vfs_name_fn *fn, void *arg)
{
    int fd = openat(dir_fd(d), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd < 0 ? NULL : fdopendir(fd);
    if (all == NULL) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(all)) != NULL; errno = 0)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            fn(arg, e->d_name);
    int r = -errno;
    closedir(all);
    return r;
}

static int real_lock(struct vfs_dir *dir, const char *name)
{
    struct real_dir *d = CONTAINER_OF(dir, struct real_dir, dir);
    int fd = openat(d->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    d->lock_fd = fd;
    return 0;
}

static int map_fd(int fd, size_t bytes, void **ret_at)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    /* Allocated, because a page that finds no space when it is written kills the process. */
    if (st.st_size < (off_t)bytes) {
        int e = posix_fallocate(fd, 0, (off_t)bytes);
        if (e != 0)
            return -e;
    }
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *ret_at = at;
    return 0;
}

static int real_map(struct vfs_dir *d, const char *name, size_t bytes, void **ret_at)
{
    int fd = openat(dir_fd(d), name, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return -errno;
    int r = map_fd(fd, bytes, ret_at);
    close(fd);
    return r;
}

static void real_unmap(struct vfs_dir *d, void *at, size_t bytes)
{
    (void)d;
    (void)munmap(at, bytes);
}

/* ---- files ---- */

static int real_open(struct vfs_dir *d, const char *name, enum vfs_open how,
                     struct vfs_file **ret_file)
{
    static const int flags[] = {
        [VFS_READ] = O_RDONLY, [VFS_WRITE] = O_RDWR, [VFS_CREATE] = O_RDWR | O_CREAT | O_EXCL
    };
    struct real_file *f = malloc(sizeof *f);
    if (f == NULL)
        return PEN_ENOMEM;
    f->file.ops = &real_ops;
    f->fd = openat(dir_fd(d), name, flags[how] | O_CLOEXEC, FILE_MODE);
    if (f->fd < 0) {
        int r = -errno;
        free(f);
        return r;
    }
    *ret_file = &f->file;
    return 0;
}

static void real_close(struct vfs_file *file)
{
    struct real_file *f = CONTAINER_OF(file, struct real_file, file);
    close(f->fd);
    free(f);
}

static int real_read(struct vfs_file *f, uint64_t at, void *to, size_t n, size_t *ret_read)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = pread(file_fd(f), (char *)to + done, n - done, (off_t)(at + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    *ret_read = done;
    return 0;
}

static int real_write(struct vfs_file *f, uint64_t at, const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = pwrite(file_fd(f), (const char *)from + done, n - done, (off_t)(at + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        done += (size_t)r;
    }
    return 0;
}

static int real_sync(struct vfs_file *f)
{
    return result(fdatasync(file_fd(f)));
}

static int real_allocate(struct vfs_file *f, uint64_t bytes)
{
    int r;
    do {
        r = fallocate(file_fd(f), 0, 0, (off_t)bytes);
    } while (r < 0 && errno == EINTR);
    if (r == 0 || errno != EOPNOTSUPP)
        return result(r);
    return result(ftruncate(file_fd(f), (off_t)bytes));
}

static int real_truncate(struct vfs_file *f, uint64_t bytes)
{
    return result(ftruncate(file_fd(f), (off_t)bytes));
}

static int real_size(struct vfs_file *f, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(file_fd(f), &st) < 0)
        return -errno;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

static const struct vfs_ops real_ops = {
    .open = real_open,
    .rename = real_rename,
    .unlink = real_unlink,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .lock = real_lock,
    .map = real_map,
    .unmap = real_unmap,
    .close_dir = real_close_dir,
    .read = real_read,
    .write = real_write,
    .sync = real_sync,
    .allocate = real_allocate,
    .truncate = real_truncate,
    .size = real_size,
    .close = real_close,
};
