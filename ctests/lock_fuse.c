/* FUSE over files of this machine is told from FUSE over a network by the type of its mount. Hooks stand for both. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <sys/file.h>
#include <sys/sysmacros.h>

static char *dir, *lock, *table;
static steadfast_context *context;
static int stale_opens; /* the lock is replaced each time somebody opens it */

static int64_t fstatfs_hook(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0x65735546;
}

static int32_t openat_hook(void *user, int32_t at, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    if (strcmp(path, "/proc/self/mountinfo") == 0)
        path = table;
    if (stale_opens > 0 && strcmp(path, "lock") == 0 && (flags & O_CREAT) == 0) {
        stale_opens--;
        return -ESTALE;
    }
    return steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
}

/* The table of mounts says that the directory is on a mount of this type; NULL: it does not say it. */
static void mount_is(const char *type)
{
    struct stat st;
    FILE *file = fopen(table, "we");
    if (file == NULL || stat(dir, &st) != 0)
        bail_out("%s: %s", table, strerror(errno));
    unsigned numbers[2] = { major(st.st_dev), minor(st.st_dev) };
    fprintf(file, "25 1 %u:%u / / rw,relatime shared:1 - ext4 /dev/root rw\n", numbers[0] + 1, numbers[1]);
    fprintf(file, "26 25 %u:%u / /b rw,nosuid shared:2 master:1 - fuse.bindfs /a rw,user_id=0\n", numbers[0], numbers[1] + 1);
    /* A line longer than what a reader takes at once. */
    fprintf(file, "27 25 %u:%u / /c rw - overlay overlay rw", numbers[0] + 2, numbers[1]);
    for (int i = 0; i < 200; i++)
        fprintf(file, ",lowerdir=/a/rather/long/path/to/a/layer/%d", i);
    fprintf(file, "\n28 25 %u:%u / /d rw shared:3 - fuse.sshfs host:/ rw,user_id=0\n", numbers[0] + 3, numbers[1]);
    if (type != NULL)
        fprintf(file, "29 25 %u:%u /sub /with\\040-\\040dash rw,nosuid shared:4 master:3 propagate_from:2 - %s source rw,user_id=0\n",
                numbers[0], numbers[1], type);
    fprintf(file, "30 25 %u:%u / /e rw - fuse.mergerfs a:b rw,user_id=0\n", numbers[0] + 4, numbers[1]);
    if (fclose(file) != 0)
        bail_out("%s: %s", table, strerror(errno));
}

static int hold_here(void *arg)
{
    static steadfast_lock *held;
    return steadfast_lock_acquire(context, arg, 0, NULL, &held, NULL);
}

/* Locks of dead processes: a foreign one, our own, our own of another boot. */
static void dead_locks(const char *name, int local)
{
    struct attribute attribute;
    int result;
    int32_t foreign = local ? removed() : STEADFAST_LOCK_UNDECIDED;

    write_pid(lock, dead_pid());
    probe(context, dir, lock, NULL, foreign, "%s: a foreign lock of a dead process: %s", name, local ? "REMOVED" : "UNDECIDED");
    unlink(lock);
    if (!has(STEADFAST_ABSENT_FLOCK))
        return;

    pid_t holder = start(hold_here, lock, &result);
    int live = judge_probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD);
    int attributed = read_attribute(lock, &attribute) && can_tell;
    stop(holder);
    int dead = judge_probe(context, dir, lock, NULL, attributed ? removed() : foreign);
    ok(result == 0 && live && dead, "%s: our lock: HELD, and its holder killed: %s", name, attributed || local ? "REMOVED" : "UNDECIDED");
    unlink(lock);
    if (!attributed)
        return;

    leave_lock(lock);
    read_attribute(lock, &attribute);
    attribute.boot ^= 1;
    forge(lock, getpid(), &attribute);
    probe(context, dir, lock, NULL, foreign, "%s: our lock of another boot, or machine: %s", name, local ? "REMOVED" : "UNDECIDED");
    unlink(lock);
}

/* gocryptfs gives an inode number to another file while the first one is open: a flock that is held may look free, and its holder may be a
 * process of another PID namespace. Only our own attribute says whose it is. */
static void of_unseen_flocks(const char *name)
{
    struct attribute attribute;
    write_pid(lock, dead_pid());
    probe(context, dir, lock, NULL, STEADFAST_LOCK_UNDECIDED, "%s: a foreign lock of a dead process: UNDECIDED", name);
    unlink(lock);
    if (!has(STEADFAST_ABSENT_FLOCK))
        return;
    leave_lock(lock);
    int attributed = read_attribute(lock, &attribute) && can_tell;
    probe(context, dir, lock, NULL, attributed ? removed() : STEADFAST_LOCK_UNDECIDED, "%s: our lock of a dead process: %s", name,
          attributed ? "REMOVED" : "UNDECIDED");
    if (!attributed)
        return;
    leave_lock(lock);
    read_attribute(lock, &attribute);
    attribute.pid_namespace ^= 1;
    forge(lock, dead_pid(), &attribute);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_UNDECIDED, "%s: our lock of another PID namespace: UNDECIDED", name);
    unlink(lock);
}

static void types(void)
{
    static const char *const here[] = { "fuseblk", "fuse.bindfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.fuse-overlayfs", "fuse.encfs" };
    static const char *const anywhere[] = { "fuse.sshfs", "fuse.glusterfs", "fuse", "fuse.unheard-of", "fuse.bindfs2", "fuse.bind" };
    int tells = has(STEADFAST_ABSENT_PROC);
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
        mount_is(here[i]);
        dead_locks(here[i], tells);
    }
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++) {
        mount_is(anywhere[i]);
        dead_locks(anywhere[i], 0);
    }
    mount_is("fuse.gocryptfs");
    of_unseen_flocks("fuse.gocryptfs");
    mount_is(NULL);
    dead_locks("a mount that the table does not name", 0);
    unlink(table);
    dead_locks("a table that cannot be read", 0);
}

static void taken(void)
{
    static steadfast_lock *held;
    steadfast_report report = { .size = sizeof report };
    mount_is("fuse.bindfs");
    int32_t status = steadfast_lock_acquire(context, lock, 0, NULL, &held, &report);
    int warned = strstr(report.message, "network") != NULL;
    ok(status == 0 && warned == !has(STEADFAST_ABSENT_PROC), "acquire on local FUSE %s",
       warned ? "warns, as nothing tells here" : "warns of no network");
    steadfast_lock_release(held, NULL);
    mount_is("fuse.sshfs");
    report = (steadfast_report){ .size = sizeof report };
    status = steadfast_lock_acquire(context, lock, 0, NULL, &held, &report);
    ok(status == 0 && strstr(report.message, "network") != NULL, "acquire on FUSE over a network warns of it");
    ok(steadfast_lock_release(held, NULL) == 0 && !exists(lock), "and the lock is released");
    unlink(table);
}

/* Another process has taken our empty file for a dead one's. Its own file has the same number, which the server uses again. */
static char text_of_theirs[30];
static ino_t our_number;
static int their_file = -1;

static int64_t write_hook(void *user, int32_t fd, const void *data, size_t len)
{
    (void)user;
    struct stat st;
    if (their_file < 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        our_number = st.st_ino;
        unlink(lock);
        their_file = open(lock, O_RDWR | O_CREAT | O_EXCL, 0644);
        if (their_file < 0 || flock(their_file, LOCK_EX) != 0 || dprintf(their_file, "%s", text_of_theirs) < 0)
            bail_out("%s: %s", lock, strerror(errno));
    }
    return steadfast_hooks_default()->write(NULL, fd, data, len);
}

static int32_t fstat_hook(void *user, int32_t fd, steadfast_stat *out)
{
    (void)user;
    struct stat theirs;
    int32_t result = steadfast_hooks_default()->fstat(NULL, fd, out);
    if (result == 0 && their_file >= 0 && fstat(their_file, &theirs) == 0 && out->ino == theirs.st_ino)
        out->ino = our_number;
    return result;
}

static void same_number(void)
{
    static steadfast_lock *held;
    steadfast_hooks hooks = test_hooks();
    hooks.fstatfs = fstatfs_hook;
    hooks.openat = openat_hook;
    hooks.write = write_hook;
    hooks.fstat = fstat_hook;
    steadfast_context *c = test_context(&hooks);
    mount_is("fuse.gocryptfs");
    snprintf(text_of_theirs, sizeof text_of_theirs, "%ld\n", (long)getppid());
    is_int(steadfast_lock_acquire(c, lock, 0, NULL, &held, NULL), STEADFAST_E_LOCKED, "a file of another one, with our number: E_LOCKED");
    ok(their_file >= 0 && exists(lock), "it is there");
    close(their_file), unlink(lock), unlink(table);
    steadfast_context_free(c);
}

/* A lock that changes hands at each look. */
static void replaced(void)
{
    static steadfast_lock *held;
    mount_is("fuse.mergerfs");
    write_pid(lock, dead_pid());
    stale_opens = 2;
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_CHANGED, "a lock that is replaced at each look: CHANGED");
    ok(stale_opens == 0 && exists(lock), "after two looks, and it is there");
    stale_opens = 5;
    int32_t status = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
    if (has(STEADFAST_ABSENT_PROC)) {
        is_int(status, 0, "acquire looks again: taken");
        steadfast_lock_release(held, NULL);
    } else {
        is_int(status, STEADFAST_E_LOCKED, "acquire looks again: E_LOCKED, as nothing tells here");
    }
    is_int(stale_opens, 0, "after all of them");
    unlink(lock), unlink(table);
}

int main(void)
{
    dir = make_temp_dir("fuse");
    lock = strdup(in(dir, "lock"));
    char *beside = make_temp_dir("mounts");
    table = strdup(in(beside, "mountinfo"));
    steadfast_hooks hooks = test_hooks();
    hooks.fstatfs = fstatfs_hook;
    hooks.openat = openat_hook;
    context = test_context(&hooks);
    types();
    if (has(STEADFAST_ABSENT_FLOCK))
        taken(), replaced(), same_number();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    steadfast_context_free(context);
    remove_tree(dir);
    remove_tree(beside);
    free(lock), free(table);
    free(dir), free(beside);
    return done_testing();
}
