/* Waiting and releasing while the surroundings move: a busy directory, another working directory, a nested PID
 * namespace. Nothing here may lose a wake-up or a lock. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"
#include <sched.h>
#include <time.h>

enum { DEADLINE_MS = 6000, EARLY_MS = 3000 };

static char *dir;
static char lock[600];

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* An unrelated name comes and goes before every sleep: the directory always has something to tell. */
static int noisy;

/* What happens once, when the waiter goes to sleep on its descriptors (two of them, not in its first short sleeps). */
static void (*when_asleep)(void);
static void (*when_napping)(void);

static int32_t telling_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    void (**next)(void) = count == 2 ? &when_asleep : &when_napping;
    (void)user;
    if (*next != NULL && count != 1) {
        void (*happen)(void) = *next;
        *next = NULL;
        happen();
    }
    if (noisy) {
        close(open(in(dir, "other"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        unlink(in(dir, "other"));
    }
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static steadfast_context *telling_context(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.poll = telling_poll;
    return test_context(&hooks);
}

static void write_dead_owner(void)
{
    write_pid(lock, dead_pid());
}

static void busy_directory(void)
{
    steadfast_context *context = telling_context();
    steadfast_lock *held = NULL;
    write_text(lock, "");
    noisy = 1;
    when_asleep = write_dead_owner;
    long begun = now_ms();
    int32_t status = steadfast_lock_acquire(context, lock, DEADLINE_MS, NULL, &held, NULL);
    long waited = now_ms() - begun;
    noisy = 0;
    ok(status == 0 && when_asleep == NULL, "a lock that became stale in a busy directory is taken");
    ok(waited < EARLY_MS, "as soon as the next look, not at the deadline: %ld ms", waited);
    if (status == 0)
        is_int(steadfast_lock_release(held, NULL), 0, "and released");
    when_asleep = NULL;
    unlink(lock);
    steadfast_context_free(context);
}

static int to_holder[2];

static void tell_holder(void)
{
    if (write(to_holder[1], "", 1) != 1)
        bail_out("pipe: %s", strerror(errno));
}

static void go_elsewhere(void)
{
    if (chdir("/") != 0)
        bail_out("chdir: %s", strerror(errno));
}

static void changed_directory(void)
{
    if (!has(STEADFAST_ABSENT_PROC)) {
        skip("without /proc the watch goes by the path", "chdir during a wait");
        return;
    }
    if (pipe2(to_holder, O_CLOEXEC) != 0 || chdir(dir) != 0)
        bail_out("%s", strerror(errno));
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0)
        bail_out("pipe: %s", strerror(errno));
    pid_t holder = fork_child();
    if (holder == 0) {
        static steadfast_lock *held;
        char byte = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (steadfast_lock_acquire(child_context(NULL), lock, 0, NULL, &held, NULL) != 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        if (read(to_holder[0], &byte, 1) == 1)
            steadfast_lock_release(held, NULL);
        for (;;)
            pause(); /* alive, so that only the name tells */
    }
    close(ready[1]);
    char byte;
    if (read(ready[0], &byte, 1) != 1)
        bail_out("no holder");
    steadfast_context *context = telling_context();
    steadfast_lock *held = NULL;
    when_napping = go_elsewhere;
    when_asleep = tell_holder;
    long begun = now_ms();
    int32_t status = steadfast_lock_acquire(context, "lock", DEADLINE_MS, NULL, &held, NULL);
    long waited = now_ms() - begun;
    ok(status == 0 && when_napping == NULL && when_asleep == NULL, "another thread changes the directory during a wait: taken");
    ok(waited < EARLY_MS, "at its release, not at the deadline: %ld ms", waited);
    if (status == 0)
        is_int(steadfast_lock_release(held, NULL), 0, "released where it was taken");
    ok(!exists(lock), "nothing is left");
    when_napping = when_asleep = NULL;
    stop(holder);
    close(ready[0]);
    close(to_holder[0]);
    close(to_holder[1]);
    steadfast_context_free(context);
}

/* Runs as PID 1 of a PID namespace; the exit status says how far it came. */
static int first_of_its_namespace(void)
{
    static steadfast_lock *held, *second;
    steadfast_context *context = child_context(NULL);
    if (getpid() != 1 || steadfast_lock_acquire(context, lock, 0, NULL, &held, NULL) != 0)
        return 1;
    if (unshare(CLONE_NEWPID) != 0)
        return 2;
    pid_t child = fork();
    if (child == 0)
        _exit(getpid() == 1 && steadfast_lock_release(held, NULL) == STEADFAST_E_WRONG_PROCESS && exists(lock) ? 0 : 1);
    if (wait_for(child) != 0)
        return 3;
    if (steadfast_lock_acquire(context, lock, 0, NULL, &second, NULL) != STEADFAST_E_LOCKED)
        return 4;
    return steadfast_lock_release(held, NULL) == 0 && !exists(lock) ? 0 : 5;
}

static void nested_namespace(void)
{
    if (geteuid() != 0 || !has(STEADFAST_ABSENT_PROC)) {
        skip(geteuid() != 0 ? "needs root" : "without /proc a namespace has no name", "PID 1 of a nested PID namespace");
        return;
    }
    pid_t outside = fork_child();
    if (outside == 0) {
        if (unshare(CLONE_NEWPID) != 0)
            _exit(9);
        pid_t first = fork();
        if (first == 0)
            _exit(first_of_its_namespace());
        _exit(wait_for(first));
    }
    is_int(wait_for(outside), 0, "PID 1 of a nested PID namespace does not release the lock of PID 1 outside");
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("elsewhere");
    snprintf(lock, sizeof lock, "%s/lock", dir);
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "locks in moving surroundings");
    } else {
        busy_directory();
        changed_directory();
        nested_namespace();
    }
    go_elsewhere();
    remove_tree(dir);
    return done_testing();
}
