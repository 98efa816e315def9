/*
 * Temporary names: a thousand of them that cannot be removed, file systems whose names are shorter than 255 bytes, and targets whose names are
 * as long as names can be.
 */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS

static int64_t says_fuse(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0x65735546;
}

static int32_t no_sync(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0;
}

static long creations;
static int32_t count_creations(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    creations += (flags & O_EXCL) != 0;
    return REAL->openat(NULL, dirfd, path, flags, mode);
}

static int32_t always_there(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int32_t fd = count_creations(user, dirfd, path, flags, mode);
    if ((flags & O_EXCL) == 0 || fd < 0)
        return fd;
    close(fd);
    return -EEXIST;
}

/* The files of a thousand writers that were killed. */
enum { ORPHANS = 1000 };
static void make_orphans(const char *d, uid_t owner)
{
    for (int i = 0; i < ORPHANS; i++) {
        char name[40];
        snprintf(name, sizeof name, ".s.%d.tmp", i);
        int fd = openat(AT_FDCWD, in(d, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, "half a st", 9) != 9 || (owner != geteuid() && fchown(fd, owner, owner) != 0))
            bail_out("%s: %s", name, strerror(errno));
        close(fd);
    }
}

static void orphans(const char *what, const char *name, uint32_t absent, int fuse, uid_t owner)
{
    char d[300], path[310];
    steadfast_hooks h = test_hooks();
    h.absent |= absent;
    h.openat = count_creations;
    h.fsync = no_sync;
    if (fuse)
        h.fstatfs = says_fuse;
    steadfast_context *c = test_context(&h);
    snprintf(d, sizeof d, "%s", fresh(name));
    snprintf(path, sizeof path, "%s/s", d);
    make_orphans(d, owner);
    for (int i = 0; i < 3; i++) {
        static const uint32_t FLAGS[] = { 0, KEEP, 0 };
        char text[20];
        snprintf(text, sizeof text, "save %d", i);
        creations = 0;
        int status = save_with(c, path, text, FLAGS[i]);
        ok(status == SAVED && holds(path, text) && creations > ORPHANS && creations <= 4 * ORPHANS, "%s: a save goes on, after %ld names",
           what, creations);
    }
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "batch", .len = 5 };
    ok(steadfast_state_save_batch(c, &entry, 1, NULL, NULL) == SAVED && holds(path, "batch"), "%s: a batch as well", what);
    is_int(count_entries(d), ORPHANS + 2, "%s: the orphans stay, and nothing is added to them", what);
    ok(holds(in(d, "s.prev"), "save 0"), "%s: the previous generation was kept", what);
    steadfast_context_free(c);
}

static void endless(void)
{
    char d[300];
    steadfast_hooks h = test_hooks();
    h.openat = always_there;
    steadfast_context *c = test_context(&h);
    snprintf(d, sizeof d, "%s", fresh("endless"));
    creations = 0;
    int status = save_with(c, in(d, "s"), "x", 0);
    ok(status == -EEXIST && report.step == STEADFAST_STEP_CREATE_TEMP && creations > ORPHANS && creations < 10 * ORPHANS,
       "every name is taken at once by somebody: -EEXIST after %ld of them", creations);
    steadfast_context_free(c);
}

/* A file system whose names have at most `limit` bytes. */
static size_t limit;
static int too_long(const char *path)
{
    const char *name = strrchr(path, '/');
    return strlen(name == NULL ? path : name + 1) > limit;
}

static int32_t short_openat(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    return too_long(path) ? -ENAMETOOLONG : REAL->openat(NULL, dirfd, path, flags, mode);
}

static int32_t short_fstatat(void *user, int32_t dirfd, const char *path, steadfast_stat *out)
{
    (void)user;
    return too_long(path) ? -ENAMETOOLONG : REAL->fstatat(NULL, dirfd, path, out);
}

static int32_t short_renameat(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    return too_long(op) || too_long(np) ? -ENAMETOOLONG : REAL->renameat(NULL, od, op, nd, np, flags);
}

static int32_t short_linkat(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    return too_long(op) || too_long(np) ? -ENAMETOOLONG : REAL->linkat(NULL, od, op, nd, np, flags);
}

static int32_t short_unlinkat(void *user, int32_t dirfd, const char *path, int32_t flags)
{
    (void)user;
    return too_long(path) ? -ENAMETOOLONG : REAL->unlinkat(NULL, dirfd, path, flags);
}

static int32_t die(void *user, int32_t fd)
{
    (void)user, (void)fd;
    _exit(0);
}

static steadfast_context *short_context(uint32_t absent)
{
    steadfast_hooks h = test_hooks();
    h.absent |= absent;
    h.openat = short_openat;
    h.fstatat = short_fstatat;
    h.renameat = short_renameat;
    h.linkat = short_linkat;
    h.unlinkat = short_unlinkat;
    h.fsync = no_sync;
    return test_context(&h);
}

/* Every length that a target's name may have: it is saved, and its previous one kept where NAME.prev is a name. */
static void lengths(const steadfast_context *c, const char *d, size_t from, const char *how)
{
    steadfast_load_options recover = { .size = sizeof recover, .flags = STEADFAST_LOAD_RECOVER };
    int wrong = 0, kept = 0, swapped = 0;
    for (size_t len = from; len <= limit; len++) {
        char path[700], previous[710];
        steadfast_state state = { .size = sizeof state };
        int fits = len + 5 <= limit;
        snprintf(path, sizeof path, "%s/%0*d", d, (int)len, 7);
        snprintf(previous, sizeof previous, "%s.prev", path);
        int missing = steadfast_state_load(c, path, &recover, &state, NULL);
        int plain = save_with(c, path, "one", 0), keep = save_with(c, path, "two", KEEP);
        const char *message = report.message;
        int right = missing == -ENOENT && plain == SAVED && keep == (fits ? SAVED : -ENAMETOOLONG) && holds(path, fits ? "two" : "one")
                    && (!fits || holds(previous, "one"));
        if (!right)
            diag("%s, a name of %zu bytes: load %s, save %s, KEEP_PREVIOUS %s %.60s", how, len, steadfast_status_name(missing),
                 steadfast_status_name(plain), steadfast_status_name(keep), keep < 0 ? message : "");
        wrong += !right;
        kept += fits && right;
        if (!NO_FLOCK) {
            steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = fits ? 2 : 1 };
            swapped += steadfast_state_save(c, path, "three", 5, &o, NULL) == SAVED && holds(path, "three");
        }
        unlink(path);
        unlink(previous);
        wrong += count_entries(d) != 0;
    }
    ok(wrong == 0 && kept > 0, "%s: names of %zu to %zu bytes are saved; KEEP_PREVIOUS is ENAMETOOLONG only where NAME.prev is too long",
       how, from, limit);
    if (NO_FLOCK)
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "%s: and swapped", how);
    else
        is_int(swapped, limit - from + 1, "%s: and swapped", how);
}

static void short_names(void)
{
    char d[300], path[700];
    snprintf(d, sizeof d, "%s", fresh("short"));
    steadfast_context *c = short_context(0);
    limit = 143;
    lengths(c, d, 1, "a limit of 143 bytes");
    steadfast_context *copies = short_context(STEADFAST_ABSENT_LINK);
    lengths(copies, d, 110, "a limit of 143 bytes and no hard links");
    steadfast_context *renames = short_context(STEADFAST_ABSENT_RENAMEAT2);
    lengths(renames, d, 110, "a limit of 143 bytes and no exchange");
    limit = 175;
    lengths(c, d, 140, "a limit of 175 bytes");
    limit = 143;
    snprintf(path, sizeof path, "%s/%0*d", d, 144, 7);
    ok(save_with(c, path, "x", 0) == -ENAMETOOLONG && count_entries(d) == 0, "a name that is too long itself is -ENAMETOOLONG");
    /* Two names that begin in the same way, and the orphan of a killed writer. */
    char other[700];
    snprintf(path, sizeof path, "%s/%0*d", d, 143, 7);
    snprintf(other, sizeof other, "%s/%0*d", d, 143, 8);
    pid_t child = fork_child();
    if (child == 0) {
        steadfast_hooks h = test_hooks();
        h.openat = short_openat;
        h.fstatat = short_fstatat;
        h.fsync = die;
        save_with(test_context(&h), path, "killed", 0);
        _exit(1);
    }
    wait_for(child);
    is_int(count_entries(d), 1, "a killed writer of a long name leaves its file");
    ok(save_with(c, other, "other", 0) == SAVED && count_entries(d) == 2, "a state whose name begins alike does not touch it");
    save_with(c, path, "next", 0);
    if (NO_FLOCK)
        skip("without flock (absent) orphans stay", "the next save of its own removes it");
    else
        is_int(count_entries(d), 2, "the next save of its own removes it");
    steadfast_context_free(c);
    steadfast_context_free(copies);
    steadfast_context_free(renames);
}

int main(void)
{
    char d[300];
    dir = make_temp_dir("names");
    context = test_context(NULL);
    int fds = count_fds();
    orphans("1000 orphans on FUSE", "fuse", 0, 1, geteuid());
    orphans("1000 orphans on FUSE, no hard links", "copies", STEADFAST_ABSENT_LINK, 1, geteuid());
    if (geteuid() == 0)
        orphans("1000 files of another user", "another", 0, 0, 1234);
    else
        skip("needs root", "1000 files of another user");
    endless();
    short_names();
    snprintf(d, sizeof d, "%s", fresh("long"));
    limit = 255;
    lengths(context, d, 225, "a limit of 255 bytes");
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
