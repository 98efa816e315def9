/* What lives on in a handle is never descriptor 0, 1 or 2: a program that closed them puts others there. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

static char *dir, *lock;
static steadfast_lock *held;

/* One program: which streams it closed (a bit each), and how it takes its lock. */
struct program {
    int closed;
    uint32_t flags;
    uint32_t absent;
    int waits;       /* for a foreign lock, which goes when the waiter sleeps */
    int at;          /* in a context with a directory of its own */
    int no_null;     /* there is no /dev/null, as in a chroot */
};

static int low_writes;

static int64_t write_hook(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user;
    low_writes += fd < 3;
    return steadfast_hooks_default()->write(NULL, fd, buf, len);
}

static int32_t openat_hook(void *user, int32_t at, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    return strcmp(path, "/dev/null") == 0 ? -ENOENT : steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
}

static int32_t poll_hook(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    if (timeout_ns < 0 || timeout_ns >= 1000000)
        unlink(lock);
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

/* The answer says how far it came: its own standard streams are closed. */
static int run(void *arg)
{
    const struct program *program = arg;
    steadfast_context *context = NULL;
    steadfast_hooks hooks = test_hooks();
    hooks.absent |= program->absent;
    hooks.write = write_hook;
    hooks.poll = poll_hook;
    if (program->no_null)
        hooks.openat = openat_hook;
    int directory = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        if (program->closed >> fd & 1)
            close(fd);
        else if (fcntl(fd, F_GETFD) < 0)
            return 1;
    steadfast_context_options where = { .size = sizeof where, .flags = STEADFAST_CONTEXT_AT, .dirfd = directory, .hooks = &hooks };
    if ((program->at ? steadfast_context_new_with(&where, &context) : steadfast_context_new(&hooks, &context)) != 0)
        return 2;
    steadfast_lock_options options = lock_options(program->flags, 0);
    const char *path = program->at ? "lock" : lock;
    if (program->waits)
        write_pid(lock, 1);
    if (steadfast_lock_acquire(context, path, 10000, &options, &held, NULL) != 0)
        return 3;
    if (low_writes > 0)
        return 4;
    for (int fd = 0; fd < 3; fd++)
        if ((program->closed >> fd & 1) == (fcntl(fd, F_GETFD) >= 0))
            return 10 + fd;
    int own = open("/dev/zero", O_RDWR);
    struct stat st, after;
    for (int fd = 0; fd < 3; fd++)
        if ((program->closed >> fd & 1) && dup2(own, fd) != fd)
            return 5;
    if (fstat(own, &st) != 0 || steadfast_lock_check(held, NULL) != 0)
        return 6;
    if (steadfast_lock_release(held, NULL) != 0 || exists(lock))
        return 7;
    steadfast_context_free(context);
    for (int fd = 0; fd < 3; fd++)
        if ((program->closed >> fd & 1) && (fstat(fd, &after) != 0 || after.st_rdev != st.st_rdev))
            return 20 + fd;
    return 0;
}

int main(void)
{
    static const struct {
        const char *name;
        struct program program;
    } ways[] = {
        { "a lock", { .flags = 0 } },
        { "an INHERIT lock", { .flags = STEADFAST_LOCK_INHERIT } },
        { "a lock without a mapping", { .absent = STEADFAST_ABSENT_MAP } },
        { "a lock that is waited for", { .waits = 1 } },
        { "a lock without a mapping that is waited for", { .absent = STEADFAST_ABSENT_MAP, .waits = 1 } },
        { "a lock in a context's directory", { .at = 1 } },
        { "a lock without O_TMPFILE", { .absent = STEADFAST_ABSENT_O_TMPFILE } },
        { "a lock where there is no /dev/null", { .no_null = 1 } },
        { "an INHERIT lock where there is no /dev/null", { .flags = STEADFAST_LOCK_INHERIT, .no_null = 1 } },
        { "a lock that is waited for where there is no /dev/null", { .waits = 1, .no_null = 1 } },
        { "a lock in a context's directory where there is no /dev/null", { .at = 1, .no_null = 1 } },
    };
    dir = make_temp_dir("streams");
    lock = strdup(in(dir, "lock"));
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "locks with closed standard streams");
    } else {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            int ends[8], good = 1;
            for (int closed = 0; closed < 8; closed++) {
                struct program program = ways[i].program;
                program.closed = closed;
                ends[closed] = run_child(run, &program);
                good &= ends[closed] == 0;
                unlink(lock);
            }
            if (!ok(good, "0, 1, 2 closed in each combination: %s never has their numbers, and its release closes none", ways[i].name))
                diag("%d %d %d %d %d %d %d %d", ends[0], ends[1], ends[2], ends[3], ends[4], ends[5], ends[6], ends[7]);
        }
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
