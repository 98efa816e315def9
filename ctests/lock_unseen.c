/* Waits whose end nothing tells: no inotify is left, or it says nothing of what is done below the mount. They look again. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

enum { NFS = 0x6969, FUSE = 0x65735546, CIFS = 0xff534d42 };

static char *dir, *lock, *aside;
static steadfast_lock *held;

/* What the platform answers, and what happens when a waiter sleeps for the second time after its short sleeps. */
static struct {
    int64_t magic;
    int init_error, watch_error, pidfd_error;
    int wrong_directory;     /* inotify says nothing of ours */
    void (*then)(void);
    int sleeps;
    int64_t longest;         /* sleep that was asked for after that; INT64_MAX: without end */
} platform;

static int64_t fstatfs_hook(void *user, int32_t fd)
{
    (void)user;
    return platform.magic != 0 ? platform.magic : steadfast_hooks_default()->fstatfs(NULL, fd);
}

static int32_t inotify_init_hook(void *user, int32_t flags)
{
    (void)user;
    return platform.init_error != 0 ? -platform.init_error : steadfast_hooks_default()->inotify_init(NULL, flags);
}

static int32_t inotify_add_watch_hook(void *user, int32_t fd, const char *path, uint32_t mask)
{
    (void)user;
    if (platform.watch_error != 0)
        return -platform.watch_error;
    return steadfast_hooks_default()->inotify_add_watch(NULL, fd, platform.wrong_directory ? aside : path, mask);
}

static int32_t pidfd_open_hook(void *user, int32_t pid, uint32_t flags)
{
    (void)user;
    return platform.pidfd_error != 0 ? -platform.pidfd_error : steadfast_hooks_default()->pidfd_open(NULL, pid, flags);
}

static int32_t poll_hook(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    if (timeout_ns < 0 || timeout_ns >= 1000000) {
        int64_t asked = timeout_ns < 0 ? INT64_MAX : timeout_ns;
        /* The wait must not have been asleep for long when it happens. */
        if (asked > platform.longest)
            platform.longest = asked;
        if (++platform.sleeps == 2 || asked > 1000000000)
            platform.then();
    }
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static steadfast_context *platform_context(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.fstatfs = fstatfs_hook;
    hooks.inotify_init = inotify_init_hook;
    hooks.inotify_add_watch = inotify_add_watch_hook;
    hooks.pidfd_open = pidfd_open_hook;
    hooks.poll = poll_hook;
    return test_context(&hooks);
}

static void let_go(void)
{
    unlink(lock);
}

static int looked_again(int32_t status)
{
    int looked = status == 0 && platform.sleeps >= 2 && platform.longest <= 1000000000;
    if (status == 0)
        steadfast_lock_release(held, NULL);
    if (!looked)
        diag("%s after %d sleeps, the longest %lld ns", steadfast_status_name(status), platform.sleeps, (long long)platform.longest);
    unlink(lock);
    return looked;
}

static void releases(void)
{
    static const struct {
        const char *name;
        int64_t magic;
        int init_error, watch_error, pidfd_error, wrong_directory;
    } cases[] = {
        { "no inotify instance is left (EMFILE)", 0, EMFILE, 0, 0, 0 },
        { "no descriptor is left for inotify (ENFILE)", 0, ENFILE, 0, 0, 0 },
        { "no inotify watch is left (ENOSPC)", 0, 0, ENOSPC, 0, 0 },
        { "the directory may not be watched (EACCES)", 0, 0, EACCES, 0, 0 },
        { "neither inotify nor pidfd (EMFILE)", 0, EMFILE, 0, EMFILE, 0 },
        { "FUSE, changed below its mount", FUSE, 0, 0, 0, 1 },
        { "NFS, changed by another machine", NFS, 0, 0, 0, 1 },
        { "CIFS, changed by another machine", CIFS, 0, 0, 0, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        steadfast_context *context = platform_context();
        memset(&platform, 0, sizeof platform);
        platform.magic = cases[i].magic, platform.init_error = cases[i].init_error, platform.watch_error = cases[i].watch_error;
        platform.pidfd_error = cases[i].pidfd_error, platform.wrong_directory = cases[i].wrong_directory, platform.then = let_go;
        write_pid(lock, 1);
        int descriptors = count_fds();
        ok(looked_again(steadfast_lock_acquire(context, lock, -1, NULL, &held, NULL)), "%s: a release is seen soon", cases[i].name);
        is_int(count_fds(), descriptors, "no descriptor is left");
        steadfast_context_free(context);
    }
}

static int looker = -1;

static void unlock_it(void)
{
    close(looker);
    looker = -1;
}

static int lock_file_and_wait(void *arg)
{
    int fd = open(lock, O_RDWR | O_CLOEXEC);
    (void)arg;
    return fd >= 0 && flock(fd, LOCK_EX) == 0 ? 0 : 1;
}

static pid_t user;

static void end_user(void)
{
    stop(user);
}

/* flock(1) and the like: no name changes when such a user ends, and nobody knows his number for sure. */
static void flock_users(void)
{
    steadfast_lock_options grace = lock_options(0, 1);
    steadfast_context *context = platform_context();
    int result;
    memset(&platform, 0, sizeof platform);
    platform.then = end_user;
    write_text(lock, "");
    set_mtime_ns(lock, (int64_t)1000000000 * 1000000000);
    user = start(lock_file_and_wait, NULL, &result);
    ok(looked_again(steadfast_lock_acquire(context, lock, -1, &grace, &held, NULL)),
       "a flock on an empty file of another program is given up: seen soon, and taken after the grace");

    memset(&platform, 0, sizeof platform);
    platform.then = unlock_it;
    write_pid(lock, dead_pid());
    looker = open(lock, O_RDONLY | O_CLOEXEC);
    flock(looker, LOCK_SH);
    ok(looked_again(steadfast_lock_acquire(context, lock, -1, NULL, &held, NULL)),
       "a reader's flock on a stale lock is given up: seen soon");
    steadfast_context_free(context);
}

int main(void)
{
    dir = make_temp_dir("unseen");
    aside = make_temp_dir("aside");
    lock = strdup(in(dir, "lock"));
    alarm(60); /* a wait without end is a failure */
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "waits whose end nothing tells");
    } else {
        releases();
        flock_users();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    remove_tree(dir), remove_tree(aside);
    free(lock);
    free(dir), free(aside);
    return done_testing();
}
