/*
 * The sweep over locks: every call of acquire, clean, inspect and release is failed in turn, with every errno,
 * once and for ever. Whatever fails, a live owner keeps its lock, and no error leaves one of ours behind.
 */
#include "tap.h"
#include "check.h"

#include <sys/prctl.h>

enum { ACQUIRE, CLEAN, INSPECT, RELEASE };
enum { FREE, STALE, HELD };

struct lock_scenario {
    const char *name;
    int operation, there;
    int result;          /* without a fault */
};

static const struct lock_scenario LOCKS[] = {
    { "acquire a free lock", ACQUIRE, FREE, STEADFAST_OK },
    { "acquire a stale lock", ACQUIRE, STALE, STEADFAST_OK },
    { "acquire a held lock", ACQUIRE, HELD, STEADFAST_E_LOCKED },
    { "clean no lock", CLEAN, FREE, STEADFAST_LOCK_ABSENT },
    { "clean a stale lock", CLEAN, STALE, STEADFAST_LOCK_REMOVED },
    { "clean a held lock", CLEAN, HELD, STEADFAST_LOCK_HELD },
    { "inspect a stale lock", INSPECT, STALE, STEADFAST_LOCK_STALE },
    { "inspect a held lock", INSPECT, HELD, STEADFAST_LOCK_HELD },
    { "release", RELEASE, FREE, STEADFAST_OK },
};

static char *dir, path[300];
static pid_t dead, alive;
static struct faults f;
static int baseline;

static int names(pid_t pid)
{
    char text[32];
    return file_is(path, text, (size_t)snprintf(text, sizeof text, "%ld\n", (long)pid));
}

static void put(int there)
{
    char text[32];
    unlink(path);
    if (there != FREE) {
        snprintf(text, sizeof text, "%ld\n", (long)(there == STALE ? dead : alive));
        write_text(path, text);
    }
}

static int is_verdict(int result)
{
    return result >= STEADFAST_LOCK_ABSENT && result <= STEADFAST_LOCK_STALE;
}

/* On FUSE a lock is taken by its name. What can then not be removed any more stays, and names this process; or it is empty with the mark,
 * which is stale, and stays as well where nothing can be asked about it. */
static int may_stay(void)
{
    uint64_t removal = UINT64_C(1) << STEADFAST_CALL_UNLINKAT;
    uint64_t looks = UINT64_C(1) << STEADFAST_CALL_FSTAT | UINT64_C(1) << STEADFAST_CALL_FSTATAT;
    if ((f.failed & removal) != 0 && names(getpid()))
        return 1;
    return (f.failed & (looks | removal)) != 0 && file_is(path, "", 0)
           && steadfast_lock_inspect(NULL, path, NULL, NULL) == STEADFAST_LOCK_STALE;
}

/* What is wrong with the lock file after `result`. */
static const char *check_file(const struct lock_scenario *s, int result, int before_release)
{
    switch (s->operation) {
    case ACQUIRE:
        if (result >= 0 && before_release && !names(getpid()))
            COMPLAIN("taken, but the file does not name this process");
        if (result < 0 && s->there == FREE && exists(path) && (f.failed & 1u << STEADFAST_CALL_UNLINKAT) == 0 && !may_stay())
            COMPLAIN("%s, but a lock file is there", steadfast_status_name(result));
        if (result < 0 && s->there == STALE && exists(path) && !names(dead) && !may_stay())
            COMPLAIN("%s, but the lock file is another", steadfast_status_name(result));
        break;
    case CLEAN:
        if (s->there == STALE && (result == STEADFAST_LOCK_REMOVED) != !exists(path))
            COMPLAIN("%d (%s), and the lock file is %s", result, steadfast_status_name(result), exists(path) ? "there" : "gone");
        break;
    case INSPECT:
        if (s->there == STALE && !names(dead))
            COMPLAIN("inspect changed something");
        break;
    case RELEASE:
        if (result == STEADFAST_OK && exists(path))
            COMPLAIN("released, but the lock file is there");
        if (result < 0 && exists(path) && !names(getpid()))
            COMPLAIN("not released, and the lock file names someone else");
        break;
    }
    if (s->there == HELD && !names(alive))
        COMPLAIN("the lock of a live owner was taken away");
    if (s->there == HELD && (result == STEADFAST_LOCK_STALE || (s->operation == ACQUIRE && result == STEADFAST_OK)))
        COMPLAIN("a live owner was taken for dead");
    return NULL;
}

/* May this be the result, when such a call failed? */
static int is_possible(const struct lock_scenario *s, const struct fault *fault, int result)
{
    if (result == baseline || result == -fault->error)
        return 1;
    if (result == STEADFAST_E_UNSUPPORTED)
        return is_unsupported(fault->error);
    /* Without hard links, and with renameat2 taken for missing too, a name cannot be created. */
    if (s->operation == ACQUIRE && result == -EPERM)
        return (test_absent() & STEADFAST_ABSENT_LINK) != 0 && (f.failed & 1u << STEADFAST_CALL_RENAMEAT) != 0;
    if (s->operation == ACQUIRE)
        return result == STEADFAST_E_LOCKED && s->there != FREE;
    return s->operation != RELEASE && result == STEADFAST_LOCK_UNDECIDED;
}

static const char *check_lock(const struct lock_scenario *s, const struct fault *fault)
{
    static const struct fault none = { 0 };
    steadfast_report report = { .size = sizeof report };
    steadfast_context *context = faults_context(&f);
    steadfast_lock *lock = NULL;
    const char *wrong;
    int before, result = 0;

    put(s->there);
    before = count_fds();
    set_fault(&f, &none);
    if (s->operation == RELEASE && steadfast_lock_acquire(context, path, 0, NULL, &lock, NULL) != 0) {
        steadfast_context_free(context);
        COMPLAIN("cannot be taken");
    }
    set_fault(&f, fault);
    switch (s->operation) {
    case ACQUIRE: result = steadfast_lock_acquire(context, path, 0, NULL, &lock, &report); break;
    case CLEAN: result = steadfast_lock_clean_stale(context, path, NULL, &report); break;
    case INSPECT: result = steadfast_lock_inspect(context, path, NULL, &report); break;
    case RELEASE:
        result = steadfast_lock_release(lock, &report);
        lock = NULL;
        break;
    }
    f.fail_at = 0;
    steadfast_context_free(context);
    wrong = check_file(s, result, 1);
    if ((result == STEADFAST_OK && s->operation == ACQUIRE) != (lock != NULL))
        COMPLAIN("%s, but %s lock", steadfast_status_name(result), lock == NULL ? "no" : "a");
    if (lock != NULL && steadfast_lock_release(lock, NULL) != 0)
        COMPLAIN("the lock taken cannot be released");
    if (wrong != NULL)
        return wrong;
    if (count_fds() != before)
        COMPLAIN("%s: %d descriptors open, %d before", steadfast_status_name(result), count_fds(), before);
    if (report.status != result || strstr(report.message, "/lock") == NULL)
        COMPLAIN("%s: the report says status %d: %s", steadfast_status_name(result), report.status, report.message);
    if (result < 0 && result >= -4095 && (report.os_error != -result || report.step == STEADFAST_STEP_NONE))
        COMPLAIN("%s: the report says os_error %d, step %d", steadfast_status_name(result), report.os_error, report.step);
    if (s->operation != ACQUIRE && s->operation != RELEASE && result >= 0 && !is_verdict(result))
        COMPLAIN("%d is no verdict", result);
    if (fault->at != 0 && !is_possible(s, fault, result))
        COMPLAIN("%d (%s), but what failed was %s", result, steadfast_status_name(result), steadfast_status_name(-fault->error));
    if (fault->error == EINTR && !fault->for_ever && fault->at != 0 && result != baseline)
        COMPLAIN("one EINTR made it %d (%s)", result, steadfast_status_name(result));
    wrong = leftovers(dir, "lock");
    if (*wrong != '\0' && !may_leave_temp(&f, 0))
        COMPLAIN("%s: left over:%.500s", steadfast_status_name(result), wrong);

    /* And life goes on: what is left of the fault keeps nobody from taking the lock. */
    if (s->there == HELD || (test_absent() & STEADFAST_ABSENT_FLOCK) != 0)
        return NULL;
    if (s->operation == RELEASE || ((f.failed & 1u << STEADFAST_CALL_UNLINKAT) != 0 && names(getpid())))
        unlink(path);
    context = test_context(NULL);
    result = steadfast_lock_acquire(context, path, 0, NULL, &lock, &report);
    if (result == 0)
        result = steadfast_lock_release(lock, &report);
    steadfast_context_free(context);
    if (result != 0)
        COMPLAIN("afterwards it is %s: %s", steadfast_status_name(result), report.message);
    return NULL;
}

static void clear_leftovers(void)
{
    for (int i = 0; i < 5; i++) {
        char name[40];
        snprintf(name, sizeof name, ".lock.%d.tmp", i);
        unlink(in(dir, name));
    }
}

static void sweep(const struct lock_scenario *s)
{
    static const struct fault none = { 0 };
    const char *wrong;
    baseline = s->result;
    if ((test_absent() & STEADFAST_ABSENT_FLOCK) != 0 && (s->operation == ACQUIRE || s->there == STALE))
        baseline = STEADFAST_E_UNSUPPORTED;
    if ((test_absent() & STEADFAST_ABSENT_FLOCK) != 0 && s->operation == RELEASE) {
        skip("without flock (absent) no lock is taken", "sweep: %s", s->name);
        return;
    }
    wrong = check_lock(s, &none);
    if (!ok(wrong == NULL, "sweep: %s: without a fault %d", s->name, baseline))
        diag("%s", wrong);
    for (int i = 0; i < SWEEP_ERROR_COUNT; i++) {
        int error = SWEEP_ERRORS[i];
        long runs = 0;
        wrong = NULL;
        for (int for_ever = 0; for_ever < 2 && wrong == NULL; for_ever++) {
            if (for_ever && error == EINTR && test_small())
                continue;
            for (long at = 1; at < 200 && wrong == NULL; at++) {
                struct fault fault = { .error = error, .for_ever = for_ever, .at = at };
                alarm(120);
                wrong = check_lock(s, &fault);
                alarm(0);
                runs++;
                if (wrong != NULL)
                    diag("call %ld%s: %s", at, for_ever ? " and all later ones" : "", wrong);
                if (f.failed == 0)
                    break;
                clear_leftovers();
            }
        }
        ok(wrong == NULL, "sweep: %s: %s, once and for ever, %ld runs", s->name, steadfast_status_name(-error), runs);
        clear_leftovers();
    }
}

int main(void)
{
    dir = make_temp_dir("sweeplock");
    snprintf(path, sizeof path, "%s/lock", dir);
    dead = fork_child();
    if (dead == 0)
        _exit(0);
    wait_for(dead);
    alive = fork_child();
    if (alive == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    for (size_t i = 0; i < sizeof LOCKS / sizeof LOCKS[0]; i++)
        sweep(&LOCKS[i]);
    kill(alive, SIGKILL);
    wait_for(alive);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
