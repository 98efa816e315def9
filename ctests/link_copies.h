/*
 * A file system on which a hard link is another file (mergerfs, sshfs), or on which nobody sees another one's flock: hooks
 * stand for it, and let things happen at a moment of the caller's choice. Include tap.h, util.h, lock_probe.h first.
 */
#ifndef LINK_COPIES_H
#define LINK_COPIES_H

static char *dir, *lock;
static steadfast_lock *held;
static steadfast_report report;

/* The file system, and what happens meanwhile. */
static struct {
    int copies;                 /* another name is another file */
    int blind;                  /* no flock is in the way of another */
    int open_error;             /* the first look through the name fails with it */
    int flock_error;            /* the flock of that look does */
    int create_error;           /* the flock of a file that was created by the lock's name does */
    void (*before_look)(void);  /* happens once, before the first look through the name */
    void (*after_create)(void); /* happens once, after a file was created by the lock's name */
    void (*after_refusal)(void); /* happens once, after an exclusive flock was refused */
    int named, created, looks;  /* names given to records, files created by the name, looks through it */
    int64_t slept_ns;           /* all sleeps together */
    int kill_at, calls;         /* killed before the call of this number that has to do with the file */
} fs;

static inline void happen(void (**what)(void))
{
    void (*now)(void) = *what;
    *what = NULL;
    if (now != NULL)
        now();
}

static inline void count_call(void)
{
    if (++fs.calls == fs.kill_at) {
        kill(getpid(), SIGKILL);
        /* The first process of a PID namespace cannot kill itself. */
        _exit(137);
    }
}

/* Gives the name to a copy, as faithful as can be. */
static inline int32_t copy_file(int from, int to_dir, const char *to)
{
    char text[64], attribute[64];
    struct stat st;
    if (from < 0 || fstat(from, &st) != 0)
        return -errno;
    int fd = openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t len = pread(from, text, sizeof text, 0), attribute_len = fgetxattr(from, "user.steadfast", attribute, sizeof attribute);
    if (len < 0 || write(fd, text, (size_t)len) != len || fchmod(fd, st.st_mode & 07777) != 0)
        bail_out("copy: %s", strerror(errno));
    if (attribute_len > 0 && fsetxattr(fd, "user.steadfast", attribute, (size_t)attribute_len, 0) != 0)
        bail_out("fsetxattr: %s", strerror(errno));
    if (futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }) != 0)
        bail_out("futimens: %s", strerror(errno));
    close(fd);
    return 0;
}

static inline int32_t fs_linkat(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    int32_t result;
    if (fs.copies) {
        int from = op[0] == '\0' ? dup(od) : openat(od, op, O_RDONLY | O_CLOEXEC);
        result = copy_file(from, nd, np);
        close(from);
    } else {
        result = steadfast_hooks_default()->linkat(NULL, od, op, nd, np, flags);
    }
    fs.named += result == 0;
    return result;
}

static inline int32_t fs_renameat(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    int32_t result;
    if (fs.copies) {
        int from = openat(od, op, O_RDONLY | O_CLOEXEC);
        result = copy_file(from, nd, np);
        close(from);
        if (result == 0)
            unlinkat(od, op, 0);
    } else {
        result = steadfast_hooks_default()->renameat(NULL, od, op, nd, np, flags);
    }
    fs.named += result == 0;
    return result;
}

static inline int32_t fs_openat(void *user, int32_t at, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    if (strcmp(path, "lock") != 0)
        return steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
    count_call();
    if ((flags & O_CREAT) == 0 && fs.named + fs.created > 0) {
        happen(&fs.before_look);
        if (fs.looks++ == 0 && fs.open_error != 0)
            return -fs.open_error;
    }
    int32_t fd = steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
    if (fd >= 0 && (flags & O_CREAT) != 0) {
        fs.created++;
        happen(&fs.after_create);
    }
    return fd;
}

static inline int64_t fs_write(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user;
    count_call();
    return steadfast_hooks_default()->write(NULL, fd, buf, len);
}

static inline int32_t fs_fchmod(void *user, int32_t fd, uint32_t mode)
{
    (void)user;
    count_call();
    return steadfast_hooks_default()->fchmod(NULL, fd, mode);
}

static inline int32_t fs_fsetxattr(void *user, int32_t fd, const char *name, const void *buf, size_t len)
{
    (void)user;
    count_call();
    return steadfast_hooks_default()->fsetxattr(NULL, fd, name, buf, len);
}

static inline int32_t fs_flock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    count_call();
    if (fs.looks == 1 && fs.flock_error != 0)
        return -fs.flock_error;
    if (fs.created == 1 && fs.create_error != 0)
        return -fs.create_error;
    int32_t result = fs.blind ? 0 : steadfast_hooks_default()->flock(NULL, fd, operation);
    if (result != 0 && (operation & LOCK_EX) != 0)
        happen(&fs.after_refusal);
    return result;
}

static inline int32_t fs_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    fs.slept_ns += timeout_ns;
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static inline int64_t fs_fstatfs(void *user, int32_t fd)
{
    (void)user;
    return fs.copies ? 0x65735546 : steadfast_hooks_default()->fstatfs(NULL, fd);
}

static inline steadfast_context *fs_context(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.linkat = fs_linkat;
    hooks.renameat = fs_renameat;
    hooks.openat = fs_openat;
    hooks.flock = fs_flock;
    hooks.fstatfs = fs_fstatfs;
    hooks.poll = fs_poll;
    hooks.write = fs_write;
    hooks.fchmod = fs_fchmod;
    hooks.fsetxattr = fs_fsetxattr;
    return test_context(&hooks);
}

static inline int32_t acquire(int64_t timeout_ms, uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    steadfast_context *context = fs_context();
    report = (steadfast_report){ .size = sizeof report };
    held = (steadfast_lock *)&held;
    int32_t status = steadfast_lock_acquire(context, lock, timeout_ms, &options, &held, &report);
    steadfast_context_free(context);
    return status;
}

/* Nothing is left of an acquire that did not get the lock. */
static inline int left_nothing(void)
{
    return held == NULL && count_entries(dir) == 0;
}

static inline int names(pid_t pid)
{
    char expected[32];
    snprintf(expected, sizeof expected, "%ld\n", (long)pid);
    char *content = read_file(lock, NULL);
    int same = content != NULL && strcmp(content, expected) == 0;
    free(content);
    return same;
}

#endif
