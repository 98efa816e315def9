/*
 * States that were not synced, because NO_SYNC asked for that or because the sync failed: how they are marked, that they never
 * take the place of a durable previous one, and what on_disk says.
 */
#include "tap.h"
#include "state_test.h"
#include "record.h"

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define NO_SYNC STEADFAST_SAVE_NO_SYNC
#define HEAD " head=00000000"
#define UNSYNCED_AT (RECORD_KEYS + 14)

enum { NONE, DURABLE, UNSYNCED, BY_MODE, BY_HEADER, TORN, KINDS };
static const char *const NAMES[KINDS] = { "nothing", "durable", "unsynced", "unsynced by its mode", "unsynced by its header", "damaged" };
/* Of each kind, the one for PATH and the one for PATH.prev. */
static struct record kinds[2][KINDS];
static char path[300], previous[310];

static void make_kinds(void)
{
    for (int i = 0; i < 2; i++) {
        const char *text = i == 0 ? "current" : "previous";
        for (int kind = DURABLE; kind < KINDS; kind++)
            kinds[i][kind] = make_record(1, 5, kind == UNSYNCED || kind == BY_HEADER ? HEAD " unsynced=1" : HEAD, text);
        kinds[i][TORN].bytes[RECORD_HEADER + 1] ^= 1;
    }
}

static void put_one(int which, int kind)
{
    const char *name = which == 0 ? path : previous;
    unlink(name);
    if (kind != NONE)
        put_record(name, &kinds[which][kind]);
    if ((kind == UNSYNCED || kind == BY_MODE) && chmod(name, 01600) != 0)
        bail_out("chmod: %s", strerror(errno));
}

static void put(int current, int before)
{
    put_one(0, current);
    put_one(1, before);
}

/* Which of the two is at PATH.prev: 0 what was at PATH, 1 what was there before, 2 nothing, 3 something else. */
static int at_previous(int current, int before)
{
    if (!exists(previous))
        return 2;
    if (current != NONE && is_record(previous, &kinds[0][current]))
        return 0;
    return before != NONE && is_record(previous, &kinds[1][before]) ? 1 : 3;
}

/* Both marks of a state that was not synced. */
static int marked_in_mode(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && (st.st_mode & S_ISVTX) != 0;
}

static int marked_in_header(const char *name)
{
    size_t len;
    char *bytes = read_file(name, &len), checked[RECORD_HEADER];
    int marked = bytes != NULL && len >= RECORD_HEADER && memcmp(bytes + UNSYNCED_AT, " unsynced=1 ", 12) == 0;
    if (marked) {
        memcpy(checked, bytes, sizeof checked);
        record_head(checked, RECORD_KEYS + 6);
        marked = memcmp(checked, bytes, sizeof checked) == 0;
    }
    free(bytes);
    return marked;
}

/* How the sync of files ends: 0 well, else this errno for ever. Which inodes were synced. */
static int sync_error;
static ino_t synced[64];
static int syncs, directory_syncs;

static int32_t fsync_as_told(void *user, int32_t fd)
{
    struct stat st = { 0 };
    (void)user;
    fstat(fd, &st);
    if (S_ISDIR(st.st_mode)) {
        directory_syncs++;
        return 0;
    }
    if (sync_error == 0 && syncs < 64)
        synced[syncs++] = st.st_ino;
    return -sync_error;
}

static int was_synced(const char *name)
{
    struct stat st;
    if (stat(name, &st) != 0)
        return 0;
    for (int i = 0; i < syncs; i++)
        if (synced[i] == st.st_ino)
            return 1;
    return 0;
}

static steadfast_context *context_with(uint32_t absent)
{
    steadfast_hooks h = test_hooks();
    h.absent |= absent;
    h.fsync = fsync_as_told;
    return test_context(&h);
}

static int run(const steadfast_context *c, uint32_t flags, int error)
{
    sync_error = error;
    syncs = directory_syncs = 0;
    return save_with(c, path, "new", flags);
}

static void marks(const steadfast_context *c)
{
    struct stat st;
    put(DURABLE, NONE);
    chmod(path, 0640);
    is_int(run(c, NO_SYNC, 0), STEADFAST_NOT_DURABLE, "NO_SYNC");
    ok(syncs == 0 && directory_syncs == 0, "syncs nothing");
    ok(marked_in_mode(path) && marked_in_header(path) && holds(path, "new"), "marks the state in its mode and its header, and it loads");
    ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "the permissions are those of the file it replaces");
    is_int(run(c, 0, 0), SAVED, "a durable save over it");
    ok(!marked_in_mode(path) && !marked_in_header(path) && stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "has no mark");
    for (int i = 0; i < 2; i++) {
        int error = i == 0 ? EIO : EINVAL;
        is_int(run(c, 0, error), STEADFAST_NOT_DURABLE, "a sync that ends with %s", steadfast_status_name(-error));
        ok(marked_in_mode(path) && marked_in_header(path) && holds(path, "new") && directory_syncs == 0,
           "the same marks; the directory is not synced");
        ok(report.step == STEADFAST_STEP_SYNC_FILE && report.os_error == error, "the report names the sync and its errno");
    }
}

/* Each mark alone is enough: some file systems drop the bit, chmod clears it; older versions had no key. */
static void each_mark(const steadfast_context *c)
{
    static const int MARKED[] = { UNSYNCED, BY_MODE, BY_HEADER };
    for (int i = 0; i < 3; i++) {
        put(MARKED[i], DURABLE);
        is_int(run(c, KEEP, 0), SAVED, "a durable KEEP_PREVIOUS save over a state that is %s", NAMES[MARKED[i]]);
        ok(at_previous(MARKED[i], DURABLE) == 1 && report.on_disk == (NO_DIR_FSYNC ? STEADFAST_ON_DISK_EITHER : STEADFAST_ON_DISK_NEW),
           "leaves the durable previous one in its place");
    }
    put(DURABLE, DURABLE);
    run(c, KEEP, 0);
    is_int(at_previous(DURABLE, DURABLE), 0, "a state without a mark takes the place of the previous one");
}

enum { OLD = STEADFAST_ON_DISK_OLD, EITHER = STEADFAST_ON_DISK_EITHER, UNKNOWN = STEADFAST_ON_DISK_UNKNOWN };

/* What on_disk says, and which state is then at PATH.prev: 0 what was at PATH, 1 what was there before, 2 none. */
static const struct {
    uint32_t flags;
    int error, current, previous, on_disk, kept;
} ROWS[] = {
    /* Without KEEP_PREVIOUS nothing is kept for a save that is not to be synced. */
    { NO_SYNC, 0, NONE, NONE, UNKNOWN, 2 },
    { NO_SYNC, 0, DURABLE, NONE, UNKNOWN, 2 },
    { NO_SYNC, 0, DURABLE, DURABLE, UNKNOWN, 1 },
    { NO_SYNC, 0, UNSYNCED, DURABLE, UNKNOWN, 1 },
    { NO_SYNC | KEEP, 0, NONE, NONE, UNKNOWN, 2 },
    { NO_SYNC | KEEP, 0, DURABLE, NONE, EITHER, 0 },
    { NO_SYNC | KEEP, 0, DURABLE, DURABLE, EITHER, 0 },
    { NO_SYNC | KEEP, 0, DURABLE, UNSYNCED, EITHER, 0 },
    { NO_SYNC | KEEP, 0, DURABLE, TORN, EITHER, 0 },
    { NO_SYNC | KEEP, 0, UNSYNCED, NONE, UNKNOWN, 0 },
    { NO_SYNC | KEEP, 0, UNSYNCED, DURABLE, EITHER, 1 },
    { NO_SYNC | KEEP, 0, BY_MODE, DURABLE, EITHER, 1 },
    { NO_SYNC | KEEP, 0, BY_HEADER, DURABLE, EITHER, 1 },
    { NO_SYNC | KEEP, 0, UNSYNCED, UNSYNCED, UNKNOWN, 0 },
    { NO_SYNC | KEEP, 0, UNSYNCED, BY_HEADER, UNKNOWN, 0 },
    { NO_SYNC | KEEP, 0, UNSYNCED, TORN, UNKNOWN, 0 },
    { NO_SYNC | KEEP, 0, TORN, DURABLE, EITHER, 1 },
    { NO_SYNC | KEEP, 0, TORN, NONE, UNKNOWN, 0 },
    /* A sync that fails: the state of before is kept unasked, if it is one. */
    { 0, EIO, NONE, NONE, EITHER, 2 },
    { 0, EIO, DURABLE, NONE, EITHER, 0 },
    { 0, EIO, DURABLE, DURABLE, EITHER, 0 },
    { 0, EIO, UNSYNCED, NONE, UNKNOWN, 0 },
    { 0, EIO, UNSYNCED, DURABLE, EITHER, 1 },
    { 0, EIO, UNSYNCED, UNSYNCED, UNKNOWN, 0 },
    { 0, EIO, TORN, DURABLE, EITHER, 1 },
    { KEEP, EIO, DURABLE, DURABLE, EITHER, 0 },
    { KEEP, EIO, UNSYNCED, DURABLE, EITHER, 1 },
    { KEEP, EIO, UNSYNCED, NONE, UNKNOWN, 0 },
    /* One that is unsupported. */
    { 0, EINVAL, NONE, NONE, EITHER, 2 },
    { 0, EINVAL, DURABLE, DURABLE, EITHER, 0 },
    { 0, EINVAL, UNSYNCED, NONE, UNKNOWN, 0 },
    { 0, ENOSYS, UNSYNCED, DURABLE, EITHER, 1 },
    { KEEP, EOPNOTSUPP, DURABLE, NONE, EITHER, 0 },
};

static void on_disk(const steadfast_context *c)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const char *how = (ROWS[i].flags & NO_SYNC) != 0 ? "NO_SYNC" : ROWS[i].error == EIO ? "a sync that fails" : "an unsupported sync";
        put(ROWS[i].current, ROWS[i].previous);
        int status = run(c, ROWS[i].flags, ROWS[i].error), kept = at_previous(ROWS[i].current, ROWS[i].previous);
        if (!ok(status == STEADFAST_NOT_DURABLE && report.on_disk == ROWS[i].on_disk && kept == ROWS[i].kept && holds(path, "new"),
                "%s%s over %s, previous %s: on_disk %s", how, (ROWS[i].flags & KEEP) != 0 ? ", KEEP_PREVIOUS," : "", NAMES[ROWS[i].current],
                NAMES[ROWS[i].previous], ROWS[i].on_disk == EITHER ? "EITHER" : "UNKNOWN"))
            diag("%s, on_disk %d, at PATH.prev %d instead of %d", steadfast_status_name(status), report.on_disk, kept, ROWS[i].kept);
    }
}

static void strict(const steadfast_context *c)
{
    static const int ERRORS[] = { EIO, EINVAL };
    for (int i = 0; i < 2; i++) {
        put(DURABLE, DURABLE);
        is_int(run(c, STEADFAST_SAVE_STRICT | KEEP, ERRORS[i]), STEADFAST_E_NOT_SAVED_DURABLY, "STRICT and a sync that ends with %s",
               steadfast_status_name(-ERRORS[i]));
        ok(report.on_disk == OLD && is_record(path, &kinds[0][DURABLE]) && at_previous(NONE, DURABLE) == 1,
           "the state and the previous one are what they were");
    }
}

/* Ways of saving mixed, one after the other: what each was told stays true, as far as can be seen here. */
static void mixed(const steadfast_context *c)
{
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "batch", .len = 5 };
    steadfast_save_options o = { .size = sizeof o, .flags = NO_SYNC | KEEP };
    put(DURABLE, NONE);
    run(c, NO_SYNC | KEEP, 0);
    save_with(c, path, "second", NO_SYNC | KEEP);
    steadfast_state_save_batch(c, &entry, 1, &o, NULL);
    ok(at_previous(DURABLE, NONE) == 0 && entry.on_disk == EITHER && holds(path, "batch"),
       "three NO_SYNC saves, one of them a batch: the durable state of before is still at PATH.prev");
    sync_error = EIO;
    save_with(c, path, "fourth", 0);
    ok(at_previous(DURABLE, NONE) == 0 && report.on_disk == EITHER, "nor does one whose sync failed take its place");
    sync_error = 0;
    save_with(c, path, "durable", KEEP);
    ok(at_previous(DURABLE, NONE) == 0, "nor that one, when a durable save replaces it");
    save_with(c, path, "last", KEEP);
    ok(holds(previous, "durable"), "a durable one does");
}

/* Where there are no hard links the state is kept by a copy. One that was not synced is no durable state. */
static void copies(void)
{
    steadfast_context *c = context_with(STEADFAST_ABSENT_LINK);
    for (int before = NONE; before <= DURABLE; before++) {
        put(DURABLE, before);
        is_int(run(c, NO_SYNC | KEEP, 0), STEADFAST_NOT_DURABLE, "NO_SYNC, KEEP_PREVIOUS, no hard links, previous %s", NAMES[before]);
        int unchanged = at_previous(NONE, before) == (before == NONE ? 2 : 1), copied = at_previous(DURABLE, before) == 0;
        if (was_synced(previous))
            ok(report.on_disk == EITHER && copied, "a synced copy at PATH.prev, EITHER");
        else
            ok(report.on_disk == UNKNOWN && (unchanged || (before == NONE && copied && marked_in_mode(previous))),
               "PATH.prev is as it was, or has a copy that is marked where nothing was; UNKNOWN");
        put(DURABLE, before);
        is_int(run(c, 0, EINVAL), STEADFAST_NOT_DURABLE, "an unsupported sync, no hard links, previous %s", NAMES[before]);
        ok(report.on_disk == UNKNOWN, "neither the new state nor a copy is synced: UNKNOWN");
        put(DURABLE, before);
        is_int(run(c, 0, EIO), STEADFAST_NOT_DURABLE, "a sync that fails, no hard links, previous %s", NAMES[before]);
        ok(report.on_disk == UNKNOWN && at_previous(NONE, before) == (before == NONE ? 2 : 1),
           "the copy cannot be synced either: PATH.prev is as it was, UNKNOWN");
        put(DURABLE, before);
        ok(run(c, KEEP, EIO) < 0 && is_record(path, &kinds[0][DURABLE]) && at_previous(NONE, before) == (before == NONE ? 2 : 1),
           "with KEEP_PREVIOUS it is an error, and nothing changes");
    }
    /* What a save that failed has left. */
    put(DURABLE, NONE);
    put_record(previous, &kinds[0][DURABLE]);
    ok(run(c, NO_SYNC | KEEP, 0) == STEADFAST_NOT_DURABLE && report.on_disk == EITHER && at_previous(DURABLE, NONE) == 0,
       "NO_SYNC, KEEP_PREVIOUS, no hard links, PATH.prev is a durable copy already: EITHER");
    steadfast_context_free(c);
}

/* Nor does such a copy become one where the mark in the mode is dropped (vfat has neither hard links nor that bit). */
static int32_t chmod_drops(void *user, int32_t fd, uint32_t mode)
{
    (void)user;
    return REAL->fchmod(NULL, fd, mode & 0777);
}

static int32_t open_drops(void *user, int32_t dirfd, const char *name, int32_t flags, uint32_t mode)
{
    (void)user;
    return REAL->openat(NULL, dirfd, name, flags, mode & 0777);
}

static void unmarked_copies(void)
{
    steadfast_hooks h = test_hooks();
    h.absent |= STEADFAST_ABSENT_LINK;
    h.fsync = fsync_as_told;
    h.fchmod = chmod_drops;
    h.openat = open_drops;
    steadfast_context *c = test_context(&h);
    for (int i = 0; i < 2; i++) {
        uint32_t flags = i == 0 ? NO_SYNC | KEEP : KEEP;
        int error = i == 0 ? 0 : EINVAL;
        put(DURABLE, NONE);
        run(c, flags, error);
        ok(!marked_in_mode(path) && marked_in_header(path), "the bit is dropped: the header alone marks the state");
        run(c, flags, error);
        ok(report.on_disk == UNKNOWN, "%s, no hard links, no sticky bit: a copy without a mark is no durable state, UNKNOWN",
           i == 0 ? "NO_SYNC" : "an unsupported sync");
    }
    steadfast_context_free(c);
}

int main(void)
{
    steadfast_context *c;
    dir = make_temp_dir("unsynced");
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s/s.prev", dir);
    make_kinds();
    c = context_with(0);
    marks(c);
    each_mark(c);
    if (NO_LINK)
        skip("without hard links (absent) copies are kept, which are another test", "what on_disk says");
    else
        on_disk(c);
    strict(c);
    if (NO_LINK)
        skip("without hard links (absent) copies are kept, which are another test", "ways of saving mixed");
    else
        mixed(c);
    copies();
    unmarked_copies();
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
    steadfast_context_free(c);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
