/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated disk: one folder, in memory, that does to its user all that a real one may do.
 *
 * What was not synced may be lost at a crash, in units of a sector and in any combination: of a file's content each sector
 * that was written since the file's last sync survives or not, of its length the old one or the new; and of what
 * was done to names since the folder's last sync any part survives, in order. A write during which it crashes has
 * reached any subset of its sectors. Everything is decided by a seed.
 */
#ifndef TESTS_VFS_SIM_H
#define TESTS_VFS_SIM_H

#include "plat/vfs.h"

enum sim_call {
    SIM_OPEN,
    SIM_CREATE,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_SYNC_DIR,
    SIM_LIST,
    SIM_LOCK,
    SIM_READ,
    SIM_WRITE,
    SIM_SYNC,
    SIM_ALLOCATE,
    SIM_TRUNCATE,
    SIM_SIZE,
    SIM_CALLS
};

struct sim_disk;

struct sim_disk *sim_new(uint64_t seed);
void sim_free(struct sim_disk *d);

/* The folder, to be opened once at a time. */
struct vfs_dir *sim_dir(struct sim_disk *d);

/* The machine loses power within the n-th call from now on that changes something (1: the next one). From then on every
 * call fails with -EIO until sim_reboot(). 0: it does not. */
void sim_crash_after(struct sim_disk *d, uint64_t n);
bool sim_crashed(const struct sim_disk *d);
/* Changing calls since the disk was made. */
uint64_t sim_changes(const struct sim_disk *d);
/* What is left after the loss of power. Files that are open stay so to whoever has them, and tell -EIO. */
void sim_reboot(struct sim_disk *d);
/* The process was killed: nothing written is lost, but the lock. */
void sim_kill(struct sim_disk *d);

/* The n-th call of that kind from now on (1: the next one) fails with this error, once or from then on. */
void sim_fail(struct sim_disk *d, enum sim_call call, uint64_t n, int error, bool for_ever);
bool sim_has_failed(const struct sim_disk *d);
void sim_heal(struct sim_disk *d);

/* So many bytes fit; UINT64_MAX: any number. */
void sim_set_space(struct sim_disk *d, uint64_t bytes);

/* Lies, to see whether they are noticed: such calls say that they have synced. The phase is the test's own word. */
enum sim_lie {
    SIM_LIE_SYNC = 1,
    SIM_LIE_SYNC_DIR = 2,
    SIM_LIE_SYNC_HEADER = 4,
    SIM_LIE_SYNC_RECOVERY = 8
};
void sim_lie(struct sim_disk *d, unsigned lies);
void sim_set_recovering(struct sim_disk *d, bool recovering);

/* Files as they are now, for damaging them: their number, and a file's name, length and bytes. */
size_t sim_files(const struct sim_disk *d);
const char *sim_file(struct sim_disk *d, size_t i, uint8_t **ret_data, uint64_t *ret_bytes);
void sim_cut(struct sim_disk *d, size_t i, uint64_t bytes);

/* The same disk once more, as it is now. */
struct sim_disk *sim_copy(const struct sim_disk *d);

#endif
