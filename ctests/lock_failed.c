/* After a failure there is no lock: *out is NULL, whatever it was before, and no file of ours is left. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

static char *dir, *lock;
static steadfast_lock *held;
static steadfast_report report;

/* Acquires with something in *out that is no lock. */
static int32_t acquire(const steadfast_context *context, const char *path, int64_t timeout_ms, const steadfast_lock_options *options)
{
    report = (steadfast_report){ .size = sizeof report };
    held = (steadfast_lock *)&held;
    return steadfast_lock_acquire(context, path, timeout_ms, options, &held, &report);
}

static int names(long pid)
{
    char *content = read_file(lock, NULL);
    int same = content != NULL && atol(content) == pid;
    free(content);
    return same;
}

static void refused(void)
{
    steadfast_context *context = test_context(NULL);
    char longest[4200], name[300];
    int64_t bytes[sizeof(steadfast_lock_options) / 8 + 4] = { 0 };
    steadfast_lock_options options[] = { lock_options(1u << 3, 0), lock_options(1u << 31, 0), lock_options(0, -1), lock_options(0, 0),
                                         lock_options(0, 0),       lock_options(0, 0),        lock_options(0, 0) };
    options[3].mode = 010000, options[4].cancel_fd = -1, options[5].reserved = 1, options[6].size = 4;
    int bad = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        bad += acquire(context, lock, 0, &options[i]) != -EINVAL || held != NULL || report.step != STEADFAST_STEP_ARGUMENTS;
    bytes[0] = sizeof bytes, bytes[sizeof bytes / 8 - 1] = 1;
    bad += acquire(context, lock, 0, (steadfast_lock_options *)(void *)bytes) != -EINVAL || held != NULL;
    ok(bad == 0, "options that are refused: -EINVAL, *out NULL, the step says so");

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    ok(acquire(context, NULL, 0, NULL) == -EINVAL && held == NULL, "no path: -EINVAL, *out NULL");
    ok(acquire(context, "", 0, NULL) == -EINVAL && held == NULL, "an empty path: -EINVAL, *out NULL");
    ok(acquire(context, "/", 0, NULL) == -EISDIR && held == NULL, "the root: -EISDIR, *out NULL");
    ok(acquire(context, longest, 0, NULL) == -ENAMETOOLONG && held == NULL, "a path of 4199 bytes: -ENAMETOOLONG, *out NULL");
    ok(acquire(context, in(dir, name), 0, NULL) == -ENAMETOOLONG && held == NULL, "a name of 256 bytes: -ENAMETOOLONG, *out NULL");
    ok(acquire(context, in(dir, "none/lock"), 0, NULL) == -ENOENT && held == NULL, "no directory: -ENOENT, *out NULL");
    steadfast_report small = { .size = 8 };
    held = (steadfast_lock *)&held;
    ok(steadfast_lock_acquire(context, lock, 0, NULL, &held, &small) == -EINVAL && held == NULL,
       "a report that is too small: -EINVAL, *out NULL");
    steadfast_context_free(context);
}

static void in_the_way(void)
{
    steadfast_context *context = test_context(NULL);
    int32_t expected = has(STEADFAST_ABSENT_FLOCK) ? STEADFAST_E_LOCKED : STEADFAST_E_UNSUPPORTED;
    write_pid(lock, 1);
    ok(acquire(context, lock, 0, NULL) == expected && held == NULL && names(1), "a live lock: %s, *out NULL",
       steadfast_status_name(expected));
    ok(acquire(context, lock, 20, NULL) == expected && held == NULL && names(1), "after a wait too");
    write_text(lock, "");
    ok(acquire(context, lock, 20, NULL) == expected && held == NULL, "an empty one: %s, *out NULL", steadfast_status_name(expected));
    unlink(lock);
    if (has(STEADFAST_ABSENT_FLOCK)) {
        mkdir(lock, 0700);
        ok(acquire(context, lock, 20, NULL) == STEADFAST_E_NOT_REGULAR && held == NULL, "a directory: E_NOT_REGULAR, *out NULL");
        rmdir(lock);
        if (symlink("elsewhere", lock) != 0)
            bail_out("symlink");
        ok(acquire(context, lock, 20, NULL) == STEADFAST_E_SYMLINK && held == NULL, "a link: E_SYMLINK, *out NULL");
        unlink(lock);
    }
    steadfast_context_free(context);
}

/* Call number `nth` fails by `error`, and perhaps all after it. What is wrong after an acquire, or NULL; *failed counts. */
static const char *fail_one(int is_there, long pid, long nth, int error, uint32_t for_ever, long *failed)
{
    steadfast_context *failing = NULL;
    steadfast_hooks table = test_hooks();
    unlink(lock);
    if (is_there)
        write_pid(lock, pid);
    int descriptors = count_fds();
    if (steadfast_context_new_failing(&table, STEADFAST_CALL_ANY, (uint64_t)nth, error, for_ever, &failing) != 0)
        bail_out("no context");
    /* A wait of a millisecond for a live lock has all the calls of a wait. */
    int32_t status = acquire(failing, lock, is_there && pid == 1, NULL);
    steadfast_context_free(failing);
    if (status == 0) {
        /* It may fail as well: the lock has a copy of the counter. */
        steadfast_lock_release(held, NULL);
        return NULL;
    }
    ++*failed;
    if (held != NULL || report.status != status)
        return "*out is not NULL, or the report says another code";
    /* On FUSE, where a lock is taken by its name, a file that cannot be removed any more: empty, or with this process in it. */
    struct stat st;
    int may_stay = for_ever && (!is_there || (stat(lock, &st) == 0 && st.st_size == 0) || names(getpid()));
    if (exists(lock) && !(is_there && names(pid)) && !may_stay)
        return "a lock file of ours is left";
    return count_fds() == descriptors ? NULL : "a descriptor is left";
}

static void each_call(void)
{
    static const int errors[] = { EIO, EMFILE, EACCES, EINVAL };
    static const char *const there[] = { "free", "stale", "held" };
    const long pids[] = { 0, dead_pid(), 1 };
    for (int i = 0; i < 3; i++) {
        long runs = 0, failed = 0, bad = 0;
        for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
            for (uint32_t for_ever = 0; for_ever < 2; for_ever++)
                for (long nth = 1; nth <= 60; nth++, runs++) {
                    const char *wrong = fail_one(i > 0, pids[i], nth, errors[e], for_ever, &failed);
                    if (wrong != NULL && bad++ == 0)
                        diag("call %ld fails by %s%s: %s", nth, steadfast_status_name(-errors[e]), for_ever ? " and all after it" : "",
                             wrong);
                }
        ok(bad == 0 && failed > 20, "a lock that is %s: %ld of %ld runs fail, and each leaves *out NULL, no file, no descriptor", there[i],
           failed, runs);
        unlink(lock);
        for (int k = 0; k < 3; k++) {
            char name[32];
            snprintf(name, sizeof name, ".lock.%d.tmp", k);
            unlink(in(dir, name));
        }
    }
}

/* Hooks that answer what no call can. */
static int32_t wrong_pid(void *user)
{
    return (void)user, -5000;
}
static int64_t wrong_write(void *user, int32_t fd, const void *buf, size_t len)
{
    return (void)user, (void)fd, (void)buf, (int64_t)len + 1;
}
static int32_t wrong_flock(void *user, int32_t fd, int32_t operation)
{
    return (void)user, (void)fd, (void)operation, 7;
}
static int64_t wrong_map(void *user, int32_t fd)
{
    return (void)user, (void)fd, -100000;
}
static int32_t wrong_getpid(void *user)
{
    return (void)user, -EPERM;
}

static void hooks(void)
{
    static const char *const names_of_hooks[] = { "getpid", "write", "flock", "map", "getpid, by an errno" };
    for (int i = 0; i < 5; i++) {
        steadfast_hooks table = test_hooks();
        switch (i) {
        case 0: table.getpid = wrong_pid; break;
        case 1: table.write = wrong_write; break;
        case 2: table.flock = wrong_flock; break;
        case 3: table.map = wrong_map; break;
        case 4: table.getpid = wrong_getpid; break;
        }
        steadfast_context *wrong = test_context(&table);
        int32_t status = acquire(wrong, lock, 0, NULL);
        /* Without a mapping the lock has a descriptor. */
        int good = status == 0 ? i >= 2 : held == NULL && !exists(lock);
        ok(good, "a hook of %s that answers what it cannot: %s", names_of_hooks[i], steadfast_status_name(status));
        if (status == 0)
            steadfast_lock_release(held, NULL);
        steadfast_context_free(wrong);
        unlink(lock);
    }
}

int main(void)
{
    dir = make_temp_dir("failed");
    lock = strdup(in(dir, "lock"));
    refused();
    in_the_way();
    each_call();
    hooks();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
