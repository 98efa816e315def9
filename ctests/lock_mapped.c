/* The holder's flock outlives its descriptors: a mapping keeps it, where there is one. Closed numbers are the program's. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>

enum { CANNOT = 77, NUMBERS = 24 };

static char *dir, *lock;
static steadfast_context *context;
static steadfast_lock *held;

/* What the map hook does. */
static struct {
    int error;                /* fails with it */
    int elsewhere;            /* maps something that keeps no flock */
    void *address;
    int maps, unmaps;
} mapper;

static int64_t map_hook(void *user, int32_t fd)
{
    (void)user;
    if (mapper.error != 0)
        return -mapper.error;
    int64_t address;
    if (mapper.elsewhere)
        address = (int64_t)(intptr_t)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else
        address = steadfast_hooks_default()->map(NULL, fd);
    mapper.maps += address > 0;
    mapper.address = (void *)(intptr_t)address;
    return address;
}

static int32_t unmap_hook(void *user, uint64_t address)
{
    (void)user;
    mapper.unmaps++;
    return steadfast_hooks_default()->unmap(NULL, address);
}

/* A foreign lock is given up when its waiter sleeps, its short sleeps being over. */
static int32_t unlinking_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    if (timeout_ns < 0 || timeout_ns >= 1000000)
        unlink(lock);
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static steadfast_context *mapper_context(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.map = map_hook;
    hooks.unmap = unmap_hook;
    hooks.poll = unlinking_poll;
    memset(&mapper, 0, sizeof mapper);
    return child_context(&hooks);
}

static void close_everything(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
        return;
#endif
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
}

/* How many descriptors of the lock file this process has. */
static int descriptors_of_lock(void)
{
    struct stat file, st;
    int count = 0;
    if (stat(lock, &file) != 0)
        return -1;
    for (int fd = 3; fd < 256; fd++)
        count += fstat(fd, &st) == 0 && st.st_dev == file.st_dev && st.st_ino == file.st_ino;
    return count;
}

static int hold_and_close_everything(void *arg)
{
    int result = hold(arg);
    close_everything();
    return result;
}

static int try_it(void *arg)
{
    static steadfast_lock *other;
    return steadfast_lock_acquire(child_context(NULL), arg, 0, NULL, &other, NULL) == STEADFAST_E_LOCKED ? 0 : 1;
}

static void closed_descriptors(void)
{
    const char *why_not = why_no_mapping(dir);
    if (why_not != NULL) {
        skip(why_not, "a holder that closed its descriptors");
        return;
    }
    int result;
    pid_t holder = start(hold_and_close_everything, lock, &result);
    is_int(steadfast_lock_inspect(context, lock, NULL, NULL), STEADFAST_LOCK_HELD, "a holder closed every descriptor: HELD");
    ok(!flock_is_free(lock), "its flock is held");
    held_elsewhere(lock, "in another PID namespace: HELD");
    int tried = run_elsewhere(try_it, lock);
    if (tried == NO_NAMESPACE)
        skip("needs root and PID namespaces", "acquire in another PID namespace: E_LOCKED");
    else
        is_int(tried, 0, "acquire in another PID namespace: E_LOCKED");
    stop(holder);
    ok(flock_is_free(lock), "the holder is killed: its flock is free");
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_REMOVED, "and its lock is REMOVED");
}

/* What a program has open: files, and what an event loop needs. */
static int open_own(int kind, int number)
{
    char name[32];
    if (kind == 1)
        return epoll_create1(EPOLL_CLOEXEC);
    if (kind == 2)
        return inotify_init1(IN_CLOEXEC);
    snprintf(name, sizeof name, "own%d", number);
    int fd = open(in(dir, name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    unlink(in(dir, name));
    return fd;
}

/* Takes the lock, perhaps after a wait, closes everything, opens its own in the same places, releases. */
struct program {
    int waits, directory_first, kind;
};

static int release_after_closing(void *arg)
{
    const struct program *program = arg;
    int own[NUMBERS];
    steadfast_context *mapping = mapper_context();
    if (program->waits)
        write_pid(lock, getppid());
    int descriptors = count_fds();
    if (steadfast_lock_acquire(mapping, lock, 10000, NULL, &held, NULL) != 0)
        return 1;
    int kept = why_no_mapping(dir) != NULL;
    /* The directory's, and perhaps inotify's. */
    if (count_fds() < descriptors + 1 + kept || count_fds() > descriptors + 2 + kept || descriptors_of_lock() != kept)
        return 2;
    close_everything();
    if (program->directory_first && open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0)
        return 3;
    for (int i = 0; i < NUMBERS; i++)
        if ((own[i] = open_own(program->kind, i)) < 0)
            return 4;
    if (steadfast_lock_check(held, NULL) != 0)
        return 5;
    if (steadfast_lock_release(held, NULL) != 0 || exists(lock))
        return 6;
    for (int i = 0; i < NUMBERS; i++)
        if (fcntl(own[i], F_GETFD) < 0)
            return 10 + own[i];
    return mapper.maps == mapper.unmaps ? 0 : 7;
}

static void reused_numbers(void)
{
    static const char *const kinds[] = { "files", "epoll descriptors", "inotify descriptors" };
    for (int kind = 0; kind < 3; kind++)
        for (int waits = 0; waits < 2; waits++)
            for (int directory_first = 0; directory_first < 2; directory_first++) {
                struct program program = { waits, directory_first, kind };
                is_int(run_child(release_after_closing, &program), 0,
                       "all was closed%s, and the numbers are%s %s now: release is 0, and closes none", waits ? " after a wait" : "",
                       directory_first ? " the directory's and" : "", kinds[kind]);
                unlink(lock);
            }
    is_int(count_entries(dir), 0, "nothing is left");
}

/* Forks a child that tries a release with a page of its own where the mapping is in its parent; answers with its PID. */
static int hold_beside_child(void *arg)
{
    int pipes[2], answer = -1;
    if (steadfast_lock_acquire(mapper_context(), arg, 0, NULL, &held, NULL) != 0 || pipe(pipes) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        int inherited = msync(mapper.address, 4096, MS_ASYNC) == 0;
        void *page = mmap(mapper.address, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        answer = page == mapper.address && !inherited ? 0 : -2;
        if (steadfast_lock_release(held, NULL) != STEADFAST_E_WRONG_PROCESS)
            answer = -3;
        if (msync(page, 4096, MS_ASYNC) != 0 || mapper.unmaps != 0)
            answer = -4;
        if (write(pipes[1], &answer, sizeof answer) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(pipes[0], &answer, sizeof answer) != sizeof answer)
        answer = -5;
    return answer == 0 ? child : answer;
}

static void forked_children(void)
{
    const char *why_not = why_no_mapping(dir);
    if (why_not == NULL && !dontfork_works())
        why_not = "madvise(MADV_DONTFORK) does nothing here (qemu-user)";
    if (why_not != NULL) {
        skip(why_not, "a forked child of the holder");
        return;
    }
    int result;
    pid_t holder = start(hold_beside_child, lock, &result);
    ok(result > 0, "a forked child's release: E_WRONG_PROCESS, and its own page where the mapping was stays: %d", result);
    ok(!flock_is_free(lock), "the flock is held after it");
    held_elsewhere(lock, "in another PID namespace after it: HELD");
    stop(holder);
    ok(flock_is_free(lock), "the holder is killed, its child lives: the flock is free");
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_REMOVED, "and the lock is REMOVED");
    if (result > 0)
        kill(result, SIGKILL);
    unlink(lock);
}

/* Takes the lock and becomes another program: that has neither mapping nor descriptor. */
static void another_program(void)
{
    int pipes[2];
    char byte;
    if (pipe2(pipes, O_CLOEXEC) != 0)
        bail_out("pipe");
    pid_t child = fork_child();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int taken = hold(lock) == 0 && !flock_is_free(lock);
        dup2(pipes[1], 1);
        execlp("sh", "sh", "-c", taken ? "echo y; exec sleep 60" : "echo n; exec sleep 60", (char *)NULL);
        _exit(1);
    }
    close(pipes[1]);
    int got = read(pipes[0], &byte, 1) == 1 && byte == 'y';
    close(pipes[0]);
    ok(got && flock_is_free(lock), "the holder becomes another program by exec: the flock is free");
    stop(child);
    unlink(lock);
}

static int on_overlay(void *arg)
{
    char options[3000];
    char *merged = strdup(in(arg, "merged"));
    free(lock);
    lock = strdup(in(merged, "lock"));
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0
        || mount("none", arg, "tmpfs", 0, NULL) != 0)
        return CANNOT;
    mkdir(in(arg, "lower"), 0700), mkdir(in(arg, "upper"), 0700), mkdir(in(arg, "work"), 0700), mkdir(merged, 0700);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", in(arg, "lower"), in(arg, "upper"), in(arg, "work"));
    if (mount("overlay", merged, "overlay", 0, options) != 0)
        return CANNOT;
    free(merged);
    if (steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL) != 0)
        return 1;
    int seen = run_elsewhere(inspect_it, lock);
    if (descriptors_of_lock() != 1 || flock_is_free(lock) || (seen != NO_NAMESPACE && seen != STEADFAST_LOCK_HELD))
        return 2;
    return steadfast_lock_release(held, NULL) == 0 && !exists(lock) ? 0 : 3;
}

static void overlay(void)
{
    char *side = make_temp_dir("overlay");
    int end = run_child(on_overlay, side);
    if (end == CANNOT)
        skip("needs root, a mount namespace and overlayfs", "on overlayfs a descriptor keeps the flock");
    else
        is_int(end, 0, "on overlayfs a descriptor keeps the flock: held, and released");
    remove_tree(side);
    free(side);
}

/* Where the mapping fails, or keeps nothing, a descriptor does. */
static void without_mapping(void)
{
    static const int errors[] = { ENOMEM, ENODEV, EPERM, EACCES };
    if (!has(STEADFAST_ABSENT_MAP)) {
        is_int(steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL), 0, "as on a platform whose mappings keep no flock: taken");
        is_int(descriptors_of_lock(), 1, "with a descriptor");
        ok(steadfast_lock_release(held, NULL) == 0 && !exists(lock), "and released");
        return;
    }
    for (size_t i = 0; i <= sizeof errors / sizeof *errors; i++) {
        int last = i == sizeof errors / sizeof *errors, before = count_fds();
        steadfast_context *mapping = mapper_context();
        mapper.error = last ? 0 : errors[i], mapper.elsewhere = last;
        int32_t status = steadfast_lock_acquire(mapping, lock, 0, NULL, &held, NULL);
        int good = status == 0 && descriptors_of_lock() == 1 && !flock_is_free(lock);
        good &= status == 0 && steadfast_lock_release(held, NULL) == 0 && !exists(lock);
        ok(good && count_fds() == before && mapper.maps == mapper.unmaps, "%s: a descriptor keeps the flock",
           last ? "a mapping that keeps no flock" : steadfast_status_name(-errors[i]));
        steadfast_context_free(mapping);
    }
}

int main(void)
{
    dir = make_temp_dir("mapped");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "what keeps a flock");
    } else {
        closed_descriptors();
        reused_numbers();
        forked_children();
        another_program();
        overlay();
        without_mapping();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
