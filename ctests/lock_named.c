/* Held means held through the name, where a hard link is another file, and where no flock is seen. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"
#include "link_copies.h"

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
        int32_t status = steadfast_lock_acquire(kept, lock, 10000, NULL, &held, NULL);
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
    int ends[CONTENDERS], bad = 0, doubles = 0;
    fs.copies = 1;
    for (int i = 0; i < CONTENDERS; i++) {
        children[i] = fork_child();
        if (children[i] == 0)
            _exit(contend(dir));
    }
    for (int i = 0; i < CONTENDERS; i++) {
        bad += (ends[i] = wait_for(children[i])) != 0;
        doubles += ends[i] == 1;
    }
    is_int(doubles, 0, "%d processes take it by its name, one at a time", CONTENDERS);
    ok(bad == 0 && count_entries(dir) == 0, "each of them %d times", ROUNDS);
    if (bad != 0)
        diag("1: two at once, 2: E_LOCKED, 3: -EAGAIN, 5: release failed: %d %d %d %d", ends[0], ends[1], ends[2], ends[3]);
    unlink(in(dir, "inside"));
    unlink(lock);
}

static int die_by_name(void *arg)
{
    static steadfast_context *volatile kept;
    kept = fs_context();
    return steadfast_lock_acquire(kept, arg, 0, NULL, &held, NULL) == 0 && steadfast_lock_release(held, NULL) == 0 ? 0 : 1;
}

/* Killed before each call in turn. Until it is written the file names nobody, as a file of flock(1) would. Elsewhere: as the first
 * process of another PID namespace, whose number a process here has, too. */
static void kill_points(int elsewhere)
{
    int bad = 0, empty = 0, end = 1;
    steadfast_lock_options grace = lock_options(0, 1);
    static steadfast_context *volatile context; /* seen by a leak checker in the children */
    context = test_context(NULL);
    memset(&fs, 0, sizeof fs);
    for (fs.copies = 1, fs.kill_at = 1; fs.kill_at < 60 && end != 0; fs.kill_at++) {
        struct stat st = { .st_size = -1 };
        end = elsewhere ? run_elsewhere(die_by_name, lock) : run_child(die_by_name, lock);
        if (end == NO_NAMESPACE)
            break;
        int nobody = stat(lock, &st) == 0 && st.st_size == 0;
        if (nobody)
            set_mtime_ns(lock, (int64_t)1000000000 * 1000000000);
        empty += nobody;
        int32_t status = steadfast_lock_acquire(context, lock, 0, nobody ? &grace : NULL, &held, NULL);
        if (status != 0 || steadfast_lock_release(held, NULL) != 0 || count_entries(dir) != 0) {
            bad++;
            diag("killed before call %d: %s", fs.kill_at, steadfast_status_name(status));
        }
        unlink(lock);
    }
    steadfast_context_free(context);
    if (end == NO_NAMESPACE) {
        skip("needs root and PID namespaces", "killed in another PID namespace");
        return;
    }
    ok(bad == 0 && end == 0 && fs.kill_at > 5,
       "killed before each of %d calls%s: the next one gets in, after a grace where it named nobody yet", fs.kill_at - 2,
       elsewhere ? ", in another PID namespace" : "");
    ok(empty <= 4, "it names nobody for no longer than %d calls", empty);
}

static void not_seen(void)
{
    for (int copies = 0; copies < 2; copies++) {
        memset(&fs, 0, sizeof fs);
        fs.blind = 1, fs.copies = copies;
        is_int(acquire(0, 0), STEADFAST_E_UNSUPPORTED, "no flock is in another one's way%s: E_UNSUPPORTED", copies ? ", nor a link" : "");
        ok(left_nothing() && fs.created == 1 && strstr(report.message, "flock") != NULL, "no lock, no file, and the message says flock");
    }
}

/* A lock file that its owner may not write, as a user who is not root. */
static int not_seen_read_only(void *arg)
{
    steadfast_lock_options options = lock_options(0, 0);
    options.mode = 0444;
    memset(&fs, 0, sizeof fs);
    fs.blind = 1, fs.copies = arg != NULL;
    static steadfast_context *volatile kept;
    kept = fs_context();
    int32_t status = steadfast_lock_acquire(kept, lock, 0, &options, &held, NULL);
    return status == STEADFAST_E_UNSUPPORTED && left_nothing() ? 0 : 1;
}

static void not_seen_by_others(void)
{
    chmod(dir, 0777);
    for (int copies = 0; copies < 2; copies++) {
        if (!user_can_reach(dir)) {
            skip("another user cannot reach the temporary directory", "a lock file of mode 0444 whose flock is not seen");
            continue;
        }
        is_int(as_user(not_seen_read_only, copies ? lock : NULL), 0, "the same with a file of mode 0444%s: E_UNSUPPORTED, no file",
               copies ? ", and no link" : "");
        unlink(lock);
    }
    chmod(dir, 0700);
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

int main(void)
{
    dir = make_temp_dir("named");
    lock = strdup(in(dir, "lock"));
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "locks that are held through their name");
    } else {
        taken_by_its_name();
        contenders();
        kill_points(0);
        /* What tells there is the attribute, and the namespace's name in /proc. */
        if (has(STEADFAST_ABSENT_XATTR) && has(STEADFAST_ABSENT_PROC))
            kill_points(1);
        not_seen();
        not_seen_by_others();
        errors_of_the_look();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
