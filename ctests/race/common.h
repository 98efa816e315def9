/* What the programs of this folder share: a clock, a directory of their own, a pipe word, sorting. */
#ifndef RACE_COMMON_H
#define RACE_COMMON_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "steadfast.h"

static void die(const char *what)
{
    fprintf(stderr, "race: %s: %s\n", what, strerror(errno));
    exit(99);
}

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void spin_ns(int64_t ns)
{
    for (int64_t end = now_ns() + ns; now_ns() < end;) {}
}

/* A directory under $TMPDIR, in a static buffer. */
static inline char *own_directory(void)
{
    static char path[512];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/steadfast-race.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(path))
        die("mkdtemp");
    return path;
}

/* Removes every name in the directory and says how many there were. A lock of proper-lockfile is a directory. */
static inline int empty_directory(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        count++;
        if (unlinkat(dirfd(dir), entry->d_name, 0) && unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) && errno != ENOENT)
            die(entry->d_name);
    }
    closedir(dir);
    return count;
}

static inline void send_to(int fd, const void *data, size_t len)
{
    if (write(fd, data, len) != (ssize_t)len)
        die("write to a pipe");
}

/* False at the end of the pipe. */
static inline int receive(int fd, void *data, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)data + got, len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("read from a pipe");
        if (n == 0)
            return 0;
        got += (size_t)n;
    }
    return 1;
}

/* A PID that was a process's a moment ago and is none now: a reaped child's. */
static inline pid_t dead_pid(void)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

#endif
