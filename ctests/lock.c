/* Cleaning a stale lock: the seed's cases, what a lock file may hold, what may stand in its place. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static char *dir;
static steadfast_context *context;

/* 99999, as the seed has it, unless a process of this machine has that number. */
static long seed_pid(void)
{
    return kill(99999, 0) != 0 && errno == ESRCH ? 99999 : dead_pid();
}

/* What happens to the lock between check and removal. */
struct race {
    char path[600];
    int replace;
    int in_unlink;
    int done;
};

static void strike(struct race *race)
{
    if (race->done++)
        return;
    unlink(race->path);
    if (race->replace)
        write_pid(race->path, getpid());
}

static int32_t racing_flock(void *user, int32_t fd, int32_t operation)
{
    struct race *race = user;
    if (!race->in_unlink && !(operation & LOCK_UN))
        strike(race);
    return steadfast_hooks_default()->flock(NULL, fd, operation);
}

static int32_t racing_unlinkat(void *user, int32_t at, const char *path, int32_t flags)
{
    struct race *race = user;
    if (race->in_unlink)
        strike(race);
    return steadfast_hooks_default()->unlinkat(NULL, at, path, flags);
}

static int32_t clean_racing(struct race *race)
{
    steadfast_hooks hooks = test_hooks();
    hooks.user = race;
    hooks.flock = racing_flock;
    hooks.unlinkat = racing_unlinkat;
    steadfast_context *racing = test_context(&hooks);
    char text[32];
    snprintf(text, sizeof text, "%ld", seed_pid());
    write_text(race->path, text);
    int32_t status = steadfast_lock_clean_stale(racing, race->path, NULL, NULL);
    steadfast_context_free(racing);
    return status;
}

static void seed_cases(void)
{
    char lock[600], text[32];
    snprintf(lock, sizeof lock, "%s/seed.lock", dir);

    snprintf(text, sizeof text, "%ld", seed_pid());
    write_text(lock, text);
    int32_t status = steadfast_lock_clean_stale(context, lock, NULL, NULL);
    ok(status == removed() && exists(lock) == (removed() < 0) && !exists(in(dir, "seed.lock.removing"))
           && strcmp(leftovers(dir, "seed.lock"), "") == 0,
       "TC-73-1 Remove stale lock with dead process: lock file removed, no temp files");
    unlink(lock);

    snprintf(text, sizeof text, "%ld", (long)getpid());
    write_text(lock, text);
    status = steadfast_lock_clean_stale(context, lock, NULL, NULL);
    char *kept = read_file(lock, NULL);
    ok(status == STEADFAST_LOCK_HELD && kept != NULL && strcmp(kept, text) == 0,
       "TC-73-2 Preserve lock with live process: lock file preserved");
    free(kept);

    snprintf(text, sizeof text, "%ld", seed_pid());
    write_text(lock, text);
    unlink(lock);
    steadfast_report report = { .size = sizeof report };
    status = steadfast_lock_clean_stale(context, lock, NULL, &report);
    ok(status == STEADFAST_LOCK_ABSENT && report.os_error == 0 && count_entries(dir) == 0,
       "TC-73-3 Handle concurrent removal: gone before the call, no error");

    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "TC-73-3 Handle concurrent removal: removed between check and removal");
    } else {
        struct race before_compare = { .done = 0 }, before_unlink = { .in_unlink = 1 };
        snprintf(before_compare.path, sizeof before_compare.path, "%s", lock);
        snprintf(before_unlink.path, sizeof before_unlink.path, "%s", lock);
        int32_t first = clean_racing(&before_compare), second = clean_racing(&before_unlink);
        ok(first == STEADFAST_LOCK_ABSENT && second == STEADFAST_LOCK_ABSENT && before_compare.done && before_unlink.done
               && count_entries(dir) == 0,
           "TC-73-3 Handle concurrent removal: removed between check and removal, no error");
        struct race replaced = { .replace = 1 };
        snprintf(replaced.path, sizeof replaced.path, "%s", lock);
        first = clean_racing(&replaced);
        ok(first == STEADFAST_LOCK_CHANGED && replaced.done >= 1 && exists(lock),
           "replaced between check and removal: CHANGED, the new lock untouched");
        unlink(lock);
    }

    char *outside = make_temp_dir("target");
    snprintf(text, sizeof text, "%ld", seed_pid());
    write_text(in(outside, "target"), text);
    if (symlink(in(outside, "target"), lock) != 0)
        bail_out("symlink: %s", strerror(errno));
    status = steadfast_lock_clean_stale(context, lock, NULL, NULL);
    kept = read_file(in(outside, "target"), NULL);
    ok(status == STEADFAST_LOCK_IGNORED && exists(lock) && kept != NULL && strcmp(kept, text) == 0,
       "TC-73-4 Symlink attack prevention: symlink ignored, its target untouched");
    free(kept);
    unlink(lock);
    remove_tree(outside);
    free(outside);
}

/* Contents: what each comes to when nobody holds a flock. */
static void contents(void)
{
    static const struct {
        const char *name, *content;
        size_t len;
    } undecided[] = {
        { "empty", "", 0 },
        { "garbage", "garbage\n", 8 },
        { "negative", "-99999\n", 7 },
        { "0", "0\n", 2 },
        { "2^31", "2147483648\n", 11 },
        { "2^32+1", "4294967297\n", 11 },
        { "23 digits", "12345678901234567890123\n", 24 },
        { "embedded NUL",
          "9\0"
          "9999\n",
          7 },
        { "NULs alone", "\0\0\0\0\0\0", 6 },
        { "white space alone", " \n\n", 3 },
        { "two numbers", "99999 99999\n", 12 },
        { "hexadecimal", "0x1869f\n", 8 },
        { "a leading zero", "099999\n", 7 },
        { "a plus sign", "+99999\n", 7 },
        { "a fraction", "99999.5\n", 8 },
    };
    char lock[700];
    snprintf(lock, sizeof lock, "%s/%s", dir, "content.lock");
    for (size_t i = 0; i < sizeof undecided / sizeof *undecided; i++) {
        write_file(lock, undecided[i].content, undecided[i].len);
        probe(context, dir, lock, NULL, STEADFAST_LOCK_UNDECIDED, "content %s: UNDECIDED, kept", undecided[i].name);
    }

    char text[200];
    snprintf(text, sizeof text, " \t%ld \n", (long)dead_pid());
    write_text(lock, text);
    probe(context, dir, lock, NULL, removed(), "content with white space around a dead PID: REMOVED");
    unlink(lock);
    snprintf(text, sizeof text, "%ld", (long)dead_pid());
    write_text(lock, text);
    probe(context, dir, lock, NULL, removed(), "content without a newline: REMOVED");
    memset(text, ' ', 100);
    snprintf(text + 100, sizeof text - 100, "%ld\n", (long)dead_pid());
    write_text(lock, text);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_UNDECIDED, "content beyond the first 64 bytes: UNDECIDED");
    write_pid(lock, 2147483647);
    probe(context, dir, lock, NULL, removed(), "content 2^31-1, which no process has: REMOVED");

    unlink(lock);
    write_text(lock, "");
    if (truncate(lock, (off_t)4 << 30) != 0) {
        skip("no sparse file of 4 GiB here", "a 4 GiB sparse file");
    } else {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        int good = judge_probe(context, dir, lock, NULL, STEADFAST_LOCK_UNDECIDED);
        clock_gettime(CLOCK_MONOTONIC, &after);
        ok(good && after.tv_sec - before.tv_sec < 2, "a 4 GiB sparse file: UNDECIDED, and not read whole");
    }
    unlink(lock);
}

static void kinds(void)
{
    char lock[700];
    snprintf(lock, sizeof lock, "%s/%s", dir, "kind.lock");
    alarm(20); /* a hang on the FIFO would be a failure */
    if (mkfifo(lock, 0600) != 0)
        bail_out("mkfifo: %s", strerror(errno));
    probe(context, dir, lock, NULL, STEADFAST_LOCK_IGNORED, "a FIFO: IGNORED, and no waiting for a writer");
    unlink(lock);
    alarm(0);

    if (mkdir(lock, 0700) != 0)
        bail_out("mkdir: %s", strerror(errno));
    probe(context, dir, lock, NULL, STEADFAST_LOCK_IGNORED, "a directory: IGNORED");
    rmdir(lock);

    if (geteuid() == 0 && mknod(lock, S_IFCHR | 0600, makedev(1, 3)) == 0)
        probe(context, dir, lock, NULL, STEADFAST_LOCK_IGNORED, "a device: IGNORED");
    else
        skip("needs root", "a device: IGNORED");
    unlink(lock);

    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(lock) < sizeof address.sun_path)
        memcpy(address.sun_path, lock, strlen(lock));
    if (strlen(lock) >= sizeof address.sun_path || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        skip("no socket here", "a socket: IGNORED");
    else
        probe(context, dir, lock, NULL, STEADFAST_LOCK_IGNORED, "a socket: IGNORED");
    close(fd);
    unlink(lock);

    if (symlink("nowhere", lock) != 0)
        bail_out("symlink: %s", strerror(errno));
    probe(context, dir, lock, NULL, STEADFAST_LOCK_IGNORED, "a dangling symlink: IGNORED");
    unlink(lock);
    char other[700];
    snprintf(other, sizeof other, "%s/other", dir);
    write_pid(other, dead_pid());
    if (symlink("other", lock) != 0)
        bail_out("symlink: %s", strerror(errno));
    probe(context, dir, lock, NULL, STEADFAST_LOCK_IGNORED, "a symlink to a stale lock beside it: IGNORED");
    unlink(lock);

    if (link(other, lock) != 0) {
        skip("no hard links here", "a hard link to another file");
    } else {
        char *before = read_file(other, NULL);
        int good = judge_probe(context, dir, lock, NULL, removed());
        char *after = read_file(other, NULL);
        ok(good && after != NULL && strcmp(before, after) == 0,
           "a hard link to another file: only the lock's name goes, the file stays whole");
        free(before);
        free(after);
        unlink(lock);
    }
    unlink(other);

    probe(context, dir, lock, NULL, STEADFAST_LOCK_ABSENT, "no lock file: ABSENT");
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_clean_stale(context, in(dir, "missing/lock"), NULL, &report);
    ok(status == -ENOENT && report.step == STEADFAST_STEP_OPEN_DIRECTORY && report.os_error == ENOENT,
       "no such directory: -ENOENT, and the step says so");
    write_text(lock, "");
    char below[800];
    snprintf(below, sizeof below, "%s/lock", lock);
    is_int(steadfast_lock_clean_stale(context, below, NULL, NULL), -ENOTDIR, "a file in place of the directory: -ENOTDIR");
    unlink(lock);
}

static int clean_as_user(void *arg)
{
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_clean_stale(child_context(NULL), arg, NULL, &report);
    return status >= 0 ? status : status > -100 ? 100 - status : 99;
}

static void permissions(void)
{
    static char *shelf; /* seen by a leak checker in the children */
    shelf = make_temp_dir("shelf");
    char lock[700];
    snprintf(lock, sizeof lock, "%s/%s", shelf, "lock");
    int no_flock = !has(STEADFAST_ABSENT_FLOCK); /* E_UNSUPPORTED is 99 above */

    write_pid(lock, dead_pid());
    chmod(lock, 0644);
    chmod(shelf, 0555);
    if (!user_can_reach(lock)) {
        skip("another user cannot reach the temporary directory", "locks of another user");
        remove_tree(shelf);
        free(shelf);
        return;
    }
    is_int(as_user(clean_as_user, lock), no_flock ? 99 : 100 + EACCES, "a stale lock in a read-only directory: -EACCES");
    ok(exists(lock), "a stale lock in a read-only directory: kept");

    if (geteuid() != 0) {
        skip("needs root", "a sticky directory with another user's stale lock: -EPERM");
        skip("needs root", "another user's lock that may not be read: UNDECIDED");
        skip("needs root", "a directory that may not be searched: -EACCES");
    } else {
        chmod(shelf, 01777);
        int status = as_user(clean_as_user, lock);
        ok(status == (no_flock ? 99 : 100 + EPERM) && exists(lock), "a sticky directory with another user's stale lock: -EPERM, kept");
        chmod(lock, 0600);
        status = as_user(clean_as_user, lock);
        ok(status == STEADFAST_LOCK_UNDECIDED && exists(lock), "another user's lock that may not be read: UNDECIDED, kept");
        chmod(shelf, 0700);
        is_int(as_user(clean_as_user, lock), 100 + EACCES, "a directory that may not be searched: -EACCES");
    }
    chmod(shelf, 0700);
    remove_tree(shelf);
    free(shelf);
}

int main(void)
{
    dir = make_temp_dir("lock");
    context = test_context(NULL);
    seed_cases();
    contents();
    kinds();
    permissions();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
