/* The tables: ways of saving, and what may go wrong in one. A new flag of the library is one more line. */
#include "power.h"
#include "mutants.h"

#include <fcntl.h>

enum {
    KEEP = STEADFAST_SAVE_KEEP_PREVIOUS,
    STRICT = STEADFAST_SAVE_STRICT,
    SWAP = STEADFAST_SAVE_IF_GENERATION,
    NO_SYNC = STEADFAST_SAVE_NO_SYNC,
    SYNCFS = STEADFAST_SAVE_SYNCFS,
    IN_PLACE = STEADFAST_SAVE_IN_PLACE,
    ALTERNATE = STEADFAST_SAVE_ALTERNATE,
};

const struct way ways[] = {
    { .name = "plain" },
    { .name = "keep", .flags = KEEP },
    { .name = "strict", .flags = STRICT },
    { .name = "strict+keep", .flags = STRICT | KEEP },
    { .name = "no_sync", .flags = NO_SYNC },
    { .name = "no_sync+keep", .flags = NO_SYNC | KEEP },
    { .name = "swap", .flags = SWAP },
    { .name = "swap+keep", .flags = SWAP | KEEP },
    { .name = "swap+no_sync", .flags = SWAP | NO_SYNC },
    { .name = "swap+no_sync+keep", .flags = SWAP | NO_SYNC | KEEP },
    { .name = "batch", .batch = 1 },
    { .name = "batch+keep", .flags = KEEP, .batch = 1 },
    { .name = "batch+strict", .flags = STRICT, .batch = 1 },
    { .name = "batch+no_sync", .flags = NO_SYNC, .batch = 1 },
    { .name = "batch+syncfs", .flags = SYNCFS, .batch = 1 },
    { .name = "batch+syncfs+keep", .flags = SYNCFS | KEEP, .batch = 1 },
    { .name = "batch+many", .batch = 1, .fillers = 1 },
    { .name = "batch+many+keep", .flags = KEEP, .batch = 1, .fillers = 1 },
    { .name = "writer", .pieces = 1 },
    { .name = "writer+keep", .flags = KEEP, .pieces = 1 },
    { .name = "writer+strict", .flags = STRICT, .pieces = 1, .descriptor = 1 },
    { .name = "writer+no_sync", .flags = NO_SYNC, .pieces = 1 },
    { .name = "writer+no_sync+keep", .flags = NO_SYNC | KEEP, .pieces = 1, .descriptor = 1 },
    { .name = "writer+swap+keep", .flags = SWAP | KEEP, .pieces = 1 },
    { .name = "writer+descriptor", .pieces = 1, .descriptor = 1 },
    { .name = "in_place", .flags = IN_PLACE, .in_place = 1 },
    { .name = "in_place+strict", .flags = IN_PLACE | STRICT, .in_place = 1 },
    { .name = "in_place+no_sync", .flags = IN_PLACE | NO_SYNC, .in_place = 1 },
    { .name = "in_place+swap", .flags = IN_PLACE | SWAP, .in_place = 1 },
    { .name = "alternate", .flags = ALTERNATE, .tears_previous = 1 },
    { .name = "alternate+strict", .flags = ALTERNATE | STRICT, .tears_previous = 1 },
    { .name = "alternate+swap", .flags = ALTERNATE | SWAP, .tears_previous = 1 },
    { .name = "alternate+no_sync", .flags = ALTERNATE | NO_SYNC },
    { .name = "batch+alternate", .flags = ALTERNATE, .tears_previous = 1, .batch = 1 },
    { .name = "batch+alternate+syncfs", .flags = ALTERNATE | SYNCFS, .tears_previous = 1, .batch = 1 },
    { .name = "batch+many+alternate", .flags = ALTERNATE, .tears_previous = 1, .batch = 1, .fillers = 1 },
    { .name = "writer+alternate", .flags = ALTERNATE, .pieces = 1 },
    { .name = "old_recycle", .flags = KEEP, .tears_previous = 1, .mutant = old_recycle },
    { .name = "old_no_sync", .flags = NO_SYNC, .mutant = old_no_sync },
    { .name = "old_generation", .mutant = old_generation },
    { .name = "syncfs_then_fsync", .mutant = syncfs_then_fsync },
    { .name = "rename_previous", .flags = KEEP, .mutant = rename_previous },
    { .name = "attribute_first", .flags = NO_SYNC, .mutant = attribute_first },
    { .name = "no_copy", .mutant = no_copy },
    { .name = "unmarked_plain", .flags = NO_SYNC, .mutant = unmarked_plain },
};
const unsigned way_count = sizeof ways / sizeof *ways;

int may_be_plain(unsigned way)
{
    return !(ways[way].flags & ALTERNATE);
}

uint64_t ways_of_kind(unsigned kind, uint64_t set)
{
    for (unsigned i = 0; kind == PLAIN_FILES && i < way_count; i++)
        if (!may_be_plain(i))
            set &= ~(1ull << i);
    return set;
}

/* Of the save that is being made. */
static struct {
    int renames, syncs;
} counts;

static const steadfast_hooks *real(void)
{
    return steadfast_hooks_default();
}

static int is_directory(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
}

static int ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static void die(void)
{
    raise(SIGKILL);
    _exit(9);
}

static int32_t directory_sync_fails(void *user, int32_t fd)
{
    return is_directory(fd) ? -EIO : real()->fsync(user, fd);
}
static int32_t first_sync_fails(void *user, int32_t fd)
{
    return counts.syncs++ == 0 ? -EIO : real()->fsync(user, fd);
}
static int32_t file_syncs_fail(void *user, int32_t fd)
{
    return is_directory(fd) ? real()->fsync(user, fd) : -EIO;
}
static int32_t no_sync_at_all(void *user, int32_t fd)
{
    return (void)user, (void)fd, 0;
}
static int32_t no_directory_sync(void *user, int32_t fd)
{
    return is_directory(fd) ? 0 : real()->fsync(user, fd);
}

static int32_t dies_in_directory_sync(void *user, int32_t fd)
{
    if (is_directory(fd))
        die();
    return real()->fsync(user, fd);
}

static int32_t dies_in_file_sync(void *user, int32_t fd)
{
    if (!is_directory(fd))
        die();
    return real()->fsync(user, fd);
}

static int32_t waits_in_directory_sync(void *user, int32_t fd)
{
    if (is_directory(fd))
        usleep(1000 + (unsigned)(history->clock * 7919 % 15000));
    return real()->fsync(user, fd);
}

/* The first rename of a KEEP_PREVIOUS save gives the old state its second name; without a second one it is the last. */
static int32_t dies_after_rename(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    int32_t result = real()->renameat(user, from_dir, from, to_dir, to, flags);
    if (counts.renames++ == 0)
        die();
    return result;
}

static int32_t last_rename_fails(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    return ends_with(to, ".prev") ? real()->renameat(user, from_dir, from, to_dir, to, flags) : -EIO;
}

static __typeof__(((steadfast_hooks *)0)->renameat) rename_beneath;
static int32_t rename_of_mounted(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    struct stat there;
    if (to[0] != '.' && !ends_with(to, ".prev") && fstatat(to_dir, to, &there, AT_SYMLINK_NOFOLLOW) == 0)
        return -EBUSY;
    return rename_beneath(user, from_dir, from, to_dir, to, flags);
}
void mount_files(steadfast_hooks *hooks)
{
    rename_beneath = hooks->renameat ? hooks->renameat : real()->renameat;
    hooks->renameat = rename_of_mounted;
}

static int32_t few_descriptors(void *user, int32_t dir, const char *path, int32_t flags, uint32_t mode)
{
    return ends_with(path, ".prev") ? -EMFILE : real()->openat(user, dir, path, flags, mode);
}

static int32_t look_refused(void *user, int32_t dir, const char *path, steadfast_stat *out)
{
    return ends_with(path, ".prev") ? -EACCES : real()->fstatat(user, dir, path, out);
}

static int32_t no_byte_locks(void *user, int32_t fd, int32_t operation, int64_t start, int64_t len, int64_t *found)
{
    return (void)user, (void)fd, (void)operation, (void)start, (void)len, (void)found, -ENOLCK;
}

static int32_t no_links(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, int32_t flags)
{
    return (void)user, (void)from_dir, (void)from, (void)to_dir, (void)to, (void)flags, -EPERM;
}

static int64_t disk_is_full(void *user, int32_t fd, const void *data, size_t len)
{
    return (void)user, (void)fd, (void)data, (void)len, -ENOSPC;
}

/* Of an alternating state: the write of a slot is its sync as well. */
static int64_t slot_write_fails(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    return (void)user, (void)fd, (void)data, (void)len, (void)offset, -EIO;
}
static int64_t slot_is_torn(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    return real()->pwrite(user, fd, data, len / 2, offset);
}

/* The same by a descriptor whose writes are not synced. */
static int64_t write_unsynced(int32_t fd, const void *data, size_t len, uint64_t offset)
{
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int other = open(name, O_WRONLY | O_CLOEXEC);
    int64_t written = other < 0 ? -errno : pwrite(other, data, len, (off_t)offset);
    if (other >= 0)
        close(other);
    return written;
}
static int64_t slot_sync_fails(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    int64_t written = write_unsynced(fd, data, len, offset);
    return (void)user, written < 0 ? written : -EIO;
}
static int64_t dies_before_slot_write(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    die();
    return slot_write_fails(user, fd, data, len, offset);
}
static int64_t dies_in_slot_write(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    write_unsynced(fd, data, len / 2, offset);
    return dies_before_slot_write(user, fd, data, len, offset);
}
static int64_t dies_after_slot_write(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    real()->pwrite(user, fd, data, len, offset);
    return dies_before_slot_write(user, fd, data, len, offset);
}
/* Write and sync as two calls: one in three dies between them. */
static int64_t slot_write_then_sync(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    int64_t written = write_unsynced(fd, data, len, offset);
    if (history->clock % 3 == 0)
        die();
    return (void)user, written < 0 || fdatasync(fd) == 0 ? written : -errno;
}
static int64_t slot_unsynced(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    return (void)user, write_unsynced(fd, data, len, offset);
}

static void in_directory_sync_fails(steadfast_hooks *hooks)
{
    hooks->fsync = directory_sync_fails;
}
static void in_first_sync_fails(steadfast_hooks *hooks)
{
    counts.syncs = 0, hooks->fsync = first_sync_fails;
}
static void in_file_syncs_fail(steadfast_hooks *hooks)
{
    hooks->fsync = file_syncs_fail;
}
static void in_dies_in_directory_sync(steadfast_hooks *hooks)
{
    hooks->fsync = dies_in_directory_sync;
}
static void in_dies_in_file_sync(steadfast_hooks *hooks)
{
    hooks->fsync = dies_in_file_sync;
}
static void in_waits_in_directory_sync(steadfast_hooks *hooks)
{
    hooks->fsync = waits_in_directory_sync;
}
static void in_dies_after_rename(steadfast_hooks *hooks)
{
    counts.renames = 0, hooks->renameat = dies_after_rename;
}
static void in_last_rename_fails(steadfast_hooks *hooks)
{
    hooks->renameat = last_rename_fails;
}
static void in_few_descriptors(steadfast_hooks *hooks)
{
    hooks->openat = few_descriptors;
}
static void in_look_refused(steadfast_hooks *hooks)
{
    hooks->fstatat = look_refused;
}
static void in_no_byte_locks(steadfast_hooks *hooks)
{
    hooks->ofdlock = no_byte_locks;
}
static void in_no_links(steadfast_hooks *hooks)
{
    hooks->linkat = no_links;
}
static void in_disk_is_full(steadfast_hooks *hooks)
{
    hooks->write = disk_is_full;
}
static void in_slot_write_fails(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_write_fails;
}
static void in_slot_is_torn(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_is_torn;
}
static void in_slot_sync_fails(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_sync_fails;
}
static void in_all_syncs_fail(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_sync_fails, hooks->fsync = file_syncs_fail;
}
static void in_no_new_file(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_sync_fails, hooks->write = disk_is_full;
}
static void in_dies_before_slot_write(steadfast_hooks *hooks)
{
    hooks->pwrite = dies_before_slot_write;
}
static void in_dies_in_slot_write(steadfast_hooks *hooks)
{
    hooks->pwrite = dies_in_slot_write;
}
static void in_dies_after_slot_write(steadfast_hooks *hooks)
{
    hooks->pwrite = dies_after_slot_write;
}
static void in_slot_write_then_sync(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_write_then_sync;
}
static void in_slot_unsynced(steadfast_hooks *hooks)
{
    hooks->pwrite = slot_unsynced;
}
static void in_no_sync_at_all(steadfast_hooks *hooks)
{
    hooks->fsync = no_sync_at_all;
}
static void in_no_directory_sync(steadfast_hooks *hooks)
{
    hooks->fsync = no_directory_sync;
}

const struct fault faults[] = {
    { .name = "none" },
    { .name = "directory_sync_fails", .install = in_directory_sync_fails },
    { .name = "first_sync_fails", .install = in_first_sync_fails },
    { .name = "file_syncs_fail", .unsynced = 1, .install = in_file_syncs_fail },
    { .name = "dies_in_directory_sync", .dies = 1, .install = in_dies_in_directory_sync },
    { .name = "dies_in_file_sync", .dies = 1, .install = in_dies_in_file_sync },
    { .name = "waits_in_directory_sync", .install = in_waits_in_directory_sync },
    { .name = "dies_after_rename", .dies = 1, .install = in_dies_after_rename },
    { .name = "last_rename_fails", .install = in_last_rename_fails },
    { .name = "few_descriptors", .install = in_few_descriptors },
    { .name = "look_refused", .install = in_look_refused },
    { .name = "no_byte_locks", .install = in_no_byte_locks },
    { .name = "no_links", .install = in_no_links },
    { .name = "disk_is_full", .install = in_disk_is_full },
    { .name = "slot_write_fails", .install = in_slot_write_fails },
    { .name = "slot_is_torn", .install = in_slot_is_torn },
    { .name = "slot_sync_fails", .install = in_slot_sync_fails },
    { .name = "all_syncs_fail", .unsynced = 1, .install = in_all_syncs_fail },
    { .name = "no_new_file", .install = in_no_new_file },
    { .name = "dies_before_slot_write", .dies = 1, .install = in_dies_before_slot_write },
    { .name = "dies_in_slot_write", .dies = 1, .install = in_dies_in_slot_write },
    { .name = "dies_after_slot_write", .dies = 1, .install = in_dies_after_slot_write },
    { .name = "slot_write_then_sync", .mutant = 1, .dies = 1, .install = in_slot_write_then_sync },
    { .name = "slot_unsynced", .mutant = 1, .install = in_slot_unsynced },
    { .name = "no_sync_at_all", .mutant = 1, .install = in_no_sync_at_all },
    { .name = "no_directory_sync", .mutant = 1, .install = in_no_directory_sync },
};
const unsigned fault_count = sizeof faults / sizeof *faults;

int sync_directory(const struct fault *fault, int fd)
{
    steadfast_hooks hooks = steadfast_hooks_init();
    if (fault->install)
        fault->install(&hooks);
    return hooks.fsync ? hooks.fsync(NULL, fd) : fsync(fd) ? -errno : 0;
}
