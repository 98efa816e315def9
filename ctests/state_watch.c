/* steadfast_watch: waits for another generation, through links and directories that come and go. */
#include "tap.h"
#include "state_test.h"

#include <poll.h>

static char d[300], path[330];
static steadfast_watch *watch;

/* What happens in the middle of a wait: each time it sleeps, the next of these. */
static struct {
    void (*happens[4])(void);
    int sleeps;
    int64_t longest_ns;
    int interrupted;
    /* And in the middle of a look. */
    void (*at_read)(void);
    /* Every file is a mount point, or no directory can be watched any more. */
    int mounted, no_watches;
} moment;

static int32_t fstat_hook(void *user, int32_t fd, steadfast_stat *out)
{
    (void)user;
    int32_t result = steadfast_hooks_default()->fstat(NULL, fd, out);
    if (moment.mounted && result == 0 && S_ISREG(out->mode))
        out->attributes |= STEADFAST_STAT_MOUNT_ROOT;
    return result;
}

static int32_t inotify_add_watch_hook(void *user, int32_t fd, const char *name, uint32_t mask)
{
    (void)user;
    return moment.no_watches ? -ENOSPC : steadfast_hooks_default()->inotify_add_watch(NULL, fd, name, mask);
}

static int64_t pread_hook(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    void (*happens)(void) = moment.at_read;
    moment.at_read = NULL;
    if (happens != NULL)
        happens();
    return steadfast_hooks_default()->pread(NULL, fd, buf, len, offset);
}

static int32_t poll_hook(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    int number = moment.sleeps++;
    if (timeout_ns > moment.longest_ns)
        moment.longest_ns = timeout_ns;
    if (moment.interrupted)
        return -EINTR;
    if (number < 4 && moment.happens[number] != NULL)
        moment.happens[number]();
    /* Where nothing tells of it the time passes at once. */
    return fds[0].fd < 0 ? 0 : steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static steadfast_context *watching(uint32_t absent)
{
    steadfast_hooks h = test_hooks();
    h.poll = poll_hook;
    h.pread = pread_hook;
    h.fstat = fstat_hook;
    h.inotify_add_watch = inotify_add_watch_hook;
    h.absent |= absent;
    return test_context(&h);
}

static int open_watch(const steadfast_context *c, uint32_t flags)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_watch_open(c, path, &o, &watch, &report);
}

static int wait_for_other(uint64_t known, int64_t timeout_ms)
{
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_watch_wait(watch, known, timeout_ms, &report);
}

#define DURING(...) \
    (moment.sleeps = 0, memset(moment.happens, 0, sizeof moment.happens), \
     memcpy(moment.happens, ((void (*[])(void)){ __VA_ARGS__ }), sizeof((void (*[])(void)){ __VA_ARGS__ })))

static void save_it(void)
{
    if (steadfast_state_save(NULL, path, "new", 3, NULL, NULL) < 0)
        bail_out("save");
}

static void save_beside(void)
{
    write_file(in(d, "other"), "x", 1);
}

static void generations(const steadfast_context *c, const char *how)
{
    unlink(path), unlink(in(d, "s.prev"));
    is_int(open_watch(c, 0), 0, "%s: a watch of nothing", how);
    is_int(wait_for_other(0, 0), -ETIMEDOUT, "%s: nothing is there, as known", how);
    DURING(save_it);
    is_int(wait_for_other(0, 20000), 0, "%s: the first one is seen", how);
    ok(report.generation == 1 && moment.sleeps <= 2, "%s: generation 1, after %d sleeps", how, moment.sleeps);
    is_int(wait_for_other(7, 0), 0, "%s: another generation than the known one is told at once", how);
    DURING(save_beside, save_it);
    is_int(wait_for_other(1, 20000), 0, "%s: the next one is seen", how);
    ok(report.generation == 2, "%s: generation 2", how);
    unlink(path);
    ok(wait_for_other(2, 0) == 0 && report.generation == 0, "%s: that it is gone is another one, 0", how);
    steadfast_watch_close(watch);
}

static void truncate_it(void)
{
    if (truncate(path, 100) != 0)
        bail_out("truncate");
}
static void truncate_more(void)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (ftruncate(fd, 50) != 0)
        bail_out("truncate");
    close(fd);
}

static void damage(const steadfast_context *c)
{
    unlink(path), unlink(in(d, "s.prev"));
    save(path, "one", 0), save(path, "two", STEADFAST_SAVE_KEEP_PREVIOUS);
    open_watch(c, 0);
    truncate_it();
    is_int(wait_for_other(2, 0), STEADFAST_E_TRUNCATED, "damage is told");
    is_int(wait_for_other(2, 0), -ETIMEDOUT, "once");
    DURING(truncate_more);
    is_int(wait_for_other(2, 20000), STEADFAST_E_TRUNCATED, "and again after another change");
    DURING(save_it);
    ok(wait_for_other(2, 20000) == 0 && report.generation > 2, "a save mends it");
    uint64_t mended = report.generation;
    save_it();
    moment.at_read = truncate_it;
    is_int(wait_for_other(mended, 0), STEADFAST_E_TRUNCATED, "damage while it looks is told");
    is_int(wait_for_other(mended, 0), -ETIMEDOUT, "once as well");
    steadfast_watch_close(watch);

    unlink(path), unlink(in(d, "s.prev"));
    save(path, "one", 0), save(path, "two", STEADFAST_SAVE_KEEP_PREVIOUS);
    truncate_it();
    open_watch(c, STEADFAST_LOAD_RECOVER);
    ok(wait_for_other(2, 0) == 0 && report.generation == 1, "with RECOVER the previous one stands for it");
    is_int(wait_for_other(1, 0), -ETIMEDOUT, "and is known then");
    steadfast_watch_close(watch);
}

/* As Kubernetes swaps a ConfigMap: key -> ..data/key, ..data -> ..v1. */
static void make_version(const char *name, int saves)
{
    char file[700];
    snprintf(file, sizeof file, "%s/%s", d, name);
    mkdir(file, 0700);
    snprintf(file, sizeof file, "%s/%s/key", d, name);
    for (int i = 0; i < saves; i++)
        save(file, name, 0);
}
static void swap_data(void)
{
    make_version("..v2", 5);
    if (symlink("..v2", in(d, "..tmp")) != 0 || rename(in(d, "..tmp"), in(d, "..data")) != 0)
        bail_out("swap");
}

static void links(const steadfast_context *c)
{
    make_version("..v1", 1);
    if (symlink("..v1", in(d, "..data")) != 0 || symlink("..data/key", in(d, "key")) != 0)
        bail_out("symlink");
    snprintf(path, sizeof path, "%s/key", d);
    open_watch(c, 0);
    ok(wait_for_other(0, 0) == 0 && report.generation == 1, "through two links");
    DURING(swap_data);
    ok(wait_for_other(1, 20000) == 0 && report.generation == 5, "the link in the middle is pointed elsewhere, as Kubernetes does: seen");
    steadfast_watch_close(watch);
}

static void make_directories(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_CREATE_PARENTS };
    steadfast_state_save(NULL, path, "deep", 4, &o, NULL);
}
static void replace_directory(void)
{
    if (rename(in(d, "a"), in(d, "gone")) != 0)
        bail_out("rename");
    make_directories();
    save_it();
}

static void remove_directories(void)
{
    if (unlink(path) != 0 || rmdir(in(d, "a/b")) != 0 || rmdir(in(d, "a")) != 0)
        bail_out("rmdir: %s", strerror(errno));
}

static void directories(const steadfast_context *c)
{
    snprintf(path, sizeof path, "%s/a/b/s", d);
    is_int(open_watch(c, 0), 0, "a watch below a directory that is not there");
    is_int(wait_for_other(0, 0), -ETIMEDOUT, "nothing is there");
    DURING(make_directories);
    ok(wait_for_other(0, 20000) == 0 && report.generation == 1, "the directories are made, and the state: seen");
    DURING(replace_directory);
    ok(wait_for_other(1, 20000) == 0 && report.generation == 2, "a directory above it is replaced: seen");
    DURING(remove_directories);
    ok(wait_for_other(2, 20000) == 0 && report.generation == 0, "the directories are removed: nothing is there");
    DURING(make_directories);
    ok(wait_for_other(0, 20000) == 0 && report.generation == 1, "and made again: seen");
    steadfast_watch_close(watch);
    snprintf(path, sizeof path, "%s/s", d);
}

/* Until it is not readable: other programs change the directories above as well. */
static int settles(struct pollfd *fd, uint64_t known)
{
    for (int looks = 0; looks < 1000; looks++) {
        if (poll(fd, 1, 0) == 0)
            return 1;
        if (wait_for_other(known, 0) != -ETIMEDOUT)
            return 0;
    }
    return 0;
}

static void descriptor(const steadfast_context *c)
{
    unlink(path), unlink(in(d, "s.prev"));
    open_watch(c, 0);
    struct pollfd fd = { .fd = steadfast_watch_fd(watch), .events = POLLIN };
    ok(fd.fd > 2 && (fcntl(fd.fd, F_GETFD) & FD_CLOEXEC) != 0, "a descriptor, close-on-exec");
    ok(settles(&fd, 0), "not readable at first");
    save_it();
    ok(poll(&fd, 1, 5000) == 1 && wait_for_other(0, 0) == 0 && report.generation == 1, "readable after a save, without a wait before");
    is_int(wait_for_other(1, 0), -ETIMEDOUT, "known then");
    ok(settles(&fd, 1), "and not readable any more");
    moment.interrupted = 1;
    is_int(wait_for_other(1, 1000), -EINTR, "a signal ends the wait");
    moment.interrupted = 0;
    steadfast_watch_close(watch);
}

/* Where inotify does not tell of every change. */
static void unseen(const steadfast_context *c, const char *why)
{
    unlink(path), unlink(in(d, "s.prev"));
    save_it();
    is_int(open_watch(c, 0), 0, "%s: the watch is there", why);
    is_int(steadfast_watch_fd(watch), -1, "without a descriptor");
    moment.longest_ns = 0;
    is_int(wait_for_other(1, 2), -ETIMEDOUT, "the generation is known");
    DURING(save_it);
    ok(wait_for_other(1, 20000) == 0 && report.generation == 2 && moment.longest_ns <= 1000000000,
       "it looks once a second, and sees the next one");
    steadfast_watch_close(watch);
}

static void arguments(void)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_REQUIRE_SCHEMA };
    steadfast_watch *out = (steadfast_watch *)&o;
    is_int(steadfast_watch_open(NULL, path, &o, &out, NULL), -EINVAL, "REQUIRE_SCHEMA: EINVAL");
    ok(out == NULL, "and *out is NULL");
    is_int(steadfast_watch_open(NULL, "", NULL, &out, NULL), -EINVAL, "no path: EINVAL");
    is_int(steadfast_watch_open(NULL, "d/", NULL, &out, NULL), -EISDIR, "a directory's path: EISDIR");
    is_int(steadfast_watch_open(NULL, path, NULL, NULL, NULL), -EINVAL, "no out: EINVAL");
    steadfast_report report = { .size = sizeof report };
    is_int(steadfast_watch_wait(NULL, 0, 0, &report), -EINVAL, "no watch: EINVAL");
    ok(strstr(report.message, "the handle is NULL") != NULL, "it says so: %s", report.message);
    is_int(steadfast_watch_fd(NULL), -1, "no watch: no descriptor");
    steadfast_watch_close(NULL);
}

int main(void)
{
    dir = make_temp_dir("watch");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    context = test_context(NULL);
    int fds = count_fds();
    steadfast_context *c = watching(0), *without = watching(STEADFAST_ABSENT_INOTIFY);
    generations(c, "inotify");
    generations(without, "without inotify");
    open_watch(without, 0);
    ok(steadfast_watch_fd(watch) == -1, "without inotify there is no descriptor");
    moment.longest_ns = 0;
    is_int(wait_for_other(0, 2), -ETIMEDOUT, "and the wait is bounded");
    ok(moment.longest_ns <= 1000000000, "and it looks once a second");
    steadfast_watch_close(watch);
    damage(c);
    links(c);
    directories(c);
    if ((test_absent() & STEADFAST_ABSENT_INOTIFY) != 0)
        skip("inotify is absent", "the descriptor of a watch");
    else
        descriptor(c);
    moment.mounted = 1;
    unseen(c, "a file that is a mount point");
    moment.mounted = 0, moment.no_watches = 1;
    unseen(c, "no directory can be watched any more");
    moment.no_watches = 0;
    arguments();
    steadfast_context_free(c);
    steadfast_context_free(without);
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
