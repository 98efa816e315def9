/*
 * steadfast: state files that survive a crash, lock files that survive their owner.
 *
 * Link with -lsteadfast, or load libsteadfast.so.0 by dlopen. This file is generated (make header).
 *
 * Results: >= 0 is done, < 0 is not done. -1..-4095 is a negated errno, -10000 and below are STEADFAST_E_*.
 * Every function that can fail takes a steadfast_report (or NULL) of the caller's, which says what happened in
 * words, which call failed, and what a power cut now would leave on disk. errno itself means nothing here.
 *
 * Structs begin with their size, set by the caller: sizeof(the struct). A missing tail reads as zero, which is
 * the default everywhere. NULL for a context, options or a report is the default too.
 *
 * Who frees:
 *   steadfast_context   made by steadfast_context_new      freed by steadfast_context_free
 *   steadfast_state     filled by steadfast_state_load     emptied by steadfast_state_free
 *   steadfast_lock      made by steadfast_lock_acquire     freed by steadfast_lock_release
 *   everything else     the caller's; strings returned are static
 *
 * Threads: every function may be called from any thread at any time; a context may be shared, a lock is used by
 * one thread at a time. Fork: a child may go on with everything but the locks of its parent. Signal handlers:
 * nothing here is async-signal-safe. The library has no threads, no signal handlers, no global state that
 * matters, reads no environment variable, and may be unloaded.
 *
 * Paths are bytes, NUL-terminated, in any encoding, shorter than 4096.
 */

#ifndef STEADFAST_H
#define STEADFAST_H

#include <stddef.h>
#include <stdint.h>

/**
 * Relative paths begin at `dirfd`, of which the context keeps a descriptor of its own.
 */
enum { STEADFAST_CONTEXT_AT = 1 };

/**
 * No path leaves that directory, by no link, no "..", no absolute path: -EXDEV. Only with STEADFAST_CONTEXT_AT, else
 * -EINVAL. Needs openat2(2), Linux 5.6; without it the context is STEADFAST_E_UNSUPPORTED.
 */
enum { STEADFAST_CONTEXT_BENEATH = 2 };

/**
 * No io_uring, for a process whose seccomp filter kills instead of answering. Large states are then written through the
 * page cache.
 */
enum { STEADFAST_CONTEXT_NO_IO_URING = 4 };

/**
 * steadfast_state.source: PATH itself.
 */
enum { STEADFAST_SOURCE_CURRENT = 0 };

/**
 * steadfast_state.source: PATH.prev.
 */
enum { STEADFAST_SOURCE_PREVIOUS = 1 };

/**
 * The calls of the fault injector: any call at all.
 */
enum { STEADFAST_CALL_ANY = 0 };

enum { STEADFAST_CALL_OPENAT = 1 };

enum { STEADFAST_CALL_CLOSE = 2 };

enum { STEADFAST_CALL_WRITE = 3 };

enum { STEADFAST_CALL_FSYNC = 4 };

enum { STEADFAST_CALL_RENAMEAT = 5 };

enum { STEADFAST_CALL_UNLINKAT = 6 };

enum { STEADFAST_CALL_LINKAT = 7 };

enum { STEADFAST_CALL_MKDIRAT = 8 };

enum { STEADFAST_CALL_READLINKAT = 9 };

enum { STEADFAST_CALL_READ = 10 };

enum { STEADFAST_CALL_PREAD = 11 };

enum { STEADFAST_CALL_FSTAT = 12 };

enum { STEADFAST_CALL_FSTATAT = 13 };

enum { STEADFAST_CALL_FSTATFS = 14 };

enum { STEADFAST_CALL_FCHMOD = 15 };

enum { STEADFAST_CALL_FCHOWN = 16 };

enum { STEADFAST_CALL_FLOCK = 17 };

enum { STEADFAST_CALL_OFDLOCK = 18 };

enum { STEADFAST_CALL_FGETXATTR = 19 };

enum { STEADFAST_CALL_FSETXATTR = 20 };

enum { STEADFAST_CALL_GETPID = 21 };

enum { STEADFAST_CALL_GETEUID = 22 };

enum { STEADFAST_CALL_KILL = 23 };

enum { STEADFAST_CALL_PIDFD_OPEN = 24 };

enum { STEADFAST_CALL_POLL = 25 };

enum { STEADFAST_CALL_INOTIFY_INIT = 26 };

enum { STEADFAST_CALL_INOTIFY_ADD_WATCH = 27 };

enum { STEADFAST_CALL_CLOCK = 28 };

enum { STEADFAST_CALL_SIGXFSZ = 29 };

enum { STEADFAST_CALL_FDATASYNC = 30 };

enum { STEADFAST_CALL_SYNCFS = 31 };

enum { STEADFAST_CALL_FTRUNCATE = 32 };

enum { STEADFAST_CALL_WRITEBACK = 33 };

enum { STEADFAST_CALL_AIO = 34 };

enum { STEADFAST_CALL_FSYNC_MANY = 35 };

enum { STEADFAST_CALL_OPENAT2 = 36 };

enum { STEADFAST_CALL_MAP = 37 };

enum { STEADFAST_CALL_UNMAP = 38 };

/**
 * For lock files that contain only a PID: treat the lock as stale if the process with that PID started after the file was
 * last written. Off by default, because a clock adjustment can make this wrong.
 */
enum { STEADFAST_LOCK_TRUST_START_TIME = 1 };

/**
 * A signal ends steadfast_lock_acquire with -EINTR. A signal that is handled just before the wait begins is missed;
 * cancel_fd has no such race.
 */
enum { STEADFAST_LOCK_EINTR_RETURNS = 2 };

/**
 * Children get the lock's descriptor, through exec too: the lock stays held while one of them lives, and a forked child
 * can make it its own with steadfast_lock_adopt. Without it no child prolongs the lock.
 */
enum { STEADFAST_LOCK_INHERIT = 4 };

/**
 * A file or directory that cannot be made durable is an error instead of STEADFAST_NOT_DURABLE.
 */
enum { STEADFAST_SAVE_STRICT = 1 };

/**
 * The verified previous generation stays as PATH.prev. Something at PATH that is no whole state is kept there as well, if
 * there is no PATH.prev yet: a person can read it, a load answers STEADFAST_E_FORMAT. The message says so.
 */
enum { STEADFAST_SAVE_KEEP_PREVIOUS = 2 };

/**
 * Compare and swap: STEADFAST_E_CONFLICT unless the state there has expected_generation.
 */
enum { STEADFAST_SAVE_IF_GENERATION = 4 };

/**
 * Save to what the link at PATH points to; without it a link is refused. In a sticky directory that others may write, a
 * link is followed only if it belongs to the caller or to the directory's owner, else -EACCES (proc_sys_fs(5),
 * protected_symlinks).
 */
enum { STEADFAST_SAVE_FOLLOW_SYMLINK = 8 };

/**
 * Make missing parent directories, durably.
 */
enum { STEADFAST_SAVE_CREATE_PARENTS = 16 };

/**
 * Atomic and verified, but without any fsync: always STEADFAST_NOT_DURABLE. The state is marked, and never takes the
 * place of a durable PATH.prev. on_disk is EITHER with KEEP_PREVIOUS and a durable state to keep, else UNKNOWN. With
 * STRICT or SYNCFS it is -EINVAL.
 */
enum { STEADFAST_SAVE_NO_SYNC = 64 };

/**
 * steadfast_state_save_batch: one syncfs(2) for all files instead of one fsync for each. It flushes what others have
 * written to the file system as well. Where syncfs is not known to reach the device and to report its errors (network
 * file systems, FUSE, overlays, Linux before 5.8), each file is synced by itself.
 */
enum { STEADFAST_SAVE_SYNCFS = 128 };

/**
 * Load PATH.prev when the state at PATH is damaged, unreadable or missing.
 */
enum { STEADFAST_LOAD_RECOVER = 1 };

/**
 * The schema must be the one given.
 */
enum { STEADFAST_LOAD_REQUIRE_SCHEMA = 2 };

/**
 * Done; for a save: durable.
 */
enum { STEADFAST_OK = 0 };

/**
 * steadfast_state_save: saved, but a sync failed or was not possible. The report says which and why.
 */
enum { STEADFAST_NOT_DURABLE = 16 };

/**
 * steadfast_state_load: loaded, but from the previous generation; the current one is damaged or missing.
 */
enum { STEADFAST_RECOVERED = 17 };

/**
 * Verdict: there is no lock file.
 */
enum { STEADFAST_LOCK_ABSENT = 0 };

/**
 * Verdict: it was stale and this call removed it.
 */
enum { STEADFAST_LOCK_REMOVED = 1 };

/**
 * Verdict: its owner is alive.
 */
enum { STEADFAST_LOCK_HELD = 2 };

/**
 * Verdict: it cannot be known (empty, malformed, another host, no permission); kept.
 */
enum { STEADFAST_LOCK_UNDECIDED = 3 };

/**
 * Verdict: a symbolic link or not a regular file; not followed, not touched.
 */
enum { STEADFAST_LOCK_IGNORED = 4 };

/**
 * Verdict: someone else replaced it meanwhile; nothing was done.
 */
enum { STEADFAST_LOCK_CHANGED = 5 };

/**
 * Verdict of steadfast_lock_inspect: steadfast_lock_clean_stale would remove it.
 */
enum { STEADFAST_LOCK_STALE = 6 };

/**
 * The state file is empty.
 */
enum { STEADFAST_E_EMPTY = -10000 };

/**
 * The state file is shorter than it says it is.
 */
enum { STEADFAST_E_TRUNCATED = -10001 };

/**
 * The state file is longer than it says it is.
 */
enum { STEADFAST_E_TRAILING = -10002 };

/**
 * The SHA-256 does not match.
 */
enum { STEADFAST_E_DIGEST = -10003 };

/**
 * Not a steadfast state file.
 */
enum { STEADFAST_E_FORMAT = -10004 };

/**
 * Intact, but written in a later format.
 */
enum { STEADFAST_E_NEWER = -10005 };

/**
 * Intact, but of another schema than was asked for.
 */
enum { STEADFAST_E_SCHEMA = -10006 };

/**
 * No current file, but a previous generation is there: load it with STEADFAST_LOAD_RECOVER.
 */
enum { STEADFAST_E_LOST = -10007 };

/**
 * Larger than the caller allows.
 */
enum { STEADFAST_E_TOO_LARGE = -10008 };

/**
 * IF_GENERATION: the state there has another generation.
 */
enum { STEADFAST_E_CONFLICT = -10009 };

/**
 * The path is a symbolic link.
 */
enum { STEADFAST_E_SYMLINK = -10010 };

/**
 * The path is a directory, a device, a FIFO or a socket.
 */
enum { STEADFAST_E_NOT_REGULAR = -10011 };

/**
 * STRICT: it could not be made durable; nothing was replaced.
 */
enum { STEADFAST_E_NOT_SAVED_DURABLY = -10012 };

/**
 * STRICT: it was replaced, but the directory could not be synced.
 */
enum { STEADFAST_E_SAVED_NOT_DURABLE = -10013 };

/**
 * Whether it was done cannot be found out.
 */
enum { STEADFAST_E_INDETERMINATE = -10014 };

/**
 * The lock is held.
 */
enum { STEADFAST_E_LOCKED = -10015 };

/**
 * The lock file was no longer ours at release.
 */
enum { STEADFAST_E_LOCK_LOST = -10016 };

/**
 * A forked child released the lock of its parent: only its descriptors were closed.
 */
enum { STEADFAST_E_WRONG_PROCESS = -10017 };

/**
 * A hook returned an invalid value.
 */
enum { STEADFAST_E_HOOK = -10018 };

/**
 * The platform or the file system lacks what this needs.
 */
enum { STEADFAST_E_UNSUPPORTED = -10019 };

/**
 * Other processes kept a save, or a lease kept a load, waiting for longer than its timeout. The old state stands; the
 * message says what was waited for.
 */
enum { STEADFAST_E_BUSY = -10021 };

/**
 * A case that cannot occur has occurred: a defect of this library. Nothing was done; please report it.
 */
enum { STEADFAST_E_INTERNAL = -10022 };

/**
 * No call failed.
 */
enum { STEADFAST_STEP_NONE = 0 };

/**
 * Saving, 1: opening the directory.
 */
enum { STEADFAST_STEP_OPEN_DIRECTORY = 1 };

/**
 * Saving, 2: looking at the target.
 */
enum { STEADFAST_STEP_INSPECT_TARGET = 2 };

/**
 * Saving, 3: reading what is there.
 */
enum { STEADFAST_STEP_READ_CURRENT = 3 };

/**
 * Saving, 4: creating and locking the temporary file.
 */
enum { STEADFAST_STEP_CREATE_TEMP = 4 };

/**
 * Saving, 5: writing.
 */
enum { STEADFAST_STEP_WRITE = 5 };

/**
 * Saving, 6: mode and owner.
 */
enum { STEADFAST_STEP_SET_MODE = 6 };

/**
 * Saving, 7: syncing the file.
 */
enum { STEADFAST_STEP_SYNC_FILE = 7 };

/**
 * Saving, 8: keeping the previous generation.
 */
enum { STEADFAST_STEP_KEEP_PREVIOUS = 8 };

/**
 * Saving, 9: the rename.
 */
enum { STEADFAST_STEP_RENAME = 9 };

/**
 * Saving, 10: syncing the directory.
 */
enum { STEADFAST_STEP_SYNC_DIRECTORY = 10 };

/**
 * Saving: making or syncing a parent directory.
 */
enum { STEADFAST_STEP_MAKE_PARENT = 11 };

/**
 * Saving: reading a symbolic link.
 */
enum { STEADFAST_STEP_READ_LINK = 12 };

/**
 * Opening the file.
 */
enum { STEADFAST_STEP_OPEN_FILE = 13 };

/**
 * Reading the file.
 */
enum { STEADFAST_STEP_READ_FILE = 14 };

/**
 * Getting memory.
 */
enum { STEADFAST_STEP_ALLOCATE = 15 };

/**
 * Reading the clock.
 */
enum { STEADFAST_STEP_CLOCK = 16 };

/**
 * Locks: finding out whether the owner lives.
 */
enum { STEADFAST_STEP_CHECK_OWNER = 17 };

/**
 * Locks: flock of the lock file.
 */
enum { STEADFAST_STEP_LOCK_FILE = 18 };

/**
 * Locks: comparing the name with the open file.
 */
enum { STEADFAST_STEP_COMPARE = 19 };

/**
 * Locks: removing the name.
 */
enum { STEADFAST_STEP_UNLINK = 20 };

/**
 * Locks: creating the record.
 */
enum { STEADFAST_STEP_CREATE_LOCK = 21 };

/**
 * Locks: giving the record its name.
 */
enum { STEADFAST_STEP_LINK = 22 };

/**
 * Locks: waiting.
 */
enum { STEADFAST_STEP_WAIT = 23 };

/**
 * The arguments, before any call.
 */
enum { STEADFAST_STEP_ARGUMENTS = 24 };

/**
 * A power cut now would leave what was there before.
 */
enum { STEADFAST_ON_DISK_OLD = 0 };

/**
 * A power cut now would leave the new state.
 */
enum { STEADFAST_ON_DISK_NEW = 1 };

/**
 * A power cut now would leave either, the old state perhaps as PATH.prev (STEADFAST_LOAD_RECOVER).
 */
enum { STEADFAST_ON_DISK_EITHER = 2 };

/**
 * A power cut now may leave nothing whole: only a load can tell.
 */
enum { STEADFAST_ON_DISK_UNKNOWN = 3 };

/**
 * In steadfast_stat.attributes: the file is the root of a mount (a bind-mounted file).
 */
enum { STEADFAST_STAT_MOUNT_ROOT = 1 };

/**
 * Operations of the sigxfsz hook.
 */
enum { STEADFAST_SIGXFSZ_BLOCK = 0 };

/**
 * See STEADFAST_SIGXFSZ_BLOCK.
 */
enum { STEADFAST_SIGXFSZ_RESTORE = 1 };

/**
 * State bits of the sigxfsz hook: it was blocked, was pending, and (given by the library) was raised.
 */
enum { STEADFAST_SIGXFSZ_WAS_BLOCKED = 1 };

/**
 * See STEADFAST_SIGXFSZ_WAS_BLOCKED.
 */
enum { STEADFAST_SIGXFSZ_WAS_PENDING = 2 };

/**
 * See STEADFAST_SIGXFSZ_WAS_BLOCKED.
 */
enum { STEADFAST_SIGXFSZ_RAISED = 4 };

/**
 * Clocks of the clock hook: CLOCK_REALTIME and CLOCK_MONOTONIC.
 */
enum { STEADFAST_CLOCK_REALTIME = 0 };

/**
 * See STEADFAST_CLOCK_REALTIME.
 */
enum { STEADFAST_CLOCK_MONOTONIC = 1 };

/**
 * Operations of the ofdlock hook, which gives and asks for open file description locks on a range of bytes:
 * take a shared one without waiting.
 */
enum { STEADFAST_OFDLOCK_SET = 0 };

/**
 * Is there one of somebody else's?
 */
enum { STEADFAST_OFDLOCK_TEST = 1 };

/**
 * Take a shared one, waiting.
 */
enum { STEADFAST_OFDLOCK_WAIT = 2 };

/**
 * Take an exclusive one without waiting.
 */
enum { STEADFAST_OFDLOCK_EXCLUSIVE = 3 };

/**
 * Give it up.
 */
enum { STEADFAST_OFDLOCK_UNLOCK = 4 };

/**
 * Operations of the writeback hook: begin to write what is dirty in a range of bytes.
 */
enum { STEADFAST_WRITEBACK_START = 0 };

/**
 * The same, and wait; an error that it met is returned.
 */
enum { STEADFAST_WRITEBACK_WAIT = 1 };

/**
 * Operations of the aio hook, which writes so that the device begins at once. OPEN makes ready for a file of `len`
 * bytes, which may get longer by it; `queue` is 0 before, and from then on the hook's.
 */
enum { STEADFAST_AIO_OPEN = 0 };

/**
 * Starts writing `len` bytes at `offset`; `buf` stays as it is until its WAIT. All three are multiples of 4096, as for
 * O_DIRECT (open(2)). One at a time.
 */
enum { STEADFAST_AIO_WRITE = 1 };

/**
 * Waits for the started write: how much it wrote, or its error.
 */
enum { STEADFAST_AIO_WAIT = 2 };

/**
 * Waits for what is still being written, and ends it. Also after an OPEN that failed; its answer is not looked at.
 */
enum { STEADFAST_AIO_CLOSE = 3 };

/**
 * steadfast_hooks.absent: act as if the platform had no such thing.
 */
enum { STEADFAST_ABSENT_O_DIRECTORY = 1 };

/**
 * A directory cannot be synced: every save is STEADFAST_NOT_DURABLE, with STRICT it is refused.
 */
enum { STEADFAST_ABSENT_DIR_FSYNC = 2 };

/**
 * open(2) has no O_TMPFILE: lock files are made under a private name first.
 */
enum { STEADFAST_ABSENT_O_TMPFILE = 4 };

/**
 * rename has no flags: a name is created by link instead of by RENAME_NOREPLACE.
 */
enum { STEADFAST_ABSENT_RENAMEAT2 = 8 };

/**
 * No flock: orphans stay, IF_GENERATION and taking or cleaning a lock are STEADFAST_E_UNSUPPORTED.
 */
enum { STEADFAST_ABSENT_FLOCK = 16 };

/**
 * No extended attributes: another boot and a reused PID are not recognised.
 */
enum { STEADFAST_ABSENT_XATTR = 32 };

/**
 * No pidfd: kill and /proc tell whether a process lives.
 */
enum { STEADFAST_ABSENT_PIDFD = 64 };

/**
 * No /proc.
 */
enum { STEADFAST_ABSENT_PROC = 128 };

/**
 * No inotify: waiting for a lock polls.
 */
enum { STEADFAST_ABSENT_INOTIFY = 256 };

/**
 * No open file description locks: waiters are not queued.
 */
enum { STEADFAST_ABSENT_OFDLOCK = 512 };

/**
 * No hard links: the previous generation is kept by a copy.
 */
enum { STEADFAST_ABSENT_LINK = 1024 };

/**
 * No fdatasync: fsync is called instead.
 */
enum { STEADFAST_ABSENT_FDATASYNC = 2048 };

/**
 * No syncfs: STEADFAST_SAVE_SYNCFS syncs one file after the other.
 */
enum { STEADFAST_ABSENT_SYNCFS = 4096 };

/**
 * No such writes: a large state is hashed first and then written.
 */
enum { STEADFAST_ABSENT_AIO = 8192 };

/**
 * Files cannot be synced at once: a batch syncs one after the other.
 */
enum { STEADFAST_ABSENT_FSYNC_MANY = 16384 };

/**
 * No openat2: a context made with STEADFAST_CONTEXT_BENEATH is STEADFAST_E_UNSUPPORTED.
 */
enum { STEADFAST_ABSENT_OPENAT2 = 32768 };

/**
 * A mapping does not keep the flock of a lock file: the lock keeps a descriptor.
 */
enum { STEADFAST_ABSENT_MAP = 65536 };

/**
 * Hooks, and where relative paths begin. Immutable: threads may share it without a lock.
 */
typedef struct steadfast_context steadfast_context;

/**
 * A lock held by this process. It belongs to the thread that uses it: hand it over, do not share it.
 */
typedef struct steadfast_lock steadfast_lock;

/**
 * What the fstat and fstatat hooks fill: the part of struct stat that the library looks at.
 */
typedef struct {
  /**
   * Device number.
   */
  uint64_t dev;
  /**
   * Inode number.
   */
  uint64_t ino;
  /**
   * File type and permission bits, as in struct stat.
   */
  uint32_t mode;
  /**
   * Number of hard links.
   */
  uint32_t nlink;
  /**
   * Owner.
   */
  uint32_t uid;
  /**
   * Group.
   */
  uint32_t gid;
  /**
   * Length in bytes.
   */
  uint64_t size;
  /**
   * Last change of the content, nanoseconds since the Unix epoch.
   */
  int64_t mtime_ns;
  /**
   * STEADFAST_STAT_*.
   */
  uint32_t attributes;
  /**
   * 0.
   */
  uint32_t reserved;
} steadfast_stat;

/**
 * struct pollfd of POSIX, by its fixed-width name.
 */
typedef struct {
  /**
   * Descriptor; a negative one is passed over.
   */
  int32_t fd;
  /**
   * Events asked for: 1 is POLLIN.
   */
  int16_t events;
  /**
   * Events seen.
   */
  int16_t revents;
} steadfast_pollfd;

/**
 * The system calls of the library, as function pointers.
 *
 * Each hook returns >= 0 or a negated errno, and gets `user` first. A NULL hook is the real call; but fdatasync is the
 * fsync hook, where there is one, and nothing goes past an fsync or write hook, or a fault
 * injected there, by syncfs, fsync_many or aio. The
 * library retries a hook that returns -EINTR (except close), goes on after a short write, and answers
 * STEADFAST_E_HOOK for a hook that returns more than it was given or something that is no errno. A hook
 * runs in the thread that called the library; it must not call back with the same lock.
 *
 * Start from steadfast_hooks_init() or from a zeroed table with `size` set. A table of a later, longer
 * version is accepted when its unknown tail is zero.
 */
typedef struct {
  /**
   * sizeof(steadfast_hooks).
   */
  size_t size;
  /**
   * First argument of every hook.
   */
  void *user;
  /**
   * STEADFAST_ABSENT_*; 0 is a complete platform.
   */
  uint32_t absent;
  /**
   * 0.
   */
  uint32_t reserved;
  int32_t (*openat)(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode);
  int32_t (*close)(void *user, int32_t fd);
  int64_t (*write)(void *user, int32_t fd, const void *buf, size_t len);
  int32_t (*fsync)(void *user, int32_t fd);
  /**
   * `flags` are those of renameat2(2); 0 is plain renameat.
   */
  int32_t (*renameat)(void *user,
                      int32_t old_dirfd,
                      const char *old_path,
                      int32_t new_dirfd,
                      const char *new_path,
                      uint32_t flags);
  int32_t (*unlinkat)(void *user, int32_t dirfd, const char *path, int32_t flags);
  int32_t (*linkat)(void *user,
                    int32_t old_dirfd,
                    const char *old_path,
                    int32_t new_dirfd,
                    const char *new_path,
                    int32_t flags);
  int32_t (*mkdirat)(void *user, int32_t dirfd, const char *path, uint32_t mode);
  int64_t (*readlinkat)(void *user, int32_t dirfd, const char *path, void *buf, size_t len);
  int64_t (*read)(void *user, int32_t fd, void *buf, size_t len);
  int64_t (*pread)(void *user, int32_t fd, void *buf, size_t len, uint64_t offset);
  int32_t (*fstat)(void *user, int32_t fd, steadfast_stat *out);
  /**
   * Never follows a symbolic link.
   */
  int32_t (*fstatat)(void *user, int32_t dirfd, const char *path, steadfast_stat *out);
  /**
   * Returns the file system's magic number (statfs.f_type), 0 where there is none.
   */
  int64_t (*fstatfs)(void *user, int32_t fd);
  int32_t (*fchmod)(void *user, int32_t fd, uint32_t mode);
  int32_t (*fchown)(void *user, int32_t fd, uint32_t uid, uint32_t gid);
  int32_t (*flock)(void *user, int32_t fd, int32_t operation);
  /**
   * One of STEADFAST_OFDLOCK_* on [start, start + len). TEST returns 1 when a lock of someone else lies in that range,
   * and its start and length (0: to the end) in `found[0]` and `found[1]`; else 0.
   */
  int32_t (*ofdlock)(void *user, int32_t fd, int32_t operation, int64_t start, int64_t len, int64_t *found);
  int64_t (*fgetxattr)(void *user, int32_t fd, const char *name, void *buf, size_t len);
  int32_t (*fsetxattr)(void *user, int32_t fd, const char *name, const void *buf, size_t len);
  int32_t (*getpid)(void *user);
  /**
   * The effective user, >= 0.
   */
  int64_t (*geteuid)(void *user);
  int32_t (*kill)(void *user, int32_t pid, int32_t signal);
  int32_t (*pidfd_open)(void *user, int32_t pid, uint32_t flags);
  /**
   * ppoll(2) without a signal mask: `timeout_ns` 0 returns at once, a negative one waits for ever.
   */
  int32_t (*poll)(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns);
  int32_t (*inotify_init)(void *user, int32_t flags);
  int32_t (*inotify_add_watch)(void *user, int32_t fd, const char *path, uint32_t mask);
  /**
   * Nanoseconds of one of STEADFAST_CLOCK_*.
   */
  int32_t (*clock)(void *user, int32_t clock, int64_t *ns);
  /**
   * BLOCK holds SIGXFSZ off the calling thread and returns the state to give back to RESTORE.
   */
  int32_t (*sigxfsz)(void *user, int32_t operation, int32_t state);
  /**
   * fsync, but for metadata that reading the content back does not need.
   */
  int32_t (*fdatasync)(void *user, int32_t fd);
  /**
   * Syncs the whole file system of `fd`.
   */
  int32_t (*syncfs)(void *user, int32_t fd);
  int32_t (*ftruncate)(void *user, int32_t fd, uint64_t len);
  /**
   * One of STEADFAST_WRITEBACK_*, as sync_file_range(2). It makes nothing durable.
   */
  int32_t (*writeback)(void *user, int32_t fd, int32_t operation, uint64_t offset, uint64_t len);
  /**
   * One of STEADFAST_AIO_*.
   */
  int64_t (*aio)(void *user,
                 int32_t operation,
                 uint64_t *queue,
                 int32_t fd,
                 const void *buf,
                 size_t len,
                 uint64_t offset);
  /**
   * fsync of the `count` descriptors at `files`, all under way at once: each is replaced by 0 or a negated errno. An error
   * of its own means that none was begun. `queue` is 0 at first, and then the hook's; a call with `count` 0 ends it.
   */
  int32_t (*fsync_many)(void *user, uint64_t *queue, int32_t *files, uint32_t count);
  /**
   * openat2(2) with `resolve` as its RESOLVE_* flags; STEADFAST_CONTEXT_BENEATH needs it.
   */
  int32_t (*openat2)(void *user,
                     int32_t dirfd,
                     const char *path,
                     int32_t flags,
                     uint32_t mode,
                     uint64_t resolve);
  /**
   * Maps a page of `fd`, private to this process and not inherited by fork, so that its open file description, and
   * with it its flock, outlives the descriptor. Returns the address.
   */
  int64_t (*map)(void *user, int32_t fd);
  /**
   * Ends such a mapping.
   */
  int32_t (*unmap)(void *user, uint64_t address);
} steadfast_hooks;

/**
 * How to make a context. Zero, or NULL instead of the struct, is the default everywhere.
 */
typedef struct {
  /**
   * sizeof(steadfast_context_options).
   */
  size_t size;
  /**
   * STEADFAST_CONTEXT_*.
   */
  uint32_t flags;
  /**
   * With STEADFAST_CONTEXT_AT: an open directory, or AT_FDCWD for the working directory of now.
   */
  int32_t dirfd;
  /**
   * Copied; NULL means the real calls.
   */
  const steadfast_hooks *hooks;
} steadfast_context_options;

/**
 * How to treat a lock. Zero, or NULL instead of the struct, is the default everywhere.
 */
typedef struct {
  /**
   * sizeof(steadfast_lock_options).
   */
  size_t size;
  /**
   * STEADFAST_LOCK_*.
   */
  uint32_t flags;
  /**
   * Permission bits of the lock file, less the umask; 0 means 0644.
   */
  uint32_t mode;
  /**
   * An empty lock file of another program is stale when it has been so for this many milliseconds; 0: never.
   */
  int64_t empty_grace_ms;
  /**
   * A descriptor that ends the wait of steadfast_lock_acquire with -ECANCELED when it becomes readable (a pipe, an eventfd,
   * a signalfd); 0: none. It is only polled.
   */
  int32_t cancel_fd;
  /**
   * 0.
   */
  int32_t reserved;
} steadfast_lock_options;

/**
 * The result of a call. The caller owns it; set `size` before each call and read the rest after it, whatever
 * the call returned.
 */
typedef struct {
  /**
   * sizeof(steadfast_report); at least 40. A shorter report gets a shorter message.
   */
  size_t size;
  /**
   * The value returned.
   */
  int32_t status;
  /**
   * errno of the call that failed, 0 when none did.
   */
  int32_t os_error;
  /**
   * STEADFAST_STEP_*: the call that failed, 0 when none did.
   */
  int32_t step;
  /**
   * STEADFAST_ON_DISK_*: what a power cut now would leave.
   */
  int32_t on_disk;
  /**
   * Generation of the state written or read; with STEADFAST_E_CONFLICT of the state that is there.
   */
  uint64_t generation;
  /**
   * Lock calls: the process named in the lock, 0 when none.
   */
  int64_t pid;
  /**
   * One English sentence naming the path, NUL-terminated, cut at a character.
   */
  char message[216];
} steadfast_report;

/**
 * How to save. Zero, or NULL instead of the struct, is the default everywhere.
 */
typedef struct {
  /**
   * sizeof(steadfast_save_options).
   */
  size_t size;
  /**
   * STEADFAST_SAVE_*.
   */
  uint32_t flags;
  /**
   * Permission bits of a new file, whatever the umask; 0 means 0600. An existing file keeps its own.
   */
  uint32_t mode;
  /**
   * The caller's own format number, stored and handed back.
   */
  uint32_t schema;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * With STEADFAST_SAVE_IF_GENERATION; 0 means "no state there yet, and no previous one".
   */
  uint64_t expected_generation;
  /**
   * How long to wait for other savers of the same state, and for whoever holds its flock or a lease on it, in
   * milliseconds; 0 means 10,000, a negative one waits for ever.
   */
  int64_t timeout_ms;
} steadfast_save_options;

/**
 * One state of steadfast_state_save_batch.
 */
typedef struct {
  /**
   * sizeof(steadfast_save_entry), the same in all entries of a call; at least up to and without `step`.
   */
  size_t size;
  /**
   * Where to save it.
   */
  const char *path;
  /**
   * What to save: `len` bytes.
   */
  const void *data;
  /**
   * Length in bytes.
   */
  size_t len;
  /**
   * Set by the call: what steadfast_state_save would have returned for it.
   */
  int32_t status;
  /**
   * Set by the call: errno of the call that failed, 0 when none did.
   */
  int32_t os_error;
  /**
   * Set by the call: the generation written, or with STEADFAST_E_CONFLICT the one that is there.
   */
  uint64_t generation;
  /**
   * Set by the call: STEADFAST_STEP_*.
   */
  int32_t step;
  /**
   * Set by the call: STEADFAST_ON_DISK_*.
   */
  int32_t on_disk;
} steadfast_save_entry;

/**
 * How to load. Zero, or NULL instead of the struct, is the default everywhere.
 */
typedef struct {
  /**
   * sizeof(steadfast_load_options).
   */
  size_t size;
  /**
   * STEADFAST_LOAD_*.
   */
  uint32_t flags;
  /**
   * With STEADFAST_LOAD_REQUIRE_SCHEMA.
   */
  uint32_t schema;
  /**
   * The longest payload accepted, in bytes; 0 means 1 GiB for steadfast_state_load and no limit but the caller's memory
   * for steadfast_state_load_into.
   */
  uint64_t max_len;
} steadfast_load_options;

/**
 * A loaded state. Set `size` before the call; give it to steadfast_state_free afterwards.
 */
typedef struct {
  /**
   * sizeof(steadfast_state); at least up to and with `len`.
   */
  size_t size;
  /**
   * `len` bytes and one NUL after them, aligned to 16. Owned by the library: do not free(3) it.
   */
  void *data;
  /**
   * Length in bytes.
   */
  size_t len;
  /**
   * Counts the saves.
   */
  uint64_t generation;
  /**
   * When it was saved: nanoseconds since the Unix epoch, by the clock of then.
   */
  int64_t saved_at_ns;
  /**
   * The caller's own format number.
   */
  uint32_t schema;
  /**
   * STEADFAST_SOURCE_*.
   */
  uint32_t source;
  /**
   * SHA-256 of the record, as its first line gives it.
   */
  uint8_t sha256[32];
} steadfast_state;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The table of the real calls, for hooks that chain to them. Static; its `user` is NULL and not looked at.
 */
const steadfast_hooks *steadfast_hooks_default(void);

/**
 * Makes a context from a hook table, which is copied; NULL means the real calls.
 *
 * `*out` is the caller's, to be freed with steadfast_context_free; after an error it is NULL.
 * Returns 0, -EINVAL (`out` NULL, a size that is too small or ends inside a hook, an unknown `absent` bit, a set member
 * that this version does not know) or -ENOMEM.
 */
int32_t steadfast_context_new(const steadfast_hooks *hooks,
                              steadfast_context **out);

/**
 * Makes a context from options: where relative paths begin, and hooks.
 *
 * `*out` is the caller's, to be freed with steadfast_context_free; after an error it is NULL. `dirfd` may be closed once
 * this has returned. If the program later closes the context's own descriptor (closefrom), the directory is opened anew by
 * its path, as long as it is still there.
 * Returns 0; -EINVAL as steadfast_context_new, and for an unknown flag or BENEATH without AT; STEADFAST_E_UNSUPPORTED
 * (BENEATH without openat2); -ENOMEM; or the negated errno of opening `dirfd` (-EBADF, -ENOTDIR).
 */
int32_t steadfast_context_new_with(const steadfast_context_options *options,
                                   steadfast_context **out);

/**
 * Makes a context with one fault to inject: for tests in languages that have no callbacks.
 *
 * Counts the calls of hook `call` (STEADFAST_CALL_*; 0 counts every call) made with this context, by all
 * threads together, and makes the `nth` such call (counting from 1) fail with errno `error` instead of being executed. If
 * `for_ever` is 1, all later calls fail as well. A lock taken with the context continues with a copy of the counter.
 * Returns as steadfast_context_new, and -EINVAL for an unknown `call`, `nth` 0, an `error` outside 1..4095 or a `for_ever`
 * above 1.
 */
int32_t steadfast_context_new_failing(const steadfast_hooks *hooks,
                                      uint32_t call,
                                      uint64_t nth,
                                      int32_t error,
                                      uint32_t for_ever,
                                      steadfast_context **out);

/**
 * Frees a context. Locks taken with it go on. NULL is fine. No other thread may still be in a call with it.
 */
void steadfast_context_free(steadfast_context *context);

/**
 * Removes the lock file at `path` if its owner is provably dead; never takes it from a live one.
 *
 * Returns a verdict: STEADFAST_LOCK_ABSENT (no lock file), _REMOVED (it was stale and this call removed it:
 * exactly one caller gets this answer), _HELD, _UNDECIDED, _IGNORED, _CHANGED; only _REMOVED has changed anything. The
 * report's message says why, its pid whom the lock names. Or, with nothing changed, a negated errno of the
 * call that the step names (a stale lock in a directory that may not be written: -EACCES, -EPERM, -EROFS; no
 * such directory: -ENOENT), STEADFAST_E_UNSUPPORTED (no flock here), STEADFAST_E_HOOK.
 *
 * Safe against any number of cleaners and takers that use this library, and against any program that creates
 * its lock with O_EXCL or link and does not itself remove stale locks. Threads: no restriction.
 */
int32_t steadfast_lock_clean_stale(const steadfast_context *context,
                                   const char *path,
                                   const steadfast_lock_options *options,
                                   steadfast_report *report);

/**
 * Says what steadfast_lock_clean_stale would do: STEADFAST_LOCK_STALE instead of _REMOVED. Changes nothing.
 *
 * Otherwise returns as that does. It may take a shared flock for a moment, to see whether the lock is held.
 */
int32_t steadfast_lock_inspect(const steadfast_context *context,
                               const char *path,
                               const steadfast_lock_options *options,
                               steadfast_report *report);

/**
 * Takes the lock at `path`, cleaning a stale one on the way.
 *
 * The file appears complete: the PID in decimal and a newline. The holder keeps a flock on it for life, so
 * that a reused PID or another PID namespace cannot make it look dead. Where a mapping keeps the flock (Linux, but for
 * overlayfs) no descriptor of the file stays open: closing all descriptors does not drop the lock.
 *
 * `timeout_ms`: 0 tries once, a negative one waits for ever. Waits sleep until the holder releases or dies.
 * A signal ends the wait with -EINTR when STEADFAST_LOCK_EINTR_RETURNS is set, `cancel_fd` with -ECANCELED.
 *
 * Returns 0, and `*out` is to be given to steadfast_lock_release (the report says when a stale lock was taken
 * over, and warns of a network file system). After an error `*out` is NULL: STEADFAST_E_LOCKED: the report's pid holds it,
 * and the message says when that is this very process;
 * STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is there is no lock; STEADFAST_E_UNSUPPORTED: no flock here, or one that
 * others do not see; -EINTR; -ECANCELED; -EINVAL; -ENOMEM; or a negated errno. Unless it returns 0, no lock file of ours is
 * left.
 *
 * Threads: two of one process exclude each other like two processes. Fork: a child does not own the lock. It
 * prolongs it only where a descriptor keeps the flock: with STEADFAST_LOCK_INHERIT, or where no mapping does. The context
 * may be freed.
 */
int32_t steadfast_lock_acquire(const steadfast_context *context,
                               const char *path,
                               int64_t timeout_ms,
                               const steadfast_lock_options *options,
                               steadfast_lock **out,
                               steadfast_report *report);

/**
 * Says whether a lock is still this process's.
 *
 * Returns 0: it is; STEADFAST_E_LOCK_LOST: its file was removed or replaced; STEADFAST_E_WRONG_PROCESS: this is a forked
 * child that has not adopted it, or a child has adopted it; -EINVAL: `lock` is NULL; or a negated errno. Nothing changes.
 */
int32_t steadfast_lock_check(const steadfast_lock *lock,
                             steadfast_report *report);

/**
 * Makes an inherited lock the calling process's own: for a child that goes on when its parent ends, such as a daemon.
 *
 * The file then names this process, and only this process releases it; in the parent, steadfast_lock_check and
 * steadfast_lock_release answer STEADFAST_E_WRONG_PROCESS. While the file is being written it may look malformed to others,
 * who keep such a lock.
 *
 * Returns 0, also when it is this process's already; STEADFAST_E_LOCK_LOST: the file was removed or replaced;
 * STEADFAST_E_WRONG_PROCESS: another child has adopted it; STEADFAST_E_BUSY; -EINVAL: the lock was taken without
 * STEADFAST_LOCK_INHERIT, or is NULL; or a negated errno. Unless it returns 0, nothing has changed, but for a write that
 * failed.
 */
int32_t steadfast_lock_adopt(steadfast_lock *lock,
                             steadfast_report *report);

/**
 * Releases a lock: removes its file, if it is still ours, then gives up the flock. Frees `lock` always; NULL
 * is fine.
 *
 * Returns 0; STEADFAST_E_LOCK_LOST: the file was removed or replaced, and what is there now was not touched;
 * STEADFAST_E_WRONG_PROCESS: this is a forked child, or a child has adopted the lock: only this process's descriptors were
 * closed, the lock goes on; or a negated errno: the file could not be removed and still names this process.
 */
int32_t steadfast_lock_release(steadfast_lock *lock,
                               steadfast_report *report);

/**
 * Saves `len` bytes at `path`: after a crash at any moment a reader finds the old state or the new one, whole.
 *
 * Writes a temporary file in the same directory, syncs it, renames it over `path`, syncs the directory.
 * (NULL, 0) is legal data. A save of equal bytes is still a save. The directory must be writable and
 * readable. An existing file keeps its mode and, where allowed, its owner; its ACLs, other extended
 * attributes and other hard links are not carried over.
 *
 * Returns, and what is then on disk:
 *  - 0: the new state, durable.
 *  - STEADFAST_NOT_DURABLE: the new state is there for every reader; after a power cut either. The report
 *    says which sync failed (step, os_error), or that the platform has none.
 *  - STEADFAST_E_SAVED_NOT_DURABLE: the same for the directory's sync, with STRICT.
 *  - STEADFAST_E_INDETERMINATE: the rename failed and whether it happened cannot be seen: either.
 *  - every other code below 0: the old state, untouched. A negated errno of the call that the report's step
 *    names; STEADFAST_E_NOT_SAVED_DURABLY (STRICT), _E_CONFLICT and the codes of damage (IF_GENERATION),
 *    _E_SYMLINK, _E_NOT_REGULAR, _E_UNSUPPORTED (no flock for IF_GENERATION), _E_HOOK. -EBUSY: the file is a
 *    mount point. -EFBIG: RLIMIT_FSIZE; never a signal. -EOVERFLOW: the generation is at its last number.
 *    -EINVAL: the arguments.
 *
 * Threads may save to one path at once, also through several processes; the last rename wins. With
 * IF_GENERATION exactly one of those that expect the same generation does. After fork both processes go on.
 */
int32_t steadfast_state_save(const steadfast_context *context,
                             const char *path,
                             const void *data,
                             size_t len,
                             const steadfast_save_options *options,
                             steadfast_report *report);

/**
 * Saves many states in one call, faster than one after the other: all are written before the first is synced, from 200
 * on those of a group are synced at once, and each directory is synced once. Each is atomic and durable for itself;
 * there is no promise across them.
 *
 * `options` are those of all. With STEADFAST_SAVE_SYNCFS one syncfs(2) for each file system takes the place of one
 * fsync for each file: faster for many, but it also flushes what others have written there. A path that comes twice is
 * saved twice, in order. At most some 260 descriptors are open at once, and fewer where the limit is lower.
 *
 * Every entry gets its own `status`, `os_error`, `generation`, `step` and `on_disk`, with the meanings of
 * steadfast_state_save; a bad entry alone is that entry's own status, and the others go on. Returns 0 if every entry has
 * status 0. Otherwise returns the first negative status or, if there is none, the first positive one; the report describes
 * that entry.
 *
 * A batch that is refused whole saves nothing, and sets every entry's status to -ECANCELED: -EINVAL with the report's step
 * STEADFAST_STEP_ARGUMENTS (options; entries that are NULL, or whose sizes are too small or differ: these cannot be
 * written to), -ENOMEM with STEADFAST_STEP_ALLOCATE.
 */
int32_t steadfast_state_save_batch(const steadfast_context *context,
                                   steadfast_save_entry *entries,
                                   size_t count,
                                   const steadfast_save_options *options,
                                   steadfast_report *report);

/**
 * Loads the state at `path` and verifies it: what `out` gets is what was saved, to the bit, or nothing.
 *
 * `out->size` must be set; the rest is written on success only, and is to be given to steadfast_state_free.
 * Symbolic links are followed. Nothing on disk changes.
 *
 * Returns 0; STEADFAST_RECOVERED with STEADFAST_LOAD_RECOVER when the current state is damaged, unreadable
 * (-EIO) or missing and PATH.prev is whole (the report keeps the step and errno that made it necessary);
 * -ENOENT: no state, and no previous one; STEADFAST_E_LOST: no state, but a previous one; _E_EMPTY,
 * _E_TRUNCATED, _E_TRAILING, _E_DIGEST: damaged; _E_FORMAT: not a state file; _E_NEWER: intact, but of a later
 * format; _E_SCHEMA; _E_TOO_LARGE: longer than max_len, found before memory is taken; _E_NOT_REGULAR (a
 * device is read from once before that is found);
 * -ENOMEM; -EINVAL; or a negated errno.
 *
 * Threads: no restriction. A load beside saves gets a state of before or after each of them.
 */
int32_t steadfast_state_load(const steadfast_context *context,
                             const char *path,
                             const steadfast_load_options *options,
                             steadfast_state *out,
                             steadfast_report *report);

/**
 * Loads the state at `path` into memory of the caller's: `cap` bytes at `buf`. Nothing is allocated.
 *
 * Otherwise it behaves like steadfast_state_load, except that no NUL is appended, the generation is available only in the
 * report, and without max_len there is no limit but `cap`. `*out_len` gets the length of the payload; when that is more than `cap` (or max_len) allows, the
 * call returns STEADFAST_E_TOO_LARGE and `*out_len` is the length needed. A call with `cap` 0 asks for it. After any
 * other error `*out_len` is as it was, and no byte of an unverified payload stays in `buf`: what was written to is zeroed.
 */
int32_t steadfast_state_load_into(const steadfast_context *context,
                                  const char *path,
                                  const steadfast_load_options *options,
                                  void *buf,
                                  size_t cap,
                                  size_t *out_len,
                                  steadfast_report *report);

/**
 * Frees what steadfast_state_load put into `state` and zeroes the struct, but for its size. NULL is fine, and
 * so is a struct that was freed or zeroed.
 */
void steadfast_state_free(steadfast_state *state);

/**
 * The version of the library, "0.1.0". Static.
 */
const char *steadfast_version(void);

/**
 * The number in the SONAME: it changes when a program must be compiled anew.
 */
uint32_t steadfast_abi_version(void);

/**
 * The name of a code: "STEADFAST_E_DIGEST", "ENOSPC"; "UNKNOWN" for a number that is no code. Static, never
 * NULL. 0 is both STEADFAST_OK and STEADFAST_LOCK_ABSENT, and named the former.
 */
const char *steadfast_status_name(int32_t status);

/**
 * What a code means, in a few English words. Static, never NULL.
 */
const char *steadfast_status_message(int32_t status);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifndef STEADFAST_NO_INLINE
/**
 * A table of real calls to start from: zeroed, its size set.
 */
static inline steadfast_hooks steadfast_hooks_init(void)
{
#ifdef __cplusplus
  steadfast_hooks hooks = steadfast_hooks();
#else
  steadfast_hooks hooks = { 0 };
#endif
  hooks.size = sizeof hooks;
  return hooks;
}
#endif

#endif  /* STEADFAST_H */
