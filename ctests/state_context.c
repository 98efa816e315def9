/*
 * Contexts that begin at a directory (AT): relative paths begin there whatever the working directory is, also when the program has closed the
 * context's descriptor, and its number is another file's.
 */
#include "tap.h"
#include "state_test.h"
#include "context_test.h"
#include "waiting.h"

#define NO_PROC ((test_absent() & STEADFAST_ABSENT_PROC) != 0)

static char d[300], base[310], other[310];

static int load_with(const steadfast_context *c, const char *path, const char *text)
{
    steadfast_state state = { .size = sizeof state };
    int result = steadfast_state_load(c, path, NULL, &state, &report);
    int same = result == 0 && state.len == strlen(text) && memcmp(state.data, text, state.len) == 0;
    steadfast_state_free(&state);
    return same;
}

/* Everything that takes a path, with this context: 0, or the number of the call that went wrong. */
static int every_call(const steadfast_context *c)
{
    steadfast_save_entry entry = { .size = sizeof entry, .path = "sub/batch", .data = "b", .len = 1 };
    steadfast_lock *lock = NULL;
    char buffer[8];
    size_t len = 0;
    report.size = sizeof report;
    if (save_with(c, "s", "one", 0) != SAVED || save_with(c, "s", "two", STEADFAST_SAVE_KEEP_PREVIOUS) != SAVED)
        return 1;
    if (!load_with(c, "s", "two") || !load_with(c, "s.prev", "one") || !holds(in(base, "s"), "two"))
        return 2;
    if (save_with(c, "sub/deep/s", "deep", STEADFAST_SAVE_CREATE_PARENTS) != SAVED || !holds(in(base, "sub/deep/s"), "deep"))
        return 3;
    if (steadfast_state_save_batch(c, &entry, 1, NULL, &report) != SAVED || !holds(in(base, "sub/batch"), "b"))
        return 4;
    if (steadfast_state_load_into(c, "sub/batch", NULL, buffer, sizeof buffer, &len, &report) != 0 || len != 1)
        return 5;
    if (symlink("sub/deep/s", in(base, "link")) != 0 || save_with(c, "link", "linked", STEADFAST_SAVE_FOLLOW_SYMLINK) != SAVED
        || !holds(in(base, "sub/deep/s"), "linked"))
        return 6;
    if (unlink(in(base, "s")) != 0)
        return 7;
    steadfast_load_options recover = { .size = sizeof recover, .flags = STEADFAST_LOAD_RECOVER };
    steadfast_state state = { .size = sizeof state };
    if (steadfast_state_load(c, "s", &recover, &state, &report) != STEADFAST_RECOVERED)
        return 8;
    steadfast_state_free(&state);
    if (!NO_FLOCK) {
        if (steadfast_lock_acquire(c, "lock", 0, NULL, &lock, &report) != 0 || !exists(in(base, "lock")))
            return 9;
        if (steadfast_lock_inspect(c, "lock", NULL, &report) != STEADFAST_LOCK_HELD)
            return 10;
        if (steadfast_lock_release(lock, &report) != 0 || exists(in(base, "lock")))
            return 11;
        write_text(in(base, "lock"), "2147483646\n");
        if (steadfast_lock_clean_stale(c, "lock", NULL, &report) != STEADFAST_LOCK_REMOVED || exists(in(base, "lock")))
            return 12;
    }
    unlink(in(base, "link"));
    unlink(in(base, "s.prev"));
    remove_tree(in(base, "sub"));
    return count_entries(base) == 0 ? 0 : 13;
}

static void begins_there(void)
{
    int fd = open_directory(base);
    steadfast_context *c = context_at(fd, 0, NULL, NULL);
    close(fd);
    mkdir(in(base, "sub"), 0700);
    is_int(every_call(c), 0, "every call with a relative path begins at the directory, whose descriptor is closed: %s", report.message);
    ok(save_with(c, "../beside", "x", 0) == SAVED && holds(in(d, "beside"), "x"), "\"..\" leads out of it");
    ok(save_with(c, in(d, "beside"), "absolute", 0) == SAVED && holds(in(d, "beside"), "absolute"), "and so does an absolute path");
    steadfast_context_free(c);
    unlink(in(d, "beside"));

    int was = open_directory(".");
    if (chdir(base) != 0)
        bail_out("chdir: %s", strerror(errno));
    c = context_at(AT_FDCWD, 0, NULL, NULL);
    if (fchdir(was) != 0)
        bail_out("chdir: %s", strerror(errno));
    close(was);
    mkdir(in(base, "sub"), 0700);
    is_int(every_call(c), 0, "AT_FDCWD is the working directory of then: %s", report.message);
    steadfast_context_free(c);

    fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    c = context_at(fd, 0, NULL, NULL);
    close(fd);
    mkdir(in(base, "sub"), 0700);
    is_int(every_call(c), 0, "a descriptor that is only a place (O_PATH) will do");
    steadfast_context_free(c);
}

static void options(void)
{
    struct {
        steadfast_context_options options;
        uint64_t more;
    } longer = { { .size = sizeof longer }, 0 };
    steadfast_context *made = NULL;
    int status = 0, file = open(in(d, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    made = context_at(file, 0, NULL, &status);
    ok(made == NULL && status == -ENOTDIR, "a file is no directory");
    close(file);
    made = context_at(file, 0, NULL, &status);
    ok(made == NULL && status == -EBADF, "a closed descriptor");
    made = context_at(AT_FDCWD, 8, NULL, &status);
    ok(made == NULL && status == -EINVAL, "an unknown flag");
    steadfast_context_options o = { .size = sizeof o, .flags = STEADFAST_CONTEXT_BENEATH, .dirfd = AT_FDCWD };
    is_int(steadfast_context_new_with(&o, &made), -EINVAL, "BENEATH without AT");
    is_int(steadfast_context_new_with(&o, NULL), -EINVAL, "nowhere to put it");
    is_int(steadfast_context_new_with(&longer.options, &made), 0, "options of a later version, their tail zero");
    steadfast_context_free(made);
    longer.more = 1;
    is_int(steadfast_context_new_with(&longer.options, &made), -EINVAL, "their tail not zero");
    is_int(steadfast_context_new_with(NULL, &made), 0, "no options");
    ok(save_with(made, in(d, "file"), "x", STEADFAST_SAVE_NO_SYNC) == STEADFAST_NOT_DURABLE, "are the defaults");
    steadfast_context_free(made);
    unlink(in(d, "file"));
}

/* What has the number of the context's descriptor, after the program closed it. */
enum { CLOSED, A_FILE, A_DIRECTORY, A_PIPE, TAKEN };
static const char *const TAKEN_BY[TAKEN] = { "nothing", "a file", "another directory", "a pipe" };

static int reuse(int number, int by)
{
    int fds[2] = { -1, -1 }, fd = -1;
    close(number);
    if (by == A_FILE)
        fd = open(in(other, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    else if (by == A_DIRECTORY)
        fd = open_directory(other);
    else if (by == A_PIPE && pipe(fds) == 0)
        fd = fds[0];
    if (by != CLOSED && fd != number && (dup2(fd, number) != number || close(fd) != 0))
        bail_out("descriptor %d: %s", number, strerror(errno));
    return fds[1];
}

static void closed_by_the_program(void)
{
    for (int by = CLOSED; by < TAKEN; by++) {
        int fd = open_directory(base), before = count_fds();
        steadfast_context *c = context_at(fd, 0, NULL, NULL);
        int own = descriptor_of(base, fd + 1);
        ok(own > 2 && (fcntl(own, F_GETFD) & FD_CLOEXEC) != 0, "the context has a descriptor of its own, close-on-exec");
        int more = reuse(own, by), now = count_fds();
        mkdir(in(base, "sub"), 0700);
        int result = every_call(c);
        if (NO_PROC)
            ok(result == 1 && report.status < 0 && count_entries(other) == (by == A_FILE),
               "%s has its number, and no /proc tells the directory's path: an error, nothing is written elsewhere", TAKEN_BY[by]);
        else
            is_int(result, 0, "%s has its number: every call opens the directory anew", TAKEN_BY[by]);
        is_int(count_fds(), now, "%s: and closes it again", TAKEN_BY[by]);
        steadfast_context_free(c);
        is_int(count_fds(), now, "%s: free does not close what is not the context's", TAKEN_BY[by]);
        if (by != CLOSED)
            close(own);
        if (more >= 0)
            close(more);
        unlink(in(other, "file"));
        remove_tree(in(base, "sub"));
        is_int(count_fds(), before, "%s: nothing else is open", TAKEN_BY[by]);
        close(fd);
    }
}

/* The directory was moved, and another one has its path. */
static void moved(void)
{
    int fd = open_directory(base);
    steadfast_context *c = context_at(fd, 0, NULL, NULL);
    int own = descriptor_of(base, fd + 1);
    if (rename(base, in(d, "moved")) != 0 || mkdir(base, 0700) != 0)
        bail_out("rename: %s", strerror(errno));
    ok(save_with(c, "s", "x", 0) == SAVED && exists(in(d, "moved/s")) && count_entries(base) == 0,
       "a directory that was moved is still the one");
    close(own);
    int status = save_with(c, "s", "y", 0);
    ok(status < 0 && report.step == STEADFAST_STEP_OPEN_DIRECTORY && count_entries(base) == 0 && holds(in(d, "moved/s"), "x"),
       "when its descriptor is closed as well, it cannot be found: %s, nothing is saved elsewhere", steadfast_status_name(status));
    steadfast_context_free(c);
    close(fd);
    remove_tree(base);
    if (rename(in(d, "moved"), base) != 0)
        bail_out("rename: %s", strerror(errno));
    unlink(in(base, "s"));
}

/* In a child without standard streams: 0, or the number of the check that failed. */
static int without_streams(void)
{
    int fd = open_directory(base);
    close(0), close(1), close(2);
    steadfast_context *c = context_at(fd, 0, NULL, NULL);
    if (fcntl(0, F_GETFD) >= 0 || fcntl(1, F_GETFD) >= 0 || fcntl(2, F_GETFD) >= 0)
        return 1;
    if (save_with(c, "s", "x", 0) != SAVED || fcntl(0, F_GETFD) >= 0)
        return 2;
    steadfast_context_free(c);
    return descriptor_of(base, fd + 1) < 0 ? 0 : 3;
}

/* A lock that another process holds is waited for. It is released while the waiter is about to sleep. */
static int to_holder[2], from_holder[2];
static long sleeps;

static int32_t release_meanwhile(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    char byte = 0;
    (void)user;
    /* After the short sleeps at the beginning, when only an event wakes it. */
    if (count > 1 && timeout_ns > 1000000 && ++sleeps == 1 && (write(to_holder[1], &byte, 1) != 1 || read(from_holder[0], &byte, 1) != 1))
        return -EIO;
    return REAL->poll(NULL, fds, count, timeout_ns);
}

static void hold(const steadfast_context *c)
{
    char byte = 0;
    steadfast_lock *lock = NULL;
    if (steadfast_lock_acquire(c, "lock", 0, NULL, &lock, NULL) != 0 || write(from_holder[1], &byte, 1) != 1
        || read(to_holder[0], &byte, 1) != 1 || steadfast_lock_release(lock, NULL) != 0 || write(from_holder[1], &byte, 1) != 1)
        _exit(1);
    /* It lives on: that it dies must not be what wakes the waiter. */
    close(to_holder[1]);
    _exit(read(to_holder[0], &byte, 1) == 0 ? 0 : 1);
}

static void lock_waits(uint32_t absent, const char *how)
{
    char byte;
    steadfast_hooks h = test_hooks();
    steadfast_lock *lock = NULL;
    h.absent |= absent;
    h.poll = release_meanwhile;
    int fd = open_directory(base);
    steadfast_context *c = context_at(fd, 0, &h, NULL);
    if (pipe(to_holder) != 0 || pipe(from_holder) != 0)
        bail_out("pipe: %s", strerror(errno));
    pid_t child = fork_child();
    if (child == 0)
        hold(c);
    if (read(from_holder[0], &byte, 1) != 1)
        bail_out("the lock is not held");
    sleeps = 0;
    int64_t began = now_ms();
    int status = steadfast_lock_acquire(c, "lock", 5000, NULL, &lock, &report);
    int64_t took = now_ms() - began;
    ok(status == 0 && sleeps > 0 && took < 4000, "%s: a lock by a relative path is waited for, and seen to be released (%s, %lld ms)", how,
       steadfast_status_name(status), (long long)took);
    close(to_holder[1]);
    is_int(wait_for(child), 0, "%s: by its holder", how);
    steadfast_lock_release(lock, NULL);
    steadfast_context_free(c);
    close(fd), close(to_holder[0]), close(from_holder[0]), close(from_holder[1]);
}

int main(void)
{
    dir = make_temp_dir("context");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(base, sizeof base, "%s/base", d);
    snprintf(other, sizeof other, "%s/other", d);
    if (mkdir(base, 0700) != 0 || mkdir(other, 0700) != 0)
        bail_out("mkdir: %s", strerror(errno));
    int fds = count_fds();
    begins_there();
    options();
    closed_by_the_program();
    moved();
    pid_t child = fork_child();
    if (child == 0)
        _exit(without_streams());
    is_int(wait_for(child), 0, "without standard streams: its descriptor is none of their numbers");
    unlink(in(base, "s"));
    if (NO_FLOCK) {
        skip("flock is absent", "a lock that is waited for");
    } else {
        lock_waits(0, "/proc");
        lock_waits(STEADFAST_ABSENT_PROC, "no /proc");
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    remove_tree(dir);
    free(dir);
    return done_testing();
}
