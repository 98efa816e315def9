/* Whose number is it, and is that process dead? What is known beyond the number is in lock_holder.c. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <pthread.h>
#include <sys/syscall.h>

static char *dir, *lock;
static steadfast_context *context;

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
    probe(context, dir, lock, NULL, can_see ? removed() : STEADFAST_LOCK_HELD, "zombie owner: %s",
          can_see ? "REMOVED" : "HELD, as kill cannot tell");
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
    probe(context, dir, lock, NULL, listed ? removed() : STEADFAST_LOCK_HELD, "thread id, which is no process: %s",
          listed ? "REMOVED" : "HELD, as nothing tells for sure");
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
    if (!read_attribute(lock, &was))
        bail_out("no attribute");
    forged.written_ns = was.written_ns;
    forge(lock, pid, &forged);
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
        probe(context, dir, lock, NULL, reused, "reused PID, for real: %s",
              reused == STEADFAST_LOCK_HELD ? "HELD, as nothing tells here" : "REMOVED");
        stop(second);
    }
    unlink(lock);

    struct attribute of_holder, own, forged;
    char side[700];
    int result;
    snprintf(side, sizeof side, "%s/side", dir);
    pid_t holder = start(hold, side, &result);
    if (result != 0 || !read_attribute(side, &of_holder)) {
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
        if (steadfast_lock_acquire(context, mine, 0, NULL, &held, NULL) != 0 || !read_attribute(mine, &own))
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
    probe(context, dir, lock, &trust, has(STEADFAST_ABSENT_PROC) ? removed() : STEADFAST_LOCK_HELD,
          "TRUST_START_TIME: written before the process started, %s", has(STEADFAST_ABSENT_PROC) ? "REMOVED" : "HELD without /proc");
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
    } else {
        skip("this run has no flock", "locks that were taken");
    }
    options();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
