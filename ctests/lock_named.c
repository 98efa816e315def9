/* Held means held through the name: file systems on which a hard link is another file (mergerfs, sshfs), or on which nobody
 * sees another one's flock. Hooks stand for them. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

static char *dir, *lock;
static steadfast_lock *held;
static steadfast_report report;

/* The file system, and what happens meanwhile. */
static struct {
    int copies;                 /* another name is another file */
    int blind;                  /* no flock is in the way of another */
    int open_error;             /* the first look through the name fails with it */
    int flock_error;            /* the flock of that look does */
    int create_error;           /* the flock of a file that was created by the lock's name does */
    void (*before_look)(void);  /* happens once, before the first look through the name */
    void (*after_create)(void); /* happens once, after a file was created by the lock's name */
    void (*after_refusal)(void); /* happens once, after an exclusive flock was refused */
    int named, created, looks;  /* names given to records, files created by the name, looks through it */
} fs;

static void happen(void (**what)(void))
{
    void (*now)(void) = *what;
    *what = NULL;
    if (now != NULL)
        now();
}

/* Gives the name to a copy, as faithful as can be. */
static int32_t copy_file(int from, int to_dir, const char *to)
{
    char text[64], attribute[64];
    struct stat st;
    if (from < 0 || fstat(from, &st) != 0)
        return -errno;
    int fd = openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t len = pread(from, text, sizeof text, 0), attribute_len = fgetxattr(from, "user.steadfast", attribute, sizeof attribute);
    if (len < 0 || write(fd, text, (size_t)len) != len || fchmod(fd, st.st_mode & 07777) != 0)
        bail_out("copy: %s", strerror(errno));
    if (attribute_len > 0 && fsetxattr(fd, "user.steadfast", attribute, (size_t)attribute_len, 0) != 0)
        bail_out("fsetxattr: %s", strerror(errno));
    if (futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }) != 0)
        bail_out("futimens: %s", strerror(errno));
    close(fd);
    return 0;
}

static int32_t fs_linkat(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    int32_t result;
    if (fs.copies) {
        int from = op[0] == '\0' ? dup(od) : openat(od, op, O_RDONLY | O_CLOEXEC);
        result = copy_file(from, nd, np);
        close(from);
    } else {
        result = steadfast_hooks_default()->linkat(NULL, od, op, nd, np, flags);
    }
    fs.named += result == 0;
    return result;
}

static int32_t fs_renameat(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    int32_t result;
    if (fs.copies) {
        int from = openat(od, op, O_RDONLY | O_CLOEXEC);
        result = copy_file(from, nd, np);
        close(from);
        if (result == 0)
            unlinkat(od, op, 0);
    } else {
        result = steadfast_hooks_default()->renameat(NULL, od, op, nd, np, flags);
    }
    fs.named += result == 0;
    return result;
}

static int32_t fs_openat(void *user, int32_t at, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    if (strcmp(path, "lock") != 0)
        return steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
    if ((flags & O_CREAT) == 0 && fs.named + fs.created > 0) {
        happen(&fs.before_look);
        if (fs.looks++ == 0 && fs.open_error != 0)
            return -fs.open_error;
    }
    int32_t fd = steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
    if (fd >= 0 && (flags & O_CREAT) != 0) {
        fs.created++;
        happen(&fs.after_create);
    }
    return fd;
}

static int32_t fs_flock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    if (fs.looks == 1 && fs.flock_error != 0)
        return -fs.flock_error;
    if (fs.created == 1 && fs.create_error != 0)
        return -fs.create_error;
    int32_t result = fs.blind ? 0 : steadfast_hooks_default()->flock(NULL, fd, operation);
    if (result != 0 && (operation & LOCK_EX) != 0)
        happen(&fs.after_refusal);
    return result;
}

static int64_t fs_fstatfs(void *user, int32_t fd)
{
    (void)user;
    return fs.copies ? 0x65735546 : steadfast_hooks_default()->fstatfs(NULL, fd);
}

static steadfast_context *fs_context(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.linkat = fs_linkat;
    hooks.renameat = fs_renameat;
    hooks.openat = fs_openat;
    hooks.flock = fs_flock;
    hooks.fstatfs = fs_fstatfs;
    return test_context(&hooks);
}

static int32_t acquire(int64_t timeout_ms, uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    steadfast_context *context = fs_context();
    report = (steadfast_report){ .size = sizeof report };
    held = (steadfast_lock *)&held;
    int32_t status = steadfast_lock_acquire(context, lock, timeout_ms, &options, &held, &report);
    steadfast_context_free(context);
    return status;
}

/* Nothing is left of an acquire that did not get the lock. */
static int left_nothing(void)
{
    return held == NULL && count_entries(dir) == 0;
}

static int names(pid_t pid)
{
    char expected[32];
    snprintf(expected, sizeof expected, "%ld\n", (long)pid);
    char *content = read_file(lock, NULL);
    int same = content != NULL && strcmp(content, expected) == 0;
    free(content);
    return same;
}

static int try_again(void *arg)
{
    static steadfast_lock *other;
    static steadfast_context *volatile kept;
    kept = fs_context();
    steadfast_report other_report = { .size = sizeof other_report };
    int32_t status = steadfast_lock_acquire(kept, arg, 0, NULL, &other, &other_report);
    return status == STEADFAST_E_LOCKED && other == NULL && other_report.pid == getppid() ? 0 : 1;
}

static int hold_by_name(void *arg)
{
    static steadfast_context *volatile kept;
    kept = fs_context();
    return steadfast_lock_acquire(kept, arg, 0, NULL, &held, NULL);
}

static void taken_by_its_name(void)
{
    struct attribute attribute;
    struct stat st;
    int descriptors = count_fds(), result;
    fs.copies = 1;
    is_int(acquire(0, 0), 0, "a link is another file: the lock is taken");
    is_int(fs.created, 1, "by the name itself");
    ok(!flock_is_free(lock), "its flock is seen through the name");
    ok(names(getpid()) && strcmp(leftovers(dir, "lock"), "") == 0, "the file names this process, and nothing else is there");
    ok(stat(lock, &st) == 0 && (st.st_mode & 07777) == 01644, "it has its mode and the mark");
    if (has(STEADFAST_ABSENT_XATTR))
        ok(read_attribute(lock, &attribute) && attribute.written_ns == file_mtime_ns(lock), "and the attribute");
    is_int(run_child(try_again, lock), 0, "another acquire in the same way: E_LOCKED, by this PID");
    held_elsewhere(lock, "in another PID namespace: HELD");
    is_int(steadfast_lock_check(held, NULL), 0, "check: it is ours");
    ok(steadfast_lock_release(held, NULL) == 0 && count_entries(dir) == 0, "its release leaves nothing");
    is_int(count_fds(), descriptors, "no descriptor is left");

    ok(acquire(0, STEADFAST_LOCK_INHERIT) == 0 && steadfast_lock_check(held, NULL) == 0 && steadfast_lock_release(held, NULL) == 0
           && count_entries(dir) == 0,
       "the same with INHERIT");

    pid_t holder = start(hold_by_name, lock, &result);
    steadfast_context *context = test_context(NULL);
    int32_t live = steadfast_lock_inspect(context, lock, NULL, NULL);
    stop(holder);
    int32_t dead = steadfast_lock_clean_stale(context, lock, NULL, NULL);
    steadfast_context_free(context);
    ok(result == 0 && live == STEADFAST_LOCK_HELD && dead == STEADFAST_LOCK_REMOVED, "its holder lives: HELD, and killed: REMOVED");
    unlink(lock);
}

enum { CONTENDERS = 4, ROUNDS = 60 };

static int contend(void *arg)
{
    static steadfast_context *volatile kept;
    const char *inside = in(arg, "inside");
    kept = fs_context();
    for (int i = 0; i < ROUNDS; i++) {
        int32_t status = steadfast_lock_acquire(kept, lock, 20000, NULL, &held, NULL);
        if (status != 0)
            return status == STEADFAST_E_LOCKED ? 2 : status == -EAGAIN ? 3 : 4;
        int fd = open(inside, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return 1;
        close(fd);
        sched_yield();
        unlink(inside);
        if (steadfast_lock_release(held, NULL) != 0)
            return 5;
    }
    return 0;
}

static void contenders(void)
{
    pid_t children[CONTENDERS];
    int ends[CONTENDERS], bad = 0;
    fs.copies = 1;
    for (int i = 0; i < CONTENDERS; i++) {
        children[i] = fork_child();
        if (children[i] == 0)
            _exit(contend(dir));
    }
    for (int i = 0; i < CONTENDERS; i++)
        bad += (ends[i] = wait_for(children[i])) != 0;
    ok(bad == 0 && count_entries(dir) == 0, "%d processes take it by its name %d times each, one at a time", CONTENDERS, ROUNDS);
    if (bad != 0)
        diag("1: two at once, 2: E_LOCKED, 3: -EAGAIN, 5: release failed: %d %d %d %d", ends[0], ends[1], ends[2], ends[3]);
    unlink(in(dir, "inside"));
    unlink(lock);
}

static void not_seen(void)
{
    for (int copies = 0; copies < 2; copies++) {
        fs.blind = 1, fs.copies = copies, fs.named = fs.created = fs.looks = 0;
        is_int(acquire(0, 0), STEADFAST_E_UNSUPPORTED, "no flock is in another one's way%s: E_UNSUPPORTED", copies ? ", nor a link" : "");
        ok(left_nothing() && fs.created == 1 && strstr(report.message, "flock") != NULL, "no lock, no file, and the message says flock");
    }
}

static void errors_of_the_look(void)
{
    static const int errors[] = { EMFILE, ENFILE, EIO, ENOMEM };
    for (int copies = 0; copies < 2; copies++)
        for (int of_flock = 0; of_flock < 2; of_flock++)
            for (size_t i = of_flock ? 2 : 0; i < sizeof errors / sizeof *errors; i++) {
                memset(&fs, 0, sizeof fs);
                fs.copies = copies;
                *(of_flock ? &fs.flock_error : &fs.open_error) = errors[i];
                int32_t status = acquire(0, 0);
                int good = status == -errors[i] && left_nothing();
                ok(good, "%s of the look through the name fails by %s%s: that error, no lock, no file", of_flock ? "the flock" : "the open",
                   steadfast_status_name(-errors[i]), copies ? ", where a link is another file" : "");
                if (status == 0)
                    steadfast_lock_release(held, NULL);
                unlink(lock);
            }
}

static pid_t foreign;

static void foreign_holder(void)
{
    int result;
    unlink(lock);
    foreign = start(hold, lock, &result);
    if (result != 0)
        bail_out("the foreign holder got %s", steadfast_status_name(result));
}

static void foreign_pid_file(void)
{
    foreign = 0;
    unlink(lock);
    write_pid(lock, 1);
}

/* The name is taken by somebody else at this moment: he keeps it, and who comes second is told. */
static void taken_meanwhile(const char *name, int copies, void (**moment)(void), void (*by)(void), int create_error)
{
    memset(&fs, 0, sizeof fs);
    fs.copies = copies, fs.create_error = create_error;
    *moment = by;
    int32_t status = acquire(0, 0);
    ok(*moment == NULL && (status == STEADFAST_E_LOCKED || (create_error != 0 && status < 0)) && held == NULL, "%s: %s, no lock", name,
       create_error != 0 ? "an error" : "E_LOCKED");
    ok(names(by == foreign_holder ? foreign : 1) && strcmp(leftovers(dir, "lock"), "") == 0, "%s: its lock stays", name);
    if (status == 0) {
        diag("acquire: 0, check: %s", steadfast_status_name(steadfast_lock_check(held, NULL)));
        steadfast_lock_release(held, NULL);
    }
    if (by == foreign_holder)
        stop(foreign);
    unlink(lock);
}

static void other_takers(void)
{
    taken_meanwhile("a PID file before the look", 1, &fs.before_look, foreign_pid_file, 0);
    taken_meanwhile("a holder before the look", 1, &fs.before_look, foreign_holder, 0);
    taken_meanwhile("a holder before the look, where links are links", 0, &fs.before_look, foreign_holder, 0);
    taken_meanwhile("a PID file after the name was created", 1, &fs.after_create, foreign_pid_file, 0);
    taken_meanwhile("a holder after the name was created", 1, &fs.after_create, foreign_holder, 0);
    taken_meanwhile("a holder after the name was created, and no flock", 1, &fs.after_create, foreign_holder, ENOLCK);
    taken_meanwhile("a PID file after the name was created, and an I/O error", 1, &fs.after_create, foreign_pid_file, EIO);
}

static int looker = -1;

static void look_shared(void)
{
    looker = open(lock, O_RDONLY | O_CLOEXEC);
    flock(looker, LOCK_SH | LOCK_NB);
}

static void look_exclusive(void)
{
    looker = open(lock, O_RDONLY | O_CLOEXEC);
    flock(looker, LOCK_EX | LOCK_NB);
}

static void look_away(void)
{
    close(looker);
    looker = -1;
}

/* A cleaner or a reader has the flock for a moment: it proves nothing, and costs nobody his lock. */
static void lookers(void)
{
    static const struct {
        const char *name;
        int after_create;
        void (*look)(void);
    } cases[] = {
        { "an inspector looks at the record before us", 0, look_shared },
        { "a cleaner looks at the record before us", 0, look_exclusive },
        { "an inspector looks at the file that was just created", 1, look_shared },
        { "a cleaner looks at the file that was just created", 1, look_exclusive },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int stays = 0; stays < 2; stays++) {
            memset(&fs, 0, sizeof fs);
            fs.copies = 1;
            *(cases[i].after_create ? &fs.after_create : &fs.before_look) = cases[i].look;
            fs.after_refusal = stays ? NULL : look_away;
            int32_t status = acquire(stays ? 50 : 5000, 0);
            if (looker >= 0)
                look_away();
            if (status == 0)
                ok(!flock_is_free(lock) && steadfast_lock_check(held, NULL) == 0, "%s: taken, and held through the name", cases[i].name);
            else
                ok(stays && status == STEADFAST_E_LOCKED && left_nothing(), "%s, and %s: E_LOCKED, no file", cases[i].name,
                   stays ? "stays" : "goes");
            if (status == 0)
                steadfast_lock_release(held, NULL);
            unlink(lock);
        }
}

int main(void)
{
    dir = make_temp_dir("named");
    lock = strdup(in(dir, "lock"));
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "locks that are held through their name");
    } else {
        taken_by_its_name();
        contenders();
        not_seen();
        errors_of_the_look();
        other_takers();
        lookers();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
