/* Who does not get a lock is told why: nested use, files that name nobody, what another user holds. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <pthread.h>

static char *dir, *lock;
static steadfast_context *context;
static steadfast_lock *held, *other;
static steadfast_report report;

static int32_t acquire(int64_t timeout_ms, int64_t grace_ms)
{
    steadfast_lock_options options = lock_options(0, grace_ms);
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_lock_acquire(context, lock, timeout_ms, &options, &other, &report);
}

/* E_LOCKED, not before its time nor much later, and the message has these words. */
static int locked(int64_t timeout_ms, int64_t grace_ms, const char *words)
{
    int64_t begun = monotonic_ms();
    int32_t status = acquire(timeout_ms, grace_ms);
    int64_t took = monotonic_ms() - begun;
    int told = status == STEADFAST_E_LOCKED && other == NULL && took >= timeout_ms - 1 && took < timeout_ms + 3000
               && strstr(report.message, words) != NULL;
    if (!told)
        diag("%s after %lld ms: %s", steadfast_status_name(status), (long long)took, report.message);
    if (status == 0)
        steadfast_lock_release(other, NULL);
    return told;
}

static int inspected(int32_t verdict, const char *words)
{
    report = (steadfast_report){ .size = sizeof report };
    int32_t status = steadfast_lock_inspect(context, lock, NULL, &report);
    int told = status == verdict && strstr(report.message, words) != NULL;
    if (!told)
        diag("inspect: %s: %s", steadfast_status_name(status), report.message);
    return told;
}

static const char OWN[] = "this very process";

static void *in_thread(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)(locked(0, 0, OWN) && report.pid == getpid());
}

static int in_child(void *arg)
{
    (void)arg;
    return acquire(0, 0) == STEADFAST_E_LOCKED && report.pid == getppid() && strstr(report.message, OWN) == NULL
                   && steadfast_lock_inspect(context, lock, NULL, &report) == STEADFAST_LOCK_HELD && strstr(report.message, OWN) == NULL
               ? 0
               : 1;
}

static void nested_use(void)
{
    static const struct {
        const char *name;
        uint32_t flags, absent;
    } ways[] = { { "a lock", 0, 0 },
                 { "an INHERIT lock", STEADFAST_LOCK_INHERIT, 0 },
                 { "a lock without a mapping", 0, STEADFAST_ABSENT_MAP } };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        steadfast_lock_options options = lock_options(ways[i].flags, 0);
        steadfast_hooks hooks = test_hooks();
        hooks.absent |= ways[i].absent;
        static steadfast_context *volatile own; /* seen by a leak checker in the children */
        own = test_context(&hooks);
        if (steadfast_lock_acquire(own, lock, 0, &options, &held, NULL) != 0)
            bail_out("no lock");
        ok(locked(0, 0, OWN) && report.pid == getpid(), "%s, taken again: E_LOCKED, by this very process", ways[i].name);
        ok(locked(30, 0, OWN) && report.pid == getpid(), "%s, waited for: the same at the timeout", ways[i].name);
        ok(inspected(STEADFAST_LOCK_HELD, OWN), "%s: inspect says so too", ways[i].name);
        pthread_t thread;
        void *answer = NULL;
        if (pthread_create(&thread, NULL, in_thread, NULL) != 0)
            bail_out("thread");
        pthread_join(thread, &answer);
        ok(answer != NULL, "%s: and in another thread", ways[i].name);
        is_int(run_child(in_child, NULL), 0, "%s: in a forked child it is the parent's", ways[i].name);
        steadfast_lock_release(held, NULL);
        steadfast_context_free(own);
    }
    write_pid(lock, getpid());
    ok(locked(0, 0, OWN) && inspected(STEADFAST_LOCK_HELD, OWN), "another program's file that names this process: by this very process");
    unlink(lock);
}

/* A process that has a flock on the file, as flock(1) has. */
static int lock_file(void *arg)
{
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, arg != NULL ? LOCK_SH : LOCK_EX) == 0 ? 0 : 1;
}

/* HELD, by the process that /proc/locks names. The kernel lists all locks of the machine there, and one that is taken or given up elsewhere during a read
 * may hide a line: hence some tries. */
static int held_by(pid_t holder)
{
    for (int tries = 0; tries < 20; tries++) {
        if (!inspected(STEADFAST_LOCK_HELD, "flock"))
            return 0;
        if (!has(STEADFAST_ABSENT_PROC) || report.pid == holder)
            return 1;
    }
    diag("inspect names %lld instead of %lld", (long long)report.pid, (long long)holder);
    return 0;
}

static void files_that_name_nobody(void)
{
    static const struct {
        const char *name, *content;
        size_t len;
    } contents[] = {
        { "an empty file", "", 0 }, { "zeros", "\0\0\0\0", 4 }, { "white space", " \n", 2 }, { "a malformed file", "hello\n", 6 }
    };
    int result;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        write_file(lock, contents[i].content, contents[i].len);
        int malformed = i == 3;
        ok(locked(0, 0, malformed ? "not a PID" : "empty_grace_ms") && locked(30, 0, malformed ? "not a PID" : "empty_grace_ms"),
           "%s: E_LOCKED, and the message says %s", contents[i].name, malformed ? "why" : "empty_grace_ms");
        ok(inspected(STEADFAST_LOCK_UNDECIDED, malformed ? "not a PID" : "empty_grace_ms"), "%s: inspect says the same", contents[i].name);
        if (!malformed)
            ok(locked(0, 3600000, "grace period is not over"), "%s: with a grace that is not over the message says so", contents[i].name);

        pid_t holder = start(lock_file, NULL, &result);
        if (result != 0)
            bail_out("no flock");
        set_mtime_ns(lock, (int64_t)1000000000 * 1000000000);
        ok(held_by(holder), "%s that somebody flocks: HELD, by him", contents[i].name);
        is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_HELD, "%s that somebody flocks: clean says the same",
               contents[i].name);
        ok(locked(30, 0, "flock"), "%s that somebody flocks: E_LOCKED at the timeout, and the message says flock", contents[i].name);
        ok(locked(0, 1, "flock") && exists(lock), "%s that somebody flocks: no grace takes it away", contents[i].name);
        stop(holder);
        int32_t status = acquire(0, 1);
        ok(status == (malformed ? STEADFAST_E_LOCKED : 0), "%s, and the flock is free: %s", contents[i].name,
           malformed ? "kept" : "taken after its grace");
        if (status == 0)
            steadfast_lock_release(other, NULL);
        unlink(lock);
    }
}

/* Works of a process that may read the file. */
static int lock_as_nobody(void *arg)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return lock_file(arg);
}

/* A write lease of the file's owner, who does not give it up when it is to be broken. */
static int lease_file(void *arg)
{
    (void)arg;
    signal(SIGIO, SIG_IGN);
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0 ? 0 : 1;
}

static int try_as_nobody(void *arg)
{
    (void)arg;
    return locked(0, 0, "permission") ? 0 : 1;
}

static void what_others_hold(void)
{
    static const char *const kinds[] = { "an exclusive", "a shared" };
    int result;
    chmod(dir, 0755);
    for (int shared = 0; shared < 2; shared++) {
        pid_t dead = leave_lock(lock);
        chmod(lock, 01644);
        pid_t holder = start(lock_as_nobody, shared ? lock : NULL, &result);
        if (result != 0) {
            skip("another user cannot reach the temporary directory", "%s flock of another user on a stale lock", kinds[shared]);
        } else {
            ok(locked(0, 0, "flock") && locked(60, 0, "flock") && report.pid == dead,
               "%s flock of another user on a stale lock: E_LOCKED at the timeout, and the message says flock", kinds[shared]);
            ok(exists(lock), "the file is kept");
        }
        stop(holder);
        int32_t status = acquire(0, 0);
        ok(status == 0 && steadfast_lock_release(other, NULL) == 0, "when he is gone it is taken");
        unlink(lock);
    }

    write_pid(lock, dead_pid());
    pid_t holder = start(lease_file, NULL, &result);
    if (result != 0) {
        skip("no leases here", "a lease on a stale lock");
    } else {
        ok(locked(0, 0, "lease") && locked(60, 0, "lease"), "a lease on a stale lock: E_LOCKED at the timeout, and the message says lease");
        ok(exists(lock), "the file is kept");
        ok(inspected(STEADFAST_LOCK_HELD, "lease"), "inspect says so too");
    }
    stop(holder);
    ok(acquire(5000, 0) == 0 && steadfast_lock_release(other, NULL) == 0, "when it is gone the lock is taken");
    unlink(lock);

    write_pid(lock, dead_pid());
    chmod(lock, 0);
    chmod(dir, 0777);
    if (geteuid() != 0 || as_user(look_at, lock) != 0)
        skip("needs root, and a temporary directory that all reach", "another user's lock that may not be read");
    else
        ok(as_user(try_as_nobody, NULL) == 0 && exists(lock),
           "another user's lock that may not be read: E_LOCKED, and the message says permission");
    chmod(dir, 0700);
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("told");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "what is told who does not get a lock");
    } else {
        nested_use();
        files_that_name_nobody();
        what_others_hold();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
