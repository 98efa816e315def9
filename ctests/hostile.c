/* A system that answers strangely, and what a review found that the library made of it. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"
#include <poll.h>
#include <sys/file.h>

static char *dir;
static char lock[600], state[600];

static int64_t network(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0x6969; /* NFS_SUPER_MAGIC */
}

static void network_file_system(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.fstatfs = network;
    steadfast_context *context = test_context(&hooks);
    write_pid(lock, dead_pid());
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_UNDECIDED, "NFS, a PID that nobody has here: UNDECIDED");
    is_int(steadfast_lock_inspect(context, lock, NULL, NULL), STEADFAST_LOCK_UNDECIDED, "NFS: nor does inspect call it stale");
    ok(exists(lock), "it is kept");
    unlink(lock);
    if (can_tell && has(STEADFAST_ABSENT_FLOCK)) {
        leave_lock(lock);
        is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_REMOVED, "NFS, a record of this boot: REMOVED");
    } else {
        skip("this run cannot tell the boot", "NFS, a record of this boot");
    }
    unlink(lock);
    write_text(in(dir, ".state.0.tmp"), "a writer's on another machine");
    ok(steadfast_state_save(context, state, "x", 1, NULL, NULL) >= 0 && exists(in(dir, ".state.0.tmp")),
       "NFS: a temporary file whose flock looks free is left alone");
    unlink(in(dir, ".state.0.tmp"));
    steadfast_context_free(context);
}

static int32_t no_such_descriptor(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user, (void)timeout_ns;
    for (uint32_t i = 0; i < count; i++)
        fds[i].revents = POLLNVAL;
    return (int32_t)count;
}

static void lying_poll(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.poll = no_such_descriptor;
    steadfast_context *context = test_context(&hooks);
    write_pid(lock, getpid());
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_HELD, "poll answers POLLNVAL: no proof of a death");
    ok(exists(lock), "the live owner's lock is still there");
    unlink(lock);
    steadfast_context_free(context);
}

static int64_t unreadable(void *user, int32_t fd, const char *name, void *buf, size_t len)
{
    (void)user, (void)fd, (void)name, (void)buf, (void)len;
    return -EIO;
}

static void unreadable_attribute(void)
{
    if (!has(STEADFAST_ABSENT_XATTR)) {
        skip("this run has no attributes", "an attribute that cannot be read");
        return;
    }
    steadfast_hooks hooks = test_hooks();
    hooks.fgetxattr = unreadable;
    steadfast_context *context = test_context(&hooks);
    write_text(lock, "");
    chmod(lock, 01644);
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_UNDECIDED,
           "empty and marked, its attribute cannot be read: UNDECIDED");
    unlink(lock);
    steadfast_context_free(context);
}

static int lowest;

static int64_t watching_write(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user;
    if (fd < lowest)
        lowest = fd;
    return steadfast_hooks_default()->write(NULL, fd, buf, len);
}

static int without_streams(void *arg)
{
    (void)arg;
    steadfast_hooks hooks = test_hooks();
    hooks.write = watching_write;
    steadfast_context *context = NULL;
    steadfast_lock *held = NULL;
    if (steadfast_context_new(&hooks, &context) != 0)
        return 9;
    int before = count_fds();
    close(0), close(1), close(2);
    lowest = 99;
    if (steadfast_state_save(context, state, "x", 1, NULL, NULL) < 0)
        return 1;
    if (has(STEADFAST_ABSENT_FLOCK) && steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL) == 0)
        steadfast_lock_release(held, NULL);
    steadfast_context_free(context);
    return lowest < 3 ? 2 : count_fds() == before - 3 ? 0 : 3;
}

static int32_t renaming(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    int *renamed = user;
    int32_t result = steadfast_hooks_default()->renameat(NULL, od, op, nd, np, flags);
    if (result != 0 || (*renamed)++ != 0)
        return result;
    int fd = openat(od, op, O_CREAT | O_EXCL | O_WRONLY, 0600); /* the next writer has the name by now */
    close(fd);
    return -EIO;
}

static void lying_rename(void)
{
    int renamed = 0;
    steadfast_hooks hooks = test_hooks();
    hooks.user = &renamed;
    hooks.renameat = renaming;
    steadfast_context *context = test_context(&hooks);
    int32_t status = steadfast_state_save(context, state, "new", 3, NULL, NULL);
    ok(status >= 0 && renamed == 1, "a rename that happened and answered EIO: saved");
    ok(exists(in(dir, ".state.0.tmp")), "the temporary name, another writer's by now, is left to it");
    unlink(in(dir, ".state.0.tmp"));
    steadfast_context_free(context);
}

/* A later format is whole, though not ours to read: it is kept as the previous generation. */
static void newer_format(void)
{
    char command[3000];
    snprintf(
        command, sizeof command,
        "cd '%s' && { printf 'steadfast 2 len=00000000000000000003 gen=00000000000000000009 new=1'; printf '%%120s\\n' ''; printf abc; } >body && "
        "{ sha256sum <body; cat body; } >state && rm body",
        dir);
    unlink(state);
    int made = system(command);
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_KEEP_PREVIOUS };
    steadfast_state loaded = { .size = sizeof loaded };
    ok(made == 0 && steadfast_state_load(NULL, state, NULL, &loaded, NULL) == STEADFAST_E_NEWER, "a record of a later format");
    steadfast_context *context = test_context(NULL);
    is_int(steadfast_state_save(context, state, "old program", 11, &options, NULL) < 0, 0, "saved over by an older program");
    is_int(steadfast_state_load(NULL, in(dir, "state.prev"), NULL, &loaded, NULL), STEADFAST_E_NEWER, "it is the previous generation now");
    steadfast_context_free(context);
}

static char proc_files[2][600];
static pid_t outer_namesake;

/* /proc of another PID namespace: it calls us 4242, and has a zombie of the owner's number. */
static int32_t foreign_proc(void *user, int32_t at, const char *path, int32_t flags, uint32_t mode)
{
    char stat_path[64];
    (void)user;
    snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", (int)outer_namesake);
    if (strcmp(path, "/proc/self/stat") == 0)
        path = proc_files[0];
    else if (strcmp(path, stat_path) == 0)
        path = proc_files[1];
    return steadfast_hooks_default()->openat(NULL, at, path, flags, mode);
}

static void proc_of_another_namespace(void)
{
    char text[300];
    snprintf(proc_files[0], sizeof proc_files[0], "%s/proc-self", dir);
    snprintf(proc_files[1], sizeof proc_files[1], "%s/proc-owner", dir);
    outer_namesake = getpid();
    write_text(proc_files[0], "4242 (us) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0\n");
    snprintf(text, sizeof text, "%d (them) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 88 0\n", (int)outer_namesake);
    write_text(proc_files[1], text);
    steadfast_hooks hooks = test_hooks();
    hooks.openat = foreign_proc;
    hooks.absent |= STEADFAST_ABSENT_PIDFD;
    steadfast_context *context = test_context(&hooks);
    write_pid(lock, getpid());
    is_int(steadfast_lock_clean_stale(context, lock, NULL, NULL), STEADFAST_LOCK_HELD,
           "a /proc that is another PID namespace's proves no death");
    ok(exists(lock), "the live owner's lock is still there, without pidfd");
    unlink(lock);
    unlink(proc_files[0]);
    unlink(proc_files[1]);
    steadfast_context_free(context);
}

static void late_conflict(void);

static void small_report(void)
{
    steadfast_lock *held = NULL;
    steadfast_context *context = test_context(NULL);
    size_t report = sizeof report;
    if (steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL) != 0) {
        skip("this run has no flock", "release with a report that is too small");
    } else {
        is_int(steadfast_lock_release(held, (steadfast_report *)(void *)&report), 0,
               "release with a report that is too small: what became of the lock");
        ok(!exists(lock) && report == sizeof report, "released, and nothing written");
    }
    steadfast_context_free(context);
}

/* Another saver, between the comparison and the rename of a first save. */
static int32_t late_rename(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    int *raced = user;
    if (flags != 0 && (*raced)++ == 0)
        steadfast_state_save(NULL, state, "theirs", 6, NULL, NULL);
    return steadfast_hooks_default()->renameat(NULL, od, op, nd, np, flags);
}

static void late_conflict(void)
{
    if (!has(STEADFAST_ABSENT_FLOCK) || !has(STEADFAST_ABSENT_RENAMEAT2)) {
        skip("this run has no flock or no rename flags", "the generation of a late conflict");
        return;
    }
    int raced = 0;
    steadfast_hooks hooks = test_hooks();
    hooks.user = &raced;
    hooks.renameat = late_rename;
    steadfast_context *context = test_context(&hooks);
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_IF_GENERATION };
    steadfast_report report = { .size = sizeof report };
    unlink(state);
    char previous[sizeof state + 5];
    snprintf(previous, sizeof previous, "%s.prev", state);
    unlink(previous);
    is_int(steadfast_state_save(context, state, "ours", 4, &options, &report), STEADFAST_E_CONFLICT,
           "somebody else was first, at the last moment");
    is_int((long long)report.generation, 1, "the report gives the generation that is there");
    steadfast_context_free(context);
}

int main(void)
{
    dir = make_temp_dir("hostile");
    snprintf(lock, sizeof lock, "%s/lock", dir);
    snprintf(state, sizeof state, "%s/state", dir);
    network_file_system();
    lying_poll();
    unreadable_attribute();
    fflush(stdout);
    pid_t child = fork_child();
    if (child == 0)
        _exit(without_streams(NULL));
    is_int(wait_for(child), 0, "standard streams closed: no file of ours gets one of their numbers, and none leaks");
    lying_rename();
    newer_format();
    small_report();
    proc_of_another_namespace();
    late_conflict();
    remove_tree(dir);
    return done_testing();
}
