/* Taking, releasing and judging a lock. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

struct lock_file {
    const char *dir;
    const char *name;
    char path[256];
    int32_t verdict;
    steadfast_report *report;
};

static struct lock_file lock_file(const char *dir, const char *name)
{
    struct lock_file place = { .dir = dir, .name = name };
    snprintf(place.path, sizeof place.path, "%s/%s", dir, name);
    return place;
}

static void lock_ours(void *arg)
{
    struct lock_file *place = arg;
    steadfast_lock *lock;
    must(steadfast_lock_acquire(NULL, place->path, 0, NULL, &lock, place->report) == 0, "steadfast_lock_acquire");
    must(steadfast_lock_release(lock, place->report) == 0, "steadfast_lock_release");
}

/* What nearly every program does: no check of the owner, nothing that survives its death. */
static void lock_bare(void *arg)
{
    struct lock_file *place = arg;
    char text[16];
    int file = open(place->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    must(file >= 0, "open");
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    must(write(file, text, (size_t)len) == len, "write");
    close(file);
    must(unlink(place->path) == 0, "unlink");
}

static void inspect(void *arg)
{
    struct lock_file *place = arg;
    int32_t verdict = steadfast_lock_inspect(NULL, place->path, NULL, place->report);
    if (verdict != place->verdict) {
        steadfast_report report = { .size = sizeof report };
        int32_t again = steadfast_lock_inspect(NULL, place->path, NULL, &report);
        fprintf(stderr, "inspect: %d instead of %d; then %d: %s\n", verdict, place->verdict, again, report.message);
        exit(1);
    }
}

/* Opening and reading alone, in the library's way: directory, then the name in it. */
static void look(void *arg)
{
    struct lock_file *place = arg;
    struct stat stat;
    char text[64];
    int dir = open(place->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0, "open directory");
    int file = openat(dir, place->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    must(file >= 0, "open");
    must(fstat(file, &stat) == 0, "fstat");
    must(pread(file, text, sizeof text, 0) > 0, "pread");
    close(file);
    close(dir);
}

/* No process ever has this PID (PID_MAX_LIMIT): one that has only died may be somebody else's a moment later. */
enum { NOBODY = 4194304 };

static void write_pid(const char *path, pid_t pid)
{
    FILE *file = fopen(path, "w");
    must(file != NULL, path);
    fprintf(file, "%d\n", (int)pid);
    must(fclose(file) == 0, path);
}

/* A process that holds the lock until `end` is closed. */
static pid_t start_holder(const char *path, int *end)
{
    int ready[2], stop[2];
    char byte = 0;
    must(pipe2(ready, O_CLOEXEC) == 0 && pipe2(stop, O_CLOEXEC) == 0, "pipe2");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        steadfast_lock *lock;
        close(stop[1]);
        if (steadfast_lock_acquire(NULL, path, 0, NULL, &lock, NULL) != 0)
            _exit(1);
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        while (read(stop[0], &byte, 1) > 0)
            ;
        _exit(steadfast_lock_release(lock, NULL) == 0 ? 0 : 1);
    }
    close(ready[1]);
    close(stop[0]);
    must(read(ready[0], &byte, 1) == 1, "the holder");
    close(ready[0]);
    *end = stop[1];
    return child;
}

static void stop_holder(pid_t child, int end)
{
    int status;
    close(end);
    must(waitpid(child, &status, 0) == child && status == 0, "the holder's release");
}

static void against(const char *what, const struct place *where, struct contestant *c, double target)
{
    size_t rounds = contest(c, 2, 31);
    row_ratio("lock", what, where, 0, c, 1, target, rounds);
}

static void beyond(const char *what, const struct place *where, struct contestant *c, double target)
{
    size_t rounds = contest(c, 2, 31);
    row((struct row){ .part = "lock",
                      .what = what,
                      .place = where,
                      .us = c[1].us,
                      .base_us = c[0].us,
                      .value = c[1].beyond_us,
                      .unit = "us",
                      .target = target,
                      .rounds = rounds });
}

void part_lock(const struct place *where)
{
    table_head("taking, releasing and judging a lock; us: beyond the other");
    steadfast_report report = { .size = sizeof report };
    struct lock_file place = lock_file(where->dir, "lock");
    struct contestant c[2] = { { .run = lock_bare, .arg = &place }, { .run = lock_ours, .arg = &place } };
    against("acquire + release / O_EXCL, write PID, unlink", where, c, where->memory ? 1.9 : 1.8);
    place.report = &report;
    against("  the same with a report", where, c, 0);
    place.report = NULL;

    c[0].run = look;
    c[1].run = inspect;
    write_pid(place.path, NOBODY);
    place.verdict = STEADFAST_LOCK_STALE;
    beyond("verdict: stale / opening and reading the file", where, c, 1.5);
    place.report = &report;
    beyond("  the same with a report", where, c, 0);
    place.report = NULL;
    must(unlink(place.path) == 0, "unlink");

    int end;
    pid_t holder = start_holder(place.path, &end);
    place.verdict = STEADFAST_LOCK_HELD;
    beyond("verdict: held, not reused / opening and reading", where, c, 4.0);
    stop_holder(holder, end);

    /* A foreign program's lock: its number is all there is to know. */
    write_pid(place.path, getppid());
    beyond("verdict: held, a bare PID / opening and reading", where, c, 0);
    must(unlink(place.path) == 0, "unlink");
}

enum { MANY = 64 };

struct calls {
    struct lock_file place;
    pid_t dead;
    pid_t alive;
    char stat_path[64];
    int dir;
    int file;
    int fds[MANY];
};

static void call_open_directory(void *arg, size_t i)
{
    struct calls *calls = arg;
    calls->fds[i] = open(calls->place.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void call_open(void *arg, size_t i)
{
    struct calls *calls = arg;
    calls->fds[i] = openat(calls->dir, calls->place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static void call_close(void *arg, size_t i)
{
    struct calls *calls = arg;
    must(close(calls->fds[i]) == 0, "close");
}

static void call_fstat(void *arg, size_t i)
{
    struct calls *calls = arg;
    struct stat stat;
    (void)i;
    must(fstat(calls->file, &stat) == 0, "fstat");
}

static void call_fstatat(void *arg, size_t i)
{
    struct calls *calls = arg;
    struct stat stat;
    (void)i;
    must(fstatat(calls->dir, calls->place.name, &stat, AT_SYMLINK_NOFOLLOW) == 0, "fstatat");
}

static void call_pread(void *arg, size_t i)
{
    struct calls *calls = arg;
    char text[64];
    (void)i;
    must(pread(calls->file, text, sizeof text, 0) > 0, "pread");
}

static void call_flock(void *arg, size_t i)
{
    struct calls *calls = arg;
    must(flock(calls->fds[i], LOCK_SH | LOCK_NB) == 0, "flock");
}

static void call_fgetxattr(void *arg, size_t i)
{
    struct calls *calls = arg;
    char value[64];
    (void)i;
    fgetxattr(calls->file, "user.none", value, sizeof value);
}

static void call_pidfd_dead(void *arg, size_t i)
{
    struct calls *calls = arg;
    (void)i;
    must(syscall(SYS_pidfd_open, calls->dead, 0) < 0, "pidfd_open of a dead process");
}

static void call_pidfd_alive(void *arg, size_t i)
{
    struct calls *calls = arg;
    calls->fds[i] = (int)syscall(SYS_pidfd_open, calls->alive, 0);
}

static void call_poll(void *arg, size_t i)
{
    struct calls *calls = arg;
    struct pollfd pollfd = { .fd = calls->fds[i], .events = POLLIN };
    must(poll(&pollfd, 1, 0) == 0, "poll");
}

static void call_proc_stat(void *arg, size_t i)
{
    struct calls *calls = arg;
    char text[512];
    (void)i;
    int file = open(calls->stat_path, O_RDONLY | O_CLOEXEC);
    must(file >= 0 && read(file, text, sizeof text) > 0, "/proc/PID/stat");
    close(file);
}

/* In this order: a call that opens comes before those that use or close what it has opened. */
static const struct {
    const char *name;
    void (*step)(void *arg, size_t i);
} CALLS[] = {
    { "open directory (O_PATH)", call_open_directory },
    { "  close it", call_close },
    { "open file", call_open },
    { "  flock (shared)", call_flock },
    { "  close it (and drop the flock)", call_close },
    { "open file", call_open },
    { "  close it", call_close },
    { "fstat", call_fstat },
    { "fstatat", call_fstatat },
    { "pread", call_pread },
    { "fgetxattr (ENODATA)", call_fgetxattr },
    { "pidfd_open, ESRCH", call_pidfd_dead },
    { "pidfd_open, alive", call_pidfd_alive },
    { "  poll of the pidfd", call_poll },
    { "  close it", call_close },
    { "open, read, close /proc/PID/stat", call_proc_stat },
};

void part_calls(const struct place *where)
{
    const char *dir = where->dir;
    enum { COUNT = sizeof CALLS / sizeof *CALLS, ROUNDS = 301 };
    static double cost[COUNT][ROUNDS];
    struct calls calls = { .place = lock_file(dir, "lock"), .dead = NOBODY, .alive = getppid() };
    snprintf(calls.stat_path, sizeof calls.stat_path, "/proc/%d/stat", (int)calls.alive);
    write_pid(calls.place.path, calls.dead);
    calls.dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    calls.file = open(calls.place.path, O_RDONLY | O_CLOEXEC);
    must(calls.dir >= 0 && calls.file >= 0, "open");

    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t call = 0; call < COUNT; call++)
            cost[call][round] = time_steps(CALLS[call].step, &calls, MANY);

    printf("\nbare calls on %s, medians of %d rounds of %d:\n", where->name, ROUNDS, MANY);
    for (size_t call = 0; call < COUNT; call++)
        printf("  %-40s %6.3f us\n", CALLS[call].name, median(cost[call], ROUNDS));
    close(calls.dir);
    close(calls.file);
    must(unlink(calls.place.path) == 0, "unlink");
}
