/* File systems that refuse one way of taking or cleaning a lock: flock over NFS and CIFS, links of nameless files, long
 * names. There is another way. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

enum { NFS = 0x6969, CIFS = 0xff534d42, DESCRIPTORS = 256 };

static char *dir, *lock;
static steadfast_lock *held;

/* What is refused. */
static struct {
    int64_t magic;             /* of the file system; 0: the real one */
    int write_to_lock;         /* an exclusive flock needs a descriptor that is open for writing: EBADF */
    int lock_once;             /* a second flock of a descriptor is in conflict with its first */
    int write_error;           /* of opening an existing lock for writing */
    void (*before_write)(void); /* happens once, before that */
    int link_error;            /* of linking a nameless file */
    size_t longest;            /* longer names are ENAMETOOLONG; 0: as they are */
    int kill_at_rename;
} fs;

static char locked[DESCRIPTORS];

static int too_long(const char *path)
{
    const char *name = strrchr(path, '/');
    return fs.longest != 0 && strlen(name == NULL ? path : name + 1) > fs.longest;
}

static int32_t openat_hook(void *user, int32_t at, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    if (too_long(path))
        return -ENAMETOOLONG;
    if (strcmp(path, "lock") == 0 && (flags & O_ACCMODE) == O_RDWR && (flags & O_CREAT) == 0) {
        void (*now)(void) = fs.before_write;
        fs.before_write = NULL;
        if (now != NULL)
            now();
        if (fs.write_error != 0)
            return -fs.write_error;
    }
    return steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
}

static int32_t close_hook(void *user, int32_t fd)
{
    (void)user;
    if (fd >= 0 && fd < DESCRIPTORS)
        locked[fd] = 0;
    return steadfast_hooks_default()->close(NULL, fd);
}

static int32_t flock_hook(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    if (fs.write_to_lock && (operation & LOCK_EX) != 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (fs.lock_once && (operation & LOCK_UN) == 0 && locked[fd])
        return -EAGAIN;
    int32_t result = steadfast_hooks_default()->flock(NULL, fd, operation);
    if (result == 0)
        locked[fd] = (operation & LOCK_UN) == 0;
    return result;
}

static int64_t fstatfs_hook(void *user, int32_t fd)
{
    (void)user;
    return fs.magic != 0 ? fs.magic : steadfast_hooks_default()->fstatfs(NULL, fd);
}

static int32_t linkat_hook(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    if (too_long(op) || too_long(np))
        return -ENAMETOOLONG;
    if (fs.link_error != 0 && (op[0] == '\0' || strncmp(op, "/proc/", 6) == 0))
        return -fs.link_error;
    return steadfast_hooks_default()->linkat(NULL, od, op, nd, np, flags);
}

static int32_t renameat_hook(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    if (fs.kill_at_rename)
        kill(getpid(), SIGKILL);
    return too_long(op) || too_long(np) ? -ENAMETOOLONG : steadfast_hooks_default()->renameat(NULL, od, op, nd, np, flags);
}

static int32_t fstatat_hook(void *user, int32_t at, const char *path, steadfast_stat *out)
{
    (void)user;
    return too_long(path) ? -ENAMETOOLONG : steadfast_hooks_default()->fstatat(NULL, at, path, out);
}

static int32_t unlinkat_hook(void *user, int32_t at, const char *path, int32_t flags)
{
    (void)user;
    return too_long(path) ? -ENAMETOOLONG : steadfast_hooks_default()->unlinkat(NULL, at, path, flags);
}

static steadfast_context *fs_context(uint32_t absent)
{
    steadfast_hooks hooks = test_hooks();
    hooks.absent |= absent;
    hooks.openat = openat_hook;
    hooks.close = close_hook;
    hooks.flock = flock_hook;
    hooks.fstatfs = fstatfs_hook;
    hooks.linkat = linkat_hook;
    hooks.renameat = renameat_hook;
    hooks.fstatat = fstatat_hook;
    hooks.unlinkat = unlinkat_hook;
    return child_context(&hooks);
}

static int take_and_release(const steadfast_context *context, const char *path, uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_acquire(context, path, 0, &options, &held, &report);
    if (status != 0) {
        diag("acquire: %s", report.message);
        return 0;
    }
    int ours = steadfast_lock_check(held, NULL) == 0 && !flock_is_free(path);
    return steadfast_lock_release(held, NULL) == 0 && ours && count_entries(dir) == 0;
}

static int hold_on_network(void *arg)
{
    return steadfast_lock_acquire(fs_context(0), arg, 0, NULL, &held, NULL);
}

static int adopt_and_release(void *arg)
{
    (void)arg;
    return steadfast_lock_adopt(held, NULL) == 0 && steadfast_lock_release(held, NULL) == 0 ? 0 : 1;
}

/* Another file with the same content, so that only its inode tells. */
static void replace(void)
{
    char *content = read_file(lock, NULL);
    rename(lock, in(dir, "old"));
    write_text(lock, content);
    unlink(in(dir, "old"));
    free(content);
}

static void network(const char *name, int64_t magic, int lock_once)
{
    memset(&fs, 0, sizeof fs);
    fs.magic = magic, fs.write_to_lock = 1, fs.lock_once = lock_once;
    static const uint32_t absent[] = { 0, STEADFAST_ABSENT_O_TMPFILE, STEADFAST_ABSENT_MAP };
    static const char *const ways[] = { "", ", without O_TMPFILE", ", without a mapping" };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        steadfast_context *context = fs_context(absent[i]);
        ok(take_and_release(context, lock, 0) && take_and_release(context, lock, STEADFAST_LOCK_INHERIT),
           "%s%s: taken and released, with INHERIT too", name, ways[i]);
        steadfast_context_free(context);
    }
    int result;
    steadfast_context *context = fs_context(0);
    struct attribute attribute;
    pid_t holder = start(hold_on_network, lock, &result);
    int told = read_attribute(lock, &attribute) && can_tell;
    int live = judge_probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD);
    int32_t locked_out = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
    stop(holder);
    ok(result == 0 && live && locked_out == STEADFAST_E_LOCKED, "%s: a live holder: HELD, and E_LOCKED", name);

    int32_t dead = told ? STEADFAST_LOCK_REMOVED : STEADFAST_LOCK_UNDECIDED;
    if (told) {
        fs.write_error = EACCES;
        ok(steadfast_lock_inspect(context, lock, NULL, NULL) == STEADFAST_LOCK_STALE
               && steadfast_lock_clean_stale(context, lock, NULL, NULL) == STEADFAST_E_UNSUPPORTED && exists(lock),
           "%s: killed, and its file may not be opened for writing: STALE, but E_UNSUPPORTED", name);
        fs.write_error = 0;
    }
    probe(context, dir, lock, NULL, dead, "%s: killed: %s", name, told ? "REMOVED" : "UNDECIDED, since nothing tells that it was here");
    unlink(lock);

    if (told) {
        leave_lock(lock);
        fs.before_write = replace;
        ok(steadfast_lock_clean_stale(context, lock, NULL, NULL) == STEADFAST_LOCK_CHANGED && fs.before_write == NULL && exists(lock),
           "%s: killed, and another file has the name when it is opened for writing: CHANGED", name);
        unlink(lock);
    }
    steadfast_lock_options inherit = lock_options(STEADFAST_LOCK_INHERIT, 0);
    int32_t status = steadfast_lock_acquire(context, lock, 0, &inherit, &held, NULL);
    ok(status == 0 && run_child(adopt_and_release, NULL) == 0 && !exists(lock), "%s: a child adopts and releases it", name);
    steadfast_lock_release(held, NULL);
    steadfast_context_free(context);
}

/* A security module, or another kernel, refuses to give a nameless file a name. */
static void nameless_links(void)
{
    static const int errors[] = { EACCES, EXDEV, EPERM, ENOENT, EOPNOTSUPP };
    memset(&fs, 0, sizeof fs);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        fs.link_error = errors[i];
        steadfast_context *context = fs_context(0);
        ok(take_and_release(context, lock, 0) && take_and_release(context, lock, STEADFAST_LOCK_INHERIT),
           "the link of a nameless file is %s: taken in another way", steadfast_status_name(-errors[i]));
        write_pid(lock, 1);
        int32_t status = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
        ok(status == STEADFAST_E_LOCKED && held == NULL && strcmp(leftovers(dir, "lock"), "") == 0,
           "and held by another: E_LOCKED, nothing left");
        unlink(lock);
        steadfast_context_free(context);
    }
}

static int die_at_rename(void *arg)
{
    fs.kill_at_rename = 1;
    return steadfast_lock_acquire(fs_context(STEADFAST_ABSENT_O_TMPFILE), arg, 0, NULL, &held, NULL) == 0 ? 0 : 1;
}

/* eCryptfs and gocryptfs allow names of 143 bytes; a private name is longer than the lock's. */
static void short_names(void)
{
    static const int lengths[] = { 100, 123, 133, 134, 138, 142, 143 };
    memset(&fs, 0, sizeof fs);
    fs.longest = 143;
    for (int private = 0; private < 2; private++) {
        steadfast_context *context = fs_context(private ? STEADFAST_ABSENT_O_TMPFILE : 0);
        int bad = 0;
        char name[300];
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            memset(name, 'n', sizeof name);
            name[lengths[i]] = '\0';
            bad += !take_and_release(context, in(dir, name), 0);
        }
        ok(bad == 0, "names of 100 to 143 bytes where no more are allowed%s", private ? ", without O_TMPFILE" : "");
        memset(name, 'n', sizeof name);
        name[144] = '\0';
        int32_t status = steadfast_lock_acquire(context, in(dir, name), 0, NULL, &held, NULL);
        ok(status == -ENAMETOOLONG && held == NULL && count_entries(dir) == 0, "a name of 144: -ENAMETOOLONG, nothing left");
        name[143] = '\0';
        char *path = strdup(in(dir, name));
        if (private && has(STEADFAST_ABSENT_RENAMEAT2)) {
            int end = run_child(die_at_rename, path);
            ok(end == 1000 + SIGKILL && count_entries(dir) == 1 && !exists(path), "killed before the rename: a private name is left");
            ok(take_and_release(context, path, 0), "and is gone after the next one");
        }
        free(path);
        steadfast_context_free(context);
    }
}

int main(void)
{
    dir = make_temp_dir("refused");
    lock = strdup(in(dir, "lock"));
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "taking locks where one way is refused");
    } else {
        network("NFSv4", NFS, 0);
        network("CIFS", CIFS, 1);
        nameless_links();
        short_names();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
