/*
 * State files on disks that fail, and where something is in the way: orphans, links, missing directories, a
 * sync that fails, a rename that happened but was answered with an error, a bind-mounted file.
 */
#include "tap.h"
#include "state_test.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>

static void links(void)
{
    char d[300];
    struct stat st;
    snprintf(d, sizeof d, "%s", fresh("links"));
    save(in(d, "real"), "one", 0);
    if (symlink("real", in(d, "link")) != 0 || symlink("absent", in(d, "dangling")) != 0 || symlink("loop", in(d, "loop")) != 0
        || mkdir(in(d, "sub"), 0700) != 0 || symlink("../link", in(d, "sub/far")) != 0)
        bail_out("symlink: %s", strerror(errno));
    is_int(save(in(d, "link"), "two", 0), STEADFAST_E_SYMLINK, "a save to a symbolic link is refused");
    ok(holds(in(d, "real"), "one") && holds(in(d, "link"), "one"), "nothing changes; a load follows the link");
    is_int(save(in(d, "link"), "two", STEADFAST_SAVE_FOLLOW_SYMLINK), SAVED, "FOLLOW_SYMLINK saves");
    ok(lstat(in(d, "link"), &st) == 0 && S_ISLNK(st.st_mode) && holds(in(d, "real"), "two"), "to what the link points to; the link stays");
    is_int(save(in(d, "sub/far"), "three", STEADFAST_SAVE_FOLLOW_SYMLINK), SAVED, "through two relative links");
    ok(holds(in(d, "real"), "three") && *leftovers(in(d, "sub"), "far") == '\0', "to the end of them");
    is_int(save(in(d, "dangling"), "new", STEADFAST_SAVE_FOLLOW_SYMLINK), SAVED, "a dangling link is followed to a new file");
    ok(holds(in(d, "absent"), "new"), "which is made");
    is_int(save(in(d, "loop"), "x", STEADFAST_SAVE_FOLLOW_SYMLINK), -ELOOP, "a loop of links is -ELOOP");
    is_int(report.step, STEADFAST_STEP_READ_LINK, "at the link");
    ok(*leftovers(d, "real link dangling absent loop sub") == '\0', "nothing is left over");
}

static void parents(void)
{
    char d[300];
    snprintf(d, sizeof d, "%s", fresh("parents"));
    is_int(save(in(d, "a/b/c/state"), "x", 0), -ENOENT, "without CREATE_PARENTS a missing directory is -ENOENT");
    ok(report.step == STEADFAST_STEP_OPEN_DIRECTORY && count_entries(d) == 0, "and nothing is made");
    is_int(save(in(d, "a/b/c/state"), "x", STEADFAST_SAVE_CREATE_PARENTS), SAVED, "CREATE_PARENTS makes them");
    ok(holds(in(d, "a/b/c/state"), "x"), "and saves");
    write_text(in(d, "file"), "");
    is_int(save(in(d, "file/b/state"), "x", STEADFAST_SAVE_CREATE_PARENTS), -ENOTDIR, "over a file it is -ENOTDIR");
}

static void orphans(void)
{
    char d[300];
    int fd;
    struct stat before, after;
    snprintf(d, sizeof d, "%s", fresh("orphans"));
    write_text(in(d, ".s.0.tmp"), "half a st");
    is_int(save(in(d, "s"), "x", 0), SAVED, "a save beside the orphan of a killed writer");
    if (NO_FLOCK)
        ok(exists(in(d, ".s.0.tmp")), "without flock (absent) it stays");
    else
        ok(*leftovers(d, "s") == '\0', "removes it");

    write_text(in(d, ".s.0.tmp"), "of a live writer");
    fd = open(in(d, ".s.0.tmp"), O_RDWR | O_CLOEXEC);
    flock(fd, LOCK_EX);
    fstat(fd, &before);
    is_int(save(in(d, "s"), "y", 0), SAVED, "a save beside the temporary file of a live writer");
    ok(lstat(in(d, ".s.0.tmp"), &after) == 0 && after.st_ino == before.st_ino && after.st_size == 16, "passes it over");
    ok(*leftovers(d, "s .s.0.tmp") == '\0' && holds(in(d, "s"), "y"), "and leaves none of its own");
    close(fd);
    unlink(in(d, ".s.0.tmp"));

    if (mkdir(in(d, ".s.0.tmp"), 0700) != 0 || symlink("s", in(d, ".s.1.tmp")) != 0)
        bail_out("mkdir: %s", strerror(errno));
    is_int(save(in(d, "s"), "z", 0), SAVED, "a directory and a link under temporary names");
    ok(holds(in(d, "s"), "z") && exists(in(d, ".s.0.tmp")) && exists(in(d, ".s.1.tmp")), "are passed over");
    if (geteuid() == 0) {
        rmdir(in(d, ".s.0.tmp"));
        unlink(in(d, ".s.1.tmp"));
        write_text(in(d, ".s.0.tmp"), "another user's");
        if (chown(in(d, ".s.0.tmp"), 1234, 1234) != 0)
            bail_out("chown: %s", strerror(errno));
        is_int(save(in(d, "s"), "z", 0), SAVED, "another user's file under a temporary name");
        ok(exists(in(d, ".s.0.tmp")), "is passed over");
        if (chown(in(d, "s"), 1234, 1234) != 0)
            bail_out("chown: %s", strerror(errno));
        is_int(save(in(d, "s"), "z", 0), SAVED, "root, over the state of a user who has an orphan there");
        ok(NO_FLOCK || !exists(in(d, ".s.0.tmp")), "takes it for a killed saver's of root, who had given it away already");
    } else {
        skip("needs root", "another user's file under a temporary name");
    }
}

static void failed_syncs(void)
{
    char d[300], path[320];
    struct faults f = { .only = STEADFAST_CALL_FSYNC, .fail_at = 1, .error = EIO };
    steadfast_context *c = faults_context(&f);
    int first, second;
    struct stat st;
    snprintf(d, sizeof d, "%s", fresh("syncs"));
    snprintf(path, sizeof path, "%s/s", d);
    save(path, "older", 0);
    save(path, "old", 0);
    is_int(save_with(c, path, "new", 0), SAVED, "a file fsync that fails once: saved all the same");
    first = faults_find(&f, 0, STEADFAST_CALL_FSYNC, 0);
    second = faults_find(&f, first + 1, STEADFAST_CALL_FSYNC, 0);
    ok(first >= 0 && second >= 0 && f.event[first].inode != f.event[second].inode, "by a fresh inode");
    ok(holds(path, "new") && *leftovers(d, "s") == '\0', "the first one is gone");

    f.for_ever = 1;
    faults_reset(&f);
    is_int(save_with(c, path, "newer", 0), STEADFAST_NOT_DURABLE, "a file fsync that fails for ever: saved, NOT_DURABLE");
    ok(faults_find(&f, 0, STEADFAST_CALL_FSYNC, 1) < 0, "and the directory is not synced");
    if (NO_LINK) {
        /* Kept by a copy, which cannot be synced either; an unsynced one must not take the place of a good one. */
        is_int(f.made[STEADFAST_CALL_FSYNC], 3, "after two attempts, and one for the copy");
        ok(holds(path, "newer") && !exists(in(d, "s.prev")), "no unsynced copy becomes the previous one");
    } else {
        is_int(f.made[STEADFAST_CALL_FSYNC], 2, "after two attempts");
        ok(holds(path, "newer") && holds(in(d, "s.prev"), "new"), "the old state is kept as the previous one");
        save_with(c, path, "newest", 0);
        ok(holds(path, "newest") && holds(in(d, "s.prev"), "new"), "a state that was never synced does not take the place of one that was");
        save(path, "newest, synced", STEADFAST_SAVE_KEEP_PREVIOUS);
        ok(holds(in(d, "s.prev"), "new") && stat(path, &st) == 0 && (st.st_mode & S_ISVTX) == 0,
           "nor when the disk works again, and the mark goes with it");
    }

    f.error = EINVAL;
    faults_reset(&f);
    is_int(save_with(c, path, "unsynced", 0), STEADFAST_NOT_DURABLE, "fsync is not supported: NOT_DURABLE");
    /* Without hard links one more, for the copy of the old state. */
    ok(f.made[STEADFAST_CALL_FSYNC] == (NO_LINK ? 2 : 1) && report.os_error == EINVAL && report.step == STEADFAST_STEP_SYNC_FILE,
       "no second attempt, no directory fsync, the report says why");
    if (!NO_DIR_FSYNC) {
        f = (struct faults){ .only = STEADFAST_CALL_FSYNC, .fail_at = 2, .error = EIO };
        is_int(save_with(c, path, "named", 0), STEADFAST_NOT_DURABLE, "the directory's fsync fails: NOT_DURABLE");
        ok(report.step == STEADFAST_STEP_SYNC_DIRECTORY && report.os_error == EIO && report.on_disk == STEADFAST_ON_DISK_EITHER,
           "the report says which");
    }
    steadfast_context_free(c);
}

static int blind;

/* What NFS does when the answer to a rename was lost: it is sent again, and fails. One that is refused has not happened. */
static int32_t rename_answered_wrongly(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    int32_t result = REAL->renameat(NULL, od, op, nd, np, flags);
    if (result < 0)
        return result;
    blind = blind != 0 ? 2 : 0;
    return -ENOENT;
}

static int32_t fstatat_blind(void *user, int32_t dirfd, const char *path, steadfast_stat *out)
{
    (void)user;
    return blind == 2 ? -EIO : REAL->fstatat(NULL, dirfd, path, out);
}

static int32_t fsync_of_files_fails(void *user, int32_t fd)
{
    struct stat st;
    (void)user;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? -EIO : steadfast_hooks_default()->fsync(NULL, fd);
}
static int32_t no_link(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user, (void)od, (void)op, (void)nd, (void)np, (void)flags;
    return -EIO;
}

static void nfs_rename(void)
{
    char d[300];
    steadfast_hooks table = test_hooks();
    steadfast_context *c;
    snprintf(d, sizeof d, "%s", fresh("nfs"));
    table.renameat = rename_answered_wrongly;
    table.fstatat = fstatat_blind;
    c = test_context(&table);
    save(in(d, "s"), "old", 0);
    is_int(save_with(c, in(d, "s"), "new", 0), SAVED, "a rename that happened, though it was answered with an error");
    ok(holds(in(d, "s"), "new") && *leftovers(d, "s") == '\0', "is recognised");
    is_int(save_with(c, in(d, "s"), "kept", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "that of the previous generation too");
    ok(holds(in(d, "s"), "kept") && holds(in(d, "s.prev"), "new") && *leftovers(d, "s s.prev") == '\0', "and nothing is left over");
    blind = 1;
    is_int(save_with(c, in(d, "s"), "who knows", 0), STEADFAST_E_INDETERMINATE, "whether it happened cannot be seen: E_INDETERMINATE");
    ok(report.on_disk == STEADFAST_ON_DISK_EITHER && report.step == STEADFAST_STEP_RENAME && report.os_error == ENOENT,
       "the report says EITHER and names the rename");
    steadfast_context_free(c);
    blind = 0;
    save(in(d, "s"), "old", 0);
    table.fsync = fsync_of_files_fails;
    table.linkat = no_link;
    c = test_context(&table);
    blind = 1;
    is_int(save_with(c, in(d, "s"), "who knows", 0), STEADFAST_E_INDETERMINATE,
           "nor can it after a failed sync, and the old state is not kept");
    is_int(report.on_disk, STEADFAST_ON_DISK_UNKNOWN, "the report says UNKNOWN");
    steadfast_context_free(c);
}

/* In a mount namespace of its own: 0, 77 when there are none, or the number of the check that failed. */
static int bind_mounted(const char *d)
{
    const char *path = in(d, "s");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0
        || mount(path, path, "none", MS_BIND, NULL) != 0)
        return 77;
    if (save(path, "new", 0) != -EBUSY)
        return 1;
    if (report.os_error != EBUSY || strstr(report.message, "mount") == NULL || strstr(report.message, path) == NULL)
        return 2;
    if (!holds(path, "old") || *leftovers(d, "s") != '\0')
        return 3;
    if (NO_FLOCK || NO_DIR_FSYNC)
        return 0;
    if (save(path, "in place", STEADFAST_SAVE_IN_PLACE) != 0)
        return 4;
    return holds(path, "in place") && holds(in(d, "s.prev"), "old") && *leftovers(d, "s s.prev") == '\0' ? 0 : 5;
}

static void bind_mount(void)
{
    char d[300];
    pid_t child;
    int status;
    if (geteuid() != 0) {
        skip("needs root", "a bind-mounted file is -EBUSY");
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("bind"));
    save(in(d, "s"), "old", 0);
    child = fork_child();
    if (child == 0)
        _exit(bind_mounted(d));
    status = wait_for(child);
    if (status == 77)
        skip("no mount namespaces here", "a bind-mounted file is -EBUSY");
    else
        is_int(status, 0, "a bind-mounted file is -EBUSY, explained, and nothing changes; IN_PLACE writes it");
}

int main(void)
{
    int fds;
    dir = make_temp_dir("disk");
    context = test_context(NULL);
    fds = count_fds();
    links();
    parents();
    orphans();
    failed_syncs();
    nfs_rename();
    bind_mount();
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
