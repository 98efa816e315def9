/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * steadfast: state files that survive a crash, lock files that a dead owner cannot block.
 *
 * This header is the manual of the C interface. It is generated from the source (make header). Its sections:
 *
 *   1. Versions and codes
 *   2. The report
 *   3. States
 *   4. Locks
 *   5. Directories
 *   6. Contexts
 *   7. Hooks and fault injection
 *
 * Link with -lsteadfast, or load libsteadfast.so.0 with dlopen.
 *
 * Results. A function that can fail returns an int32_t. 0 means done. Above 0 means done with a reservation, or is a
 * verdict about a lock. Below 0 means not done: -1 to -4095 is a negated errno, -10000 and below is one of STEADFAST_E_*.
 * For a save, below 0 means that the old state stands, with two exceptions, in which the new one may be there:
 * STEADFAST_E_SAVED_NOT_DURABLE and STEADFAST_E_INDETERMINATE. The library promises nothing about errno itself.
 *
 * Structs. The caller sets `size` to sizeof the struct before the call. A size that is too small is -EINVAL. A member
 * beyond `size` reads as zero, and zero is the default of every member. A later version's longer struct is accepted if
 * the members that this version does not know are zero. Otherwise, and for an unknown flag, the call returns -EINVAL.
 *
 * Arguments. NULL for a context, for options or for a report means the defaults. A function that makes an object stores
 * it in *out, and stores NULL there when it fails. A report is written whatever the call returns. A report whose size is
 * below 40 is -EINVAL; only steadfast_lock_release ignores it.
 *
 * Paths are bytes, NUL-terminated, in any encoding, shorter than 4096. NULL and "" are -EINVAL. A path that ends in
 * "/", or whose last component is "." or "..", is -EISDIR. A longer one is -ENAMETOOLONG.
 *
 * Who frees:
 *   steadfast_context   made by steadfast_context_new,      freed by steadfast_context_free, which also closes the
 *                       _new_with or _new_failing           context's own descriptor of its directory
 *   steadfast_state     filled by steadfast_state_load      emptied by steadfast_state_free
 *   steadfast_lock      made by steadfast_lock_acquire      freed by steadfast_lock_release, in a forked child as well
 *   everything else     the caller's; strings returned are static
 * A lock needs nothing of its context any more. After a call the library keeps no pointer of the caller's, except the
 * functions and the `user` of a hook table.
 *
 * Threads. Every function may be called from any thread at any time. Threads may share a context; it is freed when no
 * thread is in a call with it. A lock is used by one
 * thread at a time.
 *
 * Fork. A child may use everything but the locks of its parent, which it may only release (this closes the child's
 * descriptors), check and adopt. Descriptors are close-on-exec, except those of a lock with STEADFAST_LOCK_INHERIT.
 *
 * Signals. No function is async-signal-safe: call none from a signal handler. A signal that is handled during a call does
 * not end it, except as STEADFAST_LOCK_EINTR_RETURNS says. No save raises SIGXFSZ.
 *
 * Cancellation. If a thread is cancelled (pthread_cancel) inside a call, the caller's cleanup handlers run, but what the
 * call had open stays until the process ends: descriptors, memory, a temporary file, a lock. So do not cancel a thread
 * inside a call; a wait for a lock is ended by steadfast_lock_options.cancel_fd.
 *
 * Waiting. No call waits for other processes longer than its timeout, or 10 seconds where it has none. How long a device,
 * a frozen file system or a hard NFS mount takes is up to them.
 *
 * The library starts no threads, installs no signal handlers, reads no environment variables, keeps no global state that
 * affects results, and can be unloaded with dlclose when no context, lock or state of it is left.
 */

#ifndef STEADFAST_H
#define STEADFAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ============================================================================
 * 1. Versions and codes
 * ========================================================================= */

/** The version of the library, such as "0.1.0". The string is static. */
const char *steadfast_version(void);

/** The number in the SONAME. It changes when programs must be recompiled. */
uint32_t steadfast_abi_version(void);

/** Done. */
enum {
  /** Done. For a save: done and durable. */
  STEADFAST_OK = 0,
  /**
   * steadfast_state_save: saved, but a sync failed, is not possible here or was not wanted. The report says which and
   * why.
   */
  STEADFAST_NOT_DURABLE = 16,
  /** steadfast_state_load: loaded from PATH.prev, because PATH is missing or its load failed. */
  STEADFAST_RECOVERED = 17,
  /**
   * STEADFAST_SAVE_PLAIN: saved and durable, but no attribute could be kept. STEADFAST_LOAD_PLAIN: loaded, but there is nothing
   * to verify the content by.
   */
  STEADFAST_UNVERIFIED = 18,
  /**
   * STEADFAST_LOAD_PLAIN: loaded; the library saved the file, and somebody has changed it since, on purpose as far as can be
   * seen.
   */
  STEADFAST_CHANGED = 19
};

/**
 * Verdicts about a lock, from steadfast_lock_clean_stale and steadfast_lock_inspect. They are answers, not degrees of
 * success.
 */
enum {
  /** There is no lock file. */
  STEADFAST_LOCK_ABSENT = 0,
  /** The lock was stale, and this call removed it. Exactly one caller gets this answer. */
  STEADFAST_LOCK_REMOVED = 1,
  /** The owner is alive, or another process holds the file's flock. */
  STEADFAST_LOCK_HELD = 2,
  /** It cannot be known (empty, malformed, another machine's, no permission to read it). The file was kept. */
  STEADFAST_LOCK_UNDECIDED = 3,
  /** A symbolic link or not a regular file. It was not followed and not touched. */
  STEADFAST_LOCK_IGNORED = 4,
  /** Another process replaced the file during the call. Nothing was done. */
  STEADFAST_LOCK_CHANGED = 5,
  /** steadfast_lock_inspect only: steadfast_lock_clean_stale would remove it. */
  STEADFAST_LOCK_STALE = 6
};

/** Not done: the errors of the library. All others are negated errno values. */
enum {
  /** Damage: the state file is empty. */
  STEADFAST_E_EMPTY = -10000,
  /** Damage: the state file is shorter than its header says. */
  STEADFAST_E_TRUNCATED = -10001,
  /** Damage: the state file is longer than its header says. */
  STEADFAST_E_TRAILING = -10002,
  /** Damage: the SHA-256 does not match. */
  STEADFAST_E_DIGEST = -10003,
  /** Not a state file. */
  STEADFAST_E_FORMAT = -10004,
  /** The state is intact, but in a later format. */
  STEADFAST_E_NEWER = -10005,
  /** The state is intact, but has another schema than STEADFAST_LOAD_REQUIRE_SCHEMA asks for. */
  STEADFAST_E_SCHEMA = -10006,
  /** There is no state, but a PATH.prev. Load it with STEADFAST_LOAD_RECOVER. */
  STEADFAST_E_LOST = -10007,
  /** The state is longer than the caller allows. */
  STEADFAST_E_TOO_LARGE = -10008,
  /** STEADFAST_SAVE_IF_GENERATION: the state that is there has another generation. The report has its number. */
  STEADFAST_E_CONFLICT = -10009,
  /** The path is a symbolic link. */
  STEADFAST_E_SYMLINK = -10010,
  /** The path is a directory, a device, a FIFO or a socket. */
  STEADFAST_E_NOT_REGULAR = -10011,
  /** STEADFAST_SAVE_STRICT: the state could not be made durable. Nothing was replaced. */
  STEADFAST_E_NOT_SAVED_DURABLY = -10012,
  /** STEADFAST_SAVE_STRICT: the state was replaced, but the sync of the directory failed. */
  STEADFAST_E_SAVED_NOT_DURABLE = -10013,
  /** The rename failed, and it is unknown whether it took effect. A load tells. */
  STEADFAST_E_INDETERMINATE = -10014,
  /** The lock is held, or it cannot be known whether it is. */
  STEADFAST_E_LOCKED = -10015,
  /** The lock file was removed or replaced by another process. What is there now was not touched. */
  STEADFAST_E_LOCK_LOST = -10016,
  /**
   * The lock belongs to another process: to the parent of this one, or to a child that has adopted it. Or the writer belongs
   * to the parent.
   */
  STEADFAST_E_WRONG_PROCESS = -10017,
  /** A hook returned an invalid value. */
  STEADFAST_E_HOOK = -10018,
  /** The platform or the file system lacks what this needs. */
  STEADFAST_E_UNSUPPORTED = -10019,
  /** STEADFAST_LOAD_REQUIRE_VERIFIED: the content cannot be verified. */
  STEADFAST_E_UNVERIFIED = -10020,
  /**
   * Another process kept the file busy for longer than the timeout: by its flock, by a lease, or by adopting a lock. The
   * old state stands. The message says what was waited for.
   */
  STEADFAST_E_BUSY = -10021,
  /** A case that cannot occur has occurred: a defect of this library. Please report it. */
  STEADFAST_E_INTERNAL = -10022
};

/**
 * The name of a code: "STEADFAST_E_DIGEST", "ENOSPC". "UNKNOWN" for a number that is no code. The string is static and
 * never NULL. Each number has one name; 0, which is also STEADFAST_LOCK_ABSENT, is "STEADFAST_OK".
 */
const char *steadfast_status_name(int32_t status);

/**
 * The meaning of a code, in a few English words. The string is static and never NULL. The report of a call says more,
 * and names the path.
 */
const char *steadfast_status_message(int32_t status);

/* ============================================================================
 * 2. The report
 *
 * Every function about states and locks that can fail takes a report, or NULL. The report says which call failed, what is on disk, and the
 * rest in words.
 * ========================================================================= */

/** steadfast_report.step: the call that failed. */
enum {
  /** No call failed. */
  STEADFAST_STEP_NONE = 0,
  /** Save, step 1: opening the directory. Also for locks, and for a context's directory. */
  STEADFAST_STEP_OPEN_DIRECTORY = 1,
  /** Save, step 2: opening what is at PATH, without following a link. */
  STEADFAST_STEP_INSPECT_TARGET = 2,
  /** Save, step 3: reading what is there, and waiting for its flock. */
  STEADFAST_STEP_READ_CURRENT = 3,
  /** Save, step 4: creating and locking the temporary file. */
  STEADFAST_STEP_CREATE_TEMP = 4,
  /** Save, step 5: writing. */
  STEADFAST_STEP_WRITE = 5,
  /** Save, step 6: setting owner, ACL and mode. */
  STEADFAST_STEP_SET_MODE = 6,
  /** Save, step 7: syncing the file. */
  STEADFAST_STEP_SYNC_FILE = 7,
  /** Save, step 8: keeping the previous generation. */
  STEADFAST_STEP_KEEP_PREVIOUS = 8,
  /** Save, step 9: the rename. */
  STEADFAST_STEP_RENAME = 9,
  /** Save, step 10: syncing the directory. */
  STEADFAST_STEP_SYNC_DIRECTORY = 10,
  /** Save: making a parent directory, or syncing the directory that holds its name. */
  STEADFAST_STEP_MAKE_PARENT = 11,
  /** Save and load: reading a symbolic link. */
  STEADFAST_STEP_READ_LINK = 12,
  /** Load and locks: opening the file. */
  STEADFAST_STEP_OPEN_FILE = 13,
  /** Load and locks: reading the file. */
  STEADFAST_STEP_READ_FILE = 14,
  /** Allocating memory. */
  STEADFAST_STEP_ALLOCATE = 15,
  /** Reading the clock. */
  STEADFAST_STEP_CLOCK = 16,
  /** Locks: finding out whether the owner lives. */
  STEADFAST_STEP_CHECK_OWNER = 17,
  /** Locks: the flock of the lock file. */
  STEADFAST_STEP_LOCK_FILE = 18,
  /** Locks: comparing the name with the open file. */
  STEADFAST_STEP_COMPARE = 19,
  /** Locks: removing the name. */
  STEADFAST_STEP_UNLINK = 20,
  /** Locks: creating or writing the record. */
  STEADFAST_STEP_CREATE_LOCK = 21,
  /** Locks: giving the record its name. */
  STEADFAST_STEP_LINK = 22,
  /** Locks: waiting. */
  STEADFAST_STEP_WAIT = 23,
  /** The arguments, before any system call. */
  STEADFAST_STEP_ARGUMENTS = 24
};

/** steadfast_report.on_disk: what a power cut at this moment would leave. */
enum {
  /** What was there before. */
  STEADFAST_ON_DISK_OLD = 0,
  /** The new state. */
  STEADFAST_ON_DISK_NEW = 1,
  /** One of the two. The old state may then be PATH.prev: load with STEADFAST_LOAD_RECOVER. */
  STEADFAST_ON_DISK_EITHER = 2,
  /** Perhaps no whole state: only a load can tell. */
  STEADFAST_ON_DISK_UNKNOWN = 3
};

/**
 * The result of a call, owned by the caller. Set `size` before each call. The call fills the rest, whatever it
 * returns, except that a `size` below 40 is -EINVAL and nothing is written.
 */
typedef struct {
  /** sizeof(steadfast_report); at least 40. A shorter report gets a shorter message. */
  size_t size;
  /** The value returned. */
  int32_t status;
  /** errno of the call that failed, or 0. */
  int32_t os_error;
  /**
   * STEADFAST_STEP_*: the call that failed, or STEADFAST_STEP_NONE. A reservation has the step of the call that led
   * to it.
   */
  int32_t step;
  /** STEADFAST_ON_DISK_*: what a power cut at this moment would leave. 0 for calls that save nothing. */
  int32_t on_disk;
  /**
   * Generation of the state that was saved or loaded; with STEADFAST_E_CONFLICT of the one that is there, 0 if there
   * is none.
   */
  uint64_t generation;
  /**
   * Lock calls: the process that the lock names. STEADFAST_E_BUSY: the process that was waited for. 0 if none is
   * known.
   */
  int64_t pid;
  /** One English sentence that names the path, NUL-terminated, cut at a character of UTF-8. */
  char message[216];
} steadfast_report;

/* ============================================================================
 * 3. States
 *
 * A state is a file: 256 bytes of header, which coreutils can verify, and then the caller's bytes (steadfast_state(5)).
 * PATH is the path given to the call. PATH.prev holds the previous generation, where it is kept.
 * ========================================================================= */

/**
 * Where relative paths begin, and which system calls are used (section 6). It does not change, so threads may share
 * it.
 */
typedef struct steadfast_context steadfast_context;

/** steadfast_save_options.flags. */
enum {
  /** Failing to make the file or its directory durable is an error instead of STEADFAST_NOT_DURABLE. */
  STEADFAST_SAVE_STRICT = 1,
  /**
   * The previous generation, verified, stays as PATH.prev. A damaged or unsynced state never replaces a durable
   * PATH.prev. If PATH holds no whole state and there is no PATH.prev, it becomes PATH.prev: a person can read it, a load of
   * it is STEADFAST_E_FORMAT. The result is then 0 as well, and the message says what was kept. Without hard links the
   * library copies the state and syncs the copy. Without a sync it leaves PATH.prev unchanged there.
   */
  STEADFAST_SAVE_KEEP_PREVIOUS = 2,
  /**
   * Compare and swap: the save is STEADFAST_E_CONFLICT unless the state there has expected_generation. Of several savers
   * that expect the same generation, in any processes, exactly one succeeds. Needs flock(2).
   */
  STEADFAST_SAVE_IF_GENERATION = 4,
  /**
   * Save to what the link at PATH points to; without this flag a link is refused. In a sticky directory that others may
   * write, a link is followed only if it belongs to the caller or to the directory's owner, otherwise it is -EACCES: the
   * kernel's own rule (proc_sys_fs(5), protected_symlinks), whatever its setting.
   */
  STEADFAST_SAVE_FOLLOW_SYMLINK = 8,
  /** Create missing parent directories, durably, with mode 0777 less the umask. They stay if the save then fails. */
  STEADFAST_SAVE_CREATE_PARENTS = 16,
  /**
   * A durable save with one flush of the device instead of two to four, for states that are saved often. PATH and PATH.prev take
   * turns: the save overwrites the older file with one write that is synced by the same call, and the newer file is the state.
   * So PATH alone is not the state: to copy the state, load it. Every load and save of this library knows both files; older
   * versions answer STEADFAST_E_NEWER. A save without the flag ends the alternation. The flag implies KEEP_PREVIOUS. Newlines fill
   * each file up to a multiple of 4 KiB. The first two saves are ordinary ones and make the two files. A save with NO_SYNC, one of
   * 4 MiB or more, the commit of a writer, and a save on a file system that is not known to support this well are ordinary ones,
   * too. Known are ext2 to ext4, xfs, btrfs, f2fs, bcachefs and tmpfs. With PLAIN it is -EINVAL. steadfast_state(5) lists the
   * drawbacks.
   */
  STEADFAST_SAVE_ALTERNATE = 32,
  /**
   * Atomic and verified, but without any fsync: the result is STEADFAST_NOT_DURABLE. The state is marked, so that it
   * never replaces a durable PATH.prev. on_disk is EITHER if KEEP_PREVIOUS has a durable state to keep, otherwise
   * UNKNOWN. With STRICT or SYNCFS it is -EINVAL.
   */
  STEADFAST_SAVE_NO_SYNC = 64,
  /**
   * steadfast_state_save_batch only: one syncfs(2) for each file system instead of one fsync for each file. It also
   * flushes what others have written there. Where syncfs is not known to reach the device and to report its errors, each
   * file is synced by itself. It is known on ext2 to ext4, xfs, btrfs, f2fs, bcachefs and tmpfs, from Linux 5.8 on
   * (syncfs(2)). On btrfs another one takes the place of the directories' syncs.
   */
  STEADFAST_SAVE_SYNCFS = 128,
  /**
   * PATH holds exactly `data`, and what a record's header would say stands in its extended attribute user.steadfast. The
   * layout is in steadfast_state(5). Such a file is loaded with STEADFAST_LOAD_PLAIN. Where the attribute cannot be kept the
   * result is STEADFAST_UNVERIFIED, with STRICT STEADFAST_E_UNSUPPORTED.
   */
  STEADFAST_SAVE_PLAIN = 256,
  /**
   * The file that is replaced also hands on its attributes user.* and its SELinux and SMACK labels; never capabilities, ima or
   * evm, which stand for the old content. If one of them cannot be stored the result is what it would be without, and the
   * message says so.
   */
  STEADFAST_SAVE_KEEP_ATTRIBUTES = 512,
  /**
   * The mode of the options is also given to a file that is there already, and may open it to more. If the file has an
   * access ACL, the group bits of the mode become the ACL's mask.
   */
  STEADFAST_SAVE_SET_MODE = 1024,
  /**
   * Where PATH cannot be replaced, write it in place: a single file that is mounted into a container, or a directory that may
   * not be written. A durable copy of the old content comes first, as PATH.prev; where none can be made the result is
   * STEADFAST_E_UNSUPPORTED. What a crash in between leaves is damage, and STEADFAST_LOAD_RECOVER gives the old content; so
   * does an error after the first byte, which is STEADFAST_E_INDETERMINATE (EITHER). Readers may see damage for a moment. Meanwhile
   * nobody who may replace the file should save it with KEEP_PREVIOUS: PATH.prev would be the file that is being written. In a batch or a
   * writer it is -EINVAL.
   */
  STEADFAST_SAVE_IN_PLACE = 2048
};

/** How to save. Zero is the default of every member. */
typedef struct {
  /** sizeof(steadfast_save_options). */
  size_t size;
  /** STEADFAST_SAVE_*. */
  uint32_t flags;
  /**
   * Permission bits of a new file, whatever the umask; 0 means 0600. An existing file keeps its own, unless
   * STEADFAST_SAVE_SET_MODE is among the flags.
   */
  uint32_t mode;
  /** The caller's own format number, stored and handed back. */
  uint32_t schema;
  /** 0. */
  uint32_t reserved;
  /**
   * With STEADFAST_SAVE_IF_GENERATION: the generation that must be there. 0 means that there must be neither PATH
   * nor PATH.prev. Without the flag it must be 0.
   */
  uint64_t expected_generation;
  /**
   * How long to wait for other processes, in milliseconds: 0 means 10,000, a negative value no limit. A save waits
   * for a lease on the file (fcntl(2)). It waits for the file's flock with IF_GENERATION, KEEP_PREVIOUS or ALTERNATE,
   * and at a state that alternates; savers hold it with IF_GENERATION and ALTERNATE. So does a removal, and a save
   * whose sync has failed. In a batch the time is for the whole call, from the first wait on.
   */
  int64_t timeout_ms;
} steadfast_save_options;

/**
 * Saves `len` bytes at `path`: after a crash at any moment a reader finds the old state or the new one, whole.
 *
 * The call writes a temporary file in the same directory, syncs it, renames it over `path` and syncs the directory. A
 * save of equal bytes is still a save.
 *
 *  - `context`: NULL for the default.
 *  - `path`: its directory must be writable and readable.
 *  - `data`, `len`: the payload, in bytes; (NULL, 0) is legal. It must not change during the call.
 *  - `options`, `report`: NULL for the defaults.
 *
 * Returns, and what a power cut then leaves (the report's on_disk):
 *  - 0: the new state (NEW).
 *  - STEADFAST_NOT_DURABLE: every reader finds the new state. The report's step and os_error name the sync that
 *    failed; step 0 means that no sync was wanted or that the platform cannot sync a directory. After a failed sync of
 *    the file the old state is kept as PATH.prev. A power cut leaves one of the two (EITHER), or perhaps no whole
 *    state (UNKNOWN): if the old one could not be kept, or with NO_SYNC unless KEEP_PREVIOUS keeps a durable one.
 *  - STEADFAST_UNVERIFIED: with PLAIN, the new content, durable (NEW); its attribute could not be stored, so no load can verify it.
 *    The report's generation is the content tag that a load gives.
 *  - STEADFAST_E_SAVED_NOT_DURABLE: with STRICT, the same as NOT_DURABLE after a failed sync of the directory (EITHER).
 *  - STEADFAST_E_INDETERMINATE: the rename failed, and it is unknown whether it took effect (EITHER; after a failed
 *    sync of the file and with NO_SYNC as above). A load tells.
 *  - Every other code below 0: the old state, untouched (OLD). PATH.prev is as it was as well.
 *     - STEADFAST_E_NOT_SAVED_DURABLY: with STRICT, the state could not be made durable.
 *     - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there; with IN_PLACE, another process has replaced the
 *       file while it was written: PATH is what that process has saved, and PATH.prev may be a copy of what was there before.
 *     - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST, _E_FORMAT, _E_NEWER: with IF_GENERATION, the file
 *       that is there has no generation to compare with, and there is no verified PATH.prev either.
 *     - STEADFAST_E_BUSY: another process kept the file busy for longer than timeout_ms.
 *     - STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is at PATH is no regular file.
 *     - STEADFAST_E_UNSUPPORTED: with IF_GENERATION, there is no flock here, or with PLAIN none that all machines see; with
 *       PLAIN and STRICT, the attribute cannot be stored; with IN_PLACE, no PATH.prev can be made.
 *     - STEADFAST_E_HOOK, _E_INTERNAL.
 *     - -EBUSY: PATH is a mount point. -EFBIG: the file would exceed RLIMIT_FSIZE. -EOVERFLOW: the generation has
 *       reached its last number. -ENAMETOOLONG: with KEEP_PREVIOUS, ".prev" does not fit behind the name. -EINVAL: an
 *       argument is invalid.
 *     - Another negated errno: of the call that the report's step names.
 *
 * Plain files. With PLAIN the file holds `data` and nothing else. Other programs may write it as well, so IF_GENERATION takes
 * the directory's flock, exchanges the names of the new file and the old one, and looks at what came out: if it is not the
 * file that was compared with, it goes back, and the result is STEADFAST_E_CONFLICT. For that moment a reader may see the
 * refused content. An edit in place, without a rename, can still be lost; so can any edit where names cannot be exchanged
 * (renameat2(2)). A saver that is killed may leave somebody's edit beside the file, as `.NAME.N.edit`; the next save of this kind
 * says so in its message, and leaves it. The number of a record counts for a plain file that replaces it, and the other
 * way round.
 *
 * Permissions. A file that is replaced hands on its owner, group, mode and POSIX access ACL. Where one of them cannot
 * be kept, nobody may do more with the new file than with the old one, unless STEADFAST_SAVE_SET_MODE says so: the
 * group and the others lose what they would gain. Without the owner or the group the set-user-ID or set-group-ID bit is
 * removed. Other extended attributes are kept with STEADFAST_SAVE_KEEP_ATTRIBUTES, other hard links are not. If the file
 * system ignores chmod(2), the result is 0 and the message says so; if the file would be open to more than the old one, it is
 * the errno of fchmod(2). The temporary file has mode 0600 until it has its permissions.
 *
 * Generations. The report's generation is the number of the new state: 1 if there was neither PATH nor PATH.prev, 1
 * more than the verified one at PATH, and with KEEP_PREVIOUS or IF_GENERATION 1 more than the higher one of PATH and
 * PATH.prev. Over anything else (damage, a foreign file, only a PATH.prev) it is the clock in microseconds, or 1 more
 * than PATH.prev's if that is higher. So a number does not come again after damage or loss. It can after
 * steadfast_state_remove, and after a power cut that took an unsynced save back. Where PATH is missing or damaged, IF_GENERATION
 * compares with a verified PATH.prev, so that what STEADFAST_LOAD_RECOVER gave can be saved again.
 *
 * Threads and processes may save to one path at the same time; the last rename wins. Without IF_GENERATION two of them may
 * get the same number, and one with a lower number may replace one with a higher one. Fork: parent and child may both go on.
 */
int32_t steadfast_state_save(const steadfast_context *context, const char *path, const void *data, size_t len,
                             const steadfast_save_options *options, steadfast_report *report);

/** One state of steadfast_state_save_batch. */
typedef struct {
  /** sizeof(steadfast_save_entry), the same in all entries of a call; at least up to, but not including, `step`. */
  size_t size;
  /** Where to save it. */
  const char *path;
  /** What to save: `len` bytes. */
  const void *data;
  /** Length in bytes. */
  size_t len;
  /** Set by the call: what steadfast_state_save would have returned, or -ECANCELED if the batch was refused whole. */
  int32_t status;
  /** Set by the call: errno of the call that failed, or 0. */
  int32_t os_error;
  /** Set by the call: the generation written, or with STEADFAST_E_CONFLICT the one that is there. */
  uint64_t generation;
  /** Set by the call: STEADFAST_STEP_*, as in a report. */
  int32_t step;
  /** Set by the call: STEADFAST_ON_DISK_*, as in a report. */
  int32_t on_disk;
} steadfast_save_entry;

/**
 * Saves many states in one call, faster than one after the other.
 *
 * Each state is atomic and durable by itself; there is no promise across them. All states of a group of 64 are written
 * before the first of them is synced. From 200 states on, the files of a group are synced at once. Each directory is
 * synced once. A path that comes twice is saved twice, in order. With IF_GENERATION the states are saved one after the
 * other. At most some 260 descriptors are open at once, and fewer where the limit is lower.
 *
 *  - `entries`, `count`: the states; each entry's result is stored in it. `size` must be the same in all of them.
 *  - `options`: for all states.
 *  - The others: as for steadfast_state_save.
 *
 * Returns:
 *  - 0: every entry has status 0.
 *  - The first negative status of an entry or, if there is none, the first positive one. The report describes that
 *    entry. A bad entry, with a NULL path for example, has its own status, and the others are saved.
 *  - -EINVAL with the report's step ARGUMENTS, -ENOMEM with the step ALLOCATE, or an errno with the step
 *    OPEN_DIRECTORY from opening the context's directory: nothing was saved, and every entry's status is -ECANCELED.
 *    If `entries` is NULL, or the sizes are too small or differ, no entry is written to.
 *
 * Threads and fork: as for steadfast_state_save.
 */
int32_t steadfast_state_save_batch(const steadfast_context *context, steadfast_save_entry *entries,
                                   size_t count, const steadfast_save_options *options,
                                   steadfast_report *report);

/** steadfast_load_options.flags. */
enum {
  /**
   * Load PATH.prev if PATH is missing, or if its load is STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST,
   * _E_FORMAT, -EIO, -EBADMSG or -EUCLEAN.
   */
  STEADFAST_LOAD_RECOVER = 1,
  /** The state must have the schema of the options. */
  STEADFAST_LOAD_REQUIRE_SCHEMA = 2,
  /**
   * PATH is a file as STEADFAST_SAVE_PLAIN makes it, or anybody's: the data is its whole content. If its attribute does not
   * confirm it the result is STEADFAST_UNVERIFIED or STEADFAST_CHANGED, and the generation is a content tag: 2^63 plus the
   * first 63 bits of the content's SHA-256. STEADFAST_SAVE_IF_GENERATION takes a tag as well. RECOVER takes only a verified
   * PATH.prev, and takes it also if PATH is empty and not verified.
   */
  STEADFAST_LOAD_PLAIN = 4,
  /** With PLAIN: STEADFAST_UNVERIFIED and STEADFAST_CHANGED are STEADFAST_E_UNVERIFIED. */
  STEADFAST_LOAD_REQUIRE_VERIFIED = 8
};

/** How to load. Zero is the default of every member. */
typedef struct {
  /** sizeof(steadfast_load_options). */
  size_t size;
  /** STEADFAST_LOAD_*. */
  uint32_t flags;
  /** With STEADFAST_LOAD_REQUIRE_SCHEMA. */
  uint32_t schema;
  /**
   * The longest payload to accept, in bytes. 0 means 1 GiB for steadfast_state_load, no limit but `cap` for
   * steadfast_state_load_into, and none for steadfast_reader_open.
   */
  uint64_t max_len;
} steadfast_load_options;

/** steadfast_state.source: which file was loaded. */
enum {
  /** PATH itself. */
  STEADFAST_SOURCE_CURRENT = 0,
  /** PATH.prev, the previous generation. */
  STEADFAST_SOURCE_PREVIOUS = 1
};

/** A loaded state. Set `size` before the call, and pass the struct to steadfast_state_free afterwards. */
typedef struct {
  /** sizeof(steadfast_state); at least up to and including `len`. */
  size_t size;
  /** The payload: `len` bytes and then a NUL, aligned to 16. The library owns it: do not free(3) it. */
  void *data;
  /** Length in bytes. */
  size_t len;
  /** Its number, which counts the saves. */
  uint64_t generation;
  /** When it was saved, in nanoseconds since the Unix epoch, by the saver's clock. */
  int64_t saved_at_ns;
  /** The caller's own format number. */
  uint32_t schema;
  /** STEADFAST_SOURCE_*. */
  uint32_t source;
  /** SHA-256 of the record, as its first line has it. */
  uint8_t sha256[32];
} steadfast_state;

/**
 * Loads the state at `path` and verifies it: `out` gets exactly the bytes that were saved, or nothing.
 *
 *  - `context`: NULL for the default.
 *  - `path`: symbolic links are followed.
 *  - `options`, `report`: NULL for the defaults.
 *  - `out`: its `size` must be set. The rest is written on success only, and then belongs to steadfast_state_free.
 *
 * Returns:
 *  - 0: the current state.
 *  - STEADFAST_RECOVERED: with STEADFAST_LOAD_RECOVER, PATH.prev, because the current state is damaged, missing or
 *    unreadable (-EIO, -EBADMSG, -EUCLEAN). The report keeps the step and errno of that failure.
 *  - STEADFAST_UNVERIFIED: with PLAIN, the file has no attribute that verifies it. STEADFAST_CHANGED: it was saved by the library,
 *    and somebody has changed it since. The data is what the file holds, `generation` a content tag, `saved_at_ns` its
 *    modification time, `schema` 0. With REQUIRE_VERIFIED both are STEADFAST_E_UNVERIFIED, and there is no data; so is a missing
 *    state with RECOVER whose PATH.prev nothing verifies.
 *  - -ENOENT: there is no state and no previous one.
 *  - STEADFAST_E_LOST: there is no state, but a previous one.
 *  - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST: the state is damaged.
 *  - STEADFAST_E_FORMAT: not a state file. _E_NEWER: intact, in a later format. _E_SCHEMA: intact, with another
 *    schema.
 *  - STEADFAST_E_TOO_LARGE: longer than max_len. No memory of that length was allocated.
 *  - STEADFAST_E_NOT_REGULAR: no regular file. A device is read from once before the library finds that out.
 *  - STEADFAST_E_BUSY: for 10 seconds another process kept a lease on the file (fcntl(2)), or with PLAIN went on changing it.
 *  - STEADFAST_E_HOOK, _E_INTERNAL, -ENOMEM, -EINVAL, or a negated errno of the call that the report's step names.
 *
 * Damage is never reported as an I/O error, and an I/O error is never reported as damage. Nothing on disk changes.
 *
 * Threads: no restriction. A load at the same time as saves gets the state from before or after each of them.
 */
int32_t steadfast_state_load(const steadfast_context *context, const char *path,
                             const steadfast_load_options *options, steadfast_state *out,
                             steadfast_report *report);

/**
 * Loads the state at `path` into the caller's memory. Nothing is allocated.
 *
 *  - `buf`, `cap`: `cap` bytes; `buf` may be NULL if `cap` is 0.
 *  - `out_len`: gets the length of the payload, in bytes.
 *  - The others: as for steadfast_state_load.
 *
 * Otherwise it behaves like steadfast_state_load, except that no NUL is appended and the generation is available only
 * in the report. If the payload is longer than `cap` or max_len allows, the call is STEADFAST_E_TOO_LARGE and
 * `*out_len` is the length needed; so a call with `cap` 0 asks for it. After any other error `*out_len` is unchanged.
 * After every error what the call wrote to `buf` is zeroed, so that no unverified byte stays there.
 */
int32_t steadfast_state_load_into(const steadfast_context *context, const char *path,
                                  const steadfast_load_options *options, void *buf, size_t cap,
                                  size_t *out_len, steadfast_report *report);

/**
 * Frees what steadfast_state_load put into `state` and zeroes the struct except for its size. NULL is allowed, and so
 * is a struct that was freed or zeroed.
 */
void steadfast_state_free(steadfast_state *state);

/**
 * Makes a new state of the old one, for steadfast_state_update.
 *
 *  - `user`: as it was given to that call.
 *  - `old`: the verified state; NULL if there is none. It and its `data` are valid until its save is done: until the function
 *    is called again, or the update returns.
 *  - `data`, `len`: get the new payload, in bytes. They are NULL and 0 before, which saves an empty state. The payload must
 *    stay valid until the update returns or the function is called again. It may be a part of `old`.
 *
 * Returns 0 to save it, a value above 0 to leave the state as it is, and one below 0 (a negated errno) to give up with
 * that code.
 */
typedef int32_t (*steadfast_update_fn)(void *user, const steadfast_state *old, const void **data,
                                       size_t *len);

/**
 * Loads the state at `path`, calls `update` with it, and saves the result if nobody has replaced the state meanwhile.
 * Otherwise it loads the new state and calls `update` again. No change of another process that updates, or saves with
 * STEADFAST_SAVE_IF_GENERATION, is lost.
 *
 *  - `context`: NULL for the default.
 *  - `path`: as for steadfast_state_save and steadfast_state_load.
 *  - `load_options`: NULL for the defaults. With STEADFAST_LOAD_RECOVER the old state may be PATH.prev. PLAIN stands in
 *    both options or in neither, otherwise the result is -EINVAL.
 *  - `save_options`: NULL for the defaults. STEADFAST_SAVE_IF_GENERATION is implied, and among the flags it is -EINVAL.
 *    After `timeout_ms` of conflicts the call stops trying and returns STEADFAST_E_CONFLICT. Its last save can wait as
 *    long again, and while another process has a lease on the file, a load 10 seconds.
 *  - `update`, `user`: called at least once if there is a whole state or none, on the calling thread. None is also what a
 *    missing directory looks like.
 *  - `report`: NULL for the default.
 *
 * Returns:
 *  - What steadfast_state_save returns, with the same on disk.
 *  - 0 with the report's on_disk OLD: `update` returned a value above 0. The generation is that of the state.
 *  - The code below 0 that `update` returned (OLD).
 *  - What steadfast_state_load returns for damage, STEADFAST_E_LOST and other errors but -ENOENT (OLD): `update` is not
 *    called. With STEADFAST_LOAD_RECOVER it gets PATH.prev where there is a whole one; only old->source tells.
 *
 * Threads and processes may update one path at the same time. `update` may use the library, but not wait for another update
 * of the same state.
 */
int32_t steadfast_state_update(const steadfast_context *context, const char *path,
                               const steadfast_load_options *load_options,
                               const steadfast_save_options *save_options, steadfast_update_fn update,
                               void *user, steadfast_report *report);

/**
 * Removes the state at `path` and PATH.prev, durably: at no moment of a crash does an older state come back.
 *
 *  - `context`: NULL for the default.
 *  - `path`: its directory must be writable and readable. What is there need not be a whole state.
 *  - `options`: NULL for the defaults. The flags STRICT, IF_GENERATION, FOLLOW_SYMLINK, NO_SYNC and PLAIN count, the others
 *    are -EINVAL; `timeout_ms` and expected_generation as for a save.
 *  - `report`: NULL for the default. Its generation is the one that was removed, if that is known.
 *
 * Returns, and what a power cut then leaves (the report's on_disk):
 *  - 0: nothing (NEW).
 *  - STEADFAST_NOT_DURABLE: it is gone for every reader, but not known to be gone after a power cut; the report's step and
 *    os_error name the sync that failed (EITHER). With STRICT it is STEADFAST_E_SAVED_NOT_DURABLE.
 *  - -ENOENT: neither of the two is there.
 *  - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there (OLD).
 *  - STEADFAST_E_BUSY, _E_SYMLINK, _E_NOT_REGULAR, _E_UNSUPPORTED, -EBUSY and damage with IF_GENERATION: as for
 *    steadfast_state_save (OLD).
 *  - Another negated errno: of the call that the report's step names (OLD). PATH is where it was, or at PATH.prev if it
 *    could not be put back. An older PATH.prev may be gone, after STEADFAST_E_CONFLICT as well.
 *
 * A load at the very moment may be STEADFAST_E_LOST. A state that is saved later begins at generation 1 again. Threads and fork: as for steadfast_state_save.
 */
int32_t steadfast_state_remove(const steadfast_context *context, const char *path,
                               const steadfast_save_options *options, steadfast_report *report);

/**
 * A state that is being written piece by piece. One thread uses it at a time; another may go on with it. It belongs to the
 * process that opened it.
 */
typedef struct steadfast_writer steadfast_writer;

/**
 * Begins to save a state of any length at `path`, piece by piece. Nothing is seen at PATH before the commit.
 *
 * The pieces go to a temporary file in the same directory. The writer needs less than 1 MiB of memory, whatever the length.
 *
 *  - `context`: NULL for the default. It must live as long as the writer.
 *  - `path`: as for steadfast_state_save. It is followed now, links at its end included: the commit saves in the directory that
 *    is found now, also when that is renamed meanwhile or the working directory changes.
 *  - `options`: NULL for the defaults. The flags are those of steadfast_state_save, but for STEADFAST_SAVE_IN_PLACE, which is
 *    -EINVAL as SYNCFS is. With STEADFAST_SAVE_IF_GENERATION the commit compares, and `timeout_ms` is for each of the two calls.
 *  - `out`: gets the writer, which steadfast_writer_commit or steadfast_writer_abort frees; NULL after an error.
 *  - `report`: NULL for the default.
 *
 * Returns 0, or an error of steadfast_state_save. Nothing at PATH changes, but directories of
 * STEADFAST_SAVE_CREATE_PARENTS stay.
 *
 * If the process dies, the next save at PATH removes the temporary file. Fork: the writer stays the parent's. In a
 * child every call is STEADFAST_E_WRONG_PROCESS; steadfast_writer_commit and steadfast_writer_abort free its memory and close its
 * descriptors there, and leave the parent's as they are.
 */
int32_t steadfast_writer_open(const steadfast_context *context, const char *path,
                              const steadfast_save_options *options, steadfast_writer **out,
                              steadfast_report *report);

/**
 * Appends `len` bytes to the payload.
 *
 *  - `data`, `len`: in bytes; (NULL, 0) is legal.
 *  - `report`: NULL for the default.
 *
 * Returns 0, or below 0 an error that every later call has as well, the commit too: a program may write without looking, and
 * ask the commit.
 *  - -ENOSPC, -EDQUOT, -EIO or another negated errno of write(2). -EFBIG: the file would exceed RLIMIT_FSIZE.
 *  - -EBADF: the program closed a descriptor of the writer's (closefrom). No other file was written to.
 *  - -EINVAL: an argument is invalid. If `writer` is NULL, nothing keeps the error.
 *  - STEADFAST_E_WRONG_PROCESS: this is a forked child. The parent's writer does not get this error.
 *
 * Nothing at PATH changes.
 */
int32_t steadfast_writer_write(steadfast_writer *writer, const void *data, size_t len,
                               steadfast_report *report);

/**
 * The writer's descriptor, to write to it with other means: write(2), splice(2), sendfile(2), fdopen(3) of a dup(2).
 *
 * Its position is the end of what was written, and it is shared: steadfast_writer_write goes on where the caller ended. At
 * the commit, the payload is what the file has after its first 256 bytes, which are the library's; with
 * STEADFAST_SAVE_PLAIN it is the whole file. The descriptor has no O_APPEND, which splice(2) refuses. It is close-on-exec and
 * never 0, 1 or 2.
 *
 *  - `out`: gets the descriptor. It belongs to the writer: do not close it. Do not sync it either: a failed sync would be told
 *    once only. It cannot be used after the commit, and nobody may write to it any more when the commit begins: flush a FILE
 *    before.
 *  - `report`: NULL for the default.
 *
 * Returns 0, -EINVAL, an earlier error, or STEADFAST_E_WRONG_PROCESS. A writer whose descriptor was asked for is not saved if
 * the sync of the file fails: see steadfast_writer_commit.
 */
int32_t steadfast_writer_fd(steadfast_writer *writer, int32_t *out, steadfast_report *report);

/**
 * Saves what was written, as steadfast_state_save would, and frees the writer in any case.
 *
 * The payload is hashed now, by reading it back from the file while the device writes it. With STEADFAST_SAVE_PLAIN it was
 * hashed while it was written, and is read back only after steadfast_writer_fd.
 *
 *  - `writer`: not to be used any more.
 *  - `report`: NULL for the default. It is as for steadfast_state_save.
 *
 * Returns what steadfast_state_save returns, with the same on disk. After every error below 0 but the two that admit it
 * (STEADFAST_E_SAVED_NOT_DURABLE and _E_INDETERMINATE) the old state is untouched, and the temporary file is removed. Besides:
 *  - The error of an earlier call (OLD).
 *  - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there by now (OLD).
 *  - STEADFAST_E_SYMLINK: a link was put in the place of the state after the writer was opened, whatever the flags (OLD).
 *  - STEADFAST_E_DIGEST: after a failed sync, for a record also with NO_SYNC, the file does not hold what was written (OLD).
 *  - STEADFAST_E_TRAILING, _E_TRUNCATED: the file is longer or shorter than what was written: somebody else wrote to it, or
 *    somebody wrote to the descriptor while the payload was hashed (OLD).
 *  - STEADFAST_E_NOT_SAVED_DURABLY: also without STRICT, if the sync of the file failed after steadfast_writer_fd: nobody knows
 *    whether the file still holds what was written to its descriptor (OLD).
 *  - -EBADF: the program closed a descriptor of the writer's (closefrom). The temporary file is left for the next save (OLD).
 *  - STEADFAST_E_WRONG_PROCESS: this is a forked child. The parent's writer and its file are untouched (OLD).
 *  - -EINVAL: `writer` is NULL.
 */
int32_t steadfast_writer_commit(steadfast_writer *writer, steadfast_report *report);

/**
 * Gives a writer up and frees it: the temporary file is removed, and PATH is as it was. NULL is allowed. If the program closed a
 * descriptor of the writer's (closefrom), the temporary file is left for the next save.
 */
void steadfast_writer_abort(steadfast_writer *writer);

/** A verified state that is read in parts. One thread uses it at a time; another may go on with it. */
typedef struct steadfast_reader steadfast_reader;

/**
 * Opens the state at `path` and verifies all of it, to read parts of it. The length does not matter: the reader needs less than
 * 1 MiB of memory, and 35 bytes for each MiB of the state.
 *
 * The reader keeps the state that it has verified: a save meanwhile replaces the file and does not change this one.
 *
 *  - `context`: NULL for the default. It must live as long as the reader.
 *  - `path`, `options`: as for steadfast_state_load, but that max_len 0 is no limit. With STEADFAST_LOAD_PLAIN a file that is
 *    CHANGED or UNVERIFIED can be read as well, as it was when it was opened.
 *  - `out`: gets the reader, which steadfast_reader_close frees; NULL after an error.
 *  - `about`: NULL, or its `size` must be set. It gets what steadfast_state_load would say of the state; `data` is NULL. There is
 *    nothing to free.
 *  - `report`: NULL for the default.
 *
 * Returns what steadfast_state_load returns: 0, STEADFAST_RECOVERED for PATH.prev, STEADFAST_UNVERIFIED or _CHANGED, or an
 * error. Nothing on disk changes.
 *
 * Fork: a child may go on with it.
 */
int32_t steadfast_reader_open(const steadfast_context *context, const char *path,
                              const steadfast_load_options *options, steadfast_reader **out,
                              steadfast_state *about, steadfast_report *report);

/**
 * Reads from the payload. Every byte that it gives is one that was hashed when the reader was opened, whoever writes into the
 * file meanwhile: the 960 KiB around it are read and hashed again, but for those that were read last.
 *
 *  - `offset`: in the payload, in bytes.
 *  - `buf`, `cap`: `cap` bytes; `buf` may be NULL if `cap` is 0.
 *  - `out_len`: gets how many bytes were read. It is less than `cap` at the end of the payload only, and 0 there and beyond.
 *    Unchanged after an error; `buf` may then have the first of the bytes.
 *  - `report`: NULL for the default.
 *
 * Returns:
 *  - 0.
 *  - STEADFAST_E_DIGEST: the file was changed in place since.
 *  - -EBADF: the program closed the reader's descriptor (closefrom).
 *  - -EINVAL: an argument is invalid. Another negated errno: of the call that the report's step names.
 */
int32_t steadfast_reader_read(steadfast_reader *reader, uint64_t offset, void *buf, size_t cap,
                              size_t *out_len, steadfast_report *report);

/** Closes a reader and frees it. NULL is allowed. */
void steadfast_reader_close(steadfast_reader *reader);

/** A watch of a state. One thread uses it at a time; another may go on with it. */
typedef struct steadfast_watch steadfast_watch;

/**
 * Begins to watch the state at `path`: for a generation other than the one that the caller knows.
 *
 * The directories on the way are watched, and never the file. So a state that is renamed into place, a link that is pointed
 * elsewhere (Kubernetes' ConfigMaps) and a directory that is replaced, or made later, are all seen. A change in
 * place is seen when the file is closed after it; truncate(2) and stores into a mapping close nothing. There need not be
 * anything at PATH.
 *
 *  - `context`: NULL for the default. It must live as long as the watch.
 *  - `path`: symbolic links are followed.
 *  - `options`: NULL for the defaults. Of the flags, STEADFAST_LOAD_RECOVER lets PATH.prev stand for a PATH that is damaged
 *    or missing. A plain file is watched with STEADFAST_LOAD_PLAIN; a content tag counts as its generation.
 *    STEADFAST_LOAD_REQUIRE_SCHEMA is -EINVAL.
 *  - `out`: gets the watch, which steadfast_watch_close frees; NULL after an error.
 *  - `report`: NULL for the default.
 *
 * Returns 0, -EINVAL, -ENOMEM, or another error for a path that cannot be one. Nothing on disk changes.
 */
int32_t steadfast_watch_open(const steadfast_context *context, const char *path,
                             const steadfast_load_options *options, steadfast_watch **out,
                             steadfast_report *report);

/**
 * Waits until the state has another generation than `known`, and returns at once if it has one already.
 *
 *  - `known`: the generation that the caller knows; 0: no state.
 *  - `timeout_ms`: in milliseconds; 0 looks once, a negative value waits without limit.
 *  - `report`: NULL for the default. Its generation is the one that is there.
 *
 * Returns:
 *  - 0: another generation is there, whole. 0 in the report: none is there any more.
 *  - -ETIMEDOUT: it is still the known one.
 *  - -EINTR: a signal was handled.
 *  - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST, _E_FORMAT, _E_NEWER, _E_NOT_REGULAR: the state is damaged,
 *    or none. This is told once for each change.
 *  - -EINVAL: `watch` is NULL. STEADFAST_E_HOOK, _E_INTERNAL, or a negated errno of the call that the report's step names.
 *
 * Changes that follow one another fast may be told as one. A state is read and verified once after each. It sleeps until
 * something happens in a directory on the way. Without inotify, for a file that is a mount point, and on network file systems
 * and FUSE, it looks once a second.
 */
int32_t steadfast_watch_wait(steadfast_watch *watch, uint64_t known, int64_t timeout_ms,
                             steadfast_report *report);

/**
 * The watch's descriptor, for poll, epoll, asyncio or libuv. When it is readable, call steadfast_watch_wait with the known
 * generation and a timeout of 0. Something else in a directory on the way makes it readable as well: then that call is
 * -ETIMEDOUT. -1: there is none that tells of every change (no inotify, a file that is a mount point, a network file system, FUSE; or
 * `watch` is NULL); call it once a second instead. It belongs to the watch: do not read or close it.
 */
int32_t steadfast_watch_fd(const steadfast_watch *watch);

/** Ends a watch and frees it. NULL is allowed. */
void steadfast_watch_close(steadfast_watch *watch);

/* ============================================================================
 * 4. Locks
 *
 * The holder of a lock has a file at PATH, with its PID in decimal and a newline (steadfast_lock(5)). If the holder
 * dies, the file stays until the next steadfast_lock_acquire or steadfast_lock_clean_stale removes it. So a process
 * may exit without a release. Locks are for one host.
 * ========================================================================= */

/** steadfast_lock_options.flags. */
enum {
  /**
   * For lock files that contain only a PID: treat the lock as stale if the process with that PID started after the file
   * was last written. Off by default, because a clock adjustment can make this wrong.
   */
  STEADFAST_LOCK_TRUST_START_TIME = 1,
  /**
   * A signal ends steadfast_lock_acquire with -EINTR. A signal that is handled just before the wait begins is missed;
   * cancel_fd has no such race.
   */
  STEADFAST_LOCK_EINTR_RETURNS = 2,
  /**
   * Child processes get the lock's descriptor, through exec as well: the lock stays held while one of them lives, and a
   * forked child can make it its own with steadfast_lock_adopt.
   */
  STEADFAST_LOCK_INHERIT = 4
};

/** How to take or judge a lock. Zero is the default of every member. */
typedef struct {
  /** sizeof(steadfast_lock_options); at least up to and including `flags`. */
  size_t size;
  /** STEADFAST_LOCK_*. */
  uint32_t flags;
  /** Permission bits of the lock file, less the umask; 0 means 0644. */
  uint32_t mode;
  /**
   * Treat an empty lock file of another program as stale when it has been empty for this many milliseconds. 0 means
   * never: its creator may be about to write its PID.
   */
  int64_t empty_grace_ms;
  /**
   * A descriptor (a pipe, an eventfd, a signalfd) that ends the wait of steadfast_lock_acquire with -ECANCELED when
   * it becomes readable, without a race; 0 means none, and a negative value is -EINVAL. The library only polls it.
   */
  int32_t cancel_fd;
  /** 0. */
  int32_t reserved;
} steadfast_lock_options;

/** A lock that this process holds. One thread uses it at a time; another may go on with it. */
typedef struct steadfast_lock steadfast_lock;

/**
 * Takes the lock at `path`. A stale lock is removed on the way, as steadfast_lock_clean_stale does.
 *
 * The file appears complete: the PID in decimal and a newline. The holder keeps a flock on it for as long as it lives,
 * so that a reused PID or another PID namespace cannot make it look dead. The lock is taken only if that flock is seen
 * by whoever opens the file by its name.
 *
 *  - `context`: NULL for the default. It may be freed while the lock is held.
 *  - `timeout_ms`: 0 tries once and does not queue, a negative value waits without limit, also for a lock of this very
 *    process. A waiter sleeps until the holder releases or dies. Waiters usually get the lock in the order in which they
 *    came.
 *  - `options`, `report`: NULL for the defaults.
 *  - `out`: gets the lock, which steadfast_lock_release frees; NULL after an error.
 *
 * Returns:
 *  - 0. The report says if a stale lock was taken over, and warns of a network file system.
 *  - STEADFAST_E_LOCKED: not free in time. The report's pid holds it, and the message says if that is this very
 *    process. Or it is not known whether the owner lives; then the message says why.
 *  - STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is at PATH is no lock file. It was not touched.
 *  - STEADFAST_E_UNSUPPORTED: there is no flock here, or one that nobody sees but its holder.
 *  - -EINTR: a signal, with STEADFAST_LOCK_EINTR_RETURNS. -ECANCELED: cancel_fd. -EBADF at step WAIT: cancel_fd is not
 *    open.
 *  - STEADFAST_E_HOOK, _E_INTERNAL, -ENOMEM, -EINVAL, or a negated errno of the call that the report's step names.
 *
 * Unless it returns 0, no lock file of this call is left.
 *
 * Descriptors. On Linux a mapping of the file keeps the flock, so that no descriptor of it stays open, and a program
 * that closes all its descriptors (closefrom) still holds the lock. With STEADFAST_LOCK_INHERIT, and on overlayfs and
 * FUSE, a descriptor keeps it. The directory's descriptor stays open in any case, and after a wait an inotify descriptor; if the program
 * closes them, the library opens the directory anew when it needs it. A process that executes another program gives the
 * flock up, but the file names it as long as it lives.
 *
 * Threads: two threads of one process exclude each other like two processes. Fork: a child does not own the lock.
 * Where a descriptor keeps the flock, a child that does not exec keeps the lock held until it ends or releases it.
 */
int32_t steadfast_lock_acquire(const steadfast_context *context, const char *path, int64_t timeout_ms,
                               const steadfast_lock_options *options, steadfast_lock **out,
                               steadfast_report *report);

/**
 * Releases a lock: removes its file if it is still this lock's, then gives up the flock. Frees `lock` in every case.
 * NULL is allowed.
 *
 * Returns:
 *  - 0: the file was removed.
 *  - STEADFAST_E_LOCK_LOST: the file had been removed or replaced. What is there now was not touched.
 *  - STEADFAST_E_WRONG_PROCESS: this is a forked child, or a child has adopted the lock. Only this process's
 *    descriptors were closed; the lock goes on.
 *  - Another code below 0: the file could not be removed and still names this process. Others take it for held until this
 *    process ends. STEADFAST_E_BUSY: a child was adopting the lock for 10 seconds.
 *
 * A report whose size is too small is ignored.
 */
int32_t steadfast_lock_release(steadfast_lock *lock, steadfast_report *report);

/**
 * Says whether a lock is still this process's. Nothing changes.
 *
 * Returns:
 *  - 0: it is.
 *  - STEADFAST_E_LOCK_LOST: its file was removed or replaced.
 *  - STEADFAST_E_WRONG_PROCESS: this is a forked child that has not adopted it, or a child of this process has adopted
 *    it.
 *  - -EINVAL: `lock` is NULL.
 *  - STEADFAST_E_HOOK, _E_INTERNAL, or a negated errno of the call that the report's step names.
 */
int32_t steadfast_lock_check(const steadfast_lock *lock, steadfast_report *report);

/**
 * Makes an inherited lock the calling process's own: for a child that goes on when its parent ends, such as a daemon.
 *
 * The file then names this process, and only this process releases it: in the parent steadfast_lock_check and
 * steadfast_lock_release return STEADFAST_E_WRONG_PROCESS. While the file is being rewritten others may find it
 * malformed; they keep such a lock.
 *
 * Returns:
 *  - 0: it is this process's, perhaps already before.
 *  - STEADFAST_E_LOCK_LOST: its file was removed or replaced.
 *  - STEADFAST_E_WRONG_PROCESS: another child, which lives, has adopted it.
 *  - STEADFAST_E_BUSY: another child was adopting it, or the parent was releasing it, for 10 seconds.
 *  - -EINVAL: the lock was taken without STEADFAST_LOCK_INHERIT, or `lock` is NULL.
 *  - STEADFAST_E_HOOK, _E_INTERNAL, or a negated errno of the call that the report's step names.
 *
 * Unless it returns 0, the lock is not this process's. After a failed write the old record is there again; if that
 * failed as well, the file is malformed, others keep it, and parent and children can still adopt or release the lock.
 */
int32_t steadfast_lock_adopt(steadfast_lock *lock, steadfast_report *report);

/**
 * Removes the lock file at `path` if its owner is provably dead; never takes it from a live one, unless the options allow
 * a guess.
 *
 *  - `context`, `options`, `report`: NULL for the defaults. The report's message says why, its pid is the process that
 *    the lock names.
 *
 * Returns a verdict; only _REMOVED has changed anything:
 *  - STEADFAST_LOCK_ABSENT, _REMOVED, _HELD, _UNDECIDED, _IGNORED, _CHANGED.
 *
 * Or, with nothing changed:
 *  - STEADFAST_E_UNSUPPORTED: the lock is stale, but there is no flock here under which it could be removed.
 *  - -EACCES, -EPERM, -EROFS: it is stale, but its directory may not be written. -ENOENT: there is no such directory.
 *  - STEADFAST_E_HOOK, _E_INTERNAL, -EINVAL, or a negated errno of the call that the report's step names.
 *
 * It is safe among any number of cleaners and takers that use this library, and beside any program that creates its
 * lock with O_EXCL or link and does not itself remove stale locks. It waits for nobody. Threads: no restriction.
 */
int32_t steadfast_lock_clean_stale(const steadfast_context *context, const char *path,
                                   const steadfast_lock_options *options, steadfast_report *report);

/**
 * Says what steadfast_lock_clean_stale would do, with STEADFAST_LOCK_STALE instead of _REMOVED. Changes nothing.
 *
 * Otherwise it returns as that does. It may take a shared flock for a moment, to see whether the lock is held.
 */
int32_t steadfast_lock_inspect(const steadfast_context *context, const char *path,
                               const steadfast_lock_options *options, steadfast_report *report);

/* ============================================================================
 * 5. Directories
 *
 * What a killed process leaves is removed when its name is used again. If the name is never used again, a sweep removes it.
 * ========================================================================= */

/** steadfast_directory_sweep: its flags. */
enum {
  /**
   * Also remove stale locks. A file counts as a lock if it has the library's mark, or if its name is "lock", "*.lock", "*.lck" or
   * "*.pid". It is stale if steadfast_lock_clean_stale would remove it.
   */
  STEADFAST_SWEEP_LOCKS = 1,
  /** Change nothing. The status of a file that would be removed is STEADFAST_LOCK_STALE. */
  STEADFAST_SWEEP_DRY_RUN = 2
};

/**
 * Gets each name that steadfast_directory_sweep has looked at as a temporary file or a lock.
 *
 *  - `user`: as it was given to that call.
 *  - `name`: in the directory.
 *  - `about`: its status is a verdict: STEADFAST_LOCK_REMOVED (_STALE with DRY_RUN), _HELD, _UNDECIDED, _IGNORED or _CHANGED.
 *    If the file could not be removed, the status is the negated errno of the call that the step names. The message gives the reason.
 *
 * Returns 0 to continue. A value above 0 ends the sweep with 0, one below 0 (a negated errno) with that code.
 */
typedef int32_t (*steadfast_sweep_fn)(void *user, const char *name, const steadfast_report *about);

/**
 * Removes the temporary files that killed writers have left in a directory and, if the flags ask for it, stale locks. The next
 * save or the next steadfast_lock_acquire of a name does the same for that name; this function is for names that are not used again.
 *
 * A temporary file is removed only if it belongs to this user or, for root, to the owner of its state, and if its flock shows
 * that its writer is dead. So on a network file system none is removed. The function does not enter subdirectories.
 *
 *  - `context`: NULL for the default.
 *  - `flags`: STEADFAST_SWEEP_*.
 *  - `callback`: NULL if no results are wanted.
 *  - `report`: NULL for the default. It is about the directory.
 *
 * Returns:
 *  - 0: all names were looked at, or the callback ended the sweep. Only the callback learns of files that could not be removed.
 *  - STEADFAST_E_BUSY: after 16,777,216 names there were still more.
 *  - STEADFAST_E_HOOK, _E_INTERNAL, -EINVAL, or a negated errno of the call that the report's step names.
 *
 * The function may or may not see names that appear or disappear while it runs. It waits for nobody. It is safe while any number
 * of other processes save, take locks or sweep. Threads: no restriction.
 */
int32_t steadfast_directory_sweep(const steadfast_context *context, const char *directory, uint32_t flags,
                                  steadfast_sweep_fn callback, void *user, steadfast_report *report);

/* ============================================================================
 * 6. Contexts
 *
 * A context says where relative paths begin and which system calls are used. NULL is the default context: the working
 * directory and the real calls. Most programs need no other.
 * ========================================================================= */

/** A table of system calls; section 7 defines it. */
typedef struct steadfast_hooks steadfast_hooks;

/** steadfast_context_options.flags. */
enum {
  /** Relative paths begin at `dirfd`. The context keeps its own descriptor of that directory. */
  STEADFAST_CONTEXT_AT = 1,
  /**
   * No path leaves that directory: an absolute path, and a link or a ".." that leads outside, are -EXDEV. Only with
   * STEADFAST_CONTEXT_AT, otherwise -EINVAL. Needs openat2(2), Linux 5.6.
   */
  STEADFAST_CONTEXT_BENEATH = 2,
  /**
   * Do not use io_uring: for a process whose seccomp filter kills instead of returning an error. Large states are then
   * written through the page cache.
   */
  STEADFAST_CONTEXT_NO_IO_URING = 4
};

/** How to make a context. Zero is the default of every member. */
typedef struct {
  /** sizeof(steadfast_context_options); at least up to and including `flags`. */
  size_t size;
  /** STEADFAST_CONTEXT_*. */
  uint32_t flags;
  /** With STEADFAST_CONTEXT_AT: an open directory, or AT_FDCWD for what is now the working directory. */
  int32_t dirfd;
  /** Copied; NULL means the real calls. */
  const steadfast_hooks *hooks;
} steadfast_context_options;

/**
 * Makes a context from options: where relative paths begin, and hooks.
 *
 *  - `options`: NULL means the defaults. `dirfd` may be closed when the call has returned.
 *  - `out`: gets the context, which steadfast_context_free frees; NULL after an error.
 *
 * If the program closes the context's own descriptor (closefrom), the next call opens the directory anew, by the path
 * that it had when the context was made. If another directory is there by then, that call is -EBADF. The library never
 * closes a descriptor that is not its own.
 *
 * Returns:
 *  - 0.
 *  - -EINVAL: as steadfast_context_new; a flag is unknown; or BENEATH is set without AT.
 *  - STEADFAST_E_UNSUPPORTED: BENEATH, and there is no openat2.
 *  - -ENOMEM.
 *  - Another negated errno, from opening `dirfd`: -EBADF, -ENOTDIR.
 */
int32_t steadfast_context_new_with(const steadfast_context_options *options, steadfast_context **out);

/**
 * Makes a context from a hook table.
 *
 *  - `hooks`: copied; NULL means the real calls. Its `user` and functions must live as long as the context, and as
 *    long as every lock that is taken with it.
 *  - `out`: gets the context, which steadfast_context_free frees; NULL after an error.
 *
 * Returns:
 *  - 0.
 *  - -EINVAL: `out` is NULL; the table's size is too small or ends inside a hook; an `absent` bit is unknown; or a
 *    member is set that this version does not know.
 *  - -ENOMEM.
 */
int32_t steadfast_context_new(const steadfast_hooks *hooks, steadfast_context **out);

/**
 * Frees a context and closes its directory. NULL is allowed. No other thread may be in a call with it. Locks that were
 * taken with it go on.
 */
void steadfast_context_free(steadfast_context *context);

/* ============================================================================
 * 7. Hooks and fault injection
 *
 * For tests: every system call of the library goes through a table of function pointers, so that a test can make one
 * fail, count it, delay it or replace it. A program that only saves and locks needs nothing from here.
 * ========================================================================= */

/** steadfast_stat.attributes. */
enum {
  /** The file is the root of a mount, such as a bind-mounted file. */
  STEADFAST_STAT_MOUNT_ROOT = 1
};

/** What the fstat and fstatat hooks fill: the part of struct stat that the library looks at. */
typedef struct {
  /** Device number. */
  uint64_t dev;
  /** Inode number. */
  uint64_t ino;
  /** File type and permission bits, as in struct stat. */
  uint32_t mode;
  /** Number of hard links. */
  uint32_t nlink;
  /** Owner. */
  uint32_t uid;
  /** Group. */
  uint32_t gid;
  /** Length in bytes. */
  uint64_t size;
  /** Last change of the content, nanoseconds since the Unix epoch. */
  int64_t mtime_ns;
  /** STEADFAST_STAT_*. */
  uint32_t attributes;
  /** 0. */
  uint32_t reserved;
  /** When the file was created, in nanoseconds since the Unix epoch; 0 if that is not known. */
  int64_t btime_ns;
} steadfast_stat;

/** struct pollfd (poll(2)) by a name of fixed width. */
typedef struct {
  /** Descriptor; a negative one is ignored. */
  int32_t fd;
  /** Events that are waited for: 1 is POLLIN. */
  int16_t events;
  /** Events that have occurred; set by the hook. */
  int16_t revents;
} steadfast_pollfd;

/** The clock hook: which clock. */
enum {
  /** CLOCK_REALTIME (clock_gettime(2)). */
  STEADFAST_CLOCK_REALTIME = 0,
  /** CLOCK_MONOTONIC (clock_gettime(2)). */
  STEADFAST_CLOCK_MONOTONIC = 1
};

/** The fsync_many hook: a bit of its count. */
enum {
  /** In the count of the fsync_many hook: fdatasync(2) is enough. */
  STEADFAST_SYNC_DATA = 1073741824
};

/** The sigxfsz hook: its operations. */
enum {
  /** Blocks SIGXFSZ in the calling thread. Returns the state. */
  STEADFAST_SIGXFSZ_BLOCK = 0,
  /** Undoes that, given the state. */
  STEADFAST_SIGXFSZ_RESTORE = 1
};

/** The sigxfsz hook: the bits of its state. */
enum {
  /** The signal was blocked before. */
  STEADFAST_SIGXFSZ_WAS_BLOCKED = 1,
  /** The signal was pending before. */
  STEADFAST_SIGXFSZ_WAS_PENDING = 2,
  /** Set by the library before RESTORE: a write failed with EFBIG, so that a signal is pending which must not arrive. */
  STEADFAST_SIGXFSZ_RAISED = 4
};

/** The ofdlock hook: its operations on an open file description lock (fcntl(2), F_OFD_SETLK) over a range of bytes. */
enum {
  /** Take a shared lock without waiting. */
  STEADFAST_OFDLOCK_SET = 0,
  /** Look for a lock of somebody else's in the range. */
  STEADFAST_OFDLOCK_TEST = 1,
  /** Take a shared lock, waiting for it. */
  STEADFAST_OFDLOCK_WAIT = 2,
  /** Take an exclusive lock without waiting. */
  STEADFAST_OFDLOCK_EXCLUSIVE = 3,
  /** Release it. */
  STEADFAST_OFDLOCK_UNLOCK = 4
};

/** The writeback hook: its operations on the dirty pages of a range of bytes. Neither makes anything durable. */
enum {
  /** Begin to write them. */
  STEADFAST_WRITEBACK_START = 0,
  /** Write them and wait. An error that the file has met is returned. */
  STEADFAST_WRITEBACK_WAIT = 1
};

/** The aio hook: its operations, in the order in which they come. One write is under way at a time. */
enum {
  /**
   * Prepare for a file of `len` bytes. The file may get that length by it. `*queue` is 0 before, and the hook's from
   * then on.
   */
  STEADFAST_AIO_OPEN = 0,
  /**
   * Start writing `len` bytes at `offset`. `buf` does not change before the WAIT. Address, length and offset are
   * multiples of 4096, as O_DIRECT needs (open(2)).
   */
  STEADFAST_AIO_WRITE = 1,
  /** Wait for that write. Returns the number of bytes written. */
  STEADFAST_AIO_WAIT = 2,
  /**
   * Wait for what is still being written, and end it. It comes after a failed OPEN as well. Its answer is ignored,
   * except that after an error the memory of a write under way is not freed.
   */
  STEADFAST_AIO_CLOSE = 3
};

/** steadfast_hooks.absent: act as if the platform lacked this. */
enum {
  /** open(2) has no O_DIRECTORY: a directory is opened without it and then checked. */
  STEADFAST_ABSENT_O_DIRECTORY = 1,
  /** A directory cannot be synced: every save is STEADFAST_NOT_DURABLE, and with STEADFAST_SAVE_STRICT it is refused. */
  STEADFAST_ABSENT_DIR_FSYNC = 2,
  /** open(2) has no O_TMPFILE: lock files are created under a private name first. */
  STEADFAST_ABSENT_O_TMPFILE = 4,
  /** rename has no flags: a name is created by link instead of by RENAME_NOREPLACE. */
  STEADFAST_ABSENT_RENAMEAT2 = 8,
  /**
   * No flock: temporary files of killed writers stay; IF_GENERATION, and taking or cleaning a lock, are
   * STEADFAST_E_UNSUPPORTED.
   */
  STEADFAST_ABSENT_FLOCK = 16,
  /** No extended attributes: another boot and a reused PID are not recognised, and ACLs are neither read nor set. */
  STEADFAST_ABSENT_XATTR = 32,
  /** No pidfd: kill and /proc tell whether a process lives. */
  STEADFAST_ABSENT_PIDFD = 64,
  /** No /proc. */
  STEADFAST_ABSENT_PROC = 128,
  /** No inotify: waiting for a lock polls. */
  STEADFAST_ABSENT_INOTIFY = 256,
  /** No open file description locks: waiters are not queued. */
  STEADFAST_ABSENT_OFDLOCK = 512,
  /** No hard links: the previous generation is kept by a copy. */
  STEADFAST_ABSENT_LINK = 1024,
  /** No fdatasync: fsync is called instead. */
  STEADFAST_ABSENT_FDATASYNC = 2048,
  /** No syncfs: STEADFAST_SAVE_SYNCFS syncs each file by itself. */
  STEADFAST_ABSENT_SYNCFS = 4096,
  /** Asynchronous writes (the aio hook) are unavailable: large states are hashed completely, then written. */
  STEADFAST_ABSENT_AIO = 8192,
  /** Files cannot be synced at once: a batch syncs one after the other. */
  STEADFAST_ABSENT_FSYNC_MANY = 16384,
  /** No openat2: a context with STEADFAST_CONTEXT_BENEATH is STEADFAST_E_UNSUPPORTED. */
  STEADFAST_ABSENT_OPENAT2 = 32768,
  /** A mapping does not keep a lock file's flock: the lock keeps a descriptor. */
  STEADFAST_ABSENT_MAP = 65536
};

/**
 * The system calls of the library, as function pointers.
 *
 * Each hook gets `user` first and does what the system call of its name does, unless its comment says otherwise. It
 * returns 0 or more, or a negated errno. Flags, modes and errno values are those of the platform.
 *
 * A NULL hook means the real system call, with two exceptions. If fsync is hooked and fdatasync is not, fdatasync goes
 * to the fsync hook. If fsync or write is hooked, or has a fault injected, the calls that would bypass it (syncfs,
 * fsync_many, aio) are disabled unless they are hooked too.
 *
 * After -EINTR the library calls a hook again, except close and poll. After a short write it continues with the rest.
 * If a hook returns more than it was given, or a number that is no errno, the call is STEADFAST_E_HOOK.
 *
 * A hook runs in the thread that called the library. It must not call the library with the same lock.
 *
 * Start from steadfast_hooks_init(), or from a zeroed table with `size` set. A table may end after any hook; a later
 * version's longer table is accepted if what this version does not know is zero.
 */
struct steadfast_hooks {
  /** sizeof(steadfast_hooks). */
  size_t size;
  /** First argument of every hook. */
  void *user;
  /** STEADFAST_ABSENT_*; 0 means a complete platform. */
  uint32_t absent;
  /** 0. */
  uint32_t reserved;
  /** openat(2). A directory is opened by its path, so that a hook sees it; what is in it, relative to its descriptor. */
  int32_t (*openat)(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode);
  /** close(2). It is called once, whatever it answers. */
  int32_t (*close)(void *user, int32_t fd);
  /** write(2). */
  int64_t (*write)(void *user, int32_t fd, const void *buf, size_t len);
  /** fsync(2), of files and directories. */
  int32_t (*fsync)(void *user, int32_t fd);
  /** renameat2(2); `flags` 0 is renameat(2). */
  int32_t (*renameat)(void *user, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                      const char *new_path, uint32_t flags);
  /** unlinkat(2). */
  int32_t (*unlinkat)(void *user, int32_t dirfd, const char *path, int32_t flags);
  /** linkat(2). */
  int32_t (*linkat)(void *user, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                    const char *new_path, int32_t flags);
  /** mkdirat(2). */
  int32_t (*mkdirat)(void *user, int32_t dirfd, const char *path, uint32_t mode);
  /** readlinkat(2). */
  int64_t (*readlinkat)(void *user, int32_t dirfd, const char *path, void *buf, size_t len);
  /** read(2). */
  int64_t (*read)(void *user, int32_t fd, void *buf, size_t len);
  /** pread(2). */
  int64_t (*pread)(void *user, int32_t fd, void *buf, size_t len, uint64_t offset);
  /** fstat(2), into `out`. */
  int32_t (*fstat)(void *user, int32_t fd, steadfast_stat *out);
  /** fstatat(2), into `out`. It never follows a symbolic link. */
  int32_t (*fstatat)(void *user, int32_t dirfd, const char *path, steadfast_stat *out);
  /** Returns the magic number of the file system (fstatfs(2), f_type), or 0 if there is none. */
  int64_t (*fstatfs)(void *user, int32_t fd);
  /** fchmod(2). */
  int32_t (*fchmod)(void *user, int32_t fd, uint32_t mode);
  /** fchown(2). */
  int32_t (*fchown)(void *user, int32_t fd, uint32_t uid, uint32_t gid);
  /** flock(2). */
  int32_t (*flock)(void *user, int32_t fd, int32_t operation);
  /**
   * One of STEADFAST_OFDLOCK_* on [start, start + len); `len` 0 goes to the end. TEST returns 1 if somebody else has
   * a lock in that range, and stores its start and length (0: to the end) in found[0] and found[1]; otherwise it
   * returns 0.
   */
  int32_t (*ofdlock)(void *user, int32_t fd, int32_t operation, int64_t start, int64_t len, int64_t *found);
  /** fgetxattr(2). */
  int64_t (*fgetxattr)(void *user, int32_t fd, const char *name, void *buf, size_t len);
  /** fsetxattr(2), without flags. */
  int32_t (*fsetxattr)(void *user, int32_t fd, const char *name, const void *buf, size_t len);
  /** getpid(2). */
  int32_t (*getpid)(void *user);
  /** geteuid(2). Returns the user id, 0 or more. */
  int64_t (*geteuid)(void *user);
  /** kill(2), with signal 0 only. */
  int32_t (*kill)(void *user, int32_t pid, int32_t signal);
  /** pidfd_open(2). */
  int32_t (*pidfd_open)(void *user, int32_t pid, uint32_t flags);
  /** ppoll(2) without a signal mask. `timeout_ns` 0 returns at once, a negative value waits without limit. */
  int32_t (*poll)(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns);
  /** inotify_init1(2). */
  int32_t (*inotify_init)(void *user, int32_t flags);
  /** inotify_add_watch(2). */
  int32_t (*inotify_add_watch)(void *user, int32_t fd, const char *path, uint32_t mask);
  /** One of STEADFAST_CLOCK_*, in nanoseconds, into `*ns`. */
  int32_t (*clock)(void *user, int32_t clock, int64_t *ns);
  /** One of STEADFAST_SIGXFSZ_*: keeps a write that exceeds RLIMIT_FSIZE from killing the process. */
  int32_t (*sigxfsz)(void *user, int32_t operation, int32_t state);
  /** fdatasync(2). */
  int32_t (*fdatasync)(void *user, int32_t fd);
  /** syncfs(2), of the file system of `fd`. */
  int32_t (*syncfs)(void *user, int32_t fd);
  /** ftruncate(2). */
  int32_t (*ftruncate)(void *user, int32_t fd, uint64_t len);
  /** One of STEADFAST_WRITEBACK_*, as sync_file_range(2). `len` 0 goes to the end. */
  int32_t (*writeback)(void *user, int32_t fd, int32_t operation, uint64_t offset, uint64_t len);
  /** One of STEADFAST_AIO_*: writes for which the device begins at once. */
  int64_t (*aio)(void *user, int32_t operation, uint64_t *queue, int32_t fd, const void *buf, size_t len,
                 uint64_t offset);
  /**
   * fsync(2) of the `count` descriptors at `files`, all under way at once. If `count` has the bit STEADFAST_SYNC_DATA, fdatasync(2)
   * is enough. The hook replaces each descriptor by 0 or a negated errno. An error of the hook itself means that no sync was
   * started. `*queue` is 0 at first, and the hook's from then on; a call with `count` 0 frees it.
   */
  int32_t (*fsync_many)(void *user, uint64_t *queue, int32_t *files, uint32_t count);
  /** openat2(2); `resolve` has its RESOLVE_* flags. Only contexts with STEADFAST_CONTEXT_BENEATH call it. */
  int32_t (*openat2)(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode,
                     uint64_t resolve);
  /**
   * Maps a page of `fd`, private to this process (MAP_PRIVATE) and not inherited by fork (MADV_DONTFORK). The
   * mapping keeps the open file description, and with it the flock, when the descriptor is closed. Returns the
   * address.
   */
  int64_t (*map)(void *user, int32_t fd);
  /** munmap(2) of such a mapping. */
  int32_t (*unmap)(void *user, uint64_t address);
  /** pwrite(2). The position of the descriptor, which a child may share, stays. */
  int64_t (*pwrite)(void *user, int32_t fd, const void *buf, size_t len, uint64_t offset);
  /** flistxattr(2). Only saves with STEADFAST_SAVE_KEEP_ATTRIBUTES call it. */
  int64_t (*flistxattr)(void *user, int32_t fd, void *buf, size_t len);
  /**
   * getdents64(2): fills `buf`, which is aligned to 8 bytes, with entries of the directory (struct linux_dirent64);
   * 0 at its end. Only steadfast_directory_sweep calls it.
   */
  int64_t (*getdents)(void *user, int32_t fd, void *buf, size_t len);
};

/** The table of the real calls, for hooks that call them. It is static. Its `user` is NULL and is not used. */
const steadfast_hooks *steadfast_hooks_default(void);

/** steadfast_context_new_failing: which hook's calls are counted. The numbers are the places of the hooks in the table. */
enum {
  /** The calls of every hook. */
  STEADFAST_CALL_ANY = 0,
  /** The openat hook. */
  STEADFAST_CALL_OPENAT = 1,
  /** The close hook. */
  STEADFAST_CALL_CLOSE = 2,
  /** The write hook. */
  STEADFAST_CALL_WRITE = 3,
  /** The fsync hook. */
  STEADFAST_CALL_FSYNC = 4,
  /** The renameat hook. */
  STEADFAST_CALL_RENAMEAT = 5,
  /** The unlinkat hook. */
  STEADFAST_CALL_UNLINKAT = 6,
  /** The linkat hook. */
  STEADFAST_CALL_LINKAT = 7,
  /** The mkdirat hook. */
  STEADFAST_CALL_MKDIRAT = 8,
  /** The readlinkat hook. */
  STEADFAST_CALL_READLINKAT = 9,
  /** The read hook. */
  STEADFAST_CALL_READ = 10,
  /** The pread hook. */
  STEADFAST_CALL_PREAD = 11,
  /** The fstat hook. */
  STEADFAST_CALL_FSTAT = 12,
  /** The fstatat hook. */
  STEADFAST_CALL_FSTATAT = 13,
  /** The fstatfs hook. */
  STEADFAST_CALL_FSTATFS = 14,
  /** The fchmod hook. */
  STEADFAST_CALL_FCHMOD = 15,
  /** The fchown hook. */
  STEADFAST_CALL_FCHOWN = 16,
  /** The flock hook. */
  STEADFAST_CALL_FLOCK = 17,
  /** The ofdlock hook. */
  STEADFAST_CALL_OFDLOCK = 18,
  /** The fgetxattr hook. */
  STEADFAST_CALL_FGETXATTR = 19,
  /** The fsetxattr hook. */
  STEADFAST_CALL_FSETXATTR = 20,
  /** The getpid hook. */
  STEADFAST_CALL_GETPID = 21,
  /** The geteuid hook. */
  STEADFAST_CALL_GETEUID = 22,
  /** The kill hook. */
  STEADFAST_CALL_KILL = 23,
  /** The pidfd_open hook. */
  STEADFAST_CALL_PIDFD_OPEN = 24,
  /** The poll hook. */
  STEADFAST_CALL_POLL = 25,
  /** The inotify_init hook. */
  STEADFAST_CALL_INOTIFY_INIT = 26,
  /** The inotify_add_watch hook. */
  STEADFAST_CALL_INOTIFY_ADD_WATCH = 27,
  /** The clock hook. */
  STEADFAST_CALL_CLOCK = 28,
  /** The sigxfsz hook. */
  STEADFAST_CALL_SIGXFSZ = 29,
  /** The fdatasync hook. */
  STEADFAST_CALL_FDATASYNC = 30,
  /** The syncfs hook. */
  STEADFAST_CALL_SYNCFS = 31,
  /** The ftruncate hook. */
  STEADFAST_CALL_FTRUNCATE = 32,
  /** The writeback hook. */
  STEADFAST_CALL_WRITEBACK = 33,
  /** The aio hook. */
  STEADFAST_CALL_AIO = 34,
  /** The fsync_many hook. */
  STEADFAST_CALL_FSYNC_MANY = 35,
  /** The openat2 hook. */
  STEADFAST_CALL_OPENAT2 = 36,
  /** The map hook. */
  STEADFAST_CALL_MAP = 37,
  /** The unmap hook. */
  STEADFAST_CALL_UNMAP = 38,
  /** The pwrite hook. */
  STEADFAST_CALL_PWRITE = 39,
  /** The flistxattr hook. */
  STEADFAST_CALL_FLISTXATTR = 40,
  /** The getdents hook. */
  STEADFAST_CALL_GETDENTS = 41
};

/**
 * Makes a context that injects one fault, for tests in languages without callbacks.
 *
 * It counts the calls of one hook that all threads make with this context, and makes the `nth` such call (counting
 * from 1) fail with `error` instead of being executed. If `for_ever` is 1, all later calls fail as well. What gives
 * something back is done nevertheless: close, unmap, the aio hook's CLOSE, and the end of fsync_many's queue. A lock
 * that is taken with the context continues with a copy of the counter.
 *
 *  - `hooks`, `out`: as for steadfast_context_new.
 *  - `call`: STEADFAST_CALL_*.
 *  - `nth`: 1 or more.
 *  - `error`: an errno, from 1 to 4095.
 *  - `for_ever`: 0 or 1.
 *
 * Returns as steadfast_context_new does; an argument outside these bounds is -EINVAL.
 */
int32_t steadfast_context_new_failing(const steadfast_hooks *hooks, uint32_t call, uint64_t nth,
                                      int32_t error, uint32_t for_ever, steadfast_context **out);

#ifdef __cplusplus
} /* extern "C" */
#endif

#ifndef STEADFAST_NO_INLINE
/**
 * A table of the real calls to start from: zeroed, with its size set.
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

#endif /* STEADFAST_H */
