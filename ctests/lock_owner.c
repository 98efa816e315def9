/* Whose lock is it, and is he dead? Every way in which a number can lie. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

static char *dir, *lock;
static steadfast_context *context;

/* The attribute of a record, as the library writes it. */
struct attribute { uint64_t boot, start, pid_namespace; int64_t written_ns; uint64_t pidfd; };

static int read_attribute_of(const char *path, struct attribute *out)
{
    return getxattr(path, "user.steadfast", out, sizeof *out) == (ssize_t)sizeof *out;
}

static int read_attribute(struct attribute *out) { return read_attribute_of(lock, out); }

/* Boot and PID namespace are read from /proc. */
#define can_tell (has(STEADFAST_ABSENT_XATTR) && has(STEADFAST_ABSENT_PROC))

/* A reused PID shows in the start time, from /proc, or in the inode of a pidfd, where those have a file system of their
 * own (Linux 6.9). */
static int can_tell_reuse(void)
{
    struct stat first, own;
    int a = (int)syscall(SYS_pidfd_open, getppid(), 0), b = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int differ = a >= 0 && b >= 0 && fstat(a, &first) == 0 && fstat(b, &own) == 0 && first.st_ino != own.st_ino;
    close(a), close(b);
    return has(STEADFAST_ABSENT_XATTR) && (has(STEADFAST_ABSENT_PROC) || (has(STEADFAST_ABSENT_PIDFD) && differ));
}

/* Makes of a real record one that names `pid`, as its writer would have left it: the time stays that of the record. */
static void forge(long pid, const struct attribute *attribute)
{
    char text[32];
    int fd = open(lock, O_WRONLY | O_TRUNC | O_CLOEXEC);
    int len = snprintf(text, sizeof text, "%ld\n", pid);
    if (fd < 0 || (pid != 0 && write(fd, text, (size_t)len) != len))
        bail_out("forging: %s", strerror(errno));
    close(fd);
    if (setxattr(lock, "user.steadfast", attribute, sizeof *attribute, 0) != 0)
        bail_out("setxattr: %s", strerror(errno));
    set_mtime_ns(lock, attribute->written_ns);
}

/* A foreign program's write, surely in another tick of the clock that stamps files than the record before. */
static void foreign_write(const char *text, int truncate_first)
{
    int64_t before = file_mtime_ns(lock);
    do {
        int fd = open(lock, O_WRONLY | (truncate_first ? O_TRUNC : 0) | O_CLOEXEC);
        if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || (truncate_first && ftruncate(fd, (off_t)strlen(text)) != 0))
            bail_out("foreign write: %s", strerror(errno));
        close(fd);
    } while (file_mtime_ns(lock) == before);
}

static void *report_tid(void *arg)
{
    int *pipes = arg;
    pid_t tid = (pid_t)syscall(SYS_gettid);
    char byte;
    if (write(pipes[1], &tid, sizeof tid) < 0 || read(pipes[2], &byte, 1) < 0)
        return arg;
    return NULL;
}

static void *outlive(void *arg)
{
    while (pause() < 0) {}
    return arg;
}

/* A process whose first thread has ended while another goes on: /proc calls it a zombie, and it is alive. */
static int lose_first_thread(void *arg)
{
    int *answer = arg;
    pthread_t thread;
    if (pthread_create(&thread, NULL, outlive, NULL) != 0)
        _exit(97);
    if (write(*answer, "x", 1) != 1)
        _exit(97);
    pthread_exit(NULL);
}

static char state_of(pid_t pid)
{
    char path[64];
    size_t len = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    char text[512] = "", *end;
    if (file != NULL) {
        len = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    text[len] = '\0';
    end = strrchr(text, ')');
    return end != NULL ? end[2] : '?';
}

static void numbers(void)
{
    pid_t zombie = fork_child();
    if (zombie == 0)
        _exit(0);
    siginfo_t info;
    waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT);
    write_pid(lock, zombie);
    /* By a pidfd, or by /proc. */
    int can_see = has(STEADFAST_ABSENT_PIDFD) || has(STEADFAST_ABSENT_PROC);
    probe(context, dir, lock, NULL, can_see ? removed() : STEADFAST_LOCK_HELD, "zombie owner: %s", can_see ? "REMOVED" : "HELD, as kill cannot tell");
    wait_for(zombie);

    int pipes[2], back[2];
    if (pipe(pipes) != 0 || pipe(back) != 0)
        bail_out("pipe");
    int ends[3] = { pipes[0], pipes[1], back[0] };
    pthread_t thread;
    pid_t tid;
    if (pthread_create(&thread, NULL, report_tid, ends) != 0 || read(pipes[0], &tid, sizeof tid) != sizeof tid)
        bail_out("thread");
    write_pid(lock, tid);
    int listed = has(STEADFAST_ABSENT_PROC); /* an error of pidfd_open alone makes nobody dead */
    probe(context, dir, lock, NULL, listed ? removed() : STEADFAST_LOCK_HELD, "thread id, which is no process: %s", listed ? "REMOVED" : "HELD, as nothing tells for sure");
    close(back[1]);
    pthread_join(thread, NULL);
    close(pipes[0]), close(pipes[1]), close(back[0]);

    if (pipe(pipes) != 0)
        bail_out("pipe");
    pid_t headless = fork_child();
    if (headless == 0)
        _exit(lose_first_thread(&pipes[1]));
    char byte;
    if (read(pipes[0], &byte, 1) != 1)
        bail_out("headless");
    for (int i = 0; i < 2000 && state_of(headless) != 'Z'; i++)
        usleep(1000); /* no event tells of the end of one thread */
    write_pid(lock, headless);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "owner whose first thread has ended, another runs: HELD");
    kill(headless, SIGKILL);
    wait_for(headless);
    close(pipes[0]), close(pipes[1]);

    write_pid(lock, getpid());
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "own PID: HELD");
    write_pid(lock, 1);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "PID 1: HELD");
    unlink(lock);
}

static int clean_as_user(void *arg)
{
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_clean_stale(child_context(NULL), arg, NULL, &report);
    return kill(1, 0) == 0 ? 96 : status >= 0 ? status : 99;
}

static void no_permission(void)
{
    write_pid(lock, 1);
    chmod(dir, 0755), chmod(lock, 0644);
    if (!user_can_reach(lock))
        skip("another user cannot reach the temporary directory", "EPERM: a process of another user is alive");
    else
        is_int(as_user(clean_as_user, lock), STEADFAST_LOCK_HELD, "EPERM: a process of another user is alive: HELD");
    chmod(dir, 0700);
    unlink(lock);
}

/* Gives the next child the PID `pid`, if nobody else takes it first; needs root. */
static pid_t fork_with_pid(pid_t pid, work work, void *arg)
{
    for (int i = 0; i < 50; i++) {
        FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "we");
        if (file == NULL)
            return -1;
        fprintf(file, "%d", (int)pid - 1);
        if (fclose(file) != 0)
            return -1;
        pid_t child = fork();
        if (child == 0) {
            if (getpid() != pid)
                _exit(0);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(work(arg));
        }
        if (child == pid)
            return child;
        if (child > 0)
            wait_for(child);
    }
    return -1;
}

static int live(void *arg)
{
    (void)arg;
    while (pause() < 0) {}
    return 0;
}

/* A record left by a killed holder, made to say what `attribute` does about the living process `pid`. */
static void probe_forged(long pid, const struct attribute *attribute, int32_t expected, const char *name)
{
    struct attribute was, forged = *attribute;
    leave_lock(lock);
    if (!read_attribute(&was))
        bail_out("no attribute");
    forged.written_ns = was.written_ns;
    forge(pid, &forged);
    probe(context, dir, lock, NULL, expected, "%s: %s", name, expected == STEADFAST_LOCK_HELD ? "HELD" : "REMOVED");
    unlink(lock);
}

static void reused_pid(void)
{
    int32_t reused = can_tell_reuse() ? removed() : STEADFAST_LOCK_HELD, told = can_tell ? removed() : STEADFAST_LOCK_HELD;

    pid_t first = leave_lock(lock);
    /* Start times have a resolution of 10 ms; between two owners of a PID that was not forced there is far more. */
    usleep(25000);
    pid_t second = fork_with_pid(first, live, NULL);
    if (second < 0) {
        skip("needs root and /proc/sys/kernel/ns_last_pid", "reused PID, for real");
    } else {
        probe(context, dir, lock, NULL, reused, "reused PID, for real: %s", reused == STEADFAST_LOCK_HELD ? "HELD, as nothing tells here" : "REMOVED");
        stop(second);
    }
    unlink(lock);

    struct attribute of_holder, own, forged;
    char side[700];
    int result;
    snprintf(side, sizeof side, "%s/side", dir);
    pid_t holder = start(hold, side, &result);
    if (result != 0 || !read_attribute_of(side, &of_holder)) {
        skip(has(STEADFAST_ABSENT_XATTR) ? "no extended attributes on this file system" : "this run has no extended attributes",
             "reused PID and other boot, by a changed attribute");
    } else {
        ok(of_holder.written_ns == file_mtime_ns(side) && (of_holder.boot != 0) == has(STEADFAST_ABSENT_PROC)
               && (of_holder.start != 0) == has(STEADFAST_ABSENT_PROC),
           "the attribute: boot, start, PID namespace, time of writing, pidfd");
        /* The control: not a word changed, but the flock is free. */
        probe_forged(holder, &of_holder, STEADFAST_LOCK_HELD, "live PID, same boot, same start, flock lost");
        forged = of_holder;
        forged.start += 100;
        forged.pidfd += forged.pidfd != 0;
        probe_forged(holder, &forged, reused, "reused PID, same boot and another start time");
        forged = of_holder;
        forged.boot ^= 1;
        probe_forged(holder, &forged, told, "other boot, live PID");
        forged = of_holder;
        forged.pid_namespace ^= 1;
        probe_forged(holder, &forged, told, "other PID namespace of this boot, live PID, flock free");
        forged = of_holder;
        forged.boot = forged.start = forged.pid_namespace = forged.pidfd = 0;
        probe_forged(holder, &forged, STEADFAST_LOCK_HELD, "live PID, nothing known about it");

        static steadfast_lock *held;
        char mine[700];
        snprintf(mine, sizeof mine, "%s/mine", dir);
        if (steadfast_lock_acquire(context, mine, 0, NULL, &held, NULL) != 0 || !read_attribute_of(mine, &own))
            bail_out("no lock of our own");
        probe_forged(getpid(), &own, STEADFAST_LOCK_HELD, "own PID, our own record");
        own.start += 100;
        own.pidfd += own.pidfd != 0;
        probe_forged(getpid(), &own, reused, "reused PID, which is our own");
        steadfast_lock_release(held, NULL);
    }
    stop(holder);
    unlink(side);
}

/* A process in a PID namespace of its own that holds the lock, with a number of our choice there. */
struct inside { int answer; pid_t number; };

static int hold_inside(void *arg)
{
    struct inside *inside = arg;
    int result = hold(lock);
    if (write(inside->answer, &result, sizeof result) != sizeof result)
        _exit(97);
    for (;;)
        pause();
}

/* Returns the process that owns the namespace: killed, it takes all in it along. */
static pid_t start_inside(pid_t number, int *result)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        bail_out("pipe");
    pid_t outer = fork_child();
    if (outer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWPID) != 0)
            _exit(97);
        pid_t init = fork();
        if (init == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            struct inside inside = { pipes[1], number };
            if (number == 1)
                _exit(hold_inside(&inside));
            fork_with_pid(number, hold_inside, &inside);
            close(pipes[1]);
            for (;;)
                pause();
        }
        close(pipes[1]);
        wait_for(init);
        _exit(0);
    }
    close(pipes[1]);
    *result = -1;
    if (read(pipes[0], result, sizeof *result) != sizeof *result)
        *result = -1;
    close(pipes[0]);
    return outer;
}

/* Ends the outer process, then waits until the flock of the lock is free: init goes after it, not with it. */
static void stop_inside(pid_t outer)
{
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    stop(outer);
    if (fd >= 0)
        flock(fd, LOCK_EX);
    close(fd);
}

static int clean_inside(void *arg)
{
    if (unshare(CLONE_NEWPID) != 0)
        return 97;
    pid_t child = fork();
    if (child == 0) {
        int32_t status = steadfast_lock_clean_stale(child_context(NULL), arg, NULL, NULL);
        _exit(status >= 0 ? status : 99);
    }
    return wait_for(child);
}

static int child_of(work work, void *arg)
{
    pid_t child = fork_child();
    if (child == 0)
        _exit(work(arg));
    return wait_for(child);
}

static void namespaces(void)
{
    if (geteuid() != 0) {
        skip("needs root", "live owner in another PID namespace");
        return;
    }
    int result;
    pid_t dead = dead_pid();
    pid_t outer = start_inside(dead, &result);
    if (result != 0) {
        skip("needs PID namespaces and ns_last_pid", "live owner in another PID namespace, whose number is dead here");
    } else {
        probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "live owner in another PID namespace, whose number is dead here: HELD");
        stop_inside(outer);
        probe(context, dir, lock, NULL, removed(), "the same, killed: REMOVED");
    }
    if (result != 0)
        stop(outer);
    unlink(lock);

    outer = start_inside(1, &result);
    if (result != 0) {
        skip("needs PID namespaces", "live owner in another PID namespace, whose number is alive here");
    } else {
        probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "live owner in another PID namespace, whose number is alive here: HELD");
        stop_inside(outer);
        int told = can_tell || can_tell_reuse();
        probe(context, dir, lock, NULL, told ? removed() : STEADFAST_LOCK_HELD, "the same, killed: %s", told ? "REMOVED" : "HELD, as nothing tells here");
    }
    if (result != 0)
        stop(outer);
    unlink(lock);

    pid_t holder = start(hold, lock, &result);
    int seen = child_of(clean_inside, lock);
    if (seen == 97)
        skip("needs PID namespaces", "our lock seen from another PID namespace");
    else
        is_int(seen, STEADFAST_LOCK_HELD, "our lock seen from another PID namespace, where the number is nobody's: HELD");
    stop(holder);
    unlink(lock);
}

/* Takes the lock, then forks a child that goes on; answers with the child's PID. */
static int hold_and_fork(void *arg)
{
    if (hold(arg) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static int hold_and_close_all(void *arg)
{
    int result = hold(arg);
    for (int fd = 3; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            struct stat st;
            /* All but the pipe that the answer goes to. */
            if (fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode))
                close(fd);
        }
    return result;
}

static void holders(void)
{
    int result;
    pid_t holder = start(hold_and_fork, lock, &result);
    if (result <= 0)
        bail_out("no holder with a child");
    stop(holder);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "owner killed, its flock held by a forked child: HELD");
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    kill(result, SIGKILL);
    flock(fd, LOCK_EX); /* free once the child, which is not ours to wait for, is gone */
    close(fd);
    probe(context, dir, lock, NULL, removed(), "the child killed too: REMOVED");
    unlink(lock);

    holder = start(hold_and_close_all, lock, &result);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "owner closed every descriptor, and lives: HELD");
    stop(holder);
    probe(context, dir, lock, NULL, removed(), "the same owner, killed: REMOVED");
    unlink(lock);

    leave_lock(lock);
    fd = open(lock, O_RDONLY | O_CLOEXEC);
    flock(fd, LOCK_EX);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "dead PID, but somebody holds the flock: HELD");
    close(fd);
    unlink(lock);

    struct attribute was;
    leave_lock(lock);
    int mtime_kept = read_attribute(&was);
    int64_t mtime = file_mtime_ns(lock);
    if (truncate(lock, 0) != 0)
        bail_out("truncate");
    set_mtime_ns(lock, mtime);
    probe(context, dir, lock, NULL, removed(), "our own record, emptied, as a power cut leaves it: REMOVED");
    unlink(lock);
    if (mtime_kept) {
        leave_lock(lock);
        mtime = file_mtime_ns(lock);
        write_file(lock, "\0\0\0\0\0\0", 6);
        set_mtime_ns(lock, mtime);
        probe(context, dir, lock, NULL, removed(), "our own record, zeroed, as a power cut leaves it: REMOVED");
        unlink(lock);
    }

    leave_lock(lock);
    char number[32];
    snprintf(number, sizeof number, "%ld\n", (long)getpid());
    foreign_write(number, 1);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "a foreign program overwrote our stale record with a live PID: HELD");
    unlink(lock);

    leave_lock(lock);
    int had_attribute = read_attribute(&was);
    mtime = file_mtime_ns(lock);
    foreign_write("", 1);
    /* Without an attribute the mark in the mode is all there is, and an empty marked file is taken for ours. */
    int told = had_attribute && has(STEADFAST_ABSENT_XATTR);
    probe(context, dir, lock, NULL, told ? STEADFAST_LOCK_UNDECIDED : removed(), "a foreign program truncated our stale record: %s", told ? "UNDECIDED" : "REMOVED, as without an attribute it may be ours");
    unlink(lock);
}

static void marked(void)
{
    write_text(lock, "");
    if (chmod(lock, 01644) != 0) {
        skip("no sticky bit on files here", "empty with our mark and no attribute");
    } else {
        probe(context, dir, lock, NULL, removed(), "empty with our mark in the mode and no attribute: REMOVED");
        write_text(lock, "");
        chmod(lock, 01644);
        int fd = open(lock, O_RDONLY | O_CLOEXEC);
        flock(fd, LOCK_EX);
        probe(context, dir, lock, NULL, has(STEADFAST_ABSENT_FLOCK) ? STEADFAST_LOCK_HELD : STEADFAST_E_UNSUPPORTED, "empty with our mark, and its flock held: not removed");
        close(fd);
    }
    unlink(lock);
}

static int64_t realtime_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void options(void)
{
    steadfast_lock_options grace = lock_options(0, 5000), trust = lock_options(STEADFAST_LOCK_TRUST_START_TIME, 0);
    write_text(lock, "");
    probe(context, dir, lock, &grace, STEADFAST_LOCK_UNDECIDED, "empty_grace_ms: not over, UNDECIDED");
    set_mtime_ns(lock, realtime_ns() - 6000000000);
    grace.empty_grace_ms = 60000;
    probe(context, dir, lock, &grace, STEADFAST_LOCK_UNDECIDED, "empty_grace_ms: a longer one is not over, UNDECIDED");
    set_mtime_ns(lock, realtime_ns() + 3600000000000);
    grace.empty_grace_ms = 5000;
    probe(context, dir, lock, &grace, STEADFAST_LOCK_UNDECIDED, "empty_grace_ms: written in the future, UNDECIDED");
    set_mtime_ns(lock, realtime_ns() - 6000000000);
    probe(context, dir, lock, &grace, removed(), "empty_grace_ms: over, REMOVED");
    write_text(lock, "garbage");
    set_mtime_ns(lock, realtime_ns() - 6000000000);
    probe(context, dir, lock, &grace, STEADFAST_LOCK_UNDECIDED, "empty_grace_ms: says nothing of garbage, UNDECIDED");
    unlink(lock);

    write_pid(lock, getpid());
    probe(context, dir, lock, &trust, STEADFAST_LOCK_HELD, "TRUST_START_TIME: written after the process started, HELD");
    set_mtime_ns(lock, (int64_t)1000000000 * 1000000000);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "a bare PID written before its process started: HELD by default");
    probe(context, dir, lock, &trust, has(STEADFAST_ABSENT_PROC) ? removed() : STEADFAST_LOCK_HELD, "TRUST_START_TIME: written before the process started, %s",
          has(STEADFAST_ABSENT_PROC) ? "REMOVED" : "HELD without /proc");
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("owner");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    numbers();
    no_permission();
    if (has(STEADFAST_ABSENT_FLOCK)) {
        reused_pid();
        namespaces();
        holders();
    } else {
        skip("this run has no flock", "locks that were taken");
    }
    marked();
    options();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
