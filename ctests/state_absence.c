/*
 * Calls that ask who or what is there. Only ENOENT (for an attribute ENODATA) and "unsupported here" mean that nobody is; every other error
 * is one of the save, and nothing changes.
 */
#include "tap.h"
#include "state_test.h"
#include "record.h"

#include <sys/file.h>

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define SWAP STEADFAST_SAVE_IF_GENERATION

enum { OPEN, FSTAT, PREAD, FSTATAT, FLOCK, FGETXATTR, CALLS };
static const char *const CALL_NAMES[CALLS] = { "open", "fstat", "pread", "fstatat", "flock", "fgetxattr" };

/* The call that fails, for the file of this name: once, or for ever. */
static struct {
    int call;
    const char *name;
    int error, for_ever;
    int made;
} fault;
static char opened[1024][32];   /* the name that a descriptor was opened by */

static int fails(int call, const char *name)
{
    if (call != fault.call || name == NULL || strcmp(name, fault.name) != 0)
        return 0;
    fault.made++;
    return fault.for_ever || fault.made == 1 ? -fault.error : 0;
}

static const char *name_of(int fd)
{
    return fd >= 0 && fd < 1024 ? opened[fd] : NULL;
}

static int32_t hooked_openat(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int32_t fd = (flags & O_CREAT) == 0 ? fails(OPEN, path) : 0;
    (void)user;
    if (fd == 0)
        fd = REAL->openat(NULL, dirfd, path, flags, mode);
    if (fd >= 0 && fd < 1024)
        snprintf(opened[fd], sizeof opened[fd], "%.31s", path);
    return fd;
}

static int32_t hooked_fstat(void *user, int32_t fd, steadfast_stat *out)
{
    int32_t error = fails(FSTAT, name_of(fd));
    (void)user;
    return error != 0 ? error : REAL->fstat(NULL, fd, out);
}

static int64_t hooked_pread(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    int64_t error = fails(PREAD, name_of(fd));
    (void)user;
    return error != 0 ? error : REAL->pread(NULL, fd, buf, len, offset);
}

static int32_t hooked_fstatat(void *user, int32_t dirfd, const char *name, steadfast_stat *out)
{
    int32_t error = fails(FSTATAT, name);
    (void)user;
    return error != 0 ? error : REAL->fstatat(NULL, dirfd, name, out);
}

static int32_t hooked_flock(void *user, int32_t fd, int32_t operation)
{
    int32_t error = operation == LOCK_UN ? 0 : fails(FLOCK, name_of(fd));
    (void)user;
    return error != 0 ? error : REAL->flock(NULL, fd, operation);
}

static int64_t hooked_fgetxattr(void *user, int32_t fd, const char *name, void *buf, size_t len)
{
    int64_t error = fails(FGETXATTR, name_of(fd));
    (void)user;
    return error != 0 ? error : REAL->fgetxattr(NULL, fd, name, buf, len);
}

static int32_t no_sync(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0;
}

static steadfast_context *context_with(uint32_t absent)
{
    steadfast_hooks h = test_hooks();
    h.absent |= absent;
    h.openat = hooked_openat;
    h.fstat = hooked_fstat;
    h.pread = hooked_pread;
    h.fstatat = hooked_fstatat;
    h.flock = hooked_flock;
    h.fgetxattr = hooked_fgetxattr;
    h.fsync = no_sync;
    return test_context(&h);
}

static char d[300], path[310], previous[320];
static struct record whole, unsynced, torn, before;

/* What is there before, and how it is saved. */
static const struct scenario {
    const char *name;
    const struct record *current, *previous;
    uint32_t flags;
    uint64_t expected;
} SCENARIOS[] = {
    { "a plain save", &whole, &before, 0, 0 },
    { "a plain save over damage", &torn, &before, 0, 0 },
    { "a plain save where only PATH.prev is", NULL, &before, 0, 0 },
    { "KEEP_PREVIOUS", &whole, &before, KEEP, 0 },
    { "KEEP_PREVIOUS over an unsynced state", &unsynced, &before, KEEP, 0 },
    { "KEEP_PREVIOUS over damage", &torn, &before, KEEP, 0 },
    { "KEEP_PREVIOUS, NO_SYNC", &whole, &before, KEEP | STEADFAST_SAVE_NO_SYNC, 0 },
    { "IF_GENERATION", &whole, &before, SWAP, 5 },
    { "IF_GENERATION over damage", &torn, &before, SWAP, 4 },
    { "IF_GENERATION 0 where only PATH.prev is", NULL, &before, SWAP, 0 },
    { "IF_GENERATION 4 where only PATH.prev is", NULL, &before, SWAP, 4 },
    { "IF_GENERATION, KEEP_PREVIOUS", &whole, &before, SWAP | KEEP, 5 },
};
enum { SCENARIO_COUNT = sizeof SCENARIOS / sizeof SCENARIOS[0] };

static void set(const struct scenario *s)
{
    unlink(path), unlink(previous);
    if (s->current != NULL)
        put_record(path, s->current);
    if (s->previous != NULL)
        put_record(previous, s->previous);
    fault.made = 0;
}

static int unchanged(const struct scenario *s)
{
    return (s->current == NULL ? !exists(path) : is_record(path, s->current))
           && (s->previous == NULL ? !exists(previous) : is_record(previous, s->previous)) && *leftovers(d, "s s.prev") == '\0';
}

static int run(const steadfast_context *c, const struct scenario *s)
{
    steadfast_save_options o = { .size = sizeof o, .flags = s->flags, .expected_generation = s->expected };
    report.size = sizeof report;
    return steadfast_state_save(c, path, "new", 3, &o, &report);
}

/* Every look at this file fails with every such errno, once and for ever, in every scenario that makes it. Whose a new file is cannot be known
 * when that look fails for ever: then it stays. */
static void look(const steadfast_context *c, int call, const char *name)
{
    static const int ERRORS[] = { EMFILE, EACCES, EIO, ENOLCK };
    int made = 0, wrong = 0;
    for (int i = 0; i < SCENARIO_COUNT; i++)
        for (int e = 0; e < 4 * 2; e++) {
            const struct scenario *s = &SCENARIOS[i];
            int stays = call == FSTATAT && e % 2 == 1 && strcmp(name, ".s.0.tmp") == 0;
            if (stays || (NO_FLOCK && (s->flags & SWAP) != 0) || (call == FLOCK && ERRORS[e / 2] == ENOLCK))
                continue;
            fault.call = call, fault.name = name, fault.error = ERRORS[e / 2], fault.for_ever = e % 2;
            set(s);
            int status = run(c, s);
            if (fault.made == 0)
                continue;
            made++;
            if (status == -fault.error && report.on_disk == STEADFAST_ON_DISK_OLD && unchanged(s))
                continue;
            wrong++;
            diag("%s: %s of %s is %s: %s, %s%s", s->name, CALL_NAMES[call], name, steadfast_status_name(-fault.error),
                 steadfast_status_name(status), unchanged(s) ? "nothing changed" : "something changed", leftovers(d, "s s.prev"));
        }
    ok(made > 0 && wrong == 0, "%s of %s fails: in %d saves an error of the save, and nothing changes", CALL_NAMES[call], name, made);
}

/* A state is not told to be missing because nobody could look. */
static void loads(const steadfast_context *c)
{
    static const int ERRORS[] = { EMFILE, EACCES, EIO, ENOLCK };
    int wrong = 0;
    for (int e = 0; e < 4; e++)
        for (uint32_t recover = 0; recover < 2; recover++) {
            steadfast_load_options o = { .size = sizeof o, .flags = recover ? STEADFAST_LOAD_RECOVER : 0 };
            steadfast_state state = { .size = sizeof state };
            fault.call = recover ? OPEN : FSTATAT, fault.name = "s.prev", fault.error = ERRORS[e], fault.for_ever = 1;
            set(&SCENARIOS[2]);
            wrong += steadfast_state_load(c, path, &o, &state, NULL) != -ERRORS[e] || fault.made == 0;
        }
    is_int(wrong, 0, "no state, and a look at PATH.prev fails: a load answers that error, not that there is none");
}

/* These say that there is no flock here. */
static const int NO_FLOCKS[] = { ENOLCK, EPERM, ENOSYS, EOPNOTSUPP, EINVAL };
enum { NO_FLOCK_COUNT = 5 };

static void no_flock(const steadfast_context *c)
{
    fault.call = FLOCK, fault.for_ever = 1;
    for (int i = 0; i < NO_FLOCK_COUNT; i++) {
        const char *error = steadfast_status_name(-NO_FLOCKS[i]);
        fault.error = NO_FLOCKS[i], fault.name = ".s.0.tmp";
        set(&SCENARIOS[3]);
        is_int(run(c, &SCENARIOS[3]), SAVED, "flock of the new file is %s: saved", error);
        ok(fault.made > 0 && holds(path, "new") && is_record(previous, &whole) && *leftovers(d, "s s.prev") == '\0',
           "the state, the previous one, and nothing else");
        fault.name = "s";
        set(&SCENARIOS[7]);
        ok(run(c, &SCENARIOS[7]) == STEADFAST_E_UNSUPPORTED && report.os_error == NO_FLOCKS[i] && unchanged(&SCENARIOS[7]),
           "flock of the state is %s: IF_GENERATION is E_UNSUPPORTED, and nothing changes", error);
    }
}

/* A flock that there is not, for one call only. The file without it must not be taken for an orphan's, least of all by its own saver. */
static void no_flock_once(uint32_t absent, const char *how)
{
    steadfast_context *c = context_with(absent);
    int wrong = 0, made = 0;
    fault.call = FLOCK, fault.for_ever = 0;
    for (int i = 0; i < NO_FLOCK_COUNT; i++)
        for (int number = 0; number < 2; number++) {
            fault.error = NO_FLOCKS[i], fault.name = number == 0 ? ".s.0.tmp" : ".s.1.tmp";
            set(&SCENARIOS[3]);
            int status = run(c, &SCENARIOS[3]);
            made += fault.made > 0;
            if (status == SAVED && holds(path, "new") && is_record(previous, &whole))
                continue;
            wrong++;
            diag("flock of %s is once %s: %s, the state is %s", fault.name, steadfast_status_name(-fault.error),
                 steadfast_status_name(status), holds(path, "previous") ? "the previous one" : "not the new one");
        }
    ok(made > 0 && wrong == 0, "%s: there is no flock for one call: the save is done", how);
    steadfast_context_free(c);
}

/* No such attribute, or none here, is no error. */
static void no_attribute(const steadfast_context *c)
{
    static const int NONE[] = { ENODATA, EOPNOTSUPP, ENOSYS, EINVAL };
    fault.call = FGETXATTR, fault.name = "s", fault.for_ever = 1;
    for (int i = 0; i < 4; i++) {
        fault.error = NONE[i];
        set(&SCENARIOS[0]);
        is_int(run(c, &SCENARIOS[0]), SAVED, "fgetxattr of the ACL is %s: saved", steadfast_status_name(-NONE[i]));
    }
}

int main(void)
{
    dir = make_temp_dir("absence");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    whole = make_record(1, 5, " head=00000000", "current");
    unsynced = make_record(1, 5, " head=00000000 unsynced=1", "current");
    before = make_record(1, 4, " head=00000000", "previous");
    torn = whole;
    torn.bytes[110] ^= 1;
    steadfast_context *c = context_with(0);
    int fds = count_fds();
    static const char *const FILES[] = { "s", "s.prev" };
    for (int file = 0; file < 2; file++)
        for (int call = OPEN; call <= PREAD; call++)
            look(c, call, FILES[file]);
    look(c, FSTATAT, ".s.0.tmp");
    if (NO_FLOCK) {
        skip("flock is absent", "fstatat of the state before it is swapped; flock");
    } else {
        look(c, FSTATAT, "s");
        look(c, FLOCK, "s");
        look(c, FLOCK, ".s.0.tmp");
        no_flock(c);
        no_flock_once(0, "hard links");
        no_flock_once(STEADFAST_ABSENT_LINK, "no hard links");
    }
    look(c, FSTATAT, "s.prev");
    if (NO_LINK)
        skip("hard links are absent", "fstatat of the second name of the state");
    else
        look(c, FSTATAT, ".s.0.prev.tmp");
    if ((test_absent() & STEADFAST_ABSENT_XATTR) != 0) {
        skip("extended attributes are absent", "fgetxattr");
    } else {
        look(c, FGETXATTR, "s");
        look(c, FGETXATTR, ".s.0.tmp");
        no_attribute(c);
    }
    loads(c);
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(c);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
