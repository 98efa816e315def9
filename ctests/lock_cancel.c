/* cancel_fd ends a wait for a lock when it becomes readable, without a race; EINTR_RETURNS, beside it, does as before. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

#include <sys/eventfd.h>

static char *dir, *lock;
static steadfast_context *context, *watching;
static steadfast_report report;
static steadfast_lock *held;
static int ends[2];

/* What happens when a waiter is about to sleep for the time number `at`. */
static struct {
    int at;
    void (*what)(void);
    int after;      /* sleeps from then on */
    int answer;     /* and the answer of the first of these */
    int64_t last;   /* how long the last sleep was to be */
    int polls;
} sleeper;

/* The sleeps of a wait up to the one that would be for ever; 20 where it polls. */
static int sleeps;

static int32_t poll_hook(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    /* A look at the holder. */
    if (timeout_ns == 0)
        return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
    sleeper.last = timeout_ns;
    if (++sleeper.polls == sleeper.at && sleeper.what != NULL)
        sleeper.what();
    if (sleeper.polls >= sleeper.at && sleeper.after++ == 0 && sleeper.answer != 0)
        return sleeper.answer;
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static void set(int at, void (*what)(void))
{
    memset(&sleeper, 0, sizeof sleeper);
    sleeper.at = at, sleeper.what = what;
}

static int32_t acquire(int64_t timeout_ms, uint32_t flags, int cancel_fd)
{
    steadfast_lock_options options = lock_options(flags, 0);
    options.cancel_fd = cancel_fd;
    report = (steadfast_report){ .size = sizeof report };
    held = (steadfast_lock *)&held;
    return steadfast_lock_acquire(watching, lock, timeout_ms, &options, &held, &report);
}

/* The lock is still the live process's that it names, and nothing of ours is left. */
static int nothing_changed(void)
{
    char *content = read_file(lock, NULL);
    int same = content != NULL && atol(content) == 1;
    free(content);
    return same && held == NULL && strcmp(leftovers(dir, "lock"), "") == 0;
}

static int was_canceled(int32_t status)
{
    return status == -ECANCELED && report.status == status && report.os_error == ECANCELED && report.step == STEADFAST_STEP_WAIT
           && strstr(report.message, "cancel_fd") != NULL && nothing_changed();
}

static void cancel(void)
{
    if (write(ends[1], "c", 1) != 1)
        bail_out("pipe: %s", strerror(errno));
}

static int take_back(void)
{
    char byte;
    return read(ends[0], &byte, 1) == 1;
}

static void let_go(void)
{
    unlink(lock);
}

static void let_go_and_cancel(void)
{
    let_go();
    cancel();
}

static void before(void)
{
    write_pid(lock, 1);
    cancel();
    set(0, NULL);
    int descriptors = count_fds();
    ok(was_canceled(acquire(-1, 0, ends[0])) && sleeper.polls == 1, "readable before the wait: -ECANCELED at once");
    is_int(count_fds(), descriptors, "no descriptor is left");
    is_int(acquire(0, 0, ends[0]), STEADFAST_E_LOCKED, "with timeout 0 there is no wait to end: E_LOCKED");
    unlink(lock);
    ok(acquire(-1, 0, ends[0]) == 0 && steadfast_lock_release(held, NULL) == 0, "nor for a lock that is free: taken");
    ok(take_back(), "the byte is still in the pipe: it is only polled");
}

/* At each sleep of a wait in turn: the short ones, those on inotify and the holder. */
static void during(void)
{
    int bad = 0, longest = 0;
    write_pid(lock, 1);
    for (sleeper.last = 0; sleeps < 20 && sleeper.last >= 0;) {
        set(++sleeps, cancel);
        int32_t status = acquire(-1, 0, ends[0]);
        bad += !was_canceled(status) || sleeper.after != 1;
        longest += sleeper.last < 0 || sleeper.last > 1000000;
        bad += !take_back();
    }
    ok(bad == 0 && longest > 0, "readable when a wait is about to sleep, for each of its first %d sleeps: -ECANCELED by that very sleep",
       sleeps);

    steadfast_context *kept = watching;
    steadfast_hooks hooks = test_hooks();
    hooks.absent |= STEADFAST_ABSENT_INOTIFY | STEADFAST_ABSENT_PIDFD;
    hooks.poll = poll_hook;
    watching = test_context(&hooks);
    set(18, cancel);
    ok(was_canceled(acquire(-1, 0, ends[0])) && sleeper.after == 1, "the same where a wait polls");
    take_back();
    steadfast_context_free(watching);
    watching = kept;

    int event = eventfd(0, EFD_CLOEXEC);
    if (eventfd_write(event, 1) != 0)
        bail_out("eventfd");
    set(0, NULL);
    ok(was_canceled(acquire(-1, 0, event)), "an eventfd does as well");
    close(event);
    int closed[2];
    if (pipe2(closed, O_CLOEXEC) != 0)
        bail_out("pipe");
    close(closed[1]);
    ok(was_canceled(acquire(-1, 0, closed[0])), "and a pipe whose other end is closed");
    close(closed[0]);
    unlink(lock);
}

/* The lock is let go and the wait is canceled at one moment: either answer, and what is there agrees with it. */
static void together(void)
{
    int bad = 0, taken = 0;
    for (int at = 1; at <= sleeps; at++) {
        write_pid(lock, 1);
        set(at, let_go_and_cancel);
        int32_t status = acquire(-1, 0, ends[0]);
        char *content = read_file(lock, NULL);
        if (status == 0) {
            taken++;
            bad += content == NULL || atol(content) != getpid() || steadfast_lock_release(held, NULL) != 0;
        } else {
            bad += status != -ECANCELED || held != NULL || content != NULL;
        }
        free(content);
        bad += !take_back() || count_entries(dir) != 0;
        set(0, NULL);
        status = acquire(0, 0, 0);
        bad += status != 0 || steadfast_lock_release(held, NULL) != 0;
    }
    ok(bad == 0, "released and canceled at one moment, %d times: taken (%d) or -ECANCELED, and nothing is lost", sleeps, taken);
}

static volatile sig_atomic_t handled;

static void handler(int signal)
{
    (void)signal;
    handled = 1;
    if (write(ends[1], "c", 1) != 1)
        _exit(97);
}

static void raise_it(void)
{
    raise(SIGTERM);
}

static void signals(void)
{
    struct sigaction action = { .sa_handler = handler }, was;
    sigaction(SIGTERM, &action, &was);
    write_pid(lock, 1);
    set(sleeps, raise_it);
    ok(was_canceled(acquire(-1, 0, ends[0])) && handled, "a signal that is handled just before the sleep, its handler writes: -ECANCELED");
    take_back();
    sigaction(SIGTERM, &was, NULL);

    set(sleeps, NULL);
    sleeper.answer = -EINTR;
    ok(acquire(-1, STEADFAST_LOCK_EINTR_RETURNS, ends[0]) == -EINTR && report.step == STEADFAST_STEP_WAIT && nothing_changed(),
       "EINTR_RETURNS with a cancel_fd: -EINTR");
    set(sleeps, NULL);
    sleeper.answer = -EINTR;
    ok(acquire(-1, STEADFAST_LOCK_EINTR_RETURNS, 0) == -EINTR && nothing_changed(), "and without one");
    set(sleeps, cancel);
    sleeper.answer = -EINTR;
    ok(was_canceled(acquire(-1, 0, ends[0])) && sleeper.after == 2,
       "without EINTR_RETURNS a signal ends nothing, and cancel_fd is seen next");
    take_back();
    unlink(lock);
}

static void not_readable(void)
{
    set(sleeps, let_go);
    write_pid(lock, 1);
    ok(acquire(-1, 0, ends[0]) == 0 && steadfast_lock_release(held, NULL) == 0, "not readable: the wait ends when the lock is let go");
    write_pid(lock, 1);
    set(0, NULL);
    int64_t begun = monotonic_ms();
    int32_t status = acquire(60, 0, ends[0]);
    ok(status == STEADFAST_E_LOCKED && monotonic_ms() - begun >= 59 && nothing_changed(), "or at its timeout: E_LOCKED");
    unlink(lock);
}

static void no_descriptor(void)
{
    int closed = fcntl(ends[0], F_DUPFD_CLOEXEC, 200);
    close(closed);
    write_pid(lock, 1);
    set(0, NULL);
    int32_t status = acquire(-1, 0, closed);
    ok(status == -EBADF && report.os_error == EBADF && report.step == STEADFAST_STEP_WAIT && strstr(report.message, "cancel_fd") != NULL
           && nothing_changed(),
       "a number that is no descriptor: -EBADF, and the message says cancel_fd");
    is_int(acquire(-1, 0, -1), -EINVAL, "a negative one: -EINVAL");
    ok(report.step == STEADFAST_STEP_ARGUMENTS && strstr(report.message, "cancel_fd") != NULL && held == NULL, "and the message says so");

    steadfast_lock_options options = lock_options(0, 0);
    options.reserved = 1;
    held = (steadfast_lock *)&held;
    ok(steadfast_lock_acquire(watching, lock, 0, &options, &held, NULL) == -EINVAL && held == NULL, "reserved is not 0: -EINVAL");
    options = lock_options(0, 0);
    options.size = offsetof(steadfast_lock_options, cancel_fd);
    options.cancel_fd = -1;
    is_int(steadfast_lock_acquire(watching, lock, 0, &options, &held, NULL), STEADFAST_E_LOCKED, "options that end before it have none");
    unlink(lock);
}

int main(void)
{
    dir = make_temp_dir("cancel");
    lock = strdup(in(dir, "lock"));
    steadfast_hooks hooks = test_hooks();
    hooks.poll = poll_hook;
    watching = test_context(&hooks);
    context = test_context(NULL);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        bail_out("pipe");
    alarm(60); /* a wait without end is a failure */
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "ending a wait");
    } else {
        before();
        during();
        together();
        signals();
        not_readable();
        no_descriptor();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    steadfast_context_free(watching);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
