/* steadfast_lock_adopt: a forked child makes an inherited lock its own. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

/* More than any descriptor that is open here. */
enum { BEYOND = 200 };

static char *dir, *lock;
static steadfast_context *context;
static steadfast_lock *held;
static steadfast_report report;

static int32_t acquire(uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    return steadfast_lock_acquire(context, lock, 0, &options, &held, NULL);
}

static int32_t with_report(int32_t (*call)(steadfast_lock *, steadfast_report *))
{
    report = (steadfast_report){ .size = sizeof report };
    int32_t status = call(held, &report);
    return report.status == status && report.message[0] != '\0' ? status : 1;
}

static int32_t check_it(steadfast_lock *it, steadfast_report *out)
{
    return steadfast_lock_check(it, out);
}
static int32_t adopt_it(steadfast_lock *it, steadfast_report *out)
{
    return steadfast_lock_adopt(it, out);
}
static int32_t release_it(steadfast_lock *it, steadfast_report *out)
{
    return steadfast_lock_release(it, out);
}

/* Does the file name this process, with an attribute that is about it? */
static int names(pid_t pid)
{
    struct attribute attribute;
    char expected[32];
    snprintf(expected, sizeof expected, "%ld\n", (long)pid);
    char *content = read_file(lock, NULL);
    int same = content != NULL && strcmp(content, expected) == 0;
    free(content);
    return same && (!has(STEADFAST_ABSENT_XATTR) || (read_attribute(lock, &attribute) && attribute.written_ns == file_mtime_ns(lock)));
}

static int try_it(void *arg)
{
    static steadfast_lock *other;
    steadfast_report own = { .size = sizeof own };
    int32_t status = steadfast_lock_acquire(child_context(NULL), lock, 0, NULL, &other, &own);
    return status == STEADFAST_E_LOCKED && own.pid == *(pid_t *)arg ? 0 : 1;
}

/* Runs when its starter is gone. The exit status says how far it came. */
static int be_daemon(int starter_lives, int closes)
{
    char byte;
    pid_t own = getpid();
    if (read(starter_lives, &byte, 1) != 0 || steadfast_lock_inspect(context, lock, NULL, NULL) != STEADFAST_LOCK_HELD)
        return 1;
    if (with_report(check_it) != STEADFAST_E_WRONG_PROCESS)
        return 2;
    for (int fd = 3; closes && fd < BEYOND; fd++)
        close(fd);
    if (with_report(adopt_it) != 0 || report.pid != own || !names(own) || with_report(check_it) != 0)
        return 3;
    int64_t written = file_mtime_ns(lock);
    if (with_report(adopt_it) != 0 || report.pid != own || file_mtime_ns(lock) != written || !names(own))
        return 4;
    if (flock_is_free(lock))
        return 8;
    int seen = run_elsewhere(inspect_it, lock);
    if (steadfast_lock_inspect(context, lock, NULL, NULL) != STEADFAST_LOCK_HELD || run_child(try_it, &own) != 0
        || (seen != STEADFAST_LOCK_HELD && seen != NO_NAMESPACE))
        return 5;
    if (with_report(release_it) != 0 || exists(lock))
        return 6;
    return acquire(0) == 0 && steadfast_lock_release(held, NULL) == 0 ? 0 : 7;
}

static void daemonize(int closes)
{
    int lives[2], answers[2], answer = -1;
    if (pipe2(lives, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0)
        bail_out("pipe");
    pid_t starter = fork_child();
    if (starter == 0) {
        if (acquire(STEADFAST_LOCK_INHERIT) != 0)
            _exit(1);
        if (fork() == 0) {
            alarm(60);
            close(lives[1]);
            setsid();
            /* Where nothing of what the daemon closes is. */
            int tell = fcntl(answers[1], F_DUPFD_CLOEXEC, BEYOND);
            answer = be_daemon(lives[0], closes);
            _exit(write(tell, &answer, sizeof answer) == sizeof answer ? 0 : 1);
        }
        _exit(0);
    }
    close(lives[0]), close(lives[1]), close(answers[1]);
    is_int(wait_for(starter), 0, "a lock is taken, and its taker goes into the background");
    if (read(answers[0], &answer, sizeof answer) != sizeof answer)
        answer = -1;
    is_int(answer, 0, "the daemon%s adopts it, again too: the file names it, it is held, it is released",
           closes ? " closes everything, and" : "");
    close(answers[0]);
    unlink(lock);
}

/* Works of children. */
static int adopts(void *arg)
{
    return (void)arg, with_report(adopt_it) == 0 && names(getpid()) && with_report(check_it) == 0 ? 0 : 1;
}
static int is_too_late(void *arg)
{
    return with_report(adopt_it) == STEADFAST_E_WRONG_PROCESS && report.pid == *(pid_t *)arg && with_report(check_it) < 0 ? 0 : 1;
}
static int is_lost(void *arg)
{
    return (void)arg, with_report(adopt_it) == STEADFAST_E_LOCK_LOST ? 0 : 1;
}
static int is_refused(void *arg)
{
    (void)arg;
    return with_report(adopt_it) == -EINVAL && report.step == STEADFAST_STEP_ARGUMENTS && strstr(report.message, "INHERIT") != NULL ? 0 : 1;
}

static void parents_and_children(void)
{
    int result;
    acquire(STEADFAST_LOCK_INHERIT);
    ok(with_report(adopt_it) == 0 && report.pid == getpid() && names(getpid()), "its taker adopts it: 0, it is its own already");
    pid_t child = start(adopts, NULL, &result);
    is_int(result, 0, "a child adopts it");
    ok(with_report(check_it) == STEADFAST_E_WRONG_PROCESS && report.pid == child,
       "check in the parent: E_WRONG_PROCESS, which names the child");
    is_int(run_child(is_too_late, &child), 0, "a second child adopts it: E_WRONG_PROCESS, which names the first");
    ok(with_report(adopt_it) == STEADFAST_E_WRONG_PROCESS && names(child), "nor does the parent get it back");
    ok(with_report(release_it) == STEADFAST_E_WRONG_PROCESS && report.pid == child, "release in the parent: E_WRONG_PROCESS");
    ok(names(child) && !flock_is_free(lock), "the lock goes on");
    stop(child);
    probe(context, dir, lock, NULL, removed(), "the child is killed: REMOVED");

    acquire(STEADFAST_LOCK_INHERIT);
    child = start(adopts, NULL, &result);
    stop(child);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "the child is killed, its parent still has the descriptor: HELD");
    int32_t status = with_report(release_it);
    /* Without an attribute the record of a dead child looks like one of an adopt that failed. */
    if (status == 0 && !has(STEADFAST_ABSENT_XATTR))
        ok(!exists(lock), "the parent releases it: gone");
    else
        probe(context, dir, lock, NULL, removed(), "the parent has let go as well: REMOVED");
    unlink(lock);
}

/* A child in a PID namespace of its own, with a number that is nobody's here, adopts it and lives. */
static int adopt_inside(void *arg)
{
    int answer = adopts(NULL);
    if (write(*(int *)arg, &answer, sizeof answer) != sizeof answer)
        return 97;
    for (;;)
        pause();
}

static int is_too_late_as_well(void *arg)
{
    (void)arg;
    return with_report(adopt_it) == STEADFAST_E_WRONG_PROCESS ? 0 : 1;
}

static void nobodys_number(void)
{
    int pipes[2], answer = -1;
    pid_t dead = dead_pid();
    if (!has(STEADFAST_ABSENT_XATTR)) {
        skip("without an attribute nothing tells that the number's process lives",
             "a child with a number that is nobody's here has adopted it");
        return;
    }
    acquire(STEADFAST_LOCK_INHERIT);
    if (pipe2(pipes, O_CLOEXEC) != 0)
        bail_out("pipe");
    pid_t outer = fork_child();
    if (outer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWPID) != 0)
            _exit(NO_NAMESPACE);
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(pipes[0]);
            fork_with_pid(dead, adopt_inside, &pipes[1]);
            close(pipes[1]);
            for (;;)
                pause();
        }
        close(pipes[1]);
        for (;;)
            pause();
    }
    close(pipes[1]);
    if (read(pipes[0], &answer, sizeof answer) != sizeof answer) {
        skip("needs root, PID namespaces and ns_last_pid", "a child with a number that is nobody's here has adopted it");
    } else {
        is_int(answer, 0, "a child in another PID namespace, with a number that is nobody's here, adopts it");
        is_int(run_child(is_too_late_as_well, NULL), 0, "another child adopts it: E_WRONG_PROCESS, since the first one lives");
        int32_t checked = with_report(check_it), released = with_report(release_it);
        ok(checked == STEADFAST_E_WRONG_PROCESS && released == STEADFAST_E_WRONG_PROCESS && exists(lock),
           "check and release in the parent: E_WRONG_PROCESS");
        held = NULL;
    }
    close(pipes[0]);
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    stop(outer);
    if (held != NULL)
        steadfast_lock_release(held, NULL);
    flock(fd, LOCK_EX); /* free once the namespace is gone */
    close(fd);
    unlink(lock);
}

/* The child has closed the inherited descriptor, and its parent keeps the flock: it cannot be the child's. */
static int closes_and_adopts(void *arg)
{
    (void)arg;
    for (int fd = 3; fd < BEYOND; fd++)
        close(fd);
    int32_t status = with_report(adopt_it);
    return status == -EBADF && with_report(check_it) == STEADFAST_E_WRONG_PROCESS ? 0 : 1;
}

static void closed_beside_parent(void)
{
    acquire(STEADFAST_LOCK_INHERIT);
    int64_t written = file_mtime_ns(lock);
    is_int(run_child(closes_and_adopts, NULL), 0, "a child that closed the inherited descriptor, while its parent lives: -EBADF");
    ok(names(getpid()) && file_mtime_ns(lock) == written && with_report(check_it) == 0, "and nothing has changed");
    ok(steadfast_lock_release(held, NULL) == 0 && !exists(lock), "its parent releases it");
}

static void lost_and_refused(void)
{
    acquire(STEADFAST_LOCK_INHERIT);
    unlink(lock);
    ok(run_child(is_lost, NULL) == 0 && !exists(lock), "adopt after the file was removed: E_LOCK_LOST");
    write_pid(lock, getpid());
    ok(run_child(is_lost, NULL) == 0, "after another one has its name: E_LOCK_LOST");
    char *content = read_file(lock, NULL);
    ok(content != NULL && atol(content) == getpid(), "which is not touched");
    free(content);
    unlink(lock);
    is_int(steadfast_lock_release(held, NULL), STEADFAST_E_LOCK_LOST, "its release: E_LOCK_LOST");

    acquire(0);
    int64_t written = file_mtime_ns(lock);
    ok(run_child(is_refused, NULL) == 0 && is_refused(NULL) == 0, "adopt of a lock without INHERIT: -EINVAL, in a child and in its taker");
    ok(names(getpid()) && file_mtime_ns(lock) == written && with_report(check_it) == 0, "and nothing has changed");
    steadfast_lock_release(held, NULL);
    held = NULL;
    is_int(with_report(adopt_it), -EINVAL, "adopt of NULL: -EINVAL");
    ok(strstr(report.message, "the handle is NULL") != NULL, "it says so: %s", report.message);
}

int main(void)
{
    dir = make_temp_dir("adopt");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "locks that are adopted");
    } else {
        daemonize(0);
        daemonize(1);
        parents_and_children();
        nobodys_number();
        closed_beside_parent();
        lost_and_refused();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
