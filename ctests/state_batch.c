/* steadfast_state_save_batch: each state for itself, each directory synced once. */
#include "tap.h"
#include "state_test.h"
#include "forbid.h"

#include <sys/resource.h>
#include <sys/utsname.h>

enum { MOST = 400 };
static steadfast_save_entry entries[MOST];
static char paths[MOST][320], texts[MOST][40];

/* `count` entries for `count / each` directories below `d`, which are made. */
static void fill(const char *d, int count, int each)
{
    for (int i = 0; i < count; i++) {
        char sub[310];
        snprintf(sub, sizeof sub, "%s/%d", d, i / each);
        mkdir(sub, 0700);
        snprintf(paths[i], sizeof paths[i], "%s/state%d", sub, i % each);
        snprintf(texts[i], sizeof texts[i], "state number %d", i);
        entries[i] =
            (steadfast_save_entry){ .size = sizeof entries[i], .path = paths[i], .data = texts[i], .len = strlen(texts[i]), .status = -1 };
    }
}

static int batch(const steadfast_context *c, int count, uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    report.size = sizeof report;
    return steadfast_state_save_batch(c, entries, (size_t)count, &o, &report);
}

/* How many of the first `count` are not there as they should be. */
static int missing(int count)
{
    int wrong = 0;
    for (int i = 0; i < count; i++)
        wrong += !holds(paths[i], texts[i]);
    return wrong;
}

static int statuses(int count, int expected)
{
    int wrong = 0;
    for (int i = 0; i < count; i++)
        wrong += entries[i].status != expected;
    return wrong;
}

/* Where syncfs is known to reach the device (state_syncfs.c has the rest). */
static int64_t says_ext4(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0xef53;
}

static int uses_syncfs(uint32_t flags)
{
    struct utsname kernel;
    int major = 0, minor = 0;
    return (flags & STEADFAST_SAVE_SYNCFS) != 0 && (test_absent() & (STEADFAST_ABSENT_SYNCFS | STEADFAST_ABSENT_PROC)) == 0
           && uname(&kernel) == 0 && sscanf(kernel.release, "%d.%d", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 8));
}

static void many(uint32_t flags, const char *name)
{
    char d[300];
    struct faults f = { 0 };
    steadfast_hooks h = faults_hooks(&f);
    h.fstatfs = says_ext4;
    steadfast_context *c = test_context(&h);
    int before = count_fds(), synced = 0, files = 0, wrong = 0;
    snprintf(d, sizeof d, "%s", fresh(name));
    fill(d, 200, 100);
    is_int(batch(c, 200, flags), SAVED, "%s: 200 states in two directories", name);
    ok(missing(200) == 0 && statuses(200, SAVED) == 0, "%s: each is there, and says so", name);
    for (int i = 0; i < f.events; i++) {
        synced += f.event[i].call == STEADFAST_CALL_FSYNC && f.event[i].is_directory;
        files += f.event[i].call == STEADFAST_CALL_FSYNC && !f.event[i].is_directory;
    }
    ok(NO_DIR_FSYNC || f.events == FAULTS_EVENTS || synced <= 2, "%s: each directory is synced once", name);
    if (uses_syncfs(flags))
        ok(files == 0 && f.made[STEADFAST_CALL_SYNCFS] > 0 && f.made[STEADFAST_CALL_SYNCFS] < 10,
           "%s: the file system instead of each file", name);
    else if ((test_absent() & STEADFAST_ABSENT_FSYNC_MANY) == 0)
        ok(files == 0 && f.made[STEADFAST_CALL_FSYNC_MANY] > 0 && f.made[STEADFAST_CALL_FSYNC_MANY] < 10, "%s: many files at once", name);
    else
        is_int(f.made[STEADFAST_CALL_FSYNC] + f.made[STEADFAST_CALL_FDATASYNC], 200 + (NO_DIR_FSYNC ? 0 : 2), "%s: each file is synced",
               name);
    is_int(batch(c, 200, flags | STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "%s: again, with the previous ones", name);
    for (int i = 0; i < 200; i++) {
        char prev[330];
        snprintf(prev, sizeof prev, "%.320s.prev", paths[i]);
        wrong += entries[i].generation != 2 || !holds(prev, texts[i]);
    }
    is_int(wrong, 0, "%s: each is of generation 2, with its previous one", name);
    is_int(count_fds(), before, "%s: no descriptor is left open", name);
    steadfast_context_free(c);
}

/* The order of the calls is what makes it fast and safe. */
static void order(void)
{
    char d[300];
    struct faults f = { 0 };
    steadfast_context *c = faults_context(&f);
    int first_sync = -1, last_temp = -1, first_rename = -1, last_file_sync = -1, dir_sync = -1, last_rename = -1;
    snprintf(d, sizeof d, "%s", fresh("order"));
    fill(d, 8, 8);
    batch(c, 8, 0);
    for (int i = 0; i < f.events; i++) {
        struct event *e = &f.event[i];
        if (e->call == STEADFAST_CALL_OPENAT && strstr(e->path, ".tmp") != NULL)
            last_temp = i;
        if (e->call == STEADFAST_CALL_FSYNC && !e->is_directory) {
            first_sync = first_sync < 0 ? i : first_sync;
            last_file_sync = i;
        }
        if (e->call == STEADFAST_CALL_FSYNC && e->is_directory)
            dir_sync = i;
        if (e->call == STEADFAST_CALL_RENAMEAT) {
            first_rename = first_rename < 0 ? i : first_rename;
            last_rename = i;
        }
    }
    ok(last_temp < first_sync, "all are written before the first is synced");
    ok(last_file_sync < first_rename, "all are synced before the first is renamed");
    ok(NO_DIR_FSYNC || last_rename < dir_sync, "the directory is synced after the last rename");
    steadfast_context_free(c);
}

static void alone(void)
{
    char d[300];
    snprintf(d, sizeof d, "%s", fresh("alone"));
    fill(d, 10, 10);
    mkdir(paths[3], 0700);
    snprintf(paths[5], sizeof paths[5], "%s/absent/state", d);
    entries[7].data = NULL;
    is_int(batch(context, 10, 0), STEADFAST_E_NOT_REGULAR, "three of ten fail: the answer is the first");
    ok(strstr(report.message, "state3") != NULL, "the report names it");
    is_int(entries[3].status, STEADFAST_E_NOT_REGULAR, "a directory in the way");
    is_int(entries[5].status, -ENOENT, "a directory that is missing");
    ok(entries[5].os_error == ENOENT && entries[5].generation == 0, "with its errno");
    is_int(entries[7].status, -EINVAL, "NULL with a length");
    ok(holds(paths[0], texts[0]) && holds(paths[9], texts[9]) && entries[9].status == SAVED, "the others are saved");
    ok(*leftovers(d, "0") == '\0' && count_entries(in(d, "0")) == 8, "nothing is left over");
}

static void twice(void)
{
    char d[300];
    snprintf(d, sizeof d, "%s", fresh("twice"));
    fill(d, 3, 3);
    entries[1].path = entries[0].path;
    is_int(batch(context, 3, STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "one path twice");
    ok(entries[0].generation == 1 && entries[1].generation == 2, "is two saves");
    ok(holds(paths[0], texts[1]) && holds(in(d, "0/state0.prev"), texts[0]), "in their order");
}

static void swaps(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION };
    char d[300];
    snprintf(d, sizeof d, "%s", fresh("swaps"));
    fill(d, 3, 3);
    save(paths[1], "there already", 0);
    if (NO_FLOCK) {
        skip("flock is absent", "create each, if it is not there");
        return;
    }
    is_int(steadfast_state_save_batch(context, entries, 3, &o, NULL), STEADFAST_E_CONFLICT, "create each, if it is not there");
    ok(entries[0].status == SAVED && entries[2].status == SAVED && entries[1].status == STEADFAST_E_CONFLICT && entries[1].generation == 1,
       "one was");
    ok(holds(paths[1], "there already"), "and stays");
}

static void few_descriptors(void)
{
    char d[300];
    struct rlimit limit, low;
    int result, wrong;
    snprintf(d, sizeof d, "%s", fresh("few"));
    fill(d, 100, 100);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = (rlim_t)count_fds() + 14;
    setrlimit(RLIMIT_NOFILE, &low);
    result = batch(context, 100, 0);
    setrlimit(RLIMIT_NOFILE, &limit);
    wrong = missing(100);
    ok(result == SAVED && wrong == 0, "with a dozen descriptors to be had, 100 states are saved a few at a time");
}

static void arguments(void)
{
    char d[300];
    struct {
        steadfast_save_entry entry;
        char tail[16];
    } longer[2];
    snprintf(d, sizeof d, "%s", fresh("arguments"));
    fill(d, 3, 3);
    is_int(steadfast_state_save_batch(NULL, NULL, 0, NULL, NULL), 0, "nothing to save");
    is_int(steadfast_state_save_batch(NULL, NULL, 1, NULL, NULL), -EINVAL, "no entries");
    entries[2].size = 8;
    is_int(batch(context, 3, 0), -EINVAL, "an entry of another size");
    ok(entries[0].status == -1 && count_entries(in(d, "0")) == 0 && report.step == STEADFAST_STEP_ARGUMENTS,
       "nothing is done, no entry is written to");
    entries[2].size = sizeof entries[2];
    is_int(batch(context, 3, 1u << 20), -EINVAL, "an unknown flag");
    is_int(batch(context, 3, STEADFAST_SAVE_SYNCFS | STEADFAST_SAVE_NO_SYNC), -EINVAL, "SYNCFS and NO_SYNC contradict each other");
    is_int(save(paths[0], "x", STEADFAST_SAVE_SYNCFS), -EINVAL, "SYNCFS is for batches");
    is_int(batch(context, 3, STEADFAST_SAVE_NO_SYNC), STEADFAST_NOT_DURABLE, "NO_SYNC");
    ok(statuses(3, STEADFAST_NOT_DURABLE) == 0 && missing(3) == 0, "is a reservation for each");
    for (int i = 0; i < 2; i++) {
        longer[i].entry = entries[i];
        longer[i].entry.size = sizeof longer[i];
        memset(longer[i].tail, 'x', sizeof longer[i].tail);
    }
    is_int(steadfast_state_save_batch(context, &longer[0].entry, 2, NULL, NULL), SAVED, "entries of a later, longer version");
    ok(longer[1].entry.status == SAVED && longer[1].tail[0] == 'x' && longer[1].tail[15] == 'x', "are stepped over by their size");
}

/* A sync that fails for one: that one is written again, on another inode; the others know nothing of it. */
static int failing;

static int32_t fsync_fails_once(void *user, int32_t fd)
{
    struct stat st;
    (void)user;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && failing-- == 1)
        return -EIO;
    return REAL->fsync(NULL, fd);
}

static int32_t syncfs_fails(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return -EIO;
}

static int32_t writeback_fails(void *user, int32_t fd, int32_t operation, uint64_t offset, uint64_t len)
{
    (void)user, (void)fd, (void)offset, (void)len;
    return operation == STEADFAST_WRITEBACK_WAIT ? -EIO : 0;
}

/* The fsync of a kind of files fails; `user` is that kind, S_IFDIR or S_IFREG. */
static mode_t directories = S_IFDIR, files = S_IFREG;
static int32_t kind_fails(void *user, int32_t fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == *(mode_t *)user ? -EIO : REAL->fsync(NULL, fd);
}

static void syncs_fail(void)
{
    char d[300];
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    snprintf(d, sizeof d, "%s", fresh("syncs"));
    h.fsync = fsync_fails_once;
    c = test_context(&h);
    fill(d, 5, 5);
    failing = 3;
    is_int(batch(c, 5, STEADFAST_SAVE_STRICT), NO_DIR_FSYNC ? STEADFAST_E_NOT_SAVED_DURABLY : SAVED, "one sync fails once: all are saved");
    steadfast_context_free(c);

    h = test_hooks();
    h.syncfs = syncfs_fails;
    c = test_context(&h);
    is_int(batch(c, 5, STEADFAST_SAVE_SYNCFS), SAVED, "syncfs fails: each file is written again and synced for itself");
    ok(missing(5) == 0 && statuses(5, SAVED) == 0, "and is there");
    steadfast_context_free(c);

    h = test_hooks();
    h.writeback = writeback_fails;
    c = test_context(&h);
    is_int(batch(c, 5, STEADFAST_SAVE_SYNCFS), SAVED, "syncfs says nothing, but the file knows of an error: the same");
    ok(missing(5) == 0, "and all are there");
    steadfast_context_free(c);

    if (NO_DIR_FSYNC) {
        skip("directories cannot be synced here", "the directory's sync fails");
        return;
    }
    h = test_hooks();
    h.fsync = kind_fails;
    h.user = &directories;
    c = test_context(&h);
    is_int(batch(c, 5, 0), STEADFAST_NOT_DURABLE, "the directory's sync fails: a reservation");
    ok(statuses(5, STEADFAST_NOT_DURABLE) == 0 && entries[4].os_error == EIO && report.step == STEADFAST_STEP_SYNC_DIRECTORY,
       "for every state in it");
    is_int(batch(c, 5, STEADFAST_SAVE_STRICT), STEADFAST_E_SAVED_NOT_DURABLE, "with STRICT an error");
    ok(report.on_disk == STEADFAST_ON_DISK_EITHER && entries[0].generation > 0, "that says what is on disk");
    steadfast_context_free(c);
}

static void first(void)
{
    char d[300];
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    h.fsync = kind_fails;
    h.user = &files;
    c = test_context(&h);
    snprintf(d, sizeof d, "%s", fresh("first"));
    fill(d, 5, 5);
    is_int(batch(c, 5, STEADFAST_SAVE_STRICT), STEADFAST_E_NOT_SAVED_DURABLY, "every sync fails");
    ok(statuses(5, STEADFAST_E_NOT_SAVED_DURABLY) == 0 && strstr(report.message, "state0") != NULL, "the report is about the first: %s",
       report.message);
    steadfast_context_free(c);
}

/* What the fsync_many hook is to answer, in its first call, about file 3; and what was asked of it. */
static int32_t answer, whole;
static long asked, ended, apart;
static int32_t fsync_many(void *user, uint64_t *queue, int32_t *files, uint32_t count)
{
    (void)user;
    if (count == 0) {
        ended += *queue == 77;
        return 0;
    }
    if (whole != 0)
        return whole;
    *queue = 77;
    for (uint32_t i = 0; i < count; i++)
        files[i] = asked == 0 && i == 3 ? answer : REAL->fsync(NULL, files[i]);
    asked++;
    return 0;
}

static int32_t fsync_apart(void *user, int32_t fd)
{
    (void)user;
    apart++;
    return REAL->fsync(NULL, fd);
}

static void at_once_with(int32_t about_all, int32_t about_one, long expected, const char *what)
{
    static int number;
    char d[300], name[40];
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    h.fsync = fsync_apart;
    h.fsync_many = fsync_many;
    c = test_context(&h);
    whole = about_all;
    answer = about_one;
    asked = ended = apart = 0;
    snprintf(name, sizeof name, "at-once-%d", number++);
    snprintf(d, sizeof d, "%s", fresh(name));
    fill(d, 300, 300);
    is_int(batch(c, 300, 0), SAVED, "%s: 300 states", what);
    ok(missing(300) == 0 && statuses(300, SAVED) == 0, "%s: are there", what);
    if ((test_absent() & STEADFAST_ABSENT_FSYNC_MANY) == 0)
        ok(apart == expected + (NO_DIR_FSYNC ? 0 : 1) && ended == (about_all == 0), "%s: %ld are synced apart", what, expected);
    else
        ok(apart == 300 + (NO_DIR_FSYNC ? 0 : 1) && asked == 0, "%s: each is synced apart", what);
    steadfast_context_free(c);
}

static void at_once(void)
{
    char d[300];
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    at_once_with(0, 0, 0, "synced at once");
    at_once_with(-ENOSYS, 0, 300, "no way to sync at once");
    at_once_with(0, -EIO, 1, "one sync fails, its state is written again");
    at_once_with(0, 5, 1, "an impossible answer, the same");
    at_once_with(0, -5000, 1, "another");

    h.fsync = fsync_apart;
    c = test_context(&h);
    apart = 0;
    snprintf(d, sizeof d, "%s", fresh("apart"));
    fill(d, 200, 200);
    is_int(batch(c, 200, 0), SAVED, "who hooks fsync");
    is_int(apart, 200 + (NO_DIR_FSYNC ? 0 : 1), "sees each");
    steadfast_context_free(c);
}

/* A fault in fsync is one of each fsync, also of those that would be made at once. */
static void injected(void)
{
    char d[300];
    steadfast_hooks h = test_hooks();
    steadfast_context *c = NULL;
    snprintf(d, sizeof d, "%s", fresh("injected"));
    fill(d, 200, 200);
    is_int(steadfast_context_new_failing(&h, STEADFAST_CALL_FSYNC, 1, EIO, 1, &c), 0, "a context whose fsync fails");
    is_int(batch(c, 200, STEADFAST_SAVE_STRICT), STEADFAST_E_NOT_SAVED_DURABLY, "200 states, each synced in vain");
    is_int(statuses(200, STEADFAST_E_NOT_SAVED_DURABLY), 0, "none is there");
    steadfast_context_free(c);
}

/* The syncs are begun, but how they end is not to be known. */
static void forbidden(void)
{
#ifdef HAS_SECCOMP
    char d[300];
    int status = -1;
    snprintf(d, sizeof d, "%s", fresh("forbidden"));
    fill(d, 200, 200);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(forbid(__NR_io_getevents) != 0 ? 77 : batch(context, 200, 0) == SAVED && statuses(200, SAVED) == 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip("no seccomp filter can be set here", "io_getevents is forbidden");
    else
        ok(WIFEXITED(status) && WEXITSTATUS(status) == 0 && missing(200) == 0,
           "io_getevents is forbidden: each is written again, and saved");
#else
    skip("no headers of the kernel's", "io_getevents is forbidden");
#endif
}

/* Every call of a batch fails in turn: each state is old or new, as its status says. */
static void sweep(uint32_t flags)
{
    static const char *const OLD[] = { "old 0", "old 1", "old 2" };
    char d[300], name[40], *whole;
    long runs = 0;
    int wrong = 0, before;
    snprintf(name, sizeof name, "sweep-%u", (unsigned)flags);
    whole = strdup(fresh(name));
    snprintf(d, sizeof d, "%s", whole);
    free(whole);
    fill(d, 3, 2);
    before = count_fds();
    for (long at = 1;; at++) {
        struct faults f = { .fail_at = at, .error = EIO, .no_real_sync = 1 };
        steadfast_context *c = faults_context(&f);
        for (int i = 0; i < 3; i++)
            save(paths[i], OLD[i], STEADFAST_SAVE_NO_SYNC);
        batch(c, 3, flags);
        for (int i = 0; i < 3; i++) {
            int done = entries[i].status >= 0;
            int either = entries[i].status == STEADFAST_E_INDETERMINATE || entries[i].status == STEADFAST_E_SAVED_NOT_DURABLE;
            wrong += !either && !holds(paths[i], done ? texts[i] : OLD[i]);
        }
        steadfast_context_free(c);
        if (f.failed == 0)
            break;
        runs++;
    }
    ok(wrong == 0 && runs > 30, "flags %u: each of %ld calls fails in turn: every state is what its status says", (unsigned)flags, runs);
    is_int(count_fds(), before, "no descriptor is left open");
}

int main(void)
{
    dir = make_temp_dir("batch");
    context = test_context(NULL);
    many(0, "batch");
    many(STEADFAST_SAVE_SYNCFS, "syncfs");
    order();
    alone();
    twice();
    swaps();
    few_descriptors();
    arguments();
    syncs_fail();
    first();
    at_once();
    injected();
    forbidden();
    sweep(0);
    sweep(STEADFAST_SAVE_SYNCFS);
    sweep(STEADFAST_SAVE_KEEP_PREVIOUS);
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
