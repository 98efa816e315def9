/* In the middle of steadfast_lock_adopt: writes that fail, a release beside it, range locks of others. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

static char *dir, *lock;
static steadfast_context *context;
static steadfast_lock *held;
static steadfast_report report;

/* What happens in the middle of a call. */
static struct {
    int number;                /* the PID that this process is said to have */
    long write_error;          /* a write is cut to one byte, and the next one fails with it */
    int writes;
    int truncate_error;
    int once;                  /* these errors come once, and the calls after them succeed */
    void (*after_write)(void); /* happens once */
    void (*sleeps)(void);      /* happens once, when a call waits */
    int64_t hours;             /* each look at the clock moves it by one */
} moment;

static void happen(void (**what)(void))
{
    void (*now)(void) = *what;
    *what = NULL;
    if (now != NULL)
        now();
}

static int64_t pwrite_hook(void *user, int32_t fd, const void *buf, size_t len, uint64_t offset)
{
    (void)user;
    if (moment.write_error != 0 && moment.writes++ > 0) {
        int64_t error = -moment.write_error;
        moment.write_error = moment.once ? 0 : moment.write_error;
        return error;
    }
    int64_t result = steadfast_hooks_default()->pwrite(NULL, fd, buf, moment.write_error != 0 ? 1 : len, offset);
    happen(&moment.after_write);
    return result;
}

static int32_t ftruncate_hook(void *user, int32_t fd, uint64_t len)
{
    (void)user;
    int error = moment.truncate_error;
    moment.truncate_error = moment.once ? 0 : error;
    return error != 0 ? -error : steadfast_hooks_default()->ftruncate(NULL, fd, len);
}

static int32_t getpid_hook(void *user)
{
    (void)user;
    return moment.number != 0 ? moment.number : getpid();
}

static int32_t poll_hook(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    happen(&moment.sleeps);
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static int32_t clock_hook(void *user, int32_t clock, int64_t *ns)
{
    (void)user;
    int32_t result = steadfast_hooks_default()->clock(NULL, clock, ns);
    if (moment.hours > 0)
        *ns += 3600 * INT64_C(1000000000) * moment.hours++;
    return result;
}

static int32_t acquire(uint32_t flags)
{
    steadfast_lock_options options = lock_options(flags, 0);
    memset(&moment, 0, sizeof moment);
    return steadfast_lock_acquire(context, lock, 0, &options, &held, NULL);
}

static int32_t with_report(int32_t (*call)(steadfast_lock *, steadfast_report *))
{
    report = (steadfast_report){ .size = sizeof report };
    int32_t status = call(held, &report);
    return report.status == status && report.message[0] != '\0' ? status : 1;
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

static int adopts(void *arg)
{
    return (void)arg, with_report(adopt_it) == 0 && names(getpid()) ? 0 : 1;
}

/* A write fails after its first byte, so that the file names a third process; or the truncation does, and it is malformed. */
static int fails(int truncation)
{
    char *content = read_file(lock, NULL);
    moment.number = content != NULL && content[0] == '7' ? 8 : 7;
    free(content);
    moment.writes = 0;
    moment.write_error = truncation ? 0 : EIO;
    moment.truncate_error = truncation ? EIO : 0;
    int32_t status = with_report(adopt_it);
    int told = status == -EIO && report.step == STEADFAST_STEP_CREATE_LOCK;
    moment.number = moment.write_error = moment.truncate_error = 0;
    return told;
}

static int fails_and_tries_again(void *arg)
{
    if (!fails(arg != NULL))
        return 1;
    int seen = run_elsewhere(inspect_it, lock);
    steadfast_context *looking = child_context(NULL);
    int32_t cleaned = steadfast_lock_clean_stale(looking, lock, NULL, NULL);
    if (cleaned != STEADFAST_LOCK_HELD || (seen != STEADFAST_LOCK_HELD && seen != NO_NAMESPACE))
        return 2;
    int32_t again = with_report(adopt_it);
    if (arg == NULL && !has(STEADFAST_ABSENT_XATTR))
        return again == STEADFAST_E_WRONG_PROCESS ? 0 : 3;
    if (again != 0 || !names(getpid()))
        return 3;
    return with_report(release_it) == 0 && !exists(lock) ? 0 : 4;
}

static int fails_and_ends(void *arg)
{
    return fails(arg != NULL) ? 0 : 1;
}

static int fails_once(void *arg)
{
    moment.once = 1;
    return fails(arg != NULL) ? 0 : 1;
}

static int still_named(void)
{
    char *content = read_file(lock, NULL);
    int same =
        content != NULL && atol(content) == getpid() && strlen(content) > 1 && strchr(content, '\n') == content + strlen(content) - 1;
    free(content);
    return same;
}

static void failing_writes(void)
{
    static const char *const ways[] = { "a write of adopt fails in its middle", "the truncation of adopt fails" };
    for (int i = 0; i < 2; i++) {
        void *arg = i == 0 ? NULL : lock;
        acquire(STEADFAST_LOCK_INHERIT);
        is_int(run_child(fails_and_tries_again, arg), 0, "%s: kept by others, adopted by the next try", ways[i]);
        steadfast_lock_release(held, NULL);
        unlink(lock);

        acquire(STEADFAST_LOCK_INHERIT);
        is_int(run_child(fails_and_ends, arg), 0, "%s, and the child ends", ways[i]);
        if (i == 0 && !has(STEADFAST_ABSENT_XATTR))
            /* A child of another PID namespace that adopted the lock would look the same. */
            ok(with_report(release_it) == STEADFAST_E_WRONG_PROCESS && steadfast_lock_clean_stale(context, lock, NULL, NULL) == removed(),
               "%s: without attributes its parent cannot know it, and the file is stale", ways[i]);
        else
            ok(with_report(release_it) == 0 && !exists(lock), "%s: its parent releases the lock, and nothing stays", ways[i]);
        unlink(lock);

        acquire(STEADFAST_LOCK_INHERIT);
        is_int(run_child(fails_once, arg), 0, "%s, and later ones do not", ways[i]);
        ok(still_named() && steadfast_lock_check(held, NULL) == 0, "%s: the file names the parent again, which has it", ways[i]);
        ok(with_report(release_it) == 0 && !exists(lock), "%s: and releases it", ways[i]);
    }
}

static int malformed_answer[2];

/* Between write and truncate of a shorter number the content is malformed, or names nobody who was asked. */
static void look_in_between(void)
{
    int seen[2] = { run_child(inspect_it, lock), run_elsewhere(inspect_it, lock) };
    if (write(malformed_answer[1], seen, sizeof seen) != sizeof seen)
        _exit(97);
}

static int adopts_as_first(void *arg)
{
    (void)arg;
    moment.after_write = look_in_between;
    return getpid() == 1 && adopts(NULL) == 0 && with_report(release_it) == 0 ? 0 : 1;
}

static void shorter_number(void)
{
    int seen[2] = { -1, -1 };
    if (pipe2(malformed_answer, O_CLOEXEC) != 0)
        bail_out("pipe");
    acquire(STEADFAST_LOCK_INHERIT);
    int end = run_elsewhere(adopts_as_first, NULL);
    if (end == NO_NAMESPACE) {
        skip("needs root and PID namespaces", "a child with a shorter number adopts it");
    } else {
        ok(end == 0 && !exists(lock), "a child with a shorter number adopts and releases it: %d", end);
        if (read(malformed_answer[0], seen, sizeof seen) != sizeof seen)
            bail_out("no answer");
        ok(seen[0] == STEADFAST_LOCK_HELD && seen[1] == STEADFAST_LOCK_HELD,
           "between write and truncate it is HELD, from within and from another PID namespace: %d, %d", seen[0], seen[1]);
    }
    close(malformed_answer[0]), close(malformed_answer[1]);
    steadfast_lock_release(held, NULL);
    unlink(lock);
}

static int writes[2], waits[2];

static void wait_for_release(void)
{
    char byte;
    if (write(writes[1], "w", 1) != 1 || read(waits[0], &byte, 1) != 1)
        _exit(97);
}

static void tell_adopter(void)
{
    if (write(waits[1], "s", 1) != 1)
        bail_out("pipe");
}

static pid_t adopter;
static int adopter_ended;

static void let_adopter_end(void)
{
    tell_adopter();
    tell_adopter();
    adopter_ended = wait_for(adopter);
}

static int reader = -1;

/* Another process that may only read the file locks all of it, for as long as it likes. */
static int reader_locks_all(void)
{
    struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    reader = open(lock, O_RDONLY | O_CLOEXEC);
    return fcntl(reader, F_OFD_SETLK, &all) == 0;
}

static void reader_goes(void)
{
    close(reader);
    reader = -1;
}

/* Adopts, and releases when it is told to. */
static pid_t start_slow_adopter(int beside_reader)
{
    char byte;
    acquire(STEADFAST_LOCK_INHERIT);
    if (beside_reader && !reader_locks_all())
        bail_out("no open file description locks");
    pid_t child = fork_child();
    if (child == 0) {
        alarm(60);
        moment.after_write = wait_for_release;
        _exit(adopts(NULL) == 0 && read(waits[0], &byte, 1) == 1 && with_report(release_it) == 0 ? 0 : 1);
    }
    if (read(writes[0], &byte, 1) != 1)
        bail_out("the child did not write");
    return child;
}

/* The parent releases while its child is in the middle of adopt: it waits for it, and then the lock is the child's. */
static void release_beside_adopt(void)
{
    if (!has(STEADFAST_ABSENT_OFDLOCK)) {
        skip("this run has no open file description locks", "release beside adopt");
        return;
    }
    if (pipe2(writes, O_CLOEXEC) != 0 || pipe2(waits, O_CLOEXEC) != 0)
        bail_out("pipe");
    pid_t child;
    int32_t status;
    for (int beside_reader = 0; beside_reader <= 1; beside_reader++) {
        const char *where = beside_reader ? ", and beside a reader who locks the file" : "";
        child = start_slow_adopter(beside_reader);
        moment.sleeps = tell_adopter;
        status = with_report(release_it);
        ok(status == STEADFAST_E_WRONG_PROCESS && report.pid == child && moment.sleeps == NULL,
           "release beside adopt%s waits for it, and answers E_WRONG_PROCESS, which names the child", where);
        tell_adopter();
        ok(wait_for(child) == 0 && !exists(lock), "and the child has it, and releases it%s", where);
        if (beside_reader)
            reader_goes();
    }

    adopter = start_slow_adopter(0);
    moment.sleeps = let_adopter_end;
    status = with_report(release_it);
    ok(adopter_ended == 0 && status == STEADFAST_E_LOCK_LOST && !exists(lock),
       "beside a child that adopts and releases it meanwhile: E_LOCK_LOST");

    child = start_slow_adopter(0);
    moment.hours = 1;
    status = with_report(release_it);
    moment.hours = 0;
    ok(status == STEADFAST_E_BUSY && strstr(report.message, "adopt") != NULL, "beside an adopt that does not end: E_BUSY after its time");
    tell_adopter();
    tell_adopter();
    ok(wait_for(child) == 0 && !exists(lock), "and the child has it nevertheless");
    close(writes[0]), close(writes[1]), close(waits[0]), close(waits[1]);
}

/* Such a reader holds nobody off. */
static void foreign_range_lock(void)
{
    int result;
    acquire(STEADFAST_LOCK_INHERIT);
    if (!reader_locks_all()) {
        skip("no open file description locks here", "a reader's range lock");
        steadfast_lock_release(held, NULL);
        reader_goes();
        return;
    }
    moment.hours = 1;
    pid_t child = start(adopts, NULL, &result);
    stop(child);
    is_int(result, 0, "a reader's lock over the whole file does not keep a child from adopting");
    with_report(release_it);
    unlink(lock);
    reader_goes();

    acquire(STEADFAST_LOCK_INHERIT);
    reader_locks_all();
    moment.hours = 1;
    int32_t status = with_report(release_it);
    ok(status == 0 && !exists(lock), "nor its holder from releasing: %s", steadfast_status_name(status));
    reader_goes();
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("adopting");
    lock = strdup(in(dir, "lock"));
    steadfast_hooks hooks = test_hooks();
    hooks.pwrite = pwrite_hook;
    hooks.ftruncate = ftruncate_hook;
    hooks.getpid = getpid_hook;
    hooks.poll = poll_hook;
    hooks.clock = clock_hook;
    context = test_context(&hooks);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "the middle of adopt");
    } else {
        failing_writes();
        shorter_number();
        release_beside_adopt();
        foreign_range_lock();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
