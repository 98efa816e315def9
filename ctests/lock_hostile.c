/* Locks in a world that is not kind: limits, signals, namespaces, exec, a /proc that is not there, odd paths. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum { CANNOT = 77 };

static char *dir, *lock;
static steadfast_context *context;

static int in_child(work work, void *arg)
{
    pid_t child = fork_child();
    if (child == 0)
        _exit(work(arg));
    return wait_for(child);
}

static void paths(void)
{
    static const struct {
        const char *path;
        const char *name;
    } odd[] = {
        { "", "an empty path" },
        { "/", "the root" },
        { ".", "a dot" },
        { "..", "two dots" },
        { "%s/", "a directory with a slash" },
        { "%s/.", "a directory's dot" },
        { "%s/..", "a directory's parent" },
        { "%s/new/", "a new name with a slash" },
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char path[700];
        static steadfast_lock *held;
        const char *pattern = odd[i].path;
        snprintf(path, sizeof path, "%s%s", strncmp(pattern, "%s", 2) == 0 ? dir : "",
                 strncmp(pattern, "%s", 2) == 0 ? pattern + 2 : pattern);
        int32_t status = steadfast_lock_acquire(context, path, 0, NULL, &held, NULL);
        int32_t cleaned = steadfast_lock_clean_stale(context, path, NULL, NULL);
        ok(status < 0 && held == NULL && cleaned != STEADFAST_LOCK_REMOVED && count_entries(dir) == 0, "%s is no lock: %s", odd[i].name,
           steadfast_status_name(status));
    }
    char *longest = malloc(5001);
    memset(longest, '/', 5000);
    memcpy(longest + 4990, "abcdefghi\0", 11);
    is_int(steadfast_lock_clean_stale(context, longest, NULL, NULL), -ENAMETOOLONG, "a path of 5000 bytes: -ENAMETOOLONG");
    free(longest);
}

static int without_descriptors(void *arg)
{
    int room = (int)(intptr_t)arg;
    struct rlimit limit = { (rlim_t)(3 + room), (rlim_t)(3 + room) };
    static steadfast_lock *held;
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    setrlimit(RLIMIT_NOFILE, &limit);
    int32_t status = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
    if (status == 0)
        return steadfast_lock_release(held, NULL) == 0 ? 0 : 1;
    return status == -EMFILE && held == NULL && !exists(lock) ? 2 : 3;
}

static int without_bytes(void *arg)
{
    (void)arg;
    struct rlimit limit = { 0, 0 };
    static steadfast_lock *held;
    sigset_t pending;
    setrlimit(RLIMIT_FSIZE, &limit);
    int32_t status = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
    sigpending(&pending);
    return status == -EFBIG && held == NULL && !sigismember(&pending, SIGXFSZ) ? 0 : 1;
}

static int no_room_to_name(void *arg)
{
    static steadfast_lock *held;
    int32_t status = steadfast_lock_acquire(context, arg, 0, NULL, &held, NULL);
    return status == -EACCES ? 0 : 1; /* also when it cannot be reached at all */
}

static void limits(void)
{
    int good = 1, taken = 0;
    for (int room = 0; room < 8; room++) {
        int end = in_child(without_descriptors, (void *)(intptr_t)room);
        good &= end == 0 || end == 2;
        taken += end == 0;
    }
    if (test_small())
        skip("valgrind has limits of its own", "with 0 to 7 descriptors left");
    else
        ok(good && taken > 0 && taken < 8 && count_entries(dir) == 0, "with 0 to 7 descriptors left: -EMFILE or taken, nothing left");
    ok(in_child(without_bytes, NULL) == 0 && count_entries(dir) == 0, "RLIMIT_FSIZE 0: -EFBIG, no signal, nothing left");
    chmod(dir, 0555);
    ok(as_user(no_room_to_name, lock) == 0 && count_entries(dir) == 0, "a directory that may not be written: -EACCES");
    chmod(dir, 0700);
}

static volatile sig_atomic_t signals_seen;
static void count_signal(int signal)
{
    (void)signal, signals_seen++;
}

static void storm_of_signals(void)
{
    /* Ignored afterwards: one may still be on its way. */
    struct sigaction action = { .sa_handler = count_signal }, ignore = { .sa_handler = SIG_IGN };
    struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
    struct timespec start, now;
    int cycles = 0, bad = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        static steadfast_lock *held;
        write_pid(lock, cycles % 2 ? 2147483647 : 99999999);
        bad += steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL) != 0 || steadfast_lock_release(held, NULL) != 0;
        cycles++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 300);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &ignore, NULL);
    ok(bad == 0 && signals_seen > 10 && count_entries(dir) == 0, "%d stale locks taken over and released under %d signals", cycles,
       (int)signals_seen);
}

/* Takes the lock, then becomes another program: the flock is gone with the descriptors, the process is the same. */
static void across_exec(void)
{
    int pipes[2];
    char byte;
    if (pipe(pipes) != 0)
        bail_out("pipe");
    pid_t child = fork_child();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (hold(lock) != 0)
            _exit(1);
        close(pipes[0]);
        dup2(pipes[1], 1);
        execlp("sh", "sh", "-c", "echo x; exec sleep 60", (char *)NULL);
        _exit(1);
    }
    close(pipes[1]);
    if (read(pipes[0], &byte, 1) != 1)
        bail_out("no program after exec");
    close(pipes[0]);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "a holder that became another program by exec: HELD");
    stop(child);
    probe(context, dir, lock, NULL, removed(), "the same, killed: REMOVED");
    unlink(lock);
}

/* A waiter that is stopped keeps its place in the queue, not the lock. */
static int wait_long(void *arg)
{
    static steadfast_lock *held;
    return steadfast_lock_acquire(context, arg, 20000, NULL, &held, NULL) == 0 && steadfast_lock_release(held, NULL) == 0 ? 0 : 1;
}

static int has_slept(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) == NULL)
            text[0] = '\0';
        fclose(file);
    }
    return text[0] != '\0' && strncmp(text, "running", 7) != 0;
}

static void stopped_waiter(void)
{
    static steadfast_lock *held;
    if (steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL) != 0)
        bail_out("no lock");
    pid_t waiters[2];
    for (int i = 0; i < 2; i++) {
        waiters[i] = fork_child();
        if (waiters[i] == 0)
            _exit(wait_long(lock));
        usleep(20000); /* beyond its first naps, so that it stands in the queue */
        for (int tries = 0; tries < 100 && !has_slept(waiters[i]); tries++)
            usleep(1000);
    }
    kill(waiters[0], SIGSTOP);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    steadfast_lock_release(held, NULL);
    int second = wait_for(waiters[1]);
    clock_gettime(CLOCK_MONOTONIC, &now);
    long ms = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
    ok(second == 0 && ms < 5000, "a stopped waiter does not keep the next one from the lock: %ld ms", ms);
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_acquire(context, lock, 0, NULL, &held, &report);
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0, "nor one that tries once");
    status = steadfast_lock_acquire(context, lock, 5, NULL, &held, &report);
    ok(status == 0, "nor one that waits for 5 ms: nobody holds it");
    if (status != 0)
        diag("%s, pid %lld: %s", steadfast_status_name(status), (long long)report.pid, report.message);
    else
        steadfast_lock_release(held, NULL);
    kill(waiters[0], SIGCONT);
    is_int(wait_for(waiters[0]), 0, "and gets it when it goes on");
}

/* Another thread forks while this one looks at a stale lock: the child has the descriptor, and its flock, for life. */
static pid_t forked;

static int32_t forking_flock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    int32_t result = steadfast_hooks_default()->flock(NULL, fd, operation);
    if (result == 0 && forked == 0 && (operation & LOCK_UN) == 0) {
        forked = fork_child();
        if (forked == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
    }
    return result;
}

static int32_t failing_unlinkat(void *user, int32_t at, const char *path, int32_t flags)
{
    (void)user, (void)at, (void)path, (void)flags;
    return -EACCES;
}

static void fork_in_the_middle(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.flock = forking_flock;
    steadfast_context *forking = test_context(&hooks);
    hooks.unlinkat = failing_unlinkat;
    steadfast_context *failing = test_context(&hooks);

    write_pid(lock, dead_pid());
    forked = 0;
    int32_t status = steadfast_lock_inspect(forking, lock, NULL, NULL);
    ok(status == STEADFAST_LOCK_STALE && forked > 0, "inspect of a stale lock while another thread forks: STALE");
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_REMOVED,
           "the child of that fork does not keep it from being cleaned");
    stop(forked);
    unlink(lock);

    leave_lock(lock);
    forked = 0;
    steadfast_lock_inspect(forking, lock, NULL, NULL);
    status = steadfast_lock_clean_stale(context, lock, NULL, NULL);
    ok(forked > 0 && status == STEADFAST_LOCK_REMOVED, "nor a stale lock of ours that was inspected");
    stop(forked);
    unlink(lock);

    write_pid(lock, dead_pid());
    forked = 0;
    status = steadfast_lock_clean_stale(failing, lock, NULL, NULL);
    int32_t again = steadfast_lock_clean_stale(context, lock, NULL, NULL);
    ok(status == -EACCES && forked > 0 && again == STEADFAST_LOCK_REMOVED, "nor one whose removal failed");
    stop(forked);
    unlink(lock);

    /* A candidate that was not needed, flocked while somebody forked: it has no name, and keeps nobody out. */
    steadfast_lock *held = NULL;
    write_pid(lock, getpid());
    forked = 0;
    status = steadfast_lock_acquire(forking, lock, 0, NULL, &held, NULL);
    unlink(lock);
    again = steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL);
    ok(status == STEADFAST_E_LOCKED && again == 0 && steadfast_lock_release(held, NULL) == 0, "nor does a fork in a vain acquire");
    if (forked > 0)
        stop(forked);
    steadfast_context_free(forking);
    steadfast_context_free(failing);
}

static int clean(void *arg)
{
    int32_t status = steadfast_lock_clean_stale(child_context(NULL), arg, NULL, NULL);
    return status >= 0 ? status : status == STEADFAST_E_UNSUPPORTED ? 99 : 98;
}

static int clean_without_proc(void *arg)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || umount2("/proc", MNT_DETACH) != 0)
        return CANNOT;
    return clean(arg);
}

static int hold_without_proc(void *arg)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || umount2("/proc", MNT_DETACH) != 0)
        return CANNOT;
    return hold(arg);
}

static void no_proc(void)
{
    if (geteuid() != 0) {
        skip("needs root", "without a mounted /proc");
        return;
    }
    int result;
    pid_t holder = start(hold, lock, &result);
    int live = in_child(clean_without_proc, lock);
    stop(holder);
    int dead = live == CANNOT ? CANNOT : in_child(clean_without_proc, lock);
    if (live == CANNOT)
        skip("needs a mount namespace", "a cleaner without a mounted /proc");
    else
        ok(live == STEADFAST_LOCK_HELD && dead == STEADFAST_LOCK_REMOVED && !exists(lock),
           "a cleaner without a mounted /proc: HELD (%d), and killed: REMOVED (%d)", live, dead);
    unlink(lock);
    holder = start(hold_without_proc, lock, &result);
    if (result == CANNOT) {
        skip("needs a mount namespace", "a holder without a mounted /proc");
        stop(holder);
    } else {
        live = in_child(clean, lock);
        stop(holder);
        dead = in_child(clean, lock);
        ok(result == 0 && live == STEADFAST_LOCK_HELD && dead == STEADFAST_LOCK_REMOVED,
           "a holder without a mounted /proc: HELD, and killed: REMOVED");
    }
    unlink(lock);
}

/* In a time namespace /proc/PID/stat tells another start time of the same process (time_namespaces(7)). */
static int clean_in_another_time(void *arg)
{
    if (unshare(CLONE_NEWTIME) != 0)
        return CANNOT;
    FILE *file = fopen("/proc/self/timens_offsets", "we");
    if (file == NULL || fputs("boottime 100000 0\n", file) < 0 || fclose(file) != 0)
        return CANNOT;
    return in_child(clean, arg);
}

/* Alive, but closed the descriptor that held the flock. */
static int hold_without_flock(void *arg)
{
    int result = hold(arg);
    for (int fd = 3; fd < 256; fd++) {
        struct stat st;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
            close(fd);
    }
    return result;
}

static void another_time(void)
{
    if (geteuid() != 0) {
        skip("needs root", "another time namespace");
        return;
    }
    int result;
    pid_t holder = start(hold, lock, &result);
    int seen = in_child(clean_in_another_time, lock);
    stop(holder);
    unlink(lock);
    if (seen == CANNOT) {
        skip("needs time namespaces", "a cleaner in another time namespace");
        return;
    }
    is_int(seen, STEADFAST_LOCK_HELD, "a cleaner in another time namespace: HELD");
    holder = start(hold_without_flock, lock, &result);
    seen = in_child(clean_in_another_time, lock);
    ok(result == 0 && seen == STEADFAST_LOCK_HELD && exists(lock),
       "a cleaner in another time namespace, the owner lives but lost its flock: HELD");
    stop(holder);
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("hostile");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "taking locks in a hostile world");
    } else {
        paths();
        limits();
        storm_of_signals();
        across_exec();
        fork_in_the_middle();
        stopped_waiter();
        no_proc();
        another_time();
        is_int(count_entries(dir), 0, "nothing is left in the directory at the end");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
