/* State files where the world lies: closed standard streams, a rename answered wrongly, a flock without locks, groups. */
#include "tap.h"
#include "state_test.h"

#include <grp.h>

enum { NO_PROOF = 97 };

static int lowest = 1000;

static int64_t note_write(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user;
    if (fd < lowest)
        lowest = fd;
    return REAL->write(NULL, fd, buf, len);
}

/* 0, or the number of the check that failed. */
static int save_without_streams(const char *path)
{
    steadfast_hooks hooks = test_hooks();
    hooks.write = note_write;
    steadfast_context *c = test_context(&hooks);
    close(0), close(1), close(2);
    int status = save_with(c, path, "x", 0);
    int leaked = fcntl(0, F_GETFD) >= 0 || fcntl(1, F_GETFD) >= 0 || fcntl(2, F_GETFD) >= 0;
    steadfast_context_free(c);
    return status != SAVED ? 1 : lowest == 1000 ? 2 : lowest < 3 ? 3 : leaked ? 4 : 0;
}

static void closed_streams(const char *d)
{
    pid_t child = fork_child();
    if (child == 0)
        _exit(save_without_streams(in(d, "s")));
    is_int(wait_for(child), 0, "descriptors 0 to 2 closed: what is written has none of their numbers, nothing leaks");
}

/* The rename happens, another writer takes the free temporary name, and only then comes an error. */
static int32_t rename_then_race(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    int32_t result = REAL->renameat(NULL, od, op, nd, np, flags);
    if (result == 0) {
        int fd = openat(od, ".s.0.tmp", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        *(int *)user = fd >= 0 && write(fd, "other", 5) == 5;
        close(fd);
    }
    return -EIO;
}

static void lying_rename(const char *d)
{
    int raced = 0;
    steadfast_hooks hooks = test_hooks();
    hooks.renameat = rename_then_race;
    hooks.user = &raced;
    steadfast_context *c = test_context(&hooks);
    is_int(save_with(c, in(d, "s"), "mine", 0), SAVED, "a rename that happened, though answered with EIO: saved");
    char *other = read_file(in(d, ".s.0.tmp"), NULL);
    ok(raced && other != NULL && strcmp(other, "other") == 0 && holds(in(d, "s"), "mine"),
       "another writer's temporary file of that name stays");
    free(other);
    steadfast_context_free(c);
}

static void newer_is_kept(const char *d)
{
    char record[262], *kept;
    size_t len = 0;
    /* An intact record of a format to come; its digest by sha256sum. */
    snprintf(record, sizeof record, "9a8539730a8d8ed30f27fa0b9a8b0b8a8538d777be42510de96d8744a6ae56d0  -\n%-187s\nlater",
             "steadfast 2 len=00000000000000000005 gen=00000000000000000007 time=00000000000000000009 schema=0000000000");
    write_file(in(d, "s"), record, 261);
    steadfast_state state = { .size = sizeof state };
    is_int(steadfast_state_load(context, in(d, "s"), NULL, &state, NULL), STEADFAST_E_NEWER, "a record of a later format: E_NEWER");
    is_int(save(in(d, "s"), "now", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "KEEP_PREVIOUS over it saves");
    kept = read_file(in(d, "s.prev"), &len);
    ok(kept != NULL && len == 261 && memcmp(kept, record, 261) == 0, "and keeps it as the previous one");
    free(kept);
}

static int32_t no_locks(void *user, int32_t fd, int32_t operation)
{
    (void)user, (void)fd, (void)operation;
    return -ENOLCK;
}

static void flock_without_locks(const char *d)
{
    steadfast_hooks hooks = test_hooks();
    hooks.flock = no_locks;
    steadfast_context *c = test_context(&hooks);
    is_int(save_with(c, in(d, "s"), "x", 0), SAVED, "flock answers ENOLCK: a plain save saves");
    ok(holds(in(d, "s"), "x") && *leftovers(d, "s") == '\0', "and leaves nothing over");
    steadfast_context_free(c);
}

/* Runs as user 65534 with the supplementary group 4242. */
static int as_member(int (*work)(const char *), const char *d)
{
    gid_t groups[] = { 4242 };
    pid_t child = fork_child();
    if (child == 0) {
        if (setgroups(1, groups) != 0 || setgid(65534) != 0 || setuid(65534) != 0 || access(d, X_OK) != 0)
            _exit(NO_PROOF);
        _exit(work(d));
    }
    return wait_for(child);
}

static int save_for_group(const char *d)
{
    return save(in(d, "s"), "x", 0) == SAVED ? 0 : 1;
}

static int load_missing(const char *d)
{
    steadfast_state state = { .size = sizeof state };
    return steadfast_state_load(context, in(d, "s"), NULL, &state, NULL) == -ENOENT ? 0 : 1;
}

static void other_users(const char *d)
{
    struct stat st = { 0 };
    if (geteuid() != 0) {
        skip("needs root", "the group is kept; a missing state in a directory that may only be searched");
        return;
    }
    chmod(dir, 0711), chmod(d, 0711);
    int missing = as_member(load_missing, d);
    chmod(d, 0777);
    write_text(in(d, "s"), "x");
    if (chown(in(d, "s"), 0, 4242) != 0 || chmod(in(d, "s"), 0660) != 0)
        bail_out("chown: %s", strerror(errno));
    int saved = as_member(save_for_group, d);
    stat(in(d, "s"), &st);
    if (missing == NO_PROOF || saved == NO_PROOF) {
        skip("another user cannot reach the directory", "the group is kept; a missing state in a directory that may only be searched");
        return;
    }
    is_int(missing, 0, "a missing state in a directory that may only be searched: -ENOENT");
    ok(saved == 0 && st.st_uid == 65534 && st.st_gid == 4242 && (st.st_mode & 07777) == 0660,
       "where only the group may be given, it is kept");
}

int main(void)
{
    char d[300];
    dir = make_temp_dir("hostile-state");
    context = test_context(NULL);
    int fds = count_fds();
#define RUN(test) (snprintf(d, sizeof d, "%s", fresh(#test)), test(d))
    RUN(closed_streams);
    RUN(lying_rename);
    RUN(newer_is_kept);
    RUN(flock_without_locks);
    RUN(other_users);
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
