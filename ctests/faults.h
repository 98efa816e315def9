/*
 * The system as the tests want it: a hook table in which every call is counted, some are written down, and any
 * can be made to fail, once or for ever. The calls that do not fail are real.
 *
 * A mutant is a table with one member replaced on top of this one (mutants.c): what is written down here is
 * then what the system saw, not what the library was told.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "util.h"

enum { FAULTS_EVENTS = 400, FAULTS_CALLS = 42 };
enum { SHORT_NO, SHORT_ONE_BYTE, SHORT_HALF, SHORT_NOTHING };

/* A call that matters for durability, and what the system answered. */
struct event {
    int call;
    int fd;             /* of openat: the one it returned */
    int is_directory;
    uint64_t inode;     /* fsync: of the file; renameat and linkat: of what has the new name */
    int64_t result;
    char path[64];      /* its last component; of renameat and linkat the new name */
};

struct faults {
    /* What to do. */
    long fail_at;       /* this call fails, 1 is the first; 0: none does */
    int only;           /* count only this STEADFAST_CALL_*; 0: all */
    int error;          /* with this errno */
    int for_ever;       /* and so do all counted ones after it */
    int short_writes;   /* SHORT_* */
    int file_syncs;     /* every fsync of a file fails, none of a directory */
    int no_real_sync;   /* fsync answers 0 without syncing: what is not crashed need not wait for a disk */
    /* Called before each call is made, for a race at an exact moment. */
    void (*before)(struct faults *f, int call, const char *path);
    void *user;
    /* What happened. */
    long calls;
    long made[FAULTS_CALLS];
    int directory_flags; /* O_DIRECTORY, when any openat had it */
    uint64_t failed;    /* bit STEADFAST_CALL_*: such a call was failed; of a sync, FSYNC's */
    int events;
    struct event event[FAULTS_EVENTS];
};

/* Counts a call; the negated errno that it is to fail with, or 0. */
static inline int64_t faults_count(void *user, int call, const char *path)
{
    struct faults *f = user;
    long number;
    f->calls++;
    f->made[call]++;
    if (f->before != NULL)
        f->before(f, call, path);
    if (f->fail_at == 0 || (f->only != 0 && f->only != call))
        return 0;
    number = f->only != 0 ? f->made[call] : f->calls;
    if (number == f->fail_at || (f->for_ever && number > f->fail_at)) {
        f->failed |= UINT64_C(1) << (call == STEADFAST_CALL_FDATASYNC || call == STEADFAST_CALL_SYNCFS ? STEADFAST_CALL_FSYNC : call);
        return -f->error;
    }
    return 0;
}

static inline void faults_note(void *user, int call, int fd, int directory, uint64_t inode, const char *path, int64_t result)
{
    struct faults *f = user;
    struct event *e;
    const char *name = path == NULL ? "" : path;
    if (f->events == FAULTS_EVENTS)
        return;
    /* A failed call is retried a million times when it fails with EINTR: one note will do. */
    if (result == -EINTR && f->events > 0 && f->event[f->events - 1].call == call && f->event[f->events - 1].result == -EINTR)
        return;
    e = &f->event[f->events++];
    e->call = call;
    e->fd = fd;
    e->is_directory = directory;
    e->inode = inode;
    e->result = result;
    snprintf(e->path, sizeof e->path, "%.60s", strrchr(name, '/') != NULL && strrchr(name, '/')[1] != '\0' ? strrchr(name, '/') + 1 : name);
}

#define REAL (steadfast_hooks_default())
#define FAIL_OR(call, path) \
    int64_t injected = faults_count(user, call, path); \
    if (injected != 0) \
    return injected

static inline int32_t faults_openat(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int64_t result = faults_count(user, STEADFAST_CALL_OPENAT, path);
    ((struct faults *)user)->directory_flags |= flags & O_DIRECTORY;
    if (((struct faults *)user)->no_real_sync)
        flags &= ~O_DSYNC;
    if (result == 0)
        result = REAL->openat(NULL, dirfd, path, flags, mode);
    faults_note(user, STEADFAST_CALL_OPENAT, (int)result, 0, 0, path, result);
    return (int32_t)result;
}

static inline int32_t faults_close(void *user, int32_t fd)
{
    int64_t result = faults_count(user, STEADFAST_CALL_CLOSE, NULL);
    /* As Linux does it: the descriptor is gone whatever close answers. */
    int real = REAL->close(NULL, fd);
    if (result == 0)
        result = real;
    faults_note(user, STEADFAST_CALL_CLOSE, fd, 0, 0, NULL, result);
    return (int32_t)result;
}

/* How much of `len` is written. */
static inline size_t faults_shorten(const struct faults *f, size_t len)
{
    if (f->short_writes == SHORT_NOTHING)
        return 0;
    if (f->short_writes == SHORT_ONE_BYTE && len > 1)
        return 1;
    return f->short_writes == SHORT_HALF && len > 1 ? len / 2 : len;
}

static inline int64_t faults_write(void *user, int32_t fd, const void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_WRITE, NULL);
    len = faults_shorten(user, len);
    return len == 0 ? 0 : REAL->write(NULL, fd, buf, len);
}

static inline int64_t faults_pwrite(void *user, int32_t fd, const void *buf, size_t len, uint64_t offset)
{
    FAIL_OR(STEADFAST_CALL_PWRITE, NULL);
    len = faults_shorten(user, len);
    return len == 0 ? 0 : REAL->pwrite(NULL, fd, buf, len, offset);
}

/* fsync and fdatasync: both are written down as the former. */
static inline int32_t faults_sync(void *user, int call, int32_t (*real)(void *, int32_t), int32_t fd)
{
    struct faults *f = user;
    struct stat st = { 0 };
    int64_t result = faults_count(user, call, NULL);
    /* A call retried a million times has to be cheap. */
    if (result != -EINTR)
        fstat(fd, &st);
    if (result == 0 && f->file_syncs && S_ISREG(st.st_mode)) {
        f->failed |= 1u << STEADFAST_CALL_FSYNC;
        result = -f->error;
    }
    if (result == 0 && !f->no_real_sync)
        result = real(NULL, fd);
    faults_note(user, STEADFAST_CALL_FSYNC, fd, S_ISDIR(st.st_mode), st.st_ino, NULL, result);
    return (int32_t)result;
}

static inline int32_t faults_fsync(void *user, int32_t fd)
{
    return faults_sync(user, STEADFAST_CALL_FSYNC, REAL->fsync, fd);
}

static inline int32_t faults_fdatasync(void *user, int32_t fd)
{
    return faults_sync(user, STEADFAST_CALL_FDATASYNC, REAL->fdatasync, fd);
}

static inline int32_t faults_syncfs(void *user, int32_t fd)
{
    struct faults *f = user;
    FAIL_OR(STEADFAST_CALL_SYNCFS, NULL);
    return f->no_real_sync ? 0 : REAL->syncfs(NULL, fd);
}

static inline void faults_note_name(void *user, int call, int dirfd, const char *path, int64_t result)
{
    struct stat st = { 0 };
    if (result >= 0)
        fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW);
    faults_note(user, call, dirfd, 0, st.st_ino, path, result);
}

static inline int32_t faults_renameat(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    int64_t result = faults_count(user, STEADFAST_CALL_RENAMEAT, np);
    if (result == 0)
        result = REAL->renameat(NULL, od, op, nd, np, flags);
    faults_note_name(user, STEADFAST_CALL_RENAMEAT, nd, np, result);
    return (int32_t)result;
}

static inline int32_t faults_unlinkat(void *user, int32_t dirfd, const char *path, int32_t flags)
{
    int64_t result = faults_count(user, STEADFAST_CALL_UNLINKAT, path);
    if (result == 0)
        result = REAL->unlinkat(NULL, dirfd, path, flags);
    faults_note(user, STEADFAST_CALL_UNLINKAT, dirfd, 0, 0, path, result);
    return (int32_t)result;
}

static inline int32_t faults_linkat(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    int64_t result = faults_count(user, STEADFAST_CALL_LINKAT, np);
    if (result == 0)
        result = REAL->linkat(NULL, od, op, nd, np, flags);
    faults_note_name(user, STEADFAST_CALL_LINKAT, nd, np, result);
    return (int32_t)result;
}

static inline int32_t faults_mkdirat(void *user, int32_t dirfd, const char *path, uint32_t mode)
{
    int64_t result = faults_count(user, STEADFAST_CALL_MKDIRAT, path);
    if (result == 0)
        result = REAL->mkdirat(NULL, dirfd, path, mode);
    faults_note(user, STEADFAST_CALL_MKDIRAT, dirfd, 1, 0, path, result);
    return (int32_t)result;
}

static inline int64_t faults_readlinkat(void *user, int32_t dirfd, const char *path, void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_READLINKAT, path);
    return REAL->readlinkat(NULL, dirfd, path, buf, len);
}

static inline int64_t faults_read(void *user, int32_t fd, void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_READ, NULL);
    return REAL->read(NULL, fd, buf, len);
}

static inline int64_t faults_pread(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    FAIL_OR(STEADFAST_CALL_PREAD, NULL);
    return REAL->pread(NULL, fd, buf, len, offset);
}

static inline int32_t faults_fstat(void *user, int32_t fd, steadfast_stat *out)
{
    FAIL_OR(STEADFAST_CALL_FSTAT, NULL);
    return REAL->fstat(NULL, fd, out);
}

static inline int32_t faults_fstatat(void *user, int32_t dirfd, const char *path, steadfast_stat *out)
{
    FAIL_OR(STEADFAST_CALL_FSTATAT, path);
    return REAL->fstatat(NULL, dirfd, path, out);
}

static inline int64_t faults_fstatfs(void *user, int32_t fd)
{
    FAIL_OR(STEADFAST_CALL_FSTATFS, NULL);
    return REAL->fstatfs(NULL, fd);
}

static inline int32_t faults_fchmod(void *user, int32_t fd, uint32_t mode)
{
    FAIL_OR(STEADFAST_CALL_FCHMOD, NULL);
    return REAL->fchmod(NULL, fd, mode);
}

static inline int32_t faults_fchown(void *user, int32_t fd, uint32_t uid, uint32_t gid)
{
    FAIL_OR(STEADFAST_CALL_FCHOWN, NULL);
    return REAL->fchown(NULL, fd, uid, gid);
}

static inline int32_t faults_flock(void *user, int32_t fd, int32_t operation)
{
    FAIL_OR(STEADFAST_CALL_FLOCK, NULL);
    return REAL->flock(NULL, fd, operation);
}

static inline int32_t faults_ofdlock(void *user, int32_t fd, int32_t operation, int64_t start, int64_t len, int64_t *found)
{
    FAIL_OR(STEADFAST_CALL_OFDLOCK, NULL);
    return REAL->ofdlock(NULL, fd, operation, start, len, found);
}

static inline int64_t faults_fgetxattr(void *user, int32_t fd, const char *name, void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_FGETXATTR, NULL);
    return REAL->fgetxattr(NULL, fd, name, buf, len);
}

static inline int64_t faults_flistxattr(void *user, int32_t fd, void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_FLISTXATTR, NULL);
    return REAL->flistxattr(NULL, fd, buf, len);
}

static inline int64_t faults_getdents(void *user, int32_t fd, void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_GETDENTS, NULL);
    return REAL->getdents(NULL, fd, buf, len);
}

static inline int32_t faults_fsetxattr(void *user, int32_t fd, const char *name, const void *buf, size_t len)
{
    FAIL_OR(STEADFAST_CALL_FSETXATTR, NULL);
    return REAL->fsetxattr(NULL, fd, name, buf, len);
}

static inline int32_t faults_getpid(void *user)
{
    FAIL_OR(STEADFAST_CALL_GETPID, NULL);
    return REAL->getpid(NULL);
}

static inline int64_t faults_geteuid(void *user)
{
    FAIL_OR(STEADFAST_CALL_GETEUID, NULL);
    return REAL->geteuid(NULL);
}

static inline int32_t faults_kill(void *user, int32_t pid, int32_t signal)
{
    FAIL_OR(STEADFAST_CALL_KILL, NULL);
    return REAL->kill(NULL, pid, signal);
}

static inline int32_t faults_pidfd_open(void *user, int32_t pid, uint32_t flags)
{
    FAIL_OR(STEADFAST_CALL_PIDFD_OPEN, NULL);
    return REAL->pidfd_open(NULL, pid, flags);
}

static inline int32_t faults_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    FAIL_OR(STEADFAST_CALL_POLL, NULL);
    return REAL->poll(NULL, fds, count, timeout_ns);
}

static inline int32_t faults_inotify_init(void *user, int32_t flags)
{
    FAIL_OR(STEADFAST_CALL_INOTIFY_INIT, NULL);
    return REAL->inotify_init(NULL, flags);
}

static inline int32_t faults_inotify_add_watch(void *user, int32_t fd, const char *path, uint32_t mask)
{
    FAIL_OR(STEADFAST_CALL_INOTIFY_ADD_WATCH, path);
    return REAL->inotify_add_watch(NULL, fd, path, mask);
}

static inline int32_t faults_clock(void *user, int32_t clock, int64_t *ns)
{
    FAIL_OR(STEADFAST_CALL_CLOCK, NULL);
    return REAL->clock(NULL, clock, ns);
}

static inline int32_t faults_sigxfsz(void *user, int32_t operation, int32_t state)
{
    FAIL_OR(STEADFAST_CALL_SIGXFSZ, NULL);
    return REAL->sigxfsz(NULL, operation, state);
}

static inline int32_t faults_ftruncate(void *user, int32_t fd, uint64_t len)
{
    FAIL_OR(STEADFAST_CALL_FTRUNCATE, NULL);
    return REAL->ftruncate(NULL, fd, len);
}

static inline int32_t faults_writeback(void *user, int32_t fd, int32_t operation, uint64_t offset, uint64_t len)
{
    FAIL_OR(STEADFAST_CALL_WRITEBACK, NULL);
    return REAL->writeback(NULL, fd, operation, offset, len);
}

static inline int64_t faults_aio(void *user, int32_t operation, uint64_t *queue, int32_t fd, const void *buf, size_t len, uint64_t offset)
{
    int64_t injected = faults_count(user, STEADFAST_CALL_AIO, NULL);
    /* As with close: what is given back is gone, whatever the answer. */
    if (injected != 0 && operation != STEADFAST_AIO_CLOSE)
        return injected;
    return REAL->aio(NULL, operation, queue, fd, buf, len, offset);
}

static inline int32_t faults_fsync_many(void *user, uint64_t *queue, int32_t *files, uint32_t count)
{
    struct faults *f = user;
    int64_t injected = faults_count(user, STEADFAST_CALL_FSYNC_MANY, NULL);
    if (injected != 0 && count != 0)
        return (int32_t)injected;
    if (!f->no_real_sync)
        return REAL->fsync_many(NULL, queue, files, count);
    for (uint32_t i = 0; i < count; i++)
        files[i] = 0;
    return 0;
}

/* Every hook, with `f` as their user; the absent bits are those of this run. */
static inline steadfast_hooks faults_hooks(struct faults *f)
{
    steadfast_hooks h = test_hooks();
    h.user = f;
#define USE(name) h.name = faults_##name
    // clang-format off
    USE(openat); USE(close); USE(write); USE(fsync); USE(renameat); USE(unlinkat); USE(linkat); USE(mkdirat);
    USE(readlinkat); USE(read); USE(pread); USE(fstat); USE(fstatat); USE(fstatfs); USE(fchmod); USE(fchown);
    USE(flock); USE(ofdlock); USE(fgetxattr); USE(fsetxattr); USE(getpid); USE(geteuid); USE(kill); USE(pidfd_open);
    USE(poll); USE(inotify_init); USE(inotify_add_watch); USE(clock); USE(sigxfsz);
    USE(fdatasync); USE(syncfs); USE(ftruncate); USE(writeback); USE(aio); USE(fsync_many); USE(pwrite);
    USE(flistxattr); USE(getdents);
    // clang-format on
#undef USE
    return h;
}

/* A context with these hooks, to be freed. */
static inline steadfast_context *faults_context(struct faults *f)
{
    steadfast_hooks h = faults_hooks(f);
    return test_context(&h);
}

/* Forgets what happened; what to do stays. */
static inline void faults_reset(struct faults *f)
{
    f->calls = 0;
    memset(f->made, 0, sizeof f->made);
    f->directory_flags = 0;
    f->failed = 0;
    f->events = 0;
}

/* The first event at or after `from` of this call (on a directory: 1, not: 0, either: -1); -1 when there is none. */
static inline int faults_find(const struct faults *f, int from, int call, int directory)
{
    for (int i = from; i < f->events; i++)
        if (f->event[i].call == call && (directory < 0 || f->event[i].is_directory == directory))
            return i;
    return -1;
}

#endif
