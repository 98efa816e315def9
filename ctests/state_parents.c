/*
 * CREATE_PARENTS: the name of a directory is durable before a state in it is acknowledged, whoever made the directory a moment ago. Counted in the
 * fsync hook, by inode.
 */
#include "tap.h"
#include "state_test.h"
#include "context_test.h"

#define PARENTS STEADFAST_SAVE_CREATE_PARENTS
#define NO_SYNC STEADFAST_SAVE_NO_SYNC
#define STRICT STEADFAST_SAVE_STRICT

static char d[300];
static ino_t synced[400];
static int syncs;
static ino_t failing;          /* the sync of this directory fails */
static int fails;              /* so many times; 0: always */
static int stale;              /* so many reads of a state after that find that it is gone, as over NFS */
static const char *raced;      /* another process makes this one, just before we do */

static int32_t hooked_fsync(void *user, int32_t fd)
{
    struct stat st = { 0 };
    (void)user;
    fstat(fd, &st);
    if (st.st_ino == failing) {
        if (fails == 1)
            failing = 0;
        fails--;
        return -EIO;
    }
    if (syncs < 400)
        synced[syncs++] = st.st_ino;
    return 0;
}

static int64_t hooked_pread(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    if (stale > 0 && failing == 0) {
        stale--;
        return -ESTALE;
    }
    return REAL->pread(NULL, fd, buf, len, offset);
}

static int32_t hooked_mkdirat(void *user, int32_t dirfd, const char *name, uint32_t mode)
{
    (void)user;
    if (raced != NULL && strcmp(name, raced) == 0)
        mkdirat(dirfd, name, 0700);
    return REAL->mkdirat(NULL, dirfd, name, mode);
}

static steadfast_hooks hooks(void)
{
    steadfast_hooks h = test_hooks();
    h.fsync = hooked_fsync;
    h.mkdirat = hooked_mkdirat;
    h.pread = hooked_pread;
    return h;
}

static ino_t inode_of(const char *path)
{
    struct stat st = { 0 };
    stat(path, &st);
    return st.st_ino;
}

/* How often this directory was synced since `begin`. */
static int times(const char *directory)
{
    ino_t inode = inode_of(directory);
    int count = 0;
    for (int i = 0; i < syncs; i++)
        count += synced[i] == inode;
    return count;
}

static steadfast_context *c;

static const char *begin(const char *name)
{
    snprintf(d, sizeof d, "%s", fresh(name));
    syncs = 0;
    failing = 0, fails = 0, stale = 0;
    raced = NULL;
    return d;
}

static int save_in(const char *name, uint32_t flags)
{
    syncs = 0;
    return save_with(c, in(d, name), "x", flags);
}

static void made_by_us(void)
{
    begin("ours");
    is_int(save_in("a/b/c/s", PARENTS), SAVED, "three missing directories are made");
    ok(times(d) == 1 && times(in(d, "a")) == 1 && times(in(d, "a/b")) == 1 && times(in(d, "a/b/c")) == 1,
       "the parent of each is synced once, and the last one for the state");
    is_int(save_in("a/b/c/s", PARENTS), SAVED, "the next save");
    ok(times(in(d, "a/b")) == 0 && times(in(d, "a/b/c")) == 1, "syncs its own directory only");
    failing = inode_of(in(d, "a"));
    is_int(save_in("a/new/s", PARENTS), STEADFAST_NOT_DURABLE, "a parent cannot be synced: NOT_DURABLE");
    ok(report.step == STEADFAST_STEP_MAKE_PARENT && report.os_error == EIO && report.on_disk == STEADFAST_ON_DISK_EITHER,
       "the report says which, and EITHER");
    ok(save_in("a/strict/s", PARENTS | STRICT) == STEADFAST_E_NOT_SAVED_DURABLY && !exists(in(d, "a/strict/s")),
       "with STRICT nothing is saved");
}

static void made_by_another(void)
{
    begin("another");
    mkdir(in(d, "a"), 0700);
    is_int(save_in("a/s", PARENTS), SAVED, "a directory that another process made a moment ago: the first state in it");
    ok(times(d) == 1 && times(in(d, "a")) == 1, "its parent is synced once, before the state is acknowledged");
    save_in("a/s", PARENTS);
    is_int(times(d), 0, "not again when there is a durable state");
    save_in("a/other", 0);
    is_int(times(d), 0, "nor without CREATE_PARENTS");
    mkdir(in(d, "b"), 0700);
    failing = inode_of(d);
    ok(save_in("b/s", PARENTS) == STEADFAST_NOT_DURABLE && report.step == STEADFAST_STEP_MAKE_PARENT,
       "its parent cannot be synced: NOT_DURABLE, step MAKE_PARENT");
    ok(save_in("b/strict", PARENTS | STRICT) == STEADFAST_E_NOT_SAVED_DURABLY && !exists(in(d, "b/strict")),
       "with STRICT nothing is saved");
}

static void relatives(void)
{
    begin("levels");
    mkdir(in(d, "a"), 0700);
    is_int(save_in("a/b/s", PARENTS), SAVED, "the upper one was made by another process, the lower one by us");
    ok(times(d) == 1 && times(in(d, "a")) == 1, "the parents of both are synced");
    begin("raced");
    raced = "a";
    is_int(save_in("a/s", PARENTS), SAVED, "another process makes it between our look and our mkdir");
    is_int(times(d), 1, "its parent is synced");
    begin("raced-below");
    raced = "b";
    is_int(save_in("a/b/s", PARENTS), SAVED, "we make the upper one, another process the lower one");
    ok(times(d) == 1 && times(in(d, "a")) == 1, "the parents of both are synced");
    begin("unsynced");
    ok(save_in("a/s", PARENTS | NO_SYNC) == STEADFAST_NOT_DURABLE && syncs == 0, "a save without a sync makes it, and syncs nothing");
    is_int(save_in("a/s", PARENTS), SAVED, "a save over that state");
    is_int(times(d), 1, "syncs the parent");
    begin("unsynced-beside");
    save_in("a/other", PARENTS | NO_SYNC);
    save_in("a/s", PARENTS);
    is_int(times(d), 1, "so does one beside it");
}

static void batches(void)
{
    enum { STATES = 100 };
    static char paths[STATES][330];
    static steadfast_save_entry entries[STATES];
    steadfast_save_options o = { .size = sizeof o, .flags = PARENTS };
    for (int made = 0; made < 2; made++) {
        begin(made ? "batch-there" : "batch");
        if (made)
            mkdir(in(d, "a"), 0700);
        for (int i = 0; i < STATES; i++) {
            snprintf(paths[i], sizeof paths[i], "%s/a/s%d", d, i);
            entries[i] = (steadfast_save_entry){ .size = sizeof entries[i], .path = paths[i], .data = "x", .len = 1 };
        }
        is_int(steadfast_state_save_batch(c, entries, STATES, &o, &report), SAVED, "a batch of 100 first states in a directory that %s",
               made ? "another process made" : "is missing");
        int all = times(in(d, "a"));
        ok(times(d) == 1 && all >= 1 && all <= 3, "%s: its parent is synced once, not for each of them", made ? "there" : "missing");
    }
}

/* Who may not read the directories above their own cannot sync them, and need not. */
static int save_as_user(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0 || access(in(d, "locked/home"), W_OK) != 0)
        return 97;
    if (save_in("locked/home/new/s", PARENTS | STRICT) != SAVED)
        return 1;
    return save_in("locked/home/s", PARENTS | STRICT) == SAVED ? 0 : 2;
}

static void unreadable(void)
{
    begin("unreadable");
    if (geteuid() != 0) {
        skip("needs root", "a home in a directory that may not be read");
        return;
    }
    mkdir(in(d, "locked"), 0700), mkdir(in(d, "locked/home"), 0700);
    chmod(dir, 0711), chmod(d, 0711), chmod(in(d, "locked"), 0711);
    if (chown(in(d, "locked/home"), 65534, 65534) != 0)
        bail_out("chown: %s", strerror(errno));
    pid_t child = fork_child();
    if (child == 0)
        _exit(save_as_user());
    int status = wait_for(child);
    if (status == 97)
        skip("another user cannot reach the directory", "a home in a directory that may not be read");
    else
        is_int(status, 0, "in a home below a directory that may not be read, a first state and a new directory are durable");
}

static void beneath(void)
{
    steadfast_hooks h = hooks();
    int status, fd = open_directory(begin("beneath"));
    steadfast_context *below = context_at(fd, STEADFAST_CONTEXT_BENEATH, &h, &status);
    if (below == NULL) {
        skip("openat2 is absent", "the parent of the directory that no path may leave");
    } else {
        is_int(save_with(below, "s", "x", PARENTS), SAVED, "the first state in the directory that no path may leave");
        is_int(times(dir), 0, "does not sync its parent");
        mkdir(in(d, "a"), 0700);
        syncs = 0;
        is_int(save_with(below, "a/s", "x", PARENTS), SAVED, "one in a directory below");
        is_int(times(d), 1, "syncs the parent of that");
        steadfast_context_free(below);
    }
    close(fd);
}

/* A save that begins again does not forget that the name of a directory could not be synced: the next sync of it says nothing. */
static void begins_again(void)
{
    begin("gone");
    mkdir(in(d, "a"), 0700);
    save_in("a/s", NO_SYNC);
    failing = inode_of(d), fails = 1, stale = 1;
    is_int(save_in("a/s", PARENTS | STEADFAST_SAVE_KEEP_PREVIOUS), STEADFAST_NOT_DURABLE,
           "a parent cannot be synced, and the state is gone for a moment: NOT_DURABLE");
    ok(failing == 0 && stale == 0 && report.step == STEADFAST_STEP_MAKE_PARENT && report.os_error == EIO, "and the step is MAKE_PARENT");
    char path[330];
    steadfast_save_options o = { .size = sizeof o, .flags = PARENTS };
    steadfast_save_entry entries[2] = { { .size = sizeof entries[0], .path = path, .data = "x", .len = 1 } };
    entries[1] = entries[0];
    begin("gone-batch");
    mkdir(in(d, "a"), 0700);
    snprintf(path, sizeof path, "%s/a/s", d);
    failing = inode_of(d), fails = 2;
    is_int(steadfast_state_save_batch(c, entries, 2, &o, NULL), STEADFAST_NOT_DURABLE,
           "a batch with one state twice, and the parent's syncs fail");
    ok(entries[0].status == STEADFAST_NOT_DURABLE && entries[1].status == STEADFAST_NOT_DURABLE, "neither is acknowledged");
    ok(entries[1].step == STEADFAST_STEP_MAKE_PARENT, "the second one's look before it waited for the first is not forgotten");
    begin("gone-alone");
    mkdir(in(d, "a"), 0700);
    snprintf(path, sizeof path, "%s/a/s", d);
    save_in("a/s", NO_SYNC);
    failing = inode_of(d), fails = 1, stale = 1;
    o.flags |= STEADFAST_SAVE_KEEP_PREVIOUS;
    is_int(steadfast_state_save_batch(c, entries, 1, &o, NULL), STEADFAST_NOT_DURABLE, "an entry that is saved alone");
    is_int(entries[0].step, STEADFAST_STEP_MAKE_PARENT, "does not forget it either");
}

int main(void)
{
    steadfast_hooks h = hooks();
    dir = make_temp_dir("parents");
    c = test_context(&h);
    int fds = count_fds();
    if (NO_DIR_FSYNC) {
        skip("directories cannot be synced here (absent)", "the parents of new directories");
    } else {
        made_by_us();
        made_by_another();
        relatives();
        batches();
        unreadable();
        beneath();
        begins_again();
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(c);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
