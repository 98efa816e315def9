/* What tells whose record it is: the attribute without the mark, the mark without the attribute, and times that file
 * systems cut. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

static const int64_t SECOND = 1000000000;

static char *dir, *lock;
static steadfast_context *context;

/* Leaves a record of this boot's last but one by its looks: it names a live process. If its attribute counts, it is dead. */
static int leave_old_record(int64_t written_ns)
{
    struct attribute attribute;
    leave_lock(lock);
    if (!read_attribute(lock, &attribute))
        return 0;
    attribute.boot ^= 1;
    attribute.written_ns = written_ns;
    forge(lock, getpid(), &attribute);
    return 1;
}

/* Whether the attribute counts: REMOVED, or HELD, since the number is a live process's. */
static int32_t counted(void)
{
    return can_tell || can_tell_reuse() ? removed() : STEADFAST_LOCK_HELD;
}

/* The file system cuts the times that it tells to this. */
static int64_t cut_to = 1;

static int32_t fstat_hook(void *user, int32_t fd, steadfast_stat *out)
{
    (void)user;
    int32_t result = steadfast_hooks_default()->fstat(NULL, fd, out);
    if (result == 0)
        out->mtime_ns -= out->mtime_ns % cut_to;
    return result;
}

static int32_t fstatat_hook(void *user, int32_t at, const char *path, steadfast_stat *out)
{
    (void)user;
    int32_t result = steadfast_hooks_default()->fstatat(NULL, at, path, out);
    if (result == 0)
        out->mtime_ns -= out->mtime_ns % cut_to;
    return result;
}

static void cut_times(void)
{
    /* Cut to each unit it is another time. */
    const int64_t written = INT64_C(1700000007) * SECOND + 123456789;
    static const struct {
        const char *name;
        int64_t unit;
    } units[] = {
        { "nothing", 1 }, { "100 ns", 100 }, { "1 us", 1000 }, { "1 ms", 1000000 }, { "1 s", 1000000000 }, { "2 s", 2000000000 },
    };
    int told = leave_old_record(written);
    unlink(lock);
    if (!told) {
        skip("no extended attributes here", "the time of change, cut");
        return;
    }
    steadfast_hooks hooks = test_hooks();
    hooks.fstat = fstat_hook;
    hooks.fstatat = fstatat_hook;
    steadfast_context *coarse = test_context(&hooks);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        leave_old_record(written);
        cut_to = units[i].unit;
        probe(coarse, dir, lock, NULL, counted(), "the time of change was cut to %s: the attribute counts", units[i].name);
        unlink(lock);
    }
    steadfast_context_free(coarse);
    const int64_t others[] = { written + 1, written - 1, written + SECOND, written - written % (10 * SECOND),
                               written - written % 10000000 };
    static const char *const names[] = { "1 ns later", "1 ns earlier", "1 s later", "cut to 10 s", "cut to 10 ms" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        leave_old_record(written);
        set_mtime_ns(lock, others[i]);
        probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "it is %s: somebody else's content", names[i]);
        unlink(lock);
    }
}

static int64_t failing_getxattr(void *user, int32_t fd, const char *name, void *buf, size_t len)
{
    (void)user, (void)fd, (void)name, (void)buf, (void)len;
    return -EIO;
}

static void marks(void)
{
    const int64_t written = INT64_C(1700000007) * SECOND + 123456789;
    struct attribute attribute;
    int result;
    pid_t holder = start(hold, lock, &result);
    chmod(lock, 0644);
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "a live holder's record without the mark: HELD");
    held_elsewhere(lock, "in another PID namespace: HELD");
    stop(holder);
    probe(context, dir, lock, NULL, removed(), "killed: REMOVED");
    unlink(lock);

    if (!leave_old_record(written)) {
        skip("no extended attributes here", "an attribute without the mark");
    } else {
        chmod(lock, 0644);
        probe(context, dir, lock, NULL, counted(), "a record without the mark: the attribute counts");
        unlink(lock);

        leave_lock(lock);
        read_attribute(lock, &attribute);
        forge(lock, 0, &attribute);
        chmod(lock, 0644);
        int32_t ours = has(STEADFAST_ABSENT_XATTR) ? removed() : STEADFAST_LOCK_UNDECIDED;
        probe(context, dir, lock, NULL, ours, "emptied by a power cut, the attribute without the mark: %s",
              ours == STEADFAST_LOCK_UNDECIDED ? "UNDECIDED, as nothing tells here" : "REMOVED");
        unlink(lock);

        leave_lock(lock);
        read_attribute(lock, &attribute);
        forge(lock, 0, &attribute);
        removexattr(lock, "user.steadfast");
        probe(context, dir, lock, NULL, removed(), "emptied by a power cut, the mark without the attribute: REMOVED");
        unlink(lock);

        leave_lock(lock);
        read_attribute(lock, &attribute);
        forge(lock, 0, &attribute);
        steadfast_hooks hooks = test_hooks();
        hooks.fgetxattr = failing_getxattr;
        steadfast_context *failing = test_context(&hooks);
        int32_t unread = has(STEADFAST_ABSENT_XATTR) ? STEADFAST_LOCK_UNDECIDED : removed();
        probe(failing, dir, lock, NULL, unread, "the same, and the attribute cannot be read: %s",
              unread == STEADFAST_LOCK_UNDECIDED ? "UNDECIDED" : "REMOVED by its mark");
        steadfast_context_free(failing);
        unlink(lock);
    }
    leave_lock(lock);
    write_pid(lock, getpid());
    removexattr(lock, "user.steadfast");
    probe(context, dir, lock, NULL, STEADFAST_LOCK_HELD, "the mark without the attribute, and a live number: HELD");
    unlink(lock);
    write_text(lock, "");
    probe(context, dir, lock, NULL, STEADFAST_LOCK_UNDECIDED, "empty with neither: UNDECIDED");
    unlink(lock);
}

/* The clock of the day goes wrong by this. */
static int64_t shift_ns;

static int32_t clock_hook(void *user, int32_t clock, int64_t *ns)
{
    (void)user;
    int32_t result = steadfast_hooks_default()->clock(NULL, clock, ns);
    if (clock == STEADFAST_CLOCK_REALTIME)
        *ns += shift_ns;
    return result;
}

static int live(void *arg)
{
    return arg != NULL;
}

/* When a process started, by the clock of the day, as /proc tells it: to some 10 ms. */
static int64_t started_ns(pid_t pid)
{
    char path[64], text[512] = "";
    unsigned long long ticks = 0;
    double up = 0;
    struct timespec now;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re"), *uptime = fopen("/proc/uptime", "re");
    if (file == NULL || uptime == NULL || fgets(text, sizeof text, file) == NULL || fscanf(uptime, "%lf", &up) != 1)
        bail_out("/proc: %s", strerror(errno));
    clock_gettime(CLOCK_REALTIME, &now);
    fclose(file), fclose(uptime);
    char *field = strrchr(text, ')');
    for (int i = 2; i < 22 && field != NULL; i++)
        field = strchr(field + 1, ' ');
    if (field == NULL || (ticks = strtoull(field, NULL, 10)) == 0)
        bail_out("no start time in %s", text);
    return now.tv_sec * SECOND + now.tv_nsec - (int64_t)(up * 100 + 0.5) * 10000000 + (int64_t)ticks * 10000000;
}

/* A live owner wrote its PID file after it started; the file system cut the time, by nearly two seconds at worst. */
static void trusted_start_times(void)
{
    static const struct {
        const char *name;
        int64_t written_ns, at_most_ns;
    } cases[] = {
        { "2 s (vfat)", INT64_C(1700000006) * 1000000000, INT64_C(1990000000) },
        { "1 s", INT64_C(1700000007) * 1000000000, INT64_C(990000000) },
        { "1 ms", INT64_C(1700000007) * 1000000000 + 123000000, INT64_C(1000000) },
    };
    if (!has(STEADFAST_ABSENT_PROC)) {
        skip("this run has no /proc", "TRUST_START_TIME");
        return;
    }
    int result;
    steadfast_lock_options trust = lock_options(STEADFAST_LOCK_TRUST_START_TIME, 0);
    steadfast_hooks hooks = test_hooks();
    hooks.clock = clock_hook;
    steadfast_context *shifted = test_context(&hooks);
    pid_t owner = start(live, NULL, &result);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_pid(lock, owner);
        set_mtime_ns(lock, cases[i].written_ns);
        shift_ns = cases[i].written_ns + cases[i].at_most_ns - started_ns(owner);
        probe(shifted, dir, lock, &trust, STEADFAST_LOCK_HELD, "TRUST_START_TIME, times of %s: a live owner's file, written at once: HELD",
              cases[i].name);
        shift_ns += 10 * SECOND;
        probe(shifted, dir, lock, &trust, removed(), "written 10 s before the process started: REMOVED");
        unlink(lock);
    }
    stop(owner);
    steadfast_context_free(shifted);
}

int main(void)
{
    dir = make_temp_dir("times");
    lock = strdup(in(dir, "lock"));
    context = test_context(NULL);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "records of killed holders");
    } else {
        cut_times();
        marks();
    }
    trusted_start_times();
    is_int(count_entries(dir), 0, "nothing is left in the directory");
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
