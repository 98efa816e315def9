/* Who holds a lock whose number says nothing: other PID namespaces, forked children, foreign writes, records emptied by a
 * power cut. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <sched.h>

static char *dir, *lock;
static steadfast_context *context;

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

/* A process in a PID namespace of its own that holds the lock, with a number of our choice there. */
struct inside {
    int answer;
    pid_t number;
};

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
        probe(context, dir, lock, NULL, told ? removed() : STEADFAST_LOCK_HELD, "the same, killed: %s",
              told ? "REMOVED" : "HELD, as nothing tells here");
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

/* Takes the lock so that children get it or not, then forks a child that goes on; answers with the child's PID. */
static int fork_with(const char *path, uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    static steadfast_lock *held;
    if (steadfast_lock_acquire(context, path, 0, &options, &held, NULL) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static int hold_and_fork(void *arg)
{
    return fork_with(arg, STEADFAST_LOCK_INHERIT);
}
static int hold_alone_and_fork(void *arg)
{
    return fork_with(arg, 0);
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
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "owner killed, its flock inherited by a forked child: HELD");
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    kill(result, SIGKILL);
    flock(fd, LOCK_EX); /* free once the child, which is not ours to wait for, is gone */
    close(fd);
    probe(context, dir, lock, NULL, removed(), "the child killed too: REMOVED");
    unlink(lock);

    int prolonged = why_no_mapping(dir) != NULL;
    if (!prolonged && !dontfork_works()) {
        skip("madvise(MADV_DONTFORK) does nothing here (qemu-user)", "owner killed, a forked child of it lives: REMOVED");
    } else {
        holder = start(hold_alone_and_fork, lock, &result);
        stop(holder);
        probe(context, dir, lock, NULL, prolonged ? STEADFAST_LOCK_HELD : removed(), "owner killed, a forked child of it lives: %s",
              prolonged ? "HELD, for want of a mapping" : "REMOVED");
        kill(result, SIGKILL);
        unlink(lock);
    }

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
    int mtime_kept = read_attribute(lock, &was);
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
    int had_attribute = read_attribute(lock, &was);
    mtime = file_mtime_ns(lock);
    foreign_write("", 1);
    /* Without an attribute the mark in the mode is all there is, and an empty marked file is taken for ours. */
    int told = had_attribute && has(STEADFAST_ABSENT_XATTR);
    probe(context, dir, lock, NULL, told ? STEADFAST_LOCK_UNDECIDED : removed(), "a foreign program truncated our stale record: %s",
          told ? "UNDECIDED" : "REMOVED, as without an attribute it may be ours");
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
        probe(context, dir, lock, NULL, has(STEADFAST_ABSENT_FLOCK) ? STEADFAST_LOCK_HELD : STEADFAST_E_UNSUPPORTED,
              "empty with our mark, and its flock held: not removed");
        close(fd);
    }
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("holder");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (has(STEADFAST_ABSENT_FLOCK)) {
        namespaces();
        holders();
    } else {
        skip("this run has no flock", "locks that were taken");
    }
    marked();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
