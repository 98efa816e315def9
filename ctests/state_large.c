/*
 * Large states: hashed while the device already writes, with the header last. Whatever goes wrong with
 * that, the ordinary way is gone.
 */
#include "tap.h"
#include "state_test.h"
#include "forbid.h"

#include <sys/resource.h>

enum { LARGE = 4 << 20 };
static char *data;

static int save_large(const steadfast_context *c, const char *path, size_t len, uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    report.size = sizeof report;
    return steadfast_state_save(c, path, data, len, &o, &report);
}

static int holds_large(const char *path, size_t len)
{
    steadfast_state state = { .size = sizeof state };
    int same = steadfast_state_load(NULL, path, NULL, &state, NULL) == 0 && state.len == len && memcmp(state.data, data, len) == 0
               && ((char *)state.data)[len] == '\0';
    steadfast_state_free(&state);
    return same;
}

static void lengths(void)
{
    /* Around what is written directly, around its pieces, and around a page. */
    static const size_t LENGTHS[] = { LARGE - 1,        LARGE,         LARGE + 3839, LARGE + 3840, LARGE + 3841, (5 << 20) + 3840,
                                      (5 << 20) + 3841, (9 << 20) + 77 };
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        struct stat st;
        const char *path = in(dir, "lengths");
        is_int(save_large(context, path, LENGTHS[i], 0), SAVED, "%zu bytes", LENGTHS[i]);
        ok(holds_large(path, LENGTHS[i]) && stat(path, &st) == 0 && st.st_size == (off_t)LENGTHS[i] + 256, "are there, and no byte more");
    }
    is_int(save_large(context, in(dir, "lengths"), LARGE, 0), SAVED, "another");
    is_int(save_large(context, in(dir, "lengths"), LARGE + 9000, STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "with the previous one kept");
    ok(holds_large(in(dir, "lengths"), LARGE + 9000) && holds_large(in(dir, "lengths.prev"), LARGE), "both are there");
}

/* Each call on the way fails in turn. */
static void fails(int error)
{
    const char *path = in(dir, "fails");
    long runs = 0;
    int wrong = 0, before = count_fds();
    for (long at = 1;; at++) {
        struct faults f = { .fail_at = at, .only = STEADFAST_CALL_AIO, .error = error, .no_real_sync = 1 };
        steadfast_context *c = faults_context(&f);
        int result = save_large(c, path, LARGE + 77, 0);
        if (result != SAVED || !holds_large(path, LARGE + 77)) {
            diag("call %ld: %s: %s", at, steadfast_status_name(result), report.message);
            wrong++;
        }
        steadfast_context_free(c);
        if (f.failed == 0)
            break;
        runs++;
    }
    if ((test_absent() & STEADFAST_ABSENT_AIO) == 0)
        ok(wrong == 0 && runs > 5, "%s from each of %ld calls of the aio hook: the state is saved all the same",
           steadfast_status_name(-error), runs);
    else
        ok(wrong == 0 && runs == 0, "%s: it is not called", steadfast_status_name(-error));
    is_int(count_fds(), before, "no descriptor is left open");
}

/* The device takes less than it was given. */
static int64_t short_aio(void *user, int32_t operation, uint64_t *queue, int32_t fd, const void *buf, size_t len, uint64_t offset)
{
    int64_t result = REAL->aio(NULL, operation, queue, fd, buf, len, offset);
    (void)user;
    return operation == STEADFAST_AIO_WAIT && result > 4096 ? result - 4096 : result;
}

static void others(void)
{
    steadfast_hooks h = test_hooks();
    struct rlimit limit, low;
    steadfast_context *c;
    int result;
    h.aio = short_aio;
    c = test_context(&h);
    is_int(save_large(c, in(dir, "short"), LARGE, 0), SAVED, "a short write by the aio hook");
    ok(holds_large(in(dir, "short"), LARGE), "is made good");
    steadfast_context_free(c);
    getrlimit(RLIMIT_FSIZE, &limit);
    low = limit;
    low.rlim_cur = 3 << 20;
    setrlimit(RLIMIT_FSIZE, &low);
    result = save_large(context, in(dir, "limit"), LARGE, 0);
    setrlimit(RLIMIT_FSIZE, &limit);
    is_int(result, -EFBIG, "a limit of the file size is an error, not a signal");
    ok(*leftovers(dir, "lengths lengths.prev fails short forbidden forbidden.prev watched watched.prev") == '\0',
       "that leaves nothing over");
}

/* What the aio hook sees: is it a direct write, and is there another thread meanwhile? */
static int direct, most_threads;
static int threads(void);
static int64_t watched_aio(void *user, int32_t operation, uint64_t *queue, int32_t fd, const void *buf, size_t len, uint64_t offset)
{
    int64_t result = REAL->aio(NULL, operation, queue, fd, buf, len, offset);
    (void)user;
    if (operation == STEADFAST_AIO_WRITE) {
        int now = threads();
        most_threads = now > most_threads ? now : most_threads;
        direct += (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    }
    return result;
}

static void watched(int before)
{
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    int ring = -1, plain;
    if ((test_absent() & STEADFAST_ABSENT_AIO) != 0 || before < 0) {
        skip(before < 0 ? "no /proc" : "no such writes in this run", "direct writes");
        return;
    }
    h.aio = watched_aio;
    c = test_context(&h);
    is_int(save_large(c, in(dir, "watched"), LARGE, 0), SAVED, "a large state");
    is_int(save_large(c, in(dir, "watched"), LARGE, STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "and another");
    steadfast_context_free(c);
    is_int(most_threads, before, "no thread came of it, not even one of the kernel's, not even for a moment");
    plain = open(in(dir, "watched"), O_RDWR | O_DIRECT);
#ifdef HAS_SECCOMP
    char params[120] = { 0 };
    ring = (int)syscall(__NR_io_uring_setup, 1, params);
#endif
    if (plain < 0 || ring < 0)
        skip("no io_uring, or no O_DIRECT here", "direct writes");
    else
        ok(direct > 0, "%d writes were to go past the page cache", direct);
    close(plain);
    close(ring);
}

static int threads(void)
{
    char line[256];
    int count = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        sscanf(line, "Threads: %d", &count);
    if (f != NULL)
        fclose(f);
    return count;
}

#ifdef HAS_SECCOMP
/* As in most containers: io_uring is forbidden. In a child, because there is no way back. */
static void without_io_uring(void)
{
    const char *path = in(dir, "forbidden");
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (forbid(__NR_io_uring_setup) != 0)
            _exit(77);
        _exit(save_large(context, path, LARGE + 4097, 0) == SAVED
                      && save_large(context, path, LARGE + 1, STEADFAST_SAVE_KEEP_PREVIOUS) == SAVED
                  ? 0
                  : 1);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip("no seccomp filter can be set here", "without io_uring");
        return;
    }
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0 && holds_large(path, LARGE + 1)
           && holds_large(in(dir, "forbidden.prev"), LARGE + 4097),
       "without io_uring large states are saved all the same");
}
#endif

int main(void)
{
    int before = threads();
    dir = make_temp_dir("large");
    context = test_context(NULL);
    data = malloc(16 << 20);
    if (data == NULL)
        bail_out("malloc");
    for (size_t i = 0; i < 16 << 20; i++)
        data[i] = (char)(i * 13 + i / 4099);
    lengths();
    watched(before);
#ifdef HAS_SECCOMP
    without_io_uring();
#else
    skip("no headers of the kernel's", "without io_uring");
#endif
    fails(EIO);
    fails(EINTR);
    fails(EINVAL);
    fails(ENOSPC);
    others();
    free(data);
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
