/*
 * What the tests need of the system: temporary directories, whole files, open descriptors, leftovers; and
 * contexts that obey STEADFAST_TEST_ABSENT, a number whose bits (STEADFAST_ABSENT_*) go into every hook table,
 * so that a whole suite can be run as on a poorer platform. Include tap.h first.
 */
#ifndef UTIL_H
#define UTIL_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "steadfast.h"

/* A fresh directory below ${TMPDIR:-/tmp}; the caller frees the name after remove_tree. */
static inline char *make_temp_dir(const char *tag)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;
    if (base == NULL || base[0] == '\0')
        base = "/tmp";
    if (asprintf(&path, "%s/steadfast-%s-XXXXXX", base, tag) < 0 || mkdtemp(path) == NULL)
        bail_out("no temporary directory in %s: %s", base, strerror(errno));
    return path;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* Removes a directory with everything in it. */
static inline void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The whole file and a NUL after it, to be freed; NULL when there is none. */
static inline char *read_file(const char *path, size_t *len)
{
    struct stat st;
    size_t have = 0;
    char *data;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0 || (data = malloc((size_t)st.st_size + 1)) == NULL) {
        close(fd);
        return NULL;
    }
    while (have < (size_t)st.st_size) {
        ssize_t n = read(fd, data + have, (size_t)st.st_size - have);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    close(fd);
    data[have] = '\0';
    if (len != NULL)
        *len = have;
    return data;
}

/* Replaces the content of a file, made if need be. */
static inline void write_file(const char *path, const void *data, size_t len)
{
    size_t done = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        bail_out("cannot write %s: %s", path, strerror(errno));
    while (done < len) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n <= 0)
            bail_out("cannot write %s: %s", path, strerror(errno));
        done += (size_t)n;
    }
    close(fd);
}

static inline void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

static inline int exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* "DIR/NAME", in one of a few rotating static buffers. */
static inline const char *in(const char *dir, const char *name)
{
    static char buffers[8][4200];
    static int next;
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, sizeof buffers[0], "%s/%s", dir, name);
    return buffer;
}

/* How many descriptors this process has open, without the one that counts. */
static inline int count_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        dir = opendir("/dev/fd");
    if (dir == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1;
}

/* How many entries a directory has, "." and ".." not counted. */
static inline int count_entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

/* The names in a directory that are in no list of expected ones, joined with spaces; "" when there are none.
 * `expected` is names separated by spaces. */
static inline const char *leftovers(const char *path, const char *expected)
{
    static char out[2048];
    char list[2048];
    DIR *dir = opendir(path);
    out[0] = '\0';
    if (dir == NULL)
        return "(no such directory)";
    snprintf(list, sizeof list, " %s ", expected);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char name[300];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, " %s ", entry->d_name);
        if (strstr(list, name) == NULL && strlen(out) + strlen(name) < sizeof out)
            strcat(out, name);
    }
    closedir(dir);
    return out;
}

/* The STEADFAST_ABSENT_* bits of this run. */
static inline uint32_t test_absent(void)
{
    const char *value = getenv("STEADFAST_TEST_ABSENT");
    return value == NULL ? 0 : (uint32_t)strtoul(value, NULL, 0);
}

/* A table of real calls for this run. */
static inline steadfast_hooks test_hooks(void)
{
    steadfast_hooks hooks = steadfast_hooks_init();
    hooks.absent = test_absent();
    return hooks;
}

/* A context for this run; with `hooks` NULL of the real calls. To be freed. */
static inline steadfast_context *test_context(const steadfast_hooks *hooks)
{
    steadfast_context *context = NULL;
    steadfast_hooks table = hooks == NULL ? test_hooks() : *hooks;
    table.absent |= test_absent();
    if (steadfast_context_new(&table, &context) != 0)
        bail_out("no context");
    return context;
}

/* Loops of the tests are divided by this: set when every step is slow (valgrind). */
static inline int test_small(void)
{
    const char *value = getenv("STEADFAST_TEST_SMALL");
    return value != NULL && value[0] != '\0' && value[0] != '0';
}

/* The exit status of a child: 0..255, or 1000 + the signal that ended it. */
static inline int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Forks after flushing; 0 in the child, which must end with _exit. */
static inline pid_t fork_child(void)
{
    pid_t child;
    fflush(stdout);
    fflush(stderr);
    child = fork();
    if (child < 0)
        bail_out("fork: %s", strerror(errno));
    return child;
}

#endif
