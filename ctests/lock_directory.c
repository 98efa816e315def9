/*
 * steadfast_directory_sweep: what killed writers and dead owners have left goes, and nothing else: whatever else is in the
 * directory, whichever call fails, and at whichever call the writer was killed.
 */
#include "tap.h"
#include "faults.h"
#include "lock_probe.h"

enum { LOCKS = STEADFAST_SWEEP_LOCKS, DRY = STEADFAST_SWEEP_DRY_RUN, UNTOLD = -1 };

static char *dir;
static steadfast_report report = { .size = sizeof report };
static pid_t dead;

/* What was told. */
static struct {
    int count;
    struct {
        char name[256];
        int status;
    } one[64];
    int answer;  /* of the callback */
} told;

static int32_t note(void *user, const char *name, const steadfast_report *about)
{
    (void)user;
    if (told.count < 64) {
        snprintf(told.one[told.count].name, sizeof told.one[0].name, "%s", name);
        told.one[told.count].status = about->status;
    }
    told.count++;
    return told.answer;
}

static int verdict_of(const char *name)
{
    for (int i = 0; i < told.count && i < 64; i++)
        if (strcmp(told.one[i].name, name) == 0)
            return told.one[i].status;
    return UNTOLD;
}

static int32_t sweep(const steadfast_context *context, uint32_t flags)
{
    memset(&told, 0, sizeof told);
    return steadfast_directory_sweep(context, dir, flags, note, NULL, &report);
}

static void put_pid(const char *name, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof text, "%ld\n", (long)pid);
    write_text(in(dir, name), text);
}

static void clear(void)
{
    remove_tree(dir);
    if (mkdir(dir, 0777) != 0)
        bail_out("%s: %s", dir, strerror(errno));
}

/* A file, what is told of it with LOCKS, and whether it goes. */
struct what {
    const char *name;
    const char *content;  /* NULL: the PID of a dead process */
    int mode;
    int with_locks;       /* what is told of it with LOCKS */
    int without;          /* and without */
};

static const struct what FILES[] = {
    { ".state.0.tmp", "", 0600, STEADFAST_LOCK_REMOVED, STEADFAST_LOCK_REMOVED },
    { ".state.999.tmp", "half a state", 0600, STEADFAST_LOCK_REMOVED, STEADFAST_LOCK_REMOVED },
    { ".a.b.7.tmp", "x", 0644, STEADFAST_LOCK_REMOVED, STEADFAST_LOCK_REMOVED },
    { ".~0123456789abcdef.3.tmp", "x", 0600, STEADFAST_LOCK_REMOVED, STEADFAST_LOCK_REMOVED },
    { ".lonely.2.prev.tmp", "x", 0600, STEADFAST_LOCK_REMOVED, STEADFAST_LOCK_REMOVED },
    { ".lonely.3.past.tmp", "x", 0600, STEADFAST_LOCK_REMOVED, STEADFAST_LOCK_REMOVED },
    { "x.lock", NULL, 0644, STEADFAST_LOCK_REMOVED, UNTOLD },
    { "x.lck", NULL, 0644, STEADFAST_LOCK_REMOVED, UNTOLD },
    { "x.pid", NULL, 0644, STEADFAST_LOCK_REMOVED, UNTOLD },
    { "lock", NULL, 0644, STEADFAST_LOCK_REMOVED, UNTOLD },
    { "marked", NULL, 01644, STEADFAST_LOCK_REMOVED, UNTOLD },
    { "empty.lock", "", 0644, STEADFAST_LOCK_UNDECIDED, UNTOLD },
    { "words.lock", "not a PID\n", 0644, STEADFAST_LOCK_UNDECIDED, UNTOLD },
    /* Others' files, which look a little like ours. */
    { "data", NULL, 0644, UNTOLD, UNTOLD },
    { "block", NULL, 0644, UNTOLD, UNTOLD },
    { ".state.1000.tmp", "", 0600, UNTOLD, UNTOLD },
    { ".state.00.tmp", "", 0600, UNTOLD, UNTOLD },
    { ".state.1x.tmp", "", 0600, UNTOLD, UNTOLD },
    { ".state.-1.tmp", "", 0600, UNTOLD, UNTOLD },
    { ".state..tmp", "", 0600, UNTOLD, UNTOLD },
    { ".state.tmp", "", 0600, UNTOLD, UNTOLD },
    { "..5.tmp", "", 0600, UNTOLD, UNTOLD },
    { ".5.tmp", "", 0600, UNTOLD, UNTOLD },
    { "state.0.tmp", "", 0600, UNTOLD, UNTOLD },
    { ".state.0.tmp.bak", "", 0600, UNTOLD, UNTOLD },
    { ".state.0.edit", "somebody's edit", 0600, UNTOLD, UNTOLD },
    { ".lock.0.turn.tmp", "", 0600, UNTOLD, UNTOLD },
    { "state", "a state", 0600, UNTOLD, UNTOLD },
    { "state.prev", "a state", 0600, UNTOLD, UNTOLD },
};
enum { FILE_COUNT = sizeof FILES / sizeof FILES[0] };

static void put_files(void)
{
    clear();
    for (int i = 0; i < FILE_COUNT; i++) {
        if (FILES[i].content == NULL)
            put_pid(FILES[i].name, dead);
        else
            write_text(in(dir, FILES[i].name), FILES[i].content);
        if (chmod(in(dir, FILES[i].name), (mode_t)FILES[i].mode) != 0)
            bail_out("chmod: %s", strerror(errno));
    }
    put_pid("live.pid", getpid());
    if (mkfifo(in(dir, ".fifo.0.tmp"), 0600) != 0 || mkdir(in(dir, ".directory.0.tmp"), 0700) != 0
        || symlink("state", in(dir, ".link.0.tmp")) != 0 || mkdir(in(dir, "directory.lock"), 0700) != 0)
        bail_out("%s", strerror(errno));
}
/* Nobody asks for these, whatever their names say. */
static int others_are_there(void)
{
    struct stat st;
    return exists(in(dir, "live.pid")) && exists(in(dir, ".fifo.0.tmp")) && exists(in(dir, ".directory.0.tmp"))
           && lstat(in(dir, ".link.0.tmp"), &st) == 0 && exists(in(dir, "directory.lock"));
}

static void each_name(void)
{
    steadfast_context *context = test_context(NULL);
    for (int locks = 0; locks < 2; locks++) {
        for (int dry = 1; dry >= 0; dry--) {
            int wrong = 0;
            put_files();
            is_int(sweep(context, (locks ? LOCKS : 0) | (dry ? DRY : 0)), 0, "sweep%s%s", locks ? ", with locks" : "", dry ? ", dry" : "");
            for (int i = 0; i < FILE_COUNT; i++) {
                int wanted = locks ? FILES[i].with_locks : FILES[i].without, goes = wanted == STEADFAST_LOCK_REMOVED;
                int is = verdict_of(FILES[i].name), there = exists(in(dir, FILES[i].name));
                if (is == (goes && dry ? STEADFAST_LOCK_STALE : wanted) && there == (dry || !goes))
                    continue;
                diag("%s: told %d, %s", FILES[i].name, is, there ? "there" : "gone");
                wrong++;
            }
            is_int(wrong, 0, "each of %d files", FILE_COUNT);
            ok(others_are_there(), "what is no regular file stays, and a live lock");
            is_int(verdict_of("live.pid"), locks ? STEADFAST_LOCK_HELD : UNTOLD, "a live lock");
            ok(report.status == 0 && strstr(report.message, dir) != NULL, "the report is about the directory: %s", report.message);
        }
    }
    is_int(count_entries(dir), FILE_COUNT - 11 + 5, "all the others are left");
    steadfast_context_free(context);
}

static void arguments(void)
{
    steadfast_context *context = test_context(NULL);
    put_files();
    is_int(sweep(context, 4), -EINVAL, "an unknown flag");
    is_int(report.step, STEADFAST_STEP_ARGUMENTS, "at the arguments");
    is_int(steadfast_directory_sweep(context, NULL, 0, note, NULL, &report), -EINVAL, "no directory");
    is_int(steadfast_directory_sweep(context, "", 0, note, NULL, &report), -EINVAL, "an empty path");
    is_int(steadfast_directory_sweep(context, in(dir, "no"), 0, note, NULL, &report), -ENOENT, "no such directory");
    is_int(report.step, STEADFAST_STEP_OPEN_DIRECTORY, "at opening the directory");
    is_int(steadfast_directory_sweep(context, in(dir, "state"), 0, note, NULL, &report), -ENOTDIR, "a file");
    sweep(context, 0);
    ok(told.count > 1, "all are told");
    put_files();
    told.count = 0;
    told.answer = 1;
    is_int(steadfast_directory_sweep(context, dir, 0, note, NULL, &report), 0, "the callback ends it with 0");
    is_int(told.count, 1, "after the first one");
    told.answer = -ECANCELED;
    is_int(steadfast_directory_sweep(context, dir, 0, note, NULL, &report), -ECANCELED, "or with its code");
    is_int(steadfast_directory_sweep(context, dir, LOCKS, NULL, NULL, NULL), 0, "nobody is told");
    ok(exists(in(dir, "data")) && (!has(STEADFAST_ABSENT_FLOCK) || (!exists(in(dir, ".state.0.tmp")) && !exists(in(dir, "x.lock")))),
       "and it is done");
    steadfast_context_free(context);
}

/* A writer of this process, a lock of this process, and a reader's flock. */
static void live_ones(void)
{
    steadfast_context *context = test_context(NULL);
    steadfast_writer *writer;
    steadfast_lock *lock;
    clear();
    char *state = strdup(in(dir, "state")), *lock_path = strdup(in(dir, "own"));
    is_int(steadfast_writer_open(context, state, NULL, &writer, NULL), 0, "a writer");
    is_int(steadfast_lock_acquire(context, lock_path, 0, NULL, &lock, NULL), 0, "a lock");
    write_text(in(dir, ".read.0.tmp"), "");
    write_text(in(dir, ".state.0.prev.tmp"), "the writer's as well");
    int reader = open(in(dir, ".read.0.tmp"), O_RDONLY);
    ok(flock(reader, LOCK_SH) == 0, "a reader");
    sweep(context, DRY);
    is_int(verdict_of(".state.0.prev.tmp"), UNTOLD, "a second name of a writer that lives, dry");
    is_int(sweep(context, LOCKS), 0, "sweep");
    is_int(verdict_of(".state.0.tmp"), STEADFAST_LOCK_HELD, "a writer that lives");
    ok(verdict_of(".state.0.prev.tmp") == UNTOLD && exists(in(dir, ".state.0.prev.tmp")), "its second name");
    is_int(verdict_of("own"), STEADFAST_LOCK_HELD, "a lock that is held");
    is_int(verdict_of(".read.0.tmp"), STEADFAST_LOCK_HELD, "a temporary file that somebody has a flock on");
    close(reader);
    is_int(steadfast_writer_write(writer, "new", 3, NULL), 0, "the writer goes on");
    is_int(steadfast_writer_commit(writer, NULL) < 0, 0, "and commits");
    is_int(steadfast_lock_release(lock, NULL), 0, "and the lock is released");
    free(state);
    free(lock_path);
    steadfast_context_free(context);
}

static void other_users(void)
{
    if (geteuid() != 0) {
        skip("needs root", "another user's files");
        return;
    }
    steadfast_context *context = test_context(NULL);
    clear();
    write_text(in(dir, ".state.0.tmp"), "");
    write_text(in(dir, ".own.0.tmp"), "");
    write_text(in(dir, "own"), "");
    if (chown(in(dir, ".state.0.tmp"), 1, 1) != 0 || chown(in(dir, ".own.0.tmp"), 1, 1) != 0 || chown(in(dir, "own"), 1, 1) != 0)
        bail_out("chown: %s", strerror(errno));
    sweep(context, 0);
    is_int(verdict_of(".state.0.tmp"), STEADFAST_LOCK_UNDECIDED, "another user's");
    is_int(verdict_of(".own.0.tmp"), STEADFAST_LOCK_REMOVED, "but root's own for a state of that user");
    /* Another user than root, in a directory that all may write. */
    clear();
    chmod(dir, 0777);
    write_text(in(dir, ".state.0.tmp"), "");
    pid_t child = fork_child();
    if (child == 0) {
        if (setgid(1) != 0 || setuid(1) != 0)
            _exit(97);
        sweep(context, 0);
        _exit(verdict_of(".state.0.tmp") == STEADFAST_LOCK_UNDECIDED ? 0 : 1);
    }
    is_int(wait_for(child), 0, "of root, for another user");
    ok(exists(in(dir, ".state.0.tmp")), "it is still there");
    steadfast_context_free(context);
}

static int64_t network(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0x6969;
}

static void on_a_network(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.fstatfs = network;
    steadfast_context *context = test_context(&hooks);
    clear();
    write_text(in(dir, ".state.0.tmp"), "");
    is_int(sweep(context, 0), 0, "sweep on NFS");
    is_int(verdict_of(".state.0.tmp"), STEADFAST_LOCK_UNDECIDED, "nobody knows who writes it");
    ok(exists(in(dir, ".state.0.tmp")), "it is kept");
    steadfast_context_free(context);
}

/* Directory entries that no kernel gives. */
static struct {
    int kind;
    long calls;
} listing;
enum { NO_LENGTH, TOO_LONG, NO_END, TOO_SHORT, FOR_EVER };

static int64_t hooked_getdents(void *user, int32_t fd, void *buf, size_t len)
{
    (void)user, (void)fd;
    listing.calls++;
    memset(buf, 0, len);
    unsigned short length = listing.kind == TOO_LONG ? 64 : listing.kind == NO_LENGTH ? 0 : 24;
    memcpy((char *)buf + 16, &length, sizeof length);
    ((char *)buf)[18] = 8;
    memset((char *)buf + 19, 'x', listing.kind == NO_END ? 5 : 4);
    if (listing.kind != FOR_EVER)
        return listing.kind == TOO_SHORT ? 17 : 24;
    for (size_t at = 24; at + 24 <= len; at += 24)
        memcpy((char *)buf + at, buf, 24);
    return (int64_t)(len / 24 * 24);
}

static int64_t no_getdents(void *user, int32_t fd, void *buf, size_t len)
{
    (void)user, (void)fd, (void)buf, (void)len;
    return -ENOSYS;
}

static void hostile_listings(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.getdents = hooked_getdents;
    steadfast_context *context = test_context(&hooks);
    for (listing.kind = NO_LENGTH; listing.kind <= TOO_SHORT; listing.kind++)
        is_int(sweep(context, 0), STEADFAST_E_HOOK, "entries that are none, kind %d", listing.kind);
    if (test_small()) {
        skip("a small run", "a directory without end");
    } else {
        listing.calls = 0;
        is_int(sweep(context, 0), STEADFAST_E_BUSY, "a directory without end has one");
        is_int(listing.calls, ((1 << 24) + 169) / 170, "after 16,777,216 names");
    }
    steadfast_context_free(context);
    hooks.getdents = no_getdents;
    context = test_context(&hooks);
    is_int(sweep(context, 0), -ENOSYS, "no such call");
    steadfast_context_free(context);
}

/* Ends this process at call number `user` of a save. */
static void kill_at(struct faults *f, int call, const char *path)
{
    (void)call, (void)path;
    if (f->calls == *(long *)f->user)
        kill(getpid(), SIGKILL);
}

/* A writer is killed at each of its calls: then nothing is left but what a reader needs. */
static void killed_writers(uint32_t flags)
{
    static const char *const EXPECTED = "state state.prev";
    steadfast_context *real = test_context(NULL);
    steadfast_save_options options = { .size = sizeof options, .flags = flags };
    long at = 0;
    int left = 0, lost = 0, status = 0;
    for (int ended = 0; !ended && at < 300;) {
        at++;
        clear();
        char *path = strdup(in(dir, "state"));
        for (int i = 0; i < 2; i++)
            steadfast_state_save(real, path, "old", 3, &options, NULL);
        pid_t child = fork_child();
        if (child == 0) {
            static struct faults f;
            f.before = kill_at;
            f.user = &at;
            steadfast_save_options new_options = options;
            steadfast_state_save(faults_context(&f), path, "new", 3, &new_options, NULL);
            _exit(0);
        }
        waitpid(child, &status, 0);
        ended = WIFEXITED(status);
        sweep(real, 0);
        if (*leftovers(dir, EXPECTED) != '\0' && has(STEADFAST_ABSENT_FLOCK)) {
            diag("killed at call %ld: %s is left", at, leftovers(dir, EXPECTED));
            left++;
        }
        steadfast_load_options recover = { .size = sizeof recover, .flags = STEADFAST_LOAD_RECOVER };
        steadfast_state state = { .size = sizeof state };
        lost += steadfast_state_load(real, path, &recover, &state, NULL) != 0;
        steadfast_state_free(&state);
        free(path);
    }
    is_int(left, 0, "writers killed at each of %ld calls, flags %u: nothing is left", at, flags);
    is_int(lost, 0, "and a state is there");
    steadfast_context_free(real);
}

/* Each call of a sweep fails in turn. */
static void failing_calls(void)
{
    static const int ERRORS[] = { EIO, EACCES, ENOSYS, EINTR, EAGAIN, ENOENT };
    struct faults none = { .fail_at = 0 };
    int wrong = 0;
    long runs = 0;
    put_files();
    steadfast_context *counting = faults_context(&none);
    sweep(counting, LOCKS);
    steadfast_context_free(counting);
    for (size_t e = 0; e < sizeof ERRORS / sizeof ERRORS[0]; e++) {
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            /* A call that is interrupted for ever is made a million times. */
            if (for_ever && ERRORS[e] == EINTR)
                continue;
            for (long at = 1; at <= none.calls; at += test_small() ? 7 : 1) {
                struct faults f = { .fail_at = at, .error = ERRORS[e], .for_ever = for_ever };
                put_files();
                steadfast_context *context = faults_context(&f);
                int result = sweep(context, LOCKS);
                steadfast_context_free(context);
                runs++;
                for (int i = 0; i < FILE_COUNT; i++) {
                    int there = exists(in(dir, FILES[i].name));
                    /* What was told to be removed is gone, and nothing goes that would not without the fault. */
                    int goes = FILES[i].with_locks == STEADFAST_LOCK_REMOVED, is = verdict_of(FILES[i].name);
                    if ((!there && !goes) || (there && is == STEADFAST_LOCK_REMOVED)) {
                        diag("%s, call %ld: %s is %s, told %d", strerror(ERRORS[e]), at, FILES[i].name, there ? "there" : "gone", is);
                        wrong++;
                    }
                }
                if (result > 0 || !others_are_there()) {
                    diag("%s, call %ld: result %d", strerror(ERRORS[e]), at, result);
                    wrong++;
                }
            }
        }
    }
    is_int(wrong, 0, "%ld sweeps with a failing call: nothing goes that would not without it", runs);
}

int main(void)
{
    /* It is about calls, not about disks. */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    dir = make_temp_dir("directory");
    dead = fork_child();
    if (dead == 0)
        _exit(0);
    wait_for(dead);
    int fds = count_fds();
    arguments();
    hostile_listings();
    on_a_network();
    killed_writers(0);
    killed_writers(STEADFAST_SAVE_KEEP_PREVIOUS);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "what is removed");
    } else {
        each_name();
        live_ones();
        other_users();
        failing_calls();
    }
    is_int(count_fds(), fds, "no descriptor is left");
    remove_tree(dir);
    free(dir);
    return done_testing();
}
