/*
 * SYNCFS is used only where syncfs is known to reach the device and to report its errors: on these file systems, from Linux 5.8 on. Elsewhere
 * each file is synced by itself, and the answer is as true.
 */
#include "tap.h"
#include "state_test.h"

enum { STATES = 3 };
static int64_t magic;
static const char *release;    /* what the kernel says of itself; NULL: nothing can be read */
static int release_fd = -1, release_error;
static int syncfs_error;
static struct {
    int whole, files, directories, renames, late;
    int after; /* syncfs calls after the last rename */
} made;

static int64_t hooked_fstatfs(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return magic;
}

static int32_t hooked_openat(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int is_release = strcmp(path, "/proc/sys/kernel/osrelease") == 0;
    (void)user;
    if (is_release && release_error != 0)
        return -release_error;
    int32_t fd = REAL->openat(NULL, dirfd, is_release ? "/dev/null" : path, flags, mode);
    if (is_release)
        release_fd = fd;
    return fd;
}

static int64_t hooked_read(void *user, int32_t fd, void *buf, size_t len)
{
    (void)user;
    if (fd != release_fd || release == NULL)
        return REAL->read(NULL, fd, buf, len);
    len = len < strlen(release) ? len : strlen(release);
    memcpy(buf, release, len);
    return (int64_t)len;
}

static int32_t hooked_close(void *user, int32_t fd)
{
    (void)user;
    if (fd == release_fd)
        release_fd = -1;
    return REAL->close(NULL, fd);
}

static int32_t hooked_syncfs(void *user, int32_t fd)
{
    (void)user, (void)fd;
    made.whole++, made.after++;
    return -syncfs_error;
}

static int32_t hooked_fsync(void *user, int32_t fd)
{
    struct stat st = { 0 };
    (void)user;
    fstat(fd, &st);
    S_ISDIR(st.st_mode) ? made.directories++ : made.files++;
    return 0;
}

static int32_t hooked_renameat(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    made.renames++, made.after = 0;
    /* What is published has been synced, one way or the other. */
    made.late += made.whole == 0 && made.files < STATES;
    return REAL->renameat(NULL, od, op, nd, np, flags);
}

static steadfast_context *c;
static int number;

static int batch(steadfast_save_entry entries[STATES])
{
    static char paths[STATES][400];
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_SYNCFS };
    memset(&made, 0, sizeof made);
    number++;
    for (int i = 0; i < STATES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/s%d", dir, i);
        entries[i] = (steadfast_save_entry){ .size = sizeof entries[i], .path = paths[i], .data = &number, .len = sizeof number };
    }
    report.size = sizeof report;
    return steadfast_state_save_batch(c, entries, STATES, &o, &report);
}

#define NO_SYNCFS ((test_absent() & STEADFAST_ABSENT_SYNCFS) != 0)
#define NO_PROC ((test_absent() & STEADFAST_ABSENT_PROC) != 0)

static void check(const char *what, int reaches)
{
    steadfast_save_entry entries[STATES];
    int status = batch(entries), wrong = 0;
    for (int i = 0; i < STATES; i++)
        wrong += entries[i].status != SAVED || entries[i].on_disk != (NO_DIR_FSYNC ? STEADFAST_ON_DISK_EITHER : STEADFAST_ON_DISK_NEW);
    int as_told = reaches && !NO_SYNCFS && !NO_PROC ? made.whole >= 1 && made.files == 0 : made.whole == 0 && made.files == STATES;
    ok(status == SAVED && wrong == 0 && as_told && made.renames == STATES && made.late == 0, "%s: %s", what,
       made.whole != 0 ? "syncfs" : "each file by itself");
    /* On btrfs, and only there, the names as well. */
    int names = made.whole != 0 && magic == 0x9123683e && !NO_DIR_FSYNC;
    ok(names ? made.after == 1 && made.directories == 0 : made.after == 0 && (made.directories != 0 || NO_DIR_FSYNC), "%s: its names by %s",
       what, names ? "another syncfs" : "fsync of the directory");
    if (!as_told || status != SAVED)
        diag("%s, %d syncfs, %d syncs of files, %d renames before them", steadfast_status_name(status), made.whole, made.files, made.late);
}

int main(void)
{
    static const struct {
        int64_t magic;
        const char *name;
        int reaches;
    } SYSTEMS[] = { { 0xef53, "ext4", 1 },           { 0x58465342, "xfs", 1 },      { 0x9123683e, "btrfs", 1 },
                    { 0xf2f52010, "f2fs", 1 },       { 0xca451a4e, "bcachefs", 1 }, { 0x01021994, "tmpfs", 1 },
                    { 0x794c7630, "overlay", 0 },    { 0x65735546, "FUSE", 0 },     { 0x6969, "NFS", 0 },
                    { 0xff534d42, "CIFS", 0 },       { 0xfe534d42, "SMB2", 0 },     { 0x01021997, "9p", 0 },
                    { 0x00c36400, "Ceph", 0 },       { 0x2fc12fc1, "ZFS", 0 },      { 0x4d44, "vfat", 0 },
                    { 0x2011bab0, "exFAT", 0 },      { 0x0bd00bd0, "Lustre", 0 },   { 0x12345678, "an unknown one", 0 },
                    { 0, "one without a number", 0 } };
    static const struct {
        const char *release;
        int error, reaches;
        const char *name;
    } KERNELS[] = { { "5.8.0\n", 0, 1, "Linux 5.8.0" },
                    { "5.8.0-63-generic\n", 0, 1, "Linux 5.8.0-63-generic" },
                    { "5.10\n", 0, 1, "Linux 5.10" },
                    { "6.1.0-rc1+\n", 0, 1, "Linux 6.1.0-rc1+" },
                    { "10.0.1\n", 0, 1, "Linux 10.0.1" },
                    { "5.7.19\n", 0, 0, "Linux 5.7.19" },
                    { "5.4.0-150-generic\n", 0, 0, "Linux 5.4.0-150-generic" },
                    { "4.18.0-553.el8\n", 0, 0, "Linux 4.18.0-553.el8" },
                    { "3.10.0\n", 0, 0, "Linux 3.10.0" },
                    { "unknown\n", 0, 0, "a kernel without a number" },
                    { "", 0, 0, "a kernel that says nothing" },
                    { "", ENOENT, 0, "no /proc" },
                    { "", EACCES, 0, "a /proc that may not be read" },
                    { "", EMFILE, 0, "no descriptor for it" } };
    steadfast_hooks h = test_hooks();
    dir = make_temp_dir("syncfs");
    h.fstatfs = hooked_fstatfs;
    h.openat = hooked_openat;
    h.read = hooked_read;
    h.close = hooked_close;
    h.syncfs = hooked_syncfs;
    h.fsync = hooked_fsync;
    h.renameat = hooked_renameat;
    c = test_context(&h);
    int fds = count_fds();
    release = "6.1.0\n";
    for (size_t i = 0; i < sizeof SYSTEMS / sizeof SYSTEMS[0]; i++) {
        magic = SYSTEMS[i].magic;
        check(SYSTEMS[i].name, SYSTEMS[i].reaches);
    }
    magic = 0xef53;
    for (size_t i = 0; i < sizeof KERNELS / sizeof KERNELS[0]; i++) {
        release = KERNELS[i].release;
        release_error = KERNELS[i].error;
        check(KERNELS[i].name, KERNELS[i].reaches);
    }
    release = "6.1.0\n";
    release_error = 0;
    magic = -EIO;
    check("fstatfs fails", 0);
    magic = 0xef53;
    syncfs_error = EIO;
    steadfast_save_entry entries[STATES];
    is_int(batch(entries), SAVED, "syncfs fails: the states are saved");
    is_int(made.files, STATES, "each is written again, and synced by itself");
    is_int(count_fds(), fds, "no descriptor stays open");
    ok(*leftovers(dir, "s0 s1 s2") == '\0', "nothing is left over%s", leftovers(dir, "s0 s1 s2"));
    steadfast_context_free(c);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
