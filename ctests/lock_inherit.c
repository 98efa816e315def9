/* INHERIT: children get the lock's descriptor, through exec too. And what steadfast_lock_check says in every state. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

static char *dir, *lock;
static steadfast_context *context;
static steadfast_lock *held;
static steadfast_report report;

static int32_t acquire(uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    return steadfast_lock_acquire(context, lock, 0, &options, &held, NULL);
}

static int32_t check(void)
{
    report = (steadfast_report){ .size = sizeof report };
    int32_t status = steadfast_lock_check(held, &report);
    return report.status == status && report.message[0] != '\0' ? status : 1;
}

/* How many descriptors another program would get; *of_lock: how many of them are of the lock file. */
static int inheritable(int *of_lock)
{
    struct stat file, st;
    int count = 0;
    *of_lock = 0;
    if (stat(lock, &file) != 0)
        bail_out("no lock file");
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0 || fstat(fd, &st) != 0)
            continue;
        count++;
        *of_lock += st.st_dev == file.st_dev && st.st_ino == file.st_ino;
    }
    return count;
}

/* Takes the lock, runs a command, and answers with its PID: a wrapper. */
static int run_command(uint32_t flags)
{
    int pipes[2];
    char byte;
    if (acquire(flags) != 0 || pipe2(pipes, O_CLOEXEC) != 0)
        return -1;
    pid_t command = fork();
    if (command == 0) {
        dup2(pipes[1], 1);
        execlp("sh", "sh", "-c", "echo y; exec sleep 60", (char *)NULL);
        _exit(1);
    }
    return read(pipes[0], &byte, 1) == 1 ? command : -1;
}

static int wrap(void *arg)
{
    return (void)arg, run_command(STEADFAST_LOCK_INHERIT);
}
static int wrap_alone(void *arg)
{
    return (void)arg, run_command(0);
}

static int take_after(void *arg)
{
    return (void)arg, acquire(0) == 0 && steadfast_lock_release(held, NULL) == 0 ? 0 : 1;
}

/* A wrapper that releases while its command goes on. */
static int wrap_and_release(void *arg)
{
    int command = wrap(arg);
    return command > 0 && steadfast_lock_release(held, NULL) == 0 ? command : -1;
}

static pid_t start_wrapper(work work, int *command)
{
    pid_t wrapper = start(work, NULL, command);
    if (*command <= 0)
        bail_out("no command");
    return wrapper;
}

static void commands(void)
{
    int command, left, of_lock;
    left = inheritable((acquire(0), &of_lock));
    steadfast_lock_release(held, NULL);
    is_int(acquire(STEADFAST_LOCK_INHERIT), 0, "acquire with INHERIT");
    int more = inheritable(&of_lock) - left;
    ok(more == 1 && of_lock == 1, "other programs get one more descriptor, that of the lock file");
    ok(steadfast_lock_release(held, NULL) == 0 && !exists(lock), "its release");

    pid_t wrapper = start_wrapper(wrap, &command);
    stop(wrapper);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "the wrapper is killed, its command lives: HELD");
    held_elsewhere(lock, "in another PID namespace: HELD");
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    kill(command, SIGKILL);
    flock(fd, LOCK_EX); /* free once the command, which is not ours to wait for, is gone */
    close(fd);
    probe(context, dir, lock, NULL, removed(), "the command has ended: REMOVED");

    wrapper = start_wrapper(wrap_and_release, &command);
    ok(!exists(lock) && run_child(take_after, NULL) == 0, "the wrapper releases while its command goes on: the next one gets the lock");
    stop(wrapper);
    kill(command, SIGKILL);

    wrapper = start_wrapper(wrap_alone, &command);
    stop(wrapper);
    ok(flock_is_free(lock), "without INHERIT the command of a killed wrapper does not prolong the lock");
    kill(command, SIGKILL);
    unlink(lock);
}

/* The program closes the inherited descriptor and gets its number again. */
static int close_and_reuse(void *arg)
{
    struct stat file, st;
    int number = -1;
    (void)arg;
    if (acquire(STEADFAST_LOCK_INHERIT) != 0 || stat(lock, &file) != 0)
        return 1;
    for (int fd = 3; fd < 256 && number < 0; fd++)
        if (fstat(fd, &st) == 0 && st.st_ino == file.st_ino && st.st_dev == file.st_dev)
            number = fd;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (number < 0 || dup2(null, number) != number)
        return 2;
    if (steadfast_lock_check(held, NULL) != 0)
        return 3;
    if (steadfast_lock_release(held, NULL) != 0 || exists(lock))
        return 4;
    return fcntl(number, F_GETFD) >= 0 ? 0 : 5;
}

/* A lock file that its owner may read, but not write. */
static int read_only(void *arg)
{
    steadfast_lock_options options = lock_options(STEADFAST_LOCK_INHERIT, 0);
    options.mode = 0444;
    if (steadfast_lock_acquire(child_context(NULL), arg, 0, &options, &held, NULL) != 0)
        return 1;
    int32_t checked = steadfast_lock_check(held, NULL), adopted = steadfast_lock_adopt(held, NULL);
    if (checked != 0 || adopted != 0)
        return 2;
    return steadfast_lock_release(held, NULL) == 0 && !exists(arg) ? 0 : 3;
}

static void odd_files(void)
{
    is_int(run_child(close_and_reuse, NULL), 0,
           "the program closed the descriptor and got its number again: released, nothing of its closed");
    unlink(lock);
    chmod(dir, 0777);
    if (geteuid() == 0 && as_user(look_at, dir) != 0)
        skip("another user cannot reach the temporary directory", "a lock file of mode 0444");
    else
        is_int(as_user(read_only, lock), 0, "a lock file of mode 0444: checked, adopted and released by its owner");
    chmod(dir, 0700);
    unlink(lock);
}

static int check_in_child(void *arg)
{
    (void)arg;
    return check() == STEADFAST_E_WRONG_PROCESS && report.pid == getppid() ? 0 : 1;
}

/* Every state, for one way of keeping the flock. */
static void checks(const char *way, uint32_t flags)
{
    char *before, *after;
    struct stat was, is;
    if (acquire(flags) != 0 || stat(lock, &was) != 0)
        bail_out("no lock");
    before = read_file(lock, NULL);
    int descriptors = count_fds();
    ok(check() == 0 && report.pid == getpid(), "%s: check of a lock that was just taken: 0, this PID", way);
    after = read_file(lock, NULL);
    ok(strcmp(before, after) == 0 && stat(lock, &is) == 0 && is.st_ino == was.st_ino && is.st_mtim.tv_nsec == was.st_mtim.tv_nsec
           && count_fds() == descriptors,
       "%s: it changes nothing", way);
    free(before), free(after);
    is_int(run_child(check_in_child, NULL), 0, "%s: in a forked child E_WRONG_PROCESS, which names the parent", way);
    is_int(check(), 0, "%s: in the parent 0 afterwards", way);

    char *moved = strdup(in(dir, "moved"));
    rename(lock, moved);
    is_int(check(), STEADFAST_E_LOCK_LOST, "%s: its file was renamed away: E_LOCK_LOST", way);
    write_pid(lock, 1);
    is_int(check(), STEADFAST_E_LOCK_LOST, "%s: another file has its name: E_LOCK_LOST", way);
    unlink(lock);
    if (symlink("moved", lock) != 0)
        bail_out("symlink");
    is_int(check(), STEADFAST_E_LOCK_LOST, "%s: a link to it has its name: E_LOCK_LOST", way);
    rename(moved, lock);
    is_int(check(), 0, "%s: it is back: 0", way);
    is_int(steadfast_lock_release(held, NULL), 0, "%s: and released", way);
    free(moved);

    mkdir(in(dir, "sub"), 0700);
    char *other = strdup(in(dir, "sub/lock"));
    steadfast_lock_options options = lock_options(flags, 0);
    if (steadfast_lock_acquire(context, other, 0, &options, &held, NULL) != 0)
        bail_out("no lock");
    rename(in(dir, "sub"), in(dir, "renamed"));
    is_int(check(), 0, "%s: its directory was renamed: 0", way);
    unlink(in(dir, "renamed/lock")), rmdir(in(dir, "renamed"));
    is_int(check(), STEADFAST_E_LOCK_LOST, "%s: file and directory were removed: E_LOCK_LOST", way);
    mkdir(in(dir, "sub"), 0700);
    write_pid(other, getpid());
    is_int(check(), STEADFAST_E_LOCK_LOST, "%s: a directory of that name is there again, and a file with this PID: E_LOCK_LOST", way);
    ok(steadfast_lock_release(held, NULL) == STEADFAST_E_LOCK_LOST && exists(other), "%s: its release says the same, and touches nothing",
       way);
    unlink(other), rmdir(in(dir, "sub"));
    free(other);
}

int main(void)
{
    dir = make_temp_dir("inherit");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    is_int(check(), -EINVAL, "check of NULL: -EINVAL");
    ok(strstr(report.message, "the handle is NULL") != NULL, "it says so: %s", report.message);
    is_int(steadfast_lock_check(NULL, NULL), -EINVAL, "and without a report");
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "locks that are inherited");
    } else {
        commands();
        odd_files();
        checks("plain", 0);
        checks("INHERIT", STEADFAST_LOCK_INHERIT);
        steadfast_context *mapping = context;
        steadfast_hooks hooks = test_hooks();
        hooks.absent |= STEADFAST_ABSENT_MAP;
        context = test_context(&hooks);
        checks("without a mapping", 0);
        steadfast_context_free(context);
        context = mapping;
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
