/* What the lock tests share: probes with their verdicts, locks left by a killed holder. Include tap.h, util.h first. */
#ifndef LOCK_PROBE_H
#define LOCK_PROBE_H

#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>

/* Does this run have what the bit would take away? (valgrind 3.19 knows no pidfd_open.) */
static inline int has(uint32_t bit)
{
    static int pidfd = -1;
    if (pidfd < 0) {
        int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        pidfd = fd >= 0;
        if (fd >= 0)
            close(fd);
    }
    return (test_absent() & bit) == 0 && (bit != STEADFAST_ABSENT_PIDFD || pidfd);
}

/* Does the kernel keep a mapping from forked children? qemu-user passes madvise(MADV_DONTFORK) over. */
static inline int dontfork_works(void)
{
    static int works = -1;
    if (works < 0) {
        void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED || madvise(page, 4096, MADV_DONTFORK) != 0)
            bail_out("no page: %s", strerror(errno));
        pid_t child = fork_child();
        if (child == 0)
            _exit(msync(page, 4096, MS_ASYNC) != 0 && errno == ENOMEM);
        works = wait_for(child) == 1;
        munmap(page, 4096);
    }
    return works;
}

/* Why a lock in `dir` keeps a descriptor for its flock in this run; NULL: a mapping keeps it. */
static inline const char *why_no_mapping(const char *dir)
{
    struct statfs fs;
    if (!has(STEADFAST_ABSENT_MAP))
        return "this run has no mapping that keeps a flock";
    if (statfs(dir, &fs) == 0 && (unsigned long)fs.f_type == 0x794c7630)
        return "a mapping on overlayfs keeps another file's flock";
    return NULL;
}

/* A context of a child that ends with _exit, kept where a leak checker sees it. */
static inline steadfast_context *child_context(const steadfast_hooks *hooks)
{
    static steadfast_context *volatile kept;
    kept = test_context(hooks);
    return kept;
}

/* What cleaning a lock that is dead comes to in this run: without flock nothing is removed, by contract. */
static inline int32_t removed(void)
{
    return has(STEADFAST_ABSENT_FLOCK) ? STEADFAST_LOCK_REMOVED : STEADFAST_E_UNSUPPORTED;
}

static inline steadfast_lock_options lock_options(uint32_t flags, int64_t grace_ms)
{
    steadfast_lock_options options = { .size = sizeof options, .flags = flags, .empty_grace_ms = grace_ms };
    return options;
}

/* One probe, one test line: inspect says `expected` (STALE for REMOVED), clean_stale does it; only REMOVED removes the
 * name, nothing else appears in the directory, no descriptor is left, and the report says why. */
static inline int judge_probe(const steadfast_context *context, const char *dir, const char *path, const steadfast_lock_options *options,
                              int32_t expected)
{
    int32_t looked_for = expected == STEADFAST_LOCK_REMOVED ? STEADFAST_LOCK_STALE : expected;
    steadfast_report look = { .size = sizeof look }, report = { .size = sizeof report };
    int names = count_entries(dir), there = exists(path), descriptors = count_fds(), good = 1;
    int32_t looked = steadfast_lock_inspect(context, path, options, &look);
    int after_look = count_entries(dir);
    int32_t status = steadfast_lock_clean_stale(context, path, options, &report);
    int gone = expected == STEADFAST_LOCK_REMOVED;
    int removal_failed = expected < 0 && report.step == STEADFAST_STEP_UNLINK;
    if (looked != looked_for && !(removal_failed && looked == STEADFAST_LOCK_STALE)) {
        good = 0;
        diag("inspect: %s (%d), expected %d: %s", steadfast_status_name(looked), looked, looked_for, look.message);
    }
    if (status != expected || report.status != expected) {
        good = 0;
        diag("clean_stale: %s (%d), its report %d, expected %d: %s", steadfast_status_name(status), status, report.status, expected,
             report.message);
    }
    if (after_look != names || count_entries(dir) != names - gone || exists(path) != (there && !gone)) {
        good = 0;
        diag("the directory: %d names, after inspect %d, after clean_stale %d", names, after_look, count_entries(dir));
    }
    if (count_fds() != descriptors) {
        good = 0;
        diag("descriptors: %d before, %d after", descriptors, count_fds());
    }
    if (report.message[0] == '\0') {
        good = 0;
        diag("the report has no message");
    }
    return good;
}

#define probe(context, dir, path, options, expected, ...) ok(judge_probe(context, dir, path, options, expected), __VA_ARGS__)

/* A child that does its work and then lives until it is killed; the parent goes on once it is ready. */
typedef int (*work)(void *arg);

/* Returns the child; its work's result goes to *result. */
static inline pid_t start(work work, void *arg, int *result)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        bail_out("pipe: %s", strerror(errno));
    pid_t child = fork_child();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int answer = work(arg);
        /* The work may have closed everything: then the end of the pipe is the answer. */
        if (write(pipes[1], &answer, sizeof answer) > 0)
            close(pipes[1]);
        for (;;)
            pause();
    }
    close(pipes[1]);
    *result = -1;
    while (read(pipes[0], result, sizeof *result) < 0 && errno == EINTR) {}
    close(pipes[0]);
    return child;
}

static inline void stop(pid_t child)
{
    kill(child, SIGKILL);
    wait_for(child);
}

/* Runs `work` in a child; its answer is the child's exit status. */
static inline int run_child(work work, void *arg)
{
    pid_t child = fork_child();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(work(arg));
    }
    return wait_for(child);
}

/* The same in a PID namespace of its own, where no number of ours means anything. */
enum { NO_NAMESPACE = 97 };

struct elsewhere {
    work work;
    void *arg;
};

static inline int go_elsewhere_first(void *arg)
{
    struct elsewhere *elsewhere = arg;
    return unshare(CLONE_NEWPID) != 0 ? NO_NAMESPACE : run_child(elsewhere->work, elsewhere->arg);
}

static inline int run_elsewhere(work work, void *arg)
{
    struct elsewhere elsewhere = { work, arg };
    return run_child(go_elsewhere_first, &elsewhere);
}

/* Works that judge the lock at path `arg`: the verdict, 99 for E_UNSUPPORTED, 98 for another error. */
static inline int inspect_it(void *arg)
{
    int32_t status = steadfast_lock_inspect(child_context(NULL), arg, NULL, NULL);
    return status >= 0 ? status : status == STEADFAST_E_UNSUPPORTED ? 99 : 98;
}

/* Is it HELD, seen from another PID namespace, where only the flock tells? One test line. */
#define held_elsewhere(path, ...) \
    do { \
        int seen_ = run_elsewhere(inspect_it, (void *)(uintptr_t)(path)); \
        if (seen_ == NO_NAMESPACE) \
            skip("needs root and PID namespaces", __VA_ARGS__); \
        else \
            is_int(seen_, STEADFAST_LOCK_HELD, __VA_ARGS__); \
    } while (0)

/* Can the exclusive flock of the file at `path` be taken? It is given back. */
static inline int flock_is_free(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return is_free;
}

static inline int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The work of a holder: takes the lock at path `arg`. */
static inline int hold(void *arg)
{
    static steadfast_lock *lock;
    return steadfast_lock_acquire(child_context(NULL), arg, 0, NULL, &lock, NULL);
}

/* Leaves at `path` the lock of a holder that was killed; returns its PID. */
static inline pid_t leave_lock(const char *path)
{
    int result;
    pid_t child = start(hold, (void *)(uintptr_t)path, &result);
    if (result != 0)
        bail_out("the holder got %s", steadfast_status_name(result));
    stop(child);
    return child;
}

/* A PID that a moment ago was a process's and is none now. */
static inline pid_t dead_pid(void)
{
    pid_t child = fork_child();
    if (child == 0)
        _exit(0);
    wait_for(child);
    return child;
}

static inline void write_pid(const char *path, long pid)
{
    char text[32];
    snprintf(text, sizeof text, "%ld\n", pid);
    write_text(path, text);
}

static inline int64_t file_mtime_ns(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        bail_out("stat %s: %s", path, strerror(errno));
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static inline void set_mtime_ns(const char *path, int64_t ns)
{
    struct timespec times[2] = { { 0, UTIME_OMIT }, { ns / 1000000000, ns % 1000000000 } };
    if (utimensat(AT_FDCWD, path, times, 0) != 0)
        bail_out("utimensat %s: %s", path, strerror(errno));
}

/* Runs `work` as the user nobody when this is root, else as we are; its answer is the child's exit status. */
static inline int as_user(work work, void *arg)
{
    pid_t child = fork_child();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(97);
        _exit(work(arg));
    }
    return wait_for(child);
}

static inline int look_at(void *arg)
{
    return access(arg, F_OK) != 0;
}

/* Can the user nobody get to a file in this directory, which all may search? Not below a private $TMPDIR. */
static inline int user_can_reach(const char *file)
{
    return as_user(look_at, (void *)(uintptr_t)file) == 0;
}

/* The attribute of a record, as the library writes it. */
struct attribute {
    uint64_t boot, start, pid_namespace;
    int64_t written_ns;
    uint64_t pidfd;
};

static inline int read_attribute(const char *path, struct attribute *out)
{
    return getxattr(path, "user.steadfast", out, sizeof *out) == (ssize_t)sizeof *out;
}

/* Makes of a real record at `path` one that names `pid` (0: an empty one), as its writer would have left it: the time stays
 * that of the record. */
static inline void forge(const char *path, long pid, const struct attribute *attribute)
{
    char text[32];
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    int len = snprintf(text, sizeof text, "%ld\n", pid);
    if (fd < 0 || (pid != 0 && write(fd, text, (size_t)len) != len))
        bail_out("forging: %s", strerror(errno));
    close(fd);
    if (setxattr(path, "user.steadfast", attribute, sizeof *attribute, 0) != 0)
        bail_out("setxattr: %s", strerror(errno));
    set_mtime_ns(path, attribute->written_ns);
}

/* Boot and PID namespace are read from /proc. */
#define can_tell (has(STEADFAST_ABSENT_XATTR) && has(STEADFAST_ABSENT_PROC))

/* A reused PID shows in the start time, from /proc, or in the inode of a pidfd, where those have a file system of their
 * own (Linux 6.9). */
static inline int can_tell_reuse(void)
{
    struct stat first, own;
    int a = (int)syscall(SYS_pidfd_open, getppid(), 0), b = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int differ = a >= 0 && b >= 0 && fstat(a, &first) == 0 && fstat(b, &own) == 0 && first.st_ino != own.st_ino;
    close(a), close(b);
    return has(STEADFAST_ABSENT_XATTR) && (has(STEADFAST_ABSENT_PROC) || (has(STEADFAST_ABSENT_PIDFD) && differ));
}

/* Gives the next child the PID `pid`, if nobody else takes it first; needs root. */
static inline pid_t fork_with_pid(pid_t pid, work work, void *arg)
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

#endif
