/* Savers that do what the library must not. Each must be found in its scene. */
#include "other.h"

static int32_t write_file(int fd, const void *data, size_t len)
{
    int32_t result = fd < 0 ? -errno : write(fd, data, len) == (ssize_t)len ? 0 : -EIO;
    if (fd >= 0) close(fd);
    return result;
}

/* The mode after the content. */
static int32_t mode_comes_late(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    char name[800];
    snprintf(name, sizeof name, "%s.new", path);
    write_file(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), data, len);
    usleep(300);
    chmod(name, mode);
    unlink(name);
    return library_saves(path, data, len, flags, mode, expected, report);
}

/* The name that the library would take, without a look at what it is. */
static int32_t follows_temporary(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    char name[800];
    const char *last = strrchr(path, '/') + 1;
    snprintf(name, sizeof name, "%.*s.%s.0.tmp", (int)(last - path), path, last);
    write_file(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600), data, len);
    return library_saves(path, data, len, flags, mode, expected, report);
}

static int32_t removes_orphans(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    char name[800];
    const char *last = strrchr(path, '/') + 1;
    for (int k = 0; k < 10; k++) {
        snprintf(name, sizeof name, "%.*s.%s.%d.tmp", (int)(last - path), path, last, k);
        unlink(name);
    }
    return library_saves(path, data, len, flags, mode, expected, report);
}

static int32_t waits_for_ever(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) flock(fd, LOCK_EX);
    if (fd >= 0) close(fd);
    return library_saves(path, data, len, flags, mode, expected, report);
}

/* Over PATH.prev, in place, whoever has it open. */
static int32_t writes_over_previous(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    char name[800];
    snprintf(name, sizeof name, "%s.prev", path);
    write_file(open(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), data, len);
    chmod(name, mode);
    return library_saves(path, data, len, flags, mode, expected, report);
}

/* Reads the link itself, so that the kernel cannot refuse it. */
static int32_t reads_links(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    char *target = flags & STEADFAST_SAVE_FOLLOW_SYMLINK ? realpath(path, NULL) : NULL;
    int32_t result = library_saves(target ? target : path, data, len, flags, mode, expected, report);
    free(target);
    return result;
}

/* A new file with the rights of a new file, instead of those of the old one. */
static int32_t widens(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report)
{
    int32_t result = library_saves(path, data, len, flags, mode, expected, report);
    if (result >= 0) chmod(path, 0640);
    return result;
}

const struct mutant mutants[] = {
    { "mode_comes_late", "flocks the directory", "disclosed", mode_comes_late },
    { "follows_temporary", "plants links as temporary names, not sticky", "lost", follows_temporary },
    { "removes_orphans", "plants the sequences of temporary names", "lost", removes_orphans },
    { "waits_for_ever", "flocks every file", "no end", waits_for_ever },
    { "writes_over_previous", "flocks the directory", "disclosed", writes_over_previous },
    { "reads_links", "plants links", "followed", reads_links },
    { "widens", "is in the group that comes instead", "disclosed", widens },
};
const unsigned mutant_count = sizeof mutants / sizeof *mutants;
