/* One broken habit each, by a function of the program that takes the place of libc's also for the library: the
 * library is the very one that is tested, what it is told is not true. The supervisor must see every one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef IGNORE_FSYNC /* an error of fsync is not looked at */
int fsync(int fd)
{
    syscall(SYS_fsync, fd);
    return 0;
}
#endif

#ifdef NO_FSYNC
int fsync(int fd)
{
    (void)fd;
    return 0;
}
#endif

#ifdef RETRY_FSYNC /* the second fsync of an inode answers 0 and has written nothing */
int fsync(int fd)
{
    return syscall(SYS_fsync, fd) == 0 ? 0 : (int)syscall(SYS_fsync, fd);
}
#endif

#ifdef NO_DIRECTORY_FSYNC
#include <sys/stat.h>
int fsync(int fd)
{
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISDIR(s.st_mode) ? 0 : (int)syscall(SYS_fsync, fd);
}
#endif

#ifdef SHORT_WRITE /* what write says it wrote is not looked at */
ssize_t write(int fd, const void *buf, size_t len)
{
    return syscall(SYS_write, fd, buf, len) < 0 ? -1 : (ssize_t)len;
}
#endif

#if defined(NO_DSYNC) || defined(WRITE_THEN_SYNC)
/* A file whose writes are to be synced by the same call is opened like any other; its sync is left out, or is a call of its own. */
#include <stdarg.h>
#ifdef WRITE_THEN_SYNC
static int spoilt = -1;
#endif
int openat(int dir, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    int fd = (int)syscall(SYS_openat, dir, name, flags & ~O_DSYNC, va_arg(list, int));
    va_end(list);
#ifdef WRITE_THEN_SYNC
    if (flags & O_DSYNC) {
        spoilt = fd;
    }
#endif
    return fd;
}
#ifdef WRITE_THEN_SYNC
ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    ssize_t written = syscall(SYS_pwrite64, fd, buf, len, offset);
    if (fd == spoilt && written >= 0 && fdatasync(fd) != 0) {
        return -1;
    }
    return written;
}
ssize_t pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    return pwrite(fd, buf, len, offset);
}
#endif
#endif

#ifdef IGNORE_PWRITE /* whether a synced write has failed is not looked at */
ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    syscall(SYS_pwrite64, fd, buf, len, offset);
    return (ssize_t)len;
}
ssize_t pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    return pwrite(fd, buf, len, offset);
}
#endif

#ifdef IGNORE_SYNCFS
int syncfs(int fd)
{
    syscall(SYS_syncfs, fd);
    return 0;
}
#endif

#ifdef IGNORE_WRITEBACK /* before Linux 5.8, what syncfs does not tell */
int sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
    syscall(SYS_sync_file_range, fd, offset, len, flags);
    return 0;
}
#endif

#ifdef IGNORE_ATTRIBUTE /* whether a plain file has got its attribute is not looked at */
int fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
    syscall(SYS_fsetxattr, fd, name, value, len, flags);
    return 0;
}
#endif

#ifdef TEMP_LEFT /* the temporary file of a failed save stays */
int unlinkat(int dir, const char *name, int flags)
{
    (void)dir, (void)name, (void)flags;
    return 0;
}
#endif

#ifdef FD_LEAK
int close(int fd)
{
    (void)fd;
    return 0;
}
#endif

#ifdef IN_PLACE /* the target is emptied and written anew */
int renameat(int od, const char *from, int nd, const char *to)
{
    char buf[4096];
    ssize_t len;
    int in = openat(od, from, O_RDONLY | O_CLOEXEC), out = openat(nd, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0) {
        return -1;
    }
    while ((len = read(in, buf, sizeof buf)) > 0) {
        if (write(out, buf, (size_t)len) != len) {
            return -1;
        }
    }
    if (fsync(out) != 0) {
        return -1;
    }
    close(in);
    close(out);
    return unlinkat(od, from, 0);
}
#endif

#ifdef NO_COPY /* what is written in place has not been copied before */
int renameat(int od, const char *from, int nd, const char *to)
{
    size_t len = strlen(to);
    int copy = len > 5 && strcmp(to + len - 5, ".prev") == 0;
    return copy ? unlinkat(od, from, 0) : (int)syscall(SYS_renameat, od, from, nd, to);
}
#endif

#ifdef NO_MARK /* nothing says of a plain file that it is being written */
int fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
    const unsigned char *attribute = value;
    int mark = len == 60 && attribute[47] & 1;
    return mark ? 0 : (int)syscall(SYS_fsetxattr, fd, name, value, len, flags);
}
#endif

#ifdef UNLINK_FIRST /* remove the target, then rename: for a moment there is none */
int renameat(int od, const char *from, int nd, const char *to)
{
    syscall(SYS_unlinkat, nd, to, 0);
    return (int)syscall(SYS_renameat, od, from, nd, to);
}
#endif

#ifdef PREVIOUS_BY_RENAME /* the state loses its name while it becomes the previous one */
int linkat(int od, const char *from, int nd, const char *to, int flags)
{
    (void)flags;
    return (int)syscall(SYS_renameat, od, from, nd, to);
}
#endif

#ifdef RENAME_ERROR /* an error of rename is not looked at */
int renameat(int od, const char *from, int nd, const char *to)
{
    syscall(SYS_renameat, od, from, nd, to);
    return 0;
}
#endif

#ifdef OPEN_ERROR_IS_ABSENCE /* what cannot be opened is not there */
#include <stdarg.h>
int openat(int dir, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    int fd = (int)syscall(SYS_openat, dir, name, flags, va_arg(list, int));
    va_end(list);
    if (fd < 0 && !(flags & O_CREAT)) {
        errno = ENOENT;
    }
    return fd;
}
#endif

#ifdef FLOCK_ERROR_IS_FREE /* what cannot be locked is nobody's */
int flock(int fd, int operation)
{
    syscall(SYS_flock, fd, operation);
    return 0;
}
#endif

#ifdef RECYCLE_BESIDE_PREVIOUS /* as the library once did: who writes over PATH.prev locks it, and who cannot look sees nobody */
#include <dlfcn.h>
#include <stdlib.h>

#include "steadfast.h"

enum { RECYCLE = 1 << 5 };
static struct flock byte = { .l_whence = SEEK_SET, .l_len = 1 };

static int32_t (*real_save(void))(const steadfast_context *, const char *, const void *, size_t, const steadfast_save_options *,
                                  steadfast_report *)
{
    int32_t (*real)(const steadfast_context *, const char *, const void *, size_t, const steadfast_save_options *, steadfast_report *);
    *(void **)&real = dlsym(RTLD_NEXT, "steadfast_state_save");
    return real;
}

static int32_t end_of(steadfast_report *report, int32_t status)
{
    report->status = status;
    report->on_disk = status == 0 ? STEADFAST_ON_DISK_NEW : STEADFAST_ON_DISK_OLD;
    return status;
}

/* A record of the library's, written over PATH.prev, which then exchanges its name with PATH. */
static int32_t recycle(const void *data, size_t len, steadfast_report *report)
{
    char record[1024];
    ssize_t got;
    int spare = openat(AT_FDCWD, "state.prev", O_RDWR | O_CLOEXEC), dir = openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    byte.l_type = F_WRLCK;
    if (spare < 0 || dir < 0 || fcntl(spare, F_OFD_SETLK, &byte) != 0) {
        return end_of(report, -EBUSY);
    }
    if (real_save()(NULL, ".record", data, len, NULL, NULL) != 0) {
        return end_of(report, -EIO);
    }
    int made = openat(AT_FDCWD, ".record", O_RDONLY | O_CLOEXEC);
    got = read(made, record, sizeof record);
    close(made);
    unlinkat(AT_FDCWD, ".record", 0);
    if (pwrite(spare, record, (size_t)got, 0) != got || ftruncate(spare, got) != 0 || fdatasync(spare) != 0) {
        return end_of(report, -EIO);
    }
    if (syscall(SYS_renameat2, AT_FDCWD, "state.prev", AT_FDCWD, "state", 2 /* RENAME_EXCHANGE */) != 0 || fsync(dir) != 0) {
        return end_of(report, -EIO);
    }
    close(spare);
    close(dir);
    return end_of(report, 0);
}

int32_t steadfast_state_save(const steadfast_context *context, const char *path, const void *data, size_t len,
                             const steadfast_save_options *options, steadfast_report *report)
{
    if (options != NULL && options->flags & RECYCLE) {
        return recycle(data, len, report);
    }
    if (options != NULL && options->flags & STEADFAST_SAVE_KEEP_PREVIOUS) {
        int spare = openat(AT_FDCWD, "state.prev", O_RDWR | O_CLOEXEC);
        byte.l_type = F_WRLCK;
        /* Whatever kept it from being opened: then nobody writes over it. */
        if (spare >= 0 && fcntl(spare, F_OFD_SETLK, &byte) != 0) {
            close(spare);
            return end_of(report, -EBUSY);
        }
        if (spare >= 0) {
            close(spare);
        }
    }
    return real_save()(context, path, data, len, options, report);
}
#endif

#if defined(CHECK_AND_UNLINK) || defined(RENAME_PRIVATE) /* a lock file as it is often written */
#include <signal.h>
#include <stdlib.h>

#include "steadfast.h"

static int32_t report_to(steadfast_report *report, int32_t status)
{
    if (report != NULL) {
        report->status = status;
        report->os_error = status < 0 && status > -4096 ? -status : 0;
    }
    return status;
}

int32_t steadfast_lock_clean_stale(const steadfast_context *context, const char *path, const steadfast_lock_options *options,
                                   steadfast_report *report)
{
    char text[32] = "";
    (void)context, (void)options;
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return report_to(report, STEADFAST_LOCK_ABSENT);
    }
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    int pid = len > 0 ? atoi(text) : 0;
    if (pid > 0 && !(kill(pid, 0) != 0 && errno == ESRCH)) {
        return report_to(report, STEADFAST_LOCK_HELD);
    }
#ifdef RENAME_PRIVATE
    char private[64];
    snprintf(private, sizeof private, "%s.removing.%d", path, (int)getpid());
    if (renameat(AT_FDCWD, path, AT_FDCWD, private) != 0) {
        return report_to(report, STEADFAST_LOCK_CHANGED);
    }
    unlinkat(AT_FDCWD, private, 0);
#else
    unlinkat(AT_FDCWD, path, 0);
#endif
    return report_to(report, STEADFAST_LOCK_REMOVED);
}

int32_t steadfast_lock_acquire(const steadfast_context *context, const char *path, int64_t timeout_ms,
                               const steadfast_lock_options *options, steadfast_lock **out, steadfast_report *report)
{
    (void)timeout_ms;
    for (int i = 0; i < 2; i++) {
        int fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd >= 0) {
            dprintf(fd, "%d\n", (int)getpid());
            close(fd);
            *out = (steadfast_lock *)strdup(path);
            return report_to(report, 0);
        }
        if (i == 0) {
            steadfast_lock_clean_stale(context, path, options, NULL);
        }
    }
    return report_to(report, STEADFAST_E_LOCKED);
}

int32_t steadfast_lock_release(steadfast_lock *lock, steadfast_report *report)
{
    int result = unlinkat(AT_FDCWD, (char *)lock, 0);
    free(lock);
    return report_to(report, result == 0 ? 0 : -errno);
}
#endif
