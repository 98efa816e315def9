/*
 * Batches that are refused whole, and in part; what each entry is told, also one of a caller who knows a shorter or a longer struct. And *out is
 * NULL after every call that fails.
 */
#include "tap.h"
#include "state_test.h"

enum { COUNT = 3, UNTOUCHED = 77 };
static char d[300], paths[COUNT][320];
static steadfast_save_entry entries[COUNT];

static void remove_states(void)
{
    for (int i = 0; i < COUNT; i++) {
        static const char *const PREVIOUS[COUNT] = { "s0.prev", "s1.prev", "s2.prev" };
        unlink(paths[i]);
        unlink(in(d, PREVIOUS[i]));
    }
}

static void prepare(void)
{
    for (int i = 0; i < COUNT; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/s%d", d, i);
        unlink(paths[i]);
        entries[i] = (steadfast_save_entry){ .size = sizeof entries[i],
                                             .path = paths[i],
                                             .data = "data",
                                             .len = 4,
                                             .status = UNTOUCHED,
                                             .os_error = UNTOUCHED,
                                             .generation = UNTOUCHED,
                                             .step = UNTOUCHED,
                                             .on_disk = UNTOUCHED };
    }
}

static int batch(const steadfast_context *c, const steadfast_save_options *o)
{
    report.size = sizeof report;
    return steadfast_state_save_batch(c, entries, COUNT, o, &report);
}

/* Does every entry say that it was refused with the others, and is nothing there? */
static int all_canceled(void)
{
    for (int i = 0; i < COUNT; i++)
        if (entries[i].status != -ECANCELED || entries[i].generation != 0 || entries[i].step != 0 || entries[i].os_error != 0
            || entries[i].on_disk != STEADFAST_ON_DISK_OLD)
            return 0;
    return count_entries(d) == 0;
}

static int all_untouched(void)
{
    for (int i = 0; i < COUNT; i++)
        if (entries[i].status != UNTOUCHED || entries[i].step != UNTOUCHED || entries[i].on_disk != UNTOUCHED)
            return 0;
    return count_entries(d) == 0;
}

static void refused_whole(void)
{
    struct {
        steadfast_save_options options;
        int64_t more;
    } longer = { { .size = sizeof longer }, 1 };
    steadfast_save_options bad[] = {
        { .size = sizeof bad[0], .flags = 1u << 31 },
        { .size = sizeof bad[0], .flags = STEADFAST_SAVE_ALTERNATE | STEADFAST_SAVE_PLAIN },
        { .size = sizeof bad[0], .flags = STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_STRICT },
        { .size = sizeof bad[0], .flags = STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_SYNCFS },
        { .size = sizeof bad[0], .reserved = 1 },
        { .size = sizeof bad[0], .mode = 01600 },
        { .size = sizeof bad[0], .expected_generation = 4 },
        { .size = 4 },
    };
    int tried = 0, wrong = 0;
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        const steadfast_save_options *o = i == sizeof bad / sizeof bad[0] ? &longer.options : &bad[i];
        prepare();
        ok(batch(context, o) == -EINVAL && report.step == STEADFAST_STEP_ARGUMENTS && report.on_disk == STEADFAST_ON_DISK_OLD
               && all_canceled(),
           "bad options, %zu: -EINVAL, step ARGUMENTS; every entry is -ECANCELED: %s", i, report.message);
    }
    for (int i = 0; i < COUNT; i++)
        for (size_t size = 0; size < sizeof entries[0]; size += 8) {
            if (size >= offsetof(steadfast_save_entry, step) && i == 0)
                continue;
            prepare();
            entries[i].size = size;
            tried++;
            if (batch(context, NULL) == -EINVAL && report.step == STEADFAST_STEP_ARGUMENTS && all_untouched())
                continue;
            wrong++;
            diag("entry %d of size %zu: %s", i, size, report.message);
        }
    ok(tried == 20 && wrong == 0, "entries whose sizes are too small, or differ, are not written to (%d sizes)", tried);
    is_int(steadfast_state_save_batch(context, NULL, COUNT, NULL, &report), -EINVAL, "no entries");
    is_int(report.step, STEADFAST_STEP_ARGUMENTS, "are bad arguments");
}

/* A context whose directory is gone refuses the batch as well, for another reason. */
static void directory_gone(void)
{
    char base[320];
    steadfast_hooks h = test_hooks();
    steadfast_context_options o = { .size = sizeof o, .flags = STEADFAST_CONTEXT_AT, .hooks = &h };
    steadfast_context *c = NULL;
    snprintf(base, sizeof base, "%s/gone", d);
    mkdir(base, 0700);
    o.dirfd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int next = dup(o.dirfd);
    close(next);
    if (steadfast_context_new_with(&o, &c) != 0)
        bail_out("no context");
    /* The context's own descriptor has the lowest free number: a program that closes all, closes it. */
    close(next);
    close(o.dirfd);
    rmdir(base);
    prepare();
    int status = batch(c, NULL);
    ok(status < 0 && report.step != STEADFAST_STEP_ARGUMENTS && all_canceled(),
       "the context's directory is gone: %s, every entry -ECANCELED", steadfast_status_name(status));
    steadfast_context_free(c);
}

static void refused_in_part(void)
{
    char long_path[5000], directory[330], too_long[600];
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    snprintf(directory, sizeof directory, "%s/s1/", d);
    snprintf(too_long, sizeof too_long, "%s/%0256d", d, 7);
    const struct {
        const char *name, *path;
        const void *data;
        size_t len;
        int status;
    } bad[] = { { "an empty path", "", "x", 1, -EINVAL },
                { "no path", NULL, "x", 1, -EINVAL },
                { "a path that ends with a slash", directory, "x", 1, -EISDIR },
                { "a path that is too long", long_path, "x", 1, -ENAMETOOLONG },
                { "a name that is too long", too_long, "x", 1, -ENAMETOOLONG },
                { "no data, but a length", paths[1], NULL, 1, -EINVAL },
                { "an impossible length", paths[1], "x", SIZE_MAX, -EINVAL },
                { "a missing directory", in(d, "missing/s"), "x", 1, -ENOENT } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        prepare();
        entries[1].path = bad[i].path;
        entries[1].data = bad[i].data;
        entries[1].len = bad[i].len;
        int status = batch(context, NULL);
        ok(status == bad[i].status && entries[1].status == status && report.step != STEADFAST_STEP_ARGUMENTS,
           "%s is that entry's own status, %s, and not the step ARGUMENTS", bad[i].name, steadfast_status_name(status));
        ok(entries[0].status == SAVED && entries[2].status == SAVED && entries[0].generation == 1 && holds(paths[0], "data")
               && holds(paths[2], "data") && entries[1].generation == 0 && entries[1].on_disk == STEADFAST_ON_DISK_OLD,
           "%s: the others are saved", bad[i].name);
        ok(entries[0].step == 0 && entries[0].os_error == 0
               && entries[0].on_disk == (NO_DIR_FSYNC ? STEADFAST_ON_DISK_EITHER : STEADFAST_ON_DISK_NEW),
           "%s: and say what is on disk", bad[i].name);
    }
}

static int32_t directory_sync_fails(void *user, int32_t fd)
{
    struct stat st = { 0 };
    (void)user;
    fstat(fd, &st);
    return S_ISDIR(st.st_mode) ? -EIO : 0;
}

static int32_t file_sync_fails(void *user, int32_t fd)
{
    struct stat st = { 0 };
    (void)user;
    fstat(fd, &st);
    return S_ISREG(st.st_mode) ? -ENOSPC : 0;
}

/* Each entry's step and on_disk are those that steadfast_state_save reports for the same save. */
static void like_a_save(void)
{
    static int32_t (*const SYNCS[])(void *, int32_t) = { NULL, directory_sync_fails, file_sync_fails };
    static const uint32_t FLAGS[] = { 0,
                                      STEADFAST_SAVE_STRICT,
                                      STEADFAST_SAVE_KEEP_PREVIOUS,
                                      STEADFAST_SAVE_NO_SYNC,
                                      STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS,
                                      STEADFAST_SAVE_IF_GENERATION };
    for (size_t s = 0; s < 3; s++)
        for (size_t f = 0; f < 6; f++) {
            steadfast_hooks h = test_hooks();
            steadfast_save_options o = { .size = sizeof o, .flags = FLAGS[f] };
            h.fsync = SYNCS[s];
            steadfast_context *c = test_context(&h);
            prepare();
            save(paths[0], "old", 0), save(paths[1], "old", 0), save(paths[2], "old", 0);
            int status = steadfast_state_save(c, paths[0], "data", 4, &o, &report);
            steadfast_report one = report;
            unlink(paths[0]), unlink(in(d, "s0.prev"));
            save(paths[0], "old", 0);
            batch(c, &o);
            int same = 1;
            for (int i = 0; i < COUNT; i++)
                same &= entries[i].status == status && entries[i].os_error == one.os_error && entries[i].step == one.step
                        && entries[i].on_disk == one.on_disk && entries[i].generation == one.generation;
            ok(same, "flags %u, %s: each entry of a batch is told what a save is: %s, step %d, on_disk %d", FLAGS[f],
               s == 0   ? "every sync works"
               : s == 1 ? "no directory can be synced"
                        : "no file can be synced",
               steadfast_status_name(status), one.step, one.on_disk);
            if (!same)
                diag("%s, step %d, on_disk %d, generation %llu", steadfast_status_name(entries[0].status), entries[0].step,
                     entries[0].on_disk, (unsigned long long)entries[0].generation);
            steadfast_context_free(c);
            remove_states();
        }
}

/* Callers of another version: their entries are shorter, or longer, and are stepped over by their size. */
static void other_sizes(void)
{
    enum { OLD_SIZE = offsetof(steadfast_save_entry, step), LONG_SIZE = sizeof(steadfast_save_entry) + 24 };
    static const size_t SIZES[] = { OLD_SIZE, LONG_SIZE };
    for (int s = 0; s < 2; s++) {
        unsigned char memory[COUNT * LONG_SIZE];
        int wrong = 0;
        prepare();
        memset(memory, '#', sizeof memory);
        for (int i = 0; i < COUNT; i++) {
            entries[i].size = SIZES[s];
            memcpy(memory + (size_t)i * SIZES[s], &entries[i], SIZES[s] < sizeof entries[i] ? SIZES[s] : sizeof entries[i]);
        }
        is_int(steadfast_state_save_batch(context, (steadfast_save_entry *)(void *)memory, COUNT, NULL, NULL), SAVED,
               "entries of %zu bytes", SIZES[s]);
        for (int i = 0; i < COUNT; i++) {
            steadfast_save_entry e = { 0 };
            memcpy(&e, memory + (size_t)i * SIZES[s], SIZES[s] < sizeof e ? SIZES[s] : sizeof e);
            wrong += e.status != SAVED || e.generation != 1 || e.size != SIZES[s] || !holds(paths[i], "data");
            for (size_t at = sizeof e; at < SIZES[s]; at++)
                wrong += memory[(size_t)i * SIZES[s] + at] != '#';
        }
        for (size_t at = COUNT * SIZES[s]; at < sizeof memory; at++)
            wrong += memory[at] != '#';
        is_int(wrong, 0, "each is saved and told so, nothing beyond them is written");
    }
}

static void out_is_null(void)
{
    void *const junk = (void *)&report;
    steadfast_context *made = junk;
    steadfast_hooks wrong = test_hooks(), h = test_hooks();
    steadfast_context_options o = { .size = sizeof o, .flags = 1u << 30 };
    steadfast_lock_options bad = { .size = sizeof bad, .flags = 1u << 30 };
    wrong.reserved = 1;
#define IS_NULL(out, call, what) \
    do { \
        (out) = junk; \
        int result = (call); \
        ok(result < 0 && (out) == NULL, "%s: %s, *out is NULL", what, steadfast_status_name(result)); \
    } while (0)
    IS_NULL(made, steadfast_context_new(&wrong, &made), "context_new, a reserved member");
    wrong.size = 3;
    IS_NULL(made, steadfast_context_new(&wrong, &made), "context_new, a size that is too small");
    IS_NULL(made, steadfast_context_new_with(&o, &made), "context_new_with, an unknown flag");
    o.flags = STEADFAST_CONTEXT_BENEATH;
    IS_NULL(made, steadfast_context_new_with(&o, &made), "context_new_with, BENEATH without AT");
    o.flags = STEADFAST_CONTEXT_AT, o.dirfd = 1 << 20;
    IS_NULL(made, steadfast_context_new_with(&o, &made), "context_new_with, no descriptor");
    o.size = 3;
    IS_NULL(made, steadfast_context_new_with(&o, &made), "context_new_with, a size that is too small");
    IS_NULL(made, steadfast_context_new_failing(&h, 1000, 1, EIO, 0, &made), "context_new_failing, an unknown call");
    IS_NULL(made, steadfast_context_new_failing(&h, STEADFAST_CALL_ANY, 0, EIO, 0, &made), "context_new_failing, call number 0");
    IS_NULL(made, steadfast_context_new_failing(&h, STEADFAST_CALL_ANY, 1, 0, 0, &made), "context_new_failing, no error");
    steadfast_lock *lock;
    const char *path = in(d, "lock");
    IS_NULL(lock, steadfast_lock_acquire(context, path, 0, &bad, &lock, NULL), "lock_acquire, an unknown flag");
    IS_NULL(lock, steadfast_lock_acquire(context, "", 0, NULL, &lock, NULL), "lock_acquire, an empty path");
    IS_NULL(lock, steadfast_lock_acquire(context, in(d, "missing/lock"), 0, NULL, &lock, NULL), "lock_acquire, no directory");
    steadfast_report small = { .size = 8 };
    IS_NULL(lock, steadfast_lock_acquire(context, path, 0, NULL, &lock, &small), "lock_acquire, a report that is too small");
    write_text(path, "someone\n");
    IS_NULL(lock, steadfast_lock_acquire(context, path, 0, NULL, &lock, NULL), "lock_acquire, it is taken");
    unlink(path);
    int left = 0, failed = 0;
    for (long at = 1;; at++) {
        struct faults f = { .fail_at = at, .error = EIO };
        steadfast_context *c = faults_context(&f);
        lock = junk;
        int result = steadfast_lock_acquire(c, path, 0, NULL, &lock, NULL);
        failed += result < 0;
        left += result < 0 && lock != NULL;
        if (result == 0)
            steadfast_lock_release(lock, NULL);
        steadfast_context_free(c);
        unlink(path);
        if (f.failed == 0)
            break;
    }
    ok(left == 0 && (failed > 0 || NO_FLOCK), "lock_acquire, each of its calls fails in turn: *out is NULL after %d errors", failed);
}

int main(void)
{
    dir = make_temp_dir("refused");
    context = test_context(NULL);
    int fds = count_fds();
#define RUN(test) (snprintf(d, sizeof d, "%s", fresh(#test)), test())
    RUN(refused_whole);
    RUN(directory_gone);
    RUN(refused_in_part);
    RUN(like_a_save);
    RUN(other_sizes);
    RUN(out_is_null);
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
