/*
 * Another process has a lease on the state (fcntl(2), "Leases"): the kernel then answers an open with EAGAIN until the lease is given up. Saves
 * and loads wait for that, and their wait ends.
 */
#include "tap.h"
#include "state_test.h"
#include "waiting.h"

#include <sys/prctl.h>

enum { SOON_MS = 5000 };
static char d[300], path[310], previous[320];
static pid_t holder;
static int alive[2];

/* A process that takes a lease for writers on `file`. Asked to give it up, it does so, or not at all. 0 when there are no leases here. */
static int lease(const char *file, int stubborn)
{
    char byte = 1;
    if (pipe(alive) != 0)
        bail_out("pipe: %s", strerror(errno));
    holder = fork_child();
    if (holder == 0) {
        sigset_t asked;
        int got, fd = open(file, O_RDWR | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigemptyset(&asked);
        sigaddset(&asked, SIGIO);
        sigprocmask(SIG_BLOCK, &asked, NULL);
        byte = fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
        if (write(alive[1], &byte, 1) != 1 || !byte)
            _exit(1);
        while (stubborn)
            pause();
        _exit(sigwait(&asked, &got) != 0 || fcntl(fd, F_SETLEASE, F_UNLCK) != 0);
    }
    if (read(alive[0], &byte, 1) != 1)
        byte = 0;
    close(alive[0]);
    close(alive[1]);
    if (!byte)
        wait_for(holder);
    return byte;
}

static void end_holder(void)
{
    kill(holder, SIGKILL);
    wait_for(holder);
}

static int save_within(const steadfast_context *c, uint32_t flags, int64_t timeout_ms)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags, .timeout_ms = timeout_ms };
    report.size = sizeof report;
    return steadfast_state_save(c, path, "new", 3, &o, &report);
}

static void save_briefly(void)
{
    save_within(context, 0, 5);
}

static struct clockwork load_clock;
static steadfast_context *load_context;
static void load_briefly(void)
{
    steadfast_state state = { .size = sizeof state };
    report.size = sizeof report;
    steadfast_state_load(load_context, path, NULL, &state, &report);
}

static void names_the_holder(const char *what, void (*call)(void))
{
    int64_t told;
    int named = names_holder(call, path, "LEASE", &told);
    ok(strstr(report.message, "holds a lease on the file") != NULL && strstr(report.message, path) != NULL,
       "%s: the message says what was waited for: %s", what, report.message);
    if (named < 0)
        skip("/proc/locks names nobody", "%s: and who holds it", what);
    else
        ok(named && told == holder, "%s: and who holds it, PID %lld", what, (long long)told);
}

static void save_gives_up(void)
{
    static const uint32_t FLAGS[] = { 0, STEADFAST_SAVE_KEEP_PREVIOUS, STEADFAST_SAVE_NO_SYNC };
    static const char *const NAMES[] = { "a save", "a save with KEEP_PREVIOUS", "a save without a sync" };
    for (int i = 0; i < 3; i++) {
        int64_t began = now_ms();
        int status = save_within(context, FLAGS[i], 50);
        int64_t took = now_ms() - began;
        is_int(status, STEADFAST_E_BUSY, "%s with a timeout of 50 ms, and a lease that is not given up: E_BUSY", NAMES[i]);
        ok(took >= 50 && took < SOON_MS && report.on_disk == STEADFAST_ON_DISK_OLD, "%s: in time, after %lld ms", NAMES[i],
           (long long)took);
    }
    names_the_holder("a save", save_briefly);
    struct clockwork work = { .ns = 1 };
    steadfast_context *c = clockwork_context(&work);
    is_int(save_within(c, 0, 0), STEADFAST_E_BUSY, "a save with the default timeout: E_BUSY");
    ok(work.ns / 1000000 >= 10000 && work.ns / 1000000 < 10010, "after 10 s");
    steadfast_context_free(c);
}

static void load_gives_up(void)
{
    struct clockwork work = { .ns = 1 };
    steadfast_context *c = clockwork_context(&work);
    steadfast_state state = { .size = sizeof state };
    char buffer[8];
    size_t len = 77;
    report.size = sizeof report;
    is_int(steadfast_state_load(c, path, NULL, &state, &report), STEADFAST_E_BUSY, "a load: E_BUSY");
    ok(work.ns / 1000000 >= 10000 && work.ns / 1000000 < 10010 && state.data == NULL, "after 10 s, by a clock that goes as it is slept");
    is_int(steadfast_state_load_into(c, path, NULL, buffer, sizeof buffer, &len, NULL), STEADFAST_E_BUSY, "load_into: E_BUSY");
    ok(work.ns / 1000000 >= 20000 && work.ns / 1000000 < 20020 && len == 77, "after another 10 s");
    steadfast_context_free(c);
    load_context = clockwork_context(&load_clock);
    names_the_holder("a load", load_briefly);
    steadfast_context_free(load_context);
}

/* The lease is given up when the kernel asks for it. */
static void given_up(void)
{
    steadfast_state state = { .size = sizeof state };
    save(path, "leased", STEADFAST_SAVE_KEEP_PREVIOUS);
    if (!lease(path, 0))
        bail_out("no second lease");
    ok(steadfast_state_load(context, path, NULL, &state, NULL) == 0 && state.len == 6, "a lease that is given up: the load goes on");
    steadfast_state_free(&state);
    is_int(wait_for(holder), 0, "its holder was asked");
    if (!lease(path, 0))
        bail_out("no third lease");
    is_int(save_within(context, STEADFAST_SAVE_KEEP_PREVIOUS, 0), SAVED, "a save goes on as well");
    ok(wait_for(holder) == 0 && holds(path, "new") && holds(previous, "leased"), "its holder was asked, and the state is there");
    if (!lease(previous, 0))
        bail_out("no fourth lease");
    unlink(path);
    is_int(save_within(context, STEADFAST_SAVE_KEEP_PREVIOUS, 0), SAVED, "a lease on PATH.prev that is given up: the save goes on");
    is_int(wait_for(holder), 0, "its holder was asked");
    unlink(path);
    if (!lease(previous, 1))
        bail_out("no fifth lease");
    ok(save_within(context, STEADFAST_SAVE_KEEP_PREVIOUS, 50) == STEADFAST_E_BUSY && !exists(path),
       "a lease on PATH.prev that is not: E_BUSY, and nothing changes");
    end_holder();
}

int main(void)
{
    dir = make_temp_dir("lease");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    context = test_context(NULL);
    int fds = count_fds();
    save(path, "first", 0);
    if (!lease(path, 1)) {
        skip("no leases here (F_SETLEASE)", "a lease on the state");
    } else {
        save_gives_up();
        load_gives_up();
        end_holder();
        ok(holds(path, "first") && *leftovers(d, "s") == '\0', "nothing has changed%s", leftovers(d, "s"));
        given_up();
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
