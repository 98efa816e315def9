/* What the tests of waits share: a time measured, a clock that only a hook moves, who holds a lock by /proc/locks. Include state_test.h first. */
#ifndef WAITING_H
#define WAITING_H

#include <sys/file.h>
#include <sys/sysmacros.h>
#include <time.h>

/* Milliseconds of the monotonic clock. */
static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A monotonic clock that goes by what is slept, at once. `at_ms`: when `event` happens. */
struct clockwork {
    int64_t ns, at_ms;
    void (*event)(void);
    long sleeps;
};

static inline int32_t clockwork_clock(void *user, int32_t clock, int64_t *ns)
{
    struct clockwork *c = user;
    if (clock != STEADFAST_CLOCK_MONOTONIC)
        return REAL->clock(NULL, clock, ns);
    *ns = c->ns;
    return 0;
}

static inline int32_t clockwork_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    struct clockwork *c = user;
    (void)fds, (void)count;
    c->sleeps++;
    /* A wait without an end, or one so short that it never comes to it, is a defect. */
    if (timeout_ns <= 0 || c->sleeps > 1000000)
        _exit(96);
    c->ns += timeout_ns;
    if (c->event != NULL && c->ns >= c->at_ms * 1000000) {
        c->event();
        c->event = NULL;
    }
    return 0;
}

static inline steadfast_context *clockwork_context(struct clockwork *c)
{
    steadfast_hooks h = test_hooks();
    h.user = c;
    h.clock = clockwork_clock;
    h.poll = clockwork_poll;
    return test_context(&h);
}

/* Whom /proc/locks names as holder of a lock of this kind ("FLOCK", "LEASE") on the file; 0 when it tells nobody, or is absent. */
static inline int64_t told_holder(const char *path, const char *kind)
{
    char line[300], what[20];
    unsigned major, minor;
    unsigned long long inode;
    int pid, found = 0;
    struct stat st;
    FILE *locks = fopen("/proc/locks", "r");
    if (locks == NULL || stat(path, &st) != 0 || (test_absent() & STEADFAST_ABSENT_PROC) != 0)
        return locks != NULL ? fclose(locks), 0 : 0;
    while (found == 0 && fgets(line, sizeof line, locks) != NULL)
        if (sscanf(line, "%*d: %19s %*s %*s %d %x:%x:%llu", what, &pid, &major, &minor, &inode) == 5 && strcmp(what, kind) == 0
            && inode == st.st_ino && makedev(major, minor) == st.st_dev && pid > 0)
            found = pid;
    fclose(locks);
    return found;
}

/* Does `call` name the holder that /proc/locks tells, in its report and in its message? The kernel lists all locks of the machine there, and one that
 * is taken or given up elsewhere during a read may hide a line: hence some tries. -1: it tells nobody. */
static inline int names_holder(void (*call)(void), const char *path, const char *kind, int64_t *holder)
{
    for (int tries = 0; tries < 20; tries++) {
        char pid[40];
        *holder = told_holder(path, kind);
        call();
        snprintf(pid, sizeof pid, "(PID %lld)", (long long)*holder);
        if (*holder != 0 && report.pid == *holder && strstr(report.message, pid) != NULL)
            return 1;
    }
    return *holder == 0 ? -1 : 0;
}

#endif
