/*
 * STEADFAST_CONTEXT_BENEATH: no path leaves the context's directory, by no "..", no absolute path and no link. Whatever the library opens is watched
 * in a hook: it must lie below.
 */
#include "tap.h"
#include "state_test.h"
#include "context_test.h"

#include <limits.h>

#define FOLLOW STEADFAST_SAVE_FOLLOW_SYMLINK
#define PARENTS STEADFAST_SAVE_CREATE_PARENTS

static char d[300], base[310], real_base[PATH_MAX];
static int escapes;
static char escaped[200];

/* Is what was opened outside? The system's own files are. */
static int32_t watched(int32_t fd, const char *path)
{
    char link[40], where[PATH_MAX];
    ssize_t len;
    if (fd < 0 || strncmp(path, "/proc/", 6) == 0 || strcmp(path, "/dev/null") == 0)
        return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    len = readlink(link, where, sizeof where - 1);
    if (len < 0)
        return fd;
    where[len] = '\0';
    len = (ssize_t)strlen(real_base);
    if (strncmp(where, real_base, (size_t)len) != 0 || (where[len] != '/' && where[len] != '\0')) {
        escapes++;
        snprintf(escaped, sizeof escaped, "%.190s", where);
    }
    return fd;
}

static int32_t watched_openat(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    (void)user;
    return watched(REAL->openat(NULL, dirfd, path, flags, mode), path);
}

/* What openat2 answers instead, so many times. */
static int answer, answers, asked;
static int32_t watched_openat2(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode, uint64_t resolve)
{
    (void)user;
    asked++;
    if (answers > 0) {
        answers--;
        return -answer;
    }
    return watched(REAL->openat2(NULL, dirfd, path, flags, mode, resolve), path);
}

static steadfast_context *beneath(int *status)
{
    steadfast_hooks h = test_hooks();
    h.openat = watched_openat;
    h.openat2 = watched_openat2;
    int fd = open_directory(base);
    steadfast_context *c = context_at(fd, STEADFAST_CONTEXT_BENEATH, &h, status);
    close(fd);
    return c;
}

static void make_link(const char *name, const char *target)
{
    if (symlink(target, in(base, name)) != 0)
        bail_out("symlink: %s", strerror(errno));
}

static int load_with(const steadfast_context *c, const char *path, uint32_t flags, const char *text)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    steadfast_state state = { .size = sizeof state };
    report.size = sizeof report;
    int result = steadfast_state_load(c, path, &o, &state, &report);
    if (result >= 0 && (text == NULL || state.len != strlen(text) || memcmp(state.data, text, state.len) != 0))
        result = 1000;
    steadfast_state_free(&state);
    return result;
}

static void inside(const steadfast_context *c)
{
    static const char *const PATHS[] = { "s", "./s", "sub/s", "sub/../s", "sub/./s", "in/s" };
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++)
        ok(save_with(c, PATHS[i], PATHS[i], STEADFAST_SAVE_KEEP_PREVIOUS) == SAVED && load_with(c, PATHS[i], 0, PATHS[i]) == 0
               && holds(in(base, PATHS[i]), PATHS[i]),
           "%s is inside", PATHS[i]);
    ok(save_with(c, "linked", "x", FOLLOW) == SAVED && holds(in(base, "sub/target"), "x"), "a link that stays inside is followed");
    ok(save_with(c, "linked", "x", 0) == STEADFAST_E_SYMLINK, "if that is asked for");
    ok(save_with(c, "a/b/s", "x", PARENTS) == SAVED && holds(in(base, "a/b/s"), "x"), "missing directories are made");
    ok(save_with(c, "first", "x", PARENTS) == SAVED && save_with(c, "sub/../again", "x", PARENTS) == SAVED,
       "first states in the directory itself");
    if (!NO_FLOCK) {
        steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 1 };
        is_int(steadfast_state_save(c, "a/b/s", "y", 1, &o, NULL), SAVED, "compared and swapped");
    }
    unlink(in(base, "sub/target"));
    save(in(base, "sub/target.prev"), "previous", 0);
    is_int(load_with(c, "linked", STEADFAST_LOAD_RECOVER, "previous"), STEADFAST_RECOVERED,
           "the previous generation behind a link inside is recovered");
}

static void outside(const steadfast_context *c)
{
    static const char *const PATHS[] = { "../secret",     "sub/../../secret",  "/absolute",      "out/secret",
                                         "sub/up/secret", "out/../out/secret", "absolute/secret" };
    char secret[320];
    snprintf(secret, sizeof secret, "%s/secret", d);
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++) {
        const char *path = strcmp(PATHS[i], "/absolute") == 0 ? secret : PATHS[i];
        steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "x", .len = 1 };
        char buffer[8];
        size_t len = 0;
        int wrong = load_with(c, path, 0, NULL) != -EXDEV;
        wrong += load_with(c, path, STEADFAST_LOAD_RECOVER, NULL) != -EXDEV;
        wrong += steadfast_state_load_into(c, path, NULL, buffer, sizeof buffer, &len, NULL) != -EXDEV;
        for (uint32_t flags = 0; flags < 32; flags += 2)
            wrong += !(NO_FLOCK && (flags & STEADFAST_SAVE_IF_GENERATION) != 0) && save_with(c, path, "x", flags) != -EXDEV;
        steadfast_state_save_batch(c, &entry, 1, NULL, NULL);
        wrong += entry.status != -EXDEV;
        ok(wrong == 0, "%s leaves it: every load and save is -EXDEV", PATHS[i]);
    }
    int files = count_entries(d);
    static const char *const NEW[] = { "../new/s", "sub/../../new/s", "out/new/s", "new/../../new/s" };
    for (size_t i = 0; i < sizeof NEW / sizeof NEW[0]; i++)
        ok(save_with(c, NEW[i], "x", PARENTS) < 0 && count_entries(d) == files && !exists(in(d, "outside/new")),
           "%s: no directory is made outside", NEW[i]);
    static const char *const LINKS[] = { "file", "chain", "absolute-file", "dangling" };
    for (size_t i = 0; i < sizeof LINKS / sizeof LINKS[0]; i++) {
        int wrong = load_with(c, LINKS[i], 0, NULL) != -EXDEV;
        wrong += load_with(c, LINKS[i], STEADFAST_LOAD_RECOVER, NULL) >= 0;
        wrong += save_with(c, LINKS[i], "x", FOLLOW) != -EXDEV || save_with(c, LINKS[i], "x", 0) != STEADFAST_E_SYMLINK;
        ok(wrong == 0, "a link that leaves it (%s) is followed by nobody", LINKS[i]);
    }
    ok(load_with(c, "lost", STEADFAST_LOAD_RECOVER, NULL) < 0, "nor is one at PATH.prev, by RECOVER");
    ok(holds(secret, "secret") && count_entries(d) == files, "nothing outside has changed");
}

static void locks(const steadfast_context *c)
{
    static const char *const PATHS[] = { "../lock", "out/lock", "sub/../../lock" };
    steadfast_lock *lock = NULL;
    if (NO_FLOCK) {
        skip("flock is absent", "locks");
        return;
    }
    ok(steadfast_lock_acquire(c, "sub/lock", 0, NULL, &lock, &report) == 0 && exists(in(base, "sub/lock")), "a lock inside is taken");
    is_int(steadfast_lock_inspect(c, "sub/lock", NULL, NULL), STEADFAST_LOCK_HELD, "and seen");
    ok(steadfast_lock_release(lock, NULL) == 0 && !exists(in(base, "sub/lock")), "and released");
    for (int i = 0; i < 3; i++) {
        int wrong = steadfast_lock_acquire(c, PATHS[i], 0, NULL, &lock, &report) != -EXDEV || lock != NULL;
        wrong += steadfast_lock_acquire(c, PATHS[i], 50, NULL, &lock, &report) != -EXDEV || lock != NULL;
        wrong += steadfast_lock_inspect(c, PATHS[i], NULL, NULL) != -EXDEV;
        wrong += steadfast_lock_clean_stale(c, PATHS[i], NULL, NULL) != -EXDEV;
        ok(wrong == 0 && !exists(in(d, "lock")) && !exists(in(d, "outside/lock")), "%s leaves it: -EXDEV", PATHS[i]);
    }
    is_int(steadfast_lock_acquire(c, "file", 0, NULL, &lock, NULL), STEADFAST_E_SYMLINK, "a link is no lock");
    is_int(steadfast_lock_clean_stale(c, "file", NULL, NULL), STEADFAST_LOCK_IGNORED, "and not touched");
}

/* openat2 as older kernels, sandboxes and busy directories answer it. */
static void answered(void)
{
    static const int LACKING[] = { ENOSYS, EPERM };
    int status;
    for (int i = 0; i < 2; i++) {
        answer = LACKING[i], answers = 1;
        steadfast_context *c = beneath(&status);
        ok(c == NULL && status == STEADFAST_E_UNSUPPORTED, "openat2 is %s: the context is E_UNSUPPORTED", steadfast_status_name(-answer));
    }
    answers = 0;
    steadfast_context *c = beneath(NULL);
    answer = EAGAIN, answers = 20;
    is_int(save_with(c, "s", "x", 0), SAVED, "something on the way is renamed meanwhile (EAGAIN): openat2 is asked again");
    answers = INT_MAX, asked = 0;
    status = save_with(c, "s", "y", 0);
    ok(status == -EAGAIN && asked < 10000, "without an end it is an error, after %d times", asked);
    answers = 0;
    steadfast_context_free(c);
}

int main(void)
{
    int status, fds;
    dir = make_temp_dir("beneath");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(base, sizeof base, "%s/base", d);
    mkdir(base, 0700), mkdir(in(d, "outside"), 0700), mkdir(in(base, "sub"), 0700);
    context = test_context(NULL);
    if (realpath(base, real_base) == NULL)
        bail_out("realpath: %s", strerror(errno));
    fds = count_fds();
    save(in(d, "secret"), "secret", 0);
    save(in(d, "outside/secret"), "secret", 0);
    save(in(d, "previous"), "secret", 0);
    save(in(d, "missing.prev"), "secret", 0);
    make_link("in", "sub"), make_link("linked", "sub/target");
    make_link("out", "../outside"), make_link("sub/up", "../.."), make_link("absolute", in(d, "outside"));
    make_link("file", "../secret"), make_link("chain", "file"), make_link("absolute-file", in(d, "secret")),
        make_link("dangling", "../missing");
    make_link("lost.prev", "../previous");
    steadfast_context *c = beneath(&status);
    if (c == NULL) {
        is_int(status, STEADFAST_E_UNSUPPORTED, "without openat2 there is no such context");
        skip("openat2 is absent", "paths that leave the directory");
    } else {
        inside(c);
        outside(c);
        locks(c);
        /* The same when the program has closed the context's descriptor. */
        close(descriptor_of(base, 3));
        if ((test_absent() & STEADFAST_ABSENT_PROC) != 0)
            skip("without /proc (absent) a closed descriptor is not opened anew", "the context's descriptor is closed");
        else
            ok(save_with(c, "s", "closed", 0) == SAVED && holds(in(base, "s"), "closed") && save_with(c, "../secret", "x", 0) == -EXDEV
                   && load_with(c, "out/secret", 0, NULL) == -EXDEV,
               "the context's descriptor is closed: still no path leaves the directory");
        if (!ok(escapes == 0, "nothing outside was opened"))
            diag("%d times, at last %s", escapes, escaped);
        steadfast_context_free(c);
        answered();
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
