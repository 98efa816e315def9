/* Taking, keeping and giving back a lock. Waiting for one is in lock_wait.c. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"
#include "faults.h"

#include <pthread.h>

static char *dir, *lock;
static steadfast_context *context;

static int32_t try_lock(const char *path, steadfast_lock **out, steadfast_report *report)
{
    memset(report, 0, sizeof *report);
    report->size = sizeof *report;
    return steadfast_lock_acquire(context, path, 0, NULL, out, report);
}

static int try_in_child(void *arg)
{
    static steadfast_lock *other;
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_acquire(context, arg, 0, NULL, &other, &report);
    if (status == STEADFAST_E_LOCKED)
        return report.pid == getppid() ? 1 : 2;
    return status == 0 ? 0 : 3;
}

static int in_child(work work, void *arg)
{
    pid_t child = fork_child();
    if (child == 0)
        _exit(work(arg));
    return wait_for(child);
}

static void *try_in_thread(void *arg)
{
    static steadfast_lock *other;
    steadfast_report report;
    int32_t status = try_lock(arg, &other, &report);
    return (void *)(intptr_t)(status == STEADFAST_E_LOCKED && report.pid == getpid() ? 1 : 0);
}

static void take_and_release(void)
{
    static steadfast_lock *held, *other;
    steadfast_report report;
    char expected[32];
    size_t len = 0;
    int descriptors = count_fds();

    is_int(try_lock(lock, &held, &report), 0, "acquire");
    ok(report.status == 0 && report.pid == getpid() && report.message[0] != '\0', "the report names this process");
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    char *content = read_file(lock, &len);
    ok(content != NULL && len == strlen(expected) && memcmp(content, expected, len) == 0,
       "the content is the PID and a newline, nothing else");
    free(content);
    ok(strcmp(leftovers(dir, "lock"), "") == 0, "the lock is the only name in the directory");

    ok(try_lock(lock, &other, &report) == STEADFAST_E_LOCKED && report.pid == getpid() && other == NULL,
       "again in this thread: E_LOCKED, by this PID");
    pthread_t thread;
    void *answer = NULL;
    if (pthread_create(&thread, NULL, try_in_thread, lock) != 0)
        bail_out("thread");
    pthread_join(thread, &answer);
    ok(answer != NULL, "again in another thread: E_LOCKED, by this PID");
    is_int(in_child(try_in_child, lock), 1, "again in another process: E_LOCKED, by this PID");
    is_int(steadfast_lock_inspect(context, lock, NULL, NULL), STEADFAST_LOCK_HELD, "inspect: HELD");
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_HELD, "clean_stale: HELD");

    memset(&report, 0, sizeof report);
    report.size = sizeof report;
    ok(steadfast_lock_release(held, &report) == 0 && report.status == 0 && report.message[0] != '\0', "release");
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    is_int(count_fds(), descriptors, "no descriptor is left");
    is_int(steadfast_lock_release(NULL, NULL), 0, "release of NULL");

    int good = 1;
    for (int i = 0; i < 50; i++)
        good &= try_lock(lock, &held, &report) == 0 && steadfast_lock_release(held, NULL) == 0;
    ok(good && count_entries(dir) == 0 && count_fds() == descriptors, "fifty times over: no name, no descriptor is left");
}

static void take_over(void)
{
    static steadfast_lock *held;
    steadfast_report report;
    pid_t dead = dead_pid();
    write_pid(lock, dead);
    int32_t status = try_lock(lock, &held, &report);
    ok(status == 0 && report.pid == dead && strstr(report.message, "stale") != NULL,
       "a stale lock is taken over, and the report says whose it was");
    if (status != 0)
        diag("%s: %s", steadfast_status_name(status), report.message);
    steadfast_lock_release(held, NULL);

    dead = leave_lock(lock);
    ok(try_lock(lock, &held, &report) == 0 && report.pid == dead, "the lock of a killed holder is taken over");
    steadfast_lock_release(held, NULL);

    write_text(lock, "garbage");
    held = NULL;
    ok(try_lock(lock, &held, &report) == STEADFAST_E_LOCKED && held == NULL && exists(lock), "an undecided lock: E_LOCKED, kept");
    unlink(lock);
    write_text(lock, "");
    steadfast_lock_options grace = lock_options(0, 5000);
    set_mtime_ns(lock, (int64_t)1000000000 * 1000000000);
    ok(try_lock(lock, &held, &report) == STEADFAST_E_LOCKED && steadfast_lock_acquire(context, lock, 0, &grace, &held, NULL) == 0
           && steadfast_lock_release(held, NULL) == 0,
       "an empty lock: E_LOCKED, and taken over with empty_grace_ms");

    if (symlink("elsewhere", lock) != 0)
        bail_out("symlink");
    is_int(try_lock(lock, &held, &report), STEADFAST_E_SYMLINK, "a symlink in its place: E_SYMLINK");
    ok(exists(lock) && !exists(in(dir, "elsewhere")), "the symlink stays, and is not followed");
    unlink(lock);
    mkdir(lock, 0700);
    ok(try_lock(lock, &held, &report) == STEADFAST_E_NOT_REGULAR && exists(lock), "a directory in its place: E_NOT_REGULAR");
    rmdir(lock);
    ok(try_lock(in(dir, "missing/lock"), &held, &report) == -ENOENT && report.step == STEADFAST_STEP_OPEN_DIRECTORY,
       "no such directory: -ENOENT");
}

static void names_and_modes(void)
{
    static steadfast_lock *held;
    steadfast_report report;
    char name[300], path[1000];
    struct stat st;

    memset(name, 'n', sizeof name);
    name[255] = '\0';
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int32_t status = try_lock(path, &held, &report);
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0 && count_entries(dir) == 0, "a name of 255 bytes");
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    snprintf(path, sizeof path, "%s/%s", dir, name);
    ok(try_lock(path, &held, &report) == -ENAMETOOLONG && count_entries(dir) == 0, "a name of 256 bytes: -ENAMETOOLONG");

    mode_t mask = umask(022);
    steadfast_lock_options options = lock_options(0, 0);
    status = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
    ok(status == 0 && stat(lock, &st) == 0 && (st.st_mode & 0777) == 0644, "mode 0 means 0644");
    steadfast_lock_release(held, NULL);
    options.mode = 0666;
    status = steadfast_lock_acquire(context, lock, 0, &options, &held, NULL);
    ok(status == 0 && stat(lock, &st) == 0 && (st.st_mode & 0777) == 0644, "mode 0666 under umask 022 is 0644");
    steadfast_lock_release(held, NULL);
    options.mode = 0600;
    status = steadfast_lock_acquire(context, lock, 0, &options, &held, NULL);
    ok(status == 0 && stat(lock, &st) == 0 && (st.st_mode & 0777) == 0600, "mode 0600");
    steadfast_lock_release(held, NULL);
    umask(mask);
}

static void options_and_structs(void)
{
    steadfast_lock *held;
    steadfast_report report = { .size = sizeof report };
    steadfast_lock_options options = lock_options(0, 0);
    struct {
        steadfast_lock_options options;
        char tail[24];
    } longer = { .options = options };
    longer.options.size = sizeof longer;

/* A refused call leaves NULL and no file. */
#define refused(...) ok((held = (steadfast_lock *)&held, (__VA_ARGS__) == -EINVAL) && held == NULL && !exists(lock)
    options.flags = 8;
    refused(steadfast_lock_acquire(context, lock, 0, &options, &held, &report)) && report.step == STEADFAST_STEP_ARGUMENTS, "an unknown flag: -EINVAL");
    options = lock_options(0, -1);
    refused(steadfast_lock_acquire(context, lock, 0, &options, &held, NULL)), "a negative grace: -EINVAL");
    options = lock_options(0, 0);
    options.mode = 01000;
    refused(steadfast_lock_acquire(context, lock, 0, &options, &held, NULL)), "a mode that is no permission bits: -EINVAL");
    options = lock_options(0, 0);
    options.size = 8;
    refused(steadfast_lock_acquire(context, lock, 0, &options, &held, NULL)), "options too small for their flags: -EINVAL");
    longer.tail[23] = 1;
    refused(steadfast_lock_acquire(context, lock, 0, &longer.options, &held, NULL)), "options with something in an unknown tail: -EINVAL");
    is_int(steadfast_lock_acquire(context, lock, 0, NULL, NULL, NULL), -EINVAL, "no place for the lock: -EINVAL");
    refused(steadfast_lock_acquire(context, NULL, 0, NULL, &held, NULL)), "no path: -EINVAL");
    report.size = 4;
    refused(steadfast_lock_acquire(context, lock, 0, NULL, &held, &report)), "a report too small to be one: -EINVAL");
    is_int(steadfast_lock_clean_stale(context, NULL, NULL, NULL), -EINVAL, "clean_stale without a path: -EINVAL");
    is_int(steadfast_lock_inspect(context, NULL, NULL, NULL), -EINVAL, "inspect without a path: -EINVAL");
#undef refused

    longer.tail[23] = 0;
    is_int(steadfast_lock_acquire(context, lock, 0, &longer.options, &held, NULL), 0, "options with a zero tail of a later version");
    is_int(steadfast_lock_release(held, NULL), 0, "and its release");
    options = lock_options(STEADFAST_LOCK_EINTR_RETURNS, 12345);
    options.size = offsetof(steadfast_lock_options, empty_grace_ms);
    options.empty_grace_ms = -1; /* beyond its size: not looked at */
    is_int(steadfast_lock_acquire(context, lock, 0, &options, &held, NULL), 0, "options without their tail");
    steadfast_lock_release(held, NULL);

    struct {
        steadfast_report report;
        char canary[64];
    } small;
    memset(&small, 0x55, sizeof small);
    small.report.size = offsetof(steadfast_report, message) + 20;
    int32_t status = steadfast_lock_clean_stale(context, lock, NULL, &small.report);
    const char *after = (const char *)&small.report + small.report.size;
    ok(status == STEADFAST_LOCK_ABSENT && small.report.status == 0 && memchr(small.report.message, 0, 20) != NULL && after[0] == 0x55
           && after[1] == 0x55,
       "a smaller report is filled to its size, its message ended");
    status = steadfast_lock_acquire(NULL, lock, 0, NULL, &held, NULL);
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0, "without a context, options and report");
}

static int release_in_child(void *arg)
{
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_release(arg, &report);
    return status == STEADFAST_E_WRONG_PROCESS && report.pid == getppid() ? 1 : 2;
}

static int pause_forever(void *arg)
{
    (void)arg;
    return 0;
}

static void releases(void)
{
    static steadfast_lock *held, *other;
    steadfast_report report;
    int descriptors = count_fds();

    try_lock(lock, &held, &report);
    unlink(lock);
    report = (steadfast_report){ .size = sizeof report };
    ok(steadfast_lock_release(held, &report) == STEADFAST_E_LOCK_LOST && count_entries(dir) == 0,
       "release of a lock that was taken away: E_LOCK_LOST");

    try_lock(lock, &held, &report);
    unlink(lock);
    write_text(lock, "99999999");
    ok(steadfast_lock_release(held, NULL) == STEADFAST_E_LOCK_LOST && exists(lock), "release of a lock that was replaced: E_LOCK_LOST");
    char *content = read_file(lock, NULL);
    ok(content != NULL && strcmp(content, "99999999") == 0, "the replacement is untouched");
    free(content);
    unlink(lock);

    try_lock(lock, &held, &report);
    unlink(lock);
    int32_t status = try_lock(lock, &other, &report);
    ok(status == 0 && steadfast_lock_release(held, NULL) == STEADFAST_E_LOCK_LOST && exists(lock)
           && steadfast_lock_release(other, NULL) == 0 && !exists(lock),
       "removed and taken again: the first release is E_LOCK_LOST, the second lock stands");
    is_int(count_fds(), descriptors, "no descriptor is left of a lost lock");

    try_lock(lock, &held, &report);
    is_int(in_child(release_in_child, held), 1, "release in a forked child: E_WRONG_PROCESS, the owner named");
    ok(exists(lock) && in_child(try_in_child, lock) == 1, "the parent holds it still");
    is_int(steadfast_lock_release(held, NULL), 0, "and releases it");

    int result;
    try_lock(lock, &held, &report);
    pid_t child = start(pause_forever, NULL, &result);
    status = steadfast_lock_release(held, NULL);
    int32_t again = try_lock(lock, &held, &report);
    ok(status == 0 && again == 0, "released while a forked child lives: the next one gets it");
    steadfast_lock_release(held, NULL);
    stop(child);

    steadfast_context *own = test_context(NULL);
    status = steadfast_lock_acquire(own, lock, 0, NULL, &held, NULL);
    steadfast_context_free(own);
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0 && !exists(lock), "the context is freed before the release");

    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdir(in(dir, "sub"), 0700);
    if (chdir(dir) != 0)
        bail_out("chdir");
    status = steadfast_lock_acquire(context, "sub/../sub/lock", 0, NULL, &held, NULL);
    int there = exists(in(dir, "sub/lock"));
    if (chdir("/") != 0)
        bail_out("chdir");
    ok(status == 0 && there && steadfast_lock_release(held, NULL) == 0 && !exists(in(dir, "sub/lock")),
       "a relative path, and chdir before the release");
    if (chdir(dir) != 0)
        bail_out("chdir");
    status = steadfast_lock_acquire(context, "lock", 0, NULL, &held, NULL);
    if (fchdir(here) != 0)
        bail_out("fchdir");
    close(here);
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0 && !exists(lock), "a bare name, and chdir before the release");

    status = steadfast_lock_acquire(context, in(dir, "sub/lock"), 0, NULL, &held, NULL);
    rename(in(dir, "sub"), in(dir, "moved"));
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0 && count_entries(in(dir, "moved")) == 0,
       "the directory is renamed before the release");
    rmdir(in(dir, "moved"));
}

static void killer(struct faults *f, int call, const char *path)
{
    (void)call, (void)path;
    if (f->calls == *(long *)f->user)
        kill(getpid(), SIGKILL);
}

struct point {
    long at;
    int stale;
};

static int die_at(void *arg)
{
    struct point *point = arg;
    struct faults faults = { .before = killer, .user = &point->at };
    steadfast_hooks hooks = faults_hooks(&faults);
    static steadfast_lock *held;
    int32_t status = steadfast_lock_acquire(child_context(&hooks), lock, 0, NULL, &held, NULL);
    return status == 0 && steadfast_lock_release(held, NULL) == 0 ? 0 : 1;
}

/* Killed before each call of acquire and release in turn: the next one gets the lock at once, and clears up. */
static void kill_points(void)
{
    for (int stale = 0; stale < 2; stale++) {
        int bad = 0;
        struct point point = { 0, stale };
        for (point.at = 1; point.at < 200; point.at++) {
            if (stale)
                write_pid(lock, dead_pid());
            int end = in_child(die_at, &point);
            static steadfast_lock *held;
            steadfast_report report;
            int32_t status = try_lock(lock, &held, &report);
            if (status != 0 || steadfast_lock_release(held, NULL) != 0 || count_entries(dir) != 0 || (end != 0 && end != 1000 + SIGKILL)) {
                bad++;
                diag("killed before call %ld (ended with %d): %s, left: %s", point.at, end, steadfast_status_name(status),
                     leftovers(dir, ""));
                unlink(lock);
            }
            if (end == 0)
                break;
        }
        ok(bad == 0 && point.at > 8 && point.at < 200, "killed before each of %ld calls%s: the next one gets in, nothing is left",
           point.at - 1, stale ? " over a stale lock" : "");
    }
}

int main(void)
{
    dir = make_temp_dir("hold");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (has(STEADFAST_ABSENT_FLOCK)) {
        take_and_release();
        take_over();
        names_and_modes();
        options_and_structs();
        releases();
        kill_points();
    } else {
        static steadfast_lock *held;
        steadfast_report report;
        ok(try_lock(lock, &held, &report) == STEADFAST_E_UNSUPPORTED && held == NULL, "without flock: E_UNSUPPORTED");
        write_pid(lock, getpid());
        ok(try_lock(lock, &held, &report) == STEADFAST_E_UNSUPPORTED && exists(lock),
           "without flock, and a lock there: E_UNSUPPORTED, kept");
        unlink(lock);
    }
    is_int(count_entries(dir), 0, "nothing is left in the directory at the end");
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
