/*
 * State files among other processes and on disks that fail: orphans of killed writers, racing savers, links,
 * a sync that fails, a rename that happened but was answered with an error.
 */
#include "tap.h"
#include "faults.h"

#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>

static char *dir;
static steadfast_context *context;

#define NO_DIR_FSYNC ((test_absent() & STEADFAST_ABSENT_DIR_FSYNC) != 0)
#define NO_FLOCK ((test_absent() & STEADFAST_ABSENT_FLOCK) != 0)
#define NO_LINK ((test_absent() & STEADFAST_ABSENT_LINK) != 0)
#define SAVED (NO_DIR_FSYNC ? STEADFAST_NOT_DURABLE : STEADFAST_OK)

static steadfast_report report;

static int save_with(const steadfast_context *c, const char *path, const char *text, uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    report.size = sizeof report;
    return steadfast_state_save(c, path, text, strlen(text), &o, &report);
}

static int save(const char *path, const char *text, uint32_t flags)
{
    return save_with(context, path, text, flags);
}

static int holds(const char *path, const char *text)
{
    steadfast_state state = { .size = sizeof state };
    int same = steadfast_state_load(NULL, path, NULL, &state, NULL) == 0 && state.len == strlen(text) && memcmp(state.data, text, state.len) == 0;
    steadfast_state_free(&state);
    return same;
}

/* An empty directory of its own for a test. */
static const char *fresh(const char *name)
{
    const char *path = in(dir, name);
    if (mkdir(path, 0700) != 0)
        bail_out("mkdir %s: %s", path, strerror(errno));
    return path;
}

static void links(void)
{
    char d[300];
    struct stat st;
    snprintf(d, sizeof d, "%s", fresh("links"));
    save(in(d, "real"), "one", 0);
    if (symlink("real", in(d, "link")) != 0 || symlink("absent", in(d, "dangling")) != 0 || symlink("loop", in(d, "loop")) != 0 ||
        mkdir(in(d, "sub"), 0700) != 0 || symlink("../link", in(d, "sub/far")) != 0)
        bail_out("symlink: %s", strerror(errno));
    is_int(save(in(d, "link"), "two", 0), STEADFAST_E_SYMLINK, "a save to a symbolic link is refused");
    ok(holds(in(d, "real"), "one") && holds(in(d, "link"), "one"), "nothing changes; a load follows the link");
    is_int(save(in(d, "link"), "two", STEADFAST_SAVE_FOLLOW_SYMLINK), SAVED, "FOLLOW_SYMLINK saves");
    ok(lstat(in(d, "link"), &st) == 0 && S_ISLNK(st.st_mode) && holds(in(d, "real"), "two"), "to what the link points to; the link stays");
    is_int(save(in(d, "sub/far"), "three", STEADFAST_SAVE_FOLLOW_SYMLINK), SAVED, "through two relative links");
    ok(holds(in(d, "real"), "three") && *leftovers(in(d, "sub"), "far") == '\0', "to the end of them");
    is_int(save(in(d, "dangling"), "new", STEADFAST_SAVE_FOLLOW_SYMLINK), SAVED, "a dangling link is followed to a new file");
    ok(holds(in(d, "absent"), "new"), "which is made");
    is_int(save(in(d, "loop"), "x", STEADFAST_SAVE_FOLLOW_SYMLINK), -ELOOP, "a loop of links is -ELOOP");
    is_int(report.step, STEADFAST_STEP_READ_LINK, "at the link");
    ok(*leftovers(d, "real link dangling absent loop sub") == '\0', "nothing is left over");
}

static void parents(void)
{
    char d[300];
    snprintf(d, sizeof d, "%s", fresh("parents"));
    is_int(save(in(d, "a/b/c/state"), "x", 0), -ENOENT, "without CREATE_PARENTS a missing directory is -ENOENT");
    ok(report.step == STEADFAST_STEP_OPEN_DIRECTORY && count_entries(d) == 0, "and nothing is made");
    is_int(save(in(d, "a/b/c/state"), "x", STEADFAST_SAVE_CREATE_PARENTS), SAVED, "CREATE_PARENTS makes them");
    ok(holds(in(d, "a/b/c/state"), "x"), "and saves");
    write_text(in(d, "file"), "");
    is_int(save(in(d, "file/b/state"), "x", STEADFAST_SAVE_CREATE_PARENTS), -ENOTDIR, "over a file it is -ENOTDIR");
}

static void orphans(void)
{
    char d[300];
    int fd;
    struct stat before, after;
    snprintf(d, sizeof d, "%s", fresh("orphans"));
    write_text(in(d, ".s.0.tmp"), "half a st");
    is_int(save(in(d, "s"), "x", 0), SAVED, "a save beside the orphan of a killed writer");
    if (NO_FLOCK)
        ok(exists(in(d, ".s.0.tmp")), "without flock (absent) it stays");
    else
        ok(*leftovers(d, "s") == '\0', "removes it");

    write_text(in(d, ".s.0.tmp"), "of a live writer");
    fd = open(in(d, ".s.0.tmp"), O_RDWR | O_CLOEXEC);
    flock(fd, LOCK_EX);
    fstat(fd, &before);
    is_int(save(in(d, "s"), "y", 0), SAVED, "a save beside the temporary file of a live writer");
    ok(lstat(in(d, ".s.0.tmp"), &after) == 0 && after.st_ino == before.st_ino && after.st_size == 16, "passes it over");
    ok(*leftovers(d, "s .s.0.tmp") == '\0' && holds(in(d, "s"), "y"), "and leaves none of its own");
    close(fd);
    unlink(in(d, ".s.0.tmp"));

    if (mkdir(in(d, ".s.0.tmp"), 0700) != 0 || symlink("s", in(d, ".s.1.tmp")) != 0)
        bail_out("mkdir: %s", strerror(errno));
    is_int(save(in(d, "s"), "z", 0), SAVED, "a directory and a link under temporary names");
    ok(holds(in(d, "s"), "z") && exists(in(d, ".s.0.tmp")) && exists(in(d, ".s.1.tmp")), "are passed over");
    if (geteuid() == 0) {
        rmdir(in(d, ".s.0.tmp"));
        unlink(in(d, ".s.1.tmp"));
        write_text(in(d, ".s.0.tmp"), "another user's");
        if (chown(in(d, ".s.0.tmp"), 1234, 1234) != 0)
            bail_out("chown: %s", strerror(errno));
        is_int(save(in(d, "s"), "z", 0), SAVED, "another user's file under a temporary name");
        ok(exists(in(d, ".s.0.tmp")), "is passed over");
    } else {
        skip("needs root", "another user's file under a temporary name");
    }
}

static long kill_at;

static void kill_self(struct faults *f, int call, const char *path)
{
    (void)call, (void)path;
    if (f->calls == kill_at)
        kill(getpid(), SIGKILL);
}

/* A writer killed before each of its calls in turn. */
static void killed_writers(const char *name, uint32_t flags)
{
    char d[300], path[320];
    int torn = 0, litter = 0, unusable = 0, killed = 0;
    const char *expected = (flags & STEADFAST_SAVE_KEEP_PREVIOUS) != 0 ? "s s.prev" : "s";
    snprintf(d, sizeof d, "%s", fresh(name));
    snprintf(path, sizeof path, "%s/s", d);
    save(path, "the first", flags);
    save(path, "old", flags);
    for (kill_at = 1; kill_at < 100; kill_at++) {
        int status;
        pid_t child = fork_child();
        if (child == 0) {
            struct faults f = { .before = kill_self, .no_real_sync = 1 };
            steadfast_context *c = faults_context(&f);
            save_with(c, path, "new", flags);
            steadfast_context_free(c);
            _exit(0);
        }
        status = wait_for(child);
        if (status != 1000 + SIGKILL)
            break;
        killed++;
        torn += !holds(path, "old") && !holds(path, "new");
        unusable += save(path, "old", flags | STEADFAST_SAVE_NO_SYNC) != STEADFAST_NOT_DURABLE || !holds(path, "old");
        litter += *leftovers(d, expected) != '\0';
    }
    ok(killed >= 10 && torn == 0, "%s: a writer killed at each of %d calls: the old state or the new one, whole", name, killed);
    is_int(unusable, 0, "%s: the next save always works", name);
    if (NO_FLOCK)
        skip("without flock (absent) orphans stay", "%s: and nothing is left over", name);
    else
        is_int(litter, 0, "%s: and nothing is left over after it", name);
}

static pid_t bystander;

/* Another thread forks in the midst of a save. */
static void fork_bystander(struct faults *f, int call, const char *path)
{
    (void)f, (void)path;
    if (call != STEADFAST_CALL_RENAMEAT || bystander != 0)
        return;
    bystander = fork_child();
    while (bystander == 0)
        pause();
}

/* The temporary file's flock must not live on in a child: the next compare-and-swap would wait for it for ever. */
static void forked_meanwhile(void)
{
    char d[300], path[320];
    struct faults f = { .before = fork_bystander };
    steadfast_context *c = faults_context(&f);
    pid_t child;
    int status;
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "a child forked during a save");
        steadfast_context_free(c);
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("forked"));
    snprintf(path, sizeof path, "%s/s", d);
    is_int(save_with(c, path, "one", 0), SAVED, "a save, during which a child is forked");
    steadfast_context_free(c);
    child = fork_child();
    if (child == 0) {
        steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 1 };
        alarm(20);
        _exit(steadfast_state_save(context, path, "two", 3, &o, NULL) == SAVED ? 0 : 1);
    }
    status = wait_for(child);
    ok(bystander > 0 && kill(bystander, 0) == 0, "the child is still there");
    is_int(status, 0, "it does not hold up the next IF_GENERATION save");
    kill(bystander, SIGKILL);
    wait_for(bystander);
}

static void failed_syncs(void)
{
    char d[300], path[320];
    struct faults f = { .only = STEADFAST_CALL_FSYNC, .fail_at = 1, .error = EIO };
    steadfast_context *c = faults_context(&f);
    int first, second;
    snprintf(d, sizeof d, "%s", fresh("syncs"));
    snprintf(path, sizeof path, "%s/s", d);
    save(path, "older", 0);
    save(path, "old", 0);
    is_int(save_with(c, path, "new", 0), SAVED, "a file fsync that fails once: saved all the same");
    first = faults_find(&f, 0, STEADFAST_CALL_FSYNC, 0);
    second = faults_find(&f, first + 1, STEADFAST_CALL_FSYNC, 0);
    ok(first >= 0 && second >= 0 && f.event[first].inode != f.event[second].inode, "by a fresh inode");
    ok(holds(path, "new") && *leftovers(d, "s") == '\0', "the first one is gone");

    f.for_ever = 1;
    faults_reset(&f);
    is_int(save_with(c, path, "newer", 0), STEADFAST_NOT_DURABLE, "a file fsync that fails for ever: saved, NOT_DURABLE");
    ok(faults_find(&f, 0, STEADFAST_CALL_FSYNC, 1) < 0, "and the directory is not synced");
    if (NO_LINK) {
        /* Kept by a copy, which cannot be synced either; an unsynced one must not take the place of a good one. */
        is_int(f.made[STEADFAST_CALL_FSYNC], 3, "after two attempts, and one for the copy");
        ok(holds(path, "newer") && !exists(in(d, "s.prev")), "no unsynced copy becomes the previous one");
    } else {
        is_int(f.made[STEADFAST_CALL_FSYNC], 2, "after two attempts");
        ok(holds(path, "newer") && holds(in(d, "s.prev"), "new"), "the old state is kept as the previous one");
    }

    f.error = EINVAL;
    faults_reset(&f);
    is_int(save_with(c, path, "unsynced", 0), STEADFAST_NOT_DURABLE, "fsync is not supported: NOT_DURABLE");
    ok(f.made[STEADFAST_CALL_FSYNC] == 1 && report.os_error == EINVAL && report.step == STEADFAST_STEP_SYNC_FILE,
       "no second attempt, no directory fsync, the report says why");
    if (!NO_DIR_FSYNC) {
        f = (struct faults){ .only = STEADFAST_CALL_FSYNC, .fail_at = 2, .error = EIO };
        is_int(save_with(c, path, "named", 0), STEADFAST_NOT_DURABLE, "the directory's fsync fails: NOT_DURABLE");
        ok(report.step == STEADFAST_STEP_SYNC_DIRECTORY && report.os_error == EIO && report.on_disk == STEADFAST_ON_DISK_EITHER, "the report says which");
    }
    steadfast_context_free(c);
}

static int blind;

/* What NFS does when the answer to a rename was lost: it is sent again, and fails. */
static int32_t rename_answered_wrongly(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    REAL->renameat(NULL, od, op, nd, np, flags);
    blind = blind != 0 ? 2 : 0;
    return -ENOENT;
}

static int32_t fstatat_blind(void *user, int32_t dirfd, const char *path, steadfast_stat *out)
{
    (void)user;
    return blind == 2 ? -EIO : REAL->fstatat(NULL, dirfd, path, out);
}

static void nfs_rename(void)
{
    char d[300];
    steadfast_hooks table = test_hooks();
    steadfast_context *c;
    snprintf(d, sizeof d, "%s", fresh("nfs"));
    table.renameat = rename_answered_wrongly;
    table.fstatat = fstatat_blind;
    c = test_context(&table);
    save(in(d, "s"), "old", 0);
    is_int(save_with(c, in(d, "s"), "new", 0), SAVED, "a rename that happened, though it was answered with an error");
    ok(holds(in(d, "s"), "new") && *leftovers(d, "s") == '\0', "is recognised");
    is_int(save_with(c, in(d, "s"), "kept", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "that of the previous generation too");
    ok(holds(in(d, "s"), "kept") && holds(in(d, "s.prev"), "new") && *leftovers(d, "s s.prev") == '\0', "and nothing is left over");
    blind = 1;
    is_int(save_with(c, in(d, "s"), "who knows", 0), STEADFAST_E_INDETERMINATE, "whether it happened cannot be seen: E_INDETERMINATE");
    ok(report.on_disk == STEADFAST_ON_DISK_EITHER && report.step == STEADFAST_STEP_RENAME && report.os_error == ENOENT, "the report says EITHER and names the rename");
    steadfast_context_free(c);
}

/* In a mount namespace of its own: 0, 77 when there are none, or the number of the check that failed. */
static int bind_mounted(const char *d)
{
    const char *path = in(d, "s");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || mount(path, path, "none", MS_BIND, NULL) != 0)
        return 77;
    if (save(path, "new", 0) != -EBUSY)
        return 1;
    if (report.os_error != EBUSY || strstr(report.message, "mount") == NULL || strstr(report.message, path) == NULL)
        return 2;
    return holds(path, "old") && *leftovers(d, "s") == '\0' ? 0 : 3;
}

static void bind_mount(void)
{
    char d[300];
    pid_t child;
    int status;
    if (geteuid() != 0) {
        skip("needs root", "a bind-mounted file is -EBUSY");
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("bind"));
    save(in(d, "s"), "old", 0);
    child = fork_child();
    if (child == 0)
        _exit(bind_mounted(d));
    status = wait_for(child);
    if (status == 77)
        skip("no mount namespaces here", "a bind-mounted file is -EBUSY");
    else
        is_int(status, 0, "a bind-mounted file is -EBUSY, explained, and nothing changes");
}

/* N processes that expect the same generation: exactly one wins. */
static void compare_and_swap_race(void)
{
    enum { SAVERS = 6 };
    int rounds = test_small() ? 3 : 30, bad = 0;
    uint64_t generation = 0;
    const char *path;
    char d[300];
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "racing compare-and-swap");
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("race"));
    path = in(d, "s");
    for (int round = 0; round < rounds; round++) {
        pid_t children[SAVERS];
        int start[2], won = 0, lost = 0;
        char path_copy[320];
        snprintf(path_copy, sizeof path_copy, "%s/s", d);
        if (pipe(start) != 0)
            bail_out("pipe");
        for (int i = 0; i < SAVERS; i++) {
            children[i] = fork_child();
            if (children[i] == 0) {
                steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = generation };
                char go, text[20];
                int result;
                close(start[1]);
                snprintf(text, sizeof text, "saver %d", i);
                if (read(start[0], &go, 1) < 0)
                    _exit(9);
                result = steadfast_state_save(context, path_copy, text, strlen(text), &o, NULL);
                _exit(result == SAVED ? 1 : result == STEADFAST_E_CONFLICT ? 2 : 3);
            }
        }
        close(start[0]);
        close(start[1]); /* the start: every reader sees the end of the pipe */
        for (int i = 0; i < SAVERS; i++) {
            int status = wait_for(children[i]);
            won += status == 1;
            lost += status == 2;
        }
        generation++;
        bad += won != 1 || lost != SAVERS - 1;
    }
    is_int(bad, 0, "%d processes expect the same generation, %d rounds: each time exactly one wins, the others get E_CONFLICT", (int)SAVERS, rounds);
    steadfast_state state = { .size = sizeof state };
    ok(steadfast_state_load(NULL, in(d, "s"), NULL, &state, NULL) == 0 && state.generation == (uint64_t)rounds, "and the generation counts the winners");
    steadfast_state_free(&state);
    ok(*leftovers(d, "s") == '\0', "nothing is left over%s", leftovers(d, "s"));
    (void)path;
}

/* Savers beside a reader: it never sees anything but whole states. */
static void readers(void)
{
    enum { SAVERS = 3 };
    char d[300], path[320];
    pid_t children[SAVERS];
    int bad = 0, loads = 0, failed = 0, saves = test_small() ? 20 : 200;
    snprintf(d, sizeof d, "%s", fresh("readers"));
    snprintf(path, sizeof path, "%s/s", d);
    save(path, "begin", 0);
    for (int i = 0; i < SAVERS; i++) {
        children[i] = fork_child();
        if (children[i] == 0) {
            char *data = malloc(70000);
            memset(data, 'a' + i, 70000);
            for (int n = 0; n < saves; n++) {
                steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_NO_SYNC | (i == 0 ? STEADFAST_SAVE_KEEP_PREVIOUS : 0) };
                if (steadfast_state_save(context, path, data, 1 + (size_t)n * 337 % 70000, &o, NULL) != STEADFAST_NOT_DURABLE)
                    _exit(1);
            }
            free(data);
            _exit(0);
        }
    }
    for (int running = SAVERS; running > 0;) {
        steadfast_state state = { .size = sizeof state };
        int status, result = steadfast_state_load(context, path, NULL, &state, NULL);
        loads++;
        bad += result != 0;
        for (size_t n = 1; result == 0 && state.len > 5 && n < state.len; n++)
            bad += ((char *)state.data)[n] != ((char *)state.data)[0];
        steadfast_state_free(&state);
        if (waitpid(-1, &status, WNOHANG) > 0) {
            running--;
            failed += status != 0;
        }
    }
    ok(bad == 0 && loads > 10, "a reader beside %d savers: %d loads, each a whole state", (int)SAVERS, loads);
    is_int(failed, 0, "and every save succeeds");
    ok(*leftovers(d, "s s.prev") == '\0', "nothing is left over%s", leftovers(d, "s s.prev"));
}

int main(void)
{
    int fds;
    dir = make_temp_dir("disk");
    context = test_context(NULL);
    fds = count_fds();
    links();
    parents();
    orphans();
    killed_writers("plain", 0);
    killed_writers("keep_previous", STEADFAST_SAVE_KEEP_PREVIOUS);
    forked_meanwhile();
    failed_syncs();
    nfs_rename();
    bind_mount();
    compare_and_swap_race();
    readers();
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
