/* The protocols that are in C: ours, the seed's algorithm, liblockfile. */
#include "race.h"

#ifdef HAVE_LIBLOCKFILE
#include <lockfile.h>
#endif

void delay(void)
{
    static unsigned int seed;
    if (!shared->inject)
        return;
    if (!seed)
        seed = (unsigned int)getpid();
    if (rand_r(&seed) % 2)
        usleep((unsigned int)rand_r(&seed) % 300);
}

pid_t stale_pid(void)
{
    static pid_t pid;
    if (!pid || kill(pid, 0) == 0 || errno != ESRCH)
        pid = dead_pid();
    return pid;
}

/* --- ours ------------------------------------------------------------------------------------------------------- */

static steadfast_lock *held;

#define real steadfast_hooks_default()
static int32_t slow_linkat(void *u, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)u;
    delay();
    return real->linkat(NULL, od, op, nd, np, flags);
}
static int32_t slow_unlinkat(void *u, int32_t dir, const char *path, int32_t flags)
{
    (void)u;
    delay();
    return real->unlinkat(NULL, dir, path, flags);
}
static int32_t slow_fstatat(void *u, int32_t dir, const char *path, steadfast_stat *out)
{
    (void)u;
    delay();
    return real->fstatat(NULL, dir, path, out);
}
static int32_t slow_flock(void *u, int32_t fd, int32_t operation)
{
    (void)u;
    delay();
    return real->flock(NULL, fd, operation);
}
static int32_t slow_pidfd_open(void *u, int32_t pid, uint32_t flags)
{
    (void)u;
    delay();
    return real->pidfd_open(NULL, pid, flags);
}
static int32_t slow_kill(void *u, int32_t pid, int32_t signal)
{
    (void)u;
    delay();
    return real->kill(NULL, pid, signal);
}
#undef real

/* Contexts of this process: at full speed, with delays; with and without what a poor platform lacks. */
static const steadfast_context *context(int plain)
{
    static steadfast_context *contexts[2][2];
    steadfast_context **slot = &contexts[plain][shared->inject != 0];
    if (*slot)
        return *slot;
    steadfast_hooks hooks = steadfast_hooks_init();
    if (plain) {
        hooks.absent = STEADFAST_ABSENT_O_TMPFILE | STEADFAST_ABSENT_RENAMEAT2 | STEADFAST_ABSENT_PIDFD | STEADFAST_ABSENT_XATTR
                       | STEADFAST_ABSENT_INOTIFY | STEADFAST_ABSENT_OFDLOCK;
    }
    if (shared->inject) {
        hooks.linkat = slow_linkat;
        hooks.unlinkat = slow_unlinkat;
        hooks.fstatat = slow_fstatat;
        hooks.flock = slow_flock;
        hooks.pidfd_open = slow_pidfd_open;
        hooks.kill = slow_kill;
    }
    if (steadfast_context_new(&hooks, slot))
        die("context");
    return *slot;
}

static int take_ours(const char *path, int wait, int plain)
{
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_acquire(context(plain), path, wait ? 1000 : 0, NULL, &held, &report);
    if (status != 0 && status != STEADFAST_E_LOCKED) {
        fprintf(stderr, "race: acquire: %s: %s\n", steadfast_status_name(status), report.message);
        shared->lost++;
    }
    return status == 0;
}

static int take_full(const char *path, int wait)
{
    return take_ours(path, wait, 0);
}
static int take_plain(const char *path, int wait)
{
    return take_ours(path, wait, 1);
}

static int release_ours(const char *path)
{
    (void)path;
    int32_t status = steadfast_lock_release(held, NULL);
    held = NULL;
    return status == 0;
}

struct protocol protocol_ours = { .name = "steadfast", .take = take_full, .release = release_ours, .ours = 1 };
struct protocol protocol_ours_plain = { .name = "steadfast, plain POSIX", .take = take_plain, .release = release_ours, .ours = 1 };

/* --- the seed's: read the PID; dead; rename to .removing; unlink; create with O_EXCL ----------------------------- */

static int take_seed_once(const char *path)
{
    char text[64], removing[700];
    delay();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) {
        int len = snprintf(text, sizeof text, "%ld", (long)getpid());
        if (write(fd, text, (size_t)len) != len)
            die("write");
        close(fd);
        return 1;
    }
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    long pid = strtol(text, NULL, 10);
    if (pid <= 0)
        return 0;
    if (kill((pid_t)pid, 0) == 0 || errno != ESRCH)
        return 0;
    snprintf(removing, sizeof removing, "%s.removing", path);
    delay();
    if (rename(path, removing) == 0) {
        delay();
        unlink(removing);
    }
    return -1;
}

static int take_seed(const char *path, int wait)
{
    for (int tries = wait ? 2000 : 3; tries > 0; tries--) {
        int taken = take_seed_once(path);
        if (taken > 0 || (taken == 0 && !wait))
            return taken > 0;
        if (taken == 0)
            usleep(500);
    }
    return 0;
}

static int release_seed(const char *path)
{
    return unlink(path) == 0;
}

struct protocol protocol_seed = { .name = "the seed's (rename, unlink)", .take = take_seed, .release = release_seed };

/* --- liblockfile ------------------------------------------------------------------------------------------------ */

#ifdef HAVE_LIBLOCKFILE
static int take_liblockfile(const char *path, int wait)
{
    return lockfile_create(path, wait ? 5 : 0, L_PID) == L_SUCCESS;
}
static int release_liblockfile(const char *path)
{
    return lockfile_remove(path) == 0;
}

/* The delays get into the library through the calls that it makes: the program's definitions come first. */
int unlink(const char *path)
{
    if (shared && shared->expected)
        delay();
    return unlinkat(AT_FDCWD, path, 0);
}

int link(const char *from, const char *to)
{
    if (shared && shared->expected)
        delay();
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

struct protocol protocol_liblockfile = { .name = "liblockfile", .take = take_liblockfile, .release = release_liblockfile };
#else
struct protocol protocol_liblockfile = { .name = "liblockfile", .missing = "apt-get install liblockfile-dev" };
#endif
