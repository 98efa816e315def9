/*
 * Who checks the checker: routines that are wrong in one way each are put through the very sweep that the
 * library passes, and it has to complain. Some are the library with one hook that does what a careless
 * implementation would do; some are whole routines as people write them.
 */
#include "tap.h"
#include "check.h"

/* What a mutant of the hooks needs to remember. */
static int leaked[64], leaks;
static int failed_fsync;

static int32_t swallow_fsync_error(void *user, int32_t fd)
{
    faults_fsync(user, fd);
    return 0;
}

static int32_t retry_fsync(void *user, int32_t fd)
{
    int32_t result = faults_fsync(user, fd);
    return result == -EIO ? faults_fsync(user, fd) : result;
}

static int32_t remember_fsync(void *user, int32_t fd)
{
    int32_t result = faults_fsync(user, fd);
    failed_fsync = result < 0;
    return result;
}

static int32_t rename_and_sync_directory(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    int32_t result = faults_renameat(user, od, op, nd, np, flags);
    if (result >= 0 && failed_fsync)
        faults_fsync(user, nd);
    return result;
}

static int64_t short_write_is_whole(void *user, int32_t fd, const void *buf, size_t len)
{
    int64_t result = faults_write(user, fd, buf, len);
    return result > 0 ? (int64_t)len : result;
}

static int64_t swallow_write_error(void *user, int32_t fd, const void *buf, size_t len)
{
    faults_write(user, fd, buf, len);
    return (int64_t)len;
}

static int32_t ignore_rename_error(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    faults_renameat(user, od, op, nd, np, flags);
    return 0;
}

static int32_t leak_temp(void *user, int32_t dirfd, const char *path, int32_t flags)
{
    (void)user, (void)dirfd, (void)path, (void)flags;
    return 0;
}

static int32_t leak_descriptor(void *user, int32_t fd)
{
    (void)user;
    if (leaks < 64)
        leaked[leaks++] = fd;
    return 0;
}

static int32_t skip_directory_fsync(void *user, int32_t fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : faults_fsync(user, fd);
}

static int32_t eintr_is_an_error(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int32_t result = faults_openat(user, dirfd, path, flags, mode);
    return result == -EINTR ? -EIO : result;
}

static int32_t link_not(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    /* The previous generation: said to be kept, and not. */
    (void)user, (void)od, (void)op, (void)nd, (void)np, (void)flags;
    return 0;
}

#define MUTATE(name, member, wrong) \
    static void mutate_##name(steadfast_hooks *table) \
    { \
        table->member = wrong; \
    }
MUTATE(swallow, fsync, swallow_fsync_error)
MUTATE(retry, fsync, retry_fsync)
MUTATE(short_write, write, short_write_is_whole)
MUTATE(write_error, write, swallow_write_error)
MUTATE(rename_error, renameat, ignore_rename_error)
MUTATE(leak_temp, unlinkat, leak_temp)
MUTATE(leak_descriptor, close, leak_descriptor)
MUTATE(no_directory_fsync, fsync, skip_directory_fsync)
MUTATE(eintr, openat, eintr_is_an_error)
MUTATE(link, linkat, link_not)

static void mutate_directory(steadfast_hooks *table)
{
    failed_fsync = 0;
    table->fsync = remember_fsync;
    table->renameat = rename_and_sync_directory;
}

/* Whole routines. They make their calls through the table that the checker watches. */
static steadfast_hooks table_in_use;

static void use_table(steadfast_hooks *table)
{
    table_in_use = *table;
}

/* Which record to write: the bytes of a good one, from the library, saved aside. */
static char *record_of(const char *path, const void *data, size_t len, size_t *record_len)
{
    char aside[400], *record;
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_NO_SYNC };
    snprintf(aside, sizeof aside, "%s.aside", path);
    steadfast_state_save(NULL, aside, data, len, &o, NULL);
    record = read_file(aside, record_len);
    unlink(aside);
    return record;
}

static int32_t tell(steadfast_report *report, const char *path, int32_t result)
{
    report->status = result;
    report->os_error = result < 0 ? -result : 0;
    report->step = result < 0 ? STEADFAST_STEP_WRITE : 0;
    report->on_disk = on_disk_of(result);
    report->generation = 1;
    snprintf(report->message, sizeof report->message, "%s", path);
    return result;
}

static int32_t save_wrongly(const char *path, const void *data, size_t len, steadfast_report *report, int in_place, int sync)
{
    steadfast_hooks *h = &table_in_use;
    char temp[400];
    size_t record_len = 0;
    char *record = record_of(path, data, len, &record_len);
    int32_t result, fd, directory;
    int64_t written;
    char parent[400];
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    snprintf(temp, sizeof temp, "%s%s", path, in_place ? "" : ".new");
    fd = h->openat(h->user, AT_FDCWD, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        free(record);
        return tell(report, path, fd);
    }
    written = h->write(h->user, fd, record, record_len);
    free(record);
    result = written < 0 ? (int32_t)written : 0;
    if (result >= 0 && sync)
        result = h->fsync(h->user, fd);
    h->close(h->user, fd);
    if (result >= 0 && !in_place)
        result = h->renameat(h->user, AT_FDCWD, temp, AT_FDCWD, path, 0);
    if (result < 0 && !in_place)
        h->unlinkat(h->user, AT_FDCWD, temp, 0);
    if (result >= 0 && (directory = h->openat(h->user, AT_FDCWD, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)) >= 0) {
        h->fsync(h->user, directory);
        h->close(h->user, directory);
    }
    return tell(report, path, result < 0 ? result : 0);
}

static int32_t truncate_and_write(const steadfast_context *c, const char *path, const void *data, size_t len,
                                  const steadfast_save_options *o, steadfast_report *report)
{
    (void)c, (void)o;
    return save_wrongly(path, data, len, report, 1, 1);
}

static int32_t rename_without_sync(const steadfast_context *c, const char *path, const void *data, size_t len,
                                   const steadfast_save_options *o, steadfast_report *report)
{
    (void)c, (void)o;
    return save_wrongly(path, data, len, report, 0, 0);
}

/* The seed's way: directory fsync errors do not matter, and nobody is told. */
static int32_t directory_fsync_ignored(const steadfast_context *c, const char *path, const void *data, size_t len,
                                       const steadfast_save_options *o, steadfast_report *report)
{
    (void)c, (void)o;
    return save_wrongly(path, data, len, report, 0, 1);
}

static int32_t report_that_lies(const steadfast_context *c, const char *path, const void *data, size_t len, const steadfast_save_options *o,
                                steadfast_report *report)
{
    int32_t result = steadfast_state_save(c, path, data, len, o, report);
    if (result == STEADFAST_NOT_DURABLE)
        report->on_disk = STEADFAST_ON_DISK_NEW;
    return result;
}

static int32_t load_without_digest(const steadfast_context *c, const char *path, const steadfast_load_options *o, steadfast_state *out,
                                   steadfast_report *report)
{
    size_t len;
    char *record;
    int32_t result = steadfast_state_load(c, path, o, out, report);
    if (result != STEADFAST_E_DIGEST || (record = read_file(path, &len)) == NULL)
        return result;
    out->data = record + 256;
    out->len = len - 256;
    out->generation = 2;
    out->source = STEADFAST_SOURCE_CURRENT;
    report->generation = 2;
    return tell(report, path, 0);
}

static int32_t load_that_writes_on_failure(const steadfast_context *c, const char *path, const steadfast_load_options *o,
                                           steadfast_state *out, steadfast_report *report)
{
    int32_t result = steadfast_state_load(c, path, o, out, report);
    if (result < 0)
        out->len = 0;
    return result;
}

static const struct scenario SAVES[] = {
    { "first", 0, NOTHING, NOTHING, 300 },
    { "over a state", 0, WHOLE, WHOLE, 300 },
    { "over a state, KEEP_PREVIOUS", STEADFAST_SAVE_KEEP_PREVIOUS, WHOLE, WHOLE, 300 },
};
static const struct scenario LOADS[] = {
    { "damaged", 0, DAMAGED, NOTHING, 0 },
    { "whole", 0, WHOLE, NOTHING, 0 },
};

static const char *complains(struct world *w, checker *check, const struct subject *subject, const struct scenario *s)
{
    static const int ERRORS[] = { EIO, ENOSPC, EINTR };
    const char *wrong = sweep_baseline(w, check, subject, s);
    for (int i = 0; i < 3 && wrong == NULL; i++)
        for (int for_ever = 0; for_ever < 2 && wrong == NULL; for_ever++) {
            long runs = 0;
            if (ERRORS[i] != EINTR || !for_ever)
                wrong = sweep_calls(w, check, subject, s, ERRORS[i], for_ever, &runs);
        }
    for (int kind = SHORT_ONE_BYTE; kind <= SHORT_NOTHING && wrong == NULL && check == check_save; kind++) {
        struct fault fault = { .short_writes = kind };
        wrong = check(w, subject, s, &fault);
    }
    if (wrong == NULL && check == check_save) {
        struct fault fault = { .error = EIO, .file_syncs = 1 };
        wrong = check(w, subject, s, &fault);
    }
    return wrong;
}

/* The checker has to complain, and of the right thing. */
static void killed(struct world *w, checker *check, const char *name, const char *because, save_function *save, load_function *load,
                   void (*mutate)(steadfast_hooks *))
{
    struct subject subject = { .name = name, .save = save, .load = load, .mutate = mutate };
    const struct scenario *s = check == check_save ? SAVES : LOADS;
    size_t count = check == check_save ? sizeof SAVES / sizeof SAVES[0] : sizeof LOADS / sizeof LOADS[0];
    const char *wrong = NULL;
    for (size_t i = 0; i < count && wrong == NULL; i++)
        wrong = complains(w, check, &subject, &s[i]);
    while (leaks > 0)
        close(leaked[--leaks]);
    ok(wrong != NULL && strstr(wrong, because) != NULL, "mutant killed: %s", name);
    diag("%s", wrong != NULL ? wrong : "no complaint");
}

#define SAVE_MUTANT(name, because, mutate) killed(&w, check_save, name, because, steadfast_state_save, steadfast_state_load, mutate)
#define SAVE_ROUTINE(name, because, save) killed(&w, check_save, name, because, save, steadfast_state_load, use_table)
#define LOAD_ROUTINE(name, because, load) killed(&w, check_load, name, because, steadfast_state_save, load, NULL)

int main(void)
{
    static struct world w;
    struct subject library = { .name = "steadfast", .save = steadfast_state_save, .load = steadfast_state_load };
    const char *wrong = NULL;
    world_begin(&w);
    for (size_t i = 0; i < 3 && wrong == NULL; i++)
        wrong = complains(&w, check_save, &library, &SAVES[i]);
    for (size_t i = 0; i < 2 && wrong == NULL; i++)
        wrong = complains(&w, check_load, &library, &LOADS[i]);
    if (!ok(wrong == NULL, "the library itself passes what its mutants are put through"))
        diag("%s", wrong);
    SAVE_MUTANT("fsync error swallowed", "the file was not synced", mutate_swallow);
    SAVE_MUTANT("fsync retried on the same inode", "fsync again of an inode", mutate_retry);
    SAVE_MUTANT("directory synced after a failed file sync", "the directory was synced over a file that was not", mutate_directory);
    SAVE_MUTANT("directory not synced", "the directory was not synced", mutate_no_directory_fsync);
    SAVE_MUTANT("short write taken for whole", "neither the old state nor the new one", mutate_short_write);
    SAVE_MUTANT("write error swallowed", "neither the old state nor the new one", mutate_write_error);
    SAVE_MUTANT("rename error ignored", "but the old state is there", mutate_rename_error);
    SAVE_MUTANT("temp file leaked", "left", mutate_leak_temp);
    SAVE_MUTANT("descriptor leaked", "descriptors open", mutate_leak_descriptor);
    SAVE_MUTANT("EINTR not retried", "what failed was EINTR", mutate_eintr);
    SAVE_MUTANT("previous generation not kept", "not kept", mutate_link);
    SAVE_ROUTINE("truncate and write in place", "not synced before it got its name", truncate_and_write);
    SAVE_ROUTINE("rename without a sync of the file", "the file was not synced", rename_without_sync);
    SAVE_ROUTINE("directory fsync error ignored", "the directory was not synced", directory_fsync_ignored);
    killed(&w, check_save, "on_disk says NEW of what was not synced", "on_disk 1", report_that_lies, steadfast_state_load, NULL);
    LOAD_ROUTINE("digest not checked", "the bytes are not those saved", load_without_digest);
    LOAD_ROUTINE("output written on failure", "the output was written", load_that_writes_on_failure);
    world_end(&w);
    return done_testing();
}
