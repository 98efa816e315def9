/* Waits of a save for other processes' flocks: every one ends in time, and says what was waited for. Nothing of it holds off a plain save. */
#include "tap.h"
#include "state_test.h"
#include "waiting.h"

#include <sys/prctl.h>

/* Long before the default of 10 s, long after the timeouts here. */
enum { SOON_MS = 5000 };
static char d[300], path[310];

static int swap(const steadfast_context *c, const char *text, uint64_t expected, int64_t timeout_ms)
{
    steadfast_save_options o = {
        .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = expected, .timeout_ms = timeout_ms
    };
    report.size = sizeof report;
    return steadfast_state_save(c, path, text, strlen(text), &o, &report);
}

static void swap_briefly(void)
{
    swap(context, "too late", 1, 5);
}

static void is_named(const char *who, pid_t expected)
{
    int64_t holder;
    int named = names_holder(swap_briefly, path, "FLOCK", &holder);
    if (named < 0)
        skip("/proc/locks names nobody", "%s: who holds it", who);
    else
        ok(named && holder == expected, "%s: who holds it, PID %lld", who, (long long)holder);
}

/* A save that must give up after 50 ms, since the flock of the state is held. */
static void gives_up(const char *who)
{
    int64_t began = now_ms();
    int status = swap(context, "too late", 1, 50);
    int64_t took = now_ms() - began;
    is_int(status, STEADFAST_E_BUSY, "%s: IF_GENERATION with a timeout of 50 ms is E_BUSY", who);
    ok(took >= 50 && took < SOON_MS, "%s: in time, after %lld ms", who, (long long)took);
    ok(strstr(report.message, "holds the flock of the state") != NULL && strstr(report.message, path) != NULL,
       "%s: the message says what was waited for: %s", who, report.message);
    is_named(who, getpid());
    ok(report.on_disk == STEADFAST_ON_DISK_OLD && holds(path, "first") && *leftovers(d, "s") == '\0', "%s: nothing has changed", who);
}

static void begin(void)
{
    unlink(path);
    if (save(path, "first", 0) != SAVED)
        bail_out("save: %s", report.message);
}

static int open_locked(int operation)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, operation) != 0)
        bail_out("flock %s: %s", path, strerror(errno));
    return fd;
}

static void reader(void)
{
    begin();
    int fd = open_locked(LOCK_SH);
    gives_up("a reader's shared flock");
    steadfast_save_entry entries[2] = { { .size = sizeof entries[0], .path = path, .data = "x", .len = 1 },
                                        { .size = sizeof entries[0], .path = in(d, "other"), .data = "x", .len = 1 } };
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .timeout_ms = 50 };
    is_int(steadfast_state_save_batch(context, entries, 2, &o, &report), STEADFAST_E_BUSY, "a batch with this state in it is E_BUSY");
    ok(entries[0].status == STEADFAST_E_BUSY && entries[0].on_disk == STEADFAST_ON_DISK_OLD && entries[1].status == SAVED,
       "for this state alone: the other one is saved");
    unlink(in(d, "other"));
    is_int(save(path, "plain", 0), SAVED, "a plain save does not wait");
    is_int(save(path, "keeps", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "nor one with KEEP_PREVIOUS");
    unlink(in(d, "s.prev"));
    close(fd);
}

/* The timeout by a clock that goes as it is slept. */
static int held = -1;
static void release(void)
{
    close(held);
    held = -1;
}

static void timeouts(void)
{
    static const struct {
        int64_t timeout_ms, least_ms, most_ms;
        size_t size;
        const char *name;
    } WAITS[] = { { 0, 10000, 10010, sizeof(steadfast_save_options), "0 is 10 s" },
                  { 70, 70, 75, sizeof(steadfast_save_options), "70 ms" },
                  { 60000, 60000, 60010, sizeof(steadfast_save_options), "a minute" },
                  { 77, 10000, 10010, offsetof(steadfast_save_options, timeout_ms), "the options of a caller who knows none: 10 s" } };
    for (int i = 0; i < 4; i++) {
        struct clockwork work = { .ns = 5 };
        steadfast_context *c = clockwork_context(&work);
        steadfast_save_options o = {
            .size = WAITS[i].size, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 1, .timeout_ms = WAITS[i].timeout_ms
        };
        begin();
        held = open_locked(LOCK_EX);
        int status = steadfast_state_save(c, path, "x", 1, &o, NULL);
        int64_t slept = work.ns / 1000000;
        ok(status == STEADFAST_E_BUSY && slept >= WAITS[i].least_ms && slept <= WAITS[i].most_ms, "timeout_ms, %s: gives up after %lld ms",
           WAITS[i].name, (long long)slept);
        release();
        steadfast_context_free(c);
    }
    for (int i = 0; i < 2; i++) {
        /* A negative one is for ever; a longer one than the wait is never noticed. */
        struct clockwork work = { .at_ms = i == 0 ? 100000 : 500, .event = release };
        steadfast_context *c = clockwork_context(&work);
        begin();
        held = open_locked(LOCK_EX);
        ok(swap(c, "in time", 1, i == 0 ? -1 : 1000) == SAVED && holds(path, "in time") && held == -1, "timeout_ms %d: %s",
           i == 0 ? -1 : 1000, i == 0 ? "the flock is given up after 100 s, and the save is done" : "given up in time");
        steadfast_context_free(c);
    }
}

/* Another saver that compares and swaps: it stops in the midst of it, holding the state's flock. */
static void stop_at_sync(struct faults *f, int call, const char *name)
{
    (void)name;
    if ((call == STEADFAST_CALL_FSYNC || call == STEADFAST_CALL_FDATASYNC) && f->made[call] == 1)
        raise(SIGSTOP);
}

static void stopped_saver(void)
{
    int status = 0;
    begin();
    pid_t child = fork_child();
    if (child == 0) {
        struct faults f = { .before = stop_at_sync };
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        steadfast_context *c = faults_context(&f);
        int32_t swapped = swap(c, "by the stopped one", 1, 0);
        steadfast_context_free(c);
        _exit(swapped == STEADFAST_E_CONFLICT ? 0 : 1);
    }
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
        bail_out("the other saver does not stop");
    int64_t began = now_ms();
    is_int(swap(context, "too late", 1, 50), STEADFAST_E_BUSY, "a stopped saver: IF_GENERATION with a timeout of 50 ms is E_BUSY");
    ok(now_ms() - began < SOON_MS && holds(path, "first"), "a stopped saver: in time, the state stands");
    is_named("a stopped saver", child);
    is_int(save(path, "plain", 0), SAVED, "a stopped saver: a plain save is not held off");
    kill(child, SIGCONT);
    is_int(wait_for(child), 0, "a stopped saver: it goes on, and sees that it lost");
    ok(holds(path, "plain") && *leftovers(d, "s") == '\0', "a stopped saver: nothing of it is left%s", leftovers(d, "s"));
}

/* A saver that compares and swaps forks, and is killed: the child holds its flock on. */
static int ready[2], go_on[2];
static void fork_and_die(struct faults *f, int call, const char *name)
{
    char byte = 0;
    (void)f, (void)name;
    if (call != STEADFAST_CALL_FSYNC && call != STEADFAST_CALL_FDATASYNC)
        return;
    if (fork() == 0) {
        close(go_on[1]);
        if (write(ready[1], &byte, 1) == 1 && read(go_on[0], &byte, 1) >= 0)
            _exit(0);
        _exit(1);
    }
    if (read(ready[0], &byte, 1) == 1)
        raise(SIGKILL);
}

static void killed_saver(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        skip("nobody can adopt orphans here (qemu-user)", "a saver is killed that had forked a child");
        return;
    }
    if (pipe(ready) != 0 || pipe(go_on) != 0)
        bail_out("pipe: %s", strerror(errno));
    begin();
    pid_t child = fork_child();
    if (child == 0) {
        struct faults f = { .before = fork_and_die };
        _exit(swap(faults_context(&f), "killed", 1, 0) == 0);
    }
    is_int(wait_for(child), 1000 + SIGKILL, "a saver is killed that had forked a child");
    /* Its orphan is still flocked by the child, too. */
    int64_t began = now_ms();
    is_int(swap(context, "too late", 1, 50), STEADFAST_E_BUSY, "its child holds the flock on: E_BUSY");
    ok(now_ms() - began < SOON_MS && strstr(report.message, "a child forked from one") != NULL, "in time, and the message says so: %s",
       report.message);
    is_int(save(path, "plain", 0), SAVED, "a plain save is not held off");
    close(go_on[0]);
    close(go_on[1]);
    is_int(wait_for(-1), 0, "the child ends");
    ok(swap(context, "swapped", 2, 50) == SAVED && *leftovers(d, "s") == '\0', "the next save swaps, and clears up%s", leftovers(d, "s"));
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    dir = make_temp_dir("wait");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    context = test_context(NULL);
    int fds = count_fds();
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "waits for a flock");
    } else {
        reader();
        timeouts();
        stopped_saver();
        killed_saver();
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
